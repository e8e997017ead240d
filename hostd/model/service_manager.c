/* SPDX-License-Identifier: Apache-2.0 */
/* ServiceManager: services beyond the API, of which this host has none. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"

static struct vim_any get_services(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ServiceManagerServiceInfo *) list = {0};

    (void)mo;
    (void)call;
    VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_ServiceManagerServiceInfo, &list);
}

static void query_list(struct mo *mo, struct call *call)
{
    call_return(call, get_services(mo, call));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(ServiceManager, service, get_services),
};
static const struct mo_method methods[] = {MO_METHOD(QueryServiceList, query_list)};
const struct mo_class service_manager_class = {
    .type = VIM_MANAGED(ServiceManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
