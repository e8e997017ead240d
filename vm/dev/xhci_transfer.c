/* SPDX-License-Identifier: Apache-2.0 */
/* Transfer rings: control transfers to the tablet, and its reports. xHCI 1.2, sections 4.10, 4.11
 * and 6.4.1. There is one device, so whatever slot addresses it is the tablet's. */
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/xhci_core.h"

enum { TRANSFER_LENGTH = 0x1ffff, EVENT_LENGTH = 0xffffff };

void xhci_endpoint_store(struct xhci *x, unsigned slot, unsigned dci)
{
    const struct xhci_endpoint *e = &x->slot[slot].endpoint[dci];
    gpa_t at = gpa(x->slot[slot].context + dci * (uint64_t)CONTEXT_LEN);
    uint8_t context[16];

    if (gmem_read(x->env.gmem, at, context, sizeof context) < 0)
        return;
    le32_store(context, (le32_load(context) & ~UINT32_C(7)) | e->state);
    if (e->state != EP_DISABLED)
        le64_store(context + 8, e->ring.dequeue | e->ring.cycle);
    (void)gmem_write(x->env.gmem, at, context, sizeof context);
}

void xhci_note_active(struct xhci *x)
{
    uint32_t active = 0;

    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        active |= x->slot[i].endpoint[XHCI_DCI_TABLET].state != EP_DISABLED;
    if (x->active)
        atomic_store_explicit(x->active, active, memory_order_relaxed);
}

void xhci_transfer_event(struct xhci *x, unsigned slot, unsigned dci, uint64_t pointer,
                         enum completion code, uint32_t length, bool by_data)
{
    struct trb event = {pointer, (uint32_t)code << 24 | (length & EVENT_LENGTH),
                        (uint32_t)TRB_TRANSFER_EVENT << 10 | (slot + 1) << 24 | dci << 16 |
                            (by_data ? TRB_ED : 0)};

    xhci_event(x, &event);
}

static void halt(struct xhci *x, unsigned slot, unsigned dci, uint64_t at, enum completion code)
{
    x->slot[slot].endpoint[dci].state = EP_HALTED;
    xhci_endpoint_store(x, slot, dci);
    xhci_transfer_event(x, slot, dci, at, code, 0, false);
}

/* Where a TD's data are: how much has been moved of how much. */
struct td {
    struct xhci *x;
    unsigned slot, dci;
    uint8_t *data;
    uint32_t len, done;
    bool is_short; /* said so already */
};

/* Moves what one TRB is for and says what it asks to be told. */
static bool move(struct td *td, const struct trb *trb, uint64_t at, bool in)
{
    uint32_t room = trb->status & TRANSFER_LENGTH, n = MIN(room, td->len - td->done);
    bool fell_short = n < room && !td->is_short;
    int rc = 0;

    if (in)
        rc = gmem_write(td->x->env.gmem, gpa(trb->parameter), td->data + td->done, n);
    else if (trb->control & TRB_IDT)
        le64_store(td->data, trb->parameter); /* at most 8 bytes, at the beginning */
    else
        rc = gmem_read(td->x->env.gmem, gpa(trb->parameter), td->data + td->done, n);
    if (rc < 0) {
        halt(td->x, td->slot, td->dci, at, CC_TRB_ERROR);
        return false;
    }
    td->done += n;
    if ((trb->control & TRB_IOC) || (fell_short && (trb->control & TRB_ISP))) {
        xhci_transfer_event(td->x, td->slot, td->dci, at, n < room ? CC_SHORT_PACKET : CC_SUCCESS,
                            room - n, false);
        td->is_short |= fell_short;
    }
    return true;
}

/* An event data TRB: how much the TD has moved. */
static void tell_length(const struct td *td, const struct trb *trb)
{
    if (trb->control & TRB_IOC)
        xhci_transfer_event(td->x, td->slot, td->dci, trb->parameter,
                            td->is_short ? CC_SHORT_PACKET : CC_SUCCESS, td->done, true);
}

/* --- control --- */

static bool setup_stage(struct xhci *x, unsigned slot, const struct trb *trb, uint64_t at)
{
    le64_store(x->setup, trb->parameter);
    x->control_len = 0;
    memset(x->control_data, 0, sizeof x->control_data);
    if (trb->control & TRB_IOC)
        xhci_transfer_event(x, slot, XHCI_DCI_CONTROL, at, CC_SUCCESS, 0, false);
    return true;
}

static bool request(struct xhci *x, unsigned slot, uint64_t at)
{
    int len = usb_tablet_control(&x->tablet, x->setup, x->control_data);

    if (len < 0)
        halt(x, slot, XHCI_DCI_CONTROL, at, CC_STALL);
    else
        x->control_len = (uint32_t)len;
    return len >= 0;
}

/* The request is done when the data are wanted, or else with the status stage. */
static bool data_stage(struct xhci *x, struct td *td, const struct trb *trb, uint64_t at)
{
    bool in = x->setup[0] & 0x80;

    if (in != !!(trb->control & TRB_IN)) {
        halt(x, td->slot, td->dci, at, CC_TRB_ERROR);
        return false;
    }
    if (in && !request(x, td->slot, at))
        return false;
    *td = (struct td){.x = x, .slot = td->slot, .dci = td->dci, .data = x->control_data};
    td->len = in ? x->control_len : MIN(le16_load(x->setup + 6), (uint16_t)USB_DATA_MAX);
    return move(td, trb, at, in);
}

static bool status_stage(struct xhci *x, unsigned slot, const struct trb *trb, uint64_t at)
{
    bool done = (x->setup[0] & 0x80) && le16_load(x->setup + 6);

    if (!done && !request(x, slot, at))
        return false;
    if (trb->control & TRB_IOC)
        xhci_transfer_event(x, slot, XHCI_DCI_CONTROL, at, CC_SUCCESS, 0, false);
    return true;
}

/* One TRB of the control endpoint; false: it is halted. */
static bool control(struct xhci *x, struct td *td, const struct trb *trb, uint64_t at)
{
    switch (trb_type(trb)) {
    case TRB_SETUP:
        return setup_stage(x, td->slot, trb, at);
    case TRB_DATA:
        return data_stage(x, td, trb, at);
    case TRB_NORMAL: /* more of the data stage */
        td->data = x->control_data;
        return move(td, trb, at, x->setup[0] & 0x80);
    case TRB_STATUS:
        return status_stage(x, td->slot, trb, at);
    case TRB_EVENT_DATA:
        tell_length(td, trb);
        return true;
    case TRB_NOOP:
        if (trb->control & TRB_IOC)
            xhci_transfer_event(x, td->slot, td->dci, at, CC_SUCCESS, 0, false);
        return true;
    default:
        halt(x, td->slot, td->dci, at, CC_TRB_ERROR);
        return false;
    }
}

static void run_control(struct xhci *x, unsigned slot)
{
    struct xhci_endpoint *e = &x->slot[slot].endpoint[XHCI_DCI_CONTROL];
    struct td td = {.x = x, .slot = slot, .dci = XHCI_DCI_CONTROL, .data = x->control_data};
    unsigned steps = XHCI_STEPS_MAX;
    struct trb trb;
    uint64_t at;

    while ((x->usbcmd & USBCMD_RUN) && xhci_ring_peek(x, &e->ring, &trb, &at, &steps)) {
        if (!control(x, &td, &trb, at))
            return;
        xhci_ring_take(&e->ring);
    }
}

/* --- reports --- */

/* The TRBs of one TD get a report; false: the endpoint is halted. */
static bool give_report(struct xhci *x, unsigned slot, uint8_t report[USB_TABLET_REPORT],
                        unsigned *steps)
{
    struct xhci_endpoint *e = &x->slot[slot].endpoint[XHCI_DCI_TABLET];
    struct td td = {
        .x = x, .slot = slot, .dci = XHCI_DCI_TABLET, .data = report, .len = USB_TABLET_REPORT};
    struct trb trb = {.control = TRB_CHAIN};
    uint64_t at;

    while ((trb.control & TRB_CHAIN) && xhci_ring_peek(x, &e->ring, &trb, &at, steps)) {
        if (trb_type(&trb) == TRB_EVENT_DATA) {
            tell_length(&td, &trb);
        } else if (trb_type(&trb) != TRB_NORMAL && trb_type(&trb) != TRB_NOOP) {
            halt(x, slot, XHCI_DCI_TABLET, at, CC_TRB_ERROR);
            return false;
        } else if (trb_type(&trb) == TRB_NORMAL && !move(&td, &trb, at, true)) {
            return false;
        }
        xhci_ring_take(&e->ring);
    }
    return true;
}

static void run_reports(struct xhci *x, unsigned slot)
{
    struct xhci_endpoint *e = &x->slot[slot].endpoint[XHCI_DCI_TABLET];
    unsigned steps = XHCI_STEPS_MAX;
    uint8_t report[USB_TABLET_REPORT];
    struct trb trb;
    uint64_t at;

    while ((x->usbcmd & USBCMD_RUN) && e->state == EP_RUNNING &&
           xhci_ring_peek(x, &e->ring, &trb, &at, &steps) && usb_tablet_report(&x->tablet, report))
        if (!give_report(x, slot, report, &steps))
            return;
}

void xhci_transfers(struct xhci *x, unsigned slot, unsigned dci)
{
    struct xhci_endpoint *e;

    if (!x->slot[slot].enabled || !dci || dci >= XHCI_ENDPOINTS)
        return;
    e = &x->slot[slot].endpoint[dci];
    if (e->state == EP_STOPPED) {
        e->state = EP_RUNNING;
        xhci_endpoint_store(x, slot, dci);
    }
    if (e->state != EP_RUNNING)
        return;
    if (dci == XHCI_DCI_CONTROL)
        run_control(x, slot);
    else if (dci == XHCI_DCI_TABLET)
        run_reports(x, slot);
}

void xhci_tablet_moved(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        if (x->slot[i].endpoint[XHCI_DCI_TABLET].state == EP_RUNNING &&
            pci_port_bus_master(x->env.pci))
            run_reports(x, i);
}
