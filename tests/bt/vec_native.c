/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction on the processor itself (vec_native.h): registers are loaded by RIP-relative
 * moves, so that none is lost; a trap goes on behind the instruction with the state that it left.
 */
#include "tests/bt/vec_native.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

uint64_t native_gpr[16], native_flags;
_Alignas(64) uint8_t native_image[4096];

extern char native_after[];
void native_call(void);
extern uint64_t native_rsp;
extern uint8_t *native_code;
extern uint32_t native_mxcsr;
uint64_t native_rsp;
uint8_t *native_code;
uint32_t native_mxcsr = 0x1f80;

__asm__(".text\n"
        "native_call:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, native_rsp(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx\n"
        "  xrstor64 native_image(%rip)\n"
        "  push native_flags(%rip); popfq\n"
        "  mov native_gpr(%rip), %rax; mov native_gpr+8(%rip), %rcx\n"
        "  mov native_gpr+16(%rip), %rdx; mov native_gpr+24(%rip), %rbx\n"
        "  mov native_gpr+40(%rip), %rbp; mov native_gpr+48(%rip), %rsi\n"
        "  mov native_gpr+56(%rip), %rdi; mov native_gpr+64(%rip), %r8\n"
        "  mov native_gpr+72(%rip), %r9; mov native_gpr+80(%rip), %r10\n"
        "  mov native_gpr+88(%rip), %r11; mov native_gpr+96(%rip), %r12\n"
        "  mov native_gpr+104(%rip), %r13; mov native_gpr+112(%rip), %r14\n"
        "  mov native_gpr+120(%rip), %r15\n"
        "  jmp *native_code(%rip)\n"
        "native_after:\n"
        "  mov %rax, native_gpr(%rip); mov %rcx, native_gpr+8(%rip)\n"
        "  mov %rdx, native_gpr+16(%rip); mov %rbx, native_gpr+24(%rip)\n"
        "  mov %rsp, native_gpr+32(%rip)\n"
        "  mov %rbp, native_gpr+40(%rip); mov %rsi, native_gpr+48(%rip)\n"
        "  mov %rdi, native_gpr+56(%rip); mov %r8, native_gpr+64(%rip)\n"
        "  mov %r9, native_gpr+72(%rip); mov %r10, native_gpr+80(%rip)\n"
        "  mov %r11, native_gpr+88(%rip); mov %r12, native_gpr+96(%rip)\n"
        "  mov %r13, native_gpr+104(%rip); mov %r14, native_gpr+112(%rip)\n"
        "  mov %r15, native_gpr+120(%rip)\n"
        "  mov native_rsp(%rip), %rsp\n"
        "  pushfq; pop native_flags(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx\n"
        "  xsave64 native_image(%rip)\n"
        "  fninit; ldmxcsr native_mxcsr(%rip); vzeroupper; cld\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

static uint8_t *writable;
static volatile int trapped;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)info;
    if ((uintptr_t)regs[REG_RIP] - (uintptr_t)native_code > 64) {
        (void)fprintf(stderr, "signal %d at %#llx\n", signal, (unsigned long long)regs[REG_RIP]);
        abort();
    }
    trapped = (int)regs[REG_TRAPNO];
    regs[REG_RIP] = (greg_t)(uintptr_t)native_after;
}

void native_create(void)
{
    int fd = memfd_create("native", MFD_CLOEXEC);
    static uint8_t signal_stack[1 << 16];
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};

    if (ftruncate(fd, 4096))
        abort();
    writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    native_code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (writable == MAP_FAILED || native_code == MAP_FAILED || sigaltstack(&stack, NULL))
        abort();
    (void)close(fd);
}

int native_run(const uint8_t *insn, unsigned len)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old[4];
    uint64_t after = (uint64_t)(uintptr_t)native_after;

    memcpy(writable, insn, len);
    memcpy(writable + len, "\xff\x25\0\0\0\0", 6); /* jmp [rip] */
    memcpy(writable + len + 6, &after, 8);
    for (unsigned i = 0; i < 4; i++)
        (void)sigaction(signals[i], &action, &old[i]);
    trapped = -1;
    native_call();
    for (unsigned i = 0; i < 4; i++)
        (void)sigaction(signals[i], &old[i], NULL);
    return trapped;
}
