/* SPDX-License-Identifier: Apache-2.0 */
/* Where enter.S finds what it needs in struct bt_vcpu; jit.c asserts it. */
#pragma once

#define VCPU_STATUS    152
#define VCPU_JIT       216
#define JIT_LINEAR     (VCPU_JIT + 32)
#define JIT_HOST_STACK (VCPU_JIT + 40)
#define JIT_LIVE       (VCPU_JIT + 64)
#define JIT_MXCSR      (VCPU_JIT + 68)
#define JIT_IMAGE      (VCPU_JIT + 72)
