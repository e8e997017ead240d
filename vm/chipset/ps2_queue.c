/* SPDX-License-Identifier: Apache-2.0 */
/* The byte queue of the PS/2 devices and of their controller. */
#include <errno.h>

#include "base/range.h"
#include "vm/chipset/ps2.h"

void ps2_queue_clear(struct ps2_queue *q)
{
    q->head = q->len = 0;
}

bool ps2_queue_put(struct ps2_queue *q, const uint8_t *bytes, unsigned count)
{
    if (count > PS2_QUEUE_SIZE - (unsigned)q->len)
        return false;
    for (unsigned i = 0; i < count; i++)
        q->data[(q->head + q->len + i) % PS2_QUEUE_SIZE] = bytes[i];
    q->len = (uint16_t)(q->len + count);
    return true;
}

uint8_t ps2_queue_take(struct ps2_queue *q)
{
    uint8_t byte = q->data[q->head];

    q->head = (q->head + 1) % PS2_QUEUE_SIZE;
    q->len--;
    return byte;
}

static int post_load(void *object, struct err *err)
{
    const struct ps2_queue *q = object;

    if (q->head >= PS2_QUEUE_SIZE || q->len > PS2_QUEUE_SIZE)
        return err_set(err, -EINVAL, "ps2-queue: position out of range");
    return 0;
}

static const struct state_field fields[] = {
    STATE_FIELD(struct ps2_queue, head, STATE_U16),
    STATE_FIELD(struct ps2_queue, len, STATE_U16),
    STATE_FIELD(struct ps2_queue, data, STATE_U8),
};

const struct state_table ps2_queue_state = {
    .name = "ps2-queue",
    .version = 1,
    .size = sizeof(struct ps2_queue),
    .fields = fields,
    .field_count = ARRAY_SIZE(fields),
    .post_load = post_load,
};
