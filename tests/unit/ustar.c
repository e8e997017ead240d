/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of tar members, as POSIX lays them out; what tar(1) makes of them is seen by
 * api/host-objects. */
#include "base/ustar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static void fields(void)
{
    uint8_t b[USTAR_BLOCK];
    unsigned sum = 0;

    CHECK_EQ(ustar_head(b, "dir/file", 1234, 1700000000), 0);
    CHECK_STR((char *)b, "dir/file");
    CHECK_STR((char *)b + 100, "0000644");
    CHECK_STR((char *)b + 124, "00000002322");
    CHECK_STR((char *)b + 136, "14524770400");
    CHECK_EQ(b[156], '0');
    CHECK_EQ(memcmp(b + 257, "ustar\00000", 8), 0);
    unsigned told = (unsigned)strtoul((char *)b + 148, NULL, 8);
    memset(b + 148, ' ', 8);
    for (unsigned i = 0; i < USTAR_BLOCK; i++)
        sum += b[i];
    CHECK_EQ(told, sum);
}

static void limits(void)
{
    char name[USTAR_NAME_MAX + 2];
    uint8_t b[USTAR_BLOCK];

    memset(name, 'x', sizeof name);
    name[USTAR_NAME_MAX] = '\0';
    CHECK_EQ(ustar_head(b, name, USTAR_SIZE_MAX, 0), 0);
    CHECK_EQ(memcmp(b + 124, "77777777777", 12), 0);
    CHECK_EQ(ustar_head(b, name, USTAR_SIZE_MAX + 1, 0), -EFBIG);
    name[USTAR_NAME_MAX] = 'x';
    name[USTAR_NAME_MAX + 1] = '\0';
    CHECK_EQ(ustar_head(b, name, 0, 0), -ENAMETOOLONG);
    CHECK_EQ(ustar_padding(0), 0);
    CHECK_EQ(ustar_padding(1), 511);
    CHECK_EQ(ustar_padding(512), 0);
}

TAP_MAIN(TAP_CASE(fields), TAP_CASE(limits))
