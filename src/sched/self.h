/* The calling kernel thread, and the way into and out of the runtime.
 *
 * A function that may switch must not keep a kthread across the switch: it goes on elsewhere. It calls
 * thrumi_self() again, which no compiler can cache because it is volatile assembly. */
#ifndef THRUMI_SELF_H
#define THRUMI_SELF_H

#include <sched/sched.h>

static inline struct thrumi_kthread *thrumi_self(void) {
  struct thrumi_kthread *k;
#if defined(__x86_64__)
  __asm__ volatile("movq thrumi_self_tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(k) : : "memory");
#elif defined(__aarch64__)
  void *offset;
  __asm__ volatile("adrp %1, :gottprel:thrumi_self_tls\n\tldr %1, [%1, #:gottprel_lo12:thrumi_self_tls]\n\t"
                   "mrs %0, tpidr_el0\n\tldr %0, [%0, %1]"
                   : "=&r"(k), "=&r"(offset)
                   :
                   : "memory");
#endif
  return k;
}

/* The thread t runs on this kernel thread, the caller's, from here on (NULL: none does). Its mark is what the inline
 * paths of the public headers know of it; assembly, for the reason above. */
static inline void thrumi_become(struct thrumi_kthread *k, struct thrumi_thread *t) {
  thrumi_store_relaxed(&k->current, t);
  uint32_t mark = t ? thrumi_mark_of(t) : 0;
#if defined(__x86_64__)
  uint64_t at;
  __asm__ volatile("movq thrumi_mark_tls@gottpoff(%%rip), %0\n\tmovl %1, %%fs:(%0)"
                   : "=&r"(at)
                   : "r"(mark)
                   : "memory");
#elif defined(__aarch64__)
  uint64_t at, thread;
  __asm__ volatile("adrp %0, :gottprel:thrumi_mark_tls\n\tldr %0, [%0, #:gottprel_lo12:thrumi_mark_tls]\n\t"
                   "mrs %1, tpidr_el0\n\tstr %w2, [%1, %0]"
                   : "=&r"(at), "=&r"(thread)
                   : "r"(mark)
                   : "memory");
#endif
}

/* Enters the runtime: afterwards the caller holds its worker (if it is no foreign thread) and is not preempted. */
static inline struct thrumi_kthread *thrumi_enter(void) {
  struct thrumi_kthread *k = thrumi_self();
  if (thrumi_unlikely(!k)) return thrumi_enter_first();
  bool undisturbed = thrumi_lease_enter(&k->lease);
  thrumi_ignore_begin();
  if (thrumi_unlikely(!undisturbed)) thrumi_enter_slow(k);
  return k;
}

/* Leaves it; obeys a preemption that arrived inside. */
static inline void thrumi_leave(struct thrumi_kthread *k) {
  thrumi_ignore_end();
  thrumi_lease_leave(&k->lease);
  atomic_signal_fence(memory_order_seq_cst);
  if (thrumi_unlikely(thrumi_load_relaxed(&k->lease.attention) & THRUMI_PREEMPT)) thrumi_leave_slow();
}

/* The same two for calls that a signal handler may make, which interrupted anything at all.
 *
 * NULL: it cannot enter. Either the interrupted code is inside, and may hold any lock; or it is on its way into the runtime or
 * out of it, and unknown; or it is in fork, where in the child locks may seem held by threads that are not there. Who enters
 * does not wait for a worker: it may have none inside, as a foreign thread, and must be content with waking others. */
static inline struct thrumi_kthread *thrumi_enter_in_handler(void) {
  struct thrumi_kthread *k = thrumi_self();
  if (!k || thrumi_load_relaxed(&k->lease.inside) || k->forking) return NULL;
  bool undisturbed = thrumi_lease_enter(&k->lease);
  thrumi_ignore_begin();
  if (thrumi_unlikely(!undisturbed)) thrumi_attend(k);
  return k;
}

/* A preemption that arrived inside is obeyed unless that would take a handler's frames to another kernel thread. */
static inline void thrumi_leave_in_handler(struct thrumi_kthread *k) {
  thrumi_ignore_end();
  thrumi_lease_leave(&k->lease);
  atomic_signal_fence(memory_order_seq_cst);
  if (thrumi_unlikely(thrumi_load_relaxed(&k->lease.attention) & THRUMI_PREEMPT)) thrumi_leave_handler_slow();
}

/* Whether the calling thread is cancelled, and not shielded. A call that may wait asks it before it begins, or lets
 * thrumi_park ask: after ARMED, with a fence in between, since from then on it is the canceller who must see the wait. */
static inline bool thrumi_is_cancelled(const struct thrumi_thread *me) {
  bool cancelled = thrumi_unlikely(thrumi_load(&me->cancel));
  if (cancelled) thrumi_rely_on(&me->cancel); /* what the canceller did before has happened */
  return cancelled;
}

/* What a poll that found nothing says: one who is cancelled would not have waited either. */
static inline int thrumi_poll_error(const struct thrumi_thread *me) {
  return thrumi_is_cancelled(me) ? -ECANCELED : -ETIMEDOUT;
}

static inline void thrumi_await_up(struct thrumi_kthread *k) {
  while (!thrumi_load(&k->up)) thrumi_os.futex_wait(&k->up, 0, INT64_MAX);
}

/* A stack of 2^n bytes or of a size that was asked for (0: the default), for a thread of w's holder (NULL: of who has no worker); clean, if
 * stacks are measured. 0 or -ENOMEM. */
static inline int thrumi_take_stack(struct thrumi_worker *w, size_t size, struct thrumi_stack *out) {
  int error = thrumi_stack_take(w ? &w->stacks : NULL, size, out);
  if (thrumi_unlikely(!error && thrumi_sched.clean_stacks)) thrumi_stack_clean(out);
  return error;
}

static inline void thrumi_set_state(struct thrumi_thread *t, enum thrumi_state state) {
  thrumi_store_relaxed(&t->state, (uint8_t)state);
}

#endif
