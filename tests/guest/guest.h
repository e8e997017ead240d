/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest programs have instead of a library. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* The last trap, and how often each vector came. */
extern volatile uint64_t trap_vector, trap_error, trap_cr2;
extern volatile uint64_t trap_resume; /* where TRY goes on */
extern volatile uint64_t trap_count[256];
extern bool x2apic;

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index) : "memory");
    return lo | (uint64_t)hi << 32;
}
static inline void wrmsr(uint32_t index, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(index) : "memory");
}

/* Plain accesses of a width that the compiler cannot change. */
#define MMIO_ACCESS_(bits, suffix, constraint)                                              \
    static inline uint##bits##_t mmio_read##bits(uint64_t a)                                \
    {                                                                                       \
        uint##bits##_t v;                                                                   \
        __asm__ volatile("mov" suffix " (%1), %0" : "=" constraint(v) : "r"(a) : "memory"); \
        return v;                                                                           \
    }                                                                                       \
    static inline void mmio_write##bits(uint64_t a, uint##bits##_t v)                       \
    {                                                                                       \
        __asm__ volatile("mov" suffix " %1, (%0)" : : "r"(a), constraint(v) : "memory");    \
    }
MMIO_ACCESS_(8, "b", "q")
MMIO_ACCESS_(16, "w", "r")
MMIO_ACCESS_(32, "l", "r")
MMIO_ACCESS_(64, "q", "r")
#undef MMIO_ACCESS_

static inline void result(uint32_t v)
{
    outl(CTL_RESULT, v);
}
static inline uint32_t command(uint32_t what)
{
    outl(CTL_COMMAND, what);
    return inl(CTL_COMMAND);
}

#define EXPECT(cond)                  \
    do {                              \
        if (!(cond))                  \
            outl(CTL_FAIL, __LINE__); \
    } while (0)

/* Runs instructions of which one may trap; goes on behind them. Operands as for asm. */
#define TRY(text, ...)                                                                   \
    do {                                                                                 \
        uint64_t try_;                                                                   \
        trap_vector = ~UINT64_C(0);                                                      \
        __asm__ volatile("lea 77f(%%rip), %[try]; mov %[try], trap_resume(%%rip); " text \
                         "; 77: movq $0, trap_resume(%%rip)"                             \
                         : [try] "=&r"(try_)                                             \
                         : __VA_ARGS__                                                   \
                         : "memory", "rax", "rcx", "rdx", "cc");                         \
    } while (0)

/* Local APIC, in either mode; register offsets as in the page. */
void apic_enable(void);
uint32_t apic_read(uint32_t reg);
void apic_write(uint32_t reg, uint32_t v);
void apic_ipi(uint32_t destination, uint32_t command);
void ioapic_route(unsigned pin, uint64_t entry);

static inline void interrupts(bool on)
{
    if (on)
        __asm__ volatile("sti" : : : "memory");
    else
        __asm__ volatile("cli" : : : "memory");
}

/* Halts until the vector has come `count` times in all; the watch dog is the harness. */
void wait_for(unsigned vector, uint64_t count);

void guest_init_ap(void); /* loads the IDT */

#define PROGRAM(name) void name(void);
#include "programs.def"
#undef PROGRAM
