/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_backing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/inventory.h"

const struct vm_disk *vm_backing_measured(const struct virtual_machine *vm, const char *slot)
{
    for (unsigned i = 0; i < vm->disk_count; i++)
        if (!strcasecmp(vm->disk[i].slot, slot))
            return &vm->disk[i];
    return NULL;
}

void vm_backing_uuid(const char *text, char uuid[VM_DISK_UUID])
{
    unsigned digits = 0, at = 0;

    for (; *text && digits < 32; text++) {
        if (!isxdigit((unsigned char)*text))
            continue;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            uuid[at++] = '-';
        uuid[at++] = *text;
        digits++;
    }
    uuid[digits == 32 ? at : 0] = '\0';
}

static struct vim_VirtualDiskFlatVer2BackingInfo *
one(struct arena *arena, const struct virtual_machine *vm, const char *file, const char *mode)
{
    struct vim_VirtualDiskFlatVer2BackingInfo *b = VIM_NEW(arena, VirtualDiskFlatVer2BackingInfo);
    struct dspath path;
    struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;

    b->fileName = file ? vm_file_text(arena, vm, file) : "";
    b->datastore = datastore ? mo_ref(&datastore->e.mo) : (struct vim_ref){0};
    b->diskMode = vm_disk_mode(arena, mode);
    b->split = b->writeThrough = b->digestEnabled = vim_bool(false);
    b->sharing = "sharingNone";
    return b;
}

static const char *file_then(const struct vmsd_snapshot *s, const char *slot)
{
    for (unsigned i = 0; i < s->disk_count; i++)
        if (!strcasecmp(s->disk[i].node, slot))
            return s->disk[i].file;
    return NULL;
}

/* The snapshot that froze the file itself, or where the VM is now: above it the parents begin. */
static uint32_t snapshot_above(const struct vmsd *vmsd, const char *slot, const char *file,
                               struct vmsd_snapshot *s)
{
    for (unsigned i = 0; i < vmsd_count(vmsd); i++) {
        const char *then = vmsd_get(vmsd, vmsd_uid(vmsd, i), s) == 0 ? file_then(s, slot) : NULL;
        if (then && !strcmp(then, file))
            return s->parent;
    }
    return vmsd_current(vmsd);
}

static void add_parents(struct arena *arena, const struct virtual_machine *vm, const char *slot,
                        const char *file, struct vim_VirtualDiskFlatVer2BackingInfo *top)
{
    struct vmsd_snapshot *s = arena_new(arena, struct vmsd_snapshot);
    uint32_t uid = snapshot_above(vm->vmsd, slot, file, s);

    for (unsigned i = 0; i < VMSD_SNAPSHOTS_MAX && uid != VMSD_NONE; i++) {
        if (vmsd_get(vm->vmsd, uid, s) < 0)
            break;
        uid = s->parent;
        const char *then = file_then(s, slot);
        if (!then || !strcmp(then, file))
            continue;
        top->deltaDiskFormat = "redoLogFormat";
        top->parent = one(arena, vm, then, NULL);
        top = top->parent;
        file = then;
    }
}

struct vim_VirtualDiskFlatVer2BackingInfo *vm_backing(struct arena *arena,
                                                      const struct virtual_machine *vm,
                                                      const char *slot, const char *file,
                                                      const char *mode)
{
    struct vim_VirtualDiskFlatVer2BackingInfo *b = one(arena, vm, file, mode);
    const struct vm_disk *disk = vm_backing_measured(vm, slot);

    b->thinProvisioned = vim_bool(disk && disk->thin);
    if (disk && *disk->uuid)
        b->uuid = arena_strdup(arena, disk->uuid);
    if (file && vm->vmsd && vmsd_count(vm->vmsd))
        add_parents(arena, vm, slot, file, b);
    return b;
}

static bool has_disk(const struct virtual_machine *vm, const char *datastore_id, const char *rel)
{
    struct dspath path;
    char key[40];

    for (unsigned i = 0; i < vm->disk_count; i++) {
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vm->vmx ? vmxfile_get(vm->vmx, key) : NULL;
        const struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;
        if (datastore && !strcmp(datastore->e.id, datastore_id) && !strcmp(path.rel, rel))
            return true;
    }
    return false;
}

void vm_backing_changed(struct inventory *inventory, const char *datastore_id, const char *rel)
{
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        struct virtual_machine *vm = ENTITY_OF(virtual_machine, &e->mo);
        if (!has_disk(vm, datastore_id, rel))
            continue;
        vm_measure_disks(vm);
        mo_changed(&e->mo, VIM_P_VirtualMachine_config);
    }
}
