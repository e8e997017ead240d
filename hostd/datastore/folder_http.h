/* SPDX-License-Identifier: Apache-2.0 */
/* Files on datastores by HTTP: /folder[/path]?dcPath=ha-datacenter&dsName=NAME. GET and HEAD (with
 * ranges; folders as a listing), PUT (201 new, its folders are made; 200 over an old one), POST as
 * PUT, DELETE (204; 405 for folders). dcPath is optional. Who asks: a session's cookie, Basic
 * authorization, or a service ticket in the cookie vmware_cgi_ticket.
 *
 * GET with the header FOLDER_DESCRIPTOR, by the local socket from a program of root's or of the
 * folder's owner: the answer has no body, and the file's descriptor, to read, with its first byte.
 */
#pragma once

#include "hostd/hostd.h"
#include "hostd/http/server.h"

#define FOLDER_DESCRIPTOR "Socle-Descriptor"

void folder_http_serve(struct hostd *hostd, struct http_exchange *x);
