/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/engine/host_cpu.h"
#include "vm/firmware/direct_boot.h"
#include "vm/firmware/efi_load.h"
#include "vm/firmware/fw_content.h"

struct boot {
    struct child_env *env;
    struct fw_machine machine;
    struct fw_cfg_items *items;
    struct fw_content *content;
    struct buf order; /* boot order, as text */
    struct rom bios, vga_rom, kernel, initrd;
    bool used; /* RAM is as the last run left it */
};

/* OVMF finds the kernel in fw_cfg and starts it, before anything that it finds on disks. */
static int give_kernel(struct boot *boot, struct err *err)
{
    const struct vmcfg *cfg = &boot->env->cfg;

    if (!cfg->kernel)
        return 0;
    int rc = rom_map("kernel", VM_FD_KERNEL, UINT32_MAX, &boot->kernel, err);
    if (rc == 0 && cfg->initrd)
        rc = rom_map("initrd", VM_FD_INITRD, UINT32_MAX, &boot->initrd, err);
    if (rc == 0)
        rc = fw_content_kernel(boot->items, boot->kernel.data, boot->kernel.size, boot->initrd.data,
                               boot->initrd.size, cfg->append, err);
    return rc < 0 ? err_prefix(err, rc, "kernel \"%s\"", cfg->kernel) : 0;
}

static int map_roms(struct boot *boot, struct err *err)
{
    int rc;

    if (boot->env->cfg.firmware != VMCFG_FIRMWARE_BIOS)
        return 0;
    rc = bios_map(VM_FD_FIRMWARE, &boot->bios, err);
    return rc < 0 ? rc : bios_vga_map(VM_FD_VGA_ROM, &boot->vga_rom, err);
}

static enum fw_kind fw_cfg_kind(enum vmcfg_firmware firmware)
{
    if (firmware == VMCFG_FIRMWARE_NONE)
        return FW_DIRECT;
    return firmware == VMCFG_FIRMWARE_UEFI ? FW_OVMF : FW_SEABIOS;
}

static int fill_fw_cfg(struct boot *boot, struct err *err)
{
    enum fw_kind kind = fw_cfg_kind(boot->env->cfg.firmware);
    struct fw_content_params params = {
        .kind = kind,
        .machine = &boot->machine,
        .ecam = &boot->env->shared->ecam,
        .smi_features = boot->env->cfg.secure_boot ? &boot->env->shared->smi_features : NULL,
        .serial_console = 0x3f8};

    int rc = fw_content_create(&params, boot->items, &boot->content, err);
    if (rc < 0 || kind == FW_DIRECT)
        return rc;
    return kind == FW_OVMF ? give_kernel(boot, err)
                           : fw_content_option_rom(boot->items, 0x1234, 0x1111, boot->vga_rom.data,
                                                   boot->vga_rom.size);
}

int boot_create(struct child_env *env, struct boot **ret_boot, struct err *err)
{
    struct boot *boot = calloc(1, sizeof *boot);
    bool firmware = env->cfg.firmware != VMCFG_FIRMWARE_NONE;

    if (!boot)
        return err_set(err, -ENOMEM, "out of memory");
    boot->env = env;
    fw_machine_init(&boot->machine, env->gmem);
    boot->machine.cpus = env->cfg.cpus;
    boot->machine.cores_per_socket = env->cfg.cores_per_socket;
    boot->machine.phys_bits = (uint8_t)host_guest_phys_bits(env->cfg.memory);
    boot->machine.hpet = boot->machine.fw_cfg = firmware;
    boot->machine.vga = boot->machine.i8042 = vmcfg_has_display(&env->cfg);
    memcpy(boot->machine.uuid, env->cfg.uuid, sizeof boot->machine.uuid);
    int rc = fw_cfg_items_create(&boot->items);
    *ret_boot = boot;
    return rc < 0 ? err_sys(err, rc, "fw_cfg") : map_roms(boot, err);
}

struct fw_cfg_items *boot_fw_cfg(struct boot *boot)
{
    return boot->items;
}

static void order_devices(struct boot *boot, const struct board *board)
{
    struct vmcfg_boot_device list[VMCFG_DISKS_MAX + VMCFG_NICS_MAX];
    const struct vmcfg *cfg = &boot->env->cfg;
    unsigned count = vmcfg_boot_sequence(cfg, list);

    for (unsigned i = 0; i < count; i++) {
        const struct vmcfg_disk *disk = list[i].nic ? NULL : &cfg->disks[list[i].index];
        const struct board_device *d = list[i].nic ? board_nic(board, cfg, list[i].index)
                                                   : board_disk(board, cfg, list[i].index);
        if (d && disk && vmcfg_is_ahci(disk))
            fw_boot_order_add_sata(&boot->order, (unsigned)d->devfn / 8, vmcfg_ahci_port(disk));
        else if (d)
            fw_boot_order_add(&boot->order, list[i].nic ? FW_BOOT_NIC : FW_BOOT_DISK,
                              d->bridge ? d->bridge->devfn / 8 : -1, (unsigned)d->devfn / 8,
                              (unsigned)d->devfn % 8);
    }
}

int boot_set_board(struct boot *boot, const struct board *board, struct err *err)
{
    boot->machine.pci_slots = 0;
    for (unsigned i = 0; i < board->count; i++) {
        const struct board_device *d = board->device[i];
        uint32_t slot = d->devfn < 0 || d->bridge ? 0 : BIT((unsigned)d->devfn / 8);
        boot->machine.pci_slots |= slot;
        boot->machine.hotplug_ports |= d->class == &root_port_class ? slot : 0;
    }
    order_devices(boot, board);
    boot->machine.boot_order = boot->order.len ? buf_cstr(&boot->order) : NULL;
    return fill_fw_cfg(boot, err);
}

static int load_kernel(struct boot *boot, struct boot_start *ret_start, struct err *err)
{
    const struct vmcfg *cfg = &boot->env->cfg;
    struct direct_boot direct = {.gmem = boot->env->gmem,
                                 .machine = &boot->machine,
                                 .kernel_fd = VM_FD_KERNEL,
                                 .initrd_fd = cfg->initrd ? VM_FD_INITRD : -1,
                                 .kernel_name = cfg->kernel,
                                 .initrd_name = cfg->initrd,
                                 .cmdline = cfg->append,
                                 .ram_is_clean = !boot->used};

    boot->used = true;
    return direct_boot(&direct, ret_start, err);
}

int boot_load(struct boot *boot, struct link_entry *ret_entry, struct err *err)
{
    bool firmware = boot->env->cfg.firmware != VMCFG_FIRMWARE_NONE;

    *ret_entry = (struct link_entry){.reset_vector = firmware};
    if (boot->content)
        fw_content_reset(boot->content);
    if (boot->bios.data)
        return bios_shadow(&boot->bios, boot->env->gmem);
    return firmware ? 0 : load_kernel(boot, &ret_entry->start, err);
}
