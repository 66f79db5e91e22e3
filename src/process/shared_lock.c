/* thrum_shared_lock and thrum_shared_rlock: robust locks between processes.
 *
 * The word, 64 bits; its upper half is the counter that is waited for (shared_wait.h):
 *
 *   bits    name          meaning                                         changed by
 *   0-31    holder        the process that holds it (slot.h); 0: none     who takes it; release
 *   32      WAITERS       threads may wait                                who is going to wait; who has waited and takes it; a release
 *                                                                         clears it
 *   33      FAIR          one that has waited for long waits: only who    such a one when it waits again; cleared by who has waited, or
 *                         has waited may take it                          comes after a dead holder, and takes it; and by who gives up
 *   34      INCONSISTENT  who held it died: its holder must recover       who takes it from a dead holder; recover
 *   35      LOST          useless for ever                                the release of an INCONSISTENT one
 *   36-63   wakes         how many were woken                             a release that finds WAITERS
 *
 * Legal: LOST: nobody holds it. INCONSISTENT: somebody does. FAIR: in the company of WAITERS, or just released.
 *
 *  - Each step of taking, waiting and releasing is one compare-and-swap of the whole word. So a process that is killed between any two of
 *    its steps either holds the lock, by its slot, or does not: there is nothing in between to repair.
 *  - Who is told -EOWNERDEAD is alone: the same compare-and-swap put it in the dead one's place. If it dies itself the next one is told.
 *  - Dead means what slot.h says: nothing of that process will run any more.
 *
 * No wake is lost. Say that a thread is *concerned* if it was woken (or looks at a tick) and has not taken the lock or waited again since, or
 * if it is about to wake after a release. While threads wait, of them or of the word one is true: somebody is concerned; or the word says
 * WAITERS, and somebody holds it or FAIR and those who may take it are concerned. By steps: who goes to wait sets WAITERS while
 * somebody holds it. A release clears WAITERS and is concerned until it has woken one, which is concerned from then on. A concerned
 * thread takes the lock with WAITERS set, since others may wait still; or finds it held, and sets WAITERS when it waits
 * again; who gives up because its time has run out does so after that step. Who comes by and takes a free lock without WAITERS leaves the
 * concerned one concerned. What is lost is what the killed take with them, a concern: then a waiter looks at a tick.
 *
 * The word is not touched after the step that releases: the lock's memory may be another object's by then. The wake is of an
 * address alone.
 *
 * Deaths. A holder's end is seen at once by a watcher that sleeps on its slot, which it does for the holder that the thread found when it
 * went to wait last. If the lock has changed hands since, it is seen at a tick.
 *
 * The rlock. `thread`, `depth` and `owner` are written by the holder alone, after it took the lock and before it releases it; `owner`, the
 * holder as the word names it, last, and it goes first. Who finds `owner` to be what the word names reads the `thread` of that one: its own, or a
 * stranger's, since a thread's id is never the same as another one's of its process. What a dead one left there belongs to another
 * generation of its slot, so it is believed by nobody.
 *
 * Rejected: pthread's robust mutexes: the list is a kernel thread's, and a wait blocks it. Handing the lock over to a waiter: that
 * one may be dead. A count of waiters: the dead would stay in it. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

enum { WAKES_SHIFT = 4, SPINS = 3, PAUSES = 32 };
#define WAITERS (UINT64_C(1) << 32)
#define FAIR (UINT64_C(1) << 33)
#define INCONSISTENT (UINT64_C(1) << 34)
#define LOST (UINT64_C(1) << 35)
#define WAKE (UINT64_C(1) << (32 + WAKES_SHIFT))
#define WAKES ~(WAKE - 1)
#define FAIR_AFTER THRUM_MS(1)
#define MANY 65536 /* more than wait */

typedef _Atomic uint64_t lock_word;

static lock_word *word_of(const thrum_shared_lock *lock) { return (lock_word *)(uintptr_t)&lock->word; }

/* Little-endian: the upper half. */
static thrumi_futex *counter_of(const thrum_shared_lock *lock) { return (thrumi_futex *)word_of(lock) + 1; }

static thrumi_holder holder_of(uint64_t word) { return (uint32_t)word; }

int thrumi_shared_me(struct thrumi_segment *segment, thrumi_holder *me) {
  int error = segment ? thrumi_segment_slot(segment, me) : -EINVAL;
  return error == -EAGAIN ? -ENOMEM : error; /* which says something else here */
}

/* One thread's attempt to take a lock. */
struct attempt {
  struct thrumi_shared_wait wait;
  thrum_shared_lock *lock;
  struct thrumi_segment *segment;
  thrumi_holder me;
  bool fair;     /* it has set FAIR */
  int64_t since; /* when it began to wait; 0: it has not */
};

static int begin(struct attempt *a, thrum_shared_lock *lock) {
  *a = (struct attempt){.lock = lock, .segment = thrumi_segment_of(lock)};
  return thrumi_shared_me(a->segment, &a->me);
}

/* ---- Acquiring ---------------------------------------------------------------------------------------------------------- */

/* Whether the caller may take it, as it is. Whom FAIR stands for may have died with a holder that is dead: so anybody may follow that one,
 * and FAIR ends; who lives sets it again. */
static bool may_take(const struct attempt *a, uint64_t seen, bool barges, bool *dead) {
  thrumi_holder holder = holder_of(seen);
  *dead = holder && holder != a->me && thrumi_slot_is_dead(a->segment, holder);
  return holder ? *dead : !(seen & FAIR) || a->wait.waited || barges;
}

/* One look. 0, -EOWNERDEAD: taken; -EAGAIN: it is held, with *seen the word; -ENOTRECOVERABLE. `barges`: past those who have waited. */
static int take(struct attempt *a, bool barges, uint64_t *seen) {
  bool waited = a->wait.waited, dead;
  for (;;) {
    if (*seen & LOST) return -ENOTRECOVERABLE;
    if (!may_take(a, *seen, barges, &dead)) return -EAGAIN;
    uint64_t next =
        (*seen & ~(waited || dead ? FAIR : 0)) | (waited ? WAITERS : 0) | (dead ? INCONSISTENT : 0);
    next = (next >> 32) << 32 | a->me;
    if (!thrumi_cas(word_of(a->lock), seen, next)) continue;
    thrumi_rely_on(a->lock);
    return *seen & INCONSISTENT || dead ? -EOWNERDEAD : 0;
  }
}

/* Looks seldom: each look takes the cache line from the holder. */
static int take_spinning(struct attempt *a, uint64_t *seen) {
  int error = take(a, false, seen);
  for (int n = 0; n < SPINS && error == -EAGAIN && !(*seen & (FAIR | WAITERS)); n++) {
    for (int i = PAUSES << n; i; i--) thrumi_pause();
    *seen = thrumi_load_relaxed(word_of(a->lock));
    error = take(a, false, seen);
  }
  return error;
}

/* Waits until the word is another than *seen, which said that one must wait. */
static int wait_once(struct attempt *a, uint64_t *seen, int64_t deadline, int flags) {
  int64_t now = thrumi_os.now();
  if (!a->since) a->since = now;
  bool fair = a->wait.waited && now - a->since >= FAIR_AFTER;
  uint64_t waits = *seen | WAITERS | (fair ? FAIR : 0);
  thrumi_holder holder = holder_of(*seen);
  a->wait.end = holder ? thrumi_slot_watch(a->segment, holder, &a->wait.end_expected) : NULL;
  if (holder && !a->wait.end) return 0; /* it has died meanwhile */
  if (waits != *seen && !thrumi_cas(word_of(a->lock), seen, waits)) return 0;
  a->fair |= fair;
  thrumi_enter();
  int error = thrumi_shared_await(&a->wait, counter_of(a->lock), (uint32_t)(waits >> 32), deadline, flags);
  thrumi_leave(thrumi_self());
  return error;
}

/* FAIR may be another one's: that one sets it again. Somebody may have gone to sleep because of it though nobody held the lock. */
static int give_up(struct attempt *a, int error) {
  uint64_t seen = thrumi_load(word_of(a->lock));
  while (a->fair && seen & FAIR) {
    bool wakes = seen & WAITERS && !holder_of(seen);
    uint64_t next = wakes ? (seen & ~(FAIR | WAITERS)) + WAKE : seen & ~FAIR;
    if (!thrumi_cas(word_of(a->lock), &seen, next)) continue;
    if (wakes) thrumi_shared_wake(counter_of(a->lock), 1);
    break;
  }
  return error;
}

static int wait_and_take(struct attempt *a, uint64_t *seen, int64_t deadline, int flags) {
  a->wait.what = "a shared lock";
  a->wait.object = a->lock;
  a->wait.shift = WAKES_SHIFT;
  thrumi_shared_ready();
  for (;;) {
    int error = wait_once(a, seen, deadline, flags);
    *seen = thrumi_load(word_of(a->lock));
    int taken = take(a, false, seen);
    if (taken != -EAGAIN) return taken;
    if (error) return give_up(a, error);
  }
}

/* A lock that is free, and whoever comes may take. */
static inline bool take_free(thrum_shared_lock *lock) {
  struct thrumi_segment *segment = thrumi_segment_of(lock);
  uint64_t seen = thrumi_load_relaxed(word_of(lock));
  thrumi_holder me = segment ? thrumi_load(&segment->holder) : 0;
  if (!me || holder_of(seen) || seen & (FAIR | LOST) || !thrumi_cas(word_of(lock), &seen, seen | me))
    return false;
  thrumi_rely_on(lock);
  return true;
}

int thrumi_shared_lock_acquire(thrum_shared_lock *lock, int64_t deadline, int flags) {
  struct attempt a;
  if (thrumi_likely(take_free(lock))) return 0;
  int error = begin(&a, lock);
  if (error) return error;
  uint64_t seen = thrumi_load_relaxed(word_of(lock));
  error = take_spinning(&a, &seen);
  return error == -EAGAIN ? wait_and_take(&a, &seen, deadline, flags) : error;
}

int thrum_shared_lock_acquire(thrum_shared_lock *lock) {
  return thrumi_shared_lock_acquire(lock, INT64_MAX, 0);
}

int thrum_shared_lock_try_acquire(thrum_shared_lock *lock) {
  struct attempt a;
  int error = begin(&a, lock);
  if (error) return error;
  uint64_t seen = thrumi_load_relaxed(word_of(lock));
  return take(&a, true, &seen);
}

int thrumi_shared_poll_failed(int error) { return error == -EAGAIN ? thrumi_poll_failed() : error; }

int thrum_shared_lock_acquire_for(thrum_shared_lock *lock, thrum_duration timeout) {
  if (timeout <= 0) return thrumi_shared_poll_failed(thrum_shared_lock_try_acquire(lock));
  return thrumi_shared_lock_acquire(lock, thrum_after(timeout), THRUMI_CANCELLABLE);
}

/* ---- Releasing ---------------------------------------------------------------------------------------------------------- */

/* The word when nobody holds it any more; and whether somebody is to be woken. */
static uint64_t after_release(uint64_t seen, uint32_t *wakes) {
  *wakes = !(seen & WAITERS) ? 0 : seen & INCONSISTENT ? THRUMI_SHARED_EVERYBODY : 1;
  uint64_t next = (seen & WAKES) + WAKE * (*wakes == 1 ? 1 : *wakes ? MANY : 0);
  return next | (seen & INCONSISTENT ? LOST : seen & FAIR);
}

int thrum_shared_lock_release(thrum_shared_lock *lock) {
  uint64_t seen = thrumi_load_relaxed(word_of(lock)), next;
  uint32_t wakes;
  thrumi_announce(lock);
  do {
    if (!holder_of(seen)) return seen & LOST ? -ENOTRECOVERABLE : -EPERM;
    next = after_release(seen, &wakes);
  } while (!thrumi_cas(word_of(lock), &seen, next));
  if (wakes) thrumi_shared_wake(counter_of(lock), wakes);
  return next & LOST ? -ENOTRECOVERABLE : 0;
}

int thrum_shared_lock_recover(thrum_shared_lock *lock) {
  uint64_t seen = thrumi_load(word_of(lock));
  do
    if (!(seen & INCONSISTENT)) return -EPERM;
  while (!thrumi_cas(word_of(lock), &seen, seen & ~INCONSISTENT));
  return 0;
}

bool thrumi_shared_lock_is_free(const thrum_shared_lock *lock) {
  uint64_t seen = thrumi_load(word_of(lock));
  return !holder_of(seen) && !(seen & LOST);
}

bool thrumi_shared_lock_is_mine(const thrum_shared_lock *lock) {
  struct thrumi_segment *segment = thrumi_segment_of(lock);
  thrumi_holder holder = holder_of(thrumi_load(word_of(lock)));
  return segment && holder && holder == thrumi_load(&segment->holder);
}

pid_t thrum_shared_lock_holder(thrum_shared_lock *lock) {
  struct thrumi_segment *segment = thrumi_segment_of(lock);
  thrumi_holder holder = holder_of(thrumi_load(word_of(lock)));
  return segment && holder ? thrumi_slot_pid(segment, holder) : 0;
}

/* ---- Recursive ones ------------------------------------------------------------------------------------------------------ */

static _Atomic uint64_t *thread_of(thrum_shared_rlock *lock) { return (_Atomic uint64_t *)&lock->thread; }

static _Atomic uint32_t *owner_of(thrum_shared_rlock *lock) { return (_Atomic uint32_t *)&lock->owner; }

/* `thread` belongs to the holder that `owner` names: what a dead holder has left there is nobody's. */
static bool holds(thrum_shared_rlock *lock) {
  return thrumi_shared_lock_is_mine(&lock->lock) &&
         thrumi_load(owner_of(lock)) == holder_of(thrumi_load(word_of(&lock->lock))) &&
         thrumi_load_relaxed(thread_of(lock)) == thrum_id(thrum_current());
}

static int deeper(thrum_shared_rlock *lock) {
  if (lock->depth == UINT32_MAX) return -EOVERFLOW;
  lock->depth++;
  return 0;
}

/* What comes after the lock's own acquire. */
static int entered(thrum_shared_rlock *lock, int error, uint32_t depth) {
  if (error && error != -EOWNERDEAD) return error;
  lock->depth = depth;
  thrumi_store_relaxed(thread_of(lock), thrum_id(thrum_current()));
  thrumi_store(owner_of(lock), holder_of(thrumi_load(word_of(&lock->lock))));
  return error;
}

int thrum_shared_rlock_acquire(thrum_shared_rlock *lock) {
  if (holds(lock)) return deeper(lock);
  return entered(lock, thrum_shared_lock_acquire(&lock->lock), 1);
}

int thrum_shared_rlock_acquire_for(thrum_shared_rlock *lock, thrum_duration timeout) {
  if (holds(lock)) return deeper(lock);
  return entered(lock, thrum_shared_lock_acquire_for(&lock->lock, timeout), 1);
}

int thrum_shared_rlock_try_acquire(thrum_shared_rlock *lock) {
  if (holds(lock)) return deeper(lock);
  return entered(lock, thrum_shared_lock_try_acquire(&lock->lock), 1);
}

bool thrumi_shared_rlock_is_mine(thrum_shared_rlock *lock) { return holds(lock); }

int thrumi_shared_rlock_let_go(thrum_shared_rlock *lock, uint32_t *depth) {
  if (!holds(lock)) return -EPERM;
  *depth = lock->depth;
  lock->depth = 0;
  thrumi_store(owner_of(lock), 0u);
  thrumi_store_relaxed(thread_of(lock), 0);
  return thrum_shared_lock_release(&lock->lock);
}

int thrumi_shared_rlock_take_again(thrum_shared_rlock *lock, uint32_t depth) {
  return entered(lock, thrum_shared_lock_acquire(&lock->lock), depth);
}

int thrum_shared_rlock_release(thrum_shared_rlock *lock) {
  uint32_t depth;
  if (!holds(lock)) return -EPERM;
  if (--lock->depth > 0) return 0;
  return thrumi_shared_rlock_let_go(lock, &depth);
}

int thrum_shared_rlock_recover(thrum_shared_rlock *lock) {
  return holds(lock) ? thrum_shared_lock_recover(&lock->lock) : -EPERM;
}
