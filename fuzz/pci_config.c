/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space, BARs, MSI, MSI-X and the virtio window under any order of accesses, of
 * functions on bus 0 and of one behind a root port whose card comes and goes. What must hold: the
 * engine is never asked to bind twice or to unbind what is not bound, and the state of a function
 * comes out of a fresh one as it went in. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "fuzz/input.h"
#include "tests/device/fake_engine.h"
#include "vm/pci/pci_host.h"
#include "vm/pci/pci_msix.h"
#include "vm/pci/root_port.h"

enum { FUNCTIONS = 3, BEHIND = 2, VECTORS = 4, MSI_VECTORS = 2, PORT_SLOT = 3, OPS_MAX = 400 };

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
            .msi_vectors = MSI_VECTORS,
            .caps = {0x09, 0, 20, 5},
            .cap_len = {20},
            .cap_count = 1,
            .window_cap = 1},
};

static int fds[FUNCTIONS + 1][VECTORS + 3 + MSI_VECTORS];

/* Addresses near where BARs, table and ECAM may be, rather than anywhere. */
static uint64_t some_address(struct input *in)
{
    static const uint64_t bases[] = {0xf0000000, 0xe0000000, PCI_ECAM_DEFAULT, 0x1000000000, 0};

    return bases[take(in, 1) % 5] + (take(in, 2) & 0x1ffc) + (take(in, 1) % 5 == 4);
}

/* Functions of slots 1 and 2, the port, what is behind it. */
static uint32_t some_function(unsigned what)
{
    static const uint32_t functions[] = {1 << 11, 2 << 11, PORT_SLOT << 11, 1 << 16};

    return 0x80000000u | functions[what];
}

static void move_card(struct root_port *port, bool in)
{
    (void)(in ? root_port_insert(port) : root_port_eject(port));
}

static void step(struct input *in, struct bus *bus, struct root_port *port)
{
    static const unsigned widths[] = {1, 2, 4, 8};
    unsigned what = take(in, 1), size = widths[what >> 4 & 3];

    switch (what % 7) {
    case 0:
    case 1: { /* a configuration access, mostly to what matters */
        uint32_t reg = take(in, 1), value = take(in, 4);
        bus_write(bus, BUS_PIO, 0xcf8, 4, some_function(what >> 6) | (reg & 0xfc));
        if (value & 0x80000000u)
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
    case 5:
        move_card(port, what & 0x80);
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
                           .msi_fd = fds[i] + VECTORS + 3,
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

static struct pci_shell *make_port(struct bus *bus, struct engine_vm *vm, struct pci_port *pci,
                                   struct pci_host *host, struct root_port **ret_port)
{
    const struct root_port_params params = {.host = host, .slot = 160};
    const struct dev_env env = {.name = "port", .pci = pci};
    struct pci_wiring w = {.engine = &fake_engine,
                           .vm = vm,
                           .bus = bus,
                           .shared = pci->shared,
                           .msi_fd = pci->msi_fd,
                           .intx_fd = -1,
                           .resample_fd = -1,
                           .phys_bits = 40,
                           .class = &root_port_class};
    struct pci_shell *shell = NULL;
    struct dev_layout port_layout;

    FUZZ_CHECK(root_port_class.layout(&params, &port_layout, NULL) == 0);
    FUZZ_CHECK(root_port_class.create(&env, &params, &w.dev, NULL) == 0);
    FUZZ_CHECK(pci_shell_create("port", &port_layout, &w, &shell, NULL) == 0);
    *ret_port = w.dev;
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
    struct root_port *port;
    uint32_t reg = 0;

    static bool ready;
    for (unsigned i = 0; i < FUNCTIONS + 1 && !ready; i++)
        for (unsigned k = 0; k < VECTORS + 3 + MSI_VECTORS; k++)
            fds[i][k] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ready = true;
    FUZZ_CHECK(bus_create(&bus) == 0 && pci_host_create(bus, on_request, NULL, &host, NULL) == 0);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        shell[i] = make(bus, &vm, &shared[i], i, &reg, ram);
        if (i != BEHIND)
            pci_host_attach(host, (i + 1) * 8, shell[i]);
    }
    struct pci_shared port_shared = {0};
    struct pci_port pci = {
        .shared = &port_shared, .msi_fd = {fds[FUNCTIONS][0]}, .intx_fd = -1, .resample_fd = -1};
    struct pci_shell *port_shell = make_port(bus, &vm, &pci, host, &port);
    pci_host_attach(host, PORT_SLOT * 8, port_shell);
    root_port_connect(port, port_shell, shell[BEHIND], size & 1);
    pci_shell_reset(port_shell);
    (void)pci_host_set_ecam(host, PCI_ECAM_DEFAULT);
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        step(&in, bus, port);
    check_state(shell[0], &reg, ram);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        pci_shell_destroy(shell[i]);
    pci_shell_destroy(port_shell);
    root_port_class.destroy(port);
    FUZZ_CHECK(vm.mistakes == 0 && !fake_count(vm.irqfd) && !fake_count(vm.doorbell));
    pci_host_destroy(host);
    bus_destroy(bus);
    return 0;
}
