/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/debugcon.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/device/chip.h"
#include "vm/chipset/post_port.h"

static void say(struct chip *c, const char *text)
{
    for (; *text; text++)
        chip_out(c, 0x402, 1, (uint8_t)*text);
}

static void firmware_log_arrives(void)
{
    struct chip c;
    char got[1024] = "";
    int fd[2];

    REQUIRE(pipe2(fd, O_NONBLOCK) == 0);
    const struct debugcon_params params = {fd[1]};
    chip_open(&c, &debugcon_class, &params);
    CHECK_EQ(chip_in(&c, 0x402, 1), 0xe9); /* what firmware asks first */
    say(&c, "SeaBIOS");
    CHECK_EQ(read(fd[0], got, sizeof got), -1); /* lines are written whole */
    say(&c, " 1.16\nnext");
    CHECK_EQ(read(fd[0], got, sizeof got), 13);
    CHECK_STR(got, "SeaBIOS 1.16\n");
    for (unsigned i = 0; i < 600; i++) /* but none can be too long */
        say(&c, "x");
    CHECK_EQ(read(fd[0], got, sizeof got), 512);
    chip_close(&c);
    CHECK_EQ(read(fd[0], got, sizeof got), 4 + 600 - 512); /* last words */
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void nobody_listens(void)
{
    struct chip c;
    const struct debugcon_params params = {-1};
    chip_open(&c, &debugcon_class, &params);
    chip_out(&c, 0x402, 1, 'x');
    chip_close(&c);
}

static void post_codes_are_kept(void)
{
    struct chip c;
    chip_open(&c, &post_port_class, NULL);
    chip_out(&c, 0x80, 1, 0x42);
    chip_out(&c, 0xed, 1, 0x99);
    CHECK_EQ(post_port_code(c.dev), 0x42);
    chip_replace(&c);
    CHECK_EQ(chip_in(&c, 0x80, 1), 0x42);
    CHECK_EQ(bus_stats(c.bus).unclaimed, 0);
    c.class->reset(c.dev);
    CHECK_EQ(post_port_code(c.dev), 0);
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(firmware_log_arrives), TAP_CASE(nobody_listens), TAP_CASE(post_codes_are_kept))
