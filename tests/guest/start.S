/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the guest image, trap stubs, and the way of a started processor from real to long mode. */
#include "layout.h"

    .section .text.start, "ax"
    .code64
    .globl start
start:
    lea stack_top(%rip), %rsp
    push %rdi
    push %rdi
    call guest_init
    pop %rdi
    pop %rdi
    call guest_main
1:  hlt
    jmp 1b

/* One stub a vector; those without an error code push a zero. */
    .text
    .globl trap_stubs
    .balign 16
trap_stubs:
vector = 0
.rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    push $vector
    jmp trap_common
vector = vector + 1
.endr

trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    cld
    call guest_trap
    mov %rbp, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

/* Copied to GUEST_TRAMPOLINE. */
    .globl trampoline, trampoline_end
    .code16
trampoline:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl GUEST_TRAMPOLINE + trampoline_gdtr - trampoline
    mov %cr4, %eax
    or $0x620, %eax
    mov %eax, %cr4
    mov $GUEST_PML4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    and $0x9fffffff, %eax
    or $0x80000033, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE64, $(GUEST_TRAMPOLINE + trampoline_64 - trampoline)
    .balign 8
trampoline_gdtr:
    .word 31
    .long GUEST_GDT
    .code64
trampoline_64:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    movabs $ap_stack_top, %rsp
    movabs $guest_ap_main, %rax
    call *%rax
1:  hlt
    jmp 1b
trampoline_end:

/* Copied to the SMM entry point; 16-bit, segments with base 0 and limit 4 GiB. Sends what TSEG's first
 * doubleword holds. */
    .globl smm_handler, smm_handler_end
    .code16
smm_handler:
    xor %ax, %ax
    mov %ax, %ds
    mov $GUEST_TSEG, %ebx
    mov (%ebx), %eax
    mov $CTL_RESULT, %dx
    out %eax, %dx
    rsm
smm_handler_end:

    .bss
    .balign 16
    .skip 16384
stack_top:
    .skip 16384
ap_stack_top:

    .section .note.GNU-stack, "", @progbits
