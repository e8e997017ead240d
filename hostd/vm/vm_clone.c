/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_clone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "config/nvram.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/vm/vm_access.h"
#include "hostd/vm/vm_edit.h"
#include "hostd/vm/vm_question.h"

#define TEMPLATE_KEY "socle.template"

/* --- templates --- */

bool vm_is_template(const struct virtual_machine *vm)
{
    const char *value = vm->vmx ? vmxfile_get(vm->vmx, TEMPLATE_KEY) : NULL;

    return value && !strcasecmp(value, "true");
}

int vm_set_template(struct virtual_machine *vm, bool is_template, struct err *err)
{
    char path[PATH_MAX];
    int rc = 0;

    if (!vm->vmx)
        return err_set(err, -EBADMSG, "%s", vm->trouble.text);
    if (is_template)
        rc = vmxfile_set(vm->vmx, TEMPLATE_KEY, "TRUE");
    else
        vmxfile_remove(vm->vmx, TEMPLATE_KEY);
    datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
    rc = rc < 0 ? err_sys(err, rc, "template") : vmxfile_save(vm->vmx, path, err);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_config);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_resourcePool);
    return rc;
}

static void mark(struct call *call, struct virtual_machine *vm, bool is_template)
{
    struct err err = ERR_INIT;

    if (vm->task)
        (void)vm_fault_busy(call, vm, NULL);
    else if (vm_question_pending(call, vm))
        return;
    else if (vm->power != VM_OFF || vm->identifying || vm_is_template(vm) == is_template)
        CALL_FAULT(call, InvalidState);
    else if (vm_set_template(vm, is_template, &err) < 0)
        CALL_FAULT_TEXT(call, InvalidVmConfig, "%s", err.text);
}

void vm_mark_as_template(struct mo *mo, struct call *call)
{
    mark(call, vm_of(mo), true);
}

void vm_mark_as_vm(struct mo *mo, struct call *call)
{
    const struct vim_MarkAsVirtualMachine_args *args = call->args;
    struct mo *pool = call_resolve_as(call, args->pool, VIM_MANAGED(ResourcePool));
    struct err err = ERR_INIT;

    if (!pool)
        return;
    mark(call, vm_of(mo), false);
    if (call->fault)
        return;
    vm_set_pool(vm_of(mo), ENTITY_OF(resource_pool, pool));
    if (inventory_save(hostd_of(call)->inventory, &err) < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
}

/* --- a clone on its way --- */

struct cloning {
    struct haul haul;
    struct virtual_machine *vm; /* what is cloned */
    struct resource_pool *pool;
    struct plan plan;
    const struct vim_VirtualMachineCloneSpec *spec; /* while the call lives */
    enum plan_what how;
    bool power_on, as_template;
};

static struct cloning *cloning_of(struct haul *haul)
{
    return container_of(haul, struct cloning, haul);
}

static void cloning_free(struct cloning *c)
{
    plan_free(&c->plan);
    free(c);
}

/* --- its dictionary --- */

static bool is_cdrom(const struct vmxfile *vmx, const char *slot)
{
    char key[40];

    (void)snprintf(key, sizeof key, "%s.deviceType", slot);
    const char *type = vmxfile_get(vmx, key);
    return type && strcasestr(type, "cdrom");
}

/* What belongs to the one VM alone. */
static void forget_identity(struct vmxfile *vmx)
{
    static const char *const prefixes[] = {
        "uuid.location", "extendedConfigFile", "checkpoint.", "migrate.",   "sched.swap.",
        "vmci0.id",      TEMPLATE_KEY,         "nvram",       NVRAM_OWN_KEY};

    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++)
        vmxfile_remove_prefixed(vmx, prefixes[i]);
}

/* The name of the clone's next disk: NAME.vmdk, NAME_1.vmdk; beside shared disks, which keep their
 * names, another one. */
static void name_disk(const struct cloning *c, const struct datastore *datastore,
                      const char *source, char rel[DSPATH_MAX])
{
    const char *slash = strrchr(source, '/'), *base = slash ? slash + 1 : source;
    const char *own = strrchr(c->plan.rel, '/');
    char folder[DSPATH_MAX];
    struct stat st;

    own = own ? own + 1 : c->plan.rel;
    int stem = (int)MIN(strlen(own) - strlen(".vmx"), (size_t)255);
    bool alike = c->how == PLAN_LINK && !strncmp(base, own, (size_t)stem);
    plan_folder_on(&c->plan, datastore, folder);
    for (unsigned n = 0; n < 2 * PLAN_DISKS_MAX; n++) {
        char number[16] = "";
        if (n)
            (void)snprintf(number, sizeof number, "_%u", n);
        (void)snprintf(rel, DSPATH_MAX, "%.700s%s%.*s%s%s.vmdk", folder, *folder ? "/" : "", stem,
                       own, alike ? "-clone" : "", number);
        if (!plan_has(&c->plan, datastore, rel) && dspath_stat(datastore->fd, rel, &st) < 0)
            return;
    }
}

static const struct vim_VirtualMachineRelocateSpecDiskLocator *
find_locator(const struct vim_VirtualMachineRelocateSpec *spec, int32_t key)
{
    for (size_t i = 0; i < spec->disk.count; i++)
        if (spec->disk.items[i]->diskId == key)
            return spec->disk.items[i];
    return NULL;
}

/* As its backing says, or the transformation of all; else as it is. */
static void wish_kind(const struct vim_VirtualMachineRelocateSpec *spec,
                      const struct vim_VirtualMachineRelocateSpecDiskLocator *locator,
                      struct disk_wish *wish)
{
    const struct vim_VirtualDiskFlatVer2BackingInfo *flat =
        locator ? VIM_AS(VirtualDiskFlatVer2BackingInfo, locator->diskBackingInfo) : NULL;

    wish->as_source = !spec->transform;
    wish->provision =
        spec->transform == VIM_VirtualMachineRelocateTransformation_flat ? DISK_LAZY : DISK_THIN;
    if (!flat || !(flat->thinProvisioned.set || flat->eagerlyScrub.set))
        return;
    wish->as_source = false;
    wish->provision = flat->eagerlyScrub.set && flat->eagerlyScrub.v         ? DISK_EAGER
                      : flat->thinProvisioned.set && flat->thinProvisioned.v ? DISK_THIN
                                                                             : DISK_LAZY;
}

bool vm_disk_wish(struct call *call, const struct vim_VirtualMachineRelocateSpec *spec, int32_t key,
                  struct datastore *otherwise, struct disk_wish *ret_wish)
{
    const struct vim_VirtualMachineRelocateSpecDiskLocator *locator = find_locator(spec, key);

    *ret_wish = (struct disk_wish){.datastore = otherwise};
    if (locator && locator->datastore.id) {
        struct mo *mo = call_resolve_as(call, locator->datastore, VIM_MANAGED(Datastore));
        if (!mo)
            return false;
        ret_wish->datastore = ENTITY_OF(datastore, mo);
    }
    wish_kind(spec, locator, ret_wish);
    return true;
}

static bool fault_no_file(struct call *call, const char *file)
{
    struct vim_FileNotFound *fault = VIM_NEW(call->arena, FileNotFound);

    fault->file = arena_strdup(call->arena, file);
    call_fault(call, &fault->self);
    return false;
}

static bool plan_disk(struct cloning *c, struct call *call, const char *slot, const char *key,
                      const char *file)
{
    struct dspath path;
    struct datastore *datastore = vm_file(c->vm, file, &path);
    bool all = c->spec->location->datastore.id; /* else each where it is, as the VM itself */
    struct disk_wish wish;
    char rel[DSPATH_MAX], name[DSPATH_MAX + 128];

    if (!datastore)
        return fault_no_file(call, file);
    if (!vm_disk_wish(call, c->spec->location, vm_key_of_slot(slot),
                      all ? c->plan.datastore : datastore, &wish) ||
        call_authorize(call, &wish.datastore->e.mo, "Datastore.AllocateSpace"))
        return false;
    name_disk(c, wish.datastore, path.rel, rel);
    struct plan_disk *disk = plan_add(&c->plan, c->how, wish.datastore, rel);
    if (!disk) {
        CALL_FAULT_TEXT(call, InvalidVmConfig, "The virtual machine has too many disks.");
        return false;
    }
    file_place_set(&disk->from, datastore, path.rel);
    disk->provision = wish.provision;
    disk->as_source = wish.as_source;
    disk->make_folder = wish.datastore != c->plan.datastore;
    plan_file_name(&c->plan, wish.datastore, rel, name, sizeof name);
    (void)vmxfile_set(c->plan.vmx, key, name);
    return true;
}

/* A CD's image stays where it is, and is named so that this does not depend on the folder. */
static void name_image(struct cloning *c, const char *key, const char *file)
{
    struct dspath path;
    struct datastore *datastore = vm_file(c->vm, file, &path);
    char text[DSPATH_MAX + 128];

    if (*file == '/' || !datastore || !strcmp(file, "emptyBackingString") ||
        !strcasecmp(file, "auto detect"))
        return;
    (void)snprintf(text, sizeof text, "/vmfs/volumes/%s/%s", datastore->e.id, path.rel);
    (void)vmxfile_set(c->plan.vmx, key, text);
}

/* Each "scsi0:0.fileName". Values change, keys do not: so the walk goes on. */
static bool plan_drives(struct cloning *c, struct call *call)
{
    const char *key;
    size_t at = 0;

    while ((key = vmxfile_next_key(c->plan.vmx, &at))) {
        const char *dot = strchr(key, '.'), *value = vmxfile_get(c->plan.vmx, key);
        char slot[16], name[VMXFILE_KEY_MAX + 1];
        if (!dot || strcasecmp(dot, ".fileName") != 0 || !memchr(key, ':', (size_t)(dot - key)) ||
            dot - key >= (ptrdiff_t)sizeof slot)
            continue;
        (void)snprintf(slot, sizeof slot, "%.*s", (int)(dot - key), key);
        (void)snprintf(name, sizeof name, "%s", key);
        const char *file = arena_strdup(call->arena, value);
        if (is_cdrom(c->plan.vmx, slot))
            name_image(c, name, file);
        else if (!plan_disk(c, call, slot, name, file))
            return false;
    }
    return true;
}

/* Of a snapshot: those that it has kept. */
static void plan_nvram(struct cloning *c, struct mo *snapshot)
{
    struct dspath path;
    struct datastore *datastore =
        vm_nvram(c->vm, snapshot ? vm_snapshot_uid(snapshot) : VMSD_NONE, &path);

    if (datastore)
        file_place_set(&c->plan.nvram_from, datastore, path.rel);
}

static int copy_vmx(const struct virtual_machine *vm, struct vmxfile **ret_vmx)
{
    cleanup_buf struct buf text = {0};

    if (!vm->vmx)
        return -EBADMSG;
    vmxfile_write(vm->vmx, &text);
    return text.failed ? -ENOMEM : vmxfile_parse(vm->rel, text.data, text.len, ret_vmx, NULL);
}

static bool take_dictionary(struct cloning *c, struct call *call, struct mo *snapshot)
{
    struct err err = ERR_INIT;
    int rc =
        snapshot ? vm_snapshot_load(snapshot, &c->plan.vmx, &err) : copy_vmx(c->vm, &c->plan.vmx);

    if (rc == 0)
        return true;
    CALL_FAULT_TEXT(call, InvalidVmConfig, "%s", err.code ? err.text : c->vm->trouble.text);
    return false;
}

static bool make_dictionary(struct cloning *c, struct call *call, const char *name,
                            struct mo *snapshot)
{
    plan_nvram(c, snapshot);
    forget_identity(c->plan.vmx);
    if (!plan_drives(c, call))
        return false;
    if (plan_new_uuids(c->plan.vmx) < 0 || vmxfile_set(c->plan.vmx, "displayName", name) < 0) {
        call_fault_argument(call, "name");
        return false;
    }
    vm_edit_new_addresses(&c->plan);
    if (c->as_template)
        (void)vmxfile_set(c->plan.vmx, TEMPLATE_KEY, "TRUE");
    return !c->spec->config || vm_edit(call, NULL, &c->plan, c->spec->config);
}

/* --- what is asked for --- */

static bool check_customization(struct call *call, const struct vim_VirtualMachineCloneSpec *spec)
{
    if (!spec->customization)
        return true;
    struct vim_UncustomizableGuest *fault = VIM_NEW(call->arena, UncustomizableGuest);
    fault->uncustomizableGuestOS = "";
    call_fault_text(call, &fault->self, "This host does not customize guests.");
    return false;
}

static bool has_disk(const struct virtual_machine *vm, int32_t key)
{
    for (unsigned i = 0; i < vm->disk_count; i++)
        if (vm_key_of_slot(vm->disk[i].slot) == key)
            return true;
    return false;
}

struct datastore *vm_choose_datastore(struct call *call, struct virtual_machine *vm,
                                      const struct vim_VirtualMachineRelocateSpec *spec)
{
    struct datastore *chosen = vm->datastore;

    if (spec->datastore.id) {
        struct mo *mo = call_resolve_as(call, spec->datastore, VIM_MANAGED(Datastore));
        if (!mo)
            return NULL;
        chosen = ENTITY_OF(datastore, mo);
    }
    for (size_t i = 0; i < spec->disk.count; i++)
        if (!has_disk(vm, spec->disk.items[i]->diskId)) {
            call_fault_argument(call, "spec.disk.diskId");
            return NULL;
        }
    if (spec->service || spec->host.id) {
        struct mo *host =
            spec->service ? NULL : call_resolve_as(call, spec->host, VIM_MANAGED(HostSystem));
        if (spec->service)
            CALL_FAULT(call, NotSupported);
        if (!host)
            return NULL;
    }
    return chosen;
}

static bool choose_how(struct call *call, struct cloning *c)
{
    const char *type = c->spec->location->diskMoveType;

    for (size_t i = 0; i < c->spec->location->disk.count; i++)
        if (c->spec->location->disk.items[i]->diskMoveType)
            type = c->spec->location->disk.items[i]->diskMoveType;
    c->how = type && !strcmp(type, "createNewChildDiskBacking") ? PLAN_LINK : PLAN_COPY;
    if (c->how == PLAN_COPY || c->spec->snapshot.id)
        return true;
    call_fault_argument(call, "spec.snapshot");
    return false;
}

static bool choose_pool(struct call *call, struct cloning *c)
{
    struct vim_ref ref = c->spec->location->pool;

    c->pool = c->vm->pool ? c->vm->pool : hostd_of(call)->inventory->root_pool;
    if (ref.id) {
        struct mo *mo = call_resolve_as(call, ref, VIM_MANAGED(ResourcePool));
        if (!mo)
            return false;
        c->pool = ENTITY_OF(resource_pool, mo);
    }
    return !call_authorize(call, &c->pool->e.mo, "Resource.AssignVMToPool");
}

/* The snapshot is one of this VM; without one the VM must be off. */
static bool choose_source(struct call *call, struct cloning *c, struct mo **ret_snapshot)
{
    *ret_snapshot = NULL;
    if (c->spec->snapshot.id) {
        *ret_snapshot =
            call_resolve_as(call, c->spec->snapshot, VIM_MANAGED(VirtualMachineSnapshot));
        if (*ret_snapshot && vm_of_snapshot(*ret_snapshot) != c->vm) {
            call_fault_argument(call, "spec.snapshot");
            return false;
        }
        return *ret_snapshot;
    }
    if (c->vm->power == VM_OFF)
        return true;
    struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);
    fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(c->vm);
    fault->requestedState = VIM_VirtualMachinePowerState_poweredOff;
    call_fault(call, &fault->self);
    return false;
}

/* --- carrying it out --- */

static int run_clone(struct haul *haul)
{
    return plan_run(&cloning_of(haul)->plan, haul_progress, haul);
}

static void post_cloned(struct cloning *c, struct virtual_machine *vm)
{
    struct arena cleanup_arena arena = {0};
    struct vim_VmClonedEvent *event = VIM_NEW(&arena, VmClonedEvent);

    event->sourceVm = VIM_NEW(&arena, VmEventArgument);
    event->sourceVm->name = c->vm->e.name;
    event->sourceVm->vm = mo_ref(&c->vm->e.mo);
    event_post(c->haul.hostd, (struct vim_Event *)(void *)event, &vm->e, c->haul.task->user,
               "%s was cloned from %s", vm->e.name, c->vm->e.name);
}

static void cloned(struct haul *haul)
{
    struct cloning *c = cloning_of(haul);
    struct inventory *inventory = haul->hostd->inventory;
    struct virtual_machine *vm = NULL;

    vm_end(c->vm);
    if (haul->rc == 0) {
        haul->rc = vm_add(inventory, 0, c->plan.datastore, c->plan.rel, c->pool, &vm, &c->plan.err);
        if (haul->rc == 0) {
            post_cloned(c, vm);
            haul->rc = inventory_save(inventory, &c->plan.err);
        } else {
            plan_undo(&c->plan);
        }
    }
    haul->err = c->plan.err;
    haul_end(haul, vm ? mo_value(&vm->e.mo) : vim_any_none(), c->plan.failed_file);
    if (haul->rc == 0 && c->power_on && !c->as_template)
        vm_power_on_by_host(vm);
    cloning_free(c);
}

static bool prepare(struct call *call, struct cloning *c, const char *name)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct datastore *datastore;
    struct mo *snapshot;

    if (!check_customization(call, c->spec) || !choose_how(call, c) || !choose_pool(call, c) ||
        !choose_source(call, c, &snapshot) ||
        !entity_check_name(call, &inventory->vm_folder.e, NULL, name) ||
        !(datastore = vm_choose_datastore(call, c->vm, c->spec->location)) ||
        !plan_place(call, &c->plan, arena_printf(call->arena, "[%s]", datastore->e.name), name))
        return false;
    /* What a snapshot has kept lies in a file: he may use what it names who clones it. */
    return take_dictionary(c, call, snapshot) &&
           (!snapshot || vm_access_all(call, c->vm, c->plan.vmx, c->vm->vmx)) &&
           make_dictionary(c, call, name, snapshot) && vm_access_cards(call, c->plan.vmx);
}

/* Into the one folder that VMs are in; it starts at the word of who may start VMs there. */
static bool may_come(struct call *call, const struct cloning *c)
{
    const struct vim_CloneVM_Task_args *args = call->args;
    struct entity *folder = &hostd_of(call)->inventory->vm_folder.e;

    if (strcmp(args->folder.id, folder->id) != 0) {
        CALL_FAULT(call, NotSupported);
        return false;
    }
    if (args->spec->config && args->spec->config->extraConfig.count &&
        call_authorize(call, &c->vm->e.mo, "VirtualMachine.Config.AdvancedConfig"))
        return false;
    return !c->power_on || !call_authorize(call, &folder->mo, "VirtualMachine.Interact.PowerOn");
}

void vm_clone(struct mo *mo, struct call *call)
{
    const struct vim_CloneVM_Task_args *args = call->args;
    struct cloning *c = calloc(1, sizeof *c);

    if (!c || plan_init(&c->plan, NULL, NULL) < 0) {
        free(c);
        CALL_FAULT(call, SystemError);
        return;
    }
    c->vm = vm_of(mo);
    c->spec = args->spec;
    c->power_on = args->spec->powerOn;
    c->as_template = args->spec->template;
    c->haul.hostd = hostd_of(call);
    c->haul.run = run_clone;
    c->haul.done = cloned;
    if (call_authorize(call, mo, "VirtualMachine.Provisioning.Clone") || !may_come(call, c) ||
        !prepare(call, c, args->name) || !vm_begin(call, c->vm, &c->haul.task))
        cloning_free(c);
    else
        haul_start(&c->haul);
}
