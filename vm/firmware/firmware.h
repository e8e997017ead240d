/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest finds at power-on besides its CPUs: what the machine is (ACPI, SMBIOS, e820), and
 * the program that starts (a kernel, or packaged firmware).
 *
 * struct fw_machine is all that the builders in this directory know of the machine. It is plain
 * data, filled in by whoever put the machine together; the builders are pure functions of it, so
 * the same machine always has the same tables, whether they are put into RAM for a kernel
 * (direct_boot.h) or handed to firmware through fw_cfg (firmware_fw_cfg). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/range.h"
#include "vm/machine/gmem.h"

/* Who the machine says it is. Strings are borrowed, not NULL, at most 64 bytes. */
struct fw_identity {
    const char *bios_vendor, *bios_version, *bios_date; /* date as mm/dd/yyyy */
    uint8_t bios_major, bios_minor;
    const char *serial_prefix;
    const char *manufacturer, *product, *version, *sku, *family;
    const char *board_manufacturer, *board_product;
    const char *chassis_manufacturer;
    const char *cpu_manufacturer, *cpu_version, *memory_manufacturer;
    char oem_id[6], oem_table_id[8]; /* of the ACPI tables: padded with blanks */
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
};

extern const struct fw_identity fw_identity_socle;

/* Fixed places of the Q35 board (Intel ICH9 datasheet and 3 Series MCH datasheet). */
#define FW_IOAPIC_BASE UINT64_C(0xfec00000)
#define FW_LAPIC_BASE  UINT64_C(0xfee00000)
#define FW_HPET_BASE   UINT64_C(0xfed00000)
#define FW_RCBA_BASE   UINT64_C(0xfed1c000) /* where firmware puts the root complex registers */
#define FW_RCBA_SIZE   UINT64_C(0x4000)
#define FW_ECAM_BASE   UINT64_C(0xb0000000)
#define FW_ECAM_SIZE   UINT64_C(0x10000000) /* 256 buses */
#define FW_FLASH_BASE  UINT64_C(0xffc00000) /* 4 MiB below 4 GiB: where firmware images may lie */

enum {
    FW_RAM_MAX = GMEM_RANGES_MAX,
    FW_PM_BASE = 0x600,
    FW_SCI_IRQ = 9,
    FW_PIC_IRQS = BIT(5) | BIT(10) | BIT(11), /* what PCI interrupts may be routed to */
    FW_LPC_SLOT = 31,                         /* 00:1f.0, the ISA bridge with the PIRQ routers */
    FW_SERIAL_MAX = 64                        /* bytes of the serial number, NUL included */
};

struct fw_ram {
    uint64_t base, size;
};

struct fw_machine {
    const struct fw_identity *identity;
    unsigned cpus, cores_per_socket;
    struct fw_ram ram[FW_RAM_MAX]; /* [0] from 0, [1] from 4 GiB on */
    unsigned ram_count;
    uint8_t phys_bits; /* of a guest physical address, as CPUID says */

    uint8_t uuid[16];           /* RFC 4122 order */
    char serial[FW_SERIAL_MAX]; /* "": made from the UUID, as guest tools know it from others */

    uint64_t ecam_base;     /* where PCIEXBAR points now */
    uint32_t pci_slots;     /* bit n: there is a device at slot n of bus 0 */
    uint32_t hotplug_ports; /* bit n: slot n of bus 0 is a root port with a hot-pluggable slot */
    uint16_t pm_base;
    uint8_t sci_irq;
    uint8_t com_ports; /* bit n: COM(n+1) */
    bool hpet, i8042, vga, fw_cfg;

    /* The boot order as OpenFirmware device paths, one a line, best first; NULL: firmware's own.
     * Borrowed, as the command line. */
    const char *boot_order;
};

/* Defaults of the board for a machine with this RAM; the caller then says what differs. */
void fw_machine_init(struct fw_machine *machine, const struct gmem *gmem);

/* Local APIC number of a CPU, as CPUID says it (vm/engine/cpuid.h). */
uint32_t fw_apic_id(const struct fw_machine *machine, unsigned cpu);

/* The highest PCI bus number that there can be: one behind each hot-pluggable slot. MCFG and the
 * root bridge say it, since Linux asks every slot of every bus that they allow: for 256 buses that
 * is 8,192 reads at each boot. */
static inline uint8_t fw_last_bus(const struct fw_machine *machine)
{
    return (uint8_t)__builtin_popcount(machine->hotplug_ports);
}

/* First address above RAM below 4 GiB, and above all RAM. */
uint64_t fw_ram_low_end(const struct fw_machine *machine);
uint64_t fw_ram_end(const struct fw_machine *machine);
