/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to esxcli: ReflectManagedMethodExecuter and InternalDynamicTypeManager, the two methods
 * of HostSystem that hand them out, and, as VMware's own esxcli calls a host, each command as a
 * method of its own: VimEsxCLInetworkvmlist of ha-cli-handler-network-vm. */
#pragma once

#include "hostd/api/mo.h"

struct xml_element;

void host_retrieve_executer(struct mo *mo, struct call *call);
void host_retrieve_type_manager(struct mo *mo, struct call *call);
/* api_ops.rewrite */
bool executer_rewrite(struct call *call, const struct xml_element *request);
