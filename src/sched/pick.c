/* What runs next.
 *
 * A worker looks, in this order, at: the run-next slot; then the classes WOKEN (by I/O, timers, others); READY
 * (yielded) and NEW (never run) in the order in which they were queued; and HOG (used up their interval; one
 * queue for all workers), which takes turns with NEW. HOG goes before NEW once many
 * preempted threads hold kernel threads, so that ten thousand hashing threads do not become ten thousand
 * kernel threads. Threads on the global queue are fetched in fair shares before anything local is chosen.
 *
 * No class starves: every 32nd slice, and whenever the monitor says that the slice expired (a chain of
 * run-next hand-offs shares one slice), the classes get their turn in rotation; and every tenth interval in
 * which a hog waited and none ran, the oldest hog goes first.
 *
 * Sharing. Queues are private, so the one who pushes looks at the bell: if a worker is idle or hungry, he moves
 * his oldest thread to the global queue and wakes one. A hungry worker whose prey does not push asks by
 * the SHARE bit, and one that runs user code without end has its lease revoked for the time of the theft. Whether
 * sharing is worth it is learnt: then pushers share seldom, and thieves leave what does not lie.
 *
 * Rejected: Chase-Lev deques (a fence or read-modify-write per operation of the owner, no removal from the
 * middle for joins, no classes); one shared queue (contention at every switch). */
#include <sched/queue.h>
#include <sched/self.h>
#include <sched/step.h>

enum {
  MANY_CAPTURED = 32,     /* preempted threads beyond which HOG goes before NEW */
  NEW_EVERY = 10,         /* ... but for every so many-th */
  BATCH = 32,             /* threads fetched from the global queue at once */
  ANSWER_SPINS = 400,     /* how long a thief waits for an answer to SHARE */
  BACKOFF_MOST = 14,      /* n, where every 2^n-th call for others is made because they have proved useless */
  LEND_BACKOFF_MOST = 10, /* the same of woken threads: bursts of these are to be found out sooner */
};
#define WORTH_WAKING THRUM_US(10)  /* what a worker that was woken must have run for, at least */
#define WORTH_TAKING THRUM_US(1)   /* ... one that was awake */
#define WORTH_MOVING THRUM_NS(500) /* ... and for each thread that never ran */
/* ... and for each turn of one that has: its stack, its record and what it shares with others come from another core in nearly each,
 * and for a thread that does nothing else that takes up to 1.2 us. */
#define WORTH_LENDING THRUM_NS(1500)

/* Under the lock, as all on the global queue. */
static void count_woken_locked(enum thrumi_class c, uint32_t change) {
  if (c == THRUMI_CLASS_WOKEN)
    thrumi_store_relaxed(&thrumi_sched.global_woken,
                         thrumi_load_relaxed(&thrumi_sched.global_woken) + change);
}

static void append_global_locked(struct thrumi_thread *t, enum thrumi_class c) {
  thrumi_queue_append(&thrumi_sched.global, t, c);
  count_woken_locked(c, 1u);
}

static struct thrumi_thread *pop_global_locked(enum thrumi_class c) {
  struct thrumi_thread *t = thrumi_queue_pop(&thrumi_sched.global, c);
  if (t) count_woken_locked(c, -1u);
  return t;
}

void thrumi_push_global(struct thrumi_thread *t, enum thrumi_class c) {
  thrumi_spin_lock(&thrumi_sched.lock);
  if (c == THRUMI_CLASS_HOG)
    thrumi_queue_append(&thrumi_sched.hogs_waiting, t, c);
  else
    append_global_locked(t, c);
  thrumi_spin_unlock(&thrumi_sched.lock);
}

void thrumi_push(struct thrumi_worker *w, struct thrumi_thread *t, enum thrumi_class c) {
  if (thrumi_unlikely(c == THRUMI_CLASS_HOG))
    thrumi_push_global(t, c);
  else
    thrumi_queue_append(&w->queues, t, c);
}

bool thrumi_somebody_waits(const struct thrumi_worker *w) {
  return thrumi_load_relaxed(&w->queues.count) || thrumi_load_relaxed(&w->next) ||
         thrumi_somebody_waits_globally();
}

bool thrumi_somebody_waits_globally(void) {
  return thrumi_load_relaxed(&thrumi_sched.global.count) ||
         thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count);
}

bool thrumi_woken_wait(const struct thrumi_worker *w) {
  if (thrumi_load_relaxed(&w->next) || w->queues.of[THRUMI_CLASS_WOKEN].head) return true;
  if (!thrumi_load_relaxed(&thrumi_sched.global.count)) return false;
  thrumi_spin_lock(&thrumi_sched.lock);
  bool wait = thrumi_sched.global.of[THRUMI_CLASS_WOKEN].head != NULL;
  thrumi_spin_unlock(&thrumi_sched.lock);
  return wait;
}

/* ---- Choosing ---------------------------------------------------------------------------------------- */

/* Sharing was worth it, or not: then it is done half as often. */
static void learn(_Atomic uint32_t *backoff, uint32_t most, bool worth) {
  uint32_t former = thrumi_load_relaxed(backoff), now = former;
  if (worth)
    now /= 2;
  else if (now < most)
    now++;
  if (now != former) thrumi_store_relaxed(backoff, now);
}

/* A monitor that goes to sleep looks at one queue after the other, and may miss what moves between two of them meanwhile. So who moved
 * threads tells it, unless the one that runs next was all. */
static void tell_of_move(const struct thrumi_worker *w) {
  if (thrumi_likely(!(thrumi_load(&thrumi_sched.bell) & THRUMI_BELL_MONITOR))) return;
  uint32_t there = thrumi_load_relaxed(&w->queues.count) + (thrumi_load_relaxed(&w->next) != NULL);
  if (there > 1 || thrumi_load_relaxed(&thrumi_sched.global.count)) thrumi_monitor_rouse();
}

/* Moves this worker's fair share of the global queue to its own. If all that it gave away is still there, nobody was quick
 * enough to want it. */
static void fetch(struct thrumi_worker *w) {
  thrumi_spin_lock(&thrumi_sched.lock);
  uint32_t count = thrumi_load_relaxed(&thrumi_sched.global.count);
  uint32_t share = count / thrumi_load_relaxed(&thrumi_sched.workers) + 1;
  if (share > BATCH) share = BATCH;
  if (w->lent && w->lent <= count) learn(&thrumi_sched.lend_backoff, LEND_BACKOFF_MOST, false);
  w->lent = 0;
  for (int c = 0; c < THRUMI_CLASSES && share; c++) {
    struct thrumi_thread *t;
    while (share && (t = pop_global_locked((enum thrumi_class)c))) {
      thrumi_queue_append(&w->queues, t, (enum thrumi_class)c);
      share--;
    }
  }
  thrumi_spin_unlock(&thrumi_sched.lock);
  tell_of_move(w);
}

/* The hog that waited longest, of all workers' hogs: these share one queue, so that each gets its turn
 * wherever it ran. */
static struct thrumi_thread *pop_hog(void) {
  if (!thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count)) return NULL;
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_thread *t = thrumi_queue_pop(&thrumi_sched.hogs_waiting, THRUMI_CLASS_HOG);
  thrumi_spin_unlock(&thrumi_sched.lock);
  return t;
}

/* While a kernel thread is wanting, whoever begins now could not be preempted: no spare could take over. The breeder may be
 * waiting for a lock of libc's, and a thread that was stopped in its midst may hold it: such threads all lie on the
 * queue of hogs, each on a kernel thread of its own. So these go before everybody else until there is a spare. */
static struct thrumi_thread *pop_stopped(struct thrumi_worker *w) {
  struct thrumi_queue *q = &thrumi_sched.hogs_waiting.of[THRUMI_CLASS_HOG];
  thrumi_breed();
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_thread *t = q->head;
  while (t && !t->kthread) t = t->next;
  if (t) thrumi_queue_remove(&thrumi_sched.hogs_waiting, q, t);
  thrumi_spin_unlock(&thrumi_sched.lock);
  w->owed = t != NULL;
  return t;
}

static bool ready_first(const struct thrumi_thread *ready, const struct thrumi_thread *new) {
  return !new || (ready && (int32_t)(ready->place - new->place) < 0);
}

/* READY and NEW are one line: who yields stands behind those that never ran. */
static struct thrumi_thread *pop_line(struct thrumi_worker *w) {
  const struct thrumi_queue *of = w->queues.of;
  bool ready = ready_first(of[THRUMI_CLASS_READY].head, of[THRUMI_CLASS_NEW].head);
  return thrumi_queue_pop(&w->queues, ready ? THRUMI_CLASS_READY : THRUMI_CLASS_NEW);
}

/* Whether so many hogs hold kernel threads that these go before threads that never ran, nine times of ten. */
static bool is_crowded(const struct thrumi_worker *w) {
  return thrumi_load_relaxed(&thrumi_sched.captured) > MANY_CAPTURED &&
         thrumi_load_relaxed(&w->turn) % NEW_EVERY != 0;
}

static bool hog_before_new(const struct thrumi_worker *w) {
  if (thrumi_load_relaxed(&thrumi_sched.captured) > MANY_CAPTURED) return is_crowded(w);
  return thrumi_load_relaxed(&w->turn) % 2 == 0;
}

static struct thrumi_thread *pop_class(struct thrumi_worker *w, enum thrumi_class c) {
  if (c == THRUMI_CLASS_HOG) return pop_hog();
  if (c == THRUMI_CLASS_WOKEN) return thrumi_queue_pop(&w->queues, c);
  struct thrumi_thread *t = NULL;
  if (thrumi_unlikely(is_crowded(w)) && !w->queues.of[THRUMI_CLASS_READY].head) t = pop_hog();
  return t ? t : pop_line(w);
}

/* The classes in rotation, beginning with another one each time. */
static struct thrumi_thread *pick_fair(struct thrumi_worker *w) {
  uint32_t first = ++w->rotation;
  for (uint32_t i = 0; i < THRUMI_CLASSES; i++) {
    struct thrumi_thread *t = pop_class(w, (enum thrumi_class)((first + i) % THRUMI_CLASSES));
    if (t) return t;
  }
  return NULL;
}

/* Of a crowd that was woken whoever is next was last touched long ago. While one runs, the stack of the third in line is on its
 * way from memory (`next` is the second), and the record of the fifth; those in between were asked for so before. */
static inline void fetch_ahead(const struct thrumi_thread *next) {
  const struct thrumi_thread *third = next ? next->next : NULL;
  if (!third) return;
  __builtin_prefetch(third->sp);
  __builtin_prefetch((const char *)third->sp + 64);
  if (third->next) __builtin_prefetch(third->next->next);
}

static struct thrumi_thread *pick_class(struct thrumi_worker *w) {
  struct thrumi_thread *t = thrumi_queue_pop(&w->queues, THRUMI_CLASS_WOKEN);
  if (t) {
    fetch_ahead(w->queues.of[THRUMI_CLASS_WOKEN].head);
    return t;
  }
  const struct thrumi_thread *ready = w->queues.of[THRUMI_CLASS_READY].head,
                             *new = w->queues.of[THRUMI_CLASS_NEW].head;
  if (thrumi_likely(ready && ready_first(ready, new)))
    return thrumi_queue_pop(&w->queues, THRUMI_CLASS_READY);
  if (new &&hog_before_new(w) && (t = pop_hog())) return t;
  return new ? thrumi_queue_pop(&w->queues, THRUMI_CLASS_NEW) : pop_hog();
}

/* Puts the run-next thread in line with the others. */
static void queue_next(struct thrumi_worker *w) {
  struct thrumi_thread *next = thrumi_load_relaxed(&w->next);
  if (!next) return;
  thrumi_store_relaxed(&w->next, NULL);
  thrumi_queue_append(&w->queues, next, THRUMI_CLASS_WOKEN);
}

/* What the monitor asked of this pick. That the worker is to retire may be said at any moment, and stays until it is in service
 * again. */
static struct thrumi_thread *pick_nudged(struct thrumi_worker *w) {
  uint32_t nudge = thrumi_and(&w->nudge, (uint32_t)THRUMI_NUDGE_RETIRE);
  if (nudge & (THRUMI_NUDGE_EXPIRED | THRUMI_NUDGE_OWES_HOG)) queue_next(w);
  struct thrumi_thread *t = NULL;
  if (nudge & THRUMI_NUDGE_OWES_HOG) w->owed = (t = pop_hog()) && t->kthread;
  if (!t && nudge & THRUMI_NUDGE_EXPIRED) t = pick_fair(w);
  return t;
}

/* A controlled schedule chooses among all that is ready. */
static struct thrumi_thread *pick_chosen(struct thrumi_worker *w) {
  queue_next(w);
  uint32_t n = thrumi_load_relaxed(&w->queues.count);
  if (!n) return pop_hog();
  size_t at = thrumi_hooks.choose(n) % n;
  for (int c = 0; c < THRUMI_CLASSES; c++)
    for (struct thrumi_thread *t = w->queues.of[c].head; t; t = t->next)
      if (at-- == 0) {
        thrumi_queue_remove(&w->queues, &w->queues.of[c], t);
        return t;
      }
  return NULL;
}

static struct thrumi_thread *begin_slice(struct thrumi_worker *w, struct thrumi_thread *t) {
  if (t) thrumi_bump(&w->turn);
  return t;
}

struct thrumi_thread *thrumi_pick(struct thrumi_worker *w) {
  if (thrumi_unlikely(thrumi_load_relaxed(&w->nudge) & THRUMI_NUDGE_RETIRE)) return NULL; /* see idle.c */
  if (thrumi_unlikely(thrumi_load_relaxed(&thrumi_sched.global.count))) fetch(w);
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_EXPLORE))) return pick_chosen(w);
  if (thrumi_unlikely(thrumi_load_relaxed(&thrumi_sched.hogs_waiting.count)) && thrumi_is_short()) {
    struct thrumi_thread *t = pop_stopped(w);
    if (t) return begin_slice(w, t);
  }
  if (thrumi_unlikely(thrumi_load_relaxed(&w->nudge))) {
    struct thrumi_thread *t = pick_nudged(w);
    if (t) return begin_slice(w, t);
  }
  struct thrumi_thread *next = thrumi_load_relaxed(&w->next);
  if (next) {
    thrumi_store(&w->next, NULL); /* behind the count of who yields to it: see anything_waits in monitor.c */
    return next;
  }
  if (thrumi_unlikely(thrumi_load_relaxed(&w->turn) % THRUMI_FAIR_TURNS == THRUMI_FAIR_TURNS - 1))
    return begin_slice(w, pick_fair(w));
  return begin_slice(w, pick_class(w));
}

/* ---- Sharing ----------------------------------------------------------------------------------------- */

/* The thread that a worker gives away first: the oldest never run, whose work is the largest in a recursion. */
static struct thrumi_thread *pop_for_others(struct thrumi_worker *w, enum thrumi_class *klass) {
  static const enum thrumi_class order[] = {THRUMI_CLASS_NEW, THRUMI_CLASS_READY, THRUMI_CLASS_WOKEN};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    struct thrumi_thread *t = thrumi_queue_pop(&w->queues, order[i]);
    *klass = order[i];
    if (t) return t;
  }
  return NULL;
}

void thrumi_pour_out(struct thrumi_worker *w) {
  queue_next(w);
  enum thrumi_class klass;
  for (struct thrumi_thread *t; (t = pop_for_others(w, &klass));) thrumi_push_global(t, klass);
}

/* Half of what lies on the worker's queues, a batch at most. */
static uint32_t half(const struct thrumi_worker *w) {
  uint32_t n = (thrumi_load_relaxed(&w->queues.count) + 1) / 2;
  return n < BATCH ? n : BATCH;
}

/* Gives up to n threads to the others: all kinds, or only those that never ran. */
static void give(struct thrumi_worker *w, uint32_t n, bool woken) {
  enum thrumi_class klass;
  w->lent = 0;
  thrumi_spin_lock(&thrumi_sched.lock);
  for (; n && (woken || w->queues.of[THRUMI_CLASS_NEW].head); n--) {
    struct thrumi_thread *t = pop_for_others(w, &klass);
    if (!t) break;
    append_global_locked(t, klass);
    w->lent += klass != THRUMI_CLASS_NEW;
  }
  thrumi_spin_unlock(&thrumi_sched.lock);
  thrumi_wake_idle();
  tell_of_move(w);
}

void thrumi_share(struct thrumi_worker *w) {
  uint32_t n = half(w);
  if (n) give(w, n, true);
}

/* The bell, read after what was pushed before: who sets it issues membarrier. */
static uint32_t read_bell(void) {
  atomic_signal_fence(memory_order_seq_cst);
  uint32_t bell = thrumi_load(&thrumi_sched.bell);
  if (thrumi_likely(!(bell & THRUMI_BELL_FENCE))) return bell;
  atomic_thread_fence(memory_order_seq_cst);
  return thrumi_load(&thrumi_sched.bell) & ~(uint32_t)THRUMI_BELL_FENCE;
}

void thrumi_ring(struct thrumi_worker *w) {
  uint32_t bell = read_bell();
  if (thrumi_likely(!bell)) return;
  if (bell & (THRUMI_BELL_MONITOR - 1)) {
    if (w)
      thrumi_share(w);
    else
      thrumi_wake_idle();
  }
  if (bell & THRUMI_BELL_MONITOR) thrumi_monitor_rouse();
}

/* Whether the push is the one of 2^backoff that shares. */
static inline bool is_to_share(uint32_t *skip, const _Atomic uint32_t *backoff) {
  uint32_t bell = read_bell();
  if (thrumi_likely(!bell)) return false;
  if (bell & THRUMI_BELL_MONITOR) thrumi_monitor_rouse();
  if (!(bell & (THRUMI_BELL_MONITOR - 1))) return false;
  if (thrumi_likely(++*skip < 1u << thrumi_load_relaxed(backoff))) return false;
  *skip = 0;
  return true;
}

/* A thread that is spawned, does next to nothing and is joined costs less here than the lines of the cache that go to and
 * fro when another worker runs it, let alone waking that one. How long threads run is known only afterwards: so who took
 * never-run threads from others says how long they kept it busy, and while that is not worth it, sharing them grows
 * rarer. What lies longer is the monitor's to see, within a millisecond. */
void thrumi_ring_for_new(struct thrumi_worker *w) {
  if (thrumi_unlikely(is_to_share(&w->share_skip, &thrumi_sched.share_backoff)))
    give(w, half(w), !thrumi_leaves_woken());
}

/* The same for threads that have run, with a number of its own. Those that wake each other all the time are best left
 * together: what they hand over lies in one cache. */
static void ring_for_woken(struct thrumi_worker *w) {
  if (thrumi_unlikely(is_to_share(&w->lend_skip, &thrumi_sched.lend_backoff))) thrumi_share(w);
}

void thrumi_judge_sharing(int64_t ran, uint32_t threads) {
  learn(&thrumi_sched.share_backoff, BACKOFF_MOST, ran >= WORTH_WAKING + threads * WORTH_MOVING);
}

/* A chain of threads may keep two workers busy for long where one would be faster: so what counts is how long they ran
 * between two switches. */
void thrumi_judge_lending(int64_t ran, uint32_t switches, bool slept) {
  int64_t worth = slept ? WORTH_WAKING : WORTH_TAKING;
  learn(&thrumi_sched.lend_backoff, LEND_BACKOFF_MOST, ran >= worth + switches * WORTH_LENDING);
}

/* ---- Waking ------------------------------------------------------------------------------------------ */

/* A run-next hand-off usually runs within microseconds, when the giver parks; waking an idle worker for it each
 * time would cost more than it brings. So they are woken for every 2^backoff-th of these only, the backoff
 * growing while it proves useless (plunder, below, resets it); the monitor looks after what waits longer. */
static void ring_for_next(struct thrumi_worker *w) {
  uint32_t bell = read_bell();
  if (thrumi_likely(!bell)) return;
  if (bell & THRUMI_BELL_MONITOR) thrumi_monitor_rouse();
  if (bell % THRUMI_BELL_HUNGRY == 0 || w->wake_skip++ < (1u << w->wake_backoff)) return;
  w->wake_skip = 0;
  if (w->wake_backoff < BACKOFF_MOST) w->wake_backoff++;
  thrumi_wake_idle();
}

/* A woken thread lies on the global queue: somebody is to run it. */
static void call_for_woken(void) {
  if (thrumi_wake_idle()) return;
  bool asked = thrumi_load(&thrumi_sched.hogs) && thrumi_preempt_hog();
  if (!asked || thrumi_load(&thrumi_sched.bell) & THRUMI_BELL_MONITOR) thrumi_monitor_rouse();
}

/* From outside of any worker: the monitor, a foreign thread, a worker that is given back. */
static void make_ready_globally(struct thrumi_thread *t) {
  thrumi_push_global(t, THRUMI_CLASS_WOKEN);
  call_for_woken();
}

/* A hog that waits for its turn has something that a thread wants which is no hog: it goes before the hogs, as a woken
 * thread does. */
void thrumi_boost(struct thrumi_thread *t) {
  struct thrumi_queue *hogs = &thrumi_sched.hogs_waiting.of[THRUMI_CLASS_HOG];
  if (thrumi_load_relaxed(&t->queue) != hogs) return;
  thrumi_spin_lock(&thrumi_sched.lock);
  bool there = thrumi_load_relaxed(&t->queue) == hogs;
  if (there) {
    thrumi_queue_remove(&thrumi_sched.hogs_waiting, hogs, t);
    t->hog = false; /* or it would be put back */
    append_global_locked(t, THRUMI_CLASS_WOKEN);
  }
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (there) call_for_woken();
}

void thrumi_make_ready(struct thrumi_thread *t) {
  struct thrumi_kthread *k = thrumi_self();
  thrumi_set_state(t, THRUMI_READY);
  struct thrumi_worker *w = k ? k->worker : NULL;
  if (thrumi_unlikely(!w)) {
    make_ready_globally(t);
    return;
  }
  struct thrumi_thread *former = thrumi_load_relaxed(&w->next);
  thrumi_store_relaxed(&w->next, t);
  if (former) {
    thrumi_queue_append(&w->queues, former, THRUMI_CLASS_WOKEN);
    ring_for_woken(w);
  } else {
    ring_for_next(w);
  }
  if (thrumi_unlikely(thrumi_load_relaxed(&w->hog))) thrumi_preempt_self(k);
}

void thrumi_make_ready_in_line(struct thrumi_thread *t) {
  struct thrumi_kthread *k = thrumi_self();
  thrumi_set_state(t, THRUMI_READY);
  struct thrumi_worker *w = k ? k->worker : NULL;
  if (thrumi_unlikely(!w)) {
    make_ready_globally(t);
    return;
  }
  thrumi_queue_append(&w->queues, t, THRUMI_CLASS_READY);
  ring_for_woken(w);
}

/* ---- Stealing ---------------------------------------------------------------------------------------- */

static uint32_t ready_on(struct thrumi_worker *w) {
  return thrumi_load_relaxed(&w->queues.count) + (thrumi_load_relaxed(&w->next) != NULL);
}

/* Takes half of what a revoked worker has, a batch at most, its run-next thread only when there is nothing else. */
static uint32_t plunder(struct thrumi_worker *prey, struct thrumi_worker *thief) {
  uint32_t want = half(prey), got = 0;
  enum thrumi_class klass;
  for (struct thrumi_thread *t; got < want && (t = pop_for_others(prey, &klass)); got++)
    thrumi_queue_append(&thief->queues, t, klass);
  if (!got && thrumi_load_relaxed(&prey->next)) {
    thrumi_queue_append(&thief->queues, thrumi_load_relaxed(&prey->next), THRUMI_CLASS_WOKEN);
    thrumi_store_relaxed(&prey->next, NULL);
    prey->wake_backoff = 0; /* waking for it was right */
    got = 1;
  }
  return got;
}

static bool steal_from(struct thrumi_worker *prey, struct thrumi_worker *thief) {
  struct thrumi_kthread *k = thrumi_load(&prey->kthread);
  if (!k || !thrumi_lease_revoke(&k->lease)) return false;
  uint32_t got = k->worker == prey ? plunder(prey, thief) : 0;
  thrumi_lease_restore(&k->lease);
  if (got) thrumi_store_relaxed(&thief->steals, thrumi_load_relaxed(&thief->steals) + got);
  if (got) {
    thrumi_step(STEAL, steal, (struct thrumi_thread *)NULL, got, 0);
    tell_of_move(thief);
  }
  return got != 0;
}

/* Asks the prey to share; it answers at its next call of the runtime by pushing to the global queue. */
static bool ask(struct thrumi_worker *prey) {
  struct thrumi_kthread *k = thrumi_load(&prey->kthread);
  if (!k || thrumi_load(&k->lease.attention) & (THRUMI_SHARE | THRUMI_LOST)) return false;
  thrumi_or(&k->lease.attention, THRUMI_SHARE);
  for (int i = 0; i < ANSWER_SPINS; i++) {
    if (thrumi_load_relaxed(&thrumi_sched.global.count)) return true;
    if (!(thrumi_load_relaxed(&k->lease.attention) & THRUMI_SHARE)) break;
    thrumi_pause();
  }
  return thrumi_load_relaxed(&thrumi_sched.global.count) != 0;
}

/* What was woken and has not lain long is better left where it is, while that was not worth moving. */
static bool leaves(const struct thrumi_worker *prey) {
  return thrumi_leaves_woken() && !thrumi_load_relaxed(&prey->lies);
}

bool thrumi_steal(struct thrumi_worker *thief) {
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 1; i < workers; i++) {
    struct thrumi_worker *prey = thrumi_load(&thrumi_sched.worker[(thief->id + i) % workers]);
    if (!prey || prey == thief || !ready_on(prey) || thrumi_load_relaxed(&prey->idle)) continue;
    if (leaves(prey)) continue;
    if (thrumi_load_relaxed(&prey->queues.count) && ask(prey)) return true;
    if (steal_from(prey, thief)) return true;
  }
  return false;
}

/* Takes threads from workers that have not switched since `switches` was read: their threads went on computing. */
bool thrumi_steal_from_computing(struct thrumi_worker *thief, const uint32_t *switches) {
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 0; i < workers; i++) {
    struct thrumi_worker *prey = thrumi_load(&thrumi_sched.worker[i]);
    if (!prey || prey == thief || !ready_on(prey) || thrumi_load_relaxed(&prey->idle)) continue;
    if (thrumi_load_relaxed(&prey->switches) != switches[i % THRUMI_SEEN_WORKERS]) continue;
    if (steal_from(prey, thief)) return true;
  }
  return false;
}
