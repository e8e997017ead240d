/* SPDX-License-Identifier: Apache-2.0 */
/* The engine without hardware virtualization: interprets (docs/engine.md). */
#pragma once

#include "vm/engine/engine.h"

extern const struct engine engine_bt;
