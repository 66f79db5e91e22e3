/* An executor of processes for which no thread is to be had, for who attends a process or for callbacks: whoever counts on one is told, before who
 * waits for the end; and no callback that has to be called elsewhere keeps from anybody what it waits for.
 * __wrap_thrum_spawn_with stands between the executor and thrum_spawn_with (the linker's --wrap), __wrap_thrum_task_find likewise: an attendant
 * looks a task up when it writes the first errand of it. */
#include "parked.h"
#include "process_pools.h"

#include <errno.h>
#include <fcntl.h>
#include <thrum/local.h>

int __real_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg);
int __wrap_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg);

enum { NONE, ATTENDANTS, CALLBACKS, BOTH };

static int refused;             /* whose threads there are none for */
static thrum_event *refused_at; /* it waits there first */
static int refusals;

int __wrap_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg) {
  bool ours = options->name && strncmp(options->name, "crew", 4) == 0;
  int who = ours && strstr(options->name, "callbacks") ? CALLBACKS : ATTENDANTS;
  if (!ours || !(LOAD(refused) & who)) return __real_thrum_spawn_with(t, options, fn, arg);
  ADD(refusals, 1);
  if (LOAD(refused_at)) thrum_event_wait(LOAD(refused_at));
  return -ENOMEM;
}

const thrum_task *__real_thrum_task_find(const char *name);
const thrum_task *__wrap_thrum_task_find(const char *name);

static thrum_event *gates; /* an errand waits there: of `opened` at the first, of `twice` at the second */
static int sends;

const thrum_task *__wrap_thrum_task_find(const char *name) {
  thrum_event *gate = LOAD(gates);
  bool is_second = strcmp(name, "twice") == 0;
  if (gate && (is_second || strcmp(name, "opened") == 0)) {
    ADD(sends, 1);
    thrum_event_wait(&gate[is_second]);
  }
  return __real_thrum_task_find(name);
}

static thrum_executor *crew_of_one(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.name = "crew";
  o.processes = 1;
  STORE(refusals, 0);
  return processes_with(o);
}

THRUM_TASK(twice) { return 2 * number_in(in); }

THRUM_TASK(stays) {
  while (access(in, F_OK) == 0) usleep(1000);
  return (int)size;
}

static thrum_executor *crew;
static thrum_future *first, *second;
static int called;

static intptr_t submit_first(void *unused) {
  return thrum_submit_task(crew, &first, &twice, &(int){1}, sizeof(int)) + (intptr_t)unused;
}

/* The first has found nobody, and waits for that: its submitter is in the midst of the call. */
static thrum_thread hold_first(thrum_event *hold) {
  crew = crew_of_one();
  STORE(refused, BOTH);
  STORE(refused_at, hold);
  thrum_thread submitter = must_spawn(submit_first, NULL);
  AWAIT(LOAD(refusals) == 1);
  return submitter;
}

static void let_go(thrum_event *hold) {
  STORE(refused_at, NULL);
  thrum_event_set(hold);
}

/* ---- The end comes behind the results ------------------------------------------------------------------------------- */

static thrum_event fails;
static thrum_thread shutter;
static bool told;

/* In the submitter, which counts for nobody who comes any more: just then somebody waits for the end, and has every chance to go on. */
static void hear_of_failure(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t, (void)sentence;
  CHECK_EQ(failure, -ENOMEM);
  thrum_event_set(&fails);
  AWAIT(is_parked(shutter));
  STORE(told, true);
}

static intptr_t shut_and_look(void *unused) {
  thrum_event_wait(&fails);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
  CHECK(LOAD(told)); /* which the hook says only when this thread is parked */
  CHECK(thrum_future_done(second));
  return (intptr_t)unused;
}

static void the_end_comes_behind_the_results(void) {
  thrum_event hold = {0};
  thrum_on_uncaught(hear_of_failure);
  thrum_thread submitter = hold_first(&hold);
  /* Nobody asks for it, so the hook hears of its failure. */
  CHECK_EQ(thrum_submit_task(crew, NULL, &twice, &(int){1}, sizeof(int)), 0);
  second = submit_number(crew, &twice, 2);
  shutter = must_spawn(shut_and_look, NULL);
  AWAIT(is_parked(shutter));
  let_go(&hold);
  CHECK_EQ(must_join(submitter), 0);
  CHECK_EQ(must_join(shutter), 0);
  take_failure(first, -ENOMEM, "has no thread for it");
  take_failure(second, -ENOMEM, "has no thread for it");
  thrum_on_uncaught(NULL);
  STORE(refused, NONE);
  end_pool(crew);
}

/* ---- Callbacks that are called where there is no thread for them ------------------------------------------------------- */

/* In the submitter: for what failed with it, and for the end. */
static intptr_t wait_for_all(thrum_future *f, void *other) {
  intptr_t result = 0;
  CHECK_EQ(thrum_future_result(other, &result), 0);
  CHECK_EQ(result, -ENOMEM);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
  ADD(called, 1);
  return f ? 0 : -EINVAL;
}

static void callbacks_of_what_failed_wait_for_it(void) {
  thrum_event hold = {0};
  STORE(called, 0);
  thrum_thread submitter = hold_first(&hold);
  thrum_future *f[2];
  for (int i = 0; i < 2; i++) f[i] = submit_number(crew, &twice, i);
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_future_add_done_callback(f[i], wait_for_all, f[!i]), 0);
  let_go(&hold);
  CHECK_EQ(must_join(submitter), 0);
  CHECK_EQ(LOAD(called), 2);
  CHECK_EQ(LOAD(refusals), 2); /* of an attendant, and of the first of two threads for callbacks */
  for (int i = 0; i < 2; i++) take_failure(f[i], -ENOMEM, "has no thread for it");
  thrum_future_release(first);
  STORE(refused, NONE);
  end_pool(crew);
}

static intptr_t wait_for_second(thrum_future *f, void *unused) {
  (void)unused;
  CHECK_EQ(thrum_future_wait(second), 0);
  ADD(called, 1);
  return f ? 0 : -EINVAL;
}

/* The second is with the same process, and the first's callback waits for it: when there is a thread again. */
static void callbacks_wait_for_threads(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  make_temporary(path);
  crew = crew_of_one();
  STORE(called, 0);
  STORE(refused, CALLBACKS);
  first = must_submit(crew, &stays, path, sizeof path);
  second = submit_number(crew, &twice, 4);
  CHECK_EQ(thrum_future_add_done_callback(first, wait_for_second, NULL), 0);
  unlink(path);
  CHECK_EQ(take(first), sizeof path);
  AWAIT(LOAD(refusals) > 0);
  CHECK_EQ(thrum_future_wait(second), 0);
  CHECK_EQ(LOAD(called), 0);
  STORE(refused, NONE);
  AWAIT(LOAD(called) == 1);
  CHECK_EQ(take(second), 8);
  end_pool(crew);
}

static intptr_t count_call(thrum_future *f, void *unused) {
  ADD(called, 1);
  return f && !unused ? 0 : -EINVAL;
}

static intptr_t stay_in_thread(void *file) {
  while (access(file, F_OK) == 0) thrum_sleep(THRUM_MS(1));
  return 0;
}

/* Its process has nothing more to do, and ends when the thread has. */
THRUM_TASK(leaves_thread) {
  static char file[64];
  memcpy(file, in, size);
  return thrum_spawn(NULL, stay_in_thread, file);
}

/* Nor do they wait for a process that was told to end and takes long to. */
static void callbacks_do_not_wait_for_an_end(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  make_temporary(path);
  o.name = "crew";
  o.processes = o.tasks_per_process = 1;
  thrum_executor *x = processes_with(o);
  STORE(called, 0);
  STORE(refusals, 0);
  STORE(refused, CALLBACKS);
  thrum_future *f = must_submit(x, &leaves_thread, path, sizeof path);
  CHECK_EQ(thrum_future_add_done_callback(f, count_call, NULL), 0);
  AWAIT(stats_of(x).finished == 1 && LOAD(refusals) > 3);
  CHECK_EQ(LOAD(called), 0);
  STORE(refused, NONE);
  AWAIT(LOAD(called) == 1);
  CHECK_EQ(stats_of(x).threads, 1); /* it is there still */
  unlink(path);
  CHECK_EQ(take(f), 0);
  end_pool(x);
}

static intptr_t shut_within(thrum_future *f, void *unused) {
  (void)unused;
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), -EDEADLK);
  ADD(called, 1);
  return f ? 0 : -EINVAL;
}

/* There is none for as long as the executor lives: they are called all the same, and the end comes behind them. */
static void callbacks_are_called_at_the_end(void) {
  crew = crew_of_one();
  STORE(called, 0);
  STORE(refused, CALLBACKS);
  for (int i = 0; i < 3; i++) {
    char path[] = "/tmp/thrum-pool-XXXXXX";
    make_temporary(path);
    thrum_future *f = must_submit(crew, &stays, path, sizeof path);
    CHECK_EQ(thrum_future_add_done_callback(f, shut_within, NULL), 0);
    unlink(path);
    CHECK_EQ(take(f), sizeof path);
  }
  CHECK_EQ(LOAD(called), 0);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
  CHECK_EQ(LOAD(called), 3);
  STORE(refused, NONE);
  end_pool(crew);
}

/* ---- A callback that forks ---------------------------------------------------------------------------------------------- */

/* Its child attends nobody, in whosever thread it is: the executor is its own. (An attendant calls it when that was shut down.) */
static intptr_t use_in_child(thrum_future *f, void *unused) {
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    if (LOAD(refused) == NONE) CHECK_EQ(take(submit_number(crew, &twice, 6)), 12);
    CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
    _exit(0);
  }
  CHECK_EQ(thrum_child_wait(child, &status), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), -EDEADLK);
  ADD(called, 1);
  return f && !unused ? 0 : -EINVAL;
}

static void callbacks_may_fork(int without) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  make_temporary(path);
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.name = "crew";
  o.processes = 1;
  o.method = THRUM_FORK; /* a child of a fork has no fork server */
  crew = processes_with(o);
  STORE(called, 0);
  STORE(refused, without);
  thrum_future *f = must_submit(crew, &stays, path, sizeof path);
  CHECK_EQ(thrum_future_add_done_callback(f, use_in_child, NULL), 0);
  unlink(path);
  CHECK_EQ(take(f), sizeof path);
  if (without) CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0); /* which calls it */
  AWAIT(LOAD(called) == 1);
  STORE(refused, NONE);
  end_pool(crew);
}

/* ---- What is cancelled while an attendant has it ------------------------------------------------------------------- */

THRUM_TASK(opened) {
  int fd = open(in, O_WRONLY | O_APPEND);
  if (fd < 0 || write(fd, "b", 1) != 1) return -errno;
  close(fd);
  while (access(in, F_OK) == 0) usleep(1000);
  return (int)size;
}

/* In a thread of its own: it waits for what the attendant would have to take. */
static intptr_t wait_elsewhere(thrum_future *f, void *other) {
  char name[THRUM_NAME_MAX] = "";
  CHECK(thrum_name(thrum_current(), name, sizeof name) >= 0);
  CHECK_HAS(name, "callbacks");
  CHECK(thrum_future_cancelled(f));
  STORE(called, 1);
  if (other) CHECK_EQ(thrum_future_wait(other), 0);
  STORE(called, 2);
  return 0;
}

/* It is cancelled while its errand is written, behind one that has begun. */
static void callbacks_of_what_was_being_sent(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  make_temporary(path);
  thrum_event gate[2] = {{0}};
  crew = crew_of_one();
  STORE(called, 0);
  STORE(sends, 0);
  STORE(gates, gate);
  first = must_submit(crew, &opened, path, sizeof path);
  AWAIT(LOAD(sends) == 1);
  second = submit_number(crew, &twice, 1);
  CHECK_EQ(thrum_future_add_done_callback(second, wait_elsewhere, first), 0);
  thrum_event_set(&gate[0]);
  AWAIT(LOAD(sends) == 2);
  AWAIT(size_of(path) == 1);
  CHECK_EQ(thrum_executor_shutdown(crew, false, true), 0);
  STORE(gates, NULL);
  thrum_event_set(&gate[1]);
  AWAIT(LOAD(called) == 1);
  unlink(path);
  AWAIT(LOAD(called) == 2);
  CHECK_EQ(take(first), sizeof path);
  CHECK_EQ(stats_of(crew).cancelled, 1);
  thrum_future_release(second);
  end_pool(crew);
}

/* It would be tried again, and is cancelled instead. */
static void callbacks_of_what_died(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  make_temporary(path);
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.name = "crew";
  o.processes = 1;
  o.retries = 1;
  crew = processes_with(o);
  STORE(called, 0);
  thrum_future *f = must_submit(crew, &opened, path, sizeof path);
  CHECK_EQ(thrum_future_add_done_callback(f, wait_elsewhere, NULL), 0);
  AWAIT(size_of(path) == 1);
  CHECK_EQ(thrum_executor_shutdown(crew, false, true), 0);
  pid_t pid;
  CHECK_EQ(thrum_executor_pids(crew, &pid, 1), 1);
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
  CHECK_EQ(LOAD(called), 2);
  CHECK_EQ(stats_of(crew).cancelled, 1);
  thrum_future_release(f);
  unlink(path);
  end_pool(crew);
}

/* ---- Destructors of thread-locals --------------------------------------------------------------------------------------- */

static int expected, destroyed;

/* When the thread has given back what it called callbacks for. */
static void shut_at_last(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), LOAD(expected));
  STORE(destroyed, 1);
}

static thrum_local local = THRUM_LOCAL_INIT(shut_at_last);

static intptr_t set_local(thrum_future *f, void *unused) {
  (void)f, (void)unused;
  AWAIT(LOAD(called));
  return thrum_local_set(&local, &local);
}

THRUM_TASK(large) { return in && size > 1 << 20; }

/* The thread has the last reference to a future that is large enough to be unmapped at once. */
static void destructors_may_shut_behind_callbacks(void) {
  enum { SIZE = 8 << 20 };
  char *in = calloc(1, SIZE);
  CHECK(in);
  crew = crew_of_one();
  STORE(called, 0);
  STORE(destroyed, 0);
  STORE(expected, 0);
  thrum_future *f = must_submit(crew, &large, in, SIZE);
  CHECK_EQ(thrum_future_add_done_callback(f, set_local, NULL), 0);
  CHECK_EQ(take(f), 1);
  STORE(called, 1);
  AWAIT(LOAD(destroyed));
  end_pool(crew);
  free(in);
}

/* An attendant called the callback: others may wait for its thread, so it waits for nobody. */
static void destructors_of_attendants_do_not_wait(void) {
  char path[] = "/tmp/thrum-pool-XXXXXX";
  make_temporary(path);
  crew = crew_of_one();
  STORE(called, 1);
  STORE(destroyed, 0);
  STORE(expected, -EDEADLK);
  STORE(refused, CALLBACKS);
  thrum_future *f = must_submit(crew, &stays, path, sizeof path);
  CHECK_EQ(thrum_future_add_done_callback(f, set_local, NULL), 0);
  unlink(path);
  CHECK_EQ(take(f), sizeof path);
  CHECK_EQ(thrum_executor_shutdown(crew, true, false), 0);
  AWAIT(LOAD(destroyed));
  STORE(refused, NONE);
  end_pool(crew);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  the_end_comes_behind_the_results();
  callbacks_of_what_failed_wait_for_it();
  callbacks_wait_for_threads();
  callbacks_do_not_wait_for_an_end();
  callbacks_are_called_at_the_end();
  if (!TESTS_TSAN) callbacks_may_fork(NONE);
  if (!TESTS_TSAN) callbacks_may_fork(CALLBACKS);
  callbacks_of_what_was_being_sent();
  callbacks_of_what_died();
  destructors_may_shut_behind_callbacks();
  destructors_of_attendants_do_not_wait();
  return 0;
}
