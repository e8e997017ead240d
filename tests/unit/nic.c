/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/backend/nic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "tests/tap.h"

static uint8_t scratch[16];
static uint8_t rx[70000];

/* -- The stream ----------------------------------------------------------------------------------
 */

static struct nic *open_user(int *ret_peer)
{
    struct nic_params params = {.kind = NIC_USER, .queues = 1};
    struct nic *nic = NULL;
    int fd[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    params.fd[0] = fd[0];
    CHECK_EQ(nic_create(&params, &nic, NULL), 0);
    *ret_peer = fd[1];
    return nic;
}

static ssize_t recv_frame(struct nic *nic, unsigned queue)
{
    struct iovec iov[] = {{rx, 5}, {rx + 5, sizeof rx - 5}, {scratch, sizeof scratch}};

    return nic_recv(nic, queue, iov, 3);
}

static int send_frame(struct nic *nic, unsigned queue, const void *data, size_t len)
{
    uint8_t header[NIC_HEADER_SIZE] = {0};
    struct iovec iov[] = {{header, sizeof header},
                          {(void *)data, len / 2},
                          {(uint8_t *)data + len / 2, len - len / 2}};

    return nic_send(nic, queue, iov, 3);
}

static void stream_of_single_bytes(void)
{
    int peer;
    cleanup_nic struct nic *nic = open_user(&peer);
    uint8_t wire[2 * (4 + 60)];

    REQUIRE(nic != NULL);
    for (unsigned f = 0; f < 2; f++) {
        be32_store(wire + f * 64, 60);
        memset(wire + f * 64 + 4, 'a' + (int)f, 60);
    }
    for (unsigned i = 0; i < 64; i++) {
        CHECK_EQ(recv_frame(nic, 0), -EAGAIN);
        CHECK_EQ(write(peer, wire + i, 1), 1);
    }
    memset(rx, 0xff, sizeof rx);
    CHECK_EQ(recv_frame(nic, 0), NIC_HEADER_SIZE + 60);
    for (unsigned i = 0; i < NIC_HEADER_SIZE; i++)
        CHECK_EQ(rx[i], 0);
    CHECK_EQ(rx[NIC_HEADER_SIZE], 'a');
    CHECK_EQ(rx[NIC_HEADER_SIZE + 59], 'a');
    CHECK_EQ(rx[NIC_HEADER_SIZE + 60], 0xff);

    /* Two and a half at once; the buffered one comes without the descriptor saying so. */
    CHECK_EQ(write(peer, wire, 128), 128);
    CHECK_EQ(write(peer, wire, 30), 30);
    CHECK_EQ(recv_frame(nic, 0), NIC_HEADER_SIZE + 60);
    CHECK_EQ(recv_frame(nic, 0), NIC_HEADER_SIZE + 60);
    CHECK_EQ(rx[NIC_HEADER_SIZE], 'b');
    CHECK_EQ(recv_frame(nic, 0), -EAGAIN);
    CHECK(nic_link(nic));
    CHECK_EQ(atomic_load(&nic->stats->rx_frames), 3);
    (void)close(peer);
}

static unsigned told;

static void on_link(void *ctx)
{
    told += ctx == &told;
}

static void check_hostile(uint32_t length)
{
    int peer;
    cleanup_nic struct nic *nic = open_user(&peer);
    uint8_t wire[8] = {0};

    REQUIRE(nic != NULL);
    nic_set_notify(nic, on_link, &told);
    told = 0;
    be32_store(wire, length);
    CHECK_EQ(write(peer, wire, sizeof wire), 8);
    CHECK_EQ(recv_frame(nic, 0), -ENOLINK);
    CHECK_EQ(atomic_load(&nic->stats->rx_hostile), 1);
    CHECK(!nic_link(nic));
    CHECK_EQ(told, 1);
    CHECK_EQ(recv_frame(nic, 0), -ENOLINK);
    CHECK_EQ(send_frame(nic, 0, rx, 60), -ENOLINK);
    (void)close(peer);
}

static void hostile_lengths_end_the_link(void)
{
    check_hostile(0);
    check_hostile(NIC_FRAME_MIN - 1);
    check_hostile(NIC_FRAME_MAX + 1);
    check_hostile(0x80000000);
    check_hostile(UINT32_MAX);
}

static void largest_frame_passes(void)
{
    int peer;
    cleanup_nic struct nic *nic = open_user(&peer);
    static uint8_t wire[4 + NIC_FRAME_MAX];

    REQUIRE(nic != NULL);
    be32_store(wire, NIC_FRAME_MAX);
    wire[sizeof wire - 1] = 7;
    CHECK_EQ(write(peer, wire, sizeof wire), sizeof wire);
    CHECK_EQ(recv_frame(nic, 0), NIC_HEADER_SIZE + NIC_FRAME_MAX);
    CHECK_EQ(rx[NIC_HEADER_SIZE + NIC_FRAME_MAX - 1], 7);
    CHECK_EQ(send_frame(nic, 0, wire, NIC_FRAME_MAX + 1), -EMSGSIZE);
    CHECK(nic_link(nic));

    /* Into less room it is cut, and its length says so. */
    struct iovec iov[] = {{rx, 100}, {scratch, sizeof scratch}};
    CHECK_EQ(write(peer, wire, sizeof wire), sizeof wire);
    CHECK_EQ(nic_recv(nic, 0, iov, 2), NIC_HEADER_SIZE + NIC_FRAME_MAX);
    (void)close(peer);
}

/* The socket takes a part of a frame: the rest follows, nothing is torn. */
static void full_socket_holds_frames_back(void)
{
    int peer, small = 4096;
    cleanup_nic struct nic *nic = open_user(&peer);
    static uint8_t frame[20001]; /* more than the socket takes at once */
    unsigned sent = 0, got = 0, held = 0, turns = 0;
    size_t have = 0;
    static uint8_t in[1 << 16];

    REQUIRE(nic != NULL);
    CHECK_EQ(setsockopt(nic_fd(nic, 0), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while (got < 200) {
        while (sent < 200) {
            memset(frame, (int)sent, sizeof frame);
            int rc = send_frame(nic, 0, frame, sizeof frame);
            if (rc == -EAGAIN) {
                held++;
                break;
            }
            REQUIRE(rc == 0);
            sent++;
        }
        ssize_t n = recv(peer, in + have, sizeof in - have, MSG_DONTWAIT);
        REQUIRE(turns++ < 10000);
        if (n <= 0)
            (void)nic_flush(nic, 0);
        have += n > 0 ? (size_t)n : 0;
        while (have >= 4 + sizeof frame) {
            CHECK_EQ(be32_load(in), sizeof frame);
            CHECK_EQ(in[4], (uint8_t)got);
            CHECK_EQ(in[3 + sizeof frame], (uint8_t)got);
            got++;
            have -= 4 + sizeof frame;
            memmove(in, in + 4 + sizeof frame, have);
        }
    }
    CHECK(held > 0);
    CHECK_EQ(nic_flush(nic, 0), 0);
    (void)close(peer);
    CHECK_EQ(send_frame(nic, 0, frame, sizeof frame), -ENOLINK);
    CHECK(!nic_link(nic));
}

static void pulled_cable(void)
{
    int peer;
    cleanup_nic struct nic *nic = open_user(&peer);
    uint8_t wire[64] = {0};

    REQUIRE(nic != NULL);
    nic_set_notify(nic, on_link, &told);
    told = 0;
    nic_set_link(nic, false);
    nic_set_link(nic, false);
    CHECK_EQ(told, 1);
    CHECK(!nic_link(nic));
    be32_store(wire, 60);
    CHECK_EQ(write(peer, wire, sizeof wire), 64);
    CHECK_EQ(recv_frame(nic, 0), -EIO);
    CHECK_EQ(send_frame(nic, 0, wire, 60), 0); /* lost */
    CHECK_EQ(atomic_load(&nic->stats->tx_dropped), 1);
    nic_set_link(nic, true);
    CHECK_EQ(told, 2);
    CHECK_EQ(write(peer, wire, sizeof wire), 64);
    CHECK_EQ(recv_frame(nic, 0), NIC_HEADER_SIZE + 60);
    (void)close(peer);
}

static void nobody_there(void)
{
    struct nic_params params = {.kind = NIC_NONE};
    cleanup_nic struct nic *nic = NULL;

    REQUIRE(nic_create(&params, &nic, NULL) == 0);
    CHECK(!nic_link(nic));
    CHECK_EQ(recv_frame(nic, 0), -ENOLINK);
    CHECK_EQ(nic_set_offloads(nic, NIC_CSUM), 0);
    params = (struct nic_params){.kind = NIC_USER, .queues = 2};
    struct nic *other = NULL;
    CHECK_EQ(nic_create(&params, &other, NULL), -EINVAL);
}

/* -- passt ---------------------------------------------------------------------------------------
 */

static uint16_t ip_sum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += be16_load(p + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

/* DHCPDISCOVER: RFC 2131; returns the frame's length. */
static size_t make_discover(uint8_t *f)
{
    enum { ETH = 14, IP = 20, UDP = 8, BOOTP = 240, OPTIONS = 4 };
    uint8_t *ip = f + ETH, *udp = ip + IP, *bootp = udp + UDP;

    memset(f, 0, ETH + IP + UDP + BOOTP + OPTIONS);
    memset(f, 0xff, 6);
    memcpy(f + 6, guest_mac, 6);
    be16_store(f + 12, 0x0800);
    ip[0] = 0x45;
    be16_store(ip + 2, IP + UDP + BOOTP + OPTIONS);
    ip[8] = 64;
    ip[9] = 17;
    memset(ip + 16, 0xff, 4);
    be16_store(ip + 10, ip_sum(ip, IP));
    be16_store(udp, 68);
    be16_store(udp + 2, 67);
    be16_store(udp + 4, UDP + BOOTP + OPTIONS);
    bootp[0] = 1;
    bootp[1] = 1;
    bootp[2] = 6;
    memcpy(bootp + 28, guest_mac, 6);
    be32_store(bootp + 236, 0x63825363);
    memcpy(bootp + 240, (const uint8_t[]){53, 1, 1, 0xff}, OPTIONS);
    return ETH + IP + UDP + BOOTP + OPTIONS;
}

static ssize_t wait_frame(struct nic *nic)
{
    ssize_t n;

    while ((n = recv_frame(nic, 0)) == -EAGAIN) {
        struct pollfd pfd = {.fd = nic_fd(nic, 0), .events = POLLIN};
        if (poll(&pfd, 1, 5000) <= 0)
            return -ETIMEDOUT;
    }
    return n;
}

static void passt_offers_an_address(void)
{
    struct nic_params params = {.kind = NIC_USER, .queues = 1};
    cleanup_nic struct nic *nic = NULL;
    struct err err = ERR_INIT;
    uint8_t frame[512];
    bool offered = false;
    int rc = nic_user_start(&params.fd[0], &err);

    if (rc < 0) {
        CHECK(rc == -ENETUNREACH || rc == -ENOENT || rc == -EPERM);
        (void)printf("# skipped: %s\n", err.text);
        return;
    }
    REQUIRE(nic_create(&params, &nic, NULL) == 0);
    CHECK_EQ(send_frame(nic, 0, frame, make_discover(frame)), 0);
    for (int i = 0; i < 20 && !offered; i++) {
        ssize_t n = wait_frame(nic);
        REQUIRE(n > 0);
        const uint8_t *f = rx + NIC_HEADER_SIZE;
        offered = n > NIC_HEADER_SIZE + 282 && be16_load(f + 12) == 0x0800 && f[23] == 17 &&
                  be16_load(f + 36) == 68 && f[42] == 2 && be32_load(f + 58) != 0;
    }
    CHECK(offered);
}

/* -- tap -----------------------------------------------------------------------------------------
 */

static const char *no_net; /* why there is no network of our own to test in, or NULL */

/* The whole program moves into a network namespace of its own. */
static void enter_namespace(void)
{
    uid_t uid = getuid();
    char map[32];

    no_net = NULL;
    if (uid != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
            no_net = "user namespaces are not permitted";
            return;
        }
        (void)snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
        int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        CHECK_EQ(write(fd, map, strlen(map)), (ssize_t)strlen(map));
        (void)close(fd);
    } else if (unshare(CLONE_NEWNET) < 0) {
        no_net = "network namespaces are not permitted";
        return;
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        no_net = "/dev/net/tun can not be opened";
    (void)close(fd);
}

static bool make_tap(const char *name, bool multi)
{
    struct ifreq ifr = {
        .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0))};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    bool ok;

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    ok = fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0;
    (void)close(fd);
    return ok;
}

/* Address 10.9.0.1/24, up; the neighbour 10.9.0.2 has guest_mac. */
static void bring_up(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};
    struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&ifr.ifr_addr;

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(0x0a090001);
    CHECK_EQ(ioctl(fd, SIOCSIFADDR, &ifr), 0);
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    CHECK_EQ(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
    (void)close(fd);
}

static void hw_address(const char *name, uint8_t mac[6])
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};

    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    CHECK_EQ(ioctl(fd, SIOCGIFHWADDR, &ifr), 0);
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
    (void)close(fd);
}

static bool skip(void)
{
    if (no_net)
        (void)printf("# skipped: %s\n", no_net);
    return no_net != NULL;
}

static void tap_names_are_checked(void)
{
    struct err err = ERR_INIT;
    int fds[NIC_QUEUES_MAX];

    if (skip())
        return;
    CHECK_EQ(nic_tap_open("nosuch0", 1, fds, &err), -ENODEV);
    CHECK(strstr(err.text, "nosuch0") != NULL);
    CHECK_EQ(nic_tap_open("", 1, fds, NULL), -ENODEV);
    CHECK_EQ(nic_tap_open("averyveryverylongname", 1, fds, NULL), -ENODEV);
    CHECK_EQ(nic_tap_open("lo", 1, fds, NULL), -EINVAL);
    REQUIRE(make_tap("one0", false));
    CHECK_EQ(nic_tap_open("one0", 2, fds, &err), -EINVAL);
    REQUIRE(nic_tap_open("one0", 1, fds, NULL) == 0);
    int second[1];
    CHECK_EQ(nic_tap_open("one0", 1, second, &err), -EBUSY);
    (void)close(fds[0]);
}

/* A UDP datagram to 10.9.0.1:7777 whose checksum is left to the host. */
static size_t make_udp(uint8_t *header, uint8_t *f, const uint8_t to[6], const char *text)
{
    size_t len = strlen(text);
    uint8_t *ip = f + 14, *udp = ip + 20;

    memset(header, 0, NIC_HEADER_SIZE);
    header[0] = 1; /* NEEDS_CSUM */
    le16_store(header + 6, 34);
    le16_store(header + 8, 6);
    memset(f, 0, 42);
    memcpy(f, to, 6);
    memcpy(f + 6, guest_mac, 6);
    be16_store(f + 12, 0x0800);
    ip[0] = 0x45;
    be16_store(ip + 2, (uint16_t)(28 + len));
    ip[8] = 64;
    ip[9] = 17;
    be32_store(ip + 12, 0x0a090002);
    be32_store(ip + 16, 0x0a090001);
    be16_store(ip + 10, ip_sum(ip, 20));
    be16_store(udp, 1234);
    be16_store(udp + 2, 7777);
    be16_store(udp + 4, (uint16_t)(8 + len));
    /* The pseudo header's sum, not inverted: what the offload goes on from. */
    uint32_t sum = 0x0a09 + 0x0002 + 0x0a09 + 0x0001 + 17 + 8 + (uint32_t)len;
    be16_store(udp + 6, (uint16_t)((sum & 0xffff) + (sum >> 16)));
    memcpy(udp + 8, text, len);
    return 42 + len;
}

static void tap_carries_offloaded_frames(void)
{
    struct nic_params params = {.kind = NIC_TAP, .queues = 1};
    cleanup_nic struct nic *nic = NULL;
    uint8_t header[NIC_HEADER_SIZE], frame[128], mac[6];
    char text[32] = "";
    bool seen = false;

    if (skip())
        return;
    REQUIRE(make_tap("two0", false));
    REQUIRE(nic_tap_open("two0", 1, params.fd, NULL) == 0);
    REQUIRE(nic_create(&params, &nic, NULL) == 0);
    CHECK_EQ(nic_set_offloads(nic, ~0u), 0);
    CHECK_EQ(nic_set_offloads(nic, 0), 0);
    CHECK_EQ(recv_frame(nic, 0), -EAGAIN);
    CHECK_EQ(send_frame(nic, 0, frame, 60), -EIO); /* down: lost */
    CHECK(nic_link(nic));
    bring_up("two0");
    hw_address("two0", mac);

    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(7777)};
    REQUIRE(bind(udp, (struct sockaddr *)&addr, sizeof addr) == 0);
    struct iovec iov[] = {{header, sizeof header}, {frame, make_udp(header, frame, mac, "hello")}};
    CHECK_EQ(nic_send(nic, 0, iov, 2), 0);
    CHECK_EQ(recv(udp, text, sizeof text, MSG_DONTWAIT), 5);
    CHECK_STR(text, "hello");

    /* The other way: the host asks who has 10.9.0.2. */
    addr.sin_addr.s_addr = htonl(0x0a090002);
    CHECK_EQ(sendto(udp, "x", 1, 0, (struct sockaddr *)&addr, sizeof addr), 1);
    for (int i = 0; i < 20 && !seen; i++) {
        ssize_t n = wait_frame(nic);
        REQUIRE(n > 0);
        seen = be16_load(rx + NIC_HEADER_SIZE + 12) == 0x0806 &&
               be32_load(rx + NIC_HEADER_SIZE + 38) == 0x0a090002;
    }
    CHECK(seen);

    /* A header that lies about the frame is the kernel's to refuse, if it ever gets there. */
    iov[0] = (struct iovec){header, sizeof header};
    iov[1] = (struct iovec){frame, make_udp(header, frame, mac, "hello")};
    le16_store(header + 6, 60000);
    CHECK_EQ(nic_send(nic, 0, iov, 2), -EINVAL);
    CHECK(nic_link(nic));
    (void)close(udp);
}

static void tap_removed_is_the_end(void)
{
    struct nic_params params = {.kind = NIC_TAP, .queues = 1};
    cleanup_nic struct nic *nic = NULL;

    if (skip())
        return;
    REQUIRE(make_tap("three0", false));
    REQUIRE(nic_tap_open("three0", 1, params.fd, NULL) == 0);
    REQUIRE(nic_create(&params, &nic, NULL) == 0);
    if (system("ip link del three0 2>/dev/null") != 0) {
        (void)printf("# skipped: no ip command\n");
        return;
    }
    CHECK_EQ(recv_frame(nic, 0), -ENOLINK);
    CHECK(!nic_link(nic));
}

static void tap_queues_come_and_go(void)
{
    struct nic_params params = {.kind = NIC_TAP, .queues = 4};
    cleanup_nic struct nic *nic = NULL;

    if (skip())
        return;
    REQUIRE(make_tap("four0", true));
    REQUIRE(nic_tap_open("four0", 4, params.fd, NULL) == 0);
    REQUIRE(nic_create(&params, &nic, NULL) == 0);
    CHECK_EQ(nic_set_queues(nic, 1), 0);
    CHECK_EQ(nic_set_queues(nic, 3), 0);
    CHECK_EQ(nic_set_queues(nic, 3), 0);
    CHECK_EQ(nic_set_queues(nic, 4), 0);
    CHECK_EQ(nic_set_queues(nic, 5), -EINVAL);
    CHECK_EQ(nic_set_queues(nic, 0), -EINVAL);
    CHECK_EQ(recv_frame(nic, 3), -EAGAIN);
}

static void descriptors_are_checked(void)
{
    struct nic_params params = {.kind = NIC_TAP, .queues = 1};
    struct nic *nic = NULL;
    struct err err = ERR_INIT;

    params.fd[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(nic_create(&params, &nic, &err) < 0);
    CHECK(err.text[0] != '\0');
    (void)close(params.fd[0]);
}

static void passt_without_a_route(void)
{
    struct err err = ERR_INIT;
    int fd;

    if (skip())
        return;
    int rc = nic_user_start(&fd, &err); /* nothing but taps in this namespace */
    CHECK(rc == -ENETUNREACH || rc == -ENOENT || rc == -EPERM);
    (void)printf("# %s\n", err.text);
}

TAP_MAIN(TAP_CASE(stream_of_single_bytes), TAP_CASE(hostile_lengths_end_the_link),
         TAP_CASE(largest_frame_passes), TAP_CASE(full_socket_holds_frames_back),
         TAP_CASE(pulled_cable), TAP_CASE(nobody_there), TAP_CASE(passt_offers_an_address),
         TAP_CASE(descriptors_are_checked), TAP_CASE(enter_namespace),
         TAP_CASE(tap_names_are_checked), TAP_CASE(tap_carries_offloaded_frames),
         TAP_CASE(tap_removed_is_the_end), TAP_CASE(tap_queues_come_and_go),
         TAP_CASE(passt_without_a_route))
