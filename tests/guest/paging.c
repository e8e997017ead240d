/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables in loops that a translator translates: accessed and dirty bits, rights, PCID and
 * INVPCID, accesses and strings that meet the end of what is mapped. */
#include "guest.h"

static volatile uint64_t *word_at(uint64_t address)
{
    return (volatile uint64_t *)address;
}

static void map_pool(unsigned pages, uint64_t bits)
{
    window_open();
    for (unsigned i = 0; i < pages; i++)
        window_map(i, pool_page(i) | bits);
}

/* After INVLPG, one access sets A, and D if it writes. */
static void expect_bits(unsigned page, uint64_t bits)
{
    if ((window[page] & (PTE_A | PTE_D)) != bits)
        EXPECT(!"A and D");
    window_map(page, pool_page(page) | PTE_RW);
}

void accessed_dirty(void)
{
    uint64_t sum = 0, count, from, to;

    map_pool(8, PTE_RW);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned p = i & 3;
        uint64_t at = window_page(p) + i * 8;
        sum += *word_at(at);
        expect_bits(p, PTE_A);
        *word_at(at) = i;
        expect_bits(p, PTE_A | PTE_D);
        sum += *word_at(at); /* a read first, then a write without INVLPG between */
        __asm__ volatile("lock incq (%0)" : : "r"(at) : "memory", "cc");
        expect_bits(p, PTE_A | PTE_D);
        __asm__ volatile("testq $1, (%0); jz 1f; 1:" : : "r"(at) : "cc");
        expect_bits(p, PTE_A);
        __asm__ volatile("movups (%0), %%xmm1" : : "r"(at) : "xmm1", "memory");
        expect_bits(p, PTE_A);
        __asm__ volatile("push (%0); pop %%rax" : : "r"(at) : "rax", "memory");
        expect_bits(p, PTE_A);
        from = window_page(4), to = window_page(5), count = 20;
        __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
        expect_bits(4, PTE_A);
        expect_bits(5, PTE_A | PTE_D);
        *(volatile uint8_t *)window_page(6) = 0xc3;
        expect_bits(6, PTE_A | PTE_D);
        ((void (*)(void))window_page(6))();
        expect_bits(6, PTE_A);
        *word_at(window_page(7) - 4) = 0; /* on two pages */
        expect_bits(6, PTE_A | PTE_D);
        expect_bits(7, PTE_A | PTE_D);
        /* a failing compare and exchange writes too, in the architecture's eyes */
        __asm__ volatile("lock cmpxchgq %1, (%0)"
                         :
                         : "r"(at), "r"(sum), "a"(UINT64_C(77))
                         : "memory", "cc");
        EXPECT(window[p] & PTE_A);
        window_map(p, pool_page(p) | PTE_RW);
    }
}

static void set_cr0_wp(bool on)
{
    uint64_t cr0;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    cr0 = on ? cr0 | 1 << 16 : cr0 & ~(UINT64_C(1) << 16);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
}

/* A page's rights come and go while the same code uses it. */
void page_rights(void)
{
    map_pool(2, PTE_RW);
    set_cr0_wp(true);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < 10; k++) {
            TRY("mov %[v], (%[a])", [a] "r"(window_page(0) + 8), [v] "r"((uint64_t)i));
            EXPECT(trap_vector == ~UINT64_C(0) && *word_at(WINDOW + 8) == i);
            if (k == 8)
                window_map(0, pool_page(0) | PTE_P);
            if (k == 8)
                break;
        }
        TRY("mov %[v], (%[a])", [a] "r"(window_page(0) + 8), [v] "r"(UINT64_C(5555)));
        EXPECT(trap_vector == 14 && trap_error == 3 && trap_cr2 == WINDOW + 8);
        EXPECT(*word_at(WINDOW + 8) == i);
        if (i & 1) {
            set_cr0_wp(false);
            *word_at(WINDOW + 8) = 6666;
            set_cr0_wp(true);
            EXPECT(*word_at(WINDOW + 8) == 6666);
        }
        window_map(0, 0);
        TRY("mov (%[a]), %%rax", [a] "r"(window_page(0) + 8));
        EXPECT(trap_vector == 14 && trap_error == 0);
        word_at(GUEST_PD + PAGE)[1] = POOL | 0x2083; /* of a large page, bit 13 is reserved */
        TRY("mov (%[a]), %%rax", [a] "r"(window_page(512) + 8));
        EXPECT(trap_vector == 14 && trap_error == 9);
        word_at(GUEST_PD + PAGE)[1] = POOL | 0x83;
        EXPECT(*word_at(window_page(512) + 8) == *word_at(POOL + 8));
        word_at(GUEST_PD + PAGE)[1] = 0;
        invlpg(window_page(512));
        window_map(0, pool_page(0) | PTE_RW);
    }
}

/* SMEP and SMAP: the kernel and pages of ring 3. */
void page_smap(void)
{
    uint32_t features = cpuid_register(7, 0, 1);

    map_pool(2, PTE_RW | PTE_U);
    *(volatile uint8_t *)WINDOW = 0xc3;
    if (!(features >> 7 & 1) || !(features >> 20 & 1))
        return;
    for (unsigned i = 0; i < ROUNDS; i++) {
        write_cr4(read_cr4() & ~(UINT64_C(3) << 20));
        ((void (*)(void))WINDOW)();
        *word_at(WINDOW + 64) = i;
        write_cr4(read_cr4() | UINT64_C(3) << 20);
        TRY("lea 77f(%%rip), %%rcx; push %%rcx; jmp *%[f]", [f] "r"(WINDOW));
        EXPECT(trap_vector == 14 && trap_error == 0x11);
        __asm__ volatile("add $8, %%rsp" : : : "cc", "memory");
        TRY("mov 64(%[a]), %%rax", [a] "r"(WINDOW));
        EXPECT(trap_vector == 14 && trap_error == 1);
        TRY("movq $0, 64(%[a])", [a] "r"(WINDOW));
        EXPECT(trap_vector == 14 && trap_error == 3);
        __asm__ volatile("stac" : : : "memory", "cc");
        uint64_t v = *word_at(WINDOW + 64);
        *word_at(WINDOW + 72) = v;
        __asm__ volatile("clac" : : : "memory", "cc");
        EXPECT(v == i);
        TRY("mov 64(%[a]), %%rax", [a] "r"(WINDOW));
        EXPECT(trap_vector == 14 && trap_error == 1);
    }
    write_cr4(read_cr4() & ~(UINT64_C(3) << 20));
}

/* PCID: two address spaces that differ in what the window's first pages are. */

static volatile uint64_t other_pml4[512] __attribute__((aligned(4096)));
static volatile uint64_t other_pdpt[512] __attribute__((aligned(4096)));
static volatile uint64_t other_pd[512] __attribute__((aligned(4096)));
static volatile uint64_t other_pt[512] __attribute__((aligned(4096)));
#define NO_FLUSH (UINT64_C(1) << 63)

static void make_other_space(void)
{
    for (unsigned i = 0; i < 512; i++) {
        other_pml4[i] = word_at(GUEST_PML4)[i];
        other_pdpt[i] = word_at(GUEST_PDPT)[i];
        other_pd[i] = word_at(GUEST_PD + PAGE)[i];
        other_pt[i] = window[i];
    }
    other_pml4[0] = (uint64_t)other_pdpt | PTE_RW | PTE_U;
    other_pdpt[1] = (uint64_t)other_pd | PTE_RW | PTE_U;
    other_pd[0] = (uint64_t)other_pt | PTE_RW | PTE_U;
}

static void invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
    struct {
        uint64_t pcid, address;
    } d = {pcid, address};
    __asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static uint32_t call_at(uint64_t address)
{
    return ((uint32_t(*)(void))address)();
}

static void pcid_round(unsigned i)
{
    uint64_t one = GUEST_PML4 | 1, two = (uint64_t)other_pml4 | 2;

    write_cr3(one | (i % 3 ? NO_FLUSH : 0));
    EXPECT(*word_at(WINDOW) == 1000);
    EXPECT(call_at(window_page(2)) == 1);
    *word_at(WINDOW + 8) = i;
    write_cr3(two | (i % 5 ? NO_FLUSH : 0));
    EXPECT(*word_at(WINDOW) == 2000 && *word_at(WINDOW + 8) != i);
    EXPECT(call_at(window_page(2)) == 2);
    *word_at(WINDOW + 8) = i + 10000;
    /* the other's page moves; it is told by INVPCID, of an address, a context, all but global, all
     */
    window[0] = i & 1 ? pool_page(0) | PTE_RW : pool_page(4) | PTE_RW;
    invpcid(i & 3, i & 2 ? 0 : 1, i & 2 ? 0 : WINDOW);
    write_cr3(one | NO_FLUSH);
    EXPECT(*word_at(WINDOW) == (i & 1 ? 1000 : 3000));
    window_map(0, pool_page(0) | PTE_RW);
    /* a global page is the same everywhere, but its entry goes with INVLPG too */
    EXPECT(*word_at(window_page(6)) == 6000 + (i & 1));
    window[6] = other_pt[6] = pool_page(7 - (i & 1)) | PTE_RW | PTE_G;
    invlpg(window_page(6));
    EXPECT(*word_at(window_page(6)) == 6001 - (i & 1));
    write_cr3(two | NO_FLUSH);
    EXPECT(*word_at(window_page(6)) == 6001 - (i & 1));
    write_cr3(one | NO_FLUSH);
}

void pcid(void)
{
    if (!(cpuid_register(1, 0, 2) >> 17 & 1) || !(cpuid_register(7, 0, 1) >> 10 & 1))
        return;
    map_pool(8, PTE_RW);
    for (unsigned i = 0; i < 8; i++)
        *word_at(window_page(i)) = i == 0 ? 1000 : i == 1 ? 2000 : i == 4 ? 3000 : 5994 + i;
    *(volatile uint64_t *)window_page(2) = UINT64_C(0xc300000001b8); /* mov eax, 1; ret */
    *(volatile uint64_t *)window_page(3) = UINT64_C(0xc300000002b8);
    *word_at(window_page(1) + 8) = ROUNDS;
    *word_at(window_page(6)) = 6000;
    *word_at(window_page(7)) = 6001;
    write_cr4(read_cr4() | 1 << 7); /* PGE */
    window_map(6, pool_page(6) | PTE_RW | PTE_G);
    make_other_space();
    other_pt[0] = pool_page(1) | PTE_RW;
    other_pt[2] = pool_page(3) | PTE_RW;
    write_cr3(GUEST_PML4);
    write_cr4(read_cr4() | 1 << 17); /* PCIDE */
    for (unsigned i = 0; i < ROUNDS; i++)
        pcid_round(i);
    TRY("mov $4, %%eax; sub $16, %%rsp; movq $1, (%%rsp); invpcid (%%rsp), %%rax", "i"(0));
    EXPECT(trap_vector == 13 && trap_error == 0);
    __asm__ volatile("add $16, %%rsp" : : : "cc", "memory");
    TRY("xor %%eax, %%eax; sub $16, %%rsp; movq $0x1000, (%%rsp); movq $0, 8(%%rsp); invpcid "
        "(%%rsp), %%rax",
        "i"(0));
    EXPECT(trap_vector == 13 && trap_error == 0);
    __asm__ volatile("add $16, %%rsp" : : : "cc", "memory");
    write_cr3(GUEST_PML4);
    write_cr4(read_cr4() & ~(UINT64_C(1) << 17));
}

/* Five-level paging is not there, and says so. */
void la57(void)
{
    EXPECT(!(cpuid_register(7, 0, 2) >> 16 & 1));
    for (unsigned i = 0; i < ROUNDS; i++) {
        TRY("mov %%cr4, %%rax; bts $12, %%rax; mov %%rax, %%cr4", "i"(0));
        EXPECT(trap_vector == 13 && trap_error == 0 && !(read_cr4() >> 12 & 1));
        TRY("mov (%[a]), %%rax", [a] "r"(UINT64_C(0x0100000000000000)));
        EXPECT(trap_vector == 13);
    }
}

/* Strings: page 1 of three comes when it is asked for, and never twice. */

static unsigned missing;
static uint64_t missing_rights;

static bool fill_hook(struct frame *frame)
{
    if (frame->vector != 14)
        return false;
    unsigned page = (unsigned)(trap_cr2 - WINDOW) / 4096;
    EXPECT(page < 512 && (window[page] & (PTE_P | missing_rights)) != (PTE_P | missing_rights));
    window_map(page, pool_page(page) | PTE_RW);
    missing++;
    return true;
}

static void clear_pages(unsigned first, uint64_t bits)
{
    for (unsigned i = 0; i < 3; i++)
        window_map(first + i, bits ? pool_page(first + i) | bits : 0);
    missing = 0;
}

static void string_round(unsigned i)
{
    uint64_t from = window_page(0) + 4000 + i % 90, to = window_page(10) + 3950 + i % 130,
             count = 5000;
    uint64_t first_to = to;

    missing_rights = 0;
    clear_pages(0, 0);
    clear_pages(10, i & 1 ? PTE_P : 0); /* read only: a write faults too */
    missing_rights = i & 1 ? PTE_W : 0;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    EXPECT(count == 0 && to == first_to + 5000 && from == window_page(0) + 9000 + i % 90);
    EXPECT(missing >= 4 && missing <= 6);
    for (unsigned k = 0; k < 5000; k += 61)
        EXPECT(*(uint8_t *)(first_to + k) == *(uint8_t *)(window_page(0) + 4000 + i % 90 + k));
}

static void string_down(unsigned i)
{
    uint64_t to = window_page(12) + 800 + i % 8 * 8, count = 700;

    missing_rights = 0;
    clear_pages(10, 0);
    __asm__ volatile("std; rep stosq; cld"
                     : "+D"(to), "+c"(count)
                     : "a"((uint64_t)i)
                     : "memory", "cc");
    EXPECT(count == 0 && to == window_page(12) + 800 + i % 8 * 8 - 5600 &&
           missing == 3 - (to >= window_page(11)));
    EXPECT(*word_at(to + 8) == i && *word_at(window_page(12)) == i);
}

static void string_search(unsigned i)
{
    uint64_t at = window_page(10) + i % 64, count = 12000, other = window_page(0) + i % 64;

    missing_rights = 0;
    window_map(10, pool_page(10) | PTE_RW);
    window_map(11, pool_page(11) | PTE_RW);
    window_map(12, pool_page(12) | PTE_RW);
    for (uint64_t p = window_page(10); p < window_page(13); p += 8)
        *word_at(p) = UINT64_C(0x0101010101010101);
    *(uint8_t *)(window_page(12) + i) = 9;
    clear_pages(10, 0);
    __asm__ volatile("repne scasb" : "+D"(at), "+c"(count) : "a"(9) : "memory", "cc");
    EXPECT(at == window_page(12) + i + 1 && missing == 3);
    for (uint64_t p = 0; p < 3 * PAGE; p += 8)
        *word_at(WINDOW + p) = *word_at(window_page(10) + p);
    *(uint8_t *)(window_page(2) + i % 64 + 100) ^= 1;
    clear_pages(0, 0);
    clear_pages(10, 0);
    at = window_page(10) + i % 64;
    count = 12000;
    __asm__ volatile("repe cmpsb" : "+S"(other), "+D"(at), "+c"(count) : : "memory", "cc");
    EXPECT(at == window_page(12) + i % 64 + 101 && other == window_page(2) + i % 64 + 101 &&
           missing == 6);
}

void string_faults(void)
{
    map_pool(16, PTE_RW);
    set_cr0_wp(true);
    for (uint64_t p = WINDOW; p < window_page(3); p++)
        *(uint8_t *)p = (uint8_t)(p * 7 + (p >> 9));
    trap_hook = fill_hook;
    for (unsigned i = 0; i < ROUNDS; i++)
        string_round(i);
    for (unsigned i = 0; i < ROUNDS; i++)
        string_down(i);
    for (unsigned i = 0; i < ROUNDS / 4; i++)
        string_search(i);
}

/* Accesses that cross: into another page frame, into no page, into a read-only page. */

#define CROSS(text, error)                                                                    \
    do {                                                                                      \
        TRY(text, [a] "r"(edge));                                                             \
        EXPECT(trap_vector == 14 && trap_error == (error) && trap_cr2 == window_page(1));     \
        EXPECT(*word_at(window_page(1) - 8) == before && *word_at(window_page(9)) == behind); \
    } while (0)

static void cross_into_nothing(unsigned i, bool readonly)
{
    uint64_t edge = window_page(1) - 1 - i % 3, before = 0x1111111111111111 * (i & 7);
    uint64_t behind = ~before, w = readonly ? 3 : 2;

    *word_at(window_page(1) - 8) = before;
    window_map(9, pool_page(20) | PTE_RW);
    *word_at(window_page(9)) = behind;
    window_map(1, readonly ? pool_page(20) | PTE_P : 0);
    if (!readonly) {
        CROSS("mov (%[a]), %%rax", 0);
        CROSS("mov (%[a]), %%eax", 0);
        CROSS("movups (%[a]), %%xmm0", 0);
        CROSS("fldl (%[a])", 0);
        CROSS("cmp %%rax, (%[a])", 0);
    }
    CROSS("mov %%rax, (%[a])", w);
    CROSS("mov %%eax, (%[a])", w);
    CROSS("movups %%xmm0, (%[a])", w);
    CROSS("add %%rax, (%[a])", w);
    CROSS("lock add %%rax, (%[a])", w);
    CROSS("xchg %%rax, (%[a])", w);
    TRY("stosq", "D"(edge));
    EXPECT(trap_vector == 14 && trap_error == w && trap_cr2 == window_page(1));
    EXPECT(*word_at(window_page(1) - 8) == before && *word_at(window_page(9)) == behind);
}

static void cross_into_frame(unsigned i)
{
    uint64_t v = UINT64_C(0x0123456789abcdef) * (i + 1), got, old;

    for (uint64_t size = 1; size < 8; size++) {
        uint64_t edge = window_page(1) - size;
        *word_at(edge) = v;
        got = *word_at(edge);
        EXPECT(got == v);
        __asm__ volatile("lock xaddq %0, (%1)" : "=r"(old) : "r"(edge), "0"(v) : "memory", "cc");
        EXPECT(old == v && *word_at(edge) == 2 * v);
        __asm__ volatile("lock cmpxchgq %2, (%1)"
                         : "=a"(old)
                         : "r"(edge), "r"(v), "0"(2 * v)
                         : "memory", "cc");
        EXPECT(*word_at(edge) == v);
        __asm__ volatile("movups (%1), %%xmm0; movups %%xmm0, 16(%1); mov 16(%1), %0"
                         : "=r"(got)
                         : "r"(edge)
                         : "memory", "xmm0");
        EXPECT(got == v);
        EXPECT(*(uint8_t *)window_page(9) == (uint8_t)(v >> 8 * size));
    }
}

void crossing(void)
{
    map_pool(2, PTE_RW);
    set_cr0_wp(true);
    for (unsigned i = 0; i < ROUNDS; i++) {
        window_map(9, pool_page(20) | PTE_RW);
        window_map(1, pool_page(20) | PTE_RW); /* not the frame behind page 0's */
        cross_into_frame(i);
        cross_into_nothing(i, i & 1);
    }
}
