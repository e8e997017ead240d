/* SPDX-License-Identifier: Apache-2.0 */
/* HostVirtualNicManager: which of the host's own interfaces serve what. All that have an address
 * serve management, for that is where the front can listen; nothing else is served over the network
 * yet. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_config.h"
#include "hostd/model/host_network.h"

static const char *const kinds[] = {
    "management", "vmotion", "faultToleranceLogging", "vSphereReplication", "vSphereReplicationNFC",
    "vsan"};

static struct vim_VirtualNicManagerNetConfig *net_config(struct call *call, unsigned kind)
{
    struct vim_VirtualNicManagerNetConfig *c = VIM_NEW(call->arena, VirtualNicManagerNetConfig);
    struct vim_list nics = host_network_vnics(call->arena);

    c->nicType = kinds[kind];
    c->multiSelectAllowed = true;
    VIM_EMPTY(&c->candidateVnic);
    VIM_EMPTY(&c->selectedVnic);
    for (size_t i = 0; i < nics.count; i++) {
        struct vim_HostVirtualNic *nic = ((struct vim_HostVirtualNic **)nics.items)[i];
        nic->key = arena_printf(call->arena, "%s.%s", kinds[kind], nic->key);
        VIM_ADD(call->arena, &c->candidateVnic, nic);
        if (kind == 0)
            VIM_ADD(call->arena, &c->selectedVnic, nic->key);
    }
    return c;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct vim_HostVirtualNicManagerInfo *info = VIM_NEW(call->arena, HostVirtualNicManagerInfo);

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        VIM_ADD(call->arena, &info->netConfig, net_config(call, i));
    return vim_any_data(info);
}

static void query(struct mo *mo, struct call *call)
{
    const struct vim_QueryNetConfig_args *args = call->args;

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(kinds[i], args->nicType)) {
            call_return(call, vim_any_data(net_config(call, i)));
            return;
        }
    call_fault_argument(call, "nicType");
}

/* All serve management, none anything else: what is so already may be asked for. */
static void select_vnic(struct mo *mo, struct call *call, const char *kind, const char *device,
                        bool selected)
{
    struct vim_list nics = host_network_vnics(call->arena);
    bool known = false, there = false;

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        known = known || !strcmp(kinds[i], kind);
    for (size_t i = 0; i < nics.count; i++)
        there = there || !strcmp(((struct vim_HostVirtualNic **)nics.items)[i]->device, device);
    if (!known || !there)
        call_fault_argument(call, known ? "device" : "nicType");
    else if (!strcmp(kind, kinds[0]) != selected)
        host_config_refuse(call, "What an interface serves");
}

static void select_nic(struct mo *mo, struct call *call)
{
    const struct vim_SelectVnicForNicType_args *args = call->args;

    select_vnic(mo, call, args->nicType, args->device, true);
}

static void deselect_nic(struct mo *mo, struct call *call)
{
    const struct vim_DeselectVnicForNicType_args *args = call->args;

    select_vnic(mo, call, args->nicType, args->device, false);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostVirtualNicManager, info, get_info),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryNetConfig, query),
    MO_METHOD(SelectVnicForNicType, select_nic),
    MO_METHOD(DeselectVnicForNicType, deselect_nic),
};
const struct mo_class host_virtual_nic_manager_class = {
    .type = VIM_MANAGED(HostVirtualNicManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
