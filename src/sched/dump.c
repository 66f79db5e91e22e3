/* The dump: every thread with what it does, since when, what it holds, and its stack.
 *
 * Stacks of threads that do not run are walked from their saved context. Who runs (or sleeps on a kernel thread
 * of its own) is asked: the preemption signal makes its kernel thread stop in the handler, which leaves the
 * context where the dumper finds it, until the dumper has walked the stack. The `dump` word of a kthread:
 *
 *   NONE      nothing                                    dumper (at the end), handler (nobody waits)
 *   ASKED     a signal is on its way                     dumper
 *   STOPPED   the handler waits; `interrupted` is good   handler
 *
 * Who is stopped goes on when the dumper does, and may be given a worker meanwhile, the dumper's own too. So whoever is `stopping`
 * another one is neither preempted nor stopped itself: its handler does nothing, and who asked asks again. One at a time stops others
 * (`stopper`): there may be several dumpers, and the word and the context that it leads to are for one.
 *
 * A thread that goes on while its saved context is walked can mislead the walk, but not crash it: the walk
 * reads only within the stack. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <core/backtrace.h>
#include <errno.h>
#include <sched/report.h>
#include <sched/self.h>
#include <sys/uio.h>
#include <thrum/trace.h>
#include <unistd.h>

enum thrumi_dump_state { DUMP_NONE, DUMP_ASKED, DUMP_STOPPED };
#define ANSWER_WITHIN THRUM_MS(300)
#define ASK_AGAIN THRUM_MS(5)

/* ---- One stack ---------------------------------------------------------------------------------------------- */

static void walk(struct thrumi_backtrace *out, const ucontext_t *context, uintptr_t low, uintptr_t high,
                 bool exact) {
  out->exact = exact;
  out->count = thrumi_backtracer_get()->walk(context, low, high, out->pcs, THRUMI_FRAMES);
}

/* Takes memory and locks, which a stopped thread may hold: only after it was let go. */
static void print_trace(struct thrumi_sink *d, const struct thrumi_backtrace *trace) {
  for (size_t i = 0; i < trace->count; i++) {
    struct thrumi_frame f;
    thrumi_describe(trace->pcs[i], trace->exact && i == 0, &f);
    const char *function = f.function[0] ? f.function : "?";
    if (f.line)
      thrumi_say(d, "    %-32s %s:%d\n", function, f.file, f.line);
    else
      thrumi_say(d, "    %-32s %s [%#lx]\n", function, f.file, (unsigned long)trace->pcs[i]);
  }
}

static void walk_saved(struct thrumi_backtrace *out, struct thrumi_thread *t) {
  ucontext_t context;
  thrumi_frame_context(t->sp, &context);
  uintptr_t low = (uintptr_t)t->stack.low;
  walk(out, &context, low, low + t->stack.size, false);
}

/* ---- Asking a kernel thread ----------------------------------------------------------------------------------- */

void thrumi_dump_answer(struct thrumi_kthread *k, ucontext_t *context) {
  uint32_t asked = DUMP_ASKED;
  if (thrumi_load(&k->dump) != DUMP_ASKED) return;
  /* Inside it may hold a lock of the runtime, which the dumper may need: it is asked again. */
  if (thrumi_load_relaxed(&k->lease.inside) && !thrumi_load_relaxed(&k->resting)) return;
  ucontext_t *former = thrumi_load(&k->interrupted);
  thrumi_store(&k->interrupted, context);
  if (thrumi_cas(&k->dump, &asked, DUMP_STOPPED)) {
    thrumi_os.futex_wake(&k->dump, 1);
    while (thrumi_load(&k->dump) == DUMP_STOPPED) thrumi_os.futex_wait(&k->dump, DUMP_STOPPED, INT64_MAX);
  }
  thrumi_store(&k->interrupted, former);
}

/* Who stops others: 0 nobody, 1 somebody, 2 and others may wait for that. Outside: who takes it or gives it back is `stopping` from
 * before until after that, so nobody who has it is preempted, and waits for a worker while others wait for it. Who waits for it is stopped
 * and preempted as any other, perhaps when it was woken already; so all who wait are woken, and none relies on another one. */
static thrumi_futex stopper;

void thrumi_dump_fork(void) { thrumi_store(&stopper, 0); }

static void be_stopping(bool stopping) { thrumi_store(&thrumi_self()->stopping, stopping); }

static void begin_stopping(void) {
  uint32_t free = 0;
  be_stopping(true);
  if (thrumi_cas(&stopper, &free, 1)) return;
  while (thrumi_swap(&stopper, 2)) {
    be_stopping(false);
    thrumi_os.futex_wait(&stopper, 2, INT64_MAX);
    be_stopping(true);
  }
}

static void end_stopping(void) {
  if (thrumi_swap(&stopper, 0) == 2) thrumi_os.futex_wake(&stopper, INT32_MAX);
  be_stopping(false);
}

/* Makes k stop in its handler. False: it does not answer. From here on until let_go the caller stays on its kernel thread. */
static bool stop(struct thrumi_kthread *k) {
  begin_stopping();
  int64_t deadline = thrumi_os.now() + ANSWER_WITHIN;
  thrumi_store(&k->dump, DUMP_ASKED);
  while (thrumi_load(&k->dump) == DUMP_ASKED && thrumi_os.now() < deadline) {
    thrumi_os.signal(k->tid, thrumi_sched.preempt_signal);
    thrumi_os.futex_wait(&k->dump, DUMP_ASKED, thrumi_os.now() + ASK_AGAIN);
  }
  uint32_t asked = DUMP_ASKED;
  bool stopped = !thrumi_cas(&k->dump, &asked, DUMP_NONE);
  if (!stopped) end_stopping();
  return stopped;
}

static void let_go(struct thrumi_kthread *k) {
  thrumi_store(&k->dump, DUMP_NONE);
  thrumi_os.futex_wake(&k->dump, 1);
  end_stopping();
}

/* Who names addresses for a dump does so on another stack (core/backtrace.c), from where the walk finds back. */
static void walk_live(struct thrumi_backtrace *out, const ucontext_t *context,
                      const struct thrumi_stack *stack) {
  uintptr_t low = (uintptr_t)stack->low, high = low + stack->size, sp = thrumi_context_sp(context);
  bool elsewhere = !low || sp < low || sp > high;
  walk(out, context, elsewhere ? 0 : low, elsewhere ? 0 : high, true);
}

/* Of one that waits in its handler, and may go on at any moment: its thread may end, and the signal stack on which the context lies goes
 * with it. So it is copied by the kernel, and is good if it is still the one where k waits. A kernel that does not do that for us (a filter
 * of system calls) is no reason to go without. */
static bool copy_interrupted(struct thrumi_kthread *k, ucontext_t *out) {
  ucontext_t *context = thrumi_load(&k->interrupted);
  struct iovec to = {out, sizeof *out}, from = {context, sizeof *out};
  if (!context) return false;
  ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
  if (n < 0 && errno != EFAULT)
    *out = *context;
  else if (n != (ssize_t)sizeof *out)
    return false;
  return thrumi_load(&k->interrupted) == context;
}

/* False: it does not answer. */
static bool stop_and_walk(struct thrumi_backtrace *out, struct thrumi_thread *t, struct thrumi_kthread *k) {
  ucontext_t copy;
  if (copy_interrupted(k, &copy)) {
    walk_live(out, &copy, &t->stack);
    return true;
  }
  if (!stop(k)) return false;
  ucontext_t *context = thrumi_load(&k->interrupted);
  if (context) walk_live(out, context, &t->stack); /* NULL: it has ended, and its record is another one's */
  let_go(k);
  return true;
}

struct own {
  struct thrumi_backtrace *trace;
  void *frame;
};

static intptr_t walk_from_frame(void *arg) {
  const struct own *own = arg;
  ucontext_t context;
  thrumi_frame_context(own->frame, &context);
  walk(own->trace, &context, 0, 0, false);
  return 0;
}

/* musl has no getcontext; the frame that thrumi_call leaves serves as well. */
static void walk_own(struct thrumi_backtrace *out) {
  struct own own = {.trace = out};
  thrumi_call(walk_from_frame, &own, &own.frame);
}

/* ---- One thread -------------------------------------------------------------------------------------------------- */

struct thrumi_kthread *thrumi_carrier(struct thrumi_thread *t) {
  if (t->kthread) return t->kthread;
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    struct thrumi_kthread *k = thrumi_load(&w->kthread);
    if (k && thrumi_running_on(k) == t) return k;
  }
  return NULL;
}

bool thrumi_backtrace_take(struct thrumi_thread *t, struct thrumi_backtrace *out) {
  out->count = 0;
  struct thrumi_kthread *k = thrumi_carrier(t);
  uint8_t state = thrumi_load_relaxed(&t->state);
  bool answers = true;
  if (k && k == thrumi_self())
    walk_own(out);
  else if (k)
    answers = stop_and_walk(out, t, k);
  else if (t->sp && (state == THRUMI_READY || state == THRUMI_WAITING))
    walk_saved(out, t);
  return answers;
}

/* `k` carried it a moment ago. */
static void say_stack(struct thrumi_sink *d, struct thrumi_thread *t, const struct thrumi_kthread *k) {
  struct thrumi_backtrace trace;
  if (!thrumi_backtrace_take(t, &trace) && k)
    thrumi_say(d, "    (its kernel thread %d does not answer)\n", k->tid);
  print_trace(d, &trace);
}

/* A call that took its worker may have returned since. */
static const char *state_words(enum thrumi_state state, const struct thrumi_kthread *k) {
  if (state == THRUMI_BLOCKED && k && thrumi_os.activity(k->tid) == THRUMI_ACTIVITY_RUNNING)
    return "running without a worker";
  return thrumi_state_words[state];
}

void thrumi_say_thread(struct thrumi_sink *d, struct thrumi_thread *t, uint64_t generation, int64_t now,
                       const struct thrumi_holdings *holdings) {
  char name[THRUM_NAME_MAX];
  if (thrumi_name_copy(t, generation, name, sizeof name) < 0) return;
  enum thrumi_state state = (enum thrumi_state)thrumi_load_relaxed(&t->state);
  struct thrumi_kthread *k = thrumi_carrier(t);
  if (thrumi_load_relaxed(&t->guest_of) && state == THRUMI_RUNNING) thrumi_say(d, "\n");
  thrumi_say(d, "\n\"%s\" #%llu %s%s, %s", name,
             (unsigned long long)(generation << THRUMI_LIFE_BITS | t->slot), thrumi_kind_words[t->kind],
             t->daemon ? " daemon" : "", state_words(state, k));
  if (state == THRUMI_READY && t->hog) thrumi_say(d, " (used up its interval)");
  thrumi_say_wait(d, t, now);
  if (k) thrumi_say(d, ", kernel thread %d", k->tid);
  thrumi_say(d, "\n");
  thrumi_say_holdings(d, holdings, t);
  say_stack(d, t, k);
}

void thrumi_say_head(struct thrumi_sink *d) {
  thrumi_say(d, "thrum %s: %zu threads, %u workers, %u kernel threads\n", thrum_version(),
             thrum_active_count(), thrumi_load(&thrumi_sched.workers), thrumi_load(&thrumi_sched.kthreads));
}

int thrum_dump(int fd) {
  thrumi_leave(thrumi_enter());
  struct thrumi_sink d = {.fd = fd};
  int64_t now = thrumi_os.now();
  thrumi_backtracer_get(); /* loads libthrum-dump before any thread is stopped */
  struct thrumi_holdings holdings;
  thrumi_holdings_gather(&holdings);
  thrumi_say_head(&d);
  for (uint32_t slot = 1; slot < thrumi_record_count() && !d.error; slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (!(THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)))
      thrumi_say_thread(&d, t, THRUMI_GENERATION(life), now, &holdings);
  }
  thrumi_holdings_free(&holdings);
  thrumi_say(&d, "\n");
  return d.error;
}
