/* SPDX-License-Identifier: Apache-2.0 */
/* Random instructions for the decoder's tests: the same numbers from the same seed. */
#pragma once

#include <string.h>

#include "vm/engine/bt/opcode_table.h"

static uint64_t seed = 1;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Prefixes, then an opcode of the table or any, then anything. Small ModRM and SIB fields are as
 * likely as any others. */
static void random_insn(uint8_t bytes[32])
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64,
                                       0x65, 0x48, 0x41, 0x44, 0x4c, 0x40, 0x42, 0x66, 0xf2, 0xf3};
    unsigned at = 0;
    uint64_t dice = random64();

    for (unsigned i = 0; i < 32; i += 8) {
        uint64_t value = random64();
        memcpy(bytes + i, &value, 8);
    }
    if (!(dice & 0xff))
        return;
    unsigned count = (dice & 0xf00) ? (dice >> 12) & 3 : (dice >> 12) & 15;
    while (count--)
        bytes[at++] = prefixes[random64() % sizeof prefixes];
    const struct bt_opcode *row = &bt_opcodes[random64() % bt_opcodes_count];
    if (row->map >= BT_MAP_VEX) {
        if (dice & 0x70000) /* mostly without what would make it #UD */
            at = dice >> 19 & 1;
        bytes[0] = at == 1 ? 0x65 : bytes[0];
        bool two = row->map == BT_MAP_VEX && dice & 0x100000;
        bytes[at++] = two ? 0xc5 : 0xc4;
        if (!two)
            bytes[at] = (uint8_t)((bytes[at] & 0xe0) | (row->map - BT_MAP_VEX + 1));
        at += !two;
        bytes[at] = (uint8_t)((bytes[at] & 0xfc) | (row->value & BT_KEY_PREFIX));
        if (dice & 0x600000)
            bytes[at] |= 0x78;
        if (dice & 0x800000)
            bytes[at] = (uint8_t)((bytes[at] & 0x7f) | (row->value & BT_KEY_W ? 0x80 : 0));
        at++;
    } else {
        if (dice & 0x3000000 && at < 11) {
            static const uint8_t mandatory[4] = {0x3e, 0x66, 0xf3, 0xf2};
            bytes[at++] = mandatory[row->value & BT_KEY_PREFIX];
            if (row->value & BT_KEY_Q)
                bytes[at++] = (uint8_t)(0x48 | (dice >> 32 & 7));
        }
    }
    if (row->map && row->map < BT_MAP_VEX) {
        bytes[at++] = 0x0f;
        if (row->map > 1)
            bytes[at++] = row->map == 2 ? 0x38 : 0x3a;
    }
    bytes[at++] = (uint8_t)(row->first + random64() % (row->last - row->first + 1u));
    if ((dice & 0x3000000) && row->mask & 7 << BT_KEY_REG_SHIFT)
        bytes[at] = (uint8_t)((bytes[at] & 0xc7) | (row->value >> BT_KEY_REG_SHIFT & 7) << 3);
}
