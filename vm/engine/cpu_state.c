/* SPDX-License-Identifier: Apache-2.0 */
/* The field table of struct cpu_state and its values after power-on. */
#include "vm/engine/cpu_state.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define FIELDS(a) .fields = (a), .field_count = ARRAY_SIZE(a)

static const struct state_field segment_fields[] = {
    STATE_FIELD(struct cpu_segment, base, STATE_U64),
    STATE_FIELD(struct cpu_segment, limit, STATE_U32),
    STATE_FIELD(struct cpu_segment, selector, STATE_U16),
    STATE_FIELD(struct cpu_segment, attributes, STATE_U16),
};
static const struct state_table segment_table = {
    .name = "segment", .version = 1, .size = sizeof(struct cpu_segment), FIELDS(segment_fields)};

static const struct state_field register_fields[] = {
    STATE_FIELD(struct cpu_table_register, base, STATE_U64),
    STATE_FIELD(struct cpu_table_register, limit, STATE_U16),
};
static const struct state_table register_table = {.name = "table-register",
                                                  .version = 1,
                                                  .size = sizeof(struct cpu_table_register),
                                                  FIELDS(register_fields)};

static const struct state_field event_fields[] = {
    STATE_FIELD(struct cpu_events, exception_stage, STATE_U8),
    STATE_FIELD(struct cpu_events, exception_vector, STATE_U8),
    STATE_FIELD(struct cpu_events, exception_has_error, STATE_BOOL),
    STATE_FIELD(struct cpu_events, exception_has_payload, STATE_BOOL),
    STATE_FIELD(struct cpu_events, exception_error, STATE_U32),
    STATE_FIELD(struct cpu_events, exception_payload, STATE_U64),
    STATE_FIELD(struct cpu_events, interrupt_injected, STATE_BOOL),
    STATE_FIELD(struct cpu_events, interrupt_soft, STATE_BOOL),
    STATE_FIELD(struct cpu_events, interrupt_vector, STATE_U8),
    STATE_FIELD(struct cpu_events, interrupt_shadow, STATE_U8),
    STATE_FIELD(struct cpu_events, nmi_injected, STATE_BOOL),
    STATE_FIELD(struct cpu_events, nmi_pending, STATE_BOOL),
    STATE_FIELD(struct cpu_events, nmi_masked, STATE_BOOL),
    STATE_FIELD(struct cpu_events, smm, STATE_BOOL),
    STATE_FIELD(struct cpu_events, smi_pending, STATE_BOOL),
    STATE_FIELD(struct cpu_events, smm_inside_nmi, STATE_BOOL),
    STATE_FIELD(struct cpu_events, init_latched, STATE_BOOL),
    STATE_FIELD(struct cpu_events, triple_fault, STATE_BOOL),
    STATE_FIELD(struct cpu_events, sipi_vector, STATE_U8),
};
static const struct state_table event_table = {
    .name = "events", .version = 1, .size = sizeof(struct cpu_events), FIELDS(event_fields)};

static const struct state_field fields[] = {
    STATE_FIELD(struct cpu_state, gpr, STATE_U64),
    STATE_FIELD(struct cpu_state, rip, STATE_U64),
    STATE_FIELD(struct cpu_state, rflags, STATE_U64),
    STATE_SUB(struct cpu_state, seg, &segment_table, CPU_SEGS),
    STATE_SUB(struct cpu_state, gdtr, &register_table, 1),
    STATE_SUB(struct cpu_state, idtr, &register_table, 1),
    STATE_FIELD(struct cpu_state, cr0, STATE_U64),
    STATE_FIELD(struct cpu_state, cr2, STATE_U64),
    STATE_FIELD(struct cpu_state, cr3, STATE_U64),
    STATE_FIELD(struct cpu_state, cr4, STATE_U64),
    STATE_FIELD(struct cpu_state, cr8, STATE_U64),
    STATE_FIELD(struct cpu_state, pdptr, STATE_U64),
    STATE_FIELD(struct cpu_state, pdptr_valid, STATE_BOOL),
    STATE_FIELD(struct cpu_state, dr, STATE_U64),
    STATE_FIELD(struct cpu_state, dr6, STATE_U64),
    STATE_FIELD(struct cpu_state, dr7, STATE_U64),
    STATE_FIELD(struct cpu_state, efer, STATE_U64),
    STATE_FIELD(struct cpu_state, apic_base, STATE_U64),
    STATE_FIELD(struct cpu_state, xcr0, STATE_U64),
    STATE_FIELD(struct cpu_state, xsave, STATE_U8),
#define MSR(name_, index_, presence_, since_)                                            \
    {                                                                                    \
        .name = "msr_" #name_,                                                           \
        .type = STATE_U64,                                                               \
        .offset = offsetof(struct cpu_state, msr) + MSR_SLOT_##name_ * sizeof(uint64_t), \
        .count = 1,                                                                      \
        .since = since_,                                                                 \
    },
#include "vm/engine/msr.def"
#undef MSR
    STATE_SUB(struct cpu_state, events, &event_table, 1),
    STATE_FIELD(struct cpu_state, run_state, STATE_U8),
    STATE_FIELD(struct cpu_state, lapic, STATE_U32),
};

/* Only what an engine would not notice by itself: values that are indices or lengths for us. The
 * rest is checked by the engine, as the processor would. */
static int post_load(void *object, struct err *err)
{
    const struct cpu_state *state = object;

    if (state->run_state >= CPU_RUN_STATE_MAX)
        return err_set(err, -EINVAL, "run state %u does not exist", state->run_state);
    if (state->events.exception_stage > CPU_EXCEPTION_INJECTED ||
        (state->events.exception_stage && state->events.exception_vector > 31))
        return err_set(err, -EINVAL, "exception %u in stage %u does not exist",
                       state->events.exception_vector, state->events.exception_stage);
    if (!(state->xcr0 & 1))
        return err_set(err, -EINVAL, "XCR0 without x87 state");
    return 0;
}

const struct state_table cpu_state_table = {.name = "cpu",
                                            .version = 1,
                                            .size = sizeof(struct cpu_state),
                                            FIELDS(fields),
                                            .post_load = post_load};

static void lapic_power_on(struct cpu_state *state, uint32_t apic_id, bool bsp)
{
    enum { ID = 0x02, VERSION = 0x03, DFR = 0x0e, SVR = 0x0f, LVT = 0x32, LINT0 = 0x35 };

    state->lapic[ID] = apic_id << 24;   /* xAPIC mode: the low eight bits */
    state->lapic[VERSION] = 0x00050014; /* integrated APIC, six LVT entries */
    state->lapic[DFR] = 0xffffffff;
    state->lapic[SVR] = 0xff;
    for (unsigned i = LVT; i < LVT + 6; i++)
        state->lapic[i] = 0x10000; /* masked */
    /* The PIC's wire: as firmware leaves it, so that a loader without firmware has interrupts. */
    if (bsp)
        state->lapic[LINT0] = 0x700; /* ExtINT */
}

void cpu_state_power_on(struct cpu_state *state, uint32_t apic_id, bool bsp)
{
    enum { DATA = 0x93, CODE = 0x9b, LDT = 0x82, TSS = 0x8b };

    memset(state, 0, sizeof *state);
    for (unsigned i = 0; i < CPU_SEGS; i++)
        state->seg[i] = (struct cpu_segment){.limit = 0xffff, .attributes = DATA};
    state->seg[CPU_CS] = (struct cpu_segment){
        .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .attributes = CODE};
    state->seg[CPU_LDTR].attributes = LDT;
    state->seg[CPU_TR].attributes = TSS;
    state->gdtr.limit = state->idtr.limit = 0xffff;
    state->rip = 0xfff0;
    state->rflags = 0x2;
    state->gpr[CPU_RDX] = 0x600;
    state->cr0 = 0x60000010;
    state->dr6 = 0xffff0ff0;
    state->dr7 = 0x400;
    state->xcr0 = 1;
    state->apic_base = 0xfee00000 | 0x800 | (bsp ? 0x100 : 0);
    le16_store(state->xsave, 0x40);        /* FCW (SDM table 10-1) */
    le32_store(state->xsave + 24, 0x1f80); /* MXCSR */
    state->msr[MSR_SLOT_pat] = 0x0007040600070406;
    state->msr[MSR_SLOT_smbase] = 0x30000;
    state->msr[MSR_SLOT_misc_enable] = CPU_MISC_ENABLE_POWER_ON;
    state->msr[MSR_SLOT_mcg_ctl] = ~UINT64_C(0);
    for (unsigned bank = 0; bank < MSR_MC_BANKS; bank++)
        state->msr[MSR_SLOT_mc0_ctl + bank * 4] = ~UINT64_C(0);
    state->run_state = bsp ? CPU_RUNNING : CPU_WAIT_FOR_INIT;
    lapic_power_on(state, apic_id, bsp);
}
