/* SPDX-License-Identifier: Apache-2.0 */
/* All that the host has: the fixed objects of a lone host (root folder to root pool and the
 * managers, by an explicit table), its datastores, networks, and VMs. What is not to be found again
 * by looking is kept in INVENTORY_FILE: ids, which VMs are registered, where.
 *
 * On the loop's thread. */
#pragma once

#include <stdbool.h>

#include "hostd/host/machine.h"
#include "hostd/model/entity.h"

#define INVENTORY_FILE "config/inventory.json"

enum { VMS_MAX = 4096 };

struct folder {
    struct entity e;
    const struct vim_managed *child; /* what it holds */
};

struct inventory {
    struct hostd *hostd;
    struct machine machine;
    char host_uuid[37];
    struct folder root, vm_folder, host_folder, datastore_folder, network_folder;
    struct entity datacenter, compute, host;
    struct resource_pool *root_pool;
    struct single *singles;
    unsigned single_count;
    unsigned next_vm, next_pool;
    bool complete; /* all that the file names has been looked at */
};

/* A managed object of which the host has exactly one and which is nothing but its methods. */
struct single {
    struct mo mo;
};

int inventory_create(struct hostd *hostd, struct inventory **ret_inventory, struct err *err);
void inventory_destroy(struct inventory *inventory);

/* To be called after each change of what the file holds. */
int inventory_save(struct inventory *inventory, struct err *err);

struct entity *inventory_root(struct inventory *inventory);

/* Walks the entities of a managed type: start with NULL. */
struct entity *inventory_next(struct inventory *inventory, const struct vim_managed *type,
                              struct entity *entity);
struct entity *inventory_find(struct inventory *inventory, const struct vim_managed *type,
                              const char *name);

/* A list property of all entities of a type that the caller may see: VIM_ANY list of references. */
struct vim_any inventory_refs(struct call *call, const struct vim_managed *type,
                              const struct entity *parent);

/* The same as getters, of objects that have all that the host has. */
struct vim_any inventory_get_hosts(struct mo *mo, struct call *call);
struct vim_any inventory_get_vms(struct mo *mo, struct call *call);
struct vim_any inventory_get_datastores(struct mo *mo, struct call *call);
struct vim_any inventory_get_networks(struct mo *mo, struct call *call);
