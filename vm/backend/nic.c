/* SPDX-License-Identifier: Apache-2.0 */
/* What all back ends of a network card have in common: see nic.h. */
#include "vm/backend/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void none_destroy(struct nic *nic)
{
    free(nic);
}

static const struct nic_ops none_ops = {.destroy = none_destroy};

static int none_create(struct nic **ret_nic, struct err *err)
{
    struct nic *nic = calloc(1, sizeof *nic);

    if (!nic)
        return err_sys(err, -ENOMEM, "network card");
    nic->ops = &none_ops;
    atomic_store(&nic->broken, true);
    *ret_nic = nic;
    return 0;
}

static int create_kind(const struct nic_params *params, struct nic **ret_nic, struct err *err)
{
    switch (params->kind) {
    case NIC_TAP:
        return nic_tap_create(params, ret_nic, err);
    case NIC_USER:
        return nic_user_create(params, ret_nic, err);
    case NIC_NONE:
    case NIC_KIND_MAX:
        break;
    }
    return none_create(ret_nic, err);
}

int nic_create(const struct nic_params *params, struct nic **ret_nic, struct err *err)
{
    unsigned queues = params->kind == NIC_NONE ? 1 : params->queues;
    struct nic *nic = NULL;
    int rc;

    if (!queues || queues > NIC_QUEUES_MAX || (params->kind == NIC_USER && queues > 1))
        return err_set(err, -EINVAL, "network card with %u queues", queues);
    rc = create_kind(params, &nic, err);
    if (rc < 0)
        return rc;
    nic->kind = params->kind;
    nic->queues = queues;
    nic->mtu = params->mtu;
    memcpy(nic->mac, params->mac, sizeof nic->mac);
    for (unsigned i = 0; i < NIC_QUEUES_MAX; i++) {
        nic->fd[i] = params->kind != NIC_NONE && i < queues ? params->fd[i] : -1;
        nic->vhost_fd[i] =
            params->kind == NIC_TAP && params->vhost && i < queues ? params->vhost_fd[i] : -1;
    }
    nic->stats = &nic->own_stats;
    *ret_nic = nic;
    return 0;
}

void nic_count_into(struct nic *nic, struct nic_stats *stats)
{
    nic->stats = stats;
}

void nic_destroy(struct nic *nic)
{
    if (!nic)
        return;
    for (unsigned i = 0; i < NIC_QUEUES_MAX; i++) {
        (void)close_fd(nic->vhost_fd[i]);
        (void)close_fd(nic->fd[i]);
    }
    nic->ops->destroy(nic);
}

static bool pulled(const struct nic *nic)
{
    return atomic_load_explicit(&nic->pulled, memory_order_relaxed);
}

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
    /* One writer a queue and nobody decides by it: no locked instruction on the fast path. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

ssize_t nic_recv(struct nic *nic, unsigned queue, struct iovec *iov, int pieces)
{
    ssize_t n;

    if (nic_gone(nic))
        return -ENOLINK;
    n = nic->ops->recv(nic, queue, iov, pieces);
    if (n >= 0 && pulled(nic))
        return -EIO; /* what was on the wire is lost */
    if (n >= 0) {
        count(&nic->stats->rx_frames, 1);
        count(&nic->stats->rx_bytes, (uint64_t)n - NIC_HEADER_SIZE);
    }
    return n;
}

int nic_send(struct nic *nic, unsigned queue, struct iovec *iov, int pieces)
{
    ssize_t n;

    if (nic_gone(nic) || pulled(nic)) {
        count(&nic->stats->tx_dropped, 1);
        return nic_gone(nic) ? -ENOLINK : 0;
    }
    n = nic->ops->send(nic, queue, iov, pieces);
    if (n >= 0) {
        count(&nic->stats->tx_frames, 1);
        count(&nic->stats->tx_bytes, (uint64_t)n - NIC_HEADER_SIZE);
    } else if (n != -EAGAIN) {
        count(&nic->stats->tx_dropped, 1);
    }
    return n < 0 ? (int)n : 0;
}

int nic_flush(struct nic *nic, unsigned queue)
{
    return nic_gone(nic) || !nic->ops->flush ? 0 : nic->ops->flush(nic, queue);
}

int nic_set_offloads(struct nic *nic, unsigned offloads)
{
    return nic->ops->set_offloads ? nic->ops->set_offloads(nic, offloads & nic->offloads) : 0;
}

int nic_set_queues(struct nic *nic, unsigned queues)
{
    if (!queues || queues > nic->queues)
        return -EINVAL;
    return nic->ops->set_queues ? nic->ops->set_queues(nic, queues) : 0;
}

bool nic_link(const struct nic *nic)
{
    return !atomic_load(&nic->broken) && !atomic_load(&nic->pulled);
}

static void tell(struct nic *nic)
{
    void (*notify)(void *) = atomic_load(&nic->notify);

    if (notify)
        notify(atomic_load(&nic->notify_ctx));
}

void nic_set_link(struct nic *nic, bool up)
{
    if (atomic_exchange(&nic->pulled, !up) == up)
        tell(nic);
}

int nic_break(struct nic *nic)
{
    if (!atomic_exchange(&nic->broken, true))
        tell(nic);
    return -ENOLINK;
}

void nic_unplug(struct nic *nic)
{
    (void)nic_break(nic);
    for (unsigned i = 0; i < nic->queues; i++)
        nic->fd[i] = close_fd(nic->fd[i]);
}

int nic_plug(struct nic *nic, int fd, const uint8_t mac[6])
{
    if (!nic->ops->plugged || nic->queues != 1 || fd < 0) {
        (void)close_fd(fd);
        return -EINVAL;
    }
    (void)close_fd(nic->fd[0]);
    nic->fd[0] = fd;
    memcpy(nic->mac, mac, sizeof nic->mac);
    nic->ops->plugged(nic);
    atomic_store(&nic->broken, false);
    tell(nic);
    return 0;
}

void nic_set_notify(struct nic *nic, void (*notify)(void *ctx), void *ctx)
{
    atomic_store(&nic->notify, NULL);
    atomic_store(&nic->notify_ctx, ctx);
    atomic_store(&nic->notify, notify);
}
