/* SPDX-License-Identifier: Apache-2.0 */
/* Remove and consolidate: snapshots leave the list, and layers that nobody needs become one with
 * what stands on them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "hostd/snapshot/snapshot_disks.h"
#include "hostd/snapshot/snapshot_files_impl.h"
#include "hostd/snapshot/snapshot_tree.h"

/* --- the list --- */

/* The uids to go; returns how many. */
static unsigned collect(const struct vmsd *vmsd, uint32_t uid, bool children, uint32_t *uids)
{
    unsigned count = 0;

    if (uid != VMSD_NONE)
        uids[count++] = uid;
    for (unsigned i = vmsd_count(vmsd); uid == VMSD_NONE && i-- > 0;) /* the last is cheapest */
        uids[count++] = vmsd_uid(vmsd, i);
    for (unsigned at = 0; uid != VMSD_NONE && children && at < count; at++)
        for (unsigned i = 0; i < vmsd_count(vmsd); i++)
            if (vmsd_parent(vmsd, i) == uids[at])
                uids[count++] = vmsd_uid(vmsd, i);
    return count;
}

/* What a snapshot that goes had, and the files of its own: they may be nobody's afterwards. */
static int unlist_one(struct snapshot_files *files, uint32_t uid, struct vmsd_snapshot *s,
                      struct err *err)
{
    char path[PATH_MAX];
    int rc = 0;

    if (vmsd_get(files->vmsd, uid, s) < 0)
        return 0;
    for (unsigned d = 0; d < s->disk_count && rc == 0; d++)
        if (!strchr(s->disk[d].file, '/'))
            rc = snapshot_files_plan_file(files, s->disk[d].file, err);
    snapshot_files_kept_path(files, uid, ".vmx", path);
    if (rc == 0)
        rc = snapshot_files_plan_path(files, path, err);
    snapshot_files_kept_path(files, uid, ".nvram", path);
    if (rc == 0)
        rc = snapshot_files_plan_path(files, path, err);
    snapshot_files_kept_path(files, uid, ".vmsn", path);
    if (rc == 0 && snapshot_files_is_state(path))
        rc = snapshot_files_plan_path(files, path, err);
    (void)vmsd_remove(files->vmsd, uid);
    return rc;
}

int snapshot_files_unlist(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err)
{
    cleanup_free uint32_t *uids = calloc(VMSD_SNAPSHOTS_MAX, sizeof *uids);
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    if (!uids || !s)
        return err_sys(err, -ENOMEM, "snapshots");
    unsigned count = collect(files->vmsd, uid, children, uids);
    int rc = snapshot_files_begin_plan(files, true, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = unlist_one(files, uids[i], s, err);
    if (rc == 0 && (rc = vmsd_set_needs_consolidation(files->vmsd, true)) < 0)
        (void)err_sys(err, rc, "snapshots");
    if (rc == 0)
        rc = snapshot_files_save_next_list(files, err);
    if (rc < 0)
        return rc;
    files->plan->list = true;
    rc = snapshot_files_save_plan(files, err);
    if (rc == 0)
        rc = snapshot_files_put_list(files, err);
    files->plan->list = false;
    return rc < 0 ? rc : snapshot_files_remove_unused(files, files->plan, err);
}

/* --- what can be merged --- */

static int add_merge(struct snapshot_merge **list, unsigned *count, const struct snapshot_merge *m)
{
    struct snapshot_merge *more = reallocarray(*list, *count + 1, sizeof *more);

    if (!more)
        return -ENOMEM;
    *list = more;
    more[(*count)++] = *m;
    return 0;
}

/* How far down the VM's disk stands on what nobody else needs; 0 layers: on nothing of that kind.
 */
static void find_merge(const struct snapshot_tree *tree, const char *top, struct snapshot_merge *m)
{
    const struct snapshot_image *at = snapshot_tree_find(tree, top);

    (void)snprintf(m->top, sizeof m->top, "%s", top);
    while (at && at->below != SNAPSHOT_TREE_NONE) {
        const struct snapshot_image *below = &tree->image[at->below];
        if (below->listed || !snapshot_tree_is_passed(tree, below) || below->size != at->size)
            break;
        memcpy(m->into, below->name, sizeof m->into);
        m->layers++;
        at = below;
    }
}

static int find_merges(struct snapshot_files *files, const struct snapshot_tree *tree)
{
    cleanup_free struct snapshot_disks *now = calloc(1, sizeof *now);
    int rc = now ? snapshot_disks_list(files, files->vmx, now, NULL) : -ENOMEM;

    files->merge_count = 0;
    for (unsigned i = 0; rc == 0 && i < now->count; i++) {
        struct snapshot_merge m = {.layers = 0};
        memcpy(m.node, now->disk[i].node, sizeof m.node);
        find_merge(tree, now->disk[i].file, &m);
        if (m.layers)
            rc = add_merge(&files->merge, &files->merge_count, &m);
    }
    return rc;
}

/* All that stand on `top` can get another parent. */
static bool can_move(struct snapshot_files *files, const struct snapshot_tree *tree,
                     const struct snapshot_image *top, const char *into)
{
    bool can = true;

    for (uint32_t i = 0; i < tree->count && can; i++)
        if (tree->image[i].below == top - tree->image)
            can = !tree->image[i].shared && disk_reparent(&files->dir.host, tree->image[i].name,
                                                          into, true, files->aio, NULL) == 0;
    return can;
}

/* From `into`, which nobody needs, up to the first layer that somebody does. Leaves 0 layers where
 * that can not be, or begins further down. */
static void find_fold(struct snapshot_files *files, const struct snapshot_tree *tree,
                      const struct snapshot_image *into, struct snapshot_merge *m)
{
    const struct snapshot_image *top = into;

    if (!into->listed || !snapshot_tree_is_passed(tree, into) ||
        (into->below != SNAPSHOT_TREE_NONE &&
         snapshot_tree_is_passed(tree, &tree->image[into->below]) &&
         tree->image[into->below].size == into->size))
        return;
    for (; top == into || snapshot_tree_is_passed(tree, top); m->layers++) {
        const struct snapshot_image *next = &tree->image[top->child];
        if (next->size != into->size || next->shared)
            break;
        top = next;
    }
    if (top->current || (m->layers && !can_move(files, tree, top, into->name)))
        m->layers = 0;
    memcpy(m->top, top->name, sizeof m->top);
    memcpy(m->into, into->name, sizeof m->into);
}

static int find_folds(struct snapshot_files *files, const struct snapshot_tree *tree)
{
    int rc = 0;

    files->fold_count = 0;
    for (uint32_t i = 0; rc == 0 && i < tree->count; i++) {
        struct snapshot_merge m = {.layers = 0};
        find_fold(files, tree, &tree->image[i], &m);
        if (m.layers)
            rc = add_merge(&files->fold, &files->fold_count, &m);
    }
    return rc;
}

static int find_all(struct snapshot_files *files, struct snapshot_tree *ret_tree, struct err *err)
{
    int rc = snapshot_tree_read(files, ret_tree, err);

    if (rc < 0)
        return rc;
    rc = find_merges(files, ret_tree);
    if (rc == 0)
        rc = find_folds(files, ret_tree);
    return rc < 0 ? err_sys(err, rc, "the VM's disks") : 0;
}

/* A layer that nobody needs has another size than what stands on it, which only a foreign hand
 * does: it can not be merged, and is not to be forgotten. */
static bool has_misfit(const struct snapshot_tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        const struct snapshot_image *at = &tree->image[i];
        if (at->below != SNAPSHOT_TREE_NONE && at->size != tree->image[at->below].size &&
            snapshot_tree_is_passed(tree, &tree->image[at->below]))
            return true;
    }
    return false;
}

bool snapshot_files_need_merging(struct snapshot_files *files)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};
    bool known = find_all(files, &tree, NULL) == 0 && !tree.doubt && !tree.obscure;
    bool needs = known ? files->merge_count || files->fold_count || has_misfit(&tree)
                       : vmsd_needs_consolidation(files->vmsd);

    files->merge_count = files->fold_count = 0;
    return needs;
}

/* All of them but `into` are going to be superfluous. */
static int plan_layers(struct snapshot_files *files, const struct snapshot_tree *tree,
                       const struct snapshot_merge *m, struct err *err)
{
    const struct snapshot_image *at = snapshot_tree_find(tree, m->top);
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < m->layers; i++) {
        rc = snapshot_files_plan_file(files, at->name, err);
        at = &tree->image[at->below];
    }
    return rc;
}

int snapshot_files_find(struct snapshot_files *files, struct err *err)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};
    int rc = find_all(files, &tree, err);

    if (rc == 0 && !files->plan)
        rc = snapshot_files_begin_plan(files, true, err);
    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = plan_layers(files, &tree, &files->merge[i], err);
    for (unsigned i = 0; i < files->fold_count && rc == 0; i++)
        rc = plan_layers(files, &tree, &files->fold[i], err);
    return rc < 0 || !(files->merge_count || files->fold_count)
               ? rc
               : snapshot_files_save_plan(files, err);
}

/* --- merging --- */

/* One merge of several, as a part of all. */
struct part {
    disk_progress_fn *progress; /* NULL: nobody listens */
    void *ctx;
    unsigned at, count;
};

static int part_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct part *part = ctx;
    uint64_t permille = total ? (uint64_t)((double)done / (double)total * 1000) : 1000;

    return part->progress ? part->progress(part->ctx, part->at * UINT64_C(1000) + permille,
                                           part->count * UINT64_C(1000))
                          : 0;
}

static int merge_one(struct snapshot_files *files, const struct snapshot_merge *m, bool live,
                     struct part *part, struct err *err)
{
    struct disk_merge what = {.name = m->top, .layers = m->layers, .into = m->into, .live = live};
    int rc = disk_merge_layers(&files->dir.host, &what, files->aio, part_progress, part, err);

    part->at++;
    return rc;
}

int snapshot_files_merge(struct snapshot_files *files, bool live, disk_progress_fn *progress,
                         void *ctx, struct err *err)
{
    struct part part = {progress, ctx, files->folded, files->folded + files->merge_count};
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = merge_one(files, &files->merge[i], live, &part, err);
    if (rc < 0 || live || !files->merge_count)
        return rc;
    rc = snapshot_files_land(files, err);
    return rc < 0 ? rc : snapshot_files_save_vmx(files, err);
}

/* --- between snapshots that stay --- */

/* Those that name `from` name `into`. */
static int repoint_list(struct snapshot_files *files, const char *from, const char *into)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);
    int rc = s ? 0 : -ENOMEM;

    for (unsigned i = 0; i < vmsd_count(files->vmsd) && rc == 0; i++) {
        rc = vmsd_get(files->vmsd, vmsd_uid(files->vmsd, i), s);
        for (unsigned d = 0; rc == 0 && d < s->disk_count; d++)
            if (!strcmp(snapshot_local_name(files, s->disk[d].file), from))
                rc = vmsd_set_disk(files->vmsd, s->uid, s->disk[d].node, into);
    }
    return rc;
}

/* `into` has all that `top` has: who stands on the one stands on the other from now on. Afterwards
 * the plan says nothing of it, for a file that is made later may have the name of one that has
 * gone. */
static int end_fold(struct snapshot_files *files, const struct snapshot_merge *m, struct err *err)
{
    struct snapshot_plan *plan = files->plan;
    int rc = repoint_list(files, m->top, m->into);

    rc = rc < 0 ? err_sys(err, rc, "the list of snapshots")
                : snapshot_files_save_next_list(files, err);
    if (rc < 0)
        return rc;
    memcpy(plan->fold_from, m->top, sizeof plan->fold_from);
    memcpy(plan->fold_into, m->into, sizeof plan->fold_into);
    plan->list = true;
    rc = snapshot_files_save_plan(files, err);
    if (rc == 0)
        rc = snapshot_files_apply_fold(files, plan, err);
    if (rc == 0)
        rc = snapshot_files_put_list(files, err);
    if (rc == 0)
        rc = snapshot_files_remove_unused(files, plan, err);
    if (rc < 0)
        return rc;
    *plan->fold_from = *plan->fold_into = '\0';
    plan->list = false;
    return snapshot_files_save_plan(files, err);
}

int snapshot_files_fold(struct snapshot_files *files, bool live, disk_progress_fn *progress,
                        void *ctx, struct err *err)
{
    struct part part = {progress, ctx, 0, files->fold_count + files->merge_count};
    int rc = 0;

    for (files->folded = 0; files->folded < files->fold_count && rc == 0; files->folded++) {
        rc = merge_one(files, &files->fold[files->folded], live, &part, err);
        if (rc == 0)
            rc = end_fold(files, &files->fold[files->folded], err);
    }
    return rc;
}

int snapshot_files_check_disks(struct snapshot_files *files, struct err *err)
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK, .format = "vmdk"};
    cleanup_free struct snapshot_disks *now = calloc(1, sizeof *now);
    int rc = now ? snapshot_disks_list(files, files->vmx, now, err) : -ENOMEM;

    for (unsigned i = 0; rc == 0 && i < now->count; i++) {
        cleanup_disk struct disk *disk = NULL;
        rc = disk_open(&files->dir.host, now->disk[i].file, &options, files->aio, &disk, err);
    }
    return rc;
}

/* --- of a VM that runs --- */

int snapshot_files_divert(struct snapshot_files *files, struct err *err)
{
    char child[DISK_NAME_MAX];
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++) {
        const struct snapshot_merge *m = &files->merge[i];
        rc = snapshot_disk_name_child(files, m->top, child, err);
        if (rc == 0)
            rc = snapshot_disks_set(files->vmx, m->node, child);
        if (rc == 0)
            rc = snapshot_files_plan_file(files, child, err);
    }
    return rc < 0 ? rc : snapshot_files_save_plan(files, err);
}

static const char *diverted_to(const struct snapshot_files *files, const struct snapshot_merge *m)
{
    const char *file = snapshot_disks_get(files, m->node);

    return file ? file : "";
}

uint64_t snapshot_files_diverted(const struct snapshot_files *files)
{
    uint64_t total = 0;
    char path[PATH_MAX];
    struct stat st;

    for (unsigned i = 0; i < files->merge_count; i++)
        if (snapshot_files_local_path(files, diverted_to(files, &files->merge[i]), path) == 0 &&
            stat(path, &st) == 0)
            total += (uint64_t)st.st_blocks * 512;
    return total;
}

void snapshot_files_advance(struct snapshot_files *files)
{
    for (unsigned i = 0; i < files->merge_count; i++) {
        struct snapshot_merge *m = &files->merge[i];
        (void)snprintf(m->top, sizeof m->top, "%s", diverted_to(files, m));
        m->layers = 1;
    }
}

int snapshot_files_land(struct snapshot_files *files, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = snapshot_disks_set(files->vmx, files->merge[i].node, files->merge[i].into);
    return rc < 0 ? err_sys(err, rc, "the configuration") : 0;
}
