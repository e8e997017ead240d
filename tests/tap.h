/* SPDX-License-Identifier: Apache-2.0 */
/* A test program is a list of cases; it prints TAP and its exit status says whether all passed.
 *
 *     static void adds(void) { CHECK(1 + 1 == 2); CHECK_EQ(rc, -EINVAL); CHECK_STR(text, "x"); }
 *     TAP_MAIN(TAP_CASE(adds), ...)
 *
 * A failed check is reported with its place and values and fails its case; the case goes on.
 * REQUIRE leaves the case. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct tap_case {
    const char *name;
    void (*run)(void);
};

static unsigned tap_failures_; /* of the running case */

static inline bool tap_check_(bool ok, const char *file, int line, const char *text)
{
    if (!ok) {
        tap_failures_++;
        (void)printf("# %s:%d: %s\n", file, line, text);
    }
    return ok;
}

static inline bool tap_eq_(int64_t got, int64_t want, const char *file, int line, const char *text)
{
    if (got != want) {
        tap_failures_++;
        (void)printf("# %s:%d: %s is %lld (0x%llx), not %lld (0x%llx)\n", file, line, text,
                     (long long)got, (unsigned long long)got, (long long)want,
                     (unsigned long long)want);
    }
    return got == want;
}

static inline bool tap_str_(const char *got, const char *want, const char *file, int line,
                            const char *text)
{
    bool ok = got && want && !strcmp(got, want);
    if (!ok) {
        tap_failures_++;
        (void)printf("# %s:%d: %s is \"%s\", not \"%s\"\n", file, line, text, got ? got : "(null)",
                     want ? want : "(null)");
    }
    return ok;
}

#define CHECK(cond)          tap_check_(!!(cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(got, want)  tap_eq_((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) tap_str_(got, want, __FILE__, __LINE__, #got)
#define REQUIRE(cond)     \
    do {                  \
        if (!CHECK(cond)) \
            return;       \
    } while (0)

static inline int tap_run_(const struct tap_case *cases, size_t count)
{
    unsigned failed = 0;

    (void)printf("1..%zu\n", count);
    (void)fflush(stdout); /* a case that forks would print it again */
    for (size_t i = 0; i < count; i++) {
        tap_failures_ = 0;
        cases[i].run();
        failed += tap_failures_ != 0;
        (void)printf("%sok %zu - %s\n", tap_failures_ ? "not " : "", i + 1, cases[i].name);
        (void)fflush(stdout);
    }
    return failed != 0;
}

#define TAP_CASE(fn) \
    {                \
#fn, fn      \
    }
#define TAP_MAIN(...)                                           \
    int main(void)                                              \
    {                                                           \
        static const struct tap_case cases[] = {__VA_ARGS__};   \
        return tap_run_(cases, sizeof cases / sizeof cases[0]); \
    }
