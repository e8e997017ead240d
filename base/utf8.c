/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, RFC 3629 section 4. */
#include "base/utf8.h"

/* Length of the sequence at `s` (NUL-terminated), 0 if there is none. */
static unsigned sequence_length(const unsigned char *s)
{
    unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (s[0] > 0xf4)
        return 0;
    for (unsigned i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_valid(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        unsigned n = sequence_length(s);
        if (!n)
            return false;
        s += n;
    }
    return true;
}

size_t utf8_count(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}
