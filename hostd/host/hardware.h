/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the machine that change seldom, read from Linux each time: memory nodes
 * (/sys/devices/system/node), PCI functions (/sys/bus/pci/devices), disks (/sys/block: what has a
 * device behind it, so no loops and no memory). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { NODES_MAX = 64, PCI_FUNCTIONS_MAX = 1024, NODE_CPUS_MAX = 1024, DISKS_MAX = 256 };

struct memory_node {
    unsigned number;
    uint64_t memory; /* bytes */
    unsigned *cpus, cpu_count;
};
struct memory_nodes {
    size_t count; /* at least one: a machine without the folder is one node, without CPUs told */
    struct memory_node *items;
};
/* `root`: NULL, or a folder to read instead of /sys (tests). */
struct memory_nodes memory_node_list(struct arena *arena, const char *root);

struct pci_function {
    const char *address; /* "0000:00:1f.2" */
    unsigned bus, slot, function;
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class;                        /* 24 bits */
    const char *vendor_name, *device_name; /* NULL: pci.ids(5) has none, or is not installed */
};
struct pci_functions {
    size_t count;
    struct pci_function *items; /* by address */
};
struct pci_functions pci_function_list(struct arena *arena, const char *root);
/* Looks their names up in `path`; NULL: where Debian's package pci.ids has it. */
void pci_names_find(struct arena *arena, struct pci_functions *list, const char *path);

struct machine_disk {
    const char *name;                    /* "sda", "nvme0n1" */
    const char *vendor, *model, *serial; /* "": not told */
    uint64_t size;                       /* bytes */
    unsigned block;                      /* bytes of a logical one */
    bool rotates, read_only;
};
struct machine_disks {
    size_t count;
    struct machine_disk *items; /* by name */
};
struct machine_disks machine_disk_list(struct arena *arena, const char *root);
