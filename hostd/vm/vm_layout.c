/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a VM: layoutEx, and layout as clients of before 4.0 read it. Nothing is kept: names
 * come from the .vmx and the .vmsd, sizes from the datastore. A disk's chain is told from its
 * root to the disk that the VM writes to, as its snapshots list it. */
#include "hostd/vm/vm_layout.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/range.h"
#include "config/nvram.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/snapshot/vm_snapshot.h"

/* A .vmsd is foreign, and the chains of n snapshots in a row have n * n / 2 links. */
enum { NO_FILE = -1, NO_PARENT = -1, FILES_MAX = 4096, LINKS_MAX = 1 << 16 };

typedef struct vim_VirtualMachineFileLayoutExDiskUnit disk_unit;
typedef struct vim_VirtualMachineFileLayoutExDiskLayout disk_layout;

/* A snapshot, read once. Arrays and units are in the arena, texts are the .vmsd's. */
struct moment {
    uint32_t uid;
    int parent; /* its index; NO_PARENT */
    const char *state;
    unsigned disk_count;
    struct past_disk {
        const char *slot, *file;
        disk_unit *unit; /* NULL: not looked at yet */
    } * disk;
};

struct layout {
    struct arena *arena;
    struct virtual_machine *vm;
    struct vim_VirtualMachineFileLayoutEx *ex;
    struct moment *moment;
    unsigned moment_count, links;
};

/* A file by what the .vmx calls it: its key, the same for the same file; NO_FILE. */
static int32_t add(struct layout *l, const char *name, const char *type)
{
    struct dspath path;
    struct datastore *datastore = vm_file(l->vm, name, &path);
    struct stat st;

    if (!datastore || l->ex->file.count == FILES_MAX ||
        dspath_stat(datastore->fd, path.rel, &st) < 0)
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

/* --- snapshots as they are listed --- */

static int find_moment(const struct layout *l, uint32_t uid)
{
    for (unsigned i = 0; uid != VMSD_NONE && i < l->moment_count; i++)
        if (l->moment[i].uid == uid)
            return (int)i;
    return NO_PARENT;
}

static void read_moment(struct layout *l, struct moment *m, const struct vmsd_snapshot *s)
{
    m->uid = s->uid;
    m->parent = (int)s->parent; /* the uid, until all are read */
    m->state = s->filename;
    m->disk_count = s->disk_count;
    m->disk = arena_array(l->arena, s->disk_count, sizeof *m->disk);
    for (unsigned i = 0; i < s->disk_count; i++)
        m->disk[i] = (struct past_disk){.slot = s->disk[i].node, .file = s->disk[i].file};
}

static void read_moments(struct layout *l)
{
    const struct vmsd *vmsd = l->vm->vmsd;
    unsigned count = vmsd ? vmsd_count(vmsd) : 0;
    struct vmsd_snapshot *s = arena_new(l->arena, struct vmsd_snapshot);

    l->moment = arena_array(l->arena, count, sizeof *l->moment);
    for (unsigned i = 0; i < count; i++)
        if (vmsd_get(vmsd, vmsd_uid(vmsd, i), s) == 0)
            read_moment(l, &l->moment[l->moment_count++], s);
    for (unsigned i = 0; i < l->moment_count; i++)
        l->moment[i].parent = find_moment(l, (uint32_t)l->moment[i].parent);
}

/* --- disks --- */

static disk_unit *make_unit(struct layout *l, const char *file)
{
    static const char *const extents[] = {"-flat.vmdk", "-delta.vmdk", "-sesparse.vmdk"};
    disk_unit *unit = VIM_NEW(l->arena, VirtualMachineFileLayoutExDiskUnit);
    int32_t key = add(l, file, "diskDescriptor");

    if (key == NO_FILE)
        return unit;
    VIM_ADD(l->arena, &unit->fileKey, key);
    for (unsigned i = 0; i < ARRAY_SIZE(extents); i++) {
        key = add(l, with_end(l->arena, file, extents[i]), "diskExtent");
        if (key != NO_FILE)
            VIM_ADD(l->arena, &unit->fileKey, key);
    }
    return unit;
}

/* Without a file it is not there. */
static void add_unit(struct layout *l, disk_layout *disk, disk_unit *unit)
{
    l->links++;
    if (unit->fileKey.count)
        VIM_ADD(l->arena, &disk->chain, unit);
}

static struct past_disk *disk_in_slot(const struct moment *m, const char *slot)
{
    for (unsigned i = 0; i < m->disk_count; i++)
        if (!strcasecmp(m->disk[i].slot, slot))
            return &m->disk[i];
    return NULL;
}

/* What a slot's disk was at moment `at` and, first, at those before it; returns the last. The disks
 * of a snapshot and of the one after it are the same when the VM had no children then; the chain
 * has it once. (vmsd.h: nobody is its own ancestor.) */
static const char *add_chain(struct layout *l, disk_layout *disk, const char *slot, int at)
{
    struct past_disk *chain[VMSD_SNAPSHOTS_MAX];
    unsigned count = 0;
    const char *last = NULL;

    for (; at != NO_PARENT && count < VMSD_SNAPSHOTS_MAX; at = l->moment[at].parent) {
        struct past_disk *then = disk_in_slot(&l->moment[at], slot);
        if (then)
            chain[count++] = then;
    }
    while (count-- > 0) {
        struct past_disk *then = chain[count];
        if (last && !strcmp(last, then->file))
            continue;
        last = then->file;
        then->unit = then->unit ? then->unit : make_unit(l, last);
        add_unit(l, disk, then->unit);
    }
    return last;
}

static disk_layout *disk_of(struct layout *l, const char *slot, int at, const char *top)
{
    disk_layout *disk = VIM_NEW(l->arena, VirtualMachineFileLayoutExDiskLayout);
    const char *last = add_chain(l, disk, slot, at);

    disk->key = vm_key_of_slot(slot);
    if (top && !(last && !strcmp(last, top)))
        add_unit(l, disk, make_unit(l, top));
    return disk;
}

static void add_disks(struct layout *l)
{
    const struct virtual_machine *vm = l->vm;
    int current = find_moment(l, vm->vmsd ? vmsd_current(vm->vmsd) : VMSD_NONE);
    char key[40];

    for (unsigned i = 0; i < vm->disk_count; i++) {
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vmxfile_get(vm->vmx, key);
        if (file)
            VIM_ADD(l->arena, &l->ex->disk, disk_of(l, vm->disk[i].slot, current, file));
    }
}

/* --- snapshots --- */

static void add_snapshot(struct layout *l, int at)
{
    struct vim_VirtualMachineFileLayoutExSnapshotLayout *out =
        VIM_NEW(l->arena, VirtualMachineFileLayoutExSnapshotLayout);
    const struct moment *m = &l->moment[at];

    out->key = vm_snapshot_ref(l->vm, m->uid);
    if (!out->key.id)
        return;
    /* Memory is in the same file as the state of devices. */
    out->dataKey = m->state ? add(l, m->state, "snapshotData") : NO_FILE;
    out->memoryKey = NO_FILE;
    struct dspath nvram;
    struct datastore *at_nvram = vm_nvram(l->vm, m->uid, &nvram);
    if (at_nvram)
        (void)add(l, arena_printf(l->arena, "[%s] %s", at_nvram->e.name, nvram.rel), "nvram");
    for (unsigned i = 0; i < m->disk_count; i++)
        VIM_ADD(l->arena, &out->disk, disk_of(l, m->disk[i].slot, at, NULL));
    VIM_ADD(l->arena, &l->ex->snapshot, out);
}

/* Those behind the last for which there is room are left out; each that is there is whole. */
static void add_snapshots(struct layout *l)
{
    for (unsigned i = 0; i < l->moment_count; i++)
        if (l->links < LINKS_MAX && !arena_exceeded(l->arena))
            add_snapshot(l, (int)i);
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
        {"nvram", ".nvram", "nvram"},      {NVRAM_OWN_KEY, NULL, "nvram"},
        {NULL, ".vmsd", "snapshotList"},   {"checkpoint.vmState", NULL, "suspend"},
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

struct vim_VirtualMachineFileLayoutEx *vm_layout_ex(struct arena *arena, struct virtual_machine *vm)
{
    struct layout l = {.arena = arena, .vm = vm, .ex = VIM_NEW(arena, VirtualMachineFileLayoutEx)};

    l.ex->timestamp = vm->modified_us;
    (void)add(&l, last_element(vm->rel), "config");
    if (!vm->vmx)
        return l.ex;
    add_others(&l);
    read_moments(&l);
    add_disks(&l);
    add_snapshots(&l);
    return l.ex;
}

struct vim_any vm_get_layout_ex(struct mo *mo, struct call *call)
{
    return vim_any_data(vm_layout_ex(call->arena, vm_of(mo)));
}

struct vim_any vm_get_layout(struct mo *mo, struct call *call)
{
    const struct vim_VirtualMachineFileLayoutEx *ex = vm_layout_ex(call->arena, vm_of(mo));
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
