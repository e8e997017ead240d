/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/vga.h"

#include <sys/mman.h>

#include "base/bytes.h"
#include "tests/device/chip.h"

enum { MMIO = 0xfe000000, ID = 0, XRES, YRES, BPP, ENABLE, BANK, VIRT_W, VIRT_H, X_OFF, Y_OFF };

struct screen {
    struct chip chip;
    int fd;
    uint8_t *memory; /* the guest's view of BAR 0 */
};

static const struct vga_params plain;

static void open_vga(struct screen *s)
{
    s->fd = memfd_create("vram", 0);
    CHECK_EQ(ftruncate(s->fd, VGA_MEMORY_SIZE), 0);
    s->memory = mmap(NULL, VGA_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    chip_open_with(&s->chip, &vga_class, &plain, NULL, s->fd);
    static const struct bus_ops *const ops = &chip_ops_;
    const struct bus_region bar2 = {"bar 2", ops, &s->chip.region[1], 4096, 0, 0};
    CHECK_EQ(bus_map(s->chip.bus, BUS_MMIO, MMIO, &bar2, NULL), 0);
}

static void close_vga(struct screen *s)
{
    chip_close(&s->chip);
    (void)munmap(s->memory, VGA_MEMORY_SIZE);
    (void)close(s->fd);
}

static void out(struct screen *s, uint16_t port, unsigned v)
{
    chip_out(&s->chip, port, 1, v);
}

static void indexed(struct screen *s, uint16_t port, unsigned index, unsigned v)
{
    chip_out(&s->chip, port, 2, index | v << 8);
}

static void attr(struct screen *s, unsigned index, unsigned v)
{
    (void)chip_in(&s->chip, 0x3da, 1);
    out(s, 0x3c0, index);
    out(s, 0x3c0, v);
}

static void dispi(struct screen *s, unsigned reg, unsigned v)
{
    chip_out(&s->chip, 0x1ce, 2, reg);
    chip_out(&s->chip, 0x1cf, 2, v);
}

static unsigned dispi_get(struct screen *s, unsigned reg)
{
    chip_out(&s->chip, 0x1ce, 2, reg);
    return chip_in(&s->chip, 0x1cf, 2);
}

/* Mode 3 as a video BIOS sets it: 80 by 25, 16 lines a character. */
static void text_mode(struct screen *s)
{
    static const uint8_t crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                   0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                   0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
    static const uint8_t seq[] = {3, 0, 3, 0, 2}, gfx[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff};

    indexed(s, 0x3d4, 0x11, 0);
    for (unsigned i = 0; i < sizeof crtc; i++)
        indexed(s, 0x3d4, i, crtc[i]);
    for (unsigned i = 0; i < sizeof seq; i++)
        indexed(s, 0x3c4, i, seq[i]);
    for (unsigned i = 0; i < sizeof gfx; i++)
        indexed(s, 0x3ce, i, gfx[i]);
    for (unsigned i = 0; i < 16; i++)
        attr(s, i, i);
    attr(s, 0x10, 0x0c);
    (void)chip_in(&s->chip, 0x3da, 1);
    out(s, 0x3c0, 0x20);
}

static void print(struct screen *s, unsigned row, unsigned column, const char *text)
{
    for (unsigned at = 0xb8000 + (row * 80 + column) * 2; *text; text++, at += 2)
        chip_store(&s->chip, at, 2, (uint8_t)*text | 0x0700);
}

static struct display_surface look(struct screen *s)
{
    struct display_surface surface;
    struct display d = vga_display(s->chip.dev);
    d.surface(d.dev, &surface);
    return surface;
}

static void text_screen(struct screen *s, struct buf *out_text)
{
    vga_screen_text(s->chip.dev, out_text);
}

static void text_is_read_back(void)
{
    struct screen s;
    struct buf text CLEANUP(buf_free) = {0}, scrolled CLEANUP(buf_free) = {0};
    open_vga(&s);
    CHECK_EQ(look(&s).format, DISPLAY_BLANK);
    text_mode(&s);
    print(&s, 0, 0, "Booting from Hard Disk...");
    print(&s, 2, 4, "GRUB \x01");
    print(&s, 24, 79, "#");
    CHECK_EQ(chip_load(&s.chip, 0xb8000, 4), 'B' | 7 << 8 | 'o' << 16 | 7 << 24);
    text_screen(&s, &text);
    const char *want = "Booting from Hard Disk...\n\n    GRUB ?\n";
    CHECK(!strncmp(buf_cstr(&text), want, strlen(want)));
    CHECK_EQ(text.len, 25 + 1 + 1 + 10 + 1 + 21 + 80 + 1);
    struct display_surface look_now = look(&s);
    CHECK_EQ(look_now.format, DISPLAY_TEXT);
    CHECK_EQ(look_now.width, 80);
    CHECK_EQ(look_now.height, 25);
    CHECK_EQ(look_now.cell_height, 16);
    CHECK(look_now.cursor);
    indexed(&s, 0x3d4, 0x0d, 160); /* vgacon scrolls by the start address */
    text_screen(&s, &scrolled);
    CHECK(!strncmp(buf_cstr(&scrolled), "    GRUB ?\n", 11));
    CHECK(look(&s).generation != look_now.generation);
    indexed(&s, 0x3d4, 0x0c, 0xff); /* off the end: shorter, never past it */
    CHECK(look(&s).height < 25);
    close_vga(&s);
}

static void crtc_is_protected(void)
{
    struct screen s;
    open_vga(&s);
    text_mode(&s);
    indexed(&s, 0x3d4, 0x11, 0x80);
    indexed(&s, 0x3d4, 0x01, 0x20);
    CHECK_EQ(look(&s).width, 80);
    indexed(&s, 0x3d4, 0x11, 0);
    indexed(&s, 0x3d4, 0x01, 0x27);
    CHECK_EQ(look(&s).width, 40);
    close_vga(&s);
}

/* Font loading and the write modes, on single planes. */
static void planes_and_write_modes(void)
{
    struct screen s;
    open_vga(&s);
    indexed(&s, 0x3c4, 4, 6); /* sequential, not chained */
    indexed(&s, 0x3ce, 6, 5); /* 64 KiB at 0xa0000 */
    indexed(&s, 0x3ce, 8, 0xff);
    indexed(&s, 0x3c4, 2, 4); /* plane 2 */
    chip_store(&s.chip, 0xa0005, 1, 0x3c);
    CHECK_EQ(s.memory[5 * 4 + 2], 0x3c);
    CHECK_EQ(s.memory[5 * 4 + 1], 0);
    indexed(&s, 0x3ce, 4, 2);
    CHECK_EQ(chip_load(&s.chip, 0xa0005, 1), 0x3c);
    indexed(&s, 0x3c4, 2, 0xf);
    indexed(&s, 0x3ce, 5, 1); /* mode 1: copies the latches */
    chip_store(&s.chip, 0xa0006, 1, 0xff);
    CHECK_EQ(le32_load(s.memory + 24), 0x003c0000);
    indexed(&s, 0x3ce, 5, 2); /* mode 2: a colour, where the bit mask allows */
    indexed(&s, 0x3ce, 8, 0xf0);
    chip_store(&s.chip, 0xa0006, 1, 0x09);
    CHECK_EQ(le32_load(s.memory + 24), 0xf00c00f0);
    indexed(&s, 0x3ce, 8, 0xff);
    indexed(&s, 0x3ce, 0, 0x5); /* mode 3: set/reset through the data as mask */
    indexed(&s, 0x3ce, 5, 3);
    (void)chip_load(&s.chip, 0xa0100, 1);
    chip_store(&s.chip, 0xa0100, 1, 0x81);
    CHECK_EQ(le32_load(s.memory + 0x400), 0x00810081);
    indexed(&s, 0x3ce, 5, 0); /* mode 0: set/reset for plane 0, data for others, rotated, or */
    indexed(&s, 0x3ce, 1, 1);
    indexed(&s, 0x3ce, 3, 0x14);
    (void)chip_load(&s.chip, 0xa0100, 1);
    chip_store(&s.chip, 0xa0100, 1, 0x20);
    CHECK_EQ(le32_load(s.memory + 0x400), 0x028302ff);
    indexed(&s, 0x3ce, 5, 8); /* read mode 1: where the colour is 5 */
    indexed(&s, 0x3ce, 2, 5);
    indexed(&s, 0x3ce, 7, 0xd); /* plane 1 does not matter */
    CHECK_EQ(chip_load(&s.chip, 0xa0100, 1), 0x81);
    indexed(&s, 0x3ce, 6, 0xd); /* the window is elsewhere now */
    CHECK_EQ(chip_load(&s.chip, 0xa0100, 1), 0xff);
    close_vga(&s);
}

static void mode_13h_is_linear(void)
{
    struct screen s;
    open_vga(&s);
    text_mode(&s);
    indexed(&s, 0x3c4, 2, 0xf);
    indexed(&s, 0x3c4, 4, 0x0e);
    indexed(&s, 0x3ce, 5, 0x40);
    indexed(&s, 0x3ce, 6, 5);
    indexed(&s, 0x3d4, 9, 0x41);
    out(&s, 0x3c8, 17);
    out(&s, 0x3c9, 63), out(&s, 0x3c9, 32), out(&s, 0x3c9, 0);
    chip_store(&s.chip, 0xa0000 + 320 * 100 + 7, 4, 0x11121314);
    CHECK_EQ(le32_load(s.memory + 320 * 100 + 7), 0x11121314);
    struct display_surface d = look(&s);
    CHECK_EQ(d.format, DISPLAY_INDEX8);
    CHECK_EQ(d.width, 320);
    CHECK_EQ(d.height, 200);
    CHECK_EQ(d.stride, 320);
    CHECK_EQ(d.palette[17], 0xff8200);
    out(&s, 0x3c7, 17);
    CHECK_EQ(chip_in(&s.chip, 0x3c9, 1), 63);
    CHECK_EQ(chip_in(&s.chip, 0x3c9, 1), 32);
    close_vga(&s);
}

static void dispi_sets_modes(void)
{
    struct screen s;
    open_vga(&s);
    CHECK_EQ(dispi_get(&s, ID), 0xb0c5);
    dispi(&s, ID, 0xb0c0);
    CHECK_EQ(dispi_get(&s, ID), 0xb0c0);
    dispi(&s, ID, 0x1234);
    CHECK_EQ(dispi_get(&s, ID), 0xb0c0);
    CHECK_EQ(dispi_get(&s, 10), 256);
    dispi(&s, ENABLE, 2);
    CHECK_EQ(dispi_get(&s, XRES), 2560);
    CHECK_EQ(dispi_get(&s, BPP), 32);
    dispi(&s, ENABLE, 0);
    s.memory[100] = 0x55;
    dispi(&s, XRES, 1024), dispi(&s, YRES, 768), dispi(&s, BPP, 32);
    dispi(&s, ENABLE, 0x41);
    CHECK_EQ(s.memory[100], 0);
    CHECK_EQ(dispi_get(&s, VIRT_W), 1024);
    CHECK_EQ(dispi_get(&s, VIRT_H), 4096);
    struct display_surface d = look(&s);
    CHECK_EQ(d.format, DISPLAY_XRGB8888);
    CHECK(d.width == 1024 && d.height == 768 && d.stride == 4096 && d.offset == 0);
    dispi(&s, VIRT_W, 2048), dispi(&s, X_OFF, 10), dispi(&s, Y_OFF, 20);
    d = look(&s);
    CHECK(d.stride == 8192 && d.offset == 20 * 8192 + 40);
    dispi(&s, Y_OFF, 2000); /* hangs over the end of the memory */
    CHECK_EQ(look(&s).height, 48);
    dispi(&s, Y_OFF, 60000);
    CHECK_EQ(look(&s).format, DISPLAY_BLANK);
    dispi(&s, BANK, 3); /* the window is a bank now */
    chip_store(&s.chip, 0xa0010, 4, 0xcafe1234);
    CHECK_EQ(le32_load(s.memory + 0x30010), 0xcafe1234);
    dispi(&s, BANK, 0xffff);
    chip_store(&s.chip, 0xa0010, 4, 0);
    CHECK_EQ(chip_load(&s.chip, 0xa0010, 4), 0xffffffff);
    dispi(&s, ENABLE, 0);
    dispi(&s, XRES, 0xffff), dispi(&s, YRES, 0xffff);
    dispi(&s, ENABLE, 0x41); /* more than there is memory */
    CHECK_EQ(dispi_get(&s, ENABLE) & 1, 0);
    close_vga(&s);
}

static void every_depth_has_a_format(void)
{
    static const struct {
        unsigned bpp, format, stride;
    } want[] = {{4, DISPLAY_PLANAR16, 320}, {8, DISPLAY_INDEX8, 640},
                {15, DISPLAY_RGB555, 1280}, {16, DISPLAY_RGB565, 1280},
                {24, DISPLAY_RGB888, 1920}, {32, DISPLAY_XRGB8888, 2560}};

    for (unsigned i = 0; i < 6; i++) {
        struct screen s;
        open_vga(&s);
        dispi(&s, XRES, 640), dispi(&s, YRES, 480), dispi(&s, BPP, want[i].bpp);
        dispi(&s, ENABLE, 1);
        struct display_surface d = look(&s);
        CHECK_EQ(d.format, want[i].format);
        CHECK_EQ(d.stride, want[i].stride);
        CHECK_EQ(d.height, 480);
        close_vga(&s);
    }
}

/* OVMF and bochs-drm use BAR 2 only. */
static void registers_as_memory(void)
{
    struct screen s;
    uint8_t sum = 0;
    open_vga(&s);
    CHECK_EQ(chip_load(&s.chip, MMIO, 8), 0x00ffffffffffff00);
    for (unsigned i = 0; i < 128; i++)
        sum += (uint8_t)chip_load(&s.chip, MMIO + i, 1);
    CHECK_EQ(sum, 0);
    CHECK_EQ(chip_load(&s.chip, MMIO + 54 + 2, 1), 1024 & 0xff);
    CHECK_EQ(chip_load(&s.chip, MMIO + 54 + 4, 1), 1024 >> 8 << 4);
    CHECK_EQ(chip_load(&s.chip, MMIO + 0x500, 2), 0xb0c5);
    chip_store(&s.chip, MMIO + 0x502, 2, 800);
    chip_store(&s.chip, MMIO + 0x504, 2, 600);
    chip_store(&s.chip, MMIO + 0x506, 2, 32);
    chip_store(&s.chip, MMIO + 0x400, 1, 0x20); /* unblanks */
    chip_store(&s.chip, MMIO + 0x508, 2, 0x41);
    CHECK_EQ(look(&s).width, 800);
    CHECK_EQ(chip_load(&s.chip, MMIO + 0x400, 1), 0); /* the flip-flop waits for data */
    CHECK_EQ(chip_load(&s.chip, MMIO + 0x600, 4), 0); /* no extended registers */
    close_vga(&s);
}

static void retrace_alternates(void)
{
    struct screen s;
    open_vga(&s);
    unsigned a = chip_in(&s.chip, 0x3da, 1), b = chip_in(&s.chip, 0x3da, 1);
    CHECK_EQ((a ^ b) & 9, 9);
    close_vga(&s);
}

static void survives_a_move(void)
{
    struct screen s;
    struct buf text CLEANUP(buf_free) = {0};
    open_vga(&s);
    text_mode(&s);
    print(&s, 0, 0, "moved");
    out(&s, 0x3c8, 7);
    out(&s, 0x3c9, 42);
    chip_replace(&s.chip);
    text_screen(&s, &text);
    CHECK(!strncmp(buf_cstr(&text), "moved\n", 6));
    out(&s, 0x3c9, 0), out(&s, 0x3c9, 0);
    CHECK_EQ(look(&s).palette[7], 0xaa0000);
    close_vga(&s);
}

TAP_MAIN(TAP_CASE(text_is_read_back), TAP_CASE(crtc_is_protected), TAP_CASE(planes_and_write_modes),
         TAP_CASE(mode_13h_is_linear), TAP_CASE(dispi_sets_modes),
         TAP_CASE(every_depth_has_a_format), TAP_CASE(registers_as_memory),
         TAP_CASE(retrace_alternates), TAP_CASE(survives_a_move))
