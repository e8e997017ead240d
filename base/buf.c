/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

static bool reserve(struct buf *buf, size_t more)
{
    size_t need, cap = buf->cap ? buf->cap : 256;

    if (buf->failed || __builtin_add_overflow(buf->len, more, &need))
        return false;
    if (need <= buf->cap)
        return true;
    while (cap < need)
        if (__builtin_mul_overflow(cap, (size_t)2, &cap))
            return false;
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

void *buf_grow(struct buf *buf, size_t len)
{
    if (!reserve(buf, len)) {
        buf->failed = true;
        return NULL;
    }
    void *at = buf->data + buf->len;
    memset(at, 0, len);
    buf->len += len;
    return at;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
    void *at = len ? buf_grow(buf, len) : NULL;

    if (at)
        memcpy(at, data, len);
}

void buf_put_u8(struct buf *buf, uint8_t v)
{
    buf_put(buf, &v, 1);
}

void buf_put_le16(struct buf *buf, uint16_t v)
{
    uint8_t b[2];
    le16_store(b, v);
    buf_put(buf, b, sizeof b);
}

void buf_put_le32(struct buf *buf, uint32_t v)
{
    uint8_t b[4];
    le32_store(b, v);
    buf_put(buf, b, sizeof b);
}

void buf_put_le64(struct buf *buf, uint64_t v)
{
    uint8_t b[8];
    le64_store(b, v);
    buf_put(buf, b, sizeof b);
}

void buf_put_str(struct buf *buf, const char *s)
{
    buf_put(buf, s, strlen(s));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0 || !reserve(buf, (size_t)n + 1)) {
        buf->failed = true;
    } else {
        (void)vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

const char *buf_cstr(struct buf *buf)
{
    if (!reserve(buf, 1))
        return "";
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}
