/* SPDX-License-Identifier: Apache-2.0 */
/* One line a message, to standard error: time, process, level, text. Processes log; libraries
 * return errors. Whatever a guest or client can trigger goes through log_limited, which counts what
 * it swallows. Thread-safe. */
#pragma once

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `process` is borrowed for the life of the process; `fd` -1 means standard error. */
void log_open(const char *process, enum log_level least, int fd);

void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/* At most `LOG_BURST` lines in ten seconds from one place; the next line that passes says how many
 * were held back. */
enum { LOG_BURST = 5 };
struct log_limit {
    uint64_t window_start; /* ns, CLOCK_MONOTONIC */
    unsigned passed, held;
};
int log_limit_pass(
    struct log_limit *limit); /* number held back before this one, or -1: hold this one too */

#define log_limited(level, ...)                                          \
    do {                                                                 \
        static struct log_limit log_limit_;                              \
        int log_held_ = log_limit_pass(&log_limit_);                     \
        if (log_held_ > 0)                                               \
            log_at(level, "(%d similar messages held back)", log_held_); \
        if (log_held_ >= 0)                                              \
            log_at(level, __VA_ARGS__);                                  \
    } while (0)
