/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of socle-rfb: what it shares with the pair, and when it runs. That is from the
 * first moment on that somebody wants to look, and then as long as the VM. If it dies the VM goes
 * on, its viewers are gone, and the next one starts it anew. */
#pragma once

#include "base/loop.h"
#include "config/vmcfg.h"
#include "vm/process/spawn.h"

struct console_process {
    struct loop *loop;
    struct spawn_fds fds; /* of the program, but for its control socket */
    int listen;           /* socket for viewers, or -1 */
    char *name, *password;
    pid_t pid; /* 0: does not run */
    int control, pidfd;
    struct loop_source knock, exited; /* somebody waits at `listen`; the program has ended */
};

void console_process_init(struct console_process *console);
/* Makes memory and rings, which the pair gets too, and listens where the configuration says. */
int console_process_open(struct console_process *console, const struct vmcfg *cfg,
                         struct loop *loop, struct spawn_fds *vmm, struct spawn_fds *vmx,
                         struct err *err);
/* A socket for the messages of console.h. It stays the caller's. */
int console_process_connect(struct console_process *console, int socket, struct err *err);
void console_process_close(struct console_process *console);
