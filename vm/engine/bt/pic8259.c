/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/pic8259.h"

#include "base/range.h"

enum { PINS = 8, CASCADE = 2, SPURIOUS = 7, NONE = -1 };
enum { PORT_ELCR = 0x4d0, PORT_SECOND = 0x80, PORT_DATA = 1 };
enum { ELCR_MASK_FIRST = 0xf8, ELCR_MASK_SECOND = 0xde }; /* 0, 1, 2, 8, 13 are always edges */

enum { ICW1 = 0x10, ICW1_ICW4 = 0x01 };
enum { ICW4_AUTO_EOI = 0x02, ICW4_FULLY_NESTED = 0x10 };
enum { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };
enum { OCW3 = 0x08, OCW3_READ = 0x02, OCW3_ISR = 0x01, OCW3_POLL = 0x04 };
enum { OCW3_SET_SPECIAL = 0x40, OCW3_SPECIAL = 0x20 };

/* OCW2's upper three bits. */
enum {
    ROTATE_AUTO_CLEAR,
    EOI,
    NO_OPERATION,
    EOI_SPECIFIC,
    ROTATE_AUTO_SET,
    ROTATE_EOI,
    SET_PRIORITY,
    ROTATE_EOI_SPECIFIC
};

/* The pin of `mask` with the highest priority, or NONE. */
static int highest(const struct pic_state *chip, uint8_t mask)
{
    for (unsigned i = 0; i < PINS; i++) {
        unsigned pin = (chip->priority_add + i) % PINS;
        if (mask & BIT(pin))
            return (int)pin;
    }
    return NONE;
}

static unsigned priority_of(const struct pic_state *chip, int pin)
{
    return pin == NONE ? PINS : ((unsigned)pin - chip->priority_add) % PINS;
}

/* The pin whose request gets past what is in service, or NONE. */
static int requested(const struct bt_pic *pic, unsigned n)
{
    const struct pic_state *chip = &pic->chip[n];
    uint8_t in_service = chip->isr;
    int pin = highest(chip, chip->irr & (uint8_t)~chip->imr);

    if (chip->special_mask)
        in_service &= (uint8_t)~chip->imr;
    if (chip->special_fully_nested && !n)
        in_service &= (uint8_t)~BIT(CASCADE);
    return priority_of(chip, pin) < priority_of(chip, highest(chip, in_service)) ? pin : NONE;
}

/* The first chip's cascade pin is the second one's output. */
static void cascade(struct bt_pic *pic)
{
    if (requested(pic, 1) != NONE)
        pic->chip[0].irr |= BIT(CASCADE);
    else
        pic->chip[0].irr &= (uint8_t)~BIT(CASCADE);
}

void bt_pic_reset(struct bt_pic *pic)
{
    pic->chip[0] = (struct pic_state){.elcr_mask = ELCR_MASK_FIRST};
    pic->chip[1] = (struct pic_state){.elcr_mask = ELCR_MASK_SECOND};
}

void bt_pic_set_pin(struct bt_pic *pic, unsigned pin, bool level)
{
    struct pic_state *chip = &pic->chip[pin / PINS];
    uint8_t bit = (uint8_t)BIT(pin % PINS);
    bool rises = level && !(chip->last_lines & bit);

    if (rises || (level && (chip->elcr & bit)))
        chip->irr |= bit;
    else if (!level && (chip->elcr & bit))
        chip->irr &= (uint8_t)~bit;
    if (level)
        chip->last_lines |= bit;
    else
        chip->last_lines &= (uint8_t)~bit;
    cascade(pic);
}

bool bt_pic_output(const struct bt_pic *pic)
{
    return requested(pic, 0) != NONE;
}

static void end_service(struct bt_pic *pic, unsigned n, unsigned pin)
{
    pic->chip[n].isr &= (uint8_t)~BIT(pin);
    if (n || pin != CASCADE)
        pic->eoi(pic->ctx, n * PINS + pin);
}

static void begin_service(struct bt_pic *pic, unsigned n, unsigned pin)
{
    struct pic_state *chip = &pic->chip[n];

    if (!(chip->elcr & BIT(pin)))
        chip->irr &= (uint8_t)~BIT(pin);
    chip->isr |= (uint8_t)BIT(pin);
    if (!chip->auto_eoi)
        return;
    if (chip->rotate_on_auto_eoi)
        chip->priority_add = (uint8_t)((pin + 1) % PINS);
    end_service(pic, n, pin);
}

/* A chip's part of an acknowledge cycle: its pin. */
static unsigned acknowledge(struct bt_pic *pic, unsigned n)
{
    int pin = requested(pic, n);

    if (pin == NONE)
        return SPURIOUS;
    begin_service(pic, n, (unsigned)pin);
    return (unsigned)pin;
}

uint8_t bt_pic_acknowledge(struct bt_pic *pic)
{
    bool second = requested(pic, 0) == CASCADE;
    unsigned pin = acknowledge(pic, 0);

    if (second)
        pin = acknowledge(pic, 1);
    cascade(pic);
    return (uint8_t)(pic->chip[second].irq_base + pin);
}

/* ICW1 (data sheet, "Initialization Command Words"). The edge detector wants a new edge. */
static void initialize(struct bt_pic *pic, unsigned n, uint8_t value)
{
    struct pic_state *chip = &pic->chip[n];
    uint8_t in_service = chip->isr;

    chip->init4 = value & ICW1_ICW4;
    chip->init_state = INIT_ICW2;
    chip->irr &= chip->elcr;
    chip->imr = chip->isr = chip->priority_add = 0;
    chip->special_mask = chip->read_isr = chip->poll = chip->rotate_on_auto_eoi = false;
    if (!chip->init4)
        chip->special_fully_nested = chip->auto_eoi = false;
    for (unsigned pin = 0; pin < PINS; pin++)
        if (in_service & BIT(pin))
            end_service(pic, n, pin);
}

static void end_of_interrupt(struct bt_pic *pic, unsigned n, unsigned command, uint8_t value)
{
    struct pic_state *chip = &pic->chip[n];
    int pin = value % PINS;

    if (command == EOI || command == ROTATE_EOI)
        pin = highest(chip, chip->isr & (uint8_t) ~(chip->special_mask ? chip->imr : 0));
    if (pin == NONE)
        return;
    if (command == ROTATE_EOI || command == ROTATE_EOI_SPECIFIC)
        chip->priority_add = (uint8_t)((pin + 1) % PINS);
    end_service(pic, n, (unsigned)pin);
}

static void write_ocw2(struct bt_pic *pic, unsigned n, uint8_t value)
{
    struct pic_state *chip = &pic->chip[n];

    switch (value >> 5) {
    case ROTATE_AUTO_CLEAR:
    case ROTATE_AUTO_SET:
        chip->rotate_on_auto_eoi = value >> 5 == ROTATE_AUTO_SET;
        break;
    case SET_PRIORITY:
        chip->priority_add = (uint8_t)((value + 1) % PINS);
        break;
    case NO_OPERATION:
        break;
    default:
        end_of_interrupt(pic, n, value >> 5, value);
    }
}

static void write_ocw3(struct pic_state *chip, uint8_t value)
{
    if (value & OCW3_POLL)
        chip->poll = true;
    if (value & OCW3_READ)
        chip->read_isr = value & OCW3_ISR;
    if (value & OCW3_SET_SPECIAL)
        chip->special_mask = value & OCW3_SPECIAL;
}

static void write_data(struct pic_state *chip, uint8_t value)
{
    switch (chip->init_state) {
    case INIT_ICW2:
        chip->irq_base = value & 0xf8;
        chip->init_state = INIT_ICW3;
        break;
    case INIT_ICW3:
        chip->init_state = chip->init4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        chip->auto_eoi = value & ICW4_AUTO_EOI;
        chip->special_fully_nested = value & ICW4_FULLY_NESTED;
        chip->init_state = INIT_DONE;
        break;
    default:
        chip->imr = value;
    }
}

void bt_pic_write(struct bt_pic *pic, unsigned port, uint8_t value)
{
    unsigned n = port & PORT_SECOND ? 1 : 0;

    if ((port & ~1u) == PORT_ELCR)
        pic->chip[port & 1].elcr = value & pic->chip[port & 1].elcr_mask;
    else if (port & PORT_DATA)
        write_data(&pic->chip[n], value);
    else if (value & ICW1)
        initialize(pic, n, value);
    else if (value & OCW3)
        write_ocw3(&pic->chip[n], value);
    else
        write_ocw2(pic, n, value);
    cascade(pic);
}

/* OCW3's poll: the read is the acknowledge cycle. */
static uint8_t poll(struct bt_pic *pic, unsigned n)
{
    int pin = requested(pic, n);

    pic->chip[n].poll = false;
    if (pin == NONE)
        return 0;
    begin_service(pic, n, (unsigned)pin);
    cascade(pic);
    return (uint8_t)(0x80 | pin);
}

uint8_t bt_pic_read(struct bt_pic *pic, unsigned port)
{
    unsigned n = port & PORT_SECOND ? 1 : 0;
    const struct pic_state *chip = &pic->chip[n];

    if ((port & ~1u) == PORT_ELCR)
        return pic->chip[port & 1].elcr;
    if (chip->poll)
        return poll(pic, n);
    if (port & PORT_DATA)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

void bt_pic_set_state(struct bt_pic *pic, const struct pic_state state[IRQCHIP_PICS])
{
    static const uint8_t masks[IRQCHIP_PICS] = {ELCR_MASK_FIRST, ELCR_MASK_SECOND};

    for (unsigned n = 0; n < IRQCHIP_PICS; n++) {
        struct pic_state *chip = &pic->chip[n];
        *chip = state[n];
        chip->elcr_mask = masks[n];
        chip->elcr &= masks[n];
        chip->priority_add %= PINS;
        if (chip->init_state > INIT_ICW4)
            chip->init_state = INIT_DONE;
    }
    cascade(pic);
}
