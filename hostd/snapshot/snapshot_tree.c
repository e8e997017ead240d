/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/snapshot_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "hostd/snapshot/snapshot_disks.h"

enum { IMAGES_MAX = 16384 };

void snapshot_tree_free(struct snapshot_tree *tree)
{
    free(tree->image);
    free(tree->slot);
    *tree = (struct snapshot_tree){0};
}

/* --- by name --- */

static uint32_t hash(const char *name)
{
    uint32_t h = 2166136261;

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619;
    return h;
}

/* Where it is, or where it would be. */
static uint32_t *slot_of(const struct snapshot_tree *tree, const char *name)
{
    uint32_t mask = tree->slot_count - 1, at = hash(name) & mask;

    while (tree->slot[at] != SNAPSHOT_TREE_NONE &&
           strcmp(tree->image[tree->slot[at]].name, name) != 0)
        at = (at + 1) & mask;
    return &tree->slot[at];
}

struct snapshot_image *snapshot_tree_find(const struct snapshot_tree *tree, const char *name)
{
    uint32_t at = tree->slot_count ? *slot_of(tree, name) : SNAPSHOT_TREE_NONE;

    return at == SNAPSHOT_TREE_NONE ? NULL : &tree->image[at];
}

/* Twice the room; the table stays half empty. */
static int grow(struct snapshot_tree *tree)
{
    uint32_t room = tree->slot_count ? tree->slot_count : 64;
    struct snapshot_image *image = reallocarray(tree->image, room, sizeof *image);

    if (!image)
        return -ENOMEM;
    tree->image = image;
    uint32_t *slot = reallocarray(tree->slot, (size_t)room * 2, sizeof *slot);
    if (!slot)
        return -ENOMEM;
    tree->slot = slot;
    tree->slot_count = room * 2;
    memset(slot, 0xff, (size_t)room * 2 * sizeof *slot);
    for (uint32_t i = 0; i < tree->count; i++)
        *slot_of(tree, tree->image[i].name) = i;
    return 0;
}

/* --- reading --- */

/* -ENOENT: it is not there, or no disk of a kind that can stand on another here. */
static int look_at(struct snapshot_files *files, const char *name, struct disk_info *ret_info)
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK | DISK_ALONE,
                                   .format = "vmdk"};
    struct disk *disk;
    int rc = disk_open(&files->dir.host, name, &options, files->aio, &disk, NULL);

    if (rc < 0)
        return rc == -EINVAL || rc == -ENOTSUP ? -ENOENT : rc;
    disk_get_info(disk, ret_info);
    disk_close(disk);
    return 0;
}

static int add(struct snapshot_files *files, struct snapshot_tree *tree, const char *name)
{
    struct disk_info info;

    if (strlen(name) >= DISK_NAME_MAX || snapshot_tree_find(tree, name))
        return 0;
    int rc = look_at(files, name, &info);
    if (rc < 0) {
        tree->obscure |= rc != -ENOENT;
        return rc == -ENOMEM || rc == -EMFILE ? rc : 0;
    }
    if (tree->count == IMAGES_MAX)
        return -E2BIG;
    if (tree->count == tree->slot_count / 2 && (rc = grow(tree)) < 0)
        return rc;
    *slot_of(tree, name) = tree->count;
    struct snapshot_image *image = &tree->image[tree->count++];
    *image = (struct snapshot_image){.size = info.size,
                                     .below = SNAPSHOT_TREE_NONE,
                                     .child = SNAPSHOT_TREE_NONE,
                                     .shared = info.shared};
    memcpy(image->name, name, strlen(name) + 1);
    memcpy(image->parent, info.parent, sizeof image->parent);
    return 0;
}

/* The bytes of flat disks are the guest's. */
static bool is_image(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && !strcasecmp(name + len - 5, ".vmdk") &&
           !(len > 10 && !strcasecmp(name + len - 10, "-flat.vmdk"));
}

static int read_folder(struct snapshot_files *files, struct snapshot_tree *tree)
{
    DIR *dir = opendir(files->folder);
    const struct dirent *entry;
    int rc = dir ? 0 : -errno;

    while (rc == 0 && (entry = readdir(dir)))
        if (is_image(entry->d_name))
            rc = add(files, tree, entry->d_name);
    if (dir)
        (void)closedir(dir);
    return rc;
}

/* What a parent has not been found as is looked for by its name: it may be in a folder below. */
static int link_all(struct snapshot_files *files, struct snapshot_tree *tree)
{
    int rc = 0;

    for (uint32_t i = 0; i < tree->count && rc == 0; i++) {
        char parent[DISK_NAME_MAX];
        memcpy(parent, tree->image[i].parent, sizeof parent);
        if (!*parent || (rc = add(files, tree, parent)) < 0)
            continue;
        struct snapshot_image *below = snapshot_tree_find(tree, parent);
        if (!below)
            continue;
        tree->image[i].below = (uint32_t)(below - tree->image);
        below->child = i;
        below->children++;
    }
    return rc;
}

/* --- who needs what --- */

/* All that `name` stands on is needed by whoever names it. */
static void mark(struct snapshot_tree *tree, const char *name, bool listed)
{
    struct snapshot_image *at = snapshot_tree_find(tree, name);

    if (at && listed)
        at->kept = true;
    else if (at)
        at->current = true;
    while (at && !(listed ? at->listed : at->used)) {
        at->used = true;
        at->listed |= listed;
        if (!*at->parent)
            return;
        at = at->below == SNAPSHOT_TREE_NONE ? NULL : &tree->image[at->below];
    }
    tree->doubt |= !at;
}

static int mark_all(struct snapshot_files *files, struct snapshot_tree *tree)
{
    cleanup_free struct snapshot_disks *disks = calloc(1, sizeof *disks);
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    if (!disks || !s)
        return -ENOMEM;
    tree->doubt = snapshot_disks_list(files, files->vmx, disks, NULL) < 0;
    for (unsigned i = 0; i < disks->count; i++)
        mark(tree, disks->disk[i].file, false);
    for (unsigned i = 0; i < vmsd_count(files->vmsd); i++) {
        tree->doubt |= vmsd_get(files->vmsd, vmsd_uid(files->vmsd, i), s) < 0;
        for (unsigned d = 0; d < s->disk_count; d++)
            mark(tree, snapshot_local_name(files, s->disk[d].file), true);
    }
    return 0;
}

int snapshot_tree_read(struct snapshot_files *files, struct snapshot_tree *ret_tree,
                       struct err *err)
{
    struct snapshot_tree tree = {0};
    int rc = grow(&tree);

    if (rc == 0)
        rc = read_folder(files, &tree);
    if (rc == 0)
        rc = link_all(files, &tree);
    if (rc == 0)
        rc = mark_all(files, &tree);
    if (rc < 0) {
        snapshot_tree_free(&tree);
        return err_sys(err, rc, "the disks in \"%s\"", files->folder);
    }
    *ret_tree = tree;
    return 0;
}

bool snapshot_tree_is_used(const struct snapshot_tree *tree, const char *name)
{
    const struct snapshot_image *image = snapshot_tree_find(tree, name);

    return tree->doubt || (image && image->used);
}

bool snapshot_tree_is_passed(const struct snapshot_tree *tree, const struct snapshot_image *image)
{
    return !tree->doubt && !tree->obscure && image->used && !image->kept && !image->current &&
           !image->shared && image->children == 1;
}
