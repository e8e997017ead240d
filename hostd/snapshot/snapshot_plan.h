/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation on snapshots is about to do, on stable storage before it does it: a dictionary
 * NAME.vmsd.plan beside the VM's .vmx. Whoever finds one (the operation itself at its end, whether
 * it went well or not, or the next hostd after a crash) settles it (snapshot_files_settle), which
 * may be begun any number of times:
 *
 *   1  Is it done? It is when `done` is set, or when the .vmx has all of `disk`. That .vmx is
 *      written by one rename, by hostd or by the keeper, and is the moment at which the operation
 *      becomes true; before it the operation is undone by 3 alone.
 *   2  If so: what stands on the layer `fold.from` becomes a child of `fold.into`, which has all
 *      that the other has, and kept .vmx files name that; NAME.vmsd.next becomes NAME.vmsd (one
 *      rename), and firmware's variables those of snapshot `nvram`.
 *   3  Each `file` that nothing needs goes: a disk that neither the .vmx nor a listed snapshot
 *      stands on, a kept file of a snapshot that is not listed.
 *
 *   4  snapshot.needConsolidate says whether the VM stands on layers that nobody lists.
 *
 *   5  The plan goes.
 *
 * Invariant: every file that the operation makes or makes superfluous is in a plan before. So
 * at any moment, whoever is killed, the .vmx and the .vmsd name whole disks, and what else is there
 * is named by the plan. Nothing else is removed: a file that this VM's operations have not made or
 * used is nobody's business. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "config/vmsd.h"
#include "disk/disk.h"

struct snapshot_plan {
    bool done;
    bool list;      /* there is a new list, NAME.vmsd.next */
    uint32_t nvram; /* VMSD_NONE: the variables stay */
    char fold_from[DISK_NAME_MAX], fold_into[DISK_NAME_MAX]; /* ""; names in the VM's folder */
    struct snapshot_plan_disk {
        char node[16], file[DISK_NAME_MAX];
    } disk[VMSD_DISKS_MAX];
    unsigned disk_count;
    char (*file)[DISK_NAME_MAX]; /* owned; names in the VM's folder, each once */
    unsigned file_count;
};

struct snapshot_plan *snapshot_plan_create(void); /* empty: not done, nothing */
void snapshot_plan_destroy(struct snapshot_plan *plan);
DEFINE_CLEANUP(struct snapshot_plan *, snapshot_plan_destroy)
#define cleanup_snapshot_plan CLEANUP(snapshot_plan_destroy_cleanup_)

/* -ENOMEM, -E2BIG. */
int snapshot_plan_add_disk(struct snapshot_plan *plan, const char *node, const char *file);
int snapshot_plan_add_file(struct snapshot_plan *plan, const char *name);

/* The bytes are foreign: names that lead out of the folder, or too many, are -EBADMSG. */
int snapshot_plan_parse(const char *name, const void *data, size_t len,
                        struct snapshot_plan **ret_plan, struct err *err);
int snapshot_plan_load(const char *path, struct snapshot_plan **ret_plan, struct err *err);
int snapshot_plan_save(const struct snapshot_plan *plan, const char *path, struct err *err);
