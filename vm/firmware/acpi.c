/* SPDX-License-Identifier: Apache-2.0 */
/* The block of ACPI tables and its two ways into the guest. RSDP, RSDT and XSDT are here (ACPI 6.5,
 * 5.2.5 to 5.2.8); the other tables have files of their own.
 *
 * The loader script's format is QEMU's (include/hw/acpi/bios-linker-loader.h describes it): entries
 * of 128 bytes; files are allocated first, then pointers are raised by the address of the file they
 * point into, then checksums are made. */
#include "vm/firmware/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

enum { TABLES_MAX = 8 };

uint32_t acpi_table_begin(struct acpi *acpi, const struct fw_machine *machine,
                          const char signature[4], uint8_t revision)
{
    const struct fw_identity *id = machine->identity;
    uint32_t table = (uint32_t)acpi->tables.len;
    uint8_t *h = buf_grow(&acpi->tables, ACPI_HEADER_SIZE);

    if (!h)
        return 0;
    memcpy(h, signature, 4);
    h[8] = revision;
    memcpy(h + 10, id->oem_id, sizeof id->oem_id);
    memcpy(h + 16, id->oem_table_id, sizeof id->oem_table_id);
    le32_store(h + 24, id->oem_revision);
    memcpy(h + 28, id->creator_id, sizeof id->creator_id);
    le32_store(h + 32, id->creator_revision);
    return table;
}

static void add_fixup(struct acpi *acpi, struct acpi_fixup fixup)
{
    if (acpi->fixup_count == ACPI_FIXUPS_MAX)
        acpi->tables.failed = true;
    else
        acpi->fixup[acpi->fixup_count++] = fixup;
}

static void checksum(struct acpi *acpi, enum acpi_blob blob, uint32_t offset, uint32_t start,
                     uint32_t len)
{
    add_fixup(acpi, (struct acpi_fixup){ACPI_CHECKSUM, blob, offset, 1, start, len});
}

void acpi_table_end(struct acpi *acpi, uint32_t table)
{
    uint32_t len = (uint32_t)acpi->tables.len - table;

    if (acpi->tables.failed)
        return;
    le32_store(acpi->tables.data + table + 4, len);
    checksum(acpi, ACPI_TABLES, table + 9, table, len);
    (void)buf_grow(&acpi->tables, (size_t)(-acpi->tables.len & 7));
}

static uint8_t *blob_at(struct acpi *acpi, enum acpi_blob blob, uint32_t offset)
{
    return (blob == ACPI_RSDP ? acpi->rsdp : acpi->tables.data) + offset;
}

void acpi_pointer(struct acpi *acpi, enum acpi_blob blob, uint32_t offset, uint32_t size,
                  uint32_t target)
{
    if (acpi->tables.failed)
        return;
    le_store(blob_at(acpi, blob, offset), size, target);
    add_fixup(acpi, (struct acpi_fixup){ACPI_POINTER, blob, offset, size, 0, 0});
}

/* RSDT (4-byte entries) or XSDT (8). */
static uint32_t root_table(struct acpi *acpi, const struct fw_machine *machine,
                           const char signature[4], uint32_t entry, const uint32_t *table,
                           unsigned count)
{
    uint32_t root = acpi_table_begin(acpi, machine, signature, 1);

    if (!buf_grow(&acpi->tables, entry * count))
        return 0;
    for (unsigned i = 0; i < count; i++)
        acpi_pointer(acpi, ACPI_TABLES, root + ACPI_HEADER_SIZE + entry * i, entry, table[i]);
    acpi_table_end(acpi, root);
    return root;
}

static void rsdp(struct acpi *acpi, const struct fw_machine *machine, uint32_t rsdt, uint32_t xsdt)
{
    uint8_t *p = acpi->rsdp;

    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, machine->identity->oem_id, sizeof machine->identity->oem_id);
    p[15] = 2;
    acpi_pointer(acpi, ACPI_RSDP, 16, 4, rsdt);
    le32_store(p + 20, ACPI_RSDP_SIZE);
    acpi_pointer(acpi, ACPI_RSDP, 24, 8, xsdt);
    checksum(acpi, ACPI_RSDP, 8, 0, 20);
    checksum(acpi, ACPI_RSDP, 32, 0, ACPI_RSDP_SIZE);
}

static int check(const struct fw_machine *m, struct err *err)
{
    if (!m->cpus || !m->cores_per_socket || m->cpus > 4096)
        return err_set(err, -EINVAL, "ACPI: %u CPUs in sockets of %u", m->cpus,
                       m->cores_per_socket);
    if (m->ecam_base % FW_ECAM_SIZE || m->ecam_base < fw_ram_low_end(m) ||
        m->ecam_base > FW_IOAPIC_BASE - FW_ECAM_SIZE)
        return err_set(err, -EINVAL, "ACPI: no room for PCI configuration space at 0x%llx",
                       (unsigned long long)m->ecam_base);
    if (m->phys_bits < 32 || m->phys_bits > 52)
        return err_set(err, -EINVAL, "ACPI: physical addresses of %u bits", m->phys_bits);
    return 0;
}

int acpi_build(const struct fw_machine *machine, struct acpi *ret_acpi, struct err *err)
{
    uint32_t table[TABLES_MAX];
    unsigned n = 0;
    struct acpi *acpi = ret_acpi;

    *acpi = (struct acpi){0};
    int rc = check(machine, err);
    if (rc < 0)
        return rc;
    uint32_t facs = acpi_facs(acpi);
    uint32_t dsdt = acpi_dsdt(acpi, machine);

    table[n++] = acpi_fadt(acpi, machine, facs, dsdt);
    table[n++] = acpi_madt(acpi, machine);
    table[n++] = acpi_srat(acpi, machine);
    table[n++] = acpi_mcfg(acpi, machine);
    if (machine->hpet)
        table[n++] = acpi_hpet(acpi, machine);
    table[n++] = acpi_waet(acpi, machine);
    uint32_t rsdt = root_table(acpi, machine, "RSDT", 4, table, n);
    uint32_t xsdt = root_table(acpi, machine, "XSDT", 8, table, n);
    rsdp(acpi, machine, rsdt, xsdt);
    return acpi->tables.failed ? err_set(err, -ENOMEM, "ACPI: out of memory") : 0;
}

void acpi_free(struct acpi *acpi)
{
    buf_free(&acpi->tables);
}

static uint8_t sum(const uint8_t *p, uint32_t len)
{
    uint8_t total = 0;

    while (len--)
        total = (uint8_t)(total + *p++);
    return total;
}

void acpi_place(struct acpi *acpi, uint64_t base)
{
    for (unsigned i = 0; i < acpi->fixup_count; i++) {
        const struct acpi_fixup *f = &acpi->fixup[i];
        uint8_t *p = blob_at(acpi, f->blob, f->offset);

        if (f->kind == ACPI_POINTER)
            le_store(p, f->size, le_load(p, f->size) + base);
    }
    for (unsigned i = 0; i < acpi->fixup_count; i++) {
        const struct acpi_fixup *f = &acpi->fixup[i];

        if (f->kind == ACPI_CHECKSUM)
            *blob_at(acpi, f->blob, f->offset) =
                (uint8_t)-sum(blob_at(acpi, f->blob, f->start), f->len);
    }
}

/* Loader script. */
enum {
    LOADER_ENTRY = 128,
    LOADER_NAME = 56,
    LOADER_ALLOCATE = 1,
    LOADER_POINTER = 2,
    LOADER_CHECKSUM = 3,
    LOADER_ZONE_HIGH = 1,
    LOADER_ZONE_FSEG = 2,
};

static const char *const blob_file[] = {
    [ACPI_TABLES] = ACPI_FILE_TABLES,
    [ACPI_RSDP] = ACPI_FILE_RSDP,
};

static uint8_t *loader_entry(struct buf *out, uint32_t command, enum acpi_blob blob)
{
    uint8_t *p = buf_grow(out, LOADER_ENTRY);

    if (!p)
        return NULL;
    le32_store(p, command);
    memcpy(p + 4, blob_file[blob], strlen(blob_file[blob]));
    return p + 4 + LOADER_NAME;
}

static void loader_allocate(struct buf *out, enum acpi_blob blob, uint32_t align, uint8_t zone)
{
    uint8_t *p = loader_entry(out, LOADER_ALLOCATE, blob);

    if (!p)
        return;
    le32_store(p, align);
    p[4] = zone;
}

static void loader_pointer(struct buf *out, const struct acpi_fixup *f)
{
    uint8_t *p = loader_entry(out, LOADER_POINTER, f->blob);

    if (!p)
        return;
    memcpy(p, ACPI_FILE_TABLES, sizeof ACPI_FILE_TABLES);
    le32_store(p + LOADER_NAME, f->offset);
    p[LOADER_NAME + 4] = (uint8_t)f->size;
}

static void loader_checksum(struct buf *out, const struct acpi_fixup *f)
{
    uint8_t *p = loader_entry(out, LOADER_CHECKSUM, f->blob);

    if (!p)
        return;
    le32_store(p, f->offset);
    le32_store(p + 4, f->start);
    le32_store(p + 8, f->len);
}

int acpi_loader_script(const struct acpi *acpi, struct buf *out)
{
    loader_allocate(out, ACPI_RSDP, 16, LOADER_ZONE_FSEG);
    loader_allocate(out, ACPI_TABLES, ACPI_ALIGN, LOADER_ZONE_HIGH);
    for (unsigned i = 0; i < acpi->fixup_count; i++)
        if (acpi->fixup[i].kind == ACPI_POINTER)
            loader_pointer(out, &acpi->fixup[i]);
    for (unsigned i = 0; i < acpi->fixup_count; i++)
        if (acpi->fixup[i].kind == ACPI_CHECKSUM)
            loader_checksum(out, &acpi->fixup[i]);
    return out->failed ? -ENOMEM : 0;
}
