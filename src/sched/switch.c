/* From one context to another, and a worker from one kernel thread to another.
 *
 * A light thread that stops picks its successor itself and switches to it directly; only when there is none, or
 * when it owns a kernel thread, the kthread's scheduler context (on its native stack) takes over. Everything
 * here runs inside. What was switched away from is published only by the one that runs next: until then
 * its stack is in use. A thread that waits is moved from ARMED to PARKED there; one that yielded lies on a private queue,
 * which nobody else may touch before `inside` is 0 again. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <core/fatal.h>
#include <sched.h>
#include <sched/queue.h>
#include <core/sanitize.h>
#include <sched/alarm.h>
#include <sched/self.h>
#include <sched/step.h>

enum { INHERITED_FRAMES = 1024 }; /* bytes at a stack's top that thrumi_thread_main's own frames may take */

/* ---- Switching stacks ---------------------------------------------------------------------------------- */

#if THRUMI_TSAN
/* A thread's context as ThreadSanitizer knows it, made when it first runs. Whoever makes one comes before it, so it is
 * made from the scheduler's context, which has seen nothing of the program's threads. */
static bool make_fiber(struct thrumi_kthread *k, struct thrumi_thread *t) {
  if (!thrumi_os_map_afresh(t->stack.low, t->stack.size)) return false;
  void *current = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(k->fiber, THRUMI_TSAN_NO_SYNC);
  t->fiber = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(current, THRUMI_TSAN_NO_SYNC);
  return true;
}
#endif

/* First thing on every context that was switched to: publishes who was switched away from, whose context is
 * saved only now. */
static inline void after_switch(void) {
  struct thrumi_kthread *k = thrumi_self();
#if THRUMI_TSAN
  if (k->dead_fiber) __tsan_destroy_fiber(k->dead_fiber);
  k->dead_fiber = NULL;
#endif
  struct thrumi_thread *left = k->parked;
  if (left) {
    k->parked = NULL;
    if (thrumi_unlikely(!thrumi_wait_park(&left->wait, k->parked_ticket))) thrumi_make_ready(left);
  }
  if (thrumi_unlikely(k->yielded_hog != NULL)) {
    thrumi_push(k->worker, k->yielded_hog, THRUMI_CLASS_HOG);
    k->yielded_hog = NULL;
    thrumi_ring(NULL);
  }
}

/* What C libraries keep a kernel thread follows the light thread. */
static inline void save_library_state(const struct thrumi_kthread *k, struct thrumi_thread *t) {
  t->saved_errno = *k->errno_address;
  if (!k->cxa) return;
  t->cxa[0] = k->cxa[0];
  t->cxa[1] = k->cxa[1];
}

static inline void load_library_state(const struct thrumi_kthread *k, const struct thrumi_thread *t) {
  *k->errno_address = t->saved_errno;
  if (!k->cxa) return;
  k->cxa[0] = t->cxa[0];
  k->cxa[1] = t->cxa[1];
}

static inline void note_hog(struct thrumi_worker *w, struct thrumi_thread *to) {
  bool hog = to && to->hog;
  if (thrumi_likely(thrumi_load_relaxed(&w->hog) == hog)) return;
  thrumi_store_relaxed(&w->hog, hog);
  thrumi_add(&thrumi_sched.hogs, hog ? 1u : -1u);
  if (hog) thrumi_bump(&w->hog_turns);
}

void thrumi_remain_hog(struct thrumi_kthread *k) {
  if (!k->worker) return;
  k->current->hog = true;
  note_hog(k->worker, k->current);
}

/* From here on k runs `to`. */
static inline void begin(struct thrumi_kthread *k, struct thrumi_thread *to) {
  thrumi_become(k, to);
  thrumi_store_relaxed(&k->asked, 0); /* a preemption on its way was meant for the former one */
  thrumi_set_state(to, THRUMI_RUNNING);
  thrumi_bump(&k->worker->switches);
  note_hog(k->worker, to);
  thrumi_step(RUN, run, to, 0, 0);
}

static inline void switch_stack(struct thrumi_kthread *k, struct thrumi_thread *to, void **save) {
#if THRUMI_TSAN
  __tsan_switch_to_fiber(to ? to->fiber : k->fiber, THRUMI_TSAN_NO_SYNC);
#endif
#if THRUMI_ASAN
  void *fake = NULL;
  __sanitizer_start_switch_fiber(save == &k->abandoned_sp ? NULL : &fake, to ? to->stack.low : k->native_low,
                                 to ? to->stack.size : k->native_size);
#endif
  thrumi_switch(save, to ? to->sp : k->scheduler_sp);
#if THRUMI_ASAN
  __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
  after_switch();
}

/* From one light thread to another one, without what THRUMI_MODE_TRACE and hogs need. */
static inline void switch_light(struct thrumi_kthread *k, struct thrumi_worker *w, struct thrumi_thread *from,
                                struct thrumi_thread *to) {
  save_library_state(k, from);
  load_library_state(k, to);
  thrumi_become(k, to);
  thrumi_store_relaxed(&k->asked, 0);
  thrumi_set_state(to, THRUMI_RUNNING);
  thrumi_bump(&w->switches);
  THRUMI_PROBE(run, to, 0);
  switch_stack(k, to, &from->sp);
}

/* Goes from the context of `from` (NULL: one that needs no keeping) to that of `to`; NULL is the scheduler context of
 * k. *save gets the stack pointer that is left. */
static void switch_context(struct thrumi_kthread *k, struct thrumi_thread *from, struct thrumi_thread *to,
                           void **save) {
  if (from) save_library_state(k, from);
  if (to) {
    load_library_state(k, to);
    begin(k, to);
  } else {
    thrumi_store_relaxed(&k->current, NULL);
  }
  switch_stack(k, to, save);
}

/* Gives a thread that never ran its stack. False: no memory. */
static bool bind_stack(struct thrumi_worker *w, struct thrumi_thread *t) {
  if (!t->stack.low && thrumi_take_stack(w, (size_t)1 << t->stack_bits, &t->stack) != 0) return false;
#if THRUMI_TSAN
  if (!make_fiber(thrumi_self(), t)) return false;
#endif
  t->cxa[0] = t->cxa[1] = 0;
  t->sp = thrumi_frame_make(t->stack.low, t->stack.size);
#if THRUMI_ASAN
  __asan_unpoison_memory_region(t->stack.low, t->stack.size);
#endif
  return true;
}

/* Whether `to` can be switched to on this kernel thread. */
static inline bool runs_here(struct thrumi_kthread *k, struct thrumi_thread *to) {
  return to && !to->kthread && (to->sp || bind_stack(k->worker, to));
}

/* Leaves the context of the light thread `from` for the next one's. */
static void switch_away(struct thrumi_kthread *k, struct thrumi_thread *from) {
  if (thrumi_unlikely(k->captured)) thrumi_uncapture(k, from);
  struct thrumi_thread *to = thrumi_pick(k->worker);
  if (thrumi_likely(runs_here(k, to))) {
    switch_context(k, from, to, &from->sp);
  } else {
    k->found = to;
    switch_context(k, from, NULL, &from->sp);
  }
}

/* Whether the thread's context cannot leave its kernel thread. */
static bool is_tied(const struct thrumi_kthread *k, const struct thrumi_thread *t) {
  return k->role == THRUMI_ROLE_OWNED || t->pins > 0;
}

/* ---- Handing workers over ------------------------------------------------------------------------------ */

void thrumi_hand_over(struct thrumi_worker *w, struct thrumi_kthread *to) {
  to->worker = w;
  thrumi_store_relaxed(&to->asked, 0);
  if (to->current) {
    thrumi_set_state(to->current, THRUMI_RUNNING);
    thrumi_bump(&w->switches);
    note_hog(w, to->current);
    thrumi_step(RUN, run, thrumi_running_on(to), 0, w->id + 1);
  }
  if (thrumi_load(&to->lease.attention) & THRUMI_LOST) {
    to->released = false;
    thrumi_and(&to->lease.attention, ~(uint32_t)THRUMI_LOST);
    thrumi_add(&thrumi_sched.lost, -1u);
  }
  thrumi_store(&w->kthread, to);
  thrumi_swap(&to->given, 1);
  thrumi_os.futex_wake(&to->given, 1);
}

/* The same, by a kernel thread that is about to sleep. Left alone, the kernel may put `to` on a CPU where a hog runs, and
 * let it wait there for a tick of 4 ms although this CPU is about to be free: it takes short slices as a reason to
 * preempt only from who has slept long enough. So `to` is brought here, and may roam again as soon as it runs. */
static void hand_over_here(struct thrumi_worker *w, struct thrumi_kthread *to) {
  if (to->role == THRUMI_ROLE_SCHEDULER) {
    to->brought = true;
    thrumi_os_bring_here(to->tid);
  }
  thrumi_hand_over(w, to);
}

void thrumi_wait_given(struct thrumi_kthread *k) {
  thrumi_store(&k->resting, true);
  while (!thrumi_load(&k->given)) thrumi_os.futex_wait(&k->given, 0, INT64_MAX);
  thrumi_store(&k->resting, false);
  thrumi_store(&k->given, 0);
  if (k->brought) {
    k->brought = false;
    thrumi_os_roam();
  }
}

/* Takes the worker off the caller's kernel thread. Only after that may the thread be queued where others see
 * it: they would hand it the next worker at once. */
static struct thrumi_worker *let_go(struct thrumi_kthread *k) {
  struct thrumi_worker *w = k->worker;
  k->worker = NULL;
  note_hog(w, NULL);
  return w;
}

/* The worker goes on with a spare. Invariant S says that there is one. */
static void pass_on(struct thrumi_worker *w) {
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *spare = thrumi_spare_pop_locked();
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (!spare) thrumi_fatal("no kernel thread is left to carry worker %u: this is a bug of thrum's", w->id);
  hand_over_here(w, spare);
}

void thrumi_surrender(struct thrumi_kthread *k) { pass_on(let_go(k)); }

bool thrumi_may_capture_locked(void) {
  uint32_t workers = thrumi_load_relaxed(&thrumi_sched.workers);
  uint32_t held = thrumi_load_relaxed(&thrumi_sched.held);
  if (workers < held) workers = held;
  return thrumi_load_relaxed(&thrumi_sched.schedulers) >
         thrumi_load_relaxed(&thrumi_sched.captured) + workers;
}

bool thrumi_is_short(void) {
  return !thrumi_may_capture_locked() && !thrumi_load_relaxed(&thrumi_sched.barren);
}

bool thrumi_capture(struct thrumi_kthread *k, struct thrumi_thread *t) {
  if (k->role != THRUMI_ROLE_SCHEDULER) return true;
  if (!k->captured) {
    thrumi_spin_lock(&thrumi_sched.lock);
    bool allowed = thrumi_may_capture_locked();
    if (allowed)
      thrumi_store_relaxed(&thrumi_sched.captured, thrumi_load_relaxed(&thrumi_sched.captured) + 1);
    thrumi_spin_unlock(&thrumi_sched.lock);
    if (!allowed) return false;
    k->captured = true;
  }
  t->kthread = k;
  return true;
}

/* Kernel threads of the program's own keep the slice that they came with. */
static void set_slice(struct thrumi_kthread *k, bool is_long) {
  if (k->role != THRUMI_ROLE_SCHEDULER || k->long_slice == is_long) return;
  k->long_slice = is_long;
  thrumi_os_short_slice(is_long ? 0 : THRUMI_SHORT_SLICE);
}

void thrumi_uncapture(struct thrumi_kthread *k, struct thrumi_thread *t) {
  set_slice(k, false);
  if (t) t->kthread = NULL;
  k->captured = false;
  thrumi_spin_lock(&thrumi_sched.lock);
  thrumi_store_relaxed(&thrumi_sched.captured, thrumi_load_relaxed(&thrumi_sched.captured) - 1);
  thrumi_spin_unlock(&thrumi_sched.lock);
}

/* A thread that ran without its worker asks for one. It owns its kernel thread: it was captured when the
 * worker went. */
void thrumi_regain(struct thrumi_kthread *k) {
  struct thrumi_thread *t = k->current;
  thrumi_set_state(t, THRUMI_READY);
  thrumi_step(REGAIN, regain, t, 0, 0);
  thrumi_push_global(t, t->hog ? THRUMI_CLASS_HOG : THRUMI_CLASS_WOKEN);
  thrumi_ring(NULL);
  thrumi_wait_given(k);
}

/* ---- Stopping ------------------------------------------------------------------------------------------ */

/* The thread's context stays on its kernel thread: the worker goes, and comes back. */
void thrumi_yield_tied(struct thrumi_kthread *k, struct thrumi_thread *t, enum thrumi_class c) {
  struct thrumi_worker *w = let_go(k);
  thrumi_set_state(t, THRUMI_READY);
  t->kthread = k;
  thrumi_push(w, t, c);
  pass_on(w);
  if (c == THRUMI_CLASS_HOG) {
    thrumi_ring(NULL); /* any worker may take it */
    set_slice(k, true);
  }
  thrumi_wait_given(k);
}

void thrumi_yield_as(struct thrumi_kthread *k, enum thrumi_class c) {
  struct thrumi_thread *t = k->current;
  struct thrumi_worker *w = k->worker;
  if (!thrumi_somebody_waits(w) && !thrumi_load_relaxed(&w->nudge)) return;
  thrumi_step(YIELD, yield, t, 0, 0);
  if (thrumi_unlikely(is_tied(k, t))) {
    thrumi_yield_tied(k, t, c);
    return;
  }
  thrumi_ring(w); /* before t is on a queue: it must not be given to others while its stack is in use */
  thrumi_set_state(t, THRUMI_READY);
  if (thrumi_unlikely(k->captured)) thrumi_uncapture(k, t);
  if (thrumi_likely(c != THRUMI_CLASS_HOG)) thrumi_push(w, t, c);
  struct thrumi_thread *to = thrumi_pick(w);
  if (c == THRUMI_CLASS_HOG && to) k->yielded_hog = t;
  if (to == t || (c == THRUMI_CLASS_HOG && !to)) {
    thrumi_set_state(t, THRUMI_RUNNING);
    thrumi_step(RUN, run, t, 0, 0);
  } else if (thrumi_likely(runs_here(k, to))) {
    switch_context(k, t, to, &t->sp);
  } else {
    k->found = to;
    switch_context(k, t, NULL, &t->sp);
  }
}

/* Among very many threads that take turns, whoever is next was last touched long ago: its stack, and the record of the one
 * behind it, are on their way from memory while this one runs. `next` itself was fetched so one switch ago. */
static inline void fetch_ahead(const struct thrumi_thread *next) {
  __builtin_prefetch(next->next);
  __builtin_prefetch(next->sp);
  __builtin_prefetch((const char *)next->sp + 64);
}

/* A yield as most are: from one light thread to another, and nothing else is wanted of this worker. It does what
 * thrumi_yield_as does, which is not asked for what cannot be so here. Says whether it was one. */
static inline bool yield_plainly(struct thrumi_kthread *k, struct thrumi_worker *w, struct thrumi_thread *t) {
  struct thrumi_thread *to = w->queues.of[THRUMI_CLASS_READY].head;
  if (thrumi_unlikely(k->role | k->captured | thrumi_load_relaxed(&w->hog)) || !thrumi_is_plain(w))
    return false;
  if (thrumi_unlikely(!to || to->kthread || !to->sp || !thrumi_queue_rotate(&w->queues, t))) return false;
  fetch_ahead(w->queues.of[THRUMI_CLASS_READY].head);
  thrumi_bump(&w->turn);
  THRUMI_PROBE(yield, t, 0);
  thrumi_set_state(t, THRUMI_READY);
  switch_light(k, w, t, to);
  return true;
}

void thrum_yield(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_worker *w = k->worker;
  if (thrumi_unlikely(!w)) {
    thrumi_leave(k);
    sched_yield();
    return;
  }
  struct thrumi_thread *t = k->current;
  t->hog = false;
  if (thrumi_unlikely(!yield_plainly(k, w, t))) thrumi_yield_as(k, THRUMI_CLASS_READY);
  thrumi_leave(thrumi_self());
}

/* Suspends the armed thread t until its wait is claimed. */
void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  thrumi_set_state(t, THRUMI_WAITING);
  t->hog = false;
  if (thrumi_likely(!is_tied(k, t))) {
    k->parked = t;
    k->parked_ticket = ticket;
    switch_away(k, t);
    return;
  }
  t->kthread = k;
  thrumi_surrender(k);
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  thrumi_wait_given(k);
}

/* ---- The scheduler context ----------------------------------------------------------------------------- */

/* Hands the worker to the kernel thread that t owns; this one becomes a spare, first, so that invariant S can
 * be seen to hold at every moment. */
static void resume_owner(struct thrumi_kthread *k, struct thrumi_thread *t) {
  struct thrumi_worker *w = k->worker;
  k->worker = NULL;
  thrumi_spin_lock(&thrumi_sched.lock);
  thrumi_spare_push_locked(k);
  thrumi_spin_unlock(&thrumi_sched.lock);
  hand_over_here(w, t->kthread);
}

/* From the scheduler context. False: k has given its worker away. What k->worker says is not the same: a spare may be
 * handed the next worker before it sleeps. */
static bool run(struct thrumi_kthread *k, struct thrumi_thread *t) {
  if (t->kthread) {
    resume_owner(k, t);
    return false;
  }
  if (runs_here(k, t)) {
    switch_context(k, NULL, t, &k->scheduler_sp);
    note_hog(k->worker, NULL);
  } else {
    begin(k, t);
    thrumi_thread_finish(t, thrumi_alarm_put_off(t) ? 0 : -ENOMEM);
    thrumi_store_relaxed(&k->current, NULL);
  }
  return true;
}

/* Before a hog gets a whole interval: has somebody been woken who goes first? The last thread here may just have written what
 * another one waits to read. True: the hog is queued again. */
static bool is_outrun(struct thrumi_kthread *k, struct thrumi_thread *hog) {
  struct thrumi_worker *w = k->worker;
  if (w->owed) { /* it is its turn, and it has its interval undisturbed */
    w->owed = false;
    thrumi_store(&w->wakeup_preempted, thrumi_os.now() + thrumi_load_relaxed(&thrumi_sched.interval));
    return false;
  }
  thrumi_poll_now();
  if (!thrumi_woken_wait(w)) return false; /* with those that never ran it takes turns: its turn it is */
  thrumi_push_global(hog, THRUMI_CLASS_HOG);
  thrumi_ring(
      NULL); /* it was on no queue for a moment, in which a worker or the monitor may have gone to sleep */
  return true;
}

/* Returns when it is woken without a worker: a spare too many. */
void thrumi_scheduler_loop(struct thrumi_kthread *k) {
  for (;;) {
    thrumi_wait_given(k);
    if (!k->worker) return;
    for (bool holds = true; holds;) {
      struct thrumi_thread *t = k->found;
      k->found = NULL;
      if (!t) t = thrumi_find_work(k);
      if (t && t->hog && is_outrun(k, t)) continue;
      holds = t && run(k, t);
    }
  }
}

/* ---- A thread's life on its stack ---------------------------------------------------------------------- */

/* Whether the stack of a thread that ended can serve `to` without a switch: it never ran and wants one of this
 * size. Most short threads begin so, on a stack that is warm. */
static bool inherits_stack(const struct thrumi_thread *to, const struct thrumi_stack *stack) {
  if (THRUMI_TSAN || !to || to->kthread || to->sp || thrumi_sched.clean_stacks) return false;
  return stack->size == (size_t)1 << to->stack_bits;
}

static void inherit_stack(struct thrumi_kthread *k, struct thrumi_thread *to, struct thrumi_stack stack) {
  to->stack = stack;
  to->cxa[0] = to->cxa[1] = 0;
#if THRUMI_ASAN
  __asan_unpoison_memory_region(stack.low, stack.size - INHERITED_FRAMES);
#endif
  thrumi_control_reset();
  load_library_state(k, to);
  begin(k, to);
}

/* Leaves the stack of a thread that ended, for good. */
static THRUM_NORETURN void abandon_stack(struct thrumi_kthread *k, struct thrumi_stack stack, void *fiber,
                                         struct thrumi_thread *to) {
  if (!runs_here(k, to)) { /* before the stack goes to the cache: `to` must not be bound to it */
    k->found = to;
    to = NULL;
  }
  thrumi_stack_give(&k->worker->stacks, &stack);
  k->dead_fiber = fiber;
  thrumi_ignore_end();
  switch_context(k, NULL, to, &k->abandoned_sp);
  __builtin_unreachable();
}

/* The same for a bound thread: its kernel thread goes on natively, and ends. */
static THRUM_NORETURN void leave_bound(struct thrumi_kthread *k, struct thrumi_stack stack, void *fiber) {
  k->bound_stack = stack;
  k->dead_fiber = fiber;
  thrumi_ignore_end();
  switch_context(k, NULL, NULL, &k->abandoned_sp);
  __builtin_unreachable();
}

void thrumi_run_bound(struct thrumi_kthread *k) {
  struct thrumi_thread *t = thrumi_running_on(k);
  bind_stack(k->worker, t); /* it has one since its birth: only the first frame is made */
  switch_context(k, NULL, t, &k->scheduler_sp);
  thrumi_stack_give(NULL, &k->bound_stack);
}

void thrumi_thread_main(void) {
#if THRUMI_ASAN
  __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
  thrumi_ignore_begin();
  after_switch();
  thrumi_rely_on(thrumi_running_on(thrumi_self()));
  for (;;) {
    struct thrumi_kthread *k = thrumi_self();
    struct thrumi_thread *t = k->current;
    thrumi_leave(k);
    if (thrumi_unlikely(t->kind == THRUMI_BOUND)) thrumi_name_show(t);
    intptr_t result = thrumi_thread_call(t);
    k = thrumi_enter();
    struct thrumi_stack stack = t->stack;
    void *fiber = t->fiber;
    thrumi_thread_finish(t, result);
    k = thrumi_self();
    if (thrumi_unlikely(k->role == THRUMI_ROLE_OWNED)) leave_bound(k, stack, fiber);
    if (thrumi_unlikely(k->captured)) thrumi_uncapture(k, NULL); /* its record may be another's by now */
    struct thrumi_thread *to = thrumi_pick(k->worker);
    if (!inherits_stack(to, &stack)) abandon_stack(k, stack, fiber, to);
    inherit_stack(k, to, stack);
  }
}
