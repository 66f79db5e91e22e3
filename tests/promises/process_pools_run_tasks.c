/* An executor of processes is used as every executor: bytes in, bytes out, failures and their sentences, maps, callbacks, whatever the
 * size and however its processes are started. */
#include "process_pools.h"

#include <fcntl.h>
#include <sched.h>

enum { MANY = 3000, LARGE = 9 << 20 };

THRUM_TASK(twice) { return 2 * number_in(in); }

THRUM_TASK(echo) { return thrum_out_write(out, in, size); }

THRUM_TASK(fails) { return (int)thrum_fail(ENOTTY, "no %d here", number_in(in)); }

THRUM_TASK(fails_silently) { return thrum_out_write(out, "x", 1), -EDOM; }

THRUM_TASK(who) {
  pid_t pid = getpid();
  return thrum_out_write(out, &pid, sizeof pid);
}

static pid_t take_pid(thrum_future *f) {
  const void *data;
  size_t size;
  pid_t pid;
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_EQ(size, sizeof pid);
  memcpy(&pid, data, sizeof pid);
  thrum_future_release(f);
  return pid;
}

/* ---- Results ------------------------------------------------------------------------------------------------ */

static void each_has_its_result(thrum_executor *x) {
  static thrum_future *f[MANY];
  for (int i = 0; i < MANY; i++) f[i] = submit_number(x, &twice, i);
  for (int i = 0; i < MANY; i++) CHECK_EQ(take(f[i]), 2 * i);
}

static void bytes_of_any_size_travel(thrum_executor *x) {
  static const size_t sizes[] = {0,     1,     15,    16,    17,    1000,   65000,  65400,
                                 65480, 65488, 65520, 65536, 65537, 200000, 262144, LARGE};
  enum { N = sizeof sizes / sizeof *sizes };
  unsigned char *bytes = malloc(LARGE);
  thrum_future *f[N];
  for (size_t i = 0; i < LARGE; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &echo, bytes, sizes[i]);
  for (int i = 0; i < N; i++) {
    const void *data = bytes;
    size_t size = 1;
    int error = thrum_future_bytes(f[i], &data, &size);
    CHECK_STR(thrum_future_failure(f[i]), "");
    CHECK_EQ(error, 0);
    CHECK_EQ(size, sizes[i]);
    CHECK(size ? memcmp(data, bytes, size) == 0 : data == NULL);
    thrum_future_release(f[i]);
  }
  free(bytes);
}

/* Rings are full of errands whose results have been written and not read: what is written next must not touch them. */
static void rings_go_round(void) {
  enum { N = TESTS_SANITIZED ? 300 : 3000, SIZE = 30000 };
  static char bytes[SIZE];
  static thrum_future *f[N];
  thrum_executor *x = processes_of(2);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &twice, memcpy(bytes, &i, sizeof i), SIZE);
  for (int i = 0; i < N; i++) CHECK_EQ(take(f[i]), 2 * i);
  end_pool(x);
}

static void failures_travel(thrum_executor *x) {
  take_failure(submit_number(x, &fails, 17), -ENOTTY, "no 17 here");
  thrum_future *f = submit_number(x, &fails_silently, 0);
  const void *data;
  size_t size;
  CHECK_EQ(thrum_future_bytes(f, &data, &size), -EDOM);
  CHECK_STR(thrum_future_failure(f), "");
  thrum_future_release(f);
  CHECK_EQ(take(submit_number(x, &twice, 4)), 8);
}

/* ---- What is not a task -------------------------------------------------------------------------------------- */

static int only_here_fn(const void *in, size_t size, thrum_out *out) {
  return (void)in, (void)size, (void)out, 1;
}
static const thrum_task only_here = {"only_here", only_here_fn};
static const thrum_task not_twice = {"twice", only_here_fn};
static thrumi_task_record record = {&only_here, NULL};
static intptr_t fn(void *arg) { return (intptr_t)arg; }

static void what_is_not_there_is_said(thrum_executor *x) {
  thrum_future *f;
  thrum_map *m;
  int item = 0;
  CHECK_EQ(thrum_submit(x, &f, fn, NULL), -ENOTSUP);
  CHECK_EQ(thrum_map_start(&m, x, fn, &item, 1, sizeof item, NULL), -ENOTSUP);
  take_failure(submit_number(x, &only_here, 0), -EINVAL, "another task of that name");
  thrumi_task_add(&record); /* where the processes come from it is not known */
  take_failure(submit_number(x, &only_here, 0), -ENOENT, "has no task only_here");
  thrumi_task_remove(&record);
  take_failure(submit_number(x, &not_twice, 0), -EINVAL, "another task of that name");
  CHECK_EQ(take(submit_number(x, &twice, 5)), 10);
}

/* ---- Maps ------------------------------------------------------------------------------------------------------- */

static void map_keeps_order(thrum_executor *x, size_t chunk, size_t ahead) {
  static int items[MANY];
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_map *m;
  intptr_t value;
  int n = 0;
  o.chunk = chunk;
  o.ahead = ahead;
  for (int i = 0; i < MANY; i++) items[i] = i;
  CHECK_EQ(thrum_map_start_task(&m, x, &twice, items, MANY, sizeof *items, &o), 0);
  while (thrum_map_next(m, &value) == 0) CHECK_EQ(value, 2 * n++);
  CHECK_EQ(n, MANY);
  thrum_map_end(m);
}

/* Unordered: each item once, with its own result. */
static void map_gives_each_once(thrum_executor *x, size_t chunk, size_t ahead) {
  static int items[MANY];
  static bool seen[MANY];
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_map *m;
  intptr_t value;
  int n = 0;
  o.chunk = chunk, o.ahead = ahead, o.unordered = true;
  memset(seen, 0, sizeof seen);
  for (int i = 0; i < MANY; i++) items[i] = i;
  CHECK_EQ(thrum_map_start_task(&m, x, &twice, items, MANY, sizeof *items, &o), 0);
  for (; thrum_map_next(m, &value) == 0; n++) {
    size_t i = thrum_map_index(m);
    CHECK(i < MANY && !seen[i]);
    CHECK_EQ(value, 2 * (intptr_t)i);
    seen[i] = true;
  }
  CHECK_EQ(n, MANY);
  thrum_map_end(m);
}

static void map_brings_bytes(thrum_executor *x) {
  enum { N = 40, SIZE = 6000 };
  static char items[N][SIZE];
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_map *m;
  const void *data;
  size_t size;
  o.chunk = 15; /* the chunk's items and its results are too long for a record */
  for (int i = 0; i < N; i++) memset(items[i], 'a' + i % 26, SIZE);
  CHECK_EQ(thrum_map_start_task(&m, x, &echo, items, N, SIZE, &o), 0);
  for (int i = 0; i < N; i++) {
    CHECK_EQ(thrum_map_next_bytes(m, &data, &size), 0);
    CHECK_EQ(size, SIZE);
    CHECK(memcmp(data, items[i], SIZE) == 0);
  }
  CHECK_EQ(thrum_map_next_bytes(m, &data, &size), -EPIPE);
  thrum_map_end(m);
}

THRUM_TASK(odd_fails) {
  int n = number_in(in);
  return n % 2 ? (int)thrum_fail(EPROTO, "%d is odd", n) : n;
}

static void map_fails_at_its_item(thrum_executor *x, bool keep_going, size_t chunk) {
  int items[] = {0, 2, 4, 5, 6, 7, 8};
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_map *m;
  intptr_t value;
  o.chunk = chunk;
  o.keep_going = keep_going;
  CHECK_EQ(thrum_map_start_task(&m, x, &odd_fails, items, 7, sizeof *items, &o), 0);
  for (int i = 0; i < (keep_going ? 7 : 4); i++) {
    CHECK_EQ(thrum_map_next(m, &value), 0);
    CHECK_EQ(value, items[i] % 2 ? -EPROTO : items[i]);
    if (items[i] == 5) CHECK_STR(thrum_map_failure(m), "5 is odd");
  }
  CHECK_EQ(thrum_map_next(m, &value), -EPIPE);
  thrum_map_end(m);
  CHECK_EQ(thrum_map_start_task(&m, x, &odd_fails, NULL, 0, sizeof *items, &o), 0);
  CHECK_EQ(thrum_map_next(m, &value), -EPIPE);
  thrum_map_end(m);
}

static void completed_come_as_they_are_done(thrum_executor *x) {
  enum { N = 50 };
  thrum_future *f[N];
  thrum_completion c;
  int seen = 0;
  for (int i = 0; i < N; i++) f[i] = submit_number(x, &twice, i);
  CHECK_EQ(thrum_as_completed(&c, f, N, THRUM_FOREVER), 0);
  for (ssize_t i; (i = thrum_completion_next(&c)) >= 0; seen++)
    CHECK_EQ(take(thrum_future_retain(f[i])), 2 * i);
  thrum_completion_end(&c);
  CHECK_EQ(seen, N);
  for (int i = 0; i < N; i++) thrum_future_release(f[i]);
}

/* ---- Callbacks ----------------------------------------------------------------------------------------------------- */

struct called {
  thrum_executor *pool;
  thrum_event event;
  int value;
};

/* It waits for another task of the same pool, which has one process. */
static intptr_t call_again(thrum_future *f, void *arg) {
  struct called *called = arg;
  intptr_t first = -1;
  CHECK_EQ(thrum_future_result(f, &first), 0);
  CHECK_EQ(thrum_executor_shutdown(called->pool, true, false), -EDEADLK);
  called->value = (int)first;
  thrum_event_set(&called->event);
  return 0;
}

static intptr_t wait_for_another(thrum_future *f, void *arg) {
  struct called *called = arg;
  (void)f;
  called->value = (int)take(submit_number(called->pool, &twice, 20));
  thrum_event_set(&called->event);
  return 0;
}

static void callbacks_may_block(void) {
  struct called called = {.pool = processes_of(1)};
  thrum_future *f = submit_number(called.pool, &twice, 10);
  CHECK_EQ(thrum_future_add_done_callback(f, wait_for_another, &called), 0);
  thrum_event_wait(&called.event);
  CHECK_EQ(called.value, 40);
  thrum_future_release(f);
  thrum_event_clear(&called.event);
  f = submit_number(called.pool, &twice, 11);
  bool early = !thrum_future_done(f);
  CHECK_EQ(thrum_future_add_done_callback(f, call_again, &called), 0);
  thrum_event_wait(&called.event);
  CHECK_EQ(called.value, 22);
  (void)early;
  thrum_future_release(f);
  end_pool(called.pool);
}

/* ---- Who runs them ---------------------------------------------------------------------------------------------------- */

static void processes_come_when_needed(void) {
  thrum_executor *x = processes_of(3);
  CHECK_EQ(stats_of(x).started, 0);
  pid_t first = take_pid(must_submit(x, &who, NULL, 0));
  CHECK(first != getpid());
  for (int i = 0; i < 5; i++) CHECK_EQ(take_pid(must_submit(x, &who, NULL, 0)), first);
  CHECK_EQ(stats_of(x).started, 1);
  pid_t pids[3] = {0};
  CHECK_EQ(thrum_executor_pids(x, pids, 3), 1);
  CHECK_EQ(pids[0], first);
  end_pool(x);
  AWAIT(!is_there(first));
}

THRUM_TASK(meets) {
  static const int patience_s = TESTS_HANG_S;
  int fd = number_in(in);
  char byte = 1;
  (void)patience_s;
  return fd >= 0 ? (int)write(fd, &byte, 1) : (int)byte;
}

/* As many at once as the limit says, and no more: each waits until all are there. */
THRUM_TASK(stays_until_told) {
  char path[64];
  memcpy(path, in, size);
  for (int i = 0; access(path, F_OK) == 0; i++) usleep(1000);
  return 0;
}

static void limit_holds(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  thrum_executor *x = processes_of(2);
  thrum_future *f[6];
  make_temporary(path);
  for (int i = 0; i < 6; i++) f[i] = must_submit(x, &stays_until_told, path, sizeof path);
  AWAIT(thrum_future_running(f[0]) && thrum_future_running(f[1]) && thrum_executor_pids(x, NULL, 0) == 2);
  CHECK_EQ(stats_of(x).started, 2);
  CHECK(!thrum_future_done(f[0]) && !thrum_future_done(f[1]));
  unlink(path);
  for (int i = 0; i < 6; i++) CHECK_EQ(take(f[i]), 0);
  CHECK_EQ(stats_of(x).started, 2);
  end_pool(x);
}

static void processes_end_after_their_tasks(void) {
  enum { N = 20, EACH = 3 };
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  pid_t pid[N];
  thrum_future *f[N];
  o.processes = 2;
  o.tasks_per_process = EACH;
  thrum_executor *x = processes_with(o);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &who, NULL, 0);
  for (int i = 0; i < N; i++) pid[i] = take_pid(f[i]);
  for (int i = 0; i < N; i++) {
    int same = 0;
    for (int j = 0; j < N; j++) same += pid[i] == pid[j];
    CHECK(same <= EACH);
  }
  CHECK(stats_of(x).started >= (N + EACH - 1) / EACH);
  end_pool(x);
}

/* Says by a byte in the file that it is there, and stays until the file is gone. */
static void meet(const void *in, size_t size) {
  char path[64];
  memcpy(path, in, size);
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  CHECK_EQ(write(fd, "x", 1), 1);
  close(fd);
  while (access(path, F_OK) == 0) usleep(1000);
}

/* The one CPU that it may run on. */
THRUM_TASK(own_cpu) {
  cpu_set_t set;
  int cpu = 0;
  meet(in, size);
  CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  CHECK_EQ(CPU_COUNT(&set), 1);
  while (!CPU_ISSET(cpu, &set)) cpu++;
  return cpu;
}

/* And different ones, as long as there are some. */
static void pinned_ones_have_one_cpu(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *f[2];
  cpu_set_t all;
  make_temporary(path);
  CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  o.processes = 2;
  o.pinned = true;
  thrum_executor *x = processes_with(o);
  for (int i = 0; i < 2; i++) f[i] = must_submit(x, &own_cpu, path, sizeof path);
  AWAIT(size_of(path) == 2);
  unlink(path);
  int first = (int)take(f[0]), second = (int)take(f[1]);
  CHECK(CPU_ISSET(first, &all) && CPU_ISSET(second, &all));
  CHECK_EQ(first == second, CPU_COUNT(&all) == 1);
  end_pool(x);
}

THRUM_TASK(stays_with_others) {
  meet(in, size);
  return 1;
}

/* One that could not be started, on a machine that is full of others, is tried again at the next submit. False. */
static bool tries_anew(thrum_executor *x) {
  CHECK_EQ(thrum_submit_task(x, NULL, &twice, &(int){1}, sizeof(int)), 0);
  return false;
}

/* Each of them has one task, and all are there at the same time. */
static void many_work_at_once(void) {
  enum { N = 50 };
  char path[] = "/tmp/thrum-pool-XXXXXX";
  thrum_future *f[N];
  if (TESTS_SANITIZED) return;
  make_temporary(path);
  thrum_executor *x = processes_of(N);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &stays_with_others, path, sizeof path);
  AWAIT(size_of(path) == N || tries_anew(x));
  CHECK_EQ(thrum_executor_pids(x, NULL, 0), N);
  unlink(path);
  for (int i = 0; i < N; i++) CHECK_EQ(take(f[i]), 1);
  each_has_its_result(x);
  end_pool(x);
}

THRUM_TASK(name) {
  return thrum_out_write(out, thrum_current_process_name(), strlen(thrum_current_process_name()) + 1);
}

static void they_have_names(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  const void *data;
  size_t size;
  o.name = "press";
  thrum_executor *x = processes_with(o);
  thrum_future *f = must_submit(x, &name, NULL, 0);
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_STR(data, "press-0");
  thrum_future_release(f);
  end_pool(x);
}

/* ---- Initializers ------------------------------------------------------------------------------------------------------- */

static char greeting[16];

THRUM_TASK(greet) {
  memcpy(greeting, in, size);
  return thrum_out_write(out, "nobody reads that", 5);
}

THRUM_TASK(says_greeting) { return strcmp(greeting, "hello") == 0; }

THRUM_TASK(refuses) { return (int)thrum_fail(EACCES, "not on %s", (const char *)in); }

static void initializer_comes_first(int method) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = 2;
  o.method = method;
  o.initializer = &greet;
  o.initializer_in = "hello";
  o.initializer_size = 6;
  thrum_executor *x = processes_with(o);
  thrum_future *f[8];
  for (int i = 0; i < 8; i++) f[i] = must_submit(x, &says_greeting, NULL, 0);
  for (int i = 0; i < 8; i++) CHECK_EQ(take(f[i]), 1);
  end_pool(x);
}

static struct {
  int count;
  intptr_t failure;
  char sentence[64];
} uncaught;

static void on_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t;
  uncaught.failure = failure;
  snprintf(uncaught.sentence, sizeof uncaught.sentence, "%s", sentence);
  ADD(uncaught.count, 1);
}

static void initializer_that_fails_breaks_it(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = 1;
  o.initializer = &refuses;
  o.initializer_in = "Sunday";
  o.initializer_size = 7;
  thrum_executor *x = processes_with(o);
  thrum_future *f = submit_number(x, &twice, 1), *late;
  thrum_on_uncaught(on_uncaught);
  take_failure(f, -EPIPE, "is broken: its initializer failed");
  AWAIT(thrum_submit_task(x, &late, &twice, "abcd", 4) == -EPIPE);
  AWAIT(LOAD(uncaught.count) == 1);
  CHECK_EQ(uncaught.failure, -EACCES);
  CHECK_STR(uncaught.sentence, "not on Sunday");
  end_pool(x);
  x = processes_of(1);
  CHECK_EQ(thrum_submit_task(x, NULL, &fails, &(int){3}, sizeof(int)), 0);
  AWAIT(LOAD(uncaught.count) == 2);
  CHECK_STR(uncaught.sentence, "no 3 here");
  end_pool(x);
  thrum_on_uncaught(NULL);
}

/* ---- Misuse ----------------------------------------------------------------------------------------------------------------- */

static void mistakes_are_said(void) {
  thrum_executor *x;
  thrum_processes_options good = THRUM_PROCESSES_OPTIONS_INIT, o = good;
  o.processes = -1;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  o = good, o.size--;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  o = good, o.method = 4;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  o = good, o.stack_size = 1;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  o = good, o.initializer = &not_twice;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  o = good, o.initializer_size = 1, o.initializer = &greet;
  CHECK_EQ(thrum_executor_processes(&x, &o), -EINVAL);
  CHECK_EQ(thrum_executor_processes(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_executor_inline(&x), 0);
  CHECK_EQ(thrum_executor_pids(x, NULL, 0), -ENOTSUP);
  CHECK_EQ(thrum_executor_signal(x, SIGTERM), -ENOTSUP);
  thrum_executor_release(x);
  x = processes_of(1);
  CHECK_EQ(thrum_executor_signal(x, 0), -EINVAL);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_future *f;
  CHECK_EQ(thrum_submit_task(x, &f, &twice, "abcd", 4), -EPIPE);
  thrum_executor_release(x);
  thrum_executor_release(NULL);
}

static void by_each_method(void) {
  static const int methods[] = {THRUM_FORKSERVER, THRUM_SPAWN, THRUM_FORK};
  for (int i = 0; i < (TESTS_TSAN ? 2 : 3); i++) {
    thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
    o.processes = 2;
    o.method = methods[i];
    thrum_executor *x = processes_with(o);
    each_has_its_result(x);
    bytes_of_any_size_travel(x);
    end_pool(x);
    initializer_comes_first(methods[i]);
  }
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_executor *x = processes_of(2);
  each_has_its_result(x);
  bytes_of_any_size_travel(x);
  failures_travel(x);
  what_is_not_there_is_said(x);
  map_keeps_order(x, 1, 0);
  map_keeps_order(x, 7, 3);
  map_keeps_order(x, MANY, 0);
  map_gives_each_once(x, 1, 0);
  map_gives_each_once(x, 30, 3);
  map_brings_bytes(x);
  for (size_t chunk = 1; chunk <= 7; chunk += 3)
    for (int keep = 0; keep < 2; keep++) map_fails_at_its_item(x, keep, chunk);
  completed_come_as_they_are_done(x);
  end_pool(x);
  rings_go_round();
  callbacks_may_block();
  processes_come_when_needed();
  limit_holds();
  processes_end_after_their_tasks();
  pinned_ones_have_one_cpu();
  many_work_at_once();
  they_have_names();
  initializer_that_fails_breaks_it();
  mistakes_are_said();
  by_each_method();
  return 0;
}
