/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers. strtoul and its family are not used: they take blanks, signs and octal, and wrap
 * "-1" into a huge value. */
#include "base/parse_num.h"

#include <errno.h>
#include <stdbool.h>

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

/* Reads digits up to the first other character, which *ret_end names. A number too large for 64
 * bits is read to its end too, so that "99...9x" is "not a number" and not "out of range". */
static int read_digits(const char *text, unsigned base, uint64_t *ret_v, const char **ret_end)
{
    const char *p = text;
    uint64_t v = 0;
    int rc = 0;

    for (; digit_value(*p) < base; p++)
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit_value(*p), &v))
            rc = -ERANGE;
    if (p == text)
        return -EINVAL;
    *ret_v = v;
    *ret_end = p;
    return rc;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v)
{
    const char *end = "";
    unsigned base = 10;
    uint64_t v = 0;

    if (!text)
        return -EINVAL;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    int rc = read_digits(text, base, &v, &end);
    if (rc == -EINVAL || *end)
        return -EINVAL;
    if (rc < 0 || v < min || v > max)
        return -ERANGE;
    *ret_v = v;
    return 0;
}

int parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret_v)
{
    uint64_t v = 0;
    int rc = parse_u64(text, min, max, &v);

    if (!rc)
        *ret_v = (unsigned)v;
    return rc;
}

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_v)
{
    const char *end = "";
    uint64_t magnitude = 0;
    int64_t v;

    if (!text)
        return -EINVAL;
    bool negative = *text == '-';
    int rc = read_digits(text + negative, 10, &magnitude, &end);
    if (rc == -EINVAL || *end)
        return -EINVAL;
    if (rc < 0 || magnitude > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (v < min || v > max)
        return -ERANGE;
    *ret_v = v;
    return 0;
}

static int unit_shift(char c)
{
    switch (c) {
    case 'K':
    case 'k':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    case 'T':
    case 't':
        return 40;
    case 'P':
    case 'p':
        return 50;
    default:
        return -1;
    }
}

int parse_size(const char *text, uint64_t unit, uint64_t *ret_bytes)
{
    const char *end = "";
    uint64_t v = 0;

    if (!text)
        return -EINVAL;
    int rc = read_digits(text, 10, &v, &end);
    if (rc == -EINVAL)
        return rc;
    if (*end) {
        int shift = unit_shift(*end);
        if (shift < 0 || end[1])
            return -EINVAL;
        unit = UINT64_C(1) << shift;
    }
    if (rc < 0 || __builtin_mul_overflow(v, unit, &v))
        return -ERANGE;
    *ret_bytes = v;
    return 0;
}
