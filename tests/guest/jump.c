/* SPDX-License-Identifier: Apache-2.0 */
/* Near jumps, calls and returns to addresses that are not canonical: #GP of the jump itself, with
 * the stack as before it; also where the lower 62 bits are those of code that is hot. */
#include "guest.h"

enum { VARIANTS = 6 };
/* Exclusive-ored to an address of code. */
static const uint64_t wrong[VARIANTS] = {UINT64_C(1) << 63, UINT64_C(1) << 62,
                                         UINT64_C(3) << 62, UINT64_C(1) << 47,
                                         UINT64_C(1) << 56, UINT64_C(0x5555) << 48};

static volatile uint64_t trap_rip, trap_rsp, arrived;

static bool jump_hook(struct frame *frame)
{
    if (frame->vector != 13)
        return false;
    trap_rip = frame->rip;
    trap_rsp = frame->rsp;
    frame->rip = trap_resume;
    return true;
}

__asm__(".text; .balign 4096; jump_target: incq arrived(%rip); ret; .balign 4096");
extern const uint8_t jump_target[];

/* `jump` is at label 1; RDX is the stack before it, the address of 1 is in RCX. Behind it the stack
 * is put right, whatever has happened. */
#define WILD(before, jump, target, ret_rip, ret_rsp)                                          \
    __asm__ volatile("mov %%rsp, %%rbx; lea 2f(%%rip), %%rax; mov %%rax, trap_resume(%%rip);" \
                     "lea 1f(%%rip), %%rcx;" before "; mov %%rsp, %%rdx; 1: " jump            \
                     "; 2: mov %%rbx, %%rsp; movq $0, trap_resume(%%rip)"                     \
                     : "=&c"(ret_rip), "=&d"(ret_rsp)                                         \
                     : [t] "S"(target)                                                        \
                     : "rax", "rbx", "rdi", "memory", "cc")

static void wild(uint64_t target)
{
    uint64_t rip, rsp, before = arrived;

    WILD("nop", "jmp *%[t]", target, rip, rsp);
    EXPECT(trap_rip == rip && trap_rsp == rsp);
    trap_rip = 0;
    WILD("push %[t]", "ret", target, rip, rsp);
    EXPECT(trap_rip == rip && trap_rsp == rsp);
    trap_rip = 0;
    WILD("push %[t]; pushq $1; pushq $2; pop %%rdi; pop %%rdi", "ret $16", target, rip, rsp);
    EXPECT(trap_rip == rip && trap_rsp == rsp);
    trap_rip = 0;
    WILD("nop", "call *%[t]", target, rip, rsp);
    EXPECT(trap_rip == rip && trap_rsp == rsp);
    trap_rip = 0;
    WILD("push %[t]", "call *(%%rsp)", target, rip, rsp);
    EXPECT(trap_rip == rip && trap_rsp == rsp);
    EXPECT(arrived == before);
}

void wild_jumps(void)
{
    trap_hook = jump_hook;
    for (unsigned i = 0; i < ROUNDS; i++) {
        void (*volatile good)(void) = (void (*)(void))(uint64_t)jump_target;
        good();
        for (unsigned k = 0; k < VARIANTS; k++)
            wild((uint64_t)jump_target ^ wrong[k]);
    }
    EXPECT(arrived == ROUNDS && trap_count[13] == 5 * VARIANTS * ROUNDS);
}
