/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_edit.h"
#include "config/nvram.h"
#include "hostd/vm/vm_allocation.h"
#include "hostd/vm/vm_boot.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/guest_os.h"
#include "hostd/vm/ovf_device.h"

enum { ANNOTATION_MAX = 32 << 10, BOOT_DELAY_MAX_MS = 10000 };

static bool bad(struct call *call, const char *property)
{
    call_fault_argument(call, property);
    return false;
}

static bool set(struct call *call, struct plan *plan, const char *key, const char *value)
{
    if (!value || vmxfile_set(plan->vmx, key, value) == 0)
        return true;
    return bad(call, key);
}

static bool set_number(struct call *call, struct plan *plan, const char *key, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return set(call, plan, key, text);
}

static bool set_flag(struct call *call, struct plan *plan, const char *key,
                     struct vim_opt_bool value)
{
    return !value.set || set(call, plan, key, value.v ? "TRUE" : "FALSE");
}

static bool set_uuid(struct call *call, struct plan *plan, const char *key, const char *value)
{
    char text[VMCFG_UUID_TEXT];
    uint8_t uuid[16];

    if (!value || !*value)
        return true;
    if (vmcfg_uuid_parse(value, uuid) < 0)
        return bad(call, "uuid");
    vmcfg_uuid_format(uuid, text);
    return set(call, plan, key, text);
}

/* --- parts of the spec --- */

static bool edit_identity(struct call *call, struct plan *plan,
                          const struct vim_VirtualMachineConfigSpec *spec)
{
    const struct guest_os *os = spec->guestId ? guest_os_by_id(spec->guestId) : NULL;
    const char *guest = os ? os->vmx : spec->guestId && *spec->guestId ? "other" : NULL;

    if (spec->annotation && strlen(spec->annotation) > ANNOTATION_MAX)
        return bad(call, "configSpec.annotation");
    return set(call, plan, "displayName", spec->name) && set(call, plan, "guestOS", guest) &&
           set(call, plan, "annotation", spec->annotation) &&
           set_uuid(call, plan, "uuid.bios", spec->uuid) &&
           set_uuid(call, plan, "vc.uuid", spec->instanceUuid);
}

static bool edit_version(struct call *call, struct plan *plan, const char *version)
{
    char *end;

    if (!version || !*version)
        return true;
    long number = !strncmp(version, "vmx-", 4) ? strtol(version + 4, &end, 10) : 0;
    if (number < 4 || number > 30 || *end)
        return bad(call, "configSpec.version");
    return set_number(call, plan, "virtualHW.version", number);
}

static bool edit_size(struct call *call, struct plan *plan,
                      const struct vim_VirtualMachineConfigSpec *spec)
{
    if (spec->numCPUs.set && (spec->numCPUs.v < 1 || spec->numCPUs.v > VMCFG_CPUS_MAX))
        return bad(call, "configSpec.numCPUs");
    if (spec->numCoresPerSocket.set &&
        (spec->numCoresPerSocket.v < 1 || spec->numCoresPerSocket.v > VMCFG_CORES_PER_SOCKET_MAX))
        return bad(call, "configSpec.numCoresPerSocket");
    if (spec->memoryMB.set && (spec->memoryMB.v < 4 || spec->memoryMB.v % 4 ||
                               (uint64_t)spec->memoryMB.v > VMCFG_MEMORY_MAX >> 20))
        return bad(call, "configSpec.memoryMB");
    return (!spec->numCPUs.set || set_number(call, plan, "numvcpus", spec->numCPUs.v)) &&
           (!spec->numCoresPerSocket.set ||
            set_number(call, plan, "cpuid.coresPerSocket", spec->numCoresPerSocket.v)) &&
           (!spec->memoryMB.set || set_number(call, plan, "memSize", spec->memoryMB.v));
}

static bool edit_boot(struct call *call, struct plan *plan,
                      const struct vim_VirtualMachineConfigSpec *spec)
{
    const struct vim_VirtualMachineBootOptions *boot = spec->bootOptions;

    if (spec->firmware && *spec->firmware && strcmp(spec->firmware, "efi") &&
        strcmp(spec->firmware, "bios"))
        return bad(call, "configSpec.firmware");
    /* BIOS is what is not said: libvirt knows no other word than "efi". */
    if (spec->firmware && !strcmp(spec->firmware, "bios"))
        vmxfile_remove(plan->vmx, "firmware");
    else if (spec->firmware && *spec->firmware && !set(call, plan, "firmware", spec->firmware))
        return false;
    if (!boot)
        return true;
    if (boot->bootOrder.items && vm_boot_order_set(plan->vmx, boot) < 0)
        return bad(call, "configSpec.bootOptions.bootOrder");
    if (boot->bootDelay.set && (boot->bootDelay.v < 0 || boot->bootDelay.v > BOOT_DELAY_MAX_MS))
        return bad(call, "configSpec.bootOptions.bootDelay");
    return (!boot->bootDelay.set || set_number(call, plan, "bios.bootDelay", boot->bootDelay.v)) &&
           set_flag(call, plan, "bios.forceSetupOnce", boot->enterBIOSSetup) &&
           set_flag(call, plan, "uefi.secureBoot.enabled", boot->efiSecureBootEnabled);
}

static bool edit_allocation(struct call *call, struct plan *plan,
                            const struct vim_VirtualMachineConfigSpec *spec)
{
    return (vm_allocation_set(plan->vmx, VM_RESOURCE_CPU, spec->cpuAllocation) == 0 ||
            bad(call, "configSpec.cpuAllocation")) &&
           (vm_allocation_set(plan->vmx, VM_RESOURCE_MEMORY, spec->memoryAllocation) == 0 ||
            bad(call, "configSpec.memoryAllocation"));
}

/* What describes a device or names a file: whoever may set those has every file of every datastore,
 * whatever he may do with devices and datastores. They come by deviceChange, where that is asked.
 * No privilege that a VM's advanced settings take is about these. */
bool vm_edit_is_reserved(const char *key)
{
    static const char *const reserved[] = {
        /* devices */
        "scsi[0-9]*", "sata[0-9]*", "ide[0-9]*", "nvme[0-9]*", "ethernet[0-9]*", "serial[0-9]*",
        "parallel[0-9]*", "floppy[0-9]*", "virtioConsole[0-9]*", "pciPassthru[0-9]*", "usb[.:_]*",
        "ehci[.:]*", "sound.*", "*.present", "*.pciSlotNumber",
        /* files */
        "*fileName", "nvram", NVRAM_OWN_KEY, "workingDir", "suspend.directory",
        "extendedConfigFile", "fileSearchPath", "sharedFolder*", "sched.swap.dir",
        "sched.swap.derivedName", "snapshot.*", "checkpoint.*", "migrate.*", "socle.kernel",
        "socle.initrd", "socle.firmwareLog"};

    if (!strncasecmp(key, "guestinfo.", 10)) /* the guest's, and nobody else's */
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
        if (fnmatch(reserved[i], key, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

static const char *text_of(struct call *call, const struct vim_any *value)
{
    switch (value->shape.kind) {
    case VIM_STRING:
        return value->str;
    case VIM_BOOL:
        return value->b ? "TRUE" : "FALSE";
    case VIM_BYTE:
        return arena_printf(call->arena, "%d", value->byte);
    case VIM_SHORT:
        return arena_printf(call->arena, "%d", value->s);
    case VIM_INT:
        return arena_printf(call->arena, "%d", value->i);
    case VIM_LONG:
        return arena_printf(call->arena, "%lld", (long long)value->l);
    default:
        return NULL;
    }
}

/* What the spec has a field for is left out in silence, as ESXi's documentation says: each of those
 * fields asks for a privilege of its own. disk.EnableUUID is the exception: everybody sets it here.
 *
 * Clients send back what they read: also keys that they may not change. "" is none. */
static bool is_as_before(const struct virtual_machine *vm, const struct plan *plan, const char *key,
                         const char *value)
{
    const char *now = vmxfile_get(vm ? vm->vmx : plan->vmx, key);

    return !strcmp(value, now ? now : "");
}

static bool edit_extra(struct call *call, const struct virtual_machine *vm, struct plan *plan,
                       const struct vim_VirtualMachineConfigSpec *spec)
{
    for (size_t i = 0; i < spec->extraConfig.count; i++) {
        const struct vim_OptionValue *option = spec->extraConfig.items[i];
        const char *value = text_of(call, &option->value);
        if (!vm && ovf_is_nvram(option->key, value))
            continue; /* the lease's (vm_transfer.c) */
        bool reserved = vm_edit_is_reserved(option->key);
        if (!value || !*option->key || (reserved && !is_as_before(vm, plan, option->key, value)))
            return bad(call, "configSpec.extraConfig");
        if (reserved || vm_config_has_field(option->key))
            continue;
        if (!*value)
            vmxfile_remove(plan->vmx, option->key);
        else if (!set(call, plan, option->key, value))
            return false;
    }
    return true;
}

static bool edit_flags(struct call *call, struct plan *plan,
                       const struct vim_VirtualMachineConfigSpec *spec)
{
    return !spec->flags || set_flag(call, plan, "disk.EnableUUID", spec->flags->diskUuidEnabled);
}

bool vm_edit(struct call *call, const struct virtual_machine *vm, struct plan *plan,
             const struct vim_VirtualMachineConfigSpec *spec)
{
    return edit_identity(call, plan, spec) && edit_version(call, plan, spec->version) &&
           edit_size(call, plan, spec) && edit_boot(call, plan, spec) &&
           edit_allocation(call, plan, spec) && edit_flags(call, plan, spec) &&
           vm_edit_devices(call, vm, plan, spec) && edit_extra(call, vm, plan, spec);
}
