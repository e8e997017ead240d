/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody has set on this host: switches and port groups, options, policies of services, rule
 * sets, time servers, maintenance mode. It is the API's own HostConfigSpec, kept in
 * HOST_CONFIG_FILE as VI/JSON. What was never set is not in it; whoever reads a part knows its
 * default.
 *
 * A spec is never changed where it stands. A handler takes a copy of its first level, puts new
 * values (of the call's arena) in place of old ones, and commits: that writes the file, and if it
 * is written the new spec is the host's.
 *
 * On the loop's thread. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

#define HOST_CONFIG_FILE "config/host.json"

struct call;
struct vim_any;
struct vim_HostConfigSpec;

struct host_config {
    int root_fd;                           /* borrowed: the folder that the file is in */
    const struct vim_HostConfigSpec *spec; /* never NULL once loaded; lives in `arena` */
    struct arena arena;
};

/* Without a file nothing is set. */
int host_config_load(struct host_config *config, int root_fd, struct err *err);
void host_config_free(struct host_config *config);

/* Writes a copy of `spec`, which then is the host's. On failure nothing has changed. */
int host_config_store(struct host_config *config, const struct vim_HostConfigSpec *spec,
                      struct err *err);

/* For handlers: the host's spec, its first level copied; and the way back: false with the call's
 * fault set when it could not be written. */
struct vim_HostConfigSpec *host_config_edit(struct call *call);
bool host_config_commit(struct call *call, const struct vim_HostConfigSpec *spec);

/* What the API has no member for: a value by name among genericConfig. VIM_NONE: not set. */
struct vim_any host_config_extra(const struct host_config *config, const char *key);
void host_config_set_extra(struct arena *arena, struct vim_HostConfigSpec *spec, const char *key,
                           struct vim_any value);

/* HostConfigFault: in hosted mode "The clock" or the like is not ours to change. */
void host_config_refuse(struct call *call, const char *what);
