/* What tells one copy of the library of another (core/copies.c): a note that the loader's tables lead to, "thrum" of type 1, with the
 * distance from itself to the word that says whether this copy has started. */
	.section	.note.thrum, "a", %note
	.balign	4
	.long	6			/* bytes of the name */
	.long	4			/* bytes of what follows it */
	.long	1
	.asciz	"thrum"
	.balign	4
	.long	thrumi_copy_started - .

	.bss
	.globl	thrumi_copy_started
	.hidden	thrumi_copy_started
	.type	thrumi_copy_started, %object
	.balign	4
thrumi_copy_started:
	.zero	4
	.size	thrumi_copy_started, 4

	.section	.note.GNU-stack, "", %progbits

/* There is no code here, so that the object is fit for IBT, and for BTI. */
	.section	.note.gnu.property, "a"
	.balign	8
	.long	4
	.long	16
	.long	5
	.asciz	"GNU"
#if defined(__x86_64__)
	.long	0xc0000002
#else
	.long	0xc0000000
#endif
	.long	4
	.long	1
	.long	0
