/* SPDX-License-Identifier: Apache-2.0 */
/* Keyboard and auxiliary device controller of the PS/2: IBM PS/2 Hardware Interface Technical
 * Reference (1991). Missing on purpose: the password, the test inputs, time-outs and parity errors
 * on the wire, and A20 itself, which is always open. */
#include "vm/chipset/kbc8042.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/chipset/ps2.h"

enum {
    REGION_DATA,
    REGION_COMMAND,

    STATUS_OBF = 0x01,
    STATUS_SYSTEM = 0x04,
    STATUS_COMMAND = 0x08, /* the last write went to port 0x64 */
    STATUS_UNLOCKED = 0x10,
    STATUS_AUX = 0x20, /* the byte is the mouse's */

    CTR_KEYBOARD_INT = 0x01,
    CTR_AUX_INT = 0x02,
    CTR_SYSTEM = 0x04,
    CTR_KEYBOARD_OFF = 0x10,
    CTR_AUX_OFF = 0x20,
    CTR_XLATE = 0x40,
    CTR_RESET = CTR_KEYBOARD_INT | CTR_AUX_INT | CTR_SYSTEM | CTR_XLATE,

    CMD_READ_RAM = 0x20, /* to 0x3f; byte 0 is the command byte, CTR */
    CMD_WRITE_RAM = 0x60,
    CMD_TEST_PASSWORD = 0xa4,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_TEST_AUX = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_TEST_KEYBOARD = 0xab,
    CMD_KEYBOARD_OFF = 0xad,
    CMD_KEYBOARD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_FAKE_KEYBOARD = 0xd2,
    CMD_FAKE_AUX = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_READ_TEST = 0xe0,
    CMD_PULSE = 0xf0, /* to 0xff: pulses those of bits 0-3 low that are 0 */

    OUT_RESET = 0x01, /* low: resets the machine */
    OUT_A20 = 0x02,
    OUT_KEYBOARD_INT = 0x10,
    OUT_AUX_INT = 0x20,
    OUT_STORED = 0xcf,
    OUT_POWER_ON = 0xcf,

    REPLIES_MAX = 16,
};

struct kbc8042 {
    struct dev_env env;
    struct bytering *input; /* borrowed, or NULL */
    _Atomic uint32_t *leds; /* the same */
    struct loop_source input_ready;
    pthread_mutex_t lock; /* all below */
    bool irq_level[2];

    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
    struct ps2_queue replies; /* of the controller itself, in pairs: is it the mouse's, byte */
    uint8_t ram[32];          /* [0] is CTR */
    uint8_t out_port, data;
    uint8_t expects; /* command whose parameter comes at port 0x60, or 0 */
    bool full, aux;  /* the output buffer: holds a byte; it is the mouse's */
    bool command_last, in_break;
};

/* The output buffer. */

/* A byte that was taken and followed by the next in one breath is still an edge for an
 * edge-triggered interrupt: the wire goes down in take_data. */
static void update_irq(struct kbc8042 *k)
{
    bool level[2] = {k->full && !k->aux && (k->ram[0] & CTR_KEYBOARD_INT),
                     k->full && k->aux && (k->ram[0] & CTR_AUX_INT)};

    for (unsigned i = 0; i < 2; i++)
        if (level[i] != k->irq_level[i]) {
            k->irq_level[i] = level[i];
            irq_set(&k->env.irq[i], level[i]);
        }
}

static bool next_byte(struct kbc8042 *k)
{
    if (k->replies.len) {
        k->aux = ps2_queue_take(&k->replies);
        k->data = ps2_queue_take(&k->replies);
        return true;
    }
    while (!(k->ram[0] & CTR_KEYBOARD_OFF) && ps2_keyboard_has(&k->keyboard)) {
        k->data = ps2_keyboard_take(&k->keyboard);
        k->aux = false;
        if (!(k->ram[0] & CTR_XLATE) || ps2_translate(&k->in_break, k->data, &k->data))
            return true;
    }
    if (!(k->ram[0] & CTR_AUX_OFF) && ps2_mouse_has(&k->mouse)) {
        k->data = ps2_mouse_take(&k->mouse);
        k->aux = true;
        return true;
    }
    return false;
}

static void update(struct kbc8042 *k)
{
    if (!k->full)
        k->full = next_byte(k);
    update_irq(k);
}

static uint8_t take_data(struct kbc8042 *k)
{
    uint8_t byte = k->data;

    if (k->full) {
        k->full = false;
        update_irq(k);
        update(k);
    }
    return byte;
}

static void reply(struct kbc8042 *k, bool aux, uint8_t byte)
{
    const uint8_t pair[] = {aux, byte};

    if (k->replies.len < 2 * REPLIES_MAX)
        (void)ps2_queue_put(&k->replies, pair, sizeof pair);
}

/* Commands. */

static void reset_machine(struct kbc8042 *k)
{
    k->env.request(k->env.request_ctx, MACHINE_RESET);
}

static uint8_t output_port(const struct kbc8042 *k)
{
    return (k->out_port & OUT_STORED) | (k->full && !k->aux ? OUT_KEYBOARD_INT : 0) |
           (k->full && k->aux ? OUT_AUX_INT : 0);
}

static void command_write(struct kbc8042 *k, uint8_t c)
{
    k->expects = 0;
    switch (c) {
    case CMD_READ_RAM ... CMD_READ_RAM + 31:
        reply(k, false, k->ram[c & 31]);
        break;
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + 31:
    case CMD_WRITE_OUTPUT:
    case CMD_FAKE_KEYBOARD:
    case CMD_FAKE_AUX:
    case CMD_WRITE_AUX:
        k->expects = c;
        break;
    case CMD_TEST_PASSWORD:
        reply(k, false, 0xf1); /* there is none */
        break;
    case CMD_AUX_OFF:
    case CMD_AUX_ON:
        k->ram[0] = (uint8_t)((k->ram[0] & ~CTR_AUX_OFF) | (c == CMD_AUX_OFF ? CTR_AUX_OFF : 0));
        break;
    case CMD_KEYBOARD_OFF:
    case CMD_KEYBOARD_ON:
        k->ram[0] = (uint8_t)((k->ram[0] & ~CTR_KEYBOARD_OFF) |
                              (c == CMD_KEYBOARD_OFF ? CTR_KEYBOARD_OFF : 0));
        break;
    case CMD_SELF_TEST:
        k->ram[0] |= CTR_SYSTEM;
        reply(k, false, 0x55);
        break;
    case CMD_TEST_AUX:
    case CMD_TEST_KEYBOARD:
    case CMD_READ_TEST:
        reply(k, false, 0);
        break;
    case CMD_READ_INPUT:
        reply(k, false, 0x80); /* keyboard not locked */
        break;
    case CMD_READ_OUTPUT:
        reply(k, false, output_port(k));
        break;
    case CMD_A20_OFF:
    case CMD_A20_ON:
        k->out_port = (uint8_t)((k->out_port & ~OUT_A20) | (c == CMD_A20_ON ? OUT_A20 : 0));
        break;
    case CMD_PULSE ... CMD_PULSE + 15:
        if (!(c & OUT_RESET))
            reset_machine(k);
        break;
    default:
        break; /* the ROM ignores what it does not know */
    }
}

static void parameter_write(struct kbc8042 *k, uint8_t v)
{
    uint8_t c = k->expects;

    k->expects = 0;
    switch (c) {
    case CMD_WRITE_OUTPUT:
        k->out_port = v;
        if (!(v & OUT_RESET))
            reset_machine(k);
        break;
    case CMD_FAKE_KEYBOARD:
        reply(k, false, v);
        break;
    case CMD_FAKE_AUX:
        reply(k, true, v);
        break;
    case CMD_WRITE_AUX:
        k->ram[0] &= (uint8_t)~CTR_AUX_OFF;
        ps2_mouse_write(&k->mouse, v);
        break;
    default:
        k->ram[c & 31] = v;
        break;
    }
}

static uint64_t kbc8042_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct kbc8042 *k = dev;

    (void)offset, (void)size;
    LOCK_SCOPE(&k->lock);
    if (region == REGION_DATA)
        return take_data(k);
    return (k->full ? STATUS_OBF : 0) | (k->full && k->aux ? STATUS_AUX : 0) |
           (k->command_last ? STATUS_COMMAND : 0) | (k->ram[0] & CTR_SYSTEM) | STATUS_UNLOCKED;
}

static void kbc8042_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                          uint64_t value)
{
    struct kbc8042 *k = dev;
    uint8_t v = (uint8_t)value;

    (void)offset, (void)size;
    LOCK_SCOPE(&k->lock);
    k->command_last = region == REGION_COMMAND;
    if (region == REGION_COMMAND)
        command_write(k, v);
    else if (k->expects)
        parameter_write(k, v);
    else {
        k->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF; /* sending to it opens the line */
        ps2_keyboard_write(&k->keyboard, v);
        if (k->leds)
            atomic_store_explicit(k->leds, k->keyboard.leds, memory_order_relaxed);
    }
    update(k);
}

/* Input. */

static void input(struct kbc8042 *k, const struct input_event *event)
{
    if (event->kind == INPUT_KEY)
        ps2_keyboard_key(&k->keyboard, event->usage, event->down);
    else if (event->kind == INPUT_POINTER)
        ps2_mouse_move(&k->mouse, event->dx, event->dy, event->wheel, event->buttons);
}

void kbc8042_input(void *dev, const struct input_event *event)
{
    struct kbc8042 *k = dev;

    LOCK_SCOPE(&k->lock);
    input(k, event);
    update(k);
}

uint8_t kbc8042_leds(void *dev)
{
    struct kbc8042 *k = dev;

    LOCK_SCOPE(&k->lock);
    return k->keyboard.leds;
}

static void on_input(void *ctx, uint32_t events)
{
    struct kbc8042 *k = ctx;
    struct input_event event;

    (void)events;
    bytering_clear(k->input);
    LOCK_SCOPE(&k->lock);
    uint32_t most = k->input->size / sizeof event;
    while (most && input_receive(k->input, &event)) {
        input(k, &event);
        most--;
    }
    if (!most) /* a flood: let others run, then go on */
        (void)eventfd_write(k->input->wait_fd, 1);
    update(k);
}

/* Life. */

static void kbc8042_reset(void *dev)
{
    struct kbc8042 *k = dev;

    LOCK_SCOPE(&k->lock);
    ps2_keyboard_reset(&k->keyboard);
    ps2_mouse_reset(&k->mouse);
    ps2_queue_clear(&k->replies);
    for (unsigned i = 0; i < sizeof k->ram; i++)
        k->ram[i] = 0;
    k->ram[0] = CTR_RESET;
    k->out_port = OUT_POWER_ON;
    k->data = k->expects = 0;
    k->full = k->aux = k->command_last = k->in_break = false;
    update_irq(k);
}

static int start(struct kbc8042 *k)
{
    return k->input
               ? loop_add_fd(k->env.loop, &k->input_ready, k->input->wait_fd, EPOLLIN, on_input, k)
               : 0;
}

static void kbc8042_quiesce(void *dev)
{
    struct kbc8042 *k = dev;

    loop_del(&k->input_ready);
}

static void kbc8042_resume(void *dev)
{
    struct kbc8042 *k = dev;

    (void)start(k);
    LOCK_SCOPE(&k->lock);
    k->irq_level[0] = k->irq_level[1] = false;
    update(k);
}

static int kbc8042_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region =
            {{.name = "i8042 data", .space = DEV_PIO, .base = 0x60, .size = 1, .max_width = 1},
             {.name = "i8042 command", .space = DEV_PIO, .base = 0x64, .size = 1, .max_width = 1}},
        .region_count = 2,
        .isa_irq = {KBC8042_IRQ_KEYBOARD, KBC8042_IRQ_MOUSE},
    };
    return 0;
}

static void kbc8042_destroy(void *dev)
{
    struct kbc8042 *k = dev;

    if (!k)
        return;
    kbc8042_quiesce(k);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

static int kbc8042_create(const struct dev_env *env, const void *params, void **ret_dev,
                          struct err *err)
{
    const struct kbc8042_params *p = params;
    struct kbc8042 *k = calloc(1, sizeof *k);

    if (!k)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    k->env = *env;
    k->input = p->input;
    k->leds = p->leds;
    (void)pthread_mutex_init(&k->lock, NULL);
    int rc = start(k);
    if (rc < 0) {
        kbc8042_destroy(k);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    kbc8042_reset(k);
    *ret_dev = k;
    return 0;
}

static int kbc8042_post_load(void *object, struct err *err)
{
    struct kbc8042 *k = object;
    int rc = ps2_keyboard_state.post_load(&k->keyboard, err);

    if (rc == 0)
        rc = ps2_mouse_state.post_load(&k->mouse, err);
    if (rc == 0)
        rc = ps2_queue_state.post_load(&k->replies, err);
    if (rc == 0 && k->replies.len % 2)
        rc = err_set(err, -EINVAL, "kbc8042: half a reply");
    return rc;
}

static const struct state_field kbc8042_fields[] = {
    STATE_SUB(struct kbc8042, keyboard, &ps2_keyboard_state, 1),
    STATE_SUB(struct kbc8042, mouse, &ps2_mouse_state, 1),
    STATE_SUB(struct kbc8042, replies, &ps2_queue_state, 1),
    STATE_FIELD(struct kbc8042, ram, STATE_U8),
    STATE_FIELD(struct kbc8042, out_port, STATE_U8),
    STATE_FIELD(struct kbc8042, data, STATE_U8),
    STATE_FIELD(struct kbc8042, expects, STATE_U8),
    STATE_FIELD(struct kbc8042, full, STATE_BOOL),
    STATE_FIELD(struct kbc8042, aux, STATE_BOOL),
    STATE_FIELD(struct kbc8042, command_last, STATE_BOOL),
    STATE_FIELD(struct kbc8042, in_break, STATE_BOOL),
};

static const struct state_table kbc8042_state = {
    .name = "kbc8042",
    .version = 1,
    .size = sizeof(struct kbc8042),
    .fields = kbc8042_fields,
    .field_count = ARRAY_SIZE(kbc8042_fields),
    .post_load = kbc8042_post_load,
};

const struct dev_class kbc8042_class = {
    .name = "kbc8042",
    .place = DEV_IN_VMM,
    .layout = kbc8042_layout,
    .create = kbc8042_create,
    .destroy = kbc8042_destroy,
    .reset = kbc8042_reset,
    .quiesce = kbc8042_quiesce,
    .resume = kbc8042_resume,
    .read = kbc8042_read,
    .write = kbc8042_write,
    .state = &kbc8042_state,
};
