/* SPDX-License-Identifier: Apache-2.0 */
/* x87, SSE and AVX state: all forms of saving it, what may not run when, exceptions of their own;
 * in loops where translated code has the registers in its hands. */
#include "guest.h"

enum { X87 = 1, SSE = 2, AVX = 4, ALL = 7 };

static uint8_t area[2][1024] __attribute__((aligned(64)));
static uint64_t shown[16][4] __attribute__((aligned(32)));
static uint32_t form[4]; /* CPUID 0xd, 1 EAX */

static uint64_t read_cr0(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static void write_cr0(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static void set_xcr0(uint32_t v)
{
    __asm__ volatile("xsetbv" : : "a"(v), "d"(0), "c"(0) : "memory");
}

static bool open_vectors(void)
{
    if (!(cpuid_register(1, 0, 2) >> 28 & 1))
        return false;
    write_cr4(read_cr4() | 1 << 18);
    set_xcr0(ALL);
    form[0] = cpuid_register(0xd, 1, 0);
    return true;
}

/* All YMM hold four times their number plus `base`; ST0 and MXCSR depend on it too. */
static void fill(uint64_t base)
{
    uint32_t mxcsr = 0x1f80 | (base & 3) << 13;
    uint64_t st = base * 5;

    __asm__ volatile(
        "vmovq %0, %%xmm15; vpbroadcastq %%xmm15, %%ymm15; vpcmpeqq %%ymm14, %%ymm14, %%ymm14;"
#define NEXT(n, from) "vpsubq %%ymm14, %%ymm" #from ", %%ymm" #n ";"
        NEXT(0, 15) NEXT(1, 0) NEXT(2, 1) NEXT(3, 2) NEXT(4, 3) NEXT(5, 4) NEXT(6, 5) NEXT(7, 6)
            NEXT(8, 7) NEXT(9, 8) NEXT(10, 9) NEXT(11, 10) NEXT(12, 11)
                NEXT(13, 12) "vmovdqa %%ymm13, %%ymm14; ldmxcsr %1; fninit; fildll %2"
#undef NEXT
        :
        : "r"(base), "m"(mxcsr), "m"(st)
        : "memory");
}

/* Right after `fill` or a restore, nothing but integer code between. */
#define SHOW()                                                                                     \
    __asm__ volatile("vmovdqa %%ymm0, (%0); vmovdqa %%ymm1, 32(%0); vmovdqa %%ymm7, 64(%0);"       \
                     "vmovdqa %%ymm8, 96(%0); vmovdqa %%ymm13, 128(%0); vmovdqa %%ymm15, 160(%0);" \
                     "stmxcsr 192(%0); fistpll 200(%0)"                                            \
                     :                                                                             \
                     : "r"(shown)                                                                  \
                     : "memory")

static void expect_shown(uint64_t base, unsigned line)
{
    static const uint8_t add[6] = {1, 2, 8, 9, 14, 0};
    bool good = (uint32_t)shown[6][0] == (0x1f80 | (base & 3) << 13) && shown[6][1] == base * 5;

    for (unsigned i = 0; i < 6; i++)
        for (unsigned k = 0; k < 4; k++)
            good &= shown[i][k] == base + add[i];
    if (!good)
        outl(CTL_FAIL, line);
}

#define SAVE(how, where, mask) \
    __asm__ volatile(how " %0" : "+m"(area[where]) : "a"(mask), "d"(0) : "memory")
#define RESTORE(where, mask) \
    __asm__ volatile("xrstor64 %0" : : "m"(area[where]), "a"(mask), "d"(0) : "memory")

/* Two tasks' registers take turns. */
#define TAKE_TURNS(how)                                   \
    do {                                                  \
        fill(1000);                                       \
        SAVE(how, 0, ALL);                                \
        fill(77777);                                      \
        SAVE(how, 1, ALL);                                \
        for (unsigned i = 0; i < ROUNDS; i++) {           \
            RESTORE(i & 1, ALL);                          \
            SAVE(how, i & 1, ALL);                        \
            fill(i);                                      \
            RESTORE(i & 1, ALL);                          \
            SHOW();                                       \
            expect_shown(i & 1 ? 77777 : 1000, __LINE__); \
            RESTORE(i & 1, ALL);                          \
            SAVE(how, i & 1, ALL);                        \
        }                                                 \
    } while (0)

static void clear_areas(void)
{
    for (unsigned i = 0; i < sizeof area; i++)
        ((volatile uint8_t *)area)[i] = 0;
}

void xsave_forms(void)
{
    if (!open_vectors())
        return;
    clear_areas();
    TAKE_TURNS("xsave64");
    clear_areas();
    if (form[0] & 1)
        TAKE_TURNS("xsaveopt64");
    clear_areas();
    if (form[0] & 2)
        TAKE_TURNS("xsavec64");
    if (form[0] & 8) {
        clear_areas();
        TAKE_TURNS("xsaves64");
    }
}

/* Only what the mask says; what the header lacks becomes its initial state. */
void xsave_parts(void)
{
    if (!open_vectors())
        return;
    clear_areas();
    for (unsigned i = 0; i < ROUNDS; i++) {
        fill(i + 5);
        SAVE("xsave64", 0, ALL);
        EXPECT(area[0][512] == ALL);
        fill(i + 9);
        RESTORE(0, X87 | SSE); /* the upper halves stay */
        SHOW();
        EXPECT(shown[2][0] == i + 5 + 8 && shown[2][3] == i + 9 + 8 && shown[6][1] == (i + 5) * 5);
        area[0][512] = X87; /* SSE and AVX: initial, but MXCSR comes from the area */
        fill(i + 9);
        RESTORE(0, ALL);
        SHOW();
        EXPECT(shown[2][0] == 0 && shown[2][3] == 0 && shown[6][1] == (i + 5) * 5);
        EXPECT((uint32_t)shown[6][0] == (0x1f80 | ((i + 5) & 3) << 13));
        area[0][512] = ALL;
        area[0][513] = 0x80; /* a component that is not there */
        TRY("mov $7, %%eax; xor %%edx, %%edx; xrstor64 (%[a])", [a] "r"(area[0]));
        EXPECT(trap_vector == 13 && trap_error == 0);
        area[0][513] = 0;
        TRY("mov $7, %%eax; xor %%edx, %%edx; xrstor64 8(%[a])", [a] "r"(area[0]));
        EXPECT(trap_vector == 13);
        TRY("mov $7, %%eax; xor %%edx, %%edx; xsave64 16(%[a])", [a] "r"(area[0]));
        EXPECT(trap_vector == 13);
        fill(i);
        __asm__ volatile("fxsave64 %0" : "=m"(area[1]) : : "memory");
        fill(i + 1);
        __asm__ volatile("fxrstor64 %0" : : "m"(area[1]) : "memory");
        SHOW();
        EXPECT(shown[2][0] == i + 8 && shown[2][3] == i + 9 && shown[6][1] == i * 5);
        __asm__ volatile("vzeroupper");
        SHOW();
        EXPECT(shown[2][0] == i + 8 && shown[2][2] == 0 && shown[2][3] == 0);
        __asm__ volatile("fninit; ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
    }
}

#define VEX "vpaddq %%ymm0, %%ymm0, %%ymm0"

/* The rights to run vector instructions come and go while they are hot. */
void vector_rights(void)
{
    uint64_t cr0 = read_cr0(), cr4;

    if (!open_vectors())
        return;
    cr4 = read_cr4();
    for (unsigned i = 0; i < ROUNDS; i++) {
        TRY(VEX "; addps %%xmm1, %%xmm1; fld1; fstp %%st", "i"(0));
        EXPECT(trap_vector == ~UINT64_C(0));
        write_cr0(cr0 | 8); /* TS */
        TRY(VEX, "i"(0));
        EXPECT(trap_vector == 7);
        TRY("addps %%xmm1, %%xmm1", "i"(0));
        EXPECT(trap_vector == 7);
        TRY("fld1", "i"(0));
        EXPECT(trap_vector == 7);
        __asm__ volatile("clts");
        TRY(VEX "; addps %%xmm1, %%xmm1; fld1; fstp %%st", "i"(0));
        EXPECT(trap_vector == ~UINT64_C(0));
        write_cr0((cr0 & ~UINT64_C(2)) | 4); /* EM */
        TRY("addps %%xmm1, %%xmm1", "i"(0));
        EXPECT(trap_vector == 6);
        TRY("fld1", "i"(0));
        EXPECT(trap_vector == 7);
        write_cr0(cr0);
        set_xcr0(X87 | SSE);
        TRY(VEX, "i"(0));
        EXPECT(trap_vector == 6);
        TRY("addps %%xmm1, %%xmm1", "i"(0));
        EXPECT(trap_vector == ~UINT64_C(0));
        set_xcr0(ALL);
        write_cr4(cr4 & ~(UINT64_C(1) << 18));
        TRY(VEX, "i"(0));
        EXPECT(trap_vector == 6);
        write_cr4(cr4 & ~(UINT64_C(1) << 9 | UINT64_C(1) << 18)); /* OSFXSR */
        TRY("addps %%xmm1, %%xmm1", "i"(0));
        EXPECT(trap_vector == 6);
        write_cr4(cr4);
        TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $5, %%eax; xsetbv", "i"(0));
        EXPECT(trap_vector == 13); /* AVX without SSE */
    }
}

/* Exceptions of SSE come at once, x87's at its next instruction. */
void vector_exceptions(void)
{
    static const float zero[4], one[4] = {1, 1, 1, 1};
    uint32_t open = 0x1f80 & ~(1u << 9), mxcsr, usual = 0x1f80;
    uint16_t control = 0x37b, status;

    write_cr0(read_cr0() | 0x20); /* NE */
    for (unsigned i = 0; i < ROUNDS; i++) {
        __asm__ volatile("ldmxcsr %0; movups %1, %%xmm0; movups %2, %%xmm1"
                         :
                         : "m"(usual), "m"(one), "m"(zero));
        TRY("divps %%xmm1, %%xmm0", "i"(0));
        EXPECT(trap_vector == ~UINT64_C(0));
        __asm__ volatile("ldmxcsr %0; movups %1, %%xmm0; movups %2, %%xmm1"
                         :
                         : "m"(open), "m"(one), "m"(zero));
        TRY("divps %%xmm1, %%xmm0", "i"(0));
        EXPECT(trap_vector == 19);
        __asm__ volatile("stmxcsr %0; ldmxcsr %1" : "=m"(mxcsr) : "m"(usual));
        EXPECT(mxcsr == (open | 4));
        __asm__ volatile("fninit; fldcw %0; fld1; fldz" : : "m"(control));
        TRY("fdivrp", "i"(0)); /* noticed, and kept */
        EXPECT(trap_vector == ~UINT64_C(0));
        TRY("fwait", "i"(0));
        EXPECT(trap_vector == 16);
        TRY("fld1", "i"(0));
        EXPECT(trap_vector == 16);
        __asm__ volatile("fnstsw %0; fnclex; fninit" : "=m"(status));
        EXPECT((status & 0x84) == 0x84);
    }
}
