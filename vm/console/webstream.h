/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket whose messages are the bytes of a stream, in both directions: the VM's serial port in
 * a browser. Neither side is read while the other does not take what it gets. */
#pragma once

#include "vm/console/conn.h"

struct webstream;

/* Takes both descriptors. It ends by itself, with either of them; `ended` is called then and has to
 * destroy it. */
int webstream_create(struct loop *loop, int websocket, int stream,
                     void (*ended)(void *ctx, struct webstream *webstream), void *ctx,
                     struct webstream **ret_webstream);
void webstream_destroy(struct webstream *webstream); /* accepts NULL */
