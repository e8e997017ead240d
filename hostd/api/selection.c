/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/api/selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/api/property_path.h"
#include "hostd/api/vim_types.gen.h"

struct traversal {
    const struct vim_TraversalSpec *spec;
    const struct vim_managed *type;
    const struct vim_property *prop;
};

struct selection {
    struct arena *arena;
    const struct vim_PropertyFilterSpec *spec;
    VIM_LIST(struct traversal) traversals;
    VIM_LIST(const struct vim_managed *) types; /* of spec->propSet, in its order */
    struct select_paths *paths;                 /* by type, as they were needed */
    size_t items;                               /* members of all selection sets */
    unsigned version;
};

/* --- preparing --- */

static void invalid_type(struct call *call, const char *name)
{
    struct vim_InvalidType *fault = VIM_NEW(call->arena, InvalidType);
    fault->argument = arena_strdup(call->arena, name);
    call_fault(call, &fault->self);
}

static void invalid_property(struct call *call, const char *path)
{
    struct vim_InvalidProperty *fault = VIM_NEW(call->arena, InvalidProperty);
    fault->name = arena_strdup(call->arena, path);
    call_fault(call, &fault->self);
}

static int prepare_properties(struct selection *s, struct call *call)
{
    size_t count = 0;
    for (size_t i = 0; i < s->spec->propSet.count; i++) {
        const struct vim_PropertySpec *set = s->spec->propSet.items[i];
        const struct vim_managed *type = vim_find_managed(set->type);
        if (!type) {
            invalid_type(call, set->type);
            return -EINVAL;
        }
        VIM_ADD(s->arena, &s->types, type);
        count += set->pathSet.count;
        if (count > SELECTION_PATHS_MAX) {
            call_fault_argument(call, "specSet.propSet.pathSet");
            return -E2BIG;
        }
        for (size_t j = 0; j < set->pathSet.count; j++)
            if (!property_path_check(type, set->pathSet.items[j])) {
                invalid_property(call, set->pathSet.items[j]);
                return -EINVAL;
            }
    }
    return 0;
}

/* Collects the traversal specs of a set, and of theirs. As deep as the request was nested. */
static int prepare_set(struct selection *s, struct call *call, size_t count,
                       struct vim_SelectionSpec **items)
{
    for (size_t i = 0; i < count; i++) {
        const struct vim_TraversalSpec *spec = VIM_AS(TraversalSpec, items[i]);
        if (!spec)
            continue;
        struct traversal t = {.spec = spec, .type = vim_find_managed(spec->type)};
        if (!t.type) {
            invalid_type(call, spec->type);
            return -EINVAL;
        }
        t.prop = property_path_check(t.type, spec->path);
        if (!t.prop) {
            invalid_property(call, spec->path);
            return -EINVAL;
        }
        if (s->traversals.count == SELECTION_TRAVERSALS_MAX) {
            call_fault_argument(call, "specSet.objectSet.selectSet");
            return -E2BIG;
        }
        VIM_ADD(s->arena, &s->traversals, t);
        int r = prepare_set(s, call, spec->selectSet.count, spec->selectSet.items);
        if (r)
            return r;
    }
    return 0;
}

/* The spec itself, or the one that its name names. */
static const struct traversal *resolve(const struct selection *s,
                                       const struct vim_SelectionSpec *item)
{
    bool itself = item->self.type != VIM_TYPE(SelectionSpec);
    for (size_t i = 0; i < s->traversals.count; i++) {
        const struct traversal *t = &s->traversals.items[i];
        if (itself ? (const void *)t->spec == item
                   : t->spec->name && item->name && !strcmp(t->spec->name, item->name))
            return t;
    }
    return NULL;
}

static int check_names(struct selection *s, struct call *call, size_t count,
                       struct vim_SelectionSpec **items)
{
    for (size_t i = 0; i < count; i++) {
        const struct traversal *t = s->items++ < SELECTION_ITEMS_MAX ? resolve(s, items[i]) : NULL;
        if (!t) {
            call_fault_argument(call, "specSet.objectSet.selectSet.name");
            return -EINVAL;
        }
        if ((const void *)t->spec == items[i]) {
            int r = check_names(s, call, t->spec->selectSet.count, t->spec->selectSet.items);
            if (r)
                return r;
        }
    }
    return 0;
}

struct selection *selection_prepare(struct call *call, struct arena *arena,
                                    const struct vim_PropertyFilterSpec *spec)
{
    struct selection *s = arena_new(arena, struct selection);
    s->arena = arena;
    s->spec = spec;
    s->version = call->version;
    int r = prepare_properties(s, call);
    for (size_t i = 0; !r && i < spec->objectSet.count; i++) {
        const struct vim_ObjectSpec *object = spec->objectSet.items[i];
        r = prepare_set(s, call, object->selectSet.count, object->selectSet.items);
    }
    for (size_t i = 0; !r && i < spec->objectSet.count; i++) {
        const struct vim_ObjectSpec *object = spec->objectSet.items[i];
        r = check_names(s, call, object->selectSet.count, object->selectSet.items);
    }
    return r ? NULL : s;
}

/* --- running --- */

/* A set of (object, what was done with it). */
struct marks {
    struct mark {
        const struct mo *mo;
        size_t tag;
    } * slots; /* mo NULL: free */
    size_t room, count;
};
enum { REACHED, SELECTED, TRAVERSED }; /* tags; TRAVERSED + index of the traversal */

static size_t mark_slot(const struct marks *marks, const struct mo *mo, size_t tag)
{
    uint64_t h = ((uintptr_t)mo >> 4 ^ tag * 0x9e3779b9) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32) & (marks->room - 1);
    while (marks->slots[i].mo && (marks->slots[i].mo != mo || marks->slots[i].tag != tag))
        i = (i + 1) & (marks->room - 1);
    return i;
}

/* True when it was not in the set yet. */
static bool mark(struct marks *marks, const struct mo *mo, size_t tag)
{
    if (marks->count * 2 >= marks->room) {
        struct marks grown = {.room = marks->room ? marks->room * 2 : 64};
        grown.slots = calloc(grown.room, sizeof *grown.slots);
        if (!grown.slots)
            abort();
        for (size_t i = 0; i < marks->room; i++)
            if (marks->slots[i].mo)
                grown.slots[mark_slot(&grown, marks->slots[i].mo, marks->slots[i].tag)] =
                    marks->slots[i];
        grown.count = marks->count;
        free(marks->slots);
        *marks = grown;
    }
    size_t i = mark_slot(marks, mo, tag);
    if (marks->slots[i].mo)
        return false;
    marks->slots[i] = (struct mark){mo, tag};
    marks->count++;
    return true;
}

struct run {
    struct selection *s;
    struct call *call;
    struct arena queue_arena, scratch;
    struct marks marks;
    VIM_LIST(struct todo {
        struct mo *mo;
        size_t count;
        struct vim_SelectionSpec **items;
    })
    queue;
    void (*visit)(void *ctx, struct mo *mo, bool selected);
    void *ctx;
};

static void reach(struct run *run, struct mo *mo, bool selected, size_t count,
                  struct vim_SelectionSpec **items)
{
    if (mark(&run->marks, mo, REACHED))
        run->visit(run->ctx, mo, false);
    if (selected && mark(&run->marks, mo, SELECTED))
        run->visit(run->ctx, mo, true);
    if (count)
        VIM_ADD(&run->queue_arena, &run->queue, ((struct todo){mo, count, items}));
}

static void reach_ref(struct run *run, const struct traversal *t, struct vim_ref ref)
{
    struct call *call = run->call;
    struct mo *mo = mo_resolve(call->api->registry, call->scope, ref);
    if (mo && (mo->scope || call->api->ops->visible(call, mo)))
        reach(run, mo, !(t->spec->skip.set && t->spec->skip.v), t->spec->selectSet.count,
              t->spec->selectSet.items);
}

static int follow(struct run *run, struct mo *mo, const struct traversal *t)
{
    struct call *call = run->call;
    if (!call->session && selection_denied(call, mo, t->prop)) {
        call_fault(call, selection_denied(call, mo, t->prop));
        return -EACCES;
    }
    struct arena *arena = call->arena;
    call->arena = &run->scratch;
    struct vim_any value = property_path_walk(mo_get(mo, t->prop, call), t->spec->path);
    call->arena = arena;
    if (value.shape.kind == VIM_REF && value.shape.list)
        for (size_t i = 0; i < value.list.count; i++)
            reach_ref(run, t, ((struct vim_ref *)value.list.items)[i]);
    else if (value.shape.kind == VIM_REF)
        reach_ref(run, t, value.ref);
    arena_free(&run->scratch);
    return 0;
}

static int run_queue(struct run *run)
{
    for (size_t done = 0; done < run->queue.count; done++) {
        struct todo todo = run->queue.items[done];
        for (size_t i = 0; i < todo.count; i++) {
            const struct traversal *t = resolve(run->s, todo.items[i]);
            size_t tag = TRAVERSED + (size_t)(t - run->s->traversals.items);
            if (!vim_managed_is(todo.mo->class->type, t->type) || !mark(&run->marks, todo.mo, tag))
                continue;
            int r = follow(run, todo.mo, t);
            if (r)
                return r;
        }
    }
    return 0;
}

int selection_run(struct selection *s, struct call *call, bool strict,
                  void (*visit)(void *ctx, struct mo *mo, bool selected), void *ctx)
{
    struct run run = {.s = s, .call = call, .visit = visit, .ctx = ctx};
    bool report =
        s->spec->reportMissingObjectsInResults.set && s->spec->reportMissingObjectsInResults.v;
    int r = 0;
    for (size_t i = 0; !r && i < s->spec->objectSet.count; i++) {
        const struct vim_ObjectSpec *object = s->spec->objectSet.items[i];
        struct mo *mo = mo_resolve(call->api->registry, call->scope, object->obj);
        if (mo && !mo->scope && call->session && !call->api->ops->visible(call, mo))
            mo = NULL;
        if (mo)
            reach(&run, mo, !(object->skip.set && object->skip.v), object->selectSet.count,
                  object->selectSet.items);
        else if (strict && !report) {
            if (call->session)
                call_fault_not_found(
                    call,
                    (struct vim_ref){object->obj.type, arena_strdup(call->arena, object->obj.id)});
            else
                CALL_FAULT(call, NotAuthenticated); /* strangers do not learn what is there */
            r = -ENOENT;
        }
    }
    if (!r)
        r = run_queue(&run);
    free(run.marks.slots);
    arena_free(&run.queue_arena);
    arena_free(&run.scratch);
    return r;
}

bool selection_follows(const struct selection *s, unsigned prop)
{
    for (size_t i = 0; i < s->traversals.count; i++)
        if (s->traversals.items[i].prop == &vim_managed_props[prop])
            return true;
    return false;
}

/* --- properties --- */

static void add_path(struct selection *s, struct select_paths *paths, size_t *room,
                     const char *path, const struct vim_property *prop)
{
    size_t first = paths->count;
    for (size_t i = 0; i < paths->count; i++) {
        if (!strcmp(paths->items[i].path, path))
            return;
        if (paths->items[i].prop == prop && first == paths->count)
            first = i;
    }
    if (paths->count == *room) {
        struct select_path *more = arena_array(s->arena, *room * 2 + 8, sizeof *more);
        if (paths->count)
            memcpy(more, paths->items, paths->count * sizeof *more);
        *room = *room * 2 + 8;
        paths->items = more;
    }
    paths->items[paths->count++] = (struct select_path){path, prop, first, false};
    paths->items[first].keep |= property_path_is_whole(path);
}

static void add_all(struct selection *s, struct select_paths *paths, size_t *room,
                    const struct vim_managed *type)
{
    if (!type)
        return;
    add_all(s, paths, room, type->base);
    for (unsigned i = 0; i < type->prop_count; i++)
        if (type->props[i].since <= s->version)
            add_path(s, paths, room, type->props[i].name, &type->props[i]);
}

static struct select_paths *make_paths(struct selection *s, const struct vim_managed *type)
{
    struct select_paths *paths = arena_new(s->arena, struct select_paths);
    size_t room = 0;
    bool wanted = false;
    paths->type = type;
    for (size_t i = 0; i < s->types.count; i++) {
        const struct vim_PropertySpec *set = s->spec->propSet.items[i];
        if (!vim_managed_is(type, s->types.items[i]))
            continue;
        wanted = true;
        if (set->all.set && set->all.v)
            add_all(s, paths, &room, type);
        for (size_t j = 0; j < set->pathSet.count; j++)
            add_path(s, paths, &room, set->pathSet.items[j],
                     property_path_check(s->types.items[i], set->pathSet.items[j]));
    }
    if (!wanted)
        paths->count = SIZE_MAX; /* remembered as not reported */
    return paths;
}

const struct select_paths *selection_paths(struct selection *s, const struct vim_managed *type)
{
    struct select_paths *paths = s->paths;
    while (paths && paths->type != type)
        paths = paths->next;
    if (!paths) {
        paths = make_paths(s, type);
        paths->next = s->paths;
        s->paths = paths;
    }
    return paths->count == SIZE_MAX ? NULL : paths;
}

/* Where the declaration says nothing: entities must be readable, all else visible. */
static const char *privilege_of(const struct mo *mo, const struct vim_property *prop)
{
    if (prop->priv)
        return prop->priv;
    return vim_managed_is(mo->class->type, VIM_MANAGED(ManagedEntity)) ? "System.Read"
                                                                       : "System.View";
}

struct vim_data *selection_denied(struct call *call, struct mo *mo, const struct vim_property *prop)
{
    const char *priv = privilege_of(mo, prop);
    if (!strcmp(priv, "System.Anonymous"))
        return NULL;
    if (!call->session) {
        struct vim_NotAuthenticated *fault = VIM_NEW(call->arena, NotAuthenticated);
        fault->object = mo_ref(mo);
        fault->privilegeId = priv;
        return &fault->self;
    }
    if (mo->scope || !call->api->ops->authorize(call, mo, priv))
        return NULL;
    struct vim_NoPermission *fault = VIM_NEW(call->arena, NoPermission);
    fault->object = mo_ref(mo);
    fault->privilegeId = priv;
    return &fault->self;
}

/* Most properties of an object need the same privilege: asked once in a row. */
static struct vim_data *denied_again(struct call *call, struct mo *mo,
                                     const struct vim_property *prop, const char **priv,
                                     struct vim_data **last)
{
    const char *needed = privilege_of(mo, prop);
    if (!*priv || strcmp(*priv, needed) != 0)
        *last = selection_denied(call, mo, prop);
    *priv = needed;
    return *last;
}

void selection_read(struct call *call, struct mo *mo, const struct select_paths *paths,
                    struct arena *scratch, bool keep, struct select_value *values)
{
    struct arena *arena = call->arena;
    struct vim_any *tops = arena_array(scratch, paths->count, sizeof *tops);
    const char *priv = NULL;
    struct vim_data *denied = NULL;
    for (size_t i = 0; i < paths->count; i++) {
        const struct select_path *path = &paths->items[i];
        struct vim_data *fault = denied_again(call, mo, path->prop, &priv, &denied);
        values[i] = (struct select_value){0};
        if (fault) {
            values[i].fault = fault_localized(arena, fault, NULL);
            continue;
        }
        if (path->first == i) {
            call->arena = keep && path->keep ? arena : scratch;
            tops[i] = mo_get(mo, path->prop, call);
            call->arena = arena;
        }
        values[i].value = property_path_walk(tops[path->first], path->path);
    }
}
