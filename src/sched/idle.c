/* A worker without work: it looks around for a while, then sleeps.
 *
 * Nothing is missed. A pusher stores the thread into its private queue (or the global one) and then loads the bell; who
 * goes to sleep adds itself to the bell, issues membarrier, and then looks at all queue lengths. The
 * membarrier puts the full fence into the pusher that its fast path lacks, so one of the two sees the other.
 *
 * While it is not worth it to take threads from others, pushers to private queues ring seldom, and a worker without work
 * looks at the global queues alone before it sleeps. Then it is the monitor that sees, within a millisecond, what lies
 * elsewhere.
 *
 * One sleeper is the poller: it waits in epoll for descriptors, and for the earliest deadline, so that an event goes
 * straight to the worker that runs its thread. The others wait on their own futex word. While no worker
 * polls, the monitor does (monitor.c). */
#include <core/fatal.h>
#include <sched/self.h>
#include <sched/timeout.h>

enum { LOOKS = 256, LOOKS_A_STEAL = 64 };

/* ---- Sleeping and waking -------------------------------------------------------------------------------- */

void thrumi_doze(struct thrumi_kthread *k, int64_t deadline, bool poll) {
  uint32_t asleep = THRUMI_ASLEEP_FUTEX;
  thrumi_store(&k->resting, !poll);
  if (poll && thrumi_hooks.poll && thrumi_cas(&k->go, &asleep, THRUMI_ASLEEP_POLL)) {
    int64_t left = deadline == INT64_MAX ? -1 : deadline - thrumi_os.now();
    thrumi_hooks.poll(deadline == INT64_MAX ? -1 : left > 0 ? left : 0);
  } else if (asleep == THRUMI_ASLEEP_FUTEX) {
    thrumi_os.futex_wait(&k->go, THRUMI_ASLEEP_FUTEX, deadline);
  }
  thrumi_store(&k->resting, false);
  thrumi_swap(&k->go, THRUMI_AWAKE);
}

void thrumi_rouse(struct thrumi_kthread *k) {
  uint32_t was = thrumi_swap(&k->go, THRUMI_AWAKE);
  if (was == THRUMI_ASLEEP_FUTEX) thrumi_os.futex_wake(&k->go, 1);
  if (was == THRUMI_ASLEEP_POLL) thrumi_hooks.poll_interrupt();
}

static void enlist(struct thrumi_kthread *k) {
  thrumi_store(&k->go, THRUMI_ASLEEP_FUTEX); /* before anybody can find k, so that no rouse is lost */
  thrumi_spin_lock(&thrumi_sched.lock);
  thrumi_store_relaxed(&k->worker->idle, true);
  k->next_idle = thrumi_sched.idle;
  thrumi_sched.idle = k;
  thrumi_add(&thrumi_sched.bell, (uint32_t)THRUMI_BELL_IDLE);
  thrumi_spin_unlock(&thrumi_sched.lock);
}

/* Under the lock. */
static void strike_off(struct thrumi_kthread **link) {
  struct thrumi_kthread *k = *link;
  *link = k->next_idle;
  thrumi_store_relaxed(&k->worker->idle, false);
  thrumi_add(&thrumi_sched.bell, -(uint32_t)THRUMI_BELL_IDLE);
}

static void delist(struct thrumi_kthread *k) {
  thrumi_spin_lock(&thrumi_sched.lock);
  for (struct thrumi_kthread **link = &thrumi_sched.idle; *link; link = &(*link)->next_idle)
    if (*link == k) {
      strike_off(link);
      break;
    }
  thrumi_spin_unlock(&thrumi_sched.lock);
}

bool thrumi_wake_idle(void) {
  if (thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY == 0) return false;
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *k = thrumi_sched.idle;
  if (k) strike_off(&thrumi_sched.idle);
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (k) thrumi_rouse(k);
  return k != NULL;
}

/* ---- Looking ---------------------------------------------------------------------------------------------- */

static uint32_t busy_others(void) {
  uint32_t idle = thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY;
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  return workers > idle + 1 ? workers - idle - 1 : 0;
}

static void note_switches(uint32_t *switches) {
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 0; i < workers && i < THRUMI_SEEN_WORKERS; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    switches[i] = w ? thrumi_load_relaxed(&w->switches) : 0;
  }
}

/* For some microseconds: is there work elsewhere? */
static bool look_around(struct thrumi_worker *w) {
  if (!busy_others()) return false;
  uint32_t switches[THRUMI_SEEN_WORKERS] = {0};
  note_switches(switches);
  bool found = false;
  thrumi_add(&thrumi_sched.bell, (uint32_t)THRUMI_BELL_HUNGRY);
  for (int i = 1; i <= LOOKS && !found; i++) {
    found = thrumi_somebody_waits_globally() || (i % LOOKS_A_STEAL == 0 && thrumi_steal(w));
    thrumi_pause();
  }
  thrumi_add(&thrumi_sched.bell, -(uint32_t)THRUMI_BELL_HUNGRY);
  return found || thrumi_steal_from_computing(w, switches);
}

/* The last look, after the bell was told: anything on a queue that nobody will ring for? */
static bool anything_queued(struct thrumi_worker *me) {
  if (thrumi_somebody_waits_globally()) return true;
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 0; i < workers; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (w && w != me && thrumi_load_relaxed(&w->queues.count) && thrumi_load(&w->kthread)) return true;
  }
  return false;
}

/* Descriptors and deadlines, without waiting, unless somebody else watches them. */
void thrumi_poll_now(void) {
  if (thrumi_timeouts_next() != INT64_MAX) thrumi_timeouts_expire(thrumi_os.now());
  if (thrumi_hooks.poll && thrumi_hooks.poll_pending()) thrumi_hooks.poll(0);
}

/* ---- The poller -------------------------------------------------------------------------------------------- */

/* Nothing runs and nothing is pending: only the monitor can tell whether that is a deadlock. */
static void tell_monitor(void) {
  bool pending = thrumi_timeouts_pending() || (thrumi_hooks.poll_pending && thrumi_hooks.poll_pending());
  if (!pending && !busy_others()) thrumi_monitor_rouse();
}

static void sleep_as_poller(struct thrumi_kthread *k) {
  thrumi_bump(&thrumi_sched.polls);
  int64_t deadline = thrumi_timeouts_next();
  thrumi_swap(&thrumi_sched.poller_watch, deadline == INT64_MAX ? INT64_MAX - 1 : deadline);
  if (thrumi_timeouts_next() >= deadline) thrumi_doze(k, deadline, true);
  thrumi_store(&thrumi_sched.poller_watch, INT64_MAX);
  thrumi_store(&thrumi_sched.poller, NULL);
  delist(k); /* before a deadline stops being pending: the deadlock check must see one or the other */
  thrumi_timeouts_expire(thrumi_os.now());
  atomic_thread_fence(
      memory_order_seq_cst); /* who set a deadline and rang here in vain is seen: see timeout.c */
  thrumi_watch_ring(thrumi_timeouts_next());
  thrumi_monitor_take_over();
}

/* A worker that runs dry and looks at the descriptors every few microseconds is left to it: a poller would take the next event away from
 * it, and a thread that answers another one would be woken on another CPU each time. Once it stops looking the monitor,
 * which ticks while there is no poller, calls one; as it sends one away that sleeps already. */
static bool others_poll(void) {
  uint32_t idle = thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY; /* this one, too */
  return thrumi_load_relaxed(&thrumi_sched.brisk) && !thrumi_load(&thrumi_sched.poller) &&
         thrumi_load(&thrumi_sched.workers) > idle;
}

static void sleep_until_called(struct thrumi_kthread *k) {
  struct thrumi_kthread *nobody = NULL;
  if (others_poll()) {
    thrumi_doze(k, INT64_MAX, false);
  } else if (thrumi_cas(&thrumi_sched.poller, &nobody, k)) {
    sleep_as_poller(k);
  } else {
    if (nobody == thrumi_sched.monitor) thrumi_rouse(nobody); /* so that it leaves the polling to a worker */
    thrumi_doze(k, INT64_MAX, false);
  }
}

/* ---- The whole --------------------------------------------------------------------------------------------- */

/* Who puts it in service again takes the nudge back, under the lock. */
static bool retiring(struct thrumi_worker *w) {
  return thrumi_load_relaxed(&w->nudge) & THRUMI_NUDGE_RETIRE && w->id >= thrumi_load(&thrumi_sched.workers);
}

/* The worker was taken out of service: its threads go to the others, its kernel thread to the spares. False: it
 * is wanted again. */
static bool retire(struct thrumi_kthread *k) {
  struct thrumi_worker *w = k->worker;
  thrumi_pour_out(w);
  thrumi_stack_drain(&w->stacks);
  thrumi_spin_lock(&thrumi_sched.lock);
  bool wanted = !retiring(w); /* meanwhile */
  if (!wanted) {
    k->worker = NULL;
    thrumi_store(&w->kthread, NULL);
    thrumi_sched.held--;
    thrumi_spare_push_locked(k);
  }
  thrumi_spin_unlock(&thrumi_sched.lock);
  thrumi_ring(NULL);
  return !wanted;
}

/* It has nothing to do any more: were the threads that it took from others worth it? True: no, and it should not look for
 * more of them before somebody calls. Of woken ones it looks only for those that lie. */
static bool regrets(struct thrumi_worker *w) {
  struct thrumi_gain gain = w->gain;
  if (!gain.threads) return false;
  w->gain.threads = 0;
  int64_t ran = thrumi_os.now() - gain.at;
  if (gain.woken) {
    thrumi_judge_lending(ran, thrumi_load_relaxed(&w->switches) - gain.switches, gain.slept);
    return false;
  }
  thrumi_judge_sharing(ran, gain.threads);
  return thrumi_load_relaxed(&thrumi_sched.share_backoff) != 0;
}

/* What it runs next came from elsewhere. Who is tied and who is a hog says nothing about others. */
static void gain(struct thrumi_worker *w, const struct thrumi_thread *t, bool slept) {
  if (t->kthread || t->hog) return;
  w->gain = (struct thrumi_gain){.threads = thrumi_load_relaxed(&w->queues.count) + 1,
                                 .switches = thrumi_load_relaxed(&w->switches),
                                 .at = thrumi_os.now(),
                                 .woken = t->sp,
                                 .slept = slept};
}

/* What lies in its own run-next slot it has woken itself, in a poll. */
static struct thrumi_thread *pick(struct thrumi_worker *w, bool looked, bool slept) {
  bool own = thrumi_load_relaxed(&w->next);
  struct thrumi_thread *t = thrumi_pick(w);
  if (t && looked && !own) gain(w, t, slept);
  return t;
}

/* On the idle list: is there nothing that it must not sleep beside? Patient: what lies on others' queues is the monitor's. */
static bool may_sleep(struct thrumi_worker *w, bool patient) {
  thrumi_lease_barrier();
  if (patient ? thrumi_somebody_waits_globally() : anything_queued(w)) return false;
  thrumi_monitor_mind(); /* also without patience: pushers may become used to leave it asleep */
  return !retiring(w);
}

struct thrumi_thread *thrumi_find_work(struct thrumi_kthread *k) {
  struct thrumi_worker *w = k->worker;
  bool slept = false;
  for (bool looked = false;; looked = true) {
    if (thrumi_unlikely(retiring(w)) && retire(k)) return NULL;
    struct thrumi_thread *t = pick(w, looked, slept);
    if (t) return t;
    thrumi_bump(&thrumi_sched.polls);
    thrumi_poll_now();
    if ((t = pick(w, looked, slept))) {
      thrumi_bump(&thrumi_sched.finds);
      return t;
    }
    bool regret = !looked && regrets(w);
    if (!regret && look_around(w)) continue;
    enlist(k);
    if (may_sleep(w, regret || thrumi_leaves_woken())) {
      tell_monitor();
      sleep_until_called(k);
      slept = true;
    }
    delist(k);
  }
}
