/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots do to the files of a VM (vm_snapshot.h has the order and why). Runs on a thread of
 * its own; knows files only. An operation on a VM that runs comes in pieces, between which the
 * VM's keeper does its part with files->vmx: what the .vmx is to become.
 *
 * Each operation writes a plan first (snapshot_plan.h) and ends, well or not, with
 * snapshot_files_settle; so does the next hostd where this one was killed. */
#pragma once

#include <limits.h>

#include "base/err.h"
#include "config/vmsd.h"
#include "config/vmxfile.h"
#include "disk/disk.h"
#include "hostd/snapshot/snapshot_plan.h"

/* A disk whose parents, from the next below `top` on, nobody needs for themselves: what `top` and
 * the `layers` - 1 below it hold goes into `into`. */
struct snapshot_merge {
    char node[16]; /* where the VM has `top`; "" in `fold` */
    char top[DISK_NAME_MAX], into[DISK_NAME_MAX];
    unsigned layers;
};

struct snapshot_files {
    char folder[PATH_MAX];    /* the VM's, as Linux knows it */
    char stem[256];           /* NAME of NAME.vmx */
    char prefix[2][PATH_MAX]; /* how a .vmx may name the folder: "/vmfs/volumes/.../" */
    struct vmxfile *vmx;      /* as it is, then as it becomes; owned */

    /* Between the pieces. */
    struct vmxfile *before;       /* create: what is frozen; owned */
    char state[300];              /* create: name of the state file; "": without memory */
    int state_fd;                 /* the same, owned; -1 */
    struct snapshot_merge *merge; /* owned; of the VM's own disks */
    unsigned merge_count;
    struct snapshot_merge *fold; /* owned; between snapshots that stay: who stands on `top`, and the
                                    snapshots that have it, get `into` instead */
    unsigned fold_count, folded; /* folded: so many are done */
    struct snapshot_plan *plan;  /* owned; as it was saved last */
    uint32_t uid;                /* create: what the snapshot's is going to be */

    /* While open. */
    struct vmsd *vmsd;
    struct disk_dir dir;
    struct aio *aio;
};

/* `folder`, `stem`, `prefix` and `vmx` are the caller's to fill in. */
void snapshot_files_init(struct snapshot_files *files);
void snapshot_files_free(struct snapshot_files *files);
/* Each piece of work is done between these two. Opens the folder and reads the list. */
int snapshot_files_open(struct snapshot_files *files, struct err *err);
void snapshot_files_close(struct snapshot_files *files);

/* What the plan in the folder says, if there is one, is completed or undone, and the plan goes;
 * then files->vmx is what is on the datastore. Nobody may be changing the .vmx meanwhile. */
int snapshot_files_settle(struct snapshot_files *files, struct err *err);
bool snapshot_files_has_plan(const struct snapshot_files *files); /* need not be open */
/* Takes away what saving a state or replacing a file left behind when it was cut off. All is
 * settled, and nobody is at either meanwhile. */
void snapshot_files_sweep(struct snapshot_files *files);

/* --- create: prepare; then the children are made and the .vmx names them; complete, settle --- */

/* Keeps what the .vmx says, and the firmware's variables; chooses names for children, which
 * files->vmx has then; has the new list ready. `memory`: makes the state file; a VM that is
 * suspended (its .vmx names a state) has it already, and the snapshot gets it as a second name. */
int snapshot_files_prepare(struct snapshot_files *files, const char *name, const char *description,
                           bool memory, struct err *err);
/* Of a VM that is off: the children and the .vmx. */
int snapshot_files_branch(struct snapshot_files *files, struct err *err);
/* Also where there are no disks by which the .vmx would show it. */
int snapshot_files_complete(struct snapshot_files *files, struct err *err);
bool snapshot_files_is_listed(const struct snapshot_files *files, uint32_t uid);

/* --- revert, of a VM that is off --- */

/* `expected`: what the snapshot has to have kept, NULL: whatever it has; -ESTALE: it has another.
 * With `memory` the .vmx names the snapshot's state: the VM is suspended then. *ret_running: and it
 * ran when the snapshot was made. */
int snapshot_files_revert(struct snapshot_files *files, uint32_t uid,
                          const struct vmxfile *expected, bool memory, bool *ret_running,
                          struct err *err);

/* --- remove, consolidate: unlist; find; fold; then either merge, or (of a VM that runs) divert,
 * --- merge live, any number of times, and land; at the end settle --- */

/* uid VMSD_NONE: all of them. */
int snapshot_files_unlist(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err);
/* Which disks are to be merged; they are in the plan then. */
int snapshot_files_find(struct snapshot_files *files, struct err *err);
/* Layers between snapshots that stay, one after the other. `live`: a VM that runs has them open,
 * and reads on from what has gone then until it opens its disks anew. */
int snapshot_files_fold(struct snapshot_files *files, bool live, disk_progress_fn *progress,
                        void *ctx, struct err *err);
/* Whether the disks that files->vmx names can be opened. */
int snapshot_files_check_disks(struct snapshot_files *files, struct err *err);
int snapshot_files_merge(struct snapshot_files *files, bool live, disk_progress_fn *progress,
                         void *ctx, struct err *err);
/* files->vmx has new children of what is merged next, so that nobody writes to that. */
int snapshot_files_divert(struct snapshot_files *files, struct err *err);
/* Bytes that the VM has written to these since. */
uint64_t snapshot_files_diverted(const struct snapshot_files *files);
/* What has been merged is not merged again; next time it is what the VM has written since. */
void snapshot_files_advance(struct snapshot_files *files);
/* files->vmx has what all went into. */
int snapshot_files_land(struct snapshot_files *files, struct err *err);

int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err);

/* NAME.vmsd and the like, `suffix` ".vmsd"; NAME-SnapshotN.vmx and what else snapshot `uid` has. */
void snapshot_files_path(const struct snapshot_files *files, const char *suffix,
                         char path[PATH_MAX]);
void snapshot_files_kept_path(const struct snapshot_files *files, uint32_t uid, const char *suffix,
                              char path[PATH_MAX]);
