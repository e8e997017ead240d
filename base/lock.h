/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex held to the end of the scope:
 *
 *     LOCK_SCOPE(&dev->lock);
 *
 * One a scope; leaving it by any way unlocks. */
#pragma once

#include <pthread.h>

#include "base/cleanup.h"

static inline pthread_mutex_t *lock_acquire_(pthread_mutex_t *mutex)
{
    (void)pthread_mutex_lock(mutex);
    return mutex;
}

static inline void lock_release_(pthread_mutex_t **mutex)
{
    (void)pthread_mutex_unlock(*mutex);
}

#define LOCK_SCOPE(mutex)                                                         \
    pthread_mutex_t *lock_scope_ CLEANUP(lock_release_) __attribute__((unused)) = \
        lock_acquire_(mutex)
