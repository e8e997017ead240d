/* SPDX-License-Identifier: Apache-2.0 */
/* Binding instructions to their handlers, and what handlers share (exec.h). */
#include "vm/engine/bt/exec.h"

#include <assert.h>
#include <string.h>

#include "vm/engine/bt/vec.h"

_Static_assert(offsetof(struct bt_vcpu, gpr) == 0, "registers by byte offset");
_Static_assert(offsetof(struct bt_vcpu, block_rip) < 256, "a base register");
_Static_assert(sizeof(struct bt_step) == 32, "two a cache line");

enum { AT_ZERO = offsetof(struct bt_vcpu, zero), AT_RIP = offsetof(struct bt_vcpu, block_rip) };

static uint64_t cut(uint64_t offset, unsigned addr_size)
{
    return addr_size == 8 ? offset : addr_size == 4 ? (uint32_t)offset : (uint16_t)offset;
}

uint64_t exec_ea_slow(struct bt_vcpu *vcpu, const struct bt_step *step, uint64_t sum, unsigned size,
                      enum mmu_access access)
{
    if (step->ea & EXEC_EA_FAR)
        sum += EXEC_FAR;
    return segment_linear(vcpu, step->seg, cut(sum, step->ea & EXEC_EA_SIZE), size, access);
}

uint64_t exec_rmw_begin(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, bool lock)
{
    mmu_check_write(vcpu, linear, size);
    if (lock) {
        (void)pthread_mutex_lock(&vcpu->vm->split_lock);
        vcpu->interp->split_locked = true;
    }
    return mmu_load(vcpu, linear, size);
}

static void split_unlock(struct bt_vcpu *vcpu)
{
    vcpu->interp->split_locked = false;
    (void)pthread_mutex_unlock(&vcpu->vm->split_lock);
}

void exec_rmw_end(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value, bool lock)
{
    mmu_store(vcpu, linear, size, value);
    if (lock)
        split_unlock(vcpu);
}

void interp_sync(struct bt_vcpu *vcpu)
{
    const struct bt_step *step = vcpu->step;

    if (vcpu->interp->split_locked)
        split_unlock(vcpu);
    if (!step)
        return;
    vcpu->step = NULL;
    vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset);
    flags_merge(vcpu);
}

bool interp_by_stack(const struct bt_vcpu *vcpu)
{
    return vcpu->step && vcpu->step->seg == CPU_SS;
}

_Noreturn void exec_raise(struct bt_vcpu *vcpu, const struct bt_step *step, enum bt_vector vector)
{
    vcpu->step = step;
    bt_raise(vcpu, vector);
}

uint64_t interp_ea_offset(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t sum = (uint64_t)insn->disp;

    if (insn->rip_relative)
        sum += vcpu->rip + insn->length;
    if (insn->base != BT_REG_NONE)
        sum += vcpu->gpr[insn->base];
    if (insn->index != BT_REG_NONE)
        sum += vcpu->gpr[insn->index] << insn->scale;
    return cut(sum, insn->addr_size);
}

uint64_t interp_ea(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size,
                   enum mmu_access access)
{
    return segment_linear(vcpu, insn->seg, interp_ea_offset(vcpu, insn), size, access);
}

EXEC(exec_end)
{
    vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset);
    return (struct bt_block **)(uintptr_t)step->imm;
}

EXEC(exec_leave)
{
    vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset);
    return NULL;
}

/* Handlers of other parts: RIP and flags complete. */
static inline void call_out(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset);
    vcpu->step = NULL;
    flags_merge(vcpu);
    step->insn->run(vcpu, step->insn);
    flags_split(vcpu);
}

static EXEC(system_insn)
{
    call_out(vcpu, step);
    /* One that changes the mode, or wants to be looked after, ends its block, whatever the table
     * says of it. */
    if (vcpu->mode == vcpu->interp->running->mode &&
        !(atomic_load_explicit(&vcpu->request, memory_order_relaxed) & vcpu->heed))
        EXEC_NEXT;
    vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset + step->length);
    return NULL;
}

static EXEC(system_ends)
{
    uint64_t next = exec_rip(vcpu, vcpu->block_rip + step->offset + step->length);

    call_out(vcpu, step);
    vcpu->rip = next;
    return NULL;
}

static EXEC(system_sets_rip)
{
    call_out(vcpu, step);
    return NULL;
}

static EXEC(vector_insn)
{
    call_out(vcpu, step);
    EXEC_NEXT;
}

static EXEC(undefined)
{
    exec_raise(vcpu, step, BT_UD);
}

static EXEC(too_long)
{
    vcpu->step = step;
    bt_raise_error(vcpu, BT_GP, 0);
}

/* The memory operand, for exec_ea. `step->offset` and `length` are known. */
static void bind_memory(const struct bt_insn *insn, unsigned mode, struct bt_step *step)
{
    int64_t disp = insn->disp;

    step->base = insn->rip_relative ? AT_RIP : insn->base == BT_REG_NONE ? AT_ZERO : insn->base * 8;
    step->index = insn->index == BT_REG_NONE ? AT_ZERO : insn->index * 8;
    step->scale = insn->scale;
    step->seg = insn->seg;
    step->ea = insn->addr_size;
    if ((mode & BT_MODE_CODE) == BT_MODE_CODE64 && insn->addr_size == 8 && insn->seg < CPU_FS)
        step->ea = EXEC_EA_FLAT;
    if (insn->rip_relative)
        disp += step->offset + step->length;
    if (disp > INT32_MAX) {
        disp -= EXEC_FAR;
        step->ea = insn->addr_size | EXEC_EA_FAR;
    }
    step->disp = (int32_t)disp;
}

/* What handlers leave to the host must be there: CPUID leaf 1 ECX, leaf 7 EBX; read once: under a
 * hypervisor CPUID is an exit. Volatile, so that the compiler does not move it to where it is not
 * wanted. */
struct host_features {
    unsigned ecx_1, ebx_7;
};

static struct host_features host_features(void)
{
    static _Atomic(bool) known;
    static _Atomic(unsigned) ecx_1, ebx_7;

    if (!atomic_load(&known)) {
        unsigned a = 1, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        atomic_store(&ecx_1, c);
        a = 7;
        c = 0;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        atomic_store(&ebx_7, b);
        atomic_store(&known, true);
    }
    return (struct host_features){atomic_load(&ecx_1), atomic_load(&ebx_7)};
}

static bool host_has(unsigned op)
{
    enum { SSE42 = 20, POPCNT = 23, RDRAND = 30, BMI1 = 3, BMI2 = 8, RDSEED = 18, ADX = 19 };
    struct host_features host = host_features();

    switch (op) {
    case BT_OP_CRC32:
        return host.ecx_1 >> SSE42 & 1;
    case BT_OP_POPCNT:
        return host.ecx_1 >> POPCNT & 1;
    case BT_OP_RDRAND:
        return host.ecx_1 >> RDRAND & 1;
    case BT_OP_RDSEED:
        return host.ebx_7 >> RDSEED & 1;
    case BT_OP_ADCX:
    case BT_OP_ADOX:
        return host.ebx_7 >> ADX & 1;
    case BT_OP_ANDN:
    case BT_OP_BEXTR:
    case BT_OP_BLSI:
    case BT_OP_BLSMSK:
    case BT_OP_BLSR:
        return host.ebx_7 >> BMI1 & 1;
    case BT_OP_BZHI:
    case BT_OP_PDEP:
    case BT_OP_PEXT:
    case BT_OP_SARX:
    case BT_OP_SHLX:
    case BT_OP_SHRX:
        return host.ebx_7 >> BMI2 & 1;
    default:
        return true;
    }
}

static bool bind_own(const struct bt_insn *insn, struct bt_step *step)
{
    if (!host_has(insn->op))
        return false;
    return exec_move_bind(insn, step) || exec_alu_bind(insn, step) || exec_flow_bind(insn, step) ||
           exec_stack_bind(insn, step) || exec_shift_bind(insn, step) ||
           exec_bit_bind(insn, step) || exec_muldiv_bind(insn, step) ||
           exec_atomic_bind(insn, step) || exec_string_bind(insn, step) ||
           exec_misc_bind(insn, step);
}

static const struct interp_handler *system_handler(unsigned op)
{
    static _Atomic(const struct interp_handler *) table[BT_OP_MAX];
    static _Atomic(bool) filled;

    if (!atomic_load_explicit(&filled, memory_order_acquire)) { /* by several threads: the same */
        for (unsigned i = 0; system_handlers[i]; i++)
            for (const struct interp_handler *h = system_handlers[i]; h->run; h++)
                atomic_store_explicit(&table[h->op], h, memory_order_relaxed);
        atomic_store_explicit(&filled, true, memory_order_release);
    }
    return atomic_load_explicit(&table[op], memory_order_relaxed);
}

bool exec_is_in_step(const struct bt_insn *insn)
{
    if (insn->op == BT_OP_LEA)
        return !insn->rip_relative && insn->addr_size >= insn->operand[0].size &&
               insn->disp == (int32_t)insn->disp;
    return (insn->op >= BT_OP_ADD && insn->op <= BT_OP_TEST) ||
           (insn->op >= BT_OP_ROL && insn->op <= BT_OP_SAR) ||
           (insn->op >= BT_OP_MOV && insn->op <= BT_OP_MOVSXD) ||
           (insn->op >= BT_OP_JCC && insn->op <= BT_OP_RET) || insn->op == BT_OP_PUSH ||
           insn->op == BT_OP_POP || insn->op == BT_OP_SETCC || insn->op == BT_OP_CMOVCC;
}

void exec_bind(struct bt_vcpu *vcpu, struct bt_insn *insn, struct bt_step *step)
{
    const struct interp_handler *system;

    step->length = insn->length;
    if (insn->has_mem)
        bind_memory(insn, vcpu->mode, step);
    if (insn->op == BT_OP_UD || insn->op == BT_OP_TOO_LONG) {
        step->run = insn->op == BT_OP_UD ? undefined : too_long;
        return;
    }
    if (bind_own(insn, step))
        return;
    assert(!exec_is_in_step(insn));
    step->insn = insn;
    if ((system = system_handler(insn->op))) {
        insn->run = system->run;
        step->run = system->sets_rip                        ? system_sets_rip
                    : insn->properties & BT_INSN_ENDS_BLOCK ? system_ends
                                                            : system_insn;
    } else if (vcpu->vm->vec && vec_bind(vcpu->vm->vec, insn)) {
        step->run = vector_insn;
    } else {
        step->run = undefined;
    }
}
