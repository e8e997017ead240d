/* SPDX-License-Identifier: Apache-2.0 */
/* HostDatastoreBrowser: looking for files, on a worker thread. The result is bounded: entries of a
 * folder, folders, depth. What kind of file it is, its name says; of a disk the size is looked up
 * in its descriptor only if the client asks for it (disk/disk.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "config/vmxfile.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"
#include "hostd/model/file_place.h"
#include "hostd/task/task.h"
#include "hostd/task/worker.h"

enum { FOLDERS_MAX = 4096, ENTRIES_MAX = 65536, DEPTH_MAX = 32 };

/* A search under way: everything in it is its own. */
struct search {
    struct task *task;
    int dir_fd;
    char datastore[DSPATH_NAME_MAX + 1], rel[DSPATH_MAX], path[DSPATH_MAX + DSPATH_NAME_MAX + 4];
    struct vim_ref datastore_ref;
    bool deep;
    struct arena arena;
    struct vim_HostDatastoreBrowserSearchSpec *spec; /* may be NULL */
    VIM_LIST(struct vim_HostDatastoreBrowserSearchResults *) results;
    unsigned entries;
    int rc;
};

static void search_free(struct search *s)
{
    (void)close_fd(s->dir_fd);
    arena_free(&s->arena);
    free(s);
}

/* --- kinds of files --- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && !strcasecmp(name + n - m, suffix);
}

static bool is_extent(const char *name)
{
    return ends_with(name, "-flat.vmdk") || ends_with(name, "-delta.vmdk") ||
           ends_with(name, "-sesparse.vmdk") || ends_with(name, "-ctk.vmdk");
}

static const struct vim_type *kind_of(const char *name, const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return VIM_TYPE(FolderFileInfo);
    if (ends_with(name, ".vmdk"))
        return VIM_TYPE(VmDiskFileInfo);
    if (ends_with(name, ".vmx"))
        return VIM_TYPE(VmConfigFileInfo);
    if (ends_with(name, ".iso"))
        return VIM_TYPE(IsoImageFileInfo);
    if (ends_with(name, ".flp"))
        return VIM_TYPE(FloppyImageFileInfo);
    if (ends_with(name, ".log"))
        return VIM_TYPE(VmLogFileInfo);
    if (ends_with(name, ".nvram"))
        return VIM_TYPE(VmNvramFileInfo);
    if (ends_with(name, ".vmsn"))
        return VIM_TYPE(VmSnapshotFileInfo);
    return VIM_TYPE(FileInfo);
}

/* "VmDiskFileQuery" asks for "VmDiskFileInfo", FileQuery for all. */
static const struct vim_FileQuery *query_for(const struct search *s, const struct vim_type *kind)
{
    for (size_t i = 0; s->spec && i < s->spec->query.count; i++) {
        const struct vim_FileQuery *query = s->spec->query.items[i];
        const char *name = query->self.type->name;
        size_t stem = strlen(name) - strlen("Query");
        if (query->self.type == VIM_TYPE(FileQuery) ||
            (!strncmp(kind->name, name, stem) && !strcmp(kind->name + stem, "Info")))
            return query;
    }
    return NULL;
}

static bool wanted(const struct search *s, const char *name, const struct vim_type *kind)
{
    int flags = s->spec && s->spec->searchCaseInsensitive.set && !s->spec->searchCaseInsensitive.v
                    ? 0
                    : FNM_CASEFOLD;
    bool any = !s->spec || !s->spec->matchPattern.count;

    if (s->spec && s->spec->query.count && !query_for(s, kind))
        return false;
    if (kind == VIM_TYPE(VmDiskFileInfo) && is_extent(name))
        return false;
    for (size_t i = 0; !any && i < s->spec->matchPattern.count; i++)
        any = fnmatch(s->spec->matchPattern.items[i], name, flags) == 0;
    return any;
}

static void add_disk_details(struct search *s, struct vim_VmDiskFileInfo *info, const char *rel)
{
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct file_place place = {.fd = s->dir_fd};

    (void)snprintf(place.rel, sizeof place.rel, "%.1000s", rel);
    if (placed_disk_open(&p, &place, DISK_READONLY | DISK_NOLOCK, NULL) == 0) {
        struct disk_info now;
        disk_get_info(p.disk, &now);
        info->capacityKb = vim_long((int64_t)(now.size >> 10));
        info->fileSize = vim_long((int64_t)now.room);
        info->thin = vim_bool(now.thin);
        info->diskType =
            now.grain ? "VirtualDiskSparseVer2BackingInfo" : "VirtualDiskFlatVer2BackingInfo";
        info->controllerType =
            !strcmp(now.adapter, "ide") ? "VirtualIDEController" : "VirtualLsiLogicController";
        info->hardwareVersion = vim_int(8);
        VIM_ADD(&s->arena, &info->diskExtents,
                (const char *)arena_printf(&s->arena, "[%s] %s", s->datastore, rel));
    }
}

/* The one thing of a .vmx that is asked for: the hardware's version. */
static void add_config_details(struct search *s, struct vim_VmConfigFileInfo *info, const char *rel)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_buf struct buf text = {0};
    unsigned version = 0;
    char path[40];
    struct stat st;
    cleanup_fd int fd = dspath_open(s->dir_fd, rel, O_RDONLY | O_NONBLOCK, 0);

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        file_load(AT_FDCWD, path, VMXFILE_SIZE_MAX, &text, NULL) < 0 ||
        vmxfile_parse(rel, text.data, text.len, &vmx, NULL) < 0)
        return;
    if (vmxfile_get_unsigned(vmx, "virtualHW.version", 1, 99, &version, NULL) == 0 && version)
        info->configVersion = vim_int((int32_t)version);
}

static struct vim_FileInfo *describe(struct search *s, const char *name, const char *rel,
                                     const struct stat *st, const struct vim_type *kind)
{
    const struct vim_FileQueryFlags *details = s->spec ? s->spec->details : NULL;
    bool typed = (s->spec && s->spec->query.count) || (details && details->fileType);
    struct vim_FileInfo *info = vim_new(&s->arena, typed ? kind : VIM_TYPE(FileInfo));
    const struct vim_VmDiskFileQuery *query =
        VIM_AS(VmDiskFileQuery, (struct vim_FileQuery *)(uintptr_t)query_for(s, kind));

    info->path = arena_strdup(&s->arena, name);
    if (S_ISDIR(st->st_mode))
        info->friendlyName = info->path;
    if (details && details->fileSize)
        info->fileSize = vim_long(st->st_size);
    if (details && details->modification)
        info->modification = vim_time((int64_t)st->st_mtim.tv_sec * 1000000);
    if (details && details->fileOwner)
        info->owner = "root";
    if (typed && kind == VIM_TYPE(VmDiskFileInfo) && query && query->details)
        add_disk_details(s, (struct vim_VmDiskFileInfo *)(void *)info, rel);
    const struct vim_VmConfigFileQuery *config =
        VIM_AS(VmConfigFileQuery, (struct vim_FileQuery *)(uintptr_t)query_for(s, kind));
    if (typed && kind == VIM_TYPE(VmConfigFileInfo) && config && config->details)
        add_config_details(s, (struct vim_VmConfigFileInfo *)(void *)info, rel);
    return info;
}

/* --- walking --- */

static void search_folder(struct search *s, const char *rel, unsigned depth);

static void search_entry(struct search *s, DIR *dir, const char *folder, const char *name,
                         struct vim_HostDatastoreBrowserSearchResults *result, unsigned depth)
{
    char rel[2 * DSPATH_MAX];
    struct stat st;

    if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode) ||
        snprintf(rel, sizeof rel, "%s%s%s", folder, *folder ? "/" : "", name) >= DSPATH_MAX)
        return;
    const struct vim_type *kind = kind_of(name, &st);
    if (wanted(s, name, kind) && s->entries++ < ENTRIES_MAX)
        VIM_ADD(&s->arena, &result->file, describe(s, name, rel, &st, kind));
    if (s->deep && S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
        search_folder(s, rel, depth + 1);
}

static void search_folder(struct search *s, const char *rel, unsigned depth)
{
    struct vim_HostDatastoreBrowserSearchResults *result =
        VIM_NEW(&s->arena, HostDatastoreBrowserSearchResults);
    int fd = dspath_open(s->dir_fd, rel, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        s->rc = depth ? s->rc : fd < 0 ? fd : -errno;
        (void)close_fd(fd);
        return;
    }
    result->datastore = s->datastore_ref;
    result->folderPath = arena_printf(&s->arena, "[%s] %s%s", s->datastore, rel, *rel ? "/" : "");
    if (s->results.count < FOLDERS_MAX)
        VIM_ADD(&s->arena, &s->results, result);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            search_entry(s, dir, rel, e->d_name, result, depth);
    (void)closedir(dir);
}

static void work(void *arg)
{
    struct search *s = arg;

    search_folder(s, s->rel, 0);
}

static void done(void *arg)
{
    struct search *s = arg;

    if (s->rc < 0)
        task_fail_errno(s->task, s->rc, NULL, s->path);
    else if (s->deep)
        task_succeed(s->task,
                     VIM_ANY_LIST(VIM_DATA, VIM_T_HostDatastoreBrowserSearchResults, &s->results));
    else
        task_succeed(s->task, vim_any_data(s->results.items[0]));
    search_free(s);
}

/* --- the managed object --- */

static void start(struct mo *mo, struct call *call, const char *text,
                  struct vim_HostDatastoreBrowserSearchSpec *spec, bool deep)
{
    struct hostd *hostd = hostd_of(call);
    struct vim_any spec_value = vim_any_data(spec);
    struct dspath path;
    struct datastore *datastore = datastore_resolve(hostd->inventory, text, &path);

    (void)mo;
    if (!datastore_may(call, datastore, text, "Datastore.Browse"))
        return;
    struct search *s = calloc(1, sizeof *s);
    if (!s || !(s->task = task_start(call, &hostd->inventory->host))) {
        free(s);
        return;
    }
    s->dir_fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3);
    s->deep = deep;
    s->datastore_ref =
        (struct vim_ref){VIM_MANAGED(Datastore), arena_strdup(&s->arena, datastore->e.id)};
    (void)snprintf(s->datastore, sizeof s->datastore, "%s", datastore->e.name);
    (void)snprintf(s->rel, sizeof s->rel, "%s", path.rel);
    dspath_format(s->datastore, s->rel, s->path, sizeof s->path);
    if (spec)
        s->spec =
            (struct vim_HostDatastoreBrowserSearchSpec *)(void *)vim_copy(&s->arena, &spec_value)
                .data;
    if (worker_post(hostd->worker, work, done, s) < 0) {
        task_fail_errno(s->task, -ENOMEM, NULL, NULL);
        search_free(s);
    }
}

static void search_datastore(struct mo *mo, struct call *call)
{
    const struct vim_SearchDatastore_Task_args *args = call->args;

    start(mo, call, args->datastorePath, args->searchSpec, false);
}

static void search_sub_folders(struct mo *mo, struct call *call)
{
    const struct vim_SearchDatastoreSubFolders_Task_args *args = call->args;

    start(mo, call, args->datastorePath, args->searchSpec, true);
}

static struct vim_any get_datastores(struct mo *mo, struct call *call)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    VIM_LIST(struct vim_ref) list = {0};

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        if (&ENTITY_OF(datastore, &e->mo)->browser->mo == mo ||
            !strcmp(mo->id, "ha-host-datastorebrowser"))
            VIM_ADD(call->arena, &list, mo_ref(&e->mo));
    return VIM_ANY_LIST(VIM_REF, VIM_M_Datastore, &list);
}

static struct vim_any get_supported(struct mo *mo, struct call *call)
{
    static const uint16_t kinds[] = {VIM_T_FolderFileQuery, VIM_T_VmDiskFileQuery,
                                     VIM_T_VmConfigFileQuery, VIM_T_IsoImageFileQuery,
                                     VIM_T_VmLogFileQuery};
    VIM_LIST(struct vim_FileQuery *) list = {0};

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        VIM_ADD(call->arena, &list,
                (struct vim_FileQuery *)vim_new(call->arena, &vim_types[kinds[i]]));
    return VIM_ANY_LIST(VIM_DATA, VIM_T_FileQuery, &list);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostDatastoreBrowser, datastore, get_datastores),
    MO_PROPERTY(HostDatastoreBrowser, supportedType, get_supported),
};
static const struct mo_method methods[] = {
    MO_METHOD(SearchDatastore_Task, search_datastore),
    MO_METHOD(SearchDatastoreSubFolders_Task, search_sub_folders),
};
const struct mo_class datastore_browser_class = {
    .type = VIM_MANAGED(HostDatastoreBrowser),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
