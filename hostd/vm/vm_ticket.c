/* SPDX-License-Identifier: Apache-2.0 */
/* Console tickets, and the WebSocket that one is good for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/http/handshake.h"
#include "hostd/session/session.h"
#include "hostd/task/worker.h"
#include "hostd/up/cert.h"
#include "hostd/vm/vm_screen.h"
#include "vm/process/console.h"

#define INTERACT "VirtualMachine.Interact.ConsoleInteract"

enum { BOUND_MAX = 32 };

/* --- acquiring --- */

static const char *issue(struct call *call, struct virtual_machine *vm, const char *what)
{
    char text[SESSION_SECRET_TEXT], bound[BOUND_MAX];

    (void)snprintf(bound, sizeof bound, "%s %.16s", what, vm->e.id);
    if (ticket_issue(hostd_of(call)->sessions, call->session, TICKET_CONSOLE, bound, text) < 0) {
        CALL_FAULT(call, SystemError);
        return NULL;
    }
    return arena_strdup(call->arena, text);
}

static const char *thumbprint(struct call *call)
{
    char print[CERT_THUMBPRINT_MAX];

    return cert_thumbprint("SHA1", print) == 0 ? arena_strdup(call->arena, print) : NULL;
}

static const char *config_file(struct call *call, const struct virtual_machine *vm)
{
    return arena_printf(call->arena, "/vmfs/volumes/%s/%s", vm->datastore->e.name, vm->rel);
}

void vm_acquire_ticket(struct mo *mo, struct call *call)
{
    static const char *const types[][2] = {{"webmks", "mks"}, {"mks", "mks"}, {"serial", "serial"}};
    const struct vim_AcquireTicket_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    const char *what = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (!strcmp(args->ticketType, types[i][0]))
            what = types[i][1];
    if (!what) {
        call_fault_argument(call, "ticketType");
        return;
    }
    if (call_authorize(call, mo, INTERACT) < 0 || !vm_require_on(call, vm))
        return;
    struct vim_VirtualMachineTicket *out = VIM_NEW(call->arena, VirtualMachineTicket);
    if (!(out->ticket = issue(call, vm, what)))
        return;
    out->cfgFile = config_file(call, vm);
    out->port = vim_int((int32_t)hostd_of(call)->port);
    out->sslThumbprint = thumbprint(call);
    EVENT_POST(vm->e.hostd, VmAcquiredMksTicketEvent, &vm->e, call->session->user,
               "A ticket for %s has been acquired", vm->e.name);
    call_return(call, vim_any_data(out));
}

void vm_acquire_mks_ticket(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (!vm_require_on(call, vm))
        return;
    struct vim_VirtualMachineMksTicket *out = VIM_NEW(call->arena, VirtualMachineMksTicket);
    if (!(out->ticket = issue(call, vm, "mks")))
        return;
    out->cfgFile = config_file(call, vm);
    out->port = vim_int((int32_t)hostd_of(call)->port);
    out->sslThumbprint = thumbprint(call);
    EVENT_POST(vm->e.hostd, VmAcquiredMksTicketEvent, &vm->e, call->session->user,
               "A ticket for %s has been acquired", vm->e.name);
    call_return(call, vim_any_data(out));
}

/* --- opening --- */

/* The serial port is asked for on a worker: its keeper has to answer. */
struct serial_job {
    struct http_exchange *x; /* NULL: the client has gone */
    char keeper_path[40], headers[HTTP_HANDSHAKE_MAX];
    int console, stream, rc;
};

/* Leaves HTTP, and hands the connection to the VM's process. */
static void hand_over(struct http_exchange *x, const char *headers, int console, int stream)
{
    struct console_message m = {.kind = stream >= 0 ? CONSOLE_STREAM : CONSOLE_VIEWER, .value = 1};
    cleanup_fd int fd = -1;

    if (http_upgrade(x, headers, &fd) < 0) {
        http_answer_text(x, 400, "nothing may follow before the answer");
        return;
    }
    const int fds[] = {fd, stream};
    (void)console_send(console, &m, fds, stream >= 0 ? 2 : 1);
}

static void serial_work(void *arg)
{
    struct serial_job *job = arg;

    job->rc = keeper_serial(job->keeper_path, &job->stream);
}

static void serial_done(void *arg)
{
    struct serial_job *job = arg;

    if (job->x) {
        job->x->gone = NULL;
        if (job->rc == 0)
            hand_over(job->x, job->headers, job->console, job->stream);
        else
            http_answer_text(job->x, 409,
                             job->rc == -ENXIO ? "the serial port ends elsewhere"
                                               : "the VM does not answer");
    }
    (void)close_fd(job->stream);
    (void)close_fd(job->console);
    free(job);
}

static void serial_gone(struct http_exchange *x)
{
    ((struct serial_job *)x->user)->x = NULL;
}

static void open_serial(struct virtual_machine *vm, struct http_exchange *x, const char *headers,
                        int console)
{
    struct serial_job *job = calloc(1, sizeof *job);

    if (job) {
        *job = (struct serial_job){.x = x, .console = console, .stream = -1};
        (void)snprintf(job->keeper_path, sizeof job->keeper_path, "%s", vm->keeper_path);
        (void)snprintf(job->headers, sizeof job->headers, "%s", headers);
        x->user = job;
        x->gone = serial_gone;
    }
    if (job && worker_post(vm->e.hostd->worker, serial_work, serial_done, job) == 0)
        return;
    x->gone = NULL;
    free(job);
    (void)close_fd(console);
    http_answer_text(x, 503, "out of memory");
}

/* The VM that a ticket is for, if who acquired it may still look; *ret_serial: by which door. */
static struct virtual_machine *redeem(struct hostd *hostd, const char *ticket, bool *ret_serial)
{
    char bound[BOUND_MAX];
    struct session *session =
        ticket_open(hostd->sessions, TICKET_CONSOLE, ticket, bound, sizeof bound);
    const char *id = session ? strchr(bound, ' ') : NULL;
    struct virtual_machine *vm = id ? vm_by_id(hostd, id + 1) : NULL;

    if (!vm || !entity_allows(hostd, session->user, &vm->e, INTERACT))
        return NULL;
    *ret_serial = !strncmp(bound, "serial ", 7);
    return vm;
}

void vm_ticket_serve(struct hostd *hostd, struct http_exchange *x)
{
    const char *ticket = x->head.path + strlen("/ticket/");
    bool serial = false;
    char headers[HTTP_HANDSHAKE_MAX];
    int console;

    if (!http_handshake(&x->head, headers)) {
        http_answer_text(x, 400, "not a WebSocket handshake");
        return;
    }
    struct virtual_machine *vm = redeem(hostd, ticket, &serial);
    if (!vm) {
        http_answer_text(x, 404, "no such ticket");
        return;
    }
    if (vm->power != VM_ON || keeper_console(vm->keeper.fd, &console) < 0) {
        http_answer_text(x, 409, "the VM does not run");
        return;
    }
    if (serial) {
        open_serial(vm, x, headers, console);
        return;
    }
    hand_over(x, headers, console, -1);
    (void)close_fd(console);
}
