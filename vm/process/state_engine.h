/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's share of vmm's part of a saved VM: processors and interrupt controllers. */
#pragma once

#include "vm/process/state.h"

struct engine;
struct engine_vm;
struct vcpus;

struct state_engine {
    const struct engine *engine;
    struct engine_vm *vm;
    struct vcpus *vcpus; /* paused */
    unsigned cpus;
};

/* For struct state_machine. */
int state_put_engine(const struct state_engine *m, struct buf *out, struct err *err);
int state_take_engine(const struct state_engine *m, struct state_records *r, struct err *err);
