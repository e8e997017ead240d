/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that belong to this host without being our children: what a process that was killed
 * left. A host's processes have its folder as their working directory (hostd/up/rootdir.h). */
#pragma once

#include <sys/types.h>

/* `each` for every process called `name` whose working directory is ours; how many there are. */
unsigned here_each(const char *name, void (*each)(void *ctx, pid_t pid), void *ctx);
