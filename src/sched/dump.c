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
 * another one is neither preempted nor stopped itself: its handler does nothing, and who asked asks again.
 *
 * A thread that goes on while its saved context is walked can mislead the walk, but not crash it: the walk
 * reads only within the stack. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <core/backtrace.h>
#include <sched/report.h>
#include <sched/self.h>
#include <thrum/trace.h>

enum thrumi_dump_state { DUMP_NONE, DUMP_ASKED, DUMP_STOPPED };
enum { FRAMES = 64 };
#define ANSWER_WITHIN THRUM_MS(300)
#define ASK_AGAIN THRUM_MS(5)

/* ---- One stack ---------------------------------------------------------------------------------------------- */

struct trace {
  size_t count;
  bool exact;
  uintptr_t pcs[FRAMES];
};

static void walk(struct trace *out, const ucontext_t *context, uintptr_t low, uintptr_t high, bool exact) {
  out->exact = exact;
  out->count = thrumi_backtracer_get()->walk(context, low, high, out->pcs, FRAMES);
}

/* Takes memory and locks, which a stopped thread may hold: only after it was let go. */
static void print_trace(struct thrumi_sink *d, const struct trace *trace) {
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

static void print_stack(struct thrumi_sink *d, const ucontext_t *context, uintptr_t low, uintptr_t high,
                        bool exact) {
  struct trace trace;
  walk(&trace, context, low, high, exact);
  print_trace(d, &trace);
}

static void print_saved(struct thrumi_sink *d, struct thrumi_thread *t) {
  ucontext_t context;
  thrumi_frame_context(t->sp, &context);
  uintptr_t low = (uintptr_t)t->stack.low;
  print_stack(d, &context, low, low + t->stack.size, false);
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

/* Makes k stop in its handler. False: it does not answer. From here on until let_go the caller stays on its kernel thread. */
static bool stop(struct thrumi_kthread *k) {
  thrumi_store(&thrumi_self()->stopping, true);
  int64_t deadline = thrumi_os.now() + ANSWER_WITHIN;
  thrumi_store(&k->dump, DUMP_ASKED);
  while (thrumi_load(&k->dump) == DUMP_ASKED && thrumi_os.now() < deadline) {
    thrumi_os.signal(k->tid, thrumi_sched.preempt_signal);
    thrumi_os.futex_wait(&k->dump, DUMP_ASKED, thrumi_os.now() + ASK_AGAIN);
  }
  uint32_t asked = DUMP_ASKED;
  bool stopped = !thrumi_cas(&k->dump, &asked, DUMP_NONE);
  if (!stopped) thrumi_store(&thrumi_self()->stopping, false);
  return stopped;
}

static void let_go(struct thrumi_kthread *k) {
  thrumi_store(&k->dump, DUMP_NONE);
  thrumi_os.futex_wake(&k->dump, 1);
  thrumi_store(&thrumi_self()->stopping, false);
}

/* Who names addresses for a dump does so on another stack (core/backtrace.c), from where the walk finds back. */
static void walk_live(struct trace *out, const ucontext_t *context, const struct thrumi_stack *stack) {
  uintptr_t low = (uintptr_t)stack->low, high = low + stack->size, sp = thrumi_context_sp(context);
  bool elsewhere = !low || sp < low || sp > high;
  walk(out, context, elsewhere ? 0 : low, elsewhere ? 0 : high, true);
}

static void print_live(struct thrumi_sink *d, struct thrumi_thread *t, struct thrumi_kthread *k) {
  ucontext_t *context = thrumi_load(&k->interrupted);
  bool stopped = !context && stop(k);
  if (stopped) context = thrumi_load(&k->interrupted);
  struct trace trace = {0};
  if (context) walk_live(&trace, context, &t->stack);
  if (stopped) let_go(k);
  if (!context) thrumi_say(d, "    (its kernel thread %d does not answer)\n", k->tid);
  print_trace(d, &trace);
}

struct own {
  struct thrumi_sink *sink;
  void *frame;
};

static intptr_t print_from_frame(void *arg) {
  const struct own *own = arg;
  ucontext_t context;
  thrumi_frame_context(own->frame, &context);
  print_stack(own->sink, &context, 0, 0, false);
  return 0;
}

/* musl has no getcontext; the frame that thrumi_call leaves serves as well. */
static void print_own(struct thrumi_sink *d) {
  struct own own = {.sink = d};
  thrumi_call(print_from_frame, &own, &own.frame);
}

/* ---- One thread -------------------------------------------------------------------------------------------------- */

static struct thrumi_kthread *carrier(struct thrumi_thread *t) {
  if (t->kthread) return t->kthread;
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    struct thrumi_kthread *k = thrumi_load(&w->kthread);
    if (k && thrumi_running_on(k) == t) return k;
  }
  return NULL;
}

void thrumi_say_thread(struct thrumi_sink *d, struct thrumi_thread *t, uint64_t generation, int64_t now,
                       const struct thrumi_holdings *holdings) {
  static const char *const kinds[] = {"light", "bound", "main", "foreign"};
  static const char *const states[] = {"new",  "ready", "running", "waiting", "blocked in a plain call",
                                       "ended"};
  char name[THRUM_NAME_MAX];
  if (thrumi_name_copy(t, generation, name, sizeof name) < 0) return;
  enum thrumi_state state = (enum thrumi_state)thrumi_load_relaxed(&t->state);
  if (thrumi_load_relaxed(&t->guest_of) && state == THRUMI_RUNNING) thrumi_say(d, "\n");
  thrumi_say(d, "\n\"%s\" #%llu %s%s, %s", name,
             (unsigned long long)(generation << THRUMI_LIFE_BITS | t->slot), kinds[t->kind],
             t->daemon ? " daemon" : "", states[state]);
  struct thrumi_kthread *k = carrier(t);
  if (state == THRUMI_READY && t->hog) thrumi_say(d, " (used up its interval)");
  thrumi_say_wait(d, t, now);
  if (k) thrumi_say(d, ", kernel thread %d", k->tid);
  thrumi_say(d, "\n");
  thrumi_say_holdings(d, holdings, t);
  if (k && k == thrumi_self())
    print_own(d);
  else if (k)
    print_live(d, t, k);
  else if (t->sp && (state == THRUMI_READY || state == THRUMI_WAITING))
    print_saved(d, t);
}

int thrum_dump(int fd) {
  thrumi_leave(thrumi_enter());
  struct thrumi_sink d = {.fd = fd};
  int64_t now = thrumi_os.now();
  thrumi_backtracer_get(); /* loads libthrum-dump before any thread is stopped */
  struct thrumi_holdings holdings;
  thrumi_holdings_gather(&holdings);
  thrumi_say(&d, "thrum %s: %zu threads, %u workers, %u kernel threads\n", thrum_version(),
             thrum_active_count(), thrumi_load(&thrumi_sched.workers), thrumi_load(&thrumi_sched.kthreads));
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (!(THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)))
      thrumi_say_thread(&d, t, THRUMI_GENERATION(life), now, &holdings);
  }
  thrumi_holdings_free(&holdings);
  thrumi_say(&d, "\n");
  return d.error;
}
