/* SPDX-License-Identifier: Apache-2.0 */
/* The rig's inventory behind a real HTTP server on a Unix socket, for clients that are programs:
 * serve SOCKET VMS. User root, password secret. Ends when its standard input does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/range.h"
#include "hostd/http/server.h"
#include "tests/api/rig.h"

struct served {
    struct rig_request req;
    struct http_exchange *x;
    char key[64];
};

static void respond(struct sdk_request *sdk, const struct call *call, int status,
                    const char *content_type, struct buf *body)
{
    struct served *served = sdk->ctx;
    bool login = call && call->method && !strcmp(call->method->name, "Login") && !call->fault;
    http_answer(served->x, status, content_type,
                login ? "Set-Cookie: vmware_soap_session=\"key\"; Path=/\r\n"
                        "vmware-api-session-id: key\r\n"
                      : NULL,
                body);
    sdk_release(sdk);
    free(served);
}

static void gone(struct http_exchange *x)
{
    struct served *served = x->user;
    sdk_release(&served->req.sdk);
    free(served);
}

static void serve(void *ctx, struct http_exchange *x)
{
    struct rig *rig = ctx;
    struct served *served = calloc(1, sizeof *served);
    if (!served)
        abort();
    served->x = x;
    x->user = served;
    x->gone = gone;
    served->req.sdk = (struct sdk_request){
        .api = &rig->api,
        .method = x->head.method == HTTP_POST ? "POST" : "GET",
        .path = x->head.path,
        .soap_action = http_header(&x->head, "SOAPAction"),
        .session_key = http_cookie(&x->head, "vmware_soap_session", served->key, sizeof served->key)
                           ? served->key
                           : NULL,
        .body = x->body,
        .body_len = x->body_len,
        .find_session = rig_find_session,
        .respond = respond,
        .ctx = served,
    };
    sdk_handle(&served->req.sdk);
}

static size_t body_max(void *ctx, const struct http_exchange *x)
{
    return 16 << 20;
}

static void on_input(void *ctx, uint32_t events)
{
    char c;
    if (read(STDIN_FILENO, &c, 1) <= 0)
        loop_stop(ctx, 0);
}

int main(int argc, char **argv)
{
    struct rig rig;
    struct http_server *server;
    struct loop_source input = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    memcpy(address.sun_path, argv[1], strlen(argv[1]));
    rig_create(&rig, (size_t)atoi(argv[2]));
    const struct http_handler handler = {.body_max = body_max, .request = serve, .ctx = &rig};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0 ||
        http_server_create(rig.api.loop, fd, false, &handler, &server) < 0 ||
        loop_add_fd(rig.api.loop, &input, STDIN_FILENO, EPOLLIN, on_input, rig.api.loop) < 0)
        return 1;
    (void)puts("ready");
    (void)fflush(stdout);
    int r = loop_run(rig.api.loop);
    http_server_destroy(server);
    rig_destroy(&rig);
    return r;
}
