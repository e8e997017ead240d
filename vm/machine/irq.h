/* SPDX-License-Identifier: Apache-2.0 */
/* An interrupt wire as its source sees it: a level that the source sets. Whoever owns the sink (the
 * engine's interrupt controllers, an eventfd, a test) fills in `set`. An unconnected wire (set ==
 * NULL) is legal. Thread-safe if the sink is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct irq {
    void (*set)(void *ctx, unsigned line, bool level);
    void *ctx;
    unsigned line;
};

static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->set)
        irq->set(irq->ctx, irq->line, level);
}

/* An edge: up and down. */
static inline void irq_pulse(const struct irq *irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}
