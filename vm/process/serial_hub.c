/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/serial_hub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { INPUT = 4096 };

struct watcher {
    struct serial_hub *hub;
    struct loop_source source; /* not in a loop: the place is free */
    uint64_t at;               /* of the bytes ever sent, the next one that he gets */
    bool silent;               /* he will type nothing any more */
};

struct serial_hub {
    struct loop *loop;
    int vm_fd;
    struct loop_source vm; /* out of the loop once the VM has hung up */
    struct watcher watcher[SERIAL_HUB_WATCHERS];
    uint64_t sent; /* by the VM; the ring has the last of it */
    char ring[SERIAL_HUB_RING];
    char input[INPUT]; /* typed, from input_at on not yet taken by the VM */
    size_t input_at, input_len;
};

static void hang_up(struct watcher *watcher)
{
    int fd = watcher->source.fd;

    loop_del(&watcher->source);
    (void)close_fd(fd);
}

static bool input_waits(const struct serial_hub *hub)
{
    return hub->input_at < hub->input_len;
}

/* Sets what the loop waits for by what there is to do. */
static void rearm(struct serial_hub *hub)
{
    bool waits = input_waits(hub);

    for (unsigned i = 0; i < SERIAL_HUB_WATCHERS; i++) {
        struct watcher *watcher = &hub->watcher[i];
        if (watcher->source.loop)
            (void)loop_mod_fd(&watcher->source, (watcher->at < hub->sent ? EPOLLOUT : 0) |
                                                    (waits || watcher->silent ? 0 : EPOLLIN));
    }
    if (hub->vm.loop)
        (void)loop_mod_fd(&hub->vm, EPOLLIN | (waits ? EPOLLOUT : 0));
}

/* --- from the VM to the watchers --- */

static void show(struct watcher *watcher)
{
    struct serial_hub *hub = watcher->hub;

    if (hub->sent - watcher->at > SERIAL_HUB_RING)
        watcher->at = hub->sent - SERIAL_HUB_RING;
    while (watcher->at < hub->sent) {
        size_t from = watcher->at % SERIAL_HUB_RING;
        size_t len = MIN((size_t)(hub->sent - watcher->at), SERIAL_HUB_RING - from);
        ssize_t n = send(watcher->source.fd, hub->ring + from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            hang_up(watcher);
        if (n < 0)
            return;
        watcher->at += (uint64_t)n;
    }
}

static void show_all(struct serial_hub *hub)
{
    for (unsigned i = 0; i < SERIAL_HUB_WATCHERS; i++)
        if (hub->watcher[i].source.loop)
            show(&hub->watcher[i]);
}

/* What the VM has sent, into the ring; at most a ring's length. 0 or less: nothing more now. */
static ssize_t take_output(struct serial_hub *hub)
{
    size_t at = hub->sent % SERIAL_HUB_RING;
    ssize_t n = recv(hub->vm_fd, hub->ring + at, SERIAL_HUB_RING - at, MSG_DONTWAIT);

    if (n > 0)
        hub->sent += (uint64_t)n;
    return n;
}

/* --- from the watchers to the VM --- */

static void pass_input(struct serial_hub *hub)
{
    while (input_waits(hub)) {
        ssize_t n = send(hub->vm_fd, hub->input + hub->input_at, hub->input_len - hub->input_at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            hub->input_at = hub->input_len; /* no VM any more */
        else
            hub->input_at += (size_t)n;
    }
}

static void take_input(struct watcher *watcher)
{
    struct serial_hub *hub = watcher->hub;
    ssize_t n = recv(watcher->source.fd, hub->input, sizeof hub->input, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        watcher->silent = true;
        return;
    }
    hub->input_at = 0;
    hub->input_len = (size_t)n;
    pass_input(hub);
}

static void on_vm(void *ctx, uint32_t events)
{
    struct serial_hub *hub = ctx;
    ssize_t n = events & (EPOLLIN | EPOLLHUP) ? take_output(hub) : 1;

    if (n == 0)
        loop_del(&hub->vm); /* it would be reported for ever */
    pass_input(hub);
    show_all(hub);
    rearm(hub);
}

static void on_watcher(void *ctx, uint32_t events)
{
    struct watcher *watcher = ctx;
    struct serial_hub *hub = watcher->hub;

    if (events & EPOLLIN && !input_waits(hub))
        take_input(watcher);
    if (events & (EPOLLHUP | EPOLLERR))
        hang_up(watcher);
    else
        show(watcher);
    rearm(hub);
}

/* --- life --- */

int serial_hub_create(struct loop *loop, struct serial_hub **ret_hub, int *ret_vm_fd)
{
    struct serial_hub *hub = calloc(1, sizeof *hub);
    int pair[2];

    if (!hub || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        free(hub);
        return -ENOMEM;
    }
    hub->loop = loop;
    hub->vm_fd = pair[0];
    int rc = loop_add_fd(loop, &hub->vm, pair[0], EPOLLIN, on_vm, hub);
    if (rc < 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        free(hub);
        return rc;
    }
    *ret_hub = hub;
    *ret_vm_fd = pair[1];
    return 0;
}

int serial_hub_attach(struct serial_hub *hub, int *ret_fd)
{
    unsigned i = 0;
    int pair[2];

    while (i < SERIAL_HUB_WATCHERS && hub->watcher[i].source.loop)
        i++;
    if (i == SERIAL_HUB_WATCHERS)
        return -EUSERS;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    struct watcher *watcher = &hub->watcher[i];
    *watcher = (struct watcher){.hub = hub};
    watcher->at = hub->sent - MIN(hub->sent, (uint64_t)SERIAL_HUB_RING);
    int rc = loop_add_fd(hub->loop, &watcher->source, pair[0], EPOLLIN, on_watcher, watcher);
    if (rc < 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return rc;
    }
    show(watcher);
    rearm(hub);
    *ret_fd = pair[1];
    return 0;
}

void serial_hub_destroy(struct serial_hub *hub)
{
    if (!hub)
        return;
    while (take_output(hub) > 0)
        show_all(hub);
    loop_del(&hub->vm);
    (void)close_fd(hub->vm_fd);
    for (unsigned i = 0; i < SERIAL_HUB_WATCHERS; i++)
        if (hub->watcher[i].source.loop)
            hang_up(&hub->watcher[i]);
    free(hub);
}
