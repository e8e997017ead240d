/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/firmware/bios_load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { VGA_SIZE_MAX = 64 << 10, VGA_UNIT = 512 };

void rom_unmap(struct rom *rom)
{
    if (rom->data)
        (void)munmap(rom->data, rom->size);
    *rom = (struct rom){0};
}

int rom_open(const char *kind, const char *path, const char *package, uint64_t min, uint64_t max,
             uint64_t unit, int *ret_fd, struct err *err)
{
    struct stat st;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT)
        return err_set(err, -ENOENT, "%s \"%s\" is not there; Debian's package %s has it", kind,
                       path, package);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, -errno, "%s \"%s\"", kind, path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s \"%s\" is not a regular file", kind, path);
    uint64_t size = (uint64_t)st.st_size;
    if (size < min || size > max || size % unit)
        return err_set(err, -EINVAL, "%s \"%s\" has %llu bytes: truncated, or not firmware", kind,
                       path, (unsigned long long)size);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int rom_map(const char *kind, int fd, uint64_t max, struct rom *ret_rom, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, -errno, "%s", kind);
    if (st.st_size <= 0 || (uint64_t)st.st_size > max)
        return err_set(err, -EINVAL, "%s: wrong size", kind);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return err_sys(err, -errno, "cannot map %s", kind);
    *ret_rom = (struct rom){data, (uint64_t)st.st_size};
    return 0;
}

int bios_open(const char *path, int *ret_fd, struct err *err)
{
    return rom_open("BIOS", path ? path : BIOS_PATH, "seabios", BIOS_SIZE_MIN, BIOS_SIZE_MAX,
                    KIB(64), ret_fd, err);
}

int bios_map(int fd, struct rom *ret_rom, struct err *err)
{
    return rom_map("BIOS", fd, BIOS_SIZE_MAX, ret_rom, err);
}

int bios_shadow(const struct rom *rom, struct gmem *gmem)
{
    uint64_t len = MIN(rom->size, (uint64_t)BIOS_SHADOW);

    return gmem_write(gmem, gpa(MIB(1) - len), (const uint8_t *)rom->data + rom->size - len, len);
}

int bios_vga_open(const char *path, int *ret_fd, struct err *err)
{
    return rom_open("VGA BIOS", path ? path : BIOS_VGA_PATH, "seabios", VGA_UNIT, VGA_SIZE_MAX,
                    VGA_UNIT, ret_fd, err);
}

int bios_vga_map(int fd, struct rom *ret_rom, struct err *err)
{
    return rom_map("VGA BIOS", fd, VGA_SIZE_MAX, ret_rom, err);
}
