/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/state.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

/* What is left to read. Every take checks; the first that fails leaves `data` NULL. */
struct reader {
    const uint8_t *data;
    size_t len;
};

static const uint8_t *take(struct reader *r, size_t len)
{
    if (!r->data || len > r->len) {
        r->data = NULL;
        return NULL;
    }
    const uint8_t *at = r->data;
    r->data += len;
    r->len -= len;
    return at;
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? le32_load(p) : 0;
}

static bool take_name(struct reader *r, size_t len, const char *name)
{
    const uint8_t *p = take(r, len);
    return p && len == strlen(name) && !memcmp(p, name, len);
}

/* --- saving --- */

static void put_fields(const struct state_table *table, const uint8_t *object, struct buf *out);

/* Writes a u32 that will be the number of bytes put after it; returns where it stands. */
static size_t open_length(struct buf *out)
{
    buf_put_le32(out, 0);
    return out->len;
}

static void close_length(struct buf *out, size_t start)
{
    if (!out->failed)
        le32_store(out->data + start - 4, (uint32_t)(out->len - start));
}

static void put_scalars(const struct state_field *f, const uint8_t *at, struct buf *out)
{
    unsigned size = STATE_SIZE_(f->type);

    for (uint32_t i = 0; i < f->count; i++, at += size) {
        uint64_t v = size == 1 ? *at : 0;
        if (size == 2)
            v = *(const uint16_t *)(const void *)at;
        else if (size == 4)
            v = *(const uint32_t *)(const void *)at;
        else if (size == 8)
            v = *(const uint64_t *)(const void *)at;
        uint8_t le[8];
        le_store(le, size, v);
        buf_put(out, le, size);
    }
}

static void put_fields(const struct state_table *table, const uint8_t *object, struct buf *out)
{
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct state_field *f = &table->fields[i];
        buf_put_u8(out, (uint8_t)strlen(f->name));
        buf_put_str(out, f->name);
        buf_put_u8(out, (uint8_t)f->type);
        buf_put_le32(out, f->count);
        if (f->type != STATE_TABLE) {
            put_scalars(f, object + f->offset, out);
            continue;
        }
        for (uint32_t k = 0; k < f->count; k++) {
            size_t start = open_length(out);
            put_fields(f->table, object + f->offset + (size_t)k * f->table->size, out);
            close_length(out, start);
        }
    }
}

void state_save(const struct state_table *table, const void *object, struct buf *out)
{
    buf_put_le16(out, (uint16_t)strlen(table->name));
    buf_put_str(out, table->name);
    buf_put_le16(out, table->version);
    size_t start = open_length(out);
    put_fields(table, object, out);
    close_length(out, start);
}

/* --- restoring: one walk that only checks, then the same walk that stores --- */

static void store_scalars(const struct state_field *f, const uint8_t *p, uint8_t *at)
{
    unsigned size = STATE_SIZE_(f->type);

    for (uint32_t i = 0; i < f->count; i++, at += size, p += size) {
        uint64_t v = le_load(p, size);
        if (f->type == STATE_BOOL)
            *(bool *)at = v != 0;
        else if (size == 1)
            *at = (uint8_t)v;
        else if (size == 2)
            *(uint16_t *)(void *)at = (uint16_t)v;
        else if (size == 4)
            *(uint32_t *)(void *)at = (uint32_t)v;
        else
            *(uint64_t *)(void *)at = v;
    }
}

static int walk(const struct state_table *table, uint16_t version, uint8_t *object,
                struct reader *r, bool store, struct err *err);

static int walk_field(const struct state_field *f, uint16_t version, uint8_t *object,
                      struct reader *r, bool store, struct err *err)
{
    const uint8_t *len = take(r, 1);
    if (!len || !take_name(r, *len, f->name))
        return err_set(err, -EBADMSG, "field \"%s\" is not where it should be", f->name);
    const uint8_t *type = take(r, 1);
    uint32_t count = take_u32(r);
    if (!type || !r->data || *type != f->type || count != f->count)
        return err_set(err, -EBADMSG, "field \"%s\" has another type or count", f->name);
    if (f->type != STATE_TABLE) {
        const uint8_t *p = take(r, (size_t)count * STATE_SIZE_(f->type));
        if (!p)
            return err_set(err, -EBADMSG, "field \"%s\" is cut off", f->name);
        if (store)
            store_scalars(f, p, object + f->offset);
        return 0;
    }
    for (uint32_t k = 0; k < count; k++) {
        uint32_t part = take_u32(r);
        struct reader sub = {take(r, part), part};
        if (!sub.data)
            return err_set(err, -EBADMSG, "field \"%s\" is cut off", f->name);
        int rc = walk(f->table, version, object + f->offset + (size_t)k * f->table->size, &sub,
                      store, err);
        if (rc < 0)
            return err_prefix(err, rc, "%s[%u]", f->name, k);
    }
    return 0;
}

static int walk(const struct state_table *table, uint16_t version, uint8_t *object,
                struct reader *r, bool store, struct err *err)
{
    for (unsigned i = 0; i < table->field_count; i++) {
        if (table->fields[i].since > version)
            continue;
        int rc = walk_field(&table->fields[i], version, object, r, store, err);
        if (rc < 0)
            return rc;
    }
    return r->len ? err_set(err, -EBADMSG, "%zu bytes that no field claims", r->len) : 0;
}

int state_load(const struct state_table *table, void *object, const uint8_t *data, size_t len,
               size_t *ret_used, struct err *err)
{
    struct reader r = {data, len};
    const uint8_t *name_len = take(&r, 2);

    if (!name_len || !take_name(&r, le16_load(name_len), table->name))
        return err_set(err, -EBADMSG, "saved state: no section \"%s\" here", table->name);
    const uint8_t *v = take(&r, 2);
    uint32_t payload_len = take_u32(&r);
    struct reader payload = {take(&r, payload_len), payload_len};
    if (!v || !payload.data)
        return err_set(err, -EBADMSG, "saved state of \"%s\" is cut off", table->name);
    uint16_t version = le16_load(v);
    if (!version || version > table->version)
        return err_set(
            err, -ENOTSUP,
            "\"%s\" was saved in version %u of its state; this build of Socle knows up to "
            "%u: go on with the build that saved it, or a later one",
            table->name, version, table->version);

    struct reader check = payload;
    int rc = walk(table, version, object, &check, false, err);
    if (rc < 0)
        return err_prefix(err, rc, "saved state of \"%s\"", table->name);
    (void)walk(table, version, object, &payload, true, NULL);
    if (ret_used)
        *ret_used = (size_t)(r.data - data);
    rc = table->post_load ? table->post_load(object, err) : 0;
    return rc < 0 ? err_prefix(err, rc, "saved state of \"%s\"", table->name) : 0;
}

/* --- for people --- */

static void dump(const struct state_table *table, const uint8_t *object, unsigned depth,
                 struct buf *out)
{
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct state_field *f = &table->fields[i];
        if (f->type == STATE_TABLE) {
            for (uint32_t k = 0; k < f->count; k++) {
                buf_printf(out, "%*s%s[%u]:\n", (int)depth * 2, "", f->name, k);
                dump(f->table, object + f->offset + (size_t)k * f->table->size, depth + 1, out);
            }
            continue;
        }
        cleanup_buf struct buf le = {0};
        unsigned size = STATE_SIZE_(f->type);
        put_scalars(f, object + f->offset, &le);
        buf_printf(out, "%*s%s =", (int)depth * 2, "", f->name);
        for (uint32_t k = 0; k < f->count && !le.failed; k++)
            buf_printf(out, " 0x%llx",
                       (unsigned long long)le_load(le.data + (size_t)k * size, size));
        buf_printf(out, "\n");
    }
}

void state_dump(const struct state_table *table, const void *object, struct buf *out)
{
    buf_printf(out, "%s (version %u):\n", table->name, table->version);
    dump(table, object, 1, out);
}
