/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest starts with, in `vmx`: a kernel loaded directly, or packaged firmware with what it
 * reads through fw_cfg. */
#pragma once

#include "vm/chipset/fw_cfg.h"
#include "vm/process/board.h"
#include "vm/process/child.h"

struct boot;

int boot_create(struct child_env *env, struct boot **ret_boot,
                struct err *err); /* env is borrowed */
struct fw_cfg_items *boot_fw_cfg(struct boot *boot);
/* The board stands: what fw_cfg has can name its devices. */
int boot_set_board(struct boot *boot, const struct board *board, struct err *err);
/* Puts it into guest RAM; at power-on and again at each reset. */
int boot_load(struct boot *boot, struct link_entry *ret_entry, struct err *err);
