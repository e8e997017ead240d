/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership made visible: a variable that owns something says so where it is declared, and handing
 * it over is a word in the text (TAKE_PTR, TAKE_FD). Every destroy function accepts NULL and
 * half-built objects, so one exit path serves all. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands over: yields the value and leaves the empty one behind. */
#define TAKE_PTR(p)                      \
    ({                                   \
        __auto_type take_pp_ = &(p);     \
        __auto_type take_v_ = *take_pp_; \
        *take_pp_ = NULL;                \
        take_v_;                         \
    })
#define TAKE_FD(fd)              \
    ({                           \
        int *take_pf_ = &(fd);   \
        int take_f_ = *take_pf_; \
        *take_pf_ = -1;          \
        take_f_;                 \
    })

static inline void cleanup_free_(void *p)
{
    free(*(void **)p);
}

/* Closes if open; always yields -1, for `fd = close_fd(fd)`. */
static inline int close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static inline void cleanup_fd_(int *fd)
{
    *fd = close_fd(*fd);
}

#define cleanup_free CLEANUP(cleanup_free_)
#define cleanup_fd   CLEANUP(cleanup_fd_)

/* Declares `cleanup_NAME`, the attribute of a variable that owns a `struct TYPE *` destroyed by FN.
 */
#define DEFINE_CLEANUP(type, fn)              \
    static inline void fn##_cleanup_(type *p) \
    {                                         \
        fn(*p);                               \
    }
