/* SPDX-License-Identifier: Apache-2.0 */
/* Whether datastores are still what they were: every WATCH_S a worker looks at each, for a file
 * system that hangs must not stop hostd. What is found is an event and the datastore's state:
 *
 *   lost       its name leads nowhere, or to a folder without its mark, or to what can not be read.
 *              Nothing on it is touched until it is back; its VMs are inaccessible, those that run
 *              go on.
 *   read-only  reported; what writes fails by itself
 *   full       less than FULL_PART of it is free */
#pragma once

#include "hostd/model/datastore.h"

struct datastore_watch;

int datastore_watch_create(struct hostd *hostd, struct datastore_watch **ret_watch);
void datastore_watch_destroy(struct datastore_watch *watch); /* the workers have ended */
void datastore_watch_now(struct hostd *hostd);               /* somebody asked: soon, not yet */

/* A folder in which nothing is and nothing can be made, in place of one that is lost. */
int datastore_nowhere(const struct hostd *hostd);
