/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: hostile and broken images are refused by name; and what an open disk promises. */
#include <errno.h>
#include <pthread.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/range.h"
#include "tests/disk/folder.h"

static struct folder folder;
static struct aio *aio;

static int open_as(const char *name, unsigned flags, const char *format, struct disk **ret_disk,
                   struct err *err)
{
    struct disk_options options = {.flags = flags, .format = format};

    *err = ERR_INIT;
    *ret_disk = NULL;
    return disk_open(&folder.dir.host, name, &options, aio, ret_disk, err);
}

/* Opens both ways: `want` NULL means that it must open, else it must fail with that in the text. */
static void expect(const char *name, unsigned flags, const char *want)
{
    struct disk *disk;
    struct err err;
    int rc = open_as(name, flags, NULL, &disk, &err);

    if (!want ? rc : (!rc || !strstr(err.text, want) || !strstr(err.text, name))) {
        CHECK(!"the expected outcome");
        (void)printf("# wanted \"%s\", got %d \"%s\"\n", want ? want : "success", rc, err.text);
    }
    disk_close(disk);
}

/* -- Descriptors ---------------------------------------------------------------------------------
 */

#define HEAD "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
#define FLAT HEAD "createType=\"monolithicFlat\"\n"

static void descriptor(const char *text, const char *want)
{
    folder_write(&folder, "d.vmdk", text, strlen(text), 0);
    expect("d.vmdk", 0, want);
    expect("d.vmdk", DISK_READONLY, want);
}

static void paths(void)
{
    folder_write(&folder, "f", "", 0, MIB(1));
    folder_require(!symlinkat("f", folder.dir.fd, "link") && !mkdirat(folder.dir.fd, "sub", 0700) &&
                       !mkfifoat(folder.dir.fd, "fifo", 0600),
                   "links");
    descriptor(FLAT "RW 2048 FLAT \"f\" 0\n", NULL);
    descriptor(FLAT "RW 2048 FLAT \"./f\" 0\n", NULL);
    descriptor(FLAT "RW 1 FLAT \"/etc/passwd\" 0\n",
               "extent \"/etc/passwd\": path leaves the folder of the descriptor");
    descriptor(FLAT "RW 1 FLAT \"../f\" 0\n", "extent \"../f\": path leaves the folder");
    descriptor(FLAT "RW 1 FLAT \"sub/../../f\" 0\n", "path leaves the folder");
    descriptor(FLAT "RW 1 FLAT \"sub/..\" 0\n", "path leaves the folder");
    descriptor(FLAT "RW 1 FLAT \"link\" 0\n", "extent \"link\": is a symbolic link");
    descriptor(FLAT "RW 1 FLAT \"sub\" 0\n", "extent \"sub\":");
    descriptor(FLAT "RW 1 FLAT \"fifo\" 0\n", "extent \"fifo\":");
    descriptor(FLAT "RW 1 FLAT \"d.vmdk\" 0\n", "is the descriptor itself");
    descriptor(FLAT "RW 1 FLAT \"missing\" 0\n", "extent \"missing\": cannot open it");
    descriptor(FLAT "RW 1 FLAT \"\" 0\n", "path leaves the folder");
    descriptor(FLAT "RW 1 SPARSE \"d.vmdk\"\n", "is not a sparse extent");
}

static void device_as_extent(void)
{
    if (mknodat(folder.dir.fd, "dev", S_IFBLK | 0600, makedev(7, 0))) {
        (void)printf("# no right to make a device: not tried\n");
        return;
    }
    descriptor(FLAT "RW 1 FLAT \"dev\" 0\n", "extent \"dev\":");
}

static void numbers(void)
{
    folder_write(&folder, "f", "", 0, MIB(1));
    descriptor(FLAT "RW 0 FLAT \"f\" 0\n", "extent of 0 sectors");
    descriptor(FLAT "RW -1 FLAT \"f\" 0\n", "extent of -1 sectors");
    descriptor(FLAT "RW 9223372036854775808 FLAT \"f\" 0\n", "sectors");
    descriptor(FLAT "RW 18446744073709551617 FLAT \"f\" 0\n", "sectors");
    descriptor(FLAT "RW 2049 FLAT \"f\" 0\n", "fewer than the");
    descriptor(FLAT "RW 2048 FLAT \"f\" 1\n", "fewer than the");
    descriptor(FLAT "RW 1 FLAT \"f\" 36028797018963968\n", "extent \"f\": offset");
    descriptor(FLAT "RW 133143986176 ZERO\nRW 1 ZERO\n", "larger than 62 TiB");
    descriptor(FLAT "RW 1024 FLAT \"f\" 0\nRW 1024 FLAT \"f\" 1023\n", "two extents share");
    descriptor(FLAT "RW 1024 FLAT \"f\" 0\nRW 1024 FLAT \"f\" 1024\n", NULL);
}

static void words(void)
{
    static const char parent[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=12345678\n"
                                 "createType=\"monolithicFlat\"\nRW 1 ZERO\n";

    descriptor(parent, "child of another disk and does not say of which");
    descriptor(HEAD "createType=\"seSparse\"\nRW 1 SESPARSE \"f\"\n", "\"SESPARSE\"");
    descriptor(HEAD "createType=\"fullDevice\"\nRW 1 ZERO\n", "\"fullDevice\"");
    descriptor(FLAT, "no extents");
    descriptor("# Disk DescriptorFile\nCID=1\nRW 1 ZERO\n", "no version");
    descriptor("# Disk DescriptorFile\nversion=9\n", "descriptor version \"9\"");
    descriptor(HEAD "CID=xyz\n", "content id \"xyz\"");
    descriptor(FLAT "nonsense\n", "neither an extent nor a value");
    descriptor(FLAT "NOACCESS 1 ZERO\n", "without access");
    descriptor(FLAT "RW 1\n", "sectors");
    descriptor("COWD is something else than this", "vmfsSparse");
    descriptor("something else, which is longer than a magic number", "is not a VMDK");
    descriptor("short", "only 5 bytes");
}

/* -- Chains --------------------------------------------------------------------------------------
 */

#define CHILD(cid)                                                        \
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=" cid "\n" \
    "createType=\"monolithicFlat\"\n"

static int make(const char *name, const char *parent, uint64_t size, struct err *err)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = size, .parent = parent};

    *err = ERR_INIT;
    return disk_create(&folder.dir.host, name, &spec, aio, NULL, NULL, err);
}

static void hostile_parents(void)
{
    descriptor(CHILD("12345678") "parentFileNameHint=\"/etc/passwd\"\nRW 1 ZERO\n",
               "parent \"/etc/passwd\": path leaves the folder");
    descriptor(CHILD("12345678") "parentFileNameHint=\"missing.vmdk\"\nRW 1 ZERO\n",
               "parent \"missing.vmdk\": cannot open it");
    folder_write(&folder, "d.vmdk", CHILD("12345678") "parentFileNameHint=\"d.vmdk\"\nRW 1 ZERO\n",
                 strlen(CHILD("12345678") "parentFileNameHint=\"d.vmdk\"\nRW 1 ZERO\n"), 0);
    expect("d.vmdk", DISK_READONLY, "more than 256 disks in a chain, or a chain without end");
    expect("d.vmdk", 0, "\"d.vmdk\" is in use");
}

static void parents(void)
{
    uint8_t bytes[DISK_SECTOR] = {1}, read[DISK_SECTOR];
    struct disk_info info;
    struct disk *disk;
    struct err err;

    CHECK_EQ(make("p.vmdk", NULL, MIB(1), &err), 0);
    CHECK_EQ(make("small.vmdk", "p.vmdk", KIB(512), &err), -EINVAL);
    CHECK_EQ(make("c.vmdk", "p.vmdk", MIB(2), &err), 0);
    CHECK_EQ(make("e.vmdk", "p.vmdk", 0, &err), 0);
    REQUIRE(!open_as("c.vmdk", 0, NULL, &disk, &err));
    disk_get_info(disk, &info);
    CHECK_EQ(info.ancestors, 1);
    CHECK_STR(info.parent, "p.vmdk");
    CHECK_EQ(disk_pread(disk, read, sizeof read, MIB(2) - sizeof read), 0); /* behind the parent */
    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, MIB(1)), 0);
    expect("p.vmdk", 0, "is in use"); /* readers only, while a child is open */
    expect("e.vmdk", 0, NULL);
    disk_close(disk);
    CHECK_EQ(unlinkat(folder.dir.fd, "e.vmdk", 0), 0);
    REQUIRE(!open_as("p.vmdk", 0, NULL, &disk, &err));
    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, 0), 0);
    disk_close(disk);
    expect("c.vmdk", 0, "has been written to since");
    CHECK_EQ(disk_merge(&folder.dir.host, "p.vmdk", aio, NULL, NULL, &err), -EINVAL);
}

static void many(void)
{
    cleanup_buf struct buf text = {0};
    cleanup_buf struct buf line = {0};

    buf_put_str(&text, FLAT);
    for (unsigned i = 0; i < 10000; i++)
        buf_put_str(&text, "RW 1 ZERO\n");
    descriptor(buf_cstr(&text), "more than 1024 extents");
    buf_put_str(&line, FLAT "x=");
    for (unsigned i = 0; i < 5000; i++)
        buf_put_u8(&line, 'y');
    descriptor(buf_cstr(&line), "line of 5002 bytes");
    folder_write(&folder, "d.vmdk", FLAT, strlen(FLAT), MIB(1));
    expect("d.vmdk", 0, "at most 262144 are read");
}

/* -- Sparse headers ------------------------------------------------------------------------------
 */

static uint8_t header[512];

static void make_sparse(const char *name, uint64_t size)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = size};
    int fd;

    (void)unlinkat(folder.dir.fd, name, 0);
    CHECK_EQ(disk_create(&folder.dir.host, name, &spec, aio, NULL, NULL, NULL), 0);
    fd = openat(folder.dir.fd, name, O_RDONLY | O_CLOEXEC);
    folder_require(pread(fd, header, sizeof header, 0) == sizeof header, name);
    (void)close(fd);
}

static void put(const char *name, const void *bytes, size_t len, uint64_t offset)
{
    int fd = openat(folder.dir.fd, name, O_WRONLY | O_CLOEXEC);

    folder_require(fd >= 0 && pwrite(fd, bytes, len, (off_t)offset) == (ssize_t)len, name);
    (void)close(fd);
}

static void header_field(size_t offset, unsigned size, uint64_t value, const char *want)
{
    uint8_t bytes[512];

    memcpy(bytes, header, sizeof bytes);
    le_store(bytes + offset, size, value);
    put("s.vmdk", bytes, sizeof bytes, 0);
    expect("s.vmdk", 0, want);
    put("s.vmdk", header, sizeof header, 0);
}

static void sparse_headers(void)
{
    make_sparse("s.vmdk", MIB(64));
    header_field(4, 4, 1, NULL);
    header_field(4, 4, 9, "version 9");
    header_field(12, 8, 0, "capacity of 0");
    header_field(12, 8, UINT64_MAX, "capacity");
    header_field(12, 8, UINT64_C(1) << 38, "capacity");
    header_field(20, 8, 0, "grain size of 0");
    header_field(20, 8, 3, "grain size of 3");
    header_field(20, 8, 4, "grain size of 4");
    header_field(20, 8, UINT64_C(1) << 63, "grain size");
    header_field(28, 8, UINT64_MAX, "descriptor is past the end");
    header_field(28, 8, 0, "open the disk's descriptor");
    header_field(36, 8, UINT64_C(1) << 55, "descriptor is past the end");
    header_field(44, 4, 0, "tables of 0 entries");
    header_field(44, 4, 511, "tables of 511 entries");
    header_field(48, 8, 1000000, "second grain directory is past");
    header_field(56, 8, 1000000, "grain directory is past");
    header_field(56, 8, UINT64_MAX, "grain directory is past");
    header_field(64, 8, 1000000, "header area is past");
    header_field(64, 8, 20, "behind the first 20 sectors");
    header_field(73, 1, 0, "text mode");
    header_field(77, 2, 1, "compression");
    header_field(77, 2, 7, "compression");
    CHECK(!ftruncate(openat(folder.dir.fd, "s.vmdk", O_WRONLY | O_CLOEXEC), 1000));
    expect("s.vmdk", 0, "past the end");
}

static void sparse_tables(void)
{
    uint8_t word[4];
    uint64_t gd, gt;
    struct disk *disk;
    struct err err;
    char bytes[512];

    make_sparse("t.vmdk", MIB(64));
    gd = le64_load(header + 56) * DISK_SECTOR;
    gt = gd + DISK_SECTOR;
    le32_store(word, 0);
    put("t.vmdk", word, 4, gd);
    expect("t.vmdk", 0, "table is missing");
    expect("t.vmdk", DISK_READONLY, NULL);
    le32_store(word, 0xfffffff0);
    put("t.vmdk", word, 4, gd);
    expect("t.vmdk", 0, "grain table 0 is past the end");
    le32_store(word, (uint32_t)(gt / DISK_SECTOR) + 4);
    put("t.vmdk", word, 4, gd);
    expect("t.vmdk", 0, "two grain tables share");
    le32_store(word, (uint32_t)(gt / DISK_SECTOR));
    put("t.vmdk", word, 4, gd);

    /* entries are judged when they are used */
    le32_store(word, 1);
    put("t.vmdk", word, 4, gt);
    le32_store(word, 0xffffff00);
    put("t.vmdk", word, 4, gt + 4);
    CHECK_EQ(open_as("t.vmdk", 0, NULL, &disk, &err), 0);
    CHECK_EQ(disk_pread(disk, bytes, sizeof bytes, 0), -EUCLEAN);
    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, KIB(64)), -EUCLEAN);
    CHECK_EQ(disk_pread(disk, bytes, sizeof bytes, KIB(128)), 0);
    disk_close(disk);
}

/* -- Formats and names ---------------------------------------------------------------------------
 */

/* A guest can write what it likes into its raw disk; the next start must not believe it. */
static void no_guessing(void)
{
    struct disk_info info;
    struct disk *disk;
    struct err err;

    folder_write(&folder, "g.img", FLAT "RW 1 ZERO\n", strlen(FLAT) + 10, 4096);
    CHECK_EQ(open_as("g.img", 0, NULL, &disk, &err), 0);
    disk_get_info(disk, &info);
    CHECK_STR(info.format, "raw");
    CHECK_EQ(disk_size(disk), 4096);
    disk_close(disk);
    CHECK_EQ(open_as("g.img", DISK_READONLY | DISK_PROBE, NULL, &disk, &err), 0);
    disk_get_info(disk, &info);
    CHECK_STR(info.format, "vmdk");
    disk_close(disk);
    folder_write(&folder, "g", "", 0, 4096);
    expect("g", 0, "does not say what it is");
    CHECK_EQ(open_as("g", 0, "raw", &disk, &err), 0);
    disk_close(disk);
    CHECK_EQ(open_as("g", 0, "qcow2", &disk, &err), -EINVAL);
    CHECK(strstr(err.text, "unknown format \"qcow2\""));
    folder_write(&folder, "odd.img", "", 0, 1000);
    expect("odd.img", 0, "not a multiple of 512");
    folder_write(&folder, "empty.img", "", 0, 0);
    expect("empty.img", 0, "is empty");
    expect("missing.img", 0, "No such file");
    expect("../x.img", 0, "leaves the folder");
}

/* -- Promises ------------------------------------------------------------------------------------
 */

static void requests_are_checked(void)
{
    static char bytes[4096];
    struct disk_spec spec = {.size = 8192};
    struct disk *disk;
    struct err err;

    CHECK_EQ(disk_create(&folder.dir.host, "r.img", &spec, aio, NULL, NULL, &err), 0);
    CHECK_EQ(disk_create(&folder.dir.host, "r.img", &spec, aio, NULL, NULL, &err), -EEXIST);
    CHECK_EQ(open_as("r.img", 0, NULL, &disk, &err), 0);
    CHECK_EQ(disk_pread(disk, bytes, 512, 7680), 0);
    CHECK_EQ(disk_pread(disk, bytes, 512, 8192), -EINVAL);
    CHECK_EQ(disk_pread(disk, bytes, 1024, 7680), -EINVAL);
    CHECK_EQ(disk_pread(disk, bytes, 512, 1), -EINVAL);
    CHECK_EQ(disk_pread(disk, bytes, 100, 0), -EINVAL);
    CHECK_EQ(disk_pread(disk, bytes, 512, UINT64_MAX - 511), -EINVAL);
    CHECK_EQ(disk_pwrite(disk, bytes, 0, 0), 0);
    CHECK_EQ(disk_op_sync(disk, DISK_OP_MAX, 512, 0), -EINVAL);
    CHECK_EQ(disk_op_sync(disk, DISK_READ, 512, 0), -EINVAL); /* no memory for it */
    disk_close(disk);
    CHECK_EQ(open_as("r.img", DISK_READONLY, NULL, &disk, &err), 0);
    CHECK_EQ(disk_pwrite(disk, bytes, 512, 0), -EROFS);
    CHECK_EQ(disk_op_sync(disk, DISK_DISCARD, 512, 0), -EROFS);
    CHECK_EQ(disk_flush(disk), 0);
    disk_close(disk);
}

static uint32_t cid_of(const char *name, bool *ret_unclean)
{
    struct disk_info info = {0};
    struct disk *disk;
    struct err err;

    CHECK_EQ(open_as(name, DISK_READONLY | DISK_NOLOCK, NULL, &disk, &err), 0);
    disk_get_info(disk, &info);
    disk_close(disk);
    if (ret_unclean)
        *ret_unclean = info.unclean;
    return info.cid;
}

/* Reading keeps the content id; the first write changes it, once, before the data. */
static void content_id(enum disk_format_id format)
{
    struct disk_spec spec = {.format = format, .size = MIB(1)};
    uint32_t before, during;
    char bytes[512] = "x";
    struct disk *disk;
    struct err err;
    bool unclean;

    (void)unlinkat(folder.dir.fd, "c.vmdk", 0);
    CHECK_EQ(disk_create(&folder.dir.host, "c.vmdk", &spec, aio, NULL, NULL, &err), 0);
    before = cid_of("c.vmdk", NULL);
    CHECK_EQ(open_as("c.vmdk", 0, NULL, &disk, &err), 0);
    CHECK_EQ(disk_pread(disk, bytes, 512, 0), 0);
    CHECK_EQ(cid_of("c.vmdk", &unclean), before);
    CHECK(!unclean);
    CHECK_EQ(disk_pwrite(disk, bytes, 512, 0), 0);
    during = cid_of("c.vmdk", &unclean);
    CHECK(during != before);
    CHECK_EQ(unclean, format == DISK_VMDK_SPARSE);
    CHECK_EQ(disk_pwrite(disk, bytes, 512, 512), 0);
    disk_close(disk);
    CHECK_EQ(cid_of("c.vmdk", &unclean), during);
    CHECK(!unclean);
}

static void content_id_flat(void)
{
    content_id(DISK_VMDK_FLAT);
}
static void content_id_sparse(void)
{
    content_id(DISK_VMDK_SPARSE);
}

/* The I/O thread ends, another one closes: nothing may be missing, and the marks say clean. */
static void *write_and_leave(void *arg)
{
    static uint8_t bytes[512] = "kept";
    struct disk *disk = arg;

    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, MIB(3)), 0);
    return NULL;
}

static void closed_elsewhere(void)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = MIB(8)};
    struct aio *own = NULL;
    struct disk *disk;
    char bytes[512];
    pthread_t thread;
    struct err err;
    bool unclean;

    CHECK_EQ(aio_create(AIO_AUTO, &own, &err), 0);
    CHECK_EQ(disk_create(&folder.dir.host, "e.vmdk", &spec, own, NULL, NULL, &err), 0);
    REQUIRE(!disk_open(&folder.dir.host, "e.vmdk", &(struct disk_options){0}, own, &disk, &err));
    CHECK(!pthread_create(&thread, NULL, write_and_leave, disk));
    CHECK(!pthread_join(thread, NULL));
    disk_close(disk);
    aio_destroy(own);
    (void)cid_of("e.vmdk", &unclean);
    CHECK(!unclean);
    REQUIRE(!open_as("e.vmdk", DISK_READONLY, NULL, &disk, &err));
    CHECK_EQ(disk_pread(disk, bytes, sizeof bytes, MIB(3)), 0);
    CHECK_STR(bytes, "kept");
    disk_close(disk);
}

/* More new grains than are kept in mind between commits: writes wait for a commit, none is lost. */
static void many_allocations(void)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = GIB(1)};
    struct disk_check check = {0};
    static uint8_t bytes[512];
    struct disk *disk;
    struct err err;
    unsigned wrong = 0;

    CHECK_EQ(disk_create(&folder.dir.host, "m.vmdk", &spec, aio, NULL, NULL, &err), 0);
    REQUIRE(!open_as("m.vmdk", 0, NULL, &disk, &err));
    for (uint64_t i = 0; i < 5000; i++) {
        le64_store(bytes, i + 1);
        wrong += disk_pwrite(disk, bytes, sizeof bytes, i * 3 * KIB(64)) != 0;
    }
    disk_close(disk);
    REQUIRE(!open_as("m.vmdk", DISK_READONLY, NULL, &disk, &err));
    for (uint64_t i = 0; i < 5000; i++)
        wrong += disk_pread(disk, bytes, sizeof bytes, i * 3 * KIB(64)) != 0 ||
                 le64_load(bytes) != i + 1;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(disk_check(disk, &check, &err), 0);
    CHECK_EQ(check.problems, 0);
    CHECK_EQ(check.used, 5000);
    disk_close(disk);
    CHECK_EQ(unlinkat(folder.dir.fd, "m.vmdk", 0), 0);
}

/* A second description of one byte: the image is wrong, and check says how. */
static void on_problem(void *ctx, const char *text)
{
    char *first = ctx;

    if (!*first)
        (void)snprintf(first, 256, "%s", text);
}

static void damage(unsigned entry, uint32_t value, bool both, const char *want)
{
    const char *tests = getenv("SOCLE_TESTS");
    uint64_t gd = le64_load(header + 56), rgd = le64_load(header + 48);
    char text[256] = "", command[1024];
    struct disk_check check = {.problem = on_problem, .ctx = text};
    uint8_t word[4], keep[4] = {0};
    struct disk *disk;
    struct err err;
    int fd = openat(folder.dir.fd, "w.vmdk", O_RDONLY | O_CLOEXEC);

    folder_require(pread(fd, keep, 4, (off_t)((gd + 1) * DISK_SECTOR + entry * 4)) == 4, "entry");
    (void)close(fd);
    le32_store(word, value);
    put("w.vmdk", word, 4, (gd + 1) * DISK_SECTOR + entry * 4);
    if (both)
        put("w.vmdk", word, 4, (rgd + 1) * DISK_SECTOR + entry * 4);
    if (CHECK_EQ(open_as("w.vmdk", DISK_READONLY, NULL, &disk, &err), 0)) {
        CHECK_EQ(disk_check(disk, &check, &err), 0);
        CHECK_EQ(check.problems != 0, *want != 0);
        if (!strstr(text, want)) {
            CHECK(!"the expected problem");
            (void)printf("# wanted \"%s\", got \"%s\"\n", want, text);
        }
        disk_close(disk);
    }
    (void)snprintf(command, sizeof command,
                   "python3 '%s/disk/vmdk_check.py' '%s/w.vmdk' >/dev/null",
                   tests ? tests : "tests", folder.path);
    CHECK_EQ(system(command), *want ? 256 : 0);
    put("w.vmdk", keep, 4, (gd + 1) * DISK_SECTOR + entry * 4);
    put("w.vmdk", keep, 4, (rgd + 1) * DISK_SECTOR + entry * 4);
}

/* The four faults that qemu-img check does not all see; both checkers do. */
static void damage_is_found(void)
{
    static uint8_t bytes[4 * 65536];
    struct disk *disk;
    struct err err;
    uint32_t data;

    make_sparse("w.vmdk", MIB(8));
    data = (uint32_t)le64_load(header + 64);
    memset(bytes, 7, sizeof bytes);
    REQUIRE(!open_as("w.vmdk", 0, NULL, &disk, &err));
    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, 0), 0);
    disk_close(disk);
    damage(0, data, true, "");
    damage(1, data + 4 * 128, true, "past the end of the file");
    damage(1, data + 2 * 128, true, "two grains share");
    damage(1, data + 2 * 128 + 64, true, "two grains share");
    damage(1, 1, true, "into the header");
    damage(1, data - 8, true, "into the header or the tables");
    damage(1, data + 4 * 128, false, "tables differ");
    damage(5, data + 1 * 128, false, "tables differ");
    damage(1, 0, false, "tables differ");
}

int main(void)
{
    static const struct tap_case cases[] = {
        TAP_CASE(paths),
        TAP_CASE(device_as_extent),
        TAP_CASE(numbers),
        TAP_CASE(words),
        TAP_CASE(hostile_parents),
        TAP_CASE(parents),
        TAP_CASE(many),
        TAP_CASE(sparse_headers),
        TAP_CASE(sparse_tables),
        TAP_CASE(no_guessing),
        TAP_CASE(requests_are_checked),
        TAP_CASE(content_id_flat),
        TAP_CASE(content_id_sparse),
        TAP_CASE(closed_elsewhere),
        TAP_CASE(many_allocations),
        TAP_CASE(damage_is_found),
    };
    int status;

    folder_make(&folder);
    folder_require(!aio_create(AIO_AUTO, &aio, NULL), "aio");
    status = tap_run_(cases, ARRAY_SIZE(cases));
    aio_destroy(aio);
    folder_remove(&folder);
    return status;
}
