/* SPDX-License-Identifier: Apache-2.0 */
/* From C into translated code and back (jit.h).
 *
 *     void jit_enter(struct bt_vcpu *vcpu, uint64_t code)
 *
 * loads the guest's registers and jumps to `code`; it returns when translated code leaves. The stub
 * by which that happens is the cache's (cache.c): it stores RSP, loads jit.host_stack and jumps to
 * jit_exit, with all other registers the guest's. R11 (T1) is kept as jit.linear.
 *
 * The status flags go through vcpu->status, in the form that the interpreter uses between its steps
 * (flags.h). Vector and x87 registers go through the image (vcpu->xsave) when jit.live says so; x87
 * implies vector, as FXSAVE stores both. Upper halves that are all zero are not loaded but zeroed:
 * the processor then knows that they are, and SSE instructions do not wait for what the register
 * held before. FXSAVE's exception pointers would be the host's addresses:
 * they are cleared. */
#include "vm/engine/bt/jit/enter.h"

#define GPR(n)         (8 * n)
#define XMM(n)         (160 + 16 * n)
#define YMM_HIGH(n)    (576 + 16 * n)
#define IMAGE_FOP      6
#define IMAGE_FIP      8
#define IMAGE_MXCSR    24
#define LIVE_VEC       1
#define LIVE_X87       2

    .text
    .globl jit_enter, jit_exit
    .hidden jit_enter, jit_exit
    .type jit_enter, @function
    .type jit_exit, @function

    .balign 64
jit_enter:
    .cfi_startproc
    endbr64
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi
    mov %rsp, JIT_HOST_STACK(%rdi)
    mov %rsi, %r11
    testb $(LIVE_VEC | LIVE_X87), JIT_LIVE(%rdi)
    jnz load_vectors
vectors_loaded:
    movzwl VCPU_STATUS(%rdi), %eax
    addb $127, %al
    sahf
    mov GPR(0)(%rdi), %rax
    mov GPR(1)(%rdi), %rcx
    mov GPR(2)(%rdi), %rdx
    mov GPR(3)(%rdi), %rbx
    mov GPR(5)(%rdi), %rbp
    mov GPR(6)(%rdi), %rsi
    mov GPR(8)(%rdi), %r8
    mov GPR(9)(%rdi), %r9
    mov GPR(12)(%rdi), %r12
    mov GPR(13)(%rdi), %r13
    mov GPR(14)(%rdi), %r14
    mov GPR(15)(%rdi), %r15
    mov GPR(4)(%rdi), %rsp
    mov GPR(7)(%rdi), %rdi
    jmp *%r11

load_vectors:
    mov JIT_IMAGE(%rdi), %rdx
    testb $LIVE_X87, JIT_LIVE(%rdi)
    jz 1f
    fxrstor64 (%rdx)
1:
    vmovdqa YMM_HIGH(0)(%rdx), %ymm0
    .irp n, 2, 4, 6, 8, 10, 12, 14
    vpor YMM_HIGH(\n)(%rdx), %ymm0, %ymm0
    .endr
    vptest %ymm0, %ymm0
    vzeroupper
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps XMM(\n)(%rdx), %xmm\n
    .endr
    jz 2f
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vinsertf128 $1, YMM_HIGH(\n)(%rdx), %ymm\n, %ymm\n
    .endr
2:
    ldmxcsr IMAGE_MXCSR(%rdx)
    jmp vectors_loaded

    .balign 64
jit_exit:
    endbr64
    mov (%rsp), %r10
    mov %r11, JIT_LINEAR(%r10)
    mov %rax, GPR(0)(%r10)
    lahf
    seto %al
    mov %ax, VCPU_STATUS(%r10)
    mov %rcx, GPR(1)(%r10)
    mov %rdx, GPR(2)(%r10)
    mov %rbx, GPR(3)(%r10)
    mov %rbp, GPR(5)(%r10)
    mov %rsi, GPR(6)(%r10)
    mov %rdi, GPR(7)(%r10)
    mov %r8, GPR(8)(%r10)
    mov %r9, GPR(9)(%r10)
    mov %r12, GPR(12)(%r10)
    mov %r13, GPR(13)(%r10)
    mov %r14, GPR(14)(%r10)
    mov %r15, GPR(15)(%r10)
    testb $(LIVE_VEC | LIVE_X87), JIT_LIVE(%r10)
    jnz store_vectors
vectors_stored:
    pop %rdi
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

store_vectors:
    mov JIT_IMAGE(%r10), %rdx
    testb $LIVE_X87, JIT_LIVE(%r10)
    jz 1f
    fxsave64 (%rdx)
    fninit
    movw $0, IMAGE_FOP(%rdx)
    movq $0, IMAGE_FIP(%rdx)
    movq $0, IMAGE_FIP + 8(%rdx)
1:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps %xmm\n, XMM(\n)(%rdx)
    vextractf128 $1, %ymm\n, YMM_HIGH(\n)(%rdx)
    .endr
    vzeroupper
    stmxcsr IMAGE_MXCSR(%rdx)
    ldmxcsr JIT_MXCSR(%r10)
    jmp vectors_stored
    .cfi_endproc

    .size jit_enter, . - jit_enter
    .size jit_exit, . - jit_exit
    .section .note.GNU-stack, "", @progbits
