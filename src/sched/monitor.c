/* The monitor: a kernel thread of its own that looks after workers which do not look after themselves.
 *
 * While threads wait for a worker it looks at each worker, at the latest when its slice is over:
 *
 *   the slice is over, the thread switches often     the pick is nudged to let others have their turn
 *   the slice is over, the thread runs               it is sent the preemption signal
 *   the slice is over, the thread is blocked         the worker is taken from it by its lease, without a signal
 *   it has burnt little of the slice                 the OS ran something else: it gets more time
 *   a hog waited for nine intervals, none ran        the worker owes the oldest hog an interval
 *   a woken thread waits, a thread blocks            the worker is taken at once
 *
 * Only what runs and has burnt most of its interval is signalled, since a signal cuts some system calls short
 * (poll, nanosleep, a partial write) even with SA_RESTART. A thread may still block between the look and
 * the signal: counted as signals_blocked. Without /proc the CPU clock alone decides.
 *
 * It also settles what signal handlers changed (core/parking.h), watches deadlines and descriptors when no worker polls, finds out that nothing can ever run again, and
 * keeps a coarse clock. It never allocates and never takes a lock of libc's. It sleeps without a
 * deadline when nothing is runnable and nothing is LOST; who makes a thread ready then rings the bell. */
#include <core/fatal.h>
#include <core/parking.h>
#include <sched/deadlock.h>
#include <sched/self.h>
#include <sched/step.h>

#define TICK THRUM_MS(1)
#define SOON THRUM_US(100)
#define ASKED_LONG \
  THRUM_MS(2) /* a signal that was not obeyed in this time is blocked, or missed the thread */
#define MOST_OF(span) ((span) / 10 * 7)
#define BRISK THRUM_US(20) /* turns shorter than this, on average: who lies is about to run */
#define BRISK_POLLS \
  THRUM_US(50) /* workers that find something by a poll so often, on average, need no poller beside them */
#define RECHECK THRUM_MS(250)
#define NAP THRUM_MS(10) /* a deep sleep that ended sooner was not worth it: it is rung for again and again */
enum { QUIET_TICKS = 16, STRETCH = 4, HOG_SHARE = 9, LOST_BATCH = 128, PATIENCE = 4 };

struct look {
  int64_t now, next; /* when it looks again */
  bool waiting;      /* some thread waits for a worker */
  bool busy;         /* some worker runs a thread */
};

static struct {
  uint32_t polls;     /* sched.polls at the last look */
  uint32_t finds;     /* sched.finds when it was judged last */
  int64_t counted;    /* when these were judged last */
  int unpolled;       /* ticks since a worker last polled */
  int quiet;          /* looks at which nobody waited */
  uint32_t lost_skip; /* kthreads looked at for LOST so far, of all */
  int64_t deep;       /* when it went to sleep until rung for, if that was its last sleep; 0 */
} seen;

static void come_back(struct look *look, int64_t when) {
  if (when < look->next) look->next = when;
}

int64_t thrumi_clock(void) {
  int64_t clock = thrumi_load_relaxed(&thrumi_sched.clock);
  return clock ? clock : thrumi_os.now();
}

/* A worker is on the idle list, and has not looked at others' queues or will not be rung for: the monitor is to look each
 * millisecond, which it does while it sees a sleeper. If it saw none it may sleep for longer. Pairs with the fence in
 * look_once: either the clock is seen here, or the sleeper there. At 0 it is rung for instead. */
void thrumi_monitor_mind(void) {
  int64_t clock = thrumi_load(&thrumi_sched.clock);
  if (clock && thrumi_load(&thrumi_sched.monitor_watch) - clock > 2 * TICK) thrumi_monitor_rouse();
}

/* It may have seen a poller a moment ago, and sleep until it is rung for, or for a whole interval. */
void thrumi_monitor_take_over(void) {
  if (thrumi_load(&thrumi_sched.bell) & THRUMI_BELL_MONITOR)
    thrumi_monitor_rouse();
  else
    thrumi_monitor_mind();
}

void thrumi_monitor_rouse(void) {
  if (thrumi_sched.monitor) thrumi_rouse(thrumi_sched.monitor);
}

/* ---- Taking a worker from a blocked thread ------------------------------------------------------------------ */

/* Takes a spare for the worker and counts k captured, or does nothing. */
static struct thrumi_kthread *reserve_spare(struct thrumi_kthread *k) {
  struct thrumi_kthread *spare = NULL;
  thrumi_spin_lock(&thrumi_sched.lock);
  bool counts = k->role == THRUMI_ROLE_SCHEDULER && !k->captured;
  if (!counts || thrumi_may_capture_locked()) spare = thrumi_spare_pop_locked();
  if (spare && counts) {
    thrumi_store_relaxed(&thrumi_sched.captured, thrumi_load_relaxed(&thrumi_sched.captured) + 1);
    k->captured = true;
  }
  thrumi_spin_unlock(&thrumi_sched.lock);
  return spare;
}

/* k has no worker from here on; its thread goes on when its call returns, and asks for one. */
static void detach(struct thrumi_kthread *k, struct thrumi_worker *w) {
  struct thrumi_thread *t = k->current;
  t->kthread = k;
  thrumi_set_state(t, THRUMI_BLOCKED);
  thrumi_step(LEASE, lease, t, 0, w->id + 1);
  k->worker = NULL;
  k->lost_at = 0;
  thrumi_bump(&thrumi_sched.leases_lost);
  thrumi_add(&thrumi_sched.lost, 1u);
  if (thrumi_load_relaxed(&w->hog)) {
    thrumi_store_relaxed(&w->hog, false);
    thrumi_add(&thrumi_sched.hogs, -1u);
  }
}

static bool seize(struct thrumi_worker *w, struct thrumi_kthread *k) {
  if (!thrumi_lease_revoke(&k->lease)) return false;
  struct thrumi_kthread *spare = k->worker == w ? reserve_spare(k) : NULL;
  if (!spare) {
    bool refused = k->worker == w;
    thrumi_lease_restore(&k->lease);
    if (refused) thrumi_add(&thrumi_sched.refused, 1u);
    if (refused) thrumi_breed();
    return false;
  }
  detach(k, w);
  thrumi_lease_seize(&k->lease);
  thrumi_hand_over(w, spare);
  if (thrumi_load_relaxed(&thrumi_sched.spare_count) < 2) thrumi_breed();
  return true;
}

/* ---- One worker ------------------------------------------------------------------------------------------------ */

static void begin_slice(struct thrumi_worker *w, struct thrumi_kthread *k, uint32_t turn, struct look *look) {
  w->seen.turn = turn;
  w->seen.kthread = k;
  w->seen.since = look->now;
  w->seen.cpu_at = 0;
}

/* Somebody waits: from here on it counts what the thread burns. */
static void read_cpu(struct thrumi_worker *w, struct thrumi_kthread *k, struct look *look) {
  if (w->seen.cpu_at) return;
  w->seen.cpu_at = look->now;
  w->seen.cpu = thrumi_os.cpu_time(k->tid);
}

/* The thread on w has used its slice up and does not switch: make it. */
static void expire(struct thrumi_worker *w, struct thrumi_kthread *k, struct look *look) {
  int64_t elapsed = look->now - w->seen.since, counted = look->now - w->seen.cpu_at;
  int64_t interval = thrumi_load_relaxed(&thrumi_sched.interval);
  int64_t burnt = w->seen.cpu < 0 ? counted : thrumi_os.cpu_time(k->tid) - w->seen.cpu;
  int64_t asked = thrumi_load(&k->asked);
  if (thrumi_load_relaxed(&k->lease.inside)) {
    come_back(look, look->now + SOON);
    return;
  }
  enum thrumi_activity activity = thrumi_os.activity(k->tid);
  if (asked && (activity != THRUMI_ACTIVITY_BLOCKED || look->now - asked < ASKED_LONG)) {
    if (activity != THRUMI_ACTIVITY_BLOCKED) thrumi_preempt_request(k, false);
    come_back(look, look->now + SOON);
    return;
  }
  bool mostly = burnt >= MOST_OF(counted) || elapsed > STRETCH * interval;
  if (activity == THRUMI_ACTIVITY_UNKNOWN && !counted) mostly = false; /* the clock says nothing yet: later */
  if (activity == THRUMI_ACTIVITY_UNKNOWN && counted)
    activity = mostly ? THRUMI_ACTIVITY_RUNNING : THRUMI_ACTIVITY_BLOCKED;
  if (activity == THRUMI_ACTIVITY_BLOCKED) {
    if (!seize(w, k)) come_back(look, look->now + TICK);
  } else if (mostly) {
    thrumi_preempt_request(k, false);
    come_back(look, look->now + SOON);
  } else {
    come_back(look, look->now + interval / 4);
  }
}

/* A thread waits for which no worker is free: is this one held by a thread that is blocked? */
static void take_if_blocked(struct thrumi_worker *w, struct thrumi_kthread *k, struct look *look) {
  if (look->now - w->seen.running < SOON) {
    come_back(look, w->seen.running + SOON);
  } else if (!thrumi_load_relaxed(&k->lease.inside) &&
             thrumi_os.activity(k->tid) == THRUMI_ACTIVITY_BLOCKED) {
    seize(w, k);
  } else {
    come_back(look, look->now + TICK);
  }
}

/* Every tenth interval at the latest the oldest hog runs. */
static void pay_hogs(struct thrumi_worker *w, struct look *look) {
  uint32_t hog_turns = thrumi_load_relaxed(&w->hog_turns);
  if (hog_turns != w->seen.hog_turns || !thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count) ||
      thrumi_load_relaxed(&w->hog)) {
    w->seen.hog_turns = hog_turns;
    w->seen.hog_since = look->now;
  } else if (look->now - w->seen.hog_since >= HOG_SHARE * thrumi_load_relaxed(&thrumi_sched.interval)) {
    thrumi_or(&w->nudge, (uint32_t)THRUMI_NUDGE_OWES_HOG);
    w->seen.hog_since = look->now;
  }
}

/* Whether something lay on w's own queues, or as its run-next thread, at the last look of this sort and does now; such looks are a
 * tick apart, for the monitor may be roused at any moment. While woken threads are best left where they are, that is no
 * proof beside short turns: the queue may have turned over in between, if at least as many came off as had lain there;
 * and a run-next thread is another one. Beside long turns it has lain for one at least. */
static bool has_lain(struct thrumi_worker *w, bool own, uint32_t switches, const struct look *look) {
  uint32_t count = thrumi_load_relaxed(&w->queues.count), appended = thrumi_load_relaxed(&w->queues.appended);
  uint32_t turns = switches - w->lying.switches;
  bool had_own = w->lying.own, queued = w->lying.queued && count;
  bool turned_over = (int32_t)(appended - count - w->lying.appended) >= 0;
  bool brisk = look->now - w->lying.looked < (int64_t)turns * BRISK;
  w->lying.switches = switches;
  w->lying.own = own;
  w->lying.queued = count;
  w->lying.appended = appended;
  w->lying.looked = look->now;
  if (own && had_own && !brisk) return true;
  return queued && !(turned_over && thrumi_leaves_woken());
}

/* Threads lie on w's own queues while another worker sleeps: it is to come and steal. Run-next threads of short turns go by
 * themselves. While w switches it may push at any moment without ringing, so it is looked at again soon. */
static void call_thief(struct thrumi_worker *w, bool own, bool same, uint32_t switches, struct look *look) {
  bool sleepers = thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY != 0;
  int64_t next = w->lying.looked + TICK;
  if (look->now >= next) {
    bool lain = has_lain(w, own, switches, look);
    thrumi_store(&w->lies, lain);
    if (lain && sleepers) thrumi_wake_idle();
    next = look->now + TICK;
  }
  if (sleepers && (own || !same)) come_back(look, next);
}

static void look_at(struct thrumi_worker *w, struct look *look) {
  struct thrumi_kthread *k = thrumi_load(&w->kthread);
  if (!k || thrumi_load_relaxed(&w->idle)) return;
  look->busy = true;
  bool retiring = w->id >= thrumi_load_relaxed(&thrumi_sched.workers);
  bool global = thrumi_load_relaxed(&thrumi_sched.global.count);
  bool hogs = thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count);
  bool own = thrumi_load_relaxed(&w->queues.count) || thrumi_load_relaxed(&w->next);
  uint32_t turn = thrumi_load_relaxed(&w->turn), switches = thrumi_load_relaxed(&w->switches);
  bool same = switches == w->seen.switches && k == w->seen.kthread;
  if (turn != w->seen.turn || k != w->seen.kthread) begin_slice(w, k, turn, look);
  if (!same) {
    w->seen.running = look->now;
    thrumi_store(&k->asked, 0); /* it was for another thread */
  }
  if ((global || hogs) && thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY) thrumi_wake_idle();
  w->seen.switches = switches;
  call_thief(w, own, same, switches, look);
  if (!own && !global && !hogs && !retiring) return;
  look->waiting = true;
  read_cpu(w, k, look);
  pay_hogs(w, look);
  int64_t over = w->seen.since + thrumi_load_relaxed(&thrumi_sched.interval);
  if (thrumi_load(&k->asked) && same) over = look->now;
  if (look->now < over && !retiring) {
    come_back(look, over);
    if (global && same) take_if_blocked(w, k, look);
    if (global && !same) come_back(look, look->now + TICK);
    return;
  }
  if (same || retiring)
    expire(w, k, look);
  else
    come_back(look, look->now + TICK);
  thrumi_or(&w->nudge, (uint32_t)THRUMI_NUDGE_EXPIRED);
  w->seen.since = same ? w->seen.since : look->now;
}

/* ---- Threads that run without a worker ------------------------------------------------------------------------ */

/* A LOST thread that computes is stopped: at the first look that finds most of a window burnt, or, where it does not get as much
 * CPU, after four intervals of which it burnt something, none of whose looks found it blocked. */
static void look_at_lost(struct thrumi_kthread *k, struct look *look) {
  int64_t interval = thrumi_load_relaxed(&thrumi_sched.interval);
  come_back(look, look->now + interval);
  if (k->released) return;
  int64_t cpu = thrumi_os.cpu_time(k->tid), elapsed = look->now - k->lost_at, burnt = cpu - k->lost_cpu;
  bool begun = k->lost_at;
  if (begun && elapsed < interval) return;
  if (begun && burnt > 0 && thrumi_os.activity(k->tid) != THRUMI_ACTIVITY_BLOCKED) {
    bool computes = burnt >= MOST_OF(elapsed) || elapsed > STRETCH * interval;
    if (computes && !thrumi_is_short()) thrumi_preempt_request(k, false);
    if (!computes) return;
  }
  k->lost_at = look->now;
  k->lost_cpu = cpu;
}

static void look_at_all_lost(struct look *look) {
  if (!thrumi_load(&thrumi_sched.lost)) return;
  struct thrumi_kthread *lost[LOST_BATCH];
  int n = 0;
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *k = thrumi_sched.all;
  for (uint32_t skip = seen.lost_skip; k && skip; skip--) k = k->next;
  for (; k && n < LOST_BATCH; k = k->next, seen.lost_skip++)
    if (thrumi_load(&k->lease.attention) & THRUMI_LOST) lost[n++] = k;
  if (!k) seen.lost_skip = 0;
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (k) come_back(look, look->now + TICK); /* the rest */
  for (int i = 0; i < n; i++) look_at_lost(lost[i], look);
}

/* ---- Sleeping --------------------------------------------------------------------------------------------------- */

/* Wakes a worker that sleeps, if there is one: it goes round once and becomes the poller. */
static bool rouse_idle(void) {
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *idle = thrumi_sched.idle;
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (idle) thrumi_rouse(idle);
  return idle != NULL;
}

/* Whether workers find threads by polling, without sleep, every few microseconds. Several count, and not exactly. */
static bool are_brisk(const struct look *look) {
  uint32_t finds = thrumi_load_relaxed(&thrumi_sched.finds);
  bool brisk = (int64_t)(int32_t)(finds - seen.finds) * BRISK_POLLS > look->now - seen.counted;
  thrumi_store_relaxed(&thrumi_sched.brisk, brisk);
  seen.finds = finds;
  return brisk;
}

/* How the workers poll, judged once a tick: who is roused looks twice within a moment, of which no count says anything. */
struct polling {
  bool brisk;     /* they find threads so */
  bool slackened; /* they did until now */
  bool neglected; /* not any more for some ticks */
};

static struct polling judge_polling(const struct look *look, bool polled) {
  bool brisk = thrumi_load_relaxed(&thrumi_sched.brisk), former = brisk;
  if (polled) seen.unpolled = 0;
  if (look->now - seen.counted >= TICK) {
    if (!polled) seen.unpolled++;
    brisk = are_brisk(look);
    seen.counted = look->now;
  }
  return (struct polling){
      .brisk = brisk, .slackened = former && !brisk, .neglected = seen.unpolled >= PATIENCE};
}

static bool descriptors_wait(void) { return thrumi_hooks.poll_pending && thrumi_hooks.poll_pending(); }

/* Something is pending that nobody watches, nor did since the last look: a sleeping worker is to. If there is none the monitor looks at
 * each tick, and once the workers have not looked for some, because they compute, it waits as the poller. True: it does. (Beside
 * workers that look often it would be woken by each event, and they would find nothing.) */
static bool arrange_poll(struct thrumi_kthread *k, struct look *look) {
  uint32_t polls = thrumi_load_relaxed(&thrumi_sched.polls);
  bool polled = polls != seen.polls;
  seen.polls = polls;
  bool pending = thrumi_timeouts_pending() || descriptors_wait();
  struct polling polling = judge_polling(look, polled);
  struct thrumi_kthread *poller = thrumi_load(&thrumi_sched.poller);
  if (pending && poller && polling.brisk) thrumi_rouse(poller);
  if (!pending || poller) return false;
  bool called = (!polled || polling.slackened) && rouse_idle();
  if (!polled && !called && polling.neglected && thrumi_cas(&thrumi_sched.poller, &poller, k)) return true;
  come_back(look, look->now + TICK);
  return false;
}

/* Gives the polling back to a worker that sleeps. */
static void leave_poll(void) {
  thrumi_store(&thrumi_sched.poller, NULL);
  rouse_idle();
}

static bool anything_waits(void) {
  if (thrumi_somebody_waits_globally()) return true;
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    /* In this order: a yield queues a thread before it takes `next`, which a release store clears. */
    if (thrumi_load(&w->next) || thrumi_load_relaxed(&w->queues.count)) return true;
  }
  return false;
}

/* The poller left before it could see that the monitor has to be told. `watched`: it had said that it looks at deadlines. */
static bool poller_has_left(bool watched) {
  if (watched && thrumi_load(&thrumi_sched.poller_watch) > thrumi_timeouts_next()) return true;
  return !thrumi_load(&thrumi_sched.poller) && descriptors_wait();
}

/* Without a deadline near, pushers must ring: the bell is told, a fence goes through all of them, and then the
 * queues are looked at once more. The fence is also this side's of the pair with sleep_as_poller (idle.c) and with who
 * begins to wait for a descriptor (io/netpoll.c). */
static void sleep_deep(struct thrumi_kthread *k, int64_t deadline, bool poll, bool watched) {
  thrumi_breed(); /* the rush is over: it gives back what is too much */
  thrumi_add(&thrumi_sched.bell, (uint32_t)THRUMI_BELL_MONITOR);
  thrumi_store(&thrumi_sched.clock, 0);
  thrumi_lease_barrier();
  if (!poller_has_left(watched) && !anything_waits()) thrumi_doze(k, deadline, poll);
  thrumi_add(&thrumi_sched.bell, -(uint32_t)THRUMI_BELL_MONITOR);
}

/* While anything waits it looks again, whatever the looks at the workers said: within an interval, and within a tick beside a worker
 * that sleeps, whom pushers may leave asleep. */
static void stay_near(struct look *look) {
  if (!look->waiting) return;
  bool sleepers = thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY != 0;
  come_back(look, look->now + (sleepers ? TICK : thrumi_load_relaxed(&thrumi_sched.interval)));
}

/* When the monitor must look at the deadlines again. */
static int64_t next_timeout(const struct look *look) {
  int64_t next = thrumi_timeouts_next();
  return next <= look->now && thrumi_timeouts_wait() ? look->now + SOON : next;
}

static void sleep_for_now(struct thrumi_kthread *k, struct look *look) {
  stay_near(look);
  bool poll = arrange_poll(k, look);
  if (!look->waiting && !poll && seen.quiet < QUIET_TICKS) come_back(look, look->now + TICK);
  int64_t deadline = look->next;
  int64_t timer = next_timeout(look);
  bool watched = thrumi_load(&thrumi_sched.poller_watch) <= timer && !poll;
  if (!watched && timer < deadline) deadline = timer;
  thrumi_swap(&thrumi_sched.monitor_watch, deadline);
  timer = next_timeout(look); /* the poller may have left before it could see how long this sleeps */
  if (watched ? thrumi_load(&thrumi_sched.poller_watch) <= timer : timer >= deadline) {
    if (!look->waiting && deadline - look->now > 2 * TICK) {
      seen.deep = look->now;
      sleep_deep(k, deadline, poll, watched);
    } else {
      thrumi_doze(k, deadline, poll);
    }
  }
  thrumi_store(&thrumi_sched.monitor_watch, INT64_MAX);
  if (poll) leave_poll();
}

/* ---- The loop ----------------------------------------------------------------------------------------------------- */

/* Deadlines and descriptors that no worker watches, or has looked at since the last look. */
static void watch(int64_t now) {
  struct thrumi_kthread *poller = thrumi_load(&thrumi_sched.poller);
  int64_t next = thrumi_timeouts_next();
  if (next <= now) thrumi_timeouts_expire(now);
  if (poller && thrumi_load(&thrumi_sched.poller_watch) > next) thrumi_rouse(poller);
  if (poller || thrumi_load_relaxed(&thrumi_sched.polls) != seen.polls) return;
  if (thrumi_hooks.poll && thrumi_hooks.poll_pending()) thrumi_hooks.poll(0);
}

static void look_once(struct look *look) {
  thrumi_store(&thrumi_sched.clock, look->now);
  atomic_thread_fence(memory_order_seq_cst); /* with thrumi_monitor_mind, and who rings */
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    look_at(w, look);
  }
  look_at_all_lost(look);
  if (thrumi_load_relaxed(&thrumi_sched.global.count) && thrumi_load(&thrumi_sched.hogs)) {
    if (!thrumi_preempt_hog()) come_back(look, look->now + SOON);
  }
  bool napped = seen.deep && look->now - seen.deep < NAP;
  seen.deep = 0;
  seen.quiet = look->waiting || napped ? 0 : seen.quiet + 1;
}

void *thrumi_monitor_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_os_name_thread("thrum-monitor");
  thrumi_kthread_adopt(k);
  thrumi_await_up(k);
  thrumi_os_short_slice(THRUMI_SHORT_SLICE);
  for (;;) {
    struct look look = {.now = thrumi_os.now(), .next = INT64_MAX};
    watch(look.now); /* before `go`: whom it wakes rings for the monitor, which is about to look anyway */
    thrumi_swap(&k->go, THRUMI_ASLEEP_FUTEX);
    thrumi_parking_sweep();
    look_once(&look);
    bool still = !look.busy && !look.waiting && seen.quiet >= 2;
    if (still && thrumi_deadlock_check()) come_back(&look, look.now + RECHECK);
    sleep_for_now(k, &look);
  }
  return NULL;
}
