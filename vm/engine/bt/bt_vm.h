/* SPDX-License-Identifier: Apache-2.0 */
/* A VM of the software engine: its memory, doorbells and processors, and who owns what.
 *
 * Guest physical memory is a sorted table of pieces, copied and swapped when something is mapped:
 * vCPUs read it without a lock. An old table is freed when the VM ends, or when all vCPUs have
 * flushed (bt_vm_flush). Everything that is no piece is the bus's. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/range.h"
#include "vm/engine/bt/bt.h"
#include "vm/engine/bt/bt_engine.h"
#include "vm/engine/cpuid.h"
#include "vm/machine/bus.h"
#include "vm/machine/gmem.h"

struct bt_irqchip; /* irqchip.h */
struct vec_cache;  /* vec.h */

enum { BT_MEMORY_MAX = 64, BT_PIECES_MAX = 2 * BT_MEMORY_MAX + 2 * GMEM_RANGES_MAX };

struct bt_piece {
    uint64_t base, size; /* page multiples */
    uint8_t *host;
    uint64_t page; /* number of its first page in the VM's numbering of memory pages: what the dirty
                      and code bitmaps are indexed by. Guest RAM comes first, as in the memfd */
    bool readonly, ram;
};

/* What a processor sees outside and inside system management mode, each sorted by address. */
enum { BT_SPACE_NORMAL, BT_SPACE_SMM, BT_SPACES };

struct bt_memory {
    unsigned count[BT_SPACES];
    struct bt_piece piece[BT_SPACES][BT_PIECES_MAX];
    struct bt_memory *older; /* still looked at by somebody, perhaps */
};

struct bt_doorbell {
    enum bus_space space;
    uint64_t addr;
    int fd; /* borrowed */
};

struct bt_doorbells {
    unsigned count;
    struct bt_doorbells *older;
    struct bt_doorbell bell[]; /* by space and address */
};

struct bt_vm {
    struct gmem *gmem; /* borrowed */
    struct bus *bus;   /* borrowed */
    struct cpu_model model;
    struct cpuid_table cpuid; /* of processor 0 */
    uint32_t tsc_khz;
    bool amd; /* the vendor: where the two differ */
    unsigned phys_bits;
    uint64_t xcr0, cr4; /* the bits that a guest may set */
    bool invpcid;
    _Atomic(struct bt_vcpu *) vcpu[ENGINE_CPUS_MAX];
    struct bt_irqchip *irqchip;      /* owned */
    struct vec_cache *vec;           /* owned */
    struct flat_view_map *flat;      /* owned; NULL: the engine interprets (flat.h) */
    struct warm *warm;               /* owned; jit/warm.h */
    bool jit;                        /* the translator is on (jit.h); else: */
    struct err jit_why;              /* why not */
    _Atomic(uint32_t) *device_words; /* owned: code words of device memory (block.h) */

    pthread_mutex_t lock;                       /* memory map, doorbells, vcpu[] */
    struct engine_memory mapped[BT_MEMORY_MAX]; /* free: size 0 */
    uint64_t mapped_page[BT_MEMORY_MAX];
    _Atomic(struct bt_memory *) memory;
    _Atomic(struct bt_doorbells *) doorbells;
    uint64_t pages;           /* in the numbering of bt_piece.page; device memory has room
                                 for BT_DEVICE_PAGES behind guest RAM */
    _Atomic(uint64_t) *dirty; /* one bit a page, of what vCPUs have written; owned */
    _Atomic(bool) dirty_on;
    _Atomic(uint8_t) *populated; /* one a block of RAM, bt_memory_populate; owned */
    pthread_mutex_t split_lock;  /* atomics that cross pages or cache lines we cannot lock */
};

/* Device memory in all: 1 GiB. */
enum { BT_DEVICE_PAGES = 1 << 18 };

/* bt_memory.c */
int bt_memory_create(struct bt_vm *vm);
void bt_memory_destroy(struct bt_vm *vm);
/* Makes the memory map anew: the RAM's view (flat.h) has come. */
int bt_memory_publish(struct bt_vm *vm);
/* Has the host map a block of RAM (in the VM's numbering / 16) as a whole, the first time: a fault
 * for each of its pages is several times as dear. */
enum { BT_BLOCK_PAGES = 16, BT_BLOCK_BYTES = BT_BLOCK_PAGES * 4096 };
void bt_memory_populate(struct bt_vm *vm, uint64_t block);
int bt_memory_map(struct bt_vm *vm, const struct engine_memory *memory, struct err *err);
int bt_memory_unmap(struct bt_vm *vm, uint64_t base);
int bt_memory_dirty_enable(struct bt_vm *vm, bool on);
int bt_memory_dirty_fetch(struct bt_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap);

/* Where the engine itself finds guest RAM: as translated code does, so that the host maps each page
 * once for both. */
uint8_t *bt_vm_ram(const struct bt_vm *vm);
/* The piece that holds `gpa`, or NULL: the bus. `smm`: pieces of system management mode count. */
const struct bt_piece *bt_vm_find(struct bt_vm *vm, uint64_t gpa, bool smm);
/* Physical accesses outside translation (SMM, tests): RAM only; false where it is not. */
bool bt_vm_read(struct bt_vm *vm, uint64_t gpa, void *data, unsigned len, bool smm);
bool bt_vm_write(struct bt_vm *vm, uint64_t gpa, const void *data, unsigned len, bool smm);

/* Marks a page (bt_piece numbering) dirty for whoever records. */
void bt_vm_mark_dirty(struct bt_vm *vm, const struct bt_piece *piece, uint64_t gpa);

/* A device's access; doorbells first. The vCPU is quiet meanwhile (see bt_vm_settle). */
uint64_t bt_bus_read(struct bt_vcpu *vcpu, enum bus_space space, uint64_t addr, unsigned size);
void bt_bus_write(struct bt_vcpu *vcpu, enum bus_space space, uint64_t addr, unsigned size,
                  uint64_t value);

/* All vCPUs do what `bits` (BT_REQUEST_FLUSH, BT_REQUEST_PROTECT) asks before they touch guest
 * memory again; when it returns they have, or are quiet: outside vcpu_run, halted, or within a
 * device's access, and will. Without locks that a device's access may want. */
void bt_vm_settle(struct bt_vm *vm, uint32_t bits);
bool bt_vcpu_settled(struct bt_vcpu *vcpu, uint32_t bits); /* has it, or is it quiet? */
void bt_vm_pause(unsigned tries);                          /* between two looks; shortly at first */
/* For a vCPU, around whatever may take long and touches no guest memory. */
void bt_vcpu_quiet(struct bt_vcpu *vcpu);
void bt_vcpu_busy(struct bt_vcpu *vcpu);

static inline struct bt_vm *bt_vm_of(struct engine_vm *vm)
{
    return (struct bt_vm *)vm;
}
static inline struct bt_vcpu *bt_vcpu_of(struct engine_vcpu *vcpu)
{
    return (struct bt_vcpu *)vcpu;
}

/* bt_vcpu.c: the vcpu functions of struct engine. */
int bt_vcpu_create(struct bt_vm *vm, unsigned index, struct bt_vcpu **ret_vcpu, struct err *err);
void bt_vcpu_destroy(struct bt_vcpu *vcpu);
enum engine_exit bt_vcpu_run(struct bt_vcpu *vcpu, struct err *err);
int bt_vcpu_reset(struct bt_vcpu *vcpu);
int bt_vcpu_get_state(struct bt_vcpu *vcpu, struct cpu_state *ret_state);
int bt_vcpu_set_state(struct bt_vcpu *vcpu, const struct cpu_state *state);
/* INIT: all but what survives it (SDM table 10-1). */
void bt_vcpu_init(struct bt_vcpu *vcpu);
