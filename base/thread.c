/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

static int (*confine)(void);

void thread_set_hook(int (*hook)(void))
{
    confine = hook;
}

int thread_confine(void)
{
    return confine ? confine() : 0;
}

int thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *arg), void *arg)
{
    sigset_t all, before;
    char shown[16];

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(ret_thread, NULL, main, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return rc;
    (void)snprintf(shown, sizeof shown, "%s", name);
    (void)pthread_setname_np(*ret_thread, shown);
    return 0;
}
