/* SPDX-License-Identifier: Apache-2.0 */
/* The vector unit where the processor that the tests run on cannot be asked (tests/bt/vec_diff.c
 * does that): conditions of control registers and modes, pending exceptions, state in other modes.
 */
#include <stdio.h>

#include "tests/bt/vec_fake.h"
#include "tests/tap.h"

static struct vec_cache *cache;

#define RUN(vcpu, bytes) \
    fake_run(vcpu, cache, (const uint8_t *)(bytes), sizeof(bytes) - 1, (vcpu)->mode & BT_MODE_CODE)

static const char movaps[] = "\x0f\x28\xca", paddd_mmx[] = "\x0f\xfe\xca", fld1[] = "\xd9\xe8",
                  vaddps[] = "\xc5\xe8\x58\xcb", fxsave[] = "\x0f\xae\x00", fwait[] = "\x9b",
                  xsave[] = "\x0f\xae\x20", ldmxcsr[] = "\x0f\xae\x10", fnstsw[] = "\xdf\xe0";

/* --- Who may run --- */

enum { NONE = -1 };

static const struct condition {
    const char *name;
    uint64_t cr0_set, cr4_clear;
    int movaps, paddd, fld1, vaddps, fxsave, fwait, xsave, ldmxcsr;
} conditions[] = {
    {"all enabled", 0, 0, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
    {"EM", BT_CR0_EM, 0, BT_UD, BT_UD, BT_NM, NONE, BT_NM, NONE, NONE, BT_UD},
    {"TS", BT_CR0_TS, 0, BT_NM, BT_NM, BT_NM, BT_NM, BT_NM, BT_NM, BT_NM, BT_NM},
    {"no OSFXSR", 0, BT_CR4_OSFXSR, BT_UD, NONE, NONE, NONE, NONE, NONE, NONE, BT_UD},
    {"no OSXSAVE", 0, BT_CR4_OSXSAVE, NONE, NONE, NONE, BT_UD, NONE, NONE, BT_UD, NONE},
    {"EM and TS", BT_CR0_EM | BT_CR0_TS, 0, BT_UD, BT_UD, BT_NM, BT_NM, BT_NM, BT_NM, BT_NM, BT_UD},
};

static void control_registers_decide(void)
{
    for (unsigned i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const struct condition *c = &conditions[i];
        struct bt_vcpu *vcpu = fake_create();
        vcpu->cr0 |= c->cr0_set;
        vcpu->cr4 &= ~c->cr4_clear;
        vcpu->gpr[CPU_RAX] = FAKE_BASE;
        le32_store(fake_memory, MXCSR_INIT);
        (void)printf("# %s\n", c->name);
        CHECK_EQ(RUN(vcpu, ldmxcsr), c->ldmxcsr);
        CHECK_EQ(RUN(vcpu, movaps), c->movaps);
        CHECK_EQ(RUN(vcpu, paddd_mmx), c->paddd);
        CHECK_EQ(RUN(vcpu, fld1), c->fld1);
        CHECK_EQ(RUN(vcpu, vaddps), c->vaddps);
        CHECK_EQ(RUN(vcpu, fxsave), c->fxsave);
        CHECK_EQ(RUN(vcpu, fwait), c->fwait);
        CHECK_EQ(RUN(vcpu, xsave), c->xsave);
        fake_destroy(vcpu);
    }
}

static void vex_needs_protected_mode_and_avx_state(void)
{
    struct bt_vcpu *vcpu = fake_create();

    vcpu->xcr0 = 3;
    CHECK_EQ(RUN(vcpu, vaddps), BT_UD);
    vcpu->xcr0 = 7;
    vcpu->mode = BT_MODE_CODE32 | BT_MODE_PROTECTED;
    CHECK_EQ(RUN(vcpu, vaddps), NONE);
    vcpu->mode = BT_MODE_CODE16;
    CHECK_EQ(RUN(vcpu, vaddps), BT_UD);
    CHECK_EQ(RUN(vcpu, movaps), NONE);
    vcpu->mode = BT_MODE_CODE16 | BT_MODE_V86;
    CHECK_EQ(RUN(vcpu, vaddps), BT_UD);
    fake_destroy(vcpu);
}

/* --- Exceptions --- */

static void x87_exceptions_wait(void)
{
    struct bt_vcpu *vcpu = fake_create();

    vcpu->gpr[CPU_RAX] = FAKE_BASE;
    le16_store(fake_memory, 0x37b);        /* division by zero is not masked */
    CHECK_EQ(RUN(vcpu, "\xd9\x28"), NONE); /* fldcw */
    CHECK_EQ(RUN(vcpu, "\xd9\xee"), NONE); /* fldz */
    CHECK_EQ(RUN(vcpu, fld1), NONE);
    CHECK_EQ(RUN(vcpu, "\xd8\xf1"), NONE); /* fdiv st, st(1) */
    CHECK_EQ(image_fsw(vcpu) & (FSW_ES | FSW_BUSY | 4), FSW_ES | FSW_BUSY | 4);
    CHECK_EQ(le16_load(vcpu->xsave + IMAGE_ST + 8), 0x3fff); /* still 1 */
    CHECK_EQ(RUN(vcpu, fld1), BT_MF);
    CHECK_EQ(RUN(vcpu, fwait), BT_MF);
    CHECK_EQ(RUN(vcpu, paddd_mmx), BT_MF);
    CHECK_EQ(RUN(vcpu, "\xf3\x0f\xd6\xca"), BT_MF); /* movq2dq xmm1, mm2 */
    CHECK_EQ(RUN(vcpu, fnstsw), NONE);
    CHECK_EQ(vcpu->gpr[CPU_RAX] & 0xffff, image_fsw(vcpu));
    for (unsigned i = IMAGE_FOP; i < IMAGE_MXCSR; i++)
        CHECK_EQ(vcpu->xsave[i], 0);       /* no address of ours */
    CHECK_EQ(RUN(vcpu, "\xdb\xe2"), NONE); /* fnclex */
    CHECK_EQ(RUN(vcpu, fld1), NONE);
    fake_destroy(vcpu);
}

static void sse_exceptions_leave_the_destination(void)
{
    struct bt_vcpu *vcpu = fake_create();

    le32_store(image_xmm(vcpu, 1), 0x3f800000); /* divss xmm1, xmm2: 1 / 0 */
    le32_store(vcpu->xsave + IMAGE_MXCSR, 0x1d80);
    CHECK_EQ(RUN(vcpu, "\xf3\x0f\x5e\xca"), BT_XM);
    CHECK_EQ(le32_load(image_xmm(vcpu, 1)), 0x3f800000);
    CHECK_EQ(image_mxcsr(vcpu), 0x1d84);
    vcpu->cr4 &= ~(uint64_t)BT_CR4_OSXMMEXCPT;
    CHECK_EQ(RUN(vcpu, "\xf3\x0f\x5e\xca"), BT_UD);
    le32_store(vcpu->xsave + IMAGE_MXCSR, 0x1f80);
    CHECK_EQ(RUN(vcpu, "\xf3\x0f\x5e\xca"), NONE);
    CHECK_EQ(le32_load(image_xmm(vcpu, 1)), 0x7f800000);
    uint32_t host;
    __asm__("stmxcsr %0" : "=m"(host));
    CHECK_EQ(host & 0xffc0, MXCSR_INIT); /* and ours is as it was */
    fake_destroy(vcpu);
}

static void stores_that_fault_change_nothing(void)
{
    struct bt_vcpu *vcpu = fake_create();

    CHECK_EQ(RUN(vcpu, fld1), NONE);
    uint16_t fsw = image_fsw(vcpu);
    vcpu->gpr[CPU_RAX] = FAKE_BASE + FAKE_READONLY - 4;
    CHECK_EQ(RUN(vcpu, "\xdd\x18"), BT_PF); /* fstp qword [rax] */
    CHECK_EQ(image_fsw(vcpu), fsw);
    vcpu->gpr[CPU_RAX] = FAKE_BASE + 8;
    CHECK_EQ(RUN(vcpu, "\x0f\x29\x08"), BT_GP); /* movaps [rax], xmm1 */
    CHECK_EQ(vcpu->event.error, 0);
    CHECK_EQ(RUN(vcpu, "\x0f\x11\x08"), NONE); /* movups */
    fake_destroy(vcpu);
}

/* --- Saved states --- */

static void fxsave_outside_64_bit_mode_has_eight_registers(void)
{
    struct bt_vcpu *vcpu = fake_create();

    memset(image_xmm(vcpu, 0), 0x11, 256);
    memset(fake_memory, 0xaa, 1024);
    vcpu->mode = BT_MODE_CODE32 | BT_MODE_PROTECTED;
    vcpu->gpr[CPU_RAX] = FAKE_BASE;
    CHECK_EQ(RUN(vcpu, fxsave), NONE);
    CHECK_EQ(fake_memory[IMAGE_XMM + 127], 0x11);
    CHECK_EQ(fake_memory[IMAGE_XMM + 128], 0xaa);
    memset(fake_memory + IMAGE_XMM, 0x22, 256);
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x08"), NONE); /* fxrstor */
    CHECK_EQ(*image_xmm(vcpu, 7), 0x22);
    CHECK_EQ(*image_xmm(vcpu, 8), 0x11);
    le32_store(fake_memory + IMAGE_MXCSR, 0x80001f80);
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x08"), BT_GP);
    fake_destroy(vcpu);
}

static void xsave_follows_xcr0_and_the_request(void)
{
    struct bt_vcpu *vcpu = fake_create();

    memset(image_xmm(vcpu, 0), 0x11, 256);
    memset(image_ymm_high(vcpu, 0), 0x33, 256);
    memset(fake_memory, 0, 1024);
    vcpu->gpr[CPU_RAX] = FAKE_BASE; /* its low bits are the request: x87 and SSE are not in it */
    vcpu->gpr[CPU_RDX] = 0;
    CHECK_EQ(RUN(vcpu, xsave), NONE);
    CHECK_EQ(le64_load(fake_memory + IMAGE_XSTATE_BV), 0);
    vcpu->gpr[CPU_RCX] = FAKE_BASE;
    vcpu->gpr[CPU_RAX] = 0xffffffff;
    vcpu->xcr0 = 3;
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x21"), NONE);             /* xsave [rcx] */
    CHECK_EQ(le64_load(fake_memory + IMAGE_XSTATE_BV), 2); /* x87 is in its initial state */
    CHECK_EQ(fake_memory[IMAGE_YMM], 0);
    vcpu->xcr0 = 7;
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x21"), NONE);
    CHECK_EQ(le64_load(fake_memory + IMAGE_XSTATE_BV), 6);
    CHECK_EQ(fake_memory[IMAGE_YMM], 0x33);
    fake_memory[IMAGE_XSTATE_BV] = 15;
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x29"), BT_GP); /* xrstor: a component that is not enabled */
    fake_memory[IMAGE_XSTATE_BV] = 2;
    CHECK_EQ(RUN(vcpu, "\x0f\xae\x29"), NONE);
    CHECK_EQ(*image_ymm_high(vcpu, 3), 0); /* left out: initial */
    CHECK_EQ(*image_xmm(vcpu, 3), 0x11);
    fake_destroy(vcpu);
}

static void foreign_images_are_completed(void)
{
    struct bt_vcpu *vcpu = fake_create();

    memset(vcpu->xsave, 0xee, CPU_XSAVE_SIZE);
    le64_store(vcpu->xsave + IMAGE_XSTATE_BV, IMAGE_SSE);
    vec_image_complete(vcpu);
    CHECK_EQ(image_fcw(vcpu), FCW_INIT);
    CHECK_EQ(image_mxcsr(vcpu) & ~image_mxcsr_mask(), 0);
    CHECK_EQ(*image_xmm(vcpu, 9), 0xee);
    CHECK_EQ(*image_ymm_high(vcpu, 9), 0);
    CHECK_EQ(le64_load(vcpu->xsave + IMAGE_XSTATE_BV), VEC_XCR0);
    CHECK_EQ(vec_image_size(3), 576);
    CHECK_EQ(vec_image_size(7), 832);
    fake_destroy(vcpu);
}

/* --- The code --- */

static void no_page_is_writable_and_executable(void)
{
    char line[512], rights[8];
    unsigned writable = 0, executable = 0;
    FILE *maps = fopen("/proc/self/maps", "re");

    REQUIRE(maps);
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, "vector-code") || sscanf(line, "%*s %7s", rights) != 1)
            continue;
        CHECK(!(strchr(rights, 'w') && strchr(rights, 'x')));
        writable += strchr(rights, 'w') != NULL;
        executable += strchr(rights, 'x') != NULL;
    }
    (void)fclose(maps);
    CHECK_EQ(writable, 1);
    CHECK_EQ(executable, 1);
}

/* Same operation on other registers: the same code. Another immediate: another. */
static void stubs_are_shared(void)
{
    struct bt_insn a, b, c;

    REQUIRE(bt_decode((const uint8_t *)"\x66\x0f\x70\xca\x1b", 5, BT_MODE_CODE64, &a) == 5);
    REQUIRE(bt_decode((const uint8_t *)"\x66\x45\x0f\x70\xf1\x1b", 6, BT_MODE_CODE64, &b) == 6);
    REQUIRE(bt_decode((const uint8_t *)"\x66\x0f\x70\xca\x1c", 5, BT_MODE_CODE64, &c) == 5);
    CHECK(vec_bind(cache, &a) && vec_bind(cache, &b) && vec_bind(cache, &c));
    CHECK(a.vec && a.vec == b.vec);
    CHECK(c.vec && a.vec != c.vec);
    CHECK(a.vec_reg[0] != b.vec_reg[0]);
}

static bool is_special(unsigned op)
{
    return vec_x87_handler(op) || vec_xsave_handler(op) || vec_mask_handler(op);
}

/* Operand sizes and prefixes differ between modes; the stub is always 64-bit code. */
static void every_mode_has_stubs(void)
{
    static const unsigned modes[] = {BT_MODE_CODE16, BT_MODE_CODE32, BT_MODE_CODE64};
    uint64_t random = 88172645463325252u;
    unsigned bound = 0;

    for (unsigned i = 0; i < 600000; i++) {
        static const uint8_t head[][2] = {{0x0f, 0}, {0x66, 0x0f}, {0xf3, 0x0f}, {0xf2, 0x0f},
                                          {0xc4, 0}, {0xc5, 0},    {0xd8, 0},    {0xdd, 0}};
        uint8_t bytes[16];
        struct bt_insn insn;
        for (unsigned at = 0; at < 16; at += 8) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            le64_store(bytes + at, random);
        }
        const uint8_t *h = head[random >> 20 & 7];
        bytes[0] = h[0];
        if (h[1])
            bytes[1] = h[1];
        if (h[0] == 0xc4)
            bytes[1] = (bytes[1] & 0xe0) | 0xc0 | (1 + bytes[3] % 3);
        if (h[0] == 0xc5)
            bytes[1] |= 0xc0;
        if (h[0] >= 0xd8 && h[0] < 0xe0)
            bytes[0] = 0xd8 | (bytes[4] & 7);
        if (!bt_decode(bytes, 15, modes[i % 3], &insn) || insn.op == BT_OP_UD ||
            !vec_bind(cache, &insn))
            continue;
        bound++;
        if (!CHECK(insn.vec || is_special(insn.op)))
            (void)printf("# %s: %02x %02x %02x %02x %02x\n", bt_op_name(insn.op), bytes[0],
                         bytes[1], bytes[2], bytes[3], bytes[4]);
    }
    CHECK(bound > 100000);
}

/* --- Every stub there is --- */

static unsigned refused, bound;

static bool has_immediate(const struct bt_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_IMM)
            return true;
    return false;
}

static void bind_all_immediates(uint8_t *bytes)
{
    struct bt_insn insn;
    unsigned len = bt_decode(bytes, 15, BT_MODE_CODE64, &insn);

    if (!len || insn.op == BT_OP_UD || !(insn.properties & BT_INSN_VECTOR))
        return;
    for (unsigned value = 0; value < (has_immediate(&insn) ? 256u : 1u); value++) {
        bytes[len - 1] = has_immediate(&insn) ? (uint8_t)value : bytes[len - 1];
        if (bt_decode(bytes, 15, BT_MODE_CODE64, &insn) != len || !vec_bind(cache, &insn))
            continue;
        bound++;
        refused += !insn.vec && !is_special(insn.op);
    }
}

static void bind_all_operands(uint8_t *bytes, unsigned at)
{
    for (unsigned form = 0; form < 16; form++) {
        memset(bytes + at, 0, 15 - at);
        bytes[at] = (uint8_t)((form & 8 ? 0xc0 : 0) | (form & 7) << 3 | 2);
        bind_all_immediates(bytes);
    }
}

/* A guest's program that uses up the room would keep the rest of the guest from what it needs. */
static void there_is_room_for_every_stub(void)
{
    static const uint8_t prefixes[] = {0x2e, 0x66, 0xf3, 0xf2};
    uint8_t bytes[15];

    for (unsigned i = 0; i < 4 * 2 * 3 * 256; i++) {
        unsigned n = 0, map = 1 + i / 2048 % 3;
        bytes[n++] = prefixes[i / 256 % 4];
        bytes[n++] = i / 1024 % 2 ? 0x48 : 0x40;
        bytes[n++] = 0x0f;
        if (map > 1)
            bytes[n++] = map == 2 ? 0x38 : 0x3a;
        bytes[n++] = (uint8_t)i;
        bind_all_operands(bytes, n);
    }
    for (unsigned i = 0; i < 32 * 3 * 256; i++) { /* W, an operand in VVVV or not, L, PP */
        bytes[0] = 0xc4;
        bytes[1] = (uint8_t)(0xe0 | (1 + i / 8192));
        bytes[2] = (uint8_t)((i >> 8 & 7) | (i >> 11 & 1) << 7 | (i >> 12 & 1 ? 0x78 : 0x28));
        bytes[3] = (uint8_t)i;
        bind_all_operands(bytes, 4);
    }
    for (unsigned i = 0; i < 8 * 256; i++) {
        memset(bytes, 0, sizeof bytes);
        bytes[0] = (uint8_t)(0xd8 | i >> 8);
        bytes[1] = (uint8_t)i;
        bind_all_immediates(bytes);
    }
    (void)printf("# %u encodings\n", bound);
    CHECK(bound > 200000);
    CHECK_EQ(refused, 0);
}

static void integer_instructions_are_left_to_others(void)
{
    struct bt_insn add;

    REQUIRE(bt_decode((const uint8_t *)"\x01\xd8", 2, BT_MODE_CODE64, &add) == 2);
    CHECK(!vec_bind(cache, &add));
}

int main(void)
{
    static const struct tap_case cases[] = {
        TAP_CASE(control_registers_decide),
        TAP_CASE(vex_needs_protected_mode_and_avx_state),
        TAP_CASE(x87_exceptions_wait),
        TAP_CASE(sse_exceptions_leave_the_destination),
        TAP_CASE(stores_that_fault_change_nothing),
        TAP_CASE(fxsave_outside_64_bit_mode_has_eight_registers),
        TAP_CASE(xsave_follows_xcr0_and_the_request),
        TAP_CASE(foreign_images_are_completed),
        TAP_CASE(no_page_is_writable_and_executable),
        TAP_CASE(stubs_are_shared),
        TAP_CASE(every_mode_has_stubs),
        TAP_CASE(integer_instructions_are_left_to_others),
        TAP_CASE(there_is_room_for_every_stub),
    };

    if (vec_create(&cache, NULL) < 0)
        return 2;
    int rc = tap_run_(cases, sizeof cases / sizeof *cases);
    vec_destroy(cache);
    return rc;
}
