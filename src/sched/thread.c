/* Threads run, end, and are waited for. How they begin is in spawn.c.
 *
 * Joining a thread that never ran, and lies on the caller's own queue, runs it there and then as a guest on the
 * joiner's stack: the joiner could do nothing else anyway, and fork-join recursion goes depth first. The guest may
 * park or be preempted there like any thread; the joiner's frames below wait for it. It is done only while
 * at least seven eighths of the stack are free, so a guest has that much for sure.
 *
 * The end. FINISHED is the last thing that a thread's runtime does to its record unless the handle was given back
 * before (RELEASED): then it frees the record itself. See enum thrumi_life. */
#include <arch/arch.h>
#include <core/fatal.h>
#include <sched/await.h>
#include <sched/exit.h>
#include <sched/part.h>
#include <sched/queue.h>
#include <sched/self.h>
#include <sched/step.h>
#include <sched/tree.h>
#include <stdio.h>
#include <string.h>
#include <thrum/time.h>

enum { STACK_SHARE = 8 };

/* Its function has returned: what it opened lay in frames that are gone. */
void thrumi_check_closed(struct thrumi_thread *t, const struct thrumi_scope *scopes,
                         const struct thrum_cleanup *cleanups) {
  bool open = thrumi_load_relaxed(&t->scopes) != scopes;
  if (thrumi_likely(!open && t->cleanups == cleanups)) return;
  char name[THRUM_NAME_MAX];
  thrumi_name_own(t, name, sizeof name);
  thrumi_fatal("thread %s has ended with a %s", name, open ? "scope open" : "clean-up handler left");
}

static inline intptr_t call_once(struct thrumi_thread *t) {
  intptr_t result = thrumi_call(t->fn, t->arg, &t->exit_mark);
  if (thrumi_unlikely(t->scoped & THRUMI_OPENER)) thrumi_check_closed(t, NULL, NULL);
  return result;
}

/* Calls its function. The child of a fork goes on as main on whatever stack it was forked: it never returns
 * to the runtime that was there. */
intptr_t thrumi_thread_call(struct thrumi_thread *t) {
  intptr_t result = call_once(t);
  while (thrumi_unlikely(t->scoped & THRUMI_RESTARTS) && thrumi_load(&thrumi_hooks.scope_restarts)(t, result))
    result = call_once(t);
  if (thrumi_unlikely(t->kind == THRUMI_MAIN)) thrumi_exit_main(result);
  return result;
}

/* ---- Ending ------------------------------------------------------------------------------------------------------ */

static void print_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  char name[THRUM_NAME_MAX];
  if (thrum_name(t, name, sizeof name) < 0) name[0] = 0;
  thrumi_log("thread %s failed: %s%s%s", name, strerror((int)-failure), *sentence ? ": " : "", sentence);
}

_Atomic(thrum_uncaught_fn *) thrumi_uncaught = print_uncaught;

thrum_uncaught_fn *thrum_on_uncaught(thrum_uncaught_fn *hook) {
  thrum_uncaught_fn *former = thrumi_swap(&thrumi_uncaught, hook ? hook : print_uncaught);
  return former == print_uncaught ? NULL : former;
}

/* Outside: frees what a record owns beside itself. Its thread has ended, nobody else has the handle. */
static void free_extras(struct thrumi_thread *t) {
  thrumi_name_free(thrumi_name_detach(t));
  if (t->sentence) thrumi_os.free(t->sentence);
  if (t->joined_sentence) thrumi_os.free(t->joined_sentence);
  if (t->copy) thrumi_os.free(t->copy);
  thrumi_locals_free(t);
  t->sentence = t->joined_sentence = NULL;
  t->copy = NULL;
  thrumi_store_relaxed(&t->extras, false);
}

/* Frees the record, which is FINISHED and RELEASED by now; inside, leaves while libc's free is called. The load is ordered behind
 * that change: somebody may be giving it a name (name.c). */
static inline void bury(struct thrumi_thread *t) {
  struct thrumi_kthread *k = thrumi_self();
  if (thrumi_unlikely(thrumi_load(&t->extras))) {
    thrumi_leave(k);
    free_extras(t);
    k = thrumi_enter();
  }
  thrumi_tree_settle(t);
  thrumi_record_free(k->worker, t);
}

static void wake_joiners(struct thrumi_thread *t) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->life);
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, &t->life));) thrumi_let_go(bucket, w, 0);
  thrumi_bucket_unlock(bucket);
}

/* The user's code that runs at a thread's end: destructors, the uncaught hook. Outside. */
static void last_rites(struct thrumi_thread *t, intptr_t result) {
  thrumi_locals_destroy(t);
  if (!thrum_failed(result)) return;
  if (t->scoped & THRUMI_MEMBER)
    thrumi_member_failed(t, result);
  else if (thrumi_or(&t->life, (uint64_t)THRUMI_UNREAD) & THRUMI_RELEASED)
    thrumi_tell_uncaught(t, result, t->sentence);
}

/* Marks the end with `flags`, leaving its scope, and wakes who waits for it. Returns the flags before. */
static inline uint64_t mark_finished(struct thrumi_thread *t, uint64_t flags) {
  thrumi_announce(&t->life);
  bool member = t->scoped & THRUMI_MEMBER;
  uint64_t before = thrumi_unlikely(member) ? thrumi_scope_quit(t, flags) : thrumi_or(&t->life, flags);
  if (thrumi_unlikely(before & THRUMI_WAITED)) wake_joiners(t);
  return before;
}

static inline void conclude(struct thrumi_thread *t, intptr_t result) {
  t->result = result;
  thrumi_set_state(t, THRUMI_ENDED);
  if (thrumi_unlikely(thrumi_load_relaxed(&t->extras) || thrum_failed(result))) {
    thrumi_leave(thrumi_self());
    last_rites(t, result);
    thrumi_enter();
  }
  THRUMI_TRACE(NAME, t, 0, 0, 0);
  t->stack.low = NULL;
}

void thrumi_thread_drop(struct thrumi_thread *t) {
  mark_finished(t, THRUMI_FINISHED | THRUMI_RELEASED);
  bury(t);
}

/* Main has returned, or called thrum_exit: for those who wait for it, it has ended. */
void thrumi_main_ends(intptr_t result) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_sched.main->result = result;
  THRUMI_TRACE(RETURN, thrumi_sched.main, 0, 0, 0);
  mark_finished(thrumi_sched.main, THRUMI_FINISHED);
  thrumi_leave(k);
}

/* END is traced as the last thing, since in a burial the thread may lose its worker once more. Its record is another's by then. */
void thrumi_thread_finish(struct thrumi_thread *t, intptr_t result) {
  conclude(t, result);
  uint64_t id = thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE)) ? thrumi_id_of(t) : 0;
  struct thrumi_kthread *k = thrumi_self();
  if (thrumi_unlikely(k->captured)) thrumi_uncapture(k, t); /* the last touch of t->kthread */
  if (mark_finished(t, THRUMI_FINISHED) & THRUMI_RELEASED) bury(t);
  THRUMI_PROBE(end, t, 0);
  if (thrumi_unlikely(id)) thrumi_trace(THRUMI_EVENT_END, id, 0, 0);
}

/* The others would work on at what is on its stack, or wait for it for ever. */
static _Noreturn void fail_in_loop(const struct thrumi_thread *t) {
  char name[THRUM_NAME_MAX];
  thrumi_name_own(t, name, sizeof name);
  thrumi_fatal("thrum_exit was called in a piece of a parallel loop, by %s; return from the piece instead",
               name);
}

void thrum_exit(intptr_t result) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  thrumi_leave(k);
  if (t->kind == THRUMI_FOREIGN) {
    char name[THRUM_NAME_MAX];
    thrumi_name_own(t, name, sizeof name);
    thrumi_fatal("thrum_exit was called in %s, a thread that thrum did not start; use pthread_exit there",
                 name);
  }
  if (t->in_loop) fail_in_loop(t);
  if (t->scoped & THRUMI_OPENER) thrumi_load (&thrumi_hooks.scope_exit)(t);
  if (t->kind == THRUMI_MAIN) thrumi_exit_main(result);
#if THRUMI_ASAN
  __asan_handle_no_return();
#endif
  thrumi_return(t->exit_mark, result);
}

intptr_t thrum_fail(int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *sentence = thrumi_sentence_make(format, args);
  va_end(args);
  char *former = sentence ? thrumi_sentence_swap(thrumi_me(), sentence) : NULL;
  if (former) thrumi_os.free(former);
  return thrumi_failure(code);
}

const char *thrum_failure(void) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  thrumi_leave(k);
  return t->joined_sentence ? t->joined_sentence : "";
}

/* ---- Joining -------------------------------------------------------------------------------------------------------- */

/* In the bucket of its life word: says there that somebody waits. False: it has ended. */
static bool mark_waited(struct thrumi_thread *t, uint64_t generation) {
  uint64_t life = thrumi_load(&t->life);
  do {
    if (THRUMI_GENERATION(life) != generation || THRUMI_FLAGS(life) & THRUMI_FINISHED) return false;
  } while (!thrumi_cas(&t->life, &life, life | THRUMI_WAITED));
  return true;
}

/* Waits once. 0: look again. */
static int await_once(struct thrumi_thread *t, uint64_t generation, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->life);
  if (!mark_waited(t, generation)) {
    thrumi_bucket_unlock(bucket);
    return 0;
  }
  struct thrumi_waiter waiter;
  const void *handle = (const void *)(uintptr_t)(generation << THRUMI_LIFE_BITS | t->slot);
  return thrumi_wait_error(
      thrumi_await(bucket, &waiter, &t->life, "the end of thread", handle, deadline, flags | THRUMI_THREAD));
}

static bool has_ended(struct thrumi_thread *t, uint64_t generation) {
  uint64_t life = thrumi_load(&t->life);
  return THRUMI_GENERATION(life) != generation || THRUMI_FLAGS(life) & THRUMI_FINISHED;
}

/* Waits until the thread of that generation has ended. Inside; the deadline is absolute. A wake-up may have been
 * meant for the record's former generation, so it looks again. */
static int await_end(struct thrumi_thread *t, uint64_t generation, int64_t deadline, int flags) {
  int error = 0;
  while (!error && !has_ended(t, generation)) error = await_once(t, generation, deadline, flags);
  return error;
}

/* Main's handle stays: its record serves until the process ends. */
static int main_result(intptr_t *result) {
  if (result) *result = thrumi_sched.main->result;
  return 0;
}

/* Takes the handle of an ended thread. 0, or -ESRCH if somebody else did first. */
static int take_result(struct thrumi_thread *t, uint64_t generation, intptr_t *result) {
  if (t == thrumi_sched.main) return main_result(result);
  uint64_t life = thrumi_load(&t->life);
  intptr_t value;
  do {
    if (THRUMI_GENERATION(life) != generation || THRUMI_FLAGS(life) & THRUMI_RELEASED) return -ESRCH;
    value = t->result;
  } while (!thrumi_cas(&t->life, &life, life | THRUMI_RELEASED));
  if (result) *result = value;
  return 0;
}

/* The joiner inherits the sentence of the thread it joined. */
static inline void take_sentence(struct thrumi_thread *me, struct thrumi_thread *t) {
  if (thrumi_likely(!thrumi_load_relaxed(&me->extras) && !thrumi_load_relaxed(&t->extras))) return;
  if (!me->joined_sentence && !t->sentence) return;
  char *former = me->joined_sentence;
  me->joined_sentence = t->sentence;
  t->sentence = former; /* freed with the record */
  thrumi_store_relaxed(&me->extras, true);
  thrumi_store_relaxed(&t->extras, true);
}

/* Whether the caller may run t as a guest on its own stack. Not where who runs next is chosen by others, nor where stacks are measured. */
static inline bool can_host(struct thrumi_kthread *k, struct thrumi_thread *me, struct thrumi_thread *t) {
  struct thrumi_worker *w = k->worker;
  if (THRUMI_TSAN || !w || me->kind != THRUMI_LIGHT || me->pins || t->kthread) return false;
  if (thrumi_load_relaxed(&t->queue) != &w->queues.of[THRUMI_CLASS_NEW]) return false;
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_EXPLORE) || thrumi_sched.clean_stacks)) return false;
  const struct thrumi_stack *stack = &me->stack;
  size_t left = (size_t)((char *)__builtin_frame_address(0) - stack->low);
  bool fits = stack->size == (size_t)1 << t->stack_bits; /* never, if t has one already */
  return fits && left >= stack->size - stack->size / STACK_SHARE;
}

/* Runs t to its end on the caller's stack. Inside. */
static inline intptr_t host(struct thrumi_kthread *k, struct thrumi_thread *me, struct thrumi_thread *t) {
  thrumi_queue_remove(&k->worker->queues, &k->worker->queues.of[THRUMI_CLASS_NEW], t);
  thrumi_wait_for(me, "the end of its guest, thread", (const void *)(uintptr_t)thrumi_handle(t).value,
                  THRUMI_THREAD | THRUMI_HOSTS);
  thrumi_step_park(me);
  thrumi_set_state(me, THRUMI_WAITING);
  thrumi_store(&t->guest_of, me);
  t->stack = me->stack;
  t->kthread = me->kthread; /* tied as the joiner is by a preemption, if at all */
  thrumi_become(k, t);
  thrumi_set_state(t, THRUMI_RUNNING);
  thrumi_step(RUN, run, t, 0, 0);
  thrumi_leave(k);
  intptr_t result = thrumi_thread_call(t);
  k = thrumi_enter();
  conclude(t, result);
  thrumi_step_with(UNPARK, unpark, t, me, 0);
  thrumi_step(END, end, t, 0, 0);
  k = thrumi_self();
  me->kthread = t->kthread;
  thrumi_become(k, me);
  me->hog = t->hog;
  thrumi_store_relaxed(&me->waits_for, NULL);
  thrumi_set_state(me, THRUMI_RUNNING);
  thrumi_step(RUN, run, me, 0, 0);
  return result;
}

/* Joins t by running it. 0, or -ESRCH if another thread has joined it meanwhile. */
static inline int join_as_host(struct thrumi_kthread *k, struct thrumi_thread *me, struct thrumi_thread *t,
                               intptr_t *result) {
  intptr_t value = host(k, me, t);
  take_sentence(me, t);
  uint64_t before = mark_finished(t, THRUMI_FINISHED | THRUMI_RELEASED);
  bury(t);
  if (before & THRUMI_RELEASED) return -ESRCH; /* detached while it ran */
  if (result) *result = value;
  return 0;
}

/* The thread that a join may wait for, or the reason why not. */
static inline int joinable(struct thrumi_kthread *k, thrum_thread handle, struct thrumi_thread **out,
                           uint64_t *life, bool takes) {
  struct thrumi_thread *t = *out = thrumi_lookup(handle, life);
  if (!t) return -ESRCH;
  if (t == k->current) return -EDEADLK;
  if (t->kind == THRUMI_FOREIGN) return -EINVAL;
  return takes && THRUMI_FLAGS(*life) & THRUMI_RELEASED ? -ESRCH : 0;
}

static int join_until(thrum_thread handle, intptr_t *result, int64_t deadline, int flags) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *me = k->current, *t;
  uint64_t life;
  int error = joinable(k, handle, &t, &life, true);
  if (!error && !(THRUMI_FLAGS(life) & THRUMI_FINISHED)) {
    if (deadline == INT64_MAX && !(flags & THRUMI_CANCELLABLE) && can_host(k, me, t)) {
      error = join_as_host(k, me, t, result);
      thrumi_leave(thrumi_self());
      return error;
    }
    error = await_end(t, THRUMI_GENERATION(life), deadline, flags);
  }
  if (!error) thrumi_rely_on(&t->life);
  if (!error) error = take_result(t, THRUMI_GENERATION(life), result);
  if (!error && t != thrumi_sched.main) {
    take_sentence(me, t);
    bury(t);
  }
  thrumi_leave(thrumi_self());
  return error;
}

int thrumi_end_poll(thrum_thread handle) {
  struct thrumi_thread *t;
  uint64_t life;
  int error = joinable(thrumi_self(), handle, &t, &life, false);
  if (!error && !(THRUMI_FLAGS(life) & THRUMI_FINISHED)) return -EAGAIN;
  if (!error) thrumi_rely_on(&t->life);
  return error;
}

bool thrumi_end_enlist(thrum_thread handle, struct thrumi_waiter *waiter) {
  struct thrumi_thread *t;
  uint64_t life;
  if (joinable(thrumi_self(), handle, &t, &life, false) != 0) return false;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&t->life);
  bool waits = mark_waited(t, THRUMI_GENERATION(life));
  if (waits) thrumi_enlist(bucket, waiter, &t->life);
  thrumi_bucket_unlock(bucket);
  return waits;
}

static int wait_until(thrum_thread handle, int64_t deadline, int flags) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t;
  uint64_t life;
  int error = joinable(k, handle, &t, &life, false);
  if (!error && !(THRUMI_FLAGS(life) & THRUMI_FINISHED))
    error = await_end(t, THRUMI_GENERATION(life), deadline, flags);
  if (!error) thrumi_rely_on(&t->life);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_join(thrum_thread t, intptr_t *result) { return join_until(t, result, INT64_MAX, 0); }

int thrum_join_for(thrum_thread t, intptr_t *result, thrum_duration timeout) {
  return join_until(t, result, thrum_after(timeout), THRUMI_CANCELLABLE);
}

int thrumi_end_await(thrum_thread t, int64_t deadline) { return wait_until(t, deadline, 0); }

int thrum_wait(thrum_thread t) { return wait_until(t, INT64_MAX, 0); }

int thrum_wait_for(thrum_thread t, thrum_duration timeout) {
  return wait_until(t, thrum_after(timeout), THRUMI_CANCELLABLE);
}

/* Gives the handle back. A thread that has failed, found its handle still given out and not ended yet has left its failure to whoever takes
 * it: that one waits for the end, which is a few instructions away and runs no code of the user's, before he takes it. 0, and
 * in *life what it was, or -ESRCH: somebody else did first. */
static int release(struct thrumi_thread *t, uint64_t generation, uint64_t *life) {
  for (;;) {
    if (THRUMI_GENERATION(*life) != generation || THRUMI_FLAGS(*life) & THRUMI_RELEASED) return -ESRCH;
    if ((THRUMI_FLAGS(*life) & (THRUMI_UNREAD | THRUMI_FINISHED)) == THRUMI_UNREAD) {
      await_end(t, generation, INT64_MAX, 0);
      *life = thrumi_load(&t->life);
    } else if (thrumi_cas(&t->life, life, *life | THRUMI_RELEASED)) {
      return 0;
    }
  }
}

/* The record of a thread that has ended, whose handle the caller has given back. Inside; leaves in between. */
static void clear_away(struct thrumi_thread *t, uint64_t life) {
  thrumi_rely_on(&t->life);
  if (THRUMI_FLAGS(life) & THRUMI_UNREAD) {
    thrumi_leave(thrumi_self());
    thrumi_tell_uncaught(t, t->result, t->sentence);
    thrumi_enter();
  }
  bury(t);
}

int thrum_detach(thrum_thread handle) {
  thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  int error = t ? 0 : -ESRCH;
  if (t && (t->kind == THRUMI_MAIN || t->kind == THRUMI_FOREIGN)) error = -EINVAL;
  if (!error) error = release(t, THRUMI_GENERATION(handle.value), &life);
  if (!error && THRUMI_FLAGS(life) & THRUMI_FINISHED) clear_away(t, life);
  thrumi_leave(thrumi_self());
  return error;
}

intptr_t thrum_run(thrum_fn *fn, void *arg) {
  thrum_thread t;
  int error = thrum_spawn(&t, fn, arg);
  if (error) return error;
  intptr_t result;
  error = thrum_join(t, &result);
  return error ? error : result;
}
