/* SPDX-License-Identifier: Apache-2.0 */
/* The architectural state of one x86-64 processor with its local APIC: what stands between two
 * instructions. It belongs to no engine; what one engine saves another loads. `cpu_state_table`
 * saves and restores it (wire/state.h).
 *
 * Intel SDM volume 3 chapters 2, 10, 13; AMD64 APM volume 2. Deliberately missing: the state of
 * nested virtualization, AMX tiles, CET and Intel PT, which no machine of ours offers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/engine/msr.h"
#include "wire/state.h"

enum cpu_gpr {
    CPU_RAX,
    CPU_RCX,
    CPU_RDX,
    CPU_RBX,
    CPU_RSP,
    CPU_RBP,
    CPU_RSI,
    CPU_RDI,
    CPU_R8, /* up to R15 */
    CPU_GPRS = 16
};

enum cpu_seg { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_LDTR, CPU_TR, CPU_SEGS };

/* Attributes: the descriptor's byte 5 in bits 0-7 and the upper half of its byte 6 in bits 12-15,
 * as VMCS and VMCB have it too (SDM 24.4.1). */
enum {
    CPU_SEG_TYPE = 0x000f,
    CPU_SEG_S = 0x0010, /* code or data, not system */
    CPU_SEG_DPL_SHIFT = 5,
    CPU_SEG_P = 0x0080,
    CPU_SEG_UNUSABLE = 0x0100,
    CPU_SEG_AVL = 0x1000,
    CPU_SEG_L = 0x2000,
    CPU_SEG_DB = 0x4000,
    CPU_SEG_G = 0x8000,
};

struct cpu_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, the granularity applied */
    uint16_t selector, attributes;
};

struct cpu_table_register {
    uint64_t base;
    uint16_t limit;
};

enum cpu_exception_stage { CPU_EXCEPTION_NONE, CPU_EXCEPTION_PENDING, CPU_EXCEPTION_INJECTED };

enum { CPU_SHADOW_MOV_SS = 1, CPU_SHADOW_STI = 2 };

/* What the processor has begun to deliver, or would deliver before the next instruction. Injected:
 * delivery was interrupted halfway and starts again. Pending: not yet begun; its payload (CR2 of a
 * page fault, DR6 of a debug trap) is not in the register yet. */
struct cpu_events {
    uint8_t exception_stage, exception_vector;
    bool exception_has_error, exception_has_payload;
    uint32_t exception_error;
    uint64_t exception_payload;
    bool interrupt_injected, interrupt_soft;
    uint8_t interrupt_vector, interrupt_shadow;
    bool nmi_injected, nmi_pending, nmi_masked;
    bool smm, smi_pending, smm_inside_nmi, init_latched;
    bool triple_fault;
    uint8_t sipi_vector;
};

enum cpu_run_state {
    CPU_RUNNING,
    CPU_HALTED,        /* HLT */
    CPU_WAIT_FOR_INIT, /* an application processor after power-on */
    CPU_WAIT_FOR_SIPI,
    CPU_SIPI_RECEIVED,
    CPU_RUN_STATE_MAX
};

enum { CPU_XSAVE_SIZE = 4096, CPU_LAPIC_REGISTERS = 64 };

struct cpu_state {
    uint64_t gpr[CPU_GPRS];
    uint64_t rip, rflags;
    struct cpu_segment seg[CPU_SEGS];
    struct cpu_table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t pdptr[4]; /* as loaded, when pdptr_valid: PAE paging */
    bool pdptr_valid;
    uint64_t dr[4], dr6, dr7;
    uint64_t efer, apic_base, xcr0;
    /* Standard (not compacted) XSAVE image: legacy area, header, then components where CPUID leaf
     * 0xD puts them. */
    uint8_t xsave[CPU_XSAVE_SIZE];
    uint64_t msr[MSR_SLOT_MAX];
    struct cpu_events events;
    uint8_t run_state;                   /* enum cpu_run_state */
    uint32_t lapic[CPU_LAPIC_REGISTERS]; /* register n is the one at offset n * 16 */
};

extern const struct state_table cpu_state_table;

/* IA32_MISC_ENABLE: fast strings; no branch trace store, no precise event sampling. */
enum { CPU_MISC_ENABLE_POWER_ON = 0x1801 };

/* The state after power-on (SDM volume 3, table 10-1), with the TSC at zero and all machine checks
 * enabled, which is left to firmware on a real one. */
void cpu_state_power_on(struct cpu_state *state, uint32_t apic_id, bool bsp);
