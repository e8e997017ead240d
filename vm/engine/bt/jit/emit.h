/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the translator share (translate.c has the model): private to translate.c,
 * emit_*.c and liveness.c.
 *
 * A part emits one guest instruction and says whether it could; false: it has emitted nothing, and
 * the instruction becomes a step. */
#pragma once

#include <stddef.h>

#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/jit/translate.h"

enum { T1 = JIT_T1, T2 = JIT_T2 };

/* The status flags as struct bt_insn has them: OF as bit 1. */
enum { EMIT_OF = 2, EMIT_FLAGS = (BT_FLAGS_STATUS & 0xff) | EMIT_OF };

/* What is known of a register's low bits: its value is `residue` modulo 1 << bits. */
struct emit_known {
    uint8_t bits, residue;
};
enum { EMIT_KNOWN_BITS = 6 };

/* The same of a base and a scaled index together, of which it is known though it is not of each. */
struct emit_pair {
    uint8_t base, index, scale;
    struct emit_known known; /* no bits: no pair */
};
enum { EMIT_PAIRS = 4 };

/* A linear address in the making. */
struct emit_address {
    uint8_t base, index, scale; /* guest registers or BT_REG_NONE */
    uint8_t seg;                /* CPU_FS, CPU_GS: its base is added; else none */
    bool page;                  /* relative to the page that runs */
    bool narrow;                /* cut to 32 bits before the segment's base is added */
    int64_t disp;
};

/* One memory access. */
struct emit_access {
    struct emit_address address;
    uint8_t size; /* bytes, 1 to 32 */
    bool write;
    bool will_write; /* a store there follows at once: by its entry */
    bool loose; /* 16 bytes or more that need not be aligned: it may cross pages in translated code
                 */
    bool free_t1;  /* T1 is wanted for something else by the access itself */
    bool certain;  /* the access itself must not trap */
    bool strict;   /* atomic: what is not aligned is for the interpreter */
    unsigned live; /* flags that must survive */
};

/* The last access: while T1, T2 and the registers of its address stay, one more at the same address
 * needs no look-up. Whoever resumes in between has lost T1 and T2: `site` is then not to be
 * resumed.
 */
struct emit_held {
    bool valid, write;
    bool crossing; /* it may have been a copy of what is on two pages: aligned, whatever that is */
    uint8_t size;
    unsigned site;
    struct emit_address address;
    struct encode_mem mem;
};

/* Code out of line, behind the unit. */
struct emit_late {
    uint8_t *place; /* of the jump here */
    uint32_t site;  /* index; LATE_JUMP: none */
    uint8_t kind;   /* enum emit_late_kind */
    uint8_t saved;  /* enum emit_saved */
    bool recompute; /* T1 is lost */
    bool write;     /* LATE_CROSS: a store */
    uint8_t size;   /* LATE_CROSS */
    uint16_t insn;  /* LATE_CROSS: index of the instruction */
    uint32_t back;  /* LATE_CROSS: where it goes on: in front of the access, behind a store */
    struct emit_address address;
};

enum emit_late_kind { LATE_LEAVE, LATE_ACCESS, LATE_JUMP, LATE_CROSS };
enum emit_saved { SAVED_NOT, SAVED_FLAGS, SAVED_FLAGS_OF, SAVED_IN_SLOT = 4 };

enum { LATE_MAX = 6 * TRANSLATE_INSNS_MAX + 1 };

struct emit {
    const struct translate_input *in;
    struct encode *e;
    struct jit_site *site;
    struct jit_mark *mark;
    unsigned site_count, mark_count, late_count;
    uint32_t site_address, unit_address;
    unsigned word;   /* bytes of pointers, stack slots and near branches: 8, in 32-bit code 4 */
    uint8_t *begin;  /* of the unit */
    uint32_t code;   /* run address: where links enter */
    uint32_t refuse; /* as in struct jit_unit */
    struct emit_known known[CPU_GPRS];
    struct emit_pair pair[EMIT_PAIRS];
    unsigned pair_next; /* the one to go when another comes */
    struct emit_held held;
    /* By bits of T1 and T2: which of the host's R10 and R11 are the guest's now, and which of those
     * their slots do not know yet. Only between instructions on registers alone. */
    uint16_t cached, dirty;
    uint8_t live_vec;           /* JIT_LIVE_*: checked already */
    bool accessed;              /* the table has been looked at on every way to here */
    const struct bt_insn *insn; /* the current one */
    unsigned at;                /* which that is of `insns` */
    uint16_t offset;            /* in the page */
    uint8_t live;               /* status flags wanted in front of it */
    uint8_t live_out;           /* by what comes after it */
    /* A loop of its own: its instructions are there twice; `turn` is the jump back in the first
     * copy, `second` where the other begins (0: no loop), in code and in what is known there. */
    unsigned turn, second;
    uint32_t second_code;
    uint8_t second_live_vec;
    struct emit_known second_known[CPU_GPRS];
    struct emit_pair second_pair[EMIT_PAIRS];
    unsigned skip;    /* how many of the next instructions the last one has done, too */
    uint8_t *skip_at; /* where that of the first begins; NULL: none of them traps */
    unsigned count, translated;
    /* Large, and not cleared for each unit: what is used of them is written first. */
    struct emit_late late[LATE_MAX];
    struct bt_insn insns[TRANSLATE_INSNS_MAX];
    uint16_t offsets[TRANSLATE_INSNS_MAX + 1];
    uint32_t sums[TRANSLATE_INSNS_MAX]; /* of their bytes: block_sum */
    uint8_t lives[TRANSLATE_INSNS_MAX], live_after[TRANSLATE_INSNS_MAX];
};

static inline struct emit_known emit_known_stack(const struct emit *t)
{
    return (struct emit_known){t->word == 8 ? 3 : 2, 0};
}

/* Fields of the vCPU, by absolute address. */
#define EMIT_FIELD(t, field) \
    encode_absolute((uint32_t)(uintptr_t)(t)->in->vcpu + (uint32_t)offsetof(struct bt_vcpu, field))
static inline struct encode_mem emit_slot(const struct emit *t, unsigned reg)
{
    return encode_absolute((uint32_t)(uintptr_t)t->in->vcpu +
                           (uint32_t)offsetof(struct bt_vcpu, gpr) + 8 * reg);
}
static inline bool emit_in_slot(unsigned reg)
{
    return reg == T1 || reg == T2;
}

/* A word of memory, zero-extended. */
static inline void emit_load_word(struct emit *t, unsigned reg, struct encode_mem mem)
{
    if (t->word == 8)
        encode_load(t->e, reg, mem);
    else
        encode_load32(t->e, reg, mem);
}
static inline void emit_store_word(struct emit *t, struct encode_mem mem, unsigned reg)
{
    if (t->word == 8)
        encode_store(t->e, mem, reg);
    else
        encode_store32(t->e, mem, reg);
}

/* translate.c: sites and what leads to them. */
struct jit_site *emit_site(struct emit *t, enum jit_site_kind kind);
struct emit_late *emit_late(struct emit *t, enum emit_late_kind kind, uint8_t *place);
void emit_leave(struct emit *t, const struct jit_site *site); /* here */
uint32_t emit_site_address(const struct emit *t, const struct jit_site *site);

/* T1 or T2 have been lost, or may be. */
static inline void emit_drop(struct emit *t)
{
    t->held.valid = false;
}

/* emit_memory.c */
struct emit_address emit_operand(const struct emit *t); /* the instruction's memory operand */
struct emit_address emit_operand_of(const struct bt_insn *insn, unsigned offset);
bool emit_same_address(const struct emit_address *a, const struct emit_address *b);
void emit_linear(struct emit *t, const struct emit_address *a); /* T1 = the address; T2 is lost */
/* The look-up and the check. The access is then to be made, once, at the operand that is returned:
 * T2, which must stay, and T1, unless free_t1. */
struct encode_mem emit_access(struct emit *t, const struct emit_access *access);
bool emit_is_careful(const struct emit *t); /* has the current one been met unaligned? */
struct emit_known emit_known_address(const struct emit *t, const struct emit_address *a);
/* As much as `want`, or more, and the same. */
bool emit_knows(struct emit_known have, struct emit_known want);
/* Of a pair; no bits if none is. */
struct emit_known emit_known_pair(const struct emit *t, unsigned base, unsigned index,
                                  unsigned scale);
/* Borrows RAX, by way of T1: the flags in `live` survive up to the restore. */
enum emit_saved emit_save_flags(struct emit *t, unsigned live);
void emit_restore_flags(struct emit *t, enum emit_saved saved);

/* emit_cross.c */
bool emit_may_cross(const struct emit *t, const struct emit_access *access);
void emit_cross(struct emit *t, const struct emit_late *late);

/* emit_copy.c: the same instruction on the host's registers. */
bool emit_keeps(const struct emit *t); /* the current one leaves cached registers alone */
void emit_flush(struct emit *t);       /* R10 and R11 to their slots; T1 and T2 are free again */
bool emit_copy(struct emit *t);
bool emit_lea(struct emit *t);
/* What is known of registers, behind the current instruction. Of RSP it is checked, and the unit
 * left, if need be. */
void emit_learn(struct emit *t);
uint32_t emit_written(const struct bt_insn *insn); /* general registers, as bits */

/* emit_legacy.c: forms that 64-bit code has not, as those that it has. */
void emit_adapt(struct bt_insn *insn);
/* What of 32-bit code is not what the same bytes would be on the host. */
bool emit_is_strange(const struct bt_insn *insn);

/* emit_bit.c */
bool emit_bit_string(struct emit *t);

/* emit_string.c */
bool emit_string(struct emit *t);

/* emit_vector.c */
bool emit_vector(struct emit *t);

/* emit_stack.c */
bool emit_give_up_frame(struct emit *t); /* ADD to RSP, with the pops and the return behind it */
bool emit_push(struct emit *t);
bool emit_push_seg(struct emit *t);
bool emit_pop(struct emit *t);
bool emit_leave_frame(struct emit *t);
void emit_push_from(struct emit *t, struct encode_mem from); /* a word in jit.save or a slot */
void emit_push_return(struct emit *t);                 /* the address behind the instruction */
void emit_pop_target(struct emit *t, unsigned beyond); /* T1 = the return address; RSP moves on */
bool emit_read_operand(struct emit *t, unsigned size); /* T1 = the memory operand */

/* emit_system.c */
bool emit_cli(struct emit *t);
bool emit_sti(struct emit *t);
bool emit_pushf(struct emit *t);
bool emit_mov_seg(struct emit *t);
bool emit_rdtsc(struct emit *t);

/* emit_flow.c: each ends the unit, or one way through it. */
bool emit_jump(struct emit *t);
bool emit_call(struct emit *t);
bool emit_return(struct emit *t);
bool emit_jcc(struct emit *t);
bool emit_loop(struct emit *t);
void emit_goto(struct emit *t, int64_t target); /* an offset in the page, or beyond it */
void emit_far(struct emit *t, int64_t target);  /* likewise, beyond it */
void emit_look_up(struct emit *t);              /* T1 = the target */
void emit_look_up_any(struct emit *t);          /* likewise, which may be any value */
int64_t emit_target(const struct emit *t);      /* of the current instruction, a direct jump */

/* liveness.c: fills in t->lives, backwards. */
void emit_liveness(struct emit *t);
