/* SPDX-License-Identifier: Apache-2.0 */
/* Units, their pages, and their memory (cache.h). The signal handler of the same thread looks units
 * up while nothing here runs but in between: what it reads is written in an order in which any
 * prefix is right. */
#include "vm/engine/bt/jit/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/bt/ahead.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/jit/warm.h"
#include "vm/engine/bt/mmu.h"
#include "vm/engine/bt/uninitialized.h"

enum { PAGE = 4096, MAP_WORDS = FLAT_MAP_BYTES / 4 };
enum {
    CODE_ROOM = 32 << 10,
    UNIT_BYTES_MIN = 64
}; /* of a unit: at most, and on average at least */
/* For every eight changes of a page, twice as many runs until a block of it is translated. */
enum { DROPS_PER_DOUBLING = 8, DOUBLINGS_MAX = 7 };

struct node {
    struct jit_unit unit;
    struct node *next;        /* of the page */
    struct node *next_beyond; /* of the page on which its instruction ends */
    uint32_t careful_count;   /* of the page, when this was made */
    bool replaced;            /* by one that is more careful */
};

/* --- Memory --- */

static uint64_t size_of(unsigned cpus)
{
    uint64_t size = JIT_CACHE_TOTAL / (cpus ? cpus : 1);

    size = MIN(size, (uint64_t)JIT_CACHE_MAX);
    return size < JIT_CACHE_MIN ? 0 : align_down(size, 2 << 20);
}

static unsigned maps_of(unsigned cpus)
{
    return (unsigned)(size_of(cpus) / FLAT_MAP_BYTES);
}

uint64_t jit_cache_map_bytes(unsigned cpus)
{
    return (uint64_t)maps_of(cpus) * cpus * FLAT_MAP_BYTES;
}

void *jit_low_map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

/* The memfd cannot grow or shrink, and nobody else has it. */
static int map_code(struct jit_cache *cache)
{
    cleanup_fd int fd = memfd_create("translated-code", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)cache->code_size) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        return -errno;
    void *write = mmap(NULL, cache->code_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (write == MAP_FAILED)
        return -errno;
    cache->write = write;
    void *run = mmap(NULL, cache->code_size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    cache->run = run;
    return 0;
}

void *jit_cache_take(struct jit_cache *cache, size_t size)
{
    uint64_t at = align_up(cache->arena_used, 64);

    if (at + size > cache->arena_size)
        return NULL;
    cache->arena_used = at + size;
    ahead(cache->arena, cache->arena_size, cache->arena_used, &cache->arena_ahead);
    return cache->arena + at;
}

/* --- Stubs --- */

static struct encode_mem at(const void *address)
{
    return encode_absolute((uint32_t)(uintptr_t)address);
}

/* The way out (enter.S), and that of look-ups which find nothing: a site of its own. */
static int put_stubs(struct jit_cache *cache, struct bt_vcpu *vcpu)
{
    struct encode e = {.at = cache->write,
                       .end = cache->write + CODE_ROOM,
                       .run = (int64_t)((uintptr_t)cache->run - (uintptr_t)cache->write)};
    struct jit_site *site = jit_cache_take(cache, sizeof *site);

    cache->spare = jit_cache_take(cache, BLOCK_SINGLE_SIZE);
    cache->trap = jit_cache_take(cache, sizeof *cache->trap);
    if (!site || !cache->spare || !cache->trap)
        return -ENOMEM;
    *site = (struct jit_site){.kind = JIT_SITE_JUMP};
    cache->leave = (uint32_t)encode_here(&e);
    encode_store(&e, at(&vcpu->gpr[CPU_RSP]), CPU_RSP);
    encode_load(&e, CPU_RSP, at(&vcpu->jit.host_stack));
    encode_load(&e, JIT_T2, at(&vcpu->jit.exit));
    encode_jmp_reg(&e, JIT_T2);
    cache->miss = (uint32_t)encode_here(&e);
    encode_store_imm32(&e, at(&vcpu->jit.site), (uint32_t)(uintptr_t)site);
    encode_jmp(&e, cache->leave);
    for (unsigned i = 0; i <= MAP_WORDS; i++)
        flat_miss_map(vcpu)[i] = cache->miss;
    translate_stubs(&e, vcpu, cache->leave, &cache->stubs);
    cache->code_kept = cache->code_used = align_up((uint64_t)(e.at - cache->write), 64);
    cache->arena_kept = cache->arena_used;
    return 0;
}

static int create(struct bt_vcpu *vcpu, struct jit_cache *cache)
{
    unsigned cpus = vcpu->vm->model.cpus;
    uint64_t size = size_of(cpus);

    if (!size || !vcpu->vm->flat)
        return -E2BIG;
    cache->code_size = cache->arena_size = size / 2;
    cache->maps_max = maps_of(cpus);
    cache->maps = (uint32_t *)(void *)(flat_maps(vcpu->vm->flat) +
                                       (uint64_t)vcpu->index * cache->maps_max * FLAT_MAP_BYTES);
    cache->unit_max = (uint32_t)(cache->code_size / UNIT_BYTES_MIN);
    cache->unit = mmap(NULL, cache->unit_max * sizeof *cache->unit, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cache->unit == MAP_FAILED) {
        cache->unit = NULL;
        return -ENOMEM;
    }
    cache->arena = jit_low_map(cache->arena_size);
    cache->canonical = jit_low_map(JIT_CANONICAL_BYTES);
    if (!cache->arena || !cache->canonical ||
        mprotect(cache->canonical + PAGE, JIT_CANONICAL_BYTES - 2 * PAGE, PROT_NONE))
        return -ENOMEM;
    int rc = map_code(cache);
    return rc ? rc : put_stubs(cache, vcpu);
}

int jit_cache_create(struct bt_vcpu *vcpu, struct jit_cache **ret_cache)
{
    struct jit_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return -ENOMEM;
    int rc = create(vcpu, cache);
    if (rc) {
        jit_cache_destroy(cache);
        return rc;
    }
    *ret_cache = cache;
    return 0;
}

void jit_cache_destroy(struct jit_cache *cache)
{
    if (!cache)
        return;
    if (cache->write)
        (void)munmap(cache->write, cache->code_size);
    if (cache->run)
        (void)munmap(cache->run, cache->code_size);
    if (cache->arena)
        (void)munmap(cache->arena, cache->arena_size);
    if (cache->canonical)
        (void)munmap(cache->canonical, JIT_CANONICAL_BYTES);
    if (cache->unit)
        (void)munmap(cache->unit, cache->unit_max * sizeof *cache->unit);
    free(cache);
}

/* --- Pages --- */

static unsigned hash_of(uint64_t number)
{
    return (unsigned)(number * UINT64_C(0x9e3779b97f4a7c15) >> 40) % JIT_PAGE_HASH;
}

static void clear_map(const struct jit_cache *cache, uint32_t *map)
{
    for (unsigned i = 0; i < MAP_WORDS; i++)
        map[i] = cache->miss;
}

static uint8_t *writable(const struct jit_cache *cache, uint32_t run)
{
    return cache->write + (run - (uintptr_t)cache->run);
}

static void put_distance(const struct jit_cache *cache, uint32_t place, uint32_t target)
{
    uint32_t distance = target - (place + 4);

    memcpy(writable(cache, place), &distance, sizeof distance);
}

/* Whoever comes to the unit goes to `target` instead. */
static void divert(const struct jit_cache *cache, const struct jit_unit *unit, uint32_t target)
{
    *writable(cache, unit->code) = 0xe9; /* jmp */
    put_distance(cache, unit->code + 1, target);
}

/* Units of the page before, which stays, lead to it directly: it refuses from now on. */
static void drop_beyond(struct jit_cache *cache, struct jit_page *page)
{
    for (struct node *n = (struct node *)page->beyond; n; n = n->next_beyond) {
        struct jit_page *own = n->unit.page;
        if (n->unit.dead)
            continue;
        n->unit.dead = true;
        divert(cache, &n->unit, n->unit.refuse);
        if (own->map[n->unit.offset] == n->unit.entry)
            own->map[n->unit.offset] = cache->miss;
    }
    page->beyond = NULL;
}

static void drop_page(struct jit_cache *cache, struct jit_page *page)
{
    drop_beyond(cache, page);
    if (!page->first)
        return;
    clear_map(cache, page->map);
    for (struct node *n = (struct node *)page->first; n; n = n->next)
        n->unit.dead = true;
    page->first = NULL;
    page->careful = NULL;
    page->careful_count = 0;
    page->drops++;
    cache->stats.dropped++;
}

void jit_cache_page_written(struct jit_cache *cache, uint64_t number)
{
    for (struct jit_page *p = cache->page[hash_of(number)]; p; p = p->chain)
        if (p->number == number)
            drop_page(cache, p);
}

static void check_page(struct jit_cache *cache, struct jit_page *page)
{
    if ((page->first || page->beyond) && atomic_load(page->word) != page->generation)
        drop_page(cache, page);
}

void jit_cache_page_check(struct jit_cache *cache, uint64_t number)
{
    for (struct jit_page *p = cache->page[hash_of(number)]; p; p = p->chain)
        if (p->number == number)
            check_page(cache, p);
}

void jit_cache_validate(struct jit_cache *cache)
{
    for (unsigned i = 0; i < JIT_PAGE_HASH; i++)
        for (struct jit_page *p = cache->page[i]; p; p = p->chain)
            check_page(cache, p);
}

void jit_cache_drop_all(struct jit_cache *cache)
{
    /* Tables may still lead to the maps of pages that are forgotten. */
    for (unsigned i = 0; i < cache->maps_used; i++)
        clear_map(cache, cache->maps + (uint64_t)i * MAP_WORDS);
    cache->unit_count = 0;
    cache->arena_used = cache->arena_kept;
    cache->code_used = cache->code_kept;
    cache->maps_used = 0;
    cache->epoch++;
    cache->stats.emptied++;
    memset(cache->page, 0, sizeof cache->page);
}

static struct jit_page *page_find(const struct jit_cache *cache, uint64_t number, uint32_t mode)
{
    struct jit_page *p = cache->page[hash_of(number)];

    while (p && (p->number != number || p->mode != mode))
        p = p->chain;
    return p;
}

/* The block's own page, or the one on which it ends. */
static struct jit_page *page_make(struct jit_cache *cache, const struct bt_block *block,
                                  unsigned which)
{
    if (cache->maps_used == cache->maps_max)
        return NULL;
    struct jit_page *page = jit_cache_take(cache, sizeof *page);
    if (!page)
        return NULL;
    struct jit_page **chain = &cache->page[hash_of(block->page[which])];
    ahead(cache->maps, (uint64_t)cache->maps_max * FLAT_MAP_BYTES,
          (cache->maps_used + 1ull) * FLAT_MAP_BYTES, &cache->maps_ahead);
    *page = (struct jit_page){.number = block->page[which],
                              .mode = block->mode,
                              .word = block->word[which],
                              .generation = block->generation[which],
                              .map = cache->maps + (uint64_t)cache->maps_used++ * MAP_WORDS,
                              .chain = *chain};
    clear_map(cache, page->map);
    *chain = page;
    return page;
}

/* The page with the bytes that the block is made of; NULL: it was never met. */
static struct jit_page *page_now(struct jit_cache *cache, const struct bt_block *block,
                                 unsigned which)
{
    struct jit_page *page = page_find(cache, block->page[which], block->mode);

    if (page && page->generation != block->generation[which]) {
        drop_page(cache, page);
        page->generation = block->generation[which];
    }
    return page;
}

const uint32_t *jit_cache_second_map(const struct jit_cache *cache, const struct bt_block *block)
{
    const struct jit_page *page = page_find(cache, block->page[1], block->mode);

    return page ? page->map : NULL;
}

/* --- Units --- */

struct jit_unit *jit_cache_find(const struct jit_cache *cache, uint64_t run)
{
    uint32_t low = 0, high = atomic_load_explicit(&cache->unit_count, memory_order_relaxed);

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct jit_unit *unit = (struct jit_unit *)(uintptr_t)cache->unit[middle];
        if (run < unit->entry)
            high = middle;
        else if (run >= unit->end)
            low = middle + 1;
        else
            return unit;
    }
    return NULL;
}

const struct jit_mark *jit_unit_mark(const struct jit_unit *unit, uint64_t run)
{
    const struct jit_mark *found = NULL;

    for (unsigned i = 0; i < unit->mark_count && unit->entry + unit->mark[i].code <= run; i++)
        found = &unit->mark[i];
    return found;
}

static void publish(struct jit_cache *cache, struct jit_page *page, struct node *node,
                    const struct encode *e)
{
    cache->code_used = align_up((uint64_t)(e->at - cache->write), 16);
    node->next = (struct node *)page->first;
    page->first = &node->unit;
    cache->unit[cache->unit_count] = (uint32_t)(uintptr_t)node;
    atomic_signal_fence(memory_order_seq_cst);
    cache->unit_count++;
    cache->stats.made++;
    page->map[node->unit.offset] = node->unit.entry;
}

/* An instruction on two pages. */
struct beyond {
    struct jit_page *page; /* NULL: it is on one */
    uint8_t bytes[BT_INSN_MAX];
};

/* -ENOSPC: no room; -ENOTSUP: interpret; -EAGAIN: the bytes are changing. */
static int make_unit(struct bt_vcpu *vcpu, struct jit_page *page, unsigned offset,
                     const struct beyond *beyond, struct jit_unit **ret_unit)
{
    struct jit_cache *cache = vcpu->jit.cache;
    struct jit_mark mark[TRANSLATE_INSNS_MAX + 2] BT_UNINITIALIZED;
    enum { SITES = TRANSLATE_SITES_MAX * sizeof(struct jit_site), MARKS = sizeof mark };
    uint64_t undo = cache->arena_used;
    struct node *node = jit_cache_take(cache, sizeof *node + SITES + MARKS);

    if (!node || cache->code_used + CODE_ROOM > cache->code_size ||
        cache->unit_count == cache->unit_max)
        return -ENOSPC;
    ahead(cache->write, cache->code_size, cache->code_used + CODE_ROOM, &cache->code_ahead);
    struct jit_site *site = (struct jit_site *)(node + 1);
    struct encode e = {.at = cache->write + cache->code_used,
                       .end = cache->write + cache->code_used + CODE_ROOM,
                       .run = (int64_t)((uintptr_t)cache->run - (uintptr_t)cache->write)};
    struct translate_input in = {.bytes = bt_vm_ram(vcpu->vm) + page->number * PAGE,
                                 .offset = (uint16_t)offset,
                                 .mode = page->mode,
                                 .careful = page->careful,
                                 .vcpu = vcpu,
                                 .watched = vcpu->jit.watch != NULL,
                                 .leave = cache->leave,
                                 .miss = cache->miss,
                                 .canonical = (uint32_t)(uintptr_t)cache->canonical,
                                 .stubs = &cache->stubs};
    memset(node, 0, sizeof *node);
    if (beyond->page) {
        in.beyond = beyond->bytes;
        in.beyond_sum = FLAT_EXEC_BASE + (uintptr_t)beyond->page->map / 4;
    }
    int rc = translate_block(&in, &e, (uint32_t)(uintptr_t)node, (uint32_t)(uintptr_t)site, site,
                             mark, &node->unit);
    if (!rc && (atomic_load(page->word) != page->generation ||
                (beyond->page && atomic_load(beyond->page->word) != beyond->page->generation)))
        rc = -EAGAIN;
    if (rc) {
        cache->arena_used = undo;
        return rc;
    }
    struct jit_unit *unit = &node->unit;
    unit->site = site;
    unit->mark = (struct jit_mark *)(void *)(site + unit->site_count);
    unit->page = page;
    node->careful_count = page->careful_count;
    memcpy(unit->mark, mark, (unit->mark_count + 1u) * sizeof *mark);
    cache->arena_used = (uint64_t)((uint8_t *)(unit->mark + unit->mark_count + 1) - cache->arena);
    if (beyond->page) {
        node->next_beyond = (struct node *)beyond->page->beyond;
        beyond->page->beyond = unit;
    }
    publish(cache, page, node, &e);
    *ret_unit = unit;
    return 0;
}

/* Not those of device memory, which lie somewhere else. */
static bool in_ram(const struct bt_vcpu *vcpu, const struct bt_block *block)
{
    uint64_t pages = vcpu->vm->gmem->size / PAGE;

    return block->word[0] && block->word[1] && block->page[0] < pages && block->page[1] < pages;
}

static bool is_warm(const struct bt_block *block, const struct jit_page *page)
{
    unsigned doublings = page ? page->drops / DROPS_PER_DOUBLING : 0;

    return block->heat >= JIT_CACHE_HEAT << MIN(doublings, (unsigned)DOUBLINGS_MAX);
}

/* -ENOSPC: no room. */
static int look_beyond(struct bt_vcpu *vcpu, const struct bt_block *block,
                       struct beyond *ret_beyond)
{
    struct jit_cache *cache = vcpu->jit.cache;
    const uint8_t *ram = bt_vm_ram(vcpu->vm);
    unsigned head = PAGE - block->start;

    ret_beyond->page = NULL;
    if (!block->crosses)
        return 0;
    struct jit_page *page = page_now(cache, block, 1);
    if (!page && !(page = page_make(cache, block, 1)))
        return -ENOSPC;
    ret_beyond->page = page;
    memcpy(ret_beyond->bytes, ram + block->page[0] * PAGE + block->start, head);
    memcpy(ret_beyond->bytes + head, ram + block->page[1] * PAGE, BT_INSN_MAX - head);
    return 0;
}

static int make(struct bt_vcpu *vcpu, struct jit_page *page, const struct bt_block *block,
                struct jit_unit **ret_unit)
{
    struct beyond beyond;
    int rc = -ENOSPC;

    if (page || (page = page_make(vcpu->jit.cache, block, 0)))
        rc = look_beyond(vcpu, block, &beyond);
    return rc ? rc : make_unit(vcpu, page, block->start, &beyond, ret_unit);
}

struct jit_unit *jit_cache_unit(struct bt_vcpu *vcpu, struct bt_block *block)
{
    struct jit_cache *cache = vcpu->jit.cache;
    struct jit_unit *unit = NULL;

    if (!in_ram(vcpu, block))
        return NULL;
    struct jit_page *page = page_now(cache, block, 0);
    if (page && page->map[block->start] != cache->miss)
        return jit_cache_find(cache, page->map[block->start]);
    if (block->heat == BLOCK_HEAT_NEVER || !is_warm(block, page))
        return NULL;
    int rc = make(vcpu, page, block, &unit);
    if (rc == -ENOSPC) /* the next time will do */
        jit_drop_all(vcpu);
    else if (rc == -ENOTSUP)
        block->heat = BLOCK_HEAT_NEVER;
    else if (!rc)
        warm_set(vcpu->vm->warm, warm_key(block->page[0], block->start, block->mode));
    return unit;
}

/* False: no room. */
static bool note_careful(struct jit_cache *cache, struct jit_page *page, unsigned offset)
{
    uint64_t bit = BIT64(offset % 64);

    if (!page->careful && (page->careful = jit_cache_take(cache, PAGE / 8)))
        memset(page->careful, 0, PAGE / 8);
    if (!page->careful)
        return false;
    page->careful_count += !(page->careful[offset / 64] & bit);
    page->careful[offset / 64] |= bit;
    return true;
}

bool jit_cache_be_careful(struct bt_vcpu *vcpu, struct jit_unit *unit, unsigned offset)
{
    struct jit_cache *cache = vcpu->jit.cache;
    struct node *node = (struct node *)unit;
    struct jit_unit *new;

    if (!note_careful(cache, unit->page, offset) ||
        node->careful_count == ((struct jit_page *)unit->page)->careful_count)
        return false;
    if (node->replaced)
        return true;
    const struct beyond none = {.page = NULL};
    if (unit->refuse || make_unit(vcpu, unit->page, unit->offset, &none, &new))
        return false;
    cache->stats.remade++;
    node->replaced = true;
    divert(cache, unit, new->code);
    return true;
}

void jit_cache_link(struct jit_cache *cache, const struct jit_site *from, const struct jit_unit *to)
{
    put_distance(cache, from->link, to->code);
}
