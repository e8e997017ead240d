/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/datastore_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/event/event.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/worker.h"
#include "hostd/up/rootdir.h"

enum { WATCH_S = 10, FULL_PART = 100 /* one of so many */ };
#define NOWHERE "run/nowhere"

/* What the worker is asked about one datastore, and finds. */
struct look {
    char id[ENTITY_ID_MAX], path[DSPATH_NAME_MAX + 32];
    int fd; /* of its folder as it was; owned */
    bool lost;
    /* Found: */
    int fresh; /* its name leads to this now; -1: as before, or to nothing. Owned */
    int why;   /* an errno when it can not be read */
    char mark[ENTITY_ID_MAX];
    bool readonly, full;
};

struct datastore_watch {
    struct hostd *hostd;
    struct loop_source timer;
    struct look *looks;
    unsigned count;
    bool looking;
};

int datastore_nowhere(const struct hostd *hostd)
{
    (void)mkdirat(hostd->root_fd, NOWHERE, 0700);
    int fd = openat(hostd->root_fd, NOWHERE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)unlinkat(hostd->root_fd, NOWHERE, AT_REMOVEDIR);
    return fd;
}

/* --- on a worker --- */

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void look_at(struct look *look)
{
    struct stat was, there;
    struct statvfs fs;
    cleanup_fd int now = open(look->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (now < 0 || fstat(now, &there) < 0 || fstatvfs(now, &fs) < 0 ||
        access(look->path, R_OK | X_OK) < 0) {
        look->why = errno;
        return;
    }
    look->readonly = fs.f_flag & ST_RDONLY;
    datastore_read_mark(now, look->mark);
    look->full = fs.f_bavail < fs.f_blocks / FULL_PART;
    if (look->lost || fstat(look->fd, &was) < 0 || !same(&was, &there))
        look->fresh = TAKE_FD(now);
}

static void look_work(void *arg)
{
    struct datastore_watch *watch = arg;

    for (unsigned i = 0; i < watch->count; i++)
        look_at(&watch->looks[i]);
}

/* --- what becomes of it --- */

static void tell(struct datastore *datastore, const char *id, const char *severity,
                 const char *text)
{
    struct arena arena = {0};
    struct vim_EventEx *event = VIM_NEW(&arena, EventEx);

    event->eventTypeId = id;
    event->severity = severity;
    event->message = arena_printf(&arena, "Datastore %s %s", datastore->e.name, text);
    event_post(datastore->e.hostd, (struct vim_Event *)(void *)event, &datastore->e, NULL, "%s",
               event->message);
    arena_free(&arena);
}

static void tell_watchers(struct datastore *datastore)
{
    struct inventory *inventory = datastore->e.hostd->inventory;

    mo_changed(&datastore->e.mo, VIM_P_Datastore_summary);
    mo_changed(&datastore->e.mo, VIM_P_Datastore_host);
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_of(&e->mo)->datastore == datastore) {
            mo_changed(&e->mo, VIM_P_VirtualMachine_runtime);
            mo_changed(&e->mo, VIM_P_VirtualMachine_summary);
        }
}

static void lose(struct datastore *datastore, const struct look *look)
{
    char text[160];
    int nowhere = datastore_nowhere(datastore->e.hostd);

    if (nowhere < 0)
        return;
    datastore->lost = true;
    (void)close_fd(datastore->fd);
    datastore->fd = nowhere;
    (void)snprintf(text, sizeof text, "can not be reached any more: %s",
                   look->why ? strerror(look->why) : "its folder was replaced or unmounted");
    tell(datastore, "esx.problem.storage.connectivity.lost", "error", text);
    tell_watchers(datastore);
}

static void use_fresh(struct datastore *datastore, struct look *look)
{
    (void)close_fd(datastore->fd);
    datastore->fd = TAKE_FD(look->fresh);
}

static void find_again(struct datastore *datastore, struct look *look)
{
    struct inventory *inventory = datastore->e.hostd->inventory;

    use_fresh(datastore, look);
    datastore->lost = false;
    tell(datastore, "esx.clear.storage.connectivity.restored", "info", "is there again");
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_of(&e->mo)->datastore == datastore && !vm_of(&e->mo)->task)
            vm_reload(vm_of(&e->mo));
    unfinished_sweep(inventory);
    tell_watchers(datastore);
}

static void note(struct datastore *datastore, const struct look *look)
{
    if (look->readonly != datastore->readonly) {
        datastore->readonly = look->readonly;
        tell(datastore,
             look->readonly ? "socle.problem.datastore.readonly" : "socle.clear.datastore.readonly",
             look->readonly ? "warning" : "info",
             look->readonly ? "can be read only" : "can be written again");
        tell_watchers(datastore);
    }
    if (look->full != datastore->full) {
        datastore->full = look->full;
        tell(datastore, look->full ? "socle.problem.datastore.full" : "socle.clear.datastore.full",
             look->full ? "warning" : "info",
             look->full ? "is full: less than 1% is free" : "has room again");
        mo_changed(&datastore->e.mo, VIM_P_Datastore_summary);
    }
}

static void take(struct datastore *datastore, struct look *look)
{
    bool ours = !look->why && (!datastore->marked || !strcmp(look->mark, datastore->e.id));

    if (!datastore->lost && !ours)
        lose(datastore, look);
    else if (datastore->lost && ours)
        find_again(datastore, look);
    else if (ours && look->fresh >= 0)
        use_fresh(datastore, look); /* mounted anew */
    if (!datastore->lost)
        note(datastore, look);
}

static void free_looks(struct datastore_watch *watch)
{
    for (unsigned i = 0; i < watch->count; i++) {
        (void)close_fd(watch->looks[i].fd);
        (void)close_fd(watch->looks[i].fresh);
    }
    free(watch->looks);
    watch->looks = NULL;
    watch->count = 0;
}

static void arm(struct datastore_watch *watch)
{
    (void)loop_timer_arm(&watch->timer, clock_now() + (uint64_t)WATCH_S * 1000000000);
}

static void look_done(void *arg)
{
    struct datastore_watch *watch = arg;
    struct inventory *inventory = watch->hostd->inventory;

    for (unsigned i = 0; i < watch->count; i++) {
        struct datastore *datastore = datastore_find(inventory, watch->looks[i].id);
        if (datastore && datastore->lost == watch->looks[i].lost)
            take(datastore, &watch->looks[i]);
    }
    free_looks(watch);
    watch->looking = false;
}

static void prepare(struct look *look, const struct datastore *datastore)
{
    *look = (struct look){
        .fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3), .fresh = -1, .lost = datastore->lost};
    (void)snprintf(look->id, sizeof look->id, "%s", datastore->e.id);
    (void)snprintf(look->path, sizeof look->path, ROOTDIR_DATASTORES "/%s", datastore->e.name);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct datastore_watch *watch = ctx;
    struct inventory *inventory = watch->hostd->inventory;
    unsigned count = 0;

    (void)events;
    arm(watch);
    if (watch->looking)
        return;
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        count++;
    watch->looks = calloc(MAX(count, 1u), sizeof *watch->looks);
    if (!watch->looks)
        return;
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        prepare(&watch->looks[watch->count++], (const struct datastore *)(const void *)e);
    watch->looking = worker_post(watch->hostd->worker, look_work, look_done, watch) == 0;
    if (!watch->looking)
        free_looks(watch);
}

/* --- life --- */

int datastore_watch_create(struct hostd *hostd, struct datastore_watch **ret_watch)
{
    struct datastore_watch *watch = calloc(1, sizeof *watch);
    int rc = watch ? loop_add_timer(hostd->loop, &watch->timer, on_timer, watch) : -ENOMEM;

    if (rc < 0) {
        free(watch);
        return rc;
    }
    watch->hostd = hostd;
    arm(watch);
    *ret_watch = watch;
    return 0;
}

void datastore_watch_destroy(struct datastore_watch *watch)
{
    if (!watch)
        return;
    loop_del(&watch->timer);
    free_looks(watch);
    free(watch);
}

void datastore_watch_now(struct hostd *hostd)
{
    if (hostd->datastore_watch)
        (void)loop_timer_arm(&hostd->datastore_watch->timer, clock_now() + 1);
}
