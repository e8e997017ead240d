/* SPDX-License-Identifier: Apache-2.0 */
/* Update sets, and the calls that wait for one. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/collector_impl.h"
#include "hostd/api/vim_types.gen.h"

/* An object update that a client at some version is owed. */
struct owed {
    struct entry *entry;
    uint64_t seq;
};

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct owed *)a)->seq, y = ((const struct owed *)b)->seq;
    return x < y ? -1 : x > y;
}

/* All updates after `since`, oldest first. Who never heard of an object need not hear that it left.
 */
static size_t find_owed(struct collector *collector, uint64_t since, struct arena *arena,
                        struct owed **ret_owed)
{
    VIM_LIST(struct owed) list = {0};
    for (struct filter *f = collector->filters; f; f = f->next)
        for (struct entry *e = f->entries; e; e = e->next) {
            uint64_t seq = e->leave_seq ? e->leave_seq : e->selected ? e->seq : 0;
            if (seq > since && !(e->leave_seq && e->enter_seq > since))
                VIM_ADD(arena, &list, ((struct owed){e, seq}));
        }
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, by_seq);
    *ret_owed = list.items;
    return list.count;
}

static void add_change(struct call *call, struct vim_ObjectUpdate *update, const char *path,
                       const struct select_value *value, bool entering)
{
    if (value->fault) {
        struct vim_MissingProperty *missing = VIM_NEW(call->arena, MissingProperty);
        missing->path = path;
        missing->fault = value->fault;
        VIM_ADD(call->arena, &update->missingSet, missing);
        return;
    }
    if (entering && value->value.shape.kind == VIM_NONE)
        return;
    struct vim_PropertyChange *change = VIM_NEW(call->arena, PropertyChange);
    change->name = path;
    change->op = VIM_PropertyChangeOp_assign;
    change->val = vim_copy(call->arena, &value->value);
    VIM_ADD(call->arena, &update->changeSet, change);
}

static struct vim_ObjectUpdate *describe(struct call *call, struct entry *entry, uint64_t since)
{
    struct vim_ObjectUpdate *update = VIM_NEW(call->arena, ObjectUpdate);
    update->obj = entry->ref;
    update->obj.id = arena_strdup(call->arena, entry->ref.id);
    if (entry->leave_seq) {
        update->kind = VIM_ObjectUpdateKind_leave;
        return update;
    }
    bool entering = entry->enter_seq > since;
    update->kind = entering ? VIM_ObjectUpdateKind_enter : VIM_ObjectUpdateKind_modify;
    struct arena cleanup_arena scratch = {0};
    struct select_value *values = arena_array(&scratch, entry->paths->count, sizeof *values);
    selection_read(call, entry->mo, entry->paths, &scratch, false, values);
    for (size_t i = 0; i < entry->paths->count; i++)
        if (entering || entry->tracked[i].seq > since)
            add_change(call, update, entry->paths->items[i].path, &values[i], entering);
    return update;
}

static struct vim_PropertyFilterUpdate *of_filter(struct call *call, struct vim_UpdateSet *set,
                                                  const struct filter *filter)
{
    for (size_t i = 0; i < set->filterSet.count; i++)
        if (!strcmp(set->filterSet.items[i]->filter.id, filter->id))
            return set->filterSet.items[i];
    struct vim_PropertyFilterUpdate *update = VIM_NEW(call->arena, PropertyFilterUpdate);
    update->filter = mo_ref(&filter->mo);
    update->filter.id = arena_strdup(call->arena, filter->id);
    VIM_ADD(call->arena, &set->filterSet, update);
    return update;
}

/* What the client is owed, at most `max` object updates (0: all). NULL: nothing, or the call's
 * fault is set; on the first call (`initial`) an answer without objects then, if there are filters
 * at all. */
static struct vim_UpdateSet *make_updates(struct collector *collector, struct call *call,
                                          uint64_t since, bool initial, int max)
{
    for (struct filter *f = collector->filters; f; f = f->next) {
        filter_refresh(f, call);
        if (f->too_large) {
            CALL_FAULT_TEXT(call, InvalidRequest,
                            "The session's filters watch more than %d values.", WATCHED_MAX);
            return NULL;
        }
    }
    struct arena cleanup_arena scratch = {0};
    struct owed *owed;
    size_t count = find_owed(collector, since, &scratch, &owed);
    if (!count && !(initial && collector->filters))
        return NULL;
    struct vim_UpdateSet *set = VIM_NEW(call->arena, UpdateSet);
    uint64_t version = collector->seq;
    if (max > 0 && count > (size_t)max) {
        count = (size_t)max;
        version = owed[count - 1].seq;
        set->truncated = vim_bool(true);
    }
    set->version = arena_printf(call->arena, "%" PRIu64, version);
    for (size_t i = 0; i < count; i++) {
        struct vim_PropertyFilterUpdate *update = of_filter(call, set, owed[i].entry->filter);
        VIM_ADD(call->arena, &update->objectSet, describe(call, owed[i].entry, since));
    }
    return set;
}

/* --- waiting --- */

static void remove_waiter(struct waiter *waiter)
{
    *waiter->prev = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    waiter->collector->waiter_count--;
}

static void on_cancel(struct call *call)
{
    remove_waiter(call->waiting);
}

static void arm_deadline(struct collectors *engine)
{
    uint64_t first = 0;
    for (struct waiter *w = engine->waiters; w; w = w->next)
        if (w->deadline_ns && (!first || w->deadline_ns < first))
            first = w->deadline_ns;
    (void)loop_timer_arm(&engine->deadline, first);
}

static void end_waiter(struct waiter *waiter)
{
    struct call *call = waiter->call;
    remove_waiter(waiter); /* it lives in the call's arena */
    call_finish(call);
}

void waiters_look(struct collector *collector)
{
    if (collector->waiter_count)
        (void)loop_timer_arm(&collector->engine->kick, 1);
    for (struct waiter *w = collector->engine->waiters; w && collector->waiter_count; w = w->next)
        w->check |= w->collector == collector;
}

/* Ending a call may end others, so the search starts over each time. */
void waiters_kicked(void *ctx, uint32_t events)
{
    struct collectors *engine = ctx;
    struct waiter *w = engine->waiters;
    while (w) {
        if (!w->check) {
            w = w->next;
            continue;
        }
        w->check = false;
        struct vim_UpdateSet *set =
            make_updates(w->collector, w->call, w->since, false, w->max_updates);
        if (!set && !w->call->fault) {
            w = w->next;
            continue;
        }
        if (set)
            call_return(w->call, vim_any_data(set));
        end_waiter(w);
        w = engine->waiters;
    }
}

void waiters_timed_out(void *ctx, uint32_t events)
{
    struct collectors *engine = ctx;
    struct waiter *w = engine->waiters;
    uint64_t now = clock_now();
    while (w) {
        if (w->deadline_ns && w->deadline_ns <= now) {
            end_waiter(w);
            w = engine->waiters;
        } else {
            w = w->next;
        }
    }
    arm_deadline(engine);
}

void waiters_end(struct collector *collector, void (*fault)(struct waiter *waiter))
{
    struct waiter *w = collector->engine->waiters;
    while (w && collector->waiter_count) {
        if (w->collector != collector) {
            w = w->next;
            continue;
        }
        fault(w);
        end_waiter(w);
        w = collector->engine->waiters;
    }
}

static void rest(struct collector *collector, struct call *call, uint64_t since, int max_updates,
                 uint64_t deadline_ns)
{
    struct collectors *engine = collector->engine;
    struct waiter *waiter = arena_new(call->arena, struct waiter);
    *waiter = (struct waiter){
        .next = engine->waiters,
        .prev = &engine->waiters,
        .collector = collector,
        .call = call,
        .since = since,
        .deadline_ns = deadline_ns,
        .max_updates = max_updates,
    };
    if (engine->waiters)
        engine->waiters->prev = &waiter->next;
    engine->waiters = waiter;
    collector->waiter_count++;
    call_later(call, on_cancel, waiter);
    if (deadline_ns)
        arm_deadline(engine);
}

/* --- the methods --- */

enum { FOR_EVER = -1 };

static void updates(struct call *call, const char *version, int max_wait_seconds, int max_updates)
{
    struct collector *collector = collector_of(call);
    uint64_t since = 0;
    bool initial = !version || !*version;
    if (!collector)
        return;
    if (!initial &&
        (parse_u64(version, 0, collector->seq, &since) < 0 || since < collector->forgotten)) {
        CALL_FAULT(call, InvalidCollectorVersion);
        return;
    }
    struct vim_UpdateSet *set = make_updates(collector, call, since, initial, max_updates);
    if (set)
        call_return(call, vim_any_data(set));
    else if (max_wait_seconds && !call->fault)
        rest(collector, call, since, max_updates,
             max_wait_seconds < 0
                 ? 0
                 : clock_now() + (uint64_t)max_wait_seconds * UINT64_C(1000000000));
}

void check_for_updates(struct mo *mo, struct call *call)
{
    struct vim_CheckForUpdates_args *args = call->args;
    updates(call, args->version, 0, 0);
}

void wait_for_updates(struct mo *mo, struct call *call)
{
    struct vim_WaitForUpdates_args *args = call->args;
    updates(call, args->version, FOR_EVER, 0);
}

void wait_for_updates_ex(struct mo *mo, struct call *call)
{
    struct vim_WaitForUpdatesEx_args *args = call->args;
    int seconds = FOR_EVER, max = 0;
    if (args->options && args->options->maxWaitSeconds.set) {
        seconds = args->options->maxWaitSeconds.v;
        if (seconds < 0) {
            call_fault_argument(call, "options.maxWaitSeconds");
            return;
        }
    }
    if (args->options && args->options->maxObjectUpdates.set) {
        max = args->options->maxObjectUpdates.v;
        if (max <= 0) {
            call_fault_argument(call, "options.maxObjectUpdates");
            return;
        }
    }
    updates(call, args->version, seconds, max);
}

static void canceled(struct waiter *waiter)
{
    CALL_FAULT(waiter->call, RequestCanceled);
}

void cancel_wait_for_updates(struct mo *mo, struct call *call)
{
    struct collector *collector = collector_of(call);
    if (collector)
        waiters_end(collector, canceled);
}
