/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberately missing: resuming an upload. */
#include "hostd/datastore/folder_http.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/datastore.h"
#include "hostd/perm/perm.h"
#include "hostd/session/http_login.h"

enum { CHUNK = 256 << 10 };

/* --- the transfer, on a thread of its own --- */

struct transfer {
    int dir_fd; /* the datastore's, ours */
    char rel[DSPATH_MAX];
    char title[DSPATH_MAX + 128];
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

static void put_escaped(struct buf *out, const char *text, bool url)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-_.", c);
        if (url && !plain)
            buf_printf(out, "%%%02X", c);
        else if (strchr("<>&\"'", c))
            buf_printf(out, "&#%u;", c);
        else
            buf_put_u8(out, c);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct dirent *const *)a)->d_name, (*(struct dirent *const *)b)->d_name);
}

static void send_listing(struct http_stream *stream, struct transfer *t, int fd)
{
    cleanup_buf struct buf page = {0};
    struct dirent **list;
    struct stat st;
    int count = scandirat(fd, ".", &list, NULL, NULL);

    if (count < 0) {
        fail(stream, -errno);
        return;
    }
    qsort(list, (size_t)count, sizeof *list, by_name);
    buf_put_str(&page, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Index of ");
    put_escaped(&page, t->title, false);
    buf_put_str(&page, "</title></head><body><table>\n");
    for (int i = 0; i < count; i++) {
        if (list[i]->d_name[0] != '.' &&
            fstatat(fd, list[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            const char *slash = S_ISDIR(st.st_mode) ? "/" : "";
            buf_put_str(&page, "<tr><td><a href=\"");
            put_escaped(&page, strrchr(t->title, '/') + 1, true);
            put_escaped(&page, list[i]->d_name, true);
            buf_printf(&page, "%s\">", slash);
            put_escaped(&page, list[i]->d_name, false);
            buf_printf(&page, "%s</a></td><td>%lld</td></tr>\n", slash, (long long)st.st_size);
        }
        free(list[i]);
    }
    free(list);
    buf_put_str(&page, "</table></body></html>\n");
    if (http_stream_head(stream, 200, "text/html; charset=utf-8", NULL, page.len) == 0)
        (void)http_stream_write(stream, page.data, page.len);
}

static void send_file(struct http_stream *stream, int fd, const struct stat *st)
{
    const char *range = http_header(http_stream_request(stream), "Range");
    uint64_t size = (uint64_t)st->st_size, first = 0, length = size;
    char headers[160];
    int rc = http_range(range, size, &first, &length);

    if (rc == -416) {
        (void)snprintf(headers, sizeof headers, "Content-Range: bytes */%llu\r\n",
                       (unsigned long long)size);
        (void)http_stream_head(stream, 416, NULL, headers, 0);
        return;
    }
    if (rc < 0) {
        first = 0;
        length = size;
    }
    int at = snprintf(headers, sizeof headers, "Accept-Ranges: bytes\r\n");
    if (rc == 0)
        (void)snprintf(headers + at, sizeof headers - (size_t)at,
                       "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)first,
                       (unsigned long long)(first + length - 1), (unsigned long long)size);
    if (http_stream_head(stream, rc == 0 ? 206 : 200, "application/octet-stream", headers,
                         length) == 0)
        (void)http_stream_sendfile(stream, fd, first, length);
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
        send_file(stream, fd, &st);
    else
        (void)http_stream_answer(stream, 403, "not a file\n");
}

static int receive(struct http_stream *stream, int fd)
{
    cleanup_free uint8_t *data = malloc(CHUNK);
    ssize_t n = data ? 1 : -ENOMEM;

    while (n > 0) {
        n = http_stream_read(stream, data, CHUNK);
        int rc = n > 0 ? file_write_all(fd, data, (size_t)n) : 0;
        if (rc < 0)
            return rc;
    }
    return (int)n;
}

/* Into a new file beside it, which takes its place when all of it is there: who reads meanwhile
 * reads the old one. */
static int store(struct http_stream *stream, struct transfer *t, bool *ret_new)
{
    char beside[DSPATH_MAX + 16];
    const char *last;
    struct stat st;
    int rc = dspath_make_parents(t->dir_fd, t->rel);

    if (rc < 0)
        return rc;
    cleanup_fd int parent = dspath_open_parent(t->dir_fd, t->rel, &last);
    if (parent < 0)
        return parent;
    bool there = fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISREG(st.st_mode))
        return -EACCES;
    (void)snprintf(beside, sizeof beside, ".%.200s.upload-%08lx", last, (unsigned long)random());
    cleanup_fd int fd = openat(parent, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    rc = receive(stream, fd);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc == 0 && renameat(parent, beside, parent, last) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlinkat(parent, beside, 0);
    *ret_new = !there;
    return rc;
}

static void put(struct http_stream *stream, struct transfer *t)
{
    bool is_new = false;
    int rc = *t->rel ? store(stream, t, &is_new) : -EACCES;

    if (rc < 0)
        fail(stream, rc);
    else
        (void)http_stream_head(stream, is_new ? 201 : 200, NULL, NULL, 0);
}

static void delete (struct http_stream *stream, struct transfer *t)
{
    struct stat st;
    int rc = dspath_stat(t->dir_fd, t->rel, &st);

    if (rc == 0 && !S_ISREG(st.st_mode)) {
        (void)http_stream_head(stream, 405, NULL, "Allow: GET, HEAD\r\n", 0);
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

static void list_datastores(struct hostd *hostd, struct http_exchange *x)
{
    struct buf page = {0};

    buf_put_str(&page, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Datastores"
                       "</title></head><body><table>\n");
    for (struct entity *e = NULL;
         (e = inventory_next(hostd->inventory, VIM_MANAGED(Datastore), e));) {
        buf_put_str(&page, "<tr><td><a href=\"/folder/?dcPath=ha-datacenter&amp;dsName=");
        put_escaped(&page, e->name, true);
        buf_put_str(&page, "\">");
        put_escaped(&page, e->name, false);
        buf_put_str(&page, "</a></td></tr>\n");
    }
    buf_put_str(&page, "</table></body></html>\n");
    http_answer(x, 200, "text/html; charset=utf-8", NULL, &page);
}

static void start(struct hostd *hostd, struct http_exchange *x, const char *user)
{
    bool reads = x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
    char name[DSPATH_NAME_MAX + 1];

    if (!http_query(x->head.query, "dsName", name, sizeof name)) {
        if (reads)
            list_datastores(hostd, x);
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
    (void)snprintf(t->title, sizeof t->title, "/folder/%s/", t->rel);
    t->dir_fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3);
    http_transfer(x, run, transfer_free, t);
}

void folder_http_serve(struct hostd *hostd, struct http_exchange *x)
{
    http_login(hostd, x, start);
}
