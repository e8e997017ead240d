/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/resource_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/task.h"
#include "hostd/vm/vm_allocation.h"
#include "hostd/vm/vm_transfer.h"

enum { SHARES_NORMAL_CPU = 4000, SHARES_NORMAL_MEMORY = 163840, DEPTH_MAX = 8 /* as ESXi */ };

static const struct mo_class pool_class;

static struct pool_allocation default_allocation(int32_t shares)
{
    return (struct pool_allocation){
        .limit = -1, .expandable = true, .shares = shares, .level = VIM_SharesLevel_normal};
}

int resource_pool_add(struct inventory *inventory, const char *id, const char *name,
                      struct entity *parent, struct resource_pool **ret_pool)
{
    struct resource_pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return -ENOMEM;
    pool->cpu = default_allocation(SHARES_NORMAL_CPU);
    pool->memory = default_allocation(SHARES_NORMAL_MEMORY);
    int rc = entity_add(inventory->hostd, &pool->e, &pool_class, id, name, parent);
    if (rc < 0) {
        free(pool);
        return rc;
    }
    *ret_pool = pool;
    return 0;
}

/* --- properties --- */

static struct vim_ResourceAllocationInfo *allocation(struct arena *arena,
                                                     const struct pool_allocation *from)
{
    struct vim_ResourceAllocationInfo *out = VIM_NEW(arena, ResourceAllocationInfo);

    out->reservation = vim_long(from->reservation);
    out->limit = vim_long(from->limit);
    out->expandableReservation = vim_bool(from->expandable);
    out->shares = VIM_NEW(arena, SharesInfo);
    out->shares->shares = from->shares;
    out->shares->level = (enum vim_SharesLevel)from->level;
    return out;
}

static struct vim_ResourceConfigSpec *config(struct arena *arena, struct resource_pool *pool)
{
    struct vim_ResourceConfigSpec *spec = VIM_NEW(arena, ResourceConfigSpec);

    spec->entity = mo_ref(&pool->e.mo);
    spec->changeVersion = arena_printf(arena, "%u", pool->change);
    spec->cpuAllocation = allocation(arena, &pool->cpu);
    spec->memoryAllocation = allocation(arena, &pool->memory);
    return spec;
}

static struct vim_ResourcePoolResourceUsage *usage(struct arena *arena, int64_t capacity)
{
    struct vim_ResourcePoolResourceUsage *u = VIM_NEW(arena, ResourcePoolResourceUsage);

    u->unreservedForPool = u->unreservedForVm = u->maxUsage = capacity;
    return u;
}

static struct vim_ResourcePoolRuntimeInfo *runtime(struct call *call)
{
    const struct machine *machine = &hostd_of(call)->inventory->machine;
    struct vim_ResourcePoolRuntimeInfo *r = VIM_NEW(call->arena, ResourcePoolRuntimeInfo);

    r->memory = usage(call->arena, (int64_t)machine->memory);
    r->cpu = usage(call->arena, (int64_t)(machine->cpu_hz / 1000000 * machine->cores));
    r->overallStatus = VIM_ManagedEntityStatus_green;
    return r;
}

static struct vim_any get_config(struct mo *mo, struct call *call)
{
    return vim_any_data(config(call->arena, ENTITY_OF(resource_pool, mo)));
}

static struct vim_any get_runtime(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(runtime(call));
}

static struct vim_any get_summary(struct mo *mo, struct call *call)
{
    struct resource_pool *pool = ENTITY_OF(resource_pool, mo);
    struct vim_ResourcePoolSummary *s = VIM_NEW(call->arena, ResourcePoolSummary);

    s->name = arena_strdup(call->arena, pool->e.name);
    s->config = config(call->arena, pool);
    s->runtime = runtime(call);
    s->quickStats = VIM_NEW(call->arena, ResourcePoolQuickStats);
    return vim_any_data(s);
}

static struct vim_any get_owner(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(ComputeResource, "ha-compute-res"));
}

static struct vim_any get_pools(struct mo *mo, struct call *call)
{
    return inventory_refs(call, VIM_MANAGED(ResourcePool), ENTITY_OF(entity, mo));
}

static struct vim_any get_vms(struct mo *mo, struct call *call)
{
    return vm_refs(call, vm_in_pool, mo);
}

static struct vim_any get_children(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ResourceConfigSpec *) list = {0};
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(ResourcePool), e));)
        if (e->parent == ENTITY_OF(entity, mo))
            VIM_ADD(call->arena, &list, config(call->arena, (struct resource_pool *)(void *)e));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_ResourceConfigSpec, &list);
}

/* --- methods --- */

static bool set_allocation(struct pool_allocation *to,
                           const struct vim_ResourceAllocationInfo *from, int32_t normal)
{
    if (!from)
        return true;
    if ((from->reservation.set && from->reservation.v < 0) ||
        (from->limit.set && from->limit.v < -1))
        return false;
    if (from->reservation.set)
        to->reservation = from->reservation.v;
    if (from->limit.set)
        to->limit = from->limit.v;
    if (from->expandableReservation.set)
        to->expandable = from->expandableReservation.v;
    if (!from->shares)
        return true;
    to->level = from->shares->level ? (int32_t)from->shares->level : VIM_SharesLevel_custom;
    to->shares = to->level == VIM_SharesLevel_low      ? normal / 2
                 : to->level == VIM_SharesLevel_normal ? normal
                 : to->level == VIM_SharesLevel_high   ? normal * 2
                                                       : from->shares->shares;
    return to->shares > 0;
}

/* What the spec makes of them; false: the call has its fault. */
static bool compute(struct call *call, const struct resource_pool *pool,
                    const struct vim_ResourceConfigSpec *spec, struct pool_allocation *ret_cpu,
                    struct pool_allocation *ret_memory)
{
    struct pool_allocation cpu = pool->cpu, memory = pool->memory;

    if (spec->changeVersion && *spec->changeVersion &&
        strcmp(spec->changeVersion, arena_printf(call->arena, "%u", pool->change))) {
        CALL_FAULT(call, ConcurrentAccess);
        return false;
    }
    if (!set_allocation(&cpu, spec->cpuAllocation, SHARES_NORMAL_CPU) ||
        !set_allocation(&memory, spec->memoryAllocation, SHARES_NORMAL_MEMORY)) {
        call_fault_argument(call, "spec");
        return false;
    }
    *ret_cpu = cpu;
    *ret_memory = memory;
    return true;
}

static bool apply(struct call *call, struct resource_pool *pool,
                  const struct vim_ResourceConfigSpec *spec)
{
    if (!compute(call, pool, spec, &pool->cpu, &pool->memory))
        return false;
    pool->change++;
    mo_changed(&pool->e.mo, VIM_P_ResourcePool_config);
    mo_changed(&pool->e.mo, VIM_P_ResourcePool_summary);
    return true;
}

static void save(struct call *call)
{
    struct err err = ERR_INIT;

    if (inventory_save(hostd_of(call)->inventory, &err) < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
}

static unsigned depth_of(const struct inventory *inventory, const struct entity *pool)
{
    unsigned depth = 1;

    for (; pool != &inventory->root_pool->e; pool = pool->parent)
        depth++;
    return depth;
}

/* Levels from here down. */
static unsigned height_of(struct inventory *inventory, const struct entity *pool)
{
    unsigned height = 0;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(ResourcePool), e));)
        if (e->parent == pool) {
            unsigned below = height_of(inventory, e);
            height = below > height ? below : height;
        }
    return height + 1;
}

static bool deep_enough(struct call *call, const struct entity *parent, unsigned height)
{
    if (depth_of(hostd_of(call)->inventory, parent) + height <= DEPTH_MAX)
        return true;
    CALL_FAULT_TEXT(call, InsufficientResourcesFault, "Resource pools are at most %d levels deep.",
                    DEPTH_MAX);
    return false;
}

static void create_pool(struct mo *mo, struct call *call)
{
    const struct vim_CreateResourcePool_args *args = call->args;
    struct inventory *inventory = hostd_of(call)->inventory;
    struct entity *parent = ENTITY_OF(entity, mo);
    struct resource_pool *pool;
    char id[32];

    if (!entity_check_name(call, parent, NULL, args->name) || !deep_enough(call, parent, 1))
        return;
    (void)snprintf(id, sizeof id, "pool%u", inventory->next_pool++);
    if (resource_pool_add(inventory, id, args->name, parent, &pool) < 0) {
        CALL_FAULT(call, SystemError);
        return;
    }
    if (!apply(call, pool, args->spec)) {
        entity_remove(&pool->e);
        free(pool);
        return;
    }
    mo_changed(mo, VIM_P_ResourcePool_resourcePool);
    call_return(call, mo_value(&pool->e.mo));
    save(call);
}

static void update_config(struct mo *mo, struct call *call)
{
    const struct vim_UpdateConfig_args *args = call->args;
    struct resource_pool *pool = ENTITY_OF(resource_pool, mo);

    if (call_authorize(call, mo, "Resource.EditPool"))
        return;
    if (args->name && !entity_check_name(call, pool->e.parent, &pool->e, args->name))
        return;
    if (args->config && !apply(call, pool, args->config))
        return;
    if (args->name) {
        (void)snprintf(pool->e.name, sizeof pool->e.name, "%s", args->name);
        mo_changed(mo, VIM_P_ManagedEntity_name);
    }
    save(call);
}

static struct entity *child_of(struct inventory *inventory, const struct entity *pool)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(ResourcePool), e));)
        if (e->parent == pool)
            return e;
    return NULL;
}

/* VMs and pools of one that goes, go to its parent. */
static void dissolve(struct inventory *inventory, struct resource_pool *pool)
{
    struct entity *parent = pool->e.parent, *child;

    vm_move_pool(inventory, pool, (struct resource_pool *)(void *)parent);
    while ((child = child_of(inventory, &pool->e)))
        child->parent = parent;
    task_forget_entity(inventory->hostd, &pool->e);
    entity_remove(&pool->e);
    free(pool);
    mo_changed(&parent->mo, VIM_P_ResourcePool_resourcePool);
    registry_moved(inventory->hostd->api.registry);
}

static void destroy_pool(struct mo *mo, struct call *call)
{
    struct resource_pool *pool = ENTITY_OF(resource_pool, mo);
    struct inventory *inventory = hostd_of(call)->inventory;

    if (pool == inventory->root_pool) {
        CALL_FAULT(call, NotSupported);
        return;
    }
    if (call_authorize(call, mo, "Resource.DeletePool"))
        return;
    struct task *task = task_start(call, &pool->e);
    if (!task)
        return;
    dissolve(inventory, pool);
    struct err err = ERR_INIT;
    int rc = inventory_save(inventory, &err);
    if (rc < 0)
        task_fail_errno(task, rc, &err, NULL);
    else
        task_succeed(task, vim_any_none());
}

static void destroy_children(struct mo *mo, struct call *call)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct entity *child;

    if (call_authorize(call, mo, "Resource.DeletePool"))
        return;
    while ((child = child_of(inventory, ENTITY_OF(entity, mo))))
        dissolve(inventory, (struct resource_pool *)(void *)child);
    save(call);
}

/* Neither the root nor a pool that holds `pool`, nor a second one of its name. */
static bool may_hold(struct call *call, struct resource_pool *pool, struct resource_pool *child)
{
    struct resource_pool *root = hostd_of(call)->inventory->root_pool;

    for (struct entity *e = &pool->e; child != root && e != &root->e; e = e->parent)
        if (e == &child->e) {
            call_fault_argument(call, "list");
            return false;
        }
    if (child == root) {
        call_fault_argument(call, "list");
        return false;
    }
    return child->e.parent == &pool->e ||
           (entity_check_name(call, &pool->e, &child->e, child->e.name) &&
            deep_enough(call, &pool->e, height_of(hostd_of(call)->inventory, &child->e)));
}

static void move_one(struct mo *one, struct resource_pool *pool)
{
    if (vim_managed_is(one->class->type, VIM_MANAGED(VirtualMachine))) {
        vm_set_pool(vm_of(one), pool);
        return;
    }
    struct entity *child = ENTITY_OF(entity, one), *before = child->parent;
    child->parent = &pool->e;
    mo_changed(one, VIM_P_ManagedEntity_parent);
    mo_changed(&before->mo, VIM_P_ResourcePool_resourcePool);
    mo_changed(&pool->e.mo, VIM_P_ResourcePool_resourcePool);
}

static int by_name(const void *a, const void *b)
{
    const struct entity *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* Two of a list that come from different pools. One that is there twice is one. */
static bool are_names_unique(struct call *call, const struct vim_ref *list, size_t list_count)
{
    struct registry *registry = call->api->registry;
    cleanup_free struct entity **pools = calloc(list_count + 1, sizeof(struct entity *));
    size_t count = 0;

    for (size_t i = 0; pools && i < list_count; i++) {
        struct mo *one = mo_find(registry, list[i].id);
        if (one && vim_managed_is(one->class->type, VIM_MANAGED(ResourcePool)))
            pools[count++] = ENTITY_OF(entity, one);
    }
    if (count)
        qsort(pools, count, sizeof(struct entity *), by_name);
    for (size_t i = 1; i < count; i++)
        if (pools[i] != pools[i - 1] && !by_name(&pools[i], &pools[i - 1])) {
            struct vim_DuplicateName *fault = VIM_NEW(call->arena, DuplicateName);
            fault->name = arena_strdup(call->arena, pools[i]->name);
            fault->object = mo_ref(&pools[i - 1]->mo);
            call_fault(call, &fault->self);
            return false;
        }
    if (!pools)
        CALL_FAULT(call, SystemError);
    return pools;
}

/* All or none: what is asked for is looked at before anything moves. */
static void move_into(struct mo *mo, struct call *call)
{
    const struct vim_MoveIntoResourcePool_args *args = call->args;
    struct resource_pool *pool = ENTITY_OF(resource_pool, mo);

    for (size_t i = 0; i < args->list.count; i++) {
        struct mo *one = call_resolve(call, args->list.items[i]);
        if (!one)
            return;
        bool is_pool = vim_managed_is(one->class->type, VIM_MANAGED(ResourcePool));
        if (!is_pool && !vim_managed_is(one->class->type, VIM_MANAGED(VirtualMachine))) {
            call_fault_argument(call, "list");
            return;
        }
        if (call_authorize(call, one, is_pool ? "Resource.MovePool" : "Resource.ColdMigrate") ||
            call_authorize(call, mo, is_pool ? "Resource.MovePool" : "Resource.AssignVMToPool"))
            return;
        if (is_pool && !may_hold(call, pool, ENTITY_OF(resource_pool, one)))
            return;
    }
    if (!are_names_unique(call, args->list.items, args->list.count))
        return;
    for (size_t i = 0; i < args->list.count; i++)
        move_one(mo_find(call->api->registry, args->list.items[i].id), pool);
    registry_moved(call->api->registry);
    save(call);
}

/* Each is a child, once; so there are as many as children at most. */
static bool names_children(const struct vim_UpdateChildResourceConfiguration_args *args,
                           struct call *call, struct entity *parent)
{
    size_t children = 0;
    bool good = true;

    for (struct entity *e = NULL;
         (e = inventory_next(parent->hostd->inventory, VIM_MANAGED(ResourcePool), e));)
        children += e->parent == parent;
    good = args->spec.count <= children;
    for (size_t i = 0; i < args->spec.count && good; i++)
        for (size_t k = 0; k < i && good; k++)
            good = strcmp(args->spec.items[i]->entity.id, args->spec.items[k]->entity.id) != 0;
    if (!good)
        call_fault_argument(call, "spec.entity");
    return good;
}

/* Of children, each with its entity: all or none. */
static void update_children(struct mo *mo, struct call *call)
{
    const struct vim_UpdateChildResourceConfiguration_args *args = call->args;

    for (size_t i = 0; i < args->spec.count; i++) {
        struct mo *one =
            call_resolve_as(call, args->spec.items[i]->entity, VIM_MANAGED(ResourcePool));
        if (!one)
            return;
        if (ENTITY_OF(entity, one)->parent != ENTITY_OF(entity, mo)) {
            call_fault_argument(call, "spec.entity");
            return;
        }
        struct pool_allocation cpu, memory;
        if (call_authorize(call, one, "Resource.EditPool") ||
            !compute(call, ENTITY_OF(resource_pool, one), args->spec.items[i], &cpu, &memory))
            return;
    }
    if (!names_children(args, call, ENTITY_OF(entity, mo)))
        return;
    for (size_t i = 0; i < args->spec.count; i++) {
        struct mo *one = mo_find(call->api->registry, args->spec.items[i]->entity.id);
        if (!apply(call, ENTITY_OF(resource_pool, one), args->spec.items[i]))
            break;
    }
    save(call);
}

/* Nothing is cached. */
static void refresh_runtime(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_ResourcePool_runtime);
}

static void query_options(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_data(allocation_options(call->arena, SHARES_NORMAL_CPU,
                                                      SHARES_NORMAL_MEMORY)));
}

static void rename_pool(struct mo *mo, struct call *call)
{
    const struct vim_Rename_Task_args *args = call->args;
    struct resource_pool *pool = ENTITY_OF(resource_pool, mo);

    if (call_authorize(call, mo, "Resource.RenamePool") ||
        !entity_check_name(call, pool->e.parent, &pool->e, args->newName))
        return;
    struct task *task = task_start(call, &pool->e);
    if (!task)
        return;
    (void)snprintf(pool->e.name, sizeof pool->e.name, "%s", args->newName);
    mo_changed(mo, VIM_P_ManagedEntity_name);
    struct err err = ERR_INIT;
    int rc = inventory_save(hostd_of(call)->inventory, &err);
    if (rc < 0)
        task_fail_errno(task, rc, &err, NULL);
    else
        task_succeed(task, vim_any_none());
}

static const struct mo_property properties[] = {
    MO_PROPERTY(ResourcePool, config, get_config),
    MO_PROPERTY(ResourcePool, runtime, get_runtime),
    MO_PROPERTY(ResourcePool, summary, get_summary),
    MO_PROPERTY(ResourcePool, owner, get_owner),
    MO_PROPERTY(ResourcePool, resourcePool, get_pools),
    MO_PROPERTY(ResourcePool, vm, get_vms),
    MO_PROPERTY(ResourcePool, childConfiguration, get_children),
};
static const struct mo_method methods[] = {
    MO_METHOD(CreateResourcePool, create_pool),
    MO_METHOD(UpdateConfig, update_config),
    MO_METHOD(DestroyChildren, destroy_children),
    MO_METHOD(MoveIntoResourcePool, move_into),
    MO_METHOD(UpdateChildResourceConfiguration, update_children),
    MO_METHOD(RefreshRuntime, refresh_runtime),
    MO_METHOD(QueryResourceConfigOption, query_options),
    MO_METHOD(Destroy_Task, destroy_pool),
    MO_METHOD(Rename_Task, rename_pool),
    MO_METHOD(CreateChildVM_Task, vm_create_in_pool),
    MO_METHOD(ImportVApp, vm_import),
    MO_METHOD(RegisterChildVM_Task, vm_register_in_pool),
};
static const struct mo_class pool_class = {
    .type = VIM_MANAGED(ResourcePool),
    .base = &entity_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

/* --- the file --- */

static json_t *allocation_to_json(const struct pool_allocation *a)
{
    return json_pack("{s:I, s:I, s:b, s:i, s:i}", "reservation", (json_int_t)a->reservation,
                     "limit", (json_int_t)a->limit, "expandable", a->expandable, "shares",
                     a->shares, "level", a->level);
}

static void pool_to_json(struct inventory *inventory, json_t *list, struct resource_pool *pool)
{
    (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", pool->e.id,
                                                "name", pool->e.name, "parent", pool->e.parent->id,
                                                "cpu", allocation_to_json(&pool->cpu), "memory",
                                                allocation_to_json(&pool->memory)));
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(ResourcePool), e));)
        if (e->parent == &pool->e)
            pool_to_json(inventory, list, (struct resource_pool *)(void *)e);
}

json_t *pools_to_json(struct inventory *inventory)
{
    json_t *list = json_array();

    pool_to_json(inventory, list, inventory->root_pool);
    return list;
}

static void allocation_from_json(struct pool_allocation *a, json_t *from)
{
    json_int_t reservation, limit;
    int expandable, shares, level;

    if (json_unpack(from, "{s:I, s:I, s:b, s:i, s:i}", "reservation", &reservation, "limit", &limit,
                    "expandable", &expandable, "shares", &shares, "level", &level) < 0)
        return;
    *a = (struct pool_allocation){reservation, limit, expandable, shares, level};
}

/* Parents stand before their children. */
int pools_from_json(struct inventory *inventory, json_t *list)
{
    const char *id, *name, *parent;
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        struct resource_pool *pool = inventory->root_pool;
        if (json_unpack(item, "{s:s, s:s, s:s}", "id", &id, "name", &name, "parent", &parent) < 0)
            continue;
        struct mo *above = mo_find(inventory->hostd->api.registry, parent);
        if (strcmp(id, "ha-root-pool") && above && entity_from(above)) {
            int rc = resource_pool_add(inventory, id, name, entity_from(above), &pool);
            if (rc < 0)
                return rc == -ENOMEM ? rc : 0;
        }
        allocation_from_json(&pool->cpu, json_object_get(item, "cpu"));
        allocation_from_json(&pool->memory, json_object_get(item, "memory"));
    }
    return 0;
}

void pools_destroy(struct inventory *inventory)
{
    struct entity *e;

    while ((e = inventory_next(inventory, VIM_MANAGED(ResourcePool), NULL))) {
        mo_remove(&e->mo);
        free(e);
    }
}
