/* SPDX-License-Identifier: Apache-2.0 */
/* What a device is. A device file ends in one `const struct dev_class`; vm/dev/device_table.c lists
 * them all.
 *
 * A class has a place: `vmm` (touched by every instruction, parses no guest memory) or `vmx`
 * (parses guest memory, talks to back ends). The same code runs in either and in a unit test: it is
 * given regions, an interrupt, guest memory and a loop, and knows nothing else.
 *
 * Life: layout(params) says what the device occupies; it is a pure function, called in both
 * processes, so that both agree without talking. create builds the device in its process and either
 * fully succeeds or undoes itself; all state is in the instance. reset brings it to its power-on
 * state (the bus reset of the machine). quiesce stops all activity of its own (threads, DMA,
 * timers) until resume; state is saved only while quiesced.
 *
 * read/write get the number of the region in the layout and an offset in it; several vCPUs may call
 * at once (the device has its own lock). Values are little-endian in the low bytes; widths are
 * within the region's limits. A guest's nonsense is a status, never an error. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "vm/machine/bus.h"
#include "vm/machine/gmem.h"
#include "vm/machine/irq.h"
#include "vm/machine/pci_port.h"
#include "wire/state.h"

enum dev_place { DEV_IN_VMM, DEV_IN_VMX };

enum dev_space { DEV_PIO, DEV_MMIO, DEV_BAR };

struct dev_region {
    const char *name;
    enum dev_space space;
    uint64_t base; /* port, guest physical address, or offset in the BAR */
    uint64_t size;
    uint8_t bar;                  /* DEV_BAR: which */
    uint8_t min_width, max_width; /* as bus_region; 0: 1 and 8 */
    /* Memory rather than registers: the guest maps the device's shared memory here (VRAM, flash
     * while readable). The device creates a memfd of `size` in create (dev_env.ram_fd gives both
     * sides the same one). */
    bool ram;
};

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM64,
    PCI_BAR_MEM64_PREFETCH
};

struct pci_bar {
    enum pci_bar_kind kind; /* a 64-bit BAR takes two numbers; the second stays PCI_BAR_NONE */
    uint64_t size;          /* a power of two, >= 4 (I/O) or 4096 (memory) */
};

enum { PCI_BARS = 6, PCI_CAPS_MAX = 160 };

struct pci_layout {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: base class, sub-class, interface */
    uint8_t revision;
    bool intx; /* uses INTA# */
    struct pci_bar bar[PCI_BARS];
    /* MSI-X table and pending bits get a BAR of their own, 4 KiB or more, which the shell serves.
     */
    uint16_t msix_vectors; /* 0: none */
    uint8_t msix_bar;
    uint8_t msi_vectors; /* plain MSI: a power of two up to PCI_MSI_VECTORS_MAX; 0: none */
    /* Further capabilities, back to back; byte 0 id, byte 1 next (filled in by the shell), total
     * length in `cap_len[i]`, multiple of 4. */
    uint8_t caps[PCI_CAPS_MAX];
    uint8_t cap_len[8];
    uint8_t cap_count;
    /* virtio 1.2, 4.1.4.9: index + 1 of the capability that is a window to the BARs
     * (VIRTIO_PCI_CAP_PCI_CFG); 0: none. */
    uint8_t window_cap;
};

enum { DEV_REGIONS_MAX = 8 };

struct dev_layout {
    struct dev_region region[DEV_REGIONS_MAX];
    unsigned region_count;
    /* Doorbells: `count` eventfds; a write of any width at bar + offset + n * stride rings number n
     * and never reaches write(). */
    struct {
        uint8_t bar;
        uint32_t offset, stride;
        uint16_t count;
    } doorbell;
    uint8_t isa_irq[2]; /* ISA interrupt numbers, for dev_env.irq; 0: none */
    bool is_pci;
    struct pci_layout pci;
};

/* What a device may ask of the machine: see vm/machine/power.h for who listens. */
enum machine_request { MACHINE_POWER_OFF, MACHINE_RESET, MACHINE_CRASHED };

struct dev_env {
    const char *name;          /* of the instance, for messages: "virtio-blk0" */
    struct gmem *gmem;         /* borrowed, as all below */
    struct loop *loop;         /* of the process it lives in */
    const struct clock *clock; /* NULL: the host's */
    struct pci_port *pci;      /* NULL: not a PCI function */
    const int *doorbell_fd;    /* eventfds (non-blocking), layout.doorbell.count of them */
    struct irq irq[2];         /* ISA wires, as in the layout */
    int ram_fd;                /* memfd behind the layout's ram region, or -1 */
    void (*request)(void *ctx, enum machine_request what); /* thread-safe */
    void *request_ctx;
    struct bus *bus; /* `vmm` only: for chipset parts whose regions the guest moves */
};

static inline const struct clock *dev_clock(const struct dev_env *env)
{
    return env->clock ? env->clock : &clock_host;
}

/* For classes without regions. */
static inline uint64_t dev_read_nothing(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    (void)dev, (void)region, (void)offset, (void)size;
    return UINT64_MAX;
}

static inline void dev_write_nothing(void *dev, unsigned region, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    (void)dev, (void)region, (void)offset, (void)size, (void)value;
}

struct dev_class {
    const char *name;
    enum dev_place place;
    int (*layout)(const void *params, struct dev_layout *ret_layout, struct err *err);
    int (*create)(const struct dev_env *env, const void *params, void **ret_dev, struct err *err);
    void (*destroy)(void *dev); /* accepts NULL */
    void (*reset)(void *dev);
    void (*quiesce)(void *dev); /* may be NULL: nothing runs by itself */
    void (*resume)(void *dev);
    uint64_t (*read)(void *dev, unsigned region, uint64_t offset, unsigned size);
    void (*write)(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value);
    const struct state_table *state; /* of the instance; quiesced */
    /* Functions in `vmm` with registers of their own in configuration space (bridges). config_init
     * fills in defaults and which bits the guest may write, beyond the standard header;
     * config_written runs after each write, with the bytes as they are now. */
    void (*config_init)(void *dev, uint8_t *config, uint8_t *writable);
    void (*config_written)(void *dev, const uint8_t *config, unsigned offset, unsigned size);
};
