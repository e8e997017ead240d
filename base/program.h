/* SPDX-License-Identifier: Apache-2.0 */
/* Where our other programs are, and folders that go with them. */
#pragma once

#include <stddef.h>

#include "base/err.h"

/* The path of `name` ("socle-vmm"): beside the running program (a build tree, an unpacked archive),
 * else where it was installed. -ENOENT. */
int program_find(const char *name, char *path, size_t size, struct err *err);
