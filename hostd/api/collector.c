/* SPDX-License-Identifier: Apache-2.0 */
/* The property collectors as managed objects: the one that everybody knows, of which each session
 * has its own share, and those that sessions make. */
#include "hostd/api/collector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/range.h"
#include "hostd/api/collector_impl.h"
#include "hostd/api/vim_types.gen.h"

static const struct mo_class shared_class, own_class;

static void not_found(struct waiter *waiter)
{
    call_fault_not_found(waiter->call, waiter->call->target);
}

static void collector_free(struct collector *collector)
{
    mo_remove(&collector->mo);
    waiters_end(collector, not_found);
    while (collector->filters)
        filter_destroy(collector->filters);
    retrieval_free_all(collector);
    free(collector);
}

static void on_scope_end(struct mo *mo)
{
    collector_free(container_of(mo, struct collector, mo));
}

static struct collector *make(struct call *call, struct collectors *engine)
{
    struct collector *collector = calloc(1, sizeof *collector);
    if (!collector)
        abort();
    (void)snprintf(collector->id, sizeof collector->id, "session-collector-%" PRIu64,
                   ++engine->next_id);
    collector->mo = (struct mo){.class = &own_class, .id = collector->id};
    collector->engine = engine;
    (void)mo_add(call->api->registry, call->scope, &collector->mo); /* the id is new */
    return collector;
}

struct collector *collector_of(struct call *call)
{
    if (call->mo->class == &own_class)
        return container_of(call->mo, struct collector, mo);
    if (!call->scope) {
        CALL_FAULT(call, NotAuthenticated);
        return NULL;
    }
    if (!call->scope->collector)
        call->scope->collector = &make(call, container_of(call->mo, struct collectors, mo))->mo;
    return container_of(call->scope->collector, struct collector, mo);
}

static void create_filter(struct mo *mo, struct call *call)
{
    struct vim_CreateFilter_args *args = call->args;
    struct collector *collector = collector_of(call);
    struct filter *filter;
    if (!collector || filter_create(call, collector, args->spec, args->partialUpdates, &filter) < 0)
        return;
    mo_changed(mo, VIM_P_PropertyCollector_filter);
    call_return(call, mo_value(&filter->mo));
}

static void create_collector(struct mo *mo, struct call *call)
{
    struct collector *parent = collector_of(call);
    size_t count = 0;
    for (struct mo *m = call->scope ? call->scope->first : NULL; m; m = m->scope_next)
        count += m->class == &own_class;
    if (count >= COLLECTORS_MAX)
        CALL_FAULT_TEXT(call, InvalidRequest, "The session has %d property collectors already.",
                        COLLECTORS_MAX);
    else if (parent)
        call_return(call, mo_value(&make(call, parent->engine)->mo));
}

/* The one that everybody knows stays; its session's share goes. */
static void destroy_collector(struct mo *mo, struct call *call)
{
    struct collector *collector = collector_of(call);
    if (collector)
        collector_free(collector);
}

static struct vim_any get_filters(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ref) list = {0};
    struct mo *own = mo->class == &own_class ? mo : call->scope ? call->scope->collector : NULL;
    VIM_EMPTY(&list);
    if (own)
        for (struct filter *f = container_of(own, struct collector, mo)->filters; f; f = f->next)
            VIM_ADD(call->arena, &list, mo_ref(&f->mo));
    return VIM_ANY_LIST(VIM_REF, VIM_M_PropertyFilter, &list);
}

static const struct mo_property props[] = {MO_PROPERTY(PropertyCollector, filter, get_filters)};
static const struct mo_method methods[] = {
    MO_METHOD(CancelRetrievePropertiesEx, retrieve_cancel),
    MO_METHOD(CancelWaitForUpdates, cancel_wait_for_updates),
    MO_METHOD(CheckForUpdates, check_for_updates),
    MO_METHOD(ContinueRetrievePropertiesEx, retrieve_continue),
    MO_METHOD(CreateFilter, create_filter),
    MO_METHOD(CreatePropertyCollector, create_collector),
    MO_METHOD(DestroyPropertyCollector, destroy_collector),
    MO_METHOD(RetrieveProperties, retrieve_properties),
    MO_METHOD(RetrievePropertiesEx, retrieve_properties_ex),
    MO_METHOD(WaitForUpdates, wait_for_updates),
    MO_METHOD(WaitForUpdatesEx, wait_for_updates_ex),
};

static const struct mo_class shared_class = {
    .type = VIM_MANAGED(PropertyCollector),
    .props = props,
    .methods = methods,
    .prop_count = ARRAY_SIZE(props),
    .method_count = ARRAY_SIZE(methods),
};

static const struct mo_class own_class = {
    .type = VIM_MANAGED(PropertyCollector),
    .props = props,
    .methods = methods,
    .prop_count = ARRAY_SIZE(props),
    .method_count = ARRAY_SIZE(methods),
    .destroy = on_scope_end,
};

int collector_init(struct api *api)
{
    struct collectors *engine = calloc(1, sizeof *engine);
    if (!engine)
        abort();
    engine->api = api;
    engine->mo = (struct mo){.class = &shared_class, .id = "ha-property-collector"};
    int r = loop_add_timer(api->loop, &engine->kick, waiters_kicked, engine);
    if (!r)
        r = loop_add_timer(api->loop, &engine->deadline, waiters_timed_out, engine);
    if (!r)
        r = mo_add(api->registry, NULL, &engine->mo);
    if (r < 0) {
        loop_del(&engine->kick);
        loop_del(&engine->deadline);
        free(engine);
    }
    return r;
}

void collector_exit(struct api *api)
{
    struct mo *mo = mo_find(api->registry, "ha-property-collector");
    if (!mo)
        return;
    struct collectors *engine = container_of(mo, struct collectors, mo);
    mo_remove(mo);
    loop_del(&engine->kick);
    loop_del(&engine->deadline);
    free(engine);
}
