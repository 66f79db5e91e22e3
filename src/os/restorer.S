/* Where a signal handler returns to: rt_sigreturn. The C library has one, but does not give it to others, and
 * x86-64 leaves it to the program; on aarch64 the kernel's vDSO has it. Debuggers and unwinders know a signal
 * frame by exactly these instructions. */
#if defined(__x86_64__)
	.text
	.balign	16
	nop				/* unwinders look at the byte before a return address */
	.globl	thrumi_os_restorer
	.hidden	thrumi_os_restorer
	.type	thrumi_os_restorer, @function
thrumi_os_restorer:
	movq	$15, %rax		/* rt_sigreturn */
	syscall
	.size	thrumi_os_restorer, .-thrumi_os_restorer

/* No indirect branch lands here, so that the object is fit for IBT. */
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
#endif

	.section	.note.GNU-stack, "", %progbits
