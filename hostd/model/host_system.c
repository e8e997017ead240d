/* SPDX-License-Identifier: Apache-2.0 */
/* HostSystem ha-host: the machine under us, as host/machine.h knows it. What this host can not do
 * says so in its capabilities. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/host/hardware.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_connection.h"
#include "hostd/model/host_health.h"
#include "hostd/model/host_maintenance.h"
#include "hostd/model/host_network.h"
#include "hostd/model/method_executer.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/perf/perf.h"
#include "hostd/up/cert.h"

enum { VCPUS_MAX = 768, PORT = 443 };

static const struct machine *machine_of(struct call *call)
{
    return &hostd_of(call)->inventory->machine;
}

/* --- hardware --- */

/* A register as clients take it apart: "0000:0000:0000:0000:0110:0110:0110:0001", from bit 31. */
static const char *bits(struct arena *arena, uint32_t v)
{
    char text[40], *at = text;

    for (int i = 31; i >= 0; i--) {
        *at++ = v >> i & 1 ? '1' : '0';
        if (i && i % 4 == 0)
            *at++ = ':';
    }
    *at = '\0';
    return arena_strdup(arena, text);
}

static struct vim_HostCpuIdInfo *cpuid_info(struct arena *arena, const struct machine_cpuid *c)
{
    struct vim_HostCpuIdInfo *info = VIM_NEW(arena, HostCpuIdInfo);

    info->level = (int32_t)c->leaf;
    info->vendor = "";
    info->eax = bits(arena, c->eax);
    info->ebx = bits(arena, c->ebx);
    info->ecx = bits(arena, c->ecx);
    info->edx = bits(arena, c->edx);
    return info;
}

static const char *cpu_vendor(const struct machine *m)
{
    return !strcmp(m->cpu_vendor, "GenuineIntel")   ? "intel"
           : !strcmp(m->cpu_vendor, "AuthenticAMD") ? "amd"
                                                    : "unknown";
}

static void add_packages(struct arena *arena, const struct machine *m,
                         struct vim_HostHardwareInfo *h)
{
    unsigned each = MAX(m->threads / m->packages, 1u);

    for (unsigned i = 0; i < m->packages; i++) {
        struct vim_HostCpuPackage *p = VIM_NEW(arena, HostCpuPackage);
        p->index = (int16_t)i;
        p->vendor = cpu_vendor(m);
        p->hz = (int64_t)m->cpu_hz;
        p->busHz = 100000000;
        p->description = m->cpu_model;
        for (unsigned t = 0; t < each; t++)
            VIM_ADD(arena, &p->threadId, (int16_t)(i * each + t));
        for (unsigned c = 0; c < m->cpuid_count; c++)
            VIM_ADD(arena, &p->cpuFeature, cpuid_info(arena, &m->cpuid[c]));
        VIM_ADD(arena, &h->cpuPkg, p);
    }
}

static struct vim_HostSystemInfo *system_info(struct arena *arena, const struct machine *m)
{
    struct vim_HostSystemInfo *s = VIM_NEW(arena, HostSystemInfo);
    struct vim_HostSystemIdentificationInfo *tag = VIM_NEW(arena, HostSystemIdentificationInfo);

    s->vendor = m->vendor;
    s->model = m->model;
    s->uuid = m->uuid;
    s->serialNumber = *m->serial ? m->serial : NULL;
    tag->identifierValue = *m->serial ? m->serial : "unknown";
    tag->identifierType = VIM_NEW(arena, ElementDescription);
    tag->identifierType->key = "ServiceTag";
    tag->identifierType->label = "Service tag";
    tag->identifierType->summary = "Service tag of the system";
    VIM_ADD(arena, &s->otherIdentifyingInfo, tag);
    return s;
}

static struct vim_HostNumaInfo *numa_info(struct arena *arena, const struct machine *m)
{
    struct memory_nodes nodes = memory_node_list(arena, NULL);
    struct vim_HostNumaInfo *info = VIM_NEW(arena, HostNumaInfo);

    info->type = "NUMA";
    info->numNodes = (int32_t)nodes.count;
    for (size_t i = 0; i < nodes.count; i++) {
        const struct memory_node *node = &nodes.items[i];
        struct vim_HostNumaNode *n = VIM_NEW(arena, HostNumaNode);
        uint64_t memory = node->memory ? node->memory : m->memory;
        n->typeId = (int8_t)node->number;
        for (unsigned c = 0; c < node->cpu_count; c++)
            VIM_ADD(arena, &n->cpuID, (int16_t)node->cpus[c]);
        n->memorySize = vim_long((int64_t)memory);
        n->memoryRangeLength = (int64_t)memory;
        VIM_ADD(arena, &info->numaNode, n);
    }
    return info;
}

/* Numbers where the list of names, which is not part of Linux, has none. */
static void add_pci_devices(struct arena *arena, struct vim_HostHardwareInfo *h)
{
    struct pci_functions list = pci_function_list(arena, NULL);

    pci_names_find(arena, &list, NULL);
    VIM_EMPTY(&h->pciDevice);
    for (size_t i = 0; i < list.count; i++) {
        const struct pci_function *f = &list.items[i];
        struct vim_HostPciDevice *d = VIM_NEW(arena, HostPciDevice);
        d->id = f->address;
        d->classId = (int16_t)(f->class >> 8);
        d->bus = (int8_t)f->bus;
        d->slot = (int8_t)f->slot;
        d->function = (int8_t)f->function;
        d->vendorId = (int16_t)f->vendor;
        d->deviceId = (int16_t)f->device;
        d->subVendorId = (int16_t)f->subvendor;
        d->subDeviceId = (int16_t)f->subdevice;
        d->vendorName = f->vendor_name ? f->vendor_name : arena_printf(arena, "%04x", f->vendor);
        d->deviceName = f->device_name ? f->device_name
                                       : arena_printf(arena, "%04x:%04x", f->vendor, f->device);
        VIM_ADD(arena, &h->pciDevice, d);
    }
}

static struct vim_HostHardwareInfo *hardware(struct call *call)
{
    const struct machine *m = machine_of(call);
    struct arena *arena = call->arena;
    struct vim_HostHardwareInfo *h = VIM_NEW(arena, HostHardwareInfo);

    h->systemInfo = system_info(arena, m);
    h->cpuInfo = VIM_NEW(arena, HostCpuInfo);
    h->cpuInfo->numCpuPackages = (int16_t)m->packages;
    h->cpuInfo->numCpuCores = (int16_t)m->cores;
    h->cpuInfo->numCpuThreads = (int16_t)m->threads;
    h->cpuInfo->hz = (int64_t)m->cpu_hz;
    add_packages(arena, m, h);
    h->memorySize = (int64_t)m->memory;
    h->numaInfo = numa_info(arena, m);
    add_pci_devices(arena, h);
    for (unsigned c = 0; c < m->cpuid_count; c++)
        VIM_ADD(arena, &h->cpuFeature, cpuid_info(arena, &m->cpuid[c]));
    h->biosInfo = VIM_NEW(arena, HostBIOSInfo);
    h->biosInfo->biosVersion = m->bios_version;
    h->biosInfo->vendor = m->bios_vendor;
    return h;
}

static struct vim_any get_hardware(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(hardware(call));
}

/* --- runtime and summary --- */

static struct vim_HostRuntimeInfo *runtime(struct call *call)
{
    struct vim_HostRuntimeInfo *r = VIM_NEW(call->arena, HostRuntimeInfo);

    r->connectionState = VIM_HostSystemConnectionState_connected;
    r->powerState = VIM_HostSystemPowerState_poweredOn;
    r->standbyMode = "none";
    r->inMaintenanceMode = maintenance_in(hostd_of(call));
    r->inQuarantineMode = vim_bool(false);
    r->bootTime = vim_time(machine_of(call)->boot_us);
    r->hostMaxVirtualDiskCapacity = vim_long(INT64_C(62) << 40);
    r->cryptoState = "incapable";
    r->healthSystemRuntime = host_health(call->arena);
    return r;
}

static struct vim_any get_runtime(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(runtime(call));
}

/* As measured last; a host that has just come up has measured nothing yet. */
static struct vim_HostListSummaryQuickStats *quick_stats(struct call *call)
{
    const struct machine *m = machine_of(call);
    const struct perf_series *perf = perf_find(hostd_of(call)->perf, "ha-host");
    struct vim_HostListSummaryQuickStats *q = VIM_NEW(call->arena, HostListSummaryQuickStats);

    q->overallCpuUsage = vim_int(perf ? perf_series_last(perf, PERF_cpu_usagemhz) : 0);
    q->overallMemoryUsage = vim_int(perf ? perf_series_last(perf, PERF_mem_consumed) >> 10
                                         : (int32_t)(machine_memory_used(m) >> 20));
    q->uptime = vim_int((int32_t)((clock_realtime(&clock_host) / 1000 - m->boot_us) / 1000000));
    return q;
}

static struct vim_HostHardwareSummary *hardware_summary(struct call *call)
{
    const struct machine *m = machine_of(call);
    struct vim_HostHardwareSummary *h = VIM_NEW(call->arena, HostHardwareSummary);

    h->vendor = m->vendor;
    h->model = m->model;
    h->uuid = m->uuid;
    h->memorySize = (int64_t)m->memory;
    h->cpuModel = m->cpu_model;
    h->cpuMhz = (int32_t)(m->cpu_hz / 1000000);
    h->numCpuPkgs = (int16_t)m->packages;
    h->numCpuCores = (int16_t)m->cores;
    h->numCpuThreads = (int16_t)m->threads;
    h->numNics = (int32_t)host_network_info(call)->pnic.count;
    return h;
}

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    struct vim_HostListSummary *s = VIM_NEW(call->arena, HostListSummary);
    char print[CERT_THUMBPRINT_MAX];

    s->host = mo_ref(mo);
    s->hardware = hardware_summary(call);
    s->runtime = runtime(call);
    s->config = VIM_NEW(call->arena, HostConfigSummary);
    s->config->name = ENTITY_OF(entity, mo)->name;
    s->config->port = PORT;
    s->config->product = about_info(call->arena);
    if (cert_thumbprint("SHA1", print) == 0)
        s->config->sslThumbprint = arena_strdup(call->arena, print);
    s->quickStats = quick_stats(call);
    s->overallStatus = VIM_ManagedEntityStatus_green;
    return vim_any_data(s);
}

/* --- configuration --- */

static struct vim_any get_capability(struct mo *mo, struct call *call)
{
    struct vim_HostCapability *c = VIM_NEW(call->arena, HostCapability);

    (void)mo;
    c->recursiveResourcePoolsSupported = true;
    c->cpuMemoryResourceConfigurationSupported = true;
    c->maxSupportedVMs = c->maxRunningVMs = c->maxRegisteredVMs = vim_int(VMS_MAX);
    c->maxHostRunningVms = vim_int(VMS_MAX);
    c->maxSupportedVcpus = c->maxHostSupportedVcpus = vim_int(VCPUS_MAX);
    c->highGuestMemSupported = true;
    c->maintenanceModeSupported = true;
    c->screenshotSupported = true;
    c->firewallIpRulesSupported = vim_bool(true);
    c->hostAccessManagerSupported = vim_bool(true);
    VIM_ADD(call->arena, &c->replayCompatibilityIssues, "");
    c->replayCompatibilityIssues.count = 0;
    return vim_any_data(c);
}

/* What other objects say of themselves stands in the host's configuration too. */
static const struct {
    const char *member, *object;
    uint16_t prop;
} parts[] = {
    {"storageDevice", "storageSystem", VIM_P_HostStorageSystem_storageDeviceInfo},
    {"fileSystemVolume", "storageSystem", VIM_P_HostStorageSystem_fileSystemVolumeInfo},
    {"datastoreCapabilities", "ha-datastoresystem", VIM_P_HostDatastoreSystem_capabilities},
    {"network", "networkSystem", VIM_P_HostNetworkSystem_networkInfo},
    {"capabilities", "networkSystem", VIM_P_HostNetworkSystem_capabilities},
    {"virtualNicManagerInfo", "ha-vnic-mgr", VIM_P_HostVirtualNicManager_info},
    {"service", "serviceSystem", VIM_P_HostServiceSystem_serviceInfo},
    {"firewall", "firewallSystem", VIM_P_HostFirewallSystem_firewallInfo},
    {"autoStart", "ha-autostart-mgr", VIM_P_HostAutoStartManager_config},
    {"option", "ha-adv-options", VIM_P_OptionManager_setting},
    {"optionDef", "ha-adv-options", VIM_P_OptionManager_supportedOption},
    {"dateTimeInfo", "dateTimeSystem", VIM_P_HostDateTimeSystem_dateTimeInfo},
    {"lockdownMode", "ha-host-access-manager", VIM_P_HostAccessManager_lockdownMode},
    {"powerSystemCapability", "ha-power-system", VIM_P_HostPowerSystem_capability},
    {"powerSystemInfo", "ha-power-system", VIM_P_HostPowerSystem_info},
    {"vsanHostConfig", "vsanSystem", VIM_P_HostVsanSystem_config},
    {"hyperThread", "cpuSchedulerSystem", VIM_P_HostCpuSchedulerSystem_hyperthreadInfo},
    {"pciPassthruInfo", "ha-pcipassthrusystem", VIM_P_HostPciPassthruSystem_pciPassthruInfo},
    {"authenticationManagerInfo", "ha-auth-manager", VIM_P_HostAuthenticationManager_info},
    {"graphicsInfo", "ha-graphics-manager", VIM_P_HostGraphicsManager_graphicsInfo},
    {"graphicsConfig", "ha-graphics-manager", VIM_P_HostGraphicsManager_graphicsConfig},
};

static void put_parts(struct call *call, struct vim_HostConfigInfo *config)
{
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        struct mo *object = mo_find(call->api->registry, parts[i].object);
        const struct vim_property *member =
            vim_type_property(VIM_TYPE(HostConfigInfo), parts[i].member, strlen(parts[i].member));
        struct vim_any value = mo_get(object, &vim_managed_props[parts[i].prop], call);
        (void)vim_put(&config->self, member, &value);
    }
}

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    const struct machine *m = machine_of(call);
    struct vim_HostConfigInfo *c = VIM_NEW(call->arena, HostConfigInfo);

    c->host = mo_ref(mo);
    c->product = about_info(call->arena);
    c->hyperThread = VIM_NEW(call->arena, HostHyperThreadScheduleInfo);
    c->hyperThread->available = c->hyperThread->active = c->hyperThread->config =
        m->threads > m->cores;
    c->virtualMachineReservation = VIM_NEW(call->arena, VirtualMachineMemoryReservationInfo);
    c->virtualMachineReservation->virtualMachineMax = (int64_t)m->memory;
    c->virtualMachineReservation->allocationPolicy = "swapSome";
    c->adminDisabled = vim_bool(false);
    put_parts(call, c);
    return vim_any_data(c);
}

static struct vim_any get_config_manager(struct mo *mo, struct call *call)
{
    struct vim_HostConfigManager *c = VIM_NEW(call->arena, HostConfigManager);

    (void)mo;
    c->datastoreSystem = VIM_REF(HostDatastoreSystem, "ha-datastoresystem");
    c->storageSystem = VIM_REF(HostStorageSystem, "storageSystem");
    c->networkSystem = VIM_REF(HostNetworkSystem, "networkSystem");
    c->advancedOption = VIM_REF(OptionManager, "ha-adv-options");
    c->autoStartManager = VIM_REF(HostAutoStartManager, "ha-autostart-mgr");
    c->licenseManager = VIM_REF(LicenseManager, "ha-license-manager");
    c->virtualNicManager = VIM_REF(HostVirtualNicManager, "ha-vnic-mgr");
    c->serviceSystem = VIM_REF(HostServiceSystem, "serviceSystem");
    c->firewallSystem = VIM_REF(HostFirewallSystem, "firewallSystem");
    c->dateTimeSystem = VIM_REF(HostDateTimeSystem, "dateTimeSystem");
    c->healthStatusSystem = VIM_REF(HostHealthStatusSystem, "healthStatusSystem");
    c->imageConfigManager = VIM_REF(HostImageConfigManager, "ha-image-config-manager");
    c->hostAccessManager = VIM_REF(HostAccessManager, "ha-host-access-manager");
    c->certificateManager = VIM_REF(HostCertificateManager, "ha-certificate-manager");
    c->powerSystem = VIM_REF(HostPowerSystem, "ha-power-system");
    c->vsanSystem = VIM_REF(HostVsanSystem, "vsanSystem");
    c->accountManager = VIM_REF(HostLocalAccountManager, "ha-localacctmgr");
    c->userDirectory = VIM_REF(UserDirectory, "ha-user-directory");
    c->cpuScheduler = VIM_REF(HostCpuSchedulerSystem, "cpuSchedulerSystem");
    c->memoryManager = VIM_REF(HostMemorySystem, "memoryManagerSystem");
    c->kernelModuleSystem = VIM_REF(HostKernelModuleSystem, "kernelModuleSystem");
    c->snmpSystem = VIM_REF(HostSnmpSystem, "ha-snmp-agent");
    c->authenticationManager = VIM_REF(HostAuthenticationManager, "ha-auth-manager");
    c->pciPassthruSystem = VIM_REF(HostPciPassthruSystem, "ha-pcipassthrusystem");
    c->graphicsManager = VIM_REF(HostGraphicsManager, "ha-graphics-manager");
    c->cacheConfigurationManager =
        VIM_REF(HostCacheConfigurationManager, "ha-cache-configuration-manager");
    c->vmotionSystem = VIM_REF(HostVMotionSystem, "ha-vmotion-system");
    c->diagnosticSystem = VIM_REF(HostDiagnosticSystem, "diagnosticsystem");
    c->bootDeviceSystem = VIM_REF(HostBootDeviceSystem, "ha-boot-device-system");
    c->iscsiManager = VIM_REF(IscsiManager, "iscsiManager");
    return vim_any_data(c);
}

static struct vim_any get_browser(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(HostDatastoreBrowser, "ha-host-datastorebrowser"));
}

static struct vim_ResourceAllocationInfo *all_of(struct arena *arena, int64_t amount)
{
    struct vim_ResourceAllocationInfo *a = VIM_NEW(arena, ResourceAllocationInfo);

    a->reservation = vim_long(amount);
    a->limit = vim_long(amount);
    a->expandableReservation = vim_bool(false);
    a->shares = VIM_NEW(arena, SharesInfo);
    a->shares->shares = 1000;
    a->shares->level = VIM_SharesLevel_normal;
    return a;
}

static struct vim_any get_system_resources(struct mo *mo, struct call *call)
{
    const struct machine *m = machine_of(call);
    struct vim_HostSystemResourceInfo *s = VIM_NEW(call->arena, HostSystemResourceInfo);

    (void)mo;
    s->key = "host";
    s->config = VIM_NEW(call->arena, ResourceConfigSpec);
    s->config->cpuAllocation = all_of(call->arena, (int64_t)(m->cpu_hz / 1000000 * m->cores));
    s->config->memoryAllocation = all_of(call->arena, (int64_t)(m->memory >> 20));
    return vim_any_data(s);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostSystem, summary, get_summary),
    MO_PROPERTY(HostSystem, hardware, get_hardware),
    MO_PROPERTY(HostSystem, runtime, get_runtime),
    MO_PROPERTY(HostSystem, capability, get_capability),
    MO_PROPERTY(HostSystem, config, get_config),
    MO_PROPERTY(HostSystem, configManager, get_config_manager),
    MO_PROPERTY(HostSystem, vm, inventory_get_vms),
    MO_PROPERTY(HostSystem, datastore, inventory_get_datastores),
    MO_PROPERTY(HostSystem, network, inventory_get_networks),
    MO_PROPERTY(HostSystem, datastoreBrowser, get_browser),
    MO_PROPERTY(HostSystem, systemResources, get_system_resources),
};
static void retrieve_uptime(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(
        call,
        vim_any_long((clock_realtime(&clock_host) / 1000 - machine_of(call)->boot_us) / 1000000));
}

static const struct mo_method methods[] = {
    MO_METHOD(RetrieveHardwareUptime, retrieve_uptime),
    MO_METHOD(EnterMaintenanceMode_Task, host_enter_maintenance),
    MO_METHOD(ExitMaintenanceMode_Task, host_exit_maintenance),
    MO_METHOD(QueryHostConnectionInfo, host_query_connection),
    MO_METHOD(RebootHost_Task, host_refuse_power),
    MO_METHOD(ShutdownHost_Task, host_refuse_power),
    MO_METHOD(RetrieveManagedMethodExecuter, host_retrieve_executer),
    MO_METHOD(RetrieveDynamicTypeManager, host_retrieve_type_manager),
};
const struct mo_class host_system_class = {
    .type = VIM_MANAGED(HostSystem),
    .base = &entity_class,
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
