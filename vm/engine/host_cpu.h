/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor that we run on says of itself, as far as a machine of ours depends on it. */
#pragma once

#include <stdint.h>

/* Bits of a physical address. */
unsigned host_phys_bits(void);

/* Those of a guest with so much RAM, whatever the engine, in CPUID and ACPI: 40, or as many as RAM
 * and as much again for devices need; never more than the host's. Not the host's own, because UEFI
 * firmware maps all that there may be: without 1-GiB pages 40 bits take 4 MiB of tables, 48 bits 1
 * GiB. */
unsigned host_guest_phys_bits(uint64_t memory);
