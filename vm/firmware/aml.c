/* SPDX-License-Identifier: Apache-2.0 */
/* AML encoding, ACPI 6.5 section 20.2 (grammar) and 6.4 (resource descriptors). Only what our DSDT
 * uses. */
#include "vm/firmware/aml.h"

#include <string.h>

#include "base/bytes.h"

static void put(struct aml *a, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len--)
        aml_u8(a, *p++);
}

static void open_frame(struct aml *a, enum aml_frame_kind kind)
{
    if (a->depth == AML_DEPTH_MAX) {
        a->out->failed = true;
        return;
    }
    a->frame[a->depth].at = a->out->len;
    a->frame[a->depth++].kind = kind;
    aml_u8(a, 0); /* for the length, see close_length */
}

/* Makes room for `len` bytes at `at` and moves what follows up. */
static void insert(struct aml *a, size_t at, const uint8_t *data, size_t len)
{
    size_t tail = a->out->len - at;

    if (!buf_grow(a->out, len))
        return;
    memmove(a->out->data + at + len, a->out->data + at, tail);
    memcpy(a->out->data + at, data, len);
}

/* 20.2.4: the length counts its own bytes; one byte, which is there already, holds 6 bits, more
 * hold 4 + 8 each. */
static void close_length(struct aml *a, size_t at)
{
    size_t len = a->out->len - at;
    uint8_t more[3];

    if (len < 1 << 6) {
        a->out->data[at] = (uint8_t)len;
        return;
    }
    size_t extra = len + 1 < 1 << 12 ? 1 : len + 2 < 1 << 20 ? 2 : 3;

    len += extra;
    a->out->data[at] = (uint8_t)(extra << 6 | (len & 0xf));
    for (size_t i = 0; i < extra; i++)
        more[i] = (uint8_t)(len >> (4 + 8 * i));
    insert(a, at + 1, more, extra);
}

static size_t int_bytes(uint64_t v, uint8_t out[9])
{
    static const struct {
        uint64_t limit;
        uint8_t prefix, len;
    } form[] = {{0xff, 0x0a, 1}, {0xffff, 0x0b, 2}, {0xffffffff, 0x0c, 4}, {UINT64_MAX, 0x0e, 8}};
    const unsigned forms = sizeof form / sizeof form[0];

    if (v <= 1) {
        out[0] = (uint8_t)v;
        return 1;
    }
    for (unsigned i = 0; i < forms; i++) {
        if (v > form[i].limit)
            continue;
        out[0] = form[i].prefix;
        le_store(out + 1, form[i].len, v);
        return 1u + form[i].len;
    }
    return 0;
}

void aml_end(struct aml *a)
{
    uint8_t size[9];

    if (!a->depth || a->out->failed) {
        a->out->failed = true;
        return;
    }
    size_t at = a->frame[--a->depth].at;
    if (a->frame[a->depth].kind == AML_BUFFER) {
        aml_u8(a, 0x79); /* end tag; checksum 0: "treat as correct" (6.4.2.9) */
        aml_u8(a, 0);
        insert(a, at + 1, size, int_bytes(a->out->len - at - 1, size));
    }
    if (!a->out->failed)
        close_length(a, at);
}

static unsigned segments(const char *p)
{
    unsigned n = *p ? 1 : 0;

    for (; *p; p++)
        n += *p == '.';
    return n;
}

/* Four bytes: a segment of a name. */
static void put4(struct aml *a, const char *p)
{
    if (a->out->cap - a->out->len < 4 || a->out->failed) {
        buf_put(a->out, p, 4);
        return;
    }
    memcpy(a->out->data + a->out->len, p, 4);
    a->out->len += 4;
}

/* Nearly all names are: no prefix, four characters. */
static bool is_plain_segment(const char *p)
{
    return *p > '.' && *p != '\\' && *p != '^' && p[1] > '.' && p[2] > '.' && p[3] > '.' && !p[4];
}

void aml_path(struct aml *a, const char *path)
{
    if (is_plain_segment(path)) {
        put4(a, path);
        return;
    }
    while (*path == '\\' || *path == '^')
        aml_u8(a, (uint8_t)*path++);
    unsigned n = segments(path);
    if (n == 0)
        aml_u8(a, 0);
    if (n == 2)
        aml_u8(a, 0x2e);
    if (n > 2) {
        aml_u8(a, 0x2f);
        aml_u8(a, (uint8_t)n);
    }
    while (n--) {
        char segment[4] = {'_', '_', '_', '_'};

        for (unsigned i = 0; i < 4 && *path && *path != '.'; i++)
            segment[i] = *path++;
        put4(a, segment);
        path += *path == '.';
    }
}

void aml_int(struct aml *a, uint64_t v)
{
    uint8_t bytes[9];

    if (v > 0xff) {
        put(a, bytes, int_bytes(v, bytes));
        return;
    }
    if (v > 1)
        aml_u8(a, 0x0a);
    aml_u8(a, (uint8_t)v);
}

void aml_str(struct aml *a, const char *s)
{
    aml_u8(a, 0x0d);
    put(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

/* 19.3.4: three letters of 5 bits, four hex digits, in big-endian order. */
uint32_t aml_eisaid(const char *id)
{
    uint32_t v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
                 (uint32_t)(id[2] - '@') << 16;

    for (unsigned i = 0; i < 4; i++)
        v |= hex_digit(id[3 + i]) << (12 - 4 * i);
    return __builtin_bswap32(v);
}

void aml_scope(struct aml *a, const char *path)
{
    aml_u8(a, 0x10);
    open_frame(a, AML_BLOCK);
    aml_path(a, path);
}

void aml_device(struct aml *a, const char *name)
{
    aml_u8(a, 0x5b);
    aml_u8(a, 0x82);
    open_frame(a, AML_BLOCK);
    aml_path(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned args)
{
    aml_u8(a, 0x14);
    open_frame(a, AML_BLOCK);
    aml_path(a, name);
    aml_u8(a, (uint8_t)args);
}

void aml_package(struct aml *a, unsigned elements)
{
    aml_u8(a, 0x12);
    open_frame(a, AML_BLOCK);
    aml_u8(a, (uint8_t)elements);
}

void aml_if(struct aml *a)
{
    aml_u8(a, 0xa0);
    open_frame(a, AML_BLOCK);
}

void aml_else(struct aml *a)
{
    aml_u8(a, 0xa1);
    open_frame(a, AML_BLOCK);
}

void aml_region_pci(struct aml *a, const char *name, uint32_t offset, uint32_t len)
{
    aml_u8(a, 0x5b);
    aml_u8(a, 0x80);
    aml_path(a, name);
    aml_u8(a, 0x02); /* PCI_Config */
    aml_int(a, offset);
    aml_int(a, len);
}

void aml_field_bytes(struct aml *a, const char *region)
{
    aml_u8(a, 0x5b);
    aml_u8(a, 0x81);
    open_frame(a, AML_BLOCK);
    aml_path(a, region);
    aml_u8(a, 0x01); /* ByteAcc, NoLock, Preserve */
}

void aml_field_u8(struct aml *a, const char *name)
{
    put(a, name, 4);
    aml_u8(a, 8);
}

void aml_field_skip(struct aml *a, unsigned bytes)
{
    aml_u8(a, 0);
    aml_u8(a, (uint8_t)(bytes * 8));
}

void aml_name(struct aml *a, const char *name)
{
    aml_u8(a, 0x08);
    aml_path(a, name);
}

void aml_name_int(struct aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

void aml_name_str(struct aml *a, const char *name, const char *s)
{
    aml_name(a, name);
    aml_str(a, s);
}

void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
    aml_name_int(a, name, aml_eisaid(id));
}

void aml_bytes(struct aml *a, const void *data, size_t len)
{
    aml_u8(a, 0x11);
    open_frame(a, AML_BLOCK);
    aml_int(a, len);
    put(a, data, len);
    aml_end(a);
}

void aml_resources(struct aml *a)
{
    aml_u8(a, 0x11);
    open_frame(a, AML_BUFFER);
}

static void le16(struct aml *a, uint16_t v)
{
    aml_u8(a, (uint8_t)v);
    aml_u8(a, (uint8_t)(v >> 8));
}

static void le32(struct aml *a, uint32_t v)
{
    le16(a, (uint16_t)v);
    le16(a, (uint16_t)(v >> 16));
}

static void le64(struct aml *a, uint64_t v)
{
    le32(a, (uint32_t)v);
    le32(a, (uint32_t)(v >> 32));
}

void aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
    aml_u8(a, 0x47);
    aml_u8(a, 0x01); /* decodes 16 bits */
    le16(a, base);
    le16(a, base);
    aml_u8(a, 1);
    aml_u8(a, len);
}

void aml_res_irq(struct aml *a, uint16_t mask)
{
    aml_u8(a, 0x22);
    le16(a, mask);
}

void aml_res_irq_shared(struct aml *a, uint16_t mask)
{
    aml_u8(a, 0x23);
    le16(a, mask);
    aml_u8(a, 0x18); /* level, active low, shared */
}

void aml_res_gsi_shared(struct aml *a, uint32_t gsi)
{
    aml_u8(a, 0x89);
    le16(a, 6);
    aml_u8(a, 0x09); /* consumer, level, active high, shared */
    aml_u8(a, 1);
    le32(a, gsi);
}

void aml_res_mem32(struct aml *a, uint32_t base, uint32_t len)
{
    aml_u8(a, 0x86);
    le16(a, 9);
    aml_u8(a, 1); /* writable */
    le32(a, base);
    le32(a, len);
}

/* 6.4.3.5: address spaces; type 0 memory, 1 I/O, 2 bus numbers. Producer, both ends fixed. */
static void window_head(struct aml *a, uint8_t tag, uint16_t len, uint8_t type, uint8_t specific)
{
    aml_u8(a, tag);
    le16(a, len);
    aml_u8(a, type);
    aml_u8(a, 0x0c); /* _MIF, _MAF; positive decode; producer */
    aml_u8(a, specific);
}

static void window16(struct aml *a, uint8_t type, uint8_t specific, uint16_t first, uint16_t last)
{
    window_head(a, 0x88, 13, type, specific);
    le16(a, 0);
    le16(a, first);
    le16(a, last);
    le16(a, 0);
    le16(a, (uint16_t)(last - first + 1));
}

void aml_res_bus(struct aml *a, uint16_t first, uint16_t last)
{
    window16(a, 2, 0, first, last);
}

void aml_res_window_io(struct aml *a, uint16_t first, uint16_t last)
{
    window16(a, 1, 0x03, first, last); /* ISA and non-ISA addresses */
}

void aml_res_window32(struct aml *a, uint32_t first, uint32_t last)
{
    window_head(a, 0x87, 23, 0, 0x01); /* read-write, not cacheable */
    le32(a, 0);
    le32(a, first);
    le32(a, last);
    le32(a, 0);
    le32(a, last - first + 1);
}

void aml_res_window64(struct aml *a, uint64_t first, uint64_t last)
{
    window_head(a, 0x8a, 43, 0, 0x03); /* read-write, cacheable */
    le64(a, 0);
    le64(a, first);
    le64(a, last);
    le64(a, 0);
    le64(a, last - first + 1);
}
