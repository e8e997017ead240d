/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a VM: layoutEx, and layout as clients of before 4.0 read it. Nothing is kept: names
 * come from the .vmx and the .vmsd, sizes from the datastore. A disk's chain is told from its
 * root to the disk that the VM writes to, as its snapshots list it. */
#include "hostd/model/vm_layout.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/range.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/vm_snapshot.h"

enum { NO_FILE = -1 };

struct layout {
    struct arena *arena;
    struct virtual_machine *vm;
    struct vim_VirtualMachineFileLayoutEx *ex;
};

/* A file by what the .vmx calls it: its key, the same for the same file; NO_FILE. */
static int32_t add(struct layout *l, const char *name, const char *type)
{
    struct dspath path;
    struct datastore *datastore = vm_file(l->vm, name, &path);
    struct stat st;

    if (!datastore || dspath_stat(datastore->fd, path.rel, &st) < 0)
        return NO_FILE;
    const char *text = arena_printf(l->arena, "[%s] %s", datastore->e.name, path.rel);
    for (size_t i = 0; i < l->ex->file.count; i++)
        if (!strcmp(l->ex->file.items[i]->name, text))
            return l->ex->file.items[i]->key;
    struct vim_VirtualMachineFileLayoutExFileInfo *f =
        VIM_NEW(l->arena, VirtualMachineFileLayoutExFileInfo);
    f->key = (int32_t)l->ex->file.count;
    f->name = text;
    f->type = type;
    f->size = (int64_t)st.st_blocks * 512;
    f->size = f->size < st.st_size ? f->size : st.st_size;
    f->uniqueSize = vim_long(f->size);
    f->accessible = vim_bool(true);
    VIM_ADD(l->arena, &l->ex->file, f);
    return f->key;
}

/* The same stem with another end: "x.vmdk" -> "x-flat.vmdk". */
static const char *with_end(struct arena *arena, const char *name, const char *end)
{
    size_t len = strlen(name);
    const char *dot = strrchr(name, '.');
    size_t stem = dot && !strchr(dot, '/') ? (size_t)(dot - name) : len;

    return arena_printf(arena, "%.*s%s", (int)stem, name, end);
}

/* --- disks --- */

typedef struct vim_VirtualMachineFileLayoutExDiskLayout disk_layout;

static void add_unit(struct layout *l, disk_layout *disk, const char *file)
{
    static const char *const extents[] = {"-flat.vmdk", "-delta.vmdk", "-sesparse.vmdk"};
    struct vim_VirtualMachineFileLayoutExDiskUnit *unit =
        VIM_NEW(l->arena, VirtualMachineFileLayoutExDiskUnit);
    int32_t key = add(l, file, "diskDescriptor");

    if (key == NO_FILE)
        return;
    VIM_ADD(l->arena, &unit->fileKey, key);
    for (unsigned i = 0; i < ARRAY_SIZE(extents); i++) {
        key = add(l, with_end(l->arena, file, extents[i]), "diskExtent");
        if (key != NO_FILE)
            VIM_ADD(l->arena, &unit->fileKey, key);
    }
    VIM_ADD(l->arena, &disk->chain, unit);
}

/* What a slot's disk was at that snapshot and, first, at those before it. The disks of a snapshot
 * and of the one after it are the same when the VM had no children then; the chain has it once. */
static const char *add_chain(struct layout *l, disk_layout *disk, const char *slot, uint32_t uid,
                             unsigned level)
{
    struct vmsd_snapshot *s = arena_new(l->arena, struct vmsd_snapshot);
    const char *last = NULL;

    if (uid == VMSD_NONE || level > VMSD_SNAPSHOTS_MAX || vmsd_get(l->vm->vmsd, uid, s) < 0)
        return NULL;
    last = add_chain(l, disk, slot, s->parent, level + 1);
    for (unsigned i = 0; i < s->disk_count; i++)
        if (!strcasecmp(s->disk[i].node, slot) && !(last && !strcmp(last, s->disk[i].file))) {
            last = s->disk[i].file;
            add_unit(l, disk, last);
        }
    return last;
}

static disk_layout *disk_of(struct layout *l, const char *slot, uint32_t uid, const char *top)
{
    disk_layout *disk = VIM_NEW(l->arena, VirtualMachineFileLayoutExDiskLayout);
    const char *last = l->vm->vmsd ? add_chain(l, disk, slot, uid, 0) : NULL;

    disk->key = vm_key_of_slot(slot);
    if (top && !(last && !strcmp(last, top)))
        add_unit(l, disk, top);
    return disk;
}

static void add_disks(struct layout *l)
{
    const struct virtual_machine *vm = l->vm;
    uint32_t current = vm->vmsd ? vmsd_current(vm->vmsd) : VMSD_NONE;
    char key[40];

    for (unsigned i = 0; i < vm->disk_count; i++) {
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vmxfile_get(vm->vmx, key);
        if (file)
            VIM_ADD(l->arena, &l->ex->disk, disk_of(l, vm->disk[i].slot, current, file));
    }
}

/* --- snapshots --- */

static void add_snapshot(struct layout *l, uint32_t uid)
{
    struct vim_VirtualMachineFileLayoutExSnapshotLayout *out =
        VIM_NEW(l->arena, VirtualMachineFileLayoutExSnapshotLayout);
    struct vmsd_snapshot *s = arena_new(l->arena, struct vmsd_snapshot);

    if (vmsd_get(l->vm->vmsd, uid, s) < 0)
        return;
    out->key = vm_snapshot_ref(l->vm, uid);
    if (!out->key.id)
        return;
    /* Memory is in the same file as the state of devices. */
    out->dataKey = s->filename ? add(l, s->filename, "snapshotData") : NO_FILE;
    out->memoryKey = NO_FILE;
    for (unsigned i = 0; i < s->disk_count; i++)
        VIM_ADD(l->arena, &out->disk, disk_of(l, s->disk[i].node, uid, NULL));
    VIM_ADD(l->arena, &l->ex->snapshot, out);
}

/* --- all --- */

static const char *last_element(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Beside the .vmx; those named in it where they are. */
static void add_others(struct layout *l)
{
    static const struct {
        const char *key, *end, *type;
    } others[] = {
        {"nvram", ".nvram", "nvram"},
        {NULL, ".vmsd", "snapshotList"},
        {"checkpoint.vmState", NULL, "suspend"},
        {"serial0.fileName", NULL, "log"},
    };
    const char *name = last_element(l->vm->rel);

    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        const char *file = others[i].key ? vmxfile_get(l->vm->vmx, others[i].key) : NULL;
        if (!file && others[i].end)
            file = with_end(l->arena, name, others[i].end);
        if (file && *file)
            (void)add(l, file, others[i].type);
    }
}

static struct vim_VirtualMachineFileLayoutEx *layout_ex(struct arena *arena,
                                                        struct virtual_machine *vm)
{
    struct layout l = {arena, vm, VIM_NEW(arena, VirtualMachineFileLayoutEx)};

    l.ex->timestamp = vm->modified_us;
    (void)add(&l, last_element(vm->rel), "config");
    if (!vm->vmx)
        return l.ex;
    add_others(&l);
    add_disks(&l);
    for (unsigned i = 0; vm->vmsd && i < vmsd_count(vm->vmsd); i++)
        add_snapshot(&l, vmsd_uid(vm->vmsd, i));
    return l.ex;
}

struct vim_any vm_get_layout_ex(struct mo *mo, struct call *call)
{
    return vim_any_data(layout_ex(call->arena, vm_of(mo)));
}

struct vim_any vm_get_layout(struct mo *mo, struct call *call)
{
    const struct vim_VirtualMachineFileLayoutEx *ex = layout_ex(call->arena, vm_of(mo));
    struct vim_VirtualMachineFileLayout *out = VIM_NEW(call->arena, VirtualMachineFileLayout);

    for (size_t i = 0; i < ex->file.count; i++) {
        const struct vim_VirtualMachineFileLayoutExFileInfo *f = ex->file.items[i];
        if (!strcmp(f->type, "config") || !strcmp(f->type, "nvram") ||
            !strcmp(f->type, "snapshotList"))
            VIM_ADD(call->arena, &out->configFile, last_element(f->name));
        else if (!strcmp(f->type, "log"))
            VIM_ADD(call->arena, &out->logFile, last_element(f->name));
    }
    for (size_t i = 0; i < ex->disk.count; i++) {
        struct vim_VirtualMachineFileLayoutDiskLayout *d =
            VIM_NEW(call->arena, VirtualMachineFileLayoutDiskLayout);
        d->key = ex->disk.items[i]->key;
        for (size_t j = ex->disk.items[i]->chain.count; j-- > 0;) {
            int32_t key = ex->disk.items[i]->chain.items[j]->fileKey.items[0];
            VIM_ADD(call->arena, &d->diskFile, ex->file.items[key]->name);
        }
        VIM_ADD(call->arena, &out->disk, d);
    }
    return vim_any_data(out);
}
