/* SPDX-License-Identifier: Apache-2.0 */
/* One block of guest code into one unit of host code (jit.h has the model).
 *
 * The translator is a function of the guest's bytes, the mode, and what it is told here; it looks
 * at no guest state. It reads the bytes once: the caller has set the page's code bit before
 * (block.h) and checks afterwards that the page's word has not changed.
 *
 * A unit has two entries: `code`, for links within the page, and `entry` before it, for jumps by
 * the code map, where T1 is the linear address of the target and vcpu->jit.page is set from it.
 *
 * An access that needs no check (its address is known to be aligned) has its site all the same: it
 * is left by the trap that an empty table entry gives (trap.c finds the mark, and perhaps the site:
 * they are in the order of the instructions). T1 is the linear address at every host access and its
 * look-up. The look-up of a jump's target comes when the instruction has been done, with T1 the
 * target.
 *
 * An instruction that goes on in the next page is a unit of its own. It first looks whether the
 * next page is the one that its bytes are from; if not it leaves at a site of kind JIT_SITE_END
 * with the instruction's own offset and length.
 *
 * Whatever is not of the list in translate.c is a site of kind JIT_SITE_STEP.
 * Precise: when a unit leaves or traps, all registers and the status flags (jit.h says which may
 * differ) are those in front of the instruction at the site or at the trap: an instruction changes
 * guest state in its last host instruction that may trap, or behind it. */
#pragma once

#include "vm/engine/bt/jit/encode.h"
#include "vm/engine/bt/jit/jit.h"

enum jit_site_kind {
    JIT_SITE_STEP,   /* the interpreter carries the instruction out, then `resume` */
    JIT_SITE_ACCESS, /* likewise, and jit.linear is the address of its memory operand: flat_note */
    JIT_SITE_LINK, /* a jump in the page whose target has no unit, or was not linked yet: `link` */
    JIT_SITE_JUMP, /* to jit.linear: the code map has nothing there, or the look-up has faulted; by
                      the stub `miss` or by trap.c */
    JIT_SITE_LIVE, /* vector registers are wanted: `need`; then `resume`, which is the same check
                      again; if they may not run, the instruction is stepped */
    JIT_SITE_END,  /* of the unit, for no other reason: goes on at `offset` */
    JIT_SITE_KINDS
};

/* Below 2 GiB, in memory of the cache's that is not executable. */
struct jit_site {
    uint8_t kind;
    uint8_t need;    /* LIVE: JIT_LIVE_* */
    uint8_t length;  /* of the instruction */
    uint8_t align;   /* ACCESS: `resume` holds only if no bit of jit.linear & align is set: the code
                        behind relies on it; else go on behind the instruction as from an END */
    uint16_t offset; /* of the instruction in the page; LINK, END: of the target */
    uint16_t misses; /* ACCESS: how often its check refused an address whose page is there */
    uint32_t resume; /* run address; 0: the unit ends with this instruction */
    uint32_t link;   /* LINK: run address of the jump's 32-bit distance */
    uint32_t unit;   /* address of its struct jit_unit */
    uint32_t block;  /* the runtime's: address or number of what the interpreter made of it */
    uint32_t sum;    /* of the instruction's bytes (block_sum): `resume` is behind these alone */
};

/* Where a guest instruction's host code begins, for traps. */
struct jit_mark {
    uint32_t code;   /* distance from the unit's first byte */
    uint16_t offset; /* of the instruction in the page */
    uint16_t length;
    uint16_t site; /* index of its first site, if it has one */
};

struct jit_unit {
    uint32_t entry, code, end; /* run addresses */
    uint16_t offset, bytes;    /* in the page */
    uint16_t mark_count, site_count;
    struct jit_mark *mark; /* mark_count, and one more at `end` */
    struct jit_site *site;
    void *page;      /* the cache's (cache.h) */
    bool dead;       /* its page has changed */
    uint32_t refuse; /* of an instruction on two pages: where it leaves in front of it; else 0 */
};

/* No instruction has more than four sites, and one is behind them. */
enum { TRANSLATE_INSNS_MAX = 64, TRANSLATE_SITES_MAX = 4 * TRANSLATE_INSNS_MAX + 1 };

/* Accesses across pages (emit_cross.c), REP STOS and REP MOVS by size (emit_string.c): run
 * addresses. A trap in [load, end) goes on at `fail`. */
enum { TRANSLATE_STRING_SIZES = 4 };
struct translate_stubs {
    uint32_t load, check, store, string[2][TRANSLATE_STRING_SIZES], fail, end;
};

struct translate_input {
    const uint8_t *bytes; /* of the page: 4096 */
    uint16_t offset;
    uint32_t mode; /* BT_MODE_*, as jit_translates wants it */
    /* NULL, or a bit for each offset in the page: the instruction there has been met with an
     * address that is not a multiple of its operand's size: only crossing pages is refused. */
    const uint64_t *careful;
    const struct bt_vcpu *vcpu; /* for the addresses of its fields alone */
    bool watched;               /* by a test, which wants to see the clock read */
    /* Run addresses of the cache's stubs: */
    uint32_t leave;     /* jit.site is set: leave there. T1 is kept as jit.linear */
    uint32_t miss;      /* T1 is the target: leaves at a site of kind JIT_SITE_JUMP */
    uint32_t canonical; /* cache.h: see emit_look_up_any */
    /* NULL, or BT_INSN_MAX bytes: the instruction at `offset` goes on in the next page, and is all
     * that is translated. It holds while that page executes by the code map whose look-up
     * (flat.h) comes to `beyond_sum` for its first byte. */
    const uint8_t *beyond;
    uint64_t beyond_sum;
    const struct translate_stubs *stubs; /* NULL: accesses across pages leave */
};

/* The linear address of the guest's access whose host instruction, at `code`, has trapped with
 * these registers; without meaning if that was a look-up. Async-signal-safe. */
uint64_t translate_linear(const uint8_t *code, const uint64_t gpr[CPU_GPRS]);

/* Writes the code that all units share. */
void translate_stubs(struct encode *e, const struct bt_vcpu *vcpu, uint32_t leave,
                     struct translate_stubs *ret_stubs);

/* Writes code by `e`, sites and marks to the arrays (room for TRANSLATE_SITES_MAX and
 * TRANSLATE_INSNS_MAX + 1), and fills in *ret_unit but for `page`. `unit_address`, `site_address`:
 * where those two will be. -ENOSPC: the buffer is full. -ENOTSUP: not one instruction of it can be
 * translated: interpret it. */
int translate_block(const struct translate_input *in, struct encode *e, uint32_t unit_address,
                    uint32_t site_address, struct jit_site *site, struct jit_mark *mark,
                    struct jit_unit *ret_unit);
