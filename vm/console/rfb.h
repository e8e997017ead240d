/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's screen for all who look at it: viewers' sockets, when the display is looked at, what is
 * typed. One thread, the loop's.
 *
 * While nobody waits for news the display is not looked at. While somebody does, it is at short
 * intervals as long as something happens, and the longer the less (every eighth line at a time). A
 * viewer that does not take what it is sent waits and costs nothing. */
#pragma once

#include "base/loop.h"
#include "vm/backend/console_page.h"
#include "vm/console/viewer.h"

enum {
    RFB_VIEWERS_MAX = 32,
    RFB_HANDSHAKE_S = 20, /* then a connection that is not a viewer yet is closed */
    RFB_PASSWORD_S = 120, /* once it is asked for one: people type it */
    RFB_TYPED_MAX = 4096, /* keys waiting to be typed */
};

struct rfb_config {
    struct loop *loop;
    struct console_page *page; /* all borrowed */
    const uint8_t *video;      /* NULL: there is no display */
    uint64_t video_size;
    struct bytering *keys, *tablet; /* writers of the page's rings; NULL: none */
    const char *name;               /* of the VM */
};

enum rfb_framing { RFB_PLAIN, RFB_WEBSOCKET };

struct rfb;

int rfb_create(const struct rfb_config *config, struct rfb **ret_rfb, struct err *err);
void rfb_destroy(struct rfb *rfb); /* accepts NULL */

/* A connection that is made; taken in any case. When it is one too many, the oldest that is not a
 * viewer yet goes for it, or there is none and it is refused (conn_refuse). `password`: up to 8
 * characters, or NULL or "": none. */
void rfb_add_viewer(struct rfb *rfb, int fd, enum rfb_framing framing, const char *password);
/* A WebSocket whose messages are the bytes of a stream, both ways. Takes both descriptors. */
void rfb_add_stream(struct rfb *rfb, int websocket, int stream);
/* Accepts viewers at a listening socket, which is taken over. */
int rfb_listen(struct rfb *rfb, int fd, const char *password);

/* Presses and releases a key with its modifiers (bit n: usage 0xe0 + n), after those that wait.
 * -ENOBUFS: too many do. */
int rfb_type(struct rfb *rfb, uint8_t usage, uint8_t modifiers);
/* screenshot_png of how it is now. */
int rfb_screenshot(struct rfb *rfb, uint32_t width, uint32_t height, struct buf *out);
