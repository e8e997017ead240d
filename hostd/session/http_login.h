/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends a plain HTTP request (files, pictures): a session's cookie or header says so, a service
 * ticket in the cookie vmware_cgi_ticket, or Basic authorization, whose password is checked on a
 * worker, and which changes nothing for a page of another origin. */
#pragma once

#include "hostd/hostd.h"
#include "hostd/http/server.h"

/* A browser sends our cookie, and a password that it was given for us, with what a page of another
 * server makes it ask (RFC 6265, 8.5); whose page it is stands in Origin. */
bool http_is_from_elsewhere(const struct http_exchange *x);

/* To answer the request of somebody who is known. */
typedef void http_admitted(struct hostd *hostd, struct http_exchange *x, const char *user);

/* Calls `admitted`, now or later, or answers 401. Uses x->user and x->gone until then. */
void http_login(struct hostd *hostd, struct http_exchange *x, http_admitted *admitted);
