/* SPDX-License-Identifier: Apache-2.0 */
/* Tap interfaces: Linux, Documentation/networking/tuntap.rst and include/uapi/linux/if_tun.h. The
 * header in front of each frame is the kernel's own virtio-net header, so checksum and segmentation
 * offloads pass through without a copy. Not here: macvtap. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vm/backend/nic.h"

struct nic_tap {
    struct nic nic;
    unsigned attached; /* queues */
};

static ssize_t tap_recv(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    ssize_t n = readv(nic->fd[queue], iov, count);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return nic_break(nic); /* EBADFD: the interface was removed */
    return n < 0 ? -EAGAIN : n < NIC_HEADER_SIZE + NIC_FRAME_MIN ? -EIO : n;
}

/* EIO: the interface is down, the frame is lost as on a cable without link. EINVAL: the kernel did
 * not like the header. */
static ssize_t tap_send(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    ssize_t n = writev(nic->fd[queue], iov, count);

    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return -EAGAIN;
    return errno == EBADFD || errno == ENODEV ? nic_break(nic) : -errno;
}

static int tap_set_offloads(struct nic *nic, unsigned offloads)
{
    static const struct {
        unsigned nic, tun;
    } map[] = {
        {NIC_CSUM, TUN_F_CSUM},       {NIC_TSO4, TUN_F_TSO4}, {NIC_TSO6, TUN_F_TSO6},
        {NIC_TSO_ECN, TUN_F_TSO_ECN}, {NIC_UFO, TUN_F_UFO},
    };
    unsigned long tun = 0;

    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (offloads & map[i].nic)
            tun |= map[i].tun;
    return ioctl(nic->fd[0], TUNSETOFFLOAD, tun) < 0 ? -errno : 0;
}

static int tap_set_queues(struct nic *nic, unsigned queues)
{
    struct nic_tap *tap = (struct nic_tap *)nic;

    while (tap->attached != queues) {
        bool more = tap->attached < queues;
        unsigned which = more ? tap->attached : tap->attached - 1;
        struct ifreq ifr = {.ifr_flags = (short)(more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE)};
        if (ioctl(nic->fd[which], TUNSETQUEUE, &ifr) < 0)
            return -errno;
        tap->attached += more ? 1 : -1u;
    }
    return 0;
}

static void tap_destroy(struct nic *nic)
{
    free((struct nic_tap *)nic);
}

static const struct nic_ops tap_ops = {
    .recv = tap_recv,
    .send = tap_send,
    .set_offloads = tap_set_offloads,
    .set_queues = tap_set_queues,
    .destroy = tap_destroy,
};

/* Is it what nic_tap_open makes? */
static int check_fd(int fd)
{
    struct ifreq ifr = {0};
    int header = 0;

    if (ioctl(fd, TUNGETIFF, &ifr) < 0 || ioctl(fd, TUNGETVNETHDRSZ, &header) < 0)
        return -errno;
    if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_VNET_HDR) ||
        !(ifr.ifr_flags & IFF_NO_PI) || header != NIC_HEADER_SIZE)
        return -EINVAL;
    return 0;
}

int nic_tap_create(const struct nic_params *params, struct nic **ret_nic, struct err *err)
{
    cleanup_free struct nic_tap *tap = calloc(1, sizeof *tap);
    int rc = tap ? 0 : -ENOMEM;

    for (unsigned i = 0; rc == 0 && i < params->queues; i++)
        rc = check_fd(params->fd[i]);
    if (rc < 0)
        return err_sys(err, rc, "network card: descriptor is not a tap interface with headers");
    tap->nic.ops = &tap_ops;
    tap->nic.offloads = NIC_CSUM | NIC_TSO4 | NIC_TSO6 | NIC_TSO_ECN | NIC_UFO;
    tap->nic.fd_tells = true;
    tap->attached = params->queues;
    *ret_nic = &tap->nic;
    tap = NULL;
    return 0;
}

static int open_queue(const char *ifname, bool multi, int *ret_fd)
{
    cleanup_fd int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq ifr = {
        .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0))};
    int header = NIC_HEADER_SIZE;

    if (fd < 0)
        return -errno;
    strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int open_failed(const char *ifname, unsigned queues, int rc, struct err *err)
{
    switch (rc) {
    case -EBUSY:
        return err_set(err, rc, "tap interface \"%s\" is in use by another program", ifname);
    case -EINVAL:
        return queues > 1
                   ? err_set(err, rc, "\"%s\" is not a tap interface with several queues", ifname)
                   : err_set(err, rc, "\"%s\" is not a tap interface", ifname);
    case -EPERM:
        return err_set(err, rc, "tap interface \"%s\" belongs to another user", ifname);
    case -ENOENT:
    case -EACCES:
        return err_sys(err, rc, "tap interface \"%s\": cannot open /dev/net/tun", ifname);
    default:
        return err_sys(err, rc, "tap interface \"%s\"", ifname);
    }
}

/* Looked up first: TUNSETIFF would make a new interface of a misspelled name, if it may. */
static bool exists(const char *ifname)
{
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {0};

    strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
    return fd >= 0 && ioctl(fd, SIOCGIFINDEX, &ifr) == 0;
}

int nic_tap_open(const char *ifname, unsigned queues, int *ret_fds, struct err *err)
{
    int fds[NIC_QUEUES_MAX];
    unsigned opened = 0;
    int rc = 0;

    if (!*ifname || strlen(ifname) >= IFNAMSIZ || !exists(ifname))
        return err_set(err, -ENODEV, "there is no tap interface \"%s\"", ifname);
    if (!queues || queues > NIC_QUEUES_MAX)
        return err_set(err, -EINVAL, "tap interface \"%s\": %u queues", ifname, queues);
    for (; opened < queues && rc == 0; opened += rc == 0) {
        rc = open_queue(ifname, queues > 1, &fds[opened]);
        if (rc == -EINVAL && queues == 1) /* made for several, used with one */
            rc = open_queue(ifname, true, &fds[opened]);
    }
    if (rc < 0) {
        while (opened)
            (void)close_fd(fds[--opened]);
        return open_failed(ifname, queues, rc, err);
    }
    memcpy(ret_fds, fds, queues * sizeof fds[0]);
    return 0;
}
