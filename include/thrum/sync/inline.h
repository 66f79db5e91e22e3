/* Machinery of the inline paths of what threads wait for each other with. No promise holds for names that begin with
 * thrumi_. */
#ifndef THRUM_SYNC_INLINE_H
#define THRUM_SYNC_INLINE_H

#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

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

/* One look at a word, which a compare-and-swap will confirm. */
#ifndef thrumi_peek
static inline uint64_t thrumi_peek(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
#endif

/* One compare-and-swap on a word. */
#ifndef thrumi_exchange
static inline bool thrumi_exchange(uint64_t *word, uint64_t from, uint64_t to, int order) {
  return __atomic_compare_exchange_n(word, &from, to, false, order, __ATOMIC_RELAXED);
}
#endif

/* Also without optimisation: who watches locks takes the place that acquires from where the out-of-line path returns to. */
#define THRUMI_INLINE inline __attribute__((always_inline))

/* Ends the program: a block that was to release something found it not held. */
THRUM_API THRUM_NORETURN void thrumi_not_held(const char *what, const void *object);

/* A block that holds something: entered by kind##_enter, left by kind##_leave however it is left. */
#define THRUMI_HOLDING(type, kind, object, n) THRUMI_HOLDING_N(type, kind, object, n)
#define THRUMI_HOLDING_N(type, kind, object, n) \
  for (type * thrumi_held_##n __attribute__((cleanup(kind##_leave))) = kind##_enter(object), \
                              *thrumi_once_##n = thrumi_held_##n; \
       thrumi_once_##n; thrumi_once_##n = 0)

#ifdef __cplusplus
}
#endif
#endif
