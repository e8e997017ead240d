/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that change: size, room, identity, name; and whole images through a pipe, out and in. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/range.h"
#include "tests/disk/folder.h"

static struct folder folder, other;
static struct aio *aio;

static void begin(void)
{
    folder_make(&folder);
    folder_make(&other);
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL), "aio");
}

static void end(void)
{
    aio_destroy(aio);
    folder_remove(&folder);
    folder_remove(&other);
}

static void make(const char *name, enum disk_format_id format, enum disk_provision provision,
                 uint64_t size)
{
    struct disk_spec spec = {.format = format, .provision = provision, .size = size};

    CHECK_EQ(disk_create(&folder.dir.host, name, &spec, aio, NULL, NULL, NULL), 0);
}

static struct disk *open_disk(const struct folder *in, const char *name, unsigned flags)
{
    struct disk_options options = {.flags = flags};
    struct err err = ERR_INIT;
    struct disk *disk = NULL;

    if (disk_open(&in->dir.host, name, &options, aio, &disk, &err))
        (void)printf("# %s\n", err.text);
    return disk;
}

static void write_at(const char *name, uint8_t value, uint64_t offset, uint64_t length)
{
    struct disk *disk = open_disk(&folder, name, 0);
    uint8_t *bytes = malloc(length);

    REQUIRE(disk && bytes);
    memset(bytes, value, length);
    CHECK_EQ(disk_pwrite(disk, bytes, length, offset), 0);
    free(bytes);
    disk_close(disk);
}

static uint8_t byte_at(const struct folder *in, const char *name, uint64_t offset)
{
    struct disk *disk = open_disk(in, name, DISK_READONLY);
    uint8_t sector[DISK_SECTOR] = {0xee};

    if (disk)
        CHECK_EQ(disk_pread(disk, sector, sizeof sector, offset / DISK_SECTOR * DISK_SECTOR), 0);
    disk_close(disk);
    return sector[offset % DISK_SECTOR];
}

static struct disk_info info_of(const char *name)
{
    struct disk *disk = open_disk(&folder, name, DISK_READONLY);
    struct disk_info info = {0};

    if (disk)
        disk_get_info(disk, &info);
    disk_close(disk);
    return info;
}

static void extends(void)
{
    static const enum disk_provision kinds[] = {DISK_THIN, DISK_LAZY, DISK_EAGER};
    struct err err = ERR_INIT;

    begin();
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        make("a.vmdk", DISK_VMDK_FLAT, kinds[i], MIB(1));
        write_at("a.vmdk", 7, MIB(1) - 512, 512);
        struct disk_info before = info_of("a.vmdk");
        CHECK_EQ(disk_extend(&folder.dir.host, "a.vmdk", MIB(3), kinds[i] == DISK_EAGER, aio, NULL,
                             NULL, &err),
                 0);
        struct disk_info after = info_of("a.vmdk");
        CHECK_EQ(after.size, MIB(3));
        CHECK_EQ(after.thin, before.thin);
        CHECK_STR(after.uuid, before.uuid);
        CHECK(kinds[i] == DISK_THIN ? after.room < MIB(1) : after.room >= MIB(3));
        CHECK_EQ(byte_at(&folder, "a.vmdk", MIB(1) - 1), 7);
        CHECK_EQ(byte_at(&folder, "a.vmdk", MIB(3) - 1), 0);
        CHECK_EQ(disk_extend(&folder.dir.host, "a.vmdk", MIB(2), false, aio, NULL, NULL, &err),
                 -EINVAL);
        folder_empty(&folder);
    }
    end();
}

static int stop_half(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done >= total / 2 ? -ECANCELED : 0;
}

/* More tables than it had room for; the same disk. */
static void extends_sparse(void)
{
    struct err err = ERR_INIT;
    struct stat st;

    begin();
    make("s.vmdk", DISK_VMDK_SPARSE, DISK_THIN, MIB(1));
    write_at("s.vmdk", 7, MIB(1) - 512, 512);
    write_at("s.vmdk", 8, KIB(64), 512);
    struct disk_info before = info_of("s.vmdk");
    int left = openat(folder.dir.fd, "s.vmdk.part", O_WRONLY | O_CREAT, 0600); /* by a crash */
    CHECK(left >= 0 && !close(left));
    CHECK_EQ(disk_extend(&folder.dir.host, "s.vmdk", MIB(2048), false, aio, NULL, NULL, &err), 0);
    struct disk_info after = info_of("s.vmdk");
    CHECK_EQ(after.size, MIB(2048));
    CHECK_EQ(after.cid, before.cid);
    CHECK_STR(after.uuid, before.uuid);
    CHECK(!after.unclean);
    CHECK_EQ(byte_at(&folder, "s.vmdk", MIB(1) - 1), 7);
    CHECK_EQ(byte_at(&folder, "s.vmdk", KIB(64)), 8);
    CHECK_EQ(byte_at(&folder, "s.vmdk", MIB(2048) - 1), 0);
    write_at("s.vmdk", 9, MIB(2048) - 512, 512);
    CHECK_EQ(byte_at(&folder, "s.vmdk", MIB(2048) - 1), 9);
    struct disk *disk = open_disk(&folder, "s.vmdk", 0);
    struct disk_check check = {0};
    REQUIRE(disk);
    CHECK_EQ(disk_check(disk, &check, &err), 0);
    CHECK(!check.problems && !check.leaks);
    disk_close(disk);
    CHECK_EQ(disk_extend(&folder.dir.host, "s.vmdk", MIB(1), false, aio, NULL, NULL, &err),
             -EINVAL);
    CHECK_EQ(disk_extend(&folder.dir.host, "s.vmdk", GIB(2041), false, aio, NULL, NULL, &err),
             -EFBIG);
    CHECK_EQ(disk_extend(&folder.dir.host, "s.vmdk", MIB(4096), false, aio, stop_half, NULL, NULL),
             -ECANCELED);
    CHECK_EQ(info_of("s.vmdk").size, MIB(2048));
    CHECK(fstatat(folder.dir.fd, "s.vmdk.part", &st, 0) < 0);
    CHECK_EQ(folder_count(&folder), 1);
    end();
}

static unsigned fragments_of(const char *name)
{
    struct disk *disk = open_disk(&folder, name, DISK_READONLY);
    unsigned percent = 12345;

    CHECK_EQ(disk_fragmentation(disk, &percent), 0);
    disk_close(disk);
    return percent;
}

static void defragments(void)
{
    struct err err = ERR_INIT;

    begin();
    make("s.vmdk", DISK_VMDK_SPARSE, DISK_THIN, MIB(8));
    CHECK_EQ(fragments_of("s.vmdk"), 0);
    for (unsigned i = 32; i-- > 0;) /* backwards */
        write_at("s.vmdk", (uint8_t)(i ? i : 77), i * KIB(64), KIB(64));
    write_at("s.vmdk", 0, KIB(64), KIB(64));
    struct disk_info before = info_of("s.vmdk");
    CHECK_EQ(fragments_of("s.vmdk"), 100);
    CHECK_EQ(disk_defragment(&folder.dir.host, "s.vmdk", aio, NULL, NULL, &err), 0);
    CHECK_EQ(fragments_of("s.vmdk"), 0);
    struct disk_info after = info_of("s.vmdk");
    CHECK_EQ(after.cid, before.cid);
    CHECK(after.room + KIB(32) <= before.room);
    for (unsigned i = 0; i < 32; i++)
        CHECK_EQ(byte_at(&folder, "s.vmdk", i * KIB(64) + 5), i == 1 ? 0 : i ? i : 77);
    struct disk_spec child = {.format = DISK_VMDK_SPARSE, .parent = "s.vmdk"};
    CHECK_EQ(disk_create(&folder.dir.host, "c.vmdk", &child, aio, NULL, NULL, &err), 0);
    CHECK_EQ(disk_defragment(&folder.dir.host, "c.vmdk", aio, NULL, NULL, &err), -ENOTSUP);
    CHECK_EQ(byte_at(&folder, "c.vmdk", 0), 77); /* its parent is who it was */
    make("f.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(1));
    CHECK_EQ(disk_defragment(&folder.dir.host, "f.vmdk", aio, NULL, NULL, &err), 0);
    end();
}

static void extends_not_half(void)
{
    struct stat st;

    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_EAGER, MIB(1));
    CHECK_EQ(disk_extend(&folder.dir.host, "a.vmdk", MIB(9), true, aio, stop_half, NULL, NULL),
             -ECANCELED);
    CHECK_EQ(info_of("a.vmdk").size, MIB(1));
    CHECK(!fstatat(folder.dir.fd, "a-flat.vmdk", &st, 0) && st.st_size == 1 << 20);
    CHECK_EQ(folder_count(&folder), 2);
    end();
}

static void gains_and_loses_room(void)
{
    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(4));
    write_at("a.vmdk", 9, MIB(1), 4096);
    uint32_t cid = info_of("a.vmdk").cid;
    CHECK_EQ(disk_inflate(&folder.dir.host, "a.vmdk", aio, NULL, NULL, NULL), 0);
    CHECK(info_of("a.vmdk").room >= MIB(4));
    CHECK(!info_of("a.vmdk").thin);
    CHECK_EQ(info_of("a.vmdk").cid, cid);
    CHECK_EQ(byte_at(&folder, "a.vmdk", MIB(1)), 9);
    CHECK_EQ(disk_shrink(&folder.dir.host, "a.vmdk", aio, NULL, NULL, NULL), 0);
    CHECK(info_of("a.vmdk").room >= MIB(4)); /* thick stays thick */

    make("t.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(4));
    write_at("t.vmdk", 0, 0, MIB(4));
    write_at("t.vmdk", 9, MIB(1), 4096);
    CHECK(info_of("t.vmdk").room >= MIB(4));
    CHECK_EQ(disk_shrink(&folder.dir.host, "t.vmdk", aio, NULL, NULL, NULL), 0);
    CHECK(info_of("t.vmdk").room < MIB(1));
    CHECK_EQ(byte_at(&folder, "t.vmdk", MIB(1)), 9);
    CHECK_EQ(disk_wipe(&folder.dir.host, "t.vmdk", aio, NULL, NULL, NULL), 0);
    CHECK_EQ(byte_at(&folder, "t.vmdk", MIB(1)), 0);
    end();
}

/* Lines of a descriptor that are not ours survive a change of those that are. */
static void keeps_foreign_lines(void)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=12345678\n"
                               "parentCID=ffffffff\ncreateType=\"vmfs\"\n\n# Extent description\n"
                               "RW 2048 VMFS \"f\"\nchangeTrackPath=\"a-ctk.vmdk\"\n"
                               "ddb.toolsVersion = \"12352\"\nddb.geometry.cylinders = \"1\"\n"
                               "ddb.geometry.heads = \"64\"\nddb.geometry.sectors = \"32\"\n"
                               "ddb.uuid = \"60 00\"\n";
    char now[2048] = "";

    begin();
    folder_write(&folder, "a.vmdk", text, strlen(text), 0);
    folder_write(&folder, "f", "", 0, MIB(1));
    CHECK_EQ(disk_set_uuid(&folder.dir.host, "a.vmdk", "60 01", aio, NULL), 0);
    CHECK_EQ(disk_set_uuid(&folder.dir.host, "a.vmdk", "60\"\nRW", aio, NULL), -EINVAL);
    CHECK_EQ(disk_extend(&folder.dir.host, "a.vmdk", MIB(2), false, aio, NULL, NULL, NULL), 0);
    int fd = openat(folder.dir.fd, "a.vmdk", O_RDONLY);
    CHECK(fd >= 0 && read(fd, now, sizeof now - 1) > 0);
    (void)close(fd);
    CHECK(strstr(now, "ddb.uuid = \"60 01\"\n") && strstr(now, "RW 4096 VMFS \"f\"\n"));
    CHECK(strstr(now, "ddb.toolsVersion = \"12352\"\n") && strstr(now, "changeTrackPath="));
    CHECK(strstr(now, "ddb.geometry.cylinders = \"2\"\n") && !strstr(now, "\"1\"\n"));
    make("s.vmdk", DISK_VMDK_SPARSE, DISK_THIN, MIB(1));
    CHECK_EQ(disk_set_uuid(&folder.dir.host, "s.vmdk", "60 02", aio, NULL), 0);
    CHECK_STR(info_of("s.vmdk").uuid, "60 02");
    end();
}

static void moves(void)
{
    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(1));
    write_at("a.vmdk", 5, 0, 512);
    CHECK_EQ(disk_move(&folder.dir.host, "a.vmdk", &other.dir.host, "b.vmdk", aio, NULL), 0);
    CHECK_EQ(folder_count(&folder), 0);
    CHECK_EQ(folder_count(&other), 2);
    CHECK_EQ(byte_at(&other, "b.vmdk", 0), 5);
    make("b.vmdk", DISK_VMDK_SPARSE, DISK_THIN, MIB(1));
    CHECK_EQ(disk_move(&folder.dir.host, "b.vmdk", &other.dir.host, "b.vmdk", aio, NULL), -EEXIST);
    CHECK_EQ(disk_move(&folder.dir.host, "b.vmdk", &folder.dir.host, "c.vmdk", aio, NULL), 0);
    CHECK_EQ(disk_remove(&folder.dir.host, "c.vmdk", false, aio, NULL), 0);
    CHECK_EQ(folder_count(&folder), 0);
    struct disk *disk = open_disk(&other, "b.vmdk", 0);
    CHECK_EQ(disk_remove(&other.dir.host, "b.vmdk", false, aio, NULL), -EBUSY);
    disk_close(disk);
    CHECK_EQ(disk_remove(&other.dir.host, "b.vmdk", false, aio, NULL), 0);
    CHECK_EQ(folder_count(&other), 0);
    end();
}

static int child_of(const struct folder *in, const char *name, const char *parent)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = parent};

    return disk_create(&in->dir.host, name, &spec, aio, NULL, NULL, NULL);
}

/* Two folders with children of the same disks: neither can spoil the other's. */
static void shares(void)
{
    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(1));
    write_at("a.vmdk", 5, 0, 512);
    CHECK_EQ(child_of(&folder, "b.vmdk", "a.vmdk"), 0);
    write_at("b.vmdk", 6, 4096, 512);
    CHECK_EQ(child_of(&folder, "c.vmdk", "b.vmdk"), 0);
    CHECK_EQ(disk_share(&folder.dir.host, "b.vmdk", &other.dir.host, aio, NULL), 0);
    CHECK_EQ(folder_count(&other), 3);
    CHECK_EQ(child_of(&other, "d.vmdk", "b.vmdk"), 0);
    CHECK_EQ(byte_at(&other, "d.vmdk", 0), 5);
    CHECK_EQ(byte_at(&other, "d.vmdk", 4096), 6);
    CHECK(info_of("b.vmdk").shared && !info_of("c.vmdk").shared);
    CHECK_EQ(disk_merge(&folder.dir.host, "c.vmdk", aio, NULL, NULL, NULL), -EMLINK);
    CHECK_EQ(disk_share(&folder.dir.host, "b.vmdk", &other.dir.host, aio, NULL), -EEXIST);
    CHECK_EQ(folder_count(&other), 4); /* nothing of the first went with the second */
    CHECK_EQ(disk_remove(&folder.dir.host, "c.vmdk", true, aio, NULL), 0);
    CHECK_EQ(folder_count(&folder), 0);
    CHECK_EQ(byte_at(&other, "d.vmdk", 4096), 6);
    CHECK_EQ(disk_remove(&other.dir.host, "d.vmdk", true, aio, NULL), 0);
    CHECK_EQ(folder_count(&other), 0);
    end();
}

/* -- Through a pipe ------------------------------------------------------------------------------
 */

static int keep(void *ctx, const void *data, size_t len)
{
    buf_put(ctx, data, len);
    return 0;
}

static int take_in(const char *name, bool raw, const struct buf *image, size_t piece,
                   struct err *err)
{
    struct disk *disk = open_disk(&folder, name, 0);
    struct disk_intake *intake = NULL;
    uint64_t populated = 0;
    int rc = disk ? disk_intake_create(disk, raw, &intake) : -EIO;

    *err = ERR_INIT;
    for (size_t at = 0; at < image->len && !rc; at += piece)
        rc = disk_intake_put(intake, image->data + at, MIN(piece, image->len - at), err);
    rc = rc ? rc : disk_intake_end(intake, &populated, err);
    disk_intake_destroy(intake);
    disk_close(disk);
    return rc;
}

static void through_a_pipe(void)
{
    static const size_t pieces[] = {1, 511, 513, 70000, 1 << 22};
    cleanup_buf struct buf image = {0}, raw = {0};
    uint64_t size = MIB(5) + 512;
    struct err err = ERR_INIT;

    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_THIN, size);
    write_at("a.vmdk", 1, 0, 512);
    write_at("a.vmdk", 2, MIB(3) - 512, 70144);
    write_at("a.vmdk", 3, size - 512, 512);
    struct disk *disk = open_disk(&folder, "a.vmdk", DISK_READONLY);
    REQUIRE(disk);
    CHECK_EQ(disk_export(disk, "a.vmdk", aio, keep, NULL, &image, &err), 0);
    CHECK(buf_grow(&raw, size) && !disk_pread(disk, raw.data, size, 0));
    disk_close(disk);
    CHECK(image.len < KIB(256));
    for (unsigned i = 0; i < ARRAY_SIZE(pieces) * 2; i++) {
        bool flat = i % 2;
        make("b.vmdk", DISK_VMDK_FLAT, DISK_THIN, size);
        if (!CHECK_EQ(take_in("b.vmdk", flat, flat ? &raw : &image, pieces[i / 2], &err), 0))
            (void)printf("# %s\n", err.text);
        disk = open_disk(&folder, "b.vmdk", DISK_READONLY);
        uint8_t *bytes = malloc(size);
        CHECK(bytes && disk && !disk_pread(disk, bytes, size, 0) && !memcmp(bytes, raw.data, size));
        free(bytes);
        disk_close(disk);
        CHECK(info_of("b.vmdk").room < MIB(1));
        CHECK_EQ(disk_remove(&folder.dir.host, "b.vmdk", false, aio, NULL), 0);
    }
    /* A file of it is a disk that opens. */
    folder_write(&folder, "c.vmdk", image.data, image.len, 0);
    CHECK_EQ(byte_at(&folder, "c.vmdk", MIB(3)), 2);
    end();
}

static void bad_images(void)
{
    cleanup_buf struct buf image = {0}, text = {0};
    struct err err = ERR_INIT;

    begin();
    make("a.vmdk", DISK_VMDK_FLAT, DISK_THIN, MIB(1));
    make("small.vmdk", DISK_VMDK_FLAT, DISK_THIN, KIB(512));
    write_at("a.vmdk", 1, 0, MIB(1));
    struct disk *disk = open_disk(&folder, "a.vmdk", DISK_READONLY);
    CHECK_EQ(disk_export(disk, "a.vmdk", aio, keep, NULL, &image, &err), 0);
    disk_close(disk);
    CHECK_EQ(take_in("small.vmdk", false, &image, 4096, &err), -EFBIG);
    size_t whole = image.len;
    image.len = whole - 512; /* without its end */
    CHECK_EQ(take_in("a.vmdk", false, &image, 4096, &err), -EUCLEAN);
    image.len = whole;
    image.data[65536 + 40] ^= 0xff; /* in the first grain */
    CHECK_EQ(take_in("a.vmdk", false, &image, 4096, &err), -EUCLEAN);
    buf_put_str(&text, "this is no image");
    (void)buf_grow(&text, 1024);
    CHECK_EQ(take_in("a.vmdk", false, &text, 4096, &err), -EUCLEAN);
    CHECK_EQ(take_in("a.vmdk", true, &text, 4096, &err), -EUCLEAN); /* too short */
    (void)buf_grow(&text, MIB(1));
    CHECK_EQ(take_in("a.vmdk", true, &text, 4096, &err), -EFBIG);
    end();
}

TAP_MAIN(TAP_CASE(extends), TAP_CASE(extends_not_half), TAP_CASE(extends_sparse),
         TAP_CASE(defragments), TAP_CASE(gains_and_loses_room), TAP_CASE(keeps_foreign_lines),
         TAP_CASE(moves), TAP_CASE(shares), TAP_CASE(through_a_pipe), TAP_CASE(bad_images))
