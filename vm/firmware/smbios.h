/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's SMBIOS tables (DMTF DSP0134, version 3.0): types 0, 1, 2, 3, 4, 16, 17, 19, 32 and
 * 127, all strings from struct fw_identity. The table is position independent; its entry points are
 * made for a place. */
#pragma once

#include "base/buf.h"
#include "vm/firmware/firmware.h"

enum { SMBIOS_ENTRY21_SIZE = 31, SMBIOS_ENTRY30_SIZE = 24 };

/* For which entry point the table is: structures have their lengths by version. */
enum smbios_version { SMBIOS_2_8, SMBIOS_3_0 };

struct smbios {
    struct buf table;
    enum smbios_version version;
    char serial[FW_SERIAL_MAX];
    uint16_t count;   /* structures */
    uint16_t longest; /* structure, with its strings */
};

/* 0 or -ENOMEM; freed with smbios_free in every case. */
int smbios_build(const struct fw_machine *machine, enum smbios_version version,
                 struct smbios *ret_smbios);
void smbios_free(struct smbios *smbios);
#define cleanup_smbios CLEANUP(smbios_free)

/* Entry points for a table at `address`: the old one (5.2.1; -EOVERFLOW: the table is longer than
 * the 65,535 bytes it can describe) and the 64-bit one (5.2.2). */
int smbios_entry21(const struct smbios *smbios, uint32_t address,
                   uint8_t ret_entry[SMBIOS_ENTRY21_SIZE]);
void smbios_entry30(const struct smbios *smbios, uint64_t address,
                    uint8_t ret_entry[SMBIOS_ENTRY30_SIZE]);

#define SMBIOS_FILE_TABLES "etc/smbios/smbios-tables"
#define SMBIOS_FILE_ANCHOR "etc/smbios/smbios-anchor"
