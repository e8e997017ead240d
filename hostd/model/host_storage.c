/* SPDX-License-Identifier: Apache-2.0 */
/* HostStorageSystem. In hosted mode datastores are folders: the machine's disks are shown, and not
 * ours to touch. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/host/hardware.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"

/* --- disks of the machine: all behind one adapter, each by one path --- */

#define ADAPTER "key-vim.host.BlockHba-vmhba0"

static struct vim_HostScsiDisk *describe(struct arena *arena, const struct machine_disk *from)
{
    struct vim_HostScsiDisk *d = VIM_NEW(arena, HostScsiDisk);

    d->key = arena_printf(arena, "key-vim.host.ScsiDisk-%s", from->name);
    d->canonicalName = from->name;
    d->uuid = *from->serial ? from->serial : from->name;
    d->deviceName = d->devicePath = arena_printf(arena, "/dev/%s", from->name);
    d->deviceType = d->lunType = "disk";
    d->vendor = from->vendor;
    d->model = *from->model ? from->model : from->name;
    d->displayName = arena_printf(arena, "Local Disk (%s)", from->name);
    d->serialNumber = *from->serial ? from->serial : "unavailable";
    d->capabilities = VIM_NEW(arena, ScsiLunCapabilities);
    VIM_ADD(arena, &d->operationalState, "ok");
    d->capacity = VIM_NEW(arena, HostDiskDimensionsLba);
    d->capacity->blockSize = (int32_t)from->block;
    d->capacity->block = (int64_t)(from->size / from->block);
    d->ssd = vim_bool(!from->rotates);
    d->localDisk = vim_bool(true);
    return d;
}

static void add_path(struct arena *arena, struct vim_HostStorageDeviceInfo *s,
                     const struct vim_HostScsiDisk *disk, int target)
{
    struct vim_HostMultipathInfoLogicalUnit *unit = VIM_NEW(arena, HostMultipathInfoLogicalUnit);
    struct vim_HostMultipathInfoPath *path = VIM_NEW(arena, HostMultipathInfoPath);
    struct vim_HostScsiTopologyTarget *t = VIM_NEW(arena, HostScsiTopologyTarget);
    struct vim_HostScsiTopologyLun *lun = VIM_NEW(arena, HostScsiTopologyLun);

    unit->key = arena_printf(arena, "key-vim.host.MultipathInfo.LogicalUnit-%s", disk->uuid);
    unit->id = disk->uuid;
    unit->lun = disk->key;
    unit->policy = VIM_NEW(arena, HostMultipathInfoLogicalUnitPolicy);
    unit->policy->policy = "VMW_PSP_FIXED";
    path->name = arena_printf(arena, "vmhba0:C0:T%d:L0", target);
    path->key = arena_printf(arena, "key-vim.host.MultipathInfo.Path-%s", path->name);
    path->pathState = path->state = "active";
    path->isWorkingPath = vim_bool(true);
    path->adapter = ADAPTER;
    path->lun = unit->key;
    VIM_ADD(arena, &unit->path, path);
    VIM_ADD(arena, &s->multipathInfo->lun, unit);
    t->key = arena_printf(arena, "key-vim.host.ScsiTopology.Target-vmhba0:0:%d", target);
    t->target = target;
    lun->key = arena_printf(arena, "key-vim.host.ScsiTopology.Lun-%s", disk->uuid);
    lun->scsiLun = disk->key;
    VIM_ADD(arena, &t->lun, lun);
    VIM_ADD(arena, &s->scsiTopology->adapter.items[0]->target, t);
}

static void add_adapter(struct arena *arena, struct vim_HostStorageDeviceInfo *s)
{
    struct vim_HostBlockHba *hba = VIM_NEW(arena, HostBlockHba);
    struct vim_HostScsiTopologyInterface *interface = VIM_NEW(arena, HostScsiTopologyInterface);

    hba->key = interface->adapter = ADAPTER;
    hba->device = "vmhba0";
    hba->status = "online";
    hba->model = "Disks of the machine";
    hba->driver = "linux";
    interface->key = "key-vim.host.ScsiTopology.Interface-vmhba0";
    VIM_ADD(arena, &s->hostBusAdapter, (struct vim_HostHostBusAdapter *)(void *)hba);
    VIM_ADD(arena, &s->scsiTopology->adapter, interface);
}

static struct vim_any get_device_info(struct mo *mo, struct call *call)
{
    struct vim_HostStorageDeviceInfo *s = VIM_NEW(call->arena, HostStorageDeviceInfo);
    struct machine_disks disks = machine_disk_list(call->arena, NULL);

    (void)mo;
    VIM_EMPTY(&s->scsiLun);
    s->scsiTopology = VIM_NEW(call->arena, HostScsiTopology);
    s->multipathInfo = VIM_NEW(call->arena, HostMultipathInfo);
    VIM_EMPTY(&s->multipathInfo->lun);
    if (disks.count)
        add_adapter(call->arena, s);
    for (size_t i = 0; i < disks.count; i++) {
        struct vim_HostScsiDisk *disk = describe(call->arena, &disks.items[i]);
        VIM_ADD(call->arena, &s->scsiLun, (struct vim_ScsiLun *)(void *)disk);
        add_path(call->arena, s, disk, (int)i);
    }
    return vim_any_data(s);
}

/* Partitions are the machine's: a disk is told as one without any. */
static void retrieve_partitions(struct mo *mo, struct call *call)
{
    const struct vim_RetrieveDiskPartitionInfo_args *args = call->args;
    struct machine_disks disks = machine_disk_list(call->arena, NULL);
    VIM_LIST(struct vim_HostDiskPartitionInfo *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    for (size_t i = 0; i < args->devicePath.count; i++)
        for (size_t j = 0; j < disks.count; j++) {
            const struct vim_HostScsiDisk *disk = describe(call->arena, &disks.items[j]);
            if (strcmp(args->devicePath.items[i], disk->devicePath) != 0)
                continue;
            struct vim_HostDiskPartitionInfo *info = VIM_NEW(call->arena, HostDiskPartitionInfo);
            info->deviceName = disk->deviceName;
            info->layout = VIM_NEW(call->arena, HostDiskPartitionLayout);
            info->layout->total = disk->capacity;
            VIM_EMPTY(&info->layout->partition);
            info->spec = VIM_NEW(call->arena, HostDiskPartitionSpec);
            info->spec->partitionFormat = "unknown";
            info->spec->totalSectors = vim_long(disk->capacity->block);
            VIM_ADD(call->arena, &list, info);
        }
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostDiskPartitionInfo, &list));
}

static void no_volumes(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostUnresolvedVmfsVolume *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostUnresolvedVmfsVolume, &list));
}

static struct vim_HostFileSystemMountInfo *mount_info(struct arena *arena,
                                                      const struct datastore *datastore)
{
    struct vim_HostFileSystemMountInfo *m = VIM_NEW(arena, HostFileSystemMountInfo);
    struct vim_HostLocalFileSystemVolume *volume = VIM_NEW(arena, HostLocalFileSystemVolume);
    char path[128];

    datastore_mount_path(datastore, path, sizeof path);
    volume->type = "OTHER";
    volume->name = arena_strdup(arena, datastore->e.name);
    volume->capacity = (int64_t)datastore_capacity(datastore);
    volume->device = arena_strdup(arena, path);
    m->volume = (struct vim_HostFileSystemVolume *)(void *)volume;
    m->mountInfo = VIM_NEW(arena, HostMountInfo);
    m->mountInfo->path = volume->device;
    m->mountInfo->accessMode = "readWrite";
    m->mountInfo->mounted = m->mountInfo->accessible = vim_bool(volume->capacity > 0);
    m->vStorageSupport = "vStorageUnsupported";
    return m;
}

static struct vim_any get_volume_info(struct mo *mo, struct call *call)
{
    struct vim_HostFileSystemVolumeInfo *v = VIM_NEW(call->arena, HostFileSystemVolumeInfo);

    (void)mo;
    VIM_ADD(call->arena, &v->volumeTypeList, "OTHER");
    VIM_EMPTY(&v->mountInfo);
    struct inventory *inventory = hostd_of(call)->inventory;
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        if (entity_visible(call, &e->mo))
            VIM_ADD(call->arena, &v->mountInfo,
                    mount_info(call->arena, ENTITY_OF(datastore, &e->mo)));
    return vim_any_data(v);
}

/* Nothing is cached that a look could make new, but for what datastores say. */
static void rescan(struct mo *mo, struct call *call)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    (void)mo;
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));) {
        mo_changed(&e->mo, VIM_P_Datastore_summary);
        mo_changed(&e->mo, VIM_P_Datastore_info);
    }
}

static void rescan_one(struct mo *mo, struct call *call)
{
    const struct vim_RescanHba_args *args = call->args;

    if (strcmp(args->hbaDevice, "vmhba0") != 0)
        CALL_FAULT(call, NotFound);
    else
        rescan(mo, call);
}

/* Each disk has one path, so there is nothing to choose from. */
static struct vim_ElementDescription *describe_policy(struct arena *arena, const char *key,
                                                      const char *label)
{
    struct vim_ElementDescription *d = VIM_NEW(arena, ElementDescription);

    d->key = key;
    d->label = d->summary = label;
    return d;
}

static void query_path_policies(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostPathSelectionPolicyOption *) list = {0};
    struct vim_HostPathSelectionPolicyOption *fixed =
        VIM_NEW(call->arena, HostPathSelectionPolicyOption);

    (void)mo;
    fixed->policy = describe_policy(call->arena, "VMW_PSP_FIXED", "Fixed");
    VIM_ADD(call->arena, &list, fixed);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostPathSelectionPolicyOption, &list));
}

static void query_array_policies(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostStorageArrayTypePolicyOption *) list = {0};
    struct vim_HostStorageArrayTypePolicyOption *local =
        VIM_NEW(call->arena, HostStorageArrayTypePolicyOption);

    (void)mo;
    local->policy = describe_policy(call->arena, "VMW_SATP_LOCAL", "Local disks");
    VIM_ADD(call->arena, &list, local);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostStorageArrayTypePolicyOption, &list));
}

static void query_ssds(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostScsiDisk *) none = {0}; /* for a flash cache, which there is not */

    (void)mo;
    VIM_EMPTY(&none);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostScsiDisk, &none));
}

static const struct mo_property storage_properties[] = {
    MO_PROPERTY(HostStorageSystem, storageDeviceInfo, get_device_info),
    MO_PROPERTY(HostStorageSystem, fileSystemVolumeInfo, get_volume_info),
};
static const struct mo_method storage_methods[] = {
    MO_METHOD(RescanAllHba, rescan),
    MO_METHOD(RescanHba, rescan_one),
    MO_METHOD(RetrieveDiskPartitionInfo, retrieve_partitions),
    MO_METHOD(QueryUnresolvedVmfsVolume, no_volumes),
    MO_METHOD(QueryPathSelectionPolicyOptions, query_path_policies),
    MO_METHOD(QueryStorageArrayTypePolicyOptions, query_array_policies),
    MO_METHOD(QueryAvailableSsds, query_ssds),
    MO_METHOD(RescanVmfs, rescan),
    MO_METHOD(RefreshStorageSystem, rescan),
};
const struct mo_class host_storage_system_class = {
    .type = VIM_MANAGED(HostStorageSystem),
    .props = storage_properties,
    .methods = storage_methods,
    .prop_count = ARRAY_SIZE(storage_properties),
    .method_count = ARRAY_SIZE(storage_methods),
};
