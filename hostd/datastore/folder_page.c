/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/folder_page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void put_text(struct buf *page, const char *text)
{
    for (; *text; text++)
        if (strchr("<>&\"'", *text))
            buf_printf(page, "&#%u;", (unsigned char)*text);
        else
            buf_put_u8(page, (uint8_t)*text);
}

/* In a URL; `keep`: what is not escaped besides letters and digits. */
static void put_url(struct buf *page, const char *text, const char *keep)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr(keep, c))
            buf_put_u8(page, c);
        else
            buf_printf(page, "%%%02X", c);
    }
}

/* Whole, from the root on: a page's own address may or may not end in a slash, and has a query. */
static void put_link(struct buf *page, const char *datastore, const char *rel, const char *name)
{
    buf_put_str(page, "<a href=\"/folder/");
    put_url(page, rel, "-_./");
    if (*rel && *name)
        buf_put_str(page, "/");
    put_url(page, name, "-_.");
    buf_put_str(page, "?dcPath=ha-datacenter&amp;dsName=");
    put_url(page, datastore, "-_.");
    buf_put_str(page, "\">");
}

void folder_page_begin(struct buf *page, const char *title)
{
    buf_put_str(page, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>");
    put_text(page, title);
    buf_put_str(page, "</title></head><body><h1>");
    put_text(page, title);
    buf_put_str(page, "</h1><table>\n");
}

void folder_page_datastore(struct buf *page, const char *datastore)
{
    buf_put_str(page, "<tr><td>");
    put_link(page, datastore, "", "");
    put_text(page, datastore);
    buf_put_str(page, "</a></td></tr>\n");
}

void folder_page_end(struct buf *page)
{
    buf_put_str(page, "</table></body></html>\n");
}

static void put_parent(struct buf *page, const char *datastore, const char *rel)
{
    const char *slash = strrchr(rel, '/');
    char *above = slash ? strndup(rel, (size_t)(slash - rel)) : NULL;

    buf_put_str(page, "<tr><td>");
    if (*rel)
        put_link(page, datastore, above ? above : "", "");
    else
        buf_put_str(page, "<a href=\"/folder?dcPath=ha-datacenter\">");
    buf_put_str(page, "Parent Directory</a></td><td></td><td>-</td></tr>\n");
    free(above);
}

static void put_entry(struct buf *page, const char *datastore, const char *rel, const char *name,
                      const struct stat *st)
{
    struct tm tm = {0};
    char date[32];

    (void)gmtime_r(&st->st_mtim.tv_sec, &tm);
    (void)strftime(date, sizeof date, "%d-%b-%Y %H:%M", &tm);
    buf_put_str(page, "<tr><td>");
    put_link(page, datastore, rel, name);
    put_text(page, name);
    buf_printf(page, "%s</a></td><td align=\"right\">%s</td><td align=\"right\">",
               S_ISDIR(st->st_mode) ? "/" : "", date);
    if (S_ISDIR(st->st_mode))
        buf_put_str(page, "-");
    else
        buf_printf(page, "%lld", (long long)st->st_size);
    buf_put_str(page, "</td></tr>\n");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int folder_page(struct buf *page, int fd, const char *datastore, const char *rel)
{
    struct dirent **list;
    char title[2048];
    struct stat st;
    int count = scandirat(fd, ".", &list, is_shown, by_name);

    if (count < 0)
        return -errno;
    (void)snprintf(title, sizeof title, "Index of [%s] %s", datastore, rel);
    folder_page_begin(page, title);
    put_parent(page, datastore, rel);
    for (int i = 0; i < count; i++) {
        if (fstatat(fd, list[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            put_entry(page, datastore, rel, list[i]->d_name, &st);
        free(list[i]);
    }
    free(list);
    folder_page_end(page);
    return page->failed ? -ENOMEM : 0;
}
