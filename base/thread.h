/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that devices have for their I/O: named, without signals (those are the main
 * thread's), and confined by the process before they serve. */
#pragma once

#include <pthread.h>

/* What each such thread calls before it serves: the process puts its seccomp filter there; 0 or a
 * negative errno. Set once, before the first thread. */
void thread_set_hook(int (*hook)(void));
int thread_confine(void); /* on the thread; 0 without a hook */

/* Up to 15 bytes of `name` are shown by the system. Returns 0 or a negative errno. */
int thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *arg), void *arg);
