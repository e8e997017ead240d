/* SPDX-License-Identifier: Apache-2.0 */
/* Stubs for vector instructions (vec_stub.h): building, keeping, and their two exits.
 *
 * The canonical instruction uses register 1 in ModRM.reg, 2 in ModRM.rm, 3 in VEX.vvvv, 4 in the
 * immediate's upper half, and [RDI] for memory; which of these the opcode has, and whether
 * ModRM.reg is part of the opcode, is found out by decoding candidates: the first one that decodes
 * to the same operation on operands of the same kinds and sizes is taken. So is the mandatory
 * prefix, and W but where it is the size of implicit operands. */
#include "vm/engine/bt/vec_stub.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/engine/bt/signals.h"

/* Room for every stub there can be, a guest that tries all immediates of all opcodes (bt_vec does);
 * pages that are never touched cost nothing. */
enum { CODE_SIZE = 16 << 20, STUBS_MAX = 1 << 17, CACHES_MAX = 16, STUB_BYTES_MAX = 256 };

enum { RCX = 1, RDX = 2, RDI = 7, R8 = 8, R9 = 9, R10 = 10, R11 = 11 };
enum { YMM_HIGH = 576 - 160 }; /* from a register's low half in the image to its high half */

/* Everything of an instruction that its stub depends on, and nothing else: prefixes without a
 * meaning must not make new ones. */
struct stub_key {
    uint16_t op;
    uint8_t map, opcode, modrm, vex, vex_l, w;
    uint8_t has_mem, immediate, size[BT_OPERANDS_MAX];
    uint8_t kind[BT_OPERANDS_MAX];
};

struct stub_slot {
    struct stub_key key;
    struct vec_stub stub;
    uint32_t next; /* in its chain, 0: end */
};

struct vec_cache {
    uint8_t *write, *run; /* the two mappings */
    size_t used;
    uint32_t count;
    pthread_mutex_t lock; /* everything but stubs that have been handed out, which do not change */
    uint32_t head[4096];
    struct stub_slot slot[STUBS_MAX]; /* 0 is not used */
};

/* The signal handler's: where stubs are. A cache never moves. */
static _Atomic(struct vec_cache *) caches[CACHES_MAX];

/* --- Writing code --- */

struct code {
    uint8_t bytes[STUB_BYTES_MAX];
    unsigned len;
};

static void put(struct code *code, const char *bytes, unsigned len)
{
    memcpy(code->bytes + code->len, bytes, len);
    code->len += len;
}
#define PUT(code, bytes) put(code, bytes, sizeof(bytes) - 1)

static void put_byte(struct code *code, unsigned byte)
{
    code->bytes[code->len++] = (uint8_t)byte;
}

/* [base + 416] and immediate 1: the high half in the image */
static void put_high(struct code *code, unsigned opcode, unsigned vvvv, unsigned xmm, unsigned base)
{
    put_byte(code, 0xc4);
    put_byte(code, base & 8 ? 0xc3 : 0xe3);
    put_byte(code, (~vvvv & 15) << 3 | 5);
    put_byte(code, opcode);
    put_byte(code, 0x80 | xmm << 3 | (base & 7));
    put_byte(code, YMM_HIGH & 0xff);
    put_byte(code, YMM_HIGH >> 8);
    PUT(code, "\0\0\1");
}

static void put_xmm(struct code *code, bool vex, bool store, unsigned xmm, unsigned base)
{
    if (vex) {
        put_byte(code, 0xc4);
        put_byte(code, base & 8 ? 0xc1 : 0xe1);
        put_byte(code, 0x78);
    } else {
        put_byte(code, 0x40 | base >> 3);
        put_byte(code, 0x0f);
    }
    put_byte(code, store ? 0x11 : 0x10);
    put_byte(code, xmm << 3 | (base & 7));
    if (vex && store)
        put_high(code, 0x19, 0, xmm, base); /* vextractf128 */
    else if (vex)
        put_high(code, 0x18, xmm, xmm, base); /* vinsertf128 */
}

static void put_mmx(struct code *code, bool store, unsigned mmx, unsigned base)
{
    put_byte(code, 0x41);
    put_byte(code, 0x0f);
    put_byte(code, store ? 0x7f : 0x6f);
    put_byte(code, mmx << 3 | (base & 7));
}

static void put_gpr(struct code *code, bool store, unsigned gpr, unsigned base)
{
    put_byte(code, 0x49);
    put_byte(code, store ? 0x89 : 0x8b);
    put_byte(code, gpr << 3 | (base & 7));
}

/* Where r0 to r3 are after the prologue. */
static const uint8_t operand_base[BT_OPERANDS_MAX] = {R10, R11, R8, R9};

static void put_operand(struct code *code, const struct bt_insn *canonical, unsigned i, bool store)
{
    const struct bt_operand *op = &canonical->operand[i];
    bool vex = canonical->prefixes & BT_PREFIX_VEX;

    if (op->kind == BT_OPERAND_VEC && op->reg)
        put_xmm(code, vex, store, op->reg, operand_base[i]);
    else if (op->kind == BT_OPERAND_MMX)
        put_mmx(code, store, op->reg, operand_base[i]);
    else if (op->kind == BT_OPERAND_GPR && op->reg)
        put_gpr(code, store, op->reg, operand_base[i]);
}

/* Into and out of implicit operands, by way of RAX. */
static void put_implicit_loads(struct code *code, unsigned flags)
{
    if (flags & VEC_STUB_XMM0) {
        PUT(code, "\x48\x8b\x46\x10"); /* mov rax, [rsi+16] */
        put_xmm(code, flags & VEC_STUB_VEX, false, 0, 0);
    }
    if (flags & VEC_STUB_FLAGS)
        PUT(code, "\xff\x36\x9d"); /* push [rsi]; popfq */
    if (flags & VEC_STUB_EXPLICIT)
        PUT(code, "\x48\x8b\x46\x18\x48\x8b\x50\x10\x48\x8b\x00"); /* mov rax, [rsi+24]; mov rdx,
                                                                      [rax+16]; mov rax, [rax] */
    if (flags & VEC_STUB_FP)
        PUT(code, "\x0f\xae\x56\x08"); /* ldmxcsr [rsi+8] */
}

static void put_implicit_stores(struct code *code, unsigned flags)
{
    if (flags & VEC_STUB_FP)
        PUT(code, "\x0f\xae\x5e\x08\x0f\xae\x56\x0c"); /* stmxcsr [rsi+8]; ldmxcsr [rsi+12] */
    if (flags & VEC_STUB_FLAGS)
        PUT(code, "\x9c\x8f\x06"); /* pushfq; pop [rsi] */
    if (flags & VEC_STUB_INDEX)
        PUT(code, "\x48\x8b\x46\x18\x48\x89\x48\x08"); /* mov rax, [rsi+24]; mov [rax+8], rcx */
    if (flags & VEC_STUB_RESULT0) {
        PUT(code, "\x48\x8b\x46\x10");
        put_xmm(code, flags & VEC_STUB_VEX, true, 0, 0);
    }
}

static void put_stub(struct code *code, const struct bt_insn *canonical, const struct code *insn,
                     unsigned flags)
{
    PUT(code, "\x49\x89\xd2\x49\x89\xcb"); /* mov r10, rdx; mov r11, rcx */
    if (flags & VEC_STUB_X87) {
        PUT(code, "\x49\x0f\xae\x0a"); /* fxrstor64 [r10] */
        put_implicit_loads(code, flags);
        put(code, (const char *)insn->bytes, insn->len);
        put_implicit_stores(code, flags);
        /* fxsave64 [r10]; ldmxcsr [rsi+12] */
        PUT(code, "\x49\x0f\xae\x02\x0f\xae\x56\x0c");
    } else {
        for (unsigned i = 0; i < canonical->operand_count; i++)
            put_operand(code, canonical, i, false);
        put_implicit_loads(code, flags);
        put(code, (const char *)insn->bytes, insn->len);
        put_implicit_stores(code, flags);
        if (!(flags & VEC_STUB_READ_ONLY))
            put_operand(code, canonical, 0, true);
    }
    if (flags & VEC_STUB_MMX)
        PUT(code, "\x0f\x77"); /* emms */
    if (flags & VEC_STUB_VEX)
        PUT(code, "\xc5\xf8\x77"); /* vzeroupper */
    PUT(code, "\x31\xc0\xc3");     /* xor eax, eax; ret */
}

/* Where the signal handler sends a stub whose instruction trapped; the signal is in EAX. */
static unsigned put_fault_exit(uint8_t *at)
{
    static const uint8_t exit[] = {
        0x0f, 0xae, 0x5e, 0x08, /* stmxcsr [rsi+8] */
        0x0f, 0xae, 0x56, 0x0c, /* ldmxcsr [rsi+12] */
        0xdb, 0xe3,             /* fninit */
        0xc3,
    };
    memcpy(at, exit, sizeof exit);
    return sizeof exit;
}

/* --- The canonical instruction --- */

struct candidate {
    unsigned prefix; /* 0, 0x66, 0xf3, 0xf2 */
    bool w, vvvv, immediate;
    unsigned reg; /* ModRM.reg */
};

static unsigned immediate_of(const struct bt_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_IMM)
            return (uint8_t)insn->imm[0];
    return 0x40; /* a register's number in its upper half */
}

static void put_vex(struct code *code, const struct bt_insn *insn, const struct candidate *c)
{
    put_byte(code, 0xc4);
    put_byte(code, 0xe0 | insn->map);
    put_byte(code, (unsigned)c->w << 7 | (c->vvvv ? ~3u & 15 : 15u) << 3 | (insn->vex_l != 0) << 2 |
                       insn->vex_pp);
}

static void put_legacy(struct code *code, const struct bt_insn *insn, const struct candidate *c)
{
    if (c->prefix)
        put_byte(code, c->prefix);
    if (c->w)
        put_byte(code, 0x48);
    if (insn->map)
        put_byte(code, 0x0f);
    if (insn->map > 1)
        put_byte(code, insn->map == 2 ? 0x38 : 0x3a);
}

static void put_candidate(struct code *code, const struct bt_insn *insn, const struct candidate *c)
{
    bool x87 = !insn->map;

    if (insn->prefixes & BT_PREFIX_VEX)
        put_vex(code, insn, c);
    else
        put_legacy(code, insn, c);
    put_byte(code, insn->opcode);
    put_byte(code, insn->has_mem ? c->reg << 3 | RDI : x87 ? insn->modrm : 0xc0 | c->reg << 3 | 2);
    if (c->immediate)
        put_byte(code, immediate_of(insn));
}

static bool accept_operand(const struct bt_insn *insn, const struct bt_insn *canonical, unsigned i)
{
    const struct bt_operand *a = &insn->operand[i], *b = &canonical->operand[i];
    bool is_register = b->kind == BT_OPERAND_VEC || b->kind == BT_OPERAND_GPR;

    return a->kind == b->kind && a->size == b->size && (!is_register || b->reg <= 4);
}

static bool accept(const struct bt_insn *insn, const struct code *code,
                   struct bt_insn *ret_canonical)
{
    struct bt_insn c;

    if (bt_decode(code->bytes, code->len, BT_MODE_CODE64, &c) != code->len || c.op != insn->op ||
        c.operand_count != insn->operand_count || c.has_mem != insn->has_mem)
        return false;
    if (c.has_mem && (c.base != RDI || c.index != BT_REG_NONE || c.disp || c.rip_relative))
        return false;
    for (unsigned i = 0; i < c.operand_count; i++)
        if (!accept_operand(insn, &c, i))
            return false;
    *ret_canonical = c;
    return true;
}

/* REX.W of PCMPESTRx: RAX and RDX instead of EAX and EDX. */
static bool wide_lengths(const struct bt_insn *insn)
{
    const char *name = bt_op_name(insn->op);

    return insn->rex & 8 && strstr(name, "PCMPEST");
}

static bool canonicalize(const struct bt_insn *insn, struct code *ret_code,
                         struct bt_insn *ret_canonical)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    bool vex = insn->prefixes & BT_PREFIX_VEX, x87 = !insn->map;
    unsigned own_reg = insn->modrm >> 3 & 7;

    for (unsigned i = 0; i < 64; i++) {
        struct candidate c = {
            .reg = !(i & 1) && !x87 ? 1 : own_reg,
            .vvvv = !(i & 2),
            .immediate = i & 4,
            .w = !!(i & 8) != wide_lengths(insn),
            .prefix = prefixes[i >> 4],
        };
        struct code code = {.len = 0};
        if (vex && c.prefix)
            return false;
        put_candidate(&code, insn, &c);
        if (accept(insn, &code, ret_canonical)) {
            *ret_code = code;
            return true;
        }
    }
    return false;
}

/* --- What the tables do not say --- */

static bool starts(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

/* Those that neither look at MXCSR nor change it; all others pay for it. */
static bool is_integer(const char *name)
{
    static const char *const heads[] = {
        "P",     "MOV",     "AES",       "SHA",   "UNPCK",   "AND",  "OR",  "XOR",   "BLEND",
        "LDDQU", "EXTRACT", "BROADCAST", "TESTP", "INSERTF", "GF2P", "RCP", "RSQRT", "INSERTI",
    };
    for (unsigned i = 0; i < sizeof heads / sizeof *heads; i++)
        if (starts(name, heads[i]))
            return true;
    return starts(name, "INSERTPS") || starts(name, "SHUF");
}

static unsigned implicit_flags(const char *name)
{
    unsigned flags = 0;

    if (strstr(name, "COMI") || starts(name, "PTEST") || starts(name, "TESTP") ||
        starts(name, "FCMOV") || strstr(name, "CMPEST") || strstr(name, "CMPIST"))
        flags |= VEC_STUB_FLAGS;
    if (starts(name, "PCMPEST"))
        flags |= VEC_STUB_EXPLICIT;
    if (starts(name, "PCMPESTRI") || starts(name, "PCMPISTRI"))
        flags |= VEC_STUB_INDEX;
    if (starts(name, "PCMPESTRM") || starts(name, "PCMPISTRM"))
        flags |= VEC_STUB_XMM0 | VEC_STUB_RESULT0;
    if (flags & VEC_STUB_FLAGS && !starts(name, "F"))
        flags |= VEC_STUB_READ_ONLY;
    return flags;
}

static unsigned alignment_flags(const char *name, const struct bt_insn *insn)
{
    bool vex = insn->prefixes & BT_PREFIX_VEX;

    if (starts(name, "MOVAP") || starts(name, "MOVDQA") ||
        (starts(name, "MOVNT") && !starts(name, "MOVNTQ")))
        return VEC_STUB_ALIGNED;
    if (vex || starts(name, "MOVU") || starts(name, "MOVDQU") || starts(name, "LDDQU") ||
        starts(name, "PCMPEST") || starts(name, "PCMPIST"))
        return 0;
    if ((starts(name, "SHA1") || starts(name, "SHA256")) && __builtin_cpu_is("amd"))
        return 0; /* as this host does it */
    return VEC_STUB_LEGACY;
}

static void describe(struct vec_stub *stub, const struct bt_insn *insn)
{
    bool vex = insn->prefixes & BT_PREFIX_VEX;
    const char *name = bt_op_name(insn->op);
    unsigned flags = 0;

    name += vex; /* the V */
    flags |= implicit_flags(name);
    if (!insn->map)
        flags |= VEC_STUB_X87;
    else if (!is_integer(name))
        flags |= VEC_STUB_FP;
    if (vex)
        flags |= VEC_STUB_VEX;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct bt_operand *op = &insn->operand[i];
        if (op->kind == BT_OPERAND_MMX)
            flags |= VEC_STUB_MMX | (i ? 0 : VEC_STUB_MMX_RESULT);
        if (op->kind == BT_OPERAND_VEC && i == 2 && !vex)
            flags |= VEC_STUB_XMM0; /* legacy encodings name two registers */
        if (op->kind != BT_OPERAND_MEM)
            continue;
        stub->mem_size = op->size;
        flags |= insn->properties & BT_INSN_WRITES ? VEC_STUB_WRITES : 0;
        if (op->size >= 16 && insn->map)
            flags |= alignment_flags(name, insn);
    }
    stub->flags = (uint16_t)flags;
}

/* --- The cache --- */

static struct stub_key key_of(const struct bt_insn *insn)
{
    struct stub_key key;

    memset(&key, 0, sizeof key); /* it is compared as bytes */
    key.op = insn->op;
    key.map = insn->map;
    key.opcode = insn->opcode;
    if (!insn->map)
        key.modrm = insn->has_mem ? insn->modrm & 0x38 : insn->modrm;
    key.vex = insn->prefixes & BT_PREFIX_VEX;
    key.w = wide_lengths(insn);
    key.vex_l = insn->vex_l;
    key.has_mem = insn->has_mem;
    key.immediate = (uint8_t)immediate_of(insn);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        key.size[i] = insn->operand[i].size;
        key.kind[i] = insn->operand[i].kind;
    }
    return key;
}

static uint32_t *chain_of(struct vec_cache *cache, const struct stub_key *key)
{
    const uint8_t *p = (const uint8_t *)key;
    uint32_t hash = 2166136261u;

    for (unsigned i = 0; i < sizeof *key; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return &cache->head[(hash ^ hash >> 16) % (sizeof cache->head / sizeof *cache->head)];
}

static const struct vec_stub *make(struct vec_cache *cache, const struct bt_insn *insn,
                                   const struct stub_key *key, uint32_t *chain)
{
    struct code bytes, code = {.len = 0};
    struct bt_insn canonical;

    if (cache->count >= STUBS_MAX - 1 || cache->used + STUB_BYTES_MAX > CODE_SIZE ||
        !canonicalize(insn, &bytes, &canonical))
        return NULL;
    struct stub_slot *slot = &cache->slot[cache->count + 1];
    *slot = (struct stub_slot){.key = *key, .next = *chain};
    describe(&slot->stub, insn);
    if (slot->stub.mem_size > VEC_SCRATCH)
        return NULL;
    put_stub(&code, &canonical, &bytes, slot->stub.flags);
    memcpy(cache->write + cache->used, code.bytes, code.len);
    slot->stub.code = (vec_code *)(uintptr_t)(cache->run + cache->used);
    cache->used += (code.len + 15u) & ~15u;
    *chain = ++cache->count;
    return &slot->stub;
}

const struct vec_stub *vec_stub_get(struct vec_cache *cache, const struct bt_insn *insn)
{
    struct stub_key key = key_of(insn);
    const struct vec_stub *stub = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    uint32_t *chain = chain_of(cache, &key);
    for (uint32_t i = *chain; i && !stub; i = cache->slot[i].next)
        if (!memcmp(&cache->slot[i].key, &key, sizeof key))
            stub = &cache->slot[i].stub;
    if (!stub)
        stub = make(cache, insn, &key, chain);
    (void)pthread_mutex_unlock(&cache->lock);
    return stub;
}

/* --- Traps --- */

static struct vec_cache *cache_at(uintptr_t rip)
{
    for (unsigned i = 0; i < CACHES_MAX; i++) {
        struct vec_cache *cache = caches[i];
        if (cache && rip - (uintptr_t)cache->run < CODE_SIZE)
            return cache;
    }
    return NULL;
}

static bool on_trap(struct bt_vcpu *vcpu, int signal, const siginfo_t *info, ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    struct vec_cache *cache = cache_at((uintptr_t)regs[REG_RIP]);

    (void)vcpu;
    (void)info;
    if (!cache)
        return false;
    regs[REG_RIP] = (greg_t)(uintptr_t)cache->run;
    regs[REG_RAX] = signal;
    return true;
}

static int register_cache(struct vec_cache *cache)
{
    unsigned i = 0;

    for (struct vec_cache *none = NULL; i < CACHES_MAX; i++, none = NULL)
        if (atomic_compare_exchange_strong(&caches[i], &none, cache))
            break;
    return i == CACHES_MAX ? -ENOSPC : signals_watch(SIGNALS_VEC, on_trap, NULL);
}

/* The memfd cannot grow or shrink, and nobody else has it. */
static int map_twice(struct vec_cache *cache)
{
    cleanup_fd int fd = memfd_create("vector-code", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, CODE_SIZE) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        return -errno;
    void *write = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (write == MAP_FAILED)
        return -errno;
    cache->write = write;
    void *run = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    cache->run = run;
    return 0;
}

DEFINE_CLEANUP(struct vec_cache *, vec_destroy)

int vec_create(struct vec_cache **ret_cache, struct err *err)
{
    /* Mostly never touched, so mostly not there. */
    CLEANUP(vec_destroy_cleanup_) struct vec_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return err_set(err, -ENOMEM, "out of memory");
    (void)pthread_mutex_init(&cache->lock, NULL);
    int rc = map_twice(cache);
    if (rc < 0)
        return err_sys(err, rc, "cannot make room for code");
    cache->used = (put_fault_exit(cache->write) + 15u) & ~15u;
    rc = register_cache(cache);
    if (rc < 0)
        return err_sys(err, rc, "cannot watch traps of vector code");
    *ret_cache = TAKE_PTR(cache);
    return 0;
}

void vec_destroy(struct vec_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < CACHES_MAX; i++) {
        struct vec_cache *own = cache;
        (void)atomic_compare_exchange_strong(&caches[i], &own, NULL);
    }
    if (cache->write)
        (void)munmap(cache->write, CODE_SIZE);
    if (cache->run)
        (void)munmap(cache->run, CODE_SIZE);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}
