/* SPDX-License-Identifier: Apache-2.0 */
/* bzImage: setup header, zero page, and the 64-bit entry 0x200 bytes into the protected-mode part,
 * or, for kernels that have none, the 32-bit entry at its beginning
 * (Documentation/arch/x86/boot.rst, zero-page.rst). The real-mode part is not used. Protocols
 * before 2.12 are refused: every kernel since 3.8 has a later one. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/firmware/linux_boot.h"

/* The setup header, offsets in file and zero page alike. */
enum {
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4, /* of the protected-mode part, in 16 bytes */
    BOOT_FLAG = 0x1fe,
    JUMP = 0x201, /* its second byte: the header ends at 0x202 + this */
    MAGIC = 0x202,
    VERSION = 0x206,
    LOADER_TYPE = 0x210,
    LOAD_FLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMDLINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END_LEAST = 0x264,
    HEADER_END_MOST = 0x290,

    /* The rest of the zero page. */
    SCREEN_INFO = 0x000,
    ACPI_RSDP_ADDR = 0x070,
    E820_ENTRIES = 0x1e8,
    E820_TABLE = 0x2d0,
    ZERO_PAGE_SIZE = 4096,
};

enum {
    MAGIC_HDRS = 0x53726448,
    BOOT_FLAG_VALUE = 0xaa55,
    VERSION_LEAST = 0x020c,
    XLF_KERNEL_64 = 1,
    XLF_ABOVE_4G = 2,
    LOADED_HIGH = 1,
    LOADER_UNKNOWN = 0xff,
    ENTRY_64 = 0x200,
    DEFAULT_BASE = 0x100000,
    PAYLOAD_SLACK = 16 /* syssize rounds up */
};

#define PAGE_TABLE_REACH GIB(1)

struct bzimage {
    uint64_t offset, size; /* of the protected-mode part in the file */
    uint64_t base, span;   /* where it goes, and how much it works in before it moves */
    uint64_t header_end;
};

bool bzimage_is(const uint8_t *head, uint64_t len)
{
    return len >= HEADER_END_LEAST && le32_load(head + MAGIC) == MAGIC_HDRS;
}

static int check_header(const struct boot_file *kernel, const uint8_t *h, uint64_t len,
                        struct err *err)
{
    if (len < HEADER_END_LEAST)
        return boot_file_bad(kernel, err,
                             "is truncated: %llu bytes are less than a kernel's header",
                             (unsigned long long)len);
    if (le16_load(h + BOOT_FLAG) != BOOT_FLAG_VALUE || le32_load(h + MAGIC) != MAGIC_HDRS)
        return boot_file_bad(kernel, err,
                             "is neither a bzImage nor an ELF file, and has no Multiboot header");
    unsigned version = le16_load(h + VERSION);
    if (version < VERSION_LEAST)
        return boot_file_bad(kernel, err, "has boot protocol %u.%02u; 2.12 or later is needed",
                             version >> 8, version & 0xff);
    if (!(h[LOAD_FLAGS] & LOADED_HIGH))
        return boot_file_bad(kernel, err, "is a zImage; a bzImage is needed");
    return 0;
}

/* Where the kernel goes: where it prefers, else, if it can be moved, as low as its alignment
 * allows. */
static int place(const struct linux_boot *boot, const uint8_t *h, struct bzimage *image,
                 struct err *err)
{
    uint64_t wanted = le64_load(h + PREF_ADDRESS), align = le32_load(h + KERNEL_ALIGNMENT);

    if (!h[RELOCATABLE])
        wanted = wanted ? wanted : DEFAULT_BASE;
    else if (!is_power_of_two(align) || align < GMEM_PAGE_SIZE || align > PAGE_TABLE_REACH)
        return boot_file_bad(&boot->kernel, err, "has a bad alignment: 0x%llx",
                             (unsigned long long)align);
    uint64_t choice[2] = {wanted, h[RELOCATABLE] ? align_up(DEFAULT_BASE, align) : wanted};

    for (unsigned i = 0; i < 2; i++) {
        uint64_t base = choice[i];
        if (linux_boot_room(boot, base, image->span) &&
            range_within(base, image->span, PAGE_TABLE_REACH)) {
            image->base = base;
            return 0;
        }
    }
    return boot_file_bad(
        &boot->kernel, err,
        "does not fit: it needs %llu MiB at 0x%llx, which the VM's memory does not have",
        (unsigned long long)(image->span >> 20), (unsigned long long)wanted);
}

static int parse(const struct linux_boot *boot, const uint8_t *h, uint64_t len,
                 struct bzimage *image, struct err *err)
{
    const struct boot_file *kernel = &boot->kernel;
    int rc = check_header(kernel, h, len, err);

    if (rc < 0)
        return rc;
    uint64_t sectors = h[SETUP_SECTS] ? h[SETUP_SECTS] : 4;
    uint64_t payload = (uint64_t)le32_load(h + SYSSIZE) * 16;

    *image =
        (struct bzimage){.offset = (sectors + 1) * 512,
                         .header_end = MIN(MAGIC + (uint64_t)h[JUMP], (uint64_t)HEADER_END_MOST)};
    if (image->header_end < HEADER_END_LEAST)
        return boot_file_bad(kernel, err, "has a setup header that ends too early");
    if (payload <= ENTRY_64 + PAYLOAD_SLACK)
        return boot_file_bad(kernel, err, "has no code");
    if (image->offset >= kernel->size || kernel->size - image->offset + PAYLOAD_SLACK < payload)
        return boot_file_bad(kernel, err, "is truncated: it should have %llu bytes, it has %llu",
                             (unsigned long long)(image->offset + payload),
                             (unsigned long long)kernel->size);
    image->size = MIN(payload, kernel->size - image->offset);
    image->span = MAX((uint64_t)le32_load(h + INIT_SIZE), payload);
    return place(boot, h, image, err);
}

/* VGA in its power-on text mode: struct screen_info. */
static void text_screen(uint8_t *zero)
{
    uint8_t *p = zero + SCREEN_INFO;

    p[6] = 3;   /* mode */
    p[7] = 80;  /* columns */
    p[14] = 25; /* lines */
    p[15] = 1;  /* VGA */
    p[16] = 16; /* lines of a character */
}

static int zero_page(const struct linux_boot *boot, const uint8_t *h, const struct bzimage *image,
                     uint64_t initrd)
{
    uint8_t zero[ZERO_PAGE_SIZE] = {0};

    memcpy(zero + SETUP_SECTS, h + SETUP_SECTS, image->header_end - SETUP_SECTS);
    zero[LOADER_TYPE] = LOADER_UNKNOWN;
    le32_store(zero + CODE32_START, (uint32_t)image->base);
    le32_store(zero + RAMDISK_IMAGE, (uint32_t)initrd);
    le32_store(zero + RAMDISK_SIZE, initrd ? (uint32_t)boot->initrd.size : 0);
    le32_store(zero + CMDLINE_PTR, BOOT_CMDLINE);
    le64_store(zero + ACPI_RSDP_ADDR, boot->rsdp);
    if (boot->text_screen)
        text_screen(zero);
    zero[E820_ENTRIES] = (uint8_t)boot->map->count;
    (void)e820_store(boot->map, zero + E820_TABLE);
    return gmem_write(boot->gmem, gpa(BOOT_ZERO_PAGE), zero, sizeof zero);
}

/* Null, unused, code, data: __BOOT_CS is 0x10. */
static int gdt(struct gmem *gmem, bool is64)
{
    const uint64_t code = is64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff;
    const uint64_t entry[] = {0, 0, code, 0x00cf93000000ffff, 0, 0};
    uint8_t bytes[sizeof entry];

    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++)
        le64_store(bytes + 8 * i, entry[i]);
    return gmem_write(gmem, gpa(BOOT_GDT), bytes, sizeof bytes);
}

/* The first GiB as it is, in pages of 2 MiB. */
static int page_tables(struct gmem *gmem)
{
    enum { ENTRIES = 512, P_RW = 3, P_RW_PS = 0x83 };
    uint64_t pml4 = BOOT_PAGE_TABLES, pdpt = pml4 + GMEM_PAGE_SIZE, pd = pdpt + GMEM_PAGE_SIZE;
    uint8_t page[GMEM_PAGE_SIZE] = {0};

    le64_store(page, pdpt | P_RW);
    int rc = gmem_write(gmem, gpa(pml4), page, sizeof page);
    le64_store(page, pd | P_RW);
    rc = rc ? rc : gmem_write(gmem, gpa(pdpt), page, sizeof page);
    for (uint64_t i = 0; i < ENTRIES; i++)
        le64_store(page + 8 * i, MIB(2) * i | P_RW_PS);
    return rc ? rc : gmem_write(gmem, gpa(pd), page, sizeof page);
}

int bzimage_load(struct linux_boot *boot, const uint8_t *head, uint64_t head_len,
                 struct boot_start *ret_start, struct err *err)
{
    struct bzimage image;
    uint64_t initrd;
    int rc = parse(boot, head, head_len, &image, err);

    if (rc < 0)
        return rc;
    uint64_t end = image.base + image.span;
    uint64_t initrd_limit = (uint64_t)le32_load(head + INITRD_ADDR_MAX) + 1;
    uint64_t cmdline_max = le32_load(head + CMDLINE_SIZE);
    bool is64 = le16_load(head + XLOADFLAGS) & XLF_KERNEL_64;

    rc = boot_file_load(&boot->kernel, image.offset, boot->gmem, gpa(image.base), image.size, err);
    rc = rc ? rc : linux_boot_cmdline(boot, cmdline_max ? cmdline_max : 255, err);
    rc = rc ? rc : linux_boot_initrd(boot, end, initrd_limit, &initrd, err);
    rc = rc ? rc : zero_page(boot, head, &image, initrd);
    rc = rc ? rc : gdt(boot->gmem, is64);
    rc = rc ? rc : page_tables(boot->gmem);
    if (rc < 0)
        return err && err->code ? rc : err_sys(err, rc, "kernel \"%s\"", boot->kernel.name);
    *ret_start = (struct boot_start){.protocol = is64 ? BOOT_LINUX_64 : BOOT_LINUX_32,
                                     .entry = image.base + (is64 ? ENTRY_64 : 0),
                                     .info = BOOT_ZERO_PAGE};
    return 0;
}
