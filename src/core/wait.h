/* The wait word: one 64-bit word a thread in which a wait begins, is claimed once, and ends.
 *
 * Its upper bits number the thread's waits; the lower three hold the state of the present one:
 *
 *   state      meaning                                      written by                    next
 *   NONE       not waiting                                  the thread                    ARMED
 *   ARMED      will wait; its context is not saved yet      the thread (arm)              PARKED, claimed
 *   PARKED     waits; context saved, may be resumed         whoever ran next on its       claimed
 *                                                           kernel thread (park)
 *   WOKEN      claimed by what it waited for   \
 *   TIMED_OUT  claimed by its deadline          > one compare-and-swap wins (claim)       NONE
 *   CANCELLED  claimed by a cancellation       /
 *
 * Invariants.
 *  - A wait is claimed at most once. A claim that finds another number or a claimed state has lost and does
 *    nothing, so a late timer or waker cannot disturb the thread's next wait.
 *  - Whoever moves PARKED to a claimed state owns the thread's context and puts it on a run queue. Who claims an ARMED
 *    wait owns nothing: park fails, and the one that called park puts the thread on a run queue.
 *    So between arm and finish a thread is queued exactly once.
 *  - Records are never freed, so a waker may look at the word of a thread that has ended. */
#ifndef THRUMI_WAIT_H
#define THRUMI_WAIT_H

#include <core/atomic.h>

enum thrumi_wait_state {
  THRUMI_WAIT_NONE,
  THRUMI_WAIT_ARMED,
  THRUMI_WAIT_PARKED,
  THRUMI_WOKEN,
  THRUMI_TIMED_OUT,
  THRUMI_CANCELLED,
};

enum { THRUMI_WAIT_STATES = 8 }; /* the number of the wait is counted above these */

typedef _Atomic uint64_t thrumi_wait_word;
typedef uint64_t thrumi_ticket; /* names one wait of one thread: its number, state bits zero */

enum thrumi_claim { THRUMI_CLAIM_LOST, THRUMI_CLAIM_EARLY, THRUMI_CLAIM_PARKED };

static inline enum thrumi_wait_state thrumi_wait_state(uint64_t word) {
  return (enum thrumi_wait_state)(word % THRUMI_WAIT_STATES);
}

/* The ticket of the present wait. */
static inline thrumi_ticket thrumi_wait_ticket(thrumi_wait_word *word) {
  uint64_t seen = thrumi_load_relaxed(word);
  return seen - thrumi_wait_state(seen);
}

/* Begins a wait. By the thread itself, before it tells anybody of the ticket. */
static inline thrumi_ticket thrumi_wait_arm(thrumi_wait_word *word) {
  uint64_t none = thrumi_load_relaxed(word);
  thrumi_store(word, none + THRUMI_WAIT_ARMED);
  return none;
}

/* Says that the context is saved. False: claimed meanwhile; the caller must queue the thread. */
static inline bool thrumi_wait_park(thrumi_wait_word *word, thrumi_ticket ticket) {
  uint64_t armed = ticket + THRUMI_WAIT_ARMED;
  return thrumi_cas(word, &armed, ticket + THRUMI_WAIT_PARKED);
}

/* Claims the wait for `outcome`. THRUMI_CLAIM_PARKED: the caller must queue the thread. */
static inline enum thrumi_claim thrumi_wait_claim(thrumi_wait_word *word, thrumi_ticket ticket,
                                                  enum thrumi_wait_state outcome) {
  uint64_t seen = ticket + THRUMI_WAIT_PARKED;
  while (!thrumi_cas(word, &seen, ticket + outcome))
    if (seen != ticket + THRUMI_WAIT_ARMED && seen != ticket + THRUMI_WAIT_PARKED) return THRUMI_CLAIM_LOST;
  return seen == ticket + THRUMI_WAIT_ARMED ? THRUMI_CLAIM_EARLY : THRUMI_CLAIM_PARKED;
}

/* Ends the wait and says who claimed it. By the thread itself, after it was resumed. */
static inline enum thrumi_wait_state thrumi_wait_finish(thrumi_wait_word *word, thrumi_ticket ticket) {
  enum thrumi_wait_state outcome = thrumi_wait_state(thrumi_load(word));
  thrumi_store_relaxed(word, ticket + THRUMI_WAIT_STATES);
  return outcome;
}

/* Ends whatever wait there is for a thread that is no more, in the child of a fork. */
static inline void thrumi_wait_abandon(thrumi_wait_word *word) {
  uint64_t seen = thrumi_load(word);
  thrumi_store(word, seen - thrumi_wait_state(seen) + THRUMI_WAIT_STATES);
}

#endif
