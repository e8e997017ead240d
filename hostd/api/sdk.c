/* SPDX-License-Identifier: Apache-2.0 */
/* /sdk: which binding a request is of, its session, its call, its response. */
#include "hostd/api/sdk.h"

#include <stdio.h>
#include <string.h>

#include "hostd/api/soap.h"

enum {
    REQUEST_MEMORY_MAX = 64 << 20, /* of one request, values included */
};

static void respond_text(struct sdk_request *req, int status, const char *text)
{
    struct buf body = {0};
    buf_put_str(&body, text);
    req->respond(req, NULL, status, "text/plain; charset=utf-8", &body);
}

static void soap_done(struct call *call, void *ctx)
{
    struct sdk_request *req = ctx;
    struct buf body = {0};
    soap_write(&body, call);
    req->respond(req, call, call->fault ? 500 : 200, "text/xml; charset=utf-8", &body);
}

static void handle_soap(struct sdk_request *req)
{
    struct call *call = &req->call;
    const char *cookie;
    call->done = soap_done;
    call->done_ctx = req;
    if (soap_read(call, req->soap_action, req->body, req->body_len, &cookie) < 0) {
        call_finish(call);
        return;
    }
    const char *key = req->session_key ? req->session_key : cookie;
    if (key)
        call->session = req->find_session(req, key, &call->scope);
    api_call(call);
}

void sdk_handle(struct sdk_request *req)
{
    arena_init(&req->arena, REQUEST_MEMORY_MAX);
    req->call = (struct call){
        .api = req->api,
        .arena = &req->arena,
        .version = vim_version_count - 1,
        .peer = req->peer,
        .agent = req->agent,
    };
    if (!strcmp(req->method, "POST"))
        handle_soap(req);
    else
        respond_text(req, 405, "Method not allowed\n");
}

static void forget(struct call *call, void *ctx) {}

void sdk_release(struct sdk_request *req)
{
    struct call *call = &req->call;
    call->done = forget;
    if (call->cancel)
        call->cancel(call);
    arena_free(&req->arena);
}
