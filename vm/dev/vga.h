/* SPDX-License-Identifier: Apache-2.0 */
/* A plain display, PCI 1234:1111: the Bochs VBE ("dispi") interface to a linear frame buffer
 * (Bochs, iodev/display/vga; QEMU, docs/specs/standard-vga.rst) and an IBM VGA underneath (IBM PS/2
 * Hardware Interface Technical Reference, 1991, "Video Subsystem"). SeaBIOS's vgabios-stdvga,
 * OVMF's QemuVideoDxe, GRUB, Linux (vgacon, efifb, simpledrm, bochs-drm) and others drive it. Lives
 * in `vmx`.
 *
 * BAR 0: video memory, 16 MiB, mapped into the guest. BAR 2: EDID at 0, the ports 0x3c0-0x3df at
 * 0x400, dispi at 0x500. Besides the ports and the window at 0xa0000 of old, trapped.
 *
 * SeaBIOS takes its option ROM (Debian: /usr/share/seabios/vgabios-stdvga.bin) from the fw_cfg file
 * VGA_ROM_FILE. Video memory is not part of the state table; it is saved as memory. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "vm/backend/display.h"
#include "vm/machine/dev.h"

enum { VGA_MEMORY_SIZE = 16 << 20 };
#define VGA_ROM_FILE "pci1234,1111.rom"

/* No parameters (NULL) are these defaults. */
struct vga_params {
    uint16_t width, height; /* what the EDID prefers; 0: 1024 by 768 */
    struct display_sink sink;
};

extern const struct dev_class vga_class;

/* What is shown. Valid as long as the device. */
struct display vga_display(void *dev);

/* The text screen as lines with '\n', trailing blanks cut, characters outside ASCII as '?'; empty
 * in graphics modes. Thread-safe. */
void vga_screen_text(void *dev, struct buf *out);
