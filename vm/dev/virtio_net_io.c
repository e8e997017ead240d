/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net's data path: VIRTIO 1.2, 5.1.6.2 to 5.1.6.4. See virtio_net.c.
 *
 * Receiving. Frames go from the back end straight into the driver's buffers. How large the next one
 * is, nobody knows beforehand: one chain is offered, with room of ours behind it. What runs over is
 * copied into further chains, and for the next frames enough chains for the largest frame are
 * offered at once, so that only the first large frame is copied. Chains that a frame did not need
 * are given back.
 *
 * Sending. The header is the only part that is parsed: it is copied, validated and sent from the
 * copy, and the rest is the guest's memory. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/dev/virtio_net_impl.h"

/* A segment size below this is no TCP's; it would make the host cut a frame into thousands. */
enum { GSO_SIZE_MIN = 48 };

enum { SINGLE_ROUNDS = 32 };

/* -- Sending -------------------------------------------------------------------------------------
 */

static uint64_t gso_feature(uint8_t gso)
{
    switch (gso) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return VIRTIO_NET_F_HOST_TSO4;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return VIRTIO_NET_F_HOST_TSO6;
    case VIRTIO_NET_HDR_GSO_UDP:
        return VIRTIO_NET_F_HOST_UFO;
    default:
        return 0;
    }
}

static bool gso_valid(const struct virtio_pci *vp, const uint8_t *h, uint32_t csum_at, uint32_t len)
{
    uint8_t gso = h[VIRTIO_NET_HDR_GSO_TYPE] & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    bool ecn = h[VIRTIO_NET_HDR_GSO_TYPE] & VIRTIO_NET_HDR_GSO_ECN;
    uint16_t size = le16_load(h + VIRTIO_NET_HDR_GSO_SIZE);

    if (gso == VIRTIO_NET_HDR_GSO_NONE)
        return !ecn;
    if (ecn && (gso == VIRTIO_NET_HDR_GSO_UDP || !virtio_pci_has(vp, VIRTIO_NET_F_HOST_ECN)))
        return false;
    return virtio_pci_has(vp, gso_feature(gso)) && csum_at && csum_at < len && size >= GSO_SIZE_MIN;
}

/* 5.1.6.2.1. What we do not know is cleared, so that the host's kernel sees only what was checked:
 * other flags, the length of the headers (a hint that 5.1.6.2.2 tells us not to trust), the number
 * of buffers. */
static bool header_valid(const struct virtio_pci *vp, uint8_t *h, uint32_t len)
{
    uint32_t start = le16_load(h + VIRTIO_NET_HDR_CSUM_START);
    uint32_t offset = le16_load(h + VIRTIO_NET_HDR_CSUM_OFFSET), csum_at = 0;

    h[VIRTIO_NET_HDR_FLAGS] &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    if (h[VIRTIO_NET_HDR_FLAGS]) {
        csum_at = start + offset;
        if (!virtio_pci_has(vp, VIRTIO_NET_F_CSUM) || start < NIC_FRAME_MIN || csum_at + 2 > len)
            return false;
    }
    if (!gso_valid(vp, h, csum_at, len))
        return false;
    le16_store(h + VIRTIO_NET_HDR_HDR_LEN,
               (uint16_t)MIN((uint32_t)le16_load(h + VIRTIO_NET_HDR_HDR_LEN), len));
    le16_store(h + VIRTIO_NET_HDR_NUM_BUFFERS, 0);
    return true;
}

/* False: not taken, try again when the back end is writable. */
static bool send_chain(struct net_pair *pair, const struct vq_chain *chain)
{
    struct virtio_net *net = pair->net;
    uint8_t header[VIRTIO_NET_HDR_SIZE];
    struct iovec *iov = chain->iov;
    unsigned count = chain->out;

    if (chain->out_len < sizeof header + NIC_FRAME_MIN ||
        chain->out_len > sizeof header + NIC_FRAME_MAX) {
        net_count(&net->stats.tx_invalid);
        return true;
    }
    (void)vq_iov_read(iov, count, 0, header, sizeof header);
    vq_iov_drop(&iov, &count, sizeof header);
    if (!header_valid(&net->vp, header, (uint32_t)(chain->out_len - sizeof header))) {
        net_count(&net->stats.tx_invalid);
        return true;
    }
    iov[-1] = (struct iovec){header, sizeof header}; /* net->iov has room in front */
    return nic_send(net->nic, pair->index, iov - 1, (int)count + 1) != -EAGAIN;
}

/* Takes up to *budget frames; 0, or -EAGAIN, or the queue's error. */
static int send_some(struct net_pair *pair, unsigned *budget)
{
    struct virtio_net *net = pair->net;
    struct vq_chain chain = {.iov = net->iov + 1, .iov_max = NET_PIECES_MAX};
    int rc = 0;

    for (; *budget && (rc = virtqueue_pop(pair->tx, &chain)) > 0; (*budget)--) {
        if (!send_chain(pair, &chain)) {
            virtqueue_unpop(pair->tx, 1);
            return -EAGAIN;
        }
        virtqueue_push(pair->tx, chain.head, 0);
    }
    return MIN(rc, 0);
}

/* Lets the others have their turn: comes back as if the driver had rung. */
static void ring_self(const struct loop_source *bell)
{
    const uint64_t one = 1;

    (void)!write(bell->fd, &one, sizeof one);
}

static void send_all(struct net_pair *pair)
{
    struct virtio_pci *vp = &pair->net->vp;
    unsigned budget = NET_BATCH;
    int rc;

    if (pair->tx_held || !virtio_pci_dma(vp))
        return;
    do {
        virtqueue_disarm(pair->tx);
        rc = send_some(pair, &budget);
        virtio_pci_publish(vp, pair->tx);
    } while (!rc && budget && virtqueue_arm(pair->tx));
    if (rc == -EAGAIN || nic_flush(pair->net->nic, pair->index) == -EAGAIN)
        pair->tx_held = true;
    else if (rc < 0)
        virtio_pci_fail(vp);
    else if (!budget)
        ring_self(&pair->tx_bell);
}

/* -- Receiving -----------------------------------------------------------------------------------
 */

/* Adds chains until there is room for `bytes`. 0 also when the driver has no more; or the queue's
 * error. A chain may have as many pieces as the ring twice. */
static int gather(struct net_pair *pair, struct net_room *room, uint64_t bytes)
{
    struct virtio_net *net = pair->net;

    while (room->bytes < bytes && room->chains < NET_CHAINS_MAX &&
           room->pieces + 2 * VIRTIO_NET_QUEUE_SIZE <= NET_PIECES_MAX) {
        struct vq_chain chain = {.iov = net->iov + 1 + room->pieces,
                                 .iov_max = (uint16_t)(NET_PIECES_MAX - room->pieces)};
        int rc = virtqueue_pop(pair->rx, &chain);
        if (rc <= 0)
            return rc;
        room->head[room->chains] = chain.head;
        room->len[room->chains++] = (uint32_t)chain.in_len;
        room->pieces += chain.in;
        room->bytes += chain.in_len;
        if (chain.out_len || !chain.in_len)
            return -EINVAL; /* 5.1.6.3.1: writable buffers only */
    }
    return 0;
}

/* The frame went past the chains: `length` bytes in all. Without mergeable buffers there is nothing
 * to add. Returns false when it does not fit. */
static bool take_overflow(struct net_pair *pair, struct net_room *room, uint64_t length)
{
    struct virtio_net *net = pair->net;
    uint64_t fitted = room->bytes;

    if (length > fitted + sizeof net->overflow || !virtio_pci_has(&net->vp, VIRTIO_NET_F_MRG_RXBUF))
        return false;
    if (gather(pair, room, length) < 0 || room->bytes < length)
        return false;
    (void)vq_iov_write(net->iov + 1, room->pieces, fitted, net->overflow, length - fitted);
    return true;
}

static void deliver(struct net_pair *pair, const struct net_room *room, uint64_t length)
{
    struct virtio_net *net = pair->net;
    uint8_t num_buffers[2];
    uint64_t covered = 0;
    unsigned used = 0;

    while (covered < length)
        covered += room->len[used++];
    le16_store(num_buffers, (uint16_t)used);
    (void)vq_iov_write(net->iov + 1, room->pieces, VIRTIO_NET_HDR_NUM_BUFFERS, num_buffers, 2);
    virtqueue_mark_written(pair->rx, net->iov + 1, room->pieces);
    virtqueue_unpop(pair->rx, (uint16_t)(room->chains - used));
    for (unsigned i = 0; i < used; i++) {
        uint32_t n = (uint32_t)MIN((uint64_t)room->len[i], length);
        virtqueue_push(pair->rx, room->head[i], n);
        length -= n;
    }
    pair->rx_large = used > 1 ? UINT8_MAX : pair->rx_large ? pair->rx_large - 1 : 0;
}

static bool wanted(const struct virtio_net *net, const struct net_room *room)
{
    uint8_t to[6];

    if (net->filter.mode[VIRTIO_NET_CTRL_RX_PROMISC])
        return true;
    (void)vq_iov_read(net->iov + 1, room->pieces, VIRTIO_NET_HDR_SIZE, to, sizeof to);
    return net_filter_accepts(&net->filter, net->config + VIRTIO_NET_CONFIG_MAC, to);
}

/* Receives one frame: 0; or -EAGAIN: none there; -ENOBUFS: no room for one; -ENOLINK: never again;
 * or the queue's error. */
static int receive_one(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    bool large = pair->rx_large && virtio_pci_has(&net->vp, VIRTIO_NET_F_MRG_RXBUF);
    struct net_room *room = &net->room;
    ssize_t n;
    int rc;

    room->chains = room->pieces = 0;
    room->bytes = 0;
    rc = gather(pair, room, large ? NIC_HEADER_SIZE + NIC_FRAME_MAX : 1);
    if (rc < 0 || !room->chains)
        return rc < 0 ? rc : -ENOBUFS;
    net->iov[1 + room->pieces] = (struct iovec){net->overflow, sizeof net->overflow};
    n = nic_recv(net->nic, pair->index, net->iov + 1, (int)room->pieces + 1);
    if (n > 0 && !wanted(net, room)) {
        net_count(&net->stats.rx_filtered);
    } else if (n > 0 && (uint64_t)n > room->bytes && !take_overflow(pair, room, (uint64_t)n)) {
        net_count(&net->stats.rx_too_large);
    } else if (n > 0) {
        deliver(pair, room, (uint64_t)n);
        return 0;
    }
    virtqueue_unpop(pair->rx, (uint16_t)room->chains);
    return n == -EAGAIN || n == -ENOLINK ? (int)n : 0;
}

/* Finding out that there is no further frame costs almost as much as receiving one. Where frames
 * come one by one we leave it to the loop, which looks anyway before it sleeps, and try only now
 * and then whether that is still so. */
static unsigned receive_budget(struct net_pair *pair)
{
    if (!pair->net->nic->fd_tells || !pair->rx_single)
        return NET_BATCH;
    pair->rx_single--;
    return 1;
}

static void receive_all(struct net_pair *pair)
{
    struct virtio_pci *vp = &pair->net->vp;
    unsigned limit = receive_budget(pair), budget = limit;
    int rc = 0;

    pair->rx_starved = !virtio_pci_dma(vp);
    if (pair->rx_starved)
        return;
    virtqueue_disarm(pair->rx);
    while (budget && !rc) {
        rc = receive_one(pair);
        budget--;
        if (rc == -ENOBUFS && virtqueue_arm(pair->rx)) {
            virtqueue_disarm(pair->rx);
            rc = 0;
        }
    }
    virtio_pci_publish(vp, pair->rx);
    pair->rx_starved = rc == -ENOBUFS;
    if (rc == -EAGAIN && limit - budget <= 2)
        pair->rx_single = SINGLE_ROUNDS;
    if (rc && rc != -ENOBUFS && rc != -EAGAIN && rc != -ENOLINK)
        virtio_pci_fail(vp);
    else if (!rc && !pair->net->nic->fd_tells)
        ring_self(&pair->rx_bell);
}

/* -- The loop ------------------------------------------------------------------------------------
 */

static void on_cable(void *ctx, uint32_t events);

/* Asks the loop for what is of use now. A source that asks for nothing would still report a
 * hang-up, again and again: it leaves the loop. */
static void update_cable(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    bool alive = !nic_gone(net->nic) && virtio_pci_dma(&net->vp);
    uint32_t events = alive && !pair->rx_starved ? EPOLLIN : 0;

    events |= alive && pair->tx_held ? EPOLLOUT : 0;
    if (events == pair->cable_events)
        return;
    if (!events)
        loop_del(&pair->cable);
    else if (pair->cable_events)
        (void)loop_mod_fd(&pair->cable, events);
    else if (loop_add_fd(net->thread.loop, &pair->cable, nic_fd(net->nic, pair->index), events,
                         on_cable, pair) < 0)
        events = 0;
    pair->cable_events = events;
}

static void on_cable(void *ctx, uint32_t events)
{
    struct net_pair *pair = ctx;

    if (pair->tx_held && nic_flush(pair->net->nic, pair->index) != -EAGAIN) {
        pair->tx_held = false;
        send_all(pair);
    }
    if (events & ~(uint32_t)EPOLLOUT)
        receive_all(pair);
    update_cable(pair);
}

/* New buffers are news only to who waits for them. */
static void on_rx_bell(void *ctx, uint32_t events)
{
    struct net_pair *pair = ctx;

    if (pair->rx_starved || !pair->net->nic->fd_tells)
        receive_all(pair);
    update_cable(pair);
}

static void on_tx_bell(void *ctx, uint32_t events)
{
    send_all(ctx);
    update_cable(ctx);
}

/* Doorbells are edge-triggered: each ring is news, and nobody has to read the eventfd. */
void net_pair_run(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    const int *bell = net->doorbell_fd + 2 * (size_t)pair->index;

    pair->tx_held = false;
    (void)loop_add_fd(net->thread.loop, &pair->rx_bell, bell[0], EPOLLIN | EPOLLET, on_rx_bell,
                      pair);
    (void)loop_add_fd(net->thread.loop, &pair->tx_bell, bell[1], EPOLLIN | EPOLLET, on_tx_bell,
                      pair);
    receive_all(pair);
    on_tx_bell(pair, 0);
}

void net_pair_park(struct net_pair *pair)
{
    loop_del(&pair->rx_bell);
    loop_del(&pair->tx_bell);
    loop_del(&pair->cable);
    pair->cable_events = 0;
}
