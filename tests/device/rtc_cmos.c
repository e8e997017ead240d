/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/rtc_cmos.h"

#include <time.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/device/chip.h"

enum { A = 10, B = 11, C = 12, D = 13, SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, H24 = 2 };
#define SEC_NS UINT64_C(1000000000)

static const struct rtc_cmos_params plain;

static uint8_t get(struct chip *c, unsigned reg)
{
    chip_out(c, 0x70, 1, reg);
    return (uint8_t)chip_in(c, 0x71, 1);
}

static void set(struct chip *c, unsigned reg, uint8_t v)
{
    chip_out(c, 0x70, 1, reg);
    chip_out(c, 0x71, 1, v);
}

static void open_at(struct chip *c, const char *utc)
{
    struct tm tm = {0};
    chip_open(c, &rtc_cmos_class, &plain);
    CHECK(strptime(utc, "%Y-%m-%d %H:%M:%S", &tm));
    c->wall = (int64_t)timegm(&tm) * 1000000000;
    (void)get(c, C); /* what the jump has set */
}

static void check_time(struct chip *c, const char *want)
{
    char got[32];
    (void)snprintf(got, sizeof got, "%02x%02x-%02x-%02x %02x:%02x:%02x", get(c, 0x32), get(c, 9),
                   get(c, 8), get(c, 7), get(c, 4), get(c, 2), get(c, 0));
    CHECK_STR(got, want);
}

static void shows_host_time(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    check_time(&c, "2026-11-20 07:37:28");
    CHECK_EQ(get(&c, 6), 6); /* a Friday; Sunday is 1 */
    chip_advance(&c, SEC_NS);
    check_time(&c, "2026-11-20 07:37:29");
    CHECK_EQ(get(&c, D), 0x80);
    CHECK_EQ(get(&c, B), H24);
    chip_close(&c);
}

/* Every day of the range against the C library. */
static void calendar_agrees(void)
{
    struct chip c;
    chip_open(&c, &rtc_cmos_class, &plain);
    for (int64_t day = 0; day < 47482; day++) {
        time_t t = day * 86400 + day % 86400;
        struct tm tm;
        char want[32];
        (void)gmtime_r(&t, &tm);
        (void)strftime(want, sizeof want, "%Y-%m-%d %H:%M:%S", &tm);
        c.wall = t * 1000000000;
        check_time(&c, want);
        CHECK_EQ(get(&c, 6), tm.tm_wday + 1);
        if (tap_failures_)
            break;
    }
    chip_close(&c);
}

static void binary_and_twelve_hours(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 23:37:28");
    set(&c, B, H24 | 4);
    CHECK_EQ(get(&c, 4), 23);
    CHECK_EQ(get(&c, 2), 37);
    set(&c, B, 0);
    CHECK_EQ(get(&c, 4), 0x91); /* 11 PM in BCD */
    c.wall -= 23 * 3600 * 1000000000LL;
    CHECK_EQ(get(&c, 4), 0x12); /* 12 AM */
    chip_close(&c);
}

static void guest_sets_the_clock(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, B, SET | H24);
    chip_advance(&c, 5 * SEC_NS);
    check_time(&c, "2026-11-20 07:37:28"); /* held */
    set(&c, 0x32, 0x20), set(&c, 9, 0x30), set(&c, 8, 0x02), set(&c, 7, 0x28);
    set(&c, 4, 0x23), set(&c, 2, 0x59), set(&c, 0, 0x58);
    set(&c, B, H24);
    check_time(&c, "2030-02-28 23:59:58");
    chip_advance(&c, 2 * SEC_NS);
    check_time(&c, "2030-03-01 00:00:00");
    int64_t offset = rtc_cmos_offset(c.dev);
    CHECK(offset > 3 * 365 * 86400 * (int64_t)SEC_NS);
    c.class->reset(c.dev);
    check_time(&c, "2030-03-01 00:00:00");
    set(&c, 7, 0x15); /* without SET, as DOS does */
    check_time(&c, "2030-03-15 00:00:00");
    for (unsigned r = 0; r < 10; r++)
        set(&c, r, 0xff); /* nonsense is some time, not a crash */
    set(&c, 0x32, 0xff);
    (void)get(&c, 9);
    chip_close(&c);
}

/* Linux holds the dividers while it sets the clock; the first update then comes after 500 ms. */
static void divider_reset_starts_half_way(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, A, 0x76);
    set(&c, 0, 0x30);
    chip_advance(&c, SEC_NS / 3);
    set(&c, A, 0x26);
    chip_advance(&c, SEC_NS / 2 - 1000000);
    CHECK_EQ(get(&c, 0), 0x30);
    chip_advance(&c, 1000000);
    CHECK_EQ(get(&c, 0), 0x31);
    chip_close(&c);
}

static void odd_dates(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, B, SET); /* twelve hours */
    set(&c, 0x32, 0x20), set(&c, 9, 0x27), set(&c, 8, 0x06), set(&c, 7, 0x05);
    set(&c, 4, 0x91), set(&c, 2, 0), set(&c, 0, 0); /* 11 PM */
    set(&c, B, 0);
    set(&c, B, H24);
    CHECK_EQ(get(&c, 4), 0x23);
    set(&c, B, SET | H24);
    set(&c, 8, 0x13), set(&c, 9, 0x31), set(&c, 0x32, 0x77); /* no such month, no such century */
    set(&c, B, H24);
    CHECK_EQ(get(&c, 8), 0x12);
    CHECK_EQ(get(&c, 9), 0x31);
    CHECK_EQ(get(&c, 0x32), 0x20);
    c.wall = -1000000000; /* a host in 1969 */
    (void)get(&c, 0);
    chip_close(&c);
}

static void impossible_alarm_never_comes(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t bad[][3] = {
            {0x24, 0xff, 0xff}, {0xff, 0x60, 0xff}, {0xff, 0xff, 0x60}};
        set(&c, B, H24);
        set(&c, 5, bad[i][0]), set(&c, 3, bad[i][1]), set(&c, 1, bad[i][2]);
        (void)get(&c, C);
        set(&c, B, AIE | H24);
        chip_stall(&c, 90000 * SEC_NS);
        CHECK(!c.level[0]);
        CHECK(!(get(&c, C) & AIE));
    }
    chip_close(&c);
}

static void update_in_progress(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    CHECK_EQ(get(&c, A), 0x26);
    chip_advance(&c, SEC_NS - 200000);
    CHECK_EQ(get(&c, A), 0xa6);
    chip_advance(&c, 200000);
    CHECK_EQ(get(&c, A), 0x26);
    chip_close(&c);
}

static void alarm_interrupts(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 23:59:50");
    set(&c, 5, 0x00), set(&c, 3, 0xff), set(&c, 1, 0x05); /* 00:xx:05 */
    set(&c, B, AIE | H24);
    chip_advance(&c, 14 * SEC_NS);
    CHECK(!c.level[0]);
    chip_advance(&c, SEC_NS);
    CHECK(c.level[0]);
    CHECK_EQ(get(&c, C) & ~PIE, 0xb0); /* IRQF, AF, and UF, which nobody enabled */
    CHECK(!c.level[0]);
    CHECK_EQ(get(&c, C), 0);
    chip_close(&c);
}

static void update_interrupts(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, B, UIE | H24);
    for (unsigned i = 1; i <= 3; i++) {
        chip_advance(&c, SEC_NS);
        CHECK_EQ(c.edges[0], i);
        CHECK_EQ(get(&c, C) & ~PIE, 0x90);
    }
    chip_advance(&c, SEC_NS / 2);
    CHECK_EQ(c.edges[0], 3);
    chip_close(&c);
}

static void periodic_interrupts(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, A, 0x2f); /* 2 Hz */
    set(&c, B, PIE | H24);
    unsigned seen = 0;
    for (unsigned i = 0; i < 100; i++) {
        chip_advance(&c, SEC_NS / 10);
        if (c.level[0])
            seen += get(&c, C) & 0x40 ? 1 : 0;
    }
    CHECK_EQ(seen, 20);
    set(&c, B, H24);
    set(&c, A, 0x21); /* 256 Hz, as rate 8 */
    set(&c, B, PIE | H24);
    for (unsigned i = 0; i < 256; i++) {
        unsigned before = c.edges[0];
        (void)get(&c, C);
        chip_advance(&c, SEC_NS / 256);
        CHECK_EQ(c.edges[0], before + 1);
    }
    set(&c, A, 0x20); /* off */
    (void)get(&c, C);
    chip_advance(&c, SEC_NS);
    CHECK_EQ(get(&c, C) & 0x40, 0);
    chip_close(&c);
}

static void memory_is_kept(void)
{
    struct chip c;
    struct rtc_cmos_params p = {0};
    rtc_cmos_set_memory(&p, GIB(2), GIB(5));
    rtc_cmos_set_boot(&p, (const uint8_t[]){2, 3, 0});
    chip_open(&c, &rtc_cmos_class, &p);
    CHECK_EQ(get(&c, 0x15) | get(&c, 0x16) << 8, 640);
    CHECK_EQ(get(&c, 0x34) | get(&c, 0x35) << 8, 0x7f00);
    CHECK_EQ(get(&c, 0x5b) | get(&c, 0x5c) << 8 | get(&c, 0x5d) << 16, 0x14000);
    CHECK_EQ(get(&c, 0x17) | get(&c, 0x18) << 8, 0xffff);
    CHECK_EQ(get(&c, 0x3d), 0x32);
    CHECK_EQ(get(&c, 0x38), 0x01);
    set(&c, RTC_CMOS_SHUTDOWN, 0x0a);
    chip_out(&c, 0x72, 1, 0xff); /* bit 7 is not an address */
    chip_out(&c, 0x73, 1, 0x99);
    set(&c, B, PIE | H24);
    c.class->reset(c.dev);
    CHECK_EQ(get(&c, B), H24);
    CHECK_EQ(get(&c, RTC_CMOS_SHUTDOWN), 0x0a);
    chip_out(&c, 0x72, 1, 0x7f);
    CHECK_EQ(chip_in(&c, 0x73, 1), 0x99);
    chip_out(&c, 0x70, 1, 0x8f);
    CHECK(rtc_cmos_nmi_masked(c.dev));
    chip_out(&c, 0x70, 1, 0x0f);
    CHECK(!rtc_cmos_nmi_masked(c.dev));
    CHECK_EQ(chip_in(&c, 0x71, 1), 0x0a);
    chip_close(&c);
}

static void survives_a_move(void)
{
    struct chip c;
    open_at(&c, "2026-11-20 07:37:28");
    set(&c, B, SET | H24);
    set(&c, 9, 0x40);
    set(&c, B, UIE | H24);
    set(&c, 0x60, 0x77);
    chip_replace(&c);
    check_time(&c, "2040-11-20 07:37:28");
    CHECK_EQ(get(&c, 0x60), 0x77);
    chip_advance(&c, SEC_NS);
    CHECK(c.level[0]);
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(shows_host_time), TAP_CASE(calendar_agrees), TAP_CASE(binary_and_twelve_hours),
         TAP_CASE(guest_sets_the_clock), TAP_CASE(divider_reset_starts_half_way),
         TAP_CASE(odd_dates), TAP_CASE(impossible_alarm_never_comes), TAP_CASE(update_in_progress),
         TAP_CASE(alarm_interrupts), TAP_CASE(update_interrupts), TAP_CASE(periodic_interrupts),
         TAP_CASE(memory_is_kept), TAP_CASE(survives_a_move))
