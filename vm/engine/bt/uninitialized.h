/* SPDX-License-Identifier: Apache-2.0 */
/* Locals that are written before they are read. The compiler is told to zero all of them, which is
 * most of the work where they are large and used often. */
#pragma once

#if __has_attribute(uninitialized)
#define BT_UNINITIALIZED __attribute__((uninitialized))
#else
#define BT_UNINITIALIZED
#endif
