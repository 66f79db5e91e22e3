/* What threads wait for each other with: locks and conditions.
 *
 *     static thrum_lock lock;                        // all-zero: free
 *     thrum_lock_acquire(&lock);  total += n;  thrum_lock_release(&lock);
 *     THRUM_LOCKED(&lock) { total += n; }            // the same; any way out of the block releases it
 *
 * Every object here is valid when it is all-zero, unless it says otherwise, and needs no destroy. It must not be moved or
 * copied while it is in use. Light, bound and foreign threads may use all of it, together; signal handlers nothing, unless a
 * call says so. To wait here takes no worker, and no kernel thread from a light one.
 *
 * Forms. x waits for ever, x_for(..., timeout) for so long, try_x not at all. A timeout of 0 or less polls. A call that ran
 * out of time or was cancelled has changed nothing, and swallowed nothing that was meant for another thread.
 *
 * "Switches", "cancellation point": as in thread.h, if the call has to wait.
 *
 * After a fork the child has one thread. Nobody waits there for anything; what was held by a thread that is gone stays
 * held. A library that forks releases its locks in the child, which any thread may do. */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Machinery of the inline paths: no promise holds for names that begin with thrumi_ ----------------------------- */

/* Not 0: every inline path goes out of line (tracing, checking, controlled schedules). */
THRUM_API extern uint32_t thrumi_mode;

/* The calling thread's mark: the lower half of its thrum_id, which begins with its slot; 0: it has not called thrum yet.
 * Read by assembly, since a compiler that keeps a thread-local's address would keep it across a switch to another
 * kernel thread. */
#ifndef thrumi_mark
static inline uint32_t thrumi_mark(void) {
#if defined(__x86_64__)
  uint64_t at;
  uint32_t mark;
  __asm__ volatile("movq thrumi_mark_tls@gottpoff(%%rip), %0\n\tmovl %%fs:(%0), %1" : "=&r"(at), "=r"(mark));
#else
  uint64_t at, mark;
  __asm__ volatile("adrp %0, :gottprel:thrumi_mark_tls\n\tldr %0, [%0, #:gottprel_lo12:thrumi_mark_tls]\n\t"
                   "mrs %1, tpidr_el0\n\tldr %w1, [%1, %0]"
                   : "=&r"(at), "=&r"(mark));
#endif
  return (uint32_t)mark;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
