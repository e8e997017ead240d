/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sys/mman.h>

#include "tests/tap.h"
#include "vm/process/callslot.h"

enum { CLIENTS = 4, CALLS = 4000 };

struct world {
    struct callslots *slots;
    atomic_bool stop;
    atomic_ulong served, wrong;
};

static uint64_t serve(void *ctx, const struct callslot *call)
{
    struct world *w = ctx;

    atomic_fetch_add(&w->served, 1);
    return call->offset * 3 + call->value + call->device;
}

static void *server(void *arg)
{
    struct world *w = arg;
    callslot_serve(w->slots, &w->stop, serve, w);
    return NULL;
}

struct client {
    struct world *world;
    unsigned index;
};

static void *client(void *arg)
{
    struct client *c = arg;

    for (uint64_t i = 0; i < CALLS; i++) {
        struct callslot call = {
            .device = (uint16_t)c->index, .size = 4, .offset = i, .value = i * 7};
        if (callslot_call(c->world->slots, c->index, &call) != i * 10 + c->index)
            atomic_fetch_add(&c->world->wrong, 1);
    }
    return NULL;
}

static void run_clients(void)
{
    struct world w = {0};
    pthread_t t[CLIENTS], s;
    struct client c[CLIENTS];

    w.slots =
        mmap(NULL, sizeof *w.slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(w.slots != MAP_FAILED);
    REQUIRE(pthread_create(&s, NULL, server, &w) == 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = (struct client){&w, i * 100}; /* slots of different words */
        REQUIRE(pthread_create(&t[i], NULL, client, &c[i]) == 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)pthread_join(t[i], NULL);
    atomic_store(&w.stop, true);
    callslot_wake(w.slots);
    (void)pthread_join(s, NULL);
    CHECK_EQ(w.served, CLIENTS * CALLS);
    CHECK_EQ(w.wrong, 0);
    (void)munmap(w.slots, sizeof *w.slots);
}

static void sleeping_sides(void)
{
    run_clients(); /* before callslot_setup nobody looks: each call sleeps and wakes */
}

static void looking_sides(void)
{
    callslot_setup();
    run_clients();
}

TAP_MAIN(TAP_CASE(sleeping_sides), TAP_CASE(looking_sides))
