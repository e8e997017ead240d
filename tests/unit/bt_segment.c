/* SPDX-License-Identifier: Apache-2.0 */
/* Segment checks, descriptor loads with every reason to refuse one, far transfers through gates,
 * and task switches: by descriptors written by hand, code by code bytes. */
#include "tests/unit/bt_machine.h"

enum { GDT = 0x2000, LDT = 0x2800, CODE = 0x4000, TSS = 0x5000, TSS_B = 0x5800, STACK = 0x8000 };
enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_FREE = 0x40, SEL_TSS = 0x50, SEL_LDT = 0x60 };

static uint64_t descriptor(uint32_t base, uint32_t limit, uint16_t attributes)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(attributes & 0xff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
           (uint64_t)(attributes >> 12 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

static void describe(uint16_t selector, uint32_t base, uint32_t limit, uint16_t attributes)
{
    put((selector & 4 ? LDT : GDT) + (selector & 0xfff8u), 8, descriptor(base, limit, attributes));
}

static void open_32(unsigned cpl)
{
    set_mode(32, cpl);
    rig.cpu->gdtr = (struct cpu_table_register){.base = GDT, .limit = 0xff};
    describe(SEL_CODE, 0, 0xfffff, 0xc09b);
    describe(SEL_DATA, 0, 0xfffff, 0xc093);
    rig.cpu->seg[CPU_LDTR] =
        (struct cpu_segment){.selector = SEL_LDT, .base = LDT, .limit = 0xff, .attributes = 0x82};
    rig.cpu->seg[CPU_TR] =
        (struct cpu_segment){.selector = SEL_TSS, .base = TSS, .limit = 0x67, .attributes = 0x8b};
    rig.cpu->gpr[CPU_RSP] = STACK;
    rig.cpu->rip = CODE;
}

static void code(const uint8_t *bytes, unsigned count)
{
    memcpy(rig.gmem->host + CODE, bytes, count);
    block_drop_all(rig.cpu);
    rig.cpu->rip = CODE;
}
#define RUN(...)                                       \
    do {                                               \
        static const uint8_t bytes_[] = {__VA_ARGS__}; \
        code(bytes_, sizeof bytes_);                   \
        (void)interp_step(rig.cpu);                    \
    } while (0)

static void limits(void)
{
    REQUIRE(rig_open());
    open_32(0);
    struct cpu_segment *ds = &rig.cpu->seg[CPU_DS];
    *ds = (struct cpu_segment){.base = 0x100, .limit = 0xfff, .selector = 8, .attributes = 0x4093};
    bt_mode_update(rig.cpu);
    CHECK(!(rig.cpu->mode & BT_MODE_FLAT));
    CHECK_EQ(segment_linear(rig.cpu, CPU_DS, 0xffc, 4, MMU_WRITE), 0x10fc);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0xffd, 4, MMU_READ)), BT_GP);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0xffffffff, 4, MMU_READ)), BT_GP);
    ds->attributes = 0x4097; /* expand-down: above the limit */
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0xfff, 1, MMU_READ)), BT_GP);
    CHECK_EQ(segment_linear(rig.cpu, CPU_DS, 0x1000, 1, MMU_READ), 0x1100);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0xffffffff, 2, MMU_READ)), BT_GP);
    ds->attributes = 0x97; /* and a 16-bit one ends at 64 KiB */
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0x10000, 1, MMU_READ)), BT_GP);
    ds->attributes = 0x4091;
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0x1000, 1, MMU_WRITE)), BT_GP);
    ds->attributes = CPU_SEG_UNUSABLE;
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0, 1, MMU_READ)), BT_GP);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_CS, 0, 1, MMU_WRITE)), BT_GP);
    rig.cpu->seg[CPU_SS].limit = 0xff;
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_SS, 0x100, 1, MMU_READ)), BT_SS);
    set_mode(64, 0);
    rig.cpu->seg[CPU_FS].base = 0x1000;
    CHECK_EQ(segment_linear(rig.cpu, CPU_FS, 8, 8, MMU_READ), 0x1008);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_SS, BIT64(47), 8, MMU_READ)), BT_SS);
    rig_close();
}

static void loads(void)
{
    static const struct {
        enum cpu_seg seg;
        uint16_t selector, attributes; /* of the descriptor */
        uint8_t cpl;
        int vector;
        uint16_t error;
    } cases[] = {
        {CPU_DS, SEL_FREE, 0xc093, 0, NONE, 0},
        {CPU_DS, 0, 0, 3, NONE, 0},
        {CPU_SS, 0, 0, 0, BT_GP, 0},
        {CPU_DS, 0x108, 0, 0, BT_GP, 0x108},            /* beyond the limit */
        {CPU_DS, SEL_FREE, 0xc013, 0, BT_NP, SEL_FREE}, /* absent */
        {CPU_DS, SEL_FREE, 0x0082, 0, BT_GP, SEL_FREE}, /* of the system */
        {CPU_DS, SEL_FREE, 0xc099, 0, BT_GP, SEL_FREE}, /* code that cannot be read */
        {CPU_DS, SEL_FREE, 0xc09b, 0, NONE, 0},         /* code that can */
        {CPU_DS, SEL_FREE, 0xc093, 3, BT_GP, SEL_FREE}, /* of an inner level */
        {CPU_DS, SEL_FREE | 3, 0xc093, 0, BT_GP, SEL_FREE},
        {CPU_DS, SEL_FREE | 3, 0xc0f3, 3, NONE, 0},
        {CPU_DS, SEL_FREE | 3, 0xc09f, 3, NONE, 0}, /* conforming: for everybody */
        {CPU_DS, SEL_FREE | 4, 0xc093, 0, NONE, 0},
        {CPU_SS, SEL_FREE, 0xc093, 0, NONE, 0},
        {CPU_SS, SEL_FREE, 0xc091, 0, BT_GP, SEL_FREE}, /* read-only */
        {CPU_SS, SEL_FREE | 3, 0xc093, 0, BT_GP, SEL_FREE},
        {CPU_SS, SEL_FREE, 0xc013, 0, BT_SS, SEL_FREE},
        {CPU_SS, SEL_FREE | 3, 0xc0f3, 3, NONE, 0},
    };

    REQUIRE(rig_open());
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        open_32(cases[i].cpl);
        if (cases[i].selector & 0xfffc && cases[i].selector < 0x100)
            describe(cases[i].selector, 0x1000, 0x12, cases[i].attributes & ~1u);
        int vector = CATCH(segment_load(rig.cpu, cases[i].seg, cases[i].selector));
        if (!CHECK_EQ(vector, cases[i].vector))
            (void)printf("# case %u\n", i);
        if (vector != NONE) {
            if (!CHECK_EQ(rig.cpu->event.error, cases[i].error))
                (void)printf("# case %u\n", i);
            continue;
        }
        const struct cpu_segment *s = &rig.cpu->seg[cases[i].seg];
        CHECK_EQ(s->selector, cases[i].selector);
        if (!(cases[i].selector & 0xfffc)) {
            CHECK(s->attributes & CPU_SEG_UNUSABLE);
            continue;
        }
        CHECK(s->base == 0x1000 && s->limit == 0x12fff);
        CHECK_EQ(s->attributes, cases[i].attributes | 1);
        uint64_t table = cases[i].selector & 4 ? LDT : GDT;
        CHECK_EQ(get(table + (cases[i].selector & 0xfff8u) + 5, 1) & 1, 1);
    }
    rig_close();
}

static void real_mode(void)
{
    REQUIRE(rig_open());
    segment_load(rig.cpu, CPU_DS, 0x1234);
    CHECK_EQ(rig.cpu->seg[CPU_DS].base, 0x12340);
    CHECK_EQ(CATCH((void)segment_linear(rig.cpu, CPU_DS, 0xffff, 2, MMU_READ)), BT_GP);
    /* A limit loaded in protected mode stays. */
    rig.cpu->seg[CPU_DS].limit = UINT32_MAX;
    segment_load(rig.cpu, CPU_DS, 0);
    CHECK_EQ(segment_linear(rig.cpu, CPU_DS, 0x200000, 4, MMU_WRITE), 0x200000);
    rig_close();
}

static void far_direct(void)
{
    REQUIRE(rig_open());
    open_32(0);
    describe(SEL_FREE, 0x100, 0xfffff, 0xc09a);
    RUN(0x9a, 0x10, 0, 0, 0, SEL_FREE, 0); /* call far 40:10 */
    CHECK_EQ(rig.cpu->rip, 0x10);
    CHECK_EQ(rig.cpu->seg[CPU_CS].base, 0x100);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK - 8);
    CHECK_EQ(get(STACK - 8, 4), CODE + 7);
    CHECK_EQ(get(STACK - 4, 4), SEL_CODE);
    put(0x110, 3, 0x0004ca); /* retf 4 */
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->rip, CODE + 7);
    CHECK_EQ(rig.cpu->seg[CPU_CS].selector, SEL_CODE);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK + 4);
    rig_close();
}

/* From level 3 through a call gate to level 0 with two parameters, and back. */
static void call_gate(void)
{
    REQUIRE(rig_open());
    open_32(3);
    put(GDT + SEL_FREE, 8, 0x0000ec0200081234); /* 8:1234, two parameters, DPL 3 */
    put(TSS + 4, 4, 0x7000);
    put(TSS + 8, 4, SEL_DATA);
    describe(0x18, 0, 0xfffff, 0xc0fa);
    describe(0x20, 0, 0xfffff, 0xc0f2);
    rig.cpu->seg[CPU_CS].selector = 0x18 | 3;
    rig.cpu->seg[CPU_SS].selector = 0x20 | 3;
    put(STACK, 8, 0x2222222211111111);
    RUN(0x9a, 0, 0, 0, 0, SEL_FREE | 3, 0);
    CHECK_EQ(rig.cpu->rip, 0x1234);
    CHECK_EQ(rig.cpu->cpl, 0);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], 0x7000 - 24);
    CHECK_EQ(get(0x7000 - 4, 4), 0x20 | 3);
    CHECK_EQ(get(0x7000 - 8, 4), STACK);
    CHECK_EQ(get(0x7000 - 16, 8), 0x2222222211111111);
    CHECK_EQ(get(0x7000 - 20, 4), 0x18 | 3);
    CHECK_EQ(get(0x7000 - 24, 4), CODE + 7);
    put(0x1234, 3, 0x0008ca); /* retf 8: takes the parameters off both stacks */
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->cpl, 3);
    CHECK_EQ(rig.cpu->rip, CODE + 7);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], STACK + 8);
    CHECK(rig.cpu->seg[CPU_DS].attributes & CPU_SEG_P); /* DPL 3: may stay */
    rig_close();
}

static void task_switch(void)
{
    REQUIRE(rig_open());
    open_32(0);
    describe(SEL_TSS, TSS, 0x67, 0x8b);
    describe(SEL_TSS + 8, TSS_B, 0x67, 0x89);
    put(TSS_B + 0x20, 4, 0x9000);
    put(TSS_B + 0x24, 4, 2);
    put(TSS_B + 0x28 + 3 * 4, 4, 0xb0b);
    put(TSS_B + 0x28 + 4 * 4, 4, 0x6000);
    for (unsigned i = 0; i < 6; i++)
        put(TSS_B + 0x48 + i * 4, 2, i == CPU_CS ? SEL_CODE : SEL_DATA);
    rig.cpu->gpr[CPU_RBX] = 0xa0a;
    RUN(0x9a, 0, 0, 0, 0, SEL_TSS + 8, 0); /* call */
    CHECK_EQ(rig.cpu->rip, 0x9000);
    CHECK_EQ(rig.cpu->gpr[CPU_RBX], 0xb0b);
    CHECK_EQ(rig.cpu->gpr[CPU_RSP], 0x6000);
    CHECK_EQ(rig.cpu->seg[CPU_TR].selector, SEL_TSS + 8);
    CHECK(rig.cpu->rflags & BT_FLAG_NT && rig.cpu->cr0 & BT_CR0_TS);
    CHECK_EQ(get(TSS_B, 2), SEL_TSS);
    CHECK_EQ(get(TSS + 0x20, 4), CODE + 7);
    CHECK_EQ(get(TSS + 0x28 + 3 * 4, 4), 0xa0a);
    CHECK_EQ(get(GDT + SEL_TSS + 8 + 5, 1), 0x8b); /* both busy */
    CHECK_EQ(get(GDT + SEL_TSS + 5, 1), 0x8b);
    put(0x9000, 1, 0xcf); /* iret */
    (void)interp_step(rig.cpu);
    CHECK_EQ(rig.cpu->rip, CODE + 7);
    CHECK_EQ(rig.cpu->gpr[CPU_RBX], 0xa0a);
    CHECK_EQ(get(GDT + SEL_TSS + 8 + 5, 1), 0x89);
    CHECK(!(rig.cpu->rflags & BT_FLAG_NT));
    /* One that is busy, too short, or no TSS at all. */
    CHECK_EQ(CATCH(segment_task_switch(rig.cpu, SEL_TSS, SEGMENT_TASK_JUMP, 0, false, 0)), BT_GP);
    describe(SEL_TSS + 8, TSS_B, 0x66, 0x89);
    CHECK_EQ(CATCH(segment_task_switch(rig.cpu, SEL_TSS + 8, SEGMENT_TASK_JUMP, 0, false, 0)),
             BT_TS);
    CHECK_EQ(CATCH(segment_task_switch(rig.cpu, SEL_DATA, SEGMENT_TASK_JUMP, 0, false, 0)), BT_GP);
    rig_close();
}

static void queries(void)
{
    REQUIRE(rig_open());
    open_32(3);
    describe(SEL_FREE, 0, 0x1234, 0xc0f2);
    rig.cpu->gpr[CPU_RCX] = SEL_FREE | 3;
    RUN(0x0f, 0x02, 0xc1); /* lar eax, ecx */
    CHECK_EQ(rig.cpu->gpr[CPU_RAX], 0x00c0f200);
    CHECK(rig.cpu->rflags & BT_FLAG_ZF);
    RUN(0x0f, 0x03, 0xc1); /* lsl */
    CHECK_EQ(rig.cpu->gpr[CPU_RAX], 0x1234fff);
    RUN(0x0f, 0x00, 0xe9); /* verw ecx */
    CHECK(rig.cpu->rflags & BT_FLAG_ZF);
    rig.cpu->gpr[CPU_RCX] = SEL_DATA; /* level 0 */
    RUN(0x0f, 0x00, 0xe1);            /* verr */
    CHECK(!(rig.cpu->rflags & BT_FLAG_ZF));
    RUN(0x0f, 0x03, 0xc1);
    CHECK_EQ(rig.cpu->gpr[CPU_RAX], 0x1234fff);
    rig_close();
}

TAP_MAIN(TAP_CASE(limits), TAP_CASE(loads), TAP_CASE(real_mode), TAP_CASE(far_direct),
         TAP_CASE(call_gate), TAP_CASE(task_switch), TAP_CASE(queries))
