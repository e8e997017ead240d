/* SPDX-License-Identifier: Apache-2.0 */
/* A file on a datastore as an operation holds it: the datastore's folder as a descriptor of its
 * own, so that what is under way does not care whether the datastore is renamed meanwhile. */
#pragma once

#include "disk/disk.h"
#include "hostd/datastore/dspath.h"
#include "hostd/model/datastore.h"

struct file_place {
    int fd;                        /* of the datastore's folder; ours. -1: none */
    char datastore[ENTITY_ID_MAX]; /* its id */
    char rel[DSPATH_MAX];
    char text[DSPATH_MAX + DSPATH_NAME_MAX + 4]; /* "[datastore1] a/b" */
};

/* What a client's name means, if he may use `priv` on its datastore; else the call has its fault.
 */
bool file_place_find(struct call *call, const char *name, const char *priv,
                     struct file_place *ret_place);
void file_place_set(struct file_place *place, const struct datastore *datastore, const char *rel);
void file_place_free(struct file_place *place);

/* The folder that it is in, for the disk library, and its name there (within place->rel). */
int file_place_dir(const struct file_place *place, struct disk_dir *ret_dir, const char **ret_name,
                   struct err *err);

/* -EEXIST: a disk of that name, or something of one, is there. */
int file_place_check_free(const struct file_place *place, struct err *err);
/* A disk is going to be made there: the record of it, which its maker ends. -EEXIST: something of
 * it is there, -EBUSY: another maker. */
struct unfinished;
int file_place_begin_disk(const struct file_place *place, struct unfinished *record,
                          struct err *err);

/* An open disk, with all that it needs. */
struct placed_disk {
    struct disk_dir dir;
    struct aio *aio;
    struct disk *disk; /* NULL with placed_disk_prepare */
    const char *name;
};
/* placed_disk_close in any case. flags: enum disk_open_flags. */
int placed_disk_open(struct placed_disk *placed, const struct file_place *place, unsigned flags,
                     struct err *err);
/* All but the disk itself: for what makes or changes one by name. */
int placed_disk_prepare(struct placed_disk *placed, const struct file_place *place,
                        struct err *err);
void placed_disk_close(struct placed_disk *placed);
#define cleanup_placed CLEANUP(placed_disk_close)
