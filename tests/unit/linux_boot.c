/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel images made here, good and bad, loaded into a small guest RAM: what arrives where, and
 * which line a person reads when it does not. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/firmware/direct_boot.h"

enum { IMAGE = 64 << 10, PAYLOAD = 32 << 10, SETUP = 5 * 512 };

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (fd >= 0 && write(fd, data, len) != (ssize_t)len)
        fd = close_fd(fd);
    return fd;
}

/* A bzImage whose code bytes are 0xc3. */
static size_t bzimage(uint8_t *p)
{
    memset(p, 0, IMAGE);
    p[0x1f1] = 4;
    le32_store(p + 0x1f4, PAYLOAD / 16);
    le16_store(p + 0x1fe, 0xaa55);
    p[0x201] = 0x66;
    le32_store(p + 0x202, 0x53726448);
    le16_store(p + 0x206, 0x020f);
    p[0x211] = 1;
    le32_store(p + 0x22c, 0x7fffffff);
    le32_store(p + 0x230, 0x200000);
    p[0x234] = 1;
    le16_store(p + 0x236, 1);
    le32_store(p + 0x238, 2047);
    le64_store(p + 0x258, 0x1000000);
    le32_store(p + 0x260, 0x100000);
    memset(p + SETUP, 0xc3, PAYLOAD);
    return SETUP + PAYLOAD;
}

/* An ELF64 with a note and a segment at 16 MiB with 4 KiB of file and 8 KiB of memory. */
static size_t elf(uint8_t *p)
{
    memset(p, 0, IMAGE);
    memcpy(p,
           "\x7f"
           "ELF\2\1\1",
           7);
    le16_store(p + 16, 2);
    le16_store(p + 18, 62);
    le64_store(p + 32, 64);
    le16_store(p + 54, 56);
    le16_store(p + 56, 2);
    uint8_t *note = p + 64, *load = note + 56;
    le32_store(note, 4);
    le64_store(note + 8, 0x200);
    le64_store(note + 32, 40);
    le64_store(note + 40, 40);
    le32_store(load, 1);
    le64_store(load + 8, 0x1000);
    le64_store(load + 24, 0x1000000);
    le64_store(load + 32, 0x1000);
    le64_store(load + 40, 0x2000);
    /* Some other note first. */
    le32_store(p + 0x200, 4);
    le32_store(p + 0x204, 4);
    le32_store(p + 0x208, 1);
    memcpy(p + 0x20c, "GNU", 4);
    le32_store(p + 0x214, 4);
    le32_store(p + 0x218, 4);
    le32_store(p + 0x21c, 18);
    memcpy(p + 0x220, "Xen", 4);
    le32_store(p + 0x224, 0x1000040);
    memset(p + 0x1000, 0xc3, 0x1000);
    return 0x2000;
}

struct machine {
    struct gmem *gmem;
    struct fw_machine m;
    struct boot_start start;
    struct err err;
};

static int boot(struct machine *vm, uint64_t memory, const uint8_t *kernel, size_t len,
                const void *initrd, size_t initrd_len, const char *cmdline)
{
    cleanup_fd int kernel_fd = file_of(kernel, len);
    cleanup_fd int initrd_fd = initrd ? file_of(initrd, initrd_len) : -1;

    *vm = (struct machine){0};
    if (gmem_create(memory, GMEM_PAGES_AUTO, &vm->gmem, &vm->err))
        return -ENOMEM;
    fw_machine_init(&vm->m, vm->gmem);
    struct direct_boot params = {.gmem = vm->gmem,
                                 .machine = &vm->m,
                                 .kernel_fd = kernel_fd,
                                 .initrd_fd = initrd_fd,
                                 .kernel_name = "vmlinuz",
                                 .initrd_name = "initrd.img",
                                 .cmdline = cmdline};
    return direct_boot(&params, &vm->start, &vm->err);
}

static void done(struct machine *vm)
{
    gmem_destroy(vm->gmem);
}

static uint64_t load(struct machine *vm, uint64_t addr, unsigned size)
{
    uint8_t b[8] = {0};

    CHECK_EQ(gmem_read(vm->gmem, gpa(addr), b, size), 0);
    return le_load(b, size);
}

static uint8_t image[IMAGE];

static void bzimage_starts(void)
{
    size_t len = bzimage(image);
    struct machine vm;
    char text[32];

    REQUIRE(!boot(&vm, MIB(256), image, len, "ramdisk!", 8, "console=ttyS0"));
    CHECK_EQ(vm.start.protocol, BOOT_LINUX_64);
    CHECK_EQ(vm.start.entry, 0x1000200);
    CHECK_EQ(vm.start.info, BOOT_ZERO_PAGE);
    CHECK_EQ(load(&vm, 0x1000000, 8), 0xc3c3c3c3c3c3c3c3);
    CHECK_EQ(load(&vm, 0x1000000 + PAYLOAD - 1, 2), 0xc3);
    CHECK_EQ(load(&vm, BOOT_ZERO_PAGE + 0x202, 4), 0x53726448);
    CHECK_EQ(load(&vm, BOOT_ZERO_PAGE + 0x210, 1), 0xff);
    CHECK_EQ(load(&vm, BOOT_ZERO_PAGE + 0x228, 4), BOOT_CMDLINE);
    CHECK_EQ(load(&vm, BOOT_ZERO_PAGE + 0x070, 8), DIRECT_BOOT_RSDP);
    CHECK_EQ(gmem_read(vm.gmem, gpa(BOOT_CMDLINE), text, sizeof text), 0);
    CHECK_STR(text, "console=ttyS0");
    uint64_t initrd = load(&vm, BOOT_ZERO_PAGE + 0x218, 4);
    CHECK_EQ(load(&vm, BOOT_ZERO_PAGE + 0x21c, 4), 8);
    CHECK_EQ(load(&vm, initrd, 8), 0x216b7369646d6172); /* "ramdisk!" */
    CHECK(initrd > MIB(255) && initrd % 4096 == 0);
    done(&vm);
}

/* What firmware leaves behind is there, and the map says so. */
static void tables_are_where_the_map_says(void)
{
    size_t len = bzimage(image);
    struct machine vm;
    bool rsdp_reserved = false, xsdt_acpi = false;

    REQUIRE(!boot(&vm, MIB(256), image, len, NULL, 0, ""));
    CHECK_EQ(load(&vm, DIRECT_BOOT_RSDP, 8), 0x2052545020445352);
    CHECK_EQ(load(&vm, DIRECT_BOOT_SMBIOS_ENTRY, 4), 0x334d535f);
    CHECK_EQ(load(&vm, 0x40e, 2) * 16, 0x9fc00);
    CHECK_EQ(load(&vm, 0x413, 2) * 1024, 0x9fc00);
    uint64_t xsdt = load(&vm, DIRECT_BOOT_RSDP + 24, 8);
    CHECK_EQ(load(&vm, xsdt, 4), 0x54445358);
    uint64_t count = load(&vm, BOOT_ZERO_PAGE + 0x1e8, 1), ram = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = BOOT_ZERO_PAGE + 0x2d0 + 20 * i;
        uint64_t base = load(&vm, at, 8), size = load(&vm, at + 8, 8), type = load(&vm, at + 16, 4);
        ram += type == E820_RAM ? size : 0;
        xsdt_acpi |= type == E820_ACPI && xsdt >= base && xsdt < base + size;
        rsdp_reserved |= type == E820_RESERVED && base == 0xf0000 && size == 0x10000;
    }
    CHECK(xsdt_acpi && rsdp_reserved);
    CHECK(ram > MIB(254) && ram < MIB(256));
    done(&vm);
}

/* What memory type an address has, by the variable ranges: uncached wins. */
static unsigned memory_type(const struct cpu_state *cpu, uint64_t at)
{
    unsigned type = 7;

    for (unsigned n = 0; n < 8; n++) {
        uint64_t base = cpu->msr[MSR_SLOT_mtrr_physbase0 + 2 * n];
        uint64_t mask = cpu->msr[MSR_SLOT_mtrr_physmask0 + 2 * n];
        if (mask & 0x800 && !((at ^ base) & mask & ~UINT64_C(0xfff)))
            type = MIN(type, (unsigned)base & 0xff);
    }
    return type == 7 ? cpu->msr[MSR_SLOT_mtrr_deftype] & 0xff : type;
}

static void memory_types_follow_ram(void)
{
    static const uint64_t ends[] = {MIB(256),         GIB(2), GIB(5),   GIB(4) + MIB(4),
                                    GIB(11) - MIB(4), GIB(7), GIB(127), GIB(85)};
    struct cpu_state *cpu;

    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct boot_start start = {.phys_bits = 40, .ram_end = ends[i]};
        uint64_t devices = MAX((ends[i] + GIB(1) - 1) & ~(GIB(1) - 1), GIB(4));

        REQUIRE(cpu = calloc(1, sizeof *cpu));
        boot_start_apply_common(&start, cpu);
        CHECK_EQ(memory_type(cpu, MIB(1)), 6);
        CHECK_EQ(memory_type(cpu, GIB(2)), 0);
        CHECK_EQ(memory_type(cpu, GIB(4) - 1), 0);
        for (uint64_t at = GIB(4); at < ends[i]; at += MIB(256))
            CHECK_EQ(memory_type(cpu, at), 6);
        CHECK_EQ(memory_type(cpu, devices), 0);
        free(cpu);
    }
    /* More pieces than ranges: all RAM is covered. */
    struct boot_start start = {.phys_bits = 46, .ram_end = GIB(0x1011)};
    REQUIRE(cpu = calloc(1, sizeof *cpu));
    boot_start_apply_common(&start, cpu);
    for (uint64_t at = GIB(4); at < start.ram_end; at += GIB(1))
        CHECK_EQ(memory_type(cpu, at), 6);
    CHECK_EQ(memory_type(cpu, BIT64(45)), 0);
    free(cpu);
}

static void page_tables_are_identity(void)
{
    size_t len = bzimage(image);
    struct machine vm;

    REQUIRE(!boot(&vm, MIB(256), image, len, NULL, 0, NULL));
    for (uint64_t va = 0; va < GIB(1); va += MIB(2) * 37) {
        uint64_t pml4e = load(&vm, BOOT_PAGE_TABLES, 8);
        uint64_t pdpte = load(&vm, pml4e & ~UINT64_C(0xfff), 8);
        uint64_t pde = load(&vm, (pdpte & ~UINT64_C(0xfff)) + (va >> 21) * 8, 8);
        CHECK(pml4e & pdpte & pde & 1);
        CHECK_EQ(pde & ~UINT64_C(0xfff), va);
    }
    struct cpu_state *cpu = calloc(1, sizeof *cpu);
    REQUIRE(cpu);
    cpu->cr0 = 0x60000010;
    boot_start_apply(&vm.start, cpu);
    CHECK_EQ(cpu->cr0, 0x80000011);
    CHECK_EQ(cpu->efer, 0x500);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_deftype], 0xc00);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_physbase0], 0x6);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_physmask0], 0xff80000800);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_physmask1], 0);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_fix16k_a0000], 0);
    CHECK_EQ(cpu->msr[MSR_SLOT_mtrr_fix4k_f8000], 0x0606060606060606);
    CHECK_EQ(cpu->cr3, BOOT_PAGE_TABLES);
    CHECK_EQ(cpu->gpr[CPU_RSI], BOOT_ZERO_PAGE);
    CHECK_EQ(cpu->seg[CPU_CS].selector, 0x10);
    CHECK(cpu->seg[CPU_CS].attributes & CPU_SEG_L);
    CHECK_EQ(load(&vm, BOOT_GDT + 0x10, 8), 0x00af9b000000ffff);
    free(cpu);
    done(&vm);
}

/* A kernel without the 64-bit entry: __BOOT_CS is a 32-bit segment, EBX is 0. */
static void bzimage_32_starts(void)
{
    size_t len = bzimage(image);
    struct cpu_state *cpu = calloc(1, sizeof *cpu);
    struct machine vm;

    REQUIRE(cpu);
    le16_store(image + 0x236, 0);
    REQUIRE(!boot(&vm, MIB(256), image, len, NULL, 0, ""));
    CHECK_EQ(vm.start.protocol, BOOT_LINUX_32);
    CHECK_EQ(vm.start.entry, 0x1000000);
    CHECK_EQ(load(&vm, BOOT_GDT + 0x10, 8), 0x00cf9b000000ffff);
    cpu->cr0 = 0x60000010;
    boot_start_apply(&vm.start, cpu);
    CHECK_EQ(cpu->cr0, 0x60000011);
    CHECK_EQ(cpu->efer, 0);
    CHECK_EQ(cpu->rip, 0x1000000);
    CHECK_EQ(cpu->gpr[CPU_RSI], BOOT_ZERO_PAGE);
    CHECK_EQ(cpu->gpr[CPU_RBX], 0);
    CHECK_EQ(cpu->seg[CPU_CS].attributes & (CPU_SEG_L | CPU_SEG_DB), CPU_SEG_DB);
    free(cpu);
    done(&vm);
}

static void small_ram_moves_the_kernel_down(void)
{
    size_t len = bzimage(image);
    struct machine vm;

    REQUIRE(!boot(&vm, MIB(16), image, len, NULL, 0, ""));
    CHECK_EQ(vm.start.entry, 0x200200);
    done(&vm);
}

static void pvh_starts(void)
{
    size_t len = elf(image);
    struct machine vm;

    REQUIRE(!boot(&vm, MIB(256), image, len, "ramdisk!", 8, "quiet"));
    CHECK_EQ(vm.start.protocol, BOOT_PVH);
    CHECK_EQ(vm.start.entry, 0x1000040);
    CHECK_EQ(load(&vm, vm.start.info, 4), 0x336ec578);
    CHECK_EQ(load(&vm, vm.start.info + 12, 4), 1);
    uint64_t module = load(&vm, vm.start.info + 16, 8);
    CHECK_EQ(load(&vm, load(&vm, module, 8), 8), 0x216b7369646d6172);
    CHECK_EQ(load(&vm, module + 8, 8), 8);
    CHECK_EQ(load(&vm, load(&vm, vm.start.info + 24, 8), 5), 0x7465697571);
    CHECK_EQ(load(&vm, vm.start.info + 32, 8), DIRECT_BOOT_RSDP);
    uint64_t map = load(&vm, vm.start.info + 40, 8);
    CHECK_EQ(load(&vm, map, 8), 0);
    CHECK_EQ(load(&vm, map + 8, 8), 0x9fc00);
    CHECK_EQ(load(&vm, map + 16, 4), E820_RAM);
    CHECK_EQ(load(&vm, 0x1000fff, 2), 0xc3);
    done(&vm);
}

static void put_header(uint8_t *p, uint32_t flags)
{
    le32_store(p, 0x1badb002);
    le32_store(p + 4, flags);
    le32_store(p + 8, -(0x1badb002 + flags));
}

/* That file without its note, and with a header in its segment; linked at 2 GiB. */
static size_t multiboot_elf(uint8_t *p)
{
    size_t len = elf(p);

    le32_store(p + 0x21c, 17);
    le64_store(p + 24, 0x80000040);
    le64_store(p + 64 + 56 + 16, 0x80000000);
    put_header(p + 0x1004, 3);
    return len;
}

/* No ELF file: 1 KiB of something else, then what goes to 2 MiB, the header 32 bytes behind that
 * place. */
static size_t multiboot_flat(uint8_t *p)
{
    memset(p, 0, 0x1000);
    memset(p + 0x400, 0xc3, 0x800);
    put_header(p + 0x420, 0x10000);
    le32_store(p + 0x42c, 0x200020);
    le32_store(p + 0x430, 0x200000);
    le32_store(p + 0x434, 0x200800);
    le32_store(p + 0x438, 0x202000);
    le32_store(p + 0x43c, 0x200040);
    return 0x1000;
}

static void multiboot_elf_starts(void)
{
    size_t len = multiboot_elf(image);
    struct cpu_state state = {0};
    struct machine vm;
    char text[16] = "";

    REQUIRE(!boot(&vm, MIB(256), image, len, "ramdisk!", 8, "quiet"));
    CHECK_EQ(vm.start.protocol, BOOT_MULTIBOOT);
    CHECK_EQ(vm.start.entry, 0x1000040);
    uint64_t info = vm.start.info, module = load(&vm, info + 24, 4), map = load(&vm, info + 48, 4);
    CHECK_EQ(load(&vm, info, 4), 1 + 4 + 8 + 64);
    CHECK_EQ(load(&vm, info + 4, 4), 639);
    CHECK(load(&vm, info + 8, 4) > 254 << 10);
    CHECK_EQ(gmem_read(vm.gmem, gpa(load(&vm, info + 16, 4)), text, 14), 0);
    CHECK_STR(text, "vmlinuz quiet");
    CHECK_EQ(load(&vm, info + 20, 4), 1);
    CHECK_EQ(load(&vm, load(&vm, module, 4), 8), 0x216b7369646d6172);
    CHECK_EQ(load(&vm, module + 4, 4) - load(&vm, module, 4), 8);
    CHECK_EQ(load(&vm, load(&vm, module + 8, 4), 6), 0x647274696e69); /* "initrd" */
    CHECK_EQ(load(&vm, info + 44, 4) % 24, 0);
    CHECK_EQ(load(&vm, map, 4), 20);
    CHECK_EQ(load(&vm, map + 12, 8), 0x9fc00);
    CHECK_EQ(load(&vm, map + 20, 4), E820_RAM);
    boot_start_apply(&vm.start, &state);
    CHECK_EQ(state.gpr[CPU_RAX], 0x2badb002);
    CHECK_EQ(state.gpr[CPU_RBX], info);
    CHECK_EQ(state.cr0 >> 31, 0);
    done(&vm);
}

static void multiboot_flat_starts(void)
{
    size_t len = multiboot_flat(image);
    struct machine vm;

    REQUIRE(!boot(&vm, MIB(16), image, len, NULL, 0, ""));
    CHECK_EQ(vm.start.protocol, BOOT_MULTIBOOT);
    CHECK_EQ(vm.start.entry, 0x200040);
    CHECK_EQ(load(&vm, 0x200000, 4), 0xc3c3c3c3);
    CHECK_EQ(load(&vm, 0x200020, 4), 0x1badb002);
    CHECK_EQ(load(&vm, 0x2007ff, 2), 0xc3);
    CHECK_EQ(load(&vm, vm.start.info + 20, 4), 0);
    done(&vm);
}

/* After a reset RAM has what the last kernel left: .bss must be cleared. */
static void bss_is_cleared(void)
{
    size_t len = elf(image);
    cleanup_fd int fd = file_of(image, len);
    struct boot_start start;
    struct gmem *gmem;
    struct fw_machine m;
    uint8_t byte = 1;

    REQUIRE(!gmem_create(MIB(64), GMEM_PAGES_AUTO, &gmem, NULL));
    fw_machine_init(&m, gmem);
    CHECK_EQ(gmem_fill(gmem, gpa(0x1000000), 0xee, 0x4000), 0);
    struct direct_boot params = {
        .gmem = gmem, .machine = &m, .kernel_fd = fd, .initrd_fd = -1, .kernel_name = "k"};
    CHECK_EQ(direct_boot(&params, &start, NULL), 0);
    CHECK_EQ(gmem_read(gmem, gpa(0x1001fff), &byte, 1), 0);
    CHECK_EQ(byte, 0);
    CHECK_EQ(gmem_read(gmem, gpa(0x1002000), &byte, 1), 0);
    CHECK_EQ(byte, 0xee);
    gmem_destroy(gmem);
}

/* One change to a good image, and what is said of it. */
struct bad {
    const char *why;
    unsigned offset, size;
    uint64_t value;
    const char *text;
};

static void check_bad(size_t (*make)(uint8_t *), const struct bad *b)
{
    size_t len = make(image);
    struct machine vm;

    le_store(image + b->offset, b->size, b->value);
    CHECK_EQ(boot(&vm, MIB(256), image, len, NULL, 0, ""), -EINVAL);
    if (!CHECK(strstr(vm.err.text, b->text) && strstr(vm.err.text, "kernel \"vmlinuz\"")))
        (void)printf("# %s: %s\n", b->why, vm.err.text);
    done(&vm);
}

static void bad_bzimages_are_named(void)
{
    static const struct bad bad[] = {
        {"magic", 0x202, 4, 0, "neither a bzImage nor an ELF"},
        {"boot flag", 0x1fe, 2, 0, "neither a bzImage nor an ELF"},
        {"protocol", 0x206, 2, 0x0205, "protocol 2.05"},
        {"zImage", 0x211, 1, 0, "zImage"},
        {"syssize over the file", 0x1f4, 4, 0x10000, "truncated"},
        {"syssize at its limit", 0x1f4, 4, UINT32_MAX, "truncated"},
        {"syssize 0", 0x1f4, 4, 0, "no code"},
        {"setup sectors over the file", 0x1f1, 1, 255, "truncated"},
        {"init_size over RAM", 0x260, 4, 0x10000000, "does not fit"},
        {"init_size at its limit", 0x260, 4, UINT32_MAX, "does not fit"},
        {"alignment 0", 0x230, 4, 0, "bad alignment"},
        {"alignment odd", 0x230, 4, 0x200001, "bad alignment"},
        {"header ends early", 0x201, 1, 0x10, "ends too early"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        check_bad(bzimage, &bad[i]);
}

static void bad_elfs_are_named(void)
{
    enum { NOTE = 64, LOAD = 64 + 56 };
    static const struct bad bad[] = {
        {"big endian", 5, 1, 2, "another machine"},
        {"arm", 18, 2, 183, "another machine"},
        {"no segments", 56, 2, 0, "program headers"},
        {"many segments", 56, 2, 65535, "program headers"},
        {"header size", 54, 2, 57, "program headers"},
        {"table outside", 32, 8, UINT64_MAX - 8, "truncated"},
        {"note outside", NOTE + 8, 8, UINT64_MAX - 8, "truncated"},
        {"note name too long", 0x200, 4, UINT32_MAX, "no PVH entry"},
        {"note value too long", 0x204, 4, UINT32_MAX - 3, "no PVH entry"},
        {"other note", 0x21c, 4, 17, "no PVH entry"},
        {"file > memory", LOAD + 32, 8, 0x3000, "does not fit"},
        {"segment outside of RAM", LOAD + 24, 8, 0x10000000, "does not fit"},
        {"segment wraps", LOAD + 24, 8, UINT64_MAX - 0xfff, "does not fit"},
        {"segment in low memory", LOAD + 24, 8, 0x7000, "does not fit"},
        {"segment wraps in memory", LOAD + 40, 8, UINT64_MAX, "does not fit"},
        {"segment outside of the file", LOAD + 8, 8, 0x100000, "truncated"},
        {"entry outside", 0x224, 4, 0x2000000, "starts outside"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        check_bad(elf, &bad[i]);
}

static void bad_multiboot_is_named(void)
{
    static const struct bad elf_bad[] = {
        {"wants what is not known", 0x1008, 4, 3 + 8, "no PVH entry"}, /* the checksum is wrong */
        {"entry outside", 24, 8, 0x1000040, "starts outside"},
    };
    static const struct bad bad[] = {
        {"no addresses", 0x424, 8, UINT64_C(0xe4524ffe00000000), "without addresses"},
        {"unknown wish", 0x424, 8, UINT64_C(0xe4514ff600010008), "asks for 0x8"},
        {"header before its segment", 0x430, 4, 0x200024, "begins before"},
        {"segment before the file", 0x430, 4, 0x100000, "begins before"},
        {"end before the beginning", 0x434, 4, 0x1fffff, "shorter"},
        {"longer than the file", 0x434, 4, 0x210000, "shorter"},
        {"more memory than there is", 0x438, 4, 0xfffff000, "does not fit"},
        {"entry outside", 0x43c, 4, 0x200800, "starts outside"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(elf_bad); i++)
        check_bad(multiboot_elf, &elf_bad[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        check_bad(multiboot_flat, &bad[i]);
}

static void truncated_and_odd_files_are_named(void)
{
    size_t len = bzimage(image);
    struct machine vm;

    for (size_t cut = 0; cut < len - 16; cut += cut < 0x400 ? 13 : 4099) {
        CHECK_EQ(boot(&vm, MIB(64), image, cut, NULL, 0, ""), -EINVAL);
        CHECK(strstr(vm.err.text, cut ? "truncated" : "empty"));
        done(&vm);
    }
    CHECK_EQ(boot(&vm, MIB(64), image, len, "", 0, ""), -EINVAL);
    CHECK_STR(vm.err.text, "initrd \"initrd.img\" is empty");
    done(&vm);
    static uint8_t big[MIB(32)];
    CHECK_EQ(boot(&vm, MIB(32), image, len, big, sizeof big, ""), -EINVAL);
    CHECK(strstr(vm.err.text, "initrd \"initrd.img\" does not fit"));
    done(&vm);
    static char line[4096];
    memset(line, 'x', sizeof line - 1);
    CHECK_EQ(boot(&vm, MIB(64), image, len, NULL, 0, line), -EINVAL);
    CHECK(strstr(vm.err.text, "2047 characters, it has 4095"));
    done(&vm);
}

TAP_MAIN(TAP_CASE(bzimage_starts), TAP_CASE(tables_are_where_the_map_says),
         TAP_CASE(memory_types_follow_ram), TAP_CASE(page_tables_are_identity),
         TAP_CASE(bzimage_32_starts), TAP_CASE(small_ram_moves_the_kernel_down),
         TAP_CASE(pvh_starts), TAP_CASE(multiboot_elf_starts), TAP_CASE(multiboot_flat_starts),
         TAP_CASE(bss_is_cleared), TAP_CASE(bad_bzimages_are_named), TAP_CASE(bad_elfs_are_named),
         TAP_CASE(bad_multiboot_is_named), TAP_CASE(truncated_and_odd_files_are_named))
