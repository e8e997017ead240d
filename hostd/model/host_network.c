/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_network.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "base/utf8.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_config.h"
#include "hostd/model/network.h"
#include "hostd/model/virtual_machine.h"

enum {
    SWITCHES_MAX = 128,
    GROUPS_MAX = 512,
    SWITCH_NAME_MAX = 31,
    PORTS_MAX = 4096,
    MTU_MIN = 1280,
    MTU_MAX = 9000,
    VLAN_MAX = 4095,
};
#define PRIV "Host.Config.Network"

/* --- networks of port groups --- */

static bool has_group(const struct vim_HostNetworkConfig *config, const char *name)
{
    for (size_t i = 0; i < config->portgroup.count; i++)
        if (!strcmp(config->portgroup.items[i]->spec->name, name))
            return true;
    return false;
}

/* The file may have been edited by hand. */
static bool complete(const struct vim_HostNetworkConfig *config)
{
    bool good = true;

    for (size_t i = 0; i < config->vswitch.count; i++)
        good &= config->vswitch.items[i]->spec != NULL;
    for (size_t i = 0; i < config->portgroup.count; i++)
        good &= config->portgroup.items[i]->spec != NULL;
    return good;
}

int host_network_sync(struct hostd *hostd)
{
    struct arena cleanup_arena arena = {0};
    const struct vim_HostNetworkConfig *config = host_network_config(hostd, &arena);
    struct inventory *inventory = hostd->inventory;
    struct entity *e = NULL, *next = inventory_next(inventory, VIM_MANAGED(Network), NULL);
    int rc = complete(config) ? 0 : -EBADMSG;

    while (rc == 0 && (e = next)) {
        next = inventory_next(inventory, VIM_MANAGED(Network), e);
        if (!has_group(config, e->name))
            network_remove(e);
    }
    for (size_t i = 0; rc == 0 && i < config->portgroup.count; i++) {
        const char *name = config->portgroup.items[i]->spec->name;
        if (!inventory_find(inventory, VIM_MANAGED(Network), name))
            rc = network_add(inventory, name);
    }
    return rc;
}

/* --- one change: a copy of what is set, edited, then committed --- */

struct edit {
    struct call *call;
    struct vim_HostNetworkConfig *config; /* its lists are copies, their items are not */
};

static struct edit edit_begin(struct call *call)
{
    const struct vim_HostNetworkConfig *now = host_network_config(hostd_of(call), call->arena);
    struct vim_HostNetworkConfig *config = VIM_NEW(call->arena, HostNetworkConfig);

    for (size_t i = 0; i < now->vswitch.count; i++)
        VIM_ADD(call->arena, &config->vswitch, now->vswitch.items[i]);
    for (size_t i = 0; i < now->portgroup.count; i++)
        VIM_ADD(call->arena, &config->portgroup, now->portgroup.items[i]);
    return (struct edit){call, config};
}

static void edit_commit(const struct edit *e)
{
    struct vim_HostConfigSpec *spec = host_config_edit(e->call);
    struct hostd *hostd = hostd_of(e->call);

    spec->network = e->config;
    if (!host_config_commit(e->call, spec))
        return;
    if (host_network_sync(hostd) < 0)
        CALL_FAULT_TEXT(e->call, HostConfigFault, "out of memory");
    mo_changed(mo_find(hostd->api.registry, "networkSystem"), VIM_P_HostNetworkSystem_networkInfo);
    mo_changed(mo_find(hostd->api.registry, "networkSystem"),
               VIM_P_HostNetworkSystem_networkConfig);
    mo_changed(&hostd->inventory->host.mo, VIM_P_HostSystem_config);
}

/* False, with the call's fault set. */
static bool already_exists(const struct edit *e, const char *name)
{
    struct vim_AlreadyExists *fault = VIM_NEW(e->call->arena, AlreadyExists);

    fault->name = name;
    call_fault(e->call, &fault->self);
    return false;
}

static bool in_use(const struct edit *e, const char *type, const char *name)
{
    struct vim_ResourceInUse *fault = VIM_NEW(e->call->arena, ResourceInUse);

    fault->type = type;
    fault->name = name;
    call_fault(e->call, &fault->self);
    return false;
}

static bool not_found(const struct edit *e, const char *what, const char *name)
{
    CALL_FAULT_TEXT(e->call, NotFound, "There is no %s \"%s\".", what, name);
    return false;
}

static bool wrong(const struct edit *e, const char *argument)
{
    call_fault_argument(e->call, argument);
    return false;
}

/* --- switches --- */

static struct vim_HostVirtualSwitchConfig **find_switch(const struct edit *e, const char *name)
{
    for (size_t i = 0; i < e->config->vswitch.count; i++)
        if (!strcmp(e->config->vswitch.items[i]->name, name))
            return &e->config->vswitch.items[i];
    return NULL;
}

/* An uplink would be a bridge to a card of the machine: not ours in hosted mode. */
static bool switch_spec_good(const struct edit *e, const struct vim_HostVirtualSwitchSpec *spec)
{
    const struct vim_HostVirtualSwitchBondBridge *bond =
        VIM_AS(HostVirtualSwitchBondBridge, spec->bridge);

    if (spec->numPorts < 0 || spec->numPorts > PORTS_MAX)
        return wrong(e, "spec.numPorts");
    if (spec->mtu.set && (spec->mtu.v < MTU_MIN || spec->mtu.v > MTU_MAX))
        return wrong(e, "spec.mtu");
    if (spec->bridge && !(bond && !bond->nicDevice.count)) {
        CALL_FAULT_TEXT(e->call, HostConfigFault,
                        "In hosted mode a switch has no uplink: the cards are the machine's.");
        return false;
    }
    return true;
}

static void put_switch(const struct edit *e, struct vim_HostVirtualSwitchConfig **at,
                       const char *name, const struct vim_HostVirtualSwitchSpec *spec)
{
    struct vim_HostVirtualSwitchConfig *s = VIM_NEW(e->call->arena, HostVirtualSwitchConfig);

    s->name = name;
    s->spec = VIM_NEW(e->call->arena, HostVirtualSwitchSpec);
    if (spec)
        *s->spec = *spec;
    if (!s->spec->numPorts)
        s->spec->numPorts = HOST_NETWORK_PORTS;
    if (!s->spec->mtu.set)
        s->spec->mtu = vim_int(HOST_NETWORK_MTU);
    if (at)
        *at = s;
    else
        VIM_ADD(e->call->arena, &e->config->vswitch, s);
}

static bool add_switch(const struct edit *e, const char *name,
                       const struct vim_HostVirtualSwitchSpec *spec)
{
    if (!*name || strlen(name) > SWITCH_NAME_MAX || !utf8_valid(name) || strpbrk(name, "\n\r\t/"))
        return wrong(e, "vswitchName");
    if (find_switch(e, name))
        return already_exists(e, name);
    if (e->config->vswitch.count >= SWITCHES_MAX)
        return in_use(e, NULL, name);
    if (spec && !switch_spec_good(e, spec))
        return false;
    put_switch(e, NULL, name, spec);
    return true;
}

static bool update_switch(const struct edit *e, const char *name,
                          const struct vim_HostVirtualSwitchSpec *spec)
{
    struct vim_HostVirtualSwitchConfig **at = find_switch(e, name);

    if (!at)
        return not_found(e, "virtual switch", name);
    if (!spec)
        return wrong(e, "spec");
    if (!switch_spec_good(e, spec))
        return false;
    put_switch(e, at, name, spec);
    return true;
}

/* Is a VM that is not off connected to it? */
static bool group_busy(const struct edit *e, const char *name)
{
    struct inventory *inventory = hostd_of(e->call)->inventory;
    struct entity *network = inventory_find(inventory, VIM_MANAGED(Network), name), *vm = NULL;

    while (network && (vm = inventory_next(inventory, VIM_MANAGED(VirtualMachine), vm)))
        if (vm_of(&vm->mo)->power != VM_OFF && vm_on_network(vm_of(&vm->mo), &network->mo))
            return true;
    return false;
}

/* Its port groups go with it. */
static bool remove_switch(const struct edit *e, const char *name)
{
    struct vim_HostVirtualSwitchConfig **at = find_switch(e, name);
    size_t kept = 0;

    if (!at)
        return not_found(e, "virtual switch", name);
    for (size_t i = 0; i < e->config->portgroup.count; i++) {
        struct vim_HostPortGroupConfig *g = e->config->portgroup.items[i];
        bool its = !strcmp(g->spec->vswitchName, name);
        if (its && group_busy(e, g->spec->name))
            return in_use(e, "HostVirtualSwitch", name);
        if (!its)
            e->config->portgroup.items[kept++] = g;
    }
    e->config->portgroup.count = kept;
    for (; at + 1 < e->config->vswitch.items + e->config->vswitch.count; at++)
        *at = at[1];
    e->config->vswitch.count--;
    return true;
}

/* --- port groups --- */

static struct vim_HostPortGroupConfig **find_group(const struct edit *e, const char *name)
{
    for (size_t i = 0; i < e->config->portgroup.count; i++)
        if (!strcmp(e->config->portgroup.items[i]->spec->name, name))
            return &e->config->portgroup.items[i];
    return NULL;
}

static bool group_spec_good(const struct edit *e, const struct vim_HostPortGroupSpec *spec)
{
    if (!*spec->name || strlen(spec->name) > ENTITY_NAME_MAX || !utf8_valid(spec->name) ||
        strpbrk(spec->name, "\n\r\t"))
        return wrong(e, "portgrp.name");
    if (spec->vlanId < 0 || spec->vlanId > VLAN_MAX)
        return wrong(e, "portgrp.vlanId");
    if (!find_switch(e, spec->vswitchName))
        return not_found(e, "virtual switch", spec->vswitchName);
    return true;
}

static struct vim_HostPortGroupConfig *group_config(const struct edit *e,
                                                    struct vim_HostPortGroupSpec *spec)
{
    struct vim_HostPortGroupConfig *g = VIM_NEW(e->call->arena, HostPortGroupConfig);

    g->spec = spec;
    return g;
}

static bool add_group(const struct edit *e, struct vim_HostPortGroupSpec *spec)
{
    if (!spec)
        return wrong(e, "portgrp");
    if (!group_spec_good(e, spec))
        return false;
    if (find_group(e, spec->name))
        return already_exists(e, spec->name);
    if (e->config->portgroup.count >= GROUPS_MAX)
        return in_use(e, NULL, spec->name);
    VIM_ADD(e->call->arena, &e->config->portgroup, group_config(e, spec));
    return true;
}

static bool update_group(const struct edit *e, const char *name, struct vim_HostPortGroupSpec *spec)
{
    struct vim_HostPortGroupConfig **at = find_group(e, name);
    bool renamed = spec && strcmp(name, spec->name) != 0;

    if (!at)
        return not_found(e, "port group", name);
    if (!spec)
        return wrong(e, "portgrp");
    if (!group_spec_good(e, spec))
        return false;
    if (renamed && find_group(e, spec->name))
        return already_exists(e, spec->name);
    if (renamed && group_busy(e, name))
        return in_use(e, "HostPortGroup", name);
    *at = group_config(e, spec);
    return true;
}

static bool remove_group(const struct edit *e, const char *name)
{
    struct vim_HostPortGroupConfig **at = find_group(e, name);

    if (!at)
        return not_found(e, "port group", name);
    if (group_busy(e, name))
        return in_use(e, "HostPortGroup", name);
    for (; at + 1 < e->config->portgroup.items + e->config->portgroup.count; at++)
        *at = at[1];
    e->config->portgroup.count--;
    return true;
}

/* --- all at once --- */

static bool is(const char *operation, const char *name)
{
    return operation && !strcmp(operation, name);
}

static bool removals(const struct edit *e, const struct vim_HostNetworkConfig *wanted)
{
    bool good = true;

    for (size_t i = 0; good && i < wanted->portgroup.count; i++)
        if (is(wanted->portgroup.items[i]->changeOperation, "remove"))
            good = wanted->portgroup.items[i]->spec
                       ? remove_group(e, wanted->portgroup.items[i]->spec->name)
                       : wrong(e, "config.portgroup");
    for (size_t i = 0; good && i < wanted->vswitch.count; i++)
        if (is(wanted->vswitch.items[i]->changeOperation, "remove"))
            good = remove_switch(e, wanted->vswitch.items[i]->name);
    return good;
}

static bool changes(const struct edit *e, const struct vim_HostNetworkConfig *wanted)
{
    bool good = true;

    for (size_t i = 0; good && i < wanted->vswitch.count; i++) {
        const struct vim_HostVirtualSwitchConfig *s = wanted->vswitch.items[i];
        if (is(s->changeOperation, "add"))
            good = add_switch(e, s->name, s->spec);
        else if (is(s->changeOperation, "edit"))
            good = update_switch(e, s->name, s->spec);
    }
    for (size_t i = 0; good && i < wanted->portgroup.count; i++) {
        const struct vim_HostPortGroupConfig *g = wanted->portgroup.items[i];
        if (is(g->changeOperation, "add"))
            good = add_group(e, g->spec);
        else if (is(g->changeOperation, "edit"))
            good = g->spec ? update_group(e, g->spec->name, g->spec) : wrong(e, "config.portgroup");
    }
    return good;
}

/* --- the managed object --- */

static void add_virtual_switch(struct mo *mo, struct call *call)
{
    const struct vim_AddVirtualSwitch_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (add_switch(&e, args->vswitchName, args->spec))
        edit_commit(&e);
}

static void update_virtual_switch(struct mo *mo, struct call *call)
{
    const struct vim_UpdateVirtualSwitch_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (update_switch(&e, args->vswitchName, args->spec))
        edit_commit(&e);
}

static void remove_virtual_switch(struct mo *mo, struct call *call)
{
    const struct vim_RemoveVirtualSwitch_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (remove_switch(&e, args->vswitchName))
        edit_commit(&e);
}

static void add_port_group(struct mo *mo, struct call *call)
{
    const struct vim_AddPortGroup_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (add_group(&e, args->portgrp))
        edit_commit(&e);
}

static void update_port_group(struct mo *mo, struct call *call)
{
    const struct vim_UpdatePortGroup_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (update_group(&e, args->pgName, args->portgrp))
        edit_commit(&e);
}

static void remove_port_group(struct mo *mo, struct call *call)
{
    const struct vim_RemovePortGroup_args *args = call->args;
    struct edit e = edit_begin(call);

    (void)mo;
    if (remove_group(&e, args->pgName))
        edit_commit(&e);
}

/* Switches and port groups only: the rest is the machine's. All or nothing. */
static void update_network_config(struct mo *mo, struct call *call)
{
    const struct vim_UpdateNetworkConfig_args *args = call->args;
    const struct vim_HostNetworkConfig *wanted = args->config;
    struct edit e = edit_begin(call);

    if (call_authorize(call, mo, PRIV))
        return;
    if (strcmp(args->changeMode, "modify") != 0) {
        call_fault_argument(call, "changeMode");
        return;
    }
    if (wanted->vnic.count || wanted->consoleVnic.count || wanted->proxySwitch.count ||
        wanted->pnic.count || wanted->dnsConfig || wanted->ipRouteConfig ||
        wanted->netStackSpec.count || wanted->ipV6Enabled.set) {
        host_config_refuse(call, "The network, but for switches and port groups,");
        return;
    }
    if (!removals(&e, wanted) || !changes(&e, wanted))
        return;
    edit_commit(&e);
    if (!call->fault)
        call_return(call, vim_any_data(VIM_NEW(call->arena, HostNetworkConfigResult)));
}

/* Interfaces of the host's own, addresses, routes, name servers, speeds of cards. */
static void refuse(struct mo *mo, struct call *call)
{
    if (!call_authorize(call, mo, PRIV))
        host_config_refuse(call, "The network, but for switches and port groups,");
}

/* What a card hears of the network behind it: Linux does not listen. */
static void query_hints(struct mo *mo, struct call *call)
{
    const struct vim_QueryNetworkHint_args *args = call->args;
    const struct vim_HostNetworkInfo *info = host_network_info(call);
    VIM_LIST(struct vim_PhysicalNicHintInfo *) list = {0};
    size_t found = 0;

    (void)mo;
    VIM_EMPTY(&list);
    for (size_t i = 0; i < info->pnic.count; i++) {
        const char *name = info->pnic.items[i]->device;
        bool asked = !args->device.count;
        for (size_t j = 0; !asked && j < args->device.count; j++)
            asked = !strcmp(args->device.items[j], name);
        if (!asked)
            continue;
        struct vim_PhysicalNicHintInfo *hint = VIM_NEW(call->arena, PhysicalNicHintInfo);
        hint->device = name;
        VIM_ADD(call->arena, &list, hint);
        found++;
    }
    if (found < args->device.count)
        CALL_FAULT(call, NotFound);
    else
        call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_PhysicalNicHintInfo, &list));
}

/* Nothing is cached. */
static void refresh(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_HostNetworkSystem_networkInfo);
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(host_network_info(call));
}

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(
        (struct vim_HostNetworkConfig *)host_network_config(hostd_of(call), call->arena));
}

static struct vim_any get_dns(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(host_network_info(call)->dnsConfig);
}

static struct vim_any get_routes(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(host_network_info(call)->ipRouteConfig);
}

static struct vim_any get_capabilities(struct mo *mo, struct call *call)
{
    struct vim_HostNetCapabilities *c = VIM_NEW(call->arena, HostNetCapabilities);

    (void)mo;
    c->maxPortGroupsPerVswitch = vim_int(GROUPS_MAX);
    c->vswitchConfigSupported = true;
    c->ipV6Supported = true;
    return vim_any_data(c);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostNetworkSystem, networkInfo, get_info),
    MO_PROPERTY(HostNetworkSystem, networkConfig, get_config),
    MO_PROPERTY(HostNetworkSystem, dnsConfig, get_dns),
    MO_PROPERTY(HostNetworkSystem, ipRouteConfig, get_routes),
    MO_PROPERTY(HostNetworkSystem, capabilities, get_capabilities),
};
static const struct mo_method methods[] = {
    MO_METHOD(AddVirtualSwitch, add_virtual_switch),
    MO_METHOD(UpdateVirtualSwitch, update_virtual_switch),
    MO_METHOD(RemoveVirtualSwitch, remove_virtual_switch),
    MO_METHOD(AddPortGroup, add_port_group),
    MO_METHOD(UpdatePortGroup, update_port_group),
    MO_METHOD(RemovePortGroup, remove_port_group),
    MO_METHOD(UpdateNetworkConfig, update_network_config),
    MO_METHOD(RefreshNetworkSystem, refresh),
    MO_METHOD(QueryNetworkHint, query_hints),
    MO_METHOD(AddVirtualNic, refuse),
    MO_METHOD(UpdateVirtualNic, refuse),
    MO_METHOD(RemoveVirtualNic, refuse),
    MO_METHOD(UpdateDnsConfig, refuse),
    MO_METHOD(UpdateIpRouteConfig, refuse),
    MO_METHOD(UpdateIpRouteTableConfig, refuse),
    MO_METHOD(UpdatePhysicalNicLinkSpeed, refuse),
};
const struct mo_class host_network_system_class = {
    .type = VIM_MANAGED(HostNetworkSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
