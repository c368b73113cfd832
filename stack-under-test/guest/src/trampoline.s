# From real mode, in which INIT and SIPI have a CPU begin, to `start_processor` in 64-bit mode. It is copied to a page below 1 MiB: of
# itself it knows only distances.

.section .rodata.trampoline, "a", @progbits
.code16
.global trampoline
trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_gdt - trampoline
    movl $top_level, %eax
    movl %eax, %cr3
    # PAE, OSFXSR, OSXMMEXCPT
    movl %cr4, %eax
    orl $0x620, %eax
    movl %eax, %cr4
    # LME, NXE
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    # PG, WP, NE, MP, PE; caches on; neither EM nor TS
    movl %cr0, %eax
    andl $0x9ffffff3, %eax
    orl $0x80010023, %eax
    movl %eax, %cr0
    ljmpl $0x08, $processor_long_mode
.balign 8
trampoline_gdt:
    .word 23
    .long boot_gdt
.global trampoline_end
trampoline_end:

.section .text.boot, "ax", @progbits
.code64
processor_long_mode:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    # The CPUs come one after the other: this one's stack and number stand here.
    movq processor_stack, %rsp
    movq processor_number, %rdi
    xorl %ebp, %ebp
    call start_processor
    ud2
