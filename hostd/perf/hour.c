/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/hour.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"

struct header {
    char magic[8];
    uint32_t room, count;
    uint64_t first, next;
    uint32_t rows_crc, crc; /* of all before */
};

struct row {
    int32_t key;
    char instance[PERF_INSTANCE_MAX];
};

static const char magic[8] = {'S', 'o', 'c', 'l', 'e', 'H', 'r', '3'};

static uint32_t crc_of(const struct header *h)
{
    return (uint32_t)crc32(0, (const Bytef *)h, offsetof(struct header, crc));
}

/* One of an hour ago in the same place is another one. */
static uint32_t crc_of_column(uint64_t column, const void *values, size_t size)
{
    uLong crc = crc32(0, (const Bytef *)&column, sizeof column);

    return (uint32_t)crc32(crc, values, (uInt)size);
}

static size_t column_size(unsigned room)
{
    return room * sizeof(int32_t) + sizeof(uint32_t);
}

static size_t column_at(unsigned room, uint64_t column)
{
    return sizeof(struct header) + room * sizeof(struct row) +
           (size_t)(column % PERF_COLUMNS) * column_size(room);
}

static struct header header_of(const struct perf_series *series, const struct buf *rows)
{
    struct header h = {.room = series->room,
                       .count = series->count,
                       .first = series->first,
                       .next = series->next,
                       .rows_crc = (uint32_t)crc32(0, rows->data, (uInt)rows->len)};

    memcpy(h.magic, magic, sizeof magic);
    h.crc = crc_of(&h);
    return h;
}

static void put_rows(struct buf *out, const struct perf_series *series)
{
    for (unsigned i = 0; i < series->room; i++) {
        struct row row = {0};
        if (i < series->count) {
            row.key = perf_counters[series->metric[i].counter].key;
            memcpy(row.instance, series->metric[i].instance, sizeof row.instance);
        }
        buf_put(out, &row, sizeof row);
    }
}

static void put_column(struct buf *out, const struct perf_series *series, uint64_t column)
{
    size_t from = out->len;

    for (unsigned i = 0; i < series->room; i++) {
        int32_t value =
            i < series->count ? series->metric[i].column[column % PERF_COLUMNS] : PERF_NONE;
        buf_put(out, &value, sizeof value);
    }
    if (out->failed)
        return;
    uint32_t crc = crc_of_column(column, out->data + from, out->len - from);
    buf_put(out, &crc, sizeof crc);
}

/* The columns that the series has had, whole or not: the newest of each place. */
static uint64_t newest_at(const struct perf_series *series, unsigned place)
{
    uint64_t last = series->next ? series->next - 1 : 0;
    uint64_t back = (last % PERF_COLUMNS + PERF_COLUMNS - place) % PERF_COLUMNS;

    return last - MIN(back, last);
}

static int write_all(const char *path, const struct perf_series *series)
{
    cleanup_buf struct buf rows = {0}, out = {0};
    char beside[256];

    put_rows(&rows, series);
    const struct header h = header_of(series, &rows);
    buf_put(&out, &h, sizeof h);
    buf_put(&out, rows.data, rows.len);
    for (unsigned c = 0; c < PERF_COLUMNS; c++)
        put_column(&out, series, newest_at(series, c));
    (void)snprintf(beside, sizeof beside, "%.240s.new", path);
    cleanup_fd int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (rows.failed || out.failed || fd < 0 || file_write_all(fd, out.data, out.len) < 0)
        return -1;
    return rename(beside, path);
}

/* The columns first, then the header that counts them. */
static int write_news(const struct perf_hour *hour, const char *path,
                      const struct perf_series *series)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_buf struct buf rows = {0};
    uint64_t from = MAX(MAX(hour->next, series->first),
                        series->next - MIN(series->next, (uint64_t)PERF_COLUMNS));

    put_rows(&rows, series);
    bool ok = fd >= 0 && !rows.failed;
    for (uint64_t c = from; c < series->next && ok; c++) {
        cleanup_buf struct buf out = {0};
        put_column(&out, series, c);
        ok = !out.failed &&
             pwrite(fd, out.data, out.len, (off_t)column_at(series->room, c)) == (ssize_t)out.len;
    }
    const struct header h = header_of(series, &rows);
    if (ok && series->count != hour->count)
        ok = pwrite(fd, rows.data, rows.len, sizeof h) == (ssize_t)rows.len;
    return ok && pwrite(fd, &h, sizeof h, 0) == sizeof h ? 0 : -1;
}

void perf_hour_write(struct perf_hour *hour, const char *path, const struct perf_series *series)
{
    bool anew = !series->room || hour->room != series->room || hour->next > series->next;
    int rc = anew ? -1 : write_news(hour, path, series);

    if (rc < 0 && series->room)
        rc = write_all(path, series);
    *hour = rc < 0 ? (struct perf_hour){0}
                   : (struct perf_hour){series->room, series->count, series->next};
}

/* --- reading --- */

static bool is_whole(const uint8_t *data, size_t len, const struct header *h, uint64_t column)
{
    return !memcmp(h->magic, magic, sizeof magic) && h->crc == crc_of(h) && h->room &&
           h->room <= PERF_METRICS_MAX && h->count <= h->room && h->first <= h->next &&
           h->next - h->first <= PERF_COLUMNS && h->next <= column + 1 &&
           column - MIN(h->next, column) < PERF_COLUMNS &&
           len == column_at(h->room, PERF_COLUMNS - 1) + column_size(h->room) &&
           h->rows_crc == (uint32_t)crc32(0, data + sizeof *h, h->room * sizeof(struct row));
}

/* One column as values; none: nothing was measured in it, or it never reached the disk. */
static void take_column(const uint8_t *data, const struct header *h, uint64_t column,
                        struct perf_values *values)
{
    const uint8_t *at = data + column_at(h->room, column);
    size_t size = h->room * sizeof(int32_t);
    uint32_t crc;

    values->count = 0;
    memcpy(&crc, at + size, sizeof crc);
    if (crc != crc_of_column(column, at, size))
        return;
    for (unsigned i = 0; i < h->count; i++) {
        struct row row;
        int32_t value;
        memcpy(&row, data + sizeof *h + i * sizeof row, sizeof row);
        memcpy(&value, at + i * sizeof value, sizeof value);
        int counter = perf_counter_find(row.key);
        row.instance[sizeof row.instance - 1] = '\0';
        if (counter >= 0 && value != PERF_NONE)
            perf_add(values, (enum perf_counter)counter, row.instance, value);
    }
}

void perf_hour_parse(const uint8_t *data, size_t len, uint64_t column,
                     struct perf_series *ret_series)
{
    struct perf_values values = {0};
    struct header h;

    if (len < sizeof h)
        return;
    memcpy(&h, data, sizeof h);
    if (!is_whole(data, len, &h, column))
        return;
    for (uint64_t c = h.first; c < h.next; c++) {
        take_column(data, &h, c, &values);
        if (values.count)
            perf_series_add(ret_series, c, &values);
    }
    perf_values_free(&values);
}

void perf_hour_read(const char *path, uint64_t column, struct perf_series *ret_series)
{
    enum { MAX_BYTES = 8 << 20 };
    cleanup_buf struct buf data = {0};

    if (file_load(AT_FDCWD, path, MAX_BYTES, &data, NULL) == 0)
        perf_hour_parse(data.data, data.len, column, ret_series);
}
