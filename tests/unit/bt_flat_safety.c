/* SPDX-License-Identifier: Apache-2.0 */
/* The flat tables: no address through no entry gets anywhere but to guest RAM, a code map, or a
 * signal. Sums of addresses and entries are checked against what the process really has mapped, and
 * some are tried. */
#include <signal.h>
#include <ucontext.h>

#include "tests/unit/bt_flat_rig.h"
#include "vm/engine/bt/flat_pages.h"

struct mapping {
    uint64_t from, to;
    bool none; /* no access */
};

static struct mapping mapping[70000];
static unsigned mapping_count;
static uint64_t lowest; /* below it nobody can map anything */

static bool read_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512], prot[8];
    unsigned long long from, to;

    mapping_count = 0;
    while (f && fgets(line, sizeof line, f) && mapping_count < ARRAY_SIZE(mapping))
        if (sscanf(line, "%llx-%llx %7s", &from, &to, prot) == 3)
            mapping[mapping_count++] =
                (struct mapping){.from = from, .to = to, .none = !memcmp(prot, "---", 3)};
    if (f)
        (void)fclose(f);
    f = fopen("/proc/sys/vm/mmap_min_addr", "re");
    bool read = f && fgets(line, sizeof line, f) && sscanf(line, "%llu", &from) == 1;
    lowest = read ? from : 0;
    if (f)
        (void)fclose(f);
    return mapping_count > 0;
}

/* Nothing of [address, address + len) can ever be touched: it is reserved, or not user space. */
static bool dead(uint64_t address, uint64_t len)
{
    while (len) {
        unsigned low = 0, high = mapping_count;
        uint64_t part = 0;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            const struct mapping *m = &mapping[middle];
            if (address < m->from)
                high = middle;
            else if (address >= m->to)
                low = middle + 1;
            else {
                part = m->none ? m->to - address : 0;
                break;
            }
        }
        if (!part && address < lowest)
            part = lowest - address;
        if (!part && address >= BIT64(47))
            return true;
        if (!part)
            return false;
        part = MIN(part, len);
        address += part;
        len -= part;
    }
    return true;
}

enum class { LOAD, STORE, EXEC, EMPTY, CLASSES };

/* An entry of a class for the page of `linear`, entered as the engine enters it, and in *ret_place
 * where it leads: in RAM, or in the code maps (EXEC; EMPTY, for look-ups). */
static uint64_t make_entry(enum class class, uint64_t linear, uint64_t page, uint64_t *ret_place)
{
    struct bt_tlb_entry *e = &rig.cpu->tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];
    const uint32_t *map = (const uint32_t *)(void *)(flat_rig.maps + page % 4096 * FLAT_MAP_BYTES);

    /* As if it had been looked up: what the tables say does not matter here, nor what is
     * canonical. */
    *e = (struct bt_tlb_entry){.gpa = page * PAGE,
                               .page = linear & MMU_PAGE,
                               .number = page,
                               .rights = MMU_ENTRY_WRITE | MMU_ENTRY_EXECUTE};
    e->tag[MMU_READ] = e->page | rig.cpu->tlb->space[0].context;
    *ret_place = (uintptr_t)(flat_miss_map(rig.cpu) + 1);
    if (class == EXEC) {
        flat_note_code(rig.cpu, linear, map);
        *ret_place = (uintptr_t)map;
    } else if (class != EMPTY) {
        flat_note(rig.cpu, linear);
        *ret_place = (uintptr_t)flat_rig.ram + page * PAGE;
    }
    return entry(linear, class == STORE ? FLAT_STORE : class == EXEC ? FLAT_EXEC : FLAT_LOAD);
}

/* All that a data access may end in: the sum in each window of 2^39; and a look-up of code: in each
 * of 2^41. Those which are not canonical need no look. */
static void check_sum(enum class class, uint64_t value, uint64_t linear, uint64_t place,
                      unsigned offset, unsigned size)
{
    uint64_t sum = (linear & MMU_PAGE) + value + offset, fourfold = sum * 4;
    unsigned wrong = 0, exact = 0;

    for (unsigned k = 0; k < 256; k++) {
        uint64_t at = sum % BIT64(39) + k * BIT64(39);
        if (at == sum && class != EXEC && class != EMPTY && at == place + offset)
            exact++;
        else if (!dead(at, size))
            wrong++;
    }
    CHECK_EQ(exact, class == LOAD || class == STORE);
    exact = 0;
    for (unsigned k = 0; k < 64; k++) {
        uint64_t at = fourfold % BIT64(41) + k * BIT64(41);
        if ((at == fourfold || class == EMPTY) && class >= EXEC && at == place + offset * 4)
            exact++;
        else if (!dead(at, 4))
            wrong++;
    }
    CHECK_EQ(exact, class >= EXEC);
    if (!CHECK_EQ(wrong, 0))
        (void)printf("# class %u, entry of %llx is %llx\n", class, (unsigned long long)linear,
                     (unsigned long long)value);
}

static void no_way_out(void)
{
    static const unsigned sizes[] = {1, 2, 4, 8, 16, 32, 64};

    REQUIRE(open_flat(0));
    REQUIRE(read_mappings());
    for (unsigned i = 0; i < 4000; i++) {
        enum class class = i % CLASSES;
        uint64_t page = random64() % (RAM / PAGE), linear = random64() >> random64() % 64, place;
        unsigned size = sizes[random64() % ARRAY_SIZE(sizes)];
        unsigned offset = (unsigned)(random64() % (PAGE - size + 1));
        if (i % 7 == 0)
            page = i & 8 ? RAM / PAGE - 1 : 0;
        if (i % 5 == 0)
            offset = i & 8 ? PAGE - size : 0;
        if (i % 3)
            linear = (uint64_t)((int64_t)(linear << 16) >> 16);
        uint64_t value = make_entry(class, linear, page, &place);
        check_sum(class, value, linear, place, offset, size);
        mmu_flush_all(rig.cpu);
    }
    rig_close();
}

/* The real thing, by a load that a signal may skip. */

static volatile sig_atomic_t faulted;
void flat_probe(uint64_t address);
extern const char flat_probed[];
__asm__(".text\n"
        ".globl flat_probe, flat_probed\n"
        "flat_probe: movb (%rdi), %al\n"
        "flat_probed: ret\n");

static void on_fault(int signal, siginfo_t *info, void *context)
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)info;
    if (reg[REG_RIP] != (greg_t)(uintptr_t)flat_probe) {
        (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        return;
    }
    faulted = 1;
    reg[REG_RIP] = (greg_t)(uintptr_t)flat_probed;
}

static bool touch(uint64_t address)
{
    faulted = 0;
    flat_probe(address);
    return !faulted;
}

static void watch_faults(bool on)
{
    static struct sigaction old, old_bus;
    struct sigaction handler = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    (void)sigaction(SIGSEGV, on ? &handler : &old, on ? &old : NULL);
    (void)sigaction(SIGBUS, on ? &handler : &old_bus, on ? &old_bus : NULL);
}

/* Memory only where it was given, with its contents; and none after it was taken. */
static void pages(void)
{
    uint64_t contents[FLAT_PAGE / 8];
    unsigned watched = 0;

    memset(contents, 0x5a, sizeof contents);
    watch_faults(true);
    for (unsigned split = 0; split < 2; split++) {
        struct flat_pages p;
        REQUIRE(flat_pages_create(&p, MIB(64), split) == 0);
        watched += p.fd >= 0;
        CHECK(!split || p.fd < 0);
        uint64_t at = (uintptr_t)p.at;
        for (unsigned round = 0; round < 3; round++) {
            for (uint64_t i = 0; i < 64; i += 2)
                CHECK_EQ(flat_pages_give(&p, (uint64_t *)(uintptr_t)(at + i * MIB(1)), contents),
                         0);
            CHECK(touch(at) && touch(at + FLAT_PAGE - 1) && !touch(at + FLAT_PAGE));
            CHECK_EQ(*(uint64_t *)(uintptr_t)(at + MIB(62)), 0x5a5a5a5a5a5a5a5a);
            CHECK(!touch(at + MIB(61)) && !touch(at + MIB(62) - 1));
            *(uint64_t *)(uintptr_t)(at + 8) = round;
            CHECK_EQ(flat_pages_take(&p, p.at, MIB(32)), 0);
            CHECK(!touch(at) && touch(at + MIB(32)));
            CHECK_EQ(flat_pages_take(&p, p.at, MIB(64)), 0);
            CHECK(!touch(at + MIB(32)));
        }
        flat_pages_destroy(&p);
        CHECK(!touch(at));
    }
    watch_faults(false);
    if (!watched)
        (void)printf("# no userfaultfd here\n");
}

/* An address that uses the slot which `view` of `linear` has, by any view, and its sum. */
static uint64_t alias(uint64_t linear, enum flat_view view, enum flat_view *ret_view)
{
    uint64_t page = (linear >> 12) + ((uint32_t)view >> 3);

    *ret_view = views[random64() % ARRAY_SIZE(views)];
    page = (page - ((uint32_t)*ret_view >> 3)) % SLOTS;
    uint64_t tag = random64() >> random64() % 64;
    if (random64() & 1)
        tag = random64() & 1 ? BIT64(random64() % 23) : linear >> 41;
    return (tag << 41 | page << 12) + random64() % PAGE;
}

static void random_accesses(void)
{
    enum { ENTRIES = 3000, TRIES = 100 };
    static const enum flat_view of_class[] = {FLAT_LOAD, FLAT_STORE, FLAT_EXEC, FLAT_LOAD};
    unsigned right = 0, misses = 0, wrong = 0, faults = 0;

    REQUIRE(open_flat(0));
    watch_faults(true);
    for (unsigned i = 0; i < ENTRIES; i++) {
        enum class class = i % CLASSES;
        uint64_t linear = random64() >> random64() % 64, place;
        (void)make_entry(class, linear, random64() % (RAM / PAGE), &place);
        for (unsigned k = 0; k < TRIES; k++) {
            enum flat_view view;
            uint64_t other = alias(linear, of_class[class], &view);
            uint64_t sum = other + entry(other, view);
            bool lookup = random64() & 1;
            uint64_t at = lookup ? sum * 4 : sum;
            bool same = (other & MMU_PAGE) == (linear & MMU_PAGE) && view == of_class[class];
            /* What may be touched at all. */
            bool ram = !lookup && at - (uintptr_t)flat_rig.ram < RAM;
            bool map = lookup && at - (uintptr_t)flat_rig.maps < MAP_BYTES;
            bool miss = lookup && at - (uintptr_t)flat_miss_map(rig.cpu) < FLAT_MAP_BYTES + 4;
            if (!touch(at))
                faults++;
            else if (ram && same && at - place < PAGE)
                right++;
            else if (map && class == EXEC && view == FLAT_EXEC && at - place < FLAT_MAP_BYTES &&
                     !((linear ^ other) << 2 >> 14))
                right++;
            else if (miss && at % 4 == 0)
                misses++;
            else
                wrong++;
        }
        mmu_flush_all(rig.cpu);
    }
    watch_faults(false);
    CHECK_EQ(wrong, 0);
    CHECK(right > 100 && misses > 100 && faults > 100000);
    rig_close();
}

TAP_MAIN(TAP_CASE(pages), TAP_CASE(no_way_out), TAP_CASE(random_accesses))
