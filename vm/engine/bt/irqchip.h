/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers and the timer of a VM of the software engine, wired as KVM wires its
 * own: GSI 0 (the PIT) is pin 0 of the PIC and pin 2 of the IOAPIC; GSI 1-15 but 2 are pins of
 * both; 2 and 16-23 are pins of the IOAPIC only, but that 16-23 may be led to the PIC as well. A
 * GSI is up while any of its sources (irq_line, bound eventfds with resampling, the PIT) holds it
 * up. Messages (MSI) go to the local APICs.
 *
 * One lock guards all of it. bt_vcpu_request is called under the lock, so it must not call back,
 * and nothing here may be called with the vCPU's wait_lock held. One thread, `bt-irq`, waits for
 * bound eventfds and for timers; nothing polls, and without work nothing runs.
 *
 * What a vCPU has to look at: BT_REQUEST_INTERRUPT in `request` is set exactly while there is an
 * interrupt whose priority lets it through, whatever RFLAGS.IF says. The irqchip sets and clears
 * it, nobody else. A vCPU that can take one (IF, no shadow) calls bt_irqchip_interrupt; one that
 * halts sleeps unless the bit and IF are set. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct bt_irqchip;
struct bt_vcpu;
struct bus;
struct irqchip_state;

struct bt_irqchip_config {
    struct bus *bus;            /* borrowed; the controllers' registers are mapped there */
    const struct clock *clock;  /* borrowed; NULL: the host's */
    uint64_t (*host_tsc)(void); /* NULL: RDTSC; a vCPU's TSC is this plus its tsc_offset */
    uint64_t tsc_hz;            /* of that */
    unsigned phys_bits;         /* of APIC_BASE; 0: 52 */
    void (*thread_start)(void); /* runs first on the thread, to confine it; may be NULL */
    bool no_thread;             /* a test that calls bt_irqchip_poll itself */
};

int bt_irqchip_create(const struct bt_irqchip_config *config, struct bt_irqchip **ret_chip,
                      struct err *err);
/* After all local APICs (lapic.h). */
void bt_irqchip_destroy(struct bt_irqchip *chip);

/* For a vCPU's own thread. The highest interrupt that its local APIC lets through (or the PIC's, by
 * LINT0), acknowledged: it is in service now. False: there is none (any more). */
bool bt_irqchip_interrupt(struct bt_vcpu *vcpu, uint8_t *ret_vector);
/* Whether bt_irqchip_interrupt would give one: the request bit, one load. */
bool bt_irqchip_pending(const struct bt_vcpu *vcpu);

/* The engine's functions (engine.h says what they do). */
int bt_irqchip_line(struct bt_irqchip *chip, unsigned gsi, bool level);
int bt_irqchip_pirq(struct bt_irqchip *chip, unsigned gsi, int irq);
int bt_irqchip_msi_alloc(struct bt_irqchip *chip, unsigned *ret_route);
void bt_irqchip_msi_free(struct bt_irqchip *chip, unsigned route);
int bt_irqchip_msi_set(struct bt_irqchip *chip, unsigned route, uint64_t address, uint32_t data);
int bt_irqchip_msi_send(struct bt_irqchip *chip, uint64_t address, uint32_t data);
/* `fd` is borrowed while bound, and nobody else reads it; it should be non-blocking. */
int bt_irqchip_irqfd(struct bt_irqchip *chip, unsigned gsi_or_route, int fd, int resample_fd,
                     bool on);
int bt_irqchip_get(struct bt_irqchip *chip, struct irqchip_state *ret_state);
int bt_irqchip_set(struct bt_irqchip *chip, const struct irqchip_state *state);
int bt_irqchip_pit_disable(struct bt_irqchip *chip, bool on);

/* The paravirtual clock, ns: saved and restored with the rest. It is the TSC's: it was `ns` when
 * the host's TSC was `host_tsc`. The generation changes, and is never 0, when the clock is set. */
struct bt_clock_base {
    uint64_t host_tsc, tsc_hz, ns;
    uint32_t generation;
};
struct bt_clock_base bt_irqchip_clock_base(struct bt_irqchip *chip);
uint64_t bt_irqchip_clock(struct bt_irqchip *chip);

/* What the thread does, once: waits up to timeout_ms for eventfds and timers and carries them out.
 * False: the thread is to end. */
bool bt_irqchip_poll(struct bt_irqchip *chip, int timeout_ms);
