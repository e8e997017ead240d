/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/session/vestibule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/task/worker.h"

struct vestibule {
    struct worker *worker;
    unsigned threads, busy;
    struct vestibule_entry *waiting; /* by their turns */
    uint64_t turn;                   /* of who was let in last */
};

int vestibule_create(struct loop *loop, unsigned threads, struct vestibule **ret_vestibule)
{
    struct vestibule *v = calloc(1, sizeof *v);
    int rc = v ? worker_create(loop, threads, &v->worker) : -ENOMEM;

    if (rc < 0) {
        free(v);
        return rc;
    }
    v->threads = threads;
    *ret_vestibule = v;
    return 0;
}

void vestibule_destroy(struct vestibule *vestibule)
{
    if (!vestibule)
        return;
    worker_destroy(vestibule->worker);
    free(vestibule);
}

static void let_in(struct vestibule *v);

static void work(void *arg)
{
    struct vestibule_entry *entry = arg;

    entry->work(entry->arg);
}

static void done(void *arg)
{
    struct vestibule_entry *entry = arg;
    struct vestibule *v = entry->vestibule;

    v->busy--;
    entry->done(entry->arg); /* and the entry is gone */
    let_in(v);
}

/* Without memory they wait until somebody else is done. */
static void let_in(struct vestibule *v)
{
    while (v->waiting && v->busy < v->threads) {
        struct vestibule_entry *entry = v->waiting;
        if (worker_post(v->worker, work, done, entry) < 0)
            return;
        v->waiting = entry->next;
        v->turn = entry->turn;
        v->busy++;
        entry->waits = false;
    }
}

/* Behind the last of the same peer. */
static uint64_t turn_of(const struct vestibule *v, const char *peer)
{
    uint64_t turn = v->turn;

    for (const struct vestibule_entry *e = v->waiting; e; e = e->next)
        if (!strcmp(e->peer, peer))
            turn = MAX(turn, e->turn);
    return turn + 1;
}

static void remove_entry(struct vestibule_entry *entry)
{
    struct vestibule_entry **at = &entry->vestibule->waiting;

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->waits = false;
}

int vestibule_enter(struct vestibule *vestibule, struct vestibule_entry *entry)
{
    struct vestibule_entry **at = &vestibule->waiting;

    entry->vestibule = vestibule;
    entry->turn = turn_of(vestibule, entry->peer);
    entry->waits = true;
    while (*at && (*at)->turn <= entry->turn)
        at = &(*at)->next;
    entry->next = *at;
    *at = entry;
    let_in(vestibule);
    if (entry->waits && !vestibule->busy) { /* nobody would ever let it in */
        remove_entry(entry);
        return -ENOMEM;
    }
    return 0;
}

bool vestibule_leave(struct vestibule_entry *entry)
{
    if (!entry->waits)
        return false;
    remove_entry(entry);
    return true;
}
