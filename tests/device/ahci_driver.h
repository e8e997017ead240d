/* SPDX-License-Identifier: Apache-2.0 */
/* A driver of the SATA controller, as a guest's would be, for tests: one port's command list,
 * tables and received FISes in the harness's memory.
 *
 *     ahci_driver_start(&d, h, 0);
 *     CHECK_EQ(ahci_dma(&d, 0x25, 8, 1, AD_DATA, false), AD_OK);
 *
 * Whoever waits here gives up after HARNESS_WAIT_MS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/device/harness.h"
#include "vm/dev/ahci_regs.h"

enum {
    AD_LIST = 0x10000, /* 64 KiB for each port: list, FISes, tables of 1 KiB */
    AD_AREA = 0x10000,
    AD_FIS = 0x400,
    AD_TABLE = 0x1000,
    AD_TABLE_SIZE = 0x400,
    AD_DATA = 0x100000,
    AD_RAM = 0x200000,
};

/* What came of a command: the status register, and what is none. */
enum { AD_OK = 0x50, AD_FAILED = 0x51, AD_FATAL = 0x1000, AD_SILENCE = 0x2000 };

struct ahci_driver {
    struct harness *h;
    unsigned port;
};

/* One command. A `packet` makes it PACKET. */
struct ad_command {
    uint8_t code, feature, device;
    bool queued, write;
    uint64_t lba;
    uint16_t count;
    const uint8_t *packet;
    /* Its memory: `length` bytes at `data`, in regions of `piece` bytes (0: one). */
    uint64_t data;
    uint32_t length, piece;
};

uint32_t ad_in(struct ahci_driver *d, unsigned reg); /* of the port */
void ad_out(struct ahci_driver *d, unsigned reg, uint32_t value);
uint32_t ad_hba_in(struct ahci_driver *d, unsigned reg);
void ad_hba_out(struct ahci_driver *d, unsigned reg, uint32_t value);

/* Addresses, received FISes, signature, commands, interrupts. */
void ahci_driver_start(struct ahci_driver *d, struct harness *h, unsigned port);
void ad_restart(struct ahci_driver *d); /* after an error: ST off and on, causes cleared */

void ad_put(struct ahci_driver *d, unsigned slot, const struct ad_command *c);
void ad_issue(struct ahci_driver *d, uint32_t slots, bool queued);
/* Until all of `slots` have ended or one has failed. */
unsigned ad_wait(struct ahci_driver *d, uint32_t slots);
unsigned ad_run(struct ahci_driver *d, const struct ad_command *c); /* put, issue, wait; slot 0 */

unsigned ahci_dma(struct ahci_driver *d, uint8_t code, uint64_t lba, uint16_t count, uint64_t data,
                  bool write);
unsigned ahci_packet(struct ahci_driver *d, const uint8_t *packet, uint64_t data, uint32_t length);
/* The command's PRDBC. */
uint32_t ad_moved(struct ahci_driver *d, unsigned slot);
void ad_fis(struct ahci_driver *d, unsigned at, uint8_t fis[20]);
