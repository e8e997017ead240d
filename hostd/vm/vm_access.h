/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM may use is what whoever configures it may use: its networks and the files that lie on
 * other datastores than its own. A device that comes or changes is asked about where that happens
 * (vm_edit_device.c); a dictionary that comes as a whole (a VM that is registered, read again or
 * cloned) here. What lies on the VM's own datastore needs no more: who could write the .vmx there
 * has that datastore.
 *
 * Privileges are ESXi's: Network.Assign on each network; Datastore.Browse where a disk or image is
 * read, Datastore.FileManagement where a port or the VM itself writes. */
#pragma once

#include "hostd/model/virtual_machine.h"

/* May the call's user put a VM's card there? One that he does not see is as one that is not there,
 * and both are refused, but for who may assign whatever network comes. False: the call has its
 * fault. */
bool vm_access_network(struct call *call, const char *name);
/* All cards that are present in a dictionary. */
bool vm_access_cards(struct call *call, const struct vmxfile *vmx);
/* All that `vmx`, read as the VM's own, names and the VM did not have by `before` (NULL: nothing).
 */
bool vm_access_all(struct call *call, const struct virtual_machine *vm, const struct vmxfile *vmx,
                   const struct vmxfile *before);
