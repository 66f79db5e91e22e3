/* The runtime starts with the first call of thrum, and every OS thread is taken in at its own first call: main
 * as the main thread, any other as a foreign one. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <core/copies.h>
#include <core/fatal.h>
#include <core/settings.h>
#include <sched/exit.h>
#include <sched/fault.h>
#include <sched/self.h>
#include <sched/step.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

enum run_mode { NOT_STARTED, STARTING, STARTED };

static struct {
  pthread_mutex_t mutex; /* not the runtime's: held while libc starts kernel threads */
  thrum_config config;
} start = {.mutex = PTHREAD_MUTEX_INITIALIZER, .config = THRUM_CONFIG_INIT};

/* What the lease needs of the OS. Short of memory it is tried again: nothing may go on without the fence. */
void thrumi_lease_barrier(void) {
  if (thrumi_sched.no_membarrier) {
    atomic_thread_fence(memory_order_seq_cst);
    return;
  }
  int error;
  while ((error = thrumi_os.barrier()) == -ENOMEM) {
  }
  if (error) thrumi_fatal("no membarrier any more: error %d", -error);
}
void thrumi_lease_wait(_Atomic uint32_t *attention, uint32_t seen) {
  thrumi_os.futex_wait(attention, seen, INT64_MAX);
}
void thrumi_lease_notify(_Atomic uint32_t *attention) { thrumi_os.futex_wake(attention, INT32_MAX); }

/* ---- Workers -------------------------------------------------------------------------------------------------- */

/* Outside. Their structs are never freed. */
static int make_workers(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    if (thrumi_load(&thrumi_sched.worker[i])) continue;
    struct thrumi_worker *w = thrumi_os.reserve(sizeof *w); /* pages: aligned, zero */
    if (!w) return -ENOMEM;
    w->id = i;
    thrumi_store(&thrumi_sched.worker[i], w);
  }
  return 0;
}

/* Under the lock: gives every worker in service that nobody holds to a spare, on paper. Returns those spares. */
static struct thrumi_kthread *staff_locked(void) {
  struct thrumi_kthread *list = NULL;
  uint32_t n = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 0; i < n; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    thrumi_and(&w->nudge, ~(uint32_t)THRUMI_NUDGE_RETIRE);
    struct thrumi_kthread *spare = thrumi_load(&w->kthread) ? NULL : thrumi_spare_pop_locked();
    if (!spare) continue;
    thrumi_store(&w->kthread, spare);
    thrumi_sched.held++;
    spare->next_spare = list;
    spare->staffs = w;
    list = spare;
  }
  return list;
}

static void hand_out(struct thrumi_kthread *list) {
  while (list) {
    struct thrumi_kthread *spare = list;
    list = list->next_spare;
    thrumi_hand_over(spare->staffs, spare);
  }
}

/* Inside. False: too few spares; some were captured since they were made. */
static bool put_in_service(uint32_t n) {
  thrumi_spin_lock(&thrumi_sched.lock);
  uint32_t uncaptured =
      thrumi_load_relaxed(&thrumi_sched.schedulers) - thrumi_load_relaxed(&thrumi_sched.captured);
  bool enough = uncaptured > n;
  if (enough) thrumi_store(&thrumi_sched.workers, n);
  struct thrumi_kthread *list = enough ? staff_locked() : NULL;
  thrumi_spin_unlock(&thrumi_sched.lock);
  hand_out(list);
  return enough;
}

/* Inside: the workers from n on stop at their threads' next switch. */
static void put_out_of_service(uint32_t n) {
  for (uint32_t i = n; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    thrumi_or(&w->nudge, (uint32_t)THRUMI_NUDGE_RETIRE);
    struct thrumi_kthread *holder = thrumi_load(&w->kthread);
    if (holder && thrumi_load_relaxed(&w->idle)) thrumi_rouse(holder);
  }
}

static pthread_mutex_t setting = PTHREAD_MUTEX_INITIALIZER; /* one sets the number of workers at a time */

void thrumi_start_fork(void) {
  pthread_mutex_init(&setting, NULL);
  pthread_mutex_init(&start.mutex, NULL);
}

int thrumi_workers_set(uint32_t n) {
  thrum_pin(); /* a pthread mutex belongs to a kernel thread */
  pthread_mutex_lock(&setting);
  int error = make_workers(n);
  for (bool done = false; !error && !done;) {
    error = thrumi_schedulers_ensure(n + 1);
    thrumi_enter();
    if (!error && (done = put_in_service(n))) put_out_of_service(n);
    thrumi_leave(thrumi_self());
  }
  thrumi_monitor_rouse();
  pthread_mutex_unlock(&setting);
  thrum_unpin();
  return error;
}

int thrum_workers(void) {
  thrumi_leave(thrumi_enter());
  return (int)thrumi_load(&thrumi_sched.workers);
}

int thrum_set_workers(int n) {
  if (n < 1 || n > THRUM_WORKERS_MAX) return -EINVAL;
  thrumi_leave(thrumi_enter());
  return thrumi_workers_set((uint32_t)n);
}

thrum_duration thrum_switch_interval(void) {
  thrumi_leave(thrumi_enter());
  return thrumi_load(&thrumi_sched.interval);
}

int thrum_set_switch_interval(thrum_duration interval) {
  if (interval < THRUM_US(100) || interval > THRUM_S(10)) return -EINVAL;
  thrumi_leave(thrumi_enter());
  thrumi_store(&thrumi_sched.interval, interval);
  thrumi_monitor_rouse();
  return 0;
}

/* ---- The end of OS threads that are not ours -------------------------------------------------------------------- */

static void forget_foreign(struct thrumi_kthread *k) {
  struct thrumi_thread *t = k->current;
  thrumi_self_tls = k; /* the destructors of this thread's locals may call thrum */
  thrumi_locals_destroy(t);
  thrumi_check_closed(t, NULL, NULL);
  thrumi_enter();
  thrumi_thread_finish(t, 0);
  thrumi_become(k, NULL);
  thrumi_kthread_end(k);
  thrumi_less_outside(); /* now that it is a stranger again: the deadlock check must see one or the other */
}

/* libc calls this with the value of the key when an OS thread ends. */
static void os_thread_ends(void *value) {
  struct thrumi_kthread *k = value;
  if (k->role == THRUMI_ROLE_FOREIGN) {
    forget_foreign(k);
  } else if (k->current && k->current->kind != THRUMI_MAIN) {
    char name[THRUM_NAME_MAX];
    thrumi_name_copy(k->current, THRUMI_GENERATION(thrumi_load(&k->current->life)), name, sizeof name);
    thrumi_fatal("thread %s ended the kernel thread that carries it (pthread_exit?); use thrum_exit", name);
  }
}

/* ---- Taking threads in ------------------------------------------------------------------------------------------ */

static struct thrumi_thread *make_record(enum thrumi_kind kind, struct thrumi_kthread *k) {
  struct thrumi_thread *t = thrumi_record_take(NULL);
  if (!t) thrumi_fatal("no memory for the record of a thread");
  thrumi_record_reset(t);
  t->fn = NULL; /* nor has it the argument of who had the record before, by which pools know their own */
  t->arg = NULL;
  t->kind = (uint8_t)kind;
  t->kthread = k;
  t->daemon = kind == THRUMI_FOREIGN;
  t->stack_bits = 0;
  thrumi_set_state(t, THRUMI_RUNNING);
  uint64_t generation = THRUMI_GENERATION(thrumi_load_relaxed(&t->life));
  thrumi_store_relaxed(&t->mark, (uint32_t)(generation << THRUMI_LIFE_BITS | t->slot));
  thrumi_store(&t->life, generation << THRUMI_LIFE_BITS | (kind == THRUMI_FOREIGN ? THRUMI_RELEASED : 0));
  return t;
}

static struct thrumi_kthread *adopt(enum thrumi_role role) {
  struct thrumi_kthread *k = thrumi_kthread_new(role);
  if (!k) thrumi_fatal("no memory to take a thread in");
  thrumi_kthread_adopt(k);
  return k;
}

static struct thrumi_kthread *adopt_foreign(void) {
  /* While it is still a stranger: the deadlock check must see one or the other. */
  thrumi_add(&thrumi_sched.outside, 1u);
  struct thrumi_kthread *k = adopt(THRUMI_ROLE_FOREIGN);
  thrumi_become(k, make_record(THRUMI_FOREIGN, k));
  k->current->number = thrumi_add(&thrumi_sched.dummies, 1u) + 1;
  thrumi_step(RUN, run, thrumi_running_on(k), 0, 0);
  return k;
}

static bool is_main(void) { return thrumi_os_tid() == getpid(); }

/* Main holds worker 0 from the start, or, if another thread started the runtime, waits for one like any thread. */
static struct thrumi_kthread *adopt_main(void) {
  struct thrumi_kthread *k = adopt(THRUMI_ROLE_OWNED);
  thrumi_become(k, thrumi_sched.main);
  k->current->kthread = k;
  pthread_sigmask(SIG_SETMASK, NULL, &thrumi_sched.main_mask);
  struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[0]);
  thrumi_spin_lock(&thrumi_sched.lock);
  bool first = !thrumi_sched.staffed;
  struct thrumi_kthread *others = NULL;
  if (first) {
    k->worker = w;
    thrumi_store(&w->kthread, k);
    thrumi_sched.held++;
    others = staff_locked();
  }
  thrumi_sched.staffed = true;
  thrumi_spin_unlock(&thrumi_sched.lock);
  hand_out(others);
  if (first) {
    thrumi_step(RUN, run, thrumi_running_on(k), 0, 0);
    return k;
  }
  thrumi_push_global(k->current, THRUMI_CLASS_READY);
  thrumi_ring(NULL);
  thrumi_wait_given(k);
  return k;
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static int start_kthread(struct thrumi_kthread **out, enum thrumi_role role, void *(*body)(void *)) {
  struct thrumi_kthread *k = thrumi_kthread_new(role);
  if (!k) return -EAGAIN;
  int error = thrumi_kthread_start(k, body);
  if (error)
    thrumi_kthread_discard(k);
  else
    *out = k;
  return error;
}

/* Beside the workers' kernel threads: main, the monitor, the breeder, and a spare. */
enum { KTHREADS_BESIDE = 4 };

/* A bound that is too low for so many workers, be it set or found, leaves fewer of them, but one. */
static void fit_workers(struct thrumi_settings *s) {
  const int wanted = s->workers, bound = s->kernel_threads;
  if (bound >= wanted + KTHREADS_BESIDE) return;
  s->workers = bound > KTHREADS_BESIDE ? bound - KTHREADS_BESIDE : 1;
  s->kernel_threads = s->workers + KTHREADS_BESIDE;
  thrumi_log("at most %d kernel threads are too few for workers: %d, which need %d; using workers: %d. Set "
             "THRUM_KERNEL_THREADS to %d or more, or THRUM_WORKERS to %d",
             bound, wanted, wanted + KTHREADS_BESIDE, s->workers, wanted + KTHREADS_BESIDE, s->workers);
}

static void read_settings(struct thrumi_settings *s) {
  const thrum_config *c = &start.config;
  thrumi_settings_default(s);
  if (!c->ignore_environment) thrumi_settings_environment(s, thrumi_log_write);
  if (c->workers) s->workers = c->workers;
  if (c->kernel_threads) s->kernel_threads = c->kernel_threads;
  if (c->stack_size) s->stack_size = c->stack_size;
  if (c->interval) s->interval = c->interval;
  fit_workers(s);
}

static void apply_settings(const struct thrumi_settings *s) {
  thrumi_sched.kthread_max = (uint32_t)s->kernel_threads;
  thrumi_sched.preempt_signal = start.config.preempt_signal ? start.config.preempt_signal : SIGURG;
  thrumi_store(&thrumi_sched.interval, s->interval);
  thrumi_store(&thrumi_sched.workers, (uint32_t)s->workers);
  thrumi_store(&thrumi_sched.poller_watch, INT64_MAX);
  thrumi_store(&thrumi_sched.monitor_watch, INT64_MAX);
  thrumi_stack_set_default(s->stack_size);
  thrumi_sched.clean_stacks = start.config.measure_stacks;
  thrumi_sched.profile_at_exit = s->profile_locks;
  thrumi_sched.stats_at_exit = s->stats;
  uint32_t mode = (s->check_locks ? THRUMI_MODE_CHECK : 0u) | (s->profile_locks ? THRUMI_MODE_PROFILE : 0u);
  __atomic_fetch_or(&thrumi_mode, mode, __ATOMIC_RELAXED);
}

/* The OS refuses kernel threads for all workers: there are as many of these as it leaves with a spare. */
static int step_down(int error) {
  uint32_t wanted = thrumi_load(&thrumi_sched.workers), have = thrumi_load_relaxed(&thrumi_sched.schedulers);
  if (have < 2) return error;
  thrumi_store(&thrumi_sched.workers, have - 1);
  thrumi_log(
      "the OS refuses kernel threads: using workers: %u, not %u; RLIMIT_NPROC (ulimit -u) and pids.max are the "
      "bounds, thrum_set_workers tries again",
      have - 1, wanted);
  return 0;
}

static void let_begin(struct thrumi_kthread *k) {
  thrumi_store(&k->up, 1);
  thrumi_os.futex_wake(&k->up, 1);
}

/* The kernel threads that must be there. Breeder and monitor come first, since nothing can do without them, and begin last: the breeder
 * would make spares at once, and take what the OS leaves for workers. */
static int start_kthreads(void) {
  int error = start_kthread(&thrumi_sched.breeder, THRUMI_ROLE_MONITOR, thrumi_breeder_main);
  if (!error) error = start_kthread(&thrumi_sched.monitor, THRUMI_ROLE_MONITOR, thrumi_monitor_main);
  if (error) return error;
  error = thrumi_schedulers_ensure(thrumi_load(&thrumi_sched.workers) + 1);
  if (error) error = step_down(error);
  if (error) return error;
  let_begin(thrumi_sched.breeder);
  let_begin(thrumi_sched.monitor);
  return 0;
}

/* Outside. The forker holds worker 0; the others go to spares. */
void thrumi_start_kthreads_again(void) {
  if (start_kthreads() != 0) thrumi_fatal("the child of a fork cannot start its kernel threads");
  thrumi_enter();
  put_in_service(thrumi_load(&thrumi_sched.workers));
  thrumi_leave(thrumi_self());
}

static void start_runtime(void) {
  struct thrumi_settings settings;
  thrumi_log_function = start.config.log;
  thrumi_copies_start();
  thrumi_store(&thrumi_sched.running_mode, (uint32_t)STARTING);
  thrumi_sched.pid = getpid();
  thrumi_sched.no_membarrier = !thrumi_os_start();
  if (thrumi_sched.no_membarrier) thrumi_store(&thrumi_sched.bell, (uint32_t)THRUMI_BELL_FENCE);
  thrumi_kthreads_start();
  thrumi_control_start();
  read_settings(&settings);
  apply_settings(&settings);
  if (pthread_key_create(&thrumi_sched.key, os_thread_ends) != 0)
    thrumi_fatal("libc has no thread-specific key left for thrum");
  if (make_workers((uint32_t)settings.workers) != 0)
    thrumi_fatal("no memory for %d workers", settings.workers);
  thrumi_sched.main = make_record(THRUMI_MAIN, NULL);
  thrumi_sched.main->arg = NULL;
  if (thrumi_preempt_start() != 0)
    thrumi_fatal("signal %d cannot be handled; set thrum_config.preempt_signal", thrumi_sched.preempt_signal);
  if (start_kthreads() != 0)
    thrumi_fatal(
        "no kernel threads to be had: thrum needs %d for one worker; raise RLIMIT_NPROC (ulimit -u) or "
        "pids.max",
        KTHREADS_BESIDE + 1);
  if (is_main()) thrumi_fault_start(&start.config);
  thrumi_exit_start();
  thrumi_fork_start();
  thrumi_trace_begin(!start.config.ignore_environment);
  if (settings.inspect) thrumi_inspect_start();
  thrumi_store(&thrumi_sched.running_mode, (uint32_t)STARTED);
}

/* Without main, the workers go to spares at once. */
static void staff_without_main(void) {
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *list = thrumi_sched.staffed ? NULL : staff_locked();
  thrumi_sched.staffed = true;
  thrumi_spin_unlock(&thrumi_sched.lock);
  hand_out(list);
}

struct thrumi_kthread *thrumi_enter_first(void) {
  if (thrumi_load(&thrumi_sched.running_mode) != STARTED) {
    pthread_mutex_lock(&start.mutex);
    if (thrumi_load(&thrumi_sched.running_mode) != STARTED) start_runtime();
    pthread_mutex_unlock(&start.mutex);
  }
  if (is_main()) return adopt_main();
  struct thrumi_kthread *k = adopt_foreign();
  staff_without_main();
  return k;
}

uint32_t thrumi_attend(struct thrumi_kthread *k) {
  uint32_t seen = thrumi_lease_settle(&k->lease);
  if (seen & THRUMI_PREEMPT) thrumi_and(&k->lease.attention, ~(uint32_t)THRUMI_PREEMPT);
  if (!(seen & THRUMI_SHARE)) return seen;
  thrumi_and(&k->lease.attention, ~(uint32_t)THRUMI_SHARE);
  if (k->worker) thrumi_share(k->worker);
  return seen;
}

void thrumi_enter_slow(struct thrumi_kthread *k) {
  if (thrumi_attend(k) & THRUMI_LOST) thrumi_regain(k);
}

/* A preemption came while the thread was inside. */
void thrumi_leave_slow(void) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_and(&k->lease.attention, ~(uint32_t)THRUMI_PREEMPT);
  struct thrumi_worker *w = k->worker;
  thrumi_store(&k->asked, 0);
  if (w && thrumi_load_relaxed(&w->switches) == k->preempt_at) {
    k->current->hog = true;
    thrumi_add(&thrumi_sched.preemptions, 1u);
    thrumi_yield_as(k, THRUMI_CLASS_HOG);
  }
  thrumi_leave(thrumi_self());
}

/* In a handler, a light thread stays where it is: the kernel's frame of the signal belongs to this kernel thread. The kernel
 * threads of light threads block every signal that does not come from an instruction, so a blocked one of those tells. Whoever
 * asked for the preemption asks again. */
void thrumi_leave_handler_slow(void) {
  const struct thrumi_kthread *k = thrumi_self();
  bool moves = k->role == THRUMI_ROLE_SCHEDULER && !k->current->pins;
  if (!moves || !thrumi_os_may_be_handler(thrumi_sched.preempt_signal)) thrumi_leave_slow();
}

/* What the program's own instructions cause, and what cannot be caught, serves for neither; nor one for both. */
static bool good_signals(const thrum_config *c) {
  int preempt = c->preempt_signal ? c->preempt_signal : SIGURG, dump = c->dump_signal;
  if (!thrumi_os_may_catch(preempt)) return false;
  return dump == THRUM_INHERIT || dump == THRUM_NO || (thrumi_os_may_catch(dump) && dump != preempt);
}

static bool good_config(const thrum_config *c) {
  bool ranges =
      c->workers >= 0 && c->workers <= THRUM_WORKERS_MAX && c->kernel_threads >= 0 && c->interval >= 0;
  bool stack = c->stack_size == 0 || (c->stack_size >= THRUM_STACK_MIN && c->stack_size <= (size_t)1 << 40);
  bool interval = c->interval == 0 || (c->interval >= THRUM_US(100) && c->interval <= THRUM_S(10));
  return c->size == sizeof *c && ranges && stack && interval && good_signals(c);
}

int thrum_configure(const thrum_config *config) {
  if (!config || !good_config(config)) return -EINVAL;
  pthread_mutex_lock(&start.mutex);
  bool started = thrumi_load(&thrumi_sched.running_mode) != NOT_STARTED;
  if (!started) start.config = *config;
  pthread_mutex_unlock(&start.mutex);
  return started ? -EBUSY : 0;
}
