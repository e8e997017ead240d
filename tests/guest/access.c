/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and trapped memory. */
#include "guest.h"
#include "lab/lab.h"

static uint8_t buffer[1024];

void ports(void)
{
    outb(ECHO_PORT + 0, 0x11);
    outb(ECHO_PORT + 1, 0x22);
    outw(ECHO_PORT + 2, 0x4433);
    outl(ECHO_PORT + 4, 0x88776655);
    EXPECT(inl(ECHO_PORT) == 0x44332211);
    EXPECT(inw(ECHO_PORT + 6) == 0x8877);
    EXPECT(inb(ECHO_PORT + 5) == 0x66);
    EXPECT(inb(0x9999) == 0xff);
    EXPECT(inw(0x9999) == 0xffff);
    EXPECT(inl(0x999c) == 0xffffffff);
    outl(0x999c, 1);
}

void string_io(void)
{
    const uint8_t *from = buffer;
    uint8_t *to;
    uint64_t count;

    for (unsigned i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 7);
    count = 300;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(ECHO_PORT) : "memory");
    EXPECT(from == buffer + 300 && count == 0);
    EXPECT(inb(ECHO_PORT) == (uint8_t)(299 * 7));
    from = buffer;
    count = 2;
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(ECHO_PORT + 4) : "memory");
    EXPECT(inl(ECHO_PORT + 4) == 0x312a231c);

    to = buffer;
    count = 513;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(ECHO_PORT + 4) : "memory");
    EXPECT(to == buffer + 513 && buffer[0] == 0x1c && buffer[512] == 0x1c);
    EXPECT(buffer[513] == (uint8_t)(513 * 7));
    to = buffer + 8;
    count = 3;
    __asm__ volatile("std; rep insw; cld" : "+D"(to), "+c"(count) : "d"(ECHO_PORT + 6) : "memory");
    EXPECT(to == buffer + 2 && buffer[8] == 0x2a && buffer[9] == 0x31 && buffer[4] == 0x2a);
    EXPECT(buffer[3] == 0x1c);
}

void mmio(void)
{
    uint64_t m = ECHO_MMIO;
    uint8_t byte = 0x5a, *to = buffer;
    uint32_t old = 7;
    uint64_t count = 64;

    mmio_write8(m, 0x01);
    mmio_write8(m + 1, 0x02);
    mmio_write16(m + 2, 0x0403);
    mmio_write32(m + 4, 0x08070605);
    EXPECT(mmio_read64(m) == 0x0807060504030201);
    mmio_write64(m + 8, 0x1817161514131211);
    EXPECT(mmio_read32(m + 12) == 0x18171615);
    EXPECT(mmio_read16(m + 10) == 0x1413);
    EXPECT(mmio_read8(m + 15) == 0x18);

    /* read, modify, write */
    __asm__ volatile("orb %1, (%0)" : : "r"(m), "q"((uint8_t)0xf0) : "memory");
    EXPECT(mmio_read8(m) == 0xf1);
    __asm__ volatile("addl $1, (%0)" : : "r"(m + 4) : "memory");
    EXPECT(mmio_read32(m + 4) == 0x08070606);
    __asm__ volatile("xchgb %0, (%1)" : "+q"(byte) : "r"(m + 1) : "memory");
    EXPECT(byte == 0x02 && mmio_read8(m + 1) == 0x5a);
    __asm__ volatile("lock xaddl %0, (%1)" : "+r"(old) : "r"(m + 8) : "memory");
    EXPECT(old == 0x14131211 && mmio_read32(m + 8) == 0x14131218);
    __asm__ volatile("btsl $9, (%0)" : : "r"(m + 12) : "memory");
    EXPECT(mmio_read32(m + 12) == (0x18171615 | 0x200));

    /* across a page: pieces of 2 and 6 bytes */
    mmio_write64(m + 0xffe, 0xa8a7a6a5a4a3a2a1);
    EXPECT(mmio_read16(m + 0xffe) == 0xa2a1);
    EXPECT(mmio_read32(m + 0x1000) == 0xa6a5a4a3);
    EXPECT(mmio_read64(m + 0xffe) == 0xa8a7a6a5a4a3a2a1);
    EXPECT(mmio_read32(m + 0x0fff) == 0xa5a4a3a2);

    /* strings, and 16 bytes at once */
    uint64_t from = m;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    EXPECT(buffer[0] == 0xf1 && buffer[1] == 0x5a && buffer[11] == 0x14 && count == 0);
    __asm__ volatile("movups (%0), %%xmm0; movups %%xmm0, (%1)"
                     :
                     : "r"(m), "r"(buffer + 64)
                     : "memory", "xmm0");
    EXPECT(*(uint64_t *)(buffer + 64) == *(uint64_t *)buffer);
    EXPECT(*(uint64_t *)(buffer + 72) == *(uint64_t *)(buffer + 8));

    EXPECT(mmio_read32(0xd8000000) == 0xffffffff);
    mmio_write32(0xd8000000, 1);
}

void doorbells(void)
{
    mmio_write8(BELL_MMIO, 1);
    mmio_write16(BELL_MMIO, 2);
    mmio_write32(BELL_MMIO, 3);
    mmio_write64(BELL_MMIO, 4);
    outb(BELL_PORT, 1);
    outw(BELL_PORT, 2);
    outl(BELL_PORT, 3);
    mmio_write32(BELL_MMIO + 4, 5); /* beside it */
}

void readonly(void)
{
    EXPECT(mmio_read64(ROM) == 0x1122334455667788);
    mmio_write32(ROM + 4, 0xcafe);
    EXPECT(mmio_read64(ROM) == 0x1122334455667788);
    result(1);
    EXPECT(mmio_read32(ROM) == 0x55667788);
}

void dirty(void)
{
    static const uint16_t pages[] = {0, 1, 63, 64, 65, 200, 511, 512, 700};

    /* A page that is read for the first time may be taken for written: KVM maps it writable. */
    (void)*(volatile uint32_t *)(uintptr_t)(GUEST_DIRTY + 300 * 4096);
    for (;;) {
        uint32_t round = command(0);
        if (round == 0)
            break;
        for (unsigned i = 0; i < sizeof pages / sizeof pages[0]; i++)
            if (round == 1 || i % 2)
                *(volatile uint32_t *)(uintptr_t)(GUEST_DIRTY + pages[i] * 4096 + i * 8) = round;
        (void)*(volatile uint32_t *)(uintptr_t)(GUEST_DIRTY + 300 * 4096); /* read only */
        result(round);
    }
}

/* What an exit costs: marks 16 to 19 for the lab's counter (docs/lab.md), EXITS of each between. */
void port_loop(void)
{
    LAB_MARK(16);
    for (unsigned i = 0; i < EXITS; i++)
        outb(ECHO_PORT, 1);
    LAB_MARK(17);
    for (unsigned i = 0; i < EXITS; i++)
        (void)inl(ECHO_PORT);
    LAB_MARK(18);
    for (unsigned i = 0; i < EXITS; i++)
        mmio_write32(ECHO_MMIO, 1);
    LAB_MARK(19);
    for (unsigned i = 0; i < EXITS; i++)
        outb(0x9999, 1); /* nobody there */
    LAB_MARK(20);
}
