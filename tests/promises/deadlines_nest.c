/* A scope's deadline cancels it, and what is nested in it; of deadlines around each other the earliest counts for who is inside, and
 * each close says whether it was its own. */
#include "scopes.h"

static intptr_t own_and_outer(void *arg) {
  int outer = 1, inner = 1;
  int64_t before = wall_now();
  THRUM_SCOPE(o, .timeout = THRUM_MS(10), .status = &outer) {
    THRUM_SCOPE(i, .timeout = THRUM_S(3600), .status = &inner) {
      spawn_if_in_time(&i, until_cancelled, NULL);
      CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
      CHECK_EQ(thrum_scope_spawn(&i, NULL, return_it, NULL), -ECANCELED);
    }
  }
  CHECK(wall_now() - before >= THRUM_MS(10));
  CHECK_EQ(inner, -ECANCELED);
  CHECK_EQ(outer, -ETIMEDOUT);
  THRUM_SCOPE(o, .timeout = THRUM_S(3600), .status = &outer) {
    THRUM_SCOPE(i, .timeout = THRUM_MS(5), .status = &inner) { spawn_if_in_time(&i, sleep_for_ever, NULL); }
    CHECK_EQ(thrum_sleep(0), 0);
  }
  CHECK_EQ(inner, -ETIMEDOUT);
  CHECK_EQ(outer, 0);
  return (intptr_t)arg;
}

static int with(thrum_scope_options options) {
  thrum_scope s;
  options.size = sizeof options;
  CHECK_EQ(thrum_scope_open(&s, &options), 0);
  spawn_if_in_time(&s, until_cancelled, NULL);
  return thrum_scope_close(&s);
}

/* The earlier one of the two that may be given counts. */
static intptr_t earlier(void *arg) {
  CHECK_EQ(with((thrum_scope_options){.timeout = THRUM_MS(2), .deadline = thrum_after(THRUM_S(3600))}),
           -ETIMEDOUT);
  CHECK_EQ(with((thrum_scope_options){.timeout = THRUM_S(3600), .deadline = thrum_after(THRUM_MS(2))}),
           -ETIMEDOUT);
  CHECK_EQ(with((thrum_scope_options){.deadline = thrum_after(THRUM_MS(2))}), -ETIMEDOUT);
  return (intptr_t)arg;
}

static intptr_t passed(void *arg) {
  const thrum_scope_options at_once[] = {{.timeout = -1},
                                         {.deadline = thrum_now()},
                                         {.deadline = 1},
                                         {.timeout = -THRUM_S(5), .deadline = THRUM_FOREVER}};
  for (int i = 0; i < 4; i++) {
    thrum_scope_options options = at_once[i];
    options.size = sizeof options;
    thrum_scope s;
    CHECK_EQ(thrum_scope_open(&s, &options), 0);
    CHECK(thrum_scope_cancelled(&s));
    CHECK_EQ(thrum_sleep(0), -ECANCELED);
    CHECK_EQ(thrum_scope_spawn(&s, NULL, return_it, NULL), -ECANCELED);
    CHECK_EQ(thrum_scope_close(&s), -ETIMEDOUT);
    CHECK_EQ(thrum_sleep(0), 0);
  }
  return (intptr_t)arg;
}

static intptr_t never(void *arg) {
  int error = 1;
  THRUM_SCOPE(s, .timeout = THRUM_FOREVER, .deadline = THRUM_FOREVER, .status = &error) {
    spawn_away(&s, return_it, NULL);
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  }
  CHECK_EQ(error, 0);
  THRUM_SCOPE(s, .timeout = THRUM_S(3600), .status = &error) { spawn_away(&s, return_it, NULL); }
  CHECK_EQ(error, 0); /* it was not in time to matter */
  return (intptr_t)arg;
}

static intptr_t moved(void *arg) {
  thrum_scope s;
  open_plainly(&s);
  thrum_scope_set_deadline(&s, thrum_after(THRUM_S(3600)));
  spawn_away(&s, until_cancelled, NULL);
  CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  thrum_scope_set_deadline(&s, thrum_after(THRUM_MS(1)));
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  thrum_scope_set_deadline(&s, THRUM_FOREVER); /* too late */
  CHECK_EQ(thrum_scope_close(&s), -ETIMEDOUT);
  return (intptr_t)arg;
}

/* Both do something to a scope that has just been opened, and wait until its deadline would have come. False: it had come before that
 * was done, for the machine does much else. */
static bool took_back_in_time(thrum_duration timeout) {
  thrum_scope s;
  thrum_time earliest = thrum_after(timeout);
  open_with_timeout(&s, timeout);
  thrum_scope_set_deadline(&s, THRUM_FOREVER);
  bool in_time = thrum_now() < earliest;
  int slept = thrum_sleep(timeout + timeout / 8), closed = thrum_scope_close(&s);
  if (in_time) CHECK(slept == 0 && closed == 0);
  return in_time;
}

static bool cancelled_in_time(thrum_duration timeout) {
  thrum_scope s;
  thrum_time earliest = thrum_after(timeout);
  open_with_timeout(&s, timeout);
  thrum_scope_cancel(&s);
  bool in_time = thrum_now() < earliest;
  THRUM_SHIELD(0) CHECK_EQ(thrum_sleep(3 * timeout), 0);
  int closed = thrum_scope_close(&s);
  if (in_time) CHECK_EQ(closed, 0);
  return in_time;
}

static intptr_t taken_back(void *arg) {
  while (!took_back_in_time(THRUM_MS(80))) continue;
  return (intptr_t)arg;
}

/* What came first is what the close says: of cancellations, not of failures. */
static intptr_t first_cause(void *arg) {
  thrum_scope s;
  while (!cancelled_in_time(THRUM_MS(1))) continue;
  open_with_timeout(&s, THRUM_MS(1));
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  thrum_scope_fail(&s, EIO, "while cleaning up");
  CHECK_EQ(thrum_scope_close(&s), -EIO);
  return (intptr_t)arg;
}

/* A deadline that falls on the close of its scope, over and over, does no harm. */
static intptr_t as_it_closes(void *arg) {
  int late = 0;
  for (int i = 0; i < 300; i++) {
    int error = 1;
    THRUM_SCOPE(s, .timeout = THRUM_US(1 + i % 60), .status = &error) {
      spawn_if_in_time(&s, return_it, NULL);
    }
    CHECK(error == 0 || error == -ETIMEDOUT);
    late += error != 0;
    CHECK_EQ(thrum_sleep(0), 0);
  }
  return late >= 0 ? (intptr_t)arg : -1;
}

/* Who asks for the deadline gets the earliest from which a cancellation would reach it. */
static intptr_t ask(void *expected) { return thrum_scope_deadline(NULL) == *(thrum_time *)expected; }

static intptr_t ask_within(void *expected) {
  thrum_time mine = thrum_after(THRUM_S(100)), outer = *(thrum_time *)expected;
  bool right = false;
  THRUM_SCOPE(s, .deadline = mine) right = thrum_scope_deadline(NULL) == mine;
  THRUM_SCOPE(s, .timeout = THRUM_S(7200)) right &= thrum_scope_deadline(&s) == outer;
  THRUM_SHIELD(0) right &= thrum_scope_deadline(NULL) == THRUM_FOREVER;
  return right && ask(expected);
}

static intptr_t asked(void *arg) {
  thrum_scope s, inner;
  thrum_time at = thrum_after(THRUM_S(3600)), earlier_one = at - 1;
  CHECK_EQ(thrum_scope_deadline(NULL), THRUM_FOREVER);
  open_plainly(&s);
  CHECK_EQ(thrum_scope_deadline(&s), THRUM_FOREVER);
  thrum_scope_set_deadline(&s, at);
  CHECK_EQ(thrum_scope_deadline(&s), at);
  open_plainly(&inner);
  CHECK_EQ(thrum_scope_deadline(&inner), at);
  CHECK_EQ(must_join(spawn_into(&inner, ask_within, &at)), 1);
  thrum_scope_set_deadline(&inner, earlier_one);
  CHECK_EQ(must_join(spawn_into(&inner, ask, &earlier_one)), 1);
  CHECK_EQ(must_join(spawn_into(&s, ask, &at)), 1);
  CHECK_EQ(thrum_scope_close(&inner), 0);
  CHECK_EQ(thrum_scope_deadline(NULL), at);
  thrum_scope_set_deadline(&s, THRUM_FOREVER);
  CHECK_EQ(thrum_scope_deadline(NULL), THRUM_FOREVER);
  CHECK_EQ(thrum_scope_close(&s), 0);
  THRUM_SCOPE(late, .timeout = -1) CHECK(thrum_scope_deadline(NULL) <= thrum_now());
  return (intptr_t)arg;
}

int main(void) {
  thrum_fn *const tests[] = {asked, own_and_outer, earlier, passed, never, moved, taken_back, first_cause};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) run_in_each_kind(tests[i], NULL);
  run_in_each_kind(as_it_closes, NULL);
  return 0;
}
