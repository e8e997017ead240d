/* SPDX-License-Identifier: Apache-2.0 */
/* The field tables of struct irqchip_state. */
#include "vm/engine/irqchip_state.h"

#include <errno.h>

#include "base/range.h"

#define FIELDS(a) .fields = (a), .field_count = ARRAY_SIZE(a)

static const struct state_field pic_fields[] = {
    STATE_FIELD(struct pic_state, irr, STATE_U8),
    STATE_FIELD(struct pic_state, imr, STATE_U8),
    STATE_FIELD(struct pic_state, isr, STATE_U8),
    STATE_FIELD(struct pic_state, last_lines, STATE_U8),
    STATE_FIELD(struct pic_state, elcr, STATE_U8),
    STATE_FIELD(struct pic_state, elcr_mask, STATE_U8),
    STATE_FIELD(struct pic_state, irq_base, STATE_U8),
    STATE_FIELD(struct pic_state, init_state, STATE_U8),
    STATE_FIELD(struct pic_state, priority_add, STATE_U8),
    STATE_FIELD(struct pic_state, read_isr, STATE_BOOL),
    STATE_FIELD(struct pic_state, poll, STATE_BOOL),
    STATE_FIELD(struct pic_state, special_mask, STATE_BOOL),
    STATE_FIELD(struct pic_state, auto_eoi, STATE_BOOL),
    STATE_FIELD(struct pic_state, rotate_on_auto_eoi, STATE_BOOL),
    STATE_FIELD(struct pic_state, special_fully_nested, STATE_BOOL),
    STATE_FIELD(struct pic_state, init4, STATE_BOOL),
};
static const struct state_table pic_table = {
    .name = "pic", .version = 1, .size = sizeof(struct pic_state), FIELDS(pic_fields)};

static const struct state_field ioapic_fields[] = {
    STATE_FIELD(struct ioapic_state, base, STATE_U64),
    STATE_FIELD(struct ioapic_state, select, STATE_U32),
    STATE_FIELD(struct ioapic_state, id, STATE_U32),
    STATE_FIELD(struct ioapic_state, irr, STATE_U32),
    STATE_FIELD(struct ioapic_state, redirection, STATE_U64),
};
static const struct state_table ioapic_table = {
    .name = "ioapic", .version = 1, .size = sizeof(struct ioapic_state), FIELDS(ioapic_fields)};

static const struct state_field channel_fields[] = {
    STATE_FIELD(struct pit_channel_state, count, STATE_U32),
    STATE_FIELD(struct pit_channel_state, latched_count, STATE_U16),
    STATE_FIELD(struct pit_channel_state, count_latched, STATE_U8),
    STATE_FIELD(struct pit_channel_state, status_latched, STATE_U8),
    STATE_FIELD(struct pit_channel_state, status, STATE_U8),
    STATE_FIELD(struct pit_channel_state, read_state, STATE_U8),
    STATE_FIELD(struct pit_channel_state, write_state, STATE_U8),
    STATE_FIELD(struct pit_channel_state, write_latch, STATE_U8),
    STATE_FIELD(struct pit_channel_state, rw_mode, STATE_U8),
    STATE_FIELD(struct pit_channel_state, mode, STATE_U8),
    STATE_FIELD(struct pit_channel_state, bcd, STATE_U8),
    STATE_FIELD(struct pit_channel_state, gate, STATE_U8),
    STATE_FIELD(struct pit_channel_state, loaded_ago_ns, STATE_U64),
};
static const struct state_table channel_table = {.name = "pit-channel",
                                                 .version = 1,
                                                 .size = sizeof(struct pit_channel_state),
                                                 FIELDS(channel_fields)};

static const struct state_field fields[] = {
    STATE_SUB(struct irqchip_state, pic, &pic_table, IRQCHIP_PICS),
    STATE_SUB(struct irqchip_state, ioapic, &ioapic_table, 1),
    STATE_SUB(struct irqchip_state, pit, &channel_table, IRQCHIP_PIT_CHANNELS),
    STATE_FIELD(struct irqchip_state, pit_disabled, STATE_BOOL),
    STATE_FIELD(struct irqchip_state, clock_ns, STATE_U64),
};

static int post_load(void *object, struct err *err)
{
    const struct irqchip_state *state = object;

    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        const struct pit_channel_state *channel = &state->pit[i];
        if (channel->count > 0x10000 || (channel->mode > 5 && channel->mode != PIT_MODE_NONE) ||
            channel->rw_mode > 3)
            return err_set(err, -EINVAL, "PIT channel %u: count %u, mode %u, access %u", i,
                           channel->count, channel->mode, channel->rw_mode);
    }
    return 0;
}

const struct state_table irqchip_state_table = {.name = "irqchip",
                                                .version = 1,
                                                .size = sizeof(struct irqchip_state),
                                                FIELDS(fields),
                                                .post_load = post_load};
