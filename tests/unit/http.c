/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/http/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "hostd/http/server.h"
#include "tests/tap.h"

/* --- heads --- */

static char text[HTTP_HEAD_MAX + 64];
static struct http_head head;

static int parse(const char *request)
{
    (void)snprintf(text, sizeof text, "%s", request);
    return http_parse_head(text, strlen(text), &head);
}

static void reads_a_head(void)
{
    static const char request[] =
        "POST /sdk/a%20b?x=1&y=%41 HTTP/1.1\r\n"
        "Host: h\r\nContent-Length:  12 \r\nCookie: a=b; s=\"k v\"\r\n\r\nrest";
    char value[16];

    REQUIRE(parse(request) == (int)sizeof request - 1 - 4);
    CHECK_EQ(head.method, HTTP_POST);
    CHECK_STR(head.path, "/sdk/a b");
    CHECK_STR(head.query, "x=1&y=%41");
    CHECK_STR(head.target, "/sdk/a%20b?x=1&y=%41");
    CHECK_STR(http_header(&head, "hOST"), "h");
    CHECK(head.has_length && head.length == 12 && head.keep_alive && !head.chunked);
    CHECK(http_query(head.query, "y", value, sizeof value));
    CHECK_STR(value, "A");
    CHECK(!http_query(head.query, "z", value, sizeof value));
    CHECK(http_cookie(&head, "s", value, sizeof value));
    CHECK_STR(value, "k v");
    CHECK(http_cookie(&head, "a", value, sizeof value));
    CHECK_STR(value, "b");
    CHECK(!http_cookie(&head, "k", value, sizeof value));
}

static void waits_for_the_rest(void)
{
    CHECK_EQ(parse("GET / HTTP/1.1\r\nHost: h\r\n"), 0);
    CHECK_EQ(parse(""), 0);
    CHECK_EQ(parse("\r\nGET / HTTP/1.1\r\n\r\n"), 20);
}

/* What two readers could understand in two ways. */
static void refuses_the_ambiguous(void)
{
    CHECK_EQ(parse("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
             -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), -501);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.1\nA: b\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400);
}

static void refuses_bad_targets(void)
{
    CHECK_EQ(parse("GET /a/../b HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET /a/%2e%2E/b HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET /. HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET /%00 HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET /%4 HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET a HTTP/1.1\r\n\r\n"), -400);
    CHECK_EQ(parse("GET / HTTP/2.0\r\n\r\n"), -505);
    CHECK_EQ(parse("GET /\r\n\r\n"), -400);
    CHECK(parse("GET /..a/b.. HTTP/1.1\r\n\r\n") > 0);
    CHECK(parse("BREW / HTTP/1.1\r\n\r\n") > 0 && head.method == HTTP_METHOD_MAX);
}

static void has_limits(void)
{
    cleanup_buf struct buf big = {0};

    buf_put_str(&big, "GET / HTTP/1.1\r\n");
    for (unsigned i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_printf(&big, "A%u: b\r\n", i);
    buf_put_str(&big, "\r\n");
    CHECK_EQ(http_parse_head((char *)big.data, big.len, &head), -431);
    buf_free(&big);
    buf_put_str(&big, "GET /");
    memset(buf_grow(&big, HTTP_PATH_MAX), 'a', HTTP_PATH_MAX);
    buf_put_str(&big, " HTTP/1.1\r\n\r\n");
    CHECK_EQ(http_parse_head((char *)big.data, big.len, &head), -414);
    buf_free(&big);
    memset(buf_grow(&big, HTTP_HEAD_MAX + 1), 'a', HTTP_HEAD_MAX + 1);
    CHECK_EQ(http_parse_head((char *)big.data, big.len, &head), -431);
}

/* --- bodies --- */

/* All of a chunked body, given in pieces of `step` bytes; -1: refused. */
static int64_t unchunk(const char *in, size_t step, char *out)
{
    const struct http_head chunked = {.chunked = true};
    struct http_body body;
    size_t at = 0, got = 0, len = strlen(in);

    http_body_init(&body, &chunked);
    while (!body.done && at < len) {
        const uint8_t *payload;
        size_t n;
        int64_t used = http_body_next(&body, (const uint8_t *)in + at,
                                      len - at < step ? len - at : step, &payload, &n);
        if (used < 0)
            return -1;
        memcpy(out + got, payload, n);
        got += n;
        at += (size_t)used;
    }
    out[got] = '\0';
    return body.done ? (int64_t)at : -2;
}

static void takes_chunks_apart(void)
{
    static const char in[] =
        "5;x=y\r\nhello\r\n1\r\n \r\n0A \r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
    char out[64];

    for (size_t step = 1; step < sizeof in; step++) {
        CHECK_EQ(unchunk(in, step, out), sizeof in - 1);
        CHECK_STR(out, "hello 0123456789");
    }
}

static void refuses_bad_chunks(void)
{
    static const char *const bad[] = {
        "\r\n",       "5\nhello\r\n0\r\n\r\n", "5\r\nhelloo\r\n", "-1\r\n", "x\r\n",
        ";\r\n0\r\n", "10000000000000000\r\n", "5\r\nhello\n",    "5;\n",
    };
    char out[64];

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(unchunk(bad[i], 64, out), -1);
}

static void reads_ranges(void)
{
    uint64_t first = 0, length = 0;

    CHECK(http_range("bytes=0-0", 10, &first, &length) == 0 && first == 0 && length == 1);
    CHECK(http_range("bytes=5-", 10, &first, &length) == 0 && first == 5 && length == 5);
    CHECK(http_range("bytes=-3", 10, &first, &length) == 0 && first == 7 && length == 3);
    CHECK(http_range("bytes=-30", 10, &first, &length) == 0 && first == 0 && length == 10);
    CHECK(http_range("bytes=2-99", 10, &first, &length) == 0 && first == 2 && length == 8);
    CHECK_EQ(http_range("bytes=10-", 10, &first, &length), -416);
    CHECK_EQ(http_range("bytes=-0", 10, &first, &length), -416);
    CHECK_EQ(http_range("bytes=3-2", 10, &first, &length), -1);
    CHECK_EQ(http_range("bytes=0-1,3-4", 10, &first, &length), -1);
    CHECK_EQ(http_range("lines=0-1", 10, &first, &length), -1);
    CHECK_EQ(http_range(NULL, 10, &first, &length), -1);
}

/* --- the server --- */

struct rig {
    struct loop *loop;
    struct http_server *server;
    struct http_handler handler;
    struct http_exchange *waiting;
    unsigned requests, gone;
    int client;
};

static size_t body_max(void *ctx, const struct http_exchange *x)
{
    (void)ctx;
    (void)x;
    return 1000;
}

static void on_gone(struct http_exchange *x)
{
    struct rig *rig = x->user;

    rig->gone++;
    rig->waiting = NULL;
}

/* /wait is answered later, all else at once with its own body. */
static void on_request(void *ctx, struct http_exchange *x)
{
    struct rig *rig = ctx;
    struct buf body = {0};

    rig->requests++;
    if (!strcmp(x->head.path, "/wait")) {
        rig->waiting = x;
        x->user = rig;
        x->gone = on_gone;
        return;
    }
    buf_put(&body, x->body, x->body_len);
    http_answer(x, 200, "text/plain", NULL, &body);
}

static bool rig_open(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(sa_family_t);

    *rig = (struct rig){.client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    rig->handler = (struct http_handler){.body_max = body_max, .request = on_request, .ctx = rig};
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4) < 0 ||
        loop_create(&rig->loop) < 0 ||
        http_server_create(rig->loop, fd, true, &rig->handler, &rig->server) < 0)
        return false;
    len = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           connect(rig->client, (struct sockaddr *)&address, len) == 0;
}

static void rig_close(struct rig *rig)
{
    rig->client = close_fd(rig->client);
    http_server_destroy(rig->server);
    loop_destroy(rig->loop);
}

static void settle(struct rig *rig)
{
    while (loop_run_once(rig->loop, 20) > 0)
        continue;
}

static const char *talk(struct rig *rig, const char *request)
{
    static char answer[4096];

    (void)!write(rig->client, request, strlen(request));
    settle(rig);
    ssize_t n = read(rig->client, answer, sizeof answer - 1);
    answer[n > 0 ? n : 0] = '\0';
    return answer;
}

static void answers(void)
{
    struct rig rig;

    REQUIRE(rig_open(&rig));
    CHECK_STR(talk(&rig, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
              "Connection: keep-alive\r\n\r\nhi");
    const char *both =
        talk(&rig, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "1\r\nx\r\n0\r\n\r\nHEAD /b HTTP/1.1\r\nConnection: close\r\n\r\n");
    CHECK(strstr(both, "\r\n\r\nxHTTP/1.1 200 OK\r\n"));
    CHECK_EQ(rig.requests, 3);
    CHECK_EQ(http_server_connections(rig.server), 0);
    rig_close(&rig);
}

static void a_request_waits(void)
{
    struct rig rig;

    REQUIRE(rig_open(&rig));
    CHECK_STR(talk(&rig, "GET /wait HTTP/1.1\r\n\r\n"), "");
    REQUIRE(rig.waiting);
    http_answer_text(rig.waiting, 404, "later");
    CHECK(strstr(talk(&rig, ""), "404 Not Found") != NULL);
    CHECK_STR(talk(&rig, "GET /wait HTTP/1.1\r\n\r\n"), "");
    rig.client = close_fd(rig.client);
    settle(&rig);
    CHECK_EQ(rig.gone, 1); /* the handler is told at once that nobody waits any more */
    CHECK_EQ(http_server_connections(rig.server), 0);
    rig_close(&rig);
}

static void bodies_are_bounded(void)
{
    struct rig rig;

    REQUIRE(rig_open(&rig));
    CHECK(strstr(talk(&rig, "POST /a HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"), "413 "));
    rig_close(&rig);
    REQUIRE(rig_open(&rig));
    (void)talk(&rig, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    char data[1001];
    memset(data, 'x', sizeof data);
    data[1000] = '\0';
    (void)talk(&rig, data);
    CHECK(strstr(talk(&rig, "x"), "413 "));
    CHECK_EQ(rig.requests, 0);
    rig_close(&rig);
}

TAP_MAIN(TAP_CASE(reads_a_head), TAP_CASE(waits_for_the_rest), TAP_CASE(refuses_the_ambiguous),
         TAP_CASE(refuses_bad_targets), TAP_CASE(has_limits), TAP_CASE(takes_chunks_apart),
         TAP_CASE(refuses_bad_chunks), TAP_CASE(reads_ranges), TAP_CASE(answers),
         TAP_CASE(a_request_waits), TAP_CASE(bodies_are_bounded))
