/* SPDX-License-Identifier: Apache-2.0 */
/* A VM of the software engine with one processor, 16 MiB and a byte-wide device, whose parts a test
 * calls directly. CATCH runs an expression that may raise and yields the vector, or NONE. */
#pragma once

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/mmu.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/system.h"

enum { NONE = -1, RAM = 16 << 20, DEVICE = 0x40000000 };

static struct {
    struct gmem *gmem;
    struct bus *bus;
    struct engine_vm *vm;
    struct bt_vcpu *cpu;
    uint64_t last_write, last_offset;
} rig;

#define CATCH(expr)                          \
    ({                                       \
        volatile int vector_ = NONE;         \
        rig.cpu->fault_vector = -1;          \
        if (!setjmp(rig.cpu->unwind)) {      \
            expr;                            \
        } else                               \
            vector_ = rig.cpu->event.vector; \
        vector_;                             \
    })

static uint64_t device_read(void *ctx, uint64_t offset, unsigned size)
{
    (void)ctx;
    (void)size;
    return 0xd0 + offset;
}

static void device_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)ctx;
    (void)size;
    rig.last_offset = offset;
    rig.last_write = value;
}

static inline bool rig_open(void)
{
    static const struct bus_ops ops = {device_read, device_write};
    struct bus_region region = {.name = "device", .ops = &ops, .size = 0x1000};
    struct cpu_model model = {.cpus = 1};
    struct engine_vm_config config = {.model = &model, .cpus = 1};
    struct engine_vcpu *vcpu = NULL;
    struct err err = ERR_INIT;

    memset(&rig, 0, sizeof rig);
    bool ok = !gmem_create(RAM, GMEM_PAGES_AUTO, &rig.gmem, &err) && !bus_create(&rig.bus) &&
              !bus_map(rig.bus, BUS_MMIO, DEVICE, &region, &err);
    config.gmem = rig.gmem;
    config.bus = rig.bus;
    ok = ok && !engine_bt.vm_create(&config, &rig.vm, &err) &&
         !engine_bt.vcpu_create(rig.vm, 0, &vcpu, &err);
    rig.cpu = (struct bt_vcpu *)vcpu;
    if (!ok)
        (void)printf("# %s\n", err.text);
    return CHECK(ok);
}

static inline void rig_close(void)
{
    engine_bt.vcpu_destroy((struct engine_vcpu *)rig.cpu);
    engine_bt.vm_destroy(rig.vm);
    bus_destroy(rig.bus);
    gmem_destroy(rig.gmem);
}

static inline void put(uint64_t address, unsigned size, uint64_t value)
{
    le_store(rig.gmem->host + address, size, value);
}

static inline uint64_t get(uint64_t address, unsigned size)
{
    return le_load(rig.gmem->host + address, size);
}

static inline struct cpu_segment flat(uint16_t selector, uint16_t attributes)
{
    return (struct cpu_segment){
        .selector = selector, .limit = UINT32_MAX, .attributes = attributes | CPU_SEG_G};
}

/* Long mode is entered by state, as a test of one part should not need the others. */
static inline void set_mode(unsigned bits, unsigned cpl)
{
    struct bt_vcpu *cpu = rig.cpu;
    uint16_t level = (uint16_t)(cpl << CPU_SEG_DPL_SHIFT);

    cpu->cr0 = BT_CR0_PE | 16;
    cpu->efer = bits == 64 ? BT_EFER_LME | BT_EFER_LMA | BT_EFER_NXE : 0;
    cpu->cr4 = bits == 64 ? BT_CR4_PAE : 0;
    cpu->rflags = 2;
    for (unsigned i = CPU_ES; i <= CPU_GS; i++)
        cpu->seg[i] = flat((uint16_t)(0x10 | cpl), 0x93 | level | CPU_SEG_DB);
    cpu->seg[CPU_CS] =
        flat((uint16_t)(8 | cpl), 0x9b | level | (bits == 64 ? CPU_SEG_L : CPU_SEG_DB));
    bt_mode_update(cpu);
    bt_update_heed(cpu);
    mmu_flush_all(cpu);
}
