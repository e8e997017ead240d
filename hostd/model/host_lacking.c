/* SPDX-License-Identifier: Apache-2.0 */
/* Managers that every ESXi has, of what this host has nothing of or leaves to Linux: clients that
 * take inventory read all of them, and are told so in each one's own terms instead of being
 * refused. What would change something is NotSupported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_network.h"
#include "hostd/model/inventory.h"

/* What there is none of: by a property, by a method. */
#define NO_PROPERTY(function, type_name)                             \
    static struct vim_any function(struct mo *mo, struct call *call) \
    {                                                                \
        VIM_LIST(struct vim_##type_name *) list = {0};               \
        (void)mo;                                                    \
        (void)call;                                                  \
        VIM_EMPTY(&list);                                            \
        return VIM_ANY_LIST(VIM_DATA, VIM_T_##type_name, &list);     \
    }
#define NO_RESULT(function, type_name)                                       \
    static void function(struct mo *mo, struct call *call)                   \
    {                                                                        \
        VIM_LIST(struct vim_##type_name *) list = {0};                       \
        (void)mo;                                                            \
        VIM_EMPTY(&list);                                                    \
        call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_##type_name, &list)); \
    }

#define CLASS(name, type_name)                       \
    const struct mo_class name##_class = {           \
        .type = VIM_MANAGED(type_name),              \
        .props = name##_properties,                  \
        .methods = name##_methods,                   \
        .prop_count = ARRAY_SIZE(name##_properties), \
        .method_count = ARRAY_SIZE(name##_methods),  \
    }
#define CLASS_OF_PROPERTIES(name, type_name)         \
    const struct mo_class name##_class = {           \
        .type = VIM_MANAGED(type_name),              \
        .props = name##_properties,                  \
        .prop_count = ARRAY_SIZE(name##_properties), \
    }
#define CLASS_OF_METHODS(name, type_name)           \
    const struct mo_class name##_class = {          \
        .type = VIM_MANAGED(type_name),             \
        .methods = name##_methods,                  \
        .method_count = ARRAY_SIZE(name##_methods), \
    }

/* --- processors and memory: Linux shares them out --- */

static bool has_hyperthreads(struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;

    return machine->threads > machine->cores;
}

static struct vim_any get_hyperthreads(struct mo *mo, struct call *call)
{
    struct vim_HostHyperThreadScheduleInfo *info =
        VIM_NEW(call->arena, HostHyperThreadScheduleInfo);

    (void)mo;
    info->available = info->active = info->config = has_hyperthreads(call);
    return vim_any_data(info);
}

static void hyperthreads_on(struct mo *mo, struct call *call)
{
    (void)mo;
    if (!has_hyperthreads(call))
        CALL_FAULT_TEXT(call, NotSupported, "The processors have no hyper-threads.");
}

static const struct mo_property host_cpu_scheduler_properties[] = {
    MO_PROPERTY(HostCpuSchedulerSystem, hyperthreadInfo, get_hyperthreads),
};
static const struct mo_method host_cpu_scheduler_methods[] = {
    MO_METHOD(EnableHyperThreading, hyperthreads_on),
};
CLASS(host_cpu_scheduler, HostCpuSchedulerSystem);

static struct vim_any get_reservation(struct mo *mo, struct call *call)
{
    struct vim_VirtualMachineMemoryReservationInfo *info =
        VIM_NEW(call->arena, VirtualMachineMemoryReservationInfo);

    (void)mo;
    info->virtualMachineMax = (int64_t)hostd_of(call)->inventory->machine.memory;
    info->allocationPolicy = "swapSome";
    return vim_any_data(info);
}

static const struct mo_property host_memory_properties[] = {
    MO_PROPERTY(HostMemorySystem, virtualMachineReservationInfo, get_reservation),
};
CLASS_OF_PROPERTIES(host_memory, HostMemorySystem);

/* --- modules of the kernel, as Linux lists them --- */

/* "virtio_net 65536 2 - Live 0x0": name, size, users */
static struct vim_KernelModuleInfo *module(struct arena *arena, int id, const char *line)
{
    struct vim_KernelModuleInfo *info = VIM_NEW(arena, KernelModuleInfo);
    size_t len = strcspn(line, " \n");
    char *end;

    info->id = id;
    info->name = arena_strndup(arena, line, len);
    info->version = info->optionString = "";
    info->filename = arena_printf(arena, "%s.ko", info->name);
    info->loaded = info->enabled = true;
    info->readOnlySection = info->writableSection = info->dataSection = info->bssSection =
        VIM_NEW(arena, KernelModuleSectionInfo);
    info->textSection = VIM_NEW(arena, KernelModuleSectionInfo);
    info->textSection->length = vim_int((int32_t)strtoul(line + len, &end, 10));
    info->useCount = (int32_t)strtol(end, NULL, 10);
    return info;
}

static void query_modules(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_KernelModuleInfo *) list = {0};
    FILE *file = fopen("/proc/modules", "re");
    char line[512];

    (void)mo;
    VIM_EMPTY(&list);
    for (int id = 1; file && fgets(line, sizeof line, file); id++)
        VIM_ADD(call->arena, &list, module(call->arena, id, line));
    if (file)
        (void)fclose(file);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_KernelModuleInfo, &list));
}

static const struct mo_method host_kernel_module_methods[] = {
    MO_METHOD(QueryModules, query_modules),
};
CLASS_OF_METHODS(host_kernel_module, HostKernelModuleSystem);

/* --- SNMP: no agent --- */

static struct vim_any get_snmp(struct mo *mo, struct call *call)
{
    struct vim_HostSnmpConfigSpec *spec = VIM_NEW(call->arena, HostSnmpConfigSpec);

    (void)mo;
    spec->enabled = vim_bool(false);
    spec->port = vim_int(161);
    return vim_any_data(spec);
}

static struct vim_any get_snmp_limits(struct mo *mo, struct call *call)
{
    struct vim_HostSnmpSystemAgentLimits *limits = VIM_NEW(call->arena, HostSnmpSystemAgentLimits);

    (void)mo;
    limits->capability = VIM_HostSnmpAgentCapability_COMPLETE;
    return vim_any_data(limits);
}

static const struct mo_property host_snmp_properties[] = {
    MO_PROPERTY(HostSnmpSystem, configuration, get_snmp),
    MO_PROPERTY(HostSnmpSystem, limits, get_snmp_limits),
};
CLASS_OF_PROPERTIES(host_snmp, HostSnmpSystem);

/* --- accounts: local ones, no Active Directory --- */

static struct vim_any get_local_store(struct mo *mo, struct call *call)
{
    struct vim_HostLocalAuthenticationInfo *info =
        VIM_NEW(call->arena, HostLocalAuthenticationInfo);

    (void)mo;
    info->enabled = true;
    return vim_any_data(info);
}

static struct vim_any get_directory(struct mo *mo, struct call *call)
{
    struct vim_HostActiveDirectoryInfo *info = VIM_NEW(call->arena, HostActiveDirectoryInfo);

    (void)mo;
    VIM_EMPTY(&info->trustedDomain);
    return vim_any_data(info);
}

static struct vim_any get_authentication(struct mo *mo, struct call *call)
{
    struct vim_HostAuthenticationManagerInfo *info =
        VIM_NEW(call->arena, HostAuthenticationManagerInfo);

    VIM_ADD(call->arena, &info->authConfig,
            (struct vim_HostAuthenticationStoreInfo *)(void *)get_local_store(mo, call).data);
    VIM_ADD(call->arena, &info->authConfig,
            (struct vim_HostAuthenticationStoreInfo *)(void *)get_directory(mo, call).data);
    return vim_any_data(info);
}

static struct vim_any get_stores(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ref) list = {0};

    (void)mo;
    VIM_ADD(call->arena, &list, VIM_REF(HostLocalAuthentication, "ha-local-auth"));
    VIM_ADD(call->arena, &list, VIM_REF(HostActiveDirectoryAuthentication, "ha-ad-auth"));
    return VIM_ANY_LIST(VIM_REF, VIM_M_HostAuthenticationStore, &list);
}

static const struct mo_property host_authentication_properties[] = {
    MO_PROPERTY(HostAuthenticationManager, info, get_authentication),
    MO_PROPERTY(HostAuthenticationManager, supportedStore, get_stores),
};
CLASS_OF_PROPERTIES(host_authentication, HostAuthenticationManager);

static const struct mo_property host_local_authentication_properties[] = {
    MO_PROPERTY(HostAuthenticationStore, info, get_local_store),
};
CLASS_OF_PROPERTIES(host_local_authentication, HostLocalAuthentication);

static const struct mo_property host_directory_properties[] = {
    MO_PROPERTY(HostAuthenticationStore, info, get_directory),
};
CLASS_OF_PROPERTIES(host_directory, HostActiveDirectoryAuthentication);

/* --- devices for guests: none is passed through, no GPU is shared --- */

static struct vim_any get_passthrough(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostPciPassthruInfo *) list = {0};
    struct mo *host = mo_find(hostd_of(call)->api.registry, "ha-host");
    struct vim_any hardware = mo_get(host, &vim_managed_props[VIM_P_HostSystem_hardware], call);
    const struct vim_HostHardwareInfo *h =
        (const struct vim_HostHardwareInfo *)(const void *)hardware.data;

    (void)mo;
    VIM_EMPTY(&list);
    for (size_t i = 0; i < h->pciDevice.count; i++) {
        struct vim_HostPciPassthruInfo *info = VIM_NEW(call->arena, HostPciPassthruInfo);
        info->id = info->dependentDevice = h->pciDevice.items[i]->id;
        VIM_ADD(call->arena, &list, info);
    }
    return VIM_ANY_LIST(VIM_DATA, VIM_T_HostPciPassthruInfo, &list);
}

static void refresh(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call; /* read from the machine whenever somebody asks */
}

static const struct mo_property host_passthrough_properties[] = {
    MO_PROPERTY(HostPciPassthruSystem, pciPassthruInfo, get_passthrough),
};
static const struct mo_method host_passthrough_methods[] = {MO_METHOD(Refresh, refresh)};
CLASS(host_passthrough, HostPciPassthruSystem);

NO_PROPERTY(get_graphics, HostGraphicsInfo)

static struct vim_any get_graphics_config(struct mo *mo, struct call *call)
{
    struct vim_HostGraphicsConfig *config = VIM_NEW(call->arena, HostGraphicsConfig);

    (void)mo;
    config->hostDefaultGraphicsType = "shared";
    config->sharedPassthruAssignmentPolicy = "performance";
    return vim_any_data(config);
}

static void is_graphics_active(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_bool(false));
}

static const struct mo_property host_graphics_properties[] = {
    MO_PROPERTY(HostGraphicsManager, graphicsInfo, get_graphics),
    MO_PROPERTY(HostGraphicsManager, graphicsConfig, get_graphics_config),
};
static const struct mo_method host_graphics_methods[] = {
    MO_METHOD(IsSharedGraphicsActive, is_graphics_active),
    MO_METHOD(RefreshGraphicsManager, refresh),
};
CLASS(host_graphics, HostGraphicsManager);

NO_PROPERTY(get_cache, HostCacheConfigurationInfo)
static const struct mo_property host_cache_properties[] = {
    MO_PROPERTY(HostCacheConfigurationManager, cacheConfigurationInfo, get_cache),
};
CLASS_OF_PROPERTIES(host_cache, HostCacheConfigurationManager);

/* --- moving VMs between hosts --- */

static struct vim_any get_vmotion(struct mo *mo, struct call *call)
{
    struct vim_HostVMotionNetConfig *config = VIM_NEW(call->arena, HostVMotionNetConfig);
    struct vim_list nics = host_network_vnics(call->arena);

    (void)mo;
    VIM_EMPTY(&config->candidateVnic);
    for (size_t i = 0; i < nics.count; i++)
        VIM_ADD(call->arena, &config->candidateVnic, ((struct vim_HostVirtualNic **)nics.items)[i]);
    return vim_any_data(config);
}

static const struct mo_property host_vmotion_properties[] = {
    MO_PROPERTY(HostVMotionSystem, netConfig, get_vmotion),
};
CLASS_OF_PROPERTIES(host_vmotion, HostVMotionSystem);

/* --- core dumps of the machine, its boot devices, iSCSI over its cards --- */

NO_RESULT(no_partitions, HostDiagnosticPartition)
static const struct mo_method host_diagnostic_methods[] = {
    MO_METHOD(QueryAvailablePartition, no_partitions),
};
CLASS_OF_METHODS(host_diagnostic, HostDiagnosticSystem);

static void no_boot_devices(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_data(VIM_NEW(call->arena, HostBootDeviceInfo)));
}
static const struct mo_method host_boot_device_methods[] = {
    MO_METHOD(QueryBootDevices, no_boot_devices),
};
CLASS_OF_METHODS(host_boot_device, HostBootDeviceSystem);

NO_RESULT(no_ports, IscsiPortInfo)
static const struct mo_method host_iscsi_methods[] = {
    MO_METHOD(QueryBoundVnics, no_ports),
    MO_METHOD(QueryCandidateNics, no_ports),
};
CLASS_OF_METHODS(host_iscsi, IscsiManager);

/* --- of the service: texts, keys, first class disks, distributed switches --- */

NO_PROPERTY(get_catalogs, LocalizationManagerMessageCatalog)
static const struct mo_property localization_manager_properties[] = {
    MO_PROPERTY(LocalizationManager, catalog, get_catalogs),
};
CLASS_OF_PROPERTIES(localization_manager, LocalizationManager);

static struct vim_any get_crypto(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_bool(false);
}

NO_RESULT(no_keys, CryptoKeyId)
static const struct mo_property crypto_manager_properties[] = {
    MO_PROPERTY(CryptoManager, enabled, get_crypto),
};
static const struct mo_method crypto_manager_methods[] = {MO_METHOD(ListKeys, no_keys)};
CLASS(crypto_manager, CryptoManagerHost);

NO_RESULT(no_disks, ID)
static const struct mo_method vstorage_object_manager_methods[] = {
    MO_METHOD(HostListVStorageObject, no_disks),
};
CLASS_OF_METHODS(vstorage_object_manager, HostVStorageObjectManager);

NO_RESULT(no_summaries, StoragePerformanceSummary)
static const struct mo_method storage_resource_manager_methods[] = {
    MO_METHOD(QueryDatastorePerformanceSummary, no_summaries),
};
CLASS_OF_METHODS(storage_resource_manager, StorageResourceManager);

NO_RESULT(no_switches, DistributedVirtualSwitchProductSpec)
static void no_switch(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call; /* none has that uuid */
}
static const struct mo_method dvs_manager_methods[] = {
    MO_METHOD(QueryAvailableDvsSpec, no_switches),
    MO_METHOD(QueryDvsByUuid, no_switch),
};
CLASS_OF_METHODS(dvs_manager, DistributedVirtualSwitchManager);

const struct mo_class datastore_namespace_manager_class = {
    .type = VIM_MANAGED(DatastoreNamespaceManager),
};
