/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a host in hosted mode lives in (`socle up --root DIR`). All of our processes have
 * it as their working directory and name what is in it relative to it, so that no path becomes too
 * long for a socket's address.
 *
 *   lock                    held by `socle up` as long as it runs
 *   password                root's first password, if one was generated; mode 0600
 *   config/                 accounts, roles, permissions, inventory, settings: JSON, replaced whole
 *   tls/                    cert.pem, key.pem
 *   datastores/NAME/        a datastore each
 *   state.db, perf.db       events and tasks; statistics (SQLite, hostd/store/)
 *   unfinished/             what is being made on datastores (hostd/datastore/unfinished.h)
 *   run/                    hostd's lock, sockets, process ids, the front's configuration
 *   log/                    hostd.log, front.log
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define ROOTDIR_PASSWORD   "password"
#define ROOTDIR_CERT       "tls/cert.pem"
#define ROOTDIR_KEY        "tls/key.pem"
#define ROOTDIR_HTTP       "run/http.sock"
#define ROOTDIR_LOCAL      "run/local.sock"
#define ROOTDIR_DATASTORES "datastores"
#define ROOTDIR_VMS        "run/vm"
#define ROOTDIR_STATE      "state.db"
#define ROOTDIR_PERF       "perf.db"
#define ROOTDIR_HOURS      "run/perf"

/* Makes it at first use (with the folders above it and everything that hostd expects to find),
 * changes into it and takes the lock. -EBUSY: another `socle up` has it, the message says which
 * process. -EEXIST: what is there belongs to something else. `password` NULL: one is generated and
 * written to ROOTDIR_PASSWORD. *ret_fresh: this was the first use. The lock lasts as long as the
 * process. */
int rootdir_open(const char *path, const char *password, bool *ret_fresh, struct err *err);

/* Some room on the disk is kept, and given up by rootdir_open: a host whose disk is full has to come
 * up for somebody to make room. To be called when it is up. */
void rootdir_keep_reserve(void);

/* Whether that is root's password, in the folder that rootdir_open changed into. */
bool rootdir_password_is(const char *password);

/* For `socle down`: changes into it; the process that holds the lock, 0 if none does. */
int rootdir_enter(const char *path, pid_t *ret_holder, struct err *err);
