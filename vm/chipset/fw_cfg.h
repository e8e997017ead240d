/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg: how firmware reads what the machine has for it (tables, kernel, boot order): the
 * interface that OVMF, SeaBIOS and Linux know as QEMU0002 (QEMU, docs/specs/fw_cfg.rst). Ports
 * 0x510 (selector), 0x511 (data) and 0x514 (DMA address). Lives in `vmx`: DMA descriptors are the
 * guest's, hence bounded and copied once.
 *
 * The content is a list of items, made before the device and given to it in its parameters. An
 * item has a number; a file is an item with a name, which gets the next number from
 * FW_CFG_FILE_FIRST and a line in the directory (item 0x19), in order of addition.
 *
 * All add functions copy what they are given unless they say otherwise, and return 0, -ENOMEM,
 * -EEXIST (number or name is taken), -EINVAL (name empty or too long, number out of range), or
 * -ENOSPC (FW_CFG_FILES_MAX). The first failure also sticks in the list: a builder that adds many
 * things checks fw_cfg_items_status once at its end. Nothing is added once the device exists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "vm/machine/dev.h"

enum {
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILES_MAX = 128,
    FW_CFG_NAME_MAX = 55, /* without the NUL */
};

/* Numbers that firmware knows. 0x00 (signature), 0x01 (revision) and 0x19 (directory) are the
 * device's own. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03, /* u64 */
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, /* u16 */
    FW_CFG_MACHINE_ID = 0x06,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e, /* u16 */
    FW_CFG_MAX_CPUS = 0x0f,  /* u16 */
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_ACPI_TABLES = 0x8000,
    FW_CFG_SMBIOS_ENTRIES = 0x8001,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* u32 */
    FW_CFG_E820_TABLE = 0x8003,
    FW_CFG_HPET = 0x8004,
};

struct fw_cfg_items;

int fw_cfg_items_create(struct fw_cfg_items **ret_items);
void fw_cfg_items_destroy(struct fw_cfg_items *items); /* accepts NULL */
DEFINE_CLEANUP(struct fw_cfg_items *, fw_cfg_items_destroy)
#define cleanup_fw_cfg_items CLEANUP(fw_cfg_items_destroy_cleanup_)

int fw_cfg_items_status(const struct fw_cfg_items *items);

/* Numbered items; numbers are little-endian on the wire. */
int fw_cfg_add_bytes(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len);
int fw_cfg_add_u16(struct fw_cfg_items *items, uint16_t key, uint16_t v);
int fw_cfg_add_u32(struct fw_cfg_items *items, uint16_t key, uint32_t v);
int fw_cfg_add_u64(struct fw_cfg_items *items, uint16_t key, uint64_t v);
int fw_cfg_add_string(struct fw_cfg_items *items, uint16_t key, const char *s); /* with its NUL */
/* Large content that outlives the device, such as a mapped kernel or initrd: not copied. */
int fw_cfg_add_borrowed(struct fw_cfg_items *items, uint16_t key, const void *data, size_t len);

/* Files. */
int fw_cfg_add_file(struct fw_cfg_items *items, const char *name, const void *data, size_t len);
int fw_cfg_add_file_borrowed(struct fw_cfg_items *items, const char *name, const void *data,
                             size_t len);

/* A file whose content is made when the guest first looks: ACPI tables, which depend on what the
 * machine became. It is made for the directory, which states sizes, and again when the guest first
 * selects it; its length must not depend on what the guest does in between. `generate` appends the
 * content; on failure the file is empty and its message is kept for fw_cfg_error. Made anew after
 * each reset. Called on the thread of the device, without a lock of the caller's. */
typedef int fw_cfg_generate_fn(void *ctx, struct buf *out, struct err *err);
int fw_cfg_add_file_generated(struct fw_cfg_items *items, const char *name,
                              fw_cfg_generate_fn *generate, void *ctx);

/* A file that the guest may also write (by DMA), within its size. `written` (may be NULL) is told
 * the whole content after each write. Back to `data` after a reset. */
typedef void fw_cfg_written_fn(void *ctx, const void *data, size_t len);
int fw_cfg_add_file_writable(struct fw_cfg_items *items, const char *name, const void *data,
                             size_t len, fw_cfg_written_fn *written, void *ctx);

/* The number under which the guest finds a file, or -ENOENT. */
int fw_cfg_file_key(const struct fw_cfg_items *items, const char *name);

struct fw_cfg_params {
    struct fw_cfg_items *items; /* borrowed; one device has it at a time */
};

extern const struct dev_class fw_cfg_class;

/* What last went wrong while generating content; code 0: nothing. */
struct err fw_cfg_error(void *dev);
