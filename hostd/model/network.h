/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that VMs connect to. In hosted mode there is one, "VM Network": user-mode NAT, a process
 * of its own for each VM (docs/networking-user.md). */
#pragma once

#include "hostd/model/inventory.h"

#define NETWORK_DEFAULT "VM Network"

int network_add_default(struct inventory *inventory);
void networks_destroy(struct inventory *inventory);
