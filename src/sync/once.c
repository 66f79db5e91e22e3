/* thrum_once: 64 bits, and its waiters in the parking table.
 *
 * The word:
 *
 *   bits    name      meaning                               changed by
 *   0       RUNNING   a thread runs the function            that thread
 *   1       WAITERS   threads may be queued                 who queues sets it; cleared before the last one is let go, and
 *                                                           by who leaves by itself and finds none; all in the bucket
 *   2       DONE      it has run and succeeded; for ever    the thread that ran it
 *   3-7     fork      in which process RUNNING was set      as RUNNING
 *   8-31    round     how often it has run                  the thread that ran it, when it has
 *   32-63   mark      of that thread; 0 if not RUNNING      as RUNNING
 *
 *  - Legal: neither RUNNING nor DONE; RUNNING; DONE.
 *  - Queueing needs RUNNING, in one step with setting WAITERS and taking down the round. So the thread that runs it sees WAITERS
 *    when it makes the round another one, and settles the once.
 *  - Who was let go looks again: it has been done, or it is this thread's turn, if no other thread was faster.
 *
 * A thread that is no more runs nothing: in the child of a fork the next caller begins anew, as with pthread_once. (What the
 * thread that is gone had done by halves is there as well; that is the function's business.) Its record may serve another one by
 * then, and that have the same mark: of marks that were written before the fork only the forker's counts.
 *
 * Rejected: to run it once only, failed or not, as Go does: each user would need a place for the failure. */
#include "round.h"

#include <sched/self.h>
#include <thrum/sync/once.h>

enum { RUNNING = 1, WAITERS = 2, DONE = THRUMI_ONCE_DONE, FORK_SHIFT = 3, ROUND = 1 << 8, MARK_SHIFT = 32 };
#define ROUNDS UINT64_C(0xffffff00)
#define FORK UINT64_C(0xf8)

typedef _Atomic uint64_t once_word;

static once_word *word_of(const thrum_once *once) { return (once_word *)(uintptr_t)&once->word; }

static bool settle(struct thrumi_bucket *bucket, const void *address);

static const struct thrumi_rounds kind = {"a once", WAITERS, ROUNDS, settle, THRUMI_HELD};

static bool settle(struct thrumi_bucket *bucket, const void *address) {
  return thrumi_round_settle(&kind, bucket, address);
}

static uint64_t fork_now(void) { return (uint64_t)thrumi_forks << FORK_SHIFT & FORK; }

/* Some thread is at it. Who forked is main. */
static bool is_running(uint64_t word) {
  uint32_t mark = (uint32_t)(word >> MARK_SHIFT);
  struct thrumi_thread *t = word & RUNNING ? thrumi_record((uint32_t)THRUMI_FLAGS(mark)) : NULL;
  bool lives = t && thrumi_mark_of(t) == mark &&
               !(THRUMI_FLAGS(thrumi_load(&t->life)) & (THRUMI_FREE | THRUMI_FINISHED));
  return lives && ((word & FORK) == fork_now() || t == thrumi_sched.main);
}

/* Waits for the thread that runs it. 0: look again. */
static int wait_for(thrum_once *once, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(once);
  uint64_t seen = thrumi_load(word_of(once));
  while (is_running(seen)) {
    if (thrumi_cas(word_of(once), &seen, seen | WAITERS))
      return thrumi_round_await(&kind, bucket, once, seen, deadline, flags);
  }
  thrumi_bucket_unlock(bucket);
  return 0;
}

enum turn { TURN_MINE = 1, TURN_DONE = 0 }; /* or a negative errno */

/* Waits until it is done or the caller's turn. */
static int await_turn(thrum_once *once, int64_t deadline, int flags) {
  uint32_t mark = thrumi_mark_of(thrumi_self()->current);
  uint64_t seen = thrumi_load(word_of(once));
  for (;;) {
    if (seen & DONE) return TURN_DONE;
    if (!is_running(seen)) {
      uint64_t mine = (seen & (ROUNDS | WAITERS)) | RUNNING | fork_now() | (uint64_t)mark << MARK_SHIFT;
      if (thrumi_cas(word_of(once), &seen, mine)) return TURN_MINE;
      continue;
    }
    if (seen >> MARK_SHIFT == mark) return -EDEADLK;
    int error =
        deadline == INT64_MIN ? thrumi_poll_error(thrumi_self()->current) : wait_for(once, deadline, flags);
    if (error) return error;
    seen = thrumi_load(word_of(once));
  }
}

static bool is_failure(intptr_t result) { return result < 0 && result >= -4095; }

static void finish(thrum_once *once, bool done) {
  thrumi_announce(once);
  uint64_t seen = thrumi_load(word_of(once)), next;
  do next = ((seen + ROUND) & ROUNDS) | (seen & WAITERS) | (done ? DONE : 0);
  while (!thrumi_cas(word_of(once), &seen, next));
  if (seen & WAITERS) thrumi_settle(once, settle);
}

static int call(thrum_once *once, thrum_fn *fn, void *arg, int64_t deadline, int flags) {
  thrumi_enter();
  int turn = await_turn(once, deadline, flags);
  if (turn >= 0) thrumi_rely_on(once);
  thrumi_leave(thrumi_self());
  if (turn != TURN_MINE) return turn;
  intptr_t result = fn(arg);
  finish(once, !is_failure(result));
  return is_failure(result) ? (int)result : 0;
}

int thrumi_once_slow(thrum_once *once, thrum_fn *fn, void *arg) { return call(once, fn, arg, INT64_MAX, 0); }

int thrumi_once_for_slow(thrum_once *once, thrum_fn *fn, void *arg, thrum_duration timeout) {
  return call(once, fn, arg, timeout <= 0 ? INT64_MIN : thrum_after(timeout), THRUMI_CANCELLABLE);
}
