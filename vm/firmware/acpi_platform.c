/* SPDX-License-Identifier: Apache-2.0 */
/* The short tables: MCFG (PCI Firmware Specification 3.3, 4.1.2), HPET (IA-PC HPET Specification
 * 1.0a, 3.2.4) and WAET (Microsoft's "Windows ACPI Emulated Devices Table"). */
#include "base/bytes.h"
#include "vm/firmware/acpi.h"

enum {
    HPET_ID = 0x8086a201, /* vendor 8086, legacy routing, 64-bit counter, 3 timers, revision 1 */
    HPET_MIN_TICK = 0x80,
    WAET_RTC_GOOD = 1,   /* no need to clear register C twice */
    WAET_TIMER_GOOD = 2, /* the PM timer reads right the first time */
};

uint32_t acpi_mcfg(struct acpi *acpi, const struct fw_machine *machine)
{
    uint32_t mcfg = acpi_table_begin(acpi, machine, "MCFG", 1);
    uint8_t *p = buf_grow(&acpi->tables, 8 + 16);

    if (!p)
        return 0;
    le64_store(p + 8, machine->ecam_base);
    p[19] = fw_last_bus(machine);
    acpi_table_end(acpi, mcfg);
    return mcfg;
}

uint32_t acpi_hpet(struct acpi *acpi, const struct fw_machine *machine)
{
    uint32_t hpet = acpi_table_begin(acpi, machine, "HPET", 1);
    uint8_t *p = buf_grow(&acpi->tables, 20);

    if (!p)
        return 0;
    le32_store(p, HPET_ID);
    p[5] = 64; /* register width; p[4] 0: memory */
    le64_store(p + 8, FW_HPET_BASE);
    le16_store(p + 17, HPET_MIN_TICK);
    acpi_table_end(acpi, hpet);
    return hpet;
}

uint32_t acpi_waet(struct acpi *acpi, const struct fw_machine *machine)
{
    uint32_t waet = acpi_table_begin(acpi, machine, "WAET", 1);

    buf_put_le32(&acpi->tables, WAET_RTC_GOOD | WAET_TIMER_GOOD);
    acpi_table_end(acpi, waet);
    return waet;
}
