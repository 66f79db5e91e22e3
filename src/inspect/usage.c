/* Who used how much of the CPUs.
 *
 * A switch between light threads takes some tens of nanoseconds, and reading a clock there would double that. So nothing is
 * counted on a switch. While somebody looks, the server notes every 20 ms which thread each worker runs, and puts down to it what the
 * worker's kernel thread has burnt since the last look, or, if the worker has come to another kernel thread meanwhile, a share of
 * what the process has burnt beyond that. In the long run each thread gets its share, as by any profiler that samples; over one second it is right to a few
 * per cent. Main, bound and foreign threads have a kernel thread of their own, whose clock is exact. */
#include <inspect/inspect.h>
#include <sched/self.h>
#include <time.h>

struct use {
  _Atomic uint64_t id; /* whose it is; 0: nobody's */
  _Atomic int64_t ns;
};

/* By slot, as the table of records. Chunks come when a thread of theirs is first seen to run, and stay. */
static _Atomic(struct use *) uses[THRUMI_CHUNKS];

static struct {
  struct thrumi_kthread *kthread;
  int64_t burnt;
} seen[THRUM_WORKERS_MAX]; /* at the last look */
static int64_t looked;     /* 0: there was none */

static struct use *use_of(uint32_t slot, bool make) {
  struct use *chunk = thrumi_load(&uses[slot / THRUMI_CHUNK]);
  if (!chunk && make) {
    chunk = thrumi_os.reserve(THRUMI_CHUNK * sizeof *chunk);
    if (chunk) thrumi_store(&uses[slot / THRUMI_CHUNK], chunk);
  }
  return chunk ? &chunk[slot % THRUMI_CHUNK] : NULL;
}

static void put_down(struct thrumi_thread *t, int64_t ns) {
  uint64_t id = thrumi_handle(t).value;
  struct use *use = use_of(t->slot, true);
  if (!use) return;
  if (thrumi_load_relaxed(&use->id) != id) {
    thrumi_store(&use->ns, 0);
    thrumi_store(&use->id, id);
  }
  thrumi_store(&use->ns, thrumi_load_relaxed(&use->ns) + ns);
}

struct share {
  struct thrumi_thread *thread;
  int64_t ns; /* negative: the worker came to this kernel thread since the last look */
};

static struct share look_at(uint32_t i, struct thrumi_worker *w, int64_t passed) {
  struct thrumi_kthread *k = thrumi_load(&w->kthread), *former = seen[i].kthread;
  int64_t burnt = k ? thrumi_os.cpu_time(k->tid) : -1, more = burnt - seen[i].burnt;
  bool known = k == former && burnt >= 0 && more >= 0 && more < passed;
  seen[i].kthread = k;
  seen[i].burnt = burnt;
  struct thrumi_thread *t = k && !thrumi_load_relaxed(&w->idle) ? thrumi_running_on(k) : NULL;
  return (struct share){.thread = t, .ns = known ? more : -1};
}

/* What the process has burnt beyond what is known is divided among those of whom it is not: kernel threads wait for CPUs, too. */
static void divide(const struct share *shares, uint32_t n, int64_t passed, int64_t burnt) {
  int64_t known = 0, unknown = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (!shares[i].thread) continue;
    if (shares[i].ns >= 0)
      known += shares[i].ns;
    else
      unknown++;
  }
  int64_t each = unknown && burnt > known ? (burnt - known) / unknown : 0;
  if (each > passed) each = passed;
  for (uint32_t i = 0; i < n; i++)
    if (shares[i].thread) put_down(shares[i].thread, shares[i].ns >= 0 ? shares[i].ns : each);
}

static int64_t process_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void thrumi_usage_sample(int64_t now) {
  static struct share shares[THRUM_WORKERS_MAX];
  static int64_t burnt; /* by the process, at the last look */
  int64_t passed = now - looked, clock = process_clock();
  uint32_t n = 0;
  for (; n < THRUM_WORKERS_MAX && thrumi_load(&thrumi_sched.worker[n]); n++)
    shares[n] = look_at(n, thrumi_load(&thrumi_sched.worker[n]), passed);
  if (looked) divide(shares, n, passed, clock - burnt);
  looked = now;
  burnt = clock;
}

void thrumi_usage_pause(void) { looked = 0; }

int64_t thrumi_usage_of(struct thrumi_thread *t, uint64_t generation, bool *exact) {
  struct thrumi_kthread *own = __atomic_load_n(&t->kthread, __ATOMIC_RELAXED);
  int64_t clock = own && t->kind != THRUMI_LIGHT ? thrumi_os.cpu_time(own->tid) : -1;
  *exact = clock >= 0;
  if (*exact) return clock;
  struct use *use = use_of(t->slot, false);
  bool ours = use && thrumi_load(&use->id) == (generation << THRUMI_LIFE_BITS | t->slot);
  return ours ? thrumi_load(&use->ns) : 0;
}
