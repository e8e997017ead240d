/* SPDX-License-Identifier: Apache-2.0 */
/* Readers protect the map that they look at by a hazard pointer of their thread; a writer swaps in
 * a changed copy and frees those old ones that no hazard pointer names. A handler may itself use
 * the bus (the configuration window of virtio does), so a thread has one hazard pointer for each
 * level of nesting. */
#include "vm/machine/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

enum { BUS_THREADS_MAX = 1024, BUS_NESTING_MAX = 3, BUS_REGIONS_MAX = 4096 };

struct entry {
    uint64_t base;
    struct bus_region region;
};

struct map {
    struct map *retired_next;
    uint64_t id; /* no two maps of any bus have the same */
    unsigned count;
    struct entry entry[]; /* sorted by base, no overlap */
};

struct bus {
    _Atomic(struct map *) map[BUS_SPACE_MAX];
    _Atomic(struct map *) hazard[BUS_THREADS_MAX][BUS_NESTING_MAX];
    pthread_mutex_t lock; /* writers */
    struct map *retired;
    atomic_ullong unclaimed;
};

/* Every thread that ever uses a bus has a number, the same for all buses; numbers of ended threads
 * are used again. */
static pthread_mutex_t number_lock = PTHREAD_MUTEX_INITIALIZER;
static bool number_taken[BUS_THREADS_MAX];
static pthread_key_t number_key;
static pthread_once_t number_once = PTHREAD_ONCE_INIT;
static __thread int thread_number = -1;
static __thread int thread_depth;

/* What a thread found last in each space: a guest mostly goes on with the device it is at. */
static __thread struct {
    uint64_t map_id;
    const struct entry *entry;
} thread_last[BUS_SPACE_MAX];

static void number_free(void *value)
{
    (void)pthread_mutex_lock(&number_lock);
    number_taken[(uintptr_t)value - 1] = false;
    (void)pthread_mutex_unlock(&number_lock);
}

static void number_key_make(void)
{
    (void)pthread_key_create(&number_key, number_free);
}

static __attribute__((noinline)) void number_take(void)
{
    (void)pthread_once(&number_once, number_key_make);
    (void)pthread_mutex_lock(&number_lock);
    for (int i = 0; i < BUS_THREADS_MAX; i++)
        if (!number_taken[i]) {
            number_taken[i] = true;
            thread_number = i;
            break;
        }
    (void)pthread_mutex_unlock(&number_lock);
    if (thread_number < 0)
        abort(); /* our own mistake: ENGINE_CPUS_MAX and a few more are all the threads there are */
    (void)pthread_setspecific(number_key, (void *)((uintptr_t)thread_number + 1));
}

/* On the way of every trapped access, therefore in one piece with it. */
#define HOT inline __attribute__((always_inline))

static HOT struct map *map_enter(struct bus *bus, enum bus_space space)
{
    struct map *map;

    if (__builtin_expect(thread_number < 0, 0))
        number_take();
    _Atomic(struct map *) *hazard = &bus->hazard[thread_number][thread_depth++];
    do {
        map = atomic_load_explicit(&bus->map[space], memory_order_acquire);
        atomic_store(hazard, map); /* sequentially consistent: before the second look at the map */
    } while (map != atomic_load(&bus->map[space]));
    return map;
}

static HOT void map_leave(struct bus *bus)
{
    atomic_store_explicit(&bus->hazard[thread_number][--thread_depth], NULL, memory_order_release);
}

static struct map *map_create(unsigned count)
{
    static atomic_uint_fast64_t last_id;
    struct map *map = calloc(1, sizeof *map + count * sizeof map->entry[0]);

    if (map) {
        map->id = atomic_fetch_add(&last_id, 1) + 1;
        map->count = count;
    }
    return map;
}

int bus_create(struct bus **ret_bus)
{
    struct bus *bus = calloc(1, sizeof *bus);

    if (!bus)
        return -ENOMEM;
    (void)pthread_mutex_init(&bus->lock, NULL);
    for (int s = 0; s < BUS_SPACE_MAX; s++) {
        struct map *empty = map_create(0);
        if (!empty) {
            bus_destroy(bus);
            return -ENOMEM;
        }
        atomic_store(&bus->map[s], empty);
    }
    *ret_bus = bus;
    return 0;
}

void bus_destroy(struct bus *bus)
{
    if (!bus)
        return;
    for (int s = 0; s < BUS_SPACE_MAX; s++)
        free(atomic_load(&bus->map[s]));
    for (struct map *m = bus->retired, *next; m; m = next) {
        next = m->retired_next;
        free(m);
    }
    (void)pthread_mutex_destroy(&bus->lock);
    free(bus);
}

static bool in_use(struct bus *bus, const struct map *map)
{
    for (unsigned t = 0; t < BUS_THREADS_MAX; t++)
        for (unsigned d = 0; d < BUS_NESTING_MAX; d++)
            if (atomic_load(&bus->hazard[t][d]) == map)
                return true;
    return false;
}

static void swap_map(struct bus *bus, enum bus_space space, struct map *map)
{
    struct map *old = atomic_exchange(&bus->map[space], map);

    old->retired_next = bus->retired;
    bus->retired = old;
    for (struct map **p = &bus->retired; *p;) {
        struct map *m = *p;
        if (in_use(bus, m)) {
            p = &m->retired_next;
            continue;
        }
        *p = m->retired_next;
        free(m);
    }
}

static int insert(struct bus *bus, enum bus_space space, uint64_t base,
                  const struct bus_region *region, struct err *err)
{
    const struct map *old = atomic_load(&bus->map[space]);
    unsigned at = 0;

    for (; at < old->count && old->entry[at].base <= base; at++)
        ;
    for (unsigned i = at ? at - 1 : 0; i < old->count && i <= at; i++) {
        const struct entry *e = &old->entry[i];
        if (range_overlaps(e->base, e->region.size, base, region->size))
            return err_set(err, -EEXIST, "%s at 0x%llx overlaps %s at 0x%llx", region->name,
                           (unsigned long long)base, e->region.name, (unsigned long long)e->base);
    }
    struct map *map = old->count < BUS_REGIONS_MAX ? map_create(old->count + 1) : NULL;
    if (!map)
        return err_set(err, -ENOMEM, "no room on the bus for %s", region->name);
    memcpy(map->entry, old->entry, at * sizeof map->entry[0]);
    map->entry[at] = (struct entry){base, *region};
    memcpy(map->entry + at + 1, old->entry + at, (old->count - at) * sizeof map->entry[0]);
    swap_map(bus, space, map);
    return 0;
}

int bus_map(struct bus *bus, enum bus_space space, uint64_t base, const struct bus_region *region,
            struct err *err)
{
    uint64_t end;

    if (!region->size || __builtin_add_overflow(base, region->size - 1, &end) ||
        (space == BUS_PIO && end > 0xffff))
        return err_set(err, -ERANGE, "%s at 0x%llx leaves the address space", region->name,
                       (unsigned long long)base);
    (void)pthread_mutex_lock(&bus->lock);
    int rc = insert(bus, space, base, region, err);
    (void)pthread_mutex_unlock(&bus->lock);
    return rc;
}

int bus_unmap(struct bus *bus, enum bus_space space, uint64_t base)
{
    int rc = -ENOENT;

    (void)pthread_mutex_lock(&bus->lock);
    const struct map *old = atomic_load(&bus->map[space]);
    for (unsigned at = 0; at < old->count; at++) {
        if (old->entry[at].base != base)
            continue;
        struct map *map = map_create(old->count - 1);
        rc = map ? 0 : -ENOMEM;
        if (map) {
            memcpy(map->entry, old->entry, at * sizeof map->entry[0]);
            memcpy(map->entry + at, old->entry + at + 1, (map->count - at) * sizeof map->entry[0]);
            swap_map(bus, space, map);
        }
        break;
    }
    (void)pthread_mutex_unlock(&bus->lock);
    return rc;
}

/* The region that claims `addr`, or NULL. */
static __attribute__((noinline)) const struct entry *find(const struct map *map, uint64_t addr)
{
    unsigned low = 0, high = map->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (map->entry[mid].base <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    if (!low)
        return NULL;
    const struct entry *e = &map->entry[low - 1];
    return addr - e->base < e->region.size ? e : NULL;
}

static HOT const struct entry *find_again(enum bus_space space, const struct map *map,
                                          uint64_t addr)
{
    const struct entry *last = thread_last[space].entry;

    if (thread_last[space].map_id == map->id && addr - last->base < last->region.size)
        return last;
    const struct entry *e = find(map, addr);
    if (e) {
        thread_last[space].map_id = map->id;
        thread_last[space].entry = e;
    }
    return e;
}

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

/* How much of an access of `size` at `offset` the region takes in one piece: a power of two. */
static inline unsigned piece(const struct bus_region *r, uint64_t offset, unsigned size)
{
    unsigned most = MIN(size, r->max_width ? r->max_width : 8u);

    most = (unsigned)MIN((uint64_t)most, r->size - offset);
    return 1u << (31 - __builtin_clz(most));
}

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size)
{
    const struct map *map = map_enter(bus, space);
    uint64_t value = 0;

    for (unsigned done = 0, part; done < size; done += part) {
        const struct entry *e = find_again(space, map, addr + done);
        uint64_t v = UINT64_MAX;
        part = 1;
        if (!e) {
            atomic_fetch_add_explicit(&bus->unclaimed, 1, memory_order_relaxed);
        } else {
            uint64_t offset = addr + done - e->base;
            part = piece(&e->region, offset, size - done);
            if (part >= e->region.min_width)
                v = e->region.ops->read(e->region.ctx, offset, part);
        }
        value |= (v & ones(part)) << (done * 8);
    }
    map_leave(bus);
    return value;
}

void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size, uint64_t value)
{
    const struct map *map = map_enter(bus, space);

    for (unsigned done = 0, part; done < size; done += part) {
        const struct entry *e = find_again(space, map, addr + done);
        part = 1;
        if (!e) {
            atomic_fetch_add_explicit(&bus->unclaimed, 1, memory_order_relaxed);
            continue;
        }
        uint64_t offset = addr + done - e->base;
        part = piece(&e->region, offset, size - done);
        if (part >= e->region.min_width)
            e->region.ops->write(e->region.ctx, offset, part, (value >> (done * 8)) & ones(part));
    }
    map_leave(bus);
}

struct bus_stats bus_stats(const struct bus *bus)
{
    return (struct bus_stats){.unclaimed = atomic_load(&bus->unclaimed)};
}
