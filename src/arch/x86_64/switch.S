/* The switch for x86-64, System V calling convention. Frame layout: see arch.h.
 *
 * The frame keeps rbx, rbp, r12 to r15, and the control words of SSE (mxcsr) and x87: these follow the thread,
 * since a library may set a rounding mode and park. Loading a control word stalls the pipeline, so it is done
 * only where it differs. */

	.text

/* void thrumi_switch(void **save, void *to) */
	.globl	thrumi_switch
	.hidden	thrumi_switch
	.type	thrumi_switch, @function
	.balign	64
thrumi_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movl	(%rsp), %eax
	movzwl	4(%rsp), %edx

	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* the other frame has the same layout: the rules above still hold */

	cmpl	(%rsp), %eax
	jne	3f
1:	cmpw	4(%rsp), %dx
	jne	4f
2:	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
	.cfi_adjust_cfa_offset 56	/* the two below run with the whole frame on the stack */
	.cfi_rel_offset %rbp, 48
	.cfi_rel_offset %rbx, 40
	.cfi_rel_offset %r12, 32
	.cfi_rel_offset %r13, 24
	.cfi_rel_offset %r14, 16
	.cfi_rel_offset %r15, 8
3:	ldmxcsr	(%rsp)
	jmp	1b
4:	fldcw	4(%rsp)
	jmp	2b
	.cfi_endproc
	.size	thrumi_switch, .-thrumi_switch

/* intptr_t thrumi_call(thrum_fn *fn, void *arg, void **mark) */
	.globl	thrumi_call
	.hidden	thrumi_call
	.type	thrumi_call, @function
	.balign	16
thrumi_call:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp		/* aligns the call */
	.cfi_adjust_cfa_offset 8
	movq	%rsp, (%rdx)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
.Lreturn:
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	thrumi_call, .-thrumi_call

/* void thrumi_return(void *mark, intptr_t result) */
	.globl	thrumi_return
	.hidden	thrumi_return
	.type	thrumi_return, @function
	.balign	16
thrumi_return:
	endbr64
	movq	%rdi, %rsp
	movq	%rsi, %rax
	jmp	.Lreturn
	.size	thrumi_return, .-thrumi_return

/* intptr_t thrumi_call_on(void *top, thrum_fn *fn, void *arg) */
	.globl	thrumi_call_on
	.hidden	thrumi_call_on
	.type	thrumi_call_on, @function
	.balign	16
thrumi_call_on:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	movq	%rdi, %rsp
	movq	%rdx, %rdi
	call	*%rsi
	movq	%rbp, %rsp
	.cfi_def_cfa_register %rsp
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	thrumi_call_on, .-thrumi_call_on

/* The bottom of every light thread's stack: unwinders end here, the return address is undefined. */
	.globl	thrumi_thread_entry
	.hidden	thrumi_thread_entry
	.type	thrumi_thread_entry, @function
	.balign	16
thrumi_thread_entry:
	.cfi_startproc
	.cfi_undefined %rip
	endbr64
	xorl	%ebp, %ebp
	call	thrumi_thread_main
	ud2
	.cfi_endproc
	.size	thrumi_thread_entry, .-thrumi_thread_entry

	.section	.note.GNU-stack, "", @progbits

/* Indirect branches land on endbr64 (IBT). Not marked for shadow stacks: a switch changes the stack under
 * the return addresses. */
	.section	.note.gnu.property, "a"
	.balign	8
	.long	4
	.long	16
	.long	5
	.asciz	"GNU"
	.long	0xc0000002
	.long	4
	.long	1
	.long	0
