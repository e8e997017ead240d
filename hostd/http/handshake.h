/* SPDX-License-Identifier: Apache-2.0 */
/* A request to leave HTTP for WebSocket (RFC 6455, 4.2), version 13. A client that names
 * subprotocols has to know "binary", which is chosen. */
#pragma once

#include <stdbool.h>

#include "hostd/http/parse.h"

enum { HTTP_HANDSHAKE_MAX = 192 };

/* The headers of the answer (http_upgrade); false: it is no such request. */
bool http_handshake(const struct http_head *head, char headers[HTTP_HANDSHAKE_MAX]);
