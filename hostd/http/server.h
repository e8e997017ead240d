/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 server behind the front: connections on a Unix socket, one request at a time each,
 * answered at once or any time later without a thread held for it.
 *
 * A request's life (struct http_exchange; everything on the loop's thread):
 *
 *   head read --> handler->body_max --+-- n: body collected (at most n bytes) --> handler->request
 *                                     |      longer than that: handler->body_more, once
 *                                     +-- HTTP_STREAM: handler->request at once, body still out
 *   then exactly one of http_answer, http_transfer, http_upgrade, now or later.
 *
 * An exchange ends with its answer; the pointer is dead then. If the client goes before, `gone`
 * (if set) is called and the exchange ends with that.
 *
 * http_transfer moves the connection to a thread of its own where files are sent and received by
 * blocking calls (http_stream_*); the thread must touch nothing else of hostd's. There are at most
 * HTTP_TRANSFERS_MAX of these.
 *
 * Bounded: connections, bytes of collected bodies of one and of all, time for a head, time without
 * progress in either direction. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "hostd/http/parse.h"

enum {
    HTTP_CONNECTIONS_MAX = 2048,
    HTTP_TRANSFERS_MAX = 64,
    HTTP_BODIES_MAX = 256 << 20, /* all collected bodies together */
};
#define HTTP_STREAM     SIZE_MAX
#define HTTP_PEER_LOCAL "local"

struct http_server;

struct http_exchange {
    struct http_head head;
    const uint8_t *body; /* collected */
    size_t body_len;
    bool local;    /* by the local socket, from a program of root's or of our own user */
    char peer[48]; /* the client's address as the front says, or HTTP_PEER_LOCAL */

    /* The handler's. */
    void *user;
    void (*gone)(struct http_exchange *x);
};

struct http_handler {
    /* Head only is there. */
    size_t (*body_max)(void *ctx, const struct http_exchange *x);
    /* The first body_max bytes are there as well (x->body), and say perhaps who the client is: how
     * many it may be then. NULL: never more. */
    size_t (*body_more)(void *ctx, const struct http_exchange *x);
    void (*request)(void *ctx, struct http_exchange *x);
    void *ctx;
};

/* Takes `listen_fd` over on success. `local`: it is no front's, clients come directly.
 * The handler is borrowed. */
int http_server_create(struct loop *loop, int listen_fd, bool local,
                       const struct http_handler *handler, struct http_server **ret_server);
void http_server_destroy(struct http_server *server); /* accepts NULL; waits for transfers */
unsigned http_server_connections(const struct http_server *server);

/* `headers`: lines with their CR LF, or NULL. `body` is taken (may be NULL). */
void http_answer(struct http_exchange *x, int status, const char *content_type, const char *headers,
                 struct buf *body);
void http_answer_text(struct http_exchange *x, int status, const char *text);

/* Leaves HTTP: answers 101 with `headers`; the descriptor is the caller's from now on. */
int http_upgrade(struct http_exchange *x, const char *headers, int *ret_fd);

struct http_stream;

/* `run` on a thread; `arg` is its own. 503 is answered (and `drop` called with arg) when there are
 * too many. */
void http_transfer(struct http_exchange *x, void (*run)(struct http_stream *stream, void *arg),
                   void (*drop)(void *arg), void *arg);

/* On that thread, blocking. Negative errno when the client is gone or too slow. */
bool http_stream_local(const struct http_stream *stream); /* of its exchange */
const struct http_head *http_stream_request(const struct http_stream *stream);
ssize_t http_stream_read(struct http_stream *stream, void *data, size_t len); /* 0: body's end */
/* The same without a copy: the bytes are good until the next call. 0: body's end. */
ssize_t http_stream_borrow(struct http_stream *stream, const uint8_t **ret_data);
/* Must be the first output. Exactly `length` bytes of body follow (none after HEAD); with
 * HTTP_CHUNKED any number, and http_stream_end behind them. */
#define HTTP_CHUNKED UINT64_MAX
int http_stream_head(struct http_stream *stream, int status, const char *content_type,
                     const char *headers, uint64_t length);
int http_stream_write(struct http_stream *stream, const void *data, size_t len);
int http_stream_sendfile(struct http_stream *stream, int fd, uint64_t offset, uint64_t len);
/* Only where the exchange is `local`: instead of a body the descriptor itself (SCM_RIGHTS), with
 * the first byte of the head. */
int http_stream_give(struct http_stream *stream, int status, const char *headers, int fd);
int http_stream_answer(struct http_stream *stream, int status, const char *text);
int http_stream_end(struct http_stream *stream); /* of a chunked body */
/* It can not be brought to its end: `status` if nothing was said yet, else the connection breaks.
 */
void http_stream_break(struct http_stream *stream, int status, const char *text);
