/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_connection.h"

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/inventory.h"

static void *value_of(struct call *call, struct mo *mo, unsigned prop)
{
    return mo_get(mo, &vim_managed_props[prop], call).data;
}

static void add_vms(struct call *call, struct vim_HostConnectInfo *info)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        struct vim_VirtualMachineSummary *summary =
            entity_visible(call, &e->mo) ? value_of(call, &e->mo, VIM_P_VirtualMachine_summary)
                                         : NULL;
        if (summary)
            VIM_ADD(call->arena, &info->vm, summary);
    }
}

static void add_networks(struct call *call, struct vim_HostConnectInfo *info)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Network), e));) {
        if (!entity_visible(call, &e->mo))
            continue;
        struct vim_HostNewNetworkConnectInfo *one = VIM_NEW(call->arena, HostNewNetworkConnectInfo);
        one->summary = value_of(call, &e->mo, VIM_P_Network_summary);
        VIM_ADD(call->arena, &info->network, (struct vim_HostConnectInfoNetworkInfo *)(void *)one);
    }
}

static void add_datastores(struct call *call, struct vim_HostConnectInfo *info)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));) {
        if (!entity_visible(call, &e->mo))
            continue;
        struct vim_HostDatastoreConnectInfo *one = VIM_NEW(call->arena, HostDatastoreConnectInfo);
        one->summary = value_of(call, &e->mo, VIM_P_Datastore_summary);
        VIM_ADD(call->arena, &info->datastore, one);
    }
}

void host_query_connection(struct mo *mo, struct call *call)
{
    struct vim_HostConnectInfo *info = VIM_NEW(call->arena, HostConnectInfo);

    info->host = value_of(call, mo, VIM_P_HostSystem_summary);
    info->capability = value_of(call, mo, VIM_P_HostSystem_capability);
    info->vimAccountNameRequired = info->clusterSupported = vim_bool(false);
    info->inDasCluster = vim_bool(false);
    add_vms(call, info);
    add_networks(call, info);
    add_datastores(call, info);
    call_return(call, vim_any_data(info));
}

void host_refuse_power(struct mo *mo, struct call *call)
{
    (void)mo;
    CALL_FAULT_TEXT(call, NotSupported,
                    "The machine that this host runs on has an administrator of its own: in hosted "
                    "mode it is not restarted or shut down from here.");
}
