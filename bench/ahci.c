/* SPDX-License-Identifier: Apache-2.0 */
/* The data path of the SATA controller without a guest: random 4-KiB reads of a file by queued
 * commands, registers and messages as the real ones. For counting, not timing:
 *
 *     valgrind --tool=callgrind --separate-threads=yes bench-ahci FILE plain 1 2000
 *     strace -c -f bench-ahci FILE uring 16 20000
 *
 * bench-ahci FILE auto|uring|plain DEPTH COUNT */
#include "vm/dev/ahci.h"

#include <poll.h>
#include <unistd.h>

#include "bench/blk_open.h"
#include "tests/device/ahci_driver.h"

enum { BLOCK = 4096 };

static uint64_t blocks;

static void put(struct ahci_driver *d, unsigned slot)
{
    ad_put(d, slot,
           &(struct ad_command){.code = 0x60,
                                .queued = true,
                                .lba = (uint64_t)rand() % blocks * (BLOCK / 512),
                                .count = BLOCK / 512,
                                .data = AD_DATA + slot * (uint64_t)BLOCK,
                                .length = BLOCK});
}

/* As a driver's interrupt: causes cleared, then what is not active any more has ended. */
static uint32_t ended(struct ahci_driver *d, uint32_t active)
{
    ad_out(d, PORT_IS, ad_in(d, PORT_IS));
    ad_hba_out(d, AHCI_IS, 1);
    return active & ~ad_in(d, PORT_SACT);
}

int main(int argc, char **argv)
{
    struct ahci_params params = {.controller = 0};
    unsigned done = 0, offered = 0, interrupts = 0, writes = 0;
    struct ahci_driver d;
    uint32_t active = 0;

    if (argc != 5)
        bench_fail("usage: bench-ahci FILE ENGINE DEPTH COUNT");
    unsigned depth = (unsigned)atoi(argv[3]), count = (unsigned)atoi(argv[4]);
    if (!depth || depth > AHCI_SLOTS || count < depth)
        bench_fail("depth 1 to 32, count at least that");
    params.drive[0] = (struct ahci_drive){.present = true, .blk = bench_open_blk(argv[1], argv[2])};
    blocks = params.drive[0].blk->size / BLOCK;
    struct harness *h = harness_create(&ahci_class, &params, AD_RAM);
    if (!blocks)
        bench_fail("the file is too small");
    harness_msi_enable(h, 1);
    ahci_driver_start(&d, h, 0);
    uint32_t idle = UINT32_MAX >> (AHCI_SLOTS - depth);
    while (done < count) {
        struct pollfd irq = {.fd = h->port.msi_fd[0], .events = POLLIN};
        for (; idle && offered < count; idle &= idle - 1, offered++) {
            uint32_t slot = idle & -idle;
            put(&d, (unsigned)__builtin_ctz(idle));
            ad_issue(&d, slot, true); /* one by one, as Linux does */
            active |= slot;
            writes++;
        }
        (void)poll(&irq, 1, -1);
        interrupts += (unsigned)harness_msi(h, 0);
        idle = ended(&d, active);
        active &= ~idle;
        done += (unsigned)__builtin_popcount(idle);
    }
    (void)printf("%u reads, %u writes to PxCI, %u interrupts\n", done, writes, interrupts);
    harness_destroy(h);
    return 0;
}
