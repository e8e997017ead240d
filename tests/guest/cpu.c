/* SPDX-License-Identifier: Apache-2.0 */
/* The processor itself: atomic operations, exceptions, identification, registers. */
#include "guest.h"

void cx16(void)
{
    static struct {
        uint64_t lo, hi, pad;
    } __attribute__((aligned(16))) v = {1, 2, 0};
    uint64_t lo = 1, hi = 2;
    bool equal;

    __asm__ volatile("lock cmpxchg16b %2"
                     : "+a"(lo), "+d"(hi), "+m"(v), "=@ccz"(equal)
                     : "b"(UINT64_C(0x1111111111111111)), "c"(UINT64_C(0x2222222222222222))
                     : "memory");
    EXPECT(equal && v.lo == 0x1111111111111111 && v.hi == 0x2222222222222222);
    __asm__ volatile("lock cmpxchg16b %2"
                     : "+a"(lo), "+d"(hi), "+m"(v), "=@ccz"(equal)
                     : "b"(UINT64_C(5)), "c"(UINT64_C(6))
                     : "memory");
    EXPECT(!equal && lo == 0x1111111111111111 && hi == 0x2222222222222222);
    EXPECT(v.lo == 0x1111111111111111);
    TRY("lock cmpxchg16b 8(%[m])", [m] "r"(&v));
    EXPECT(trap_vector == 13 && trap_error == 0);
}

void exceptions(void)
{
    uint64_t hole = UINT64_C(0x20000000000);
    volatile uint64_t *pd = (volatile uint64_t *)GUEST_PD;

    __asm__ volatile("int3");
    EXPECT(trap_vector == 3 && trap_count[3] == 1);
    __asm__ volatile("int $0x29");
    EXPECT(trap_vector == 0x29 && trap_count[0x29] == 1);
    TRY("ud2", "i"(0));
    EXPECT(trap_vector == 6);
    TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; div %%ecx", "i"(0));
    EXPECT(trap_vector == 0);
    TRY("mov (%[a]), %%rax", [a] "r"(hole));
    EXPECT(trap_vector == 14 && trap_error == 0 && trap_cr2 == hole);
    TRY("movb $1, 5(%[a])", [a] "r"(hole));
    EXPECT(trap_vector == 14 && trap_error == 2 && trap_cr2 == hole + 5);
    TRY("mov (%[a]), %%rax", [a] "r"(UINT64_C(0x8000000000000000)));
    EXPECT(trap_vector == 13 && trap_error == 0);
    TRY("mov $0x58, %%eax; mov %%eax, %%fs", "i"(0));
    EXPECT(trap_vector == 13 && trap_error == 0x58);

    /* write protection, with a large page of its own */
    pd[7] &= ~UINT64_C(2);
    uint64_t cr0;
    __asm__ volatile("mov %%cr0, %0; bts $16, %0; mov %0, %%cr0" : "=&r"(cr0) : : "cc");
    __asm__ volatile("invlpg (%0)" : : "r"(7ul << 21) : "memory");
    TRY("movl $1, (%[a])", [a] "r"(7ul << 21));
    EXPECT(trap_vector == 14 && trap_error == 3);
    pd[7] |= 2;
    TRY("movl $1, (%[a])", [a] "r"(7ul << 21));
    EXPECT(trap_vector == ~UINT64_C(0));

    /* single step */
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; pushfq; andl $~0x100, (%%rsp); popfq"
                     :
                     :
                     : "memory", "cc");
    EXPECT(trap_count[1] == 4); /* behind each of the four, POPF included */
}

static void cpuid_leaf(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(subleaf));
}

void cpuid(void)
{
    static const uint32_t leaves[][2] = {{0, 0},          {1, 0},          {0xb, 0},
                                         {0xb, 1},        {0x40000000, 0}, {0x40000010, 0},
                                         {0x80000008, 0}, {0xd, 0},        {0x80000002, 0}};
    for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        uint32_t r[4];
        cpuid_leaf(leaves[i][0], leaves[i][1], r);
        for (unsigned k = 0; k < 4; k++)
            result(r[k]);
    }
}

void msr(void)
{
    TRY("mov $0x12345678, %%ecx; rdmsr", "i"(0));
    EXPECT(trap_vector == 13);
    TRY("mov $0x12345678, %%ecx; wrmsr", "i"(0));
    EXPECT(trap_vector == 13);
    TRY("mov $0xc0010299, %%ecx; mov $-1, %%eax; rdmsr; mov %%eax, 0(%[m])", [m] "r"(&trap_cr2));
    EXPECT(trap_vector == ~UINT64_C(0) && (uint32_t)trap_cr2 == 0);
    wrmsr(0xc0000082, 0xffffffff81234567);
    EXPECT(rdmsr(0xc0000082) == 0xffffffff81234567);
    wrmsr(0x277, 0x0007040600070106);
    EXPECT(rdmsr(0x277) == 0x0007040600070106);
}

void spin(void)
{
    result(1);
    for (;;)
        __asm__ volatile("pause");
}

/* There is no memory to fetch instructions from. */
void nowhere(void)
{
    ((void (*)(void))ECHO_MMIO)();
}

void triple_fault(void)
{
    static const struct {
        uint64_t zero[2];
    } empty;

    __asm__ volatile("lidt %0; ud2" : : "m"(empty));
}

/* A computation that keeps something in every kind of register, and is interrupted in the middle by
 * a port write. */
void compute(void)
{
    uint64_t sum = 0x9e3779b97f4a7c15;
    double x = 1.0, out;

    wrmsr(0xc0000082, 0x1122334455);
    wrmsr(0xc0000102, 0x66778899);
    __asm__ volatile("fninit; fldpi; fldl2e" : : : "st");
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(0x5555ul), "r"(0x400ul));
    __asm__ volatile("movq %0, %%xmm15; pshufd $0, %%xmm15, %%xmm15" : : "r"(sum) : "xmm15");
    for (unsigned i = 0; i < 2000; i++) {
        sum = (sum ^ (sum >> 29)) * 0xbf58476d1ce4e5b9 + i;
        x = x * 1.0000001 + (double)(sum & 0xff);
        if (i == 1000)
            outl(CTL_COMMAND, 1);
    }
    result((uint32_t)sum);
    result((uint32_t)(sum >> 32));
    __asm__ volatile("faddp; fstpl %0" : "=m"(out) : : "st");
    x += out;
    for (unsigned i = 0; i < 8; i += 4)
        result(*(uint32_t *)((char *)&x + i));
    __asm__ volatile("movq %%xmm15, %0" : "=r"(sum));
    result((uint32_t)(sum >> 32));
    __asm__ volatile("mov %%dr0, %0" : "=r"(sum));
    result((uint32_t)sum);
    result((uint32_t)rdmsr(0xc0000082));
    result((uint32_t)rdmsr(0xc0000102));
    result((uint32_t)trap_count[3]);
    __asm__ volatile("int3");
    result((uint32_t)trap_count[3]);
}
