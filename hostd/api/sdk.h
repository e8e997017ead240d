/* SPDX-License-Identifier: Apache-2.0 */
/* What hostd serves under /sdk: SOAP by POST, VI/JSON under /sdk/vim25/, the service description by
 * GET. Independent of who speaks HTTP: the caller brings one request and gets one response, now or
 * later. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "hostd/api/call.h"

struct sdk_request {
    /* From the caller, unchanged until the response. */
    struct api *api;
    const char *method;      /* "POST", "GET" */
    const char *path;        /* from /sdk on, without the query */
    const char *soap_action; /* header, or NULL */
    const char *content_type;
    const char
        *session_key; /* cookie vmware_soap_session or header vmware-api-session-id, or NULL */
    const char *peer, *agent;
    const void *body;
    size_t body_len;
    /* Finds the session of a key (NULL: no such) and gives its scope. Also called with the key of a
     * SOAP header. */
    struct session *(*find_session)(struct sdk_request *req, const char *key,
                                    struct mo_scope **ret_scope);
    /* Called once, with a body to take over. call: NULL for files; else the finished call, from
     * which the caller learns of a new session (call->session differs from what find_session gave).
     */
    void (*respond)(struct sdk_request *req, const struct call *call, int status,
                    const char *content_type, struct buf *body);
    void *ctx;

    /* Ours. */
    struct arena arena;
    struct call call;
};

/* Answers by `respond`, before it returns or later. respond may release and free the request. */
void sdk_handle(struct sdk_request *req);

/* Frees what the request holds; ends its call if that still waits (the client went away, the host
 * goes down). respond is not called any more. To be called once for every request that was handled.
 */
void sdk_release(struct sdk_request *req);
