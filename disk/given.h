/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that one process opens by name and another uses without names.
 *
 * The first opens it as ever, with a disk_given between the disk and the folder: it keeps a
 * duplicate of each file that was opened, under its name. Those duplicates travel; the second
 * process has a disk_given without a folder, in which it puts them, and opens the disk again: each
 * name yields the descriptor that came for it, once, and nothing else can be opened. All rules
 * about paths were the first process's to enforce. Locks are the open file's and travel with it, so
 * that the disk is locked without a gap. */
#pragma once

#include "disk/disk.h"

enum { DISK_GIVEN_MAX = 4096 };

struct disk_given_file {
    char name[DISK_NAME_MAX];
    unsigned flags; /* enum disk_file_flags */
    int fd;         /* owned; -1: it has been taken */
};

struct disk_given {
    struct disk_host host;
    const struct disk_host *folder; /* borrowed; NULL: only what was given */
    struct disk_given_file *file;   /* in the order of opening: the first is the disk's own name */
    unsigned count;
};

void disk_given_init(struct disk_given *given, const struct disk_host *folder);
void disk_given_free(struct disk_given *given); /* closes what nobody has taken */
/* Takes fd over, also on failure: -ENAMETOOLONG, -EMFILE, -ENOMEM. */
int disk_given_add(struct disk_given *given, const char *name, unsigned flags, int fd);
