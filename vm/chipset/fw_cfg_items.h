/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of fw_cfg's list, for the device: see fw_cfg.h for what builders use. */
#pragma once

#include "vm/chipset/fw_cfg.h"

enum { FW_CFG_ITEMS_MAX = FW_CFG_FILES_MAX + 48 };

struct fw_cfg_item {
    uint16_t key;
    char name[FW_CFG_NAME_MAX + 1]; /* "": not a file */
    const uint8_t *data;            /* what the guest reads: `owned`, `made` or borrowed */
    size_t len;
    uint8_t *owned;
    uint8_t *initial; /* owned; writable items: for after a reset */
    fw_cfg_generate_fn *generate;
    bool generated;  /* `made` is the content */
    bool fetched;    /* the guest has selected it since the reset */
    struct buf made; /* owned */
    bool writable;
    fw_cfg_written_fn *written;
    void *ctx; /* borrowed, of generate or written */
};

struct fw_cfg_items {
    unsigned count, files;
    int status;
    struct buf directory; /* owned; made when it is first read */
    struct fw_cfg_item item[FW_CFG_ITEMS_MAX];
};

/* The item with its content there (generated if need be), or NULL. A failure to generate is an
 * empty item, and `err` has the reason. */
const struct fw_cfg_item *fw_cfg_items_get(struct fw_cfg_items *items, uint16_t key,
                                           struct err *err);
/* Copies into a writable item; -EPERM, -ERANGE. The caller reads guest memory into it in between:
 * returns where. */
int fw_cfg_items_writable(struct fw_cfg_items *items, const struct fw_cfg_item *item,
                          uint64_t offset, uint64_t len, uint8_t **ret_at);
/* Back to what was added: writable content restored, generated content forgotten. */
void fw_cfg_items_reset(struct fw_cfg_items *items);
