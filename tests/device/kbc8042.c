/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/kbc8042.h"

#include <sys/eventfd.h>

#include "tests/device/chip.h"

enum { OBF = 1, SYS = 4, CMD = 8, AUX = 0x20, XLATE = 0x40 };
enum { KEY_A = 0x04, KEY_RIGHT = 0x4f, KEY_PRINT = 0x46, KEY_PAUSE = 0x48, KEY_F7 = 0x40 };

static const struct kbc8042_params plain;

static uint8_t status(struct chip *c)
{
    return (uint8_t)chip_in(c, 0x64, 1);
}

static void command(struct chip *c, uint8_t v)
{
    chip_out(c, 0x64, 1, v);
}

static void data(struct chip *c, uint8_t v)
{
    chip_out(c, 0x60, 1, v);
}

/* Reads all there is and compares; with the source of each byte. */
static void expect_from(struct chip *c, bool aux, const char *want)
{
    char got[128] = "";
    size_t len = 0;
    while (len < sizeof got - 4 && (status(c) & OBF)) {
        CHECK_EQ((status(c) & AUX) != 0, aux);
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%02x", len ? " " : "",
                                chip_in(c, 0x60, 1));
    }
    CHECK_STR(got, want);
}

static void key(struct chip *c, uint8_t usage, bool down)
{
    kbc8042_input(c->dev, &(struct input_event){.kind = INPUT_KEY, .usage = usage, .down = down});
}

static void move(struct chip *c, int dx, int dy, int wheel, unsigned buttons)
{
    kbc8042_input(c->dev, &(struct input_event){.kind = INPUT_POINTER,
                                                .dx = (int16_t)dx,
                                                .dy = (int16_t)dy,
                                                .wheel = (int8_t)wheel,
                                                .buttons = (uint8_t)buttons});
}

static void mouse_command(struct chip *c, uint8_t v, const char *want)
{
    command(c, 0xd4);
    data(c, v);
    expect_from(c, true, want);
}

static void set_ctr(struct chip *c, uint8_t v)
{
    command(c, 0x60);
    data(c, v);
}

static void controller_commands(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    CHECK_EQ(status(&c), SYS | 0x10);
    command(&c, 0xaa);
    CHECK_EQ(status(&c), SYS | 0x10 | CMD | OBF);
    expect_from(&c, false, "55");
    command(&c, 0xab);
    expect_from(&c, false, "00");
    command(&c, 0xa9);
    expect_from(&c, false, "00");
    command(&c, 0x20);
    expect_from(&c, false, "47");
    set_ctr(&c, 0x61);
    command(&c, 0x20);
    expect_from(&c, false, "61");
    CHECK_EQ(status(&c) & SYS, 0);
    command(&c, 0xa8);
    command(&c, 0xad);
    command(&c, 0x20);
    expect_from(&c, false, "51");
    command(&c, 0x65); /* RAM behind the command byte */
    data(&c, 0x99);
    command(&c, 0x25);
    expect_from(&c, false, "99");
    command(&c, 0xd3); /* how Linux looks for the mouse port */
    data(&c, 0x5a);
    expect_from(&c, true, "5a");
    chip_close(&c);
}

static void a20_and_reset(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    command(&c, 0xd0);
    CHECK(chip_in(&c, 0x60, 1) & 2);
    command(&c, 0xa4);
    expect_from(&c, false, "f1"); /* no password */
    command(&c, 0xdd);
    command(&c, 0xd0);
    CHECK(!(chip_in(&c, 0x60, 1) & 2));
    command(&c, 0xdf);
    command(&c, 0xd0);
    expect_from(&c, false, "cf");
    key(&c, KEY_A, true); /* both interrupts can be seen in the output port, too */
    command(&c, 0xd0);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0x1e);
    expect_from(&c, false, "df");
    command(&c, 0xdd);
    command(&c, 0xd1);
    data(&c, 0xdf);
    command(&c, 0xd0);
    CHECK(chip_in(&c, 0x60, 1) & 2);
    command(&c, 0xff); /* pulses nothing */
    CHECK_EQ(c.requests[MACHINE_RESET], 0);
    command(&c, 0xfe);
    CHECK_EQ(c.requests[MACHINE_RESET], 1);
    command(&c, 0xd1);
    data(&c, 0xfe);
    CHECK_EQ(c.requests[MACHINE_RESET], 2);
    chip_close(&c);
}

static void keyboard_commands(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    set_ctr(&c, 0x05); /* no translation */
    data(&c, 0xff);
    expect_from(&c, false, "fa aa");
    data(&c, 0xf2);
    expect_from(&c, false, "fa ab 83");
    data(&c, 0xee);
    expect_from(&c, false, "ee");
    data(&c, 0xed);
    data(&c, 0x05);
    expect_from(&c, false, "fa fa");
    CHECK_EQ(kbc8042_leds(c.dev), 5);
    data(&c, 0xf3);
    data(&c, 0x00);
    data(&c, 0xf0);
    data(&c, 0x00);
    expect_from(&c, false, "fa fa fa fa 02");
    data(&c, 0x12);
    expect_from(&c, false, "fe"); /* not a command */
    data(&c, 0xfe);
    expect_from(&c, false, "02"); /* what it said before */
    set_ctr(&c, 0x45);
    data(&c, 0xf2);
    expect_from(&c, false, "fa ab 41"); /* Linux: AT Translated Set 2 */
    chip_close(&c);
}

static void keys_in_each_set(void)
{
    static const struct {
        uint8_t ctr, set;
        const char *a, *a_up, *right, *right_up, *print, *print_up, *pause, *f7;
    } want[] = {
        {0x05, 2, "1c", "f0 1c", "e0 74", "e0 f0 74", "e0 12 e0 7c", "e0 f0 7c e0 f0 12",
         "e1 14 77 e1 f0 14 f0 77", "83"},
        {0x45, 2, "1e", "9e", "e0 4d", "e0 cd", "e0 2a e0 37", "e0 b7 e0 aa", "e1 1d 45 e1 9d c5",
         "41"},
        {0x05, 1, "1e", "9e", "e0 4d", "e0 cd", "e0 2a e0 37", "e0 b7 e0 aa", "e1 1d 45 e1 9d c5",
         "41"},
        {0x05, 3, "1c", "f0 1c", "6a", "f0 6a", "57", "f0 57", "62", "37"},
    };

    for (unsigned i = 0; i < 4; i++) {
        struct chip c;
        chip_open(&c, &kbc8042_class, &plain);
        set_ctr(&c, want[i].ctr);
        data(&c, 0xf0);
        data(&c, want[i].set);
        expect_from(&c, false, "fa fa");
        key(&c, KEY_A, true);
        CHECK(c.level[0]);
        expect_from(&c, false, want[i].a);
        CHECK(!c.level[0]);
        key(&c, KEY_A, false);
        expect_from(&c, false, want[i].a_up);
        key(&c, KEY_RIGHT, true);
        expect_from(&c, false, want[i].right);
        key(&c, KEY_RIGHT, false);
        expect_from(&c, false, want[i].right_up);
        key(&c, KEY_PRINT, true);
        expect_from(&c, false, want[i].print);
        key(&c, KEY_PRINT, false);
        expect_from(&c, false, want[i].print_up);
        key(&c, KEY_PAUSE, true);
        expect_from(&c, false, want[i].pause);
        key(&c, KEY_F7, true);
        expect_from(&c, false, want[i].f7);
        key(&c, 0xff, true); /* no such key */
        expect_from(&c, false, "");
        chip_close(&c);
    }
}

static void keys_wait_and_stop(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    set_ctr(&c, 0x45);
    command(&c, 0xad);
    key(&c, KEY_A, true);
    CHECK_EQ(status(&c) & OBF, 0); /* the line is closed */
    command(&c, 0xae);
    expect_from(&c, false, "1e");
    data(&c, 0xf5);
    expect_from(&c, false, "fa");
    key(&c, KEY_A, false);
    expect_from(&c, false, "");
    data(&c, 0xf4);
    expect_from(&c, false, "fa");
    for (unsigned i = 0; i < 1000; i++) /* nobody reads: dropped as a whole, in order */
        key(&c, KEY_RIGHT, i % 2 == 0);
    unsigned count = 0;
    uint8_t last = 0;
    for (; status(&c) & OBF; count++)
        last = (uint8_t)chip_in(&c, 0x60, 1);
    CHECK(count > 100 && count <= 257);
    CHECK(last == 0x4d || last == 0xcd);
    chip_close(&c);
}

static void each_byte_is_an_edge(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    set_ctr(&c, 0x47);
    key(&c, KEY_RIGHT, true);
    CHECK_EQ(c.edges[0], 1);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0xe0);
    CHECK_EQ(c.edges[0], 2);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0x4d);
    CHECK_EQ(c.edges[0], 2);
    CHECK(!c.level[0]);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0x4d); /* the buffer keeps its byte */
    chip_close(&c);
}

static void mouse_reports(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    set_ctr(&c, 0x47);
    mouse_command(&c, 0xff, "fa aa 00");
    mouse_command(&c, 0xf2, "fa 00");
    move(&c, 5, 5, 0, 0);
    expect_from(&c, true, ""); /* not enabled */
    mouse_command(&c, 0xf4, "fa");
    move(&c, 3, -2, 0, INPUT_LEFT);
    CHECK(c.level[1] && !c.level[0]);
    expect_from(&c, true, "09 03 02");
    move(&c, -1, 4, 0, INPUT_LEFT);
    expect_from(&c, true, "39 ff fc");
    move(&c, 1, 0, 0, INPUT_LEFT); /* collects while the first waits */
    move(&c, 300, 0, 0, INPUT_LEFT);
    move(&c, 10, 0, 0, INPUT_LEFT);
    expect_from(&c, true, "09 01 00 09 ff 00 09 37 00");
    move(&c, 0, 0, 0, 0); /* clicks are never merged away */
    move(&c, 0, 0, 0, INPUT_RIGHT);
    move(&c, 0, 0, 0, 0);
    expect_from(&c, true, "08 00 00 0a 00 00 08 00 00");
    mouse_command(&c, 0xe9, "fa 20 02 64");
    chip_close(&c);
}

static void mouse_reveals_wheel(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    for (unsigned i = 0; i < 6; i++) {
        static const uint8_t knock[] = {200, 100, 80, 200, 200, 80};
        mouse_command(&c, 0xf3, "fa");
        mouse_command(&c, knock[i], "fa");
        if (i == 2)
            mouse_command(&c, 0xf2, "fa 03");
    }
    mouse_command(&c, 0xf2, "fa 04");
    mouse_command(&c, 0xf4, "fa");
    move(&c, 0, 0, -1, INPUT_SIDE);
    expect_from(&c, true, "08 00 00 1f");
    mouse_command(&c, 0xff, "fa aa 00");
    mouse_command(&c, 0xf2, "fa 00");
    chip_close(&c);
}

static void mouse_modes(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    mouse_command(&c, 0xf0, "fa");
    move(&c, 7, 0, 0, 0);
    expect_from(&c, true, "");
    mouse_command(&c, 0xeb, "fa 08 07 00");
    mouse_command(&c, 0xee, "fa");
    mouse_command(&c, 0xf2, "f2"); /* echoes */
    mouse_command(&c, 0xec, "fa");
    mouse_command(&c, 0xe8, "fa");
    mouse_command(&c, 3, "fa");
    mouse_command(&c, 0xe7, "fa");
    mouse_command(&c, 0xe9, "fa 50 03 64");
    mouse_command(&c, 0x01, "fc");
    chip_close(&c);
}

static void events_come_by_ring(void)
{
    enum { RING = 64 };
    struct chip c;
    struct bytering writer, reader;
    struct bytering_shared *shared = aligned_alloc(64, bytering_shared_size(RING));
    int data_fd = eventfd(0, EFD_NONBLOCK), space_fd = eventfd(0, EFD_NONBLOCK);
    memset(shared, 0, bytering_shared_size(RING));
    CHECK_EQ(bytering_init_writer(&writer, shared, RING, data_fd, space_fd), 0);
    CHECK_EQ(bytering_init_reader(&reader, shared, RING, data_fd, space_fd), 0);
    const struct kbc8042_params params = {.input = &reader};
    chip_open(&c, &kbc8042_class, &params);
    unsigned sent = 0;
    while (input_send(&writer, &(struct input_event){.usage = KEY_A, .down = true}))
        sent++;
    CHECK_EQ(sent, RING / sizeof(struct input_event));
    chip_settle(&c);
    expect_from(&c, false, "1e 1e 1e 1e 1e 1e 1e 1e");
    CHECK(input_send(&writer, &(struct input_event){.usage = KEY_A}));
    chip_settle(&c);
    expect_from(&c, false, "9e");
    chip_close(&c);
    (void)close(data_fd);
    (void)close(space_fd);
    free(shared);
}

static void survives_a_move(void)
{
    struct chip c;
    chip_open(&c, &kbc8042_class, &plain);
    mouse_command(&c, 0xf4, "fa");
    key(&c, KEY_RIGHT, true);
    move(&c, 1, 2, 3, INPUT_MIDDLE);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0xe0);
    c.level[0] = false;
    chip_replace(&c);
    CHECK(c.level[0]);
    CHECK_EQ(chip_in(&c, 0x60, 1), 0x4d);
    expect_from(&c, true, "2c 01 fe");
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(controller_commands), TAP_CASE(a20_and_reset), TAP_CASE(keyboard_commands),
         TAP_CASE(keys_in_each_set), TAP_CASE(keys_wait_and_stop), TAP_CASE(each_byte_is_an_edge),
         TAP_CASE(mouse_reports), TAP_CASE(mouse_reveals_wheel), TAP_CASE(mouse_modes),
         TAP_CASE(events_come_by_ring), TAP_CASE(survives_a_move))
