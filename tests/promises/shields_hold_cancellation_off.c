/* Behind a shield nothing is cancelled from outside: the waits of who opened it, the threads of it and of scopes within. Its own
 * deadline and cancellation count. When it is closed, what was held off is there. */
#include "scopes.h"

static thrum_event inside, go_on;

static intptr_t hear_nothing(void *arg) {
  thrum_event_wait(&go_on);
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  return (intptr_t)arg;
}

static void within(void) {
  int error = 1;
  CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  THRUM_SCOPE(s, .status = &error) {
    spawn_away(&s, hear_nothing, NULL);
    CHECK_EQ(thrum_event_wait_for(&go_on, THRUM_FOREVER), 0); /* a cancellation point, for long */
    CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
    CHECK(!thrum_scope_cancelled(&s));
  }
  CHECK_EQ(error, 0);
}

static intptr_t shielded(void *arg) {
  thrum_scope shield;
  open_shield(&shield);
  spawn_away(&shield, hear_nothing, NULL);
  thrum_event_set(&inside);
  within();
  CHECK_EQ(thrum_scope_close(&shield), 0);
  CHECK(thrum_cancelled());
  CHECK_EQ(thrum_sleep(0), -ECANCELED);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  open_shield(&shield); /* opened by who is cancelled already */
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  spawn_away(&shield, hear_nothing, NULL);
  CHECK_EQ(thrum_scope_close(&shield), 0);
  CHECK_EQ(thrum_sleep(0), -ECANCELED);
  return (intptr_t)arg;
}

static void restart_events(void) {
  thrum_event_clear(&inside);
  thrum_event_clear(&go_on);
}

static intptr_t cancel_it(void *t) {
  thrum_event_wait(&inside);
  AWAIT(is_parked(*(thrum_thread *)t));
  CHECK_EQ(thrum_cancel(*(thrum_thread *)t), 0);
  thrum_event_set(&go_on);
  return 0;
}

/* By thrum_cancel of the thread that opened it. */
static intptr_t own_cancellation(void *arg) {
  thrum_thread me = thrum_current();
  restart_events();
  thrum_thread canceller = must_spawn(cancel_it, &me);
  CHECK_EQ(shielded(arg), 0);
  CHECK_EQ(must_join(canceller), 0);
  return 0;
}

static intptr_t cancel_scope(void *scope) {
  thrum_event_wait(&inside);
  thrum_scope_cancel((thrum_scope *)scope);
  thrum_event_set(&go_on);
  return 0;
}

/* Of the scope around it. */
static intptr_t outer_cancellation(void *arg) {
  thrum_scope outer;
  open_plainly(&outer);
  restart_events();
  spawn_away(&outer, cancel_scope, &outer);
  CHECK_EQ(shielded(arg), 0);
  CHECK_EQ(thrum_scope_close(&outer), 0);
  CHECK_EQ(thrum_sleep(0), 0); /* it ended with the scope */
  return 0;
}

/* Of the scope that the thread belongs to. */
static intptr_t scope_of_the_thread(void *arg) {
  thrum_scope outer;
  open_plainly(&outer);
  restart_events();
  thrum_thread t = spawn_into(&outer, shielded, arg);
  CHECK_EQ(cancel_scope(&outer), 0);
  CHECK_EQ(thrum_scope_close(&outer), 0);
  CHECK_EQ(must_join(t), 0);
  return 0;
}

static intptr_t own_ends(void *arg) {
  thrum_scope shield;
  open_shield(&shield);
  thrum_scope_cancel(&shield);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  CHECK_EQ(thrum_scope_close(&shield), 0);
  CHECK_EQ(thrum_sleep(0), 0);
  THRUM_SHIELD(THRUM_MS(5)) {
    CHECK_EQ(thrum_sleep(0), 0);
    CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  }
  CHECK_EQ(thrum_sleep(0), 0);
  return (intptr_t)arg;
}

static void settle_within(thrum_scope *outer) {
  THRUM_SHIELD(0) {
    CHECK_EQ(thrum_sleep(0), 0);
    thrum_scope_cancel(outer);
    CHECK_EQ(thrum_sleep(0), 0);
    THRUM_SHIELD(0) { CHECK_EQ(thrum_sleep(0), 0); }
    CHECK_EQ(thrum_sleep(0), 0);
  }
}

/* A shield between two scopes: the inner one is not reached; one outside of the shield is. */
static intptr_t between(void *arg) {
  int outer = 1, middle = 1;
  THRUM_SCOPE(o, .status = &outer) {
    THRUM_SCOPE(m, .status = &middle) { settle_within(&o); }
    CHECK_EQ(thrum_sleep(0), -ECANCELED);
  }
  CHECK_EQ(middle, -ECANCELED);
  CHECK_EQ(outer, 0);
  CHECK_EQ(thrum_sleep(0), 0);
  return (intptr_t)arg;
}

/* A cancellation that comes while shields are opened and closed is never lost, and never early. */
static intptr_t flicker(void *arg) {
  intptr_t rounds = 0;
  while (!thrum_cancelled()) {
    THRUM_SHIELD(0) { CHECK_EQ(thrum_sleep(rounds % 16 ? 0 : THRUM_US(1)), 0); }
    rounds++;
  }
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  return (intptr_t)arg;
}

static intptr_t at_any_moment(void *arg) {
  for (int i = 0; i < 200; i++) {
    thrum_thread t = must_spawn(flicker, NULL);
    for (int j = 0; j < i % 7; j++) thrum_yield();
    CHECK_EQ(thrum_cancel(t), 0);
    CHECK_EQ(must_join(t), 0);
  }
  return (intptr_t)arg;
}

int main(void) {
  thrum_fn *const in_each[] = {outer_cancellation, scope_of_the_thread, own_ends, between, at_any_moment};
  for (size_t i = 0; i < sizeof in_each / sizeof *in_each; i++) run_in_each_kind(in_each[i], NULL);
  CHECK_EQ(must_join(must_spawn(own_cancellation, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(own_cancellation, NULL)), 0);
  CHECK_EQ(run_outside(own_cancellation, NULL), 0);
  CHECK_EQ(own_cancellation(NULL), 0); /* main's, for good */
  CHECK_EQ(thrum_sleep(0), -ECANCELED);
  return 0;
}
