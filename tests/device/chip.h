/* SPDX-License-Identifier: Apache-2.0 */
/* A bench for one chip set part: its regions on a real bus, two wires that count, a clock that
 * stands until the test moves it, and a machine that notes what it was asked for.
 *
 * Timers fire at the time that the part asked for, to the nanosecond, and only there: programs that
 * use this are linked with -Wl,--wrap=loop_timer_arm, so that arming one is noted here. */
#pragma once

#include <stdlib.h>

#include "tests/tap.h"
#include "vm/machine/dev.h"

struct chip {
    const struct dev_class *class;
    const void *params;
    void *dev;
    struct dev_env env;
    struct dev_layout layout;
    struct bus *bus;
    struct loop *loop;
    struct clock clock;
    uint64_t now; /* monotonic, ns */
    int64_t wall; /* UTC, ns */
    bool level[2];
    unsigned edges[2]; /* rising */
    unsigned requests[3];
    uint8_t config[256], writable[256];
    struct chip_region {
        struct chip *chip;
        unsigned number;
    } region[DEV_REGIONS_MAX];
};

/* Armed timers, of whichever chip: a test has one at a time. */
enum { CHIP_TIMERS_ = 8, CHIP_FIRINGS_MAX_ = 100000 };
static struct chip_timer_ {
    struct loop_source *source;
    uint64_t deadline; /* 0: not armed */
} chip_timers_[CHIP_TIMERS_];

int __wrap_loop_timer_arm(struct loop_source *src, uint64_t deadline_ns);
int __wrap_loop_timer_arm(struct loop_source *src, uint64_t deadline_ns)
{
    struct chip_timer_ *slot = NULL;

    for (unsigned i = 0; i < CHIP_TIMERS_; i++) {
        struct chip_timer_ *t = &chip_timers_[i];
        if (t->source == src) {
            t->deadline = deadline_ns;
            return 0;
        }
        if (!t->deadline)
            slot = t;
    }
    CHECK(slot != NULL);
    if (slot)
        *slot = (struct chip_timer_){src, deadline_ns};
    return 0;
}

static inline uint64_t chip_mono_(void *ctx)
{
    return ((struct chip *)ctx)->now;
}

static inline int64_t chip_wall_(void *ctx)
{
    return ((struct chip *)ctx)->wall;
}

static inline void chip_wire_(void *ctx, unsigned line, bool level)
{
    struct chip *c = ctx;

    c->edges[line] += level && !c->level[line];
    c->level[line] = level;
}

static inline void chip_request_(void *ctx, enum machine_request what)
{
    ((struct chip *)ctx)->requests[what]++;
}

static inline uint64_t chip_region_read_(void *ctx, uint64_t offset, unsigned size)
{
    struct chip_region *r = ctx;

    return r->chip->class->read(r->chip->dev, r->number, offset, size);
}

static inline void chip_region_write_(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct chip_region *r = ctx;

    r->chip->class->write(r->chip->dev, r->number, offset, size, value);
}

static const struct bus_ops chip_ops_ = {chip_region_read_, chip_region_write_};

static inline void chip_map_(struct chip *c)
{
    for (unsigned i = 0; i < c->layout.region_count; i++) {
        const struct dev_region *r = &c->layout.region[i];
        c->region[i] = (struct chip_region){c, i};
        const struct bus_region region = {r->name, &chip_ops_,   &c->region[i],
                                          r->size, r->min_width, r->max_width};
        if (r->space != DEV_BAR && !r->ram)
            CHECK_EQ(
                bus_map(c->bus, r->space == DEV_PIO ? BUS_PIO : BUS_MMIO, r->base, &region, NULL),
                0);
    }
}

static inline int chip_new_(struct chip *c, void **ret_dev)
{
    return c->class->create(&c->env, c->params, ret_dev, NULL);
}

static inline void chip_power_on_config_(struct chip *c)
{
    memset(c->config, 0, sizeof c->config);
    memset(c->writable, 0, sizeof c->writable);
    if (c->class->config_init)
        c->class->config_init(c->dev, c->config, c->writable);
}

/* Builds the part; `gmem` may be NULL. */
static inline void chip_open_with(struct chip *c, const struct dev_class *class, const void *params,
                                  struct gmem *gmem, int ram_fd)
{
    *c = (struct chip){.class = class, .params = params, .now = 1000000000, .wall = 1000000000};
    memset(chip_timers_, 0, sizeof chip_timers_);
    CHECK_EQ(loop_create(&c->loop), 0);
    CHECK_EQ(bus_create(&c->bus), 0);
    c->clock = (struct clock){chip_mono_, chip_wall_, c};
    c->env = (struct dev_env){.name = class->name,
                              .gmem = gmem,
                              .loop = c->loop,
                              .clock = &c->clock,
                              .irq = {{chip_wire_, c, 0}, {chip_wire_, c, 1}},
                              .ram_fd = ram_fd,
                              .request = chip_request_,
                              .request_ctx = c,
                              .bus = c->bus};
    CHECK_EQ(class->layout(params, &c->layout, NULL), 0);
    CHECK_EQ(chip_new_(c, &c->dev), 0);
    chip_map_(c);
    chip_power_on_config_(c);
}

static inline void chip_open(struct chip *c, const struct dev_class *class, const void *params)
{
    chip_open_with(c, class, params, NULL, -1);
}

static inline void chip_close(struct chip *c)
{
    c->class->destroy(c->dev);
    bus_destroy(c->bus);
    loop_destroy(c->loop);
}

static inline uint32_t chip_in(struct chip *c, uint16_t port, unsigned size)
{
    return (uint32_t)bus_read(c->bus, BUS_PIO, port, size);
}

static inline void chip_out(struct chip *c, uint16_t port, unsigned size, uint32_t v)
{
    bus_write(c->bus, BUS_PIO, port, size, v);
}

static inline uint64_t chip_load(struct chip *c, uint64_t addr, unsigned size)
{
    return bus_read(c->bus, BUS_MMIO, addr, size);
}

static inline void chip_store(struct chip *c, uint64_t addr, unsigned size, uint64_t v)
{
    bus_write(c->bus, BUS_MMIO, addr, size, v);
}

/* Lets events and timers run that are there now. */
static inline void chip_settle(struct chip *c)
{
    for (int i = 0; i < 16 && loop_run_once(c->loop, 0) > 0; i++)
        ;
}

static inline struct chip_timer_ *chip_next_timer_(void)
{
    struct chip_timer_ *next = NULL;

    for (unsigned i = 0; i < CHIP_TIMERS_; i++)
        if (chip_timers_[i].deadline && (!next || chip_timers_[i].deadline < next->deadline))
            next = &chip_timers_[i];
    return next;
}

static inline void chip_fire_(struct chip_timer_ *t)
{
    t->deadline = 0;
    t->source->ready(t->source->ctx, 0);
}

static inline void chip_pass_(struct chip *c, uint64_t ns)
{
    c->now += ns;
    c->wall += (int64_t)ns;
}

/* Time passes without the host doing anything; then what is due is due late. */
static inline void chip_stall(struct chip *c, uint64_t ns)
{
    struct chip_timer_ *t;

    chip_pass_(c, ns);
    for (int i = 0; i < CHIP_FIRINGS_MAX_ && (t = chip_next_timer_()) && t->deadline <= c->now; i++)
        chip_fire_(t);
    chip_settle(c);
}

/* Time passes, and each timer fires when it is due. */
static inline void chip_advance(struct chip *c, uint64_t ns)
{
    uint64_t end = c->now + ns;
    struct chip_timer_ *t;

    for (int i = 0; i < CHIP_FIRINGS_MAX_ && (t = chip_next_timer_()) && t->deadline <= end; i++) {
        if (t->deadline > c->now)
            chip_pass_(c, t->deadline - c->now);
        chip_fire_(t);
    }
    chip_stall(c, end - c->now);
}

/* A write to configuration space, as the shell does it. */
static inline void chip_config_write(struct chip *c, unsigned offset, unsigned size, uint32_t v)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t w = c->writable[offset + i], b = (uint8_t)(v >> (8 * i));
        c->config[offset + i] = (uint8_t)((c->config[offset + i] & ~w) | (b & w));
    }
    c->class->config_written(c->dev, c->config, offset, size);
}

/* Moves the part into a fresh instance by way of its saved state, which must come out of the fresh
 * one as it went in. The part is then the fresh one, running. */
static inline void chip_replace(struct chip *c)
{
    struct buf first CLEANUP(buf_free) = {0}, second CLEANUP(buf_free) = {0};
    struct err err = ERR_INIT;
    void *old = c->dev;

    if (c->class->quiesce)
        c->class->quiesce(old);
    state_save(c->class->state, old, &first);
    c->class->destroy(old);
    memset(chip_timers_, 0, sizeof chip_timers_);
    CHECK_EQ(chip_new_(c, &c->dev), 0);
    if (c->class->quiesce)
        c->class->quiesce(c->dev);
    CHECK_EQ(state_load(c->class->state, c->dev, first.data, first.len, NULL, &err), 0);
    CHECK_STR(err.text, "");
    state_save(c->class->state, c->dev, &second);
    CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    if (c->class->resume)
        c->class->resume(c->dev);
}
