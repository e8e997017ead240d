/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional requests (RFC 9110, 13): what a client knows of a file, compared with what it is.
 *
 * A file's tag is its inode, size and time of change in ns: one that was replaced has another, one
 * that was written in place too. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "hostd/http/parse.h"

/* 0: do as asked; 304 (GET and HEAD) or 412: answer that instead. `st` NULL: there is no file. */
int http_condition(const struct http_head *head, const struct stat *st);

/* Whether Range counts: If-Range, if there is one, names the file as it is. */
bool http_range_counts(const struct http_head *head, const struct stat *st);

/* "ETag" and "Last-Modified", lines with their CR LF. */
enum { HTTP_VALIDATORS_MAX = 160 };
void http_validators(const struct stat *st, char lines[HTTP_VALIDATORS_MAX]);
