/* SPDX-License-Identifier: Apache-2.0 */
/* A disk opened by name here and used from its descriptors: the same files, locked all the time,
 * and no other. */
#include <errno.h>
#include <sys/wait.h>

#include "disk/given.h"
#include "tests/disk/folder.h"

struct world {
    struct folder folder;
    struct aio *aio;
    struct disk_given kept, given;
};

static void world_make(struct world *w)
{
    struct disk_spec spec = {.format = DISK_VMDK_FLAT, .size = 1 << 20};

    folder_make(&w->folder);
    folder_require(!aio_create(AIO_PLAIN, &w->aio, NULL), "aio");
    CHECK_EQ(disk_create(&w->folder.dir.host, "a.vmdk", &spec, w->aio, NULL, NULL, NULL), 0);
    disk_given_init(&w->kept, &w->folder.dir.host);
    disk_given_init(&w->given, NULL);
}

static void world_remove(struct world *w)
{
    disk_given_free(&w->kept);
    disk_given_free(&w->given);
    aio_destroy(w->aio);
    folder_remove(&w->folder);
}

static int open_disk(struct world *w, const struct disk_host *host, unsigned flags,
                     struct disk **ret_disk)
{
    return disk_open(host, "a.vmdk", &(struct disk_options){.flags = flags}, w->aio, ret_disk,
                     NULL);
}

/* Opens and closes it by name; what was kept moves over, but for the last `without` files. */
static void hand_over(struct world *w, unsigned flags, unsigned without)
{
    struct disk *disk;

    REQUIRE(open_disk(w, &w->kept.host, flags, &disk) == 0);
    disk_close(disk);
    CHECK_EQ(w->kept.count, 2);
    for (unsigned i = 0; i + without < w->kept.count; i++) {
        struct disk_given_file *file = &w->kept.file[i];
        CHECK_EQ(disk_given_add(&w->given, file->name, file->flags, TAKE_FD(file->fd)), 0);
    }
}

/* In a process of its own: a lock does not hold against its own holder. */
static int try_elsewhere(struct world *w)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct disk *disk;
        struct disk_dir dir;
        folder_require(!disk_dir_open(&dir, w->folder.path, NULL), "folder");
        _exit(open_disk(w, &dir.host, 0, &disk) == -EBUSY ? 1 : 0);
    }
    (void)waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void is_the_same_disk(void)
{
    struct world w;
    struct disk *disk;
    char text[DISK_SECTOR] = "written through what was given", back[DISK_SECTOR] = "";
    unsigned files = open_files();

    world_make(&w);
    hand_over(&w, 0, 0);
    REQUIRE(open_disk(&w, &w.given.host, 0, &disk) == 0);
    CHECK_EQ(disk_pwrite(disk, text, sizeof text, 4096), 0);
    disk_close(disk);
    REQUIRE(open_disk(&w, &w.folder.dir.host, DISK_READONLY, &disk) == 0);
    CHECK_EQ(disk_pread(disk, back, sizeof back, 4096), 0);
    CHECK_STR(back, text);
    disk_close(disk);
    world_remove(&w);
    CHECK_EQ(open_files(), files);
}

static void is_locked_all_the_time(void)
{
    struct world w;
    struct disk *disk;

    world_make(&w);
    hand_over(&w, 0, 0);
    CHECK_EQ(try_elsewhere(&w), 1); /* on its way */
    REQUIRE(open_disk(&w, &w.given.host, 0, &disk) == 0);
    CHECK_EQ(try_elsewhere(&w), 1);
    disk_close(disk);
    disk_given_free(&w.kept);
    CHECK_EQ(try_elsewhere(&w), 0);
    world_remove(&w);
}

static void opens_nothing_else(void)
{
    struct world w;
    struct disk *disk;

    world_make(&w);
    hand_over(&w, 0, 1);
    CHECK_EQ(open_disk(&w, &w.given.host, 0, &disk), -ENOENT); /* an extent did not come */
    CHECK_EQ(w.given.host.open(&w.given.host, "a.vmdk", DISK_FILE_WRITE), -ENOENT); /* taken */
    world_remove(&w);

    world_make(&w);
    hand_over(&w, DISK_READONLY, 0);
    CHECK_EQ(open_disk(&w, &w.given.host, 0, &disk), -ENOENT); /* was not opened for writing */
    CHECK_EQ(w.given.host.unlink(&w.given.host, "a.vmdk"), -EROFS);
    REQUIRE(open_disk(&w, &w.given.host, DISK_READONLY, &disk) == 0);
    disk_close(disk);
    world_remove(&w);
}

static void names_have_a_limit(void)
{
    struct disk_given given;
    char name[DISK_NAME_MAX + 1];
    unsigned files = open_files();

    memset(name, 'x', sizeof name);
    name[DISK_NAME_MAX] = '\0';
    disk_given_init(&given, NULL);
    CHECK_EQ(disk_given_add(&given, name, 0, open("/dev/null", O_RDONLY)), -ENAMETOOLONG);
    name[DISK_NAME_MAX - 1] = '\0';
    CHECK_EQ(disk_given_add(&given, name, 0, open("/dev/null", O_RDONLY)), 0);
    disk_given_free(&given);
    CHECK_EQ(open_files(), files); /* closed in either case */
}

TAP_MAIN(TAP_CASE(is_the_same_disk), TAP_CASE(is_locked_all_the_time), TAP_CASE(opens_nothing_else),
         TAP_CASE(names_have_a_limit))
