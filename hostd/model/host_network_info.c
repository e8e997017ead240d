/* SPDX-License-Identifier: Apache-2.0 */
/* What HostNetworkSystem tells: see host_network.h. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/host/netif.h"
#include "hostd/hostd.h"
#include "hostd/model/host_network.h"
#include "hostd/model/inventory.h"
#include "hostd/model/network.h"

#define SWITCH_DEFAULT "vSwitch0"

/* --- cards and addresses --- */

static struct vim_HostIpConfig *ip_config(struct arena *arena, const struct netif *netif)
{
    struct vim_HostIpConfig *ip = VIM_NEW(arena, HostIpConfig);

    ip->dhcp = false;
    ip->ipAddress = netif->address;
    ip->subnetMask = netif->mask;
    if (!netif->v6_count)
        return ip;
    ip->ipV6Config = VIM_NEW(arena, HostIpConfigIpV6AddressConfiguration);
    for (unsigned i = 0; i < netif->v6_count; i++) {
        struct vim_HostIpConfigIpV6Address *a = VIM_NEW(arena, HostIpConfigIpV6Address);
        a->ipAddress = netif->v6[i].address;
        a->prefixLength = netif->v6[i].prefix;
        VIM_ADD(arena, &ip->ipV6Config->ipV6Address, a);
    }
    return ip;
}

static struct vim_PhysicalNicLinkInfo *link_info(struct arena *arena, const struct netif *netif)
{
    if (!netif->up)
        return NULL; /* whether it is there is whether there is a link */
    struct vim_PhysicalNicLinkInfo *link = VIM_NEW(arena, PhysicalNicLinkInfo);
    link->speedMb = netif->speed_mb;
    link->duplex = netif->full_duplex;
    return link;
}

static void add_nics(struct arena *arena, struct vim_HostNetworkInfo *info)
{
    struct netifs netifs = netif_list(arena);

    VIM_EMPTY(&info->pnic);
    for (size_t i = 0; i < netifs.count; i++) {
        const struct netif *netif = &netifs.items[i];
        if (!netif->pci)
            continue;
        struct vim_PhysicalNic *nic = VIM_NEW(arena, PhysicalNic);
        nic->key = arena_printf(arena, "key-vim.host.PhysicalNic-%s", netif->name);
        nic->device = netif->name;
        nic->pci = netif->pci;
        nic->driver = netif->driver;
        nic->mac = netif->mac;
        nic->spec = VIM_NEW(arena, PhysicalNicSpec);
        nic->spec->ip = ip_config(arena, netif);
        nic->spec->linkSpeed = link_info(arena, netif);
        nic->linkSpeed = link_info(arena, netif);
        VIM_ADD(arena, &info->pnic, nic);
    }
}

struct vim_list host_network_vnics(struct arena *arena)
{
    VIM_LIST(struct vim_HostVirtualNic *) list;
    struct netifs netifs = netif_list(arena);

    VIM_EMPTY(&list);
    list.count = 0;
    for (size_t i = 0; i < netifs.count; i++) {
        const struct netif *netif = &netifs.items[i];
        if (!netif->address)
            continue;
        struct vim_HostVirtualNic *nic = VIM_NEW(arena, HostVirtualNic);
        nic->device = arena_printf(arena, "vmk%zu", list.count);
        nic->key = arena_printf(arena, "key-vim.host.VirtualNic-%s", nic->device);
        nic->portgroup = ""; /* it is Linux's, not on one of our switches */
        nic->spec = VIM_NEW(arena, HostVirtualNicSpec);
        nic->spec->ip = ip_config(arena, netif);
        nic->spec->mac = netif->mac;
        nic->spec->mtu = vim_int(netif->mtu);
        nic->spec->netStackInstanceKey = "defaultTcpipStack";
        VIM_ADD(arena, &list, nic);
    }
    return (struct vim_list){list.count, list.items};
}

/* --- names and routes --- */

static struct vim_HostDnsConfig *dns(struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;
    struct vim_HostDnsConfig *d = VIM_NEW(call->arena, HostDnsConfig);
    struct netif_names names = netif_resolver(call->arena);

    d->hostName = machine->host_name;
    d->domainName = machine->domain_name;
    for (unsigned i = 0; i < names.servers; i++)
        VIM_ADD(call->arena, &d->address, names.server[i]);
    for (unsigned i = 0; i < names.searches; i++)
        VIM_ADD(call->arena, &d->searchDomain, names.search[i]);
    return d;
}

static struct vim_HostIpRouteConfig *routes(struct arena *arena)
{
    struct vim_HostIpRouteConfig *r = VIM_NEW(arena, HostIpRouteConfig);
    struct netif_route route = netif_default_route(arena);

    r->defaultGateway = route.gateway;
    r->gatewayDevice = route.device;
    return r;
}

/* --- switches and port groups --- */

static struct vim_HostNetworkPolicy *default_policy(struct arena *arena)
{
    struct vim_HostNetworkPolicy *p = VIM_NEW(arena, HostNetworkPolicy);

    p->security = VIM_NEW(arena, HostNetworkSecurityPolicy);
    p->security->allowPromiscuous = vim_bool(false);
    p->security->macChanges = vim_bool(false);
    p->security->forgedTransmits = vim_bool(false);
    p->nicTeaming = VIM_NEW(arena, HostNicTeamingPolicy);
    p->nicTeaming->policy = "loadbalance_srcid";
    p->nicTeaming->reversePolicy = vim_bool(true);
    p->nicTeaming->notifySwitches = vim_bool(true);
    p->nicTeaming->rollingOrder = vim_bool(false);
    p->nicTeaming->failureCriteria = VIM_NEW(arena, HostNicFailureCriteria);
    p->nicTeaming->failureCriteria->checkBeacon = vim_bool(false);
    p->nicTeaming->nicOrder = VIM_NEW(arena, HostNicOrderPolicy);
    VIM_EMPTY(&p->nicTeaming->nicOrder->activeNic);
    VIM_EMPTY(&p->nicTeaming->nicOrder->standbyNic);
    p->offloadPolicy = VIM_NEW(arena, HostNetOffloadCapabilities);
    p->offloadPolicy->csumOffload = vim_bool(true);
    p->offloadPolicy->tcpSegmentation = vim_bool(true);
    p->offloadPolicy->zeroCopyXmit = vim_bool(true);
    p->shapingPolicy = VIM_NEW(arena, HostNetworkTrafficShapingPolicy);
    p->shapingPolicy->enabled = vim_bool(false);
    return p;
}

/* `over` where it is set, `under` elsewhere, member by member and down into objects of members. */
static struct vim_data *overlay(struct arena *arena, struct vim_data *under, struct vim_data *over)
{
    const struct vim_type *chain[VIM_CHAIN_MAX];

    if (!under || !over || under->type != over->type)
        return over ? over : under;
    struct vim_data *out = vim_new(arena, over->type);
    unsigned depth = vim_chain(over->type, chain);
    for (unsigned i = 0; i < depth; i++)
        for (unsigned j = 0; j < chain[i]->prop_count; j++) {
            const struct vim_property *prop = &chain[i]->props[j];
            struct vim_any value = vim_get(over, prop), below = vim_get(under, prop);
            if (value.shape.kind == VIM_NONE)
                value = below;
            else if (value.shape.kind == VIM_DATA && !value.shape.list &&
                     below.shape.kind == VIM_DATA)
                value.data = overlay(arena, below.data, value.data);
            (void)vim_put(out, prop, &value);
        }
    return out;
}

static struct vim_HostNetworkPolicy *effective(struct arena *arena,
                                               struct vim_HostNetworkPolicy *under,
                                               struct vim_HostNetworkPolicy *over)
{
    return (struct vim_HostNetworkPolicy *)(void *)overlay(arena, under ? &under->self : NULL,
                                                           over ? &over->self : NULL);
}

static struct vim_HostNetworkConfig *default_config(struct arena *arena)
{
    struct vim_HostNetworkConfig *c = VIM_NEW(arena, HostNetworkConfig);
    struct vim_HostVirtualSwitchConfig *s = VIM_NEW(arena, HostVirtualSwitchConfig);
    struct vim_HostPortGroupConfig *g = VIM_NEW(arena, HostPortGroupConfig);

    s->name = SWITCH_DEFAULT;
    s->spec = VIM_NEW(arena, HostVirtualSwitchSpec);
    s->spec->numPorts = HOST_NETWORK_PORTS;
    s->spec->mtu = vim_int(HOST_NETWORK_MTU);
    VIM_ADD(arena, &c->vswitch, s);
    g->spec = VIM_NEW(arena, HostPortGroupSpec);
    g->spec->name = NETWORK_DEFAULT;
    g->spec->vswitchName = SWITCH_DEFAULT;
    g->spec->policy = VIM_NEW(arena, HostNetworkPolicy);
    VIM_ADD(arena, &c->portgroup, g);
    return c;
}

const struct vim_HostNetworkConfig *host_network_config(const struct hostd *hostd,
                                                        struct arena *arena)
{
    const struct vim_HostNetworkConfig *config = hostd->config.spec->network;

    return config ? config : default_config(arena);
}

static const char *switch_key(struct arena *arena, const char *name)
{
    return arena_printf(arena, "key-vim.host.VirtualSwitch-%s", name);
}

static const char *group_key(struct arena *arena, const char *name)
{
    return arena_printf(arena, "key-vim.host.PortGroup-%s", name);
}

static struct vim_HostVirtualSwitch *switch_info(struct arena *arena,
                                                 const struct vim_HostNetworkConfig *config,
                                                 const struct vim_HostVirtualSwitchConfig *from)
{
    struct vim_HostVirtualSwitch *s = VIM_NEW(arena, HostVirtualSwitch);

    s->name = from->name;
    s->key = switch_key(arena, from->name);
    s->numPorts = s->numPortsAvailable = from->spec->numPorts;
    s->mtu = from->spec->mtu;
    for (size_t i = 0; i < config->portgroup.count; i++)
        if (!strcmp(config->portgroup.items[i]->spec->vswitchName, from->name))
            VIM_ADD(arena, &s->portgroup, group_key(arena, config->portgroup.items[i]->spec->name));
    s->spec = arena_new(arena, struct vim_HostVirtualSwitchSpec);
    *s->spec = *from->spec;
    s->spec->policy = effective(arena, default_policy(arena), from->spec->policy);
    return s;
}

static struct vim_HostPortGroup *group_info(struct arena *arena,
                                            const struct vim_HostNetworkInfo *info,
                                            const struct vim_HostPortGroupConfig *from)
{
    struct vim_HostPortGroup *g = VIM_NEW(arena, HostPortGroup);
    struct vim_HostNetworkPolicy *under = default_policy(arena);

    for (size_t i = 0; i < info->vswitch.count; i++)
        if (!strcmp(info->vswitch.items[i]->name, from->spec->vswitchName))
            under = info->vswitch.items[i]->spec->policy;
    g->key = group_key(arena, from->spec->name);
    g->vswitch = switch_key(arena, from->spec->vswitchName);
    g->spec = from->spec;
    g->computedPolicy = effective(arena, under, from->spec->policy);
    return g;
}

struct vim_HostNetworkInfo *host_network_info(struct call *call)
{
    struct vim_HostNetworkInfo *info = VIM_NEW(call->arena, HostNetworkInfo);
    const struct vim_HostNetworkConfig *config = host_network_config(hostd_of(call), call->arena);
    struct vim_HostNetStackInstance *stack = VIM_NEW(call->arena, HostNetStackInstance);
    struct vim_list vnics = host_network_vnics(call->arena);

    VIM_EMPTY(&info->vswitch);
    VIM_EMPTY(&info->portgroup);
    for (size_t i = 0; i < config->vswitch.count; i++)
        VIM_ADD(call->arena, &info->vswitch,
                switch_info(call->arena, config, config->vswitch.items[i]));
    for (size_t i = 0; i < config->portgroup.count; i++)
        VIM_ADD(call->arena, &info->portgroup,
                group_info(call->arena, info, config->portgroup.items[i]));
    add_nics(call->arena, info);
    info->vnic.count = vnics.count;
    info->vnic.items = vnics.items;
    info->dnsConfig = dns(call);
    info->ipRouteConfig = routes(call->arena);
    info->ipV6Enabled = info->atBootIpV6Enabled = vim_bool(true);
    stack->key = stack->name = "defaultTcpipStack";
    stack->dnsConfig = info->dnsConfig;
    stack->ipRouteConfig = info->ipRouteConfig;
    VIM_ADD(call->arena, &info->netStackInstance, stack);
    return info;
}
