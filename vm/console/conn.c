/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/range.h"

enum { STATUS_GONE = 1001, STATUS_TRY_LATER = 1013, KEEP = 64 << 10 };

int conn_open(struct conn *conn, struct loop *loop, int fd, bool web,
              void (*ready)(void *ctx, uint32_t events), void *ctx)
{
    *conn = (struct conn){.web = web, .watched = EPOLLIN};
    int flags = fcntl(fd, F_GETFL);
    int rc = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;

    if (rc == 0)
        rc = loop_add_fd(loop, &conn->source, fd, EPOLLIN, ready, ctx);
    if (rc < 0)
        (void)close_fd(fd);
    return rc;
}

void conn_close(struct conn *conn)
{
    int fd = conn->source.loop ? conn->source.fd : -1;

    loop_del(&conn->source);
    (void)close_fd(fd);
    buf_free(&conn->out);
    *conn = (struct conn){0};
}

int conn_read(struct conn *conn, struct buf *data)
{
    uint8_t bytes[CONN_READ_MAX];
    ssize_t n = read(conn->source.fd, bytes, sizeof bytes);

    if (n <= 0)
        return n == 0 ? -EPIPE : errno == EINTR ? -EAGAIN : -errno;
    if (!conn->web) {
        buf_put(data, bytes, (size_t)n);
        return data->failed ? -ENOMEM : 0;
    }
    int rc = websock_take(&conn->ws, bytes, (size_t)n, data, &conn->out);
    if (data->failed || conn->out.failed)
        return -ENOMEM;
    return rc == 0 && conn->ws.closed ? -EPIPE : rc;
}

void conn_put(struct conn *conn, const uint8_t *data, size_t len)
{
    if (conn->web && (conn->ws.closed || conn->ended))
        return; /* nothing follows a farewell (RFC 6455, 5.5.1) */
    if (conn->web && len)
        websock_put(&conn->out, data, len);
    else
        buf_put(&conn->out, data, len);
}

void conn_end(struct conn *conn)
{
    if (conn->web && !conn->ws.closed && !conn->ended)
        websock_put_close(&conn->out, STATUS_GONE);
    conn->ended = true;
}

void conn_refuse(int fd, bool web)
{
    struct buf out = {0};

    if (web)
        websock_put_close(&out, STATUS_TRY_LATER);
    if (out.len)
        (void)send(fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_free(&out);
    (void)close_fd(fd);
}

static void watch(struct conn *conn, uint32_t events)
{
    if (events != conn->watched && loop_mod_fd(&conn->source, events) == 0)
        conn->watched = events;
}

void conn_listen(struct conn *conn, bool on)
{
    bool owed =
        conn->out.len - conn->sent > CONN_OWED_MAX; /* pongs, answers: it asks and does not read */

    watch(conn, (on && !owed ? EPOLLIN : 0u) | (conn_pending(conn) ? EPOLLOUT : 0u));
}

int conn_flush(struct conn *conn)
{
    while (conn_pending(conn)) {
        ssize_t n = send(conn->source.fd, conn->out.data + conn->sent, conn->out.len - conn->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0)
            return 1;
        conn->sent += (size_t)n;
    }
    conn->sent = conn->out.len = 0;
    if (conn->out.cap > KEEP)
        buf_free(&conn->out);
    return 0;
}
