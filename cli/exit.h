/* SPDX-License-Identifier: Apache-2.0 */
/* How `socle` ends; socle(1) promises these numbers to scripts. `socle run --debug-exit` ends with
 * the guest's. */
#pragma once

enum exit_status {
    EXIT_OK = 0,           /* done; for `run`: the guest switched itself off */
    EXIT_FAILED = 1,       /* the host failed us: memory, permissions, a full disk ... */
    EXIT_USAGE = 2,        /* the command line makes no sense */
    EXIT_BAD_FILE = 3,     /* a file is missing, can not be read, or is not what it should be */
    EXIT_NO_ENGINE = 4,    /* the engine asked for does not work on this machine */
    EXIT_TRIPLE_FAULT = 5, /* the guest's CPU could not go on */
    EXIT_VM_DIED = 6,      /* one of the VM's processes ended by itself */
    EXIT_STOPPED = 7,      /* ended from outside: Ctrl-A x or a signal */
};
