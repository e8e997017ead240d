/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot operations cut off at every step that reaches a disk: each write, sync, rename and
 * unlink of an operation is counted, and in run N the process ends before the Nth. What is left
 * must be good as it stands, must be settled by the next one, also when that is cut off at each of
 * its own steps, and can then be gone on with. The keeper's part is done in the same process as it
 * does it (vm/process/change.c): so a cut there is hostd and the VM killed at once, and one at the
 * first step after it hostd alone. Or the disk is full from step N on, and nobody is killed. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/range.h"
#include "hostd/snapshot/snapshot_files.h"
#include "hostd/snapshot/snapshot_tree.h"
#include "tests/disk/folder.h"
#include "tests/tap.h"

enum { DISKS = 2, SECTORS = 2048, SPOTS = 8, UIDS = 8, CUT = 77 };

static const char *const disk_node[DISKS] = {"scsi0:0", "scsi0:1"};

/* What has been acknowledged; shared with the process that is cut off. */
struct content {
    uint32_t at[DISKS][SPOTS];
};
static struct model {
    struct content now, then[UIDS]; /* then: by uid, what the snapshot froze */
    uint32_t stamp;
    bool was_full; /* something found no room */
} * model;

static struct folder folder;
static struct snapshot_files files;
static bool alive = true; /* the VM runs: it writes between the pieces */

/* --- the knife --- */

static unsigned step, cut_at; /* 0: not cut */
static bool counting, fills;  /* fills: the disk is full from there on */

static bool count(void)
{
    if (counting && ++step == cut_at && !fills)
        _exit(CUT);
    return counting && fills && cut_at && step >= cut_at;
}

static int no_room(void)
{
    model->was_full = true;
    errno = ENOSPC;
    return -1;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    return count() ? no_room() : syscall(SYS_pwritev, fd, iov, n, at, 0);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (fd > 2 && count())
        return no_room();
    return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
    count();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    count();
    return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    return count() ? no_room() : (int)syscall(SYS_fallocate, fd, mode, at, len);
}

int ftruncate(int fd, off_t len)
{
    return count() ? no_room() : (int)syscall(SYS_ftruncate, fd, len);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    count();
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int fd, const char *name, int flags)
{
    count();
    return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

/* --- the VM --- */

static const char *path_of(const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", folder.path, name);
    return path;
}

static void begin(void)
{
    snapshot_files_init(&files);
    (void)snprintf(files.folder, sizeof files.folder, "%s", folder.path);
    (void)snprintf(files.stem, sizeof files.stem, "vm");
    (void)vmxfile_load(path_of("vm.vmx"), &files.vmx, NULL);
}

static struct disk *open_disk(const char *name, unsigned flags, struct aio *aio)
{
    struct disk_options options = {.flags = flags, .format = "vmdk"};
    struct err err = ERR_INIT;
    struct disk *disk = NULL;

    if (disk_open(&folder.dir.host, name, &options, aio, &disk, &err) < 0)
        (void)printf("# %s: %s\n", name, err.text);
    return disk;
}

/* Where spot `i` lies: in grains of their own. */
static uint64_t place(unsigned i)
{
    return (uint64_t)i * (SECTORS / SPOTS) * DISK_SECTOR;
}

/* The guest writes some spots of each disk, and hears that they are on stable storage. */
static void guest_writes(unsigned spots)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_aio struct aio *aio = NULL;
    bool was = counting;

    counting = false;
    if (!alive || vmxfile_load(path_of("vm.vmx"), &vmx, NULL) < 0 ||
        aio_create(AIO_PLAIN, &aio, NULL) < 0)
        abort();
    for (unsigned d = 0; d < DISKS; d++) {
        char key[40], sector[DISK_SECTOR] = {0};
        (void)snprintf(key, sizeof key, "%s.fileName", disk_node[d]);
        struct disk *disk = open_disk(vmxfile_get(vmx, key), 0, aio);
        for (unsigned i = 0; i < SPOTS; i++) {
            if (!(spots & 1U << i))
                continue;
            uint32_t stamp = ++model->stamp;
            memcpy(sector, &stamp, sizeof stamp);
            if (!disk || disk_pwrite(disk, sector, sizeof sector, place(i)) < 0 ||
                disk_flush(disk) < 0)
                abort();
            model->now.at[d][i] = stamp;
        }
        disk_close(disk);
    }
    counting = was;
}

static bool holds(const char *name, unsigned d, const struct content *want)
{
    cleanup_aio struct aio *aio = NULL;
    bool same = aio_create(AIO_PLAIN, &aio, NULL) == 0;
    struct disk *disk = open_disk(name, DISK_READONLY, aio);

    for (unsigned i = 0; disk && i < SPOTS && same; i++) {
        char sector[DISK_SECTOR];
        same = disk_pread(disk, sector, sizeof sector, place(i)) == 0 &&
               !memcmp(sector, &want->at[d][i], sizeof want->at[d][i]);
    }
    disk_close(disk);
    return disk && same;
}

/* --- what the keeper does with files.vmx --- */

static int commit(struct err *err)
{
    cleanup_buf struct buf text = {0};

    vmxfile_write(files.vmx, &text);
    return file_replace(AT_FDCWD, path_of("vm.vmx"), 0600, text.data, text.len, err);
}

static int keeper(bool children, struct err *err)
{
    cleanup_vmxfile struct vmxfile *now = NULL;
    cleanup_aio struct aio *aio = NULL;
    int rc = vmxfile_load(path_of("vm.vmx"), &now, err);

    if (rc == 0)
        rc = aio_create(AIO_PLAIN, &aio, err);
    if (rc == 0 && files.state_fd >= 0)
        rc = file_write_all(files.state_fd, "Socle VM state", 14);
    for (unsigned d = 0; d < DISKS && rc == 0; d++) {
        char key[40];
        (void)snprintf(key, sizeof key, "%s.fileName", disk_node[d]);
        const char *was = vmxfile_get(now, key), *becomes = vmxfile_get(files.vmx, key);
        struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = was};
        struct disk_merge merge = {.name = was, .into = becomes, .layers = 1};
        if (!strcmp(was, becomes))
            continue;
        rc = children ? disk_create(&folder.dir.host, becomes, &spec, aio, NULL, NULL, err)
                      : disk_merge_layers(&folder.dir.host, &merge, aio, NULL, NULL, err);
    }
    return rc < 0 ? rc : commit(err);
}

/* --- the operations, as vm_snapshot_work.c does them --- */

static int settle(struct err *err)
{
    int rc = snapshot_files_open(&files, err);

    if (rc == 0)
        rc = snapshot_files_settle(&files, err);
    if (rc == 0)
        snapshot_files_sweep(&files);
    snapshot_files_close(&files);
    return rc;
}

static int take(bool live, bool memory, struct err *err)
{
    int rc = snapshot_files_open(&files, err);

    if (rc == 0)
        rc = snapshot_files_prepare(&files, "name", "what", memory, err);
    model->then[files.uid] = model->now;
    if (rc == 0 && !live)
        rc = snapshot_files_branch(&files, err);
    snapshot_files_close(&files);
    if (rc == 0 && live) {
        rc = keeper(true, err);
        guest_writes(0x05);
    }
    if (rc == 0)
        rc = snapshot_files_complete(&files, err);
    return rc < 0 ? rc : settle(err);
}

static int merge_live(struct err *err)
{
    int rc = keeper(true, err);

    for (unsigned round = 0; round < 2 && rc == 0; round++) {
        guest_writes(0x18);
        rc = snapshot_files_open(&files, err);
        if (rc == 0)
            rc = snapshot_files_merge(&files, true, NULL, NULL, err);
        guest_writes(0x30);
        if (rc == 0 && round == 0) {
            snapshot_files_advance(&files);
            rc = snapshot_files_divert(&files, err);
        } else if (rc == 0) {
            rc = snapshot_files_land(&files, err);
        }
        snapshot_files_close(&files);
        if (rc == 0)
            rc = keeper(round == 0, err);
    }
    guest_writes(0x42);
    return rc;
}

static int drop_some(uint32_t uid, bool children, bool listed, bool live, struct err *err)
{
    int rc = snapshot_files_open(&files, err);

    if (rc == 0 && listed)
        rc = snapshot_files_unlist(&files, uid, children, err);
    if (rc == 0)
        rc = snapshot_files_find(&files, err);
    if (rc == 0)
        rc = snapshot_files_fold(&files, live, NULL, NULL, err);
    bool some = files.merge_count;
    if (rc == 0 && some && live)
        rc = snapshot_files_divert(&files, err);
    if (rc == 0 && !live)
        rc = snapshot_files_merge(&files, false, NULL, NULL, err);
    snapshot_files_close(&files);
    if (rc == 0 && some && live)
        rc = merge_live(err);
    return rc < 0 ? rc : settle(err);
}

static int drop(uint32_t uid, bool listed, bool live, struct err *err)
{
    return drop_some(uid, false, listed, live, err);
}

static int go_back(uint32_t uid, struct err *err)
{
    bool memory;
    int rc = snapshot_files_open(&files, err);

    if (rc == 0)
        rc = snapshot_files_revert(&files, uid, NULL, false, &memory, err);
    snapshot_files_close(&files);
    return rc < 0 ? rc : settle(err);
}

static int take_off(struct err *err)
{
    return take(false, false, err);
}
static int take_live(struct err *err)
{
    return take(true, false, err);
}
static int take_memory(struct err *err)
{
    return take(true, true, err);
}
static int drop_first(struct err *err)
{
    return drop(1, true, false, err);
}
static int drop_last(struct err *err)
{
    return drop(3, true, false, err);
}
static int drop_last_live(struct err *err)
{
    return drop(3, true, true, err);
}
static int drop_all(struct err *err)
{
    return drop(VMSD_NONE, true, false, err);
}
static int drop_all_live(struct err *err)
{
    return drop(VMSD_NONE, true, true, err);
}
static int drop_first_live(struct err *err)
{
    return drop(1, true, true, err);
}
static int drop_second(struct err *err)
{
    return drop(2, true, false, err);
}
static int drop_second_live(struct err *err)
{
    return drop(2, true, true, err);
}
static int consolidate(struct err *err)
{
    return drop(VMSD_NONE, false, false, err);
}
static int consolidate_live(struct err *err)
{
    return drop(VMSD_NONE, false, true, err);
}
static int back_to_second(struct err *err)
{
    return go_back(2, err);
}
static int back_to_first(struct err *err)
{
    return go_back(1, err);
}
/* The second, and all that come after it. */
static int drop_branch(struct err *err)
{
    return drop_some(2, true, true, false, err);
}
static int drop_branch_live(struct err *err)
{
    return drop_some(2, true, true, true, err);
}

/* --- what must be so --- */

static unsigned problems;

static void problem(const char *what, const char *name)
{
    (void)printf("# cut before step %u: %s%s%s\n", cut_at, what, *name ? ": " : "", name);
    problems++;
}

static const char *vm_disk(const struct vmxfile *vmx, unsigned d)
{
    char key[40];

    (void)snprintf(key, sizeof key, "%s.fileName", disk_node[d]);
    return vmxfile_get(vmx, key);
}

/* What a snapshot would be gone back to by. */
static void check_kept(const struct vmsd_snapshot *s)
{
    cleanup_vmxfile struct vmxfile *kept = NULL;
    char name[40];

    (void)snprintf(name, sizeof name, "vm-Snapshot%u.vmx", s->uid);
    if (vmxfile_load(path_of(name), &kept, NULL) < 0)
        problem("a snapshot without its .vmx", name);
    for (unsigned d = 0; kept && d < DISKS; d++)
        if (!holds(vm_disk(kept, d), d, &model->then[s->uid]))
            problem("a snapshot's .vmx names what it was not", vm_disk(kept, d));
}

/* The VM and every listed snapshot have what they should. A revert is true from its .vmx on. */
static void check_content(uint32_t back_to)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_vmsd struct vmsd *vmsd = NULL;
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    if (vmxfile_load(path_of("vm.vmx"), &vmx, NULL) < 0 ||
        vmsd_load(path_of("vm.vmsd"), &vmsd, NULL) < 0) {
        problem("the .vmx or the .vmsd can not be read", "");
        return;
    }
    for (unsigned d = 0; d < DISKS; d++)
        if (!holds(vm_disk(vmx, d), d, &model->now) &&
            !(back_to && holds(vm_disk(vmx, d), d, &model->then[back_to])))
            problem("the VM has not what it wrote", vm_disk(vmx, d));
    for (unsigned i = 0; i < vmsd_count(vmsd); i++) {
        if (vmsd_get(vmsd, vmsd_uid(vmsd, i), s) < 0 || s->disk_count != DISKS)
            problem("a snapshot without its disks", "");
        for (unsigned d = 0; d < s->disk_count; d++)
            if (!holds(s->disk[d].file, d, &model->then[s->uid]))
                problem("a snapshot is not what it was", s->disk[d].file);
        check_kept(s);
    }
}

/* After settling: nothing is there that nobody needs. */
static void check_files(void)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};
    struct err err = ERR_INIT;
    const struct dirent *entry;
    DIR *dir = opendir(folder.path);

    begin();
    if (snapshot_files_open(&files, &err) < 0 || snapshot_tree_read(&files, &tree, &err) < 0)
        problem(err.text, "");
    while (dir && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        char vmdk[DISK_NAME_MAX];
        unsigned uid;
        size_t len = strlen(name);
        (void)snprintf(vmdk, sizeof vmdk, "%s", name);
        if (len > 10 && !strcmp(name + len - 10, "-flat.vmdk"))
            (void)snprintf(vmdk + len - 10, 6, ".vmdk");
        if (len > 5 && !strcmp(name + len - 5, ".vmdk") && !snapshot_tree_is_used(&tree, vmdk))
            problem("nobody needs", name);
        if (sscanf(name, "vm-Snapshot%u.", &uid) == 1 && !snapshot_files_is_listed(&files, uid))
            problem("of a snapshot that is not there", name);
        if (strstr(name, ".new") || strstr(name, ".plan") || strstr(name, ".next") ||
            strstr(name, ".part"))
            problem("left behind", name);
    }
    if (dir)
        (void)closedir(dir);
    snapshot_files_free(&files);
}

/* --- runs --- */

static int in_child(int (*what)(struct err *err), unsigned at)
{
    int status;

    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = ERR_INIT;
        cut_at = at;
        counting = true;
        begin();
        int rc = what(&err);
        counting = false;
        if (rc < 0 && !fills)
            (void)printf("# %s\n", err.text);
        (void)fflush(stdout);
        _exit(rc < 0);
    }
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void vm_make(void)
{
    static const char vmx[] =
        ".encoding = \"UTF-8\"\ndisplayName = \"vm\"\nscsi0.present = \"TRUE\"\n"
        "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n"
        "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"b.vmdk\"\n";
    cleanup_aio struct aio *aio = NULL;
    struct disk_spec spec = {.format = DISK_VMDK_FLAT, .size = SECTORS * DISK_SECTOR};

    folder_empty(&folder);
    memset(model, 0, sizeof *model);
    folder_write(&folder, "vm.vmx", vmx, sizeof vmx - 1, 0);
    folder_write(&folder, "vm.nvram", "variables", 9, 0);
    folder_require(aio_create(AIO_PLAIN, &aio, NULL) == 0, "aio");
    folder_require(!disk_create(&folder.dir.host, "a.vmdk", &spec, aio, NULL, NULL, NULL), "disk");
    spec.format = DISK_VMDK_SPARSE;
    folder_require(!disk_create(&folder.dir.host, "b.vmdk", &spec, aio, NULL, NULL, NULL), "disk");
    guest_writes(0xff);
}

/* Three snapshots in a row; `unlisted`: without a list, as after a crash of long ago. */
static void prepare(unsigned snapshots, bool unlisted)
{
    vm_make();
    for (unsigned i = 0; i < snapshots; i++) {
        folder_require(in_child(take_off, 0) == 0, "a snapshot");
        guest_writes(1U << i | 0x80);
    }
    for (unsigned i = 1; unlisted && i <= snapshots; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "vm-Snapshot%u.vmx", i);
        (void)unlink(path_of(name));
        (void)snprintf(name, sizeof name, "vm-Snapshot%u.nvram", i);
        (void)unlink(path_of(name));
    }
    if (unlisted)
        (void)unlink(path_of("vm.vmsd"));
}

static struct model saved_model;
static struct folder saved;

static void copy_folder(const struct folder *from, const struct folder *to)
{
    const struct dirent *entry;

    folder_empty(to);
    DIR *dir = opendir(from->path);
    folder_require(dir != NULL, "opendir");
    while ((entry = readdir(dir))) {
        struct stat st;
        if (*entry->d_name == '.')
            continue;
        cleanup_fd int in = openat(from->dir.fd, entry->d_name, O_RDONLY | O_CLOEXEC);
        cleanup_fd int out =
            openat(to->dir.fd, entry->d_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        folder_require(
            in >= 0 && out >= 0 && fstat(in, &st) == 0 &&
                (!st.st_size || sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size),
            entry->d_name);
    }
    (void)closedir(dir);
}

static void save(void)
{
    copy_folder(&folder, &saved);
    saved_model = *model;
}

static void restore(void)
{
    copy_folder(&saved, &folder);
    *model = saved_model;
}

/* The next hostd, which may be killed as well: `deep` cuts it at each step. */
static void check_settling(bool deep, uint32_t back_to)
{
    for (unsigned at = deep ? 1 : 0;; at++) {
        int status = in_child(settle, at);
        if (status == 0)
            break;
        if (status != CUT)
            problem("it can not be settled", "");
        check_content(back_to);
        if (status != CUT)
            return;
    }
    check_content(back_to);
    check_files();
}

/* Whatever was cut off, all can be brought together afterwards. */
static void check_end(uint32_t back_to)
{
    if (in_child(drop_all, 0) != 0)
        problem("the snapshots can not be removed", "");
    if (in_child(consolidate, 0) != 0)
        problem("it can not be consolidated", "");
    check_content(back_to);
    check_files();
    begin();
    if (files.vmx && (strcmp(vm_disk(files.vmx, 0), "a.vmdk") != 0 ||
                      strcmp(vm_disk(files.vmx, 1), "b.vmdk") != 0))
        problem("it is not on its first disks", vm_disk(files.vmx, 0));
    snapshot_files_free(&files);
}

/* Brought together as far as it can be: no layer is left that only its child needs, and none that
 * was needed has gone. */
static void check_folded(uint32_t back_to)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};

    if (in_child(consolidate, 0) != 0)
        problem("it can not be consolidated", "");
    check_content(back_to);
    check_files();
    begin();
    if (snapshot_files_open(&files, NULL) < 0 || snapshot_tree_read(&files, &tree, NULL) < 0)
        problem("the disks can not be read", "");
    for (uint32_t i = 0; i < tree.count; i++)
        if (snapshot_tree_is_passed(&tree, &tree.image[i]))
            problem("only its child needs", tree.image[i].name);
    if (files.vmsd && vmsd_needs_consolidation(files.vmsd))
        problem("there should be nothing left to consolidate", "");
    snapshot_files_free(&files);
}

/* The disk is full from each step on. */
static void fill_everywhere(const char *name, int (*what)(struct err *err), uint32_t back_to)
{
    unsigned cuts = 0;

    problems = 0;
    for (unsigned at = 1; problems < 10; at++, cuts++) {
        restore();
        fills = true;
        int status = in_child(what, at);
        bool was_full = model->was_full;
        fills = false;
        cut_at = at;
        check_content(back_to);
        check_settling(false, back_to);
        if (at % 2)
            check_end(back_to);
        else
            check_folded(back_to);
        if (status == CUT || (status != 0 && !was_full))
            problem("it failed", name);
        if (!was_full)
            break;
    }
    (void)printf("# %s, full: %u times\n", name, cuts);
    CHECK_EQ(problems, 0);
}

static void cut_prepared(const char *name, int (*what)(struct err *err), uint32_t back_to)
{
    unsigned cuts = 0;

    save();
    problems = 0;
    for (unsigned at = 1; problems < 10; at++, cuts++) {
        restore();
        int status = in_child(what, at);
        cut_at = at;
        check_content(back_to);
        check_settling(at % 6 == 0, back_to);
        if (at % 2)
            check_end(back_to);
        else
            check_folded(back_to);
        if (status == 0)
            break;
        if (status != CUT)
            problem("it failed", name);
    }
    (void)printf("# %s: %u cuts\n", name, cuts);
    CHECK_EQ(problems, 0);
    CHECK(cuts > 5);
}

static void cut_everywhere(const char *name, int (*what)(struct err *err), unsigned snapshots,
                           bool unlisted, uint32_t back_to)
{
    prepare(snapshots, unlisted);
    cut_prepared(name, what, back_to);
}

static void taken(void)
{
    cut_everywhere("take, off", take_off, 0, false, 0);
    cut_everywhere("take, off, the fourth", take_off, 3, false, 0);
    cut_everywhere("take, running", take_live, 1, false, 0);
    cut_everywhere("take, with memory", take_memory, 1, false, 0);
}

static void removed(void)
{
    cut_everywhere("remove the first", drop_first, 3, false, 0);
    cut_everywhere("remove the last", drop_last, 3, false, 0);
    cut_everywhere("remove the last, running", drop_last_live, 3, false, 0);
    cut_everywhere("remove all", drop_all, 3, false, 0);
    cut_everywhere("remove all, running", drop_all_live, 3, false, 0);
}

/* base <- 1 <- 2 <- 3 and a second branch above the base; `snapshots`: of the second branch. */
static void prepare_branches(unsigned snapshots)
{
    prepare(3, false);
    folder_require(in_child(back_to_first, 0) == 0, "back to the first");
    model->now = model->then[1];
    for (unsigned i = 0; i < snapshots; i++) {
        guest_writes(0x11U << i);
        folder_require(in_child(take_off, 0) == 0, "a snapshot of the second branch");
    }
    guest_writes(0x40);
}

/* Layers between snapshots that stay. */
static void folded(void)
{
    cut_everywhere("remove the first, running", drop_first_live, 3, false, 0);
    cut_everywhere("remove the second", drop_second, 4, false, 0);
    cut_everywhere("remove the second, running", drop_second_live, 4, false, 0);
    prepare_branches(2);
    cut_prepared("remove where two branches begin", drop_first, 0);
    restore();
    folder_require(in_child(drop_first, 0) == 0, "the first");
    cut_prepared("remove one of the branches", drop_branch, 0);
    restore(); /* as it was before that */
    cut_prepared("remove one of the branches, running", drop_branch_live, 0);
    prepare_branches(0);
    folder_require(in_child(drop_first, 0) == 0, "the first");
    cut_prepared("remove the branch that the VM is not on", drop_branch, 0);
}

static void filled(void)
{
    prepare(3, false);
    save();
    fill_everywhere("remove the first", drop_first, 0);
    fill_everywhere("remove the first, running", drop_first_live, 0);
    fill_everywhere("remove all", drop_all, 0);
    fill_everywhere("take", take_off, 0);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* A clone in another folder has its files by second names: what they share stays as it is. */
static void shared_with_a_clone(void)
{
    cleanup_aio struct aio *aio = NULL;
    static struct folder clone;

    prepare(3, false);
    folder_make(&clone);
    folder_require(aio_create(AIO_PLAIN, &aio, NULL) == 0, "aio");
    CHECK_EQ(disk_share(&folder.dir.host, "a-000001.vmdk", &clone.dir.host, aio, NULL), 0);
    problems = cut_at = 0;
    CHECK_EQ(in_child(drop_first, 0), 0);
    CHECK(is_there("a.vmdk") && is_there("a-000001.vmdk"));
    CHECK(is_there("b.vmdk") && !is_there("b-000001.vmdk"));
    check_content(0);
    check_files();
    CHECK(holds("a-000001.vmdk", 0, &model->then[2]));
    folder_remove(&clone);
    check_folded(0);
    CHECK(is_there("a.vmdk") && !is_there("a-000001.vmdk"));
    CHECK_EQ(problems, 0);
}

/* An image that is nobody's stands there: so does what it stands on. */
static void with_a_stranger(void)
{
    cleanup_aio struct aio *aio = NULL;
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = "a.vmdk"};

    prepare(3, false);
    folder_require(aio_create(AIO_PLAIN, &aio, NULL) == 0, "aio");
    CHECK_EQ(disk_create(&folder.dir.host, "stranger.vmdk", &spec, aio, NULL, NULL, NULL), 0);
    problems = cut_at = 0;
    CHECK_EQ(in_child(drop_first, 0), 0);
    CHECK(is_there("a.vmdk") && is_there("a-000001.vmdk") && !is_there("b-000001.vmdk"));
    CHECK(holds("stranger.vmdk", 0, &model->then[1]));
    check_content(0);
    CHECK_EQ(unlinkat(folder.dir.fd, "stranger.vmdk", 0), 0);
    check_folded(0);
    CHECK(!is_there("a-000001.vmdk"));
    CHECK_EQ(problems, 0);
}

static void consolidated(void)
{
    cut_everywhere("consolidate", consolidate, 2, true, 0);
    cut_everywhere("consolidate, running", consolidate_live, 2, true, 0);
}

static void reverted(void)
{
    cut_everywhere("revert", back_to_second, 3, false, 2);
}

static void setup(void)
{
    if (access("/dev/shm", W_OK) == 0) /* thousands of syncs */
        (void)setenv("TMPDIR", "/dev/shm", 1);
    folder_make(&folder);
    folder_make(&saved);
    model = mmap(NULL, sizeof *model, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(model != MAP_FAILED);
}

static void teardown(void)
{
    folder_remove(&folder);
    folder_remove(&saved);
}

TAP_MAIN(TAP_CASE(setup), TAP_CASE(taken), TAP_CASE(removed), TAP_CASE(folded), TAP_CASE(filled),
         TAP_CASE(shared_with_a_clone), TAP_CASE(with_a_stranger), TAP_CASE(consolidated),
         TAP_CASE(reverted), TAP_CASE(teardown))
