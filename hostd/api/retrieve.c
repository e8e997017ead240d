/* SPDX-License-Identifier: Apache-2.0 */
/* Reading properties once: Fetch, RetrieveProperties, RetrievePropertiesEx and its pages.
 *
 * A retrieval is what is left of a request: the objects that were found and not sent yet, by their
 * ids, for they may go between two pages. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/api/collector_impl.h"
#include "hostd/api/property_path.h"
#include "hostd/api/vim_types.gen.h"

enum {
    SPECS_MAX = 200,      /* of one request */
    FOUND_MAX = 100000,   /* objects, of all its specs */
    VALUES_MAX = 2000000, /* values of one answer */
};

struct retrieval {
    struct arena arena; /* specs, selections, ids */
    struct retrieval *next;
    uint64_t token;
    size_t max;                  /* objects a page; 0: all */
    struct selection *selection; /* the one that is run */
    VIM_LIST(struct found {
        struct vim_ref ref;
        struct selection *selection;
    })
    found;
    size_t sent;
};

static void retrieval_free(struct retrieval *retrieval)
{
    if (!retrieval)
        return;
    arena_free(&retrieval->arena);
    free(retrieval);
}
DEFINE_CLEANUP(struct retrieval *, retrieval_free)

void retrieval_free_all(struct collector *collector)
{
    while (collector->continuations) {
        struct retrieval *next = collector->continuations->next;
        retrieval_free(collector->continuations);
        collector->continuations = next;
    }
}

/* --- one object --- */

static struct vim_ObjectContent *retrieve_object(struct call *call,
                                                 const struct select_paths *paths, struct mo *mo)
{
    struct arena cleanup_arena scratch = {0};
    struct vim_ObjectContent *content = VIM_NEW(call->arena, ObjectContent);
    struct select_value *values = arena_array(&scratch, paths->count, sizeof *values);
    content->obj = mo_ref(mo);
    selection_read(call, mo, paths, &scratch, true, values);
    for (size_t i = 0; i < paths->count; i++) {
        const struct select_path *path = &paths->items[i];
        if (values[i].fault) {
            struct vim_MissingProperty *missing = VIM_NEW(call->arena, MissingProperty);
            missing->path = arena_strdup(call->arena, path->path);
            missing->fault = values[i].fault;
            VIM_ADD(call->arena, &content->missingSet, missing);
        } else if (values[i].value.shape.kind != VIM_NONE) {
            struct vim_DynamicProperty *prop = VIM_NEW(call->arena, DynamicProperty);
            prop->name = arena_strdup(call->arena, path->path);
            prop->val = paths->items[path->first].keep ? values[i].value
                                                       : vim_copy(call->arena, &values[i].value);
            VIM_ADD(call->arena, &content->propSet, prop);
        }
    }
    return content;
}

void collector_fetch(struct mo *mo, struct call *call)
{
    struct vim_Fetch_args *args = call->args;
    const struct vim_property *prop = property_path_check(mo->class->type, args->prop);
    if (!prop) {
        struct vim_InvalidProperty *fault = VIM_NEW(call->arena, InvalidProperty);
        fault->name = args->prop;
        call_fault(call, &fault->self);
        return;
    }
    struct vim_data *denied = selection_denied(call, mo, prop);
    if (denied)
        call_fault(call, denied);
    else
        call_return(call, property_path_walk(mo_get(mo, prop, call), args->prop));
}

/* --- many --- */

static void add_found(void *ctx, struct mo *mo, bool selected)
{
    struct retrieval *retrieval = ctx;
    if (!selected || retrieval->found.count >= FOUND_MAX ||
        !selection_paths(retrieval->selection, mo->class->type))
        return;
    struct vim_ref ref = {mo->class->type, arena_strdup(&retrieval->arena, mo->id)};
    VIM_ADD(&retrieval->arena, &retrieval->found, ((struct found){ref, retrieval->selection}));
}

/* Finds all objects. Takes the specs along, for they outlive the call when there are pages. */
static int retrieval_start(struct call *call, size_t count, struct vim_PropertyFilterSpec **specs,
                           struct retrieval *retrieval)
{
    if (count > SPECS_MAX) {
        call_fault_argument(call, "specSet");
        return -E2BIG;
    }
    for (size_t i = 0; i < count; i++) {
        struct vim_any spec = vim_any_data(specs[i]);
        if (retrieval->max)
            spec = vim_copy(&retrieval->arena, &spec);
        retrieval->selection = selection_prepare(call, &retrieval->arena,
                                                 (const struct vim_PropertyFilterSpec *)spec.data);
        if (!retrieval->selection)
            return -EINVAL;
        int r = selection_run(retrieval->selection, call, true, add_found, retrieval);
        if (r)
            return r;
    }
    return 0;
}

struct contents {
    VIM_LIST(struct vim_ObjectContent *) list;
};

/* The next page; objects that went in the meantime are left out. 0, or -errno with the fault set.
 */
static int retrieval_page(struct call *call, struct retrieval *retrieval, struct contents *ret_page)
{
    struct contents page = {0};
    size_t values = 0;
    while (retrieval->sent < retrieval->found.count &&
           (!retrieval->max || page.list.count < retrieval->max)) {
        const struct found *found = &retrieval->found.items[retrieval->sent++];
        struct mo *mo = mo_resolve(call->api->registry, call->scope, found->ref);
        const struct select_paths *paths =
            mo ? selection_paths(found->selection, mo->class->type) : NULL;
        if (!paths)
            continue;
        values += paths->count;
        if (values > VALUES_MAX) {
            CALL_FAULT_TEXT(call, InvalidRequest, "More than %d values are asked for at once.",
                            VALUES_MAX);
            return -E2BIG;
        }
        struct vim_ObjectContent *content = retrieve_object(call, paths, mo);
        if (!call->session && content->missingSet.count) {
            call_fault(call, &content->missingSet.items[0]->fault->fault->self);
            return -EACCES;
        }
        VIM_ADD(call->arena, &page.list, content);
    }
    *ret_page = page;
    return 0;
}

void retrieve_properties(struct mo *mo, struct call *call)
{
    struct vim_RetrieveProperties_args *args = call->args;
    struct retrieval CLEANUP(retrieval_free_cleanup_) *retrieval = calloc(1, sizeof *retrieval);
    struct contents page;
    if (!retrieval)
        abort();
    if (!retrieval_start(call, args->specSet.count, args->specSet.items, retrieval) &&
        !retrieval_page(call, retrieval, &page))
        call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_ObjectContent, &page.list));
}

/* Keeps what is left for the next page; the token is its number. */
static char *keep(struct call *call, struct collector *collector, struct retrieval *retrieval)
{
    retrieval->token = ++collector->engine->next_id;
    retrieval->next = collector->continuations;
    collector->continuations = retrieval;
    struct retrieval *last = retrieval;
    for (unsigned i = 1; last->next && i < CONTINUATIONS_MAX; i++)
        last = last->next;
    retrieval_free(last->next);
    last->next = NULL;
    return arena_printf(call->arena, "%" PRIu64, retrieval->token);
}

static struct retrieval *take(struct collector *collector, const char *token)
{
    char text[24];
    for (struct retrieval **p = &collector->continuations; *p; p = &(*p)->next) {
        (void)snprintf(text, sizeof text, "%" PRIu64, (*p)->token);
        if (!strcmp(text, token)) {
            struct retrieval *retrieval = *p;
            *p = retrieval->next;
            retrieval->next = NULL;
            return retrieval;
        }
    }
    return NULL;
}

/* One page of it, and what is left is kept. */
static void answer_page(struct call *call, struct retrieval *retrieval, bool always)
{
    struct retrieval CLEANUP(retrieval_free_cleanup_) *owned = retrieval;
    struct contents page;
    if (retrieval_page(call, retrieval, &page) < 0)
        return;
    if (!page.list.count && !always)
        return; /* nothing selected: no result at all */
    struct vim_RetrieveResult *result = VIM_NEW(call->arena, RetrieveResult);
    result->objects.count = page.list.count;
    result->objects.items = page.list.items;
    if (retrieval->sent < retrieval->found.count) {
        struct collector *collector = collector_of(call);
        if (!collector)
            return;
        result->token = keep(call, collector, TAKE_PTR(owned));
    }
    call_return(call, vim_any_data(result));
}

void retrieve_properties_ex(struct mo *mo, struct call *call)
{
    struct vim_RetrievePropertiesEx_args *args = call->args;
    if (args->options->maxObjects.set && args->options->maxObjects.v <= 0) {
        call_fault_argument(call, "options.maxObjects");
        return;
    }
    struct retrieval *retrieval = calloc(1, sizeof *retrieval);
    if (!retrieval)
        abort();
    retrieval->max =
        args->options->maxObjects.set && call->session ? (size_t)args->options->maxObjects.v : 0;
    if (retrieval_start(call, args->specSet.count, args->specSet.items, retrieval) < 0)
        retrieval_free(retrieval);
    else
        answer_page(call, retrieval, false);
}

void retrieve_continue(struct mo *mo, struct call *call)
{
    struct vim_ContinueRetrievePropertiesEx_args *args = call->args;
    struct collector *collector = collector_of(call);
    struct retrieval *retrieval = collector ? take(collector, args->token) : NULL;
    if (retrieval)
        answer_page(call, retrieval, true);
    else if (collector)
        call_fault_argument(call, "token");
}

void retrieve_cancel(struct mo *mo, struct call *call)
{
    struct vim_CancelRetrievePropertiesEx_args *args = call->args;
    struct collector *collector = collector_of(call);
    struct retrieval *retrieval = collector ? take(collector, args->token) : NULL;
    if (collector && !retrieval)
        call_fault_argument(call, "token");
    retrieval_free(retrieval);
}
