/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses across two pages whose frames are not neighbours, by addresses of which a translator may
 * believe that it knows their low bits: the bytes must be those of the second page, never those of
 * the frame behind the first. */
#include "guest.h"

/* Window page 0 and 1 are frames 0 and 20; frame 1, which nobody may see, is page 8, frame 20 is
 * page 9 as well. */
enum { FOREIGN = 8, BEHIND = 9, WALKED = 10, WALK = 12 };

static volatile uint8_t *byte_at(uint64_t address)
{
    return (volatile uint8_t *)address;
}

static uint64_t word(uint64_t address)
{
    uint64_t v = 0;

    for (unsigned i = 8; i-- > 0;)
        v = v << 8 | *byte_at(address + i);
    return v;
}

/* Every page has other bytes; its entries in whatever tables there are have just gone. */
static void prepare(unsigned round)
{
    window_map(FOREIGN, pool_page(1) | PTE_RW);
    window_map(BEHIND, pool_page(20) | PTE_RW);
    for (unsigned i = 0; i < 64; i++) {
        *byte_at(window_page(FOREIGN) + i) = 0xee;
        *byte_at(window_page(BEHIND) + i) = (uint8_t)(round + i);
        *byte_at(window_page(BEHIND) - 1 - i) = 0xdd; /* frame 1's end: not used */
    }
    window_map(0, pool_page(0) | PTE_RW);
    window_map(1, pool_page(20) | PTE_RW);
    for (unsigned i = 0; i < 64; i++)
        *byte_at(window_page(1) - 1 - i) = (uint8_t)(0x80 + i);
    window_map(0, pool_page(0) | PTE_RW);
    window_map(1, pool_page(20) | PTE_RW);
}

static void expect_foreign_untouched(void)
{
    for (unsigned i = 0; i < 64; i++)
        EXPECT(*byte_at(window_page(FOREIGN) + i) == 0xee);
}

/* A stack that was aligned, and one word more. */
static void realigned_stack(uint64_t value)
{
    uint64_t got[2] = {0, 0};

    __asm__ volatile("mov %%rsp, %%rbx; mov %[top], %%rsp; and $-64, %%rsp; push %[value];"
                     "movups (%%rsp), %%xmm0; mov %%rbx, %%rsp; movups %%xmm0, (%[got])"
                     :
                     : [top] "r"(window_page(1) + 13), [value] "r"(value), [got] "r"(got)
                     : "rbx", "xmm0", "memory", "cc");
    EXPECT(got[0] == value && got[1] == word(window_page(BEHIND)));
    __asm__ volatile("mov %%rsp, %%rbx; mov %[top], %%rsp; and $-64, %%rsp; push %[value];"
                     "movups %%xmm0, (%%rsp); mov %%rbx, %%rsp"
                     :
                     : [top] "r"(window_page(1) + 13), [value] "r"(value)
                     : "rbx", "xmm0", "memory", "cc");
    EXPECT(word(window_page(1) - 8) == value);
}

/* The first access is the first to its page, and unaligned such that a check of low bits may pass;
 * RAX is zero and flags are wanted. */
static void after_a_miss(uint64_t value)
{
    uint64_t at = window_page(0) + 0xff7, carry;

    __asm__ volatile("xor %%eax, %%eax; stc; mov (%[at]), %%rax; mov %[v], -8(%[at]);"
                     "mov %[v], 8(%[at]); sbb %[carry], %[carry]"
                     : [carry] "=&r"(carry)
                     : [at] "r"(at), [v] "r"(value)
                     : "rax", "memory", "cc");
    EXPECT(carry == UINT64_MAX);
    EXPECT(word(at + 8) == value);
    EXPECT(word(window_page(BEHIND)) << 8 == (value & ~UINT64_C(0xff)) ||
           *byte_at(window_page(BEHIND)) == (uint8_t)(value >> 8));
}

/* In its second round the loop's pointer has other low bits; the walk meets a new page each time.
 */
static void loop_that_misses(void)
{
    uint64_t sum = 0, want = 0, a = window_page(1) - 4 * WALK, b = window_page(WALKED);

    for (unsigned i = 0; i < WALK; i++) {
        window_map(WALKED + i, pool_page(30 + i) | PTE_RW);
        *byte_at(window_page(WALKED + i)) = (uint8_t)i;
        window_map(WALKED + i, pool_page(30 + i) | PTE_RW);
        want += word(a + 4 * i) + word(a + 4 * i + 8);
    }
    for (unsigned i = 0; i < WALK; i++)
        window_map(WALKED + i, pool_page(30 + i) | PTE_RW);
    __asm__ volatile("mov %[n], %%edi; 1: mov (%[a]), %%rax; mov (%[b]), %%rdx; mov 8(%[a]), %%rsi;"
                     "add %%rax, %[sum]; add %%rsi, %[sum]; add $4, %[a]; add $4096, %[b];"
                     "dec %%edi; jnz 1b"
                     : [sum] "+r"(sum), [a] "+r"(a), [b] "+r"(b)
                     : [n] "i"(WALK)
                     : "rax", "rdx", "rsi", "rdi", "memory", "cc");
    EXPECT(sum == want);
}

/* The count is the pointer; a word of zeros in front of the second page ends the first turn. */
static void loop_by_its_count(void)
{
    uint64_t at = window_page(1), sum = 0, want = 0, turns = 2, from = at, v;

    for (unsigned i = 0; i < 8; i++)
        *byte_at(window_page(1) - 40 + i) = 0;
    for (unsigned turn = 0; turn < 2; turn++) {
        do {
            v = word(from--);
            want += v;
        } while (v);
        from = (from - 7) & ~UINT64_C(7);
    }
    __asm__ volatile("1: mov (%%rcx), %%rax; add %%rax, %[sum]; test %%rax, %%rax; loopne 1b;"
                     "sub $7, %%rcx; and $-8, %%rcx; dec %[turns]; jnz 1b"
                     : [sum] "+r"(sum), "+c"(at), [turns] "+r"(turns)
                     :
                     : "rax", "memory", "cc");
    EXPECT(sum == want && at == from);
}

/* R10 and R11, which translated code keeps in memory: doubled by themselves, used two instructions
 * later. */
static void doubled(uint64_t v)
{
    uint64_t a, b;

    __asm__ volatile("mov %2, %%r10; mov %2, %%r11; jmp 1f; 1: add %%r10, %%r10; xor %%eax, %%eax;"
                     "mov %%r10, %0; add %%r11, %%r11; xor %%eax, %%eax; mov %%r11, %1"
                     : "=&r"(a), "=&r"(b)
                     : "r"(v)
                     : "rax", "r10", "r11", "cc");
    EXPECT(a == 2 * v && b == 2 * v);
}

void known_addresses(void)
{
    for (uint64_t i = 0; i < ROUNDS; i++)
        doubled(i);
    window_open();
    for (unsigned i = 0; i < ROUNDS; i++) {
        prepare(i);
        realigned_stack(UINT64_C(0x1122334455667788) + i);
        prepare(i);
        after_a_miss(UINT64_C(0xa1a2a3a4a5a6a7a8) + i);
        expect_foreign_untouched();
        prepare(i);
        loop_that_misses();
        prepare(i);
        loop_by_its_count();
        expect_foreign_untouched();
    }
}
