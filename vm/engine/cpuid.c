/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID policy: see cpuid.h. Two tables say what is shown: `leaves` (which leaves there are and how
 * each is made) and cpu_features.def (which bits). Deliberately missing: the VMware and
 * Hyper-V leaves. */
#include "vm/engine/cpuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };
enum { XCR0_PORTABLE = 7 }; /* x87, SSE, AVX */

static const struct feature {
    const char *name;
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
} features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit) {#name, leaf, subleaf, reg, bit},
#include "vm/engine/cpu_features.def"
#undef FEATURE
};

/* Those that every engine has wherever one has them. */
static const char *const portable[] = {
#define PORTABLE(name) #name,
#include "vm/engine/cpu_portable.def"
#undef PORTABLE
};

/* How a leaf of the guest is made of the supported one. */
enum recipe {
    COPY,     /* as it is: identity and cache geometry, no state */
    FEATURES, /* only the bits of cpu_features.def, in all four registers */
    OWN       /* made by us */
};

/* Anything not here does not exist for the guest. `registers` (FEATURES): which registers are
 * masked; the others are copied. */
static const struct leaf {
    uint32_t leaf;
    enum recipe recipe;
    uint8_t registers;
} leaves[] = {
    {0x0, COPY, 0},                                  /* highest leaf, vendor */
    {0x1, FEATURES, BIT(ECX) | BIT(EDX)},            /* signature is the host's */
    {0x2, COPY, 0},                                  /* caches (Intel) */
    {0x4, COPY, 0},                                  /* caches (Intel); sharing is made ours */
    {0x6, FEATURES, 0xf},                            /* power */
    {0x7, FEATURES, BIT(EBX) | BIT(ECX) | BIT(EDX)}, /* EAX: highest subleaf; see mask_leaf */
    {0xb, OWN, 0},                                   /* topology */
    {0xd, COPY, 0},                                  /* XSAVE; see mask_xsave */
    {0x1f, OWN, 0},                                  /* topology, second version (Intel) */
    {0x40000000, OWN, 0},                            /* hypervisor signature */
    {0x40000001, FEATURES, 0xf},                     /* paravirtual features */
    {0x40000010, OWN, 0},                            /* TSC and APIC bus rate */
    {0x80000000, COPY, 0},                           /* highest extended leaf */
    {0x80000001, FEATURES, BIT(ECX) | BIT(EDX)},
    {0x80000002, COPY, 0}, /* brand string */
    {0x80000003, COPY, 0},
    {0x80000004, COPY, 0},
    {0x80000005, COPY, 0}, /* caches (AMD) */
    {0x80000006, COPY, 0},
    {0x80000007, FEATURES, 0xf},      /* invariant TSC */
    {0x80000008, FEATURES, BIT(EBX)}, /* address widths; ECX made ours */
    {0x8000000a, COPY, 0},            /* SVM: nested only */
    {0x8000001d, COPY, 0},            /* caches (AMD); sharing is made ours */
    {0x8000001e, OWN, 0},             /* topology (AMD) */
    {0x80000021, FEATURES, 0xf},
};

static bool is_portable(const struct feature *feature)
{
    for (unsigned i = 0; i < ARRAY_SIZE(portable); i++)
        if (!strcmp(portable[i], feature->name))
            return true;
    return false;
}

/* The bits of one leaf that a guest may see. */
static void feature_masks(const struct cpu_model *model, uint32_t leaf, uint32_t subleaf,
                          uint32_t mask[CPUID_REGS])
{
    memset(mask, 0, CPUID_REGS * sizeof mask[0]);
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].leaf == leaf && features[i].subleaf == subleaf &&
            (!model->portable || is_portable(&features[i])))
            mask[features[i].reg] |= BIT(features[i].bit);
}

const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, uint32_t leaf,
                                     uint32_t subleaf)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct cpuid_entry *e = &table->entry[i];
        if (e->leaf == leaf && (!e->indexed || e->subleaf == subleaf))
            return e;
    }
    return NULL;
}

static struct cpuid_entry *find(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
    return (struct cpuid_entry *)(uintptr_t)cpuid_find(table, leaf, subleaf);
}

bool cpuid_has(const struct cpuid_table *table, const char *feature)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (strcmp(features[i].name, feature))
            continue;
        const struct cpuid_entry *e = cpuid_find(table, features[i].leaf, features[i].subleaf);
        return e && e->reg[features[i].reg] & BIT(features[i].bit);
    }
    return false;
}

static struct cpuid_entry *add(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                               bool indexed)
{
    struct cpuid_entry *e = find(table, leaf, subleaf);

    if (e)
        return e;
    if (table->count == CPUID_ENTRIES_MAX)
        return NULL;
    e = &table->entry[table->count++];
    *e = (struct cpuid_entry){.leaf = leaf, .subleaf = subleaf, .indexed = indexed};
    return e;
}

/* Topology */

static unsigned cores_per_socket(const struct cpu_model *model)
{
    unsigned threads = MAX(model->threads_per_core, 1u);

    return model->cores_per_socket ? model->cores_per_socket : MAX(model->cpus / threads, 1u);
}

static unsigned bits_for(unsigned count)
{
    return count <= 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

struct topology {
    unsigned threads, cores;         /* per core, per socket */
    unsigned thread_bits, core_bits; /* in the APIC id */
};

static struct topology topology_of(const struct cpu_model *model)
{
    struct topology t = {.threads = MAX(model->threads_per_core, 1u),
                         .cores = cores_per_socket(model)};

    t.thread_bits = bits_for(t.threads);
    t.core_bits = bits_for(t.cores);
    return t;
}

int cpu_model_check(const struct cpu_model *model, struct err *err)
{
    struct topology t = topology_of(model);

    if (!model->cpus)
        return err_set(err, -EINVAL, "a machine needs a processor");
    if (model->cpus % (t.cores * t.threads))
        return err_set(err, -EINVAL,
                       "%u processors are no whole number of sockets of %u cores of %u threads",
                       model->cpus, t.cores, t.threads);
    return 0;
}

uint32_t cpu_model_apic_id(const struct cpu_model *model, unsigned index)
{
    struct topology t = topology_of(model);
    unsigned thread = index % t.threads, core = index / t.threads % t.cores;
    unsigned socket = index / (t.threads * t.cores);

    return (socket << (t.thread_bits + t.core_bits)) | (core << t.thread_bits) | thread;
}

uint32_t cpu_model_max_apic_id(const struct cpu_model *model)
{
    return cpu_model_apic_id(model, model->cpus - 1);
}

/* Which leaves a guest of this model and vendor sees. */
static bool leaf_wanted(const struct cpu_model *model, const struct cpuid_table *supported,
                        uint32_t leaf)
{
    const struct cpuid_entry *ext = cpuid_find(supported, 0x80000001, 0);

    if (leaf >= 0x40000000 && leaf <= 0x4fffffff)
        return model->hypervisor == CPU_HYPERVISOR_KVM;
    if (leaf == 0x8000000a)
        return model->nested;
    if (leaf == 0x8000001d || leaf == 0x8000001e) /* TopologyExtensions */
        return ext && ext->reg[ECX] & BIT(22);
    return true;
}

static void mask_leaf(const struct cpu_model *model, struct cpuid_entry *e, uint8_t registers)
{
    uint32_t mask[CPUID_REGS];

    feature_masks(model, e->leaf, e->subleaf, mask);
    for (unsigned reg = 0; reg < CPUID_REGS; reg++)
        /* Leaf 7's EAX is the highest subleaf in subleaf 0 and features in the others, whose other
         * registers are features too. */
        if (registers & BIT(reg) || (e->leaf == 7 && e->subleaf))
            e->reg[reg] &= mask[reg];
}

/* Leaf 0xD: subleaf 0 has the components and the size of all, 1 the instructions and supervisor
 * components (none), 2 and up one component each, which disappear with their component. */
static void mask_xsave(const struct cpu_model *model, struct cpuid_table *table)
{
    struct cpuid_entry *all = find(table, 0xd, 0), *insn = find(table, 0xd, 1);
    uint32_t size = 576; /* legacy area and header */
    unsigned kept = 0;

    if (!all)
        return;
    all->reg[EAX] &= (uint32_t)(model->portable ? XCR0_PORTABLE : CPUID_XCR0_ALLOWED);
    all->reg[EDX] = 0;
    if (insn)
        mask_leaf(model, insn, BIT(EAX) | BIT(ECX) | BIT(EDX));
    for (unsigned i = 0; i < table->count; i++) {
        struct cpuid_entry e = table->entry[i];
        if (e.leaf == 0xd && e.subleaf >= 2) {
            if (e.subleaf >= 32 || !(all->reg[EAX] & BIT(e.subleaf)))
                continue;
            size = MAX(size, e.reg[EAX] + e.reg[EBX]);
        }
        table->entry[kept++] = e;
    }
    table->count = kept;
    all = find(table, 0xd, 0);
    all->reg[ECX] = size;
}

static int copy_supported(const struct cpu_model *model, const struct cpuid_table *supported,
                          struct cpuid_table *table, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (leaves[i].recipe == OWN || !leaf_wanted(model, supported, leaves[i].leaf))
            continue;
        for (unsigned k = 0; k < supported->count; k++) {
            const struct cpuid_entry *from = &supported->entry[k];
            if (from->leaf != leaves[i].leaf)
                continue;
            struct cpuid_entry *e = add(table, from->leaf, from->subleaf, from->indexed);
            if (!e)
                return err_set(err, -ENOSPC, "more than %d CPUID leaves", CPUID_ENTRIES_MAX);
            *e = *from;
            if (leaves[i].recipe == FEATURES)
                mask_leaf(model, e, leaves[i].registers);
        }
    }
    return 0;
}

static bool is_vendor(const struct cpuid_table *table, const char *name)
{
    const struct cpuid_entry *e = cpuid_find(table, 0, 0);
    char vendor[12];

    if (!e)
        return false;
    memcpy(vendor, &e->reg[EBX], 4);
    memcpy(vendor + 4, &e->reg[EDX], 4);
    memcpy(vendor + 8, &e->reg[ECX], 4);
    return !memcmp(vendor, name, sizeof vendor);
}

static int add_hypervisor(const struct cpu_model *model, uint32_t tsc_khz,
                          struct cpuid_table *table)
{
    struct cpuid_entry *signature, *rates;

    if (model->hypervisor == CPU_HYPERVISOR_NONE)
        return 0;
    signature = add(table, 0x40000000, 0, false);
    rates = signature ? add(table, 0x40000010, 0, false) : NULL;
    if (!rates)
        return -ENOSPC;
    *signature = (struct cpuid_entry){
        .leaf = 0x40000000, .reg = {0x40000010, 0x4b4d564b, 0x564b4d56, 0x4d}}; /* KVMKVMKVM */
    *rates = (struct cpuid_entry){.leaf = 0x40000010, .reg = {tsc_khz, 1000000}};
    return 0;
}

/* Leaves 0xB and 0x1F have a subleaf for each level and one that ends the list. */
static int add_topology_leaf(uint32_t leaf, const struct topology *t, struct cpuid_table *table)
{
    const uint32_t level[3][2] = {{t->thread_bits, t->threads},
                                  {t->thread_bits + t->core_bits, t->threads * t->cores},
                                  {0, 0}};

    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_entry *e = add(table, leaf, i, true);
        if (!e)
            return -ENOSPC;
        e->reg[EAX] = level[i][0];
        e->reg[EBX] = level[i][1];
        e->reg[ECX] = i | (i < 2 ? i + 1 : 0) << 8; /* level type: 1 thread, 2 core, 0 none */
    }
    return 0;
}

/* `id_shift`: how many low APIC id bits the sharers of a cache of `level` have in common. */
static void share_caches(struct cpuid_table *table, const struct topology *t)
{
    for (unsigned i = 0; i < table->count; i++) {
        struct cpuid_entry *e = &table->entry[i];
        uint32_t level = (e->reg[EAX] >> 5) & 7;
        if ((e->leaf != 4 && e->leaf != 0x8000001d) || !(e->reg[EAX] & 0x1f))
            continue;
        unsigned bits = level >= 3 ? t->thread_bits + t->core_bits : t->thread_bits;
        e->reg[EAX] &= 0x3fff;
        e->reg[EAX] |= ((1u << MIN(bits, 12u)) - 1) << 14;
        if (e->leaf == 4)
            e->reg[EAX] |= ((1u << MIN(t->core_bits, 6u)) - 1) << 26;
    }
}

static void set_topology_bits(struct cpuid_table *table, const struct topology *t, bool amd)
{
    unsigned logical = t->threads * t->cores, id_bits = t->thread_bits + t->core_bits;
    struct cpuid_entry *e = find(table, 1, 0);

    if (e) {
        e->reg[EBX] = (e->reg[EBX] & 0xff00) | MIN(1u << id_bits, 255u) << 16;
        e->reg[EDX] = (e->reg[EDX] & ~BIT(28)) | (logical > 1 ? BIT(28) : 0);
    }
    e = find(table, 0x80000001, 0);
    if (e)
        e->reg[ECX] = (e->reg[ECX] & ~BIT(1)) | (amd && logical > 1 ? BIT(1) : 0);
    e = find(table, 0x80000008, 0);
    if (e) /* NC: threads in the package less one; its width in the APIC id */
        e->reg[ECX] = amd ? id_bits << 12 | MIN(logical - 1, 255u) : 0;
}

static void apply_model(const struct cpu_model *model, const struct cpuid_table *supported,
                        struct cpuid_table *table)
{
    struct cpuid_entry *e = find(table, 1, 0);
    const struct cpuid_entry *host = cpuid_find(supported, 1, 0),
                             *host_ext = cpuid_find(supported, 0x80000001, 0);

    if (e && host) {
        if (model->hypervisor == CPU_HYPERVISOR_NONE)
            e->reg[ECX] &= ~BIT(31);
        else
            e->reg[ECX] |= BIT(31);
        e->reg[ECX] &= ~BIT(27); /* OSXSAVE follows CR4 */
        if (model->nested)
            e->reg[ECX] |= host->reg[ECX] & BIT(5);
    }
    e = find(table, 0x80000001, 0);
    if (e && host_ext && model->nested)
        e->reg[ECX] |= host_ext->reg[ECX] & BIT(2);
    e = find(table, 0x80000008, 0);
    if (e && model->phys_bits) /* the rest: linear bits; no other number for guests of the guest */
        e->reg[EAX] = (e->reg[EAX] & 0xff00) | MIN(model->phys_bits, e->reg[EAX] & 0xff);
    e = find(table, 0x80000007, 0);
    if (e && model->unstable_tsc)
        e->reg[EDX] &= ~BIT(8);
    /* Destination ids beyond 255 in messages need the engine's extended format; without processors
     * that have such ids nobody should learn of it. */
    e = find(table, 0x40000001, 0);
    if (e && cpu_model_max_apic_id(model) <= 254)
        e->reg[EAX] &= ~BIT(15);
}

/* The highest basic and extended leaf become those that we have. */
static void limit_leaves(struct cpuid_table *table)
{
    uint32_t basic = 0, extended = 0x80000000;
    struct cpuid_entry *e;

    for (unsigned i = 0; i < table->count; i++) {
        uint32_t leaf = table->entry[i].leaf;
        if (leaf < 0x40000000)
            basic = MAX(basic, leaf);
        else if (leaf >= 0x80000000)
            extended = MAX(extended, leaf);
    }
    e = find(table, 0, 0);
    if (e)
        e->reg[EAX] = basic;
    e = find(table, 0x80000000, 0);
    if (e)
        e->reg[EAX] = extended;
}

/* --- a machine that has been shown before --- */

static bool has(const struct cpuid_table *table, const struct feature *f)
{
    const struct cpuid_entry *e = cpuid_find(table, f->leaf, f->subleaf);

    return e && e->reg[f->reg] & BIT(f->bit);
}

/* Where the components of XSAVE are is part of the guest's memory. */
static bool same_xsave(const struct cpuid_table *shown, const struct cpuid_table *own)
{
    const struct cpuid_entry *all = cpuid_find(shown, 0xd, 0), *here = cpuid_find(own, 0xd, 0);
    bool same = !all || (here && !(all->reg[EAX] & ~here->reg[EAX]));

    for (unsigned i = 2; same && all && i < 32; i++) {
        const struct cpuid_entry *a = cpuid_find(shown, 0xd, i), *b = cpuid_find(own, 0xd, i);
        if (all->reg[EAX] & BIT(i))
            same = a && b && a->reg[EAX] == b->reg[EAX] && a->reg[EBX] == b->reg[EBX];
    }
    return same;
}

static unsigned phys_bits(const struct cpuid_table *table)
{
    const struct cpuid_entry *e = cpuid_find(table, 0x80000008, 0);

    return e ? e->reg[EAX] & 0xff : 36;
}

/* *table is what would be shown here, and becomes what was. All that the guest may use of that must
 * be here; identity, caches and the like are words, and stay what they were. */
static int show_again(const struct cpuid_table *shown, struct cpuid_table *table, struct err *err)
{
    const struct cpuid_entry *rates = cpuid_find(table, 0x40000010, 0);
    char missing[160] = "";
    size_t used = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (has(shown, &features[i]) && !has(table, &features[i]) && used < sizeof missing)
            used +=
                (size_t)snprintf(missing + used, sizeof missing - used, " %s", features[i].name);
    if (used)
        return err_set(
            err, -ENOTSUP,
            "the guest may use what processors here have not:%s%s (a VM with socle.cpu = "
            "\"portable\" does not)",
            missing, used >= sizeof missing ? " ..." : "");
    if (!same_xsave(shown, table) || phys_bits(shown) > phys_bits(table))
        return err_set(err, -ENOTSUP,
                       "the guest has seen processors with other registers or wider addresses");
    struct cpuid_entry own = rates ? *rates : (struct cpuid_entry){0};
    *table = *shown;
    struct cpuid_entry *e = find(table, 0x40000010, 0);
    if (e && rates)
        *e = own;
    return 0;
}

static int check_count(void *object, struct err *err)
{
    const struct cpuid_table *table = object;

    return table->count <= CPUID_ENTRIES_MAX ? 0 : err_set(err, -EBADMSG, "too many CPUID leaves");
}

static const struct state_field entry_fields[] = {
    STATE_FIELD(struct cpuid_entry, leaf, STATE_U32),
    STATE_FIELD(struct cpuid_entry, subleaf, STATE_U32),
    STATE_FIELD(struct cpuid_entry, indexed, STATE_BOOL),
    STATE_FIELD(struct cpuid_entry, reg, STATE_U32),
};
static const struct state_table entry_state = {
    "cpuid-leaf", 1, sizeof(struct cpuid_entry), entry_fields, ARRAY_SIZE(entry_fields), NULL};
static const struct state_field table_fields[] = {
    STATE_FIELD(struct cpuid_table, count, STATE_U32),
    STATE_SUB(struct cpuid_table, entry, &entry_state, CPUID_ENTRIES_MAX),
};
const struct state_table cpuid_state = {
    "cpuid", 1, sizeof(struct cpuid_table), table_fields, ARRAY_SIZE(table_fields), check_count};

int cpuid_build(const struct cpu_model *model, const struct cpuid_table *supported,
                uint32_t tsc_khz, struct cpuid_table *ret_table, struct err *err)
{
    struct cpuid_table table = {0};
    struct topology t = topology_of(model);
    bool amd = is_vendor(supported, "AuthenticAMD") || is_vendor(supported, "HygonGenuine");
    int rc = cpu_model_check(model, err);

    if (!rc)
        rc = copy_supported(model, supported, &table, err);
    if (rc)
        return rc;
    mask_xsave(model, &table);
    rc = add_hypervisor(model, tsc_khz, &table);
    if (!rc)
        rc = add_topology_leaf(0xb, &t, &table);
    if (!rc && !amd)
        rc = add_topology_leaf(0x1f, &t, &table);
    if (!rc && leaf_wanted(model, supported, 0x8000001e) && !add(&table, 0x8000001e, 0, false))
        rc = -ENOSPC;
    if (rc)
        return err_set(err, rc, "more than %d CPUID leaves", CPUID_ENTRIES_MAX);
    share_caches(&table, &t);
    set_topology_bits(&table, &t, amd);
    apply_model(model, supported, &table);
    limit_leaves(&table);
    if (model->shown && (rc = show_again(model->shown, &table, err)) < 0)
        return rc;
    cpuid_set_cpu(model, &table, 0);
    *ret_table = table;
    return 0;
}

void cpuid_set_cpu(const struct cpu_model *model, struct cpuid_table *table, unsigned index)
{
    uint32_t id = cpu_model_apic_id(model, index);
    struct topology t = topology_of(model);

    for (unsigned i = 0; i < table->count; i++) {
        struct cpuid_entry *e = &table->entry[i];
        if (e->leaf == 1)
            e->reg[EBX] = (e->reg[EBX] & 0xffffff) | id << 24;
        if (e->leaf == 0xb || e->leaf == 0x1f)
            e->reg[EDX] = id;
        if (e->leaf == 0x8000001e) {
            e->reg[EAX] = id;
            e->reg[EBX] = ((id >> t.thread_bits) & (BIT(t.core_bits) - 1) & 0xff) | (t.threads - 1)
                                                                                        << 8;
            e->reg[ECX] = (id >> (t.thread_bits + t.core_bits)) & 0xff; /* node: the socket */
        }
    }
}
