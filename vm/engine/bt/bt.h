/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine: guest x86-64 instructions in an ordinary process without hardware
 * virtualization. This header is what its parts share: the processor's state while it runs, and the
 * few functions by which the parts meet.
 *
 *   decode      bytes -> struct bt_insn (insn.h), from one table (opcodes.def)
 *   block       decoded straight-line code, cached per physical page and mode; knows when it
 * changed interp      runs blocks: one function per kind of instruction (exec_*.c) vec         x87,
 * MMX, SSE, AVX: carried out by the host's own processor on the guest's registers mmu linear ->
 * guest physical -> host memory, the TLB, A/D bits, page faults segment     descriptors, far
 * transfers, gates, task switch except      exceptions, interrupts, IRET, SYSCALL and SYSENTER
 *   system      control, debug and model-specific registers, CPUID
 *   irqchip     local APICs, IOAPIC, PIC, PIT: the same that the kvm engine has in the kernel
 *
 * Rules
 * - A guest address never becomes a host address but in mmu.c, which checks it against what the
 *   engine has mapped. Nothing else holds a host pointer across an instruction.
 * - Faults are precise: an instruction that faults has changed nothing. A handler therefore reads
 *   and translates first, and stores last; bt_raise leaves it by longjmp, so handlers own nothing
 *   that would have to be freed.
 * - While an instruction runs, rip is its own; interp.h says who moves it on.
 * - What the loop must look at between instructions (an interrupt that may come now that IF is set,
 *   TF, armed breakpoints, a triple fault) is BT_REQUEST_ATTEND: the handler sets it, its block
 *   ends, and interp_run returns to bt_vcpu_run.
 * - bt_raise leaves vcpu->event and jumps to vcpu->unwind, set by interp_run and interp_step; the
 *   landing calls except_landed, which delivers it (and may itself land there again: a double
 *   fault, in the end a triple fault).
 * - One thread per vCPU. Another thread says what it wants by a bit of `request` and bt_vcpu_kick;
 *   the loop looks between blocks, and each block ends soon.
 * - Guest atomics are host atomics on the same memory; the memory model is the host's, as it is the
 *   same architecture.
 *
 * Sources: Intel SDM volumes 1-3, AMD64 APM volumes 2-5. */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/bt/jit/jit.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/engine.h"

struct bt_vm;
struct bt_insn;
struct bt_block;
struct bt_interp;
struct bt_lapic;
struct bt_step;

/* Bits of bt_vcpu.request, set by any thread. */
enum {
    BT_REQUEST_KICK = 1,      /* leave vcpu_run */
    BT_REQUEST_INTERRUPT = 2, /* the local APIC or the PIC may have one */
    BT_REQUEST_NMI = 4,
    BT_REQUEST_SMI = 8,
    BT_REQUEST_INIT = 16,
    BT_REQUEST_SIPI = 32,
    BT_REQUEST_FLUSH = 64,    /* memory was mapped or unmapped: drop translations and blocks */
    BT_REQUEST_ATTEND = 256,  /* by a handler: let bt_vcpu_run look */
    BT_REQUEST_CODE = 512,    /* somebody wrote to pages that have code: jit.h */
    BT_REQUEST_PROTECT = 128, /* pages are not to be written unseen any more: mmu_drop_writable */
};

enum {
    BT_FLAG_CF = 1 << 0,
    BT_FLAG_PF = 1 << 2,
    BT_FLAG_AF = 1 << 4,
    BT_FLAG_ZF = 1 << 6,
    BT_FLAG_SF = 1 << 7,
    BT_FLAG_TF = 1 << 8,
    BT_FLAG_IF = 1 << 9,
    BT_FLAG_DF = 1 << 10,
    BT_FLAG_OF = 1 << 11,
    BT_FLAG_IOPL = 3 << 12,
    BT_FLAG_NT = 1 << 14,
    BT_FLAG_RF = 1 << 16,
    BT_FLAG_VM = 1 << 17,
    BT_FLAG_AC = 1 << 18,
    BT_FLAG_VIF = 1 << 19,
    BT_FLAG_VIP = 1 << 20,
    BT_FLAG_ID = 1 << 21,
    BT_FLAGS_STATUS = BT_FLAG_CF | BT_FLAG_PF | BT_FLAG_AF | BT_FLAG_ZF | BT_FLAG_SF | BT_FLAG_OF,
};

enum { BT_DR6_BS = 1 << 14 };
enum { BT_CR0_PE = 1, BT_CR0_MP = 2, BT_CR0_EM = 4, BT_CR0_TS = 8, BT_CR0_NE = 32 };
enum { BT_CR0_WP = 1 << 16, BT_CR0_AM = 1 << 18 };
#define BT_CR0_PG (UINT64_C(1) << 31)
enum {
    BT_CR4_VME = 1,
    BT_CR4_PVI = 2,
    BT_CR4_TSD = 4,
    BT_CR4_DE = 8,
    BT_CR4_PSE = 16,
    BT_CR4_PAE = 32
};
enum { BT_CR4_PGE = 128, BT_CR4_OSFXSR = 512, BT_CR4_OSXMMEXCPT = 1024, BT_CR4_UMIP = 1 << 11 };
enum { BT_CR4_FSGSBASE = 1 << 16, BT_CR4_PCIDE = 1 << 17, BT_CR4_OSXSAVE = 1 << 18 };
enum { BT_CR4_SMEP = 1 << 20, BT_CR4_SMAP = 1 << 21 };
enum { BT_EFER_SCE = 1, BT_EFER_LME = 1 << 8, BT_EFER_LMA = 1 << 10, BT_EFER_NXE = 1 << 11 };

enum bt_vector {
    BT_DE = 0,
    BT_DB = 1,
    BT_NMI = 2,
    BT_BP = 3,
    BT_OF = 4,
    BT_BR = 5,
    BT_UD = 6,
    BT_NM = 7,
    BT_DF = 8,
    BT_TS = 10,
    BT_NP = 11,
    BT_SS = 12,
    BT_GP = 13,
    BT_PF = 14,
    BT_MF = 16,
    BT_AC = 17,
    BT_MC = 18,
    BT_XM = 19
};

/* What decides how bytes are decoded and memory is addressed; derived (bt_mode_update), and part of
 * a block's key as one number. */
enum {
    BT_MODE_CODE16 = 0,
    BT_MODE_CODE32 = 1,
    BT_MODE_CODE64 = 2,
    BT_MODE_CODE = 3,      /* mask of the above */
    BT_MODE_PROTECTED = 4, /* CR0.PE and not virtual-8086 */
    BT_MODE_LONG = 8,      /* EFER.LMA: compatibility or 64-bit */
    BT_MODE_V86 = 16,
    BT_MODE_USER = 32, /* CPL 3 */
    BT_MODE_STACK32 = 64,
    BT_MODE_FLAT = 128, /* DS, ES, SS have base 0 and limit 4 GiB and can be written, CS the same
                           and can be read: no checks but for writes by CS */
};

struct bt_tlb; /* mmu.h */
struct cpuid_table;

/* An exception, interrupt or software interrupt on its way through the IDT. */
enum bt_event_kind {
    BT_EVENT_FAULT,     /* exception of an instruction: RIP is its own; RF is set in the image */
    BT_EVENT_TRAP,      /* #DB behind an instruction, ICEBP (INT1) */
    BT_EVENT_INTERRUPT, /* external */
    BT_EVENT_NMI,
    BT_EVENT_SOFT, /* INT n, INT3, INTO: checks the gate's DPL; RIP is the next one's */
};

struct bt_event {
    uint8_t kind, vector;
    bool has_error;
    uint8_t length; /* SOFT, INT1: of the instruction; the return address is behind it */
    uint32_t error;
};

struct bt_vcpu {
    /* What every instruction touches. */
    uint64_t gpr[CPU_GPRS];
    uint64_t zero;              /* what an absent base or index reads: always 0 */
    uint64_t block_rip;         /* of the running block's first instruction */
    const struct bt_step *step; /* the running one, while RIP and flags are not kept: interp_sync */
    uint16_t status;            /* the status flags meanwhile: SZAPC in bits 8-15, as LAHF has
                                   them, and OF in bit 0 */
    uint64_t rip;               /* of the instruction that runs, until it is done */
    uint64_t rflags;            /* complete, status flags included; bit 1 is set */
    uint32_t mode;              /* BT_MODE_* */
    uint8_t cpl;
    uint8_t shadow; /* CPU_SHADOW_*: left by the instruction before */
    uint32_t heed;  /* the bits of `request` for which the loop stops: BT_REQUEST_INTERRUPT, which
                       stands as long as there is one, only while IF is set (except.c) */
    _Atomic(uint32_t) request;
    struct bt_tlb *tlb;       /* owned */
    struct bt_interp *interp; /* owned: its blocks (block.h) */
    struct flat *flat;        /* owned; NULL: none (flat.h) */
    struct jit_state jit;
    uint64_t map_epoch; /* mmu.c: counts whatever makes a translation of code void, but for
                           changes of tlb->real_context */

    struct cpu_segment seg[CPU_SEGS];
    struct cpu_table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t pdptr[4]; /* PAE: as loaded with CR3 */
    uint64_t dr[4], dr6, dr7;
    uint64_t efer, xcr0, apic_base;
    uint64_t msr[MSR_SLOT_MAX];

    /* Exceptions on their way (except.c). */
    int fault_vector;      /* being delivered, -1: none: decides about double faults */
    struct bt_event event; /* what bt_raise has left for the loop */
    bool external; /* what is being delivered is no INT n of the program: error codes get EXT */
    struct bt_event inject; /* of a loaded state: comes before anything else */
    bool inject_valid;
    uint64_t deliveries;  /* counted by except_deliver */
    unsigned nested;      /* exceptions met since the delivery began that is going on */
    uint32_t debug_hit;   /* DR6 bits met by the running instruction: #DB behind it */
    uint32_t debug_waits; /* of these, those of the MOV SS before it */
    bool own_trap;        /* it has decided by itself whether it is a single step's end */
    bool nmi_masked, nmi_pending, smm, smi_pending, init_latched;
    bool triple_fault;
    uint8_t run_state; /* enum cpu_run_state */
    uint8_t sipi_vector;
    jmp_buf unwind; /* where bt_raise goes: the loop */

    struct bt_vm *vm; /* borrowed */
    unsigned index;
    struct bt_lapic *lapic;    /* owned */
    struct cpuid_table *cpuid; /* owned */
    _Atomic(bool) quiet;       /* touches no guest memory: bt_vm_settle */
    _Atomic(bool) waiting;
    pthread_mutex_t wait_lock;
    pthread_cond_t wait; /* HLT sleeps here until `request` is not 0 */
    struct err *err;     /* of the running vcpu_run: ENGINE_EXIT_FAILED's message */
    uint64_t tsc_offset;
    uint32_t
        pvclock_generation; /* of what the guest's copy of the clock says; 0: look (pvclock.h) */
    uint64_t instructions;  /* executed, for statistics and tests */

    /* x87, MMX, SSE, AVX: a standard (not compacted) XSAVE image, in the host's own layout. */
    _Alignas(64) uint8_t xsave[CPU_XSAVE_SIZE];
};

/* Derives `mode` and `cpl` after a change of CS, SS, CR0, EFER, RFLAGS.VM or a flat segment. */
void bt_mode_update(struct bt_vcpu *vcpu);

/* Leaves the running instruction with an exception; RIP is still its own. */
_Noreturn void bt_raise(struct bt_vcpu *vcpu, enum bt_vector vector);
_Noreturn void bt_raise_error(struct bt_vcpu *vcpu, enum bt_vector vector, uint32_t error);
/* #PF: CR2 is set too. */
_Noreturn void bt_raise_page_fault(struct bt_vcpu *vcpu, uint64_t address, uint32_t error);

/* Wakes a vCPU that halts, and makes a running one look at `request` soon; any thread. */
void bt_vcpu_request(struct bt_vcpu *vcpu, uint32_t bits);

/* On the vCPU's own thread, by a handler. */
static inline void bt_attend(struct bt_vcpu *vcpu)
{
    atomic_fetch_or_explicit(&vcpu->request, BT_REQUEST_ATTEND, memory_order_relaxed);
}

/* IF has changed: which requests the loop heeds. */
static inline void bt_update_heed(struct bt_vcpu *vcpu)
{
    vcpu->heed = vcpu->rflags & BT_FLAG_IF ? UINT32_MAX : ~(uint32_t)BT_REQUEST_INTERRUPT;
}
