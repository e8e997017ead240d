/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people and files write them, read strictly: the whole text must be the number. No
 * leading blanks, no sign where none is meant, no silent wrap, no locale.
 *
 * All return 0, -EINVAL (not a number) or -ERANGE (a number, but outside what was asked for), and
 * write *ret_v only on success. A NULL text is -EINVAL. */
#pragma once

#include <stdint.h>

/* Decimal, or hexadecimal after 0x; within [min, max]. A leading zero does not mean octal. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v);
int parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret_v);

/* Decimal with an optional '-'; within [min, max]. */
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_v);

/* A size in bytes: decimal digits and at most one of K M G T P in either case (powers of 1024).
 * Without a letter the number counts `unit`: 1 where bytes are usual, MIB(1) for a VM's memory. */
int parse_size(const char *text, uint64_t unit, uint64_t *ret_bytes);
