/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/firmware/boot_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/range.h"

enum { READ_MAX = 1 << 30 };

int boot_file_bad(const struct boot_file *file, struct err *err, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, -EINVAL, "%s \"%s\" %s", file->kind, file->name, text);
}

int boot_file_stat(struct boot_file *file, struct err *err)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0)
        return err_sys(err, -errno, "%s \"%s\"", file->kind, file->name);
    if (!S_ISREG(st.st_mode))
        return boot_file_bad(file, err, "is not a regular file");
    if (st.st_size <= 0)
        return boot_file_bad(file, err, "is empty");
    file->size = (uint64_t)st.st_size;
    return 0;
}

static int read_all(const struct boot_file *file, uint64_t offset, void *data, uint64_t len,
                    struct err *err)
{
    uint8_t *p = data;

    while (len) {
        ssize_t n = pread(file->fd, p, MIN(len, (uint64_t)READ_MAX), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, -errno, "%s \"%s\"", file->kind, file->name);
        if (n == 0)
            return boot_file_bad(file, err, "is truncated: it ended at byte %llu",
                                 (unsigned long long)offset);
        p += n;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static int check_range(const struct boot_file *file, uint64_t offset, uint64_t len, struct err *err)
{
    if (range_within(offset, len, file->size))
        return 0;
    return boot_file_bad(file, err, "is truncated: %llu bytes at %llu are wanted, it has %llu",
                         (unsigned long long)len, (unsigned long long)offset,
                         (unsigned long long)file->size);
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *data, uint64_t len,
                   struct err *err)
{
    int rc = check_range(file, offset, len, err);

    return rc < 0 ? rc : read_all(file, offset, data, len, err);
}

int boot_file_load(const struct boot_file *file, uint64_t offset, struct gmem *gmem, gpa_t addr,
                   uint64_t len, struct err *err)
{
    struct iovec iov[GMEM_RANGES_MAX];
    int rc = check_range(file, offset, len, err);

    if (rc < 0 || !len)
        return rc;
    int pieces = gmem_iov(gmem, addr, len, true, iov, GMEM_RANGES_MAX);
    if (pieces < 0)
        return err_set(err, -EFAULT, "%s \"%s\": %llu bytes at 0x%llx are not in the VM's memory",
                       file->kind, file->name, (unsigned long long)len, (unsigned long long)addr.v);
    for (int i = 0; i < pieces; i++) {
        rc = read_all(file, offset, iov[i].iov_base, iov[i].iov_len, err);
        if (rc < 0)
            return rc;
        offset += iov[i].iov_len;
    }
    return 0;
}
