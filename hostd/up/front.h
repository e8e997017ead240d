/* SPDX-License-Identifier: Apache-2.0 */
/* The front: nginx with a configuration of ours. It ends TLS, bounds what clients may do with
 * connections and headers, and passes requests to hostd's Unix socket; it has no other task and
 * sees nothing of the host but that socket. As root its workers are an unprivileged user. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct front_config {
    const char *address; /* literal; IPv6 without brackets; "::" is IPv4 as well */
    uint16_t port;
    bool web; /* the host client is in WEB_FILES_FOLDER: serve it at /ui/ */
};

/* Writes run/front.conf and starts nginx, which ends with us. -ENOENT: there is no nginx. */
int front_start(const struct front_config *config, pid_t *ret_pid, struct err *err);

/* Ends what is left of a front whose master process was killed: its workers serve on otherwise, and
 * keep the port. Nothing of ours may listen when this is called. */
void front_sweep(void);

/* Group that the front's socket must be open to; -1: no other than ours. */
gid_t front_group(void);
