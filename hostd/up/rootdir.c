/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/rootdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/session/account.h"
#include "hostd/up/cert.h"

#define RESERVE "run/reserve"

/* The front's workers have another user id when we are root, and must reach their socket. */
static mode_t passage_mode(void)
{
    return geteuid() == 0 ? 0711 : 0700;
}

static int make_folder(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_sys(err, -errno, "cannot make the folder \"%s\"", path);
    return 0;
}

static int make_folders(struct err *err)
{
    static const char *const folders[] = {"config", "tls", ROOTDIR_DATASTORES,
                                          ROOTDIR_DATASTORES "/datastore1", "log"};
    int rc = make_folder("run", passage_mode(), err);

    if (rc == 0)
        rc = make_folder(ROOTDIR_VMS, 0700, err);
    for (unsigned i = 0; i < ARRAY_SIZE(folders) && rc == 0; i++)
        rc = make_folder(folders[i], 0700, err);
    return rc;
}

/* A POSIX lock, because it tells who has it. */
static int lock(struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, -errno, "cannot open its lock");
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return 0; /* the descriptor stays open to the end of the process */
    int rc = -errno;
    if (fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK)
        rc = err_set(err, -EBUSY, "a host is up there already, process %d", (int)whole.l_pid);
    else
        (void)err_sys(err, rc, "cannot lock it");
    (void)close_fd(fd);
    return rc;
}

/* What replacements of files left that a crash cut off. We have the lock: nobody else writes. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (file_replaces(entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
}

static int make_root_account(const char *password, struct err *err)
{
    char generated[64], line[66];
    struct accounts accounts;
    int rc = accounts_load(&accounts, AT_FDCWD, err);

    if (rc == 0)
        accounts_free(&accounts);
    if (rc != -ENOENT)
        return rc;
    if (!password) {
        rc = account_generate_password(generated, sizeof generated);
        if (rc < 0)
            return err_sys(err, rc, "no random numbers");
        rc = account_add(&accounts, "root", generated, "Administrator", err);
        (void)snprintf(line, sizeof line, "%s\n", generated);
        if (rc == 0)
            rc = file_replace(AT_FDCWD, ROOTDIR_PASSWORD, 0600, line, strlen(line), err);
        if (rc < 0)
            (void)unlink(ACCOUNT_FILE); /* nobody would know the password */
    } else {
        rc = account_add(&accounts, "root", password, "Administrator", err);
    }
    explicit_bzero(generated, sizeof generated);
    explicit_bzero(line, sizeof line);
    accounts_free(&accounts);
    return rc;
}

static int enter(const char *path, struct err *err)
{
    return chdir(path) < 0 ? err_sys(err, -errno, "cannot use the folder \"%s\"", path) : 0;
}

/* What they can not be is said when the folder itself is made. */
static void make_parents(const char *path)
{
    char parent[PATH_MAX];

    for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        (void)mkdir(parent, 0755);
    }
}

/* A folder of something else, such as "/": what it has under our names is not ours. */
static int check_foreign(struct err *err)
{
    static const char *const ours[] = {"config", "tls", "run"};

    if (access("lock", F_OK) == 0)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
        if (access(ours[i], F_OK) == 0)
            return err_set(err, -EEXIST, "this is no host's folder, and has a \"%s\" already",
                           ours[i]);
    return 0;
}

int rootdir_open(const char *path, const char *password, bool *ret_fresh, struct err *err)
{
    static const char *const swept[] = {".", "config", "tls", "run"};
    bool fresh;

    make_parents(path);
    int rc = make_folder(path, passage_mode(), err);
    if (rc == 0)
        rc = enter(path, err);
    if (rc < 0)
        return rc;
    fresh = access(ACCOUNT_FILE, F_OK) < 0;
    rc = check_foreign(err);
    if (rc == 0)
        rc = lock(err);
    if (rc == 0)
        rc = make_folders(err);
    for (unsigned i = 0; i < ARRAY_SIZE(swept) && rc == 0; i++)
        sweep(swept[i]);
    (void)unlink(RESERVE);
    if (rc == 0)
        rc = cert_ensure(err);
    if (rc == 0)
        rc = make_root_account(password, err);
    if (rc < 0)
        return err_prefix(err, rc, "\"%s\"", path);
    *ret_fresh = fresh;
    return 0;
}

void rootdir_keep_reserve(void)
{
    enum { SIZE = 64 << 10 }; /* the front's and hostd's small files, twice over */
    int fd = open(RESERVE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0)
        (void)posix_fallocate(fd, 0, SIZE); /* or what there is */
    (void)close_fd(fd);
}

bool rootdir_password_is(const char *password)
{
    char hash[ACCOUNT_HASH_MAX];
    struct accounts accounts;

    if (accounts_load(&accounts, AT_FDCWD, NULL) < 0)
        return false;
    account_hash(&accounts, "root", hash);
    accounts_free(&accounts);
    return account_check(hash, password);
}

int rootdir_enter(const char *path, pid_t *ret_holder, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc = enter(path, err);

    if (rc < 0)
        return rc;
    cleanup_fd int fd = open("lock", O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_GETLK, &whole) < 0)
        return err_set(err, errno ? -errno : -EINVAL, "\"%s\" is no folder of a host", path);
    *ret_holder = whole.l_type == F_UNLCK ? 0 : whole.l_pid;
    return 0;
}
