/* SPDX-License-Identifier: Apache-2.0 */
/* XML Schema Part 2: the lexical forms of boolean, the numbers, dateTime and base64Binary; without
 * locale, without the C library's calendar. */
#include "hostd/api/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse_num.h"

#define USEC_PER_DAY (INT64_C(86400) * 1000000)

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back; years count from March, so
 * that the leap day is the last. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

/* The years that four digits can say. */
static int64_t time_min(void)
{
    return days_from_date(1, 1, 1) * USEC_PER_DAY;
}

static int64_t time_max(void)
{
    return days_from_date(10000, 1, 1) * USEC_PER_DAY - 1;
}

const char *text_time(char text[TEXT_TIME_MAX], int64_t usec)
{
    usec = usec < time_min() ? time_min() : usec > time_max() ? time_max() : usec;
    int64_t days = usec / USEC_PER_DAY - (usec % USEC_PER_DAY < 0);
    int64_t rest = usec - days * USEC_PER_DAY;
    int64_t year;
    unsigned month, day;
    date_from_days(days, &year, &month, &day);
    unsigned second = (unsigned)(rest / 1000000);
    (void)snprintf(text, TEXT_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)year,
                   month, day, second / 3600, second / 60 % 60, second % 60,
                   (unsigned)(rest % 1000000));
    return text;
}

/* Exactly `count` digits; then one of `after`, which is skipped (0 in it: the end may follow). */
static bool digits(const char **p, unsigned count, char after, unsigned *ret_v)
{
    unsigned v = 0;
    for (unsigned i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (unsigned)(**p - '0');
    }
    *ret_v = v;
    return !after || *(*p)++ == after;
}

static int parse_zone(const char *p, int64_t *ret_usec)
{
    *ret_usec = 0;
    if (!*p || !strcmp(p, "Z"))
        return 0;
    bool east = *p == '+';
    unsigned hour, minute;
    if (*p != '+' && *p != '-')
        return -EINVAL;
    p++;
    if (!digits(&p, 2, ':', &hour) || !digits(&p, 2, 0, &minute) || *p || hour > 14 || minute > 59)
        return -EINVAL;
    *ret_usec = (int64_t)(hour * 60 + minute) * 60 * 1000000 * (east ? 1 : -1);
    return 0;
}

int text_parse_time(const char *text, int64_t *ret_usec)
{
    unsigned year, month, day, hour, minute, second, fraction = 0, scale = 100000;
    const char *p = text;
    if (!digits(&p, 4, '-', &year) || !digits(&p, 2, '-', &month) || !digits(&p, 2, 'T', &day) ||
        !digits(&p, 2, ':', &hour) || !digits(&p, 2, ':', &minute) || !digits(&p, 2, 0, &second))
        return -EINVAL;
    if (!year || !month || month > 12 || !day || day > 31 || hour > 24 || minute > 59 ||
        second > 60)
        return -EINVAL;
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
            fraction += (unsigned)(*p - '0') * scale;
    }
    int64_t zone;
    if (parse_zone(p, &zone) < 0)
        return -EINVAL;
    int64_t usec = days_from_date(year, month, day) * USEC_PER_DAY +
                   ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction - zone;
    if (usec < time_min() || usec > time_max())
        return -EINVAL;
    *ret_usec = usec;
    return 0;
}

/* --- base64 --- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64(struct buf *out, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16;
        v |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
        v |= i + 2 < len ? data[i + 2] : 0;
        char quad[4] = {
            alphabet[v >> 18],
            alphabet[v >> 12 & 63],
            i + 1 < len ? alphabet[v >> 6 & 63] : '=',
            i + 2 < len ? alphabet[v & 63] : '=',
        };
        buf_put(out, quad, sizeof quad);
    }
}

int text_parse_base64(struct arena *arena, const char *text, struct vim_binary *ret_binary)
{
    uint8_t *data = arena_alloc(arena, strlen(text) / 4 * 3 + 3);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned count = 0, padding = 0;
    for (; *text; text++) {
        const char *at = strchr(alphabet, *text);
        if (isspace((unsigned char)*text))
            continue;
        if (*text == '=') {
            padding++;
            continue;
        }
        if (!at || padding)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (++count % 4 == 0) {
            data[len++] = (uint8_t)(bits >> 16);
            data[len++] = (uint8_t)(bits >> 8);
            data[len++] = (uint8_t)bits;
        }
    }
    if (count % 4 == 1 || padding > 2 || (padding && (count + padding) % 4))
        return -EINVAL;
    if (count % 4 >= 2)
        data[len++] = (uint8_t)(bits >> (count % 4 == 2 ? 4 : 10));
    if (count % 4 == 3)
        data[len++] = (uint8_t)(bits >> 2);
    *ret_binary = (struct vim_binary){data, len};
    return 0;
}

char *text_words(struct arena *arena, const char *camel)
{
    size_t len = strlen(camel);
    char *words = arena_alloc(arena, len * 2 + 1), *p = words;
    for (size_t i = 0; i < len; i++) {
        bool upper = isupper((unsigned char)camel[i]);
        if (upper && i)
            *p++ = ' ';
        *p++ = (char)(i ? tolower((unsigned char)camel[i]) : toupper((unsigned char)camel[i]));
    }
    return words;
}

/* --- scalars --- */

static int parse_bool(const char *text, bool *ret_v)
{
    bool yes = !strcmp(text, "true") || !strcmp(text, "1");
    if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return -EINVAL;
    *ret_v = yes;
    return 0;
}

static int parse_double(const char *text, double *ret_v)
{
    char *end;
    bool plain = *text && !text[strspn(text, "+-.0123456789eE")];
    if (!plain && strcmp(text, "INF") != 0 && strcmp(text, "-INF") != 0 && strcmp(text, "NaN") != 0)
        return -EINVAL;
    *ret_v = strtod(text, &end);
    return *end ? -EINVAL : 0;
}

static int parse_enum(const struct vim_enum *e, const char *text, int32_t *ret_v)
{
    for (unsigned i = 1; i < e->count; i++)
        if (!strcmp(e->values[i], text)) {
            *ret_v = (int32_t)i;
            return 0;
        }
    return -EINVAL;
}

static int parse_integer(uint8_t kind, const char *text, struct vim_any *value)
{
    static const uint8_t bits[VIM_KIND_MAX] = {
        [VIM_BYTE] = 8, [VIM_SHORT] = 16, [VIM_INT] = 32, [VIM_LONG] = 64};
    int64_t max = (int64_t)(UINT64_MAX >> (65 - bits[kind])), v;
    if (*text == '+')
        text++;
    if (parse_i64(text, -max - 1, max, &v) < 0)
        return -EINVAL;
    switch (kind) {
    case VIM_BYTE:
        value->byte = (int8_t)v;
        break;
    case VIM_SHORT:
        value->s = (int16_t)v;
        break;
    case VIM_INT:
        value->i = (int32_t)v;
        break;
    default:
        value->l = v;
        break;
    }
    return 0;
}

static int parse_trimmed(struct arena *arena, struct vim_shape shape, const char *text,
                         struct vim_any *value)
{
    double d;
    int r;
    switch (shape.kind) {
    case VIM_BOOL:
        return parse_bool(text, &value->b);
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
        return parse_integer(shape.kind, text, value);
    case VIM_FLOAT:
        r = parse_double(text, &d);
        value->f = r ? 0 : (float)d;
        return r;
    case VIM_DOUBLE:
        return parse_double(text, &value->d);
    case VIM_TIME:
        return text_parse_time(text, &value->l);
    case VIM_BINARY:
        return text_parse_base64(arena, text, &value->bin);
    case VIM_ENUM:
        return parse_enum(&vim_enums[shape.of], text, &value->i);
    default:
        return -EINVAL;
    }
}

int text_parse_value(struct arena *arena, struct vim_shape shape, const char *text,
                     struct vim_any *ret_value)
{
    struct vim_any value = {.shape = {.kind = shape.kind, .of = shape.of}};
    if (shape.kind == VIM_STRING || shape.kind == VIM_URI || shape.kind == VIM_TYPENAME) {
        value.str = text;
        *ret_value = value;
        return 0;
    }
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    if (text[len])
        text = arena_strndup(arena, text, len);
    int r = parse_trimmed(arena, shape, text, &value);
    if (!r)
        *ret_value = value;
    return r;
}

const char *text_scalar(char text[TEXT_TIME_MAX], const struct vim_any *value)
{
    int64_t integer = 0;
    double real = 0;
    switch (value->shape.kind) {
    case VIM_BOOL:
        return value->b ? "true" : "false";
    case VIM_TIME:
        return text_time(text, value->l);
    case VIM_BYTE:
        integer = value->byte;
        break;
    case VIM_SHORT:
        integer = value->s;
        break;
    case VIM_INT:
        integer = value->i;
        break;
    case VIM_LONG:
        integer = value->l;
        break;
    default:
        real = value->shape.kind == VIM_FLOAT ? (double)value->f : value->d;
        if (!isfinite(real))
            return isnan(real) ? "NaN" : real < 0 ? "-INF" : "INF";
        (void)snprintf(text, TEXT_TIME_MAX, value->shape.kind == VIM_FLOAT ? "%.9g" : "%.17g",
                       real);
        return text;
    }
    (void)snprintf(text, TEXT_TIME_MAX, "%" PRId64, integer);
    return text;
}
