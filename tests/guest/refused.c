/* SPDX-License-Identifier: Apache-2.0 */
/* What ring 0 may not write to control registers, MSRs, tables and the APIC, and encodings that
 * long mode has not: SDM volumes 2 and 4, AMD64 APM volume 2, each at its register. What the two
 * makers do differently is left out. */
#include "guest.h"

enum { UD = 6, GP = 13, NONE = -1 };
enum { EFER = 0xc0000080, LSTAR = 0xc0000082, CSTAR = 0xc0000083, FS_BASE = 0xc0000100 };
enum { APIC_BASE = 0x1b, PAT = 0x277, MTRR_BASE0 = 0x200, MTRR_DEFTYPE = 0x2ff };

#define BIT(n) (UINT64_C(1) << (n))
#define TRAPS(vector, text, ...)                            \
    do {                                                    \
        TRY(text, __VA_ARGS__);                             \
        EXPECT(trap_vector == (uint64_t)(int64_t)(vector)); \
    } while (0)

static uint64_t write_msr(uint32_t msr, uint64_t value)
{
    TRY("mov %[m], %%ecx; mov %[v], %%rax; mov %[v], %%rdx; shr $32, %%rdx; wrmsr", [m] "r"(msr),
        [v] "r"(value));
    return trap_vector;
}

static uint64_t read_msr(uint32_t msr)
{
    TRY("mov %[m], %%ecx; rdmsr", [m] "r"(msr));
    return trap_vector;
}

static void msrs(void)
{
    for (uint32_t msr = FS_BASE; msr < FS_BASE + 3; msr++) {
        uint64_t now = rdmsr(msr);
        EXPECT(write_msr(msr, BIT(47)) == GP && write_msr(msr, BIT(63)) == GP);
        EXPECT(write_msr(msr, ~(BIT(47) - 1)) == (uint64_t)NONE);
        EXPECT(rdmsr(msr) == ~(BIT(47) - 1));
        wrmsr(msr, now);
    }
    EXPECT(write_msr(LSTAR, BIT(48)) == GP && write_msr(CSTAR, BIT(62)) == GP);
    uint64_t efer = rdmsr(EFER), pat = rdmsr(PAT);
    EXPECT(write_msr(EFER, efer | 2) == GP && write_msr(EFER, efer | BIT(32)) == GP);
    EXPECT(write_msr(EFER, efer & ~BIT(8)) == GP); /* LME, with paging */
    EXPECT(rdmsr(EFER) == efer);
    EXPECT(write_msr(PAT, 2) == GP && write_msr(PAT, (uint64_t)3 << 56) == GP && rdmsr(PAT) == pat);
    EXPECT(write_msr(MTRR_BASE0, 2) == GP && write_msr(MTRR_DEFTYPE, 0xc07) == GP);
    EXPECT(read_msr(0x12345678) == GP && write_msr(0x12345678, 0) == GP);
}

static void apic_base(void)
{
    uint64_t base = rdmsr(APIC_BASE);

    EXPECT(write_msr(APIC_BASE, base | 1) == GP);
    EXPECT(write_msr(APIC_BASE, base | BIT(60)) == GP);
    EXPECT(write_msr(APIC_BASE, (base & ~BIT(11)) | BIT(10)) == GP); /* x2APIC without APIC */
    wrmsr(APIC_BASE, base | BIT(11));
    wrmsr(APIC_BASE, base | BIT(11) | BIT(10));
    EXPECT(write_msr(APIC_BASE, base | BIT(11)) == GP); /* back only by way of off */
    EXPECT(write_msr(0x802, 0) == GP && write_msr(0x803, 0) == GP && read_msr(0x80b) == GP);
    EXPECT(write_msr(0x80b, 1) == GP && write_msr(0x80b, 0) == (uint64_t)NONE);
    EXPECT(write_msr(0x808, 0x100) == GP && read_msr(0x83f) == GP && read_msr(0x80e) == GP);
    EXPECT(write_msr(0x832, BIT(40)) == GP && read_msr(0x804) == GP);
    wrmsr(APIC_BASE, base & ~BIT(11));
    EXPECT(read_msr(0x802) == GP); /* off */
    wrmsr(APIC_BASE, base | BIT(11));
}

#define CR_TRAPS(vector, n, value) TRAPS(vector, "mov %[v], %%cr" #n, [v] "r"(value))

static void control_registers(void)
{
    uint64_t cr0, cr3 = read_cr3(), cr4 = read_cr4();

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    CR_TRAPS(GP, 0, cr0 & ~BIT(0));
    CR_TRAPS(GP, 0, (cr0 & ~BIT(30)) | BIT(29));
    CR_TRAPS(GP, 0, cr0 | BIT(32));
    CR_TRAPS(GP, 4, cr4 & ~BIT(5));
    CR_TRAPS(GP, 4, cr4 | BIT(63));
    CR_TRAPS(GP, 4, cr4 | BIT(15));
    CR_TRAPS(GP, 3, cr3 | BIT(52));
    CR_TRAPS(GP, 8, BIT(4));
    TRAPS(UD, ".byte 0x0f, 0x22, 0xc8", [v] "r"(cr0)); /* CR1 */
    TRAPS(UD, ".byte 0x0f, 0x20, 0xf8", [v] "r"(cr0)); /* CR7 */
    if (cpuid_register(1, 0, 2) & BIT(17)) {
        write_cr3(cr3 | 8);
        CR_TRAPS(GP, 4, cr4 | BIT(17));
        write_cr3(cr3);
    }
    TRAPS(GP, "mov %[v], %%dr7", [v] "r"(BIT(32)));
    TRAPS(GP, "mov %[v], %%dr6", [v] "r"(BIT(32)));
    write_cr4(cr4 | 8);
    TRAPS(UD, "mov %%db4, %%rax", [v] "r"(cr0));
    write_cr4(cr4);
    EXPECT(read_cr4() == cr4 && read_cr3() == cr3);
}

#define XCR_TRAPS(vector, number, value)                                                         \
    TRAPS(vector, "mov %[n], %%ecx; mov %[v], %%eax; xor %%edx, %%edx; xsetbv", [n] "r"(number), \
          [v] "r"(value))

static void extended_control(void)
{
    if (!(cpuid_register(1, 0, 2) & BIT(26)))
        return;
    uint64_t cr4 = read_cr4();
    write_cr4(cr4 & ~BIT(18));
    XCR_TRAPS(UD, 0, 3);
    write_cr4(cr4 | BIT(18));
    XCR_TRAPS(NONE, 0, 3);
    XCR_TRAPS(GP, 1, 3);
    XCR_TRAPS(GP, 0, 2);
    XCR_TRAPS(GP, 0, 5);
    XCR_TRAPS(GP, 0, 0x80000003);
    TRAPS(UD, "lock; xgetbv", [v] "r"(cr4));
    write_cr4(cr4);
}

static void tables(void)
{
    static const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } nowhere = {0xfff, UINT64_C(1) << 50};
    static const uint64_t invpcid[2] = {1, UINT64_C(1) << 63}, no_pcid[2] = {4096, 0};
    uint64_t flags;

    TRAPS(GP, "lgdt %[m]", [m] "m"(nowhere));
    TRAPS(GP, "lidt %[m]", [m] "m"(nowhere));
    TRAPS(GP, "ltr %w[v]", [v] "r"(0));
    TRAPS(GP, "ltr %w[v]", [v] "r"(SEL_CODE64));
    TRAPS(GP, "lldt %w[v]", [v] "r"(SEL_DATA));
    TRAPS(GP, "mov %[v], %%ss", [v] "r"(SEL_CODE64));
    TRAPS(GP, "mov %[v], %%ds", [v] "r"(0xfff8));
    TRAPS(UD, ".byte 0x8e, 0xc8", [v] "r"(0)); /* MOV to CS */
    TRAPS(NONE, "invlpg (%[v])", [v] "r"(BIT(63)));
    if (cpuid_register(7, 0, 1) & BIT(10)) {
        TRAPS(GP, "invpcid %[m], %[v]", [m] "m"(invpcid), [v] "r"(UINT64_C(0)));
        TRAPS(GP, "invpcid %[m], %[v]", [m] "m"(no_pcid), [v] "r"(UINT64_C(1)));
        TRAPS(GP, "invpcid %[m], %[v]", [m] "m"(invpcid), [v] "r"(UINT64_C(4)));
    }
    __asm__ volatile("lar %w1, %%eax; pushfq; pop %0" : "=r"(flags) : "r"(0) : "rax", "cc");
    EXPECT(!(flags & 0x40));
    __asm__ volatile("verw %w1; pushfq; pop %0" : "=r"(flags) : "r"(SEL_CODE64) : "cc");
    EXPECT(!(flags & 0x40));
    __asm__ volatile("lsl %w1, %%eax; pushfq; pop %0" : "=r"(flags) : "r"(SEL_DATA) : "rax", "cc");
    EXPECT(flags & 0x40);
}

static void encodings(void)
{
    static uint8_t bytes[32] __attribute__((aligned(32)));

    TRAPS(UD, ".byte 0x06", [v] "r"(0));                   /* PUSH ES */
    TRAPS(UD, ".byte 0xce", [v] "r"(0));                   /* INTO */
    TRAPS(UD, ".byte 0x62, 0x00", [v] "r"(0));             /* BOUND, or half an EVEX */
    TRAPS(UD, ".byte 0xea, 0, 0, 0, 0, 8, 0", [v] "r"(0)); /* JMP far */
    TRAPS(UD, ".byte 0xc4, 0x00", [v] "r"(0));             /* LES, or a VEX that is none */
    TRAPS(UD, ".byte 0x37", [v] "r"(0));                   /* AAA */
    TRAPS(UD, "lock; addl $1, %%eax", [v] "r"(0));
    TRAPS(UD, ".byte 0xf0, 0x8b, 0x00", [v] "r"(0)); /* LOCK MOV */
    TRAPS(UD, ".byte 0x0f, 0x0b", [v] "r"(0));
    TRAPS(UD, ".byte 0x0f, 0xff, 0xc0", [v] "r"(0));
    TRAPS(UD, ".byte 0x0f, 0xc7, 0xc8", [v] "r"(0)); /* CMPXCHG8B with a register */
    TRAPS(UD, "ud1 %%eax, %%eax", [v] "r"(0));
    TRAPS(GP, "cmpxchg16b 8(%[v])", [v] "D"(bytes));
    TRAPS(GP, "movaps 1(%[v]), %%xmm0", [v] "D"(bytes));
    TRAPS(NONE, "movups 1(%[v]), %%xmm0", [v] "D"(bytes));
    /* fifteen bytes are an instruction, sixteen are too long */
    TRAPS(NONE, ".fill 14, 1, 0x66; nop", [v] "r"(0));
    TRAPS(GP, ".fill 15, 1, 0x66; nop", [v] "r"(0));
}

void refused(void)
{
    write_cr4(read_cr4() | BIT(9)); /* OSFXSR */
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        msrs();
        apic_base();
        control_registers();
        extended_control();
        tables();
        encodings();
    }
}
