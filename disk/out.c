/* SPDX-License-Identifier: Apache-2.0 */
/* A new file under a temporary name. See make.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "disk/make.h"

int out_open(struct out *out, const struct disk_host *host, struct aio *aio, const char *final,
             struct err *err)
{
    *out = (struct out){.host = host, .aio = aio, .fd = -1};
    if (strlen(final) >= VMDK_NAME_MAX)
        return err_set(err, -ENAMETOOLONG, "\"%s\": the name is too long", final);
    (void)snprintf(out->name, sizeof out->name, "%s.part", final);
    out->fd = host->open(host, out->name, DISK_FILE_WRITE | DISK_FILE_CREATE);
    if (out->fd < 0) {
        int rc = out->fd;
        return rc == -EEXIST
                   ? err_set(err, rc, "\"%s\" exists: another tool is at it, or was interrupted",
                             out->name)
                   : err_sys(err, rc, "cannot create \"%s\"", out->name);
    }
    out->kind = aio_file_of(out->fd);
    return 0;
}

static void perform(struct out *out, struct aio_req *req)
{
    int64_t rc;

    if (out->rc)
        return;
    req->fd = out->fd;
    req->file = out->kind;
    rc = aio_do(out->aio, req);
    out->rc = rc < 0 ? (int)rc : 0;
}

void out_write(struct out *out, const void *data, size_t len, uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    perform(out, &(struct aio_req){
                     .op = AIO_WRITE, .niov = 1, .iov = &iov, .offset = offset, .length = len});
}

void out_put(struct out *out, const void *data, size_t len)
{
    if (!out->sink)
        out_write(out, data, len, out->at);
    else if (!out->rc)
        out->rc = out->sink(out->sink_ctx, data, len);
    out->at += len;
}

void out_pad(struct out *out, uint64_t alignment)
{
    static const uint8_t zeroes[65536];
    uint64_t end = align_up(out->at, alignment);

    while (out->at < end)
        out_put(out, zeroes, MIN(end - out->at, (uint64_t)sizeof zeroes));
}

void out_op(struct out *out, enum aio_op op, uint64_t offset, uint64_t length)
{
    perform(out, &(struct aio_req){.op = op, .offset = offset, .length = length});
}

int out_close(struct out *out)
{
    out_op(out, AIO_SYNC, 0, 0);
    out->fd = close_fd(out->fd);
    return out->rc;
}

void out_abandon(struct out *out)
{
    if (out->fd >= 0)
        out->fd = close_fd(out->fd);
    (void)out->host->unlink(out->host, out->name);
}
