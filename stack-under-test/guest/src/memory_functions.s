# What the compiler calls for copies: the standard library of the target takes them from libc, and here is none.
# Words of 8 bytes: under QEMU's translator `rep movsb` takes ten times as long.

.section .text.memory_functions, "ax", @progbits

# memcpy(rdi: to, rsi: from, rdx: bytes) -> to
.global memcpy
memcpy:
    movq %rdi, %rax
.Lforward:
    movq %rdx, %rcx
    shrq $5, %rcx
    jz 2f
1:  movq (%rsi), %r8
    movq 8(%rsi), %r9
    movq 16(%rsi), %r10
    movq 24(%rsi), %r11
    movq %r8, (%rdi)
    movq %r9, 8(%rdi)
    movq %r10, 16(%rdi)
    movq %r11, 24(%rdi)
    addq $32, %rsi
    addq $32, %rdi
    decq %rcx
    jnz 1b
2:  andl $31, %edx
    movl %edx, %ecx
    shrl $3, %ecx
    jz 4f
3:  movq (%rsi), %r8
    movq %r8, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    decl %ecx
    jnz 3b
4:  andl $7, %edx
    jz 6f
5:  movb (%rsi), %cl
    movb %cl, (%rdi)
    incq %rsi
    incq %rdi
    decl %edx
    jnz 5b
6:  ret

# memmove(rdi: to, rsi: from, rdx: bytes) -> to; both may overlap
.global memmove
memmove:
    movq %rdi, %rax
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx
    jae .Lforward
    # `to` lies within `from`: from the end on.
    addq %rdx, %rdi
    addq %rdx, %rsi
    movq %rdx, %rcx
    shrq $3, %rcx
    jz 2f
1:  subq $8, %rsi
    subq $8, %rdi
    movq (%rsi), %r8
    movq %r8, (%rdi)
    decq %rcx
    jnz 1b
2:  andl $7, %edx
    jz 4f
3:  decq %rsi
    decq %rdi
    movb (%rsi), %cl
    movb %cl, (%rdi)
    decl %edx
    jnz 3b
4:  ret

# memset(rdi: to, esi: byte, rdx: bytes) -> to
.global memset
memset:
    movq %rdi, %rax
    movzbl %sil, %esi
    movabsq $0x0101010101010101, %r8
    imulq %rsi, %r8
    movq %rdx, %rcx
    shrq $3, %rcx
    jz 2f
1:  movq %r8, (%rdi)
    addq $8, %rdi
    decq %rcx
    jnz 1b
2:  andl $7, %edx
    jz 4f
3:  movb %sil, (%rdi)
    incq %rdi
    decl %edx
    jnz 3b
4:  ret

# memcmp(rdi, rsi, rdx: bytes) -> eax: below, equal to or above 0
.global memcmp
.global bcmp
memcmp:
bcmp:
    xorl %eax, %eax
    xorl %ecx, %ecx
1:  cmpq %rdx, %rcx
    je 2f
    movzbl (%rdi,%rcx), %eax
    movzbl (%rsi,%rcx), %r8d
    incq %rcx
    subl %r8d, %eax
    jz 1b
2:  ret

# strlen(rdi) -> rax
.global strlen
strlen:
    xorl %eax, %eax
    decq %rax
1:  incq %rax
    cmpb $0, (%rdi,%rax)
    jne 1b
    ret
