/* SPDX-License-Identifier: Apache-2.0 */
/* The 101-key keyboard: IBM PS/2 Hardware Interface Technical Reference (1991), "Keyboard
 * (101- and 102-key)". Missing on purpose: repeating by itself (the console repeats) and, in set 3,
 * key types of single keys. */
#include <errno.h>

#include "base/range.h"
#include "vm/chipset/ps2.h"

enum {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_TYPEMATIC = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_ALL_KEYS_FIRST = 0xf7,
    CMD_ALL_KEYS_LAST = 0xfa,
    CMD_KEY_FIRST = 0xfb,
    CMD_KEY_LAST = 0xfd,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,

    REPLY_BAT_OK = 0xaa,
    REPLY_ACK = 0xfa,
    REPLY_RESEND = 0xfe,

    TYPEMATIC_DEFAULT = 0x2b,
    PREFIX = 0xe0,
    PREFIX_PAUSE = 0xe1,
    BREAK = 0xf0,

    USAGE_PRINT = 0x46,
    USAGE_PAUSE = 0x48,
};

/* One row a key: set 2 (EXT: behind 0xe0), set 3. */
enum { EXT = 0x100 };
struct key {
    uint16_t set2;
    uint8_t set3;
};

static const struct key keys[256] = {
    [0x04] = {0x1c, 0x1c},       /* A */
    [0x05] = {0x32, 0x32},       /* B */
    [0x06] = {0x21, 0x21},       /* C */
    [0x07] = {0x23, 0x23},       /* D */
    [0x08] = {0x24, 0x24},       /* E */
    [0x09] = {0x2b, 0x2b},       /* F */
    [0x0a] = {0x34, 0x34},       /* G */
    [0x0b] = {0x33, 0x33},       /* H */
    [0x0c] = {0x43, 0x43},       /* I */
    [0x0d] = {0x3b, 0x3b},       /* J */
    [0x0e] = {0x42, 0x42},       /* K */
    [0x0f] = {0x4b, 0x4b},       /* L */
    [0x10] = {0x3a, 0x3a},       /* M */
    [0x11] = {0x31, 0x31},       /* N */
    [0x12] = {0x44, 0x44},       /* O */
    [0x13] = {0x4d, 0x4d},       /* P */
    [0x14] = {0x15, 0x15},       /* Q */
    [0x15] = {0x2d, 0x2d},       /* R */
    [0x16] = {0x1b, 0x1b},       /* S */
    [0x17] = {0x2c, 0x2c},       /* T */
    [0x18] = {0x3c, 0x3c},       /* U */
    [0x19] = {0x2a, 0x2a},       /* V */
    [0x1a] = {0x1d, 0x1d},       /* W */
    [0x1b] = {0x22, 0x22},       /* X */
    [0x1c] = {0x35, 0x35},       /* Y */
    [0x1d] = {0x1a, 0x1a},       /* Z */
    [0x1e] = {0x16, 0x16},       /* 1 */
    [0x1f] = {0x1e, 0x1e},       /* 2 */
    [0x20] = {0x26, 0x26},       /* 3 */
    [0x21] = {0x25, 0x25},       /* 4 */
    [0x22] = {0x2e, 0x2e},       /* 5 */
    [0x23] = {0x36, 0x36},       /* 6 */
    [0x24] = {0x3d, 0x3d},       /* 7 */
    [0x25] = {0x3e, 0x3e},       /* 8 */
    [0x26] = {0x46, 0x46},       /* 9 */
    [0x27] = {0x45, 0x45},       /* 0 */
    [0x28] = {0x5a, 0x5a},       /* enter */
    [0x29] = {0x76, 0x08},       /* escape */
    [0x2a] = {0x66, 0x66},       /* backspace */
    [0x2b] = {0x0d, 0x0d},       /* tab */
    [0x2c] = {0x29, 0x29},       /* space */
    [0x2d] = {0x4e, 0x4e},       /* - */
    [0x2e] = {0x55, 0x55},       /* = */
    [0x2f] = {0x54, 0x54},       /* [ */
    [0x30] = {0x5b, 0x5b},       /* ] */
    [0x31] = {0x5d, 0x5c},       /* backslash */
    [0x32] = {0x5d, 0x53},       /* # of a 102-key board */
    [0x33] = {0x4c, 0x4c},       /* ; */
    [0x34] = {0x52, 0x52},       /* ' */
    [0x35] = {0x0e, 0x0e},       /* ` */
    [0x36] = {0x41, 0x41},       /* , */
    [0x37] = {0x49, 0x49},       /* . */
    [0x38] = {0x4a, 0x4a},       /* / */
    [0x39] = {0x58, 0x14},       /* caps lock */
    [0x3a] = {0x05, 0x07},       /* F1 */
    [0x3b] = {0x06, 0x0f},       /* F2 */
    [0x3c] = {0x04, 0x17},       /* F3 */
    [0x3d] = {0x0c, 0x1f},       /* F4 */
    [0x3e] = {0x03, 0x27},       /* F5 */
    [0x3f] = {0x0b, 0x2f},       /* F6 */
    [0x40] = {0x83, 0x37},       /* F7 */
    [0x41] = {0x0a, 0x3f},       /* F8 */
    [0x42] = {0x01, 0x47},       /* F9 */
    [0x43] = {0x09, 0x4f},       /* F10 */
    [0x44] = {0x78, 0x56},       /* F11 */
    [0x45] = {0x07, 0x5e},       /* F12 */
    [0x46] = {EXT | 0x7c, 0x57}, /* print screen */
    [0x47] = {0x7e, 0x5f},       /* scroll lock */
    [0x48] = {0x77, 0x62},       /* pause */
    [0x49] = {EXT | 0x70, 0x67}, /* insert */
    [0x4a] = {EXT | 0x6c, 0x6e}, /* home */
    [0x4b] = {EXT | 0x7d, 0x6f}, /* page up */
    [0x4c] = {EXT | 0x71, 0x64}, /* delete */
    [0x4d] = {EXT | 0x69, 0x65}, /* end */
    [0x4e] = {EXT | 0x7a, 0x6d}, /* page down */
    [0x4f] = {EXT | 0x74, 0x6a}, /* right */
    [0x50] = {EXT | 0x6b, 0x61}, /* left */
    [0x51] = {EXT | 0x72, 0x60}, /* down */
    [0x52] = {EXT | 0x75, 0x63}, /* up */
    [0x53] = {0x77, 0x76},       /* num lock */
    [0x54] = {EXT | 0x4a, 0x77}, /* keypad / */
    [0x55] = {0x7c, 0x7e},       /* keypad * */
    [0x56] = {0x7b, 0x84},       /* keypad - */
    [0x57] = {0x79, 0x7c},       /* keypad + */
    [0x58] = {EXT | 0x5a, 0x79}, /* keypad enter */
    [0x59] = {0x69, 0x69},       /* keypad 1 */
    [0x5a] = {0x72, 0x72},       /* keypad 2 */
    [0x5b] = {0x7a, 0x7a},       /* keypad 3 */
    [0x5c] = {0x6b, 0x6b},       /* keypad 4 */
    [0x5d] = {0x73, 0x73},       /* keypad 5 */
    [0x5e] = {0x74, 0x74},       /* keypad 6 */
    [0x5f] = {0x6c, 0x6c},       /* keypad 7 */
    [0x60] = {0x75, 0x75},       /* keypad 8 */
    [0x61] = {0x7d, 0x7d},       /* keypad 9 */
    [0x62] = {0x70, 0x70},       /* keypad 0 */
    [0x63] = {0x71, 0x71},       /* keypad . */
    [0x64] = {0x61, 0x13},       /* < of a 102-key board */
    [0x65] = {EXT | 0x2f, 0x8d}, /* menu */
    [0x66] = {EXT | 0x37, 0},    /* power */
    [0x87] = {0x51, 0x51},       /* Japanese ro */
    [0x88] = {0x13, 0x87},       /* katakana */
    [0x89] = {0x6a, 0x5d},       /* yen */
    [0x8a] = {0x64, 0x86},       /* henkan */
    [0x8b] = {0x67, 0x85},       /* muhenkan */
    [0xe0] = {0x14, 0x11},       /* left control */
    [0xe1] = {0x12, 0x12},       /* left shift */
    [0xe2] = {0x11, 0x19},       /* left alt */
    [0xe3] = {EXT | 0x1f, 0x8b}, /* left meta */
    [0xe4] = {EXT | 0x14, 0x58}, /* right control */
    [0xe5] = {0x59, 0x59},       /* right shift */
    [0xe6] = {EXT | 0x11, 0x39}, /* right alt */
    [0xe7] = {EXT | 0x27, 0x8c}, /* right meta */
};

/* Set 2 to set 1, as the controller's ROM has it. */
static const uint8_t set1[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54};

bool ps2_translate(bool *in_break, uint8_t byte, uint8_t *ret_byte)
{
    if (byte == BREAK) {
        *in_break = true;
        return false;
    }
    *ret_byte = byte < sizeof set1 ? set1[byte] : byte;
    if (*in_break)
        *ret_byte |= 0x80;
    *in_break = false;
    return true;
}

/* Keys. */

/* Sends `count` bytes of set 2, as set 1 if that is what is selected; all or nothing. */
static void put_codes(struct ps2_keyboard *k, const uint8_t *codes, unsigned count)
{
    uint8_t out[16];
    unsigned n = 0;
    bool in_break = false;

    for (unsigned i = 0; i < count; i++)
        if (k->set != 1)
            out[n++] = codes[i];
        else
            n += ps2_translate(&in_break, codes[i], &out[n]);
    (void)ps2_queue_put(&k->codes, out, n);
}

/* Make and break at once, it says nothing on release (the reference's exceptional key). */
static void put_pause(struct ps2_keyboard *k)
{
    static const uint8_t codes[] = {PREFIX_PAUSE, 0x14, 0x77,  PREFIX_PAUSE,
                                    BREAK,        0x14, BREAK, 0x77};

    put_codes(k, codes, sizeof codes);
}

/* Comes with a shift of its own, so that old programs see the keypad's asterisk. */
static void put_print(struct ps2_keyboard *k, bool down)
{
    static const uint8_t make[] = {PREFIX, 0x12, PREFIX, 0x7c};
    static const uint8_t breaks[] = {PREFIX, BREAK, 0x7c, PREFIX, BREAK, 0x12};

    if (down)
        put_codes(k, make, sizeof make);
    else
        put_codes(k, breaks, sizeof breaks);
}

void ps2_keyboard_key(struct ps2_keyboard *k, uint8_t usage, bool down)
{
    const struct key *key = &keys[usage];
    uint8_t codes[3];
    unsigned n = 0;

    if (!k->scanning || !key->set2)
        return;
    if (k->set != 3 && usage == USAGE_PAUSE) {
        if (down)
            put_pause(k);
        return;
    }
    if (k->set != 3 && usage == USAGE_PRINT) {
        put_print(k, down);
        return;
    }
    if (k->set != 3 && (key->set2 & EXT))
        codes[n++] = PREFIX;
    if (!down)
        codes[n++] = BREAK;
    codes[n++] = (uint8_t)(k->set == 3 ? key->set3 : key->set2);
    if (codes[n - 1])
        put_codes(k, codes, n);
}

/* Commands. */

static void reply(struct ps2_keyboard *k, uint8_t byte)
{
    if (k->replies.len < PS2_REPLIES) /* nobody reads: do not pile up */
        (void)ps2_queue_put(&k->replies, &byte, 1);
}

static void defaults(struct ps2_keyboard *k)
{
    ps2_queue_clear(&k->codes);
    k->set = 2;
    k->typematic = TYPEMATIC_DEFAULT;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
    *k = (struct ps2_keyboard){.scanning = true};
    defaults(k);
}

static void parameter(struct ps2_keyboard *k, uint8_t byte)
{
    uint8_t command = k->expects;

    k->expects = 0;
    reply(k, REPLY_ACK);
    if (command == CMD_LEDS)
        k->leds = byte & 7;
    else if (command == CMD_TYPEMATIC)
        k->typematic = byte & 0x7f;
    else if (command == CMD_SET && byte == 0)
        reply(k, k->set);
    else if (command == CMD_SET && byte <= 3)
        k->set = byte;
}

static void command(struct ps2_keyboard *k, uint8_t byte)
{
    switch (byte) {
    case CMD_ECHO:
        reply(k, CMD_ECHO);
        return;
    case CMD_RESEND:
        reply(k, k->last);
        return;
    case CMD_LEDS:
    case CMD_SET:
    case CMD_TYPEMATIC:
    case CMD_KEY_FIRST ... CMD_KEY_LAST:
        reply(k, REPLY_ACK);
        k->expects = byte;
        return;
    case CMD_ALL_KEYS_FIRST ... CMD_ALL_KEYS_LAST:
        reply(k, REPLY_ACK);
        return;
    case CMD_ID:
        reply(k, REPLY_ACK);
        reply(k, 0xab);
        reply(k, 0x83);
        return;
    case CMD_ENABLE:
        reply(k, REPLY_ACK);
        ps2_queue_clear(&k->codes);
        k->scanning = true;
        return;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        reply(k, REPLY_ACK);
        defaults(k);
        k->scanning = byte == CMD_DEFAULTS;
        return;
    case CMD_RESET:
        ps2_keyboard_reset(k);
        reply(k, REPLY_ACK);
        reply(k, REPLY_BAT_OK);
        return;
    default:
        reply(k, REPLY_RESEND);
        return;
    }
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte)
{
    if (k->expects && byte < CMD_LEDS) /* a command in place of a parameter wins */
        parameter(k, byte);
    else {
        k->expects = 0;
        command(k, byte);
    }
}

bool ps2_keyboard_has(const struct ps2_keyboard *k)
{
    return k->replies.len || k->codes.len;
}

uint8_t ps2_keyboard_take(struct ps2_keyboard *k)
{
    uint8_t byte = ps2_queue_take(k->replies.len ? &k->replies : &k->codes);

    if (byte != CMD_RESEND)
        k->last = byte;
    return byte;
}

static int post_load(void *object, struct err *err)
{
    struct ps2_keyboard *k = object;

    if (k->set < 1 || k->set > 3)
        return err_set(err, -EINVAL, "ps2-keyboard: no scan code set %u", k->set);
    int rc = ps2_queue_state.post_load(&k->replies, err);
    return rc < 0 ? rc : ps2_queue_state.post_load(&k->codes, err);
}

static const struct state_field fields[] = {
    STATE_SUB(struct ps2_keyboard, replies, &ps2_queue_state, 1),
    STATE_SUB(struct ps2_keyboard, codes, &ps2_queue_state, 1),
    STATE_FIELD(struct ps2_keyboard, set, STATE_U8),
    STATE_FIELD(struct ps2_keyboard, leds, STATE_U8),
    STATE_FIELD(struct ps2_keyboard, typematic, STATE_U8),
    STATE_FIELD(struct ps2_keyboard, expects, STATE_U8),
    STATE_FIELD(struct ps2_keyboard, last, STATE_U8),
    STATE_FIELD(struct ps2_keyboard, scanning, STATE_BOOL),
};

const struct state_table ps2_keyboard_state = {
    .name = "ps2-keyboard",
    .version = 1,
    .size = sizeof(struct ps2_keyboard),
    .fields = fields,
    .field_count = ARRAY_SIZE(fields),
    .post_load = post_load,
};
