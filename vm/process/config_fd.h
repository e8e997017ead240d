/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on their way to another process, in a memfd; mostly a VM's configuration as a
 * dictionary. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "config/vmcfg.h"

/* Owned by the caller. */
int bytes_fd(const void *data, size_t len, int *ret_fd, struct err *err);
int config_fd(const struct vmcfg *cfg, int *ret_fd, struct err *err);

/* All of it; -EFBIG: more than CONFIG_FD_MAX. The descriptor stays the caller's. */
enum { CONFIG_FD_MAX = 1 << 20 };
int bytes_read(int fd, struct buf *out, struct err *err);
