/* Recording is switched on and off while threads run, by several threads at once: one of them wins, the others are told; and each file is
 * whole, with all that who started it did in between. */
#include "../support.h"
#include "../traced.h"

enum { SWITCHERS = 3, ROUNDS = TESTS_SANITIZED ? 5 : 20, BUSY = 5 };

static bool over;
static uint32_t files;
static thrum_lock lock;

static intptr_t work(void *arg) {
  for (int i = 0; !LOAD(over); i++) {
    THRUM_SPAN("work") {
      if (i % 2) thrum_yield();
      THRUM_LOCKED(&lock) { thrum_trace_count("i", i); }
    }
  }
  return (intptr_t)arg;
}

/* What others put while it begins or stops may be lacking, so their part need not be consistent. Beside them what the caller put may have
 * found no room, or been written over. */
static void look_at(const char *path, bool flight) {
  struct traced *t = traced_read(path);
  uint64_t me = thrum_current().value;
  CHECK(t->ended);
  if (!t->lost && !flight) CHECK(traced_count(t, THRUMI_EVENT_RUN, me) > 0);
  if (!t->lost && !flight) CHECK_EQ(traced_count(t, THRUMI_EVENT_MARK, me), 1);
  for (size_t i = 0; i < t->count; i++) CHECK(t->events[i].time >= t->header.began);
  traced_free(t);
}

/* Nobody else can stop it but one who does not know that it was started by another one: so all but the starter keep off. */
static bool records_once(const char *path, bool flight) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.file = flight ? NULL : path;
  options.flight = flight;
  int error = thrum_trace_start(&options);
  if (error) CHECK_EQ(error, -EBUSY);
  if (error) return false;
  thrum_trace_mark("mine");
  thrum_yield();
  if (flight) CHECK_EQ(thrum_trace_snapshot(path), 0);
  CHECK_EQ(thrum_trace_stop(), 0);
  look_at(path, flight);
  return true;
}

static intptr_t switches(void *arg) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/traces_while_running.%d.%d", (int)getpid(), (int)(intptr_t)arg);
  for (int i = 0; i < ROUNDS;) {
    if (!records_once(path, i % 2)) {
      thrum_sleep(THRUM_US(100)); /* another one records */
      continue;
    }
    i++;
    ADD(files, 1u);
  }
  CHECK_EQ(unlink(path), 0);
  return 0;
}

int main(void) {
  thrum_thread busy[BUSY];
  struct crowd crowd;
  for (int i = 0; i < BUSY; i++) busy[i] = must_spawn(work, NULL);
  crowd_start(&crowd, SWITCHERS, switches); /* a bound one among them */
  CHECK_EQ(run_outside(switches, (void *)(intptr_t)SWITCHERS), 0);
  crowd_join(&crowd);
  STORE(over, true);
  for (int i = 0; i < BUSY; i++) CHECK_EQ(must_join(busy[i]), 0);
  CHECK_EQ(LOAD(files), (SWITCHERS + 1) * ROUNDS);
  CHECK_EQ(thrum_trace_stop(), -EPERM);
  return 0;
}
