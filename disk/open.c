/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: which format, which files, and the locks on them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/range.h"
#include "disk/format.h"

static const struct disk_format *const formats[] = {&disk_raw_format, &disk_vmdk_format};

/* -- Files ---------------------------------------------------------------------------------------
 */

/* Open-file-description locks: they go with the descriptor, also when it is passed on, and end with
 * its last copy, however the process dies. io_uring's workers may keep a copy for some milliseconds
 * after close or death, on a busy machine for some hundred, so a lock that is held is asked for a
 * second longer. */
enum { LOCK_TRIES = 100 };

static int lock(struct aio *aio, const struct disk_file *file, struct err *err)
{
    static const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    struct flock lock = {.l_type = file->writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    struct flock other = lock;
    int rc = fcntl(file->fd, F_OFD_SETLK, &lock);

    for (unsigned i = 0; rc && (errno == EAGAIN || errno == EACCES) && i < LOCK_TRIES; i++) {
        (void)nanosleep(&pause, NULL);
        aio_settle(aio);
        rc = fcntl(file->fd, F_OFD_SETLK, &lock);
    }
    if (!rc)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_sys(err, -errno, "cannot lock \"%s\"", file->name);
    if (!fcntl(file->fd, F_OFD_GETLK, &other) && other.l_type != F_UNLCK && other.l_pid > 0)
        return err_set(err, -EBUSY, "\"%s\" is in use by another process (pid %d)", file->name,
                       (int)other.l_pid);
    return err_set(err, -EBUSY, "\"%s\" is in use: another virtual machine or tool has it open%s",
                   file->name, other.l_type == F_WRLCK ? " for writing" : "");
}

static int measure(struct disk_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st))
        return -errno;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->shared = st.st_nlink > 1;
    file->size = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(file->fd, BLKGETSIZE64, &file->size))
        return -errno;
    file->kind = aio_file_of(file->fd);
    return 0;
}

static int open_error(struct err *err, int rc, const char *name)
{
    switch (rc) {
    case -EXDEV:
        return err_set(err, rc, "path leaves the folder of the descriptor");
    case -ELOOP:
        return err_set(err, rc, "is a symbolic link, which is not followed");
    case -EMEDIUMTYPE:
        return err_set(err, rc, "is not a regular file");
    default:
        return err_sys(err, rc, "cannot open it");
    }
}

static void file_destroy(struct disk_file *file)
{
    if (!file)
        return;
    close_fd(file->fd);
    free(file->name);
    free(file);
}
DEFINE_CLEANUP(struct disk_file *, file_destroy)

static struct disk_file *file_by_name(struct disk *disk, const char *name)
{
    for (unsigned i = 0; i < disk->file_count; i++)
        if (!strcmp(disk->files[i]->name, name))
            return disk->files[i];
    return NULL;
}

/* A second name of the same file would make the disk lock against itself, or alias. */
static bool known_already(const struct disk *disk, const struct disk_file *file)
{
    for (unsigned i = 0; i < disk->file_count; i++)
        if (disk->files[i]->dev == file->dev && disk->files[i]->ino == file->ino)
            return true;
    return false;
}

int disk_add_file(struct disk *disk, const char *name, struct disk_file **ret_file, struct err *err)
{
    CLEANUP(file_destroy_cleanup_) struct disk_file *file = NULL;
    bool write = !(disk->flags & DISK_READONLY), first = !disk->file_count;
    int rc;

    if ((file = file_by_name(disk, name))) {
        *ret_file = TAKE_PTR(file);
        return 0;
    }
    if (disk->file_count == DISK_FILES_MAX)
        return err_set(err, -EFBIG, "more than %d files", DISK_FILES_MAX);
    file = calloc(1, sizeof *file);
    if (!file || !(file->name = strdup(name))) {
        if (file)
            file->fd = -1;
        return err_sys(err, -ENOMEM, "files");
    }
    file->writable = file->dirty = write;
    file->fd = disk->host->open(disk->host, name,
                                (write ? DISK_FILE_WRITE : 0) |
                                    (first && (disk->flags & DISK_DEVICE) ? DISK_FILE_DEVICE : 0));
    if (file->fd < 0)
        return open_error(err, file->fd, name);
    rc = measure(file);
    if (rc)
        return err_sys(err, rc, "cannot measure it");
    if (known_already(disk, file))
        return err_set(err, -EINVAL, "is another name of a file that the disk has already");
    rc = disk->flags & (DISK_NOLOCK | DISK_LOCKED_ELSEWHERE) ? 0 : lock(disk->aio, file, err);
    if (rc)
        return rc;
    disk->files[disk->file_count++] = *ret_file = TAKE_PTR(file);
    return 0;
}

int disk_add_extents(struct disk *disk, unsigned count)
{
    disk->extents = calloc(count, sizeof *disk->extents);
    disk->extent_count = disk->extents ? count : 0;
    return disk->extents ? 0 : -ENOMEM;
}

static int64_t file_do(struct disk *disk, struct disk_file *file, enum aio_op op, const void *buf,
                       size_t len, uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};

    return aio_do(disk->aio, &(struct aio_req){.op = op,
                                               .file = file->kind,
                                               .fd = file->fd,
                                               .niov = 1,
                                               .iov = &iov,
                                               .offset = offset,
                                               .length = len});
}

int file_read(struct disk *disk, struct disk_file *file, void *buf, size_t len, uint64_t offset)
{
    int64_t got = file_do(disk, file, AIO_READ, buf, len, offset);

    return got < 0 ? (int)got : (uint64_t)got < len ? -EIO : 0;
}

int file_write(struct disk *disk, struct disk_file *file, const void *buf, size_t len,
               uint64_t offset)
{
    int64_t got = file_do(disk, file, AIO_WRITE, buf, len, offset);

    file->dirty = true;
    return got < 0 ? (int)got : 0;
}

int file_sync(struct disk *disk, struct disk_file *file)
{
    int rc = (int)file_do(disk, file, AIO_SYNC, NULL, 0, 0);

    if (!rc)
        file->dirty = false;
    else
        disk->failed = true;
    return rc;
}

bool file_has_grown(struct disk_file *file)
{
    struct stat st;

    if (file->writable || fstat(file->fd, &st) || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size <= file->size)
        return false;
    file->size = (uint64_t)st.st_size;
    return true;
}

/* -- Formats -------------------------------------------------------------------------------------
 */

static const struct disk_format *format_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (!strcmp(formats[i]->name, name))
            return formats[i];
    return NULL;
}

static const struct disk_format *format_by_suffix(const char *name)
{
    static const char *const raw[] = {".img", ".raw", ".iso", ".bin", ".fd"};
    const char *dot = strrchr(name, '.');

    if (dot && !strcasecmp(dot, ".vmdk"))
        return &disk_vmdk_format;
    for (size_t i = 0; dot && i < ARRAY_SIZE(raw); i++)
        if (!strcasecmp(dot, raw[i]))
            return &disk_raw_format;
    return NULL;
}

static const struct disk_format *format_by_content(struct disk *disk)
{
    const struct disk_format *best = &disk_raw_format;
    int best_sure = 0;
    uint8_t first[DISK_SECTOR] = {0};
    size_t len = MIN(disk->files[0]->size, (uint64_t)sizeof first);

    if (file_read(disk, disk->files[0], first, len, 0))
        return best;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        int sure = formats[i]->probe(first, len, disk->files[0]->size);
        if (sure > best_sure) {
            best_sure = sure;
            best = formats[i];
        }
    }
    return best;
}

static int choose_format(struct disk *disk, const struct disk_options *options, struct err *err)
{
    if (options->format) {
        disk->format = format_by_name(options->format);
        if (!disk->format)
            return err_set(err, -EINVAL, "unknown format \"%s\"", options->format);
    } else if (disk->flags & DISK_PROBE) {
        disk->format = format_by_content(disk);
    } else {
        disk->format = format_by_suffix(disk->name);
        if (!disk->format)
            return err_set(err, -EINVAL,
                           "its name does not say what it is (.vmdk, .img, .raw, .iso); say the "
                           "format");
    }
    disk->info.format = disk->format->name;
    return 0;
}

/* -- Disks ---------------------------------------------------------------------------------------
 */

static void disk_destroy(struct disk *disk)
{
    if (!disk)
        return;
    for (unsigned i = 0; i < disk->extent_count; i++)
        if (disk->extents[i].ops && disk->extents[i].ops->destroy)
            disk->extents[i].ops->destroy(&disk->extents[i]);
    for (unsigned i = 0; i < disk->file_count; i++)
        file_destroy(disk->files[i]);
    disk_destroy(disk->parent);
    free(disk->extents);
    free(disk->name);
    free(disk);
}
DEFINE_CLEANUP(struct disk *, disk_destroy)

static int open_it(struct disk *disk, const struct disk_options *options, struct err *err)
{
    struct disk_file *file;
    int rc = disk_add_file(disk, disk->name, &file, err);

    rc = rc ? rc : choose_format(disk, options, err);
    rc = rc ? rc : disk->format->open(disk, err);
    return rc;
}

int disk_open_at_depth(const struct disk_host *host, const char *name,
                       const struct disk_options *options, struct aio *aio, unsigned depth,
                       struct disk **ret_disk, struct err *err)
{
    CLEANUP(disk_destroy_cleanup_) struct disk *disk = calloc(1, sizeof *disk);
    int rc;

    if (!disk || !(disk->name = strdup(name)))
        return err_sys(err, -ENOMEM, "disk");
    disk->host = host;
    disk->aio = aio;
    disk->flags = options->flags;
    disk->depth = depth;
    disk->info.create_type = "";
    io_list_init(&disk->parked);
    io_list_init(&disk->flush.waiting);
    io_list_init(&disk->flush.served);
    if ((disk->flags & DISK_NOLOCK) && !(disk->flags & DISK_READONLY))
        return err_set(err, -EINVAL, "only a reader may go without a lock");
    rc = open_it(disk, options, err);
    if (rc && depth)
        return disk->blame_parent ? rc : err_prefix(err, rc, "parent \"%s\"", name);
    if (rc)
        return err_prefix(err, rc, "cannot open disk \"%s\"", name);
    *ret_disk = TAKE_PTR(disk);
    return 0;
}

int disk_open(const struct disk_host *host, const char *name, const struct disk_options *options,
              struct aio *aio, struct disk **ret_disk, struct err *err)
{
    return disk_open_at_depth(host, name, options, aio, 0, ret_disk, err);
}

/* What is durable is marked clean; after any failure the marks stay and say so. */
static void end_changes(struct disk *disk)
{
    if (!disk->changed || flush_now(disk))
        return;
    for (unsigned i = 0; i < disk->extent_count; i++)
        if (disk->extents[i].ops->write_end)
            (void)disk->extents[i].ops->write_end(disk, &disk->extents[i]);
}

int disk_flush_now(struct disk *disk)
{
    return disk->changed ? flush_now(disk) : 0;
}

void disk_close(struct disk *disk)
{
    if (!disk)
        return;
    while (disk->in_flight || disk->flush.phase != FLUSH_IDLE)
        if (aio_run_once(disk->aio, true) < 0)
            return; /* the kernel still owns the requests: leaking beats corrupting */
    end_changes(disk);
    aio_settle(disk->aio);
    disk_destroy(disk);
}

uint64_t disk_size(const struct disk *disk)
{
    return disk->size;
}

bool disk_readonly(const struct disk *disk)
{
    return disk->flags & DISK_READONLY;
}

struct aio *disk_aio(const struct disk *disk)
{
    return disk->aio;
}

void disk_each_file(const struct disk *disk, bool ancestors,
                    void (*visit)(void *ctx, const char *name), void *ctx)
{
    for (; disk; disk = ancestors ? disk->parent : NULL)
        for (unsigned i = 0; i < disk->file_count; i++)
            visit(ctx, disk->files[i]->name);
}

void disk_get_info(const struct disk *disk, struct disk_info *ret_info)
{
    struct stat st;

    *ret_info = disk->info;
    ret_info->size = disk->size;
    ret_info->extents = disk->extent_count;
    for (unsigned i = 0; i < disk->file_count; i++) {
        ret_info->shared |= disk->files[i]->shared;
        if (!fstat(disk->files[i]->fd, &st))
            ret_info->room += (uint64_t)st.st_blocks * 512;
    }
}
