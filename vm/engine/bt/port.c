/* SPDX-License-Identifier: Apache-2.0 */
/* I/O ports: IN, OUT, INS, OUTS, with the I/O permission bitmap (SDM volume 1 chapter 19) and I/O
 * breakpoints. A repeated one goes on until it is done or somebody wants the loop's attention; each
 * element is complete before the next begins. */
#include "base/range.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/system.h"

static void check_bitmap(struct bt_vcpu *vcpu, uint16_t port, unsigned size)
{
    const struct cpu_segment *tr = &vcpu->seg[CPU_TR];
    unsigned type = tr->attributes & CPU_SEG_TYPE;

    if ((type != 9 && type != 11) || tr->limit < 0x67 || tr->attributes & CPU_SEG_UNUSABLE)
        bt_raise_error(vcpu, BT_GP, 0);
    uint32_t at = (uint32_t)mmu_load_system(vcpu, tr->base + 0x66, 2) + port / 8u;
    if (at + 1 > tr->limit) /* two bytes are read, always */
        bt_raise_error(vcpu, BT_GP, 0);
    uint64_t bits = mmu_load_system(vcpu, tr->base + at, 2) >> (port & 7);
    if (bits & (BIT(size) - 1))
        bt_raise_error(vcpu, BT_GP, 0);
}

static void check_port(struct bt_vcpu *vcpu, uint16_t port, unsigned size)
{
    if (vcpu->mode & BT_MODE_V86 || (vcpu->cr0 & BT_CR0_PE && vcpu->cpl > (vcpu->rflags >> 12 & 3)))
        check_bitmap(vcpu, port, size);
}

static void check_break(struct bt_vcpu *vcpu, uint16_t port, unsigned size)
{
    if (!except_breaks_armed(vcpu) || !(vcpu->cr4 & BT_CR4_DE))
        return;
    vcpu->debug_hit |= except_breakpoints(vcpu, port, size, EXCEPT_BREAK_IO);
    bt_attend(vcpu);
}

static uint16_t port_of(const struct bt_vcpu *vcpu, const struct bt_insn *insn,
                        const struct bt_operand *operand)
{
    return (uint16_t)(operand->kind == BT_OPERAND_IMM ? (uint64_t)insn->imm[0] & 0xff
                                                      : vcpu->gpr[CPU_RDX]);
}

static void in(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned size = insn->operand[0].size;
    uint16_t port = port_of(vcpu, insn, &insn->operand[1]);

    check_port(vcpu, port, size);
    uint64_t mask = BIT64(size * 8) - 1;
    uint64_t value = bt_bus_read(vcpu, BUS_PIO, port, size) & mask;
    vcpu->gpr[CPU_RAX] = size == 4 ? value : (vcpu->gpr[CPU_RAX] & ~mask) | value;
    check_break(vcpu, port, size);
}

static void out(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned size = insn->operand[1].size;
    uint16_t port = port_of(vcpu, insn, &insn->operand[0]);

    check_port(vcpu, port, size);
    bt_bus_write(vcpu, BUS_PIO, port, size, vcpu->gpr[CPU_RAX] & (BIT64(size * 8) - 1));
    check_break(vcpu, port, size);
}

static uint64_t address_mask(const struct bt_insn *insn)
{
    return insn->addr_size == 8 ? UINT64_MAX : BIT64(insn->addr_size * 8) - 1;
}

static void advance(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum cpu_gpr reg, int64_t by)
{
    uint64_t mask = address_mask(insn), value = (vcpu->gpr[reg] + (uint64_t)by) & mask;

    vcpu->gpr[reg] = insn->addr_size == 2 ? (vcpu->gpr[reg] & ~mask) | value : value;
}

static void element(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool in_, unsigned size)
{
    enum cpu_gpr reg = in_ ? CPU_RDI : CPU_RSI;
    unsigned seg = in_ ? CPU_ES : insn->seg;
    enum mmu_access access = in_ ? MMU_WRITE : MMU_READ;
    uint16_t port = (uint16_t)vcpu->gpr[CPU_RDX];
    uint64_t linear = segment_linear(vcpu, seg, vcpu->gpr[reg] & address_mask(insn), size, access);

    if (in_) {
        mmu_check_write(vcpu, linear, size);
        mmu_store(vcpu, linear, size, bt_bus_read(vcpu, BUS_PIO, port, size));
    } else
        bt_bus_write(vcpu, BUS_PIO, port, size, mmu_load(vcpu, linear, size));
    advance(vcpu, insn, reg, vcpu->rflags & BT_FLAG_DF ? -(int64_t)size : (int64_t)size);
    check_break(vcpu, port, size);
}

static void string(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool in_)
{
    unsigned size = insn->operand[in_ ? 0 : 1].size;
    bool repeat = insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE);

    if (repeat && !(vcpu->gpr[CPU_RCX] & address_mask(insn))) {
        interp_advance(vcpu, insn);
        return;
    }
    check_port(vcpu, (uint16_t)vcpu->gpr[CPU_RDX], size);
    do {
        element(vcpu, insn, in_, size);
        if (repeat)
            advance(vcpu, insn, CPU_RCX, -1);
        if (!repeat || !(vcpu->gpr[CPU_RCX] & address_mask(insn))) {
            interp_advance(vcpu, insn);
            return;
        }
    } while (!(atomic_load_explicit(&vcpu->request, memory_order_relaxed) & vcpu->heed) &&
             !vcpu->interp->single);
}

static void ins(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    string(vcpu, insn, true);
}
static void outs(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    string(vcpu, insn, false);
}

const struct interp_handler port_handlers[] = {
    {BT_OP_IN, false, in},
    {BT_OP_OUT, false, out},
    {BT_OP_INS, true, ins},
    {BT_OP_OUTS, true, outs},
    {0},
};
