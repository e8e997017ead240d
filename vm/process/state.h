/* SPDX-License-Identifier: Apache-2.0 */
/* A process's part of a saved VM: a row of records, each a name and bytes, in the order of the
 * board. `vmm` has the processors, the interrupt controllers, its devices and the configuration
 * spaces of all; `vmx` its devices. docs/formats/vmss.md has the bytes.
 *
 * Everything stands still while a part is saved or loaded. Loading reads hostile bytes: the names
 * must be those that this board would have written, in that order, so the state of another machine
 * is refused by the first thing that differs; whoever was refused is only fit to be destroyed. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "vm/process/board.h"

/* What is left of a part. */
struct state_records {
    const uint8_t *data;
    size_t len;
};

struct state_engine;

#define STATE_PART_MAX (UINT64_C(64) << 20)

/* What besides the board has state. */
struct state_machine {
    struct board *board;
    struct link_shared *shared;
    enum dev_place place;
    const struct state_engine *engine; /* vmm; else NULL */
    int (*put_engine)(const struct state_engine *engine, struct buf *out, struct err *err);
    int (*take_engine)(const struct state_engine *engine, struct state_records *r, struct err *err);
};

/* To and from a descriptor whose offset is at its beginning: borrowed. */
int state_write(const struct state_machine *machine, int fd, struct err *err);
/* All of a part, as state_take wants it. */
int state_load_part(int fd, struct buf *ret_bytes, struct err *err);
int state_read(const struct state_machine *machine, int fd, struct err *err);

/* The same in memory. */
int state_put(const struct state_machine *machine, struct buf *out, struct err *err);
int state_take(const struct state_machine *machine, const uint8_t *data, size_t len,
               struct err *err);

/* A record that is one section of a table (wire/state.h). */
void state_put_section(struct buf *out, const char *name, const struct state_table *table,
                       const void *object);
int state_take_section(struct state_records *r, const char *name, const struct state_table *table,
                       void *object, struct err *err);
