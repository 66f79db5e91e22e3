#include "../support.h"
#include "workload.h"

#include <errno.h>

enum { THREADS = 6 };

static int ran;

/* Of four calls the first two fail. */
static intptr_t fail_twice(void *calls) {
  ADD(ran, 1);
  return ADD(*(int *)calls, 1) <= 2 ? thrum_fail(EIO, "not yet") : 0;
}

/* -ENOMEM: the first that got no stack, or no room to note a restart in, has failed with it. Whatever ended it, nobody is left. */
static int restarted(void) {
  int calls = 0, error = 0, status = 1;
  THRUM_SCOPE(s, .restart = THRUM_RESTART_ONE, .status = &status) {
    error = thrum_scope_spawn_named(&s, NULL, fail_twice, &calls, "again");
  }
  if (error) return error == -ECANCELED ? -ENOMEM : error;
  if (status == -EIO) return -ENOMEM; /* there was no room */
  CHECK(status == -ENOMEM || calls == 3);
  return status;
}

static intptr_t sleep_on(void *arg) {
  (void)arg;
  int error = thrum_sleep(THRUM_FOREVER);
  CHECK_EQ(error, -ECANCELED);
  return error;
}

/* The deadline's thread is tried again until there is memory for it. */
static int timed(void) {
  int error = 0, status = 1;
  THRUM_SCOPE(s, .timeout = THRUM_MS(2), .status = &status) {
    for (int i = 0; i < THREADS && !error; i++) error = thrum_scope_spawn(&s, NULL, sleep_on, NULL);
    if (!error) CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  }
  if (error == -ENOMEM || status == -ENOMEM) return -ENOMEM;
  CHECK_EQ(status, -ETIMEDOUT);
  return 0;
}

int workload_scopes(void) {
  int error = restarted();
  return error ? error : timed();
}
