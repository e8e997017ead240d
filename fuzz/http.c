/* SPDX-License-Identifier: Apache-2.0 */
/* A request of any bytes: its head, its cookies and query, its conditions, the handshake of a
 * ticket's path, its body in pieces. However a body is cut into pieces, the same payload comes out
 * of it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "hostd/http/condition.h"
#include "hostd/http/handshake.h"
#include "hostd/http/parse.h"

/* Returns the bytes used, negative when refused. */
static int64_t read_body(const struct http_head *head, const uint8_t *data, size_t size,
                         size_t step, struct buf *out)
{
    struct http_body body;
    size_t at = 0;

    http_body_init(&body, head);
    while (!body.done && at < size) {
        const uint8_t *payload;
        size_t n, give = size - at < step ? size - at : step;
        int64_t used = http_body_next(&body, data + at, give, &payload, &n);
        if (used < 0)
            return used;
        FUZZ_CHECK((size_t)used <= give && n <= give && (n == 0 || payload >= data + at));
        FUZZ_CHECK(used > 0);
        buf_put(out, payload, n);
        at += (size_t)used;
    }
    return (int64_t)at;
}

static void check_body(const struct http_head *head, const uint8_t *data, size_t size)
{
    cleanup_buf struct buf whole = {0}, pieces = {0};
    int64_t a = read_body(head, data, size, size ? size : 1, &whole);
    int64_t b = read_body(head, data, size, 3, &pieces);

    FUZZ_CHECK((a < 0) == (b < 0));
    if (a < 0)
        return;
    FUZZ_CHECK(a == b && whole.len == pieces.len);
    FUZZ_CHECK(!whole.len || !memcmp(whole.data, pieces.data, whole.len));
}

/* Of a file that the seeds know. */
static void check_conditions(const struct http_head *head)
{
    const struct stat st = {.st_ino = 1, .st_size = 10, .st_mtim.tv_sec = 1000000000};
    bool reads = head->method == HTTP_GET || head->method == HTTP_HEAD;
    char lines[HTTP_VALIDATORS_MAX];
    int status = http_condition(head, &st), none = http_condition(head, NULL);

    FUZZ_CHECK(!status || status == 412 || (status == 304 && reads));
    FUZZ_CHECK(!none || none == 412);
    (void)http_range_counts(head, &st);
    http_validators(&st, lines);
    FUZZ_CHECK(!strcmp(lines + strlen(lines) - 2, "\r\n"));
}

/* /ticket/T: what is answered is headers, whole, of one line each. */
static void check_ticket(const struct http_head *head)
{
    char headers[HTTP_HANDSHAKE_MAX];

    if (!http_handshake(head, headers))
        return;
    size_t len = strlen(headers);
    FUZZ_CHECK(head->method == HTTP_GET && len > 2 && !strcmp(headers + len - 2, "\r\n"));
    FUZZ_CHECK(!strstr(headers, "\r\n\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head head;
    uint64_t first, length;
    char value[64], *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    int rc = http_parse_head(text, size, &head);
    FUZZ_CHECK(rc <= (int)size && (rc >= 0 || rc <= -400));
    if (rc > 0) {
        FUZZ_CHECK(head.path[0] == '/' && !strstr(head.path, "/../"));
        FUZZ_CHECK(!(head.chunked && head.has_length));
        (void)http_cookie(&head, "vmware_soap_session", value, sizeof value);
        (void)http_query(head.query, "dsName", value, sizeof value);
        if (http_range(http_header(&head, "Range"), 1000, &first, &length) == 0)
            FUZZ_CHECK(length && first < 1000 && length <= 1000 - first);
        check_conditions(&head);
        check_ticket(&head);
        check_body(&head, data + rc, size - (size_t)rc);
    }
    free(text);
    return 0;
}
