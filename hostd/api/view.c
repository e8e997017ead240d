/* SPDX-License-Identifier: Apache-2.0 */
/* Views: lists of objects that a session keeps and that filters can start from. A container view is
 * what stands below an entity in the inventory, found anew each time it is read; list views and
 * inventory views hold what they were told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/collector.h"
#include "hostd/api/vim_types.gen.h"

enum {
    VIEWS_MAX = 1000, /* of one session */
    TYPES_MAX = 64,
    DEPTH_MAX = 64,     /* of the inventory */
    LISTED_MAX = 10000, /* objects of one view */
};

struct manager {
    struct api *api;
    struct mo mo;
    uint64_t next_id;
};

struct listed {
    struct vim_ref ref; /* id owned */
};

struct view {
    struct mo mo;
    char id[48];
    struct registry_watch watch;
    /* A container view. */
    struct vim_ref container; /* id owned */
    const struct vim_managed *types[TYPES_MAX];
    size_t type_count;
    bool recursive;
    /* The others. */
    struct listed *items; /* owned */
    size_t count, room;
};

/* --- what stands below an entity --- */

static bool is_below(struct api *api, struct mo *mo, const struct mo *container, bool recursive)
{
    for (unsigned depth = 0; mo && depth < (recursive ? DEPTH_MAX : 1); depth++) {
        mo = api->parent(mo);
        if (mo == container)
            return true;
    }
    return false;
}

static bool wanted(const struct view *view, const struct mo *mo)
{
    for (size_t i = 0; i < view->type_count; i++)
        if (vim_managed_is(mo->class->type, view->types[i]))
            return true;
    return !view->type_count;
}

struct refs {
    VIM_LIST(struct vim_ref) list;
};

static void add_if_new(struct call *call, const struct view *view, struct mo *mo, struct refs *refs)
{
    if (!wanted(view, mo) || !call->api->ops->visible(call, mo))
        return;
    VIM_ADD(call->arena, &refs->list, mo_ref(mo));
}

/* Hosts and pools have their VMs in a property; in the tree those stand in folders. */
static void add_vms(struct call *call, const struct view *view, struct mo *mo, struct refs *refs)
{
    const struct vim_property *prop = vim_managed_property(mo->class->type, "vm", 2);
    bool has = vim_managed_is(mo->class->type, VIM_MANAGED(HostSystem)) ||
               vim_managed_is(mo->class->type, VIM_MANAGED(ResourcePool));
    struct vim_any vms = has && prop ? mo_get(mo, prop, call) : vim_any_none();
    for (size_t i = 0; vms.shape.list && i < vms.list.count; i++) {
        struct mo *vm = mo_find(mo->registry, vim_item(&vms, i).ref.id);
        if (vm)
            add_if_new(call, view, vm, refs);
    }
}

static struct vim_any below(struct view *view, struct call *call)
{
    struct api *api = call->api;
    struct mo *container = mo_resolve(api->registry, call->scope, view->container);
    struct refs refs = {0};
    VIM_EMPTY(&refs.list);
    if (container) {
        const struct vim_managed *entity = VIM_MANAGED(ManagedEntity);
        for (struct mo *mo = NULL; (mo = mo_next(api->registry, entity, mo));)
            if (is_below(api, mo, container, view->recursive))
                add_if_new(call, view, mo, &refs);
        add_vms(call, view, container, &refs);
    }
    return VIM_ANY_LIST(VIM_REF, VIM_M_ManagedObject, &refs.list);
}

/* --- views that hold a list --- */

static bool list_has(const struct view *view, const char *id, size_t *ret_index)
{
    for (size_t i = 0; i < view->count; i++)
        if (!strcmp(view->items[i].ref.id, id)) {
            *ret_index = i;
            return true;
        }
    return false;
}

static void list_clear(struct view *view)
{
    for (size_t i = 0; i < view->count; i++)
        free((char *)view->items[i].ref.id);
    free(view->items);
    view->items = NULL;
    view->count = view->room = 0;
}

static void list_add(struct view *view, const struct mo *mo)
{
    size_t index;
    if (view->count >= LISTED_MAX || list_has(view, mo->id, &index))
        return;
    if (view->count == view->room) {
        view->room = view->room * 2 + 8;
        view->items = reallocarray(view->items, view->room, sizeof *view->items);
    }
    char *id = strdup(mo->id);
    if (!view->items || !id)
        abort();
    view->items[view->count++].ref = (struct vim_ref){mo->class->type, id};
}

static void list_drop(struct view *view, const char *id)
{
    size_t index;
    if (!list_has(view, id, &index))
        return;
    free((char *)view->items[index].ref.id);
    view->count--;
    memmove(&view->items[index], &view->items[index + 1],
            (view->count - index) * sizeof *view->items);
}

static struct vim_any listed(struct view *view, struct call *call)
{
    struct refs refs = {0};
    VIM_EMPTY(&refs.list);
    for (size_t i = 0; i < view->count; i++) {
        struct mo *mo = mo_resolve(call->api->registry, call->scope, view->items[i].ref);
        if (mo && (mo->scope || call->api->ops->visible(call, mo)))
            VIM_ADD(call->arena, &refs.list, mo_ref(mo));
    }
    return VIM_ANY_LIST(VIM_REF, VIM_M_ManagedObject, &refs.list);
}

/* Adds what is there; the rest is returned as what could not be resolved. */
static void list_add_refs(struct view *view, struct call *call, size_t count,
                          const struct vim_ref *items, struct refs *unresolved)
{
    for (size_t i = 0; i < count; i++) {
        struct mo *mo = mo_resolve(call->api->registry, call->scope, items[i]);
        if (mo && (mo->scope || call->api->ops->visible(call, mo)))
            list_add(view, mo);
        else
            VIM_ADD(call->arena, &unresolved->list, items[i]);
    }
}

static void list_changed(struct view *view, struct call *call, const struct refs *unresolved)
{
    mo_changed(&view->mo, VIM_P_ManagedObjectView_view);
    call_return(call, VIM_ANY_LIST(VIM_REF, VIM_M_ManagedObject, &unresolved->list));
}

static struct view *view_of(struct mo *mo)
{
    return container_of(mo, struct view, mo);
}

static void modify_list(struct mo *mo, struct call *call)
{
    struct vim_ModifyListView_args *args = call->args;
    struct refs unresolved = {0};
    for (size_t i = 0; i < args->remove.count; i++)
        list_drop(view_of(mo), args->remove.items[i].id);
    list_add_refs(view_of(mo), call, args->add.count, args->add.items, &unresolved);
    list_changed(view_of(mo), call, &unresolved);
}

static void reset_list(struct mo *mo, struct call *call)
{
    struct vim_ResetListView_args *args = call->args;
    struct refs unresolved = {0};
    list_clear(view_of(mo));
    list_add_refs(view_of(mo), call, args->obj.count, args->obj.items, &unresolved);
    list_changed(view_of(mo), call, &unresolved);
}

static const struct mo_class container_class, list_class, inventory_class;

/* The objects of another view of this session; false with the fault set if the reference is to
 * none. */
static bool objects_of(struct call *call, struct vim_ref ref, struct vim_any *ret_list)
{
    struct mo *mo = call_resolve(call, ref);
    if (!mo)
        return false;
    const struct vim_property *prop = &vim_managed_props[VIM_P_ManagedObjectView_view];
    *ret_list = mo_get(mo, prop, call);
    return true;
}

static void reset_list_from_view(struct mo *mo, struct call *call)
{
    struct vim_ResetListViewFromView_args *args = call->args;
    struct refs unresolved = {0};
    struct vim_any list;
    if (!objects_of(call, args->view, &list))
        return;
    list_clear(view_of(mo));
    list_add_refs(view_of(mo), call, list.list.count, list.list.items, &unresolved);
    mo_changed(mo, VIM_P_ManagedObjectView_view);
}

static void open_folders(struct mo *mo, struct call *call)
{
    struct vim_OpenInventoryViewFolder_args *args = call->args;
    struct refs unresolved = {0};
    for (size_t i = 0; i < args->entity.count; i++) {
        struct view children = {.container = args->entity.items[i]};
        struct vim_any list = below(&children, call);
        list_add_refs(view_of(mo), call, 1, &args->entity.items[i], &unresolved);
        list_add_refs(view_of(mo), call, list.list.count, list.list.items, &unresolved);
    }
    list_changed(view_of(mo), call, &unresolved);
}

static void close_folders(struct mo *mo, struct call *call)
{
    struct vim_CloseInventoryViewFolder_args *args = call->args;
    struct refs unresolved = {0};
    for (size_t i = 0; i < args->entity.count; i++) {
        struct view all = {.container = args->entity.items[i], .recursive = true};
        struct vim_any list = below(&all, call);
        for (size_t j = 0; j < list.list.count; j++)
            list_drop(view_of(mo), vim_item(&list, j).ref.id);
    }
    list_changed(view_of(mo), call, &unresolved);
}

/* --- the objects --- */

static void view_free(struct view *view)
{
    mo_remove(&view->mo);
    registry_unwatch(&view->watch);
    free((char *)view->container.id);
    list_clear(view);
    free(view);
}

static void on_scope_end(struct mo *mo)
{
    view_free(view_of(mo));
}

static void destroy_view(struct mo *mo, struct call *call)
{
    view_free(view_of(mo));
}

static struct vim_any get_below(struct mo *mo, struct call *call)
{
    return below(view_of(mo), call);
}

static struct vim_any get_listed(struct mo *mo, struct call *call)
{
    return listed(view_of(mo), call);
}

static struct vim_any get_container(struct mo *mo, struct call *call)
{
    return vim_any_ref(view_of(mo)->container);
}

static struct vim_any get_types(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};
    for (size_t i = 0; i < view_of(mo)->type_count; i++)
        VIM_ADD(call->arena, &list, view_of(mo)->types[i]->name);
    return VIM_ANY_LIST(VIM_TYPENAME, 0, &list);
}

static struct vim_any get_recursive(struct mo *mo, struct call *call)
{
    return vim_any_bool(view_of(mo)->recursive);
}

static const struct mo_method view_methods[] = {MO_METHOD(DestroyView, destroy_view)};
static const struct mo_class view_class = {
    .type = VIM_MANAGED(View),
    .methods = view_methods,
    .method_count = ARRAY_SIZE(view_methods),
};

static const struct mo_property container_props[] = {
    MO_PROPERTY(ManagedObjectView, view, get_below),
    MO_PROPERTY(ContainerView, container, get_container),
    MO_PROPERTY(ContainerView, type, get_types),
    MO_PROPERTY(ContainerView, recursive, get_recursive),
};
static const struct mo_class container_class = {
    .type = VIM_MANAGED(ContainerView),
    .base = &view_class,
    .props = container_props,
    .prop_count = ARRAY_SIZE(container_props),
    .destroy = on_scope_end,
};

static const struct mo_property list_props[] = {MO_PROPERTY(ManagedObjectView, view, get_listed)};
static const struct mo_method list_methods[] = {
    MO_METHOD(ModifyListView, modify_list),
    MO_METHOD(ResetListView, reset_list),
    MO_METHOD(ResetListViewFromView, reset_list_from_view),
};
static const struct mo_class list_class = {
    .type = VIM_MANAGED(ListView),
    .base = &view_class,
    .props = list_props,
    .methods = list_methods,
    .prop_count = ARRAY_SIZE(list_props),
    .method_count = ARRAY_SIZE(list_methods),
    .destroy = on_scope_end,
};

static const struct mo_method inventory_methods[] = {
    MO_METHOD(OpenInventoryViewFolder, open_folders),
    MO_METHOD(CloseInventoryViewFolder, close_folders),
};
static const struct mo_class inventory_class = {
    .type = VIM_MANAGED(InventoryView),
    .base = &view_class,
    .props = list_props,
    .methods = inventory_methods,
    .prop_count = ARRAY_SIZE(list_props),
    .method_count = ARRAY_SIZE(inventory_methods),
    .destroy = on_scope_end,
};

/* --- the manager --- */

static void on_registry_changed(struct registry_watch *watch)
{
    mo_changed(&container_of(watch, struct view, watch)->mo, VIM_P_ManagedObjectView_view);
}

static bool is_view(const struct mo *mo)
{
    return vim_managed_is(mo->class->type, VIM_MANAGED(View));
}

/* A new view of the session, NULL with the fault set. */
static struct view *make(struct mo *mo, struct call *call, const struct mo_class *class)
{
    struct manager *manager = container_of(mo, struct manager, mo);
    size_t count = 0;
    for (struct mo *m = call->scope->first; m; m = m->scope_next)
        count += is_view(m);
    if (count >= VIEWS_MAX) {
        CALL_FAULT_TEXT(call, InvalidRequest, "The session has %d views already.", VIEWS_MAX);
        return NULL;
    }
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        abort();
    (void)snprintf(view->id, sizeof view->id, "session-view-%" PRIu64, ++manager->next_id);
    view->mo = (struct mo){.class = class, .id = view->id};
    (void)mo_add(call->api->registry, call->scope, &view->mo); /* the id is new */
    view->watch.changed = on_registry_changed;
    registry_watch(call->api->registry, &view->watch);
    mo_changed(mo, VIM_P_ViewManager_viewList);
    call_return(call, mo_value(&view->mo));
    return view;
}

static bool is_container(const struct mo *mo)
{
    const struct vim_managed *type = mo->class->type;
    return vim_managed_is(type, VIM_MANAGED(Folder)) ||
           vim_managed_is(type, VIM_MANAGED(Datacenter)) ||
           vim_managed_is(type, VIM_MANAGED(ComputeResource)) ||
           vim_managed_is(type, VIM_MANAGED(ResourcePool)) ||
           vim_managed_is(type, VIM_MANAGED(HostSystem));
}

static void create_container(struct mo *mo, struct call *call)
{
    struct vim_CreateContainerView_args *args = call->args;
    struct mo *container = call_resolve(call, args->container);
    if (!container)
        return;
    if (!is_container(container) || args->type.count > TYPES_MAX) {
        call_fault_argument(call, is_container(container) ? "type" : "container");
        return;
    }
    for (size_t i = 0; i < args->type.count; i++)
        if (!vim_find_managed(args->type.items[i])) {
            call_fault_argument(call, "type");
            return;
        }
    struct view *view = make(mo, call, &container_class);
    if (!view)
        return;
    view->container = (struct vim_ref){container->class->type, strdup(container->id)};
    view->recursive = args->recursive;
    for (size_t i = 0; i < args->type.count; i++)
        view->types[view->type_count++] = vim_find_managed(args->type.items[i]);
}

static void create_list(struct mo *mo, struct call *call)
{
    struct vim_CreateListView_args *args = call->args;
    struct refs unresolved = {0};
    struct view *view = make(mo, call, &list_class);
    if (view)
        list_add_refs(view, call, args->obj.count, args->obj.items, &unresolved);
}

static void create_list_from_view(struct mo *mo, struct call *call)
{
    struct vim_CreateListViewFromView_args *args = call->args;
    struct refs unresolved = {0};
    struct vim_any list;
    struct view *view = objects_of(call, args->view, &list) ? make(mo, call, &list_class) : NULL;
    if (view)
        list_add_refs(view, call, list.list.count, list.list.items, &unresolved);
}

static void create_inventory(struct mo *mo, struct call *call)
{
    struct view *view = make(mo, call, &inventory_class);
    struct mo *root = NULL;
    if (!view)
        return;
    while ((root = mo_next(call->api->registry, VIM_MANAGED(Folder), root)))
        if (!call->api->parent(root))
            list_add(view, root);
}

static struct vim_any get_views(struct mo *mo, struct call *call)
{
    struct refs refs = {0};
    for (struct mo *m = call->scope ? call->scope->first : NULL; m; m = m->scope_next)
        if (is_view(m))
            VIM_ADD(call->arena, &refs.list, mo_ref(m));
    return VIM_ANY_LIST(VIM_REF, VIM_M_View, &refs.list);
}

static const struct mo_property manager_props[] = {MO_PROPERTY(ViewManager, viewList, get_views)};
static const struct mo_method manager_methods[] = {
    MO_METHOD(CreateContainerView, create_container),
    MO_METHOD(CreateInventoryView, create_inventory),
    MO_METHOD(CreateListView, create_list),
    MO_METHOD(CreateListViewFromView, create_list_from_view),
};
static const struct mo_class manager_class = {
    .type = VIM_MANAGED(ViewManager),
    .props = manager_props,
    .methods = manager_methods,
    .prop_count = ARRAY_SIZE(manager_props),
    .method_count = ARRAY_SIZE(manager_methods),
};

int view_init(struct api *api)
{
    struct manager *manager = calloc(1, sizeof *manager);
    if (!manager)
        abort();
    manager->api = api;
    manager->mo = (struct mo){.class = &manager_class, .id = "ViewManager"};
    int r = mo_add(api->registry, NULL, &manager->mo);
    if (r < 0)
        free(manager);
    return r;
}

void view_exit(struct api *api)
{
    struct mo *mo = mo_find(api->registry, "ViewManager");
    if (!mo)
        return;
    mo_remove(mo);
    free(container_of(mo, struct manager, mo));
}
