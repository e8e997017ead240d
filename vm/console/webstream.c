/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/webstream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

enum { WEB, STREAM };

struct webstream {
    struct conn conn[2];
    void (*ended)(void *ctx, struct webstream *webstream);
    void *ctx;
};

/* What has come from one side goes to the other. */
static int pass(struct webstream *w, unsigned from)
{
    cleanup_buf struct buf data = {0};
    int rc = conn_read(&w->conn[from], &data);

    if (data.len)
        conn_put(&w->conn[!from], data.data, data.len);
    return rc == -EAGAIN ? 0 : rc;
}

static void on_side(struct webstream *w, unsigned side, uint32_t events)
{
    int rc = 0;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        rc = pass(w, side);
    if (rc < 0)
        conn_end(&w->conn[WEB]);
    int web = conn_flush(&w->conn[WEB]), stream = conn_flush(&w->conn[STREAM]);
    if (rc < 0 || web < 0 || stream < 0) {
        w->ended(w->ctx, w);
        return;
    }
    conn_listen(&w->conn[WEB], stream == 0);
    conn_listen(&w->conn[STREAM], web == 0);
}

static void on_web(void *ctx, uint32_t events)
{
    on_side(ctx, WEB, events);
}

static void on_stream(void *ctx, uint32_t events)
{
    on_side(ctx, STREAM, events);
}

int webstream_create(struct loop *loop, int websocket, int stream,
                     void (*ended)(void *ctx, struct webstream *webstream), void *ctx,
                     struct webstream **ret_webstream)
{
    struct webstream *w = calloc(1, sizeof *w);

    if (!w) {
        (void)close_fd(websocket);
        (void)close_fd(stream);
        return -ENOMEM;
    }
    w->ended = ended;
    w->ctx = ctx;
    int rc = conn_open(&w->conn[WEB], loop, websocket, true, on_web, w);
    int second = conn_open(&w->conn[STREAM], loop, stream, false, on_stream, w);
    if (rc < 0 || second < 0) {
        webstream_destroy(w);
        return rc < 0 ? rc : second;
    }
    *ret_webstream = w;
    return 0;
}

void webstream_destroy(struct webstream *webstream)
{
    if (!webstream)
        return;
    conn_close(&webstream->conn[WEB]);
    conn_close(&webstream->conn[STREAM]);
    free(webstream);
}
