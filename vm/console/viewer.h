/* SPDX-License-Identifier: Apache-2.0 */
/* One who looks: the server's side of an RFB connection (RFC 6143, versions 3.3, 3.7 and 3.8) as a
 * machine of bytes in and bytes out, without sockets or time. What the peer sends is foreign: it
 * costs bounded time and memory, and what the protocol does not have ends the connection.
 *
 * The picture is borrowed and read while output is made. It may change between two calls; then
 * viewer_changed says what did before more output is made. */
#pragma once

#include "base/buf.h"
#include "vm/console/encode.h"
#include "vm/console/picture.h"

enum {
    VIEWER_PASSWORD_MAX = 8,       /* of VNC authentication */
    VIEWER_OUTPUT_MAX = 256 << 10, /* no further rectangle is begun beyond that */
    VIEWER_ENCODINGS_MAX = 256,
};

/* What a viewer does to the machine. Keys are what was meant; which of them are down is the
 * viewer's own matter (they are released when it goes). */
struct viewer_host {
    void (*key)(void *ctx, uint8_t usage, bool down);
    /* Pixels of the picture; `buttons`: INPUT_LEFT ...; wheel: steps towards the user. */
    void (*pointer)(void *ctx, uint32_t x, uint32_t y, unsigned buttons, int wheel);
    /* Caps lock and the like as the guest has them: bit 0 scroll, 1 num, 2 caps. */
    unsigned (*leds)(void *ctx);
    /* DES of `challenge` with the password, into `ret_response`; NULL: viewers need none. */
    int (*respond)(void *ctx, const uint8_t challenge[RFB_CHALLENGE_LEN],
                   uint8_t ret_response[RFB_CHALLENGE_LEN]);
    void *ctx;
    const char *name; /* of the VM */
};

enum viewer_state {
    VIEWER_VERSION,
    VIEWER_SECURITY,
    VIEWER_RESPONSE,
    VIEWER_INIT,
    VIEWER_RUNNING,
};

struct viewer {
    const struct viewer_host *host;
    const struct picture *picture;
    struct encoder *encoder;
    enum viewer_state state;
    unsigned minor; /* 3, 7 or 8 */
    uint8_t challenge[RFB_CHALLENGE_LEN];

    /* Input: a message that has not come whole; bytes to pass over; encodings still to come. */
    uint8_t message[RFB_FENCE_MAX + 16];
    unsigned message_len;
    uint64_t skip;
    unsigned encodings_left, encodings_seen;

    /* What it can. */
    enum rfb_encoding encoding;
    bool copy, desktop_size, extended_size, extended_keys, led_state, fence, continuous;
    bool last_rect;

    /* What it asks for, and what it does not have yet. */
    uint32_t width, height; /* as it was told last */
    bool wanted, continuing;
    bool tell_size, tell_keys, size_refused;
    unsigned leds;                 /* as told */
    struct damage damage, shifted; /* the second is for scrolling */
    struct picture_scroll scroll;  /* to be copied before the damage is mended */

    /* An update under way. */
    bool updating, vanished; /* the picture has another size since it began */
    bool open_end;           /* how many rectangles was not said */
    struct rect *rects;
    unsigned rect_count, rect_at, rect_room;
    struct buf later; /* messages that may not stand within it */
    struct pixel_format next_format;
    bool format_changes;

    uint8_t down[32]; /* keys, by usage */
    unsigned buttons;
    struct buf out; /* the caller's to send and empty */
};

/* `challenge`: random bytes, or NULL where host->respond is. Output (the version) is there at once.
 */
int viewer_create(const struct viewer_host *host, const struct picture *picture,
                  const uint8_t *challenge, struct viewer **ret_viewer);
void viewer_destroy(struct viewer *viewer); /* releases its keys; accepts NULL */

/* Bytes from the peer. Negative: the connection is to end, once `out` is sent. */
int viewer_input(struct viewer *viewer, const uint8_t *bytes, size_t len);

/* The picture has had a look that found something (picture.h). */
int viewer_changed(struct viewer *viewer);
/* Does it wait for what may change? Then somebody should look. */
bool viewer_waits(const struct viewer *viewer);
/* Adds to `out` what there is to say, up to VIEWER_OUTPUT_MAX. 0 or -ENOMEM. */
int viewer_output(struct viewer *viewer);

/* For viewer_input.c and viewer.c. */
void viewer_key(struct viewer *viewer, uint8_t usage, bool down);
/* A message of the server's; it waits while an update is under way. */
int viewer_say(struct viewer *viewer, const struct buf *message);
