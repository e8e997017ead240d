/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/folder_http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "base/utf8.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/folder_page.h"
#include "hostd/datastore/upload.h"
#include "hostd/http/condition.h"
#include "hostd/model/datastore.h"
#include "hostd/perm/perm.h"
#include "hostd/session/http_login.h"

enum { RANGES_MAX = 16 };
#define BOUNDARY "socle-byteranges"

/* --- the transfer, on a thread of its own --- */

struct transfer {
    int dir_fd; /* the datastore's, ours */
    char datastore[ENTITY_ID_MAX];
    char rel[DSPATH_MAX];
    char name[DSPATH_NAME_MAX + 1]; /* the datastore's */
    bool may_write;
};

static void transfer_free(void *arg)
{
    struct transfer *t = arg;

    (void)close_fd(t->dir_fd);
    free(t);
}

static int status_of(int rc)
{
    switch (-rc) {
    case ENOENT:
    case ENOTDIR:
        return 404;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
    case EROFS:
        return 403;
    case ENOSPC:
    case EDQUOT:
        return 507;
    case ENAMETOOLONG:
    case EINVAL:
    case EBADMSG:
        return 400;
    case EBUSY:
        return 409;
    default:
        return 500;
    }
}

/* What answers an upload has no body: libvirt 9 writes one to where its last request's was. */
static void fail(struct http_stream *stream, int rc)
{
    char text[128] = "";

    if (http_stream_request(stream)->method != HTTP_PUT)
        (void)snprintf(text, sizeof text, "%s\n", strerror(-rc));
    (void)http_stream_answer(stream, status_of(rc), text);
}

static void send_listing(struct http_stream *stream, struct transfer *t, int fd)
{
    cleanup_buf struct buf page = {0};
    int rc = folder_page(&page, fd, t->name, t->rel);

    if (rc < 0)
        fail(stream, rc);
    else if (http_stream_head(stream, 200, "text/html; charset=utf-8", NULL, page.len) == 0)
        (void)http_stream_write(stream, page.data, page.len);
}

/* --- several ranges at once (RFC 9110, 14.6) --- */

struct ranges {
    unsigned count;
    struct {
        uint64_t first, length;
        char head[160];
    } range[RANGES_MAX];
    uint64_t total; /* of the answer's body */
};

/* False: it is no list, or one that is not worth its parts; the file is sent as if not asked. */
static bool read_ranges(const char *value, uint64_t size, struct ranges *ret_ranges)
{
    struct ranges r = {.total = strlen("\r\n--" BOUNDARY "--\r\n")};
    uint64_t sum = 0;

    for (const char *at = strchr(value, '=') + 1; *at;) {
        size_t len = strcspn(at, ",");
        char one[64];
        if (r.count == RANGES_MAX || len > 48)
            return false;
        (void)snprintf(one, sizeof one, "bytes=%.*s", (int)(len - strspn(at, " ")),
                       at + strspn(at, " "));
        uint64_t *first = &r.range[r.count].first, *length = &r.range[r.count].length;
        int rc = http_range(one, size, first, length);
        if (rc == -1)
            return false;
        if (rc == 0) {
            int n = snprintf(r.range[r.count].head, sizeof r.range->head,
                             "\r\n--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n"
                             "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
                             (unsigned long long)*first, (unsigned long long)(*first + *length - 1),
                             (unsigned long long)size);
            r.total += (uint64_t)n + *length;
            sum += *length;
            r.count++;
        }
        at += len + (at[len] == ',');
    }
    *ret_ranges = r;
    return r.count && sum <= size;
}

static void send_ranges(struct http_stream *stream, int fd, const struct ranges *r,
                        const char *headers)
{
    static const char end[] = "\r\n--" BOUNDARY "--\r\n";
    int rc = http_stream_head(stream, 206, "multipart/byteranges; boundary=" BOUNDARY, headers,
                              r->total);

    for (unsigned i = 0; i < r->count && rc == 0; i++) {
        rc = http_stream_write(stream, r->range[i].head, strlen(r->range[i].head));
        if (rc == 0)
            rc = http_stream_sendfile(stream, fd, r->range[i].first, r->range[i].length);
    }
    if (rc == 0)
        (void)http_stream_write(stream, end, sizeof end - 1);
}

static void send_file(struct http_stream *stream, int fd, const struct stat *st)
{
    const struct http_head *head = http_stream_request(stream);
    const char *range = http_range_counts(head, st) ? http_header(head, "Range") : NULL;
    struct ranges several;
    uint64_t size = (uint64_t)st->st_size, first = 0, length = size;
    char headers[HTTP_VALIDATORS_MAX + 160];
    int rc = http_range(range, size, &first, &length);

    http_validators(st, headers);
    size_t at = strlen(headers);
    at += (size_t)snprintf(headers + at, sizeof headers - at, "Accept-Ranges: bytes\r\n");
    if (range && strchr(range, ',') && !strncmp(range, "bytes=", 6) &&
        read_ranges(range, size, &several)) {
        send_ranges(stream, fd, &several, headers);
        return;
    }
    if (rc == -416) {
        (void)snprintf(headers + at, sizeof headers - at, "Content-Range: bytes */%llu\r\n",
                       (unsigned long long)size);
        (void)http_stream_head(stream, 416, NULL, headers, 0);
        return;
    }
    if (rc < 0) {
        first = 0;
        length = size;
    }
    if (rc == 0)
        (void)snprintf(headers + at, sizeof headers - at, "Content-Range: bytes %llu-%llu/%llu\r\n",
                       (unsigned long long)first, (unsigned long long)(first + length - 1),
                       (unsigned long long)size);
    if (http_stream_head(stream, rc == 0 ? 206 : 200, "application/octet-stream", headers,
                         length) == 0)
        (void)http_stream_sendfile(stream, fd, first, length);
}

/* A program on this machine, with all rights, which says so: it can copy by itself. */
static bool wants_descriptor(const struct http_stream *stream)
{
    const struct http_head *head = http_stream_request(stream);

    return http_stream_local(stream) && head->method == HTTP_GET &&
           http_header(head, FOLDER_DESCRIPTOR);
}

/* 304 has what the client's copy was found by, and no body. */
static void send_unless(struct http_stream *stream, int fd, const struct stat *st)
{
    char headers[HTTP_VALIDATORS_MAX];
    int status = http_condition(http_stream_request(stream), st);

    http_validators(st, headers);
    if (status)
        (void)http_stream_head(stream, status, NULL, headers, 0);
    else if (wants_descriptor(stream))
        (void)http_stream_give(stream, 200, FOLDER_DESCRIPTOR ": 1\r\n", fd);
    else
        send_file(stream, fd, st);
}

static void get(struct http_stream *stream, struct transfer *t)
{
    struct stat st;
    cleanup_fd int fd = dspath_open(t->dir_fd, t->rel, O_RDONLY | O_NONBLOCK, 0);

    if (fd < 0 || fstat(fd, &st) < 0)
        fail(stream, fd < 0 ? fd : -errno);
    else if (S_ISDIR(st.st_mode))
        send_listing(stream, t, fd);
    else if (S_ISREG(st.st_mode))
        send_unless(stream, fd, &st);
    else
        (void)http_stream_answer(stream, 403, "not a file\n");
}

/* A part that is not the last is 202; Range says what is there, as a GET's answer would. */
static void answer_part(struct http_stream *stream, int rc, const struct upload *upload)
{
    char headers[80] = "";

    if (rc == -ERANGE)
        (void)snprintf(headers, sizeof headers, "Content-Range: bytes */%llu\r\n",
                       (unsigned long long)upload->have);
    else if (upload->have)
        (void)snprintf(headers, sizeof headers, "Range: bytes=0-%llu\r\n",
                       (unsigned long long)upload->have - 1);
    (void)http_stream_head(stream, rc == -ERANGE ? 416 : 202, NULL, headers, 0);
}

static int check_condition(struct http_stream *stream, struct transfer *t)
{
    struct stat st;
    bool there = dspath_stat(t->dir_fd, t->rel, &st) == 0;

    return http_condition(http_stream_request(stream), there ? &st : NULL);
}

/* A file whose name the API could not say would be seen by nobody. */
static bool sayable(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            return false;
    return utf8_valid(name);
}

static void put(struct http_stream *stream, struct transfer *t)
{
    struct upload upload = {0};
    int status = check_condition(stream, t);

    if (status) {
        (void)http_stream_head(stream, status, NULL, NULL, 0);
        return;
    }
    int rc = !*t->rel           ? -EACCES
             : !sayable(t->rel) ? -EINVAL
                                : upload_store(stream, t->datastore, t->dir_fd, t->rel, &upload);

    if (rc == -ERANGE || (rc == 0 && !upload.whole))
        answer_part(stream, rc, &upload);
    else if (rc < 0)
        fail(stream, rc);
    else
        (void)http_stream_head(stream, upload.is_new ? 201 : 200, NULL, NULL, 0);
}

static void delete (struct http_stream *stream, struct transfer *t)
{
    struct stat st;
    int rc = dspath_stat(t->dir_fd, t->rel, &st);

    if (rc == 0 && !S_ISREG(st.st_mode)) {
        (void)http_stream_head(stream, 405, NULL, "Allow: GET, HEAD\r\n", 0);
        return;
    }
    int status = rc == 0 ? check_condition(stream, t) : 0;
    if (status) {
        (void)http_stream_head(stream, status, NULL, NULL, 0);
        return;
    }
    if (rc == 0)
        rc = dspath_remove(t->dir_fd, t->rel);
    if (rc < 0)
        fail(stream, rc);
    else
        (void)http_stream_head(stream, 204, NULL, NULL, 0);
}

static void run(struct http_stream *stream, void *arg)
{
    struct transfer *t = arg;

    switch (http_stream_request(stream)->method) {
    case HTTP_GET:
    case HTTP_HEAD:
        get(stream, t);
        break;
    case HTTP_PUT:
    case HTTP_POST:
        put(stream, t);
        break;
    case HTTP_DELETE:
        delete (stream, t);
        break;
    default:
        (void)http_stream_head(stream, 405, NULL, "Allow: GET, HEAD, PUT, POST, DELETE\r\n", 0);
    }
    transfer_free(t);
}

/* --- the request --- */

static void list_datastores(struct hostd *hostd, struct http_exchange *x, const char *user)
{
    struct buf page = {0};

    folder_page_begin(&page, "Datastores");
    for (struct entity *e = NULL;
         (e = inventory_next(hostd->inventory, VIM_MANAGED(Datastore), e));)
        if (entity_allows(hostd, user, e, "System.View"))
            folder_page_datastore(&page, e->name);
    folder_page_end(&page);
    http_answer(x, 200, "text/html; charset=utf-8", NULL, &page);
}

static void start(struct hostd *hostd, struct http_exchange *x, const char *user)
{
    bool reads = x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
    char name[DSPATH_NAME_MAX + 1];

    if (!http_query(x->head.query, "dsName", name, sizeof name)) {
        if (reads && (!strcmp(x->head.path, "/folder") || !strcmp(x->head.path, "/folder/")))
            list_datastores(hostd, x, user);
        else
            http_answer_text(x, 400, "dsName is missing");
        return;
    }
    struct datastore *datastore = datastore_find(hostd->inventory, name);
    if (!datastore || !entity_allows(hostd, user, &datastore->e, "System.View")) {
        http_answer_text(x, 404, "there is no such datastore");
        return;
    }
    if (!entity_allows(hostd, user, &datastore->e,
                       reads ? "Datastore.Browse" : "Datastore.FileManagement")) {
        http_answer_text(x, 403, "Permission to perform this operation was denied.");
        return;
    }
    struct transfer *t = calloc(1, sizeof *t);
    if (!t || !dspath_normalize(x->head.path + strlen("/folder"), t->rel)) {
        free(t);
        http_answer_text(x, 400, "not a path");
        return;
    }
    (void)snprintf(t->name, sizeof t->name, "%s", datastore->e.name);
    (void)snprintf(t->datastore, sizeof t->datastore, "%s", datastore->e.id);
    t->dir_fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3);
    http_transfer(x, run, transfer_free, t);
}

void folder_http_serve(struct hostd *hostd, struct http_exchange *x)
{
    http_login(hostd, x, start);
}
