/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/http.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/parse_num.h"
#include "base/range.h"

enum { CONNECT_S = 15 };

/* --- Ctrl-C --- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

void api_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool api_interrupted(void)
{
    bool was = interrupted;

    interrupted = 0;
    return was;
}

/* --- curl's callbacks --- */

struct exchange {
    struct http *http;
    struct http_request *request;
    uint64_t moved;
    int rc; /* our own failure */
};

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    struct http_request *r = x->request;
    size_t len = size * count;
    long status = 0;

    (void)curl_easy_getinfo(x->http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (r->out_fd >= 0 && status / 100 == 2) {
        x->rc = file_write_all(r->out_fd, data, len);
        return x->rc < 0 ? 0 : len;
    }
    if (r->answer.len + len > API_ANSWER_MAX)
        x->rc = -EFBIG;
    else
        buf_put(&r->answer, data, len);
    if (r->answer.failed)
        x->rc = -ENOMEM;
    return x->rc < 0 ? 0 : len;
}

static size_t on_read(char *data, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    size_t len = MIN(size * count, (size_t)(x->request->size - x->moved));
    ssize_t n = read(x->request->in_fd, data, len);

    if (n < 0 || (n == 0 && len)) { /* it became shorter: what was announced cannot be sent */
        x->rc = n < 0 ? -errno : -EIO;
        return CURL_READFUNC_ABORT;
    }
    x->moved += (uint64_t)n;
    return (size_t)n;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    static const char name[] = "vmware-api-session-id:";
    struct exchange *x = ctx;
    size_t len = size * count, at = sizeof name - 1;

    if (len > at && !strncasecmp(data, name, at)) {
        while (at < len && data[at] == ' ')
            at++;
        while (len > at && (data[len - 1] == '\r' || data[len - 1] == '\n'))
            len--;
        (void)snprintf(x->http->session, sizeof x->http->session, "%.*s", (int)(len - at),
                       data + at);
    }
    return size * count;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct exchange *x = ctx;
    const struct api_progress *p = x->request->progress;

    (void)up_total;
    if (p && x->request->in_fd >= 0)
        p->moved(p->ctx, (uint64_t)up, x->request->size);
    else if (p)
        p->moved(p->ctx, (uint64_t)down, (uint64_t)down_total);
    return interrupted;
}

static CURLcode on_ssl_context(CURL *curl, void *ssl_ctx, void *arg)
{
    (void)curl;
    pin_guard(arg, ssl_ctx);
    return CURLE_OK;
}

/* --- one request --- */

static int refused(struct http *http, CURLcode code, struct err *err)
{
    if (http->pin.verdict == PIN_CHANGED)
        return pin_complain(&http->pin, err);
    if (code == CURLE_COULDNT_CONNECT && *http->socket)
        return err_set(err, -ENOTCONN,
                       "no host is up in \"%s\"; \"socle up --root %s\" brings it up", http->name,
                       http->name);
    return err_set(err, -ENOTCONN, "%s: %s", http->name, curl_easy_strerror(code));
}

static int failed(const struct exchange *x, CURLcode code, struct err *err)
{
    if (code == CURLE_ABORTED_BY_CALLBACK && interrupted)
        return err_set(err, -ECANCELED, "cancelled");
    if (x->rc < 0)
        return err_sys(err, x->rc, "%s", x->http->name);
    return refused(x->http, code, err);
}

static struct curl_slist *headers_of(const struct http *http, const struct http_request *request)
{
    char text[160];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    if (request->content_type) {
        (void)snprintf(text, sizeof text, "Content-Type: %s", request->content_type);
        list = curl_slist_append(list, text);
    }
    if (*http->session) {
        (void)snprintf(text, sizeof text, "vmware-api-session-id: %s", http->session);
        list = curl_slist_append(list, text);
    }
    return list;
}

#define SET(option, value) (void)curl_easy_setopt(http->curl, option, value)

/* What is the same for all requests and sockets. */
static void set_connection(struct http *http)
{
    curl_easy_reset(http->curl);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, *http->socket ? "http" : "https");
    SET(CURLOPT_USERAGENT, "socle/" SOCLE_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (*http->socket) {
        SET(CURLOPT_UNIX_SOCKET_PATH, http->socket);
        return;
    }
    /* Who the host is, is for pin.h to say, not for curl. */
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
    SET(CURLOPT_SSL_CTX_DATA, &http->pin);
}

static void set_request(struct http *http, struct exchange *x)
{
    struct http_request *r = x->request;

    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, x);
    SET(CURLOPT_TIMEOUT, r->timeout_s);
    if (r->in_fd >= 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, x);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->size);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, 2L << 20);
    } else if (r->body) {
        SET(CURLOPT_POSTFIELDS, r->body);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->size);
    }
    SET(CURLOPT_CUSTOMREQUEST, r->method);
    if (r->out_fd >= 0)
        SET(CURLOPT_BUFFERSIZE, 512L << 10);
}

static CURLcode perform(struct http *http, struct exchange *x)
{
    char *url = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;

    if (asprintf(&url, "%s%s", http->base, x->request->path) < 0)
        return code;
    struct curl_slist *headers = headers_of(http, x->request);
    set_connection(http);
    set_request(http, x);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_HTTPHEADER, headers);
    code = curl_easy_perform(http->curl);
    (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &x->request->status);
    curl_slist_free_all(headers);
    free(url);
    return code;
}

int http_send(struct http *http, struct http_request *request, struct err *err)
{
    struct exchange x = {.http = http, .request = request};
    CURLcode code = perform(http, &x);

    if (code && http->pin.verdict == PIN_UNKNOWN && !*http->socket) {
        int rc = pin_ask(&http->pin, err);
        if (rc < 0)
            return rc;
        code = perform(http, &x);
    }
    return code ? failed(&x, code, err) : 0;
}

/* --- opening --- */

int http_open_local(struct http *http, const char *root, struct err *err)
{
    *http = (struct http){.folder_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
                          .curl = curl_easy_init()};
    (void)snprintf(http->name, sizeof http->name, "%s", root);
    if (http->folder_fd < 0)
        return err_set(err, errno == EACCES ? -EACCES : -ENOTCONN, "folder \"%s\": %s", root,
                       strerror(errno));
    if (!http->curl)
        return err_sys(err, -ENOMEM, "HTTP");
    (void)snprintf(http->base, sizeof http->base, "http://local");
    /* So that the path fits into a socket's address, wherever the folder is. */
    (void)snprintf(http->socket, sizeof http->socket, "/proc/self/fd/%d/run/local.sock",
                   http->folder_fd);
    if (access(http->socket, F_OK) == 0 && access(http->socket, W_OK) < 0)
        return err_set(err, -EACCES,
                       "the host of \"%s\" is another user's; log in with --url and --user", root);
    return 0;
}

static int split_url(const char *url, char *host, size_t size, unsigned *ret_port, struct err *err)
{
    CURLU *parts = curl_url();
    char *name = NULL, *scheme = NULL, *port = NULL;
    int rc = 0;

    if (!parts || curl_url_set(parts, CURLUPART_URL, url, CURLU_DEFAULT_SCHEME) ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) || strcmp(scheme, "https") != 0 ||
        curl_url_get(parts, CURLUPART_HOST, &name, 0) ||
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) || strlen(name) >= size ||
        parse_unsigned(port, 1, 65535, ret_port) < 0)
        rc = err_set(err, -EINVAL, "\"%s\" is not https://HOST[:PORT]", url);
    else
        (void)snprintf(host, size, "%s", name);
    curl_free(name);
    curl_free(scheme);
    curl_free(port);
    curl_url_cleanup(parts);
    return rc;
}

int http_open_url(struct http *http, const struct api_config *config, const char *url,
                  struct err *err)
{
    char host[250];
    unsigned port;

    *http = (struct http){.folder_fd = -1, .curl = curl_easy_init()};
    if (!http->curl)
        return err_sys(err, -ENOMEM, "HTTP");
    int rc = split_url(url, host, sizeof host, &port, err);
    if (rc < 0)
        return rc;
    (void)snprintf(http->base, sizeof http->base, "https://%s:%u", host, port);
    (void)snprintf(http->name, sizeof http->name, "%s port %u", host, port);
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') { /* as certificates name it */
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
    rc = pin_init(&http->pin, host, port, config->fingerprint, err);
    http->pin.insecure = config->insecure;
    return rc;
}

void http_close(struct http *http)
{
    curl_easy_cleanup(http->curl);
    http->folder_fd = close_fd(http->folder_fd);
    http->curl = NULL;
}

/* --- sockets --- */

struct api_socket {
    struct http http; /* a handle of its own; the descriptor is borrowed */
    int fd;
};

int http_socket(struct http *from, struct api_socket **ret_socket, struct err *err)
{
    struct api_socket *s = calloc(1, sizeof *s);
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (!s)
        return err_sys(err, -ENOMEM, "socket");
    s->http = *from;
    s->http.folder_fd = -1;
    struct http *http = &s->http;
    http->curl = curl_easy_init();
    set_connection(http);
    SET(CURLOPT_URL, http->base);
    SET(CURLOPT_CONNECT_ONLY, 1L);
    CURLcode code = curl_easy_perform(http->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(http->curl, CURLINFO_ACTIVESOCKET, &fd);
    if (code != CURLE_OK) {
        int rc = refused(http, code, err);
        api_socket_close(s);
        return rc;
    }
    s->fd = fd;
    *ret_socket = s;
    return 0;
}

int api_socket_fd(const struct api_socket *socket)
{
    return socket->fd;
}

ssize_t api_socket_read(struct api_socket *socket, void *data, size_t len)
{
    size_t n = 0;
    CURLcode code = curl_easy_recv(socket->http.curl, data, len, &n);

    if (code == CURLE_AGAIN)
        return -EAGAIN;
    return code != CURLE_OK || n == 0 ? -EPIPE : (ssize_t)n;
}

ssize_t api_socket_write(struct api_socket *socket, const void *data, size_t len)
{
    size_t n = 0;
    CURLcode code = curl_easy_send(socket->http.curl, data, len, &n);

    return code == CURLE_AGAIN ? -EAGAIN : code != CURLE_OK ? -EPIPE : (ssize_t)n;
}

void api_socket_close(struct api_socket *socket)
{
    if (!socket)
        return;
    curl_easy_cleanup(socket->http.curl);
    free(socket);
}
