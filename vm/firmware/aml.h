/* SPDX-License-Identifier: Apache-2.0 */
/* Writes ACPI Machine Language (ACPI 6.5, chapter 20) into a buffer, front to back.
 *
 * What has a PkgLength is opened by its function and closed by aml_end; nesting is checked:
 *
 *     aml_device(a, "RTC0");
 *     aml_name_eisaid(a, "_HID", "PNP0B00");
 *     aml_end(a);
 *
 * Expressions are in prefix order, as AML has them: the operator, then its operands, then the
 * target (aml_none where there is none). A failed allocation or wrong nesting sticks in the
 * buffer's `failed`. */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum { AML_DEPTH_MAX = 16 };

enum aml_frame_kind { AML_BLOCK, AML_BUFFER };

struct aml {
    struct buf *out; /* borrowed */
    unsigned depth;
    struct {
        size_t at; /* of the PkgLength */
        enum aml_frame_kind kind;
    } frame[AML_DEPTH_MAX];
};

/* Opcodes used as they are; operands follow. */
enum aml_op {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_LOCAL0 = 0x60, /* ..0x67 */
    AML_ARG0 = 0x68,   /* ..0x6e */
    AML_STORE = 0x70,
    AML_SHIFT_LEFT = 0x79,
    AML_AND = 0x7b,
    AML_OR = 0x7d,
    AML_FIND_SET_RIGHT = 0x82,
    AML_SUBTRACT = 0x74,
    AML_CREATE_DWORD_FIELD = 0x8a,
    AML_LNOT = 0x92,
    AML_LEQUAL = 0x93,
    AML_RETURN = 0xa4,
};

static inline void aml_u8(struct aml *a, uint8_t v)
{
    if (a->out->len < a->out->cap && !a->out->failed)
        a->out->data[a->out->len++] = v;
    else
        buf_put_u8(a->out, v);
}

static inline void aml_op(struct aml *a, enum aml_op op)
{
    aml_u8(a, (uint8_t)op);
}
static inline void aml_none(struct aml *a)
{
    aml_u8(a, 0);
}
static inline void aml_local(struct aml *a, unsigned n)
{
    aml_u8(a, (uint8_t)(AML_LOCAL0 + n));
}
static inline void aml_arg(struct aml *a, unsigned n)
{
    aml_u8(a, (uint8_t)(AML_ARG0 + n));
}

void aml_path(struct aml *a, const char *path); /* "_HID", "\\_SB", "PCI0.ISA0.PIRA", "^X" */
void aml_int(struct aml *a, uint64_t v);        /* the shortest encoding */
void aml_str(struct aml *a, const char *s);
uint32_t aml_eisaid(const char *id); /* "PNP0A08" */

void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned args);
void aml_package(struct aml *a, unsigned elements);
void aml_if(struct aml *a);   /* the predicate follows, then the body */
void aml_else(struct aml *a); /* directly after the aml_end of its aml_if */
void aml_end(struct aml *a);

void aml_region_pci(struct aml *a, const char *name, uint32_t offset, uint32_t len);
void aml_field_bytes(struct aml *a, const char *region); /* byte access; then aml_field_u8... */
void aml_field_u8(struct aml *a, const char *name);
void aml_field_skip(struct aml *a, unsigned bytes); /* < 8 */

/* Name (path, value) */
void aml_name(struct aml *a, const char *name); /* the value follows */
void aml_name_int(struct aml *a, const char *name, uint64_t v);
void aml_name_str(struct aml *a, const char *name, const char *s);
void aml_name_eisaid(struct aml *a, const char *name, const char *id);

/* A buffer of given bytes. */
void aml_bytes(struct aml *a, const void *data, size_t len);

/* Resource templates (6.4): aml_resources, descriptors, aml_end. */
void aml_resources(struct aml *a);
void aml_res_io(struct aml *a, uint16_t base, uint8_t len);
void aml_res_irq(struct aml *a, uint16_t mask); /* ISA: edge, high, exclusive */
void aml_res_irq_shared(struct aml *a, uint16_t mask);
void aml_res_gsi_shared(struct aml *a, uint32_t gsi); /* level, high */
void aml_res_mem32(struct aml *a, uint32_t base, uint32_t len);
/* Windows that a bridge passes on, both ends included. */
void aml_res_bus(struct aml *a, uint16_t first, uint16_t last);
void aml_res_window_io(struct aml *a, uint16_t first, uint16_t last);
void aml_res_window32(struct aml *a, uint32_t first, uint32_t last);
void aml_res_window64(struct aml *a, uint64_t first, uint64_t last);
