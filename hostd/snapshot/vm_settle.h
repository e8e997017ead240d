/* SPDX-License-Identifier: Apache-2.0 */
/* What was begun on a VM's snapshots and cut off is completed or undone (snapshot_plan.h), and what
 * else of that kind lies in its folder is swept up: on a worker, for a datastore may be slow and a
 * list long. When hostd starts, when a VM has ended, when its keeper has done what an earlier hostd
 * asked for. While that is under way vm->settling is set: calls of the VM and of its snapshots are
 * held until then, what would change it in another way finds it busy.
 *
 * No operation on snapshots begins before a plan that is there is settled: it would write its own
 * over that (vm_snapshot_work.c does so in its first piece). */
#pragma once

#include "hostd/model/virtual_machine.h"

/* `sweep`: also when there is no plan. Nothing happens while an operation is under way, which does
 * it at its end, or the VM's keeper is busy, which is heard of. */
void vm_settle(struct virtual_machine *vm, bool sweep);
/* The VM goes: nobody hears of the end. */
void vm_settle_forget(struct virtual_machine *vm);
/* Is it under way? Then `then` is called at its end. For what the host does by itself. */
bool vm_settle_then(struct virtual_machine *vm, void (*then)(struct virtual_machine *vm));
/* There is a plan that can not be settled now: the VM's keeper is still at its part of it. */
bool vm_settle_must_wait(const struct virtual_machine *vm);

/* Of api_ops. */
bool vm_settle_hold(struct call *call);
