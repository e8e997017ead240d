/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of managed objects: a hash table by id, a list in order of registration, the
 * watchers. */
#include "hostd/api/mo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"

enum { BUCKETS_MIN = 64 };

struct registry {
    struct mo **buckets; /* owned; a power of two of them */
    size_t bucket_count, count;
    struct mo *first, *last;
    struct registry_watch *watches;
};

/* FNV-1a. Ids are our own words, so nobody chooses them to collide. */
static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

int registry_create(struct registry **ret_registry)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return -ENOMEM;
    registry->bucket_count = BUCKETS_MIN;
    registry->buckets = calloc(BUCKETS_MIN, sizeof(struct mo *));
    if (!registry->buckets) {
        free(registry);
        return -ENOMEM;
    }
    *ret_registry = registry;
    return 0;
}

void registry_destroy(struct registry *registry)
{
    if (!registry)
        return;
    while (registry->first)
        mo_remove(registry->first);
    free(registry->buckets);
    free(registry);
}

static struct mo **bucket(struct registry *registry, const char *id)
{
    return &registry->buckets[hash(id) & (registry->bucket_count - 1)];
}

/* Longer chains are the price when memory is out, and no error. */
static void grow(struct registry *registry)
{
    size_t count = registry->bucket_count * 2;
    struct mo **buckets = calloc(count, sizeof(struct mo *));
    if (!buckets)
        return;
    free(registry->buckets);
    registry->buckets = buckets;
    registry->bucket_count = count;
    for (struct mo *mo = registry->first; mo; mo = mo->next) {
        struct mo **slot = bucket(registry, mo->id);
        mo->hash_next = *slot;
        *slot = mo;
    }
}

static void tell_registry_watchers(struct registry *registry)
{
    for (struct registry_watch *w = registry->watches, *next; w; w = next) {
        next = w->next;
        w->changed(w);
    }
}

static void scope_enter(struct mo_scope *scope, struct mo *mo)
{
    mo->scope = scope;
    mo->scope_next = scope->first;
    mo->scope_prev = &scope->first;
    if (scope->first)
        scope->first->scope_prev = &mo->scope_next;
    scope->first = mo;
}

static void scope_leave(struct mo *mo)
{
    if (!mo->scope)
        return;
    *mo->scope_prev = mo->scope_next;
    if (mo->scope_next)
        mo->scope_next->scope_prev = mo->scope_prev;
    if (mo->scope->collector == mo)
        mo->scope->collector = NULL;
    mo->scope = NULL;
}

int mo_add(struct registry *registry, struct mo_scope *scope, struct mo *mo)
{
    if (mo_find(registry, mo->id))
        return -EEXIST;
    if (registry->count >= registry->bucket_count)
        grow(registry);
    struct mo **slot = bucket(registry, mo->id);
    mo->hash_next = *slot;
    *slot = mo;
    mo->next = NULL;
    mo->previous = registry->last;
    *(registry->last ? &registry->last->next : &registry->first) = mo;
    registry->last = mo;
    registry->count++;
    mo->registry = registry;
    mo->watches = NULL;
    mo->scope = NULL;
    if (scope)
        scope_enter(scope, mo);
    else
        tell_registry_watchers(registry);
    return 0;
}

static void tell_gone(struct mo *mo)
{
    while (mo->watches) {
        struct mo_watch *watch = mo->watches;
        mo_unwatch(watch);
        watch->changed(watch, MO_GONE);
    }
}

void mo_remove(struct mo *mo)
{
    struct registry *registry = mo->registry;
    if (!registry)
        return;
    struct mo **slot = bucket(registry, mo->id);
    while (*slot != mo)
        slot = &(*slot)->hash_next;
    *slot = mo->hash_next;
    *(mo->previous ? &mo->previous->next : &registry->first) = mo->next;
    *(mo->next ? &mo->next->previous : &registry->last) = mo->previous;
    registry->count--;
    mo->registry = NULL;
    bool shared = !mo->scope;
    scope_leave(mo);
    tell_gone(mo);
    if (shared)
        tell_registry_watchers(registry);
}

void mo_scope_end(struct mo_scope *scope)
{
    while (scope->first) {
        struct mo *mo = scope->first;
        mo_remove(mo);
        if (mo->class->destroy)
            mo->class->destroy(mo);
    }
}

struct mo *mo_find(struct registry *registry, const char *id)
{
    struct mo *mo = *bucket(registry, id);
    while (mo && strcmp(mo->id, id) != 0)
        mo = mo->hash_next;
    return mo;
}

struct mo *mo_resolve(struct registry *registry, const struct mo_scope *scope, struct vim_ref ref)
{
    struct mo *mo = ref.id ? mo_find(registry, ref.id) : NULL;
    if (!mo || !vim_managed_is(mo->class->type, ref.type) || (mo->scope && mo->scope != scope))
        return NULL;
    return mo;
}

struct vim_ref mo_ref(const struct mo *mo)
{
    return mo ? (struct vim_ref){mo->class->type, mo->id} : (struct vim_ref){0};
}

struct vim_any mo_value(const struct mo *mo)
{
    return vim_any_ref(mo_ref(mo));
}

struct mo *mo_next(struct registry *registry, const struct vim_managed *type, const struct mo *mo)
{
    struct mo *next = mo ? mo->next : registry->first;
    while (next && !vim_managed_is(next->class->type, type))
        next = next->next;
    return next;
}

struct vim_any mo_get(struct mo *mo, const struct vim_property *prop, struct call *call)
{
    size_t index = (size_t)(prop - vim_managed_props);
    for (const struct mo_class *class = mo->class; class; class = class->base)
        for (size_t i = 0; i < class->prop_count; i++)
            if (class->props[i].prop == index)
                return class->props[i].get(mo, call);
    return vim_any_none();
}

mo_invoke *mo_handler(const struct mo *mo, const struct vim_method *method)
{
    size_t index = (size_t)(method - vim_methods);
    for (const struct mo_class *class = mo->class; class; class = class->base)
        for (size_t i = 0; i < class->method_count; i++)
            if (class->methods[i].method == index)
                return class->methods[i].invoke;
    return NULL;
}

/* --- watching --- */

void mo_watch(struct mo *mo, struct mo_watch *watch)
{
    watch->mo = mo;
    watch->next = mo->watches;
    watch->prev = &mo->watches;
    if (mo->watches)
        mo->watches->prev = &watch->next;
    mo->watches = watch;
}

void mo_unwatch(struct mo_watch *watch)
{
    if (!watch->mo)
        return;
    *watch->prev = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    watch->mo = NULL;
}

void mo_changed(struct mo *mo, unsigned prop)
{
    for (struct mo_watch *w = mo->watches, *next; w; w = next) {
        next = w->next;
        w->changed(w, prop);
    }
}

void registry_watch(struct registry *registry, struct registry_watch *watch)
{
    watch->next = registry->watches;
    watch->prev = &registry->watches;
    if (registry->watches)
        registry->watches->prev = &watch->next;
    registry->watches = watch;
}

void registry_unwatch(struct registry_watch *watch)
{
    if (!watch->prev)
        return;
    *watch->prev = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    watch->prev = NULL;
}

void registry_moved(struct registry *registry)
{
    tell_registry_watchers(registry);
}
