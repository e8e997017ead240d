/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/host_cpu.h"

#include "base/range.h"

#if defined(__x86_64__)
#include <cpuid.h>

unsigned host_phys_bits(void)
{
    unsigned eax = 0, ebx, ecx, edx;

    /* Intel SDM volume 2, CPUID leaf 0x80000008; 36 where there is none. */
    return __get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx) ? eax & 0xff : 36;
}
#else
unsigned host_phys_bits(void)
{
    return 40;
}
#endif

unsigned host_guest_phys_bits(uint64_t memory)
{
    enum { USUAL = 40 };
    unsigned host = host_phys_bits(), bits = USUAL;

    while (bits < host && BIT64(bits) < 2 * (memory + GIB(4)))
        bits++;
    return MIN(bits, host);
}
