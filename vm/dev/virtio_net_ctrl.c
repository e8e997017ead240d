/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net's control queue and receive filter: VIRTIO 1.2, 5.1.6.5. A command that is too short,
 * too long, unknown or not negotiated is answered with VIRTIO_NET_ERR and changes nothing. Not
 * here: VLAN filtering, announcements, receive-side scaling, notification coalescing. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/virtio_net_impl.h"

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* -- The filter ----------------------------------------------------------------------------------
 */

/* Everything, until the driver says what it wants (5.1.6.5.1: it need not ever). */
void net_filter_reset(struct net_filter *filter)
{
    *filter = (struct net_filter){.mode[VIRTIO_NET_CTRL_RX_PROMISC] = 1};
}

static bool in_table(const uint8_t *table, unsigned count, const uint8_t mac[6])
{
    for (unsigned i = 0; i < count; i++)
        if (!memcmp(table + 6 * (size_t)i, mac, 6))
            return true;
    return false;
}

bool net_filter_accepts(const struct net_filter *f, const uint8_t *own, const uint8_t to[6])
{
    if (f->mode[VIRTIO_NET_CTRL_RX_PROMISC])
        return true;
    if (!memcmp(to, broadcast, 6))
        return !f->mode[VIRTIO_NET_CTRL_RX_NOBCAST];
    if (to[0] & 1)
        return !f->mode[VIRTIO_NET_CTRL_RX_NOMULTI] &&
               (f->mode[VIRTIO_NET_CTRL_RX_ALLMULTI] || f->all_multicast ||
                in_table(f->multicast, f->multicast_count, to));
    return !f->mode[VIRTIO_NET_CTRL_RX_NOUNI] &&
           (f->mode[VIRTIO_NET_CTRL_RX_ALLUNI] || f->all_unicast || !memcmp(to, own, 6) ||
            in_table(f->unicast, f->unicast_count, to));
}

/* -- Commands ------------------------------------------------------------------------------------
 */

/* What the driver sent behind class and command, still in its memory: each byte is read once. */
struct request {
    const struct iovec *iov;
    unsigned count;
    uint64_t offset, left;
};

static bool take(struct request *r, void *data, uint64_t len)
{
    if (len > r->left)
        return false;
    (void)vq_iov_read(r->iov, r->count, r->offset, data, len);
    r->offset += len;
    r->left -= len;
    return true;
}

/* Nothing but `data`. */
static bool take_all(struct request *r, void *data, uint64_t len)
{
    return r->left == len && take(r, data, len);
}

static bool set_mode(struct virtio_net *net, uint8_t command, struct request *r)
{
    uint64_t feature =
        command < VIRTIO_NET_CTRL_RX_ALLUNI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;
    uint8_t on;

    if (command >= VIRTIO_NET_CTRL_RX_MAX || !virtio_pci_has(&net->vp, feature) ||
        !take_all(r, &on, 1) || on > 1)
        return false;
    net->filter.mode[command] = on;
    return true;
}

/* One struct virtio_net_ctrl_mac. */
static bool take_table(struct request *r, uint8_t *table, uint16_t *count, uint8_t *all)
{
    uint8_t raw[4];
    uint64_t entries;

    if (!take(r, raw, sizeof raw))
        return false;
    entries = le32_load(raw);
    if (entries * 6 > r->left)
        return false;
    *all = entries > NET_MACS_MAX;
    *count = *all ? 0 : (uint16_t)entries;
    if (!*all)
        return take(r, table, entries * 6);
    r->offset += entries * 6;
    r->left -= entries * 6;
    return true;
}

static bool set_tables(struct virtio_net *net, struct request *r)
{
    struct net_filter next = net->filter;

    if (!virtio_pci_has(&net->vp, VIRTIO_NET_F_CTRL_RX) ||
        !take_table(r, next.unicast, &next.unicast_count, &next.all_unicast) ||
        !take_table(r, next.multicast, &next.multicast_count, &next.all_multicast) || r->left)
        return false;
    net->filter = next;
    return true;
}

static bool set_mac(struct virtio_net *net, struct request *r)
{
    uint8_t mac[6];

    if (!virtio_pci_has(&net->vp, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take_all(r, mac, 6) ||
        (mac[0] & 1))
        return false;
    memcpy(net->config + VIRTIO_NET_CONFIG_MAC, mac, 6);
    return true;
}

static bool set_pairs(struct virtio_net *net, uint8_t command, struct request *r)
{
    uint8_t raw[2];

    return command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET &&
           virtio_pci_has(&net->vp, VIRTIO_NET_F_MQ) && take_all(r, raw, sizeof raw) &&
           net_set_pairs(net, le16_load(raw)) == 0;
}

static bool set_offloads(struct virtio_net *net, uint8_t command, struct request *r)
{
    uint64_t can = net->vp.driver_features & NET_GUEST_OFFLOADS, before = net->offloads_off;
    uint8_t raw[8];

    if (command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
        !virtio_pci_has(&net->vp, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        !take_all(r, raw, sizeof raw) || (le64_load(raw) & ~can))
        return false;
    net->offloads_off = can & ~le64_load(raw);
    if (net_set_offloads(net) == 0)
        return true;
    net->offloads_off = before;
    return false;
}

static bool obey(struct virtio_net *net, const struct vq_chain *chain)
{
    struct request r = {.iov = chain->iov, .count = chain->out, .left = chain->out_len};
    uint8_t what[2];

    if (!take(&r, what, sizeof what))
        return false;
    switch (what[0]) {
    case VIRTIO_NET_CTRL_RX:
        return set_mode(net, what[1], &r);
    case VIRTIO_NET_CTRL_MAC:
        return what[1] == VIRTIO_NET_CTRL_MAC_TABLE_SET  ? set_tables(net, &r)
               : what[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET ? set_mac(net, &r)
                                                         : false;
    case VIRTIO_NET_CTRL_MQ:
        return set_pairs(net, what[1], &r);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return set_offloads(net, what[1], &r);
    default:
        return false;
    }
}

static int control_one(struct virtio_net *net, struct virtqueue *vq)
{
    struct vq_chain chain = {.iov = net->ctrl_iov, .iov_max = ARRAY_SIZE(net->ctrl_iov)};
    uint8_t ack = VIRTIO_NET_OK;
    int rc = virtqueue_pop(vq, &chain);

    if (rc <= 0)
        return rc;
    if (!chain.in_len)
        return -EINVAL; /* no room for the answer */
    if (!obey(net, &chain)) {
        net_count(&net->stats.control_refused);
        ack = VIRTIO_NET_ERR;
    }
    (void)vq_iov_write(chain.iov + chain.out, chain.in, 0, &ack, 1);
    virtqueue_mark_written(vq, chain.iov + chain.out, chain.in);
    virtqueue_push(vq, chain.head, 1);
    return 1;
}

void net_control(struct virtio_net *net, struct virtqueue *vq)
{
    unsigned budget = vq->size;
    int rc;

    if (!vq->active || !virtio_pci_dma(&net->vp))
        return;
    do {
        virtqueue_disarm(vq);
        for (rc = 1; budget && rc > 0; budget--)
            rc = control_one(net, vq);
        virtio_pci_publish(&net->vp, vq);
    } while (rc == 0 && budget && virtqueue_arm(vq));
    if (rc < 0)
        virtio_pci_fail(&net->vp);
}
