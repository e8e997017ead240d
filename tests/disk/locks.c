/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between processes: one writer or many readers, on every file of the disk; freed by death.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/disk/folder.h"

struct holder {
    pid_t pid;
    int go;
};

/* Another process opens the disk, says so, and holds it until it is killed. */
static int hold(const struct folder *folder, const char *name, unsigned flags, struct holder *ret)
{
    int pipes[2];
    char answer = 0;

    folder_require(!pipe(pipes), "pipe");
    ret->pid = fork();
    if (!ret->pid) {
        struct disk_options options = {.flags = flags};
        struct aio *aio = NULL;
        struct disk *disk;
        struct disk_dir dir;

        if (!aio_create(AIO_PLAIN, &aio, NULL) && !disk_dir_open(&dir, folder->path, NULL))
            answer = disk_open(&dir.host, name, &options, aio, &disk, NULL) ? 'n' : 'y';
        folder_require(write(pipes[1], &answer, 1) == 1, "answer");
        for (;;)
            (void)pause();
    }
    folder_require(read(pipes[0], &answer, 1) == 1, "answer");
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return answer == 'y' ? 0 : -EBUSY;
}

static void end(const struct holder *holder)
{
    (void)kill(holder->pid, SIGKILL);
    (void)waitpid(holder->pid, NULL, 0);
}

static int try(const struct folder *folder, const char *name, unsigned flags, struct err *err)
{
    cleanup_aio struct aio *aio = NULL;
    cleanup_disk struct disk *disk = NULL;

    *err = ERR_INIT;
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL), "aio");
    return disk_open(&folder->dir.host, name, &(struct disk_options){.flags = flags}, aio, &disk,
                     err);
}

static void make(const struct folder *folder, const char *name, enum disk_format_id format)
{
    struct disk_spec spec = {.format = format, .size = 1 << 20};
    cleanup_aio struct aio *aio = NULL;

    folder_require(!aio_create(AIO_PLAIN, &aio, NULL), "aio");
    CHECK_EQ(disk_create(&folder->dir.host, name, &spec, aio, NULL, NULL, NULL), 0);
}

static void each(enum disk_format_id format, const char *name)
{
    struct folder folder;
    struct holder holder, second;
    struct err err;

    folder_make(&folder);
    make(&folder, name, format);
    CHECK_EQ(hold(&folder, name, 0, &holder), 0);
    CHECK_EQ(try(&folder, name, 0, &err), -EBUSY);
    CHECK(strstr(err.text, "is in use"));
    CHECK_EQ(try(&folder, name, DISK_READONLY, &err), -EBUSY);
    CHECK(strstr(err.text, "for writing"));
    CHECK_EQ(try(&folder, name, DISK_READONLY | DISK_NOLOCK, &err), 0);
    end(&holder);

    CHECK_EQ(hold(&folder, name, DISK_READONLY, &holder), 0);
    CHECK_EQ(hold(&folder, name, DISK_READONLY, &second), 0);
    CHECK_EQ(try(&folder, name, DISK_READONLY, &err), 0);
    CHECK_EQ(try(&folder, name, 0, &err), -EBUSY);
    end(&holder);
    CHECK_EQ(try(&folder, name, 0, &err), -EBUSY);
    end(&second);
    CHECK_EQ(try(&folder, name, 0, &err), 0);
    folder_remove(&folder);
}

static void raw(void)
{
    each(DISK_RAW, "a.img");
}
static void flat(void)
{
    each(DISK_VMDK_FLAT, "a.vmdk");
}
static void sparse(void)
{
    each(DISK_VMDK_SPARSE, "a.vmdk");
}

/* A second descriptor for the same data does not get around the lock. */
static void by_extent(void)
{
    char text[4096], *name;
    struct folder folder;
    struct holder holder;
    struct err err;
    ssize_t len;
    int fd;

    folder_make(&folder);
    make(&folder, "a.vmdk", DISK_VMDK_FLAT);
    fd = openat(folder.dir.fd, "a.vmdk", O_RDONLY | O_CLOEXEC);
    len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    folder_require(len > 0, "read");
    folder_write(&folder, "b.vmdk", text, (size_t)len, 0);
    CHECK_EQ(hold(&folder, "a.vmdk", 0, &holder), 0);
    CHECK_EQ(try(&folder, "b.vmdk", 0, &err), -EBUSY);
    CHECK((name = strstr(err.text, "a-flat.vmdk")) != NULL);
    end(&holder);
    CHECK_EQ(try(&folder, "b.vmdk", 0, &err), 0);
    folder_remove(&folder);
}

TAP_MAIN(TAP_CASE(raw), TAP_CASE(flat), TAP_CASE(sparse), TAP_CASE(by_extent))
