/* Everything at once, at random: spawn, join, timed join, wait, detach, sleep, yield, hogs that must be
 * preempted, blocking and parking reads, pins, bound and foreign threads, and a changing number of workers.
 *
 *     stress [SECONDS [SEED]]
 *
 * What is checked: every job that was started ran exactly once and every result is the right one, by counts
 * at the end; and that it ends. The seed is printed; it decides what is done, not how it interleaves. */
#include "../support.h"
#include "random.h"

#include <fcntl.h>

enum {
  ROOTS = 10, /* light threads that start jobs until time is up; some are bound, and some foreign */
  FOREIGN = 2,
  DEPTH = 3, /* jobs start jobs */
  LIVE_MAX = TESTS_SANITIZED ? 300 : 3000,
  GROUP = 6,
};

struct job {
  uint64_t seed;
  int depth;
  int runs;      /* must be 1 when it ends */
  bool detached; /* then it frees itself */
  int fds[2];    /* of the reading kinds */
};

static int64_t deadline;
static uint64_t spawned, started, finished;
static bool over;

/* ---- Chance -------------------------------------------------------------------------------------------- */

/* What a job returns: positive, and like no other. */
static intptr_t result_of(const struct job *job) { return (intptr_t)(mix(job->seed) >> 2); }

/* ---- What a job does ----------------------------------------------------------------------------------- */

static intptr_t run_job(void *arg);
static void start_group(uint64_t *state, int depth);

static void spin(int microseconds) {
  for (int64_t end = wall_now() + microseconds * INT64_C(1000); wall_now() < end;) continue;
}

static void pinned(uint64_t *state) {
  int error = thrum_pin();
  if (error) {
    CHECK_EQ(error, -EAGAIN); /* no kernel thread to keep at this moment */
    return;
  }
  pid_t tid = gettid();
  for (int i = draw(state, 4); i >= 0; i--) thrum_yield();
  CHECK_EQ(gettid(), tid);
  CHECK_EQ(thrum_unpin(), 0);
}

static void keep_errno(uint64_t *state) {
  int own = draw(state, 4000);
  errno = own;
  thrum_yield();
  CHECK_EQ(errno, own);
}

/* Shared by all jobs. Units are taken and given back, things added and done, whatever times out. */
enum { UNITS = 5 };
static thrum_sem units = THRUM_SEM_BOUNDED_INIT(UNITS, UNITS);
static thrum_event flag;
static thrum_waitgroup things;
static thrum_once once;
static int units_out, once_runs;

static intptr_t run_once(void *arg) {
  thrum_yield();
  return ADD(once_runs, 1) < 3 ? -EIO : (intptr_t)arg;
}

static void use_units(uint64_t *state) {
  int way = draw(state, 3), error = 0;
  if (way == 0) error = thrum_sem_try_acquire(&units);
  if (way == 1) error = thrum_sem_acquire_for(&units, THRUM_US(draw(state, 300)));
  if (way == 2) thrum_sem_acquire(&units);
  CHECK(error == 0 || error == (way ? -ETIMEDOUT : -EAGAIN));
  if (error) return;
  CHECK(ADD(units_out, 1) <= UNITS);
  if (draw(state, 2)) thrum_yield();
  ADD(units_out, -1);
  CHECK_EQ(thrum_sem_release(&units, 1), 0);
}

static void synchronise(uint64_t *state) {
  int error;
  switch (draw(state, 5)) {
  case 0:
    thrum_event_set(&flag);
    thrum_event_clear(&flag);
    return;
  case 1: error = thrum_event_wait_for(&flag, THRUM_US(draw(state, 300))); break;
  case 2: error = thrum_waitgroup_wait_for(&things, THRUM_US(draw(state, 300))); break;
  case 3:
    thrum_waitgroup_add(&things, 1);
    thrum_yield();
    thrum_waitgroup_done(&things);
    return;
  default:
    error = thrum_once_call(&once, run_once, NULL);
    CHECK(error == 0 || error == -EIO);
    return;
  }
  CHECK(error == 0 || error == -ETIMEDOUT);
}

/* A pair that readers find equal, whichever way they and the writers come and give up. */
static thrum_rwlock pair_lock;
static long pair[2];

static void read_pair(uint64_t *state) {
  int way = draw(state, 3), error = 0;
  if (way == 0) error = thrum_rwlock_try_acquire_read(&pair_lock);
  if (way == 1) error = thrum_rwlock_acquire_read_for(&pair_lock, THRUM_US(draw(state, 300)));
  if (way == 2) thrum_rwlock_acquire_read(&pair_lock);
  CHECK(error == 0 || error == (way ? -ETIMEDOUT : -EAGAIN));
  if (error) return;
  long seen = pair[0];
  if (draw(state, 2)) thrum_yield();
  CHECK_EQ(pair[1], seen);
  CHECK_EQ(thrum_rwlock_release_read(&pair_lock), 0);
}

static void write_pair(uint64_t *state) {
  int way = draw(state, 3), error = 0;
  if (way == 0) error = thrum_rwlock_try_acquire_write(&pair_lock);
  if (way == 1) error = thrum_rwlock_acquire_write_for(&pair_lock, THRUM_US(draw(state, 300)));
  if (way == 2) thrum_rwlock_acquire_write(&pair_lock);
  CHECK(error == 0 || error == (way ? -ETIMEDOUT : -EAGAIN));
  if (error) return;
  pair[0]++;
  if (draw(state, 2)) thrum_yield();
  pair[1]++;
  if (draw(state, 3)) {
    CHECK_EQ(thrum_rwlock_release_write(&pair_lock), 0);
    return;
  }
  CHECK_EQ(thrum_rwlock_downgrade(&pair_lock), 0);
  CHECK_EQ(pair[0], pair[1]);
  CHECK_EQ(thrum_rwlock_release_read(&pair_lock), 0);
}

/* Whoever comes, meets two others or breaks it; whoever finds it broken mends it. */
static thrum_barrier meeting = THRUM_BARRIER_INIT(3);

static void meet(uint64_t *state) {
  int number = thrum_barrier_wait_for(&meeting, THRUM_US(draw(state, 300)));
  CHECK((number >= 0 && number < 3) || number == -ETIMEDOUT || number == -EPIPE);
  if (number == -EPIPE && thrum_barrier_broken(&meeting)) thrum_barrier_reset(&meeting);
}

static void act(uint64_t *state, int depth) {
  switch (draw(state, 19)) {
  case 0: CHECK_EQ(thrum_sleep(THRUM_US(draw(state, 2000))), 0); break;
  case 1: spin(draw(state, 300)); break;
  case 2:
    if (draw(state, 20) == 0) spin(8000);
    break; /* for more than an interval */
  case 3: pinned(state); break;
  case 4: keep_errno(state); break;
  case 5: free(malloc((size_t)draw(state, 10000))); break;
  case 6:
  case 7:
    if (depth < DEPTH) start_group(state, depth + 1);
    break;
  case 8:
  case 9: use_units(state); break;
  case 10: synchronise(state); break;
  case 11:
  case 12: read_pair(state); break;
  case 13: write_pair(state); break;
  case 14: meet(state); break;
  default: thrum_yield(); break;
  }
}

static void read_byte(struct job *job, bool plainly) {
  char c;
  CHECK_EQ(plainly ? read(job->fds[0], &c, 1) : thrum_read(job->fds[0], &c, 1), 1);
  CHECK(thrum_close(job->fds[0]) == 0 && thrum_close(job->fds[1]) == 0);
}

static intptr_t run_job(void *arg) {
  struct job *job = arg;
  uint64_t state = job->seed;
  intptr_t result = result_of(job);
  CHECK_EQ(ADD(job->runs, 1), 1);
  ADD(started, 1);
  if (job->fds[0] >= 0) read_byte(job, job->seed & 1);
  for (int i = draw(&state, 4); i >= 0; i--) act(&state, job->depth);
  CHECK_EQ(LOAD(job->runs), 1);
  if (job->detached) free(job);
  ADD(finished, 1);
  return result;
}

/* ---- Starting jobs and waiting for them ---------------------------------------------------------------- */

static struct job *new_job(uint64_t *state, int depth) {
  struct job *job = calloc(1, sizeof *job);
  CHECK(job);
  job->seed = draw_any(state);
  job->depth = depth;
  job->fds[0] = job->fds[1] = -1;
  if (draw(state, 8) == 0) CHECK_EQ(pipe2(job->fds, O_CLOEXEC), 0);
  return job;
}

static void spawn_job(uint64_t *state, thrum_thread *out, struct job *job) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = draw(state, 40) == 0;
  options.stack_size = draw(state, 4) == 0 ? 64 * 1024 : 0;
  int out_fd = job->fds[1]; /* the job may be gone when it has been started */
  ADD(spawned, 1);
  CHECK_EQ(thrum_spawn_with(out, &options, run_job, job), 0);
  if (out_fd < 0) return;
  if (draw(state, 2)) thrum_yield();
  CHECK_EQ(thrum_write(out_fd, "x", 1), 1);
}

static intptr_t wait_beside(void *arg) { return thrum_wait(*(thrum_thread *)arg); }

/* One of the ways to wait for a thread; whichever it is, the result comes once. */
static intptr_t collect(uint64_t *state, thrum_thread t) {
  intptr_t result = -1;
  int error;
  switch (draw(state, 4)) {
  case 0: return must_join(t);
  case 1:
    while ((error = thrum_join_for(t, &result, THRUM_US(draw(state, 500)))) == -ETIMEDOUT) continue;
    CHECK_EQ(error, 0);
    return result;
  case 2:
    while ((error = thrum_wait_for(t, THRUM_US(draw(state, 500)))) == -ETIMEDOUT) continue;
    CHECK_EQ(error, 0);
    return must_join(t);
  default: {
    thrum_thread beside = must_spawn(wait_beside, &t);
    CHECK_EQ(thrum_wait(t), 0);
    CHECK_EQ(must_join(beside), 0);
    return must_join(t);
  }
  }
}

static void start_detached(uint64_t *state, int depth) {
  struct job *job = new_job(state, depth);
  thrum_thread t;
  bool at_once = draw(state, 2);
  job->detached = true;
  spawn_job(state, at_once ? NULL : &t, job);
  if (!at_once) CHECK_EQ(thrum_detach(t), 0);
}

static void start_group(uint64_t *state, int depth) {
  struct job *jobs[GROUP];
  thrum_thread threads[GROUP];
  if (LOAD(spawned) - LOAD(finished) > LIVE_MAX) return;
  int count = 1 + draw(state, GROUP);
  for (int i = 0; i < count; i++) {
    jobs[i] = new_job(state, depth);
    spawn_job(state, &threads[i], jobs[i]);
    if (draw(state, 6) == 0) start_detached(state, depth);
  }
  for (int i = 0; i < count; i++) {
    CHECK_EQ(collect(state, threads[i]), result_of(jobs[i]));
    CHECK_EQ(jobs[i]->runs, 1);
    CHECK(!thrum_is_alive(threads[i]));
    free(jobs[i]);
  }
}

/* ---- The whole ----------------------------------------------------------------------------------------- */

static intptr_t root(void *arg) {
  uint64_t state = (uint64_t)(uintptr_t)arg;
  while (wall_now() < deadline) start_group(&state, 0);
  return 0;
}

/* Changes what may be changed while everything runs. */
static intptr_t meddle(void *arg) {
  uint64_t state = (uint64_t)(uintptr_t)arg;
  while (!LOAD(over)) {
    CHECK_EQ(thrum_set_workers(1 + draw(&state, 6)), 0);
    CHECK_EQ(thrum_set_switch_interval(THRUM_US(100 + draw(&state, 5000))), 0);
    CHECK(thrum_active_count() >= 2);
    CHECK_EQ(thrum_sleep(THRUM_MS(draw(&state, 20))), 0);
  }
  return 0;
}

static void run(uint64_t seed) {
  thrum_thread roots[ROOTS], meddler = must_spawn(meddle, (void *)(uintptr_t)mix(seed));
  struct outsider outsiders[FOREIGN];
  pthread_t foreign[FOREIGN];
  for (int i = 0; i < ROOTS; i++) {
    void *own_seed = (void *)(uintptr_t)mix(seed + (uint64_t)i + 1);
    roots[i] = i % 5 == 4 ? must_spawn_bound(root, own_seed) : must_spawn(root, own_seed);
  }
  for (int i = 0; i < FOREIGN; i++) {
    outsiders[i] = (struct outsider){root, (void *)(uintptr_t)mix(seed - (uint64_t)i - 1), 1};
    CHECK_EQ(pthread_create(&foreign[i], NULL, outsider_run, &outsiders[i]), 0);
  }
  for (int i = 0; i < ROOTS; i++) CHECK_EQ(must_join(roots[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(foreign[i], NULL), 0);
  STORE(over, true);
  CHECK_EQ(must_join(meddler), 0);
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : mix((uint64_t)wall_now());
  printf("seed 0x%llx, %g s\n", (unsigned long long)seed, seconds);
  fflush(stdout);
  deadline = wall_now() + (int64_t)(seconds * 1e9);
  run(seed);
  AWAIT(thrum_active_count() == 1);
  CHECK_EQ(LOAD(started), LOAD(spawned));
  CHECK_EQ(LOAD(finished), LOAD(spawned));
  CHECK_EQ(thrum_sem_value(&units), UNITS);
  while (LOAD(once_runs) < 3)
    CHECK(thrum_once_call(&once, run_once, NULL) <= 0); /* a slow machine has come by it less often */
  CHECK(thrum_waitgroup_count(&things) == 0 && LOAD(once_runs) == 3 && thrum_once_done(&once));
  CHECK_EQ(pair_lock.word, 0);
  CHECK_EQ(pair[0], pair[1]);
  CHECK_EQ(thrum_barrier_destroy(&meeting), 0);
  CHECK(thrum_sem_destroy(&units) == 0 && thrum_event_destroy(&flag) == 0);
  thrum_stats stats = statistics();
  printf("%llu jobs, %llu switches, %llu steals, %llu preemptions, %llu leases lost, %u kernel threads\n",
         (unsigned long long)spawned, (unsigned long long)stats.switches, (unsigned long long)stats.steals,
         (unsigned long long)stats.preemptions, (unsigned long long)stats.leases_lost,
         stats.kernel_threads_peak);
  return 0;
}
