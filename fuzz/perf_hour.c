/* SPDX-License-Identifier: Apache-2.0 */
/* An hour of statistics of any bytes. The first byte says whether the sums are made right before,
 * so that what they guard is reached, too. What is read has its bounds, and only counters that
 * there are. */
#include "hostd/perf/hour.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz/fuzz.h"

enum { HEADER = 40, ROW = 28, COLUMN = 1100 }; /* as in hour.h */

static uint32_t sum(uLong before, const uint8_t *data, size_t size)
{
    return (uint32_t)crc32(before, data, (uInt)size);
}

static void make_right(uint8_t *file, size_t size)
{
    uint32_t room, crc;
    uint64_t first;

    if (size < HEADER)
        return;
    memcpy(&room, file + 8, sizeof room);
    memcpy(&first, file + 16, sizeof first);
    if (room && room <= (size - HEADER) / ROW) {
        crc = sum(0, file + HEADER, (size_t)room * ROW);
        memcpy(file + 32, &crc, sizeof crc);
    }
    crc = sum(0, file, 36);
    memcpy(file + 36, &crc, sizeof crc);
    for (uint64_t c = first; c - first < PERF_COLUMNS && room <= PERF_METRICS_MAX; c++) {
        size_t length = (size_t)room * 4;
        size_t at = HEADER + (size_t)room * ROW + (c % PERF_COLUMNS) * (length + 4);
        if (at + length + 4 > size)
            continue;
        crc = sum(crc32(0, (const Bytef *)&c, sizeof c), file + at, length);
        memcpy(file + at + length, &crc, sizeof crc);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct perf_series series = {0};
    uint8_t *file = size ? malloc(size) : NULL;

    if (!file)
        return 0;
    memcpy(file, data + 1, size - 1);
    if (data[0] & 1)
        make_right(file, size - 1);
    perf_hour_parse(file, size - 1, COLUMN, &series);
    FUZZ_CHECK(series.count <= PERF_METRICS_MAX && series.first <= series.next);
    FUZZ_CHECK(series.next - series.first <= PERF_COLUMNS && series.next <= COLUMN + 1);
    for (unsigned i = 0; i < series.count; i++)
        FUZZ_CHECK(series.metric[i].counter < PERF_COUNTERS &&
                   memchr(series.metric[i].instance, 0, PERF_INSTANCE_MAX));
    perf_series_free(&series);
    free(file);
    return 0;
}
