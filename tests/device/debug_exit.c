/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/debug_exit.h"

#include "base/range.h"
#include "tests/device/chip.h"

struct ends {
    unsigned count;
    uint8_t status; /* of the last */
};

static void note(void *ctx, uint8_t status)
{
    struct ends *ends = ctx;

    ends->count++;
    ends->status = status;
}

static void each_write_is_an_end(void)
{
    static const struct {
        uint16_t port;
        unsigned width;
        uint32_t value;
        uint8_t status;
    } cases[] = {
        {0xf4, 1, 0, 1},         {0xf4, 1, 0x21, 0x43}, {0xf4, 1, 0xff, 0xff},
        {0xf4, 2, 0x1210, 0x21}, {0xf4, 4, 0x80, 1},    {0xf7, 1, 3, 7},
    };
    struct ends ends = {0};
    const struct debug_exit_params params = {.port = 0xf4, .exit = note, .ctx = &ends};
    struct chip c;

    chip_open(&c, &debug_exit_class, &params);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        chip_out(&c, cases[i].port, cases[i].width, cases[i].value);
        CHECK_EQ(ends.count, i + 1);
        CHECK_EQ(ends.status, cases[i].status);
    }
    CHECK_EQ(chip_in(&c, 0xf4, 4), 0);
    CHECK_EQ(bus_stats(c.bus).unclaimed, 0);
    chip_out(&c, 0xf8, 1, 1);
    CHECK_EQ(ends.count, ARRAY_SIZE(cases));
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(each_write_is_an_end))
