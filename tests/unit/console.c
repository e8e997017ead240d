/* SPDX-License-Identifier: Apache-2.0 */
/* The console's library: what a viewer gets is the picture, in every encoding and through every
 * change; what it sends arrives; WebSocket frames as RFC 6455 has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/range.h"
#include "tests/tap.h"
#include "tests/unit/rfb_client.h"
#include "vm/backend/input.h"
#include "vm/console/conn.h"
#include "vm/console/keymap.h"
#include "vm/console/screenshot.h"
#include "vm/console/viewer.h"

static uint32_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed >> 8) * sides >> 24);
}

/* --- a display --- */

enum { VIDEO_SIZE = 16 << 20 };
static uint8_t *video;

static struct display_surface screen(uint32_t width, uint32_t height)
{
    if (!video)
        video = malloc(VIDEO_SIZE);
    return (struct display_surface){.format = DISPLAY_XRGB8888,
                                    .width = width,
                                    .height = height,
                                    .stride = width * 4,
                                    .memory = video,
                                    .size = VIDEO_SIZE};
}

static void fill(const struct display_surface *s, struct rect r, unsigned colours)
{
    for (uint32_t y = r.y; y < r.y + r.height && y < s->height; y++)
        for (uint32_t x = r.x; x < r.x + r.width && x < s->width; x++) {
            uint32_t pixel = colours == 1 ? 0x00123456
                             : colours    ? dice(colours) * 0x00354179
                                          : dice(0xffffff);
            le32_store(video + y * s->stride + x * 4, pixel);
        }
}

/* --- a viewer whose other end is a client --- */

struct event {
    uint8_t usage, down;
};

struct bench {
    struct picture *picture;
    struct viewer *viewer;
    struct viewer_host host;
    struct client client;
    struct event keys[64];
    unsigned key_count, leds, buttons;
    uint32_t x, y;
    int wheel;
};

static void on_key(void *ctx, uint8_t usage, bool down)
{
    struct bench *b = ctx;

    if (b->key_count < ARRAY_SIZE(b->keys))
        b->keys[b->key_count++] = (struct event){usage, down};
}

static void on_pointer(void *ctx, uint32_t x, uint32_t y, unsigned buttons, int wheel)
{
    struct bench *b = ctx;

    b->x = x;
    b->y = y;
    b->buttons = buttons;
    b->wheel = wheel;
}

static unsigned on_leds(void *ctx)
{
    return ((struct bench *)ctx)->leds;
}

static void say(struct bench *b, const void *bytes, size_t len)
{
    CHECK_EQ(viewer_input(b->viewer, bytes, len), 0);
}

static void send_encodings(struct bench *b, const int32_t *encodings, unsigned count)
{
    uint8_t m[4 + 4 * 32] = {RFB_SET_ENCODINGS};

    be16_store(m + 2, (uint16_t)count);
    for (unsigned i = 0; i < count; i++)
        be32_store(m + 4 + 4 * i, (uint32_t)encodings[i]);
    say(b, m, 4 + 4 * count);
}

static void ask(struct bench *b, bool incremental)
{
    uint8_t m[10] = {RFB_UPDATE_REQUEST, incremental};

    be16_store(m + 6, 0xffff);
    be16_store(m + 8, 0xffff);
    say(b, m, sizeof m);
}

/* All that the viewer has to say becomes the client's. Returns its bytes. */
static size_t deliver(struct bench *b)
{
    size_t len = 0, before;
    struct buf all = {0};

    do {
        before = all.len;
        CHECK_EQ(viewer_output(b->viewer), 0);
        buf_put(&all, b->viewer->out.data, b->viewer->out.len);
        b->viewer->out.len = 0;
    } while (all.len != before);
    if (all.len)
        len = client_update(&b->client, all.data, all.len);
    CHECK(!b->client.wrong);
    if (b->client.wrong)
        (void)printf("# %s\n", b->client.wrong);
    CHECK_EQ(len, all.len);
    buf_free(&all);
    return len;
}

static bool look(struct bench *b, const struct display_surface *s)
{
    int rc = picture_look(b->picture, s);

    CHECK(rc >= 0);
    if (rc > 0 && b->viewer)
        CHECK_EQ(viewer_changed(b->viewer), 0);
    return rc > 0;
}

static void start(struct bench *b, const struct display_surface *s)
{
    *b = (struct bench){.host = {.key = on_key, .pointer = on_pointer, .leds = on_leds}};
    b->host.ctx = b;
    b->host.name = "vm";
    CHECK_EQ(picture_create(&b->picture), 0);
    (void)look(b, s);
    CHECK_EQ(viewer_create(&b->host, b->picture, NULL, &b->viewer), 0);
    say(b, "RFB 003.008\n\1\1", 14);
    CHECK_EQ(b->viewer->state, VIEWER_RUNNING);
    CHECK_EQ(b->viewer->out.len, 12 + 2 + 4 + 24 + 2);
    b->viewer->out.len = 0;
    client_init(&b->client, s->width, s->height);
}

static void finish(struct bench *b)
{
    viewer_destroy(b->viewer);
    picture_destroy(b->picture);
    client_free(&b->client);
}

static bool same(const struct bench *b)
{
    const struct picture *p = b->picture;

    for (uint32_t y = 0; y < p->height && y < b->client.height; y++)
        if (memcmp(p->pixels + (size_t)y * p->width, b->client.pixels + (size_t)y * CLIENT_WIDTH,
                   MIN(p->width, b->client.width) * sizeof *p->pixels))
            return false;
    return true;
}

/* --- the picture --- */

static const int32_t all_encodings[][6] = {
    {RFB_RAW, RFB_EXTENDED_DESKTOP_SIZE},
    {RFB_ZRLE, RFB_COPY_RECT, RFB_EXTENDED_DESKTOP_SIZE},
    {RFB_TIGHT, RFB_COPY_RECT, RFB_DESKTOP_SIZE, RFB_COMPRESS_0 + 1},
    {RFB_TIGHT, RFB_ZRLE},
    {RFB_TIGHT, RFB_COPY_RECT, RFB_LAST_RECT, RFB_DESKTOP_SIZE},
};

/* Everything that can happen to a screen, at random. */
static void change(const struct display_surface *s)
{
    static const unsigned colours[] = {0, 1, 2, 3, 5, 16, 100, 200};
    uint32_t n = dice(3);

    if (dice(3) == 0) { /* it scrolls, by one step or two */
        uint32_t lines = (1 + dice(4)) * 8, whole = s->height * s->stride;
        if (dice(4))
            memmove(video, video + lines * s->stride, whole - lines * s->stride);
        else
            memmove(video + lines * s->stride, video, whole - lines * s->stride);
        fill(s, (struct rect){0, s->height - lines, s->width, lines}, 3);
    }
    while (n--)
        fill(
            s,
            (struct rect){dice(s->width), dice(s->height), 1 + dice(s->width), 1 + dice(s->height)},
            colours[dice(ARRAY_SIZE(colours))]);
}

static void every_viewer_sees_the_picture(void)
{
    for (unsigned e = 0; e < ARRAY_SIZE(all_encodings); e++) {
        struct display_surface s = screen(200 + 37 * e, 200);
        struct bench b;
        fill(&s, (struct rect){0, 0, s.width, s.height}, 2);
        start(&b, &s);
        send_encodings(&b, all_encodings[e], 6);
        ask(&b, false);
        (void)deliver(&b);
        CHECK(same(&b));
        for (unsigned i = 0; i < 80; i++) {
            unsigned looks = 1 + dice(3);
            if (dice(30) == 0)
                s = screen(64 + dice(300), 64 + dice(200));
            while (looks--) { /* some looks before it asks, so that changes add up */
                change(&s);
                (void)look(&b, &s);
            }
            ask(&b, true);
            (void)deliver(&b);
            if (!CHECK(same(&b))) {
                (void)printf("# encodings %u, step %u\n", e, i);
                break;
            }
        }
        CHECK(all_encodings[e][1] != RFB_COPY_RECT || b.client.copies > 20);
        finish(&b);
    }
}

static void changes_within_an_update(void)
{
    struct display_surface s = screen(1280, 800);
    struct bench b;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 0);
    start(&b, &s);
    send_encodings(&b, all_encodings[1], 6);
    ask(&b, false);
    struct buf all = {0};
    for (unsigned step = 0; step < 200 && (step < 2 || b.viewer->updating); step++) {
        CHECK_EQ(viewer_output(b.viewer), 0);
        CHECK(b.viewer->out.len < VIEWER_OUTPUT_MAX + ENCODE_AREA_MAX * 4 + 4096);
        buf_put(&all, b.viewer->out.data, b.viewer->out.len);
        b.viewer->out.len = 0;
        if (step == 0) { /* it scrolls, and then shrinks */
            memmove(video, video + 16 * s.stride, 700 * s.stride);
            (void)look(&b, &s);
            s = screen(640, 480);
            (void)look(&b, &s);
        }
    }
    CHECK_EQ(client_update(&b.client, all.data, all.len), all.len);
    buf_free(&all);
    ask(&b, true);
    (void)deliver(&b);
    CHECK_EQ(b.client.width, 640);
    CHECK(same(&b));
    finish(&b);
}

static void nothing_new_costs_nothing(void)
{
    struct display_surface s = screen(1280, 800);
    struct bench b;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 16);
    start(&b, &s);
    send_encodings(&b, all_encodings[1], 6);
    ask(&b, false);
    CHECK(deliver(&b) > 1000);
    ask(&b, true);
    for (unsigned i = 0; i < 8; i++)
        CHECK(picture_same(b.picture, &s));
    CHECK(!look(&b, &s));
    CHECK_EQ(deliver(&b), 0);
    CHECK(viewer_waits(b.viewer));
    le32_store(video + 4000, 0xabcdef); /* one pixel */
    bool seen = false;
    for (unsigned i = 0; i < 8; i++)
        seen |= !picture_same(b.picture, &s);
    CHECK(seen && look(&b, &s));
    size_t len = deliver(&b);
    CHECK(len && len < 400);
    CHECK(same(&b));
    finish(&b);
}

static void scrolling_text_is_copied(void)
{
    struct display_surface s = screen(1280, 800);
    struct bench b;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 2);
    start(&b, &s);
    send_encodings(&b, all_encodings[1], 6);
    ask(&b, false);
    (void)deliver(&b);
    memmove(video, video + 16 * s.stride, 784 * s.stride);
    fill(&s, (struct rect){0, 784, s.width, 16}, 2);
    CHECK(look(&b, &s));
    CHECK_EQ(b.picture->scroll.height, 784);
    ask(&b, true);
    CHECK(deliver(&b) < 1280 * 16 / 8 + 400);
    CHECK(same(&b));
    finish(&b);
}

/* Rows of 16 lines that are the same 20 again and again, as a log's. */
static void text_that_repeats_is_copied(void)
{
    struct display_surface s = screen(640, 800);
    struct picture *picture;

    CHECK_EQ(picture_create(&picture), 0);
    for (uint32_t first = 0; first < 25; first++) {
        for (uint32_t y = 0; y < s.height; y++)
            for (uint32_t x = 0; x < s.width; x++)
                le32_store(video + y * s.stride + x * 4,
                           x < 20 && y % 16 && y % 16 < 12
                               ? ((first + y / 16) % 20 * 77 + y % 16) >> x % 9 & 1
                               : 0);
        CHECK_EQ(picture_look(picture, &s), 1);
        CHECK(!first ||
              (picture->scroll.from - picture->scroll.y == 16 && picture->scroll.height >= 700));
    }
    picture_destroy(picture);
}

static bool shows(const struct picture *p, const struct display_surface *s)
{
    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++)
            if (p->pixels[(size_t)y * p->width + x] !=
                (le32_load(video + (size_t)y * s->stride + (size_t)x * 4) & 0xffffff))
                return false;
    return true;
}

/* With lines above and below that stay: whichever of them the picture moves, it is the surface. */
static void what_moves_is_moved(void)
{
    enum { TOP = 20, LINES = 260, ALL = 300 };
    struct display_surface s = screen(99, ALL);
    struct picture *picture;
    unsigned moved = 0, anew = 0;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 0);
    CHECK_EQ(picture_create(&picture), 0);
    CHECK_EQ(picture_look(picture, &s), 1);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t by = 1 + dice(50), top = dice(2) ? TOP : 0, first = top * s.stride;
        bool up = dice(8);
        memmove(video + first + (up ? 0 : by * s.stride), video + first + (up ? by * s.stride : 0),
                (size_t)(LINES - by) * s.stride);
        fill(&s, (struct rect){0, top + (up ? LINES - by : 0), s.width, by}, 0);
        uint32_t began = picture->begin;
        CHECK_EQ(picture_look(picture, &s), 1);
        moved += picture->scroll.height == LINES - by;
        anew += picture->begin < began; /* at the end of the store */
        if (!CHECK(shows(picture, &s)))
            break;
    }
    CHECK_EQ(moved, 100);
    CHECK(anew > 10 && anew < 50);
    picture_destroy(picture);
}

/* A terminal full of words of 20 characters in 8 colours, from `left` on; bytes of it in Tight. */
static size_t text_in_tight(uint32_t left)
{
    struct display_surface s = screen(1280, 800);
    uint16_t glyph[20][16];
    struct bench b;

    memset(video, 0, VIDEO_SIZE);
    start(&b, &s);
    send_encodings(&b, all_encodings[4], 6);
    ask(&b, false);
    (void)deliver(&b);
    for (unsigned i = 0; i < 20 * 16; i++)
        glyph[i / 16][i % 16] = (uint16_t)dice(255);
    for (uint32_t cell = 0, ink = 1; cell < 159 * 50; cell++) {
        uint32_t x = left + cell % 159 * 8, y = cell / 159 * 16, g = dice(20);
        ink = dice(5) ? ink : 1 + dice(8);
        for (uint32_t i = 0; i < 128; i++)
            if (glyph[g][i / 8] >> i % 8 & 1)
                le32_store(video + (y + i / 8) * s.stride + (x + i % 8) * 4, ink * 0x00112345);
    }
    CHECK(look(&b, &s));
    ask(&b, true);
    size_t len = deliver(&b);
    CHECK(same(&b));
    finish(&b);
    return len;
}

static void text_goes_in_columns(void)
{
    size_t in_cells = text_in_tight(0), between = text_in_tight(4);

    (void)printf("# %zu bytes, %zu where characters are not where they are looked for\n", in_cells,
                 between);
    CHECK(in_cells < between - between / 5);
}

static void what_is_no_colour_changes_nothing(void)
{
    struct display_surface s = screen(100, 50);
    struct bench b;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 0);
    start(&b, &s);
    for (uint32_t i = 3; i < s.stride * s.height; i += 4)
        video[i] = (uint8_t)~video[i];
    CHECK(picture_same(b.picture, &s));
    CHECK(!look(&b, &s));
    video[s.stride * 49 + 4 * 99 + 2] ^= 1; /* the last pixel */
    CHECK(look(&b, &s));
    finish(&b);
}

/* --- surfaces --- */

static void text_is_drawn(void)
{
    static const char line[] = "Hi";
    struct display_surface s = screen(1, 1);
    uint32_t out[2 * 9];

    memset(video, 0, VIDEO_SIZE);
    s.format = DISPLAY_TEXT;
    s.width = 2;
    s.height = 1;
    s.cell_height = 16;
    s.cell_width = 9;
    s.cell_stride = s.font_stride = 4;
    s.stride = 8;
    s.font_offset = 2;
    s.palette[7] = 0xaaaaaa;
    s.palette[4] = 0xaa0000;
    for (unsigned i = 0; i < 2; i++) {
        video[i * 4] = (uint8_t)line[i];
        video[i * 4 + 1] = 0x47;
    }
    video[2 + ('H' * 32 + 3) * 4] = 0x81;
    surface_check(&s);
    CHECK_EQ(surface_width(&s), 18);
    CHECK_EQ(surface_height(&s), 16);
    surface_line(&s, 3, out);
    for (unsigned i = 0; i < 18; i++)
        CHECK_EQ(out[i], i == 0 || i == 7 ? 0xaaaaaau : 0xaa0000u);
    s.blink = s.cursor = true;
    s.cursor_x = 1;
    s.cursor_first = 3;
    s.cursor_last = 4;
    surface_line(&s, 3, out);
    CHECK_EQ(out[9], 0xaaaaaa);
    s.font_offset = VIDEO_SIZE - 100;
    surface_check(&s);
    CHECK_EQ(s.format, DISPLAY_BLANK);
}

static void pixels_of_every_depth(void)
{
    static const struct {
        enum display_format format;
        uint32_t bytes, want;
    } cases[] = {
        {DISPLAY_INDEX8, 0x5a, 0x102030},         {DISPLAY_RGB555, 0x7c1f, 0xff00ff},
        {DISPLAY_RGB565, 0x07e0, 0x00ff00},       {DISPLAY_RGB888, 0x123456, 0x123456},
        {DISPLAY_XRGB8888, 0xff123456, 0x123456}, {DISPLAY_PLANAR16, 0x80008080, 0xbbbbbb}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct display_surface s = screen(1, 1);
        uint32_t out[1];
        s.format = cases[i].format;
        s.palette[0x5a] = 0x102030;
        s.palette[11] = 0xbbbbbb;
        le32_store(video, cases[i].bytes);
        surface_check(&s);
        surface_line(&s, 0, out);
        CHECK_EQ(out[0], cases[i].want);
        s.offset = VIDEO_SIZE;
        surface_check(&s);
        CHECK_EQ(s.format, DISPLAY_BLANK);
    }
}

static void a_screenshot_is_a_png(void)
{
    struct display_surface s = screen(300, 200);
    struct buf png = {0};
    struct bench b;

    fill(&s, (struct rect){0, 0, s.width, s.height}, 3);
    start(&b, &s);
    CHECK_EQ(screenshot_png(b.picture, 150, 0, &png), 0);
    CHECK(png.len > 100 && !memcmp(png.data, "\x89PNG\r\n\x1a\n", 8));
    CHECK_EQ(be32_load(png.data + 16), 150);
    CHECK_EQ(be32_load(png.data + 20), 100);
    buf_free(&png);
    finish(&b);
}

/* --- keys --- */

static void key(struct bench *b, uint32_t keysym, bool down)
{
    uint8_t m[8] = {RFB_KEY, down};

    be32_store(m + 4, keysym);
    say(b, m, sizeof m);
}

static bool pressed(struct bench *b, const struct event *want, unsigned count)
{
    bool good = b->key_count == count && !memcmp(b->keys, want, count * sizeof *want);

    for (unsigned i = 0; i < b->key_count && !good; i++)
        (void)printf("# key %02x %u\n", b->keys[i].usage, b->keys[i].down);
    b->key_count = 0;
    return good;
}

static void keys_by_their_characters(void)
{
    struct display_surface s = screen(64, 64);
    struct bench b;

    start(&b, &s);
    key(&b, 'a', true), key(&b, 'a', false);
    CHECK(pressed(&b, (struct event[]){{4, 1}, {4, 0}}, 2));
    key(&b, 'A', true), key(&b, 'A', false); /* without its shift */
    CHECK(pressed(&b, (struct event[]){{0xe1, 1}, {4, 1}, {0xe1, 0}, {4, 0}}, 4));
    key(&b, 0xffe1, true), key(&b, '/', true); /* from another layout */
    CHECK(pressed(&b, (struct event[]){{0xe1, 1}, {0xe1, 0}, {0x38, 1}, {0xe1, 1}}, 4));
    key(&b, '/', false), key(&b, 0xffe1, false);
    CHECK(pressed(&b, (struct event[]){{0x38, 0}, {0xe1, 0}}, 2));
    b.leds = 4; /* caps lock */
    key(&b, 'Q', true), key(&b, 'Q', false);
    CHECK(pressed(&b, (struct event[]){{0x14, 1}, {0x14, 0}}, 2));
    key(&b, 0xffc2, true), key(&b, 0xff54, true), key(&b, '|', true);
    CHECK_EQ(b.keys[0].usage, 0x3e); /* F5 */
    CHECK_EQ(b.keys[1].usage, 0x51);
    CHECK_EQ(b.keys[3].usage, 0x31);
    b.key_count = 0;
    viewer_destroy(b.viewer); /* what is down is released */
    CHECK(pressed(&b, (struct event[]){{0x31, 0}, {0x3e, 0}, {0x51, 0}}, 3));
    b.viewer = NULL;
    finish(&b);
}

static void keys_by_their_places(void)
{
    static const int32_t encodings[] = {RFB_QEMU_EXTENDED_KEY, RFB_QEMU_LED_STATE};
    struct display_surface s = screen(64, 64);
    uint8_t m[12] = {RFB_QEMU, RFB_QEMU_KEY, 0, 1};
    struct bench b;

    start(&b, &s);
    send_encodings(&b, encodings, 2);
    b.leds = 2;
    ask(&b, true);
    (void)deliver(&b);
    CHECK(b.client.extended_keys);
    CHECK_EQ(b.client.leds, 2);
    be32_store(m + 4, 'y'); /* a German says z, and it is this key */
    be32_store(m + 8, 0x2c);
    say(&b, m, sizeof m);
    CHECK(pressed(&b, (struct event[]){{0x1d, 1}}, 1));
    for (unsigned usage = 4; usage < 0xe8; usage++)
        for (uint32_t xt = 1, found = 0; xt < 256; xt++)
            if (keymap_from_xt(xt) == usage)
                CHECK(found++ < 2);
    CHECK_EQ(keymap_from_xt(0x9d), 0xe4);
    CHECK_EQ(keymap_from_xt(0xd3), 0x4c);
    CHECK_EQ(keymap_from_xt(0), 0);
    CHECK_EQ(keymap_from_xt(0x12345), 0);
    finish(&b);
}

static void the_pointer(void)
{
    struct display_surface s = screen(64, 64);
    uint8_t m[6] = {RFB_POINTER, 1 | 4 | 16, 0, 20, 0, 30};
    struct bench b;

    start(&b, &s);
    say(&b, m, sizeof m);
    CHECK_EQ(b.x, 20);
    CHECK_EQ(b.y, 30);
    CHECK_EQ(b.buttons, INPUT_LEFT | INPUT_RIGHT);
    CHECK_EQ(b.wheel, 1);
    say(&b, m, sizeof m); /* held, it does not turn on */
    CHECK_EQ(b.wheel, 0);
    finish(&b);
}

/* --- the protocol --- */

static int after(const char *bytes, size_t len)
{
    struct display_surface s = screen(64, 64);
    struct bench b;

    start(&b, &s);
    int rc = viewer_input(b.viewer, (const uint8_t *)bytes, len);
    finish(&b);
    return rc;
}

static void what_the_protocol_does_not_have(void)
{
    CHECK_EQ(after("\x01", 1), -EPROTO);
    CHECK_EQ(after("\xff\x01", 2), -EPROTO);
    CHECK_EQ(after("\x06\0\0\0\x7f\xff\xff\xff", 8), -EPROTO); /* 2 GiB of clipboard */
    CHECK_EQ(after("\xf8\0\0\0\0\0\0\0\x41", 9), -EPROTO);     /* a fence of 65 bytes */
    CHECK_EQ(after("\x96\x01\0\0\0\0\0\0\0\0", 10), -EPROTO);  /* never asked for */
    CHECK_EQ(after("\0\0\0\0\x20\x18\0\1\0\xfe\0\xff\0\xff\0\0\0\0\0\0", 20), -EINVAL);
    CHECK_EQ(after("\x06\0\0\0\0\0\0\3abc\x05\0\0\0\0\0", 17), 0);
}

static void old_versions(void)
{
    struct display_surface s = screen(64, 64);
    struct bench b;

    start(&b, &s);
    viewer_destroy(b.viewer);
    CHECK_EQ(viewer_create(&b.host, b.picture, NULL, &b.viewer), 0);
    say(&b, "RFB 003.003\n\0", 13);
    CHECK_EQ(b.viewer->state, VIEWER_RUNNING);
    CHECK_EQ(b.viewer->out.len, 12 + 4 + 24 + 2);
    viewer_destroy(b.viewer);
    CHECK_EQ(viewer_create(&b.host, b.picture, NULL, &b.viewer), 0);
    CHECK_EQ(viewer_input(b.viewer, (const uint8_t *)"HTTP/1.1 400", 12), -EPROTO);
    viewer_destroy(b.viewer);
    CHECK_EQ(viewer_create(&b.host, b.picture, NULL, &b.viewer), 0);
    CHECK_EQ(viewer_input(b.viewer, (const uint8_t *)"RFB 003.008\n\2", 13), -EACCES);
    finish(&b);
}

static void fences_and_continuous_updates(void)
{
    static const int32_t encodings[] = {RFB_FENCE, RFB_CONTINUOUS, RFB_ZRLE};
    static const uint8_t on[10] = {RFB_ENABLE_CONTINUOUS, 1};
    struct display_surface s = screen(64, 64);
    struct bench b;

    start(&b, &s);
    send_encodings(&b, encodings, 3);
    CHECK_EQ(b.viewer->out.len, 9 + 1);
    b.viewer->out.len = 0;
    say(&b, "\xf8\0\0\0\x80\0\0\xff\3abc", 12);
    CHECK_EQ(b.viewer->out.len, 12);
    CHECK(!memcmp(b.viewer->out.data + 4, "\0\0\0\7\3abc", 8));
    b.viewer->out.len = 0;
    say(&b, on, sizeof on);
    for (unsigned i = 0; i < 3; i++) { /* without asking */
        fill(&s, (struct rect){0, 0, 64, 64}, 2);
        CHECK(look(&b, &s));
        CHECK(deliver(&b) > 0);
        CHECK(same(&b));
    }
    finish(&b);
}

/* --- WebSocket --- */

static int frames(const void *bytes, size_t len, struct buf *data, struct buf *answer)
{
    struct websock ws = {0};
    int rc = 0;

    for (size_t i = 0; i < len && rc == 0; i++) /* by the byte, the hardest way */
        rc = websock_take(&ws, (const uint8_t *)bytes + i, 1, data, answer);
    return rc;
}

static void web_sockets(void)
{
    struct buf data = {0}, answer = {0}, out = {0};
    uint8_t head[10] = {0};

    /* RFC 6455, 5.7: a masked "Hello"; in two fragments with a ping between them */
    CHECK_EQ(frames("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, &data, &answer), 0);
    CHECK(data.len == 5 && !memcmp(data.data, "Hello", 5));
    data.len = 0;
    CHECK_EQ(frames("\x02\x83\0\0\0\0Hel\x89\x81\0\0\0\0x\x80\x82\1\1\1\1mn", 24, &data, &answer),
             0);
    CHECK(data.len == 5 && !memcmp(data.data, "Hello", 5));
    CHECK(answer.len == 3 && !memcmp(answer.data, "\x8a\x01x", 3));
    answer.len = 0;
    CHECK_EQ(frames("\x88\x82\0\0\0\0\x03\xe8zzzz", 12, &data, &answer), 0);
    CHECK(answer.len == 4 && !memcmp(answer.data, "\x88\x02\x03\xe8", 4));
    CHECK_EQ(frames("\x82\x05Hello", 7, &data, &answer), -EPROTO);    /* not masked */
    CHECK_EQ(frames("\xc2\x80\0\0\0\0", 6, &data, &answer), -EPROTO); /* reserved bit */
    CHECK_EQ(frames("\x80\x80\0\0\0\0", 6, &data, &answer), -EPROTO); /* goes on with nothing */
    CHECK_EQ(frames("\x09\x80\0\0\0\0", 6, &data, &answer), -EPROTO); /* a ping in pieces */
    CHECK_EQ(frames("\x89\xfe\0\x7e\0\0\0\0", 8, &data, &answer), -EPROTO); /* and a long one */
    CHECK_EQ(frames("\x83\x80\0\0\0\0", 6, &data, &answer), -EPROTO);
    for (size_t len = 0; len < 70000; len += 34999) {
        static uint8_t body[70000];
        out.len = 0;
        websock_put(&out, body, len);
        memcpy(head, out.data, MIN(out.len, sizeof head));
        CHECK_EQ(head[0], 0x82);
        CHECK_EQ(out.len, len + (len < 126 ? 2 : len < 65536 ? 4 : 10));
    }
    buf_free(&data);
    buf_free(&answer);
    buf_free(&out);
}

static void on_conn(void *ctx, uint32_t events)
{
    (void)ctx, (void)events;
}

static void nothing_follows_a_farewell(void)
{
    static const uint8_t farewell[] = "\x88\x82\0\0\0\0\x03\xe8";
    struct buf data = {0};
    struct conn conn = {0};
    struct loop *loop;
    uint8_t got[64];
    int fd[2];

    CHECK_EQ(loop_create(&loop), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    CHECK_EQ(conn_open(&conn, loop, fd[0], true, on_conn, NULL), 0);
    conn_put(&conn, (const uint8_t *)"a", 1);
    CHECK_EQ(write(fd[1], farewell, 8), 8);
    CHECK_EQ(conn_read(&conn, &data), -EPIPE);
    conn_put(&conn, (const uint8_t *)"b", 1); /* what was being made when it came */
    CHECK_EQ(conn_flush(&conn), 0);
    ssize_t n = read(fd[1], got, sizeof got);
    CHECK(n == 7 && !memcmp(got,
                            "\x82\x01"
                            "a\x88\x02\x03\xe8",
                            7));
    conn_close(&conn);
    (void)close(fd[1]);
    loop_destroy(loop);
    buf_free(&data);
}

TAP_MAIN(TAP_CASE(every_viewer_sees_the_picture), TAP_CASE(changes_within_an_update),
         TAP_CASE(nothing_new_costs_nothing), TAP_CASE(scrolling_text_is_copied),
         TAP_CASE(what_moves_is_moved), TAP_CASE(text_that_repeats_is_copied),
         TAP_CASE(text_goes_in_columns), TAP_CASE(what_is_no_colour_changes_nothing),
         TAP_CASE(text_is_drawn), TAP_CASE(pixels_of_every_depth), TAP_CASE(a_screenshot_is_a_png),
         TAP_CASE(keys_by_their_characters), TAP_CASE(keys_by_their_places), TAP_CASE(the_pointer),
         TAP_CASE(what_the_protocol_does_not_have), TAP_CASE(old_versions),
         TAP_CASE(fences_and_continuous_updates), TAP_CASE(web_sockets),
         TAP_CASE(nothing_follows_a_farewell))
