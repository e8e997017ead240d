/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net on a real tap, by its own thread and by vhost-net: datagrams between a guest driver
 * and a socket of the host, checksums left to the other side. Everything happens in a network
 * namespace of the program's own; what this machine does not permit is skipped and said. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_net_regs.h"

enum { RX = 0, TX = 1, HDR = VIRTIO_NET_HDR_SIZE, RING = 64, BUFFER = 2048 };
enum { HOST = 0x0a090001, GUEST = 0x0a090002, PORT = 7777 };

/* Without EVENT_IDX every frame is an interrupt. */
#define FEATURES (~VIRTIO_F_EVENT_IDX)

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};
static uint8_t host_mac[6];
static const char *no_net; /* why there is no network to test in, or NULL */

/* -- The host's side -----------------------------------------------------------------------------
 */

static void must(bool ok, const char *what)
{
    if (!ok && !no_net)
        no_net = what;
}

static void make_tap(const char *name)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    must(fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0,
         "a tap interface can not be made");
    (void)close(fd);
}

static void bring_up(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(HOST)};
    struct arpreq arp = {.arp_flags = ATF_COM | ATF_PERM};

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    memcpy(&ifr.ifr_addr, &addr, sizeof addr);
    must(ioctl(fd, SIOCSIFADDR, &ifr) == 0, "SIOCSIFADDR");
    addr.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&ifr.ifr_netmask, &addr, sizeof addr);
    must(ioctl(fd, SIOCSIFNETMASK, &ifr) == 0, "SIOCSIFNETMASK");
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    must(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0, "SIOCSIFFLAGS");
    must(ioctl(fd, SIOCGIFHWADDR, &ifr) == 0, "SIOCGIFHWADDR");
    memcpy(host_mac, ifr.ifr_hwaddr.sa_data, 6);
    addr.sin_addr.s_addr = htonl(GUEST);
    memcpy(&arp.arp_pa, &addr, sizeof addr);
    arp.arp_ha.sa_family = ARPHRD_ETHER;
    memcpy(arp.arp_ha.sa_data, guest_mac, 6);
    strncpy(arp.arp_dev, name, sizeof arp.arp_dev - 1);
    must(ioctl(fd, SIOCSARP, &arp) == 0, "SIOCSARP");
    (void)close(fd);
}

static void enter_namespace(void)
{
    must(unshare(getuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) == 0,
         "a network namespace is not permitted");
    if (!no_net) {
        make_tap("guest0");
        bring_up("guest0");
    }
    if (no_net)
        (void)printf("# %s\n", no_net);
}

/* -- The bench -----------------------------------------------------------------------------------
 */

struct bench {
    struct harness *h;
    struct virtio_driver d;
    struct nic *nic;
    int udp;
    uint64_t in, out;
    unsigned next; /* receive buffer that will be used next */
};

static bool bench_start(struct bench *b, int vhost_fd)
{
    struct nic_params nic = {.kind = NIC_TAP, .queues = 1, .mtu = 1500};
    struct virtio_net_params params = {0};
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timeval second = {.tv_sec = 2};

    *b = (struct bench){.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    CHECK_EQ(setsockopt(b->udp, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second), 0);
    if (!CHECK(bind(b->udp, (struct sockaddr *)&addr, sizeof addr) == 0) ||
        !CHECK(nic_tap_open("guest0", 1, nic.fd, NULL) == 0))
        return false;
    memcpy(nic.mac, guest_mac, 6);
    nic.vhost = vhost_fd >= 0;
    nic.vhost_fd[0] = vhost_fd;
    if (!CHECK(nic_create(&nic, &params.nic, NULL) == 0))
        return false;
    b->nic = params.nic;
    b->h = harness_create(&virtio_net_class, &params, VD_RAM);
    if (!CHECK(vd_start(&b->d, b->h, FEATURES, 3, RING)))
        return false;
    b->in = vd_alloc(&b->d, RING * BUFFER);
    b->out = vd_alloc(&b->d, BUFFER);
    for (unsigned i = 0; i < RING; i++) {
        vd_desc(&b->d, RX, i, b->in + i * BUFFER, BUFFER, VD_WRITE, 0);
        vd_offer(&b->d, RX, (uint16_t)i);
    }
    vd_kick(&b->d, RX);
    return true;
}

static void bench_end(struct bench *b)
{
    harness_destroy(b->h);
    (void)close(b->udp);
}

static uint16_t sum_of(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += be16_load(p + i);
    if (len & 1)
        sum += (uint32_t)p[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint32_t pseudo_sum(size_t udp_len)
{
    return (HOST >> 16) + (HOST & 0xffff) + (GUEST >> 16) + (GUEST & 0xffff) + 17 +
           (uint32_t)udp_len;
}

/* The guest sends a datagram whose checksum is the host's to finish. */
static void guest_sends(struct bench *b, const char *text)
{
    uint8_t f[HDR + 42 + 64] = {0}, *eth = f + HDR, *ip = eth + 14, *udp = ip + 20;
    size_t len = strlen(text);
    struct vd_used used;
    char heard[64] = "";

    f[VIRTIO_NET_HDR_FLAGS] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    le16_store(f + VIRTIO_NET_HDR_CSUM_START, 34);
    le16_store(f + VIRTIO_NET_HDR_CSUM_OFFSET, 6);
    memcpy(eth, host_mac, 6);
    memcpy(eth + 6, guest_mac, 6);
    be16_store(eth + 12, 0x0800);
    ip[0] = 0x45;
    be16_store(ip + 2, (uint16_t)(28 + len));
    ip[8] = 64;
    ip[9] = 17;
    be32_store(ip + 12, GUEST);
    be32_store(ip + 16, HOST);
    be16_store(ip + 10, (uint16_t)~sum_of(ip, 20, 0));
    be16_store(udp, 1234);
    be16_store(udp + 2, PORT);
    be16_store(udp + 4, (uint16_t)(8 + len));
    be16_store(udp + 6, sum_of(NULL, 0, pseudo_sum(8 + len)));
    memcpy(udp + 8, text, len);
    harness_poke(b->h, b->out, f, HDR + 42 + len);
    vd_desc(&b->d, TX, 0, b->out, HDR, VD_NEXT, 1);
    vd_desc(&b->d, TX, 1, b->out + HDR, (uint32_t)(42 + len), 0, 0);
    vd_offer(&b->d, TX, 0);
    vd_kick(&b->d, TX);
    CHECK(vd_wait(&b->d, TX, &used));
    CHECK_EQ(recv(b->udp, heard, sizeof heard - 1, 0), (ssize_t)len);
    CHECK_STR(heard, text);
}

/* The host sends one; other traffic of the interface (IPv6 looking for neighbours) is passed over.
 */
static void host_sends(struct bench *b, const char *text)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(1234), .sin_addr.s_addr = htonl(GUEST)};
    size_t len = strlen(text);
    uint8_t f[BUFFER];
    struct vd_used used;

    CHECK_EQ(sendto(b->udp, text, len, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)len);
    do {
        REQUIRE(vd_wait(&b->d, RX, &used));
        CHECK_EQ(used.id, b->next++ % RING);
        harness_peek(b->h, b->in + used.id * BUFFER, f, sizeof f);
        CHECK_EQ(le16_load(f + VIRTIO_NET_HDR_NUM_BUFFERS), 1);
        vd_offer(&b->d, RX, (uint16_t)used.id);
        vd_kick(&b->d, RX);
    } while (be16_load(f + HDR + 12) != 0x0800);
    CHECK_EQ(used.len, HDR + 42 + len);
    CHECK(!memcmp(f + HDR, guest_mac, 6));
    CHECK(!memcmp(f + HDR + 42, text, len));
    /* Either the sum is right, or the header says from where on it is to be finished. */
    if (f[VIRTIO_NET_HDR_FLAGS] & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        CHECK_EQ(le16_load(f + VIRTIO_NET_HDR_CSUM_START), 34);
        CHECK_EQ(le16_load(f + VIRTIO_NET_HDR_CSUM_OFFSET), 6);
    } else {
        CHECK_EQ(sum_of(f + HDR + 34, 8 + len, pseudo_sum(8 + len)), 0xffff);
    }
    CHECK(harness_wait_msix(b->h, RX + 1) > 0);
}

static void talk(struct bench *b)
{
    cleanup_buf struct buf saved = {0};

    for (unsigned i = 0; i < 3; i++) {
        guest_sends(b, "from the guest");
        host_sends(b, "from the host");
    }
    harness_save(b->h, &saved); /* stops everything and goes on */
    for (unsigned i = 0; i < 3; i++) {
        host_sends(b, "host again");
        guest_sends(b, "guest again");
    }
}

static void by_the_thread(void)
{
    struct bench b;

    if (no_net)
        return;
    REQUIRE(bench_start(&b, -1));
    talk(&b);
    CHECK_EQ(atomic_load(&b.nic->stats->tx_frames), 6);
    bench_end(&b);
}

static void by_vhost(void)
{
    struct bench b;
    int fd = no_net ? -1 : open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        (void)printf("# skipped: no vhost-net here\n");
        return;
    }
    REQUIRE(bench_start(&b, fd));
    talk(&b);
    CHECK_EQ(atomic_load(&b.nic->stats->tx_frames), 0); /* the kernel did it all */

    /* A driver that does not use MSI-X gets the thread. */
    REQUIRE(vd_begin(&b.d, b.h, FEATURES));
    harness_msix_enable(b.h, false);
    for (unsigned q = 0; q < 3; q++)
        vd_queue_setup(&b.d, q, RING);
    vd_set_status(&b.d, VIRTIO_STATUS_DRIVER_OK);
    b.out = vd_alloc(&b.d, BUFFER);
    guest_sends(&b, "without");
    CHECK_EQ(atomic_load(&b.nic->stats->tx_frames), 1);
    bench_end(&b);
}

TAP_MAIN(TAP_CASE(enter_namespace), TAP_CASE(by_the_thread), TAP_CASE(by_vhost))
