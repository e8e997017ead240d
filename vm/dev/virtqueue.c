/* SPDX-License-Identifier: Apache-2.0 */
/* Split virtqueues. See virtqueue.h; section numbers are those of VIRTIO 1.2. Deliberately missing:
 * packed rings, in-order completion. */
#include "vm/dev/virtqueue.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/dev/virtio_regs.h"

/* 2.7.5 */
enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

/* 2.7.6 and 2.7.8: offsets in the available and the used ring */
enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4, AVAIL_ENTRY = 2, USED_ENTRY = 8 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

void virtqueue_init(struct virtqueue *vq, uint16_t max_size)
{
    *vq = (struct virtqueue){.max_size = max_size};
    virtqueue_reset(vq);
}

void virtqueue_reset(struct virtqueue *vq)
{
    *vq = (struct virtqueue){
        .max_size = vq->max_size, .size = vq->max_size, .vector = VIRTIO_NO_VECTOR};
}

int virtqueue_start(struct virtqueue *vq, struct gmem *gmem, uint64_t features)
{
    bool event_idx = features & VIRTIO_F_EVENT_IDX;
    uint64_t event = event_idx ? 2 : 0, size = vq->size;
    int rc = gmem_view_map(gmem, gpa(vq->desc_addr), size * DESC_SIZE, 16, &vq->desc);

    if (!rc)
        rc = gmem_view_map(gmem, gpa(vq->driver_addr), RING_ENTRIES + size * AVAIL_ENTRY + event, 2,
                           &vq->avail);
    if (!rc)
        rc = gmem_view_map(gmem, gpa(vq->device_addr), RING_ENTRIES + size * USED_ENTRY + event, 4,
                           &vq->used);
    if (rc)
        return rc;
    vq->gmem = gmem;
    vq->event_idx = event_idx;
    vq->indirect = features & VIRTIO_F_INDIRECT_DESC;
    vq->avail_idx = vq->last_avail;
    vq->published = vq->used_idx;
    vq->active = true;
    return 0;
}

void virtqueue_stop(struct virtqueue *vq)
{
    vq->active = false;
}

void virtqueue_seek(struct virtqueue *vq, uint16_t last_avail)
{
    vq->last_avail = vq->avail_idx = last_avail;
    vq->used_idx = vq->published = gmem_view_load16(&vq->used, RING_IDX);
}

/* -- Taking chains -------------------------------------------------------------------------------
 */

/* Returns 1, 0 or -EPROTO: the guest claims more entries than the ring has. */
static int look(struct virtqueue *vq)
{
    if (vq->avail_idx == vq->last_avail) {
        vq->avail_idx = gmem_view_load16(&vq->avail, RING_IDX);
        if ((uint16_t)(vq->avail_idx - vq->last_avail) > vq->size)
            return -EPROTO;
    }
    return vq->avail_idx != vq->last_avail;
}

bool virtqueue_pending(struct virtqueue *vq)
{
    return vq->active && look(vq) != 0;
}

static struct desc unpack(uint64_t low, uint64_t high)
{
    return (struct desc){
        .addr = low,
        .len = (uint32_t)high,
        .flags = (uint16_t)(high >> 32),
        .next = (uint16_t)(high >> 48),
    };
}

/* Two loads, each at once: what is validated is what is used. */
static struct desc load_desc(const struct virtqueue *vq, unsigned index)
{
    uint64_t at = (uint64_t)index * DESC_SIZE;

    return unpack(gmem_view_load64(&vq->desc, at), gmem_view_load64(&vq->desc, at + 8));
}

static struct desc load_indirect(const uint8_t *table, unsigned index)
{
    uint64_t raw[2];

    memcpy(raw, table + (size_t)index * DESC_SIZE, sizeof raw);
    __asm__("" : "+r"(raw[0]), "+r"(raw[1])); /* the copy is not read again from the guest */
    return unpack(le64toh(raw[0]), le64toh(raw[1]));
}

static int add_piece(struct virtqueue *vq, struct vq_chain *chain, const struct desc *d,
                     bool *writing)
{
    bool write = d->flags & DESC_WRITE;
    int room = chain->iov_max - chain->out - chain->in, n;

    if (*writing && !write)
        return -EINVAL; /* 2.7.4.2: readable ones come first */
    *writing = write;
    n = gmem_iov(vq->gmem, gpa(d->addr), d->len, write, chain->iov + chain->out + chain->in, room);
    if (n < 0)
        return n;
    if (write) {
        chain->in = (uint16_t)(chain->in + n);
        chain->in_len += d->len;
    } else {
        chain->out = (uint16_t)(chain->out + n);
        chain->out_len += d->len;
    }
    return chain->out_len + chain->in_len > UINT32_MAX ? -EINVAL : 0;
}

/* 2.7.5.3. The table is RAM from end to end; longer than any chain may be, it is refused. */
static int walk_indirect(struct virtqueue *vq, struct vq_chain *chain, const struct desc *d,
                         bool *writing)
{
    unsigned count = d->len / DESC_SIZE, index = 0;
    struct iovec table;
    int rc;

    if (!vq->indirect || !count || d->len % DESC_SIZE || count > vq->max_size ||
        (d->flags & (DESC_NEXT | DESC_WRITE)))
        return -EINVAL;
    rc = gmem_iov(vq->gmem, gpa(d->addr), d->len, false, &table, 1);
    if (rc < 0)
        return rc;
    for (unsigned steps = 0; steps < count; steps++) {
        struct desc e = load_indirect(table.iov_base, index);

        if (e.flags & DESC_INDIRECT)
            return -EINVAL;
        rc = add_piece(vq, chain, &e, writing);
        if (rc || !(e.flags & DESC_NEXT))
            return rc;
        index = e.next;
        if (index >= count)
            return -EINVAL;
    }
    return -ELOOP;
}

static int walk(struct virtqueue *vq, struct vq_chain *chain)
{
    unsigned index = chain->head;
    bool writing = false;

    for (unsigned steps = 0; steps < vq->size; steps++) {
        struct desc d = load_desc(vq, index);

        /* A table stands alone here: after direct descriptors 2.7.5.3.1 allows it only as the last
         * one of the chain, which it is by refusing NEXT beside INDIRECT. */
        int rc = d.flags & DESC_INDIRECT ? walk_indirect(vq, chain, &d, &writing)
                                         : add_piece(vq, chain, &d, &writing);
        if (rc || !(d.flags & DESC_NEXT))
            return rc;
        index = d.next;
        if (index >= vq->size)
            return -EINVAL;
    }
    return -ELOOP;
}

int virtqueue_pop(struct virtqueue *vq, struct vq_chain *chain)
{
    int rc = vq->active ? look(vq) : 0;

    if (rc <= 0)
        return rc;
    chain->head = gmem_view_load16(&vq->avail, RING_ENTRIES + (vq->last_avail & (vq->size - 1u)) *
                                                                  (uint64_t)AVAIL_ENTRY);
    chain->out = chain->in = 0;
    chain->out_len = chain->in_len = 0;
    if (chain->head >= vq->size)
        return -EINVAL;
    rc = walk(vq, chain);
    if (rc)
        return rc;
    vq->last_avail++;
    return 1;
}

void virtqueue_unpop(struct virtqueue *vq, uint16_t count)
{
    vq->last_avail = (uint16_t)(vq->last_avail - count);
}

/* -- Returning them ------------------------------------------------------------------------------
 */

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written)
{
    uint64_t at = RING_ENTRIES + (vq->used_idx & (vq->size - 1u)) * (uint64_t)USED_ENTRY;

    gmem_view_store32(&vq->used, at, head);
    gmem_view_store32(&vq->used, at + 4, written);
    vq->used_idx++;
}

/* 2.7.7.2: with EVENT_IDX, when the entries published now go past the one that the driver named. */
bool virtqueue_publish(struct virtqueue *vq)
{
    uint16_t before = vq->published, now = vq->used_idx;

    if (before == now)
        return false;
    gmem_view_store16(&vq->used, RING_IDX, now);
    vq->published = now;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index first, then the driver's wish */
    if (!vq->event_idx)
        return !(gmem_view_load16(&vq->avail, RING_FLAGS) & AVAIL_NO_INTERRUPT);
    uint16_t event = gmem_view_load16(&vq->avail, RING_ENTRIES + vq->size * (uint64_t)AVAIL_ENTRY);
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* -- Notifications -------------------------------------------------------------------------------
 */

/* With EVENT_IDX nothing is to be done: the event index stays behind, and a driver notifies only
 * when it passes it. */
void virtqueue_disarm(struct virtqueue *vq)
{
    if (vq->active && !vq->event_idx)
        gmem_view_store16(&vq->used, RING_FLAGS, USED_NO_NOTIFY);
}

bool virtqueue_arm(struct virtqueue *vq)
{
    if (!vq->active)
        return false;
    if (vq->event_idx)
        gmem_view_store16(&vq->used, RING_ENTRIES + vq->size * (uint64_t)USED_ENTRY,
                          vq->last_avail);
    else
        gmem_view_store16(&vq->used, RING_FLAGS, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return look(vq) != 0;
}

/* -- Pieces --------------------------------------------------------------------------------------
 */

void virtqueue_mark_written(const struct virtqueue *vq, const struct iovec *iov, unsigned count)
{
    gmem_mark_written(vq->gmem, iov, count);
}

void vq_iov_drop(struct iovec **iov, unsigned *count, uint64_t bytes)
{
    while (*count && bytes >= (*iov)->iov_len) {
        bytes -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count && bytes) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + bytes;
        (*iov)->iov_len -= bytes;
    }
}

static uint64_t copy(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *to,
                     const uint8_t *from, uint64_t len)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < count && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        uint64_t n = MIN(iov[i].iov_len - offset, len - done);
        uint8_t *piece = (uint8_t *)iov[i].iov_base + offset;
        if (to)
            memcpy(to + done, piece, n);
        else
            memcpy(piece, from + done, n);
        done += n;
        offset = 0;
    }
    return done;
}

uint64_t vq_iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                     uint64_t len)
{
    return copy(iov, count, offset, data, NULL, len);
}

uint64_t vq_iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                      uint64_t len)
{
    return copy(iov, count, offset, NULL, data, len);
}

/* -- State ---------------------------------------------------------------------------------------
 */

int virtqueue_post_load(const struct virtqueue *vq, unsigned index, unsigned vectors,
                        struct err *err)
{
    if (!is_power_of_two(vq->size) || vq->size > vq->max_size)
        return err_set(err, -EINVAL, "queue %u: size %u is not a power of two up to %u", index,
                       vq->size, vq->max_size);
    if (vq->vector != VIRTIO_NO_VECTOR && vq->vector >= vectors)
        return err_set(err, -EINVAL, "queue %u: vector %u of %u", index, vq->vector, vectors);
    return 0;
}

static const struct state_field virtqueue_fields[] = {
    STATE_FIELD(struct virtqueue, size, STATE_U16),
    STATE_FIELD(struct virtqueue, vector, STATE_U16),
    STATE_FIELD(struct virtqueue, enabled, STATE_BOOL),
    STATE_FIELD(struct virtqueue, desc_addr, STATE_U64),
    STATE_FIELD(struct virtqueue, driver_addr, STATE_U64),
    STATE_FIELD(struct virtqueue, device_addr, STATE_U64),
    STATE_FIELD(struct virtqueue, last_avail, STATE_U16),
    STATE_FIELD(struct virtqueue, used_idx, STATE_U16),
};

const struct state_table virtqueue_state = {
    .name = "virtqueue",
    .version = 1,
    .size = sizeof(struct virtqueue),
    .fields = virtqueue_fields,
    .field_count = ARRAY_SIZE(virtqueue_fields),
};
