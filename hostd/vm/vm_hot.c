/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_hot.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"

static bool is_drive(const struct vim_VirtualDevice *device)
{
    return VIM_AS(VirtualEthernetCard, device) || VIM_AS(VirtualDisk, device);
}

static bool may(const struct vim_VirtualDeviceConfigSpec *change)
{
    const struct vim_VirtualDevice *device = change->device;

    if (!device)
        return false;
    if (change->operation == VIM_VirtualDeviceConfigSpecOperation_edit)
        return is_drive(device) || VIM_AS(VirtualCdrom, device);
    return is_drive(device) || VIM_AS(VirtualSCSIController, device) ||
           VIM_AS(VirtualNVMEController, device);
}

bool vm_hot_may(const struct vim_VirtualMachineConfigSpec *spec)
{
    for (size_t i = 0; i < spec->deviceChange.count; i++)
        if (!may(spec->deviceChange.items[i]))
            return false;
    return true;
}

/* --- slots --- */

struct placing {
    struct call *call;
    struct plan *plan;
    struct vmcfg now, next;
    unsigned used;
};

static bool not_supported(struct placing *p, const char *device, const char *why)
{
    struct vim_DeviceHotPlugNotSupported *fault =
        VIM_NEW(p->call->arena, DeviceHotPlugNotSupported);

    fault->property = "virtualDeviceSpec.device";
    call_fault_text(p->call, &fault->self, "Device '%s' can not come or go while the VM runs. %s",
                    device, why);
    return false;
}

/* The next slot that nobody has; the used ones include what is to go, for that may not answer. */
static bool take_slot(struct placing *p, const char *device)
{
    unsigned slot = 0;
    char key[48], number[16];

    while (slot < VMCFG_SLOTS_MAX && (!(p->now.slots & BIT(slot)) || p->used & BIT(slot)))
        slot++;
    if (!p->now.slots)
        return not_supported(p, device,
                             "It starts its kernel directly and has no slots with hot-plug; "
                             "pciBridge4.present and the like give it some.");
    if (slot == VMCFG_SLOTS_MAX) {
        struct vim_TooManyDevices *fault = VIM_NEW(p->call->arena, TooManyDevices);
        fault->property = "virtualDeviceSpec.device";
        call_fault_text(p->call, &fault->self,
                        "All %d slots for devices that come while the VM runs are taken. Remove a "
                        "device that stands in one, or add it while the VM is off.",
                        __builtin_popcount(p->now.slots));
        return false;
    }
    p->used |= BIT(slot);
    (void)snprintf(key, sizeof key, "%s.pciSlotNumber", device);
    (void)snprintf(number, sizeof number, "%u", vmcfg_slot_number(slot + 1));
    return vmxfile_set(p->plan->vmx, key, number) == 0;
}

static void disk_name(const struct vmcfg_disk *disk, char name[24])
{
    (void)snprintf(name, 24, "%s%u:%u", vmcfg_bus_word(disk->bus), disk->controller, disk->unit);
}

static const struct vmcfg_disk *find_disk(const struct vmcfg *cfg, const struct vmcfg_disk *like)
{
    for (unsigned i = 0; i < cfg->disk_count; i++)
        if (cfg->disks[i].bus == like->bus && cfg->disks[i].controller == like->controller &&
            cfg->disks[i].unit == like->unit)
            return &cfg->disks[i];
    return NULL;
}

static const struct vmcfg_nic *find_nic(const struct vmcfg *cfg, const struct vmcfg_nic *like)
{
    for (unsigned i = 0; i < cfg->nic_count; i++)
        if (cfg->nics[i].index == like->index)
            return &cfg->nics[i];
    return NULL;
}

static const char in_no_slot[] = "It was there at power-on and stands in no slot with hot-plug.";

static bool place_disks(struct placing *p)
{
    char name[24];

    for (unsigned i = 0; i < p->now.disk_count; i++) {
        disk_name(&p->now.disks[i], name);
        if (!find_disk(&p->next, &p->now.disks[i]) && !p->now.disks[i].slot)
            return not_supported(p, name, in_no_slot);
    }
    for (unsigned i = 0; i < p->next.disk_count; i++) {
        const struct vmcfg_disk *disk = &p->next.disks[i];
        disk_name(disk, name);
        if (find_disk(&p->now, disk))
            continue;
        if (!vmcfg_bus_has_slots(disk->bus) || disk->cdrom)
            return not_supported(p, name, "Disks of SCSI and NVMe controllers can.");
        if (!take_slot(p, name))
            return false;
    }
    return true;
}

static bool place_nics(struct placing *p)
{
    char name[24];

    for (unsigned i = 0; i < p->now.nic_count; i++) {
        (void)snprintf(name, sizeof name, "ethernet%u", p->now.nics[i].index);
        if (!find_nic(&p->next, &p->now.nics[i]) && !p->now.nics[i].slot)
            return not_supported(p, name, in_no_slot);
    }
    for (unsigned i = 0; i < p->next.nic_count; i++) {
        (void)snprintf(name, sizeof name, "ethernet%u", p->next.nics[i].index);
        if (!find_nic(&p->now, &p->next.nics[i]) && !take_slot(p, name))
            return false;
    }
    return true;
}

/* A VM that has slots only because something stands in one keeps them when that goes. */
static bool keep_slots(struct placing *p)
{
    int rc = 0;

    for (unsigned slot = 0; slot < VMCFG_SLOTS_MAX && rc == 0; slot++) {
        char key[32];
        if (p->now.slots == vmcfg_slots_default(&p->now) || !(p->now.slots & BIT(slot)))
            continue;
        (void)snprintf(key, sizeof key, "pciBridge%u.present", slot + 4);
        rc = vmxfile_set(p->plan->vmx, key, "TRUE");
        (void)snprintf(key, sizeof key, "pciBridge%u.virtualDev", slot + 4);
        rc = rc < 0 ? rc : vmxfile_set(p->plan->vmx, key, "pcieRootPort");
    }
    return rc == 0;
}

bool vm_hot_place(struct call *call, struct virtual_machine *vm, struct plan *plan)
{
    struct placing p = {.call = call, .plan = plan};
    struct err err = ERR_INIT;
    int rc = vm_read_config(vm, vm->vmx, &p.now, &err);
    bool placed = false;

    if (rc == 0)
        rc = vm_read_config(vm, plan->vmx, &p.next, &err);
    p.used = rc == 0 ? vmcfg_slots_used(&p.now) : 0;
    if (rc < 0)
        CALL_FAULT_TEXT(call, InvalidVmConfig, "%s", err.text);
    else
        placed = place_disks(&p) && place_nics(&p) && keep_slots(&p);
    vmcfg_free(&p.now);
    vmcfg_free(&p.next);
    return placed;
}
