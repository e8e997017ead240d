/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. The first failed allocation sticks in `failed` and later appends do
 * nothing, so a writer checks once at its end. The owner frees it with buf_free; a zeroed struct is
 * an empty buffer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct buf {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

void buf_free(struct buf *buf);
#define cleanup_buf CLEANUP(buf_free)

/* Room for `len` more bytes, zeroed and counted in; NULL when memory is out. */
void *buf_grow(struct buf *buf, size_t len);
void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_u8(struct buf *buf, uint8_t v);
void buf_put_le16(struct buf *buf, uint16_t v);
void buf_put_le32(struct buf *buf, uint32_t v);
void buf_put_le64(struct buf *buf, uint64_t v);
void buf_put_str(struct buf *buf, const char *s); /* without its NUL */
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *
buf_cstr(struct buf *buf); /* NUL-terminated (the NUL is not counted); "" when empty or failed */
