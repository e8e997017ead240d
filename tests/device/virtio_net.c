/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net between a guest driver and a back end of the test's own: packets on a socket pair,
 * with the virtio-net header in front, which is what a tap looks like. */
#include "vm/dev/virtio_net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"
#include "vm/dev/virtio_net_regs.h"

enum { RX = 0, TX = 1, HDR = VIRTIO_NET_HDR_SIZE, RING = 64, BUFFER = 2048 };

/* -- The back end --------------------------------------------------------------------------------
 */

static unsigned set_offloads, set_queues;

static ssize_t pair_recv(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    ssize_t n = readv(nic->fd[queue], iov, count);

    return n > 0 ? n : n < 0 && errno == EAGAIN ? -EAGAIN : nic_break(nic);
}

static ssize_t pair_send(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(nic->fd[queue], &msg, MSG_NOSIGNAL);

    return n > 0 ? n : errno == EAGAIN ? -EAGAIN : nic_break(nic);
}

static int pair_offloads(struct nic *nic, unsigned offloads)
{
    set_offloads = offloads;
    return 0;
}

static int pair_queues(struct nic *nic, unsigned queues)
{
    set_queues = queues;
    return 0;
}

static void pair_destroy(struct nic *nic)
{
    free(nic);
}

static const struct nic_ops pair_ops = {.recv = pair_recv,
                                        .send = pair_send,
                                        .set_offloads = pair_offloads,
                                        .set_queues = pair_queues,
                                        .destroy = pair_destroy};

static const uint8_t own_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static struct nic *open_pair(unsigned queues, int *peers)
{
    struct nic *nic = calloc(1, sizeof *nic);

    nic->ops = &pair_ops;
    nic->kind = NIC_TAP;
    nic->fd_tells = true;
    nic->queues = queues;
    nic->stats = &nic->own_stats;
    nic->mtu = 9000;
    nic->offloads = NIC_CSUM | NIC_TSO4 | NIC_TSO6 | NIC_TSO_ECN | NIC_UFO;
    memcpy(nic->mac, own_mac, 6);
    for (unsigned i = 0; i < NIC_QUEUES_MAX; i++) {
        int fd[2] = {-1, -1}, large = 1 << 20;
        if (i < queues) {
            CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
            (void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
            peers[i] = fd[1];
        }
        nic->fd[i] = fd[0];
        nic->vhost_fd[i] = -1;
    }
    return nic;
}

/* -- The bench -----------------------------------------------------------------------------------
 */

struct bench {
    struct harness *h;
    struct virtio_driver d;
    struct nic *nic;
    int peer[NIC_QUEUES_MAX];
    uint64_t buffer; /* RING of BUFFER bytes for receiving, then room for sending */
    uint64_t out;
};

static void bench_create(struct bench *b, unsigned pairs)
{
    *b = (struct bench){0};
    struct virtio_net_params params = {.nic = open_pair(pairs, b->peer), .pairs = pairs};

    b->nic = params.nic;
    b->h = harness_create(&virtio_net_class, &params, VD_RAM);
}

static bool bench_start(struct bench *b, uint64_t features, unsigned pairs)
{
    bench_create(b, pairs);
    if (!CHECK(vd_start(&b->d, b->h, features, 2 * pairs + 1, RING)))
        return false;
    b->buffer = vd_alloc(&b->d, RING * BUFFER);
    b->out = vd_alloc(&b->d, 80000);
    return true;
}

static void bench_end(struct bench *b)
{
    unsigned queues = b->nic->queues;

    harness_destroy(b->h);
    for (unsigned i = 0; i < queues; i++)
        (void)close(b->peer[i]);
}

static uint8_t got[80000];

/* What reached the other end of the cable, header included; 0 when nothing comes. */
static ssize_t peer_recv(struct bench *b, unsigned queue, int ms)
{
    struct pollfd pfd = {.fd = b->peer[queue], .events = POLLIN};

    memset(got, 0xee, sizeof got);
    if (poll(&pfd, 1, ms) <= 0)
        return 0;
    return recv(b->peer[queue], got, sizeof got, MSG_DONTWAIT);
}

static void peer_send(struct bench *b, unsigned queue, size_t len, uint8_t fill)
{
    static uint8_t frame[HDR + NIC_FRAME_MAX];

    memset(frame, 0, HDR);
    memset(frame + HDR, fill, len);
    memcpy(frame + HDR, own_mac, 6);
    for (size_t i = 1000; i < len; i += 1000)
        frame[HDR + i] = (uint8_t)(i / 1000);
    CHECK_EQ(send(b->peer[queue], frame, HDR + len, MSG_NOSIGNAL), (ssize_t)(HDR + len));
}

static void offer_buffers(struct bench *b, unsigned queue, unsigned from, unsigned count,
                          uint32_t size)
{
    for (unsigned i = from; i < from + count; i++) {
        vd_desc(&b->d, queue, i, b->buffer + i * BUFFER, size, VD_WRITE, 0);
        vd_offer(&b->d, queue, (uint16_t)i);
    }
    vd_kick(&b->d, queue);
}

/* Sends `len` bytes behind this header as one chain of two descriptors, cut at `cut`. */
static bool driver_send(struct bench *b, const uint8_t header[HDR], uint32_t len, uint32_t cut)
{
    struct vd_used used;
    static uint8_t frame[80000];

    memset(frame, 0x5a, sizeof frame);
    memcpy(frame, header, HDR);
    harness_poke(b->h, b->out, frame, HDR + len);
    vd_desc(&b->d, TX, 0, b->out, cut, VD_NEXT, 1);
    vd_desc(&b->d, TX, 1, b->out + cut, HDR + len - cut, 0, 0);
    vd_offer(&b->d, TX, 0);
    vd_kick(&b->d, TX);
    return vd_wait(&b->d, TX, &used) && used.id == 0 && used.len == 0;
}

static uint64_t invalid(const struct bench *b)
{
    return atomic_load(&virtio_net_stats(b->h->dev)->tx_invalid);
}

/* Milliseconds of processor that this process used while nothing should happen. */
static unsigned cpu_while_quiet(struct bench *b)
{
    struct timespec before, after;

    (void)usleep(20000);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    (void)usleep(100000);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    (void)b;
    return (unsigned)((after.tv_sec - before.tv_sec) * 1000 +
                      (after.tv_nsec - before.tv_nsec) / 1000000);
}

/* -- Sending -------------------------------------------------------------------------------------
 */

static void frames_leave(void)
{
    struct bench b;
    uint8_t header[HDR] = {0};

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    header[VIRTIO_NET_HDR_FLAGS] = 0xff;
    header[VIRTIO_NET_HDR_GSO_TYPE] = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
    le16_store(header + VIRTIO_NET_HDR_HDR_LEN, 60000);
    le16_store(header + VIRTIO_NET_HDR_GSO_SIZE, 1448);
    le16_store(header + VIRTIO_NET_HDR_CSUM_START, 34);
    le16_store(header + VIRTIO_NET_HDR_CSUM_OFFSET, 16);
    le16_store(header + VIRTIO_NET_HDR_NUM_BUFFERS, 99);
    REQUIRE(driver_send(&b, header, 3000, 5)); /* cut within the header */
    CHECK_EQ(peer_recv(&b, 0, 1000), HDR + 3000);
    CHECK_EQ(got[VIRTIO_NET_HDR_FLAGS], VIRTIO_NET_HDR_F_NEEDS_CSUM); /* the others: unknown */
    CHECK_EQ(got[VIRTIO_NET_HDR_GSO_TYPE], header[VIRTIO_NET_HDR_GSO_TYPE]);
    CHECK_EQ(le16_load(got + VIRTIO_NET_HDR_HDR_LEN), 3000);
    CHECK_EQ(le16_load(got + VIRTIO_NET_HDR_GSO_SIZE), 1448);
    CHECK_EQ(le16_load(got + VIRTIO_NET_HDR_NUM_BUFFERS), 0);
    CHECK_EQ(got[HDR], 0x5a);
    CHECK_EQ(got[HDR + 2999], 0x5a);
    CHECK_EQ(got[HDR + 3000], 0xee);

    memset(header, 0, sizeof header);
    REQUIRE(driver_send(&b, header, 14, HDR));
    CHECK_EQ(peer_recv(&b, 0, 1000), HDR + 14);
    REQUIRE(driver_send(&b, header, NIC_FRAME_MAX, 40000));
    CHECK_EQ(peer_recv(&b, 0, 1000), HDR + NIC_FRAME_MAX);
    CHECK_EQ(invalid(&b), 0);
    bench_end(&b);
}

static void sizes_are_checked(void)
{
    struct bench b;
    uint8_t header[HDR] = {0};
    struct vd_used used;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    REQUIRE(driver_send(&b, header, 13, HDR));
    REQUIRE(driver_send(&b, header, NIC_FRAME_MAX + 1, HDR));
    vd_desc(&b.d, TX, 0, b.out, 5, 0, 0); /* not even a header */
    vd_offer(&b.d, TX, 0);
    vd_desc(&b.d, TX, 1, b.out, 100, VD_WRITE, 0); /* nothing to read */
    vd_offer(&b.d, TX, 1);
    vd_kick(&b.d, TX);
    REQUIRE(vd_wait(&b.d, TX, &used) && vd_wait(&b.d, TX, &used));
    CHECK_EQ(invalid(&b), 4);
    CHECK_EQ(peer_recv(&b, 0, 20), 0);
    bench_end(&b);
}

struct lie {
    uint8_t flags, gso;
    uint16_t gso_size, start, offset;
    uint64_t without; /* this feature not negotiated */
};

static const struct lie lies[] = {
    {1, 0, 0, 0, 0, 0},                             /* checksum in the Ethernet header */
    {1, 0, 0, 999, 0, 0},                           /* its second byte behind the end */
    {1, 0, 0, 60000, 60000, 0},                     /* far behind */
    {1, 0, 0, 34, 65535, 0},                        /* */
    {1, 0, 0, 34, 16, VIRTIO_NET_F_CSUM},           /* not negotiated */
    {0, VIRTIO_NET_HDR_GSO_TCPV4, 1448, 34, 16, 0}, /* segments without checksum */
    {1, VIRTIO_NET_HDR_GSO_TCPV4, 0, 34, 16, 0},    /* of no size */
    {1, VIRTIO_NET_HDR_GSO_TCPV4, 1, 34, 16, 0},    /* thousands of them */
    {1, VIRTIO_NET_HDR_GSO_TCPV6, 47, 54, 16, 0},   /* */
    {1, 2, 1448, 34, 16, 0},                        /* a type that is none */
    {1, 5, 1448, 34, 16, 0},                        /* */
    {1, 0x40, 1448, 34, 16, 0},                     /* */
    {1, VIRTIO_NET_HDR_GSO_ECN, 1448, 34, 16, 0},   /* ECN of nothing */
    {1, VIRTIO_NET_HDR_GSO_UDP | VIRTIO_NET_HDR_GSO_ECN, 1448, 34, 16, 0}, /* of UDP */
    {1, VIRTIO_NET_HDR_GSO_TCPV4, 1448, 34, 16, VIRTIO_NET_F_HOST_TSO4},
    {1, VIRTIO_NET_HDR_GSO_TCPV6, 1448, 34, 16, VIRTIO_NET_F_HOST_TSO6},
    {1, VIRTIO_NET_HDR_GSO_UDP, 1448, 34, 16, VIRTIO_NET_F_HOST_UFO},
    {1, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 1448, 34, 16, VIRTIO_NET_F_HOST_ECN},
};

static void headers_that_lie_go_nowhere(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        const struct lie *lie = &lies[i];
        uint64_t without = lie->without;
        struct bench b;
        uint8_t header[HDR] = {lie->flags, lie->gso};

        if (without == VIRTIO_NET_F_CSUM)
            without |= VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_UFO |
                       VIRTIO_NET_F_HOST_ECN;
        REQUIRE(bench_start(&b, ~without, 1));
        le16_store(header + VIRTIO_NET_HDR_GSO_SIZE, lie->gso_size);
        le16_store(header + VIRTIO_NET_HDR_CSUM_START, lie->start);
        le16_store(header + VIRTIO_NET_HDR_CSUM_OFFSET, lie->offset);
        REQUIRE(driver_send(&b, header, 1000, HDR));
        if (!CHECK_EQ(invalid(&b), 1) || !CHECK_EQ(peer_recv(&b, 0, 0), 0))
            (void)printf("# lie %zu\n", i);
        bench_end(&b);
    }
}

static void full_back_end_holds_frames(void)
{
    struct bench b;
    struct vd_used used;
    uint8_t header[HDR] = {0};
    int small = 20000;
    unsigned arrived = 0;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    (void)setsockopt(b.nic->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    harness_poke(b.h, b.out, header, sizeof header);
    for (unsigned i = 0; i < 60; i++) {
        vd_desc(&b.d, TX, i, b.out, HDR + 1500, 0, 0);
        vd_offer(&b.d, TX, (uint16_t)i);
    }
    vd_kick(&b.d, TX);
    (void)usleep(20000);
    CHECK(vd_used_count(&b.d, TX) < 60);
    CHECK(cpu_while_quiet(&b) < 20);
    while (peer_recv(&b, 0, 1000) == HDR + 1500)
        arrived++;
    CHECK_EQ(arrived, 60);
    for (unsigned i = 0; i < 60; i++)
        REQUIRE(vd_wait(&b.d, TX, &used) && used.id == i);
    bench_end(&b);
}

/* -- Receiving -----------------------------------------------------------------------------------
 */

static void frames_arrive(void)
{
    struct bench b;
    struct vd_used used;
    static uint8_t in[HDR + 1600];

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    offer_buffers(&b, RX, 0, 2, BUFFER);
    peer_send(&b, 0, 1500, 0xab);
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.id, 0);
    CHECK_EQ(used.len, HDR + 1500);
    CHECK_EQ(harness_wait_msix(b.h, RX + 1), 1);
    harness_peek(b.h, b.buffer, in, sizeof in);
    CHECK_EQ(le16_load(in + VIRTIO_NET_HDR_NUM_BUFFERS), 1);
    CHECK_EQ(in[HDR + 1499], 0xab);
    CHECK_EQ(in[HDR + 1500], 0);

    /* A buffer is left, then none: the next frames wait on the host, and nobody spins. */
    for (unsigned i = 0; i < 4; i++)
        peer_send(&b, 0, 60, (uint8_t)(i + 1));
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK(cpu_while_quiet(&b) < 20);
    CHECK_EQ(vd_used_count(&b.d, RX), 0);
    offer_buffers(&b, RX, 2, 3, BUFFER);
    for (unsigned i = 1; i < 4; i++) {
        REQUIRE(vd_wait(&b.d, RX, &used));
        harness_peek(b.h, b.buffer + (i + 1) * BUFFER, in, 100);
        CHECK_EQ(in[HDR + 59], i + 1);
    }
    bench_end(&b);
}

/* One frame over many buffers: content, lengths, and that the buffers it did not need come next. */
static void check_merged(struct bench *b, size_t len, unsigned first, uint32_t size)
{
    static uint8_t in[HDR + NIC_FRAME_MAX];
    struct vd_used used;
    size_t have = 0, wrong = 0;
    unsigned buffers = (unsigned)((HDR + len + size - 1) / size);

    peer_send(b, 0, len, 0x77);
    for (unsigned i = 0; i < buffers; i++) {
        REQUIRE(vd_wait(&b->d, RX, &used));
        CHECK_EQ(used.id, (first + i) % RING);
        REQUIRE(used.len <= size && have + used.len <= sizeof in);
        harness_peek(b->h, b->buffer + used.id * BUFFER, in + have, used.len);
        have += used.len;
    }
    CHECK_EQ(have, HDR + len);
    CHECK_EQ(le16_load(in + VIRTIO_NET_HDR_NUM_BUFFERS), buffers);
    CHECK(!memcmp(in + HDR, own_mac, 6));
    for (size_t i = 6; i < len; i++)
        wrong += in[HDR + i] != (i % 1000 ? 0x77 : (uint8_t)(i / 1000));
    CHECK_EQ(wrong, 0);
}

static void large_frames_are_merged(void)
{
    struct bench b;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    offer_buffers(&b, RX, 0, RING, 1500);
    check_merged(&b, 20000, 0, 1500);  /* by way of the overflow: 14 buffers */
    check_merged(&b, 30000, 14, 1500); /* straight: 21 */
    check_merged(&b, 100, 35, 1500);
    check_merged(&b, 1500 - HDR, 36, 1500); /* exactly one */
    check_merged(&b, 1501 - HDR, 37, 1500); /* two */
    CHECK_EQ(vd_used_count(&b.d, RX), 0);
    offer_buffers(&b, RX, 0, 39, 1500);
    check_merged(&b, NIC_FRAME_MAX, 39, 1500);
    CHECK_EQ(atomic_load(&virtio_net_stats(b.h->dev)->rx_too_large), 0);
    bench_end(&b);
}

static void too_large_frames_are_dropped(void)
{
    struct bench b;
    struct vd_used used;

    REQUIRE(bench_start(&b, ~VIRTIO_NET_F_MRG_RXBUF, 1));
    offer_buffers(&b, RX, 0, 4, 500);
    peer_send(&b, 0, 501 - HDR, 1); /* one byte too many */
    peer_send(&b, 0, 500 - HDR, 2);
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.id, 0);
    CHECK_EQ(used.len, 500);
    CHECK_EQ(atomic_load(&virtio_net_stats(b.h->dev)->rx_too_large), 1);
    bench_end(&b);

    REQUIRE(bench_start(&b, UINT64_MAX, 1)); /* merged, but not enough of them */
    offer_buffers(&b, RX, 0, 2, 500);
    peer_send(&b, 0, 1001 - HDR, 1);
    peer_send(&b, 0, 1000 - HDR, 2);
    REQUIRE(vd_wait(&b.d, RX, &used) && vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.id, 1);
    CHECK_EQ(used.len, 500);
    CHECK_EQ(atomic_load(&virtio_net_stats(b.h->dev)->rx_too_large), 1);
    bench_end(&b);
}

/* -- The control queue ---------------------------------------------------------------------------
 */

/* Answers 0 or 1 as the device does, or -1 when it does not. */
static int command(struct bench *b, unsigned queue, uint8_t class, uint8_t what, const void *data,
                   uint32_t len)
{
    uint8_t head[2] = {class, what}, ack = 0xff;
    uint64_t at = b->out + 70000;
    struct vd_used used;

    harness_poke(b->h, at, head, 2);
    harness_poke(b->h, at + 2, data, len);
    harness_poke(b->h, at + 8000, &ack, 1);
    vd_desc(&b->d, queue, 0, at, 2 + len, VD_NEXT, 1);
    vd_desc(&b->d, queue, 1, at + 8000, 1, VD_WRITE, 0);
    vd_offer(&b->d, queue, 0);
    vd_kick(&b->d, queue);
    if (!vd_wait(&b->d, queue, &used) || used.len != 1)
        return -1;
    harness_peek(b->h, at + 8000, &ack, 1);
    return ack;
}

static void send_to(struct bench *b, const char *mac)
{
    uint8_t frame[HDR + 60] = {0};

    memcpy(frame + HDR, mac, 6);
    CHECK_EQ(send(b->peer[0], frame, sizeof frame, MSG_NOSIGNAL), (ssize_t)sizeof frame);
}

/* Which of a list of destinations come through: bit n for number n. */
static unsigned pass(struct bench *b)
{
    static const char *const to[] = {
        "\x52\x54\x00\x12\x34\x56", "\x52\x54\x00\x12\x34\x57", "\xff\xff\xff\xff\xff\xff",
        "\x01\x00\x5e\x00\x00\x01", "\x01\x00\x5e\x00\x00\x02", "\x02\x00\x00\x00\x00\x09",
    };
    unsigned passed = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(to); i++) {
        struct vd_used used;
        uint64_t before = atomic_load(&virtio_net_stats(b->h->dev)->rx_filtered);
        send_to(b, to[i]);
        for (int ms = 0; ms < 2000 && !vd_used_count(&b->d, RX) &&
                         atomic_load(&virtio_net_stats(b->h->dev)->rx_filtered) == before;
             ms++)
            (void)usleep(1000);
        if (!vd_used_count(&b->d, RX))
            continue;
        passed |= BIT(i);
        CHECK(vd_wait(&b->d, RX, &used));
        offer_buffers(b, RX, used.id, 1, BUFFER);
    }
    return passed;
}

static void filter_does_as_told(void)
{
    struct bench b;
    const uint8_t on = 1, off = 0, bad = 2;
    uint8_t tables[8 + 12] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 2};

    REQUIRE(bench_start(&b, ~VIRTIO_NET_F_MQ, 1));
    offer_buffers(&b, RX, 0, 4, BUFFER);
    CHECK_EQ(pass(&b), 0x3f);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1), 0);
    CHECK_EQ(pass(&b), 0x05); /* own, broadcast */
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1), 0);
    CHECK_EQ(pass(&b), 0x1d);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_ALLMULTI, &off, 1), 0);
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof tables), 0);
    CHECK_EQ(pass(&b), 0x35);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1), 0);
    CHECK_EQ(pass(&b), 0x31);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_NOUNI, &on, 1), 0);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_NOMULTI, &on, 1), 0);
    CHECK_EQ(pass(&b), 0);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_PROMISC, &bad, 1), 1);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_MAX, &on, 1), 1);
    CHECK_EQ(pass(&b), 0);

    /* A reset forgets. */
    REQUIRE(vd_start(&b.d, b.h, ~VIRTIO_NET_F_MQ, 3, RING));
    b.buffer = vd_alloc(&b.d, RING * BUFFER);
    offer_buffers(&b, RX, 0, 4, BUFFER);
    CHECK_EQ(pass(&b), 0x3f);
    bench_end(&b);
}

static void long_tables_mean_all(void)
{
    struct bench b;
    const uint8_t off = 0;
    uint8_t tables[8 + 6 * 100] = {100};

    REQUIRE(bench_start(&b, ~VIRTIO_NET_F_MQ, 1));
    offer_buffers(&b, RX, 0, 4, BUFFER);
    CHECK_EQ(command(&b, 2, 0, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1), 0);
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof tables), 0);
    CHECK_EQ(pass(&b), 0x27);
    tables[0] = 101; /* longer than the command */
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof tables), 1);
    le32_store(tables, UINT32_MAX);
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof tables), 1);
    tables[0] = 0;
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, 3), 1);
    CHECK_EQ(pass(&b), 0x27); /* as before */
    bench_end(&b);
}

static void commands_are_checked(void)
{
    struct bench b;
    const uint8_t zeroes[16] = {0};
    struct vd_used used;

    REQUIRE(bench_start(&b, ~VIRTIO_NET_F_MQ, 1));
    for (unsigned class = 0; class < 256; class += 5)
        CHECK_EQ(command(&b, 2, (uint8_t) class, 77, zeroes, 2), 1);
    CHECK_EQ(command(&b, 2, 0, 0, zeroes, 2), 1);                     /* too long */
    CHECK_EQ(command(&b, 2, 4, 0, "\1\0", 2), 1);                     /* MQ was not negotiated */
    CHECK_EQ(command(&b, 2, 1, 1, "\x01\x02\x03\x04\x05\x06", 6), 1); /* a group address */
    CHECK_EQ(command(&b, 2, 1, 1, zeroes, 5), 1);

    /* One byte of a command; then one without room for the answer. */
    vd_desc(&b.d, 2, 0, b.out, 1, VD_NEXT, 1);
    vd_desc(&b.d, 2, 1, b.out + 100, 1, VD_WRITE, 0);
    vd_offer(&b.d, 2, 0);
    vd_kick(&b.d, 2);
    REQUIRE(vd_wait(&b.d, 2, &used));
    vd_desc(&b.d, 2, 0, b.out, 3, 0, 0);
    vd_offer(&b.d, 2, 0);
    vd_kick(&b.d, 2);
    CHECK(vd_wait_broken(&b.d));
    bench_end(&b);
}

static uint64_t read_mac(struct bench *b)
{
    uint64_t mac = 0;

    for (unsigned i = 0; i < 6; i++)
        mac = mac << 8 | harness_read(b->h, VIRTIO_REGION_DEVICE, i, 1);
    return mac;
}

static void registers_are_there(void)
{
    struct bench b;
    const uint64_t all = ~VIRTIO_NET_F_MQ;
    uint8_t wish[8];

    REQUIRE(bench_start(&b, all, 1));
    CHECK_EQ(read_mac(&b), 0x525400123456);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 6, 2), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 8, 2), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 10, 2), 9000);
    CHECK_EQ(set_offloads, 31);
    CHECK_EQ(command(&b, 2, 1, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\2\0\0\0\0\7", 6), 0);
    CHECK_EQ(read_mac(&b), 0x020000000007);

    le64_store(wish, VIRTIO_NET_F_GUEST_CSUM);
    CHECK_EQ(command(&b, 2, 5, 0, wish, 8), 0);
    CHECK_EQ(set_offloads, NIC_CSUM);
    le64_store(wish,
               VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_CSUM); /* the latter is not the guest's */
    CHECK_EQ(command(&b, 2, 5, 0, wish, 8), 1);
    CHECK_EQ(set_offloads, NIC_CSUM);

    REQUIRE(vd_start(&b.d, b.h, all & ~VIRTIO_NET_F_GUEST_UFO, 3, RING));
    CHECK_EQ(read_mac(&b), 0x525400123456);
    CHECK_EQ(set_offloads, 15);
    bench_end(&b);
}

static void features_that_need_others(void)
{
    static const uint64_t alone[] = {
        VIRTIO_NET_F_GUEST_TSO4,
        VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_UFO,
        VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,
        VIRTIO_NET_F_HOST_UFO,
        VIRTIO_NET_F_CTRL_RX,
        VIRTIO_NET_F_MQ,
        VIRTIO_NET_F_CTRL_MAC_ADDR,
        VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_ECN,
        VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_ECN,
    };
    struct bench b;

    bench_create(&b, 2);
    for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
        CHECK(!vd_begin(&b.d, b.h, alone[i]));
    CHECK(vd_begin(&b.d, b.h, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4));
    bench_end(&b);
}

/* -- Several queues ------------------------------------------------------------------------------
 */

static void pairs_come_and_go(void)
{
    struct bench b;
    struct vd_used used;
    uint8_t header[HDR] = {0};

    REQUIRE(bench_start(&b, UINT64_MAX, 3));
    CHECK_EQ(set_queues, 1);
    offer_buffers(&b, 4, 0, 4, BUFFER); /* receiving on the third pair */
    peer_send(&b, 2, 60, 9);
    (void)usleep(10000);
    CHECK_EQ(vd_used_count(&b.d, 4), 0); /* not in use yet */
    CHECK_EQ(command(&b, 6, 4, 0, "\3\0", 2), 0);
    CHECK_EQ(set_queues, 3);
    REQUIRE(vd_wait(&b.d, 4, &used));
    CHECK_EQ(used.len, HDR + 60);
    harness_poke(b.h, b.out, header, HDR);
    vd_desc(&b.d, 5, 0, b.out, HDR + 60, 0, 0);
    vd_offer(&b.d, 5, 0);
    vd_kick(&b.d, 5);
    REQUIRE(vd_wait(&b.d, 5, &used));
    CHECK_EQ(peer_recv(&b, 2, 1000), HDR + 60);
    CHECK_EQ(command(&b, 6, 4, 0, "\4\0", 2), 1);
    CHECK_EQ(command(&b, 6, 4, 0, "\0\0", 2), 1);
    CHECK_EQ(command(&b, 6, 4, 0, "\1\0", 2), 0);
    CHECK_EQ(set_queues, 1);
    peer_send(&b, 2, 60, 9);
    (void)usleep(10000);
    CHECK_EQ(vd_used_count(&b.d, 4), 0);
    bench_end(&b);
}

/* -- Trouble -------------------------------------------------------------------------------------
 */

static void link_news_reach_the_driver(void)
{
    struct bench b;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    nic_set_link(b.nic, false);
    CHECK_EQ(harness_wait_msix(b.h, 0), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 6, 2), 0);
    nic_set_link(b.nic, true);
    CHECK_EQ(harness_wait_msix(b.h, 0), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 6, 2), 1);

    /* The back end dies: while the driver has buffers, and while it has none. */
    offer_buffers(&b, RX, 0, 1, BUFFER);
    (void)shutdown(b.peer[0], SHUT_RDWR);
    CHECK_EQ(harness_wait_msix(b.h, 0), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 6, 2), 0);
    CHECK(cpu_while_quiet(&b) < 20);
    bench_end(&b);
    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    (void)shutdown(b.peer[0], SHUT_RDWR);
    CHECK(cpu_while_quiet(&b) < 20);
    uint8_t header[HDR] = {0};
    CHECK(driver_send(&b, header, 60, HDR)); /* into the void */
    bench_end(&b);
}

static void broken_rings_stop_the_device(void)
{
    struct bench b;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    vd_desc(&b.d, RX, 0, b.buffer, BUFFER, 0, 0); /* not writable */
    vd_offer(&b.d, RX, 0);
    vd_kick(&b.d, RX);
    CHECK(vd_wait_broken(&b.d));
    peer_send(&b, 0, 60, 1);
    CHECK(cpu_while_quiet(&b) < 20);

    REQUIRE(vd_start(&b.d, b.h, UINT64_MAX, 3, RING)); /* a reset mends it */
    offer_buffers(&b, RX, 0, 1, BUFFER);
    struct vd_used used;
    CHECK(vd_wait(&b.d, RX, &used));

    vd_desc(&b.d, TX, 0, VD_RAM - 100, 1000, 0, 0); /* past the end of RAM */
    vd_offer(&b.d, TX, 0);
    vd_kick(&b.d, TX);
    CHECK(vd_wait_broken(&b.d));
    bench_end(&b);
}

static void no_dma_without_bus_master(void)
{
    struct bench b;
    struct vd_used used;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    harness_bus_master(b.h, false);
    offer_buffers(&b, RX, 0, 2, BUFFER);
    peer_send(&b, 0, 60, 1);
    CHECK(cpu_while_quiet(&b) < 20);
    CHECK_EQ(vd_used_count(&b.d, RX), 0);
    harness_bus_master(b.h, true);
    vd_kick(&b.d, RX);
    CHECK(vd_wait(&b.d, RX, &used));

    /* Lost while the device had nothing to receive, noticed when it was to send. */
    harness_bus_master(b.h, false);
    vd_kick(&b.d, TX);
    (void)usleep(10000);
    harness_bus_master(b.h, true);
    vd_kick(&b.d, RX);
    peer_send(&b, 0, 60, 1);
    CHECK(vd_wait(&b.d, RX, &used));
    bench_end(&b);
}

static void wires_work_too(void)
{
    struct bench b;
    struct vd_used used;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    harness_msix_enable(b.h, false);
    offer_buffers(&b, RX, 0, 2, BUFFER);
    peer_send(&b, 0, 60, 1);
    REQUIRE(vd_wait(&b.d, RX, &used));
    for (int i = 0; i < 1000 && !harness_intx(b.h); i++)
        (void)usleep(1000);
    CHECK(harness_intx(b.h));
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_ISR, 0, 1), VIRTIO_ISR_QUEUE);
    CHECK(!harness_intx(b.h));
    bench_end(&b);
}

static void reset_in_full_flight(void)
{
    struct bench b;

    REQUIRE(bench_start(&b, UINT64_MAX, 1));
    for (unsigned round = 0; round < 50; round++) {
        offer_buffers(&b, RX, 0, RING, BUFFER);
        for (unsigned i = 0; i < 20; i++)
            peer_send(&b, 0, 60, 1);
        if (round % 3)
            (void)usleep(round * 10);
        REQUIRE(vd_start(&b.d, b.h, UINT64_MAX, 3, RING));
        b.buffer = vd_alloc(&b.d, RING * BUFFER);
        b.out = vd_alloc(&b.d, 80000);
        while (peer_recv(&b, 0, 0) > 0)
            ;
    }
    bench_end(&b);
}

/* -- State ---------------------------------------------------------------------------------------
 */

static void saved_is_restored(void)
{
    struct bench a, b;
    struct buf first = {0}, second = {0};
    struct err err = ERR_INIT;
    const uint8_t off = 0;
    uint8_t tables[8 + 6] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 9};
    struct vd_used used;

    REQUIRE(bench_start(&a, UINT64_MAX, 2));
    offer_buffers(&a, RX, 0, 8, BUFFER);
    peer_send(&a, 0, 60, 1);
    REQUIRE(vd_wait(&a.d, RX, &used));
    CHECK_EQ(command(&a, 4, 0, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1), 0);
    CHECK_EQ(command(&a, 4, 1, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof tables), 0);
    CHECK_EQ(command(&a, 4, 1, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\2\0\0\0\0\7", 6), 0);
    CHECK_EQ(command(&a, 4, 4, 0, "\2\0", 2), 0);
    harness_save(a.h, &first);
    a.h->class->quiesce(a.h->dev); /* its memory is copied now */

    bench_create(&b, 2);
    for (uint64_t at = 0; at < VD_RAM; at += 4096) {
        uint8_t page[4096];
        harness_peek(a.h, at, page, sizeof page);
        harness_poke(b.h, at, page, sizeof page);
    }
    harness_msix_enable(b.h, true);
    CHECK_EQ(harness_load(b.h, &first, &err), 0);
    harness_save(b.h, &second);
    CHECK_EQ(first.len, second.len);
    CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    CHECK_EQ(set_queues, 2);

    /* It goes on where the other stopped. */
    b.d = a.d;
    b.d.h = b.h;
    b.buffer = a.buffer;
    b.out = a.out;
    CHECK_EQ(read_mac(&b), 0x020000000007);
    send_to(&b, "\x52\x54\x00\x12\x34\x56"); /* not its address any more */
    send_to(&b, "\x02\x00\x00\x00\x00\x07");
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.id, 1);
    CHECK_EQ(atomic_load(&virtio_net_stats(b.h->dev)->rx_filtered), 1);

    /* Two pairs do not fit into a device with one. */
    bench_end(&a);
    bench_create(&a, 1);
    CHECK(harness_load(a.h, &first, &err) < 0);
    CHECK(err.text[0] != '\0');
    bench_end(&a);
    bench_end(&b);
    buf_free(&first);
    buf_free(&second);
}

TAP_MAIN(TAP_CASE(frames_leave), TAP_CASE(sizes_are_checked), TAP_CASE(headers_that_lie_go_nowhere),
         TAP_CASE(full_back_end_holds_frames), TAP_CASE(frames_arrive),
         TAP_CASE(large_frames_are_merged), TAP_CASE(too_large_frames_are_dropped),
         TAP_CASE(filter_does_as_told), TAP_CASE(long_tables_mean_all),
         TAP_CASE(commands_are_checked), TAP_CASE(registers_are_there),
         TAP_CASE(features_that_need_others), TAP_CASE(pairs_come_and_go),
         TAP_CASE(link_news_reach_the_driver), TAP_CASE(broken_rings_stop_the_device),
         TAP_CASE(no_dma_without_bus_master), TAP_CASE(wires_work_too),
         TAP_CASE(reset_in_full_flight), TAP_CASE(saved_is_restored))
