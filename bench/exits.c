/* SPDX-License-Identifier: Apache-2.0 */
/* A guest without an operating system that measures what a trapped register access costs: a PVH
 * kernel (xen/include/public/arch-x86/hvm/start_info.h), 32-bit protected mode without paging,
 * which every VMM here starts directly. Accesses: a port that nobody claims, the UART (a device of
 * the monitor's own process), and the status register of a virtio disk (a device of the other).
 *
 * The disk is found on PCI bus 0, or where QEMU's microvm has its virtio-mmio transports. Nobody
 * has set up PCI on a machine without firmware, so an empty BAR is given an address. */
#include <stdint.h>

#include "bench/figures.h"

enum {
    UART = 0x3f8,
    UART_SCRATCH = UART + 7,
    NOBODY = 0x2a0,
    PCI_ADDRESS = 0xcf8,
    PCI_DATA = 0xcfc,
    PCI_COMMAND = 0x04,
    PCI_BARS = 0x10,
    PCI_CAPABILITIES = 0x34,
    VENDOR_VIRTIO = 0x1af4,
    DISK_TRANSITIONAL = 0x1001,
    DISK = 0x1042,
    CAP_VENDOR = 9,
    CAP_COMMON_CFG = 1,
    COMMON_DEVICE_STATUS = 0x14,
    MMIO_STRIDE = 512,
    MMIO_TRANSPORTS = 24,
    MMIO_DEVICE_ID = 8,
    MMIO_DEVICE_STATUS = 0x70,
    ID_DISK = 2,
};
static const uint32_t mmio_base = 0xfeb00000, mmio_magic = 0x74726976, bar_address = 0xe8000000;

/* The entry point's note: XEN_ELFNOTE_PHYS32_ENTRY. */
__asm__(".pushsection .note.pvh, \"a\", @note\n"
        "    .long 4, 4, 18\n"
        "    .asciz \"Xen\"\n"
        "    .long start\n"
        ".popsection\n"
        ".pushsection .text.start, \"ax\"\n"
        ".globl start\n"
        "start:\n"
        "    mov $0x200000, %esp\n"
        "    call exits_main\n"
        "0:  cli\n"
        "    hlt\n"
        "    jmp 0b\n"
        ".popsection\n");
void exits_main(void);

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static uint32_t in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static volatile uint32_t *at(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

static uint32_t pci_read(unsigned slot, unsigned reg)
{
    out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
    return in32(PCI_DATA);
}

static void pci_write(unsigned slot, unsigned reg, uint32_t value)
{
    out32(PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
    out32(PCI_DATA, value);
}

static void print(const char *text)
{
    for (; *text; text++)
        out8(UART, (uint8_t)*text);
}

/* Where BAR `bar` is; 0 if it cannot be used. */
static uint32_t bar_of(unsigned slot, unsigned bar)
{
    unsigned reg = PCI_BARS + 4 * bar;
    uint32_t value = pci_read(slot, reg);

    if (value & 1)
        return 0;
    if (!(value & ~0xfu)) {
        pci_write(slot, reg, bar_address);
        value = bar_address;
    }
    pci_write(slot, PCI_COMMAND, pci_read(slot, PCI_COMMAND) | 2);
    return value & ~0xfu;
}

/* Virtio 1.2, 4.1.4: the common configuration is where a vendor capability says. */
static uint32_t pci_disk_status(unsigned slot)
{
    unsigned cap = pci_read(slot, PCI_CAPABILITIES) & 0xfc;

    for (int left = 48; cap && left; left--) {
        uint32_t head = pci_read(slot, cap);
        if ((head & 0xff) == CAP_VENDOR && head >> 24 == CAP_COMMON_CFG) {
            uint32_t base = bar_of(slot, pci_read(slot, cap + 4) & 0xff);
            return base ? base + pci_read(slot, cap + 8) + COMMON_DEVICE_STATUS : 0;
        }
        cap = head >> 8 & 0xfc;
    }
    return 0;
}

static uint32_t find_on_pci(void)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        uint32_t id = pci_read(slot, 0);
        if ((id & 0xffff) == VENDOR_VIRTIO && (id >> 16 == DISK || id >> 16 == DISK_TRANSITIONAL))
            return pci_disk_status(slot);
    }
    return 0;
}

static uint32_t find_on_mmio(void)
{
    for (int i = 0; i < MMIO_TRANSPORTS; i++) {
        uint32_t base = mmio_base + MMIO_STRIDE * (uint32_t)i;
        if (*at(base) == mmio_magic && *at(base + MMIO_DEVICE_ID) == ID_DISK)
            return base + MMIO_DEVICE_STATUS;
    }
    return 0;
}

void exits_main(void)
{
    uint32_t status = pci_read(0, 0) == 0xffffffff ? find_on_mmio() : find_on_pci();

    LAB_MARK(LAB_READY);
    MEASURE(out_nobody, out8(NOBODY, 0));
    MEASURE(out_uart, out8(UART_SCRATCH, 0));
    MEASURE(in_uart, (void)in8(UART_SCRATCH));
    if (status)
        MEASURE(read_virtio, (void)*(volatile uint8_t *)at(status));
    else
        print("no disk\n");
    print("BENCH-DONE\n");
}
