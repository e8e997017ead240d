/* SPDX-License-Identifier: Apache-2.0 */
/* What `vmm` and `vmx` of one VM share: a page of memory for what must be fast, and a socket
 * (SOCK_SEQPACKET) for the rest.
 *
 * The socket carries fixed-size messages. Both processes are of one build and started together by
 * vm_start, but either may have been taken over by its guest: a message of the wrong size or kind
 * ends the VM, descriptors come only from `vmm`, only at the start and only as many as the board
 * says.
 *
 *   start    vmm -> vmx  DEVICE_FDS for each device of vmx, in board order; then BUILD
 *            vmx -> vmm  READY (all devices stand, the start program is loaded); what fails goes to
 *                         the parent, and the end of the socket says so here
 *   running  vmx -> vmm  REQUEST
 *            vmm -> vmx  RESET_DEVICE (its slot lost power)
 *            vmm -> vmx  RESET; vmx -> vmm RESET_DONE when devices and RAM contents are as at
 * power-on
 *
 * The parent's requests to either of them, one at a time, each answered by DONE:
 *   PAUSE    the vCPUs stand still, devices are quiet, disks flushed; vmm first. A VM that is
 *            restored (VM_FD_STATE) comes up so, and says it by DONE instead of STARTED
 *   SAVE     while paused: the state (savefile.h) into the descriptor that comes with it
 *   RESUME   vmx first
 *   DISK_CLOSE, DISK_OPEN, NIC_LINK, NIC_CLOSE, NIC_OPEN
 *            while paused, vmx only; `value` is a place (vmcfg_disk_place)
 *   HOLD, RETRY
 *            without an answer. A write waits for room on the host (NO_SPACE): vmm stands still,
 *            while what vmx has under way ends; then both go on, and what waits is tried again
 *   CARD_INSERT, CARD_EJECT
 *            vmm only, while it runs: what stands in a slot with hot-plug. EJECT is answered when
 *            the guest has let go of the card; KEEP has no answer of its own and makes EJECT be
 *            answered, by -ETIMEDOUT if the card is still in
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "disk/disk.h"
#include "vm/firmware/linux_boot.h"
#include "vm/machine/bytering.h"
#include "vm/machine/dev.h"
#include "vm/process/callslot.h"

enum { LINK_DEVICES_MAX = 64, LINK_RING_SIZE = 16384, LINK_FDS_MAX = 250 };

/* Byte rings between a device of one process and its back end in the other. */
enum link_ring { LINK_UART_TX, LINK_UART_RX, LINK_RINGS };

enum vm_fd {
    VM_FD_CONTROL = 3, /* the socket to the parent */
    VM_FD_LINK,        /* the socket to the other process */
    VM_FD_CONFIG,      /* memfd: the VM as a dictionary (config/vmcfg.h) */
    VM_FD_STATE,       /* memfd: the process's part of a saved state, to go on from; or none */
    VM_FD_SHARED,      /* memfd: struct link_shared */
    VM_FD_RAM,         /* memfd: guest memory */
    /* vmx only */
    VM_FD_SERIAL,  /* where COM1 ends; its kind is the configuration's */
    VM_FD_CONSOLE, /* the same of the virtio console */
    VM_FD_KERNEL,
    VM_FD_INITRD,
    VM_FD_VGA_ROM,
    VM_FD_FIRMWARE_LOG,
    VM_FD_USAGE, /* memfd: struct usage (usage.h) */
    /* both */
    VM_FD_FIRMWARE, /* SeaBIOS, or OVMF's code */
    VM_FD_NVRAM,    /* firmware variables, read-write */
    VM_FD_RING,     /* two eventfds a ring: data, space (bytering.h) */
    /* What there is with a display: of all three, but for the rings. */
    VM_FD_CONSOLE_PAGE = VM_FD_RING + 2 * LINK_RINGS, /* memfd: struct console_page */
    VM_FD_VIDEO,                                      /* memfd: video memory; not vmx, which gets
                                                         it from vmm; rfb can only read it */
    VM_FD_KEYS,                                       /* two eventfds; vmm */
    VM_FD_TABLET = VM_FD_KEYS + 2,                    /* two eventfds; vmx */
    VM_FD_END = VM_FD_TABLET + 2
};

struct link_shared {
    struct callslots calls;
    struct pci_shared pci[LINK_DEVICES_MAX];
    _Atomic(uint64_t) ecam;         /* where the guest has ECAM now; 0: nowhere */
    _Atomic(uint32_t) smi_features; /* FW_SMI_*, as the firmware has chosen */
    _Alignas(64) uint8_t ring[LINK_RINGS][sizeof(struct bytering_shared) + LINK_RING_SIZE];
};

enum link_kind {
    LINK_DEVICE_FDS,
    LINK_BUILD,
    LINK_READY,
    LINK_REQUEST,
    LINK_RESET, /* parent -> vmm too */
    LINK_RESET_DONE,
    LINK_RESET_DEVICE,
    /* Between either of them and the parent, on a socket of their own: */
    LINK_STARTED,      /* vmm: the guest runs */
    LINK_ENDED,        /* vmm, vmx: value is enum vm_end, text the reason */
    LINK_POWER_BUTTON, /* parent */
    LINK_MOVE_CARD,    /* parent: the card of slot `value` (1 up) is to come out, or goes in */
    LINK_DISK_FILE,    /* parent to vmx, at its start: one file of disk `value` (handover.h) */
    LINK_NIC, /* the same: the queues of network card `value`, then vhost for each or none */
    LINK_END_OF_FILES, /* that was all */
    LINK_PAUSE,        /* parent; see above */
    LINK_RESUME,
    LINK_SAVE,
    LINK_DISK_CLOSE,  /* disk `value`: flushed, closed, unlocked */
    LINK_DISK_OPEN,   /* disk `value`, of the DISK_FILEs that have come before; none: no disc */
    LINK_NIC_LINK,    /* network card value / 2: its cable is in (bit 0) or out */
    LINK_NIC_CLOSE,   /* network card `value` lets go of its network */
    LINK_NIC_OPEN,    /* network card `value` is at that of the NIC that came before */
    LINK_CARD_INSERT, /* value / 2: the slot (1 up); bit 0: a network card; else a disk */
    LINK_CARD_EJECT,  /* the card of slot `value` */
    LINK_CARD_KEEP,   /* the same: nobody waits any more */
    LINK_NO_SPACE,    /* vmx: a file of disk `value` (a place) can not grow */
    LINK_HOLD,        /* parent to vmm */
    LINK_RETRY,       /* parent to both */
    LINK_DONE,        /* vmm, vmx: value is 0 or an errno, text says more */
    LINK_KIND_MAX
};

/* Where the first processor starts. */
struct link_entry {
    bool reset_vector; /* as after power-on: firmware is there */
    struct boot_start start;
};

/* A file of a disk, whose descriptor comes with the message. */
struct link_file {
    uint32_t flags; /* enum disk_file_flags */
    char name[DISK_NAME_MAX];
};

/* What a disk that is opened is, of the configuration. */
struct link_disk {
    uint8_t format; /* enum vmcfg_disk_format */
    bool readonly;
};

struct link_nic {
    uint8_t mac[6];
    bool connected;
};

struct link_message {
    uint32_t kind;
    uint32_t value;  /* DEVICE_FDS, RESET_DEVICE: device number; REQUEST: enum machine_request;
                        ENDED: enum vm_end */
    uint32_t status; /* ENDED, VM_END_EXIT: the guest's */
    union {
        struct link_entry entry; /* READY, RESET_DONE */
        char text[ERR_TEXT_MAX]; /* ENDED, DONE */
        struct link_file file;   /* DISK_FILE */
        struct link_disk disk;   /* DISK_OPEN */
        struct link_nic nic;     /* NIC_OPEN */
    };
};

/* The shared memory: a sealed memfd, made by the parent. */
int link_shared_create(int *ret_fd, struct err *err);
int link_shared_map(int fd, struct link_shared **ret_shared,
                    struct err *err); /* fd stays the caller's */

/* The caller's end of a ring. */
int link_ring_writer(struct link_shared *shared, enum link_ring which, struct bytering *ret_ring);
int link_ring_reader(struct link_shared *shared, enum link_ring which, struct bytering *ret_ring);

/* 0 or negative errno; -EPIPE when the other side is gone. Descriptors are duplicated to the other
 * side. */
int link_send(int socket, const struct link_message *message, const int *fds, unsigned fd_count);
/* Waits for one message. `fds` has room for `fd_max`; more, or any when 0, are closed and refused
 * (-EBADMSG). */
int link_receive(int socket, struct link_message *ret_message, int *fds, unsigned fd_max,
                 unsigned *ret_fd_count);
