/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of user-level instructions: decimal arithmetic (DAA DAS AAA AAS AAM AAD), fences and
 * hints, RDRAND, RDSEED. SDM volume 2. */
#include <sched.h>
#include <string.h>

#include "vm/engine/bt/exec.h"

/* A spinning processor of the guest gives the host's away now and then: the one it waits for may
 * not be running. */
enum { PAUSES_PER_YIELD = 128 };

static void set_szp(struct bt_vcpu *vcpu, uint8_t value, bool af, bool cf, bool of)
{
    uint16_t status;

    __asm__("test %[value], %[value]" FLAGS_KEEP : "=a"(status) : [value] "q"(value) : "cc");
    status &= STATUS_SF | STATUS_ZF | STATUS_PF;
    vcpu->status = (uint16_t)(status | (af ? STATUS_AF : 0) | (cf ? STATUS_CF : 0) | of);
}

/* DAA and DAS, by the pseudo-code of the SDM. OF, undefined: as the final addition has it not. */
static EXEC(decimal_adjust)
{
    bool subtract = step->insn->op == BT_OP_DAS;
    uint8_t old = exec_r8(vcpu, 0), al = old;
    bool old_cf = vcpu->status & STATUS_CF, cf = false, af = false;

    if ((al & 15) > 9 || vcpu->status & STATUS_AF) {
        cf = old_cf || (subtract ? al < 6 : al > 0xff - 6);
        al = (uint8_t)(subtract ? al - 6 : al + 6);
        af = true;
    }
    if (old > 0x99 || old_cf) {
        al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
        cf = true;
    }
    exec_w8(vcpu, 0, al);
    set_szp(vcpu, al, af, cf, false);
    EXEC_NEXT;
}

static EXEC(ascii_adjust)
{
    bool subtract = step->insn->op == BT_OP_AAS;
    uint16_t ax = exec_r16(vcpu, 0);
    bool adjust = (ax & 15) > 9 || vcpu->status & STATUS_AF;

    if (adjust)
        ax = (uint16_t)(subtract ? ax - 6 - 0x100 : ax + 0x106);
    ax &= 0xff0f;
    exec_w16(vcpu, 0, ax);
    set_szp(vcpu, (uint8_t)ax, adjust, adjust, false);
    EXEC_NEXT;
}

static EXEC(aam)
{
    uint8_t base = (uint8_t)step->insn->imm[0], al = exec_r8(vcpu, 0);

    if (!base)
        exec_raise(vcpu, step, BT_DE);
    exec_w16(vcpu, 0, (uint16_t)(al / base << 8 | al % base));
    set_szp(vcpu, al % base, false, false, false);
    EXEC_NEXT;
}

static EXEC(aad)
{
    uint8_t base = (uint8_t)step->insn->imm[0];
    uint8_t al = (uint8_t)(exec_r8(vcpu, 0) + exec_r8(vcpu, 1) * base);

    exec_w16(vcpu, 0, al);
    set_szp(vcpu, al, false, false, false);
    EXEC_NEXT;
}

static EXEC(nop)
{
    EXEC_NEXT;
}

static EXEC(pause_hint)
{
    __builtin_ia32_pause();
    if (++vcpu->interp->pauses % PAUSES_PER_YIELD == 0)
        (void)sched_yield();
    EXEC_NEXT;
}

static EXEC(fence)
{
    atomic_thread_fence(memory_order_seq_cst);
    EXEC_NEXT;
}

/* The line must be readable. */
static EXEC(flush_line)
{
    (void)mmu_load(vcpu, exec_ea(vcpu, step, 1, MMU_READ), 1);
    EXEC_NEXT;
}

/* From the host's own generator. The carry says whether there was a number. */
static EXEC(random_number)
{
    const struct bt_insn *insn = step->insn;
    unsigned long long value = 0;
    bool ok;

    if (insn->op == BT_OP_RDSEED)
        __asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(ok) : : "cc");
    else
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok) : : "cc");
    exec_write_reg(vcpu, exec_reg_at(&insn->operand[0]), insn->operand[0].size, ok ? value : 0);
    vcpu->status = ok ? STATUS_CF : 0;
    EXEC_NEXT;
}

bool exec_misc_bind(const struct bt_insn *insn, struct bt_step *step)
{
    step->insn = insn;
    switch (insn->op) {
    case BT_OP_DAA:
    case BT_OP_DAS:
        step->run = decimal_adjust;
        return true;
    case BT_OP_AAA:
    case BT_OP_AAS:
        step->run = ascii_adjust;
        return true;
    case BT_OP_AAM:
        step->run = aam;
        return true;
    case BT_OP_AAD:
        step->run = aad;
        return true;
    case BT_OP_NOP:
    case BT_OP_ENDBR:
    case BT_OP_PREFETCH:
    case BT_OP_PREFETCHW:
    case BT_OP_SERIALIZE:
        step->run = nop;
        return true;
    case BT_OP_PAUSE:
        step->run = pause_hint;
        return true;
    case BT_OP_LFENCE:
    case BT_OP_MFENCE:
    case BT_OP_SFENCE:
        step->run = fence;
        return true;
    case BT_OP_CLFLUSH:
    case BT_OP_CLFLUSHOPT:
    case BT_OP_CLWB:
        step->run = flush_line;
        return true;
    case BT_OP_RDRAND:
    case BT_OP_RDSEED:
        step->run = random_number;
        return true;
    default:
        return false;
    }
}
