/* SPDX-License-Identifier: Apache-2.0 */
/* What is being made on datastores just now, and would be nobody's if hostd were killed: uploads,
 * copies, folders that move, disks that VMs get or lose. Each has a record from before its first
 * byte until it is done or undone; a hostd that starts takes away what its predecessors' records
 * name.
 *
 * A record is a symbolic link in UNFINISHED_FOLDER, since a link is there as a whole or not at all.
 * It leads nowhere; its target says what to do, its name is a digest of the place, so that no two
 * make the same thing at once (-EBUSY; one that was left is taken over). It is not synced: what a
 * power cut can leave is a file, not a loss. The folder of a new VM has a mark, what is done to
 * snapshots a plan (vm/vm_coming.h, snapshot/snapshot_plan.h).
 *
 * Only what has not changed since nobody is at it goes (by the change time of its file system,
 * against the time at which the next hostd began): a file that somebody made later under the name
 * stays. In doubt all stays, and the log says so.
 *
 * What VMs have, in snapshots too, is known when all their keepers have said that they are at
 * nothing, and no operation is under way: until then records of disks wait (a keeper may just be
 * writing the .vmx that names the disk). */
#pragma once

#include "hostd/hostd.h"

#define UNFINISHED_FOLDER "unfinished"
enum { UNFINISHED_NAME = 65 };

enum unfinished_what {
    UNFINISHED_FILE,   /* a file or folder that has a name for the time of its making only */
    UNFINISHED_DISK,   /* a disk, its parts and temporary files; unless a VM has it by now */
    UNFINISHED_PARTS,  /* only the temporary files beside a disk that is changed */
    UNFINISHED_HOME,   /* a folder, unless a VM lives there */
    UNFINISHED_MOVE,   /* a VM's folder gets another place: back, if the VM is not there yet */
    UNFINISHED_RENAME, /* a disk gets another name: one of the two goes, the old one if it can */
    UNFINISHED_UNDER,  /* the disk `to`, on which `from` stands: goes when no VM has either, and
                          its folder with it, if nothing else is there */
    UNFINISHED_WHATS
};

struct unfinished {
    char name[UNFINISHED_NAME]; /* "": no record */
};

/* Any thread. `datastore`: its id. `folders`: how many of those that `rel` is in are made for it
 * and go with it, if nothing else is there. -errno. */
int unfinished_begin(struct unfinished *record, enum unfinished_what what, const char *datastore,
                     const char *rel, unsigned folders);
/* The same of those that go from one place to another. */
int unfinished_begin_move(struct unfinished *record, enum unfinished_what what,
                          const char *from_datastore, const char *from, const char *to_datastore,
                          const char *to);
/* Done or undone. Also without a record. */
void unfinished_end(struct unfinished *record);
/* Nobody here knows what has become of it: the next sweep finds out. */
void unfinished_leave(struct unfinished *record);

/* How many of the folders that `rel` is in are not there. */
unsigned unfinished_folders(int dir_fd, const char *rel);
/* Takes these away again, as far as they are empty. */
void unfinished_remove_folders(int dir_fd, const char *rel, unsigned folders);

/* What earlier processes have left on the datastores that are there; the others' records stay. On
 * the loop's thread, when all VMs are known, when a datastore has come back, and when a keeper has
 * said what has become of its VM; before all VMs are known it does nothing. */
struct inventory;
void unfinished_sweep(struct inventory *inventory);
