/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that start with the host (host_autostart.c). */
#pragma once

#include "hostd/hostd.h"

struct autostart;

/* Reads the settings, and if they say so begins to start VMs. */
int autostart_create(struct hostd *hostd, struct autostart **ret_autostart, struct err *err);
void autostart_destroy(struct autostart *autostart); /* accepts NULL */
