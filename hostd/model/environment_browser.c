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

enum { HW_OLDEST = 7, HW_NEWEST = 21, MIN_MEMORY_MB = 4 };

static struct vim_VirtualMachineConfigOptionDescriptor *descriptor(struct arena *arena, int version)
{
    struct vim_VirtualMachineConfigOptionDescriptor *d =
        VIM_NEW(arena, VirtualMachineConfigOptionDescriptor);

    d->key = arena_printf(arena, "vmx-%02d", version);
    d->description = arena_printf(arena, "Hardware version %d", version);
    VIM_ADD(arena, &d->host, VIM_REF(HostSystem, "ha-host"));
    d->createSupported = d->runSupported = d->upgradeSupported = true;
    d->defaultConfigOption = version == HW_NEWEST;
    return d;
}

static void query_descriptors(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_VirtualMachineConfigOptionDescriptor *) list = {0};

    (void)mo;
    for (int v = HW_OLDEST; v <= HW_NEWEST; v++)
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
    VIM_EMPTY(&h->virtualDeviceOption);
    VIM_EMPTY(&h->licensingLimit);
    return h;
}

static void query(struct call *call, const char *key, const char *const *guests, size_t count)
{
    struct vim_VirtualMachineConfigOption *o = VIM_NEW(call->arena, VirtualMachineConfigOption);
    int version = HW_NEWEST;

    if (key && *key) {
        for (version = HW_NEWEST; version >= HW_OLDEST; version--)
            if (!strcmp(key, arena_printf(call->arena, "vmx-%02d", version)))
                break;
        if (version < HW_OLDEST) {
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
    o->capabilities = VIM_NEW(call->arena, VirtualMachineCapability);
    o->capabilities->bootOptionsSupported = true;
    o->capabilities->multipleCoresPerSocketSupported = true;
    o->datastore = VIM_NEW(call->arena, DatastoreOption);
    VIM_EMPTY(&o->defaultDevice);
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
    const struct vim_property *summary =
        vim_managed_property(VIM_MANAGED(Network), "summary", strlen("summary"));

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Network), e));) {
        struct vim_VirtualMachineNetworkInfo *n = VIM_NEW(call->arena, VirtualMachineNetworkInfo);
        struct vim_any value = mo_get(&e->mo, summary, call);
        n->name = arena_strdup(call->arena, e->name);
        n->network = (struct vim_NetworkSummary *)(void *)value.data;
        VIM_ADD(call->arena, &target->network, n);
    }
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
    add_networks(call, target);
    call_return(call, vim_any_data(target));
}

static const struct mo_method methods[] = {
    MO_METHOD(QueryConfigOptionDescriptor, query_descriptors),
    MO_METHOD(QueryConfigOption, query_config_option),
    MO_METHOD(QueryConfigOptionEx, query_config_option_ex),
    MO_METHOD(QueryConfigTarget, query_config_target),
};
const struct mo_class environment_browser_class = {
    .type = VIM_MANAGED(EnvironmentBrowser),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
