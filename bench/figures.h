/* SPDX-License-Identifier: Apache-2.0 */
/* Measures an operation in a guest: an eighth of the count to warm up, then the count between two
 * marks. */
#pragma once

#include "lab/lab.h"

#define FIGURE(mark, name, count) name##_MARK = (mark), name##_COUNT = (count),
enum figure {
    BENCH_BEGIN = 10,
#include "bench/figures.def"
};
#undef FIGURE

#define MEASURE(name, operation)                      \
    do {                                              \
        for (int i_ = 0; i_ < name##_COUNT / 8; i_++) \
            operation;                                \
        LAB_MARK(BENCH_BEGIN);                        \
        for (int i_ = 0; i_ < name##_COUNT; i_++)     \
            operation;                                \
        LAB_MARK(name##_MARK);                        \
    } while (0)
