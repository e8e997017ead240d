/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/firmware/multiboot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

enum { SEARCH = 8192, HEADER = 12, ADDRESSES = 20, MAGIC = 0x1badb002 };
/* In the header: the lower half must be understood, of which the first three are. */
enum { WANTS_KNOWN = 7, WANTS_MUST = 0xffff, WANTS_ADDRESSES = 0x10000 };
enum { HAS_MEMORY = 1, HAS_CMDLINE = 4, HAS_MODULES = 8, HAS_MAP = 64 };

bool multiboot_find(const uint8_t *head, uint64_t len, struct multiboot *ret_header)
{
    for (uint64_t at = 0; range_within(at, HEADER, MIN(len, (uint64_t)SEARCH)); at += 4) {
        const uint8_t *p = head + at;
        uint32_t flags = le32_load(p + 4);
        if (le32_load(p) != MAGIC || (uint32_t)MAGIC + flags + le32_load(p + 8))
            continue;
        *ret_header = (struct multiboot){.flags = flags, .at = at};
        if (!(flags & WANTS_ADDRESSES))
            return true;
        if (!range_within(at + HEADER, ADDRESSES, len))
            return false;
        ret_header->header_addr = le32_load(p + 12);
        ret_header->load_addr = le32_load(p + 16);
        ret_header->load_end_addr = le32_load(p + 20);
        ret_header->bss_end_addr = le32_load(p + 24);
        ret_header->entry_addr = le32_load(p + 28);
        return true;
    }
    return false;
}

int multiboot_check(const struct boot_file *kernel, const struct multiboot *header, struct err *err)
{
    unsigned unknown = header->flags & WANTS_MUST & ~WANTS_KNOWN;

    return unknown ? boot_file_bad(kernel, err, "asks for 0x%x in its Multiboot header", unknown)
                   : 0;
}

/* All that is behind the header's idea of the file's beginning, or up to load_end_addr. */
int multiboot_load(struct linux_boot *boot, const struct multiboot *h, struct boot_start *ret_start,
                   struct err *err)
{
    const struct boot_file *kernel = &boot->kernel;
    uint64_t before = (uint64_t)h->header_addr - h->load_addr, start = h->at - before;
    int rc = multiboot_check(kernel, h, err);

    if (rc)
        return rc;
    if (!(h->flags & WANTS_ADDRESSES))
        return boot_file_bad(kernel, err,
                             "has a Multiboot header without addresses, and is no "
                             "ELF file");
    if (h->header_addr < h->load_addr || before > h->at)
        return boot_file_bad(kernel, err, "begins before its beginning by its Multiboot header");
    uint64_t size = kernel->size - start;
    if (h->load_end_addr)
        size = (uint64_t)h->load_end_addr - h->load_addr;
    uint64_t end = MAX((uint64_t)h->load_addr + size, (uint64_t)h->bss_end_addr);
    if (!range_within(start, size, kernel->size) || !size)
        return boot_file_bad(kernel, err, "is shorter than its Multiboot header says");
    if (!linux_boot_room(boot, h->load_addr, end - h->load_addr))
        return boot_file_bad(kernel, err,
                             "does not fit: it needs %llu bytes at 0x%x, which the VM's memory "
                             "does not have",
                             (unsigned long long)(end - h->load_addr), h->load_addr);
    if (h->entry_addr < h->load_addr || h->entry_addr >= h->load_addr + size)
        return boot_file_bad(kernel, err, "starts outside of itself: 0x%x", h->entry_addr);
    rc = boot_file_load(kernel, start, boot->gmem, gpa(h->load_addr), size, err);
    if (!rc && !boot->ram_is_clean)
        rc = gmem_fill(boot->gmem, gpa(h->load_addr + size), 0, end - h->load_addr - size);
    return rc ? rc : multiboot_info(boot, h->entry_addr, end, ret_start, err);
}

/* "NAME ARGUMENTS": a command line begins with the program. */
static int put_cmdline(struct linux_boot *boot, struct err *err)
{
    const char *name = boot->kernel.name, *arguments = boot->cmdline ? boot->cmdline : "";
    size_t name_len = strlen(name), len = name_len + 1 + strlen(arguments);

    if (len > BOOT_CMDLINE_MAX)
        return boot_file_bad(&boot->kernel, err, "gets a command line of %zu characters", len);
    int rc = gmem_write(boot->gmem, gpa(BOOT_CMDLINE), name, name_len);
    rc = rc ? rc : gmem_write(boot->gmem, gpa(BOOT_CMDLINE + name_len), " ", 1);
    return rc ? rc
              : gmem_write(boot->gmem, gpa(BOOT_CMDLINE + name_len + 1), arguments, len - name_len);
}

/* KiB from 1 MiB to the first hole. */
static uint32_t upper_kib(const struct e820 *map)
{
    for (unsigned i = 0; i < map->count; i++)
        if (map->entry[i].type == E820_RAM && map->entry[i].base == MIB(1))
            return (uint32_t)(map->entry[i].size >> 10);
    return 0;
}

int multiboot_info(struct linux_boot *boot, uint64_t entry, uint64_t end,
                   struct boot_start *ret_start, struct err *err)
{
    enum { INFO = 88, MODULE = 16, MAP_ENTRY = 4 + E820_ENTRY_SIZE, NAME = 64 };
    uint8_t page[INFO + MODULE + NAME + MAP_ENTRY * E820_ENTRIES_MAX] = {0}, *module = page + INFO;
    char *name = (char *)module + MODULE;
    uint8_t *map = module + MODULE + NAME, table[E820_ENTRY_SIZE * E820_ENTRIES_MAX];
    uint64_t initrd;
    int rc = put_cmdline(boot, err);

    rc = rc ? rc : linux_boot_initrd(boot, end, GMEM_HIGH, &initrd, err);
    if (rc < 0)
        return rc;
    le32_store(page, HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MAP);
    le32_store(page + 4, E820_LOW_END >> 10);
    le32_store(page + 8, upper_kib(boot->map));
    le32_store(page + 16, BOOT_CMDLINE);
    le32_store(page + 20, initrd != 0);
    le32_store(page + 24, BOOT_PVH_INFO + INFO);
    if (initrd) {
        le32_store(module, (uint32_t)initrd);
        le32_store(module + 4, (uint32_t)(initrd + boot->initrd.size));
        le32_store(module + 8, BOOT_PVH_INFO + INFO + MODULE);
        (void)snprintf(name, NAME, "%s", boot->initrd.name);
    }
    (void)e820_store(boot->map, table);
    for (unsigned i = 0; i < boot->map->count; i++) {
        le32_store(map + i * MAP_ENTRY, E820_ENTRY_SIZE);
        memcpy(map + i * MAP_ENTRY + 4, table + i * E820_ENTRY_SIZE, E820_ENTRY_SIZE);
    }
    le32_store(page + 44, boot->map->count * MAP_ENTRY);
    le32_store(page + 48, BOOT_PVH_INFO + INFO + MODULE + NAME);
    *ret_start =
        (struct boot_start){.protocol = BOOT_MULTIBOOT, .entry = entry, .info = BOOT_PVH_INFO};
    return gmem_write(boot->gmem, gpa(BOOT_PVH_INFO), page, sizeof page);
}
