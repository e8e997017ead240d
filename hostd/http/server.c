/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9112 from the server's side. Behind the front there is no TLS and no HTTP/2 to speak. */
#include "hostd/http/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/http/conn.h"

enum {
    READ_STEP = 64 << 10,
    SWEEP_S = 5,
    HEAD_S = 30,  /* from a head's first byte to its last */
    IDLE_S = 180, /* between requests; longer than the front keeps a connection */
    DRAIN_S = 5,  /* reading away what nobody wants any more */
    STALL_S = 60, /* without one byte, in a body or an answer */
};
#define SECONDS(n) ((uint64_t)(n)*1000000000)

struct http_server {
    struct loop *loop;
    const struct http_handler *handler;
    bool local;
    int listen_fd;
    struct loop_source accept_source, sweep, done_source;
    struct conn *first;
    unsigned connections;
    size_t bodies; /* bytes that collected bodies hold, or may come to hold */

    pthread_mutex_t lock; /* of what transfers share */
    pthread_cond_t idle;
    unsigned transfers;
    struct conn *done; /* by `next`: their threads are through */
};

static void conn_advance(struct conn *conn);

/* --- life --- */

static void conn_link(struct http_server *server, struct conn *conn)
{
    conn->next = server->first;
    if (server->first)
        server->first->prev = conn;
    server->first = conn;
    server->connections++;
}

static void conn_unlink(struct http_server *server, struct conn *conn)
{
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->first = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->next = conn->prev = NULL;
    server->connections--;
}

static void end_request(struct conn *conn)
{
    conn->server->bodies -= conn->body_max;
    conn->body_max = 0;
    buf_free(&conn->body);
    free(conn->head);
    conn->head = NULL;
    conn->x = (struct http_exchange){0};
}

static void conn_free(struct conn *conn)
{
    loop_del(&conn->source);
    end_request(conn);
    buf_free(&conn->in);
    buf_free(&conn->out);
    (void)close_fd(conn->fd);
    free(conn);
}

/* The client is gone, or has behaved so that it is as well. Frees, unless conn_advance is above us
 * and does it. */
static void conn_drop(struct conn *conn)
{
    struct http_server *server = conn->server;
    bool handling = conn->state == CONN_HANDLING;

    conn->state = CONN_CLOSING;
    if (handling && conn->x.gone)
        conn->x.gone(&conn->x);
    if (conn->advancing)
        return;
    conn_unlink(server, conn);
    conn_free(conn);
    if (server->accept_source.loop)
        (void)loop_mod_fd(&server->accept_source, EPOLLIN);
}

static void on_conn(void *ctx, uint32_t events)
{
    struct conn *conn = ctx;

    if (events & (EPOLLHUP | EPOLLERR) || (events & EPOLLRDHUP && conn->state == CONN_HANDLING))
        conn_drop(conn);
    else
        conn_advance(conn);
}

static void accept_one(struct http_server *server, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn || loop_add_fd(server->loop, &conn->source, fd, EPOLLIN, on_conn, conn) < 0) {
        free(conn);
        (void)close_fd(fd);
        return;
    }
    conn->server = server;
    conn->fd = fd;
    conn->deadline = clock_now() + SECONDS(IDLE_S);
    conn_link(server, conn);
}

static void on_accept(void *ctx, uint32_t events)
{
    struct http_server *server = ctx;

    (void)events;
    while (server->connections < HTTP_CONNECTIONS_MAX) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        accept_one(server, fd);
    }
    (void)loop_mod_fd(&server->accept_source, 0); /* the rest waits in the backlog */
}

static void on_sweep(void *ctx, uint32_t events)
{
    struct http_server *server = ctx;
    uint64_t now = clock_now();

    (void)events;
    for (struct conn *conn = server->first, *next; conn; conn = next) {
        next = conn->next;
        if (conn->state != CONN_TRANSFER && conn->deadline && now > conn->deadline)
            conn_drop(conn);
    }
    (void)loop_timer_arm(&server->sweep, now + SECONDS(SWEEP_S));
}

/* --- reading --- */

/* 1: something came; 0: nothing now; negative: the end. */
static int receive(struct conn *conn)
{
    if (conn->in_at == conn->in.len)
        conn->in.len = conn->in_at = 0;
    size_t before = conn->in.len;
    uint8_t *at = buf_grow(&conn->in, READ_STEP);
    if (!at)
        return -ENOMEM;
    ssize_t n = read(conn->fd, at, READ_STEP);
    conn->in.len = before + (size_t)MAX(n, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n ? 1 : -EPIPE;
}

/* An answer of the server's own, after which the connection closes. */
static void refuse(struct conn *conn, int status)
{
    conn->last = conn->unread = true;
    conn->state = CONN_HANDLING;
    conn->x.gone = NULL;
    http_answer_text(&conn->x, status, http_status_text(status));
}

/* Somebody else at the local socket, should its mode ever let him, is a client like any other. */
static bool is_owner(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void note_peer(struct conn *conn)
{
    const char *address = http_header(&conn->x.head, "X-Real-IP");

    conn->x.local = conn->server->local && is_owner(conn->fd);
    (void)snprintf(conn->x.peer, sizeof conn->x.peer, "%s",
                   conn->server->local || !address ? HTTP_PEER_LOCAL : address);
}

static void hand_over(struct conn *conn)
{
    conn->state = CONN_HANDLING;
    conn->deadline = 0;
    conn->x.body = conn->body.data;
    conn->x.body_len = conn->body.len;
    (void)loop_mod_fd(&conn->source, EPOLLRDHUP);
    conn->server->handler->request(conn->server->handler->ctx, &conn->x);
}

static void begin_body(struct conn *conn)
{
    const struct http_handler *handler = conn->server->handler;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t most = handler->body_max(handler->ctx, &conn->x);

    http_body_init(&conn->framing, &conn->x.head);
    if (conn->x.head.expect_continue && !conn->framing.done)
        (void)!write(conn->fd, go_on, sizeof go_on - 1);
    if (most == HTTP_STREAM || conn->framing.done) {
        hand_over(conn);
        return;
    }
    if (conn->x.head.has_length && conn->x.head.length <= most)
        most = (size_t)conn->x.head.length;
    else if (conn->x.head.has_length && !handler->body_more)
        most = 0;
    conn->asked_more = false;
    if (!most) {
        refuse(conn, 413);
    } else if (conn->server->bodies + most > HTTP_BODIES_MAX) {
        refuse(conn, 503);
    } else {
        conn->body_max = most;
        conn->server->bodies += most;
        conn->state = CONN_BODY;
    }
}

/* A copy of the head, once all of it is there, is what is parsed: `in` goes on changing. */
static int take_head(struct conn *conn)
{
    size_t len = conn->in.len - conn->in_at;
    const char *text = (const char *)conn->in.data + conn->in_at;

    if (!len || (len <= HTTP_HEAD_MAX && !memmem(text, len, "\r\n\r\n", 4)))
        return 0;
    len = MIN(len, (size_t)HTTP_HEAD_MAX + 4);
    if (!(conn->head = malloc(len)))
        return -503;
    memcpy(conn->head, text, len);
    return http_parse_head(conn->head, len, &conn->x.head);
}

/* True: a request is under way. */
static bool try_head(struct conn *conn)
{
    int rc = take_head(conn);

    if (rc == 0) {
        free(TAKE_PTR(conn->head));
        if (conn->in.len > conn->in_at)
            conn->deadline = MIN(conn->deadline, clock_now() + SECONDS(HEAD_S));
        return false;
    }
    if (rc < 0) {
        refuse(conn, -rc);
        return true;
    }
    conn->in_at += (size_t)rc;
    conn->last = !conn->x.head.keep_alive;
    note_peer(conn);
    begin_body(conn);
    return true;
}

/* `len` more do not go into what was allowed: 0, or the status to refuse with. */
static int allow_more(struct conn *conn, size_t len)
{
    const struct http_handler *handler = conn->server->handler;
    uint64_t wanted = conn->x.head.has_length ? conn->x.head.length : conn->body.len + len;

    if (conn->asked_more || !handler->body_more)
        return 413;
    conn->asked_more = true;
    conn->x.body = conn->body.data;
    conn->x.body_len = conn->body.len;
    size_t most = handler->body_more(handler->ctx, &conn->x);
    if (most < wanted)
        return 413;
    if (conn->x.head.has_length)
        most = (size_t)wanted;
    if (conn->server->bodies - conn->body_max + most > HTTP_BODIES_MAX)
        return 503;
    conn->server->bodies += most - conn->body_max;
    conn->body_max = most;
    return 0;
}

/* 0, or the status to refuse with. */
static int collect(struct conn *conn, const uint8_t *payload, size_t len)
{
    size_t fits = MIN(len, conn->body_max - conn->body.len);
    int status = 0;

    buf_put(&conn->body, payload, fits);
    if (conn->body.failed)
        return 503;
    if (fits < len && (status = allow_more(conn, len - fits)) == 0)
        buf_put(&conn->body, payload + fits, len - fits);
    return status;
}

static bool try_body(struct conn *conn)
{
    bool any = false;

    while (!conn->framing.done && conn->in_at < conn->in.len) {
        const uint8_t *payload;
        size_t len;
        int64_t used = http_body_next(&conn->framing, conn->in.data + conn->in_at,
                                      conn->in.len - conn->in_at, &payload, &len);
        int status = used < 0 ? 400 : collect(conn, payload, len);
        if (status) {
            refuse(conn, status);
            return true;
        }
        conn->in_at += (size_t)used;
        any = true;
    }
    if (any)
        conn->deadline = clock_now() + SECONDS(STALL_S);
    if (!conn->framing.done)
        return false;
    if (conn->body.failed)
        refuse(conn, 503);
    else
        hand_over(conn);
    return true;
}

/* --- writing --- */

void conn_put_head(struct conn *conn, struct buf *out, int status, const char *content_type,
                   const char *headers, uint64_t length)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    if (content_type)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    if (length == HTTP_CHUNKED)
        buf_put_str(out, "Transfer-Encoding: chunked\r\n");
    else if (status != 204 && status != 304)
        buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)length);
    if (headers)
        buf_put_str(out, headers);
    buf_printf(out, "Connection: %s\r\n\r\n", conn->last ? "close" : "keep-alive");
}

static void flush(struct conn *conn)
{
    while (conn->out_at < conn->out.len) {
        ssize_t n = send(conn->fd, conn->out.data + conn->out_at, conn->out.len - conn->out_at,
                         MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            conn->state = CONN_CLOSING;
            return;
        }
        if (n < 0)
            return;
        conn->out_at += (size_t)n;
        conn->deadline = clock_now() + SECONDS(STALL_S);
    }
    buf_free(&conn->out);
    conn->out_at = 0;
    conn->state = conn->unread ? CONN_DRAINING : conn->last ? CONN_CLOSING : CONN_HEAD;
    conn->deadline = clock_now() + SECONDS(conn->unread ? DRAIN_S : IDLE_S);
    if (conn->unread)
        (void)shutdown(conn->fd, SHUT_WR);
}

void http_answer(struct http_exchange *x, int status, const char *content_type, const char *headers,
                 struct buf *body)
{
    struct conn *conn = container_of(x, struct conn, x);
    bool head_only = x->head.method == HTTP_HEAD;
    size_t len = body ? body->len : 0;

    if (!conn->framing.done && conn->state == CONN_HANDLING)
        conn->last = conn->unread = true; /* a body that nobody read is in the way */
    conn_put_head(conn, &conn->out, status, content_type, headers, len);
    if (len && !head_only)
        buf_put(&conn->out, body->data, len);
    if (body)
        conn->out.failed |= body->failed;
    if (body)
        buf_free(body);
    end_request(conn);
    conn->state = conn->out.failed ? CONN_CLOSING : CONN_WRITING;
    conn->deadline = clock_now() + SECONDS(STALL_S);
    if (!conn->advancing)
        conn_advance(conn);
}

void http_answer_text(struct http_exchange *x, int status, const char *text)
{
    struct buf body = {0};

    buf_printf(&body, "%s\n", text);
    http_answer(x, status, "text/plain; charset=utf-8", NULL, &body);
}

int http_upgrade(struct http_exchange *x, const char *headers, int *ret_fd)
{
    struct conn *conn = container_of(x, struct conn, x);
    cleanup_buf struct buf out = {0};

    buf_printf(&out, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", headers);
    if (out.failed || conn->in_at != conn->in.len ||
        send(conn->fd, out.data, out.len, MSG_NOSIGNAL) != (ssize_t)out.len)
        return -EIO;
    loop_del(&conn->source);
    *ret_fd = TAKE_FD(conn->fd);
    x->gone = NULL;
    conn_drop(conn);
    return 0;
}

/* --- the machine --- */

/* One step; false: nothing to do until something comes. */
static bool step(struct conn *conn)
{
    switch (conn->state) {
    case CONN_HEAD:
        return try_head(conn);
    case CONN_BODY:
        return try_body(conn);
    case CONN_WRITING:
        flush(conn);
        return conn->state == CONN_HEAD;
    case CONN_DRAINING:
        conn->in_at = conn->in.len;
        return false;
    default:
        return false;
    }
}

static bool reads(const struct conn *conn)
{
    return conn->state == CONN_HEAD || conn->state == CONN_BODY || conn->state == CONN_DRAINING;
}

static void conn_advance(struct conn *conn)
{
    int got = 1;

    conn->advancing = true;
    while (got > 0) {
        while (step(conn))
            continue;
        if (!reads(conn))
            break;
        got = receive(conn);
    }
    conn->advancing = false;
    if (conn->state != CONN_TRANSFER && conn->in_at == conn->in.len) {
        buf_free(&conn->in); /* a connection that waits, waits without it */
        conn->in_at = 0;
    }
    if (got < 0 || conn->state == CONN_CLOSING)
        conn_drop(conn);
    else if (reads(conn))
        (void)loop_mod_fd(&conn->source, EPOLLIN);
    else if (conn->state == CONN_WRITING)
        (void)loop_mod_fd(&conn->source, EPOLLOUT);
}

/* --- transfers --- */

void server_transfer_done(struct http_server *server, struct conn *conn, bool ok)
{
    const uint64_t one = 1;

    conn->last |= !ok;
    (void)pthread_mutex_lock(&server->lock);
    conn->next = server->done;
    server->done = conn;
    server->transfers--;
    (void)!write(server->done_source.fd, &one, sizeof one);
    (void)pthread_cond_signal(&server->idle);
    (void)pthread_mutex_unlock(&server->lock);
}

/* Back in the loop. */
static void resume(struct http_server *server, struct conn *conn)
{
    end_request(conn);
    conn->prev = conn->next = NULL;
    if ((conn->last && !conn->unread) ||
        loop_add_fd(server->loop, &conn->source, conn->fd, EPOLLIN, on_conn, conn)) {
        conn_free(conn);
        return;
    }
    conn->state = conn->unread ? CONN_DRAINING : CONN_HEAD;
    conn->deadline = clock_now() + SECONDS(conn->unread ? DRAIN_S : IDLE_S);
    if (conn->unread)
        (void)shutdown(conn->fd, SHUT_WR); /* the answer stands, whatever else comes */
    conn_link(server, conn);
    conn_advance(conn);
}

static void on_done(void *ctx, uint32_t events)
{
    struct http_server *server = ctx;
    struct conn *done;
    uint64_t count;

    (void)events;
    (void)!read(server->done_source.fd, &count, sizeof count);
    (void)pthread_mutex_lock(&server->lock);
    done = TAKE_PTR(server->done);
    (void)pthread_mutex_unlock(&server->lock);
    for (struct conn *next; done; done = next) {
        next = done->next;
        resume(server, done);
    }
}

bool server_transfer_begin(struct http_server *server, struct conn *conn)
{
    (void)pthread_mutex_lock(&server->lock);
    bool room = server->transfers < HTTP_TRANSFERS_MAX;
    server->transfers += room;
    (void)pthread_mutex_unlock(&server->lock);
    if (!room)
        return false;
    loop_del(&conn->source);
    conn_unlink(server, conn);
    conn->state = CONN_TRANSFER;
    return true;
}

/* --- the server --- */

unsigned http_server_connections(const struct http_server *server)
{
    return server->connections;
}

int http_server_create(struct loop *loop, int listen_fd, bool local,
                       const struct http_handler *handler, struct http_server **ret_server)
{
    struct http_server *server = calloc(1, sizeof *server);
    int done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (!server || done_fd < 0) {
        free(server);
        return close_fd(done_fd), -ENOMEM;
    }
    server->loop = loop;
    server->handler = handler;
    server->local = local;
    server->listen_fd = -1;
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->idle, NULL);
    int rc = loop_add_fd(loop, &server->done_source, done_fd, EPOLLIN, on_done, server);
    server->done_source.fd = done_fd;
    if (rc == 0)
        rc = loop_add_timer(loop, &server->sweep, on_sweep, server);
    if (rc == 0)
        rc = loop_add_fd(loop, &server->accept_source, listen_fd, EPOLLIN, on_accept, server);
    if (rc < 0) {
        http_server_destroy(server);
        return rc;
    }
    server->listen_fd = listen_fd;
    (void)loop_timer_arm(&server->sweep, clock_now() + SECONDS(SWEEP_S));
    *ret_server = server;
    return 0;
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    loop_del(&server->accept_source);
    loop_del(&server->sweep);
    for (struct conn *conn = server->first; conn; conn = conn->next)
        if (conn->state == CONN_TRANSFER)
            (void)shutdown(conn->fd, SHUT_RDWR); /* so that its thread is soon through */
    (void)pthread_mutex_lock(&server->lock);
    while (server->transfers)
        (void)pthread_cond_wait(&server->idle, &server->lock);
    (void)pthread_mutex_unlock(&server->lock);
    on_done(server, 0);
    while (server->first)
        conn_drop(server->first);
    loop_del(&server->done_source);
    (void)close_fd(server->done_source.fd);
    (void)close_fd(server->listen_fd);
    (void)pthread_cond_destroy(&server->idle);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
