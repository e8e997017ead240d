/* SPDX-License-Identifier: Apache-2.0 */
/* Drives one device through its class, as the machine would, with nothing else around it: registers
 * by region with the widths that the bus would allow, doorbells and MSI-X messages as eventfds,
 * guest memory that a test reads and writes, saved state.
 *
 *     struct harness *h = harness_create(&virtio_rng_class, &params, MIB(2));
 *     harness_write(h, VIRTIO_REGION_COMMON, 0x14, 1, 1);
 *     harness_ring(h, 0);
 *     CHECK(harness_wait_msix(h, 1) == 1);
 *
 * A function starts as firmware leaves it to a driver: bus master on, MSI-X off, INTx enabled. Not
 * thread-safe itself; the device may have threads. What goes wrong in the harness aborts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "vm/machine/dev.h"

enum { HARNESS_DOORBELLS_MAX = 1024, HARNESS_WAIT_MS = 5000, HARNESS_QUIET_MS = 30 };

struct harness {
    const struct dev_class *class;
    struct dev_layout layout;
    struct dev_env env;
    struct gmem *gmem;
    struct loop *loop;
    struct pci_shared shared;
    struct pci_port port;
    int doorbell_fd[HARNESS_DOORBELLS_MAX];
    struct irq_probe {
        bool level;
        unsigned rises;
    } irq[2];        /* the ISA wires */
    int requests[3]; /* machine_request, how often */
    void *dev;
};

/* NULL params are passed on. `ram`: bytes of guest memory. */
struct harness *harness_create(const struct dev_class *class, const void *params, uint64_t ram);
/* The same in steps, to change h->env in between. */
struct harness *harness_prepare(const struct dev_class *class, const void *params, uint64_t ram);
int harness_start(struct harness *h, const void *params, struct err *err);
void harness_destroy(struct harness *h); /* accepts NULL */

/* As the bus: what no width of the region fits is all ones, or dropped; wider accesses are split.
 */
uint64_t harness_read(struct harness *h, unsigned region, uint64_t offset, unsigned size);
void harness_write(struct harness *h, unsigned region, uint64_t offset, unsigned size,
                   uint64_t value);

void harness_ring(struct harness *h, unsigned doorbell);
/* Lets the device's loop run until nothing is ready. */
void harness_run(struct harness *h);

void harness_msix_enable(struct harness *h, bool on);
void harness_msi_enable(struct harness *h, unsigned vectors); /* 0: off */
uint64_t harness_msi(struct harness *h, unsigned vector);     /* messages since the last look */
void harness_bus_master(struct harness *h, bool on);
/* Messages sent since the last look; harness_wait_msix waits for the first one (running the loop)
 * and gives up after HARNESS_WAIT_MS with 0. */
uint64_t harness_msix(struct harness *h, unsigned vector);
uint64_t harness_wait_msix(struct harness *h, unsigned vector);
/* No message comes for a while: true. */
bool harness_quiet_msix(struct harness *h, unsigned vector);
/* The INTx wire as the device drives it, and assertions sent since the last look. */
bool harness_intx(const struct harness *h);
uint64_t harness_intx_count(struct harness *h);

void harness_save(struct harness *h, struct buf *out); /* quiesces and resumes */
int harness_load(struct harness *h, const struct buf *saved, struct err *err);

/* Guest memory; out of RAM aborts. */
void harness_poke(struct harness *h, uint64_t addr, const void *data, size_t len);
void harness_peek(struct harness *h, uint64_t addr, void *data, size_t len);
