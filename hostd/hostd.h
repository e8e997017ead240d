/* SPDX-License-Identifier: Apache-2.0 */
/* What hostd consists of. Each part has its own header and knows of the others only what it was
 * given; this is where main puts them together, and where a managed object finds them
 * (hostd_of(call)). */
#pragma once

#include <stdbool.h>

#include "hostd/api/call.h"
#include "hostd/model/host_config.h"
#include "hostd/session/account.h"

struct hostd {
    struct loop *loop;
    unsigned port;  /* where the front listens, for addresses that clients are given */
    struct api api; /* api.ctx is this struct */
    int root_fd;    /* the host's folder, also the working directory */
    struct worker *worker;
    struct worker *settlers; /* threads of their own: a datastore that hangs holds up no others */
    struct vestibule *vestibule;
    struct haulers *haulers;
    struct accounts accounts;
    struct host_config config;
    struct sessions *sessions;
    struct perms *perms;
    struct state *state;
    struct perf *perf;
    struct tasks *tasks;
    struct events *events;
    struct inventory *inventory;
    struct datastore_watch *datastore_watch;
    struct log_trim *log_trim;
    struct autostart *autostart;
    struct maintenance *maintenance;
    struct nfc_leases *leases;
    bool ending; /* on its way out: nothing new is begun */
};

static inline struct hostd *hostd_of(const struct call *call)
{
    return call->api->ctx;
}
