/* SPDX-License-Identifier: Apache-2.0 */
/* IBM PC AT Technical Reference: the manufacturing checkpoint port. */
#include "vm/chipset/post_port.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"

struct post_port {
    uint8_t code; /* atomically */
};

static uint64_t post_port_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    (void)region, (void)offset, (void)size;
    return post_port_code(dev);
}

static void post_port_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                            uint64_t value)
{
    struct post_port *p = dev;

    (void)offset, (void)size;
    if (region == 0)
        __atomic_store_n(&p->code, (uint8_t)value, __ATOMIC_RELAXED);
}

uint8_t post_port_code(void *dev)
{
    const struct post_port *p = dev;

    return __atomic_load_n(&p->code, __ATOMIC_RELAXED);
}

static void post_port_reset(void *dev)
{
    post_port_write(dev, 0, 0, 1, 0);
}

static int post_port_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "post", .space = DEV_PIO, .base = 0x80, .size = 1, .max_width = 1},
                   {.name = "delay", .space = DEV_PIO, .base = 0xed, .size = 1, .max_width = 1}},
        .region_count = 2,
    };
    return 0;
}

static int post_port_create(const struct dev_env *env, const void *params, void **ret_dev,
                            struct err *err)
{
    struct post_port *p = calloc(1, sizeof *p);

    (void)params;
    if (!p)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    *ret_dev = p;
    return 0;
}

static const struct state_field post_port_fields[] = {
    STATE_FIELD(struct post_port, code, STATE_U8),
};

static const struct state_table post_port_state = {
    .name = "post-port",
    .version = 1,
    .size = sizeof(struct post_port),
    .fields = post_port_fields,
    .field_count = ARRAY_SIZE(post_port_fields),
};

const struct dev_class post_port_class = {
    .name = "post-port",
    .place = DEV_IN_VMM,
    .layout = post_port_layout,
    .create = post_port_create,
    .destroy = free,
    .reset = post_port_reset,
    .read = post_port_read,
    .write = post_port_write,
    .state = &post_port_state,
};
