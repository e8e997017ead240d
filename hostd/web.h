/* SPDX-License-Identifier: Apache-2.0 */
/* Which path is served by whom: the API under /sdk, files under /folder, bundles of logs under
 * /downloads, consoles under /ticket, pictures of them at /screen, a page at /. */
#pragma once

#include "hostd/hostd.h"
#include "hostd/http/server.h"

/* The session that a request came with (cookie or header), NULL if it came without a living one. */
struct session *web_session(struct hostd *hostd, const struct http_exchange *x);

/* To be given to http_server_create; borrowed there as long as the server lives. */
struct http_handler web_handler(struct hostd *hostd);
