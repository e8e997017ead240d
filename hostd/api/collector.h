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

/* Registers ha-property-collector and ViewManager; takes them out and frees them, after all
 * sessions have ended. */
int collector_init(struct api *api);
void collector_exit(struct api *api);
int view_init(struct api *api);
void view_exit(struct api *api);

/* The method Fetch, which every managed object has: one property by its path. */
void collector_fetch(struct mo *mo, struct call *call);
