/* What a thrum_future is inside; docs/design/futures.md has the whole.
 *
 * Its word, 64 bits:
 *
 *   bits    name      meaning                                          written by
 *   0-2     state     PENDING    has not begun                         whoever makes it
 *                     RUNNING    somebody makes the result             its maker, from PENDING; an executor that finds that it has
 *                                                                    not begun changes it back
 *                     CANCELLED  it will never begin                   a canceller, from PENDING
 *                     TOLD       ... and its maker knows               its maker, or the canceller for an executor's; from CANCELLED
 *                     FINISHED   the result is there                   its maker, from PENDING or RUNNING
 *                     GONE       freed; seen by who released too often
 *   3       WAITED    threads may wait in the table on its address     who queues, under the bucket's lock, unless it is done
 *   4       WATCHED   it has callbacks or observers, or had            who adds one, likewise: an observer unless it is told
 *   5       ORPHANED  in the child of a fork: it was to be finished    who looks, with FINISHED, unless it was told
 *                     by a thread of the parent's
 *   32-63   holders   references                                       anybody who has one
 *
 * WAITED, WATCHED and ORPHANED are never cleared. States only go down this list, but for the two that end at TOLD and FINISHED,
 * and for RUNNING that goes back to PENDING: whoever has seen either looks again before it acts on it.
 *
 *  - result, bytes and sentence are written before FINISHED and not after: by the one thread that runs a task, or, where
 *    anybody may finish it (thrum_future_new), under the bucket's lock by who then changes PENDING or RUNNING to FINISHED; if
 *    a cancellation was faster, what was written is never looked at. Beside ORPHANED none of them is: a fork may have cut their
 *    writing short, and several threads of the child may find that at once.
 *  - Who ends a future (changes it to CANCELLED or FINISHED) by a compare-and-swap that found neither flag set has nothing more to
 *    do. With a flag it takes the bucket's lock: who set the flag did so under that lock, and has queued before it let go of it.
 *  - References and state are one word, so that finishing and giving the maker's reference back is one step; and who finds
 *    itself the only holder of what is done frees it without any. */
#ifndef THRUMI_FUTURE_H
#define THRUMI_FUTURE_H

#include <sched/await.h>
#include <thrum/executor.h>

enum thrumi_future_state {
  THRUMI_PENDING,
  THRUMI_IN_PROGRESS,
  THRUMI_DROPPED, /* CANCELLED */
  THRUMI_TOLD,
  THRUMI_DONE, /* FINISHED */
  THRUMI_GONE = 7,
};
#define THRUMI_FUTURE_STATE UINT64_C(7)
#define THRUMI_FUTURE_WAITED UINT64_C(8)
#define THRUMI_FUTURE_WATCHED UINT64_C(16)
#define THRUMI_FUTURE_ORPHANED UINT64_C(32)
#define THRUMI_FUTURE_ONE (UINT64_C(1) << 32) /* reference */

struct thrumi_callback;
struct thrumi_observer;

struct thrum_future {
  _Atomic uint64_t word;
  intptr_t result;
  void *bytes; /* of a task with bytes */
  size_t size;
  char *sentence;
  struct thrum_executor *executor; /* whose task it is; good while it is queued there, see executor.h */
  struct thrumi_callback *callbacks,
      **callbacks_end; /* in order of adding; these and the next under the bucket's lock */
  struct thrumi_observer *observers;
  uint32_t
      forks; /* thrumi_forks when it was submitted; without an executor: when its observers were last touched */
};

/* Somebody who waits for several futures. `tell` is called once, under the future's bucket, when it is told or finished; the
 * observer is in no list any more then. Takes no lock of a bucket. */
struct thrumi_observer {
  struct thrumi_observer *next, **at;
  void (*tell)(struct thrumi_observer *observer, thrum_future *f);
};

static inline enum thrumi_future_state thrumi_future_state(uint64_t word) {
  return (enum thrumi_future_state)(word & THRUMI_FUTURE_STATE);
}

/* The result of one that is finished, whose word this is. */
static inline intptr_t thrumi_future_result(const thrum_future *f, uint64_t word) {
  return thrumi_unlikely(word & THRUMI_FUTURE_ORPHANED) ? -EOWNERDEAD : f->result;
}

/* Its word; in the child of a fork that of a future whose maker is not there says so. */
uint64_t thrumi_future_look(thrum_future *f);

void thrumi_future_init(thrum_future *f, struct thrum_executor *executor, uint32_t references);

/* ---- For executors ----------------------------------------------------------------------------------------- */

/* It begins. False: it was cancelled, and its canceller has to do with it. */
bool thrumi_future_begin(thrum_future *f);

/* It has begun, as far as anybody knew, and will not after all: it is pending again. */
void thrumi_future_take_back(thrum_future *f);

/* Its result is there. Gives the maker's reference back if nobody is to be told, else returns true: then thrumi_future_tell. */
bool thrumi_future_finish(thrum_future *f);

/* Lets those go who wait for it, and tells observers. Outside. */
void thrumi_future_tell_waiters(thrum_future *f);

/* The same, by the one who ended it. True: it has callbacks, for thrumi_future_call_back. */
bool thrumi_future_tell(thrum_future *f);
void thrumi_future_call_back(thrum_future *f);

/* Its executor's canceller: PENDING becomes CANCELLED; false: it has begun, or was cancelled. And what follows, with no lock held:
 * tells all, runs callbacks, and gives the executor's reference back. */
bool thrumi_future_drop(thrum_future *f);
void thrumi_future_dropped(thrum_future *f);

/* The first part of that: tells all, and leaves callbacks and the reference to the caller. True: it has callbacks, for thrumi_future_call_back. */
bool thrumi_future_dropped_untold(thrum_future *f);

/* ---- For who waits for several ------------------------------------------------------------------------------- */

/* Inside. Adds the observer unless the future is told or finished: false then. */
bool thrumi_future_observe(thrum_future *f, struct thrumi_observer *observer);
void thrumi_future_unobserve(thrum_future *f, struct thrumi_observer *observer);

/* It counts as done for these: told or finished. */
static inline bool thrumi_future_is_told(uint64_t word) { return thrumi_future_state(word) >= THRUMI_TOLD; }
static inline bool thrumi_future_is_done(uint64_t word) {
  return thrumi_future_state(word) >= THRUMI_DROPPED;
}

#endif
