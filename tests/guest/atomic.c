/* SPDX-License-Identifier: Apache-2.0 */
/* Two processors on the same memory: locked operations, aligned and across lines and pages;
 * CMPXCHG16B; what one may see of the other's stores. */
#include "guest.h"

enum { COUNT = 20000 };

/* One processor a side: both do the same. */
static volatile uint32_t arrived, wrong;
static void (*volatile both)(unsigned me);

/* Both are here before either goes on. */
static void meet(unsigned round)
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < 2 * round)
        __asm__ volatile("pause");
}

static void other_side(void)
{
    both(1);
    meet(3);
}

static void run_both(void (*work)(unsigned me))
{
    window_open();
    for (unsigned i = 0; i < 4; i++)
        window_map(i, pool_page(3 - i) | PTE_RW);
    for (unsigned i = 0; i < 4 * PAGE; i += 8)
        *(volatile uint64_t *)(WINDOW + i) = 0;
    both = work;
    (void)ap_start(other_side);
    work(0);
    meet(3);
    EXPECT(!wrong);
}

/* counters: aligned, across a cache line, across a page (whose frames do not follow each other) */
#define AT_ALIGNED 0x100
#define AT_LINE    0x13d
#define AT_PAGE    0xffb

static void add_up(unsigned me)
{
    meet(1);
    for (uint64_t i = 0; i < COUNT; i++) {
        __asm__ volatile("lock incq (%0)" : : "r"(WINDOW + AT_ALIGNED) : "memory", "cc");
        __asm__ volatile("lock addl %1, (%0)"
                         :
                         : "r"(WINDOW + AT_LINE), "r"(1 + me)
                         : "memory", "cc");
        if (i % 16)
            continue;
        uint64_t one = 1;
        __asm__ volatile("lock xaddq %0, (%1)"
                         : "+r"(one)
                         : "r"(WINDOW + AT_PAGE)
                         : "memory", "cc");
        uint64_t old = *(volatile uint64_t *)(WINDOW + 0x200);
        bool done;
        do
            __asm__ volatile("lock cmpxchgq %3, (%2)"
                             : "+a"(old), "=@ccz"(done)
                             : "r"(WINDOW + 0x200), "r"(old + 3)
                             : "memory");
        while (!done);
        __asm__ volatile("lock btcq %0, (%1)"
                         :
                         : "r"(i / 16 % 64), "r"(WINDOW + 0x210 + me * 8)
                         : "memory", "cc");
        __asm__ volatile("lock xorb %0, (%1)"
                         :
                         : "q"((uint8_t)(1 << me)), "r"(WINDOW + 0x220)
                         : "memory", "cc");
    }
    meet(2);
    if (*(volatile uint64_t *)(WINDOW + AT_ALIGNED) != 2 * COUNT ||
        *(volatile uint32_t *)(WINDOW + AT_LINE) != 3 * COUNT ||
        *(volatile uint64_t *)(WINDOW + AT_PAGE) != 2 * COUNT / 16 ||
        *(volatile uint64_t *)(WINDOW + 0x200) != 6 * COUNT / 16 ||
        *(volatile uint8_t *)(WINDOW + 0x220) != 0)
        wrong++;
}

void locked_counters(void)
{
    run_both(add_up);
}

/* 16 bytes at once: the halves always belong together. */
static void pairs(unsigned me)
{
    volatile uint64_t *v = (volatile uint64_t *)(WINDOW + 0x40);

    meet(1);
    for (uint64_t i = 0; i < COUNT / 4; i++) {
        uint64_t lo = v[0], hi = v[1];
        bool done;
        do {
            __asm__ volatile("lock cmpxchg16b (%3)"
                             : "+a"(lo), "+d"(hi), "=@ccz"(done)
                             : "r"(v), "b"(lo + 1), "c"(~(lo + 1))
                             : "memory");
            if (!done && hi != ~lo && (lo || hi))
                wrong = 100 + me;
        } while (!done);
    }
    meet(2);
    if (v[0] != COUNT / 2 || v[1] != ~(uint64_t)(COUNT / 2))
        wrong = 200 + me;
}

void pairs_of_words(void)
{
    run_both(pairs);
}

/* A lock of XCHG around data without any; and messages: data first, then the flag. */
static void spin_lock(unsigned me)
{
    volatile uint32_t *lock = (volatile uint32_t *)WINDOW;
    volatile uint64_t *data = (volatile uint64_t *)(WINDOW + PAGE);

    meet(1);
    for (uint64_t i = 0; i < COUNT / 8; i++) {
        uint32_t taken;
        do {
            taken = 1;
            __asm__ volatile("xchgl %0, (%1)" : "+r"(taken) : "r"(lock) : "memory");
        } while (taken);
        data[0]++;
        data[1] = data[0] ^ 0x5555;
        __asm__ volatile("" : : : "memory");
        *lock = 0;
    }
    meet(2);
    if (data[0] != COUNT / 4 || data[1] != ((COUNT / 4) ^ 0x5555))
        wrong = 300 + me;
}

static void messages_across(unsigned me)
{
    volatile uint64_t *flag = (volatile uint64_t *)WINDOW,
                      *data = (volatile uint64_t *)(WINDOW + 2 * PAGE);

    meet(1);
    for (uint64_t i = 1; i < COUNT / 4; i++) {
        if (me) {
            data[i % 100] = i * 3;
            flag[0] = i;
            while (flag[8] != i)
                __asm__ volatile("pause");
        } else {
            while (flag[0] != i)
                __asm__ volatile("pause");
            if (data[i % 100] != i * 3)
                wrong = 400;
            flag[8] = i;
        }
    }
    meet(2);
}

/* With MFENCE between store and load, one of both sees the other's store. */
static void store_and_look(unsigned me)
{
    volatile uint32_t *mine = (volatile uint32_t *)(WINDOW + me * 128),
                      *yours = (volatile uint32_t *)(WINDOW + 128 - me * 128);
    volatile uint32_t *saw = (volatile uint32_t *)(WINDOW + PAGE);
    volatile uint32_t *turn = (volatile uint32_t *)(WINDOW + 2 * PAGE);

    meet(1);
    for (uint32_t i = 1; i < COUNT / 10; i++) {
        __asm__ volatile("movl %2, (%1); mfence; movl (%3), %0"
                         : "=r"(saw[me * 32])
                         : "r"(mine), "r"(i), "r"(yours)
                         : "memory");
        turn[me * 32] = i;
        while (turn[32 - me * 32] < i)
            __asm__ volatile("pause");
        if (!me && saw[0] < i && saw[32] < i)
            wrong = 500;
        turn[me * 32 + 16] = i;
        while (turn[32 - me * 32 + 16] < i)
            __asm__ volatile("pause");
    }
    meet(2);
}

void locks(void)
{
    run_both(spin_lock);
}

void message_order(void)
{
    run_both(messages_across);
}

void store_order(void)
{
    run_both(store_and_look);
}
