/* SPDX-License-Identifier: Apache-2.0 */
/* virtio network device: VIRTIO 1.2, section 5.1. This file is the transport's side and the thread;
 * virtio_net_io.c moves the frames, virtio_net_ctrl.c obeys the control queue.
 *
 * One thread sleeps in an event loop on the doorbells and on the back end's descriptors. What is
 * offered follows the back end: checksums and segmentation only where its frames carry the header
 * that says so (tap), several queues where it has them.
 *
 * vhost-net takes over when the driver is ready, has MSI-X on and uses both queues of every pair;
 * otherwise (firmware drivers, INTx) the thread does the work. It filters nothing by address; the
 * interface's own filter and the switch do.
 *
 * Deliberately missing: VLAN filtering, receive-side scaling and hash reports, UDP segmentation
 * (USO), announcements. */
#include "vm/dev/virtio_net.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/dev/virtio_net_impl.h"

/* 5.1.2: the control queue is behind the queues that the driver knows. */
static struct virtqueue *control_queue(struct virtio_net *net)
{
    if (!virtio_pci_has(&net->vp, VIRTIO_NET_F_CTRL_VQ))
        return NULL;
    return &net->vq[virtio_pci_has(&net->vp, VIRTIO_NET_F_MQ) ? 2 * net->max_pairs : 2];
}

/* -- Features ------------------------------------------------------------------------------------
 */

/* Which of the back end's abilities stands behind which feature. */
static const struct {
    unsigned nic;
    uint64_t guest, host;
} offloads[] = {
    {NIC_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM},
    {NIC_TSO4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4},
    {NIC_TSO6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6},
    {NIC_TSO_ECN, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_HOST_ECN},
    {NIC_UFO, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_HOST_UFO},
};

static uint64_t features_of(const struct nic *nic)
{
    uint64_t features = VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MRG_RXBUF |
                        VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA |
                        VIRTIO_NET_F_CTRL_MAC_ADDR;

    for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
        if (nic->offloads & offloads[i].nic)
            features |= offloads[i].guest | offloads[i].host;
    if (nic->offloads)
        features |= VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
    if (nic->mtu)
        features |= VIRTIO_NET_F_MTU;
    return nic->queues > 1 ? features | VIRTIO_NET_F_MQ : features;
}

/* 5.1.3.1: what must not be chosen without something else. */
static bool net_features_ok(struct virtio_pci *vp, uint64_t chosen)
{
    static const struct {
        uint64_t feature, any_of;
    } needs[] = {
        {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
        {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
        {VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_CSUM},
        {VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6},
        {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
        {VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
        {VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_CSUM},
        {VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6},
        {VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ},
        {VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ},
        {VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ},
        {VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ},
    };

    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        if ((chosen & needs[i].feature) && !(chosen & needs[i].any_of))
            return false;
    return true;
}

int net_set_offloads(struct virtio_net *net)
{
    uint64_t on = net->vp.driver_features & ~net->offloads_off;
    unsigned nic = 0;

    for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
        if (on & offloads[i].guest)
            nic |= offloads[i].nic;
    return nic_set_offloads(net->nic, nic);
}

/* -- vhost ---------------------------------------------------------------------------------------
 */

static int call_fd(const struct virtio_net *net, const struct virtqueue *vq)
{
    unsigned vector = __atomic_load_n(&vq->vector, __ATOMIC_RELAXED);

    return vector < net->vp.port->msix_count ? net->vp.port->msix_fd[vector] : -1;
}

static struct nic_vhost_ring vhost_ring(const struct virtio_net *net, unsigned queue)
{
    const struct virtqueue *vq = &net->vq[queue];

    return (struct nic_vhost_ring){
        .size = vq->size,
        .base = vq->last_avail,
        .desc = vq->desc.host,
        .avail = vq->avail.host,
        .used = vq->used.host,
        .kick_fd = net->doorbell_fd[queue],
        .call_fd = call_fd(net, vq),
    };
}

static void vhost_stop_pair(struct virtio_net *net, unsigned pair)
{
    uint16_t base[2];

    nic_vhost_stop(net->vhost[pair], base);
    for (unsigned i = 0; i < 2; i++)
        virtqueue_seek(&net->vq[2 * pair + i], base[i]);
}

static bool vhost_start_pair(struct virtio_net *net, unsigned pair)
{
    struct nic_vhost_ring ring[] = {vhost_ring(net, 2 * pair), vhost_ring(net, 2 * pair + 1)};

    return nic_vhost_start(net->vhost[pair], net->vp.driver_features, ring,
                           nic_fd(net->nic, pair)) == 0;
}

/* All pairs in use, or none. */
static bool vhost_start(struct virtio_net *net)
{
    unsigned started = 0;

    if (!net->vhost[0] || !pci_port_msix_enabled(net->vp.port) || !virtio_pci_dma(&net->vp) ||
        !nic_link(net->nic))
        return false;
    for (unsigned i = 0; i < 2u * net->pairs; i++)
        if (!net->vq[i].active)
            return false;
    while (started < net->pairs && vhost_start_pair(net, started))
        started++;
    if (started == net->pairs)
        return true;
    while (started)
        vhost_stop_pair(net, --started);
    return false;
}

static int vhost_create(struct virtio_net *net, struct err *err)
{
    const uint64_t features =
        VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF;
    int rc = 0;

    for (unsigned i = 0; i < net->max_pairs && !rc && net->nic->vhost_fd[i] >= 0; i++)
        rc = nic_vhost_create(net->nic->vhost_fd[i], net->vp.gmem, features, &net->vhost[i], err);
    return rc;
}

/* -- The thread ----------------------------------------------------------------------------------
 */

static void run_pairs(struct virtio_net *net)
{
    net->vhost_running = vhost_start(net);
    for (unsigned i = 0; i < net->pairs && !net->vhost_running; i++)
        net_pair_run(&net->pair[i]);
}

static void park_pairs(struct virtio_net *net)
{
    for (unsigned i = 0; i < net->pairs; i++) {
        if (net->vhost_running)
            vhost_stop_pair(net, i);
        else
            net_pair_park(&net->pair[i]);
    }
    net->vhost_running = false;
}

int net_set_pairs(struct virtio_net *net, unsigned pairs)
{
    int rc;

    if (!pairs || pairs > net->max_pairs)
        return -EINVAL;
    park_pairs(net);
    rc = nic_set_queues(net->nic, pairs);
    if (!rc)
        net->pairs = (uint16_t)pairs;
    run_pairs(net);
    return rc;
}

static void on_control_bell(void *ctx, uint32_t events)
{
    struct virtio_net *net = ctx;

    net_control(net, control_queue(net));
}

/* A device that the back end does not follow still works, only worse: no offloads, one queue. */
static void net_run(void *ctx)
{
    struct virtio_net *net = ctx;
    struct virtqueue *control = control_queue(net);

    (void)net_set_offloads(net);
    if (nic_set_queues(net->nic, net->pairs) < 0)
        net->pairs = 1;
    run_pairs(net);
    if (!control)
        return;
    (void)loop_add_fd(net->thread.loop, &net->ctrl_bell, net->doorbell_fd[control - net->vq],
                      EPOLLIN | EPOLLET, on_control_bell, net);
    on_control_bell(net, 0);
}

static void net_park(void *ctx)
{
    struct virtio_net *net = ctx;

    loop_del(&net->ctrl_bell);
    park_pairs(net);
}

static const struct loop_thread_ops net_thread_ops = {.run = net_run, .park = net_park};

void virtio_net_step(void *dev)
{
    loop_thread_step(&((struct virtio_net *)dev)->thread);
}

/* -- The transport's side ------------------------------------------------------------------------
 */

static void net_start(struct virtio_pci *vp)
{
    loop_thread_run(&((struct virtio_net *)vp)->thread);
}

static void net_stop(struct virtio_pci *vp)
{
    loop_thread_park(&((struct virtio_net *)vp)->thread);
}

static void net_reset(struct virtio_pci *vp)
{
    struct virtio_net *net = (struct virtio_net *)vp;

    net->pairs = 1;
    net->offloads_off = 0;
    net_filter_reset(&net->filter);
    memcpy(net->config + VIRTIO_NET_CONFIG_MAC, net->nic->mac, 6);
}

/* Any thread, also the one that the transport waits for: so this only wakes the process's loop. */
static void on_link_news(void *ctx)
{
    const uint64_t one = 1;

    (void)!write(((struct virtio_net *)ctx)->link_fd, &one, sizeof one);
}

static bool update_link(struct virtio_net *net)
{
    uint8_t *status = net->config + VIRTIO_NET_CONFIG_STATUS, up = nic_link(net->nic);
    bool changed = *status != up;

    *status = up; /* VIRTIO_NET_S_LINK_UP or 0 */
    return changed;
}

/* vhost knows nothing of cables: what it does is started and stopped with them. */
static void on_link(void *ctx, uint32_t events)
{
    struct virtio_net *net = ctx;
    uint64_t count;

    (void)!read(net->link_fd, &count, sizeof count);
    (void)pthread_mutex_lock(&net->vp.lock);
    if (update_link(net)) {
        if (net->vhost[0] && net->vp.running) {
            loop_thread_park(&net->thread);
            loop_thread_run(&net->thread);
        }
        virtio_pci_config_changed(&net->vp);
    }
    (void)pthread_mutex_unlock(&net->vp.lock);
}

static const struct virtio_pci_type net_type = {
    .id = VIRTIO_ID_NET,
    .class_code = 0x020000, /* network, Ethernet */
    .config_size = VIRTIO_NET_CONFIG_SIZE,
    .features_ok = net_features_ok,
    .start = net_start,
    .stop = net_stop,
    .reset = net_reset,
};

/* -- Life ----------------------------------------------------------------------------------------
 */

static unsigned pairs_of(const struct virtio_net_params *p)
{
    return p->pairs ? p->pairs : 1;
}

static int net_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    unsigned pairs = pairs_of(params);

    if (pairs > VIRTIO_NET_PAIRS_MAX)
        return err_set(err, -EINVAL, "virtio-net with %u pairs of queues: 1 to %u are possible",
                       pairs, VIRTIO_NET_PAIRS_MAX);
    virtio_pci_layout(&net_type, 2 * pairs + 1, ret_layout);
    return 0;
}

static void net_destroy(void *ptr)
{
    struct virtio_net *net = ptr;

    if (!net)
        return;
    if (net->nic)
        nic_set_notify(net->nic, NULL, NULL);
    loop_del(&net->link);
    loop_thread_destroy(&net->thread);
    virtio_pci_deinit(&net->vp);
    for (unsigned i = 0; i < VIRTIO_NET_PAIRS_MAX; i++)
        nic_vhost_destroy(net->vhost[i]);
    nic_destroy(net->nic);
    (void)close_fd(net->link_fd);
    free(net);
}

static void init_state(struct virtio_net *net, const struct dev_env *env, struct nic *nic)
{
    net->doorbell_fd = env->doorbell_fd;
    for (unsigned i = 0; i < 2 * net->max_pairs + 1; i++)
        virtqueue_init(&net->vq[i], VIRTIO_NET_QUEUE_SIZE);
    for (unsigned i = 0; i < net->max_pairs; i++)
        net->pair[i] = (struct net_pair){
            .net = net, .index = i, .rx = &net->vq[2 * i], .tx = &net->vq[2 * i + 1]};
    le16_store(net->config + VIRTIO_NET_CONFIG_MAX_PAIRS, (uint16_t)net->max_pairs);
    le16_store(net->config + VIRTIO_NET_CONFIG_MTU, nic->mtu);
    net->nic = nic;
    net_reset(&net->vp);
    (void)update_link(net);
}

static int init_parts(struct virtio_net *net, const struct dev_env *env, bool threaded,
                      struct err *err)
{
    struct virtio_pci_config config = {
        .type = &net_type,
        .vq = net->vq,
        .queue_count = 2 * net->max_pairs + 1,
        .features = features_of(net->nic),
        .config = net->config,
    };
    int rc = virtio_pci_init(&net->vp, env, &config, err);

    if (!rc)
        rc = vhost_create(net, err);
    if (rc)
        return rc;
    net->link_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = net->link_fd < 0 ? -errno
                          : loop_add_fd(env->loop, &net->link, net->link_fd, EPOLLIN, on_link, net);
    if (rc)
        return err_sys(err, rc, "%s", env->name);
    nic_set_notify(net->nic, on_link_news, net);
    return loop_thread_create(&net->thread, env->name, threaded, &net_thread_ops, net, err);
}

static int net_create(const struct dev_env *env, const void *params, void **ret_dev,
                      struct err *err)
{
    const struct virtio_net_params *p = params;
    struct virtio_net *net;
    int rc;

    if (p->nic->queues != pairs_of(p))
        return err_set(err, -EINVAL, "%s: %u pairs of queues for a back end with %u", env->name,
                       pairs_of(p), p->nic->queues);
    net = calloc(1, sizeof *net);
    if (!net)
        return err_sys(err, -ENOMEM, "%s", env->name);
    net->link_fd = -1;
    net->max_pairs = pairs_of(p);
    init_state(net, env, p->nic);
    rc = init_parts(net, env, !p->unthreaded, err);
    if (rc) {
        nic_set_notify(net->nic, NULL, NULL);
        net->nic = NULL; /* still the caller's */
        net_destroy(net);
        return rc;
    }
    *ret_dev = net;
    return 0;
}

const struct virtio_net_stats *virtio_net_stats(const void *dev)
{
    return &((const struct virtio_net *)dev)->stats;
}

/* -- State ---------------------------------------------------------------------------------------
 */

static int net_post_load(void *object, struct err *err)
{
    struct virtio_net *net = object;
    const struct net_filter *f = &net->filter;

    if (!net->pairs || net->pairs > net->max_pairs)
        return err_set(err, -EINVAL, "%u pairs of queues of %u", net->pairs, net->max_pairs);
    if (f->unicast_count > NET_MACS_MAX || f->multicast_count > NET_MACS_MAX)
        return err_set(err, -EINVAL, "receive filter with %u and %u addresses", f->unicast_count,
                       f->multicast_count);
    if (net->offloads_off & ~NET_GUEST_OFFLOADS)
        return err_set(err, -EINVAL, "offloads 0x%llx", (unsigned long long)net->offloads_off);
    (void)update_link(net);
    return virtio_pci_post_load(&net->vp, err);
}

static const struct state_field filter_fields[] = {
    STATE_FIELD(struct net_filter, mode, STATE_U8),
    STATE_FIELD(struct net_filter, all_unicast, STATE_U8),
    STATE_FIELD(struct net_filter, all_multicast, STATE_U8),
    STATE_FIELD(struct net_filter, unicast_count, STATE_U16),
    STATE_FIELD(struct net_filter, multicast_count, STATE_U16),
    STATE_FIELD(struct net_filter, unicast, STATE_U8),
    STATE_FIELD(struct net_filter, multicast, STATE_U8),
};

static const struct state_table filter_state = {
    .name = "filter",
    .version = 1,
    .size = sizeof(struct net_filter),
    .fields = filter_fields,
    .field_count = ARRAY_SIZE(filter_fields),
};

static const struct state_field net_fields[] = {
    STATE_SUB(struct virtio_net, vp, &virtio_pci_state, 1),
    STATE_SUB(struct virtio_net, vq, &virtqueue_state, NET_QUEUES_MAX),
    {.name = "mac",
     .type = STATE_U8,
     .offset = offsetof(struct virtio_net, config) + VIRTIO_NET_CONFIG_MAC,
     .count = 6,
     .since = 1},
    STATE_FIELD(struct virtio_net, pairs, STATE_U16),
    STATE_FIELD(struct virtio_net, offloads_off, STATE_U64),
    STATE_SUB(struct virtio_net, filter, &filter_state, 1),
};

static const struct state_table net_state = {
    .name = "virtio-net",
    .version = 1,
    .size = sizeof(struct virtio_net),
    .fields = net_fields,
    .field_count = ARRAY_SIZE(net_fields),
    .post_load = net_post_load,
};

const struct dev_class virtio_net_class = {
    .name = "virtio-net",
    .place = DEV_IN_VMX,
    .layout = net_layout,
    .create = net_create,
    .destroy = net_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = virtio_pci_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &net_state,
};
