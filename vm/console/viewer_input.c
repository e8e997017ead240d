/* SPDX-License-Identifier: Apache-2.0 */
/* What a viewer says: the handshake, then its messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "vm/backend/input.h"
#include "vm/console/keymap.h"
#include "vm/console/viewer.h"

enum { CUT_TEXT_MAX = 16 << 20 };

/* --- the handshake: RFC 6143, 7.1 to 7.3 --- */

static int end_with_reason(struct viewer *v, bool result, const char *reason)
{
    if (result)
        rfb_put_be32(&v->out, 1);
    if (!result || v->minor >= 8) {
        rfb_put_be32(&v->out, (uint32_t)strlen(reason));
        buf_put_str(&v->out, reason);
    }
    return -EACCES;
}

static int server_init(struct viewer *v)
{
    uint8_t format[RFB_PIXEL_FORMAT_LEN];

    pixel_format_put(&pixel_format_usual, format);
    v->width = v->picture->width;
    v->height = v->picture->height;
    rfb_put_be16(&v->out, (uint16_t)v->width);
    rfb_put_be16(&v->out, (uint16_t)v->height);
    buf_put(&v->out, format, sizeof format);
    rfb_put_be32(&v->out, (uint32_t)strlen(v->host->name));
    buf_put_str(&v->out, v->host->name);
    v->state = VIEWER_RUNNING;
    if (damage_resize(&v->damage, v->width, v->height) < 0)
        return -ENOMEM;
    return damage_resize(&v->shifted, v->width, v->height);
}

static int choose_security(struct viewer *v, unsigned type)
{
    if (type != (v->host->respond ? RFB_SECURITY_VNC : RFB_SECURITY_NONE))
        return end_with_reason(v, true, "no such security type");
    if (type == RFB_SECURITY_VNC) {
        buf_put(&v->out, v->challenge, sizeof v->challenge);
        v->state = VIEWER_RESPONSE;
        return 0;
    }
    if (v->minor >= 8)
        rfb_put_be32(&v->out, 0);
    v->state = VIEWER_INIT;
    return 0;
}

static int read_version(struct viewer *v, const uint8_t *m)
{
    unsigned type = v->host->respond ? RFB_SECURITY_VNC : RFB_SECURITY_NONE;

    if (memcmp(m, "RFB 003.", 8) != 0 || m[11] != '\n')
        return -EPROTO;
    for (unsigned i = 8; i < 11; i++)
        if (m[i] < '0' || m[i] > '9')
            return -EPROTO;
    unsigned minor = (m[8] - '0') * 100u + (m[9] - '0') * 10u + (m[10] - '0');
    v->minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
    v->state = VIEWER_SECURITY;
    if (v->minor == 3) { /* which has no say in it */
        rfb_put_be32(&v->out, type);
        return choose_security(v, type);
    }
    buf_put_u8(&v->out, 1);
    buf_put_u8(&v->out, (uint8_t)type);
    return 0;
}

static int read_response(struct viewer *v, const uint8_t *m)
{
    uint8_t right[RFB_CHALLENGE_LEN], differs = 0;
    int rc = v->host->respond(v->host->ctx, v->challenge, right);

    for (unsigned i = 0; i < sizeof right; i++)
        differs |= m[i] ^ right[i];
    if (rc < 0 || differs)
        return end_with_reason(v, true, "wrong password");
    rfb_put_be32(&v->out, 0);
    v->state = VIEWER_INIT;
    return 0;
}

/* --- messages --- */

static int colour_map(struct viewer *v)
{
    cleanup_buf struct buf m = {0};

    rfb_put_be16(&m, RFB_COLOUR_MAP << 8);
    rfb_put_be16(&m, 0);
    rfb_put_be16(&m, 256);
    for (unsigned i = 0; i < 256; i++) {
        rfb_put_be16(&m, (uint16_t)((i & 7) * 0xffff / 7));
        rfb_put_be16(&m, (uint16_t)((i >> 3 & 7) * 0xffff / 7));
        rfb_put_be16(&m, (uint16_t)((i >> 6) * 0xffff / 3));
    }
    return viewer_say(v, &m);
}

static int set_pixel_format(struct viewer *v, const uint8_t *m)
{
    int rc = pixel_format_get(m + 4, &v->next_format);

    if (rc < 0)
        return rc;
    v->format_changes = v->updating;
    if (!v->updating)
        encoder_set_format(v->encoder, &v->next_format);
    return v->next_format.mapped ? colour_map(v) : 0;
}

static int set_encodings(struct viewer *v, const uint8_t *m)
{
    v->encodings_left = be16_load(m + 2);
    v->encodings_seen = 0;
    v->encoding = RFB_RAW;
    v->last_rect = false;
    v->copy = v->desktop_size = v->extended_size = v->led_state = v->tell_size = false;
    return 0;
}

/* The peer's list is in its order of liking. */
static int take_encoding(struct viewer *v, int32_t encoding)
{
    cleanup_buf struct buf m = {0};
    bool best = v->encoding == RFB_RAW && v->encodings_seen < VIEWER_ENCODINGS_MAX;

    v->encodings_seen++;
    v->encodings_left--;
    if (encoding >= RFB_COMPRESS_0 && encoding <= RFB_COMPRESS_9)
        v->encoder->level = encoding - RFB_COMPRESS_0;
    switch (encoding) {
    case RFB_ZRLE:
    case RFB_TIGHT:
        if (best)
            v->encoding = (enum rfb_encoding)encoding;
        break;
    case RFB_COPY_RECT:
        v->copy = true;
        break;
    case RFB_LAST_RECT:
        v->last_rect = true;
        break;
    case RFB_DESKTOP_SIZE:
        v->desktop_size = true;
        v->tell_size |= v->width != v->picture->width || v->height != v->picture->height;
        break;
    case RFB_EXTENDED_DESKTOP_SIZE:
        v->extended_size = v->tell_size = true;
        break;
    case RFB_QEMU_EXTENDED_KEY:
        v->tell_keys = !v->extended_keys;
        v->extended_keys = true;
        break;
    case RFB_QEMU_LED_STATE:
        v->led_state = true;
        break;
    case RFB_FENCE:
        if (!v->fence) { /* says that we know it */
            rfb_put_be32(&m, (uint32_t)RFB_SERVER_FENCE << 24);
            rfb_put_be32(&m, RFB_FENCE_REQUEST);
            buf_put_u8(&m, 0);
        }
        v->fence = true;
        break;
    case RFB_CONTINUOUS:
        if (!v->continuous)
            buf_put_u8(&m, RFB_END_OF_CONTINUOUS);
        v->continuous = true;
        break;
    default:
        break;
    }
    return m.len || m.failed ? viewer_say(v, &m) : 0;
}

static int update_request(struct viewer *v, const uint8_t *m)
{
    struct rect r = {be16_load(m + 2), be16_load(m + 4), be16_load(m + 6), be16_load(m + 8)};

    if (!m[1])
        damage_rect(&v->damage, r);
    v->wanted = true;
    return 0;
}

/* With the US layout a character needs the shift keys in one way, and they may be in another: the
 * viewer has another layout, or types without pressing them. */
static void key_by_keysym(struct viewer *v, uint32_t keysym, bool down)
{
    struct keymap_key k = keymap_from_keysym(keysym);
    static const uint8_t shifts[] = {USAGE_LEFT_SHIFT, USAGE_RIGHT_SHIFT};
    bool held[2], caps = v->host->leds(v->host->ctx) & 4;

    if (!k.usage)
        return;
    for (unsigned i = 0; i < 2; i++)
        held[i] = v->down[shifts[i] / 8] & BIT(shifts[i] % 8);
    bool want = k.letter && caps ? !k.shift : k.shift;
    if (!down || !k.character || want == (held[0] || held[1])) {
        viewer_key(v, k.usage, down);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        if (want ? i == 0 : held[i])
            viewer_key(v, shifts[i], want);
    viewer_key(v, k.usage, true);
    for (unsigned i = 0; i < 2; i++)
        if (want ? i == 0 : held[i])
            viewer_key(v, shifts[i], !want);
}

static int key_event(struct viewer *v, const uint8_t *m)
{
    key_by_keysym(v, be32_load(m + 4), m[1]);
    return 0;
}

static int qemu_key_event(struct viewer *v, const uint8_t *m)
{
    uint8_t usage = keymap_from_xt(be32_load(m + 8));

    if (usage)
        viewer_key(v, usage, be16_load(m + 2));
    else
        key_by_keysym(v, be32_load(m + 4), be16_load(m + 2));
    return 0;
}

/* Bits 3 and 4 are the wheel's, up and down: a step each time they come. */
static int pointer_event(struct viewer *v, const uint8_t *m)
{
    static const uint8_t input[] = {INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT, 0, 0, 0, 0, INPUT_SIDE};
    unsigned mask = m[1], fresh = mask & ~v->buttons, buttons = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(input); i++)
        if (mask & BIT(i))
            buttons |= input[i];
    v->buttons = mask;
    v->host->pointer(v->host->ctx, be16_load(m + 2), be16_load(m + 4), buttons,
                     !!(fresh & BIT(4)) - !!(fresh & BIT(3)));
    return 0;
}

/* Its clipboard does not reach the guest. A negative length is of the extended clipboard. */
static int cut_text(struct viewer *v, const uint8_t *m)
{
    int64_t len = (int32_t)be32_load(m + 4);

    v->skip = (uint64_t)(len < 0 ? -len : len);
    return v->skip > CUT_TEXT_MAX ? -EPROTO : 0;
}

static int enable_continuous(struct viewer *v, const uint8_t *m)
{
    cleanup_buf struct buf end = {0};

    if (!v->continuous)
        return -EPROTO;
    bool was = v->continuing;
    v->continuing = m[1]; /* all of the screen, whatever part was asked for */
    if (!was || v->continuing)
        return 0;
    buf_put_u8(&end, RFB_END_OF_CONTINUOUS);
    return viewer_say(v, &end);
}

static int fence(struct viewer *v, const uint8_t *m)
{
    cleanup_buf struct buf answer = {0};
    uint32_t flags = be32_load(m + 4);

    if (!(flags & RFB_FENCE_REQUEST))
        return 0;
    rfb_put_be32(&answer, (uint32_t)RFB_SERVER_FENCE << 24);
    rfb_put_be32(&answer, flags & RFB_FENCE_KNOWN);
    buf_put(&answer, m + 8, 1u + m[8]);
    return viewer_say(v, &answer);
}

static int set_desktop_size(struct viewer *v, const uint8_t *m)
{
    v->skip = (uint64_t)m[6] * 16; /* the screens it would like */
    v->tell_size = v->size_refused = v->extended_size;
    return 0;
}

static const struct message {
    uint8_t type, len; /* of the fixed part */
    int (*take)(struct viewer *v, const uint8_t *m);
} messages[] = {
    {RFB_SET_PIXEL_FORMAT, 20, set_pixel_format},
    {RFB_SET_ENCODINGS, 4, set_encodings},
    {RFB_UPDATE_REQUEST, 10, update_request},
    {RFB_KEY, 8, key_event},
    {RFB_POINTER, 6, pointer_event},
    {RFB_CLIENT_CUT_TEXT, 8, cut_text},
    {RFB_ENABLE_CONTINUOUS, 10, enable_continuous},
    {RFB_CLIENT_FENCE, 9, fence},
    {RFB_SET_DESKTOP_SIZE, 8, set_desktop_size},
    {RFB_QEMU, 12, qemu_key_event},
};

static const struct message *message_of(const struct viewer *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(messages); i++)
        if (messages[i].type == v->message[0])
            return &messages[i];
    return NULL;
}

/* How long what has begun is, as far as is known; -EPROTO: there is no such thing. */
static int message_size(const struct viewer *v)
{
    static const uint8_t handshake[] = {[VIEWER_VERSION] = RFB_VERSION_LEN,
                                        [VIEWER_SECURITY] = 1,
                                        [VIEWER_RESPONSE] = RFB_CHALLENGE_LEN,
                                        [VIEWER_INIT] = 1};

    if (v->state != VIEWER_RUNNING)
        return handshake[v->state];
    if (v->encodings_left)
        return 4;
    const struct message *m = message_of(v);
    if (!m || (m->type == RFB_QEMU && v->message_len > 1 && v->message[1] != RFB_QEMU_KEY))
        return -EPROTO;
    if (m->type == RFB_CLIENT_FENCE && v->message_len >= m->len)
        return v->message[8] <= RFB_FENCE_MAX ? m->len + v->message[8] : -EPROTO;
    return m->len;
}

static int take_message(struct viewer *v)
{
    const uint8_t *m = v->message;

    switch (v->state) {
    case VIEWER_VERSION:
        return read_version(v, m);
    case VIEWER_SECURITY:
        return choose_security(v, m[0]);
    case VIEWER_RESPONSE:
        return read_response(v, m);
    case VIEWER_INIT:
        return server_init(v); /* shared or not: all may look */
    default:
        return v->encodings_left ? take_encoding(v, (int32_t)be32_load(m))
                                 : message_of(v)->take(v, m);
    }
}

int viewer_input(struct viewer *viewer, const uint8_t *bytes, size_t len)
{
    struct viewer *v = viewer;
    int rc = 0;

    while (len && rc == 0) {
        if (v->skip) {
            size_t n = (size_t)MIN((uint64_t)len, v->skip);
            v->skip -= n;
            bytes += n;
            len -= n;
            continue;
        }
        v->message[v->message_len++] = *bytes++;
        len--;
        int size = message_size(v);
        if (size < 0)
            return size;
        if (v->message_len < (unsigned)size)
            continue;
        rc = take_message(v);
        v->message_len = 0;
    }
    return v->out.failed && rc == 0 ? -ENOMEM : rc;
}
