/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's ACPI tables (ACPI 6.5), position independent: one block with all tables, the RSDP
 * apart, and a list of what depends on where they come to lie. The list is either applied at once
 * (acpi_place, for a kernel that starts without firmware) or given to firmware as a linker/loader
 * script (acpi_loader_script; QEMU's "etc/table-loader", which SeaBIOS and OVMF carry out). */
#pragma once

#include "base/buf.h"
#include "vm/firmware/firmware.h"

enum {
    ACPI_RSDP_SIZE = 36,
    ACPI_HEADER_SIZE = 36,
    ACPI_FIXUPS_MAX = 48,
    ACPI_ALIGN = 64, /* of the block: the FACS wants it */
};

enum acpi_blob { ACPI_TABLES, ACPI_RSDP };

struct acpi_fixup {
    enum { ACPI_POINTER, ACPI_CHECKSUM } kind;
    enum acpi_blob blob; /* that is changed */
    uint32_t offset; /* of the pointer (which holds an offset into the tables) or checksum byte */
    uint32_t size;   /* of the pointer */
    uint32_t start, len; /* what the checksum is over */
};

struct acpi {
    struct buf tables;
    uint8_t rsdp[ACPI_RSDP_SIZE];
    struct acpi_fixup fixup[ACPI_FIXUPS_MAX];
    unsigned fixup_count;
};

/* Builds all tables. 0, -ENOMEM, or -EINVAL for a machine that can not be described. The caller
 * frees with acpi_free in every case. */
int acpi_build(const struct fw_machine *machine, struct acpi *ret_acpi, struct err *err);
void acpi_free(struct acpi *acpi);
#define cleanup_acpi CLEANUP(acpi_free)

/* Finishes the tables for a block that will lie at `base` (a multiple of ACPI_ALIGN). Once. */
void acpi_place(struct acpi *acpi, uint64_t base);

/* The loader script for an unplaced `acpi`. */
int acpi_loader_script(const struct acpi *acpi, struct buf *out);
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP   "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"

/* For the table files: begins a table with its header at the end of acpi->tables and returns its
 * offset; acpi_table_end sets the length and asks for the checksum. */
uint32_t acpi_table_begin(struct acpi *acpi, const struct fw_machine *machine,
                          const char signature[4], uint8_t revision);
void acpi_table_end(struct acpi *acpi, uint32_t table);
/* A pointer of `size` bytes at `offset` of `blob`, to the table at `target`. */
void acpi_pointer(struct acpi *acpi, enum acpi_blob blob, uint32_t offset, uint32_t size,
                  uint32_t target);

/* One function a table; each returns the table's offset. */
uint32_t acpi_facs(struct acpi *acpi);
uint32_t acpi_dsdt(struct acpi *acpi, const struct fw_machine *machine);
uint32_t acpi_fadt(struct acpi *acpi, const struct fw_machine *machine, uint32_t facs,
                   uint32_t dsdt);
uint32_t acpi_madt(struct acpi *acpi, const struct fw_machine *machine);
uint32_t acpi_srat(struct acpi *acpi, const struct fw_machine *machine);
uint32_t acpi_mcfg(struct acpi *acpi, const struct fw_machine *machine);
uint32_t acpi_hpet(struct acpi *acpi, const struct fw_machine *machine);
uint32_t acpi_waet(struct acpi *acpi, const struct fw_machine *machine);
