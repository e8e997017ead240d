/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/config_fd.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

int bytes_fd(const void *data, size_t len, int *ret_fd, struct err *err)
{
    cleanup_fd int fd = memfd_create("vm-config", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : file_write_all(fd, data, len);

    if (rc < 0)
        return err_sys(err, rc, "cannot hand over the VM's configuration");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int config_fd(const struct vmcfg *cfg, int *ret_fd, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = vmcfg_encode(cfg, &text);

    if (rc < 0)
        return err_sys(err, rc, "cannot write down the VM's configuration");
    return bytes_fd(text.data, text.len, ret_fd, err);
}

int bytes_read(int fd, struct buf *out, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, -errno, "no configuration was handed over");
    if (st.st_size < 0 || st.st_size > CONFIG_FD_MAX)
        return err_sys(err, -EFBIG, "what was handed over");
    void *room = buf_grow(out, (size_t)st.st_size);
    if (!room)
        return err_sys(err, -ENOMEM, "what was handed over");
    if (pread(fd, room, (size_t)st.st_size, 0) != st.st_size)
        return err_sys(err, -EIO, "what was handed over");
    return 0;
}
