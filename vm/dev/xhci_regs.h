/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of xHCI: eXtensible Host Controller Interface for USB, revision 1.2, sections 5 and 6. */
#pragma once

#include "base/range.h"

/* The register space: BAR 0. */
enum {
    XHCI_OPERATIONAL = 0x40,
    XHCI_PORTS_AT = 0x440,
    XHCI_PORT_STRIDE = 0x10,
    XHCI_EXTENDED = 0x800, /* capabilities: the protocols of the ports */
    XHCI_RUNTIME = 0x1000,
    XHCI_INTERRUPTER = 0x1020,
    XHCI_DOORBELLS = 0x2000,
    XHCI_BAR_SIZE = 0x4000,
};

enum {
    XHCI_SLOTS = 4,
    XHCI_PORTS = 2, /* 1: USB 2, where the tablet is; 2: USB 3, empty, for drivers that want one */
    XHCI_ENDPOINTS = 32,
    XHCI_ERST_MAX = 8, /* segments of the event ring */
};

/* Operational registers, from XHCI_OPERATIONAL. */
enum {
    XHCI_USBCMD = 0x00,
    XHCI_USBSTS = 0x04,
    XHCI_PAGESIZE = 0x08,
    XHCI_DNCTRL = 0x14,
    XHCI_CRCR = 0x18,
    XHCI_DCBAAP = 0x30,
    XHCI_CONFIG = 0x38,
};

#define USBCMD_RUN   BIT(0)
#define USBCMD_RESET BIT(1)
#define USBCMD_INTE  BIT(2)
#define USBCMD_MASK  (USBCMD_RUN | USBCMD_INTE | BIT(3) | BIT(10) | BIT(11))

#define USBSTS_HALTED BIT(0)
#define USBSTS_EINT   BIT(3)
#define USBSTS_PCD    BIT(4)
#define USBSTS_HCE    BIT(12)

#define CRCR_RCS     BIT64(0)
#define CRCR_STOP    BIT64(1)
#define CRCR_ABORT   BIT64(2)
#define CRCR_RUNNING BIT64(3)

/* Ports. */
#define PORTSC_CONNECTED    BIT(0)
#define PORTSC_ENABLED      BIT(1)
#define PORTSC_RESET        BIT(4)
#define PORTSC_PLS          (15u << 5)
#define PORTSC_PLS_RXDETECT (5u << 5)
#define PORTSC_PLS_POLLING  (7u << 5)
#define PORTSC_POWER        BIT(9)
#define PORTSC_SPEED_HIGH   (3u << 10)
#define PORTSC_LWS          BIT(16)
#define PORTSC_CSC          BIT(17)
#define PORTSC_PRC          BIT(21)
#define PORTSC_CHANGES      (0x7fu << 17)
#define PORTSC_WAKE         (7u << 25)

/* Interrupter 0, from XHCI_INTERRUPTER. */
enum { XHCI_IMAN = 0, XHCI_IMOD = 4, XHCI_ERSTSZ = 8, XHCI_ERSTBA = 0x10, XHCI_ERDP = 0x18 };
#define IMAN_PENDING BIT(0)
#define IMAN_ENABLE  BIT(1)
#define ERDP_BUSY    BIT64(3)

/* Transfer request blocks: parameter u64, status u32, control u32. */
enum { TRB_LEN = 16 };
enum trb_type {
    TRB_NORMAL = 1,
    TRB_SETUP = 2,
    TRB_DATA = 3,
    TRB_STATUS = 4,
    TRB_LINK = 6,
    TRB_EVENT_DATA = 7,
    TRB_NOOP = 8,
    TRB_ENABLE_SLOT = 9,
    TRB_DISABLE_SLOT = 10,
    TRB_ADDRESS_DEVICE = 11,
    TRB_CONFIGURE_ENDPOINT = 12,
    TRB_EVALUATE_CONTEXT = 13,
    TRB_RESET_ENDPOINT = 14,
    TRB_STOP_ENDPOINT = 15,
    TRB_SET_DEQUEUE = 16,
    TRB_RESET_DEVICE = 17,
    TRB_NOOP_COMMAND = 23,
    TRB_TRANSFER_EVENT = 32,
    TRB_COMMAND_EVENT = 33,
    TRB_PORT_EVENT = 34,
};
#define TRB_CYCLE  BIT(0)
#define TRB_TOGGLE BIT(1) /* of a link */
#define TRB_ISP    BIT(2)
#define TRB_CHAIN  BIT(4)
#define TRB_IOC    BIT(5)
#define TRB_IDT    BIT(6)
#define TRB_BSR    BIT(9) /* of commands: block set address, deconfigure */
#define TRB_IN     BIT(16)
#define TRB_ED     BIT(2) /* of a transfer event: by an event data TRB */

enum completion {
    CC_SUCCESS = 1,
    CC_TRB_ERROR = 5,
    CC_STALL = 6,
    CC_NO_SLOTS = 9,
    CC_SLOT_NOT_ENABLED = 11,
    CC_ENDPOINT_NOT_ENABLED = 12,
    CC_SHORT_PACKET = 13,
    CC_PARAMETER = 17,
    CC_CONTEXT_STATE = 19,
    CC_STOPPED = 26,
};

/* Contexts: 32 bytes each; a device's begin with the slot's, an input context with one for
 * control. */
enum { CONTEXT_LEN = 32 };
enum slot_state { SLOT_DISABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };
enum endpoint_state { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };
