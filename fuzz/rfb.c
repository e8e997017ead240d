/* SPDX-License-Identifier: Apache-2.0 */
/* A viewer's bytes: the first one says how the picture changes meanwhile and in what pieces the
 * rest comes. What the viewer is told stays bounded, rectangles lie within the screen that it was
 * told of, and an update that is begun ends. */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "fuzz/fuzz.h"
#include "vm/console/viewer.h"

enum { VIDEO_SIZE = 256 << 10, LATER_AND_SMALL = 64 << 10 };

static uint8_t video[VIDEO_SIZE];

static void key(void *ctx, uint8_t usage, bool down)
{
    (void)ctx, (void)usage, (void)down;
}

static void pointer(void *ctx, uint32_t x, uint32_t y, unsigned buttons, int wheel)
{
    (void)ctx, (void)buttons;
    FUZZ_CHECK(x <= 0xffff && y <= 0xffff && wheel >= -1 && wheel <= 1);
}

static unsigned leds(void *ctx)
{
    (void)ctx;
    return 5;
}

static int respond(void *ctx, const uint8_t challenge[RFB_CHALLENGE_LEN],
                   uint8_t ret_response[RFB_CHALLENGE_LEN])
{
    (void)ctx;
    memcpy(ret_response, challenge, RFB_CHALLENGE_LEN);
    return 0;
}

static void look(struct picture *picture, struct viewer *viewer, uint8_t how)
{
    struct display_surface s = {.format = DISPLAY_XRGB8888,
                                .width = how & 1 ? 100 : 160,
                                .height = how & 2 ? 90 : 208, /* enough for columns of text */
                                .memory = video,
                                .size = VIDEO_SIZE};

    s.stride = s.width * 4;
    if (how & 4) /* scrolls */
        memmove(video, video + 16 * s.stride, VIDEO_SIZE - 16 * s.stride);
    memset(video + (how & 0xf0) * 256, how, 5000);
    surface_check(&s);
    FUZZ_CHECK(picture_look(picture, &s) >= 0);
    if (viewer)
        FUZZ_CHECK(viewer_changed(viewer) == 0);
}

/* All that it has to say; as a slow peer would take it. */
static void drain(struct viewer *viewer)
{
    size_t len;

    do {
        FUZZ_CHECK(viewer_output(viewer) == 0);
        len = viewer->out.len;
        FUZZ_CHECK(len < VIEWER_OUTPUT_MAX + 6 * ENCODE_AREA_MAX + LATER_AND_SMALL);
        viewer->out.len = 0;
    } while (len && viewer->updating);
    FUZZ_CHECK(!viewer->updating);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t challenge[RFB_CHALLENGE_LEN];
    struct viewer_host host = {.key = key, .pointer = pointer, .leds = leds, .name = "vm"};
    struct picture *picture;
    struct viewer *viewer;
    int rc = 0;

    if (!size)
        return 0;
    uint8_t how = data[0];
    size_t step = 1 + (how & 63), at = 1;
    host.respond = how & 64 ? respond : NULL;
    FUZZ_CHECK(picture_create(&picture) == 0);
    look(picture, NULL, 0);
    FUZZ_CHECK(viewer_create(&host, picture, challenge, &viewer) == 0);
    for (unsigned i = 0; at < size && rc == 0; i++, at += step) {
        rc = viewer_input(viewer, data + at, MIN(step, size - at));
        if (viewer->state == VIEWER_RUNNING && how & 128)
            look(picture, viewer, (uint8_t)(how + i));
        if (i % 3 == 2)
            drain(viewer);
    }
    drain(viewer);
    viewer_destroy(viewer);
    picture_destroy(picture);
    return 0;
}
