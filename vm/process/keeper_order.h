/* SPDX-License-Identifier: Apache-2.0 */
/* A change as it arrives at the keeper: message by message (KEEPER_WITH_*), each with a
 * descriptor. They belong together by their token: one with another begins anew, so what a client
 * could not finish sending is no part of what it wants next. */
#pragma once

#include "base/buf.h"
#include "vm/process/keeper.h"

struct keeper_order {
    uint64_t token;
    int state_fd; /* owned; -1: none */
    bool has_config;
    struct vmcfg cfg;
    char *commit_path; /* owned; NULL: nothing to commit */
    struct buf commit;
    uint64_t grow[VMCFG_DISKS_MAX];
};

void keeper_order_init(struct keeper_order *order);
void keeper_order_free(struct keeper_order *order); /* leaves an empty one */
/* What there is belongs to `token`; else it is emptied. */
void keeper_order_for(struct keeper_order *order, uint64_t token);
/* Takes fd over. -EBADMSG: not what it should be. */
int keeper_order_add(struct keeper_order *order, const struct keeper_message *message, int fd);
