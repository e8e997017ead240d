/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/device/fake_engine.h"

#include <errno.h>

#include "base/range.h"

enum { FIRST_ROUTE = ENGINE_GSI_LINES };

unsigned fake_count(const struct fake_binding *bindings)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_BINDINGS; i++)
        n += bindings[i].used;
    return n;
}

const struct fake_binding *fake_find(const struct fake_binding *bindings, int fd)
{
    for (unsigned i = 0; i < FAKE_BINDINGS; i++)
        if (bindings[i].used && bindings[i].fd == fd)
            return &bindings[i];
    return NULL;
}

static int bind(struct engine_vm *vm, struct fake_binding *bindings, struct fake_binding want,
                bool on)
{
    for (unsigned i = 0; i < FAKE_BINDINGS; i++) {
        struct fake_binding *b = &bindings[i];
        if (!b->used || b->route != want.route || b->address != want.address || b->fd != want.fd)
            continue;
        vm->mistakes += on;
        b->used = false;
        return 0;
    }
    vm->mistakes += !on;
    for (unsigned i = 0; i < FAKE_BINDINGS && on; i++)
        if (!bindings[i].used) {
            bindings[i] = want;
            bindings[i].used = true;
            return 0;
        }
    return -ENOSPC;
}

static int irqfd(struct engine_vm *vm, unsigned route, int fd, int resample_fd, bool on)
{
    (void)resample_fd;
    return bind(vm, vm->irqfd, (struct fake_binding){.route = route, .fd = fd}, on);
}

static int doorbell(struct engine_vm *vm, enum bus_space space, uint64_t addr, int fd, bool on)
{
    return bind(vm, vm->doorbell, (struct fake_binding){.address = addr, .space = space, .fd = fd},
                on);
}

static int msi_alloc(struct engine_vm *vm, unsigned *ret_route)
{
    for (unsigned i = 0; i < FAKE_ROUTES; i++)
        if (!vm->route_used[i]) {
            vm->route_used[i] = true;
            *ret_route = FIRST_ROUTE + i;
            return 0;
        }
    return -ENOSPC;
}

static void msi_free(struct engine_vm *vm, unsigned route)
{
    vm->mistakes += !vm->route_used[route - FIRST_ROUTE];
    vm->route_used[route - FIRST_ROUTE] = false;
}

static int msi_set(struct engine_vm *vm, unsigned route, uint64_t address, uint32_t data)
{
    vm->route_address[route - FIRST_ROUTE] = address;
    vm->route_data[route - FIRST_ROUTE] = data;
    return 0;
}

static int map(struct engine_vm *vm, const struct engine_memory *memory, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vm->memory); i++)
        if (!vm->memory[i].size) {
            vm->memory[i] = *memory;
            return 0;
        }
    return err_set(err, -ENOSPC, "no room");
}

static int unmap(struct engine_vm *vm, uint64_t base)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vm->memory); i++)
        if (vm->memory[i].size && vm->memory[i].base == base) {
            vm->memory[i].size = 0;
            return 0;
        }
    vm->mistakes++;
    return -ENOENT;
}

const struct engine fake_engine = {
    .name = "fake",
    .map = map,
    .unmap = unmap,
    .msi_alloc = msi_alloc,
    .msi_free = msi_free,
    .msi_set = msi_set,
    .irqfd = irqfd,
    .doorbell = doorbell,
};
