/* SPDX-License-Identifier: Apache-2.0 */
/* Is a VM the one that it was, or a copy of it? Its .vmx says where it was started last
 * (uuid.location); one that is started elsewhere has been moved, and stays who it is, or copied,
 * and then gets a uuid and MAC addresses of its own. Nobody knows but who did it: he is asked, as
 * ESXi asks (msg.uuid.altered), or has answered beforehand (uuid.action "keep", "create").
 *
 * A .vmx that somebody wrote by hand gets the uuids and MAC addresses that it lacks at its first
 * start, and keeps them.
 *
 * A place is a datastore and a name on it. A VM whose place another product wrote has come from
 * there and stays who it is. */
#pragma once

#include "hostd/model/virtual_machine.h"

/* Before a start: calls `go` when the VM is who it is to be, now or later, or fails its task. */
void vm_identify(struct virtual_machine *vm, void (*go)(struct virtual_machine *vm));

/* A start that waits for the answer is given up, and its task fails as one that was cancelled.
 * False: there is none. */
bool vm_identify_cancel(struct virtual_machine *vm);

/* A dictionary that is written for that place. */
int vm_identity_set(struct vmxfile *vmx, const struct datastore *datastore, const char *rel);
