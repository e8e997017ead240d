/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/pflash.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "tests/device/chip.h"

enum { SIZE = 0x84000, READY = 0x80 };
#define BASE UINT64_C(0xffc00000)

struct flash {
    struct chip chip;
    struct pflash_params params;
    unsigned maps, unmaps;
    bool mapped, in_smm;
    const uint8_t *host;
};

/* Linked with -Wl,--wrap=msync: how often the content was asked onto the disk. */
static unsigned syncs;

int __wrap_msync(void *addr, size_t len, int flags);
int __wrap_msync(void *addr, size_t len, int flags)
{
    CHECK(addr && len == SIZE && flags == MS_SYNC);
    syncs++;
    return 0;
}

static int set_readable(void *ctx, uint64_t base, uint64_t size, void *host, bool on)
{
    struct flash *f = ctx;

    CHECK_EQ(base, BASE);
    CHECK_EQ(size, SIZE);
    CHECK(on != f->mapped);
    f->mapped = on;
    f->host = host;
    f->maps += on;
    f->unmaps += !on;
    return 0;
}

static void open_fd(struct flash *f, int fd, bool readonly)
{
    *f = (struct flash){.params = {.base = BASE,
                                   .size = SIZE,
                                   .fd = fd,
                                   .readonly = readonly,
                                   .set_readable = set_readable,
                                   .ctx = f}};
    chip_open(&f->chip, &pflash_class, &f->params);
}

static int make_fd(void)
{
    int fd = memfd_create("vars", 0);
    CHECK_EQ(ftruncate(fd, SIZE), 0);
    CHECK_EQ(pwrite(fd, "\x48", 1, 0x28), 1);
    return fd;
}

static uint8_t get(struct flash *f, uint64_t at)
{
    /* As the guest sees it: by the mapping when there is one. */
    return f->mapped ? f->host[at] : (uint8_t)chip_load(&f->chip, BASE + at, 1);
}

static void put(struct flash *f, uint64_t at, uint8_t v)
{
    chip_store(&f->chip, BASE + at, 1, v);
}

/* The steps by which OVMF tells flash from ROM and RAM. */
static void ovmf_detects_flash(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    CHECK(f.mapped);
    CHECK_EQ(get(&f, 0x28), 0x48);
    put(&f, 0x28, 0x50);
    CHECK_EQ(get(&f, 0x28), 0x48);
    put(&f, 0x28, 0x70);
    CHECK_EQ(get(&f, 0x28), 0);
    put(&f, 0x28, 0xff);
    CHECK_EQ(get(&f, 0x28), 0x48);
    chip_close(&f.chip);
    CHECK(!f.mapped);
    (void)close(fd);
}

static void ovmf_writes_and_erases(void)
{
    struct flash f;
    uint8_t in_file[8];
    int fd = make_fd();
    open_fd(&f, fd, false);
    put(&f, 0x3000, 0x20);
    put(&f, 0x3000, 0xd0);
    CHECK_EQ(get(&f, 0x3000), READY);
    for (unsigned i = 0; i < 5; i++) {
        put(&f, 0x3000 + i, 0x10);
        put(&f, 0x3000 + i, (uint8_t) "hello"[i]);
    }
    put(&f, 0x3004, 0xff);
    CHECK_EQ(f.maps, 2); /* one toggle for the whole */
    CHECK_EQ(get(&f, 0x3000), 'h');
    CHECK_EQ(get(&f, 0x3004), 'o');
    CHECK_EQ(get(&f, 0x3005), 0xff);
    CHECK_EQ(get(&f, 0x3fff), 0xff);
    CHECK_EQ(get(&f, 0x4000), 0);
    CHECK_EQ(get(&f, 0x2fff), 0);
    CHECK_EQ(pread(fd, in_file, 5, 0x3000), 5);
    CHECK(!memcmp(in_file, "hello", 5));
    chip_close(&f.chip);
    (void)close(fd);
}

static void reaches_the_disk(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    syncs = 0;
    chip_advance(&f.chip, 1000000000);
    CHECK_EQ(syncs, 0); /* nothing to write */
    for (unsigned i = 0; i < 100; i++) {
        put(&f, i, 0x10);
        put(&f, i, 0x55);
        chip_advance(&f.chip, 1000000);
    }
    CHECK_EQ(syncs, 0);
    chip_advance(&f.chip, 100000000);
    CHECK_EQ(syncs, 1); /* once for the burst */
    chip_advance(&f.chip, 1000000000);
    CHECK_EQ(syncs, 1);
    put(&f, 0, 0x40);
    put(&f, 0, 0x56);
    f.chip.class->quiesce(f.chip.dev);
    CHECK_EQ(syncs, 2);
    f.chip.class->resume(f.chip.dev);
    put(&f, 0, 0x20);
    put(&f, 0, 0xff); /* thinks better of it */
    CHECK_EQ(get(&f, 0), 0x56);
    put(&f, 0, 0x60);
    put(&f, 0, 0x01);
    CHECK_EQ(get(&f, 0), READY);
    put(&f, 0, 0x20);
    put(&f, 0, 0x12); /* not a confirmation */
    CHECK_EQ(get(&f, 0), READY | 0x30);
    put(&f, 0, 0x20);
    put(&f, 0, 0xd0);
    CHECK_EQ(get(&f, 0), READY | 0x30); /* errors stay until cleared */
    chip_close(&f.chip);
    CHECK_EQ(syncs, 3);
    (void)close(fd);
}

static void buffered_program(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    put(&f, 0x1000, 0xe8);
    CHECK_EQ(get(&f, 0x1000), READY);
    put(&f, 0x1000, 3);
    for (unsigned i = 0; i < 4; i++)
        put(&f, 0x1004 + i, (uint8_t)(i + 1));
    put(&f, 0x1000, 0xd0);
    CHECK_EQ(get(&f, 0x1000), READY);
    put(&f, 0, 0xff);
    CHECK_EQ(get(&f, 0x1003), 0);
    CHECK_EQ(get(&f, 0x1004), 1);
    CHECK_EQ(get(&f, 0x1007), 4);
    put(&f, 0x1000, 0xe8); /* leaves its buffer: error, nothing written */
    put(&f, 0x1000, 1);
    put(&f, 0x1000, 0x77);
    put(&f, 0x1020, 0x77);
    CHECK_EQ(get(&f, 0), READY | 0x30);
    put(&f, 0, 0xff);
    CHECK_EQ(get(&f, 0x1000), 0);
    put(&f, 0x1000, 0xe8); /* larger than the buffer */
    put(&f, 0x1000, 32);
    CHECK_EQ(get(&f, 0), READY | 0x30);
    chip_close(&f.chip);
    (void)close(fd);
}

static void query_and_id(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    put(&f, 0x55, 0x98);
    CHECK_EQ(chip_load(&f.chip, BASE + 0x10, 4), 'Q' | 'R' << 8 | 'Y' << 16 | 1 << 24);
    CHECK_EQ(get(&f, 0x27), 20);
    CHECK_EQ(get(&f, 0x2d), SIZE / 4096 - 1);
    CHECK_EQ(get(&f, 0x2f), 16);
    put(&f, 0, 0x90);
    CHECK_EQ(get(&f, 0), 0x89);
    CHECK_EQ(get(&f, 1), 0x18);
    put(&f, 0, 0xff);
    CHECK(f.mapped);
    chip_close(&f.chip);
    (void)close(fd);
}

static void readonly_refuses(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, true);
    put(&f, 0x28, 0x10);
    put(&f, 0x28, 0xaa);
    CHECK_EQ(get(&f, 0), READY | 0x12);
    put(&f, 0, 0x50);
    put(&f, 0x28, 0x20);
    put(&f, 0x28, 0xd0);
    CHECK_EQ(get(&f, 0), READY | 0x22);
    put(&f, 0, 0xff);
    CHECK_EQ(get(&f, 0x28), 0x48);
    chip_close(&f.chip);
    (void)close(fd);
}

static void reads_are_trapped_without_mapping(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    chip_close(&f.chip);
    f.params.set_readable = NULL;
    chip_open(&f.chip, &pflash_class, &f.params);
    CHECK_EQ(chip_load(&f.chip, BASE + 0x28, 4), 0x48);
    chip_close(&f.chip);
    (void)close(fd);
}

static void short_file_is_refused(void)
{
    struct flash f;
    struct err err = ERR_INIT;
    void *dev = NULL;
    int fd = make_fd();
    open_fd(&f, fd, false);
    CHECK_EQ(ftruncate(fd, SIZE - 1), 0);
    CHECK_EQ(pflash_class.create(&f.chip.env, &f.params, &dev, &err), -ENODATA);
    CHECK_STR(err.text, "cannot map the firmware variables: No data available");
    CHECK_EQ(ftruncate(fd, SIZE), 0);
    chip_close(&f.chip);
    f.params.size = 4097;
    CHECK_EQ(pflash_class.layout(&f.params, &f.chip.layout, NULL), -EINVAL);
    (void)close(fd);
}

static void survives_a_move(void)
{
    struct flash f;
    int fd = make_fd();
    open_fd(&f, fd, false);
    put(&f, 0x28, 0x10);
    put(&f, 0x28, 0x11);
    chip_replace(&f.chip);
    CHECK(!f.mapped);
    CHECK_EQ(get(&f, 0x28), READY);
    put(&f, 0x28, 0xff);
    CHECK_EQ(get(&f, 0x28), 0x11);
    put(&f, 0, 0x70);
    f.chip.class->reset(f.chip.dev);
    CHECK_EQ(get(&f, 0x28), 0x11);
    chip_close(&f.chip);
    (void)close(fd);
}

static bool in_smm(void *ctx)
{
    return ((struct flash *)ctx)->in_smm;
}

static void only_some_may_write(void)
{
    struct flash f = {0};
    int fd = make_fd();

    f.params = (struct pflash_params){
        .base = BASE, .size = SIZE, .fd = fd, .may_write = in_smm, .ctx = &f};
    chip_open(&f.chip, &pflash_class, &f.params);
    put(&f, 0x3000, 0x10);
    put(&f, 0x3000, 'x');
    CHECK_EQ(get(&f, 0x3000), 0);
    f.in_smm = true;
    put(&f, 0x3000, 0x10);
    f.in_smm = false;
    put(&f, 0x3000, 'y'); /* nor is another's operation completed */
    f.in_smm = true;
    put(&f, 0x3000, 'z');
    put(&f, 0x3000, 0xff);
    CHECK_EQ(get(&f, 0x3000), 'z');
    chip_close(&f.chip);
    (void)close(fd);
}

TAP_MAIN(TAP_CASE(ovmf_detects_flash), TAP_CASE(ovmf_writes_and_erases), TAP_CASE(reaches_the_disk),
         TAP_CASE(buffered_program), TAP_CASE(query_and_id), TAP_CASE(readonly_refuses),
         TAP_CASE(reads_are_trapped_without_mapping), TAP_CASE(short_file_is_refused),
         TAP_CASE(survives_a_move), TAP_CASE(only_some_may_write))
