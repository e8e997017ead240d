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
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/event/event.h"
#include "hostd/model/file_place.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/vm/vm_clone.h"
#include "hostd/vm/vm_event.h"
#include "hostd/vm/vm_identity.h"
#include "hostd/vm/vm_plan.h"

enum { FILES_MAX = 4096 };

/* A disk that does not simply go along with the folder. */
struct parting {
    char slot[16];
    struct file_place from, to;
    struct disk_wish wish;
    char name[DSPATH_MAX + 128]; /* as the .vmx will name it */
    bool stays;                  /* only the folder goes */
    bool in_folder;              /* it is in the VM's folder now */
    bool keep_old;               /* another VM has it, too */
    unsigned folders;            /* made for it */
    struct unfinished made, gone;
};

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
    struct parting disk[VM_DISKS_MAX];
    unsigned disk_count;
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
    for (unsigned i = 0; i < m->disk_count; i++) {
        file_place_free(&m->disk[i].from);
        file_place_free(&m->disk[i].to);
    }
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

static int rename_disks(const struct moving *m, struct vmxfile *vmx)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < m->disk_count; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "%s.fileName", m->disk[i].slot);
        rc = vmxfile_set(vmx, key, m->disk[i].name);
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
    rc = rc < 0 ? rc : rename_disks(m, vmx);
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
    for (unsigned i = 0; i < m->disk_count; i++) {
        cleanup_placed struct placed_disk p = {.dir.fd = -1};
        if (!m->disk[i].in_folder)
            continue;
        int rc = placed_disk_open(&p, &m->disk[i].from, DISK_READONLY, &m->haul.err);
        if (rc < 0)
            return rc;
        disk_each_file(p.disk, true, note_own, m);
    }
    return m->haul.rc;
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

/* Does a disk stay in the old folder? */
static bool leaves_some(const struct moving *m)
{
    for (unsigned i = 0; i < m->disk_count; i++)
        if (m->disk[i].in_folder && (m->disk[i].stays || m->disk[i].keep_old))
            return true;
    return false;
}

/* The folder without the disks that part from it. */
static int copy_rest(struct moving *m)
{
    const char *last;
    int rc = unfinished_begin(&m->record[0], UNFINISHED_HOME, m->to.datastore, m->to.rel, 0);

    if (rc == 0 && !leaves_some(m))
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

static int convert(struct moving *m, struct parting *d)
{
    cleanup_placed struct placed_disk from = {.dir.fd = -1}, to = {.dir.fd = -1};
    struct disk_spec spec = {.format = DISK_VMDK_FLAT, .provision = d->wish.provision};
    struct disk_info info;
    struct err *err = &m->haul.err;
    int rc = placed_disk_open(&from, &d->from, DISK_READONLY, err);

    if (rc == 0 && (rc = dspath_make_parents(d->to.fd, d->to.rel)) < 0)
        (void)err_sys(err, rc, "the folder of %s", d->to.text);
    if (rc == 0)
        rc = placed_disk_prepare(&to, &d->to, err);
    if (rc < 0)
        return rc;
    disk_get_info(from.disk, &info);
    if (d->wish.as_source)
        spec.provision = info.thin ? DISK_THIN : DISK_LAZY;
    rc = disk_convert(from.disk, &to.dir.host, to.name, &spec, from.aio, haul_progress, &m->haul,
                      err);
    if (rc == 0 && *info.uuid) /* it is the same disk, elsewhere */
        rc = disk_set_uuid(&to.dir.host, to.name, info.uuid, to.aio, err);
    return rc;
}

static void remove_disk(const struct file_place *place, bool ancestors)
{
    cleanup_placed struct placed_disk p = {.dir.fd = -1};

    if (placed_disk_prepare(&p, place, NULL) == 0)
        (void)disk_remove(&p.dir.host, p.name, ancestors, p.aio, NULL);
}

static int go_apart(struct moving *m)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < m->disk_count; i++) {
        struct parting *d = &m->disk[i];
        if (d->stays)
            continue;
        haul_part(&m->haul, (int)(i * 100 / m->disk_count), (int)((i + 1) * 100 / m->disk_count));
        d->folders = unfinished_folders(d->to.fd, d->to.rel);
        rc = file_place_begin_disk(&d->to, &d->made, &m->haul.err);
        if (rc == 0 && !d->keep_old)
            rc = unfinished_begin(&d->gone, UNFINISHED_DISK, d->from.datastore, d->from.rel, 0);
        rc = rc < 0 ? rc : convert(m, d);
    }
    return rc;
}

static void undo_apart(struct moving *m)
{
    for (unsigned i = 0; i < m->disk_count; i++) {
        const struct parting *d = &m->disk[i];
        if (!*d->made.name)
            continue;
        remove_disk(&d->to, false);
        unfinished_remove_folders(d->to.fd, d->to.rel, d->folders);
    }
}

static int run(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    int rc;

    if (!m->disk_count)
        return go_whole(m);
    rc = m->home ? read_own(m) : 0;
    rc = rc < 0 || !m->home ? rc : copy_rest(m);
    rc = rc < 0 ? rc : go_apart(m);
    rc = rc < 0 ? rc : rewrite(m);
    if (rc < 0)
        undo_apart(m);
    if (rc < 0 && m->copied)
        (void)dspath_remove(m->to.fd, m->to.rel);
    return rc;
}

/* It is true now: what was before goes. */
static int run_tidy(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    bool part = leaves_some(m);

    for (unsigned i = 0; i < m->disk_count; i++) {
        const struct parting *d = &m->disk[i];
        if (!d->stays && !d->keep_old)
            remove_disk(&d->from, true);
        if (!d->stays && !d->keep_old && !d->in_folder)
            unfinished_remove_folders(d->from.fd, d->from.rel, strchr(d->from.rel, '/') ? 1 : 0);
    }
    for (unsigned i = 0; part && i < m->along_count; i++) {
        char rel[2 * DSPATH_MAX];
        (void)snprintf(rel, sizeof rel, "%s/%s", m->from.rel, m->along[i]);
        (void)dspath_remove(m->from.fd, rel);
    }
    if (m->copied && !part)
        (void)dspath_remove(m->from.fd, m->from.rel);
    return 0;
}

/* --- on the loop's --- */

static void end(struct haul *haul)
{
    struct moving *m = moving_of(haul);

    for (unsigned i = 0; i < m->disk_count; i++) {
        unfinished_end(&m->disk[i].made);
        unfinished_end(&m->disk[i].gone);
    }
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

/* A folder that is this VM's alone. */
static bool own_folder(struct call *call, struct virtual_machine *vm, char folder[DSPATH_MAX])
{
    struct inventory *inventory = hostd_of(call)->inventory;
    char other[DSPATH_MAX];

    vm_folder(vm, folder);
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        vm_folder(vm_of(&e->mo), other);
        if (e != &vm->e && vm_of(&e->mo)->datastore == vm->datastore && !strcmp(folder, other))
            return false;
    }
    return *folder;
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

static bool is_shared(const struct virtual_machine *vm, const struct datastore *datastore,
                      const char *rel)
{
    struct inventory *inventory = vm->e.hostd->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (e != &vm->e && vm_names_file(vm_of(&e->mo), datastore, rel))
            return true;
    return false;
}

static bool same_kind(const struct disk_wish *wish, bool thin)
{
    return wish->as_source || (wish->provision == DISK_THIN && thin) ||
           (wish->provision == DISK_LAZY && !thin);
}

static bool is_taken(const struct moving *m, const struct parting *d)
{
    struct stat st;

    for (unsigned i = 0; i < m->disk_count; i++)
        if (!m->disk[i].stays && !strcmp(m->disk[i].to.datastore, d->wish.datastore->e.id) &&
            !strcmp(m->disk[i].to.rel, d->to.rel))
            return true;
    /* What goes along with the folder keeps its name there. */
    size_t len = strlen(m->to.rel);
    if (m->home && d->wish.datastore == m->datastore && !strncmp(d->to.rel, m->to.rel, len) &&
        d->to.rel[len] == '/') {
        char old[2 * DSPATH_MAX];
        (void)snprintf(old, sizeof old, "%s%s", m->from.rel, d->to.rel + len);
        if (dspath_stat(m->from.fd, old, &st) != -ENOENT)
            return !d->in_folder || strcmp(old, d->from.rel) != 0;
    }
    return dspath_stat(d->wish.datastore->fd, d->to.rel, &st) != -ENOENT;
}

/* In the VM's folder on that datastore, under the name that it has, or NAME_1 ... */
static void choose_name(struct moving *m, struct parting *d)
{
    struct plan at = {.datastore = m->home ? m->datastore : m->vm->datastore};
    const char *slash = strrchr(d->from.rel, '/'), *name = slash ? slash + 1 : d->from.rel;
    size_t stem = strlen(name);
    char folder[DSPATH_MAX];

    stem -= stem > 5 && !strcasecmp(name + stem - 5, ".vmdk") ? 5 : 0;
    (void)snprintf(at.rel, sizeof at.rel, "%.700s/%.200s", m->home ? m->to.rel : m->from.rel,
                   m->vmx);
    plan_folder_on(&at, d->wish.datastore, folder);
    for (unsigned n = 0; n < 1000; n++) {
        char number[16] = "";
        if (n)
            (void)snprintf(number, sizeof number, "_%u", n);
        (void)snprintf(d->to.rel, sizeof d->to.rel, "%.700s/%.*s%s.vmdk", folder,
                       (int)MIN(stem, (size_t)200), name, number);
        if (!is_taken(m, d))
            break;
    }
    plan_file_name(&at, d->wish.datastore, d->to.rel, d->name, sizeof d->name);
    char rel[DSPATH_MAX];
    (void)snprintf(rel, sizeof rel, "%s", d->to.rel);
    file_place_set(&d->to, d->wish.datastore, rel);
}

/* The fault is set, or it is one of those that part, or it goes along or stays as it is. */
static bool sort_disk(struct call *call, struct moving *m,
                      const struct vim_VirtualMachineRelocateSpec *spec, const struct vm_disk *disk)
{
    struct parting *d = &m->disk[m->disk_count];
    char key[40], folder[DSPATH_MAX];
    struct dspath path;

    (void)snprintf(key, sizeof key, "%s.fileName", disk->slot);
    const char *file = vmxfile_get(m->vm->vmx, key);
    struct datastore *now = file ? vm_file(m->vm, file, &path) : NULL;
    if (!now)
        return true; /* it is not there: nothing can be done with it */
    (void)snprintf(folder, sizeof folder, "%s", path.rel);
    *(strrchr(folder, '/') ? strrchr(folder, '/') : folder) = '\0';
    bool in_folder = now == m->vm->datastore && !strcmp(folder, m->from.rel);
    bool shared = is_shared(m->vm, now, path.rel);
    if (!vm_disk_wish(call, spec, vm_key_of_slot(disk->slot),
                      spec->datastore.id && !shared ? m->datastore : now, &d->wish))
        return false;
    bool stays = d->wish.datastore == now && same_kind(&d->wish, disk->thin);
    bool along = m->home && in_folder && d->wish.datastore == m->datastore && d->wish.as_source;
    if (along || (stays && !(m->home && in_folder)))
        return true;
    if (call_authorize(call, &d->wish.datastore->e.mo, "Datastore.AllocateSpace"))
        return false;
    d->stays = stays;
    d->in_folder = in_folder;
    d->keep_old = shared;
    d->to.fd = -1;
    (void)snprintf(d->slot, sizeof d->slot, "%s", disk->slot);
    file_place_set(&d->from, now, path.rel);
    if (stays)
        (void)snprintf(d->name, sizeof d->name, "/vmfs/volumes/%s/%s", now->e.id, path.rel);
    else
        choose_name(m, d);
    m->disk_count++;
    return true;
}

static bool sort_disks(struct call *call, struct moving *m,
                       const struct vim_VirtualMachineRelocateSpec *spec)
{
    const struct virtual_machine *vm = m->vm;

    for (unsigned i = 0; i < vm->disk_count; i++)
        if (!sort_disk(call, m, spec, &vm->disk[i]))
            return false;
    if (!m->disk_count || !vm->vmsd || !vmsd_count(vm->vmsd))
        return true;
    CALL_FAULT_TEXT(call, NotSupported,
                    "The disks of a virtual machine with snapshots move together, as they are.");
    return false;
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
    bool own = own_folder(call, vm, folder);
    if (m->home && !own) {
        CALL_FAULT(call, NotSupported);
        return false;
    }
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
    return sort_disks(call, m, spec);
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
    } else if (!m->home && !m->disk_count) {
        moving_free(m);
        move_pool(call, vm, pool);
    } else if (!vm_begin(call, vm, &m->haul.task) ||
               !vm_require_power(m->haul.task, vm, VIM_VirtualMachinePowerState_poweredOff)) {
        moving_free(m);
    } else {
        haul_start(&m->haul);
    }
}
