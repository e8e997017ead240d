/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that manage the processor: control and debug registers, model-specific registers,
 * CPUID, ports, tables, TLB, HLT; and the table of all handlers of segment.c, except.c and
 * system.c. The interpreter joins it with its own.
 *
 * Bound here (by enum bt_op): MOV to and from segment registers, POP of them, PUSH of them,
 * LDS..LGS, far JMP, CALL and RET, INT n, INT1, INT3, INTO, BOUND, IRET, PUSHF, POPF, CLI, STI,
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT, HLT, IN, OUT, INS, OUTS, MOV CRn, MOV DRn, LMSW, SMSW, CLTS,
 * LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, LAR, LSL, VERR, VERW, ARPL, INVLPG, INVPCID, INVD,
 * WBINVD, RDMSR, WRMSR, RDTSC, RDTSCP, RDPID, RDPMC, CPUID, XGETBV, XSETBV, SWAPGS,
 * RDFSBASE..WRGSBASE, MONITOR, MWAIT, RSM, CLAC, STAC, UD0, UD1, UD2. */
#pragma once

#include "vm/engine/bt/insn.h"

/* The value of a model-specific register, or its setting. False: #GP. */
bool system_rdmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t *ret_value);
bool system_wrmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t value);
/* CR0, CR3, CR4, XCR0 with all checks and consequences; raise #GP(0). */
void system_set_cr0(struct bt_vcpu *vcpu, uint64_t value);
void system_set_cr3(struct bt_vcpu *vcpu, uint64_t value);
void system_set_cr4(struct bt_vcpu *vcpu, uint64_t value);

uint64_t system_tsc(const struct bt_vcpu *vcpu);
void system_cpuid(struct bt_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t reg[4]);
