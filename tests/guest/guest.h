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

/* Sees every trap first; true: it is done with, and the frame is as the program is to go on. */
extern bool (*trap_hook)(struct frame *frame);

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
/* The gate of a vector: attributes as bits 40-47 of a descriptor, e.g. 0xee: open to ring 3. */
void idt_gate(unsigned vector, uint8_t attributes);
void idt_stack(unsigned vector, unsigned ist); /* 1: after user_init() */

/* Starts the second processor, which runs `entry` and then halts for ever; returns its APIC id. */
uint32_t ap_start(void (*entry)(void));

/* Programs of hot.def do everything so often that a translator translates it. */
enum { ROUNDS = 300 };

/* 512 pages at WINDOW, mapped by entries of the program's choice; POOL is physical memory that
 * nothing else uses, 512 pages too. */
#define WINDOW UINT64_C(0x40000000)
#define POOL   UINT64_C(0x800000)
#define PAGE   UINT64_C(4096)
#define PTE_P  UINT64_C(1)
#define PTE_W  UINT64_C(2)
#define PTE_U  UINT64_C(4)
#define PTE_A  UINT64_C(0x20)
#define PTE_D  UINT64_C(0x40)
#define PTE_G  UINT64_C(0x100)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_RW (PTE_P | PTE_W)
extern volatile uint64_t window[512]; /* the page table */
void window_open(void); /* all of it not present, rights of ring 3 above it, EFER.NXE */
void window_map(unsigned page, uint64_t entry); /* and INVLPG */
static inline uint64_t window_page(unsigned page)
{
    return WINDOW + page * PAGE;
}
static inline uint64_t pool_page(unsigned page)
{
    return POOL + page * PAGE;
}

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}
static inline uint64_t read_cr3(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline void write_cr3(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}
static inline uint64_t read_cr4(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
static inline void write_cr4(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}
static inline uint32_t cpuid_register(uint32_t leaf, uint32_t subleaf, unsigned which)
{
    uint32_t r[4];
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(subleaf));
    return r[which];
}

/* Ring 3 (rings.c): a GDT with its segments (SEL_USER_*), a TSS whose I/O bitmap allows the
 * harness's ports, and ring 3's right to the first 2 MiB. */
void user_init(void);
/* Runs `entry(arg)` in ring 3 until INT 0x80, whose RAX it returns. */
uint64_t user_run(void (*entry)(uint64_t), uint64_t arg);
uint64_t user_run_flags(void (*entry)(uint64_t), uint64_t arg, uint64_t rflags, uint32_t code);
static inline void user_end(uint64_t value)
{
    __asm__ volatile("int $0x80" : : "a"(value) : "memory");
}

#define PROGRAM(name) void name(void);
#include "programs.def"
#undef PROGRAM
