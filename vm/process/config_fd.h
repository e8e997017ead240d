/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's configuration on its way to another process: as a dictionary in a memfd. */
#pragma once

#include "base/err.h"
#include "config/vmcfg.h"

/* Owned by the caller. */
int config_fd(const struct vmcfg *cfg, int *ret_fd, struct err *err);
