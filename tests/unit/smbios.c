/* SPDX-License-Identifier: Apache-2.0 */
/* The SMBIOS tables read back by a small walker, and (where it is installed) by dmidecode. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/firmware/smbios.h"

static struct fw_machine machine(unsigned cpus, unsigned cores, uint64_t memory)
{
    struct fw_machine m;

    fw_machine_init(&m, NULL);
    m.cpus = cpus;
    m.cores_per_socket = cores;
    m.ram[0] = (struct fw_ram){0, MIN(memory, GMEM_LOW_MAX)};
    m.ram_count = 1;
    if (memory > GMEM_LOW_MAX)
        m.ram[m.ram_count++] = (struct fw_ram){GMEM_HIGH, memory - GMEM_LOW_MAX};
    for (uint8_t i = 0; i < 16; i++)
        m.uuid[i] = (uint8_t)(0x10 + i);
    (void)snprintf(m.serial, sizeof m.serial, "Socle-0123");
    return m;
}

/* The n-th structure of a type; NULL if there is none or the table is not well formed before. */
static const uint8_t *find(const struct smbios *s, uint8_t type, unsigned n, unsigned *ret_count)
{
    const uint8_t *p = s->table.data, *end = p + s->table.len, *found = NULL;
    unsigned count = 0;

    while (end - p >= 4 && p[1] >= 4 && end - p >= p[1]) {
        if (p[0] == type && !n--)
            found = p;
        count++;
        const uint8_t *q = p + p[1];
        while (end - q >= 2 && (q[0] || q[1]))
            q++;
        if (end - q < 2)
            return NULL;
        if (p[0] == 127 && q + 2 != end)
            return NULL;
        p = q + 2;
    }
    *ret_count = count;
    return p == end ? found : NULL;
}

static const char *string(const uint8_t *p, unsigned number)
{
    const char *s = (const char *)p + p[1];

    while (--number)
        s += strlen(s) + 1;
    return s;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t total = 0;

    while (len--)
        total = (uint8_t)(total + *p++);
    return total;
}

static void structures_read_back(void)
{
    struct fw_machine m = machine(12, 6, GIB(6));
    cleanup_smbios struct smbios s = {0};
    unsigned count;

    REQUIRE(!smbios_build(&m, SMBIOS_3_0, &s));
    const uint8_t *p = find(&s, 1, 0, &count);
    REQUIRE(p);
    CHECK_EQ(count, s.count);
    CHECK_STR(string(p, p[4]), "Socle");
    CHECK_STR(string(p, p[7]), "Socle-0123");
    /* RFC 4122 bytes 10 11 12 13 are the little-endian field 13 12 11 10. */
    static const uint8_t uuid[16] = {0x13, 0x12, 0x11, 0x10, 0x15, 0x14, 0x17, 0x16,
                                     0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
    CHECK(!memcmp(p + 8, uuid, 16));
    p = find(&s, 4, 1, &count);
    REQUIRE(p);
    CHECK_EQ(p[0x23], 6);
    CHECK_STR(string(p, p[4]), "CPU #001");
    CHECK(!find(&s, 4, 2, &count));
    p = find(&s, 17, 0, &count);
    REQUIRE(p);
    CHECK_EQ(le16_load(p + 0x0c), 6144);
    p = find(&s, 19, 1, &count);
    REQUIRE(p);
    CHECK_EQ(le32_load(p + 4), 0x400000);
    CHECK_EQ(le32_load(p + 8), (UINT64_C(0x200000000) >> 10) - 1);
    CHECK(find(&s, 127, 0, &count) && find(&s, 0, 0, &count) && find(&s, 32, 0, &count));
}

static void serial_is_the_uuid(void)
{
    struct fw_machine m = machine(1, 1, MIB(256));
    cleanup_smbios struct smbios s = {0};
    unsigned count;

    m.serial[0] = '\0';
    REQUIRE(!smbios_build(&m, SMBIOS_3_0, &s));
    const uint8_t *p = find(&s, 1, 0, &count);
    REQUIRE(p);
    CHECK_STR(string(p, p[7]), "Socle-10 11 12 13 14 15 16 17-18 19 1a 1b 1c 1d 1e 1f");
}

static void huge_memory_uses_the_long_fields(void)
{
    struct fw_machine m = machine(1, 1, GIB(16384));
    cleanup_smbios struct smbios s = {0};
    unsigned count;

    REQUIRE(!smbios_build(&m, SMBIOS_3_0, &s));
    const uint8_t *p = find(&s, 17, 0, &count);
    REQUIRE(p);
    CHECK_EQ(le16_load(p + 0x0c), 0x7fff);
    CHECK_EQ(le32_load(p + 0x1c), 16384 * 1024);
    p = find(&s, 16, 0, &count);
    REQUIRE(p);
    CHECK_EQ(le32_load(p + 7), 0x80000000);
    CHECK_EQ(le64_load(p + 0x0f), GIB(16384));
    p = find(&s, 19, 1, &count);
    REQUIRE(p);
    CHECK_EQ(le32_load(p + 4), UINT32_MAX);
    CHECK_EQ(le64_load(p + 0x0f), GMEM_HIGH);
}

static void entry_points_sum_up(void)
{
    struct fw_machine m = machine(1, 1, MIB(256));
    uint8_t e21[SMBIOS_ENTRY21_SIZE], e30[SMBIOS_ENTRY30_SIZE];
    cleanup_smbios struct smbios s = {0};

    unsigned count;

    REQUIRE(!smbios_build(&m, SMBIOS_2_8, &s));
    const uint8_t *cpu = find(&s, 4, 0, &count);
    CHECK(cpu && cpu[1] == 0x2a); /* DSP0134 2.8, 7.5 */
    REQUIRE(!smbios_entry21(&s, 0xf0100, e21));
    CHECK_EQ(sum(e21, sizeof e21), 0);
    CHECK_EQ(sum(e21 + 16, 15), 0);
    CHECK_EQ(le32_load(e21 + 0x18), 0xf0100);
    CHECK_EQ(le16_load(e21 + 0x16), s.table.len);
    smbios_entry30(&s, 0xf0100, e30);
    CHECK_EQ(sum(e30, sizeof e30), 0);
    CHECK_EQ(le64_load(e30 + 0x10), 0xf0100);
}

static void too_long_for_the_old_entry(void)
{
    struct fw_machine m = machine(4096, 1, MIB(256));
    uint8_t e21[SMBIOS_ENTRY21_SIZE];
    cleanup_smbios struct smbios s = {0};

    REQUIRE(!smbios_build(&m, SMBIOS_3_0, &s));
    CHECK_EQ(smbios_entry21(&s, 0, e21), -EOVERFLOW);
}

/* A dump as dmidecode reads it: the entry point at 0, the table at 32. */
static void dmidecode_reads_it(void)
{
    struct fw_machine m = machine(12, 6, GIB(6));
    char path[] = "/tmp/socle-smbios-XXXXXX", command[128], text[16384];
    uint8_t entry[32] = {0};
    cleanup_smbios struct smbios s = {0};

    if (system("command -v dmidecode >/dev/null 2>&1")) {
        (void)printf("# skipped: no dmidecode\n");
        return;
    }
    REQUIRE(!smbios_build(&m, SMBIOS_3_0, &s));
    smbios_entry30(&s, sizeof entry, entry);
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    CHECK(write(fd, entry, sizeof entry) == sizeof entry);
    CHECK(write(fd, s.table.data, s.table.len) == (ssize_t)s.table.len);
    (void)close(fd);
    (void)snprintf(command, sizeof command, "dmidecode --from-dump %s 2>&1", path);
    FILE *f = popen(command, "r");
    REQUIRE(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    CHECK_EQ(pclose(f), 0);
    (void)unlink(path);
    CHECK(strstr(text, "UUID: 10111213-1415-1617-1819-1a1b1c1d1e1f"));
    CHECK(strstr(text, "Core Count: 6"));
    CHECK(strstr(text, "Size: 6 GB"));
    CHECK(strstr(text, "System is a virtual machine"));
    CHECK(!strstr(text, "BAD") && !strstr(text, "OUT OF SPEC") && !strstr(text, "roken") &&
          !strstr(text, "nvalid") && !strstr(text, "TRUNCATED"));
    if (tap_failures_)
        (void)printf("# %s\n", text);
}

TAP_MAIN(TAP_CASE(structures_read_back), TAP_CASE(serial_is_the_uuid),
         TAP_CASE(huge_memory_uses_the_long_fields), TAP_CASE(entry_points_sum_up),
         TAP_CASE(too_long_for_the_old_entry), TAP_CASE(dmidecode_reads_it))
