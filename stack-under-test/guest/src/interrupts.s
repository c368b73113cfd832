# The gates of the IDT. Vectors 0 to 31 are exceptions: the registers are pushed and `exception` reports them. The others count
# in the counts of their CPU, which GS leads to, acknowledge at the LAPIC and return: the work is done by the loop that was interrupted,
# or by the loop of another CPU.

.section .text.interrupts, "ax", @progbits

# One of 32, 16 bytes each.
.balign 16
.global exception_stubs
exception_stubs:
.set vector, 0
.rept 32
    .balign 16
    # Those without an error code of the CPU get a zero.
    .if (vector != 8) && (vector != 10) && (vector != 11) && (vector != 12) && (vector != 13) && (vector != 14) && (vector != 17) && (vector != 21)
        pushq $0
    .endif
    pushq $vector
    jmp report
    .set vector, vector + 1
.endr

.balign 16
report:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    andq $-16, %rsp
    cld
    call exception
    ud2

# One of 224, 32 bytes each, from vector 32 on.
.balign 32
.global interrupt_stubs
interrupt_stubs:
.set vector, 32
.rept 224
    .balign 32
    incq %gs:vector * 8
    pushq %rax
    movl $0xfee000b0, %eax
    movl $0, (%rax)
    popq %rax
    iretq
    .set vector, vector + 1
.endr
