/* SPDX-License-Identifier: Apache-2.0 */
/* x87, MMX, SSE, AVX: carried out by the host's own processor on the guest's register image.
 *
 * When an instruction enters a block, vec_bind finds (or writes) a stub for it: a few host
 * instructions that load the operands from the image, execute that one instruction and store the
 * result. Stubs are canonical: the registers are always the same few ones, memory is one scratch
 * buffer, so there are about as many as there are opcodes (times their immediates), they serve all
 * vCPUs, and none is ever changed or dropped. Each is built from the decoded instruction, never
 * copied from guest bytes, and decoded again before it is accepted. They live in a sealed memfd
 * that is mapped twice, once writable and once executable; vec_create maps it, so that afterwards
 * no system call is needed. A stub's instruction may trap (SIGFPE for unmasked exceptions of SSE,
 * SIGILL for what this host lacks): the signal handler sends it to the stub's second exit, and the
 * guest gets #XM or #UD. vCPU threads must not block these two signals.
 *
 * The image, vcpu->xsave, is the standard form; while a vCPU lives all its components are written
 * out (XSTATE_BV says x87, SSE and AVX), and FIP, FDP and FOP are zero, whatever exception was met.
 *
 * Exceptions are checked in the processor's order: #UD, #NM, #MF, then the memory operand's, then
 * #XM. Deliberately missing: FERR# and IGNNE# (with CR0.NE clear an x87 exception is #MF all the
 * same), and exception pointers. Intel SDM volume 1 chapters 8 to 14, volume 2; AMD64 APM volumes 4
 * and 5. */
#pragma once

#include "base/err.h"
#include "vm/engine/bt/insn.h"

struct vec_cache; /* the stubs of a VM */

/* To be called before the sandbox closes. -ENOMEM or what memfd_create and mmap say. */
int vec_create(struct vec_cache **ret_cache, struct err *err);
void vec_destroy(struct vec_cache *cache);

/* Is it one of ours (BT_INSN_VECTOR, WAIT, saved states)? Then insn->run, insn->vec and
 * insn->vec_reg are set. Any thread. */
bool vec_bind(struct vec_cache *cache, struct bt_insn *insn);

/* The image of another engine, or of power-on, becomes ours: components that it leaves out are
 * written out in their initial state, reserved bits cleared. */
void vec_image_complete(struct bt_vcpu *vcpu);

/* The XCR0 bits that a guest may have, and the size of the standard image for `xcr0`: CPUID leaf
 * 0xD. */
#define VEC_XCR0 UINT64_C(7)
unsigned vec_image_size(uint64_t xcr0);
