/* SPDX-License-Identifier: Apache-2.0 */
/* The items, with their layouts as SeaBIOS (src/fw/paravirt.c, src/boot.c) and OVMF (OvmfPkg) read
 * them. SMBIOS: SeaBIOS gets the old entry point, for the sake of guests that know no other; OVMF
 * the 64-bit one. */
#include "vm/firmware/fw_content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/firmware/acpi.h"
#include "vm/firmware/e820.h"
#include "vm/firmware/smbios.h"

struct fw_content {
    struct fw_content_params params;
    uint64_t smi_wanted;
};

/* The tables of the machine as it is now. */
static int build(struct fw_content *content, struct acpi *ret_acpi, struct err *err)
{
    struct fw_machine machine = *content->params.machine;
    uint64_t ecam = content->params.ecam ? atomic_load(content->params.ecam) : 0;

    if (ecam)
        machine.ecam_base = ecam;
    return acpi_build(&machine, ret_acpi, err);
}

static int generate_tables(void *ctx, struct buf *out, struct err *err)
{
    cleanup_acpi struct acpi acpi = {0};
    int rc = build(ctx, &acpi, err);

    if (!rc)
        buf_put(out, acpi.tables.data, acpi.tables.len);
    return rc;
}

static int generate_rsdp(void *ctx, struct buf *out, struct err *err)
{
    cleanup_acpi struct acpi acpi = {0};
    int rc = build(ctx, &acpi, err);

    if (!rc)
        buf_put(out, acpi.rsdp, sizeof acpi.rsdp);
    return rc;
}

static int generate_loader(void *ctx, struct buf *out, struct err *err)
{
    cleanup_acpi struct acpi acpi = {0};
    int rc = build(ctx, &acpi, err);

    return rc ? rc : acpi_loader_script(&acpi, out);
}

static void add_acpi(struct fw_content *content, struct fw_cfg_items *items)
{
    (void)fw_cfg_add_file_generated(items, ACPI_FILE_TABLES, generate_tables, content);
    (void)fw_cfg_add_file_generated(items, ACPI_FILE_RSDP, generate_rsdp, content);
    (void)fw_cfg_add_file_generated(items, ACPI_FILE_LOADER, generate_loader, content);
}

static int add_smbios(const struct fw_content *content, struct fw_cfg_items *items)
{
    bool old = content->params.kind == FW_SEABIOS;
    uint8_t entry[SMBIOS_ENTRY21_SIZE];
    cleanup_smbios struct smbios smbios = {0};
    int rc = smbios_build(content->params.machine, old ? SMBIOS_2_8 : SMBIOS_3_0, &smbios);

    if (rc < 0)
        return rc;
    /* The address is the firmware's to fill in. */
    if (old)
        rc = smbios_entry21(&smbios, 0, entry);
    else
        smbios_entry30(&smbios, 0, entry);
    if (rc < 0) /* hundreds of sockets: too long to be described */
        return 0;
    size_t len = old ? SMBIOS_ENTRY21_SIZE : SMBIOS_ENTRY30_SIZE;
    (void)fw_cfg_add_file(items, SMBIOS_FILE_TABLES, smbios.table.data, smbios.table.len);
    (void)fw_cfg_add_file(items, SMBIOS_FILE_ANCHOR, entry, len);
    return 0;
}

static void add_memory(const struct fw_machine *machine, struct fw_cfg_items *items)
{
    uint8_t map[E820_ENTRIES_MAX * E820_ENTRY_SIZE];
    struct e820 e820;
    uint64_t size = 0;

    for (unsigned i = 0; i < machine->ram_count; i++)
        size += machine->ram[i].size;
    e820_ram(machine, &e820);
    (void)fw_cfg_add_u64(items, FW_CFG_RAM_SIZE, size);
    (void)fw_cfg_add_file(items, "etc/e820", map, e820_store(&e820, map));
}

/* Highest local APIC number + 1: SeaBIOS takes it for the number of CPUs that may be. */
static uint16_t apic_id_limit(const struct fw_machine *machine)
{
    return (uint16_t)(fw_apic_id(machine, machine->cpus - 1) + 1);
}

static void add_cpus(const struct fw_machine *machine, struct fw_cfg_items *items)
{
    uint8_t count[2];

    le16_store(count, (uint16_t)machine->cpus);
    (void)fw_cfg_add_u16(items, FW_CFG_NB_CPUS, (uint16_t)machine->cpus);
    (void)fw_cfg_add_u16(items, FW_CFG_MAX_CPUS, apic_id_limit(machine));
    (void)fw_cfg_add_file(items, "etc/boot-cpus", count, sizeof count);
}

static void add_platform(const struct fw_machine *machine, struct fw_cfg_items *items)
{
    /* One byte for each of S0..S5: bit 7 is "there is", the rest SLP_TYP. Off and S5 only. */
    static const uint8_t system_states[6] = {0x80, 0, 0, 0x01, 0x02, 0x80};

    (void)fw_cfg_add_u16(items, FW_CFG_BOOT_MENU, 0); /* no waiting for a key */
    (void)fw_cfg_add_u32(items, FW_CFG_IRQ0_OVERRIDE, 1);
    (void)fw_cfg_add_file(items, "etc/system-states", system_states, sizeof system_states);
    if (machine->boot_order)
        (void)fw_cfg_add_file(items, "bootorder", machine->boot_order,
                              strlen(machine->boot_order) + 1);
}

static void add_serial_console(uint16_t port, struct fw_cfg_items *items)
{
    uint8_t bytes[8];

    le64_store(bytes, port);
    if (port)
        (void)fw_cfg_add_file(items, "etc/sercon-port", bytes, sizeof bytes);
}

/* Three files (QEMU, docs/specs; OvmfPkg, SmmControl2Dxe): OVMF writes what it wants of what there
 * is, and reads whether it has it, which makes it so. */
static void smi_wanted(void *ctx, const void *data, size_t len)
{
    struct fw_content *content = ctx;

    if (len == sizeof content->smi_wanted)
        content->smi_wanted = le64_load(data);
}

static int smi_features_ok(void *ctx, struct buf *out, struct err *err)
{
    struct fw_content *content = ctx;
    uint8_t ok = !(content->smi_wanted & ~(uint64_t)FW_SMI_BROADCAST);

    (void)err;
    if (ok)
        atomic_store(content->params.smi_features, (uint32_t)content->smi_wanted);
    buf_put(out, &ok, sizeof ok);
    return 0;
}

static void add_smi(struct fw_content *content, struct fw_cfg_items *items)
{
    uint8_t supported[8], wanted[8] = {0};

    if (!content->params.smi_features)
        return;
    le64_store(supported, FW_SMI_BROADCAST);
    (void)fw_cfg_add_file(items, "etc/smi/supported-features", supported, sizeof supported);
    (void)fw_cfg_add_file_writable(items, "etc/smi/requested-features", wanted, sizeof wanted,
                                   smi_wanted, content);
    (void)fw_cfg_add_file_generated(items, "etc/smi/features-ok", smi_features_ok, content);
}

void fw_content_reset(struct fw_content *content)
{
    content->smi_wanted = 0;
    if (content->params.smi_features)
        atomic_store(content->params.smi_features, 0);
}

static int add_firmware(struct fw_content *content, struct fw_cfg_items *items)
{
    add_platform(content->params.machine, items);
    add_acpi(content, items);
    add_serial_console(content->params.serial_console, items);
    add_smi(content, items);
    return add_smbios(content, items);
}

int fw_content_create(const struct fw_content_params *params, struct fw_cfg_items *items,
                      struct fw_content **ret_content, struct err *err)
{
    struct fw_content *content = calloc(1, sizeof *content);

    if (!content)
        return err_set(err, -ENOMEM, "fw_cfg: out of memory");
    content->params = *params;
    (void)fw_cfg_add_bytes(items, FW_CFG_UUID, params->machine->uuid, sizeof params->machine->uuid);
    (void)fw_cfg_add_u16(items, FW_CFG_NOGRAPHIC, !params->machine->vga);
    add_memory(params->machine, items);
    add_cpus(params->machine, items);
    int rc = params->kind == FW_DIRECT ? 0 : add_firmware(content, items);
    rc = rc ? rc : fw_cfg_items_status(items);
    if (rc < 0) {
        fw_content_destroy(content);
        return err_sys(err, rc, "fw_cfg");
    }
    *ret_content = content;
    return 0;
}

void fw_content_destroy(struct fw_content *content)
{
    free(content);
}

int fw_content_option_rom(struct fw_cfg_items *items, uint16_t vendor, uint16_t device,
                          const void *data, size_t len)
{
    char name[FW_CFG_NAME_MAX + 1];

    (void)snprintf(name, sizeof name, "pci%04x,%04x.rom", vendor, device);
    return fw_cfg_add_file_borrowed(items, name, data, len);
}

int fw_content_kernel(struct fw_cfg_items *items, const void *kernel, size_t kernel_len,
                      const void *initrd, size_t initrd_len, const char *cmdline, struct err *err)
{
    enum {
        SETUP_SECTS = 0x1f1,
        SYSSIZE = 0x1f4,
        MAGIC = 0x202,
        LOADER_TYPE = 0x210,
        LOADER_UNKNOWN = 0xff,
        HEADER_LEAST = 0x264
    };
    const uint8_t *p = kernel;
    const char *line = cmdline ? cmdline : "";

    if (kernel_len < HEADER_LEAST || memcmp(p + MAGIC, "HdrS", 4) != 0)
        return err_set(err, -EINVAL, "not a bzImage, which is what firmware can start");
    size_t setup = ((p[SETUP_SECTS] ? p[SETUP_SECTS] : 4u) + 1) * 512;
    uint64_t least = setup + (uint64_t)le32_load(p + SYSSIZE) * 16; /* rounded up */
    if (setup >= kernel_len || least >= kernel_len + 16)
        return err_set(err, -EINVAL, "truncated: it should have %llu bytes, it has %zu",
                       (unsigned long long)least, kernel_len);
    if (kernel_len - setup > UINT32_MAX || initrd_len > UINT32_MAX)
        return err_set(err, -EINVAL, "kernel or initrd are over 4 GiB");
    (void)fw_cfg_add_u32(items, FW_CFG_SETUP_SIZE, (uint32_t)setup);
    /* OVMF starts a kernel that Secure Boot refuses as a boot loader does, with the header as it
     * finds it; Linux takes no initrd from nobody. */
    cleanup_free uint8_t *head = malloc(setup);
    if (!head)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(head, p, setup);
    head[LOADER_TYPE] = LOADER_UNKNOWN;
    (void)fw_cfg_add_bytes(items, FW_CFG_SETUP_DATA, head, setup);
    (void)fw_cfg_add_u32(items, FW_CFG_KERNEL_SIZE, (uint32_t)(kernel_len - setup));
    (void)fw_cfg_add_borrowed(items, FW_CFG_KERNEL_DATA, p + setup, kernel_len - setup);
    (void)fw_cfg_add_u32(items, FW_CFG_INITRD_SIZE, initrd ? (uint32_t)initrd_len : 0);
    if (initrd)
        (void)fw_cfg_add_borrowed(items, FW_CFG_INITRD_DATA, initrd, initrd_len);
    (void)fw_cfg_add_u32(items, FW_CFG_CMDLINE_SIZE, (uint32_t)strlen(line) + 1);
    (void)fw_cfg_add_string(items, FW_CFG_CMDLINE_DATA, line);
    int rc = fw_cfg_items_status(items);
    return rc ? err_sys(err, rc, "fw_cfg") : 0;
}

void fw_boot_order_add(struct buf *order, enum fw_boot_device what, int bridge, unsigned slot,
                       unsigned function)
{
    buf_put_str(order, "/pci@i0cf8/");
    if (bridge >= 0)
        buf_printf(order, "pci-bridge@%x/", (unsigned)bridge);
    buf_printf(order, "%s@%x", what == FW_BOOT_NIC ? "ethernet" : "scsi", slot);
    if (function)
        buf_printf(order, ",%x", function);
    buf_put_str(order, what == FW_BOOT_NIC ? "/ethernet-phy@0\n" : "/disk@0,0\n");
}

/* OVMF knows such a path by the name that QEMU's controller has in it; SeaBIOS does not look there.
 */
void fw_boot_order_add_sata(struct buf *order, unsigned slot, unsigned port)
{
    buf_printf(order, "/pci@i0cf8/pci8086,2922@%x/drive@%x/disk@0\n", slot, port);
}
