/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/engine/host_cpu.h"
#include "vm/firmware/direct_boot.h"

struct boot {
    struct child_env *env;
    struct fw_machine machine;
    struct fw_cfg_items *items;
    bool used; /* RAM is as the last run left it */
};

int boot_create(struct child_env *env, struct boot **ret_boot, struct err *err)
{
    struct boot *boot = calloc(1, sizeof *boot);

    if (!boot)
        return err_set(err, -ENOMEM, "out of memory");
    boot->env = env;
    fw_machine_init(&boot->machine, env->gmem);
    boot->machine.cpus = env->cfg.cpus;
    boot->machine.cores_per_socket = env->cfg.cores_per_socket;
    boot->machine.phys_bits = (uint8_t)host_phys_bits();
    memcpy(boot->machine.uuid, env->cfg.uuid, sizeof boot->machine.uuid);
    *ret_boot = boot;
    return 0;
}

struct fw_cfg_items *boot_fw_cfg(struct boot *boot)
{
    return boot->items;
}

void boot_set_board(struct boot *boot, const struct board *board)
{
    boot->machine.pci_slots = 0;
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->devfn >= 0)
            boot->machine.pci_slots |= 1u << board->device[i]->devfn / 8;
}

int boot_load(struct boot *boot, struct link_entry *ret_entry, struct err *err)
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
    *ret_entry = (struct link_entry){.reset_vector = false};
    return direct_boot(&direct, &ret_entry->start, err);
}
