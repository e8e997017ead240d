/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names and values in a message come from files and guests: none of their control characters
 * reaches a terminal or starts a second line of a log. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static void append_sys(struct err *err, int code)
{
    size_t used = strlen(err->text);
    char buf[128];

    (void)snprintf(err->text + used, sizeof err->text - used, ": %s",
                   strerror_r(-code, buf, sizeof buf));
}

static void __attribute__((format(printf, 3, 0)))
set_text(struct err *err, int code, const char *fmt, va_list ap)
{
    err->code = code;
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
    make_one_line(err->text);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_text(err, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

int err_sys(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_text(err, code, fmt, ap);
        va_end(ap);
        append_sys(err, code);
    }
    return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
    char head[ERR_TEXT_MAX], cause[ERR_TEXT_MAX];
    va_list ap;

    if (!err)
        return code;
    if (!err->code) {
        err->code = code;
        (void)snprintf(cause, sizeof cause, "%s", strerror_r(-code, head, sizeof head));
    } else {
        memcpy(cause, err->text, sizeof cause);
    }
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    make_one_line(head);

    size_t used = strlen(head);
    memcpy(err->text, head, used + 1);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", cause);
    return err->code;
}
