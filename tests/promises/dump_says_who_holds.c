/* A dump says of each thread what it holds: what others wait for always, and how many; all that it took while somebody watches. Who
 * waits is told who holds that, and what the holder does now; so it is in the report of a deadlock. */
#include "../child.h"
#include "../dumped.h"
#include "../support.h"

static thrum_lock lock, unwanted;
static thrum_rlock rlock;
static thrum_rwlock rwlock, shelf;
static thrum_gil gil;
static thrum_event over;
static bool holds, stop;
static int line_of_wait; /* in hold_and_wait, the same in each process */

static size_t times(const char *in, const char *part) {
  size_t n = 0;
  for (; (in = strstr(in, part)); in += strlen(part)) n++;
  return n;
}

__attribute__((noinline)) static void take_all(void) {
  thrum_lock_acquire(&unwanted);
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  thrum_rlock_acquire(&rlock);
  thrum_rwlock_acquire_write(&rwlock);
  thrum_rwlock_acquire_read(&shelf);
  thrum_gil_acquire(&gil);
  STORE(holds, true);
}

static void give_all(void) {
  STORE(holds, false);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK_EQ(thrum_rwlock_release_read(&shelf), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0);
  CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(thrum_lock_release(&unwanted), 0);
}

static intptr_t hold_and_wait(void *arg) {
  (void)arg;
  take_all();
  line_of_wait = __LINE__ + 1;
  thrum_event_wait(&over);
  give_all();
  return 0;
}

static intptr_t hold_and_compute(void *arg) {
  (void)arg;
  take_all();
  while (!LOAD(stop)) continue;
  give_all();
  return 0;
}

static intptr_t want_lock(void *arg) {
  (void)arg;
  THRUM_LOCKED(&lock) {}
  return 0;
}

static intptr_t want_rlock(void *arg) {
  (void)arg;
  THRUM_RLOCKED(&rlock) {}
  return 0;
}

static intptr_t want_rwlock(void *arg) {
  (void)arg;
  THRUM_READ_LOCKED(&rwlock) {}
  return 0;
}

static intptr_t want_gil(void *arg) {
  (void)arg;
  THRUM_GIL_LOCKED(&gil) {}
  return 0;
}

enum { WANT = 6 };
static thrum_fn *const want[WANT] = {want_lock, want_lock, want_rlock, want_rwlock, want_gil, want_lock};
static const char *const names[WANT] = {"one", "two", "three", "four", "five", "six"};

static void await_waiting(const char *name) {
  while (!strstr(dump_entry(dumped(), name), "waits for ")) thrum_sleep(THRUM_MS(1));
}

/* One holds it all, six want some of it. Returns what the dump says then. */
static const char *dump_while(thrum_fn *hold) {
  thrum_thread holder, wants[WANT];
  thrum_event_clear(&over);
  STORE(stop, false);
  CHECK_EQ(thrum_lock_set_name(&lock, "the lock"), 0);
  CHECK_EQ(thrum_spawn_named(&holder, hold, NULL, "holder"), 0);
  AWAIT(LOAD(holds));
  for (int i = 0; i < WANT; i++) CHECK_EQ(thrum_spawn_named(&wants[i], want[i], NULL, "%s", names[i]), 0);
  for (int i = 0; i < WANT; i++) await_waiting(names[i]);
  if (hold == hold_and_wait) await_waiting("holder");
  static char found[1 << 20];
  strcpy(found, dumped());
  STORE(stop, true);
  thrum_event_set(&over);
  CHECK_EQ(must_join(holder), 0);
  for (int i = 0; i < WANT; i++) CHECK_EQ(must_join(wants[i]), 0);
  return found;
}

/* What nobody waits for is not known; and nothing is said of those who hold nothing. */
static void what_is_waited_for(void) {
  const char *dump = dump_while(hold_and_wait), *of_holder = dump_entry(dump, "holder");
  CHECK_HAS(of_holder, "\n  holds lock \"the lock\", for which 3 threads wait\n");
  CHECK_HAS(of_holder, "\n  holds rlock rlock, for which 1 thread waits\n");
  CHECK_HAS(of_holder, "\n  holds rwlock rwlock, for which 1 thread waits\n");
  CHECK_HAS(of_holder, "\n  holds gil gil, for which 1 thread waits\n");
  CHECK_EQ(times(dump, "  holds "), 4);
  CHECK_HAS(dump_entry(dump, "one"),
            "waits for lock \"the lock\" held by \"holder\" (waits for event), for ");
  CHECK_HAS(dump_entry(dump, "five"), "waits for gil gil held by \"holder\" (waits for event), for ");
  /* Running, or ready to; but a dump stops it, and while that lasts its worker may be taken from it. */
  int tries = 0;
  do {
    CHECK(++tries <= 10);
    dump = dump_while(hold_and_compute);
    CHECK_HAS(dump_entry(dump, "four"), "waits for rwlock to read rwlock held by \"holder\" (");
    CHECK_HAS(dump_entry(dump, "holder"), "  holds rwlock rwlock, for which 1 thread waits\n");
  } while (!strstr(dump_entry(dump, "four"), "held by \"holder\" (r"));
}

/* In the order in which it was taken, with the places. */
static void what_was_watched(void) {
  static const char *const wanted[] = {
      "  holds lock unwanted, taken in ",        "  holds lock \"the lock\", taken in ",
      "  holds rlock rlock, taken in ",          "  holds rwlock rwlock, taken in ",
      "  holds rwlock shelf to read, taken in ", "  holds gil gil, taken in "};
  CHECK(!thrum_check_locks(true));
  const char *dump = dump_while(hold_and_wait), *at = dump_entry(dump, "holder");
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    CHECK_HAS(at, wanted[i]);
    at = strstr(at, wanted[i]);
  }
  CHECK_EQ(times(dump, "  holds "), 6);
  CHECK_EQ(times(dump, ", for which 3 threads wait\n"), 1);
  CHECK_EQ(times(dump, ", for which 1 thread waits\n"), 3);
#ifdef HAVE_DUMP
  CHECK_HAS(dump_entry(dump, "holder"), "  holds lock unwanted, taken in take_all, ");
#endif
  thrum_lock_acquire(&unwanted);
  CHECK_HAS(dump_entry(dumped(), "MainThread"), "  holds lock unwanted, taken in ");
  CHECK(thrum_check_locks(false));
  CHECK_EQ(times(dumped(), "  holds "), 0); /* from here on it may be released unseen */
  CHECK_EQ(thrum_lock_release(&unwanted), 0);
  dump = dump_while(hold_and_wait);
  CHECK_EQ(times(dump, "  holds "), 4);
  CHECK_EQ(times(dump, ", taken in "), 0);
}

/* Nothing can run; no cycle, since an event is nobody's. */
static int all_wait(void) {
  thrum_thread holder;
  CHECK_EQ(thrum_spawn_named(&holder, hold_and_wait, NULL, "holder"), 0);
  AWAIT(LOAD(holds));
  return (int)want_rlock(NULL);
}

static const struct child_case cases[] = {{"all-wait", all_wait}, {0}};

static void report_says_what_holder_does(void) {
  struct child child = child_run("all-wait");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, "every thread waits");
  CHECK_HAS(dump_entry(child.err_text, "MainThread"),
            "waits for rlock rlock held by \"holder\" (waits for event), for ");
  const char *of_holder = dump_entry(child.err_text, "holder");
  CHECK_HAS(of_holder, ", waits for event over, for ");
  CHECK_HAS(of_holder, "  holds rlock rlock, for which 1 thread waits\n");
#ifdef HAVE_DUMP
  char place[64]; /* its stack, by file and line */
  snprintf(place, sizeof place, "dump_says_who_holds.c:%d\n", line_of_wait);
  CHECK_HAS(of_holder, "    hold_and_wait ");
  CHECK_HAS(strstr(of_holder, "    hold_and_wait "), place);
#endif
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  what_is_waited_for();
  what_was_watched();
  if (!TESTS_TSAN)
    report_says_what_holder_does(); /* it has a kernel thread that might wake somebody, for all that thrum knows */
  return 0;
}
