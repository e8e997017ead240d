/* SPDX-License-Identifier: Apache-2.0 */
/* EnvironmentBrowser: what VMs can be made of here: hardware versions, guests, networks,
 * datastores. */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/guest_os.h"
#include "hostd/model/inventory.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/vm/vm_allocation.h"

enum { MIN_MEMORY_MB = 4, SHARES_A_CPU = 1000 };

static struct vim_VirtualMachineConfigOptionDescriptor *descriptor(struct arena *arena, int version)
{
    struct vim_VirtualMachineConfigOptionDescriptor *d =
        VIM_NEW(arena, VirtualMachineConfigOptionDescriptor);

    d->key = arena_printf(arena, "vmx-%02d", version);
    d->description = arena_printf(arena, "Hardware version %d", version);
    VIM_ADD(arena, &d->host, VIM_REF(HostSystem, "ha-host"));
    d->createSupported = d->runSupported = d->upgradeSupported = true;
    d->defaultConfigOption = version == VM_HARDWARE_NEWEST;
    return d;
}

static void query_descriptors(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_VirtualMachineConfigOptionDescriptor *) list = {0};

    (void)mo;
    for (int v = VM_HARDWARE_OLDEST; v <= VM_HARDWARE_NEWEST; v++)
        if (v != 12 && v != 16) /* there were never these */
            VIM_ADD(call->arena, &list, descriptor(call->arena, v));
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_VirtualMachineConfigOptionDescriptor, &list));
}

static struct vim_GuestOsDescriptor *guest(struct arena *arena, const struct guest_os *os)
{
    struct vim_GuestOsDescriptor *g = VIM_NEW(arena, GuestOsDescriptor);

    g->id = os->id;
    g->family = os->family;
    g->fullName = os->full_name;
    g->supportedMaxCPUs = VMCFG_CPUS_MAX;
    g->numSupportedPhysicalSockets = VMCFG_CPUS_MAX;
    g->numSupportedCoresPerSocket = VMCFG_CORES_PER_SOCKET_MAX;
    g->supportedMinMemMB = MIN_MEMORY_MB;
    g->supportedMaxMemMB = (int32_t)(VMCFG_MEMORY_MAX >> 20);
    g->recommendedMemMB = 1024;
    g->recommendedColorDepth = 32;
    VIM_ADD(arena, &g->supportedDiskControllerList, "ParaVirtualSCSIController");
    VIM_ADD(arena, &g->supportedDiskControllerList, "VirtualLsiLogicController");
    VIM_ADD(arena, &g->supportedDiskControllerList, "VirtualAHCIController");
    VIM_ADD(arena, &g->supportedDiskControllerList, "VirtualNVMEController");
    g->recommendedSCSIController = g->recommendedDiskController = "ParaVirtualSCSIController";
    g->supportedNumDisks = VMCFG_DISKS_MAX;
    g->recommendedDiskSizeMB = 16384;
    g->recommendedCdromController = "VirtualAHCIController";
    VIM_ADD(arena, &g->supportedEthernetCard, "VirtualVmxnet3");
    VIM_ADD(arena, &g->supportedEthernetCard, "VirtualE1000");
    VIM_ADD(arena, &g->supportedEthernetCard, "VirtualE1000e");
    g->recommendedEthernetCard = "VirtualVmxnet3";
    VIM_ADD(arena, &g->supportedFirmware, "bios");
    VIM_ADD(arena, &g->supportedFirmware, "efi");
    g->recommendedFirmware = "bios";
    g->supportLevel = "supported";
    g->supportedForCreate = true;
    g->diskUuidEnabled = false;
    g->supportsSecureBoot = vim_bool(true);
    g->vRAMSizeInKB = VIM_NEW(arena, IntOption);
    g->vRAMSizeInKB->min = g->vRAMSizeInKB->max = g->vRAMSizeInKB->defaultValue = 16384;
    return g;
}

static struct vim_IntOption *range(struct arena *arena, int min, int max, int normal)
{
    struct vim_IntOption *o = VIM_NEW(arena, IntOption);

    o->min = min;
    o->max = max;
    o->defaultValue = normal;
    return o;
}

static struct vim_BoolOption *truth(struct arena *arena, bool normal)
{
    struct vim_BoolOption *o = VIM_NEW(arena, BoolOption);

    o->supported = true;
    o->defaultValue = normal;
    return o;
}

/* A SATA controller, and the CD drives that stand at it: neither comes or goes while a VM runs. */
static void add_sata(struct arena *arena, struct vim_VirtualHardwareOption *h)
{
    struct vim_VirtualAHCIControllerOption *ahci = VIM_NEW(arena, VirtualAHCIControllerOption);
    struct vim_VirtualCdromOption *cdrom = VIM_NEW(arena, VirtualCdromOption);
    struct vim_VirtualCdromIsoBackingOption *iso = VIM_NEW(arena, VirtualCdromIsoBackingOption);

    ahci->type = "VirtualAHCIController";
    ahci->devices = range(arena, 0, 30, 0);
    ahci->numSATADisks = range(arena, 0, 30, 0);
    ahci->numSATACdroms = range(arena, 0, 30, 0);
    VIM_ADD(arena, &ahci->supportedDevice, "VirtualDisk");
    VIM_ADD(arena, &ahci->supportedDevice, "VirtualCdrom");
    VIM_ADD(arena, &h->virtualDeviceOption, (struct vim_VirtualDeviceOption *)(void *)ahci);
    cdrom->type = "VirtualCdrom";
    cdrom->controllerType = "VirtualAHCIController";
    cdrom->autoAssignController = truth(arena, true);
    cdrom->connectOption = VIM_NEW(arena, VirtualDeviceConnectOption);
    cdrom->connectOption->startConnected = truth(arena, true);
    cdrom->connectOption->allowGuestControl = truth(arena, true);
    iso->type = "VirtualCdromIsoBackingInfo";
    iso->fileNameExtensions = VIM_NEW(arena, ChoiceOption);
    struct vim_ElementDescription *extension = VIM_NEW(arena, ElementDescription);
    extension->key = extension->label = extension->summary = "iso";
    VIM_ADD(arena, &iso->fileNameExtensions->choiceInfo, extension);
    VIM_ADD(arena, &cdrom->backingOption, (struct vim_VirtualDeviceBackingOption *)(void *)iso);
    VIM_ADD(arena, &h->virtualDeviceOption, (struct vim_VirtualDeviceOption *)(void *)cdrom);
}

static struct vim_VirtualHardwareOption *hardware(struct arena *arena, int version)
{
    struct vim_VirtualHardwareOption *h = VIM_NEW(arena, VirtualHardwareOption);

    h->hwVersion = version;
    for (int n = 1; n <= VMCFG_CPUS_MAX; n *= 2)
        VIM_ADD(arena, &h->numCPU, n);
    h->numCoresPerSocket = range(arena, 1, VMCFG_CORES_PER_SOCKET_MAX, 1);
    h->memoryMB = VIM_NEW(arena, LongOption);
    h->memoryMB->min = MIN_MEMORY_MB;
    h->memoryMB->max = (int64_t)(VMCFG_MEMORY_MAX >> 20);
    h->memoryMB->defaultValue = 1024;
    h->numPCIControllers = range(arena, 1, 1, 1);
    h->numIDEControllers = range(arena, 2, 2, 2);
    h->numUSBControllers = range(arena, 0, 0, 0);
    h->numUSBXHCIControllers = range(arena, 0, 0, 0);
    h->numSIOControllers = range(arena, 1, 1, 1);
    h->numPS2Controllers = range(arena, 1, 1, 1);
    h->resourceConfigOption = allocation_options(arena, SHARES_A_CPU, 163840);
    add_sata(arena, h);
    VIM_EMPTY(&h->licensingLimit);
    return h;
}

static void query(struct call *call, const char *key, const char *const *guests, size_t count)
{
    struct vim_VirtualMachineConfigOption *o = VIM_NEW(call->arena, VirtualMachineConfigOption);
    int version = VM_HARDWARE_NEWEST;

    if (key && *key) {
        for (version = VM_HARDWARE_NEWEST; version >= VM_HARDWARE_OLDEST; version--)
            if (!strcmp(key, arena_printf(call->arena, "vmx-%02d", version)))
                break;
        if (version < VM_HARDWARE_OLDEST) {
            call_fault_argument(call, "key");
            return;
        }
    }
    o->version = arena_printf(call->arena, "vmx-%02d", version);
    o->description = arena_printf(call->arena, "Hardware version %d", version);
    for (const struct guest_os *os = NULL; (os = guest_os_next(os));) {
        bool any = !count;
        for (size_t i = 0; i < count; i++)
            any |= !strcmp(guests[i], os->id);
        if (any)
            VIM_ADD(call->arena, &o->guestOSDescriptor, guest(call->arena, os));
    }
    if (!o->guestOSDescriptor.items)
        VIM_EMPTY(&o->guestOSDescriptor);
    o->hardwareOptions = hardware(call->arena, version);
    o->capabilities = vm_capability(call->arena);
    o->datastore = VIM_NEW(call->arena, DatastoreOption);
    struct vim_VirtualHardware *fixed = VIM_NEW(call->arena, VirtualHardware);
    vm_default_devices(call->arena, fixed);
    o->defaultDevice.count = fixed->device.count;
    o->defaultDevice.items = fixed->device.items;
    VIM_ADD(call->arena, &o->supportedMonitorType, "release");
    call_return(call, vim_any_data(o));
}

static void query_config_option(struct mo *mo, struct call *call)
{
    const struct vim_QueryConfigOption_args *args = call->args;

    (void)mo;
    query(call, args->key, NULL, 0);
}

static void query_config_option_ex(struct mo *mo, struct call *call)
{
    const struct vim_QueryConfigOptionEx_args *args = call->args;
    const struct vim_EnvironmentBrowserConfigOptionQuerySpec *spec = args->spec;

    (void)mo;
    query(call, spec ? spec->key : NULL, spec ? spec->guestId.items : NULL,
          spec ? spec->guestId.count : 0);
}

/* The summaries are what the objects themselves say. */
static void add_networks(struct call *call, struct vim_ConfigTarget *target)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Network), e));) {
        struct vim_VirtualMachineNetworkInfo *n = VIM_NEW(call->arena, VirtualMachineNetworkInfo);
        if (!entity_visible(call, &e->mo))
            continue;
        struct vim_any value = mo_get(&e->mo, &vim_managed_props[VIM_P_Network_summary], call);
        n->name = arena_strdup(call->arena, e->name);
        n->network = (struct vim_NetworkSummary *)(void *)value.data;
        VIM_ADD(call->arena, &target->network, n);
    }
}

static struct vim_any property_of(struct call *call, struct mo *mo, unsigned prop)
{
    return mo_get(mo, &vim_managed_props[prop], call);
}

static void add_datastores(struct call *call, struct vim_ConfigTarget *target)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));) {
        struct vim_VirtualMachineDatastoreInfo *d =
            VIM_NEW(call->arena, VirtualMachineDatastoreInfo);
        struct vim_DatastoreInfo *info =
            (void *)property_of(call, &e->mo, VIM_P_Datastore_info).data;
        if (!entity_visible(call, &e->mo) || !info)
            continue;
        d->name = arena_strdup(call->arena, e->name);
        d->datastore = (void *)property_of(call, &e->mo, VIM_P_Datastore_summary).data;
        d->capability = (void *)property_of(call, &e->mo, VIM_P_Datastore_capability).data;
        d->maxFileSize = info->maxFileSize;
        d->maxVirtualDiskCapacity = info->maxVirtualDiskCapacity;
        d->mode = "readWrite";
        VIM_ADD(call->arena, &target->datastore, d);
    }
}

static void query_capabilities(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(
        call, property_of(call, &hostd_of(call)->inventory->host.mo, VIM_P_HostSystem_capability));
}

static struct vim_any get_browser(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(HostDatastoreBrowser, "ha-host-datastorebrowser"));
}

static void query_config_target(struct mo *mo, struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;
    struct vim_ConfigTarget *target = VIM_NEW(call->arena, ConfigTarget);

    (void)mo;
    target->numCpus = (int32_t)machine->threads;
    target->numCpuCores = (int32_t)machine->cores;
    target->numNumaNodes = 1;
    target->maxMemMBOptimalPerf = (int32_t)(machine->memory >> 20);
    target->supportedMaxMemMB = vim_int((int32_t)(VMCFG_MEMORY_MAX >> 20));
    target->maxCpusPerHost = vim_int((int32_t)machine->threads);
    target->autoVmotion = vim_bool(false);
    add_datastores(call, target);
    add_networks(call, target);
    call_return(call, vim_any_data(target));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(EnvironmentBrowser, datastoreBrowser, get_browser),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryTargetCapabilities, query_capabilities),
    MO_METHOD(QueryConfigOptionDescriptor, query_descriptors),
    MO_METHOD(QueryConfigOption, query_config_option),
    MO_METHOD(QueryConfigOptionEx, query_config_option_ex),
    MO_METHOD(QueryConfigTarget, query_config_target),
};
const struct mo_class environment_browser_class = {
    .type = VIM_MANAGED(EnvironmentBrowser),
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
