/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/callslot.h"

#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKS = 200 }; /* some microseconds: about what a wake-up costs */

static unsigned looks;

void callslot_setup(void)
{
    cpu_set_t cpus;

    looks = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1 ? LOOKS : 0;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Shared between processes, so not FUTEX_PRIVATE_FLAG. */
static void futex_wait(_Atomic(uint32_t) *word, uint32_t expected)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic(uint32_t) *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void ring(struct callslots *slots)
{
    atomic_fetch_add(&slots->bell, 1);
    if (atomic_exchange(&slots->server_asleep, 0))
        futex_wake(&slots->bell);
}

uint64_t callslot_call(struct callslots *slots, unsigned index, const struct callslot *call)
{
    struct callslot *slot = &slots->slot[index];
    uint32_t called = looks ? CALLSLOT_CALLED : CALLSLOT_CALLED_ASLEEP;

    slot->device = call->device;
    slot->region = call->region;
    slot->size = call->size;
    slot->is_write = call->is_write;
    slot->offset = call->offset;
    slot->value = call->value;
    atomic_store_explicit(&slot->state, called, memory_order_release);
    atomic_fetch_or(&slots->called[index / 64], UINT64_C(1) << (index % 64));
    ring(slots);

    for (unsigned i = 0; i < looks; i++, relax())
        if (atomic_load_explicit(&slot->state, memory_order_acquire) == CALLSLOT_DONE)
            return slot->value;
    if (called == CALLSLOT_CALLED_ASLEEP ||
        atomic_compare_exchange_strong(&slot->state, &called, CALLSLOT_CALLED_ASLEEP))
        while (atomic_load_explicit(&slot->state, memory_order_acquire) == CALLSLOT_CALLED_ASLEEP)
            futex_wait(&slot->state, CALLSLOT_CALLED_ASLEEP);
    return slot->value;
}

static void serve_one(struct callslot *slot, uint64_t (*serve)(void *ctx, const struct callslot *),
                      void *ctx)
{
    struct callslot call = {.device = slot->device,
                            .region = slot->region,
                            .size = slot->size,
                            .is_write = slot->is_write,
                            .offset = slot->offset,
                            .value = slot->value};

    slot->value = serve(ctx, &call);
    if (atomic_exchange(&slot->state, CALLSLOT_DONE) == CALLSLOT_CALLED_ASLEEP)
        futex_wake(&slot->state);
}

/* Serves every call that is there; false when there was none. */
static bool sweep(struct callslots *slots, uint64_t (*serve)(void *ctx, const struct callslot *),
                  void *ctx)
{
    bool any = false;

    for (unsigned w = 0; w < CALLSLOT_WORDS; w++) {
        if (!atomic_load_explicit(&slots->called[w], memory_order_relaxed))
            continue;
        for (uint64_t bits = atomic_exchange(&slots->called[w], 0); bits; bits &= bits - 1) {
            serve_one(&slots->slot[w * 64 + (unsigned)__builtin_ctzll(bits)], serve, ctx);
            any = true;
        }
    }
    return any;
}

void callslot_serve(struct callslots *slots, const atomic_bool *stop,
                    uint64_t (*serve)(void *ctx, const struct callslot *), void *ctx)
{
    while (!atomic_load(stop)) {
        uint32_t bell = atomic_load(&slots->bell);
        if (sweep(slots, serve, ctx))
            continue;
        for (unsigned i = 0; i < looks && atomic_load(&slots->bell) == bell; i++)
            relax();
        if (atomic_load(&slots->bell) != bell)
            continue;
        atomic_store(&slots->server_asleep, 1);
        if (!atomic_load(stop))
            futex_wait(&slots->bell, bell); /* returns at once if somebody has rung since */
        atomic_store(&slots->server_asleep, 0);
    }
}

void callslot_wake(struct callslots *slots)
{
    ring(slots);
}
