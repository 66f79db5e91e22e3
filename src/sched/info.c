/* Who am I, who is there, what has happened. */
#define _GNU_SOURCE
#include <sched/self.h>
#include <stdio.h>

#define STRING(x) #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

const char *thrum_version(void) {
  return VERSION(THRUM_VERSION_MAJOR, THRUM_VERSION_MINOR, THRUM_VERSION_PATCH);
}

int *thrum_errno(void) { return __errno_location(); }

thrum_thread thrum_current(void) {
  struct thrumi_kthread *k = thrumi_enter();
  thrum_thread t = thrumi_handle(k->current);
  thrumi_leave(k);
  return t;
}

thrum_thread thrum_main_thread(void) {
  thrumi_leave(thrumi_enter());
  return thrumi_handle(thrumi_sched.main);
}

bool thrum_is_alive(thrum_thread handle) {
  thrumi_leave(thrumi_enter());
  uint64_t life;
  return thrumi_lookup(handle, &life) && !(THRUMI_FLAGS(life) & THRUMI_FINISHED);
}

/* The number of the kernel thread that it owns. A bound thread's is another's once it has ended, and its record may be another thread's
 * soon: its life is looked at behind the number, and FINISHED comes before that is given away. */
static pid_t own_tid(struct thrumi_thread *t, uint64_t life) {
  struct thrumi_kthread *own = __atomic_load_n(&t->kthread, __ATOMIC_RELAXED);
  pid_t tid = own ? __atomic_load_n(&own->tid, __ATOMIC_ACQUIRE) : 0;
  uint64_t now = thrumi_load(&t->life);
  if (THRUMI_GENERATION(now) != THRUMI_GENERATION(life)) return 0;
  bool ended = t->kind == THRUMI_BOUND && THRUMI_FLAGS(now) & (THRUMI_FREE | THRUMI_FINISHED);
  return ended ? 0 : tid;
}

pid_t thrum_native_id(thrum_thread handle) {
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  pid_t tid = t ? own_tid(t, life) : -ESRCH;
  if (t == k->current) tid = k->tid;
  for (uint32_t i = 0; t && !tid && i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    struct thrumi_kthread *holder = w ? thrumi_load(&w->kthread) : NULL;
    if (!w) break;
    if (holder && thrumi_running_on(holder) == t) tid = holder->tid;
  }
  thrumi_leave(k);
  return tid;
}

size_t thrum_enumerate(thrum_thread *out, size_t max) {
  thrumi_leave(thrumi_enter());
  size_t n = 0;
  uint32_t count = thrumi_record_count();
  for (uint32_t slot = 1; slot < count; slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)) continue;
    if (out && n < max) out[n].value = THRUMI_GENERATION(life) << THRUMI_LIFE_BITS | slot;
    n++;
  }
  return n;
}

size_t thrum_active_count(void) { return thrum_enumerate(NULL, 0); }

size_t thrum_stack_size(void) {
  thrumi_leave(thrumi_enter());
  return thrumi_stack_default();
}

int thrum_set_stack_size(size_t bytes) {
  if (bytes < THRUM_STACK_MIN || bytes > (size_t)1 << 40) return -EINVAL;
  thrumi_leave(thrumi_enter());
  thrumi_stack_set_default(bytes);
  return 0;
}

ssize_t thrum_stack_used(thrum_thread handle) {
  struct thrumi_kthread *k = thrumi_enter();
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup(handle, &life);
  struct thrumi_stack stack = t ? t->stack : (struct thrumi_stack){0};
  bool ours = t && (t->kind == THRUMI_LIGHT || stack.low);
  thrumi_leave(k);
  if (!t) return -ESRCH;
  if (!ours) return -ENOTSUP;
  return stack.low ? thrumi_stack_used(&stack) : 0;
}

static void add_worker(thrum_stats *out, const struct thrumi_worker *w) {
  out->spawned += thrumi_load_relaxed(&w->spawned);
  out->switches += thrumi_load_relaxed(&w->switches);
  out->steals += thrumi_load_relaxed(&w->steals);
}

static void count_stacks(thrum_stats *out) {
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  out->stacks = counts.mapped;
  out->stacks_marked = counts.marked;
  out->stacks_protected = counts.protected;
  out->stacks_unguarded = counts.unguarded;
}

int thrum_statistics(thrum_stats *out) {
  if (!out || out->size != sizeof *out) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_sched *s = &thrumi_sched;
  *out = (thrum_stats){.size = sizeof *out, .spawned = thrumi_load_relaxed(&s->spawned_outside)};
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX && thrumi_load(&s->worker[i]); i++)
    add_worker(out, thrumi_load(&s->worker[i]));
  out->preemptions = thrumi_load_relaxed(&s->preemptions);
  out->wakeup_preemptions = thrumi_load_relaxed(&s->wakeup_preemptions);
  out->leases_lost = thrumi_load_relaxed(&s->leases_lost);
  out->signals = thrumi_load_relaxed(&s->signals);
  out->signals_blocked = thrumi_load_relaxed(&s->signals_blocked);
  out->preempts_refused = thrumi_load_relaxed(&s->refused);
  out->workers = thrumi_load_relaxed(&s->workers);
  out->kernel_threads = thrumi_load_relaxed(&s->kthreads);
  out->kernel_threads_peak = thrumi_load_relaxed(&s->kthreads_peak);
  out->kernel_threads_max = s->kthread_max;
  count_stacks(out);
  thrumi_leave(k);
  return 0;
}
