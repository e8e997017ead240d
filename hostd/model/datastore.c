/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/datastore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore_watch.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/task.h"
#include "hostd/up/rootdir.h"

#define FILE_SIZE_MAX (INT64_C(64) << 40)

/* --- names --- */

struct datastore *datastore_find(struct inventory *inventory, const char *name)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        if (!strcmp(e->name, name) || !strcmp(e->id, name))
            return (struct datastore *)(void *)e;
    return NULL;
}

struct datastore *datastore_resolve(struct inventory *inventory, const char *text,
                                    struct dspath *ret_path)
{
    if (dspath_parse(text, ret_path) < 0 && dspath_parse_vmfs(text, ret_path) < 0)
        return NULL;
    return datastore_find(inventory, ret_path->datastore);
}

bool datastore_may(struct call *call, struct datastore *datastore, const char *text,
                   const char *priv)
{
    if (datastore && entity_visible(call, &datastore->e.mo))
        return call_authorize(call, &datastore->e.mo, priv) == 0;
    struct vim_InvalidDatastorePath *fault = VIM_NEW(call->arena, InvalidDatastorePath);
    fault->datastorePath = text;
    call_fault(call, &fault->self);
    return false;
}

void datastore_real_path(const struct datastore *datastore, const char *rel, char *text,
                         size_t size)
{
    (void)snprintf(text, size, ROOTDIR_DATASTORES "/%s%s%s", datastore->e.name, *rel ? "/" : "",
                   rel);
}

void datastore_mount_path(const struct datastore *datastore, char *text, size_t size)
{
    (void)snprintf(text, size, "/vmfs/volumes/%s", datastore->e.id);
}

/* --- properties --- */

struct space {
    int64_t capacity, free;
};

static struct space space_of(const struct datastore *datastore)
{
    struct statvfs fs;

    if (datastore->lost || fstatvfs(datastore->fd, &fs) < 0)
        return (struct space){0};
    return (struct space){(int64_t)(fs.f_blocks * fs.f_frsize),
                          (int64_t)(fs.f_bavail * fs.f_frsize)};
}

const char *datastore_url(struct arena *arena, const struct datastore *datastore)
{
    char path[128];

    datastore_mount_path(datastore, path, sizeof path);
    return arena_printf(arena, "ds://%s/", path);
}

uint64_t datastore_capacity(const struct datastore *datastore)
{
    return (uint64_t)space_of(datastore).capacity;
}

static int64_t uncommitted(const struct datastore *datastore)
{
    struct inventory *inventory = datastore->e.hostd->inventory;
    int64_t sum = 0;

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        const struct virtual_machine *vm = ENTITY_OF(virtual_machine, &e->mo);
        if (vm->datastore == datastore)
            sum += vm_uncommitted(vm);
    }
    return sum;
}

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    struct datastore *datastore = ENTITY_OF(datastore, mo);
    struct vim_DatastoreSummary *s = VIM_NEW(call->arena, DatastoreSummary);
    struct space space = space_of(datastore);

    s->datastore = mo_ref(mo);
    s->name = arena_strdup(call->arena, datastore->e.name);
    s->url = datastore_url(call->arena, datastore);
    s->capacity = space.capacity;
    s->freeSpace = space.free;
    s->uncommitted = vim_long(uncommitted(datastore));
    s->accessible = space.capacity > 0;
    s->multipleHostAccess = vim_bool(false);
    s->type = "OTHER";
    s->maintenanceMode = "normal";
    return vim_any_data(s);
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct datastore *datastore = ENTITY_OF(datastore, mo);
    struct vim_LocalDatastoreInfo *info = VIM_NEW(call->arena, LocalDatastoreInfo);
    char path[128];

    datastore_mount_path(datastore, path, sizeof path);
    info->name = arena_strdup(call->arena, datastore->e.name);
    info->url = datastore_url(call->arena, datastore);
    info->path = arena_strdup(call->arena, path);
    info->freeSpace = space_of(datastore).free;
    info->maxFileSize = FILE_SIZE_MAX;
    info->maxVirtualDiskCapacity = vim_long(FILE_SIZE_MAX);
    info->maxMemoryFileSize = FILE_SIZE_MAX;
    info->timestamp = vim_time(clock_realtime(&clock_host) / 1000);
    return vim_any_data(info);
}

static struct vim_any get_hosts(struct mo *mo, struct call *call)
{
    struct datastore *datastore = ENTITY_OF(datastore, mo);
    struct vim_DatastoreHostMount *mount = VIM_NEW(call->arena, DatastoreHostMount);
    VIM_LIST(struct vim_DatastoreHostMount *) list = {0};
    char path[128];

    datastore_mount_path(datastore, path, sizeof path);
    mount->key = VIM_REF(HostSystem, "ha-host");
    mount->mountInfo = VIM_NEW(call->arena, HostMountInfo);
    mount->mountInfo->path = arena_strdup(call->arena, path);
    mount->mountInfo->accessMode = datastore->readonly ? "readOnly" : "readWrite";
    mount->mountInfo->mounted = vim_bool(true);
    mount->mountInfo->accessible = vim_bool(space_of(datastore).capacity > 0);
    VIM_ADD(call->arena, &list, mount);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_DatastoreHostMount, &list);
}

static struct vim_any get_vms(struct mo *mo, struct call *call)
{
    return vm_refs(call, vm_on_datastore, mo);
}

static struct vim_any get_browser(struct mo *mo, struct call *call)
{
    (void)call;
    return mo_value(&ENTITY_OF(datastore, mo)->browser->mo);
}

static struct vim_any get_capability(struct mo *mo, struct call *call)
{
    struct vim_DatastoreCapability *c = VIM_NEW(call->arena, DatastoreCapability);

    (void)mo;
    c->directoryHierarchySupported = true;
    c->perFileThinProvisioningSupported = true;
    c->topLevelDirectoryCreateSupported = vim_bool(true);
    return vim_any_data(c);
}

/* Capacity and free space are read each time; what watches them is told to look. */
static void refresh(struct mo *mo, struct call *call)
{
    datastore_watch_now(hostd_of(call));
    mo_changed(mo, VIM_P_Datastore_summary);
    mo_changed(mo, VIM_P_Datastore_info);
}

static void rename_datastore(struct call *call, struct datastore *datastore, const char *name)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct err err = ERR_INIT;
    char from[PATH_MAX], to[PATH_MAX], before[ENTITY_NAME_MAX + 1];

    if (!entity_check_name(call, datastore->e.parent, &datastore->e, name))
        return;
    if (strpbrk(name, "/[]") || *name == '.') {
        call_fault_argument(call, "newName");
        return;
    }
    datastore_real_path(datastore, "", from, sizeof from);
    (void)snprintf(before, sizeof before, "%s", datastore->e.name);
    (void)snprintf(datastore->e.name, sizeof datastore->e.name, "%s", name);
    datastore_real_path(datastore, "", to, sizeof to);
    int rc = rename(from, to) < 0 ? -errno : inventory_save(inventory, &err);
    if (rc < 0) {
        (void)rename(to, from);
        (void)snprintf(datastore->e.name, sizeof datastore->e.name, "%s", before);
        CALL_FAULT_TEXT(call, SystemError, "%s", err.code ? err.text : strerror(-rc));
        return;
    }
    mo_changed(&datastore->e.mo, VIM_P_ManagedEntity_name);
    mo_changed(&datastore->e.mo, VIM_P_Datastore_summary);
}

static void invoke_rename(struct mo *mo, struct call *call)
{
    const struct vim_RenameDatastore_args *args = call->args;

    rename_datastore(call, ENTITY_OF(datastore, mo), args->newName);
}

static void invoke_rename_task(struct mo *mo, struct call *call)
{
    const struct vim_Rename_Task_args *args = call->args;

    if (call_authorize(call, mo, "Datastore.Rename"))
        return;
    rename_datastore(call, ENTITY_OF(datastore, mo), args->newName);
    struct task *task = call->fault ? NULL : task_start(call, ENTITY_OF(entity, mo));
    if (task)
        task_succeed(task, vim_any_none());
}

static const struct mo_property properties[] = {
    MO_PROPERTY(Datastore, summary, get_summary),
    MO_PROPERTY(Datastore, info, get_info),
    MO_PROPERTY(Datastore, host, get_hosts),
    MO_PROPERTY(Datastore, vm, get_vms),
    MO_PROPERTY(Datastore, browser, get_browser),
    MO_PROPERTY(Datastore, capability, get_capability),
};
static const struct mo_method methods[] = {
    MO_METHOD(RefreshDatastore, refresh),           MO_METHOD(RefreshDatastoreStorageInfo, refresh),
    MO_METHOD(RenameDatastore, invoke_rename),      MO_METHOD(Rename_Task, invoke_rename_task),
    MO_METHOD(DestroyDatastore, datastore_destroy),
};
static const struct mo_class datastore_class = {
    .type = VIM_MANAGED(Datastore),
    .base = &entity_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

/* --- life --- */

/* As a volume's uuid on ESXi looks. */
static int make_id(char id[ENTITY_ID_MAX])
{
    uint8_t b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        return -errno;
    (void)snprintf(id, ENTITY_ID_MAX,
                   "%02x%02x%02x%02x-%02x%02x%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return 0;
}

static json_t *find_known(json_t *known, const char *name)
{
    json_t *item;
    size_t i;

    json_array_foreach(known, i, item)
    {
        const char *called = json_string_value(json_object_get(item, "name"));
        if (called && !strcmp(called, name))
            return item;
    }
    return NULL;
}

static int known_id(json_t *item, char id[ENTITY_ID_MAX])
{
    const char *found = json_string_value(json_object_get(item, "id"));

    if (!found || strlen(found) >= ENTITY_ID_MAX)
        return make_id(id);
    (void)snprintf(id, ENTITY_ID_MAX, "%s", found);
    return 0;
}

void datastore_read_mark(int folder_fd, char id[ENTITY_ID_MAX])
{
    cleanup_fd int fd =
        openat(folder_fd, DATASTORE_MARK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, id, ENTITY_ID_MAX - 1);

    id[MAX(n, 0)] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

static bool write_mark(int folder_fd, const char *id)
{
    return file_replace(folder_fd, DATASTORE_MARK, 0600, id, strlen(id), NULL) == 0;
}

/* Whether the folder is the datastore that it was. One that never had a mark gets it now. */
static void check_mark(struct datastore *datastore, const struct hostd *hostd, const char *id)
{
    char mark[ENTITY_ID_MAX];

    datastore_read_mark(datastore->fd, mark);
    if (datastore->marked && strcmp(mark, id)) {
        datastore->lost = true;
        (void)close_fd(datastore->fd);
        datastore->fd = datastore_nowhere(hostd);
    } else if (!datastore->marked) {
        datastore->marked = !strcmp(mark, id) || write_mark(datastore->fd, id);
    }
}

static int add_browser(struct inventory *inventory, struct datastore *datastore)
{
    datastore->browser = calloc(1, sizeof *datastore->browser);
    if (!datastore->browser)
        return -ENOMEM;
    (void)snprintf(datastore->browser_id, sizeof datastore->browser_id, "%s-datastorebrowser",
                   datastore->e.id);
    datastore->browser->mo.class = &datastore_browser_class;
    datastore->browser->mo.id = datastore->browser_id;
    return mo_add(inventory->hostd->api.registry, NULL, &datastore->browser->mo);
}

void datastore_free(struct datastore *datastore)
{
    if (datastore->browser)
        mo_remove(&datastore->browser->mo);
    free(datastore->browser);
    mo_remove(&datastore->e.mo);
    (void)close_fd(datastore->fd);
    free(datastore);
}

int datastore_add(struct inventory *inventory, const char *name, json_t *known,
                  struct datastore **ret_datastore)
{
    struct datastore *datastore = calloc(1, sizeof *datastore);
    json_t *item = find_known(known, name);
    char id[ENTITY_ID_MAX], path[PATH_MAX];

    if (!datastore)
        return -ENOMEM;
    datastore->marked = json_is_true(json_object_get(item, "marked"));
    (void)snprintf(path, sizeof path, ROOTDIR_DATASTORES "/%.80s", name);
    datastore->fd = openat(inventory->hostd->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (datastore->fd < 0 && item) {
        datastore->lost = true; /* its VMs stay */
        datastore->fd = datastore_nowhere(inventory->hostd);
    }
    int rc = datastore->fd < 0 ? -errno : known_id(item, id);
    if (rc == 0 && !datastore->lost)
        check_mark(datastore, inventory->hostd, id);
    if (rc == 0)
        rc = entity_add(inventory->hostd, &datastore->e, &datastore_class, id, name,
                        &inventory->datastore_folder.e);
    if (rc == 0)
        rc = add_browser(inventory, datastore);
    if (rc < 0)
        datastore_free(datastore);
    else
        *ret_datastore = datastore;
    return rc;
}

/* Those that were there once and have no name now. */
static int add_missing(struct inventory *inventory, json_t *known)
{
    struct datastore *datastore;
    json_t *item;
    size_t i;

    json_array_foreach(known, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (!name || strlen(name) > DSPATH_NAME_MAX || datastore_find(inventory, name))
            continue;
        int rc = datastore_add(inventory, name, known, &datastore);
        if (rc < 0)
            return rc;
        log_warn("datastore \"%s\" is not there", name);
    }
    return 0;
}

int datastores_scan(struct inventory *inventory, json_t *known, struct err *err)
{
    DIR *dir = opendir(ROOTDIR_DATASTORES);
    struct datastore *datastore;
    int rc = 0;

    if (!dir)
        return err_sys(err, -errno, "cannot read \"%s\"", ROOTDIR_DATASTORES);
    for (struct dirent *e; rc != -ENOMEM && (e = readdir(dir));)
        if (e->d_name[0] != '.' && strlen(e->d_name) <= DSPATH_NAME_MAX &&
            !strpbrk(e->d_name, "[]") &&
            (rc = datastore_add(inventory, e->d_name, known, &datastore)) < 0)
            log_warn("datastore \"%s\" is left out: %s", e->d_name, strerror(-rc));
    (void)closedir(dir);
    if (rc != -ENOMEM)
        rc = add_missing(inventory, known);
    return rc == -ENOMEM ? err_sys(err, rc, "datastores") : 0;
}

void datastores_destroy(struct inventory *inventory)
{
    struct entity *e;

    while ((e = inventory_next(inventory, VIM_MANAGED(Datastore), NULL)))
        datastore_free((struct datastore *)(void *)e);
}
