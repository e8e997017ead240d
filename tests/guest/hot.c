/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the guest programs of hot.def: system-level behaviour in loops that a translator translates.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "harness.h"
#include "tests/tap.h"

#define cleanup_machine CLEANUP(machine_close)

enum { CPUS_MAX = 2 };

struct second {
    struct machine *m;
    struct engine_vcpu *vcpu;
    sem_t ready;
    struct err err;
};

/* A processor is made by the thread that runs it, as the vmm does: a translator may insist on it.
 */
static void *second_run(void *arg)
{
    struct second *second = arg;
    const struct engine *by = second->m->engine;
    int rc = by->vcpu_create(second->m->vm, 1, &second->vcpu, &second->err);

    (void)sem_post(&second->ready);
    while (!rc && !second->m->done)
        if (by->vcpu_run(second->vcpu, &second->err) != ENGINE_EXIT_KICKED)
            break;
    if (rc || !second->m->done)
        (void)printf("# second processor: %s\n", second->err.text);
    return NULL;
}

static uint32_t hot_command(struct machine *m, uint32_t command)
{
    uint8_t byte = (uint8_t)command;

    if (command == CMD_TARGET)
        return cpu_model_apic_id(&m->model, 1);
    if (command & CMD_DMA_AT)
        m->scratch = command & ~(uint32_t)CMD_DMA_AT;
    else if (command & CMD_DMA)
        return (uint32_t)gmem_write(m->gmem, gpa(m->scratch), &byte, 1);
    return 0;
}

static void run_first(struct machine *m)
{
    enum engine_exit exit = machine_run(m);

    CHECK_EQ(exit, ENGINE_EXIT_KICKED);
    CHECK(m->done);
    if (!CHECK_EQ(m->failed_line, 0) || m->err.code)
        (void)printf("# results %x %x, %s\n", m->result[0], m->result[1], m->err.text);
}

static void run_two(struct machine *m)
{
    struct second second = {.m = m, .err = ERR_INIT};
    pthread_t thread;

    (void)sem_init(&second.ready, 0, 0);
    REQUIRE(!pthread_create(&thread, NULL, second_run, &second));
    while (sem_wait(&second.ready))
        ;
    if (CHECK(second.vcpu)) {
        run_first(m);
        m->done = true;
        m->engine->vcpu_kick(second.vcpu);
    }
    (void)pthread_join(thread, NULL);
    m->engine->vcpu_destroy(second.vcpu);
    (void)sem_destroy(&second.ready);
}

struct job {
    enum guest_program program;
    unsigned cpus;
};

static void *run_job(void *arg)
{
    const struct job *job = arg;
    cleanup_machine struct machine m = MACHINE_INIT;

    if (!CHECK(machine_open(&m, job->cpus) && machine_start(&m, job->program))) {
        (void)printf("# %s\n", m.err.text);
        return NULL;
    }
    m.command = hot_command;
    if (job->cpus == 1)
        run_first(&m);
    else
        run_two(&m);
    return NULL;
}

/* On a thread of its own: an engine may block signals in those that run it, and the watch dog is
 * one. */
static void run(enum guest_program program, unsigned cpus)
{
    struct job job = {program, cpus};
    pthread_t thread;

    if (CHECK(!pthread_create(&thread, NULL, run_job, &job)))
        (void)pthread_join(thread, NULL);
}

#define HOT(name, cpus)            \
    static void name(void)         \
    {                              \
        run(PROGRAM_##name, cpus); \
    }
#include "hot.def"
#undef HOT

/* With names as arguments only those. */
int main(int argc, char **argv)
{
    static const struct tap_case all[] = {
#define HOT(name, cpus) TAP_CASE(name),
#include "hot.def"
#undef HOT
    };
    struct tap_case chosen[ARRAY_SIZE(all)];
    size_t count = 0;
    const char *name = getenv("SOCLE_ENGINE");
    struct err why = ERR_INIT;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    engine = engine_choose(name ? name : "auto", &why);
    if (!engine) {
        (void)printf("1..0 # SKIP %s\n", why.text);
        return name ? 1 : 0;
    }
    if (!name && !strcmp(engine->name, "bt")) {
        (void)printf("1..0 # SKIP bt is tested by name\n");
        return 0;
    }
    (void)printf("# engine %s\n", engine->name);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++)
            wanted |= !strcmp(argv[k], all[i].name);
        if (wanted)
            chosen[count++] = all[i];
    }
    (void)alarm(150); /* a guest that waits for what never comes */
    return tap_run_(chosen, count);
}
