/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/config_fd.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

int config_fd(const struct vmcfg *cfg, int *ret_fd, struct err *err)
{
    cleanup_buf struct buf text = {0};
    cleanup_fd int fd = memfd_create("vm-config", MFD_CLOEXEC);

    int rc = vmcfg_encode(cfg, &text);
    if (rc < 0)
        return err_sys(err, rc, "cannot write down the VM's configuration");
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len)
        return err_sys(err, -errno, "cannot hand over the VM's configuration");
    *ret_fd = TAKE_FD(fd);
    return 0;
}
