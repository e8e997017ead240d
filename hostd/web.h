/* SPDX-License-Identifier: Apache-2.0 */
/* Which path is served by whom: the API under /sdk, files under /folder, a page at /. */
#pragma once

#include "hostd/hostd.h"
#include "hostd/http/server.h"

/* To be given to http_server_create; borrowed there as long as the server lives. */
struct http_handler web_handler(struct hostd *hostd);
