/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachine.config: the .vmx dictionary in the API's words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/guest_os.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/vm/vm_allocation.h"
#include "hostd/vm/vm_boot.h"
#include "hostd/vm/vm_clone.h"

static const char *text_of(const struct virtual_machine *vm, const char *key, const char *fallback)
{
    const char *value = vmxfile_get(vm->vmx, key);

    return value && *value ? value : fallback;
}

static bool flag_of(const struct virtual_machine *vm, const char *key, bool fallback)
{
    bool v = fallback;

    (void)vmxfile_get_bool(vm->vmx, key, &v, NULL);
    return v;
}

uint64_t vm_memory(const struct virtual_machine *vm)
{
    uint64_t mib = 1024;

    if (vm->vmx)
        (void)vmxfile_get_u64(vm->vmx, "memSize", 4, VMCFG_MEMORY_MAX >> 20, &mib, NULL);
    return mib << 20;
}

unsigned vm_cpus(const struct virtual_machine *vm)
{
    unsigned cpus = 1;

    if (vm->vmx)
        (void)vmxfile_get_unsigned(vm->vmx, "numvcpus", 1, VMCFG_CPUS_MAX, &cpus, NULL);
    return cpus;
}

/* RFC 4122's spelling of what the file has in VMware's. */
static const char *uuid_of(struct arena *arena, const struct virtual_machine *vm, const char *key)
{
    const char *text = vmxfile_get(vm->vmx, key);
    uint8_t u[16];

    if (!text || vmcfg_uuid_parse(text, u) < 0)
        return NULL;
    return arena_printf(
        arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
        u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

/* --- extraConfig: what no other property says --- */

static bool is_device_key(const char *key)
{
    static const char *const prefixes[] = {"scsi",   "sata",   "nvme", "ide",      "ethernet",
                                           "serial", "floppy", "usb",  "pciBridge"};
    const char *dot = strchr(key, '.');

    for (unsigned i = 0; dot && i < ARRAY_SIZE(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (!strncasecmp(key, prefixes[i], len) &&
            (key[len] == '.' || (key[len] >= '0' && key[len] <= '9')))
            return strncasecmp(dot, ".pciSlotNumber", 14) != 0;
    }
    return false;
}

bool vm_config_has_field(const char *key)
{
    static const char *const keys[] = {".encoding",
                                       "config.version",
                                       "virtualHW.version",
                                       "displayName",
                                       "guestOS",
                                       "memSize",
                                       "numvcpus",
                                       "uuid.bios",
                                       "uuid.location",
                                       "vc.uuid",
                                       "annotation",
                                       "firmware",
                                       "cpuid.coresPerSocket",
                                       "bios.bootDelay",
                                       "bios.bootOrder",
                                       "bios.hddOrder",
                                       "bios.forceSetupOnce",
                                       "uefi.secureBoot.enabled",
                                       "sched.cpu.units",
                                       "sched.cpu.min",
                                       "sched.cpu.max",
                                       "sched.cpu.shares",
                                       "sched.cpu.affinity",
                                       "sched.cpu.latencySensitivity",
                                       "sched.mem.min",
                                       "sched.mem.minSize",
                                       "sched.mem.max",
                                       "sched.mem.shares",
                                       "sched.mem.pin",
                                       "sched.mem.affinity",
                                       "extendedConfigFile",
                                       "socle.template"};

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcasecmp(key, keys[i]))
            return true;
    return false;
}

static void add_extra(struct arena *arena, const struct virtual_machine *vm,
                      struct vim_VirtualMachineConfigInfo *config)
{
    const char *key;
    size_t at = 0;

    while ((key = vmxfile_next_key(vm->vmx, &at))) {
        if (is_device_key(key) || vm_config_has_field(key))
            continue;
        struct vim_OptionValue *option = VIM_NEW(arena, OptionValue);
        option->key = arena_strdup(arena, key);
        option->value = vim_any_string(arena_strdup(arena, vmxfile_get(vm->vmx, key)));
        VIM_ADD(arena, &config->extraConfig, option);
    }
}

/* --- parts --- */

static struct vim_VirtualMachineFileInfo *files(struct arena *arena,
                                                const struct virtual_machine *vm)
{
    struct vim_VirtualMachineFileInfo *f = VIM_NEW(arena, VirtualMachineFileInfo);
    char folder[DSPATH_MAX];

    vm_folder(vm, folder);
    f->vmPathName = vm_path_text(arena, vm);
    f->snapshotDirectory = f->suspendDirectory = f->logDirectory =
        arena_printf(arena, "[%s] %s%s", vm->datastore->e.name, folder, *folder ? "/" : "");
    return f;
}

static struct vim_VirtualMachineBootOptions *boot_options(struct arena *arena,
                                                          const struct virtual_machine *vm)
{
    struct vim_VirtualMachineBootOptions *b = VIM_NEW(arena, VirtualMachineBootOptions);
    uint64_t delay = 0;

    (void)vmxfile_get_u64(vm->vmx, "bios.bootDelay", 0, 10000, &delay, NULL);
    b->bootDelay = vim_long((int64_t)delay);
    b->enterBIOSSetup = vim_bool(flag_of(vm, "bios.forceSetupOnce", false));
    b->efiSecureBootEnabled = vim_bool(flag_of(vm, "uefi.secureBoot.enabled", false));
    b->bootRetryEnabled = vim_bool(false);
    b->bootRetryDelay = vim_long(10000);
    b->networkBootProtocol = "ipv4";
    vm_boot_order_get(arena, vm->vmx, b);
    return b;
}

static struct vim_VirtualMachineDefaultPowerOpInfo *power_ops(struct arena *arena)
{
    struct vim_VirtualMachineDefaultPowerOpInfo *p =
        VIM_NEW(arena, VirtualMachineDefaultPowerOpInfo);

    p->powerOffType = p->suspendType = p->resetType = "preset";
    p->defaultPowerOffType = p->defaultResetType = "soft";
    p->defaultSuspendType = "hard";
    p->standbyAction = "checkpoint";
    return p;
}

static struct vim_VirtualMachineFlagInfo *flags(struct arena *arena,
                                                const struct virtual_machine *vm)
{
    struct vim_VirtualMachineFlagInfo *f = VIM_NEW(arena, VirtualMachineFlagInfo);

    f->disableAcceleration = vim_bool(false);
    f->enableLogging = vim_bool(true);
    f->diskUuidEnabled = vim_bool(flag_of(vm, "disk.EnableUUID", false));
    f->snapshotPowerOffBehavior = "powerOff";
    f->snapshotDisabled = vim_bool(false);
    f->snapshotLocked = vim_bool(false);
    f->monitorType = "release";
    f->virtualMmuUsage = f->virtualExecUsage = "automatic";
    f->useToe = f->runWithDebugInfo = f->recordReplayEnabled = vim_bool(false);
    f->cbrcCacheEnabled = f->vvtdEnabled = f->vbsEnabled = vim_bool(false);
    f->htSharing = "any";
    f->faultToleranceType = "unset";
    return f;
}

static struct vim_VirtualHardware *hardware(struct arena *arena, const struct virtual_machine *vm)
{
    struct vim_VirtualHardware *h = VIM_NEW(arena, VirtualHardware);
    unsigned cores = 1;

    (void)vmxfile_get_unsigned(vm->vmx, "cpuid.coresPerSocket", 1, VMCFG_CORES_PER_SOCKET_MAX,
                               &cores, NULL);
    h->numCPU = (int32_t)vm_cpus(vm);
    h->numCoresPerSocket = vim_int((int32_t)cores);
    h->memoryMB = (int32_t)(vm_memory(vm) >> 20);
    h->virtualICH7MPresent = h->virtualSMCPresent = vim_bool(false);
    vm_devices(arena, vm, h);
    return h;
}

static void name_guest(struct arena *arena, const struct virtual_machine *vm,
                       struct vim_VirtualMachineConfigInfo *c)
{
    const struct guest_os *os = guest_os_by_vmx(vmxfile_get(vm->vmx, "guestOS"));

    (void)arena;
    c->guestId = os->id;
    c->guestFullName = os->full_name;
}

static void add_datastore(struct arena *arena, struct vim_VirtualMachineConfigInfo *c,
                          const struct datastore *datastore)
{
    for (size_t i = 0; i < c->datastoreUrl.count; i++)
        if (!strcmp(c->datastoreUrl.items[i]->name, datastore->e.name))
            return;
    struct vim_VirtualMachineConfigInfoDatastoreUrlPair *pair =
        VIM_NEW(arena, VirtualMachineConfigInfoDatastoreUrlPair);
    pair->name = arena_strdup(arena, datastore->e.name);
    pair->url = datastore_url(arena, datastore);
    VIM_ADD(arena, &c->datastoreUrl, pair);
}

/* Of the .vmx and of the disks. */
static void add_datastores(struct arena *arena, const struct virtual_machine *vm,
                           struct vim_VirtualMachineConfigInfo *c)
{
    struct dspath path;
    char key[40];

    add_datastore(arena, c, vm->datastore);
    for (unsigned i = 0; i < vm->disk_count; i++) {
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vmxfile_get(vm->vmx, key);
        const struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;
        if (datastore)
            add_datastore(arena, c, datastore);
    }
}

struct vim_VirtualMachineConfigInfo *vm_config_info(struct arena *arena,
                                                    const struct virtual_machine *vm)
{
    if (!vm->vmx)
        return NULL;
    struct vim_VirtualMachineConfigInfo *c = VIM_NEW(arena, VirtualMachineConfigInfo);
    c->changeVersion = arena_printf(arena, "%s-%u", vm->e.id, vm->change);
    c->modified = vm->modified_us;
    c->createDate = vim_time(vm->created_us);
    c->name = arena_strdup(arena, vm->e.name);
    name_guest(arena, vm, c);
    c->version =
        arena_printf(arena, "vmx-%02ld", strtol(text_of(vm, "virtualHW.version", "21"), NULL, 10));
    c->uuid = uuid_of(arena, vm, "uuid.bios");
    c->uuid = c->uuid ? c->uuid : "00000000-0000-0000-0000-000000000000";
    c->instanceUuid = uuid_of(arena, vm, "vc.uuid");
    c->locationId = uuid_of(arena, vm, "uuid.location");
    c->annotation = arena_strdup(arena, text_of(vm, "annotation", ""));
    c->files = files(arena, vm);
    c->tools = VIM_NEW(arena, ToolsConfigInfo);
    c->tools->toolsVersion = vim_int(0);
    c->tools->toolsUpgradePolicy = "manual";
    c->tools->afterPowerOn = c->tools->afterResume = vim_bool(true);
    c->tools->beforeGuestShutdown = c->tools->beforeGuestStandby = vim_bool(true);
    c->tools->syncTimeWithHost = vim_bool(false);
    c->tools->lastInstallInfo = VIM_NEW(arena, ToolsConfigInfoToolsLastInstallInfo);
    c->flags = flags(arena, vm);
    c->defaultPowerOps = power_ops(arena);
    c->hardware = hardware(arena, vm);
    c->cpuAllocation =
        vm_allocation_get(arena, vm->vmx, VM_RESOURCE_CPU, (int32_t)(1000 * vm_cpus(vm)));
    c->memoryAllocation = vm_allocation_get(arena, vm->vmx, VM_RESOURCE_MEMORY,
                                            (int32_t)(10 * (vm_memory(vm) >> 20)));
    c->memoryHotAddEnabled = c->cpuHotAddEnabled = c->cpuHotRemoveEnabled = vim_bool(false);
    c->bootOptions = boot_options(arena, vm);
    c->firmware = !strcasecmp(text_of(vm, "firmware", "bios"), "efi") ? "efi" : "bios";
    c->swapPlacement = "inherit";
    c->changeTrackingEnabled = vim_bool(false);
    c->template = vm_is_template(vm);
    c->nestedHVEnabled = c->vPMCEnabled = vim_bool(false);
    c->maxMksConnections = vim_int(40);
    c->npivTemporaryDisabled = vim_bool(true);
    c->vAssertsEnabled = c->guestAutoLockEnabled = c->messageBusTunnelEnabled = vim_bool(false);
    c->memoryReservationLockedToMax = vim_bool(flag_of(vm, "sched.mem.pin", false));
    c->vFlashCacheReservation = vim_long(0);
    c->latencySensitivity = VIM_NEW(arena, LatencySensitivity);
    c->latencySensitivity->level = VIM_LatencySensitivitySensitivityLevel_normal;
    add_datastores(arena, vm, c);
    add_extra(arena, vm, c);
    return c;
}
