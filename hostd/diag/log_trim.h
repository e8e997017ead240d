/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps log/ small. Every LOG_TRIM_S a worker looks at each NAME.log: one that is larger than
 * LOG_FULL becomes NAME.log.1 (that one NAME.log.2, and so on; LOG_OLD of them are kept) and is
 * empty again. Whoever writes appends, and goes on with the same file: hostd, nginx and a VM's
 * processes need not know; what is written between the copy's end and the cut is lost, a moment's
 * lines. Logs of VMs that the host does not have any more go after LOG_DAYS. */
#pragma once

#include "base/err.h"
#include "hostd/hostd.h"

enum { LOG_TRIM_S = 30, LOG_FULL = 4 << 20, LOG_OLD = 4, LOG_DAYS = 7 };

struct log_trim;

int log_trim_create(struct hostd *hostd, struct log_trim **ret_trim);
void log_trim_destroy(struct log_trim *trim); /* accepts NULL; the workers have ended */

/* One file, now; any thread. -errno. */
int log_trim_file(const char *path, uint64_t full);
