/* SPDX-License-Identifier: Apache-2.0 */
/* HostDatastoreSystem. In hosted mode a datastore is a folder below datastores/ of the host's
 * folder, or a link there to a folder elsewhere, as on another disk, that belongs to the same user.
 * A datastore goes without its files: a link just goes, a folder of ours only when it is empty. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/task.h"
#include "hostd/up/rootdir.h"

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

/* --- making one --- */

static bool check_name(struct call *call, const char *name)
{
    if (!entity_check_name(call, &hostd_of(call)->inventory->datastore_folder.e, NULL, name))
        return false;
    if (*name != '.' && !strpbrk(name, "/[]") && strlen(name) <= DSPATH_NAME_MAX)
        return true;
    struct vim_InvalidName *fault = VIM_NEW(call->arena, InvalidName);
    fault->name = name;
    call_fault(call, &fault->self);
    return false;
}

/* "" or the place where it would be anyway: a new folder. Else one that is there and ours. */
static int make_place(const char *name, const char *path, const char *place)
{
    char usual[128];
    struct stat st;

    (void)snprintf(usual, sizeof usual, "/vmfs/volumes/%s", name);
    if (!*path || !strcmp(path, usual))
        return mkdir(place, 0755) < 0 ? -errno : 0;
    if (*path != '/' || stat(path, &st) < 0)
        return -ENOENT;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    if (st.st_uid != geteuid() || access(path, R_OK | W_OK | X_OK) < 0)
        return -EACCES;
    return symlink(path, place) < 0 ? -errno : 0;
}

static void drop_place(const char *place)
{
    if (unlink(place) < 0)
        (void)rmdir(place);
}

static void create_local(struct mo *mo, struct call *call)
{
    const struct vim_CreateLocalDatastore_args *args = call->args;
    struct inventory *inventory = hostd_of(call)->inventory;
    struct datastore *datastore;
    struct err err = ERR_INIT;
    char place[128];

    if (!check_name(call, args->name))
        return;
    (void)snprintf(place, sizeof place, ROOTDIR_DATASTORES "/%.80s", args->name);
    int rc = make_place(args->name, args->path, place);
    if (rc < 0) {
        call_fault(call, fault_from_errno(call->arena, rc, args->path));
        return;
    }
    rc = datastore_add(inventory, args->name, NULL, &datastore);
    if (rc == 0)
        rc = inventory_save(inventory, &err);
    if (rc < 0) {
        drop_place(place);
        CALL_FAULT_TEXT(call, HostConfigFault, "%s", err.code ? err.text : strerror(-rc));
        return;
    }
    mo_changed(mo, VIM_P_HostDatastoreSystem_datastore);
    mo_changed(&inventory->host.mo, VIM_P_HostSystem_datastore);
    mo_changed(&inventory->datastore_folder.e.mo, VIM_P_Folder_childEntity);
    call_return(call, mo_value(&datastore->e.mo));
}

/* --- removing one --- */

static bool is_used(struct inventory *inventory, struct datastore *datastore)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_on_datastore(vm_of(&e->mo), &datastore->e.mo))
            return true;
    return false;
}

/* A link goes, whatever is there; a folder of ours only when nothing but its mark is in it. */
static int remove_place(const struct datastore *datastore, const char *place)
{
    DIR *dir = unlink(place) == 0 ? NULL : opendir(place);
    bool empty = true;

    if (!dir)
        return access(place, F_OK) < 0 ? 0 : -errno;
    for (struct dirent *e; (e = readdir(dir));)
        empty &= !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
                 !strcmp(e->d_name, DATASTORE_MARK);
    (void)closedir(dir);
    if (!empty)
        return -ENOTEMPTY;
    (void)unlinkat(datastore->fd, DATASTORE_MARK, 0);
    return rmdir(place) < 0 ? -errno : 0;
}

static void remove_it(struct call *call, struct datastore *datastore)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct err err = ERR_INIT;
    char place[128];

    (void)snprintf(place, sizeof place, ROOTDIR_DATASTORES "/%.80s", datastore->e.name);
    if (is_used(inventory, datastore) || remove_place(datastore, place) < 0) {
        struct vim_ResourceInUse *fault = VIM_NEW(call->arena, ResourceInUse);
        fault->type = "Datastore";
        fault->name = arena_strdup(call->arena, datastore->e.name);
        call_fault(call, &fault->self);
        return;
    }
    task_forget_entity(hostd_of(call), &datastore->e);
    entity_remove(&datastore->e);
    datastore_free(datastore);
    mo_changed(&inventory->host.mo, VIM_P_HostSystem_datastore);
    mo_changed(&inventory->datastore_folder.e.mo, VIM_P_Folder_childEntity);
    if (inventory_save(inventory, &err) < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
}

static void remove_datastore(struct mo *mo, struct call *call)
{
    const struct vim_RemoveDatastore_args *args = call->args;
    struct mo *datastore = call_resolve_as(call, args->datastore, VIM_MANAGED(Datastore));

    if (!datastore)
        return;
    remove_it(call, ENTITY_OF(datastore, datastore));
    mo_changed(mo, VIM_P_HostDatastoreSystem_datastore);
}

void datastore_destroy(struct mo *mo, struct call *call)
{
    remove_it(call, ENTITY_OF(datastore, mo));
}

static void no_volumes(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostUnresolvedVmfsVolume *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostUnresolvedVmfsVolume, &list));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostDatastoreSystem, datastore, inventory_get_datastores),
    MO_PROPERTY(HostDatastoreSystem, capabilities, get_capabilities),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryAvailableDisksForVmfs, query_disks),
    MO_METHOD(QueryUnresolvedVmfsVolumes, no_volumes),
    MO_METHOD(CreateLocalDatastore, create_local),
    MO_METHOD(RemoveDatastore, remove_datastore),
};
const struct mo_class host_datastore_system_class = {
    .type = VIM_MANAGED(HostDatastoreSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
