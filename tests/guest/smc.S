/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of smc.c that change themselves: rdi where to store, sil what. The immediate operand that is
 * changed has the same place in the file as smc.c says. */
    .text

    .globl self_next, self_next_end
self_next:
    mov %sil, (%rdi)        /* 3 bytes */
    mov $0, %al             /* operand at 4 */
    movzx %al, %eax
    ret
self_next_end:

    .globl self_ahead, self_ahead_end
self_ahead:
    mov %sil, (%rdi)
    jmp 1f
    nop
    nop
1:  mov $0, %al             /* operand at 8 */
    movzx %al, %eax
    ret
self_ahead_end:

/* What it calls changes the instruction to which it returns. */
    .globl self_caller, self_caller_end
self_caller:
    call 1f
    mov $0, %al             /* operand at 6 */
    movzx %al, %eax
    ret
1:  mov %sil, (%rdi)
    ret
self_caller_end:

/* 0 + 1 + ... + 199 */
    .globl self_loop
self_loop:
    xor %ecx, %ecx
    xor %edx, %edx
    movb $0, 1f+1(%rip)
1:  mov $0, %al
    movzx %al, %eax
    add %eax, %edx
    inc %ecx
    mov %cl, 1b+1(%rip)
    cmp $200, %ecx
    jne 1b
    mov %edx, %eax
    ret

/* 1 doubled five times */
    .globl self_operand, self_operand_end
self_operand:
    movb $1, 1f+6(%rip)
    mov $5, %ecx
1:  addb $1, 1b+6(%rip)
    dec %ecx
    jnz 1b
    movzbl 1b+6(%rip), %eax
    ret
self_operand_end:

    .section .note.GNU-stack, "", @progbits
