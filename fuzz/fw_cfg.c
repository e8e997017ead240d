/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg's ports and DMA: descriptors and the memory that they point to come from the input. What
 * must hold: memory that is not RAM stays untouched (ASan), a written file keeps its size, and the
 * saved state comes out of a fresh device as it went in. */
#include "vm/chipset/fw_cfg.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "fuzz/fuzz.h"
#include "tests/device/chip.h"

enum { OPS_MAX = 200, RAM = 64 << 10, WRITABLE = 100 };

static struct chip chip;

static uint64_t take(const uint8_t **data, size_t *left, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && *left; i++, (*data)++, (*left)--)
        value |= (uint64_t) * *data << (i * 8);
    return value;
}

static int generate(void *ctx, struct buf *out, struct err *err)
{
    (void)ctx, (void)err;
    buf_printf(out, "made");
    return 0;
}

static void written(void *ctx, const void *data, size_t len)
{
    (void)ctx, (void)data;
    FUZZ_CHECK(len == WRITABLE);
}

static void dma(const uint8_t **data, size_t *left)
{
    uint8_t d[16];
    uint32_t at = (uint32_t)take(data, left, 2), key = (uint32_t)take(data, left, 1);
    uint64_t address = take(data, left, 1) % 4 ? take(data, left, 3) : take(data, left, 8);

    be32_store(d, key << 16 | (uint32_t)take(data, left, 1));
    be32_store(d + 4, (uint32_t)take(data, left, take(data, left, 1) % 5));
    be64_store(d + 8, address);
    (void)gmem_write(chip.env.gmem, gpa(at), d, sizeof d);
    chip_out(&chip, 0x514, 4, htobe32((uint32_t)take(data, left, 1) / 255));
    chip_out(&chip, 0x518, 4, htobe32(at));
}

static void step(const uint8_t **data, size_t *left)
{
    switch (take(data, left, 1) % 8) {
    case 0:
        chip_out(&chip, 0x510, 2, (uint32_t)take(data, left, 2));
        break;
    case 1: {
        for (unsigned n = (unsigned)take(data, left, 1); n; n--)
            (void)chip_in(&chip, 0x511, 1);
        break;
    }
    case 2: {
        uint16_t port = (uint16_t)(0x510 + take(data, left, 1) % 12);
        unsigned size = 1u << take(data, left, 1) % 3;
        chip_out(&chip, port, size, (uint32_t)take(data, left, 4));
        (void)chip_in(&chip, port, size);
        break;
    }
    case 3:
        chip_replace(&chip);
        break;
    case 4:
        chip.class->reset(chip.dev);
        break;
    default:
        dma(data, left);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[WRITABLE];
    struct fw_cfg_items *items;
    struct gmem *gmem;

    FUZZ_CHECK(!fw_cfg_items_create(&items) && !gmem_create(RAM, GMEM_PAGES_AUTO, &gmem, NULL));
    (void)fw_cfg_add_u16(items, FW_CFG_NB_CPUS, 2);
    (void)fw_cfg_add_file(items, "etc/plain", "0123456789", 10);
    (void)fw_cfg_add_file_generated(items, "etc/made", generate, NULL);
    (void)fw_cfg_add_file_writable(items, "etc/writable", zeros, WRITABLE, written, NULL);
    FUZZ_CHECK(!fw_cfg_items_status(items));
    const struct fw_cfg_params params = {items};
    tap_failures_ = 0;
    chip_open_with(&chip, &fw_cfg_class, &params, gmem, -1);
    for (unsigned i = 0; i < OPS_MAX && size; i++)
        step(&data, &size);
    chip_close(&chip);
    FUZZ_CHECK(!tap_failures_);
    gmem_destroy(gmem);
    fw_cfg_items_destroy(items);
    return 0;
}
