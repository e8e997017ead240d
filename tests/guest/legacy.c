/* SPDX-License-Identifier: Apache-2.0 */
/* Modes from before 64 bits, in loops: 32-bit code without paging, task switches by JMP, CALL and
 * IRET, virtual-8086 mode with its monitor (SDM volume 3, chapters 8 and 21). */
#include "guest.h"

struct tss32 {
    uint32_t link, esp0, ss0, unused[4], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
} __attribute__((packed));

extern uint64_t legacy_gdt[9], legacy_idt[256];
uint64_t legacy_gdt[9] __attribute__((aligned(16))), legacy_idt[256] __attribute__((aligned(16)));
extern const uint8_t legacy_unexpected[], legacy_int_40[], legacy_int_41[], legacy_general[],
    legacy_task_b[], legacy_task_c[], legacy_v86_code[], legacy_v86_end[];
extern volatile uint32_t legacy_failed, legacy_sum, legacy_b, legacy_c, legacy_v86_sum,
    legacy_v86_ints, legacy_v86_faults;
void legacy_run(void (*test)(void));
void legacy_flat(void);
void legacy_tasks(void);
void legacy_v86(void);

static struct tss32 task[3];
static uint8_t stacks[3][2048] __attribute__((aligned(16)));

static uint64_t gate(const uint8_t *handler, unsigned dpl)
{
    uint64_t offset = (uint64_t)handler;

    return (offset & 0xffff) | SEL_CODE32 << 16 | (UINT64_C(0x8e00) | dpl << 13) << 32 |
           (offset >> 16 & 0xffff) << 48;
}

static void make_task(unsigned i, const uint8_t *entry)
{
    uint64_t base = (uint64_t)&task[i];

    task[i] = (struct tss32){.cr3 = GUEST_PML4, .eip = (uint32_t)(uint64_t)entry, .eflags = 2};
    task[i].esp = (uint32_t)(uint64_t)(stacks[i] + sizeof stacks[i]);
    task[i].esp0 = task[i].esp;
    task[i].ss0 = task[i].es = task[i].ss = task[i].ds = task[i].fs = task[i].gs = SEL_DATA;
    task[i].cs = SEL_CODE32;
    task[i].io_map = sizeof task[i];
    legacy_gdt[SEL_TASK_A / 8 + i] = (sizeof task[i] - 1) | (base & 0xffffff) << 16 |
                                     UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
}

static void run(void (*test)(void))
{
    legacy_gdt[SEL_CODE64 / 8] = UINT64_C(0x00af9b000000ffff);
    legacy_gdt[SEL_DATA / 8] = UINT64_C(0x00cf93000000ffff);
    legacy_gdt[SEL_CODE32 / 8] = UINT64_C(0x00cf9b000000ffff);
    make_task(0, 0);
    make_task(1, legacy_task_b);
    make_task(2, legacy_task_c);
    for (unsigned i = 0; i < 256; i++)
        legacy_idt[i] = gate(legacy_unexpected, 0);
    legacy_idt[13] = gate(legacy_general, 0);
    legacy_idt[0x40] = gate(legacy_int_40, 3);
    legacy_idt[0x41] = gate(legacy_int_41, 3);
    legacy_run(test);
    EXPECT(!legacy_failed);
}

void legacy_code(void)
{
    for (unsigned i = 0; i < 10; i++) {
        legacy_sum = 0;
        run(legacy_flat);
        EXPECT(legacy_sum == ROUNDS * (ROUNDS + 1) / 2);
    }
}

void task_switches(void)
{
    for (uint32_t i = 1; i <= 3; i++) {
        run(legacy_tasks);
        EXPECT(legacy_b == i * ROUNDS && legacy_c == i * ROUNDS);
        EXPECT((legacy_gdt[SEL_TASK_A / 8] >> 40 & 0xff) == 0x8b); /* busy: it runs */
        EXPECT((legacy_gdt[SEL_TASK_B / 8] >> 40 & 0xff) == 0x89);
        EXPECT(task[1].ebx == 0x2222 && task[2].ebx == 0x3333 && task[2].link == SEL_TASK_A);
    }
}

void virtual_8086(void)
{
    for (const uint8_t *p = legacy_v86_code; p < legacy_v86_end; p++)
        *(volatile uint8_t *)(GUEST_TRAMPOLINE + (p - legacy_v86_code)) = *p;
    for (uint32_t i = 1; i <= 3; i++) {
        run(legacy_v86);
        EXPECT(legacy_v86_sum == i * 2 * ROUNDS && legacy_v86_ints == i * 2 * ROUNDS);
        EXPECT(legacy_v86_faults == i * (2 * ROUNDS + 1)); /* INT 0x40, CLI; once INT 0x41 */
    }
}
