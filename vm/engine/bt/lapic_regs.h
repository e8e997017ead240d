/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of the local APIC and their bits, as the SDM's volume 3, chapter 10, names them. For
 * lapic.c alone. */
#pragma once

#include <stdint.h>

/* Registers: offset / 16, or MSR - 800h (SDM tables 10-1 and 10-6). */
enum {
    ID = 0x02,
    VERSION = 0x03,
    TPR = 0x08,
    ARBITRATION = 0x09,
    PPR = 0x0a,
    EOI = 0x0b,
    REMOTE_READ = 0x0c,
    LDR = 0x0d,
    DFR = 0x0e,
    SVR = 0x0f,
    ISR = 0x10, /* eight each */
    TMR = 0x18,
    IRR = 0x20,
    ESR = 0x28,
    ICR = 0x30,
    ICR_HIGH = 0x31,
    LVT_TIMER = 0x32,
    LVT_THERMAL = 0x33,
    LVT_PERFORMANCE = 0x34,
    LVT_LINT0 = 0x35,
    LVT_LINT1 = 0x36,
    LVT_ERROR = 0x37,
    INITIAL_COUNT = 0x38,
    CURRENT_COUNT = 0x39,
    DIVIDE = 0x3e,
    SELF_IPI = 0x3f,
};

enum { VERSION_VALUE = 0x00050014, VECTORS = 256, FIRST_VECTOR = 16 };
enum { SVR_ENABLED = 0x100, SVR_WRITABLE = 0x3ff, DIVIDE_WRITABLE = 0xb };
enum { ESR_SEND_VECTOR = 0x20, ESR_RECEIVE_VECTOR = 0x40, ESR_REGISTER = 0x80 };

enum { VECTOR = 0xff, MODE_SHIFT = 8, MODE = 7 << MODE_SHIFT, MASKED = 1 << 16 };
enum { TIMER_PERIODIC = 1 << 17, TIMER_DEADLINE = 2 << 17, TIMER_MODE = 3 << 17 };
enum { LINT_WRITABLE = VECTOR | MODE | 1 << 13 | 1 << 15 | MASKED };

enum { ICR_LOGICAL = 1 << 11, ICR_STATUS = 1 << 12, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15 };
enum { ICR_SHORTHAND_SHIFT = 18, ICR_RESERVED_LOW = 0x3 << 16 | 1 << 13 };
enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };
#define ICR_RESERVED ((uint64_t)0xfff00000 | ICR_RESERVED_LOW)

enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLED = 1 << 11, BASE_RESERVED = 0x2ff };
enum { BASE_MODE = BASE_X2APIC | BASE_ENABLED, MSR_BASE = 0x800, PAGE_SHIFT = 12 };
