/* SPDX-License-Identifier: Apache-2.0 */
/* The person's end of a VM's serial port: carries bytes between a terminal (or pipe, or file) and a
 * stream socket whose other end the VM has.
 *
 * With a terminal: raw mode, so that every key goes to the guest. Ctrl-A is ours: then x ends the
 * VM, p presses its power button, 1 to 9 are slots with hot-plug, h or ? shows help, Ctrl-A or a
 * sends one Ctrl-A. The terminal is as before when terminal_close returns, when the process exits,
 * crashes (SIGSEGV and its like) or is stopped and continued. Without one: bytes pass as they are
 * and the end of input ends nothing.
 *
 * One per process, because signals and the terminal are the process's. Runs in the thread of the
 * loop. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"

struct terminal;

/* What the person wants besides typing. Where there is no function the keys do nothing. */
struct terminal_user {
    void (*quit)(void *ctx);                /* Ctrl-A x */
    void (*power_button)(void *ctx);        /* Ctrl-A p */
    void (*slot)(void *ctx, unsigned slot); /* Ctrl-A 1 to 9 */
    void *ctx;
    const char *help;   /* for Ctrl-A h, with its line ends; NULL: that of `socle run` */
    bool bracket_quits; /* Ctrl-] is Ctrl-A x */
    void (*input_ended)(void *ctx); /* there will be no more; may be said twice */
};

/* `in` and `out` are borrowed, and two different descriptors; so is `user`. *ret_vm_fd is the VM's
 * end of the socket pair, the caller's. */
int terminal_open(struct loop *loop, int in, int out, const struct terminal_user *user,
                  struct terminal **ret_terminal, int *ret_vm_fd, struct err *err);

/* Writes what the VM still sent (it has a second's time), restores the terminal. Accepts NULL. */
void terminal_close(struct terminal *terminal);

/* Restores the terminal; safe in signal handlers, harmless when nothing is raw. */
void terminal_restore(void);
