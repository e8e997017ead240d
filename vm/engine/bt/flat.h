/* SPDX-License-Identifier: Apache-2.0 */
/* The flat tables: how translated code gets from a linear address to a host address in three
 * instructions that leave the flags alone.
 *
 *     lea  T1, [ea]                 the linear address, 64 bits, canonical or not
 *     rorx T2, T1, 12
 *     mov  T2, gs:[T2d * 8 + view]  the entry; the address is cut to 32 bits by its prefix
 *     ...  [T1 + T2]                the access, or a load of the code map (below)
 *
 * A table is 4 GiB of address space (2^29 entries of 8 bytes), of which the host gives memory to
 * what is used. A page's index is bits 12 to 40 of its address; its four entries (enum flat_view)
 * are at that index and at those quarters of the table further (mod 2^29): `view` above is that
 * distance, as the displacement.
 *
 * Entries are differences:
 *   load, store  host address of the page in the view of guest RAM, less its linear address
 *   exec         FLAT_EXEC_BASE + the address of the page's code map / 4, less its linear address;
 *                a code map is 4096 words of 32 bits, one for each offset in the page: where
 *                translated code for it begins (cache.h). So the sum T1 + T2, times 4, is the
 *                address of the word. 64-bit code has exec entries of its own, and 32-bit code
 *                others: what is in a page means something else to each.
 *   empty        FLAT_EMPTY + 1 + the address of the vCPU's miss map / 4, less the linear address
 *                that its slot is taken to stand for: the sum of an aligned address and an empty
 *                entry is odd and negative, which is what the inline check looks for, and whatever
 *                is accessed there faults; four times the sum is in the miss map, a code map (and a
 *                word) all of whose words are the way out. So neither takes a signal. Which linear
 *                address a slot stands for is guessed from who first met its part of the table;
 *                where the guess is wrong, a look-up of code faults.
 *
 * No tags, and no way out. The same slot is used by addresses, and views, that differ in bits 39
 * and up; so whatever an address is paired with, the sum is off by a multiple of 2^39 (mod 2^64).
 * All those places are reserved without access when the VM is made:
 *   - guest RAM's view with a page on either side, and the quarter addresses of the code maps, in
 *     each of the 256 windows of 2^39 bytes: for data accesses by any entry;
 *   - four times the addresses of RAM's view, and the code maps' own addresses, in each of the 64
 *     windows of 2^41: for look-ups of code by any entry;
 * and everything else is not canonical or the host kernel's. So an access by any 64-bit linear
 * address whatever through any entry whatever ends in guest RAM or in a signal, and a look-up of
 * code in a code map or in a signal. Untouched parts of a table have no access either (their zeros
 * would be entries); they are filled with empty entries when they are first met.
 *
 * The factor 4 drops bits 62 and 63 of a target. So whoever jumps to an address that the guest has
 * made asks first whether it is canonical (emit_look_up_any); for all others that are not, either
 * load of a look-up traps.
 *
 * Who may use which: one table for each of MMU_SPACES address spaces with what user code may
 * access, and one, shared by all of them, with what the supervisor may: pages that are the
 * supervisor's own, and those of the user only while CR4.SMAP is clear. Global pages therefore stay
 * when CR3 changes. While CR4.SMAP and RFLAGS.AC are set, the supervisor has a third one, again for
 * each space, with pages of either kind. So whatever changes privilege, the space, or AC changes
 * GS's base: flat_base.
 *
 * Each table logs what was filled, so that emptying costs no more than filling did. A vCPU's tables
 * are its own: no locks. The view is the VM's. Accesses must not cross pages: the inline check, or
 * the translator's knowledge of the address, sees to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bt_vm;
struct bt_vcpu;
struct flat_view_map;
struct flat;

/* Displacements, as signed 32 bits. */
enum flat_view {
    FLAT_LOAD = 0,
    FLAT_STORE = INT32_MIN,
    FLAT_EXEC = 1 << 30,
    FLAT_EXEC32 = -(1 << 30), /* the same, for 32-bit code */
};

/* Of code of this mode (BT_MODE_*). */
enum flat_view flat_exec(uint32_t mode);

#define FLAT_EMPTY      UINT64_C(0xc000000000000000)
#define FLAT_EXEC_BASE  UINT64_C(0x4000000000000000)
#define FLAT_TABLE_SIZE (UINT64_C(1) << 32) /* bytes */
/* More guest RAM than this: -E2BIG; the engine then interprets. */
#define FLAT_RAM_MAX    (UINT64_C(64) << 30)

enum { FLAT_MAP_BYTES = 4096 * 4 }; /* of one page's code map, and its alignment */

/* Of a VM: the second mapping of guest RAM, room for code maps, and the reservations. To be called
 * before the sandbox closes. -E2BIG, -ENOMEM, or what mmap says; the engine goes on without. */
int flat_vm_create(struct bt_vm *vm, uint64_t map_bytes, struct flat_view_map **ret_map,
                   struct err *err);
void flat_vm_destroy(struct flat_view_map *map);
/* Room for code maps: `map_bytes` at this address, without memory until they are written. Low
 * enough for FLAT_EXEC_BASE + address / 4 to mean what it should. */
uint8_t *flat_maps(struct flat_view_map *map);
/* Of a vCPU: 4097 words, which jit/cache.c fills before anything is looked up. */
uint32_t *flat_miss_map(const struct bt_vcpu *vcpu);
/* Where the view has guest RAM, in the order of the memfd. */
uint8_t *flat_ram(struct flat_view_map *map);

int flat_create(struct bt_vcpu *vcpu); /* makes vcpu->flat (NULL stays when the VM has none) */
void flat_destroy(struct bt_vcpu *vcpu);

/* What GS's base has to be for the vCPU's current privilege, address space and AC. */
uint64_t flat_base(const struct bt_vcpu *vcpu);
/* A base with which every look-up faults: how a running vCPU is called (jit.h). One a process. */
uint64_t flat_poison(void);

/* After a slow access to `linear` has been done by the interpreter: enters its page, as far as the
 * TLB (mmu.h) has it now, for the current privilege. Nothing when it is not RAM or not allowed. */
void flat_note(struct bt_vcpu *vcpu, uint64_t linear);
/* The page of `linear` executes by this code map, in code of the current mode's size. The caller
 * knows that it may; but this may raise a page fault. */
void flat_note_code(struct bt_vcpu *vcpu, uint64_t linear, const uint32_t *map);

/* For the signal handler: is `address` in a part of one of this vCPU's tables that was never
 * filled? Then it is now, and the instruction may run again. `near`: a linear address as the one
 * that was looked up, within 2^38. Async-signal-safe. */
bool flat_populate(struct bt_vcpu *vcpu, uint64_t address, uint64_t near);

/* For tests: takes all memory from the tables, which get no more than so many chunks from here on
 * (flat.c), as if the host had none. */
void flat_limit(struct bt_vcpu *vcpu, unsigned chunks);

/* mmu.c: what it drops from the TLB goes from the tables too. The current space: */
void flat_flush(struct bt_vcpu *vcpu);     /* all but global pages */
void flat_flush_all(struct bt_vcpu *vcpu); /* every space, global pages too */
void flat_flush_space(struct bt_vcpu *vcpu, unsigned table);
/* Another space becomes the current one: what is not global leaves the supervisor's table. */
void flat_leave_space(struct bt_vcpu *vcpu);
/* One page of `linear`, or the 2 MiB, 4 MiB around it (`bytes`: 4096 << n). */
void flat_flush_range(struct bt_vcpu *vcpu, uint64_t linear, uint64_t bytes);
/* Store entries: all of them, or those of one page of RAM (in the VM's numbering). */
void flat_drop_writable(struct bt_vcpu *vcpu);
void flat_protect(struct bt_vcpu *vcpu, uint64_t page);
