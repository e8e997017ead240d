/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's registers, its ports and its event ring: xHCI 1.2, sections 4.9.4, 4.17, 4.19
 * and 5. Missing on purpose: USB legacy support (no firmware of ours keeps the controller), power
 * management of ports, interrupt moderation (events are as rare as a hand is slow), more than one
 * interrupter. */
#include "vm/dev/xhci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"
#include "vm/dev/xhci_core.h"

enum { MSIX_BAR = 1, EVENT_SEGMENT_MIN = 16, EVENT_SEGMENT_MAX = 4096 };

/* --- interrupts: 4.17 --- */

static void update_intx(struct xhci *x)
{
    bool messages = pci_port_msix_enabled(x->env.pci);

    pci_port_intx(x->env.pci,
                  !messages && (x->usbcmd & USBCMD_INTE) &&
                      (x->iman & (IMAN_PENDING | IMAN_ENABLE)) == (IMAN_PENDING | IMAN_ENABLE));
}

/* There are events that the driver has not been told of: 4.17.2. */
static void interrupt(struct xhci *x)
{
    if (x->erdp & ERDP_BUSY) /* it is at them */
        return;
    x->erdp |= ERDP_BUSY;
    x->usbsts |= USBSTS_EINT;
    x->iman |= IMAN_PENDING;
    if ((x->iman & IMAN_ENABLE) && (x->usbcmd & USBCMD_INTE) && pci_port_msix_enabled(x->env.pci)) {
        x->iman &= ~IMAN_PENDING;
        pci_port_msix(x->env.pci, 0);
    }
    update_intx(x);
}

/* --- the event ring: 4.9.4 --- */

/* A segment of it: base and number of TRBs. */
static bool segment(struct xhci *x, uint32_t index, uint64_t *ret_base, uint32_t *ret_count)
{
    uint8_t entry[16];

    if (index >= x->erstsz ||
        gmem_read(x->env.gmem, gpa(x->erstba + index * sizeof entry), entry, sizeof entry) < 0)
        return false;
    *ret_base = le64_load(entry) & ~UINT64_C(63);
    *ret_count = le16_load(entry + 8);
    return *ret_count >= EVENT_SEGMENT_MIN && *ret_count <= EVENT_SEGMENT_MAX;
}

void xhci_fail(struct xhci *x)
{
    x->usbsts |= USBSTS_HCE | USBSTS_HALTED;
    x->usbcmd &= ~USBCMD_RUN;
}

static uint64_t event_place(struct xhci *x)
{
    uint64_t base;
    uint32_t count;

    return segment(x, x->event_segment, &base, &count) && x->event_index < count
               ? base + (uint64_t)x->event_index * TRB_LEN
               : 0;
}

static void advance_event(struct xhci *x)
{
    uint64_t base;
    uint32_t count;

    if (segment(x, x->event_segment, &base, &count) && ++x->event_index < count)
        return;
    x->event_index = 0;
    if (++x->event_segment >= x->erstsz) {
        x->event_segment = 0;
        x->event_cycle ^= 1;
    }
}

void xhci_event(struct xhci *x, const struct trb *event)
{
    uint8_t bytes[TRB_LEN];
    uint64_t at = x->usbcmd & USBCMD_RUN ? event_place(x) : 0;
    struct xhci before = {.event_segment = x->event_segment,
                          .event_index = x->event_index,
                          .event_cycle = x->event_cycle};

    if (!(x->usbcmd & USBCMD_RUN) || !pci_port_bus_master(x->env.pci))
        return;
    le64_store(bytes, event->parameter);
    le32_store(bytes + 8, event->status);
    le32_store(bytes + 12, (event->control & ~TRB_CYCLE) | x->event_cycle);
    advance_event(x);
    /* A driver that lets the ring run full has lost count: so have we. */
    if (!at || event_place(x) == (x->erdp & ~UINT64_C(15)) ||
        gmem_write(x->env.gmem, gpa(at), bytes, sizeof bytes) < 0) {
        x->event_segment = before.event_segment;
        x->event_index = before.event_index;
        x->event_cycle = before.event_cycle;
        xhci_fail(x);
        return;
    }
    interrupt(x);
}

bool xhci_ring_peek(struct xhci *x, struct xhci_ring *ring, struct trb *ret_trb, uint64_t *ret_at,
                    unsigned *steps)
{
    uint8_t bytes[TRB_LEN];

    while (*steps) {
        --*steps;
        if (gmem_read(x->env.gmem, gpa(ring->dequeue), bytes, sizeof bytes) < 0)
            return false;
        *ret_trb = (struct trb){le64_load(bytes), le32_load(bytes + 8), le32_load(bytes + 12)};
        if ((ret_trb->control & TRB_CYCLE) != ring->cycle)
            return false;
        if (trb_type(ret_trb) != TRB_LINK) {
            *ret_at = ring->dequeue;
            return true;
        }
        ring->dequeue = ret_trb->parameter & ~UINT64_C(15);
        ring->cycle ^= !!(ret_trb->control & TRB_TOGGLE);
    }
    return false;
}

/* --- ports: 4.19 --- */

static void port_event(struct xhci *x, unsigned port)
{
    struct trb event = {(uint64_t)(port + 1) << 24, (uint32_t)CC_SUCCESS << 24,
                        (uint32_t)TRB_PORT_EVENT << 10};

    x->usbsts |= USBSTS_PCD;
    xhci_event(x, &event);
}

/* The tablet is plugged in for good. */
static void reset_ports(struct xhci *x)
{
    x->portsc[0] =
        PORTSC_CONNECTED | PORTSC_POWER | PORTSC_PLS_POLLING | PORTSC_SPEED_HIGH | PORTSC_CSC;
    for (unsigned i = 1; i < XHCI_PORTS; i++)
        x->portsc[i] = PORTSC_POWER | PORTSC_PLS_RXDETECT;
}

static void port_write(struct xhci *x, unsigned port, uint32_t value)
{
    uint32_t *sc = &x->portsc[port];

    *sc &= ~(value & PORTSC_CHANGES);
    *sc = (*sc & ~PORTSC_WAKE) | (value & PORTSC_WAKE);
    if (value & PORTSC_ENABLED)
        *sc &= ~PORTSC_ENABLED; /* which a write of 1 ends */
    if ((value & PORTSC_RESET) && (*sc & PORTSC_CONNECTED)) {
        *sc = (*sc & ~PORTSC_PLS) | PORTSC_ENABLED | PORTSC_PRC; /* done at once, in U0 */
        usb_tablet_reset(&x->tablet);
        port_event(x, port);
    } else if (value & PORTSC_LWS) {
        *sc = (*sc & ~PORTSC_PLS) | (value & PORTSC_PLS);
    }
}

/* --- registers: 5 --- */

static void reset(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        x->slot[i] = (struct xhci_slot){0};
    x->usbcmd = x->dnctrl = x->config = 0;
    x->usbsts = USBSTS_HALTED;
    x->dcbaap = x->erstba = x->erdp = 0;
    x->command = (struct xhci_ring){0};
    x->command_running = 0;
    x->iman = x->imod = x->erstsz = 0;
    x->event_segment = x->event_index = 0;
    x->event_cycle = 1;
    x->control_len = 0;
    usb_tablet_reset(&x->tablet);
    reset_ports(x);
    update_intx(x);
    xhci_note_active(x);
}

static void usbcmd_write(struct xhci *x, uint32_t value)
{
    bool was = x->usbcmd & USBCMD_RUN;

    if (value & USBCMD_RESET) {
        reset(x);
        return;
    }
    x->usbcmd = value & USBCMD_MASK;
    if (x->usbsts & USBSTS_HCE)
        x->usbcmd &= ~USBCMD_RUN;
    if (x->usbcmd & USBCMD_RUN)
        x->usbsts &= ~USBSTS_HALTED;
    else
        x->usbsts |= USBSTS_HALTED;
    if (!(x->usbcmd & USBCMD_RUN))
        x->command_running = 0;
    for (unsigned i = 0; !was && (x->usbcmd & USBCMD_RUN) && i < XHCI_PORTS; i++)
        if (x->portsc[i] & PORTSC_CHANGES)
            port_event(x, i);
    update_intx(x);
}

/* 64-bit registers may come in halves. */
static void half(uint64_t *reg, uint64_t offset, uint32_t value)
{
    *reg = offset & 4 ? (*reg & UINT32_MAX) | (uint64_t)value << 32
                      : (*reg & ~(uint64_t)UINT32_MAX) | value;
}

static void crcr_write(struct xhci *x, uint64_t offset, uint32_t value)
{
    if (x->command_running) {
        if (!(offset & 4) && (value & (CRCR_STOP | CRCR_ABORT)))
            x->command_running = 0; /* none is under way: commands end at once */
        return;
    }
    half(&x->command.dequeue, offset, offset & 4 ? value : value & ~UINT32_C(63));
    if (!(offset & 4))
        x->command.cycle = value & CRCR_RCS;
}

static void operational_write(struct xhci *x, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case XHCI_USBCMD:
        usbcmd_write(x, value);
        break;
    case XHCI_USBSTS:
        x->usbsts &= ~(value & (USBSTS_EINT | USBSTS_PCD));
        break;
    case XHCI_DNCTRL:
        x->dnctrl = value & 0xffff;
        break;
    case XHCI_CRCR:
    case XHCI_CRCR + 4:
        crcr_write(x, offset, value);
        break;
    case XHCI_DCBAAP:
    case XHCI_DCBAAP + 4:
        half(&x->dcbaap, offset, offset & 4 ? value : value & ~UINT32_C(63));
        break;
    case XHCI_CONFIG:
        x->config = value & 0x3ff;
        break;
    default:
        break;
    }
}

static uint32_t operational_read(const struct xhci *x, uint64_t offset)
{
    switch (offset) {
    case XHCI_USBCMD:
        return x->usbcmd;
    case XHCI_USBSTS:
        return x->usbsts;
    case XHCI_PAGESIZE:
        return 1; /* 4 KiB */
    case XHCI_DNCTRL:
        return x->dnctrl;
    case XHCI_CRCR:
        return x->command_running ? (uint32_t)CRCR_RUNNING : 0; /* the pointer reads as 0 */
    case XHCI_DCBAAP:
        return (uint32_t)x->dcbaap;
    case XHCI_DCBAAP + 4:
        return (uint32_t)(x->dcbaap >> 32);
    case XHCI_CONFIG:
        return x->config;
    default:
        return 0;
    }
}

static void erdp_write(struct xhci *x, uint64_t offset, uint32_t value)
{
    if (offset & 4) {
        half(&x->erdp, offset, value);
        return;
    }
    uint64_t busy = x->erdp & ERDP_BUSY & ~(uint64_t)value; /* written 1: cleared */
    half(&x->erdp, offset, (value & ~UINT32_C(15)) | (uint32_t)busy | (value & 7));
    /* What came while the driver was at the others: 4.17.5. */
    if (!busy && (x->usbcmd & USBCMD_RUN) && event_place(x) != (x->erdp & ~UINT64_C(15)))
        interrupt(x);
}

static void interrupter_write(struct xhci *x, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case XHCI_IMAN:
        x->iman = (x->iman & IMAN_PENDING & ~value) | (value & IMAN_ENABLE);
        update_intx(x);
        break;
    case XHCI_IMOD:
        x->imod = value;
        break;
    case XHCI_ERSTSZ:
        x->erstsz = MIN(value & 0xffff, (uint32_t)XHCI_ERST_MAX);
        break;
    case XHCI_ERSTBA:
    case XHCI_ERSTBA + 4:
        half(&x->erstba, offset, offset & 4 ? value : value & ~UINT32_C(63));
        x->event_segment = x->event_index = 0;
        x->event_cycle = 1;
        break;
    case XHCI_ERDP:
    case XHCI_ERDP + 4:
        erdp_write(x, offset, value);
        break;
    default:
        break;
    }
}

static uint32_t interrupter_read(const struct xhci *x, uint64_t offset)
{
    const uint64_t wide = offset >= XHCI_ERDP ? x->erdp : x->erstba;

    switch (offset) {
    case XHCI_IMAN:
        return x->iman;
    case XHCI_IMOD:
        return x->imod;
    case XHCI_ERSTSZ:
        return x->erstsz;
    default:
        return offset < XHCI_ERSTBA ? 0 : (uint32_t)(offset & 4 ? wide >> 32 : wide);
    }
}

/* The capabilities, and those of the protocols: 5.3, 7.2. */
static uint32_t constant_read(uint64_t offset)
{
    enum { NAME = 0x20425355 };                                          /* "USB " */
    static const uint32_t capability[] = {0x01000000 | XHCI_OPERATIONAL, /* version 1.0 */
                                          XHCI_SLOTS | 1 << 8 |
                                              XHCI_PORTS << 24, /* one interrupter */
                                          3 << 4,               /* 2^3 segments of the event ring */
                                          0,
                                          1 | XHCI_EXTENDED / 4 << 16, /* addresses of 64 bits */
                                          XHCI_DOORBELLS,
                                          XHCI_RUNTIME,
                                          0};
    static const uint32_t extended[] = {
        0x02000002 | 4 << 8, NAME, 1 | 1 << 8, 0,  /* USB 2.0: port 1; the next is 4 words on */
        0x03000002,          NAME, 2 | 1 << 8, 0}; /* USB 3.0: port 2 */

    if (offset < sizeof capability)
        return capability[offset / 4];
    if (offset >= XHCI_EXTENDED && offset < XHCI_EXTENDED + sizeof extended)
        return extended[(offset - XHCI_EXTENDED) / 4];
    return 0;
}

static uint32_t read32(struct xhci *x, uint64_t offset)
{
    uint64_t port = (offset - XHCI_PORTS_AT) / XHCI_PORT_STRIDE;

    if (offset < XHCI_OPERATIONAL)
        return constant_read(offset);
    if (offset < XHCI_PORTS_AT)
        return operational_read(x, offset - XHCI_OPERATIONAL);
    if (port < XHCI_PORTS)
        return offset % XHCI_PORT_STRIDE ? 0 : x->portsc[port];
    if (offset == XHCI_RUNTIME) /* microframes: 125 us each */
        return (uint32_t)(clock_monotonic(dev_clock(&x->env)) / 125000) & 0x3fff;
    if (offset >= XHCI_INTERRUPTER && offset < XHCI_INTERRUPTER + 0x20)
        return interrupter_read(x, offset - XHCI_INTERRUPTER);
    return offset < XHCI_RUNTIME ? constant_read(offset) : 0;
}

static void doorbell(struct xhci *x, unsigned number, uint32_t value)
{
    if (!(x->usbcmd & USBCMD_RUN) || !pci_port_bus_master(x->env.pci))
        return;
    if (number == 0) {
        x->command_running = 1;
        xhci_commands(x);
    } else if (number <= XHCI_SLOTS) {
        xhci_transfers(x, number - 1, value & 0xff);
    }
}

static void write32(struct xhci *x, uint64_t offset, uint32_t value)
{
    uint64_t port = (offset - XHCI_PORTS_AT) / XHCI_PORT_STRIDE;

    if (offset < XHCI_OPERATIONAL)
        return;
    if (offset < XHCI_PORTS_AT)
        operational_write(x, offset - XHCI_OPERATIONAL, value);
    else if (port < XHCI_PORTS && offset % XHCI_PORT_STRIDE == 0)
        port_write(x, (unsigned)port, value);
    else if (offset >= XHCI_INTERRUPTER && offset < XHCI_INTERRUPTER + 0x20)
        interrupter_write(x, offset - XHCI_INTERRUPTER, value);
    else if (offset >= XHCI_DOORBELLS && offset <= XHCI_DOORBELLS + 4 * XHCI_SLOTS)
        doorbell(x, (unsigned)(offset - XHCI_DOORBELLS) / 4, value);
}

static uint64_t xhci_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct xhci *x = dev;

    (void)region;
    LOCK_SCOPE(&x->lock);
    uint64_t value = read32(x, offset & ~UINT64_C(3)) >> (offset & 3) * 8;
    if (size == 8)
        value |= (uint64_t)read32(x, offset + 4) << 32;
    return value;
}

/* Registers are written whole; bytes and words of them are for reading only. */
static void xhci_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct xhci *x = dev;

    (void)region;
    LOCK_SCOPE(&x->lock);
    if (size < 4 || offset & 3)
        return;
    write32(x, offset, (uint32_t)value);
    if (size == 8)
        write32(x, offset + 4, (uint32_t)(value >> 32));
}

/* --- the hand --- */

static void on_input(void *ctx, uint32_t events)
{
    struct xhci *x = ctx;
    struct input_event event;

    (void)events;
    bytering_clear(x->input);
    LOCK_SCOPE(&x->lock);
    uint32_t most = x->input->size / sizeof event;
    while (most && input_receive(x->input, &event)) {
        usb_tablet_input(&x->tablet, &event);
        most--;
    }
    if (!most) /* a flood: let others run, then go on */
        (void)eventfd_write(x->input->wait_fd, 1);
    xhci_tablet_moved(x);
}

/* --- life --- */

static int start(struct xhci *x)
{
    return x->input
               ? loop_add_fd(x->env.loop, &x->input_ready, x->input->wait_fd, EPOLLIN, on_input, x)
               : 0;
}

static void xhci_reset(void *dev)
{
    struct xhci *x = dev;

    LOCK_SCOPE(&x->lock);
    reset(x);
}

static void xhci_quiesce(void *dev)
{
    loop_del(&((struct xhci *)dev)->input_ready);
}

static void xhci_resume(void *dev)
{
    struct xhci *x = dev;

    (void)start(x);
    LOCK_SCOPE(&x->lock);
    update_intx(x);
    xhci_note_active(x);
}

static int xhci_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "xhci registers", .space = DEV_BAR, .bar = 0, .size = XHCI_BAR_SIZE}},
        .region_count = 1,
        .is_pci = true,
        .pci = {.vendor = 0x15ad,
                .device = 0x0779,
                .subsystem_vendor = 0x15ad,
                .subsystem = 0x0779,
                .class_code = 0x0c0330,
                .intx = true,
                .bar = {[0] = {PCI_BAR_MEM32, XHCI_BAR_SIZE}, [MSIX_BAR] = {PCI_BAR_MEM32, 4096}},
                .msix_vectors = 1,
                .msix_bar = MSIX_BAR},
    };
    return 0;
}

static void xhci_destroy(void *dev)
{
    struct xhci *x = dev;

    if (!x)
        return;
    xhci_quiesce(x);
    (void)pthread_mutex_destroy(&x->lock);
    free(x);
}

static int xhci_create(const struct dev_env *env, const void *params, void **ret_dev,
                       struct err *err)
{
    const struct xhci_params *p = params;
    struct xhci *x = calloc(1, sizeof *x);

    if (!x)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    x->env = *env;
    x->input = p ? p->tablet : NULL;
    x->active = p ? p->active : NULL;
    (void)pthread_mutex_init(&x->lock, NULL);
    reset(x);
    int rc = start(x);
    if (rc < 0) {
        xhci_destroy(x);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    *ret_dev = x;
    return 0;
}

static int xhci_post_load(void *object, struct err *err)
{
    struct xhci *x = object;

    if (x->erstsz > XHCI_ERST_MAX || x->event_cycle > 1 || x->command.cycle > 1 ||
        x->control_len > USB_DATA_MAX)
        return err_set(err, -EINVAL, "xhci: what cannot be");
    for (unsigned s = 0; s < XHCI_SLOTS; s++) {
        struct xhci_slot *slot = &x->slot[s];
        if (slot->state > SLOT_CONFIGURED || slot->port > XHCI_PORTS)
            return err_set(err, -EINVAL, "xhci: slot %u", s + 1);
        for (unsigned e = 0; e < XHCI_ENDPOINTS; e++)
            if (slot->endpoint[e].state > EP_ERROR || slot->endpoint[e].ring.cycle > 1)
                return err_set(err, -EINVAL, "xhci: slot %u, endpoint %u", s + 1, e);
    }
    return usb_tablet_state.post_load(&x->tablet, err);
}

static const struct state_field ring_fields[] = {
    STATE_FIELD(struct xhci_ring, dequeue, STATE_U64),
    STATE_FIELD(struct xhci_ring, cycle, STATE_U8),
};
static const struct state_table ring_state = {.name = "ring",
                                              .version = 1,
                                              .size = sizeof(struct xhci_ring),
                                              .fields = ring_fields,
                                              .field_count = ARRAY_SIZE(ring_fields)};
static const struct state_field endpoint_fields[] = {
    STATE_FIELD(struct xhci_endpoint, state, STATE_U8),
    STATE_SUB(struct xhci_endpoint, ring, &ring_state, 1),
};
static const struct state_table endpoint_state = {.name = "endpoint",
                                                  .version = 1,
                                                  .size = sizeof(struct xhci_endpoint),
                                                  .fields = endpoint_fields,
                                                  .field_count = ARRAY_SIZE(endpoint_fields)};
static const struct state_field slot_fields[] = {
    STATE_FIELD(struct xhci_slot, enabled, STATE_U8),
    STATE_FIELD(struct xhci_slot, state, STATE_U8),
    STATE_FIELD(struct xhci_slot, port, STATE_U8),
    STATE_FIELD(struct xhci_slot, context, STATE_U64),
    STATE_SUB(struct xhci_slot, endpoint, &endpoint_state, XHCI_ENDPOINTS),
};
static const struct state_table slot_state = {.name = "slot",
                                              .version = 1,
                                              .size = sizeof(struct xhci_slot),
                                              .fields = slot_fields,
                                              .field_count = ARRAY_SIZE(slot_fields)};
static const struct state_field xhci_fields[] = {
    STATE_FIELD(struct xhci, usbcmd, STATE_U32),
    STATE_FIELD(struct xhci, usbsts, STATE_U32),
    STATE_FIELD(struct xhci, dnctrl, STATE_U32),
    STATE_FIELD(struct xhci, config, STATE_U32),
    STATE_FIELD(struct xhci, dcbaap, STATE_U64),
    STATE_SUB(struct xhci, command, &ring_state, 1),
    STATE_FIELD(struct xhci, command_running, STATE_U8),
    STATE_FIELD(struct xhci, portsc, STATE_U32),
    STATE_FIELD(struct xhci, iman, STATE_U32),
    STATE_FIELD(struct xhci, imod, STATE_U32),
    STATE_FIELD(struct xhci, erstsz, STATE_U32),
    STATE_FIELD(struct xhci, erstba, STATE_U64),
    STATE_FIELD(struct xhci, erdp, STATE_U64),
    STATE_FIELD(struct xhci, event_segment, STATE_U32),
    STATE_FIELD(struct xhci, event_index, STATE_U32),
    STATE_FIELD(struct xhci, event_cycle, STATE_U8),
    STATE_SUB(struct xhci, slot, &slot_state, XHCI_SLOTS),
    STATE_SUB(struct xhci, tablet, &usb_tablet_state, 1),
    STATE_FIELD(struct xhci, control_data, STATE_U8),
    STATE_FIELD(struct xhci, setup, STATE_U8),
    STATE_FIELD(struct xhci, control_len, STATE_U32),
};
static const struct state_table xhci_state = {
    .name = "xhci",
    .version = 1,
    .size = sizeof(struct xhci),
    .fields = xhci_fields,
    .field_count = ARRAY_SIZE(xhci_fields),
    .post_load = xhci_post_load,
};

const struct dev_class xhci_class = {
    .name = "xhci",
    .place = DEV_IN_VMX,
    .layout = xhci_layout,
    .create = xhci_create,
    .destroy = xhci_destroy,
    .reset = xhci_reset,
    .quiesce = xhci_quiesce,
    .resume = xhci_resume,
    .read = xhci_read,
    .write = xhci_write,
    .state = &xhci_state,
};
