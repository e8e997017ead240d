/* SPDX-License-Identifier: Apache-2.0 */
/* The list of snapshots: what ESXi wrote is read, changed and kept; what breaks its rules is not.
 */
#include "config/vmsd.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/tap.h"

/* As ESXi writes it, with keys that are none of ours. */
static const char two[] = ".encoding = \"UTF-8\"\n"
                          "snapshot.lastUID = \"7\"\n"
                          "snapshot.current = \"7\"\n"
                          "snapshot0.uid = \"3\"\n"
                          "snapshot0.filename = \"vm-Snapshot3.vmsn\"\n"
                          "snapshot0.displayName = \"before |22upgrade|22\"\n"
                          "snapshot0.description = \"two|0Alines\"\n"
                          "snapshot0.type = \"1\"\n"
                          "snapshot0.createTimeHigh = \"393571\"\n"
                          "snapshot0.createTimeLow = \"-1207398512\"\n"
                          "snapshot0.numDisks = \"1\"\n"
                          "snapshot0.disk0.fileName = \"vm.vmdk\"\n"
                          "snapshot0.disk0.node = \"scsi0:0\"\n"
                          "snapshot0.clone0 = \"/vmfs/volumes/x/y.vmx\"\n"
                          "snapshot1.uid = \"7\"\n"
                          "snapshot1.parent = \"3\"\n"
                          "snapshot1.displayName = \"second\"\n"
                          "snapshot1.description = \"\"\n"
                          "snapshot1.createTimeHigh = \"393571\"\n"
                          "snapshot1.createTimeLow = \"5\"\n"
                          "snapshot1.numDisks = \"1\"\n"
                          "snapshot1.disk0.fileName = \"vm-000001.vmdk\"\n"
                          "snapshot1.disk0.node = \"scsi0:0\"\n"
                          "snapshot.numSnapshots = \"2\"\n"
                          "snapshot.mru0.uid = \"7\"\n";

static struct vmsd *parse(const char *text, const char *want)
{
    struct vmsd *vmsd = NULL;
    struct err err = ERR_INIT;
    int rc = vmsd_parse("vm.vmsd", text, strlen(text), &vmsd, &err);

    if (want) {
        if (!CHECK(rc == -EBADMSG && strstr(err.text, want)))
            (void)printf("# wanted \"%s\", got %d \"%s\"\n", want, rc, err.text);
    } else if (!CHECK_EQ(rc, 0)) {
        (void)printf("# %s\n", err.text);
    }
    return vmsd;
}

static struct vmsd_snapshot snapshot;

static void reads(void)
{
    cleanup_vmsd struct vmsd *vmsd = parse(two, NULL);
    cleanup_buf struct buf out = {0};

    REQUIRE(vmsd);
    CHECK_EQ(vmsd_count(vmsd), 2);
    CHECK_EQ(vmsd_current(vmsd), 7);
    CHECK_EQ(vmsd_get(vmsd, 3, &snapshot), 0);
    CHECK_STR(snapshot.name, "before \"upgrade\"");
    CHECK_STR(snapshot.description, "two\nlines");
    CHECK_STR(snapshot.filename, "vm-Snapshot3.vmsn");
    CHECK_EQ(snapshot.created_usec, (INT64_C(393571) << 32) + 3087568784);
    CHECK(snapshot.memory && !snapshot.quiesced);
    CHECK_EQ(snapshot.parent, VMSD_NONE);
    CHECK_EQ(snapshot.disk_count, 1);
    CHECK_STR(snapshot.disk[0].file, "vm.vmdk");
    CHECK_STR(snapshot.disk[0].node, "scsi0:0");
    CHECK_EQ(vmsd_get(vmsd, 7, &snapshot), 0);
    CHECK_EQ(snapshot.parent, 3);
    CHECK(!snapshot.filename && !snapshot.memory);
    CHECK_EQ(vmsd_get(vmsd, 1, &snapshot), -ENOENT);
    vmsd_write(vmsd, &out);
    CHECK_STR(buf_cstr(&out), two);
}

static void nothing(void)
{
    cleanup_vmsd struct vmsd *empty = parse("", NULL);
    cleanup_vmsd struct vmsd *missing = NULL;

    REQUIRE(empty);
    CHECK_EQ(vmsd_count(empty), 0);
    CHECK_EQ(vmsd_load("/nonexistent/vm.vmsd", &missing, NULL), 0);
    CHECK_EQ(vmsd_count(missing), 0);
    CHECK_EQ(vmsd_next_uid(missing), 1);
}

static void rules(void)
{
    parse("snapshot.numSnapshots = \"1\"\n", "has no uid");
    parse("snapshot.numSnapshots = \"9999\"\n", "numSnapshots");
    parse("snapshot.numSnapshots = \"2\"\nsnapshot0.uid = \"1\"\nsnapshot1.uid = \"1\"\n",
          "two snapshots have this uid");
    parse("snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot0.parent = \"4\"\n",
          "no such snapshot");
    parse("snapshot.numSnapshots = \"2\"\nsnapshot0.uid = \"1\"\nsnapshot0.parent = \"2\"\n"
          "snapshot1.uid = \"2\"\nsnapshot1.parent = \"1\"\n",
          "its own ancestor");
    parse("snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot.current = \"2\"\n",
          "no such snapshot");
}

static uint32_t add(struct vmsd *vmsd, uint32_t parent, const char *name)
{
    struct vmsd_snapshot s = {.parent = parent,
                              .name = name,
                              .description = "|\"\n",
                              .created_usec = 1700000000123456,
                              .disk_count = 1,
                              .disk = {{"a.vmdk", "nvme0:0"}}};
    uint32_t uid = 0;

    CHECK_EQ(vmsd_add(vmsd, &s, &uid), 0);
    return uid;
}

/* What was changed is what a second reader finds. */
static struct vmsd *again(const struct vmsd *vmsd)
{
    cleanup_buf struct buf out = {0};

    vmsd_write(vmsd, &out);
    return parse(buf_cstr(&out), NULL);
}

static void changes(void)
{
    cleanup_vmsd struct vmsd *vmsd = parse(two, NULL);
    cleanup_vmsd struct vmsd *other = NULL;
    cleanup_buf struct buf out = {0};
    struct vmsd_snapshot orphan = {.parent = 99, .name = "", .description = ""};
    uint32_t uid;

    REQUIRE(vmsd);
    uid = add(vmsd, 7, "third");
    CHECK_EQ(uid, 8);
    CHECK_EQ(vmsd_add(vmsd, &orphan, &uid), -ENOENT);
    CHECK_EQ(vmsd_set_current(vmsd, 8), 0);
    CHECK_EQ(vmsd_set_current(vmsd, 9), -ENOENT);
    CHECK_EQ(vmsd_rename(vmsd, 7, "renamed", NULL), 0);
    CHECK_EQ(vmsd_remove(vmsd, 3), 0); /* the last slot moves into its place */
    CHECK_EQ(vmsd_remove(vmsd, 3), -ENOENT);
    other = again(vmsd);
    REQUIRE(other);
    CHECK_EQ(vmsd_count(other), 2);
    CHECK_EQ(vmsd_current(other), 8);
    CHECK_EQ(vmsd_get(other, 7, &snapshot), 0);
    CHECK_EQ(snapshot.parent, VMSD_NONE);
    CHECK_STR(snapshot.name, "renamed");
    CHECK_EQ(vmsd_get(other, 8, &snapshot), 0);
    CHECK_EQ(snapshot.parent, 7);
    CHECK_STR(snapshot.description, "|\"\n");
    CHECK_EQ(snapshot.created_usec, 1700000000123456);
    CHECK_STR(snapshot.disk[0].node, "nvme0:0");
    CHECK_EQ(vmsd_remove(other, 8), 0);
    CHECK_EQ(vmsd_current(other), 7);
    CHECK_EQ(vmsd_next_uid(other), 9);
    vmsd_write(other, &out);
    CHECK(strstr(buf_cstr(&out), "snapshot.mru0.uid")); /* not ours: kept */
    CHECK(!strstr(buf_cstr(&out), "clone0"));           /* went with its snapshot */
}

static void many(void)
{
    cleanup_vmsd struct vmsd *vmsd = NULL;
    cleanup_vmsd struct vmsd *other = NULL;
    struct vmsd_snapshot more = {.name = "", .description = ""};
    uint32_t uid = VMSD_NONE;

    REQUIRE(!vmsd_create("vm.vmsd", &vmsd));
    for (unsigned i = 0; i < VMSD_SNAPSHOTS_MAX; i++)
        uid = add(vmsd, uid, "one more");
    CHECK_EQ(vmsd_add(vmsd, &more, &uid), -E2BIG);
    other = again(vmsd);
    REQUIRE(other);
    CHECK_EQ(vmsd_count(other), VMSD_SNAPSHOTS_MAX);
    CHECK_EQ(vmsd_set_disk(other, uid, "nvme0:0", "b.vmdk"), 0);
    CHECK_EQ(vmsd_set_disk(other, uid, "nvme0:1", "b.vmdk"), -ENOENT);
    CHECK_EQ(vmsd_set_disk(other, 5000, "nvme0:0", "b.vmdk"), -ENOENT);
    CHECK_EQ(vmsd_get(other, uid, &snapshot), 0);
    CHECK_STR(snapshot.disk[0].file, "b.vmdk");
    for (uint32_t i = 1; i <= VMSD_SNAPSHOTS_MAX / 2; i++) /* from the front: slots move */
        CHECK_EQ(vmsd_remove(other, i), 0);
    CHECK_EQ(vmsd_get(other, uid, &snapshot), 0);
    CHECK_STR(snapshot.disk[0].file, "b.vmdk");
    CHECK_EQ(snapshot.parent, uid - 1);
    CHECK_EQ(vmsd_count(other), VMSD_SNAPSHOTS_MAX / 2);
}

TAP_MAIN(TAP_CASE(reads), TAP_CASE(nothing), TAP_CASE(rules), TAP_CASE(changes), TAP_CASE(many))
