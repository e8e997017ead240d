/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI transport of virtio devices. See virtio_pci.h; section numbers are those of VIRTIO 1.2.
 * Configuration space, BARs and MSI-X are the shell's. Deliberately missing: the legacy and
 * transitional interfaces, shared memory regions, NOTIFICATION_DATA, RING_RESET. */
#include "vm/dev/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

/* -- Layout --------------------------------------------------------------------------------------
 */

/* 4.1.4: struct virtio_pci_cap; `extra` bytes follow it. */
static uint8_t *add_cap(struct pci_layout *pci, uint8_t type, uint32_t offset, uint32_t length,
                        uint8_t extra)
{
    enum { CAP_VENDOR = 0x09, CAP_SIZE = 16 };
    uint8_t *cap = pci->caps;

    for (unsigned i = 0; i < pci->cap_count; i++)
        cap += pci->cap_len[i];
    cap[0] = CAP_VENDOR;
    cap[2] = (uint8_t)(CAP_SIZE + extra);
    cap[3] = type;
    cap[4] = VIRTIO_BAR;
    le32_store(cap + 8, offset);
    le32_store(cap + 12, length);
    pci->cap_len[pci->cap_count++] = cap[2];
    return cap + CAP_SIZE;
}

static void add_region(struct dev_layout *layout, const char *name, uint64_t base, uint64_t size,
                       uint8_t max_width)
{
    layout->region[layout->region_count++] = (struct dev_region){
        .name = name,
        .space = DEV_BAR,
        .bar = VIRTIO_BAR,
        .base = base,
        .size = size,
        .min_width = 1,
        .max_width = max_width,
    };
}

void virtio_pci_layout(const struct virtio_pci_type *type, unsigned queues,
                       struct dev_layout *ret_layout)
{
    struct pci_layout pci = {
        .vendor = VIRTIO_PCI_VENDOR,
        .device = (uint16_t)(VIRTIO_PCI_DEVICE + type->id),
        .subsystem_vendor = VIRTIO_PCI_VENDOR,
        .subsystem = 0x1100, /* what the packaged Windows drivers look for */
        .class_code = type->class_code,
        .revision = VIRTIO_PCI_REVISION,
        .intx = true,
        .msix_vectors = (uint16_t)(queues + 1),
        .msix_bar = VIRTIO_MSIX_BAR,
    };
    uint32_t notify_size = queues * VIRTIO_NOTIFY_STRIDE;

    pci.bar[VIRTIO_BAR] = (struct pci_bar){PCI_BAR_MEM64_PREFETCH, VIRTIO_BAR_SIZE};
    add_cap(&pci, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_BAR_COMMON, VIRTIO_COMMON_SIZE, 0);
    le32_store(add_cap(&pci, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_BAR_NOTIFY, notify_size, 4),
               VIRTIO_NOTIFY_STRIDE);
    add_cap(&pci, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_BAR_ISR, 1, 0);
    if (type->config_size)
        add_cap(&pci, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_BAR_DEVICE, type->config_size, 0);
    add_cap(&pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
    pci.window_cap = pci.cap_count;

    *ret_layout = (struct dev_layout){.is_pci = true, .pci = pci};
    add_region(ret_layout, "common", VIRTIO_BAR_COMMON, 0x1000, 4);
    add_region(ret_layout, "isr", VIRTIO_BAR_ISR, 0x1000, 4);
    add_region(ret_layout, "device", VIRTIO_BAR_DEVICE, 0x1000, 8);
    ret_layout->doorbell.bar = VIRTIO_BAR;
    ret_layout->doorbell.offset = VIRTIO_BAR_NOTIFY;
    ret_layout->doorbell.stride = VIRTIO_NOTIFY_STRIDE;
    ret_layout->doorbell.count = (uint16_t)queues;
}

/* -- Interrupts ----------------------------------------------------------------------------------
 */

/* 4.1.4.5. The ISR and the wire change together, or a read between the two would lose one. */
static void raise_isr(struct virtio_pci *vp, uint8_t bit)
{
    (void)pthread_mutex_lock(&vp->isr_lock);
    vp->isr |= bit;
    pci_port_intx(vp->port, true);
    (void)pthread_mutex_unlock(&vp->isr_lock);
}

static uint8_t take_isr(struct virtio_pci *vp)
{
    (void)pthread_mutex_lock(&vp->isr_lock);
    uint8_t isr = vp->isr;
    vp->isr = 0;
    pci_port_intx(vp->port, false);
    (void)pthread_mutex_unlock(&vp->isr_lock);
    return isr;
}

static void interrupt(struct virtio_pci *vp, const uint16_t *vector, uint8_t isr_bit)
{
    if (pci_port_msix_enabled(vp->port))
        pci_port_msix(vp->port, __atomic_load_n(vector, __ATOMIC_RELAXED));
    else
        raise_isr(vp, isr_bit);
}

void virtio_pci_interrupt(struct virtio_pci *vp, const struct virtqueue *vq)
{
    interrupt(vp, &vq->vector, VIRTIO_ISR_QUEUE);
}

void virtio_pci_publish(struct virtio_pci *vp, struct virtqueue *vq)
{
    if (virtqueue_publish(vq))
        virtio_pci_interrupt(vp, vq);
}

void virtio_pci_config_changed(struct virtio_pci *vp)
{
    atomic_fetch_add(&vp->config_generation, 1);
    if (atomic_load(&vp->status) & VIRTIO_STATUS_DRIVER_OK)
        interrupt(vp, &vp->config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_pci_fail(struct virtio_pci *vp)
{
    uint8_t before = atomic_fetch_or(&vp->status, VIRTIO_STATUS_NEEDS_RESET);

    if (before & VIRTIO_STATUS_NEEDS_RESET)
        return;
    atomic_fetch_add(&vp->failures, 1);
    if (before & VIRTIO_STATUS_DRIVER_OK)
        interrupt(vp, &vp->config_vector, VIRTIO_ISR_CONFIG);
}

/* -- Running -------------------------------------------------------------------------------------
 */

static void stop(struct virtio_pci *vp)
{
    if (!vp->running)
        return;
    if (vp->type->stop)
        vp->type->stop(vp);
    for (unsigned i = 0; i < vp->queue_count; i++)
        virtqueue_stop(&vp->vq[i]);
    vp->running = false;
}

static int start_queues(struct virtio_pci *vp)
{
    int rc = 0;

    for (unsigned i = 0; i < vp->queue_count && !rc; i++)
        if (vp->vq[i].enabled)
            rc = virtqueue_start(&vp->vq[i], vp->gmem, vp->driver_features);
    return rc;
}

static void start(struct virtio_pci *vp)
{
    if (vp->running)
        return;
    if (start_queues(vp)) {
        for (unsigned i = 0; i < vp->queue_count; i++)
            virtqueue_stop(&vp->vq[i]);
        virtio_pci_fail(vp);
        return;
    }
    vp->running = true;
    if (vp->type->start)
        vp->type->start(vp);
    for (unsigned i = 0; vp->type->kick && i < vp->queue_count; i++)
        if (vp->vq[i].active && virtio_pci_dma(vp))
            vp->type->kick(vp, i);
}

static void start_or_stop(struct virtio_pci *vp)
{
    uint8_t status = atomic_load(&vp->status);

    if ((status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_NEEDS_RESET) &&
        !vp->quiesced)
        start(vp);
    else
        stop(vp);
}

static void on_doorbell(void *ctx, uint32_t events)
{
    struct virtio_doorbell *bell = ctx;
    struct virtio_pci *vp = bell->vp;
    uint64_t count;

    if (read(bell->src.fd, &count, sizeof count) < 0)
        return;
    (void)pthread_mutex_lock(&vp->lock);
    if (vp->running && vp->vq[bell->queue].active && virtio_pci_dma(vp))
        vp->type->kick(vp, bell->queue);
    (void)pthread_mutex_unlock(&vp->lock);
}

void virtio_pci_ring_again(struct virtio_pci *vp, unsigned queue)
{
    const uint64_t one = 1;

    (void)!write(vp->doorbells[queue].src.fd, &one, sizeof one);
}

/* -- Registers -----------------------------------------------------------------------------------
 */

static void reset_locked(struct virtio_pci *vp)
{
    stop(vp);
    (void)take_isr(vp);
    for (unsigned i = 0; i < vp->queue_count; i++)
        virtqueue_reset(&vp->vq[i]);
    vp->device_feature_select = vp->driver_feature_select = 0;
    vp->driver_features = 0;
    vp->queue_select = 0;
    __atomic_store_n(&vp->config_vector, VIRTIO_NO_VECTOR, __ATOMIC_RELAXED);
    atomic_store(&vp->config_generation, 0);
    if (vp->type->reset)
        vp->type->reset(vp);
    atomic_store(&vp->status, 0);
}

/* 2.2.2: nothing that was not offered, and what this interface is built on. */
static bool features_ok(struct virtio_pci *vp)
{
    uint64_t chosen = vp->driver_features;

    return !(chosen & ~vp->device_features) && (chosen & VIRTIO_F_VERSION_1) &&
           (!vp->type->features_ok || vp->type->features_ok(vp, chosen));
}

/* 3.1.1 and 4.1.4.3.1. The driver sets bits one after the other and never clears one but by reset;
 * a step whose predecessor is missing is not taken. */
static void write_status(struct virtio_pci *vp, uint8_t value)
{
    uint8_t old = atomic_load(&vp->status), next = old;
    const uint8_t begun = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

    if (!value) {
        reset_locked(vp);
        return;
    }
    next |= value & (begun | VIRTIO_STATUS_FAILED);
    if ((value & VIRTIO_STATUS_FEATURES_OK) && (next & begun) == begun && features_ok(vp))
        next |= VIRTIO_STATUS_FEATURES_OK;
    if ((value & VIRTIO_STATUS_DRIVER_OK) && (next & VIRTIO_STATUS_FEATURES_OK))
        next |= VIRTIO_STATUS_DRIVER_OK;
    atomic_fetch_or(&vp->status, next);
    start_or_stop(vp);
}

static void write_driver_features(struct virtio_pci *vp, uint32_t value)
{
    unsigned shift = vp->driver_feature_select * 32;

    if (vp->driver_feature_select > 1 || (atomic_load(&vp->status) & VIRTIO_STATUS_FEATURES_OK))
        return;
    vp->driver_features &= ~(UINT64_C(0xffffffff) << shift);
    vp->driver_features |= (uint64_t)value << shift;
}

/* 4.1.5.1.2.1: a vector that does not exist reads back as NO_VECTOR. */
static void write_vector(struct virtio_pci *vp, uint16_t *vector, uint64_t value)
{
    if (value >= vp->port->msix_count)
        value = VIRTIO_NO_VECTOR;
    __atomic_store_n(vector, (uint16_t)value, __ATOMIC_RELAXED);
}

static void set_half(uint64_t *reg, uint64_t offset, uint64_t value)
{
    unsigned shift = offset & 4 ? 32 : 0;

    *reg = (*reg & ~(UINT64_C(0xffffffff) << shift)) | value << shift;
}

static struct virtqueue *selected(struct virtio_pci *vp)
{
    return vp->queue_select < vp->queue_count ? &vp->vq[vp->queue_select] : NULL;
}

static void write_queue(struct virtio_pci *vp, struct virtqueue *vq, uint64_t offset,
                        uint64_t value)
{
    bool frozen = vq->enabled || (atomic_load(&vp->status) & VIRTIO_STATUS_DRIVER_OK);

    if (offset == VIRTIO_COMMON_QUEUE_VECTOR)
        write_vector(vp, &vq->vector, value);
    if (frozen)
        return;
    switch (offset) {
    case VIRTIO_COMMON_QUEUE_SIZE:
        if (is_power_of_two(value) && value <= vq->max_size)
            vq->size = (uint16_t)value;
        break;
    case VIRTIO_COMMON_QUEUE_ENABLE:
        vq->enabled = value == 1;
        break;
    case VIRTIO_COMMON_QUEUE_DESC:
    case VIRTIO_COMMON_QUEUE_DESC + 4:
        set_half(&vq->desc_addr, offset, value);
        break;
    case VIRTIO_COMMON_QUEUE_DRIVER:
    case VIRTIO_COMMON_QUEUE_DRIVER + 4:
        set_half(&vq->driver_addr, offset, value);
        break;
    case VIRTIO_COMMON_QUEUE_DEVICE:
    case VIRTIO_COMMON_QUEUE_DEVICE + 4:
        set_half(&vq->device_addr, offset, value);
        break;
    default:
        break;
    }
}

static uint64_t read_queue(struct virtio_pci *vp, const struct virtqueue *vq, uint64_t offset)
{
    switch (offset) {
    case VIRTIO_COMMON_QUEUE_SIZE:
        return vq->size;
    case VIRTIO_COMMON_QUEUE_VECTOR:
        return vq->vector;
    case VIRTIO_COMMON_QUEUE_ENABLE:
        return vq->enabled;
    case VIRTIO_COMMON_QUEUE_NOTIFY_OFF:
        return vp->queue_select;
    case VIRTIO_COMMON_QUEUE_DESC:
        return (uint32_t)vq->desc_addr;
    case VIRTIO_COMMON_QUEUE_DESC + 4:
        return vq->desc_addr >> 32;
    case VIRTIO_COMMON_QUEUE_DRIVER:
        return (uint32_t)vq->driver_addr;
    case VIRTIO_COMMON_QUEUE_DRIVER + 4:
        return vq->driver_addr >> 32;
    case VIRTIO_COMMON_QUEUE_DEVICE:
        return (uint32_t)vq->device_addr;
    case VIRTIO_COMMON_QUEUE_DEVICE + 4:
        return vq->device_addr >> 32;
    default:
        return 0;
    }
}

/* 4.1.3.1: each field is accessed at its own width, 64-bit ones as two halves. */
static unsigned common_width(uint64_t offset)
{
    if (offset < VIRTIO_COMMON_CONFIG_VECTOR)
        return 4;
    if (offset < VIRTIO_COMMON_STATUS)
        return 2;
    if (offset < VIRTIO_COMMON_QUEUE_SELECT)
        return 1;
    return offset < VIRTIO_COMMON_QUEUE_DESC ? 2 : 4;
}

static bool common_valid(uint64_t offset, unsigned size)
{
    unsigned width = common_width(offset);

    return offset < VIRTIO_COMMON_SIZE && size == width && offset % width == 0;
}

static uint64_t read_common(struct virtio_pci *vp, uint64_t offset)
{
    unsigned select = vp->device_feature_select;
    const struct virtqueue *vq = selected(vp);

    switch (offset) {
    case VIRTIO_COMMON_DEVICE_FEATURE_SELECT:
        return select;
    case VIRTIO_COMMON_DEVICE_FEATURE:
        return select > 1 ? 0 : (uint32_t)(vp->device_features >> (select * 32));
    case VIRTIO_COMMON_DRIVER_FEATURE_SELECT:
        return vp->driver_feature_select;
    case VIRTIO_COMMON_DRIVER_FEATURE:
        select = vp->driver_feature_select;
        return select > 1 ? 0 : (uint32_t)(vp->driver_features >> (select * 32));
    case VIRTIO_COMMON_CONFIG_VECTOR:
        return vp->config_vector;
    case VIRTIO_COMMON_NUM_QUEUES:
        return vp->queue_count;
    case VIRTIO_COMMON_STATUS:
        return atomic_load(&vp->status);
    case VIRTIO_COMMON_CONFIG_GENERATION:
        return atomic_load(&vp->config_generation);
    case VIRTIO_COMMON_QUEUE_SELECT:
        return vp->queue_select;
    default:
        return vq ? read_queue(vp, vq, offset) : 0; /* 4.1.4.3.1: size 0, there is none */
    }
}

static void write_common(struct virtio_pci *vp, uint64_t offset, uint64_t value)
{
    struct virtqueue *vq = selected(vp);

    switch (offset) {
    case VIRTIO_COMMON_DEVICE_FEATURE_SELECT:
        vp->device_feature_select = (uint32_t)value;
        break;
    case VIRTIO_COMMON_DRIVER_FEATURE_SELECT:
        vp->driver_feature_select = (uint32_t)value;
        break;
    case VIRTIO_COMMON_DRIVER_FEATURE:
        write_driver_features(vp, (uint32_t)value);
        break;
    case VIRTIO_COMMON_CONFIG_VECTOR:
        write_vector(vp, &vp->config_vector, value);
        break;
    case VIRTIO_COMMON_STATUS:
        write_status(vp, (uint8_t)value);
        break;
    case VIRTIO_COMMON_QUEUE_SELECT:
        vp->queue_select = (uint16_t)value;
        break;
    default:
        if (vq)
            write_queue(vp, vq, offset, value);
    }
}

static bool config_valid(const struct virtio_pci *vp, uint64_t offset, unsigned size)
{
    return range_within(offset, size, vp->type->config_size) && offset % size == 0;
}

uint64_t virtio_pci_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct virtio_pci *vp = dev;
    uint64_t value = ones(size);

    if (region == VIRTIO_REGION_ISR)
        return offset ? 0 : take_isr(vp);
    (void)pthread_mutex_lock(&vp->lock);
    if (region == VIRTIO_REGION_COMMON && common_valid(offset, size))
        value = read_common(vp, offset) & ones(size);
    else if (region == VIRTIO_REGION_DEVICE && config_valid(vp, offset, size))
        value = le_load(vp->config + offset, size);
    (void)pthread_mutex_unlock(&vp->lock);
    return value;
}

void virtio_pci_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_pci *vp = dev;

    value &= ones(size);
    (void)pthread_mutex_lock(&vp->lock);
    if (region == VIRTIO_REGION_COMMON && common_valid(offset, size))
        write_common(vp, offset, value);
    else if (region == VIRTIO_REGION_DEVICE && config_valid(vp, offset, size) &&
             vp->type->config_write)
        vp->type->config_write(vp, (unsigned)offset, size, value);
    (void)pthread_mutex_unlock(&vp->lock);
}

/* -- Life ----------------------------------------------------------------------------------------
 */

static int watch_doorbells(struct virtio_pci *vp, const struct dev_env *env)
{
    vp->doorbells = calloc(vp->queue_count, sizeof *vp->doorbells);
    if (!vp->doorbells)
        return -ENOMEM;
    for (unsigned i = 0; i < vp->queue_count; i++) {
        struct virtio_doorbell *bell = &vp->doorbells[i];
        int rc;

        bell->vp = vp;
        bell->queue = i;
        rc = loop_add_fd(env->loop, &bell->src, env->doorbell_fd[i], EPOLLIN, on_doorbell, bell);
        if (rc < 0)
            return rc;
    }
    return 0;
}

bool virtio_pci_offer(struct virtio_pci *vp, uint64_t features)
{
    if (vp->status)
        return false;
    vp->device_features =
        features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
    return true;
}

int virtio_pci_init(struct virtio_pci *vp, const struct dev_env *env,
                    const struct virtio_pci_config *config, struct err *err)
{
    int rc;

    vp->type = config->type;
    vp->name = env->name;
    vp->gmem = env->gmem;
    vp->port = env->pci;
    vp->vq = config->vq;
    vp->queue_count = config->queue_count;
    vp->config = config->config;
    (void)virtio_pci_offer(vp, config->features);
    vp->config_vector = VIRTIO_NO_VECTOR;
    (void)pthread_mutex_init(&vp->lock, NULL);
    (void)pthread_mutex_init(&vp->isr_lock, NULL);
    rc = config->type->kick ? watch_doorbells(vp, env) : 0;
    if (rc < 0) {
        virtio_pci_deinit(vp);
        return err_sys(err, rc, "%s: doorbells", env->name);
    }
    return 0;
}

void virtio_pci_deinit(struct virtio_pci *vp)
{
    if (!vp->type)
        return;
    for (unsigned i = 0; vp->doorbells && i < vp->queue_count; i++)
        loop_del(&vp->doorbells[i].src);
    free(TAKE_PTR(vp->doorbells));
    (void)pthread_mutex_destroy(&vp->lock);
    (void)pthread_mutex_destroy(&vp->isr_lock);
    vp->type = NULL;
}

void virtio_pci_reset(void *dev)
{
    struct virtio_pci *vp = dev;

    (void)pthread_mutex_lock(&vp->lock);
    reset_locked(vp);
    (void)pthread_mutex_unlock(&vp->lock);
}

void virtio_pci_quiesce(void *dev)
{
    struct virtio_pci *vp = dev;

    (void)pthread_mutex_lock(&vp->lock);
    vp->quiesced = true;
    start_or_stop(vp);
    (void)pthread_mutex_unlock(&vp->lock);
}

/* Also after restoring: the wire follows the ISR, and queues are looked at without a doorbell. */
void virtio_pci_resume(void *dev)
{
    struct virtio_pci *vp = dev;

    (void)pthread_mutex_lock(&vp->lock);
    vp->quiesced = false;
    (void)pthread_mutex_lock(&vp->isr_lock);
    pci_port_intx(vp->port, vp->isr != 0);
    (void)pthread_mutex_unlock(&vp->isr_lock);
    start_or_stop(vp);
    (void)pthread_mutex_unlock(&vp->lock);
}

/* -- State ---------------------------------------------------------------------------------------
 */

static const struct state_field virtio_pci_fields[] = {
    STATE_FIELD(struct virtio_pci, device_feature_select, STATE_U32),
    STATE_FIELD(struct virtio_pci, driver_feature_select, STATE_U32),
    STATE_FIELD(struct virtio_pci, driver_features, STATE_U64),
    STATE_FIELD(struct virtio_pci, config_vector, STATE_U16),
    STATE_FIELD(struct virtio_pci, queue_select, STATE_U16),
    STATE_FIELD(struct virtio_pci, status, STATE_U8),
    STATE_FIELD(struct virtio_pci, config_generation, STATE_U8),
    STATE_FIELD(struct virtio_pci, isr, STATE_U8),
};

const struct state_table virtio_pci_state = {
    .name = "virtio-pci",
    .version = 1,
    .size = sizeof(struct virtio_pci),
    .fields = virtio_pci_fields,
    .field_count = ARRAY_SIZE(virtio_pci_fields),
};

int virtio_pci_post_load(struct virtio_pci *vp, struct err *err)
{
    const uint8_t known = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                          VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK |
                          VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED;
    uint8_t status = atomic_load(&vp->status);

    if ((status & ~known) ||
        ((status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_FEATURES_OK)))
        return err_set(err, -EINVAL, "impossible device status 0x%x", status);
    if ((status & VIRTIO_STATUS_FEATURES_OK) && !features_ok(vp))
        return err_set(err, -EINVAL, "features 0x%llx: this device offers 0x%llx",
                       (unsigned long long)vp->driver_features,
                       (unsigned long long)vp->device_features);
    if (vp->config_vector != VIRTIO_NO_VECTOR && vp->config_vector > vp->queue_count)
        return err_set(err, -EINVAL, "configuration vector %u", vp->config_vector);
    for (unsigned i = 0; i < vp->queue_count; i++) {
        int rc = virtqueue_post_load(&vp->vq[i], i, vp->queue_count + 1, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
