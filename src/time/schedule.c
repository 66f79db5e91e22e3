/* Schedules: a heap of events, guarded by the parking table's bucket of the schedule's address. All that is done under it is
 * O(log n), but for a copy of the whole list. Clocks of the caller's own are asked outside of the runtime.
 *
 * A run that sleeps is queued at the address, with the first event's time for its deadline. Who enters an event before that one
 * lets all sleepers go, and so does who cancels the last one. */
#include <core/heap.h>
#include <sched/await.h>
#include <sched/self.h>
#include <stdlib.h>
#include <thrum/schedule.h>
#include <thrum/thread.h>
#include <thrum/time.h>

_Static_assert(offsetof(thrum_schedule_event, child) == offsetof(struct thrumi_heap_node, child) &&
                   offsetof(thrum_schedule_event, parent) == offsetof(struct thrumi_heap_node, parent) &&
                   offsetof(thrum_schedule_event, rank) == offsetof(struct thrumi_heap_node, rank) &&
                   offsetof(thrum_schedule_event, time) == sizeof(struct thrumi_heap_node),
               "an event begins as a node of the heap");
_Static_assert(sizeof(struct thrumi_heap) == sizeof(((thrum_schedule *)0)->first), "first is the heap");

static struct thrumi_heap *heap_of(thrum_schedule *schedule) {
  return (struct thrumi_heap *)&schedule->first;
}
static struct thrumi_heap_node *node_of(thrum_schedule_event *event) {
  return (struct thrumi_heap_node *)event;
}

/* The heap's own pointer, and never through the public struct: it has another type. */
static thrum_schedule_event *first_of(thrum_schedule *schedule) {
  return (thrum_schedule_event *)heap_of(schedule)->first;
}

static bool is_before(const thrum_schedule_entry *a, const thrum_schedule_entry *b) {
  if (a->time != b->time) return a->time < b->time;
  if (a->priority != b->priority) return a->priority < b->priority;
  return a->order < b->order;
}

static thrum_schedule_entry entry_of(const struct thrumi_heap_node *node) {
  const thrum_schedule_event *event = (const thrum_schedule_event *)node;
  return (thrum_schedule_entry){(thrum_schedule_event *)(uintptr_t)event, event->time, event->priority,
                                event->order};
}

static bool comes_before(const struct thrumi_heap_node *a, const struct thrumi_heap_node *b) {
  thrum_schedule_entry of_a = entry_of(a), of_b = entry_of(b);
  return is_before(&of_a, &of_b);
}

static thrum_time now_of(const thrum_schedule *schedule) {
  return schedule->now ? schedule->now(schedule->clock) : thrumi_os.now();
}

/* ---- Entering and cancelling ---------------------------------------------------------------------------------------- */

/* Under the bucket's lock: those who sleep look again. */
static void wake_all(struct thrumi_bucket *bucket, thrum_schedule *schedule) {
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, schedule));) thrumi_let_go(bucket, w, 0);
}

static void take_out(thrum_schedule *schedule, thrum_schedule_event *event) {
  thrumi_heap_remove(heap_of(schedule), node_of(event), comes_before);
  schedule->size--;
  event->schedule = NULL;
}

/* Under the lock. */
static void put_in(struct thrumi_bucket *bucket, thrum_schedule *schedule, thrum_schedule_event *event) {
  event->order = schedule->entered++;
  event->schedule = schedule;
  thrumi_heap_add(heap_of(schedule), node_of(event), comes_before);
  schedule->size++;
  if (first_of(schedule) == event) wake_all(bucket, schedule);
}

int thrum_schedule_enter_at(thrum_schedule *schedule, thrum_schedule_event *event, thrum_time time,
                            int priority, thrum_fn *fn, void *arg) {
  if (!fn) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_announce(schedule);
  struct thrumi_bucket *bucket = thrumi_bucket_lock(schedule);
  bool busy = event->schedule;
  if (!busy) {
    event->time = time;
    event->priority = priority;
    event->fn = fn;
    event->arg = arg;
    put_in(bucket, schedule, event);
  }
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  return busy ? -EBUSY : 0;
}

int thrum_schedule_enter(thrum_schedule *schedule, thrum_schedule_event *event, thrum_duration delay,
                         int priority, thrum_fn *fn, void *arg) {
  thrum_time time, now = now_of(schedule);
  if (__builtin_add_overflow(now, delay, &time)) time = delay < 0 ? INT64_MIN : THRUM_FOREVER;
  return thrum_schedule_enter_at(schedule, event, time, priority, fn, arg);
}

int thrum_schedule_cancel(thrum_schedule *schedule, thrum_schedule_event *event) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(schedule);
  bool there = event->schedule == schedule;
  if (there) take_out(schedule, event);
  if (there && !first_of(schedule)) wake_all(bucket, schedule);
  thrumi_bucket_unlock(bucket);
  if (there) thrumi_rely_on(schedule);
  thrumi_leave(k);
  return there ? 0 : -ESRCH;
}

/* ---- Running -------------------------------------------------------------------------------------------------------- */

struct step {
  thrum_fn *fn; /* NULL: nothing was due */
  void *arg;
  thrum_duration left; /* until the first, if nothing was due; THRUM_FOREVER: there is none */
};

static thrum_duration span(thrum_time from, thrum_time to) {
  thrum_duration result;
  return to == THRUM_FOREVER || __builtin_sub_overflow(to, from, &result) ? THRUM_FOREVER - 1 : result;
}

/* Under the lock. */
static struct step next_step(thrum_schedule *schedule, thrum_time now) {
  thrum_schedule_event *first = first_of(schedule);
  if (!first) return (struct step){.left = THRUM_FOREVER};
  if (first->time > now) return (struct step){.left = span(now, first->time)};
  struct step step = {first->fn, first->arg, 0};
  take_out(schedule, first);
  return step;
}

/* The next event's function, taken out; or if it is not due and the sleep is ours to do, sleeps until something has changed. */
static struct step look(thrum_schedule *schedule, bool sleeps, int *error) {
  thrum_time now = now_of(schedule);
  thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(schedule);
  struct step step = next_step(schedule, now);
  if (!step.fn && step.left != THRUM_FOREVER && sleeps) {
    struct thrumi_waiter waiter;
    enum thrumi_wait_state outcome = thrumi_await(bucket, &waiter, schedule, "a schedule's next event",
                                                  schedule, first_of(schedule)->time, THRUMI_CANCELLABLE);
    if (outcome == THRUMI_CANCELLED) *error = -ECANCELED;
  } else {
    thrumi_bucket_unlock(bucket);
  }
  if (step.fn) thrumi_rely_on(schedule);
  thrumi_leave(thrumi_self());
  return step;
}

/* Calls what was due, and lets others run. 0 or a failure. */
static int call(thrum_schedule *schedule, const struct step *step) {
  intptr_t result = step->fn(step->arg);
  if (thrum_failed(result)) return (int)result;
  if (schedule->sleep) return schedule->sleep(schedule->clock, 0);
  thrum_yield();
  return 0;
}

static bool has_half_a_clock(const thrum_schedule *schedule) { return !schedule->now != !schedule->sleep; }

int thrum_schedule_run(thrum_schedule *schedule) {
  int error = has_half_a_clock(schedule) ? -EINVAL : 0;
  while (!error) {
    struct step step = look(schedule, !schedule->sleep, &error);
    if (step.fn)
      error = call(schedule, &step);
    else if (step.left == THRUM_FOREVER)
      break;
    else if (schedule->sleep)
      error = schedule->sleep(schedule->clock, step.left);
  }
  return error;
}

thrum_duration thrum_schedule_run_due(thrum_schedule *schedule) {
  int error = has_half_a_clock(schedule) ? -EINVAL : 0;
  while (!error) {
    struct step step = look(schedule, false, &error);
    if (!step.fn) return step.left;
    error = call(schedule, &step);
  }
  return error;
}

/* ---- Looking -------------------------------------------------------------------------------------------------------- */

size_t thrum_schedule_size(const thrum_schedule *schedule) {
  return __atomic_load_n(&schedule->size, __ATOMIC_RELAXED);
}

static int compare(const void *a, const void *b) { return is_before(a, b) ? -1 : is_before(b, a); }

size_t thrum_schedule_list(thrum_schedule *schedule, thrum_schedule_entry *out, size_t max) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(schedule);
  size_t n = schedule->size;
  struct thrumi_heap_node *node = NULL;
  for (size_t i = 0; n <= max && i < n; i++) {
    node = thrumi_heap_walk(heap_of(schedule), node);
    out[i] = entry_of(node);
  }
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (n && n <= max) qsort(out, n, sizeof *out, compare); /* outside: it may allocate */
  return n;
}
