/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ustar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Offsets and lengths of the head's fields. */
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    CHECKSUM = 148,
    TYPE = 156,
    MAGIC = 257,
};

static void put_octal(uint8_t *field, unsigned digits, uint64_t v)
{
    for (field[digits] = '\0'; digits--; v >>= 3)
        field[digits] = (uint8_t)('0' + (v & 7));
}

int ustar_head(uint8_t block[USTAR_BLOCK], const char *name, uint64_t size, int64_t mtime)
{
    unsigned sum = 0;

    if (strlen(name) > USTAR_NAME_MAX)
        return -ENAMETOOLONG;
    if (size > USTAR_SIZE_MAX)
        return -EFBIG;
    memset(block, 0, USTAR_BLOCK);
    memcpy(block + NAME, name, strlen(name));
    put_octal(block + MODE, 7, 0644);
    put_octal(block + UID, 7, 0);
    put_octal(block + GID, 7, 0);
    put_octal(block + SIZE, 11, size);
    put_octal(block + MTIME, 11, mtime > 0 ? (uint64_t)mtime & USTAR_SIZE_MAX : 0);
    block[TYPE] = '0';
    memcpy(block + MAGIC, "ustar\00000", 8);
    memset(block + CHECKSUM, ' ', 8); /* counts as blanks */
    for (unsigned i = 0; i < USTAR_BLOCK; i++)
        sum += block[i];
    put_octal(block + CHECKSUM, 6, sum);
    return 0;
}
