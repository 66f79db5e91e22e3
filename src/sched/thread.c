/* Threads begin, end, and are waited for.
 *
 * Spawning fills a record and queues it. A stack is bound when the thread first runs (switch.c), so a thread that is
 * spawned and runs to its end on a busy worker costs no stack of its own.
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
#include <sched/queue.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <thrum/time.h>

enum { NUMBER_BLOCK = 64, STACK_SHARE = 8 };

/* ---- Spawning ------------------------------------------------------------------------------------------------- */

/* N of Thread-N: light threads take blocks for their worker, others one at a time so that a program which
 * spawns from main counts 1, 2, 3. */
static inline uint32_t number_for(struct thrumi_worker *w, const struct thrumi_thread *creator) {
  if (thrumi_unlikely(!w || creator->kind != THRUMI_LIGHT)) return thrumi_add(&thrumi_sched.number, 1u) + 1;
  if (thrumi_unlikely(w->number == w->number_end)) {
    w->number = thrumi_add(&thrumi_sched.number, (uint32_t)NUMBER_BLOCK);
    w->number_end = w->number + NUMBER_BLOCK;
  }
  return ++w->number;
}

/* A record for fn(arg), not queued yet; NULL: no memory. */
static inline struct thrumi_thread *prepare(struct thrumi_worker *w, thrum_fn *fn, void *arg, bool daemon,
                                            bool detached) {
  struct thrumi_thread *t = thrumi_record_take(w);
  if (thrumi_unlikely(!t)) return NULL;
  thrumi_record_reset(t);
  t->fn = fn;
  t->arg = arg;
  t->daemon = daemon;
  uint64_t generation = THRUMI_GENERATION(thrumi_load_relaxed(&t->life));
  thrumi_store_relaxed(&t->mark, (uint32_t)(generation << THRUMI_LIFE_BITS | t->slot));
  thrumi_store(&t->life, generation << THRUMI_LIFE_BITS | (detached ? THRUMI_RELEASED : 0));
  return t;
}

static bool inherited_daemon(const struct thrumi_thread *creator) {
  return creator->kind != THRUMI_FOREIGN && creator->daemon;
}

/* Makes it run some time. */
static inline void launch(struct thrumi_kthread *k, struct thrumi_thread *t) {
  thrumi_announce(t);
  thrumi_trace(THRUMI_EVENT_SPAWN, thrumi_handle(k->current).value, thrumi_handle(t).value);
  if (thrumi_likely(k->worker != NULL)) {
    thrumi_bump(&k->worker->spawned);
    thrumi_queue_append(&k->worker->queues, t, THRUMI_CLASS_NEW);
    thrumi_ring_for_new(k->worker);
  } else {
    thrumi_add(&thrumi_sched.spawned_outside, 1u);
    thrumi_push_global(t, THRUMI_CLASS_NEW);
    thrumi_ring(NULL);
  }
}

int thrum_spawn(thrum_thread *out, thrum_fn *fn, void *arg) {
  if (thrumi_unlikely(!fn)) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = prepare(k->worker, fn, arg, inherited_daemon(k->current), !out);
  if (thrumi_likely(t != NULL)) {
    t->number = number_for(k->worker, k->current);
    if (out) *out = thrumi_handle(t);
    launch(k, t);
  }
  thrumi_leave(k);
  return thrumi_likely(t != NULL) ? 0 : -ENOMEM;
}

/* A thread that nobody holds, no daemon, for the caller to make ready. By any kernel thread inside the runtime, also one that
 * runs no thread: it takes nothing of libc's. NULL: no memory. */
struct thrumi_thread *thrumi_spawn_called(thrum_fn *fn, void *arg) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_worker *w = k ? k->worker : NULL;
  struct thrumi_thread *t = prepare(w, fn, arg, false, true);
  if (!t) return NULL;
  t->number = number_for(w, t);
  thrumi_trace(THRUMI_EVENT_SPAWN, 0, thrumi_handle(t).value);
  if (w)
    thrumi_bump(&w->spawned);
  else
    thrumi_add(&thrumi_sched.spawned_outside, (uint64_t)1);
  return t;
}

/* What a thread is born with beside its function; owned by the thread once it is launched. */
struct birth {
  struct thrumi_name *name;
  void *copy;
  size_t stack_size;
  struct thrumi_kthread *kthread; /* of a bound thread */
  int daemon;
};

static void abort_birth(struct birth *birth) {
  thrumi_name_free(birth->name);
  if (birth->copy) thrumi_os.free(birth->copy);
  if (birth->kthread) thrumi_kthread_discard(birth->kthread);
}

static void *bound_main(void *arg);

/* Inside: gives the record what it was born with. False: no memory for its stack. */
static bool endow(struct thrumi_kthread *k, struct thrumi_thread *t, const struct birth *birth) {
  if (birth->stack_size || birth->kthread) {
    if (thrumi_stack_take(k->worker ? &k->worker->stacks : NULL, birth->stack_size, &t->stack) != 0)
      return false;
    t->own_stack = true;
  }
  if (birth->name || birth->copy) thrumi_store_relaxed(&t->extras, true);
  t->name = birth->name;
  t->number = birth->name ? 0 : number_for(k->worker, k->current);
  t->copy = birth->copy;
  if (birth->daemon) t->daemon = birth->daemon == THRUM_YES;
  if (birth->kthread) {
    t->kind = THRUMI_BOUND;
    t->kthread = birth->kthread;
    thrumi_store_relaxed(&birth->kthread->current, t);
  }
  return true;
}

/* A kernel thread that has not come up yet may have to wait for a lock of libc's, or of a sanitizer's, whose holder has been
 * preempted. It must not be given a worker before: it would take the one that the holder waits for, and the monitor does not take
 * a worker from who is inside. (It could queue itself when it is up, as main does, and nobody would wait for it. But then it would
 * begin behind threads that were spawned after it.) */
static void await_up(struct thrumi_kthread *k) {
  while (!thrumi_load(&k->up)) thrumi_os.futex_wait(&k->up, 0, INT64_MAX);
}

static int spawn_born(thrum_thread *out, thrum_fn *fn, void *arg, struct birth *birth) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = prepare(k->worker, fn, arg, inherited_daemon(k->current), !out);
  if (t && !endow(k, t, birth)) {
    thrumi_record_free(k->worker, t);
    t = NULL;
  }
  if (!t) {
    thrumi_leave(k);
    abort_birth(birth);
    return -ENOMEM;
  }
  if (out) *out = thrumi_handle(t);
  if (!birth->kthread) {
    launch(k, t);
    thrumi_leave(k);
    return 0;
  }
  thrumi_leave(k);
  if (thrumi_kthread_start(birth->kthread, bound_main) != 0) {
    k = thrumi_enter();
    t->name = NULL;
    t->copy = NULL;
    thrumi_store_relaxed(&t->extras, false);
    thrumi_stack_give(k->worker ? &k->worker->stacks : NULL, &t->stack);
    thrumi_record_free(k->worker, t);
    thrumi_leave(k);
    if (out) *out = (thrum_thread){0};
    abort_birth(birth);
    return -EAGAIN;
  }
  await_up(birth->kthread);
  k = thrumi_enter();
  launch(k, t);
  thrumi_leave(k);
  return 0;
}

int thrum_spawn_named(thrum_thread *out, thrum_fn *fn, void *arg, const char *format, ...) {
  if (!fn || !format) return -EINVAL;
  va_list args;
  va_start(args, format);
  struct birth birth = {.name = thrumi_name_make(format, args)};
  va_end(args);
  return birth.name ? spawn_born(out, fn, arg, &birth) : -ENOMEM;
}

int thrum_spawn_copy(thrum_thread *out, thrum_fn *fn, const void *value, size_t size) {
  if (!fn || (!value && size)) return -EINVAL;
  struct birth birth = {.copy = thrumi_os.allocate(size ? size : 1)};
  if (!birth.copy) return -ENOMEM;
  if (size) memcpy(birth.copy, value, size);
  return spawn_born(out, fn, birth.copy, &birth);
}

static struct thrumi_name *name_once(const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct thrumi_name *name = thrumi_name_make(format, args);
  va_end(args);
  return name;
}

static bool good_options(const thrum_options *o) {
  bool stack = o->stack_size == 0 || (o->stack_size >= THRUM_STACK_MIN && o->stack_size <= (size_t)1 << 40);
  return o->size == sizeof *o && stack && o->daemon >= THRUM_NO && o->daemon <= THRUM_YES && !o->scope;
}

int thrum_spawn_with(thrum_thread *out, const thrum_options *options, thrum_fn *fn, void *arg) {
  if (!fn || !options || !good_options(options)) return -EINVAL;
  struct birth birth = {.stack_size = options->stack_size, .daemon = options->daemon};
  if (options->name && *options->name && !(birth.name = name_once("%s", options->name))) return -ENOMEM;
  if (options->bound) {
    thrumi_leave(thrumi_enter()); /* the runtime must have started */
    birth.kthread = thrumi_kthread_new(THRUMI_ROLE_OWNED);
    if (!birth.kthread) {
      abort_birth(&birth);
      return -EAGAIN;
    }
  }
  return spawn_born(out, fn, arg, &birth);
}

intptr_t thrum_run(thrum_fn *fn, void *arg) {
  thrum_thread t;
  int error = thrum_spawn(&t, fn, arg);
  if (error) return error;
  intptr_t result;
  error = thrum_join(t, &result);
  return error ? error : result;
}

/* Calls its function. The child of a fork goes on as main on whatever stack it was forked: it never returns
 * to the runtime that was there. */
intptr_t thrumi_thread_call(struct thrumi_thread *t) {
  intptr_t result = thrumi_call(t->fn, t->arg, &t->exit_mark);
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
  if (thrum_failed(result) && THRUMI_FLAGS(thrumi_load(&t->life)) & THRUMI_RELEASED)
    thrumi_load (&thrumi_uncaught)(thrumi_handle(t), result, t->sentence ? t->sentence : "");
}

/* Marks the end with `flags` and wakes who waits for it. Returns the flags before. */
static inline uint64_t mark_finished(struct thrumi_thread *t, uint64_t flags) {
  thrumi_announce(&t->life);
  uint64_t before = thrumi_or(&t->life, flags);
  if (thrumi_unlikely(before & THRUMI_WAITED)) wake_joiners(t);
  return before;
}

static inline void conclude(struct thrumi_thread *t, intptr_t result) {
  t->result = result;
  thrumi_trace(THRUMI_EVENT_END, thrumi_handle(t).value, 0);
  thrumi_set_state(t, THRUMI_ENDED);
  if (thrumi_unlikely(thrumi_load_relaxed(&t->extras) || thrum_failed(result))) {
    thrumi_leave(thrumi_self());
    last_rites(t, result);
    thrumi_enter();
  }
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
  mark_finished(thrumi_sched.main, THRUMI_FINISHED);
  thrumi_leave(k);
}

void thrumi_thread_finish(struct thrumi_thread *t, intptr_t result) {
  conclude(t, result);
  struct thrumi_kthread *k = thrumi_self();
  if (thrumi_unlikely(k->captured)) thrumi_uncapture(k, t); /* the last touch of t->kthread */
  if (mark_finished(t, THRUMI_FINISHED) & THRUMI_RELEASED) bury(t);
}

static void *bound_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_kthread_adopt(k);
  thrumi_store(&k->up, 1);
  thrumi_os.futex_wake(&k->up, 1);
  thrumi_wait_given(k);
  thrumi_run_bound(k);
  thrumi_surrender(k);
  thrumi_kthread_end(k);
  return NULL;
}

void thrum_exit(intptr_t result) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  thrumi_leave(k);
  if (t->kind == THRUMI_FOREIGN) {
    char name[THRUM_NAME_MAX];
    thrumi_name_in_handler(t, name, sizeof name);
    thrumi_fatal("thrum_exit was called in %s, a thread that thrum did not start; use pthread_exit there",
                 name);
  }
  if (t->kind == THRUMI_MAIN) thrumi_exit_main(result);
#if THRUMI_ASAN
  __asan_handle_no_return();
#endif
  thrumi_return(t->exit_mark, result);
}

intptr_t thrum_fail(int code, const char *format, ...) {
  char *sentence = thrumi_os.allocate(THRUMI_SENTENCE_MAX);
  if (sentence) {
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, THRUMI_SENTENCE_MAX, format, args);
    va_end(args);
    struct thrumi_kthread *k = thrumi_enter();
    struct thrumi_thread *t = k->current;
    thrumi_leave(k);
    char *former = t->sentence;
    t->sentence = sentence;
    thrumi_store_relaxed(&t->extras, true);
    if (former) thrumi_os.free(former);
  }
  int failure = code > 0 ? -code : code;
  return failure < 0 && failure >= -4095 ? failure : -EINVAL;
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

/* Whether the caller may run t as a guest on its own stack. */
static inline bool can_host(struct thrumi_kthread *k, struct thrumi_thread *me, struct thrumi_thread *t) {
  struct thrumi_worker *w = k->worker;
  if (THRUMI_TSAN || !w || me->kind != THRUMI_LIGHT || me->pins || t->kthread || t->own_stack) return false;
  if (thrumi_load_relaxed(&t->queue) != &w->queues.of[THRUMI_CLASS_NEW]) return false;
  const struct thrumi_stack *stack = &me->stack; /* as large as the one that t would get */
  size_t left = (size_t)((char *)__builtin_frame_address(0) - stack->low);
  return stack->size == thrumi_stack_default() && left >= stack->size - stack->size / STACK_SHARE;
}

/* Runs t to its end on the caller's stack. Inside. */
static inline intptr_t host(struct thrumi_kthread *k, struct thrumi_thread *me, struct thrumi_thread *t) {
  thrumi_queue_remove(&k->worker->queues, &k->worker->queues.of[THRUMI_CLASS_NEW], t);
  thrumi_wait_for(me, "the end of its guest, thread", (const void *)(uintptr_t)thrumi_handle(t).value,
                  THRUMI_THREAD | THRUMI_HOSTS);
  thrumi_set_state(me, THRUMI_WAITING);
  thrumi_store(&t->guest_of, me);
  t->stack = me->stack;
  t->kthread = me->kthread; /* tied as the joiner is by a preemption, if at all */
  thrumi_become(k, t);
  thrumi_set_state(t, THRUMI_RUNNING);
  thrumi_trace(THRUMI_EVENT_RUN, thrumi_handle(t).value, 0);
  thrumi_leave(k);
  intptr_t result = thrumi_thread_call(t);
  k = thrumi_enter();
  conclude(t, result);
  k = thrumi_self();
  me->kthread = t->kthread;
  thrumi_become(k, me);
  me->hog = t->hog;
  thrumi_store_relaxed(&me->waits_for, NULL);
  thrumi_set_state(me, THRUMI_RUNNING);
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

int thrum_wait(thrum_thread t) { return wait_until(t, INT64_MAX, 0); }

int thrum_wait_for(thrum_thread t, thrum_duration timeout) {
  return wait_until(t, thrum_after(timeout), THRUMI_CANCELLABLE);
}

int thrum_detach(thrum_thread handle) {
  thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  int error = t ? 0 : -ESRCH;
  if (t && (t->kind == THRUMI_MAIN || t->kind == THRUMI_FOREIGN)) error = -EINVAL;
  while (!error) {
    if (THRUMI_GENERATION(life) != THRUMI_GENERATION(handle.value) || THRUMI_FLAGS(life) & THRUMI_RELEASED)
      error = -ESRCH;
    else if (thrumi_cas(&t->life, &life, life | THRUMI_RELEASED))
      break;
  }
  if (!error && THRUMI_FLAGS(life) & THRUMI_FINISHED) bury(t);
  thrumi_leave(thrumi_self());
  return error;
}
