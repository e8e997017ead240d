/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of the machine and what it routes by, read from Linux each time
 * (/sys/class/net, getifaddrs(3), /proc/net/route, /etc/resolv.conf). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

enum { NETIF_MAX = 128, NETIF_TEXT = 48 };

struct netif {
    const char *name, *mac;
    const char *pci, *driver; /* of a card; NULL: there is no device behind it */
    bool up;                  /* has a link */
    int speed_mb;             /* 0: not told */
    bool full_duplex;
    int mtu;
    const char *address, *mask; /* IPv4, the first; NULL: none */
    struct netif6 {
        const char *address;
        int prefix;
    } v6[8];
    unsigned v6_count;
};

struct netifs {
    size_t count;
    struct netif *items; /* by name; without the loopback */
};
struct netifs netif_list(struct arena *arena);

struct netif_route {
    const char *gateway, *device; /* NULL: no default route */
};
struct netif_route netif_default_route(struct arena *arena);

struct netif_names {
    const char *server[8], *search[8];
    unsigned servers, searches;
};
struct netif_names netif_resolver(struct arena *arena);
