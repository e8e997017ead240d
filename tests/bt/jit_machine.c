/* SPDX-License-Identifier: Apache-2.0 */
/* A processor with the translator (jit_machine.h). */
#include "tests/bt/jit_machine.h"

#include "tests/bt/rig.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/jit/cache.h"
#include "vm/engine/bt/jit/jit.h"
#include "vm/engine/bt/vec.h"

/* Physical. */
enum { TABLES = 0x100000, CODE_AT = 0x400000, DATA_AT = 0x600000, SYSTEM_AT = 0x800000 };
/* Linear, of what the guest needs for itself: a page each. */
enum { SYSTEM = JIT_SYSTEM, IDT = SYSTEM, GDT = SYSTEM + 0x1000, TSS = SYSTEM + 0x2000 };
enum { HANDLERS = SYSTEM + 0x3000, IST = SYSTEM + 0x5000 };
enum { PRESENT = 1, WRITABLE = 2, FRAME = 40 };

struct jit_machine {
    struct rig rig;
    struct bt_vcpu *vcpu;
    unsigned code;
};

/* Pages in an order that no access may rely on. */
static uint64_t data_page(unsigned i)
{
    return DATA_AT + (uint64_t)(i * 5 % 16) * 2 * JIT_PAGE;
}

static uint64_t code_page(unsigned i)
{
    return CODE_AT + (uint64_t)(7 - 3 * i) * JIT_PAGE;
}

static void put64(struct jit_machine *m, uint64_t at, uint64_t value)
{
    memcpy(rig_memory(&m->rig, at), &value, sizeof value);
}

/* All linear addresses in use lie in one gigabyte: 512 page tables behind one directory. */
static void map(struct jit_machine *m, uint64_t linear, uint64_t physical, unsigned rights)
{
    uint64_t directory = TABLES + 0x2000, table = TABLES + 0x3000 + (linear >> 21 & 511) * JIT_PAGE;

    put64(m, TABLES, (TABLES + 0x1000) | PRESENT | WRITABLE);
    put64(m, TABLES + 0x1000, directory | PRESENT | WRITABLE);
    put64(m, directory + (linear >> 21 & 511) * 8, table | PRESENT | WRITABLE);
    put64(m, table + (linear >> 12 & 511) * 8, physical | rights);
}

static void make_system(struct jit_machine *m)
{
    for (unsigned at = 0; at < JIT_SYSTEM_BYTES; at += JIT_PAGE)
        map(m, SYSTEM + at, SYSTEM_AT + at, PRESENT | WRITABLE);
    uint64_t at = SYSTEM_AT - SYSTEM;
    put64(m, at + GDT + 8, UINT64_C(0x00af9b000000ffff));
    put64(m, at + TSS + 36, IST);
    for (unsigned v = 0; v < 32; v++) {
        uint64_t handler = HANDLERS + v * 16;
        put64(m, at + IDT + v * 16,
              (handler & 0xffff) | 8 << 16 | UINT64_C(1) << 32 | UINT64_C(0x8e) << 40 |
                  handler >> 16 << 48);
        put64(m, at + IDT + v * 16 + 8, 0);
        memset(rig_memory(&m->rig, at + handler), 0xf4, 16);
    }
}

static void make_pages(struct jit_machine *m)
{
    for (unsigned i = 0; i < JIT_CODE_PAGES; i++)
        map(m, JIT_CODE + i * JIT_PAGE, code_page(i), PRESENT);
    for (unsigned i = 0; i < JIT_DATA_PAGES; i++) {
        uint64_t linear = JIT_DATA + i * JIT_PAGE;
        unsigned rights = linear == JIT_ABSENT     ? 0
                          : linear == JIT_READONLY ? PRESENT
                                                   : PRESENT | WRITABLE;
        map(m, linear, data_page(i), rights);
    }
}

/* The processor has to lie low. */
static bool make_vcpu(struct jit_machine *m)
{
    struct bt_vm *vm = &m->rig.vm;
    struct bt_vcpu *vcpu = jit_vcpu_alloc(vm), *old = m->rig.vcpu;

    if (!vcpu)
        return false;
    block_cache_destroy(old);
    mmu_destroy(old);
    free(old);
    memset(vcpu, 0, sizeof *vcpu);
    vcpu->jit.low = true;
    vcpu->vm = vm;
    vm->vcpu[0] = vcpu;
    m->rig.vcpu = m->vcpu = vcpu;
    return mmu_create(vcpu) == 0 && block_cache_create(vcpu) == 0 && jit_vcpu_create(vcpu) == 0 &&
           vcpu->jit.cache;
}

struct jit_machine *jit_machine_open(unsigned code)
{
    struct jit_machine *m = calloc(1, sizeof *m);

    if (!m || !rig_open(&m->rig))
        return NULL;
    m->code = code;
    m->rig.vm.model.cpus = 1;
    if (vec_create(&m->rig.vm.vec, NULL) < 0 || jit_vm_create(&m->rig.vm, NULL) < 0 ||
        !make_vcpu(m)) {
        printf("1..0 # SKIP no translator on this host\n");
        return NULL;
    }
    make_system(m);
    make_pages(m);
    return m;
}

void jit_machine_close(struct jit_machine *m)
{
    struct bt_vcpu *vcpu = m->vcpu;

    jit_vcpu_destroy(vcpu);
    block_cache_destroy(vcpu);
    flat_destroy(vcpu);
    mmu_destroy(vcpu);
    jit_vcpu_free(vcpu);
    vec_destroy(m->rig.vm.vec);
    block_vm_destroy(&m->rig.vm);
    bt_memory_destroy(&m->rig.vm);
    gmem_destroy(m->rig.gmem);
    free(m);
}

void jit_machine_write_code(struct jit_machine *m, const uint8_t *code)
{
    make_system(m); /* the last program may have found it */
    for (unsigned i = 0; i < JIT_CODE_PAGES; i++)
        rig_write(&m->rig, code_page(i), code + i * JIT_PAGE, JIT_PAGE);
}

void jit_machine_write_data(struct jit_machine *m, const uint8_t *data)
{
    for (unsigned i = 0; i < JIT_DATA_PAGES; i++)
        memcpy(rig_memory(&m->rig, data_page(i)), data + i * JIT_PAGE, JIT_PAGE);
}

void jit_machine_read_data(struct jit_machine *m, uint8_t *data)
{
    for (unsigned i = 0; i < JIT_DATA_PAGES; i++)
        memcpy(data + i * JIT_PAGE, rig_memory(&m->rig, data_page(i)), JIT_PAGE);
}

void jit_machine_heat(struct jit_machine *m)
{
    struct bt_interp *interp = m->vcpu->interp;

    for (unsigned i = 0; i < BLOCK_HASH_SIZE; i++)
        for (struct bt_block *b = interp->hash[i]; b; b = b->chain)
            b->heat = b->heat < BLOCK_HEAT_MAX ? BLOCK_HEAT_MAX : b->heat;
}

void jit_machine_starve(struct jit_machine *m, bool starve)
{
    flat_limit(m->vcpu, starve ? 0 : 16384);
}

void jit_machine_forget(struct jit_machine *m)
{
    jit_drop_all(m->vcpu);
    block_drop_all(m->vcpu);
}

static void reset(struct jit_machine *m, const struct jit_regs *regs)
{
    struct bt_vcpu *vcpu = m->vcpu;

    rig_reset(&m->rig, BT_MODE_CODE64);
    memcpy(vcpu->gpr, regs->gpr, sizeof vcpu->gpr);
    vcpu->rip = regs->rip;
    vcpu->rflags = regs->flags | 2;
    vcpu->cr0 = BT_CR0_PE | BT_CR0_MP | BT_CR0_NE | BT_CR0_WP | BT_CR0_PG;
    vcpu->cr4 = BT_CR4_PAE | BT_CR4_OSFXSR | BT_CR4_OSXMMEXCPT | BT_CR4_OSXSAVE;
    vcpu->cr2 = 0;
    vcpu->xcr0 = 7;
    vcpu->cr3 = TABLES;
    vcpu->efer = BT_EFER_LMA | BT_EFER_LME | BT_EFER_NXE;
    vcpu->gdtr = (struct cpu_table_register){.base = GDT, .limit = 0xff};
    vcpu->idtr = (struct cpu_table_register){.base = IDT, .limit = 0x1ff};
    vcpu->seg[CPU_CS].attributes = m->code == BT_MODE_CODE64 ? 0xa09b : 0xc09b;
    vcpu->seg[CPU_TR] =
        (struct cpu_segment){.selector = 16, .base = TSS, .limit = 0x67, .attributes = 0x8b};
    vcpu->seg[CPU_FS].base = vcpu->seg[CPU_GS].base = JIT_GS;
    vcpu->triple_fault = false;
    memcpy(vcpu->xsave, regs->image, JIT_IMAGE);
    vec_image_complete(vcpu);
    jit_vec_off(vcpu);
    bt_mode_update(vcpu);
    bt_update_heed(vcpu);
}

bool jit_machine_run(struct jit_machine *m, struct jit_regs *regs)
{
    struct bt_vcpu *vcpu = m->vcpu;
    uint64_t frame[6];

    reset(m, regs);
    for (unsigned i = 0; i < 100000 && vcpu->run_state == CPU_RUNNING && !vcpu->triple_fault; i++) {
        atomic_store(&vcpu->request, 0);
        jit_run(vcpu);
    }
    if (vcpu->run_state == CPU_RUNNING || vcpu->triple_fault)
        return false;
    memcpy(regs->gpr, vcpu->gpr, sizeof regs->gpr);
    memcpy(regs->image, vcpu->xsave, JIT_IMAGE);
    regs->flags = vcpu->rflags;
    regs->rip = vcpu->rip - 1;
    regs->cr2 = vcpu->cr2;
    regs->trap = -1;
    if (regs->rip - HANDLERS >= 32 * 16)
        return true;
    regs->trap = (int)((regs->rip - HANDLERS) / 16);
    bool error = vcpu->gpr[CPU_RSP] == IST - FRAME - 8;
    memcpy(frame, rig_memory(&m->rig, IST - SYSTEM + SYSTEM_AT - FRAME), FRAME);
    if (!error && vcpu->gpr[CPU_RSP] != IST - FRAME)
        return false;
    regs->rip = frame[0];
    regs->flags = frame[2];
    regs->gpr[CPU_RSP] = frame[3];
    return true;
}

void jit_machine_dump(struct jit_machine *m)
{
    const struct jit_cache *cache = m->vcpu->jit.cache;

    for (unsigned i = 0; i < cache->unit_count; i++) {
        const struct jit_unit *unit = (const struct jit_unit *)(uintptr_t)cache->unit[i];
        printf("# unit of offset %x at %x:\n#", unit->offset, unit->entry);
        for (uint32_t at = unit->entry; at < unit->end; at++)
            printf(" %02x", *(const uint8_t *)(uintptr_t)at);
        printf("\n");
    }
}

void jit_machine_stats(struct jit_machine *m, struct jit_machine_stats *ret)
{
    const struct jit_cache *cache = m->vcpu->jit.cache;

    *ret = (struct jit_machine_stats){.traps = m->vcpu->jit.traps};
    for (unsigned i = 0; i < cache->unit_count; i++) {
        const struct jit_unit *unit = (const struct jit_unit *)(uintptr_t)cache->unit[i];
        ret->units++;
        ret->guest_insns += unit->mark_count;
        ret->guest_bytes += unit->bytes;
        ret->host_bytes += unit->mark[unit->mark_count].code;
    }
}
