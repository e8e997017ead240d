/* SPDX-License-Identifier: Apache-2.0 */
/* The bus clock, which the timer counts, is 1 GHz, as CPUID leaf 40000010h says; so a count is a
 * nanosecond times the divisor. Periods below 100 us are stretched, and periods that a late host
 * missed are left out: a guest cannot keep the timer thread busy.
 *
 * Deliberately missing: performance and thermal interrupts have a table entry and no source; no
 * CMCI; no directed end of interrupt (version bit 24), since KVM with its own IOAPIC has none
 * either and a guest may move there; arbitration. */
#include "vm/engine/bt/lapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/engine/bt/irqchip_internal.h"
#include "vm/engine/bt/lapic_regs.h"

#define NS_PER_S   UINT64_C(1000000000)
#define PERIOD_MIN UINT64_C(100000)
#define WAIT_MAX   (3600 * NS_PER_S) /* then the TSC is looked at again */
#define BROADCAST  UINT32_MAX

static const uint32_t lvt_writable[] = {
    [LVT_TIMER - LVT_TIMER] = VECTOR | MASKED | TIMER_MODE,
    [LVT_THERMAL - LVT_TIMER] = VECTOR | MODE | MASKED,
    [LVT_PERFORMANCE - LVT_TIMER] = VECTOR | MODE | MASKED,
    [LVT_LINT0 - LVT_TIMER] = LINT_WRITABLE,
    [LVT_LINT1 - LVT_TIMER] = LINT_WRITABLE,
    [LVT_ERROR - LVT_TIMER] = VECTOR | MASKED,
};

/* Vectors: sets of 256 in eight registers. */

static void vector_set(struct bt_lapic *lapic, unsigned set, uint8_t vector)
{
    lapic->reg[set + vector / 32] |= BIT(vector % 32);
}

static void vector_clear(struct bt_lapic *lapic, unsigned set, uint8_t vector)
{
    lapic->reg[set + vector / 32] &= ~BIT(vector % 32);
}

static bool vector_in(const struct bt_lapic *lapic, unsigned set, uint8_t vector)
{
    return lapic->reg[set + vector / 32] & BIT(vector % 32);
}

/* 0: none, which no set can hold. */
static uint8_t vector_highest(const struct bt_lapic *lapic, unsigned set)
{
    for (unsigned i = VECTORS / 32; i-- > 0;)
        if (lapic->reg[set + i])
            return (uint8_t)(i * 32 + 31 - (unsigned)__builtin_clz(lapic->reg[set + i]));
    return 0;
}

/* Priority (SDM 10.8.3). */

static uint8_t processor_priority(const struct bt_lapic *lapic)
{
    uint8_t task = (uint8_t)lapic->reg[TPR], service = vector_highest(lapic, ISR);

    return task >> 4 >= service >> 4 ? task : service & 0xf0;
}

/* The vector that gets through, or 0. */
static uint8_t deliverable(const struct bt_lapic *lapic)
{
    uint8_t vector = vector_highest(lapic, IRR);

    return lapic->enabled && vector >> 4 > processor_priority(lapic) >> 4 ? vector : 0;
}

/* The PIC's wire is LINT0; without an APIC it is the processor's INTR pin itself. */
bool bt_lapic_takes_pic(const struct bt_lapic *lapic)
{
    return !lapic->enabled || (lapic->reg[LVT_LINT0] & (MASKED | MODE)) == BT_DELIVER_EXTINT
                                                                               << MODE_SHIFT;
}

void bt_lapic_update(struct bt_lapic *lapic)
{
    bool pending = deliverable(lapic) || (lapic->chip->pic_output && bt_lapic_takes_pic(lapic));
    bool requested = atomic_load(&lapic->vcpu->request) & BT_REQUEST_INTERRUPT;

    if (pending && !requested)
        bt_vcpu_request(lapic->vcpu, BT_REQUEST_INTERRUPT);
    else if (!pending && requested)
        (void)atomic_fetch_and(&lapic->vcpu->request, ~(uint32_t)BT_REQUEST_INTERRUPT);
}

bool bt_lapic_interrupt(struct bt_lapic *lapic, uint8_t *ret_vector)
{
    uint8_t vector = deliverable(lapic);

    if (!vector)
        return false;
    vector_clear(lapic, IRR, vector);
    vector_set(lapic, ISR, vector);
    *ret_vector = vector;
    bt_lapic_update(lapic);
    return true;
}

static void end_of_interrupt(struct bt_lapic *lapic)
{
    uint8_t vector = vector_highest(lapic, ISR);

    if (!vector)
        return;
    vector_clear(lapic, ISR, vector);
    if (vector_in(lapic, TMR, vector))
        bt_irqchip_end(lapic->chip, vector);
    bt_lapic_update(lapic);
}

/* Arrival. */

static void raise_error(struct bt_lapic *lapic, uint32_t error)
{
    uint32_t entry = lapic->reg[LVT_ERROR];

    lapic->errors |= error;
    if ((entry & MASKED) || (entry & VECTOR) < FIRST_VECTOR)
        return;
    vector_set(lapic, IRR, (uint8_t)entry);
    vector_clear(lapic, TMR, (uint8_t)entry);
    bt_lapic_update(lapic);
}

static bool accept_vector(struct bt_lapic *lapic, uint8_t vector, bool level)
{
    if (!(lapic->reg[SVR] & SVR_ENABLED))
        return false;
    if (vector < FIRST_VECTOR) {
        raise_error(lapic, ESR_RECEIVE_VECTOR);
        return false;
    }
    vector_set(lapic, IRR, vector);
    if (level)
        vector_set(lapic, TMR, vector);
    else
        vector_clear(lapic, TMR, vector);
    bt_lapic_update(lapic);
    return true;
}

static bool accept(struct bt_lapic *lapic, unsigned mode, uint8_t vector, bool level)
{
    struct bt_vcpu *vcpu = lapic->vcpu;

    if (!lapic->enabled)
        return false;
    switch (mode) {
    case BT_DELIVER_FIXED:
    case BT_DELIVER_LOWEST:
        return accept_vector(lapic, vector, level);
    case BT_DELIVER_SMI:
        bt_vcpu_request(vcpu, BT_REQUEST_SMI);
        return true;
    case BT_DELIVER_NMI:
        bt_vcpu_request(vcpu, BT_REQUEST_NMI);
        return true;
    case BT_DELIVER_INIT:
        bt_vcpu_request(vcpu, BT_REQUEST_INIT);
        return true;
    case BT_DELIVER_SIPI:
        __atomic_store_n(&vcpu->sipi_vector, vector, __ATOMIC_RELEASE);
        bt_vcpu_request(vcpu, BT_REQUEST_SIPI);
        return true;
    default: /* reserved; ExtINT has its wire */
        return false;
    }
}

static void local_interrupt(struct bt_lapic *lapic, unsigned entry)
{
    uint32_t value = lapic->reg[entry];

    if (!(value & MASKED))
        (void)accept(lapic, (value & MODE) >> MODE_SHIFT, (uint8_t)value, false);
}

void bt_lapic_pic_changed(struct bt_irqchip *chip, bool rose)
{
    for (unsigned i = 0; i < chip->lapic_end; i++) {
        struct bt_lapic *lapic = chip->lapic[i];
        if (!lapic)
            continue;
        if (rose && !bt_lapic_takes_pic(lapic))
            local_interrupt(lapic, LVT_LINT0);
        bt_lapic_update(lapic);
    }
}

/* Destinations (SDM 10.6.2, 10.12.9, 10.12.10). An 8-bit id of all ones is a broadcast to xAPICs
 * only; an xAPIC whose id does not fit is found by its full id, so that it can be started. */

static bool matches_physical(const struct bt_lapic *lapic, uint32_t destination)
{
    if (destination == BROADCAST || (destination == 0xff && !lapic->x2apic))
        return true;
    return destination == lapic->id;
}

static uint32_t logical_id(const struct bt_lapic *lapic)
{
    if (lapic->x2apic)
        return lapic->id >> 4 << 16 | BIT(lapic->id & 15);
    return lapic->reg[LDR];
}

static bool matches_logical(const struct bt_lapic *lapic, uint32_t destination)
{
    uint32_t ldr = logical_id(lapic);

    if (destination == BROADCAST)
        return true;
    if (lapic->x2apic)
        return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
    if (destination > 0xff)
        return false;
    if (destination == 0xff)
        return true;
    ldr >>= 24;
    if (lapic->reg[DFR] >> 28 == 0xf) /* flat */
        return ldr & destination;
    return lapic->reg[DFR] >> 28 == 0 && ldr >> 4 == destination >> 4 && (ldr & destination & 0xf);
}

static bool matches(const struct bt_lapic *lapic, const struct bt_message *message)
{
    return lapic && lapic->enabled &&
           (message->logical ? matches_logical(lapic, message->destination)
                             : matches_physical(lapic, message->destination));
}

/* The one with the lowest priority, the next after the last one among equals (SDM 10.6.2.4). */
static struct bt_lapic *find_lowest(struct bt_irqchip *chip, const struct bt_message *message)
{
    struct bt_lapic *best = NULL;

    for (unsigned n = 1; n <= chip->lapic_end; n++) {
        unsigned i = (chip->lowest_last + n) % chip->lapic_end;
        struct bt_lapic *lapic = chip->lapic[i];
        if (!matches(lapic, message) || !(lapic->reg[SVR] & SVR_ENABLED))
            continue;
        if (!best || processor_priority(lapic) >> 4 < processor_priority(best) >> 4)
            best = lapic;
    }
    if (best)
        chip->lowest_last = best->vcpu->index;
    return best;
}

unsigned bt_lapic_deliver(struct bt_irqchip *chip, const struct bt_message *message)
{
    bool fixed = message->mode == BT_DELIVER_FIXED || message->mode == BT_DELIVER_LOWEST;
    unsigned taken = 0;

    if (fixed && (message->redirect || message->mode == BT_DELIVER_LOWEST)) {
        struct bt_lapic *lapic = find_lowest(chip, message);
        return lapic && accept(lapic, message->mode, message->vector, message->level);
    }
    for (unsigned i = 0; i < chip->lapic_end; i++)
        if (matches(chip->lapic[i], message))
            taken += accept(chip->lapic[i], message->mode, message->vector, message->level);
    return taken;
}

/* Interprocessor interrupts (SDM 10.6.1). They are edges; level-triggered INIT with deassertion
 * has meant nothing since the Pentium. */

static void send_shorthand(struct bt_lapic *from, enum shorthand to, unsigned mode, uint8_t vector)
{
    struct bt_irqchip *chip = from->chip;

    for (unsigned i = 0; i < chip->lapic_end; i++) {
        struct bt_lapic *lapic = chip->lapic[i];
        bool self = lapic == from;
        if (lapic && (to == TO_ALL || self == (to == TO_SELF)))
            (void)accept(lapic, mode, vector, false);
    }
}

static void send(struct bt_lapic *lapic, uint32_t command, uint32_t destination)
{
    enum shorthand to = command >> ICR_SHORTHAND_SHIFT & 3;
    struct bt_message message = {
        .vector = (uint8_t)command,
        .mode = (command & MODE) >> MODE_SHIFT,
        .logical = command & ICR_LOGICAL,
        .destination = destination,
    };
    bool fixed = message.mode == BT_DELIVER_FIXED || message.mode == BT_DELIVER_LOWEST;

    if (message.mode == BT_DELIVER_INIT && (command & ICR_LEVEL) && !(command & ICR_ASSERT))
        return;
    if (fixed && message.vector < FIRST_VECTOR)
        raise_error(lapic, ESR_SEND_VECTOR);
    else if (to == TO_DESTINATION)
        (void)bt_lapic_deliver(lapic->chip, &message);
    else
        send_shorthand(lapic, to, message.mode, message.vector);
}

/* Timer (SDM 10.5.4). */

static uint64_t now_ns(const struct bt_lapic *lapic)
{
    return bt_timers_now(&lapic->chip->timers);
}

static uint64_t guest_tsc(const struct bt_lapic *lapic)
{
    return lapic->chip->host_tsc() + lapic->tsc_offset;
}

static unsigned timer_mode(const struct bt_lapic *lapic)
{
    return lapic->reg[LVT_TIMER] & TIMER_MODE;
}

static uint64_t divisor(const struct bt_lapic *lapic)
{
    uint32_t v = lapic->reg[DIVIDE];

    return UINT64_C(1) << (((v & 3) | (v >> 1 & 4)) + 1) % 8;
}

static uint64_t period_ns(const struct bt_lapic *lapic)
{
    return lapic->reg[INITIAL_COUNT] * divisor(lapic);
}

/* When the count is 0 next; for a one-shot also: was, or 0. */
static uint64_t next_end(const struct bt_lapic *lapic, uint64_t now)
{
    uint64_t end = lapic->count_end, period = period_ns(lapic);

    if (timer_mode(lapic) == TIMER_PERIODIC && end && end <= now)
        end += ((now - end) / period + 1) * period;
    return end;
}

static uint32_t current_count(const struct bt_lapic *lapic)
{
    uint64_t now = now_ns(lapic), end;

    if (!lapic->reg[INITIAL_COUNT] || timer_mode(lapic) >= TIMER_DEADLINE)
        return 0;
    end = next_end(lapic, now);
    return end > now ? (uint32_t)((end - now + divisor(lapic) - 1) / divisor(lapic)) : 0;
}

static uint64_t deadline_wait(const struct bt_lapic *lapic)
{
    uint64_t tsc = guest_tsc(lapic), hz = lapic->chip->tsc_hz;

    if (lapic->deadline <= tsc)
        return 0;
    uint64_t ticks = MIN(lapic->deadline - tsc, hz * (WAIT_MAX / NS_PER_S));
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + hz - 1) / hz);
}

/* Arms the timer for what comes next. A count that nobody hears of (masked) needs none. */
static void plan(struct bt_lapic *lapic)
{
    struct bt_timers *timers = &lapic->chip->timers;
    uint64_t now = now_ns(lapic), end;

    bt_timer_disarm(timers, &lapic->timer);
    if (timer_mode(lapic) == TIMER_DEADLINE) {
        if (lapic->deadline)
            bt_timer_arm(timers, &lapic->timer, now + deadline_wait(lapic));
        return;
    }
    if (!lapic->reg[INITIAL_COUNT] || (lapic->reg[LVT_TIMER] & MASKED) ||
        timer_mode(lapic) > TIMER_DEADLINE)
        return;
    end = next_end(lapic, now);
    if (timer_mode(lapic) == TIMER_PERIODIC && period_ns(lapic) < PERIOD_MIN)
        end = MAX(end, now + PERIOD_MIN);
    if (end > now)
        bt_timer_arm(timers, &lapic->timer, end);
}

static void expire(void *ctx)
{
    struct bt_lapic *lapic = ctx;

    if (timer_mode(lapic) == TIMER_DEADLINE) {
        if (deadline_wait(lapic)) { /* the clocks disagree a little, or it was far away */
            plan(lapic);
            return;
        }
        lapic->deadline = 0;
    } else {
        plan(lapic);
    }
    local_interrupt(lapic, LVT_TIMER);
}

/* An expiry that the timer thread has not seen yet comes before a change of the timer. */
static void catch_up(struct bt_lapic *lapic)
{
    if (!lapic->timer.armed || lapic->timer.deadline > now_ns(lapic))
        return;
    bt_timer_disarm(&lapic->chip->timers, &lapic->timer);
    expire(lapic);
}

static void set_count(struct bt_lapic *lapic, uint32_t count)
{
    catch_up(lapic);
    if (timer_mode(lapic) >= TIMER_DEADLINE)
        return;
    lapic->reg[INITIAL_COUNT] = count;
    lapic->count_end = now_ns(lapic) + period_ns(lapic);
    plan(lapic);
}

static void set_divide(struct bt_lapic *lapic, uint32_t value)
{
    catch_up(lapic);
    uint32_t left = current_count(lapic);
    lapic->reg[DIVIDE] = value & DIVIDE_WRITABLE;
    lapic->count_end = now_ns(lapic) + left * divisor(lapic);
    plan(lapic);
}

static void set_timer_entry(struct bt_lapic *lapic, uint32_t value)
{
    uint32_t changed = lapic->reg[LVT_TIMER] ^ value;
    uint64_t now = now_ns(lapic), end;

    catch_up(lapic);
    /* The count goes on from where it is; that of a one-shot that is over stays 0. */
    end = lapic->reg[INITIAL_COUNT] ? next_end(lapic, now) : 0;
    lapic->count_end = end > now ? end : 0;
    lapic->reg[LVT_TIMER] = value;
    if (changed & TIMER_DEADLINE) {
        lapic->reg[INITIAL_COUNT] = 0;
        lapic->deadline = 0;
    }
    plan(lapic);
}

/* Registers, the same for both modes but for what their callers check. */

static void set_svr(struct bt_lapic *lapic, uint32_t value)
{
    lapic->reg[SVR] = value & SVR_WRITABLE;
    if (value & SVR_ENABLED)
        return;
    for (unsigned i = LVT_TIMER; i <= LVT_ERROR; i++)
        lapic->reg[i] |= MASKED;
    plan(lapic);
}

static void set_lvt(struct bt_lapic *lapic, unsigned reg, uint32_t value)
{
    value &= lvt_writable[reg - LVT_TIMER];
    if (!(lapic->reg[SVR] & SVR_ENABLED))
        value |= MASKED;
    if (reg == LVT_TIMER)
        set_timer_entry(lapic, value);
    else
        lapic->reg[reg] = value;
}

/* False: no such register. */
static bool reg_read(const struct bt_lapic *lapic, unsigned reg, uint32_t *ret_value)
{
    switch (reg) {
    case ID:
        *ret_value = lapic->x2apic ? lapic->id : lapic->id << 24;
        return true;
    case PPR:
        *ret_value = processor_priority(lapic);
        return true;
    case LDR:
        *ret_value = logical_id(lapic);
        return true;
    case CURRENT_COUNT:
        *ret_value = current_count(lapic);
        return true;
    case VERSION:
    case TPR:
    case SVR:
    case ISR ... ESR:
    case ICR:
    case LVT_TIMER ... INITIAL_COUNT:
    case DIVIDE:
        *ret_value = lapic->reg[reg];
        return true;
    default:
        return false;
    }
}

static bool reg_write(struct bt_lapic *lapic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case TPR:
        lapic->reg[TPR] = value & 0xff;
        break;
    case EOI:
        end_of_interrupt(lapic);
        break;
    case SVR:
        set_svr(lapic, value);
        break;
    case ESR:
        lapic->reg[ESR] = lapic->errors;
        lapic->errors = 0;
        break;
    case LVT_TIMER ... LVT_ERROR:
        set_lvt(lapic, reg, value);
        break;
    case INITIAL_COUNT:
        set_count(lapic, value);
        break;
    case DIVIDE:
        set_divide(lapic, value);
        break;
    default:
        return false;
    }
    bt_lapic_update(lapic);
    return true;
}

/* xAPIC: the page. Registers are 32 bits at multiples of 16; parts of them can be read. */

bool bt_lapic_at(const struct bt_vcpu *vcpu, uint64_t gpa)
{
    return (vcpu->apic_base & BASE_MODE) == BASE_ENABLED &&
           gpa >> PAGE_SHIFT == vcpu->apic_base >> PAGE_SHIFT;
}

static bool page_read(const struct bt_lapic *lapic, unsigned reg, uint32_t *ret_value)
{
    switch (reg) {
    case ARBITRATION:
    case REMOTE_READ:
        *ret_value = 0;
        return true;
    case DFR:
    case ICR_HIGH:
        *ret_value = lapic->reg[reg];
        return true;
    default:
        return reg_read(lapic, reg, ret_value);
    }
}

uint64_t bt_lapic_read(struct bt_vcpu *vcpu, unsigned offset, unsigned size)
{
    struct bt_lapic *lapic = vcpu->lapic;
    uint32_t value = 0;

    if (offset % 16 + size > 4)
        return 0;
    LOCK_SCOPE(&lapic->chip->lock);
    if (offset / 16 >= CPU_LAPIC_REGISTERS || !page_read(lapic, offset / 16, &value))
        raise_error(lapic, ESR_REGISTER);
    value >>= offset % 4 * 8;
    return size == 4 ? value : value & (BIT(size * 8) - 1);
}

static bool page_write(struct bt_lapic *lapic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case ID: /* read-only here, as the SDM allows */
        return true;
    case LDR:
        lapic->reg[LDR] = value & 0xff000000;
        return true;
    case DFR:
        lapic->reg[DFR] = value | 0x0fffffff;
        return true;
    case ICR:
        lapic->reg[ICR] = value & ~(uint32_t)ICR_STATUS;
        send(lapic, value, lapic->reg[ICR_HIGH] >> 24);
        return true;
    case ICR_HIGH:
        lapic->reg[ICR_HIGH] = value & 0xff000000;
        return true;
    default:
        return reg_write(lapic, reg, value);
    }
}

void bt_lapic_write(struct bt_vcpu *vcpu, unsigned offset, unsigned size, uint64_t value)
{
    struct bt_lapic *lapic = vcpu->lapic;
    uint32_t ignored;

    if (offset % 16 || size != 4)
        return;
    LOCK_SCOPE(&lapic->chip->lock);
    if (offset / 16 >= CPU_LAPIC_REGISTERS || (!page_write(lapic, offset / 16, (uint32_t)value) &&
                                               !page_read(lapic, offset / 16, &ignored)))
        raise_error(lapic, ESR_REGISTER);
}

/* x2APIC: MSRs (SDM 10.12.1). */

bool bt_lapic_msr_read(struct bt_vcpu *vcpu, uint32_t msr, uint64_t *ret_value)
{
    struct bt_lapic *lapic = vcpu->lapic;
    uint32_t reg = msr - MSR_BASE, value = 0, high = 0;

    LOCK_SCOPE(&lapic->chip->lock);
    if (!lapic->x2apic || reg >= CPU_LAPIC_REGISTERS || !reg_read(lapic, reg, &value))
        return false;
    if (reg == ICR)
        high = lapic->reg[ICR_HIGH];
    *ret_value = (uint64_t)high << 32 | value;
    return true;
}

/* What a write may have set. */
static uint64_t msr_writable(uint32_t reg)
{
    switch (reg) {
    case TPR:
    case SELF_IPI:
        return 0xff;
    case EOI:
    case ESR:
        return 0;
    case ICR:
        return ~ICR_RESERVED;
    case DIVIDE:
        return DIVIDE_WRITABLE;
    default:
        return UINT32_MAX;
    }
}

static bool msr_write(struct bt_lapic *lapic, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case ICR:
        lapic->reg[ICR] = (uint32_t)value & ~(uint32_t)ICR_STATUS;
        lapic->reg[ICR_HIGH] = (uint32_t)(value >> 32);
        send(lapic, (uint32_t)value, (uint32_t)(value >> 32));
        return true;
    case SELF_IPI:
        send(lapic, (uint32_t)value | TO_SELF << ICR_SHORTHAND_SHIFT, 0);
        return true;
    default:
        return reg_write(lapic, reg, (uint32_t)value);
    }
}

bool bt_lapic_msr_write(struct bt_vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct bt_lapic *lapic = vcpu->lapic;
    uint32_t reg = msr - MSR_BASE;

    LOCK_SCOPE(&lapic->chip->lock);
    return lapic->x2apic && !(value & ~msr_writable(reg)) && msr_write(lapic, reg, value);
}

uint64_t bt_lapic_deadline(struct bt_vcpu *vcpu)
{
    LOCK_SCOPE(&vcpu->lapic->chip->lock);
    return vcpu->lapic->deadline;
}

void bt_lapic_set_deadline(struct bt_vcpu *vcpu, uint64_t tsc)
{
    struct bt_lapic *lapic = vcpu->lapic;

    LOCK_SCOPE(&lapic->chip->lock);
    lapic->tsc_offset = vcpu->tsc_offset;
    if (timer_mode(lapic) != TIMER_DEADLINE)
        return;
    catch_up(lapic);
    lapic->deadline = tsc;
    plan(lapic);
    catch_up(lapic); /* in the past: at once */
}

void bt_lapic_tsc_changed(struct bt_vcpu *vcpu)
{
    struct bt_lapic *lapic = vcpu->lapic;

    LOCK_SCOPE(&lapic->chip->lock);
    lapic->tsc_offset = vcpu->tsc_offset;
    if (lapic->deadline)
        plan(lapic);
}

uint8_t bt_lapic_cr8(struct bt_vcpu *vcpu)
{
    LOCK_SCOPE(&vcpu->lapic->chip->lock);
    return (uint8_t)(vcpu->lapic->reg[TPR] >> 4);
}

void bt_lapic_set_cr8(struct bt_vcpu *vcpu, uint8_t priority)
{
    struct bt_lapic *lapic = vcpu->lapic;

    LOCK_SCOPE(&lapic->chip->lock);
    (void)reg_write(lapic, TPR, (uint32_t)priority << 4);
}

/* Life. */

static void reset(struct bt_lapic *lapic)
{
    memset(lapic->reg, 0, sizeof lapic->reg);
    lapic->reg[VERSION] = VERSION_VALUE;
    lapic->reg[DFR] = UINT32_MAX;
    lapic->reg[SVR] = 0xff;
    for (unsigned i = LVT_TIMER; i <= LVT_ERROR; i++)
        lapic->reg[i] = MASKED;
    lapic->errors = 0;
    lapic->deadline = 0;
    bt_timer_disarm(&lapic->chip->timers, &lapic->timer);
    bt_lapic_update(lapic);
}

int bt_lapic_create(struct bt_irqchip *chip, struct bt_vcpu *vcpu, uint32_t apic_id)
{
    struct bt_lapic *lapic = calloc(1, sizeof *lapic);

    if (!lapic)
        return -ENOMEM;
    *lapic = (struct bt_lapic){.chip = chip,
                               .vcpu = vcpu,
                               .id = apic_id,
                               .bsp = !vcpu->index,
                               .enabled = true,
                               .timer = {.fire = expire, .ctx = lapic}};
    vcpu->lapic = lapic;
    vcpu->apic_base = UINT64_C(0xfee00000) | BASE_ENABLED | (lapic->bsp ? BASE_BSP : 0);
    LOCK_SCOPE(&chip->lock);
    reset(lapic);
    if (lapic->bsp) /* as cpu_state_power_on has it */
        lapic->reg[LVT_LINT0] = BT_DELIVER_EXTINT << MODE_SHIFT;
    chip->lapic[vcpu->index] = lapic;
    chip->lapic_end = MAX(chip->lapic_end, vcpu->index + 1);
    return 0;
}

void bt_lapic_destroy(struct bt_vcpu *vcpu)
{
    struct bt_lapic *lapic = vcpu->lapic;

    if (!lapic)
        return;
    (void)pthread_mutex_lock(&lapic->chip->lock);
    bt_timer_disarm(&lapic->chip->timers, &lapic->timer);
    lapic->chip->lapic[vcpu->index] = NULL;
    (void)pthread_mutex_unlock(&lapic->chip->lock);
    free(TAKE_PTR(vcpu->lapic));
}

void bt_lapic_init(struct bt_vcpu *vcpu)
{
    LOCK_SCOPE(&vcpu->lapic->chip->lock);
    reset(vcpu->lapic);
}

static bool base_is_legal(const struct bt_lapic *lapic, uint64_t value)
{
    return !(value & BASE_RESERVED) && !(value >> lapic->chip->phys_bits) &&
           (value & BASE_MODE) != BASE_X2APIC;
}

static void set_base(struct bt_lapic *lapic, uint64_t value)
{
    bool enable = value & BASE_ENABLED;

    if (lapic->enabled && !enable)
        reset(lapic);
    lapic->enabled = enable;
    lapic->x2apic = value & BASE_X2APIC;
    lapic->vcpu->apic_base = value;
    bt_lapic_update(lapic);
}

bool bt_lapic_set_base(struct bt_vcpu *vcpu, uint64_t value)
{
    struct bt_lapic *lapic = vcpu->lapic;
    unsigned from = vcpu->apic_base & BASE_MODE, to = value & BASE_MODE;

    LOCK_SCOPE(&lapic->chip->lock);
    if (!base_is_legal(lapic, value) || (from == BASE_MODE && to == BASE_ENABLED) ||
        (!from && to == BASE_MODE))
        return false;
    set_base(lapic, value);
    return true;
}

int bt_lapic_restore_base(struct bt_vcpu *vcpu, uint64_t value)
{
    LOCK_SCOPE(&vcpu->lapic->chip->lock);
    if (!base_is_legal(vcpu->lapic, value))
        return -EINVAL;
    set_base(vcpu->lapic, value);
    return 0;
}

/* State. */

void bt_lapic_get_state(struct bt_vcpu *vcpu, uint32_t ret_registers[CPU_LAPIC_REGISTERS])
{
    struct bt_lapic *lapic = vcpu->lapic;

    LOCK_SCOPE(&lapic->chip->lock);
    memcpy(ret_registers, lapic->reg, sizeof lapic->reg);
    for (unsigned reg = 0; reg < CPU_LAPIC_REGISTERS; reg++)
        (void)reg_read(lapic, reg, &ret_registers[reg]);
}

/* The writable and the computed parts; what does not exist stays 0. */
static void take_registers(struct bt_lapic *lapic, const uint32_t r[CPU_LAPIC_REGISTERS])
{
    lapic->reg[TPR] = r[TPR] & 0xff;
    lapic->reg[LDR] = r[LDR] & 0xff000000;
    lapic->reg[DFR] = r[DFR] | 0x0fffffff;
    lapic->reg[SVR] = r[SVR] & SVR_WRITABLE;
    memcpy(&lapic->reg[ISR], &r[ISR], (ESR - ISR) * sizeof r[0]);
    for (unsigned set = ISR; set < ESR; set += VECTORS / 32)
        lapic->reg[set] &= ~(BIT(FIRST_VECTOR) - 1);
    lapic->reg[ESR] = r[ESR] & 0xff;
    lapic->reg[ICR] = r[ICR] & ~(uint32_t)ICR_STATUS;
    lapic->reg[ICR_HIGH] = r[ICR_HIGH];
    for (unsigned i = LVT_TIMER; i <= LVT_ERROR; i++)
        lapic->reg[i] = r[i] & lvt_writable[i - LVT_TIMER];
    lapic->reg[INITIAL_COUNT] = timer_mode(lapic) >= TIMER_DEADLINE ? 0 : r[INITIAL_COUNT];
    lapic->reg[DIVIDE] = r[DIVIDE] & DIVIDE_WRITABLE;
}

void bt_lapic_set_state(struct bt_vcpu *vcpu, const uint32_t registers[CPU_LAPIC_REGISTERS])
{
    struct bt_lapic *lapic = vcpu->lapic;

    LOCK_SCOPE(&lapic->chip->lock);
    reset(lapic);
    take_registers(lapic, registers);
    lapic->tsc_offset = vcpu->tsc_offset;
    uint32_t left = MIN(registers[CURRENT_COUNT], lapic->reg[INITIAL_COUNT]);
    lapic->count_end = now_ns(lapic) + left * divisor(lapic);
    plan(lapic);
    bt_lapic_update(lapic);
}
