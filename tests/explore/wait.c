/* The wait word: a thread waits twice; a waker and a deadline claim its first wait, maybe too late, the waker then its
 * second, and a canceller whichever it finds. A second thread stands for the kernel thread's next, which parks it. */
#include "explore.h"

#include <core/wait.h>

enum { WAITS = 2 };

static thrumi_wait_word word;
static _Atomic uint32_t armed[WAITS];    /* the ticket is known to others */
static _Atomic uint32_t switched[WAITS]; /* the context is saved */
static _Atomic uint32_t queued[WAITS];   /* how often the thread was put on a run queue in that wait */
static _Atomic uint32_t claims[WAITS];
static thrumi_ticket tickets[WAITS];
static enum thrumi_wait_state winner[WAITS], outcome[WAITS];

static int number_of(thrumi_ticket ticket) { return (int)(ticket / THRUMI_WAIT_STATES % WAITS); }

static void waiter(void *unused) {
  (void)unused;
  for (int i = 0; i < WAITS; i++) {
    tickets[i] = thrumi_wait_arm(&word);
    EXPECT(number_of(tickets[i]) == i);
    thrumi_store(&armed[i], 1);
    thrumi_store(&switched[i], 1);
    explore_await(&queued[i]);
    outcome[i] = thrumi_wait_finish(&word, tickets[i]);
  }
}

static void next_one(void *unused) {
  (void)unused;
  for (int i = 0; i < WAITS; i++) {
    explore_await(&switched[i]);
    if (!thrumi_wait_park(&word, tickets[i])) thrumi_add(&queued[i], 1u);
  }
}

static void claim(thrumi_ticket ticket, enum thrumi_wait_state state) {
  enum thrumi_claim result = thrumi_wait_claim(&word, ticket, state);
  if (result == THRUMI_CLAIM_LOST) return;
  int i = number_of(ticket);
  winner[i] = state; /* read at the end only */
  thrumi_add(&claims[i], 1u);
  if (result == THRUMI_CLAIM_PARKED) thrumi_add(&queued[i], 1u);
}

static void waker(void *unused) {
  (void)unused;
  for (int i = 0; i < WAITS; i++) {
    explore_await(&armed[i]);
    claim(tickets[i], THRUMI_WOKEN);
  }
}

static void deadline(void *unused) {
  (void)unused;
  explore_await(&armed[0]);
  claim(tickets[0], THRUMI_TIMED_OUT);
}

/* As thrumi_cancel does. */
static void canceller(void *unused) {
  (void)unused;
  uint64_t seen = thrumi_load(&word);
  enum thrumi_wait_state state = thrumi_wait_state(seen);
  if (state == THRUMI_WAIT_ARMED || state == THRUMI_WAIT_PARKED) claim(seen - state, THRUMI_CANCELLED);
}

static void reset(void) {
  atomic_store(&word, 0);
  for (int i = 0; i < WAITS; i++) {
    atomic_store(&armed[i], 0);
    atomic_store(&switched[i], 0);
    atomic_store(&queued[i], 0);
    atomic_store(&claims[i], 0);
    winner[i] = outcome[i] = THRUMI_WAIT_NONE;
  }
}

static void check(void) {
  for (int i = 0; i < WAITS; i++) {
    EXPECT(claims[i] == 1);
    EXPECT(queued[i] == 1);
    EXPECT(outcome[i] == winner[i]);
  }
  EXPECT(outcome[1] != THRUMI_TIMED_OUT);
  EXPECT(word == WAITS * THRUMI_WAIT_STATES);
}

static const struct explore_model models[] = {
    {
        .name = "wait word",
        .reset = reset,
        .check = check,
        .threads = {{.name = "waiter", .run = waiter},
                    {.name = "next", .run = next_one},
                    {.name = "waker", .run = waker},
                    {.name = "deadline", .run = deadline},
                    {.name = "canceller", .run = canceller}},
    },
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
