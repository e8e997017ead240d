/* SPDX-License-Identifier: Apache-2.0 */
/* The translator against the processor: random programs (jit_program.h) run here natively and there
 * translated, at the same addresses, from the same state; then registers, flags, vector registers
 * and memory must be the same, and so must exceptions: which, where, and with what state.
 *
 *     bt-jit-diff [--32] [SECONDS|PROGRAMSx [SEED [FAILURES]]]
 *
 * --32: programs of 32-bit code, in compatibility mode; GS is a segment of an LDT.
 *
 * Each program runs several times: interpreted, translated with empty tables, translated with full
 * ones, and sometimes often enough for accesses that are not aligned to be translated again; now
 * and then the tables get no memory. One that differs is shortened and printed. */
#include <asm/ldt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/bt/jit_program.h"
#include "vm/engine/bt/insn.h"

enum { PIECES = 40, STRANGE = -2 };

/* --- natively --- */

extern struct jit_regs native_regs;
extern uint64_t native_host_rsp, native_host_gs;
extern uint32_t native_mxcsr;
struct jit_regs native_regs;
uint64_t native_host_rsp, native_host_gs;
uint32_t native_mxcsr = MXCSR_INIT;
extern char native_return[];
void native_enter(void);

/* In 32-bit code, by Linux's selectors. */
enum { CS64 = 0x33, CS32 = 0x23, DS32 = 0x2b, GS32 = 7 };
extern struct __attribute__((packed)) far_pointer {
    uint32_t offset;
    uint16_t selector;
} native_far;
struct far_pointer native_far;
void native_enter32(void);

_Static_assert(offsetof(struct jit_regs, rip) == 128 && offsetof(struct jit_regs, flags) == 136 &&
                   offsetof(struct jit_regs, image) == 192,
               "native_enter");

__asm__(".text\n"
        "native_enter:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, native_host_rsp(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx\n"
        "  xrstor64 native_regs+192(%rip)\n"
        "  push native_regs+136(%rip); popfq\n"
        "  mov native_regs+8(%rip), %rcx; mov native_regs+16(%rip), %rdx\n"
        "  mov native_regs+24(%rip), %rbx; mov native_regs+32(%rip), %rsp\n"
        "  mov native_regs+40(%rip), %rbp; mov native_regs+48(%rip), %rsi\n"
        "  mov native_regs+56(%rip), %rdi; mov native_regs+64(%rip), %r8\n"
        "  mov native_regs+72(%rip), %r9; mov native_regs+80(%rip), %r10\n"
        "  mov native_regs+88(%rip), %r11; mov native_regs+96(%rip), %r12\n"
        "  mov native_regs+104(%rip), %r13; mov native_regs+112(%rip), %r14\n"
        "  mov native_regs+120(%rip), %r15; mov native_regs(%rip), %rax\n"
        "  jmp *native_regs+128(%rip)\n"
        "native_enter32:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, native_host_rsp(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx\n"
        "  xrstor64 native_regs+192(%rip)\n"
        "  push native_regs+136(%rip); popfq\n"
        "  mov native_regs+8(%rip), %rcx; mov native_regs+16(%rip), %rdx\n"
        "  mov native_regs+24(%rip), %rbx; mov native_regs+32(%rip), %rsp\n"
        "  mov native_regs+40(%rip), %rbp; mov native_regs+48(%rip), %rsi\n"
        "  mov native_regs+56(%rip), %rdi; mov native_regs(%rip), %rax\n"
        "  mov native_regs+64(%rip), %r8; mov native_regs+72(%rip), %r9\n"
        "  mov native_regs+80(%rip), %r10; mov native_regs+88(%rip), %r11\n"
        "  mov native_regs+96(%rip), %r12; mov native_regs+104(%rip), %r13\n"
        "  mov native_regs+112(%rip), %r14; mov native_regs+120(%rip), %r15\n"
        "  ljmp *native_far(%rip)\n"
        "native_return:\n" /* by the handler; it has stored the general registers */
        "  mov native_host_rsp(%rip), %rsp\n"
        "  mov $7, %eax; xor %edx, %edx\n"
        "  xsave64 native_regs+192(%rip)\n"
        "  fninit; ldmxcsr native_mxcsr(%rip); vzeroupper; cld\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

/* The program's HLT, too, ends here. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
    static const uint8_t order[CPU_GPRS] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                            REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                            REG_R12, REG_R13, REG_R14, REG_R15};
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)info;
    for (unsigned i = 0; i < CPU_GPRS; i++)
        native_regs.gpr[i] = (uint64_t)regs[order[i]];
    native_regs.rip = (uint64_t)regs[REG_RIP];
    native_regs.flags = (uint64_t)regs[REG_EFL];
    native_regs.cr2 = (uint64_t)regs[REG_CR2];
    native_regs.trap = signal == SIGVTALRM ? STRANGE : (int)regs[REG_TRAPNO];
    regs[REG_RIP] = (greg_t)(uintptr_t)native_return;
    regs[REG_EFL] &= ~(greg_t)BT_FLAG_DF;
    regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~(greg_t)0xffff) | CS64;
}

static void *native_map(uint64_t address, size_t len, int rights)
{
    void *p = mmap((void *)(uintptr_t)address, len, rights,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    return p == (void *)(uintptr_t)address ? p : NULL;
}

static bool native_open(void)
{
    return native_map(JIT_CODE, JIT_CODE_BYTES, PROT_READ | PROT_EXEC) &&
           native_map(JIT_DATA, JIT_READONLY - JIT_DATA, PROT_READ | PROT_WRITE) &&
           native_map(JIT_READONLY, JIT_PAGE, PROT_READ) &&
           native_map(JIT_ABSENT + JIT_PAGE, JIT_PAGE, PROT_READ | PROT_WRITE);
}

static void protect(uint64_t address, size_t len, int rights)
{
    if (mprotect((void *)(uintptr_t)address, len, rights))
        abort();
}

static void native_write_data(const uint8_t *data)
{
    static bool readonly_done;

    memcpy((void *)(uintptr_t)JIT_DATA, data, JIT_READONLY - JIT_DATA);
    memcpy((void *)(uintptr_t)(JIT_ABSENT + JIT_PAGE), data + (JIT_ABSENT + JIT_PAGE - JIT_DATA),
           JIT_PAGE);
    if (readonly_done)
        return;
    protect(JIT_READONLY, JIT_PAGE, PROT_READ | PROT_WRITE);
    memcpy((void *)(uintptr_t)JIT_READONLY, data + (JIT_READONLY - JIT_DATA), JIT_PAGE);
    protect(JIT_READONLY, JIT_PAGE, PROT_READ);
    readonly_done = true; /* for good: the data of that page are always the same */
}

static void native_read_data(uint8_t *data)
{
    memcpy(data, (void *)(uintptr_t)JIT_DATA, JIT_ABSENT - JIT_DATA);
    memset(data + (JIT_ABSENT - JIT_DATA), 0, JIT_PAGE);
    memcpy(data + (JIT_ABSENT + JIT_PAGE - JIT_DATA), (void *)(uintptr_t)(JIT_ABSENT + JIT_PAGE),
           JIT_PAGE);
}

static void native_write_code(const uint8_t *code)
{
    protect(JIT_CODE, JIT_CODE_BYTES, PROT_READ | PROT_WRITE);
    memcpy((void *)(uintptr_t)JIT_CODE, code, JIT_CODE_BYTES);
    protect(JIT_CODE, JIT_CODE_BYTES, PROT_READ | PROT_EXEC);
}

/* An LDT with JIT_GS. */
static bool native_open32(void)
{
    struct user_desc gs = {
        .base_addr = JIT_GS, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};

    return syscall(SYS_modify_ldt, 1, &gs, sizeof gs) == 0;
}

static void native_run32(void)
{
    native_far = (struct far_pointer){(uint32_t)native_regs.rip, CS32};
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%gs" : : "r"(DS32), "r"(GS32));
    native_enter32();
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" : : "r"(0));
}

static void native_run(struct jit_regs *regs)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGVTALRM};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old[6];
    struct itimerval limit = {.it_value = {.tv_usec = 200000}}, none = {{0, 0}, {0, 0}};
    uint64_t gs;

    native_regs = *regs;
    native_regs.flags |= 0x202;
    for (unsigned i = 0; i < 6; i++)
        (void)sigaction(signals[i], &action, &old[i]);
    (void)setitimer(ITIMER_VIRTUAL, &limit, NULL);
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    __asm__ volatile("wrgsbase %0" : : "r"((uint64_t)JIT_GS));
    if (jit_code == BT_MODE_CODE32)
        native_run32();
    else
        native_enter();
    __asm__ volatile("wrgsbase %0" : : "r"(gs));
    (void)setitimer(ITIMER_VIRTUAL, &none, NULL);
    for (unsigned i = 0; i < 6; i++)
        (void)sigaction(signals[i], &old[i], NULL);
    *regs = native_regs;
}

/* --- comparing --- */

struct outcome {
    struct jit_regs regs;
    bool ended;
    uint8_t data[JIT_DATA_BYTES];
};

static struct jit_machine *machine;
static struct jit_program program;
static struct jit_regs start;
static uint8_t start_data[JIT_DATA_BYTES];
static struct outcome native, guest;

static bool is_end(const struct jit_regs *regs)
{
    return regs->rip == JIT_CODE + program.end;
}

static void run_native(void)
{
    native_write_data(start_data);
    native.regs = start;
    native_run(&native.regs);
    native.ended = is_end(&native.regs);
    native_read_data(native.data);
    if (native.ended)
        native.regs.trap = -1;
}

static bool run_guest(void)
{
    jit_machine_write_data(machine, start_data);
    guest.regs = start;
    bool ran = jit_machine_run(machine, &guest.regs);
    guest.ended = is_end(&guest.regs);
    jit_machine_read_data(machine, guest.data);
    memset(guest.data + (JIT_ABSENT - JIT_DATA), 0, JIT_PAGE);
    return ran;
}

static void clear_pointers(uint8_t *image)
{
    memset(image + IMAGE_FTW + 1, 0, IMAGE_MXCSR - IMAGE_FTW - 1);
    memset(image + IMAGE_MXCSR_MASK, 0, 4);
}

/* Whether there is something of this program at an address that is nothing for the guest. */
static bool is_ours(uint64_t address)
{
    return (address < JIT_CODE || address >= JIT_DATA + JIT_DATA_BYTES) &&
           !msync((void *)(uintptr_t)(address & ~(uint64_t)(JIT_PAGE - 1)), JIT_PAGE, MS_ASYNC);
}

/* A program that found something of ours, or of the guest's system, shows nothing. And the
 * interpreter takes its own choice which exception an access raises that is not aligned, or across
 * the end of the canonical range, or both. */
static bool is_moot(unsigned run)
{
    bool choice = native.regs.trap == BT_GP || native.regs.trap == BT_SS;

    return (guest.regs.trap == BT_PF && is_ours(guest.regs.cr2)) ||
           (!run && choice && native.regs.rip == guest.regs.rip && guest.regs.trap >= BT_SS &&
            guest.regs.trap <= BT_PF);
}

/* Flags at an exception may differ (jit.h); and those that the last instructions leave undefined.
 */
static const char *difference(void)
{
    uint64_t flags = native.ended ? BT_FLAGS_STATUS | BT_FLAG_DF : 0;

    if (native.regs.trap != guest.regs.trap)
        return "exception";
    if (native.regs.rip != guest.regs.rip)
        return "rip";
    if (native.regs.trap == BT_PF && native.regs.cr2 != guest.regs.cr2)
        return "cr2";
    for (unsigned i = 0; i < CPU_GPRS; i++)
        if (native.regs.gpr[i] != guest.regs.gpr[i])
            return "register";
    if ((native.regs.flags ^ guest.regs.flags) & flags)
        return "flags";
    if (memcmp(native.data, guest.data, JIT_DATA_BYTES))
        return "memory";
    clear_pointers(native.regs.image);
    clear_pointers(guest.regs.image);
    if (memcmp(native.regs.image, guest.regs.image, IMAGE_LEGACY_END) ||
        memcmp(native.regs.image + IMAGE_YMM, guest.regs.image + IMAGE_YMM, 256))
        return "vector registers";
    return NULL;
}

/* NULL: all runs end as the processor's. */
static const char *try(unsigned runs, unsigned *ret_run)
{
    native_write_code(program.code);
    run_native();
    if (native.regs.trap == STRANGE ||
        (native.regs.trap == BT_PF && native.regs.cr2 - JIT_SYSTEM < JIT_SYSTEM_BYTES))
        return NULL; /* for ever; or the guest would find its own system */
    jit_machine_forget(machine);
    jit_machine_write_code(machine, program.code);
    for (unsigned i = 0; i < runs; i++) {
        *ret_run = i;
        if (!run_guest())
            return "no end";
        const char *what = difference();
        if (what)
            return is_moot(i) ? NULL : what;
        if (i < 2)
            jit_machine_heat(machine);
    }
    return NULL;
}

/* --- what is printed --- */

static void show_registers(void)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (unsigned i = 0; i < CPU_GPRS; i++)
        printf("# %-3s %016" PRIx64 " -> %016" PRIx64 ", translated %016" PRIx64 "%s\n", names[i],
               start.gpr[i], native.regs.gpr[i], guest.regs.gpr[i],
               native.regs.gpr[i] != guest.regs.gpr[i] ? " <<<" : "");
    printf("# rip %" PRIx64 ", translated %" PRIx64 "; exception %d, %d; flags %" PRIx64
           ", %" PRIx64 "; cr2 %" PRIx64 ", %" PRIx64 "\n",
           native.regs.rip, guest.regs.rip, native.regs.trap, guest.regs.trap, native.regs.flags,
           guest.regs.flags, native.regs.cr2, guest.regs.cr2);
    for (unsigned i = 0, n = 0; i < JIT_DATA_BYTES && n < 8; i++)
        if (native.data[i] != guest.data[i] && ++n)
            printf("# memory %x: %02x -> %02x, translated %02x\n", JIT_DATA + i, start_data[i],
                   native.data[i], guest.data[i]);
    for (unsigned i = 0, n = 0; i < JIT_IMAGE && n < 8; i++)
        if (native.regs.image[i] != guest.regs.image[i] && (i < 416 || i >= 576) &&
            (i < 5 || i >= 32) && ++n)
            printf("# image %u: %02x -> %02x, translated %02x\n", i, start.image[i],
                   native.regs.image[i], guest.regs.image[i]);
}

static void show_piece(unsigned i)
{
    unsigned end = i + 1 < program.count ? program.at[i + 1] : program.end;

    printf("# %x %s:", JIT_CODE + program.at[i], bt_op_name(program.op[i]));
    for (unsigned at = program.at[i]; at < end; at++)
        printf(" %02x", program.code[at]);
    printf("\n");
}

/* Ends the program behind fewer pieces as long as it still differs. */
static void shorten(unsigned runs)
{
    struct jit_program whole = program;
    unsigned run;

    for (unsigned count = 1; count <= whole.count; count++) {
        program = whole;
        program.count = count;
        program.end = count < whole.count ? whole.at[count] : whole.end;
        program.code[program.end] = 0xf4;
        const char *what = try(runs, &run);
        if (what) {
            printf("# %s differs in run %u\n", what, run);
            break;
        }
    }
    for (unsigned i = 0; i < program.count; i++)
        show_piece(i);
    show_registers();
    if (getenv("BT_JIT_DUMP"))
        jit_machine_dump(machine);
}

static bool one(uint64_t seed)
{
    unsigned run, runs;

    jit_seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    jit_program_make(&program, 1 + jit_below(PIECES));
    jit_program_state(&program, &start);
    runs = jit_below(10) ? 4 : 12;
    bool starved = jit_below(64) == 0;
    if (starved)
        jit_machine_starve(machine, true);
    const char *what = try(runs, &run);
    if (starved)
        jit_machine_starve(machine, false);
    if (!what)
        return true;
    printf("# seed %" PRIu64 ": %s differs in run %u of %u\n", seed, what, run, runs);
    shorten(runs);
    (void)fflush(stdout);
    return false;
}

/* What was found once, from random states. */
static const struct {
    const char *name;
    uint8_t len, code[40];
} found[] = {
    {"bts r11, r12: no bit string in R11's slot", 4, {0x4d, 0x0f, 0xab, 0xe3}},
    {"xadd r10b, r10b: the sum stays", 4, {0x45, 0x0f, 0xc0, 0xd2}},
    {"mov rax, address; movntq [rax], mm5; setc cl: flags in AH, address in RAX",
     16,
     {0x48, 0xb8, 0xf9, 0x0f, 0x10, 0x10, 0, 0, 0, 0, 0x0f, 0xe7, 0x28, 0x0f, 0x92, 0xc1}},
    {"mov rsi, 1 << 63; lodsb: not the stack segment",
     16,
     {0x48, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48, 0x85, 0xc0, 0xac, 0x90, 0x90}},
    {"mov rbx, rbx; lea rcx, [eip + 0x1051f3]: RIP is the instruction's own",
     11,
     {0x48, 0x89, 0xdb, 0x67, 0x48, 0x8d, 0x0d, 0xf3, 0x51, 0x10, 0x00}},
    {"mov rcx, [rax + 8]; movups xmm0, [rax]; pxor xmm1, [rax]: no copy for what must be aligned",
     21,
     {0x48, 0xb8, 0xf8, 0x0f, 0x10, 0x10, 0,    0,    0,    0,   0x48,
      0x8b, 0x48, 0x08, 0x0f, 0x10, 0x00, 0x66, 0x0f, 0xef, 0x08}},
    {"again: mov rax, [rbx + rcx]; add rcx, 4; ...; jb again: aligned the first time, then across "
     "pages",
     29,
     {0x48, 0xbb, 0xc0, 0x0f, 0x10, 0x10, 0,    0,    0,    0,    0x31, 0xc9, 0x48, 0x8b, 0x04,
      0x0b, 0x48, 0x83, 0xc1, 0x04, 0x48, 0x01, 0xc2, 0x48, 0x83, 0xf9, 0x60, 0x72, 0xef}},
    {"stc; mov rdx, address; rex.w sar byte [rdx], 160; setc dl: a byte, so a shift by zero",
     18,
     {0xf9, 0x48, 0xba, 0xf1, 0x0f, 0x10, 0x10, 0, 0, 0, 0, 0x48, 0xc0, 0x3a, 0xa0, 0x0f, 0x92,
      0xc2}},
};

static bool found_again(unsigned i)
{
    unsigned run;

    memset(program.code, 0xcc, sizeof program.code);
    program.count = 1;
    program.at[0] = program.start = 0;
    program.end = found[i].len;
    memcpy(program.code, found[i].code, found[i].len);
    program.code[program.end] = 0xf4;
    jit_seed = 1;
    for (unsigned round = 0; round < 40; round++) {
        jit_program_state(&program, &start);
        const char *what = try(4, &run);
        if (what) {
            printf("# %s: %s differs in run %u\n", found[i].name, what, run);
            return false;
        }
    }
    return true;
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--32")) {
        jit_code = BT_MODE_CODE32;
        argv++;
        argc--;
    }
    const char *amount = argc > 1 ? argv[1] : "10";
    bool count = strchr(amount, 'x') != NULL;
    double begin = seconds(), limit = count ? 1e9 : atof(amount);
    uint64_t programs = count ? strtoull(amount, NULL, 0) : UINT64_MAX, done = 0, ended = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    unsigned failed = 0, stop = argc > 3 ? (unsigned)atoi(argv[3]) : 5;
    struct jit_machine_stats stats, all = {0};

    if (!native_open() || (jit_code == BT_MODE_CODE32 && !native_open32())) {
        printf("1..0 # SKIP no memory at the addresses that this test needs, or no LDT\n");
        return 0;
    }
    machine = jit_machine_open(jit_code);
    if (!machine)
        return 0;
    jit_seed = 1;
    jit_program_data(start_data);
    printf("1..1\n");
    for (unsigned i = 0; jit_code == BT_MODE_CODE64 && i < sizeof found / sizeof *found; i++)
        failed += !found_again(i);
    for (; done < programs && seconds() - begin < limit && failed < stop; done++) {
        failed += !one(first + done);
        ended += native.ended;
        jit_machine_stats(machine, &stats);
        all.units += stats.units;
        all.guest_insns += stats.guest_insns;
        all.guest_bytes += stats.guest_bytes;
        all.host_bytes += stats.host_bytes;
    }
    printf("# %" PRIu64 " programs, %" PRIu64 " without an exception; %" PRIu64 " units, %" PRIu64
           " instructions, %.1f bytes each, on the host %.1f\n",
           done, ended, all.units, all.guest_insns,
           (double)all.guest_bytes / (double)(all.guest_insns + 1),
           (double)all.host_bytes / (double)(all.guest_insns + 1));
    printf("%sok 1 - programs run translated as the processor runs them\n", failed ? "not " : "");
    jit_machine_close(machine);
    return failed != 0;
}
