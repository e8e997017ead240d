/* SPDX-License-Identifier: Apache-2.0 */
/* What both readers do with a value once they have it: put it where it belongs, keeping to the
 * declaration. */
#pragma once

#include "base/err.h"
#include "hostd/api/vim.h"

/* The shape that a type name in an anyType place means: "string", "VirtualDisk", "ArrayOfInt",
 * "ManagedObjectReference". 0 or -ENOENT. */
int value_shape(const char *name, struct vim_shape *ret_shape);

/* Which members of one data object were read so far: plain numbers have no unset value. */
enum { VALUE_MEMBERS_MAX = 512 }; /* kept by tools/gen/vim.py */
struct value_seen {
    uint64_t bits[VALUE_MEMBERS_MAX / 64];
};

/* A single value into a member: a list's is appended to it. -EEXIST: a member that is no list a
 * second time; -EINVAL: not of the member's type. An unset value is 0 and changes nothing. */
int value_set(struct arena *arena, struct vim_data *data, const struct vim_property *prop,
              const struct vim_any *value, struct value_seen *seen, struct err *err);

/* One more item of that shape (without .list). */
int value_append(struct arena *arena, struct vim_list *list, struct vim_shape shape,
                 const struct vim_any *value, struct err *err);

/* Is everything there that must be? Lists may be empty, and what came to a type later than the type
 * itself may be missing, for clients of the versions between do not send it: it is zero then.
 * -EINVAL names what is missing. */
int value_complete(const struct vim_data *data, const struct value_seen *seen, struct err *err);
