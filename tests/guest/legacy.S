/* SPDX-License-Identifier: Apache-2.0 */
/* Out of long mode and back: 32-bit protected mode without paging, task switches, virtual-8086 mode.
 * legacy.c makes the tables and looks at what is counted here. */
#include "layout.h"

#define ROUNDS 300

    .text
/* void legacy_run(void (*test)(void)): `test` is 32-bit code */
    .globl legacy_run
legacy_run:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, stack64(%rip)
    mov %edi, test(%rip)
    sgdt old_gdtr(%rip)
    sidt old_idtr(%rip)
    lgdt legacy_gdtr(%rip)
    push $SEL_CODE32
    lea 1f(%rip), %rax
    push %rax
    lretq

    .code32
1:  mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $stack32_top, %esp
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov $0xc0000080, %ecx
    rdmsr
    and $~0x100, %eax
    wrmsr
    lidt legacy_idtr
    mov $SEL_TASK_A, %eax
    ltr %ax
    call *test
leave:
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    ljmp $SEL_CODE64, $1f
    .code64
1:  lgdt old_gdtr(%rip)
    lidt old_idtr(%rip)
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov stack64(%rip), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .code32
/* Every vector that is not expected. */
    .globl legacy_unexpected
legacy_unexpected:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov $stack32_top, %esp
    incl legacy_failed
    jmp leave

/* 32-bit code: what 64-bit code has not, or in another width. legacy_sum = 1 + ... + ROUNDS */
    .globl legacy_flat
legacy_flat:
    mov $ROUNDS, %ecx
    xor %ebx, %ebx
1:  push %ecx
    call 2f
    pop %ecx
    add %eax, %ebx
    pusha
    xor %ebx, %ebx
    popa
    mov $0x15, %al
    add $0x27, %al
    daa
    cmp $0x42, %al
    jne legacy_unexpected
    mov $99, %al
    aam
    cmp $0x0909, %ax
    jne legacy_unexpected
    aad
    cmp $99, %ax
    jne legacy_unexpected
    lcall $SEL_CODE32, $3f
    les pointer, %edi
    cmp $0x12345678, %edi
    jne legacy_unexpected
    mov $words, %esi
    mov $words + 16, %edi
    push %ecx
    mov $4, %ecx
    rep movsl
    pop %ecx
    mov words + 28, %edx
    cmp $4, %edx
    jne legacy_unexpected
    mov $-1, %edi               /* addresses wrap at 4 GiB */
    mov words + 1(%edi), %edx
    cmp $1, %edx
    jne legacy_unexpected
    mov %ecx, %edx
    inc %edx
    dec %edx
    cmp %edx, %ecx
    jne legacy_unexpected
    dec %ecx
    jnz 1b
    mov %ebx, legacy_sum
    ret
2:  mov 4(%esp), %eax
    ret
3:  mov %cs, %eax
    cmp $SEL_CODE32, %eax
    jne legacy_unexpected
    lret

/* A jumps to B and B back; A calls C, which returns by IRET. */
    .globl legacy_tasks
legacy_tasks:
    mov $ROUNDS, %ecx
    mov $0x1111, %ebx
1:  mov %esp, %ebp
    ljmp $SEL_TASK_B, $0
    cmp $0x1111, %ebx
    jne legacy_unexpected
    cmp %esp, %ebp
    jne legacy_unexpected
    lcall $SEL_TASK_C, $0
    cmp $0x1111, %ebx
    jne legacy_unexpected
    pushf
    pop %eax
    test $0x4000, %eax          /* NT is C's */
    jnz legacy_unexpected
    dec %ecx
    jnz 1b
    ret

    .globl legacy_task_b, legacy_task_c
legacy_task_b:
    incl legacy_b
    mov $0x2222, %ebx
    xor %ecx, %ecx
    mov %cr0, %eax
    test $8, %eax               /* TS */
    jz legacy_unexpected
    clts
    ljmp $SEL_TASK_A, $0
    cmp $0x2222, %ebx
    jne legacy_unexpected
    jmp legacy_task_b

legacy_task_c:
    incl legacy_c
    mov $0x3333, %ebx
    pushf
    pop %eax
    test $0x4000, %eax
    jz legacy_unexpected
    iret
    jmp legacy_task_c

/* Virtual-8086 mode, first with IOPL 3, then 0, where INT and CLI come to the monitor. */
    .globl legacy_v86
legacy_v86:
    mov $0x23002, %eax
    call enter_v86
    mov $0x20002, %eax
enter_v86:
    push %ebp
    mov %esp, v86_stack
    mov $GUEST_TRAMPOLINE / 16, %edx
    push %edx                   /* GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP */
    push %edx
    push %edx
    push %edx
    push %edx
    push $0xf00
    push %eax
    push %edx
    push $0
    iret
v86_ends:
    movzx %ax, %eax
    add %eax, legacy_v86_sum
    mov v86_stack, %esp
    pop %ebp
    ret

    .globl legacy_int_40, legacy_int_41, legacy_general
legacy_int_40:
    push %eax
    mov $SEL_DATA, %eax         /* of a task in V86 mode, all are null now */
    mov %eax, %ds
    incl legacy_v86_ints
    pop %eax
    iret
legacy_int_41:
    mov $SEL_DATA, %edx
    mov %edx, %ds
    mov %edx, %es
    jmp v86_ends

legacy_general:                 /* error, EIP, CS, EFLAGS */
    push %eax
    push %ebx
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    testl $0x20000, 20(%esp)
    jz legacy_unexpected
    movzwl 16(%esp), %ebx
    shl $4, %ebx
    add 12(%esp), %ebx
    mov (%ebx), %bx
    incl legacy_v86_faults
    cmp $0xfa, %bl              /* CLI */
    je 1f
    cmp $0x41cd, %bx            /* INT 0x41 */
    je 2f
    cmp $0x40cd, %bx
    jne legacy_unexpected
    incl legacy_v86_ints
    incl 12(%esp)
1:  incl 12(%esp)
    pop %ebx
    pop %eax
    add $4, %esp
    iret
2:  pop %ebx
    pop %eax
    mov %ebx, %eax
    jmp v86_ends

/* Copied to GUEST_TRAMPOLINE; BX counts. */
    .code16
    .globl legacy_v86_code, legacy_v86_end
legacy_v86_code:
    mov $ROUNDS, %cx
    xor %bx, %bx
1:  inc %bx
    push %bx
    pop %ax
    cmp %ax, %bx
    jne 3f
    int $0x40
    cli
    call 2f
    loop 1b
3:  mov %bx, %ax
    int $0x41
2:  push %ds
    pop %es
    movw %bx, %es:0x800
    cmpw %bx, 0x800
    jne 3b
    ret
legacy_v86_end:

    .data
    .balign 16
    .globl legacy_gdtr, legacy_idtr
legacy_gdtr: .word 0x47
    .quad legacy_gdt
legacy_idtr: .word 0x7ff
    .long legacy_idt
old_gdtr: .skip 10
old_idtr: .skip 10
pointer: .long 0x12345678
    .word SEL_DATA
    .balign 16
words: .long 1, 2, 3, 4, 0, 0, 0, 0

    .bss
    .balign 16
stack64: .skip 8
test: .skip 4
v86_stack: .skip 4
    .globl legacy_failed, legacy_sum, legacy_b, legacy_c, legacy_v86_sum, legacy_v86_ints, legacy_v86_faults
legacy_failed: .skip 4
legacy_sum: .skip 4
legacy_b: .skip 4
legacy_c: .skip 4
legacy_v86_sum: .skip 4
legacy_v86_ints: .skip 4
legacy_v86_faults: .skip 4
    .balign 16
    .skip 4096
stack32_top:

    .section .note.GNU-stack, "", @progbits
