/* What is recorded of a run can have happened so: each thread runs on one worker at a time and each worker one thread, each PARK has one
 * UNPARK, nothing happens to a thread before its SPAWN or behind its END. Of all kinds of threads and waits, while threads are preempted
 * all the time, also in the midst of what they record. And it is all there: each SPAWN, END, name, span, counter. */
#include "../support.h"
#include "../traced.h"

enum { ROUNDS = TESTS_SANITIZED ? 10 : 60, CROWD = 16, TURNS = 200 };

static char path[64];
static thrum_lock lock;
static thrum_rlock rlock;
static thrum_sem sem;
static thrum_event never;
static thrum_queue queue = THRUM_QUEUE_INIT(int, 2);
static uint32_t spans, counted;
static int fds[2];

static void turn(int i) {
  THRUM_SPAN("turn") {
    ADD(spans, 1u);
    switch (i % 8) {
    case 0: thrum_yield(); break;
    case 1: THRUM_LOCKED(&lock) { thrum_yield();
      }
      break;
    case 2: THRUM_RLOCKED(&rlock) { thrum_trace_count("i", i);
      }
      break;
    case 3: CHECK_EQ(thrum_event_wait_for(&never, THRUM_US(50)), -ETIMEDOUT); break;
    case 4:
      thrum_sem_acquire(&sem);
      CHECK_EQ(thrum_sem_release(&sem, 1), 0);
      break;
    case 5: CHECK_EQ(thrum_sleep(THRUM_US(10)), 0); break;
    case 6:
      CHECK_EQ(thrum_lock_acquire_for(&lock, THRUM_FOREVER), 0);
      CHECK_EQ(thrum_lock_release(&lock), 0);
      break;
    default: thrum_trace_mark("turn");
    }
  }
  ADD(counted, i % 8 == 2);
}

static intptr_t turns(void *arg) {
  for (int i = 0; i < ROUNDS; i++) turn(i + (int)(intptr_t)arg);
  return 0;
}

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

/* Joins who never ran, as its host; and one that has. */
static intptr_t spawns_and_joins(void *arg) {
  for (int i = 0; i < ROUNDS; i++) CHECK_EQ(thrum_run(nothing, NULL), 0);
  thrum_thread t = must_spawn(turns, arg);
  thrum_yield();
  CHECK_EQ(must_join(t), 0);
  return 0;
}

static intptr_t puts_numbers(void *arg) {
  for (int i = 0; i < TURNS; i++) CHECK_EQ(thrum_queue_put(&queue, &i), 0);
  return (intptr_t)arg;
}

static intptr_t gets_numbers(void *arg) {
  for (int i = 0, n; i < TURNS; i++) {
    CHECK_EQ(thrum_queue_get(&queue, &n), 0);
    CHECK_EQ(n, i);
  }
  return (intptr_t)arg;
}

/* Most of its time is spent in putting events. */
static intptr_t marks_all_the_time(void *arg) {
  for (int i = 0; i < ROUNDS * 50; i++) thrum_trace_mark("here");
  return (intptr_t)arg;
}

static intptr_t reads_plainly(void *arg) {
  char c;
  CHECK_EQ(read(fds[0], &c, 1), 1);
  return (intptr_t)arg;
}

static intptr_t waits_to_be_cancelled(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_event_wait_for(&never, THRUM_FOREVER), -ECANCELED);
  CHECK_EQ(thrum_sleep(THRUM_S(100)), -ECANCELED); /* at once */
  return 0;
}

static intptr_t all_of_it(void *arg) {
  struct crowd crowd;
  thrum_thread named, others[6];
  CHECK_EQ(thrum_spawn_named(&named, turns, NULL, "a name of more than twelve bytes, %d of them", 55), 0);
  crowd_start(&crowd, CROWD, turns);
  thrum_fn *const fns[] = {spawns_and_joins,   puts_numbers,  gets_numbers,
                           marks_all_the_time, reads_plainly, waits_to_be_cancelled};
  for (int i = 0; i < 6; i++) others[i] = must_spawn(fns[i], NULL);
  crowd_join(&crowd);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(thrum_cancel(others[5]), 0);
  for (int i = 0; i < 6; i++) CHECK_EQ(must_join(others[i]), 0);
  CHECK_EQ(must_join(named), 0);
  return (intptr_t)arg;
}

static void start(void) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.file = path;
  options.locks = options.queues = true;
  options.ring = 64 << 20; /* nothing is to be lost, however slow the machine */
  CHECK_EQ(thrum_trace_start(&options), 0);
  CHECK_EQ(thrum_trace_start(&options), -EBUSY);
}

static bool has_name(const struct traced *t, const char *name) {
  for (size_t i = 0; i < TRACED_THREADS; i++)
    if (t->threads[i].name && strcmp(t->threads[i].name, name) == 0) return true;
  return false;
}

/* Of each thread that ended inside the trace. */
static void all_have_names(const struct traced *t) {
  for (size_t i = 0; i < TRACED_THREADS; i++)
    if (t->threads[i].state == TRACED_ENDED) CHECK(t->threads[i].name && *t->threads[i].name);
  CHECK(has_name(t, "MainThread"));
  CHECK(has_name(t, "a name of more than twelve bytes, 55 of them"));
}

static void parks_and_spans_match(const struct traced *t) {
  for (size_t i = 0; i < TRACED_THREADS; i++) {
    const struct traced_thread *th = &t->threads[i];
    if (th->state != TRACED_ENDED) continue;
    CHECK_EQ(th->parks, th->unparks);
    CHECK_EQ(th->spans, 0);
  }
}

static void locks_match(const struct traced *t) {
  uint64_t holder = 0;
  for (size_t i = 0; i < t->count; i++) {
    const struct thrumi_event *e = &t->events[i];
    if (e->object != (uintptr_t)&lock) continue;
    if (e->kind == THRUMI_EVENT_ACQUIRE) {
      CHECK_EQ(holder, 0);
      holder = e->thread;
    } else if (e->kind == THRUMI_EVENT_RELEASE) {
      CHECK_EQ(holder, e->thread);
      holder = 0;
    }
  }
  CHECK_EQ(holder, 0);
}

static size_t count_of(const struct traced *t, enum thrumi_event_kind kind, const void *object) {
  size_t n = 0;
  for (size_t i = 0; i < t->count; i++)
    n += t->events[i].kind == kind && t->events[i].object == (uintptr_t)object;
  return n;
}

static void look_at(struct traced *t) {
  CHECK(t->ended);
  traced_check(t);
  all_have_names(t);
  parks_and_spans_match(t);
  locks_match(t);
  CHECK_EQ(traced_count(t, THRUMI_EVENT_SPAN_BEGIN, 0), LOAD(spans));
  CHECK_EQ(traced_count(t, THRUMI_EVENT_COUNTER, 0), LOAD(counted));
  CHECK_EQ(count_of(t, THRUMI_EVENT_QUEUE_PUT, &queue), 2 * TURNS);
  CHECK_EQ(count_of(t, THRUMI_EVENT_QUEUE_GET, &queue), 2 * TURNS);
  CHECK(traced_count(t, THRUMI_EVENT_LEASE, 0) > 0);
  CHECK(traced_count(t, THRUMI_EVENT_PREEMPT, 0) + traced_count(t, THRUMI_EVENT_YIELD, 0) > 0);
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/traces_are_consistent.%d", (int)getpid());
  CHECK_EQ(thrum_sem_release(&sem, 2), 0);
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  start();
  CHECK_EQ(all_of_it(NULL), 0);
  CHECK_EQ(must_join(must_spawn(all_of_it, NULL)), 0);
  CHECK_EQ(thrum_trace_stop(), 0);
  CHECK_EQ(thrum_trace_stop(), -EPERM);
  struct traced *t = traced_read(path);
  look_at(t);
  traced_free(t);
  CHECK_EQ(unlink(path), 0);
  return 0;
}
