/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/fw_cfg.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/device/chip.h"

enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16, DESC = 0x1000, BUF = 0x2000 };

struct bench {
    struct chip chip;
    struct fw_cfg_items *items;
    struct gmem *gmem;
    struct fw_cfg_params params;
};

static void open_items(struct bench *b)
{
    *b = (struct bench){0};
    CHECK_EQ(fw_cfg_items_create(&b->items), 0);
}

static void open_device(struct bench *b)
{
    CHECK_EQ(fw_cfg_items_status(b->items), 0);
    CHECK_EQ(gmem_create(MIB(1), GMEM_PAGES_AUTO, &b->gmem, NULL), 0);
    b->params.items = b->items;
    chip_open_with(&b->chip, &fw_cfg_class, &b->params, b->gmem, -1);
}

static void bench_close(struct bench *b)
{
    chip_close(&b->chip);
    gmem_destroy(b->gmem);
    fw_cfg_items_destroy(b->items);
}

static void read_port(struct bench *b, uint16_t key, void *data, unsigned len)
{
    chip_out(&b->chip, 0x510, 2, key);
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)data)[i] = (uint8_t)chip_in(&b->chip, 0x511, 1);
}

/* Returns the control word as the device left it. */
static uint32_t dma(struct bench *b, uint64_t at, uint32_t control, uint32_t len, uint64_t address)
{
    uint8_t d[16];
    be32_store(d, control);
    be32_store(d + 4, len);
    be64_store(d + 8, address);
    (void)gmem_write(b->gmem, gpa(at), d, sizeof d);
    chip_out(&b->chip, 0x514, 4, htobe32((uint32_t)(at >> 32)));
    chip_out(&b->chip, 0x518, 4, htobe32((uint32_t)at));
    (void)gmem_read(b->gmem, gpa(at), d, sizeof d);
    return be32_load(d);
}

static void signature_and_numbers(void)
{
    struct bench b;
    char text[8] = "";
    uint8_t v[8];
    open_items(&b);
    CHECK_EQ(fw_cfg_add_u16(b.items, FW_CFG_NB_CPUS, 0x1234), 0);
    CHECK_EQ(fw_cfg_add_u64(b.items, FW_CFG_RAM_SIZE, 0x123456789a), 0);
    CHECK_EQ(fw_cfg_add_string(b.items, FW_CFG_CMDLINE_DATA, "quiet"), 0);
    open_device(&b);
    read_port(&b, 0, text, 5);
    CHECK_STR(text, "QEMU"); /* and zeros past the end */
    read_port(&b, 1, v, 4);
    CHECK_EQ(le32_load(v), 3);
    read_port(&b, FW_CFG_NB_CPUS, v, 2);
    CHECK_EQ(le16_load(v), 0x1234);
    read_port(&b, FW_CFG_RAM_SIZE, v, 8);
    CHECK_EQ(le64_load(v), 0x123456789a);
    read_port(&b, FW_CFG_CMDLINE_DATA, text, 6);
    CHECK_STR(text, "quiet");
    read_port(&b, 0x7777, v, 4); /* nothing there */
    CHECK_EQ(le32_load(v), 0);
    CHECK_EQ(be32toh(chip_in(&b.chip, 0x514, 4)), 0x51454d55);
    CHECK_EQ(be32toh(chip_in(&b.chip, 0x518, 4)), 0x20434647);
    bench_close(&b);
}

static void builder_refuses(void)
{
    struct bench b;
    char name[58];
    memset(name, 'n', 57);
    name[57] = 0;
    open_items(&b);
    CHECK_EQ(fw_cfg_add_u16(b.items, FW_CFG_NB_CPUS, 1), 0);
    CHECK_EQ(fw_cfg_items_status(b.items), 0);
    CHECK_EQ(fw_cfg_add_u16(b.items, FW_CFG_NB_CPUS, 1), -EEXIST);
    CHECK_EQ(fw_cfg_items_status(b.items), -EEXIST);
    CHECK_EQ(fw_cfg_add_u16(b.items, FW_CFG_FILE_DIR, 1), -EEXIST);
    CHECK_EQ(fw_cfg_add_u16(b.items, FW_CFG_FILE_FIRST, 1), -EINVAL);
    CHECK_EQ(fw_cfg_add_file(b.items, name + 1, "", 0), -EINVAL);
    CHECK_EQ(fw_cfg_add_file(b.items, name + 2, "", 0), 0);
    CHECK_EQ(fw_cfg_add_file(b.items, name + 2, "", 0), -EEXIST);
    CHECK_EQ(fw_cfg_add_file(b.items, "", "", 0), -EINVAL);
    for (unsigned i = 1; i < FW_CFG_FILES_MAX; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        CHECK_EQ(fw_cfg_add_file(b.items, name, "", 0), 0);
    }
    CHECK_EQ(fw_cfg_add_file(b.items, "more", "", 0), -ENOSPC);
    CHECK_EQ(fw_cfg_file_key(b.items, "7"), FW_CFG_FILE_FIRST + 7);
    CHECK_EQ(fw_cfg_file_key(b.items, "x"), -ENOENT);
    fw_cfg_items_destroy(b.items);
}

static int tables(void *ctx, struct buf *out, struct err *err)
{
    (void)err;
    buf_printf(out, "made %u", ++*(unsigned *)ctx);
    return 0;
}

static int no_tables(void *ctx, struct buf *out, struct err *err)
{
    (void)ctx;
    buf_put_str(out, "half");
    return err_set(err, -EINVAL, "too hard");
}

static void directory_lists_files(void)
{
    struct bench b;
    uint8_t dir[4 + 3 * 64];
    char text[8] = "";
    unsigned made = 0;
    open_items(&b);
    CHECK_EQ(fw_cfg_add_file(b.items, "etc/first", "one", 3), 0);
    CHECK_EQ(fw_cfg_add_file_generated(b.items, "etc/made", tables, &made), 0);
    CHECK_EQ(fw_cfg_add_file_generated(b.items, "etc/bad", no_tables, NULL), 0);
    open_device(&b);
    CHECK_EQ(made, 0);
    read_port(&b, FW_CFG_FILE_DIR, dir, sizeof dir);
    CHECK_EQ(made, 1);
    CHECK_EQ(be32_load(dir), 3);
    CHECK_EQ(be32_load(dir + 4), 3);
    CHECK_EQ(be16_load(dir + 8), FW_CFG_FILE_FIRST);
    CHECK_STR((char *)dir + 12, "etc/first");
    CHECK_EQ(be32_load(dir + 68), 6);
    CHECK_EQ(be16_load(dir + 72), FW_CFG_FILE_FIRST + 1);
    CHECK_STR((char *)dir + 76, "etc/made");
    CHECK_EQ(be32_load(dir + 132), 0);
    CHECK_STR(fw_cfg_error(b.chip.dev).text, "cannot make \"etc/bad\" for the firmware: too hard");
    read_port(&b, FW_CFG_FILE_FIRST + 1, text, 7);
    CHECK_STR(text, "made 2"); /* anew: the machine may be another since the directory */
    read_port(&b, FW_CFG_FILE_FIRST + 1, text, 7);
    CHECK_STR(text, "made 2"); /* but once: the guest reads it in pieces */
    CHECK_EQ(made, 2);
    b.chip.class->reset(b.chip.dev);
    read_port(&b, FW_CFG_FILE_FIRST + 1, text, 7);
    CHECK_STR(text, "made 3");
    bench_close(&b);
}

static void dma_reads_and_skips(void)
{
    struct bench b;
    char text[16] = "................";
    open_items(&b);
    CHECK_EQ(fw_cfg_add_file_borrowed(b.items, "f", "0123456789", 10), 0);
    open_device(&b);
    CHECK_EQ(gmem_write(b.gmem, gpa(BUF), text, 16), 0);
    CHECK_EQ(dma(&b, DESC, FW_CFG_FILE_FIRST << 16 | SELECT | SKIP, 4, 0), 0);
    CHECK_EQ(dma(&b, DESC, READ, 3, BUF), 0);
    CHECK_EQ(dma(&b, DESC, READ, 5, BUF + 3), 0); /* three and two zeros */
    CHECK_EQ(gmem_read(b.gmem, gpa(BUF), text, 16), 0);
    CHECK(!memcmp(text, "456789\0\0........", 16));
    CHECK_EQ(chip_in(&b.chip, 0x511, 1), 0); /* the same position by port */
    bench_close(&b);
}

struct note {
    unsigned count;
    char text[8];
};

static void note_written(void *ctx, const void *data, size_t len)
{
    struct note *n = ctx;
    n->count++;
    memcpy(n->text, data, MIN(len, sizeof n->text));
}

static void dma_writes_what_is_writable(void)
{
    struct bench b;
    struct note note = {0};
    char text[8] = "";
    open_items(&b);
    CHECK_EQ(fw_cfg_add_file_writable(b.items, "w", "abcdefg", 8, note_written, &note), 0);
    CHECK_EQ(fw_cfg_add_file(b.items, "r", "abcdefg", 8), 0);
    open_device(&b);
    CHECK_EQ(gmem_write(b.gmem, gpa(BUF), "XY", 2), 0);
    CHECK_EQ(dma(&b, DESC, FW_CFG_FILE_FIRST << 16 | SELECT | SKIP, 2, 0), 0);
    CHECK_EQ(dma(&b, DESC, WRITE, 2, BUF), 0);
    CHECK_EQ(note.count, 1);
    CHECK_STR(note.text, "abXYefg");
    CHECK_EQ(dma(&b, DESC, WRITE, 5, BUF), ERROR); /* past the end */
    CHECK_EQ(dma(&b, DESC, (FW_CFG_FILE_FIRST + 1) << 16 | SELECT | WRITE, 1, BUF), ERROR);
    CHECK_EQ(dma(&b, DESC, 0x3000 << 16 | SELECT | WRITE, 1, BUF), ERROR);
    CHECK_EQ(note.count, 1);
    b.chip.class->reset(b.chip.dev);
    read_port(&b, FW_CFG_FILE_FIRST, text, 8);
    CHECK_STR(text, "abcdefg");
    bench_close(&b);
}

static void dma_is_bounded(void)
{
    struct bench b;
    open_items(&b);
    open_device(&b);
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT | READ, 4, MIB(1) - 2), ERROR);
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT | READ, 4, UINT64_MAX - 1), ERROR);
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT | READ, UINT32_MAX, BUF), ERROR);
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT | READ, 8, UINT64_MAX - 3), ERROR);
    (void)dma(&b, MIB(1) - 8, READ, 4, BUF); /* the descriptor itself is not in RAM */
    (void)dma(&b, UINT64_MAX - 7, READ, 4, BUF);
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT | SKIP, 1, 0), 0);
    CHECK_EQ(dma(&b, DESC, 0, 2, 0), 0); /* neither reads nor skips: stays where it is */
    CHECK_EQ(chip_in(&b.chip, 0x511, 1), 'E');
    (void)dma(&b, UINT64_C(1) << 32 | DESC, READ, 1, BUF); /* above all RAM: nothing */
    CHECK_EQ(chip_in(&b.chip, 0x511, 1), 'M');
    CHECK_EQ(dma(&b, DESC, 0 << 16 | SELECT, 8, 0), 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(dma(&b, DESC, SKIP, UINT32_MAX, 0), 0);
    CHECK_EQ(chip_in(&b.chip, 0x511, 1), 0);
    CHECK_EQ(dma(&b, DESC, READ | SELECT, 16, DESC), 0); /* onto itself */
    bench_close(&b);
}

static void survives_a_move(void)
{
    struct bench b;
    char text[4] = "";
    open_items(&b);
    CHECK_EQ(fw_cfg_add_file(b.items, "f", "abc", 4), 0);
    open_device(&b);
    read_port(&b, FW_CFG_FILE_FIRST, text, 1);
    chip_replace(&b.chip);
    CHECK_EQ(chip_in(&b.chip, 0x511, 1), 'b');
    bench_close(&b);
}

TAP_MAIN(TAP_CASE(signature_and_numbers), TAP_CASE(builder_refuses),
         TAP_CASE(directory_lists_files), TAP_CASE(dma_reads_and_skips),
         TAP_CASE(dma_writes_what_is_writable), TAP_CASE(dma_is_bounded), TAP_CASE(survives_a_move))
