/* SPDX-License-Identifier: Apache-2.0 */
/* The command ring: slots, addresses, endpoints. xHCI 1.2, sections 4.6 and 6.2. Contexts are the
 * driver's memory: copied once, checked, then used. */
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/xhci_core.h"

/* An input context: control, slot, endpoints. */
struct input_context {
    uint32_t drop, add;
    uint8_t slot[CONTEXT_LEN];
    uint8_t endpoint[XHCI_ENDPOINTS][CONTEXT_LEN]; /* by DCI; 0 is not used */
};

static bool read_input(struct xhci *x, uint64_t at, struct input_context *in)
{
    uint8_t control[CONTEXT_LEN];

    at &= ~UINT64_C(15);
    if (gmem_read(x->env.gmem, gpa(at), control, sizeof control) < 0 ||
        gmem_read(x->env.gmem, gpa(at + CONTEXT_LEN), in->slot, CONTEXT_LEN) < 0 ||
        gmem_read(x->env.gmem, gpa(at + 2 * CONTEXT_LEN), in->endpoint[1],
                  (XHCI_ENDPOINTS - 1) * CONTEXT_LEN) < 0)
        return false;
    in->drop = le32_load(control);
    in->add = le32_load(control + 4);
    return true;
}

static void set_word(uint8_t *context, unsigned word, uint32_t mask, uint32_t value)
{
    le32_store(context + 4 * word, (le32_load(context + 4 * word) & ~mask) | (value & mask));
}

/* The slot's context as the controller keeps it: state and address. */
static bool store_slot(struct xhci *x, unsigned index, uint8_t context[CONTEXT_LEN])
{
    const struct xhci_slot *slot = &x->slot[index];

    set_word(context, 3, UINT32_MAX,
             (uint32_t)slot->state << 27 | (slot->state >= SLOT_ADDRESSED ? index + 1 : 0));
    return gmem_write(x->env.gmem, gpa(slot->context), context, CONTEXT_LEN) == 0;
}

static bool load_slot(struct xhci *x, unsigned index, uint8_t context[CONTEXT_LEN])
{
    return gmem_read(x->env.gmem, gpa(x->slot[index].context), context, CONTEXT_LEN) == 0;
}

/* Takes an endpoint as the driver describes it; running. */
static bool start_endpoint(struct xhci *x, unsigned slot, unsigned dci, const uint8_t *context)
{
    struct xhci_endpoint *e = &x->slot[slot].endpoint[dci];
    uint64_t dequeue = le64_load(context + 8);

    if (gmem_write(x->env.gmem, gpa(x->slot[slot].context + dci * (uint64_t)CONTEXT_LEN), context,
                   CONTEXT_LEN) < 0)
        return false;
    *e = (struct xhci_endpoint){EP_RUNNING, {dequeue & ~UINT64_C(15), dequeue & 1}};
    xhci_endpoint_store(x, slot, dci);
    return true;
}

static void stop_all(struct xhci *x, unsigned slot, unsigned from)
{
    for (unsigned dci = from; dci < XHCI_ENDPOINTS; dci++)
        if (x->slot[slot].endpoint[dci].state != EP_DISABLED) {
            x->slot[slot].endpoint[dci] = (struct xhci_endpoint){0};
            xhci_endpoint_store(x, slot, dci);
        }
}

void xhci_disable_slot(struct xhci *x, unsigned slot)
{
    x->slot[slot] = (struct xhci_slot){0};
    xhci_note_active(x);
}

static enum completion enable_slot(struct xhci *x, unsigned *ret_slot)
{
    for (unsigned i = 0; i < XHCI_SLOTS && i < (x->config & 0xff); i++)
        if (!x->slot[i].enabled) {
            x->slot[i] = (struct xhci_slot){.enabled = 1};
            *ret_slot = i;
            return CC_SUCCESS;
        }
    return CC_NO_SLOTS;
}

static enum completion address_device(struct xhci *x, unsigned index, const struct trb *c)
{
    struct xhci_slot *slot = &x->slot[index];
    struct input_context in;
    uint8_t pointer[8];

    if (!read_input(x, c->parameter, &in) || (in.add & 3) != 3 ||
        gmem_read(x->env.gmem, gpa(x->dcbaap + 8 * (index + 1)), pointer, sizeof pointer) < 0)
        return CC_PARAMETER;
    unsigned port = in.slot[6];
    if (port != 1 || !(x->portsc[0] & PORTSC_ENABLED))
        return port && port <= XHCI_PORTS ? CC_CONTEXT_STATE : CC_PARAMETER;
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        if (i != index && x->slot[i].port == port)
            return CC_PARAMETER; /* one device, one slot */
    slot->context = le64_load(pointer) & ~UINT64_C(63);
    slot->port = (uint8_t)port;
    slot->state = c->control & TRB_BSR ? SLOT_DEFAULT : SLOT_ADDRESSED;
    return store_slot(x, index, in.slot) &&
                   start_endpoint(x, index, XHCI_DCI_CONTROL, in.endpoint[1])
               ? CC_SUCCESS
               : CC_PARAMETER;
}

static enum completion configure(struct xhci *x, unsigned index, const struct trb *c)
{
    struct xhci_slot *slot = &x->slot[index];
    struct input_context in = {0};
    uint8_t context[CONTEXT_LEN];
    bool deconfigure = c->control & TRB_BSR;

    if (slot->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    if (!load_slot(x, index, context) || (!deconfigure && !read_input(x, c->parameter, &in)))
        return CC_PARAMETER;
    if (deconfigure) {
        stop_all(x, index, 2);
        slot->state = SLOT_ADDRESSED;
    }
    for (unsigned dci = 2; dci < XHCI_ENDPOINTS; dci++) {
        if (in.drop & BIT(dci)) {
            slot->endpoint[dci] = (struct xhci_endpoint){0};
            xhci_endpoint_store(x, index, dci);
        }
        if ((in.add & BIT(dci)) && !start_endpoint(x, index, dci, in.endpoint[dci]))
            return CC_PARAMETER;
    }
    if (!deconfigure) {
        slot->state = SLOT_CONFIGURED;
        set_word(context, 0, 31u << 27, le32_load(in.slot)); /* how many contexts there are */
    }
    xhci_note_active(x);
    return store_slot(x, index, context) ? CC_SUCCESS : CC_PARAMETER;
}

/* What may change of a context that is in use: the greatest packet of endpoint 0, the slot's
 * latency and interrupter. */
static enum completion evaluate(struct xhci *x, unsigned index, const struct trb *c)
{
    struct xhci_slot *slot = &x->slot[index];
    struct input_context in;
    uint8_t context[CONTEXT_LEN];
    gpa_t control = gpa(slot->context + CONTEXT_LEN);

    if (slot->state < SLOT_DEFAULT)
        return CC_CONTEXT_STATE;
    if (!read_input(x, c->parameter, &in))
        return CC_PARAMETER;
    if (in.add & BIT(0)) {
        if (!load_slot(x, index, context))
            return CC_PARAMETER;
        set_word(context, 1, 0xffff, le32_load(in.slot + 4));
        set_word(context, 2, 0x3ffu << 22, le32_load(in.slot + 8));
        if (!store_slot(x, index, context))
            return CC_PARAMETER;
    }
    if (!(in.add & BIT(1)))
        return CC_SUCCESS;
    if (gmem_read(x->env.gmem, control, context, CONTEXT_LEN) < 0)
        return CC_PARAMETER;
    set_word(context, 1, 0xffffu << 16, le32_load(in.endpoint[1] + 4));
    return gmem_write(x->env.gmem, control, context, CONTEXT_LEN) == 0 ? CC_SUCCESS : CC_PARAMETER;
}

/* Reset, Stop and Set TR Dequeue Pointer. */
static enum completion endpoint_command(struct xhci *x, unsigned index, const struct trb *c)
{
    unsigned dci = c->control >> 16 & 31, type = trb_type(c), steps = XHCI_STEPS_MAX;
    struct xhci_endpoint *e = &x->slot[index].endpoint[dci];
    struct xhci_ring ring = e->ring;
    struct trb waiting;
    uint64_t at;

    if (!dci || e->state == EP_DISABLED)
        return CC_ENDPOINT_NOT_ENABLED;
    if ((type == TRB_RESET_ENDPOINT && e->state != EP_HALTED) ||
        (type == TRB_STOP_ENDPOINT && e->state != EP_RUNNING) ||
        (type == TRB_SET_DEQUEUE && e->state != EP_STOPPED && e->state != EP_ERROR))
        return CC_CONTEXT_STATE;
    /* A transfer that waits for the device is told that it was stopped: 4.6.9. */
    if (type == TRB_STOP_ENDPOINT && xhci_ring_peek(x, &ring, &waiting, &at, &steps))
        xhci_transfer_event(x, index, dci, at, CC_STOPPED, waiting.status & 0x1ffff, false);
    if (type == TRB_SET_DEQUEUE)
        e->ring = (struct xhci_ring){c->parameter & ~UINT64_C(15), c->parameter & 1};
    e->state = EP_STOPPED;
    xhci_endpoint_store(x, index, dci);
    return CC_SUCCESS;
}

static enum completion reset_device(struct xhci *x, unsigned index)
{
    struct xhci_slot *slot = &x->slot[index];
    uint8_t context[CONTEXT_LEN];

    if (slot->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    if (!load_slot(x, index, context))
        return CC_PARAMETER;
    stop_all(x, index, 2);
    slot->state = SLOT_DEFAULT;
    set_word(context, 0, 31u << 27, 1u << 27);
    xhci_note_active(x);
    return store_slot(x, index, context) ? CC_SUCCESS : CC_PARAMETER;
}

static enum completion slot_command(struct xhci *x, unsigned index, const struct trb *c)
{
    switch (trb_type(c)) {
    case TRB_DISABLE_SLOT:
        xhci_disable_slot(x, index);
        return CC_SUCCESS;
    case TRB_ADDRESS_DEVICE:
        return address_device(x, index, c);
    case TRB_CONFIGURE_ENDPOINT:
        return configure(x, index, c);
    case TRB_EVALUATE_CONTEXT:
        return evaluate(x, index, c);
    case TRB_RESET_DEVICE:
        return reset_device(x, index);
    default:
        return endpoint_command(x, index, c);
    }
}

/* Returns the code; *ret_slot: from 0, the command's or the new one's. */
static enum completion command(struct xhci *x, const struct trb *c, unsigned *ret_slot)
{
    unsigned type = trb_type(c), slot = (c->control >> 24) - 1;

    *ret_slot = slot;
    if (type == TRB_NOOP_COMMAND)
        return CC_SUCCESS;
    if (type == TRB_ENABLE_SLOT)
        return enable_slot(x, ret_slot);
    if (type < TRB_DISABLE_SLOT || type > TRB_RESET_DEVICE)
        return CC_TRB_ERROR;
    if (slot >= XHCI_SLOTS || !x->slot[slot].enabled)
        return CC_SLOT_NOT_ENABLED;
    return slot_command(x, slot, c);
}

void xhci_commands(struct xhci *x)
{
    unsigned steps = XHCI_STEPS_MAX;
    struct trb c;
    uint64_t at;

    while ((x->usbcmd & USBCMD_RUN) && xhci_ring_peek(x, &x->command, &c, &at, &steps)) {
        unsigned slot;
        xhci_ring_take(&x->command);
        enum completion code = command(x, &c, &slot);
        struct trb event = {at, (uint32_t)code << 24,
                            (uint32_t)TRB_COMMAND_EVENT << 10 | (slot + 1) << 24};
        xhci_event(x, &event);
    }
}
