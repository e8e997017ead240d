/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's debug port. What the guest wrote of a line is no state: it is lost with the VM. */
#include "vm/chipset/debugcon.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/lock.h"

enum { DEBUGCON_PORT = 0x402, DEBUGCON_HERE = 0xe9, LINE_SIZE = 256 };

struct debugcon {
    int fd; /* borrowed */
    pthread_mutex_t lock;
    unsigned len;
    char line[LINE_SIZE];
};

/* A log that can not be written holds nobody up. */
static void flush(struct debugcon *d)
{
    if (d->len)
        (void)!write(d->fd, d->line, d->len);
    d->len = 0;
}

static uint64_t debugcon_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    (void)dev, (void)region, (void)offset, (void)size;
    return DEBUGCON_HERE;
}

static void debugcon_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                           uint64_t value)
{
    struct debugcon *d = dev;

    (void)region, (void)offset, (void)size;
    LOCK_SCOPE(&d->lock);
    d->line[d->len++] = (char)value;
    if ((char)value == '\n' || d->len == LINE_SIZE)
        flush(d);
}

static void debugcon_reset(void *dev)
{
    (void)dev;
}

static int debugcon_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "debugcon",
                    .space = DEV_PIO,
                    .base = DEBUGCON_PORT,
                    .size = 1,
                    .max_width = 1}},
        .region_count = 1,
    };
    return 0;
}

static void debugcon_destroy(void *dev)
{
    struct debugcon *d = dev;

    if (!d)
        return;
    flush(d);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

static int debugcon_create(const struct dev_env *env, const void *params, void **ret_dev,
                           struct err *err)
{
    const struct debugcon_params *p = params;
    struct debugcon *d = calloc(1, sizeof *d);

    if (!d)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    d->fd = p->fd;
    (void)pthread_mutex_init(&d->lock, NULL);
    *ret_dev = d;
    return 0;
}

static const struct state_table debugcon_state = {
    .name = "debugcon", .version = 1, .size = sizeof(struct debugcon)};

const struct dev_class debugcon_class = {
    .name = "debugcon",
    .place = DEV_IN_VMX,
    .layout = debugcon_layout,
    .create = debugcon_create,
    .destroy = debugcon_destroy,
    .reset = debugcon_reset,
    .read = debugcon_read,
    .write = debugcon_write,
    .state = &debugcon_state,
};
