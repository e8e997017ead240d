/* SPDX-License-Identifier: Apache-2.0 */
/* What CPUID may say under the software engine: the host's leaves, as the vector instructions are
 * carried out by the host, less what the decoder does not know, plus what the engine does itself.
 * The machine's policy (cpuid.c) then takes its part.
 *
 * Speculation: a guest of this engine runs in its own process and cannot reach another by it, so
 * the bits say "not affected"; then Linux takes neither retpolines nor page-table isolation. */
#include <cpuid.h>
#include <errno.h>

#include "base/range.h"
#include "vm/engine/bt/system.h"
#include "vm/engine/bt/vec.h"
#include "vm/engine/cpuid.h"
#include "vm/engine/host_cpu.h"

enum { BT_LINEAR_BITS = 48 };
enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };

static const struct {
    uint32_t leaf;
    bool indexed;
    uint8_t subleaves;
} leaves[] = {
    {0x0, false, 1},        {0x1, false, 1},        {0x2, false, 1},        {0x4, true, 8},
    {0x6, false, 1},        {0x7, true, 3},         {0xd, true, 3},         {0x80000000, false, 1},
    {0x40000001, false, 1}, {0x80000001, false, 1}, {0x80000002, false, 1}, {0x80000003, false, 1},
    {0x80000004, false, 1}, {0x80000005, false, 1}, {0x80000006, false, 1}, {0x80000007, false, 1},
    {0x80000008, false, 1}, {0x8000001d, true, 8},  {0x8000001e, false, 1}, {0x80000021, false, 1},
};

/* Bits of a register that the host decides, and bits that are set whatever it says. */
static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg;
    uint32_t host, own;
} rules[] = {
    /* SSE3, PCLMUL, SSSE3, FMA, CX16, SSE4.1, 4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND;
     * own: PCID, x2APIC, TSC deadline, hypervisor */
    {1, 0, ECX, 0x76d83203, 0x81220000},
    /* no VME, MONITOR's kin, DS, thermal control; own: what paging and APIC need */
    {1, 0, EDX, 0x17888111, 0x00037aec},
    {6, 0, EAX, 0, 4}, /* the APIC's timer runs always */
    {6, 0, EBX, 0, 0},
    {6, 0, ECX, 0, 0},
    {6, 0, EDX, 0, 0},
    /* BMI1, AVX2, BMI2, ERMS, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA; own: FSGSBASE, TSC_ADJUST, SMEP,
     * INVPCID, SMAP, FCS/FDS zeroed, FDP on exceptions only */
    {7, 0, EBX, 0x218c0328, 0x001024c3},
    {7, 0, ECX, 0, 0x00400004}, /* RDPID, UMIP */
    {7, 0, EDX, 0x00000010, 0}, /* FSRM */
    {7, 1, EAX, 0x00001c00, 0}, /* fast short REP MOVS, STOS, CMPS */
    {7, 1, EBX, 0, 0},
    {7, 1, ECX, 0, 0},
    {7, 1, EDX, 0, 0},
    {7, 2, EDX, 0, 0},
    {0xd, 0, EAX, (uint32_t)VEC_XCR0, 3},
    {0xd, 1, EAX, 0x7, 0}, /* XSAVEOPT, XSAVEC, XGETBV1 */
    {0xd, 1, ECX, 0, 0},
    {0xd, 1, EDX, 0, 0},
    /* KVM's leaf: no delays, the clock (pvclock.h), wide destinations of messages; it is stable */
    {0x40000001, 0, EAX, 0, 0x0100800a},
    /* LAHF, legacy topology, ABM, PREFETCHW, topology */
    {0x80000001, 0, ECX, 0x00400123, 0},
    /* AMD repeats leaf 1; own: SYSCALL, NX, 1-GiB pages, RDTSCP, long mode */
    {0x80000001, 0, EDX, 0x01c3f3fd, 0x2c100800},
    {0x80000008, 0, EBX, 0x00000200, 0x24000000}, /* WBNOINVD; own: SSB_NO, BTC_NO */
    /* LFENCE orders, null selectors clear bases, automatic IBRS, no SRSO */
    {0x80000021, 0, EAX, 0x1, 0x20000144},
    {0x80000021, 0, EBX, 0, 0},
    {0x80000021, 0, ECX, 0, 0},
    {0x80000021, 0, EDX, 0, 0},
};

static void apply_rules(struct cpuid_entry *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].leaf == e->leaf && rules[i].subleaf == e->subleaf)
            e->reg[rules[i].reg] = (e->reg[rules[i].reg] & rules[i].host) | rules[i].own;
}

/* XSAVE: components are where the host has them, of which only some are ours. Addresses have as
 * many bits as the engine's page tables take. */
static void fix_sizes(struct cpuid_entry *e)
{
    if (e->leaf == 0x80000008)
        e->reg[EAX] = BT_LINEAR_BITS << 8 | host_phys_bits();
    if (e->leaf == 0xd && e->subleaf == 0)
        e->reg[EBX] = e->reg[ECX] = vec_image_size(VEC_XCR0);
}

static int add(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, bool indexed)
{
    if (table->count == CPUID_ENTRIES_MAX)
        return -ENOSPC;
    struct cpuid_entry *e = &table->entry[table->count++];
    *e = (struct cpuid_entry){.leaf = leaf, .subleaf = subleaf, .indexed = indexed};
    if (leaf <= (uint32_t)__get_cpuid_max(leaf & 0x80000000, NULL))
        __cpuid_count(leaf, subleaf, e->reg[EAX], e->reg[EBX], e->reg[ECX], e->reg[EDX]);
    apply_rules(e);
    fix_sizes(e);
    return 0;
}

/* Cache leaves go on until a type of 0. */
static bool last_cache(const struct cpuid_table *table)
{
    const struct cpuid_entry *e = &table->entry[table->count - 1];

    return (e->leaf == 4 || e->leaf == 0x8000001d) && !(e->reg[EAX] & 31);
}

int bt_cpuid_supported(struct cpuid_table *ret_table)
{
    bool intel = __builtin_cpu_is("intel");
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(leaves) && !rc; i++) {
        uint32_t leaf = leaves[i].leaf, top = __get_cpuid_max(leaf & 0x80000000, NULL);
        bool made =
            leaf == 7 || leaf == 0x40000001 || leaf == 0x80000008 || (!intel && leaf == 0x80000021);
        if (leaf > top && !made)
            continue;
        for (unsigned k = 0; k < leaves[i].subleaves && !rc; k++) {
            rc = add(ret_table, leaf, k, leaves[i].indexed);
            if (!rc && last_cache(ret_table))
                break;
        }
    }
    struct cpuid_entry *e = ret_table->entry;
    for (unsigned i = 0; i < ret_table->count && intel; i++)
        if (e[i].leaf == 7 && e[i].subleaf == 0)
            e[i].reg[EDX] |= BIT(29); /* IA32_ARCH_CAPABILITIES */
    return rc;
}
