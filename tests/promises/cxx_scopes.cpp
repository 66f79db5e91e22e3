// An exception that leaves a scope or a shield waits for the scope's threads, and nothing of it stays open.
#include "../support.h"

static int ended;

static intptr_t end_late(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  ADD(ended, 1);
  return (intptr_t)arg;
}

static void throw_out(int n) {
  THRUM_SCOPE(s) {
    CHECK_EQ(thrum_scope_spawn(&s, NULL, end_late, NULL), 0);
    THRUM_SHIELD(0) {
      CHECK(!thrum_cancelled());
      throw n;
    }
  }
}

static intptr_t leave_by_exceptions(void *arg) {
  CHECK_EQ(thrum_cancel(thrum_current()), 0); // only what is within a shield does not see it
  THRUM_SHIELD(0) {
    for (int i = 0; i < 50; i++) {
      int caught = -1, before = LOAD(ended);
      try {
        throw_out(i);
      } catch (int n) {
        caught = n;
        CHECK_EQ(LOAD(ended), before + 1);
      }
      CHECK_EQ(caught, i);
      CHECK(!thrum_cancelled());
    }
  }
  CHECK(thrum_cancelled());
  return (intptr_t)arg;
}

int main() {
  CHECK_EQ(must_join(must_spawn(leave_by_exceptions, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(leave_by_exceptions, NULL)), 0);
  CHECK_EQ(run_outside(leave_by_exceptions, NULL), 0);
  return 0;
}
