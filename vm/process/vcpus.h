/* SPDX-License-Identifier: Apache-2.0 */
/* The threads on which a VM's processors run, one each, whatever the engine.
 *
 * They start paused. vcpus_resume lets them run; vcpus_pause returns when every one stands still
 * between two instructions, and is the one mechanism for reset, snapshot and migration. Paused
 * threads carry out vcpus_call, since an engine wants a vCPU touched by its own thread only. All
 * functions are for one controlling thread (the main loop). */
#pragma once

#include "base/err.h"
#include "vm/engine/engine.h"

struct vcpus;

struct vcpus_config {
    const struct engine *engine;
    struct engine_vm *vm;
    unsigned count;
    void (*confine)(void); /* runs first on each thread once its vCPU exists; may be NULL */
    /* A processor ended: ENGINE_EXIT_SHUTDOWN or ENGINE_EXIT_FAILED with its message. On its
     * thread, which then stands still. */
    void (*ended)(void *ctx, unsigned index, enum engine_exit exit, const struct err *err);
    void *ctx;
};

int vcpus_create(const struct vcpus_config *config, struct vcpus **ret_vcpus, struct err *err);
void vcpus_destroy(struct vcpus *vcpus); /* ends the threads; accepts NULL */

void vcpus_pause(struct vcpus *vcpus);
void vcpus_resume(struct vcpus *vcpus);
/* Runs `fn` on the paused thread of vCPU `index` and returns its result. */
int vcpus_call(struct vcpus *vcpus, unsigned index,
               int (*fn)(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx),
               void *ctx);

/* The number of the vCPU whose thread this is. */
unsigned vcpus_self(void);
