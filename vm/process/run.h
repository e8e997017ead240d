/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one VM from start to end for a caller who owns an event loop: `socle run` now, tests too.
 *
 * vm_run starts the pair `vmm` and `vmx`, puts its own sources (the processes' pidfds, their
 * control sockets) into the caller's loop, runs that loop until the VM has ended, and leaves
 * nothing behind: both processes are dead and reaped when it returns, whatever happened.
 *
 * loop_stop(loop, VM_END_STOPPED), by a callback, another thread or a signal handler, is how
 * anyone ends the VM. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "config/vmcfg.h"

enum vm_end {
    VM_END_POWER_OFF,    /* the guest switched itself off */
    VM_END_STOPPED,      /* somebody outside asked */
    VM_END_TRIPLE_FAULT, /* the guest can not go on; err has the details there are */
    VM_END_DIED,         /* vmm or vmx ended by itself; err says which and how */
    VM_END_NO_ENGINE,    /* not started: err says why the engine can not be used here */
    VM_END_BAD_FILE,     /* not started: err names the file and the reason */
    VM_END_MAX,
};

/* Returns an enum vm_end, or a negative errno (with err) when the host failed us. `console_fd` is
 * the VM's end of a stream socket pair when cfg->serial is VMCFG_SERIAL_STDIO, otherwise -1;
 * taken: closed here in every case. */
int vm_run(const struct vmcfg *cfg, int console_fd, struct loop *loop, struct err *err);
