/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS structures, DSP0134 3.0 chapter 7. All memory is one memory device: how the host backs it
 * is no business of the guest. */
#include "vm/firmware/smbios.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* Handles; those that come in numbers count from here. */
enum {
    HANDLE_BIOS = 0x0000,
    HANDLE_SYSTEM = 0x0100,
    HANDLE_BOARD = 0x0200,
    HANDLE_CHASSIS = 0x0300,
    HANDLE_ARRAY = 0x1000,
    HANDLE_DEVICE = 0x1100,
    HANDLE_MAPPED = 0x1300,
    HANDLE_BOOT = 0x2000,
    HANDLE_CPU = 0x4000,
    HANDLE_END = 0xfeff,
    HANDLE_NONE = 0xffff,
};

enum { UNKNOWN = 2, OTHER = 1, SAFE = 3, CHASSIS_OTHER = 1, STRINGS_MAX = 8, SERIAL_BYTES = 6 };

/* One structure while it is written: the formatted area, then its strings, numbered from 1. */
struct structure {
    struct smbios *smbios;
    size_t at;
    const char *string[STRINGS_MAX];
    uint8_t strings;
};

static uint8_t *begin(struct structure *s, struct smbios *smbios, uint8_t type, uint8_t len,
                      uint16_t handle)
{
    *s = (struct structure){.smbios = smbios, .at = smbios->table.len};
    uint8_t *p = buf_grow(&smbios->table, len);

    if (!p)
        return NULL;
    p[0] = type;
    p[1] = len;
    le16_store(p + 2, handle);
    return p;
}

static uint8_t string(struct structure *s, const char *text)
{
    if (!*text || s->strings == STRINGS_MAX)
        return 0;
    s->string[s->strings++] = text;
    return s->strings;
}

static void end(struct structure *s)
{
    struct buf *table = &s->smbios->table;

    for (unsigned i = 0; i < s->strings; i++)
        buf_put(table, s->string[i], strlen(s->string[i]) + 1);
    (void)buf_grow(table, s->strings ? 1 : 2);
    s->smbios->count++;
    s->smbios->longest = (uint16_t)MAX(s->smbios->longest, table->len - s->at);
}

static void bios(struct smbios *smbios, const struct fw_identity *id)
{
    struct structure s;
    uint8_t *p = begin(&s, smbios, 0, 0x18, HANDLE_BIOS);

    if (!p)
        return;
    p[0x04] = string(&s, id->bios_vendor);
    p[0x05] = string(&s, id->bios_version);
    le16_store(p + 0x06, 0xe800); /* segment; means little in a VM */
    p[0x08] = string(&s, id->bios_date);
    p[0x0a] = BIT(3);          /* characteristics are not supported */
    p[0x12] = BIT(0);          /* ACPI */
    p[0x13] = BIT(2) | BIT(4); /* targeted content distribution; a virtual machine */
    p[0x14] = id->bios_major;
    p[0x15] = id->bios_minor;
    p[0x16] = p[0x17] = 0xff; /* no embedded controller */
    end(&s);
}

/* 7.2.1: the first three fields of the UUID are little-endian here. */
static void put_uuid(uint8_t *p, const uint8_t uuid[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

    for (unsigned i = 0; i < 16; i++)
        p[i] = uuid[order[i]];
}

static void system_information(struct smbios *smbios, const struct fw_machine *machine)
{
    const struct fw_identity *id = machine->identity;
    struct structure s;
    uint8_t *p = begin(&s, smbios, 1, 0x1b, HANDLE_SYSTEM);

    if (!p)
        return;
    p[0x04] = string(&s, id->manufacturer);
    p[0x05] = string(&s, id->product);
    p[0x06] = string(&s, id->version);
    p[0x07] = string(&s, smbios->serial);
    put_uuid(p + 0x08, machine->uuid);
    p[0x18] = 6; /* woken by the power switch */
    p[0x19] = string(&s, id->sku);
    p[0x1a] = string(&s, id->family);
    end(&s);
}

/* "Socle-42 17 4c 3e ec 05 e3 23-fd 4b 7d 0e 7e 9b bc d0": the bytes of the UUID. */
static void make_serial(struct smbios *smbios, const struct fw_machine *machine)
{
    static const char hex[] = "0123456789abcdef";
    char *p = smbios->serial;
    const size_t size = sizeof smbios->serial; /* a prefix of 12 and 48 for the bytes fit */

    if (*machine->serial) {
        (void)snprintf(p, size, "%s", machine->serial);
        return;
    }
    p += snprintf(p, size, "%.12s", machine->identity->serial_prefix);
    for (unsigned i = 0; i < 16; i++) {
        *p++ = hex[machine->uuid[i] >> 4];
        *p++ = hex[machine->uuid[i] & 15];
        *p++ = i == 15 ? '\0' : i == 7 ? '-' : ' ';
    }
}

static void board(struct smbios *smbios, const struct fw_machine *machine)
{
    struct structure s;
    uint8_t *p = begin(&s, smbios, 2, 0x0f, HANDLE_BOARD);

    if (!p)
        return;
    p[0x04] = string(&s, machine->identity->board_manufacturer);
    p[0x05] = string(&s, machine->identity->board_product);
    p[0x06] = string(&s, machine->identity->version);
    p[0x07] = string(&s, smbios->serial);
    p[0x09] = BIT(0); /* hosts the processors */
    le16_store(p + 0x0b, HANDLE_CHASSIS);
    p[0x0d] = 0x0a; /* motherboard */
    end(&s);
}

static void chassis(struct smbios *smbios, const struct fw_machine *machine)
{
    struct structure s;
    uint8_t *p = begin(&s, smbios, 3, 0x16, HANDLE_CHASSIS);

    if (!p)
        return;
    p[0x04] = string(&s, machine->identity->chassis_manufacturer);
    p[0x05] = CHASSIS_OTHER;
    p[0x06] = string(&s, machine->identity->version);
    p[0x07] = string(&s, smbios->serial);
    p[0x09] = p[0x0a] = p[0x0b] = SAFE;
    p[0x0c] = UNKNOWN;
    end(&s);
}

static void processor(struct smbios *smbios, const struct fw_machine *machine, unsigned socket)
{
    unsigned cores = machine->cores_per_socket;
    uint8_t few = (uint8_t)MIN(cores, 255u);
    char name[16];
    struct structure s;
    uint8_t len = smbios->version == SMBIOS_3_0 ? 0x30 : 0x2a;
    uint8_t *p = begin(&s, smbios, 4, len, (uint16_t)(HANDLE_CPU + socket));

    if (!p)
        return;
    (void)snprintf(name, sizeof name, "CPU #%03u", socket);
    p[0x04] = string(&s, name);
    p[0x05] = 3;    /* central processor */
    p[0x06] = 0xfe; /* family: see family 2 */
    p[0x07] = string(&s, machine->identity->cpu_manufacturer);
    p[0x10] = string(&s, machine->identity->cpu_version);
    le16_store(p + 0x14, 2000); /* MHz: the field may not be 0 */
    le16_store(p + 0x16, 2000);
    p[0x18] = 0x41;  /* populated, enabled */
    p[0x19] = OTHER; /* upgrade */
    le16_store(p + 0x1a, HANDLE_NONE);
    le16_store(p + 0x1c, HANDLE_NONE);
    le16_store(p + 0x1e, HANDLE_NONE);
    p[0x23] = p[0x24] = p[0x25] = few;
    le16_store(p + 0x26,
               BIT(2) | (cores > 1 ? BIT(3) : 0) | BIT(5) | BIT(6)); /* 64-bit, multi-core,
                                             execute protection, virtualization */
    le16_store(p + 0x28, OTHER);
    for (unsigned at = 0x2a; at < len; at += 2)
        le16_store(p + at, (uint16_t)cores);
    end(&s);
}

static uint64_t ram_size(const struct fw_machine *machine)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < machine->ram_count; i++)
        size += machine->ram[i].size;
    return size;
}

static void memory_array(struct smbios *smbios, const struct fw_machine *machine)
{
    uint64_t size = ram_size(machine);
    struct structure s;
    uint8_t *p = begin(&s, smbios, 16, 0x17, HANDLE_ARRAY);

    if (!p)
        return;
    p[0x04] = 3; /* on the board */
    p[0x05] = 3; /* system memory */
    p[0x06] = 6; /* multi-bit ECC: Windows certification wants it */
    le32_store(p + 0x07, (uint32_t)MIN(size >> 10, UINT64_C(0x80000000)));
    le16_store(p + 0x0b, HANDLE_NONE - 1); /* no error information */
    le16_store(p + 0x0d, 1);
    if (size >> 10 >= 0x80000000)
        le64_store(p + 0x0f, size);
    end(&s);
}

static void memory_device(struct smbios *smbios, const struct fw_machine *machine)
{
    uint64_t mib = ram_size(machine) >> 20;
    struct structure s;
    uint8_t *p = begin(&s, smbios, 17, 0x28, HANDLE_DEVICE);

    if (!p)
        return;
    le16_store(p + 0x04, HANDLE_ARRAY);
    le16_store(p + 0x06, HANDLE_NONE - 1);
    le16_store(p + 0x08, 64); /* bits, total and data */
    le16_store(p + 0x0a, 64);
    le16_store(p + 0x0c, (uint16_t)MIN(mib, UINT64_C(0x7fff)));
    p[0x0e] = 9; /* DIMM */
    p[0x10] = string(&s, "DIMM 0");
    p[0x12] = 7;                  /* RAM */
    le16_store(p + 0x13, BIT(1)); /* other */
    p[0x17] = string(&s, machine->identity->memory_manufacturer);
    if (mib >= 0x7fff)
        le32_store(p + 0x1c, (uint32_t)mib);
    end(&s);
}

static void memory_mapped(struct smbios *smbios, const struct fw_machine *machine, unsigned n)
{
    uint64_t first = machine->ram[n].base, last = first + machine->ram[n].size - 1;
    struct structure s;
    uint8_t *p = begin(&s, smbios, 19, 0x1f, (uint16_t)(HANDLE_MAPPED + n));

    if (!p)
        return;
    if (last >> 10 >= UINT32_MAX) {
        le32_store(p + 0x04, UINT32_MAX);
        le32_store(p + 0x08, UINT32_MAX);
        le64_store(p + 0x0f, first);
        le64_store(p + 0x17, last);
    } else {
        le32_store(p + 0x04, (uint32_t)(first >> 10));
        le32_store(p + 0x08, (uint32_t)(last >> 10));
    }
    le16_store(p + 0x0c, HANDLE_ARRAY);
    p[0x0e] = 1; /* devices in the row */
    end(&s);
}

static void plain(struct smbios *smbios, uint8_t type, uint8_t len, uint16_t handle)
{
    struct structure s;

    if (begin(&s, smbios, type, len, handle))
        end(&s);
}

int smbios_build(const struct fw_machine *machine, enum smbios_version version,
                 struct smbios *ret_smbios)
{
    struct smbios *smbios = ret_smbios;
    unsigned sockets = (machine->cpus + machine->cores_per_socket - 1) / machine->cores_per_socket;

    *smbios = (struct smbios){.version = version};
    make_serial(smbios, machine);
    bios(smbios, machine->identity);
    system_information(smbios, machine);
    board(smbios, machine);
    chassis(smbios, machine);
    for (unsigned i = 0; i < sockets; i++)
        processor(smbios, machine, i);
    memory_array(smbios, machine);
    memory_device(smbios, machine);
    for (unsigned i = 0; i < machine->ram_count; i++)
        memory_mapped(smbios, machine, i);
    plain(smbios, 32, 0x0b, HANDLE_BOOT); /* booted without errors */
    plain(smbios, 127, 4, HANDLE_END);
    return smbios->table.failed ? -ENOMEM : 0;
}

void smbios_free(struct smbios *smbios)
{
    buf_free(&smbios->table);
}

static uint8_t negative_sum(const uint8_t *p, size_t len)
{
    uint8_t total = 0;

    while (len--)
        total = (uint8_t)(total - *p++);
    return total;
}

int smbios_entry21(const struct smbios *smbios, uint32_t address,
                   uint8_t ret_entry[SMBIOS_ENTRY21_SIZE])
{
    uint8_t *p = ret_entry;

    if (smbios->table.len > UINT16_MAX)
        return -EOVERFLOW;
    memset(p, 0, SMBIOS_ENTRY21_SIZE);
    memcpy(p, "_SM_", 4);
    p[0x05] = SMBIOS_ENTRY21_SIZE;
    p[0x06] = 2;
    p[0x07] = 8;
    le16_store(p + 0x08, smbios->longest);
    memcpy(p + 0x10, "_DMI_", 5);
    le16_store(p + 0x16, (uint16_t)smbios->table.len);
    le32_store(p + 0x18, address);
    le16_store(p + 0x1c, smbios->count);
    p[0x1e] = 0x28;
    p[0x15] = negative_sum(p + 0x10, 15);
    p[0x04] = negative_sum(p, SMBIOS_ENTRY21_SIZE);
    return 0;
}

void smbios_entry30(const struct smbios *smbios, uint64_t address,
                    uint8_t ret_entry[SMBIOS_ENTRY30_SIZE])
{
    uint8_t *p = ret_entry;

    memset(p, 0, SMBIOS_ENTRY30_SIZE);
    memcpy(p, "_SM3_", 5);
    p[0x06] = SMBIOS_ENTRY30_SIZE;
    p[0x07] = 3;
    p[0x0a] = 1;
    le32_store(p + 0x0c, (uint32_t)smbios->table.len);
    le64_store(p + 0x10, address);
    p[0x05] = negative_sum(p, SMBIOS_ENTRY30_SIZE);
}
