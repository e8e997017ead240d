/* SPDX-License-Identifier: Apache-2.0 */
/* What has to happen on the datastores so that a VM comes or changes. The loop's thread writes it
 * down; plan_run carries it out on a thread, with progress, and undoes what it did when a part
 * fails or it is cancelled: then nothing has changed but for disks that have grown already.
 *
 * Order: the folder, new disks, the .vmx; last what goes. All of it is recorded before
 * (datastore/unfinished.h), from plan_run or plan_record to plan_free, which comes when the VM is
 * in the inventory's file: so whenever hostd is killed, the VM is as before or as wanted, and the
 * next hostd takes away what no VM has. */
#pragma once

#include "hostd/datastore/unfinished.h"
#include "hostd/model/file_place.h"
#include "hostd/model/virtual_machine.h"

enum { PLAN_DISKS_MAX = 64, PLAN_REMOVE_MAX = 4096 /* those of snapshots too */ };

enum plan_what {
    PLAN_MAKE,       /* an empty disk of `size` */
    PLAN_GROW,       /* to `size` */
    PLAN_COPY,       /* a new one with the content of `from` */
    PLAN_LINK,       /* a new child of `from`, whose files are shared with the new one's folder */
    PLAN_REMOVE,     /* it and what it stands on */
    PLAN_REMOVE_TOP, /* it alone: snapshots stand on the rest */
};

struct plan_disk {
    enum plan_what what;
    struct file_place at, from; /* owned by the plan */
    uint64_t size;
    enum disk_provision provision; /* PLAN_COPY: only if !as_source */
    bool as_source;
    bool make_folder; /* on another datastore than the VM: of plan_folder_on, if it is not there */
    unsigned folders; /* plan_run's: how many that were */
    const char *adapter; /* a constant; NULL: the source's */
};

struct plan {
    struct datastore *datastore; /* of the VM */
    char rel[DSPATH_MAX];        /* of its .vmx */
    struct file_place vmx_place; /* both, held; by plan_run's callers */
    struct vmxfile *vmx;         /* the new content; owned until taken */
    bool make_folder;            /* the VM is new */
    struct plan_disk *disk;      /* owned */
    unsigned room;               /* in disk */
    unsigned disk_count;
    struct file_place nvram_from; /* fd -1: none. Its copy becomes the VM's */
    struct unfinished *record;    /* owned; of what it makes and removes */
    unsigned records;
    bool recorded;
    struct err err;
    char failed_file[DSPATH_MAX + DSPATH_NAME_MAX + 4];
};

/* `datastore` and `rel` as far as they are known; plan_free in any case. */
int plan_init(struct plan *plan, struct datastore *datastore, const char *rel);
void plan_free(struct plan *plan);

/* Where a new VM of that name is to be: "[ds]" is a folder of the VM's name, or NAME_1 ... where
 * that is taken; "[ds] a/b.vmx" just so. False: the call has its fault. */
bool plan_place(struct call *call, struct plan *plan, const char *path, const char *name);

/* Keys every new VM has, and a uuid of its own. -errno. */
int plan_new_vmx(struct plan *plan, const char *name);
int plan_new_uuids(struct vmxfile *vmx);
int plan_missing_uuids(struct vmxfile *vmx); /* the same where it has none */

/* NULL: there are too many. Good until the next. */
struct plan_disk *plan_add(struct plan *plan, enum plan_what what, const struct datastore *at,
                           const char *rel);

/* What was planned for the disk that the new VM's dictionary calls so: it does not come. */
void plan_drop(struct plan *plan, const char *name);

/* Is it going to be there? */
bool plan_has(const struct plan *plan, const struct datastore *datastore, const char *rel);
/* How its .vmx names a file: beside it by its name alone, else by the volume. */
void plan_file_name(const struct plan *plan, const struct datastore *datastore, const char *rel,
                    char *name, size_t size);
/* Where the VM's disks on a datastore are: beside its .vmx; on another one in a folder of the same
 * name, or NAME_1 ... where another VM has that. */
void plan_folder_on(const struct plan *plan, const struct datastore *datastore,
                    char folder[DSPATH_MAX]);

/* From here on a hostd that is killed leaves nothing that nobody has; plan_run and plan_make_disks
 * do it first. Twice is once. -errno with err and failed_file. */
int plan_record(struct plan *plan);
/* Nobody knows what has become of it, for the VM's keeper runs and does not say: that is looked at
 * when it does. */
void plan_leave(struct plan *plan);

/* On a thread. -errno with err and failed_file. `progress` may be NULL. */
int plan_run(struct plan *plan, disk_progress_fn *progress, void *ctx);
/* Takes back what a plan_run that succeeded has made. */
void plan_undo(struct plan *plan);

/* Parts of it. For a running VM, whose keeper lets disks grow and writes the .vmx: new disks, and
 * these taken back, each with its whole. */
int plan_make_disks(struct plan *plan, disk_progress_fn *progress, void *ctx);
void plan_undo_disks(struct plan *plan);
bool plan_makes_disks(const struct plan *plan); /* are there such? */
bool plan_removes_disks(const struct plan *plan);
/* For what goes as a whole; vmx_place is set but for the first. */
void plan_remove_disks(struct plan *plan);
/* Before anything goes: -EBUSY, with plan->err and failed_file, where one of them is locked. */
int plan_may_remove(struct plan *plan);
void plan_remove_folder(struct plan *plan); /* if it is empty */
