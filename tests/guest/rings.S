/* SPDX-License-Identifier: Apache-2.0 */
/* The ways between rings that C does not have. */
#include "layout.h"

    .text
/* uint64_t ring_enter(rip, rsp, argument, rflags, cs, ss): RAX of INT 0x80 */
    .globl ring_enter
ring_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, ring_kernel_stack(%rip)
    push %r9
    push %rsi
    push %rcx
    push %r8
    push %rdi
    mov %rdx, %rdi
    iretq

/* Where the hook of INT 0x80 sends its frame, with RDI = the result. */
    .globl ring_left
ring_left:
    mov ring_kernel_stack(%rip), %rsp
    mov %rdi, %rax
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* SYSCALL: returns RDI + 1, and needs no stack. */
    .globl ring_syscall
ring_syscall:
    incl ring_syscalls(%rip)
    lea 1(%rdi), %rax
    sysretq

/* By a call gate, from ring 3. */
    .globl ring_gate
ring_gate:
    mov %cs, %eax
    incl ring_gate_calls(%rip)
    lretq

/* The same bytes in 64-bit and in 32-bit code: 40h is a prefix there and INC EAX here. */
    .globl both_code, both_in_32
    .balign 4096
both_code:
    xor %eax, %eax
    .byte 0x40
    nop
    ret
    .balign 4096
/* uint32_t both_in_32(void): calls it as 32-bit code */
both_in_32:
    lcall *both_pointer(%rip)
    ret
both_pointer:
    .long 1f
    .word SEL_CODE32
    .code32
1:  call both_code
    lret
    .code64

/* In ring 3, compatibility mode: counts by every kind of 32-bit instruction, an interrupt in each
 * round. EAX = sum of 1 .. EDI. */
    .globl ring_compat
    .code32
ring_compat:
    mov $SEL_USER_DATA, %eax    /* IRET has taken away the kernel's */
    mov %eax, %ds
    xor %ebx, %ebx
1:  push %edi
    call 2f
    add $4, %esp
    add %eax, %ebx
    int $0x81
    mov %ebx, ring_compat_memory
    incl ring_compat_memory
    mov ring_compat_memory, %edx
    dec %edx
    cmp %edx, %ebx
    jne 3f
    dec %edi
    jnz 1b
    mov %ebx, %eax
    int $0x80
2:  mov 4(%esp), %eax       /* (INC and DEC with one byte, which are REX prefixes in 64-bit mode) */
    inc %eax
    dec %eax
    ret
3:  mov $-1, %eax
    int $0x80
    .code64

    .globl step_code, step_first, step_string, step_after, step_shadow, step_behind, step_end
/* Stepped through by step.c; rdi, rsi: buffers. */
step_code:
    push %rbx
    mov $3, %ecx
    mov %ss, %ebx
    pushfq
    orl $0x100, (%rsp)
    popfq
step_first:
    nop
step_string:
    rep movsb
step_after:
    lea 1(%rcx), %rax
step_shadow:
    mov %ebx, %ss
step_behind:
    nop
    pushfq
    andl $~0x100, (%rsp)
    popfq
step_end:
    pop %rbx
    ret

/* Hot until a breakpoint is set in the middle; returns RDI + 3. */
    .globl break_code, break_here
break_code:
    lea 1(%rdi), %rax
    inc %rax
break_here:
    inc %rax
    ret

    .bss
    .balign 16
    .globl ring_kernel_stack, ring_syscalls, ring_gate_calls
ring_kernel_stack: .skip 8
ring_syscalls: .skip 4
ring_gate_calls: .skip 4
ring_compat_memory: .skip 4

    .section .note.GNU-stack, "", @progbits
