/* SPDX-License-Identifier: Apache-2.0 */
/* HostDatastoreSystem and HostStorageSystem. In hosted mode datastores are folders: devices
 * are not ours to touch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"

static struct vim_any get_capabilities(struct mo *mo, struct call *call)
{
    struct vim_HostDatastoreSystemCapabilities *c =
        VIM_NEW(call->arena, HostDatastoreSystemCapabilities);

    (void)mo;
    c->localDatastoreSupported = true;
    return vim_any_data(c);
}

/* No devices for VMFS. */
static void query_disks(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostScsiDisk *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostScsiDisk, &list));
}

static const struct mo_property datastore_properties[] = {
    MO_PROPERTY(HostDatastoreSystem, datastore, inventory_get_datastores),
    MO_PROPERTY(HostDatastoreSystem, capabilities, get_capabilities),
};
static const struct mo_method datastore_methods[] = {
    MO_METHOD(QueryAvailableDisksForVmfs, query_disks),
};
const struct mo_class host_datastore_system_class = {
    .type = VIM_MANAGED(HostDatastoreSystem),
    .props = datastore_properties,
    .methods = datastore_methods,
    .prop_count = ARRAY_SIZE(datastore_properties),
    .method_count = ARRAY_SIZE(datastore_methods),
};

/* --- HostStorageSystem --- */

static struct vim_any get_device_info(struct mo *mo, struct call *call)
{
    struct vim_HostStorageDeviceInfo *s = VIM_NEW(call->arena, HostStorageDeviceInfo);

    (void)mo;
    VIM_EMPTY(&s->scsiLun);
    return vim_any_data(s);
}

static struct vim_any get_volume_info(struct mo *mo, struct call *call)
{
    struct vim_HostFileSystemVolumeInfo *v = VIM_NEW(call->arena, HostFileSystemVolumeInfo);

    (void)mo;
    VIM_ADD(call->arena, &v->volumeTypeList, "OTHER");
    VIM_EMPTY(&v->mountInfo);
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

static const struct mo_property storage_properties[] = {
    MO_PROPERTY(HostStorageSystem, storageDeviceInfo, get_device_info),
    MO_PROPERTY(HostStorageSystem, fileSystemVolumeInfo, get_volume_info),
};
static const struct mo_method storage_methods[] = {
    MO_METHOD(RescanAllHba, rescan),
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
