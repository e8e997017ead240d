/* SPDX-License-Identifier: Apache-2.0 */
/* `socle vm console`: the serial port over a WebSocket, as any client gets it (AcquireTicket), on
 * this terminal. terminal.h has the person's end, a stream socket; what is here carries bytes
 * between that socket and the host's. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/loop.h"
#include "cli/client/inventory.h"
#include "cli/client/websocket.h"
#include "cli/noun/vm.h"
#include "cli/terminal.h"

enum { CHUNK = 16384, TO_PERSON_MAX = 1 << 20, DETACHED = 1, GUEST_GONE = 2 };

const struct option vm_console_options[VM_CONSOLE_OPTIONS] = {
    {"linger", "SECONDS", "leave so long after the end of input (default: stay)", NULL},
};

struct console {
    struct loop *loop;
    struct api_socket *socket;
    struct loop_source from_host, from_person, timer;
    int person; /* our end of the terminal's socket */
    struct websocket_decoder decoder;
    struct buf to_host, to_person; /* on their way */
    size_t to_host_at, to_person_at;
    bool is_terminal, has_linger;
    unsigned linger;
    struct err *err;
};

static void leave(struct console *c, int why)
{
    loop_stop(c->loop, why);
}

static void forget_sent(struct buf *buf, size_t *at)
{
    if (*at == buf->len)
        *at = buf->len = 0;
}

static void rearm(struct console *c)
{
    size_t shown = c->to_person.len - c->to_person_at, typed = c->to_host.len - c->to_host_at;

    (void)loop_mod_fd(&c->from_host,
                      (shown < TO_PERSON_MAX ? EPOLLIN : 0) | (typed ? EPOLLOUT : 0));
    (void)loop_mod_fd(&c->from_person, (typed ? 0 : EPOLLIN) | (shown ? EPOLLOUT : 0));
}

/* --- from the host --- */

static void show(struct console *c)
{
    while (c->to_person_at < c->to_person.len) {
        ssize_t n = send(c->person, c->to_person.data + c->to_person_at,
                         c->to_person.len - c->to_person_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            break;
        c->to_person_at += (size_t)n;
    }
    forget_sent(&c->to_person, &c->to_person_at);
}

static void send_typed(struct console *c)
{
    while (c->to_host_at < c->to_host.len) {
        ssize_t n = api_socket_write(c->socket, c->to_host.data + c->to_host_at,
                                     c->to_host.len - c->to_host_at);
        if (n < 0)
            break;
        c->to_host_at += (size_t)n;
    }
    forget_sent(&c->to_host, &c->to_host_at);
}

static void read_host(struct console *c)
{
    uint8_t bytes[CHUNK];
    ssize_t n = 0;

    while (c->to_person.len - c->to_person_at < TO_PERSON_MAX &&
           (n = api_socket_read(c->socket, bytes, sizeof bytes)) > 0) {
        int rc = websocket_take(&c->decoder, bytes, (size_t)n, &c->to_person, &c->to_host);
        if (rc < 0) {
            leave(c, err_sys(c->err, rc, "the console's connection"));
            return;
        }
        if (c->decoder.closed)
            break;
    }
    show(c);
    if (c->decoder.closed || (n < 0 && n != -EAGAIN))
        leave(c, GUEST_GONE);
}

static void on_host(void *ctx, uint32_t events)
{
    struct console *c = ctx;

    (void)events;
    read_host(c);
    send_typed(c);
    rearm(c);
}

/* --- from the person --- */

static void on_person(void *ctx, uint32_t events)
{
    struct console *c = ctx;
    char bytes[CHUNK];

    if (events & EPOLLIN && !c->to_host.len) {
        ssize_t n = recv(c->person, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0)
            websocket_put(&c->to_host, bytes, (size_t)n);
    }
    send_typed(c);
    show(c);
    rearm(c);
}

static void on_quit(void *ctx)
{
    leave(ctx, DETACHED);
}

static void on_timer(void *ctx, uint32_t events)
{
    (void)events;
    leave(ctx, DETACHED);
}

static void on_input_ended(void *ctx)
{
    struct console *c = ctx;

    if (c->is_terminal)
        leave(c, DETACHED); /* it is gone */
    else if (c->has_linger)
        (void)loop_timer_arm(&c->timer, clock_now() + (uint64_t)c->linger * 1000000000 + 1);
}

/* --- life --- */

/* The terminal is to be as before whatever ends us. */
static struct loop *volatile stop_loop;

static void on_signal(int sig)
{
    struct loop *loop = stop_loop;
    int saved_errno = errno;

    (void)sig;
    if (loop)
        loop_stop(loop, DETACHED);
    errno = saved_errno;
}

static void catch_signals(struct loop *loop)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    stop_loop = loop;
    (void)sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}

static const char help_text[] = "\r\nCtrl-]         leave the console; the VM goes on\r\n"
                                "Ctrl-A x       the same\r\n"
                                "Ctrl-A Ctrl-A  send Ctrl-A\r\n"
                                "Ctrl-A h       this help\r\n";

static int watch(struct console *c)
{
    int rc = loop_add_fd(c->loop, &c->from_host, api_socket_fd(c->socket), EPOLLIN, on_host, c);

    if (rc == 0)
        rc = loop_add_fd(c->loop, &c->from_person, c->person, EPOLLIN, on_person, c);
    if (rc == 0)
        rc = loop_add_timer(c->loop, &c->timer, on_timer, c);
    return rc;
}

/* DETACHED, GUEST_GONE or a negative errno. */
static int converse(struct console *c)
{
    const struct terminal_user user = {.quit = on_quit,
                                       .ctx = c,
                                       .help = help_text,
                                       .bracket_quits = true,
                                       .input_ended = on_input_ended};
    struct terminal *terminal = NULL;
    int rc = loop_create(&c->loop);

    if (rc < 0)
        return err_sys(c->err, rc, "event loop");
    c->is_terminal = isatty(STDIN_FILENO);
    catch_signals(c->loop);
    rc = terminal_open(c->loop, STDIN_FILENO, STDOUT_FILENO, &user, &terminal, &c->person, c->err);
    if (rc == 0 && (rc = watch(c)) < 0)
        (void)err_sys(c->err, rc, "event loop");
    if (rc == 0) {
        read_host(c); /* what came with the handshake is known to nobody else */
        rearm(c);
        rc = loop_run(c->loop);
    }
    loop_del(&c->from_host);
    loop_del(&c->from_person);
    loop_del(&c->timer);
    show(c);
    c->person = close_fd(c->person); /* lets the terminal drain at once */
    terminal_close(terminal);
    stop_loop = NULL;
    loop_destroy(c->loop);
    return rc;
}

static int open_serial(struct api *api, const json_t *vm, struct api_socket **ret_socket,
                       struct err *err)
{
    cleanup_json json_t *ticket = NULL;
    char path[300];
    int rc = api_call(api, vm, "AcquireTicket", json_pack("{s:s}", "ticketType", "serial"), &ticket,
                      err);

    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof path, "/ticket/%s", api_text(ticket, "ticket"));
    return api_socket_open(api, path, ret_socket, err);
}

int vm_console(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    struct console c = {.person = -1, .err = err};
    const char *name = command_operand(command, 0);
    struct api *api;
    int rc = command_unsigned(command, "linger", 0, 86400, &c.linger, err);

    c.has_linger = command_flag(command, "linger");
    if (rc == 0)
        rc = first_vm(command, "name", &api, &vm, err);
    if (rc == 0)
        rc = open_serial(api, json_object_get(vm, "ref"), &c.socket, err);
    if (rc < 0)
        return rc;
    if (isatty(STDIN_FILENO))
        (void)fprintf(stderr, "Serial port of %s. Ctrl-] leaves it, Ctrl-A h shows other keys.\n",
                      name);
    rc = converse(&c);
    if (isatty(STDIN_FILENO) && rc >= 0)
        (void)fprintf(stderr, rc == DETACHED ? "\n%s goes on.\n" : "\n%s was switched off.\n",
                      name);
    api_socket_close(c.socket);
    buf_free(&c.to_host);
    buf_free(&c.to_person);
    return rc < 0 ? rc : 0;
}
