/* Promise 1: a thread that lost its worker in a plain call and then computes is stopped, and takes turns with the others like any, though
 * it calls nothing of the runtime's; also where it shares its CPU, and burns little of an interval. */
#include "../support.h"

#include <core/hooks.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

enum { ROUNDS = 5, CROWD = 6, CROWDED_ROUNDS = 2 };

static int fds[2];
static uint64_t lost, regained; /* handles, as they are traced */
static uint64_t others[2];      /* who may lose its worker for a moment, too */
static bool go_on;
static uint64_t loops;

static void note(enum thrumi_event_kind kind, uint64_t thread, uint64_t object, uint64_t detail,
                 uint64_t stamp) {
  (void)object, (void)detail, (void)stamp;
  if (thread == LOAD(others[0]) || thread == LOAD(others[1])) return;
  if (kind == THRUMI_EVENT_LEASE) STORE(lost, thread);
  if (kind == THRUMI_EVENT_REGAIN) STORE(regained, thread);
}

static intptr_t read_and_compute(void *arg) {
  char c;
  CHECK_EQ(read(fds[0], &c, 1), 1);
  while (!LOAD(go_on)) STORE(loops, loops + 1);
  return (intptr_t)arg;
}

/* The hog has the only worker, and the other one computes on a CPU that is not its own: it must ask for the worker, and gets it. */
static void is_stopped(struct hogs *hog) {
  STORE(lost, 0u);
  STORE(regained, 0u);
  STORE(go_on, false);
  loops = 0;
  thrum_thread t = must_spawn(read_and_compute, NULL);
  AWAIT(LOAD(lost) == t.value);
  uint64_t since = hog_loops(hog, 0);
  AWAIT(hog_loops(hog, 0) > since);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  AWAIT(LOAD(regained) == t.value);
  for (int turn = 0; turn < 2; turn++) {
    uint64_t loops_then = LOAD(loops);
    since = hog_loops(hog, 0);
    AWAIT(LOAD(loops) > loops_then && hog_loops(hog, 0) > since);
  }
  STORE(go_on, true);
  CHECK_EQ(must_join(t), 0);
}

static int in_turns(int rounds, thrum_duration interval) {
  struct hogs hog;
  CHECK_EQ(pipe(fds), 0);
  thrumi_hooks.trace = note;
  __atomic_fetch_or(&thrumi_mode, (uint32_t)THRUMI_MODE_TRACE, __ATOMIC_SEQ_CST);
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(interval), 0);
  hogs_start(&hog, 1, hog_loop);
  STORE(others[0], hog.threads[0].value);
  STORE(others[1], thrum_current().value);
  for (int i = 0; i < rounds; i++) is_stopped(&hog);
  hogs_stop(&hog);
  return 0;
}

static void *crowd(void *done) {
  while (!LOAD(*(bool *)done)) continue;
  return NULL;
}

/* All on one CPU. A kernel lets each run for some milliseconds at a time, which must not be most of an interval. */
static int in_a_crowd(void) {
  pthread_t threads[CROWD];
  bool done = false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  for (int i = 0; i < CROWD; i++) CHECK_EQ(pthread_create(&threads[i], NULL, crowd, &done), 0);
  int failed = in_turns(CROWDED_ROUNDS, THRUM_MS(30));
  STORE(done, true);
  for (int i = 0; i < CROWD; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  return failed;
}

/* The crowd is another process: its affinity is from before thrum's first call. Under ThreadSanitizer it took a minute, for nothing: the
 * same accesses race, or do not, without a crowd. */
int main(void) {
  if (TESTS_TSAN) return in_turns(ROUNDS, THRUM_MS(5));
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) return in_a_crowd();
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  return in_turns(ROUNDS, THRUM_MS(5));
}
