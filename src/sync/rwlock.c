/* thrum_rwlock: 64 bits, and its waiters in two queues of the parking table: writers wait at the word's address, readers at
 * that of its upper half. docs/design/rwlock.md has the bound on waiting with its proof, and what was rejected.
 *
 * The word:
 *
 *   bits    name     meaning                                   set by                       cleared by
 *   0       WRITER   a writer holds it                         who takes it, or hands over  its release or downgrade
 *   1       WRITERS  writers may be queued: while readers      who queues, in the buckets   a release that leaves none, who
 *                    hold it, new ones queue too                                            gave up, a reader that queues
 *   2       READERS  readers may be queued                     who queues, in the buckets   as WRITERS
 *   3-31    count    of readers; 0 if WRITER                   readers, who lets them in    readers
 *   32-63   mark     of the writer; 0 if and only if not       as WRITER                    as WRITER
 *                    WRITER, so also while readers hold it
 *
 * "In the buckets": under the locks of both queues' buckets. The two flags change there alone. All else may change outside:
 *
 *  - A reader comes if neither WRITER is set nor WRITERS beside a count.
 *  - A reader leaves if it is not the last, or there is no flag: the last one that sees a flag passes the lock on, in
 *    the buckets.
 *  - A writer comes if there is neither WRITER nor a count, whatever the flags, and leaves if there is no flag.
 *
 * Invariants, whenever nobody is in the buckets:
 *
 *  - A reader is queued: READERS is set, and the lock is held: by a writer, or by readers with WRITERS set.
 *  - A writer is queued: WRITERS is set, and the lock is held, or a writer was woken to try and has not tried since.
 *  - The mark is exact. Nobody but a writer writes its mark, except who hands the lock to it.
 *
 * Passing on. Who releases keeps what he holds until the next has it, so that nobody comes in between. A writer with readers
 * queued becomes a reader first, lets in all that have queued by then, and leaves as readers do. The last reader hands the
 * lock to the first writer. Only from writer to writer, with no reader queued, is the lock set free and the first one woken to
 * try, which is faster; one that has waited for a millisecond gets it handed over. A hand-over first makes the word the
 * waiter's and then lets it go; if its time has run out in between, who hands over holds the lock in its stead, and goes
 * on from there.
 *
 * Who gives up may have been what others waited for. It looks, in the buckets: if no writer is queued any more and readers
 * hold the lock, the readers that are queued come in.
 *
 * Order. Taking acquires and releasing releases, readers too: who writes sees all that readers did before. */
#include <sync/lock.h>

#include <core/fatal.h>
#include <sched/object.h>
#include <sched/self.h>
#include <thrum/time.h>

enum {
  WRITER = THRUMI_RWLOCK_WRITER,
  WRITERS = THRUMI_RWLOCK_WRITERS,
  READERS = THRUMI_RWLOCK_READERS,
  FLAGS = WRITERS | READERS,
  ONE = THRUMI_RWLOCK_ONE,
  BATCH = 32, /* of readers let in under one lock of the buckets */
};
#define COUNT THRUMI_RWLOCK_COUNT
#define TOO_MANY (UINT64_C(1) << 31)
#define FAIR_AFTER THRUM_MS(1)

typedef _Atomic uint64_t rwlock_word;

/* The gift to who waits. Readers always get the second. */
enum gift { TRY, HANDED_OVER };

struct rw_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  thrum_rwlock *lock;
  int64_t since;                 /* when it queued for the first time; 0: it has not */
  bool woken;                    /* let go to try, and has failed */
  struct thrumi_acquire acquire; /* for who watches */
};

enum { OF_WRITERS, OF_READERS };

static rwlock_word *word_of(thrum_rwlock *lock) { return (rwlock_word *)&lock->word; }

static const void *readers_at(const thrum_rwlock *lock) { return (const char *)lock + 4; }

static struct thrumi_buckets lock_buckets(const thrum_rwlock *lock) {
  return thrumi_buckets_lock(lock, readers_at(lock));
}

static struct rw_wait *first_writer(struct thrumi_buckets b, const thrum_rwlock *lock) {
  return (struct rw_wait *)thrumi_bucket_first(b.of[OF_WRITERS], lock);
}

static struct rw_wait *first_reader(struct thrumi_buckets b, const thrum_rwlock *lock) {
  return (struct rw_wait *)thrumi_bucket_first(b.of[OF_READERS], readers_at(lock));
}

static uint64_t written_by(const struct thrumi_thread *t) {
  return (uint64_t)thrumi_mark_of(t) << 32 | WRITER;
}

static bool is_mine(uint64_t word, const struct thrumi_thread *me) {
  return (word & ~FLAGS) == written_by(me);
}

static bool bars_reader(uint64_t word) { return word & WRITER || (word & COUNT && word & WRITERS); }

static bool bars_writer(uint64_t word) { return word & (WRITER | COUNT); }

/* ---- Taking it ------------------------------------------------------------------------------------------------------ */

static bool take_read(thrum_rwlock *lock, uint64_t *seen) {
  while (!bars_reader(*seen)) {
    if (*seen & TOO_MANY)
      thrumi_fatal("thread %s is one reader too many of rwlock %s", thrum_current_name(),
                   THRUMI_NAME_OF(lock));
    if (thrumi_cas(word_of(lock), seen, *seen + ONE)) return true;
  }
  return false;
}

static bool take_write(thrum_rwlock *lock, uint64_t *seen) {
  const struct thrumi_thread *me = thrumi_self()->current;
  while (!bars_writer(*seen))
    if (thrumi_cas(word_of(lock), seen, (*seen & FLAGS) | written_by(me))) return true;
  return false;
}

enum { SPINS = 6, PAUSES = 16 };

/* Looks seldom: each look takes the word's cache line from the writer. */
static uint64_t spin(thrum_rwlock *lock, uint64_t seen) {
  const struct thrumi_thread *me = thrumi_self()->current;
  for (int n = 0; n < SPINS && seen & WRITER && !(seen & FLAGS) && thrumi_holder_runs(seen, me); n++) {
    for (int i = PAUSES << n; i; i--) thrumi_pause();
    seen = thrumi_load_relaxed(word_of(lock));
  }
  return seen;
}

/* In the buckets: no flag stays of a queue that is empty. */
static void drop_stale_flags(struct thrumi_buckets b, thrum_rwlock *lock) {
  uint64_t stale = (first_writer(b, lock) ? 0 : WRITERS) | (first_reader(b, lock) ? 0 : READERS);
  if (thrumi_load_relaxed(word_of(lock)) & stale) thrumi_and(word_of(lock), ~stale);
}

/* Queues if the lock is still not to be had; a writer that was woken before, at the head. False: it may be. */
static bool enqueue(struct rw_wait *wait, int side, int flags) {
  thrum_rwlock *lock = wait->lock;
  bool writes = side == OF_WRITERS;
  struct thrumi_buckets b = lock_buckets(lock);
  drop_stale_flags(b, lock);
  uint64_t seen = thrumi_load(word_of(lock));
  bool barred;
  while ((barred = writes ? bars_writer(seen) : bars_reader(seen)) &&
         !thrumi_cas(word_of(lock), &seen, seen | (writes ? WRITERS : READERS))) {
  }
  if (barred) {
    if (!wait->since) wait->since = thrumi_os.now();
    thrumi_enqueue(b.of[side], &wait->waiter, writes ? lock : readers_at(lock),
                   writes ? "an rwlock to write" : "an rwlock to read", lock,
                   flags | THRUMI_HELD | THRUMI_OWNED | (wait->woken ? THRUMI_AT_FRONT : 0));
  }
  thrumi_buckets_unlock(b);
  return barred;
}

static void gave_up(thrum_rwlock *lock);

/* One round. 0: it is ours. -EAGAIN: once more. */
static int try_and_wait(struct rw_wait *wait, int side, int64_t deadline, int flags) {
  thrum_rwlock *lock = wait->lock;
  uint64_t seen = spin(lock, thrumi_load(word_of(lock)));
  if (side == OF_WRITERS ? take_write(lock, &seen) : take_read(lock, &seen)) return 0;
  thrumi_acquire_waits(&wait->acquire);
  if (!enqueue(wait, side, flags)) return -EAGAIN;
  int error = thrumi_wait_error(thrumi_await_queued(&wait->waiter, deadline));
  if (error) {
    gave_up(lock);
    return error;
  }
  if (wait->waiter.gift == HANDED_OVER) return 0;
  wait->woken = true;
  return -EAGAIN;
}

static struct thrumi_acquire watched(thrum_rwlock *lock, int side, void *site,
                                     enum thrumi_patience patience) {
  return thrumi_acquire(lock, side == OF_WRITERS ? THRUMI_HOLD_WRITE : THRUMI_HOLD_READ, site, patience);
}

static int acquire(thrum_rwlock *lock, int side, int64_t deadline, int flags, void *site) {
  enum thrumi_patience patience = deadline == INT64_MAX ? THRUMI_MAY_WAIT : THRUMI_TRIES;
  struct rw_wait wait = {.lock = lock, .acquire = watched(lock, side, site, patience)};
  int error;
  thrumi_acquire_begins(&wait.acquire);
  thrumi_enter();
  do error = try_and_wait(&wait, side, deadline, flags);
  while (error == -EAGAIN);
  if (!error) {
    thrumi_rely_on(lock);
    thrumi_acquire_ends(&wait.acquire);
  }
  thrumi_leave(thrumi_self());
  return error;
}

static int try_acquire(thrum_rwlock *lock, int side, void *site) {
  struct thrumi_acquire a = watched(lock, side, site, THRUMI_TRIES);
  thrumi_acquire_begins(&a);
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t seen = thrumi_load(word_of(lock));
  bool taken = side == OF_WRITERS ? take_write(lock, &seen) : take_read(lock, &seen);
  if (taken) {
    thrumi_rely_on(lock);
    thrumi_acquire_ends(&a);
  }
  thrumi_leave(k);
  return taken ? 0 : -EAGAIN;
}

static int acquire_for(thrum_rwlock *lock, int side, thrum_duration timeout, void *site) {
  if (timeout <= 0) return try_acquire(lock, side, site) ? thrumi_poll_failed() : 0;
  return acquire(lock, side, thrum_after(timeout), THRUMI_CANCELLABLE, site);
}

void thrumi_rwlock_read_slow(thrum_rwlock *lock) {
  acquire(lock, OF_READERS, INT64_MAX, 0, __builtin_return_address(0));
}
void thrumi_rwlock_write_slow(thrum_rwlock *lock) {
  acquire(lock, OF_WRITERS, INT64_MAX, 0, __builtin_return_address(0));
}
int thrumi_rwlock_try_read_slow(thrum_rwlock *lock) {
  return try_acquire(lock, OF_READERS, __builtin_return_address(0));
}
int thrumi_rwlock_try_write_slow(thrum_rwlock *lock) {
  return try_acquire(lock, OF_WRITERS, __builtin_return_address(0));
}
int thrumi_rwlock_read_for_slow(thrum_rwlock *lock, thrum_duration timeout) {
  return acquire_for(lock, OF_READERS, timeout, __builtin_return_address(0));
}
int thrumi_rwlock_write_for_slow(thrum_rwlock *lock, thrum_duration timeout) {
  return acquire_for(lock, OF_WRITERS, timeout, __builtin_return_address(0));
}

/* ---- Passing it on, in the buckets ---------------------------------------------------------------------------------- */

static uint64_t flags_now(struct thrumi_buckets b, const thrum_rwlock *lock) {
  return (first_writer(b, lock) ? WRITERS : 0) | (first_reader(b, lock) ? READERS : 0);
}

/* The flags once the first writer is queued no longer. */
static uint64_t flags_without(const struct rw_wait *writer, struct thrumi_buckets b,
                              const thrum_rwlock *lock) {
  return (writer->waiter.next ? WRITERS : 0) | (first_reader(b, lock) ? READERS : 0);
}

/* The caller holds it as a reader: lets in those that have queued so far. The buckets are unlocked now and then. */
static void let_readers_in(struct thrumi_buckets b, thrum_rwlock *lock) {
  int64_t start = thrumi_os.now();
  struct rw_wait *r;
  for (int n = 1; (r = first_reader(b, lock)) && r->since <= start; n++) {
    thrumi_add(word_of(lock), (uint64_t)ONE);
    if (!thrumi_let_go(b.of[OF_READERS], &r->waiter, HANDED_OVER)) thrumi_add(word_of(lock), -(uint64_t)ONE);
    if (n % BATCH != 0) continue;
    thrumi_buckets_unlock(b);
    lock_buckets(lock);
  }
  drop_stale_flags(b, lock);
}

/* The word being *seen, the lock becomes the first writer's that still waits. False: the word has changed, or none does and the
 * caller holds it as a writer. */
static bool hand_over(struct thrumi_buckets b, thrum_rwlock *lock, uint64_t seen) {
  for (struct rw_wait *w; (w = first_writer(b, lock));) {
    uint64_t theirs = written_by(w->waiter.thread) | flags_without(w, b, lock);
    if (!thrumi_cas(word_of(lock), &seen, theirs)) return false;
    if (thrumi_let_go(b.of[OF_WRITERS], &w->waiter, HANDED_OVER)) return true;
    seen = theirs;
  }
  return false;
}

/* From the writer, with no reader queued: sets it free, and wakes the first writer that still waits. Once the word has no flag the
 * next one may free the lock itself, so it is not looked at after that. */
static void wake_writer(struct thrumi_buckets b, thrum_rwlock *lock) {
  struct rw_wait *w = first_writer(b, lock);
  thrumi_store(word_of(lock), flags_without(w, b, lock));
  while (!thrumi_let_go(b.of[OF_WRITERS], &w->waiter, TRY)) {
    w = first_writer(b, lock);
    if (!w) return;
    if (!w->waiter.next) thrumi_and(word_of(lock), ~(uint64_t)WRITERS);
  }
}

/* The writer leaves. False: it has become a reader, and has yet to leave. */
static bool writer_leaves(struct thrumi_buckets b, thrum_rwlock *lock, uint64_t seen) {
  struct rw_wait *w = first_writer(b, lock);
  if (first_reader(b, lock)) {
    thrumi_store(word_of(lock), ONE | flags_now(b, lock));
    let_readers_in(b, lock);
    return false;
  }
  if (w && thrumi_os.now() - w->since >= FAIR_AFTER) return hand_over(b, lock, seen);
  if (w)
    wake_writer(b, lock);
  else
    thrumi_store(word_of(lock), 0);
  return true;
}

/* A reader leaves. False: the word has changed, or the last one has let in others, and has yet to leave. */
static bool reader_leaves(struct thrumi_buckets b, thrum_rwlock *lock, uint64_t seen) {
  if ((seen & COUNT) > ONE) return thrumi_cas(word_of(lock), &seen, seen - ONE);
  if (first_writer(b, lock)) return hand_over(b, lock, seen);
  if (!first_reader(b, lock)) return thrumi_cas(word_of(lock), &seen, 0);
  let_readers_in(b, lock);
  return false;
}

/* The caller holds it, either way, and holds it no more afterwards. While WRITER is set nobody else changes the word. */
static void leave(struct thrumi_buckets b, thrum_rwlock *lock) {
  for (bool left = false; !left;) {
    uint64_t seen = thrumi_load(word_of(lock));
    left = seen & WRITER ? writer_leaves(b, lock, seen) : reader_leaves(b, lock, seen);
  }
}

/* Who was queued has taken itself out. */
static void gave_up(thrum_rwlock *lock) {
  struct thrumi_buckets b = lock_buckets(lock);
  drop_stale_flags(b, lock);
  uint64_t seen = thrumi_load(word_of(lock));
  bool in = false;
  while (!in && first_reader(b, lock) && !bars_reader(seen))
    in = thrumi_cas(word_of(lock), &seen, seen + ONE);
  if (in) {
    let_readers_in(b, lock);
    leave(b, lock);
  }
  thrumi_buckets_unlock(b);
}

/* ---- Releasing ------------------------------------------------------------------------------------------------------ */

/* The last reader that sees a flag leaves in the buckets. */
static int leave_as_last(thrum_rwlock *lock) {
  struct thrumi_buckets b = lock_buckets(lock);
  bool held = thrumi_load(word_of(lock)) & COUNT;
  if (held) leave(b, lock);
  thrumi_buckets_unlock(b);
  return held ? 0 : -EPERM;
}

static int release_read(thrum_rwlock *lock, const struct thrumi_thread *me) {
  uint64_t seen = thrumi_load(word_of(lock));
  if (seen & COUNT) thrumi_release_ends(lock, thrumi_mark_of(me));
  while (seen & COUNT) {
    if ((seen & COUNT) == ONE && seen & FLAGS) return leave_as_last(lock);
    if (thrumi_cas(word_of(lock), &seen, seen - ONE)) return 0;
  }
  return -EPERM;
}

int thrumi_rwlock_release_read_slow(thrum_rwlock *lock) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_announce(lock);
  int error = release_read(lock, k->current);
  thrumi_leave(k);
  return error;
}

static int release_write(thrum_rwlock *lock, const struct thrumi_thread *me) {
  uint64_t seen = thrumi_load(word_of(lock));
  if (!is_mine(seen, me)) return -EPERM;
  thrumi_release_ends(lock, thrumi_mark_of(me));
  thrumi_announce(lock);
  while (!(seen & FLAGS))
    if (thrumi_cas(word_of(lock), &seen, 0)) return 0;
  struct thrumi_buckets b = lock_buckets(lock);
  leave(b, lock);
  thrumi_buckets_unlock(b);
  return 0;
}

int thrumi_rwlock_release_write_slow(thrum_rwlock *lock) {
  struct thrumi_kthread *k = thrumi_enter();
  int error = release_write(lock, k->current);
  thrumi_leave(k);
  return error;
}

/* ---- From one to the other ------------------------------------------------------------------------------------------ */

static int downgrade(thrum_rwlock *lock, const struct thrumi_thread *me) {
  uint64_t seen = thrumi_load(word_of(lock));
  if (!is_mine(seen, me)) return -EPERM;
  thrumi_announce(lock);
  while (!(seen & READERS))
    if (thrumi_cas(word_of(lock), &seen, (seen & FLAGS) | ONE)) return 0;
  struct thrumi_buckets b = lock_buckets(lock);
  thrumi_store(word_of(lock), ONE | flags_now(b, lock));
  let_readers_in(b, lock);
  thrumi_buckets_unlock(b);
  return 0;
}

/* Who watches is told of a release and a try, here and below. */
int thrum_rwlock_downgrade(thrum_rwlock *lock) {
  struct thrumi_acquire a = watched(lock, OF_READERS, __builtin_return_address(0), THRUMI_TRIES);
  struct thrumi_kthread *k = thrumi_enter();
  int error = downgrade(lock, k->current);
  if (!error) {
    thrumi_release_ends(lock, thrumi_mark_of(k->current));
    thrumi_acquire_ends(&a);
  }
  thrumi_leave(k);
  return error;
}

int thrum_rwlock_try_upgrade(thrum_rwlock *lock) {
  struct thrumi_acquire a = watched(lock, OF_WRITERS, __builtin_return_address(0), THRUMI_TRIES);
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t only_reader = ONE;
  bool upgraded = thrumi_cas(word_of(lock), &only_reader, written_by(k->current));
  if (upgraded) {
    thrumi_rely_on(lock);
    thrumi_release_ends(lock, thrumi_mark_of(k->current));
    thrumi_acquire_ends(&a);
  }
  thrumi_leave(k);
  if (upgraded) return 0;
  return only_reader & COUNT ? -EAGAIN : -EPERM;
}

int thrum_rwlock_destroy(thrum_rwlock *lock) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_buckets b = lock_buckets(lock);
  bool waited_for = first_writer(b, lock) || first_reader(b, lock);
  thrumi_buckets_unlock(b);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(lock);
  return waited_for ? -EBUSY : 0;
}
