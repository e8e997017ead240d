/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    struct vim_NetworkSummary *s = VIM_NEW(call->arena, NetworkSummary);

    s->network = mo_ref(mo);
    s->name = arena_strdup(call->arena, ENTITY_OF(entity, mo)->name);
    s->accessible = true;
    return vim_any_data(s);
}

static struct vim_any get_vms(struct mo *mo, struct call *call)
{
    return vm_refs(call, vm_on_network, mo);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(Network, summary, get_summary),
    MO_PROPERTY(Network, host, inventory_get_hosts),
    MO_PROPERTY(Network, vm, get_vms),
};
static const struct mo_class network_class = {
    .type = VIM_MANAGED(Network),
    .base = &entity_class,
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
};

int network_add(struct inventory *inventory, const char *name)
{
    struct entity *network = calloc(1, sizeof *network);
    char id[ENTITY_ID_MAX];

    if (!network)
        return -ENOMEM;
    (void)snprintf(id, sizeof id, "HaNetwork-%s", name);
    int rc = entity_add(inventory->hostd, network, &network_class, id, name,
                        &inventory->network_folder.e);
    if (rc < 0)
        free(network);
    return rc;
}

struct entity *network_find(struct call *call, const char *name)
{
    struct entity *e = inventory_find(hostd_of(call)->inventory, VIM_MANAGED(Network), name);

    return e && entity_visible(call, &e->mo) ? e : NULL;
}

void network_remove(struct entity *network)
{
    entity_remove(network);
    free(network);
}

/* At the end: permissions on them stay. */
void networks_destroy(struct inventory *inventory)
{
    struct entity *e;

    while ((e = inventory_next(inventory, VIM_MANAGED(Network), NULL))) {
        mo_remove(&e->mo);
        free(e);
    }
}
