/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/debugcon.h"

#include <sys/eventfd.h>

#include "tests/device/chip.h"
#include "vm/chipset/post_port.h"

static void firmware_log_arrives(void)
{
    enum { RING = 64 };
    struct chip c;
    struct bytering writer, reader;
    struct bytering_shared *shared = aligned_alloc(64, bytering_shared_size(RING));
    int fd[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
    char got[RING + 1] = "";
    memset(shared, 0, bytering_shared_size(RING));
    CHECK_EQ(bytering_init_writer(&writer, shared, RING, fd[0], fd[1]), 0);
    CHECK_EQ(bytering_init_reader(&reader, shared, RING, fd[0], fd[1]), 0);
    const struct debugcon_params params = {&writer};
    chip_open(&c, &debugcon_class, &params);
    CHECK_EQ(chip_in(&c, 0x402, 1), 0xe9); /* what firmware asks first */
    for (const char *s = "SeaBIOS"; *s; s++)
        chip_out(&c, 0x402, 1, (uint8_t)*s);
    CHECK_EQ(bytering_read(&reader, got, RING), 7);
    CHECK_STR(got, "SeaBIOS");
    for (unsigned i = 0; i < 2 * RING; i++) /* more than fits: dropped, never waited for */
        chip_out(&c, 0x402, 1, 'x');
    CHECK_EQ(bytering_used(&reader), RING);
    chip_replace(&c);
    chip_close(&c);
    (void)close(fd[0]);
    (void)close(fd[1]);
    free(shared);
}

static void nobody_listens(void)
{
    struct chip c;
    const struct debugcon_params params = {NULL};
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
