/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_network.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"
#include "hostd/model/network.h"

#define SWITCH     "vSwitch0"
#define SWITCH_KEY "key-vim.host.VirtualSwitch-" SWITCH
#define GROUP_KEY  "key-vim.host.PortGroup-" NETWORK_DEFAULT
enum { PORTS = 4096, MTU = 1500 };

/* --- cards --- */

struct host_nics host_network_nics(struct arena *arena)
{
    VIM_LIST(const char *) list = {0};
    DIR *dir = opendir("/sys/class/net");
    char path[300];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        (void)snprintf(path, sizeof path, "/sys/class/net/%s/device", e->d_name);
        if (e->d_name[0] != '.' && access(path, F_OK) == 0)
            VIM_ADD(arena, &list, (const char *)arena_strdup(arena, e->d_name));
    }
    if (dir)
        (void)closedir(dir);
    return (struct host_nics){list.count, list.items};
}

static const char *attribute(struct arena *arena, const char *nic, const char *name)
{
    cleanup_buf struct buf text = {0};
    char path[300];

    (void)snprintf(path, sizeof path, "/sys/class/net/%s/%s", nic, name);
    if (file_load(AT_FDCWD, path, 4096, &text, NULL) < 0)
        return "";
    char *out = arena_strdup(arena, buf_cstr(&text));
    out[strcspn(out, "\n")] = '\0';
    return out;
}

static const char *link_name(struct arena *arena, const char *nic, const char *name)
{
    char path[300], target[300];

    (void)snprintf(path, sizeof path, "/sys/class/net/%s/device%s", nic, name);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(target, '/');
    return arena_strdup(arena, slash ? slash + 1 : "");
}

static void add_nics(struct arena *arena, struct vim_HostNetworkInfo *info)
{
    struct host_nics nics = host_network_nics(arena);

    for (size_t i = 0; i < nics.count; i++) {
        struct vim_PhysicalNic *nic = VIM_NEW(arena, PhysicalNic);
        long speed = strtol(attribute(arena, nics.items[i], "speed"), NULL, 10);
        nic->key = arena_printf(arena, "key-vim.host.PhysicalNic-%s", nics.items[i]);
        nic->device = nics.items[i];
        nic->pci = link_name(arena, nics.items[i], "");
        nic->driver = link_name(arena, nics.items[i], "/driver");
        nic->mac = attribute(arena, nics.items[i], "address");
        nic->spec = VIM_NEW(arena, PhysicalNicSpec);
        nic->spec->ip = VIM_NEW(arena, HostIpConfig); /* it belongs to a switch: no address */
        if (speed > 0) {
            nic->linkSpeed = VIM_NEW(arena, PhysicalNicLinkInfo);
            nic->linkSpeed->speedMb = (int32_t)speed;
            nic->linkSpeed->duplex = strcmp(attribute(arena, nics.items[i], "duplex"), "half") != 0;
        }
        VIM_ADD(arena, &info->pnic, nic);
    }
    if (!info->pnic.items)
        VIM_EMPTY(&info->pnic);
}

/* --- switch and port group --- */

static struct vim_HostNetworkPolicy *policy(struct arena *arena)
{
    struct vim_HostNetworkPolicy *p = VIM_NEW(arena, HostNetworkPolicy);

    p->security = VIM_NEW(arena, HostNetworkSecurityPolicy);
    p->security->allowPromiscuous = vim_bool(false);
    p->security->macChanges = vim_bool(false);
    p->security->forgedTransmits = vim_bool(false);
    p->shapingPolicy = VIM_NEW(arena, HostNetworkTrafficShapingPolicy);
    p->shapingPolicy->enabled = vim_bool(false);
    return p;
}

static void add_switch(struct arena *arena, struct vim_HostNetworkInfo *info)
{
    struct vim_HostVirtualSwitch *s = VIM_NEW(arena, HostVirtualSwitch);

    s->name = SWITCH;
    s->key = SWITCH_KEY;
    s->numPorts = s->numPortsAvailable = PORTS;
    s->mtu = vim_int(MTU);
    VIM_ADD(arena, &s->portgroup, GROUP_KEY);
    s->spec = VIM_NEW(arena, HostVirtualSwitchSpec);
    s->spec->numPorts = PORTS;
    s->spec->mtu = vim_int(MTU);
    s->spec->policy = policy(arena);
    VIM_ADD(arena, &info->vswitch, s);
}

static void add_port_group(struct arena *arena, struct vim_HostNetworkInfo *info)
{
    struct vim_HostPortGroup *g = VIM_NEW(arena, HostPortGroup);

    g->key = GROUP_KEY;
    g->vswitch = SWITCH_KEY;
    g->computedPolicy = policy(arena);
    g->spec = VIM_NEW(arena, HostPortGroupSpec);
    g->spec->name = NETWORK_DEFAULT;
    g->spec->vswitchName = SWITCH;
    g->spec->policy = VIM_NEW(arena, HostNetworkPolicy);
    VIM_ADD(arena, &info->portgroup, g);
}

/* --- names --- */

/* The first word behind `key` in a line of resolv.conf(5), NULL in another line. */
static const char *word_after(struct arena *arena, const char *line, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(line, key, len) || !strchr(" \t", line[len]))
        return NULL;
    line += len + strspn(line + len, " \t");
    return arena_strndup(arena, line, strcspn(line, " \t\n"));
}

static struct vim_HostDnsConfig *dns(struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;
    struct vim_HostDnsConfig *d = VIM_NEW(call->arena, HostDnsConfig);
    char line[300];
    FILE *file = fopen("/etc/resolv.conf", "re");

    d->hostName = machine->host_name;
    d->domainName = machine->domain_name;
    while (file && fgets(line, sizeof line, file)) {
        const char *server = word_after(call->arena, line, "nameserver");
        const char *domain = word_after(call->arena, line, "search");
        if (server)
            VIM_ADD(call->arena, &d->address, server);
        if (domain)
            VIM_ADD(call->arena, &d->searchDomain, domain);
    }
    if (file)
        (void)fclose(file);
    return d;
}

struct vim_HostNetworkInfo *host_network_info(struct call *call)
{
    struct vim_HostNetworkInfo *info = VIM_NEW(call->arena, HostNetworkInfo);

    add_switch(call->arena, info);
    add_port_group(call->arena, info);
    add_nics(call->arena, info);
    VIM_EMPTY(&info->vnic);
    info->dnsConfig = dns(call);
    info->ipRouteConfig = VIM_NEW(call->arena, HostIpRouteConfig);
    info->ipV6Enabled = info->atBootIpV6Enabled = vim_bool(false);
    return info;
}

/* --- the managed object --- */

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(host_network_info(call));
}

static struct vim_any get_dns(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(dns(call));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostNetworkSystem, networkInfo, get_info),
    MO_PROPERTY(HostNetworkSystem, dnsConfig, get_dns),
};
const struct mo_class host_network_system_class = {
    .type = VIM_MANAGED(HostNetworkSystem),
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
};
