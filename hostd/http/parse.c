/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9112 (messages) and 9110 (fields, ranges), strictly. Not here on purpose: trailers (skipped),
 * several ranges at once (answered with the whole), absolute-form targets (no proxy). */
#include "hostd/http/parse.h"

#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "base/range.h"

static const char *const method_names[HTTP_METHOD_MAX] = {"GET", "HEAD",   "POST",
                                                          "PUT", "DELETE", "OPTIONS"};

static bool is_token_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(char *text, bool plus)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = plus && *in == '+' ? ' ' : *in;
            continue;
        }
        int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);
        if (low < 0 || !(high | low))
            return false;
        *out++ = (char)(high << 4 | low);
        in += 2;
    }
    *out = '\0';
    return true;
}

/* No element of the path may be "." or "..". */
static bool path_is_plain(const char *path)
{
    for (const char *at = path; *at == '/'; at += strcspn(at, "/")) {
        size_t len = strcspn(++at, "/");
        if ((len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return false;
    }
    return true;
}

static int parse_target(const char *target, struct http_head *head)
{
    size_t len = strcspn(target, "?");

    if (len >= sizeof head->path)
        return -414;
    memcpy(head->path, target, len);
    head->path[len] = '\0';
    head->target = target;
    head->query = target[len] ? target + len + 1 : target + len;
    return *target == '/' && http_unescape(head->path, false) && path_is_plain(head->path) ? 0
                                                                                           : -400;
}

static int parse_request_line(char *line, struct http_head *head)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version)
        return -400;
    *target++ = '\0';
    *version++ = '\0';
    for (const char *c = line; *c; c++)
        if (!is_token_char((unsigned char)*c))
            return -400;
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return -400;
    if (strncmp(version, "HTTP/1.", 7) || (strcmp(version + 7, "0") && strcmp(version + 7, "1")))
        return strncmp(version, "HTTP/", 5) ? -400 : -505;
    head->http10 = version[7] == '0';
    head->method = HTTP_METHOD_MAX;
    for (unsigned i = 0; i < HTTP_METHOD_MAX; i++)
        if (!strcmp(line, method_names[i]))
            head->method = (enum http_method)i;
    return *line ? parse_target(target, head) : -400;
}

static int parse_field(char *line, struct http_head *head)
{
    char *colon = strchr(line, ':');

    if (!colon || colon == line)
        return -400;
    if (head->header_count == HTTP_HEADERS_MAX)
        return -431;
    for (const char *c = line; c < colon; c++)
        if (!is_token_char((unsigned char)*c))
            return -400;
    *colon++ = '\0';
    colon += strspn(colon, " \t");
    size_t len = strlen(colon);
    while (len && (colon[len - 1] == ' ' || colon[len - 1] == '\t'))
        len--;
    colon[len] = '\0';
    for (const char *c = colon; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return -400;
    head->header[head->header_count].name = line;
    head->header[head->header_count++].value = colon;
    return 0;
}

/* Is `word` one of the comma-separated words of `list`? */
static bool has_word(const char *list, const char *word)
{
    size_t want = strlen(word);

    while (list && *list) {
        list += strspn(list, " \t,");
        size_t len = strcspn(list, " \t,;");
        if (len == want && !strncasecmp(list, word, len))
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

static int parse_length(const char *text, struct http_head *head)
{
    for (const char *c = text; *c; c++)
        if (*c < '0' || *c > '9')
            return -400;
    if (head->has_length || parse_u64(text, 0, INT64_MAX, &head->length) < 0)
        return -400;
    head->has_length = true;
    return 0;
}

/* What the fields say about the message itself. */
static int interpret(struct http_head *head)
{
    const char *connection = http_header(head, "Connection"), *expect;
    unsigned encodings = 0;

    for (unsigned i = 0; i < head->header_count; i++) {
        const char *name = head->header[i].name, *value = head->header[i].value;
        if (!strcasecmp(name, "Content-Length") && parse_length(value, head) < 0)
            return -400;
        if (strcasecmp(name, "Transfer-Encoding"))
            continue;
        if (encodings++ || strcasecmp(value, "chunked"))
            return -501;
        head->chunked = true;
    }
    if (head->chunked && (head->has_length || head->http10))
        return -400;
    head->keep_alive =
        head->http10 ? has_word(connection, "keep-alive") : !has_word(connection, "close");
    expect = http_header(head, "Expect");
    head->expect_continue = expect && !strcasecmp(expect, "100-continue") && !head->http10;
    return 0;
}

/* Cuts the line at `at`: its text, and where the next one begins. NULL for a bare CR or LF. */
static char *cut_line(char *at, char *end, char **ret_next)
{
    char *lf = memchr(at, '\n', (size_t)(end - at));

    if (!lf || lf == at || lf[-1] != '\r' || memchr(at, '\r', (size_t)(lf - 1 - at)) ||
        memchr(at, '\0', (size_t)(lf - at)))
        return NULL;
    lf[-1] = '\0';
    *ret_next = lf + 1;
    return at;
}

int http_parse_head(char *data, size_t len, struct http_head *ret_head)
{
    struct http_head head = {0};
    size_t skip = 0;

    while (len - skip >= 2 && data[skip] == '\r' && data[skip + 1] == '\n' && skip < 8)
        skip += 2; /* RFC 9112 2.2: a blank line before the request */
    char *end = memmem(data + skip, len - skip, "\r\n\r\n", 4), *next;
    if (!end)
        return len > HTTP_HEAD_MAX ? -431 : 0;
    end += 4;
    if ((size_t)(end - data) > HTTP_HEAD_MAX)
        return -431;
    char *line = cut_line(data + skip, end, &next);
    int rc = line ? parse_request_line(line, &head) : -400;
    while (rc == 0 && (line = cut_line(next, end, &next)) && *line)
        rc = parse_field(line, &head);
    if (rc == 0 && !line)
        rc = -400;
    if (rc == 0)
        rc = interpret(&head);
    if (rc < 0)
        return rc;
    *ret_head = head;
    return (int)(end - data);
}

const char *http_header(const struct http_head *head, const char *name)
{
    for (unsigned i = 0; i < head->header_count; i++)
        if (!strcasecmp(head->header[i].name, name))
            return head->header[i].value;
    return NULL;
}

static bool copy_value(const char *from, size_t len, char *value, size_t size)
{
    if (len >= size)
        return false;
    memcpy(value, from, len);
    value[len] = '\0';
    return true;
}

/* RFC 6265 4.2.1, and the quotes that some clients put around a value. */
static bool cookie_of(const char *list, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);

    while (*list) {
        list += strspn(list, " \t;");
        size_t len = strcspn(list, ";");
        const char *at = list + name_len + 1;
        list += len;
        if (len <= name_len || strncmp(at - name_len - 1, name, name_len) || at[-1] != '=')
            continue;
        len -= name_len + 1;
        while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
            len--;
        if (len >= 2 && at[0] == '"' && at[len - 1] == '"')
            return copy_value(at + 1, len - 2, value, size);
        return copy_value(at, len, value, size);
    }
    return false;
}

bool http_cookie(const struct http_head *head, const char *name, char *value, size_t size)
{
    for (unsigned i = 0; i < head->header_count; i++)
        if (!strcasecmp(head->header[i].name, "Cookie") &&
            cookie_of(head->header[i].value, name, value, size))
            return true;
    return false;
}

bool http_query(const char *query, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);

    while (*query) {
        size_t len = strcspn(query, "&;");
        if (len > name_len && query[name_len] == '=' && !strncmp(query, name, name_len))
            return copy_value(query + name_len + 1, len - name_len - 1, value, size) &&
                   http_unescape(value, true);
        query += len;
        query += *query != '\0';
    }
    return false;
}

/* --- bodies --- */

enum {
    CHUNK_SIZE,
    CHUNK_EXT,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR, /* behind the data */
    CHUNK_LF,
    TRAILER,
    TRAILER_LF,
    TRAILER_LINE,
};

void http_body_init(struct http_body *body, const struct http_head *head)
{
    *body = (struct http_body){.chunked = head->chunked, .left = head->length};
    body->done = !head->chunked && !head->length;
}

/* In the line that says a chunk's size. */
static bool size_byte(struct http_body *body, uint8_t c)
{
    int digit = hex_digit((char)c);

    if (digit >= 0 && body->left >> 52)
        return false;
    if (digit >= 0)
        body->left = body->left << 4 | (unsigned)digit;
    else if (body->line < 2) /* not one digit before it */
        return false;
    else if (c == ';' || c == ' ' || c == '\t')
        body->state = CHUNK_EXT;
    else if (c == '\r')
        body->state = CHUNK_SIZE_LF;
    else
        return false;
    return true;
}

/* One byte of framing; false: it is none. */
static bool framing_byte(struct http_body *body, uint8_t c)
{
    if (++body->line > HTTP_CHUNK_LINE_MAX)
        return false;
    switch (body->state) {
    case CHUNK_SIZE:
        return size_byte(body, c);
    case CHUNK_EXT:
        if (c == '\r')
            body->state = CHUNK_SIZE_LF;
        return c != '\n';
    case CHUNK_SIZE_LF:
        body->state = body->left ? CHUNK_DATA : TRAILER;
        body->line = 0;
        return c == '\n';
    case CHUNK_CR:
        body->state = CHUNK_LF;
        return c == '\r';
    case CHUNK_LF:
        body->state = CHUNK_SIZE;
        body->line = 0;
        return c == '\n';
    case TRAILER: /* at a line's start: CR LF ends the body */
        body->state = c == '\r' ? TRAILER_LF : TRAILER_LINE;
        return c != '\n';
    case TRAILER_LF:
        body->done = true;
        return c == '\n';
    default:
        if (c == '\n') {
            body->state = TRAILER;
            body->line = 0;
        }
        return true;
    }
}

int64_t http_body_next(struct http_body *body, const uint8_t *data, size_t len,
                       const uint8_t **ret_payload, size_t *ret_len)
{
    size_t at = 0;

    *ret_len = 0;
    *ret_payload = data;
    while (body->chunked && !body->done && body->state != CHUNK_DATA && at < len)
        if (!framing_byte(body, data[at++]))
            return -400;
    if (body->done || (body->chunked && body->state != CHUNK_DATA))
        return (int64_t)at;
    size_t n = (size_t)MIN((uint64_t)(len - at), body->left);
    *ret_payload = data + at;
    *ret_len = n;
    body->left -= n;
    if (!body->left && body->chunked) {
        body->state = CHUNK_CR;
        body->line = 0;
    } else if (!body->left) {
        body->done = true;
    }
    return (int64_t)(at + n);
}

/* RFC 9110 14.1.2. A range that is no range is ignored, as the standard says. */
int http_range(const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
    char first[24], last[24];
    uint64_t a = 0, b = UINT64_MAX;

    if (!value || strncasecmp(value, "bytes=", 6) || strchr(value, ','))
        return -1;
    value += 6 + strspn(value + 6, " ");
    const char *dash = strchr(value, '-');
    if (!dash || !copy_value(value, (size_t)(dash - value), first, sizeof first) ||
        !copy_value(dash + 1, strlen(dash + 1), last, sizeof last) || (!*first && !*last))
        return -1;
    if ((*first && parse_u64(first, 0, INT64_MAX, &a) < 0) ||
        (*last && parse_u64(last, 0, INT64_MAX, &b) < 0))
        return -1;
    if (!*first) { /* the last b bytes */
        if (!b || !size)
            return -416;
        a = size - MIN(b, size);
        b = size - 1;
    }
    if (a > b)
        return -1;
    if (a >= size)
        return -416;
    *ret_first = a;
    *ret_length = MIN(b, size - 1) - a + 1;
    return 0;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}
