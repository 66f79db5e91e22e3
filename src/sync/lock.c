/* thrum_lock: 64 bits, and its waiters in the parking table. docs/design/locks.md says why it is so.
 *
 * The word:
 *
 *   bits    name     meaning                                     set by                        cleared by
 *   0       HELD     somebody holds it                           who takes it, or hands over   release
 *   2       FAIR     a thread has waited for long: the next      a woken waiter that failed,   a release that finds
 *                    release hands the lock over                 in its bucket                 nobody waiting for long
 *   3       WAITERS  threads may be queued                       who queues, in the bucket     a release that finds none
 *   8-31    WOKEN    a woken waiter has not tried yet            release, in the bucket        that waiter
 *   32-63   mark     of the holder; 0 if and only if not HELD    as HELD                       as HELD
 *
 * "In the bucket": under the lock of the parking table's bucket. The bits and WOKEN are those of Go's sync.Mutex and of
 * nsync; what follows is ours.
 *
 *  - A thread is queued: WAITERS is set, or somebody is in the bucket. WAITERS may be set although nobody is queued, since
 *    who timed out leaves it; the next release that has nobody to wake then looks, and clears it.
 *  - Queueing needs HELD (or, by a notify, WOKEN), in one step with setting WAITERS: so there is a release to come that
 *    sees it.
 *  - WOKEN is set: one thread was let go with THRUMI_TRY and has not tried since, or a release is in the bucket
 *    looking for one. Releases meanwhile wake nobody. That thread takes the lock or queues again at the head, and clears
 *    WOKEN in the same step.
 *  - FAIR is set: WAITERS is, and WOKEN is not; the lock is not free: who releases it makes the first waiter the holder
 *    before it lets it go.
 *  - WOKEN is a number, one more than that of forks so far: in the child of a fork, where the woken thread is not, an
 *    older number counts as none.
 *  - The mark is exact, and the word of a lock that is not waited for tells who holds it. The holder alone knows that it
 *    is itself: nobody else writes its mark, and it does not change while it holds the lock, unless somebody else
 *    releases it.
 *
 * Order. Taking acquires and releasing releases; a lock that is handed over goes from thread to thread by the wait word. */
#include <sync/lock.h>

#include <core/fatal.h>
#include <sched/cycle.h>
#include <sched/object.h>
#include <sched/self.h>
#include <sched/step.h>
#include <thrum/time.h>

enum { HELD = THRUMI_LOCK_HELD, FAIR = 4, WAITERS = 8, WOKEN_SHIFT = 8, MARK_SHIFT = 32 };
#define WOKEN UINT64_C(0xffffff00)
#define FAIR_AFTER THRUM_MS(1)

typedef _Atomic uint64_t lock_word;

static lock_word *word_of(thrum_lock *lock) { return (lock_word *)&lock->word; }

static uint64_t marked(const struct thrumi_thread *t) { return (uint64_t)thrumi_mark_of(t) << MARK_SHIFT; }

/* WOKEN as it is set in this process. */
static uint64_t woken_now(void) { return ((uint64_t)thrumi_forks + 1) << WOKEN_SHIFT & WOKEN; }

static bool has_woken(uint64_t word) { return (word & WOKEN) == woken_now(); }

/* ---- Acquiring ------------------------------------------------------------------------------------------------------ */

/* Takes the lock if it is free; otherwise *seen has the word. */
static bool take(thrum_lock *lock, const struct thrumi_thread *me, bool woken, uint64_t *seen) {
  while (!(*seen & HELD)) {
    uint64_t mine = (*seen & (woken ? WAITERS : WAITERS | WOKEN)) | HELD | marked(me);
    if (thrumi_cas(word_of(lock), seen, mine)) return true;
  }
  return false;
}

bool thrumi_holder_runs(uint64_t word, const struct thrumi_thread *me) {
  uint32_t mark = (uint32_t)(word >> MARK_SHIFT);
  struct thrumi_thread *holder = thrumi_record((uint32_t)THRUMI_FLAGS(mark));
  return holder && holder != me && thrumi_mark_of(holder) == mark &&
         thrumi_load_relaxed(&holder->state) == THRUMI_RUNNING;
}

enum { SPINS = 4, PAUSES = 64 };

static bool worth_spinning(uint64_t word) { return (word & HELD) && !(word & FAIR); }

/* Looks seldom: each look takes the word's cache line from the holder, who has time for many holds in between. */
static uint64_t spin(const struct thrumi_lock_wait *wait, const struct thrumi_thread *me, uint64_t seen) {
  for (int n = 0; n < SPINS && worth_spinning(seen) && thrumi_holder_runs(seen, me); n++) {
    for (int i = PAUSES << n; i; i--) thrumi_pause();
    seen = thrumi_load_relaxed(word_of(wait->lock));
  }
  return seen;
}

/* For reports. */
static const char *what(const struct thrumi_lock_wait *wait) {
  return wait->acquire.hold == THRUMI_HOLD_RLOCK ? "an rlock" : "a lock";
}
static int how(const struct thrumi_lock_wait *wait) {
  return wait->acquire.hold == THRUMI_HOLD_RLOCK ? THRUMI_HELD | THRUMI_OWNED : THRUMI_HELD;
}

/* Takes the lock, or queues: at the head if it was woken before. True: taken. */
static bool take_or_queue(struct thrumi_lock_wait *wait, const struct thrumi_thread *me, int flags) {
  thrum_lock *lock = wait->lock;
  int64_t now = thrumi_os.now();
  if (!wait->since) wait->since = now;
  uint64_t fair = wait->woken && now - wait->since >= FAIR_AFTER ? FAIR : 0;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(lock);
  uint64_t seen = thrumi_load(word_of(lock)), queued;
  bool taken;
  do {
    taken = take(lock, me, wait->woken, &seen);
    queued = (wait->woken ? seen & ~WOKEN : seen) | WAITERS | fair;
  } while (!taken && !thrumi_cas(word_of(lock), &seen, queued));
  if (!taken)
    thrumi_enqueue(bucket, &wait->waiter, lock, what(wait), lock,
                   flags | how(wait) | (wait->woken ? THRUMI_AT_FRONT : 0));
  thrumi_bucket_unlock(bucket);
  return taken;
}

/* Who is to set FAIR if it fails: until it does, releases help nobody, so it does not spin before. */
static bool is_impatient(const struct thrumi_lock_wait *wait) {
  return wait->woken && thrumi_os.now() - wait->since >= FAIR_AFTER;
}

/* One round. 0: it is ours. -EAGAIN: woken, so once more. */
static int try_and_wait(struct thrumi_lock_wait *wait, int64_t deadline, int flags) {
  struct thrumi_thread *me = thrumi_self()->current;
  uint64_t seen = thrumi_load(word_of(wait->lock));
  if ((seen & HELD) && !is_impatient(wait)) seen = spin(wait, me, seen);
  if (take(wait->lock, me, wait->woken, &seen)) return 0;
  thrumi_acquire_waits(&wait->acquire);
  if (take_or_queue(wait, me, flags)) return 0;
  int error = thrumi_wait_error(thrumi_await_queued(&wait->waiter, deadline));
  if (error || wait->waiter.gift == THRUMI_HANDED_OVER) return error;
  wait->woken = true;
  return -EAGAIN;
}

int thrumi_lock_acquire(struct thrumi_lock_wait *wait, int64_t deadline, int flags) {
  int error;
  do error = try_and_wait(wait, deadline, flags);
  while (error == -EAGAIN);
  if (error) return error;
  thrumi_rely_on(wait->lock);
  thrumi_acquire_ends(&wait->acquire);
  return 0;
}

void thrumi_lock_go_on(struct thrumi_lock_wait *wait) {
  wait->woken = wait->waiter.gift == THRUMI_TRY;
  if (thrumi_is_told()) wait->acquire.since = wait->since;
  if (wait->woken) {
    thrumi_lock_acquire(wait, INT64_MAX, 0);
    return;
  }
  thrumi_rely_on(wait->lock);
  thrumi_acquire_ends(&wait->acquire);
}

static void acquire(thrum_lock *lock, enum thrumi_hold hold, void *site) {
  struct thrumi_lock_wait wait = thrumi_lock_wait(lock, hold, site, THRUMI_MAY_WAIT);
  thrumi_acquire_begins(&wait.acquire);
  thrumi_enter();
  thrumi_lock_acquire(&wait, INT64_MAX, 0);
  thrumi_leave(thrumi_self());
}

static int try_acquire(thrum_lock *lock, enum thrumi_hold hold, void *site) {
  struct thrumi_acquire a = thrumi_acquire(lock, hold, site, THRUMI_TRIES);
  thrumi_acquire_begins(&a);
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t seen = thrumi_load(word_of(lock));
  bool taken = take(lock, k->current, false, &seen);
  if (taken) {
    thrumi_rely_on(lock);
    thrumi_acquire_ends(&a);
  }
  thrumi_leave(k);
  return taken ? 0 : -EAGAIN;
}

static int acquire_for(thrum_lock *lock, thrum_duration timeout, enum thrumi_hold hold, void *site) {
  if (timeout <= 0) return try_acquire(lock, hold, site) ? thrumi_poll_failed() : 0;
  enum thrumi_patience patience = timeout == THRUM_FOREVER ? THRUMI_MAY_WAIT : THRUMI_TRIES;
  struct thrumi_lock_wait wait = thrumi_lock_wait(lock, hold, site, patience);
  thrumi_acquire_begins(&wait.acquire);
  thrumi_enter();
  int error = thrumi_lock_acquire(&wait, thrum_after(timeout), THRUMI_CANCELLABLE);
  thrumi_leave(thrumi_self());
  return error;
}

void thrumi_lock_acquire_slow(thrum_lock *lock) {
  acquire(lock, THRUMI_HOLD_LOCK, __builtin_return_address(0));
}
int thrumi_lock_try_slow(thrum_lock *lock) {
  return try_acquire(lock, THRUMI_HOLD_LOCK, __builtin_return_address(0));
}
int thrumi_lock_for_slow(thrum_lock *lock, thrum_duration timeout) {
  return acquire_for(lock, timeout, THRUMI_HOLD_LOCK, __builtin_return_address(0));
}
void thrumi_rlock_acquire_slow(thrum_rlock *lock) {
  acquire(&lock->lock, THRUMI_HOLD_RLOCK, __builtin_return_address(0));
}
int thrumi_rlock_try_slow(thrum_rlock *lock) {
  return try_acquire(&lock->lock, THRUMI_HOLD_RLOCK, __builtin_return_address(0));
}
int thrumi_rlock_for_slow(thrum_rlock *lock, thrum_duration timeout) {
  return acquire_for(&lock->lock, timeout, THRUMI_HOLD_RLOCK, __builtin_return_address(0));
}

/* ---- Releasing ------------------------------------------------------------------------------------------------------ */

static bool must_look(uint64_t word) { return word & FAIR || (word & WAITERS && !has_woken(word)); }

/* The flags of the word once the first waiter holds the lock. */
static uint64_t flags_behind(const struct thrumi_waiter *first) {
  const struct thrumi_lock_wait *second = (const struct thrumi_lock_wait *)first->next;
  if (!second) return 0;
  return thrumi_os.now() - second->since >= FAIR_AFTER ? WAITERS | FAIR : WAITERS;
}

/* In the bucket, the word being *seen: hands the lock to the first waiter that still waits. False: the word has changed, or
 * nobody waits, with *seen as it is. */
static bool hand_over(thrum_lock *lock, struct thrumi_bucket *bucket, uint64_t *seen) {
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, lock));) {
    uint64_t theirs = marked(w->thread) | HELD | flags_behind(w);
    if (!thrumi_cas(word_of(lock), seen, theirs)) return false;
    uint64_t heir = thrumi_id_of(w->thread); /* which may have ended once it is let go */
    if (thrumi_let_go(bucket, w, THRUMI_HANDED_OVER)) {
      thrumi_step(HANDOFF, handoff, thrumi_running_on(thrumi_self()), heir, 0);
      return true;
    }
    *seen = theirs;
  }
  return false;
}

/* In the bucket, with the word as if the first waiter w had been woken already: wakes it, or the next one if its time has
 * run out. Who was let go may be done with the lock, and its memory something else, at once: so the word is right
 * before, and not touched after. Who was not still waits for the bucket, so the word is there. */
static void wake_one(thrum_lock *lock, struct thrumi_bucket *bucket, struct thrumi_waiter *w) {
  while (!thrumi_let_go(bucket, w, THRUMI_TRY)) {
    w = thrumi_bucket_first(bucket, lock);
    if (!w || !w->next) thrumi_and(word_of(lock), ~(w ? WAITERS : WAITERS | WOKEN));
    if (!w) return;
  }
}

/* In the bucket. -EAGAIN: the word has changed, *seen is what it is now. */
static int let_next(thrum_lock *lock, struct thrumi_bucket *bucket, uint64_t *seen) {
  struct thrumi_waiter *first = thrumi_bucket_first(bucket, lock);
  if (first && *seen & FAIR) return hand_over(lock, bucket, seen) ? 0 : -EAGAIN;
  uint64_t freed = first ? woken_now() | (first->next ? WAITERS : 0) : 0;
  if (!thrumi_cas(word_of(lock), seen, freed)) return -EAGAIN;
  if (first) wake_one(lock, bucket, first);
  return 0;
}

static int release_in_bucket(thrum_lock *lock) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(lock);
  uint64_t seen = thrumi_load(word_of(lock));
  int error = -EAGAIN;
  while (error == -EAGAIN) {
    if (!(seen & HELD))
      error = -EPERM;
    else if (must_look(seen))
      error = let_next(lock, bucket, &seen);
    else if (thrumi_cas(word_of(lock), &seen, seen & (WAITERS | WOKEN)))
      error = 0;
  }
  thrumi_bucket_unlock(bucket);
  return error;
}

int thrumi_lock_release(thrum_lock *lock) {
  uint64_t seen = thrumi_load(word_of(lock));
  if (seen & HELD) thrumi_release_ends(lock, (uint32_t)(seen >> MARK_SHIFT));
  while (seen & HELD) {
    thrumi_announce(lock);
    if (must_look(seen)) return release_in_bucket(lock);
    if (thrumi_cas(word_of(lock), &seen, seen & (WAITERS | WOKEN))) return 0;
  }
  return -EPERM;
}

/* Whether that was all: there is nobody to wake, and nobody watches. */
static bool release_only(thrum_lock *lock) {
  if (__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED)) return false;
  uint64_t seen = thrumi_load(word_of(lock));
  if (!(seen & HELD) || must_look(seen)) return false;
  thrumi_announce(lock);
  return thrumi_cas(word_of(lock), &seen, seen & (WAITERS | WOKEN));
}

int thrumi_lock_release_slow(thrum_lock *lock) {
  if (release_only(lock)) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  int error = thrumi_lock_release(lock);
  thrumi_leave(k);
  return error;
}

/* ---- For conditions, and the rest ----------------------------------------------------------------------------------- */

/* Queued for the lock, as if it had done so itself. */
static void queue_other(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait, uint32_t holder) {
  struct thrumi_thread *t = wait->waiter.thread;
  thrumi_store(&t->waits_for, NULL); /* waits.h: nobody may take half of the one for half of the other */
  atomic_thread_fence(memory_order_release);
  thrumi_store_relaxed(&t->waits_how,
                       (uint8_t)((thrumi_load_relaxed(&t->waits_how) & ~THRUMI_AT_FRONT) | how(wait)));
  thrumi_store_relaxed(&t->waits_on, wait->lock);
  thrumi_store_relaxed(&t->waits_at, wait->lock);
  thrumi_store(&t->waits_for, what(wait));
  wait->since = thrumi_os.now();
  thrumi_bucket_append(bucket, &wait->waiter, wait->lock);
  thrumi_cycle_moved(t, holder);
}

void thrumi_lock_pass_on(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait) {
  lock_word *word = word_of(wait->lock);
  uint64_t seen = thrumi_load(word), next;
  bool release_to_come;
  do {
    release_to_come = seen & HELD || has_woken(seen);
    next = release_to_come ? seen | WAITERS : woken_now();
  } while (!thrumi_cas(word, &seen, next));
  if (release_to_come)
    queue_other(bucket, wait, (uint32_t)(seen >> MARK_SHIFT));
  else if (!thrumi_let_go(bucket, &wait->waiter, THRUMI_TRY))
    thrumi_and(word, ~WOKEN);
}

int thrum_lock_destroy(thrum_lock *lock) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(lock);
  bool waited_for = thrumi_bucket_first(bucket, lock) || has_woken(thrumi_load(word_of(lock)));
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(lock);
  return waited_for ? -EBUSY : 0;
}

void thrumi_rlock_overflow(thrum_rlock *lock) {
  thrumi_fatal("thread %s has taken rlock %s too often", thrum_current_name(), THRUMI_NAME_OF(lock));
}

void thrumi_not_held(const char *what, const void *object) {
  thrumi_fatal("thread %s leaves a block that held %s %s, but nobody holds it", thrum_current_name(), what,
               THRUMI_NAME_OF(object));
}
