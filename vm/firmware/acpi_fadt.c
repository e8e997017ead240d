/* SPDX-License-Identifier: Apache-2.0 */
/* FACS and FADT (ACPI 6.6, 5.2.9 and 5.2.10) for the ICH9 power management block: PM1a event and
 * control, PM timer and GPE0 at fixed offsets from PMBASE; reset through port 0xCF9.
 *
 * ACPI mode is switched on through the APM port (it is on from the start where there is no
 * firmware). Both power button and sleep button are fixed features. FIRMWARE_CTRL is given as 32
 * bits only (the specification wants one of the two, and SeaBIOS reads this one); DSDT in both
 * widths. */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/chipset/acpi_pm.h"
#include "vm/firmware/acpi.h"

enum {
    FACS_SIZE = 64,
    FADT_SIZE = 276,
    GAS_IO = 1,

    /* Offsets from PMBASE, ICH9 datasheet 13.8.3. */
    PM1_EVT = 0x00,
    PM1_CNT = 0x04,
    PM_TMR = 0x08,
    PM2_CNT = 0x50,
    GPE0 = 0x20,
    PM1_EVT_LEN = 4,
    PM1_CNT_LEN = 2,
    PM_TMR_LEN = 4,
    PM2_CNT_LEN = 1,
    GPE0_LEN = 16,

    APM_PORT = 0xb2,
    RESET_PORT = 0xcf9,
    RESET_VALUE = 6, /* system reset, full */
    CMOS_CENTURY = 0x32,

    PROFILE_ENTERPRISE_SERVER = 4,
    LATENCY_NONE = 0xfff, /* > 100 and > 1000 us: no C2, no C3 */
};

enum fadt_flag {
    FADT_WBINVD = BIT(0),
    FADT_PROC_C1 = BIT(2),
    FADT_FIX_RTC = BIT(6), /* the RTC wakes nothing up */
    FADT_RESET_REG = BIT(10),
    FADT_PLATFORM_CLOCK = BIT(15),
    FADT_APIC_CLUSTER = BIT(18),
};

enum fadt_boot_arch {
    ARCH_LEGACY_DEVICES = BIT(0),
    ARCH_8042 = BIT(1),
    ARCH_NO_VGA = BIT(2),
    ARCH_NO_ASPM = BIT(4),
};

uint32_t acpi_facs(struct acpi *acpi)
{
    uint32_t facs = (uint32_t)acpi->tables.len; /* the first: aligned to 64 as the block is */
    uint8_t *p = buf_grow(&acpi->tables, FACS_SIZE);

    if (!p)
        return 0;
    memcpy(p, "FACS", 4);
    le32_store(p + 4, FACS_SIZE);
    p[32] = 2;
    return facs;
}

/* Generic address structure, 5.2.3.2. access: 1 byte, 2 word, 3 dword. */
static void gas_io(uint8_t *p, uint16_t port, unsigned len, uint8_t access)
{
    p[0] = GAS_IO;
    p[1] = (uint8_t)(len * 8);
    p[3] = access;
    le64_store(p + 4, port);
}

static uint32_t flags(const struct fw_machine *machine)
{
    uint32_t v = FADT_WBINVD | FADT_PROC_C1 | FADT_FIX_RTC | FADT_RESET_REG | FADT_PLATFORM_CLOCK;

    /* Flat logical destinations reach 8 CPUs. */
    return machine->cpus > 8 ? v | FADT_APIC_CLUSTER : v;
}

static uint16_t boot_arch(const struct fw_machine *machine)
{
    return (uint16_t)(ARCH_LEGACY_DEVICES | ARCH_NO_ASPM | (machine->i8042 ? ARCH_8042 : 0) |
                      (machine->vga ? 0 : ARCH_NO_VGA));
}

static void pm_blocks(uint8_t *p, uint16_t base)
{
    le32_store(p + 56, base + PM1_EVT);
    le32_store(p + 64, base + PM1_CNT);
    le32_store(p + 72, base + PM2_CNT);
    le32_store(p + 76, base + PM_TMR);
    le32_store(p + 80, base + GPE0);
    p[88] = PM1_EVT_LEN;
    p[89] = PM1_CNT_LEN;
    p[90] = PM2_CNT_LEN;
    p[91] = PM_TMR_LEN;
    p[92] = GPE0_LEN;
    gas_io(p + 148, base + PM1_EVT, PM1_EVT_LEN, 2);
    gas_io(p + 172, base + PM1_CNT, PM1_CNT_LEN, 2);
    gas_io(p + 196, base + PM2_CNT, PM2_CNT_LEN, 1);
    gas_io(p + 208, base + PM_TMR, PM_TMR_LEN, 3);
    gas_io(p + 220, base + GPE0, GPE0_LEN, 1);
}

uint32_t acpi_fadt(struct acpi *acpi, const struct fw_machine *machine, uint32_t facs,
                   uint32_t dsdt)
{
    uint32_t fadt = acpi_table_begin(acpi, machine, "FACP", 6);

    if (!buf_grow(&acpi->tables, FADT_SIZE - ACPI_HEADER_SIZE))
        return 0;
    uint8_t *p = acpi->tables.data + fadt;
    p[45] = PROFILE_ENTERPRISE_SERVER;
    le16_store(p + 46, machine->sci_irq);
    le32_store(p + 48, APM_PORT);
    p[52] = ACPI_PM_APM_ENABLE;
    p[53] = ACPI_PM_APM_DISABLE;
    pm_blocks(p, machine->pm_base);
    le16_store(p + 96, LATENCY_NONE);
    le16_store(p + 98, LATENCY_NONE);
    p[108] = CMOS_CENTURY;
    le16_store(p + 109, boot_arch(machine));
    le32_store(p + 112, flags(machine));
    gas_io(p + 116, RESET_PORT, 1, 1);
    p[128] = RESET_VALUE;
    p[131] = 6; /* 6.6 */
    acpi_pointer(acpi, ACPI_TABLES, fadt + 36, 4, facs);
    acpi_pointer(acpi, ACPI_TABLES, fadt + 40, 4, dsdt);
    acpi_pointer(acpi, ACPI_TABLES, fadt + 140, 8, dsdt);
    acpi_table_end(acpi, fadt);
    return fadt;
}
