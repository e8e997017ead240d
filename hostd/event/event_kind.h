/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of an event by its type alone. */
#pragma once

#include "hostd/api/vim.h"

/* The type that a row of state.db names in `what`; NULL: none of ours. */
const struct vim_type *event_type(const char *what);
/* "info", "warning", "error" or "user"; `what` as in a row of state.db, or the type's name. */
const char *event_category(const struct vim_type *type, const char *what);
/* "VM powered on" of VmPoweredOnEvent, for people. */
const char *event_description(struct arena *arena, const struct vim_type *type);
