/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM has done so far, for whoever watches it (hostd's statistics): one page of counters that
 * `vmx` writes and anybody with the descriptor reads at no cost to the VM. The parent makes it, a
 * sealed memfd, and hands it out (vm_usage, KEEPER_USAGE).
 *
 * Counters only grow, but the page belongs to a process that the guest may have taken over: a
 * reader believes nothing of it that would hurt him. A card whose frames the kernel carries (vhost)
 * counts nothing here. */
#pragma once

#include "base/err.h"
#include "config/vmcfg.h"
#include "disk/disk.h"
#include "vm/backend/nic.h"

enum { USAGE_NAME_MAX = 16 };

struct usage {
    struct disk_usage disk[VMCFG_DISK_PLACES]; /* by place (vmcfg_disk_place) */
    struct nic_stats nic[VMCFG_NIC_PLACES];
    /* Written by the parent: "scsi0:0"; "4000", the card's key. "": there is none. */
    char disk_name[VMCFG_DISK_PLACES][USAGE_NAME_MAX], nic_name[VMCFG_NIC_PLACES][USAGE_NAME_MAX];
};

int usage_create(const struct vmcfg *cfg, int *ret_fd, struct err *err);
/* The names again: disks and cards have come and gone. */
int usage_rename(int fd, const struct vmcfg *cfg);
/* fd stays the caller's. Refuses what is not such a page: -EINVAL. */
int usage_map(int fd, bool writable, struct usage **ret_usage);
void usage_unmap(const struct usage *usage); /* accepts NULL */
