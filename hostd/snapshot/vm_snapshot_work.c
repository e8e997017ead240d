/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/vm_snapshot_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/snapshot/snapshot_files.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/vm/vm_access.h"
#include "hostd/vm/vm_change.h"
#include "hostd/vm/vm_suspend.h"

/* The VM stands still for what it has written while its disks were merged: as long as that is more
 * than this, and not too often, it is merged in the same way. */
enum { ROUNDS_MAX = 8 };
#define LAST_BYTES (UINT64_C(32) << 20)

struct snapshot_work {
    struct haul haul; /* first */
    struct virtual_machine *vm;
    struct snapshot_files files;
    void (*next)(struct snapshot_work *w); /* after a piece that went well */
    void (*go)(struct snapshot_work *w);   /* the operation itself */
    char *name, *description;
    uint32_t uid;
    int rc; /* what came of it, before the files were settled */
    struct err why;
    bool live;               /* the VM runs */
    bool memory, created;    /* create */
    bool suppress, restored; /* revert */
    struct vmxfile *kept;    /* revert, owned: what its user may have; NULL: see unread */
    struct err unread;
    bool children, keep_list; /* remove; consolidate keeps the list */
    bool keep_disks;          /* remove: nothing is merged */
    bool again;               /* remove: the VM has written much meanwhile */
    unsigned rounds;
    uint64_t stood_us;
};

static struct snapshot_work *work_of(struct haul *haul)
{
    return container_of(haul, struct snapshot_work, haul);
}

/* --- pieces --- */

static void work_free(struct snapshot_work *w)
{
    snapshot_files_free(&w->files);
    vmxfile_destroy(w->kept);
    free(w->name);
    free(w->description);
    free(w);
}

/* What a disk has to do with is a fault of files, also where the text names it without its folder:
 * then it is said of the .vmx. */
static void end_task(struct snapshot_work *w, struct vim_any result)
{
    static const int of_files[] = {-ENOSPC, -EDQUOT, -EBUSY, -EROFS, -EACCES, -EIO, -EUCLEAN};
    struct arena cleanup_arena arena = {0};
    char vmx[DSPATH_MAX + 128];
    const char *file = fault_named_file(&arena, w->haul.err.text);

    dspath_format(w->vm->datastore->e.name, w->vm->rel, vmx, sizeof vmx);
    for (unsigned i = 0; !file && i < ARRAY_SIZE(of_files); i++)
        if (w->haul.rc == of_files[i])
            file = vmx;
    haul_end(&w->haul, result, file);
}

/* The files are settled. */
static void finish(struct snapshot_work *w)
{
    struct virtual_machine *vm = w->vm;
    struct vim_any result = vim_any_none();

    if (w->stood_us)
        log_info("VM %s stood still for %.1f ms", vm->e.id, (double)w->stood_us / 1000);
    vm_end(vm);
    vm_settle(vm, false); /* where that could not be: the VM has ended meanwhile */
    vm_read_again(vm);    /* whatever came of it, what is on the datastore now is what counts */
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_runtime);
    if (w->haul.rc == 0 && w->created)
        result = vim_any_ref(vm_snapshot_ref(vm, w->uid));
    end_task(w, result);
    work_free(w);
}

static void settled(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);

    snapshot_files_close(&w->files);
    if (w->rc < 0 && !w->created) { /* what went wrong first counts */
        haul->rc = w->rc;
        haul->err = w->why;
    }
    finish(w);
}

/* A snapshot that is listed is there, whatever was heard of it: its VM may have ended just then. */
static int run_settle(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0)
        rc = snapshot_files_settle(&w->files, &haul->err);
    if (rc == 0)
        snapshot_files_sweep(&w->files);
    w->created = rc == 0 && w->files.uid && snapshot_files_is_listed(&w->files, w->files.uid);
    w->uid = w->created ? w->files.uid : w->uid;
    return rc;
}

/* The VM is still at it: vm_settle will, when it has done that. */
static int run_nothing(struct haul *haul)
{
    (void)haul;
    return 0;
}

/* The end of every operation. */
static void conclude(struct snapshot_work *w, int rc, const struct err *why)
{
    w->rc = rc;
    w->why = rc < 0 ? *why : ERR_INIT;
    w->why.code = rc;
    w->haul.tidies = true;
    w->haul.run = w->vm->keeper_busy ? run_nothing : run_settle;
    w->haul.done = settled;
    haul_start(&w->haul);
}

static void piece_done(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);

    snapshot_files_close(&w->files);
    if (haul->rc < 0 || !w->next)
        conclude(w, haul->rc, &haul->err);
    else
        w->next(w);
}

/* `run` on a thread, then `next`; NULL: that was all. */
static void do_piece(struct snapshot_work *w, int (*run)(struct haul *haul),
                     void (*next)(struct snapshot_work *w))
{
    w->haul.run = run;
    w->haul.done = piece_done;
    w->next = next;
    haul_start(&w->haul);
}

/* The VM takes over what files.vmx says; then `done`, with the work. */
static void change(struct snapshot_work *w, unsigned flags, vm_change_done *done)
{
    struct vm_change_order order = {
        .flags = flags, .state_fd = w->files.state_fd, .vmx = w->files.vmx};
    struct err err = ERR_INIT;
    int rc = vm_change_send(w->vm, &order, done, w, &err);

    if (rc < 0)
        done(w, rc, &err, 0);
}

static struct snapshot_work *begin(struct call *call, struct virtual_machine *vm)
{
    struct snapshot_work *w = calloc(1, sizeof *w);
    bool must_wait = vm_settle_must_wait(vm);

    if (!w)
        CALL_FAULT(call, SystemError);
    else if (must_wait)
        (void)vm_fault_busy(call, vm,
                            "The VM is still at what was begun before the host's management "
                            "service was restarted.");
    if (!w || must_wait || !vm_begin(call, vm, &w->haul.task)) {
        free(w);
        return NULL;
    }
    snapshot_files_init(&w->files);
    w->haul.hostd = hostd_of(call);
    w->vm = vm;
    vm_snapshots_locate(vm, &w->files);
    return w;
}

static int run_settle_first(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    return rc < 0 ? rc : snapshot_files_settle(&w->files, &haul->err);
}

static void settled_first(struct snapshot_work *w)
{
    vm_read_again(w->vm);
    w->go(w);
}

/* What can be known not to go, before the VM is stopped or its files are touched. */
static int can_write(const struct snapshot_work *w, struct err *err)
{
    int rc = w->vm->datastore->lost                                              ? -ENOENT
             : faccessat(AT_FDCWD, w->files.folder, W_OK | X_OK, AT_EACCESS) < 0 ? -errno
                                                                                 : 0;

    return rc < 0 ? err_sys(err, rc, "\"%s\"", w->files.folder) : 0;
}

/* What of an operation before could not be settled is settled first. */
static void start(struct snapshot_work *w, void (*go)(struct snapshot_work *w))
{
    struct err err = ERR_INIT;
    int rc = can_write(w, &err);

    w->go = go;
    if (rc < 0)
        conclude(w, rc, &err);
    else if (snapshot_files_has_plan(&w->files))
        do_piece(w, run_settle_first, settled_first);
    else
        go(w);
}

/* files.vmx is what the VM's is; false: the work has ended. */
static bool take_vmx(struct snapshot_work *w)
{
    struct err err = ERR_INIT;

    vmxfile_destroy(TAKE_PTR(w->files.vmx));
    int rc = vm_copy_vmx(w->vm, &w->files.vmx);
    if (rc < 0)
        conclude(w, err_sys(&err, rc, "the VM's configuration"), &err);
    return rc == 0;
}

/* --- create --- */

static int run_prepare(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0)
        rc = snapshot_files_prepare(&w->files, w->name, w->description, w->memory, &haul->err);
    if (rc == 0 && !w->live)
        rc = snapshot_files_branch(&w->files, &haul->err);
    if (rc == 0 && !w->live)
        rc = snapshot_files_complete(&w->files, &haul->err);
    return rc;
}

static int run_complete(struct haul *haul)
{
    return snapshot_files_complete(&work_of(haul)->files, &haul->err);
}

static void frozen(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct snapshot_work *w = ctx;

    w->stood_us = stood_us;
    if (rc == 0)
        do_piece(w, run_complete, NULL);
    else
        conclude(w, rc, why);
}

static void freeze(struct snapshot_work *w)
{
    change(w, VM_CHANGE_CHILDREN, frozen);
}

static void prepare(struct snapshot_work *w)
{
    w->live = w->vm->power == VM_ON;
    w->memory &= w->live;
    if (take_vmx(w))
        do_piece(w, run_prepare, w->live ? freeze : NULL);
}

void snapshot_create(struct call *call, struct virtual_machine *vm, const char *name,
                     const char *description, bool memory)
{
    struct snapshot_work *w = begin(call, vm);

    if (!w)
        return;
    w->name = strdup(name);
    w->description = strdup(description);
    w->memory = memory;
    start(w, prepare);
}

/* --- revert --- */

static int run_revert(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0 && !w->kept) {
        haul->err = w->unread;
        rc = w->unread.code;
    }
    if (rc == 0)
        rc = snapshot_files_revert(&w->files, w->uid, w->kept, true, &w->restored, &haul->err);
    return rc < 0 ? rc : snapshot_files_settle(&w->files, &haul->err);
}

/* The task ends when the VM runs. */
static void reverted(struct snapshot_work *w)
{
    struct virtual_machine *vm = w->vm;

    vm_drop_state(vm);
    if (!w->restored || w->suppress) {
        conclude(w, 0, NULL);
        return;
    }
    vm_read_again(vm);
    work_free(w);
    vm_start_for_task(vm);
}

static void revert_files(void *ctx)
{
    struct snapshot_work *w = ctx;

    if (take_vmx(w))
        do_piece(w, run_revert, reverted);
}

static void stop_and_revert(struct snapshot_work *w)
{
    vm_stop_for_task(w->vm, revert_files, w);
}

/* What the VM gets back, he may use who reverts it. What can not be read fails in the task. */
static bool may_revert(struct call *call, struct virtual_machine *vm, uint32_t uid,
                       struct vmxfile **ret_kept, struct err *err)
{
    cleanup_free struct snapshot_files *files = calloc(1, sizeof *files);
    char path[PATH_MAX];

    if (!files) {
        CALL_FAULT(call, SystemError);
        return false;
    }
    vm_snapshots_locate(vm, files);
    snapshot_files_kept_path(files, uid, ".vmx", path);
    return vmxfile_load(path, ret_kept, err) < 0 || vm_access_all(call, vm, *ret_kept, vm->vmx);
}

void snapshot_revert(struct call *call, struct virtual_machine *vm, uint32_t uid, bool suppress)
{
    cleanup_vmxfile struct vmxfile *kept = NULL;
    struct err unread = ERR_INIT;
    struct snapshot_work *w = may_revert(call, vm, uid, &kept, &unread) ? begin(call, vm) : NULL;

    if (!w)
        return;
    w->kept = TAKE_PTR(kept);
    w->unread = unread;
    w->uid = uid;
    w->suppress = suppress;
    start(w, stop_and_revert);
}

/* --- remove, consolidate --- */

static int run_unlist(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0 && !w->keep_list)
        rc = snapshot_files_unlist(&w->files, w->uid, w->children, &haul->err);
    if (rc == 0 && w->keep_disks)
        return 0;
    if (rc == 0)
        rc = snapshot_files_find(&w->files, &haul->err);
    if (rc == 0)
        rc = snapshot_files_fold(&w->files, w->live, haul_progress, haul, &haul->err);
    if (rc == 0 && w->live)
        rc = snapshot_files_check_disks(&w->files, &haul->err);
    if (rc == 0 && w->files.merge_count && w->live)
        rc = snapshot_files_divert(&w->files, &haul->err);
    if (rc == 0 && !w->live)
        rc = snapshot_files_merge(&w->files, false, haul_progress, haul, &haul->err);
    return rc;
}

static int run_find_and_merge(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0)
        rc = snapshot_files_find(&w->files, &haul->err);
    if (rc == 0)
        rc = snapshot_files_fold(&w->files, false, haul_progress, haul, &haul->err);
    return rc < 0 ? rc : snapshot_files_merge(&w->files, false, haul_progress, haul, &haul->err);
}

/* The guest has switched the VM off meanwhile. */
static bool has_ended(struct snapshot_work *w)
{
    if (w->vm->power != VM_OFF)
        return false;
    vm_reload(w->vm);
    if (take_vmx(w))
        do_piece(w, run_find_and_merge, NULL);
    return true;
}

static void landed(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct snapshot_work *w = ctx;

    w->stood_us = MAX(w->stood_us, stood_us);
    if (rc == 0)
        conclude(w, 0, NULL);
    else if (rc != -EPIPE || !has_ended(w))
        conclude(w, rc, why);
}

/* What has been folded is gone when the VM opens its disks anew, and gives its room back then. A
 * keeper of an older build does that with the next snapshot, or when the VM ends. */
static unsigned reopening(const struct snapshot_work *w)
{
    return w->files.fold_count && w->vm->keeper_version >= KEEPER_REOPENS ? VM_CHANGE_REOPEN : 0;
}

/* All is done as it was wanted, whatever comes of this. */
static void reopened(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct snapshot_work *w = ctx;

    w->stood_us = MAX(w->stood_us, stood_us);
    if (rc < 0)
        log_info("VM %s: its disks are not opened anew: %s", w->vm->e.id, why->text);
    conclude(w, 0, NULL);
}

static int run_merge(struct haul *haul)
{
    struct snapshot_work *w = work_of(haul);
    int rc = snapshot_files_open(&w->files, &haul->err);

    if (rc == 0)
        rc = snapshot_files_merge(&w->files, true, haul_progress, haul, &haul->err);
    if (rc < 0)
        return rc;
    w->again = snapshot_files_diverted(&w->files) > LAST_BYTES && ++w->rounds < ROUNDS_MAX;
    if (!w->again)
        return snapshot_files_land(&w->files, &haul->err);
    snapshot_files_advance(&w->files);
    return snapshot_files_divert(&w->files, &haul->err);
}

static void merged(struct snapshot_work *w);

static void diverted(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct snapshot_work *w = ctx;

    w->stood_us = MAX(w->stood_us, stood_us);
    if (rc == 0)
        do_piece(w, run_merge, merged);
    else if (rc != -EPIPE || !has_ended(w))
        conclude(w, rc, why);
}

static void merged(struct snapshot_work *w)
{
    if (has_ended(w))
        return;
    if (w->again)
        change(w, VM_CHANGE_CHILDREN, diverted);
    else
        change(w, VM_CHANGE_MERGE | reopening(w), landed);
}

static void divert(struct snapshot_work *w)
{
    if (w->live && w->files.merge_count) {
        if (!has_ended(w))
            change(w, VM_CHANGE_CHILDREN, diverted);
    } else if (w->live && w->vm->power == VM_ON && reopening(w)) {
        change(w, VM_CHANGE_REOPEN, reopened);
    } else {
        conclude(w, 0, NULL);
    }
}

static void remove_or_merge(struct snapshot_work *w)
{
    w->live = w->vm->power == VM_ON;
    if (take_vmx(w))
        do_piece(w, run_unlist, divert);
}

void snapshot_remove(struct call *call, struct virtual_machine *vm, uint32_t uid, unsigned flags)
{
    struct snapshot_work *w = begin(call, vm);

    if (!w)
        return;
    w->uid = uid;
    w->children = flags & SNAPSHOT_CHILDREN;
    w->keep_disks = flags & SNAPSHOT_KEEP_DISKS;
    start(w, remove_or_merge);
}

void snapshot_consolidate(struct call *call, struct virtual_machine *vm)
{
    struct snapshot_work *w = begin(call, vm);

    if (!w)
        return;
    w->keep_list = true;
    start(w, remove_or_merge);
}
