/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA's window to video memory, 0xa0000-0xbffff: IBM PS/2 Hardware Interface Technical
 * Reference, "Video Subsystem": memory maps, write modes 0-3, read modes 0-1, latches.
 *
 * The four planes lie interleaved: byte `offset` of plane p is memory[offset * 4 + p]. Chain-4
 * addressing thus is linear, and so are the dispi's banks. */
#include "vm/dev/vga_core.h"

#include "base/bytes.h"
#include "base/range.h"

enum { NOWHERE = -1 };

/* Offset in the part of the window that is mapped (graphics register 6, bits 2-3), or NOWHERE. */
static int32_t mapped(const struct vga *v, uint32_t offset)
{
    static const struct {
        uint32_t base, size;
    } map[] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned i = v->gfx[GFX_MISC] >> 2 & 3;

    return offset - map[i].base < map[i].size ? (int32_t)(offset - map[i].base) : NOWHERE;
}

static bool chained(const struct vga *v)
{
    return v->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN4;
}

static bool odd_even(const struct vga *v)
{
    return !(v->seq[SEQ_MEMORY] & SEQ_MEMORY_SEQUENTIAL);
}

/* Where a linear access (dispi bank, chain-4) lands, or NULL. */
static uint8_t *linear(struct vga *v, uint32_t offset)
{
    uint64_t at = offset;

    if (vga_dispi_on(v) && v->dispi[DISPI_BPP] >= 8)
        at += (uint64_t)v->dispi[DISPI_BANK] << 16;
    else if (!chained(v))
        return NULL;
    return at < VGA_MEMORY_SIZE ? v->memory + at : NULL;
}

/* The four planes' bytes of one offset. */
static uint8_t *planes(struct vga *v, uint32_t offset)
{
    return v->memory + (offset * 4 & (VGA_PLANES_SIZE - 1));
}

static uint8_t compare(const struct vga *v)
{
    uint8_t differs = 0;

    for (unsigned p = 0; p < 4; p++) {
        uint8_t want = v->gfx[GFX_COMPARE] & BIT(p) ? 0xff : 0;
        if (v->gfx[GFX_DONT_CARE] & BIT(p))
            differs |= v->latch[p] ^ want;
    }
    return (uint8_t)~differs;
}

uint8_t vga_window_read(struct vga *v, uint32_t offset)
{
    int32_t at = mapped(v, offset);
    if (at == NOWHERE)
        return 0xff;
    uint8_t *byte = linear(v, (uint32_t)at);
    if (byte)
        return *byte;
    if (vga_dispi_on(v) && v->dispi[DISPI_BPP] >= 8)
        return 0xff; /* a bank past the memory */
    unsigned plane = v->gfx[GFX_READ_MAP] & 3;
    if (odd_even(v)) {
        plane = (plane & 2) | ((unsigned)at & 1);
        at >>= 1;
    }
    uint8_t *p = planes(v, (uint32_t)at);
    memcpy(v->latch, p, 4);
    return v->gfx[GFX_MODE] & GFX_MODE_READ1 ? compare(v) : v->latch[plane];
}

/* ALU: data and latch combined by register 3, then by the bit mask. */
static uint8_t combine(const struct vga *v, uint8_t data, uint8_t latch, uint8_t mask)
{
    switch (v->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1:
        data &= latch;
        break;
    case 2:
        data |= latch;
        break;
    case 3:
        data ^= latch;
        break;
    default:
        break;
    }
    return (uint8_t)((data & mask) | (latch & ~mask));
}

static uint8_t rotated(const struct vga *v, uint8_t data)
{
    unsigned n = v->gfx[GFX_ROTATE] & 7;

    return (uint8_t)(data >> n | data << (8 - n));
}

/* What plane p gets in the current write mode. */
static uint8_t plane_value(const struct vga *v, unsigned p, uint8_t data)
{
    uint8_t mask = v->gfx[GFX_BIT_MASK], set = v->gfx[GFX_SET_RESET] & BIT(p) ? 0xff : 0;

    switch (v->gfx[GFX_MODE] & 3) {
    case 0:
        if (!(v->gfx[GFX_SET_RESET_ENABLE] & BIT(p)))
            set = rotated(v, data);
        return combine(v, set, v->latch[p], mask);
    case 1:
        return v->latch[p];
    case 2:
        return combine(v, data & BIT(p) ? 0xff : 0, v->latch[p], mask);
    default:
        return combine(v, set, v->latch[p], mask & rotated(v, data));
    }
}

void vga_window_write(struct vga *v, uint32_t offset, uint8_t value)
{
    int32_t at = mapped(v, offset);
    uint8_t mask = v->seq[SEQ_MAP_MASK];
    if (at == NOWHERE)
        return;
    uint8_t *byte = linear(v, (uint32_t)at);
    if (byte) {
        if (vga_dispi_on(v) || (mask & BIT(at & 3)))
            *byte = value;
        return;
    }
    if (vga_dispi_on(v) && v->dispi[DISPI_BPP] >= 8)
        return;
    if (odd_even(v)) {
        mask &= at & 1 ? 0xa : 0x5;
        at >>= 1;
    }
    uint8_t *p = planes(v, (uint32_t)at);
    for (unsigned i = 0; i < 4; i++)
        if (mask & BIT(i))
            p[i] = plane_value(v, i, value);
}
