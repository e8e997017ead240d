/* SPDX-License-Identifier: Apache-2.0 */
/* Maintenance mode of the host: no VM runs, none can be started; kept over restarts. Entering it
 * waits until the last VM is off, whoever puts it off; from its beginning none is started any more.
 */
#pragma once

#include <stdbool.h>

#include "hostd/api/mo.h"

struct hostd;
struct maintenance;

int maintenance_create(struct hostd *hostd, struct maintenance **ret_maintenance);
void maintenance_destroy(struct maintenance *maintenance); /* accepts NULL */

/* In it, and in it or on the way there: no VM may start. */
bool maintenance_in(const struct hostd *hostd);
bool maintenance_closed(const struct hostd *hostd);

/* Methods of HostSystem. */
void host_enter_maintenance(struct mo *mo, struct call *call);
void host_exit_maintenance(struct mo *mo, struct call *call);
