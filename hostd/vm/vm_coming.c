/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_coming.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "hostd/api/vim_types.gen.h"

static int open_folder(int datastore_fd, const char *folder)
{
    return *folder ? dspath_open(datastore_fd, folder, O_RDONLY | O_DIRECTORY, 0) : -ENOENT;
}

/* What the mark says in this folder. */
static int words(int folder_fd, char *text, size_t size)
{
    struct stat st;

    if (fstat(folder_fd, &st) < 0)
        return -errno;
    (void)snprintf(text, size, "inode %llu\n", (unsigned long long)st.st_ino);
    return 0;
}

static int mark(int parent_fd, const char *name)
{
    cleanup_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char text[64];
    int rc = fd < 0 ? -errno : words(fd, text, sizeof text);

    return rc < 0 ? rc : file_replace(fd, VM_COMING_MARK, 0600, text, strlen(text), NULL);
}

/* NFS has no RENAME_NOREPLACE. */
static int rename_new(int parent_fd, const char *from, const char *to)
{
    if (renameat2(parent_fd, from, parent_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    if (faccessat(parent_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(parent_fd, from, parent_fd, to) < 0 ? -errno : 0;
}

int vm_coming_make(int parent_fd, const char *name)
{
    char beside[sizeof VM_COMING_MARK + 24];
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -errno;
    (void)snprintf(beside, sizeof beside, VM_COMING_MARK "-%016llx", (unsigned long long)number);
    if (mkdirat(parent_fd, beside, 0755) < 0)
        return -errno;
    int rc = mark(parent_fd, beside);
    if (rc == 0)
        rc = rename_new(parent_fd, beside, name);
    if (rc < 0)
        (void)dspath_remove(parent_fd, beside);
    return rc;
}

void vm_coming_unmark(int datastore_fd, const char *folder)
{
    cleanup_fd int fd = open_folder(datastore_fd, folder);

    if (fd >= 0)
        (void)unlinkat(fd, VM_COMING_MARK, 0);
}

bool vm_coming_is_marked(int datastore_fd, const char *folder)
{
    cleanup_fd int fd = open_folder(datastore_fd, folder);
    cleanup_buf struct buf found = {0};
    char text[64];

    return fd >= 0 && words(fd, text, sizeof text) == 0 &&
           file_load(fd, VM_COMING_MARK, sizeof text, &found, NULL) == 0 &&
           !strcmp(buf_cstr(&found), text);
}

void vm_coming_arrived(struct inventory *inventory)
{
    char folder[DSPATH_MAX];

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        struct virtual_machine *vm = vm_of(&e->mo);
        if (!vm->coming || vm->unfinished)
            continue;
        vm_folder(vm, folder);
        vm_coming_unmark(vm->datastore->fd, folder);
        vm->coming = false;
    }
}

static bool is_somebodys(struct inventory *inventory, const struct datastore *datastore,
                         const char *name)
{
    char folder[DSPATH_MAX];

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        vm_folder(vm_of(&e->mo), folder);
        if (vm_of(&e->mo)->datastore == datastore && !strcmp(folder, name))
            return true;
    }
    return false;
}

static void sweep(struct inventory *inventory, struct datastore *datastore)
{
    int fd = dspath_open(datastore->fd, "", O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void)close(fd);
    while (dir && (entry = readdir(dir))) {
        bool unnamed = !strncmp(entry->d_name, VM_COMING_MARK "-", sizeof VM_COMING_MARK) &&
                       strspn(entry->d_name + sizeof VM_COMING_MARK, "0123456789abcdef") == 16;
        if (!unnamed &&
            (*entry->d_name == '.' || !vm_coming_is_marked(datastore->fd, entry->d_name) ||
             is_somebodys(inventory, datastore, entry->d_name)))
            continue;
        log_info("\"%s\" on %s is of a VM that was being made when hostd was killed: it goes",
                 entry->d_name, datastore->e.name);
        (void)dspath_remove(datastore->fd, entry->d_name);
    }
    if (dir)
        (void)closedir(dir);
}

void vm_coming_sweep(struct inventory *inventory)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));) {
        struct datastore *datastore = ENTITY_OF(datastore, &e->mo);
        if (!datastore->lost)
            sweep(inventory, datastore);
    }
    vm_coming_arrived(inventory);
}
