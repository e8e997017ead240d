/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/range.h"
#include "tests/tap.h"
#include "vm/machine/gmem.h"

static void copies_and_edges(void)
{
    struct gmem *g = NULL;
    uint8_t b[8] = "1234567";

    REQUIRE(gmem_create(MIB(4), GMEM_PAGES_AUTO, &g, NULL) == 0);
    CHECK_EQ((uintptr_t)g->host % MIB(2), 0);
    CHECK_EQ(gmem_write(g, gpa(MIB(4) - 8), b, 8), 0);
    CHECK_EQ(gmem_write(g, gpa(MIB(4) - 7), b, 8), -EFAULT);
    CHECK_EQ(gmem_write(g, gpa(UINT64_MAX - 3), b, 8), -EFAULT);
    memset(b, 0, sizeof b);
    CHECK_EQ(gmem_read(g, gpa(MIB(4) - 8), b, 8), 0);
    CHECK_STR((char *)b, "1234567");
    CHECK_EQ(gmem_read(g, gpa(MIB(4)), b, 1), -EFAULT);
    CHECK_EQ(gmem_read(g, gpa(MIB(4)), b, 0), 0);
    gmem_destroy(g);
    CHECK_EQ(gmem_create(4095, GMEM_PAGES_AUTO, &g, NULL), -EINVAL);
    CHECK_EQ(gmem_create(0, GMEM_PAGES_AUTO, &g, NULL), -EINVAL);
}

static void hole_below_4_gib(void)
{
    struct gmem *g = NULL;
    struct iovec iov;

    REQUIRE(gmem_create(GMEM_LOW_MAX + MIB(2), GMEM_PAGES_AUTO, &g, NULL) == 0);
    CHECK_EQ(g->range_count, 2);
    CHECK_EQ(gmem_iov(g, gpa(GMEM_LOW_MAX - 4096), 4096, true, &iov, 1), 1);
    CHECK_EQ(gmem_iov(g, gpa(GMEM_LOW_MAX - 4096), 8192, true, &iov, 1), -EFAULT);
    CHECK_EQ(gmem_iov(g, gpa(GMEM_HIGH), MIB(2), false, &iov, 1), 1);
    CHECK(iov.iov_base == g->host + GMEM_LOW_MAX);
    CHECK_EQ(gmem_iov(g, gpa(GMEM_HIGH), MIB(2) + 1, false, &iov, 1), -EFAULT);
    gmem_destroy(g);
}

static void other_process_sees_it(void)
{
    struct gmem *a = NULL, *b = NULL;
    uint32_t v = 0xc0ffee, got = 0;

    REQUIRE(gmem_create(MIB(4), GMEM_PAGES_AUTO, &a, NULL) == 0);
    REQUIRE(gmem_attach(dup(a->fd), &b, NULL) == 0);
    CHECK_EQ(b->size, MIB(4));
    gmem_dirty_log(a, true);
    CHECK_EQ(gmem_write(b, gpa(MIB(1)), &v, 4), 0);
    CHECK_EQ(gmem_read(a, gpa(MIB(1)), &got, 4), 0);
    CHECK_EQ(got, v);
    uint64_t bitmap[16] = {0};
    gmem_dirty_fetch(a, 0, bitmap);
    CHECK_EQ(bitmap[4], 1);
    CHECK_EQ(bitmap[3] | bitmap[5], 0);
    gmem_destroy(b);
    gmem_destroy(a);
    int fd = open("/dev/null", O_RDWR);
    CHECK_EQ(gmem_attach(fd, &b, NULL), -EINVAL);
    close(fd);
}

static void views_are_bounded(void)
{
    struct gmem *g = NULL;
    struct gmem_view v = {0};

    REQUIRE(gmem_create(MIB(4), GMEM_PAGES_AUTO, &g, NULL) == 0);
    CHECK_EQ(gmem_view_load16(&v, 0), 0);
    CHECK_EQ(gmem_view_map(g, gpa(0x1001), 6, 2, &v), -EINVAL);
    CHECK_EQ(gmem_view_map(g, gpa(MIB(4) - 4), 6, 2, &v), -EFAULT);
    REQUIRE(gmem_view_map(g, gpa(0x1000), 6, 2, &v) == 0);
    gmem_view_store16(&v, 4, 0xabcd);
    CHECK_EQ(gmem_view_load16(&v, 4), 0xabcd);
    gmem_view_store32(&v, 4, 0xffffffff);
    CHECK_EQ(gmem_view_load16(&v, 4), 0xabcd);
    CHECK_EQ(gmem_view_load32(&v, UINT64_MAX), 0);
    gmem_destroy(g);
}

TAP_MAIN(TAP_CASE(copies_and_edges), TAP_CASE(hole_below_4_gib), TAP_CASE(other_process_sees_it),
         TAP_CASE(views_are_bounded))
