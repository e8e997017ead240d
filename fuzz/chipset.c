/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that drives one part of the PC against its rules: register traffic of any kind, time,
 * input, resets, and moves to a fresh instance by way of the saved state, which must come out as it
 * went in. Byte 0 chooses the part. */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/range.h"
#include "fuzz/fuzz.h"
#include "fuzz/input.h"
#include "tests/device/chip.h"
#include "vm/chipset/hpet.h"
#include "vm/chipset/ich9_lpc.h"
#include "vm/chipset/kbc8042.h"
#include "vm/chipset/pflash.h"
#include "vm/chipset/post_port.h"
#include "vm/chipset/rtc_cmos.h"
#include "vm/dev/uart16550.h"
#include "vm/dev/vga.h"

enum { OPS_MAX = 300, RING = 64, FLASH_SIZE = 0x4000 };

/* One ring with its two ends. */
struct ring {
    struct bytering writer, reader;
    _Alignas(64) uint8_t memory[sizeof(struct bytering_shared) + RING];
    int fd[2];
};

static struct ring to_part, from_part;
static struct chip chip;

static void ring_open(struct ring *r)
{
    struct bytering_shared *shared = (struct bytering_shared *)(void *)r->memory;

    memset(r->memory, 0, sizeof r->memory);
    for (int i = 0; i < 2; i++)
        r->fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    FUZZ_CHECK(!bytering_init_writer(&r->writer, shared, RING, r->fd[0], r->fd[1]));
    FUZZ_CHECK(!bytering_init_reader(&r->reader, shared, RING, r->fd[0], r->fd[1]));
}

static void ring_close(struct ring *r)
{
    (void)close(r->fd[0]);
    (void)close(r->fd[1]);
}

static void no_hook(void *ctx, bool on)
{
    (void)ctx, (void)on;
}

static void no_message(void *ctx, uint64_t address, uint32_t data)
{
    (void)ctx, (void)address, (void)data;
}

static void no_smi(void *ctx)
{
    (void)ctx;
}

static bool flash_mapped;

static int set_readable(void *ctx, uint64_t base, uint64_t size, void *host, bool on)
{
    (void)ctx, (void)base, (void)size, (void)host;
    FUZZ_CHECK(on != flash_mapped);
    flash_mapped = on;
    return 0;
}

static int memfd(uint64_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    return fd;
}

/* The access as the bus would make it. */
static void access_register(struct input *in, bool write)
{
    unsigned n = (unsigned)take(in, 1) % chip.layout.region_count;
    const struct dev_region *r = &chip.layout.region[n];
    unsigned most = r->max_width ? r->max_width : 8, least = r->min_width ? r->min_width : 1;
    uint64_t offset = take(in, 3) % r->size;
    unsigned size = MAX(MIN(1u << take(in, 1) % 4, most), least);

    if (r->ram || !range_within(offset, size, r->size))
        return;
    if (write)
        chip.class->write(chip.dev, n, offset, size, take(in, size));
    else
        (void)chip.class->read(chip.dev, n, offset, size);
}

/* Regions that the part itself has put on the bus, and configuration space. */
static void access_bus(struct input *in)
{
    uint16_t port = (uint16_t)(take(in, 1) % 2 ? ICH9_LPC_PMBASE_USUAL + take(in, 1) : take(in, 2));
    unsigned size = 1u << take(in, 1) % 3;

    chip_out(&chip, port, size, (uint32_t)take(in, size));
    (void)chip_in(&chip, port, size);
    (void)chip_load(&chip, 0xfed1c000 + take(in, 2) % 0x4000, size);
}

static void configure(struct input *in)
{
    unsigned size = 1u << take(in, 1) % 3, offset = (unsigned)take(in, 1) & ~(size - 1);

    if (chip.class->config_written)
        chip_config_write(&chip, offset, size, (uint32_t)take(in, size));
}

static void outside(struct input *in)
{
    struct input_event event;
    uint8_t bytes[16];

    for (unsigned i = 0; i < sizeof event; i++)
        ((uint8_t *)&event)[i] = (uint8_t)take(in, 1);
    if (chip.class == &kbc8042_class && event.usage % 2)
        (void)input_send(&to_part.writer, &event);
    else
        (void)bytering_write(&to_part.writer, &event, sizeof event);
    (void)bytering_read(&from_part.reader, bytes, sizeof bytes);
    if (chip.class == &ich9_lpc_class) {
        acpi_pm_power_button(ich9_lpc_pm(chip.dev));
        acpi_pm_gpe(ich9_lpc_pm(chip.dev), event.usage);
    }
    if (chip.class == &vga_class) {
        cleanup_buf struct buf text = {0};
        vga_screen_text(chip.dev, &text);
    }
    chip_settle(&chip);
}

static void step(struct input *in)
{
    switch (take(in, 1) % 16) {
    case 0 ... 5:
        access_register(in, true);
        break;
    case 6 ... 9:
        access_register(in, false);
        break;
    case 10:
        access_bus(in);
        break;
    case 11:
        configure(in);
        break;
    case 12:
        outside(in);
        break;
    case 13:
        chip_advance(&chip, take(in, 2) * 16);
        chip_stall(&chip, take(in, 3) * take(in, 2));
        break;
    case 14:
        chip_replace(&chip);
        break;
    default:
        chip.class->reset(chip.dev);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    int flash_fd = memfd(FLASH_SIZE), vram_fd = -1;
    const struct hpet_params hpet = {.legacy = no_hook, .msi = no_message};
    const struct ich9_lpc_params lpc = {
        .pmbase = size % 2 ? ICH9_LPC_PMBASE_USUAL : 0, .smm = size % 3, .smi = no_smi};
    const struct kbc8042_params kbc = {.input = &to_part.reader};
    const struct pflash_params flash = {
        .base = 0xffc00000, .size = FLASH_SIZE, .fd = flash_fd, .set_readable = set_readable};
    const struct rtc_cmos_params rtc = {0};
    const struct uart16550_params uart = {
        .base = 0x3f8, .irq = 4, .tx = &from_part.writer, .rx = &to_part.reader};
    const struct {
        const struct dev_class *class;
        const void *params;
    } parts[] = {{&hpet_class, &hpet},     {&ich9_lpc_class, &lpc}, {&kbc8042_class, &kbc},
                 {&pflash_class, &flash},  {&rtc_cmos_class, &rtc}, {&uart16550_class, &uart},
                 {&post_port_class, NULL}, {&vga_class, NULL}};
    unsigned which = (unsigned)take(&in, 1) % ARRAY_SIZE(parts);

    ring_open(&to_part);
    ring_open(&from_part);
    flash_mapped = false;
    if (parts[which].class == &vga_class)
        vram_fd = memfd(VGA_MEMORY_SIZE);
    tap_failures_ = 0;
    chip_open_with(&chip, parts[which].class, parts[which].params, NULL, vram_fd);
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        step(&in);
    chip_replace(&chip);
    chip_close(&chip);
    FUZZ_CHECK(!tap_failures_);
    FUZZ_CHECK(!flash_mapped);
    ring_close(&to_part);
    ring_close(&from_part);
    (void)close_fd(flash_fd);
    (void)close_fd(vram_fd);
    return 0;
}
