/* SPDX-License-Identifier: Apache-2.0 */
/* What both kernel formats share: recognition, initrd, command line, GDT and page tables, and the
 * processor's state at entry. */
#include "vm/firmware/linux_boot.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/firmware/multiboot.h"

enum { HEAD_SIZE = 8192, ELF_MAGIC = 0x464c457f };

/* The boot protocol's selectors: __BOOT_CS and __BOOT_DS; PVH asks for a task register. */
enum { SEL_CS = 0x10, SEL_DS = 0x18, SEL_TSS = 0x20, GDT_ENTRIES = 6 };

bool linux_boot_room(const struct linux_boot *boot, uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < boot->map->count; i++) {
        const struct e820_entry *e = &boot->map->entry[i];
        if (e->type == E820_RAM && e->base >= MIB(1) && base >= e->base &&
            range_within(base - e->base, size, e->size))
            return true;
    }
    return false;
}

int linux_boot_initrd(struct linux_boot *boot, uint64_t above, uint64_t limit, uint64_t *ret_base,
                      struct err *err)
{
    uint64_t size, base = 0;

    *ret_base = 0;
    if (boot->initrd.fd < 0)
        return 0;
    int rc = boot_file_stat(&boot->initrd, err);
    if (rc < 0)
        return rc;
    size = boot->initrd.size;
    for (unsigned i = 0; i < boot->map->count; i++) {
        const struct e820_entry *e = &boot->map->entry[i];
        uint64_t from = MAX(e->base, above), end = MIN(e->base + e->size, limit);
        if (e->type == E820_RAM && from < end && end - from >= size &&
            align_down(end - size, GMEM_PAGE_SIZE) >= from)
            base = align_down(end - size, GMEM_PAGE_SIZE);
    }
    if (!base)
        return boot_file_bad(&boot->initrd, err,
                             "does not fit: %llu bytes, and the VM's memory has no room for it "
                             "beside the kernel",
                             (unsigned long long)size);
    rc = boot_file_load(&boot->initrd, 0, boot->gmem, gpa(base), size, err);
    if (!rc)
        *ret_base = base;
    return rc;
}

int linux_boot_cmdline(struct linux_boot *boot, uint64_t max, struct err *err)
{
    const char *text = boot->cmdline ? boot->cmdline : "";
    size_t len = strlen(text);

    if (len > max || len > BOOT_CMDLINE_MAX)
        return boot_file_bad(&boot->kernel, err,
                             "takes a command line of %llu characters, it has %zu",
                             (unsigned long long)MIN(max, (uint64_t)BOOT_CMDLINE_MAX), len);
    return gmem_write(boot->gmem, gpa(BOOT_CMDLINE), text, len + 1);
}

int linux_boot(struct linux_boot *boot, struct boot_start *ret_start, struct err *err)
{
    uint8_t head[HEAD_SIZE];

    int rc = boot_file_stat(&boot->kernel, err);
    if (rc < 0)
        return rc;
    uint64_t len = MIN(boot->kernel.size, (uint64_t)sizeof head);
    rc = boot_file_read(&boot->kernel, 0, head, len, err);
    if (rc < 0)
        return rc;
    if (len >= 4 && le32_load(head) == ELF_MAGIC)
        return elf_load(boot, head, len, ret_start, err);
    struct multiboot header;
    if (!bzimage_is(head, len) && multiboot_find(head, len, &header))
        return multiboot_load(boot, &header, ret_start, err);
    return bzimage_load(boot, head, len, ret_start, err);
}

/* Flat segments, as the descriptor table in memory has them too. */
static struct cpu_segment flat(uint16_t selector, uint16_t attributes)
{
    return (struct cpu_segment){
        .limit = UINT32_MAX, .selector = selector, .attributes = attributes};
}

/* Memory types, SDM volume 3, 12.11. Fixed ranges: RAM, VGA, ROM and RAM that stands for it.
 * Variable ranges are powers of two at multiples of themselves, and where two meet, uncached wins:
 * RAM is in one write-back range from 0 on, out of which others cut what is for devices. */
enum { MTRR_UC = 0, MTRR_WB = 6, MTRR_RANGES = 8 };

static void set_range(const struct boot_start *start, struct cpu_state *state, unsigned n,
                      uint64_t base, uint64_t size, unsigned type)
{
    enum { VALID = BIT(11) };
    uint64_t mask = (BIT64(start->phys_bits) - 1) & ~(size - 1);

    state->msr[MSR_SLOT_mtrr_physbase0 + 2 * n] = base | type;
    state->msr[MSR_SLOT_mtrr_physmask0 + 2 * n] = mask | VALID;
}

/* RAM ends at `end` or before. False: there are not ranges enough. */
static bool set_ranges(const struct boot_start *start, struct cpu_state *state, uint64_t end)
{
    uint64_t top = GMEM_LOW_MAX, size;
    unsigned n = 0;

    while (top < end)
        top *= 2;
    set_range(start, state, n++, 0, top, MTRR_WB);
    if (end > GMEM_LOW_MAX)
        set_range(start, state, n++, GMEM_LOW_MAX, GMEM_HIGH - GMEM_LOW_MAX, MTRR_UC);
    for (uint64_t at = MAX(end, GMEM_LOW_MAX); at < top; at += size) {
        size = at & -at;
        if (n == MTRR_RANGES)
            return false;
        set_range(start, state, n++, at, size, MTRR_UC);
    }
    return true;
}

void boot_start_apply_common(const struct boot_start *start, struct cpu_state *state)
{
    const uint64_t all_wb = UINT64_C(0x0101010101010101) * MTRR_WB, all_uc = 0;
    enum { DEFTYPE_FIXED = BIT(10), DEFTYPE_ON = BIT(11) };
    uint64_t unit = GIB(1); /* where device memory begins behind RAM (acpi_dsdt.c), or coarser */

    state->msr[MSR_SLOT_mtrr_fix64k_00000] = all_wb;
    state->msr[MSR_SLOT_mtrr_fix16k_80000] = all_wb;
    state->msr[MSR_SLOT_mtrr_fix16k_a0000] = all_uc;
    for (unsigned i = MSR_SLOT_mtrr_fix4k_c0000; i <= MSR_SLOT_mtrr_fix4k_f8000; i++)
        state->msr[i] = all_wb;
    while (!set_ranges(start, state, align_up(start->ram_end, unit)))
        unit *= 2;
    state->msr[MSR_SLOT_mtrr_deftype] = DEFTYPE_FIXED | DEFTYPE_ON;
}

void boot_start_apply(const struct boot_start *start, struct cpu_state *state)
{
    bool long_mode = start->protocol == BOOT_LINUX_64;
    const uint16_t code =
        CPU_SEG_G | CPU_SEG_P | CPU_SEG_S | 0xb | (long_mode ? CPU_SEG_L : CPU_SEG_DB);
    const uint16_t data = CPU_SEG_G | CPU_SEG_DB | CPU_SEG_P | CPU_SEG_S | 0x3;

    state->seg[CPU_CS] = flat(SEL_CS, code);
    for (unsigned i = 0; i < CPU_SEGS; i++)
        if (i != CPU_CS && i != CPU_LDTR && i != CPU_TR)
            state->seg[i] = flat(SEL_DS, data);
    state->seg[CPU_TR] =
        (struct cpu_segment){.limit = 0x67, .selector = SEL_TSS, .attributes = CPU_SEG_P | 0xb};
    boot_start_apply_common(start, state);
    state->gdtr = (struct cpu_table_register){BOOT_GDT, GDT_ENTRIES * 8 - 1};
    state->idtr = (struct cpu_table_register){0, 0};
    state->rflags = 2;
    state->rip = start->entry;
    state->cr0 |= 1; /* PE */
    bool linux_protocol = start->protocol == BOOT_LINUX_64 || start->protocol == BOOT_LINUX_32;
    state->gpr[linux_protocol ? CPU_RSI : CPU_RBX] = start->info;
    if (start->protocol == BOOT_MULTIBOOT)
        state->gpr[CPU_RAX] = MULTIBOOT_LOADER;
    if (long_mode) {
        state->cr0 |= UINT64_C(1) << 31;
        state->cr0 &= ~UINT64_C(0x60000000); /* caches on */
        state->cr3 = BOOT_PAGE_TABLES;
        state->cr4 |= 1 << 5; /* PAE */
        state->efer |= 0x500; /* LME, LMA */
    }
}
