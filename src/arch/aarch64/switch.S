/* The switch for aarch64, the procedure call standard of Linux. Frame layout: see arch.h.
 *
 * The frame keeps x19 to x30, the lower halves of v8 to v15, and the floating-point control register: it
 * follows the thread, since a library may set a rounding mode and park. Writing fpcr waits for all
 * floating-point work before it, so it is done only where it differs. */

#define FRAME 176
#define CONTROL 160

/* Makes a frame and stores the registers in it, but for fpcr. */
	.macro	save_frame
	sub	sp, sp, #FRAME
	.cfi_adjust_cfa_offset FRAME
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	.cfi_rel_offset d8, 96
	.cfi_rel_offset d9, 104
	.cfi_rel_offset d10, 112
	.cfi_rel_offset d11, 120
	.cfi_rel_offset d12, 128
	.cfi_rel_offset d13, 136
	.cfi_rel_offset d14, 144
	.cfi_rel_offset d15, 152
	.endm

/* Loads them again and returns. */
	.macro	restore_frame_and_return
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #FRAME
	.cfi_adjust_cfa_offset -FRAME
	.irp	register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30
	.cfi_restore \register
	.endr
	.irp	register, d8, d9, d10, d11, d12, d13, d14, d15
	.cfi_restore \register
	.endr
	ret
	.endm

	.text

/* void thrumi_switch(void **save, void *to) */
	.globl	thrumi_switch
	.hidden	thrumi_switch
	.type	thrumi_switch, %function
	.balign	64
thrumi_switch:
	.cfi_startproc
	hint	#34			/* bti c */
	save_frame
	mrs	x9, fpcr
	str	x9, [sp, #CONTROL]

	mov	x10, sp
	str	x10, [x0]
	mov	sp, x1			/* the other frame has the same layout: the rules above still hold */

	ldr	x11, [sp, #CONTROL]
	cmp	x9, x11
	b.eq	1f
	msr	fpcr, x11
1:	restore_frame_and_return
	.cfi_endproc
	.size	thrumi_switch, .-thrumi_switch

/* intptr_t thrumi_call(thrum_fn *fn, void *arg, void **mark) */
	.globl	thrumi_call
	.hidden	thrumi_call
	.type	thrumi_call, %function
	.balign	16
thrumi_call:
	.cfi_startproc
	hint	#34			/* bti c */
	save_frame
	add	x29, sp, #80		/* x29 and x30 lie there as every frame record does */
	mov	x9, sp
	str	x9, [x2]
	mov	x9, x0
	mov	x0, x1
	blr	x9
.Lreturn:
	restore_frame_and_return
	.cfi_endproc
	.size	thrumi_call, .-thrumi_call

/* void thrumi_return(void *mark, intptr_t result) */
	.globl	thrumi_return
	.hidden	thrumi_return
	.type	thrumi_return, %function
	.balign	16
thrumi_return:
	hint	#34			/* bti c */
	mov	sp, x0
	mov	x0, x1
	b	.Lreturn
	.size	thrumi_return, .-thrumi_return

/* intptr_t thrumi_call_on(void *top, thrum_fn *fn, void *arg) */
	.globl	thrumi_call_on
	.hidden	thrumi_call_on
	.type	thrumi_call_on, %function
	.balign	16
thrumi_call_on:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	mov	x29, sp
	.cfi_def_cfa_register x29
	mov	sp, x0
	mov	x0, x2
	blr	x1
	mov	sp, x29
	.cfi_def_cfa_register sp
	ldp	x29, x30, [sp], #16
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	thrumi_call_on, .-thrumi_call_on

/* The bottom of every light thread's stack: unwinders end here, the return address is undefined. */
	.globl	thrumi_thread_entry
	.hidden	thrumi_thread_entry
	.type	thrumi_thread_entry, %function
	.balign	16
thrumi_thread_entry:
	.cfi_startproc
	.cfi_undefined x30
	hint	#34			/* bti c */
	mov	x29, xzr
	mov	x30, xzr
	bl	thrumi_thread_main
	udf	#0
	.cfi_endproc
	.size	thrumi_thread_entry, .-thrumi_thread_entry

	.section	.note.GNU-stack, "", %progbits

/* Indirect branches land on bti. Return addresses are not signed: a signed one would be bound to its stack
 * pointer, and thrumi_frame_context reads them as they are. */
	.section	.note.gnu.property, "a"
	.balign	8
	.long	4
	.long	16
	.long	5
	.asciz	"GNU"
	.long	0xc0000000
	.long	4
	.long	1
	.long	0
