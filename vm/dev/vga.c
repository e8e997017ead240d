/* SPDX-License-Identifier: Apache-2.0 */
/* The display's registers: Bochs VBE ("dispi", index and data), IBM VGA (IBM PS/2 Hardware
 * Interface Technical Reference, 1991, "Video Subsystem"), and both again as memory in BAR 2 (QEMU,
 * docs/specs/standard-vga.rst). Missing on purpose: retrace in time (status bits just alternate),
 * CGA's odd memory maps, light pen, monochrome ports (0x3b0) and the frame buffer's byte order. */
#include "vm/dev/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/dev/vga_core.h"

enum {
    REGION_MEMORY,
    REGION_MMIO,
    REGION_PORTS, /* 0x3c0-0x3df */
    REGION_DISPI, /* 0x1ce index, 0x1cf (and 0x1d0) data */
    REGION_WINDOW,

    MMIO_EDID = 0,
    MMIO_PORTS = 0x400,
    MMIO_DISPI = 0x500,

    STATUS1_DISPLAY_OFF = 0x01,
    STATUS1_RETRACE = 0x08,
    MISC_COLOR = 0x01,

    DISPI_ID_FIRST = 0xb0c0,
    DISPI_ID_LAST = 0xb0c5,
    DISPI_MAX_X = 2560,
    DISPI_MAX_Y = 1600,
    DISPI_MAX_BPP = 32,
};

/* Dispi. */

uint32_t vga_dispi_stride(const struct vga *v)
{
    uint32_t bpp = v->dispi[DISPI_BPP], width = v->dispi[DISPI_VIRT_WIDTH];

    return bpp == 4 ? width / 2 : width * ((bpp + 7) / 8);
}

static bool dispi_valid(const struct vga *v)
{
    uint32_t bpp = v->dispi[DISPI_BPP], bytes = bpp == 4 ? 1 : (bpp + 7) / 8;
    uint64_t need = (uint64_t)v->dispi[DISPI_XRES] * v->dispi[DISPI_YRES] * bytes;

    return (bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32) && need &&
           need <= VGA_MEMORY_SIZE;
}

static void dispi_fixup(struct vga *v)
{
    uint32_t stride;

    v->dispi[DISPI_VIRT_WIDTH] = MAX(v->dispi[DISPI_VIRT_WIDTH], v->dispi[DISPI_XRES]);
    stride = vga_dispi_stride(v);
    v->dispi[DISPI_VIRT_HEIGHT] =
        (uint16_t)(stride ? MIN((uint32_t)VGA_MEMORY_SIZE / stride, 0xffffu) : 0);
}

static void dispi_enable(struct vga *v, uint16_t value)
{
    bool was_on = vga_dispi_on(v);

    v->dispi[DISPI_ENABLE] = value;
    if (!(value & DISPI_ENABLED) || was_on)
        return;
    if (!dispi_valid(v)) {
        v->dispi[DISPI_ENABLE] &= (uint16_t)~DISPI_ENABLED;
        return;
    }
    v->dispi[DISPI_VIRT_WIDTH] = v->dispi[DISPI_XRES];
    v->dispi[DISPI_X_OFFSET] = v->dispi[DISPI_Y_OFFSET] = v->dispi[DISPI_BANK] = 0;
    dispi_fixup(v);
    if (!(value & DISPI_NOCLEAR))
        memset(v->memory, 0, (size_t)vga_dispi_stride(v) * v->dispi[DISPI_YRES]);
    /* Programs that only know VGA find the linear mode that the banks are. */
    v->gfx[GFX_MISC] = (v->gfx[GFX_MISC] & (uint8_t)~0x0c) | 0x05;
    v->seq[SEQ_MEMORY] |= SEQ_MEMORY_CHAIN4;
    v->seq[SEQ_MAP_MASK] |= 0x0f;
    v->seq[SEQ_CLOCK] &= (uint8_t)~SEQ_CLOCK_OFF;
}

static void dispi_write(struct vga *v, unsigned reg, uint16_t value)
{
    v->generation++;
    switch (reg) {
    case DISPI_ID:
        if (value >= DISPI_ID_FIRST && value <= DISPI_ID_LAST)
            v->dispi[DISPI_ID] = value;
        break;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
        if (!vga_dispi_on(v))
            v->dispi[reg] = value;
        break;
    case DISPI_ENABLE:
        dispi_enable(v, value);
        break;
    case DISPI_VIRT_WIDTH:
        v->dispi[reg] = value;
        dispi_fixup(v);
        break;
    case DISPI_BANK:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        v->dispi[reg] = value;
        break;
    default:
        break;
    }
}

static uint16_t dispi_read(const struct vga *v, unsigned reg)
{
    static const uint16_t caps[] = {
        [DISPI_XRES] = DISPI_MAX_X, [DISPI_YRES] = DISPI_MAX_Y, [DISPI_BPP] = DISPI_MAX_BPP};

    if (reg == DISPI_MEMORY_64K)
        return VGA_MEMORY_SIZE >> 16;
    if (reg >= DISPI_XRES && reg <= DISPI_BPP && (v->dispi[DISPI_ENABLE] & DISPI_GETCAPS))
        return caps[reg];
    return reg < DISPI_REGS ? v->dispi[reg] : 0;
}

/* VGA ports, by offset from 0x3c0. */

static void attr_write(struct vga *v, uint8_t value)
{
    static const uint8_t mask[] = {[ATTR_MODE] = 0xef, 0xff, 0x3f, 0x0f, 0x0f};
    unsigned index = v->attr_index & 0x1f;

    v->generation++;
    if (!v->attr_data)
        v->attr_index = value & 0x3f;
    else if (index < ATTR_MODE && !(v->attr_index & ATTR_VIDEO)) /* else it is being shown */
        v->attr[index] = value & 0x3f;
    else if (index >= ATTR_MODE && index < ARRAY_SIZE(mask))
        v->attr[index] = value & mask[index];
    v->attr_data = !v->attr_data;
}

static void dac_write(struct vga *v, uint8_t value)
{
    v->dac_latch[v->dac_step++] = value;
    if (v->dac_step < 3)
        return;
    uint8_t bits = v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? 0xff : 0x3f;
    for (unsigned i = 0; i < 3; i++)
        v->dac[v->dac_write * 3 + i] = v->dac_latch[i] & bits;
    v->dac_write++;
    v->dac_step = 0;
    v->generation++;
}

static uint8_t dac_read(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_step++];

    if (v->dac_step == 3) {
        v->dac_read++;
        v->dac_step = 0;
    }
    return value;
}

static void crtc_write(struct vga *v, uint8_t value)
{
    unsigned index = v->crtc_index & 0x1f;

    v->generation++;
    if (index <= CRTC_OVERFLOW && (v->crtc[CRTC_PROTECT] & 0x80)) {
        if (index == CRTC_OVERFLOW) /* line compare's bit is not protected */
            v->crtc[index] = (v->crtc[index] & (uint8_t)~0x10) | (value & 0x10);
        return;
    }
    if (index <= 0x18)
        v->crtc[index] = value;
}

static void port_write(struct vga *v, unsigned port, uint8_t value)
{
    static const uint8_t seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
    static const uint8_t gfx_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

    switch (port) {
    case 0x00:
        attr_write(v, value);
        break;
    case 0x02:
        v->misc = value & 0xef;
        break;
    case 0x04:
        v->seq_index = value & 7;
        break;
    case 0x05:
        v->seq[v->seq_index & 7] = value & seq_mask[v->seq_index & 7];
        v->generation++;
        break;
    case 0x06:
        v->dac_mask = value;
        v->generation++;
        break;
    case 0x07:
        v->dac_read = value;
        v->dac_step = 0;
        v->dac_reading = true;
        break;
    case 0x08:
        v->dac_write = value;
        v->dac_step = 0;
        v->dac_reading = false;
        break;
    case 0x09:
        dac_write(v, value);
        break;
    case 0x0e:
        v->gfx_index = value & 0xf;
        break;
    case 0x0f:
        v->gfx[v->gfx_index & 0xf] = value & gfx_mask[v->gfx_index & 0xf];
        v->generation++;
        break;
    case 0x14:
        v->crtc_index = value & 0x1f;
        break;
    case 0x15:
        crtc_write(v, value);
        break;
    case 0x1a:
        v->feature = value & 0x10;
        break;
    default:
        break;
    }
}

static uint8_t port_read(struct vga *v, unsigned port)
{
    switch (port) {
    case 0x00:
        return v->attr_data ? 0 : v->attr_index;
    case 0x01:
        return v->attr[v->attr_index & 0x1f];
    case 0x02:
        return 0; /* input status 0 */
    case 0x03:
        return 1; /* enabled */
    case 0x04:
        return v->seq_index;
    case 0x05:
        return v->seq[v->seq_index & 7];
    case 0x06:
        return v->dac_mask;
    case 0x07:
        return v->dac_reading ? 3 : 0;
    case 0x08:
        return v->dac_write;
    case 0x09:
        return dac_read(v);
    case 0x0a:
        return v->feature;
    case 0x0c:
        return v->misc;
    case 0x0e:
        return v->gfx_index;
    case 0x0f:
        return v->gfx[v->gfx_index & 0xf];
    case 0x14:
        return v->crtc_index;
    case 0x15:
        return v->crtc[v->crtc_index & 0x1f];
    case 0x1a: /* input status 1: who waits for either edge of the retrace sees it */
        v->status1 ^= STATUS1_DISPLAY_OFF | STATUS1_RETRACE;
        v->attr_data = false;
        return v->status1;
    default:
        return 0xff;
    }
}

/* A wider access is one to each port in turn, the low byte first: OUT DX, AX writes index and
 * data. */
static uint64_t ports_read(struct vga *v, unsigned port, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)port_read(v, port + i) << (i * 8);
    return value;
}

static void ports_write(struct vga *v, unsigned port, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        port_write(v, port + i, (uint8_t)(value >> (i * 8)));
}

/* BAR 2. */

static uint64_t mmio_read(struct vga *v, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    if (offset + size <= MMIO_EDID + sizeof v->edid)
        memcpy(&value, v->edid + offset, size);
    else if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS + 0x20)
        value = ports_read(v, offset - MMIO_PORTS, size);
    else if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * DISPI_REGS && size == 2)
        value = dispi_read(v, (offset - MMIO_DISPI) / 2);
    return value;
}

static void mmio_write(struct vga *v, unsigned offset, unsigned size, uint64_t value)
{
    if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS + 0x20)
        ports_write(v, offset - MMIO_PORTS, size, value);
    else if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * DISPI_REGS && size == 2)
        dispi_write(v, (offset - MMIO_DISPI) / 2, (uint16_t)value);
}

static uint64_t window_read(struct vga *v, uint32_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)vga_window_read(v, offset + i) << (i * 8);
    return value;
}

static uint64_t vga_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct vga *v = dev;

    LOCK_SCOPE(&v->lock);
    switch (region) {
    case REGION_MMIO:
        return mmio_read(v, (unsigned)offset, size);
    case REGION_PORTS:
        return ports_read(v, (unsigned)offset, size);
    case REGION_DISPI:
        return offset ? dispi_read(v, v->dispi_index) : v->dispi_index;
    case REGION_WINDOW:
        return window_read(v, (uint32_t)offset, size);
    default:
        return 0;
    }
}

/* Tells who looks, if something has changed. */
static void show(struct vga *v)
{
    struct display_surface surface;

    if (!v->sink.show || v->published == v->generation)
        return;
    v->published = v->generation;
    vga_screen_surface(v, &surface);
    v->sink.show(v->sink.ctx, &surface);
}

static void vga_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct vga *v = dev;

    LOCK_SCOPE(&v->lock);
    switch (region) {
    case REGION_MMIO:
        mmio_write(v, (unsigned)offset, size, value);
        break;
    case REGION_PORTS:
        ports_write(v, (unsigned)offset, size, value);
        break;
    case REGION_DISPI:
        if (offset)
            dispi_write(v, v->dispi_index, (uint16_t)value);
        else
            v->dispi_index = (uint16_t)value;
        break;
    case REGION_WINDOW:
        for (unsigned i = 0; i < size; i++)
            vga_window_write(v, (uint32_t)offset + i, (uint8_t)(value >> (i * 8)));
        break;
    default:
        break;
    }
    show(v);
}

/* Looking. */

static void surface(void *dev, struct display_surface *ret_surface)
{
    struct vga *v = dev;

    LOCK_SCOPE(&v->lock);
    vga_screen_surface(v, ret_surface);
}

struct display vga_display(void *dev)
{
    return (struct display){surface, dev};
}

void vga_screen_text(void *dev, struct buf *out)
{
    struct display_surface s;

    surface(dev, &s);
    if (s.format != DISPLAY_TEXT)
        return;
    for (uint32_t y = 0; y < s.height; y++) {
        uint32_t used = 0;
        for (uint32_t x = 0; x < s.width; x++) {
            uint8_t c = s.memory[s.offset + (uint64_t)y * s.stride + x * s.cell_stride];
            if (c != ' ' && c != 0) {
                while (used < x)
                    buf_put_u8(out, ' '), used++;
                buf_put_u8(out, c >= 0x20 && c < 0x7f ? c : '?'), used++;
            }
        }
        buf_put_u8(out, '\n');
    }
}

/* Life. */

static void vga_reset(void *dev)
{
    struct vga *v = dev;

    LOCK_SCOPE(&v->lock);
    v->generation++;
    v->misc = v->feature = v->status1 = 0;
    v->seq_index = v->gfx_index = v->crtc_index = v->attr_index = 0;
    v->attr_data = v->dac_reading = false;
    memset(v->seq, 0, sizeof v->seq);
    memset(v->gfx, 0, sizeof v->gfx);
    memset(v->crtc, 0, sizeof v->crtc);
    memset(v->attr, 0, sizeof v->attr);
    memset(v->dac, 0, sizeof v->dac);
    memset(v->latch, 0, sizeof v->latch);
    memset(v->dispi, 0, sizeof v->dispi);
    v->misc = MISC_COLOR;
    v->dac_mask = 0xff;
    v->dac_read = v->dac_write = v->dac_step = 0;
    v->dispi[DISPI_ID] = DISPI_ID_LAST;
    v->dispi_index = 0;
    show(v);
}

static void vga_quiesce(void *dev)
{
    (void)dev; /* does nothing by itself */
}

static void vga_resume(void *dev)
{
    struct vga *v = dev;

    LOCK_SCOPE(&v->lock);
    v->generation++;
    show(v);
}

static int vga_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region =
            {[REGION_MEMORY] = {.name = "vga memory",
                                .space = DEV_BAR,
                                .bar = 0,
                                .size = VGA_MEMORY_SIZE,
                                .ram = true},
             [REGION_MMIO] = {.name = "vga registers", .space = DEV_BAR, .bar = 2, .size = 4096},
             [REGION_PORTS] = {.name = "vga ports",
                               .space = DEV_PIO,
                               .base = 0x3c0,
                               .size = 0x20,
                               .max_width = 2},
             [REGION_DISPI] =
                 {.name = "vga dispi", .space = DEV_PIO, .base = 0x1ce, .size = 4, .max_width = 2},
             [REGION_WINDOW] =
                 {.name = "vga window", .space = DEV_MMIO, .base = 0xa0000, .size = 0x20000}},
        .region_count = 5,
        .is_pci = true,
        .pci = {.vendor = 0x1234,
                .device = 0x1111,
                .subsystem_vendor = 0x1af4, /* as drivers have seen it all along */
                .subsystem = 0x1100,
                .class_code = 0x030000,
                .revision = 2,
                .bar = {[0] = {PCI_BAR_MEM32, VGA_MEMORY_SIZE}, [2] = {PCI_BAR_MEM32, 4096}}},
    };
    return 0;
}

static void vga_destroy(void *dev)
{
    struct vga *v = dev;

    if (!v)
        return;
    if (v->memory)
        (void)munmap(v->memory, VGA_MEMORY_SIZE);
    (void)pthread_mutex_destroy(&v->lock);
    free(v);
}

static int vga_create(const struct dev_env *env, const void *params, void **ret_dev,
                      struct err *err)
{
    static const struct vga_params usual;
    const struct vga_params *p = params ? params : &usual;
    struct vga *v = calloc(1, sizeof *v);

    if (!v)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    v->env = *env;
    (void)pthread_mutex_init(&v->lock, NULL);
    void *memory = mmap(NULL, VGA_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, env->ram_fd, 0);
    if (memory == MAP_FAILED) {
        int rc = -errno;
        vga_destroy(v);
        return err_sys(err, rc, "cannot map the memory of %s", env->name);
    }
    v->memory = memory;
    v->sink = p->sink;
    vga_edid_make(v->edid, p->width ? p->width : 1024, p->height ? p->height : 768);
    vga_reset(v);
    *ret_dev = v;
    return 0;
}

static int vga_post_load(void *object, struct err *err)
{
    struct vga *v = object;

    if (v->dac_step > 2)
        return err_set(err, -EINVAL, "vga: colour step out of range");
    if (vga_dispi_on(v) && !dispi_valid(v))
        return err_set(err, -EINVAL, "vga: a mode that does not exist");
    return 0;
}

static const struct state_field vga_fields[] = {
    STATE_FIELD(struct vga, misc, STATE_U8),
    STATE_FIELD(struct vga, feature, STATE_U8),
    STATE_FIELD(struct vga, status1, STATE_U8),
    STATE_FIELD(struct vga, seq_index, STATE_U8),
    STATE_FIELD(struct vga, gfx_index, STATE_U8),
    STATE_FIELD(struct vga, crtc_index, STATE_U8),
    STATE_FIELD(struct vga, attr_index, STATE_U8),
    STATE_FIELD(struct vga, attr_data, STATE_BOOL),
    STATE_FIELD(struct vga, seq, STATE_U8),
    STATE_FIELD(struct vga, gfx, STATE_U8),
    STATE_FIELD(struct vga, crtc, STATE_U8),
    STATE_FIELD(struct vga, attr, STATE_U8),
    STATE_FIELD(struct vga, dac_mask, STATE_U8),
    STATE_FIELD(struct vga, dac_read, STATE_U8),
    STATE_FIELD(struct vga, dac_write, STATE_U8),
    STATE_FIELD(struct vga, dac_step, STATE_U8),
    STATE_FIELD(struct vga, dac_reading, STATE_BOOL),
    STATE_FIELD(struct vga, dac, STATE_U8),
    STATE_FIELD(struct vga, dac_latch, STATE_U8),
    STATE_FIELD(struct vga, latch, STATE_U8),
    STATE_FIELD(struct vga, dispi_index, STATE_U16),
    STATE_FIELD(struct vga, dispi, STATE_U16),
};

static const struct state_table vga_state = {
    .name = "vga",
    .version = 1,
    .size = sizeof(struct vga),
    .fields = vga_fields,
    .field_count = ARRAY_SIZE(vga_fields),
    .post_load = vga_post_load,
};

const struct dev_class vga_class = {
    .name = "vga",
    .place = DEV_IN_VMX,
    .layout = vga_layout,
    .create = vga_create,
    .destroy = vga_destroy,
    .reset = vga_reset,
    .quiesce = vga_quiesce,
    .resume = vga_resume,
    .read = vga_read,
    .write = vga_write,
    .state = &vga_state,
};
