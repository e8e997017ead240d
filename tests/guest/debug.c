/* SPDX-License-Identifier: Apache-2.0 */
/* Debug traps at the seams: in the shadow of MOV SS (SDM volume 3, section 6.8.3), around SYSCALL
 * and SYSRET, whose own TF decides. */
#include "guest.h"

enum { MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_SFMASK = 0xc0000084 };
enum { TRAP_FLAG = 0x100, SEEN_MAX = 8 };

static volatile struct {
    uint64_t vector, rip, dr6;
} seen[SEEN_MAX];
static volatile unsigned seen_count;
static volatile uint16_t selector = SEL_DATA;
static uint64_t gate_address[15];

static bool debug_hook(struct frame *frame)
{
    uint64_t dr6;

    if (frame->vector == 0x80) /* rings.c ends ring 3 by it */
        return false;
    __asm__ volatile("mov %%dr6, %0; mov %1, %%dr6" : "=&r"(dr6) : "r"(UINT64_C(0xffff0ff0)));
    if (seen_count < SEEN_MAX) {
        seen[seen_count].vector = frame->vector;
        seen[seen_count].rip = frame->rip;
        seen[seen_count].dr6 = dr6;
    }
    seen_count++;
    if (frame->vector == 1) /* one step is enough */
        frame->rflags &= ~(uint64_t)TRAP_FLAG;
    if (frame->vector == 14)
        frame->rip = trap_resume;
    return true;
}

static void find_gates(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    for (unsigned i = 0; i < 15; i++) {
        const volatile uint64_t *gate = (const volatile uint64_t *)(idtr.base + i * 16);
        gate_address[i] = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
    }
}

static void watch_selector(bool on)
{
    uint64_t dr7 = on ? 0x400 | 2 | UINT64_C(7) << 16 : 0x400; /* two bytes, any access */

    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(&selector), "r"(dr7));
}

static bool trap_at(unsigned n, uint64_t vector, uint64_t rip)
{
    return seen[n].vector == vector && seen[n].rip == rip;
}

/* The breakpoint that MOV SS meets waits for the instruction behind it. */
static void behind_mov_ss(void)
{
    uint64_t at;

    seen_count = 0;
    __asm__ volatile("lea 1f(%%rip), %0; mov %1, %%ss; nop; 1:" : "=&r"(at) : "m"(selector));
    EXPECT(seen_count == 1 && trap_at(0, 1, at) && (seen[0].dr6 & 0x400f) == 1);
    seen_count = 0;
    __asm__ volatile("lea 1f(%%rip), %0; mov %1, %%ss; int3; 1:" : "=&r"(at) : "m"(selector));
    EXPECT(seen_count == 2 && trap_at(0, 1, gate_address[3]) && trap_at(1, 3, at));
    seen_count = 0; /* one trap for both */
    __asm__ volatile("lea 1f(%%rip), %0; mov %1, %%ss; .byte 0xf1; 1:" : "=&r"(at) : "m"(selector));
    EXPECT(seen_count == 1 && trap_at(0, 1, at) && (seen[0].dr6 & 0x400f) == 1);
    seen_count = 0; /* a fault comes first, too */
    TRY("mov %[selector], %%ss; mov (%[nowhere]), %%rax", [selector] "m"(selector),
        [nowhere] "r"(window_page(2)));
    EXPECT(seen_count == 2 && trap_at(0, 1, gate_address[14]) && seen[1].vector == 14);
}

/* At its target, not before; STAR leads to the segments that we are in. */
static void behind_mov_ss_syscall(void)
{
    uint64_t at;

    seen_count = 0;
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %%rdx; shr $32, %%rdx; mov %2, %%ecx; wrmsr;"
                     "lea 1f(%%rip), %0; mov %1, %%ss; syscall; ud2; 1:"
                     : "=&r"(at)
                     : "m"(selector), "i"(MSR_LSTAR)
                     : "rax", "rcx", "rdx", "r11", "memory");
    EXPECT(seen_count == 1 && trap_at(0, 1, at));
}

/* A step over SYSCALL ends at its target, unless SFMASK clears TF. */
static void step_syscall(uint64_t sfmask)
{
    uint64_t at;

    wrmsr(MSR_SFMASK, sfmask);
    seen_count = 0;
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %%rdx; shr $32, %%rdx; mov %1, %%ecx; wrmsr;"
                     "lea 1f(%%rip), %0; pushfq; orl $0x100, (%%rsp); popfq; syscall; ud2;"
                     "1: pushfq; andl $~0x100, (%%rsp); popfq"
                     : "=&r"(at)
                     : "i"(MSR_LSTAR)
                     : "rax", "rcx", "rdx", "r11", "memory", "cc");
    if (sfmask & TRAP_FLAG)
        EXPECT(seen_count == 0);
    else
        EXPECT(seen_count == 1 && trap_at(0, 1, at) && seen[0].dr6 & 0x4000);
}

/* SYSRET to a flags image with TF traps before the first instruction there. */
__asm__(".text; debug_sysret: or $0x100, %r11; sysretq");
extern const uint8_t debug_sysret[];

static void user_sysret(uint64_t unused)
{
    uint64_t at;

    (void)unused;
    __asm__ volatile("lea 1f(%%rip), %0; syscall; 1: nop; nop"
                     : "=&r"(at)
                     :
                     : "rax", "rcx", "r11", "memory");
    user_end(at);
}

static bool (*ring_hook)(struct frame *frame);

static bool both_hooks(struct frame *frame)
{
    return debug_hook(frame) || ring_hook(frame);
}

static void step_sysret(void)
{
    uint64_t at;

    wrmsr(MSR_LSTAR, (uint64_t)debug_sysret);
    seen_count = 0;
    at = user_run(user_sysret, 0);
    EXPECT(seen_count == 1 && trap_at(0, 1, at) && seen[0].dr6 & 0x4000);
}

void debug_seams(void)
{
    user_init();
    ring_hook = trap_hook;
    trap_hook = both_hooks;
    find_gates();
    for (unsigned i = 0; i < ROUNDS; i++) {
        watch_selector(true);
        behind_mov_ss();
        behind_mov_ss_syscall();
        watch_selector(false);
        step_syscall(0);
        step_syscall(TRAP_FLAG);
        step_sysret();
    }
}
