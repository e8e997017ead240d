/* SPDX-License-Identifier: Apache-2.0 */
/* Ring 3 and the ways from and to it: interrupts, SYSCALL, call gates, faults, compatibility mode;
 * what ring 3 may not do; and steps and breakpoints there and here. */
#include "guest.h"

extern uint32_t ring_syscalls, ring_gate_calls;
extern const uint8_t ring_left[], ring_syscall[], ring_gate[], step_code[], step_first[],
    step_string[], step_after[], step_shadow[], step_behind[], step_end[], break_here[];
uint64_t ring_enter(uint64_t rip, uint64_t rsp, uint64_t argument, uint64_t rflags, uint64_t cs,
                    uint64_t ss);
void ring_compat(uint64_t count);
uint32_t both_code(void), both_in_32(void);
uint64_t break_code(uint64_t v);

enum { IOPL3 = 0x3000 };

static uint64_t gdt[16] __attribute__((aligned(16)));
static uint8_t user_stack[8192] __attribute__((aligned(16)));
static uint8_t trap_stack[8192] __attribute__((aligned(16)));
static uint8_t fault_stack[8192] __attribute__((aligned(16)));
static struct __attribute__((packed)) {
    uint32_t reserved;
    uint64_t rsp[3], unused, ist[7], unused2;
    uint16_t unused3, io_map;
    uint8_t io[0x520 / 8 + 1]; /* 0x500-0x50f is allowed */
} tss __attribute__((aligned(128)));

static uint32_t interrupts_0x81;

/* INT 0x80 ends ring 3, 0x81 counts. */
static bool ring_hook(struct frame *frame)
{
    if (frame->vector == 0x81) {
        interrupts_0x81++;
        return true;
    }
    if (frame->vector != 0x80)
        return false;
    frame->rdi = frame->rax;
    frame->rip = (uint64_t)ring_left;
    frame->cs = SEL_CODE64;
    frame->ss = SEL_DATA;
    frame->rflags = 2;
    return true;
}

static void gdt_init(void)
{
    uint64_t base = (uint64_t)&tss, gate = (uint64_t)ring_gate;

    gdt[SEL_CODE64 / 8] = UINT64_C(0x00af9b000000ffff);
    gdt[SEL_DATA / 8] = UINT64_C(0x00cf93000000ffff);
    gdt[SEL_CODE32 / 8] = UINT64_C(0x00cf9b000000ffff);
    gdt[SEL_USER_CODE32 / 8] = UINT64_C(0x00cffb000000ffff);
    gdt[SEL_USER_DATA / 8] = UINT64_C(0x00cff3000000ffff);
    gdt[SEL_USER_CODE64 / 8] = UINT64_C(0x00affb000000ffff);
    gdt[SEL_TSS / 8] = (sizeof tss - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
                       (base >> 24 & 0xff) << 56;
    gdt[SEL_TSS / 8 + 1] = base >> 32;
    gdt[SEL_GATE / 8] =
        (gate & 0xffff) | SEL_CODE64 << 16 | UINT64_C(0xec) << 40 | (gate >> 16 & 0xffff) << 48;
    gdt[SEL_GATE / 8 + 1] = gate >> 32;
}

void user_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } gdtr = {sizeof gdt - 1, (uint64_t)gdt};

    gdt_init();
    tss.rsp[0] = (uint64_t)(trap_stack + sizeof trap_stack);
    tss.ist[0] = (uint64_t)(fault_stack + sizeof fault_stack);
    tss.io_map = (uint16_t)((uint64_t)tss.io - (uint64_t)&tss);
    for (unsigned i = 0; i < sizeof tss.io; i++)
        tss.io[i] = i == 0x500 / 8 || i == 0x508 / 8 ? 0 : 0xff;
    __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(SEL_TSS));
    window_open();
    *(volatile uint64_t *)GUEST_PDPT |= PTE_U;
    *(volatile uint64_t *)GUEST_PD |= PTE_U;
    write_cr3(read_cr3());
    idt_gate(0x80, 0xee);
    idt_gate(0x81, 0xee);
    idt_gate(3, 0xee);
    trap_hook = ring_hook;
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1); /* SYSCALL */
    wrmsr(0xc0000081, (uint64_t)SEL_USER_CODE32 << 48 | (uint64_t)SEL_CODE64 << 32);
    wrmsr(0xc0000082, (uint64_t)ring_syscall);
    wrmsr(0xc0000084, 0x47700);
}

uint64_t user_run_flags(void (*entry)(uint64_t), uint64_t arg, uint64_t rflags, uint32_t code)
{
    uint64_t stack = (uint64_t)(user_stack + sizeof user_stack) - 8; /* as behind a call */

    return ring_enter((uint64_t)entry, stack, arg, rflags | 2, code, SEL_USER_DATA);
}

uint64_t user_run(void (*entry)(uint64_t), uint64_t arg)
{
    return user_run_flags(entry, arg, 0, SEL_USER_CODE64);
}

static uint64_t syscall1(uint64_t v)
{
    __asm__ volatile("syscall" : "=a"(v) : "D"(v) : "rcx", "r11", "memory");
    return v;
}

static void user_rounds(uint64_t rounds)
{
    static const struct __attribute__((packed)) {
        uint32_t offset;
        uint16_t selector;
    } gate = {0, SEL_GATE};
    uint64_t cs, flags, good = 0;

    for (uint64_t i = 0; i < rounds; i++) {
        __asm__ volatile("mov %%cs, %0" : "=r"(cs));
        __asm__ volatile("int $0x81" : : : "memory");
        good += cs == SEL_USER_CODE64 && syscall1(i) == i + 1;
        __asm__ volatile("lcall *%1" : "=a"(cs) : "m"(gate) : "memory");
        good += cs == SEL_CODE64;
        /* POPF leaves IF and IOPL as they are */
        __asm__ volatile("pushfq; orl $0x3200, (%%rsp); popfq; pushfq; pop %0"
                         : "=r"(flags)
                         :
                         : "cc");
        good += (flags & 0x3200) == 0;
        TRY("mov (%[a]), %%rax", [a] "r"(window_page(2)));
        good += trap_vector == 14 && trap_error == 4 && trap_cr2 == window_page(2);
    }
    user_end(good);
}

static void user_selectors(uint64_t unused)
{
    uint64_t ds, fs;

    (void)unused;
    __asm__ volatile("mov %%ds, %0; mov %%fs, %1" : "=r"(ds), "=r"(fs));
    user_end(ds << 16 | fs);
}

/* IRET to an outer ring clears null selectors, of whatever RPL. */
static void null_selectors(void)
{
    __asm__ volatile("mov %0, %%ds; mov %1, %%fs" : : "r"(3), "r"(2));
    EXPECT(user_run(user_selectors, 0) == 0);
}

void ring_ways(void)
{
    user_init();
    null_selectors();
    EXPECT(user_run(user_rounds, ROUNDS) == 4 * ROUNDS);
    EXPECT(interrupts_0x81 == ROUNDS && ring_syscalls == ROUNDS && ring_gate_calls == ROUNDS);
    EXPECT(trap_count[14] == ROUNDS);
    for (uint64_t i = 1; i < ROUNDS; i++) /* many short visits */
        EXPECT(user_run(user_rounds, 1) == 4);
    EXPECT(interrupts_0x81 == 2 * ROUNDS - 1);
}

#define GENERAL(text)                                 \
    do {                                              \
        TRY(text, [w] "r"(window_page(0)));           \
        EXPECT(trap_vector == 13 && trap_error == 0); \
    } while (0)

static uint8_t kernel_page[4096] __attribute__((aligned(4096)));

/* window page 0 is the kernel's, 1 to be read only, 2 not there, 3 without the right to run */
static void user_forbidden(uint64_t umip)
{
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        GENERAL("cli");
        GENERAL("sti");
        GENERAL("hlt");
        GENERAL("mov %%cr0, %%rax");
        GENERAL("mov %%rax, %%cr3");
        GENERAL("mov %%rax, %%dr7");
        GENERAL("mov $0x10, %%ecx; rdmsr");
        GENERAL("invlpg (%[w])");
        GENERAL("clts");
        GENERAL("wbinvd");
        GENERAL("swapgs");
        GENERAL("mov $0x80, %%edx; in (%%dx), %%al");
        GENERAL("mov $0x50d, %%edx; in (%%dx), %%eax"); /* three allowed ports, one not */
        if (umip)
            GENERAL("sub $16, %%rsp; sgdt (%%rsp)");
        if (umip)
            __asm__ volatile("add $16, %%rsp" : : : "cc", "memory");
        TRY("int $0x20", "i"(0));
        EXPECT(trap_vector == 13 && trap_error == 0x20 * 8 + 2);
        TRY("mov (%[w]), %%rax", [w] "r"(window_page(0)));
        EXPECT(trap_vector == 14 && trap_error == 5);
        TRY("lock incl 8(%[w])", [w] "r"(window_page(0)));
        EXPECT(trap_vector == 14 && trap_error == 7 && trap_cr2 == window_page(0) + 8);
        TRY("movl $1, (%[w])", [w] "r"(window_page(1)));
        EXPECT(trap_vector == 14 && trap_error == 7);
        TRY("movups %%xmm0, (%[w])", [w] "r"(window_page(2)));
        EXPECT(trap_vector == 14 && trap_error == 6);
        TRY("mov %%rsp, %%rcx; mov %%rcx, -8(%%rsp); jmp *%[w]", [w] "r"(window_page(3)));
        EXPECT(trap_vector == 14 && trap_error == 0x15 && trap_cr2 == window_page(3));
        TRY("mov $0x8, %%eax; push %%rax; lea 77f(%%rip), %%rcx; push %%rcx; lretq", "i"(0));
        EXPECT(trap_vector == 13 && trap_error == 8);
        __asm__ volatile("add $16, %%rsp" : : : "cc", "memory");
        TRY("mov $0x58, %%eax; mov %%eax, %%es", "i"(0));
        EXPECT(trap_vector == 13 && trap_error == 0x58);
    }
    user_end(7);
}

void ring_forbidden(void)
{
    bool umip = cpuid_register(7, 0, 2) >> 2 & 1;

    user_init();
    if (umip)
        write_cr4(read_cr4() | 1 << 11);
    window_map(0, (uint64_t)kernel_page | PTE_RW);
    window_map(1, pool_page(1) | PTE_P | PTE_U);
    window_map(3, pool_page(3) | PTE_RW | PTE_U | PTE_NX);
    EXPECT(user_run(user_forbidden, umip) == 7);
}

void ring_compatibility(void)
{
    user_init();
    for (uint64_t i = 0; i < 20; i++)
        EXPECT(user_run_flags(ring_compat, ROUNDS, 0, SEL_USER_CODE32) ==
               ROUNDS * (ROUNDS + 1) / 2);
    EXPECT(interrupts_0x81 == 20 * ROUNDS);
}

/* A page is code of both sizes, and each has translations of its own. */
void both_sizes(void)
{
    for (unsigned i = 0; i < 3 * ROUNDS; i++) {
        EXPECT(both_code() == 0);
        EXPECT(both_in_32() == 1);
    }
}

/* The processor aligns the stack before it pushes an interrupt's frame, and IRET puts it back. */
static uint64_t odd_stack;

static bool stack_hook(struct frame *frame)
{
    if (frame->vector != 0x82)
        return false;
    odd_stack = frame->rsp;
    EXPECT(((uint64_t)(frame + 1) & 15) == 0);
    return true;
}

void ring_odd_stack(void)
{
    trap_hook = stack_hook;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t wanted, after, odd = 128 + i % 16, a;
        __asm__ volatile("mov %%rsp, %%rbx; sub %[odd], %%rsp; mov %%rsp, %[wanted];"
                         "push %%rbx; pop %[a]; call 1f; jmp 2f; 1: mov $5, %[a]; ret; 2:"
                         "int $0x82; mov %%rsp, %[after]; mov %%rbx, %%rsp"
                         : [wanted] "=&r"(wanted), [after] "=&r"(after), [a] "=&r"(a)
                         : [odd] "r"(odd)
                         : "rbx", "memory", "cc");
        EXPECT(after == wanted && odd_stack == wanted && a == 5);
    }
}

/* Stack accesses to where no stack is: #SS at addresses that are not canonical, else #PF; nothing
 * is changed. Faults have a stack of their own meanwhile. */
#define WILD(text, address, vector, error)                                                        \
    do {                                                                                          \
        TRY("mov %%rsp, %%rcx; mov %[s], %%rsp; " text "; 78: mov %%rcx, %%rsp", [s] "r"(         \
                                                                                     (address))); \
        EXPECT(trap_vector == (vector) && trap_error == (error));                                 \
        EXPECT((vector) != 14 || trap_cr2 == trap_wanted);                                        \
    } while (0)

static uint64_t trap_wanted, good_stack;

/* Back to the stack that RCX keeps. */
static bool wild_hook(struct frame *frame)
{
    if (frame->vector < 8 || frame->vector > 14)
        return false;
    good_stack = frame->rsp;
    frame->rsp = frame->rcx;
    frame->rip = trap_resume;
    return true;
}

static void wild_at(uint64_t s, unsigned vector)
{
    uint64_t r = 0, w = vector == 14 ? 2 : 0;

    trap_wanted = s - 8;
    WILD("push %%rax", s, vector, w);
    EXPECT(good_stack == s);
    WILD("call 78f", s, vector, w);
    WILD("pushfq", s, vector, w);
    WILD("push trap_count(%%rip)", s, vector, w);
    WILD("call *trap_hook(%%rip)", s, vector, w);
    WILD("xor %%eax, %%eax; call *%%rax", s, vector, w);
    trap_wanted = s;
    WILD("pop %%rax", s, vector, r);
    WILD("ret", s, vector, r);
    WILD("mov (%%rsp), %%rax", s, vector, r);
    WILD("mov %%rax, (%%rsp)", s, vector, w);
    WILD("addq $1, (%%rsp)", s, vector, w);
    WILD("popfq", s, vector, r);
    EXPECT(good_stack == s);
    trap_wanted = s + 64;
    WILD("movups 64(%%rsp), %%xmm0", s, vector, r);
    WILD("xor %%eax, %%eax; mov 64(%%rsp,%%rax,1), %%edx", s, vector, r);
}

void wild_stack(void)
{
    user_init();
    trap_hook = wild_hook;
    for (unsigned vector = 8; vector < 15; vector++)
        idt_stack(vector, 1);
    for (uint64_t i = 0; i < ROUNDS / 3; i++) {
        wild_at(WINDOW + 0x800 + i * 8, 14);
        wild_at(UINT64_C(0x0000700000000000) + i * 8, 14);
        wild_at(UINT64_C(0xffff888000000000) + i * 8, 14);
        wild_at(UINT64_C(0x8000000000000800) + i * 8, 12);
        wild_at(UINT64_C(0x00008000000000ff) + i * 4096, 12);
        wild_at(UINT64_C(0xdeadbeefdeadbe00) + i, 12); /* not aligned either */
        wild_at(UINT64_C(0x0000020000000803) + i, 14);
    }
}

/* single steps */

static uint64_t stepped[64];
static unsigned steps;

static bool step_hook(struct frame *frame)
{
    uint64_t dr6;

    if (frame->vector != 1)
        return ring_hook(frame);
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("mov %0, %%dr6" : : "r"(UINT64_C(0xffff0ff0)));
    EXPECT((dr6 & 0xe00f) == 0x4000);
    if (steps < 64)
        stepped[steps] = frame->rip;
    steps++;
    return true;
}

/* behind NOP; three times the string; LEA; not behind the load of SS, but behind the NOP there;
 * PUSHF, AND, POPF */
static void check_steps(void)
{
    const uint64_t wanted[] = {(uint64_t)step_string, (uint64_t)step_string,
                               (uint64_t)step_string, (uint64_t)step_after,
                               (uint64_t)step_shadow, (uint64_t)step_behind + 1};

    EXPECT(steps == 9);
    for (unsigned i = 0; i < 6; i++)
        EXPECT(stepped[i] == wanted[i]);
    EXPECT(stepped[8] == (uint64_t)step_end);
    steps = 0;
}

typedef void step_function(void *to, const void *from);

static void user_steps(uint64_t rounds)
{
    char from[4] = "abc", to[4] = {0};

    for (uint64_t i = 0; i < rounds; i++)
        ((step_function *)step_code)(to, from);
    user_end(to[2]);
}

void step_through(void)
{
    char from[4] = "xyz", to[4] = {0};

    user_init();
    trap_hook = step_hook;
    for (unsigned i = 0; i < ROUNDS; i++) {
        ((step_function *)step_code)(to, from);
        check_steps();
    }
    EXPECT(to[2] == 'z');
    for (unsigned i = 0; i < ROUNDS; i++) {
        EXPECT(user_run(user_steps, 1) == 'c');
        check_steps();
    }
}

/* breakpoints */

static uint64_t broke_at[4];
static unsigned breaks, broke_dr6;

static bool break_hook(struct frame *frame)
{
    uint64_t dr6;

    if (frame->vector != 1)
        return false;
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("mov %0, %%dr6" : : "r"(UINT64_C(0xffff0ff0)));
    broke_dr6 = (unsigned)(dr6 & 0xe00f);
    broke_at[breaks++ & 3] = frame->rip;
    if (dr6 & 1)
        frame->rflags |= 1 << 16; /* RF: past the instruction */
    return true;
}

static void arm(uint64_t dr0, uint64_t dr1, uint64_t dr7)
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr7"
                     :
                     : "r"(dr0), "r"(dr1), "r"(dr7 | 0x400)
                     : "memory");
}

static volatile uint64_t watched[4] __attribute__((aligned(32)));

static void break_on_code(void)
{
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        for (uint64_t k = 0; k < 40; k++)
            EXPECT(break_code(k) == k + 3);
        EXPECT(breaks == 0);
        arm((uint64_t)break_here, 0, 2);
        for (uint64_t k = 0; k < 10; k++)
            EXPECT(break_code(k) == k + 3);
        arm(0, 0, 0);
        EXPECT(breaks == 10 && broke_at[0] == (uint64_t)break_here && broke_dr6 == 1);
        breaks = 0;
    }
}

/* Behind the access. DR1: 8 bytes, writes (1) or reads and writes (3). */
static void break_on_data(void)
{
    uint64_t sum = 0, count;

    for (unsigned i = 0; i < ROUNDS; i++) {
        watched[1] = i;
        sum += watched[1] + watched[2];
    }
    EXPECT(breaks == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        arm(0, (uint64_t)&watched[1], 0x8 | (i & 1 ? UINT64_C(3) : 1) << 20 | UINT64_C(2) << 22);
        watched[0] = watched[2] = i; /* beside it */
        EXPECT(breaks == 0);
        *(volatile uint8_t *)((uint64_t)&watched[1] + 7) = 1;
        EXPECT(breaks == 1 && broke_dr6 == 2);
        __asm__ volatile("movl $1, -2(%0); 1: cmpq %%rax, %%rax"
                         :
                         : "r"(&watched[1])
                         : "memory", "cc");
        EXPECT(breaks == 2);
        sum += watched[1];
        EXPECT(breaks == 2 + (i & 1));
        count = 4;
        uint64_t to = (uint64_t)&watched[0];
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0) : "memory");
        EXPECT(breaks == 3 + (i & 1));
        arm(0, 0, 0);
        breaks = 0;
        watched[1] = sum;
        EXPECT(breaks == 0);
    }
}

static void break_on_general(void)
{
    for (unsigned i = 0; i < 20; i++) {
        arm(0, 0, 1 << 13); /* general detect: #DB in front of MOV to DR, which clears GD */
        __asm__ volatile("mov %0, %%dr2" : : "r"(UINT64_C(0)));
        EXPECT(breaks == 1 && broke_dr6 == 0x2000);
        breaks = 0;
        __asm__ volatile(".byte 0xf1"); /* INT1 */
        EXPECT(breaks == 1 && (broke_dr6 & 0xf) == 0);
        breaks = 0;
    }
}

void breakpoints(void)
{
    trap_hook = break_hook;
    break_on_code();
    break_on_data();
    break_on_general();
}
