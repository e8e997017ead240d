/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: what a method that takes time hands back at once. A handler makes one (task_start), which
 * also becomes the call's answer, does its work on worker threads or by waiting for a VM, and ends
 * it once by task_succeed or task_fail. Ended tasks can be looked at for TASK_KEEP_S, and later
 * through a TaskHistoryCollector.
 *
 * A task is in state.db (store/state.h) before its caller hears of it, and its end before anybody
 * hears of that. The next hostd has those again that can still be looked at; one that was under way
 * when hostd was killed ends then, in state error (tasks_recover).
 *
 * All on the loop's thread. */
#pragma once

#include "hostd/model/entity.h"

enum { TASK_KEEP_S = 600, TASKS_MAX = 4096 };

struct task {
    struct mo mo;
    struct task *next;
    struct hostd *hostd;
    char id[128];
    struct entity *entity; /* NULL once that is gone; the next two stay */
    struct vim_ref entity_ref;
    char entity_id[ENTITY_ID_MAX], entity_name[ENTITY_NAME_MAX + 1];
    char description_id[64];
    const char *name; /* of the method; a constant */
    char user[64];
    int state; /* enum vim_TaskInfoState */
    int progress;
    int32_t chain;
    bool cancelled;
    /* Of an earlier hostd: all that there is to know, in `arena`; the members above but id, chain
     * and entity_id are unused then. NULL for one of ours. */
    struct vim_TaskInfo *past;
    int64_t queued_us, started_us, ended_us;
    const char *path;   /* store/state.h */
    struct arena arena; /* of result, error and path */
    struct vim_any result;
    struct vim_LocalizedMethodFault *error;
    /* NULL: it can not be cancelled. Must lead to task_fail(RequestCanceled) or an end, some time.
     */
    void (*cancel)(struct task *task);
    void *ctx; /* its owner's */
};

struct tasks;
struct vim_TaskInfo;

int tasks_create(struct hostd *hostd, struct tasks **ret_tasks);
void tasks_destroy(struct tasks *tasks);
/* Takes over what an earlier hostd left; once, when the inventory is there. */
void tasks_recover(struct hostd *hostd);

/* Begun, running, and the call's answer. NULL with a fault set when there are too many. */
struct task *task_start(struct call *call, struct entity *entity);
void task_progress(struct task *task, int percent);
void task_succeed(struct task *task, struct vim_any result); /* copied */
/* `text` NULL: the fault's standard one. Copied. */
void task_fail(struct task *task, const struct vim_data *fault, const char *text);
/* For operations: an errno and what was said become the API's nearest fault. */
void task_fail_errno(struct task *task, int rc, const struct err *err, const char *file);

/* An entity is going: tasks forget it. */
void task_forget_entity(struct hostd *hostd, struct entity *entity);
struct entity *task_entity(struct hostd *hostd, struct mo *mo);

/* What a task's row in state.db became meanwhile: of one that is still at hand, its info as it is
 * now; NULL for others. */
struct vim_TaskInfo *task_info_by_chain(struct hostd *hostd, int32_t chain, struct arena *arena);

/* Properties of others: recent tasks of an entity, or of all (NULL). */
struct vim_any task_recent(struct hostd *hostd, struct entity *entity, struct call *call);

/* The file that a message names by our own name for it ("datastores/NAME/..."), as clients know it;
 * NULL: none. */
const char *fault_named_file(struct arena *arena, const char *text);
/* The fault for an errno, in `arena`; never NULL. */
struct vim_data *fault_from_errno(struct arena *arena, int rc, const char *file);
