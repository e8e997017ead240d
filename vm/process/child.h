/* SPDX-License-Identifier: Apache-2.0 */
/* What `vmm` and `vmx` have in common at their start: they take up the descriptors of enum vm_fd,
 * and report their end to the parent. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "config/vmcfg.h"
#include "vm/machine/gmem.h"
#include "vm/process/link.h"
#include "vm/process/run.h"

struct child_env {
    struct vmcfg cfg;
    struct gmem *gmem;
    struct link_shared *shared;
    struct loop *loop;
    bool reported;
};

/* Ends with the parent, ignores the terminal's signals, has no core of guest memory; reads the
 * configuration, maps the memory. */
int child_init(struct child_env *env, const char *name, struct err *err);

/* Tells the parent; only the first report counts. */
void child_report(struct child_env *env, enum vm_end end, const char *text);
void child_report_exit(struct child_env *env, uint8_t status); /* VM_END_EXIT */
void child_started(struct child_env *env);
