/* SPDX-License-Identifier: Apache-2.0 */
/* What a person will read when something failed. Functions return 0 or a negative errno for the
 * program and, where the reason matters to somebody, fill a `struct err` on the way. The innermost
 * cause comes last:
 *
 *     cannot open disk "a.vmdk": extent "../b": path leaves the folder of the descriptor
 *
 * A `struct err *` may always be NULL. The message is cut, never overrun, and one line: control
 * characters in it become '?'. Libraries fill it; processes print it. */
#pragma once

#include <stddef.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
    int code; /* negative errno, 0 when nothing was set */
    char text[ERR_TEXT_MAX];
};

#define ERR_INIT ((struct err){0})

/* Sets the message and returns `code`, so that a failure is one statement: `return err_set(err,
 * -EINVAL, "...")`. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the system's text for `code` behind it. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts context and ": " in front of what is there already; returns the code that is there, or
 * `code` if none is. */
int err_prefix(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
