/* SPDX-License-Identifier: Apache-2.0 */
/* Terminal handling as termios(3) and POSIX.1-2017 chapter 11 describe it.
 *
 * Output processing stays on: guests send CR LF, which it leaves alone, and messages of ours that
 * end in LF alone do not form a staircase. Deliberately missing: telling the guest of the window's
 * size (a serial port has no way to). */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { CTRL_A = 1, CTRL_BRACKET = 0x1d, CHUNK = 4096, DRAIN_MS = 1000 };

static const char help_text[] = "\r\nCtrl-A x       end the virtual machine\r\n"
                                "Ctrl-A p       press its power button\r\n"
                                "Ctrl-A 1 to 4  take out the card in that slot, or put it back\r\n"
                                "Ctrl-A Ctrl-A  send Ctrl-A\r\n"
                                "Ctrl-A h       this help\r\n";

/* The terminal that signal handlers and atexit restore. `raw_fd` is set last and cleared first. */
static struct termios cooked, raw;
static volatile sig_atomic_t raw_fd = -1;

void terminal_restore(void)
{
    int saved_errno = errno, fd = raw_fd;

    if (fd >= 0)
        (void)tcsetattr(fd, TCSANOW, &cooked);
    errno = saved_errno;
}

/* Bytes on their way in one direction. */
struct pipe_half {
    char data[CHUNK];
    size_t at, len; /* what is left to write: [at, len) */
};

struct terminal {
    struct loop *loop;
    int in, out, socket;
    struct loop_source in_source, out_source, socket_source;
    struct pipe_half to_vm, to_person;
    const struct terminal_user *user;
    bool is_terminal; /* `in`: raw, with an escape key */
    bool escaped;     /* Ctrl-A came last */
    bool in_plain;    /* `in` can not be polled (a regular file): it is always ready */
    bool in_ended, socket_ended;
};

/* Signals. */

static void on_crash(int sig)
{
    terminal_restore();
    (void)raise(sig); /* the default action again: SA_RESETHAND */
}

static void on_suspend(int sig)
{
    int saved_errno = errno;

    (void)sig;
    terminal_restore();
    (void)raise(SIGSTOP);
    errno = saved_errno;
}

static void on_continue(int sig)
{
    int saved_errno = errno, fd = raw_fd;

    (void)sig;
    if (fd >= 0)
        (void)tcsetattr(fd, TCSANOW, &raw);
    errno = saved_errno;
}

static void on_ignored(int sig)
{
    (void)sig; /* unlike SIG_IGN, a handler is not inherited by programs that we start */
}

static void set_handler(int sig, void (*handler)(int sig), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(sig, &action, NULL);
}

static int enter_raw(struct terminal *t)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    static bool registered;

    if (tcgetattr(t->in, &cooked) < 0)
        return -errno;
    raw = cooked;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST;
    if (!registered && atexit(terminal_restore))
        return -ENOMEM;
    registered = true;
    raw_fd = t->in;
    for (unsigned i = 0; i < ARRAY_SIZE(crashes); i++)
        set_handler(crashes[i], on_crash, (int)SA_RESETHAND | SA_NODEFER);
    set_handler(SIGTSTP, on_suspend, SA_RESTART);
    set_handler(SIGCONT, on_continue, SA_RESTART);
    return tcsetattr(t->in, TCSANOW, &raw) < 0 ? -errno : 0;
}

static void leave_raw(struct terminal *t)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE, SIGABRT,
                                  SIGTRAP, SIGSYS, SIGTSTP, SIGCONT};

    if (!t->is_terminal)
        return;
    terminal_restore();
    raw_fd = -1;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        set_handler(signals[i], SIG_DFL, 0);
}

/* From the person to the VM. */

static void press_button(struct terminal *t)
{
    if (t->user->power_button)
        t->user->power_button(t->user->ctx);
}

static void move_card(struct terminal *t, unsigned slot)
{
    if (t->user->slot)
        t->user->slot(t->user->ctx, slot);
}

static void show_help(const struct terminal *t)
{
    const char *text = t->user->help ? t->user->help : help_text;

    (void)!write(t->out, text, strlen(text));
}

/* Takes the escape key out of `data`; *len becomes what is left. */
static void filter(struct terminal *t, char *data, size_t *len)
{
    size_t kept = 0;

    for (size_t i = 0; i < *len; i++) {
        char c = data[i];
        if (!t->escaped && c == CTRL_A) {
            t->escaped = true;
            continue;
        }
        if (t->escaped ? c == 'x' || c == 'X' : c == CTRL_BRACKET && t->user->bracket_quits)
            t->user->quit(t->user->ctx);
        else if (t->escaped && (c == 'p' || c == 'P'))
            press_button(t);
        else if (t->escaped && c >= '1' && c <= '9')
            move_card(t, (unsigned)(c - '0'));
        else if (t->escaped && (c == 'h' || c == '?'))
            show_help(t);
        else if (t->escaped && (c == CTRL_A || c == 'a'))
            data[kept++] = CTRL_A;
        else if (!t->escaped)
            data[kept++] = c;
        t->escaped = false;
    }
    *len = kept;
}

static void on_in(void *ctx, uint32_t events);

/* Sets what the loop waits for by what there is to do. Nobody waits for `in` while the VM is slow
 * to take what was read. */
static void rearm(struct terminal *t)
{
    bool sending = t->to_vm.at < t->to_vm.len || (t->in_plain && !t->in_ended);
    bool printing = t->to_person.at < t->to_person.len;

    if (!t->in_plain && (t->in_ended || sending))
        loop_del(&t->in_source);
    else if (!t->in_plain && !t->in_source.loop)
        (void)loop_add_fd(t->loop, &t->in_source, t->in, EPOLLIN, on_in, t);
    if (t->socket_ended)
        loop_del(&t->socket_source);
    else
        (void)loop_mod_fd(&t->socket_source, (printing ? 0 : EPOLLIN) | (sending ? EPOLLOUT : 0));
    if (t->out_source.loop)
        (void)loop_mod_fd(&t->out_source, printing ? EPOLLOUT : 0);
}

static void send_to_vm(struct terminal *t)
{
    struct pipe_half *half = &t->to_vm;

    while (half->at < half->len && !t->socket_ended) {
        ssize_t n = send(t->socket, half->data + half->at, half->len - half->at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            half->at = half->len; /* nobody is there any more; its end is seen by reading */
        else
            half->at += (size_t)n;
    }
}

static void read_in(struct terminal *t)
{
    struct pipe_half *half = &t->to_vm;
    ssize_t n = read(t->in, half->data, sizeof half->data);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        t->in_ended = true;
        if (t->user->input_ended)
            t->user->input_ended(t->user->ctx);
        return;
    }
    half->at = 0;
    half->len = (size_t)n;
    if (t->is_terminal)
        filter(t, half->data, &half->len);
    send_to_vm(t);
}

static void on_in(void *ctx, uint32_t events)
{
    struct terminal *t = ctx;

    (void)events;
    if (t->to_vm.at == t->to_vm.len)
        read_in(t);
    rearm(t);
}

/* From the VM to the person. */

static bool out_ready(const struct terminal *t, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = t->out, .events = POLLOUT};

    return poll(&poll_fd, 1, timeout_ms) > 0;
}

/* Writes what fits without waiting; a reader who is gone gets nothing more. */
static void print_to_person(struct terminal *t)
{
    struct pipe_half *half = &t->to_person;

    while (half->at < half->len && out_ready(t, 0)) {
        ssize_t n = write(t->out, half->data + half->at, half->len - half->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        half->at = n < 0 ? half->len : half->at + (size_t)n;
    }
}

static void read_socket(struct terminal *t)
{
    struct pipe_half *half = &t->to_person;
    ssize_t n = recv(t->socket, half->data, sizeof half->data, MSG_DONTWAIT);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        t->socket_ended = true;
        return;
    }
    half->at = 0;
    half->len = (size_t)n;
    print_to_person(t);
}

static void on_socket(void *ctx, uint32_t events)
{
    struct terminal *t = ctx;

    if (events & EPOLLOUT) {
        send_to_vm(t);
        if (t->in_plain && !t->in_ended && t->to_vm.at == t->to_vm.len)
            read_in(t);
    }
    if (t->to_person.at == t->to_person.len)
        read_socket(t);
    rearm(t);
}

static void on_out(void *ctx, uint32_t events)
{
    struct terminal *t = ctx;

    print_to_person(t);
    if (events & (EPOLLERR | EPOLLHUP))
        loop_del(&t->out_source); /* it would be reported for ever; writing fails at once */
    rearm(t);
}

/* Life. */

/* Regular files can not be waited for (EPERM): they are always ready. */
static int watch(struct terminal *t)
{
    int rc = loop_add_fd(t->loop, &t->socket_source, t->socket, EPOLLIN, on_socket, t);

    if (rc < 0)
        return rc;
    rc = loop_add_fd(t->loop, &t->in_source, t->in, EPOLLIN, on_in, t);
    t->in_plain = rc == -EPERM;
    if (rc < 0 && rc != -EPERM)
        return rc;
    rc = loop_add_fd(t->loop, &t->out_source, t->out, 0, on_out, t);
    if (rc < 0 && rc != -EPERM)
        return rc;
    rearm(t);
    return 0;
}

int terminal_open(struct loop *loop, int in, int out, const struct terminal_user *user,
                  struct terminal **ret_terminal, int *ret_vm_fd, struct err *err)
{
    struct terminal *t = calloc(1, sizeof *t);
    int pair[2];

    if (!t)
        return err_sys(err, -ENOMEM, "terminal");
    *t = (struct terminal){.loop = loop, .in = in, .out = out, .socket = -1};
    t->user = user;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        int rc = err_sys(err, -errno, "terminal");
        terminal_close(t);
        return rc;
    }
    t->socket = pair[0];
    cleanup_fd int vm_fd = pair[1];
    t->is_terminal = isatty(in);
    set_handler(SIGPIPE, on_ignored, SA_RESTART);
    int rc = watch(t);
    if (!rc && t->is_terminal)
        rc = enter_raw(t);
    if (rc < 0) {
        terminal_close(t);
        return err_sys(err, rc, "terminal");
    }
    *ret_terminal = t;
    *ret_vm_fd = TAKE_FD(vm_fd);
    return 0;
}

/* The guest's last words: what the VM sent before it ended is still in the socket. */
static void drain(struct terminal *t)
{
    struct pipe_half *half = &t->to_person;
    uint64_t deadline = clock_now() + (uint64_t)DRAIN_MS * 1000000;

    while (t->socket >= 0 && clock_now() < deadline) {
        if (half->at < half->len && out_ready(t, 50))
            print_to_person(t);
        if (half->at < half->len)
            continue;
        half->at = half->len = 0;
        read_socket(t);
        if (!half->len)
            return;
    }
}

void terminal_close(struct terminal *t)
{
    if (!t)
        return;
    loop_del(&t->in_source);
    loop_del(&t->out_source);
    loop_del(&t->socket_source);
    drain(t);
    leave_raw(t);
    (void)close_fd(t->socket);
    free(t);
}
