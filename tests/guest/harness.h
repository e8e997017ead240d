/* SPDX-License-Identifier: Apache-2.0 */
/* A machine with nothing but an engine, 16 MiB of RAM and the devices of layout.h, to run one of
 * the guest programs. The engine is the one that SOCLE_ENGINE names, or the best that works here.
 */
#pragma once

#include <stdint.h>

#include "layout.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/cpuid.h"
#include "vm/engine/engine.h"
#include "vm/machine/bus.h"
#include "vm/machine/gmem.h"

enum guest_program {
#define PROGRAM(name) PROGRAM_##name,
#include "programs.def"
#undef PROGRAM
};

enum { RESULTS_MAX = 256, LOG_MAX = 64 };

struct machine {
    const struct engine *engine; /* the one under test when it was opened */
    struct gmem *gmem;
    struct bus *bus;
    struct engine_vm *vm;
    struct engine_vcpu *vcpu; /* processor 0 */
    struct cpu_model model;
    struct err err;

    uint32_t result[RESULTS_MAX];
    unsigned results, results_in_smm; /* those that the guest sent from there */
    unsigned failed_line;             /* of the guest program; 0: none */
    volatile bool done;

    uint8_t echo_port[ECHO_PORT_SIZE], echo_mmio[ECHO_MMIO_SIZE];
    struct {
        uint64_t offset, value;
        unsigned size;
    } log[LOG_MAX]; /* writes to the echo device in memory and to ROM */
    unsigned logged;

    uint32_t (*command)(struct machine *m, uint32_t command); /* NULL: the guest gives none */
    uint32_t answer;
    int event_fd, resample_fd;
    unsigned route, asserted;
    uint32_t scratch;
};

#define MACHINE_INIT ((struct machine){.event_fd = -1, .resample_fd = -1})

extern const struct engine *engine; /* under test */

/* False, with m->err, when it failed; m is to be closed either way. */
bool machine_open(struct machine *m, unsigned cpus);
void machine_close(struct machine *m);
/* Loads the image and sets processor 0 to begin the program. */
bool machine_start(struct machine *m, enum guest_program program);
/* Runs processor 0 until the program ends or something else does. */
enum engine_exit machine_run(struct machine *m);
