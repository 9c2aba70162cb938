    .section .rodata
    .balign 64
    .globl kernels_begin, kernels_end
kernels_begin:
    .incbin FLASHMASK_PACK
kernels_end:
    .section .note.GNU-stack, "", %progbits
