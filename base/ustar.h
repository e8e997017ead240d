/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of members of a tar archive, POSIX.1-1988 "ustar" (POSIX.1-2017, pax, "ustar Interchange
 * Format"). A member is its head and its content padded to whole blocks; two empty blocks end the
 * archive. */
#pragma once

#include <stdint.h>

enum { USTAR_BLOCK = 512, USTAR_NAME_MAX = 100 };
#define USTAR_SIZE_MAX ((UINT64_C(1) << 33) - 1) /* eleven octal digits */

/* A regular file of mode 0644 that nobody owns. -ENAMETOOLONG, -EFBIG; `mtime` in seconds since
 * 1970. */
int ustar_head(uint8_t block[USTAR_BLOCK], const char *name, uint64_t size, int64_t mtime);

/* Bytes behind a content of this size up to the next block. */
static inline unsigned ustar_padding(uint64_t size)
{
    return (unsigned)(-size % USTAR_BLOCK);
}
