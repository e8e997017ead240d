/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams of the host for serial ports and consoles: see chr.h for the model. Not here:
 * telnet, TLS, several clients at once (the console issue's proxy does that in front). */
#include "vm/backend/chr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct chr {
    enum chr_kind kind;
    struct loop *loop;
    int listen_fd; /* owned; CHR_LISTEN */
    int fd;        /* owned; the stream, -1: nobody there */
    bool socket;
    bool input_ended; /* the peer closed its direction; it may still read */
    bool want_input, want_output;
    bool dead; /* the reader did not read for CHR_STALL_NS: drop until it does */
    bool gone; /* hung up, and the user has not been told yet */
    struct loop_source listening, stream;
    struct loop_source timer; /* the reader's time is up; news for the user; accept again */
    uint32_t events;          /* that `stream` is in the loop with; 0: not in it */
    struct chr_user user;
    struct chr_stats stats;
};

static void on_stream(void *ctx, uint32_t events);

/* A source that asks for nothing would still report a hang-up, again and again: it leaves the
 * loop. */
static void update_events(struct chr *chr)
{
    uint32_t events = 0;

    if (chr->fd >= 0 && chr->kind != CHR_FILE) {
        events |= chr->want_input && !chr->input_ended ? EPOLLIN : 0;
        events |= chr->want_output ? EPOLLOUT : 0;
    }
    if (events == chr->events)
        return;
    if (!events)
        loop_del(&chr->stream);
    else if (chr->events)
        (void)loop_mod_fd(&chr->stream, events);
    else if (loop_add_fd(chr->loop, &chr->stream, chr->fd, events, on_stream, chr) < 0)
        events = 0;
    chr->events = events;
}

static void arm(struct chr *chr, uint64_t deadline_ns)
{
    (void)loop_timer_arm(&chr->timer, deadline_ns);
}

static void set_stalled(struct chr *chr, bool stalled)
{
    if (chr->want_output == stalled)
        return;
    chr->want_output = stalled;
    arm(chr, stalled ? clock_now() + CHR_STALL_NS : 0);
    update_events(chr);
}

/* The user hears of it from the loop, by the timer. */
static void hang_up(struct chr *chr)
{
    loop_del(&chr->stream);
    chr->events = 0;
    chr->fd = close_fd(chr->fd);
    chr->dead = false;
    chr->want_output = false;
    chr->gone = true;
    arm(chr, 1);
}

static void tell_link(struct chr *chr, bool up)
{
    if (chr->user.link)
        chr->user.link(chr->user.ctx, up);
}

static void tell_writable(struct chr *chr)
{
    if (chr->user.writable)
        chr->user.writable(chr->user.ctx);
}

static void tell_gone(struct chr *chr)
{
    if (!chr->gone)
        return;
    chr->gone = false;
    tell_link(chr, false);
    tell_writable(chr); /* what waited for the reader is dropped now */
}

static void on_client(void *ctx, uint32_t events)
{
    struct chr *chr = ctx;
    int fd;

    (void)events;
    tell_gone(chr);
    (void)loop_mod_fd(&chr->listening, 0);
    fd = accept4(chr->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) { /* it left, or we are out of descriptors: look again later */
        arm(chr, errno == EAGAIN ? 1 : clock_now() + CHR_STALL_NS);
        return;
    }
    chr->fd = fd;
    chr->input_ended = false;
    chr->stats.connects++;
    update_events(chr);
    tell_link(chr, true);
}

static void on_stream(void *ctx, uint32_t events)
{
    struct chr *chr = ctx;

    if (events & EPOLLOUT) {
        chr->dead = false;
        set_stalled(chr, false);
        tell_writable(chr);
    }
    if (chr->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && chr->want_input &&
        chr->user.readable)
        chr->user.readable(chr->user.ctx); /* finds the end of the stream, if that is it */
    if (chr->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) && !(events & (EPOLLIN | EPOLLOUT)))
        hang_up(chr);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct chr *chr = ctx;

    (void)events;
    tell_gone(chr);
    if (chr->want_output) {
        chr->dead = true; /* it stays in the loop for EPOLLOUT: that brings it back to life */
        tell_writable(chr);
    }
    if (chr->kind == CHR_LISTEN && chr->fd < 0)
        (void)loop_mod_fd(&chr->listening, EPOLLIN);
}

static int set_up(struct chr *chr, enum chr_kind kind, int fd)
{
    struct stat st;
    int rc = loop_add_timer(chr->loop, &chr->timer, on_timer, chr);

    if (rc < 0 || kind == CHR_NONE)
        return rc;
    if (fstat(fd, &st) < 0)
        return -errno;
    chr->socket = S_ISSOCK(st.st_mode);
    if (kind == CHR_LISTEN)
        return loop_add_fd(chr->loop, &chr->listening, fd, EPOLLIN, on_client, chr);
    if (!chr->socket && !S_ISREG(st.st_mode)) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            return -errno;
    }
    return 0;
}

int chr_create(enum chr_kind kind, int fd, struct loop *loop, struct chr **ret_chr, struct err *err)
{
    struct chr *chr = calloc(1, sizeof *chr);
    int rc;

    if (!chr)
        return err_sys(err, -ENOMEM, "character stream");
    *chr = (struct chr){.kind = kind, .loop = loop, .listen_fd = -1, .fd = -1};
    rc = set_up(chr, kind, fd);
    if (rc < 0) {
        chr_destroy(chr);
        return err_sys(err, rc, "character stream on descriptor %d", fd);
    }
    if (kind == CHR_LISTEN)
        chr->listen_fd = fd;
    else if (kind != CHR_NONE)
        chr->fd = fd;
    *ret_chr = chr;
    return 0;
}

void chr_destroy(struct chr *chr)
{
    if (!chr)
        return;
    loop_del(&chr->listening);
    loop_del(&chr->stream);
    loop_del(&chr->timer);
    (void)close_fd(chr->listen_fd);
    (void)close_fd(chr->fd);
    free(chr);
}

void chr_set_user(struct chr *chr, const struct chr_user *user)
{
    chr->user = user ? *user : (struct chr_user){0};
    chr_want_input(chr, false);
}

void chr_want_input(struct chr *chr, bool want)
{
    chr->want_input = want;
    update_events(chr);
}

/* The peer's end of file: a client of a listener has left; a plain stream may still read. */
static void end_input(struct chr *chr, bool error)
{
    if (chr->kind == CHR_LISTEN || error) {
        hang_up(chr);
        return;
    }
    chr->input_ended = true;
    update_events(chr);
}

size_t chr_read(struct chr *chr, void *data, size_t len)
{
    ssize_t n;

    if (chr->fd < 0 || chr->kind == CHR_FILE || chr->input_ended || !len)
        return 0;
    n = chr->socket ? recv(chr->fd, data, len, MSG_DONTWAIT) : read(chr->fd, data, len);
    if (n > 0)
        chr->stats.in += (uint64_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_input(chr, n < 0);
    return n > 0 ? (size_t)n : 0;
}

static ssize_t write_some(struct chr *chr, const struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};

    return chr->socket ? sendmsg(chr->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)
                       : writev(chr->fd, iov, count);
}

static size_t drop(struct chr *chr, size_t len)
{
    chr->stats.dropped += len;
    return len;
}

size_t chr_write(struct chr *chr, const struct iovec *iov, int count)
{
    size_t len = 0;
    ssize_t n;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (chr->fd < 0 || chr->dead)
        return drop(chr, len);
    n = write_some(chr, iov, count);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        if (chr->kind != CHR_FILE) /* a full disk may have room later */
            hang_up(chr);
        return drop(chr, len);
    }
    n = n < 0 ? 0 : n;
    chr->stats.out += (uint64_t)n;
    if ((size_t)n < len && chr->kind == CHR_FILE)
        return (size_t)n + drop(chr, len - (size_t)n);
    if ((size_t)n < len)
        set_stalled(chr, true);
    return (size_t)n;
}

bool chr_link(const struct chr *chr)
{
    return chr->fd >= 0 || chr->kind == CHR_NONE;
}

struct chr_stats chr_stats(const struct chr *chr)
{
    return chr->stats;
}
