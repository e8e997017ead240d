/* SPDX-License-Identifier: Apache-2.0 */
/* The guest image, as bytes in the test program. */
    .section .rodata, "a"
    .globl guest_image, guest_image_end
guest_image:
    .incbin IMAGE
guest_image_end:
    .section .note.GNU-stack, "", @progbits
