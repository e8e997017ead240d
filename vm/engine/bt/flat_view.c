/* SPDX-License-Identifier: Apache-2.0 */
/* The places that flat tables (flat.h) lead to: the second mapping of guest RAM, the code maps, and
 * everything that their sums could also mean, reserved without access.
 *
 * All of it follows from one range S of addresses below 2^39:
 *
 *     s    quarter addresses of the code maps | page | guest RAM | page    s + length
 *
 * S is taken in each of the 256 windows of 2^39 bytes; in one of them RAM is mapped. 4S, the same
 * times four (mod 2^41), is taken in each of the 64 windows of 2^41; in one of them the code maps
 * are, and behind them those that empty entries lead to. Nothing of this may overlap anything,
 * which the host's kernel checks (MAP_FIXED_NOREPLACE): where something of the process is in the
 * way, another s is tried. With 57-bit addresses the kernel still gives out none above 2^47 that
 * nobody asks for. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat.h"

enum { PAGE = 4096, HUGE_PAGE = 2 << 20, TRIES = 64 };
enum { WINDOWS = 256, LOOKUP_WINDOWS = WINDOWS / 4 };
#define WINDOW        (UINT64_C(1) << 39)
#define LOOKUP_WINDOW (4 * WINDOW)
#define MISS_BYTES    (2 * (uint64_t)FLAT_MAP_BYTES) /* used: one, and the next page */

/* Which windows hold the mappings: far from where programs and libraries are. */
enum { RAM_WINDOW = 80, MAPS_WINDOW = 8 };

struct flat_view_map {
    uint64_t residue, length;      /* S */
    uint64_t map_bytes, ram_bytes; /* map_bytes: with the miss maps */
    uint64_t miss;                 /* where those begin */
    uint64_t ram_offset;           /* in S */
    unsigned taken;                /* windows of S and 4S, in the order of window() */
};

/* What vCPUs are called by. Once made it stays. */
static struct {
    pthread_mutex_t lock;
    uint8_t *poison;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int reserve(uint64_t address, uint64_t size)
{
    void *at = (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
    void *got = mmap(at, size, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == MAP_FAILED)
        return -errno;
    if (got == at)
        return 0;
    (void)munmap(got, size); /* a kernel that takes the address as a hint */
    return -EEXIST;
}

static int make_poison(void)
{
    int rc = 0;

    (void)pthread_mutex_lock(&shared.lock);
    if (!shared.poison) {
        void *poison = mmap(NULL, FLAT_TABLE_SIZE, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (poison == MAP_FAILED)
            rc = -errno;
        else
            shared.poison = poison;
    }
    (void)pthread_mutex_unlock(&shared.lock);
    return rc;
}

uint64_t flat_poison(void)
{
    return (uintptr_t)shared.poison;
}

struct place {
    uint64_t base, size;
};

/* From the top down: there are the libraries, in whose way an attempt usually is. */
static struct place window(const struct flat_view_map *map, unsigned i)
{
    if (i < WINDOWS)
        return (struct place){(WINDOWS - 1 - i) * WINDOW + map->residue, map->length};
    i = WINDOWS + LOOKUP_WINDOWS - 1 - i;
    return (struct place){i * LOOKUP_WINDOW + map->residue * 4 % LOOKUP_WINDOW, map->length * 4};
}

static void release(struct flat_view_map *map)
{
    while (map->taken) {
        struct place p = window(map, --map->taken);
        (void)munmap((void *)(uintptr_t)p.base, p.size); /* NOLINT(performance-no-int-to-ptr) */
    }
}

static int take(struct flat_view_map *map)
{
    for (; map->taken < WINDOWS + LOOKUP_WINDOWS; map->taken++) {
        struct place p = window(map, map->taken);
        int rc = reserve(p.base, p.size);
        if (rc) {
            release(map);
            return rc;
        }
    }
    return 0;
}

/* Does S fit there, 4S where it then is, and are they apart? */
static bool suits(uint64_t residue, uint64_t length)
{
    uint64_t four = residue * 4 % WINDOW;

    return residue >= HUGE_PAGE && residue + length <= WINDOW - PAGE && four >= HUGE_PAGE &&
           four + length * 4 <= WINDOW - PAGE && !range_overlaps(residue, length, four, length * 4);
}

static int find_place(struct flat_view_map *map)
{
    int rc = -ENOMEM;

    for (unsigned i = 0, chosen = 0; i < 4096 && chosen < TRIES; i++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return -EIO;
        map->residue = align_down(random % WINDOW, HUGE_PAGE);
        if (!suits(map->residue, map->length))
            continue;
        rc = take(map);
        if (!rc || (rc != -EEXIST && rc != -EPERM))
            return rc;
        chosen++;
    }
    return rc;
}

uint8_t *flat_ram(struct flat_view_map *map)
{
    return (uint8_t *)(uintptr_t)(RAM_WINDOW * WINDOW + map->residue + map->ram_offset);
}

uint8_t *flat_maps(struct flat_view_map *map)
{
    uint64_t quarter = map->residue + map->ram_offset - PAGE - map->map_bytes / 4;

    return (uint8_t *)(uintptr_t)(MAPS_WINDOW * LOOKUP_WINDOW + quarter * 4 % LOOKUP_WINDOW);
}

uint32_t *flat_miss_map(const struct bt_vcpu *vcpu)
{
    struct flat_view_map *map = vcpu->vm->flat;

    return (uint32_t *)(void *)(flat_maps(map) + map->miss + vcpu->index * MISS_BYTES);
}

/* A memfd of huge pages is mapped in whole ones: what is behind the RAM would come along. */
static bool whole_pages(const struct gmem *gmem)
{
    struct stat st;

    return !fstat(gmem->fd, &st) && gmem->size % (uint64_t)st.st_blksize == 0;
}

static int map_contents(struct flat_view_map *map, int fd)
{
    void *ram = flat_ram(map), *maps = flat_maps(map);

    if (mmap(ram, map->ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
             fd, 0) == MAP_FAILED)
        return -errno;
    (void)madvise(ram, map->ram_bytes, MADV_HUGEPAGE);
    (void)madvise(ram, map->ram_bytes, MADV_DONTDUMP);
    if (mmap(maps, map->map_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return -errno;
    return 0;
}

int flat_vm_create(struct bt_vm *vm, uint64_t map_bytes, struct flat_view_map **ret_map,
                   struct err *err)
{
    const struct gmem *gmem = vm->gmem;

    if (gmem->size > FLAT_RAM_MAX || map_bytes > FLAT_RAM_MAX || !map_bytes)
        return err_set(err, -E2BIG, "too much guest memory for the translator's tables");
    if (!whole_pages(gmem))
        return err_set(err, -EINVAL, "guest memory is not a multiple of its huge pages");
    struct flat_view_map *map = calloc(1, sizeof *map);
    if (!map)
        return err_sys(err, -ENOMEM, "the translator's tables");
    map->miss = align_up(map_bytes, FLAT_MAP_BYTES);
    map->map_bytes = map->miss + vm->model.cpus * MISS_BYTES;
    map->ram_bytes = gmem->size;
    map->ram_offset = align_up(map->map_bytes / 4 + PAGE, HUGE_PAGE);
    map->length = map->ram_offset + map->ram_bytes + PAGE;
    int rc = make_poison();
    if (!rc)
        rc = find_place(map);
    if (!rc)
        rc = map_contents(map, gmem->fd);
    if (rc) {
        flat_vm_destroy(map);
        return err_sys(err, rc, "no room for the translator's tables");
    }
    *ret_map = map;
    return 0;
}

void flat_vm_destroy(struct flat_view_map *map)
{
    if (!map)
        return;
    release(map);
    free(map);
}
