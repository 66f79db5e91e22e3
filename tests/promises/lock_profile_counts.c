/* The contention profile: how often each lock was acquired, how often and how long threads waited, and behind which place. */
#include "../child.h"
#include "../support.h"

enum { TRUE_END = 42, THREADS = 4, HOLDS = 5 };

static thrum_lock table, quiet;
static thrum_rlock chairs;

__attribute__((noinline)) static void hold_for_long(void) {
  thrum_lock_acquire(&table);
  CHECK_EQ(thrum_sleep(THRUM_MS(10)), 0);
  CHECK_EQ(thrum_lock_release(&table), 0);
}

static intptr_t holds_for_long(void *arg) {
  (void)arg;
  for (int i = 0; i < HOLDS; i++) hold_for_long();
  return 0;
}

static void work(void) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < 1000; i++) THRUM_LOCKED(&quiet) {
    }
  THRUM_RLOCKED(&chairs) {
    THRUM_RLOCKED(&chairs) {}
  }
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(holds_for_long, NULL);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
}

static int at_exit(void) {
  CHECK_EQ(thrum_lock_set_name(&table, "the table"), 0);
  work();
  exit(0);
}

static int on_demand(void) {
  CHECK(!thrum_profile_locks(true));
  work();
  CHECK(thrum_profile_locks(false));
  for (int i = 0; i < 100; i++) THRUM_LOCKED(&quiet) {
    }
  CHECK_EQ(thrum_lock_profile(1), 3);
  CHECK_EQ(thrum_lock_profile(-1), -EBADF);
  return TRUE_END;
}

static const struct child_case cases[] = {{"at-exit", at_exit}, {"on-demand", on_demand}, {0}};

/* The row of a lock. */
static void row(const char *text, const char *name, long long *acquired, long long *waits, double *waited,
                double *longest) {
  const char *at = strstr(text, name);
  if (!at) check_failed(__FILE__, __LINE__, "no row of %s in:\n%s", name, text);
  while (at > text && at[-1] != '\n') at--;
  CHECK_EQ(sscanf(at, "%lld %lld %lf %lf", acquired, waits, waited, longest), 4);
}

static void counts(const char *text, const char *named) {
  long long acquired, waits;
  double waited, longest;
  row(text, named, &acquired, &waits, &waited, &longest);
  CHECK_EQ(acquired, THREADS * HOLDS);
  CHECK(waits >= THREADS - 1 && waits <= acquired);
  CHECK(longest >= 0.005 && waited >= longest && waited >= 0.030);
  CHECK(strstr(text, named) < strstr(text, "lock quiet")); /* the most waited for is first */
  CHECK_HAS(text, "behind ");
#ifdef HAVE_DUMP
  CHECK_HAS(text, "behind hold_for_long, ");
  CHECK_HAS(text, "lock_profile_counts.c:");
#endif
  row(text, "lock quiet", &acquired, &waits, &waited, &longest);
  CHECK_EQ(acquired, 1000);
  CHECK_EQ(waits, 0);
  row(text, "rlock chairs", &acquired, &waits, &waited, &longest);
  CHECK_EQ(acquired, 1);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run_with("at-exit", "THRUM_PROFILE=locks");
  CHECK_STATUS(child, 0);
  counts(child.err_text, "lock \"the table\"");
  child_free(&child);
  child = child_run("on-demand");
  CHECK_STATUS(child, TRUE_END);
  counts(child.out_text, "lock table");
  CHECK_STR(child.err_text, "");
  child_free(&child);
  child = child_run("at-exit"); /* nobody asked */
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
