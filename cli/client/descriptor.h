/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a host on this machine: asked for by the local socket with the header Socle-Descriptor,
 * the host gives its descriptor instead of its bytes (docs/hostd.md), and the kernel copies. */
#pragma once

#include "base/err.h"
#include "cli/client/api.h"
#include "cli/client/http.h"

/* Into `fd`, which is new and empty. -EOPNOTSUPP: the host gives none, for whatever reason; asking
 * for the bytes will tell. */
int descriptor_save(struct http *http, const char *path, int fd,
                    const struct api_progress *progress, struct err *err);
