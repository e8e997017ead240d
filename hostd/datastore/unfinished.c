/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/unfinished.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "config/vmsd.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/vm/vm_identity.h"

enum { TEXT_MAX = 2 * (DSPATH_MAX + ENTITY_ID_MAX) + 64, FIELDS = 7, LEFT = '@' };

static const char *const words[UNFINISHED_WHATS] = {"file", "disk",   "parts", "home",
                                                    "move", "rename", "under"};

/* --- records --- */

static int open_records(void)
{
    int fd = open(UNFINISHED_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && (mkdir(UNFINISHED_FOLDER, 0700) == 0 || errno == EEXIST))
        fd = open(UNFINISHED_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static uint64_t nsec_of(const struct timespec *at)
{
    return (uint64_t)at->tv_sec * 1000000000 + (uint64_t)at->tv_nsec;
}

/* This process, also among those that had its id before it. */
static uint64_t process;

static int replace(int records, const char *name, const char *text)
{
    char beside[UNFINISHED_NAME + 8];

    (void)snprintf(beside, sizeof beside, ".%s", name);
    (void)unlinkat(records, beside, 0);
    if (symlinkat(text, records, beside) < 0 || renameat(records, beside, records, name) < 0)
        return -errno;
    return 0;
}

/* WHAT, a line; its process, or LEFT and since when nobody is at it, a line; the rest. The clock is
 * the one that file systems take their times from. */
static void leave_one(int records, const char *name)
{
    char text[TEXT_MAX], left[TEXT_MAX + 32];
    ssize_t len = readlinkat(records, name, text, sizeof text - 1);
    char *rest = text, *what, *by;
    struct timespec now;

    text[MAX(len, (ssize_t)0)] = '\0';
    what = strsep(&rest, "\n");
    by = strsep(&rest, "\n");
    if (len <= 0 || !by || !rest || *by == LEFT)
        return;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    (void)snprintf(left, sizeof left, "%s\n%c%" PRIu64 "\n%s", what, LEFT, nsec_of(&now), rest);
    (void)replace(records, name, left);
}

/* Before this process makes anything, so that what it makes is younger than what others left. */
static void begin_process(void)
{
    DIR *dir = opendir(UNFINISHED_FOLDER);
    const struct dirent *entry;

    if (getrandom(&process, sizeof process, 0) != sizeof process)
        process = (uint64_t)getpid();
    while (dir && (entry = readdir(dir)))
        if (*entry->d_name != '.')
            leave_one(dirfd(dir), entry->d_name);
    if (dir)
        (void)closedir(dir);
}

static uint64_t this_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, begin_process);
    return process;
}

static void digest(const char *text, char name[UNFINISHED_NAME])
{
    unsigned char sum[EVP_MAX_MD_SIZE] = {0};

    (void)EVP_Digest(text, strlen(text), sum, NULL, EVP_sha256(), NULL);
    for (unsigned i = 0; i < (UNFINISHED_NAME - 1) / 2; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", sum[i]);
}

/* One that an earlier process has left is taken over: what is done there now counts. */
static bool is_ours(int records, const char *name)
{
    char text[TEXT_MAX];
    uint64_t by;
    ssize_t len = readlinkat(records, name, text, sizeof text - 1);

    if (len < 0)
        return false;
    text[len] = '\0';
    char *rest = text;
    (void)strsep(&rest, "\n");
    const char *process_text = strsep(&rest, "\n");
    return process_text && parse_u64(process_text, 0, UINT64_MAX, &by) == 0 && by == this_process();
}

/* A line too many would make another place of it. */
static bool are_lines(const char *text, unsigned lines)
{
    for (unsigned char c; (c = (unsigned char)*text); text++) {
        if (c == '\n')
            lines--;
        else if (c < ' ' || c == '\x7f')
            return false;
    }
    return lines == 1;
}

/* WHAT PROCESS FOLDERS, then DATASTORE and REL of one or two places, a line each. */
static int begin(struct unfinished *record, enum unfinished_what what, unsigned folders,
                 const char *places)
{
    cleanup_fd int records = open_records();
    char text[TEXT_MAX];

    *record = (struct unfinished){0};
    uint64_t by = this_process();
    if (records < 0)
        return records;
    if (!are_lines(places, what >= UNFINISHED_MOVE ? 4 : 2))
        return -EINVAL;
    if (snprintf(text, sizeof text, "%s\n%" PRIu64 "\n%u\n%s", words[what], by, folders, places) >=
        (int)sizeof text)
        return -ENAMETOOLONG;
    char name[UNFINISHED_NAME];
    digest(places, name);
    int rc = symlinkat(text, records, name) < 0 ? -errno : 0;
    if (rc == -EEXIST)
        rc = is_ours(records, name) ? -EBUSY : replace(records, name, text);
    if (rc == 0)
        memcpy(record->name, name, sizeof name);
    return rc;
}

int unfinished_begin(struct unfinished *record, enum unfinished_what what, const char *datastore,
                     const char *rel, unsigned folders)
{
    char places[TEXT_MAX];

    (void)snprintf(places, sizeof places, "%s\n%s", datastore, rel);
    return begin(record, what, folders, places);
}

int unfinished_begin_move(struct unfinished *record, enum unfinished_what what,
                          const char *from_datastore, const char *from, const char *to_datastore,
                          const char *to)
{
    char places[TEXT_MAX];

    (void)snprintf(places, sizeof places, "%s\n%s\n%s\n%s", to_datastore, to, from_datastore, from);
    return begin(record, what, what == UNFINISHED_UNDER, places);
}

void unfinished_end(struct unfinished *record)
{
    cleanup_fd int records = *record->name ? open_records() : -1;

    if (records >= 0)
        (void)unlinkat(records, record->name, 0);
    *record = (struct unfinished){0};
}

void unfinished_leave(struct unfinished *record)
{
    cleanup_fd int records = *record->name ? open_records() : -1;

    if (records >= 0)
        leave_one(records, record->name);
    *record = (struct unfinished){0};
}

/* --- folders on the way --- */

/* `rel` without its last element; false: it has but one. */
static bool up(char rel[DSPATH_MAX])
{
    char *slash = strrchr(rel, '/');

    if (slash)
        *slash = '\0';
    return slash;
}

unsigned unfinished_folders(int dir_fd, const char *rel)
{
    char at[DSPATH_MAX];
    unsigned count = 0;
    struct stat st;

    (void)snprintf(at, sizeof at, "%s", rel);
    while (up(at) && dspath_stat(dir_fd, at, &st) == -ENOENT)
        count++;
    return count;
}

void unfinished_remove_folders(int dir_fd, const char *rel, unsigned folders)
{
    char at[DSPATH_MAX];
    bool gone = true;

    (void)snprintf(at, sizeof at, "%s", rel);
    while (folders-- && gone && up(at)) {
        const char *last;
        cleanup_fd int parent = dspath_open_parent(dir_fd, at, &last);
        gone = parent >= 0 && (unlinkat(parent, last, AT_REMOVEDIR) == 0 || errno == ENOENT);
    }
}

/* --- what earlier processes have left --- */

struct left {
    enum unfinished_what what;
    unsigned folders;
    bool ours;      /* this process is at it */
    uint64_t until; /* what has changed since is not of it */
    struct datastore *datastore, *from_datastore;
    const char *rel, *from; /* in `text` */
    char text[TEXT_MAX];
};

static bool parse(struct inventory *inventory, struct left *left)
{
    char *field[FIELDS] = {0}, *rest = left->text;
    unsigned count = 0;
    uint64_t by;

    while (count < FIELDS && (field[count] = strsep(&rest, "\n")))
        count++;
    bool is_left = count > 1 && *field[1] == LEFT;
    if (rest || (count != 5 && count != FIELDS) ||
        parse_u64(field[1] + is_left, 0, UINT64_MAX, &by) < 0 ||
        parse_unsigned(field[2], 0, DSPATH_MAX, &left->folders) < 0)
        return false;
    for (left->what = 0; left->what < UNFINISHED_WHATS; left->what++)
        if (!strcmp(field[0], words[left->what]))
            break;
    left->ours = !is_left && by == this_process();
    left->until = is_left ? by : 0;
    left->datastore = datastore_find(inventory, field[3]);
    left->rel = field[4];
    if (count == FIELDS) {
        left->from_datastore = datastore_find(inventory, field[5]);
        left->from = field[6];
    }
    return left->what < UNFINISHED_WHATS && (left->what >= UNFINISHED_MOVE) == (count == FIELDS) &&
           *left->rel && (!left->from || *left->from);
}

static bool is_known(const struct virtual_machine *vm)
{
    return vm->vmx && !vm->keeper_busy && !vm->task && !vm->settling;
}

/* Is it known what each VM has? */
static bool are_known(struct inventory *inventory)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (!is_known(vm_of(&e->mo)))
            return false;
    return true;
}

static bool is_own(const struct virtual_machine *vm, const char *rel)
{
    size_t len = strlen(vm->rel);

    len -= len > 4 && !strcasecmp(vm->rel + len - 4, ".vmx") ? 4 : 0;
    return !strcmp(rel, vm->rel) || (!strncmp(rel, vm->rel, len) && !strcmp(rel + len, ".nvram"));
}

/* In a snapshot; what cannot be said is taken to be so. */
static bool has_frozen(const struct virtual_machine *vm, const struct datastore *datastore,
                       const char *rel)
{
    struct vmsd_snapshot *snapshot = vm->vmsd ? malloc(sizeof *snapshot) : NULL;
    bool has = vm->vmsd && !snapshot;

    for (unsigned i = 0; snapshot && !has && i < vmsd_count(vm->vmsd); i++) {
        has = vmsd_get(vm->vmsd, vmsd_uid(vm->vmsd, i), snapshot) < 0;
        for (unsigned d = 0; !has && d < snapshot->disk_count; d++) {
            struct dspath path;
            has = vm_file(vm, snapshot->disk[d].file, &path) == datastore && !strcmp(path.rel, rel);
        }
    }
    free(snapshot);
    return has;
}

static bool has_file(const struct virtual_machine *vm, const struct datastore *datastore,
                     const char *rel)
{
    return (vm->datastore == datastore && is_own(vm, rel)) || vm_names_file(vm, datastore, rel) ||
           has_frozen(vm, datastore, rel);
}

/* For certain: also while it is not known what others have. */
static bool has_surely(const struct virtual_machine *vm, const struct datastore *datastore,
                       const char *rel)
{
    return is_known(vm) && has_file(vm, datastore, rel);
}

static bool lives_in(const struct virtual_machine *vm, const struct datastore *datastore,
                     const char *rel)
{
    char folder[DSPATH_MAX];

    vm_folder(vm, folder);
    return vm->datastore == datastore && !strcmp(folder, rel);
}

typedef bool test_fn(const struct virtual_machine *vm, const struct datastore *datastore,
                     const char *rel);

static struct virtual_machine *find_vm(struct inventory *inventory, test_fn *test,
                                       const struct datastore *datastore, const char *rel)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (test(vm_of(&e->mo), datastore, rel))
            return vm_of(&e->mo);
    return NULL;
}

/* Nothing has happened to it since nobody is at it: not another's file of the same name. A folder's
 * time says so of what is in it, not of what is below that. */
static bool is_of(const struct left *left, int fd, const char *rel)
{
    struct stat st;
    int rc = dspath_stat(fd, rel, &st);

    if (rc == 0 && nsec_of(&st.st_ctim) > left->until)
        log_warn("\"%s\" on %s has changed since hostd was killed while it was made: it stays", rel,
                 left->datastore->e.name);
    return rc == 0 && nsec_of(&st.st_ctim) <= left->until;
}

static void remove_one(const struct left *left, int fd, const char *rel)
{
    if (is_of(left, fd, rel))
        (void)dspath_remove(fd, rel);
}

static void remove_named(const struct left *left, int fd, const char *rel, const char *end,
                         const char *more)
{
    size_t len = strlen(rel);
    char name[DSPATH_MAX + 32];

    len -= *end && len > 5 && !strcasecmp(rel + len - 5, ".vmdk") ? 5 : 0;
    (void)snprintf(name, sizeof name, "%.*s%s%s", (int)len, rel, end, more);
    remove_one(left, fd, name);
}

/* How many of the folders that were made for it nobody has touched since. */
static unsigned old_folders(const struct left *left, int fd)
{
    char at[DSPATH_MAX];
    unsigned count = 0;
    struct stat st;

    (void)snprintf(at, sizeof at, "%s", left->rel);
    while (count < left->folders && up(at)) {
        int rc = dspath_stat(fd, at, &st);
        if (rc != -ENOENT && (rc < 0 || nsec_of(&st.st_ctim) > left->until))
            break;
        count++;
    }
    return count;
}

/* The VM's own entry says where it is: that is changed last. */
static void move_back(struct inventory *inventory, const struct left *left)
{
    struct virtual_machine *vm = find_vm(inventory, lives_in, left->from_datastore, left->from);
    const char *from, *to;
    struct stat st;

    if (!vm || dspath_stat(left->from_datastore->fd, left->from, &st) != -ENOENT)
        return;
    cleanup_fd int from_dir = dspath_open_parent(left->from_datastore->fd, left->from, &from);
    cleanup_fd int to_dir = dspath_open_parent(left->datastore->fd, left->rel, &to);
    if (from_dir < 0 || to_dir < 0 || renameat2(to_dir, to, from_dir, from, RENAME_NOREPLACE) < 0)
        return;
    vm_reload(vm);
    if (vm->vmx && vm_identity_set(vm->vmx, vm->datastore, vm->rel) == 0) {
        char path[PATH_MAX];
        datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
        (void)vmxfile_save(vm->vmx, path, NULL);
    }
    vm_settle(vm, true); /* and what the .vmx was just to become */
}

static void remove_disk(const struct left *left, int fd, const char *rel)
{
    remove_one(left, fd, rel);
    remove_named(left, fd, rel, "-flat.vmdk", "");
    remove_named(left, fd, rel, "", ".part");
    remove_named(left, fd, rel, "-flat.vmdk", ".part");
}

/* The part of a disk's name that those of its extents begin with. */
static int stem(const char *name)
{
    size_t len = strlen(name);

    return (int)(len - (len > 5 && !strcasecmp(name + len - 5, ".vmdk") ? 5 : 0));
}

/* The extents of `rel` that are second links to those of `other`: no data goes with them. */
static void unlink_seconds(int fd, const char *rel, int other_fd, const char *other)
{
    const char *name, *other_name;
    cleanup_fd int parent = dspath_open_parent(fd, rel, &name);
    cleanup_fd int other_parent = dspath_open_parent(other_fd, other, &other_name);
    int list = parent < 0 ? -1 : openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list < 0 || other_parent < 0 ? NULL : fdopendir(list);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char twin[2 * DSPATH_MAX];
        struct stat st, st2;
        if (strncmp(entry->d_name, name, (size_t)stem(name)) != 0 || !strcmp(entry->d_name, name))
            continue;
        (void)snprintf(twin, sizeof twin, "%.*s%s", stem(other_name), other_name,
                       entry->d_name + stem(name));
        if (strcmp(entry->d_name, twin) != 0 &&
            fstatat(parent, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            fstatat(other_parent, twin, &st2, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_ino == st2.st_ino && st.st_dev == st2.st_dev)
            (void)unlinkat(parent, entry->d_name, 0);
    }
    if (dir)
        (void)closedir(dir);
    else
        (void)close_fd(list);
}

/* Both names lead to the same data; the old descriptor is the first to go of the old ones. What is
 * to go is a link to what stays, and the new descriptor. */
static void end_rename(const struct left *left)
{
    int from = left->from_datastore->fd, to = left->datastore->fd;
    struct stat st;

    if (dspath_stat(from, left->from, &st) == 0) {
        unlink_seconds(to, left->rel, from, left->from);
        remove_one(left, to, left->rel);
        remove_named(left, to, left->rel, "", ".part");
    } else {
        unlink_seconds(from, left->from, to, left->rel);
    }
}

/* Is it somebody's? */
static bool is_had(struct inventory *inventory, const struct left *left, test_fn *test)
{
    return find_vm(inventory, test, left->datastore, left->rel) ||
           (left->from && find_vm(inventory, test, left->from_datastore, left->from));
}

static bool is_of_vms(const struct left *left)
{
    return left->what == UNFINISHED_DISK || left->what == UNFINISHED_UNDER ||
           left->what == UNFINISHED_RENAME;
}

static void take_away(struct inventory *inventory, const struct left *left)
{
    int fd = left->datastore->fd;

    if (left->what == UNFINISHED_MOVE) {
        move_back(inventory, left);
        return;
    }
    if ((left->what == UNFINISHED_HOME &&
         find_vm(inventory, lives_in, left->datastore, left->rel)) ||
        (is_of_vms(left) && is_had(inventory, left, has_file)))
        return;
    if (left->what == UNFINISHED_RENAME) {
        end_rename(left);
        return;
    }
    unsigned folders = old_folders(left, fd);
    log_info("\"%s\" on %s is of what was under way when hostd was killed: it goes", left->rel,
             left->datastore->e.name);
    if (left->what == UNFINISHED_DISK || left->what == UNFINISHED_UNDER) {
        remove_disk(left, fd, left->rel);
    } else if (left->what == UNFINISHED_PARTS) {
        remove_named(left, fd, left->rel, "", ".part");
        remove_named(left, fd, left->rel, "-flat.vmdk", ".part");
    } else {
        remove_one(left, fd, left->rel);
    }
    unfinished_remove_folders(fd, left->rel, folders);
}

static void sweep_one(struct inventory *inventory, int records, const char *name, struct left *left)
{
    *left = (struct left){0};
    ssize_t len = readlinkat(records, name, left->text, sizeof left->text - 1);

    if (len < 0)
        return;
    bool good = parse(inventory, left);
    if (good && (left->ours || !left->datastore || left->datastore->lost ||
                 (left->from && (!left->from_datastore || left->from_datastore->lost))))
        return;
    /* What a VM has by now is settled: later a snapshot may be all that names it. */
    if (good && is_of_vms(left) && !are_known(inventory) && !is_had(inventory, left, has_surely))
        return;
    if (!good)
        log_warn("a record of what was under way is damaged: what it names stays");
    if (good)
        take_away(inventory, left);
    (void)unlinkat(records, name, 0);
}

void unfinished_sweep(struct inventory *inventory)
{
    (void)this_process();
    DIR *dir = inventory->complete ? opendir(UNFINISHED_FOLDER) : NULL;
    struct left *left = malloc(sizeof *left);
    const struct dirent *entry;

    while (dir && left && (entry = readdir(dir)))
        if (*entry->d_name != '.')
            sweep_one(inventory, dirfd(dir), entry->d_name, left);
    if (dir)
        (void)closedir(dir);
    free(left);
}
