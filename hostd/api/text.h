/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, where both bindings write them alike: XML Schema's dateTime and base64Binary. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "hostd/api/vim.h"

enum { TEXT_TIME_MAX = 40 };

/* "2026-11-20T10:41:18.000001Z". Years outside 0001 to 9999 are cut to these. */
const char *text_time(char text[TEXT_TIME_MAX], int64_t usec);
/* With or without fraction (beyond microseconds cut off) and zone (none: UTC). 0 or -EINVAL. */
int text_parse_time(const char *text, int64_t *ret_usec);

void text_base64(struct buf *out, const uint8_t *data, size_t len);
/* White space between is skipped. 0 or -EINVAL. */
int text_parse_base64(struct arena *arena, const char *text, struct vim_binary *ret_binary);

/* "Powered on" of poweredOn: how texts name an enum's value. */
char *text_words(struct arena *arena, const char *camel);

/* Reads one plain value (neither reference nor data object nor any) of this shape's kind from its
 * text. 0, or -EINVAL: it is none. */
int text_parse_value(struct arena *arena, struct vim_shape shape, const char *text,
                     struct vim_any *ret_value);
/* A number or boolean as text. */
const char *text_scalar(char text[TEXT_TIME_MAX], const struct vim_any *value);
