/* SPDX-License-Identifier: Apache-2.0 */
/* The tables themselves (flat.h): entering and emptying.
 *
 * A table gets memory in chunks of one page (flat_pages.h), when one is first met, by translated
 * code (flat_populate, in the signal handler) or by an entry to be made; a fresh chunk is filled
 * with empty entries. The number of chunks is bounded; a vCPU that needs more loses its largest
 * table.
 *
 * What is entered is logged: the slot, and for stores the page of RAM. One log for each table of an
 * address space, two for the supervisor's: pages of the current space, and global ones. A record
 * may outlive its entry (INVLPG, or another address with the same slot): then it empties a slot for
 * nothing. */
#include "vm/engine/bt/flat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/range.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat_pages.h"
#include "vm/engine/bt/mmu.h"

enum { PAGE = 4096, SLOTS = 1 << 29, CHUNK_SLOTS = FLAT_PAGE / 8, CHUNKS = SLOTS / CHUNK_SLOTS };
/* Of a vCPU, besides one for each 512 pages of RAM in each of two views; and of all vCPUs where a
 * chunk takes two mappings: half of those that Linux gives a process, less what others need. */
enum { AROUND = 16 }; /* pages that are entered together: note_around */
enum { CHUNKS_MAX = 16384, CHUNKS_SPLIT = 24000, CHUNKS_MIN = 256 };

/* Tables: each space's for its user, then each space's for the supervisor with AC, then the
 * supervisor's; and the logs: a space's has its table's number. */
enum { WITH_AC = MMU_SPACES, SUPERVISOR = 2 * MMU_SPACES, TABLES };
enum { LOG_LOCAL = SUPERVISOR, LOG_GLOBAL, LOGS, LOG_MAX = 1 << 18 };

struct record {
    uint32_t slot;
    uint32_t page; /* of stores: its number, with STORE */
};
#define STORE (UINT32_C(1) << 31)

/* Who may have a store entry for a page of RAM: logs, by bit; and if that is one, and without MANY,
 * the only slot of it. */
struct stores {
    uint32_t logs, slot;
};
#define MANY (UINT32_C(1) << 31)

struct log {
    uint32_t count;
    struct record *at; /* LOG_MAX, without memory until they are written */
};

struct table {
    uint64_t *entry;
    unsigned count;  /* chunks with memory */
    uint32_t *list;  /* them: flat->chunks_max */
    uint32_t *stand; /* for each chunk: HAS_MEMORY, and bits 39 and up of the difference between the
                        linear addresses that its slots stand for and the slots' own */
};
#define HAS_MEMORY (UINT32_C(1) << 31)

struct flat {
    uint8_t *ram; /* flat_ram */
    uint64_t ram_pages;
    uint64_t empty;              /* sum of an empty entry and the address it stands for */
    unsigned chunks, chunks_max; /* of all tables */
    bool global;                 /* a space's tables have global pages */
    struct log log[LOGS];
    struct table table[TABLES];
    struct stores *stores; /* for each page of RAM */
    uint8_t *memory;       /* the lists, `stores` and the logs */
    uint64_t memory_size;
    struct flat_pages tables;      /* TABLES times FLAT_TABLE_SIZE */
    uint64_t fresh[FLAT_PAGE / 8]; /* a chunk to be */
    uint64_t emptied;              /* tables, for want of chunks: statistics */
};

enum flat_view flat_exec(uint32_t mode)
{
    return (mode & BT_MODE_CODE) == BT_MODE_CODE64 ? FLAT_EXEC : FLAT_EXEC32;
}

static unsigned table_of(unsigned log)
{
    return MIN(log, (unsigned)SUPERVISOR);
}

static uint64_t empty_entry(const struct flat *flat, const struct table *table, uint32_t slot)
{
    uint64_t stand = table->stand[slot / CHUNK_SLOTS];

    return flat->empty - (stand << 39) - ((uint64_t)slot << 12);
}

static void make_empty(struct flat *flat, struct table *table, uint32_t slot)
{
    table->entry[slot] = empty_entry(flat, table, slot);
}

static uint64_t host_of(const struct flat *flat, uint64_t number)
{
    return (uintptr_t)flat->ram + number * PAGE;
}

static uint32_t slot_of(uint64_t linear, enum flat_view view)
{
    return (uint32_t)((linear >> 12) + ((uint32_t)view >> 3)) & (SLOTS - 1);
}

/* Memory */

/* Lists, page bits and logs, in one mapping. */
static int make_memory(struct flat *flat)
{
    uint64_t list = align_up((uint64_t)flat->chunks_max * sizeof(uint32_t), PAGE);
    uint64_t stand = CHUNKS * sizeof(uint32_t);
    uint64_t stores = align_up(flat->ram_pages * sizeof flat->stores[0], PAGE);
    uint64_t log = (uint64_t)LOG_MAX * sizeof(struct record);

    flat->memory_size = (list + stand) * TABLES + stores + log * LOGS;
    uint8_t *at = mmap(NULL, flat->memory_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    flat->memory = at;
    for (unsigned i = 0; i < TABLES; i++, at += list + stand) {
        flat->table[i].list = (uint32_t *)(void *)at;
        flat->table[i].stand = (uint32_t *)(void *)(at + list);
        flat->table[i].entry = (uint64_t *)(void *)(flat->tables.at + i * FLAT_TABLE_SIZE);
    }
    flat->stores = (struct stores *)(void *)at;
    at += stores;
    for (unsigned i = 0; i < LOGS; i++, at += log)
        flat->log[i].at = (struct record *)(void *)at;
    return 0;
}

static int make_tables(struct flat *flat, unsigned cpus)
{
    int rc = flat_pages_create(&flat->tables, TABLES * FLAT_TABLE_SIZE, false);

    flat->chunks_max = CHUNKS_MAX + (unsigned)(flat->ram_pages / CHUNK_SLOTS * 2);
    if (rc || flat->tables.fd >= 0)
        return rc;
    flat->chunks_max = MIN(flat->chunks_max, CHUNKS_SPLIT / cpus);
    return flat->chunks_max < CHUNKS_MIN ? -E2BIG : 0;
}

int flat_create(struct bt_vcpu *vcpu)
{
    struct bt_vm *vm = vcpu->vm;

    if (!vm->flat || vcpu->flat)
        return 0;
    struct flat *flat = calloc(1, sizeof *flat);
    if (!flat)
        return -ENOMEM;
    flat->ram = flat_ram(vm->flat);
    flat->ram_pages = vm->gmem->size / PAGE;
    flat->empty = FLAT_EMPTY + (uintptr_t)flat_miss_map(vcpu) / 4 + 1;
    vcpu->flat = flat;
    int rc = make_tables(flat, vm->model.cpus);
    if (!rc)
        rc = make_memory(flat);
    if (rc)
        flat_destroy(vcpu);
    return rc;
}

void flat_destroy(struct bt_vcpu *vcpu)
{
    struct flat *flat = vcpu->flat;

    if (!flat)
        return;
    if (flat->memory)
        (void)munmap(flat->memory, flat->memory_size);
    flat_pages_destroy(&flat->tables);
    free(flat);
    vcpu->flat = NULL;
}

static bool has_chunk(const struct table *table, uint32_t slot)
{
    return table->stand[slot / CHUNK_SLOTS] != 0;
}

/* Takes all memory from a table. */
static void strip(struct flat *flat, unsigned t)
{
    struct table *table = &flat->table[t];

    if (flat_pages_take(&flat->tables, table->entry, FLAT_TABLE_SIZE) && flat->tables.fd < 0)
        return; /* it keeps its memory, and its chunks stay what they are */
    for (unsigned i = 0; i < table->count; i++)
        table->stand[table->list[i]] = 0;
    flat->chunks -= table->count;
    table->count = 0;
    for (unsigned i = 0; i < LOGS; i++)
        if (table_of(i) == t)
            flat->log[i].count = 0;
    flat->emptied++;
}

static void strip_largest(struct flat *flat)
{
    unsigned largest = 0;

    for (unsigned i = 1; i < TABLES; i++)
        if (flat->table[i].count > flat->table[largest].count)
            largest = i;
    strip(flat, largest);
}

static void fill_chunk(const struct flat *flat, const struct table *table, uint32_t slot,
                       uint64_t entry[CHUNK_SLOTS])
{
    uint64_t value = empty_entry(flat, table, slot);

    for (unsigned i = 0; i < CHUNK_SLOTS; i++, value -= PAGE)
        entry[i] = value;
}

/* Around `slot`, met by an address near `linear`. Async-signal-safe, as is all that it calls. */
static bool add_chunk(struct flat *flat, unsigned t, uint32_t slot, uint64_t linear)
{
    struct table *table = &flat->table[t];
    uint64_t difference = linear - ((uint64_t)slot << 12);
    unsigned chunk = slot / CHUNK_SLOTS;
    int saved = errno, rc = -ENOMEM;

    table->stand[chunk] = HAS_MEMORY | (uint32_t)((difference + BIT64(38)) >> 39);
    fill_chunk(flat, table, chunk * CHUNK_SLOTS, flat->fresh);
    uint64_t *entry = table->entry + (uint64_t)chunk * CHUNK_SLOTS;
    if (flat->chunks < flat->chunks_max)
        rc = flat_pages_give(&flat->tables, entry, flat->fresh);
    if (rc && flat->chunks) { /* we, or the host, have no more: give some back */
        strip_largest(flat);
        rc = flat_pages_give(&flat->tables, entry, flat->fresh);
    }
    errno = saved;
    if (rc) {
        table->stand[chunk] = 0;
        return false;
    }
    table->list[table->count++] = chunk;
    flat->chunks++;
    return true;
}

bool flat_populate(struct bt_vcpu *vcpu, uint64_t address, uint64_t near)
{
    struct flat *flat = vcpu->flat;

    if (!flat || address - (uintptr_t)flat->tables.at >= TABLES * FLAT_TABLE_SIZE)
        return false;
    uint64_t offset = address - (uintptr_t)flat->tables.at;
    unsigned t = (unsigned)(offset / FLAT_TABLE_SIZE);
    uint32_t slot = (uint32_t)(offset % FLAT_TABLE_SIZE / 8);
    /* As if it were canonical: a look-up by another traps (jit/emit_flow.c). */
    near = (uint64_t)((int64_t)(near << 16) >> 16);
    return !has_chunk(&flat->table[t], slot) && add_chunk(flat, t, slot, near);
}

static unsigned table_now(const struct bt_vcpu *vcpu)
{
    if (vcpu->cpl == 3)
        return vcpu->tlb->space[0].table;
    if (vcpu->rflags & BT_FLAG_AC && vcpu->cr4 & BT_CR4_SMAP)
        return WITH_AC + vcpu->tlb->space[0].table;
    return SUPERVISOR;
}

uint64_t flat_base(const struct bt_vcpu *vcpu)
{
    return (uintptr_t)vcpu->flat->table[table_now(vcpu)].entry;
}

void flat_limit(struct bt_vcpu *vcpu, unsigned chunks)
{
    struct flat *flat = vcpu->flat;

    for (unsigned t = 0; t < TABLES; t++)
        strip(flat, t);
    flat->chunks_max = chunks;
}

/* Entering */

static void empty_log(struct flat *flat, unsigned l)
{
    struct log *log = &flat->log[l];

    for (uint32_t i = 0; i < log->count; i++)
        make_empty(flat, &flat->table[table_of(l)], log->at[i].slot);
    log->count = 0;
}

/* What is at `host` for the page of `linear`, if that is a view of it. */
static void enter(struct flat *flat, unsigned l, uint64_t linear, enum flat_view view,
                  uint64_t host, uint32_t page)
{
    uint32_t slot = slot_of(linear, view);
    unsigned t = table_of(l);
    uint64_t *at = &flat->table[t].entry[slot], value = host - linear;

    if (!has_chunk(&flat->table[t], slot) && !add_chunk(flat, t, slot, linear))
        return;
    if (*at == value)
        return;
    struct log *log = &flat->log[l];
    if (log->count == LOG_MAX)
        empty_log(flat, l);
    log->at[log->count++] = (struct record){.slot = slot, .page = page};
    *at = value;
}

/* Whose log takes a page with these rights at the current privilege; LOGS: nobody's. */
static unsigned log_for(struct bt_vcpu *vcpu, uint32_t rights, bool execute)
{
    bool user_page = rights & MMU_ENTRY_USER, global = rights & MMU_ENTRY_GLOBAL;

    unsigned t = table_now(vcpu);
    if (t == SUPERVISOR) {
        if (user_page && !execute && vcpu->cr4 & BT_CR4_SMAP)
            return LOGS;
        return global ? LOG_GLOBAL : LOG_LOCAL;
    }
    if (t < WITH_AC && !user_page && vcpu->cr0 & BT_CR0_PG)
        return LOGS;
    vcpu->flat->global |= global;
    return t;
}

/* Is this record's store still what its slot has? */
static bool stands(const struct flat *flat, const struct table *table, const struct record *r)
{
    uint64_t host = host_of(flat, r->page & ~STORE);

    return !((table->entry[r->slot] + ((uint64_t)r->slot << 12) - host) << (64 - 39));
}

static void note_store(struct flat *flat, unsigned l, uint32_t slot, uint64_t number)
{
    struct stores *stores = &flat->stores[number];

    if (stores->logs == BIT(l) && stores->slot == slot)
        return;
    if (stores->logs && !(stores->logs & MANY)) {
        struct table *table = &flat->table[table_of((unsigned)__builtin_ctz(stores->logs))];
        const struct record r = {.slot = stores->slot, .page = (uint32_t)number};
        if (!has_chunk(table, r.slot) || !stands(flat, table, &r))
            stores->logs = 0;
    }
    stores->logs |= stores->logs ? BIT(l) | MANY : BIT(l);
    stores->slot = slot;
}

static void enter_store(struct bt_vcpu *vcpu, unsigned l, uint64_t linear, uint64_t number)
{
    struct flat *flat = vcpu->flat;
    struct table *table = &flat->table[table_of(l)];
    uint32_t slot = slot_of(linear, FLAT_STORE);

    note_store(flat, l, slot, number);
    enter(flat, l, linear, FLAT_STORE, host_of(flat, number), (uint32_t)number | STORE);
    /* As in the TLB: who sets the page's bit afterwards asks for the entry to go. */
    atomic_thread_fence(memory_order_seq_cst);
    if (block_page_has_code(vcpu->vm, number) && has_chunk(table, slot))
        make_empty(flat, table, slot);
}

/* What a store entry of this page would rest on. */
static bool may_enter_store(struct bt_vcpu *vcpu, uint64_t number)
{
    _Atomic(uint16_t) *wrote = &vcpu->tlb->wrote[number];

    if (block_page_has_code(vcpu->vm, number))
        return false;
    if (!atomic_load_explicit(wrote, memory_order_relaxed))
        atomic_store_explicit(wrote, MMU_WROTE_FLAT, memory_order_relaxed);
    return true;
}

/* The neighbours of a page that is part of a large one: they have the same rights, lie in one piece
 * of RAM, and who came for one mostly comes for the next. Dirty pages are recorded one by one. */
static void note_around(struct bt_vcpu *vcpu, unsigned l, uint64_t linear,
                        const struct bt_tlb_entry *e)
{
    struct flat *flat = vcpu->flat;
    uint64_t first = align_down(e->gpa, AROUND * PAGE), back = (e->gpa - first) / PAGE;
    const struct bt_piece *piece = bt_vm_find(vcpu->vm, e->gpa, vcpu->smm);
    bool store = e->rights & MMU_ENTRY_WRITE && !atomic_load(&vcpu->vm->dirty_on);

    if (!piece || first < piece->base || first + AROUND * PAGE - piece->base > piece->size ||
        e->number < back || e->number - back + AROUND > flat->ram_pages ||
        vcpu->apic_base - first < AROUND * PAGE)
        return;
    for (unsigned i = 0; i < AROUND; i++) {
        uint64_t at = linear + ((uint64_t)i - back) * PAGE, number = e->number + i - back;
        if (i == back)
            continue;
        enter(flat, l, at, FLAT_LOAD, host_of(flat, number), 0);
        if (store && may_enter_store(vcpu, number))
            enter_store(vcpu, l, at, number);
    }
}

void flat_note(struct bt_vcpu *vcpu, uint64_t linear)
{
    struct flat *flat = vcpu->flat;
    const struct bt_tlb_entry *e = flat ? mmu_entry(vcpu, linear) : NULL;

    if (!e || e->number >= flat->ram_pages || vcpu->tlb->context == MMU_CONTEXT_SLOW)
        return;
    unsigned l = log_for(vcpu, e->rights, false);
    if (l == LOGS)
        return;
    linear &= MMU_PAGE;
    enter(flat, l, linear, FLAT_LOAD, host_of(flat, e->number), 0);
    if (e->rights & MMU_ENTRY_WRITE)
        enter_store(vcpu, l, linear, e->number);
    if (e->rights & (MMU_ENTRY_LARGE | MMU_ENTRY_HUGE))
        note_around(vcpu, l, linear, e);
}

void flat_note_code(struct bt_vcpu *vcpu, uint64_t linear, const uint32_t *map)
{
    struct flat *flat = vcpu->flat;
    const struct bt_tlb_entry *e = flat ? mmu_entry(vcpu, linear) : NULL;
    const uint8_t *host;

    if (!flat || vcpu->tlb->context == MMU_CONTEXT_SLOW)
        return;
    if (!e) { /* who remembers jumps has not asked the TLB */
        (void)mmu_code_page(vcpu, linear, &host);
        e = mmu_entry(vcpu, linear);
    }
    if (!e || !(e->rights & MMU_ENTRY_EXECUTE))
        return;
    unsigned l = log_for(vcpu, e->rights, true);
    if (l != LOGS)
        enter(flat, l, linear & MMU_PAGE, flat_exec(vcpu->mode),
              FLAT_EXEC_BASE + (uintptr_t)map / 4, 0);
}

/* Emptying */

void flat_flush(struct bt_vcpu *vcpu)
{
    if (!vcpu->flat)
        return;
    flat_flush_space(vcpu, vcpu->tlb->space[0].table);
    empty_log(vcpu->flat, LOG_LOCAL);
}

void flat_flush_all(struct bt_vcpu *vcpu)
{
    if (!vcpu->flat)
        return;
    for (unsigned i = 0; i < LOGS; i++)
        empty_log(vcpu->flat, i);
    vcpu->flat->global = false;
}

void flat_flush_space(struct bt_vcpu *vcpu, unsigned table)
{
    if (!vcpu->flat)
        return;
    empty_log(vcpu->flat, table);
    empty_log(vcpu->flat, WITH_AC + table);
}

void flat_leave_space(struct bt_vcpu *vcpu)
{
    if (vcpu->flat)
        empty_log(vcpu->flat, LOG_LOCAL);
}

/* `count` slots from `slot` on, in all views; within one chunk or whole ones. */
static void empty_slots(struct flat *flat, struct table *table, uint64_t linear, unsigned count)
{
    static const enum flat_view views[] = {FLAT_LOAD, FLAT_STORE, FLAT_EXEC, FLAT_EXEC32};

    for (unsigned v = 0; v < ARRAY_SIZE(views); v++) {
        uint32_t slot = slot_of(linear, views[v]);
        for (unsigned i = 0; i < count; i += CHUNK_SLOTS)
            if (!has_chunk(table, slot + i))
                continue;
            else if (count >= CHUNK_SLOTS)
                fill_chunk(flat, table, slot + i, &table->entry[slot + i]);
            else
                for (unsigned k = 0; k < count; k++)
                    make_empty(flat, table, slot + k);
    }
}

/* For what is larger than anybody wants to look through: whatever was entered there. */
static void empty_logged(struct flat *flat, unsigned l, uint64_t linear, uint64_t bytes)
{
    const uint32_t quarter = SLOTS / 4; /* views differ by quarters */
    uint32_t first = slot_of(linear, FLAT_LOAD) % quarter;
    struct log *log = &flat->log[l];

    for (uint32_t i = 0; i < log->count;) {
        uint32_t slot = log->at[i].slot;
        if (slot % quarter - first >= bytes / PAGE) {
            i++;
            continue;
        }
        make_empty(flat, &flat->table[table_of(l)], slot);
        log->at[i] = log->at[--log->count];
    }
}

void flat_flush_range(struct bt_vcpu *vcpu, uint64_t linear, uint64_t bytes)
{
    struct flat *flat = vcpu->flat;

    if (!flat)
        return;
    linear = align_down(linear, bytes);
    for (unsigned i = 0; i < LOGS; i++) {
        if (i < SUPERVISOR && i % MMU_SPACES != vcpu->tlb->space[0].table && !flat->global)
            continue;
        if (bytes > 4 * MIB(1))
            empty_logged(flat, i, linear, bytes);
        else if (i <= SUPERVISOR)
            empty_slots(flat, &flat->table[i], linear, (unsigned)(bytes / PAGE));
    }
}

enum drop { DROP_ALL, DROP_CODE, DROP_PAGE };

static void drop_stores(struct bt_vcpu *vcpu, unsigned l, enum drop what, uint64_t page)
{
    struct flat *flat = vcpu->flat;
    struct log *log = &flat->log[l];
    struct table *table = &flat->table[table_of(l)];

    for (uint32_t i = 0; i < log->count;) {
        struct record r = log->at[i];
        uint64_t number = r.page & ~STORE;
        if (!(r.page & STORE) || (what == DROP_PAGE && number != page)) {
            i++;
            continue;
        }
        bool code = what != DROP_PAGE && block_page_has_code(vcpu->vm, number);
        if (what == DROP_CODE && !code) {
            i++;
            continue;
        }
        if (stands(flat, table, &r)) {
            make_empty(flat, table, r.slot);
            if (code)
                block_written(vcpu, number);
        }
        log->at[i] = log->at[--log->count];
    }
}

void flat_drop_writable(struct bt_vcpu *vcpu)
{
    bool dirty = atomic_load(&vcpu->vm->dirty_on);

    for (unsigned i = 0; vcpu->flat && i < LOGS; i++)
        drop_stores(vcpu, i, dirty ? DROP_ALL : DROP_CODE, 0);
}

/* The only one; its record stays, and empties the slot for nothing some day. */
static void drop_store(struct flat *flat, const struct stores *stores, uint64_t page)
{
    struct table *table = &flat->table[table_of((unsigned)__builtin_ctz(stores->logs))];
    const struct record r = {.slot = stores->slot, .page = (uint32_t)page};

    if (has_chunk(table, r.slot) && stands(flat, table, &r))
        make_empty(flat, table, r.slot);
}

void flat_protect(struct bt_vcpu *vcpu, uint64_t page)
{
    struct flat *flat = vcpu->flat;

    if (!flat || page >= flat->ram_pages || !flat->stores[page].logs)
        return;
    struct stores *stores = &flat->stores[page];
    if (!(stores->logs & MANY))
        drop_store(flat, stores, page);
    for (unsigned i = 0; stores->logs & MANY && i < LOGS; i++)
        if (stores->logs & BIT(i))
            drop_stores(vcpu, i, DROP_PAGE, page);
    *stores = (struct stores){0};
}
