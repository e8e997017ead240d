/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/hpet.h"

#include "tests/device/chip.h"

enum {
    CONF = 0x10,
    STATUS = 0x20,
    COUNTER = 0xf0,
    T0 = 0x100,
    T1 = 0x120,
    T2 = 0x140,
    CMP = 8,
    FSB = 16,
    ENABLE = 4,
    LEVEL = 2,
    PERIODIC = 8,
    VAL_SET = 0x40,
    BITS32 = 0x100,
    ROUTE_20 = 20 << 9,
    ROUTE_11 = 11 << 9,
};
#define MS UINT64_C(1000000)

static unsigned edges[24], messages;
static bool levels[24], legacy;
static uint64_t msi_address;

static void line(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    edges[n] += level && !levels[n];
    levels[n] = level;
}

static void set_legacy(void *ctx, bool on)
{
    (void)ctx;
    CHECK(on != legacy);
    legacy = on;
}

static void message(void *ctx, uint64_t address, uint32_t data)
{
    (void)ctx;
    CHECK_EQ(data, 0x4041);
    msi_address = address;
    messages++;
}

static const struct hpet_params full = {.legacy = set_legacy, .msi = message}, bare;

static void open_hpet(struct chip *c, const struct hpet_params *params)
{
    memset(edges, 0, sizeof edges);
    memset(levels, 0, sizeof levels);
    legacy = false;
    messages = 0;
    chip_open(c, &hpet_class, params);
    c->class->destroy(c->dev); /* once more, with wires that know their numbers */
    c->env.irq[0].set = line;
    CHECK_EQ(c->class->create(&c->env, params, &c->dev, NULL), 0);
}

static uint64_t get(struct chip *c, unsigned reg)
{
    return chip_load(c, HPET_BASE + reg, 8);
}

static void put(struct chip *c, unsigned reg, uint64_t v)
{
    chip_store(c, HPET_BASE + reg, 8, v);
}

static void put32(struct chip *c, unsigned reg, uint32_t v)
{
    chip_store(c, HPET_BASE + reg, 4, v);
}

static void identifies_itself(void)
{
    struct chip c;
    open_hpet(&c, &full);
    CHECK_EQ(get(&c, 0), (uint64_t)HPET_PERIOD_FS << 32 | HPET_ID);
    CHECK_EQ(chip_load(&c, HPET_BASE + 4, 4), HPET_PERIOD_FS);
    CHECK_EQ(get(&c, T0) & 0x8030, 0x8030);
    CHECK_EQ(get(&c, T0) >> 32, 0x00f00800);
    CHECK_EQ(get(&c, T0 + CMP), UINT64_MAX);
    CHECK_EQ(chip_load(&c, HPET_BASE, 2), 0xffff); /* too narrow */
    chip_close(&c);
    open_hpet(&c, &bare);
    CHECK_EQ(get(&c, 0) & HPET_ID_LEGACY, 0);
    put(&c, CONF, 3);
    CHECK_EQ(get(&c, CONF), 1);
    put(&c, T0, 0xffff);
    CHECK_EQ(get(&c, T0) & 0xc000, 0);
    chip_close(&c);
}

static void counter_counts(void)
{
    struct chip c;
    open_hpet(&c, &full);
    chip_advance(&c, MS);
    CHECK_EQ(get(&c, COUNTER), 0);
    put(&c, CONF, 1);
    chip_advance(&c, MS);
    CHECK_EQ(get(&c, COUNTER), 100000);
    put(&c, CONF, 0);
    chip_advance(&c, MS);
    CHECK_EQ(get(&c, COUNTER), 100000);
    put32(&c, COUNTER + 4, 7);
    put32(&c, COUNTER, 5);
    CHECK_EQ(get(&c, COUNTER), 0x700000005);
    put(&c, CONF, 1);
    chip_advance(&c, 30);
    CHECK_EQ(get(&c, COUNTER), 0x700000008);
    put(&c, COUNTER, UINT64_MAX);
    CHECK_EQ(get(&c, COUNTER), UINT64_MAX);
    chip_advance(&c, 10);
    CHECK_EQ(get(&c, COUNTER), 0);
    chip_close(&c);
}

static void one_shot(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 1);
    put(&c, T2, ENABLE | ROUTE_20);
    put(&c, T2 + CMP, 200000);
    chip_advance(&c, 2 * MS - 10);
    CHECK_EQ(edges[20], 0);
    chip_advance(&c, 10);
    CHECK_EQ(edges[20], 1);
    chip_advance(&c, 5 * MS);
    CHECK_EQ(edges[20], 1);
    put(&c, T2 + CMP, 100); /* past: comes no more */
    chip_advance(&c, 5 * MS);
    CHECK_EQ(edges[20], 1);
    put(&c, T2, ENABLE | 5 << 9); /* a line that timers do not have */
    put(&c, T2 + CMP, get(&c, COUNTER) + 10);
    chip_advance(&c, MS);
    CHECK_EQ(edges[5], 0);
    put(&c, T0, ENABLE | 5 << 9);
    put(&c, T0 + CMP, get(&c, COUNTER) + 10);
    chip_advance(&c, MS);
    CHECK_EQ(edges[5], 0);
    put(&c, T0, ENABLE | ROUTE_20); /* a one-shot timer's comparator stays */
    put(&c, T0 + CMP, 12345);
    chip_advance(&c, MS);
    CHECK_EQ(get(&c, T0 + CMP), 12345);
    put(&c, T0, ENABLE | BITS32);
    CHECK_EQ(get(&c, T0 + CMP), 12345);
    put32(&c, T1 + FSB, 1); /* halves do not touch each other */
    put32(&c, T1 + FSB + 4, 2);
    put32(&c, T1 + FSB, 3);
    CHECK_EQ(get(&c, T1 + FSB), UINT64_C(2) << 32 | 3);
    chip_close(&c);
}

static void narrow_timer_wraps(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, COUNTER, 0xffffff00);
    put(&c, CONF, 1);
    put(&c, T0, ENABLE | BITS32 | ROUTE_20);
    put(&c, T0 + CMP, 0x10);
    chip_advance(&c, 0x110 * 10 - 10);
    CHECK_EQ(edges[20], 0);
    chip_advance(&c, 10);
    CHECK_EQ(edges[20], 1);
    chip_advance(&c, (UINT64_C(10) << 32) - 10);
    CHECK_EQ(edges[20], 1);
    chip_advance(&c, 10);
    CHECK_EQ(edges[20], 2);
    chip_close(&c);
}

/* As Linux starts it: comparator and period by two writes. */
static void periodic(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 3);
    CHECK(legacy);
    put32(&c, T0, ENABLE | PERIODIC | VAL_SET | BITS32);
    put32(&c, T0 + CMP, 150000);
    put32(&c, T0 + CMP, 100000);
    for (unsigned i = 0; i < 100; i++)
        chip_advance(&c, MS / 10);
    CHECK_EQ(edges[0], 9); /* at 1.5, 2.5 ... 9.5 ms, on the PIT's line */
    CHECK_EQ(get(&c, T0 + CMP), 1050000);
    chip_stall(&c, 5 * MS); /* a late host makes up for nothing */
    CHECK_EQ(edges[0], 10);
    chip_advance(&c, MS / 2);
    CHECK_EQ(edges[0], 11);
    put(&c, CONF, 1);
    CHECK(!legacy);
    chip_close(&c);
}

static void fast_period_is_limited(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 1);
    put(&c, T0, ENABLE | PERIODIC | VAL_SET | ROUTE_11);
    put(&c, T0 + CMP, 1);
    for (unsigned i = 0; i < 10000; i++)
        chip_advance(&c, 100);
    CHECK(edges[11] >= 15 && edges[11] <= 20); /* one in 50 us of this 1 ms */
    chip_close(&c);
}

static void level_holds_until_acknowledged(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 1);
    put(&c, T1, ENABLE | LEVEL | ROUTE_20);
    put(&c, T1 + CMP, 1000);
    chip_advance(&c, MS);
    CHECK(levels[20]);
    CHECK_EQ(get(&c, STATUS), 2);
    put(&c, STATUS, 1);
    CHECK(levels[20]);
    put(&c, T1, ENABLE | LEVEL | ROUTE_11); /* rerouted while up */
    CHECK(!levels[20] && levels[11]);
    put(&c, STATUS, 2);
    CHECK(!levels[11]);
    chip_close(&c);
}

static void sends_messages(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 1);
    put(&c, T0 + FSB, UINT64_C(0xfee01000) << 32 | 0x4041);
    put(&c, T0, ENABLE | 0x4000);
    put(&c, T0 + CMP, 1000);
    chip_advance(&c, MS);
    CHECK_EQ(messages, 1);
    CHECK_EQ(msi_address, 0xfee01000);
    chip_close(&c);
}

static void stands_while_quiesced_or_off(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, T2, ENABLE | ROUTE_20);
    put(&c, T2 + CMP, 100000);
    chip_advance(&c, 5 * MS);
    CHECK_EQ(edges[20], 0); /* the counter is off */
    put(&c, CONF, 1);
    put32(&c, CONF + 4, 0); /* the other half has no switch */
    CHECK_EQ(get(&c, CONF), 1);
    chip_advance(&c, MS / 2);
    c.class->quiesce(c.dev);
    chip_advance(&c, 5 * MS);
    CHECK_EQ(edges[20], 0);
    CHECK_EQ(get(&c, COUNTER), 50000);
    c.class->resume(c.dev);
    chip_advance(&c, MS / 2);
    CHECK_EQ(edges[20], 1);
    chip_close(&c);
}

static void two_levels_at_once(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 1);
    put(&c, T0, ENABLE | LEVEL | ROUTE_20);
    put(&c, T1, ENABLE | LEVEL | ROUTE_11);
    put(&c, T0 + CMP, 1000);
    put(&c, T1 + CMP, 2000);
    chip_advance(&c, MS);
    CHECK_EQ(get(&c, STATUS), 3);
    CHECK(levels[20] && levels[11]);
    chip_close(&c);
}

static void survives_a_move(void)
{
    struct chip c;
    open_hpet(&c, &full);
    put(&c, CONF, 3);
    put(&c, T0, ENABLE | PERIODIC | VAL_SET);
    put(&c, T0 + CMP, 100000);
    put(&c, T1, ENABLE | LEVEL | ROUTE_20);
    put(&c, T1 + CMP, 1000);
    chip_advance(&c, MS / 2);
    CHECK(levels[8]);
    levels[8] = false;
    uint64_t then = get(&c, COUNTER);
    legacy = false;
    chip_replace(&c);
    CHECK(levels[8] && legacy);
    CHECK_EQ(get(&c, COUNTER), then);
    chip_advance(&c, MS / 2);
    CHECK_EQ(edges[0], 1);
    c.class->reset(c.dev);
    CHECK(!levels[8] && !legacy);
    CHECK_EQ(get(&c, COUNTER), 0);
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(identifies_itself), TAP_CASE(counter_counts), TAP_CASE(one_shot),
         TAP_CASE(narrow_timer_wraps), TAP_CASE(periodic), TAP_CASE(fast_period_is_limited),
         TAP_CASE(level_holds_until_acknowledged), TAP_CASE(sends_messages),
         TAP_CASE(stands_while_quiesced_or_off), TAP_CASE(two_levels_at_once),
         TAP_CASE(survives_a_move))
