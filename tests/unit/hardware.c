/* SPDX-License-Identifier: Apache-2.0 */
/* Memory nodes, PCI functions and disks of a made-up machine, in folders as /sys has them. */
#include "hostd/host/hardware.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct {
    const char *path, *text;
} files[] = {
    {"devices/system/node/node0/meminfo",
     "Node 0 MemTotal:       16384 kB\nNode 0 MemFree: 1 kB\n"},
    {"devices/system/node/node0/cpulist", "0-2,8\n"},
    {"devices/system/node/node3/meminfo", "Node 3 MemTotal:       8 kB\n"},
    {"devices/system/node/node3/cpulist", "\n"},
    {"bus/pci/devices/0000:00:1f.2/vendor", "0x8086\n"},
    {"bus/pci/devices/0000:00:1f.2/device", "0x2922\n"},
    {"bus/pci/devices/0000:00:1f.2/class", "0x010601\n"},
    {"bus/pci/devices/0000:00:02.0/vendor", "0x1af4\n"},
    {"bus/pci/devices/0000:00:02.0/subsystem_device", "0x1100\n"},
    {"bus/pci/devices/nonsense/vendor", "what\n"},
    {"block/sda/device/vendor", "ATA     \n"},
    {"block/sda/device/model", "A DISK          \n"},
    {"block/sda/size", "2048\n"},
    {"block/sda/queue/logical_block_size", "4096\n"},
    {"block/sda/queue/rotational", "1\n"},
    {"block/nvme0n1/device/serial", "S1\n"},
    {"block/nvme0n1/size", "1\n"},
    {"block/nvme0n1/queue/logical_block_size", "512\n"},
    {"block/loop0/size", "8\n"},
    {"block/sr0/device/model", "empty\n"},
    {"pci.ids", "# a comment\n1af3  Kingston\n\t0000  wrong\n1af4  Red Hat, Inc.\n\t0000  Virtio "
                "network device\n"
                "\t\t1af4 0001  wrong\nC 02  Network controller\n\t0000  wrong\n\n\t\nffff"},
};

static void make(struct arena *arena, const char *root)
{
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = arena_printf(arena, "%s/%s", root, files[i].path);
        for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
            *at = '\0';
            (void)mkdir(path, 0700);
            *at = '/';
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, files[i].text, strlen(files[i].text)), (ssize_t)strlen(files[i].text));
        (void)close(fd);
    }
}

static void a_machine(void)
{
    char root[] = "/tmp/socle-hardware-XXXXXX";
    struct arena cleanup_arena arena = {0};

    REQUIRE(mkdtemp(root));
    make(&arena, root);
    struct memory_nodes nodes = memory_node_list(&arena, root);
    REQUIRE(nodes.count == 2);
    CHECK_EQ(nodes.items[0].memory, 16 << 20);
    REQUIRE(nodes.items[0].cpu_count == 4);
    CHECK_EQ(nodes.items[0].cpus[2], 2);
    CHECK_EQ(nodes.items[0].cpus[3], 8);
    CHECK_EQ(nodes.items[1].number, 3);
    CHECK_EQ(nodes.items[1].cpu_count, 0);
    struct pci_functions pci = pci_function_list(&arena, root);
    REQUIRE(pci.count == 3);
    CHECK_STR(pci.items[0].address, "0000:00:02.0");
    CHECK_EQ(pci.items[0].vendor, 0x1af4);
    CHECK_EQ(pci.items[0].subdevice, 0x1100);
    CHECK_EQ(pci.items[1].slot, 0x1f);
    CHECK_EQ(pci.items[1].function, 2);
    CHECK_EQ(pci.items[1].class, 0x010601);
    CHECK_EQ(pci.items[2].vendor, 0);
    pci_names_find(&arena, &pci, arena_printf(&arena, "%s/pci.ids", root));
    CHECK_STR(pci.items[0].vendor_name, "Red Hat, Inc.");
    CHECK_STR(pci.items[0].device_name, "Virtio network device");
    CHECK(!pci.items[1].device_name && !pci.items[2].vendor_name);
    struct machine_disks disks = machine_disk_list(&arena, root);
    REQUIRE(disks.count == 2); /* neither a loop nor a drive without a disc */
    CHECK_STR(disks.items[0].name, "nvme0n1");
    CHECK_STR(disks.items[0].serial, "S1");
    CHECK(!disks.items[0].rotates);
    CHECK_STR(disks.items[1].vendor, "ATA");
    CHECK_STR(disks.items[1].model, "A DISK");
    CHECK_EQ(disks.items[1].size, 1 << 20);
    CHECK_EQ(disks.items[1].block, 4096);
    CHECK(disks.items[1].rotates);
    CHECK_EQ(system(arena_printf(&arena, "rm -r %s", root)), 0);
}

static void no_folder(void)
{
    struct arena cleanup_arena arena = {0};

    struct memory_nodes nodes = memory_node_list(&arena, "/nonexistent");
    CHECK_EQ(nodes.count, 1);
    CHECK_EQ(nodes.items[0].memory, 0);
    CHECK_EQ(pci_function_list(&arena, "/nonexistent").count, 0);
    CHECK_EQ(machine_disk_list(&arena, "/nonexistent").count, 0);
}

TAP_MAIN(TAP_CASE(a_machine), TAP_CASE(no_folder))
