/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery of exceptions and interrupts in every mode, returns from them, system calls, double and
 * triple faults, single steps and breakpoints. Handlers are where the test looks, not code that
 * runs. */
#include "tests/unit/bt_machine.h"

enum { IDT = 0x1000, GDT = 0x2000, TSS = 0x3000, CODE = 0x4000, HANDLER = 0x5000, STACK = 0x8000 };
enum { STACK_0 = 0x7000, STACK_IST = 0x6000 };
enum { CODE_0 = 0x08, DATA_0 = 0x10, CODE_3 = 0x18 | 3, DATA_3 = 0x20 | 3, SEL_TSS = 0x28 };

static void gate(unsigned vector, uint8_t attributes, unsigned ist)
{
    bool long_mode = rig.cpu->efer & BT_EFER_LMA;
    uint64_t at = IDT + vector * (long_mode ? 16 : 8), rip = HANDLER + vector * 16;

    put(at, 8, (rip & 0xffff) | CODE_0 << 16 | (uint64_t)ist << 32 | (uint64_t)attributes << 40);
    if (long_mode)
        put(at + 8, 8, 0);
}

static void open_mode(unsigned bits, unsigned cpl)
{
    struct bt_vcpu *cpu = rig.cpu;
    uint64_t flat_code = bits == 64 ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff);

    set_mode(bits, cpl);
    put(GDT + CODE_0, 8, flat_code);
    put(GDT + DATA_0, 8, UINT64_C(0x00cf93000000ffff));
    put(GDT + 0x18, 8, flat_code | UINT64_C(0x600000000000));
    put(GDT + 0x20, 8, UINT64_C(0x00cff3000000ffff));
    cpu->gdtr = (struct cpu_table_register){.base = GDT, .limit = 0xff};
    cpu->idtr = (struct cpu_table_register){.base = IDT, .limit = 0xfff};
    cpu->seg[CPU_TR] =
        (struct cpu_segment){.selector = SEL_TSS, .base = TSS, .limit = 0x67, .attributes = 0x8b};
    if (bits == 64)
        put(TSS + 4, 8, STACK_0);
    else {
        put(TSS + 4, 4, STACK_0);
        put(TSS + 8, 4, DATA_0);
    }
    put(TSS + 36, 8, STACK_IST); /* IST1 */
    cpu->seg[CPU_CS].selector = cpl ? CODE_3 : CODE_0;
    cpu->seg[CPU_SS].selector = cpl ? DATA_3 : DATA_0;
    cpu->gpr[CPU_RSP] = STACK;
    cpu->rip = CODE;
    cpu->triple_fault = false;
    cpu->debug_hit = 0;
    cpu->rflags = 0x202;
    bt_update_heed(cpu);
    for (unsigned v = 0; v < 32; v++)
        gate(v, 0x8e, 0);
}

static void inject(enum bt_event_kind kind, uint8_t vector, int error)
{
    struct bt_event event = {
        .kind = kind, .vector = vector, .has_error = error >= 0, .error = (uint32_t)error};

    rig.cpu->fault_vector = -1;
    except_inject(rig.cpu, &event);
}

static void step(const char *bytes, unsigned count)
{
    memcpy(rig.gmem->host + rig.cpu->rip, bytes, count);
    block_drop_all(rig.cpu);
    (void)interp_step(rig.cpu);
}
#define STEP(bytes) step(bytes, sizeof(bytes) - 1)

static void real_mode(void)
{
    REQUIRE(rig_open());
    segment_load(rig.cpu, CPU_CS, 0x400);
    segment_load(rig.cpu, CPU_SS, 0);
    rig.cpu->rip = 0x100;
    rig.cpu->gpr[CPU_RSP] = 0xabcd8000;
    rig.cpu->rflags = 0x302;
    rig.cpu->idtr.base = 0;
    put(0x21 * 4, 4, 0x12345678);
    memcpy(rig.gmem->host + 0x4100, "\xcd\x21", 2);
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->rip, 0x5678);
    CHECK_EQ(rig.cpu->seg[CPU_CS].base, 0x12340);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], 0xabcd7ffa);
    CHECK_EQ(get(0x7ffa, 2), 0x102);
    CHECK_EQ(get(0x7ffc, 2), 0x400);
    CHECK_EQ(get(0x7ffe, 2), 0x302);
    CHECK_EQ(rig.cpu->rflags, 2);
    put(0x12340 + 0x5678, 1, 0xcf);
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->rip, 0x102);
    CHECK_EQ(rig.cpu->seg[CPU_CS].selector, 0x400);
    CHECK_EQ(rig.cpu->rflags, 0x302);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], 0xabcd8000);
    rig_close();
}

static void protected_same_level(void)
{
    REQUIRE(rig_open());
    open_mode(32, 0);
    inject(BT_EVENT_FAULT, BT_PF, 5);
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_PF * 16);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK - 16);
    CHECK_EQ(get(STACK - 16, 4), 5);
    CHECK_EQ(get(STACK - 12, 4), CODE);
    CHECK_EQ(get(STACK - 8, 4), CODE_0);
    CHECK_EQ(get(STACK - 4, 4), 0x10202); /* RF, as it is a fault */
    CHECK_EQ(rig.cpu->rflags, 2);
    CHECK_EQ(rig.cpu->heed, ~(uint32_t)BT_REQUEST_INTERRUPT);
    open_mode(32, 0);
    gate(0x40, 0x8f, 0); /* a trap gate leaves IF */
    inject(BT_EVENT_INTERRUPT, 0x40, -1);
    CHECK_EQ(rig.cpu->rflags, 0x202);
    CHECK_EQ(get(STACK - 4, 4), 0x202);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK - 12);
    rig_close();
}

static void inner_level(unsigned bits)
{
    unsigned size = bits / 8;

    REQUIRE(rig_open());
    open_mode(bits, 3);
    inject(BT_EVENT_FAULT, BT_GP, 0x18);
    CHECK_EQ(rig.cpu->cpl, 0);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK_0 - 6 * size);
    CHECK_EQ(rig.cpu->seg[CPU_SS].selector, bits == 64 ? 0 : DATA_0);
    CHECK_EQ(get(STACK_0 - size, 4), DATA_3);
    CHECK_EQ(get(STACK_0 - 2 * size, size), STACK);
    CHECK_EQ(get(STACK_0 - 3 * size, size), 0x10202);
    CHECK_EQ(get(STACK_0 - 4 * size, 4), CODE_3);
    CHECK_EQ(get(STACK_0 - 5 * size, size), CODE);
    CHECK_EQ(get(STACK_0 - 6 * size, size), 0x18);
    rig.cpu->gpr[CPU_RSP] += size;
    if (bits == 64)
        STEP("\x48\xcf");
    else
        STEP("\xcf");
    CHECK_EQ(rig.cpu->cpl, 3);
    CHECK_EQ(rig.cpu->rip, CODE);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK);
    CHECK_EQ(rig.cpu->seg[CPU_SS].selector, DATA_3);
    CHECK_EQ(rig.cpu->rflags, 0x202);
    rig_close();
}

static void protected_inner(void)
{
    inner_level(32);
}

static void long_inner(void)
{
    inner_level(64);
}

static void long_mode(void)
{
    REQUIRE(rig_open());
    open_mode(64, 0);
    rig.cpu->gpr[CPU_RSP] = STACK - 3; /* aligned by the delivery */
    inject(BT_EVENT_FAULT, BT_UD, -1);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK - 16 - 40);
    CHECK_EQ(get(STACK - 16 - 16, 8), STACK - 3);
    open_mode(64, 0);
    gate(BT_DF, 0x8e, 1);
    inject(BT_EVENT_FAULT, BT_DF, 0);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK_IST - 48);
    open_mode(64, 3);
    STEP("\xcd\x40"); /* the gate is for level 0: #GP, at INT itself */
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_GP * 16);
    CHECK_EQ(get(STACK_0 - 48, 8), 0x40 * 8 + 2);
    CHECK_EQ(get(STACK_0 - 40, 8), CODE);
    open_mode(64, 3);
    gate(BT_BP, 0xee, 0);
    STEP("\xcc");
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_BP * 16);
    CHECK_EQ(get(STACK_0 - 40, 8), CODE + 1);
    rig_close();
}

static void doubles(void)
{
    static const struct {
        uint8_t absent, vector;
        int becomes; /* NONE: a shutdown */
    } cases[] = {
        {BT_GP, BT_GP, BT_DF}, {BT_PF, BT_PF, BT_DF}, {BT_UD, BT_UD, BT_NP},
        {BT_DE, BT_DE, BT_DF}, {BT_DF, BT_DF, NONE},  {BT_DB, BT_DB, BT_NP},
    };

    REQUIRE(rig_open());
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        open_mode(64, 0);
        gate(cases[i].absent, 0x0e, 0);
        inject(BT_EVENT_FAULT, cases[i].vector, -1);
        if (!CHECK_EQ(rig.cpu->triple_fault, cases[i].becomes == NONE))
            (void)printf("# case %u\n", i);
        if (cases[i].becomes != NONE && !CHECK_EQ(rig.cpu->rip, HANDLER + cases[i].becomes * 16))
            (void)printf("# case %u\n", i);
        CHECK_EQ(rig.cpu->fault_vector, -1);
    }
    /* The error code says which gate, and that no program asked. */
    open_mode(64, 0);
    gate(0x40, 0x0e, 0);
    inject(BT_EVENT_INTERRUPT, 0x40, -1);
    CHECK_EQ(get(STACK - 48, 8), 0x40 * 8 + 3);
    /* No IDT at all. */
    open_mode(64, 0);
    rig.cpu->idtr.limit = 0;
    inject(BT_EVENT_FAULT, BT_UD, -1);
    CHECK(rig.cpu->triple_fault);
    CHECK_EQ(rig.cpu->rip, CODE);
    rig_close();
}

static void v86(void)
{
    REQUIRE(rig_open());
    open_mode(32, 0);
    for (unsigned i = 0; i < 9; i++) /* EIP CS EFLAGS ESP SS ES DS FS GS */
        put(STACK + i * 4, 4, 0x100 + i);
    put(STACK + 8, 4, 0x23202); /* VM, IOPL 3, IF */
    STEP("\xcf");
    CHECK(rig.cpu->mode & BT_MODE_V86 && rig.cpu->cpl == 3);
    CHECK_EQ(rig.cpu->rip, 0x100);
    CHECK_EQ(rig.cpu->seg[CPU_CS].base, 0x1010);
    CHECK_EQ(rig.cpu->seg[CPU_GS].base, 0x1080);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], 0x103);
    inject(BT_EVENT_INTERRUPT, 8, -1);
    CHECK(!(rig.cpu->rflags & BT_FLAG_VM) && rig.cpu->cpl == 0);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK_0 - 36);
    CHECK_EQ(get(STACK_0 - 4, 4), 0x108);  /* GS */
    CHECK_EQ(get(STACK_0 - 16, 4), 0x105); /* ES */
    CHECK_EQ(get(STACK_0 - 20, 4), 0x104); /* SS */
    CHECK_EQ(get(STACK_0 - 28, 4), 0x23202);
    CHECK_EQ(get(STACK_0 - 36, 4), 0x100);
    CHECK(rig.cpu->seg[CPU_DS].attributes & CPU_SEG_UNUSABLE);
    rig.cpu->rip = HANDLER;
    STEP("\xcf");
    CHECK(rig.cpu->mode & BT_MODE_V86);
    rig.cpu->rflags &= ~(uint64_t)BT_FLAG_IOPL;
    CHECK_EQ(rig.cpu->rip, 0x100);
    memcpy(rig.gmem->host + 0x1110, "\xfa", 1); /* cli without the right */
    block_drop_all(rig.cpu);
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_GP * 16);
    rig_close();
}

static void system_calls(void)
{
    REQUIRE(rig_open());
    open_mode(64, 3);
    STEP("\x0f\x05"); /* not enabled */
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_UD * 16);
    open_mode(64, 3);
    rig.cpu->efer |= BT_EFER_SCE;
    rig.cpu->msr[MSR_SLOT_star] = UINT64_C(0x0013000800000000);
    rig.cpu->msr[MSR_SLOT_lstar] = HANDLER;
    rig.cpu->msr[MSR_SLOT_sfmask] = BT_FLAG_IF | BT_FLAG_DF;
    rig.cpu->rflags |= BT_FLAG_DF | BT_FLAG_CF;
    STEP("\x0f\x05");
    CHECK_EQ(rig.cpu->rip, HANDLER);
    CHECK_EQ(rig.cpu->gpr[CPU_RCX], CODE + 2);
    CHECK_EQ(rig.cpu->gpr[CPU_R8 + 3], 0x603);
    CHECK_EQ(rig.cpu->rflags, 3);
    CHECK_EQ(rig.cpu->cpl, 0);
    CHECK_EQ(rig.cpu->seg[CPU_SS].selector, 0x10);
    STEP("\x48\x0f\x07");
    CHECK_EQ(rig.cpu->rip, CODE + 2);
    CHECK_EQ(rig.cpu->cpl, 3);
    CHECK_EQ(rig.cpu->seg[CPU_CS].selector, 0x23);
    CHECK_EQ(rig.cpu->seg[CPU_SS].selector, 0x1b);
    CHECK_EQ(rig.cpu->rflags, 0x603);
    rig_close();
}

static void run_until_kicked(void)
{
    struct err err = ERR_INIT;

    bt_vcpu_request(rig.cpu, BT_REQUEST_KICK);
    (void)bt_vcpu_run(rig.cpu, &err);
}

/* A trap behind an instruction comes before anything else, a kick included. */
static void single_step(void)
{
    REQUIRE(rig_open());
    open_mode(64, 0);
    rig.cpu->rflags |= BT_FLAG_TF;
    rig.cpu->run_state = CPU_RUNNING;
    memcpy(rig.gmem->host + CODE, "\x90\x90", 2);
    rig.cpu->debug_hit = 1 << 14; /* as one step leaves it */
    run_until_kicked();
    CHECK_EQ(rig.cpu->rip, HANDLER + BT_DB * 16);
    CHECK_EQ(rig.cpu->dr6, 0xffff4ff0);
    CHECK_EQ(get(STACK - 24, 8), 0x302);
    CHECK(!(rig.cpu->rflags & BT_FLAG_TF));
    rig_close();
}

static void breakpoints(void)
{
    REQUIRE(rig_open());
    open_mode(64, 0);
    rig.cpu->dr[0] = 0x9004;
    rig.cpu->dr[1] = CODE;
    rig.cpu->dr7 = 0x400 | 1 << 0 | 4 | UINT64_C(0xd) << 16; /* 0: writes, 4 bytes; 1: code */
    mmu_update_context(rig.cpu);
    CHECK_EQ(CATCH((void)mmu_load(rig.cpu, 0x9004, 4)), NONE);
    CHECK_EQ(rig.cpu->debug_hit, 0);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, 0x9000, 4, 0)), NONE);
    CHECK_EQ(rig.cpu->debug_hit, 0);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, 0x9007, 4, 0)), NONE);
    CHECK_EQ(rig.cpu->debug_hit, 1);
    CHECK_EQ(except_breakpoints(rig.cpu, CODE, 1, EXCEPT_BREAK_EXECUTE), 2);
    CHECK_EQ(except_breakpoints(rig.cpu, CODE + 1, 1, EXCEPT_BREAK_EXECUTE), 0);
    rig_close();
}

TAP_MAIN(TAP_CASE(real_mode), TAP_CASE(protected_same_level), TAP_CASE(protected_inner),
         TAP_CASE(long_inner), TAP_CASE(long_mode), TAP_CASE(doubles), TAP_CASE(v86),
         TAP_CASE(system_calls), TAP_CASE(single_step), TAP_CASE(breakpoints))
