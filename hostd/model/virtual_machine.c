/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/virtual_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/range.h"
#include "base/utf8.h"
#include "config/nvram.h"
#include "config/vmcfg.h"
#include "config/vmsd.h"
#include "disk/disk.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/guest_os.h"
#include "hostd/model/network.h"
#include "hostd/perf/perf.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/up/rootdir.h"
#include "hostd/vm/vm_backing.h"
#include "hostd/vm/vm_clone.h"
#include "hostd/vm/vm_coming.h"
#include "hostd/vm/vm_layout.h"
#include "hostd/vm/vm_question.h"
#include "hostd/vm/vm_screen.h"
#include "hostd/vm/vm_suspend.h"
#include "hostd/vm/vm_transfer.h"
#include "hostd/vm/vm_upkeep.h"
#include "hostd/vm/vm_usage.h"

static int64_t now_us(void)
{
    return clock_realtime(&clock_host) / 1000;
}

/* --- names of files --- */

const char *vm_path_text(struct arena *arena, const struct virtual_machine *vm)
{
    return arena_printf(arena, "[%s] %s", vm->datastore->e.name, vm->rel);
}

void vm_folder(const struct virtual_machine *vm, char folder[DSPATH_MAX])
{
    const char *slash = strrchr(vm->rel, '/');

    (void)snprintf(folder, DSPATH_MAX, "%.*s", slash ? (int)(slash - vm->rel) : 0, vm->rel);
}

struct datastore *vm_file(const struct virtual_machine *vm, const char *name,
                          struct dspath *ret_path)
{
    char folder[DSPATH_MAX], joined[2 * DSPATH_MAX];

    if (*name == '/' || *name == '[')
        return datastore_resolve(vm->e.hostd->inventory, name, ret_path);
    vm_folder(vm, folder);
    (void)snprintf(joined, sizeof joined, "%s/%s", folder, name);
    (void)snprintf(ret_path->datastore, sizeof ret_path->datastore, "%s", vm->datastore->e.name);
    return dspath_normalize(joined, ret_path->rel) ? vm->datastore : NULL;
}

struct datastore *vm_nvram(const struct virtual_machine *vm, uint32_t uid, struct dspath *ret_path)
{
    const char *named = vm->vmx ? nvram_named(vm->vmx) : NULL;
    const char *slash = strrchr(vm->rel, '/'), *base = slash ? slash + 1 : vm->rel;
    size_t len = strlen(base);
    char name[DSPATH_MAX], number[24] = "";

    len -= len > 4 && !strcasecmp(base + len - 4, ".vmx") ? 4 : 0;
    if (uid != VMSD_NONE)
        (void)snprintf(number, sizeof number, "-Snapshot%u", uid);
    (void)snprintf(name, sizeof name, "%.*s%s.nvram", (int)MIN(len, (size_t)DSPATH_MAX - 40), base,
                   number);
    return vm_file(vm, uid == VMSD_NONE && named ? named : name, ret_path);
}

bool vm_names_file(const struct virtual_machine *vm, const struct datastore *datastore,
                   const char *rel)
{
    const char *key;
    size_t at = 0;

    while (vm->vmx && (key = vmxfile_next_key(vm->vmx, &at))) {
        const char *dot = strrchr(key, '.');
        struct dspath path;
        if (dot && !strcasecmp(dot, ".fileName") &&
            vm_file(vm, vmxfile_get(vm->vmx, key), &path) == datastore && !strcmp(path.rel, rel))
            return true;
    }
    return !vm->vmx;
}

const char *vm_file_text(struct arena *arena, const struct virtual_machine *vm, const char *name)
{
    struct dspath path;
    struct datastore *datastore = vm_file(vm, name, &path);

    return datastore ? arena_printf(arena, "[%s] %s", datastore->e.name, path.rel)
                     : arena_strdup(arena, name);
}

/* --- the registry --- */

int vm_power_state(const struct virtual_machine *vm)
{
    if (vm->power == VM_ON || vm->power == VM_STOPPING)
        return VIM_VirtualMachinePowerState_poweredOn;
    return vm_is_suspended(vm) ? VIM_VirtualMachinePowerState_suspended
                               : VIM_VirtualMachinePowerState_poweredOff;
}

struct virtual_machine *vm_by_id(struct hostd *hostd, const char *id)
{
    struct mo *mo = mo_find(hostd->api.registry, id);

    return mo && mo->class == &virtual_machine_class ? vm_of(mo) : NULL;
}

struct virtual_machine *vm_by_path(struct inventory *inventory, const struct datastore *datastore,
                                   const char *rel)
{
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        struct virtual_machine *vm = vm_of(&e->mo);
        if (vm->datastore == datastore && !strcmp(vm->rel, rel))
            return vm;
    }
    return NULL;
}

static void measure(struct virtual_machine *vm, const char *slot, const char *file)
{
    struct vm_disk *out = &vm->disk[vm->disk_count];
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK};
    struct dspath path;
    struct datastore *datastore = vm_file(vm, file, &path);
    char real[PATH_MAX];
    const char *name;
    struct disk_dir dir;
    struct aio *aio = NULL;
    struct disk *disk = NULL;

    if (!datastore || vm->disk_count == VM_DISKS_MAX)
        return;
    *out = (struct vm_disk){0};
    (void)snprintf(out->slot, sizeof out->slot, "%s", slot);
    datastore_real_path(datastore, path.rel, real, sizeof real);
    if (disk_dir_open_for(&dir, real, &name, NULL) < 0)
        return;
    if (aio_create(AIO_PLAIN, &aio, NULL) == 0 &&
        disk_open(&dir.host, name, &options, aio, &disk, NULL) == 0) {
        struct disk_info info;
        disk_get_info(disk, &info);
        out->capacity = info.size;
        out->room = info.room;
        out->thin = info.thin;
        vm_backing_uuid(info.uuid, out->uuid);
        vm->disk_count++;
    }
    disk_close(disk);
    aio_destroy(aio);
    disk_dir_close(&dir);
}

void vm_measure_disks(struct virtual_machine *vm)
{
    const char *key;
    size_t at = 0;

    vm->disk_count = 0;
    vm_usage_forget(vm);
    while (vm->vmx && (key = vmxfile_next_key(vm->vmx, &at))) {
        const char *dot = strchr(key, '.');
        char slot[16], type[40];
        if (!dot || strcasecmp(dot, ".fileName") || !memchr(key, ':', (size_t)(dot - key)) ||
            dot - key >= (ptrdiff_t)sizeof slot)
            continue;
        (void)snprintf(slot, sizeof slot, "%.*s", (int)(dot - key), key);
        (void)snprintf(type, sizeof type, "%s.deviceType", slot);
        const char *kind = vmxfile_get(vm->vmx, type);
        if (!kind || !strcasestr(kind, "cdrom"))
            measure(vm, slot, vmxfile_get(vm->vmx, key));
    }
}

static void take_name(struct virtual_machine *vm)
{
    const char *name = vm->vmx ? vmxfile_get(vm->vmx, "displayName") : NULL;
    const char *slash = strrchr(vm->rel, '/');

    if (name && *name)
        (void)snprintf(vm->e.name, sizeof vm->e.name, "%.*s", ENTITY_NAME_MAX, name);
    else if (!*vm->e.name)
        (void)snprintf(vm->e.name, sizeof vm->e.name, "%.*s", ENTITY_NAME_MAX,
                       slash ? slash + 1 : vm->rel);
    for (size_t len = strlen(vm->e.name); len && !utf8_valid(vm->e.name);)
        vm->e.name[--len] = '\0'; /* cut within a character */
}

void vm_reload(struct virtual_machine *vm)
{
    struct vmxfile *vmx = NULL;
    char path[PATH_MAX];

    vm->trouble = ERR_INIT;
    datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
    if (vmxfile_load(path, &vmx, &vm->trouble) < 0)
        vmx = NULL;
    vmxfile_destroy(vm->vmx);
    vm->vmx = vmx;
    vm->modified_us = now_us();
    vm->change++;
    take_name(vm);
    vm_measure_disks(vm);
}

/* Networks and datastores list the VMs that are on them. */
static void tell_places(struct inventory *inventory)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Network), e));)
        mo_changed(&e->mo, VIM_P_Network_vm);
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        mo_changed(&e->mo, VIM_P_Datastore_vm);
}

void vm_tell_changes(struct virtual_machine *vm)
{
    static const unsigned props[] = {VIM_P_VirtualMachine_config,   VIM_P_VirtualMachine_summary,
                                     VIM_P_ManagedEntity_name,      VIM_P_VirtualMachine_network,
                                     VIM_P_VirtualMachine_layoutEx, VIM_P_VirtualMachine_layout,
                                     VIM_P_VirtualMachine_storage,  VIM_P_VirtualMachine_datastore};

    for (unsigned i = 0; i < ARRAY_SIZE(props); i++)
        mo_changed(&vm->e.mo, props[i]);
    tell_places(vm->e.hostd->inventory);
}

int vm_copy_vmx(const struct virtual_machine *vm, struct vmxfile **ret_vmx)
{
    cleanup_buf struct buf text = {0};

    if (!vm->vmx)
        return -EBADMSG;
    vmxfile_write(vm->vmx, &text);
    return text.failed ? -ENOMEM : vmxfile_parse(vm->rel, text.data, text.len, ret_vmx, NULL);
}

void vm_set_vmx(struct virtual_machine *vm, struct vmxfile *vmx)
{
    vmxfile_destroy(vm->vmx);
    vm->vmx = vmx;
    vm->trouble = ERR_INIT;
    vm->modified_us = now_us();
    vm->change++;
    take_name(vm);
    vm_measure_disks(vm);
    vm_tell_changes(vm);
}

static void tell_children(struct virtual_machine *vm)
{
    struct inventory *inventory = vm->e.hostd->inventory;

    mo_changed(&inventory->vm_folder.e.mo, VIM_P_Folder_childEntity);
    mo_changed(&inventory->host.mo, VIM_P_HostSystem_vm);
    tell_places(inventory);
    if (vm->pool)
        mo_changed(&vm->pool->e.mo, VIM_P_ResourcePool_vm);
}

int vm_add(struct inventory *inventory, unsigned id, struct datastore *datastore, const char *rel,
           struct resource_pool *pool, struct virtual_machine **ret_vm, struct err *err)
{
    struct virtual_machine *vm = calloc(1, sizeof *vm);
    char text[16];

    if (!vm)
        return err_sys(err, -ENOMEM, "virtual machine");
    vm->datastore = datastore;
    vm->pool = pool;
    vm->created_us = now_us();
    (void)snprintf(vm->rel, sizeof vm->rel, "%s", rel);
    (void)snprintf(text, sizeof text, "%u", id ? id : inventory->next_vm);
    (void)snprintf(vm->keeper_path, sizeof vm->keeper_path, ROOTDIR_VMS "/%s.sock", text);
    vm->e.hostd = inventory->hostd;
    vm_reload(vm);
    char name[ENTITY_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", vm->e.name);
    int rc = entity_add(inventory->hostd, &vm->e, &virtual_machine_class, text, name,
                        &inventory->vm_folder.e);
    if (rc < 0) {
        vmxfile_destroy(vm->vmx);
        free(vm);
        return err_sys(err, rc, "virtual machine %s", text);
    }
    vm_snapshots_refresh(vm);
    char folder[DSPATH_MAX];
    vm_folder(vm, folder);
    vm->coming = !datastore->lost && vm_coming_is_marked(datastore->fd, folder);
    inventory->next_vm = MAX(inventory->next_vm, (id ? id : inventory->next_vm) + 1);
    tell_children(vm);
    *ret_vm = vm;
    return 0;
}

void vm_remove(struct virtual_machine *vm)
{
    vm_hang_up(vm);
    vm_settle_forget(vm);
    vm_snapshots_forget(vm);
    task_forget_entity(vm->e.hostd, &vm->e);
    perf_forget(vm->e.id);
    entity_remove(&vm->e);
    tell_children(vm);
    vmxfile_destroy(vm->vmx);
    free(vm->question);
    free(vm);
}

json_t *vm_to_json(struct virtual_machine *vm)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:I}", "id", vm->e.id, "name", vm->e.name,
                     "removing", vm->removing, "datastore", vm->datastore->e.id, "path", vm->rel,
                     "pool", vm->pool ? vm->pool->e.id : "ha-root-pool", "created",
                     (json_int_t)vm->created_us);
}

/* hostd was killed while the VM was being destroyed: so it is gone, with what was left of it. */
static void forget_destroyed(struct virtual_machine *vm)
{
    char folder[DSPATH_MAX];
    const char *last;

    vm_folder(vm, folder);
    cleanup_fd int parent = *folder ? dspath_open_parent(vm->datastore->fd, folder, &last) : -1;
    if (parent >= 0)
        (void)unlinkat(parent, last, AT_REMOVEDIR); /* what had to go was in it no more */
    EVENT_POST(vm->e.hostd, VmRemovedEvent, &vm->e, "", "Removed %s on %s and its files",
               vm->e.name, vm->e.hostd->inventory->host.name);
    vm_remove(vm);
}

int vm_from_json(struct inventory *inventory, json_t *item, struct err *err)
{
    const char *id, *name = NULL, *datastore_id, *path, *pool_id;
    struct virtual_machine *vm;
    json_int_t created = 0;
    int removing = 0;
    char *end;

    if (json_unpack(item, "{s:s, s?s, s?b, s:s, s:s, s:s, s?I}", "id", &id, "name", &name,
                    "removing", &removing, "datastore", &datastore_id, "path", &path, "pool",
                    &pool_id, "created", &created) < 0)
        return err_set(err, -EBADMSG, "an entry is damaged");
    unsigned long number = strtoul(id, &end, 10);
    struct datastore *datastore = datastore_find(inventory, datastore_id);
    if (!datastore || *end || !number || number > INT32_MAX)
        return err_set(err, -ENOENT, "\"%s\": its datastore is not there", path);
    struct mo *pool = mo_find(inventory->hostd->api.registry, pool_id);
    if (!pool || !vim_managed_is(pool->class->type, VIM_MANAGED(ResourcePool)))
        pool = &inventory->root_pool->e.mo;
    int rc = vm_add(inventory, (unsigned)number, datastore, path, ENTITY_OF(resource_pool, pool),
                    &vm, err);
    if (rc < 0)
        return rc;
    vm->created_us = created;
    if (!vm->vmx && name) /* its .vmx can not be read now */
        (void)snprintf(vm->e.name, sizeof vm->e.name, "%s", name);
    vm_adopt(vm);
    vm->removing = removing && vm->power == VM_OFF;
    if (!vm->removing)
        vm_settle(vm, true);
    return 0;
}

void vms_destroy_rest(struct inventory *inventory)
{
    struct entity *next = inventory_next(inventory, VIM_MANAGED(VirtualMachine), NULL), *e;

    while ((e = next)) {
        struct virtual_machine *vm = vm_of(&e->mo);
        next = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e);
        if (!vm->removing || vm->datastore->lost)
            continue;
        vm->removing = false;
        if (!vm->vmx || vm_destroy_rest(vm))
            forget_destroyed(vm);
    }
}

void vms_destroy(struct inventory *inventory)
{
    struct entity *e;

    while ((e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), NULL))) {
        struct virtual_machine *vm = vm_of(&e->mo);
        vm_hang_up(vm);
        vm_snapshots_forget(vm);
        mo_remove(&e->mo);
        vmxfile_destroy(vm->vmx);
        free(vm);
    }
}

/* --- who has which VMs --- */

struct vim_any vm_refs(struct call *call, bool (*test)(struct virtual_machine *vm, struct mo *what),
                       struct mo *what)
{
    VIM_LIST(struct vim_ref) list = {0};
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (test(vm_of(&e->mo), what) && entity_visible(call, &e->mo))
            VIM_ADD(call->arena, &list, mo_ref(&e->mo));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_REF, VIM_M_VirtualMachine, &list);
}

bool vm_in_pool(struct virtual_machine *vm, struct mo *pool)
{
    return vm->pool && &vm->pool->e.mo == pool && !vm_is_template(vm);
}

/* A card whose port group nobody named is on the default one. */
bool vm_on_network(struct virtual_machine *vm, struct mo *network)
{
    const char *wanted = ENTITY_OF(entity, network)->name;
    char key[32];

    for (unsigned i = 0; vm->vmx && i < VMCFG_NICS_MAX; i++) {
        (void)snprintf(key, sizeof key, "ethernet%u.present", i);
        const char *there = vmxfile_get(vm->vmx, key);
        if (!there || strcasecmp(there, "TRUE") != 0)
            continue;
        (void)snprintf(key, sizeof key, "ethernet%u.networkName", i);
        const char *name = vmxfile_get(vm->vmx, key);
        if (!strcmp(name && *name ? name : NETWORK_DEFAULT, wanted))
            return true;
    }
    return false;
}

bool vm_on_datastore(struct virtual_machine *vm, struct mo *datastore)
{
    if (&vm->datastore->e.mo == datastore)
        return true;
    for (unsigned i = 0; vm->vmx && i < vm->disk_count; i++) {
        char key[40];
        struct dspath path;
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vmxfile_get(vm->vmx, key);
        struct datastore *at = file ? vm_file(vm, file, &path) : NULL;
        if (at && &at->e.mo == datastore)
            return true;
    }
    return false;
}

void vm_set_pool(struct virtual_machine *vm, struct resource_pool *pool)
{
    struct resource_pool *before = vm->pool;

    vm->pool = pool;
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_resourcePool);
    if (before)
        mo_changed(&before->e.mo, VIM_P_ResourcePool_vm);
    mo_changed(&pool->e.mo, VIM_P_ResourcePool_vm);
}

void vm_move_pool(struct inventory *inventory, struct resource_pool *from, struct resource_pool *to)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_of(&e->mo)->pool == from)
            vm_set_pool(vm_of(&e->mo), to);
}

/* --- properties --- */

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    return vim_any_data(vm_config_info(call->arena, vm_of(mo)));
}

static struct vim_VirtualMachineRuntimeInfo *runtime(struct arena *arena,
                                                     const struct virtual_machine *vm)
{
    struct vim_VirtualMachineRuntimeInfo *r = VIM_NEW(arena, VirtualMachineRuntimeInfo);

    r->host = VIM_REF(HostSystem, "ha-host");
    r->connectionState = vm->datastore->lost ? VIM_VirtualMachineConnectionState_inaccessible
                         : vm->vmx           ? VIM_VirtualMachineConnectionState_connected
                                             : VIM_VirtualMachineConnectionState_invalid;
    r->powerState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
    r->faultToleranceState = VIM_VirtualMachineFaultToleranceState_notConfigured;
    r->recordReplayState = VIM_VirtualMachineRecordReplayState_inactive;
    r->question = vm_question_info(arena, vm);
    r->consolidationNeeded = vm_needs_consolidation(vm);
    r->paused = r->snapshotInBackground = r->quiescedForkParent = vim_bool(false);
    r->instantCloneFrozen = vim_bool(false);
    r->suspendInterval = vim_long(0);
    if (vm->boot_us && vm->power != VM_OFF)
        r->bootTime = vim_time(vm->boot_us);
    if (vm->power == VM_OFF)
        r->cleanPowerOff = vim_bool(vm->clean_off);
    if (vm->vmx) {
        r->maxMemoryUsage = vim_int((int32_t)(vm_memory(vm) >> 20));
        r->maxCpuUsage =
            vim_int((int32_t)(vm->e.hostd->inventory->machine.cpu_hz / 1000000 * vm_cpus(vm)));
    }
    return r;
}

static struct vim_any get_runtime(struct mo *mo, struct call *call)
{
    return vim_any_data(runtime(call->arena, vm_of(mo)));
}

static const struct guest_os *guest_os(const struct virtual_machine *vm)
{
    return guest_os_by_vmx(vm->vmx ? vmxfile_get(vm->vmx, "guestOS") : NULL);
}

static struct vim_VirtualMachineConfigSummary *config_summary(struct arena *arena,
                                                              const struct virtual_machine *vm)
{
    struct vim_VirtualMachineConfigInfo *config = vm_config_info(arena, vm);
    struct vim_VirtualMachineConfigSummary *s = VIM_NEW(arena, VirtualMachineConfigSummary);

    s->name = arena_strdup(arena, vm->e.name);
    s->vmPathName = vm_path_text(arena, vm);
    s->template = vm_is_template(vm);
    if (!config)
        return s;
    s->memorySizeMB = vim_int(config->hardware->memoryMB);
    s->numCpu = vim_int(config->hardware->numCPU);
    s->numEthernetCards = vim_int((int32_t)vm_count_devices(vm, "ethernet"));
    s->numVirtualDisks = vim_int((int32_t)vm->disk_count);
    s->uuid = config->uuid;
    s->instanceUuid = config->instanceUuid;
    s->guestId = config->guestId;
    s->guestFullName = config->guestFullName;
    s->annotation = config->annotation;
    s->installBootRequired = s->tpmPresent = vim_bool(false);
    s->numVmiopBackings = vim_int(0);
    s->cpuReservation = vim_int(0);
    s->memoryReservation = vim_int(0);
    return s;
}

int64_t vm_uncommitted(const struct virtual_machine *vm)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < vm->disk_count; i++)
        if (vm->disk[i].capacity > vm->disk[i].room)
            sum += (int64_t)(vm->disk[i].capacity - vm->disk[i].room);
    return sum;
}

static struct vim_VirtualMachineQuickStats *quick_stats(struct arena *arena,
                                                        const struct virtual_machine *vm)
{
    struct vim_VirtualMachineQuickStats *q = VIM_NEW(arena, VirtualMachineQuickStats);

    q->guestHeartbeatStatus = VIM_ManagedEntityStatus_gray;
    const struct perf_series *perf = vm->perf ? perf_find(vm->e.hostd->perf, vm->e.id) : NULL;
    int32_t consumed = perf ? perf_series_last(perf, PERF_mem_consumed) : 0,
            overhead = perf ? perf_series_last(perf, PERF_mem_overhead) : 0;

    q->overallCpuUsage = vim_int(perf ? perf_series_last(perf, PERF_cpu_usagemhz) : 0);
    q->overallCpuDemand = vim_int(perf ? perf_series_last(perf, PERF_cpu_demand) : 0);
    q->guestMemoryUsage = vim_int(perf ? perf_series_last(perf, PERF_mem_active) >> 10 : 0);
    q->hostMemoryUsage = vim_int((consumed + overhead) >> 10);
    q->privateMemory = q->grantedMemory = vim_int(consumed >> 10);
    q->activeMemory = q->guestMemoryUsage;
    q->overallCpuReadiness = vim_int(perf ? perf_series_last(perf, PERF_cpu_readiness) / 100 : 0);
    q->consumedOverheadMemory = vim_int(overhead >> 10);
    /* Nothing balloons, shares or compresses guests' memory; of swap Linux tells how much there is,
     * not whose. */
    const struct perf_series *host = perf_find(vm->e.hostd->perf, "ha-host");
    q->balloonedMemory = q->sharedMemory = vim_int(0);
    q->compressedMemory = q->ssdSwappedMemory = vim_long(0);
    if (!perf || (host && perf_series_last(host, PERF_mem_swapused) == 0))
        q->swappedMemory = vim_int(0);
    q->distributedCpuEntitlement = q->distributedMemoryEntitlement = vim_int(0);
    q->staticCpuEntitlement = q->staticMemoryEntitlement = vim_int(0);
    q->ftLogBandwidth = q->ftSecondaryLatency = vim_int(-1);
    q->ftLatencyStatus = VIM_ManagedEntityStatus_gray;
    q->uptimeSeconds =
        vim_int(vm->power == VM_ON ? (int32_t)((now_us() - vm->boot_us) / 1000000) : 0);
    return q;
}

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct vim_VirtualMachineSummary *s = VIM_NEW(call->arena, VirtualMachineSummary);

    s->vm = mo_ref(mo);
    s->runtime = runtime(call->arena, vm);
    s->config = config_summary(call->arena, vm);
    s->guest = VIM_NEW(call->arena, VirtualMachineGuestSummary);
    s->guest->toolsStatus = VIM_VirtualMachineToolsStatus_toolsNotInstalled;
    s->guest->toolsVersionStatus = s->guest->toolsVersionStatus2 = "guestToolsNotInstalled";
    s->guest->toolsRunningStatus = "guestToolsNotRunning";
    s->storage = VIM_NEW(call->arena, VirtualMachineStorageSummary);
    s->storage->committed = vm_usage_of(vm)->all.committed;
    s->storage->unshared = vm_usage_of(vm)->all.unshared;
    s->storage->uncommitted = vm_uncommitted(vm);
    s->storage->timestamp = vm->modified_us;
    s->quickStats = quick_stats(call->arena, vm);
    s->overallStatus = VIM_ManagedEntityStatus_green;
    return vim_any_data(s);
}

static struct vim_any get_guest(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct vim_GuestInfo *g = VIM_NEW(call->arena, GuestInfo);

    g->toolsStatus = VIM_VirtualMachineToolsStatus_toolsNotInstalled;
    g->toolsVersionStatus = g->toolsVersionStatus2 = "guestToolsNotInstalled";
    g->toolsRunningStatus = "guestToolsNotRunning";
    g->toolsVersion = "0";
    g->guestState = vm->power == VM_ON ? "running" : "notRunning";
    g->guestFamily = guest_os(vm)->family;
    g->guestOperationsReady = vim_bool(false);
    g->interactiveGuestOperationsReady = vim_bool(false);
    g->guestKernelCrashed = vim_bool(false);
    g->appHeartbeatStatus = "appStatusGray";
    g->appState = "none";
    g->guestStateChangeSupported = vim_bool(vm->power == VM_ON);
    VIM_EMPTY(&g->net);
    return vim_any_data(g);
}

struct vim_VirtualMachineCapability *vm_capability(struct arena *arena)
{
    struct vim_VirtualMachineCapability *c = VIM_NEW(arena, VirtualMachineCapability);

    c->bootOptionsSupported = true;
    c->snapshotOperationsSupported = c->multipleSnapshotsSupported = true;
    c->snapshotConfigSupported = c->poweredOffSnapshotsSupported = true;
    c->memorySnapshotsSupported = c->revertToSnapshotSupported = true;
    c->revertToSnapshotSupported = true;
    c->multipleCoresPerSocketSupported = true;
    c->secureBootSupported = vim_bool(true);
    return c;
}

static struct vim_any get_capability(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(vm_capability(call->arena));
}

static struct vim_any get_browser(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(EnvironmentBrowser, "ha-env-browser"));
}

static struct vim_any get_pool(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    (void)call;
    return vm->pool && !vm_is_template(vm) ? mo_value(&vm->pool->e.mo) : vim_any_none();
}

static struct vim_any get_datastores(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ref) list = {0};

    for (struct entity *e = NULL;
         (e = inventory_next(hostd_of(call)->inventory, VIM_MANAGED(Datastore), e));)
        if (vm_on_datastore(vm_of(mo), &e->mo) && entity_visible(call, &e->mo))
            VIM_ADD(call->arena, &list, mo_ref(&e->mo));
    return VIM_ANY_LIST(VIM_REF, VIM_M_Datastore, &list);
}

static struct vim_any get_networks(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ref) list = {0};
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Network), e));)
        if (vm_on_network(vm_of(mo), &e->mo) && entity_visible(call, &e->mo))
            VIM_ADD(call->arena, &list, mo_ref(&e->mo));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_REF, VIM_M_Network, &list);
}

static struct vim_any get_heartbeat(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return VIM_ANY_ENUM(ManagedEntityStatus, gray);
}

static void refresh_storage(struct mo *mo, struct call *call)
{
    (void)call;
    vm_measure_disks(vm_of(mo));
    mo_changed(mo, VIM_P_VirtualMachine_storage);
    mo_changed(mo, VIM_P_VirtualMachine_summary);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(VirtualMachine, config, get_config),
    MO_PROPERTY(VirtualMachine, runtime, get_runtime),
    MO_PROPERTY(VirtualMachine, summary, get_summary),
    MO_PROPERTY(VirtualMachine, guest, get_guest),
    MO_PROPERTY(VirtualMachine, capability, get_capability),
    MO_PROPERTY(VirtualMachine, environmentBrowser, get_browser),
    MO_PROPERTY(VirtualMachine, resourcePool, get_pool),
    MO_PROPERTY(VirtualMachine, datastore, get_datastores),
    MO_PROPERTY(VirtualMachine, network, get_networks),
    MO_PROPERTY(VirtualMachine, guestHeartbeatStatus, get_heartbeat),
    MO_PROPERTY(VirtualMachine, layoutEx, vm_get_layout_ex),
    MO_PROPERTY(VirtualMachine, layout, vm_get_layout),
    MO_PROPERTY(VirtualMachine, resourceConfig, vm_get_resource_config),
    MO_PROPERTY(VirtualMachine, storage, vm_get_storage),
    MO_PROPERTY(VirtualMachine, snapshot, vm_get_snapshot),
    MO_PROPERTY(VirtualMachine, rootSnapshot, vm_get_root_snapshot),
};
static const struct mo_method methods[] = {
    MO_METHOD(PowerOnVM_Task, vm_power_on),
    MO_METHOD(PowerOffVM_Task, vm_power_off),
    MO_METHOD(ResetVM_Task, vm_reset_task),
    MO_METHOD(SuspendVM_Task, vm_suspend),
    MO_METHOD(ShutdownGuest, vm_shutdown_guest),
    MO_METHOD(RebootGuest, vm_reboot_guest),
    MO_METHOD(UnregisterVM, vm_unregister),
    MO_METHOD(Destroy_Task, vm_destroy_task),
    MO_METHOD(Rename_Task, vm_rename),
    MO_METHOD(CloneVM_Task, vm_clone),
    MO_METHOD(ExportVm, vm_export),
    MO_METHOD(RelocateVM_Task, vm_relocate),
    MO_METHOD(MarkAsTemplate, vm_mark_as_template),
    MO_METHOD(MarkAsVirtualMachine, vm_mark_as_vm),
    MO_METHOD(ReconfigVM_Task, vm_reconfigure),
    MO_METHOD(AnswerVM, vm_answer),
    MO_METHOD(UpgradeVM_Task, vm_upgrade),
    MO_METHOD(Reload, vm_reload_method),
    MO_METHOD(RefreshStorageInfo, refresh_storage),
    MO_METHOD(CreateSnapshot_Task, vm_create_snapshot),
    MO_METHOD(CreateSnapshotEx_Task, vm_create_snapshot_ex),
    MO_METHOD(RevertToCurrentSnapshot_Task, vm_revert_to_current),
    MO_METHOD(RemoveAllSnapshots_Task, vm_remove_all_snapshots),
    MO_METHOD(ConsolidateVMDisks_Task, vm_consolidate_disks),
    MO_METHOD(AcquireTicket, vm_acquire_ticket),
    MO_METHOD(AcquireMksTicket, vm_acquire_mks_ticket),
    MO_METHOD(CreateScreenshot_Task, vm_create_screenshot),
    MO_METHOD(PutUsbScanCodes, vm_put_usb_scan_codes),
    MO_METHOD(MountToolsInstaller, vm_mount_tools),
    MO_METHOD(UnmountToolsInstaller, vm_unmount_tools),
    MO_METHOD(UpgradeTools_Task, vm_upgrade_tools),
    MO_METHOD(StandbyGuest, vm_standby_guest),
    MO_METHOD(TerminateVM, vm_terminate),
    MO_METHOD(QueryUnownedFiles, vm_query_unowned),
    MO_METHOD(ResetGuestInformation, vm_reset_guest_information),
};
const struct mo_class virtual_machine_class = {
    .type = VIM_MANAGED(VirtualMachine),
    .base = &entity_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
