/* SPDX-License-Identifier: Apache-2.0 */
/* SearchIndex: one object by what one knows of it. A name that leads to what the caller must not
 * see leads nowhere. */
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/virtual_machine.h"

typedef VIM_LIST(struct vim_ref) refs;

static void add(struct call *call, refs *list, struct entity *entity)
{
    if (entity_visible(call, &entity->mo))
        VIM_ADD(call->arena, list, mo_ref(&entity->mo));
}

static void return_first(struct call *call, const refs *list)
{
    call_return(call, list->count ? vim_any_ref(list->items[0]) : vim_any_none());
}

static void return_all(struct call *call, refs *list)
{
    if (!list->items)
        VIM_EMPTY(list);
    call_return(call, VIM_ANY_LIST(VIM_REF, VIM_M_ManagedEntity, list));
}

/* --- by uuid --- */

static bool vm_has_uuid(const struct virtual_machine *vm, const char *key, const uint8_t uuid[16])
{
    const char *text = vm->vmx ? vmxfile_get(vm->vmx, key) : NULL;
    uint8_t own[16];

    return text && vmcfg_uuid_parse(text, own) == 0 && !memcmp(own, uuid, sizeof own);
}

static void search_uuid(struct call *call, refs *list, const char *text, bool vms, bool instance)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    uint8_t uuid[16];

    if (vmcfg_uuid_parse(text, uuid) < 0)
        return;
    if (!vms) {
        uint8_t own[16];
        if (vmcfg_uuid_parse(inventory->machine.uuid, own) == 0 && !memcmp(own, uuid, sizeof own))
            add(call, list, &inventory->host);
        return;
    }
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_has_uuid(vm_of(&e->mo), instance ? "vc.uuid" : "uuid.bios", uuid))
            add(call, list, e);
}

static void find_by_uuid(struct mo *mo, struct call *call)
{
    const struct vim_FindByUuid_args *args = call->args;
    refs list = {0};

    (void)mo;
    search_uuid(call, &list, args->uuid, args->vmSearch,
                args->instanceUuid.set && args->instanceUuid.v);
    return_first(call, &list);
}

static void find_all_by_uuid(struct mo *mo, struct call *call)
{
    const struct vim_FindAllByUuid_args *args = call->args;
    refs list = {0};

    (void)mo;
    search_uuid(call, &list, args->uuid, args->vmSearch,
                args->instanceUuid.set && args->instanceUuid.v);
    return_all(call, &list);
}

/* --- by name --- */

static struct entity *child_named(struct inventory *inventory, const struct entity *parent,
                                  const char *name, size_t len)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(ManagedEntity), e));)
        if (e->parent == parent && strlen(e->name) == len && !memcmp(e->name, name, len))
            return e;
    return NULL;
}

static void find_child(struct mo *mo, struct call *call)
{
    const struct vim_FindChild_args *args = call->args;
    struct mo *parent = call_resolve(call, args->entity);
    refs list = {0};

    (void)mo;
    if (!parent)
        return;
    struct entity *found =
        child_named(hostd_of(call)->inventory, entity_from(parent), args->name, strlen(args->name));
    if (found)
        add(call, &list, found);
    return_first(call, &list);
}

/* "ha-datacenter/vm/NAME", with or without a slash in front; %2f in a name is a slash. */
static void find_by_inventory_path(struct mo *mo, struct call *call)
{
    const struct vim_FindByInventoryPath_args *args = call->args;
    struct inventory *inventory = hostd_of(call)->inventory;
    struct entity *at = inventory_root(inventory);
    refs list = {0};

    (void)mo;
    for (const char *part = args->inventoryPath; at && *part;) {
        size_t len = strcspn(part, "/");
        if (len)
            at = child_named(inventory, at, part, len);
        part += len + (part[len] == '/');
    }
    if (at)
        add(call, &list, at);
    return_first(call, &list);
}

static void find_by_datastore_path(struct mo *mo, struct call *call)
{
    const struct vim_FindByDatastorePath_args *args = call->args;
    struct inventory *inventory = hostd_of(call)->inventory;
    struct dspath path;
    struct datastore *datastore = datastore_resolve(inventory, args->path, &path);
    struct virtual_machine *vm = datastore ? vm_by_path(inventory, datastore, path.rel) : NULL;
    refs list = {0};

    (void)mo;
    if (vm)
        add(call, &list, &vm->e);
    return_first(call, &list);
}

/* --- by address: without tools in guests, the host alone has one --- */

static void search_dns(struct call *call, refs *list, const char *name, bool vms)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    if (!vms && !strcasecmp(name, inventory->host.name))
        add(call, list, &inventory->host);
}

static void find_by_dns_name(struct mo *mo, struct call *call)
{
    const struct vim_FindByDnsName_args *args = call->args;
    refs list = {0};

    (void)mo;
    search_dns(call, &list, args->dnsName, args->vmSearch);
    return_first(call, &list);
}

static void find_all_by_dns_name(struct mo *mo, struct call *call)
{
    const struct vim_FindAllByDnsName_args *args = call->args;
    refs list = {0};

    (void)mo;
    search_dns(call, &list, args->dnsName, args->vmSearch);
    return_all(call, &list);
}

static void find_by_ip(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_none());
}

static void find_all_by_ip(struct mo *mo, struct call *call)
{
    refs list = {0};

    (void)mo;
    return_all(call, &list);
}

static const struct mo_method methods[] = {
    MO_METHOD(FindByUuid, find_by_uuid),
    MO_METHOD(FindAllByUuid, find_all_by_uuid),
    MO_METHOD(FindChild, find_child),
    MO_METHOD(FindByInventoryPath, find_by_inventory_path),
    MO_METHOD(FindByDatastorePath, find_by_datastore_path),
    MO_METHOD(FindByDnsName, find_by_dns_name),
    MO_METHOD(FindAllByDnsName, find_all_by_dns_name),
    MO_METHOD(FindByIp, find_by_ip),
    MO_METHOD(FindAllByIp, find_all_by_ip),
};
const struct mo_class search_index_class = {
    .type = VIM_MANAGED(SearchIndex),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
