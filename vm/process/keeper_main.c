/* SPDX-License-Identifier: Apache-2.0 */
/* The program socle-keeper: parent of one VM's pair, in a session of its own. It knows nothing of
 * inventories or APIs; it holds the VM's end together and passes on what it is told. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "vm/process/change.h"
#include "vm/process/config_fd.h"
#include "vm/process/keeper_order.h"
#include "vm/process/run.h"
#include "vm/process/serial_hub.h"

enum { CLIENTS_MAX = 16 };

struct client {
    struct keeper *keeper;
    struct loop_source source; /* not in a loop: the place is free */
    struct keeper_order order; /* what its next change is about */
};

struct keeper {
    const char *path;
    struct loop *loop;
    struct loop_source listen;
    struct client client[CLIENTS_MAX];
    struct vm *vm;
    struct serial_hub *serial;   /* NULL: the port ends elsewhere */
    struct keeper_message state; /* what a new client is told */
    char *full;                  /* the disk that has no room to grow; NULL: the VM does not wait */
    struct keeper_order order;   /* of the change under way */
    uint64_t token;              /* the same */
    bool busy;                   /* with a change */
    struct client *ordered;      /* who wants to hear of its progress; NULL: has gone */
    struct vm_change change;
};

static void hang_up(struct client *client)
{
    int fd = client->source.fd;

    loop_del(&client->source);
    (void)close_fd(fd);
    keeper_order_free(&client->order);
    if (client->keeper->ordered == client)
        client->keeper->ordered = NULL;
}

/* A client that does not read is no reason to wait, and one that has gone may have left a word to
 * be read: its end is seen there. */
static void tell(struct client *client)
{
    struct keeper_message m = client->keeper->state;

    if (m.kind != KEEPER_ENDED) {
        m.token = KEEPER_VERSION;
        m.value = client->keeper->busy ? KEEPER_BUSY : 0;
    }
    (void)keeper_send_message(client->source.fd, &m, -1);
}

static void tell_full(struct client *client)
{
    struct keeper_message m = {.kind = KEEPER_NO_SPACE};

    (void)snprintf(m.text, sizeof m.text, "%s", client->keeper->full);
    (void)keeper_send_message(client->source.fd, &m, -1);
}

static void on_no_space(void *ctx, const char *file)
{
    struct keeper *keeper = ctx;

    log_info("no room for what the VM writes to \"%s\"", file);
    free(keeper->full);
    keeper->full = strdup(file);
    for (unsigned i = 0; i < CLIENTS_MAX && keeper->full; i++)
        if (keeper->client[i].source.loop)
            tell_full(&keeper->client[i]);
}

static void tell_all(struct keeper *keeper)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        if (keeper->client[i].source.loop)
            tell(&keeper->client[i]);
}

static void give_serial(struct client *client)
{
    struct keeper *keeper = client->keeper;
    cleanup_fd int fd = -1;
    int rc = keeper->serial ? serial_hub_attach(keeper->serial, &fd) : -ENXIO;
    const struct keeper_message m = {.kind = KEEPER_SERIAL, .value = (uint32_t)-rc};

    (void)keeper_send_message(client->source.fd, &m, fd);
}

/* --- changes --- */

static int on_commit(void *ctx, struct err *err)
{
    const struct keeper_order *order = &((struct keeper *)ctx)->order;

    return file_replace(AT_FDCWD, order->commit_path, 0600, order->commit.data, order->commit.len,
                        err);
}

static void on_progress(void *ctx, unsigned percent)
{
    struct keeper *keeper = ctx;
    const struct keeper_message m = {.kind = KEEPER_PROGRESS, .value = percent};

    if (keeper->ordered)
        (void)keeper_send_message(keeper->ordered->source.fd, &m, -1);
}

static struct keeper_message outcome(const struct keeper *keeper, int rc, const struct err *err,
                                     uint64_t token)
{
    struct keeper_message m = {.kind = KEEPER_CHANGED,
                               .value = (uint32_t)-rc,
                               .changes = keeper->state.changes,
                               .token = token};

    (void)snprintf(m.text, sizeof m.text, "%s", err->text);
    return m;
}

static void on_changed(void *ctx)
{
    struct keeper *keeper = ctx;
    const struct vm_change *change = &keeper->change;
    keeper->state.changes += change->rc == 0;
    struct keeper_message m = outcome(keeper, change->rc, &change->err, keeper->token);

    m.us = (int64_t)change->stood_us;
    keeper_order_free(&keeper->order);
    keeper->ordered = NULL;
    keeper->busy = false;
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        if (keeper->client[i].source.loop)
            (void)keeper_send_message(keeper->client[i].source.fd, &m, -1);
}

static void begin_change(struct client *client, const struct keeper_message *m)
{
    struct keeper *keeper = client->keeper;
    struct err err = ERR_INIT;

    keeper_order_for(&client->order, m->token);
    struct keeper_order order = client->order; /* whatever comes of it, the next begins empty */
    int rc = keeper->busy ? -EBUSY : m->changes != keeper->state.changes ? -ESTALE : 0;
    keeper_order_init(&client->order);
    if (rc == 0) {
        keeper->order = order;
        keeper->change = (struct vm_change){
            .flags = m->value & VM_CHANGE_FLAGS,
            .state_fd = keeper->order.state_fd,
            .cfg = keeper->order.has_config ? &keeper->order.cfg : NULL,
            .commit = keeper->order.commit_path ? on_commit : NULL,
            .progress = on_progress,
            .ctx = keeper,
        };
        memcpy(keeper->change.grow, keeper->order.grow, sizeof keeper->change.grow);
        rc = vm_change(keeper->vm, &keeper->change, on_changed, keeper);
        keeper->busy = rc == 0;
        if (rc < 0)
            keeper_order_init(&keeper->order);
    }
    if (rc == 0) {
        keeper->ordered = client;
        keeper->token = m->token;
        return;
    }
    keeper_order_free(&order);
    (void)err_sys(&err, rc, "%s",
                  rc == -ESTALE                  ? "the VM has changed"
                  : rc == -EBUSY && keeper->full ? "the VM waits for room on its datastore"
                                                 : "the VM is at another change");
    struct keeper_message answer = outcome(keeper, rc, &err, m->token);
    (void)keeper_send_message(client->source.fd, &answer, -1);
}

static void give_usage(struct client *client)
{
    struct keeper_message m = {.kind = KEEPER_USAGE};
    pid_t vmm, vmx;
    int fd = vm_usage(client->keeper->vm, &vmm, &vmx);

    (void)snprintf(m.text, sizeof m.text, "%d %d %d", (int)getpid(), (int)vmm, (int)vmx);
    (void)keeper_send_message(client->source.fd, &m, fd);
}

static void show_console(struct keeper *keeper, int fd)
{
    struct err err = ERR_INIT;

    if (keeper->vm && fd >= 0 && vm_console(keeper->vm, fd, &err) < 0)
        log_limited(LOG_WARN, "%s", err.text);
}

static void refuse(struct client *client, const struct keeper_message *asked)
{
    const struct keeper_message m = {
        .kind = KEEPER_UNKNOWN, .value = asked->kind, .token = asked->token};

    (void)keeper_send_message(client->source.fd, &m, -1);
}

static void retry(struct keeper *keeper)
{
    free(TAKE_PTR(keeper->full));
    (void)vm_retry(keeper->vm);
}

/* False: nothing (more) has come. */
static bool take_message(struct client *client)
{
    struct keeper *keeper = client->keeper;
    struct keeper_message m;
    int fd = -1, rc = keeper_receive(client->source.fd, &m, &fd);

    if (rc == 0 && m.kind >= KEEPER_WITH_STATE && m.kind <= KEEPER_WITH_SIZE)
        rc = keeper_order_add(&client->order, &m, TAKE_FD(fd));
    if (rc == 0 && m.kind == KEEPER_CONSOLE)
        show_console(keeper, fd);
    (void)close_fd(fd);
    if (rc < 0 && rc != -EAGAIN)
        hang_up(client);
    if (rc < 0)
        return false;
    if (m.kind == KEEPER_POWER_BUTTON)
        (void)vm_power_button(keeper->vm);
    else if (m.kind == KEEPER_RESET)
        (void)vm_reset(keeper->vm);
    else if (m.kind == KEEPER_STOP)
        loop_stop(keeper->loop, VM_END_STOPPED);
    else if (m.kind == KEEPER_CHANGE)
        begin_change(client, &m);
    else if (m.kind == KEEPER_CANCEL)
        atomic_store(&keeper->change.cancel, true);
    else if (m.kind == KEEPER_SERIAL)
        give_serial(client);
    else if (m.kind == KEEPER_USAGE)
        give_usage(client);
    else if (m.kind == KEEPER_RETRY && keeper->full)
        retry(keeper);
    else if (m.kind >= KEEPER_KIND_MAX)
        refuse(client, &m);
    return true;
}

/* A change comes in several messages: all of them, before somebody new is told whether there is
 * one under way. */
static void on_client(void *ctx, uint32_t events)
{
    enum { AT_ONCE = VMCFG_DISKS_MAX + 8 };

    (void)events;
    for (unsigned i = 0; i < AT_ONCE && take_message(ctx); i++)
        ;
}

static void on_listen(void *ctx, uint32_t events)
{
    struct keeper *keeper = ctx;
    int fd = accept4(keeper->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    unsigned i = 0;

    (void)events;
    while (i < CLIENTS_MAX && keeper->client[i].source.loop)
        i++;
    if (fd < 0 || i == CLIENTS_MAX) {
        (void)close_fd(fd);
        return;
    }
    struct client *client = &keeper->client[i];
    client->keeper = keeper;
    keeper_order_init(&client->order);
    if (loop_add_fd(keeper->loop, &client->source, fd, EPOLLIN, on_client, client) < 0)
        (void)close_fd(fd);
    else
        tell(client);
    if (client->source.loop && keeper->full)
        tell_full(client);
}

static void on_started(void *ctx)
{
    struct keeper *keeper = ctx;

    keeper->state.kind = KEEPER_RUNNING;
    keeper->state.us = clock_realtime(&clock_host) / 1000;
    tell_all(keeper);
}

static void on_restored(void *ctx)
{
    struct keeper *keeper = ctx;

    keeper->state.kind = KEEPER_PAUSED;
    tell_all(keeper);
}

static int read_config(struct vmcfg *cfg, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = bytes_read(KEEPER_FD_CONFIG, &text, err);

    (void)close(KEEPER_FD_CONFIG);
    return rc < 0 ? rc : vmcfg_decode(text.data, text.len, cfg, err);
}

static int listen_at(const char *path, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
        (int)sizeof address.sun_path)
        return err_sys(err, -ENAMETOOLONG, "cannot listen at \"%s\"", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, CLIENTS_MAX) < 0)
        return err_sys(err, -errno, "cannot listen at \"%s\"", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* From now on nobody's child, and no terminal's. */
static int detach(struct err *err)
{
    pid_t pid = fork();

    if (pid < 0)
        return err_sys(err, -errno, "cannot fork");
    if (pid > 0)
        _exit(EXIT_SUCCESS);
    (void)setsid();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;
}

static void run(struct keeper *keeper, const struct vmcfg *cfg)
{
    struct err err = ERR_INIT;
    enum vm_end end = VM_END_STOPPED;
    int stdio = -1, rc = 0;

    if (cfg->serial.type == VMCFG_STREAM_STDIO || cfg->console.type == VMCFG_STREAM_STDIO)
        rc = serial_hub_create(keeper->loop, &keeper->serial, &stdio);
    if (rc == 0)
        rc = vm_start(cfg, stdio, keeper->loop, &keeper->vm, &err);
    else
        (void)err_sys(&err, rc, "serial port");
    if (rc == 0) {
        vm_on_started(keeper->vm, on_started, keeper);
        vm_on_restored(keeper->vm, on_restored, keeper);
        vm_on_no_space(keeper->vm, on_no_space, keeper);
        rc = loop_run(keeper->loop);
        if (!vm_ended(keeper->vm, &end, &err) && rc < 0)
            end = VM_END_DIED;
    } else {
        end = VM_END_BAD_FILE;
    }
    vm_destroy(keeper->vm);
    serial_hub_destroy(TAKE_PTR(keeper->serial));
    keeper->state = (struct keeper_message){.kind = KEEPER_ENDED, .value = end, .us = err.code};
    (void)snprintf(keeper->state.text, sizeof keeper->state.text, "%s", err.text);
}

static void leave_word(const struct keeper *keeper)
{
    struct err err = ERR_INIT;
    char end[sizeof(struct sockaddr_un) + 8];

    (void)snprintf(end, sizeof end, "%s.end", keeper->path);
    if (file_replace(AT_FDCWD, end, 0600, &keeper->state, sizeof keeper->state, &err) < 0)
        log_error("%s", err.text);
}

enum { LOG_FULL = 4 << 20 };

/* Standard error is a file from now on. One that has become large makes room first. */
static void log_to(const char *path)
{
    char old[PATH_MAX];
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > LOG_FULL &&
        snprintf(old, sizeof old, "%s.1", path) < (int)sizeof old)
        (void)rename(path, old);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)dup2(fd, STDERR_FILENO);
    (void)close_fd(fd);
}

static int start(struct keeper *keeper, struct vmcfg *cfg, struct err *err)
{
    int fd = -1, rc = read_config(cfg, err);

    if (rc == 0)
        rc = listen_at(keeper->path, &fd, err);
    if (rc == 0)
        rc = detach(err);
    if (rc == 0)
        rc = loop_create(&keeper->loop);
    if (rc == 0)
        rc = loop_add_fd(keeper->loop, &keeper->listen, fd, EPOLLIN, on_listen, keeper);
    return rc < 0 && !err->code ? err_sys(err, rc, "event loop") : rc;
}

int main(int argc, char **argv)
{
    struct keeper keeper = {.path = argc > 1 ? argv[1] : "", .state.kind = KEEPER_STARTING};
    struct err err = ERR_INIT;
    struct vmcfg cfg;

    log_open("keeper", LOG_INFO, -1);
    vmcfg_init(&cfg);
    if (start(&keeper, &cfg, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    if (argc > 2)
        log_to(argv[2]);
    log_info("VM \"%s\" starts", cfg.name ? cfg.name : keeper.path);
    run(&keeper, &cfg);
    log_info("VM has ended%s%s", *keeper.state.text ? ": " : "", keeper.state.text);
    leave_word(&keeper);
    (void)unlink(keeper.path);
    tell_all(&keeper);
    return EXIT_SUCCESS;
}
