/* SPDX-License-Identifier: Apache-2.0 */
/* All VMDKs of a VM's folder and what stands on what: read at once, one look at each file, so that
 * questions about many disks do not each open whole chains. It is what was so when it was read.
 *
 * An image that nobody names (neither the .vmx nor a listed snapshot) can go when nothing stands on
 * it, and can become one with its child when that is the only one. What is counted as a child is
 * whatever image says so, also one that is nobody's. */
#pragma once

#include "hostd/snapshot/snapshot_files.h"

#define SNAPSHOT_TREE_NONE UINT32_MAX

struct snapshot_image {
    char name[DISK_NAME_MAX];
    char parent[DISK_NAME_MAX]; /* "": none */
    uint64_t size;
    uint32_t below;    /* its parent's index; SNAPSHOT_TREE_NONE: it has none, or it is not there */
    uint32_t child;    /* one that stands on it */
    uint32_t children; /* how many do */
    bool shared;       /* it has other names: a linked clone stands there, too */
    bool current;      /* the .vmx names it */
    bool kept;         /* a listed snapshot names it */
    bool listed;       /* a listed snapshot stands on it, or names it */
    bool used;         /* somebody does, the VM or a listed snapshot */
};

struct snapshot_tree {
    struct snapshot_image *image; /* owned */
    uint32_t count;
    uint32_t *slot; /* owned: by name; of slot_count, a power of two */
    uint32_t slot_count;
    bool doubt;   /* a chain that is needed can not be followed to its end: all count as needed */
    bool obscure; /* there is an image that can not be read: it may stand on any */
};

/* `files` is open; what is named is named by files->vmx and files->vmsd. -E2BIG: too many. */
int snapshot_tree_read(struct snapshot_files *files, struct snapshot_tree *ret_tree,
                       struct err *err);
void snapshot_tree_free(struct snapshot_tree *tree);
#define cleanup_snapshot_tree CLEANUP(snapshot_tree_free)

struct snapshot_image *snapshot_tree_find(const struct snapshot_tree *tree, const char *name);
bool snapshot_tree_is_used(const struct snapshot_tree *tree, const char *name); /* in doubt: yes */

/* Could it and its child be one? Nobody needs it for itself, and nobody else stands on it. */
bool snapshot_tree_is_passed(const struct snapshot_tree *tree, const struct snapshot_image *image);
