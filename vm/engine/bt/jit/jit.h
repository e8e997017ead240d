/* SPDX-License-Identifier: Apache-2.0 */
/* The translator: flat code of the guest, 64-bit and 32-bit, rewritten for the host that it runs
 * on.
 *
 *   encode     host instructions into a buffer; a guest instruction again with other operands
 *   translate  one block of guest code -> one unit of host code, and its sites
 *   cache      units, by page and offset; the code maps; links; memory that is never writable and
 *              executable at once
 *   enter      (assembler) from C into a unit, and back: all guest registers loaded, all stored
 *   trap       signals: where the host's processor stopped, in the guest's terms
 *   jit        the loop
 *
 * The interpreter comes first: it runs what is cold, and whatever the translator leaves out. A
 * block that has become warm is translated. Both share the vCPU's state, which is complete whenever
 * C runs: `jit_enter` loads it, and every way out stores all of it. So there is one way out,
 * "leave at a site" (struct jit_site), for whatever translated code cannot do itself: an access
 * that is not in the flat table, a privileged instruction, a jump to code that is not known yet.
 * The loop lets the interpreter carry out the site's instruction, and goes on behind it.
 *
 * Registers. The guest's are in the host's of the same name, but for R10 and R11, which compilers
 * use least: they stay in vcpu->gpr, and the host's are T2 and T1, the translation's own. Status
 * flags are in the host's; DF, TF, AC and NT of the host are always clear, the guest's are in
 * vcpu->rflags; while its DF is set, no translated code runs. GS's base is the flat table (flat.h).
 * FS is the C library's. XMM and YMM, x87 and MXCSR are the guest's while vcpu->jit.live says so
 * (JIT_LIVE_*): a unit checks before its first vector instruction. The vCPU (struct bt_vcpu) lies
 * below 2 GiB, so that code names its fields by absolute addresses; so do units, sites and the
 * stubs of enter.S's kind.
 *
 * 32-bit code (protected and compatibility mode, flat: jit_translates) runs in the host's 64-bit
 * mode. Its eight registers are zero-extended there whenever a unit runs; addresses are made by
 * 32-bit LEA, so they wrap. A look-up and its access always use the same 64-bit value: the flat
 * table's safety rests on that. FS and GS have bases, and may have limits, or nothing in them: then
 * jit.bar makes addresses by them such that they trap, and the interpreter decides.
 *
 * Stack. In translated code RSP is a multiple of 8 (in 32-bit code 4), so that stack slots need no
 * check: whoever enters a unit, or resumes one, has looked, and interprets meanwhile if it is not;
 * a unit leaves behind an instruction that makes it anything else.
 *
 * Position. A unit belongs to a physical page, an offset in it and a mode, and knows nothing of
 * linear addresses: vcpu->jit.page is the linear address of the page that runs, set by whoever
 * enters a unit from another page, and RIP-relative operands and return addresses are counted from
 * it. So one translation serves every address space, whatever address randomization does. Direct
 * jumps within the page are links, patched in; all others look the target's word up in its page's
 * code map by the flat table, whose entries are as valid as the TLB's.
 *
 * Changed code. A store to a page that has units is never in the flat table: it comes by the
 * interpreter, the page's code map is emptied, and its units are forgotten; since only the code map
 * and units of the same page lead to a unit, nothing else has to be found. Other vCPUs are called
 * (BT_REQUEST_CODE), and devices' writes are noticed when a vCPU next leaves (gmem's code
 * sequence).
 *
 * Calls. Whoever wants a vCPU's attention sets `request` and sends its thread a signal if it is in
 * translated code; the handler replaces GS's base by one with which every access faults, so the
 * next access leaves. Every loop has one: a unit without any that ends in a backward jump gets one.
 *
 * What is not exact: while a fault is delivered in the middle of a unit, status flags that the rest
 * of the unit sets before anything reads them may show other values in the saved RFLAGS than
 * hardware shows. In 32-bit code an access by FS or GS may go on behind offset FFFFFFFFh, at 0. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct bt_vm;
struct bt_vcpu;
struct jit_cache;
struct jit_unit;
struct jit_site;

enum { JIT_T1 = 11, JIT_T2 = 10 }; /* the host registers that hold no guest register */

/* AVX: the registers of VEC are loaded, and instructions with VEX may run too (CR4.OSXSAVE, XCR0);
 * never without VEC. */
enum { JIT_LIVE_VEC = 1 /* XMM, YMM, MXCSR */, JIT_LIVE_X87 = 2 /* and MMX */, JIT_LIVE_AVX = 4 };

/* While a stub runs (stub.h): an access across two pages, a string. */
struct jit_cross {
    uint64_t rax, rcx, rsi, rdi; /* the guest's */
    uint64_t flags;              /* as encode_save_flags has them */
    uint64_t first, second;      /* host addresses of the operand's two parts */
    uint64_t size, bytes;        /* of the operand, of its first part */
    uint64_t back;               /* run address */
    uint8_t copy[32];
};

/* For tests. Who watches is called where translated code has left, with RIP at the site, before
 * anything is done about it (JIT_WATCH_LEFT), and behind each instruction that the interpreter
 * carries out; the status flags live apart (flags.h). Nothing is linked then and nothing need be
 * warm: each unit runs by itself. */
typedef void jit_watch_fn(struct bt_vcpu *vcpu, const struct jit_site *site, unsigned op);
enum { JIT_WATCH_LEFT = UINT16_MAX }; /* in place of an operation */

/* Part of struct bt_vcpu; translated code and enter.S use it. */
struct jit_state {
    uint64_t page;          /* linear address of the page whose unit runs */
    uint64_t save[2];       /* RAX or RCX, while a sequence borrows it */
    uint32_t site, padding; /* where it left: address of a struct jit_site */
    uint64_t linear;        /* T1 when it left: at an access, its address; at a jump, the target */
    uint64_t host_stack;    /* while translated code runs */
    uint64_t exit;          /* where the cache's leaving stub goes: enter.S */
    uint64_t base;          /* of GS now */
    uint8_t live;         /* JIT_LIVE_*: what translated code finds in the registers, and leaves; in
                             C the image (vcpu->xsave) is always complete */
    _Atomic(bool) inside; /* a call needs the signal */
    uint32_t mxcsr;       /* of C */
    uint8_t *image;       /* vcpu->xsave */
    int thread;           /* the vCPU's */
    bool low;             /* the vCPU's memory is jit_vcpu_alloc's */
    struct jit_cache *cache; /* owned; NULL: this vCPU only interprets */
    uint32_t live_mode;      /* vcpu->mode when `live` was decided */
    jit_watch_fn *watch;     /* NULL */
    uint32_t code_seen;      /* gmem's code sequence when the units were last looked at */
    struct jit_cross cross;
    uint64_t bar[2]; /* 32-bit code, by FS and by GS: 0, or what keeps an address from being one */
    uint64_t jump;   /* run address of the look-up that has trapped; 0: forgotten */
    uint64_t traps;  /* statistics */
};

/* Whether code of this mode (BT_MODE_*) is translated at all. */
bool jit_translates(uint32_t mode);

/* Of a VM, before the sandbox closes. Failing is no harm: `vm->jit` stays NULL and the engine
 * interprets; `err` says why. */
int jit_vm_create(struct bt_vm *vm, struct err *err);
/* A vCPU's memory, where translated code can name it; NULL: anywhere will do. */
struct bt_vcpu *jit_vcpu_alloc(const struct bt_vm *vm);
void jit_vcpu_free(struct bt_vcpu *vcpu);
/* On the vCPU's own thread, before its sandbox closes; a vCPU without a cache interprets. */
int jit_vcpu_create(struct bt_vcpu *vcpu);
void jit_vcpu_destroy(struct bt_vcpu *vcpu);

/* As interp_run (interp.h), translating what is warm. */
void jit_run(struct bt_vcpu *vcpu);

/* A page's bytes have changed, or all memory has been mapped anew. On the vCPU's own thread. */
void jit_page_written(struct bt_vcpu *vcpu, uint64_t page);
void jit_drop_all(struct bt_vcpu *vcpu);
/* What decides whether vector instructions may run has changed (CR0, CR4, XCR0), or the image
 * belongs to somebody else now. */
void jit_vec_off(struct bt_vcpu *vcpu);
/* By bt_vcpu_request, any thread: makes a vCPU that is in translated code leave it. */
void jit_call(struct bt_vcpu *vcpu);
