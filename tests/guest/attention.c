/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts that come while code is hot: into loops of every shape, at the instruction where they
 * must come, between processors; timers of every mode; NMIs within NMIs; TLB shootdowns. */
#include "guest.h"

enum {
    EOI = 0xb0,
    IRR = 0x200,
    LVT_TIMER = 0x320,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3e0
};
enum { PERIODIC = 1 << 17, DEADLINE = 2 << 17, MASKED = 1 << 16, SELF = 1 << 18 };

static volatile uint64_t came, came_at;

static bool count_hook(struct frame *frame)
{
    if (frame->vector < 0x40)
        return false;
    apic_write(EOI, 0);
    came_at = frame->rip;
    came++;
    if (trap_resume)
        frame->rip = trap_resume;
    return true;
}

static void timer_soon(void)
{
    apic_write(DIVIDE, 0xb);
    apic_write(LVT_TIMER, 0x40);
    apic_write(INITIAL, 20000);
}

/* A loop without an end, mostly without an access to memory either: only the interrupt leaves it.
 */
#define ENDLESS(text)                                                                            \
    do {                                                                                         \
        uint64_t before = came, resume;                                                          \
        timer_soon();                                                                            \
        __asm__ volatile("lea 77f(%%rip), %0; mov %0, trap_resume(%%rip); mov %%rsp, %%r12;"     \
                         "sti; " text "; 77: mov %%r12, %%rsp; cli; movq $0, trap_resume(%%rip)" \
                         : "=&r"(resume)                                                         \
                         :                                                                       \
                         : "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r12", "memory", "cc");     \
        EXPECT(came == before + 1);                                                              \
    } while (0)

void endless_loops(void)
{
    apic_enable();
    trap_hook = count_hook;
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        ENDLESS("1: jmp 1b");
        ENDLESS("1: inc %%rax; jmp 1b");
        ENDLESS("mov $-1, %%rcx; 1: loop 1b");
        ENDLESS("1: xor %%eax, %%eax; jz 1b");
        ENDLESS("1: nop; jmp 2f; 3: jmp 1b; 2: jmp 3b");
        ENDLESS("mov $1, %%eax; jmp 1f; 2: jmp 77f; 1: test %%eax, %%eax; jz 2b; jmp 1b");
        ENDLESS("lea 1f(%%rip), %%rax; 1: jmp *%%rax");
        ENDLESS("1: call 2f; jmp 1b; 2: ret");
        ENDLESS("lea 1f(%%rip), %%rax; 1: push %%rax; ret");
        ENDLESS("1: pause; jmp 1b");
        ENDLESS("1: pushfq; popfq; jmp 1b");
        ENDLESS("1: cli; nop; sti; nop; jmp 1b");
        ENDLESS("1: rdtsc; jmp 1b");
        ENDLESS("1: pxor %%xmm0, %%xmm0; jmp 1b");
        ENDLESS("1: hlt; jmp 1b");
        ENDLESS("1: lea -4096(%%rsp), %%rdi; mov $64, %%ecx; rep stosb; jmp 1b");
        ENDLESS("1: cpuid; jmp 1b");
    }
}

/* An interrupt waits, kept off by `block`; where does it come once `unblock` lets it? */
static void send_to_self(void)
{
    apic_ipi(0, 0x4041 | SELF);
    while (!(apic_read(IRR + 0x41 / 32 * 16) >> 0x41 % 32 & 1))
        __asm__ volatile("pause");
}

#define COMES_AT(unblock) COMES_WITHIN(0, unblock)
#define COMES_WITHIN(late, unblock)                                           \
    do {                                                                      \
        uint64_t wanted, before = came;                                       \
        send_to_self();                                                       \
        __asm__ volatile("lea 2f(%%rip), %0; " unblock "; nop; nop; nop; cli" \
                         : "=&r"(wanted)                                      \
                         :                                                    \
                         : "rax", "rcx", "memory", "cc");                     \
        EXPECT(came == before + 1 && came_at - wanted <= (late));             \
    } while (0)

void exact_interrupts(void)
{
    apic_enable();
    trap_hook = count_hook;
    for (unsigned i = 0; i < ROUNDS; i++) {
        COMES_AT("sti; nop; 2: nop");
        COMES_AT("sti; inc %%rax; 2: inc %%rax; inc %%rax");
        COMES_AT("sti; hlt; 2:");
        COMES_AT("pushfq; orl $0x200, (%%rsp); popfq; 2:");
        COMES_AT("mov %%rsp, %%rcx; mov %%ss, %%eax; push %%rax; push %%rcx; pushfq;"
                 "orl $0x200, (%%rsp); mov %%cs, %%eax; push %%rax; lea 2f(%%rip), %%rax;"
                 "push %%rax; iretq; nop; 2:");
        COMES_WITHIN(2, "mov $15, %%eax; mov %%rax, %%cr8; sti; nop; nop; xor %%eax, %%eax;"
                        "mov %%rax, %%cr8; 2:");
        COMES_AT("sti; cli; sti; nop; 2:"); /* STI; CLI: no interrupt between */
    }
}

static uint64_t tsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

static void spin_until(uint64_t count)
{
    interrupts(true);
    while (came < count)
        __asm__ volatile("" : : : "memory");
    interrupts(false);
}

static void spin_for(uint64_t ticks)
{
    uint64_t end = tsc() + ticks;

    interrupts(true);
    while (tsc() < end)
        ;
    interrupts(false);
}

void timer_modes(void)
{
    bool deadline = cpuid_register(1, 0, 2) >> 24 & 1;

    apic_enable();
    trap_hook = count_hook;
    apic_write(DIVIDE, 0xb);
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        came = 0;
        timer_soon();
        uint32_t left = apic_read(CURRENT), last = left;
        EXPECT(left <= 20000);
        while (apic_read(LVT_TIMER) && (left = apic_read(CURRENT))) {
            EXPECT(left <= last);
            last = left;
        }
        spin_until(1);
        spin_for(100000);
        EXPECT(came == 1 && apic_read(CURRENT) == 0); /* once */
        apic_write(LVT_TIMER, 0x42 | PERIODIC);
        apic_write(INITIAL, 5000);
        spin_until(6);
        apic_write(LVT_TIMER, 0x42 | PERIODIC | MASKED);
        spin_for(20000);
        uint64_t so_far = came;
        spin_for(100000);
        EXPECT(came == so_far);
        apic_write(LVT_TIMER, 0x42 | PERIODIC);
        spin_until(so_far + 2);
        apic_write(INITIAL, 0);
        spin_for(20000); /* one may be on its way */
        if (!deadline)
            continue;
        apic_write(LVT_TIMER, 0x43 | DEADLINE);
        so_far = came;
        wrmsr(0x6e0, tsc() + 50000);
        spin_until(so_far + 1);
        EXPECT(rdmsr(0x6e0) == 0);
        wrmsr(0x6e0, 1); /* long past */
        spin_until(so_far + 2);
        wrmsr(0x6e0, tsc() + 1000000000000);
        wrmsr(0x6e0, 0);
        spin_for(20000);
        EXPECT(came == so_far + 2);
    }
}

/* NMIs */

static volatile unsigned nmi_seen, nmi_depth, nmi_deepest, nmi_again, nmi_iret;

static void idle(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        __asm__ volatile("pause");
}

static void send_nmi(void)
{
    apic_ipi(0, 0x4400);
}

static bool nmi_hook(struct frame *frame)
{
    if (frame->vector != 2)
        return frame->vector == 3;
    if (++nmi_depth > nmi_deepest)
        nmi_deepest = nmi_depth;
    if (nmi_again) {
        unsigned seen = nmi_seen;
        nmi_again--;
        send_nmi();
        send_nmi(); /* one is kept, not two */
        idle(300);
        EXPECT(nmi_seen == seen);
        if (nmi_iret) {
            __asm__ volatile("int3"); /* whose IRET lets the next one in */
            while (nmi_seen == seen)
                __asm__ volatile("pause");
        }
    }
    nmi_seen++;
    nmi_depth--;
    return true;
}

void nmi_nesting(void)
{
    apic_enable();
    trap_hook = nmi_hook;
    for (unsigned i = 0; i < ROUNDS; i++) {
        nmi_seen = nmi_deepest = 0;
        nmi_iret = i & 1;
        nmi_again = 1;
        send_nmi();
        while (nmi_seen < 2)
            __asm__ volatile("" : : : "memory");
        idle(50);
        EXPECT(nmi_seen == 2 && nmi_deepest == 1 + nmi_iret);
    }
}

/* Two processors */

static volatile uint32_t pings, pongs, other, stop, seen_value, shot;

static bool pong_hook(struct frame *frame)
{
    if (frame->vector == 0x73) { /* there */
        apic_write(EOI, 0);
        pings++;
        apic_ipi(0, 0x4074);
        return true;
    }
    if (frame->vector == 0x74) { /* and back */
        apic_write(EOI, 0);
        pongs++;
        return true;
    }
    if (frame->vector == 0x75) {
        apic_write(EOI, 0);
        invlpg(WINDOW);
        shot++;
        return true;
    }
    return false;
}

static void answer(void)
{
    uint64_t spins = 0;

    interrupts(true);
    while (!stop)
        spins++;
    stop = 2;
}

static void end_other(void)
{
    interrupts(false);
    stop = 1;
    while (stop != 2)
        __asm__ volatile("pause");
}

void ping_pong(void)
{
    trap_hook = pong_hook;
    other = ap_start(answer);
    interrupts(true);
    for (uint32_t i = 1; i <= 2 * ROUNDS; i++) {
        apic_ipi(other, 0x4073);
        while (pongs != i)
            if (i & 1)
                __asm__ volatile("pause");
            else
                __asm__ volatile("hlt" : : : "memory");
        EXPECT(pings == i);
    }
    for (uint32_t i = 1; i <= ROUNDS; i++) { /* to all but self */
        apic_ipi(0, 0x4073 | 3 << 18);
        while (pongs != 2 * ROUNDS + i)
            ;
    }
    end_other();
}

/* A page moves away under a processor that reads it all the time. */
static void look(void)
{
    interrupts(true);
    while (!stop)
        seen_value = *(volatile uint32_t *)WINDOW;
    stop = 2;
}

void shootdown(void)
{
    window_open();
    for (unsigned i = 0; i < 3; i++)
        window_map(i, pool_page(i) | PTE_RW);
    trap_hook = pong_hook;
    other = ap_start(look);
    for (uint32_t i = 1; i <= 2 * ROUNDS; i++) {
        *(volatile uint32_t *)window_page(1 + (i & 1)) = i;
        window_map(0, pool_page(1 + (i & 1)) | PTE_P);
        apic_ipi(other, 0x4075);
        while (shot != i)
            __asm__ volatile("pause");
        for (unsigned wait = 0; wait < 1000000 && seen_value != i; wait++)
            idle(1000);
        EXPECT(seen_value == i);
        uint32_t old = seen_value; /* nothing but the new page from now on */
        *(volatile uint32_t *)window_page(1 + !(i & 1)) = 0xdead;
        idle(20);
        EXPECT(seen_value == old);
    }
    end_other();
}
