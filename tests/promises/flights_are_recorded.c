/* A flight recorder's file is there after a fatal signal, abort, misuse and a deadlock, and when it is asked for; a recording comes to
 * its end in the same cases, and the program ends as it would have. A file that cannot be written is told, and is not there. What is kept is the end of what happened, without a gap, however often the
 * rings were written over meanwhile. */
#include "../child.h"
#include "../support.h"
#include "../traced.h"

#include <sched/record.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MARKS = 5000, MANY = 100000, SNAPSHOTS = TESTS_SANITIZED ? 20 : 200 };

static char path[64];

/* ---- Ends of programs, each in a process of its own -------------------------------------------------------------- */

static intptr_t take_turns(void *arg) {
  for (int i = 0; i < 10; i++) THRUM_SPAN("turn") {
      thrum_yield();
    }
  return (intptr_t)arg;
}

static thrum_rlock lock;
static thrum_lock other;

static intptr_t wait_for_lock(void *arg) {
  thrum_rlock_acquire(&lock);
  CHECK_EQ(thrum_rlock_release(&lock), 0);
  return (intptr_t)arg;
}

/* Its PARK is recorded before. */
static bool is_parked(thrum_thread handle) {
  uint64_t life;
  const struct thrumi_thread *t = thrumi_lookup(handle, &life);
  return t && thrumi_load_relaxed(&t->state) == THRUMI_WAITING;
}

/* One waits while the program ends. Main waits for nobody, if the others are fast: by its sleep it has a RUN nevertheless. */
static thrum_thread begin(void) {
  thrum_rlock_acquire(&lock);
  CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  thrum_thread turns = must_spawn(take_turns, NULL), waits;
  CHECK_EQ(thrum_spawn_named(&waits, wait_for_lock, NULL, "who waits, and has a long name"), 0);
  CHECK_EQ(must_join(turns), 0);
  AWAIT(is_parked(waits));
  return waits;
}

static volatile uintptr_t nowhere = 8;

static int faults(void) {
  begin();
  *(volatile int *)nowhere = 1;
  return 0;
}

static int aborts(void) {
  begin();
  abort();
}

static int is_killed(void) {
  begin();
  raise(SIGBUS);
  return 0;
}

/* When the first one has begun to write, which switches tracing off, and takes its time. */
static void *fault_behind_another(void *arg) {
  while (thrumi_is_traced()) continue;
  *(volatile int *)nowhere = 2;
  return arg;
}

static int faults_twice(void) {
  pthread_t other_one;
  begin();
  for (int i = 0; i < MANY; i++) thrum_trace_mark("many");
  CHECK_EQ(pthread_create(&other_one, NULL, fault_behind_another, NULL), 0);
  *(volatile int *)nowhere = 1;
  return 0;
}

/* Of a signal that thrum handles itself. */
static int is_sent_a_fault(void) {
  begin();
  raise(SIGSEGV);
  return 0;
}

/* Returning from the handler would go on behind it. */
static int meets_a_breakpoint(void) {
  begin();
#if defined(__x86_64__)
  __asm__ volatile("int3");
#else
  __asm__ volatile("brk #0");
#endif
  return 0;
}

static int misuses(void) {
  begin();
  THRUM_LOCKED(&other) { thrum_lock_release(&other); }
  return 0;
}

/* A cycle that nobody can end: found wherever threads cannot be counted, too. */
static int ends_in_deadlock(void) {
  CHECK_EQ(thrum_wait(begin()), 0);
  return 0;
}

/* Room for a part of the file, as on a disk that fills; no signal of that ends it. */
static int has_no_room(void) {
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, 100}), 0);
  return misuses();
}

/* When it began it was there. */
static int loses_its_directory(void) {
  const char *file = strchr(getenv("THRUM_TRACE"), '/');
  char directory[80];
  snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(file, '/') - file), file);
  begin();
  CHECK_EQ(rmdir(directory), 0);
  return misuses();
}

static int ends_well(void) {
  begin();
  CHECK_EQ(thrum_rlock_release(&lock), 0);
  return 0;
}

static const struct child_case cases[] = {{"faults", faults},
                                          {"faults twice", faults_twice},
                                          {"aborts", aborts},
                                          {"is killed", is_killed},
                                          {"is sent a fault", is_sent_a_fault},
                                          {"meets a breakpoint", meets_a_breakpoint},
                                          {"deadlock", ends_in_deadlock},
                                          {"misuses", misuses},
                                          {"has no room", has_no_room},
                                          {"loses its directory", loses_its_directory},
                                          {"ends well", ends_well},
                                          {0}};

static struct traced_thread *named(struct traced *t, const char *name) {
  for (size_t i = 0; i < TRACED_THREADS; i++)
    if (t->threads[i].name && strcmp(t->threads[i].name, name) == 0) return &t->threads[i];
  check_failed(__FILE__, __LINE__, "no thread has the name %s", name);
}

/* The last one known of it is that it waits. */
static void look_at(bool flight, bool waits) {
  struct traced *t = traced_read(path);
  CHECK(t->ended);
  CHECK_EQ(t->header.flags, flight ? THRUMI_TRACE_FLIGHT : 0);
  CHECK_EQ(traced_count(t, THRUMI_EVENT_SPAN_BEGIN, 0), 10);
  traced_check(t);
  struct traced_thread *waiter = named(t, "who waits, and has a long name");
  CHECK_EQ(waiter->state, waits ? TRACED_PARKED : TRACED_ENDED);
  CHECK(named(t, "MainThread")->runs > 0);
  CHECK_EQ(unlink(path), 0);
  traced_free(t);
}

/* A sanitizer's own handler may be the one of a fault. */
static void ends(const char *name, bool flight, int status) {
  char setting[128];
  snprintf(setting, sizeof setting, "THRUM_TRACE=%s%s", flight ? "flight:" : "", path);
  struct child child = child_run_with(name, setting);
  if (!TESTS_SANITIZED || status < CHILD_SIGNALLED) CHECK_STATUS(child, status);
  if (flight && !strcmp(name, "ends well"))
    CHECK_EQ(access(path, F_OK), -1);
  else
    look_at(flight, strcmp(name, "ends well") != 0);
  if (flight && strcmp(name, "ends well")) CHECK_HAS(child.err_text, "what happened last is in");
  child_free(&child);
}

static void all_ends(bool flight) {
  if (!TESTS_SANITIZED) ends("faults", flight, CHILD_SIGNALLED + SIGSEGV);
  if (!TESTS_SANITIZED) ends("is killed", flight, CHILD_SIGNALLED + SIGBUS);
  if (!TESTS_SANITIZED) ends("faults twice", flight, CHILD_SIGNALLED + SIGSEGV);
  if (!TESTS_SANITIZED) ends("is sent a fault", flight, CHILD_SIGNALLED + SIGSEGV);
  if (!TESTS_SANITIZED) ends("meets a breakpoint", flight, CHILD_SIGNALLED + SIGTRAP);
  ends("aborts", flight, CHILD_SIGNALLED + SIGABRT);
  ends("misuses", flight, CHILD_SIGNALLED + SIGABRT);
  ends("deadlock", flight, THRUM_EXIT_DEADLOCK);
  ends("ends well", flight, 0);
}

/* What cannot be written is told, ahead of time where that can be seen, and nothing half-written stays. */
static void cannot_be_written(const char *name, const char *file, const char *says) {
  char setting[128];
  snprintf(setting, sizeof setting, "THRUM_TRACE=flight:%s", file);
  struct child child = child_run_with(name, setting);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, says);
  CHECK_EQ(access(file, F_OK), -1);
  child_free(&child);
}

static void obstacles(void) {
  char directory[80], file[96];
  snprintf(directory, sizeof directory, "%s.d", path);
  snprintf(file, sizeof file, "%s/file", directory);
  CHECK_EQ(mkdir(directory, 0700), 0);
  cannot_be_written("loses its directory", file, "what happened last cannot be written to /tmp/");
  cannot_be_written("has no room", path, "what happened last cannot be written to /tmp/");
  cannot_be_written("misuses", "/nonexistent/file", "cannot record to /nonexistent/file: No such file");
}

/* ---- On demand --------------------------------------------------------------------------------------------------- */

static void start(size_t ring, thrum_duration keep) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.flight = true;
  options.ring = ring;
  options.keep = keep;
  CHECK_EQ(thrum_trace_start(&options), 0);
}

/* Counters go up by one, each by one thread. Returns the last value. */
static int64_t expect_no_gap(const struct traced *t, size_t *count) {
  int64_t last = -1;
  *count = 0;
  for (size_t i = 0; i < t->count; i++) {
    const struct thrumi_event *e = &t->events[i];
    if (e->kind != THRUMI_EVENT_COUNTER) continue;
    if (last >= 0) CHECK_EQ((int64_t)e->object, last + 1);
    last = (int64_t)e->object;
    ++*count;
  }
  return last;
}

/* Bound threads have a worker as others do, and light ones may move: a foreign one has all it puts in one ring. */
static intptr_t count_up(void *arg) {
  (void)arg;
  for (int i = 0; i < MARKS; i++) thrum_trace_count("up", i);
  return 0;
}

static void keeps_the_end(void) {
  size_t count;
  start(4 << 10, 0);
  CHECK_EQ(run_outside(count_up, NULL), 0);
  CHECK_EQ(thrum_trace_snapshot(path), 0);
  struct traced *t = traced_read(path);
  CHECK(t->ended);
  CHECK_EQ(expect_no_gap(t, &count), MARKS - 1);
  CHECK(count >= (4 << 10) / 32 - 16 && count < (4 << 10) / 32); /* beside it, events of the thread itself */
  traced_free(t);
  CHECK_EQ(thrum_trace_stop(), 0);
}

static bool over;

static intptr_t count_for_ever(void *arg) {
  for (int64_t i = 0; !LOAD(over); i++) thrum_trace_count("up", i);
  return (intptr_t)arg;
}

static intptr_t take_snapshots(void *arg) {
  for (int i = 0; i < SNAPSHOTS; i++) {
    size_t count;
    CHECK_EQ(thrum_trace_snapshot(path), 0);
    struct traced *t = traced_read(path);
    CHECK(t->ended);
    if (!t->lost) expect_no_gap(t, &count);
    traced_free(t);
  }
  STORE(over, true);
  return (intptr_t)arg;
}

/* It is written over all the time while it is read. */
static void is_read_while_it_is_written(void) {
  start(2 << 10, 0);
  thrum_thread t = must_spawn_bound(take_snapshots, NULL);
  CHECK_EQ(run_outside(count_for_ever, NULL), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_trace_stop(), 0);
}

/* Marks, and takes a snapshot of the last 200 ms. Whether that was less than 200 ms ago. */
static bool marks_in_time(void) {
  int64_t before = wall_now();
  thrum_trace_mark("new");
  CHECK_EQ(thrum_trace_snapshot(path), 0);
  return wall_now() - before < THRUM_MS(200);
}

/* What is older than that is not kept. */
static void keeps_so_long(void) {
  start(0, THRUM_MS(200));
  thrum_trace_mark("old");
  int64_t marked = wall_now();
  AWAIT(wall_now() - marked > THRUM_MS(250));
  AWAIT(marks_in_time());
  struct traced *t = traced_read(path);
  for (size_t i = 0; i < t->count; i++) {
    CHECK(t->events[i].time >= t->header.began);
    if (t->events[i].kind == THRUMI_EVENT_MARK) CHECK_STR(traced_string(t, t->events[i].detail), "new");
  }
  CHECK(traced_count(t, THRUMI_EVENT_MARK, 0) > 0);
  traced_free(t);
  CHECK_EQ(thrum_trace_snapshot("/nonexistent/file"), -ENOENT);
  CHECK_EQ(thrum_trace_stop(), 0);
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.flight = true;
  options.file = "/nonexistent/file";
  CHECK_EQ(thrum_trace_start(&options), -ENOENT);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  snprintf(path, sizeof path, "/tmp/flights_are_recorded.%d", (int)getpid());
  all_ends(true); /* first: ThreadSanitizer lets no program fork that uses thrum already */
  all_ends(false);
  obstacles();
  keeps_the_end();
  is_read_while_it_is_written();
  keeps_so_long();
  CHECK_EQ(unlink(path), 0);
  return 0;
}
