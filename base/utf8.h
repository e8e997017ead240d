/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text);

/* Number of code points of valid UTF-8. */
size_t utf8_count(const char *text);
