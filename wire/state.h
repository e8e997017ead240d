/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of a modelled thing, driven by one const table that stands beside its struct: the
 * table saves, restores, dumps and documents it. What is saved is the hardware model (registers,
 * queues), not how we coded it.
 *
 * Encoding: a section is { u16 name length, name, u16 version, u32 payload length, payload }; the
 * payload is the fields in table order, each { u8 name length, name, u8 type, u32 count, count
 * little-endian values }. A STATE_TABLE field's values are `count` payloads, each behind a u32
 * length. Restoring is a parser of hostile input: types, counts and names must be those of the
 * table; a field newer than the section's version is left as it is; anything else is refused by
 * name and the object is unchanged. post_load then checks across fields and may still refuse (the
 * caller then resets or destroys the object).
 *
 * So states outlive builds: a table's fields are never taken away, renamed or given another
 * meaning, and what is added raises its version. (A table within others is of the version of the
 * section that it stands in: a field that is added to it says so in each of these, `since` being
 * their common new version.) What a section of an older version does not have stays as reset has
 * left it. A newer version is refused by both numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum state_type {
    STATE_U8,
    STATE_U16,
    STATE_U32,
    STATE_U64,
    STATE_BOOL,
    STATE_TABLE,
    STATE_TYPE_MAX
};

struct state_table;

struct state_field {
    const char *name;
    enum state_type type;
    uint32_t offset;                 /* in the object */
    uint32_t count;                  /* elements; 1 for a scalar */
    uint16_t since;                  /* first version of the table that has it */
    const struct state_table *table; /* STATE_TABLE: of each element */
};

struct state_table {
    const char *name;
    uint16_t version;
    uint32_t size; /* of the object (the stride of an array of them) */
    const struct state_field *fields;
    unsigned field_count;
    int (*post_load)(void *object, struct err *err); /* may be NULL */
};

/* STATE_FIELD(struct uart16550, lcr, STATE_U8): a scalar or an array of scalars, by the member's
 * own size. */
#define STATE_FIELD(type_, member, state_type_) STATE_FIELD_SINCE(type_, member, state_type_, 1)
/* One that a later version of the table has added. */
#define STATE_FIELD_SINCE(type_, member, state_type_, since_)                               \
    {                                                                                       \
        .name = #member, .type = state_type_, .offset = offsetof(type_, member),            \
        .count = sizeof(((type_ *)0)->member) / STATE_SIZE_(state_type_), .since = (since_) \
    }
#define STATE_SIZE_(t) ((t) == STATE_U64 ? 8 : (t) == STATE_U32 ? 4 : (t) == STATE_U16 ? 2 : 1)
/* An array (or one) of structs that have a table of their own. */
#define STATE_SUB(type_, member, table_, count_)                                 \
    {                                                                            \
        .name = #member, .type = STATE_TABLE, .offset = offsetof(type_, member), \
        .count = (count_), .since = 1, .table = (table_)                         \
    }

void state_save(const struct state_table *table, const void *object, struct buf *out);
/* Reads one section at the head of [data, data + len); *ret_used (may be NULL) is its length in
 * all. */
int state_load(const struct state_table *table, void *object, const uint8_t *data, size_t len,
               size_t *ret_used, struct err *err);
/* One line a field, `name = value`, for people. */
void state_dump(const struct state_table *table, const void *object, struct buf *out);
