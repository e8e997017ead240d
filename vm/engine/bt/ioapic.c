/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/ioapic.h"

#include "base/range.h"
#include "vm/engine/bt/irqchip_internal.h"

enum { REG_SELECT = 0x00, REG_WINDOW = 0x10 };
enum { INDEX_ID = 0, INDEX_VERSION = 1, INDEX_ARBITRATION = 2, INDEX_REDIRECTION = 0x10 };
enum { VERSION = 0x11 | (IRQCHIP_IOAPIC_PINS - 1) << 16, ID_SHIFT = 24, ID_MASK = 0xf };

/* A redirection entry's lower half. */
enum {
    VECTOR = 0xff,
    MODE_SHIFT = 8,
    LOGICAL = 1 << 11,
    STATUS = 1 << 12,
    REMOTE_IRR = 1 << 14,
    LEVEL = 1 << 15,
    MASKED = 1 << 16,
    WRITABLE = 0x1ffff & ~(STATUS | REMOTE_IRR),
};
enum { DESTINATION_SHIFT = 56 };
#define ENTRY_VALID (UINT64_C(0xff) << DESTINATION_SHIFT | 0x1ffff)

void bt_ioapic_reset(struct bt_ioapic *ioapic)
{
    ioapic->state = (struct ioapic_state){.base = BT_IOAPIC_BASE};
    for (unsigned i = 0; i < IRQCHIP_IOAPIC_PINS; i++)
        ioapic->state.redirection[i] = MASKED;
}

/* Sends the pin's message if it is asserted and may. A level-triggered one that nobody takes stays
 * asserted and is tried again with the pin's next event. */
static void service(struct bt_ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->state.redirection[pin];
    struct bt_message message = {
        .vector = *entry & VECTOR,
        .mode = *entry >> MODE_SHIFT & 7,
        .logical = *entry & LOGICAL,
        .level = *entry & LEVEL,
        .destination = (uint32_t)(*entry >> DESTINATION_SHIFT),
    };

    if (!(ioapic->state.irr & BIT(pin)) || (*entry & MASKED))
        return;
    if (message.level && (*entry & REMOTE_IRR))
        return;
    if (ioapic->deliver(ioapic->ctx, &message) && message.level &&
        (message.mode == BT_DELIVER_FIXED || message.mode == BT_DELIVER_LOWEST))
        *entry |= REMOTE_IRR;
}

void bt_ioapic_set_pin(struct bt_ioapic *ioapic, unsigned pin, bool level)
{
    bool edge = !(ioapic->state.redirection[pin] & LEVEL);
    bool was = ioapic->state.irr & BIT(pin);

    if (!level) {
        ioapic->state.irr &= ~BIT(pin);
        return;
    }
    ioapic->state.irr |= BIT(pin);
    if (!edge || !was)
        service(ioapic, pin);
}

void bt_ioapic_end(struct bt_ioapic *ioapic, uint8_t vector)
{
    for (unsigned pin = 0; pin < IRQCHIP_IOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->state.redirection[pin];
        if ((*entry & VECTOR) != vector || !(*entry & LEVEL) || !(*entry & REMOTE_IRR))
            continue;
        ioapic->eoi(ioapic->ctx, pin); /* first: it may lower the pin */
        *entry &= ~(uint64_t)REMOTE_IRR;
        service(ioapic, pin);
    }
}

static uint32_t read_window(const struct bt_ioapic *ioapic)
{
    unsigned index = ioapic->state.select, pin = (index - INDEX_REDIRECTION) / 2;

    if (index == INDEX_VERSION)
        return VERSION;
    if (index == INDEX_ID || index == INDEX_ARBITRATION)
        return (ioapic->state.id & ID_MASK) << ID_SHIFT;
    if (index < INDEX_REDIRECTION || pin >= IRQCHIP_IOAPIC_PINS)
        return 0;
    return (uint32_t)(ioapic->state.redirection[pin] >> (index & 1 ? 32 : 0));
}

static void write_entry(struct bt_ioapic *ioapic, unsigned pin, bool upper, uint32_t value)
{
    uint64_t *entry = &ioapic->state.redirection[pin];

    if (upper) {
        *entry = (*entry & UINT32_MAX) | ((uint64_t)value << 32 & ENTRY_VALID);
        return;
    }
    *entry = (*entry & ~(uint64_t)WRITABLE) | (value & WRITABLE);
    if (!(*entry & LEVEL))
        *entry &= ~(uint64_t)REMOTE_IRR;
    else
        service(ioapic, pin);
}

static void write_window(struct bt_ioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->state.select, pin = (index - INDEX_REDIRECTION) / 2;

    if (index == INDEX_ID)
        ioapic->state.id = value >> ID_SHIFT & ID_MASK;
    else if (index >= INDEX_REDIRECTION && pin < IRQCHIP_IOAPIC_PINS)
        write_entry(ioapic, pin, index & 1, value);
}

uint32_t bt_ioapic_read(struct bt_ioapic *ioapic, unsigned offset)
{
    switch (offset) {
    case REG_SELECT:
        return ioapic->state.select;
    case REG_WINDOW:
        return read_window(ioapic);
    default:
        return 0;
    }
}

void bt_ioapic_write(struct bt_ioapic *ioapic, unsigned offset, uint32_t value)
{
    if (offset == REG_SELECT)
        ioapic->state.select = value & 0xff;
    else if (offset == REG_WINDOW)
        write_window(ioapic, value);
}

struct ioapic_state bt_ioapic_get_state(const struct bt_ioapic *ioapic)
{
    struct ioapic_state state = ioapic->state;

    for (unsigned pin = 0; pin < IRQCHIP_IOAPIC_PINS; pin++)
        if (!(state.redirection[pin] & LEVEL))
            state.irr &= ~BIT(pin);
    return state;
}

void bt_ioapic_set_state(struct bt_ioapic *ioapic, const struct ioapic_state *state)
{
    ioapic->state = *state;
    ioapic->state.base = BT_IOAPIC_BASE;
    ioapic->state.select &= 0xff;
    ioapic->state.id &= ID_MASK;
    ioapic->state.irr &= BIT(IRQCHIP_IOAPIC_PINS) - 1;
    for (unsigned pin = 0; pin < IRQCHIP_IOAPIC_PINS; pin++)
        ioapic->state.redirection[pin] &= ENTRY_VALID;
    for (unsigned pin = 0; pin < IRQCHIP_IOAPIC_PINS; pin++)
        service(ioapic, pin);
}
