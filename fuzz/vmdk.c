/* SPDX-License-Identifier: Apache-2.0 */
/* VMDK: descriptor, sparse header, directories and tables, compressed grains. The input is the file
 * "a.vmdk"; what follows a line "---FILE---" is the file "b", which extents may name. A plain
 * sparse file is 64 KiB longer than the input, so that small inputs have room for grains.
 *
 * Checked beside crashes: a disk that opens for writing reads back what was written, also after it
 * was closed and opened, and a whole disk does not become a damaged one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "disk/disk.h"
#include "fuzz/fuzz.h"

enum { ROOM = 65536, MAP_STEPS = 300, READ = 8192 };

static struct {
    int fd[2]; /* memfds of "a.vmdk" and "b" */
} files = {{-1, -1}};

/* A new open file description each time, as a name gives one. */
static int mem_open(const struct disk_host *host, const char *name, unsigned flags)
{
    int which = !strcmp(name, "a.vmdk") ? 0 : !strcmp(name, "b") ? 1 : -1, fd;
    char path[64];

    if (which < 0 || (flags & DISK_FILE_CREATE))
        return -ENOENT;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", files.fd[which]);
    fd = open(path, (flags & DISK_FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static const struct disk_host host = {.open = mem_open};

static void put(int fd, const uint8_t *data, size_t len)
{
    bool sparse = len >= 12 && !memcmp(data, "KDMV", 4) && !(data[10] & 1);

    if (ftruncate(fd, 0) || (len && pwrite(fd, data, len, 0) != (ssize_t)len) ||
        (sparse && ftruncate(fd, (off_t)(len + ROOM))))
        abort();
}

static struct disk *open_disk(struct aio *aio, unsigned flags)
{
    struct disk_options options = {.flags = flags};
    struct err err = ERR_INIT;
    struct disk *disk = NULL;
    int rc = disk_open(&host, "a.vmdk", &options, aio, &disk, &err);

    if (rc && !err.text[0])
        abort();
    return rc ? NULL : disk;
}

static uint64_t problems(struct disk *disk)
{
    struct disk_check check = {0};

    return disk_check(disk, &check, NULL) ? 1 : check.problems;
}

static void look(struct disk *disk)
{
    static uint8_t bytes[READ];
    uint64_t size = disk_size(disk), at = 0, length;
    enum disk_state state;

    for (unsigned i = 0; i < MAP_STEPS && at < size; i++, at += length) {
        if (disk_map(disk, at, &state, &length))
            break;
        if (!length || length > size - at)
            abort();
        if (state == DISK_DATA)
            (void)disk_pread(disk, bytes, MIN(length, (uint64_t)READ), at);
    }
    (void)disk_pread(disk, bytes, DISK_SECTOR, size - DISK_SECTOR);
}

/* Where the changes go: the ends and the middle. */
static uint64_t place(const struct disk *disk, unsigned i)
{
    uint64_t sectors = disk_size(disk) / DISK_SECTOR;
    const uint64_t places[] = {0, sectors / 2, sectors - 1};

    return places[i] * DISK_SECTOR;
}

static unsigned change(struct disk *disk)
{
    uint8_t bytes[DISK_SECTOR];
    unsigned written = 0;

    for (unsigned i = 0; i < 3; i++) {
        memset(bytes, 'A' + (int)i, sizeof bytes);
        if (!disk_pwrite(disk, bytes, sizeof bytes, place(disk, i)))
            written |= BIT(i);
    }
    (void)disk_op_sync(disk, DISK_DISCARD, DISK_SECTOR, DISK_SECTOR % disk_size(disk));
    return disk_flush(disk) ? 0 : written;
}

static void verify(struct disk *disk, unsigned written)
{
    uint8_t bytes[DISK_SECTOR];

    if (disk_size(disk) < 8 * DISK_SECTOR)
        return; /* the places are not three */
    for (unsigned i = 0; i < 3; i++)
        if ((written & BIT(i)) && (disk_pread(disk, bytes, sizeof bytes, place(disk, i)) ||
                                   bytes[0] != 'A' + i || bytes[DISK_SECTOR - 1] != 'A' + i))
            abort();
}

static void run(struct aio *aio)
{
    struct disk *disk = open_disk(aio, DISK_READONLY);
    bool whole = disk && !problems(disk);
    unsigned written = 0;

    if (disk)
        look(disk);
    disk_close(disk);
    disk = open_disk(aio, 0);
    if (!disk)
        return;
    written = change(disk);
    if (whole)
        verify(disk, written);
    disk_close(disk);
    disk = open_disk(aio, DISK_READONLY);
    if (whole && (!disk || problems(disk)))
        abort();
    if (whole)
        verify(disk, written);
    disk_close(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separator[] = "\n---FILE---\n";
    const uint8_t *second = memmem(data, size, separator, sizeof separator - 1);
    size_t first_size = second ? (size_t)(second - data) + 1 : size;
    cleanup_aio struct aio *aio = NULL;

    for (unsigned i = 0; i < 2 && files.fd[i] < 0; i++)
        files.fd[i] = memfd_create("vmdk", MFD_CLOEXEC);
    if (aio_create(AIO_PLAIN, &aio, NULL))
        abort();
    put(files.fd[0], data, first_size);
    if (second)
        second += sizeof separator - 1;
    put(files.fd[1], second, second ? (size_t)(data + size - second) : 0);
    run(aio);
    return 0;
}
