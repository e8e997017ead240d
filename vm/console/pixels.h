/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of pixels, four bytes each, little-endian, of which the upper one does not count. They may
 * lie in foreign memory, at any address, and change meanwhile. */
#pragma once

#include <stdint.h>

/* Without the upper bytes. */
void pixels_copy(uint32_t *to, const void *from, uint32_t count);
/* Lines of the same hash are taken for the same; whoever makes two of them spoils his own screen.
 */
uint64_t pixels_hash(const void *at, uint32_t count);
