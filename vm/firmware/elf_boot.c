/* SPDX-License-Identifier: Apache-2.0 */
/* ELF kernels by the PVH boot protocol: segments go to their physical addresses, the entry point is
 * in a note (XEN_ELFNOTE_PHYS32_ENTRY), 32-bit protected mode without paging, EBX points to struct
 * hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h). ELF32 and ELF64, little-endian.
 * Without that note, by Multiboot if they have its header; then the entry point is ELF's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/firmware/multiboot.h"

enum {
    EI_CLASS = 4,
    EI_DATA = 5,
    CLASS_32 = 1,
    CLASS_64 = 2,
    DATA_LE = 1,
    MACHINE_386 = 3,
    MACHINE_X86_64 = 62,
    PT_LOAD = 1,
    PT_NOTE = 4,
    SEGMENTS_MAX = 64,
    NOTES_MAX = 65536, /* bytes of one note segment */
    NOTE_PHYS32_ENTRY = 18,
    HEADER_LEAST = 64,
};

struct segment {
    uint32_t type;
    uint64_t offset, linked, address, file_size, memory_size;
};

struct elf {
    bool is64;
    uint64_t start; /* the header's entry point */
    uint64_t table; /* of program headers */
    unsigned count;
    struct segment segment[SEGMENTS_MAX];
    uint64_t end;   /* of what was loaded */
    uint64_t entry; /* 0: not found */
    bool multiboot;
    struct multiboot header; /* if so */
};

static unsigned entry_size(const struct elf *elf)
{
    return elf->is64 ? 56 : 32;
}

static int parse_header(const struct boot_file *kernel, const uint8_t *h, uint64_t len,
                        struct elf *elf, struct err *err)
{
    if (len < HEADER_LEAST)
        return boot_file_bad(kernel, err, "is truncated: %llu bytes are less than an ELF header",
                             (unsigned long long)len);
    elf->multiboot = multiboot_find(h, len, &elf->header);
    elf->is64 = h[EI_CLASS] == CLASS_64;
    unsigned machine = le16_load(h + 18);
    if (h[EI_DATA] != DATA_LE || (h[EI_CLASS] != CLASS_32 && h[EI_CLASS] != CLASS_64) ||
        (machine != MACHINE_X86_64 && machine != MACHINE_386))
        return boot_file_bad(kernel, err, "is an ELF file for another machine");
    elf->start = elf->is64 ? le64_load(h + 24) : le32_load(h + 24);
    elf->table = elf->is64 ? le64_load(h + 32) : le32_load(h + 28);
    unsigned size = le16_load(h + (elf->is64 ? 54 : 42));
    elf->count = le16_load(h + (elf->is64 ? 56 : 44));
    if (size != entry_size(elf) || !elf->count || elf->count > SEGMENTS_MAX)
        return boot_file_bad(kernel, err, "has %u program headers of %u bytes: not an ELF kernel",
                             elf->count, size);
    return 0;
}

static struct segment segment_of(const struct elf *elf, const uint8_t *p)
{
    if (elf->is64)
        return (struct segment){le32_load(p),      le64_load(p + 8),  le64_load(p + 16),
                                le64_load(p + 24), le64_load(p + 32), le64_load(p + 40)};
    return (struct segment){le32_load(p),      le32_load(p + 4),  le32_load(p + 8),
                            le32_load(p + 12), le32_load(p + 16), le32_load(p + 20)};
}

static int parse_segments(const struct boot_file *kernel, struct elf *elf, struct err *err)
{
    uint8_t table[SEGMENTS_MAX * 56];
    int rc = boot_file_read(kernel, elf->table, table, elf->count * entry_size(elf), err);

    for (unsigned i = 0; !rc && i < elf->count; i++)
        elf->segment[i] = segment_of(elf, table + i * entry_size(elf));
    return rc;
}

static int load_segment(struct linux_boot *boot, struct elf *elf, const struct segment *s,
                        struct err *err)
{
    if (!s->memory_size)
        return 0;
    if (s->file_size > s->memory_size || !linux_boot_room(boot, s->address, s->memory_size))
        return boot_file_bad(&boot->kernel, err,
                             "does not fit: it needs %llu bytes at 0x%llx, which the VM's memory "
                             "does not have",
                             (unsigned long long)s->memory_size, (unsigned long long)s->address);
    int rc =
        boot_file_load(&boot->kernel, s->offset, boot->gmem, gpa(s->address), s->file_size, err);
    if (!rc && !boot->ram_is_clean)
        rc =
            gmem_fill(boot->gmem, gpa(s->address + s->file_size), 0, s->memory_size - s->file_size);
    elf->end = MAX(elf->end, s->address + s->memory_size);
    return rc;
}

/* Notes are name and value, each padded to 4 bytes, behind a header of 12. */
static void scan_notes(struct elf *elf, const uint8_t *p, uint64_t len)
{
    uint64_t at = 0;

    while (range_within(at, 12, len)) {
        uint64_t name_len = le32_load(p + at), value_len = le32_load(p + at + 4);
        uint32_t type = le32_load(p + at + 8);
        uint64_t name = at + 12, value = name + align_up(name_len, 4);

        if (!range_within(name, name_len, len) || !range_within(value, value_len, len))
            return;
        if (type == NOTE_PHYS32_ENTRY && name_len == 4 && !memcmp(p + name, "Xen", 4) &&
            (value_len == 4 || value_len == 8))
            elf->entry = le_load(p + value, (unsigned)value_len);
        at = value + align_up(value_len, 4);
    }
}

static int read_notes(const struct boot_file *kernel, struct elf *elf, const struct segment *s,
                      struct err *err)
{
    uint64_t len = MIN(s->file_size, (uint64_t)NOTES_MAX);
    cleanup_free uint8_t *notes = len ? malloc(len) : NULL;

    if (!len)
        return 0;
    if (!notes)
        return err_set(err, -ENOMEM, "kernel \"%s\": out of memory", kernel->name);
    int rc = boot_file_read(kernel, s->offset, notes, len, err);
    if (!rc)
        scan_notes(elf, notes, len);
    return rc;
}

/* ELF's, which is a linked address. */
static int multiboot_entry(const struct boot_file *kernel, struct elf *elf, struct err *err)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct segment *s = &elf->segment[i];
        if (s->type == PT_LOAD && range_within(elf->start - s->linked, 1, s->memory_size))
            elf->entry = elf->start - s->linked + s->address;
    }
    if (!elf->entry)
        return boot_file_bad(kernel, err, "starts outside of itself: 0x%llx",
                             (unsigned long long)elf->start);
    return multiboot_check(kernel, &elf->header, err);
}

static int load_segments(struct linux_boot *boot, struct elf *elf, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < elf->count; i++)
        if (elf->segment[i].type == PT_NOTE)
            rc = read_notes(&boot->kernel, elf, &elf->segment[i], err);
    elf->multiboot = elf->multiboot && !elf->entry;
    if (!rc && elf->multiboot)
        rc = multiboot_entry(&boot->kernel, elf, err);
    if (!rc && !elf->entry)
        return boot_file_bad(&boot->kernel, err,
                             "has no PVH entry point (CONFIG_PVH) and no Multiboot header");
    for (unsigned i = 0; !rc && i < elf->count; i++)
        if (elf->segment[i].type == PT_LOAD)
            rc = load_segment(boot, elf, &elf->segment[i], err);
    if (!rc && (elf->entry > UINT32_MAX || !linux_boot_room(boot, elf->entry, 1) ||
                elf->entry >= elf->end))
        rc = boot_file_bad(&boot->kernel, err, "starts outside of itself: 0x%llx",
                           (unsigned long long)elf->entry);
    return rc;
}

/* struct hvm_start_info version 1, the one module (if any), the memory map: one after the other. */
static int start_info(const struct linux_boot *boot, uint64_t initrd)
{
    enum { INFO = 56, MODULE = 32, MAP_ENTRY = 24, MAGIC = 0x336ec578, VERSION = 1 };
    uint8_t page[INFO + MODULE + MAP_ENTRY * E820_ENTRIES_MAX] = {0};
    uint8_t *module = page + INFO, *map = module + MODULE;

    le32_store(page, MAGIC);
    le32_store(page + 4, VERSION);
    if (initrd) {
        le32_store(page + 12, 1);
        le64_store(page + 16, BOOT_PVH_INFO + INFO);
        le64_store(module, initrd);
        le64_store(module + 8, boot->initrd.size);
    }
    le64_store(page + 24, BOOT_CMDLINE);
    le64_store(page + 32, boot->rsdp);
    le64_store(page + 40, BOOT_PVH_INFO + INFO + MODULE);
    le32_store(page + 48, boot->map->count);
    for (unsigned i = 0; i < boot->map->count; i++, map += MAP_ENTRY) {
        le64_store(map, boot->map->entry[i].base);
        le64_store(map + 8, boot->map->entry[i].size);
        le32_store(map + 16, boot->map->entry[i].type);
    }
    return gmem_write(boot->gmem, gpa(BOOT_PVH_INFO), page, sizeof page);
}

int elf_load(struct linux_boot *boot, const uint8_t *head, uint64_t head_len,
             struct boot_start *ret_start, struct err *err)
{
    struct elf elf = {0};
    uint64_t initrd;
    int rc = parse_header(&boot->kernel, head, head_len, &elf, err);

    rc = rc ? rc : parse_segments(&boot->kernel, &elf, err);
    rc = rc ? rc : load_segments(boot, &elf, err);
    if (!rc && elf.multiboot)
        return multiboot_info(boot, elf.entry, elf.end, ret_start, err);
    rc = rc ? rc : linux_boot_cmdline(boot, BOOT_CMDLINE_MAX, err);
    rc = rc ? rc : linux_boot_initrd(boot, elf.end, GMEM_HIGH, &initrd, err);
    rc = rc ? rc : start_info(boot, initrd);
    if (rc < 0)
        return err && err->code ? rc : err_sys(err, rc, "kernel \"%s\"", boot->kernel.name);
    *ret_start =
        (struct boot_start){.protocol = BOOT_PVH, .entry = elf.entry, .info = BOOT_PVH_INFO};
    return 0;
}
