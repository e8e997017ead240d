/* SPDX-License-Identifier: Apache-2.0 */
/* The USB controller and its tablet, by a small driver: registers, commands, control transfers,
 * reports; and a driver that does it wrong. */
#include "vm/dev/xhci.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bytes.h"
#include "tests/device/harness.h"
#include "tests/tap.h"
#include "vm/dev/usb_tablet.h"
#include "vm/dev/xhci_core.h"

/* Where the driver has its things. */
enum {
    DCBAA = 0x1000,
    COMMANDS = 0x2000,
    EVENTS = 0x3000,
    ERST = 0x4000,
    CONTEXT = 0x5000,
    INPUT = 0x6000,
    CONTROL_RING = 0x7000,
    REPORT_RING = 0x8000,
    DATA = 0x9000,
    RING = 64, /* TRBs */
    RAM = 1 << 20,
};

struct driver {
    struct harness *h;
    struct bytering_shared *shared;
    struct bytering hand, reader;
    _Atomic uint32_t active;
    unsigned commands, controls, reports, events; /* so far */
};

static uint32_t in(struct driver *d, uint64_t at)
{
    return (uint32_t)harness_read(d->h, 0, at, 4);
}

static void out(struct driver *d, uint64_t at, uint64_t value, unsigned size)
{
    harness_write(d->h, 0, at, size, value);
}

static void put_trb(struct driver *d, uint64_t ring, unsigned index, struct trb trb)
{
    uint8_t bytes[TRB_LEN];

    le64_store(bytes, trb.parameter);
    le32_store(bytes + 8, trb.status);
    le32_store(bytes + 12, trb.control | TRB_CYCLE);
    harness_poke(d->h, ring + index * (uint64_t)TRB_LEN, bytes, sizeof bytes);
}

/* The next event; type 0: there is none. */
static struct trb next_event(struct driver *d)
{
    uint8_t bytes[TRB_LEN];
    uint64_t at = EVENTS + d->events % RING * (uint64_t)TRB_LEN;

    harness_peek(d->h, at, bytes, sizeof bytes);
    struct trb trb = {le64_load(bytes), le32_load(bytes + 8), le32_load(bytes + 12)};
    if ((trb.control & TRB_CYCLE) != !(d->events / RING % 2))
        return (struct trb){0};
    d->events++;
    out(d, XHCI_INTERRUPTER + XHCI_ERDP,
        (EVENTS + d->events % RING * (uint64_t)TRB_LEN) | ERDP_BUSY, 8);
    return trb;
}

static unsigned code(struct trb event)
{
    return event.status >> 24;
}

/* Returns the completion code. */
static unsigned command(struct driver *d, struct trb trb)
{
    struct trb event;

    put_trb(d, COMMANDS, d->commands++, trb);
    out(d, XHCI_DOORBELLS, 0, 4);
    while (trb_type(&(struct trb){.control = (event = next_event(d)).control}) != TRB_COMMAND_EVENT)
        if (!event.control)
            return 0;
    return code(event);
}

static void start(struct driver *d)
{
    static const int fd = -1;
    uint8_t entry[16] = {0};

    *d = (struct driver){0};
    d->shared = calloc(1, bytering_shared_size(4096));
    int data = eventfd(0, EFD_NONBLOCK), space = eventfd(0, EFD_NONBLOCK);
    CHECK(data > fd && bytering_init_reader(&d->reader, d->shared, 4096, data, space) == 0);
    CHECK(bytering_init_writer(&d->hand, d->shared, 4096, data, space) == 0);
    struct xhci_params params = {&d->reader, &d->active};
    d->h = harness_create(&xhci_class, &params, RAM);
    harness_msix_enable(d->h, true);
    le64_store(entry, EVENTS);
    le16_store(entry + 8, RING);
    harness_poke(d->h, ERST, entry, sizeof entry);
    out(d, XHCI_OPERATIONAL + XHCI_CONFIG, XHCI_SLOTS, 4);
    out(d, XHCI_OPERATIONAL + XHCI_DCBAAP, DCBAA, 8);
    out(d, XHCI_OPERATIONAL + XHCI_CRCR, COMMANDS | CRCR_RCS, 8);
    out(d, XHCI_INTERRUPTER + XHCI_ERSTSZ, 1, 4);
    out(d, XHCI_INTERRUPTER + XHCI_ERDP, EVENTS, 8);
    out(d, XHCI_INTERRUPTER + XHCI_ERSTBA, ERST, 8);
    out(d, XHCI_INTERRUPTER + XHCI_IMAN, IMAN_ENABLE, 4);
    out(d, XHCI_OPERATIONAL + XHCI_USBCMD, USBCMD_RUN | USBCMD_INTE, 4);
}

static void finish(struct driver *d)
{
    harness_destroy(d->h);
    (void)close(d->hand.signal_fd);
    (void)close(d->hand.wait_fd);
    free(d->shared);
}

static void reset_port(struct driver *d)
{
    out(d, XHCI_PORTS_AT, PORTSC_POWER | PORTSC_RESET, 4);
    out(d, XHCI_PORTS_AT, PORTSC_POWER | PORTSC_CHANGES, 4);
    while (next_event(d).control)
        ;
}

/* An input context: `add`, the slot's port, and an endpoint's ring. */
static void put_input(struct driver *d, uint32_t add, unsigned dci, unsigned type, uint64_t ring)
{
    uint8_t context[34 * CONTEXT_LEN] = {0};

    le32_store(context + 4, add);
    le32_store(context + 32, 3u << 27 | 3u << 20);
    le32_store(context + 36, 1u << 16);
    le32_store(context + CONTEXT_LEN * (dci + 1) + 4, type << 3 | 64u << 16);
    le64_store(context + CONTEXT_LEN * (dci + 1) + 8, ring | 1);
    harness_poke(d->h, INPUT, context, sizeof context);
}

static void address(struct driver *d)
{
    uint8_t pointer[8];

    reset_port(d);
    CHECK_EQ(command(d, (struct trb){.control = TRB_ENABLE_SLOT << 10}), CC_SUCCESS);
    le64_store(pointer, CONTEXT);
    harness_poke(d->h, DCBAA + 8, pointer, sizeof pointer);
    put_input(d, 3, 1, 4, CONTROL_RING);
    CHECK_EQ(command(d, (struct trb){INPUT, 0, TRB_ADDRESS_DEVICE << 10 | 1u << 24}), CC_SUCCESS);
}

/* A control transfer; returns its last event's code, *ret_len what came. */
static unsigned control(struct driver *d, const uint8_t setup[8], unsigned room, unsigned *ret_len)
{
    struct trb event, last = {0};
    bool is_in = setup[0] & 0x80;

    put_trb(d, CONTROL_RING, d->controls++,
            (struct trb){le64_load(setup), 8, TRB_SETUP << 10 | TRB_IDT});
    if (room)
        put_trb(d, CONTROL_RING, d->controls++,
                (struct trb){DATA, room, TRB_DATA << 10 | TRB_ISP | (is_in ? TRB_IN : 0)});
    put_trb(d, CONTROL_RING, d->controls++, (struct trb){0, 0, TRB_STATUS << 10 | TRB_IOC});
    out(d, XHCI_DOORBELLS + 4, 1, 4);
    *ret_len = room;
    while ((event = next_event(d)).control) {
        last = event;
        if (code(event) == CC_SHORT_PACKET)
            *ret_len = room - (event.status & 0xffffff);
    }
    return code(last);
}

static void set_up(struct driver *d)
{
    static const uint8_t set_configuration[8] = {0, 9, 1};
    unsigned len;

    address(d);
    CHECK_EQ(control(d, set_configuration, 0, &len), CC_SUCCESS);
    put_input(d, 1 | 1u << 3, 3, 7, REPORT_RING);
    CHECK_EQ(command(d, (struct trb){INPUT, 0, TRB_CONFIGURE_ENDPOINT << 10 | 1u << 24}),
             CC_SUCCESS);
}

static void registers(void)
{
    struct driver d;

    start(&d);
    CHECK_EQ(in(&d, 0), 0x01000000 | XHCI_OPERATIONAL);
    CHECK_EQ(harness_read(d.h, 0, 0, 1), XHCI_OPERATIONAL);
    CHECK_EQ(harness_read(d.h, 0, 2, 2), 0x0100);
    CHECK_EQ(in(&d, XHCI_PORTS_AT) & (PORTSC_CONNECTED | PORTSC_CSC),
             PORTSC_CONNECTED | PORTSC_CSC);
    CHECK_EQ(in(&d, XHCI_PORTS_AT + XHCI_PORT_STRIDE) & PORTSC_CONNECTED, 0);
    CHECK_EQ(trb_type(&(struct trb){.control = next_event(&d).control}), TRB_PORT_EVENT);
    CHECK_EQ(harness_msix(d.h, 0), 1);
    reset_port(&d);
    CHECK_EQ(in(&d, XHCI_PORTS_AT) & (PORTSC_ENABLED | PORTSC_CHANGES | PORTSC_PLS),
             PORTSC_ENABLED);
    out(&d, XHCI_OPERATIONAL + XHCI_USBCMD, 0, 4);
    CHECK(in(&d, XHCI_OPERATIONAL + XHCI_USBSTS) & USBSTS_HALTED);
    out(&d, XHCI_OPERATIONAL + XHCI_USBCMD, USBCMD_RESET, 4);
    CHECK_EQ(in(&d, XHCI_OPERATIONAL + XHCI_DCBAAP), 0);
    finish(&d);
}

static void descriptors(void)
{
    static const uint8_t device[8] = {0x80, 6, 0, 1, 0, 0, 64},
                         report[8] = {0x81, 6, 0, 0x22, 0, 0, 255};
    static const uint8_t bad[8] = {0x80, 6, 0, 9, 0, 0, 64};
    uint8_t data[128];
    struct driver d;
    unsigned len;

    start(&d);
    address(&d);
    harness_peek(d.h, CONTEXT + 12, data, 4);
    CHECK_EQ(le32_load(data), 1 | (uint32_t)SLOT_ADDRESSED << 27);
    CHECK_EQ(control(&d, device, 64, &len), CC_SUCCESS);
    harness_peek(d.h, DATA, data, 18);
    CHECK(len == 18 && data[0] == 18 && data[1] == 1 && le16_load(data + 8) == 0x0e0f);
    CHECK_EQ(control(&d, report, 255, &len), CC_SUCCESS);
    harness_peek(d.h, DATA, data, sizeof data);
    CHECK(len > 60 && len < 100 && data[0] == 5 && data[len - 1] == 0xc0);
    CHECK_EQ(control(&d, bad, 64, &len), CC_STALL);
    harness_peek(d.h, CONTEXT + CONTEXT_LEN, data, 4);
    CHECK_EQ(data[0] & 7, EP_HALTED);
    CHECK_EQ(command(&d, (struct trb){0, 0, TRB_RESET_ENDPOINT << 10 | 1u << 24 | 1u << 16}),
             CC_SUCCESS);
    CHECK_EQ(command(&d, (struct trb){(CONTROL_RING + d.controls * 16) | 1, 0,
                                      TRB_SET_DEQUEUE << 10 | 1u << 24 | 1u << 16}),
             CC_SUCCESS);
    CHECK_EQ(control(&d, device, 8, &len), CC_SUCCESS);
    finish(&d);
}

static void move(struct driver *d, unsigned buttons, uint16_t x, uint16_t y, int8_t wheel)
{
    struct input_event event = {
        .kind = INPUT_ABSOLUTE, .buttons = (uint8_t)buttons, .x = x, .y = y, .wheel = wheel};

    CHECK(input_send(&d->hand, &event));
    harness_run(d->h);
}

/* Offers a TRB for a report; what is written into it. False: nothing yet. */
static void offer(struct driver *d)
{
    put_trb(d, REPORT_RING, d->reports++,
            (struct trb){DATA, USB_TABLET_REPORT, TRB_NORMAL << 10 | TRB_IOC | TRB_ISP});
    out(d, XHCI_DOORBELLS + 4, 3, 4);
}

static bool reported(struct driver *d, unsigned buttons, uint16_t x, uint16_t y, int8_t wheel)
{
    uint8_t r[USB_TABLET_REPORT];
    struct trb event = next_event(d);

    harness_peek(d->h, DATA, r, sizeof r);
    return trb_type(&event) == TRB_TRANSFER_EVENT && code(event) == CC_SUCCESS &&
           !(event.status & 0xffffff) && r[0] == buttons && le16_load(r + 1) == x &&
           le16_load(r + 3) == y && (int8_t)r[5] == wheel;
}

static void the_hand(void)
{
    struct driver d;

    start(&d);
    CHECK_EQ(d.active, 0);
    set_up(&d);
    CHECK_EQ(d.active, 1);
    offer(&d);
    CHECK_EQ(next_event(&d).control, 0);
    (void)harness_msix(d.h, 0);
    move(&d, 0, 100, 200, 0);
    CHECK_EQ(harness_msix(d.h, 0), 1);
    CHECK(reported(&d, 0, 100, 200, 0));
    move(&d, 0, 300, 400, 0); /* movement adds up, a click does not */
    move(&d, 0, 301, 401, 0);
    move(&d, INPUT_LEFT, 301, 401, 0);
    move(&d, INPUT_LEFT, 302, 402, 0);
    move(&d, 0, 302, 402, 1);
    offer(&d);
    CHECK(reported(&d, 0, 301, 401, 0));
    offer(&d);
    CHECK(reported(&d, 1, 302, 402, 0));
    offer(&d);
    CHECK(reported(&d, 0, 302, 402, -1));
    offer(&d);
    CHECK_EQ(next_event(&d).control, 0);
    for (unsigned i = 0; i < 100; i++) /* nobody takes them: the last ones stay */
        move(&d, i & 1, (uint16_t)i, 0, 0);
    CHECK(reported(&d, 0, 0, 0, 0));
    CHECK_EQ(command(&d, (struct trb){0, 0, TRB_DISABLE_SLOT << 10 | 1u << 24}), CC_SUCCESS);
    CHECK_EQ(d.active, 0);
    finish(&d);
}

static void a_stop_says_what_it_stopped(void)
{
    struct driver d;

    start(&d);
    set_up(&d);
    offer(&d);
    put_trb(&d, COMMANDS, d.commands++,
            (struct trb){0, 0, TRB_STOP_ENDPOINT << 10 | 1u << 24 | 3u << 16});
    out(&d, XHCI_DOORBELLS, 0, 4);
    struct trb event = next_event(&d);
    CHECK_EQ(trb_type(&event), TRB_TRANSFER_EVENT);
    CHECK_EQ(code(event), CC_STOPPED);
    CHECK_EQ(event.parameter, REPORT_RING);
    CHECK_EQ(code(next_event(&d)), CC_SUCCESS);
    move(&d, 0, 5, 6, 0);
    CHECK_EQ(next_event(&d).control, 0);
    out(&d, XHCI_DOORBELLS + 4, 3, 4); /* goes on where it was */
    CHECK(reported(&d, 0, 5, 6, 0));
    finish(&d);
}

static void wrong_drivers(void)
{
    struct trb link = {COMMANDS, 0, TRB_LINK << 10};
    struct driver d;

    start(&d);
    reset_port(&d);
    CHECK_EQ(command(&d, (struct trb){0, 0, TRB_DISABLE_SLOT << 10 | 9u << 24}),
             CC_SLOT_NOT_ENABLED);
    CHECK_EQ(command(&d, (struct trb){0, 0, 40 << 10}), CC_TRB_ERROR);
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        CHECK_EQ(command(&d, (struct trb){.control = TRB_ENABLE_SLOT << 10}), CC_SUCCESS);
    CHECK_EQ(command(&d, (struct trb){.control = TRB_ENABLE_SLOT << 10}), CC_NO_SLOTS);
    CHECK_EQ(command(&d, (struct trb){UINT64_MAX - 63, 0, TRB_ADDRESS_DEVICE << 10 | 1u << 24}),
             CC_PARAMETER);
    CHECK_EQ(command(&d, (struct trb){0, 0, TRB_STOP_ENDPOINT << 10 | 1u << 24 | 3u << 16}),
             CC_ENDPOINT_NOT_ENABLED);
    put_trb(&d, COMMANDS, d.commands, link); /* a ring of which every link leads to itself */
    put_trb(&d, COMMANDS, 0, link);
    out(&d, XHCI_DOORBELLS, 0, 4);
    CHECK_EQ(next_event(&d).control, 0);
    out(&d, XHCI_INTERRUPTER + XHCI_ERSTSZ, 0, 4); /* no room for what there is to say */
    out(&d, XHCI_PORTS_AT, PORTSC_POWER | PORTSC_RESET, 4);
    CHECK(in(&d, XHCI_OPERATIONAL + XHCI_USBSTS) & USBSTS_HCE);
    out(&d, XHCI_OPERATIONAL + XHCI_USBCMD, USBCMD_RUN, 4);
    CHECK(!(in(&d, XHCI_OPERATIONAL + XHCI_USBCMD) & USBCMD_RUN));
    out(&d, XHCI_OPERATIONAL + XHCI_USBCMD, USBCMD_RESET, 4);
    CHECK(!(in(&d, XHCI_OPERATIONAL + XHCI_USBSTS) & USBSTS_HCE));
    finish(&d);
}

static void saved_and_restored(void)
{
    struct driver d;
    struct buf saved = {0};
    struct err err = ERR_INIT;

    start(&d);
    set_up(&d);
    move(&d, 2, 77, 88, 0);
    harness_save(d.h, &saved);
    out(&d, XHCI_OPERATIONAL + XHCI_USBCMD, USBCMD_RESET, 4);
    CHECK_EQ(d.active, 0);
    CHECK_EQ(harness_load(d.h, &saved, &err), 0);
    CHECK_EQ(d.active, 1);
    offer(&d);
    CHECK(reported(&d, 2, 77, 88, 0));
    buf_free(&saved);
    finish(&d);
}

TAP_MAIN(TAP_CASE(registers), TAP_CASE(descriptors), TAP_CASE(the_hand),
         TAP_CASE(a_stop_says_what_it_stopped), TAP_CASE(wrong_drivers),
         TAP_CASE(saved_and_restored))
