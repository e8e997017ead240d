/* SPDX-License-Identifier: Apache-2.0 */
/* Records what a disk's code asks of the file system, in order, and builds from it the states that
 * a power cut may leave.
 *
 * The model of a power cut at some point of the record: what a sync of a file had covered is there.
 * Of the file's later writes, size changes and punches any subset is there, a write possibly only
 * with some of its 512-byte sectors, in any order. Names are changed in order (as journaling file
 * systems do), those up to the last sync of the folder for certain. */
#pragma once

#include "tests/disk/folder.h"

enum tape_kind { TAPE_IO, TAPE_CREATE, TAPE_RENAME, TAPE_UNLINK, TAPE_SYNC_FOLDER };

struct tape_event {
    enum tape_kind kind;
    enum aio_op op;
    unsigned file; /* index of files */
    uint64_t offset, length;
    uint8_t *data; /* owned; writes */
    char name[64], to[64];
};

struct tape {
    struct disk_host host; /* give this one to the disk */
    const struct disk_host *real;
    struct tape_event *events;
    unsigned count, room;
    struct {
        int fd; /* while open; -1 after */
        char name[64];
        uint8_t *first; /* content before the recording; owned */
        uint64_t first_size;
    } files[16];
    unsigned file_count;
};

/* Records all requests of `aio` (plain) and all names through tape->host. */
void tape_init(struct tape *tape, const struct disk_host *real, struct aio *aio);
void tape_free(struct tape *tape);

/* Writes the files of one state of a cut before event `at` into `folder`. */
void tape_cut(const struct tape *tape, unsigned at, uint64_t *random, const struct folder *folder);
