/* SPDX-License-Identifier: Apache-2.0 */
/* An engine without processors: remembers what is bound and mapped, so that tests of the machine
 * can look. */
#pragma once

#include "vm/engine/engine.h"

enum { FAKE_ROUTES = 128, FAKE_BINDINGS = 256 };

struct fake_binding {
    bool used;
    unsigned route;   /* irqfd */
    uint64_t address; /* doorbell */
    enum bus_space space;
    int fd;
};

struct engine_vm {
    bool route_used[FAKE_ROUTES];
    uint64_t route_address[FAKE_ROUTES];
    uint32_t route_data[FAKE_ROUTES];
    struct fake_binding irqfd[FAKE_BINDINGS], doorbell[FAKE_BINDINGS];
    struct engine_memory memory[16];
    unsigned
        mistakes; /* things an engine's user must not do: bind twice, unbind what is not bound */
};

extern const struct engine fake_engine;

unsigned fake_count(const struct fake_binding *bindings);
/* The binding of `fd`, or NULL. */
const struct fake_binding *fake_find(const struct fake_binding *bindings, int fd);
