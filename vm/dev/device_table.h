/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of parts that a VM may have. Explicit, so that nothing is there by accident and a
 * test can go over all of them (tests/device/state.c wants parameters for each). Parts that every
 * PC has are vm/chipset's. */
#pragma once

#include "vm/machine/dev.h"

/* Ends with NULL. */
extern const struct dev_class *const device_table[];

/* NULL: there is no such class. */
const struct dev_class *device_find(const char *name);
