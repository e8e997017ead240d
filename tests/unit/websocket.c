/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/websocket.h"

#include <errno.h>

#include "tests/tap.h"

/* What the bytes carry, taken `step` at a time; NULL when they are refused. */
static const char *carried(const char *bytes, size_t len, size_t step, struct buf *reply,
                           bool *ret_closed)
{
    static char text[512];
    struct websocket_decoder decoder = {0};
    cleanup_buf struct buf data = {0};

    for (size_t at = 0; at < len; at += step)
        if (websocket_take(&decoder, bytes + at, len - at < step ? len - at : step, &data, reply) <
            0)
            return NULL;
    (void)snprintf(text, sizeof text, "%s", buf_cstr(&data));
    if (ret_closed)
        *ret_closed = decoder.closed;
    return text;
}

#define CARRIED(bytes, step) carried(bytes, sizeof(bytes) - 1, step, &reply, NULL)

static void frames_in_any_pieces(void)
{
    static const char bytes[] = "\x82\x03"
                                "abc"      /* a whole message */
                                "\x02\x02" /* one in pieces, with a control frame between */
                                "de"
                                "\x8a\x00" /* pong */
                                "\x00\x00" /* an empty piece */
                                "\x80\x01"
                                "f"
                                "\x81\x7e\x00\x02" /* text, its length written longer than needed */
                                "gh"
                                "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01"
                                "i";

    for (size_t step = 1; step < sizeof bytes; step++) {
        cleanup_buf struct buf reply = {0};
        CHECK_STR(CARRIED(bytes, step), "abcdefghi");
        CHECK_EQ(reply.len, 0);
    }
}

static void pings_are_answered(void)
{
    cleanup_buf struct buf reply = {0};

    CHECK_STR(CARRIED("\x89\x02hi\x82\x01x", 100), "x");
    REQUIRE(reply.len == 8);
    CHECK_EQ(reply.data[0], 0x8a);
    CHECK_EQ(reply.data[1], 0x82); /* masked */
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(reply.data[6 + i] ^ reply.data[2 + i], "hi"[i]);
}

static void the_end(void)
{
    cleanup_buf struct buf reply = {0};
    bool closed = false;

    CHECK_STR(carried("\x88\x02\x03\xe8\x82\x01x", 7, 100, &reply, &closed), "");
    CHECK(closed);
    CHECK(reply.len == 8 && reply.data[0] == 0x88);
}

static void what_no_server_sends(void)
{
    cleanup_buf struct buf reply = {0};

    CHECK(!CARRIED("\x82\x81\x01\x02\x03\x04x", 1));                /* masked */
    CHECK(!CARRIED("\xc2\x01x", 1));                                /* an extension's bit */
    CHECK(!CARRIED("\x83\x01x", 1));                                /* unknown */
    CHECK(!CARRIED("\x8b\x01x", 1));                                /* unknown, control */
    CHECK(!CARRIED("\x09\x01x", 1));                                /* a ping in pieces */
    CHECK(!CARRIED("\x89\x7e\x00\x80", 1));                         /* a long ping */
    CHECK(!CARRIED("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x01", 1)); /* 2^63 bytes */
}

/* What goes out, unmasked, is what was given; of each length of length. */
static void frames_out(void)
{
    static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536};
    static uint8_t data[65536];

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        cleanup_buf struct buf out = {0};
        size_t len = lengths[i], head = len < 126 ? 2 : len < 65536 ? 4 : 10;
        websocket_put(&out, data, len);
        REQUIRE(out.len == head + 4 + len);
        CHECK_EQ(out.data[0], 0x82);
        CHECK_EQ(out.data[1], 0x80 | (len < 126 ? len : len < 65536 ? 126 : 127));
        for (size_t at = 2, n = 0; at < head; at++) {
            n = n << 8 | out.data[at];
            if (at + 1 == head)
                CHECK_EQ(n, len);
        }
        for (size_t at = 0; at < len; at++)
            out.data[head + 4 + at] ^= out.data[head + at % 4];
        CHECK(!memcmp(out.data + head + 4, data, len));
    }
}

TAP_MAIN(TAP_CASE(frames_in_any_pieces), TAP_CASE(pings_are_answered), TAP_CASE(the_end),
         TAP_CASE(what_no_server_sends), TAP_CASE(frames_out))
