/* SPDX-License-Identifier: Apache-2.0 */
/* HostFirewallSystem. In hosted mode the machine's own firewall is not ours; what hostd itself
 * serves is. So there is one rule set, vSphereClient, always enabled, and the addresses that it
 * allows are kept to by hostd: a request that came from another one is refused before it is looked
 * at. */
#pragma once

#include <stdbool.h>

struct hostd;

/* May a client at this address (as text; HTTP_PEER_LOCAL: the local socket) talk to us? The machine
 * itself always may, so that nobody locks himself out for good. */
bool firewall_allows(const struct hostd *hostd, const char *peer);
