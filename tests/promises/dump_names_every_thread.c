/* Promise 6: SIGQUIT, or a call, prints every thread with its name and what it does; the program goes on. */
#include "../child.h"
#include "../dumped.h"
#include "../support.h"

static struct child child;
static bool stop;
static int started;
static int fds[2];

static intptr_t sleep_here(void *arg) {
  (void)arg;
  ADD(started, 1);
  while (!LOAD(stop)) CHECK_EQ(thrum_sleep(THRUM_MS(5)), 0);
  return 0;
}

static intptr_t spin_here(void *arg) {
  (void)arg;
  ADD(started, 1);
  while (!LOAD(stop)) continue;
  return 0;
}

static intptr_t read_here(void *arg) {
  (void)arg;
  char c;
  ADD(started, 1);
  CHECK_EQ(thrum_read(fds[0], &c, 1), 1);
  return 0;
}

static intptr_t join_here(void *arg) {
  ADD(started, 1);
  int error = thrum_wait(*(thrum_thread *)arg);
  ADD(started, -1); /* or the call would take this frame's place */
  return error;
}

static thrum_thread threads[5];

/* Each of these has said that it has started a moment before it waits. */
static bool waits(const char *name) { return strstr(dump_entry(dumped(), name), " waits for ") != NULL; }

static void start_all(void) {
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(thrum_spawn_named(&threads[0], sleep_here, NULL, "the sleeper"), 0);
  CHECK_EQ(thrum_spawn_named(&threads[1], spin_here, NULL, "the spinner"), 0);
  CHECK_EQ(thrum_spawn_named(&threads[2], read_here, NULL, "the reader"), 0);
  CHECK_EQ(thrum_spawn_named(&threads[3], join_here, &threads[2], "the joiner"), 0);
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  options.name = "the bound one";
  CHECK_EQ(thrum_spawn_with(&threads[4], &options, sleep_here, NULL), 0);
  AWAIT(LOAD(started) == 5);
  for (int i = 2; i <= 3; i++) AWAIT(waits(i == 2 ? "the reader" : "the joiner"));
}

static void end_all(void) {
  STORE(stop, true);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < 5; i++) CHECK_EQ(must_join(threads[i]), 0);
}

static void names_all(const char *text) {
  static const char *const names[] = {"MainThread", "the sleeper", "the spinner",
                                      "the reader", "the joiner",  "the bound one"};
  for (int i = 0; i < 6; i++) CHECK_HAS(text, names[i]);
}

static intptr_t dump_by_call(void *arg) {
  (void)arg;
  names_all(dumped());
  CHECK_EQ(thrum_dump(-1), -EBADF);
  return 0;
}

static int by_call(void) {
  start_all();
  run_in_each_kind(dump_by_call, NULL);
  end_all();
  return 0;
}

/* When main waits, too. */
static intptr_t say_started(void *arg) {
  AWAIT(waits("MainThread"));
  CHECK(write(1, "started\n", 8) == 8);
  return (intptr_t)arg;
}

/* Twice, since the program goes on; then it ends in order. */
static int by_signal(void) {
  char c;
  start_all();
  CHECK_EQ(thrum_spawn(NULL, say_started, NULL), 0);
  CHECK_EQ(thrum_read(0, &c, 1), 1);
  end_all();
  return 0;
}

static const struct child_case cases[] = {{"by-call", by_call}, {"by-signal", by_signal}, {0}};

/* ---- What SIGQUIT prints ------------------------------------------------------------------------------------------ */

static void says(const char *name, const char *what, const char *function) {
  const char *of = dump_entry(child.err_text, name);
  CHECK_HAS(of, what);
  CHECK_HAS(of, "\n    "); /* a line of its stack at least */
#if defined(HAVE_DUMP) && !TESTS_SANITIZED
  char line[100];
  snprintf(line, sizeof line, "\n    %s ", function);
  CHECK_HAS(of, line);
  CHECK_HAS(strstr(of, line), "dump_names_every_thread.c:");
#else
  (void)function;
#endif
}

static double waits_for(const char *name) {
  const char *since = strstr(dump_entry(child.err_text, name), ", for ");
  double seconds = -1;
  CHECK(since && sscanf(since, ", for %lf s", &seconds) == 1 && seconds >= 0);
  return seconds;
}

/* The last entry, to its end. */
static bool is_whole(void) {
  const char *last = strstr(child.err_text, "\"the bound one\"");
  return last && strstr(last, "\n\n");
}

static void quit_once(void) {
  child.err_size = 0;
  memset(child.err_text, 0, CHILD_TEXT_MAX);
  CHECK_EQ(kill(child.pid, SIGQUIT), 0);
  for (int64_t end = child_clock() + CHILD_HANG_S * 1000; !is_whole();)
    if (child_clock() > end || !child_pump(&child, 100)) child_hangs(&child, "no dump");
}

/* A kernel thread that the machine does not let answer in time has no stack in it, and one that it holds up may be taken for blocked. */
static bool was_held_up(void) {
  return strstr(child.err_text, "does not answer") ||
         strstr(dump_entry(child.err_text, "the spinner"), "blocked in a plain call");
}

static void quit_and_await(void) {
  quit_once();
  for (int tries = 1; was_held_up(); tries++) {
    CHECK(tries < 10);
    quit_once();
  }
}

static void says_of_each(void) {
  says("MainThread", " main, waiting, waits for input on descriptor 0, for ", "by_signal");
  says("the reader", " light, waiting, waits for input on descriptor ", "read_here");
  says("the joiner", " light, waiting, waits for the end of thread \"the reader\", for ", "join_here");
  says("the sleeper", " light, ", "sleep_here");
  says("the bound one", " bound, ", "sleep_here");
  says("the spinner", " light, r", "spin_here"); /* running or ready */
}

static void is_told_by_signal(void) {
  child = child_start("by-signal", NULL);
  child_await(&child, "started");
  quit_and_await();
  double reader = waits_for("the reader"), joiner = waits_for("the joiner");
  int64_t answered = wall_now();
  says_of_each();
  usleep(50000);                                                 /* time goes by: it is what is measured */
  double passed = (double)(wall_now() - answered) / 1e9 - 0.002; /* as it is rounded */
  quit_and_await();
  says_of_each();
  CHECK(waits_for("the reader") >= reader + passed);
  CHECK(waits_for("the joiner") >= joiner + passed);
  child_say(&child, "x");
  child_finish(&child);
  CHECK_STATUS(child, 0);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  child = child_run("by-call");
  CHECK_STATUS(child, 0);
  child_free(&child);
  is_told_by_signal();
  return 0;
}
