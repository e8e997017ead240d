/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and sizes as options and files write them. */
#include <errno.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "base/utf8.h"
#include "tests/tap.h"

static void unsigned_numbers(void)
{
    uint64_t v = 77;

    CHECK_EQ(parse_u64("0", 0, UINT64_MAX, &v), 0);
    CHECK_EQ(v, 0);
    CHECK_EQ(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
    CHECK(v == UINT64_MAX);
    CHECK_EQ(parse_u64("0x1F", 0, 100, &v), 0);
    CHECK_EQ(v, 31);
    CHECK_EQ(parse_u64("010", 0, 100, &v), 0);
    CHECK_EQ(v, 10);
    v = 77;
    CHECK_EQ(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
    CHECK_EQ(parse_u64("4", 5, 10, &v), -ERANGE);
    CHECK_EQ(parse_u64("11", 5, 10, &v), -ERANGE);
    static const char *const bad[] = {"",   " 1", "1 ",  "+1", "-1",
                                      "1x", "0x", "0xg", "a",  "99999999999999999999x"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_EQ(parse_u64(bad[i], 0, UINT64_MAX, &v), -EINVAL);
    CHECK_EQ(parse_u64(NULL, 0, 1, &v), -EINVAL);
    CHECK_EQ(v, 77); /* untouched by every failure */
}

static void signed_numbers(void)
{
    int64_t v = 77;

    CHECK_EQ(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
    CHECK(v == INT64_MIN);
    CHECK_EQ(parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v), 0);
    CHECK(v == INT64_MAX);
    CHECK_EQ(parse_i64("-1245391902", INT32_MIN, INT32_MAX, &v), 0);
    CHECK_EQ(v, -1245391902);
    CHECK_EQ(parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
    CHECK_EQ(parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
    CHECK_EQ(parse_i64("-", INT64_MIN, INT64_MAX, &v), -EINVAL);
    CHECK_EQ(parse_i64("--1", INT64_MIN, INT64_MAX, &v), -EINVAL);
}

static void sizes(void)
{
    uint64_t v = 77;

    CHECK_EQ(parse_size("512", 1, &v), 0);
    CHECK_EQ(v, 512);
    CHECK_EQ(parse_size("512", MIB(1), &v), 0);
    CHECK_EQ(v, 512 << 20);
    CHECK_EQ(parse_size("10g", MIB(1), &v), 0);
    CHECK_EQ(v, GIB(10));
    CHECK_EQ(parse_size("1T", 1, &v), 0);
    CHECK_EQ(v, GIB(1024));
    CHECK_EQ(parse_size("16383P", 1, &v), 0);
    CHECK_EQ(parse_size("16384P", 1, &v), -ERANGE);
    CHECK_EQ(parse_size("18446744073709551616", 1, &v), -ERANGE);
    static const char *const bad[] = {"", "K", "1KK", "1.5G", "1 G", "-1", "10E", "1Gi"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_EQ(parse_size(bad[i], 1, &v), -EINVAL);
}

static void utf8(void)
{
    CHECK(utf8_valid(""));
    CHECK(utf8_valid("Stra\xc3\x9f"
                     "e \xf4\x8f\xbf\xbf"));
    CHECK_EQ(utf8_count("Stra\xc3\x9f"
                        "e"),
             6);
    static const char *const bad[] = {"\xe4",         "\xc0\x80",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8",
                                      "\xc3(",        "\xe2\x82",         "\x80"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK(!utf8_valid(bad[i]));
}

TAP_MAIN(TAP_CASE(unsigned_numbers), TAP_CASE(signed_numbers), TAP_CASE(sizes), TAP_CASE(utf8))
