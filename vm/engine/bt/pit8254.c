/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/pit8254.h"

#include "base/range.h"

enum { PORT_CONTROL = 0x43, PORT_SYSTEM = 0x61, SPEAKER_CHANNEL = 2 };
enum { SYSTEM_GATE = 1, SYSTEM_SPEAKER = 2, SYSTEM_REFRESH = 16, SYSTEM_OUT = 32 };
enum { REFRESH_NS = 15085 }; /* half a period */

/* Control word: channel, access, mode, BCD. With channel 3: read-back. */
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_WORD };
enum { BACK_NO_COUNT = 0x20, BACK_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

/* What the next byte of a count is. A latched count says so in count_latched: 0 is none. */
enum { BYTE_LOW = 1, BYTE_HIGH, BYTE_FIRST, BYTE_SECOND };

#define HZ       UINT64_C(1193182)
#define NS_PER_S UINT64_C(1000000000)
#define MIN_NS   UINT64_C(100000)
#define LONG_AGO (NS_PER_S * 3600) /* a one-shot that has not been triggered */

static uint64_t scale(uint64_t value, uint64_t multiplier, uint64_t divisor)
{
    return (uint64_t)((unsigned __int128)value * multiplier / divisor);
}

static uint64_t ticks_of(uint64_t ns)
{
    return scale(ns, HZ, NS_PER_S);
}

/* The first nanosecond at which that many ticks are over. */
static uint64_t ns_of(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + HZ - 1) / HZ);
}

static bool triggered(unsigned mode) /* by the gate's rising edge; otherwise the gate holds */
{
    return mode == 1 || mode == 5;
}

static bool periodic(unsigned mode)
{
    return mode == 2 || mode == 3;
}

static bool held(const struct bt_pit_channel *c)
{
    return !c->state.gate && !triggered(c->state.mode);
}

static uint64_t elapsed_ns(const struct bt_pit *pit, const struct bt_pit_channel *c)
{
    uint64_t now = bt_timers_now(pit->timers);

    if (held(c))
        return c->held;
    return now > c->loaded ? now - c->loaded : 0;
}

static unsigned from_bcd(unsigned v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

static unsigned to_bcd(unsigned v)
{
    return v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | (v / 1000 % 10) << 12;
}

/* The counting element, as a read gives it. */
static uint16_t counter(const struct bt_pit *pit, const struct bt_pit_channel *c)
{
    uint64_t ticks = ticks_of(elapsed_ns(pit, c)), count = c->state.count;
    uint64_t modulus = c->state.bcd ? 10000 : 0x10000, value;

    if (c->state.mode == 3) /* counts down by two */
        value = count - 2 * ticks % count;
    else if (c->state.mode == 2)
        value = count - ticks % count;
    else
        value = (count + modulus - ticks % modulus) % modulus;
    return (uint16_t)(c->state.bcd ? to_bcd((unsigned)(value % modulus)) : value);
}

static bool output(const struct bt_pit *pit, const struct bt_pit_channel *c)
{
    uint64_t ticks = ticks_of(elapsed_ns(pit, c)), count = c->state.count;

    if (c->null_count)
        return c->state.mode != 0;
    if (held(c) && periodic(c->state.mode))
        return true;
    switch (c->state.mode) {
    case 0:
    case 1:
        return ticks >= count;
    case 2:
        return ticks % count != count - 1;
    case 3:
        return ticks % count < (count + 1) / 2;
    case 4:
    case 5:
        return ticks != count;
    default:
        return false;
    }
}

/* Arms the timer for channel 0's next rising edge behind `after` ticks. */
static void plan(struct bt_pit *pit, uint64_t after)
{
    const struct bt_pit_channel *c = &pit->channel[0];
    uint64_t now = bt_timers_now(pit->timers), count = c->state.count, edge, at;

    bt_timer_disarm(pit->timers, &pit->timer);
    if (pit->disabled || c->null_count || triggered(c->state.mode) || c->state.mode > 5)
        return;
    edge = periodic(c->state.mode) ? (after / count + 1) * count : count;
    if (edge <= after)
        return;
    at = c->loaded + ns_of(edge);
    if (periodic(c->state.mode) && ns_of(count) < MIN_NS)
        at = MAX(at, now + MIN_NS);
    bt_timer_arm(pit->timers, &pit->timer, at);
}

static void replan(struct bt_pit *pit)
{
    plan(pit, ticks_of(elapsed_ns(pit, &pit->channel[0])));
}

static void on_edge(void *ctx)
{
    struct bt_pit *pit = ctx;

    replan(pit);
    pit->pulse(pit->ctx);
}

static void load(struct bt_pit *pit, struct bt_pit_channel *c, unsigned value)
{
    uint64_t now = bt_timers_now(pit->timers);

    if (c->state.bcd)
        c->state.count = value ? from_bcd(value) : 10000;
    else
        c->state.count = value ? value : 0x10000;
    if (!c->state.count) /* digits above 9 may add up to anything but 0 */
        c->state.count = 10000;
    c->null_count = false;
    c->held = 0;
    c->loaded = triggered(c->state.mode) ? now - MIN(now, LONG_AGO) : now;
    if (c == pit->channel)
        plan(pit, 0);
}

static void write_count(struct bt_pit *pit, struct bt_pit_channel *c, uint8_t value)
{
    switch (c->state.write_state) {
    case BYTE_HIGH:
        load(pit, c, (unsigned)value << 8);
        break;
    case BYTE_FIRST:
        c->state.write_latch = value;
        c->state.write_state = BYTE_SECOND;
        break;
    case BYTE_SECOND:
        c->state.write_state = BYTE_FIRST;
        load(pit, c, c->state.write_latch | (unsigned)value << 8);
        break;
    default:
        load(pit, c, value);
    }
}

static void latch_count(const struct bt_pit *pit, struct bt_pit_channel *c)
{
    if (c->state.count_latched)
        return;
    c->state.latched_count = counter(pit, c);
    c->state.count_latched = c->state.rw_mode;
}

static void latch_status(const struct bt_pit *pit, struct bt_pit_channel *c)
{
    if (c->state.status_latched)
        return;
    c->state.status =
        (uint8_t)((output(pit, c) ? STATUS_OUT : 0) | (c->null_count ? STATUS_NULL : 0) |
                  c->state.rw_mode << 4 | (c->state.mode & 7) << 1 | (c->state.bcd & 1));
    c->state.status_latched = 1;
}

static void read_back(struct bt_pit *pit, uint8_t value)
{
    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & BACK_NO_COUNT))
            latch_count(pit, &pit->channel[i]);
        if (!(value & BACK_NO_STATUS))
            latch_status(pit, &pit->channel[i]);
    }
}

static void write_control(struct bt_pit *pit, uint8_t value)
{
    unsigned access = value >> 4 & 3, mode = value >> 1 & 7;
    struct bt_pit_channel *c;

    if (value >> 6 == 3) {
        read_back(pit, value);
        return;
    }
    c = &pit->channel[value >> 6];
    if (access == ACCESS_LATCH) {
        latch_count(pit, c);
        return;
    }
    c->held = elapsed_ns(pit, c);
    c->state.rw_mode = c->state.read_state = c->state.write_state = (uint8_t)access;
    c->state.count_latched = c->state.status_latched = 0;
    c->state.mode = (uint8_t)(mode > 5 ? mode - 4 : mode);
    c->state.bcd = value & 1;
    c->null_count = true;
    if (c == pit->channel)
        plan(pit, 0);
}

static uint8_t read_latched(struct bt_pit_channel *c)
{
    bool high = c->state.count_latched == BYTE_HIGH;

    c->state.count_latched = c->state.count_latched == BYTE_FIRST ? BYTE_HIGH : 0;
    return (uint8_t)(c->state.latched_count >> (high ? 8 : 0));
}

static uint8_t read_count(const struct bt_pit *pit, struct bt_pit_channel *c)
{
    unsigned state = c->state.read_state;

    if (c->state.status_latched) {
        c->state.status_latched = 0;
        return c->state.status;
    }
    if (c->state.count_latched)
        return read_latched(c);
    if (state >= BYTE_FIRST)
        c->state.read_state = (uint8_t)(BYTE_FIRST + BYTE_SECOND - state);
    return (uint8_t)(counter(pit, c) >> (state == BYTE_HIGH || state == BYTE_SECOND ? 8 : 0));
}

/* The rising edge starts over what it triggers (modes 1, 5) or reloads (2, 3), and lets go on what
 * it held (0, 4). */
static void set_gate(struct bt_pit *pit, struct bt_pit_channel *c, bool gate)
{
    uint64_t now = bt_timers_now(pit->timers), elapsed = elapsed_ns(pit, c);
    bool rises = gate && !c->state.gate;

    if (gate == !!c->state.gate)
        return;
    c->state.gate = gate;
    c->held = elapsed;
    if (rises && (triggered(c->state.mode) || periodic(c->state.mode)))
        c->loaded = now;
    else if (rises)
        c->loaded = now - MIN(now, elapsed);
}

static uint8_t read_system(const struct bt_pit *pit)
{
    const struct bt_pit_channel *c = &pit->channel[SPEAKER_CHANNEL];
    bool refresh = bt_timers_now(pit->timers) / REFRESH_NS & 1;

    return (uint8_t)((c->state.gate ? SYSTEM_GATE : 0) | pit->speaker |
                     (refresh ? SYSTEM_REFRESH : 0) | (output(pit, c) ? SYSTEM_OUT : 0));
}

uint8_t bt_pit_read(struct bt_pit *pit, unsigned port)
{
    if (port == PORT_SYSTEM)
        return read_system(pit);
    if (port == PORT_CONTROL)
        return 0; /* write only */
    return read_count(pit, &pit->channel[port & 3]);
}

void bt_pit_write(struct bt_pit *pit, unsigned port, uint8_t value)
{
    if (port == PORT_SYSTEM) {
        pit->speaker = value & SYSTEM_SPEAKER;
        set_gate(pit, &pit->channel[SPEAKER_CHANNEL], value & SYSTEM_GATE);
    } else if (port == PORT_CONTROL) {
        write_control(pit, value);
    } else {
        write_count(pit, &pit->channel[port & 3], value);
    }
}

void bt_pit_disable(struct bt_pit *pit, bool on)
{
    pit->disabled = on;
    replan(pit);
}

void bt_pit_init(struct bt_pit *pit, struct bt_timers *timers, void (*pulse)(void *ctx), void *ctx)
{
    *pit = (struct bt_pit){.timers = timers, .pulse = pulse, .ctx = ctx};
    pit->timer = (struct bt_timer){.fire = on_edge, .ctx = pit};
    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++)
        pit->channel[i] = (struct bt_pit_channel){
            .loaded = bt_timers_now(timers),
            .state = {.count = 0x10000, .mode = PIT_MODE_NONE, .gate = i != SPEAKER_CHANNEL}};
}

void bt_pit_get_state(const struct bt_pit *pit,
                      struct pit_channel_state ret_state[IRQCHIP_PIT_CHANNELS])
{
    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        ret_state[i] = pit->channel[i].state;
        ret_state[i].loaded_ago_ns = elapsed_ns(pit, &pit->channel[i]);
    }
}

static void check_state(struct pit_channel_state *s)
{
    if (!s->count || s->count > 0x10000)
        s->count = 0x10000;
    if (s->mode > 5)
        s->mode = PIT_MODE_NONE;
    s->bcd = !!s->bcd;
    s->gate = !!s->gate;
    s->rw_mode &= ACCESS_WORD;
    if (s->read_state > BYTE_SECOND)
        s->read_state = 0;
    if (s->write_state > BYTE_SECOND)
        s->write_state = 0;
    if (s->count_latched > BYTE_FIRST)
        s->count_latched = 0;
}

void bt_pit_set_state(struct bt_pit *pit,
                      const struct pit_channel_state state[IRQCHIP_PIT_CHANNELS], bool disabled)
{
    uint64_t now = bt_timers_now(pit->timers);

    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        struct bt_pit_channel *c = &pit->channel[i];
        *c = (struct bt_pit_channel){.state = state[i]};
        check_state(&c->state);
        c->held = MIN(state[i].loaded_ago_ns, now);
        c->loaded = now - c->held;
        c->state.loaded_ago_ns = 0;
    }
    pit->disabled = disabled;
    replan(pit);
}
