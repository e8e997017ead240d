/* SPDX-License-Identifier: Apache-2.0 */
/* Real-time clock and NVRAM: Motorola MC146818A (1984) with the second bank of 128 bytes that a PC
 * chip set adds (Intel ICH9 data sheet, 316972, 13.6). Ports 0x70/0x71 and 0x72/0x73, interrupt 8.
 * Lives in `vmm`.
 *
 * The guest's time is the host's UTC plus an offset, which the guest changes by setting the clock;
 * it goes on while the VM is stopped or moved. Nothing ticks: flags are worked out when somebody
 * looks, and a timer runs only while an enabled interrupt is yet to come. RAM, time and shutdown
 * code outlive a reset. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/machine/dev.h"

enum {
    RTC_CMOS_SIZE = 256,
    RTC_CMOS_SHUTDOWN = 0x0f,
    RTC_CMOS_CENTURY = 0x32, /* what the FADT's CENTURY field says */
    RTC_CMOS_IRQ = 8,
};

struct rtc_cmos_params {
    int64_t offset; /* guest's clock minus UTC, ns */
    /* RAM at power-on, by index; the clock's own registers (0x00-0x0d, 0x32) are ignored. */
    uint8_t ram[RTC_CMOS_SIZE];
};

/* Writes the memory sizes as PC firmware expects them: `low` bytes of RAM below 4 GiB, `high`
 * above. */
void rtc_cmos_set_memory(struct rtc_cmos_params *params, uint64_t low, uint64_t high);
/* Boot order for SeaBIOS: up to three of 1 (floppy), 2 (disk), 3 (CD), 4 (network), 0 for none. */
void rtc_cmos_set_boot(struct rtc_cmos_params *params, const uint8_t order[3]);

extern const struct dev_class rtc_cmos_class;

/* Guest's clock minus UTC as it is now, to be kept with the VM. Thread-safe. */
int64_t rtc_cmos_offset(void *dev);
/* Bit 7 of port 0x70: the guest has NMIs masked. */
bool rtc_cmos_nmi_masked(void *dev);
