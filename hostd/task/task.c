/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/task/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/history_collector.h"
#include "hostd/session/session.h"
#include "hostd/store/state.h"
#include "hostd/up/rootdir.h"

enum { SWEEP_S = 10 };
#define SECONDS(n) ((uint64_t)(n)*1000000000)

struct tasks {
    struct hostd *hostd;
    struct task *first; /* newest first */
    unsigned count;
    struct loop_source sweep;
};

static int64_t now_us(void)
{
    return clock_realtime(&clock_host) / 1000;
}

static void changed(struct task *task)
{
    mo_changed(&task->mo, VIM_P_Task_info);
}

static bool ended(const struct task *task)
{
    return task->state == VIM_TaskInfoState_success || task->state == VIM_TaskInfoState_error;
}

/* --- properties and methods --- */

static struct vim_any copied(struct arena *arena, const struct vim_data *data)
{
    struct vim_any value = vim_any_data_((struct vim_data *)(uintptr_t)data);

    return vim_copy(arena, &value);
}

static struct vim_TaskInfo *info_of(struct arena *arena, const struct task *task)
{
    if (task->past)
        return (struct vim_TaskInfo *)(void *)copied(arena, &task->past->self).data;
    struct vim_TaskInfo *info = VIM_NEW(arena, TaskInfo);
    struct vim_TaskReasonUser *reason = VIM_NEW(arena, TaskReasonUser);

    reason->userName = arena_strdup(arena, task->user);
    info->key = arena_strdup(arena, task->id);
    info->task = (struct vim_ref){VIM_MANAGED(Task), info->key};
    info->name = task->name;
    info->descriptionId = arena_strdup(arena, task->description_id);
    info->entity = (struct vim_ref){task->entity_ref.type, arena_strdup(arena, task->entity_id)};
    info->entityName = arena_strdup(arena, task->entity_name);
    info->state = (enum vim_TaskInfoState)task->state;
    info->cancelled = task->cancelled;
    info->cancelable = task->cancel && !ended(task);
    if (task->error)
        info->error =
            (struct vim_LocalizedMethodFault *)(void *)copied(arena, &task->error->self).data;
    info->result = vim_copy(arena, &task->result);
    if (task->state == VIM_TaskInfoState_running && task->progress)
        info->progress = vim_int(task->progress);
    info->reason = (struct vim_TaskReason *)(void *)reason;
    info->queueTime = task->queued_us;
    if (task->started_us)
        info->startTime = vim_time(task->started_us);
    if (task->ended_us)
        info->completeTime = vim_time(task->ended_us);
    info->eventChainId = task->chain;
    return info;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    return vim_any_data(info_of(call->arena, container_of(mo, struct task, mo)));
}

struct vim_TaskInfo *task_info_by_chain(struct hostd *hostd, int32_t chain, struct arena *arena)
{
    for (const struct task *task = hostd->tasks->first; task; task = task->next)
        if (task->chain == chain)
            return info_of(arena, task);
    return NULL;
}

static void invoke_cancel(struct mo *mo, struct call *call)
{
    struct task *task = container_of(mo, struct task, mo);

    if (ended(task)) {
        CALL_FAULT(call, InvalidState);
    } else if (!task->cancel) {
        CALL_FAULT(call, NotSupported);
    } else {
        task->cancelled = true;
        task->cancel(task);
        changed(task);
    }
}

static const struct mo_property properties[] = {MO_PROPERTY(Task, info, get_info)};
static const struct mo_method methods[] = {MO_METHOD(CancelTask, invoke_cancel)};
static const struct mo_class task_class = {
    .type = VIM_MANAGED(Task),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

struct vim_any task_recent(struct hostd *hostd, struct entity *entity, struct call *call)
{
    VIM_LIST(struct vim_ref) list = {0};

    for (struct task *task = hostd->tasks->first; task; task = task->next)
        if ((!entity || task->entity == entity) &&
            (!task->entity || entity_visible(call, &task->entity->mo)))
            VIM_ADD(call->arena, &list, mo_ref(&task->mo));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_REF, VIM_M_Task, &list);
}

struct entity *task_entity(struct hostd *hostd, struct mo *mo)
{
    (void)hostd;
    return container_of(mo, struct task, mo)->entity;
}

/* --- state.db --- */

static void keep(struct hostd *hostd, const struct vim_TaskInfo *info, const char *path)
{
    const struct vim_TaskReasonUser *by = VIM_AS(TaskReasonUser, info->reason);
    const struct state_row row = {
        .number = info->eventChainId,
        .time = info->queueTime,
        .started = info->startTime.v,
        .completed = info->completeTime.v,
        .chain = info->eventChainId,
        .what = vim_enums[VIM_E_TaskInfoState].values[info->state],
        .user = by ? by->userName : "",
        .path = path,
    };

    state_put(hostd->state, STATE_TASKS, &row, &info->self);
    history_offer(hostd, STATE_TASKS, &row);
}

static void keep_task(struct task *task)
{
    struct arena arena = {0};

    keep(task->hostd, info_of(&arena, task), task->path);
    arena_free(&arena);
}

/* --- life --- */

static void forget(struct tasks *tasks, struct task **at)
{
    struct task *task = *at;

    *at = task->next;
    tasks->count--;
    mo_remove(&task->mo);
    arena_free(&task->arena);
    free(task);
}

/* False when its id is taken: then it is freed. */
static bool add(struct tasks *tasks, struct task *task)
{
    task->hostd = tasks->hostd;
    task->mo.class = &task_class;
    task->mo.id = task->id;
    if (mo_add(tasks->hostd->api.registry, NULL, &task->mo) < 0) {
        arena_free(&task->arena);
        free(task);
        return false;
    }
    task->next = tasks->first;
    tasks->first = task;
    tasks->count++;
    return true;
}

/* "VirtualMachine.powerOn" of vim.VirtualMachine and powerOn. */
static void describe(struct task *task, const struct vim_method *method)
{
    const char *dot = strrchr(method->owner->vmodl, '.');

    (void)snprintf(task->description_id, sizeof task->description_id, "%s.%s",
                   dot ? dot + 1 : method->owner->vmodl, method->vmodl);
    (void)snprintf(task->id, sizeof task->id, "haTask-%.40s-%s.%s-%d", task->entity_id,
                   method->owner->vmodl, method->vmodl, task->chain);
}

/* There are too many: one that is waited for, of the same object if there is such. */
static void fault_full(struct call *call, const struct entity *entity)
{
    struct vim_TaskInProgress *fault = VIM_NEW(call->arena, TaskInProgress);
    const struct task *one = NULL;

    for (const struct task *t = hostd_of(call)->tasks->first; t; t = t->next) {
        bool running = t->state == VIM_TaskInfoState_running;
        if (!one || (running && (t->entity == entity || one->state != VIM_TaskInfoState_running)))
            one = t;
    }
    fault->task = mo_ref(&one->mo);
    call_fault_text(call, &fault->self, "The host has %d tasks, as many as it can.", TASKS_MAX);
}

struct task *task_start(struct call *call, struct entity *entity)
{
    struct tasks *tasks = hostd_of(call)->tasks;
    struct task *task;

    if (tasks->count >= TASKS_MAX) {
        fault_full(call, entity);
        return NULL;
    }
    task = calloc(1, sizeof *task);
    if (!task) {
        CALL_FAULT(call, SystemError);
        return NULL;
    }
    task->entity = entity;
    task->entity_ref = mo_ref(&entity->mo);
    (void)snprintf(task->entity_id, sizeof task->entity_id, "%s", entity->id);
    (void)snprintf(task->entity_name, sizeof task->entity_name, "%s", entity->name);
    (void)snprintf(task->user, sizeof task->user, "%s", call->session ? call->session->user : "");
    task->name = call->method->name;
    task->chain = state_number(tasks->hostd->state);
    task->path = state_path(&task->arena, entity);
    task->state = VIM_TaskInfoState_running;
    task->queued_us = task->started_us = now_us();
    describe(task, call->method);
    if (!add(tasks, task)) {
        CALL_FAULT_TEXT(call, SystemError, "The task's number is taken.");
        return NULL;
    }
    keep_task(task);
    mo_changed(&entity->mo, VIM_P_ManagedEntity_recentTask);
    call_return(call, mo_value(&task->mo));
    return task;
}

void task_progress(struct task *task, int percent)
{
    if (percent == task->progress)
        return;
    task->progress = percent;
    changed(task);
}

static void end(struct task *task, enum vim_TaskInfoState state)
{
    task->state = state;
    task->ended_us = now_us();
    task->cancel = NULL;
    task->ctx = NULL;
    keep_task(task);
    changed(task);
}

void task_succeed(struct task *task, struct vim_any result)
{
    task->result = vim_copy(&task->arena, &result);
    end(task, VIM_TaskInfoState_success);
}

void task_fail(struct task *task, const struct vim_data *fault, const char *text)
{
    struct vim_any value = {.shape = {VIM_DATA, false, (uint16_t)(fault->type - vim_types)},
                            .data = (struct vim_data *)(uintptr_t)fault};
    struct vim_any copy = vim_copy(&task->arena, &value);

    task->error = fault_localized(&task->arena, copy.data, arena_strdup(&task->arena, text));
    end(task, VIM_TaskInfoState_error);
}

const char *fault_named_file(struct arena *arena, const char *text)
{
    static const char below[] = ROOTDIR_DATASTORES "/";
    const char *from = strstr(text, below), *name = from ? from + sizeof below - 1 : NULL;
    const char *slash = name ? strchr(name, '/') : NULL;

    if (!slash)
        return NULL;
    size_t len = strcspn(slash + 1, "\":");
    return arena_printf(arena, "[%.*s] %.*s", (int)(slash - name), name, (int)len, slash + 1);
}

static struct vim_FileFault *no_space(struct arena *arena, const char *file)
{
    struct vim_NoDiskSpace *fault = VIM_NEW(arena, NoDiskSpace);

    fault->datastore =
        *file == '[' ? arena_printf(arena, "%.*s", (int)strcspn(file + 1, "]"), file + 1) : "";
    return (struct vim_FileFault *)(void *)fault;
}

struct vim_data *fault_from_errno(struct arena *arena, int rc, const char *file)
{
    struct vim_FileFault *fault;

    if (rc == -ECANCELED)
        return &VIM_NEW(arena, RequestCanceled)->self;
    if (rc == -ENOTSUP && !file) /* the text says what */
        return &VIM_NEW(arena, NotSupported)->self;
    switch (file ? -rc : 0) {
    case ENOENT:
    case ENOTDIR:
        fault = (struct vim_FileFault *)(void *)VIM_NEW(arena, FileNotFound);
        break;
    case EEXIST:
    case ENOTEMPTY:
        fault = (struct vim_FileFault *)(void *)VIM_NEW(arena, FileAlreadyExists);
        break;
    case ENOSPC:
    case EDQUOT:
        fault = no_space(arena, file);
        break;
    case EBUSY:
    case EWOULDBLOCK:
    case EADDRINUSE:
        fault = (struct vim_FileFault *)(void *)VIM_NEW(arena, FileLocked);
        break;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV:
    case ELOOP:
        fault = (struct vim_FileFault *)(void *)VIM_NEW(arena, CannotAccessFile);
        break;
    case 0:
        return &VIM_NEW(arena, SystemError)->self;
    default:
        fault = VIM_NEW(arena, FileFault);
    }
    fault->file = arena_strdup(arena, file);
    return &fault->self;
}

void task_fail_errno(struct task *task, int rc, const struct err *err, const char *file)
{
    struct arena arena = {0};
    if (!file && err && err->code)
        file = fault_named_file(&arena, err->text);
    struct vim_data *fault = fault_from_errno(&arena, rc, file);
    /* A file's own faults have texts that clients know; the rest is said as we know it. */
    bool standard = rc == -ECANCELED || (file && (rc == -ENOENT || rc == -EEXIST));

    task_fail(task, fault, !standard && err && err->code ? err->text : NULL);
    arena_free(&arena);
}

void task_forget_entity(struct hostd *hostd, struct entity *entity)
{
    for (struct task *task = hostd->tasks->first; task; task = task->next)
        if (task->entity == entity)
            task->entity = NULL;
}

/* --- what an earlier hostd left --- */

struct leftovers {
    struct tasks *tasks;
    int64_t since;
    struct left {
        int64_t number;
        bool ended;
        char path[512];
    } * items;
    unsigned count;
};

static bool collect(void *ctx, const struct state_row *row)
{
    struct leftovers *left = ctx;
    bool over = row->completed != 0;

    if (over && row->completed < left->since)
        return left->count < TASKS_MAX;
    struct left *item = &left->items[left->count++];
    item->number = row->number;
    item->ended = over;
    (void)snprintf(item->path, sizeof item->path, "%s", row->path);
    return left->count < TASKS_MAX;
}

static void end_interrupted(struct hostd *hostd, struct task *task, const char *path)
{
    static const char why[] = "The host's management service was restarted while this was under "
                              "way. What it had done is done; look before doing it again.";
    struct vim_TaskInfo *info = task->past;
    struct vim_SystemError *fault = VIM_NEW(&task->arena, SystemError);
    struct mo *mo = info->entity.id ? mo_find(hostd->api.registry, info->entity.id) : NULL;

    fault->reason = "hostd restarted";
    info->state = VIM_TaskInfoState_error;
    info->completeTime = vim_time(task->ended_us);
    info->cancelable = false;
    info->progress.set = false;
    info->error = fault_localized(&task->arena, &fault->self, why);
    keep(hostd, info, path);
    struct vim_TaskEvent *event = VIM_NEW(&task->arena, TaskEvent);
    event->info = info;
    event->chainId = info->eventChainId;
    event_post(hostd, (struct vim_Event *)(void *)event, mo ? entity_from(mo) : NULL, task->user,
               "%s of %s was interrupted: hostd was restarted", info->name ? info->name : "A task",
               info->entityName ? info->entityName : "this host");
}

static void recover(struct tasks *tasks, const struct left *left)
{
    struct task *task = calloc(1, sizeof *task);
    struct vim_TaskInfo *info =
        task ? (void *)state_body(tasks->hostd->state, STATE_TASKS, left->number, &task->arena)
             : NULL;

    if (!info || strlen(info->key) >= sizeof task->id) {
        free(task);
        return;
    }
    const struct vim_TaskReasonUser *by = VIM_AS(TaskReasonUser, info->reason);
    struct mo *mo = info->entity.id ? mo_find(tasks->hostd->api.registry, info->entity.id) : NULL;
    task->past = info;
    task->chain = info->eventChainId;
    task->entity = mo ? entity_from(mo) : NULL;
    task->ended_us = left->ended ? info->completeTime.v : now_us();
    task->state = left->ended ? (int)info->state : VIM_TaskInfoState_error;
    (void)snprintf(task->id, sizeof task->id, "%s", info->key);
    (void)snprintf(task->user, sizeof task->user, "%s", by ? by->userName : "");
    if (add(tasks, task) && !left->ended)
        end_interrupted(tasks->hostd, task, left->path);
}

void tasks_recover(struct hostd *hostd)
{
    struct leftovers left = {
        .tasks = hostd->tasks,
        .since = now_us() - (int64_t)TASK_KEEP_S * 1000000,
        .items = calloc(TASKS_MAX, sizeof *left.items),
    };

    if (left.items)
        state_scan(hostd->state, STATE_TASKS, INT64_MAX, false, collect, &left);
    for (unsigned i = left.count; i; i--)
        recover(hostd->tasks, &left.items[i - 1]);
    free(left.items);
}

/* --- the sweep --- */

static void on_sweep(void *ctx, uint32_t events)
{
    struct tasks *tasks = ctx;
    int64_t before = now_us() - (int64_t)TASK_KEEP_S * 1000000;

    (void)events;
    for (struct task **at = &tasks->first; *at;)
        if (ended(*at) && (*at)->ended_us < before)
            forget(tasks, at);
        else
            at = &(*at)->next;
    (void)loop_timer_arm(&tasks->sweep, clock_now() + SECONDS(SWEEP_S));
}

int tasks_create(struct hostd *hostd, struct tasks **ret_tasks)
{
    struct tasks *tasks = calloc(1, sizeof *tasks);
    int rc = tasks ? loop_add_timer(hostd->loop, &tasks->sweep, on_sweep, tasks) : -ENOMEM;

    if (rc < 0) {
        free(tasks);
        return rc;
    }
    tasks->hostd = hostd;
    (void)loop_timer_arm(&tasks->sweep, clock_now() + SECONDS(SWEEP_S));
    *ret_tasks = tasks;
    return 0;
}

void tasks_destroy(struct tasks *tasks)
{
    if (!tasks)
        return;
    loop_del(&tasks->sweep);
    while (tasks->first)
        forget(tasks, &tasks->first);
    free(tasks);
}
