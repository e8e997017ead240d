/* SPDX-License-Identifier: Apache-2.0 */
/* HostNetworkSystem: switches, port groups, cards, names. In hosted mode there is one switch
 * without an uplink, vSwitch0, and one port group, the user-mode network; both are what they are.
 */
#pragma once

#include "hostd/api/vim.h"

struct call;
struct vim_HostNetworkInfo;

struct vim_HostNetworkInfo *host_network_info(struct call *call);

/* Names of the machine's Ethernet cards. */
struct host_nics {
    size_t count;
    const char **items;
};
struct host_nics host_network_nics(struct arena *arena);
