/* thrum_shared_sem.
 *
 * The word, 64 bits; its upper half is the counter that is waited for (shared_wait.h):
 *
 *   bits    name      meaning                           changed by
 *   0-30    value     units                             release; who takes one
 *   32      WAITERS   threads may wait                  who is going to wait; who has waited and takes the last unit; cleared by who wakes
 *   33-63   wakes     how many were woken               a release that finds WAITERS; who has waited and leaves units
 *
 * No wake is lost. A thread is *concerned* if it was woken, or looks at a tick, and has not taken a unit or waited again since. While threads
 * wait, WAITERS is set and the value is 0, or somebody is concerned. Who goes to wait sets WAITERS, with the value 0 in the same step. A
 * release of n clears it, and wakes n. A concerned one that takes the last unit sets WAITERS, since others may wait still; one that
 * leaves units wakes another; one that finds none sets WAITERS as it waits again. Who comes by takes a unit and changes nothing else: the
 * concerned one looks all the same.
 *
 * The word is not touched after the step that gives units: the memory may be something else's by then. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

enum { WAKES_SHIFT = 1 };
#define VALUE UINT64_C(0x7fffffff)
#define WAITERS (UINT64_C(1) << 32)
#define WAKE (UINT64_C(1) << (32 + WAKES_SHIFT))

typedef _Atomic uint64_t sem_word;

static sem_word *word_of(const thrum_shared_sem *sem) { return (sem_word *)(uintptr_t)&sem->word; }
static thrumi_futex *counter_of(thrum_shared_sem *sem) { return (thrumi_futex *)&sem->word + 1; }

int thrum_shared_sem_init(thrum_shared_sem *sem, int n, int limit) {
  if (limit == 0) limit = THRUM_SHARED_SEM_MAX;
  if (n < 0 || n > limit) return -EINVAL;
  *sem = (thrum_shared_sem){.word = (uint64_t)n, .limit = (uint32_t)limit};
  return 0;
}

/* False: there is none, with *seen the word. */
static bool take(thrum_shared_sem *sem, bool waited, uint64_t *seen) {
  while (*seen & VALUE) {
    bool more = waited && (*seen & VALUE) > 1;
    uint64_t next = *seen - 1;
    if (more)
      next = (next & ~WAITERS) + WAKE;
    else if (waited)
      next |= WAITERS;
    if (!thrumi_cas(word_of(sem), seen, next)) continue;
    if (more) thrumi_shared_wake(counter_of(sem), 1);
    thrumi_rely_on(sem);
    return true;
  }
  return false;
}

static int wait_once(thrum_shared_sem *sem, struct thrumi_shared_wait *wait, uint64_t seen, int64_t deadline,
                     int flags) {
  uint64_t waits = seen | WAITERS;
  if (waits != seen && !thrumi_cas(word_of(sem), &seen, waits)) return 0;
  thrumi_enter();
  int error = thrumi_shared_await(wait, counter_of(sem), (uint32_t)(waits >> 32), deadline, flags);
  thrumi_leave(thrumi_self());
  return error;
}

static int acquire(thrum_shared_sem *sem, int64_t deadline, int flags) {
  struct thrumi_shared_wait wait = {.what = "a shared semaphore", .object = sem, .shift = WAKES_SHIFT};
  uint64_t seen = thrumi_load_relaxed(word_of(sem));
  if (take(sem, false, &seen)) return 0;
  thrumi_shared_ready();
  for (int error = 0; !error;) {
    error = wait_once(sem, &wait, seen, deadline, flags);
    seen = thrumi_load(word_of(sem));
    if (take(sem, wait.waited, &seen)) return 0;
    if (error) return error;
  }
  return 0;
}

void thrum_shared_sem_acquire(thrum_shared_sem *sem) { acquire(sem, INT64_MAX, 0); }

int thrum_shared_sem_try_acquire(thrum_shared_sem *sem) {
  uint64_t seen = thrumi_load_relaxed(word_of(sem));
  return take(sem, false, &seen) ? 0 : -EAGAIN;
}

int thrum_shared_sem_acquire_for(thrum_shared_sem *sem, thrum_duration timeout) {
  if (timeout <= 0) return thrumi_shared_poll_failed(thrum_shared_sem_try_acquire(sem));
  return acquire(sem, thrum_after(timeout), THRUMI_CANCELLABLE);
}

int thrum_shared_sem_release(thrum_shared_sem *sem, int n) {
  if (n < 1) return -EINVAL;
  uint64_t seen = thrumi_load(word_of(sem)), limit = sem->limit ? sem->limit : THRUM_SHARED_SEM_MAX, next;
  thrumi_announce(sem);
  do {
    if ((uint64_t)n > limit - (seen & VALUE)) return -EOVERFLOW;
    next = seen + (uint64_t)n;
    if (seen & WAITERS) next = (next & ~WAITERS) + WAKE * (uint64_t)n;
  } while (!thrumi_cas(word_of(sem), &seen, next));
  if (seen & WAITERS) thrumi_shared_wake(counter_of(sem), (uint32_t)n);
  return 0;
}

int thrum_shared_sem_value(const thrum_shared_sem *sem) {
  return (int)(thrumi_load_relaxed(word_of(sem)) & VALUE);
}
