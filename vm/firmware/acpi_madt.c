/* SPDX-License-Identifier: Apache-2.0 */
/* MADT and SRAT (ACPI 6.6, 5.2.12 and 5.2.16): the CPUs, the interrupt controllers, and which
 * memory is near. One proximity domain; NUMA is not modelled. */
#include "base/bytes.h"
#include "base/range.h"
#include "vm/firmware/acpi.h"

enum {
    XAPIC_ID_MAX = 254, /* above: x2APIC structures; 255 is the broadcast */
    ENABLED = 1,
    MADT_PCAT_COMPAT = 1,
    /* Interrupt flags, table 5.24: polarity in bits 0-1, trigger in bits 2-3. */
    ACTIVE_HIGH_LEVEL = 0x0d,
    ISA_OVERRIDE_LEN = 10,
};

static bool needs_x2apic(const struct fw_machine *machine, unsigned cpu)
{
    return fw_apic_id(machine, cpu) > XAPIC_ID_MAX || cpu > XAPIC_ID_MAX;
}

static void madt_cpu(struct buf *out, const struct fw_machine *machine, unsigned cpu)
{
    bool x2apic = needs_x2apic(machine, cpu);
    uint8_t *p = buf_grow(out, x2apic ? 16 : 8);

    if (!p)
        return;
    if (x2apic) {
        p[0] = 9;
        p[1] = 16;
        le32_store(p + 4, fw_apic_id(machine, cpu));
        le32_store(p + 8, ENABLED);
        le32_store(p + 12, cpu);
    } else {
        p[0] = 0;
        p[1] = 8;
        p[2] = (uint8_t)cpu;
        p[3] = (uint8_t)fw_apic_id(machine, cpu);
        le32_store(p + 4, ENABLED);
    }
}

static void madt_ioapic(struct buf *out)
{
    uint8_t *p = buf_grow(out, 12);

    if (!p)
        return;
    p[0] = 1;
    p[1] = 12;
    le32_store(p + 4, (uint32_t)FW_IOAPIC_BASE);
}

static void madt_override(struct buf *out, uint8_t isa_irq, uint32_t gsi, uint16_t flags)
{
    uint8_t *p = buf_grow(out, ISA_OVERRIDE_LEN);

    if (!p)
        return;
    p[0] = 2;
    p[1] = ISA_OVERRIDE_LEN;
    p[3] = isa_irq;
    le32_store(p + 4, gsi);
    le16_store(p + 8, flags);
}

/* LINT1 is NMI on every CPU. */
static void madt_nmi(struct buf *out, bool x2apic)
{
    uint8_t *p = buf_grow(out, x2apic ? 12 : 6);

    if (!p)
        return;
    if (x2apic) {
        p[0] = 0x0a;
        p[1] = 12;
        le32_store(p + 4, UINT32_MAX);
        p[8] = 1;
    } else {
        p[0] = 4;
        p[1] = 6;
        p[2] = UINT8_MAX;
        p[5] = 1;
    }
}

uint32_t acpi_madt(struct acpi *acpi, const struct fw_machine *machine)
{
    uint32_t madt = acpi_table_begin(acpi, machine, "APIC", 7);
    struct buf *out = &acpi->tables;

    buf_put_le32(out, (uint32_t)FW_LAPIC_BASE);
    buf_put_le32(out, MADT_PCAT_COMPAT);
    for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
        madt_cpu(out, machine, cpu);
    madt_ioapic(out);
    madt_override(out, 0, 2, 0);
    for (uint8_t irq = 0; irq < 16; irq++)
        if (irq == machine->sci_irq || FW_PIC_IRQS & BIT(irq)) /* PCI's wires end here too */
            madt_override(out, irq, irq, ACTIVE_HIGH_LEVEL);
    madt_nmi(out, false);
    if (needs_x2apic(machine, machine->cpus - 1))
        madt_nmi(out, true);
    acpi_table_end(acpi, madt);
    return madt;
}

static void srat_cpu(struct buf *out, const struct fw_machine *machine, unsigned cpu)
{
    bool x2apic = needs_x2apic(machine, cpu);
    uint8_t *p = buf_grow(out, x2apic ? 24 : 16);

    if (!p)
        return;
    if (x2apic) {
        p[0] = 2;
        p[1] = 24;
        le32_store(p + 8, fw_apic_id(machine, cpu));
        le32_store(p + 12, ENABLED);
    } else {
        p[0] = 0;
        p[1] = 16;
        p[3] = (uint8_t)fw_apic_id(machine, cpu);
        le32_store(p + 4, ENABLED);
    }
}

static void srat_memory(struct buf *out, uint64_t base, uint64_t size)
{
    uint8_t *p = buf_grow(out, 40);

    if (!p)
        return;
    p[0] = 1;
    p[1] = 40;
    le64_store(p + 8, base);
    le64_store(p + 16, size);
    le32_store(p + 28, ENABLED);
}

uint32_t acpi_srat(struct acpi *acpi, const struct fw_machine *machine)
{
    uint32_t srat = acpi_table_begin(acpi, machine, "SRAT", 3);
    struct buf *out = &acpi->tables;

    buf_put_le32(out, 1);
    (void)buf_grow(out, 8);
    for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
        srat_cpu(out, machine, cpu);
    for (unsigned i = 0; i < machine->ram_count; i++)
        srat_memory(out, machine->ram[i].base, machine->ram[i].size);
    acpi_table_end(acpi, srat);
    return srat;
}
