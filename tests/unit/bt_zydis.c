/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder against Zydis 4, an independent one: random bytes in the three kinds of code, and the
 * code of this program's own C library. Both must agree about what is an instruction, its length,
 * its name and every operand; and the decoder must give the same answer when an instruction ends at
 * the end of its bytes, and ask for more when it does not.
 *
 *     test-bt_zydis [INSTRUCTIONS [SEED]]       per kind of code; 150000 by default
 *
 * Also prints what both take for an instruction. */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "tests/tap.h"
#include "tests/unit/bt_random.h"

static unsigned long rounds = 150000;
struct mode {
    const char *name;
    unsigned code;
    ZydisMachineMode machine;
    ZydisStackWidth stack;
};

static const struct mode modes[] = {
    {"16", BT_MODE_CODE16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    {"32", BT_MODE_CODE32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    {"64", BT_MODE_CODE64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

struct theirs {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

static bool make_decoder(const struct mode *mode, ZydisDecoder *ret_decoder)
{
    return ZYAN_SUCCESS(ZydisDecoderInit(ret_decoder, mode->machine, mode->stack)) &&
           ZYAN_SUCCESS(ZydisDecoderEnableMode(ret_decoder, ZYDIS_DECODER_MODE_KNC, false)) &&
           ZYAN_SUCCESS(ZydisDecoderEnableMode(ret_decoder, ZYDIS_DECODER_MODE_MPX, false)) &&
           ZYAN_SUCCESS(ZydisDecoderEnableMode(ret_decoder, ZYDIS_DECODER_MODE_CET, false)) &&
           ZYAN_SUCCESS(ZydisDecoderEnableMode(ret_decoder, ZYDIS_DECODER_MODE_WBNOINVD, true)) &&
           ZYAN_SUCCESS(ZydisDecoderEnableMode(ret_decoder, ZYDIS_DECODER_MODE_CLDEMOTE, true));
}

/* --- what we refuse and Zydis knows --- */

/* Whole instruction sets that guests do not have (opcodes.def names them). */
static bool refused_set(const ZydisDecodedInstruction *z)
{
    switch (z->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
    case ZYDIS_INSTRUCTION_ENCODING_MVEX:
        return true;
    default:
        break;
    }
    static const char *const sets[] = {
        "3DNOW", "SSE4A",   "XOP",    "FMA4",      "TBM",     "VTX",      "SVM",
        "SGX",   "RTM",     "CET",    "KEYLOCKER", "MOVDIR",  "WAITPKG",  "ENQCMD",
        "AMX",   "UINTR",   "HRESET", "SMX",       "PCONFIG", "MONITORX", "CLZERO",
        "RDPRU", "MCOMMIT", "SNP",    "PT",        "TSX",     "AVX_VNNI", "PADLOCK",
        "LWP",   "AMD",     "TDX",    "AVX512",    "VMFUNC",  "KNC",
    };
    const char *set = ZydisISASetGetString(z->meta.isa_set);
    for (unsigned i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (set && !strncmp(set, sets[i], strlen(sets[i])))
            return true;
    return false;
}

/* --- names --- */

/* Zydis puts the operand size into some names. */
static const struct {
    const char *ours, *theirs;
    uint8_t size; /* 0: any */
} aliases[] = {
    {"CALL_FAR", "call", 0},
    {"JMP_FAR", "jmp", 0},
    {"RET_FAR", "ret", 0},
    {"CBW", "cwde", 4},
    {"CBW", "cdqe", 8},
    {"CBW", "cbw", 2},
    {"CWD", "cdq", 4},
    {"CWD", "cqo", 8},
    {"CWD", "cwd", 2},
    {"CMPS", "cmpsb", 0},
    {"CMPS", "cmpsw", 2},
    {"CMPS", "cmpsd", 4},
    {"CMPS", "cmpsq", 8},
    {"MOVS", "movsb", 0},
    {"MOVS", "movsw", 2},
    {"MOVS", "movsd", 4},
    {"MOVS", "movsq", 8},
    {"STOS", "stosb", 0},
    {"STOS", "stosw", 2},
    {"STOS", "stosd", 4},
    {"STOS", "stosq", 8},
    {"LODS", "lodsb", 0},
    {"LODS", "lodsw", 2},
    {"LODS", "lodsd", 4},
    {"LODS", "lodsq", 8},
    {"SCAS", "scasb", 0},
    {"SCAS", "scasw", 2},
    {"SCAS", "scasd", 4},
    {"SCAS", "scasq", 8},
    {"INS", "insb", 0},
    {"INS", "insw", 2},
    {"INS", "insd", 0},
    {"OUTS", "outsb", 0},
    {"OUTS", "outsw", 2},
    {"OUTS", "outsd", 0},
    {"IRET", "iret", 2},
    {"IRET", "iretd", 4},
    {"IRET", "iretq", 8},
    {"PUSHF", "pushf", 2},
    {"PUSHF", "pushfd", 4},
    {"PUSHF", "pushfq", 8},
    {"POPF", "popf", 2},
    {"POPF", "popfd", 4},
    {"POPF", "popfq", 8},
    {"PUSHA", "pusha", 2},
    {"PUSHA", "pushad", 4},
    {"POPA", "popa", 2},
    {"POPA", "popad", 4},
    {"ENDBR", "nop", 0},
    {"FNDISI", "fdisi8087_nop", 0},
    {"FNENI", "feni8087_nop", 0},
    {"FNSETPM", "fsetpm287_nop", 0},
    {"FSTP", "fstpnce", 0},
    {"FXSAVE", "fxsave64", 8},
    {"FXRSTOR", "fxrstor64", 8},
    {"XSAVE", "xsave64", 8},
    {"XSAVEC", "xsavec64", 8},
    {"XSAVEOPT", "xsaveopt64", 8},
    {"XSAVES", "xsaves64", 8},
    {"XRSTOR", "xrstor64", 8},
    {"XRSTORS", "xrstors64", 8},
    {"IMUL_WIDE", "imul", 0},
    {"JRCXZ", "jcxz", 0},
    {"JRCXZ", "jecxz", 0},
    {"MOV_CR", "mov", 0},
    {"MOV_DR", "mov", 0},
    {"MOV_SEG", "mov", 0},
    {"POP_SEG", "pop", 0},
    {"PUSH_SEG", "push", 0},
    {"PREFETCH", "prefetchnta", 0},
    {"PREFETCH", "prefetcht0", 0},
    {"PREFETCH", "prefetcht1", 0},
    {"PREFETCH", "prefetcht2", 0},
    {"PREFETCH", "prefetchwt1", 0},
    {"PREFETCHW", "prefetch", 0},
    {"WAIT", "fwait", 0},
    {"WBNOINVD", "wbinvd", 0},
};

static bool has_alias(const char *ours, const char *theirs, unsigned size)
{
    for (unsigned i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (!strcmp(aliases[i].ours, ours) && !strcmp(aliases[i].theirs, theirs))
            return !aliases[i].size || aliases[i].size == size;
    return false;
}

static bool same_name(const struct bt_insn *insn, const char *theirs)
{
    static const char *const conditions[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                               "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    const char *ours = bt_op_name(insn->op);

    if (insn->op == BT_OP_JCC)
        return theirs[0] == 'j' && !strcmp(theirs + 1, conditions[insn->cond]);
    if (insn->op == BT_OP_SETCC)
        return !strncmp(theirs, "set", 3) && !strcmp(theirs + 3, conditions[insn->cond]);
    if (insn->op == BT_OP_CMOVCC)
        return !strncmp(theirs, "cmov", 4) && !strcmp(theirs + 4, conditions[insn->cond]);
    return has_alias(ours, theirs, insn->size) || !strcasecmp(ours, theirs);
}

/* --- operands --- */

static bool same_register(const struct bt_operand *a, ZydisRegister b)
{
    unsigned id = (unsigned)(uint8_t)ZydisRegisterGetId(b);
    unsigned size = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, b) / 8;

    switch (ZydisRegisterGetClass(b)) {
    case ZYDIS_REGCLASS_GPR8:
        if (a->kind != BT_OPERAND_GPR || a->size != 1)
            return false;
        if (b >= ZYDIS_REGISTER_AH && b <= ZYDIS_REGISTER_BH)
            return a->high_byte && a->reg == b - ZYDIS_REGISTER_AH;
        return !a->high_byte && a->reg == (b < ZYDIS_REGISTER_AH ? b - ZYDIS_REGISTER_AL
                                                                 : b - ZYDIS_REGISTER_SPL + 4);
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        return a->kind == BT_OPERAND_GPR && a->reg == id && a->size == size && !a->high_byte;
    case ZYDIS_REGCLASS_X87:
        return a->kind == BT_OPERAND_ST && a->reg == id;
    case ZYDIS_REGCLASS_MMX:
        return a->kind == BT_OPERAND_MMX && a->reg == id && a->size == 8;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
        return a->kind == BT_OPERAND_VEC && a->reg == id && a->size == size;
    case ZYDIS_REGCLASS_SEGMENT:
        return a->kind == BT_OPERAND_SEG && a->reg == id;
    case ZYDIS_REGCLASS_CONTROL:
        return a->kind == BT_OPERAND_CR && a->reg == id;
    case ZYDIS_REGCLASS_DEBUG:
        return a->kind == BT_OPERAND_DR && a->reg == id;
    default:
        return false;
    }
}

static bool same_address_register(uint8_t number, ZydisRegister b, unsigned size)
{
    if (number == BT_REG_NONE)
        return b == ZYDIS_REGISTER_NONE || b == ZYDIS_REGISTER_RIP || b == ZYDIS_REGISTER_EIP;
    return b != ZYDIS_REGISTER_NONE && number == (uint8_t)ZydisRegisterGetId(b) &&
           (size == 0 || ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, b) / 8 == size);
}

static uint64_t address_mask(const struct bt_insn *insn)
{
    return insn->addr_size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * insn->addr_size) - 1;
}

/* To Zydis these touch a cache line. */
static bool cache_line(const struct bt_insn *insn)
{
    return insn->op == BT_OP_CLFLUSH || insn->op == BT_OP_CLFLUSHOPT || insn->op == BT_OP_CLWB;
}

/* Zydis 4.0: with the address size prefix in 64-bit code, REX.B makes R13D of "no base, disp32";
 * the processor does not look at REX.B there (SDM volume 2, table 2-5; bt_cpu.c asks it). */
static bool no_base_but_r13(const struct bt_insn *insn, const ZydisDecodedOperand *b)
{
    return insn->prefixes & BT_PREFIX_ADDRSIZE && insn->base == BT_REG_NONE && insn->rex & 1 &&
           b->mem.base == ZYDIS_REGISTER_R13D;
}

static bool same_memory(const struct bt_insn *insn, const struct bt_operand *a,
                        const ZydisDecodedOperand *b)
{
    bool agen = b->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
    bool vsib = insn->properties & BT_INSN_VSIB;
    bool rip = b->mem.base == ZYDIS_REGISTER_RIP || b->mem.base == ZYDIS_REGISTER_EIP;

    if (no_base_but_r13(insn, b))
        return true;
    if (insn->op == BT_OP_MOVSXD && insn->size == 2 && a->size == 2)
        return b->size == 32; /* Intel: 16 bits are read */
    if (a->size && !agen && !cache_line(insn) && a->size != b->size / 8)
        return false;
    if (!agen && b->mem.segment != ZYDIS_REGISTER_NONE &&
        insn->seg != (uint8_t)ZydisRegisterGetId(b->mem.segment))
        return false;
    if (insn->rip_relative != rip ||
        !same_address_register(insn->base, b->mem.base, insn->addr_size) ||
        !same_address_register(insn->index, b->mem.index, vsib ? 0 : insn->addr_size))
        return false;
    if (insn->index != BT_REG_NONE && 1u << insn->scale != b->mem.scale)
        return false;
    return !(((uint64_t)insn->disp ^ (uint64_t)b->mem.disp.value) & address_mask(insn));
}

static bool same_string(const struct bt_insn *insn, const struct bt_operand *a,
                        const ZydisDecodedOperand *b)
{
    bool src = a->kind == BT_OPERAND_STRING_SRC;
    return a->size == b->size / 8 &&
           (uint8_t)ZydisRegisterGetId(b->mem.base) == (src ? CPU_RSI : CPU_RDI) &&
           (uint8_t)ZydisRegisterGetId(b->mem.segment) == (src ? insn->seg : CPU_ES) &&
           ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, b->mem.base) / 8 == insn->addr_size;
}

static bool same_operand(const struct bt_insn *insn, const struct bt_operand *a,
                         const ZydisDecodedOperand *b)
{
    uint64_t mask = a->size < 8 ? (UINT64_C(1) << 8 * a->size) - 1 : ~UINT64_C(0);

    switch (b->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return same_register(a, b->reg.value);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        if (a->kind == BT_OPERAND_MEM)
            return same_memory(insn, a, b);
        if (a->kind == BT_OPERAND_STRING_SRC || a->kind == BT_OPERAND_STRING_DST)
            return same_string(insn, a, b);
        return a->kind == BT_OPERAND_MOFFS && a->size == b->size / 8 &&
               !((uint64_t)(insn->imm[0] ^ b->mem.disp.value) & address_mask(insn)) &&
               insn->seg == (uint8_t)ZydisRegisterGetId(b->mem.segment);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (a->kind == BT_OPERAND_REL)
            return b->imm.is_relative && insn->imm[0] == b->imm.value.s;
        if (a->kind == BT_OPERAND_IMM2)
            return (uint64_t)insn->imm[1] == b->imm.value.u;
        return a->kind == BT_OPERAND_IMM && !(((uint64_t)insn->imm[0] ^ b->imm.value.u) & mask);
    case ZYDIS_OPERAND_TYPE_POINTER:
        return a->kind == BT_OPERAND_IMM && a[1].kind == BT_OPERAND_IMM2 &&
               (uint64_t)insn->imm[0] == b->ptr.offset && insn->imm[1] == b->ptr.segment;
    default:
        return false;
    }
}

/* Operands that one of the two counts as hidden: ST(0), XMM0 as a mask, MASKMOV's memory; and a far
 * pointer is two of ours. */
static bool hidden(const struct bt_insn *insn, const struct bt_operand *operand)
{
    switch (insn->op) {
    case BT_OP_MASKMOVQ:
    case BT_OP_MASKMOVDQU:
    case BT_OP_VMASKMOVDQU:
        return operand->kind == BT_OPERAND_MEM;
    case BT_OP_JMP_FAR:
    case BT_OP_CALL_FAR:
        return operand->kind == BT_OPERAND_IMM2;
    case BT_OP_SHA256RNDS2:
    case BT_OP_BLENDVPS:
    case BT_OP_BLENDVPD:
    case BT_OP_PBLENDVB:
        return operand == &insn->operand[2];
    default:
        return operand->kind == BT_OPERAND_ST && operand->reg == 0;
    }
}

/* Zydis lists what string instructions work on in an order of its own. */
static const char *compare_string(const struct bt_insn *insn, const struct theirs *z)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        bool found = false;
        for (unsigned k = 0; k < z->insn.operand_count; k++)
            found |= same_operand(insn, &insn->operand[i], &z->operand[k]);
        if (!found)
            return "string";
    }
    return NULL;
}

static const char *compare_operands(const struct bt_insn *insn, const struct theirs *z)
{
    static const char *const which[] = {"operand 0", "operand 1", "operand 2", "operand 3"};
    unsigned theirs = 0;

    if (insn->op == BT_OP_NOP || insn->op == BT_OP_ENDBR)
        return NULL; /* the length says all that matters */
    if (insn->properties & BT_INSN_STRING)
        return compare_string(insn, z);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (hidden(insn, &insn->operand[i]))
            continue;
        while (theirs < z->insn.operand_count_visible &&
               z->operand[theirs].type == ZYDIS_OPERAND_TYPE_REGISTER &&
               z->operand[theirs].reg.value == ZYDIS_REGISTER_ST0)
            theirs++;
        if (theirs == z->insn.operand_count_visible ||
            !same_operand(insn, &insn->operand[i], &z->operand[theirs++]))
            return which[i];
    }
    while (theirs < z->insn.operand_count_visible &&
           z->operand[theirs].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           z->operand[theirs].reg.value == ZYDIS_REGISTER_ST0)
        theirs++;
    return theirs == z->insn.operand_count_visible ? NULL : "operand count";
}

/* NULL: they agree. */
static const char *compare(const uint8_t *bytes, const struct mode *mode,
                           const ZydisDecoder *decoder, struct bt_insn *insn, struct theirs *z)
{
    unsigned length = bt_decode(bytes, 32, mode->code, insn);
    bool known =
        ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, BT_INSN_MAX, &z->insn, z->operand));
    bool refused = insn->op == BT_OP_UD || insn->op == BT_OP_TOO_LONG;

    if (!known)
        return refused ? NULL : "we take it, Zydis does not";
    const char *name = ZydisMnemonicGetString(z->insn.mnemonic);
    if (insn->op == BT_OP_UD && (refused_set(&z->insn) || !strncmp(name, "ud", 2)))
        return NULL;
    if (refused)
        return "we refuse it, Zydis does not";
    if (length != z->insn.length)
        return "length";
    if (!same_name(insn, name))
        return "name";
    return compare_operands(insn, z);
}

static const char *cut_short(const uint8_t *bytes, const struct mode *mode,
                             const struct bt_insn *insn)
{
    uint8_t exact[BT_INSN_MAX + 1];

    for (unsigned len = 1; len < BT_INSN_MAX; len++) {
        struct bt_insn part;
        memset(exact, 0xcc, sizeof exact);
        memcpy(exact, bytes, len);
        unsigned got = bt_decode(exact, len, mode->code, &part);
        if (len < insn->length ? got != 0 : got != insn->length || memcmp(&part, insn, sizeof part))
            return "cut short";
    }
    return NULL;
}

enum { REPORTS_MAX = 40 };

static void report(const uint8_t *bytes, const struct mode *mode, const char *what,
                   const struct bt_insn *insn, const struct theirs *z, const ZydisDecoder *decoder)
{
    static unsigned reported;
    ZydisFormatter formatter;
    char text[128] = "-";

    if (reported++ >= REPORTS_MAX)
        return;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    struct theirs again;
    if (ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(decoder, bytes, BT_INSN_MAX, &again.insn, again.operand)))
        ZydisFormatterFormatInstruction(&formatter, &again.insn, again.operand,
                                        again.insn.operand_count_visible, text, sizeof text, 0,
                                        NULL);
    printf("# %s-bit, %s:", mode->name, what);
    for (unsigned i = 0; i < BT_INSN_MAX; i++)
        printf(" %02x", bytes[i]);
    printf(" | %s %u, %s %u (%s)\n", bt_op_name(insn->op), insn->length, text, z->insn.length,
           strcmp(text, "-") ? ZydisISASetGetString(again.insn.meta.isa_set) : "");
}

static bool check_one(const uint8_t *bytes, const struct mode *mode, const ZydisDecoder *decoder,
                      struct bt_insn *insn)
{
    struct theirs z;
    memset(&z, 0, sizeof z.insn);
    const char *what = compare(bytes, mode, decoder, insn, &z);

    if (!what)
        what = cut_short(bytes, mode, insn);
    if (what)
        report(bytes, mode, what, insn, &z, decoder);
    return !what;
}

/* --- random bytes --- */

static bool seen[BT_OP_MAX];

static void random_bytes(const struct mode *mode)
{
    ZydisDecoder decoder;
    unsigned long known = 0, wrong = 0;

    REQUIRE(make_decoder(mode, &decoder));
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t bytes[32];
        struct bt_insn insn;
        random_insn(bytes);
        wrong += !check_one(bytes, mode, &decoder, &insn);
        known += insn.op > BT_OP_TOO_LONG;
        seen[insn.op] = true;
    }
    printf("# %s-bit code: %lu of %lu are instructions\n", mode->name, known, rounds);
    CHECK_EQ(wrong, 0);
    CHECK(known > rounds / 4);
}

static void random_code16(void)
{
    random_bytes(&modes[0]);
}

static void random_code32(void)
{
    random_bytes(&modes[1]);
}

static void random_code64(void)
{
    random_bytes(&modes[2]);
}

/* No name without an encoding, and none that the bytes above have not met. */
static void every_operation(void)
{
    for (unsigned op = 0; op < BT_OP_MAX; op++)
        if (!seen[op] && !CHECK(seen[op]))
            printf("# %s\n", bt_op_name((enum bt_op)op));
}

/* --- real code --- */

struct text {
    const uint8_t *bytes;
    size_t len;
};

static int find_libc(struct dl_phdr_info *info, size_t size, void *context)
{
    struct text *text = context;

    if (!info->dlpi_name || !strstr(info->dlpi_name, "libc.so"))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
        if (phdr->p_type == PT_LOAD && phdr->p_flags & PF_X)
            *text = (struct text){(const uint8_t *)info->dlpi_addr + phdr->p_vaddr, phdr->p_filesz};
    }
    return 1;
}

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void c_library(void)
{
    struct text text = {0};
    ZydisDecoder decoder;
    unsigned long count = 0, wrong = 0, unknown = 0;

    dl_iterate_phdr(find_libc, &text);
    REQUIRE(text.len > 100000);
    REQUIRE(make_decoder(&modes[2], &decoder));
    for (size_t at = 0; at + 32 < text.len; count++) {
        struct bt_insn insn;
        struct theirs z;
        const char *what = compare(text.bytes + at, &modes[2], &decoder, &insn, &z);
        if (what) {
            report(text.bytes + at, &modes[2], what, &insn, &z, &decoder);
            wrong++;
        }
        unknown += insn.op <= BT_OP_TOO_LONG;
        at += insn.op <= BT_OP_TOO_LONG && z.insn.length ? z.insn.length : insn.length;
    }
    printf("# %lu instructions, %lu not ours (EVEX)\n", count, unknown);
    CHECK_EQ(wrong, 0);
}

/* Never fails: a number for people. */
static void speed(void)
{
    struct text text = {0};
    ZydisDecoder decoder;
    double ours = 1e18, theirs = 1e18, minimal = 1e18;

    dl_iterate_phdr(find_libc, &text);
    REQUIRE(text.len > 100000);
    REQUIRE(make_decoder(&modes[2], &decoder));
    for (unsigned round = 0; round < 3; round++) {
        unsigned long count = 0;
        double start = now_ns();
        for (size_t at = 0; at + 32 < text.len; count++) {
            struct bt_insn insn;
            at += bt_decode(text.bytes + at, 32, BT_MODE_CODE64, &insn);
        }
        double took = (now_ns() - start) / (double)count;
        ours = took < ours ? took : ours;
        count = 0;
        start = now_ns();
        for (size_t at = 0; at + 32 < text.len; count++) {
            struct theirs z;
            at += ZYAN_SUCCESS(
                      ZydisDecoderDecodeFull(&decoder, text.bytes + at, 15, &z.insn, z.operand))
                      ? z.insn.length
                      : 1;
        }
        took = (now_ns() - start) / (double)count;
        theirs = took < theirs ? took : theirs;
        count = 0;
        start = now_ns();
        for (size_t at = 0; at + 32 < text.len; count++) {
            ZydisDecodedInstruction z;
            at +=
                ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, text.bytes + at, 15, &z))
                    ? z.length
                    : 1;
        }
        took = (now_ns() - start) / (double)count;
        minimal = took < minimal ? took : minimal;
    }
    printf("# ns an instruction: %.1f ours, %.1f Zydis, %.1f Zydis without operands\n", ours,
           theirs, minimal);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_CASE(random_code16), TAP_CASE(random_code32),
                                            TAP_CASE(random_code64), TAP_CASE(every_operation),
                                            TAP_CASE(c_library),     TAP_CASE(speed)};
    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0) | 1;
    return tap_run_(cases, sizeof cases / sizeof cases[0]);
}
