/* Cancellation of a thread: what a cancelled thread waits in ends with -ECANCELED if it is a
 * cancellation point, before, while and after it waits, and not while it is shielded. */
#include "../support.h"

#include <sched/self.h>

static thrum_thread sleeper;
static bool parked, gate;
static int fds[2];

static struct thrumi_thread *record(thrum_thread t) {
  uint64_t life;
  struct thrumi_thread *found = thrumi_lookup(t, &life);
  CHECK(found);
  return found;
}

static void cancel(thrum_thread t) { CHECK_EQ(thrum_cancel(t), 0); }

static bool waits(thrum_thread t) {
  return thrumi_wait_state(thrumi_load(&record(t)->wait)) == THRUMI_WAIT_PARKED;
}

/* ---- The waits ------------------------------------------------------------------------------------------ */

static intptr_t sleep_long(void) { return thrum_sleep(THRUM_S(3600)); }
static intptr_t sleep_not_at_all(void) { return thrum_sleep(0); }
static intptr_t join_for_long(void) { return thrum_join_for(sleeper, NULL, THRUM_S(3600)); }
static intptr_t join_for_ever(void) { return thrum_join_for(sleeper, NULL, THRUM_FOREVER); }
static intptr_t wait_for_ever(void) { return thrum_wait_for(sleeper, THRUM_FOREVER); }
static intptr_t read_pipe(void) {
  char c;
  return thrum_read(fds[0], &c, 1);
}
static intptr_t read_pipe_for(void) {
  char c;
  return thrum_read_for(fds[0], &c, 1, THRUM_S(3600));
}

/* Objects that are never let go. */
static thrum_sem no_units;
static thrum_event never_set;
static thrum_waitgroup never_done = {1};
static thrum_once never_run;
static intptr_t acquire_for_long(void) { return thrum_sem_acquire_for(&no_units, THRUM_FOREVER); }
static intptr_t wait_for_event(void) { return thrum_event_wait_for(&never_set, THRUM_S(3600)); }
static intptr_t wait_for_group(void) { return thrum_waitgroup_wait_for(&never_done, THRUM_FOREVER); }
static intptr_t not_run(void *arg) { return (intptr_t)arg; }
static intptr_t call_once(void) { return thrum_once_call_for(&never_run, not_run, NULL, THRUM_S(3600)); }

typedef intptr_t wait_fn(void);
static wait_fn *const points[] = {sleep_long,    join_for_long,    join_for_ever,  wait_for_ever,  read_pipe,
                                  read_pipe_for, acquire_for_long, wait_for_event, wait_for_group, call_once};
enum { POINTS = sizeof points / sizeof *points };

static intptr_t until_gate(void *arg) {
  while (!LOAD(gate)) CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
  return (intptr_t)arg;
}

/* A thread that a join for ever could take in as its guest: it never ran when it is joined. */
static intptr_t wait_in(void *arg) {
  wait_fn *fn = *(wait_fn *const *)arg;
  if (fn == join_for_ever) sleeper = must_spawn(until_gate, (void *)7);
  return fn();
}

static intptr_t wait_when_open(void *arg) {
  while (!LOAD(parked)) thrum_yield();
  return wait_in(arg);
}

/* ---- What is promised ----------------------------------------------------------------------------------- */

static void cancelled_while_it_waits(void *point) {
  thrum_thread t = must_spawn(wait_in, point);
  AWAIT(waits(t));
  cancel(t);
  CHECK_EQ(must_join(t), -ECANCELED);
}

static void cancelled_before_it_waits(void *point) {
  STORE(parked, false);
  thrum_thread t = must_spawn(wait_when_open, point);
  cancel(t);
  STORE(parked, true);
  CHECK_EQ(must_join(t), -ECANCELED);
}

/* At whatever moment the cancellation comes, the wait ends: a lost one would last an hour. */
static void cancelled_at_any_moment(void *point) {
  for (int i = 0; i < 300; i++) {
    STORE(parked, false);
    thrum_thread t = must_spawn(wait_when_open, point);
    thrum_yield();
    STORE(parked, true);
    for (volatile int delay = 0; delay < i * 7; delay++) continue;
    cancel(t);
    CHECK_EQ(must_join(t), -ECANCELED);
  }
}

/* It sleeps anew until it was cancelled: whoever looks for it asleep finds it so, however late he looks. */
static intptr_t shielded_sleep(void *arg) {
  intptr_t error = (intptr_t)arg;
  THRUM_SHIELD(0) {
    do error = thrum_sleep(THRUM_MS(20));
    while (error == 0 && !LOAD(gate));
    CHECK_EQ(thrum_sleep(0), 0);
    CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  }
  CHECK_EQ(sleep_not_at_all(), -ECANCELED);
  CHECK_EQ(sleep_long(), -ECANCELED);
  return error;
}

/* Neither the wait that the cancellation finds nor one that begins later ends by it, until the shield is gone. */
static void shielded(void) {
  STORE(gate, false);
  thrum_thread t = must_spawn(shielded_sleep, NULL);
  AWAIT(waits(t));
  cancel(t);
  STORE(gate, true);
  CHECK_EQ(must_join(t), 0);
}

static intptr_t plain_join(void *arg) {
  intptr_t result = -1;
  CHECK_EQ(thrum_join(*(thrum_thread *)arg, &result), 0);
  CHECK_EQ(sleep_long(), -ECANCELED); /* it was not forgotten */
  return result;
}

static void a_plain_join_is_no_cancellation_point(void) {
  STORE(gate, false);
  thrum_thread joined = must_spawn_bound(until_gate, (void *)9), t = must_spawn(plain_join, &joined);
  AWAIT(waits(t));
  cancel(t);
  for (int i = 0; i < 20; i++) CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  CHECK(waits(t));
  STORE(gate, true);
  CHECK_EQ(must_join(t), 9);
}

/* An end that came first stands, and the cancellation ends the next wait. */
static void success_wins(void) {
  STORE(gate, true);
  thrum_thread t = must_spawn(until_gate, (void *)5);
  AWAIT(!thrum_is_alive(t));
  cancel(t);
  CHECK_EQ(must_join(t), 5);
  thrum_thread again = must_spawn(until_gate, (void *)6); /* on the same record, maybe: it is not cancelled */
  CHECK_EQ(must_join(again), 6);
}

/* Waits that are no cancellation points go on, and get what they wait for; nothing was swallowed by those that ended. */
static intptr_t acquire_plainly(void *arg) {
  thrum_sem_acquire(&no_units);
  return (intptr_t)arg;
}

static intptr_t wait_plainly(void *arg) {
  thrum_event_wait(&never_set);
  return (intptr_t)arg;
}

static intptr_t wait_for_zero(void *arg) {
  thrum_waitgroup_wait(&never_done);
  return (intptr_t)arg;
}

static void plain_waits_go_on(void) {
  thrum_fn *const plain[] = {acquire_plainly, wait_plainly, wait_for_zero};
  thrum_thread threads[3];
  for (intptr_t i = 0; i < 3; i++) {
    threads[i] = must_spawn(plain[i], (void *)i);
    AWAIT(waits(threads[i]));
    cancel(threads[i]);
  }
  for (int i = 0; i < 20; i++) CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  for (int i = 0; i < 3; i++) CHECK(waits(threads[i]));
  CHECK_EQ(thrum_sem_release(&no_units, 1), 0);
  thrum_event_set(&never_set);
  thrum_waitgroup_done(&never_done);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(threads[i]), i);
  CHECK_EQ(thrum_sem_value(&no_units), 0);
}

/* Units go to those who still wait, in the order in which they began to. */
enum { LINE = 12 };
static thrum_sem door, passed_on;
static int order[LINE], passed;

static intptr_t stand_in_line(void *number) {
  if (thrum_sem_acquire_for(&door, THRUM_FOREVER) != 0) return -1;
  order[passed++] = (int)(intptr_t)number;
  CHECK_EQ(thrum_sem_release(&passed_on, 1), 0);
  return 0;
}

static void longest_first(void) {
  thrum_thread threads[LINE];
  for (intptr_t i = 0; i < LINE; i++) {
    threads[i] =
        i % 4 == 3 ? must_spawn_bound(stand_in_line, (void *)i) : must_spawn(stand_in_line, (void *)i);
    AWAIT(waits(threads[i]));
  }
  for (int i = 0; i < LINE; i += 3) {
    cancel(threads[i]);
    CHECK_EQ(must_join(threads[i]), -1);
  }
  for (int i = 0, n = 0; i < LINE; i++) {
    if (i % 3 == 0) continue;
    CHECK_EQ(thrum_sem_release(&door, 1), 0);
    thrum_sem_acquire(&passed_on);
    CHECK_EQ(order[n++], i);
    CHECK_EQ(must_join(threads[i]), 0);
  }
  CHECK_EQ(thrum_sem_value(&door), 0);
}

static intptr_t run_for_long(void *arg) {
  (void)arg;
  thrum_event_wait(&never_set);
  return 0;
}

static intptr_t run_once_for_long(void *arg) { return thrum_once_call(&never_run, run_for_long, arg); }

static void open_again(void) {
  STORE(gate, true);
  if (sleeper.value) CHECK_EQ(must_join(sleeper), 7);
  STORE(gate, false);
  sleeper = must_spawn(until_gate, (void *)7);
}

static void at_each_point(void (*test)(void *point)) {
  for (size_t i = 0; i < POINTS; i++) {
    if (points[i] == join_for_ever && test == cancelled_at_any_moment) continue; /* a thread for each */
    open_again();
    if (points[i] == join_for_ever) {
      STORE(gate, true);
      CHECK_EQ(must_join(sleeper), 7);
      STORE(gate, false);
    }
    test((void *)(uintptr_t)&points[i]);
  }
}

int main(void) {
  CHECK_EQ(pipe(fds), 0);
  thrum_thread runner = must_spawn(run_once_for_long, NULL);
  AWAIT(waits(runner));
  at_each_point(cancelled_while_it_waits);
  at_each_point(cancelled_before_it_waits);
  at_each_point(cancelled_at_any_moment);
  STORE(gate, true);
  CHECK_EQ(must_join(sleeper), 7);
  shielded();
  a_plain_join_is_no_cancellation_point();
  success_wins();
  plain_waits_go_on();
  CHECK_EQ(must_join(runner), 0);
  longest_first();
  return 0;
}
