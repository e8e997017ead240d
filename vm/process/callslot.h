/* SPDX-License-Identifier: Apache-2.0 */
/* A trapped register access whose device lives in the other process: one slot a vCPU in shared
 * memory.
 *
 * `vmm` fills its vCPU's slot and rings; `vmx` has one thread that serves them all. Each side looks
 * for a short while before it sleeps on a futex (not at all on a machine with one CPU, where
 * looking only delays the other), and the other side pays for a wake-up only when somebody sleeps.
 *
 * The server trusts nothing in a slot: it copies it once and checks device, region, width and
 * offset before a device sees it. What it refuses reads all ones. The client believes a value and
 * nothing else. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CALLSLOT_MAX = 768, CALLSLOT_WORDS = CALLSLOT_MAX / 64 };

enum callslot_state { CALLSLOT_IDLE, CALLSLOT_CALLED, CALLSLOT_CALLED_ASLEEP, CALLSLOT_DONE };

struct callslot {
    _Alignas(64) _Atomic(uint32_t) state;
    uint16_t device; /* number on the board */
    uint8_t region, size;
    bool is_write;
    uint64_t offset, value;
};

/* In shared memory; all zero is a fresh one. */
struct callslots {
    _Alignas(64) _Atomic(uint32_t) bell; /* counts calls; the server sleeps on it */
    _Atomic(uint32_t) server_asleep;
    _Alignas(64) _Atomic(uint64_t) called[CALLSLOT_WORDS]; /* slots with a call to serve */
    struct callslot slot[CALLSLOT_MAX];
};

/* The client's side, on the thread of vCPU `index`. Returns the value read. */
uint64_t callslot_call(struct callslots *slots, unsigned index, const struct callslot *call);

/* The server's side: serves until *stop; `serve` gets a private copy and returns the value. `slots`
 * may be hostile. */
void callslot_serve(struct callslots *slots, const atomic_bool *stop,
                    uint64_t (*serve)(void *ctx, const struct callslot *call), void *ctx);
/* Makes callslot_serve look at *stop; from any thread. */
void callslot_wake(struct callslots *slots);

/* How often to look before sleeping; called once by each process, before it is confined. */
void callslot_setup(void);
