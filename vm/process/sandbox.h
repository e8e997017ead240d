/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's processes after they have started: each class of thread may make the system calls of its
 * row in sandbox.def and no other; another one ends the whole process (SIGSYS), which the parent
 * reports. The filters are made at build time (tools/gen/sandbox.c) and cost nothing to load.
 * docs/sandbox.md is the table for people. */
#pragma once

enum sandbox_class {
    SANDBOX_VMM_MAIN, /* vmm's loop: timers, control */
    SANDBOX_VMM_VCPU, /* runs guest instructions and the devices of vmm */
    SANDBOX_VMX_MAIN, /* vmx's loop: console, timers, control */
    SANDBOX_VMX_CALL, /* serves register accesses */
    SANDBOX_VMX_IO,   /* a device's disk or network thread */
    SANDBOX_VMM_IRQ,  /* the software engine's: eventfds and timers become interrupts */
    SANDBOX_RFB,      /* socle-rfb's loop: viewers */
    SANDBOX_CLASSES
};

/* From now on this process, threads to come included, opens nothing by name: Landlock, where the
 * kernel has it. For the time before the filters, which say the same and more; nothing when it is
 * missing. */
void sandbox_no_files(void);

/* Confines the calling thread for good. Ends the process if that cannot be done. Builds with
 * sanitizers are not confined: their run time makes calls of its own. */
void sandbox_enter(enum sandbox_class class);
