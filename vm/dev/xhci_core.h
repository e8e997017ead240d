/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the controller: what its files share. The lock of struct xhci covers all of it. */
#pragma once

#include <pthread.h>

#include "vm/dev/usb_tablet.h"
#include "vm/dev/xhci.h"
#include "vm/dev/xhci_regs.h"

enum {
    XHCI_STEPS_MAX = 256, /* TRBs that one doorbell is good for */
    XHCI_DCI_CONTROL = 1,
    XHCI_DCI_TABLET = 2 * USB_TABLET_ENDPOINT + 1,
};

/* A transfer or command ring as its consumer sees it. */
struct xhci_ring {
    uint64_t dequeue;
    uint8_t cycle;
};

struct trb {
    uint64_t parameter;
    uint32_t status, control;
};

struct xhci_endpoint {
    uint8_t state; /* enum endpoint_state, as in its context */
    struct xhci_ring ring;
};

struct xhci_slot {
    uint8_t enabled;
    uint8_t state;    /* enum slot_state */
    uint8_t port;     /* 1 up; 0: none yet */
    uint64_t context; /* of the device, in guest memory */
    struct xhci_endpoint endpoint[XHCI_ENDPOINTS];
};

struct xhci {
    struct dev_env env;
    struct bytering *input; /* borrowed, or NULL */
    struct loop_source input_ready;
    _Atomic uint32_t *active; /* borrowed, or NULL */
    pthread_mutex_t lock;     /* all below */

    uint32_t usbcmd, usbsts, dnctrl, config;
    uint64_t dcbaap;
    struct xhci_ring command;
    uint8_t command_running;
    uint32_t portsc[XHCI_PORTS];

    uint32_t iman, imod, erstsz;
    uint64_t erstba, erdp;
    uint32_t event_segment, event_index; /* where the next event goes */
    uint8_t event_cycle;

    struct xhci_slot slot[XHCI_SLOTS];
    struct usb_tablet tablet;
    uint8_t control_data[USB_DATA_MAX]; /* of the control transfer under way */
    uint8_t setup[USB_SETUP_LEN];
    uint32_t control_len; /* of the data that the device gave */
};

/* xhci.c: events. */
void xhci_event(struct xhci *x, const struct trb *event);
void xhci_fail(struct xhci *x); /* stops it: USBSTS.HCE */

/* The next TRB that the producer has handed over, over links; *ret_at is where it stands. False:
 * there is none, or (*steps is 0 then) too many were looked at. Does not take it. */
bool xhci_ring_peek(struct xhci *x, struct xhci_ring *ring, struct trb *ret_trb, uint64_t *ret_at,
                    unsigned *steps);
static inline void xhci_ring_take(struct xhci_ring *ring)
{
    ring->dequeue += TRB_LEN;
}
static inline unsigned trb_type(const struct trb *trb)
{
    return trb->control >> 10 & 63;
}

/* xhci_command.c */
void xhci_commands(struct xhci *x); /* doorbell 0 */
void xhci_disable_slot(struct xhci *x, unsigned slot);

/* xhci_transfer.c: doorbell of a slot's endpoint; slot from 0. */
void xhci_transfers(struct xhci *x, unsigned slot, unsigned dci);
void xhci_tablet_moved(struct xhci *x);
/* Writes an endpoint's state and ring into its context. */
void xhci_endpoint_store(struct xhci *x, unsigned slot, unsigned dci);
void xhci_transfer_event(struct xhci *x, unsigned slot, unsigned dci, uint64_t pointer,
                         enum completion code, uint32_t length, bool by_data);
/* Keeps what says whether the guest listens to the tablet. */
void xhci_note_active(struct xhci *x);
