/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that means harm: random bytes run as code in every mode, with random registers,
 * descriptors, page tables, debug registers and flags, and interrupts in between. Nothing is
 * expected of it but that the process lives; sanitizers see the rest.
 *
 *     test-bt_hostile [ROUNDS [SEED]]        30000 by default: the first seed that found an
 * exception whose delivery raised itself for ever */
#include <stdlib.h>

#include "tests/unit/bt_machine.h"

static unsigned long rounds = 30000;
static uint64_t state = 77;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Mostly addresses in RAM or at its edges, sometimes anything. */
static uint64_t address(void)
{
    switch (random64() % 8) {
    case 0:
        return random64();
    case 1:
        return DEVICE + random64() % 0x1010;
    case 2:
        return RAM - random64() % 16;
    default:
        return random64() % RAM;
    }
}

static void scramble_memory(void)
{
    enum { TABLES = 0x10000, TABLES_END = 0x20000 };

    for (uint64_t at = 0; at < 0x10000; at += 8) /* code, IDT, GDT, TSS alike */
        put(at, 8, random64());
    for (uint64_t at = TABLES; at < TABLES_END; at += 8)
        put(at, 8,
            (random64() & 0x1e7) | 3 | (TABLES + (random64() % 16) * 0x1000) |
                (random64() % 16 ? 0 : random64()));
}

static void scramble_processor(void)
{
    static const uint16_t code[] = {0x9b, 0xfb, 0x409b, 0x40fb, 0x209b, 0x20fb};
    struct bt_vcpu *cpu = rig.cpu;
    uint64_t r = random64();

    for (unsigned i = 0; i < CPU_GPRS; i++)
        cpu->gpr[i] = address();
    cpu->cr0 = 0x10 | (r & (BT_CR0_PE | BT_CR0_WP | BT_CR0_AM | BT_CR0_TS));
    cpu->cr4 = random64() & cpu->vm->cr4;
    cpu->efer = random64() & (BT_EFER_SCE | BT_EFER_NXE);
    if (r & BIT(20) && cpu->cr0 & BT_CR0_PE) {
        cpu->cr0 |= BT_CR0_PG;
        if (r & BIT(21)) {
            cpu->cr4 |= BT_CR4_PAE;
            cpu->efer |= BT_EFER_LME | BT_EFER_LMA;
        }
    }
    if (!(cpu->efer & BT_EFER_LMA))
        cpu->cr4 &= ~(uint64_t)BT_CR4_PCIDE;
    cpu->rflags = (random64() & 0x3f7fd7) | 2;
    for (unsigned i = 0; i < CPU_SEGS; i++)
        cpu->seg[i] = (struct cpu_segment){
            .selector = (uint16_t)random64(),
            .base = random64() % 4 ? 0 : address(),
            .limit = random64() % 2 ? UINT32_MAX : (uint32_t)random64(),
            .attributes = (uint16_t)(0x93 | (random64() & 0xf16f)),
        };
    cpu->seg[CPU_CS].attributes = code[random64() % ARRAY_SIZE(code)] | CPU_SEG_G;
    cpu->seg[CPU_SS].attributes =
        (uint16_t)(0x4093 | (cpu->seg[CPU_CS].attributes & 3 << CPU_SEG_DPL_SHIFT));
    cpu->gdtr = (struct cpu_table_register){.base = random64() % RAM, .limit = 0xffff};
    cpu->idtr = (struct cpu_table_register){.base = random64() % 0x10000, .limit = 0xffff};
    for (unsigned i = 0; i < 4; i++) {
        cpu->dr[i] = address();
        cpu->pdptr[i] = 0x10001 + (random64() % 16) * 0x1000;
    }
    cpu->dr7 = 0x400 | (random64() % 4 ? 0 : random64() & 0xffff23ff);
    cpu->rip = random64() % 0x10000;
    cpu->run_state = CPU_RUNNING;
    cpu->triple_fault = cpu->smm = cpu->nmi_masked = false;
    cpu->debug_hit = 0;
    cpu->fault_vector = -1;
    mmu_set_cr3(cpu, 0x10000 + (random64() % 16) * 0x1000);
    mmu_flush_all(cpu);
    bt_mode_update(cpu);
    bt_update_heed(cpu);
    block_drop_all(cpu);
}

static void random_code(void)
{
    struct err err = ERR_INIT;

    REQUIRE(rig_open());
    for (unsigned long round = 0; round < rounds; round++) {
        if (round % 16 == 0)
            scramble_memory();
        scramble_processor();
        for (unsigned i = 0; i < 200 && !rig.cpu->triple_fault; i++) {
            uint64_t r = random64();
            struct bt_event event = {.kind = (uint8_t)(r >> 8 & 3), .vector = (uint8_t)r};
            if (r >> 56 == 0)
                except_inject(rig.cpu, &event);
            else if (r >> 56 == 1)
                smm_enter(rig.cpu);
            else
                (void)interp_step(rig.cpu);
            rig.cpu->run_state = CPU_RUNNING;
        }
        /* And as the loop runs it. */
        bt_vcpu_request(rig.cpu, BT_REQUEST_KICK);
        (void)bt_vcpu_run(rig.cpu, &err);
        CHECK(rig.cpu->rflags & 2);
        CHECK(rig.cpu->cpl <= 3);
    }
    rig_close();
}

static const struct tap_case cases[] = {TAP_CASE(random_code)};

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        state = strtoull(argv[2], NULL, 0) | 1;
    return tap_run_(cases, ARRAY_SIZE(cases));
}
