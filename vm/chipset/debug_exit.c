/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/debug_exit.h"

#include <errno.h>
#include <stdlib.h>

struct debug_exit {
    struct debug_exit_params params;
};

static uint64_t debug_exit_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    (void)dev, (void)region, (void)offset, (void)size;
    return 0;
}

static void debug_exit_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                             uint64_t value)
{
    const struct debug_exit *d = dev;

    (void)region, (void)offset, (void)size;
    d->params.exit(d->params.ctx, (uint8_t)(value << 1 | 1));
}

static void debug_exit_reset(void *dev)
{
    (void)dev;
}

static int debug_exit_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct debug_exit_params *p = params;

    (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "debug-exit",
                    .space = DEV_PIO,
                    .base = p->port,
                    .size = DEBUG_EXIT_SIZE,
                    .max_width = 4}},
        .region_count = 1,
    };
    return 0;
}

static int debug_exit_create(const struct dev_env *env, const void *params, void **ret_dev,
                             struct err *err)
{
    struct debug_exit *d = calloc(1, sizeof *d);

    if (!d)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    d->params = *(const struct debug_exit_params *)params;
    *ret_dev = d;
    return 0;
}

static const struct state_table debug_exit_state = {
    .name = "debug-exit", .version = 1, .size = sizeof(struct debug_exit)};

const struct dev_class debug_exit_class = {
    .name = "debug-exit",
    .place = DEV_IN_VMM,
    .layout = debug_exit_layout,
    .create = debug_exit_create,
    .destroy = free,
    .reset = debug_exit_reset,
    .read = debug_exit_read,
    .write = debug_exit_write,
    .state = &debug_exit_state,
};
