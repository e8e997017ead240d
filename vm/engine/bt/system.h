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

#include "vm/engine/bt/interp.h"
#include "vm/engine/cpuid.h"

/* The value of a model-specific register, or its setting. False: #GP. */
bool system_rdmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t *ret_value);
bool system_wrmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t value);
/* CR0, 2, 3, 4, 8 with all checks and consequences; raises #GP(0). */
void system_set_cr(struct bt_vcpu *vcpu, unsigned cr, uint64_t value);

/* The bits of CR4 whose features are offered. */
uint64_t system_cr4_offered(const struct cpuid_table *cpuid);

uint64_t system_tsc(const struct bt_vcpu *vcpu);
void system_cpuid(struct bt_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t reg[4]);

/* IA32_ARCH_CAPABILITIES of a machine that needs no mitigation: speculation of guest code is the
 * host's affair. RDCL_NO, IBRS_ALL, SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_NO, TAA_NO, SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO. */
#define BT_ARCH_CAPABILITIES UINT64_C(0x0d11e17b)

/* The parts that system_handlers joins. */
extern const struct interp_handler port_handlers[], smm_handlers[];

/* smm.c: a system management interrupt, taken between instructions. */
void smm_enter(struct bt_vcpu *vcpu);

/* What the engine can do, for cpuid_build: the host's leaves, without what the interpreter lacks
 * and with what it has of its own (bt_cpuid.c). */
int bt_cpuid_supported(struct cpuid_table *ret_table);
