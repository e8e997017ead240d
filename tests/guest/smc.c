/* SPDX-License-Identifier: Apache-2.0 */
/* Code that changes: by itself, by aliases, by every kind of store, by devices, by other
 * processors. On x86 a processor sees its own stores at the next instruction (SDM volume 3, 13.6
 * says after a jump for old ones; all that have paging and pipelines keep the stronger rule for the
 * same linear address), and another's after a serializing instruction. */
#include "guest.h"

typedef uint32_t code(void);

#define MOV_EAX 0xb8
#define RET     0xc3

static uint8_t *at(uint64_t address)
{
    return (uint8_t *)address;
}

static uint32_t call(uint64_t address)
{
    return ((code *)address)();
}

/* mov eax, value; ret */
static void write_code(uint64_t where, uint32_t value)
{
    at(where)[0] = MOV_EAX;
    *(volatile uint32_t *)(where + 1) = value;
    at(where)[5] = RET;
}

void smc_itself(void)
{
    uint32_t a, sum;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        a = 0;
        __asm__ volatile("movb %b1, 1f+1(%%rip); 1: movb $0, %b0" : "+a"(a) : "c"(i) : "memory");
        EXPECT((a & 0xff) == (i & 0xff));
        __asm__ volatile(
            "movb %b1, 2f+1(%%rip); jmp 3f; nop; 3: xor %%edx, %%edx; nop; 2: movb $0, %b0"
            : "+a"(a)
            : "c"(i + 1)
            : "memory", "edx", "cc");
        EXPECT((a & 0xff) == ((i + 1) & 0xff));
    }
    for (unsigned i = 0; i < 10; i++) { /* a loop that changes its own first instruction */
        __asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; movb $0, 1f+1(%%rip);"
                         "1: movb $0, %%al; movzbl %%al, %%eax; add %%eax, %%edx; inc %%ecx;"
                         "movb %%cl, 1b+1(%%rip); cmp $200, %%ecx; jne 1b"
                         : "=d"(sum)
                         :
                         : "memory", "rax", "rcx", "cc");
        EXPECT(sum == 199 * 200 / 2);
    }
    for (unsigned i = 0; i < ROUNDS; i++) { /* an instruction that doubles its own operand */
        __asm__ volatile("movb $1, 1f+6(%%rip); mov $5, %%ecx; 1: addb $1, 1b+6(%%rip);"
                         "dec %%ecx; jnz 1b; movzbl 1b+6(%%rip), %0"
                         : "=a"(a)
                         :
                         : "memory", "rcx", "cc");
        EXPECT(a == 32);
    }
}

/* Ways to store one byte; the bytes around it keep what they are. */
static void by_push(uint64_t where, uint8_t v)
{
    uint64_t whole = (*(uint64_t *)where & ~UINT64_C(0xff)) | v;
    __asm__ volatile("mov %%rsp, %%rax; lea 8(%0), %%rsp; push %1; mov %%rax, %%rsp"
                     :
                     : "r"(where), "r"(whole)
                     : "rax", "memory");
}

static void by_vector(uint64_t where, uint8_t v)
{
    uint8_t whole[16];

    for (unsigned i = 0; i < 16; i++)
        whole[i] = at(where)[i];
    whole[0] = v;
    __asm__ volatile("movups %0, %%xmm3; movups %%xmm3, (%1)"
                     :
                     : "m"(whole), "r"(where)
                     : "xmm3", "memory");
}

static void by_exchange(uint64_t where, uint8_t v)
{
    __asm__ volatile("xchgb %0, (%1)" : "+q"(v) : "r"(where) : "memory");
}

static void by_compare(uint64_t where, uint8_t v)
{
    uint64_t old = *(uint64_t *)where, new = (old & ~UINT64_C(0xff)) | v;
    __asm__ volatile("lock cmpxchgq %2, (%1)" : "+a"(old) : "r"(where), "r"(new) : "memory", "cc");
}

static void by_string(uint64_t where, uint8_t v)
{
    uint64_t count = 1;
    __asm__ volatile("rep stosb" : "+D"(where), "+c"(count) : "a"(v) : "memory");
}

static void by_copy(uint64_t where, uint8_t v)
{
    const uint8_t *from = &v;
    uint64_t count = 1;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(where), "+c"(count) : : "memory");
}

static void by_bits(uint64_t where, uint8_t v)
{
    for (unsigned bit = 0; bit < 8; bit++)
        if (v >> bit & 1)
            __asm__ volatile("lock btsl %1, (%0)" : : "r"(where), "r"(bit) : "memory", "cc");
        else
            __asm__ volatile("lock btrl %1, (%0)" : : "r"(where), "r"(bit) : "memory", "cc");
}

static void by_xor(uint64_t where, uint8_t v)
{
    __asm__ volatile("xorb %1, (%0)"
                     :
                     : "r"(where), "q"((uint8_t)(v ^ *at(where)))
                     : "memory", "cc");
}

static void by_not_temporal(uint64_t where, uint8_t v)
{
    uint32_t whole = (*(uint32_t *)where & ~0xffu) | v;
    __asm__ volatile("movnti %1, (%0); sfence" : : "r"(where), "r"(whole) : "memory");
}

static void by_x87(uint64_t where, uint8_t v)
{
    int64_t whole = (int64_t)((*(uint64_t *)where & ~UINT64_C(0xff)) | v);
    __asm__ volatile("fildll %1; fistpll (%0)" : : "r"(where), "m"(whole) : "memory", "st");
}

static void by_set(uint64_t where, uint8_t v)
{
    __asm__ volatile("cmpb $0, %1; setne (%0)" : : "r"(where), "q"(v) : "memory", "cc");
}

static void (*const stores[])(uint64_t where, uint8_t v) = {
    by_push, by_vector, by_exchange, by_compare, by_string,       by_copy,
    by_bits, by_xor,    by_x87,      by_set,     by_not_temporal,
};
enum { STORES = sizeof stores / sizeof stores[0] };

/* Page 0 runs; it is written there, and as page 1. */
void smc_stores(void)
{
    window_open();
    window_map(0, POOL | PTE_RW);
    window_map(1, POOL | PTE_RW);
    for (unsigned k = 0; k < STORES; k++)
        for (unsigned i = 0; i < ROUNDS / 3; i++) {
            uint8_t v = stores[k] == by_set ? i & 1 : (uint8_t)(i * 5 + k);
            write_code(WINDOW + 0x100, 0x1234500);
            EXPECT(call(WINDOW + 0x100) == 0x1234500);
            stores[k](WINDOW + 0x101 + (i & 1) * PAGE, v);
            EXPECT(call(WINDOW + 0x100) == (0x1234500 | v));
        }
    /* eight bytes from the page before into the code */
    window_map(2, pool_page(2) | PTE_RW);
    window_map(3, pool_page(3) | PTE_RW);
    write_code(window_page(3), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t whole = (uint64_t)(i & 0xff) << 40 | (uint64_t)MOV_EAX << 32 | i;
        *(volatile uint64_t *)(window_page(3) - 4) = whole;
        EXPECT(call(window_page(3)) == (i & 0xff) && *(uint32_t *)(window_page(3) - 4) == i);
    }
}

/* incl (address); mov eax, 7; ret */
static void write_counter(uint64_t where, uint32_t address)
{
    at(where)[0] = 0xff;
    at(where)[1] = 0x04;
    at(where)[2] = 0x25;
    *(volatile uint32_t *)(where + 3) = address;
    write_code(where + 7, 7);
}

/* Data that changes all the time on a page that runs. */
void smc_data_beside_code(void)
{
    window_open();
    window_map(0, POOL | PTE_RW);
    write_counter(WINDOW, WINDOW + 0x800);
    *(volatile uint32_t *)(WINDOW + 0x800) = 0;
    for (unsigned i = 0; i < 20000; i++)
        if (call(WINDOW) != 7)
            EXPECT(!"returns 7");
    EXPECT(*(volatile uint32_t *)(WINDOW + 0x800) == 20000);
    for (unsigned i = 0; i < ROUNDS; i++) { /* and now and then the code too */
        write_code(WINDOW + 7, i);
        EXPECT(call(WINDOW) == i);
    }
}

/* The same linear address, other pages; the same page, other linear addresses. */
void smc_mapping(void)
{
    static const uint8_t where_am_i[] = {0x48, 0x8d, 0x05, 0, 0, 0, 0, RET}; /* lea rax, [rip] */

    window_open();
    window_map(8, POOL | PTE_RW);
    window_map(9, pool_page(1) | PTE_RW);
    write_code(window_page(8), 1);
    write_code(window_page(9), 2);
    for (unsigned i = 0; i < sizeof where_am_i; i++)
        at(window_page(8) + 64)[i] = where_am_i[i];
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i & 2) {
            window_map(0, pool_page(i & 1) | PTE_P);
        } else {
            window[0] = pool_page(i & 1) | PTE_P;
            write_cr3(read_cr3());
        }
        EXPECT(call(WINDOW) == 1 + (i & 1));
        window_map(1 + i % 5, POOL | PTE_P);
        EXPECT(call(window_page(1 + i % 5) + 64) == window_page(1 + i % 5) + 64 + 7);
        EXPECT(call(window_page(8) + 64) == window_page(8) + 64 + 7);
    }
    /* an instruction on two pages, the second of which changes */
    window_map(10, pool_page(2) | PTE_RW);
    window_map(11, pool_page(3) | PTE_RW);
    window_map(12, pool_page(4) | PTE_RW);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t first = window_page(11) - 2;
        window_map(11, pool_page(3 + (i & 1)) | PTE_RW);
        write_code(first, 0x11110000 + i * 256);
        EXPECT(call(first) == 0x11110000 + i * 256);
        window_map(11, pool_page(4 - (i & 1)) | PTE_RW);
        at(window_page(11))[0] = 0x77;
        at(window_page(11))[1] = at(window_page(11))[2] = 0;
        at(window_page(11))[3] = RET;
        EXPECT((call(first) & 0xffff00) == 0x7700);
    }
    /* no right to run it any more, and again */
    for (unsigned i = 0; i < ROUNDS; i++) {
        window_map(8, POOL | PTE_RW | PTE_NX);
        TRY("mov %%rsp, %%rcx; call *%[f]", [f] "r"(window_page(8)));
        EXPECT(trap_vector == 14 && trap_error == 0x11 && trap_cr2 == window_page(8));
        __asm__ volatile("add $8, %%rsp" : : : "memory", "cc"); /* what CALL has pushed */
        window_map(8, POOL | PTE_RW);
        EXPECT(call(window_page(8)) == 1);
    }
}

/* A device writes. */
void smc_dma(void)
{
    window_open();
    window_map(0, POOL | PTE_RW);
    write_code(WINDOW, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        EXPECT(call(WINDOW) == ((i + 255) & 0xff) || !i);
        command(CMD_DMA_AT | (POOL + 1));
        command(CMD_DMA | (i & 0xff));
        EXPECT(call(WINDOW) == (i & 0xff));
    }
}

/* Two processors: this one writes what the other runs. */

static volatile uint32_t runner_calls, runner_value, runner_wrong, runner_stop, runner_synced;
static volatile uint64_t poked; /* where INT3 stands now; 0: nowhere */
static volatile uint64_t poked_next;
static uint32_t runner;

static bool poke_hook(struct frame *frame)
{
    if (frame->vector == 0x73) {
        apic_write(0xb0, 0);
        runner_synced++;
        return true;
    }
    if (frame->vector == 3 && frame->rip - 1 == poked) {
        frame->rip = poked_next;
        return true;
    }
    return false;
}

static void run_for_ever(void)
{
    interrupts(true);
    while (!runner_stop) {
        uint32_t v = call(WINDOW);
        runner_value = v;
        if (v >= 0x10000)
            runner_wrong++;
        runner_calls++;
    }
    runner_stop = 2;
}

static void sync_runner(void)
{
    uint32_t before = runner_synced;

    apic_ipi(runner, 0x4073);
    while (runner_synced == before)
        __asm__ volatile("pause");
}

static void calls_again(void)
{
    uint32_t before = runner_calls;

    while (runner_calls - before < 3)
        __asm__ volatile("pause");
}

static void start_runner(void)
{
    window_open();
    window_map(0, POOL | PTE_RW);
    window_map(1, POOL | PTE_RW);
    trap_hook = poke_hook;
    write_code(WINDOW, 0);
    runner = ap_start(run_for_ever);
    calls_again();
}

static void stop_runner(void)
{
    runner_stop = 1;
    while (runner_stop != 2)
        __asm__ volatile("pause");
    EXPECT(runner_wrong == 0);
}

void smc_other_cpu(void)
{
    start_runner();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        *(volatile uint32_t *)(WINDOW + (i & 1) * PAGE + 1) = i;
        sync_runner();
        calls_again();
        EXPECT(runner_value == i);
    }
    stop_runner();
}

/* As Linux changes its text: INT3, the rest, the first byte, each known to all before the next.
 * Five bytes are a NOP (then 1 is returned) or a jump (2). */
void smc_text_poke(void)
{
    static const uint8_t nop[5] = {0x0f, 0x1f, 0x44, 0, 0}, jmp[5] = {0xe9, 27, 0, 0, 0};
    uint64_t site = WINDOW + 0x40;

    start_runner();
    write_code(site + 5, 1);
    write_code(site + 32, 2);
    for (unsigned i = 0; i < 5; i++)
        at(site)[i] = nop[i];
    at(WINDOW)[1] = 0x3e; /* jmp site, one instruction at a time: first its distance */
    sync_runner();
    *(volatile uint16_t *)WINDOW = 0x3eeb;
    sync_runner();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint8_t *new = i & 1 ? nop : jmp;
        poked_next = i & 1 ? site + 5 : site + 32;
        poked = site;
        at(site)[0] = 0xcc;
        sync_runner();
        for (unsigned k = 1; k < 5; k++)
            at(site)[k] = new[k];
        sync_runner();
        at(site)[0] = new[0];
        sync_runner();
        calls_again();
        EXPECT(runner_value == (i & 1 ? 1 : 2));
    }
    stop_runner();
}
