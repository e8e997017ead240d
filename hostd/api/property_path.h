/* SPDX-License-Identifier: Apache-2.0 */
/* Property paths: "config.hardware.device[2000].backing", "host[\"ha-host\"].mountInfo". A step is
 * a name, and after a list a key in brackets, quoted or not, that selects one item: by its property
 * `key`, by the id of the object that `key` or the item itself refers to, or by its text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hostd/api/mo.h"

enum {
    PROPERTY_PATH_MAX = 1024, /* characters */
    PROPERTY_PATH_STEPS_MAX = 32,
};

/* The property of `type` that the path begins with, when the whole path can name something: each
 * step a property of the declared type or of one derived from it. NULL: it cannot, or is no path.
 */
const struct vim_property *property_path_check(const struct vim_managed *type, const char *path);

/* What a checked path names inside the value of the property that it begins with; VIM_NONE: unset.
 */
struct vim_any property_path_walk(struct vim_any top, const char *path);

/* Is the path one property and no more? */
bool property_path_is_whole(const char *path);
