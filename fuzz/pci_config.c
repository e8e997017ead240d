/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space, BARs, MSI-X and the virtio window under any order of accesses. What must
 * hold: the engine is never asked to bind twice or to unbind what is not bound, and the state of a
 * function comes out of a fresh one as it went in. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "tests/device/fake_engine.h"
#include "vm/pci/pci_host.h"
#include "vm/pci/pci_msix.h"

enum { FUNCTIONS = 2, VECTORS = 4, OPS_MAX = 400 };

static uint64_t region_read(void *ctx, uint64_t offset, unsigned size)
{
    FUZZ_CHECK(offset + size <= 0x1000 && (size == 1 || size == 2 || size == 4));
    return *(uint32_t *)ctx;
}

static void region_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)region_read(ctx, offset, size);
    *(uint32_t *)ctx = (uint32_t)value;
}

static const struct bus_ops region_ops = {region_read, region_write};

static void on_request(void *ctx, enum machine_request what)
{
    (void)ctx, (void)what;
}

static const struct dev_layout layout = {
    .region = {{.name = "regs", .space = DEV_BAR, .bar = 4, .size = 0x1000, .max_width = 4},
               {.name = "ports", .space = DEV_BAR, .bar = 0, .size = 32, .max_width = 4},
               {.name = "vram", .space = DEV_BAR, .bar = 2, .size = 0x10000, .ram = true}},
    .region_count = 3,
    .doorbell = {.bar = 4, .offset = 0x1000, .stride = 4, .count = 2},
    .is_pci = true,
    .pci = {.vendor = 0x1af4,
            .device = 0x1042,
            .intx = true,
            .bar = {[0] = {PCI_BAR_IO, 32},
                    [2] = {PCI_BAR_MEM32, 0x10000},
                    [4] = {PCI_BAR_MEM64, 0x4000}},
            .msix_vectors = VECTORS,
            .msix_bar = 1,
            .caps = {0x09, 0, 20, 5},
            .cap_len = {20},
            .cap_count = 1,
            .window_cap = 1},
};

static int fds[FUNCTIONS][VECTORS + 3];

struct input {
    const uint8_t *data;
    size_t left;
};

static uint32_t take(struct input *in, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size && in->left; i++, in->left--)
        v |= (uint32_t)*in->data++ << (i * 8);
    return v;
}

/* Addresses near where BARs, table and ECAM may be, rather than anywhere. */
static uint64_t some_address(struct input *in)
{
    static const uint64_t bases[] = {0xf0000000, 0xe0000000, PCI_ECAM_DEFAULT, 0x1000000000, 0};

    return bases[take(in, 1) % 5] + (take(in, 2) & 0x1ffc) + (take(in, 1) % 5 == 4);
}

static void step(struct input *in, struct bus *bus)
{
    static const unsigned widths[] = {1, 2, 4, 8};
    unsigned what = take(in, 1), size = widths[what >> 4 & 3];

    switch (what % 6) {
    case 0:
    case 1: { /* a configuration access, mostly to what matters */
        uint32_t reg = take(in, 1), value = take(in, 4);
        bus_write(bus, BUS_PIO, 0xcf8, 4, 0x80000000u | (1 + (what >> 6 & 1)) << 11 | (reg & 0xfc));
        if (what & 0x80)
            (void)bus_read(bus, BUS_PIO, 0xcfc + (reg & 3), size);
        else
            bus_write(bus, BUS_PIO, 0xcfc + (reg & 3), size, value);
        break;
    }
    case 2:
        bus_write(bus, BUS_MMIO, some_address(in), size, take(in, 4));
        break;
    case 3:
        (void)bus_read(bus, BUS_MMIO, some_address(in), size);
        break;
    case 4:
        bus_write(bus, BUS_PIO, take(in, 2), size, take(in, 4));
        break;
    default: { /* the device raises an interrupt */
        const uint64_t one = 1;
        (void)!write(fds[what >> 6 & 1][take(in, 1) % VECTORS], &one, sizeof one);
        break;
    }
    }
}

static struct pci_shell *make(struct bus *bus, struct engine_vm *vm, struct pci_shared *shared,
                              unsigned i, uint32_t *reg, uint8_t *ram)
{
    struct pci_wiring w = {.engine = &fake_engine,
                           .vm = vm,
                           .bus = bus,
                           .shared = shared,
                           .msix_fd = fds[i],
                           .doorbell_fd = fds[i] + VECTORS,
                           .intx_fd = -1,
                           .resample_fd = fds[i][VECTORS + 2],
                           .region_ops = &region_ops,
                           .region_ctx = {reg, reg, reg},
                           .ram = {NULL, NULL, ram},
                           .phys_bits = 40};
    struct pci_shell *shell = NULL;

    FUZZ_CHECK(pci_shell_create("fuzzed", &layout, &w, &shell, NULL) == 0);
    return shell;
}

static void check_state(struct pci_shell *shell, uint32_t *reg, uint8_t *ram)
{
    cleanup_buf struct buf a = {0}, b = {0};
    struct pci_shared shared = {0};
    struct engine_vm vm = {0};
    struct bus *bus;

    FUZZ_CHECK(bus_create(&bus) == 0);
    struct pci_shell *fresh = make(bus, &vm, &shared, 0, reg, ram);
    pci_shell_save(shell, &a);
    FUZZ_CHECK(pci_shell_load(fresh, a.data, a.len, NULL, NULL) == 0);
    pci_shell_save(fresh, &b);
    FUZZ_CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
    pci_shell_destroy(fresh);
    FUZZ_CHECK(vm.mistakes == 0);
    bus_destroy(bus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t ram[0x10000];
    struct input in = {data, size};
    struct pci_shared shared[FUNCTIONS] = {0};
    struct pci_shell *shell[FUNCTIONS];
    struct engine_vm vm = {0};
    struct pci_host *host;
    struct bus *bus;
    uint32_t reg = 0;

    static bool ready;
    for (unsigned i = 0; i < FUNCTIONS && !ready; i++)
        for (unsigned k = 0; k < VECTORS + 3; k++)
            fds[i][k] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ready = true;
    FUZZ_CHECK(bus_create(&bus) == 0 && pci_host_create(bus, on_request, NULL, &host, NULL) == 0);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        shell[i] = make(bus, &vm, &shared[i], i, &reg, ram);
        pci_host_attach(host, (i + 1) * 8, shell[i]);
    }
    (void)pci_host_set_ecam(host, PCI_ECAM_DEFAULT);
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        step(&in, bus);
    check_state(shell[0], &reg, ram);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        pci_shell_destroy(shell[i]);
    FUZZ_CHECK(vm.mistakes == 0 && !fake_count(vm.irqfd) && !fake_count(vm.doorbell));
    pci_host_destroy(host);
    bus_destroy(bus);
    return 0;
}
