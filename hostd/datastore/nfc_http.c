/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/nfc_http.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/model/nfc_lease.h"

enum { CHUNK = 256 << 10, SNIFF = 4, NVRAM_MAX = 16 << 20 };
_Static_assert((int)NFC_PATH_TOKEN == (int)NFC_TOKEN_TEXT, "one secret");

/* One transfer, on its thread. */
struct transfer {
    struct nfc_lease *lease;
    struct nfc_device *device;
    EVP_MD_CTX *sha1, *sha256;
    uint64_t bytes;             /* on the wire */
    struct http_stream *stream; /* of an export */
    uint8_t *out;               /* CHUNK; collected for the wire */
    size_t out_len;
    struct err err;
};

static void transfer_free(struct transfer *t)
{
    EVP_MD_CTX_free(t->sha1);
    EVP_MD_CTX_free(t->sha256);
    free(t->out);
    free(t);
}

static struct transfer *transfer_new(struct nfc_lease *lease, struct nfc_device *device)
{
    struct transfer *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    *t = (struct transfer){.lease = lease,
                           .device = device,
                           .sha1 = EVP_MD_CTX_new(),
                           .sha256 = EVP_MD_CTX_new(),
                           .out = malloc(CHUNK)};
    if (t->sha1 && t->sha256 && t->out && EVP_DigestInit_ex(t->sha1, EVP_sha1(), NULL) &&
        EVP_DigestInit_ex(t->sha256, EVP_sha256(), NULL))
        return t;
    transfer_free(t);
    return NULL;
}

static void count(struct transfer *t, const void *data, size_t len)
{
    (void)EVP_DigestUpdate(t->sha1, data, len);
    (void)EVP_DigestUpdate(t->sha256, data, len);
    t->bytes += len;
}

static void put_hex(EVP_MD_CTX *digest, char *text)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    (void)EVP_DigestFinal_ex(digest, sum, &len);
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", sum[i]);
}

static void finish(struct transfer *t, bool whole, uint64_t populated)
{
    struct nfc_sums sums;

    put_hex(t->sha1, sums.sha1);
    put_hex(t->sha256, sums.sha256);
    nfc_transfer_end(t->lease, t->device, whole ? &sums : NULL, t->bytes, populated);
}

/* --- in --- */

/* What the first bytes say; the rest of them is in t->out. */
static int read_first(struct transfer *t, struct http_stream *stream, bool *ret_raw)
{
    while (t->out_len < SNIFF) {
        ssize_t n = http_stream_read(stream, t->out + t->out_len, CHUNK - t->out_len);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return err_set(&t->err, -EUCLEAN, "nothing was sent");
        t->out_len += (size_t)n;
    }
    if (t->out[0] == 0x1f && t->out[1] == 0x8b)
        return err_set(&t->err, -ENOTSUP, "the image is compressed as a whole");
    *ret_raw = memcmp(t->out, "KDMV", SNIFF) != 0;
    return 0;
}

static int take_in(struct transfer *t, struct http_stream *stream, struct disk_intake *intake,
                   uint64_t *ret_populated)
{
    ssize_t n = (ssize_t)t->out_len;
    int rc = 0;

    while (n > 0 && rc == 0) {
        count(t, t->out, (size_t)n);
        rc = disk_intake_put(intake, t->out, (size_t)n, &t->err);
        if (rc == 0)
            rc = nfc_transfer_progress(t->lease, t->device, t->bytes, disk_intake_at(intake));
        if (rc == 0)
            n = http_stream_read(stream, t->out, CHUNK);
    }
    rc = rc < 0 ? rc : n < 0 ? (int)n : 0;
    return rc < 0 ? rc : disk_intake_end(intake, ret_populated, &t->err);
}

/* A second attempt finds a disk with the first one's bytes. */
static int fill(struct transfer *t, struct http_stream *stream, uint64_t *ret_populated)
{
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct disk_intake *intake = NULL;
    bool raw = false;
    int rc = placed_disk_prepare(&p, &t->device->place, &t->err);

    if (rc == 0)
        rc = disk_wipe(&p.dir.host, p.name, p.aio, NULL, NULL, &t->err);
    placed_disk_close(&p);
    if (rc == 0)
        rc = placed_disk_open(&p, &t->device->place, 0, &t->err);
    if (rc == 0)
        rc = read_first(t, stream, &raw);
    if (rc == 0)
        rc = disk_intake_create(p.disk, raw, &intake);
    if (rc == 0)
        rc = take_in(t, stream, intake, ret_populated);
    disk_intake_destroy(intake);
    return rc;
}

/* --- in, byte by byte --- */

static int open_file(struct transfer *t, int flags)
{
    const char *last;
    cleanup_fd int parent = dspath_open_parent(t->device->place.fd, t->device->place.rel, &last);
    int fd = parent < 0 ? parent : openat(parent, last, flags | O_NOFOLLOW | O_CLOEXEC, 0600);

    fd = parent >= 0 && fd < 0 ? -errno : fd;
    return fd < 0 ? err_sys(&t->err, fd, "%s", t->device->place.text) : fd;
}

static int put_bytes(struct transfer *t, int fd, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, t->out + at, len - at);
        if (n < 0 && errno != EINTR)
            return err_sys(&t->err, -errno, "%s", t->device->place.text);
        at += n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

static int take_bytes(struct transfer *t, struct http_stream *stream, int fd)
{
    uint64_t most = t->device->what == NFC_NVRAM ? NVRAM_MAX : INT64_MAX;
    ssize_t n = 0;
    int rc = 0;

    while (rc == 0 && (n = http_stream_read(stream, t->out, CHUNK)) > 0) {
        count(t, t->out, (size_t)n);
        rc = t->bytes > most ? err_set(&t->err, -EFBIG, "%s: too large", t->device->place.text)
                             : put_bytes(t, fd, (size_t)n);
        if (rc == 0)
            rc = nfc_transfer_progress(t->lease, t->device, t->bytes, 0);
    }
    rc = rc < 0 ? rc : n < 0 ? (int)n : 0;
    if (rc == 0 && fsync(fd) < 0)
        rc = err_sys(&t->err, -errno, "%s", t->device->place.text);
    return rc;
}

/* Of another product: a VM starts with variables of its own then. */
static bool is_foreign(int fd)
{
    uint8_t head[44];

    return pread(fd, head, sizeof head, 0) != sizeof head || memcmp(head + 40, "_FVH", 4) != 0;
}

static int fill_file(struct transfer *t, struct http_stream *stream)
{
    cleanup_fd int fd = open_file(t, O_RDWR | O_CREAT | O_TRUNC);
    int rc = fd < 0 ? fd : take_bytes(t, stream, fd);

    if (fd >= 0 && (rc < 0 || (t->device->what == NFC_NVRAM && is_foreign(fd))))
        (void)dspath_remove(t->device->place.fd, t->device->place.rel);
    return rc;
}

static int status_of(int rc)
{
    switch (-rc) {
    case EUCLEAN:
    case EFBIG:
        return 400;
    case ENOTSUP:
        return 415;
    case ENOSPC:
    case EDQUOT:
        return 507;
    case EBUSY:
    case ECANCELED:
        return 409;
    default:
        return 500;
    }
}

static void receive(struct http_stream *stream, void *arg)
{
    struct transfer *t = arg;
    uint64_t populated = 0;
    int rc = t->device->what == NFC_DISK ? fill(t, stream, &populated) : fill_file(t, stream);
    char text[ERR_TEXT_MAX + 2] = "";

    finish(t, rc == 0, populated);
    if (rc < 0)
        (void)snprintf(text, sizeof text, "%s\n", t->err.code ? t->err.text : strerror(-rc));
    (void)http_stream_answer(stream, rc < 0 ? status_of(rc) : 201, text);
    transfer_free(t);
}

/* --- out --- */

static int flush_out(struct transfer *t)
{
    size_t len = t->out_len;

    t->out_len = 0;
    return len ? http_stream_write(t->stream, t->out, len) : 0;
}

static int send_bytes(void *ctx, const void *data, size_t len)
{
    struct transfer *t = ctx;
    int rc = 0;

    count(t, data, len);
    for (size_t at = 0, n; at < len && rc == 0; at += n) {
        n = MIN(len - at, (size_t)CHUNK - t->out_len);
        memcpy(t->out + t->out_len, (const uint8_t *)data + at, n);
        t->out_len += n;
        if (t->out_len == CHUNK)
            rc = flush_out(t);
    }
    return rc;
}

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct transfer *t = ctx;

    (void)total;
    return nfc_transfer_progress(t->lease, t->device, t->bytes, done);
}

static uint64_t data_of(struct disk *disk)
{
    uint64_t at = 0, length, sum = 0;
    enum disk_state state;

    for (; at < disk_size(disk) && disk_map(disk, at, &state, &length) == 0; at += length)
        sum += state == DISK_DATA ? length : 0;
    return sum;
}

static int send_disk(struct transfer *t, uint64_t *ret_populated)
{
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    int rc = placed_disk_open(&p, &t->device->place, DISK_READONLY, &t->err);

    if (rc == 0)
        rc = http_stream_head(t->stream, 200, "application/x-vnd.vmware-streamVmdk", NULL,
                              HTTP_CHUNKED);
    if (rc == 0 && http_stream_request(t->stream)->method == HTTP_HEAD)
        return -ENODATA;
    if (rc == 0)
        rc = disk_export(p.disk, t->device->target, p.aio, send_bytes, on_progress, t, &t->err);
    if (rc == 0)
        rc = flush_out(t);
    if (rc == 0)
        *ret_populated = data_of(p.disk);
    return rc;
}

static int send_file(struct transfer *t)
{
    cleanup_fd int fd = open_file(t, O_RDONLY | O_NONBLOCK);
    struct stat st;
    ssize_t n = 0;
    int rc = fd < 0 ? fd : 0;

    if (rc == 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        rc = err_set(&t->err, -EACCES, "%s is not a file", t->device->place.text);
    if (rc == 0)
        rc = http_stream_head(t->stream, 200, "application/octet-stream", NULL,
                              (uint64_t)st.st_size);
    if (rc == 0 && http_stream_request(t->stream)->method == HTTP_HEAD)
        return -ENODATA;
    while (rc == 0 && (n = read(fd, t->out, CHUNK)) > 0) {
        count(t, t->out, (size_t)n);
        rc = http_stream_write(t->stream, t->out, (size_t)n);
        if (rc == 0)
            rc = nfc_transfer_progress(t->lease, t->device, t->bytes, t->bytes);
    }
    return rc < 0 ? rc : n < 0 ? err_sys(&t->err, -errno, "%s", t->device->place.text) : 0;
}

static void export(struct http_stream *stream, void *arg)
{
    struct transfer *t = arg;
    uint64_t populated = 0;

    t->stream = stream;
    int rc = t->device->what == NFC_DISK ? send_disk(t, &populated) : send_file(t);
    finish(t, rc == 0, populated);
    /* Without its last chunk the client sees that it is not whole. */
    if (rc == 0)
        (void)http_stream_end(stream);
    else if (rc != -ENODATA)
        http_stream_break(stream, status_of(rc), t->err.text);
    transfer_free(t);
}

/* --- the request --- */

static void drop(void *arg)
{
    struct transfer *t = arg;

    nfc_transfer_end(t->lease, t->device, NULL, 0, 0);
    transfer_free(t);
}

bool nfc_path_parse(const char *path, char token[NFC_PATH_TOKEN], char target[NFC_PATH_TARGET])
{
    const char *at = path + strlen("/nfc/"), *slash;

    if (strncmp(path, "/nfc/", 5) != 0 || !(slash = strchr(at, '/')) ||
        slash - at != NFC_PATH_TOKEN - 1 || strlen(slash + 1) >= NFC_PATH_TARGET ||
        strchr(slash + 1, '/'))
        return false;
    (void)snprintf(token, NFC_PATH_TOKEN, "%.*s", (int)(slash - at), at);
    (void)snprintf(target, NFC_PATH_TARGET, "%s", slash + 1);
    return true;
}

void nfc_http_serve(struct hostd *hostd, struct http_exchange *x)
{
    bool in = x->head.method == HTTP_POST || x->head.method == HTTP_PUT;
    bool out = x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
    char token[NFC_PATH_TOKEN], target[NFC_PATH_TARGET];
    struct nfc_device *device = NULL;
    struct nfc_lease *lease = NULL;

    if (!in && !out) {
        http_answer(x, 405, NULL, "Allow: GET, HEAD, POST, PUT\r\n", NULL);
        return;
    }
    int rc = nfc_path_parse(x->head.path, token, target)
                 ? nfc_transfer_begin(hostd, token, target, in ? NFC_IMPORT : NFC_EXPORT, &lease,
                                      &device)
                 : -ENOENT;
    if (rc < 0) {
        http_answer_text(x, rc == -EBUSY ? 409 : 404,
                         rc == -EBUSY ? "another transfer of this disk is under way"
                                      : "there is no such lease, or it has ended");
        return;
    }
    struct transfer *t = transfer_new(lease, device);
    if (!t) {
        nfc_transfer_end(lease, device, NULL, 0, 0);
        http_answer_text(x, 503, "out of memory");
        return;
    }
    http_transfer(x, in ? receive : export, drop, t);
}
