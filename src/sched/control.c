/* What a thread says of its own running: pin, blocking. */
#include <sched/self.h>
#include <sched/step.h>

int thrum_pin(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  bool done = t->kind != THRUMI_LIGHT || t->pins || thrumi_capture(k, t);
  if (done) t->pins++;
  thrumi_leave(k);
  if (!done) thrumi_breed(); /* there may be one next time */
  return done ? 0 : -EAGAIN;
}

int thrum_unpin(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  bool done = t->pins > 0;
  if (done) t->pins--; /* its kernel thread becomes free at the next switch */
  thrumi_leave(k);
  return done ? 0 : -EPERM;
}

/* The worker goes as if the monitor had taken it; the thread gets one again at its next call of thrum. */
intptr_t thrum_blocking(thrum_fn *fn, void *arg) {
  if (!fn) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  if (k->worker && thrumi_capture(k, t)) {
    thrumi_step(LEASE, lease, t, 0, 0);
    thrumi_set_state(t, THRUMI_BLOCKED);
    t->kthread = k;
    k->released = true;
    k->lost_at = 0;
    thrumi_or(&k->lease.attention, (uint32_t)THRUMI_LOST);
    thrumi_add(&thrumi_sched.lost, 1u);
    thrumi_surrender(k);
  }
  thrumi_leave(k);
  intptr_t result = fn(arg);
  thrumi_leave(thrumi_enter()); /* which asks for a worker, if fn did not already */
  return result;
}
