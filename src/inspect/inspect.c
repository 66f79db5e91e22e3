/* Inspection is switched on and off.
 *
 *   state      means                              next
 *   OFF        there is no socket                 CHANGING by who switches it on, and by nobody else then
 *   CHANGING   the server starts, or ends         ON, or OFF, by the same thread
 *   ON         the server listens                 CHANGING by who switches it off
 *
 * `ended` is 1 once the server has closed all it had; it is waited for by who switches it off. At the end of the program the socket
 * is removed, and the server goes on until the process is gone, as the monitor does. */
#define _GNU_SOURCE
#include <core/backtrace.h>
#include <core/fatal.h>
#include <inspect/server.h>
#include <sched/self.h>
#include <signal.h>
#include <thrum/trace.h>
#include <unistd.h>

enum inspection_state { OFF, CHANGING, ON };

static struct {
  _Atomic uint32_t state;
  thrumi_futex ended;
  struct thrumi_inspection own;
} inspection = {.own = {.listener = -1, .stop = -1}};

static void forget_descriptors(void) {
  int listener = inspection.own.listener, stop = inspection.own.stop;
  inspection.own.listener = inspection.own.stop = -1;
  atomic_signal_fence(memory_order_seq_cst);
  if (listener >= 0) close(listener);
  if (stop >= 0) close(stop);
}

/* Only this process has the socket in the directory: the child of a fork removes nothing. */
static void in_child(void) {
  if (thrumi_load(&inspection.state) != OFF) {
    thrumi_inspect_forget();
    forget_descriptors();
  }
  thrumi_store(&inspection.state, (uint32_t)OFF);
}

static void at_end(void) {
  if (thrumi_load(&inspection.state) == ON) thrumi_place_remove(&inspection.own.place);
}

static void *server_main(void *arg) {
  struct thrumi_kthread *k = arg;
  sigset_t all;
  thrumi_os_name_thread("thrum-inspect");
  thrumi_kthread_adopt(k);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  thrumi_leave(k);
  thrumi_inspect_serve(&inspection.own);
  thrumi_enter();
  forget_descriptors();
  thrumi_kthread_end(k);
  thrumi_store(&inspection.ended, 1u); /* not before the last look at anything */
  thrumi_os.futex_wake(&inspection.ended, INT32_MAX);
  return NULL;
}

static int start_server(void) {
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  if (!k) return -EAGAIN;
  int error = thrumi_kthread_start(k, server_main);
  if (error) thrumi_kthread_discard(k);
  return error;
}

static int start(void) {
  struct thrumi_inspection *own = &inspection.own;
  int listener = thrumi_place_open(&own->place);
  if (listener < 0) return listener;
  own->listener = listener;
  int stop = thrumi_os.event_create();
  own->stop = stop >= 0 ? stop : -1;
  thrumi_store(&inspection.ended, 0);
  int error = stop < 0 ? stop : start_server();
  if (!error) return 0;
  thrumi_place_remove(&own->place);
  forget_descriptors();
  return error;
}

static int stop(void) {
  const uint64_t one = 1;
  thrumi_place_remove(&inspection.own.place);
  thrumi_os.write(inspection.own.stop, &one, sizeof one);
  while (!thrumi_load(&inspection.ended)) thrumi_os.futex_wait(&inspection.ended, 0, INT64_MAX);
  return 0;
}

/* Outside, or before the runtime has started. */
static int change(bool on) {
  uint32_t from = on ? OFF : ON, wanted = on ? ON : OFF, seen = from;
  if (!thrumi_cas(&inspection.state, &seen, (uint32_t)CHANGING)) return seen == wanted ? 0 : -EBUSY;
  thrumi_store(&thrumi_hooks.inspect_fork, in_child);
  thrumi_store(&thrumi_hooks.inspect_end, at_end);
  int error = on ? start() : stop();
  thrumi_store(&inspection.state, error ? from : wanted);
  return error;
}

void thrumi_inspect_start(void) {
  int error = change(true);
  if (error) thrumi_log("THRUM_INSPECT: no socket: error %d", -error);
}

int thrum_inspect(bool on) {
  thrumi_leave(thrumi_enter());
  return change(on);
}

/* ---- The dump --------------------------------------------------------------------------------------------------- */

int thrum_dump_json(int fd) {
  thrumi_leave(thrumi_enter());
  if (fd < 0) return -EBADF;
  char text[1024];
  struct thrumi_json j = thrumi_json_in(text, sizeof text, fd);
  int64_t now = thrumi_os.now();
  thrumi_backtracer_get(); /* loads libthrum-dump before any thread is stopped */
  thrumi_json_open(&j, NULL, '{');
  thrumi_json_string(&j, "version", thrum_version());
  thrumi_json_number(&j, "pid", getpid());
  thrumi_json_count(&j, "workers", thrumi_load(&thrumi_sched.workers));
  thrumi_json_count(&j, "kernel_threads", thrumi_load(&thrumi_sched.kthreads));
  thrumi_json_open(&j, "threads", '[');
  for (uint32_t slot = 1; slot < thrumi_record_count() && !j.error; slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (!(THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)))
      thrumi_json_thread(&j, t, THRUMI_GENERATION(life), now, true);
  }
  thrumi_json_close(&j, ']');
  thrumi_json_close(&j, '}');
  return thrumi_json_end(&j);
}
