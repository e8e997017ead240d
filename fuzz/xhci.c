/* SPDX-License-Identifier: Apache-2.0 */
/* The USB controller, by registers and guest memory. Its guest has rings and contexts in place, so
 * that most of what comes goes on from there. Operations, a byte each, then operands:
 *
 *     0 write   offset u16, value u64 (size 4, or 8 when the offset's bit 15 is set)
 *     1 read    offset u16
 *     2 poke    address u16, length u8, bytes
 *     3 move    buttons u8, x u16, y u16
 *     4 bell    slot u8, endpoint u8
 *     5 state   saves and restores into itself
 *     6 reset   of the machine
 *
 * Afterwards a reset by the driver has to bring it back. */
#include "vm/dev/xhci.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fuzz/device.h"
#include "vm/dev/xhci_regs.h"

enum { RAM = 64 << 10, RING_SIZE = 4096, OPERATIONS_MAX = 400 };
enum { DCBAA = 0x100, ERST = 0x200, COMMANDS = 0x1000, EVENTS = 0x2000, CONTEXT = 0x3000 };

static void prepare(struct harness *h)
{
    uint8_t entry[16] = {0};

    le64_store(entry, EVENTS);
    le16_store(entry + 8, 64);
    harness_poke(h, ERST, entry, sizeof entry);
    for (unsigned i = 1; i <= XHCI_SLOTS; i++) {
        le64_store(entry, CONTEXT + i * 0x800);
        harness_poke(h, DCBAA + 8 * i, entry, 8);
    }
    harness_write(h, 0, XHCI_OPERATIONAL + XHCI_CONFIG, 4, XHCI_SLOTS);
    harness_write(h, 0, XHCI_OPERATIONAL + XHCI_DCBAAP, 8, DCBAA & ~63);
    harness_write(h, 0, XHCI_OPERATIONAL + XHCI_CRCR, 8, COMMANDS | 1);
    harness_write(h, 0, XHCI_INTERRUPTER + XHCI_ERSTSZ, 4, 1);
    harness_write(h, 0, XHCI_INTERRUPTER + XHCI_ERSTBA, 8, ERST);
    harness_write(h, 0, XHCI_INTERRUPTER + XHCI_IMAN, 4, IMAN_ENABLE);
    harness_write(h, 0, XHCI_OPERATIONAL + XHCI_USBCMD, 4, USBCMD_RUN | USBCMD_INTE);
    harness_write(h, 0, XHCI_PORTS_AT, 4, PORTSC_POWER | PORTSC_RESET);
}

static void operate(struct harness *h, struct bytering *hand, struct input *in)
{
    uint64_t at;

    switch (take(in, 1) % 7) {
    case 0:
        at = take(in, 2);
        harness_write(h, 0, at % XHCI_BAR_SIZE & ~3u, at & 0x8000 ? 8 : 4, take(in, 8));
        break;
    case 1:
        (void)harness_read(h, 0, take(in, 2) % XHCI_BAR_SIZE & ~3u, 4);
        break;
    case 2:
        fuzz_poke(h, in, RAM);
        break;
    case 3: {
        struct input_event event = {.kind = INPUT_ABSOLUTE, .buttons = (uint8_t)take(in, 1)};
        event.x = (uint16_t)take(in, 2);
        event.y = (uint16_t)take(in, 2);
        (void)input_send(hand, &event);
        (void)loop_run_once(h->loop, 0);
        break;
    }
    case 4:
        at = take(in, 1) % (XHCI_SLOTS + 1);
        harness_write(h, 0, XHCI_DOORBELLS + 4 * at, 4, take(in, 1));
        break;
    case 5:
        fuzz_save_and_restore(h);
        break;
    default:
        h->class->reset(h->dev);
        prepare(h);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct bytering_shared *shared = calloc(1, bytering_shared_size(RING_SIZE));
    int fds[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
    struct bytering hand, reader;
    _Atomic uint32_t active = 0;

    FUZZ_CHECK(shared && bytering_init_writer(&hand, shared, RING_SIZE, fds[0], fds[1]) == 0);
    FUZZ_CHECK(bytering_init_reader(&reader, shared, RING_SIZE, fds[0], fds[1]) == 0);
    struct xhci_params params = {&reader, &active};
    struct harness *h = harness_create(&xhci_class, &params, RAM);
    prepare(h);
    for (unsigned i = 0; i < OPERATIONS_MAX && in.left; i++)
        operate(h, &hand, &in);
    harness_write(h, 0, XHCI_OPERATIONAL + XHCI_USBCMD, 4, USBCMD_RESET);
    FUZZ_CHECK(harness_read(h, 0, XHCI_OPERATIONAL + XHCI_USBSTS, 4) == USBSTS_HALTED);
    FUZZ_CHECK(active == 0);
    harness_destroy(h);
    (void)close(fds[0]);
    (void)close(fds[1]);
    free(shared);
    return 0;
}
