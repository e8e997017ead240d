/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as a list of devices: what stands where. board_build makes it from the VM's
 * configuration, the same list in both processes, because each device's layout is a pure function
 * of its parameters. Each process then creates the devices that live in it, and `vmm` the PCI
 * shells of all of them.
 *
 * PCI slots: 0 host bridge, 1 display (which all have that start firmware, and those that somebody
 * is to look at), 2 up in the order of the configuration: disks, network cards, then the small
 * virtio devices; 21 to 25 SATA controllers, sata0 the last of them; 26 USB; 27 to 30 root ports,
 * each with a slot with hot-plug that has a bus of its own; 31 LPC bridge. Slots are thus stable as
 * long as the configuration is.
 *
 * A running VM keeps its board. So each slot with hot-plug has two functions that may stand in it,
 * a disk and a network card, from the start and whether or not anything is configured there: one
 * that is added to the VM gets its back end, and is inserted. That costs two threads a slot, and
 * nothing has to be made by processes that may not make anything any more. They are the last of the
 * board, and named after their slot, so that a saved state fits whatever stands where. */
#pragma once

#include "config/vmcfg.h"
#include "vm/chipset/debug_exit.h"
#include "vm/chipset/debugcon.h"
#include "vm/chipset/fw_cfg.h"
#include "vm/chipset/hpet.h"
#include "vm/chipset/ich9_lpc.h"
#include "vm/chipset/kbc8042.h"
#include "vm/chipset/pflash.h"
#include "vm/chipset/post_port.h"
#include "vm/chipset/rtc_cmos.h"
#include "vm/dev/ahci.h"
#include "vm/dev/uart16550.h"
#include "vm/dev/vga.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_console.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_rng.h"
#include "vm/dev/xhci.h"
#include "vm/machine/dev.h"
#include "vm/pci/pci_shell.h"
#include "vm/pci/q35_mch.h"
#include "vm/pci/root_port.h"
#include "vm/process/link.h"

enum {
    BOARD_DEVFN_NONE = -1,
    BOARD_VGA_SLOT = 1,
    BOARD_FIRST_SLOT = 2,
    BOARD_SATA_SLOT = 25, /* of sata0; the others below it */
    BOARD_USB_SLOT = 26,
    BOARD_PORT_SLOT = 27, /* of the first root port */
    BOARD_LPC_SLOT = 31,
    BOARD_DOORBELLS_MAX = 64
};

struct board_device;

/* One region of a device, as the bus calls it: here, or by call slot in the other process. */
struct board_region {
    struct board_device *device;
    unsigned index;
};

struct board_device {
    unsigned number; /* on the board */
    const struct dev_class *class;
    char name[32];
    int devfn;                   /* slot * 8 + function on its bus, or BOARD_DEVFN_NONE */
    struct board_device *bridge; /* the root port before it; NULL: on bus 0 */
    struct board_device *card;   /* a root port's: the function that stands in its slot, or NULL */
    struct dev_layout layout;
    union {
        struct ahci_params ahci;
        struct debug_exit_params debug_exit;
        struct debugcon_params debugcon;
        struct fw_cfg_params fw_cfg;
        struct hpet_params hpet;
        struct ich9_lpc_params lpc;
        struct kbc8042_params kbc;
        struct q35_mch_params mch;
        struct root_port_params port;
        struct pflash_params pflash;
        struct rtc_cmos_params rtc;
        struct uart16550_params uart;
        struct vga_params vga;
        struct virtio_blk_params blk;
        struct virtio_console_params console;
        struct virtio_net_params net;
        struct xhci_params xhci;
    } params;

    /* Made by `vmm`, the same descriptors in both; -1 where there is none. */
    int msix_fd[PCI_MSIX_VECTORS_MAX], msi_fd[PCI_MSI_VECTORS_MAX];
    int doorbell_fd[BOARD_DOORBELLS_MAX];
    int intx_fd, resample_fd;
    int ram_fd;

    /* Where the device lives. */
    struct pci_port port;
    void *dev;
    /* In vmm. */
    struct link_shared *shared; /* borrowed */
    struct board_region region[DEV_REGIONS_MAX];
    struct pci_shell *shell;
};

struct board {
    struct board_device *device[LINK_DEVICES_MAX];
    unsigned count;
};

/* What chipset parts ask of the engine and the machine. All from vCPU threads. */
struct board_hooks {
    int (*flash_readable)(void *ctx, uint64_t base, uint64_t size, void *host, bool on);
    bool (*flash_may_write)(void *ctx);
    void (*hpet_legacy)(void *ctx, bool on);
    void (*msi)(void *ctx, uint64_t address, uint32_t data);
    void (*pirq)(void *ctx, unsigned pirq, int irq);
    void (*tseg)(void *ctx, uint64_t size);
    void (*smi)(void *ctx);
    void (*card_reset)(void *ctx, unsigned port); /* see root_port.h */
    void (*card_out)(void *ctx, unsigned port);
    void (*debug_exit)(void *ctx, uint8_t status);
};

/* Parts that only one of the processes has; what it has not is NULL. All borrowed. */
struct board_parts {
    /* vmm */
    struct pci_host *pci_host;
    struct link_shared *shared;
    struct bytering *uart_tx, *uart_rx, *input;
    _Atomic uint32_t *leds;
    const int *video_fd;             /* the display's memory */
    const struct board_hooks *hooks; /* vmm */
    void *hooks_ctx;
    /* vmx */
    struct fw_cfg_items *fw_cfg;
    struct blk **blk; /* [VMCFG_DISK_PLACES] */
    struct nic **nic; /* [VMCFG_NIC_PLACES] */
    struct chr *console;
    struct display_sink display;
    struct xhci_params xhci;
};

int board_build(const struct vmcfg *cfg, const struct board_parts *parts, struct board **ret_board,
                struct err *err);
void board_destroy(
    struct board *board); /* devices, shells and descriptors included; accepts NULL */

/* Makes the descriptors of a device's layout (vmm), lists them in the order in which they travel,
 * takes them (vmx). */
int board_make_fds(struct board_device *d, struct err *err);
unsigned board_list_fds(const struct board_device *d, int *fds /* [LINK_FDS_MAX] */);
int board_take_fds(struct board_device *d, const int *fds, unsigned count);

/* Creates the devices of `place`. */
struct board_env {
    struct gmem *gmem;
    struct loop *loop;
    struct link_shared *shared;
    struct bus *bus;                                   /* vmm */
    void (*irq)(void *ctx, unsigned line, bool level); /* vmm: ISA interrupts */
    void *irq_ctx;
    void (*request)(void *ctx, enum machine_request what);
    void *request_ctx;
};
int board_create_devices(struct board *board, enum dev_place place, const struct board_env *env,
                         struct err *err);
void board_reset_devices(struct board *board, enum dev_place place);
/* All of this process stand still (dev.h), and go on. */
void board_quiesce_devices(struct board *board, enum dev_place place);
void board_resume_devices(struct board *board, enum dev_place place);
/* One of this process, while the machine runs; another number is no device. */
void board_reset_device(struct board *board, unsigned number);

/* vmx: carries out a register access that vmm asks for. A call is vmm's, so it may be anybody's:
 * all of it is checked against the layout; what does not fit reads all ones. Thread-safe as the
 * devices are. */
uint64_t board_serve(struct board *board, const struct callslot *call);

/* vmm: puts the fixed regions on the bus and makes the PCI shells. `wiring` says what all have in
 * common. */
int board_wire(struct board *board, const struct pci_wiring *wiring, struct pci_host *host,
               struct link_shared *shared, struct err *err);
void board_reset_shells(struct board *board);

/* The first device of a class, or NULL. */
struct board_device *board_find(struct board *board, const struct dev_class *class);
/* Root port `index`, and what stands in its slot; NULL: there is none. */
struct board_device *board_port(const struct board *board, unsigned index);
struct board_device *board_card(const struct board *board, unsigned index);
/* A slot's (0 up) function of a class, whether it stands in it or not. */
struct board_device *board_spare(const struct board *board, unsigned index,
                                 const struct dev_class *class);
/* The device of disk or card `index` of the configuration; of a disk on SATA or IDE, its
 * controller. */
struct board_device *board_disk(const struct board *board, const struct vmcfg *cfg, unsigned index);
struct board_device *board_nic(const struct board *board, const struct vmcfg *cfg, unsigned index);
