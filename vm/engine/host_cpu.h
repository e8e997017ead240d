/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor that we run on says of itself, as far as a machine of ours depends on it. */
#pragma once

/* Bits of a physical address; a guest's are the same. */
unsigned host_phys_bits(void);
