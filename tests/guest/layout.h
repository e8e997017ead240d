/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest programs and the harness agree on: where things are in the guest, and how it talks
 * to the harness. Included by the assembler too, so only #define.
 *
 * The harness starts a program in long mode at CPL 0, everything below 4 GiB mapped one to one by
 * 2-MiB pages, the program's number in rdi. */
#pragma once

#define GUEST_RAM        0x1000000 /* 16 MiB */
#define GUEST_TRAMPOLINE 0x8000    /* started processors begin here, in real mode */
#define GUEST_PML4       0x10000
#define GUEST_PDPT       0x11000
#define GUEST_PD         0x12000 /* four pages */
#define GUEST_GDT        0x16000
#define GUEST_IMAGE      0x100000
#define GUEST_DIRTY      0x400000 /* pages that the dirty-log program writes */
#define GUEST_TSEG       0xc00000 /* 1 MiB, seen in system management mode only */

#define SEL_CODE64 0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18

/* In the GDT of legacy.c */
#define SEL_TASK_A 0x30
#define SEL_TASK_B 0x38
#define SEL_TASK_C 0x40

/* In the GDT of user_init() */
#define SEL_USER_CODE32 0x23
#define SEL_USER_DATA   0x2b
#define SEL_USER_CODE64 0x33
#define SEL_TSS         0x38
#define SEL_GATE        0x4b

/* 32-bit ports of the harness */
#define CTL_RESULT  0x500 /* a value for the harness */
#define CTL_FAIL    0x504 /* a check failed at this line */
#define CTL_DONE    0x508 /* the program has ended */
#define CTL_COMMAND 0x50c /* asks the harness to do something; reads back what came of it */

/* A device that is plain memory, byte for byte, at ports and in memory */
#define ECHO_PORT      0x600
#define ECHO_PORT_SIZE 0x10
#define ECHO_MMIO      0xd0000000
#define ECHO_MMIO_SIZE 0x2000

#define BELL_PORT 0x680
#define BELL_MMIO 0xd0010000
#define ROM       0xe0000000 /* one page, read only; writes go to the echo device's log */

#define EXITS 10000 /* of each kind, in port_loop */

/* Commands */
#define CMD_PULSE_5      1 /* line 5: up and down */
#define CMD_IRQFD_10     2 /* line 10 by eventfd, with resampling; asserted twice in all */
#define CMD_RESAMPLED    3 /* how often the end of interrupt was seen */
#define CMD_PULSE_4      4
#define CMD_MSI_BIND     5 /* a route to vector 0x60, bound to an eventfd */
#define CMD_MSI_SIGNAL   6
#define CMD_MSI_MOVE     7 /* the bound route to vector 0x62 */
#define CMD_MSI_SEND     8 /* vector 0x61 without a route */
#define CMD_MSI_NONSENSE 9 /* the bound route to an address that is no message's */
#define CMD_NMI          10
#define CMD_SMI          11
#define CMD_TARGET       12         /* the APIC id of the processor to start */
#define CMD_MSI_TARGET   13         /* vector 0x72 to it, as a message */
#define CMD_DMA_AT       0x40000000 /* with a physical address: where the next CMD_DMA writes */
#define CMD_DMA          0x20000000 /* with a byte, which is written as a device would */
