/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/firmware/direct_boot.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/firmware/acpi.h"
#include "vm/firmware/smbios.h"

#define F_SEGMENT_END MIB(1)

/* Takes `size` bytes, in whole pages, from the top of low RAM. */
static int take_top(struct e820 *map, uint64_t *io_top, uint64_t size, enum e820_type type)
{
    uint64_t len = align_up(size, GMEM_PAGE_SIZE);

    if (len > *io_top)
        return -ENOSPC;
    *io_top -= len;
    return e820_carve(map, *io_top, len, type);
}

static int put_acpi(const struct direct_boot *boot, struct e820 *map, uint64_t *io_top,
                    struct err *err)
{
    cleanup_acpi struct acpi acpi = {0};
    int rc = acpi_build(boot->machine, &acpi, err);

    if (rc < 0)
        return rc;
    rc = take_top(map, io_top, acpi.tables.len, E820_ACPI);
    if (rc < 0)
        return rc;
    acpi_place(&acpi, *io_top);
    rc = gmem_write(boot->gmem, gpa(*io_top), acpi.tables.data, acpi.tables.len);
    return rc ? rc : gmem_write(boot->gmem, gpa(DIRECT_BOOT_RSDP), acpi.rsdp, sizeof acpi.rsdp);
}

/* In the F segment while it fits there; a machine with hundreds of sockets has more to say. */
static int put_smbios(const struct direct_boot *boot, struct e820 *map, uint64_t *io_top)
{
    uint8_t entry[SMBIOS_ENTRY30_SIZE];
    uint64_t at = DIRECT_BOOT_SMBIOS;
    cleanup_smbios struct smbios smbios = {0};
    int rc = smbios_build(boot->machine, SMBIOS_3_0, &smbios);

    if (!rc && smbios.table.len > F_SEGMENT_END - at) {
        rc = take_top(map, io_top, smbios.table.len, E820_RESERVED);
        at = *io_top;
    }
    if (rc < 0)
        return rc;
    smbios_entry30(&smbios, at, entry);
    rc = gmem_write(boot->gmem, gpa(at), smbios.table.data, smbios.table.len);
    return rc ? rc : gmem_write(boot->gmem, gpa(DIRECT_BOOT_SMBIOS_ENTRY), entry, sizeof entry);
}

/* The BIOS data area tells where the memory below 640 KiB ends: kernels reserve from there on. */
static int put_bios_data(struct gmem *gmem)
{
    enum { EBDA_SEGMENT = 0x40e, BASE_MEMORY_KIB = 0x413 };
    uint8_t segment[2], kib[2];

    le16_store(segment, (uint16_t)(E820_LOW_END >> 4));
    le16_store(kib, (uint16_t)(E820_LOW_END >> 10));
    int rc = gmem_write(gmem, gpa(EBDA_SEGMENT), segment, sizeof segment);
    return rc ? rc : gmem_write(gmem, gpa(BASE_MEMORY_KIB), kib, sizeof kib);
}

int direct_boot(const struct direct_boot *boot, struct boot_start *ret_start, struct err *err)
{
    struct e820 map;
    uint64_t top = align_down(fw_ram_low_end(boot->machine), GMEM_PAGE_SIZE);

    e820_direct(boot->machine, &map);
    int rc = put_acpi(boot, &map, &top, err);
    rc = rc ? rc : put_smbios(boot, &map, &top);
    if (rc < 0)
        return err && err->code ? rc : err_sys(err, rc, "no room for the machine's tables");
    struct linux_boot linux_params = {
        .gmem = boot->gmem,
        .kernel = {.fd = boot->kernel_fd, .kind = "kernel", .name = boot->kernel_name},
        .initrd = {.fd = boot->initrd_fd, .kind = "initrd", .name = boot->initrd_name},
        .cmdline = boot->cmdline,
        .map = &map,
        .rsdp = DIRECT_BOOT_RSDP,
        .text_screen = boot->text_screen,
        .ram_is_clean = boot->ram_is_clean,
    };
    rc = rc ? rc : put_bios_data(boot->gmem);
    rc = rc ? rc : linux_boot(&linux_params, ret_start, err);
    if (!rc) {
        ret_start->phys_bits = boot->machine->phys_bits;
        ret_start->ram_end = fw_ram_end(boot->machine);
    }
    return rc;
}
