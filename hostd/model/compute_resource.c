/* SPDX-License-Identifier: Apache-2.0 */
/* ComputeResource ha-compute-res: the host as something that VMs run on. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"

static struct vim_any get_pool(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(ResourcePool, "ha-root-pool"));
}

static struct vim_any get_browser(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(EnvironmentBrowser, "ha-env-browser"));
}

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;
    struct vim_ComputeResourceSummary *s = VIM_NEW(call->arena, ComputeResourceSummary);

    (void)mo;
    s->totalCpu = s->effectiveCpu = (int32_t)(machine->cpu_hz / 1000000 * machine->cores);
    s->totalMemory = (int64_t)machine->memory;
    s->effectiveMemory = (int64_t)(machine->memory >> 20);
    s->numCpuCores = (int16_t)machine->cores;
    s->numCpuThreads = (int16_t)machine->threads;
    s->numHosts = s->numEffectiveHosts = 1;
    s->overallStatus = VIM_ManagedEntityStatus_green;
    return vim_any_data(s);
}

static struct vim_any get_configuration(struct mo *mo, struct call *call)
{
    struct vim_ComputeResourceConfigInfo *c = VIM_NEW(call->arena, ComputeResourceConfigInfo);

    (void)mo;
    c->vmSwapPlacement = "vmDirectory";
    return vim_any_data(c);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(ComputeResource, resourcePool, get_pool),
    MO_PROPERTY(ComputeResource, host, inventory_get_hosts),
    MO_PROPERTY(ComputeResource, datastore, inventory_get_datastores),
    MO_PROPERTY(ComputeResource, network, inventory_get_networks),
    MO_PROPERTY(ComputeResource, environmentBrowser, get_browser),
    MO_PROPERTY(ComputeResource, summary, get_summary),
    MO_PROPERTY(ComputeResource, configurationEx, get_configuration),
};
const struct mo_class compute_resource_class = {
    .type = VIM_MANAGED(ComputeResource),
    .base = &entity_class,
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
};
