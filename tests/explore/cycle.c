/* Who waits for whom, in the functions of sched/waits.c and sched/park.c. Stores wait in a buffer.
 *
 * Closing: threads that begin to wait for each other's end at the same time; one of them at least sees the cycle. Looking: a thread
 * waits for one thing and then for another, while somebody looks: what is seen belongs to one wait. */
#include "explore.h"

#include <sched/self.h>
#include <sched/waits.h>
#include <string.h>

enum { THREADS = 3 };

static struct thrumi_thread records[THREADS];
static struct thrumi_kthread kthreads[THREADS];
static bool saw[THREADS];
static int waiting, looked;

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

static uint64_t handle_of(int i) { return (uint64_t)1 << THRUMI_LIFE_BITS | (uint64_t)(i + 1); }

thrum_thread thrumi_handle(const struct thrumi_thread *t) {
  return (thrum_thread){handle_of((int)(t - records))};
}
struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  *life = (uint64_t)1 << THRUMI_LIFE_BITS;
  return &records[(handle.value & 0xff) - 1];
}
struct thrumi_thread *thrumi_record(uint32_t slot) {
  return &records[slot - 1];
}
int64_t thrumi_clock(void) { return 1; }

/* ---- Closing ------------------------------------------------------------------------------------------- */

static void closer(void *arg) {
  int me = (int)(intptr_t)arg;
  thrumi_arm(&records[me], "the end of thread", (const void *)(uintptr_t)handle_of((me + 1) % waiting),
             THRUMI_THREAD);
  saw[me] = thrumi_closes_cycle(&records[me]);
}

static void reset(void) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  memset(saw, 0, sizeof saw);
  waiting = 2;
}

static void reset_three(void) {
  reset();
  waiting = 3;
  thrumi_arm(&records[2], "the end of thread", (const void *)(uintptr_t)handle_of(0), THRUMI_THREAD);
}

static void check_closed(void) { EXPECT(saw[0] || saw[1]); }

/* ---- Looking ------------------------------------------------------------------------------------------- */

static void waits_twice(void *arg) {
  struct thrumi_thread *me = &records[0];
  (void)arg;
  for (int i = 1; i <= 2; i++) {
    thrumi_ticket ticket =
        thrumi_arm(me, i == 1 ? "one" : "another", (const void *)(uintptr_t)handle_of(i), THRUMI_THREAD);
    thrumi_wait_claim(&me->wait, ticket, THRUMI_WOKEN);
    thrumi_store_relaxed(&me->waits_for, NULL);
    thrumi_wait_finish(&me->wait, ticket);
  }
}

static void looks(void *arg) {
  struct thrumi_look look;
  (void)arg;
  if (!thrumi_look_at(&records[0], &look)) return;
  looked++;
  bool first = look.word / THRUMI_WAIT_STATES == 0;
  EXPECT(strcmp(look.what, first ? "one" : "another") == 0);
  EXPECT(look.object == (const void *)(uintptr_t)handle_of(first ? 1 : 2));
  EXPECT(look.next == &records[first ? 1 : 2]);
}

static const struct explore_model models[] = {
    {.name = "cycle, two close it",
     .buffered = true,
     .reset = reset,
     .check = check_closed,
     .threads = {{.name = "one", .run = closer, .arg = (void *)0, .self = &kthreads[0]},
                 {.name = "other", .run = closer, .arg = (void *)1, .self = &kthreads[1]}}},
    {.name = "cycle, two close one of three",
     .buffered = true,
     .reset = reset_three,
     .check = check_closed,
     .threads = {{.name = "one", .run = closer, .arg = (void *)0, .self = &kthreads[0]},
                 {.name = "other", .run = closer, .arg = (void *)1, .self = &kthreads[1]}}},
    {.name = "cycle, a look",
     .buffered = true,
     .reset = reset,
     .threads = {{.name = "waiter", .run = waits_twice, .self = &kthreads[0]},
                 {.name = "looker", .run = looks, .self = &kthreads[1]}}},
    {0},
};

int main(int argc, char **argv) {
  int status = explore(models, argc, argv);
  return status || looked ? status : 1; /* no schedule saw a wait: the model tests nothing */
}
