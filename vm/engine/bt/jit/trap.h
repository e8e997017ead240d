/* SPDX-License-Identifier: Apache-2.0 */
/* Signals in translated code (signals.h): what a trap is in the guest's terms, and how a vCPU is
 * called away. */
#pragma once

/* Before the sandbox closes. -errno. */
int trap_create(void);
