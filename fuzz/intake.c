/* SPDX-License-Identifier: Apache-2.0 */
/* A stream-optimized image that comes in pieces, into a disk of 4 MiB: the first byte says how
 * large the pieces are. Whatever comes, the disk is one, and what fails says why. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "disk/disk.h"
#include "fuzz/fuzz.h"

enum { SIZE = 4 << 20 };

static int memory = -1;

static int mem_open(const struct disk_host *host, const char *name, unsigned flags)
{
    char path[64];

    (void)host;
    (void)name;
    (void)flags;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static const struct disk_host host = {.open = mem_open};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk_intake *intake = NULL;
    struct disk *disk = NULL;
    struct aio *aio = NULL;
    struct err err = ERR_INIT;
    uint64_t populated = 0;
    size_t piece = size ? data[0] * 16u + 1 : 1;

    if (memory < 0)
        memory = memfd_create("disk", MFD_CLOEXEC);
    FUZZ_CHECK(ftruncate(memory, 0) == 0 && ftruncate(memory, SIZE) == 0);
    FUZZ_CHECK(aio_create(AIO_PLAIN, &aio, NULL) == 0);
    FUZZ_CHECK(disk_open(&host, "a.img", &(struct disk_options){0}, aio, &disk, NULL) == 0);
    FUZZ_CHECK(disk_intake_create(disk, false, &intake) == 0);
    int rc = 0;
    for (size_t at = 1; at < size && !rc; at += piece)
        rc = disk_intake_put(intake, data + at, MIN(piece, size - at), &err);
    rc = rc ? rc : disk_intake_end(intake, &populated, &err);
    FUZZ_CHECK(!rc == !*err.text);
    FUZZ_CHECK(populated <= (uint64_t)SIZE * (size + 1) && disk_intake_at(intake) <= SIZE);
    disk_intake_destroy(intake);
    disk_close(disk);
    aio_destroy(aio);
    return 0;
}
