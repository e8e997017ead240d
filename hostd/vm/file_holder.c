/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/file_holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "config/vmsd.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"

enum { CHAIN_MAX = 4096 }; /* longer ones are in doubt */

static void folder_of(const char *rel, char folder[DSPATH_MAX])
{
    const char *slash = strrchr(rel, '/');

    (void)snprintf(folder, DSPATH_MAX, "%.*s", slash ? (int)(slash - rel) : 0, rel);
}

static bool is_below(const char *rel, const char *folder)
{
    size_t len = strlen(folder);

    return !len || (!strncmp(rel, folder, len) && (!rel[len] || rel[len] == '/'));
}

static bool is_vmdk(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && !strcasecmp(name + len - 5, ".vmdk") &&
           !(len > 10 && !strcasecmp(name + len - 10, "-flat.vmdk"));
}

/* --- chains --- */

/* The name of what a disk stands on, in its folder; "": nothing. */
static int read_parent(const struct file_place *place, char parent[DISK_NAME_MAX])
{
    cleanup_placed struct placed_disk at = {.dir.fd = -1};
    struct disk_info info;
    int rc = placed_disk_open(&at, place, DISK_READONLY | DISK_NOLOCK | DISK_ALONE, NULL);

    if (rc < 0)
        return rc;
    disk_get_info(at.disk, &info);
    memcpy(parent, info.parent, DISK_NAME_MAX);
    return strchr(parent, '/') ? -EINVAL : 0;
}

/* `rel` becomes what it stands on: 1, or 0 when that is nothing. */
static int go_down(const struct datastore *datastore, char rel[DSPATH_MAX])
{
    struct file_place place = {.fd = -1};
    char parent[DISK_NAME_MAX], folder[DSPATH_MAX];

    file_place_set(&place, datastore, rel);
    int rc = read_parent(&place, parent);
    file_place_free(&place);
    if (rc < 0 || !*parent)
        return rc;
    folder_of(rel, folder);
    int len = snprintf(rel, DSPATH_MAX, "%.900s%s%.500s", folder, *folder ? "/" : "", parent);
    return len >= DSPATH_MAX ? -ENAMETOOLONG : 1;
}

/* What can not be followed stands on anything of its folder. */
static bool stands_on(const struct datastore *datastore, const char *top, const char *rel)
{
    char at[DSPATH_MAX];
    int rc = 1;

    (void)snprintf(at, sizeof at, "%s", top);
    for (unsigned i = 0; rc == 1 && i < CHAIN_MAX; i++) {
        if (!strcmp(at, rel))
            return true;
        rc = go_down(datastore, at);
    }
    return rc != 0 && rc != -ENOENT;
}

bool disk_has_child(const struct file_place *place, const char *except)
{
    char folder[DSPATH_MAX], parent[DISK_NAME_MAX];
    const char *slash = strrchr(place->rel, '/'), *name = slash ? slash + 1 : place->rel;
    const struct dirent *entry;
    bool found = false;

    folder_of(place->rel, folder);
    int fd = dspath_open(place->fd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && !*folder)
        fd = openat(place->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return close_fd(fd), fd != -ENOENT;
    while (!found && (entry = readdir(dir))) {
        struct file_place beside = *place; /* borrows its descriptor */
        if (!is_vmdk(entry->d_name) || (except && !strcmp(entry->d_name, except)))
            continue;
        (void)snprintf(beside.rel, sizeof beside.rel, "%.700s%s%.255s", folder, *folder ? "/" : "",
                       entry->d_name);
        found = read_parent(&beside, parent) == 0 && !strcmp(parent, name);
    }
    (void)closedir(dir);
    return found;
}

/* --- what a VM has --- */

/* What is asked: the file itself, or a folder with all below. */
struct question {
    const struct datastore *datastore;
    const char *rel;
    bool folder;
    char beside[DSPATH_MAX]; /* the file's folder */
};

static bool is_it(const struct question *q, const struct datastore *datastore, const char *rel)
{
    char folder[DSPATH_MAX];

    if (datastore != q->datastore)
        return false;
    if (q->folder)
        return is_below(rel, q->rel);
    if (!strcmp(rel, q->rel))
        return true;
    folder_of(rel, folder);
    return is_vmdk(rel) && !strcmp(folder, q->beside) && stands_on(datastore, rel, q->rel);
}

static bool names_it(const struct virtual_machine *vm, const struct question *q)
{
    const char *key;
    size_t at = 0;

    while ((key = vmxfile_next_key(vm->vmx, &at))) {
        const char *dot = strrchr(key, '.');
        struct dspath path;
        if (!dot || strcasecmp(dot, ".fileName") != 0)
            continue;
        const struct datastore *datastore = vm_file(vm, vmxfile_get(vm->vmx, key), &path);
        if (datastore && is_it(q, datastore, path.rel))
            return true;
    }
    return false;
}

static bool lists_it(const struct virtual_machine *vm, const struct question *q)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    for (unsigned i = 0; s && vm->vmsd && i < vmsd_count(vm->vmsd); i++) {
        if (vmsd_get(vm->vmsd, vmsd_uid(vm->vmsd, i), s) < 0)
            continue;
        for (unsigned d = 0; d < s->disk_count; d++) {
            struct dspath path;
            const struct datastore *datastore = vm_file(vm, s->disk[d].file, &path);
            if (datastore && is_it(q, datastore, path.rel))
                return true;
        }
    }
    return !s; /* nobody knows */
}

static bool has_it(const struct virtual_machine *other, const struct virtual_machine *vm,
                   const struct question *q)
{
    char home[DSPATH_MAX], own[DSPATH_MAX] = "";

    vm_folder(other, home);
    if (q->folder && other->datastore == q->datastore && is_below(home, q->rel))
        return true;
    if (other->vmx)
        return names_it(other, q) || lists_it(other, q);
    if (other->datastore != q->datastore)
        return false;
    if (vm)
        vm_folder(vm, own);
    bool in_own = vm && vm->datastore == q->datastore && *own && is_below(q->rel, own);
    return !in_own || (is_below(q->rel, home) && is_below(home, own));
}

static const struct virtual_machine *find(const struct virtual_machine *vm, struct question *q)
{
    struct inventory *inventory = vm->e.hostd->inventory;

    folder_of(q->rel, q->beside);
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (e != &vm->e && has_it(vm_of(&e->mo), vm, q))
            return vm_of(&e->mo);
    return NULL;
}

const struct virtual_machine *file_holder(const struct virtual_machine *vm,
                                          const struct datastore *datastore, const char *rel)
{
    struct question q = {.datastore = datastore, .rel = rel};

    return find(vm, &q);
}

const struct virtual_machine *folder_holder(const struct virtual_machine *vm,
                                            const struct datastore *datastore, const char *folder)
{
    struct question q = {.datastore = datastore, .rel = folder, .folder = true};

    return find(vm, &q);
}

bool chain_holder(const struct virtual_machine *vm, const struct datastore *datastore,
                  const char *rel)
{
    char at[DSPATH_MAX];
    int rc = 1;

    (void)snprintf(at, sizeof at, "%s", rel);
    for (unsigned i = 0; rc == 1 && i < CHAIN_MAX; i++) {
        if (file_holder(vm, datastore, at))
            return true;
        rc = go_down(datastore, at);
    }
    return rc == 1;
}

/* --- what may go --- */

static bool is_planned(const struct plan *plan, const struct datastore *datastore, const char *rel)
{
    for (unsigned i = 0; i < plan->disk_count; i++)
        if (plan->disk[i].what >= PLAN_REMOVE && !strcmp(plan->disk[i].at.rel, rel) &&
            !strcmp(plan->disk[i].at.datastore, datastore->e.id))
            return true;
    return false;
}

static bool may_go(const struct virtual_machine *vm, const struct datastore *datastore,
                   const char *rel, const char *child, bool alone)
{
    struct file_place place = {.fd = -1};

    if (file_holder(vm, datastore, rel))
        return false;
    if (!alone)
        return true;
    file_place_set(&place, datastore, rel);
    bool has = disk_has_child(&place, child);
    file_place_free(&place);
    return !has;
}

/* How many layers of the chain may go, from the top; *ret_whole: all. `alone`: only those that no
 * other disk of the folder stands on. */
static unsigned count_layers(const struct virtual_machine *vm, const struct datastore *datastore,
                             const char *rel, bool alone, bool *ret_whole)
{
    char at[DSPATH_MAX], child[DSPATH_MAX] = "";
    unsigned count = 0;
    int rc = 1;

    (void)snprintf(at, sizeof at, "%s", rel);
    for (; rc == 1 && count < CHAIN_MAX; count++) {
        const char *slash = strrchr(child, '/'), *name = slash ? slash + 1 : child;
        if (!may_go(vm, datastore, at, count ? name : NULL, alone))
            break;
        memcpy(child, at, sizeof child);
        rc = go_down(datastore, at);
    }
    *ret_whole = rc != 1;
    return count;
}

static bool plan_layers(struct plan *plan, const struct virtual_machine *vm,
                        const struct datastore *datastore, const char *rel, bool alone)
{
    char at[DSPATH_MAX];
    bool whole;
    unsigned count = count_layers(vm, datastore, rel, alone, &whole);

    if (whole)
        return plan_add(plan, PLAN_REMOVE, datastore, rel);
    (void)snprintf(at, sizeof at, "%s", rel);
    for (unsigned i = 0; i < count; i++) {
        if (!is_planned(plan, datastore, at) && !plan_add(plan, PLAN_REMOVE_TOP, datastore, at))
            return i;
        if (go_down(datastore, at) != 1)
            break;
    }
    return count;
}

bool plan_remove_own(struct plan *plan, const struct virtual_machine *vm,
                     const struct datastore *datastore, const char *rel, bool top)
{
    if (!top)
        return plan_layers(plan, vm, datastore, rel, true);
    return may_go(vm, datastore, rel, NULL, true) &&
           plan_add(plan, PLAN_REMOVE_TOP, datastore, rel);
}

void plan_remove_all(struct plan *plan, const struct virtual_machine *vm,
                     const struct datastore *datastore, const char *rel)
{
    char own[DSPATH_MAX], folder[DSPATH_MAX];

    vm_folder(vm, own);
    folder_of(rel, folder);
    bool mine = datastore == vm->datastore && *own && !strcmp(own, folder);
    if (mine && !folder_holder(vm, datastore, own))
        (void)plan_add(plan, PLAN_REMOVE, datastore, rel); /* without a look at each */
    else
        (void)plan_layers(plan, vm, datastore, rel, !mine);
}
