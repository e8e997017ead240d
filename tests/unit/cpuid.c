/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID policy and topology, from tables of an imagined Intel and AMD host that supports every bit;
 * the saved form of a processor's state. */
#include "vm/engine/cpuid.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/host_cpu.h"
#include "vm/engine/irqchip_state.h"

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };

static void put(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, bool indexed, uint32_t eax,
                uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    t->entry[t->count++] = (struct cpuid_entry){
        .leaf = leaf, .subleaf = subleaf, .indexed = indexed, .reg = {eax, ebx, ecx, edx}};
}

/* Everything set, the host's own numbers included, so that whatever comes through was let through.
 */
static struct cpuid_table host(bool amd)
{
    struct cpuid_table t = {0};
    uint32_t all = ~0u;

    if (amd)
        put(&t, 0, 0, false, 0x20, 0x68747541, 0x444d4163, 0x69746e65);
    else
        put(&t, 0, 0, false, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
    put(&t, 1, 0, false, 0x806e9, 0x55aa0855, all & ~BIT(31), all); /* bit 31: a hypervisor */
    put(&t, 3, 0, false, all, all, all, all);
    put(&t, 4, 0, true, 0xfc01c121, 0x01c0003f, 0x3f, 0);
    put(&t, 4, 1, true, 0xfc03c163, 0x03c0003f, 0xfff, 6);
    put(&t, 5, 0, false, all, all, all, all);
    put(&t, 6, 0, false, all, all, all, all);
    put(&t, 7, 0, true, 2, all, all, all);
    put(&t, 7, 1, true, all, all, all, all);
    put(&t, 7, 2, true, all, all, all, all);
    put(&t, 0xa, 0, false, all, all, all, all);
    put(&t, 0xb, 0, true, 1, 2, 0x100, 0x77);
    put(&t, 0xd, 0, true, all, 0x1000, 0x3000, all);
    put(&t, 0xd, 1, true, all, 0x1000, all, all);
    put(&t, 0xd, 2, true, 256, 576, 0, 0);
    put(&t, 0xd, 3, true, 64, 960, 0, 0);
    put(&t, 0xd, 5, true, 64, 1088, 0, 0);
    put(&t, 0xd, 6, true, 512, 1152, 0, 0);
    put(&t, 0xd, 7, true, 1024, 1664, 0, 0);
    put(&t, 0xd, 9, true, 8, 2688, 0, 0);
    put(&t, 0xd, 18, true, 8192, 2816, 0, 0);
    put(&t, 0x12, 0, true, all, all, all, all);
    put(&t, 0x14, 0, true, all, all, all, all);
    put(&t, 0x40000000, 0, false, 0x40000001, 1, 2, 3);
    put(&t, 0x40000001, 0, false, all, 0, 0, all);
    put(&t, 0x80000000, 0, false, 0x80000028, 0, 0, 0);
    put(&t, 0x80000001, 0, false, 0, 0, amd ? all : 0x121, all);
    put(&t, 0x80000007, 0, false, all, all, all, all);
    put(&t, 0x80000008, 0, false, 0x3030, all, all, all);
    put(&t, 0x8000000a, 0, false, all, all, all, all);
    put(&t, 0x8000001d, 0, true, 0x3fc121, 0x3f, 0x3f, 0);
    put(&t, 0x8000001e, 0, false, all, all, all, all);
    put(&t, 0x8000001f, 0, false, all, all, all, all);
    return t;
}

static struct cpuid_table build(const struct cpu_model *model, bool amd)
{
    struct cpuid_table supported = host(amd), table = {0};
    struct err err = ERR_INIT;

    if (!CHECK(cpuid_build(model, &supported, 2500000, &table, &err) == 0))
        (void)printf("# %s\n", err.text);
    return table;
}

static uint32_t reg(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, unsigned r)
{
    const struct cpuid_entry *e = cpuid_find(t, leaf, subleaf);

    return e ? e->reg[r] : 0xdeadbeef;
}

static void hides_what_cannot_be_kept(void)
{
    struct cpu_model model = {.cpus = 2};

    for (unsigned amd = 0; amd < 2; amd++) {
        struct cpuid_table t = build(&model, amd);
        /* monitor, vmx, smx, est, tm2, dtes64, pdcm; psn, acpi, ds, tm */
        CHECK_EQ(reg(&t, 1, 0, ECX) & 0x000081fc & ~BIT(9), 0);
        CHECK_EQ(reg(&t, 1, 0, EDX) & (BIT(18) | BIT(21) | BIT(22) | BIT(29)), 0);
        CHECK_EQ(reg(&t, 7, 0, EBX) & (BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15)), 0);
        CHECK_EQ(reg(&t, 7, 0, EBX) & BIT(25), 0);                       /* Intel PT */
        CHECK_EQ(reg(&t, 7, 0, ECX) & (BIT(5) | BIT(7) | BIT(30)), 0);   /* waitpkg, shstk, sgx */
        CHECK_EQ(reg(&t, 7, 0, EDX) & (BIT(22) | BIT(24) | BIT(25)), 0); /* AMX */
        CHECK_EQ(reg(&t, 7, 0, EAX), 2);
        CHECK_EQ(reg(&t, 6, 0, EAX), BIT(2));
        CHECK_EQ(reg(&t, 0x80000007, 0, EDX), BIT(8));
        static const uint32_t gone[] = {3, 5, 0xa, 0x12, 0x14, 0x8000000a, 0x8000001f};
        for (unsigned i = 0; i < ARRAY_SIZE(gone); i++)
            CHECK(!cpuid_find(&t, gone[i], 0));
        CHECK_EQ(reg(&t, 0x80000000, 0, EAX), amd ? 0x8000001e : 0x80000008);
        CHECK_EQ(reg(&t, 0x80000001, 0, ECX) & BIT(2), 0); /* svm */
        CHECK(cpuid_has(&t, "hypervisor") && cpuid_has(&t, "cx16") && cpuid_has(&t, "avx512f"));
        CHECK(!cpuid_has(&t, "osxsave") && !cpuid_has(&t, "no-such-feature"));
    }
}

static void options(void)
{
    struct cpu_model model = {.cpus = 1, .nested = true, .unstable_tsc = true};
    struct cpuid_table t = build(&model, true);

    CHECK(reg(&t, 0x80000001, 0, ECX) & BIT(2));
    CHECK(cpuid_find(&t, 0x8000000a, 0) != NULL);
    CHECK_EQ(reg(&t, 0x80000007, 0, EDX), 0);
    t = build(&model, false);
    CHECK(reg(&t, 1, 0, ECX) & BIT(5));
    model.hypervisor = CPU_HYPERVISOR_NONE;
    t = build(&model, false);
    CHECK(!cpuid_has(&t, "hypervisor") && !cpuid_find(&t, 0x40000000, 0));
}

static void xsave_components(void)
{
    struct cpu_model model = {.cpus = 1};
    struct cpuid_table t = build(&model, false);

    CHECK_EQ(reg(&t, 0xd, 0, EAX), CPUID_XCR0_ALLOWED);
    CHECK_EQ(reg(&t, 0xd, 0, EDX), 0);
    CHECK_EQ(reg(&t, 0xd, 0, ECX), 2688 + 8);
    CHECK_EQ(reg(&t, 0xd, 1, EAX), 0xf);
    CHECK_EQ(reg(&t, 0xd, 1, ECX), 0);
    CHECK(cpuid_find(&t, 0xd, 9) && !cpuid_find(&t, 0xd, 3) && !cpuid_find(&t, 0xd, 18));
}

static void portable(void)
{
    struct cpu_model model = {.cpus = 2, .portable = true};
    struct cpuid_table t = build(&model, false);

    CHECK_EQ(reg(&t, 0xd, 0, EAX), 7);
    CHECK(!cpuid_find(&t, 0xd, 9) && cpuid_find(&t, 0xd, 2));
    CHECK(cpuid_has(&t, "avx2") && cpuid_has(&t, "smap") && cpuid_has(&t, "kvm_clocksource2"));
    CHECK(!cpuid_has(&t, "avx512f") && !cpuid_has(&t, "pku") && !cpuid_has(&t, "pcid"));
    CHECK(!cpuid_has(&t, "kvm_steal_time") && !cpuid_has(&t, "autoibrs"));
}

/* A machine that goes on shows what it has shown, on a host that has more; not on one with less. */
static void shown_before(void)
{
    struct cpu_model model = {.cpus = 2, .portable = true};
    struct cpuid_table before = build(&model, false), supported = host(false), t;
    struct err err = ERR_INIT;

    model = (struct cpu_model){.cpus = 2, .shown = &before};
    t = build(&model, false);
    CHECK(!cpuid_has(&t, "avx512f") && cpuid_has(&t, "avx2"));
    CHECK_EQ(t.count, before.count);
    CHECK_EQ(cpuid_build(&model, &supported, 2600000, &t, &err), 0);
    CHECK_EQ(reg(&t, 0x40000010, 0, EAX), 2600000); /* but the rate is what it is */
    for (unsigned i = 0; i < supported.count; i++)
        if (supported.entry[i].leaf == 7 && supported.entry[i].subleaf == 0)
            supported.entry[i].reg[EBX] &= ~BIT(5);
    CHECK_EQ(cpuid_build(&model, &supported, 2600000, &t, &err), -ENOTSUP);
    CHECK(strstr(err.text, " avx2 ") && !strstr(err.text, "avx512"));
    supported = host(false);
    for (unsigned i = 0; i < supported.count; i++)
        if (supported.entry[i].leaf == 0xd && supported.entry[i].subleaf == 2)
            supported.entry[i].reg[EBX] = 832;
    err = ERR_INIT;
    CHECK_EQ(cpuid_build(&model, &supported, 2600000, &t, &err), -ENOTSUP);
    CHECK(strstr(err.text, "other registers"));

    struct buf out = {0};
    struct cpuid_table *loaded = calloc(1, sizeof *loaded);
    state_save(&cpuid_state, &before, &out);
    CHECK_EQ(state_load(&cpuid_state, loaded, out.data, out.len, NULL, NULL), 0);
    CHECK(!memcmp(loaded, &before, sizeof before));
    before.count = CPUID_ENTRIES_MAX + 1;
    out.len = 0;
    state_save(&cpuid_state, &before, &out);
    CHECK(state_load(&cpuid_state, loaded, out.data, out.len, NULL, NULL) < 0);
    buf_free(&out);
    free(loaded);
}

static void paravirtual_leaf(void)
{
    struct cpu_model model = {.cpus = 4};
    struct cpuid_table t = build(&model, false);

    CHECK_EQ(reg(&t, 0x40000000, 0, EAX), 0x40000010);
    CHECK_EQ(reg(&t, 0x40000000, 0, EBX), 0x4b4d564b);
    CHECK_EQ(reg(&t, 0x40000010, 0, EAX), 2500000);
    CHECK_EQ(reg(&t, 0x40000010, 0, EBX), 1000000);
    CHECK(cpuid_has(&t, "kvm_clocksource2") && !cpuid_has(&t, "kvm_msi_ext_dest_id"));
    model.cpus = 300;
    t = build(&model, false);
    CHECK(cpuid_has(&t, "kvm_msi_ext_dest_id"));
}

static void apic_ids(void)
{
    struct cpu_model model = {.cpus = 12, .cores_per_socket = 3, .threads_per_core = 2};
    static const uint32_t want[] = {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13};

    for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
        CHECK_EQ(cpu_model_apic_id(&model, i), want[i]);
    CHECK_EQ(cpu_model_max_apic_id(&model), 13);
    model = (struct cpu_model){.cpus = 768};
    CHECK_EQ(cpu_model_max_apic_id(&model), 767);
}

static void topology_leaves(void)
{
    struct cpu_model model = {.cpus = 12, .cores_per_socket = 3, .threads_per_core = 2};

    for (unsigned amd = 0; amd < 2; amd++) {
        struct cpuid_table t = build(&model, amd);
        cpuid_set_cpu(&model, &t, 7);
        CHECK_EQ(reg(&t, 1, 0, EBX), 9u << 24 | 8 << 16 | 0x0800);
        CHECK(cpuid_has(&t, "ht"));
        CHECK_EQ(reg(&t, 0xb, 0, EAX), 1);
        CHECK_EQ(reg(&t, 0xb, 0, EBX), 2);
        CHECK_EQ(reg(&t, 0xb, 0, ECX), 0x100);
        CHECK_EQ(reg(&t, 0xb, 1, EAX), 3);
        CHECK_EQ(reg(&t, 0xb, 1, EBX), 6);
        CHECK_EQ(reg(&t, 0xb, 1, ECX), 0x201);
        CHECK_EQ(reg(&t, 0xb, 2, EBX), 0);
        CHECK_EQ(reg(&t, 0xb, 1, EDX), 9);
        CHECK_EQ(!!cpuid_find(&t, 0x1f, 0), !amd);
        CHECK_EQ(reg(&t, 4, 0, EAX) >> 14 & 0xfff, 1); /* L1: the threads of a core */
        CHECK_EQ(reg(&t, 4, 1, EAX) >> 14 & 0xfff, 7); /* L3: the socket */
        CHECK_EQ(reg(&t, 4, 0, EAX) >> 26, 3);         /* cores in the package, as id space */
        CHECK_EQ(reg(&t, 0x80000008, 0, ECX), amd ? 3 << 12 | 5 : 0);
        if (amd) {
            CHECK_EQ(reg(&t, 0x8000001e, 0, EAX), 9);
            CHECK_EQ(reg(&t, 0x8000001e, 0, EBX), 1 << 8 | 0);
            CHECK_EQ(reg(&t, 0x8000001e, 0, ECX), 1);
            CHECK(cpuid_has(&t, "cmp_legacy"));
        }
    }
    model = (struct cpu_model){.cpus = 1};
    struct cpuid_table t = build(&model, false);
    CHECK(!cpuid_has(&t, "ht"));
    CHECK_EQ(reg(&t, 1, 0, EBX), 1 << 16 | 0x0800);
}

static void refusals(void)
{
    struct cpu_model model = {.cpus = 0};
    struct cpuid_table supported = host(false), table = {.count = 99};
    struct err err = ERR_INIT;

    CHECK_EQ(cpu_model_check(&model, &err), -EINVAL);
    model = (struct cpu_model){.cpus = 7, .cores_per_socket = 2};
    CHECK_EQ(cpuid_build(&model, &supported, 1, &table, &err), -EINVAL);
    CHECK_STR(err.text, "7 processors are no whole number of sockets of 2 cores of 1 threads");
    model = (struct cpu_model){.cpus = 3, .threads_per_core = 2};
    CHECK_EQ(cpu_model_check(&model, NULL), -EINVAL);
    /* All of it wanted, and no room for what is ours. */
    supported.count = 2;
    for (unsigned n = 0; supported.count < CPUID_ENTRIES_MAX; n++)
        put(&supported, 4, n, true, 0, 0, 0, 0);
    model.cpus = 2;
    CHECK_EQ(cpuid_build(&model, &supported, 1, &table, &err), -ENOSPC);
    CHECK_EQ(table.count, 99); /* untouched */
}

/* Save, load into a fresh one, save again: the same bytes. */
static void state_round_trip(void)
{
    cleanup_free struct cpu_state *state = calloc(2, sizeof *state);
    cleanup_buf struct buf first = {0}, second = {0};
    struct err err = ERR_INIT;

    REQUIRE(state);
    cpu_state_power_on(&state[0], 5, false);
    for (unsigned i = 0; i < MSR_SLOT_MAX; i++)
        state[0].msr[i] = i * 0x0101010101ull + 7;
    state[0].events = (struct cpu_events){.exception_stage = CPU_EXCEPTION_PENDING,
                                          .exception_vector = 14,
                                          .nmi_masked = true,
                                          .sipi_vector = 0x9a};
    state_save(&cpu_state_table, &state[0], &first);
    CHECK_EQ(state_load(&cpu_state_table, &state[1], first.data, first.len, NULL, &err), 0);
    state_save(&cpu_state_table, &state[1], &second);
    CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    CHECK_EQ(state[1].msr[MSR_SLOT_virt_spec_ctrl], state[0].msr[MSR_SLOT_virt_spec_ctrl]);
    CHECK_EQ(state[1].run_state, CPU_WAIT_FOR_INIT);

    state[0].run_state = CPU_RUN_STATE_MAX;
    second.len = 0;
    state_save(&cpu_state_table, &state[0], &second);
    CHECK_EQ(state_load(&cpu_state_table, &state[1], second.data, second.len, NULL, &err), -EINVAL);
    state[0].run_state = 0;
    state[0].xcr0 = 2;
    second.len = 0;
    state_save(&cpu_state_table, &state[0], &second);
    CHECK_EQ(state_load(&cpu_state_table, &state[1], second.data, second.len, NULL, &err), -EINVAL);
}

static void irqchip_round_trip(void)
{
    struct irqchip_state state = {.pit = {{.count = 65536, .mode = PIT_MODE_NONE}}}, loaded = {0};
    cleanup_buf struct buf first = {0}, second = {0};

    for (unsigned i = 0; i < IRQCHIP_IOAPIC_PINS; i++)
        state.ioapic.redirection[i] = i << 8 | 0x10000;
    state.pic[1].irq_base = 0x70;
    state_save(&irqchip_state_table, &state, &first);
    CHECK_EQ(state_load(&irqchip_state_table, &loaded, first.data, first.len, NULL, NULL), 0);
    state_save(&irqchip_state_table, &loaded, &second);
    CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    CHECK_EQ(loaded.ioapic.redirection[23], 23 << 8 | 0x10000);
    state.pit[2].count = 65537;
    second.len = 0;
    state_save(&irqchip_state_table, &state, &second);
    CHECK_EQ(state_load(&irqchip_state_table, &loaded, second.data, second.len, NULL, NULL),
             -EINVAL);
}

static void msr_policy(void)
{
    for (unsigned i = 0; i < MSR_SLOT_MAX; i++) {
        CHECK(!msr_policy_find(msr_info[i].index)); /* state and policy do not overlap */
        for (unsigned k = 0; k < i; k++)
            CHECK(msr_info[i].index != msr_info[k].index);
    }
    CHECK(msr_policy_find(0x606) && msr_policy_find(0x606)->read == 0);
    CHECK(!msr_policy_find(0x12345678));
}

static void addresses_have_the_models_bits(void)
{
    struct cpu_model model = {.cpus = 1, .phys_bits = 40};
    unsigned host_bits = host_phys_bits();
    struct cpuid_table t = build(&model, true);

    CHECK_EQ(reg(&t, 0x80000008, 0, EAX), 0x3028);
    model.phys_bits = 52; /* more than there are */
    t = build(&model, true);
    CHECK_EQ(reg(&t, 0x80000008, 0, EAX), 0x3030);
    model.phys_bits = 0;
    t = build(&model, true);
    CHECK_EQ(reg(&t, 0x80000008, 0, EAX), 0x3030);
    CHECK_EQ(host_guest_phys_bits(MIB(512)), MIN(40u, host_bits));
    CHECK_EQ(host_guest_phys_bits(GIB(508)), MIN(40u, host_bits)); /* to 512 GiB */
    CHECK_EQ(host_guest_phys_bits(GIB(512)), MIN(41u, host_bits));
    CHECK_EQ(host_guest_phys_bits(GIB(16384)), MIN(46u, host_bits));
}

TAP_MAIN(TAP_CASE(addresses_have_the_models_bits), TAP_CASE(hides_what_cannot_be_kept),
         TAP_CASE(options), TAP_CASE(xsave_components), TAP_CASE(portable), TAP_CASE(shown_before),
         TAP_CASE(paravirtual_leaf), TAP_CASE(apic_ids), TAP_CASE(topology_leaves),
         TAP_CASE(refusals), TAP_CASE(state_round_trip), TAP_CASE(irqchip_round_trip),
         TAP_CASE(msr_policy))
