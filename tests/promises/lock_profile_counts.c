/* The contention profile: how often each lock was acquired, how often and how long threads waited, behind which place, and behind
 * whom. */
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

/* ---- Who held it ------------------------------------------------------------------------------------------------------- */

static thrum_rwlock shelf;
static bool is_held;

static bool somebody_waits(const uint64_t *word, uint64_t flag) {
  return __atomic_load_n(word, __ATOMIC_RELAXED) & flag;
}

enum { LOCK_WAITERS = 8 }; /* docs/design/locks.md */

static int64_t waited_at_most; /* by all so far, for the table; at least what the profile has */

/* Holds it until somebody has waited for a millisecond; or for that and longer than all before together. Then it ends. */
static void outlast(bool all) { CHECK_EQ(thrum_sleep(THRUM_MS(1) + (all ? waited_at_most : 0)), 0); }

static intptr_t hold_table(void *longest) {
  thrum_lock_acquire(&table);
  STORE(is_held, true);
  AWAIT(somebody_waits(&table.word, LOCK_WAITERS));
  outlast(longest);
  return thrum_lock_release(&table);
}

static intptr_t want_table(void *arg) {
  (void)arg;
  int64_t before = wall_now();
  THRUM_LOCKED(&table) {}
  waited_at_most += wall_now() - before;
  return 0;
}

static intptr_t read_shelf(void *longest) {
  thrum_rwlock_acquire_read(&shelf);
  STORE(is_held, true);
  AWAIT(somebody_waits(&shelf.word, THRUMI_RWLOCK_WRITERS));
  outlast(longest);
  return thrum_rwlock_release_read(&shelf);
}

static intptr_t write_shelf(void *arg) {
  (void)arg;
  THRUM_WRITE_LOCKED(&shelf) {}
  return 0;
}

static void wait_behind(const char *name, thrum_fn *hold, thrum_fn *want, bool longest) {
  thrum_thread holder;
  STORE(is_held, false);
  CHECK_EQ(thrum_spawn_named(&holder, hold, longest ? &table : NULL, "%s", name), 0);
  AWAIT(LOAD(is_held));
  thrum_thread waiter = must_spawn(want, NULL);
  CHECK_EQ(must_join(holder), 0);
  CHECK_EQ(must_join(waiter), 0);
}

/* More names than are kept, of which two come again. However late threads are: when "first" comes, "second" has more than all others
 * together, so it is not the one whose place is taken; and in the end "first" has more than all others together. */
static int holders(void) {
  static const struct {
    const char *name;
    bool longest;
  } turns[] = {{"a", false},     {"b", false},    {"c", false},      {"d", false},
               {"second", true}, {"first", true}, {"second", false}, {"first", true}};
  CHECK(!thrum_profile_locks(true));
  for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++)
    wait_behind(turns[i].name, hold_table, want_table, turns[i].longest);
  wait_behind("reader", read_shelf, write_shelf, false);
  CHECK(thrum_profile_locks(false));
  CHECK_EQ(thrum_lock_profile(1), 2);
  return TRUE_END;
}

static const struct child_case cases[] = {
    {"at-exit", at_exit}, {"on-demand", on_demand}, {"holders", holders}, {0}};

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
  CHECK_HAS(text, "(holds_for_long)\"\n");
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

/* The lines "held by" of one lock: how many, and the sum of their waits; they must come in order, the longest first. */
static int holders_of(const char *text, const char *name, double *sum) {
  const char *line = strchr(strstr(text, name), '\n') + 1;
  int n = 0;
  double waited, before = 1e9;
  *sum = 0;
  for (const char *next; (next = strchr(line, '\n')); line = next + 1) {
    char word[8];
    if (sscanf(line, "%lf %7s", &waited, word) != 2) break;
    if (strcmp(word, "held") != 0 && strcmp(word, "behind") != 0) break; /* the next lock's */
    if (strcmp(word, "held") != 0) continue;
    CHECK(waited <= before);
    before = waited;
    *sum += waited;
    n++;
  }
  return n;
}

/* Four of six names are kept, with all that they had, and what the others had; nothing is lost. */
static void names_holders(void) {
  struct child child = child_run("holders");
  const char *text = child.out_text;
  long long acquired, waits;
  double waited, longest, sum;
  CHECK_STATUS(child, TRUE_END);
  row(text, "lock table", &acquired, &waits, &waited, &longest);
  CHECK_EQ(waits, 8);
  CHECK_EQ(holders_of(text, "lock table", &sum), 4);
  CHECK(sum > waited - 0.0001 && sum < waited + 0.0001);
  CHECK_EQ(holders_of(text, "rwlock shelf", &sum), 1);
  CHECK_HAS(text, "held by \"reader\"");
  const char *first = strstr(text, "held by "), *second = first ? strstr(first + 1, "held by ") : NULL;
  CHECK(first && strncmp(first, "held by \"first\"", 15) == 0);
  CHECK(second && strncmp(second, "held by \"second\"", 16) == 0);
  CHECK(!strstr(first + 1, "held by \"first\"") && !strstr(second + 1, "held by \"second\""));
  child_free(&child);
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
  names_holders();
  child = child_run("at-exit"); /* nobody asked */
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
