/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts of every origin, other processors, NMI and SMI. */
#include "guest.h"

enum {
    APIC_ID = 0x20,
    APIC_LVT_TIMER = 0x320,
    APIC_LINT0 = 0x350,
    APIC_INITIAL = 0x380,
    APIC_DIVIDE = 0x3e0
};

static void one_shot(unsigned vector)
{
    apic_write(APIC_DIVIDE, 0xb); /* by 1 */
    apic_write(APIC_LVT_TIMER, vector);
    apic_write(APIC_INITIAL, 100000);
    wait_for(vector, 1);
    EXPECT(trap_count[vector] == 1);
    EXPECT(apic_read(0x390) == 0);
}

void apic_timer(void)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;

    apic_enable();
    one_shot(0x40);
    apic_write(APIC_LVT_TIMER, 0x41 | 1 << 17); /* periodic */
    apic_write(APIC_INITIAL, 50000);
    wait_for(0x41, 3);
    apic_write(APIC_INITIAL, 0);

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (ecx >> 24 & 1) {
        uint32_t lo, hi;
        apic_write(APIC_LVT_TIMER, 0x42 | 2 << 17);
        __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
        wrmsr(0x6e0, (lo | (uint64_t)hi << 32) + 200000);
        wait_for(0x42, 1);
        EXPECT(rdmsr(0x6e0) == 0);
    }
    EXPECT(ecx >> 21 & 1); /* x2APIC */
    wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    apic_enable();
    EXPECT(x2apic && apic_read(APIC_ID) == 0);
    one_shot(0x43);
}

void lines(void)
{
    apic_enable();
    ioapic_route(5, 0x50);            /* edge */
    ioapic_route(10, 0x51 | 1 << 15); /* level */
    EXPECT(command(CMD_PULSE_5) == 0);
    wait_for(0x50, 1);
    EXPECT(command(CMD_PULSE_5) == 0);
    wait_for(0x50, 2);
    EXPECT(command(CMD_IRQFD_10) == 0);
    wait_for(0x51, 1);
    EXPECT(command(CMD_RESAMPLED) == 1);
    EXPECT(trap_count[0x51] == 1);
    command(CMD_IRQFD_10);
    wait_for(0x51, 2);
    EXPECT(command(CMD_RESAMPLED) == 1);

    /* The timer: interrupt 0 is pin 2. Mode 0, 1000 counts. */
    ioapic_route(2, 0x52);
    outb(0x43, 0x30);
    outb(0x40, 1000 & 0xff);
    outb(0x40, 1000 >> 8);
    wait_for(0x52, 1);
    EXPECT(trap_count[0x52] == 1);
    ioapic_route(2, 1 << 16);

    /* The PIC, through LINT0 */
    ioapic_route(4, 1 << 16);
    apic_write(APIC_LINT0, 0x700);
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 0x04);
    outb(0x21, 0x01);
    outb(0x21, 0xef);
    EXPECT(command(CMD_PULSE_4) == 0);
    wait_for(0x24, 1);
    outb(0x20, 0x20);
    EXPECT(inb(0x21) == 0xef);
}

void messages(void)
{
    apic_enable();
    EXPECT(command(CMD_MSI_BIND) == 0);
    EXPECT(command(CMD_MSI_SIGNAL) == 0);
    wait_for(0x60, 1);
    EXPECT(command(CMD_MSI_SEND) == 0);
    wait_for(0x61, 1);
    EXPECT(command(CMD_MSI_MOVE) == 0);
    EXPECT(command(CMD_MSI_SIGNAL) == 0);
    wait_for(0x62, 1);
    EXPECT(trap_count[0x60] == 1);
    EXPECT(command(CMD_MSI_NONSENSE) == 0);
    EXPECT(command(CMD_MSI_SIGNAL) == 0);
    EXPECT(command(CMD_MSI_SEND) == 0);
    wait_for(0x61, 2);
    EXPECT(trap_count[0x62] == 1 && trap_count[0x60] == 1);
}

static volatile uint32_t ap_id, ap_alive;
static void (*volatile ap_entry)(void);
extern const uint8_t trampoline[], trampoline_end[], smm_handler[], smm_handler_end[];

void guest_ap_main(void);

void guest_ap_main(void)
{
    uint32_t a = 0xb, b, c = 0, d;

    guest_init_ap();
    if (x2apic) /* as the first processor has it */
        wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    apic_enable();
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    ap_id = d;
    __atomic_store_n(&ap_alive, 1, __ATOMIC_SEQ_CST);
    if (ap_entry) {
        ap_entry();
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    wait_for(0x70, 1);
    wait_for(0x72, 1);
    apic_ipi(0, 0x71);
    for (;;)
        __asm__ volatile("hlt");
}

/* The harness says which processor to start. */
static void start(uint32_t target)
{
    for (const uint8_t *p = trampoline; p < trampoline_end; p++)
        *(volatile uint8_t *)(GUEST_TRAMPOLINE + (p - trampoline)) = *p;
    if (target > 254)
        wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    apic_enable();
    apic_ipi(target, 0x4500);                          /* INIT */
    apic_ipi(target, 0x4600 | GUEST_TRAMPOLINE >> 12); /* SIPI */
    while (!__atomic_load_n(&ap_alive, __ATOMIC_SEQ_CST))
        __asm__ volatile("pause");
    EXPECT(ap_id == target);
}

uint32_t ap_start(void (*entry)(void))
{
    uint32_t target = command(CMD_TARGET);

    ap_entry = entry;
    start(target);
    return target;
}

void two_cpus(void)
{
    uint32_t target = command(CMD_TARGET);

    start(target);
    apic_ipi(target, 0x4070);
    EXPECT(command(CMD_MSI_TARGET) == 0);
    wait_for(0x71, 1);
}

void nmi(void)
{
    command(CMD_NMI);
    while (!trap_count[2])
        __asm__ volatile("pause");
    EXPECT(trap_count[2] == 1);
}

void smm(void)
{
    volatile uint8_t *entry = (volatile uint8_t *)0x38000;

    for (const uint8_t *p = smm_handler; p < smm_handler_end; p++)
        entry[p - smm_handler] = *p;
    EXPECT(mmio_read32(GUEST_TSEG) == 0xffffffff);
    EXPECT(mmio_read32(GUEST_TSEG - 4) == 0x0badcafe);
    command(CMD_SMI);
    for (unsigned i = 0; i < 100; i++)
        inb(0x80);
    EXPECT(mmio_read32(GUEST_TSEG) == 0xffffffff);
}
