/* SPDX-License-Identifier: Apache-2.0 */
/* The way to esxcli: ReflectManagedMethodExecuter and InternalDynamicTypeManager, and the two
 * methods of HostSystem that hand them out. */
#pragma once

#include "hostd/api/mo.h"

void host_retrieve_executer(struct mo *mo, struct call *call);
void host_retrieve_type_manager(struct mo *mo, struct call *call);
