/* SPDX-License-Identifier: Apache-2.0 */
/* What irqchip.c, lapic.c and ioapic.c share. All of it is under bt_irqchip.lock, and the functions
 * here expect it to be held. */
#pragma once

#include <pthread.h>

#include "vm/engine/bt/bt.h"
#include "vm/engine/bt/ioapic.h"
#include "vm/engine/bt/irqchip.h"
#include "vm/engine/bt/pic8259.h"
#include "vm/engine/bt/pit8254.h"

/* Delivery modes (SDM 10.6.1). */
enum bt_delivery {
    BT_DELIVER_FIXED,
    BT_DELIVER_LOWEST,
    BT_DELIVER_SMI,
    BT_DELIVER_NMI = 4,
    BT_DELIVER_INIT,
    BT_DELIVER_SIPI,
    BT_DELIVER_EXTINT
};

/* An interrupt on its way to local APICs. */
struct bt_message {
    uint8_t vector, mode; /* enum bt_delivery */
    bool logical;
    bool level;    /* triggered: sets TMR */
    bool redirect; /* MSI's redirection hint: to one of the destinations */
    uint32_t destination;
};

struct bt_lapic {
    struct bt_irqchip *chip; /* borrowed */
    struct bt_vcpu *vcpu;    /* borrowed */
    uint32_t id;
    bool bsp;
    bool enabled, x2apic;              /* of APIC_BASE */
    uint32_t reg[CPU_LAPIC_REGISTERS]; /* at offset / 16 */
    uint32_t errors;                   /* since ESR was written last */
    struct bt_timer timer;
    uint64_t count_end;  /* ns: when the count is 0, or was first; 0: long ago */
    uint64_t deadline;   /* TSC; 0: none */
    uint64_t tsc_offset; /* copy of the vCPU's */
};

enum { BT_ROUTES_MAX = 3072, BT_BINDINGS_MAX = 4096 };

struct bt_route {
    bool used;
    uint64_t address;
    uint32_t data;
    unsigned bound; /* eventfds */
};

/* An eventfd that is bound to a GSI or a route. */
struct bt_binding {
    bool used;
    uint32_t generation; /* what the thread was told of, perhaps before it was unbound */
    int fd, resample_fd; /* borrowed */
    unsigned gsi;
};

struct bt_irqchip {
    pthread_mutex_t lock;
    struct bt_timers timers;
    uint64_t (*host_tsc)(void);
    uint64_t tsc_hz;
    unsigned phys_bits;
    struct bus *bus;

    struct bt_lapic *lapic[ENGINE_CPUS_MAX]; /* by vCPU index; owned by their vCPUs */
    unsigned lapic_end;
    unsigned lowest_last; /* who took the last lowest-priority message */

    struct bt_pic pic;
    bool pic_output;
    struct bt_ioapic ioapic;
    struct bt_pit pit;
    uint8_t level[ENGINE_GSI_LINES]; /* BT_SOURCE_*: who holds the GSI up */
    int8_t pirq[ENGINE_PIRQS];       /* the PIC's input for GSI 16 + n; -1: none */
    struct bt_clock_base clock_base;

    struct bt_route *route;     /* BT_ROUTES_MAX; owned */
    struct bt_binding *binding; /* BT_BINDINGS_MAX; owned */
    unsigned binding_end;
    unsigned resamplers[ENGINE_GSI_LINES]; /* bindings with a resample eventfd */

    int epoll_fd, stop_fd;
    bool thread_runs;
    pthread_t thread;
    void (*thread_start)(void);
    unsigned regions; /* mapped on the bus */
};

/* lapic.c */
unsigned bt_lapic_deliver(struct bt_irqchip *chip, const struct bt_message *message);
/* The PIC's output has changed, or is still up after an acknowledge. */
void bt_lapic_pic_changed(struct bt_irqchip *chip, bool rose);
bool bt_lapic_takes_pic(const struct bt_lapic *lapic);
bool bt_lapic_interrupt(struct bt_lapic *lapic, uint8_t *ret_vector);
/* Makes the vCPU's request bit what it is to be. */
void bt_lapic_update(struct bt_lapic *lapic);

/* irqchip_bus.c: the controllers' registers on the VM's bus. */
int bt_irqchip_map(struct bt_irqchip *chip, struct err *err);
void bt_irqchip_unmap(struct bt_irqchip *chip);

/* irqfd.c: the eventfds of one wake-up, and a GSI's end of interrupt. */
int bt_irqfd_init(struct bt_irqchip *chip);
int bt_irqfd_start(struct bt_irqchip *chip, void (*thread_start)(void));
void bt_irqfd_fini(struct bt_irqchip *chip);
void bt_irqfd_resample(struct bt_irqchip *chip, unsigned gsi);

/* irqchip.c: a local APIC has ended a level-triggered interrupt. */
void bt_irqchip_end(struct bt_irqchip *chip, uint8_t vector);
/* A source of the GSI raises or lowers it. */
enum { BT_SOURCE_LINE = 1, BT_SOURCE_IRQFD = 2, BT_SOURCE_PIT = 4 };
void bt_irqchip_set_gsi(struct bt_irqchip *chip, unsigned gsi, unsigned source, bool level);
/* Tells the local APICs when the PIC's output is another one. */
void bt_irqchip_update_pic(struct bt_irqchip *chip);
struct bt_route *bt_irqchip_find_route(struct bt_irqchip *chip, unsigned gsi);
void bt_irqchip_send_route(struct bt_irqchip *chip, unsigned route);
