/* SPDX-License-Identifier: Apache-2.0 */
/* HostStorageSystem. In hosted mode datastores are folders: devices are not ours to touch. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"

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
