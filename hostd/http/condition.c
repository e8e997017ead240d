/* SPDX-License-Identifier: Apache-2.0 */
/* Dates are read in the one form that is still sent; a condition with another is none. */
#include "hostd/http/condition.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DATE "%a, %d %b %Y %H:%M:%S GMT"

enum { TAG_MAX = 64, DATE_MAX = 40 };

static void tag_of(const struct stat *st, char tag[TAG_MAX])
{
    (void)snprintf(tag, TAG_MAX, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
                   (unsigned long long)st->st_size,
                   (unsigned long long)st->st_mtim.tv_sec * 1000000000 +
                       (unsigned long long)st->st_mtim.tv_nsec);
}

static void date_of(const struct stat *st, char date[DATE_MAX])
{
    struct tm tm = {0};

    (void)gmtime_r(&st->st_mtim.tv_sec, &tm);
    (void)strftime(date, DATE_MAX, DATE, &tm);
}

/* A list of tags, or "*". `weak`: a tag that is only called weak is as good. */
static bool names(const char *list, const struct stat *st, bool weak)
{
    char tag[TAG_MAX];

    if (!st)
        return false;
    if (!strcmp(list, "*"))
        return true;
    tag_of(st, tag);
    for (const char *at = list; (at = strstr(at, tag)); at++)
        if (weak || at - list < 2 || strncmp(at - 2, "W/", 2) != 0)
            return true;
    return false;
}

/* < 0, 0, > 0: the file is older than `text` says, as old, newer; 0 as well when that is no date,
 * with *ret_date false. */
static int age(const struct stat *st, const char *text, bool *ret_date)
{
    struct tm tm = {0};
    const char *end = strptime(text, DATE, &tm);
    time_t date = timegm(&tm);

    *ret_date = end && !*end;
    return !*ret_date ? 0 : (st->st_mtim.tv_sec > date) - (st->st_mtim.tv_sec < date);
}

static bool unchanged_since(const struct stat *st, const char *text)
{
    bool is_date;

    return age(st, text, &is_date) <= 0 && is_date;
}

static bool changed_since(const struct stat *st, const char *text)
{
    bool is_date;

    return age(st, text, &is_date) > 0;
}

int http_condition(const struct http_head *head, const struct stat *st)
{
    bool reads = head->method == HTTP_GET || head->method == HTTP_HEAD;
    const char *match = http_header(head, "If-Match"), *none = http_header(head, "If-None-Match"),
               *since = http_header(head, "If-Modified-Since"),
               *until = http_header(head, "If-Unmodified-Since");

    if (match ? !names(match, st, false) : st && until && changed_since(st, until))
        return 412;
    if (none)
        return !names(none, st, true) ? 0 : reads ? 304 : 412;
    return reads && st && since && unchanged_since(st, since) ? 304 : 0;
}

bool http_range_counts(const struct http_head *head, const struct stat *st)
{
    const char *value = http_header(head, "If-Range");
    char date[DATE_MAX];

    if (!value)
        return true;
    date_of(st, date);
    return *value == '"' ? names(value, st, false) : !strcmp(value, date);
}

void http_validators(const struct stat *st, char lines[HTTP_VALIDATORS_MAX])
{
    char tag[TAG_MAX], date[DATE_MAX];

    tag_of(st, tag);
    date_of(st, date);
    (void)snprintf(lines, HTTP_VALIDATORS_MAX, "ETag: %s\r\nLast-Modified: %s\r\n", tag, date);
}
