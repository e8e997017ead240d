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

/* What it returns when it is called often enough to be translated. A page whose code changes all
 * the time is better left alone by a translator, so the programs take turns with PAGES of them. */
enum { CALLS = 40, PAGES = 64 };
static uint32_t hot(uint64_t address)
{
    uint32_t v = call(address);

    for (unsigned i = 1; i < CALLS; i++)
        if (call(address) != v)
            EXPECT(!"always the same");
    return v;
}

/* mov eax, value; ret */
static void write_code(uint64_t where, uint32_t value)
{
    at(where)[0] = MOV_EAX;
    *(volatile uint32_t *)(where + 1) = value;
    at(where)[5] = RET;
}

/* Small functions that store RSI's byte at RDI, which is RDX or in them; they return EAX (smc.S).
 */
typedef uint32_t self_code(uint64_t where, uint64_t byte, uint64_t elsewhere);
extern const uint8_t self_next[], self_next_end[], self_ahead[], self_ahead_end[], self_loop[],
    self_operand[], self_operand_end[], self_caller[], self_caller_end[];

static void copy_code(uint64_t to, const uint8_t *from, const uint8_t *end)
{
    while (from < end)
        *at(to++) = *from++;
}

/* Each on pages of its own, at `offset` the byte that counts: first it stores elsewhere, until it
 * is translated, then into itself. */
static void change_itself(const uint8_t *code, const uint8_t *end, unsigned offset)
{
    static uint8_t elsewhere;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t where = window_page(i % PAGES);
        self_code *run = (self_code *)where;
        copy_code(where, code, end);
        for (unsigned k = 0; k < CALLS; k++)
            if (run((uint64_t)&elsewhere, k, where + offset) != 0)
                EXPECT(!"not changed yet");
        for (unsigned k = 1; k < 4; k++) {
            EXPECT(run(where + offset, i * 4 + k, where + offset) == ((i * 4 + k) & 0xff));
            EXPECT(run((uint64_t)&elsewhere, 0, where + offset) == ((i * 4 + k) & 0xff));
        }
    }
}

static void loop_on_itself(void)
{
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        uint64_t where = window_page(i % PAGES), own = where + (self_operand - self_loop);
        copy_code(where, self_loop, self_operand_end);
        for (unsigned k = 0; k < CALLS; k++) {
            /* a loop that counts in its own first instruction, one whose operand doubles itself */
            EXPECT(((self_code *)where)(0, 0, 0) == 199 * 200 / 2);
            EXPECT(((self_code *)own)(0, 0, 0) == 32);
        }
    }
}

void smc_itself(void)
{
    window_open();
    for (unsigned i = 0; i < PAGES; i++)
        window_map(i, pool_page(i) | PTE_RW);
    change_itself(self_next, self_next_end, 4);
    change_itself(self_ahead, self_ahead_end, 8);
    change_itself(self_caller, self_caller_end, 6);
    loop_on_itself();
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

/* Pages run; they are written there, and at a second address. */
void smc_stores(void)
{
    window_open();
    for (unsigned i = 0; i < 2 * PAGES; i++)
        window_map(i, pool_page(i % PAGES) | PTE_RW);
    for (unsigned i = 0; i < 2 * PAGES * STORES; i++) {
        void (*store)(uint64_t, uint8_t) = stores[i % STORES];
        uint64_t where = window_page(i % PAGES) + 0x100;
        uint8_t v = store == by_set ? i & 1 : (uint8_t)(i * 5 + 3);
        write_code(where, 0x1234500);
        EXPECT(hot(where) == 0x1234500);
        store(where + 1 + (i >> 6 & 1) * PAGES * PAGE, v);
        EXPECT(call(where) == (0x1234500 | v));
    }
    /* eight bytes from the page before into the code */
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t where = window_page(1 + i % 32), whole = (uint64_t)MOV_EAX << 32 | i;
        write_code(where, 77);
        EXPECT(hot(where) == 77);
        *(volatile uint64_t *)(where - 4) = whole | (uint64_t)(i & 0xff) << 40;
        EXPECT(call(where) == (i & 0xff) && *(uint32_t *)(where - 4) == i);
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
        EXPECT(hot(WINDOW) == i);
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
        EXPECT(hot(WINDOW) == 1 + (i & 1));
        window_map(1 + i % 5, POOL | PTE_P);
        EXPECT(hot(window_page(1 + i % 5) + 64) == window_page(1 + i % 5) + 64 + 7);
        EXPECT(hot(window_page(8) + 64) == window_page(8) + 64 + 7);
    }
    /* an instruction on two pages, the second of which changes */
    window_map(10, pool_page(2) | PTE_RW);
    window_map(11, pool_page(3) | PTE_RW);
    window_map(12, pool_page(4) | PTE_RW);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t first = window_page(11) - 2;
        window_map(11, pool_page(3 + (i & 1)) | PTE_RW);
        write_code(first, 0x11110000 + i * 256);
        EXPECT(hot(first) == 0x11110000 + i * 256);
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
        EXPECT(hot(window_page(8)) == 1);
    }
}

/* A device writes. */
void smc_dma(void)
{
    window_open();
    for (unsigned i = 0; i < PAGES; i++)
        window_map(i, pool_page(i) | PTE_RW);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t where = window_page(i % PAGES);
        write_code(where, 0x7700);
        EXPECT(hot(where) == 0x7700);
        command(CMD_DMA_AT | (uint32_t)(pool_page(i % PAGES) + 1));
        command(CMD_DMA | (i & 0xff));
        EXPECT(call(where) == (0x7700 | (i & 0xff)));
    }
}

/* Two processors: this one writes what the other runs. */

static volatile uint32_t runner_calls, runner_value, runner_wrong, runner_stop, runner_synced;
static volatile uint64_t runner_where; /* what it calls */
static volatile uint64_t poked;        /* where INT3 stands now */
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
        uint32_t v = call(runner_where);
        runner_value = v;
        if (v >= 0x10000)
            runner_wrong++;
        runner_calls++;
    }
    runner_stop = 2;
}

/* Behind it the other processor has executed IRET. */
static void sync_runner(void)
{
    uint32_t before = runner_synced;

    apic_ipi(runner, 0x4073);
    while (runner_synced == before)
        __asm__ volatile("pause");
}

static void wait_for_calls(uint32_t count)
{
    uint32_t before = runner_calls;

    while (runner_calls - before < count)
        __asm__ volatile("pause");
}

static void start_runner(void)
{
    window_open();
    for (unsigned i = 0; i < 2 * PAGES; i++)
        window_map(i, pool_page(i % PAGES) | PTE_RW);
    trap_hook = poke_hook;
    write_code(window_page(PAGES - 1), 0);
    runner_where = window_page(PAGES - 1);
    runner = ap_start(run_for_ever);
    wait_for_calls(3);
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
        uint64_t where = window_page(i % PAGES);
        write_code(where, 0x5555);
        runner_where = where;
        sync_runner();
        wait_for_calls(2 * CALLS);
        EXPECT(runner_value == 0x5555);
        *(volatile uint32_t *)(where + 1 + (i & 1) * PAGES * PAGE) = i;
        sync_runner();
        wait_for_calls(3);
        EXPECT(runner_value == i);
    }
    stop_runner();
}

/* As Linux changes its text: INT3, the rest, the first byte, each known to all before the next. */
static void poke(uint64_t site, const uint8_t *new, uint64_t next)
{
    poked_next = next;
    poked = site;
    at(site)[0] = 0xcc;
    sync_runner();
    for (unsigned k = 1; k < 5; k++)
        at(site)[k] = new[k];
    sync_runner();
    at(site)[0] = new[0];
    sync_runner();
}

/* Five bytes are a NOP (then 1 is returned) or a jump (2). */
void smc_text_poke(void)
{
    static const uint8_t nop[5] = {0x0f, 0x1f, 0x44, 0, 0}, jmp[5] = {0xe9, 27, 0, 0, 0};

    start_runner();
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t site = window_page(i) + 0x41;
        copy_code(site, nop, nop + 5);
        write_code(site + 5, 1);
        write_code(site + 32, 2);
    }
    for (uint32_t i = 0; i < 2 * ROUNDS; i++) {
        uint64_t site = window_page(i / 2 % PAGES) + 0x41;
        runner_where = site;
        sync_runner();
        wait_for_calls(2 * CALLS);
        EXPECT(runner_value == (i & 1 ? 2 : 1));
        poke(site, i & 1 ? nop : jmp, i & 1 ? site + 5 : site + 32);
        wait_for_calls(3);
        EXPECT(runner_value == (i & 1 ? 1 : 2));
    }
    stop_runner();
}

/* Without an interrupt: a store, a flag, and a serializing instruction of who sees it. The other
 * one runs the code all the while, so that the page becomes code between two stores. */
static volatile uint32_t race_value, race_seen;

static void race_for_ever(void)
{
    uint32_t last = 0;

    while (!runner_stop) {
        (void)call(runner_where);
        uint32_t value = race_value;
        if (value == last)
            continue;
        last = value;
        __asm__ volatile("cpuid" : "+a"(value) : : "ebx", "ecx", "edx");
        runner_wrong += call(runner_where) != last;
        race_seen = last;
    }
    runner_stop = 2;
}

void smc_race(void)
{
    window_open();
    for (unsigned i = 0; i < PAGES; i++)
        window_map(i, pool_page(i) | PTE_RW);
    write_code(window_page(0), 0);
    runner_where = window_page(0);
    runner = ap_start(race_for_ever);
    for (uint32_t i = 1; i < ROUNDS; i++) {
        uint64_t where = window_page(i / 4 % PAGES);
        volatile uint32_t *operand = (volatile uint32_t *)(where + 1);
        if (i % 4 == 0) {
            write_code(where, 0);
            runner_where = where;
        }
        *operand = 0;
        for (uint32_t k = 0; k < i % 61 * 400; k++)
            __asm__ volatile("" : : : "memory");
        *operand = i;
        race_value = i;
        while (race_seen != i)
            __asm__ volatile("pause");
    }
    stop_runner();
}

/* An instruction on two pages, of which one changes: by itself, by a device, by the other
 * processor. */
void smc_across(void)
{
    start_runner();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        unsigned page = i * 2 % (PAGES - 2), part = i / 3 % 4; /* of the operand */
        uint64_t where = window_page(page + 1) - 3;
        uint32_t mask = UINT32_C(0xff) << part * 8, old = 0x22334455,
                 new = (old & ~mask) | (i & mask);
        write_code(where, old);
        EXPECT(hot(where) == old);
        if (i % 3 == 1) {
            uint64_t at =
                part < 2 ? pool_page(page) + PAGE - 2 + part : pool_page(page + 1) + part - 2;
            command(CMD_DMA_AT | (uint32_t)at);
            command(CMD_DMA | (i >> part * 8 & 0xff));
            EXPECT(call(where) == new);
            continue;
        }
        if (i % 3 == 2) {
            runner_where = where;
            sync_runner();
            wait_for_calls(2 * CALLS);
        }
        at(where)[1 + part] = (uint8_t)(i >> part * 8);
        if (i % 3 == 2) {
            sync_runner();
            wait_for_calls(3);
            EXPECT(runner_value == new);
            runner_where = window_page(PAGES - 1);
            sync_runner();
        }
        EXPECT(call(where) == new);
    }
    runner_wrong = 0; /* it has returned large numbers */
    stop_runner();
}
