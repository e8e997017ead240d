/* SPDX-License-Identifier: Apache-2.0 */
/* RelocateVM_Task on the one host that there is, of a VM that is off: its folder to another
 * datastore, each of its disks where a locator wants it and of the kind that it says; or only into
 * another pool, at any time.
 *
 * A folder goes as a whole where all that is in it goes along: by a new name within a file system,
 * else as a copy. Where disks part from it (they stay, go elsewhere or become of another kind), its
 * other files are copied and those disks converted. Disks that are not in the folder go where the
 * folder goes, as vCenter does it, unless another VM has them as well.
 *
 * What makes it true is one rename: the inventory's file where the folder moves, else the .vmx.
 * What was made before goes if that does not come, what was there before goes afterwards; both are
 * in records meanwhile (datastore/unfinished.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/event/event.h"
#include "hostd/model/file_place.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/vm/file_holder.h"
#include "hostd/vm/vm_event.h"
#include "hostd/vm/vm_identity.h"
#include "hostd/vm/vm_parting.h"

enum { FILES_MAX = 4096, DEPTH_MAX = 64 };

struct moving {
    struct haul haul;
    struct virtual_machine *vm;
    struct resource_pool *pool; /* NULL: stays */
    struct datastore *datastore;
    bool home;                   /* the folder moves */
    struct file_place from, to;  /* folders; `to` only if it does */
    char vmx[DSPATH_MAX];        /* its name in them */
    char prefix[2][DSPATH_MAX];  /* how the .vmx may name the old folder */
    bool copied;                 /* the old folder is still there */
    struct unfinished record[2]; /* of the folder that it is going to, and of the old one */
    struct partings partings;
    /* Names in the old folder: of parting disks, and what was copied; owned. */
    char **own, **along;
    unsigned own_count, along_count;
};

static struct moving *moving_of(struct haul *haul)
{
    return container_of(haul, struct moving, haul);
}

static void names_free(char **names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void moving_free(struct moving *m)
{
    partings_free(&m->partings);
    file_place_free(&m->from);
    file_place_free(&m->to);
    names_free(m->own, m->own_count);
    names_free(m->along, m->along_count);
    free(m);
}

/* --- on a thread: the folder as a whole --- */

static int rename_folder(const struct file_place *old, const struct file_place *new)
{
    const char *from, *to;
    cleanup_fd int from_dir = dspath_open_parent(old->fd, old->rel, &from);
    cleanup_fd int to_dir = dspath_open_parent(new->fd, new->rel, &to);

    if (from_dir < 0 || to_dir < 0)
        return MIN(from_dir, to_dir);
    return renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

/* Names of files in the old folder become names beside the .vmx. */
static int rename_files(const struct moving *m, struct vmxfile *vmx)
{
    const char *key;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && (key = vmxfile_next_key(vmx, &at)))
        for (unsigned i = 0; i < ARRAY_SIZE(m->prefix); i++) {
            const char *value = vmxfile_get(vmx, key);
            size_t len = strlen(m->prefix[i]);
            char name[VMXFILE_KEY_MAX + 1];
            if (strncmp(value, m->prefix[i], len) != 0 || rc < 0)
                continue;
            cleanup_free char *rest = strdup(value + len);
            (void)snprintf(name, sizeof name, "%s", key);
            rc = rest ? vmxfile_set(vmx, name, rest) : -ENOMEM;
        }
    return rc;
}

/* Where the .vmx is to be in the end: there it is already, as it was. */
static int rewrite(struct moving *m)
{
    const struct file_place *home = m->home ? &m->to : &m->from;
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    char path[2 * DSPATH_MAX + 40], rel[2 * DSPATH_MAX];

    (void)snprintf(rel, sizeof rel, "%s%s%s", home->rel, *home->rel ? "/" : "", m->vmx);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", home->fd, rel);
    int rc = vmxfile_load(path, &vmx, &m->haul.err);
    if (rc < 0)
        return rc;
    rc = m->home ? rename_files(m, vmx) : 0;
    rc = rc < 0 ? rc : partings_rename(&m->partings, vmx);
    if (rc == 0 && m->home) /* nobody has to ask: it was moved */
        rc = vm_identity_set(vmx, m->datastore, rel);
    return rc < 0 ? err_sys(&m->haul.err, rc, "the configuration")
                  : vmxfile_save(vmx, path, &m->haul.err);
}

/* Where the VM is, is said by the inventory's file alone: until it says the new folder, whoever is
 * killed, the old one is the VM's, and the other one goes. */
static int go_by_name(struct moving *m)
{
    int rc = unfinished_begin_move(&m->record[0], UNFINISHED_MOVE, m->from.datastore, m->from.rel,
                                   m->to.datastore, m->to.rel);

    if (rc == 0)
        rc = rename_folder(&m->from, &m->to);
    if (rc < 0)
        unfinished_end(&m->record[0]);
    return rc;
}

static int go_by_copy(struct moving *m)
{
    struct unfinished growing;
    char beside[DSPATH_MAX];

    file_tree_beside(m->to.rel, beside);
    int rc = unfinished_begin(&growing, UNFINISHED_FILE, m->to.datastore, beside, 0);
    if (rc == 0)
        rc = unfinished_begin(&m->record[0], UNFINISHED_HOME, m->to.datastore, m->to.rel, 0);
    if (rc == 0)
        rc = unfinished_begin(&m->record[1], UNFINISHED_HOME, m->from.datastore, m->from.rel, 0);
    if (rc == 0)
        rc = file_tree_copy(m->from.fd, m->from.rel, m->to.fd, m->to.rel, beside, false,
                            haul_progress, &m->haul);
    unfinished_end(&growing);
    return rc;
}

static int go_whole(struct moving *m)
{
    int rc = go_by_name(m);

    m->copied = rc == -EXDEV;
    if (m->copied)
        rc = go_by_copy(m);
    if (rc < 0)
        return rc;
    rc = rewrite(m);
    if (rc < 0 && m->copied)
        (void)dspath_remove(m->to.fd, m->to.rel);
    else if (rc < 0)
        (void)rename_folder(&m->to, &m->from);
    return rc;
}

/* --- on a thread: disks that part --- */

static int add_name(char ***names, unsigned *count, const char *name)
{
    if (!*names)
        *names = calloc(FILES_MAX, sizeof **names);
    if (!*names || *count == FILES_MAX || !((*names)[*count] = strdup(name)))
        return -ENOMEM;
    (*count)++;
    return 0;
}

static bool has_name(char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static void note_own(void *ctx, const char *name)
{
    struct moving *m = ctx;

    if (add_name(&m->own, &m->own_count, name) < 0)
        m->haul.rc = -ENOMEM;
}

static int read_own(struct moving *m)
{
    m->haul.rc = 0;
    int rc = partings_each_file(&m->partings, note_own, m, &m->haul.err);

    return rc < 0 ? rc : m->haul.rc;
}

static int copy_entry(struct moving *m, const char *name)
{
    char from[2 * DSPATH_MAX], to[2 * DSPATH_MAX], beside[DSPATH_MAX];

    (void)snprintf(from, sizeof from, "%s/%s", m->from.rel, name);
    (void)snprintf(to, sizeof to, "%s/%s", m->to.rel, name);
    if (strlen(from) >= DSPATH_MAX || strlen(to) >= DSPATH_MAX)
        return -ENAMETOOLONG;
    file_tree_beside(to, beside);
    return file_tree_copy(m->from.fd, from, m->to.fd, to, beside, false, haul_progress, &m->haul);
}

static int each_entry(struct moving *m, DIR *dir)
{
    const struct dirent *entry;
    int rc = 0;

    while (rc == 0 && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || has_name(m->own, m->own_count, name))
            continue;
        rc = add_name(&m->along, &m->along_count, name);
        rc = rc < 0 ? rc : copy_entry(m, name);
    }
    return rc;
}

/* The folder without the disks that part from it. */
static int copy_rest(struct moving *m)
{
    const char *last;
    int rc = unfinished_begin(&m->record[0], UNFINISHED_HOME, m->to.datastore, m->to.rel, 0);

    if (rc == 0 && !partings_leave_some(&m->partings))
        rc = unfinished_begin(&m->record[1], UNFINISHED_HOME, m->from.datastore, m->from.rel, 0);
    cleanup_fd int parent = rc < 0 ? rc : dspath_open_parent(m->to.fd, m->to.rel, &last);

    if (parent < 0)
        return parent;
    if (mkdirat(parent, last, 0755) < 0)
        return -errno;
    m->copied = true;
    int fd = dspath_open(m->from.fd, m->from.rel, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return fd < 0 ? fd : -errno;
    rc = each_entry(m, dir);
    (void)closedir(dir);
    return rc;
}

static int run(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    int rc;

    if (!m->partings.count)
        return go_whole(m);
    rc = m->home ? read_own(m) : 0;
    rc = rc < 0 || !m->home ? rc : copy_rest(m);
    rc = rc < 0 ? rc : partings_go(&m->partings, haul);
    rc = rc < 0 ? rc : rewrite(m);
    if (rc < 0)
        partings_undo(&m->partings);
    if (rc < 0 && m->copied)
        (void)dspath_remove(m->to.fd, m->to.rel);
    return rc;
}

/* Takes away what is there as well; what somebody has put in since stays. */
static void remove_copied(int from, const char *old, int to, const char *new, unsigned depth)
{
    cleanup_fd int from_dir = dspath_open(from, old, O_RDONLY | O_DIRECTORY, 0);
    cleanup_fd int to_dir = dspath_open(to, new, O_RDONLY | O_DIRECTORY, 0);
    int list = from_dir >= 0 && to_dir >= 0 ? dup(from_dir) : -1;
    DIR *dir = list >= 0 ? fdopendir(list) : NULL;
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        struct stat was, is;
        if (!strcmp(name, ".") || !strcmp(name, "..") ||
            fstatat(from_dir, name, &was, AT_SYMLINK_NOFOLLOW) < 0 ||
            fstatat(to_dir, name, &is, AT_SYMLINK_NOFOLLOW) < 0 ||
            (was.st_mode & S_IFMT) != (is.st_mode & S_IFMT))
            continue;
        if (S_ISDIR(was.st_mode) && depth) {
            remove_copied(from_dir, name, to_dir, name, depth - 1);
            (void)unlinkat(from_dir, name, AT_REMOVEDIR); /* if nothing is left in it */
        } else if (S_ISREG(was.st_mode)) {
            (void)unlinkat(from_dir, name, 0);
        }
    }
    if (dir)
        (void)closedir(dir);
}

static void remove_old_folder(const struct moving *m)
{
    const char *last;
    cleanup_fd int parent = dspath_open_parent(m->from.fd, m->from.rel, &last);

    remove_copied(m->from.fd, m->from.rel, m->to.fd, m->to.rel, DEPTH_MAX);
    if (parent >= 0)
        (void)unlinkat(parent, last, AT_REMOVEDIR);
}

/* It is true now: what was before goes. */
static int run_tidy(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    bool part = partings_leave_some(&m->partings);

    partings_remove_old(&m->partings);
    for (unsigned i = 0; part && i < m->along_count; i++) {
        char rel[2 * DSPATH_MAX];
        (void)snprintf(rel, sizeof rel, "%s/%s", m->from.rel, m->along[i]);
        (void)dspath_remove(m->from.fd, rel);
    }
    if (m->copied && !part)
        remove_old_folder(m);
    return 0;
}

/* --- on the loop's --- */

static void end(struct haul *haul)
{
    struct moving *m = moving_of(haul);

    partings_end(&m->partings);
    for (unsigned i = 0; i < ARRAY_SIZE(m->record); i++)
        unfinished_end(&m->record[i]);
    vm_end(m->vm);
    haul_end(haul, vim_any_none(), m->home ? m->to.text : m->from.text);
    moving_free(m);
}

static void tell(struct moving *m)
{
    static const unsigned props[] = {VIM_P_VirtualMachine_config, VIM_P_VirtualMachine_summary,
                                     VIM_P_VirtualMachine_datastore, VIM_P_VirtualMachine_layoutEx,
                                     VIM_P_VirtualMachine_storage};
    struct virtual_machine *vm = m->vm;

    vm_reload(vm);
    vm_snapshots_refresh(vm);
    for (unsigned i = 0; i < ARRAY_SIZE(props); i++)
        mo_changed(&vm->e.mo, props[i]);
    vm_event_reconfigured(vm, m->haul.task->user, "Relocated %s to %s", vm->e.name,
                          m->home ? m->to.text : m->from.text);
}

static void done(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    struct virtual_machine *vm = m->vm;

    if (haul->rc < 0) {
        end(haul);
        return;
    }
    if (m->pool)
        vm_set_pool(vm, m->pool);
    if (m->home) {
        vm->datastore = m->datastore;
        (void)snprintf(vm->rel, sizeof vm->rel, "%.800s/%.200s", m->to.rel, m->vmx);
    }
    tell(m);
    haul->rc = m->home || m->pool ? inventory_save(haul->hostd->inventory, &haul->err) : 0;
    if (haul->rc < 0) {
        end(haul); /* both stay: which of them counts is not known */
        return;
    }
    haul->run = run_tidy;
    haul->done = end;
    haul->tidies = true;
    haul_start(haul);
}

/* --- what is asked for --- */

/* A folder that is this VM's alone, with all that is in it and below. */
static bool own_folder(struct call *call, struct virtual_machine *vm, char folder[DSPATH_MAX])
{
    vm_folder(vm, folder);
    const struct virtual_machine *other = *folder ? folder_holder(vm, vm->datastore, folder) : NULL;
    if (other)
        CALL_FAULT_TEXT(call, NotSupported,
                        "The virtual machine \"%s\" is in its folder, or has a file there.",
                        other->e.name);
    else if (!*folder)
        CALL_FAULT(call, NotSupported);
    return *folder && !other;
}

/* The same name there, or NAME_1 ... */
static void choose_folder(struct moving *m, const char *folder)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    char rel[DSPATH_MAX];
    struct stat st;

    (void)snprintf(rel, sizeof rel, "%s", name);
    for (unsigned n = 1; dspath_stat(m->datastore->fd, rel, &st) != -ENOENT && n < 1000; n++)
        (void)snprintf(rel, sizeof rel, "%.900s_%u", name, n);
    file_place_set(&m->to, m->datastore, rel);
}

/* Where everything is, and will be. Without a folder that is the VM's alone its files can not be
 * told from others'. */
static bool prepare(struct call *call, struct moving *m,
                    const struct vim_VirtualMachineRelocateSpec *spec)
{
    struct virtual_machine *vm = m->vm;
    char folder[DSPATH_MAX];

    if (!vm->vmx) {
        CALL_FAULT_TEXT(call, InvalidVmConfig, "%s", vm->trouble.text);
        return false;
    }
    vm_folder(vm, folder);
    if (m->home && !own_folder(call, vm, folder))
        return false;
    if (m->home && call_authorize(call, &m->datastore->e.mo, "Datastore.AllocateSpace"))
        return false;
    const char *slash = strrchr(vm->rel, '/');
    (void)snprintf(m->vmx, sizeof m->vmx, "%s", slash ? slash + 1 : vm->rel);
    file_place_set(&m->from, vm->datastore, folder);
    if (m->home)
        choose_folder(m, folder);
    (void)snprintf(m->prefix[0], DSPATH_MAX, "/vmfs/volumes/%s/%.800s/", vm->datastore->e.id,
                   folder);
    (void)snprintf(m->prefix[1], DSPATH_MAX, "/vmfs/volumes/%s/%.800s/", vm->datastore->e.name,
                   folder);
    m->partings.vm = vm;
    m->partings.from = &m->from;
    m->partings.to = m->home ? &m->to : NULL;
    m->partings.datastore = m->datastore;
    m->partings.vmx = m->vmx;
    return partings_find(call, &m->partings, spec);
}

static void move_pool(struct call *call, struct virtual_machine *vm, struct resource_pool *pool)
{
    struct task *task;
    struct err err = ERR_INIT;

    if (!vm_begin(call, vm, &task))
        return;
    vm_end(vm);
    if (pool)
        vm_set_pool(vm, pool);
    int rc = inventory_save(hostd_of(call)->inventory, &err);
    if (rc < 0)
        task_fail_errno(task, rc, &err, NULL);
    else
        task_succeed(task, vim_any_none());
}

static bool choose_pool(struct call *call, struct vim_ref ref, struct resource_pool **ret_pool)
{
    *ret_pool = NULL;
    if (!ref.id)
        return true;
    struct mo *mo = call_resolve_as(call, ref, VIM_MANAGED(ResourcePool));
    if (!mo || call_authorize(call, mo, "Resource.AssignVMToPool"))
        return false;
    *ret_pool = ENTITY_OF(resource_pool, mo);
    return true;
}

static struct moving *moving_new(struct call *call, struct virtual_machine *vm)
{
    struct moving *m = calloc(1, sizeof *m);

    if (!m) {
        CALL_FAULT(call, SystemError);
        return NULL;
    }
    m->vm = vm;
    m->from.fd = m->to.fd = -1;
    m->haul.hostd = hostd_of(call);
    m->haul.run = run;
    m->haul.done = done;
    return m;
}

void vm_relocate(struct mo *mo, struct call *call)
{
    const struct vim_RelocateVM_Task_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    struct datastore *datastore = vm_choose_datastore(call, vm, args->spec);
    struct resource_pool *pool;

    if (!datastore || !choose_pool(call, args->spec->pool, &pool))
        return;
    if (args->spec->deviceChange.count) {
        CALL_FAULT(call, NotSupported);
        return;
    }
    struct moving *m = moving_new(call, vm);
    if (!m)
        return;
    m->pool = pool;
    m->datastore = datastore;
    m->home = datastore != vm->datastore;
    if (!prepare(call, m, args->spec)) {
        moving_free(m);
    } else if (!m->home && !m->partings.count) {
        moving_free(m);
        move_pool(call, vm, pool);
    } else if (!vm_begin(call, vm, &m->haul.task) ||
               !vm_require_power(m->haul.task, vm, VIM_VirtualMachinePowerState_poweredOff)) {
        moving_free(m);
    } else {
        haul_start(&m->haul);
    }
}
