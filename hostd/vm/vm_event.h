/* SPDX-License-Identifier: Apache-2.0 */
/* Events of VMs that say more than their text. */
#pragma once

#include "hostd/event/event.h"
#include "hostd/model/virtual_machine.h"

/* configSpec has what the VM is now, as far as it is a number or name: no more of a client's spec
 * is kept for all time. */
void vm_event_reconfigured(struct virtual_machine *vm, const char *user, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* After the name has changed; nothing when it has not. */
void vm_event_renamed(struct virtual_machine *vm, const char *user, const char *old_name);
/* NAME is VmFailedToPowerOnEvent or another whose reason is a fault. */
#define VM_EVENT_FAILED(NAME, vm, user, fault, text, ...)                             \
    do {                                                                              \
        struct arena event_arena_ = {0};                                              \
        struct vim_##NAME *event_ = VIM_NEW(&event_arena_, NAME);                     \
        event_->reason = fault_localized(&event_arena_, fault, text);                 \
        event_post((vm)->e.hostd, (struct vim_Event *)(void *)event_, &(vm)->e, user, \
                   __VA_ARGS__);                                                      \
        arena_free(&event_arena_);                                                    \
    } while (0)
