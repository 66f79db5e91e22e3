/* Threads begin.
 *
 * Spawning fills a record and queues it. A stack is bound when the thread first runs (switch.c), so a thread that is
 * spawned and runs to its end on a busy worker costs no stack of its own. */
#include <core/fatal.h>
#include <sched/queue.h>
#include <sched/self.h>
#include <sched/step.h>
#include <sched/tree.h>
#include <string.h>
#include <thrum/scope.h>

enum { NUMBER_BLOCK = 64 };

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
  thrumi_step_with(SPAWN, spawn, thrumi_running_on(k), t, 0);
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

static inline int spawn(struct thrumi_scope *scope, thrum_thread *out, thrum_fn *fn, void *arg) {
  if (thrumi_unlikely(!fn)) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = prepare(k->worker, fn, arg, inherited_daemon(k->current), !out);
  int error = thrumi_likely(t != NULL) ? 0 : -ENOMEM;
  if (t && scope && (error = thrumi_scope_add(scope, t))) thrumi_record_free(k->worker, t);
  if (thrumi_likely(!error)) {
    t->number = number_for(k->worker, k->current);
    if (out) *out = thrumi_handle(t);
    launch(k, t);
  }
  thrumi_leave(k);
  return error;
}

int thrum_spawn(thrum_thread *out, thrum_fn *fn, void *arg) { return spawn(NULL, out, fn, arg); }

int thrum_scope_spawn(thrum_scope *s, thrum_thread *out, thrum_fn *fn, void *arg) {
  return s ? spawn(thrumi_scope_of(s), out, fn, arg) : -EINVAL;
}

/* A thread that nobody holds, no daemon, for the caller to make ready. By any kernel thread inside the runtime, also one that
 * runs no thread: it takes nothing of libc's. NULL: no memory. */
struct thrumi_thread *thrumi_spawn_called(thrum_fn *fn, void *arg) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_worker *w = k ? k->worker : NULL;
  struct thrumi_thread *t = prepare(w, fn, arg, false, true);
  if (!t) return NULL;
  t->number = number_for(w, t);
  thrumi_step_with(SPAWN, spawn, (struct thrumi_thread *)NULL, t, 0);
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
  struct thrumi_scope *scope;
  int daemon;
};

static void abort_birth(struct birth *birth) {
  thrumi_name_free(birth->name);
  if (birth->copy) thrumi_os.free(birth->copy);
  if (birth->kthread) thrumi_kthread_discard(birth->kthread);
}

/* Inside: gives the record what it was born with. False: no memory for its stack. */
static bool endow(struct thrumi_kthread *k, struct thrumi_thread *t, const struct birth *birth) {
  if (birth->stack_size || birth->kthread) {
    if (thrumi_take_stack(k->worker, birth->stack_size, &t->stack) != 0) return false;
    t->stack_bits = 0;
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

/* Inside: a record for a thread that is not born after all. */
static void unmake(struct thrumi_kthread *k, struct thrumi_thread *t) {
  t->name = NULL;
  t->copy = NULL;
  thrumi_store_relaxed(&t->extras, false);
  thrumi_stack_give(k->worker ? &k->worker->stacks : NULL, &t->stack);
  if (t->scoped & THRUMI_MEMBER) thrumi_scope_remove(t);
  thrumi_tree_settle(t); /* it may have been told meanwhile */
  thrumi_record_free(k->worker, t);
}

/* Inside: a record with all that it is born with, in its scope, not queued yet. 0 or a negative errno. */
static int make(struct thrumi_kthread *k, const struct birth *birth, bool detached, thrum_fn *fn, void *arg,
                struct thrumi_thread **out) {
  struct thrumi_thread *t = prepare(k->worker, fn, arg, inherited_daemon(k->current), detached);
  if (!t) return -ENOMEM;
  int error = endow(k, t, birth) ? 0 : -ENOMEM;
  if (!error && birth->scope) error = thrumi_scope_add(birth->scope, t);
  if (error) unmake(k, t);
  *out = t;
  return error;
}

/* Outside: brings up the kernel thread of a bound one, and awaits that. One that has not come up yet may have to wait for a lock of libc's,
 * or of a sanitizer's, whose holder has been preempted. It must not be given a worker before: it would take the one that the holder
 * waits for, and the monitor does not take a worker from who is inside. (It could queue itself when it is up, as main does, and
 * nobody would wait for it. But then it would begin behind threads that were spawned after it.) */
static int start_kthread(struct thrumi_thread *t, struct thrumi_kthread *own) {
  if (thrumi_kthread_start(own, bound_main) == 0) {
    thrumi_await_up(own);
    return 0;
  }
  struct thrumi_kthread *k = thrumi_enter();
  unmake(k, t);
  thrumi_leave(k);
  return -EAGAIN;
}

static int spawn_born(thrum_thread *out, thrum_fn *fn, void *arg, struct birth *birth) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t;
  int error = make(k, birth, !out, fn, arg, &t);
  if (!error && birth->kthread) {
    thrumi_leave(k);
    error = start_kthread(t, birth->kthread);
    k = thrumi_enter();
  }
  if (!error) {
    if (out) *out = thrumi_handle(t);
    launch(k, t);
  }
  thrumi_leave(k);
  if (error) abort_birth(birth);
  return error;
}

static int spawn_named(struct thrumi_scope *scope, thrum_thread *out, thrum_fn *fn, void *arg,
                       const char *format, va_list args) {
  if (!fn || !format) return -EINVAL;
  struct birth birth = {.scope = scope, .name = thrumi_name_make(format, args)};
  return birth.name ? spawn_born(out, fn, arg, &birth) : -ENOMEM;
}

int thrum_spawn_named(thrum_thread *out, thrum_fn *fn, void *arg, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int error = spawn_named(NULL, out, fn, arg, format, args);
  va_end(args);
  return error;
}

int thrum_scope_spawn_named(thrum_scope *s, thrum_thread *out, thrum_fn *fn, void *arg, const char *format,
                            ...) {
  if (!s) return -EINVAL;
  va_list args;
  va_start(args, format);
  int error = spawn_named(thrumi_scope_of(s), out, fn, arg, format, args);
  va_end(args);
  return error;
}

static int spawn_copy(struct thrumi_scope *scope, thrum_thread *out, thrum_fn *fn, const void *value,
                      size_t size) {
  if (!fn || (!value && size)) return -EINVAL;
  struct birth birth = {.scope = scope, .copy = thrumi_os.allocate(size ? size : 1)};
  if (!birth.copy) return -ENOMEM;
  if (size) memcpy(birth.copy, value, size);
  return spawn_born(out, fn, birth.copy, &birth);
}

int thrum_spawn_copy(thrum_thread *out, thrum_fn *fn, const void *value, size_t size) {
  return spawn_copy(NULL, out, fn, value, size);
}

int thrum_scope_spawn_copy(thrum_scope *s, thrum_thread *out, thrum_fn *fn, const void *value, size_t size) {
  return s ? spawn_copy(thrumi_scope_of(s), out, fn, value, size) : -EINVAL;
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
  return o->size == sizeof *o && stack && o->daemon >= THRUM_NO && o->daemon <= THRUM_YES;
}

int thrum_spawn_with(thrum_thread *out, const thrum_options *options, thrum_fn *fn, void *arg) {
  if (!fn || !options || !good_options(options)) return -EINVAL;
  struct birth birth = {.stack_size = options->stack_size, .daemon = options->daemon};
  if (options->scope) birth.scope = thrumi_scope_of(options->scope);
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
