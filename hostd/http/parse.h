/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 on the server's side (RFC 9112), as far as it is bytes: the head of a request, and where
 * its body's bytes are. No sockets, no allocation: all text stays in the caller's buffer.
 *
 * The peer is the front (nginx) or a local program, but the bytes in it are a stranger's. What two
 * readers could understand in two ways is refused: both Content-Length and Transfer-Encoding, two
 * Content-Lengths, bare CR, blanks before a colon, folded lines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 32 << 10,
    HTTP_HEADERS_MAX = 64,
    HTTP_CHUNK_LINE_MAX = 256,
    HTTP_PATH_MAX = 4096
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_MAX /* a name we do not know */
};

struct http_head {
    enum http_method method;
    char path[HTTP_PATH_MAX]; /* decoded, starts with '/', no "." or ".." element in it */
    const char *query;        /* behind '?', not decoded; "" if none */
    const char *target;       /* both, as sent */
    bool http10;
    bool keep_alive;
    bool chunked;
    bool expect_continue;
    bool has_length;
    uint64_t length; /* of the body, when has_length */
    struct {
        const char *name, *value;
    } header[HTTP_HEADERS_MAX];
    unsigned header_count;
};

/* Reads the head at data[0..len), in place: terminators are written into it, and the head points
 * into it (but for `path`) as long as it lives. Returns its length with the blank line; 0: not
 * complete yet, data untouched; negative: the status (-400, -414, -431, -501, -505) to answer
 * before closing. */
int http_parse_head(char *data, size_t len, struct http_head *ret_head);

/* Value of a header, any case; NULL without it. */
const char *http_header(const struct http_head *head, const char *name);

/* Copies the value of a cookie, quotes around it removed; false without it or when too long. */
bool http_cookie(const struct http_head *head, const char *name, char *value, size_t size);

/* Copies the decoded value of a query parameter; the same. */
bool http_query(const char *query, const char *name, char *value, size_t size);

/* %XX (and with `plus`, '+' as a blank) in place; false for a bad escape or an escaped NUL. */
bool http_unescape(char *text, bool plus);

/* A body's bytes as they come. */
struct http_body {
    bool chunked, done;
    uint64_t left; /* of the body or of the chunk */
    unsigned state, line;
};

void http_body_init(struct http_body *body, const struct http_head *head);

/* Looks at data[0..len): returns how many of its bytes are used up (framing and payload), and where
 * the payload among them is; negative: bad framing. body->done tells the end. May need to be called
 * again with the rest. */
int64_t http_body_next(struct http_body *body, const uint8_t *data, size_t len,
                       const uint8_t **ret_payload, size_t *ret_len);

/* "bytes=a-b" of one range against `size`: 0 and the range; -1: no range or one we ignore, send
 * all; -416. */
int http_range(const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_length);

const char *http_status_text(int status);
