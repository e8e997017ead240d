/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/diag/log_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "base/utf8.h"

int log_path(const char *key, char path[LOG_PATH_MAX])
{
    size_t len = strlen(key);

    if (!len || len > LOG_KEY_MAX || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return -EINVAL;
    (void)snprintf(path, LOG_PATH_MAX, "log/%s.log", key);
    return 0;
}

/* A part of a line, as text that may be sent: what is none becomes '?'. */
static const char *printable(struct arena *arena, const char *text, size_t len)
{
    char *out = arena_strndup(arena, text, len);
    bool valid = utf8_valid(out);

    for (char *c = out; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || ((unsigned char)*c >= 0x80 && !valid))
            *c = '?';
    return out;
}

/* Next line of the file, cut to the buffer: its length, or -1 at the end. */
static int next_line(FILE *file, char *line, size_t size)
{
    size_t len = 0;
    int c;

    while ((c = getc_unlocked(file)) != EOF && c != '\n')
        if (len + 1 < size && c)
            line[len++] = (char)c;
    return c == EOF && !len ? -1 : (int)len;
}

static void close_file(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

int log_read(const char *path, uint32_t first, uint32_t count, struct arena *arena,
             struct log_lines *ret_lines, uint32_t *ret_total)
{
    FILE *file __attribute__((cleanup(close_file))) = fopen(path, "re");
    char line[LOG_LINE_BYTES_MAX];
    uint32_t number = 0;
    int len;

    if (!file)
        return -errno;
    count = MIN(count, (uint32_t)LOG_LINES_MAX);
    *ret_lines = (struct log_lines){.items = arena_array(arena, count, sizeof(char *))};
    while ((len = next_line(file, line, sizeof line)) >= 0) {
        number++;
        if (number >= first && ret_lines->count < count)
            ret_lines->items[ret_lines->count++] = printable(arena, line, (size_t)len);
    }
    *ret_total = number;
    return 0;
}
