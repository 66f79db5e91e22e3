/* Recording is switched on and off, by calls and by the environment. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <sched/self.h>
#include <sched/step.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/time.h>
#include <thrum/trace.h>
#include <trace/quiet.h>
#include <trace/trace.h>
#include <trace/wish.h>
#include <unistd.h>

#define KEEP THRUM_S(10)
#define PATIENCE THRUM_S(10) /* of the program's end, while nothing is written */
enum { RING = 4 << 20, RING_MIN = 2 << 10, RING_MAX = 1 << 30 };

static struct thrumi_recorder *const r = &thrumi_recorder;

/* ---- One at a time --------------------------------------------------------------------------------------------- */

/* A pthread mutex belongs to a kernel thread. */
static void lock(void) {
  thrum_pin();
  pthread_mutex_lock(&r->mutex);
}

static void unlock(void) {
  pthread_mutex_unlock(&r->mutex);
  thrum_unpin();
}

bool thrumi_drain_claim(int64_t patience) {
  int64_t end = patience == INT64_MAX ? INT64_MAX : thrumi_os.now() + patience;
  uint32_t free_word = 0;
  while (!thrumi_cas(&r->busy, &free_word, 1)) {
    if (thrumi_load(&r->state) == THRUMI_CRASHED || thrumi_os.now() >= end) return false;
    thrumi_os.futex_wait(&r->busy, 1, thrumi_os.now() + THRUM_MS(1));
    free_word = 0;
  }
  return true;
}

void thrumi_drain_release(void) {
  thrumi_store(&r->busy, 0);
  thrumi_os.futex_wake(&r->busy, 1);
}

/* ---- Starting -------------------------------------------------------------------------------------------------- */

static uint64_t events_for(size_t bytes) {
  uint64_t events = THRUMI_RING_MIN, room = bytes ? bytes : RING;
  while (2 * events * sizeof(struct thrumi_event) <= room) events *= 2;
  return events;
}

static bool good_options(const thrum_trace_options *o) {
  bool ring = o->ring == 0 || (o->ring >= RING_MIN && o->ring <= RING_MAX);
  bool file = o->file && *o->file && strlen(o->file) < sizeof r->path - 16;
  return o->size == sizeof *o && (file || (o->flight && !o->file)) && o->keep >= 0 && ring;
}

static void switch_on(const thrum_trace_options *o) {
  uint32_t mode = THRUMI_MODE_TRACE | (o->locks ? THRUMI_MODE_TRACE_LOCKS : 0u) |
                  (o->queues ? THRUMI_MODE_TRACE_QUEUES : 0u);
  thrumi_store(&r->state, (uint32_t)(o->flight ? THRUMI_FLIGHT : THRUMI_RECORDING));
  thrumi_crash_watch();
  __atomic_fetch_or(&thrumi_mode, mode, __ATOMIC_SEQ_CST);
}

void thrumi_trace_switch_off(void) {
  uint32_t mode = THRUMI_MODE_TRACE | THRUMI_MODE_TRACE_LOCKS | THRUMI_MODE_TRACE_QUEUES;
  __atomic_fetch_and(&thrumi_mode, ~mode, __ATOMIC_SEQ_CST);
}

/* Rings first, as the drain begins where they are. */
static int prepare(const thrum_trace_options *o) {
  static bool ticks_started;
  if (!ticks_started) thrumi_ticks_start();
  ticks_started = true;
  struct thrumi_drain *d = &r->drain;
  bool made = thrumi_file_make(&d->file);
  made = made && thrumi_rings_begin(thrumi_load(&thrumi_sched.workers), events_for(o->ring), o->flight);
  if (!made) return -ENOMEM;
  snprintf(r->path, sizeof r->path, "%s", o->file ? o->file : "");
  r->keep = o->keep ? o->keep : KEEP;
  d->flight = o->flight;
  thrumi_drain_begin(d);
  return 0;
}

static int begin_file(const char *path) {
  int fd = thrumi_trace_open(path, r->path);
  if (fd < 0) return fd;
  thrumi_drain_open(&r->drain, fd);
  int error = r->drain.file.error;
  r->drain.file.awaited = &r->stopping;
  if (!error) error = thrumi_drainer_start();
  if (error) thrumi_trace_remove(r->path, fd);
  if (error) thrumi_trace_close(&r->drain.file);
  return error;
}

/* With the mutex. -ETIMEDOUT: the file does not come to its end; what has it still has it. */
static int stop(int64_t patience) {
  uint32_t state = thrumi_load(&r->state);
  if (state != THRUMI_RECORDING && state != THRUMI_FLIGHT && state != THRUMI_FAILED) return -EPERM;
  thrumi_trace_switch_off();
  thrumi_crash_ignore();
  bool records = state != THRUMI_FLIGHT;
  if (records && !thrumi_drainer_stop(patience)) return -ETIMEDOUT;
  int error = records ? r->drain.file.error : 0;
  thrumi_store(&r->state, (uint32_t)THRUMI_OFF);
  return error;
}

/* With the mutex, or before there is anybody else. */
static int start(const thrum_trace_options *o) {
  if (thrumi_load(&r->state) == THRUMI_FAILED) stop(INT64_MAX);
  if (thrumi_load(&r->state) != THRUMI_OFF) return -EBUSY;
  int error = o->flight && o->file ? thrumi_trace_may_be(o->file) : 0;
  if (!error) error = prepare(o);
  if (!error && !o->flight) error = begin_file(o->file);
  if (!error) switch_on(o);
  return error;
}

/* Who starts it runs, which nothing would tell otherwise. */
static void tell_own_run(void) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_step(RUN, run, thrumi_running_on(k), 0, 0);
  thrumi_leave(k);
}

int thrum_trace_start(const thrum_trace_options *options) {
  if (!options || !good_options(options)) return -EINVAL;
  thrumi_leave(thrumi_enter());
  struct thrumi_quiet quiet;
  lock();
  thrumi_quiet_begin(&quiet);
  int error = start(options);
  thrumi_quiet_end(&quiet);
  unlock();
  if (!error) tell_own_run();
  return error;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------------ */

static int stop_by(int64_t patience) {
  thrumi_leave(thrumi_enter());
  lock();
  int error = stop(patience);
  unlock();
  return error;
}

int thrum_trace_stop(void) { return stop_by(INT64_MAX); }

/* Everybody that the program waits for has ended. Another one may have crashed, and be writing. */
static void at_end(void) {
  if (stop_by(PATIENCE) == -ETIMEDOUT && thrumi_load(&r->state) == THRUMI_RECORDING)
    thrumi_log("the trace %s takes nothing any more: it is left without its end", r->path);
  thrumi_await_last_act();
}

/* The child has neither the drainer nor anything to record; what the parent writes is the parent's. */
static void after_fork(void) {
  bool recorded = thrumi_load(&r->state) != THRUMI_OFF;
  thrumi_trace_switch_off();
  pthread_mutex_init(&r->mutex, NULL);
  thrumi_rings_fork();
  thrumi_last_act_fork();
  if (recorded) thrumi_crash_ignore();
  thrumi_trace_close(&r->drain.file);
  thrumi_store(&r->busy, 0);
  thrumi_store(&r->state, (uint32_t)THRUMI_OFF);
}

/* ---- Snapshots ------------------------------------------------------------------------------------------------- */

static int write_snapshot(int fd) {
  struct thrumi_drain *d = &r->drain;
  thrumi_drain_rewind(d, r->keep);
  thrumi_drain_open(d, fd);
  thrumi_drain_events(d);
  thrumi_drain_finish(d);
  d->file.fd = -1;
  return d->file.error;
}

static int snapshot(const char *path) {
  if (thrumi_load(&r->state) != THRUMI_FLIGHT) return -EPERM;
  char name[THRUMI_TRACE_PATH];
  int fd = thrumi_trace_open(path, name);
  if (fd < 0) return fd;
  bool claimed = thrumi_drain_claim(INT64_MAX); /* not if the program is about to end */
  int error = claimed ? write_snapshot(fd) : -EPERM;
  if (claimed) thrumi_drain_release();
  if (error) thrumi_trace_remove(name, fd);
  close(fd);
  return error;
}

int thrum_trace_snapshot(const char *path) {
  if (!path) return -EINVAL;
  thrumi_leave(thrumi_enter());
  struct thrumi_quiet quiet;
  lock();
  thrumi_quiet_begin(&quiet);
  int error = snapshot(path);
  thrumi_quiet_end(&quiet);
  unlock();
  return error;
}

/* ---- Figures --------------------------------------------------------------------------------------------------- */

int thrum_trace_statistics(thrum_trace_stats *out) {
  if (!out || out->size != sizeof *out) return -EINVAL;
  uint32_t state = thrumi_load(&r->state);
  *out = (thrum_trace_stats){.size = sizeof *out,
                             .on = state == THRUMI_RECORDING || state == THRUMI_FLIGHT,
                             .flight = state == THRUMI_FLIGHT,
                             .written = thrumi_load_relaxed(&r->drain.written)};
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    if (!ring) continue;
    out->recorded += thrumi_load(&ring->head) - r->drain.ring[i].began;
    out->lost += thrumi_load_relaxed(&ring->lost) - r->drain.ring[i].lost_before;
  }
  return 0;
}

/* ---- The environment ------------------------------------------------------------------------------------------- */

static void ask_environment(void) {
  const char *wish = secure_getenv("THRUM_TRACE");
  if (!wish || !*wish) return;
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  if (!thrumi_wish_read(wish, &options) || !good_options(&options)) {
    thrumi_log(
        "THRUM_TRACE=\"%s\" is ignored: it must be a file, before it flight:, locks:, queues:, seconds=N: or ring=SIZE:",
        wish);
    return;
  }
  struct thrumi_quiet quiet;
  thrumi_quiet_begin(&quiet);
  int error = start(&options);
  thrumi_quiet_end(&quiet);
  if (error) thrumi_log("cannot record to %s: %s", options.file, strerror(-error));
}

void thrumi_trace_begin(bool may_ask_environment) {
  if (!thrumi_hooks.trace) thrumi_hooks.trace = thrumi_rings_hook;
  thrumi_hooks.trace_stamp = thrumi_rings_stamp;
  thrumi_hooks.trace_fork = after_fork;
  thrumi_hooks.trace_end = at_end;
  if (may_ask_environment) ask_environment();
}
