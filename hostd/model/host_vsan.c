/* SPDX-License-Identifier: Apache-2.0 */
/* HostVsanSystem: there is no vSAN here, and clients that ask whether there is get that answer. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    struct vim_VsanHostConfigInfo *config = VIM_NEW(call->arena, VsanHostConfigInfo);

    (void)mo;
    config->enabled = vim_bool(false);
    config->hostSystem = VIM_REF(HostSystem, "ha-host");
    return vim_any_data(config);
}

static void query_status(struct mo *mo, struct call *call)
{
    struct vim_VsanHostClusterStatus *status = VIM_NEW(call->arena, VsanHostClusterStatus);

    (void)mo;
    status->health = "unknown";
    status->nodeState = VIM_NEW(call->arena, VsanHostClusterStatusState);
    status->nodeState->state = "disabled";
    call_return(call, vim_any_data(status));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostVsanSystem, config, get_config),
};
static const struct mo_method methods[] = {MO_METHOD(QueryHostStatus, query_status)};
const struct mo_class host_vsan_system_class = {
    .type = VIM_MANAGED(HostVsanSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
