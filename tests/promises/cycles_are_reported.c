/* Promise 6: threads that wait for each other are found while others run. If nothing can end that, the program ends with status
 * 86; if somebody's release might, it is said once, as suspected, when it has lasted, and the program goes on. */
#include "../child.h"
#include "../support.h"

static thrum_rlock table, chairs;
static thrum_lock left, right;
static thrum_rwlock ledger, archive;
static thrum_gil interpreter;
static thrum_once first, second;
static thrum_cond moved;
static thrum_thread threads[3];
static int holding;

static void start(int i, thrum_fn *fn, const char *name, bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = bound;
  options.name = name;
  CHECK_EQ(thrum_spawn_with(&threads[i], &options, fn, NULL), 0);
}

static void both_hold(int n) {
  ADD(holding, 1);
  AWAIT(LOAD(holding) == n);
}

/* Others are there and work on: the verdict does not need everybody to sleep. */
static int go_on(void) {
  for (int64_t end = wall_now() + TESTS_HANG_S * INT64_C(1000000000); wall_now() < end;)
    CHECK_EQ(thrum_sleep(THRUM_MS(5)), 0);
  return 1;
}

/* ---- For certain ------------------------------------------------------------------------------------------------------ */

enum { CHAIRS_WANTED = __LINE__ + 6, TABLE_WANTED = CHAIRS_WANTED + 8 }; /* lines */

static intptr_t lays_table(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&table);
  both_hold(2);
  thrum_rlock_acquire(&chairs);
  return 0;
}

static intptr_t brings_chairs(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&chairs);
  both_hold(2);
  thrum_rlock_acquire(&table);
  return 0;
}

static void start_two(bool bound) {
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  start(0, lays_table, "lays-table", bound);
  start(1, brings_chairs, "brings-chairs", bound);
}

static int two_rlocks(void) {
  start_two(false);
  return go_on();
}

static int two_rlocks_bound(void) {
  start_two(true);
  return go_on();
}

static intptr_t works_on(void *arg) {
  (void)arg;
  return go_on();
}

static int main_is_in_it(void) {
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  start(0, brings_chairs, "brings-chairs", false);
  start(1, works_on, "works-on", false);
  return (int)lays_table(NULL);
}

static void *foreign_chairs(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_set_name(thrum_current(), "brings-chairs"), 0);
  brings_chairs(NULL);
  return NULL;
}

static int foreign_is_in_it(void) {
  pthread_t outside;
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  start(0, lays_table, "lays-table", false);
  CHECK_EQ(pthread_create(&outside, NULL, foreign_chairs, NULL), 0);
  return go_on();
}

static intptr_t wants_table(void *arg) {
  (void)arg;
  STORE(holding, 1);
  thrum_rlock_acquire(&table);
  return 0;
}

/* One joins the other while it holds what that one wants; as a guest on its stack, if it is started last. */
static intptr_t joins_holding(void *arg) {
  thrum_thread t;
  thrum_rlock_acquire(&table);
  CHECK_EQ(thrum_spawn_named(&t, wants_table, NULL, "brings-chairs"), 0);
  if (arg) AWAIT(LOAD(holding));
  return thrum_join(t, NULL);
}

static int join_and_rlock(void) {
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  CHECK_EQ(thrum_spawn_named(&threads[0], joins_holding, NULL, "lays-table"), 0);
  return go_on();
}

static int join_later(void) {
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  CHECK_EQ(thrum_spawn_named(&threads[0], joins_holding, &table, "lays-table"), 0);
  return go_on();
}

/* The last wait to begin is begun by somebody else: the notify that moves a waiter to its lock. */
static intptr_t waits_in_condition(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&chairs);
  thrum_rlock_acquire(&table);
  STORE(holding, 1);
  return thrum_cond_wait_rlock(&moved, &table);
}

static intptr_t wants_chairs(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&table);
  ADD(holding, 1);
  thrum_rlock_acquire(&chairs);
  return 0;
}

static int notify_closes_it(void) {
  CHECK_EQ(thrum_rlock_set_name(&table, "the table"), 0);
  start(0, waits_in_condition, "brings-chairs", false);
  AWAIT(LOAD(holding) == 1);
  start(1, wants_chairs, "lays-table", false);
  AWAIT(LOAD(holding) == 2);
  CHECK_EQ(thrum_sleep(THRUM_MS(50)), 0);
  thrum_cond_notify(&moved, 1);
  return go_on();
}

/* Who holds an rwlock to write is in its word: a wait for it, to write or to read, is exact. */
static intptr_t writes_ledger_then_archive(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&ledger);
  both_hold(2);
  thrum_rwlock_acquire_write(&archive);
  return 0;
}

static intptr_t writes_archive_then_ledger(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&archive);
  both_hold(2);
  thrum_rwlock_acquire_write(&ledger);
  return 0;
}

static intptr_t writes_archive_then_reads_ledger(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&archive);
  both_hold(2);
  thrum_rwlock_acquire_read(&ledger);
  return 0;
}

static int two_writers(void) {
  CHECK_EQ(thrum_rwlock_set_name(&ledger, "the ledger"), 0);
  start(0, writes_ledger_then_archive, "writes-first", false);
  start(1, writes_archive_then_ledger, "comes-second", true);
  return go_on();
}

static int reader_and_writer(void) {
  CHECK_EQ(thrum_rwlock_set_name(&ledger, "the ledger"), 0);
  start(0, writes_ledger_then_archive, "writes-first", true);
  start(1, writes_archive_then_reads_ledger, "comes-second", false);
  return go_on();
}

/* The same lock holds up both: a writer joins one that wants to read. */
static intptr_t reads_ledger(void *arg) {
  (void)arg;
  THRUM_READ_LOCKED(&ledger) {}
  return 0;
}

static intptr_t joins_writing(void *arg) {
  thrum_thread t;
  (void)arg;
  thrum_rwlock_acquire_write(&ledger);
  CHECK_EQ(thrum_spawn_named(&t, reads_ledger, NULL, "comes-second"), 0);
  return thrum_wait(t);
}

static int join_and_rwlock(void) {
  CHECK_EQ(thrum_rwlock_set_name(&ledger, "the ledger"), 0);
  start(0, joins_writing, "writes-first", false);
  return go_on();
}

/* One rlock, one rwlock. */
static intptr_t lays_table_and_writes(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&table);
  both_hold(2);
  thrum_rwlock_acquire_write(&ledger);
  return 0;
}

static intptr_t writes_and_wants_table(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&ledger);
  both_hold(2);
  thrum_rlock_acquire(&table);
  return 0;
}

static int rlock_and_rwlock(void) {
  CHECK_EQ(thrum_rwlock_set_name(&ledger, "the ledger"), 0);
  start(0, lays_table_and_writes, "comes-second", false);
  start(1, writes_and_wants_table, "writes-first", false);
  return go_on();
}

static void say_so(void) {
  static const char text[] = "the hook was called\n";
  CHECK(write(2, text, sizeof text - 1) > 0);
}

static int hook(void) {
  CHECK(thrum_on_deadlock(say_so) == NULL);
  return two_rlocks();
}

/* ---- Suspected -------------------------------------------------------------------------------------------------------- */

static bool reported;

/* A report ends with an empty line. */
static void watch_log(const char *message, size_t length) {
  CHECK_EQ(write(2, message, length), (ssize_t)length);
  if (length == 1) STORE(reported, true);
}

static void watch_reports(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.log = watch_log;
  CHECK_EQ(thrum_configure(&config), 0);
}

enum { RIGHT_WANTED = __LINE__ + 6, LEFT_WANTED = RIGHT_WANTED + 9 };

static intptr_t left_then_right(void *arg) {
  (void)arg;
  thrum_lock_acquire(&left);
  both_hold(2);
  thrum_lock_acquire(&right);
  CHECK_EQ(thrum_lock_release(&left), 0);
  return 0;
}

static intptr_t right_then_left(void *arg) {
  (void)arg;
  thrum_lock_acquire(&right);
  both_hold(2);
  thrum_lock_acquire(&left);
  CHECK_EQ(thrum_lock_release(&right), 0);
  return 0;
}

static int cycles_now(void) {
  FILE *file = tmpfile();
  CHECK(file);
  int found = thrum_find_deadlocks(fileno(file));
  fclose(file);
  return found;
}

/* Threads that wait for those in a cycle, in a row longer than who begins to wait looks ahead. */
enum { TAIL = 100 };
static thrum_thread tail[TAIL];

static intptr_t joins_one(void *t) { return thrum_wait(*(thrum_thread *)t); }

static void start_tail(void) {
  for (int i = 0; i < TAIL; i++) {
    tail[i] = must_spawn(joins_one, i ? &tail[i - 1] : &threads[0]);
    thrum_yield();
  }
}

/* Anybody may release a lock: main does, after a while. */
static int two_locks(void) {
  watch_reports();
  CHECK_EQ(thrum_lock_set_name(&right, "the right one"), 0);
  CHECK_EQ(cycles_now(), 0);
  start(0, left_then_right, "lefty", false);
  start(1, right_then_left, "righty", false);
  AWAIT(cycles_now() == 1);
  start_tail();
  CHECK_EQ(thrum_find_deadlocks(1), 1);
  AWAIT(LOAD(reported));
  CHECK_EQ(thrum_sleep(THRUM_MS(1500)), 0);
  CHECK_EQ(thrum_lock_release(&right), 0);
  for (int i = TAIL; i; i--) CHECK_EQ(must_join(tail[i - 1]), 0);
  CHECK_EQ(must_join(threads[0]), 0);
  CHECK_EQ(must_join(threads[1]), 0);
  CHECK_EQ(cycles_now(), 0);
  return 42;
}

static intptr_t takes_it_again_and_again(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) thrum_lock_acquire(&left);
  return 0;
}

/* The same suspicion twice is said once. */
static int itself(void) {
  watch_reports();
  start(0, takes_it_again_and_again, "lefty", false);
  for (int i = 0; i < 2; i++) {
    AWAIT(cycles_now() == 1 && LOAD(reported));
    CHECK_EQ(thrum_sleep(THRUM_MS(1500)), 0);
    CHECK_EQ(thrum_lock_release(&left), 0);
  }
  return must_join(threads[0]) == 0 ? 42 : 1;
}

/* A wait that can be cancelled makes a cycle of rlocks one that somebody may end. */
static intptr_t brings_chairs_unless_cancelled(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&chairs);
  both_hold(2);
  return thrum_rlock_acquire_for(&table, THRUM_FOREVER);
}

static int cancellable(void) {
  watch_reports();
  start(0, lays_table, "lays-table", false);
  start(1, brings_chairs_unless_cancelled, "brings-chairs", false);
  AWAIT(LOAD(reported));
  _exit(42);
}

/* A gil is suspected, too. */
static intptr_t interprets_then_left(void *arg) {
  (void)arg;
  thrum_gil_acquire(&interpreter);
  both_hold(2);
  thrum_lock_acquire(&left);
  return thrum_lock_release(&left) + thrum_gil_release(&interpreter);
}

static intptr_t left_then_interprets(void *arg) {
  (void)arg;
  thrum_lock_acquire(&left);
  both_hold(2);
  thrum_gil_acquire(&interpreter);
  return thrum_gil_release(&interpreter);
}

static int gil_and_lock(void) {
  watch_reports();
  start(0, interprets_then_left, "interprets", false);
  start(1, left_then_interprets, "lefty", true);
  AWAIT(cycles_now() == 1);
  AWAIT(LOAD(reported));
  CHECK_EQ(thrum_lock_release(&left), 0);
  CHECK_EQ(must_join(threads[0]), 0);
  CHECK_EQ(must_join(threads[1]), 0);
  CHECK_EQ(cycles_now(), 0);
  return 42;
}

/* Two onces whose functions call each other. Nobody else can end that; but a thread still waits, for a moment, when the run that it
 * waited for has failed and another one has begun, so thrum does not say that it is certain. */
static intptr_t is_not_run(void *arg) {
  (void)arg;
  check_failed(__FILE__, __LINE__, "it has run twice");
}

enum { OTHER_CALLED = __LINE__ + 4 };

static intptr_t calls_other(void *other) {
  both_hold(2);
  return thrum_once_call(other, is_not_run, NULL);
}

static intptr_t begins_with_first(void *arg) {
  (void)arg;
  return thrum_once_call(&first, calls_other, &second);
}
static intptr_t begins_with_second(void *arg) {
  (void)arg;
  return thrum_once_call(&second, calls_other, &first);
}

static int two_onces(void) {
  watch_reports();
  start(0, begins_with_first, "runs-first", false);
  start(1, begins_with_second, "runs-second", true);
  AWAIT(LOAD(reported));
  CHECK_EQ(cycles_now(), 1);
  _exit(42);
}

static int nothing_else_runs(void) {
  start(0, left_then_right, "lefty", false);
  start(1, right_then_left, "righty", false);
  return thrum_join(threads[0], NULL);
}

static const struct child_case cases[] = {{"two-rlocks", two_rlocks},
                                          {"two-rlocks-bound", two_rlocks_bound},
                                          {"main-is-in-it", main_is_in_it},
                                          {"foreign-is-in-it", foreign_is_in_it},
                                          {"join-and-rlock", join_and_rlock},
                                          {"join-later", join_later},
                                          {"notify-closes-it", notify_closes_it},
                                          {"hook", hook},
                                          {"two-writers", two_writers},
                                          {"reader-and-writer", reader_and_writer},
                                          {"join-and-rwlock", join_and_rwlock},
                                          {"rlock-and-rwlock", rlock_and_rwlock},
                                          {"two-locks", two_locks},
                                          {"itself", itself},
                                          {"cancellable", cancellable},
                                          {"gil-and-lock", gil_and_lock},
                                          {"two-onces", two_onces},
                                          {"nothing-else-runs", nothing_else_runs},
                                          {0}};

static size_t times(const char *text, const char *part) {
  size_t n = 0;
  for (; (text = strstr(text, part)); text += strlen(part)) n++;
  return n;
}

/* All at once: they spend their time waiting. */
static struct child started[sizeof cases / sizeof *cases];

static void start_all(void) {
  for (int i = 0; cases[i].name; i++)
    if (!TESTS_TSAN || strcmp(cases[i].name, "nothing-else-runs") != 0)
      started[i] = child_start(cases[i].name, NULL);
}

static struct child finished(const char *name) {
  int i = 0;
  while (strcmp(cases[i].name, name) != 0) i++;
  child_finish(&started[i]);
  return started[i];
}

/* Where each of them waits, if places can be had: in the stacks that follow. The kernel thread of a bound one must answer for that
 * within 0.3 s; where the machine does not let it run the report says so instead. */
static void has_lines(const char *text, int one, int other) {
  char place[64];
  const char *silent = strstr(text, "does not answer");
  int excused = silent ? strstr(silent + 1, "does not answer") ? 2 : 1 : 0;
#ifndef HAVE_DUMP
  one = other = 0;
#endif
  for (int i = 0; i < 2 && one; i++) {
    snprintf(place, sizeof place, "/cycles_are_reported.c:%d\n", i ? other : one);
    if (strstr(text, place) || excused-- > 0) continue;
    check_failed(__FILE__, __LINE__, "%s is not in the report, which is:\n%s", place, text);
  }
}

static void ends_for_certain(const char *name, const char *wait, const char *waiter) {
  struct child child = finished(name);
  const char *text = child.err_text;
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(text, "deadlock: 2 threads wait for each other, and nothing can end that");
  CHECK_HAS(text, wait);
  CHECK_HAS(text, waiter);
  CHECK_EQ(times(text, "and nothing can end that"), 1);
  CHECK_EQ(times(text, "suspected"), 0);
  if (strncmp(name, "two-rlocks", 10) == 0) has_lines(text, CHAIRS_WANTED, TABLE_WANTED);
  if (strcmp(name, "hook") == 0) {
    const char *hooked = strstr(text, "the hook was called");
    CHECK(hooked && hooked < strstr(text, "brings-chairs"));
    CHECK_EQ(times(text, "the hook was called"), 1);
  }
  child_free(&child);
}

static void is_only_suspected(const char *name, const char *what) {
  struct child child = finished(name);
  CHECK_STATUS(child, 42);
  CHECK_EQ(times(child.err_text, "suspected deadlock: "), 1);
  CHECK_EQ(times(child.err_text, " #"),
           strcmp(name, "itself") == 0 ? 1 : 2); /* with the stacks of those in it */
  CHECK_HAS(child.err_text, what);
  CHECK_EQ(times(child.err_text, "nothing can end that"), 0);
  if (strcmp(name, "two-onces") == 0) has_lines(child.err_text, OTHER_CALLED, OTHER_CALLED);
  if (strcmp(name, "two-locks") == 0) {
    has_lines(child.err_text, RIGHT_WANTED, LEFT_WANTED);
    CHECK_HAS(child.out_text, "waits for lock \"the right one\" held by \"righty\"");
  }
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  start_all();
  static const char for_table[] = "waits for rlock \"the table\" held by";
  static const char to_write[] =
      "\"comes-second\" waits for rwlock to write \"the ledger\" held by \"writes-first\"";
  static const char to_read[] =
      "\"comes-second\" waits for rwlock to read \"the ledger\" held by \"writes-first\"";
  for (int i = 0; i < 8; i++) ends_for_certain(cases[i].name, for_table, "\"brings-chairs\"");
  ends_for_certain("two-writers", to_write, "\"writes-first\" waits for rwlock to write archive held by");
  ends_for_certain("reader-and-writer", to_read,
                   "\"writes-first\" waits for rwlock to write archive held by");
  ends_for_certain("join-and-rwlock", to_read,
                   "\"writes-first\" waits for the end of thread \"comes-second\"");
  ends_for_certain("rlock-and-rwlock", to_write,
                   "\"writes-first\" waits for rlock table held by \"comes-second\"");
  is_only_suspected("two-locks", "waits for lock left held by \"lefty\"");
  is_only_suspected("cancellable", "waits for rlock table held by \"lays-table\"");
  is_only_suspected("gil-and-lock", "\"lefty\" waits for gil interpreter held by \"interprets\"");
  is_only_suspected("two-onces", "\"runs-first\" waits for once second held by \"runs-second\"");
  is_only_suspected("itself", "waits for lock left held by \"lefty\", itself");
  if (TESTS_TSAN) return 0; /* it has a kernel thread that might wake somebody, for all that thrum knows */
  struct child child = finished("nothing-else-runs");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, "every thread waits");
  CHECK_HAS(child.err_text, "waits for lock right held by \"righty\"");
  CHECK_HAS(child.err_text, "waits for lock left held by \"lefty\"");
  CHECK_HAS(child.err_text, "waits for the end of thread \"lefty\"");
  child_free(&child);
  return 0;
}
