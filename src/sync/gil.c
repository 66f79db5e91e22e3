/* thrum_gil: the lock of an interpreter, which its holder hands over when it is asked. docs/design/gil.md says why it is so.
 *
 * The word:
 *
 *   bits    name     meaning                                   set by                          cleared by
 *   0       HELD     somebody holds it                         who takes it, or hands it over  release
 *   1       ASKED    the holder is to hand it over at its      a waiter, in the buckets; the   the end of the turn; the holder,
 *                    next check                                reminder                           which finds that it is too early
 *   2       WAITERS  threads may be queued                     who queues, in the buckets      the end of the turn; the holder
 *   3       HOG      the turn is a hog's                       who hands it over               the end of the turn
 *   32-63   mark     of the holder                             as HELD                         as HELD
 *
 * The word is 0 if and only if nobody holds it. A *turn* is the time from where a thread gets the gil until it releases it or
 * hands it over. "In the buckets": under both locks of the parking table, those of the two queues, one of hogs, one of the others.
 *
 *  - A thread is queued: WAITERS is set, or somebody is in the buckets. Queueing needs HELD, in one step with setting WAITERS.
 *  - While WAITERS is set only who is in the buckets changes the word, but for ASKED, which the reminder may set. So a turn that is
 *    waited for ends in the buckets, and the gil goes straight from thread to thread: nobody takes it in between.
 *  - ASKED is set: WAITERS is. It speaks of the turn that it was set in: a turn's end replaces the whole word.
 *  - Somebody is queued: the reminder is set, to the time at which the holder is to be asked (since + slice), or sooner: it looks
 *    at that time itself. Nobody is queued: it is not set, so the gil's memory may go.
 *  - Who hands over queues itself before anybody can find the buckets unlocked: so it gets the gil back only from one
 *    who has had it.
 *
 * Order. Taking acquires and releasing releases; what is handed over goes from thread to thread by the wait word. */
#include <check/observe.h>
#include <core/fatal.h>
#include <core/parking.h>
#include <sched/await.h>
#include <sched/object.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <thrum/gil.h>
#include <thrum/thread.h>
#include <thrum/time.h>

enum { HELD = THRUMI_GIL_HELD, ASKED = THRUMI_GIL_ASKED, WAITERS = 4, HOG = 8, MARK_SHIFT = 32 };

enum {
  BURST = 10,    /* so many times in a row a hog is asked early, GAP apart on average */
  HOG_SHARE = 9, /* for each interval that the hogs get at the least the others get so many */
  LOOKS = 6,     /* times that the wait for a holder which was asked is doubled, from LOOK on */
};
#define GAP THRUM_US(100)
#define LOOK THRUM_MS(1)

/* thrum_gil's words by their names. What is not atomic is changed in the buckets only. */
struct gil {
  _Atomic uint64_t word;
  _Atomic int64_t
      since; /* when the turn began, or a little before. The hogs are queued at this address, the others at word's */
  _Atomic int64_t slice;  /* for so long the holder is not asked */
  _Atomic uint32_t looks; /* how often the reminder has rung since the holder was asked */
  uint32_t forks;         /* thrumi_forks when it was last waited for */
  int64_t used;           /* HOG: of its interval, in turns that were cut short */
  int64_t debt;           /* how long hogs waited while others had it, less HOG_SHARE times what hogs had */
  int64_t early; /* when the hogs' next early question would be due if these came evenly; see may_ask_early */
  struct thrumi_reminder reminder;
  uint64_t owed; /* HOG: nobody asks before the interval is over */
};
_Static_assert(sizeof(struct gil) == sizeof(thrum_gil), "the same words");

struct gil_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  bool hog;
  int64_t used; /* a hog's, of its interval */
};

static struct gil *inner(thrum_gil *gil) { return (struct gil *)gil; }

static uint64_t mine(const struct thrumi_thread *t) {
  return (uint64_t)thrumi_mark_of(t) << MARK_SHIFT | HELD;
}

static bool is_mine(uint64_t word, const struct thrumi_thread *me) {
  return word && (uint32_t)(word >> MARK_SHIFT) == thrumi_mark_of(me);
}

static int64_t interval(void) { return thrumi_load_relaxed(&thrumi_sched.interval); }

/* ---- The two queues ------------------------------------------------------------------------------------------------- */

static struct thrumi_buckets lock_buckets(struct gil *gil) {
  struct thrumi_buckets buckets = thrumi_buckets_lock(&gil->word, &gil->since);
  if (thrumi_unlikely(gil->forks != thrumi_forks)) { /* the child's reminders and waiters are gone */
    gil->forks = thrumi_forks;
    gil->reminder.timeout.timer.prev = NULL;
  }
  return buckets;
}

static struct gil_wait *first_hog(struct thrumi_buckets b, const struct gil *gil) {
  return (struct gil_wait *)thrumi_bucket_first(b.of[1], &gil->since);
}

static struct gil_wait *first_other(struct thrumi_buckets b, const struct gil *gil) {
  return (struct gil_wait *)thrumi_bucket_first(b.of[0], &gil->word);
}

static bool somebody_waits(struct thrumi_buckets b, const struct gil *gil) {
  return first_other(b, gil) || first_hog(b, gil);
}

static void enqueue(struct thrumi_buckets b, struct gil *gil, struct gil_wait *wait, int flags) {
  if (wait->hog)
    thrumi_enqueue(b.of[1], &wait->waiter, &gil->since, "a gil", gil, flags | THRUMI_HELD);
  else
    thrumi_enqueue(b.of[0], &wait->waiter, &gil->word, "a gil", gil, flags | THRUMI_HELD);
}

/* ---- Asking the holder ---------------------------------------------------------------------------------------------- */

/* A holder that is asked must run to get to its check: it goes before the program's hogs. */
static void boost_holder(uint64_t word) {
  uint32_t mark = (uint32_t)(word >> MARK_SHIFT);
  struct thrumi_thread *holder = thrumi_record((uint32_t)THRUMI_FLAGS(mark));
  if (holder && thrumi_mark_of(holder) == mark) thrumi_boost(holder);
}

/* The reminder rings: asks the holder if its time has come, and looks after one that was asked, since it may have been
 * preempted afterwards. */
static int64_t ring(struct thrumi_reminder *reminder, int64_t now) {
  struct gil *gil = (struct gil *)((char *)reminder - offsetof(struct gil, reminder));
  if (!(thrumi_load(&gil->word) & WAITERS)) return INT64_MAX;
  int64_t when = thrumi_load_relaxed(&gil->since) + thrumi_load_relaxed(&gil->slice);
  if (when > now) return when;
  boost_holder(thrumi_or(&gil->word, (uint64_t)ASKED));
  uint32_t looks = thrumi_load_relaxed(&gil->looks);
  if (looks < LOOKS) thrumi_store_relaxed(&gil->looks, looks + 1);
  return now + (LOOK << looks);
}

/* Early questions come GAP apart on average, BURST at once if there were none for a while: `early` moves on by GAP with each,
 * and must not be BURST - 1 times as far ahead of the time. */
static int64_t may_ask_early(const struct gil *gil) { return gil->early - (BURST - 1) * GAP; }

/* When the holder, whose turn's word this is, is to be asked. In the buckets. */
static int64_t due(const struct gil *gil, struct thrumi_buckets b, uint64_t word, int64_t now) {
  int64_t since = thrumi_load_relaxed(&gil->since), end = since + interval();
  if (word & HOG) end -= gil->used;
  bool early = word & HOG ? !gil->owed : end <= now;
  return early && first_other(b, gil) && may_ask_early(gil) < end ? may_ask_early(gil) : end;
}

/* Somebody waits: asks the holder now, or sees to it that it is asked in time. In the buckets. */
static void arrange(struct gil *gil, struct thrumi_buckets b, uint64_t word, int64_t now) {
  int64_t when = due(gil, b, word, now);
  thrumi_store_relaxed(&gil->slice, when - thrumi_load_relaxed(&gil->since));
  thrumi_store_relaxed(&gil->looks, 0);
  if (when <= now && !(word & ASKED)) {
    thrumi_or(&gil->word, (uint64_t)ASKED);
    boost_holder(word);
  }
  gil->reminder.ring = ring;
  thrumi_reminder_set(&gil->reminder, when <= now ? now + LOOK : when);
}

/* ---- Handing over --------------------------------------------------------------------------------------------------- */

/* Who is next: threads that are no hogs, in their order, unless the hogs have got too little. */
static struct gil_wait *choose(const struct gil *gil, struct thrumi_buckets b, bool *owed) {
  struct gil_wait *hog = first_hog(b, gil), *other = first_other(b, gil);
  *owed = hog && gil->debt >= HOG_SHARE * interval();
  return *owed || !other ? hog : other;
}

/* The turn that is to begin is this waiter's. Returns its word. */
static uint64_t prepare(struct gil *gil, const struct gil_wait *next, bool owed, bool others, int64_t now) {
  thrumi_store_relaxed(&gil->since, now);
  if (next->hog) {
    gil->owed = owed;
    gil->used = owed ? 0 : next->used;
    if (owed) gil->debt = 0;
  }
  return mine(next->waiter.thread) | (next->hog ? HOG : 0) | (others ? WAITERS : 0);
}

/* In the buckets, the caller holding it: it becomes the next one's. False: nobody waits, and the word is `otherwise`. The
 * caller will queue (`stays`) or not; if not, and nobody else is queued, it must not touch the gil afterwards. */
static bool hand_over(struct gil *gil, struct thrumi_buckets b, bool stays, uint64_t otherwise, int64_t now) {
  bool owed;
  for (struct gil_wait *next; (next = choose(gil, b, &owed));) {
    struct thrumi_bucket *bucket = b.of[next->hog];
    bool others = stays || next->waiter.next || (next->hog ? first_other(b, gil) : first_hog(b, gil));
    uint64_t word = prepare(gil, next, owed, others, now);
    if (!others) thrumi_reminder_stop(&gil->reminder);
    thrumi_swap(&gil->word, word);
    if (!thrumi_let_go(bucket, &next->waiter, 0)) continue;
    if (others) arrange(gil, b, word, now);
    return true;
  }
  thrumi_reminder_stop(&gil->reminder);
  thrumi_swap(&gil->word, otherwise);
  return false;
}

/* A turn ends that others waited for: what hogs have got and what they are owed. In the buckets. Returns what the holder has
 * used of its interval. */
static int64_t settle(struct gil *gil, struct thrumi_buckets b, uint64_t word, int64_t now) {
  int64_t held = now - thrumi_load_relaxed(&gil->since);
  if (word & HOG)
    gil->debt = gil->debt > HOG_SHARE * held ? gil->debt - HOG_SHARE * held : 0;
  else if (first_hog(b, gil))
    gil->debt += held;
  return word & HOG ? gil->used + held : held;
}

/* ---- Acquiring ------------------------------------------------------------------------------------------------------ */

/* Not by core/atomic.h: no choice of who holds it hangs on this, and the models would grow eightfold. */
void thrumi_gil_begin(thrum_gil *gil) {
  atomic_store_explicit(&inner(gil)->since, thrumi_os.now(), memory_order_relaxed);
}

static void begin(struct gil *gil) {
  thrumi_store_relaxed(&gil->since, thrumi_os.now());
  thrumi_rely_on(gil);
}

/* False: it is free. */
static bool queue_up(struct gil *gil, struct gil_wait *wait, int flags) {
  struct thrumi_buckets b = lock_buckets(gil);
  uint64_t seen = thrumi_load(&gil->word);
  while (seen && !thrumi_cas(&gil->word, &seen, seen | WAITERS)) {
  }
  if (seen) {
    enqueue(b, gil, wait, flags);
    arrange(gil, b, seen | WAITERS, thrumi_os.now());
  }
  thrumi_buckets_unlock(b);
  return seen;
}

/* Ran out of time, or was cancelled. */
static void give_up(struct gil *gil) {
  struct thrumi_buckets b = lock_buckets(gil);
  if (!somebody_waits(b, gil)) thrumi_reminder_stop(&gil->reminder);
  thrumi_buckets_unlock(b);
}

/* A thread that has just used a wanted gil for too long is a hog, even if it released it by itself in the end. (A new thread may
 * find this of one that had its record less than an interval ago: it stands behind once.) */
static bool comes_as_hog(const struct thrumi_thread *me) {
  return me->overran && thrumi_os.now() - me->overran < interval();
}

/* 0, -ETIMEDOUT, with THRUMI_CANCELLABLE -ECANCELED, or -EDEADLK: the caller holds it. */
static int acquire(struct gil *gil, struct thrumi_acquire *a, int64_t deadline, int flags) {
  struct thrumi_thread *me = thrumi_self()->current;
  struct gil_wait wait = {.hog = comes_as_hog(me)};
  for (uint64_t seen = 0; !thrumi_cas(&gil->word, &seen, mine(me)); seen = 0) {
    if (is_mine(seen, me)) return -EDEADLK;
    thrumi_acquire_waits(a);
    if (!queue_up(gil, &wait, flags)) continue;
    int error = thrumi_wait_error(thrumi_await_queued(&wait.waiter, deadline));
    if (error) give_up(gil);
    if (error) return error;
    break;
  }
  begin(gil);
  thrumi_acquire_ends(a);
  return 0;
}

static int acquire_until(thrum_gil *gil, int64_t deadline, int flags, void *site) {
  struct thrumi_acquire a =
      thrumi_acquire(gil, THRUMI_HOLD_GIL, site, deadline == INT64_MAX ? THRUMI_MAY_WAIT : THRUMI_TRIES);
  thrumi_acquire_begins(&a);
  thrumi_enter();
  int saved = *thrum_errno();
  int error = acquire(inner(gil), &a, deadline, flags);
  *thrum_errno() = saved;
  thrumi_leave(thrumi_self());
  if (error == -EDEADLK)
    thrumi_fatal("thread %s takes gil %s, which it holds", thrum_current_name(), THRUMI_NAME_OF(gil));
  return error;
}

static int try_acquire(thrum_gil *gil, void *site) {
  struct thrumi_acquire a = thrumi_acquire(gil, THRUMI_HOLD_GIL, site, THRUMI_TRIES);
  thrumi_acquire_begins(&a);
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t nobody = 0;
  bool taken = thrumi_cas(&inner(gil)->word, &nobody, mine(k->current));
  if (taken) {
    begin(inner(gil));
    thrumi_acquire_ends(&a);
  }
  thrumi_leave(k);
  return taken ? 0 : -EAGAIN;
}

void thrumi_gil_acquire_slow(thrum_gil *gil) {
  acquire_until(gil, INT64_MAX, 0, __builtin_return_address(0));
}

int thrumi_gil_try_slow(thrum_gil *gil) { return try_acquire(gil, __builtin_return_address(0)); }

int thrumi_gil_for_slow(thrum_gil *gil, thrum_duration timeout) {
  void *site = __builtin_return_address(0);
  if (timeout <= 0) return try_acquire(gil, site) ? thrumi_poll_failed() : 0;
  return acquire_until(gil, thrum_after(timeout), THRUMI_CANCELLABLE, site);
}

/* ---- Releasing ------------------------------------------------------------------------------------------------------ */

static void release_in_buckets(struct gil *gil, struct thrumi_thread *me) {
  struct thrumi_buckets b = lock_buckets(gil);
  int64_t now = thrumi_os.now();
  bool wanted = somebody_waits(b, gil);
  int64_t used = settle(gil, b, thrumi_load(&gil->word), now);
  me->overran = wanted && used >= interval() ? now : 0;
  hand_over(gil, b, false, 0, now);
  thrumi_buckets_unlock(b);
}

int thrumi_gil_release_slow(thrum_gil *outer) {
  struct thrumi_kthread *k = thrumi_enter();
  struct gil *gil = inner(outer);
  int saved = *thrum_errno(), error = 0;
  uint64_t seen = thrumi_load(&gil->word);
  if (is_mine(seen, k->current)) {
    thrumi_announce(gil);
    thrumi_release_ends(gil, thrumi_mark_of(k->current));
    while (!(seen & WAITERS) && !thrumi_cas(&gil->word, &seen, 0)) {
    }
    if (seen & WAITERS) release_in_buckets(gil, k->current);
  } else {
    error = -EPERM;
  }
  *thrum_errno() = saved;
  thrumi_leave(k);
  return error;
}

/* ---- The check ------------------------------------------------------------------------------------------------------ */

/* ASKED too early, or by one that no longer waits: the turn goes on. */
static void go_on(struct gil *gil, struct thrumi_buckets b, uint64_t word, int64_t now) {
  bool wanted = somebody_waits(b, gil);
  uint64_t stays = ~(uint64_t)(wanted ? ASKED : ASKED | WAITERS);
  thrumi_and(&gil->word, stays);
  if (wanted)
    arrange(gil, b, word & stays, now);
  else
    thrumi_reminder_stop(&gil->reminder);
}

/* The holder joins the hogs: in front with the rest of its interval if it was asked early, else behind. True: it must wait. */
static bool step_back(struct gil *gil, struct thrumi_buckets b, uint64_t word, int64_t now,
                      struct gil_wait *wait) {
  wait->hog = true;
  wait->used = settle(gil, b, word, now);
  bool early = wait->used < interval();
  if (early) gil->early = (gil->early > now ? gil->early : now) + GAP;
  if (!early) wait->used = 0;
  if (hand_over(gil, b, true, word & ~(uint64_t)(ASKED | WAITERS), now)) {
    enqueue(b, gil, wait, early ? THRUMI_AT_FRONT : 0);
    return true;
  }
  thrumi_store_relaxed(&gil->since, now); /* those who waited have just run out of time */
  gil->used = wait->used;
  return false;
}

static void check(struct gil *gil) {
  struct gil_wait wait;
  struct thrumi_buckets b = lock_buckets(gil);
  uint64_t word = thrumi_load(&gil->word);
  int64_t now = thrumi_os.now();
  bool waits = false;
  if (somebody_waits(b, gil) && due(gil, b, word, now) <= now)
    waits = step_back(gil, b, word, now, &wait);
  else
    go_on(gil, b, word, now);
  thrumi_buckets_unlock(b);
  if (!waits) return;
  thrumi_await_queued(&wait.waiter, INT64_MAX);
  begin(gil);
  thrumi_remain_hog(thrumi_self());
}

/* Who watches sees a release and an acquire, also if the turn goes on after all. */
static void check_as_holder(struct gil *gil, const struct thrumi_thread *me, void *site) {
  struct thrumi_acquire a = thrumi_acquire(gil, THRUMI_HOLD_GIL, site, THRUMI_MAY_WAIT);
  int saved = *thrum_errno();
  thrumi_announce(gil);
  thrumi_release_ends(gil, thrumi_mark_of(me));
  thrumi_acquire_waits(&a);
  check(gil);
  thrumi_acquire_ends(&a);
  *thrum_errno() = saved;
}

void thrumi_gil_check_slow(thrum_gil *gil) {
  const struct thrumi_thread *me = thrumi_enter()->current;
  bool owned = is_mine(thrumi_load(&inner(gil)->word), me);
  if (owned) check_as_holder(inner(gil), me, __builtin_return_address(0));
  thrumi_leave(thrumi_self());
  if (!owned) thrumi_gil_not_owned(gil);
}

/* ---- The rest ------------------------------------------------------------------------------------------------------- */

int thrum_gil_destroy(thrum_gil *gil) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_buckets b = lock_buckets(inner(gil));
  bool waited_for = somebody_waits(b, inner(gil));
  thrumi_buckets_unlock(b);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(gil);
  return waited_for ? -EBUSY : 0;
}

void thrumi_gil_not_owned(const thrum_gil *gil) {
  thrumi_fatal("thread %s hands over gil %s, which it does not hold", thrum_current_name(),
               THRUMI_NAME_OF(gil));
}
