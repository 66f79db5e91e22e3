/* The kernel thread that writes a recording to its file: it comes with the recording and goes with it. It runs no threads and holds no
 * worker. What it looks up (names of functions) it does as any code outside of the runtime; no worker ever waits for it. */
#include <core/fatal.h>
#include <sched/self.h>
#include <string.h>
#include <trace/trace.h>
#include <unistd.h>

#define PAUSE_MIN THRUM_MS(1)
#define PAUSE_MAX THRUM_MS(10)
#define GATHER THRUM_MS(50)    /* so long events wait for more, to be written in large pieces */
enum { FULL = 256, AIM = 64 }; /* rings are to be a quarter full when it comes */

struct thrumi_recorder thrumi_recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .drain.file.fd = -1};

/* How long it sleeps, if events come as fast as they came lately. */
static int64_t next_pause(int64_t pause, uint32_t fullest) {
  int64_t next = fullest ? pause * AIM / fullest : PAUSE_MAX;
  if (next > 2 * pause) next = 2 * pause;
  if (next > PAUSE_MAX) next = PAUSE_MAX;
  return next < PAUSE_MIN ? PAUSE_MIN : next;
}

/* The disk is full, or the like: the program goes on without being recorded. */
static void give_up(int error) {
  uint32_t recording = THRUMI_RECORDING;
  if (!thrumi_cas(&thrumi_recorder.state, &recording, (uint32_t)THRUMI_FAILED)) return;
  thrumi_trace_switch_off();
  thrumi_log("cannot write the trace %s: %s; recording has stopped", thrumi_recorder.path, strerror(-error));
}

/* One go; the last one closes the file before it gives the drain back: who crashes behind it finds none. False: a crash has taken the
 * drain. */
static bool drain_once(bool last) {
  struct thrumi_drain *d = &thrumi_recorder.drain;
  if (!thrumi_drain_claim(INT64_MAX)) return false;
  if (!d->file.error) thrumi_drain_events(d);
  if (last && !d->file.error) thrumi_drain_finish(d);
  if (last) thrumi_trace_close(&d->file);
  int error = d->file.error;
  thrumi_drain_release();
  if (error) give_up(error);
  return true;
}

static _Noreturn void await_end_of_program(void) {
  for (;;) pause();
}

/* It looks often, lest a ring runs full, and takes seldom. Until then the ring of a worker is memory that its CPU has at hand. */
static void drain_until_stopped(void) {
  int64_t pause = PAUSE_MIN, due = 0;
  while (!thrumi_load(&thrumi_recorder.stopping)) {
    bool enough;
    uint32_t fullest = thrumi_drain_look(&enough);
    int64_t now = thrumi_os.now();
    if (enough || now >= due) {
      if (!drain_once(false)) return;
      due = now + GATHER;
    }
    pause = next_pause(pause, fullest);
    thrumi_os.futex_wait(&thrumi_recorder.stopping, 0, thrumi_os.now() + pause);
  }
}

static void *drainer_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_os_name_thread("thrum-trace");
  thrumi_kthread_adopt(k);
  drain_until_stopped();
  if (!drain_once(true)) await_end_of_program(); /* the file is the crash's */
  thrumi_store(&thrumi_recorder.done, 1);
  thrumi_os.futex_wake(&thrumi_recorder.done, INT32_MAX);
  thrumi_kthread_end(k);
  return NULL;
}

int thrumi_drainer_start(void) {
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  if (!k) return -EAGAIN;
  thrumi_store(&thrumi_recorder.stopping, 0);
  thrumi_store(&thrumi_recorder.done, 0);
  int error = thrumi_kthread_start(k, drainer_main);
  if (error) thrumi_kthread_discard(k);
  return error;
}

bool thrumi_drainer_stop(int64_t patience) {
  thrumi_store(&thrumi_recorder.stopping, 1);
  thrumi_os.futex_wake(&thrumi_recorder.stopping, 1);
  uint64_t before = 0;
  for (int64_t end = 0; !thrumi_load(&thrumi_recorder.done);) {
    int64_t now = thrumi_os.now();
    uint64_t written = thrumi_load_relaxed(&thrumi_recorder.drain.written);
    if (!end || written != before) end = patience == INT64_MAX ? patience : now + patience;
    before = written;
    if (now >= end) return false;
    thrumi_os.futex_wait(&thrumi_recorder.done, 0, end);
  }
  return true;
}
