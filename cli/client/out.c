/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { COLUMNS_MAX = 32 };
enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV };

struct selection {
    const struct column *column[COLUMNS_MAX];
    unsigned count;
    enum format format;
};

/* --- what is wanted --- */

static int read_format(const struct command *command, enum format *ret_format, struct err *err)
{
    static const char *const words[] = {"table", "json", "csv"};
    const char *word = command_value(command, "output");

    *ret_format = FORMAT_TABLE;
    for (unsigned i = 0; word && i < ARRAY_SIZE(words); i++)
        if (!strcmp(word, words[i])) {
            *ret_format = (enum format)i;
            return 0;
        }
    return word ? err_set(err, -EINVAL, "--output \"%s\": not table, json or csv", word) : 0;
}

int out_is_table(const struct command *command, bool *ret_table, struct err *err)
{
    enum format format;
    int rc = read_format(command, &format, err);

    *ret_table = format == FORMAT_TABLE;
    return rc;
}

static int no_column(const struct column *columns, unsigned count, const char *word, size_t len,
                     struct err *err)
{
    char all[256] = "";

    for (unsigned i = 0; i < count; i++) {
        size_t at = strlen(all);
        (void)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", columns[i].name);
    }
    return err_set(err, -EINVAL, "--columns: no column \"%.*s\"; there are %s", (int)len, word,
                   all);
}

static int select_columns(const struct command *command, const struct column *columns,
                          unsigned count, struct selection *s, struct err *err)
{
    const char *word = command_value(command, "columns");
    int rc = read_format(command, &s->format, err);

    s->count = 0;
    for (unsigned i = 0; i < count && !word; i++)
        if (!columns[i].wide || s->format != FORMAT_TABLE)
            s->column[s->count++] = &columns[i];
    while (rc == 0 && word && *word) {
        size_t len = strcspn(word, ",");
        unsigned i = 0;
        while (i < count && (strlen(columns[i].name) != len || memcmp(columns[i].name, word, len)))
            i++;
        if (i == count || s->count == COLUMNS_MAX)
            return no_column(columns, count, word, len, err);
        s->column[s->count++] = &columns[i];
        word += len + (word[len] == ',');
    }
    return rc;
}

/* --- cells --- */

static size_t sequence_length(const char *text)
{
    unsigned char c = (unsigned char)*text;
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    char one[5] = "";

    if (strnlen(text, len) < len)
        return 0;
    memcpy(one, text, len);
    return utf8_valid(one) ? len : 0;
}

/* C0, DEL, C1, and what turns the direction of writing. */
static bool is_harmless(const char *text, size_t len)
{
    unsigned char a = (unsigned char)text[0], b = len > 1 ? (unsigned char)text[1] : 0;
    unsigned char c = len > 2 ? (unsigned char)text[2] : 0;

    if (len == 1)
        return a >= 0x20 && a != 0x7f;
    if (len == 2)
        return a != 0xc2 || b >= 0xa0;
    return !(len == 3 && a == 0xe2 &&
             ((b == 0x80 && c >= 0xa8 && c <= 0xae) || (b == 0x81 && c >= 0xa6 && c <= 0xa9)));
}

void out_safe(struct buf *out, const char *text)
{
    while (*text) {
        size_t len = sequence_length(text);
        if (len && is_harmless(text, len)) {
            buf_put(out, text, len);
        } else {
            len = len ? len : 1;
            for (size_t i = 0; i < len; i++)
                buf_printf(out, "\\x%02x", (unsigned char)text[i]);
        }
        text += len;
    }
}

unsigned out_width(const char *text)
{
    mbstate_t state = {0};
    wchar_t c;
    unsigned width = 0;

    for (size_t n; (n = mbrtowc(&c, text, strlen(text), &state)); text += n) {
        if (n == (size_t)-1 || n == (size_t)-2)
            return width + (unsigned)strlen(text);
        width += (unsigned)(wcwidth(c) > 0 ? wcwidth(c) : 0);
    }
    return width;
}

static void put_size(struct buf *out, double bytes)
{
    static const char units[] = "BKMGTP";
    unsigned unit = 0;

    while (bytes >= 1024 && unit < sizeof units - 2) {
        bytes /= 1024;
        unit++;
    }
    buf_printf(out, unit && bytes < 10 ? "%.1f %c" : "%.0f %c", bytes, units[unit]);
}

static void put_time(struct buf *out, const char *text)
{
    struct tm tm = {0}, local;
    char shown[32];
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t seconds = timegm(&tm);

    if (!end || !strchr(end, 'Z') || !localtime_r(&seconds, &local) ||
        !strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S", &local))
        out_safe(out, text);
    else
        buf_put_str(out, shown);
}

static void put_duration(struct buf *out, int64_t s)
{
    if (s >= 86400)
        buf_printf(out, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        buf_printf(out, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        buf_printf(out, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        buf_printf(out, "%" PRId64 " s", s);
}

static void put_plot(struct buf *out, const json_t *values)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    size_t i;
    json_t *value;

    json_array_foreach(values, i, value) most = MAX(most, json_number_value(value));
    json_array_foreach(values, i, value)
    {
        double v = json_number_value(value);
        buf_put_str(out, v < 0 ? " " : blocks[most > 0 ? (unsigned)(v / most * 7.0 + 0.5) : 0]);
    }
}

static void put_list(struct buf *out, const json_t *list);

/* As json and csv have it, without quotes. */
static void put_raw(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        buf_put_str(out, json_string_value(value));
    else if (json_is_boolean(value))
        buf_put_str(out, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        buf_printf(out, "%.10g", json_real_value(value));
    else if (json_is_array(value))
        put_list(out, value);
}

static void put_list(struct buf *out, const json_t *list)
{
    size_t i;
    json_t *value;

    json_array_foreach(list, i, value)
    {
        if (i)
            buf_put_str(out, ", ");
        put_raw(out, value);
    }
}

static void put_cell(struct buf *out, const struct column *column, const json_t *value)
{
    cleanup_buf struct buf raw = {0};

    if (!value || json_is_null(value))
        buf_put_str(out, "-");
    else if (column->kind == COLUMN_SIZE && json_is_number(value))
        put_size(out, json_number_value(value));
    else if (column->kind == COLUMN_TIME && json_is_string(value))
        put_time(out, json_string_value(value));
    else if (column->kind == COLUMN_DURATION && json_is_integer(value))
        put_duration(out, json_integer_value(value));
    else if (column->kind == COLUMN_PERCENT && json_is_number(value))
        buf_printf(out, "%.0f %%", json_number_value(value));
    else if (column->kind == COLUMN_BOOL && json_is_boolean(value))
        buf_put_str(out, json_is_true(value) ? "yes" : "no");
    else if (column->kind == COLUMN_PLOT && json_is_array(value))
        put_plot(out, value);
    else {
        put_raw(&raw, value);
        out_safe(out, buf_cstr(&raw));
    }
}

/* --- tables --- */

static bool to_the_right(const struct column *column)
{
    return column->kind == COLUMN_NUMBER || column->kind == COLUMN_SIZE ||
           column->kind == COLUMN_PERCENT;
}

static void print_padded(const char *text, unsigned width, bool right, bool last)
{
    int pad = (int)(width - MIN(out_width(text), width));

    if (right)
        (void)printf("%*s%s%s", pad, "", text, last ? "\n" : "  ");
    else
        (void)printf("%s%*s%s", text, last ? 0 : pad, "", last ? "\n" : "  ");
}

static void print_table(const struct selection *s, const json_t *rows)
{
    size_t count = json_array_size(rows);
    struct buf *cells = calloc(count * s->count + 1, sizeof *cells);
    unsigned width[COLUMNS_MAX];

    for (unsigned c = 0; cells && c < s->count; c++) {
        width[c] = out_width(s->column[c]->title);
        for (size_t r = 0; r < count; r++) {
            struct buf *cell = &cells[r * s->count + c];
            put_cell(cell, s->column[c],
                     json_object_get(json_array_get(rows, r), s->column[c]->name));
            width[c] = MAX(width[c], out_width(buf_cstr(cell)));
        }
    }
    for (unsigned c = 0; cells && c < s->count; c++)
        print_padded(s->column[c]->title, width[c], to_the_right(s->column[c]), c + 1 == s->count);
    for (size_t i = 0; cells && i < count * s->count; i++) {
        unsigned c = (unsigned)(i % s->count);
        print_padded(buf_cstr(&cells[i]), width[c], to_the_right(s->column[c]), c + 1 == s->count);
        buf_free(&cells[i]);
    }
    free(cells);
}

static void print_card(const struct selection *s, const json_t *object)
{
    unsigned width = 0;

    for (unsigned c = 0; c < s->count; c++)
        width = MAX(width, out_width(s->column[c]->title));
    for (unsigned c = 0; c < s->count; c++) {
        const json_t *value = json_object_get(object, s->column[c]->name);
        cleanup_buf struct buf cell = {0};
        if (!value || json_is_null(value))
            continue;
        put_cell(&cell, s->column[c], value);
        print_padded(s->column[c]->title, width, false, false);
        (void)printf("%s\n", buf_cstr(&cell));
    }
}

/* --- the others --- */

static json_t *chosen(const struct selection *s, const json_t *row)
{
    json_t *out = json_object();

    for (unsigned c = 0; c < s->count; c++) {
        json_t *value = json_object_get(row, s->column[c]->name);
        (void)json_object_set_new(out, s->column[c]->name,
                                  value ? json_incref(value) : json_null());
    }
    return out;
}

static void print_json(const json_t *value)
{
    size_t flags = JSON_INDENT(2) | JSON_ENCODE_ANY | (isatty(1) ? JSON_ENSURE_ASCII : 0);

    (void)json_dumpf(value, stdout, flags);
    (void)putchar('\n');
}

static void print_csv_cell(const char *raw)
{
    cleanup_buf struct buf safe = {0};

    if (isatty(STDOUT_FILENO)) {
        out_safe(&safe, raw);
        raw = buf_cstr(&safe);
    }
    if (!raw[strcspn(raw, ",\"\r\n")]) {
        (void)fputs(raw, stdout);
        return;
    }
    (void)putchar('"');
    for (; *raw; raw++) {
        if (*raw == '"')
            (void)putchar('"');
        (void)putchar(*raw);
    }
    (void)putchar('"');
}

static void print_csv_row(const struct selection *s, const json_t *row)
{
    for (unsigned c = 0; c < s->count; c++) {
        cleanup_buf struct buf raw = {0};
        if (row)
            put_raw(&raw, json_object_get(row, s->column[c]->name));
        print_csv_cell(row ? buf_cstr(&raw) : s->column[c]->name);
        (void)fputs(c + 1 < s->count ? "," : "\r\n", stdout);
    }
}

int out_rows(const struct command *command, const struct column *columns, unsigned count,
             const json_t *rows, struct err *err)
{
    struct selection s = {0};
    cleanup_json json_t *list = json_array();
    int rc = select_columns(command, columns, count, &s, err);
    size_t i;
    json_t *row;

    if (rc < 0)
        return rc;
    if (s.format == FORMAT_TABLE) {
        print_table(&s, rows);
        return 0;
    }
    if (s.format == FORMAT_CSV)
        print_csv_row(&s, NULL);
    json_array_foreach(rows, i, row)
    {
        if (s.format == FORMAT_CSV)
            print_csv_row(&s, row);
        else
            (void)json_array_append_new(list, chosen(&s, row));
    }
    if (s.format == FORMAT_JSON)
        print_json(list);
    return 0;
}

int out_object(const struct command *command, const struct column *columns, unsigned count,
               const json_t *object, struct err *err)
{
    struct selection s = {0};
    int rc = select_columns(command, columns, count, &s, err);

    if (rc < 0)
        return rc;
    if (s.format == FORMAT_TABLE) {
        print_card(&s, object);
    } else if (s.format == FORMAT_CSV) {
        print_csv_row(&s, NULL);
        print_csv_row(&s, object);
    } else {
        cleanup_json json_t *out = chosen(&s, object);
        print_json(out);
    }
    return 0;
}
