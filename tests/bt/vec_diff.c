/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions against the processor: random encodings of all that the decoder's table calls
 * vector instructions, on random registers and memory, once through vec.h and once natively:
 * registers, flags, memory and exceptions are compared.
 *
 *     vec_diff [seconds [seed [iterations]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/bt/vec_fake.h"
#include "tests/bt/vec_native.h"

static uint64_t state;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d) >> 8 ^ state << 40;
}

static unsigned below(unsigned n)
{
    return (unsigned)(rnd() % n);
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

/* --- Values --- */

static uint32_t random_float(void)
{
    static const uint32_t some[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                    0xff800000, 0x7fc00000, 0x7fa00000, 1,          0x007fffff,
                                    0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000};
    return chance(40) ? some[below(15)]
                      : (uint32_t)rnd() & (chance(50) ? ~0u : 0xbfffffffu | 0x3f000000u);
}

static uint64_t random_double(void)
{
    static const uint64_t some[] = {0,
                                    0x3ff0000000000000,
                                    0xbff0000000000000,
                                    0x7ff0000000000000,
                                    0x7ff8000000000000,
                                    0x7ff4000000000000,
                                    1,
                                    0x000fffffffffffff,
                                    0x0010000000000000,
                                    0x7fefffffffffffff,
                                    0x41e0000000000000};
    return chance(40) ? some[below(11)] : rnd();
}

static void random_lane(uint8_t *p)
{
    unsigned kind = below(5);

    for (unsigned i = 0; i < 16; i += 8)
        if (kind == 0) {
            le32_store(p + i, random_float());
            le32_store(p + i + 4, random_float());
        } else if (kind == 1) {
            le64_store(p + i, random_double());
        } else if (kind == 2) {
            le64_store(p + i, (uint64_t)below(64) << (chance(50) ? 32 : 0));
        } else {
            le64_store(p + i, rnd());
        }
}

static void random_st(uint8_t *p)
{
    unsigned kind = below(8);

    le64_store(p, kind == 0 ? 0 : chance(95) ? rnd() | UINT64_C(1) << 63 : rnd());
    le16_store(p + 8, (uint16_t)(kind == 0   ? 0
                                 : kind == 1 ? 0x7fff
                                 : kind < 6  ? (0x3fff - 20 + below(40)) | below(2) << 15
                                             : rnd()));
    memset(p + 10, 0, 6);
}

static void random_image(uint8_t *image)
{
    memset(image, 0, NATIVE_IMAGE);
    le16_store(image + IMAGE_FCW, (uint16_t)(chance(80) ? 0x37f : (rnd() & 0xf3f) | 0x40));
    if (chance(50))
        le16_store(image + IMAGE_FCW, le16_load(image + IMAGE_FCW) | 0x3f);
    le16_store(image + IMAGE_FSW, (uint16_t)(chance(50) ? rnd() & 0x3800 : rnd() & 0x7f7f));
    if (chance(70)) /* nothing pending */
        le16_store(image + IMAGE_FSW, le16_load(image + IMAGE_FSW) & 0x7f40);
    image[IMAGE_FTW] = (uint8_t)(chance(60) ? 0xff : rnd());
    le32_store(image + IMAGE_MXCSR,
               (uint32_t)(chance(60) ? 0x1f80 | (rnd() & 0x3f) : rnd() & 0xffff));
    for (unsigned i = 0; i < 8; i++)
        random_st(image + IMAGE_ST + 16 * i);
    for (unsigned i = 0; i < 16; i++) {
        random_lane(image + IMAGE_XMM + 16 * i);
        random_lane(image + IMAGE_YMM + 16 * i);
    }
    if (chance(10)) { /* what XSAVE may leave out */
        memset(image, 0, IMAGE_MXCSR);
        le16_store(image + IMAGE_FCW, FCW_INIT);
        memset(image + IMAGE_ST, 0, 128);
    }
    if (chance(10))
        memset(image + IMAGE_XMM, 0, 256);
    if (chance(10))
        memset(image + IMAGE_YMM, 0, 256);
    if (chance(10))
        le32_store(image + IMAGE_MXCSR, MXCSR_INIT);
    le64_store(image + IMAGE_XSTATE_BV, 7);
}

/* --- Instructions --- */

static bool random_insn(uint8_t *bytes, struct bt_insn *insn)
{
    static const uint8_t prefixes[] = {0x66, 0xf3, 0xf2};
    unsigned n = 0, form = below(10);

    if (chance(4)) { /* saved states: two opcodes with many cases */
        if (chance(30))
            bytes[n++] = 0x48;
        bytes[n++] = 0x0f;
        bytes[n++] = chance(75) ? 0xae : 0xc7;
    } else if (form < 2) { /* x87, and WAIT */
        if (chance(10))
            bytes[n++] = 0x66;
        bytes[n++] = chance(2) ? 0x9b : (uint8_t)(0xd8 + below(8));
    } else if (form < 6) {
        if (chance(70))
            bytes[n++] = prefixes[below(3)];
        if (chance(40))
            bytes[n++] = (uint8_t)(0x40 + below(16));
        bytes[n++] = 0x0f;
        if (chance(50))
            bytes[n++] = chance(50) ? 0x38 : 0x3a;
        bytes[n++] = (uint8_t)rnd();
    } else {
        bytes[n++] = 0xc4;
        bytes[n++] = (uint8_t)((rnd() & 0xe0) | (1 + below(3)));
        bytes[n++] = (uint8_t)(chance(30) ? rnd() | 0x78 : rnd());
        bytes[n++] = (uint8_t)rnd();
    }
    for (unsigned i = n; i < 15; i++)
        bytes[i] = (uint8_t)rnd();
    unsigned len = bt_decode(bytes, 15, BT_MODE_CODE64, insn);
    if (!len || insn->op == BT_OP_UD || insn->rip_relative || insn->seg >= CPU_FS)
        return false;
    if (insn->has_mem && (insn->base == CPU_RSP || insn->base == BT_REG_NONE))
        return false;
    if (insn->has_mem && insn->index != BT_REG_NONE && !(insn->properties & BT_INSN_VSIB) &&
        (insn->index == insn->base || insn->index == CPU_RSP))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++) /* RSP is the host's natively */
        if (insn->operand[i].kind == BT_OPERAND_GPR && insn->operand[i].reg == CPU_RSP)
            return false;
    return true;
}

static bool is_saved_state(unsigned op)
{
    return vec_xsave_handler(op) != NULL && op != BT_OP_LDMXCSR && op != BT_OP_STMXCSR;
}

/* Mostly inside and aligned; else across pages, in the read-only page, behind the end. */
static uint64_t random_address(unsigned op)
{
    static const uint64_t edges[] = {FAKE_BASE + FAKE_PAGE, FAKE_BASE + FAKE_READONLY,
                                     FAKE_BASE + FAKE_SIZE};
    uint64_t align = is_saved_state(op) ? 64 : 32;

    if (chance(70))
        return FAKE_BASE + 1024 + (rnd() % 5120 & ~(align - 1));
    if (chance(50))
        return edges[below(3)] - below(80);
    return FAKE_BASE + 1024 + rnd() % 5120;
}

static void place_operand(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t address = random_address(insn->op);
    bool vsib = insn->properties & BT_INSN_VSIB;

    if (vsib)
        for (unsigned i = 0; i < 4; i++) { /* small indices in both halves */
            uint32_t step = chance(90) ? 600 : 4000;
            le64_store(image_xmm(vcpu, insn->index) + 8 * (i & 1) + (i & 2 ? 416 : 0),
                       insn->op == BT_OP_VGATHERQPS || insn->op == BT_OP_VGATHERQPD ||
                               insn->op == BT_OP_VPGATHERQD || insn->op == BT_OP_VPGATHERQQ
                           ? below(step)
                           : below(step) | (uint64_t)below(step) << 32);
        }
    uint64_t offset = (uint64_t)insn->disp;
    if (insn->index != BT_REG_NONE && !vsib)
        offset += vcpu->gpr[insn->index] << insn->scale;
    vcpu->gpr[insn->base] = address - offset;
    if (insn->addr_size == 4)
        vcpu->gpr[insn->base] = (uint32_t)vcpu->gpr[insn->base];
}

/* --- Comparing --- */

static unsigned failures;

static void differs(const uint8_t *bytes, const struct bt_insn *insn, const char *what, unsigned at,
                    uint64_t ours, uint64_t native)
{
    if (++failures > 40)
        return;
    (void)printf("# %s:", bt_op_name(insn->op));
    for (unsigned i = 0; i < insn->length; i++)
        (void)printf(" %02x", bytes[i]);
    (void)printf(": %s %u is %#llx, natively %#llx\n", what, at, (unsigned long long)ours,
                 (unsigned long long)native);
}

static bool same_bytes(const uint8_t *bytes, const struct bt_insn *insn, const char *what,
                       const uint8_t *ours, const uint8_t *native, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        if (ours[i] != native[i]) {
            differs(bytes, insn, what, i, ours[i], native[i]);
            return false;
        }
    return true;
}

static void clear_pointers(uint8_t *image)
{
    memset(image + IMAGE_FTW + 1, 0, IMAGE_MXCSR - IMAGE_FTW - 1);
    memset(image + IMAGE_MXCSR_MASK, 0, 4);
}

/* What an instruction stored of FIP, FDP and FOP is ours to choose: zero. */
static void clear_stored_pointers(const struct bt_insn *insn, uint64_t linear, uint8_t *memory)
{
    uint8_t *p = memory + (linear - FAKE_BASE);

    if (linear < FAKE_BASE || linear - FAKE_BASE > FAKE_READONLY - 32)
        return;
    switch (insn->op) {
    case BT_OP_FXSAVE:
    case BT_OP_XSAVE:
    case BT_OP_XSAVEC:
    case BT_OP_XSAVEOPT:
        memset(p + 6, 0, 18);
        break;
    case BT_OP_FNSTENV:
    case BT_OP_FNSAVE:
        if (insn->size == 2)
            memset(p + 6, 0, 8);
        else
            memset(p + 12, 0, 14);
        break;
    default:
        break;
    }
}

static void compare(struct bt_vcpu *vcpu, const uint8_t *bytes, const struct bt_insn *insn,
                    int trap, int native_trap, uint8_t *native_memory, uint64_t linear)
{
    bool bytes_masked =
        insn->op == BT_OP_MASKMOVDQU || insn->op == BT_OP_VMASKMOVDQU || insn->op == BT_OP_MASKMOVQ;

    if (bytes_masked && trap < 0 && native_trap == BT_PF)
        return; /* whether bytes that are masked off fault is the processor's choice */
    if (insn->op == BT_OP_MASKMOVQ && trap >= 0 && trap == native_trap)
        return; /* and whether one that faults has begun to use MMX registers */
    if (trap != native_trap) {
        differs(bytes, insn, "exception", 0, (uint64_t)trap, (uint64_t)native_trap);
        return;
    }
    clear_pointers(native_image);
    clear_pointers(vcpu->xsave);
    clear_stored_pointers(insn, linear, native_memory);
    clear_stored_pointers(insn, linear, fake_memory);
    if (!same_bytes(bytes, insn, "image", vcpu->xsave, native_image, IMAGE_LEGACY_END) ||
        !same_bytes(bytes, insn, "upper halves", vcpu->xsave + IMAGE_YMM, native_image + IMAGE_YMM,
                    256) ||
        !same_bytes(bytes, insn, "memory", fake_memory, native_memory, FAKE_SIZE))
        return;
    for (unsigned i = 0; i < 16; i++)
        if (i != CPU_RSP && vcpu->gpr[i] != native_gpr[i])
            differs(bytes, insn, "register", i, vcpu->gpr[i], native_gpr[i]);
    if ((vcpu->rflags ^ native_flags) & BT_FLAGS_STATUS)
        differs(bytes, insn, "flags", 0, vcpu->rflags, native_flags);
}

/* --- The run --- */

static uint8_t *native_pages(void)
{
    uint8_t *p = mmap((void *)(uintptr_t)FAKE_BASE, FAKE_SIZE + FAKE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED || mprotect(p + FAKE_SIZE, FAKE_PAGE, PROT_NONE))
        abort();
    return p;
}

static void fill_memory(uint8_t *native)
{
    if (mprotect(native + FAKE_READONLY, FAKE_PAGE, PROT_READ | PROT_WRITE))
        abort();
    for (unsigned i = 0; i < FAKE_SIZE; i += 16)
        random_lane(fake_memory + i);
    memcpy(native, fake_memory, FAKE_SIZE);
    if (mprotect(native + FAKE_READONLY, FAKE_PAGE, PROT_READ))
        abort();
}

static uint64_t host_xcr0(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* So that XRSTOR finds something to take now and then. */
static void plant_state(const struct bt_insn *insn, uint64_t linear, uint8_t *native)
{
    uint64_t offset = linear - FAKE_BASE;
    uint8_t *p = fake_memory + offset;

    if (!is_saved_state(insn->op) || offset > FAKE_READONLY - IMAGE_END || chance(5))
        return;
    random_image(p);
    memset(p + IMAGE_XSTATE_BV, 0, 64);
    p[IMAGE_XSTATE_BV] = (uint8_t)below(8);
    if (chance(50))
        le64_store(p + IMAGE_XCOMP_BV, UINT64_C(1) << 63 | (chance(80) ? 7 : below(8)));
    if (chance(10))
        p[IMAGE_XSTATE_BV + below(64)] ^= (uint8_t)(1 << below(8));
    if (chance(10))
        p[IMAGE_MXCSR + 2] ^= (uint8_t)(1 << below(8));
    for (unsigned i = IMAGE_XSTATE_BV; i <= IMAGE_XCOMP_BV; i += 8) /* this host has them */
        le64_store(p + i, le64_load(p + i) & ~(host_xcr0() & ~VEC_XCR0));
    memcpy(native + offset, p, IMAGE_END);
}

static bool one(struct bt_vcpu *vcpu, struct vec_cache *cache, uint8_t *native, uint32_t *seen)
{
    uint8_t bytes[15];
    struct bt_insn insn;
    uint64_t linear = 0;

    if (!random_insn(bytes, &insn) || !vec_bind(cache, &insn) || insn.op == BT_OP_XSAVES ||
        insn.op == BT_OP_XRSTORS)
        return false;
    random_image(vcpu->xsave);
    for (unsigned i = 0; i < 16; i++)
        vcpu->gpr[i] = chance(50) ? rnd() : below(40);
    if (is_saved_state(insn.op)) {
        vcpu->gpr[CPU_RAX] = chance(70) ? 7 : below(8);
        vcpu->gpr[CPU_RDX] = 0;
        if (insn.base == CPU_RAX || insn.base == CPU_RDX || insn.index == CPU_RAX ||
            insn.index == CPU_RDX)
            return false;
    }
    if (insn.has_mem) {
        place_operand(vcpu, &insn);
        linear = vcpu->gpr[insn.base] + (uint64_t)insn.disp;
        if (insn.index != BT_REG_NONE && !(insn.properties & BT_INSN_VSIB))
            linear += vcpu->gpr[insn.index] << insn.scale;
        if (insn.addr_size == 4)
            linear = (uint32_t)linear;
        plant_state(&insn, linear, native);
    }
    image_settle(vcpu); /* so that ES says what is pending */
    vcpu->rflags = 2 | (rnd() & BT_FLAGS_STATUS);
    memcpy(native_image, vcpu->xsave, NATIVE_IMAGE);
    memcpy(native_gpr, vcpu->gpr, sizeof native_gpr);
    native_flags = vcpu->rflags | 0x200;
    fake_tlb(vcpu, chance(60));
    int trap = fake_run_insn(vcpu, &insn);
    int native_trap = native_run(bytes, insn.length);
    compare(vcpu, bytes, &insn, trap, native_trap, native, linear);
    seen[insn.op]++;
    return true;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    uint64_t iterations = argc > 3 ? strtoull(argv[3], NULL, 0) : UINT64_MAX, done = 0;
    static uint32_t seen[BT_OP_MAX];
    struct bt_vcpu *vcpu = fake_create();
    struct vec_cache *cache;
    struct timespec start, now;
    unsigned ops = 0;

    state = (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    if (vec_create(&cache, NULL) < 0)
        return 2;
    native_create();
    uint8_t *native = native_pages();
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; done < iterations; i++) {
        if (i % 256 == 0) {
            (void)clock_gettime(CLOCK_MONOTONIC, &now);
            if ((double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec) >
                seconds)
                break;
            fill_memory(native);
        }
        done += one(vcpu, cache, native, seen);
    }
    for (unsigned i = 0; i < BT_OP_MAX; i++) {
        struct bt_insn insn = {.op = (uint16_t)i};
        ops += seen[i] != 0;
        if (getenv("VEC_DIFF_UNSEEN") && !seen[i])
            (void)printf("# unseen: %s\n", bt_op_name(insn.op));
    }
    (void)printf("1..1\n# %llu instructions of %u operations, %u differences\n%sok 1 - vec_diff\n",
                 (unsigned long long)done, ops, failures, failures ? "not " : "");
    vec_destroy(cache);
    fake_destroy(vcpu);
    return failures != 0;
}
