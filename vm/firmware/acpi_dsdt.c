/* SPDX-License-Identifier: Apache-2.0 */
/* DSDT (ACPI 6.5, 5.2.11.1): the name space. The PCI Express host bridge with what it decodes, its
 * interrupt routing for the IOAPIC and, through link devices on the ISA bridge's PIRQ registers
 * (ICH9 datasheet 13.1.17), for the PIC; the ISA devices; CPUs; the soft-off state.
 *
 * Native PCI Express hot-plug and power management are handed to the guest by _OSC, so there is no
 * ACPI hot-plug here. No sleep states but S5. */
#include <string.h>

#include "base/range.h"
#include "vm/firmware/acpi.h"
#include "vm/firmware/aml.h"
#include "vm/pci/pci_intx.h"

enum {
    PINS = 4,
    PIRQS = 8,
    PIRQ_OFF = 0x80,                                 /* PIRQn_ROUT: not routed */
    FIRST_DIRECT_SLOT = 24,                          /* its INTA# is PIRQA */
    OSC_GRANTED = BIT(0) | BIT(2) | BIT(3) | BIT(4), /* hot-plug, PME, AER, capability structure */
    OSC_BAD_UUID = 2,
    OSC_BAD_REVISION = 3,
    OSC_MASKED = 4, /* bits of the status double word */
    S5_SLP_TYP = 7,
    SERIALIZED = 8,
};

static const char pirq_reg[PIRQS][5] = {"PIRA", "PIRB", "PIRC", "PIRD",
                                        "PIRE", "PIRF", "PIRG", "PIRH"};
/* A device that is there and works. */
static void present(struct aml *a, const char *hid, unsigned uid)
{
    aml_name_eisaid(a, "_HID", hid);
    aml_name_int(a, "_UID", uid);
    aml_name_int(a, "_STA", 0x0f);
}

/* What no device driver owns but nobody else may use. */
static void board(struct aml *a, const struct fw_machine *machine)
{
    aml_device(a, "MBRD");
    present(a, "PNP0C02", 0);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, machine->pm_base, 0x80);
    aml_res_io(a, 0x92, 1); /* A20 and fast reset */
    aml_res_io(a, 0xb2, 2); /* APM */
    aml_res_mem32(a, (uint32_t)machine->ecam_base, (uint32_t)FW_ECAM_SIZE);
    aml_res_mem32(a, (uint32_t)FW_IOAPIC_BASE, 0x1000);
    aml_res_mem32(a, (uint32_t)FW_RCBA_BASE, (uint32_t)FW_RCBA_SIZE);
    aml_res_mem32(a, (uint32_t)FW_LAPIC_BASE, 0x1000);
    aml_res_mem32(a, (uint32_t)FW_FLASH_BASE, (uint32_t)(GMEM_HIGH - FW_FLASH_BASE));
    aml_end(a);
    aml_end(a);
}

static void window32(struct aml *a, uint64_t from, uint64_t end)
{
    if (from < end)
        aml_res_window32(a, (uint32_t)from, (uint32_t)(end - 1));
}

/* Memory that PCI devices may have: from the top of what can be low RAM to the IOAPIC but for ECAM,
 * and all above RAM. Firmware and kernels choose within; neither tells where beforehand. */
static void host_bridge_windows(struct aml *a, const struct fw_machine *machine)
{
    uint64_t high = align_up(MAX(fw_ram_end(machine), GMEM_HIGH), GIB(1));
    uint64_t limit = BIT64(machine->phys_bits);

    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_bus(a, 0, fw_last_bus(machine));
    aml_res_io(a, 0xcf8, 8);
    aml_res_window_io(a, 0, 0xcf7);
    aml_res_window_io(a, 0xd00, 0xffff);
    aml_res_window32(a, 0xa0000, 0xbffff);
    window32(a, GMEM_LOW_MAX, machine->ecam_base);
    window32(a, machine->ecam_base + FW_ECAM_SIZE, FW_IOAPIC_BASE);
    if (high < limit)
        aml_res_window64(a, high, limit - 1);
    aml_end(a);
}

static void create_dword(struct aml *a, unsigned offset, const char *name)
{
    aml_op(a, AML_CREATE_DWORD_FIELD);
    aml_arg(a, 3);
    aml_int(a, offset);
    aml_path(a, name);
}

/* CDW1 |= bit */
static void osc_status(struct aml *a, unsigned bit)
{
    aml_op(a, AML_OR);
    aml_path(a, "CDW1");
    aml_int(a, BIT(bit));
    aml_path(a, "CDW1");
}

/* The guest asks for control of features, given in the third double word; it gets those that we
 * leave to it. */
static void osc_grant(struct aml *a)
{
    create_dword(a, 8, "CDW3");
    aml_op(a, AML_AND);
    aml_path(a, "CDW3");
    aml_int(a, OSC_GRANTED);
    aml_local(a, 0);

    aml_if(a);
    aml_op(a, AML_LNOT);
    aml_op(a, AML_LEQUAL);
    aml_arg(a, 1);
    aml_int(a, 1);
    osc_status(a, OSC_BAD_REVISION);
    aml_end(a);

    aml_if(a);
    aml_op(a, AML_LNOT);
    aml_op(a, AML_LEQUAL);
    aml_path(a, "CDW3");
    aml_local(a, 0);
    osc_status(a, OSC_MASKED);
    aml_end(a);

    aml_op(a, AML_STORE);
    aml_local(a, 0);
    aml_path(a, "CDW3");
}

/* 6.2.11 and the PCI Firmware Specification 3.3, 4.5.1. */
static void host_bridge_osc(struct aml *a)
{
    static const uint8_t pci_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                                         0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

    aml_method(a, "_OSC", 4 | SERIALIZED);
    create_dword(a, 0, "CDW1");
    aml_if(a);
    aml_op(a, AML_LEQUAL);
    aml_arg(a, 0);
    aml_bytes(a, pci_uuid, sizeof pci_uuid);
    osc_grant(a);
    aml_end(a);
    aml_else(a);
    osc_status(a, OSC_BAD_UUID);
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_arg(a, 3);
    aml_end(a);
}

/* Package (4) { address, pin, source, 0 }, in one piece: there are hundreds of these. */
static void prt_entry(struct aml *a, unsigned slot, unsigned pin, const char source[4])
{
    uint8_t e[] = {
        0x12, 0, 0x04, 0x0c, 0xff, 0xff, (uint8_t)slot, 0, 0x0a, (uint8_t)pin, 0x2e, 'I', 'S', 'A',
        '0',  0, 0,    0,    0,    0};

    e[1] = sizeof e - 1;
    memcpy(e + 15, source, 4);
    buf_put(a->out, e, sizeof e);
}

/* One routing table: the links are named `family` and A to H. */
static void prt_table(struct aml *a, const char *name, uint32_t slots, const char *family)
{
    char source[4] = {family[0], family[1], family[2], 'A'};

    aml_name(a, name);
    aml_package(a, PINS * (unsigned)__builtin_popcount(slots));
    for (; slots; slots &= slots - 1) {
        unsigned slot = (unsigned)__builtin_ctz(slots);

        for (unsigned pin = 0; pin < PINS; pin++) {
            source[3] = (char)('A' + pci_intx_pirq(slot, pin));
            prt_entry(a, slot, pin, source);
        }
    }
    aml_end(a);
}

static void prt(struct aml *a, uint32_t slots)
{
    prt_table(a, "PRTA", slots, "GSI");
    prt_table(a, "PRTP", slots, "LNK");
    aml_method(a, "_PRT", 0);
    aml_if(a);
    aml_path(a, "\\PICF");
    aml_op(a, AML_RETURN);
    aml_path(a, "PRTA");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_path(a, "PRTP");
    aml_end(a);
}

/* What all link devices share: a register's value to status and to resources, and back. */
static void link_methods(struct aml *a)
{
    aml_name(a, "LPRS");
    aml_resources(a);
    aml_res_irq_shared(a, FW_PIC_IRQS);
    aml_end(a);

    aml_name(a, "LBUF");
    aml_resources(a);
    aml_res_irq_shared(a, 0);
    aml_end(a);
    aml_u8(a, 0x8b); /* CreateWordField (LBUF, 1, LIRQ): the mask of the IRQ descriptor */
    aml_path(a, "LBUF");
    aml_int(a, 1);
    aml_path(a, "LIRQ");

    aml_method(a, "LSTA", 1);
    aml_if(a);
    aml_op(a, AML_AND);
    aml_arg(a, 0);
    aml_int(a, PIRQ_OFF);
    aml_none(a);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x09);
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_int(a, 0x0b);
    aml_end(a);

    aml_method(a, "LCRS", 1 | SERIALIZED);
    aml_op(a, AML_STORE);
    aml_int(a, 0);
    aml_path(a, "LIRQ");
    aml_if(a);
    aml_op(a, AML_LNOT);
    aml_op(a, AML_AND);
    aml_arg(a, 0);
    aml_int(a, PIRQ_OFF);
    aml_none(a);
    aml_op(a, AML_SHIFT_LEFT);
    aml_int(a, 1);
    aml_arg(a, 0);
    aml_path(a, "LIRQ");
    aml_end(a);
    aml_op(a, AML_RETURN);
    aml_path(a, "LBUF");
    aml_end(a);

    aml_method(a, "LSRS", 1 | SERIALIZED);
    aml_u8(a, 0x8b); /* CreateWordField (Arg0, 1, SIRQ) */
    aml_arg(a, 0);
    aml_int(a, 1);
    aml_path(a, "SIRQ");
    aml_op(a, AML_FIND_SET_RIGHT);
    aml_path(a, "SIRQ");
    aml_local(a, 0);
    aml_op(a, AML_SUBTRACT);
    aml_local(a, 0);
    aml_int(a, 1);
    aml_local(a, 0);
    aml_op(a, AML_RETURN);
    aml_local(a, 0);
    aml_end(a);
}

static void link_call(struct aml *a, const char *method, unsigned args, const char *callee,
                      const char *reg)
{
    aml_method(a, method, args);
    aml_op(a, AML_RETURN);
    aml_path(a, callee);
    aml_path(a, reg);
    aml_end(a);
}

static void link_device(struct aml *a, unsigned n)
{
    const char name[] = {'L', 'N', 'K', (char)('A' + n), '\0'}, *reg = pirq_reg[n];

    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", n);
    link_call(a, "_STA", 0, "LSTA", reg);
    link_call(a, "_CRS", 0, "LCRS", reg);
    aml_method(a, "_PRS", 0);
    aml_op(a, AML_RETURN);
    aml_path(a, "LPRS");
    aml_end(a);
    aml_method(a, "_SRS", 1);
    aml_op(a, AML_STORE);
    aml_path(a, "LSRS");
    aml_arg(a, 0);
    aml_path(a, reg);
    aml_end(a);
    aml_method(a, "_DIS", 0);
    aml_op(a, AML_OR);
    aml_path(a, reg);
    aml_int(a, PIRQ_OFF);
    aml_path(a, reg);
    aml_end(a);
    aml_end(a);
}

static void gsi_resource(struct aml *a, const char *name, unsigned n)
{
    aml_name(a, name);
    aml_resources(a);
    aml_res_gsi_shared(a, pci_intx_gsi(FIRST_DIRECT_SLOT, 0) + n);
    aml_end(a);
}

/* The same PIRQ at the IOAPIC: wired, and told apart from a register by nothing to set. */
static void gsi_device(struct aml *a, unsigned n)
{
    const char name[] = {'G', 'S', 'I', (char)('A' + n), '\0'};

    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", PIRQS + n);
    gsi_resource(a, "_PRS", n);
    gsi_resource(a, "_CRS", n);
    aml_method(a, "_SRS", 1);
    aml_end(a);
    aml_end(a);
}

static void isa_device(struct aml *a, const char *name, const char *hid)
{
    aml_device(a, name);
    present(a, hid, 0);
    aml_name(a, "_CRS");
    aml_resources(a);
}

static void isa_device_end(struct aml *a)
{
    aml_end(a);
    aml_end(a);
}

static void isa_system(struct aml *a)
{
    isa_device(a, "PIC0", "PNP0000");
    aml_res_io(a, 0x20, 2);
    aml_res_io(a, 0xa0, 2);
    aml_res_io(a, 0x4d0, 2);
    aml_res_irq(a, BIT(2));
    isa_device_end(a);

    isa_device(a, "PIT0", "PNP0100");
    aml_res_io(a, 0x40, 4);
    aml_res_irq(a, BIT(0));
    isa_device_end(a);

    isa_device(a, "SPKR", "PNP0800");
    aml_res_io(a, 0x61, 1);
    isa_device_end(a);

    isa_device(a, "RTC0", "PNP0B00");
    aml_res_io(a, 0x70, 2);
    aml_res_irq(a, BIT(8));
    isa_device_end(a);
}

static void isa_ps2(struct aml *a)
{
    isa_device(a, "KBD0", "PNP0303");
    aml_res_io(a, 0x60, 1);
    aml_res_io(a, 0x64, 1);
    aml_res_irq(a, BIT(1));
    isa_device_end(a);

    isa_device(a, "MOU0", "PNP0F13");
    aml_res_irq(a, BIT(12));
    isa_device_end(a);
}

static void isa_com(struct aml *a, unsigned n)
{
    static const struct {
        char name[5];
        uint16_t base;
        uint8_t irq;
    } com[] = {{"COM1", 0x3f8, 4}, {"COM2", 0x2f8, 3}, {"COM3", 0x3e8, 4}, {"COM4", 0x2e8, 3}};

    aml_device(a, com[n].name);
    present(a, "PNP0501", n + 1);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, com[n].base, 8);
    aml_res_irq(a, (uint16_t)(1u << com[n].irq));
    isa_device_end(a);
}

static void isa_bridge(struct aml *a, const struct fw_machine *machine)
{
    aml_device(a, "ISA0");
    aml_name_int(a, "_ADR", FW_LPC_SLOT << 16);
    /* SeaBIOS looks for a keyboard here, and its reader does not get past link_methods. */
    if (machine->i8042)
        isa_ps2(a);
    aml_region_pci(a, "PIRQ", 0x60, 12);
    aml_field_bytes(a, "PIRQ");
    for (unsigned i = 0; i < PIRQS; i++) {
        if (i == 4)
            aml_field_skip(a, 4);
        aml_field_u8(a, pirq_reg[i]);
    }
    aml_end(a);
    link_methods(a);
    for (unsigned i = 0; i < PIRQS; i++) {
        link_device(a, i);
        gsi_device(a, i);
    }
    isa_system(a);
    for (unsigned i = 0; i < 4; i++)
        if (machine->com_ports & BIT(i))
            isa_com(a, i);
    aml_end(a);
}

/* Gives the slot its number, which guests name network cards after. */
static void slot_device(struct aml *a, unsigned slot)
{
    const char name[] = {'S', 'L', (char)('0' + slot / 10), (char)('0' + slot % 10), '\0'};

    aml_device(a, name);
    aml_name_int(a, "_ADR", slot << 16);
    aml_name_int(a, "_SUN", slot);
    aml_end(a);
}

static void host_bridge(struct aml *a, const struct fw_machine *machine)
{
    aml_device(a, "PCI0");
    aml_name_eisaid(a, "_HID", "PNP0A08");
    aml_name_eisaid(a, "_CID", "PNP0A03");
    aml_name_int(a, "_UID", 0);
    aml_name_int(a, "_SEG", 0);
    aml_name_int(a, "_BBN", 0);
    aml_name_int(a, "_CCA", 1);
    aml_name_int(a, "_PXM", 0);
    host_bridge_windows(a, machine);
    host_bridge_osc(a);
    isa_bridge(a, machine);
    prt(a, machine->pci_slots);
    for (unsigned slot = 1; slot < FW_LPC_SLOT; slot++)
        if ((machine->pci_slots | machine->hotplug_ports) & BIT(slot))
            slot_device(a, slot);
    aml_end(a);
}

static void fw_cfg_device(struct aml *a)
{
    aml_device(a, "FWCF");
    aml_name_str(a, "_HID", "QEMU0002");
    aml_name_int(a, "_STA", 0x0b);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x510, 0x0c);
    aml_end(a);
    aml_end(a);
}

static void hpet_device(struct aml *a)
{
    aml_device(a, "HPET");
    present(a, "PNP0103", 0);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_mem32(a, (uint32_t)FW_HPET_BASE, 0x400);
    aml_end(a);
    aml_end(a);
}

static void cpus(struct aml *a, unsigned count)
{
    static const char hex[] = "0123456789ABCDEF";

    for (unsigned i = 0; i < count; i++) {
        char name[5] = {'C', hex[i >> 8 & 15], hex[i >> 4 & 15], hex[i & 15], '\0'};

        aml_device(a, name);
        aml_name_str(a, "_HID", "ACPI0007");
        aml_name_int(a, "_UID", i);
        aml_name_int(a, "_PXM", 0);
        aml_end(a);
    }
}

/* The guest says which interrupt model it uses: 0 PIC, 1 IOAPIC. */
static void pic_method(struct aml *a)
{
    aml_name_int(a, "PICF", 0);
    aml_method(a, "_PIC", 1);
    aml_op(a, AML_STORE);
    aml_arg(a, 0);
    aml_path(a, "PICF");
    aml_end(a);
}

static void soft_off(struct aml *a)
{
    aml_name(a, "_S5");
    aml_package(a, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_int(a, i < 2 ? S5_SLP_TYP : 0);
    aml_end(a);
}

uint32_t acpi_dsdt(struct acpi *acpi, const struct fw_machine *machine)
{
    struct aml aml = {.out = &acpi->tables}, *a = &aml;
    uint32_t dsdt = acpi_table_begin(acpi, machine, "DSDT", 2);

    pic_method(a);
    soft_off(a);
    aml_scope(a, "\\_SB");
    board(a, machine);
    host_bridge(a, machine);
    if (machine->fw_cfg)
        fw_cfg_device(a);
    if (machine->hpet)
        hpet_device(a);
    cpus(a, machine->cpus);
    aml_end(a);
    if (a->depth)
        acpi->tables.failed = true;
    acpi_table_end(acpi, dsdt);
    return dsdt;
}
