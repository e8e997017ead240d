/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net with two pairs of queues on a back end in memory, single-threaded. See virtio_ops.h;
 * in front of the operations stand four sizes of frames (u16) that arrive in turn, up to four at
 * each step. What the device sends is held to what a tap may be given. */
#include "vm/dev/virtio_net.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bytes.h"
#include "fuzz/virtio_ops.h"
#include "vm/dev/virtio_net_regs.h"

enum { PAIRS = 2, SIZES = 4, TURNS = 4, HDR = VIRTIO_NET_HDR_SIZE };

struct mem_nic {
    struct nic nic;
    uint16_t size[SIZES];
    unsigned next, ready; /* frames that wait */
    unsigned sent;
};

static ssize_t mem_recv(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    static uint8_t frame[HDR + NIC_FRAME_MAX];
    struct mem_nic *mem = (struct mem_nic *)nic;

    if (!mem->ready)
        return -EAGAIN;
    mem->ready--;
    size_t len = HDR + NIC_FRAME_MIN + mem->size[mem->next++ % SIZES] % (NIC_FRAME_MAX - 13);
    FUZZ_CHECK(queue < PAIRS && count <= 1024);
    (void)vq_iov_write(iov, (unsigned)count, 0, frame, len);
    return (ssize_t)len;
}

static void check_header(const uint8_t *h, size_t len)
{
    size_t sum_at = (size_t)le16_load(h + VIRTIO_NET_HDR_CSUM_START) +
                    le16_load(h + VIRTIO_NET_HDR_CSUM_OFFSET);
    uint8_t gso = h[VIRTIO_NET_HDR_GSO_TYPE];

    FUZZ_CHECK(!(h[VIRTIO_NET_HDR_FLAGS] & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
    FUZZ_CHECK(le16_load(h + VIRTIO_NET_HDR_HDR_LEN) <= len);
    if (h[VIRTIO_NET_HDR_FLAGS])
        FUZZ_CHECK(sum_at + 2 <= len);
    if (gso == VIRTIO_NET_HDR_GSO_NONE)
        return;
    FUZZ_CHECK(h[VIRTIO_NET_HDR_FLAGS] && le16_load(h + VIRTIO_NET_HDR_GSO_SIZE) >= 48);
    FUZZ_CHECK(gso == 1 || gso == 3 || gso == 4 || gso == 0x81 || gso == 0x84);
}

static ssize_t mem_send(struct nic *nic, unsigned queue, struct iovec *iov, int count)
{
    static uint8_t frame[NIC_FRAME_MAX];
    size_t len = 0;

    FUZZ_CHECK(queue < PAIRS && count > 1 && count <= 1024 && iov[0].iov_len == HDR);
    for (int i = 1; i < count; i++)
        len += iov[i].iov_len;
    FUZZ_CHECK(len >= NIC_FRAME_MIN && len <= NIC_FRAME_MAX);
    check_header(iov[0].iov_base, len);
    (void)vq_iov_read(iov + 1, (unsigned)count - 1, 0, frame, len);
    ((struct mem_nic *)nic)->sent++;
    return (ssize_t)(HDR + len);
}

static void mem_destroy(struct nic *nic)
{
    free(nic);
}

static const struct nic_ops mem_ops = {.recv = mem_recv, .send = mem_send, .destroy = mem_destroy};

static struct mem_nic *mem_create(const uint8_t *sizes)
{
    struct mem_nic *mem = calloc(1, sizeof *mem);

    FUZZ_CHECK(mem);
    mem->nic.ops = &mem_ops;
    mem->nic.stats = &mem->nic.own_stats;
    mem->nic.queues = PAIRS;
    mem->nic.offloads = NIC_CSUM | NIC_TSO4 | NIC_TSO6 | NIC_TSO_ECN | NIC_UFO;
    for (unsigned i = 0; i < NIC_QUEUES_MAX; i++) {
        mem->nic.fd[i] = i < PAIRS ? eventfd(1, EFD_CLOEXEC) : -1; /* always readable */
        mem->nic.vhost_fd[i] = -1;
    }
    for (unsigned i = 0; i < SIZES; i++)
        mem->size[i] = le16_load(sizes + 2 * (size_t)i);
    return mem;
}

static struct mem_nic *current;

static void step(struct harness *h)
{
    current->ready = SIZES;
    for (unsigned i = 0; i < TURNS; i++) {
        virtio_net_step(h->dev);
        harness_run(h);
    }
}

/* A frame each way in the plainest form. */
static void check_works(struct virtio_ops *ops)
{
    static const uint8_t zeroes[HDR];

    current->ready = 0;
    virtio_ops_mend(ops);
    memset(current->size, 0, sizeof current->size);
    vd_desc(&ops->d, 0, 0, VD_HEAP, 2048, VD_WRITE, 0);
    FUZZ_CHECK(virtio_ops_serve(ops, 0) == HDR + NIC_FRAME_MIN);
    harness_poke(ops->h, VD_HEAP, zeroes, sizeof zeroes);
    vd_desc(&ops->d, 1, 0, VD_HEAP, HDR + 60, 0, 0);
    unsigned before = current->sent;
    FUZZ_CHECK(virtio_ops_serve(ops, 1) == 0);
    FUZZ_CHECK(current->sent == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_net_params params = {.pairs = PAIRS, .unthreaded = true};
    struct virtio_ops ops = {.step = step};

    if (size < 2 * SIZES)
        return 0;
    current = mem_create(data);
    params.nic = &current->nic;
    ops.h = harness_create(&virtio_net_class, &params, VD_RAM);
    virtio_ops_run(&ops, data + 2 * SIZES, size - 2 * SIZES);
    check_works(&ops);
    harness_destroy(ops.h);
    return 0;
}
