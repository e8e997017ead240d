/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/client/command.h"

extern const struct noun noun_vm, noun_host, noun_datastore, noun_network, noun_task, noun_event,
    noun_user, noun_role, noun_permission, noun_perf;
