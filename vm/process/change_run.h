/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of vm_change (run.h): what the thread works on, which is its own until it has ended.
 */
#pragma once

#include <stdatomic.h>

#include "vm/machine/gmem.h"
#include "vm/process/change.h"
#include "vm/process/link.h"

struct change_machine {
    int vmm, vmx; /* control sockets */
    const struct gmem *gmem;
    struct vmcfg *cfg; /* what the VM is; follows what is done */
    bool paused;       /* it stands still between changes: restored, not yet let go */
    atomic_uint percent;
    void (*tell)(void *ctx); /* `percent` has changed; from the thread */
    void *tell_ctx;
    bool no_space;  /* a write waits for room; to be tried again */
    bool has_ended; /* `last_word`, a LINK_ENDED, came instead of an answer */
    struct link_message last_word;
    struct err lost; /* code 0, or why the VM has lost a disk and can not go on */
};

void change_run(struct change_machine *m, struct vm_change *change);
