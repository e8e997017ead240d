/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder against the processor that runs this test, in 64-bit code and in 32-bit code
 * (compatibility mode). An instruction's bytes end at the end of a page behind which nothing is
 * mapped:
 *
 *   one byte less than it has      the fetch must fault behind the page
 *   all bytes                      it must not, whatever else the instruction does
 *   what the decoder refuses       #UD, and nothing behind its length is fetched
 *   more than 15 bytes             #GP
 *
 * Registers that addresses are made of hold addresses that are not canonical, or in 32-bit code,
 * for which the low 4 GiB are empty, such as are not mapped; nothing is mapped for 4 GiB to either
 * side of the 64-bit page, and the page holds INT3, so an instruction that does run harms nothing
 * and comes to no good end. What would leave the test's hands is not tried: system calls, segment
 * registers and their bases, and what is refused as policy though the processor has it.
 *
 *     test-bt_cpu [INSTRUCTIONS [SEED]]        60000 by default */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/tap.h"
#include "tests/unit/bt_random.h"
#include "vm/engine/bt/disasm.h"

static unsigned long rounds = 60000;
static uint8_t *page; /* of `code`: writable and executable; the bytes behind it are not mapped */
static unsigned code;

enum { PAGE = 4096 };
static const uint64_t RESERVE = UINT64_C(8) << 30;

/* --- running a few bytes --- */

struct outcome {
    int signal;
    uint64_t trap, error, address, rip;
};

static sigjmp_buf back;
static struct outcome last;

static void caught(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    last.signal = signal;
    last.trap = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    last.error = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
    last.address = (uint64_t)(uintptr_t)info->si_addr;
    last.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back, 1);
}

static void catch_signals(void)
{
    static uint8_t stack[65536];
    static const int signals[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGFPE};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = caught,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

/* Jumps to `start` with every other register spoilt. */
_Noreturn void bt_cpu_enter(const uint8_t *start);
__asm__(".pushsection .text\n"
        ".globl bt_cpu_enter\n"
        ".hidden bt_cpu_enter\n"
        ".type bt_cpu_enter, @function\n"
        "bt_cpu_enter:\n"
        "    movq %rdi, bt_cpu_target(%rip)\n"
        "    movabsq $0x8100000010000000, %rax\n"
        "    leaq 0x11110(%rax), %rcx\n"
        "    leaq 0x22220(%rax), %rdx\n"
        "    leaq 0x33330(%rax), %rbx\n"
        "    leaq 0x44440(%rax), %rsp\n"
        "    leaq 0x55550(%rax), %rbp\n"
        "    leaq 0x66660(%rax), %rsi\n"
        "    leaq 0x77770(%rax), %rdi\n"
        "    leaq 0x88880(%rax), %r8\n"
        "    leaq 0x99990(%rax), %r9\n"
        "    leaq 0xaaaa0(%rax), %r10\n"
        "    leaq 0xbbbb0(%rax), %r11\n"
        "    leaq 0xcccc0(%rax), %r12\n"
        "    leaq 0xdddd0(%rax), %r13\n"
        "    leaq 0xeeee0(%rax), %r14\n"
        "    leaq 0xffff0(%rax), %r15\n"
        "    jmp *bt_cpu_target(%rip)\n"
        ".popsection\n"
        ".local bt_cpu_target\n"
        ".comm bt_cpu_target, 8, 8\n");

/* The same, in compatibility mode: Linux has a 32-bit code segment for every program. */
_Noreturn void bt_cpu_enter32(const uint8_t *start);
__asm__(".pushsection .text\n"
        ".globl bt_cpu_enter32\n"
        ".hidden bt_cpu_enter32\n"
        ".type bt_cpu_enter32, @function\n"
        "bt_cpu_enter32:\n"
        "    movl %edi, bt_cpu_far(%rip)\n"
        "    movl $0x10000000, %eax\n"
        "    leal 0x11110(%eax), %ecx\n"
        "    leal 0x22220(%eax), %edx\n"
        "    leal 0x33330(%eax), %ebx\n"
        "    leal 0x44440(%eax), %esp\n"
        "    leal 0x55550(%eax), %ebp\n"
        "    leal 0x66660(%eax), %esi\n"
        "    leal 0x77770(%eax), %edi\n"
        "    ljmpl *bt_cpu_far(%rip)\n"
        ".popsection\n"
        ".pushsection .data\n"
        "bt_cpu_far: .long 0\n"
        "    .word 0x23\n"
        ".popsection\n");

/* Runs bytes[0 .. len) as the last `len + room` bytes of the page, and what it comes to is `last`.
 */
static uint64_t run(const uint8_t *bytes, unsigned len, unsigned room)
{
    uint8_t *start = page + PAGE - len - room;

    memset(page + PAGE - 64, 0xcc, 64);
    memcpy(start, bytes, len);
    if (!sigsetjmp(back, 0)) {
        if (code == BT_MODE_CODE64)
            bt_cpu_enter(start);
        else
            bt_cpu_enter32(start);
    }
    __asm__ volatile("fninit");
    return (uint64_t)(uintptr_t)start;
}

/* The instruction at `start` was not all there. */
static bool fetch_faulted(uint64_t start)
{
    return last.signal == SIGSEGV && last.trap == BT_PF && last.error & 16 && last.rip == start &&
           last.address == (uint64_t)(uintptr_t)page + PAGE;
}

/* --- what is not tried --- */

static bool leaves_the_test(const struct bt_insn *insn)
{
    switch (insn->op) {
    case BT_OP_SYSCALL:
    case BT_OP_SYSENTER:
    case BT_OP_INT:
    case BT_OP_WRFSBASE:
    case BT_OP_WRGSBASE:
    case BT_OP_MOV_SEG:
    case BT_OP_POP_SEG:
        return true;
    default:
        break;
    }
    /* FS is the thread's own data. */
    if (insn->seg == CPU_FS &&
        (insn->has_mem || insn->properties & (BT_INSN_STRING | BT_INSN_READS | BT_INSN_WRITES)))
        return true;
    /* A branch into itself may never end, or run other bytes than these. */
    return insn->operand[0].kind == BT_OPERAND_REL && insn->imm[0] < 0 && insn->imm[0] >= -64;
}

/* Instructions that guests do not have and this processor may. */
static bool refused_by_policy(const struct bt_insn *insn)
{
    bool vex = insn->prefixes & BT_PREFIX_VEX;
    unsigned op = insn->opcode;

    /* No instruction, so no known length, and perhaps too long. */
    if (vex &&
        (!insn->map || insn->map > 3 || !bt_opcode_slots[insn->map + BT_MAP_VEX - 1][op].count))
        return true;
    if (!vex && insn->map == 0)
        return op == 0x62 || op == 0x8f; /* EVEX, XOP */
    if (!vex && insn->map == 1 && op == 0) /* LOCK VERW, which some take */
        return true;
    if (!vex && insn->map == 1) { /* system forms, 3DNow!, SSE4a, CET; LOCK MOV CR0 is AMD's CR8 */
        static const uint8_t ops[] = {0x01, 0xae, 0xc7, 0x0e, 0x0f, 0x20, 0x22,
                                      0x2b, 0x37, 0x78, 0x79, 0xb9, 0xff};
        return memchr(ops, (int)op, sizeof ops) != NULL;
    }
    if (!vex && insn->map == 2) /* WRSS, key locker, MOVDIR */
        return op >= 0xf5 || (op >= 0xd8 && op <= 0xdf) || op == 0x80 || op == 0x81;
    if (vex && insn->map == 1) /* mask registers */
        return (op >= 0x41 && op <= 0x4b) || (op >= 0x90 && op <= 0x99);
    if (vex && insn->map == 2) /* VNNI and its kin */
        return (op >= 0x50 && op <= 0x53) || op >= 0xb0;
    /* KSHIFT; VPERMQ and VPERMPD without W, which AMD takes though its manual does not. */
    return vex && insn->map == 3 && ((op >= 0x30 && op <= 0x33) || op <= 0x01);
}

/* --- the comparison --- */

static const char *compare_valid(const uint8_t *bytes, const struct bt_insn *insn)
{
    if (!fetch_faulted(run(bytes, insn->length - 1, 0)))
        return "ends earlier";
    if (fetch_faulted(run(bytes, insn->length, 0)))
        return "goes on";
    return NULL;
}

static const char *compare(const uint8_t *bytes, const struct bt_insn *insn)
{
    uint64_t start;

    switch (insn->op) {
    case BT_OP_TOO_LONG:
        run(bytes, 15, 16);
        return last.signal == SIGSEGV && last.trap == BT_GP ? NULL : "is not too long";
    case BT_OP_UD:
        start = run(bytes, 15, 16);
        if (last.signal != SIGILL || last.rip != start)
            return "is no #UD";
        return fetch_faulted(run(bytes, insn->length, 0)) ? "#UD only behind more bytes" : NULL;
    default:
        return compare_valid(bytes, insn);
    }
}

static unsigned branches; /* BT_DECODE_AMD_BRANCHES where it is one */
static unsigned long lengths_tried, refusals_tried;

static bool check_one(const uint8_t *bytes)
{
    struct bt_insn insn;
    char text[BT_DISASM_MAX];

    bt_decode(bytes, 32, code | branches, &insn);
    if (insn.op <= BT_OP_TOO_LONG ? refused_by_policy(&insn) : leaves_the_test(&insn))
        return true;
    *(insn.op > BT_OP_TOO_LONG ? &lengths_tried : &refusals_tried) += 1;
    const char *what = compare(bytes, &insn);
    if (!what)
        return true;
    static unsigned reported;
    if (reported++ < 40) {
        printf("# %s:", what);
        for (unsigned i = 0; i < BT_INSN_MAX; i++)
            printf(" %02x", bytes[i]);
        printf(" | %s, %u; signal %d trap %u at +%lld\n", bt_disasm(&insn, 0, text), insn.length,
               last.signal, (unsigned)last.trap,
               (long long)(last.rip - (uint64_t)(uintptr_t)page - PAGE));
    }
    return false;
}

static uint8_t *page32, *page64;

static void random_code(void)
{
    unsigned long wrong = 0;

    lengths_tried = refusals_tried = 0;
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t bytes[32];
        random_insn(bytes);
        wrong += !check_one(bytes);
    }
    printf("# %lu lengths and %lu refusals tried\n", lengths_tried, refusals_tried);
    CHECK_EQ(wrong, 0);
    CHECK(lengths_tried > rounds / 3 && refusals_tried > rounds / 100);
}

static void random_code64(void)
{
    code = BT_MODE_CODE64;
    page = page64;
    random_code();
}

/* DAA, which 64-bit code does not have, runs to the page's end. */
static bool has_compatibility_mode(void)
{
    run((const uint8_t[]){0x27}, 1, 0);
    return last.rip == (uint64_t)(uintptr_t)page + PAGE;
}

static void random_code32(void)
{
    code = BT_MODE_CODE32;
    page = page32;
    if (!page || !has_compatibility_mode()) {
        printf("# no compatibility mode here\n");
        return;
    }
    random_code();
}

/* Whether the processor is new enough to know all that guests may have. In a sanitizer's build the
 * low 4 GiB, which the 67 prefix reaches, are not empty. */
static bool suitable(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return false;
#endif
#endif
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("gfni");
}

static uint8_t *make_page(uint8_t *at)
{
    if (mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        return NULL;
    return memset(at, 0xcc, PAGE);
}

static bool make_pages(void)
{
    enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
    uint8_t *reserve = mmap(NULL, RESERVE, PROT_NONE, FLAGS, -1, 0);
    uint8_t *low = mmap(NULL, 2 * PAGE, PROT_NONE, FLAGS | MAP_32BIT, -1, 0);

    page64 = reserve == MAP_FAILED ? NULL : make_page(reserve + RESERVE / 2);
    page32 = low == MAP_FAILED ? NULL : make_page(low);
    return page64;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_CASE(random_code64), TAP_CASE(random_code32)};

    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0) | 1;
    if (!suitable() || !make_pages()) {
        printf("1..0 # SKIP an old processor, a sanitizer, or no page to write and run\n");
        return 0;
    }
    branches = __builtin_cpu_is("amd") ? BT_DECODE_AMD_BRANCHES : 0;
    catch_signals();
    return tap_run_(cases, sizeof cases / sizeof cases[0]);
}
