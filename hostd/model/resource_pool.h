/* SPDX-License-Identifier: Apache-2.0 */
/* Resource pools: a tree below ha-root-pool with shares, reservations and limits. Today the numbers
 * are kept and told; cgroups enforce them once the launcher is there. */
#pragma once

#include <jansson.h>

#include "hostd/model/inventory.h"

struct pool_allocation {
    int64_t reservation, limit; /* MHz or MiB; limit -1: none */
    bool expandable;
    int32_t shares, level; /* level: enum vim_SharesLevel */
};

struct resource_pool {
    struct entity e;
    struct pool_allocation cpu, memory;
    unsigned change;
};

int resource_pool_add(struct inventory *inventory, const char *id, const char *name,
                      struct entity *parent, struct resource_pool **ret_pool);
json_t *pools_to_json(struct inventory *inventory);
int pools_from_json(struct inventory *inventory, json_t *list);
void pools_destroy(struct inventory *inventory);
