/* SPDX-License-Identifier: Apache-2.0 */
/* The fw_cfg device on I/O ports: QEMU, docs/specs/fw_cfg.rst. Missing on purpose: writing through
 * the data port (QEMU dropped it in 2.4 too). */
#include "vm/chipset/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"
#include "vm/chipset/fw_cfg_items.h"

enum {
    REGION_PORTS, /* 0x510: selector (16 bits), 0x511: data */
    REGION_DMA,   /* 0x514: address of the descriptor, big-endian, high half first */

    KEY_WRITE_CHANNEL = 0x4000, /* of long ago; not part of the number */

    DMA_ERROR = 0x01,
    DMA_READ = 0x02,
    DMA_SKIP = 0x04,
    DMA_SELECT = 0x08,
    DMA_WRITE = 0x10,
    DMA_DESCRIPTOR_SIZE = 16,
};
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */
/* Past an item's end there are zeros; nobody needs more of them in one go than this. */
#define DMA_ZEROS_MAX MIB(16)

struct fw_cfg {
    struct dev_env env;
    struct fw_cfg_items *items;     /* borrowed */
    const struct fw_cfg_item *item; /* the one selected, or NULL */
    struct err err;
    pthread_mutex_t lock; /* all here */

    uint16_t key;
    uint64_t offset;
    uint64_t dma_address;
};

static void select_item(struct fw_cfg *f, uint16_t key)
{
    f->key = key & (uint16_t)~KEY_WRITE_CHANNEL;
    f->offset = 0;
    f->item = fw_cfg_items_get(f->items, f->key, &f->err);
}

/* Bytes of the item from the offset on. */
static uint64_t remaining(const struct fw_cfg *f)
{
    return f->item && f->offset < f->item->len ? f->item->len - f->offset : 0;
}

static uint8_t data_read(struct fw_cfg *f)
{
    return remaining(f) ? f->item->data[f->offset++] : 0;
}

/* DMA. */

static int dma_read(struct fw_cfg *f, gpa_t to, uint32_t len)
{
    uint32_t n = (uint32_t)MIN((uint64_t)len, remaining(f));

    if (len - n > DMA_ZEROS_MAX)
        return -EFBIG;
    int rc = n ? gmem_write(f->env.gmem, to, f->item->data + f->offset, n) : 0;
    if (rc == 0 && len > n)
        rc = gmem_fill(f->env.gmem, gpa(to.v + n), 0, len - n);
    return rc;
}

static int dma_write(struct fw_cfg *f, gpa_t from, uint32_t len)
{
    uint8_t *at;

    if (!f->item)
        return -ENOENT;
    int rc = fw_cfg_items_writable(f->items, f->item, f->offset, len, &at);
    if (rc == 0)
        rc = gmem_read(f->env.gmem, from, at, len);
    if (rc == 0 && f->item->written)
        f->item->written(f->item->ctx, f->item->data, f->item->len);
    return rc;
}

/* One descriptor: control, length, address, big-endian. */
static void dma(struct fw_cfg *f, gpa_t descriptor)
{
    uint8_t d[DMA_DESCRIPTOR_SIZE], status[4];
    int rc = 0;

    if (gmem_read(f->env.gmem, descriptor, d, sizeof d) < 0)
        return; /* nowhere to say so */
    uint32_t control = be32_load(d), len = be32_load(d + 4);
    gpa_t address = gpa(be64_load(d + 8));

    if (control & DMA_SELECT)
        select_item(f, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        rc = dma_read(f, address, len);
    else if (control & DMA_WRITE)
        rc = dma_write(f, address, len);
    else if (!(control & DMA_SKIP))
        len = 0;
    if (rc == 0 && __builtin_add_overflow(f->offset, len, &f->offset))
        f->offset = UINT64_MAX;
    be32_store(status, rc < 0 ? DMA_ERROR : 0);
    (void)gmem_write(f->env.gmem, descriptor, status, sizeof status);
}

/* Ports. */

static uint64_t fw_cfg_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct fw_cfg *f = dev;

    LOCK_SCOPE(&f->lock);
    if (region == REGION_DMA)
        return htobe32((uint32_t)(offset ? DMA_SIGNATURE : DMA_SIGNATURE >> 32));
    return offset == 1 && size == 1 ? data_read(f) : 0;
}

static void fw_cfg_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct fw_cfg *f = dev;

    LOCK_SCOPE(&f->lock);
    if (region == REGION_PORTS) {
        if (offset == 0 && size == 2)
            select_item(f, (uint16_t)value);
    } else if (offset == 0) {
        f->dma_address = (uint64_t)be32toh((uint32_t)value) << 32;
    } else {
        gpa_t descriptor = gpa(f->dma_address | be32toh((uint32_t)value));
        f->dma_address = 0;
        dma(f, descriptor);
    }
}

struct err fw_cfg_error(void *dev)
{
    struct fw_cfg *f = dev;

    LOCK_SCOPE(&f->lock);
    return f->err;
}

/* Life. */

static void fw_cfg_reset(void *dev)
{
    struct fw_cfg *f = dev;

    LOCK_SCOPE(&f->lock);
    fw_cfg_items_reset(f->items);
    f->err = ERR_INIT;
    f->dma_address = 0;
    select_item(f, FW_CFG_SIGNATURE);
}

static void fw_cfg_quiesce(void *dev)
{
    (void)dev; /* all happens in the access that asks for it */
}

static void fw_cfg_resume(void *dev)
{
    struct fw_cfg *f = dev;

    LOCK_SCOPE(&f->lock);
    uint64_t offset = f->offset;
    select_item(f, f->key);
    f->offset = offset;
}

static int fw_cfg_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "fw_cfg", .space = DEV_PIO, .base = 0x510, .size = 2, .max_width = 2},
                   {.name = "fw_cfg DMA",
                    .space = DEV_PIO,
                    .base = 0x514,
                    .size = 8,
                    .min_width = 4,
                    .max_width = 4}},
        .region_count = 2,
    };
    return 0;
}

static void fw_cfg_destroy(void *dev)
{
    struct fw_cfg *f = dev;

    if (!f)
        return;
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

static int fw_cfg_create(const struct dev_env *env, const void *params, void **ret_dev,
                         struct err *err)
{
    const struct fw_cfg_params *p = params;
    struct fw_cfg *f = calloc(1, sizeof *f);

    if (!f)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    f->env = *env;
    f->items = p->items;
    (void)pthread_mutex_init(&f->lock, NULL);
    fw_cfg_reset(f);
    *ret_dev = f;
    return 0;
}

static const struct state_field fw_cfg_fields[] = {
    STATE_FIELD(struct fw_cfg, key, STATE_U16),
    STATE_FIELD(struct fw_cfg, offset, STATE_U64),
    STATE_FIELD(struct fw_cfg, dma_address, STATE_U64),
};

static const struct state_table fw_cfg_state = {
    .name = "fw-cfg",
    .version = 1,
    .size = sizeof(struct fw_cfg),
    .fields = fw_cfg_fields,
    .field_count = ARRAY_SIZE(fw_cfg_fields),
};

const struct dev_class fw_cfg_class = {
    .name = "fw-cfg",
    .place = DEV_IN_VMX,
    .layout = fw_cfg_layout,
    .create = fw_cfg_create,
    .destroy = fw_cfg_destroy,
    .reset = fw_cfg_reset,
    .quiesce = fw_cfg_quiesce,
    .resume = fw_cfg_resume,
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .state = &fw_cfg_state,
};
