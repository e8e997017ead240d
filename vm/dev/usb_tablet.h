/* SPDX-License-Identifier: Apache-2.0 */
/* A USB device that says where a pointer is: USB 2.0 (chapter 9) at high speed, with one interrupt
 * endpoint, and a HID (Device Class Definition for HID 1.11) whose report is
 *
 *     buttons u8 (left, right, middle, two more), x u16, y u16 (0 to 0x7fff), wheel s8
 *
 * Every guest's own HID driver takes it. A model without a bus: the host controller asks it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/backend/input.h"
#include "wire/state.h"

enum {
    USB_TABLET_REPORT = 6,
    USB_TABLET_ENDPOINT = 1, /* IN */
    USB_TABLET_MAX_PACKET_0 = 64,
    USB_TABLET_QUEUE = 16,
    USB_SETUP_LEN = 8,
    USB_DATA_MAX = 256, /* of any control transfer that it answers */
};

struct usb_tablet {
    uint8_t configuration; /* 0: not configured */
    uint8_t idle, protocol;
    uint8_t halted; /* the interrupt endpoint's feature */
    uint8_t current[USB_TABLET_REPORT];
    /* Reports that the host has not taken. Movement goes into the last one; what a button or the
     * wheel does has one of its own. */
    uint8_t queue[USB_TABLET_QUEUE * USB_TABLET_REPORT];
    uint32_t queued;
};

void usb_tablet_reset(struct usb_tablet *tablet);
void usb_tablet_input(struct usb_tablet *tablet, const struct input_event *event);
/* A control transfer: for IN, `data` gets up to `length` of its setup packet and the number is
 * returned; for OUT `data` has been received. -EPIPE: stall. */
int usb_tablet_control(struct usb_tablet *tablet, const uint8_t setup[USB_SETUP_LEN],
                       uint8_t *data);
/* The next report; false: there is none. */
bool usb_tablet_report(struct usb_tablet *tablet, uint8_t report[USB_TABLET_REPORT]);

extern const struct state_table usb_tablet_state;
