/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_copy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

/* Between file systems of two kinds the kernel does not copy. */
static ssize_t copy_by_hand(int in, int out, off_t at, size_t len)
{
    enum { BUFFER = 1 << 20 };
    cleanup_free uint8_t *bytes = malloc(BUFFER);
    ssize_t n = bytes ? pread(in, bytes, MIN(len, (size_t)BUFFER), at) : -1, put = 0;

    for (ssize_t more = 0; put < n; put += more) {
        more = pwrite(out, bytes + put, (size_t)(n - put), at + put);
        if (more < 0)
            return -1;
    }
    return n;
}

static ssize_t copy_some(int in, int out, off_t at, size_t len, bool *by_hand)
{
    off_t from = at, to = at;
    ssize_t n = *by_hand ? -1 : copy_file_range(in, &from, out, &to, len, 0);

    if (n < 0 &&
        (*by_hand || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        *by_hand = true;
        n = copy_by_hand(in, out, at, len);
    }
    return n;
}

static int copy_range(struct file_copy *copy, int in, int out, off_t from, off_t to)
{
    enum { STEP = 16 << 20 };
    bool by_hand = false;

    while (from < to) {
        int rc = copy->progress ? copy->progress(copy->ctx, copy->done, copy->total) : 0;
        if (rc)
            return rc;
        ssize_t n = copy_some(in, out, from, (size_t)MIN(to - from, (off_t)STEP), &by_hand);
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it has become shorter */
        from += n;
        copy->done += (uint64_t)n;
    }
    return 0;
}

int file_copy_data(struct file_copy *copy, int in, int out)
{
    struct stat st;
    int rc = 0;

    if (fstat(in, &st) < 0 || ftruncate(out, st.st_size) < 0)
        return -errno;
    for (off_t at = 0, end; at < st.st_size && rc == 0; at = end) {
        at = lseek(in, at, SEEK_DATA);
        if (at < 0) /* only a hole is left */
            break;
        end = lseek(in, at, SEEK_HOLE);
        if (end < 0)
            return -errno;
        rc = copy_range(copy, in, out, at, end);
    }
    return rc;
}
