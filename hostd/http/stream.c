/* SPDX-License-Identifier: Apache-2.0 */
/* Files over HTTP: a connection in the hands of a thread, blocking, with a time limit on each step.
 * sendfile(2) sends; what is received is copied once, by the caller's buffer. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "base/thread.h"
#include "hostd/http/conn.h"

enum { STALL_MS = 60000, SENDFILE_MAX = 1 << 20, DRAIN_MAX = 1 << 20 };

struct http_stream {
    struct conn *conn;
    void (*run)(struct http_stream *stream, void *arg);
    void *arg;
    uint64_t owed; /* bytes of the answer's body */
    bool answered, broken, chunked;
};

static int wait_for(struct http_stream *stream, short events)
{
    struct pollfd p = {.fd = stream->conn->fd, .events = events};
    int rc = poll(&p, 1, STALL_MS);

    if (rc == 1)
        return 0;
    stream->broken = true;
    return rc ? -errno : -ETIMEDOUT;
}

const struct http_head *http_stream_request(const struct http_stream *stream)
{
    return &stream->conn->x.head;
}

/* Room in conn->in is made by taking what is there first: `in` holds at most what came with the
 * head. */
static int refill(struct http_stream *stream)
{
    enum { STEP = 256 << 10 };
    struct conn *conn = stream->conn;

    conn->in.len = conn->in_at = 0;
    uint8_t *at = buf_grow(&conn->in, STEP);
    conn->in.len = 0;
    while (at) {
        ssize_t n = read(conn->fd, at, STEP);
        if (n > 0) {
            conn->in.len = (size_t)n;
            return 0;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            break;
        int rc = wait_for(stream, POLLIN);
        if (rc < 0)
            return rc;
    }
    stream->broken = true;
    return -EPIPE;
}

/* The next bytes of the body, out of at most `most` on the wire. */
static ssize_t next_bytes(struct http_stream *stream, size_t most, const uint8_t **ret_data)
{
    struct conn *conn = stream->conn;

    while (!conn->framing.done) {
        size_t got;
        if (conn->in_at == conn->in.len && refill(stream) < 0)
            return -EPIPE;
        /* Framing and payload are together never more than what is looked at. */
        int64_t used = http_body_next(&conn->framing, conn->in.data + conn->in_at,
                                      MIN(conn->in.len - conn->in_at, most), ret_data, &got);
        if (used < 0) {
            stream->broken = true;
            return -EBADMSG;
        }
        conn->in_at += (size_t)used;
        if (got)
            return (ssize_t)got;
    }
    return 0;
}

ssize_t http_stream_borrow(struct http_stream *stream, const uint8_t **ret_data)
{
    return next_bytes(stream, SIZE_MAX, ret_data);
}

ssize_t http_stream_read(struct http_stream *stream, void *data, size_t len)
{
    const uint8_t *from;
    ssize_t n = next_bytes(stream, len, &from);

    if (n > 0)
        memcpy(data, from, (size_t)n);
    return n;
}

static int send_all(struct http_stream *stream, const void *data, size_t len)
{
    while (len) {
        ssize_t n = send(stream->conn->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            stream->broken = true;
            return -errno;
        }
        if (n < 0) {
            int rc = wait_for(stream, POLLOUT);
            if (rc < 0)
                return rc;
            continue;
        }
        data = (const char *)data + n;
        len -= (size_t)n;
    }
    return 0;
}

/* What is left of a small unread body is taken off; a large one ends the connection. */
static void drain(struct http_stream *stream)
{
    uint8_t data[16 << 10];
    size_t total = 0;
    ssize_t n = 1;

    while (n > 0 && total < DRAIN_MAX)
        total += (size_t)MAX(n = http_stream_read(stream, data, sizeof data), 0);
    stream->conn->last |= !stream->conn->framing.done;
    stream->conn->unread = !stream->conn->framing.done;
}

int http_stream_head(struct http_stream *stream, int status, const char *content_type,
                     const char *headers, uint64_t length)
{
    cleanup_buf struct buf out = {0};

    drain(stream);
    conn_put_head(stream->conn, &out, status, content_type, headers, length);
    stream->answered = true;
    stream->chunked = length == HTTP_CHUNKED && stream->conn->x.head.method != HTTP_HEAD;
    stream->owed = stream->conn->x.head.method == HTTP_HEAD || status == 204 ? 0 : length;
    if (out.failed)
        stream->broken = true;
    return out.failed ? -ENOMEM : send_all(stream, out.data, out.len);
}

bool http_stream_local(const struct http_stream *stream)
{
    return stream->conn->x.local;
}

static ssize_t send_with(int socket, const void *data, size_t len, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int http_stream_give(struct http_stream *stream, int status, const char *headers, int fd)
{
    cleanup_buf struct buf out = {0};
    int rc = 0;

    drain(stream);
    conn_put_head(stream->conn, &out, status, NULL, headers, 0);
    stream->answered = true;
    while (!out.failed && rc == 0) {
        ssize_t n = send_with(stream->conn->fd, out.data, out.len, fd);
        if (n > 0)
            return send_all(stream, out.data + n, out.len - (size_t)n);
        rc = errno == EAGAIN ? wait_for(stream, POLLOUT) : errno == EINTR ? 0 : -errno;
    }
    stream->broken = true;
    return out.failed ? -ENOMEM : rc;
}

static int write_chunk(struct http_stream *stream, const void *data, size_t len)
{
    char line[24];
    int n = snprintf(line, sizeof line, "%zx\r\n", len);
    int rc = send_all(stream, line, (size_t)n);

    rc = rc < 0 ? rc : send_all(stream, data, len);
    return rc < 0 ? rc : send_all(stream, "\r\n", 2);
}

int http_stream_end(struct http_stream *stream)
{
    if (!stream->chunked)
        return 0;
    stream->owed = 0;
    return send_all(stream, "0\r\n\r\n", 5);
}

void http_stream_break(struct http_stream *stream, int status, const char *text)
{
    if (!stream->answered && !stream->broken)
        (void)http_stream_answer(stream, status, text);
    else
        stream->broken = true;
}

int http_stream_write(struct http_stream *stream, const void *data, size_t len)
{
    if (stream->chunked)
        return len ? write_chunk(stream, data, len) : 0;
    len = (size_t)MIN((uint64_t)len, stream->owed);
    stream->owed -= len;
    return send_all(stream, data, len);
}

int http_stream_sendfile(struct http_stream *stream, int fd, uint64_t offset, uint64_t len)
{
    off_t at = (off_t)offset;

    len = MIN(len, stream->owed);
    while (len) {
        ssize_t n = sendfile(stream->conn->fd, fd, &at, (size_t)MIN(len, (uint64_t)SENDFILE_MAX));
        if (n > 0) {
            len -= (uint64_t)n;
            stream->owed -= (uint64_t)n;
            continue;
        }
        int rc = n == 0 ? -EIO : -errno; /* 0: the file has become shorter */
        if (rc == -EAGAIN)
            rc = wait_for(stream, POLLOUT);
        if (rc < 0 && rc != -EINTR) {
            stream->broken = true;
            return rc;
        }
    }
    return 0;
}

int http_stream_answer(struct http_stream *stream, int status, const char *text)
{
    size_t len = text && status != 204 ? strlen(text) : 0;
    int rc = http_stream_head(stream, status, len ? "text/plain; charset=utf-8" : NULL, NULL, len);

    return rc < 0 || !len ? rc : http_stream_write(stream, text, len);
}

static void *stream_main(void *arg)
{
    struct http_stream *stream = arg;
    struct conn *conn = stream->conn;

    stream->run(stream, stream->arg);
    if (!stream->answered && !stream->broken)
        (void)http_stream_answer(stream, 500, "the transfer ended without an answer\n");
    bool ok = !stream->broken && !stream->owed;
    free(stream);
    conn->unread &= ok; /* of a broken one nobody waits for an answer */
    server_transfer_done(conn->server, conn, ok);
    return NULL;
}

void http_transfer(struct http_exchange *x, void (*run)(struct http_stream *stream, void *arg),
                   void (*drop)(void *arg), void *arg)
{
    struct conn *conn = container_of(x, struct conn, x);
    struct http_stream *stream = calloc(1, sizeof *stream);
    pthread_t thread;

    if (!stream || !server_transfer_begin(conn->server, conn)) {
        free(stream);
        drop(arg);
        http_answer_text(x, 503, "too many transfers at once");
        return;
    }
    *stream = (struct http_stream){.conn = conn, .run = run, .arg = arg};
    if (thread_start(&thread, "transfer", stream_main, stream) == 0) {
        (void)pthread_detach(thread);
        return;
    }
    free(stream);
    drop(arg);
    server_transfer_done(conn->server, conn, false);
}
