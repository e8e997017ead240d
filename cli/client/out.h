/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print: rows of one table of columns, for a person (table), a program (json) or a
 * spreadsheet (csv, RFC 4180 with a head line). A row is a JSON object with the columns' names as
 * members; json and csv show values as they are (bytes, ISO times), a table shows them readable.
 *
 * Names come from other people: control characters, and what is no UTF-8, are shown as \xNN in
 * tables, and in csv as soon as it goes to a terminal. */
#pragma once

#include "base/buf.h"
#include "cli/client/command.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_SIZE,     /* bytes */
    COLUMN_TIME,     /* of the API: 2026-11-20T13:00:00Z */
    COLUMN_DURATION, /* seconds */
    COLUMN_PERCENT,
    COLUMN_BOOL,
    COLUMN_PLOT, /* array of numbers: a small curve */
};

struct column {
    const char *name, *title;
    enum column_kind kind;
    bool wide; /* in tables only when --columns names it */
};

/* All rows; `rows` is borrowed. -EINVAL: --output or --columns make no sense. */
int out_rows(const struct command *command, const struct column *columns, unsigned count,
             const json_t *rows, struct err *err);
/* One object: in a table a line for each of its columns that is set. */
int out_object(const struct command *command, const struct column *columns, unsigned count,
               const json_t *object, struct err *err);
/* Is `--output` good, and is it a table? For commands that print as they go. */
int out_is_table(const struct command *command, bool *ret_table, struct err *err);

/* Control characters and bytes that are no UTF-8 made visible. */
void out_safe(struct buf *out, const char *text);
/* How wide it stands in a terminal. */
unsigned out_width(const char *text);
