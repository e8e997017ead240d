/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of a VM that has a name on the host, opened by the parent and handed to the VM's
 * processes as descriptors: disks, kernel, initrd, firmware, its variables, the console's end,
 * network. The VM's processes open nothing by themselves but /dev/kvm. */
#pragma once

#include "base/err.h"
#include "config/vmcfg.h"
#include "vm/process/handover.h"
#include "vm/process/spawn.h"

struct resources {
    struct handover handover; /* until it is handed over */
    char *socket_path[2];     /* of serial ports that listen: removed at the end */
};

/* Fills in both processes' descriptors. `stdio_fd` as for vm_start. */
int resources_open(const struct vmcfg *cfg, int stdio_fd, struct resources *res,
                   struct spawn_fds *vmm, struct spawn_fds *vmx, struct err *err);
/* To vmx, which runs: what is not handed over by inheritance. */
int resources_hand_over(struct resources *res, int vmx_control, struct err *err);
/* One card's network: `nic` is empty, and the caller's in every case. */
int resources_open_nic(const struct vmcfg_nic *cfg, struct handover_nic *nic, struct err *err);
void resources_close(struct resources *res);
