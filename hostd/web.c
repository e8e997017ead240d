/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "hostd/api/sdk.h"
#include "hostd/datastore/folder_http.h"
#include "hostd/datastore/nfc_http.h"
#include "hostd/diag/bundle.h"
#include "hostd/model/host_firewall.h"
#include "hostd/session/http_login.h"
#include "hostd/session/session.h"
#include "hostd/vm/vm_screen.h"

/* A stranger has nothing to say but a login. */
enum { API_BODY_MAX = 16 << 20, STRANGER_BODY_MAX = 64 << 10 };

static bool is_under(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return !strncmp(path, prefix, len) && (!path[len] || path[len] == '/');
}

/* --- the API --- */

/* One request to the API on its way. */
struct api_request {
    struct sdk_request sdk;
    struct http_exchange *x;
    struct hostd *hostd;
    struct session *session; /* what it came with; entered */
    char secret[SESSION_SECRET_TEXT];
    bool fresh; /* that session began with this request */
};

static struct session *find_session(struct sdk_request *sdk, const char *secret,
                                    struct mo_scope **ret_scope)
{
    struct api_request *request = sdk->ctx;
    struct session *session = session_find(request->hostd->sessions, secret);

    if (session && !request->session) {
        session_enter(session);
        request->session = session;
    }
    if (session)
        *ret_scope = &session->scope;
    return session;
}

/* Whoever is root or the owner of the host's folder could read and write all that there is: a
 * program of theirs at the local socket needs no password. Its first request opens a session of
 * root's, whose secret it gets with the answer, as from a login. */
static void open_local_session(struct api_request *request)
{
    const char *agent = request->sdk.agent;
    struct session *session;

    if (session_open(request->hostd->sessions, "root", HTTP_PEER_LOCAL, agent, NULL, &session) < 0)
        return;
    (void)snprintf(request->secret, sizeof request->secret, "%s", session->secret);
    session->by_owner = true;
    request->sdk.session_key = request->secret;
    request->fresh = true;
}

/* A login's answer carries the new session in both of its forms. */
static const char *session_headers(const struct session *session, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "Set-Cookie: vmware_soap_session=\"%s\"; Path=/; HttpOnly; Secure; "
                   "SameSite=Strict\r\n"
                   "vmware-api-session-id: %s\r\nCache-Control: no-cache\r\n",
                   session->secret, session->secret);
    return text;
}

static void respond(struct sdk_request *sdk, const struct call *call, int status,
                    const char *content_type, struct buf *body)
{
    struct api_request *request = sdk->ctx;
    const char *headers = "Cache-Control: no-cache\r\n";
    char text[512];

    if (call && call->session && (request->fresh || call->session != request->session))
        headers = session_headers(call->session, text, sizeof text);
    if (request->session)
        session_leave(request->hostd->sessions, request->session);
    http_answer(request->x, status, content_type, headers, body);
    sdk_release(sdk);
    free(request);
}

static void api_gone(struct http_exchange *x)
{
    struct api_request *request = x->user;

    sdk_release(&request->sdk);
    if (request->session)
        session_leave(request->hostd->sessions, request->session);
    free(request);
}

static const char *method_name(enum http_method method)
{
    return method == HTTP_POST ? "POST" : method == HTTP_GET ? "GET" : "";
}

/* The session that a request names; NULL: none. */
static const char *session_secret(const struct http_exchange *x, char secret[SESSION_SECRET_TEXT])
{
    const char *header = http_header(&x->head, "vmware-api-session-id");

    if (header && strlen(header) < SESSION_SECRET_TEXT)
        return header;
    return http_cookie(&x->head, "vmware_soap_session", secret, SESSION_SECRET_TEXT) &&
                   !http_is_from_elsewhere(x)
               ? secret
               : NULL;
}

static void api_serve(struct hostd *hostd, struct http_exchange *x)
{
    struct api_request *request = calloc(1, sizeof *request);

    if (!request) {
        http_answer_text(x, 503, "out of memory");
        return;
    }
    request->x = x;
    request->hostd = hostd;
    request->sdk = (struct sdk_request){.api = &hostd->api,
                                        .method = method_name(x->head.method),
                                        .path = x->head.path,
                                        .soap_action = http_header(&x->head, "SOAPAction"),
                                        .content_type = http_header(&x->head, "Content-Type"),
                                        .peer = x->peer,
                                        .agent = http_header(&x->head, "User-Agent"),
                                        .body = x->body,
                                        .body_len = x->body_len,
                                        .find_session = find_session,
                                        .respond = respond,
                                        .ctx = request};
    request->sdk.session_key = session_secret(x, request->secret);
    if (!request->sdk.session_key && x->local &&
        (x->head.method == HTTP_POST || is_under(x->head.path, "/sdk/vim25")))
        open_local_session(request);
    x->user = request;
    x->gone = api_gone;
    sdk_handle(&request->sdk);
}

/* --- the rest --- */

struct session *web_session(struct hostd *hostd, const struct http_exchange *x)
{
    char text[SESSION_SECRET_TEXT];
    const char *secret = session_secret(x, text);

    return secret ? session_find(hostd->sessions, secret) : NULL;
}

static const char welcome[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Socle</title></head>\n"
    "<body><h1>Socle " SOCLE_VERSION "</h1>\n"
    "<p>This host speaks the vSphere Web Services API at <code>/sdk</code>; "
    "<a href=\"/folder\">its datastores</a> can be browsed.</p></body></html>\n";

static void welcome_serve(struct http_exchange *x)
{
    struct buf body = {0};

    buf_put_str(&body, welcome);
    http_answer(x, 200, "text/html; charset=utf-8", NULL, &body);
}

static size_t body_max(void *ctx, const struct http_exchange *x)
{
    struct hostd *hostd = ctx;
    char text[SESSION_SECRET_TEXT];
    const char *secret = session_secret(x, text);

    if (is_under(x->head.path, "/sdk"))
        return x->local || (secret && session_find(hostd->sessions, secret)) ? API_BODY_MAX
                                                                             : STRANGER_BODY_MAX;
    return is_under(x->head.path, "/folder") || is_under(x->head.path, "/nfc") ? HTTP_STREAM : 4096;
}

/* The text of a SOAP header's vcSessionCookie in the beginning of a message. What it is worth the
 * API decides when all of it is there; here only how much may come. */
static bool soap_secret(const struct http_exchange *x, char secret[SESSION_SECRET_TEXT])
{
    static const char name[] = "vcSessionCookie";
    const char *text = (const char *)x->body, *end = text + x->body_len;
    const char *body = memmem(text, x->body_len, "Body>", 5);
    const char *at = memmem(text, (size_t)((body ? body : end) - text), name, sizeof name - 1);
    const char *from = at ? memchr(at, '>', (size_t)(end - at)) : NULL;
    const char *to = from ? memchr(from, '<', (size_t)(end - from)) : NULL;

    while (to && ++from < to && strchr(" \t\r\n", *from))
        ;
    while (to && to > from && strchr(" \t\r\n", to[-1]))
        to--;
    if (!to || to - from >= SESSION_SECRET_TEXT)
        return false;
    (void)snprintf(secret, SESSION_SECRET_TEXT, "%.*s", (int)(to - from), from);
    return true;
}

static size_t body_more(void *ctx, const struct http_exchange *x)
{
    struct hostd *hostd = ctx;
    char secret[SESSION_SECRET_TEXT];

    return is_under(x->head.path, "/sdk") && soap_secret(x, secret) &&
                   session_find(hostd->sessions, secret)
               ? API_BODY_MAX
               : 0;
}

static void serve(void *ctx, struct http_exchange *x)
{
    struct hostd *hostd = ctx;
    bool reads = x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;

    if (!firewall_allows(hostd, x->peer))
        http_answer_text(x, 403, "the host's firewall does not allow your address");
    else if (is_under(x->head.path, "/sdk"))
        api_serve(hostd, x);
    else if (is_under(x->head.path, "/folder"))
        folder_http_serve(hostd, x);
    else if (!strncmp(x->head.path, "/downloads/", strlen("/downloads/")))
        bundle_http_serve(hostd, x);
    else if (!strncmp(x->head.path, "/ticket/", 8))
        vm_ticket_serve(hostd, x);
    else if (!strcmp(x->head.path, "/screen"))
        vm_screen_serve(hostd, x);
    else if (is_under(x->head.path, "/nfc"))
        nfc_http_serve(hostd, x);
    else if (reads && !strcmp(x->head.path, "/"))
        welcome_serve(x);
    else
        http_answer_text(x, 404, "there is nothing here");
}

struct http_handler web_handler(struct hostd *hostd)
{
    return (struct http_handler){
        .body_max = body_max, .body_more = body_more, .request = serve, .ctx = hostd};
}
