/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/noun/nouns.h"

const struct noun *const nouns[] = {
    &noun_vm,   &noun_host, &noun_datastore,  &noun_network, &noun_task, &noun_event,
    &noun_user, &noun_role, &noun_permission, &noun_perf,    NULL};
