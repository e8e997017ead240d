/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshots of a VM, as its .vmsd file lists them: a forest, each with the disks that the VM
 * had then. The file is a dictionary like a .vmx (vmxfile.h); what is not understood is kept, with
 * the snapshot that it belongs to.
 *
 * A snapshot is known by its uid, a number that is never used again (snapshot.lastUID counts). The
 * snapshots stand in slots, snapshot0 .. snapshotN-1, without gaps and in no particular order; the
 * slot is nobody's business outside this file. A missing or empty file means no snapshots.
 *
 * Input is foreign: uids are unique, parents exist, nobody is its own ancestor; what breaks a rule
 * is refused with the key. Not thread-safe. */
#pragma once

#include "config/vmxfile.h"

enum { VMSD_SNAPSHOTS_MAX = 1024, VMSD_DISKS_MAX = 256, VMSD_NONE = 0 /* no snapshot's uid */ };

/* The strings belong to the file: they are good until it changes. */
struct vmsd_disk {
    const char *file; /* what the VM's disk was, relative to the folder: "vm.vmdk" */
    const char *node; /* where it was: "scsi0:0" */
};

struct vmsd_snapshot {
    uint32_t uid, parent; /* parent: VMSD_NONE for a root */
    const char *name, *description;
    const char *filename; /* "vm-Snapshot1.vmsn"; NULL: without memory */
    int64_t created_usec; /* since 1970 */
    bool quiesced, memory;
    bool suspended; /* with memory: the VM was suspended then, and is so again */
    unsigned disk_count;
    struct vmsd_disk disk[VMSD_DISKS_MAX];
};

struct vmsd;

int vmsd_create(const char *name, struct vmsd **ret_vmsd);
/* -EBADMSG: no dictionary, or a rule is broken. */
int vmsd_parse(const char *name, const void *data, size_t len, struct vmsd **ret_vmsd,
               struct err *err);
/* A file that is not there has no snapshots. */
int vmsd_load(const char *path, struct vmsd **ret_vmsd, struct err *err);
/* See vmxfile_write, vmxfile_save. */
void vmsd_write(const struct vmsd *vmsd, struct buf *out);
int vmsd_save(const struct vmsd *vmsd, const char *path, struct err *err);
void vmsd_destroy(struct vmsd *vmsd);
DEFINE_CLEANUP(struct vmsd *, vmsd_destroy)
#define cleanup_vmsd CLEANUP(vmsd_destroy_cleanup_)

unsigned vmsd_count(const struct vmsd *vmsd);
uint32_t vmsd_uid(const struct vmsd *vmsd, unsigned i); /* i < count */
uint32_t vmsd_parent(const struct vmsd *vmsd, unsigned i);
/* -ENOENT. Searches the dictionary for each part: not for loops within loops. */
int vmsd_get(const struct vmsd *vmsd, uint32_t uid, struct vmsd_snapshot *ret_snapshot);

/* Where the VM is now: the snapshot that its disks are children of; VMSD_NONE. */
uint32_t vmsd_current(const struct vmsd *vmsd);
int vmsd_set_current(struct vmsd *vmsd, uint32_t uid);

/* The uid that vmsd_add will give: names of files are made from it. */
uint32_t vmsd_next_uid(const struct vmsd *vmsd);
/* Takes all of *snapshot but its uid, which it gives. -ENOENT: there is no such parent. -E2BIG, and
 * -EINVAL for what a file cannot hold. On failure nothing has changed. */
int vmsd_add(struct vmsd *vmsd, const struct vmsd_snapshot *snapshot, uint32_t *ret_uid);
int vmsd_rename(struct vmsd *vmsd, uint32_t uid, const char *name, const char *description);
/* The snapshot's disk at `node` is another file from now on. -ENOENT: it has none there. */
int vmsd_set_disk(struct vmsd *vmsd, uint32_t uid, const char *node, const char *file);
/* Its children become its parent's; if it was the current one, its parent is. */
int vmsd_remove(struct vmsd *vmsd, uint32_t uid);

/* Disks are left over that no snapshot needs (snapshot.needConsolidate). */
bool vmsd_needs_consolidation(const struct vmsd *vmsd);
int vmsd_set_needs_consolidation(struct vmsd *vmsd, bool needs);
