# From QEMU's PVH entry (32-bit, no paging, EBX: where `hvm_start_info` lies) to `start` in 64-bit mode.

.section .note.pvh, "a", @note
.balign 4
.long 4, 4, 18
.asciz "Xen"
.long pvh_entry

.section .text.boot, "ax", @progbits
.code32
.global pvh_entry
pvh_entry:
    cld
    cli
    movl $__stack_top, %esp
    movl %ebx, %ebp

    # The lowest 4 MiB in pages, so that page 0 and the one under the stack can be taken away; the rest in 2 MiB each.
    movl $page_tables, %edi
    movl $0x3, %eax
    movl $1024, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b

    # All 4 GiB. From 0xb0000000 on there are devices: not cached.
    movl $page_directories, %edi
    movl $0x83, %eax
    movl $2048, %ecx
2:  movl %eax, %edx
    cmpl $0xb0000000, %eax
    jb 3f
    orl $0x18, %edx
3:  movl %edx, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    movl $page_tables + 0x3, page_directories
    movl $page_tables + 0x1003, page_directories + 8

    movl $page_directories + 0x3, directory_pointers
    movl $page_directories + 0x1003, directory_pointers + 8
    movl $page_directories + 0x2003, directory_pointers + 16
    movl $page_directories + 0x3003, directory_pointers + 24
    movl $directory_pointers + 0x3, top_level

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
    # PG, WP, NE, MP; neither EM nor TS
    movl %cr0, %eax
    andl $0xfffffff3, %eax
    orl $0x80010022, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x08, $long_mode

.code64
long_mode:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movq $__stack_top, %rsp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call start
    ud2

.section .rodata.boot, "a", @progbits
.balign 8
.global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
boot_gdt_pointer:
    .word boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt

.section .bss.boot, "aw", @nobits
.balign 4096
.global page_tables
page_tables: .skip 2 * 4096
.global page_directories
page_directories: .skip 4 * 4096
directory_pointers: .skip 4096
.global top_level
top_level: .skip 4096
.global __stack_guard
__stack_guard: .skip 4096
.skip 256 * 1024
.global __stack_top
__stack_top:
