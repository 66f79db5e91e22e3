#include "../support.h"
#include "inject.h"
#include "workload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { MANY = 40, FEW = 6, WORKERS = 2, CROWD = 1200 };

/* ---- Starting and joining ------------------------------------------------------------------------------ */

static uint64_t ran;
/* A batch of threads of which each returns its index. */
struct batch {
  thrum_thread threads[MANY];
  int count;
  uint64_t ran_before;
};

static struct batch batch_of_none(void) { return (struct batch){.ran_before = LOAD(ran)}; }

static intptr_t run_once(void *arg) {
  ADD(ran, 1);
  return (intptr_t)arg;
}

/* Joins all: each ran once, or got no stack, did not run, and failed. The first error of the step counts. */
static int batch_end(struct batch *batch, int error) {
  uint64_t without_stack = 0;
  for (int i = 0; i < batch->count; i++) {
    intptr_t result = must_join(batch->threads[i]);
    if (result == -ENOMEM)
      without_stack++;
    else
      CHECK_EQ(result, i);
  }
  CHECK_EQ(LOAD(ran) - batch->ran_before, (uint64_t)batch->count - without_stack);
  return error ? error : without_stack ? -ENOMEM : 0;
}

/* Where kernel threads are refused there are fewer workers. */
static int start(void) {
  int workers = thrum_workers();
  CHECK(workers >= 1 && workers <= WORKERS);
  return workers == WORKERS ? 0 : thrum_set_workers(WORKERS);
}

static int spawn(void) {
  struct batch batch = batch_of_none();
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error)
    error = thrum_spawn(&batch.threads[batch.count], run_once, (void *)(intptr_t)batch.count);
  return batch_end(&batch, error);
}

static intptr_t check_name(void *arg) {
  char expected[THRUM_NAME_MAX];
  snprintf(expected, sizeof expected, "named-%d", (int)(intptr_t)arg);
  CHECK_STR(thrum_current_name(), expected);
  return run_once(arg);
}

static int spawn_named(void) {
  struct batch batch = batch_of_none();
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error)
    error = thrum_spawn_named(&batch.threads[batch.count], check_name, (void *)(intptr_t)batch.count,
                              "named-%d", batch.count);
  return batch_end(&batch, error);
}

static intptr_t run_with_copy(void *arg) { return run_once((void *)(intptr_t) * (int *)arg); }

static int spawn_copy(void) {
  struct batch batch = batch_of_none();
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error)
    error = thrum_spawn_copy(&batch.threads[batch.count], run_with_copy, &batch.count, sizeof batch.count);
  return batch_end(&batch, error);
}

static intptr_t use_stack(void *arg) {
  volatile char room[100 * 1024];
  for (size_t i = 0; i < sizeof room; i += 512) room[i] = 1;
  return run_once(arg);
}

/* Sizes double, so each batch needs stacks that no pool has. */
static int spawn_sized(void) {
  struct batch batch = batch_of_none();
  thrum_options options = THRUM_OPTIONS_INIT;
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error) {
    options.stack_size = (size_t)512 * 1024 << batch.count;
    options.name = batch.count % 2 ? "sized" : NULL;
    options.daemon = THRUM_YES;
    error = thrum_spawn_with(&batch.threads[batch.count], &options, use_stack, (void *)(intptr_t)batch.count);
  }
  return batch_end(&batch, error);
}

static intptr_t check_bound(void *arg) {
  pid_t tid = thrum_native_id(thrum_current());
  thrum_yield();
  CHECK_EQ(thrum_native_id(thrum_current()), tid);
  return run_once(arg);
}

static int spawn_bound(void) {
  struct batch batch = batch_of_none();
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  options.name = "bound";
  int error = 0;
  for (; !error && batch.count < 3; batch.count += !error)
    error =
        thrum_spawn_with(&batch.threads[batch.count], &options, check_bound, (void *)(intptr_t)batch.count);
  return batch_end(&batch, error);
}

static bool released;
static int begun;

static intptr_t run_when_released(void *arg) {
  ADD(begun, 1);
  while (!LOAD(released)) thrum_sleep(THRUM_US(200));
  return run_once(arg);
}

static void hold_back(void) {
  STORE(begun, 0);
  STORE(released, false);
}

static int dead(const struct batch *batch) {
  int n = 0;
  for (int i = 0; i < batch->count; i++) n += !thrum_is_alive(batch->threads[i]);
  return n;
}

/* As many as need more than one slab of stacks, all alive at once. */
static int spawn_many(void) {
  struct batch batch = batch_of_none();
  int error = 0;
  hold_back();
  for (; !error && batch.count < MANY; batch.count += !error)
    error = thrum_spawn(&batch.threads[batch.count], run_when_released, (void *)(intptr_t)batch.count);
  AWAIT(LOAD(begun) + dead(&batch) == batch.count); /* who ends now got no stack */
  STORE(released, true);
  return batch_end(&batch, error);
}

/* As many as need a second chunk of records, which last until the join. With copies and names, which must
 * not be lost if there is none. */
static int crowd(void) {
  static thrum_thread threads[CROWD];
  int error = 0, count = 0;
  for (int i = 0; !error && i < CROWD; i++) {
    if (i % 2)
      error = thrum_spawn_copy(&threads[i], run_with_copy, &i, sizeof i);
    else
      error = thrum_spawn_named(&threads[i], run_once, (void *)(intptr_t)i, "crowd-%d", i);
    count += !error;
  }
  for (int i = 0; i < count; i++) {
    intptr_t result = must_join(threads[i]);
    CHECK(result == i || result == -ENOMEM);
    if (result == -ENOMEM && !error) error = -ENOMEM;
  }
  return error;
}

/* A light joiner runs who has not begun on its own stack. */
static intptr_t run_guests(void *arg) {
  (void)arg;
  return spawn();
}

static int run_hosted(void) { return (int)thrum_run(run_guests, NULL); }

static uint64_t uncaught;

static void count_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  CHECK_EQ(failure, -ENOMEM);
  CHECK_STR(sentence, "");
  CHECK(thrum_is_alive(t));
  ADD(uncaught, 1);
}

/* Nobody joins these; one that got no stack is told to the hook. */
static int detach(void) {
  uint64_t ran_before = LOAD(ran), uncaught_before = LOAD(uncaught);
  int error = 0, started = 0;
  thrum_uncaught_fn *former = thrum_on_uncaught(count_uncaught);
  for (; !error && started < FEW; started += !error) {
    thrum_thread t;
    error = thrum_spawn(started % 2 ? &t : NULL, run_once, NULL);
    if (!error && started % 2) CHECK_EQ(thrum_detach(t), 0);
  }
  AWAIT(LOAD(ran) - ran_before + LOAD(uncaught) - uncaught_before == (uint64_t)started);
  AWAIT(thrum_active_count() == 1);
  thrum_on_uncaught(former);
  return error ? error : LOAD(uncaught) > uncaught_before ? -ENOMEM : 0;
}

/* ---- Waiting ------------------------------------------------------------------------------------------- */

static intptr_t sleep_a_little(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_US(500)), 0);
  return run_once(arg);
}

static int sleeping(void) {
  struct batch batch = batch_of_none();
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error)
    error = thrum_spawn(&batch.threads[batch.count], sleep_a_little, (void *)(intptr_t)batch.count);
  CHECK_EQ(thrum_sleep(THRUM_US(300)), 0);
  if (batch.count) {
    int waited = thrum_wait_for(batch.threads[0], THRUM_US(50));
    CHECK(waited == 0 || waited == -ETIMEDOUT);
  }
  return batch_end(&batch, error);
}

enum { IN, OUT };

/* One end of a conversation over two pipes. It closes both when it ends, so the other one ends as well. */
struct end {
  int in, out;
  bool begun;
};

static int one_byte(ssize_t n) { return n == 1 ? 0 : n == 0 ? -EPIPE : (int)n; }

static void close_end(struct end *end) { CHECK_EQ(thrum_close(end->in) | thrum_close(end->out), 0); }

static intptr_t converse(void *arg) {
  struct end *end = arg;
  int error = 0;
  STORE(end->begun, true);
  char byte = 'x';
  for (int i = 0; i < 10 && !error; i++) {
    error = one_byte(thrum_write(end->out, &byte, 1));
    if (!error) error = one_byte(thrum_read(end->in, &byte, 1));
  }
  close_end(end);
  return error;
}

/* A closed pipe is how one end hears that the other one failed. */
static int talk(struct end *here, struct end *there) {
  thrum_thread t;
  int error = thrum_spawn(&t, converse, there);
  if (!error) AWAIT(LOAD(there->begun) || !thrum_is_alive(t));
  if (!there->begun) close_end(there); /* it was not started, or got no stack */
  int mine = (int)converse(here), other = error ? error : (int)must_join(t);
  return other && other != -EPIPE ? other : mine && mine != -EPIPE ? mine : other;
}

static int pipes(void) {
  int left[2], right[2];
  CHECK_EQ(pipe2(left, O_CLOEXEC | O_NONBLOCK), 0);
  CHECK_EQ(pipe2(right, O_CLOEXEC), 0);
  struct end here = {left[IN], right[OUT], false}, there = {right[IN], left[OUT], false};
  return talk(&here, &there);
}

static intptr_t add_two(void *arg) { return (intptr_t)arg + 2; }

static intptr_t call_blocking(void *arg) {
  for (intptr_t i = 0; i < 3; i++) CHECK_EQ(thrum_blocking(add_two, (void *)i), i + 2);
  return run_once(arg);
}

static int blocking(void) {
  struct batch batch = batch_of_none();
  CHECK_EQ(thrum_blocking(add_two, (void *)5), 7);
  int error = 0;
  for (; !error && batch.count < FEW; batch.count += !error)
    error = thrum_spawn(&batch.threads[batch.count], call_blocking, (void *)(intptr_t)batch.count);
  return batch_end(&batch, error);
}

/* As many threads that never call thrum as there are workers, and one more that must come to run. */
static bool passed_by;

static intptr_t pass_by(void *arg) {
  STORE(passed_by, true);
  return (intptr_t)arg;
}

static int preempting(void) {
  struct hogs hogs = {0};
  int error = 0;
  STORE(passed_by, false);
  for (; !error && hogs.count < WORKERS; hogs.count += !error) {
    hogs.each[hogs.count].all = &hogs;
    error = thrum_spawn(&hogs.threads[hogs.count], hog_loop, &hogs.each[hogs.count]);
  }
  /* Each hog has come to run, main too after each look. One that got no stack has ended. */
  for (int i = 0; i < hogs.count; i++) AWAIT(hog_loops(&hogs, i) || !thrum_is_alive(hogs.threads[i]));
  thrum_thread last;
  int last_error = error ? error : thrum_spawn(&last, pass_by, NULL);
  if (!last_error) last_error = (int)must_join(last);
  CHECK(last_error || LOAD(passed_by));
  STORE(hogs.stop, true);
  for (int i = 0; i < hogs.count; i++) {
    intptr_t result = must_join(hogs.threads[i]);
    CHECK(result == 0 || result == -ENOMEM);
    if (!error) error = (int)result;
  }
  return error ? error : last_error;
}

/* Without memory for a thread, or for its stack, the callback comes later: none is lost, and none is called twice. */
static int timers(void) {
  static thrum_timer started[MANY];
  uint64_t ran_before = LOAD(ran);
  for (int i = 0; i < MANY; i++)
    CHECK_EQ(thrum_timer_start(&started[i], THRUM_US(i % 4 * 300), run_once, NULL), 0);
  AWAIT(LOAD(ran) - ran_before >= MANY);
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_timer_cancel_wait(&started[i]), 0);
  CHECK_EQ(LOAD(ran) - ran_before, MANY);
  return 0;
}

/* ---- What threads say of themselves -------------------------------------------------------------------- */

static uint64_t destroyed;

static void destroy(void *value) {
  CHECK_EQ(*(int *)value, 17);
  ADD(destroyed, 1);
}

static thrum_local local = THRUM_LOCAL_INIT(destroy);

static intptr_t set_local(void *arg) {
  static int value = 17;
  int error = thrum_local_set(&local, &value);
  CHECK_EQ((intptr_t)thrum_local_get(&local), error ? 0 : (intptr_t)&value);
  return error ? thrum_fail(EIO, "no local") : run_once(arg);
}

static int locals(void) {
  uint64_t ran_before = LOAD(ran), destroyed_before = LOAD(destroyed);
  int error = 0;
  for (intptr_t i = 0; i < FEW && !error; i++) {
    thrum_thread t;
    error = thrum_spawn(&t, set_local, (void *)i);
    if (error) break;
    intptr_t result = must_join(t);
    CHECK(result == i || result == -EIO || result == -ENOMEM);
    error = result == i ? 0 : -ENOMEM;
    CHECK_EQ(LOAD(ran) - ran_before, i + !error);
  }
  CHECK_EQ(LOAD(destroyed) - destroyed_before, LOAD(ran) - ran_before);
  return error;
}

static intptr_t rename_self(void *arg) {
  int error = thrum_set_name(thrum_current(), "renamed");
  if (error) return error;
  CHECK_STR(thrum_current_name(), "renamed");
  return run_once(arg);
}

static int renaming(void) {
  struct batch batch = batch_of_none();
  int error = thrum_spawn(&batch.threads[0], rename_self, NULL);
  batch.count = !error;
  return batch_end(&batch, error);
}

/* A name that has to be made is "" without memory. */
static intptr_t ask_own_name(void *arg) {
  const char *name = thrum_current_name();
  if (!*name) return -ENOMEM;
  CHECK_HAS(name, "(ask_own_name)");
  return run_once(arg);
}

static int unnamed(void) {
  struct batch batch = batch_of_none();
  int error = thrum_spawn(&batch.threads[0], ask_own_name, NULL);
  batch.count = !error;
  return batch_end(&batch, error);
}

static intptr_t fail_with_sentence(void *arg) {
  (void)arg;
  ADD(ran, 1);
  return thrum_fail(ENOENT, "no such %s", "table");
}

/* The code is never lost; the sentence is, without memory. */
static int failing(void) {
  thrum_thread t;
  int error = thrum_spawn(&t, fail_with_sentence, NULL);
  if (error) return error;
  intptr_t result = must_join(t);
  if (result == -ENOMEM) return -ENOMEM;
  CHECK_EQ(result, -ENOENT);
  bool lost = !*thrum_failure();
  if (!lost) CHECK_STR(thrum_failure(), "no such table");
  error = spawn(); /* a join of who did not fail takes the sentence away */
  CHECK(error || !*thrum_failure());
  return error ? error : lost ? -ENOMEM : 0;
}

static intptr_t pin_and_sleep(void *arg) {
  int error = thrum_pin();
  if (error) return error;
  pid_t tid = thrum_native_id(thrum_current());
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  CHECK_EQ(thrum_native_id(thrum_current()), tid);
  CHECK_EQ(thrum_unpin(), 0);
  return run_once(arg);
}

/* A kernel thread to be pinned to may be a while away, even without failures. */
static int pinning(void) {
  thrum_thread t;
  intptr_t result = -EAGAIN;
  bool injected = inject_count() > 0;
  for (int tries = 0; result == -EAGAIN && tries < 1000; tries++) {
    int error = thrum_spawn(&t, pin_and_sleep, NULL);
    if (error) return error;
    result = must_join(t);
    if (result == -EAGAIN && injected) break;
    if (result == -EAGAIN) thrum_sleep(THRUM_MS(1));
  }
  CHECK(result == 0 || result == -EAGAIN || result == -ENOMEM);
  return (int)result;
}

/* ---- The whole program --------------------------------------------------------------------------------- */

static int workers(void) {
  int error = thrum_set_workers(WORKERS + 2);
  CHECK_EQ(thrum_workers(), error ? WORKERS : WORKERS + 2);
  int spawned = spawn();
  int back = thrum_set_workers(WORKERS);
  if (!back) CHECK_EQ(thrum_workers(), WORKERS);
  return error ? error : back ? back : spawned;
}

static int printing(void) {
  char line[1500];
  memset(line, '-', sizeof line - 1);
  line[sizeof line - 1] = 0;
  CHECK_EQ(thrum_print("a short line\n"), 13);
  int length = thrum_print("%s\n", line);
  if (length >= 0) CHECK_EQ(length, sizeof line);
  return length < 0 ? length : 0;
}

static char *dumped(void) {
  static char text[64 * 1024];
  int fd = memfd_create("dump", MFD_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQ(thrum_dump(fd), 0);
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  CHECK(n > 0);
  text[n] = 0;
  close(fd);
  return text;
}

static int dumping(void) {
  struct batch batch = batch_of_none();
  hold_back();
  int error = 0;
  for (; !error && batch.count < 3; batch.count += !error)
    error = thrum_spawn_named(&batch.threads[batch.count], run_when_released, (void *)(intptr_t)batch.count,
                              "dumped-%d", batch.count);
  char *text = dumped();
  CHECK_HAS(text, "\"MainThread\"");
  if (batch.count == 3 && thrum_is_alive(batch.threads[0])) CHECK_HAS(text, "\"dumped-0\"");
  STORE(released, true);
  return batch_end(&batch, error);
}

int workload_at_exit_ran, workload_at_exit_given;

static void at_exit(void *arg) {
  CHECK_EQ((intptr_t)arg, 9);
  workload_at_exit_ran++;
}

static int exiting(void) {
  int error = thrum_at_exit(at_exit, (void *)9);
  workload_at_exit_given += !error;
  return error;
}

static intptr_t spawn_outside(void *arg) {
  (void)arg;
  return spawn();
}

static int foreign(void) { return (int)run_outside(spawn_outside, NULL); }

/* The monitor asks whether anybody is there who could wake main: twice and more in that time. */
enum { STRANGER_WAITS_US = 600000 };
static thrum_event from_outside;

static void *set_from_outside(void *arg) {
  (void)arg;
  usleep(STRANGER_WAITS_US);
  thrum_event_set(&from_outside);
  return NULL;
}

static int waiting_for_a_stranger(void) {
  pthread_t stranger;
  CHECK_EQ(pthread_create(&stranger, NULL, set_from_outside, NULL), 0);
  thrum_event_wait(&from_outside);
  CHECK_EQ(pthread_join(stranger, NULL), 0);
  return 0;
}

const struct step workload[] = {
    {.name = "start", start, {-EAGAIN, -ENOMEM}, .may_abort = true},
    {.name = "spawn", spawn, {-ENOMEM}, .again = true},
    {.name = "spawn_named", spawn_named, {-ENOMEM}, .again = true},
    {.name = "spawn_copy", spawn_copy, {-ENOMEM}, .again = true},
    {.name = "spawn_sized", spawn_sized, {-ENOMEM}, .again = true},
    {.name = "spawn_bound", spawn_bound, {-ENOMEM, -EAGAIN}, .again = true},
    {.name = "spawn_many", spawn_many, {-ENOMEM}},
    {.name = "crowd", crowd, {-ENOMEM}, .only = "reserve"},
    {.name = "hosted", run_hosted, {-ENOMEM}, .again = true},
    {.name = "detach", detach, {-ENOMEM}, .again = true},
    {.name = "sleeping", sleeping, {-ENOMEM}},
    {.name = "timers", timers, .again = true},
    {.name = "scopes", workload_scopes, {-ENOMEM}, .again = true},
    {.name = "pipes", pipes, {-ENOMEM, -EMFILE, -ENOSPC}, .again = true},
    {.name = "messages", workload_messages, {-ENOMEM, -EMFILE, -ENOSPC}, .again = true},
    {.name = "shared memory", workload_shared_memory, {-ENOMEM, -EMFILE, -ENOSPC, -EAGAIN}, .again = true},
    {.name = "connecting", workload_connecting, {-ENOMEM, -EMFILE, -ENOSPC}, .again = true},
    {.name = "resolving", workload_resolving, {-ENOMEM}, .again = true},
    {.name = "children", workload_children, {-ENOMEM, -EMFILE, -ENOSPC}},
    {.name = "blocking", blocking, {-ENOMEM}, .again = true},
    {.name = "preempting", preempting, {-ENOMEM}},
    {.name = "locals", locals, {-ENOMEM}, .again = true},
    {.name = "renaming", renaming, {-ENOMEM}, .again = true},
    {.name = "unnamed", unnamed, {-ENOMEM}, .again = true},
    {.name = "failing", failing, {-ENOMEM}, .again = true},
    {.name = "pinning", pinning, {-ENOMEM, -EAGAIN}},
    {.name = "queues", workload_queues, {-ENOMEM}, .again = true},
    {.name = "tasks", workload_tasks, {-ENOMEM, -EAGAIN}, .again = true},
    {.name = "loops", workload_loops, {-ENOMEM}, .again = true},
    {.name = "workers", workers, {-ENOMEM, -EAGAIN}},
    {.name = "printing", printing, {-ENOMEM}},
    {.name = "dumping", dumping, {-ENOMEM}},
    {.name = "exiting", exiting, {-ENOMEM}},
    {.name = "waiting for a stranger", waiting_for_a_stranger, .only = "thread-count"},
    {.name = "foreign", foreign, {-ENOMEM}, .may_abort = true},
    {.name = "spawn, at the end", spawn, {-ENOMEM}},
    {0},
};
