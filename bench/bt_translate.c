/* SPDX-License-Identifier: Apache-2.0 */
/* What the software engine's translator costs, in nanoseconds of CPU time: decoding alone, and
 * translation, of the code of a file (by default the C library), taken from page beginnings on. A
 * sum of the host code tells whether two translators make the same. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vm/engine/bt/block.h"
#include "vm/engine/bt/jit/translate.h"

enum { PAGE = 4096, ROOM = 32 << 10, PAGES_MAX = 256, VCPU = 0x20000000 };

static struct {
    struct bt_vcpu *vcpu;
    struct jit_site site[TRANSLATE_SITES_MAX];
    struct jit_mark mark[TRANSLATE_INSNS_MAX + 2];
    uint8_t room[ROOM];
    uint64_t units, insns, guest, host, decoded;
    uint32_t sum;
} bench;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void decode_page(const uint8_t *page)
{
    struct bt_insn insn;

    for (unsigned at = 0, n; at < PAGE; at += n, bench.decoded++)
        if (!(n = bt_decode(page + at, PAGE - at, BT_MODE_CODE64, &insn)))
            break;
}

static void add_up(const struct encode *e, const struct jit_unit *unit)
{
    bench.sum += block_sum(bench.room, (unsigned)(e->at - bench.room));
    bench.sum +=
        block_sum((const void *)bench.site, unit->site_count * (unsigned)sizeof(struct jit_site));
    bench.sum +=
        block_sum((const void *)bench.mark, unit->mark_count * (unsigned)sizeof(struct jit_mark));
}

static void translate_page(const uint8_t *page, bool check)
{
    static const struct translate_stubs stubs = {.load = 1};
    struct jit_unit unit;

    for (unsigned at = 0; at < PAGE; at += unit.bytes) {
        struct encode e = {.at = bench.room,
                           .end = bench.room + ROOM,
                           .run = 0x40000000 - (int64_t)(uintptr_t)bench.room};
        const struct translate_input in = {.bytes = page,
                                           .offset = (uint16_t)at,
                                           .mode =
                                               BT_MODE_CODE64 | BT_MODE_PROTECTED | BT_MODE_LONG,
                                           .vcpu = bench.vcpu,
                                           .leave = 0x40000000,
                                           .miss = 0x40000010,
                                           .stubs = &stubs};
        if (translate_block(&in, &e, 0x10000000, 0x10000100, bench.site, bench.mark, &unit))
            break;
        bench.units++;
        bench.insns += unit.mark_count;
        bench.guest += unit.bytes;
        bench.host += (uint64_t)(e.at - bench.room);
        if (check)
            add_up(&e, &unit);
    }
}

static const uint8_t *open_code(const char *path, size_t *ret_pages)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st))
        return NULL;
    size_t pages = (size_t)st.st_size / PAGE, skip = pages / 4;
    *ret_pages = pages - 2 * skip < PAGES_MAX ? pages - 2 * skip : PAGES_MAX;
    const uint8_t *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    return at == MAP_FAILED ? NULL : at + skip * PAGE;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
    size_t pages;
    const uint8_t *code = open_code(argc > 1 ? argv[1] : "/lib/x86_64-linux-gnu/libc.so.6", &pages);
    double start, decoding, translating;

    bench.vcpu = mmap((void *)(uintptr_t)VCPU, sizeof *bench.vcpu, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (!code || bench.vcpu == MAP_FAILED) {
        (void)fprintf(stderr, "bench-bt-translate: %s\n", strerror(errno));
        return 1;
    }
    for (size_t page = 0; page < pages; page++)
        translate_page(code + page * PAGE, true);
    bench.units = bench.insns = bench.guest = bench.host = 0;
    start = now();
    for (unsigned i = 0; i < rounds; i++)
        for (size_t page = 0; page < pages; page++)
            decode_page(code + page * PAGE);
    decoding = now() - start;
    start = now();
    for (unsigned i = 0; i < rounds; i++)
        for (size_t page = 0; page < pages; page++)
            translate_page(code + page * PAGE, false);
    translating = now() - start;
    (void)printf("decoding: %.1f ns an instruction\n", decoding / (double)bench.decoded);
    (void)printf("translating: %.1f ns an instruction, %.0f a unit of %.1f instructions and %.1f "
                 "bytes; %.2f host "
                 "bytes a guest's; sum %08x\n",
                 translating / (double)bench.insns, translating / (double)bench.units,
                 (double)bench.insns / (double)bench.units,
                 (double)bench.guest / (double)bench.units,
                 (double)bench.host / (double)bench.guest, bench.sum);
    return 0;
}
