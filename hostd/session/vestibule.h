/* SPDX-License-Identifier: Apache-2.0 */
/* Where logins wait for their passwords to be hashed, tens of milliseconds of a processor each,
 * which whoever can reach the host can make it spend. So they have threads of their own, that other
 * work does not wait for, and peers take turns: one that asks a thousand times is served as often
 * as one that asks once. Who goes before his turn costs nothing.
 *
 * Belongs to the loop's thread. An entry is part of what the caller keeps of the login. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct vestibule;

struct vestibule_entry {
    const char *peer;        /* borrowed while it waits */
    void (*work)(void *arg); /* on a thread */
    void (*done)(void *arg); /* then, on the loop's; once, unless it leaves before */
    void *arg;

    struct vestibule *vestibule; /* the rest is ours */
    struct vestibule_entry *next;
    uint64_t turn;
    bool waits;
};

int vestibule_create(struct loop *loop, unsigned threads, struct vestibule **ret_vestibule);
/* Nobody waits any more (their connections have gone); those being served are done. Accepts NULL.
 */
void vestibule_destroy(struct vestibule *vestibule);

/* 0, or -ENOMEM: nothing will be called. */
int vestibule_enter(struct vestibule *vestibule, struct vestibule_entry *entry);

/* True: it waited, and is out; nothing will be called. False: it is being served, and done will be.
 */
bool vestibule_leave(struct vestibule_entry *entry);
