/* SPDX-License-Identifier: Apache-2.0 */
/* A Multiboot kernel: says on the serial port what it was given and what fw_cfg has, and ends by
 * its debug-exit port, or else by a triple fault. */
#include <stdint.h>

__asm__(".section .header, \"a\"; .balign 4; .long 0x1badb002, 3, -(0x1badb002 + 3);"
        ".text; .globl _start; _start: mov $stack + 4096, %esp; push %ebx; push %eax; call start");
__attribute__((used)) static uint8_t stack[4096];

static void put(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)0x3f8));
}

/* Item `key` of fw_cfg, a number of `bytes` bytes. */
static uint64_t fw_cfg(uint16_t key, unsigned bytes)
{
    uint64_t value = 0;
    uint8_t byte;

    __asm__ volatile("outw %0, %1" : : "a"(key), "Nd"((uint16_t)0x510));
    for (unsigned i = 0; i < bytes; i++) {
        __asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"((uint16_t)0x511));
        value |= (uint64_t)byte << 8 * i;
    }
    return value;
}

static void put_number(uint32_t n)
{
    char digit[2] = {(char)('0' + n % 10)};

    if (n > 9)
        put_number(n / 10);
    put(digit);
}

static void put_machine(void)
{
    put(fw_cfg(0x00, 4) == 0x554d4551 ? " CPUS " : " no fw_cfg ");
    put_number((uint32_t)fw_cfg(0x05, 2));
    put(" OF ");
    put_number((uint32_t)fw_cfg(0x0f, 2));
    put(" MIB ");
    put_number((uint32_t)(fw_cfg(0x03, 8) >> 20));
}

__attribute__((used)) static void start(uint32_t magic, const uint32_t *info)
{
    const uint32_t *module = (const uint32_t *)info[6];
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } nothing = {0, 0};

    put(magic == 0x2badb002 ? "MULTIBOOT-STARTED " : "wrong magic ");
    put((const char *)info[4]);
    put(info[5] == 1 ? " MODULE " : " no module ");
    put((const char *)module[0]);
    put_machine();
    put("\n");
    __asm__ volatile("outb %0, %1" : : "a"((uint8_t)33), "Nd"((uint16_t)0xf4));
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
    for (;;)
        ;
}
