/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/host/hardware.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

/* The first line, "" if there is none. */
static const char *line_of(struct arena *arena, const char *path)
{
    cleanup_buf struct buf text = {0};

    if (file_load(AT_FDCWD, path, 65536, &text, NULL) < 0)
        return "";
    const char *line = buf_cstr(&text);
    return arena_strndup(arena, line, strcspn(line, "\n"));
}

/* "0-3,8,10-11" */
static void read_cpus(struct arena *arena, const char *list, struct memory_node *node)
{
    node->cpus = arena_array(arena, NODE_CPUS_MAX, sizeof *node->cpus);
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && node->cpu_count < NODE_CPUS_MAX; first++)
            node->cpus[node->cpu_count++] = (unsigned)first;
        list = *end == ',' ? end + 1 : "";
    }
}

/* "Node 0 MemTotal:       16384 kB" is the first line of its meminfo. */
static uint64_t node_memory(const char *line)
{
    const char *colon = strchr(line, ':');

    return colon ? strtoull(colon + 1, NULL, 10) << 10 : 0;
}

struct memory_nodes memory_node_list(struct arena *arena, const char *root)
{
    struct memory_nodes list = {.items = arena_array(arena, NODES_MAX, sizeof *list.items)};

    root = root ? root : "/sys";
    for (unsigned n = 0; n < NODES_MAX; n++) {
        const char *folder = arena_printf(arena, "%s/devices/system/node/node%u", root, n);
        const char *memory = line_of(arena, arena_printf(arena, "%s/meminfo", folder));
        if (!*memory)
            continue;
        struct memory_node *node = &list.items[list.count++];
        *node = (struct memory_node){.number = n, .memory = node_memory(memory)};
        read_cpus(arena, line_of(arena, arena_printf(arena, "%s/cpulist", folder)), node);
    }
    if (!list.count)
        list.count = 1;
    return list;
}

static uint32_t hex_of(struct arena *arena, const char *folder, const char *name)
{
    return (uint32_t)strtoul(line_of(arena, arena_printf(arena, "%s/%s", folder, name)), NULL, 16);
}

static void read_function(struct arena *arena, const char *folder, const char *address,
                          struct pci_function *f)
{
    char *at;

    *f = (struct pci_function){.address = arena_strdup(arena, address)};
    (void)strtoul(address, &at, 16); /* the domain */
    if (*at == ':')
        f->bus = (unsigned)strtoul(at + 1, &at, 16) & 0xff;
    if (*at == ':')
        f->slot = (unsigned)strtoul(at + 1, &at, 16) & 0x1f;
    if (*at == '.')
        f->function = (unsigned)strtoul(at + 1, &at, 16) & 7;
    f->vendor = (uint16_t)hex_of(arena, folder, "vendor");
    f->device = (uint16_t)hex_of(arena, folder, "device");
    f->subvendor = (uint16_t)hex_of(arena, folder, "subsystem_vendor");
    f->subdevice = (uint16_t)hex_of(arena, folder, "subsystem_device");
    f->class = hex_of(arena, folder, "class");
}

static int by_address(const void *a, const void *b)
{
    return strcmp(((const struct pci_function *)a)->address,
                  ((const struct pci_function *)b)->address);
}

struct pci_functions pci_function_list(struct arena *arena, const char *root)
{
    struct pci_functions list = {.items =
                                     arena_array(arena, PCI_FUNCTIONS_MAX, sizeof *list.items)};
    const char *folder = arena_printf(arena, "%s/bus/pci/devices", root ? root : "/sys");
    DIR *dir = opendir(folder);

    for (struct dirent *e; dir && list.count < PCI_FUNCTIONS_MAX && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            read_function(arena, arena_printf(arena, "%s/%s", folder, e->d_name), e->d_name,
                          &list.items[list.count++]);
    if (dir)
        (void)closedir(dir);
    qsort(list.items, list.count, sizeof *list.items, by_address);
    return list;
}

/* pci.ids(5): "vvvv  Vendor", below it "<tab>dddd  Device", below that two tabs and what is not
 * asked for; other lines end a vendor. */
static void name_line(struct arena *arena, struct pci_functions *list, const char *line,
                      long *vendor)
{
    bool is_device = line[0] == '\t';
    const char *id = line + is_device;
    char *end = NULL;

    if (id[0] == '\t' || id[0] == '#')
        return;
    long number = strspn(id, "0123456789abcdef") == 4 ? strtol(id, &end, 16) : -1;
    if (!is_device)
        *vendor = number;
    if (number < 0 || strncmp(end, "  ", 2) != 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct pci_function *f = &list->items[i];
        if (f->vendor == *vendor && !is_device)
            f->vendor_name = arena_strdup(arena, end + 2);
        else if (f->vendor == *vendor && is_device && f->device == number)
            f->device_name = arena_strdup(arena, end + 2);
    }
}

void pci_names_find(struct arena *arena, struct pci_functions *list, const char *path)
{
    FILE *ids = fopen(path ? path : "/usr/share/misc/pci.ids", "re");
    char line[512];
    long vendor = -1;

    while (ids && fgets(line, sizeof line, ids)) {
        line[strcspn(line, "\n")] = '\0';
        name_line(arena, list, line, &vendor);
    }
    if (ids)
        (void)fclose(ids);
}

/* --- disks --- */

static uint64_t number_of(struct arena *arena, const char *folder, const char *name)
{
    return strtoull(line_of(arena, arena_printf(arena, "%s/%s", folder, name)), NULL, 10);
}

/* Without the blanks that SCSI pads with. */
static const char *word_of(struct arena *arena, const char *folder, const char *name)
{
    const char *line = line_of(arena, arena_printf(arena, "%s/%s", folder, name));
    size_t len = strlen(line);

    while (len && line[len - 1] == ' ')
        len--;
    return arena_strndup(arena, line, len);
}

static void read_disk(struct arena *arena, const char *folder, struct machine_disk *d)
{
    d->vendor = word_of(arena, folder, "device/vendor");
    if (!strncmp(d->vendor, "0x", 2)) /* a PCI number, of a virtio disk */
        d->vendor = "";
    d->model = word_of(arena, folder, "device/model");
    d->serial = word_of(arena, folder, "serial");
    if (!*d->serial)
        d->serial = word_of(arena, folder, "device/serial");
    d->size = number_of(arena, folder, "size") * 512; /* always in these */
    d->block = (unsigned)number_of(arena, folder, "queue/logical_block_size");
    d->rotates = number_of(arena, folder, "queue/rotational") != 0;
    d->read_only = number_of(arena, folder, "ro") != 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct machine_disk *)a)->name, ((const struct machine_disk *)b)->name);
}

struct machine_disks machine_disk_list(struct arena *arena, const char *root)
{
    struct machine_disks list = {.items = arena_array(arena, DISKS_MAX, sizeof *list.items)};
    const char *folder = arena_printf(arena, "%s/block", root ? root : "/sys");
    DIR *dir = opendir(folder);

    for (struct dirent *e; dir && list.count < DISKS_MAX && (e = readdir(dir));) {
        const char *one = arena_printf(arena, "%s/%s", folder, e->d_name);
        struct machine_disk disk = {.name = arena_strdup(arena, e->d_name)};
        if (e->d_name[0] == '.' || access(arena_printf(arena, "%s/device", one), F_OK) < 0)
            continue;
        read_disk(arena, one, &disk);
        if (disk.size && disk.block)
            list.items[list.count++] = disk;
    }
    if (dir)
        (void)closedir(dir);
    qsort(list.items, list.count, sizeof *list.items, by_name);
    return list;
}
