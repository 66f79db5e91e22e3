/* What the tests of scopes share. */
#ifndef TESTS_SCOPES_H
#define TESTS_SCOPES_H

#include "parked.h"

static inline intptr_t return_it(void *arg) { return (intptr_t)arg; }

/* Until it is cancelled; its result is that. */
static inline intptr_t sleep_for_ever(void *arg) {
  (void)arg;
  return thrum_sleep(THRUM_FOREVER);
}

/* The same, as success. */
static inline intptr_t until_cancelled(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  CHECK(thrum_cancelled());
  return 0;
}

/* A gate that is no cancellation point. */
static inline intptr_t wait_for_event(void *event) {
  thrum_event_wait((thrum_event *)event);
  return 0;
}

static inline thrum_thread spawn_into(thrum_scope *s, thrum_fn *fn, void *arg) {
  thrum_thread t;
  CHECK_EQ(thrum_scope_spawn(s, &t, fn, arg), 0);
  return t;
}

static inline void spawn_away(thrum_scope *s, thrum_fn *fn, void *arg) {
  CHECK_EQ(thrum_scope_spawn(s, NULL, fn, arg), 0);
}

/* Into a scope whose deadline may come at any moment. */
static inline void spawn_if_in_time(thrum_scope *s, thrum_fn *fn, void *arg) {
  int error = thrum_scope_spawn(s, NULL, fn, arg);
  CHECK(error == 0 || (error == -ECANCELED && thrum_scope_cancelled(s)));
}

static inline void open_plainly(thrum_scope *s) { CHECK_EQ(thrum_scope_open(s, NULL), 0); }

static inline void open_shield(thrum_scope *s) {
  const thrum_scope_options options = {.size = sizeof options, .shield = true};
  CHECK_EQ(thrum_scope_open(s, &options), 0);
}

static inline void open_with_timeout(thrum_scope *s, thrum_duration timeout) {
  const thrum_scope_options options = {.size = sizeof options, .timeout = timeout};
  CHECK_EQ(thrum_scope_open(s, &options), 0);
}

#endif
