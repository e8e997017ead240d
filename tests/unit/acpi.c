/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables of some machines: walked as a guest walks them, compared byte by byte with the
 * accepted ones under golden/acpi (SOCLE_GOLDEN_UPDATE=1 writes those), disassembled and compiled
 * again by iasl, and put together by a small interpreter of the loader script. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/firmware/acpi.h"
#include "vm/firmware/aml.h"

enum { BASE = 0x7ffe0000, FIRMWARE_BASE = 0x12340 * 64 };

static const struct cpu_count {
    const char *name;
    unsigned cpus, cores;
    uint64_t memory;
    bool rich;
} variants[] = {
    {"small", 1, 1, MIB(256), false},
    {"rich", 12, 6, GIB(6), true},
    {"large", 300, 100, GIB(512), true},
};

static struct fw_machine machine_of(const struct cpu_count *v)
{
    struct fw_machine m;

    fw_machine_init(&m, NULL);
    m.cpus = v->cpus;
    m.cores_per_socket = v->cores;
    m.ram[0] = (struct fw_ram){0, MIN(v->memory, GMEM_LOW_MAX)};
    m.ram_count = 1;
    if (v->memory > GMEM_LOW_MAX)
        m.ram[m.ram_count++] = (struct fw_ram){GMEM_HIGH, v->memory - GMEM_LOW_MAX};
    m.pci_slots |= 0x3e;
    if (v->rich) {
        m.hpet = m.vga = m.fw_cfg = true;
        m.hotplug_ports = 0x3c;
        m.com_ports = 0xf;
        m.phys_bits = 46;
    }
    return m;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t total = 0;

    while (len--)
        total = (uint8_t)(total + *p++);
    return total;
}

/* The table at a guest address of a block placed at BASE; NULL if it is not whole or its checksum
 * is wrong. */
static const uint8_t *table_at(const struct acpi *acpi, uint64_t address)
{
    uint64_t off = address - BASE;

    if (address < BASE || !range_within(off, ACPI_HEADER_SIZE, acpi->tables.len))
        return NULL;
    const uint8_t *p = acpi->tables.data + off;
    uint32_t len = le32_load(p + 4);

    return range_within(off, len, acpi->tables.len) && !sum(p, len) ? p : NULL;
}

static const uint8_t *find(const struct acpi *acpi, const char *signature)
{
    const uint8_t *xsdt = table_at(acpi, le64_load(acpi->rsdp + 24));

    if (!xsdt || memcmp(xsdt, "XSDT", 4))
        return NULL;
    if (!strcmp(signature, "DSDT")) {
        const uint8_t *fadt = find(acpi, "FACP");
        return fadt ? table_at(acpi, le64_load(fadt + 140)) : NULL;
    }
    for (uint32_t at = ACPI_HEADER_SIZE; at < le32_load(xsdt + 4); at += 8) {
        const uint8_t *t = table_at(acpi, le64_load(xsdt + at));
        if (t && !memcmp(t, signature, 4))
            return t;
    }
    return NULL;
}

static void guest_finds_tables(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
        struct fw_machine m = machine_of(&variants[i]);
        cleanup_acpi struct acpi acpi = {0};
        struct err err = ERR_INIT;

        REQUIRE(!acpi_build(&m, &acpi, &err));
        acpi_place(&acpi, BASE);
        CHECK(!memcmp(acpi.rsdp, "RSD PTR ", 8));
        CHECK_EQ(sum(acpi.rsdp, 20), 0);
        CHECK_EQ(sum(acpi.rsdp, ACPI_RSDP_SIZE), 0);
        const uint8_t *rsdt = table_at(&acpi, le32_load(acpi.rsdp + 16));
        const uint8_t *xsdt = table_at(&acpi, le64_load(acpi.rsdp + 24));
        REQUIRE(rsdt && xsdt);
        uint32_t count = (le32_load(xsdt + 4) - ACPI_HEADER_SIZE) / 8;
        CHECK_EQ((le32_load(rsdt + 4) - ACPI_HEADER_SIZE) / 4, count);
        for (uint32_t n = 0; n < count; n++) {
            uint64_t at = le64_load(xsdt + ACPI_HEADER_SIZE + 8 * n);
            CHECK_EQ(le32_load(rsdt + ACPI_HEADER_SIZE + 4 * n), at);
            CHECK(table_at(&acpi, at));
        }
        const uint8_t *fadt = find(&acpi, "FACP");
        REQUIRE(fadt);
        CHECK_EQ(le32_load(fadt + 40), le64_load(fadt + 140));
        uint64_t facs = le32_load(fadt + 36);
        CHECK_EQ(facs % 64, 0);
        CHECK(!memcmp(acpi.tables.data + (facs - BASE), "FACS", 4));
        CHECK_EQ(!!find(&acpi, "HPET"), m.hpet);
        CHECK(find(&acpi, "DSDT") && find(&acpi, "APIC") && find(&acpi, "MCFG"));
    }
}

/* ACPI 5.2.12: every CPU once, by the structure that can hold its number. */
static void madt_lists_cpus(void)
{
    struct fw_machine m = machine_of(&variants[2]);
    cleanup_acpi struct acpi acpi = {0};
    unsigned xapic = 0, x2apic = 0, nmi = 0;

    REQUIRE(!acpi_build(&m, &acpi, NULL));
    acpi_place(&acpi, BASE);
    const uint8_t *madt = find(&acpi, "APIC");
    REQUIRE(madt);
    for (uint32_t at = 44; at < le32_load(madt + 4); at += madt[at + 1]) {
        const uint8_t *e = madt + at;
        REQUIRE(e[1] >= 2);
        if (e[0] == 0) {
            CHECK_EQ(e[2], xapic);
            CHECK_EQ(e[3], xapic / 100 << 7 | xapic % 100); /* sockets of 100 */
            xapic++;
        } else if (e[0] == 9) {
            CHECK_EQ(le32_load(e + 12), xapic + x2apic);
            CHECK_EQ(le32_load(e + 4), (xapic + x2apic) / 100 << 7 | (xapic + x2apic) % 100);
            x2apic++;
        }
        nmi += e[0] == 4 || e[0] == 0x0a;
    }
    CHECK_EQ(xapic + x2apic, 300);
    CHECK(x2apic > 0);
    CHECK_EQ(nmi, 2);
}

/* What `run` prints must say that there is nothing wrong. */
static bool iasl(const char *dir, const char *args, const char *file, char *out, size_t size)
{
    char command[512];

    (void)snprintf(command, sizeof command, "cd '%s' && iasl %s %s 2>&1", dir, args, file);
    FILE *f = popen(command, "r");
    if (!f)
        return false;
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    return pclose(f) == 0;
}

/* The disassembler declares names that are nowhere defined. */
static bool defines_its_names(const char *dir, const char *file)
{
    char command[512];

    (void)snprintf(command, sizeof command, "grep -q External '%s/%s'", dir, file);
    return system(command) != 0;
}

static void write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    REQUIRE(f);
    CHECK_EQ(fwrite(data, 1, len, f), len);
    CHECK_EQ(fclose(f), 0);
}

static const char *const all_tables[] = {"DSDT", "FACP", "APIC", "SRAT", "MCFG", "HPET", "WAET"};

static void iasl_has_no_complaint(void)
{
    char dir[] = "/tmp/socle-acpi-XXXXXX", text[16384], name[32];

    REQUIRE(mkdtemp(dir));
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
        struct fw_machine m = machine_of(&variants[i]);
        cleanup_acpi struct acpi acpi = {0};

        REQUIRE(!acpi_build(&m, &acpi, NULL));
        acpi_place(&acpi, BASE);
        for (size_t t = 0; t < ARRAY_SIZE(all_tables); t++) {
            const uint8_t *table = find(&acpi, all_tables[t]);
            if (!table)
                continue;
            (void)snprintf(name, sizeof name, "%s.dat", all_tables[t]);
            write_file(dir, name, table, le32_load(table + 4));
            CHECK(iasl(dir, "-d", name, text, sizeof text));
            (void)snprintf(name, sizeof name, "%s.dsl", all_tables[t]);
            bool ok = iasl(dir, "-tc", name, text, sizeof text) && defines_its_names(dir, name);
            if (!strcmp(all_tables[t], "DSDT"))
                ok = ok && strstr(text, " 0 Errors, 0 Warnings, 0 Remarks");
            else
                ok = ok && !strstr(text, "rror ") && !strstr(text, "arning ");
            if (!CHECK(ok))
                (void)printf("# %s of %s: %s\n", all_tables[t], variants[i].name, text);
        }
    }
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK_EQ(system(command), 0);
}

static size_t read_golden(const char *path, uint8_t *out, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(out, 1, size, f) : 0;

    if (f)
        (void)fclose(f);
    return n;
}

static void tables_are_the_accepted_ones(void)
{
    const char *tests = getenv("SOCLE_TESTS");
    bool update = getenv("SOCLE_GOLDEN_UPDATE");
    static uint8_t golden[65536];
    char dir[512], path[600];

    REQUIRE(tests);
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
        struct fw_machine m = machine_of(&variants[i]);
        cleanup_acpi struct acpi acpi = {0};

        REQUIRE(!acpi_build(&m, &acpi, NULL));
        acpi_place(&acpi, BASE);
        (void)snprintf(dir, sizeof dir, "%s/golden/acpi/%s", tests, variants[i].name);
        (void)mkdir(dir, 0755);
        for (size_t t = 0; t < ARRAY_SIZE(all_tables); t++) {
            const uint8_t *table = find(&acpi, all_tables[t]);
            if (!table)
                continue;
            (void)snprintf(path, sizeof path, "%s.dat", all_tables[t]);
            if (update)
                write_file(dir, path, table, le32_load(table + 4));
            (void)snprintf(path, sizeof path, "%s/%s.dat", dir, all_tables[t]);
            size_t len = read_golden(path, golden, sizeof golden);
            bool same = len == le32_load(table + 4) && !memcmp(golden, table, len);
            if (!CHECK(same))
                (void)printf("# %s\n", path);
        }
    }
}

/* Carries out a loader script as firmware does: files are allocated, pointers raised, checksums
 * made. */
struct loaded {
    uint8_t *file[2];
    size_t len[2];
    uint64_t base[2];
};

static int blob_of(const uint8_t *name)
{
    return !strcmp((const char *)name, ACPI_FILE_TABLES) ? ACPI_TABLES
           : !strcmp((const char *)name, ACPI_FILE_RSDP) ? ACPI_RSDP
                                                         : -1;
}

static void run_entry(struct loaded *l, const uint8_t *e)
{
    int blob = blob_of(e + 4);

    REQUIRE(blob >= 0);
    if (le32_load(e) == 1) {
        uint32_t align = le32_load(e + 60);
        l->base[blob] = align_up(FIRMWARE_BASE + 0x100000u * (unsigned)blob, align);
    } else if (le32_load(e) == 2) {
        int src = blob_of(e + 60);
        uint32_t off = le32_load(e + 116), size = e[120];
        REQUIRE(src >= 0 && l->base[src] && range_within(off, size, l->len[blob]));
        le_store(l->file[blob] + off, size, le_load(l->file[blob] + off, size) + l->base[src]);
    } else {
        REQUIRE(le32_load(e) == 3);
        uint32_t off = le32_load(e + 60), start = le32_load(e + 64), len = le32_load(e + 68);
        REQUIRE(range_within(start, len, l->len[blob]) && off < l->len[blob]);
        CHECK_EQ(l->file[blob][off], 0);
        l->file[blob][off] = (uint8_t)-sum(l->file[blob] + start, len);
    }
}

static void loader_script_gives_the_same(void)
{
    struct fw_machine m = machine_of(&variants[1]);
    cleanup_acpi struct acpi loaded = {0}, placed = {0};
    cleanup_buf struct buf script = {0};

    REQUIRE(!acpi_build(&m, &loaded, NULL) && !acpi_build(&m, &placed, NULL));
    REQUIRE(!acpi_loader_script(&loaded, &script));
    CHECK_EQ(script.len % 128, 0);
    struct loaded l = {.file = {loaded.tables.data, loaded.rsdp},
                       .len = {loaded.tables.len, ACPI_RSDP_SIZE}};
    for (size_t at = 0; at + 128 <= script.len; at += 128)
        run_entry(&l, script.data + at);
    REQUIRE(l.base[ACPI_TABLES]);
    acpi_place(&placed, l.base[ACPI_TABLES]);
    CHECK(!memcmp(loaded.tables.data, placed.tables.data, placed.tables.len));
    CHECK(!memcmp(loaded.rsdp, placed.rsdp, ACPI_RSDP_SIZE));
}

/* Moving ECAM must not change any length: firmware reads the lengths before it moves it. */
static void lengths_do_not_depend_on_ecam(void)
{
    struct fw_machine m = machine_of(&variants[1]);
    cleanup_acpi struct acpi a = {0}, b = {0};

    REQUIRE(!acpi_build(&m, &a, NULL));
    m.ecam_base = 0xe0000000;
    REQUIRE(!acpi_build(&m, &b, NULL));
    CHECK_EQ(a.tables.len, b.tables.len);
    CHECK_EQ(a.fixup_count, b.fixup_count);
    acpi_place(&b, BASE);
    const uint8_t *mcfg = find(&b, "MCFG");
    REQUIRE(mcfg);
    CHECK_EQ(le64_load(mcfg + 44), 0xe0000000);
}

static void impossible_machines_are_refused(void)
{
    struct fw_machine m = machine_of(&variants[0]);
    struct err err = ERR_INIT;
    struct acpi acpi;

    m.cpus = 0;
    CHECK_EQ(acpi_build(&m, &acpi, &err), -EINVAL);
    acpi_free(&acpi);
    m = machine_of(&variants[1]);
    m.ecam_base = 0x70000000; /* in RAM */
    CHECK_EQ(acpi_build(&m, &acpi, &err), -EINVAL);
    acpi_free(&acpi);
    CHECK(strstr(err.text, "0x70000000"));
}

static void aml_encodes(void)
{
    cleanup_buf struct buf out = {0};
    struct aml aml = {.out = &out}, *a = &aml;
    /* Scope (\_SB.PCI0) { Name (ABC_, 0x1234) }, assembled by hand from section 20.2. */
    static const uint8_t want[] = {0x10, 0x13, '\\', 0x2e, '_', 'S', 'B', '_',  'P',  'C',
                                   'I',  '0',  0x08, 'A',  'B', 'C', '_', 0x0b, 0x34, 0x12};

    aml_scope(a, "\\_SB.PCI0");
    aml_name_int(a, "ABC", 0x1234);
    aml_end(a);
    CHECK_EQ(out.len, sizeof want);
    REQUIRE(out.len == sizeof want);
    CHECK(!memcmp(out.data, want, sizeof want));
    CHECK_EQ(aml_eisaid("PNP0A08"), 0x080ad041);

    /* PkgLength of two and three bytes: 63 and 4094 bytes of body do not fit one and two. */
    for (unsigned body = 50; body < 5000; body += 13) {
        out.len = 0;
        aml_scope(a, "X");
        for (unsigned i = 0; i < body; i++)
            aml_u8(a, 0xa3);
        aml_end(a);
        const uint8_t *p = out.data + 1;
        unsigned extra = p[0] >> 6;
        uint32_t len = extra ? p[0] & 15 : p[0] & 63;
        for (unsigned i = 0; i < extra; i++)
            len |= (uint32_t)p[1 + i] << (4 + 8 * i);
        CHECK_EQ(len, out.len - 1);
    }
    aml_end(a); /* nothing is open */
    CHECK(out.failed);
}

TAP_MAIN(TAP_CASE(aml_encodes), TAP_CASE(guest_finds_tables), TAP_CASE(madt_lists_cpus),
         TAP_CASE(loader_script_gives_the_same), TAP_CASE(lengths_do_not_depend_on_ecam),
         TAP_CASE(impossible_machines_are_refused), TAP_CASE(tables_are_the_accepted_ones),
         TAP_CASE(iasl_has_no_complaint))
