/* The one sleep and wake: every blocking call arms a wait, tells wakers its ticket, and parks here. Whether a wake, the
 * deadline or a cancellation ended it is decided by one compare-and-swap on the wait word (core/wait.h).
 *
 * Cancellation. `cancel` says that the thread is cancelled, and behind no shield (tree.h). A cancellable wait looks at it
 * after it armed; thrumi_cancel sets it and then claims whatever wait is armed. Both sides have a full fence in between, so one of the two sees the other. */
#include <core/fatal.h>
#include <sched/self.h>
#include <sched/step.h>
#include <sched/timeout.h>

/* The fence pairs with the one in read_wait (waits.c): who sees any of these sees that the former wait is over. */
void thrumi_wait_for(struct thrumi_thread *t, const char *what, const void *object, int flags) {
  atomic_thread_fence(memory_order_release);
  thrumi_store_relaxed(&t->waits_how, (uint8_t)flags);
  thrumi_store_relaxed(&t->waits_on, object);
  thrumi_store_relaxed(&t->waits_since, thrumi_clock());
  thrumi_store(&t->waits_for, what);
}

thrumi_ticket thrumi_arm(struct thrumi_thread *t, const char *what, const void *object, int flags) {
  t->cancellable = flags & THRUMI_CANCELLABLE;
  t->by_signal = flags & THRUMI_BY_SIGNAL;
  thrumi_wait_for(t, what, object, flags);
  return thrumi_wait_arm(&t->wait);
}

/* Asked when the wait is armed. The fence is this side's of the pair with thrumi_cancel. */
static bool ends_at_once(const struct thrumi_thread *t) {
  if (!t->cancellable) return false;
  atomic_thread_fence(memory_order_seq_cst);
  return thrumi_is_cancelled(t);
}

void thrumi_less_outside(void) {
  if (thrumi_add(&thrumi_sched.outside, -1u) == 1)
    thrumi_monitor_rouse(); /* it may have been the last hope */
}

/* A foreign thread sleeps on the lower half of its own wait word. */
static void suspend_foreign(struct thrumi_thread *t, thrumi_ticket ticket, int64_t deadline) {
  thrumi_futex *half = (thrumi_futex *)&t->wait; /* little-endian: the half with the state */
  uint32_t parked = (uint32_t)(ticket + THRUMI_WAIT_PARKED);
  struct thrumi_kthread *k = thrumi_self();
  thrumi_set_state(t, THRUMI_WAITING); /* who wants what it holds need not spin for it */
  if (deadline != INT64_MAX) thrumi_add(&thrumi_sched.outside, 1u); /* it will wake by itself */
  thrumi_store(&k->resting, true);
  thrumi_less_outside();
  if (thrumi_wait_park(&t->wait, ticket)) {
    while (thrumi_load(&t->wait) == ticket + THRUMI_WAIT_PARKED)
      if (thrumi_os.futex_wait(half, parked, deadline) == -ETIMEDOUT)
        thrumi_wake(t, ticket, THRUMI_TIMED_OUT);
  } else {
    thrumi_add(&thrumi_sched.outside, 1u);
  }
  thrumi_store(&k->resting, false);
  if (deadline != INT64_MAX) thrumi_less_outside();
}

/* Who can be moved to another queue has said so before it was queued, in its flags: whoever moves it writes them, too. */
static void note_deadline(struct thrumi_thread *t) {
  uint8_t how = thrumi_load_relaxed(&t->waits_how);
  if (!(how & THRUMI_TIMED)) thrumi_store_relaxed(&t->waits_how, (uint8_t)(how | THRUMI_TIMED));
}

/* It is cancelled already. */
static void claim_own(struct thrumi_thread *t, thrumi_ticket ticket) {
  if (thrumi_wait_claim(&t->wait, ticket, THRUMI_CANCELLED) != THRUMI_CLAIM_LOST)
    thrumi_step_with(UNPARK, unpark, t, t, 0);
}

enum thrumi_wait_state thrumi_park(struct thrumi_thread *t, thrumi_ticket ticket, int64_t deadline) {
  struct thrumi_kthread *k = thrumi_self();
  thrumi_step_park(t);
  if (deadline != INT64_MAX) note_deadline(t);
  if (ends_at_once(t)) claim_own(t, ticket);
  if (t->kind == THRUMI_FOREIGN) {
    suspend_foreign(t, ticket, deadline);
    thrumi_step(RUN, run, t, 0, 0);
  } else if (deadline == INT64_MAX) {
    thrumi_suspend(k, t, ticket);
  } else {
    uint32_t shard = thrumi_timeout_start(t, k->worker->id, deadline);
    thrumi_suspend(k, t, ticket);
    /* Who ended it as timed out had taken the timeout out, and has done with it. */
    if (thrumi_wait_state(thrumi_load(&t->wait)) != THRUMI_TIMED_OUT) thrumi_timeout_stop(t, shard);
  }
  thrumi_store_relaxed(&t->waits_for, NULL);
  thrumi_set_state(t, THRUMI_RUNNING);
  thrumi_rely_on(&t->wait);
  return thrumi_wait_finish(&t->wait, ticket);
}

/* Of a wake-up that is traced, taken before the claim: a thread that was not parked yet may go on before its UNPARK is written, wait for
 * something else, and end. */
struct moment {
  uint64_t thread, stamp;
};

static inline struct moment moment_of_claim(const struct thrumi_thread *t) {
  if (thrumi_likely(!thrumi_has_mode(THRUMI_MODE_TRACE))) return (struct moment){0};
  return (struct moment){thrumi_id_of(t), thrumi_hooks.trace_stamp ? thrumi_hooks.trace_stamp() : 0};
}

/* Thread 0 woke it: the monitor, a worker between two threads, or a stranger. */
static void trace_unpark(struct moment then, enum thrumi_wait_state outcome) {
  const struct thrumi_kthread *k = thrumi_self();
  uint64_t by = thrumi_id_of(k ? k->current : NULL);
  thrumi_hooks.trace(THRUMI_EVENT_UNPARK, by, then.thread, outcome == THRUMI_TIMED_OUT, then.stamp);
}

bool thrumi_claim(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state outcome,
                  bool *parked) {
  *parked = false;
  thrumi_announce(&t->wait);
  struct moment then = moment_of_claim(t);
  enum thrumi_claim claim = thrumi_wait_claim(&t->wait, ticket, outcome);
  if (claim == THRUMI_CLAIM_LOST) return false;
  THRUMI_PROBE(unpark, (struct thrumi_thread *)NULL, t);
  if (thrumi_unlikely(then.thread)) trace_unpark(then, outcome);
  if (claim == THRUMI_CLAIM_EARLY) return true;
  if (t->kind == THRUMI_FOREIGN) {
    thrumi_add(&thrumi_sched.outside, 1u); /* on its behalf: it counts as running from here on */
    thrumi_add(&thrumi_sched.foreign_wakes, 1u);
    thrumi_os.futex_wake((thrumi_futex *)&t->wait, 1);
  } else {
    *parked = true;
  }
  return true;
}

bool thrumi_wake(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state outcome) {
  bool parked, won = thrumi_claim(t, ticket, outcome, &parked);
  if (parked) thrumi_make_ready(t);
  return won;
}

/* Who was woken all the same has, in a trace, waited for no time: to its UNPARK there is a PARK. */
bool thrumi_disarm(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state *outcome) {
  bool mine = thrumi_wait_claim(&t->wait, ticket, THRUMI_WOKEN) != THRUMI_CLAIM_LOST;
  if (thrumi_unlikely(!mine)) {
    thrumi_step_park(t);
    thrumi_step(RUN, run, t, 0, 0);
  }
  thrumi_store_relaxed(&t->waits_for, NULL);
  if (!mine) thrumi_rely_on(&t->wait);
  *outcome = thrumi_wait_finish(&t->wait, ticket);
  return mine;
}

void thrumi_cancel(struct thrumi_thread *t) {
  thrumi_announce(&t->cancel);
  thrumi_store(&t->cancel, 1);
  atomic_thread_fence(
      memory_order_seq_cst); /* with ends_at_once: a swap orders no later load where memory is weak */
  uint64_t word = thrumi_load(&t->wait);
  enum thrumi_wait_state state = thrumi_wait_state(word);
  bool waits = state == THRUMI_WAIT_ARMED || state == THRUMI_WAIT_PARKED;
  if (waits && t->cancellable) thrumi_wake(t, word - state, THRUMI_CANCELLED);
}
