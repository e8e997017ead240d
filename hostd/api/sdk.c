/* SPDX-License-Identifier: Apache-2.0 */
/* /sdk: which binding a request is of, its session, its call, its response. */
#include "hostd/api/sdk.h"

#include <string.h>

#include "hostd/api/json.h"
#include "hostd/api/soap.h"
#include "hostd/api/wsdl.h"

enum {
    REQUEST_MEMORY_MAX = 64 << 20, /* of one request, values included */
};

#define JSON_PATH "/sdk/vim25/"

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

static void json_done(struct call *call, void *ctx)
{
    struct sdk_request *req = ctx;
    struct buf body = {0};
    int status = json_write(&body, call);
    req->respond(req, call, status, "application/json", &body);
}

static void handle_json(struct sdk_request *req)
{
    struct call *call = &req->call;
    bool get = !strcmp(req->method, "GET");
    if (json_route(call, get, req->path + strlen(JSON_PATH)) < 0) {
        respond_text(req, 404, "Not found\n");
        return;
    }
    call->done = json_done;
    call->done_ctx = req;
    if (req->session_key)
        call->session = req->find_session(req, req->session_key, &call->scope);
    if (!get && json_read(call, req->body, req->body_len) < 0)
        call_finish(call);
    else
        api_call(call);
}

static void handle_file(struct sdk_request *req)
{
    struct buf body = {0};
    const char *name = strrchr(req->path, '/');
    if (name && wsdl_write(&body, name + 1))
        req->respond(req, NULL, 200, "text/xml; charset=utf-8", &body);
    else
        respond_text(req, 404, "Not found\n");
}

void sdk_handle(struct sdk_request *req)
{
    bool get = !strcmp(req->method, "GET"), post = !strcmp(req->method, "POST");
    arena_init(&req->arena, REQUEST_MEMORY_MAX);
    req->call = (struct call){
        .api = req->api,
        .arena = &req->arena,
        .version = vim_version_count - 1,
        .peer = req->peer,
        .agent = req->agent,
    };
    if (!get && !post)
        respond_text(req, 405, "Method not allowed\n");
    else if (!strncmp(req->path, JSON_PATH, strlen(JSON_PATH)))
        handle_json(req);
    else if (get)
        handle_file(req);
    else
        handle_soap(req);
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
