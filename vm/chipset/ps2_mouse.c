/* SPDX-License-Identifier: Apache-2.0 */
/* The mouse: IBM PS/2 Hardware Interface Technical Reference (1991), "Mouse"; wheel and fourth and
 * fifth button as Microsoft's IntelliMouse and IntelliMouse Explorer have them, revealed by a
 * sequence of sample rates. Missing on purpose: sampling in time (a report leaves as soon as the
 * last one was read, and collects what moved meanwhile). */
#include <errno.h>

#include "base/range.h"
#include "vm/chipset/ps2.h"

enum {
    CMD_SCALE_11 = 0xe6,
    CMD_SCALE_21 = 0xe7,
    CMD_RESOLUTION = 0xe8,
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ = 0xeb,
    CMD_WRAP_OFF = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,

    REPLY_BAT_OK = 0xaa,
    REPLY_ACK = 0xfa,
    REPLY_ERROR = 0xfc,

    ID_WHEEL = 3,
    ID_EXPLORER = 4,
    MOVE_MAX = 0x100000, /* unreported */
    BUTTONS = 7,         /* left, right, middle: the bits of INPUT_* are those of the report */
};

static void reply(struct ps2_mouse *m, uint8_t byte)
{
    if (m->replies.len < PS2_REPLIES)
        (void)ps2_queue_put(&m->replies, &byte, 1);
}

static int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return MIN(MAX(v, low), high);
}

static int32_t sum(int32_t total, int v)
{
    return clamp(total + clamp(v, -0x8000, 0x7fff), -MOVE_MAX, MOVE_MAX);
}

/* One report of 3 or 4 bytes: what has moved, as far as it fits. */
static unsigned report(struct ps2_mouse *m, uint8_t out[4])
{
    int32_t dx = clamp(m->dx, -255, 255), dy = clamp(m->dy, -255, 255);
    int32_t dz = m->id == ID_EXPLORER ? clamp(m->wheel, -8, 7) : clamp(m->wheel, -127, 127);
    int32_t up = -dy; /* the report counts y upwards */

    m->dx -= dx;
    m->dy -= dy;
    m->wheel -= dz;
    m->reported_buttons = m->buttons;
    out[0] = (uint8_t)((m->buttons & BUTTONS) | 8 | (dx < 0 ? 0x10 : 0) | (up < 0 ? 0x20 : 0));
    out[1] = (uint8_t)dx;
    out[2] = (uint8_t)up;
    if (m->id < ID_WHEEL) {
        m->wheel = 0;
        return 3;
    }
    out[3] = m->id == ID_EXPLORER ? (uint8_t)((dz & 0xf) | (m->buttons & 0x18) << 1) : (uint8_t)dz;
    return 4;
}

static void queue_report(struct ps2_mouse *m, struct ps2_queue *q)
{
    uint8_t out[4];

    if (PS2_QUEUE_SIZE - q->len < 4)
        return;
    unsigned n = report(m, out);
    (void)ps2_queue_put(q, out, n);
}

static bool moved(const struct ps2_mouse *m)
{
    return m->dx || m->dy || m->wheel || m->buttons != m->reported_buttons;
}

/* Movement waits until the last report was read; a click never does, or it might be lost. */
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
    bool click = (buttons & 0x1f) != m->buttons;

    if (!m->reporting && !m->remote)
        return;
    m->dx = sum(m->dx, dx);
    m->dy = sum(m->dy, dy);
    m->wheel = sum(m->wheel, wheel);
    m->buttons = buttons & 0x1f;
    if (m->reporting && !m->remote && moved(m) && (click || !m->packets.len))
        queue_report(m, &m->packets);
}

static void defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scale21 = m->remote = m->wrap = m->reporting = false;
    m->dx = m->dy = m->wheel = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    *m = (struct ps2_mouse){0};
    defaults(m);
}

static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
    if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80)
        m->id = MAX(m->id, (uint8_t)ID_WHEEL);
    else if (m->id >= ID_WHEEL && m->knock[0] == 200 && m->knock[1] == 200 && rate == 80)
        m->id = ID_EXPLORER;
    m->knock[0] = m->knock[1];
    m->knock[1] = rate;
    m->rate = rate;
}

static void status(struct ps2_mouse *m)
{
    uint8_t b = m->buttons;

    reply(m,
          (uint8_t)((m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) | (m->scale21 ? 0x10 : 0) |
                    (b & 1 ? 4 : 0) | (b & 4 ? 2 : 0) | (b & 2 ? 1 : 0)));
    reply(m, m->resolution);
    reply(m, m->rate);
}

static void parameter(struct ps2_mouse *m, uint8_t byte)
{
    if (m->expects == CMD_RATE)
        set_rate(m, byte);
    else
        m->resolution = byte & 3;
    m->expects = 0;
    reply(m, REPLY_ACK);
}

static void command(struct ps2_mouse *m, uint8_t byte)
{
    reply(m, REPLY_ACK);
    switch (byte) {
    case CMD_SCALE_11:
    case CMD_SCALE_21:
        m->scale21 = byte == CMD_SCALE_21;
        break;
    case CMD_RESOLUTION:
    case CMD_RATE:
        m->expects = byte;
        break;
    case CMD_STATUS:
        status(m);
        break;
    case CMD_STREAM:
    case CMD_REMOTE:
        m->remote = byte == CMD_REMOTE;
        break;
    case CMD_READ:
        queue_report(m, &m->replies);
        break;
    case CMD_WRAP:
    case CMD_WRAP_OFF:
        m->wrap = byte == CMD_WRAP;
        break;
    case CMD_ID:
        reply(m, m->id);
        break;
    case CMD_ENABLE:
    case CMD_DISABLE:
        m->reporting = byte == CMD_ENABLE;
        break;
    case CMD_DEFAULTS:
        defaults(m);
        break;
    case CMD_RESET:
        ps2_mouse_reset(m);
        reply(m, REPLY_ACK);
        reply(m, REPLY_BAT_OK);
        reply(m, 0);
        break;
    default:
        m->replies.len--; /* the acknowledgement */
        reply(m, REPLY_ERROR);
        break;
    }
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
    ps2_queue_clear(&m->packets); /* a command cuts off what is being reported */
    if (m->wrap && byte != CMD_WRAP_OFF && byte != CMD_RESET)
        reply(m, byte);
    else if (m->expects)
        parameter(m, byte);
    else if (byte == CMD_RESEND)
        reply(m, m->last);
    else {
        ps2_queue_clear(&m->replies); /* nobody waits for an old one any more */
        command(m, byte);
    }
}

bool ps2_mouse_has(const struct ps2_mouse *m)
{
    return m->replies.len || m->packets.len;
}

uint8_t ps2_mouse_take(struct ps2_mouse *m)
{
    m->last = ps2_queue_take(m->replies.len ? &m->replies : &m->packets);
    if (m->reporting && !m->remote && !m->packets.len && moved(m))
        queue_report(m, &m->packets);
    return m->last;
}

static int post_load(void *object, struct err *err)
{
    struct ps2_mouse *m = object;
    const int32_t moves[] = {m->dx, m->dy, m->wheel};

    for (unsigned i = 0; i < ARRAY_SIZE(moves); i++)
        if (moves[i] > MOVE_MAX || moves[i] < -MOVE_MAX)
            return err_set(err, -EINVAL, "ps2-mouse: movement out of range");
    int rc = ps2_queue_state.post_load(&m->replies, err);
    return rc < 0 ? rc : ps2_queue_state.post_load(&m->packets, err);
}

static const struct state_field fields[] = {
    STATE_SUB(struct ps2_mouse, replies, &ps2_queue_state, 1),
    STATE_SUB(struct ps2_mouse, packets, &ps2_queue_state, 1),
    STATE_FIELD(struct ps2_mouse, dx, STATE_U32),
    STATE_FIELD(struct ps2_mouse, dy, STATE_U32),
    STATE_FIELD(struct ps2_mouse, wheel, STATE_U32),
    STATE_FIELD(struct ps2_mouse, buttons, STATE_U8),
    STATE_FIELD(struct ps2_mouse, reported_buttons, STATE_U8),
    STATE_FIELD(struct ps2_mouse, id, STATE_U8),
    STATE_FIELD(struct ps2_mouse, rate, STATE_U8),
    STATE_FIELD(struct ps2_mouse, resolution, STATE_U8),
    STATE_FIELD(struct ps2_mouse, expects, STATE_U8),
    STATE_FIELD(struct ps2_mouse, last, STATE_U8),
    STATE_FIELD(struct ps2_mouse, knock, STATE_U8),
    STATE_FIELD(struct ps2_mouse, scale21, STATE_BOOL),
    STATE_FIELD(struct ps2_mouse, remote, STATE_BOOL),
    STATE_FIELD(struct ps2_mouse, wrap, STATE_BOOL),
    STATE_FIELD(struct ps2_mouse, reporting, STATE_BOOL),
};

const struct state_table ps2_mouse_state = {
    .name = "ps2-mouse",
    .version = 1,
    .size = sizeof(struct ps2_mouse),
    .fields = fields,
    .field_count = ARRAY_SIZE(fields),
    .post_load = post_load,
};
