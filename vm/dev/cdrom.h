/* SPDX-License-Identifier: Apache-2.0 */
/* A CD and DVD drive as packets see it (SPC-3, MMC-5), whatever they arrive by: a pure function of
 * a packet and the drive's state. It reads; it writes nothing.
 *
 * The medium is an image of `size` bytes, 0: none. It is locked in by PREVENT ALLOW, and the tray
 * goes in and out by START STOP UNIT: while it is out there is no medium. Whoever has the image may
 * give another one at any time, lock or not (that is the host's hand): cdrom_changed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/state.h"

enum { CDROM_PACKET = 16, CDROM_BLOCK = 2048, CDROM_DATA_MAX = 2064 };

struct cdrom {
    uint8_t key, asc, ascq; /* sense of the last command that failed */
    uint8_t attention;      /* a unit attention waits: the medium may have changed */
    uint8_t event;          /* enum cdrom_event, for GET EVENT STATUS NOTIFICATION */
    uint8_t open, locked;
};

enum cdrom_answer {
    CDROM_DATA,  /* `length` bytes of data, 0: none */
    CDROM_READ,  /* `blocks` from `lba` on, within the medium */
    CDROM_CHECK, /* failed: key, asc and ascq */
};

struct cdrom_reply {
    uint32_t length, lba, blocks;
};

/* `data` has CDROM_DATA_MAX bytes. */
enum cdrom_answer cdrom_command(struct cdrom *cd, uint64_t size, const uint8_t packet[CDROM_PACKET],
                                uint8_t *data, struct cdrom_reply *ret_reply);
/* A read that was answered came to nothing. */
void cdrom_read_failed(struct cdrom *cd, int error);
/* Another medium, or none any more. It closes the tray. */
void cdrom_changed(struct cdrom *cd, uint64_t size);
/* Unlocked; the tray stays where it is. */
void cdrom_reset(struct cdrom *cd);

extern const struct state_table cdrom_state;
