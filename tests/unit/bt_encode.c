/* SPDX-License-Identifier: Apache-2.0 */
/* encode_insn: random instructions written again with random registers and memory operands. The
 * engine's own decoder has agreed when it returns true; here Zydis has to say the same: the same
 * instruction, of as many operands, of the same sizes, and the registers and memory asked for.
 *
 *     test-bt_encode [INSTRUCTIONS [SEED]] */
#include <Zydis/Zydis.h>
#include <stdlib.h>

#include "tests/tap.h"
#include "tests/unit/bt_random.h"
#include "vm/engine/bt/jit/encode.h"

struct decoded {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

static ZydisDecoder decoder;
static unsigned long rounds = 400000, written, refused, failed;

static unsigned below(unsigned n)
{
    return (unsigned)((random64() >> 20) % n);
}

static bool zydis(const uint8_t *bytes, unsigned len, struct decoded *d)
{
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &d->insn, d->operand));
}

static struct encode_mem random_mem(void)
{
    struct encode_mem m = {BT_REG_NONE, BT_REG_NONE, 0, 0};

    if (below(4))
        m.base = (uint8_t)below(16);
    if (below(2)) {
        m.index = (uint8_t)below(16);
        m.index = m.index == CPU_RSP ? BT_REG_NONE : m.index;
        m.scale = (uint8_t)below(4);
    }
    static const int32_t disps[] = {0, 0, 1, -1, 127, -128, 128, -129, INT32_MAX, INT32_MIN};
    m.disp = below(2) ? disps[below(10)] : (int32_t)random64();
    return m;
}

static bool same_mem(const ZydisDecodedOperand *z, const struct encode_mem *m)
{
    int base = z->mem.base == ZYDIS_REGISTER_NONE ? BT_REG_NONE : ZydisRegisterGetId(z->mem.base);
    int index =
        z->mem.index == ZYDIS_REGISTER_NONE ? BT_REG_NONE : ZydisRegisterGetId(z->mem.index);

    if (z->mem.base != ZYDIS_REGISTER_NONE &&
        ZydisRegisterGetClass(z->mem.base) != ZYDIS_REGCLASS_GPR64)
        return false;
    return base == m->base && index == m->index && z->mem.disp.value == m->disp &&
           z->mem.segment != ZYDIS_REGISTER_FS && z->mem.segment != ZYDIS_REGISTER_GS &&
           (index == BT_REG_NONE || z->mem.scale == 1 << m->scale);
}

static bool same_register(const ZydisDecodedOperand *was, const ZydisDecodedOperand *is,
                          uint8_t asked)
{
    bool high = was->reg.value >= ZYDIS_REGISTER_AH && was->reg.value <= ZYDIS_REGISTER_BH;

    if (asked == BT_REG_NONE)
        return was->reg.value == is->reg.value;
    /* Byte registers: Zydis counts AH to BH apart. */
    if (is->reg.value >= ZYDIS_REGISTER_AL && is->reg.value <= ZYDIS_REGISTER_R15B) {
        static const ZydisRegister byte[] = {
            ZYDIS_REGISTER_AL,   ZYDIS_REGISTER_CL,   ZYDIS_REGISTER_DL,   ZYDIS_REGISTER_BL,
            ZYDIS_REGISTER_SPL,  ZYDIS_REGISTER_BPL,  ZYDIS_REGISTER_SIL,  ZYDIS_REGISTER_DIL,
            ZYDIS_REGISTER_R8B,  ZYDIS_REGISTER_R9B,  ZYDIS_REGISTER_R10B, ZYDIS_REGISTER_R11B,
            ZYDIS_REGISTER_R12B, ZYDIS_REGISTER_R13B, ZYDIS_REGISTER_R14B, ZYDIS_REGISTER_R15B};
        return is->reg.value == byte[asked];
    }
    return !high && ZydisRegisterGetClass(was->reg.value) == ZydisRegisterGetClass(is->reg.value) &&
           ZydisRegisterGetId(is->reg.value) == asked;
}

static bool same(const struct decoded *was, const struct decoded *is, const struct bt_insn *insn,
                 const uint8_t *reg, const struct encode_mem *mem)
{
    unsigned count = was->insn.operand_count_visible;

    if (was->insn.mnemonic != is->insn.mnemonic || count != is->insn.operand_count_visible ||
        was->insn.operand_width != is->insn.operand_width ||
        (was->insn.attributes ^ is->insn.attributes) & ZYDIS_ATTRIB_HAS_LOCK)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const ZydisDecodedOperand *a = &was->operand[i], *b = &is->operand[i];
        if (a->type != b->type || a->actions != b->actions ||
            (a->size != b->size && insn->op != BT_OP_LEA))
            return false;
        if (b->type == ZYDIS_OPERAND_TYPE_MEMORY && !same_mem(b, mem))
            return false;
        if (b->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && a->imm.value.u != b->imm.value.u)
            return false;
        if (b->type == ZYDIS_OPERAND_TYPE_REGISTER &&
            !same_register(a, b, i < insn->operand_count ? reg[i] : BT_REG_NONE))
            return false;
    }
    return true;
}

static void show(const char *what, const uint8_t *bytes, unsigned len)
{
    ZydisFormatter formatter;
    struct decoded d;
    char text[128] = "?";

    (void)ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (zydis(bytes, len, &d))
        (void)ZydisFormatterFormatInstruction(&formatter, &d.insn, d.operand,
                                              d.insn.operand_count_visible, text, sizeof text, 0,
                                              NULL);
    printf("# %s %s:", what, text);
    for (unsigned i = 0; i < len; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

/* Where everything may move: general registers that are not implicit, and vector registers. */
static void random_registers(const struct bt_insn *insn, uint8_t reg[BT_OPERANDS_MAX])
{
    for (unsigned i = 0; i < BT_OPERANDS_MAX; i++) {
        unsigned kind = i < insn->operand_count ? insn->operand[i].kind : BT_OPERAND_NONE;
        bool may = kind == BT_OPERAND_GPR || kind == BT_OPERAND_VEC;
        reg[i] = may && below(3) ? (uint8_t)below(16) : BT_REG_NONE;
    }
}

static void one(const uint8_t *bytes)
{
    uint8_t out[32], reg[BT_OPERANDS_MAX];
    struct encode e = {.at = out, .end = out + sizeof out};
    struct decoded was, is;
    struct bt_insn insn;
    unsigned len = bt_decode(bytes, BT_INSN_MAX, BT_MODE_CODE64, &insn);

    /* Hints have operands that only one of the two decoders mentions. */
    if (insn.op == BT_OP_UD || insn.op == BT_OP_TOO_LONG || insn.op == BT_OP_NOP ||
        !zydis(bytes, len, &was))
        return;
    struct encode_mem mem = random_mem();
    random_registers(&insn, reg);
    if (!encode_insn(&e, &insn, reg, &mem)) {
        refused++;
        if (e.at != out)
            failed++;
        return;
    }
    written++;
    unsigned length = (unsigned)(e.at - out);
    if (zydis(out, length, &is) && is.insn.length == length && same(&was, &is, &insn, reg, &mem))
        return;
    if (++failed < 20) {
        show("from", bytes, len);
        show("to", out, length);
    }
}

/* What the encodings make difficult. */
static void corners(void)
{
    static const uint8_t add_ah_al[] = {0x00, 0xc4}; /* add ah, al */
    static const uint8_t mov_bl[] = {0x8a, 0x18};    /* mov bl, [rax] */
    static const uint8_t shl_cl[] = {0xd3, 0xe0};    /* shl eax, cl */
    uint8_t out[32], none[] = {BT_REG_NONE, BT_REG_NONE, BT_REG_NONE, BT_REG_NONE};
    uint8_t to_r8[] = {BT_REG_NONE, 8, BT_REG_NONE, BT_REG_NONE};
    uint8_t to_sil[] = {BT_REG_NONE, 6, BT_REG_NONE, BT_REG_NONE};
    uint8_t sil[] = {6, BT_REG_NONE, BT_REG_NONE, BT_REG_NONE};
    struct encode e = {.at = out, .end = out + sizeof out};
    struct encode_mem r13 = encode_at(13, 0);
    struct bt_insn insn;

    (void)bt_decode(add_ah_al, 2, BT_MODE_CODE64, &insn);
    CHECK(!encode_insn(&e, &insn, to_r8, NULL)); /* AH, and one that needs REX */
    CHECK(!encode_insn(&e, &insn, to_sil, NULL));
    CHECK(e.at == out);
    (void)bt_decode(mov_bl, 2, BT_MODE_CODE64, &insn);
    CHECK(encode_insn(&e, &insn, sil, &r13));
    CHECK(e.at - out == 4 && !memcmp(out, "\x41\x8a\x75\0", 4));
    e.at = out;
    (void)bt_decode(shl_cl, 2, BT_MODE_CODE64, &insn);
    CHECK(!encode_insn(&e, &insn, to_r8, NULL)); /* CL cannot be another */
    e.end = out + 1;
    CHECK(encode_insn(&e, &insn, none, NULL) && e.full && e.at == out);
}

static void random_ones(void)
{
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t bytes[32];
        random_insn(bytes);
        one(bytes);
    }
    printf("# %lu written again, %lu refused\n", written, refused);
    CHECK_EQ(failed, 0);
    CHECK(written > rounds / 4);
}

static const struct tap_case cases[] = {TAP_CASE(corners), TAP_CASE(random_ones)};

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0) | 1;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
        return 1;
    return tap_run_(cases, sizeof cases / sizeof cases[0]);
}
