/* The exhaustive driver: runs two or more threads, as coroutines on one kernel thread, through every order of
 * their operations on shared memory.
 *
 * The runtime's own sources are compiled with this header in front of them. It replaces the operations of
 * core/atomic.h by the same ones with a point before each, at which the driver decides who goes on. A schedule is
 * the list of these decisions; the driver walks the tree of all schedules depth first and runs the model anew
 * for each. A schedule that differs from one already walked only in the order of neighbours that do not touch
 * the same word (or only read it) is not run again (sleep sets, Godefroid 1996): it cannot end otherwise.
 *
 * Memory. Without `buffered`, stores are seen by all at once. With it, every thread has a store buffer, as
 * x86-64 has: a store waits there until the driver decides to let it through, loads of the same thread see it,
 * read-modify-writes and fences wait until the buffer is empty. explore_barrier does what membarrier does: it waits
 * until each buffer has been empty once.
 *
 *     static const struct explore_model models[] = {
 *         {.name = "...", .reset = reset, .check = check, .threads = {{"one", one}, {"two", two}}}, {0}};
 *     int main(int argc, char **argv) { return explore(models, argc, argv); }
 *
 * A failure prints the schedule; the program run with the model's name and that string repeats it and says each step.
 * What it cannot see: compilers and CPUs that reorder loads, and plain data outside of the model's checks. */
#ifndef TESTS_EXPLORE_H
#define TESTS_EXPLORE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the sources behind this header define it too late */
#endif

#define thrumi_pause thrumi_pause_of_cpu
#include <core/atomic.h>
#undef thrumi_pause

#include <stddef.h>

enum { EXPLORE_THREADS = 6 };

enum explore_kind {
  EXPLORE_LOCAL,  /* touches nothing that others see */
  EXPLORE_READ,   /* of one word */
  EXPLORE_WRITE,  /* of one word */
  EXPLORE_UPDATE, /* read-modify-write, or a call of the kernel: the store buffer is empty then */
  EXPLORE_FENCE,  /* the store buffer is empty then */
  EXPLORE_DRAIN,  /* another thread's store buffer is empty then */
  EXPLORE_KILL,   /* another thread makes no step more */
};

struct explore_model {
  const char *name;
  bool buffered;
  bool by_name;  /* takes minutes: walked when it is named, with EXPLORE_LIMIT, and to find mutations */
  bool no_kills; /* no thread is killed: steps whose order with others' cannot matter are no decisions */
  unsigned
      patience; /* > 0: a schedule in which one thread makes so many steps while others could is given up */
  void (*reset)(void); /* before each schedule */
  void (*check)(void); /* after it, when all threads have ended; may be NULL */
  struct {
    const char *name;
    void (*run)(void *arg);
    void *arg;
    void *self; /* becomes thrumi_self() */
  } threads[EXPLORE_THREADS];
};

/* Walks all schedules of each model, up to the one without name, or of the one named. The exit status: 0, or 1 if one failed. */
int explore(const struct explore_model *models, int argc, char **argv);

/* For models. Each is also a point. */
void explore_point(enum explore_kind kind, const volatile void *address);
void explore_await(_Atomic uint32_t *word); /* goes on when it is not 0 */
unsigned explore_choose(unsigned n);        /* each of 0 to n - 1 in some schedule */
void explore_barrier(void);
void explore_fence(void);
int explore_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                       int64_t deadline); /* the deadline never comes */
int explore_futex_wake(_Atomic uint32_t *word, int count);

/* On several words, as futex_waitv does: each is compared and slept on in a step of its own, and left in one. The index of the one
 * that was woken, or -EAGAIN. */
enum { EXPLORE_WORDS = 4 };
int explore_futex_wait_any(_Atomic uint32_t *const *words, const uint32_t *expected, int n);

/* The thread with that number ends where it is, if it has not ended; and the calling one. */
void explore_kill(int thread);
__attribute__((noreturn)) void explore_end(void);

/* From reset: one thread alone touches these bytes in this model, so operations on them are no points. */
void explore_private(const volatile void *low, size_t size);

/* From reset: the futex at this address is the upper half of the word of 64 bits before it, so the order of operations on the two matters. */
void explore_upper_half(const volatile void *half);

__attribute__((noreturn, format(printf, 1, 2))) void explore_fail(const char *format, ...);
#define EXPECT(condition) \
  ((condition) ? (void)0 : explore_fail("%s:%d: %s is false", __FILE__, __LINE__, #condition))

/* ---- The operations of core/atomic.h ------------------------------------------------------------------- */

uint64_t explore_load(const volatile void *word, size_t size);
void explore_store(volatile void *word, uint64_t value, size_t size);
void explore_pause(void);
void explore_lock(_Atomic uint32_t *word);
void explore_point_of_unlock(_Atomic uint32_t *word);

#undef thrumi_load
#undef thrumi_load_relaxed
#undef thrumi_store
#undef thrumi_store_relaxed
#undef thrumi_swap
#undef thrumi_or
#undef thrumi_and
#undef thrumi_add
#undef thrumi_cas
#undef thrumi_bump
#undef atomic_thread_fence

#define EXPLORE_VALUE(p) __typeof__(atomic_load_explicit(p, memory_order_relaxed))
#define EXPLORE_UPDATED(p, operation) (explore_point(EXPLORE_UPDATE, p), operation)

#define thrumi_load(p) ((EXPLORE_VALUE(p))explore_load(p, sizeof *(p)))
#define thrumi_load_relaxed(p) thrumi_load(p)
#define thrumi_store(p, v) explore_store(p, (uint64_t)(EXPLORE_VALUE(p))(v), sizeof *(p))
#define thrumi_store_relaxed(p, v) thrumi_store(p, v)
#ifdef MUTATE_SWAP /* a mutation: what reads and what writes are two steps */
#define thrumi_swap(p, v) \
  ({ \
    EXPLORE_VALUE(p) swapped = thrumi_load(p); \
    explore_point(EXPLORE_UPDATE, p); \
    atomic_store(p, v); \
    swapped; \
  })
#else
#define thrumi_swap(p, v) EXPLORE_UPDATED(p, atomic_exchange(p, v))
#endif
#ifdef MUTATE_OR
#define thrumi_or(p, v) \
  ({ \
    EXPLORE_VALUE(p) found = thrumi_load(p); \
    explore_point(EXPLORE_UPDATE, p); \
    atomic_store(p, found | (v)); \
    found; \
  })
#else
#define thrumi_or(p, v) EXPLORE_UPDATED(p, atomic_fetch_or(p, v))
#endif
#ifdef MUTATE_AND
#define thrumi_and(p, v) \
  ({ \
    EXPLORE_VALUE(p) found = thrumi_load(p); \
    explore_point(EXPLORE_UPDATE, p); \
    atomic_store(p, found &(v)); \
    found; \
  })
#else
#define thrumi_and(p, v) EXPLORE_UPDATED(p, atomic_fetch_and(p, v))
#endif
#define thrumi_add(p, v) EXPLORE_UPDATED(p, atomic_fetch_add(p, v))
#ifdef MUTATE_CAS /* the same for the comparison */
#define thrumi_cas(p, expected, v) \
  (thrumi_load(p) == *(expected) ? (explore_point(EXPLORE_UPDATE, p), atomic_store(p, v), true) \
                                 : (*(expected) = atomic_load(p), false))
#else
#define thrumi_cas(p, expected, v) EXPLORE_UPDATED(p, atomic_compare_exchange_strong(p, expected, v))
#endif
#define thrumi_bump(p) ((void)atomic_fetch_add(p, 1)) /* counters: no decision depends on them */
#ifdef MUTATE_NO_FENCE
#define atomic_thread_fence(order) ((void)0)
#else
#define atomic_thread_fence(order) explore_fence()
#endif

static inline void thrumi_pause(void) { explore_pause(); }

/* ---- Those of thrum/sync/inline.h ------------------------------------------------------------------------ */

/* For models of what is built on these: the mark of the calling thread. */
uint32_t explore_mark(void);
#define thrumi_mark explore_mark

static inline bool explore_exchange(uint64_t *word, uint64_t from, uint64_t to) {
  return thrumi_cas((_Atomic uint64_t *)word, &from, to);
}
#define thrumi_exchange(word, from, to, order) explore_exchange(word, from, to)
#define thrumi_peek(word) explore_load(word, sizeof *(word))

/* ---- The small lock in place of core/spin.h's ---------------------------------------------------------- */

/* Taken in one step, when it is free. The steps of the real one have a test of their own, spin.c. */
#ifdef EXPLORE_LOCK
#define THRUMI_SPIN_H
struct thrumi_spin {
  _Atomic uint32_t word;
};
enum { THRUMI_SPIN_FREE };
static inline void thrumi_spin_lock(struct thrumi_spin *spin) { explore_lock(&spin->word); }
static inline bool thrumi_spin_try_lock(struct thrumi_spin *spin) {
  thrumi_spin_lock(spin); /* where it would fail the caller waits in any case */
  return true;
}
/* A model may look at what a lock guards when it becomes free. */
__attribute__((weak)) void explore_unlocks(struct thrumi_spin *spin);

static inline void thrumi_spin_unlock(struct thrumi_spin *spin) {
  explore_point_of_unlock(&spin->word);
  if (explore_unlocks) explore_unlocks(spin);
  atomic_store(&spin->word, 0);
}
#endif

#endif
