/* SPDX-License-Identifier: Apache-2.0 */
/* EventManager ha-eventmgr and its collectors. */
#pragma once

#include "hostd/hostd.h"

struct history_kind;
extern const struct history_kind event_history;

/* There is a newer event. */
void event_manager_changed(struct hostd *hostd);
