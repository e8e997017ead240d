/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/tap.h"

static void shared(void)
{
    cleanup_fd int fd = -1;
    struct usage *writer = NULL, *reader = NULL;

    struct vmcfg_disk disk = {.bus = VMCFG_BUS_SCSI, .controller = 1, .unit = 3};
    struct vmcfg_nic nic = {.index = 2};
    const struct vmcfg cfg = {.disks = &disk, .disk_count = 1, .nics = &nic, .nic_count = 1};

    REQUIRE(usage_create(&cfg, &fd, NULL) == 0);
    CHECK_EQ(usage_map(fd, true, &writer), 0);
    CHECK_EQ(usage_map(fd, false, &reader), 0);
    CHECK_STR(reader->disk_name[0], "scsi1:3");
    CHECK_STR(reader->disk_name[1], "");
    CHECK_STR(reader->nic_name[0], "4002");
    atomic_fetch_add(&writer->disk[3].read_bytes, 4096);
    CHECK_EQ(atomic_load(&reader->disk[3].read_bytes), 4096);
    usage_unmap(writer);
    usage_unmap(reader);
}

/* A page that its other owner could cut off would be a fault in the reader. */
static void of_another_kind(void)
{
    cleanup_fd int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct usage *usage = NULL;

    CHECK_EQ(ftruncate(fd, sizeof(struct usage)), 0);
    CHECK_EQ(usage_map(fd, false, &usage), -EINVAL);
    CHECK(!usage);
}

static void counts_disks(void)
{
    struct disk_usage usage = {0};
    struct disk_options options = {0};
    char folder[] = "/tmp/socle-usage-XXXXXX", path[80], data[4096] = {1};
    struct disk_dir dir;
    struct aio *aio = NULL;
    struct disk *disk = NULL;
    const char *name;

    REQUIRE(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/a.raw", folder);
    FILE *file = fopen(path, "we");
    REQUIRE(file && ftruncate(fileno(file), 1 << 20) == 0);
    (void)fclose(file);
    REQUIRE(disk_dir_open_for(&dir, path, &name, NULL) == 0);
    REQUIRE(aio_create(AIO_PLAIN, &aio, NULL) == 0);
    REQUIRE(disk_open(&dir.host, name, &options, aio, &disk, NULL) == 0);
    disk_count_into(disk, &usage);
    CHECK_EQ(disk_pwrite(disk, data, sizeof data, 0), 0);
    CHECK_EQ(disk_pread(disk, data, sizeof data, 0), 0);
    CHECK_EQ(disk_pread(disk, data, 512, 0), 0);
    CHECK_EQ(disk_flush(disk), 0);
    CHECK_EQ(usage.writes, 1);
    CHECK_EQ(usage.write_bytes, 4096);
    CHECK_EQ(usage.reads, 2);
    CHECK_EQ(usage.read_bytes, 4608);
    CHECK(usage.read_ns > 0 && usage.write_ns > 0);
    disk_count_into(disk, NULL);
    CHECK_EQ(disk_pread(disk, data, 512, 0), 0);
    CHECK_EQ(usage.reads, 2);
    disk_close(disk);
    aio_destroy(aio);
    disk_dir_close(&dir);
    (void)unlink(path);
    (void)rmdir(folder);
}

TAP_MAIN(TAP_CASE(shared), TAP_CASE(of_another_kind), TAP_CASE(counts_disks))
