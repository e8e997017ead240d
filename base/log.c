/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *log_process = "socle";
static enum log_level log_least = LOG_INFO;
static int log_fd = STDERR_FILENO;

void log_open(const char *process, enum log_level least, int fd)
{
    log_process = process;
    log_least = least;
    log_fd = fd >= 0 ? fd : STDERR_FILENO;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    char line[1024];
    struct timespec now;
    struct tm tm;
    va_list ap;

    if (level < log_least)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             ".%03ldZ %s %s: ", now.tv_nsec / 1000000, log_process, names[level]);
    va_start(ap, fmt);
    int n = vsnprintf(line + used, sizeof line - used - 1, fmt, ap);
    va_end(ap);
    used += n < 0 ? 0 : (size_t)n;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    if (write(log_fd, line, used) < 0)
        return; /* nowhere left to say so */
}

int log_limit_pass(struct log_limit *limit)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const uint64_t window = UINT64_C(10000000000);
    struct timespec now;
    int held = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t t = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    (void)pthread_mutex_lock(&lock);
    if (t - limit->window_start >= window) {
        limit->window_start = t;
        limit->passed = 0;
        held = (int)limit->held;
        limit->held = 0;
    }
    if (limit->passed < LOG_BURST) {
        limit->passed++;
    } else {
        limit->held++;
        held = -1;
    }
    (void)pthread_mutex_unlock(&lock);
    return held;
}
