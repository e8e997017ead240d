/* SPDX-License-Identifier: Apache-2.0 */
/* The program socle-hostd. Its working directory is the host's folder (hostd/up/rootdir.h); it gets
 * the front's port as its argument, and two listening sockets as descriptors, 3 from the front and
 * 4 from local programs, which outlive it. SIGTERM ends it in good order; VMs go on in any case. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/parse_num.h"
#include "hostd/api/collector.h"
#include "hostd/diag/log_trim.h"
#include "hostd/event/event.h"
#include "hostd/hostd.h"
#include "hostd/model/datastore_watch.h"
#include "hostd/model/host_autostart.h"
#include "hostd/model/host_maintenance.h"
#include "hostd/model/inventory.h"
#include "hostd/model/method_executer.h"
#include "hostd/model/nfc_lease.h"
#include "hostd/model/option_manager.h"
#include "hostd/perf/perf.h"
#include "hostd/perm/perm.h"
#include "hostd/session/session.h"
#include "hostd/session/vestibule.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/store/state.h"
#include "hostd/task/haul.h"
#include "hostd/task/task.h"
#include "hostd/task/worker.h"
#include "hostd/web.h"

enum { FD_HTTP = 3, FD_LOCAL = 4, WORKERS = 4, SETTLERS = 2, LOGINS = 2 };

static const struct api_ops ops = {.authorize = entity_authorize,
                                   .visible = entity_visible,
                                   .rewrite = executer_rewrite,
                                   .hold = vm_settle_hold};

struct process {
    struct hostd hostd;
    struct http_handler handler;
    struct http_server *front, *local;
    struct loop_source signals;
};

static void on_signal(void *ctx, uint32_t events)
{
    struct process *process = ctx;

    (void)events;
    loop_stop(process->hostd.loop, 0);
}

static int catch_signals(struct process *process)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno
                  : loop_add_fd(process->hostd.loop, &process->signals, fd, EPOLLIN, on_signal,
                                process);
}

/* A thousand clients and their waits are a thousand descriptors. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_parts(struct hostd *hostd, struct err *err)
{
    hostd->root_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (hostd->root_fd < 0)
        return err_sys(err, -errno, "the host's folder");
    hostd->api =
        (struct api){.loop = hostd->loop, .ops = &ops, .ctx = hostd, .parent = entity_parent};
    int rc = registry_create(&hostd->api.registry);
    if (rc == 0)
        rc = worker_create(hostd->loop, WORKERS, &hostd->worker);
    if (rc == 0)
        rc = worker_create(hostd->loop, SETTLERS, &hostd->settlers);
    if (rc == 0)
        rc = vestibule_create(hostd->loop, LOGINS, &hostd->vestibule);
    if (rc == 0)
        rc = haulers_create(hostd, &hostd->haulers);
    if (rc == 0)
        rc = nfc_leases_create(hostd, &hostd->leases);
    if (rc == 0)
        rc = accounts_load(&hostd->accounts, hostd->root_fd, err);
    if (rc == 0)
        rc = host_config_load(&hostd->config, hostd->root_fd, err);
    if (rc == 0)
        rc = perms_create(hostd->root_fd, "ha-folder-root", &hostd->perms, err);
    if (rc == 0)
        rc = sessions_create(hostd->loop, &hostd->sessions);
    if (rc == 0)
        options_apply(hostd);
    if (rc == 0)
        rc = maintenance_create(hostd, &hostd->maintenance);
    if (rc == 0)
        rc = state_create(hostd, &hostd->state);
    if (rc == 0)
        rc = tasks_create(hostd, &hostd->tasks);
    if (rc == 0)
        rc = events_create(hostd, &hostd->events);
    if (rc == 0)
        rc = inventory_create(hostd, &hostd->inventory, err);
    if (rc == 0)
        rc = perf_create(hostd, &hostd->perf);
    if (rc == 0)
        rc = datastore_watch_create(hostd, &hostd->datastore_watch);
    if (rc == 0)
        rc = log_trim_create(hostd, &hostd->log_trim);
    if (rc == 0)
        rc = collector_init(&hostd->api);
    if (rc == 0)
        rc = view_init(&hostd->api);
    if (rc == 0)
        rc = autostart_create(hostd, &hostd->autostart, err);
    if (rc == 0) {
        state_report(hostd->state);
        tasks_recover(hostd);
    }
    return rc < 0 && !err->code ? err_sys(err, rc, "start") : rc;
}

static int start(struct process *process, struct err *err)
{
    struct hostd *hostd = &process->hostd;
    int rc = loop_create(&hostd->loop);

    if (rc == 0)
        rc = catch_signals(process);
    if (rc == 0)
        rc = start_parts(hostd, err);
    process->handler = web_handler(hostd);
    if (rc == 0)
        rc = http_server_create(hostd->loop, FD_HTTP, false, &process->handler, &process->front);
    if (rc == 0)
        rc = http_server_create(hostd->loop, FD_LOCAL, true, &process->handler, &process->local);
    return rc < 0 && !err->code ? err_sys(err, rc, "start") : rc;
}

/* Requests first, then what they may wait for, then what these use. */
static void stop(struct process *process)
{
    struct hostd *hostd = &process->hostd;

    hostd->ending = true;
    nfc_leases_stop(hostd->leases);
    http_server_destroy(process->front);
    http_server_destroy(process->local);
    haulers_destroy(hostd->haulers);
    nfc_leases_destroy(hostd->leases);
    vestibule_destroy(hostd->vestibule);
    worker_destroy(hostd->settlers);
    worker_destroy(hostd->worker);
    sessions_destroy(hostd->sessions);
    collector_exit(&hostd->api);
    view_exit(&hostd->api);
    tasks_destroy(hostd->tasks);
    autostart_destroy(hostd->autostart);
    maintenance_destroy(hostd->maintenance);
    perf_destroy(hostd->perf);
    log_trim_destroy(hostd->log_trim);
    datastore_watch_destroy(hostd->datastore_watch);
    inventory_destroy(hostd->inventory);
    events_destroy(hostd->events);
    state_destroy(hostd->state);
    perms_destroy(hostd->perms);
    host_config_free(&hostd->config);
    accounts_free(&hostd->accounts);
    registry_destroy(hostd->api.registry);
    loop_del(&process->signals);
    loop_destroy(hostd->loop);
}

/* Large answers come and go, and so does what settles VMs at the start, 150 KB for each of 1,000.
 * What they took goes back: glibc would raise its thresholds by what it sees and keep the peaks
 * (1,000 VMs, all configurations read: 104 MiB instead of 16). */
static void keep_no_peaks(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* One hostd at a time. That of a `socle up` that was killed may take a while to its end: what it
 * does is done whole. */
static int wait_for_predecessor(struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open("run/hostd.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return err_sys(err, -errno, "run/hostd.lock");
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return 0; /* the descriptor stays open to the end of the process */
    log_info("another hostd of this folder has to end first");
    do
        rc = fcntl(fd, F_SETLKW, &whole);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? err_sys(err, -errno, "run/hostd.lock") : 0;
}

int main(int argc, char **argv)
{
    struct process process = {0};
    struct err err = ERR_INIT;

    (void)umask(0077); /* databases, too, are nobody else's to read */
    int log_fd = open("log/hostd.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    log_open("hostd", LOG_INFO, log_fd);
    keep_no_peaks();
    raise_limits();
    if (argc < 2 || parse_unsigned(argv[1], 1, UINT16_MAX, &process.hostd.port) < 0)
        process.hostd.port = 443;
    if (wait_for_predecessor(&err) < 0 || start(&process, &err) < 0) {
        log_error("%s", err.text);
        (void)fprintf(stderr, "socle-hostd: %s\n", err.text);
        return EXIT_FAILURE;
    }
    log_info("hostd " SOCLE_VERSION " is up");
    int rc = loop_run(process.hostd.loop);
    log_info("hostd ends");
    stop(&process);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
