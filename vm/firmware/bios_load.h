/* SPDX-License-Identifier: Apache-2.0 */
/* A legacy BIOS image (SeaBIOS): read-only memory that ends at 4 GiB, and a copy of its last 128
 * KiB in RAM below 1 MiB, made anew at every reset. Opening (by name, outside of the sandbox) and
 * mapping are apart, so that a process without files gets a descriptor. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "vm/machine/gmem.h"

#define BIOS_PATH        "/usr/share/seabios/bios-256k.bin"
#define BIOS_VGA_PATH    "/usr/share/seabios/vgabios-stdvga.bin"
#define BIOS_SHADOW_BASE UINT64_C(0xe0000)

enum { BIOS_SIZE_MIN = 64 << 10, BIOS_SIZE_MAX = 16 << 20, BIOS_SHADOW = 128 << 10 };

/* An image mapped privately, read-only; a whole number of pages. */
struct rom {
    void *data;
    uint64_t size;
};

void rom_unmap(struct rom *rom);
#define cleanup_rom CLEANUP(rom_unmap)

/* Opens and checks. `path` NULL: the packaged one. The message names the file, and the package when
 * it is missing. */
int bios_open(const char *path, int *ret_fd, struct err *err);
int bios_map(int fd, struct rom *ret_rom, struct err *err);
/* Where the image begins in guest physical memory. */
static inline uint64_t bios_base(const struct rom *rom)
{
    return GMEM_HIGH - rom->size;
}
/* Copies the end of the image to where the CPU looks for it in real mode. */
int bios_shadow(const struct rom *rom, struct gmem *gmem);

/* The VGA BIOS that SeaBIOS runs for our display (fw_content_option_rom). */
int bios_vga_open(const char *path, int *ret_fd, struct err *err);
int bios_vga_map(int fd, struct rom *ret_rom, struct err *err);

/* For the firmware loaders: opens a regular file read-only whose size is within the limits and a
 * multiple of `unit`. */
int rom_open(const char *kind, const char *path, const char *package, uint64_t min, uint64_t max,
             uint64_t unit, int *ret_fd, struct err *err);
int rom_map(const char *kind, int fd, uint64_t max, struct rom *ret_rom, struct err *err);
