/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that runs guest instructions by hardware, through Linux's KVM. All there is to it from
 * outside is vm/engine/engine.h. */
#pragma once

#include "vm/engine/engine.h"

extern const struct engine engine_kvm;
