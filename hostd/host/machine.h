/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine under us is, read from Linux once at the start (/proc, /sys), and what it does
 * now. Missing sources leave plain defaults: a container has no DMI. */
#pragma once

#include <stdint.h>

enum { MACHINE_TEXT = 128, MACHINE_CPUID_MAX = 16 };

struct machine {
    char host_name[65];
    char domain_name[128];
    char vendor[MACHINE_TEXT], model[MACHINE_TEXT], serial[MACHINE_TEXT];
    char bios_vendor[MACHINE_TEXT], bios_version[MACHINE_TEXT];
    char uuid[37]; /* lower case, RFC 4122 */
    char cpu_vendor[16], cpu_model[MACHINE_TEXT];
    unsigned packages, cores, threads;
    uint64_t cpu_hz;
    uint64_t memory; /* bytes */
    int64_t boot_us; /* since 1970 */
    struct machine_cpuid {
        uint32_t leaf, eax, ebx, ecx, edx;
    } cpuid[MACHINE_CPUID_MAX];
    unsigned cpuid_count;
};

/* `fallback_uuid` where the firmware tells none. */
void machine_read(struct machine *machine, const char *fallback_uuid);

uint64_t machine_memory_used(const struct machine *machine); /* bytes, now */
