/* SPDX-License-Identifier: Apache-2.0 */
/* HostNetworkSystem: switches, port groups, cards, names.
 *
 * Switches and port groups are what somebody made here (model/host_config.h; at first vSwitch0 with
 * "VM Network"), with their policies. In hosted mode a VM's card on any port group is user-mode
 * NAT: a switch has no uplink, and policies are kept and told but nothing applies them. The
 * capabilities say so. Cards, addresses, routes and name servers are the machine's, read from
 * Linux.
 *
 *   host_network.c       the methods
 *   host_network_info.c  networkInfo, networkConfig and what else is read */
#pragma once

#include "hostd/api/vim.h"

struct call;
struct hostd;
struct vim_HostNetworkInfo;
struct vim_HostNetworkConfig;

struct vim_HostNetworkInfo *host_network_info(struct call *call);

/* What is set, or the default: lists of switches and port groups that are there, in order. */
const struct vim_HostNetworkConfig *host_network_config(const struct hostd *hostd,
                                                        struct arena *arena);

/* The interfaces with an address as vmk0 ... of the API: list of HostVirtualNic. */
struct vim_list host_network_vnics(struct arena *arena);

/* Makes the Network objects those of the port groups. */
int host_network_sync(struct hostd *hostd);

enum { HOST_NETWORK_PORTS = 4096, HOST_NETWORK_MTU = 1500 };
