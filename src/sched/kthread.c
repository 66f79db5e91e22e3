/* Kernel threads: made, kept as spares, given back.
 *
 * Their structs are never freed but used again, so whoever read a pointer to one from a worker may still look at
 * it. Making a kernel thread goes through libc, which takes malloc's locks: a thread that was preempted inside
 * malloc may hold them. Nobody who is inside the runtime, and never the monitor, may therefore do it: a kernel thread
 * of its own, the breeder, makes spares when asked, so that they are there before they are needed. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <errno.h>
#include <sched/cycle.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/trace.h>
#include <unistd.h>

enum { SIGNAL_STACK = 64 * 1024, SPARES_KEPT = 4 };
#define TRIM_EVERY THRUM_MS(100)

/* Read by assembly alone, which an optimiser of the whole program does not see. */
_Thread_local struct thrumi_kthread *thrumi_self_tls __attribute__((used, tls_model("initial-exec")));
_Thread_local uint32_t thrumi_mark_tls __attribute__((used, tls_model("initial-exec")));

uintptr_t *__cxa_get_globals(void) __attribute__((weak));

static struct {
  struct thrumi_kthread *free; /* structs of ended ones, under sched.lock */
  struct thrumi_kthread
      *left[2]; /* by the fork that this process comes from: those of then, and those ended by then */
} pool;

/* ---- Forks under AddressSanitizer ---------------------------------------------------------------------------- */

/* libc takes malloc's locks around a fork, so that the child finds them free. gcc 12's AddressSanitizer has its own allocator, and does
 * not: a lock that another kernel thread holds at that moment is held for ever in the child, and what the child starts first
 * waits for it. That the program's threads may be in malloc then is the program's affair, under any such allocator. But kernel
 * threads come and go without its doing, and allocate as they do: pthread_create makes their thread-locals, the sanitizer and
 * thrumi_kthread_adopt ask for more, and all of it is freed when they end. So in these builds a fork waits until none is on its
 * way, and none sets out meanwhile. In others there is nothing to wait for, and a fork should wait for nobody.
 *
 * `nursery`: lower half, how many make a kernel thread or are one that has not been adopted yet; upper half, how many fork.
 *
 *   by whom                        what                                         when
 *   who makes one                  adds 2, if nobody forks; takes off 1         before; when it has been made
 *   the one that is made           takes off 1                                  adopted
 *   who allocates a struct for it  adds 1, if nobody forks; takes it off        around that
 *   who forks                      adds FORKING; waits until nobody makes any   before
 *   who has forked                 takes FORKING off                            behind, in the parent; in the child it is 0
 *
 * `going` is held by a kernel thread that ends, to its very end: it is robust, so that the kernel says when that was.
 *
 * Nobody waits in a circle. Who makes one waits for forks alone, before it begins, and forks end by themselves. Who forks waits for
 * those that have begun. These may have been preempted, or wait for locks of the allocator, whose holders may have been. The
 * forker waits in a plain call, outside of the runtime and with no lock: if it has a worker the monitor takes that away, as from any
 * thread that blocks, and the spares that are kept for such calls run those that were preempted. */
#if THRUMI_ASAN
enum { FORKING = 1 << 16 };

static _Atomic uint32_t nursery;
static pthread_mutex_t going;

static void nursery_enter(uint32_t n) {
  uint32_t seen = thrumi_load(&nursery);
  while (seen >= FORKING || !thrumi_cas(&nursery, &seen, seen + n)) {
    if (seen < FORKING) continue;
    thrumi_os.futex_wait(&nursery, seen, INT64_MAX);
    seen = thrumi_load(&nursery);
  }
}

static void nursery_leave(uint32_t n) {
  if (thrumi_add(&nursery, -n) >= FORKING) thrumi_os.futex_wake(&nursery, INT32_MAX);
}

/* The one that held it may have ended so. */
static void lock_going(void) {
  if (pthread_mutex_lock(&going) == EOWNERDEAD) pthread_mutex_consistent(&going);
}

static void nursery_new(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&going, &attributes);
  pthread_mutexattr_destroy(&attributes);
  thrumi_store(&nursery, 0);
}

void thrumi_kthreads_hold(void) {
  thrumi_add(&nursery, (uint32_t)FORKING);
  for (uint32_t seen; (seen = thrumi_load(&nursery)) % FORKING;)
    thrumi_os.futex_wait(&nursery, seen, INT64_MAX);
  lock_going();
}

void thrumi_kthreads_go_on(void) {
  pthread_mutex_unlock(&going);
  nursery_leave(FORKING);
}
#else
static void nursery_enter(uint32_t n) { (void)n; }
static void nursery_leave(uint32_t n) { (void)n; }
static void nursery_new(void) {}
static void lock_going(void) {}
void thrumi_kthreads_hold(void) {}
void thrumi_kthreads_go_on(void) {}
#endif

void thrumi_kthreads_start(void) { nursery_new(); }

/* The lists may be half changed, so they are left alone; leak checkers are to see that they are not lost. There is one struct that
 * nobody else can have in hand: the forker's own, which it needs no more once it is made main. */
void thrumi_kthread_fork(struct thrumi_kthread *own) {
  nursery_new();
  pool.left[0] = thrumi_sched.all;
  if (pool.free) pool.left[1] = pool.free;
  thrumi_sched.all = NULL;
  own->next_spare = NULL;
  pool.free = own;
}

/* ---- Making ------------------------------------------------------------------------------------------------ */

static void enlist(struct thrumi_kthread *k) {
  k->next = thrumi_sched.all;
  k->prev = NULL;
  if (k->next) k->next->prev = k;
  thrumi_sched.all = k;
}

static void delist(struct thrumi_kthread *k) {
  *(k->prev ? &k->prev->next : &thrumi_sched.all) = k->next;
  if (k->next) k->next->prev = k->prev;
}

/* Counts one more kernel thread. False: the bound is reached. Foreign ones are not ours to bound. */
static bool admit(enum thrumi_role role) {
  uint32_t n = thrumi_load_relaxed(&thrumi_sched.kthreads) + 1;
  if (n > thrumi_sched.kthread_max && role != THRUMI_ROLE_FOREIGN) return false;
  thrumi_store_relaxed(&thrumi_sched.kthreads, n);
  if (n > thrumi_load_relaxed(&thrumi_sched.kthreads_peak))
    thrumi_store_relaxed(&thrumi_sched.kthreads_peak, n);
  return true;
}

/* The lock, for code outside the runtime: who can be preempted must be inside while it holds it. */
static struct thrumi_kthread *lock(void) {
  struct thrumi_kthread *self = thrumi_self() ? thrumi_enter() : NULL;
  thrumi_spin_lock(&thrumi_sched.lock);
  return self;
}

static void unlock(struct thrumi_kthread *self) {
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (self) thrumi_leave(self);
}

static struct thrumi_kthread *allocate(void) {
  nursery_enter(1);
  struct thrumi_kthread *k = thrumi_os.allocate(sizeof *k);
  nursery_leave(1);
  return k;
}

struct thrumi_kthread *thrumi_kthread_new(enum thrumi_role role) {
  struct thrumi_kthread *self = lock();
  struct thrumi_kthread *k = pool.free;
  bool admitted = admit(role);
  if (admitted && k) pool.free = k->next_spare;
  unlock(self);
  if (!admitted) return NULL;
  if (!k) k = allocate();
  if (!k) {
    self = lock();
    thrumi_store_relaxed(&thrumi_sched.kthreads, thrumi_load_relaxed(&thrumi_sched.kthreads) - 1);
    unlock(self);
    return NULL;
  }
  memset(k, 0, sizeof *k);
  k->role = (uint8_t)role;
  k->lease.inside = 1;
  k->lease.attention = thrumi_sched.no_membarrier ? THRUMI_FENCE : 0;
  self = lock();
  enlist(k);
  unlock(self);
  return k;
}

/* The struct goes to the pool; the caller has ended its use. */
void thrumi_kthread_discard(struct thrumi_kthread *k) {
  struct thrumi_kthread *self = lock();
  delist(k);
  thrumi_store_relaxed(&thrumi_sched.kthreads, thrumi_load_relaxed(&thrumi_sched.kthreads) - 1);
  k->next_spare = pool.free;
  pool.free = k;
  unlock(self);
}

/* A stack for signal handlers: the thread's own may be full. */
static void give_signal_stack(struct thrumi_kthread *k) {
  stack_t former;
  if (sigaltstack(NULL, &former) == 0 && !(former.ss_flags & SS_DISABLE))
    return; /* a foreign program's own */
  k->signal_stack = thrumi_os.reserve(SIGNAL_STACK);
  if (!k->signal_stack) return;
  stack_t ours = {.ss_sp = k->signal_stack, .ss_size = SIGNAL_STACK};
  sigaltstack(&ours, NULL);
}

static void take_signal_stack(struct thrumi_kthread *k) {
  if (!k->signal_stack) return;
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  thrumi_os.release(k->signal_stack, SIGNAL_STACK);
  k->signal_stack = NULL;
}

/* Where the native stack lies. glibc reads /proc for the main thread's, so only sanitizers pay for that. */
static void find_native_stack(struct thrumi_kthread *k) {
#if THRUMI_ASAN
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void *low = NULL;
  pthread_attr_getstack(&attributes, &low, &k->native_size);
  k->native_low = low;
  pthread_attr_destroy(&attributes);
#else
  (void)k;
#endif
}

void thrumi_kthread_adopt(struct thrumi_kthread *k) {
  k->tid = thrumi_os_tid();
  k->pthread = pthread_self();
  k->errno_address = __errno_location();
  k->cxa = __cxa_get_globals ? __cxa_get_globals() : NULL;
  if (k->role != THRUMI_ROLE_FOREIGN) give_signal_stack(k);
  find_native_stack(k);
#if THRUMI_TSAN
  k->fiber = __tsan_get_current_fiber();
  AnnotateBenignRaceSized(__FILE__, __LINE__, k->errno_address, sizeof *k->errno_address,
                          "each thread has its own");
#endif
  thrumi_ignore_begin(); /* it is born inside */
  pthread_setspecific(thrumi_sched.key, k);
  thrumi_self_tls = k;
  thrumi_add(&thrumi_sched.kthreads_come, 1u);
  if (k->coming) nursery_leave(1);
  k->coming = false;
}

int thrumi_kthread_start(struct thrumi_kthread *k, void *(*body)(void *)) {
  pthread_t id;
  nursery_enter(2);
  k->coming = true; /* and then it is the other one's */
  int error = thrumi_os.create(&id, body, k, thrumi_sched.preempt_signal);
  nursery_leave(error ? 2 : 1);
  return error ? -EAGAIN : 0;
}

void thrumi_kthread_end(struct thrumi_kthread *k) {
  if (k->role != THRUMI_ROLE_FOREIGN) lock_going(); /* those have destructors of the program's before them */
  take_signal_stack(k);
  pthread_setspecific(thrumi_sched.key, NULL);
  thrumi_self_tls = NULL;
  thrumi_add(&thrumi_sched.kthreads_gone, 1u);
  thrumi_kthread_discard(k);
  thrumi_ignore_end();
}

/* ---- Spares -------------------------------------------------------------------------------------------------- */

struct thrumi_kthread *thrumi_spare_pop_locked(void) {
  struct thrumi_kthread *k = thrumi_sched.spares;
  if (!k) return NULL;
  thrumi_sched.spares = k->next_spare;
  thrumi_store_relaxed(&thrumi_sched.spare_count, thrumi_load_relaxed(&thrumi_sched.spare_count) - 1);
  return k;
}

void thrumi_spare_push_locked(struct thrumi_kthread *k) {
  k->next_spare = thrumi_sched.spares;
  thrumi_sched.spares = k;
  thrumi_store_relaxed(&thrumi_sched.spare_count, thrumi_load_relaxed(&thrumi_sched.spare_count) + 1);
}

/* Scheduler kthreads count from when they are on the list of spares until they are taken off it for good: what
 * invariant S says must be true whenever the lock is free. */
static void count_schedulers_locked(int change) {
  thrumi_store_relaxed(&thrumi_sched.schedulers,
                       thrumi_load_relaxed(&thrumi_sched.schedulers) + (uint32_t)change);
}

static void *scheduler_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_os_name_thread("thrum-worker");
  thrumi_kthread_adopt(k);
  thrumi_os_short_slice(THRUMI_SHORT_SLICE);
  thrumi_spin_lock(&thrumi_sched.lock);
  thrumi_spare_push_locked(k);
  count_schedulers_locked(+1);
  thrumi_spin_unlock(&thrumi_sched.lock);
  thrumi_add(&thrumi_sched.born, 1u);
  thrumi_os.futex_wake(&thrumi_sched.born, INT32_MAX);
  thrumi_scheduler_loop(k);
  thrumi_kthread_end(k);
  return NULL;
}

/* One more spare, which is on the list when this returns. */
static int make_spare(void) {
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_SCHEDULER);
  if (!k) return -EAGAIN;
  uint32_t born = thrumi_load(&thrumi_sched.born);
  int error = thrumi_kthread_start(k, scheduler_main);
  if (error) {
    thrumi_kthread_discard(k);
    return error;
  }
  while (thrumi_load(&thrumi_sched.born) == born) thrumi_os.futex_wait(&thrumi_sched.born, born, INT64_MAX);
  return 0;
}

static uint32_t uncaptured(void) {
  return thrumi_load_relaxed(&thrumi_sched.schedulers) - thrumi_load_relaxed(&thrumi_sched.captured);
}

int thrumi_schedulers_ensure(uint32_t n) {
  while (uncaptured() < n) {
    int error = make_spare();
    if (error) return error;
  }
  return 0;
}

/* ---- The breeder ----------------------------------------------------------------------------------------------- */

void thrumi_breed(void) {
  if (thrumi_sched.breeder) thrumi_rouse(thrumi_sched.breeder);
}

static uint32_t needed(void) {
  uint32_t workers = thrumi_load_relaxed(&thrumi_sched.workers),
           held = thrumi_load_relaxed(&thrumi_sched.held);
  return (workers > held ? workers : held) + SPARES_KEPT;
}

bool thrumi_too_many_spares(void) { return uncaptured() > needed(); }

/* Sends one spare home if there are more than are needed. It wakes without a worker, and ends. False: none. */
static bool trim_one(void) {
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *k = NULL;
  if (thrumi_load_relaxed(&thrumi_sched.spare_count) > SPARES_KEPT && thrumi_too_many_spares())
    k = thrumi_spare_pop_locked();
  if (k) count_schedulers_locked(-1);
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (!k) return false;
  thrumi_swap(&k->given, 1);
  thrumi_os.futex_wake(&k->given, 1);
  return true;
}

/* A quarter of what is too much at a time: the next burst may be near. */
static void trim(void) {
  uint32_t have = uncaptured(), need = needed();
  for (uint32_t n = have > need ? (have - need + 3) / 4 : 0; n && trim_one(); n--) {
  }
}

static bool wants_spares(void) {
  bool few = thrumi_load_relaxed(&thrumi_sched.spare_count) < 2 || !thrumi_may_capture_locked(); /* hints */
  return few && uncaptured() < needed();
}

/* Once: what the bound, or the OS, keeps the program from having. */
static void say_refused(void) {
  static bool said;
  if (said) return;
  said = true;
  thrumi_log("no more kernel threads (%u of at most %u): threads that never call thrum keep their workers; "
             "THRUM_KERNEL_THREADS, RLIMIT_NPROC and pids.max are the bounds",
             thrumi_load_relaxed(&thrumi_sched.kthreads), thrumi_sched.kthread_max);
}

void *thrumi_breeder_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_os_name_thread("thrum-breeder");
  thrumi_kthread_adopt(k);
  thrumi_await_up(k);
  thrumi_os_short_slice(THRUMI_SHORT_SLICE);
  int64_t trim_at = INT64_MAX; /* kept while it is woken for other things */
  for (;;) {
    thrumi_store(&k->go, THRUMI_ASLEEP_FUTEX);
    bool refused = false;
    while (wants_spares() && !refused) refused = make_spare() != 0;
    thrumi_store_relaxed(&thrumi_sched.barren, refused);
    if (refused && thrumi_load_relaxed(&thrumi_sched.refused)) say_refused();
    if (thrumi_swap(&thrumi_sched.dump_wanted, false)) thrum_dump(STDERR_FILENO);
    int64_t now = thrumi_os.now();
    if (now >= trim_at) trim();
    if (!thrumi_too_many_spares())
      trim_at = INT64_MAX;
    else if (now >= trim_at || trim_at == INT64_MAX)
      trim_at = now + TRIM_EVERY;
    int64_t next = thrumi_stack_trim(now), cycles_at = thrumi_cycle_examine(now);
    if (trim_at < next) next = trim_at;
    thrumi_doze(k, cycles_at < next ? cycles_at : next, false);
  }
  return NULL;
}
