/* SPDX-License-Identifier: Apache-2.0 */
/* User-mode network: the near end of the stream on which passt speaks. Frames are plain: passt
 * makes and wants real checksums and knows no segmentation, so no offload is offered.
 *
 * Incoming bytes are buffered here, because a frame's length comes in front of it. A length that no
 * frame has means that we have lost the thread: that is the end of the link. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/backend/nic.h"

enum { LENGTH_SIZE = 4, RX_SIZE = 2 * (LENGTH_SIZE + NIC_FRAME_MAX) };

struct nic_user {
    struct nic nic;
    uint32_t rx_at, rx_end; /* in rx */
    uint32_t tx_at, tx_end; /* in tx: the rest of a frame of which a part is out */
    uint8_t tx[LENGTH_SIZE + NIC_FRAME_MAX];
    uint8_t rx[RX_SIZE];
};

/* 1: a whole frame of *ret_len bytes is at rx_at + LENGTH_SIZE; 0: not yet. */
static int have_frame(struct nic_user *user, uint32_t *ret_len)
{
    uint32_t there = user->rx_end - user->rx_at, len;

    if (there < LENGTH_SIZE)
        return 0;
    len = be32_load(user->rx + user->rx_at);
    if (len < NIC_FRAME_MIN || len > NIC_FRAME_MAX) {
        atomic_fetch_add(&user->nic.stats->rx_hostile, 1);
        return nic_break(&user->nic);
    }
    if (there < LENGTH_SIZE + len)
        return 0;
    *ret_len = len;
    return 1;
}

static int fill(struct nic_user *user)
{
    ssize_t n;

    if (user->rx_at) {
        memmove(user->rx, user->rx + user->rx_at, user->rx_end - user->rx_at);
        user->rx_end -= user->rx_at;
        user->rx_at = 0;
    }
    n = recv(user->nic.fd[0], user->rx + user->rx_end, RX_SIZE - user->rx_end, MSG_DONTWAIT);
    if (n > 0) {
        user->rx_end += (uint32_t)n;
        return 0;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    return nic_break(&user->nic); /* passt has ended */
}

static void scatter(const struct iovec *iov, int count, size_t skip, const uint8_t *data,
                    size_t len)
{
    for (int i = 0; i < count && len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t n = MIN(iov[i].iov_len - skip, len);
        memcpy((uint8_t *)iov[i].iov_base + skip, data, n);
        data += n;
        len -= n;
        skip = 0;
    }
}

static ssize_t user_recv(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    static const uint8_t header[NIC_HEADER_SIZE];
    struct nic_user *user = (struct nic_user *)nic;
    uint32_t len;
    int rc;

    (void)queue;
    while ((rc = have_frame(user, &len)) == 0) {
        rc = fill(user);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        return rc;
    scatter(iov, count, 0, header, sizeof header);
    scatter(iov, count, sizeof header, user->rx + user->rx_at + LENGTH_SIZE, len);
    user->rx_at += LENGTH_SIZE + len;
    return (ssize_t)(NIC_HEADER_SIZE + len);
}

static ssize_t send_some(struct nic_user *user, struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(user->nic.fd[0], &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : nic_break(&user->nic);
}

static int user_flush(struct nic *nic, unsigned queue)
{
    struct nic_user *user = (struct nic_user *)nic;

    (void)queue;
    while (user->tx_at < user->tx_end) {
        struct iovec iov = {user->tx + user->tx_at, user->tx_end - user->tx_at};
        ssize_t n = send_some(user, &iov, 1);
        if (n < 0)
            return (int)n;
        user->tx_at += (uint32_t)n;
    }
    user->tx_at = user->tx_end = 0;
    return 0;
}

/* Keeps what is behind the first `done` bytes for user_flush. */
static void keep_rest(struct nic_user *user, const struct iovec *iov, int count, size_t done)
{
    for (int i = 0; i < count; i++) {
        size_t skip = MIN(done, iov[i].iov_len);
        memcpy(user->tx + user->tx_end, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        user->tx_end += (uint32_t)(iov[i].iov_len - skip);
        done -= skip;
    }
}

static ssize_t user_send(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    struct nic_user *user = (struct nic_user *)nic;
    uint8_t length[LENGTH_SIZE];
    size_t len = 0;
    ssize_t n = user_flush(nic, queue);

    if (n < 0)
        return n;
    for (int i = 1; i < count; i++)
        len += iov[i].iov_len;
    if (len > NIC_FRAME_MAX)
        return -EMSGSIZE;
    be32_store(length, (uint32_t)len);
    iov[0] = (struct iovec){length, sizeof length};
    n = send_some(user, iov, count);
    if (n < 0)
        return n;
    keep_rest(user, iov, count, (size_t)n);
    return (ssize_t)(NIC_HEADER_SIZE + len);
}

static void user_plugged(struct nic *nic)
{
    struct nic_user *user = (struct nic_user *)nic;

    user->rx_at = user->rx_end = user->tx_at = user->tx_end = 0;
}

static void user_destroy(struct nic *nic)
{
    free((struct nic_user *)nic);
}

static const struct nic_ops user_ops = {
    .recv = user_recv, .send = user_send, .flush = user_flush, .plugged = user_plugged,
    .destroy = user_destroy};

int nic_user_create(const struct nic_params *params, struct nic **ret_nic, struct err *err)
{
    struct nic_user *user = calloc(1, sizeof *user);

    (void)params;
    if (!user)
        return err_sys(err, -ENOMEM, "network card");
    user->nic.ops = &user_ops;
    *ret_nic = &user->nic;
    return 0;
}
