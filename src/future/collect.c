/* The collector: one for a wait for several futures, or for a row of such waits.
 *
 * Each future has a seat, which observes it. When the future is told or finished, the seat joins the list of those done, under the
 * future's bucket and the collector's lock; if that is what the thread waits for its wait is claimed there and then. The
 * thread looks, and arms its wait, under the collector's lock, so no wake-up falls in between. Deadline and cancellation claim the wait
 * as ever.
 *
 * A seat that is done is in no future's list. So the end takes only the others out, each under its future's bucket; who is about to
 * tell one of them has that lock, and is done with the collector when it lets go of it.
 *
 * Rejected: to lock all futures together, as Python does, to see them at one moment. What is seen done stays done, so one
 * after the other sees as much. */
#include <future/collect.h>

#include <sched/self.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/time.h>

#include <future/place.h>

static bool is_enough(const struct thrumi_collector *c) {
  return c->done >= c->needed || (c->until_failure && c->failed);
}

static bool has_failed(thrum_future *f) {
  uint64_t word = thrumi_load(&f->word);
  return thrumi_future_state(word) == THRUMI_DONE && thrum_failed(thrumi_future_result(f, word));
}

/* Under the collector's lock. */
static void note(struct thrumi_collector *c, struct thrumi_seat *seat) {
  seat->next = NULL;
  *c->end = seat;
  c->end = &seat->next;
  c->done++;
  if (has_failed(seat->future)) c->failed = true;
}

static void tell(struct thrumi_observer *observer, thrum_future *f) {
  struct thrumi_seat *seat = (struct thrumi_seat *)observer;
  struct thrumi_collector *c = seat->collector;
  (void)f;
  thrumi_spin_lock(&c->lock);
  note(c, seat);
  if (c->waits && is_enough(c)) {
    c->waits = false;
    thrumi_wake(c->thread, c->ticket, THRUMI_WOKEN);
  }
  thrumi_spin_unlock(&c->lock);
}

/* ---- Seats ------------------------------------------------------------------------------------------------------ */

static int by_future(const void *a, const void *b) {
  const struct thrumi_seat *x = a, *y = b;
  if (x->future != y->future) return x->future < y->future ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

static int by_index(const void *a, const void *b) {
  const struct thrumi_seat *x = a, *y = b;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* Fills the seats: one for each different future, in the order of their first indices. */
static void seat_all(struct thrumi_collector *c, thrum_future *const *futures, size_t n) {
  for (size_t i = 0; i < n; i++)
    c->seats[i] = (struct thrumi_seat){.future = futures[i], .index = i, .collector = c};
  qsort(c->seats, n, sizeof *c->seats, by_future);
  for (size_t i = 0; i < n; i++)
    if (i == 0 || c->seats[i].future != c->seats[i - 1].future) c->seats[c->n++] = c->seats[i];
  qsort(c->seats, c->n, sizeof *c->seats, by_index);
}

static void observe(struct thrumi_collector *c, struct thrumi_seat *seat) {
  seat->observer = (struct thrumi_observer){.tell = tell};
  if (thrumi_future_observe(seat->future, &seat->observer)) return;
  thrumi_rely_on(seat->future);
  thrumi_spin_lock(&c->lock);
  note(c, seat);
  thrumi_spin_unlock(&c->lock);
}

static void observe_all(struct thrumi_collector *c) {
  for (size_t i = 0; i < c->n; i++) {
    struct thrumi_seat *seat = &c->seats[i];
    struct thrumi_kthread *k = thrumi_enter();
    if (seat->future) observe(c, seat);
    thrumi_leave(k);
  }
}

static int make(struct thrumi_collector *c, size_t n) {
  *c = (struct thrumi_collector){.end = &c->first, .forks = thrumi_forks};
  if (!n) return 0;
  if (n > SIZE_MAX / sizeof *c->seats) return -ENOMEM;
  c->seats = thrumi_os.allocate(n * sizeof *c->seats);
  return c->seats ? 0 : -ENOMEM;
}

int thrumi_collector_open(struct thrumi_collector *c, size_t n) {
  int error = make(c, n);
  if (!error) c->n = n;
  return error;
}

void thrumi_collector_seat(struct thrumi_collector *c, size_t index, thrum_future *f) {
  struct thrumi_seat *seat = &c->seats[index];
  *seat = (struct thrumi_seat){.future = f, .index = index, .collector = c};
  struct thrumi_kthread *k = thrumi_enter();
  observe(c, seat);
  thrumi_leave(k);
}

int thrumi_collector_start(struct thrumi_collector *c, thrum_future *const *futures, size_t n) {
  int error = make(c, n);
  if (error || !n) return error; /* qsort wants an array */
  seat_all(c, futures, n);
  observe_all(c);
  return 0;
}

/* In the child of a fork: a thread of the parent's may have been about to tell, and none will any more. So each seat that has not
 * been taken observes anew, which sees what is done, and what has lost its maker. Those done come in the order of their indices. */
static void forget_parent(struct thrumi_collector *c) {
  if (thrumi_likely(c->forks == thrumi_forks)) return;
  c->forks = thrumi_forks;
  c->lock = (struct thrumi_spin){0};
  c->waits = c->failed = false;
  c->done = c->taken;
  c->end = &c->first;
  c->first = NULL;
  observe_all(c);
}

/* Those that have been taken may be gone. */
void thrumi_collector_end(struct thrumi_collector *c) {
  forget_parent(c);
  for (size_t i = 0; i < c->n; i++) {
    struct thrumi_seat *seat = &c->seats[i];
    struct thrumi_kthread *k = thrumi_enter();
    if (seat->future) thrumi_future_unobserve(seat->future, &seat->observer);
    thrumi_leave(k);
  }
  if (c->seats) thrumi_os.free(c->seats);
  c->seats = NULL;
  c->n = 0;
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------ */

/* Inside. Arms the caller's wait unless there is enough already: false then. */
static bool arm(struct thrumi_collector *c, struct thrumi_thread *me) {
  thrumi_spin_lock(&c->lock);
  c->waits = !is_enough(c);
  if (c->waits) {
    c->thread = me;
    c->ticket = thrumi_arm(me, "several futures", NULL, THRUMI_CANCELLABLE);
  }
  bool waits = c->waits;
  thrumi_spin_unlock(&c->lock);
  return waits;
}

/* Behind a wait that ended by itself: nobody claims for this collector any more. Whether there is enough all the same. */
static bool disarm(struct thrumi_collector *c) {
  thrumi_spin_lock(&c->lock);
  c->waits = false;
  bool enough = is_enough(c);
  thrumi_spin_unlock(&c->lock);
  return enough;
}

static int wait_inside(struct thrumi_collector *c, int64_t deadline) {
  struct thrumi_thread *me = thrumi_self()->current;
  if (!arm(c, me)) return 0;
  enum thrumi_wait_state outcome = thrumi_park(me, c->ticket, deadline);
  return outcome == THRUMI_WOKEN || disarm(c) ? 0 : thrumi_wait_error(outcome);
}

static bool look(struct thrumi_collector *c) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&c->lock);
  bool enough = is_enough(c);
  thrumi_spin_unlock(&c->lock);
  thrumi_leave(k);
  return enough;
}

int thrumi_collector_wait(struct thrumi_collector *c, size_t needed, bool until_failure, int64_t deadline) {
  c->needed = needed;
  c->until_failure = until_failure;
  forget_parent(c);
  if (look(c)) return 0;
  if (deadline <= thrumi_os.now()) return thrumi_poll_failed();
  struct thrumi_place place;
  int error = thrumi_place_lend(&place);
  if (error) return error;
  thrumi_enter();
  error = wait_inside(c, deadline);
  thrumi_leave(thrumi_self());
  thrumi_place_take_back(&place);
  return error;
}

/* ---- What it is used for ---------------------------------------------------------------------------------------------- */

ssize_t thrum_future_wait_many(thrum_future *const *futures, size_t n, enum thrum_wait_mode mode,
                               thrum_duration timeout) {
  if ((unsigned)mode > THRUM_ALL_COMPLETED || (n && !futures)) return -EINVAL;
  struct thrumi_collector c;
  int error = thrumi_collector_start(&c, futures, n);
  if (!error) {
    size_t needed = mode == THRUM_FIRST_COMPLETED && c.n ? 1 : c.n;
    error = thrumi_collector_wait(&c, needed, mode == THRUM_FIRST_FAILURE, thrum_after(timeout));
  }
  for (const struct thrumi_seat *s = c.first; THRUMI_TSAN && s; s = s->next) thrumi_rely_on(s->future);
  thrumi_collector_end(&c);
  return error && error != -ETIMEDOUT ? error : (ssize_t)c.done;
}

struct thrumi_completion {
  struct thrumi_collector collector;
  int64_t deadline;
};

static struct thrumi_completion *inside(const thrum_completion *c) { return c->thrumi[0]; }

int thrum_as_completed(thrum_completion *c, thrum_future *const *futures, size_t n, thrum_duration timeout) {
  *c = (thrum_completion){{NULL}};
  if (n && !futures) return -EINVAL;
  struct thrumi_completion *in = thrumi_os.allocate(sizeof *in);
  if (!in) return -ENOMEM;
  in->deadline = thrum_after(timeout);
  int error = thrumi_collector_start(&in->collector, futures, n);
  if (error)
    thrumi_os.free(in);
  else
    c->thrumi[0] = in;
  return error;
}

size_t thrumi_collector_take(struct thrumi_collector *c) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&c->lock);
  struct thrumi_seat *seat = c->first;
  if (!(c->first = seat->next)) c->end = &c->first;
  c->taken++;
  thrumi_spin_unlock(&c->lock);
  thrumi_leave(k);
  thrumi_rely_on(seat->future);
  seat->future = NULL;
  return seat->index;
}

ssize_t thrum_completion_next(thrum_completion *c) {
  struct thrumi_completion *in = inside(c);
  if (!in || in->collector.taken == in->collector.n) return -EPIPE;
  int error = thrumi_collector_wait(&in->collector, in->collector.taken + 1, false, in->deadline);
  return error ? error : (ssize_t)thrumi_collector_take(&in->collector);
}

size_t thrum_completion_left(const thrum_completion *c) {
  const struct thrumi_completion *in = inside(c);
  return in ? in->collector.n - in->collector.taken : 0;
}

void thrum_completion_end(thrum_completion *c) {
  struct thrumi_completion *in = inside(c);
  if (!in) return;
  thrumi_collector_end(&in->collector);
  thrumi_os.free(in);
  c->thrumi[0] = NULL;
}
