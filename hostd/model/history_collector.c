/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/history_collector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/entity.h"
#include "hostd/session/session.h"

static unsigned serial, living;

static struct history_collector *collector_of(struct mo *mo)
{
    return container_of(mo, struct history_collector, mo);
}

/* --- filters --- */

_Static_assert((int)VIM_EventFilterSpecRecursionOption_self ==
                       (int)VIM_TaskFilterSpecRecursionOption_self &&
                   (int)VIM_EventFilterSpecRecursionOption_children ==
                       (int)VIM_TaskFilterSpecRecursionOption_children,
               "one function serves both");

bool history_in_path(const char *path, const char *id, int recursion)
{
    size_t len = strlen(id);
    const char *first = *path == '/' ? path + 1 : path;

    for (const char *at = first; *at;) {
        size_t part = strcspn(at, "/");
        if (part == len && !memcmp(at, id, len))
            return at == first ? recursion != VIM_EventFilterSpecRecursionOption_children
                               : recursion != VIM_EventFilterSpecRecursionOption_self;
        at += part + (at[part] == '/');
    }
    return false;
}

bool history_by_user(const struct vim_list *users, bool system, const char *user)
{
    const char *const *names = users->items;

    if (!users->count && !system)
        return true;
    if (!*user)
        return system;
    for (size_t i = 0; i < users->count; i++)
        if (!strcmp(names[i], user))
            return true;
    return false;
}

/* Of what is gone, the nearest that is left decides. */
static bool may_see(const struct history_collector *c, const char *path)
{
    char id[ENTITY_ID_MAX];

    for (const char *at = *path ? path + 1 : path; *at;) {
        size_t len = strcspn(at, "/");
        (void)snprintf(id, sizeof id, "%.*s", (int)len, at);
        struct mo *mo = mo_find(c->hostd->api.registry, id);
        struct entity *entity = mo ? entity_from(mo) : NULL;
        if (entity)
            return entity_allows(c->hostd, c->user, entity, "System.View");
        at += len + (at[len] == '/');
    }
    return false;
}

static bool matches(const struct history_collector *c, const struct state_row *row)
{
    return c->kind->matches(c, row) && may_see(c, row->path);
}

/* --- reading --- */

/* Numbers of the rows that match, as many as are wanted. */
struct reading {
    const struct history_collector *collector;
    int64_t *numbers;
    unsigned count, max;
};

static bool take(void *ctx, const struct state_row *row)
{
    struct reading *reading = ctx;

    if (matches(reading->collector, row))
        reading->numbers[reading->count++] = row->number;
    return reading->count < reading->max;
}

static void read_on(const struct history_collector *c, int64_t from, bool up,
                    struct reading *reading)
{
    reading->collector = c;
    state_scan(c->hostd->state, c->kind->list, from, up, take, reading);
}

typedef VIM_LIST(struct vim_data *) data_list;

static struct vim_any as_value(const struct history_collector *c, data_list *list)
{
    if (!list->items)
        VIM_EMPTY(list);
    return VIM_ANY_LIST(VIM_DATA, c->kind->type, list);
}

static void add_body(const struct history_collector *c, int64_t number, struct arena *arena,
                     data_list *list)
{
    struct vim_data *body = c->kind->body(c, number, arena);

    if (body)
        VIM_ADD(arena, list, body);
}

static struct vim_any bodies(const struct history_collector *c, const struct reading *reading,
                             struct arena *arena)
{
    data_list list = {0};

    for (unsigned i = 0; i < reading->count; i++)
        add_body(c, reading->numbers[i], arena, &list);
    return as_value(c, &list);
}

static bool check_count(struct call *call, int32_t count)
{
    if (count < 1)
        call_fault_argument(call, "maxCount");
    return count >= 1;
}

_Static_assert(offsetof(struct vim_ReadNextEvents_args, maxCount) ==
                       offsetof(struct vim_ReadNextTasks_args, maxCount) &&
                   offsetof(struct vim_ReadNextEvents_args, maxCount) ==
                       offsetof(struct vim_ReadPreviousEvents_args, maxCount) &&
                   offsetof(struct vim_ReadNextEvents_args, maxCount) ==
                       offsetof(struct vim_ReadPreviousTasks_args, maxCount),
               "one reader for the four methods");

static void read_page(struct mo *mo, struct call *call, bool up)
{
    struct history_collector *c = collector_of(mo);
    int32_t max = ((const struct vim_ReadNextEvents_args *)call->args)->maxCount;
    int64_t numbers[HISTORY_PAGE_MAX];
    struct reading reading = {.numbers = numbers, .max = (unsigned)MIN(max, HISTORY_PAGE_MAX)};

    if (!check_count(call, max))
        return;
    read_on(c, c->at, up, &reading);
    if (reading.count)
        c->at = numbers[reading.count - 1] + up;
    call_return(call, bodies(c, &reading, call->arena));
}

void history_read_next(struct mo *mo, struct call *call)
{
    read_page(mo, call, true);
}

void history_read_previous(struct mo *mo, struct call *call)
{
    read_page(mo, call, false);
}

static void reverse(int64_t *numbers, unsigned count)
{
    for (unsigned i = 0; i < count / 2; i++) {
        int64_t other = numbers[count - 1 - i];
        numbers[count - 1 - i] = numbers[i];
        numbers[i] = other;
    }
}

/* --- the newest page --- */

static void show(struct history_collector *c)
{
    struct reading reading = {.numbers = c->shown, .max = c->page};

    read_on(c, INT64_MAX, false, &reading);
    c->shown_count = reading.count;
    reverse(c->shown, reading.count);
}

/* Room for `page` rows; false without memory, and all is as it was. */
static bool set_page(struct history_collector *c, unsigned page)
{
    int64_t *room = realloc(c->shown, page * sizeof *room);

    if (!room)
        return false;
    c->shown = room;
    c->page = page;
    show(c);
    return true;
}

static bool is_shown(const struct history_collector *c, int64_t number)
{
    for (unsigned i = c->shown_count; i && c->shown[i - 1] >= number; i--)
        if (c->shown[i - 1] == number)
            return true;
    return false;
}

static void offer(struct history_collector *c, const struct state_row *row)
{
    bool match = matches(c, row), was = is_shown(c, row->number);

    if (match && !was && (!c->shown_count || row->number > c->shown[c->shown_count - 1])) {
        if (c->shown_count == c->page)
            memmove(c->shown, c->shown + 1, --c->shown_count * sizeof *c->shown);
        c->shown[c->shown_count++] = row->number;
    } else if (match != was) {
        show(c); /* it became another one: seldom */
    } else if (!match) {
        return;
    }
    mo_changed(&c->mo, c->kind->latest);
}

void history_offer(struct hostd *hostd, enum state_list list, const struct state_row *row)
{
    for (struct mo *mo = NULL;
         (mo = mo_next(hostd->api.registry, VIM_MANAGED(HistoryCollector), mo));)
        if (collector_of(mo)->kind->list == list)
            offer(collector_of(mo), row);
}

struct vim_any history_get_latest(struct mo *mo, struct call *call)
{
    const struct history_collector *c = collector_of(mo);
    data_list list = {0};

    for (unsigned i = c->shown_count; i; i--)
        add_body(c, c->shown[i - 1], call->arena, &list);
    return as_value(c, &list);
}

/* --- life --- */

static struct history_collector *make(struct call *call, const struct history_kind *kind,
                                      const struct vim_data *filter)
{
    struct history_collector *c = calloc(1, sizeof *c);
    struct vim_any value = vim_any_data_((struct vim_data *)(uintptr_t)filter);

    if (!c)
        return NULL;
    living++;
    c->hostd = hostd_of(call);
    c->kind = kind;
    c->filter = vim_copy(&c->arena, &value).data;
    (void)snprintf(c->user, sizeof c->user, "%s", call->session->user);
    (void)snprintf(c->id, sizeof c->id, "session[%.20s]hc-%u", call->session->key, ++serial);
    c->mo.class = kind->class;
    c->mo.id = c->id;
    return c;
}

void history_release(struct mo *mo)
{
    struct history_collector *c = collector_of(mo);

    living--;
    arena_free(&c->arena);
    free(c->shown);
    free(c);
}

void history_create(struct call *call, const struct history_kind *kind,
                    const struct vim_data *filter)
{
    struct history_collector *c = living < HISTORY_COLLECTORS_MAX ? make(call, kind, filter) : NULL;

    if (c && set_page(c, HISTORY_PAGE) && mo_add(call->api->registry, call->scope, &c->mo) == 0) {
        call_return(call, mo_value(&c->mo));
        return;
    }
    if (c)
        history_release(&c->mo);
    CALL_FAULT(call, InvalidState);
}

void history_query(struct call *call, const struct history_kind *kind,
                   const struct vim_data *filter)
{
    struct history_collector *c = make(call, kind, filter);
    int64_t numbers[HISTORY_PAGE_MAX];
    struct reading reading = {.numbers = numbers, .max = HISTORY_PAGE_MAX};

    if (!c) {
        CALL_FAULT(call, SystemError);
        return;
    }
    read_on(c, INT64_MAX, false, &reading);
    reverse(numbers, reading.count);
    call_return(call, bodies(c, &reading, call->arena));
    history_release(&c->mo);
}

/* --- what both have --- */

static void set_page_size(struct mo *mo, struct call *call)
{
    const struct vim_SetCollectorPageSize_args *args = call->args;

    if (!check_count(call, args->maxCount))
        return;
    if (set_page(collector_of(mo), (unsigned)MIN(args->maxCount, HISTORY_PAGE_MAX)))
        mo_changed(mo, collector_of(mo)->kind->latest);
    else
        CALL_FAULT(call, SystemError);
}

static void rewind_collector(struct mo *mo, struct call *call)
{
    (void)call;
    collector_of(mo)->at = 0;
}

/* Behind the newest: ReadPrevious gives the newest first. */
static void reset_collector(struct mo *mo, struct call *call)
{
    (void)call;
    collector_of(mo)->at = (int64_t)state_last(collector_of(mo)->hostd->state) + 1;
}

static void destroy_collector(struct mo *mo, struct call *call)
{
    (void)call;
    mo_remove(mo);
    history_release(mo);
}

static struct vim_any get_filter(struct mo *mo, struct call *call)
{
    (void)call;
    return vim_any_data_(collector_of(mo)->filter);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HistoryCollector, filter, get_filter),
};
static const struct mo_method methods[] = {
    MO_METHOD(SetCollectorPageSize, set_page_size),
    MO_METHOD(RewindCollector, rewind_collector),
    MO_METHOD(ResetCollector, reset_collector),
    MO_METHOD(DestroyCollector, destroy_collector),
};
const struct mo_class history_collector_class = {
    .type = VIM_MANAGED(HistoryCollector),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
