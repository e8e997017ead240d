/* SPDX-License-Identifier: Apache-2.0 */
/* The property collector, its filters and the views as managed objects. One collector,
 * ha-property-collector, is everybody's entry; each session has its own filters and its own wait on
 * it. All others belong to the session that made them.
 *
 * Waiting: a WaitForUpdatesEx call rests in its collector until a watch of a filter says that
 * something changed; then the collector computes once, on the loop, what is different from what the
 * client was told last, and finishes the call. A waiter costs its call and no thread. */
#pragma once

#include "hostd/api/call.h"

/* Registers ha-property-collector and ViewManager. The objects live until the registry goes. */
int collector_init(struct api *api);
int view_init(struct api *api);

/* What a property path names: "config.hardware.device[2000].backing", "host[\"ha-host\"]".
 * 0, -ENOENT (the type has no such property; nothing unset is an error), -EINVAL (not a path). */
int property_path_check(const struct vim_managed *type, const char *path);
struct vim_any property_path_get(struct mo *mo, const char *path, struct call *call);
