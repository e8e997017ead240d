/* SPDX-License-Identifier: Apache-2.0 */
/* A property filter: the objects that its spec selects, watched, and which change of which property
 * was when. Changes are only marked when they happen; somebody who waits or asks makes it look. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/collector_impl.h"
#include "hostd/api/vim_types.gen.h"

/* --- entries --- */

static struct entry **bucket(struct filter *filter, const struct mo *mo)
{
    return &filter->buckets[((uintptr_t)mo >> 4) % filter->bucket_count];
}

static void unhash(struct entry *entry)
{
    struct entry **slot = bucket(entry->filter, entry->mo);
    while (*slot != entry)
        slot = &(*slot)->hash_next;
    *slot = entry->hash_next;
    entry->mo = NULL;
}

static void rehash(struct filter *filter)
{
    free(filter->buckets);
    filter->bucket_count = filter->bucket_count ? filter->bucket_count * 2 + 1 : 7;
    filter->buckets = calloc(filter->bucket_count, sizeof(struct entry *));
    if (!filter->buckets)
        abort();
    for (struct entry *e = filter->entries; e; e = e->next)
        if (e->mo) {
            struct entry **slot = bucket(filter, e->mo);
            e->hash_next = *slot;
            *slot = e;
        }
}

static void on_changed(struct mo_watch *watch, unsigned prop)
{
    struct entry *entry = container_of(watch, struct entry, watch);
    struct filter *filter = entry->filter;
    if (prop == MO_GONE) {
        unhash(entry);
        filter->select_again = true;
    } else {
        bool asked = false;
        for (size_t i = 0; entry->selected && !asked && i < entry->paths->count; i++)
            asked = entry->paths->items[i].prop == &vim_managed_props[prop];
        entry->dirty |= asked;
        filter->dirty |= asked;
        filter->select_again |= selection_follows(filter->selection, prop);
    }
    if (filter->dirty || filter->select_again)
        waiters_look(filter->collector);
}

static struct entry *find_entry(struct filter *filter, const struct mo *mo)
{
    struct entry *e = filter->bucket_count ? *bucket(filter, mo) : NULL;
    while (e && e->mo != mo)
        e = e->hash_next;
    return e;
}

static struct entry *add_entry(struct filter *filter, struct mo *mo)
{
    struct entry *entry = calloc(1, sizeof *entry);
    char *id = strdup(mo->id);
    if (!entry || !id)
        abort();
    if (filter->entry_count >= filter->bucket_count)
        rehash(filter);
    entry->filter = filter;
    entry->mo = mo;
    entry->ref = (struct vim_ref){mo->class->type, id};
    entry->watch.changed = on_changed;
    mo_watch(mo, &entry->watch);
    entry->prev = filter->end;
    *filter->end = entry;
    filter->end = &entry->next;
    struct entry **slot = bucket(filter, mo);
    entry->hash_next = *slot;
    *slot = entry;
    filter->entry_count++;
    filter->scope->watched += ENTRY_WEIGHT;
    return entry;
}

/* Forgets the values; the object stays. */
static void drop_tracked(struct entry *entry)
{
    if (entry->tracked)
        entry->filter->scope->watched -= entry->paths->count;
    free(entry->tracked);
    entry->tracked = NULL;
}

static void free_entry(struct entry *entry)
{
    struct filter *filter = entry->filter;
    drop_tracked(entry);
    filter->scope->watched -= ENTRY_WEIGHT;
    if (entry->mo)
        unhash(entry);
    mo_unwatch(&entry->watch);
    *entry->prev = entry->next;
    *(entry->next ? &entry->next->prev : &filter->end) = entry->prev;
    filter->entry_count--;
    free((char *)entry->ref.id);
    free(entry);
}

/* --- what changed --- */

static void visit(void *ctx, struct mo *mo, bool selected)
{
    struct filter *filter = ctx;
    struct entry *entry = find_entry(filter, mo);
    if (!entry)
        entry = add_entry(filter, mo);
    entry->seen = true;
    if (selected) {
        entry->paths = selection_paths(filter->selection, mo->class->type);
        entry->selected = entry->paths != NULL;
    }
}

/* Of a value or of the fault that stands for it. */
static uint64_t hash_of(const struct select_value *value)
{
    struct vim_any fault = vim_any_data(value->fault);
    return value->fault ? ~vim_hash(&fault) : vim_hash(&value->value);
}

/* Reads the object's properties and numbers the change, if there is one. */
static void compare(struct entry *entry, struct call *call)
{
    struct arena cleanup_arena scratch = {0};
    struct arena *arena = call->arena;
    size_t count = entry->paths->count;
    struct select_value *values = arena_array(&scratch, count, sizeof *values);
    call->arena = &scratch;
    selection_read(call, entry->mo, entry->paths, &scratch, false, values);
    call->arena = arena;
    uint64_t seq = entry->filter->collector->seq + 1;
    entry->dirty = false;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = hash_of(&values[i]);
        if (entry->tracked[i].hash == hash && entry->enter_seq != seq)
            continue;
        entry->tracked[i] = (struct tracked){hash, seq};
        entry->seq = seq;
    }
    if (entry->seq == seq || entry->enter_seq == seq)
        entry->filter->collector->seq = seq;
}

static void enter(struct entry *entry, struct call *call)
{
    struct filter *filter = entry->filter;
    drop_tracked(entry);
    if (filter->scope->watched + entry->paths->count > WATCHED_MAX) {
        filter->too_large = true;
        entry->selected = false;
        return;
    }
    filter->scope->watched += entry->paths->count;
    entry->tracked = calloc(entry->paths->count + 1, sizeof *entry->tracked);
    if (!entry->tracked)
        abort();
    entry->enter_seq = entry->seq = entry->filter->collector->seq + 1;
    compare(entry, call);
}

/* The entry becomes the memory of an object that left. If the object is still on the way to others,
 * it gets a new one. */
static void leave(struct entry *entry)
{
    struct filter *filter = entry->filter;
    struct mo *mo = entry->mo;
    entry->leave_seq = ++filter->collector->seq;
    filter->left_count++;
    drop_tracked(entry);
    mo_unwatch(&entry->watch);
    if (!mo)
        return;
    unhash(entry);
    if (entry->seen)
        add_entry(filter, mo)->seen = true;
}

static void forget_oldest(struct filter *filter)
{
    struct collector *collector = filter->collector;
    for (struct entry *e = filter->entries, *next; e && filter->left_count > LEFT_MAX; e = next) {
        next = e->next;
        if (!e->leave_seq)
            continue;
        collector->forgotten = MAX(collector->forgotten, e->leave_seq);
        filter->left_count--;
        free_entry(e);
    }
}

static void select_again(struct filter *filter, struct call *call)
{
    for (struct entry *e = filter->entries; e; e = e->next)
        if (!e->leave_seq) {
            e->was_selected = e->selected;
            e->selected = e->seen = false;
        }
    (void)selection_run(filter->selection, call, false, visit, filter);
    for (struct entry *e = filter->entries, *next; e; e = next) {
        next = e->next;
        if (e->leave_seq)
            continue;
        if (e->was_selected && !e->selected)
            leave(e);
        else if (e->selected && !e->was_selected)
            enter(e, call);
        else if (!e->seen)
            free_entry(e);
    }
    forget_oldest(filter);
}

void filter_refresh(struct filter *filter, struct call *call)
{
    if (filter->scope->watched >= WATCHED_MAX)
        filter->too_large = true;
    if (filter->too_large)
        return;
    if (filter->select_again) {
        filter->select_again = false;
        select_again(filter, call);
    }
    if (!filter->dirty)
        return;
    filter->dirty = false;
    for (struct entry *e = filter->entries; e; e = e->next)
        if (e->dirty && e->selected && e->mo)
            compare(e, call);
}

/* --- the object --- */

static struct vim_any get_spec(struct mo *mo, struct call *call)
{
    return vim_any_data(container_of(mo, struct filter, mo)->spec);
}

static struct vim_any get_partial(struct mo *mo, struct call *call)
{
    return vim_any_bool(container_of(mo, struct filter, mo)->partial);
}

static void destroy_filter(struct mo *mo, struct call *call)
{
    filter_destroy(container_of(mo, struct filter, mo));
}

static void on_scope_end(struct mo *mo)
{
    filter_destroy(container_of(mo, struct filter, mo));
}

static const struct mo_property props[] = {
    MO_PROPERTY(PropertyFilter, spec, get_spec),
    MO_PROPERTY(PropertyFilter, partialUpdates, get_partial),
};
static const struct mo_method methods[] = {MO_METHOD(DestroyPropertyFilter, destroy_filter)};
static const struct mo_class filter_class = {
    .type = VIM_MANAGED(PropertyFilter),
    .props = props,
    .methods = methods,
    .prop_count = ARRAY_SIZE(props),
    .method_count = ARRAY_SIZE(methods),
    .destroy = on_scope_end,
};

static void visit_nothing(void *ctx, struct mo *mo, bool selected) {}

/* Takes the spec along and finds out at once what is wrong with it. */
static int prepare(struct filter *filter, struct call *call,
                   const struct vim_PropertyFilterSpec *spec)
{
    struct vim_any value = vim_any_data((struct vim_PropertyFilterSpec *)spec);
    value = vim_copy(&filter->arena, &value);
    filter->spec = (struct vim_PropertyFilterSpec *)value.data;
    filter->selection = selection_prepare(call, &filter->arena, filter->spec);
    if (!filter->selection)
        return -EINVAL;
    return selection_run(filter->selection, call, true, visit_nothing, NULL);
}

int filter_create(struct call *call, struct collector *collector,
                  const struct vim_PropertyFilterSpec *spec, bool partial,
                  struct filter **ret_filter)
{
    if (collector->filter_count >= FILTERS_MAX) {
        CALL_FAULT_TEXT(call, InvalidRequest, "The property collector has %d filters already.",
                        FILTERS_MAX);
        return -ENOSPC;
    }
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        abort();
    filter->end = &filter->entries;
    int r = prepare(filter, call, spec);
    if (r < 0) {
        arena_free(&filter->arena);
        free(filter);
        return r;
    }
    (void)snprintf(filter->id, sizeof filter->id, "session-filter-%" PRIu64,
                   ++collector->engine->next_id);
    filter->mo = (struct mo){.class = &filter_class, .id = filter->id};
    filter->collector = collector;
    filter->scope = call->scope;
    filter->partial = partial;
    filter->select_again = true;
    filter->next = collector->filters;
    collector->filters = filter;
    collector->filter_count++;
    (void)mo_add(call->api->registry, call->scope, &filter->mo); /* the id is new */
    waiters_look(collector);
    *ret_filter = filter;
    return 0;
}

void filter_destroy(struct filter *filter)
{
    struct collector *collector = filter->collector;
    struct filter **at = &collector->filters;
    while (*at != filter)
        at = &(*at)->next;
    *at = filter->next;
    collector->filter_count--;
    mo_changed(&collector->mo, VIM_P_PropertyCollector_filter);
    mo_remove(&filter->mo);
    while (filter->entries)
        free_entry(filter->entries);
    free(filter->buckets);
    arena_free(&filter->arena);
    free(filter);
}
