/* Cancellation: a thread begins a wait that only a cancellation can end, in the functions of sched/park.c, while another
 * one cancels it. Stores wait in a buffer: without the fences each would miss the other's. The wait ends in every order. */
#include "explore.h"

#include <sched/self.h>
#include <string.h>

static struct thrumi_thread record;
static struct thrumi_kthread kthreads[2];
static _Atomic uint32_t ready;
static enum thrumi_wait_state outcome;

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (void)t, (thrum_thread){0}; }
int64_t thrumi_clock(void) { return 1; }
void thrumi_make_ready(struct thrumi_thread *t) {
  (void)t;
  thrumi_add(&ready, 1u);
}

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready);
  EXPECT(thrumi_swap(&ready, 0) == 1);
}

static void waiter(void *unused) {
  (void)unused;
  thrumi_ticket ticket = thrumi_arm(&record, "a cancellation", NULL, THRUMI_CANCELLABLE);
  outcome = thrumi_park(&record, ticket, INT64_MAX);
}

static void canceller(void *unused) {
  (void)unused;
  thrumi_cancel(&record);
}

static void reset(void) {
  memset(&record, 0, sizeof record);
  memset(kthreads, 0, sizeof kthreads);
  atomic_store(&ready, 0);
  outcome = THRUMI_WAIT_NONE;
}

static void check(void) {
  EXPECT(outcome == THRUMI_CANCELLED);
  EXPECT(atomic_load(&ready) == 0);
}

static const struct explore_model models[] = {
    {.name = "cancel",
     .buffered = true,
     .reset = reset,
     .check = check,
     .threads = {{.name = "waiter", .run = waiter, .self = &kthreads[0]},
                 {.name = "canceller", .run = canceller, .self = &kthreads[1]}}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
