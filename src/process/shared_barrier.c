/* thrum_shared_barrier.
 *
 * The word, 64 bits; its upper half is the state that is waited for (shared_wait.h):
 *
 *   bits    name      meaning                                              changed by
 *   0-15    arrived   threads of this round that have come                 who comes; the last one and a reset make it 0
 *   16-31   history   how the last 16 rounds ended, the last one in bit    who ends a round
 *                     16: 1: by a reset
 *   32      BROKEN    this round is broken                                 abort, who runs out of time; a reset clears it
 *   33-63   round     how many have ended                                  the last one that comes; a reset
 *
 * Everything that happens to a barrier is one compare-and-swap of the whole word, so there is nothing that a process that is killed could
 * leave half done but a wake, which a tick makes good. Who waits goes when its round has ended, or is broken; how it ended the history
 * says, however much later it looks: up to sixteen rounds. (Later than that it believes that its round was completed.) */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

enum { PARTIES_MAX = 32767, ROUND_MASK = 0x7fffffff, ROUNDS = 16 };
#define BROKEN (UINT64_C(1) << 32)
#define ROUND (UINT64_C(1) << 33)

typedef _Atomic uint64_t barrier_word;

static barrier_word *word_of(const thrum_shared_barrier *b) { return (barrier_word *)(uintptr_t)&b->word; }
static thrumi_futex *state_of(thrum_shared_barrier *b) { return (thrumi_futex *)&b->word + 1; }
static uint32_t arrived_of(uint64_t word) { return (uint16_t)word; }
static uint32_t round_of(uint64_t word) { return (uint32_t)(word / ROUND); }

/* The word in the round after. */
static uint64_t next_round(uint64_t word, bool reset) {
  uint64_t history = (word >> 16 << 1 | reset) & 0xffff;
  return word / ROUND * ROUND + ROUND + (history << 16);
}

int thrum_shared_barrier_init(thrum_shared_barrier *barrier, int n) {
  if (n < 1 || n > PARTIES_MAX) return -EINVAL;
  *barrier = (thrum_shared_barrier){.parties = (uint32_t)n};
  return 0;
}

/* 1: the round goes on; else what it means for who waits in it. */
static int outcome(uint64_t word, uint32_t round) {
  uint32_t ago = (round_of(word) - round) & ROUND_MASK;
  if (ago == 0) return word & BROKEN ? -EPIPE : 1;
  return ago <= ROUNDS && word >> 16 >> (ago - 1) & 1 ? -EPIPE : 0;
}

/* The time has run out: breaks the round, unless it has ended, or is broken. *seen: the word. */
static int break_round(thrum_shared_barrier *b, uint32_t round, uint64_t *seen, int error) {
  for (int end; (end = outcome(*seen, round)) == 1;)
    if (thrumi_cas(word_of(b), seen, *seen | BROKEN)) {
      thrumi_shared_wake(state_of(b), THRUMI_SHARED_EVERYBODY);
      return error;
    }
  return outcome(*seen, round);
}

static int await_end(thrum_shared_barrier *b, uint64_t seen, int64_t deadline, int flags) {
  struct thrumi_shared_wait wait = {.what = "a shared barrier", .object = b, .shift = THRUMI_SHARED_STATE};
  uint32_t round = round_of(seen);
  int end = 1;
  thrumi_shared_ready();
  while (end == 1) {
    thrumi_enter();
    int error = thrumi_shared_await(&wait, state_of(b), (uint32_t)(seen >> 32), deadline, flags);
    thrumi_leave(thrumi_self());
    seen = thrumi_load(word_of(b));
    end = error ? break_round(b, round, &seen, error) : outcome(seen, round);
  }
  return end;
}

static int wait_until(thrum_shared_barrier *b, int64_t deadline, int flags) {
  uint32_t parties = b->parties;
  uint64_t seen = thrumi_load(word_of(b)), next;
  if (!parties) return -EINVAL;
  thrumi_announce(b);
  do {
    if (seen & BROKEN) return -EPIPE;
    next = arrived_of(seen) + 1 == parties ? next_round(seen, false) : seen + 1;
  } while (!thrumi_cas(word_of(b), &seen, next));
  int error = 0;
  if (round_of(next) != round_of(seen))
    thrumi_shared_wake(state_of(b), THRUMI_SHARED_EVERYBODY);
  else
    error = await_end(b, next, deadline, flags);
  thrumi_rely_on(b);
  return error ? error : (int)arrived_of(seen);
}

int thrum_shared_barrier_wait(thrum_shared_barrier *barrier) { return wait_until(barrier, INT64_MAX, 0); }

int thrum_shared_barrier_wait_for(thrum_shared_barrier *barrier, thrum_duration timeout) {
  return wait_until(barrier, timeout <= 0 ? 0 : thrum_after(timeout), THRUMI_CANCELLABLE);
}

static void change(thrum_shared_barrier *b, bool reset) {
  uint64_t seen = thrumi_load(word_of(b));
  while (!thrumi_cas(word_of(b), &seen, reset ? next_round(seen, true) : seen | BROKEN)) {
  }
  thrumi_shared_wake(state_of(b), THRUMI_SHARED_EVERYBODY);
}

void thrum_shared_barrier_abort(thrum_shared_barrier *barrier) { change(barrier, false); }
void thrum_shared_barrier_reset(thrum_shared_barrier *barrier) { change(barrier, true); }

int thrum_shared_barrier_waiting(const thrum_shared_barrier *barrier) {
  uint64_t seen = thrumi_load_relaxed(word_of(barrier));
  return seen & BROKEN ? 0 : (int)arrived_of(seen);
}

bool thrum_shared_barrier_broken(const thrum_shared_barrier *barrier) {
  return thrumi_load_relaxed(word_of(barrier)) & BROKEN;
}
