/* SPDX-License-Identifier: Apache-2.0 */
/* Universal Serial Bus Specification 2.0, chapter 9; HID 1.11, chapters 6 and 7. Missing on
 * purpose: full speed (and so the device qualifier), remote wake-up. */
#include "vm/dev/usb_tablet.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

enum {
    REQ_GET_STATUS = 0,
    REQ_CLEAR_FEATURE = 1,
    REQ_SET_FEATURE = 3,
    REQ_GET_DESCRIPTOR = 6,
    REQ_GET_CONFIGURATION = 8,
    REQ_SET_CONFIGURATION = 9,
    REQ_GET_INTERFACE = 10,
    REQ_SET_INTERFACE = 11,
    HID_GET_REPORT = 1,
    HID_GET_IDLE = 2,
    HID_GET_PROTOCOL = 3,
    HID_SET_IDLE = 10,
    HID_SET_PROTOCOL = 11,

    /* bmRequestType */
    TO_DEVICE = 0x00,
    TO_INTERFACE = 0x01,
    TO_ENDPOINT = 0x02,
    CLASS_INTERFACE = 0x21,
    IN = 0x80,

    DESC_DEVICE = 1,
    DESC_CONFIGURATION = 2,
    DESC_STRING = 3,
    DESC_HID = 0x21,
    DESC_REPORT = 0x22,

    CONFIGURATION = 1,
    INPUT_REPORT = 1,
    FEATURE_HALT = 0,
    INTERVAL = 4, /* 2^(4 - 1) microframes: 1 ms */
    BUTTONS = 0x1f,
    ENDPOINT_ADDRESS = IN | USB_TABLET_ENDPOINT,
};

static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, /* Generic Desktop, Mouse, Collection (Application) */
    0x09, 0x01, 0xa1, 0x00,             /*   Pointer, Collection (Physical) */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, /*     buttons 1 to 5 */
    0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02,       /* five bits: Data, Variable,
                                                                         Absolute */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,                               /*     three of nothing */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, /* X, Y: 0 to 0x7fff */
    0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, /* Wheel: -127 to 127, Relative */
    0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0};

static const uint8_t device_descriptor[] = {
    18,   DESC_DEVICE,
    0x00, 0x02, /* USB 2.0 */
    0,    0,
    0,    USB_TABLET_MAX_PACKET_0,
    0x0f, 0x0e,
    0x03, 0x00, /* vendor, product: as guests know a VM's pointer */
    0x02, 0x01,
    1,    2,
    0,    1};

enum { HID_AT = 18, CONFIGURATION_LEN = 34 };
static const uint8_t configuration_descriptor[CONFIGURATION_LEN] = {
    9,
    DESC_CONFIGURATION,
    CONFIGURATION_LEN,
    0,
    1,
    CONFIGURATION,
    0,
    0x80,
    50, /* 100 mA */
    9,
    4,
    0,
    0,
    1,
    3,
    0,
    0,
    0, /* interface 0: HID, no boot protocol */
    9,
    DESC_HID,
    0x11,
    0x01,
    0,
    1,
    DESC_REPORT,
    sizeof report_descriptor,
    0,
    7,
    5,
    ENDPOINT_ADDRESS,
    3,
    USB_TABLET_REPORT,
    0,
    INTERVAL}; /* interrupt */

static const char *const strings[] = {NULL, "Socle", "USB Tablet"};

void usb_tablet_reset(struct usb_tablet *tablet)
{
    *tablet = (struct usb_tablet){.protocol = 1};
}

/* Reports. */

static uint8_t *last_report(struct usb_tablet *t)
{
    return t->queue + (t->queued - 1) * USB_TABLET_REPORT;
}

void usb_tablet_input(struct usb_tablet *tablet, const struct input_event *event)
{
    struct usb_tablet *t = tablet;
    uint8_t report[USB_TABLET_REPORT] = {event->buttons & BUTTONS};

    if (event->kind != INPUT_ABSOLUTE)
        return;
    le16_store(report + 1, MIN(event->x, (uint16_t)INPUT_RANGE));
    le16_store(report + 3, MIN(event->y, (uint16_t)INPUT_RANGE));
    /* The report counts away from the user. */
    report[5] = (uint8_t)(event->wheel == INT8_MIN ? INT8_MAX : -event->wheel);
    bool merges = t->queued && last_report(t)[0] == report[0] && !report[5] && !last_report(t)[5];
    if (!merges && t->queued == USB_TABLET_QUEUE) { /* nobody listens: forget the oldest */
        memmove(t->queue, t->queue + USB_TABLET_REPORT, sizeof t->queue - USB_TABLET_REPORT);
        t->queued--;
    }
    t->queued += !merges;
    memcpy(last_report(t), report, sizeof report);
}

bool usb_tablet_report(struct usb_tablet *tablet, uint8_t report[USB_TABLET_REPORT])
{
    struct usb_tablet *t = tablet;

    if (!t->queued || !t->configuration || t->halted)
        return false;
    memcpy(report, t->queue, USB_TABLET_REPORT);
    memcpy(t->current, report, USB_TABLET_REPORT);
    memmove(t->queue, t->queue + USB_TABLET_REPORT, sizeof t->queue - USB_TABLET_REPORT);
    t->queued--;
    return true;
}

/* Control. */

static int give(uint8_t *data, unsigned wanted, const void *from, unsigned len)
{
    len = MIN(len, wanted);
    memcpy(data, from, len);
    return (int)len;
}

static int give_string(uint8_t *data, unsigned wanted, unsigned index)
{
    uint8_t text[64] = {4, DESC_STRING, 0x09, 0x04}; /* the languages: US English */

    if (index >= ARRAY_SIZE(strings))
        return -EPIPE;
    for (unsigned i = 0; index && strings[index][i]; i++) {
        text[0] = (uint8_t)(4 + 2 * i);
        text[2 + 2 * i] = (uint8_t)strings[index][i];
        text[3 + 2 * i] = 0;
    }
    return give(data, wanted, text, text[0]);
}

static int get_descriptor(uint8_t *data, unsigned wanted, uint16_t value)
{
    switch (value >> 8) {
    case DESC_DEVICE:
        return give(data, wanted, device_descriptor, sizeof device_descriptor);
    case DESC_CONFIGURATION:
        return value & 0xff ? -EPIPE
                            : give(data, wanted, configuration_descriptor, CONFIGURATION_LEN);
    case DESC_STRING:
        return give_string(data, wanted, value & 0xff);
    case DESC_HID:
        return give(data, wanted, configuration_descriptor + HID_AT, 9);
    case DESC_REPORT:
        return give(data, wanted, report_descriptor, sizeof report_descriptor);
    default:
        return -EPIPE;
    }
}

static int set_configuration(struct usb_tablet *t, uint16_t value)
{
    if (value > CONFIGURATION)
        return -EPIPE;
    t->configuration = (uint8_t)value;
    t->queued = t->halted = 0;
    return 0;
}

static int to_endpoint(struct usb_tablet *t, unsigned request, uint16_t value, uint16_t index,
                       uint8_t *data, unsigned wanted)
{
    uint8_t status[2] = {index == ENDPOINT_ADDRESS && t->halted, 0};

    if (request == REQ_GET_STATUS)
        return give(data, wanted, status, sizeof status);
    if (value != FEATURE_HALT || index != ENDPOINT_ADDRESS)
        return -EPIPE;
    t->halted = request == REQ_SET_FEATURE;
    return 0;
}

static int of_class(struct usb_tablet *t, unsigned request, uint16_t value, uint8_t *data,
                    unsigned wanted)
{
    switch (request) {
    case HID_GET_REPORT:
        return value >> 8 == INPUT_REPORT ? give(data, wanted, t->current, sizeof t->current)
                                          : -EPIPE;
    case HID_GET_IDLE:
        return give(data, wanted, &t->idle, 1);
    case HID_GET_PROTOCOL:
        return give(data, wanted, &t->protocol, 1);
    case HID_SET_IDLE:
        t->idle = (uint8_t)(value >> 8);
        return 0;
    case HID_SET_PROTOCOL:
        t->protocol = value & 1;
        return 0;
    default:
        return -EPIPE;
    }
}

static int of_device(struct usb_tablet *t, unsigned request, uint16_t value, uint8_t *data,
                     unsigned wanted)
{
    static const uint8_t status[2];

    switch (request) {
    case REQ_GET_STATUS:
        return give(data, wanted, status, sizeof status);
    case REQ_GET_DESCRIPTOR:
        return get_descriptor(data, wanted, value);
    case REQ_GET_CONFIGURATION:
        return give(data, wanted, &t->configuration, 1);
    case REQ_SET_CONFIGURATION:
        return set_configuration(t, value);
    default:
        return -EPIPE;
    }
}

static int of_interface(unsigned request, uint16_t value, uint8_t *data, unsigned wanted)
{
    static const uint8_t zero[2];

    switch (request) {
    case REQ_GET_STATUS:
        return give(data, wanted, zero, 2);
    case REQ_GET_INTERFACE:
        return give(data, wanted, zero, 1);
    case REQ_GET_DESCRIPTOR: /* of the class: HID 1.11, 7.1.1 */
        return get_descriptor(data, wanted, value);
    case REQ_SET_INTERFACE:
        return value ? -EPIPE : 0;
    default:
        return -EPIPE;
    }
}

int usb_tablet_control(struct usb_tablet *tablet, const uint8_t setup[USB_SETUP_LEN], uint8_t *data)
{
    unsigned request = setup[1], wanted = MIN(le16_load(setup + 6), (uint16_t)USB_DATA_MAX);
    uint16_t value = le16_load(setup + 2), index = le16_load(setup + 4);

    switch (setup[0] & ~IN) {
    case TO_DEVICE:
        return of_device(tablet, request, value, data, wanted);
    case TO_INTERFACE:
        return index ? -EPIPE : of_interface(request, value, data, wanted);
    case TO_ENDPOINT:
        return to_endpoint(tablet, request, value, index, data, wanted);
    case CLASS_INTERFACE:
        return index ? -EPIPE : of_class(tablet, request, value, data, wanted);
    default:
        return -EPIPE;
    }
}

static int post_load(void *object, struct err *err)
{
    const struct usb_tablet *t = object;

    return t->queued > USB_TABLET_QUEUE || t->configuration > CONFIGURATION
               ? err_set(err, -EINVAL, "usb-tablet: what cannot be")
               : 0;
}

static const struct state_field fields[] = {
    STATE_FIELD(struct usb_tablet, configuration, STATE_U8),
    STATE_FIELD(struct usb_tablet, idle, STATE_U8),
    STATE_FIELD(struct usb_tablet, protocol, STATE_U8),
    STATE_FIELD(struct usb_tablet, halted, STATE_U8),
    STATE_FIELD(struct usb_tablet, current, STATE_U8),
    STATE_FIELD(struct usb_tablet, queue, STATE_U8),
    STATE_FIELD(struct usb_tablet, queued, STATE_U32),
};

const struct state_table usb_tablet_state = {
    .name = "usb-tablet",
    .version = 1,
    .size = sizeof(struct usb_tablet),
    .fields = fields,
    .field_count = ARRAY_SIZE(fields),
    .post_load = post_load,
};
