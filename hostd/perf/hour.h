/* SPDX-License-Identifier: Apache-2.0 */
/* A series (series.h) as a file, run/perf/ID, so that the last hour outlives hostd, kill -9
 * included. Each column is written when it was measured, some hundred bytes, and nobody waits for
 * the disk: a power cut may cost the hour, or columns of it. The whole file is written anew when
 * the rows need more room.
 *
 *   header   "SocleHr3", room, rows (u32), first, next (u64), CRC-32 of the rows, of the header
 * (u32) rows     [room]: the counter's key (i32), the instance (40 bytes) columns  [PERF_COLUMNS]:
 * [room] of i32, CRC-32 of c (u64) and these; column c is at c % PERF_COLUMNS
 *
 * Numbers are the machine's: a file does not leave it. What is not as it should be is no file, and
 * a row whose counter this build does not have is left out, a column that is not whole too. */
#pragma once

#include "hostd/perf/series.h"

/* What of a series is in its file; zeroed at first. */
struct perf_hour {
    unsigned room, count;
    uint64_t next;
};

/* Errors are nobody's concern: the hour is in memory, too. */
void perf_hour_write(struct perf_hour *hour, const char *path, const struct perf_series *series);
/* Into an empty series, if the file's last column is one of the PERF_COLUMNS before `column`. */
void perf_hour_read(const char *path, uint64_t column, struct perf_series *ret_series);
/* The same of a file's bytes. */
void perf_hour_parse(const uint8_t *data, size_t len, uint64_t column,
                     struct perf_series *ret_series);
