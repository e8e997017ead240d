/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/vcpus.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct vcpu_thread {
    struct vcpus *all;
    unsigned index;
    pthread_t thread;
    pthread_cond_t wake; /* told to go on, to end, or to carry out a call */
    bool started, standing;
    struct engine_vcpu *vcpu;
    int create_result;
    struct err err;
    /* A call to carry out while standing. */
    int (*call)(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx);
    void *call_ctx;
    int call_result;
};

struct vcpus {
    struct vcpus_config config;
    pthread_mutex_t lock;
    pthread_cond_t told; /* a thread has started, stands still, or has carried out a call */
    bool paused, ending;
    unsigned standing; /* threads that stand still */
    struct vcpu_thread thread[];
};

static __thread unsigned self_index;

unsigned vcpus_self(void)
{
    return self_index;
}

/* Stands still, carrying out calls, while the VM is paused or `halted`. With the lock; false when
 * the thread is to end. */
static bool stand(struct vcpu_thread *t, bool halted)
{
    struct vcpus *all = t->all;

    if (!all->paused && !all->ending && !halted)
        return true;
    t->standing = true;
    all->standing++;
    (void)pthread_cond_signal(&all->told);
    while (!all->ending && (all->paused || halted)) {
        if (t->call) {
            t->call_result = t->call(all->config.engine, t->vcpu, t->call_ctx);
            t->call = NULL;
            halted = false; /* whoever set it up anew wants it to run */
            (void)pthread_cond_signal(&all->told);
            continue;
        }
        (void)pthread_cond_wait(&t->wake, &all->lock);
    }
    all->standing--;
    t->standing = false;
    return !all->ending;
}

static void run(struct vcpu_thread *t)
{
    struct vcpus *all = t->all;
    enum engine_exit exit = ENGINE_EXIT_KICKED;

    for (;;) {
        (void)pthread_mutex_lock(&all->lock);
        bool go_on = stand(t, exit != ENGINE_EXIT_KICKED);
        (void)pthread_mutex_unlock(&all->lock);
        if (!go_on)
            return;
        t->err = ERR_INIT;
        exit = all->config.engine->vcpu_run(t->vcpu, &t->err);
        if (exit != ENGINE_EXIT_KICKED)
            all->config.ended(all->config.ctx, t->index, exit, &t->err);
    }
}

static void *thread_main(void *arg)
{
    struct vcpu_thread *t = arg;
    struct vcpus *all = t->all;

    self_index = t->index;
    int rc = all->config.engine->vcpu_create(all->config.vm, t->index, &t->vcpu, &t->err);
    if (rc == 0 && all->config.confine)
        all->config.confine();
    (void)pthread_mutex_lock(&all->lock);
    t->create_result = rc;
    t->started = true;
    (void)pthread_cond_signal(&all->told);
    (void)pthread_mutex_unlock(&all->lock);
    if (rc == 0)
        run(t);
    all->config.engine->vcpu_destroy(t->vcpu);
    return NULL;
}

static int start_thread(struct vcpus *all, unsigned i, struct err *err)
{
    struct vcpu_thread *t = &all->thread[i];
    char name[16];

    *t = (struct vcpu_thread){.all = all, .index = i};
    (void)pthread_cond_init(&t->wake, NULL);
    int rc = -pthread_create(&t->thread, NULL, thread_main, t);
    if (rc < 0)
        return err_sys(err, rc, "cannot start the thread of vCPU %u", i);
    (void)snprintf(name, sizeof name, "vcpu-%u", i);
    (void)pthread_setname_np(t->thread, name);

    (void)pthread_mutex_lock(&all->lock);
    while (!t->started)
        (void)pthread_cond_wait(&all->told, &all->lock);
    (void)pthread_mutex_unlock(&all->lock);
    if (t->create_result < 0) {
        if (err)
            *err = t->err;
        (void)pthread_join(t->thread, NULL);
        return err_prefix(err, t->create_result, "vCPU %u", i);
    }
    return 0;
}

int vcpus_create(const struct vcpus_config *config, struct vcpus **ret_vcpus, struct err *err)
{
    struct vcpus *all = calloc(1, sizeof *all + config->count * sizeof all->thread[0]);

    if (!all)
        return err_set(err, -ENOMEM, "out of memory");
    all->config = *config;
    all->config.count = 0; /* those that run */
    all->paused = true;
    (void)pthread_mutex_init(&all->lock, NULL);
    (void)pthread_cond_init(&all->told, NULL);
    for (unsigned i = 0; i < config->count; i++) {
        int rc = start_thread(all, i, err);
        if (rc < 0) {
            vcpus_destroy(all);
            return rc;
        }
        all->config.count = i + 1;
    }
    *ret_vcpus = all;
    return 0;
}

static void wake_all(struct vcpus *all)
{
    for (unsigned i = 0; i < all->config.count; i++)
        (void)pthread_cond_signal(&all->thread[i].wake);
}

static void kick_all(struct vcpus *all)
{
    for (unsigned i = 0; i < all->config.count; i++)
        if (!all->thread[i].standing)
            all->config.engine->vcpu_kick(all->thread[i].vcpu);
}

void vcpus_destroy(struct vcpus *all)
{
    if (!all)
        return;
    (void)pthread_mutex_lock(&all->lock);
    all->ending = true;
    wake_all(all);
    kick_all(all);
    (void)pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->config.count; i++)
        (void)pthread_join(all->thread[i].thread, NULL);
    for (unsigned i = 0; i < all->config.count; i++)
        (void)pthread_cond_destroy(&all->thread[i].wake);
    (void)pthread_cond_destroy(&all->told);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

void vcpus_pause(struct vcpus *all)
{
    (void)pthread_mutex_lock(&all->lock);
    all->paused = true;
    kick_all(all);
    while (all->standing < all->config.count)
        (void)pthread_cond_wait(&all->told, &all->lock);
    (void)pthread_mutex_unlock(&all->lock);
}

void vcpus_resume(struct vcpus *all)
{
    (void)pthread_mutex_lock(&all->lock);
    all->paused = false;
    wake_all(all);
    (void)pthread_mutex_unlock(&all->lock);
}

int vcpus_call(struct vcpus *all, unsigned index,
               int (*fn)(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx),
               void *ctx)
{
    struct vcpu_thread *t = &all->thread[index];

    (void)pthread_mutex_lock(&all->lock);
    t->call_ctx = ctx;
    t->call = fn;
    (void)pthread_cond_signal(&t->wake);
    while (t->call)
        (void)pthread_cond_wait(&all->told, &all->lock);
    int rc = t->call_result;
    (void)pthread_mutex_unlock(&all->lock);
    return rc;
}
