/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's screen and keyboard for clients: tickets for the console, screenshots, keys to be typed.
 * hostd sees none of it: it passes connections on to the VM's own process (vm/process/console.h)
 * and gets finished pictures from it.
 *
 *   GET /ticket/T       WebSocket (RFC 6455; subprotocol "binary"): T is of AcquireTicket, once.
 *                       Types "webmks" and "mks" show the screen (RFB 3.8), "serial" (ours) is the
 *                       serial port. Who has the ticket needs no session's cookie; the session that
 *                       acquired it must still be there.
 *   GET /screen?id=N    the screen as a PNG, now; w, h: its limits */
#pragma once

#include "hostd/http/server.h"
#include "hostd/model/virtual_machine.h"

void vm_acquire_ticket(struct mo *mo, struct call *call);
void vm_acquire_mks_ticket(struct mo *mo, struct call *call);
void vm_create_screenshot(struct mo *mo, struct call *call);
void vm_put_usb_scan_codes(struct mo *mo, struct call *call);

void vm_ticket_serve(struct hostd *hostd, struct http_exchange *x);
void vm_screen_serve(struct hostd *hostd, struct http_exchange *x);
