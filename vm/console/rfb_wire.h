/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the RFB protocol: RFC 6143, and for what came after it the community's description
 * (rfbproto: Tight, DesktopSize, ExtendedDesktopSize, Fence, ContinuousUpdates, QEMU's messages).
 * Big-endian throughout. */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    RFB_VERSION_LEN = 12,
    RFB_SECURITY_NONE = 1,
    RFB_SECURITY_VNC = 2,
    RFB_CHALLENGE_LEN = 16,
    RFB_PIXEL_FORMAT_LEN = 16,
    RFB_RECT_HEAD_LEN = 12,
    RFB_RECTS_MAX = 0xe000,  /* in one update, before the last one is cut to pieces */
    RFB_RECTS_OPEN = 0xffff, /* as many as come before LastRect */
};

enum rfb_client_message {
    RFB_SET_PIXEL_FORMAT = 0,
    RFB_SET_ENCODINGS = 2,
    RFB_UPDATE_REQUEST = 3,
    RFB_KEY = 4,
    RFB_POINTER = 5,
    RFB_CLIENT_CUT_TEXT = 6,
    RFB_ENABLE_CONTINUOUS = 150,
    RFB_CLIENT_FENCE = 248,
    RFB_SET_DESKTOP_SIZE = 251,
    RFB_QEMU = 255,
};
enum { RFB_QEMU_KEY = 0 };

enum rfb_server_message {
    RFB_UPDATE = 0,
    RFB_COLOUR_MAP = 1,
    RFB_END_OF_CONTINUOUS = 150,
    RFB_SERVER_FENCE = 248,
};

enum rfb_encoding {
    RFB_RAW = 0,
    RFB_COPY_RECT = 1,
    RFB_TIGHT = 7,
    RFB_ZRLE = 16,
    RFB_COMPRESS_0 = -256, /* to -247: zlib's level */
    RFB_COMPRESS_9 = -247,
    RFB_DESKTOP_SIZE = -223,
    RFB_LAST_RECT = -224,
    RFB_QEMU_EXTENDED_KEY = -258,
    RFB_QEMU_LED_STATE = -261,
    RFB_EXTENDED_DESKTOP_SIZE = -308,
    RFB_FENCE = -312,
    RFB_CONTINUOUS = -313,
};

enum { RFB_FENCE_MAX = 64, RFB_FENCE_REQUEST = 1u << 31, RFB_FENCE_KNOWN = 7 };

static inline void rfb_put_be16(struct buf *out, uint16_t v)
{
    uint8_t bytes[2];

    be16_store(bytes, v);
    buf_put(out, bytes, sizeof bytes);
}

static inline void rfb_put_be32(struct buf *out, uint32_t v)
{
    uint8_t bytes[4];

    be32_store(bytes, v);
    buf_put(out, bytes, sizeof bytes);
}
