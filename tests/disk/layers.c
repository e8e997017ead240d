/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the layers of a chain while somebody has it open: a layer's content goes into an
 * older one, children get another parent, files go. What the reader sees does not change. */
#include <errno.h>

#include "base/range.h"
#include "tests/disk/folder.h"

enum { GRAIN = 4096 };
static const uint64_t size = MIB(4);

static struct folder folder;
static struct aio *aio;

static void make(const char *name, const char *parent, enum disk_format_id format)
{
    struct disk_spec spec = {.format = format, .size = parent ? 0 : size, .parent = parent};
    struct err err = ERR_INIT;

    if (!CHECK_EQ(disk_create(&folder.dir.host, name, &spec, aio, NULL, NULL, &err), 0))
        (void)printf("# %s\n", err.text);
}

static struct disk *open_disk(const char *name, unsigned flags)
{
    struct disk_options options = {.flags = flags, .format = "vmdk"};
    struct err err = ERR_INIT;
    struct disk *disk = NULL;

    if (disk_open(&folder.dir.host, name, &options, aio, &disk, &err))
        (void)printf("# %s\n", err.text);
    return disk;
}

static void write_at(const char *name, uint8_t value, uint64_t offset)
{
    struct disk *disk = open_disk(name, 0);
    uint8_t bytes[GRAIN];

    REQUIRE(disk);
    memset(bytes, value, sizeof bytes);
    CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, offset), 0);
    disk_close(disk);
}

static int byte_of(struct disk *disk, uint64_t offset)
{
    uint8_t sector[DISK_SECTOR] = {0xee};

    return disk && disk_pread(disk, sector, sizeof sector, offset) == 0 ? sector[0] : -1;
}

/* base <- one <- two <- top; each has written something of its own and something of the others. */
static void begin(enum disk_format_id format)
{
    folder_make(&folder);
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL), "aio");
    make("disk.vmdk", NULL, format);
    write_at("disk.vmdk", 1, 0);
    write_at("disk.vmdk", 1, MIB(1));
    make("disk-000001.vmdk", "disk.vmdk", DISK_VMDK_SPARSE);
    write_at("disk-000001.vmdk", 2, MIB(1));
    write_at("disk-000001.vmdk", 2, MIB(2));
    make("disk-000002.vmdk", "disk-000001.vmdk", DISK_VMDK_SPARSE);
    write_at("disk-000002.vmdk", 3, MIB(2));
    write_at("disk-000002.vmdk", 3, MIB(3));
    make("disk-000003.vmdk", "disk-000002.vmdk", DISK_VMDK_SPARSE);
    write_at("disk-000003.vmdk", 4, MIB(3));
}

static void end(void)
{
    aio_destroy(aio);
    folder_remove(&folder);
}

static int merge(const char *name, const char *into, bool live, struct err *err)
{
    struct disk_merge what = {.name = name, .layers = 1, .into = into, .live = live};

    return disk_merge_layers(&folder.dir.host, &what, aio, NULL, NULL, err);
}

static void check(struct disk *disk)
{
    CHECK_EQ(byte_of(disk, 0), 1);
    CHECK_EQ(byte_of(disk, MIB(1)), 2);
    CHECK_EQ(byte_of(disk, MIB(1) + GRAIN), 0);
    CHECK_EQ(byte_of(disk, MIB(2)), 3);
    CHECK_EQ(byte_of(disk, MIB(2) + GRAIN), 0);
    CHECK_EQ(byte_of(disk, MIB(3)), 4);
}

/* The first layer above the base is no more; who has the top open for writing goes on. */
static void without_the_first(enum disk_format_id format)
{
    struct err err = ERR_INIT;
    uint8_t bytes[GRAIN] = {9};

    begin(format);
    struct disk *top = open_disk("disk-000003.vmdk", 0); /* has read no table yet */
    REQUIRE(top);
    CHECK_EQ(merge("disk-000001.vmdk", "disk.vmdk", true, &err), 0);
    check(top);
    CHECK_EQ(disk_reparent(&folder.dir.host, "disk-000002.vmdk", "disk.vmdk", true, aio, &err), 0);
    CHECK_EQ(disk_reparent(&folder.dir.host, "disk-000002.vmdk", "disk.vmdk", false, aio, &err), 0);
    CHECK_EQ(disk_reparent(&folder.dir.host, "disk-000002.vmdk", "disk.vmdk", false, aio, &err), 0);
    CHECK_EQ(folder.dir.host.unlink(&folder.dir.host, "disk-000001.vmdk"), 0);
    check(top);
    CHECK_EQ(disk_pwrite(top, bytes, sizeof bytes, MIB(3) + GRAIN), 0);
    disk_close(top);
    top = open_disk("disk-000003.vmdk", DISK_READONLY);
    REQUIRE(top);
    check(top);
    CHECK_EQ(byte_of(top, MIB(3) + GRAIN), 9);
    disk_close(top);
    end();
}

static void flat_base(void)
{
    without_the_first(DISK_VMDK_FLAT);
}

/* Its grains are larger than the children's: what lies beside a grain that comes is read there from
 * then on. */
static void sparse_base(void)
{
    without_the_first(DISK_VMDK_SPARSE);
}

/* The disk that somebody writes to gets another parent. */
static void below_the_top(void)
{
    struct err err = ERR_INIT;
    uint8_t bytes[GRAIN] = {9};

    begin(DISK_VMDK_FLAT);
    struct disk *top = open_disk("disk-000003.vmdk", 0);
    REQUIRE(top);
    CHECK_EQ(merge("disk-000002.vmdk", "disk-000001.vmdk", true, &err), 0);
    CHECK_EQ(
        disk_reparent(&folder.dir.host, "disk-000003.vmdk", "disk-000001.vmdk", false, aio, &err),
        0);
    CHECK_EQ(folder.dir.host.unlink(&folder.dir.host, "disk-000002.vmdk"), 0);
    check(top);
    CHECK_EQ(disk_pwrite(top, bytes, sizeof bytes, MIB(1) + GRAIN), 0);
    disk_close(top);
    top = open_disk("disk-000003.vmdk", DISK_READONLY);
    REQUIRE(top);
    CHECK_EQ(byte_of(top, MIB(1) + GRAIN), 9);
    CHECK_EQ(byte_of(top, MIB(2)), 3);
    disk_close(top);
    end();
}

static struct disk_info alone(const char *name)
{
    struct disk *disk = open_disk(name, DISK_READONLY | DISK_NOLOCK | DISK_ALONE);
    struct disk_info info = {0};

    if (disk)
        disk_get_info(disk, &info);
    disk_close(disk);
    return info;
}

/* One is looked at without its parent, which may be damaged or gone. */
static void looked_at_alone(void)
{
    begin(DISK_VMDK_FLAT);
    CHECK_EQ(folder.dir.host.unlink(&folder.dir.host, "disk.vmdk"), 0);
    CHECK(!open_disk("disk-000001.vmdk", DISK_READONLY));
    CHECK_STR(alone("disk-000001.vmdk").parent, "disk.vmdk");
    CHECK_EQ(alone("disk-000001.vmdk").size, size);
    CHECK_STR(alone("disk-000003.vmdk").parent, "disk-000002.vmdk");
    CHECK(!alone("disk-000001.vmdk").shared);
    CHECK_EQ(linkat(folder.dir.fd, "disk-000001.vmdk", folder.dir.fd, "second", 0), 0);
    CHECK(alone("disk-000001.vmdk").shared);
    end();
}

static void child(const char *text, const char *parent, int want)
{
    struct err err = ERR_INIT;

    folder_write(&folder, "child.vmdk", text, strlen(text), 0);
    if (!CHECK_EQ(disk_reparent(&folder.dir.host, "child.vmdk", parent, false, aio, &err), want))
        (void)printf("# %s\n", err.text);
}

/* What can not be done in one sector is not done at all. */
static void room_for_names(void)
{
    char text[2048], now[2048] = "", blanks[600];

    begin(DISK_VMDK_FLAT);
    make("a-longer-name.vmdk", NULL, DISK_VMDK_SPARSE);
    memset(blanks, ' ', sizeof blanks);
    blanks[sizeof blanks - 1] = '\0';
    static const char form[] = "# Disk DescriptorFile\nversion=1\nCID=12345678\n%s%s=%s\n%s"
                               "%s=\"disk.vmdk\"%s\r\ncreateType=\"custom\"\n"
                               "RW 8192 ZERO\nddb.uuid = \"60 00\"\n";
    (void)snprintf(text, sizeof text, form, "", "parentCID", "00000001", "", "parentFileNameHint",
                   "   ");
    child(text, "a-longer-name.vmdk", -ENOTSUP);
    child(text, "none.vmdk", -ENOENT);
    child(text, "disk.vmdk", 0); /* only the id is another */
    (void)snprintf(text, sizeof text, form, "", "parentCID", "1", "", "parentFileNameHint", "");
    child(text, "disk.vmdk", -ENOTSUP);
    (void)snprintf(text, sizeof text, form, "", "parentCID", "00000001", "#", "xxxx", blanks);
    child(text, "disk.vmdk", -EINVAL); /* damaged: a child of nobody */
    (void)snprintf(now, sizeof now, "#%s\n", blanks);
    (void)snprintf(text, sizeof text, form, "", "parentCID", "00000001", now, "parentFileNameHint",
                   "");
    child(text, "disk.vmdk", -ENOTSUP); /* in two sectors */
    (void)snprintf(text, sizeof text, form, "", "parentCID", "00000001", "", "parentFileNameHint",
                   "               ");
    child(text, "a-longer-name.vmdk", 0);
    CHECK_STR(alone("child.vmdk").parent, "a-longer-name.vmdk");
    child("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n"
          "RW 8192 ZERO\n",
          "disk.vmdk", -EINVAL);
    end();
}

TAP_MAIN(TAP_CASE(flat_base), TAP_CASE(sparse_base), TAP_CASE(below_the_top),
         TAP_CASE(looked_at_alone), TAP_CASE(room_for_names))
