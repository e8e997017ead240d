/* SPDX-License-Identifier: Apache-2.0 */
/* The guest program of kvm_probe.c. It runs in long mode at CPL 0 at PROBE_CODE, with the first 2 MiB
 * mapped one to one, and reports each step by an OUT to port PROBE_PORT: the step's number, or 0xee
 * and it halts when a result is wrong. Position independent but for the fixed addresses below, which
 * kvm_probe.c shares. */
#include "vm/engine/kvm/kvm_probe_guest.h"

    .section .rodata, "a"
    .globl kvm_probe_guest, kvm_probe_guest_end
    .hidden kvm_probe_guest, kvm_probe_guest_end
    .code64

.macro step n
    movb $\n, %al
    outb %al, $PROBE_PORT
.endm

    .balign 16
kvm_probe_guest:
    step PROBE_STARTED

    /* cmpxchg16b: one that matches, one that does not. The compared value is in RAM, as kernels'
     * is. */
    mov $PROBE_DATA, %rbp
    movq $1, (%rbp)
    movq $2, 8(%rbp)
    mov $1, %eax
    mov $2, %edx
    mov $3, %ebx
    mov $4, %ecx
    lock cmpxchg16b (%rbp)
    jnz wrong
    cmpq $3, (%rbp)
    jne wrong
    lock cmpxchg16b (%rbp)
    jz wrong
    cmp $4, %rdx
    jne wrong
    step PROBE_CMPXCHG16B

    /* xsave, change, xrstor. CPUs without it pass. */
    mov $1, %eax
    cpuid
    bt $26, %ecx
    jnc 1f
    mov %cr4, %rax
    bts $18, %rax
    mov %rax, %cr4
    xor %ecx, %ecx
    xgetbv
    or $3, %eax
    xsetbv
    mov $0x5aa5, %eax
    movq %rax, %xmm3
    mov $PROBE_XSAVE, %edi
    mov $3, %eax
    xor %edx, %edx
    xsave (%rdi)
    pxor %xmm3, %xmm3
    mov $3, %eax
    xrstor (%rdi)
    movq %xmm3, %rax
    cmp $0x5aa5, %rax
    jne wrong
1:  step PROBE_XSAVE_XRSTOR

    /* int3 and an undefined instruction through an IDT; the handlers count in r15. */
    mov $PROBE_IDT, %edi
    lea handler_trap(%rip), %rax
    mov $3, %ecx
    call gate
    lea handler_ud(%rip), %rax
    mov $6, %ecx
    call gate
    lea handler_pf(%rip), %rax
    mov $14, %ecx
    call gate
    movw $0xfff, PROBE_IDT + 0x1000
    movq $PROBE_IDT, PROBE_IDT + 0x1002
    lidt PROBE_IDT + 0x1000
    xor %r15d, %r15d
    int3
    cmp $1, %r15d
    jne wrong
    ud2
    cmp $0x11, %r15d
    jne wrong
    step PROBE_EXCEPTIONS

    /* A page that is remapped: by invlpg, then by a new root. PROBE_PT maps the second 2 MiB. */
    movq $0x1111, PROBE_PAGE_A
    movq $0x2222, PROBE_PAGE_B
    mov $0x200000, %ebx
    movq $(PROBE_PAGE_A + 3), PROBE_PT
    cmpq $0x1111, (%rbx)
    jne wrong
    movq $(PROBE_PAGE_B + 3), PROBE_PT
    invlpg (%rbx)
    cmpq $0x2222, (%rbx)
    jne wrong
    movq $(PROBE_PAGE_A + 3), PROBE_PT
    mov %cr3, %rax
    mov %rax, %cr3
    cmpq $0x1111, (%rbx)
    jne wrong
    mov $PROBE_PML4_B, %eax
    mov %rax, %cr3
    cmpq $0x2222, (%rbx)
    jne wrong
    mov $PROBE_PML4, %eax
    mov %rax, %cr3
    cmpq $0x1111, (%rbx)
    jne wrong
    step PROBE_PAGE_TABLES

    /* A page fault with its address and error code, repaired by the handler. */
    movq $0, PROBE_PT
    invlpg (%rbx)
    cmpq $0x2222, (%rbx)
    jne wrong
    cmp %rbx, %r14
    jne wrong
    step PROBE_PAGE_FAULT

    /* MSRs that every kernel sets. */
    mov $0xc0000080, %ecx
    rdmsr
    or $1, %eax
    wrmsr
    rdmsr
    test $1, %al
    jz wrong
    mov $0xc0000082, %ecx
    mov $0x12345678, %eax
    mov $0xffffffff, %edx
    wrmsr
    xor %eax, %eax
    rdmsr
    cmp $0x12345678, %eax
    jne wrong
    mov $0xc0000101, %ecx
    mov $PROBE_DATA, %eax
    xor %edx, %edx
    wrmsr
    cmpq $3, %gs:0
    jne wrong
    swapgs
    step PROBE_MSRS

    /* Speed: ordinary kernel code runs at the processor's speed, not at an emulator's. */
    mov $PROBE_LOOPS, %ecx
2:  pushfq
    popq %rax
    mov %cr2, %rax
    dec %ecx
    jnz 2b
    step PROBE_SPEED

    step PROBE_DONE
3:  hlt
    jmp 3b

wrong:
    step PROBE_WRONG
    jmp 3b

gate: /* IDT at rdi, vector ecx, handler rax */
    shl $4, %ecx
    add %edi, %ecx
    mov %ax, (%rcx)
    movw $0x08, 2(%rcx)
    movw $0x8e00, 4(%rcx)
    shr $16, %rax
    mov %ax, 6(%rcx)
    shr $16, %rax
    mov %eax, 8(%rcx)
    movl $0, 12(%rcx)
    ret

handler_trap:
    add $1, %r15d
    iretq
handler_ud:
    add $0x10, %r15d
    addq $2, (%rsp)
    iretq
handler_pf:
    mov %cr2, %r14
    cmpq $0, (%rsp)
    jne wrong
    movq $(PROBE_PAGE_B + 3), PROBE_PT
    add $8, %rsp
    iretq
kvm_probe_guest_end:

    .section .note.GNU-stack, "", @progbits
