/* SPDX-License-Identifier: Apache-2.0 */
/* What a viewer is shown: which rectangles make up an update, and when. */
#include "vm/console/viewer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

enum { LATER_MAX = 4096, LEDS_UNKNOWN = ~0u };

static const char version[] = "RFB 003.008\n";

int viewer_create(const struct viewer_host *host, const struct picture *picture,
                  const uint8_t *challenge, struct viewer **ret_viewer)
{
    struct viewer *v = calloc(1, sizeof *v);

    if (!v || encoder_create(&v->encoder) < 0) {
        viewer_destroy(v);
        return -ENOMEM;
    }
    v->host = host;
    v->picture = picture;
    v->leds = LEDS_UNKNOWN;
    if (challenge)
        memcpy(v->challenge, challenge, sizeof v->challenge);
    buf_put(&v->out, version, RFB_VERSION_LEN);
    *ret_viewer = v;
    return 0;
}

void viewer_destroy(struct viewer *viewer)
{
    if (!viewer)
        return;
    for (unsigned usage = 0; usage < 256 && viewer->host; usage++)
        if (viewer->down[usage / 8] & BIT(usage % 8))
            viewer_key(viewer, (uint8_t)usage, false);
    encoder_destroy(viewer->encoder);
    damage_free(&viewer->damage);
    damage_free(&viewer->shifted);
    buf_free(&viewer->out);
    buf_free(&viewer->later);
    free(viewer->rects);
    free(viewer);
}

void viewer_key(struct viewer *viewer, uint8_t usage, bool down)
{
    if (down)
        viewer->down[usage / 8] |= (uint8_t)BIT(usage % 8);
    else
        viewer->down[usage / 8] &= (uint8_t)~BIT(usage % 8);
    viewer->host->key(viewer->host->ctx, usage, down);
}

int viewer_say(struct viewer *viewer, const struct buf *message)
{
    struct buf *to = viewer->updating ? &viewer->later : &viewer->out;

    if (viewer->updating && viewer->later.len + message->len > LATER_MAX)
        return -ENOBUFS; /* asks and asks, and does not read */
    buf_put(to, message->data, message->len);
    return message->failed || to->failed ? -ENOMEM : 0;
}

/* --- what has changed --- */

/* Damage of the lines that move goes along with them. */
static void shift_damage(struct viewer *v, const struct picture_scroll *s)
{
    struct damage *d = &v->damage, *to = &v->shifted;
    uint32_t first = s->y / DAMAGE_TILE, end = (s->y + s->height - 1) / DAMAGE_TILE;

    memcpy(to->bits, d->bits, (size_t)d->words * d->rows * sizeof *d->bits);
    for (uint32_t row = first; row <= end; row++) {
        int64_t top = (int64_t)row * DAMAGE_TILE - s->y + s->from;
        for (int64_t from = top / DAMAGE_TILE; from <= (top + DAMAGE_TILE - 1) / DAMAGE_TILE;
             from++)
            for (uint32_t w = 0; w < d->words && from >= 0 && from < d->rows; w++)
                to->bits[(size_t)row * d->words + w] |= d->bits[(size_t)from * d->words + w];
    }
    struct damage swap = *d;
    *d = *to;
    *to = swap;
}

static bool fits_picture(const struct viewer *v)
{
    return v->width == v->picture->width && v->height == v->picture->height;
}

/* Upwards to the same place as the one that is already to be copied. */
static bool continues(const struct picture_scroll *old, const struct picture_scroll *s)
{
    return old->y == s->y && old->from > old->y && s->from > s->y &&
           old->from + old->height == s->from + s->height &&
           (uint64_t)old->from + s->from - s->y < (uint64_t)s->from + s->height;
}

static void add_scroll(struct viewer *v, const struct picture_scroll *s)
{
    struct picture_scroll *old = &v->scroll;
    uint32_t bottom = s->from + s->height;

    if (!v->copy || v->updating || !fits_picture(v) || (old->height && !continues(old, s))) {
        damage_rect(&v->damage, (struct rect){0, s->y, v->damage.width, s->height});
        return;
    }
    shift_damage(v, s);
    if (!old->height) {
        *old = *s;
        return;
    }
    /* What the first one uncovered is not what the two together uncover. */
    old->from += s->from - s->y;
    old->height = bottom - old->from;
    damage_rect(&v->damage, (struct rect){0, old->y + old->height, v->damage.width,
                                          bottom - old->y - old->height});
}

static int resized(struct viewer *v)
{
    const struct picture *p = v->picture;

    if (damage_resize(&v->damage, p->width, p->height) < 0 ||
        damage_resize(&v->shifted, p->width, p->height) < 0)
        return -ENOMEM;
    v->scroll = (struct picture_scroll){0};
    v->vanished = v->updating;
    v->tell_size = v->desktop_size || v->extended_size;
    damage_all(&v->damage);
    return 0;
}

int viewer_changed(struct viewer *viewer)
{
    struct viewer *v = viewer;

    if (v->state != VIEWER_RUNNING)
        return 0;
    if (v->picture->resized || v->damage.width != v->picture->width ||
        v->damage.height != v->picture->height)
        return resized(v);
    if (v->picture->scroll.height)
        add_scroll(v, &v->picture->scroll);
    damage_add(&v->damage, &v->picture->damage);
    return 0;
}

bool viewer_waits(const struct viewer *viewer)
{
    return viewer->state == VIEWER_RUNNING && !viewer->updating &&
           (viewer->wanted || viewer->continuing);
}

/* --- an update --- */

static int add_rect(struct viewer *v, struct rect r)
{
    const struct picture *p = v->picture;
    uint32_t width, height;

    encode_pieces(v->encoding, p->pixels + (size_t)r.y * p->width + r.x, p->width, r, &width,
                  &height);
    for (uint32_t y = 0; y < r.height; y += height)
        for (uint32_t x = 0; x < r.width; x += width) {
            if (v->rect_count == v->rect_room) {
                unsigned room = v->rect_room ? v->rect_room * 2 : 64;
                struct rect *more = realloc(v->rects, room * sizeof *more);
                if (!more)
                    return -ENOMEM;
                v->rects = more;
                v->rect_room = room;
            }
            v->rects[v->rect_count++] =
                (struct rect){r.x + x, r.y + y, MIN(width, r.width - x), MIN(height, r.height - y)};
        }
    return 0;
}

/* All damage, as far as the viewer's screen reaches. */
static int collect(struct viewer *v)
{
    struct rect r;
    int rc = 0;

    v->rect_count = v->rect_at = 0;
    while (rc == 0 && v->rect_count < RFB_RECTS_MAX && damage_take(&v->damage, &r)) {
        if (r.x >= v->width || r.y >= v->height)
            continue;
        r.width = MIN(r.width, v->width - r.x);
        r.height = MIN(r.height, v->height - r.y);
        rc = add_rect(v, r);
    }
    return rc;
}

/* One screen at the picture's size. Reason 1 with status 1: somebody wished for another one, which
 * the machine does not give. */
static void put_size(struct viewer *v)
{
    struct rect r = {0, 0, v->picture->width, v->picture->height};

    if (v->extended_size) {
        encode_head(&v->out, (struct rect){v->size_refused, v->size_refused, r.width, r.height},
                    RFB_EXTENDED_DESKTOP_SIZE);
        rfb_put_be32(&v->out, 1u << 24); /* one screen, three bytes of nothing */
        rfb_put_be32(&v->out, 0);
        rfb_put_be32(&v->out, 0);
        rfb_put_be16(&v->out, (uint16_t)r.width);
        rfb_put_be16(&v->out, (uint16_t)r.height);
        rfb_put_be32(&v->out, 0);
    } else {
        encode_head(&v->out, r, RFB_DESKTOP_SIZE);
    }
    v->tell_size = v->size_refused = false;
    v->width = r.width;
    v->height = r.height;
}

static void put_scroll(struct viewer *v)
{
    const struct picture_scroll *s = &v->scroll;

    encode_head(&v->out, (struct rect){0, s->y, v->width, s->height}, RFB_COPY_RECT);
    rfb_put_be16(&v->out, 0);
    rfb_put_be16(&v->out, (uint16_t)s->from);
    v->scroll = (struct picture_scroll){0};
}

static void put_leds(struct viewer *v, unsigned leds)
{
    encode_head(&v->out, (struct rect){0}, RFB_QEMU_LED_STATE);
    buf_put_u8(&v->out, (uint8_t)(leds & 7));
    v->leds = leds;
}

/* 1: begun, 0: there is nothing to say. */
static int begin_update(struct viewer *v)
{
    unsigned leds = v->led_state ? v->host->leds(v->host->ctx) & 7 : v->leds;
    unsigned extra = (leds != v->leds) + v->tell_size + v->tell_keys;

    if (!extra && !v->scroll.height && !damage_any(&v->damage))
        return 0;
    size_t head = v->out.len;
    rfb_put_be32(&v->out, 0); /* RFB_UPDATE; the count comes later */
    bool moved = v->scroll.height;
    if (v->tell_size)
        put_size(v);
    if (v->tell_keys)
        encode_head(&v->out, (struct rect){0}, RFB_QEMU_EXTENDED_KEY);
    v->tell_keys = false;
    if (leds != v->leds)
        put_leds(v, leds);
    if (moved)
        put_scroll(v);
    int rc = collect(v);
    if (rc < 0 || v->out.failed)
        return -ENOMEM;
    v->open_end = v->encoder->may_cut = v->last_rect && v->encoding == RFB_TIGHT;
    be16_store(v->out.data + head + 2,
               v->open_end ? RFB_RECTS_OPEN : (uint16_t)(extra + moved + v->rect_count));
    v->updating = true;
    v->wanted = v->vanished = false;
    return 1;
}

/* The picture has shrunk since: these pixels are promised, and will be sent anew. */
static int put_nothing(struct viewer *v, struct rect r)
{
    uint32_t *black = calloc((size_t)r.width * r.height, sizeof *black);

    if (!black)
        return -ENOMEM;
    int rc = encode_rect(v->encoder, v->encoding, black, r.width, r, &v->out);
    free(black);
    return rc;
}

static int end_update(struct viewer *v)
{
    if (v->open_end)
        encode_head(&v->out, (struct rect){0}, RFB_LAST_RECT);
    v->updating = v->vanished = v->open_end = false;
    if (v->format_changes)
        encoder_set_format(v->encoder, &v->next_format);
    v->format_changes = false;
    buf_put(&v->out, v->later.data, v->later.len);
    v->later.len = 0;
    return v->out.failed ? -ENOMEM : 0;
}

static int go_on(struct viewer *v)
{
    if (v->rect_at == v->rect_count)
        return end_update(v);
    struct rect r = v->rects[v->rect_at++];
    if (v->vanished)
        return put_nothing(v, r);
    const struct picture *p = v->picture;
    return encode_rect(v->encoder, v->encoding, p->pixels + (size_t)r.y * p->width + r.x, p->width,
                       r, &v->out);
}

int viewer_output(struct viewer *viewer)
{
    struct viewer *v = viewer;
    int rc = 1;

    while (rc > 0 && v->out.len < VIEWER_OUTPUT_MAX) {
        if (v->updating)
            rc = go_on(v) < 0 ? -ENOMEM : 1;
        else if (viewer_waits(v))
            rc = begin_update(v);
        else
            rc = 0;
    }
    return v->out.failed ? -ENOMEM : MIN(rc, 0);
}
