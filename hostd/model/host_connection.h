/* SPDX-License-Identifier: Apache-2.0 */
/* HostSystem.QueryHostConnectionInfo: all that somebody wants to know who takes a host over, in one
 * answer, made of what the objects themselves say. And the machine's end, which is not ours in
 * hosted mode. */
#pragma once

#include "hostd/api/mo.h"

void host_query_connection(struct mo *mo, struct call *call);
void host_refuse_power(struct mo *mo, struct call *call);
