/* SPDX-License-Identifier: Apache-2.0 */
/* IA-PC HPET specification 1.0a, section 2.3. On purpose: no more than one interrupt of a timer in
 * MIN_NS; periods that a late host missed are not made up. */
#include "vm/chipset/hpet.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"

enum {
    REG_CAP = 0x000,
    REG_CONF = 0x010,
    REG_STATUS = 0x020,
    REG_COUNTER = 0x0f0,
    REG_TIMER0 = 0x100, /* 0x20 bytes each: */
    TIMER_STRIDE = 0x20,
    TIMER_CONF = 0x00,
    TIMER_COMPARATOR = 0x08,
    TIMER_FSB = 0x10,

    CONF_ENABLE = 0x1,
    CONF_LEGACY = 0x2,

    T_LEVEL = 0x0002,
    T_ENABLE = 0x0004,
    T_PERIODIC = 0x0008,
    T_PERIODIC_CAP = 0x0010,
    T_SIZE_CAP = 0x0020,
    T_VAL_SET = 0x0040,
    T_32BIT = 0x0100,
    T_ROUTE = 0x3e00,
    T_ROUTE_SHIFT = 9,
    T_FSB = 0x4000,
    T_FSB_CAP = 0x8000,
    T_WRITABLE = T_LEVEL | T_ENABLE | T_PERIODIC | T_VAL_SET | T_32BIT | T_ROUTE | T_FSB,

    ROUTES = 0x00f00800, /* lines that a timer may have */
    LINE_PIT = 0,
    LINE_RTC = 8,
    NO_LINE = -1,

    NS_PER_TICK = HPET_PERIOD_FS / 1000000,
};
#define MIN_NS UINT64_C(50000)
#define NEVER  UINT64_MAX

struct hpet_timer {
    uint64_t comparator; /* the next match; periodic ones move on */
    uint64_t period;     /* ticks; 0: none was set */
    uint64_t fsb;        /* value, address << 32 */
    uint32_t conf;
};

struct hpet {
    struct dev_env env;
    struct hpet_params params;
    struct loop_source alarm;
    pthread_mutex_t lock;      /* all below */
    uint64_t deadline;         /* of the alarm, ns; 0: not armed */
    uint64_t due[HPET_TIMERS]; /* each timer's next match, ns, or NEVER */
    uint64_t epoch;            /* ns at which the counter was `counter`, while it runs */
    int held[HPET_TIMERS];     /* the line that a timer holds up, or NO_LINE */
    bool stopped;

    uint64_t counter;
    uint8_t conf, status;
    struct hpet_timer timer[HPET_TIMERS];
};

static uint64_t now_ns(const struct hpet *h)
{
    return clock_monotonic(dev_clock(&h->env));
}

static bool running(const struct hpet *h)
{
    return (h->conf & CONF_ENABLE) && !h->stopped;
}

static uint64_t counter_at(const struct hpet *h, uint64_t ns)
{
    return h->counter + (running(h) ? (ns - h->epoch) / NS_PER_TICK : 0);
}

/* From now on the counter counts from `count`. */
static void set_counter(struct hpet *h, uint64_t ns, uint64_t count)
{
    h->counter = count;
    h->epoch = ns;
}

static uint64_t mask_of(const struct hpet_timer *t)
{
    return t->conf & T_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* Interrupts. */

static unsigned line_of(const struct hpet *h, unsigned n)
{
    if ((h->conf & CONF_LEGACY) && n < 2)
        return n ? LINE_RTC : LINE_PIT;
    return (h->timer[n].conf & T_ROUTE) >> T_ROUTE_SHIFT;
}

static void set_line(struct hpet *h, unsigned line, bool level)
{
    struct irq wire = h->env.irq[0];

    wire.line = line;
    irq_set(&wire, level);
}

static bool routed(const struct hpet *h, unsigned n)
{
    return ((h->conf & CONF_LEGACY) && n < 2) || (ROUTES & BIT(line_of(h, n)));
}

/* Level-triggered timers hold their line while their status bit is set. */
static void update_levels(struct hpet *h)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        const unsigned both = T_LEVEL | T_ENABLE;
        bool level = (h->status & BIT(n)) && (h->timer[n].conf & both) == both && routed(h, n);
        int line = level ? (int)line_of(h, n) : NO_LINE;
        if (line == h->held[n])
            continue;
        if (h->held[n] != NO_LINE)
            set_line(h, (unsigned)h->held[n], false);
        if (line != NO_LINE)
            set_line(h, (unsigned)line, true);
        h->held[n] = line;
    }
}

static void fire(struct hpet *h, unsigned n)
{
    struct hpet_timer *t = &h->timer[n];

    if ((t->conf & T_FSB) && h->params.msi) {
        h->params.msi(h->params.ctx, t->fsb >> 32, (uint32_t)t->fsb);
    } else if (t->conf & T_LEVEL) {
        h->status |= (uint8_t)BIT(n);
        update_levels(h);
    } else if (routed(h, n)) {
        set_line(h, line_of(h, n), true);
        set_line(h, line_of(h, n), false);
    }
}

/* Time. */

/* Moves a periodic comparator on, past `count`. */
static void advance(struct hpet_timer *t, uint64_t count)
{
    uint64_t mask = mask_of(t), period = t->period & mask;

    if (!(t->conf & T_PERIODIC) || !period)
        return;
    /* The signed difference tells a match that has been from one that will be. */
    uint64_t behind = (count - t->comparator) & mask;
    if (behind <= mask / 2)
        t->comparator = (t->comparator + (behind / period + 1) * period) & mask;
}

/* Works out the timer's next match; `fired`: the one now has been seen to. In 64 bits a comparator
 * in the past does not come again. */
static void plan(struct hpet *h, unsigned n, bool fired)
{
    struct hpet_timer *t = &h->timer[n];
    uint64_t ns = now_ns(h), count = counter_at(h, ns);

    h->due[n] = NEVER;
    if (!running(h) || !(t->conf & T_ENABLE))
        return;
    if (fired)
        advance(t, count);
    uint64_t ticks = (t->comparator - count) & mask_of(t);
    if (!ticks && fired)
        ticks = mask_of(t) == UINT32_MAX ? (uint64_t)UINT32_MAX + 1 : UINT64_MAX;
    if (ticks > INT64_MAX / NS_PER_TICK / 2)
        return;
    /* From where in its tick the counter is. */
    uint64_t at = ns + ticks * NS_PER_TICK - (ticks ? (ns - h->epoch) % NS_PER_TICK : 0);
    h->due[n] = fired ? MAX(at, ns + MIN_NS) : at;
}

static void arm(struct hpet *h)
{
    uint64_t at = MIN(h->due[0], h->due[1]);

    at = MIN(at, h->due[2]);
    if (at == NEVER)
        at = 0;
    if (at != h->deadline)
        (void)loop_timer_arm(&h->alarm, at);
    h->deadline = at;
}

static void expire(struct hpet *h)
{
    uint64_t ns = now_ns(h);

    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        if (h->due[n] > ns || h->stopped)
            continue;
        fire(h, n);
        plan(h, n, true);
    }
}

static void plan_all(struct hpet *h)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        plan(h, n, false);
}

static void on_alarm(void *ctx, uint32_t events)
{
    struct hpet *h = ctx;

    (void)events;
    LOCK_SCOPE(&h->lock);
    h->deadline = 0; /* it is not armed any more */
    expire(h);
    arm(h);
}

/* Registers, by aligned 64-bit word. */

static uint64_t timer_read(struct hpet *h, unsigned n, unsigned reg)
{
    struct hpet_timer *t = &h->timer[n];

    switch (reg) {
    case TIMER_CONF:
        return t->conf | T_PERIODIC_CAP | T_SIZE_CAP | (h->params.msi ? T_FSB_CAP : 0) |
               (uint64_t)ROUTES << 32;
    case TIMER_COMPARATOR:
        if (running(h))
            advance(t, counter_at(h, now_ns(h)));
        return t->comparator;
    case TIMER_FSB:
        return t->fsb;
    default:
        return 0;
    }
}

static uint64_t word_read(struct hpet *h, unsigned word)
{
    switch (word) {
    case REG_CAP:
        return (uint64_t)HPET_PERIOD_FS << 32 |
               (h->params.legacy ? HPET_ID : HPET_ID & ~(uint32_t)HPET_ID_LEGACY);
    case REG_CONF:
        return h->conf;
    case REG_STATUS:
        return h->status;
    case REG_COUNTER:
        return counter_at(h, now_ns(h));
    default:
        if (word >= REG_TIMER0 && word < REG_TIMER0 + HPET_TIMERS * TIMER_STRIDE)
            return timer_read(h, (word - REG_TIMER0) / TIMER_STRIDE, word % TIMER_STRIDE);
        return 0;
    }
}

static void conf_write(struct hpet *h, uint8_t v)
{
    uint64_t ns = now_ns(h);

    v &= CONF_ENABLE | (h->params.legacy ? CONF_LEGACY : 0);
    set_counter(h, ns, counter_at(h, ns));
    if ((v ^ h->conf) & CONF_LEGACY)
        h->params.legacy(h->params.ctx, v & CONF_LEGACY);
    h->conf = v;
    plan_all(h);
}

/* With VAL_SET a periodic timer's write sets the comparator too, otherwise only the period
 * (2.3.9.2.2). */
static void comparator_write(struct hpet_timer *t, uint64_t value, uint64_t mask)
{
    if (!(t->conf & T_PERIODIC) || (t->conf & T_VAL_SET))
        t->comparator = ((t->comparator & ~mask) | (value & mask)) & mask_of(t);
    if (t->conf & T_PERIODIC)
        t->period = ((t->period & ~mask) | (value & mask)) & mask_of(t);
    t->conf &= ~(uint32_t)T_VAL_SET;
}

static void timer_write(struct hpet *h, unsigned n, unsigned reg, uint64_t value, uint64_t mask)
{
    struct hpet_timer *t = &h->timer[n];

    switch (reg) {
    case TIMER_CONF:
        mask &= T_WRITABLE & ~(h->params.msi ? 0u : (uint32_t)T_FSB);
        t->conf = (uint32_t)((t->conf & ~mask) | (value & mask));
        t->comparator &= mask_of(t);
        break;
    case TIMER_COMPARATOR:
        comparator_write(t, value, mask);
        break;
    case TIMER_FSB:
        t->fsb = (t->fsb & ~mask) | (value & mask);
        return;
    default:
        return;
    }
    plan(h, n, false);
}

static void word_write(struct hpet *h, unsigned word, uint64_t value, uint64_t mask)
{
    switch (word) {
    case REG_CONF:
        if (mask & 0xff)
            conf_write(h, (uint8_t)value);
        break;
    case REG_STATUS:
        h->status &= (uint8_t) ~(value & mask);
        break;
    case REG_COUNTER:
        set_counter(h, now_ns(h), (counter_at(h, now_ns(h)) & ~mask) | (value & mask));
        plan_all(h);
        break;
    default:
        if (word >= REG_TIMER0 && word < REG_TIMER0 + HPET_TIMERS * TIMER_STRIDE)
            timer_write(h, (word - REG_TIMER0) / TIMER_STRIDE, word % TIMER_STRIDE, value, mask);
        break;
    }
}

static uint64_t hpet_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct hpet *h = dev;

    (void)region;
    LOCK_SCOPE(&h->lock);
    uint64_t v = word_read(h, (unsigned)offset & ~7u) >> (offset % 8 * 8);
    return size == 8 ? v : v & UINT32_MAX;
}

static void hpet_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct hpet *h = dev;
    unsigned shift = (unsigned)(offset % 8) * 8;
    uint64_t mask = (size == 8 ? UINT64_MAX : UINT32_MAX) << shift;

    (void)region;
    LOCK_SCOPE(&h->lock);
    expire(h);
    word_write(h, (unsigned)offset & ~7u, value << shift, mask);
    update_levels(h);
    arm(h);
}

/* Life. */

static void hpet_reset(void *dev)
{
    struct hpet *h = dev;

    LOCK_SCOPE(&h->lock);
    h->status = 0;
    update_levels(h);
    if (h->conf & CONF_LEGACY)
        h->params.legacy(h->params.ctx, false);
    h->conf = 0;
    h->counter = 0;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->timer[n] = (struct hpet_timer){.comparator = UINT64_MAX};
    plan_all(h);
    arm(h);
}

static void hpet_quiesce(void *dev)
{
    struct hpet *h = dev;

    LOCK_SCOPE(&h->lock);
    set_counter(h, now_ns(h), counter_at(h, now_ns(h)));
    h->stopped = true;
    plan_all(h);
    arm(h);
}

static void hpet_resume(void *dev)
{
    struct hpet *h = dev;

    LOCK_SCOPE(&h->lock);
    h->stopped = false;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->held[n] = NO_LINE;
    if (h->conf & CONF_LEGACY)
        h->params.legacy(h->params.ctx, true);
    set_counter(h, now_ns(h), h->counter);
    plan_all(h);
    update_levels(h);
    arm(h);
}

static int hpet_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "hpet",
                    .space = DEV_MMIO,
                    .base = HPET_BASE,
                    .size = HPET_SIZE,
                    .min_width = 4,
                    .max_width = 8}},
        .region_count = 1,
        .isa_irq = {LINE_RTC}, /* any: the device chooses the line itself */
    };
    return 0;
}

static void hpet_destroy(void *dev)
{
    struct hpet *h = dev;

    if (!h)
        return;
    loop_del(&h->alarm);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

static int hpet_create(const struct dev_env *env, const void *params, void **ret_dev,
                       struct err *err)
{
    struct hpet *h = calloc(1, sizeof *h);

    if (!h)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    h->env = *env;
    h->params = *(const struct hpet_params *)params;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->held[n] = NO_LINE;
    (void)pthread_mutex_init(&h->lock, NULL);
    int rc = loop_add_timer(env->loop, &h->alarm, on_alarm, h);
    if (rc < 0) {
        hpet_destroy(h);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    hpet_reset(h);
    *ret_dev = h;
    return 0;
}

static int hpet_post_load(void *object, struct err *err)
{
    struct hpet *h = object;

    if ((h->conf & CONF_LEGACY) && !h->params.legacy)
        return err_set(err, -EINVAL, "hpet: legacy replacement is not offered here");
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (h->timer[n].conf & ~(uint32_t)T_WRITABLE)
            return err_set(err, -EINVAL, "hpet: timer %u has unknown settings", n);
    return 0;
}

static const struct state_field timer_fields[] = {
    STATE_FIELD(struct hpet_timer, comparator, STATE_U64),
    STATE_FIELD(struct hpet_timer, period, STATE_U64),
    STATE_FIELD(struct hpet_timer, fsb, STATE_U64),
    STATE_FIELD(struct hpet_timer, conf, STATE_U32),
};

static const struct state_table timer_state = {
    .name = "hpet-timer",
    .version = 1,
    .size = sizeof(struct hpet_timer),
    .fields = timer_fields,
    .field_count = ARRAY_SIZE(timer_fields),
};

static const struct state_field hpet_fields[] = {
    STATE_FIELD(struct hpet, counter, STATE_U64),
    STATE_FIELD(struct hpet, conf, STATE_U8),
    STATE_FIELD(struct hpet, status, STATE_U8),
    STATE_SUB(struct hpet, timer, &timer_state, HPET_TIMERS),
};

static const struct state_table hpet_state = {
    .name = "hpet",
    .version = 1,
    .size = sizeof(struct hpet),
    .fields = hpet_fields,
    .field_count = ARRAY_SIZE(hpet_fields),
    .post_load = hpet_post_load,
};

const struct dev_class hpet_class = {
    .name = "hpet",
    .place = DEV_IN_VMM,
    .layout = hpet_layout,
    .create = hpet_create,
    .destroy = hpet_destroy,
    .reset = hpet_reset,
    .quiesce = hpet_quiesce,
    .resume = hpet_resume,
    .read = hpet_read,
    .write = hpet_write,
    .state = &hpet_state,
};
