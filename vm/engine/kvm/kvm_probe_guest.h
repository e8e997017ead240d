/* SPDX-License-Identifier: Apache-2.0 */
/* What kvm_probe.c and its guest program agree on: addresses in the guest's 256 KiB, and the steps.
 * Included by the assembler too, so only #define. */
#pragma once

#define PROBE_PORT 0x80

#define PROBE_PML4   0x1000
#define PROBE_PDPT   0x2000
#define PROBE_PD     0x3000
#define PROBE_PT     0x4000
#define PROBE_PML4_B 0x5000 /* the same, with its own PROBE_PT_B, which maps PROBE_PAGE_B */
#define PROBE_PDPT_B 0x6000
#define PROBE_PD_B   0x7000
#define PROBE_PT_B   0x8000
#define PROBE_PAGE_A 0x9000
#define PROBE_PAGE_B 0xa000
#define PROBE_IDT    0xb000
#define PROBE_GDT    0xd000
#define PROBE_DATA   0xe000
#define PROBE_XSAVE  0xf000
#define PROBE_CODE   0x10000
#define PROBE_STACK  0x20000
#define PROBE_MEMORY 0x40000

#define PROBE_LOOPS 10000

#define PROBE_STARTED      1
#define PROBE_CMPXCHG16B   2
#define PROBE_XSAVE_XRSTOR 3
#define PROBE_EXCEPTIONS   4
#define PROBE_PAGE_TABLES  5
#define PROBE_PAGE_FAULT   6
#define PROBE_MSRS         7
#define PROBE_SPEED        8
#define PROBE_DONE         9
#define PROBE_WRONG        0xee
