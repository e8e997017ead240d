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
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/vm/vm_identity.h"

enum { TEXT_MAX = 2 * (DSPATH_MAX + ENTITY_ID_MAX) + 64, FIELDS = 7 };

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

/* This process, also among those that had its id before it. */
static uint64_t process;

static void draw_process(void)
{
    if (getrandom(&process, sizeof process, 0) != sizeof process)
        process = (uint64_t)getpid();
}

static uint64_t this_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, draw_process);
    return process;
}

static void digest(const char *text, char name[UNFINISHED_NAME])
{
    unsigned char sum[EVP_MAX_MD_SIZE] = {0};

    (void)EVP_Digest(text, strlen(text), sum, NULL, EVP_sha256(), NULL);
    for (unsigned i = 0; i < (UNFINISHED_NAME - 1) / 2; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", sum[i]);
}

static int replace(int records, const char *name, const char *text)
{
    char beside[UNFINISHED_NAME + 8];

    (void)snprintf(beside, sizeof beside, ".%s", name);
    (void)unlinkat(records, beside, 0);
    if (symlinkat(text, records, beside) < 0 || renameat(records, beside, records, name) < 0)
        return -errno;
    return 0;
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

/* WHAT PROCESS FOLDERS, then DATASTORE and REL of one or two places, a line each. */
static int begin(struct unfinished *record, enum unfinished_what what, unsigned folders,
                 const char *places)
{
    cleanup_fd int records = open_records();
    char text[TEXT_MAX];

    *record = (struct unfinished){0};
    if (records < 0)
        return records;
    if (snprintf(text, sizeof text, "%s\n%" PRIu64 "\n%u\n%s", words[what], this_process(), folders,
                 places) >= (int)sizeof text)
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

/* WHAT, a line; its process, a line; the rest. */
void unfinished_leave(struct unfinished *record)
{
    cleanup_fd int records = *record->name ? open_records() : -1;
    char text[TEXT_MAX], left[TEXT_MAX + 8];
    ssize_t len = records < 0 ? -1 : readlinkat(records, record->name, text, sizeof text - 1);
    char *rest = text, *what;

    text[MAX(len, (ssize_t)0)] = '\0';
    what = strsep(&rest, "\n");
    if (len > 0 && strsep(&rest, "\n") && rest) {
        (void)snprintf(left, sizeof left, "%s\n0\n%s", what, rest);
        (void)replace(records, record->name, left);
    }
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
    bool ours; /* this process is at it */
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
    if (count < 5 || parse_u64(field[1], 0, UINT64_MAX, &by) < 0 ||
        parse_unsigned(field[2], 0, DSPATH_MAX, &left->folders) < 0)
        return false;
    for (left->what = 0; left->what < UNFINISHED_WHATS; left->what++)
        if (!strcmp(field[0], words[left->what]))
            break;
    left->ours = by == this_process();
    left->datastore = datastore_find(inventory, field[3]);
    left->rel = field[4];
    if (left->what >= UNFINISHED_MOVE) {
        left->from_datastore = count == FIELDS ? datastore_find(inventory, field[5]) : NULL;
        left->from = count == FIELDS ? field[6] : "";
    }
    return left->what < UNFINISHED_WHATS && *left->rel && (!left->from || *left->from);
}

/* Is it known what each VM has? */
static bool are_known(struct inventory *inventory)
{
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        const struct virtual_machine *vm = vm_of(&e->mo);
        if (!vm->vmx || vm->keeper_busy || vm->task)
            return false;
    }
    return true;
}

static bool is_own(const struct virtual_machine *vm, const char *rel)
{
    size_t len = strlen(vm->rel);

    len -= len > 4 && !strcasecmp(vm->rel + len - 4, ".vmx") ? 4 : 0;
    return !strcmp(rel, vm->rel) || (!strncmp(rel, vm->rel, len) && !strcmp(rel + len, ".nvram"));
}

static bool has_file(const struct virtual_machine *vm, const struct datastore *datastore,
                     const char *rel)
{
    return (vm->datastore == datastore && is_own(vm, rel)) || vm_names_file(vm, datastore, rel);
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

static void remove_named(int fd, const char *rel, const char *end, const char *more)
{
    size_t len = strlen(rel);
    char name[DSPATH_MAX + 32];

    len -= *end && len > 5 && !strcasecmp(rel + len - 5, ".vmdk") ? 5 : 0;
    (void)snprintf(name, sizeof name, "%.*s%s%s", (int)len, rel, end, more);
    (void)dspath_remove(fd, name);
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

static void remove_disk(int fd, const char *rel)
{
    (void)dspath_remove(fd, rel);
    remove_named(fd, rel, "-flat.vmdk", "");
    remove_named(fd, rel, "", ".part");
    remove_named(fd, rel, "-flat.vmdk", ".part");
}

/* Both names lead to the same data; the old descriptor is the first to go of the old ones. */
static void end_rename(const struct left *left)
{
    struct stat st;

    if (dspath_stat(left->from_datastore->fd, left->from, &st) == 0)
        remove_disk(left->datastore->fd, left->rel);
    else
        remove_disk(left->from_datastore->fd, left->from);
}

static void take_away(struct inventory *inventory, const struct left *left)
{
    int fd = left->datastore->fd;

    if (left->what == UNFINISHED_MOVE) {
        move_back(inventory, left);
        return;
    }
    if (left->what == UNFINISHED_RENAME) {
        end_rename(left);
        return;
    }
    if ((left->what == UNFINISHED_HOME &&
         find_vm(inventory, lives_in, left->datastore, left->rel)) ||
        (left->what == UNFINISHED_DISK &&
         find_vm(inventory, has_file, left->datastore, left->rel)) ||
        (left->what == UNFINISHED_UNDER &&
         (find_vm(inventory, has_file, left->datastore, left->rel) ||
          find_vm(inventory, has_file, left->from_datastore, left->from))))
        return;
    log_info("\"%s\" on %s is of what was under way when hostd was killed: it goes", left->rel,
             left->datastore->e.name);
    if (left->what == UNFINISHED_DISK || left->what == UNFINISHED_UNDER) {
        remove_disk(fd, left->rel);
    } else if (left->what == UNFINISHED_PARTS) {
        remove_named(fd, left->rel, "", ".part");
        remove_named(fd, left->rel, "-flat.vmdk", ".part");
    } else {
        (void)dspath_remove(fd, left->rel);
    }
    unfinished_remove_folders(fd, left->rel, left->folders);
}

static void sweep_one(struct inventory *inventory, int records, const char *name, struct left *left)
{
    *left = (struct left){0};
    ssize_t len = readlinkat(records, name, left->text, sizeof left->text - 1);

    if (len < 0)
        return;
    bool good = parse(inventory, left);
    bool of_vms = left->what == UNFINISHED_DISK || left->what == UNFINISHED_UNDER;
    if (good && of_vms && !are_known(inventory))
        return;
    if (good && (left->ours || !left->datastore || left->datastore->lost ||
                 (left->from && (!left->from_datastore || left->from_datastore->lost))))
        return;
    if (good)
        take_away(inventory, left);
    (void)unlinkat(records, name, 0);
}

void unfinished_sweep(struct inventory *inventory)
{
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
