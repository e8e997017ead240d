/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machines. The truth about what a VM is stands in its .vmx file on the datastore; `vmx` is
 * that file as it was read or written last. What a VM does at the moment is known by its keeper
 * (vm/process/keeper.h); hostd is one of the keeper's listeners.
 *
 *   virtual_machine.c  the object: runtime, summary, guest ...; registry of VMs
 *   vm_config.c        `config`: the dictionary as the API's structs
 *   vm_device.c        devices of the dictionary as the API's structs
 *   vm_edit.c          a ConfigSpec applied to a dictionary, with the files that this needs
 *   vm_edit_device.c   deviceChange of it
 *   vm_create.c        create, register, unregister, destroy, rename, reconfigure: tasks
 *   vm_snapshot.c      snapshots: objects and tasks; snapshot_files.c: what they do to files
 *   vm_screen.c        screenshots, typing; vm_ticket.c: consoles
 *   vm_power.c         power, reset, guest shutdown; the keeper; adoption
 *   vm_suspend.c       suspended VMs
 *   vm_change.c        what is done to a VM while it runs
 *   vm_hot.c           disks and cards that come and go meanwhile
 *   vm_question.c      what it asks; vm_identity.c: moved or copied?
 *
 * At most one operation at a time changes a VM (`task`); another is refused with TaskInProgress. */
#pragma once

#include <jansson.h>
#include <limits.h>

#include "base/loop.h"
#include "config/vmxfile.h"
#include "hostd/model/datastore.h"
#include "hostd/model/resource_pool.h"
#include "hostd/task/task.h"
#include "vm/process/keeper.h"

enum { VM_DISKS_MAX = 64, VM_USAGE_MAX = 8, VM_DISK_UUID = 37, VM_HARDWARE_OLDEST = 7, VM_HARDWARE_NEWEST = 21 /* virtualHW.version */ };

struct vim_VirtualMachineConfigInfo;
struct vim_VirtualHardware;

enum vm_power { VM_OFF, VM_STARTING, VM_ON, VM_STOPPING };

struct virtual_machine {
    struct entity e; /* id: a positive number */
    struct datastore *datastore;
    char rel[DSPATH_MAX]; /* of the .vmx on it */
    struct vmxfile *vmx;  /* NULL: could not be read; `trouble` says why */
    struct err trouble;
    int64_t modified_us, created_us;
    unsigned change; /* counts changes of vmx */
    struct resource_pool *pool;
    struct task *task; /* the operation under way */
    bool coming;       /* its folder is marked (vm_coming.h) */
    bool unfinished;   /* on its way in (vm_transfer.h): not to be kept yet */
    bool removing;     /* its files are going; kept in the inventory's file, for the next hostd */
    struct vmsd *vmsd; /* its snapshots; NULL: none */
    struct vm_snapshot *snapshots;
    struct vm_settling *settling; /* vm_settle.h; NULL: nothing of that kind is under way */

    /* Capacities of its disks (bytes) by the device's name in the .vmx, "scsi0:0". */
    struct vm_disk {
        char slot[16];
        uint64_t capacity, room;
        bool thin;
        char uuid[VM_DISK_UUID]; /* "": it has none */
    } disk[VM_DISKS_MAX];
    unsigned disk_count;
    /* Bytes that its files take (vm/vm_usage.h, which alone reads and writes this). */
    struct vm_usage {
        bool known;
        uint64_t at;    /* ns, monotonic */
        unsigned power; /* enum vm_power then */
        struct vm_usage_on {
            const struct datastore *datastore; /* to be compared: it may have gone */
            int64_t committed, unshared;
        } all, on[VM_USAGE_MAX]; /* of more datastores `all` alone tells */
        unsigned count;
    } usage;

    enum vm_power power;
    char keeper_path[40]; /* run/vm/ID.sock */
    struct loop_source keeper;
    struct perf_entity *perf; /* while it runs: perf/perf.h */
    int64_t boot_us;
    bool clean_off;
    /* The change that its keeper is at (vm_change.h); NULL: none. */
    void (*change_done)(void *ctx, int rc, const struct err *why, uint64_t stood_us);
    void *change_ctx;
    uint64_t change_token;
    uint64_t keeper_version;
    bool keeper_heard; /* on this connection */
    bool keeper_busy;  /* with a change that an earlier hostd has asked for, or it does not say */
    uint64_t changes;  /* that its keeper has done */
    uint64_t expected; /* the same when the operation under way began, and its own since */
    struct vm_question *question; /* vm_question.h; NULL: none */
    bool identifying;             /* on its way to a start (vm_identity.h) */
    void (*when_identified)(struct virtual_machine *vm);
    bool start_waits;  /* it runs; its start is over when its keeper has done what lets it go on */
    bool end_is_tasks; /* it is being stopped, and the task under way ends when it is off */
    void (*when_off)(void *ctx); /* vm_stop_for_task */
    void *when_off_ctx;
};

static inline struct virtual_machine *vm_of(struct mo *mo)
{
    return ENTITY_OF(virtual_machine, mo);
}

extern const struct mo_class virtual_machine_class;

/* --- registry --- */

/* Reads the .vmx and adds the VM. `id` 0: the next free number. */
int vm_add(struct inventory *inventory, unsigned id, struct datastore *datastore, const char *rel,
           struct resource_pool *pool, struct virtual_machine **ret_vm, struct err *err);
void vm_remove(struct virtual_machine *vm); /* from the inventory, not its files */
/* Reads the .vmx again; vm->trouble has what was wrong. */
void vm_reload(struct virtual_machine *vm);
/* Takes a new dictionary over; tells watchers. */
void vm_set_vmx(struct virtual_machine *vm, struct vmxfile *vmx);
int vm_copy_vmx(const struct virtual_machine *vm, struct vmxfile **ret_vmx);
void vm_tell_changes(struct virtual_machine *vm); /* of its .vmx, to watchers */
void vm_measure_disks(struct virtual_machine *vm);
struct virtual_machine *vm_by_id(struct hostd *hostd, const char *id); /* NULL: none */
struct virtual_machine *vm_by_path(struct inventory *inventory, const struct datastore *datastore,
                                   const char *rel);

json_t *vm_to_json(struct virtual_machine *vm);
int vm_from_json(struct inventory *inventory, json_t *item, struct err *err);
/* When all are known: those go for good that were going when hostd was killed. */
void vms_destroy_rest(struct inventory *inventory);
void vms_destroy(struct inventory *inventory);

/* References of the VMs for which `test(vm, what)` says yes and that the caller may see. */
struct vim_any vm_refs(struct call *call, bool (*test)(struct virtual_machine *vm, struct mo *what),
                       struct mo *what);
bool vm_in_pool(struct virtual_machine *vm, struct mo *pool);
bool vm_on_network(struct virtual_machine *vm, struct mo *network);
bool vm_on_datastore(struct virtual_machine *vm, struct mo *datastore);
void vm_set_pool(struct virtual_machine *vm, struct resource_pool *pool);
void vm_move_pool(struct inventory *inventory, struct resource_pool *from,
                  struct resource_pool *to);

/* "[datastore1] dir/x.vmx" and its folder's relative name. */
const char *vm_path_text(struct arena *arena, const struct virtual_machine *vm);
void vm_folder(const struct virtual_machine *vm, char folder[DSPATH_MAX]);

/* What a file name in the .vmx means: "x.vmdk" beside it, "/vmfs/volumes/...", "[ds] ...". */
struct datastore *vm_file(const struct virtual_machine *vm, const char *name,
                          struct dspath *ret_path);
/* Where firmware's variables are, if there are any: the VM's own, or what snapshot `uid` has kept
 * of them (VMSD_NONE: the VM's own). */
struct datastore *vm_nvram(const struct virtual_machine *vm, uint32_t uid, struct dspath *ret_path);
/* Does its .vmx name this as the file of a device? Of one that can not be read: perhaps, so yes. */
bool vm_names_file(const struct virtual_machine *vm, const struct datastore *datastore,
                   const char *rel);
const char *vm_file_text(struct arena *arena, const struct virtual_machine *vm, const char *name);

/* --- values --- */

struct vim_VirtualMachineConfigInfo *vm_config_info(struct arena *arena,
                                                    const struct virtual_machine *vm);
/* Does another property than extraConfig say what this key of a .vmx says? */
bool vm_config_has_field(const char *key);
/* What every VM can, and has. */
struct vim_VirtualMachineCapability *vm_capability(struct arena *arena);
void vm_default_devices(struct arena *arena, struct vim_VirtualHardware *hardware);
void vm_devices(struct arena *arena, const struct virtual_machine *vm,
                struct vim_VirtualHardware *hardware);
unsigned vm_count_devices(const struct virtual_machine *vm, const char *prefix);
uint64_t vm_memory(const struct virtual_machine *vm); /* bytes */
unsigned vm_cpus(const struct virtual_machine *vm);
/* "scsi0:0" of a device's key, and back; false: no disk or CD has such a key. */
bool vm_slot_of_key(int32_t key, char slot[16]);
/* A disk's mode as the API has it ("independent_persistent") of what the .vmx says, which may be
 * nothing. */
/* Room that its disks may still take. */
int64_t vm_uncommitted(const struct virtual_machine *vm);
const char *vm_disk_mode(struct arena *arena, const char *mode);
int32_t vm_key_of_slot(const char *slot); /* -1: none */

/* --- methods --- */

/* A new VM by a spec: its name, place and dictionary. False: the call has its fault. */
struct plan;
struct vim_VirtualMachineConfigSpec;
bool vm_plan_new(struct call *call, struct plan *plan,
                 const struct vim_VirtualMachineConfigSpec *spec);
void vm_create(struct mo *mo, struct call *call);
void vm_create_in_pool(struct mo *mo, struct call *call);
void vm_register(struct mo *mo, struct call *call);
void vm_register_in_pool(struct mo *mo, struct call *call);
void vm_unregister(struct mo *mo, struct call *call);
void vm_destroy_task(struct mo *mo, struct call *call);
/* What a hostd that was killed in the middle of that had left of its files; false: there is still
 * something. Its inventory entry stays. */
bool vm_destroy_rest(struct virtual_machine *vm);
void vm_rename(struct mo *mo, struct call *call);
void vm_reconfigure(struct mo *mo, struct call *call);
void vm_upgrade(struct mo *mo, struct call *call);
void vm_reload_method(struct mo *mo, struct call *call);

void vm_power_on(struct mo *mo, struct call *call);
/* Cuts it off, whatever is under way, or presses its power button; nothing if it does not run. */
void vm_stop_by_host(struct virtual_machine *vm);
void vm_press_power(struct virtual_machine *vm);
void vm_power_on_by_host(struct virtual_machine *vm); /* no task; what comes of it is an event */
/* Within an operation: its task ends when the VM runs; and `off` is called, perhaps at once, when
 * it does not run (any more). */
void vm_start_for_task(struct virtual_machine *vm);
/* A VM that was suspended is let go on by a change (vm_suspend.c), and that is done. */
void vm_gone_on(struct virtual_machine *vm);
/* It is on its way to its end, which is the task's. */
void vm_end_is_tasks(struct virtual_machine *vm);
void vm_stop_for_task(struct virtual_machine *vm, void (*off)(void *ctx), void *ctx);
void vm_power_on_many(struct mo *mo, struct call *call);
void vm_power_off(struct mo *mo, struct call *call);
void vm_reset_task(struct mo *mo, struct call *call);
void vm_suspend(struct mo *mo, struct call *call);
void vm_shutdown_guest(struct mo *mo, struct call *call);
void vm_reboot_guest(struct mo *mo, struct call *call);

/* The machine that `vmx` describes, its files by the names that Linux knows. An initialised or
 * zeroed *ret_cfg, which is the caller's to free in every case. */
int vm_read_config(struct virtual_machine *vm, const struct vmxfile *vmx, struct vmcfg *ret_cfg,
                   struct err *err);

/* Finds the VM's keeper again, or what its last words were. At start, for each VM. */
void vm_adopt(struct virtual_machine *vm);
void vm_hang_up(struct virtual_machine *vm); /* forgets the keeper; the VM goes on */

int vm_power_state(const struct virtual_machine *vm); /* enum vim_VirtualMachinePowerState */

/* --- operations --- */

/* A fault if the VM can not be changed now: false. */
bool vm_begin(struct call *call, struct virtual_machine *vm, struct task **ret_task);
/* Somebody is at it: answers the call with TaskInProgress and the task; InvalidState where it is no
 * task that is under way. A text says that it is so, and why. */
bool vm_fault_busy(struct call *call, struct virtual_machine *vm, const char *text);
/* The VM in a state that an operation needs: fails the task and answers false if not. */
bool vm_require_power(struct task *task, struct virtual_machine *vm, int state);
/* The same before there is a task, powered on: answers the call with the fault if not. */
bool vm_require_on(struct call *call, struct virtual_machine *vm);
void vm_fail_power(struct task *task, struct virtual_machine *vm, int requested);
void vm_end(struct virtual_machine *vm); /* the operation is over; before the task ends */
