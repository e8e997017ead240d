/* SPDX-License-Identifier: Apache-2.0 */
/* network. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/esxcli/esxcli.h"
#include "hostd/host/netif.h"
#include "hostd/model/host_network.h"
#include "hostd/model/virtual_machine.h"

enum { CONNECTIONS_MAX = 2000 };

static void firewall_get(struct cli *cli)
{
    const struct vim_HostFirewallInfo *info =
        CLI_GET(cli, "firewallSystem", HostFirewallSystem, firewallInfo, HostFirewallInfo);

    cli_begin(cli);
    cli_string(cli, "DefaultAction", info->defaultPolicy->incomingBlocked.v ? "DROP" : "PASS");
    cli_bool(cli, "Enabled", info->ruleset.count > 0);
    cli_bool(cli, "Loaded", info->ruleset.count > 0);
    cli_end(cli);
}

static void ruleset_list(struct cli *cli)
{
    const struct vim_HostFirewallInfo *info =
        CLI_GET(cli, "firewallSystem", HostFirewallSystem, firewallInfo, HostFirewallInfo);

    for (size_t i = 0; i < info->ruleset.count; i++) {
        cli_begin(cli);
        cli_bool(cli, "Enabled", info->ruleset.items[i]->enabled);
        cli_string(cli, "Name", info->ruleset.items[i]->key);
        cli_end(cli);
    }
}

/* --- connections: /proc/net/tcp and its like, proc(5) --- */

static const char *state_name(unsigned long state)
{
    static const char *const names[] = {"",           "ESTABLISHED", "SYN_SENT",  "SYN_RCVD",
                                        "FIN_WAIT_1", "FIN_WAIT_2",  "TIME_WAIT", "CLOSED",
                                        "CLOSE_WAIT", "LAST_ACK",    "LISTEN",    "CLOSING"};

    return state < ARRAY_SIZE(names) ? names[state] : "";
}

/* "0100007F:1F90": words of this machine's order, a port in hexadecimal. */
static const char *address_of(char text[80], char **at, bool v6)
{
    char host[INET6_ADDRSTRLEN] = "";
    uint32_t words[4] = {0};

    for (unsigned i = 0; i < (v6 ? 4u : 1u); i++) {
        char word[9] = "";
        (void)snprintf(word, sizeof word, "%.8s", *at);
        words[i] = (uint32_t)strtoul(word, NULL, 16);
        *at += strlen(word);
    }
    unsigned long port = **at == ':' ? strtoul(*at + 1, at, 16) : 0;
    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, words, host, sizeof host);
    (void)snprintf(text, 80, "%s:%lu", host, port);
    return text;
}

static void put_connections(struct cli *cli, const char *path, const char *proto, bool v6)
{
    char line[400], local[80], remote[80];
    FILE *file = fopen(path, "re");
    unsigned rows = 0;

    if (!file || !fgets(line, sizeof line, file)) /* the heading */
        rows = CONNECTIONS_MAX;
    while (rows < CONNECTIONS_MAX && fgets(line, sizeof line, file)) {
        char *at = strchr(line, ':');
        if (!at)
            continue;
        at += 1 + strspn(at + 1, " ");
        (void)address_of(local, &at, v6);
        at += strspn(at, " ");
        (void)address_of(remote, &at, v6);
        unsigned long state = strtoul(at, &at, 16), out = strtoul(at, &at, 16);
        unsigned long in = *at == ':' ? strtoul(at + 1, &at, 16) : 0;
        rows++;
        cli_begin(cli);
        cli_string(cli, "ForeignAddress", remote);
        cli_string(cli, "LocalAddress", local);
        cli_string(cli, "Proto", proto);
        cli_long(cli, "RecvQ", (int64_t)in);
        cli_long(cli, "SendQ", (int64_t)out);
        cli_string(cli, "State", *proto == 't' ? state_name(state) : "");
        cli_end(cli);
    }
    if (file)
        (void)fclose(file);
}

static void connection_list(struct cli *cli)
{
    put_connections(cli, "/proc/net/tcp", "tcp", false);
    put_connections(cli, "/proc/net/tcp6", "tcp6", true);
    put_connections(cli, "/proc/net/udp", "udp", false);
    put_connections(cli, "/proc/net/udp6", "udp6", true);
}

/* --- cards --- */

static const struct vim_HostNetworkInfo *network_info(struct cli *cli)
{
    return CLI_GET(cli, "networkSystem", HostNetworkSystem, networkInfo, HostNetworkInfo);
}

static void nic_list(struct cli *cli)
{
    const struct vim_HostNetworkInfo *info = network_info(cli);

    for (size_t i = 0; i < info->pnic.count; i++) {
        const struct vim_PhysicalNic *nic = info->pnic.items[i];
        const struct vim_PhysicalNicLinkInfo *link = nic->linkSpeed;
        cli_begin(cli);
        cli_string(cli, "Driver", nic->driver);
        cli_string(cli, "Duplex", link && link->duplex ? "Full" : "Half");
        cli_string(cli, "Link", link ? "Up" : "Down");
        cli_string(cli, "MACAddress", nic->mac);
        cli_string(cli, "Name", nic->device);
        cli_string(cli, "PCIDevice", nic->pci);
        cli_long(cli, "Speed", link ? link->speedMb : 0);
        cli_end(cli);
    }
}

static int ring_of(const char *name, struct ethtool_ringparam *ret_ring)
{
    struct ifreq request = {0};
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(name) >= sizeof request.ifr_name)
        return fd < 0 ? -errno : -ENODEV;
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    *ret_ring = (struct ethtool_ringparam){.cmd = ETHTOOL_GRINGPARAM};
    request.ifr_data = (void *)ret_ring;
    return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static void put_ring(struct cli *cli, bool preset)
{
    const char *name = cli_argument(cli, "nicname");
    const struct vim_HostNetworkInfo *info = network_info(cli);
    struct ethtool_ringparam r;
    int rc = -ENODEV;

    for (size_t i = 0; i < info->pnic.count; i++)
        if (!strcmp(info->pnic.items[i]->device, name))
            rc = ring_of(name, &r);
    if (rc < 0) {
        cli_fail(cli, "%s: %s", name, rc == -ENODEV ? "there is no such card" : strerror(-rc));
        return;
    }
    cli_begin(cli);
    cli_long(cli, "RX", preset ? r.rx_max_pending : r.rx_pending);
    cli_long(cli, "RXJumbo", preset ? r.rx_jumbo_max_pending : r.rx_jumbo_pending);
    cli_long(cli, "RXMini", preset ? r.rx_mini_max_pending : r.rx_mini_pending);
    cli_long(cli, "TX", preset ? r.tx_max_pending : r.tx_pending);
    cli_end(cli);
}

static void ring_current(struct cli *cli)
{
    put_ring(cli, false);
}

static void ring_preset(struct cli *cli)
{
    put_ring(cli, true);
}

static void interface_list(struct cli *cli)
{
    struct vim_list nics = host_network_vnics(cli->call->arena);

    for (size_t i = 0; i < nics.count; i++) {
        const struct vim_HostVirtualNic *nic = ((struct vim_HostVirtualNic **)nics.items)[i];
        cli_begin(cli);
        cli_bool(cli, "Enabled", true);
        cli_string(cli, "IPv4Address", nic->spec->ip->ipAddress);
        cli_string(cli, "IPv4Netmask", nic->spec->ip->subnetMask);
        cli_string(cli, "MACAddress", nic->spec->mac);
        cli_long(cli, "MTU", nic->spec->mtu.v);
        cli_string(cli, "Name", nic->device);
        cli_string(cli, "NetstackInstance", nic->spec->netStackInstanceKey);
        cli_end(cli);
    }
}

static void dns_list(struct cli *cli)
{
    struct netif_names names = netif_resolver(cli->call->arena);

    cli_begin(cli);
    for (unsigned i = 0; i < names.servers; i++)
        cli_string(cli, "DNSServers", names.server[i]);
    cli_end(cli);
}

/* --- switches --- */

static void switch_list(struct cli *cli)
{
    const struct vim_HostNetworkInfo *info = network_info(cli);

    for (size_t i = 0; i < info->vswitch.count; i++) {
        const struct vim_HostVirtualSwitch *s = info->vswitch.items[i];
        cli_begin(cli);
        cli_long(cli, "ConfiguredPorts", s->spec->numPorts);
        cli_long(cli, "MTU", s->mtu.v);
        cli_string(cli, "Name", s->name);
        cli_long(cli, "NumPorts", s->numPorts);
        for (size_t j = 0; j < info->portgroup.count; j++)
            if (!strcmp(info->portgroup.items[j]->spec->vswitchName, s->name))
                cli_string(cli, "Portgroups", info->portgroup.items[j]->spec->name);
        cli_end(cli);
    }
}

static unsigned running_on(struct cli *cli, const char *group)
{
    struct inventory *inventory = hostd_of(cli->call)->inventory;
    struct entity *network = inventory_find(inventory, VIM_MANAGED(Network), group), *vm = NULL;
    unsigned count = 0;

    while (network && (vm = inventory_next(inventory, VIM_MANAGED(VirtualMachine), vm)))
        count += vm_of(&vm->mo)->power != VM_OFF && entity_visible(cli->call, &vm->mo) &&
                 vm_on_network(vm_of(&vm->mo), &network->mo);
    return count;
}

static void port_group_list(struct cli *cli)
{
    const struct vim_HostNetworkInfo *info = network_info(cli);

    for (size_t i = 0; i < info->portgroup.count; i++) {
        const struct vim_HostPortGroupSpec *g = info->portgroup.items[i]->spec;
        cli_begin(cli);
        cli_long(cli, "ActiveClients", running_on(cli, g->name));
        cli_string(cli, "Name", g->name);
        cli_long(cli, "VLANID", g->vlanId);
        cli_string(cli, "VirtualSwitch", g->vswitchName);
        cli_end(cli);
    }
}

static void put_networks(struct cli *cli, struct virtual_machine *vm)
{
    struct inventory *inventory = hostd_of(cli->call)->inventory;

    for (struct entity *n = NULL; (n = inventory_next(inventory, VIM_MANAGED(Network), n));)
        if (vm_on_network(vm, &n->mo))
            cli_string(cli, "Networks", n->name);
}

static void vm_list(struct cli *cli)
{
    struct inventory *inventory = hostd_of(cli->call)->inventory;

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        if (vm_of(&e->mo)->power == VM_OFF || !entity_visible(cli->call, &e->mo))
            continue;
        cli_begin(cli);
        cli_string(cli, "Name", e->name);
        put_networks(cli, vm_of(&e->mo));
        cli_long(cli, "NumPorts", vm_count_devices(vm_of(&e->mo), "ethernet"));
        cli_string(cli, "WorldID", e->id);
        cli_end(cli);
    }
}

#define RING "RX:long RXJumbo:long RXMini:long TX:long"

static const struct cli_command commands[] = {
    {"network.firewall",
     "get",
     "Get the firewall status",
     CLI_ROW,
     "Firewall",
     "DefaultAction:string Enabled:boolean Loaded:boolean",
     {{0}},
     firewall_get},
    {"network.firewall.ruleset",
     "list",
     "List the rule sets",
     CLI_ROWS,
     "Ruleset",
     "Enabled:boolean Name:string",
     {{0}},
     ruleset_list},
    {"network.ip.connection",
     "list",
     "List active IP connections",
     CLI_ROWS,
     "IpConnection",
     "ForeignAddress:string LocalAddress:string Proto:string RecvQ:long SendQ:long State:string",
     {{0}},
     connection_list},
    {"network.ip.dns.server",
     "list",
     "List the name servers",
     CLI_ROW,
     "DNSServer",
     "DNSServers:string[]",
     {{0}},
     dns_list},
    {"network.ip.interface",
     "list",
     "List the host's own interfaces",
     CLI_ROWS,
     "NetworkInterface",
     "Enabled:boolean IPv4Address:string IPv4Netmask:string MACAddress:string MTU:long Name:string "
     "NetstackInstance:string",
     {{0}},
     interface_list},
    {"network.nic",
     "list",
     "List the physical cards",
     CLI_ROWS,
     "NIC",
     "Driver:string Duplex:string Link:string MACAddress:string Name:string PCIDevice:string "
     "Speed:long",
     {{0}},
     nic_list},
    {"network.nic.ring.current",
     "get",
     "Get the ring sizes of a card",
     CLI_ROW,
     "RingInfo",
     RING,
     {{"nicname", "-n", "The name of the card", true}},
     ring_current},
    {"network.nic.ring.preset",
     "get",
     "Get the largest ring sizes of a card",
     CLI_ROW,
     "RingInfo",
     RING,
     {{"nicname", "-n", "The name of the card", true}},
     ring_preset},
    {"network.vm",
     "list",
     "List networking information of running virtual machines",
     CLI_ROWS,
     "VM",
     "Name:string Networks:string[] NumPorts:long WorldID:long",
     {{0}},
     vm_list},
    {"network.vswitch.standard",
     "list",
     "List the virtual switches",
     CLI_ROWS,
     "VirtualSwitch",
     "ConfiguredPorts:long MTU:long Name:string NumPorts:long Portgroups:string[]",
     {{0}},
     switch_list},
    {"network.vswitch.standard.portgroup",
     "list",
     "List the port groups",
     CLI_ROWS,
     "PortGroup",
     "ActiveClients:long Name:string VLANID:long VirtualSwitch:string",
     {{0}},
     port_group_list},
};
const struct cli_commands esxcli_network = {commands, ARRAY_SIZE(commands)};
