/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_parting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/range.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/vm/file_holder.h"
#include "hostd/vm/vm_plan.h"

/* --- which they are --- */

static bool same_kind(const struct disk_wish *wish, bool thin)
{
    return wish->as_source || (wish->provision == DISK_THIN && thin) ||
           (wish->provision == DISK_LAZY && !thin);
}

static bool is_taken(const struct partings *p, const struct parting *d)
{
    struct stat st;

    for (unsigned i = 0; i < p->count; i++)
        if (!p->disk[i].stays && !strcmp(p->disk[i].to.datastore, d->wish.datastore->e.id) &&
            !strcmp(p->disk[i].to.rel, d->to.rel))
            return true;
    /* What goes along with the folder keeps its name there. */
    size_t len = p->to ? strlen(p->to->rel) : 0;
    if (p->to && d->wish.datastore == p->datastore && !strncmp(d->to.rel, p->to->rel, len) &&
        d->to.rel[len] == '/') {
        char old[2 * DSPATH_MAX];
        (void)snprintf(old, sizeof old, "%s%s", p->from->rel, d->to.rel + len);
        if (dspath_stat(p->from->fd, old, &st) != -ENOENT)
            return !d->in_folder || strcmp(old, d->from.rel) != 0;
    }
    return dspath_stat(d->wish.datastore->fd, d->to.rel, &st) != -ENOENT;
}

/* In the VM's folder on that datastore, under the name that it has, or NAME_1 ... */
static void choose_name(struct partings *p, struct parting *d)
{
    struct plan at = {.datastore = p->to ? p->datastore : p->vm->datastore};
    const char *slash = strrchr(d->from.rel, '/'), *name = slash ? slash + 1 : d->from.rel;
    const char *home = p->to ? p->to->rel : p->from->rel;
    size_t stem = strlen(name);
    char folder[DSPATH_MAX];

    stem -= stem > 5 && !strcasecmp(name + stem - 5, ".vmdk") ? 5 : 0;
    (void)snprintf(at.rel, sizeof at.rel, "%.700s%s%.200s", home, *home ? "/" : "", p->vmx);
    plan_folder_on(&at, d->wish.datastore, folder);
    for (unsigned n = 0; n < 1000; n++) {
        char number[16] = "";
        if (n)
            (void)snprintf(number, sizeof number, "_%u", n);
        (void)snprintf(d->to.rel, sizeof d->to.rel, "%.700s%s%.*s%s.vmdk", folder,
                       *folder ? "/" : "", (int)MIN(stem, (size_t)200), name, number);
        if (!is_taken(p, d))
            break;
    }
    plan_file_name(&at, d->wish.datastore, d->to.rel, d->name, sizeof d->name);
    char rel[DSPATH_MAX];
    (void)snprintf(rel, sizeof rel, "%s", d->to.rel);
    file_place_set(&d->to, d->wish.datastore, rel);
}

/* The fault is set, or it is one of those that part, or it goes along or stays as it is. */
static bool sort_disk(struct call *call, struct partings *p,
                      const struct vim_VirtualMachineRelocateSpec *spec, const struct vm_disk *disk)
{
    struct parting *d = &p->disk[p->count];
    char key[40], folder[DSPATH_MAX];
    struct dspath path;

    (void)snprintf(key, sizeof key, "%s.fileName", disk->slot);
    const char *file = vmxfile_get(p->vm->vmx, key);
    struct datastore *now = file ? vm_file(p->vm, file, &path) : NULL;
    if (!now)
        return true; /* it is not there: nothing can be done with it */
    (void)snprintf(folder, sizeof folder, "%s", path.rel);
    *(strrchr(folder, '/') ? strrchr(folder, '/') : folder) = '\0';
    bool in_folder = now == p->vm->datastore && !strcmp(folder, p->from->rel);
    bool shared = chain_holder(p->vm, now, path.rel);
    if (!vm_disk_wish(call, spec, vm_key_of_slot(disk->slot),
                      spec->datastore.id && !shared ? p->datastore : now, &d->wish))
        return false;
    bool stays = d->wish.datastore == now && same_kind(&d->wish, disk->thin);
    bool along = p->to && in_folder && d->wish.datastore == p->datastore && d->wish.as_source;
    if (along || (stays && !(p->to && in_folder)))
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
        choose_name(p, d);
    p->count++;
    return true;
}

bool partings_find(struct call *call, struct partings *p,
                   const struct vim_VirtualMachineRelocateSpec *spec)
{
    const struct virtual_machine *vm = p->vm;

    for (unsigned i = 0; i < vm->disk_count; i++)
        if (!sort_disk(call, p, spec, &vm->disk[i]))
            return false;
    if (!p->count || !vm->vmsd || !vmsd_count(vm->vmsd))
        return true;
    CALL_FAULT_TEXT(call, NotSupported,
                    "The disks of a virtual machine with snapshots move together, as they are.");
    return false;
}

void partings_free(struct partings *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        file_place_free(&p->disk[i].from);
        file_place_free(&p->disk[i].to);
    }
}

/* --- on a thread --- */

static int convert(struct parting *d, struct haul *haul)
{
    cleanup_placed struct placed_disk from = {.dir.fd = -1}, to = {.dir.fd = -1};
    struct disk_spec spec = {.format = DISK_VMDK_FLAT, .provision = d->wish.provision};
    struct disk_info info;
    struct err *err = &haul->err;
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
    rc = disk_convert(from.disk, &to.dir.host, to.name, &spec, from.aio, haul_progress, haul, err);
    if (rc == 0 && *info.uuid) /* it is the same disk, elsewhere */
        rc = disk_set_uuid(&to.dir.host, to.name, info.uuid, to.aio, err);
    return rc;
}

int partings_go(struct partings *p, struct haul *haul)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < p->count; i++) {
        struct parting *d = &p->disk[i];
        if (d->stays)
            continue;
        haul_part(haul, (int)(i * 100 / p->count), (int)((i + 1) * 100 / p->count));
        d->folders = unfinished_folders(d->to.fd, d->to.rel);
        rc = file_place_begin_disk(&d->to, &d->made, &haul->err);
        if (rc == 0 && !d->keep_old)
            rc = unfinished_begin(&d->gone, UNFINISHED_DISK, d->from.datastore, d->from.rel, 0);
        rc = rc < 0 ? rc : convert(d, haul);
    }
    return rc;
}

static void remove_disk(const struct file_place *place, bool ancestors)
{
    cleanup_placed struct placed_disk p = {.dir.fd = -1};

    if (placed_disk_prepare(&p, place, NULL) == 0)
        (void)disk_remove(&p.dir.host, p.name, ancestors, p.aio, NULL);
}

void partings_undo(struct partings *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct parting *d = &p->disk[i];
        if (!*d->made.name)
            continue;
        remove_disk(&d->to, false);
        unfinished_remove_folders(d->to.fd, d->to.rel, d->folders);
    }
}

int partings_rename(const struct partings *p, struct vmxfile *vmx)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < p->count; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "%s.fileName", p->disk[i].slot);
        rc = vmxfile_set(vmx, key, p->disk[i].name);
    }
    return rc;
}

int partings_each_file(const struct partings *p, void (*visit)(void *ctx, const char *name),
                       void *ctx, struct err *err)
{
    for (unsigned i = 0; i < p->count; i++) {
        cleanup_placed struct placed_disk placed = {.dir.fd = -1};
        if (!p->disk[i].in_folder)
            continue;
        int rc = placed_disk_open(&placed, &p->disk[i].from, DISK_READONLY, err);
        if (rc < 0)
            return rc;
        disk_each_file(placed.disk, true, visit, ctx);
    }
    return 0;
}

bool partings_leave_some(const struct partings *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->disk[i].in_folder && (p->disk[i].stays || p->disk[i].keep_old))
            return true;
    return false;
}

void partings_remove_old(const struct partings *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct parting *d = &p->disk[i];
        if (d->stays || d->keep_old)
            continue;
        remove_disk(&d->from, true);
        if (!d->in_folder)
            unfinished_remove_folders(d->from.fd, d->from.rel, strchr(d->from.rel, '/') ? 1 : 0);
    }
}

void partings_end(struct partings *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        unfinished_end(&p->disk[i].made);
        unfinished_end(&p->disk[i].gone);
    }
}
