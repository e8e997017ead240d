/* SPDX-License-Identifier: Apache-2.0 */
/* What `vmx` gets by message, because there may be any number of it: the files of the VM's disks,
 * which the parent opens and locks by name (disk/given.h), and the queues of its network cards.
 *
 * On vmx's control socket, right after its start: DISK_FILE for each file, NIC for each card, with
 * the place of the disk or card; END_OF_FILES. */
#pragma once

#include "config/vmcfg.h"
#include "disk/given.h"
#include "vm/process/link.h"

/* A card's descriptors: its queues, then /dev/vhost-net for each of them, or none. Owned; -1: taken
 * or not there. */
struct handover_nic {
    int fd[2 * VMCFG_NIC_QUEUES_MAX];
    unsigned count;
};

struct handover {
    /* By place (vmcfg_disk_place). */
    struct disk_given disk[VMCFG_DISK_PLACES];
    struct handover_nic nic[VMCFG_NIC_PLACES];
};

void handover_init(struct handover *handover);
void handover_free(struct handover *handover); /* closes what nobody has taken */

/* How both sides open a disk. */
struct disk_options handover_disk_options(const struct vmcfg_disk *disk);
/* The parent: all disks that the configuration names. */
int handover_open_disks(struct handover *handover, const struct vmcfg *cfg, struct err *err);
/* Takes the descriptor, also on failure: -EMFILE. */
int handover_add_nic_fd(struct handover_nic *nic, int fd);

int handover_send(const struct handover *handover, int socket, struct err *err);
int handover_send_nic(const struct handover_nic *nic, unsigned place, int socket);
int handover_receive(struct handover *handover, int socket, struct err *err);
/* Takes over what came with one of these messages, or closes it: -EBADMSG. */
int handover_take(struct handover *handover, struct link_message *message, int *fds,
                  unsigned count);
/* One disk that is opened anew while the VM runs, and its files alone. */
int handover_open_disk(struct disk_given *given, const struct vmcfg_disk *disk, struct err *err);
int handover_send_disk(const struct disk_given *given, unsigned place, int socket);
void handover_nic_free(struct handover_nic *nic); /* closes what it has */
