/* thrum_barrier: everything happens under the lock of its bucket of the parking table.
 *
 * Rounds. Each arrival belongs to a round, by the order in which threads come: the first n of them to the present one, more than n
 * (while its action runs) to the next ones. A round is decided once: RELEASED, by the thread that completes it, or BROKEN, by
 * whoever gives up, aborts or resets. Then `round` goes on, so that a waiter whose number is below it is decided, and the waiter
 * takes the outcome as its gift when it is let go.
 *
 *   field      meaning                                                             changes
 *   arrived    threads in rounds that are not decided, also the one that acts      who comes, adds 1; a release takes n off;
 *                                                                                  BROKEN takes all
 *   round      number of the first round that is not decided                       at each decision
 *   outcome    of the last decision                                                at each decision
 *   acting     a thread runs the action of the first round that is not decided     who begins it; the decision
 *   actors     threads in an action, of whatever round, or between two batches that      who begins that, adds 1; who ends it
 *              they let go: they look at the barrier again
 *   broken     who comes gets -EPIPE                                               set by BROKEN but for a reset, which clears it
 *   forks      thrumi_forks when somebody was last here: in the child of a fork all the above begins anew, but for `broken`
 *
 * Invariant: queued waiters that are decided come first, and have the last decision's outcome. For who decides first lets all
 * go that were decided before. It does so in batches, with the bucket unlocked in between, and whoever decides meanwhile
 * helps. So a crowd of a thousand holds up nobody else's bucket, and newcomers need not wait until the old ones have gone.
 *
 * Who gives up breaks the round, unless it is decided: then it has its gift as soon as all are let go that were decided, and
 * the time that ran out is not reported.
 *
 * The action runs outside of the runtime, with nothing held. It is the last arrival's, unless a whole round has gathered while the
 * action of the one before ran: then it is that of the thread that waited longest. If the round breaks meanwhile, the outcome of its
 * action no longer matters, unless it failed.
 *
 * Order: who comes releases, who goes on acquires; at two addresses in turn, so that a straggler of one round is not
 * thought to have seen arrivals in the next. */
#include <core/fatal.h>
#include <sched/await.h>
#include <sched/object.h>
#include <sched/self.h>
#include <thrum/sync/barrier.h>
#include <thrum/time.h>

#ifndef BATCH    /* the exhaustive driver's is small */
#define BATCH 32 /* let go under one lock of the bucket */
#endif

/* The gift; 0: none yet. */
enum outcome { UNDECIDED, RELEASED, BROKEN, ACT };

struct arrival {
  struct thrumi_waiter waiter; /* first: the queue holds these */
  uint32_t round;
  int number;
};

static struct arrival *first_of(struct thrumi_bucket *bucket, const thrum_barrier *b) {
  return (struct arrival *)thrumi_bucket_first(bucket, b);
}

static bool is_decided(const thrum_barrier *b, uint32_t round) { return (int32_t)(round - b->round) < 0; }

/* What the threads of a round announce their arrival at. */
static const char *order_of(const thrum_barrier *b, uint32_t round) { return (const char *)b + round % 2; }

/* ---- Deciding, in the bucket ---------------------------------------------------------------------------------------- */

/* Lets all go that are decided by now; the bucket is unlocked now and then, when `actors` keeps the barrier, which others who let go
 * meanwhile might leave with nobody queued. What decides is taken down before the first has gone. */
static void let_decided_go(struct thrumi_bucket *bucket, thrum_barrier *b) {
  uint32_t round = b->round;
  enum outcome outcome = (enum outcome)b->outcome;
  struct arrival *a;
  for (int n = 0; (a = first_of(bucket, b)) && (int32_t)(a->round - round) < 0; n++) {
    if (n == 0) thrumi_ask_for_waiters(&a->waiter, BATCH);
    if (n == BATCH) {
      n = -1;
      b->actors++;
      thrumi_bucket_unlock(bucket);
      thrumi_bucket_lock(b);
      b->actors--;
      continue;
    }
    thrumi_let_go(bucket, &a->waiter, outcome); /* one whose time is over looks at its gift all the same */
  }
}

static bool has_decided(struct thrumi_bucket *bucket, const thrum_barrier *b) {
  struct arrival *a = first_of(bucket, b);
  return a && is_decided(b, a->round);
}

/* The bucket, as every decision begins: nobody decided is queued. */
static struct thrumi_bucket *enter_bucket(thrum_barrier *b) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(b);
  if (b->forks != thrumi_forks) { /* who had come is not in this process */
    b->round += b->arrived / b->parties + 1;
    b->arrived = b->acting = b->actors = 0;
    b->outcome = BROKEN;
    b->forks = thrumi_forks;
  }
  while (has_decided(bucket, b)) let_decided_go(bucket, b);
  return bucket;
}

/* Ends all rounds that have begun. */
static void break_rounds(struct thrumi_bucket *bucket, thrum_barrier *b) {
  b->round += b->arrived / b->parties + 1;
  b->arrived = b->acting = 0;
  b->outcome = BROKEN;
  let_decided_go(bucket, b);
}

/* The present round is complete, and its action done. If the next one is complete too, somebody of it acts. */
static void release_round(struct thrumi_bucket *bucket, thrum_barrier *b) {
  b->round++;
  b->arrived -= b->parties;
  b->acting = 0;
  b->outcome = RELEASED;
  let_decided_go(bucket, b);
  struct arrival *a = first_of(bucket, b);
  if (!a || is_decided(b, a->round) || b->acting || b->arrived < b->parties) return;
  b->acting = 1;
  if (thrumi_let_go(bucket, &a->waiter, ACT)) b->actors++; /* one whose time is over will break the round */
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

static int result_of(enum outcome outcome, const thrum_barrier *b, const struct arrival *a) {
  if (outcome != RELEASED) return -EPIPE;
  thrumi_rely_on(order_of(b, a->round));
  return a->number;
}

static void break_it(struct thrumi_bucket *bucket, thrum_barrier *b) {
  b->broken = 1;
  break_rounds(bucket, b);
}

/* Calls the action, and decides the round by it, unless that was decided meanwhile. */
static int act(thrum_barrier *b, const struct arrival *a) {
  thrumi_rely_on(order_of(b, a->round));
  thrumi_leave(thrumi_self());
  intptr_t result = b->action(b->arg);
  thrumi_enter();
  thrumi_announce(order_of(b, a->round));
  struct thrumi_bucket *bucket = enter_bucket(b);
  if (b->actors) b->actors--; /* in the child of a fork in the action it is 0 */
  bool in_time = !is_decided(b, a->round), failed = thrum_failed(result);
  if (in_time && failed)
    break_it(bucket, b);
  else if (in_time)
    release_round(bucket, b);
  thrumi_bucket_unlock(bucket);
  return failed ? (int)result : result_of(in_time ? RELEASED : BROKEN, b, a);
}

/* Time is over, or the caller is cancelled. What was decided before that stands, and is its gift. */
static int give_up(thrum_barrier *b, struct arrival *a, int error) {
  struct thrumi_bucket *bucket = enter_bucket(b);
  enum outcome outcome = (enum outcome)a->waiter.gift;
  bool decided = outcome == RELEASED || outcome == BROKEN;
  if (!decided) {
    thrumi_bucket_remove(bucket, &a->waiter);
    break_it(bucket, b);
  }
  thrumi_bucket_unlock(bucket);
  return decided ? result_of(outcome, b, a) : error;
}

static int queue_and_wait(struct thrumi_bucket *bucket, thrum_barrier *b, struct arrival *a, int64_t deadline,
                          int flags) {
  thrumi_enqueue(bucket, &a->waiter, b, "a barrier", b, flags);
  thrumi_bucket_unlock(bucket);
  enum thrumi_wait_state end = thrumi_park(a->waiter.thread, a->waiter.ticket, deadline);
  if (end != THRUMI_WOKEN) return give_up(b, a, thrumi_wait_error(end));
  return a->waiter.gift == ACT ? act(b, a) : result_of((enum outcome)a->waiter.gift, b, a);
}

/* In the bucket, which it unlocks: the caller has come. A deadline of 0 polls. */
static int arrive(struct thrumi_bucket *bucket, thrum_barrier *b, int64_t deadline, int flags) {
  struct arrival a = {.round = b->round + b->arrived / b->parties, .number = (int)(b->arrived % b->parties)};
  thrumi_announce(order_of(b, a.round));
  bool completes = ++b->arrived >= b->parties && !b->acting, acts = completes && b->action;
  if (!completes && deadline > 0) return queue_and_wait(bucket, b, &a, deadline, flags);
  if (acts)
    b->acting = 1, b->actors++;
  else if (completes)
    release_round(bucket, b);
  else
    break_it(bucket, b);
  thrumi_bucket_unlock(bucket);
  if (!completes) return thrumi_poll_error(thrumi_self()->current);
  return acts ? act(b, &a) : result_of(RELEASED, b, &a);
}

static void check_parties(const thrum_barrier *b) {
  if (b->parties - 1 >= INT32_MAX)
    thrumi_fatal("thread %s uses barrier %s, which is for %d threads", thrum_current_name(),
                 THRUMI_NAME_OF(b), (int)b->parties);
}

static int wait_until(thrum_barrier *b, int64_t deadline, int flags) {
  check_parties(b);
  thrumi_enter();
  struct thrumi_bucket *bucket = enter_bucket(b);
  int result = -EPIPE;
  if (b->broken)
    thrumi_bucket_unlock(bucket);
  else
    result = arrive(bucket, b, deadline, flags);
  thrumi_leave(thrumi_self());
  return result;
}

int thrum_barrier_wait(thrum_barrier *b) { return wait_until(b, INT64_MAX, 0); }

int thrum_barrier_wait_for(thrum_barrier *b, thrum_duration timeout) {
  return wait_until(b, timeout <= 0 ? 0 : thrum_after(timeout), THRUMI_CANCELLABLE);
}

/* ---- The rest ------------------------------------------------------------------------------------------------------- */

int thrum_barrier_init_with(thrum_barrier *b, int n, thrum_fn *action, void *arg) {
  if (n < 1) return -EINVAL;
  *b = (thrum_barrier){.parties = (uint32_t)n, .action = action, .arg = arg};
  return 0;
}

int thrum_barrier_init(thrum_barrier *b, int n) { return thrum_barrier_init_with(b, n, NULL, NULL); }

static void end_rounds(thrum_barrier *b, bool broken) {
  check_parties(b);
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = enter_bucket(b);
  b->broken = broken;
  break_rounds(bucket, b);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
}

void thrum_barrier_abort(thrum_barrier *b) { end_rounds(b, true); }
void thrum_barrier_reset(thrum_barrier *b) { end_rounds(b, false); }

int thrum_barrier_waiting(thrum_barrier *b) {
  check_parties(b);
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = enter_bucket(b);
  int waiting = b->acting ? 0 : (int)b->arrived;
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  return waiting;
}

bool thrum_barrier_broken(thrum_barrier *b) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(b);
  bool broken = b->broken;
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  return broken;
}

int thrum_barrier_destroy(thrum_barrier *b) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(b);
  bool used = first_of(bucket, b) || (b->actors && b->forks == thrumi_forks);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (!used) thrumi_object_forget(b);
  return used ? -EBUSY : 0;
}
