/* SPDX-License-Identifier: Apache-2.0 */
/* The guest image's own small runtime: traps, the interrupt controllers, and the way to a program.
 */
#include "guest.h"

volatile uint64_t trap_vector, trap_error, trap_cr2, trap_resume, trap_count[256];
bool x2apic;
bool (*trap_hook)(struct frame *frame);

extern const uint8_t trap_stubs[];

static struct {
    uint64_t low, high;
} idt[256] __attribute__((aligned(16)));

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

void guest_init(void);
void guest_main(uint64_t program);
void guest_trap(struct frame *frame);

void guest_init_ap(void)
{
    struct table_register idtr = {sizeof idt - 1, (uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void guest_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t handler = (uintptr_t)trap_stubs + i * 16;
        idt[i].low = (handler & 0xffff) | SEL_CODE64 << 16 | UINT64_C(0x8e00) << 32 |
                     (handler >> 16 & 0xffff) << 48;
        idt[i].high = handler >> 32;
    }
    guest_init_ap();
}

void idt_gate(unsigned vector, uint8_t attributes)
{
    idt[vector].low = (idt[vector].low & ~(UINT64_C(0xff) << 40)) | (uint64_t)attributes << 40;
}

void idt_stack(unsigned vector, unsigned ist)
{
    idt[vector].low = (idt[vector].low & ~(UINT64_C(7) << 32)) | (uint64_t)ist << 32;
}

volatile uint64_t window[512] __attribute__((aligned(4096)));

void window_open(void)
{
    for (unsigned i = 0; i < 512; i++)
        window[i] = 0;
    *(volatile uint64_t *)GUEST_PML4 |= PTE_U;
    *(volatile uint64_t *)(GUEST_PDPT + 8) |= PTE_U;
    *(volatile uint64_t *)(GUEST_PD + PAGE) = (uintptr_t)window | PTE_RW | PTE_U;
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    write_cr3(read_cr3());
}

void window_map(unsigned page, uint64_t entry)
{
    window[page] = entry;
    invlpg(window_page(page));
}

void guest_trap(struct frame *frame)
{
    uint64_t cr2;

    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    trap_count[frame->vector]++;
    trap_vector = frame->vector;
    trap_error = frame->error;
    trap_cr2 = cr2;
    if (trap_hook && trap_hook(frame))
        return;
    if (frame->vector >= 32) {
        if (frame->vector >= 0x28) /* the PIC's have no end of interrupt at the APIC */
            apic_write(0xb0, 0);
        return;
    }
    if (frame->vector >= 1 && frame->vector <= 3) /* debug, NMI, breakpoint */
        return;
    if (!trap_resume) {
        outl(CTL_FAIL, 1000000 + (uint32_t)frame->vector * 1000);
        outl(CTL_RESULT, (uint32_t)frame->rip);
        outl(CTL_DONE, 0);
    }
    frame->rip = trap_resume;
}

void apic_enable(void)
{
    x2apic = rdmsr(0x1b) & 0x400;
    apic_write(0xf0, 0x1ff);
    apic_write(0x350, 1 << 16); /* the PIC, which nobody has set up yet */
}

uint32_t apic_read(uint32_t reg)
{
    return x2apic ? (uint32_t)rdmsr(0x800 + reg / 16) : mmio_read32(0xfee00000 + reg);
}

void apic_write(uint32_t reg, uint32_t v)
{
    if (x2apic)
        wrmsr(0x800 + reg / 16, v);
    else
        mmio_write32(0xfee00000 + reg, v);
}

void apic_ipi(uint32_t destination, uint32_t cmd)
{
    if (x2apic) {
        wrmsr(0x830, (uint64_t)destination << 32 | cmd);
        return;
    }
    apic_write(0x310, destination << 24);
    apic_write(0x300, cmd);
}

void ioapic_route(unsigned pin, uint64_t entry)
{
    for (unsigned half = 2; half-- > 0;) {
        mmio_write32(0xfec00000, 0x10 + pin * 2 + half);
        mmio_write32(0xfec00010, (uint32_t)(entry >> half * 32));
    }
}

void wait_for(unsigned vector, uint64_t count)
{
    interrupts(false);
    while (trap_count[vector] < count)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void guest_main(uint64_t program)
{
    static void (*const programs[])(void) = {
#define PROGRAM(name) name,
#include "programs.def"
#undef PROGRAM
    };

    programs[program]();
    outl(CTL_DONE, 0);
}
