/* SPDX-License-Identifier: Apache-2.0 */
/* Eventfds that become interrupts, and the thread that waits for them and for the timers.
 *
 * An eventfd is read under the lock and only while it is bound; what the thread was woken for may
 * have been unbound since, which the generation tells. A count that is there when an eventfd is
 * bound wakes the thread; one that is there when it is unbound stays. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/engine/bt/irqchip_internal.h"

enum { EVENTS_MAX = 16 };

/* What an event says of itself: a binding's index and generation, or one of these. */
#define TAG_TIMERS UINT64_MAX
#define TAG_STOP   (UINT64_MAX - 1)

static int watch(struct bt_irqchip *chip, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};

    return epoll_ctl(chip->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Bindings. */

static struct bt_binding *find_binding(struct bt_irqchip *chip, int fd, unsigned gsi)
{
    for (unsigned i = 0; i < chip->binding_end; i++) {
        struct bt_binding *b = &chip->binding[i];
        if (b->used && b->fd == fd && b->gsi == gsi)
            return b;
    }
    return NULL;
}

static unsigned free_binding(const struct bt_irqchip *chip)
{
    unsigned i = 0;

    while (i < BT_BINDINGS_MAX && chip->binding[i].used)
        i++;
    return i;
}

static int bind(struct bt_irqchip *chip, unsigned gsi, int fd, int resample_fd)
{
    struct bt_route *route = bt_irqchip_find_route(chip, gsi);
    unsigned i = free_binding(chip);
    struct bt_binding *b = &chip->binding[i];
    int rc;

    if (fd < 0 || (gsi >= ENGINE_GSI_LINES && (!route || resample_fd >= 0)))
        return -EINVAL;
    if (i == BT_BINDINGS_MAX)
        return -ENOSPC;
    *b = (struct bt_binding){
        .generation = b->generation + 1, .fd = fd, .resample_fd = resample_fd, .gsi = gsi};
    rc = watch(chip, fd, (uint64_t)b->generation << 32 | i);
    if (rc)
        return rc == -EEXIST ? -EBUSY : rc;
    b->used = true;
    chip->binding_end = MAX(chip->binding_end, i + 1);
    if (route)
        route->bound++;
    else if (resample_fd >= 0)
        chip->resamplers[gsi]++;
    return 0;
}

static int unbind(struct bt_irqchip *chip, unsigned gsi, int fd)
{
    struct bt_binding *b = find_binding(chip, fd, gsi);
    struct bt_route *route = bt_irqchip_find_route(chip, gsi);

    if (!b)
        return -ENOENT;
    (void)epoll_ctl(chip->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    b->used = false;
    if (route)
        route->bound--;
    else if (b->resample_fd >= 0 && !--chip->resamplers[gsi])
        bt_irqchip_set_gsi(chip, gsi, BT_SOURCE_IRQFD, false);
    while (chip->binding_end && !chip->binding[chip->binding_end - 1].used)
        chip->binding_end--;
    return 0;
}

int bt_irqchip_irqfd(struct bt_irqchip *chip, unsigned gsi_or_route, int fd, int resample_fd,
                     bool on)
{
    LOCK_SCOPE(&chip->lock);
    return on ? bind(chip, gsi_or_route, fd, resample_fd) : unbind(chip, gsi_or_route, fd);
}

void bt_irqfd_resample(struct bt_irqchip *chip, unsigned gsi)
{
    const uint64_t one = 1;

    if (!chip->resamplers[gsi])
        return;
    bt_irqchip_set_gsi(chip, gsi, BT_SOURCE_IRQFD, false);
    for (unsigned i = 0; i < chip->binding_end; i++) {
        const struct bt_binding *b = &chip->binding[i];
        if (b->used && b->gsi == gsi && b->resample_fd >= 0)
            (void)!write(b->resample_fd, &one, sizeof one);
    }
}

/* The thread. */

static void inject(struct bt_irqchip *chip, const struct bt_binding *b)
{
    if (b->gsi >= ENGINE_GSI_LINES) {
        bt_irqchip_send_route(chip, b->gsi);
        return;
    }
    bt_irqchip_set_gsi(chip, b->gsi, BT_SOURCE_IRQFD, true);
    if (!chip->resamplers[b->gsi])
        bt_irqchip_set_gsi(chip, b->gsi, BT_SOURCE_IRQFD, false);
}

static void signalled(struct bt_irqchip *chip, uint64_t tag)
{
    const struct bt_binding *b = &chip->binding[(uint32_t)tag % BT_BINDINGS_MAX];
    uint64_t count;

    if (b->used && b->generation == tag >> 32 && read(b->fd, &count, sizeof count) == sizeof count)
        inject(chip, b);
}

bool bt_irqchip_poll(struct bt_irqchip *chip, int timeout_ms)
{
    struct epoll_event event[EVENTS_MAX];
    int n = epoll_wait(chip->epoll_fd, event, EVENTS_MAX, timeout_ms);
    bool goes_on = n >= 0 || errno == EINTR;

    LOCK_SCOPE(&chip->lock);
    for (int i = 0; i < n; i++) {
        if (event[i].data.u64 == TAG_STOP)
            goes_on = false;
        else if (event[i].data.u64 == TAG_TIMERS)
            bt_timers_run(&chip->timers);
        else
            signalled(chip, event[i].data.u64);
    }
    return goes_on;
}

static void *run(void *ctx)
{
    struct bt_irqchip *chip = ctx;

    (void)prctl(PR_SET_NAME, "bt-irq");
    if (chip->thread_start)
        chip->thread_start();
    while (bt_irqchip_poll(chip, -1))
        continue;
    return NULL;
}

int bt_irqfd_start(struct bt_irqchip *chip, void (*thread_start)(void))
{
    sigset_t all, before;
    int rc;

    chip->thread_start = thread_start;
    (void)sigfillset(&all); /* signals are for the threads that want them */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = -pthread_create(&chip->thread, NULL, run, chip);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    chip->thread_runs = rc == 0;
    return rc;
}

int bt_irqfd_init(struct bt_irqchip *chip)
{
    int rc;

    chip->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    chip->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (chip->epoll_fd < 0 || chip->stop_fd < 0)
        return -errno;
    rc = watch(chip, chip->stop_fd, TAG_STOP);
    return rc ? rc : watch(chip, chip->timers.fd, TAG_TIMERS);
}

void bt_irqfd_fini(struct bt_irqchip *chip)
{
    const uint64_t one = 1;

    if (chip->thread_runs) {
        (void)!write(chip->stop_fd, &one, sizeof one);
        (void)pthread_join(chip->thread, NULL);
    }
    chip->epoll_fd = close_fd(chip->epoll_fd);
    chip->stop_fd = close_fd(chip->stop_fd);
}
