/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that VMs connect to: one for each port group (model/host_network.h), of the same name.
 * In hosted mode each is user-mode NAT, a process of its own for each VM (docs/networking-user.md).
 */
#pragma once

#include "hostd/model/inventory.h"

#define NETWORK_DEFAULT "VM Network"

int network_add(struct inventory *inventory, const char *name);
void network_remove(struct entity *network);
void networks_destroy(struct inventory *inventory);

/* By name, if the call's user sees it; NULL. */
struct call;
struct entity *network_find(struct call *call, const char *name);
