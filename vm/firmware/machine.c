/* SPDX-License-Identifier: Apache-2.0 */
/* The machine description's defaults and the few things derived from it. */
#include "vm/firmware/firmware.h"

#include "base/range.h"
#include "vm/engine/cpuid.h"

const struct fw_identity fw_identity_socle = {
    .bios_vendor = "Socle",
    .bios_version = SOCLE_VERSION,
    .bios_date = "01/01/2026",
    .bios_major = 1,
    .bios_minor = 0,
    .serial_prefix = "Socle-",
    .manufacturer = "Socle",
    .product = "Socle Virtual Machine",
    .version = "1",
    .sku = "socle-q35",
    .family = "Virtual Machine",
    .board_manufacturer = "Socle",
    .board_product = "Socle Q35",
    .chassis_manufacturer = "Socle",
    .cpu_manufacturer = "Socle",
    .cpu_version = "Virtual CPU",
    .memory_manufacturer = "Socle",
    .oem_id = "SOCLE ",
    .oem_table_id = "SOCLEQ35",
    .oem_revision = 1,
    .creator_id = "SOCL",
    .creator_revision = 1,
};

void fw_machine_init(struct fw_machine *machine, const struct gmem *gmem)
{
    *machine = (struct fw_machine){
        .identity = &fw_identity_socle,
        .cpus = 1,
        .cores_per_socket = 1,
        .phys_bits = 40,
        .ecam_base = FW_ECAM_BASE,
        .pci_slots = BIT(0) | BIT(FW_LPC_SLOT),
        .pm_base = FW_PM_BASE,
        .sci_irq = FW_SCI_IRQ,
        .com_ports = BIT(0),
        .i8042 = true,
    };
    for (unsigned i = 0; gmem && i < gmem->range_count && i < FW_RAM_MAX; i++)
        machine->ram[machine->ram_count++] =
            (struct fw_ram){gmem->range[i].base.v, gmem->range[i].size};
}

uint32_t fw_apic_id(const struct fw_machine *machine, unsigned cpu)
{
    const struct cpu_model model = {.cpus = machine->cpus,
                                    .cores_per_socket = machine->cores_per_socket};

    return cpu_model_apic_id(&model, cpu);
}

uint64_t fw_ram_low_end(const struct fw_machine *machine)
{
    uint64_t end = 0;

    for (unsigned i = 0; i < machine->ram_count; i++)
        if (machine->ram[i].base < GMEM_HIGH)
            end = MAX(end, machine->ram[i].base + machine->ram[i].size);
    return end;
}

uint64_t fw_ram_end(const struct fw_machine *machine)
{
    uint64_t end = 0;

    for (unsigned i = 0; i < machine->ram_count; i++)
        end = MAX(end, machine->ram[i].base + machine->ram[i].size);
    return end;
}
