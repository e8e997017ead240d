/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/child.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vm/process/callslot.h"

enum { CONFIG_MAX = 1 << 20, STACK_SIZE = 256 << 10 };

static int read_config(struct vmcfg *cfg, struct err *err)
{
    struct stat st;

    if (fstat(VM_FD_CONFIG, &st) < 0 || st.st_size <= 0 || st.st_size > CONFIG_MAX)
        return err_set(err, -EINVAL, "no configuration was handed over");
    cleanup_free char *text = malloc((size_t)st.st_size);
    if (!text || pread(VM_FD_CONFIG, text, (size_t)st.st_size, 0) != st.st_size)
        return err_sys(err, -errno, "cannot read the configuration");
    (void)close_fd(VM_FD_CONFIG);
    return vmcfg_decode(text, (size_t)st.st_size, cfg, err);
}

/* The default of 8 MiB is room for transparent huge pages: the first touch of a stack would cost 2
 * MiB. */
static void small_stacks(void)
{
    pthread_attr_t attr;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    (void)pthread_setattr_default_np(&attr);
    (void)pthread_attr_destroy(&attr);
}

int child_init(struct child_env *env, const char *name, struct err *err)
{
    tzset(); /* log_at needs no file any more */
    log_open(name, LOG_INFO, -1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    small_stacks();
    callslot_setup();

    int rc = loop_create(&env->loop);
    if (rc < 0)
        return err_sys(err, rc, "event loop");
    rc = read_config(&env->cfg, err);
    if (rc == 0)
        rc = gmem_attach(VM_FD_RAM, &env->gmem, err);
    if (rc == 0)
        rc = link_shared_map(VM_FD_SHARED, &env->shared, err);
    return rc;
}

static void report(struct child_env *env, enum vm_end end, uint8_t status, const char *text)
{
    struct link_message m = {.kind = LINK_ENDED, .value = end, .status = status};

    if (env->reported)
        return;
    env->reported = true;
    (void)snprintf(m.text, sizeof m.text, "%s", text ? text : "");
    (void)link_send(VM_FD_CONTROL, &m, NULL, 0);
}

void child_report(struct child_env *env, enum vm_end end, const char *text)
{
    report(env, end, 0, text);
}

void child_report_exit(struct child_env *env, uint8_t status)
{
    char text[64];

    (void)snprintf(text, sizeof text, "the guest ended with exit status %u", status);
    report(env, VM_END_EXIT, status, text);
}

void child_started(struct child_env *env)
{
    struct link_message m = {.kind = LINK_STARTED};

    (void)env;
    (void)link_send(VM_FD_CONTROL, &m, NULL, 0);
}
