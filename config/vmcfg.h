/* SPDX-License-Identifier: Apache-2.0 */
/* What one VM is: typed, with defaults, validated. Whoever starts a VM and the VM's own processes
 * read the same struct; between them it travels as a dictionary (vmcfg_to_vmx, vmcfg_from_vmx are
 * exact inverses of each other for everything in here).
 *
 * Life: vmcfg_init (defaults), then any number of overlays (vmcfg_from_vmx, options), then
 * vmcfg_finish, which derives what was left open and checks the whole. Only a finished vmcfg goes
 * to a VM. All strings and arrays are owned by the struct; NULL is "not given". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/range.h"
#include "config/vmxfile.h"

enum {
    VMCFG_CPUS_MAX = 768,
    VMCFG_CORES_PER_SOCKET_MAX = 256,
    VMCFG_NAME_MAX = 80,
    VMCFG_PATH_MAX = 4095,
    VMCFG_APPEND_MAX = 2047, /* a Linux kernel takes no longer command line */
    VMCFG_DISKS_MAX = 64,
    VMCFG_BOOT_ORDER_MAX = 1024, /* characters of each of the two lists */
    VMCFG_NICS_MAX = 10,
    VMCFG_NIC_QUEUES_MAX = 8,
    VMCFG_DEBUG_EXIT_MAX = 0xfffc, /* four ports from there */
    VMCFG_IFNAME_MAX = 15,
    VMCFG_SLOTS_MAX = 4, /* slots with hot-plug: pciBridge4 to pciBridge7 */
};
#define VMCFG_MEMORY_UNIT MIB(4)
#define VMCFG_MEMORY_MIN  MIB(4)
#define VMCFG_MEMORY_MAX  GIB(16384)

enum vmcfg_engine { VMCFG_ENGINE_AUTO, VMCFG_ENGINE_KVM, VMCFG_ENGINE_BT, VMCFG_ENGINE_MAX };

enum vmcfg_firmware {
    VMCFG_FIRMWARE_AUTO, /* before vmcfg_finish only: none with a kernel, otherwise bios */
    VMCFG_FIRMWARE_UEFI,
    VMCFG_FIRMWARE_BIOS,
    VMCFG_FIRMWARE_NONE,
    VMCFG_FIRMWARE_MAX,
};

/* Where the disk was asked for. What is on SATA stands at an AHCI controller, and so does what is
 * on IDE; all others are attached as virtio, in the order of the array. vmcfg_substitutions says
 * where that differs. */
enum vmcfg_bus {
    VMCFG_BUS_VIRTIO,
    VMCFG_BUS_SCSI,
    VMCFG_BUS_SATA,
    VMCFG_BUS_NVME,
    VMCFG_BUS_IDE,
    VMCFG_BUS_MAX,
};

enum vmcfg_disk_format {
    VMCFG_FORMAT_PROBE, /* after vmcfg_finish: only where the file's name does not say */
    VMCFG_FORMAT_RAW,
    VMCFG_FORMAT_VMDK,
    VMCFG_FORMAT_MAX,
};

struct vmcfg_disk {
    enum vmcfg_bus bus;
    unsigned controller, unit; /* scsi CONTROLLER:UNIT */
    char *file;                /* NULL: a CD drive without a disc */
    bool readonly;             /* always true for a CD */
    bool cdrom;
    enum vmcfg_disk_format format;
    unsigned slot; /* 1 to VMCFG_SLOTS_MAX: the slot with hot-plug where it stands; 0: in none */
};

enum vmcfg_nic_type { VMCFG_NIC_USER, VMCFG_NIC_TAP, VMCFG_NIC_TYPE_MAX };
enum vmcfg_nic_model {
    VMCFG_NIC_VIRTIO,
    VMCFG_NIC_VMXNET3,
    VMCFG_NIC_E1000,
    VMCFG_NIC_E1000E,
    VMCFG_NIC_VLANCE,
    VMCFG_NIC_MODEL_MAX
};

struct vmcfg_nic {
    unsigned index; /* ethernetINDEX */
    enum vmcfg_nic_type type;
    char ifname[VMCFG_IFNAME_MAX + 1]; /* of the tap; "" for user */
    enum vmcfg_nic_model model;        /* as asked; this version attaches virtio */
    uint8_t mac[6];                    /* all zero before vmcfg_finish: derive from the uuid */
    bool mac_static;                   /* chosen by a person, not by us or a manager */
    bool connected;                    /* link is up at power-on */
    unsigned slot;                     /* as a disk's */
    unsigned queues;                   /* pairs; 0 before vmcfg_finish: 1. Several: tap only */
};

enum vmcfg_stream_type {
    VMCFG_STREAM_AUTO, /* before vmcfg_finish only. COM1: stdio with a kernel, unless the
                          console has it. Otherwise none */
    VMCFG_STREAM_NONE,
    VMCFG_STREAM_STDIO,
    VMCFG_STREAM_UNIX, /* listens on a Unix socket */
    VMCFG_STREAM_FILE,
    VMCFG_STREAM_MAX,
};

/* Where a serial port ends on the host. */
struct vmcfg_stream {
    enum vmcfg_stream_type type;
    char *path; /* of unix and file */
};

/* A USB controller (xHCI) with a tablet, for a VM with a display. */
enum vmcfg_usb {
    VMCFG_USB_AUTO, /* before vmcfg_finish only: where somebody is to look by VNC */
    VMCFG_USB_NO,
    VMCFG_USB_YES,
    VMCFG_USB_MAX
};

struct vmcfg {
    char *name;
    enum vmcfg_engine engine;
    unsigned cpus;
    unsigned cores_per_socket; /* divides cpus; 0 before vmcfg_finish: one socket */
    uint64_t memory;           /* bytes, a multiple of VMCFG_MEMORY_UNIT */
    bool portable_cpu;         /* processors that all engines have: its state goes on under each */
    bool huge_pages;           /* guest RAM from hugetlb pages, or no start */
    uint8_t uuid[16];          /* as written; all zero before vmcfg_finish: a random one */

    enum vmcfg_firmware firmware;
    bool secure_boot;   /* uefi only */
    char *nvram;        /* firmware variables; NULL: forgotten at the end */
    char *state;        /* a saved state to go on from; NULL: power on */
    char *firmware_log; /* file for what the firmware says at its debug port; NULL: no such port */
    char *kernel, *initrd, *append;
    unsigned debug_exit; /* port by which the guest ends with a status; 0: none */
    /* What the firmware tries, in order: "cdrom,hdd,ethernet0", and which disks first where "hdd"
     * stands: "scsi0:1,scsi0:0". What is not named comes after. NULL: disks, CDs, then cards. */
    char *boot_order, *boot_disks;

    struct vmcfg_disk *disks; /* ordered by bus, controller, unit */
    unsigned disk_count;
    struct vmcfg_nic *nics; /* ordered by index */
    unsigned nic_count;

    /* Bit n: there is slot n + 1. Before vmcfg_finish without `slots_given`: all with firmware;
     * with none, where each costs the kernel's start its enumeration, those where a device stands.
     */
    unsigned slots;
    bool slots_given;

    struct vmcfg_stream serial;  /* COM1 */
    struct vmcfg_stream console; /* virtio; at most one of the two is stdio */
    enum vmcfg_usb usb;
    char *vnc_addr; /* literal address to listen on; NULL: no VNC */
    uint16_t vnc_port;
    char *vnc_password; /* of VNC, 8 characters count; NULL: none */
};

void vmcfg_init(struct vmcfg *cfg);
void vmcfg_free(struct vmcfg *cfg); /* leaves it zeroed */
#define cleanup_vmcfg CLEANUP(vmcfg_free)

/* Overlays what the dictionary says; its disks and NICs replace those of `cfg`. Relative file names
 * are taken from `folder` (NULL: left as they are). What the file has and this version leaves out
 * is said in `warnings`, one line each with its '\n' (may be NULL). After an error `cfg` is only
 * fit for vmcfg_free. */
int vmcfg_from_vmx(struct vmcfg *cfg, const struct vmxfile *vmx, const char *folder,
                   struct buf *warnings, struct err *err);

/* Appends; what is added is filled in by the caller afterwards. Next free unit (or ethernet
 * index) is chosen. NULL when the maximum is reached or memory is out, with a message. */
struct vmcfg_disk *vmcfg_add_disk(struct vmcfg *cfg, enum vmcfg_bus bus, struct err *err);
struct vmcfg_nic *vmcfg_add_nic(struct vmcfg *cfg, struct err *err);

/* Derives and validates; the message names the setting, the reason and what to do. Idempotent. */
int vmcfg_finish(struct vmcfg *cfg, struct err *err);

/* One line for each kind of device that a finished `cfg` asks for and that is another one instead,
 * because this version has no such device. */
void vmcfg_substitutions(const struct vmcfg *cfg, struct buf *warnings);

/* The devices in the order in which the firmware is to try them, by boot_order and boot_disks; each
 * disk and card is in it once. Returns how many. */
struct vmcfg_boot_device {
    bool nic;
    unsigned index; /* in disks, or in nics */
};
unsigned vmcfg_boot_sequence(const struct vmcfg *cfg,
                             struct vmcfg_boot_device ret_list[VMCFG_DISKS_MAX + VMCFG_NICS_MAX]);

/* Writes every field of a finished `cfg` into the dictionary. Devices that are gone become
 * `present = "FALSE"`; other keys stay as they are. */
int vmcfg_to_vmx(const struct vmcfg *cfg, struct vmxfile *vmx);

/* The two steps as one, for the hand-over between processes: bytes of a dictionary. */
int vmcfg_encode(const struct vmcfg *cfg, struct buf *out);
int vmcfg_decode(const void *data, size_t len, struct vmcfg *ret_cfg, struct err *err);

/* Words as options and files spell them; -EINVAL for others. */
int vmcfg_engine_parse(const char *word, enum vmcfg_engine *ret_engine);
int vmcfg_firmware_parse(const char *word, enum vmcfg_firmware *ret_firmware);
int vmcfg_bus_parse(const char *word, enum vmcfg_bus *ret_bus);
int vmcfg_disk_format_parse(const char *word, enum vmcfg_disk_format *ret_format);
int vmcfg_nic_model_parse(const char *word, enum vmcfg_nic_model *ret_model);
int vmcfg_mac_parse(const char *text, uint8_t ret_mac[6]);
int vmcfg_uuid_parse(const char *text, uint8_t ret_uuid[16]); /* RFC 4122's or VMware's spelling */

const char *vmcfg_engine_word(enum vmcfg_engine engine);
const char *vmcfg_firmware_word(enum vmcfg_firmware firmware);
const char *vmcfg_bus_word(enum vmcfg_bus bus);
const char *vmcfg_disk_format_word(enum vmcfg_disk_format format);

/* What a disk is by its file's name. A guest writes the content of its disks but not their names:
 * a raw disk must not become a VMDK because a guest put a VMDK's first bytes there. */
enum vmcfg_disk_format vmcfg_disk_format_default(const struct vmcfg_disk *disk);

const char *vmcfg_nic_model_word(enum vmcfg_nic_model model);

enum { VMCFG_MAC_TEXT = 18, VMCFG_UUID_TEXT = 48 };
void vmcfg_mac_format(const uint8_t mac[6], char text[VMCFG_MAC_TEXT]);
void vmcfg_uuid_format(const uint8_t uuid[16], char text[VMCFG_UUID_TEXT]); /* VMware's spelling */

/* Has it a screen and a keyboard? Firmware wants one, and who looks. */
static inline bool vmcfg_has_display(const struct vmcfg *cfg)
{
    return cfg->firmware != VMCFG_FIRMWARE_NONE || cfg->vnc_addr;
}

static inline bool vmcfg_has_tablet(const struct vmcfg *cfg)
{
    return cfg->usb == VMCFG_USB_YES && vmcfg_has_display(cfg);
}

/* Which slots a VM has that does not say. */
unsigned vmcfg_slots_default(const struct vmcfg *cfg);

/* Where a disk or card stands in the VM's processes. Those in slots with hot-plug have places of
 * their own, for they come and go while the VM runs; the others are counted in the order of the
 * configuration, which does not change meanwhile. */
enum {
    VMCFG_DISK_PLACES = VMCFG_DISKS_MAX + VMCFG_SLOTS_MAX,
    VMCFG_NIC_PLACES = VMCFG_NICS_MAX + VMCFG_SLOTS_MAX,
};
unsigned vmcfg_disk_place(const struct vmcfg *cfg, unsigned index);
unsigned vmcfg_nic_place(const struct vmcfg *cfg, unsigned index);
/* Bit n: somebody stands in slot n + 1. */
unsigned vmcfg_slots_used(const struct vmcfg *cfg);

/* Disks of these buses can stand in a slot of their own: they are attached as virtio. */
static inline bool vmcfg_bus_has_slots(enum vmcfg_bus bus)
{
    return bus == VMCFG_BUS_VIRTIO || bus == VMCFG_BUS_SCSI || bus == VMCFG_BUS_NVME;
}

/* How ESXi numbers slot `slot` (1 up), and guests show it. */
static inline unsigned vmcfg_slot_number(unsigned slot)
{
    return (slot + 4) * 32;
}

/* Disks at AHCI controllers: sata0 to sata3, and one for what is on IDE. */
enum { VMCFG_AHCI_IDE = 4, VMCFG_AHCI_MAX };

static inline bool vmcfg_is_ahci(const struct vmcfg_disk *disk)
{
    return disk->bus == VMCFG_BUS_SATA || disk->bus == VMCFG_BUS_IDE;
}
static inline unsigned vmcfg_ahci_controller(const struct vmcfg_disk *disk)
{
    return disk->bus == VMCFG_BUS_IDE ? (unsigned)VMCFG_AHCI_IDE : disk->controller;
}
static inline unsigned vmcfg_ahci_port(const struct vmcfg_disk *disk)
{
    return disk->bus == VMCFG_BUS_IDE ? 2 * disk->controller + disk->unit : disk->unit;
}

/* How many controllers of a bus a VM can have, and units on each. */
unsigned vmcfg_bus_controllers(enum vmcfg_bus bus);
unsigned vmcfg_bus_units(enum vmcfg_bus bus);
