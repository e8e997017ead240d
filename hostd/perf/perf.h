/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of the host and of running VMs: measured every PERF_INTERVAL_S, kept for an hour in
 * memory (series.h) and a file (hour.h), and rolled up in perf.db (history.h).
 *
 * Measuring is a job on a worker's thread, one at a time: while it runs it owns the readings of all
 * entities, and the loop's thread touches none of them; what goes meanwhile is freed afterwards.
 * Everything else here is the loop's. A VM that is off has no series, and costs nothing. */
#pragma once

#include "hostd/model/virtual_machine.h"
#include "hostd/perf/history.h"
#include "hostd/perf/series.h"

struct perf;

int perf_create(struct hostd *hostd, struct perf **ret_perf);
void perf_destroy(struct perf *perf);

/* The VM runs and its keeper has said this of it (KEEPER_USAGE); takes `fd` over. */
void perf_vm_on(struct virtual_machine *vm, const struct keeper_message *message, int fd);
void perf_vm_off(struct virtual_machine *vm);
/* The VM with that id leaves the host: its number may become another's. */
void perf_forget(const char *id);

/* The series of "ha-host" or of a VM's id; NULL: it was never measured. */
const struct perf_series *perf_find(const struct perf *perf, const char *id);
/* A column's time, us since 1970, a multiple of the interval. */
int64_t perf_column_time(const struct perf *perf, uint64_t column);
struct perf_history *perf_history(struct perf *perf);
