/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_boot.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/parse_num.h"
#include "config/vmcfg.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"

enum { NIC_KEY = 4000 };

/* --- to the file --- */

static void put_word(struct buf *list, const char *word)
{
    if (list->len)
        buf_put(list, ",", 1);
    buf_put_str(list, word);
}

/* Disks stand in the order as one, at the place of their first. */
static int put_device(struct buf *order, struct buf *disks,
                      const struct vim_VirtualMachineBootOptionsBootableDevice *device)
{
    const struct vim_VirtualMachineBootOptionsBootableDiskDevice *disk =
        VIM_AS(VirtualMachineBootOptionsBootableDiskDevice, device);
    const struct vim_VirtualMachineBootOptionsBootableEthernetDevice *nic =
        VIM_AS(VirtualMachineBootOptionsBootableEthernetDevice, device);
    char word[24];

    if (disk) {
        if (!vm_slot_of_key(disk->deviceKey, word))
            return -EINVAL;
        if (!disks->len)
            put_word(order, "hdd");
        put_word(disks, word);
    } else if (nic) {
        if (nic->deviceKey < NIC_KEY || nic->deviceKey >= NIC_KEY + VMCFG_NICS_MAX)
            return -EINVAL;
        (void)snprintf(word, sizeof word, "ethernet%d", nic->deviceKey - NIC_KEY);
        put_word(order, word);
    } else if (VIM_AS(VirtualMachineBootOptionsBootableCdromDevice, device)) {
        put_word(order, "cdrom");
    } else if (VIM_AS(VirtualMachineBootOptionsBootableFloppyDevice, device)) {
        put_word(order, "floppy");
    } else {
        return -EINVAL;
    }
    return 0;
}

static int set(struct vmxfile *vmx, const char *key, struct buf *value)
{
    if (value->len)
        return vmxfile_set(vmx, key, buf_cstr(value));
    vmxfile_remove(vmx, key);
    return 0;
}

int vm_boot_order_set(struct vmxfile *vmx, const struct vim_VirtualMachineBootOptions *boot)
{
    cleanup_buf struct buf order = {0};
    cleanup_buf struct buf disks = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < boot->bootOrder.count; i++)
        rc = put_device(&order, &disks, boot->bootOrder.items[i]);
    if (rc == 0)
        rc = set(vmx, "bios.bootOrder", &order);
    return rc < 0 ? rc : set(vmx, "bios.hddOrder", &disks);
}

/* --- from the file --- */

typedef VIM_LIST(struct vim_VirtualMachineBootOptionsBootableDevice *) device_list;

/* The next of a list's words, "" at its end. */
static const char *next_word(struct arena *arena, const char **list)
{
    const char *at = *list + strspn(*list, ", ");
    size_t len = strcspn(at, ", ");

    *list = at + len;
    return arena_strndup(arena, at, len);
}

static void add_disks(struct arena *arena, const char *disks, device_list *out)
{
    for (const char *word; *(word = next_word(arena, &disks));) {
        struct vim_VirtualMachineBootOptionsBootableDiskDevice *disk =
            VIM_NEW(arena, VirtualMachineBootOptionsBootableDiskDevice);
        disk->deviceKey = vm_key_of_slot(word);
        if (disk->deviceKey >= 0)
            VIM_ADD(arena, out, (void *)disk);
    }
}

static void add_nic(struct arena *arena, const char *number, device_list *out)
{
    struct vim_VirtualMachineBootOptionsBootableEthernetDevice *nic =
        VIM_NEW(arena, VirtualMachineBootOptionsBootableEthernetDevice);
    unsigned n;

    if (parse_unsigned(number, 0, VMCFG_NICS_MAX - 1, &n) < 0)
        return;
    nic->deviceKey = NIC_KEY + (int32_t)n;
    VIM_ADD(arena, out, (void *)nic);
}

void vm_boot_order_get(struct arena *arena, const struct vmxfile *vmx,
                       struct vim_VirtualMachineBootOptions *boot)
{
    const char *order = vmxfile_get(vmx, "bios.bootOrder");
    const char *disks = vmxfile_get(vmx, "bios.hddOrder");
    device_list list = {0};

    for (const char *word; order && *(word = next_word(arena, &order));)
        if (!strcasecmp(word, "hdd"))
            add_disks(arena, disks ? disks : "", &list);
        else if (!strcasecmp(word, "cdrom"))
            VIM_ADD(arena, &list,
                    (void *)VIM_NEW(arena, VirtualMachineBootOptionsBootableCdromDevice));
        else if (!strcasecmp(word, "floppy"))
            VIM_ADD(arena, &list,
                    (void *)VIM_NEW(arena, VirtualMachineBootOptionsBootableFloppyDevice));
        else if (!strncasecmp(word, "ethernet", 8))
            add_nic(arena, word + 8, &list);
    boot->bootOrder.count = list.count;
    boot->bootOrder.items = list.items;
}
