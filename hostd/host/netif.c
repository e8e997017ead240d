/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/host/netif.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

static const char *attribute(struct arena *arena, const char *name, const char *what)
{
    cleanup_buf struct buf text = {0};
    char path[300];

    (void)snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, what);
    if (file_load(AT_FDCWD, path, 4096, &text, NULL) < 0)
        return "";
    char *out = arena_strdup(arena, buf_cstr(&text));
    out[strcspn(out, "\n")] = '\0';
    return out;
}

/* The last part of where a link points to, NULL if there is none. */
static const char *link_name(struct arena *arena, const char *name, const char *what)
{
    char path[300], target[300];

    (void)snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, what);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return NULL;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    return arena_strdup(arena, slash ? slash + 1 : target);
}

/* The card's place on the PCI bus, "0000:00:02.0": its device may be a function behind one of the
 * bridge's (virtio). Other devices by their own name. */
static const char *pci_of(struct arena *arena, const char *name)
{
    char path[300], target[PATH_MAX];
    const char *found = link_name(arena, name, "device");

    (void)snprintf(path, sizeof path, "/sys/class/net/%s/device", name);
    if (!found || !realpath(path, target))
        return found;
    for (char *at = target + strlen(target); at > target; at--) {
        size_t len = strcspn(at, "/");
        if (*at == '/')
            *at = '\0';
        else if (at[-1] == '/' && len == strlen("0000:00:00.0") && at[4] == ':' && at[7] == ':' &&
                 at[10] == '.')
            return arena_strdup(arena, at);
    }
    return found;
}

static void read_one(struct arena *arena, const char *name, struct netif *netif)
{
    long speed = strtol(attribute(arena, name, "speed"), NULL, 10);

    *netif = (struct netif){.name = arena_strdup(arena, name)};
    netif->mac = attribute(arena, name, "address");
    netif->pci = pci_of(arena, name);
    netif->driver = link_name(arena, name, "device/driver");
    netif->up = *attribute(arena, name, "carrier") == '1';
    netif->speed_mb = speed > 0 && speed < 10000000 ? (int)speed : 0;
    netif->full_duplex = strcmp(attribute(arena, name, "duplex"), "half") != 0;
    netif->mtu = (int)strtol(attribute(arena, name, "mtu"), NULL, 10);
}

static const char *numeric(struct arena *arena, const struct sockaddr *sa)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (sa && sa->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, text,
                        sizeof text);
    else if (sa && sa->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, text,
                        sizeof text);
    return *text ? arena_strdup(arena, text) : NULL;
}

static int prefix_of(const struct sockaddr *mask)
{
    const uint8_t *bytes = ((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr.s6_addr;
    int bits = 0;

    for (unsigned i = 0; i < 16; i++)
        bits += __builtin_popcount(bytes[i]);
    return bits;
}

static void add_address(struct arena *arena, struct netif *netif, const struct ifaddrs *a)
{
    if (a->ifa_addr->sa_family == AF_INET && !netif->address) {
        netif->address = numeric(arena, a->ifa_addr);
        netif->mask = numeric(arena, a->ifa_netmask);
    } else if (a->ifa_addr->sa_family == AF_INET6 && a->ifa_netmask &&
               netif->v6_count < sizeof netif->v6 / sizeof *netif->v6) {
        netif->v6[netif->v6_count++] =
            (struct netif6){numeric(arena, a->ifa_addr), prefix_of(a->ifa_netmask)};
    }
}

static void add_addresses(struct arena *arena, struct netifs *list)
{
    struct ifaddrs *first = NULL;

    if (getifaddrs(&first) < 0)
        return;
    for (const struct ifaddrs *a = first; a; a = a->ifa_next)
        for (size_t i = 0; a->ifa_addr && i < list->count; i++)
            if (!strcmp(list->items[i].name, a->ifa_name))
                add_address(arena, &list->items[i], a);
    freeifaddrs(first);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct netif *)a)->name, ((const struct netif *)b)->name);
}

struct netifs netif_list(struct arena *arena)
{
    struct netifs list = {.items = arena_array(arena, NETIF_MAX, sizeof *list.items)};
    DIR *dir = opendir("/sys/class/net");

    for (struct dirent *e; dir && list.count < NETIF_MAX && (e = readdir(dir));)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "lo") != 0)
            read_one(arena, e->d_name, &list.items[list.count++]);
    if (dir)
        (void)closedir(dir);
    qsort(list.items, list.count, sizeof *list.items, by_name);
    add_addresses(arena, &list);
    return list;
}

/* Lines are: Iface Destination Gateway Flags ..., numbers in hexadecimal of this machine's order.
 */
struct netif_route netif_default_route(struct arena *arena)
{
    struct netif_route route = {0};
    char line[300];
    FILE *file = fopen("/proc/net/route", "re");

    while (file && !route.gateway && fgets(line, sizeof line, file)) {
        size_t len = strcspn(line, " \t");
        char *at = line + len;
        unsigned long destination = strtoul(at, &at, 16), gateway = strtoul(at, &at, 16);
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = (in_addr_t)gateway};
        if (destination || !gateway)
            continue;
        route.gateway = numeric(arena, (const struct sockaddr *)(const void *)&sa);
        route.device = arena_strndup(arena, line, len);
    }
    if (file)
        (void)fclose(file);
    return route;
}

/* The first word behind `key` in a line of resolv.conf(5), NULL in another line. */
static const char *word_after(struct arena *arena, const char *line, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(line, key, len) || !strchr(" \t", line[len]))
        return NULL;
    line += len + strspn(line + len, " \t");
    return arena_strndup(arena, line, strcspn(line, " \t\n"));
}

struct netif_names netif_resolver(struct arena *arena)
{
    struct netif_names names = {0};
    char line[300];
    FILE *file = fopen("/etc/resolv.conf", "re");

    while (file && fgets(line, sizeof line, file)) {
        const char *server = word_after(arena, line, "nameserver");
        const char *search = word_after(arena, line, "search");
        if (server && names.servers < 8)
            names.server[names.servers++] = server;
        if (search && names.searches < 8)
            names.search[names.searches++] = search;
    }
    if (file)
        (void)fclose(file);
    return names;
}
