/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_maintenance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/loop.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/session/session.h"
#include "hostd/task/task.h"

#define KEY     "maintenanceMode"
#define LOOK_NS UINT64_C(250000000)

struct maintenance {
    struct hostd *hostd;
    struct task *entering; /* NULL: nobody is on the way in */
    uint64_t deadline;     /* ns; 0: none */
    char user[64];
    struct loop_source timer;
};

bool maintenance_in(const struct hostd *hostd)
{
    struct vim_any value = host_config_extra(&hostd->config, KEY);

    return value.shape.kind == VIM_BOOL && value.b;
}

bool maintenance_closed(const struct hostd *hostd)
{
    return hostd->maintenance->entering || maintenance_in(hostd);
}

static int set(struct hostd *hostd, bool in, struct err *err)
{
    struct arena cleanup_arena arena = {0};
    struct vim_HostConfigSpec spec = *hostd->config.spec;

    host_config_set_extra(&arena, &spec, KEY, vim_any_bool(in));
    int rc = host_config_store(&hostd->config, &spec, err);
    mo_changed(&hostd->inventory->host.mo, VIM_P_HostSystem_runtime);
    mo_changed(&hostd->inventory->host.mo, VIM_P_HostSystem_summary);
    return rc;
}

static bool any_vm_runs(struct hostd *hostd)
{
    for (struct entity *e = NULL;
         (e = inventory_next(hostd->inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_of(&e->mo)->power != VM_OFF)
            return true;
    return false;
}

static void entered(struct maintenance *m)
{
    struct task *task = m->entering;
    struct err err = ERR_INIT;

    m->entering = NULL;
    int rc = set(m->hostd, true, &err);
    if (rc < 0) {
        task_fail_errno(task, rc, &err, NULL);
        return;
    }
    EVENT_POST(m->hostd, EnteredMaintenanceModeEvent, &m->hostd->inventory->host, m->user,
               "Host %s has entered maintenance mode", m->hostd->inventory->host.name);
    task_succeed(task, vim_any_none());
}

static void look(struct maintenance *m)
{
    struct arena cleanup_arena arena = {0};
    struct task *task = m->entering;

    if (!any_vm_runs(m->hostd)) {
        entered(m);
    } else if (m->deadline && clock_now() >= m->deadline) {
        m->entering = NULL;
        task_fail(task, &VIM_NEW(&arena, Timedout)->self, NULL);
    } else {
        (void)loop_timer_arm(&m->timer, clock_now() + LOOK_NS);
    }
}

static void on_timer(void *ctx, uint32_t events)
{
    struct maintenance *m = ctx;

    (void)events;
    if (m->entering)
        look(m);
}

static void cancel(struct task *task)
{
    struct arena cleanup_arena arena = {0};
    struct maintenance *m = task->ctx;

    m->entering = NULL;
    task_fail(task, &VIM_NEW(&arena, RequestCanceled)->self, NULL);
}

void host_enter_maintenance(struct mo *mo, struct call *call)
{
    const struct vim_EnterMaintenanceMode_Task_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct maintenance *m = hostd->maintenance;

    if (maintenance_closed(hostd)) {
        CALL_FAULT(call, InvalidState);
        return;
    }
    struct task *task = task_start(call, ENTITY_OF(entity, mo));
    if (!task)
        return;
    m->entering = task;
    task->cancel = cancel;
    task->ctx = m;
    m->deadline = args->timeout > 0 ? clock_now() + (uint64_t)args->timeout * 1000000000 : 0;
    (void)snprintf(m->user, sizeof m->user, "%s", call->session->user);
    EVENT_POST(hostd, EnteringMaintenanceModeEvent, &hostd->inventory->host, m->user,
               "Host %s is entering maintenance mode", hostd->inventory->host.name);
    look(m);
}

void host_exit_maintenance(struct mo *mo, struct call *call)
{
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    if (!maintenance_in(hostd)) {
        CALL_FAULT(call, InvalidState);
        return;
    }
    struct task *task = task_start(call, ENTITY_OF(entity, mo));
    if (!task)
        return;
    int rc = set(hostd, false, &err);
    if (rc < 0) {
        task_fail_errno(task, rc, &err, NULL);
        return;
    }
    EVENT_POST(hostd, ExitMaintenanceModeEvent, &hostd->inventory->host, call->session->user,
               "Host %s has left maintenance mode", hostd->inventory->host.name);
    task_succeed(task, vim_any_none());
}

int maintenance_create(struct hostd *hostd, struct maintenance **ret_maintenance)
{
    struct maintenance *m = calloc(1, sizeof *m);
    int rc = m ? loop_add_timer(hostd->loop, &m->timer, on_timer, m) : -ENOMEM;

    if (rc < 0) {
        free(m);
        return rc;
    }
    m->hostd = hostd;
    *ret_maintenance = m;
    return 0;
}

void maintenance_destroy(struct maintenance *m)
{
    if (!m)
        return;
    loop_del(&m->timer);
    free(m);
}
