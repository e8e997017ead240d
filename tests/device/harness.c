/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/device/harness.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "harness: %s\n", what);
    abort();
}

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    must(fd >= 0, "eventfd");
    return fd;
}

static void on_irq(void *ctx, unsigned line, bool level)
{
    struct irq_probe *probe = &((struct harness *)ctx)->irq[line];

    probe->rises += level && !probe->level;
    probe->level = level;
}

static void on_request(void *ctx, enum machine_request what)
{
    ((struct harness *)ctx)->requests[what]++;
}

static void make_pci(struct harness *h)
{
    h->port = (struct pci_port){.shared = &h->shared,
                                .msix_count = h->layout.pci.msix_vectors,
                                .intx_fd = -1,
                                .resample_fd = -1};
    if (!h->layout.is_pci)
        return;
    atomic_store(&h->shared.command, 6); /* memory space, bus master */
    for (unsigned i = 0; i < h->port.msix_count; i++)
        h->port.msix_fd[i] = new_eventfd();
    for (unsigned i = 0; i < h->layout.pci.msi_vectors; i++)
        h->port.msi_fd[i] = new_eventfd();
    if (h->layout.pci.intx)
        h->port.intx_fd = new_eventfd();
    h->env.pci = &h->port;
}

struct harness *harness_prepare(const struct dev_class *class, const void *params, uint64_t ram)
{
    struct harness *h = calloc(1, sizeof *h);
    struct err err = ERR_INIT;

    must(h, "memory");
    h->class = class;
    must(class->layout(params, &h->layout, &err) == 0, err.text);
    must(gmem_create(ram, GMEM_PAGES_AUTO, &h->gmem, &err) == 0, err.text);
    must(loop_create(&h->loop) == 0, "loop");
    must(h->layout.doorbell.count <= HARNESS_DOORBELLS_MAX, "too many doorbells");
    for (unsigned i = 0; i < h->layout.doorbell.count; i++)
        h->doorbell_fd[i] = new_eventfd();
    h->env = (struct dev_env){.name = class->name,
                              .gmem = h->gmem,
                              .loop = h->loop,
                              .doorbell_fd = h->doorbell_fd,
                              .irq = {{on_irq, h, 0}, {on_irq, h, 1}},
                              .ram_fd = -1,
                              .request = on_request,
                              .request_ctx = h};
    for (unsigned i = 0; i < h->layout.region_count; i++)
        if (h->layout.region[i].ram && h->env.ram_fd < 0) {
            h->env.ram_fd = memfd_create("device-ram", MFD_CLOEXEC);
            must(h->env.ram_fd >= 0 &&
                     ftruncate(h->env.ram_fd, (off_t)h->layout.region[i].size) == 0,
                 "memfd");
        }
    make_pci(h);
    return h;
}

int harness_start(struct harness *h, const void *params, struct err *err)
{
    return h->class->create(&h->env, params, &h->dev, err);
}

struct harness *harness_create(const struct dev_class *class, const void *params, uint64_t ram)
{
    struct harness *h = harness_prepare(class, params, ram);
    struct err err = ERR_INIT;

    must(harness_start(h, params, &err) == 0, err.text);
    return h;
}

void harness_destroy(struct harness *h)
{
    if (!h)
        return;
    h->class->destroy(h->dev);
    for (unsigned i = 0; i < h->layout.doorbell.count; i++)
        (void)close_fd(h->doorbell_fd[i]);
    for (unsigned i = 0; h->layout.is_pci && i < h->port.msix_count; i++)
        (void)close_fd(h->port.msix_fd[i]);
    for (unsigned i = 0; h->layout.is_pci && i < h->layout.pci.msi_vectors; i++)
        (void)close_fd(h->port.msi_fd[i]);
    (void)close_fd(h->port.intx_fd);
    (void)close_fd(h->env.ram_fd);
    loop_destroy(h->loop);
    gmem_destroy(h->gmem);
    free(h);
}

/* -- Registers -----------------------------------------------------------------------------------
 */

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

/* The width the bus would use, or 0: nobody takes it. */
static unsigned width_for(const struct harness *h, unsigned region, uint64_t offset, unsigned size)
{
    must(region < h->layout.region_count, "no such region");
    const struct dev_region *r = &h->layout.region[region];
    unsigned least = r->min_width ? r->min_width : 1, most = r->max_width ? r->max_width : 8;

    return size < least || !range_within(offset, size, r->size) ? 0 : MIN(size, most);
}

uint64_t harness_read(struct harness *h, unsigned region, uint64_t offset, unsigned size)
{
    unsigned width = width_for(h, region, offset, size);
    uint64_t value = 0;

    if (!width)
        return ones(size);
    for (unsigned at = 0; at < size; at += width)
        value |= (h->class->read(h->dev, region, offset + at, width) & ones(width)) << (at * 8);
    return value;
}

void harness_write(struct harness *h, unsigned region, uint64_t offset, unsigned size,
                   uint64_t value)
{
    unsigned width = width_for(h, region, offset, size);

    for (unsigned at = 0; width && at < size; at += width)
        h->class->write(h->dev, region, offset + at, width, value >> (at * 8) & ones(width));
}

/* -- Events --------------------------------------------------------------------------------------
 */

static uint64_t take(int fd)
{
    uint64_t count;

    return fd >= 0 && read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

void harness_ring(struct harness *h, unsigned doorbell)
{
    const uint64_t one = 1;

    must(doorbell < h->layout.doorbell.count, "no such doorbell");
    must(write(h->doorbell_fd[doorbell], &one, sizeof one) == sizeof one, "doorbell");
}

void harness_run(struct harness *h)
{
    while (loop_run_once(h->loop, 0) > 0)
        ;
}

void harness_msix_enable(struct harness *h, bool on)
{
    atomic_store(&h->shared.msix_enabled, on);
}

void harness_msi_enable(struct harness *h, unsigned vectors)
{
    atomic_store(&h->shared.msi_enabled, vectors);
}

uint64_t harness_msi(struct harness *h, unsigned vector)
{
    must(vector < h->layout.pci.msi_vectors, "no such vector");
    harness_run(h);
    return take(h->port.msi_fd[vector]);
}

void harness_bus_master(struct harness *h, bool on)
{
    if (on)
        atomic_fetch_or(&h->shared.command, 4);
    else
        atomic_fetch_and(&h->shared.command, ~4u);
}

uint64_t harness_msix(struct harness *h, unsigned vector)
{
    must(vector < h->port.msix_count, "no such vector");
    harness_run(h);
    return take(h->port.msix_fd[vector]);
}

static uint64_t wait_msix(struct harness *h, unsigned vector, uint64_t ms)
{
    uint64_t end = clock_now() + ms * 1000000, count;
    struct pollfd fd = {.fd = h->port.msix_fd[vector], .events = POLLIN};

    while (!(count = harness_msix(h, vector)) && clock_now() < end)
        (void)poll(&fd, 1, 1);
    return count;
}

uint64_t harness_wait_msix(struct harness *h, unsigned vector)
{
    return wait_msix(h, vector, HARNESS_WAIT_MS);
}

bool harness_quiet_msix(struct harness *h, unsigned vector)
{
    return !wait_msix(h, vector, HARNESS_QUIET_MS);
}

bool harness_intx(const struct harness *h)
{
    return atomic_load(&h->port.intx_level);
}

uint64_t harness_intx_count(struct harness *h)
{
    harness_run(h);
    return take(h->port.intx_fd);
}

/* -- State and memory ----------------------------------------------------------------------------
 */

void harness_save(struct harness *h, struct buf *out)
{
    if (h->class->quiesce)
        h->class->quiesce(h->dev);
    state_save(h->class->state, h->dev, out);
    if (h->class->resume)
        h->class->resume(h->dev);
    must(!out->failed, "memory");
}

int harness_load(struct harness *h, const struct buf *saved, struct err *err)
{
    if (h->class->quiesce)
        h->class->quiesce(h->dev);
    int rc = state_load(h->class->state, h->dev, saved->data, saved->len, NULL, err);
    if (rc < 0 && h->class->reset)
        h->class->reset(h->dev);
    if (h->class->resume)
        h->class->resume(h->dev);
    return rc;
}

void harness_poke(struct harness *h, uint64_t addr, const void *data, size_t len)
{
    must(gmem_write(h->gmem, gpa(addr), data, len) == 0, "poke outside RAM");
}

void harness_peek(struct harness *h, uint64_t addr, void *data, size_t len)
{
    must(gmem_read(h->gmem, gpa(addr), data, len) == 0, "peek outside RAM");
}
