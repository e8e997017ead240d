/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one of our own programs with exactly the descriptors it is meant to have. */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "vm/process/link.h"

/* Descriptors by the numbers under which the program sees them; -1: closed there. Owned. */
struct spawn_fds {
    int fd[VM_FD_END];
};

void spawn_fds_init(struct spawn_fds *fds);
void spawn_fds_close(struct spawn_fds *fds);
/* Takes `fd` over, moved out of the way of all numbers above. -errno when that fails (fd is
 * closed). */
int spawn_fds_put(struct spawn_fds *fds, enum vm_fd number, int fd);
/* The same, of a duplicate. */
int spawn_fds_share(struct spawn_fds *fds, enum vm_fd number, int fd);

/* Runs program `name`, found beside the running program or in the installation's folder, in a
 * process group of its own. Its standard input and output are /dev/null, its standard error ours.
 */
int spawn(const char *name, const struct spawn_fds *fds, pid_t *ret_pid, struct err *err);

/* Runs a program of ours, found in the same way, with `fd3` as descriptor 3 and `error_fd` as its
 * standard error; the rest as above. */
int spawn_program(const char *name, const char *const *argv, int fd3, int error_fd, pid_t *ret_pid,
                  struct err *err);
