/* SPDX-License-Identifier: Apache-2.0 */
/* `socle up` and `socle down`: a host in hosted mode as a group of processes.
 *
 *   socle up ── socle-hostd      the API; started again when it dies, while its clients wait: the
 *      │                         listening sockets are ours
 *      └─────── nginx            the front
 *   socle-keeper, one a VM       started by hostd; outlives all of these (vm/process/keeper.h)
 *
 * up_run stays in the foreground until SIGTERM, SIGINT or SIGHUP; then hostd and the front end, and
 * VMs go on. If `socle up` itself is killed, hostd and the front end too. */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct up_config {
    const char *root;
    const char *address;       /* NULL: loopback */
    uint16_t port;             /* 0: 443 as root, else 8443 */
    const char *password_file; /* NULL: generate a password at first use */
};

/* 0: ended by a signal; negative with a message: could not start, or something that it can not do
 * without has failed for good. */
int up_run(const struct up_config *config, struct err *err);

enum down_vms { DOWN_LEAVE, DOWN_SHUTDOWN, DOWN_OFF };

/* Ends the host of `root` if it is up, and its VMs as told. -ETIMEDOUT: VMs run still. */
int down_run(const char *root, enum down_vms vms, struct err *err);
