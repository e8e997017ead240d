/* SPDX-License-Identifier: Apache-2.0 */
/* MC146818A data sheet. Missing on purpose: daylight saving (DSE), the square wave, and the days
 * of the week as a register of their own (it follows the date). */
#include "vm/chipset/rtc_cmos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"

enum {
    SEC,
    SEC_ALARM,
    MIN_,
    MIN_ALARM,
    HOUR,
    HOUR_ALARM,
    WDAY,
    MDAY,
    MONTH,
    YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,

    A_UIP = 0x80,
    A_DV = 0x70,
    A_DV_RESET = 0x60, /* 11x: dividers held in reset */
    A_RS = 0x0f,

    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_BINARY = 0x04,
    B_24H = 0x02,

    C_IRQF = 0x80, /* PF, AF, UF sit where their enables are in B */
    C_FLAGS = B_PIE | B_AIE | B_UIE,

    D_VRT = 0x80,

    HOUR_PM = 0x80,
    ALARM_ANY = 0xc0, /* an alarm byte of 11xxxxxx matches all */

    PORT_BANK2 = 2,
};
#define NS_SEC   INT64_C(1000000000)
#define UIP_NS   INT64_C(244141) /* UIP comes that long before the update */
#define TIMER_NS (60 * NS_SEC)   /* look at the wall clock again after that, it may be set */

struct rtc_cmos {
    struct dev_env env;
    struct loop_source timer;
    pthread_mutex_t lock;      /* all below */
    uint64_t deadline;         /* of the timer; 0: not armed */
    uint64_t periodic_checked; /* monotonic: when PF was last worked out */
    bool irq_level, stopped;

    int64_t offset;  /* guest's clock minus UTC, ns */
    int64_t checked; /* guest's clock: when AF and UF were last worked out */
    uint8_t index[2];
    bool nmi_masked;
    uint8_t ram[RTC_CMOS_SIZE]; /* REG_C holds flags; time bytes are valid only while held */
};

/* Calendar. */

struct civil {
    int year;
    unsigned month, mday, wday, hour, min, sec;
};

/* Days since 1970 of a date of the Gregorian calendar, counted in eras of 400 years that begin in
 * March. */
static int64_t days_of(int64_t year, unsigned month, unsigned mday)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct civil civil_of(int64_t seconds)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    return (struct civil){.year = (int)(yoe + era * 400 + (month <= 2)),
                          .month = month,
                          .mday = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
                          .wday = (unsigned)(((days + 4) % 7 + 7) % 7) + 1, /* Sunday is 1 */
                          .hour = (unsigned)(rest / 3600),
                          .min = (unsigned)(rest / 60 % 60),
                          .sec = (unsigned)(rest % 60)};
}

/* The forms of a byte: BCD or binary, 12 or 24 hours (register B). */

static uint8_t to_byte(const struct rtc_cmos *r, unsigned v)
{
    return (uint8_t)(r->ram[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned from_byte(const struct rtc_cmos *r, uint8_t b)
{
    return r->ram[REG_B] & B_BINARY ? b : (b >> 4) * 10u + (b & 15);
}

static uint8_t to_hour(const struct rtc_cmos *r, unsigned hour)
{
    if (r->ram[REG_B] & B_24H)
        return to_byte(r, hour);
    return to_byte(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned from_hour(const struct rtc_cmos *r, uint8_t b)
{
    if (r->ram[REG_B] & B_24H)
        return from_byte(r, b);
    return from_byte(r, b & 0x7f) % 12 + (b & HOUR_PM ? 12 : 0);
}

/* Time. */

static bool held(const struct rtc_cmos *r)
{
    return (r->ram[REG_B] & B_SET) || (r->ram[REG_A] & A_DV_RESET) == A_DV_RESET;
}

static int64_t guest_now(const struct rtc_cmos *r)
{
    return clock_realtime(dev_clock(&r->env)) + r->offset;
}

static int64_t floor_sec(int64_t ns)
{
    return ns >= 0 ? ns / NS_SEC : -((-ns + NS_SEC - 1) / NS_SEC);
}

/* Clock to registers. */
static void latch(struct rtc_cmos *r, int64_t now)
{
    struct civil c = civil_of(floor_sec(now));

    r->ram[SEC] = to_byte(r, c.sec);
    r->ram[MIN_] = to_byte(r, c.min);
    r->ram[HOUR] = to_hour(r, c.hour);
    r->ram[WDAY] = to_byte(r, c.wday);
    r->ram[MDAY] = to_byte(r, c.mday);
    r->ram[MONTH] = to_byte(r, c.month);
    r->ram[YEAR] = to_byte(r, (unsigned)c.year % 100);
    r->ram[RTC_CMOS_CENTURY] = to_byte(r, (unsigned)c.year / 100 % 100);
}

/* Registers to clock: the guest has set the time (1970 to 2099). `fraction`: of the second that it
 * is now. */
static void unlatch(struct rtc_cmos *r, int64_t fraction)
{
    unsigned month = from_byte(r, r->ram[MONTH]), yy = from_byte(r, r->ram[YEAR]);
    int64_t year = (int64_t)from_byte(r, r->ram[RTC_CMOS_CENTURY]) * 100 + yy;

    if (year < 1970 || year > 2099) /* nonsense; and nanoseconds must fit */
        year = 2000 + yy % 100;
    int64_t days = days_of(year,
                           month < 1    ? 1
                           : month > 12 ? 12
                                        : month,
                           MAX(from_byte(r, r->ram[MDAY]), 1u));
    int64_t seconds = days * 86400 + from_hour(r, r->ram[HOUR]) * 3600 +
                      from_byte(r, r->ram[MIN_]) * 60 + from_byte(r, r->ram[SEC]);

    r->checked = seconds * NS_SEC + fraction;
    r->offset = r->checked - clock_realtime(dev_clock(&r->env));
}

static int64_t fraction_of(int64_t ns)
{
    return ns - floor_sec(ns) * NS_SEC;
}

/* Events. */

/* First second from `from` on that the alarm bytes match, or INT64_MAX. Skips by hour, minute and
 * second, so two days take some 170 steps. */
static int64_t next_alarm(const struct rtc_cmos *r, int64_t from)
{
    uint8_t h = r->ram[HOUR_ALARM], m = r->ram[MIN_ALARM], s = r->ram[SEC_ALARM];
    bool any_h = h >= ALARM_ANY, any_m = m >= ALARM_ANY, any_s = s >= ALARM_ANY;
    unsigned want_h = from_hour(r, h), want_m = from_byte(r, m), want_s = from_byte(r, s);
    int64_t t = from;

    if ((!any_h && want_h > 23) || (!any_m && want_m > 59) || (!any_s && want_s > 59))
        return INT64_MAX;
    while (t < from + 2 * 86400) {
        struct civil c = civil_of(t);
        if (!any_h && c.hour != want_h)
            t += 3600 - c.min * 60 - c.sec;
        else if (!any_m && c.min != want_m)
            t += 60 - c.sec;
        else if (!any_s && c.sec != want_s)
            t++;
        else
            return t;
    }
    return INT64_MAX;
}

/* 0: off. Rates 1 and 2 are those of 8 and 9 (table 5, 32.768 kHz time base). */
static uint64_t period_ns(const struct rtc_cmos *r)
{
    unsigned rs = r->ram[REG_A] & A_RS;

    if (!rs || (r->ram[REG_A] & A_DV_RESET) == A_DV_RESET)
        return 0;
    return (UINT64_C(1000000000) << ((rs <= 2 ? rs + 7 : rs) - 1)) / 32768;
}

/* Works out which flags have been set since somebody last looked. */
static void update_flags(struct rtc_cmos *r)
{
    uint64_t mono = clock_monotonic(dev_clock(&r->env)), period = period_ns(r);
    int64_t now = guest_now(r), before = floor_sec(r->checked);

    if (period && mono / period != r->periodic_checked / period)
        r->ram[REG_C] |= B_PIE;
    r->periodic_checked = mono;
    if (!held(r) && now > r->checked) {
        if (floor_sec(now) > before) {
            r->ram[REG_C] |= B_UIE;
            if (!(r->ram[REG_C] & B_AIE) && next_alarm(r, before + 1) <= floor_sec(now))
                r->ram[REG_C] |= B_AIE;
        }
    }
    r->checked = now;
}

/* When the next enabled interrupt is due, monotonic; 0: never. Flags are up to date. */
static uint64_t next_event(const struct rtc_cmos *r)
{
    uint64_t mono = r->periodic_checked, period = period_ns(r), at = UINT64_MAX;
    uint8_t enabled = r->ram[REG_B];

    if ((enabled & B_PIE) && period)
        at = (mono / period + 1) * period;
    if ((enabled & (B_AIE | B_UIE)) && !held(r)) {
        int64_t next = floor_sec(r->checked) + 1;
        int64_t wait = TIMER_NS;
        if (!(enabled & B_UIE))
            next = next_alarm(r, next);
        if (next < INT64_MAX && next * NS_SEC - r->checked < wait)
            wait = next * NS_SEC - r->checked;
        at = MIN(at, mono + (uint64_t)wait);
    }
    return at == UINT64_MAX ? 0 : at;
}

static void update(struct rtc_cmos *r)
{
    update_flags(r);
    bool level = r->ram[REG_C] & r->ram[REG_B] & C_FLAGS;
    r->ram[REG_C] = (uint8_t)((r->ram[REG_C] & C_FLAGS) | (level ? C_IRQF : 0));
    /* While the interrupt waits to be read away nothing more can be seen of further ones. */
    uint64_t at = level || r->stopped ? 0 : next_event(r);

    if (at != r->deadline)
        (void)loop_timer_arm(&r->timer, at);
    r->deadline = at;
    if (level != r->irq_level) {
        r->irq_level = level;
        irq_set(&r->env.irq[0], level);
    }
}

static void on_timer(void *ctx, uint32_t events)
{
    struct rtc_cmos *r = ctx;

    (void)events;
    LOCK_SCOPE(&r->lock);
    r->deadline = 0;
    if (!r->stopped)
        update(r);
}

/* Registers. */

static bool is_time(unsigned reg)
{
    return reg == SEC || reg == MIN_ || (reg >= HOUR && reg <= YEAR && reg != HOUR_ALARM) ||
           reg == RTC_CMOS_CENTURY;
}

static uint8_t reg_read(struct rtc_cmos *r, unsigned reg)
{
    int64_t now;
    uint8_t v;

    switch (reg) {
    case REG_A:
        v = r->ram[REG_A] & 0x7f;
        return held(r) || fraction_of(guest_now(r)) < NS_SEC - UIP_NS ? v : v | A_UIP;
    case REG_C:
        update(r);
        v = r->ram[REG_C];
        r->ram[REG_C] = 0;
        update(r);
        return v;
    case REG_D:
        return D_VRT;
    default:
        if (is_time(reg) && !held(r)) {
            now = guest_now(r);
            latch(r, now);
        }
        return r->ram[reg];
    }
}

/* A or B: the clock stops being set, or starts to be. */
static void control_write(struct rtc_cmos *r, unsigned reg, uint8_t v)
{
    bool was_held = held(r);
    bool was_reset = (r->ram[REG_A] & A_DV_RESET) == A_DV_RESET;
    int64_t now = guest_now(r);

    update_flags(r);
    if (!was_held)
        latch(r, now);
    r->ram[reg] = v;
    if (r->ram[REG_B] & B_SET)
        r->ram[REG_B] &= (uint8_t)~B_UIE; /* SET clears UIE */
    if (was_held && !held(r)) /* out of divider reset the first update comes after half a second */
        unlatch(r, was_reset ? NS_SEC / 2 : fraction_of(now));
    update(r);
}

static void reg_write(struct rtc_cmos *r, unsigned reg, uint8_t v)
{
    switch (reg) {
    case REG_A:
        control_write(r, reg, v & (uint8_t)~A_UIP);
        return;
    case REG_B:
        control_write(r, reg, v);
        return;
    case REG_C:
    case REG_D:
        return;
    default:
        break;
    }
    if (is_time(reg) && !held(r)) {
        int64_t now = guest_now(r);
        latch(r, now);
        r->ram[reg] = v;
        unlatch(r, fraction_of(now));
    } else {
        r->ram[reg] = v;
    }
    if (reg <= YEAR)
        update(r);
}

static uint64_t rtc_cmos_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct rtc_cmos *r = dev;

    (void)region, (void)size;
    LOCK_SCOPE(&r->lock);
    switch (offset) {
    case 1:
        return reg_read(r, r->index[0]);
    case 3:
        return r->ram[128 + r->index[1]];
    default:
        return 0xff; /* the index registers are write-only */
    }
}

static void rtc_cmos_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                           uint64_t value)
{
    struct rtc_cmos *r = dev;
    uint8_t v = (uint8_t)value;

    (void)region, (void)size;
    LOCK_SCOPE(&r->lock);
    switch (offset) {
    case 0:
        r->index[0] = v & 0x7f;
        r->nmi_masked = v & 0x80;
        break;
    case 1:
        reg_write(r, r->index[0], v);
        break;
    case PORT_BANK2:
        r->index[1] = v & 0x7f;
        break;
    default:
        r->ram[128 + r->index[1]] = v;
        break;
    }
}

int64_t rtc_cmos_offset(void *dev)
{
    struct rtc_cmos *r = dev;

    LOCK_SCOPE(&r->lock);
    return r->offset;
}

bool rtc_cmos_nmi_masked(void *dev)
{
    struct rtc_cmos *r = dev;

    LOCK_SCOPE(&r->lock);
    return r->nmi_masked;
}

/* Contents (as PC firmware lays them out; SeaBIOS, src/hw/rtc.h names them). */

void rtc_cmos_set_memory(struct rtc_cmos_params *params, uint64_t low, uint64_t high)
{
    uint8_t *ram = params->ram;
    uint64_t extended_kib = low > MIB(1) ? MIN((low - MIB(1)) >> 10, (uint64_t)UINT16_MAX) : 0;
    uint64_t above_16m = low > MIB(16) ? MIN((low - MIB(16)) >> 16, (uint64_t)UINT16_MAX) : 0;

    le16_store(ram + 0x15, 640);
    le16_store(ram + 0x17, (uint16_t)extended_kib);
    le16_store(ram + 0x30, (uint16_t)extended_kib);
    le16_store(ram + 0x34, (uint16_t)above_16m);
    le16_store(ram + 0x5b, (uint16_t)(high >> 16));
    ram[0x5d] = (uint8_t)MIN(high >> 32, (uint64_t)UINT8_MAX);
}

void rtc_cmos_set_boot(struct rtc_cmos_params *params, const uint8_t order[3])
{
    params->ram[0x38] = (uint8_t)(order[2] << 4 | 1); /* bit 0: no floppy signature check */
    params->ram[0x3d] = (uint8_t)(order[1] << 4 | (order[0] & 15));
}

/* Life. */

static void rtc_cmos_reset(void *dev)
{
    struct rtc_cmos *r = dev;

    LOCK_SCOPE(&r->lock);
    update_flags(r);
    r->ram[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->ram[REG_C] = 0;
    r->index[0] = r->index[1] = 0;
    r->nmi_masked = false;
    update(r);
}

static void rtc_cmos_quiesce(void *dev)
{
    struct rtc_cmos *r = dev;

    LOCK_SCOPE(&r->lock);
    r->stopped = true;
    update(r);
}

static void rtc_cmos_resume(void *dev)
{
    struct rtc_cmos *r = dev;

    LOCK_SCOPE(&r->lock);
    r->stopped = false;
    r->irq_level = false;
    r->periodic_checked = clock_monotonic(dev_clock(&r->env));
    update(r);
}

static int rtc_cmos_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "rtc-cmos", .space = DEV_PIO, .base = 0x70, .size = 4, .max_width = 1}},
        .region_count = 1,
        .isa_irq = {RTC_CMOS_IRQ},
    };
    return 0;
}

static void rtc_cmos_destroy(void *dev)
{
    struct rtc_cmos *r = dev;

    if (!r)
        return;
    loop_del(&r->timer);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

static int rtc_cmos_create(const struct dev_env *env, const void *params, void **ret_dev,
                           struct err *err)
{
    const struct rtc_cmos_params *p = params;
    struct rtc_cmos *r = calloc(1, sizeof *r);

    if (!r)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    r->env = *env;
    r->offset = p->offset;
    memcpy(r->ram, p->ram, sizeof r->ram);
    r->ram[REG_A] = 0x26; /* 32.768 kHz, 1024 Hz */
    r->ram[REG_B] = B_24H;
    r->ram[REG_C] = 0;
    r->checked = guest_now(r);
    r->periodic_checked = clock_monotonic(dev_clock(env));
    (void)pthread_mutex_init(&r->lock, NULL);
    int rc = loop_add_timer(env->loop, &r->timer, on_timer, r);
    if (rc < 0) {
        rtc_cmos_destroy(r);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    rtc_cmos_reset(r);
    *ret_dev = r;
    return 0;
}

static int rtc_cmos_post_load(void *object, struct err *err)
{
    struct rtc_cmos *r = object;
    const int64_t limit = INT64_MAX / 2; /* so that no sum of times overflows until 2100 */

    if ((r->index[0] | r->index[1]) & 0x80)
        return err_set(err, -EINVAL, "rtc-cmos: index past the bank");
    if (r->offset > limit || r->offset < -limit || r->checked > limit || r->checked < -limit)
        return err_set(err, -EINVAL, "rtc-cmos: time out of range");
    return 0;
}

static const struct state_field rtc_cmos_fields[] = {
    STATE_FIELD(struct rtc_cmos, offset, STATE_U64),
    STATE_FIELD(struct rtc_cmos, checked, STATE_U64),
    STATE_FIELD(struct rtc_cmos, index, STATE_U8),
    STATE_FIELD(struct rtc_cmos, nmi_masked, STATE_BOOL),
    STATE_FIELD(struct rtc_cmos, ram, STATE_U8),
};

static const struct state_table rtc_cmos_state = {
    .name = "rtc-cmos",
    .version = 1,
    .size = sizeof(struct rtc_cmos),
    .fields = rtc_cmos_fields,
    .field_count = ARRAY_SIZE(rtc_cmos_fields),
    .post_load = rtc_cmos_post_load,
};

const struct dev_class rtc_cmos_class = {
    .name = "rtc-cmos",
    .place = DEV_IN_VMM,
    .layout = rtc_cmos_layout,
    .create = rtc_cmos_create,
    .destroy = rtc_cmos_destroy,
    .reset = rtc_cmos_reset,
    .quiesce = rtc_cmos_quiesce,
    .resume = rtc_cmos_resume,
    .read = rtc_cmos_read,
    .write = rtc_cmos_write,
    .state = &rtc_cmos_state,
};
