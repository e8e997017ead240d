/* SPDX-License-Identifier: Apache-2.0 */
/* A Multiboot kernel: says on the serial port what it was given, and ends by a triple fault. */
#include <stdint.h>

__asm__(".section .header, \"a\"; .balign 4; .long 0x1badb002, 3, -(0x1badb002 + 3);"
        ".text; .globl _start; _start: mov $stack + 4096, %esp; push %ebx; push %eax; call start");
__attribute__((used)) static uint8_t stack[4096];

static void put(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)0x3f8));
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
    put("\n");
    __asm__ volatile("lidt %0; int3" : : "m"(nothing));
    for (;;)
        ;
}
