/* Promise 9: switch, park, unpark, spawn from the pool and join make no system call and allocate nothing, nor does what is free of
 * locks and the like, a bounded queue of small items that has been as full before, a select of which a case is ready, and a
 * timer's start and cancel.
 *
 * Watched by the kernel's own means: while a byte says so, each system call of this kernel thread raises
 * SIGSYS instead (syscall user dispatch). Calls of malloc and its like are counted by the linker's --wrap.
 * */
#include "../support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

enum { ROUNDS = 2000, BATCH = 64 };

static char watch = 0; /* 0: let calls pass, 1: raise SIGSYS */
static int calls, first_call;
static int allocations;
static _Thread_local bool counting; /* other kernel threads allocate what they need, at any time */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size) {
  if (counting) allocations++;
  return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  if (counting) allocations++;
  return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
  if (counting) allocations++;
  return __real_realloc(block, size);
}

void __wrap_free(void *block) {
  if (counting) allocations++;
  __real_free(block);
}

/* Notes the call, stops watching and lets it happen after all. */
static void on_call(int signo, siginfo_t *info, void *context) {
  (void)signo;
  watch = 0;
  calls++;
  first_call = info->si_syscall;
#if defined(__x86_64__)
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] -= 2;
#else
  ((ucontext_t *)context)->uc_mcontext.pc -= 4;
#endif
}

static bool watch_this_kernel_thread(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_call;
  action.sa_flags = SA_SIGINFO;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
  CHECK_EQ(sigaction(SIGSYS, &action, NULL), 0);
  return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &watch) == 0;
}

static void begin(void) {
  calls = allocations = 0;
  counting = true;
  __asm__ volatile("" ::: "memory");
  watch = 1;
}

static void end(const char *what) {
  watch = 0;
  counting = false;
  if (calls) check_failed(__FILE__, __LINE__, "%s made system call %d", what, first_call);
  if (allocations) check_failed(__FILE__, __LINE__, "%s called malloc or free %d times", what, allocations);
}

static bool begun, done;

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static intptr_t yield_until_done(void *arg) {
  (void)arg;
  begun = true;
  while (!done) thrum_yield();
  return 0;
}

static intptr_t wait_for(void *arg) { return thrum_wait(*(thrum_thread *)arg); }

static void yields(void) {
  begun = done = false;
  thrum_thread t = must_spawn(yield_until_done, NULL);
  while (!begun) thrum_yield();
  begin();
  for (int i = 0; i < ROUNDS; i++) thrum_yield();
  end("a switch");
  done = true;
  CHECK_EQ(must_join(t), 0);
}

static void spawn_and_join(void) {
  thrum_thread threads[BATCH];
  for (int i = 0; i < BATCH; i++) threads[i] = must_spawn(nothing, NULL);
  for (int i = 0; i < BATCH; i++) CHECK_EQ(must_join(threads[i]), 0);
  begin();
  for (int i = 0; i < BATCH; i++) threads[i] = must_spawn(nothing, (void *)(intptr_t)i);
  for (int i = 0; i < BATCH; i++) CHECK_EQ(must_join(threads[i]), i);
  end("spawn from the pool, or join");
}

/* Waiters that really park: they run before the one they wait for ends, which wakes them all. */
static void parks(void) {
  thrum_thread target, waiters[BATCH];
  for (int warm = 1; warm >= 0; warm--) {
    done = false;
    target = must_spawn(yield_until_done, NULL);
    if (!warm) begin();
    for (int i = 0; i < BATCH; i++) waiters[i] = must_spawn(wait_for, &target);
    for (int i = 0; i < 4; i++) thrum_yield();
    done = true;
    for (int i = 0; i < BATCH; i++) CHECK_EQ(must_join(waiters[i]), 0);
    if (!warm) end("park or unpark");
    CHECK_EQ(must_join(target), 0);
  }
}

static void questions(void) {
  static thrum_local local;
  thrum_thread me = thrum_current();
  CHECK_EQ(thrum_local_set(&local, &local), 0);
  begin();
  bool right = thrum_same(me, thrum_current()) && thrum_is_alive(me) && thrum_local_get(&local) == &local;
  right = right && thrum_local_set(&local, NULL) == 0 && thrum_workers() == 1;
  right = right && thrum_join_for(me, NULL, 0) == -EDEADLK;
  end("a question");
  CHECK(right);
}

/* ---- Objects ----------------------------------------------------------------------------------------------------------- */

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_gil gil;
static thrum_sem sem = THRUM_SEM_INIT(1);
static thrum_event event;
static thrum_waitgroup group;
static thrum_once once;
static thrum_cond cond;

static void locks(void) {
  bool right = true;
  begin();
  for (int i = 0; i < ROUNDS; i++) {
    THRUM_LOCKED(&lock) thrum_cond_notify(&cond, 1); /* nobody waits */
    THRUM_RLOCKED(&rlock) THRUM_RLOCKED(&rlock) {}
    THRUM_READ_LOCKED(&rwlock) {}
    THRUM_WRITE_LOCKED(&rwlock) {}
    THRUM_GIL_LOCKED(&gil) thrum_gil_check(&gil);
    right &= thrum_lock_try_acquire(&lock) == 0 && thrum_lock_try_acquire(&lock) == -EAGAIN;
    right &= thrum_lock_acquire_for(&lock, 0) == -ETIMEDOUT && thrum_lock_release(&lock) == 0;
    thrum_rwlock_acquire_write(&rwlock);
    right &= thrum_rwlock_downgrade(&rwlock) == 0 && thrum_rwlock_try_upgrade(&rwlock) == 0;
    right &= thrum_rwlock_release_write(&rwlock) == 0;
  }
  end("a lock that is free");
  CHECK(right);
}

static void others(void) {
  thrum_barrier alone = THRUM_BARRIER_INIT(1);
  bool right = thrum_once_call(&once, nothing, NULL) == 0;
  begin();
  for (int i = 0; i < ROUNDS; i++) {
    thrum_sem_acquire(&sem);
    right &= thrum_sem_acquire_for(&sem, 0) == -ETIMEDOUT && thrum_sem_release(&sem, 1) == 0;
    thrum_event_set(&event);
    thrum_event_wait(&event);
    thrum_event_clear(&event);
    right &= thrum_event_wait_for(&event, 0) == -ETIMEDOUT;
    thrum_waitgroup_add(&group, 1);
    right &= thrum_waitgroup_wait_for(&group, 0) == -ETIMEDOUT;
    thrum_waitgroup_done(&group);
    thrum_waitgroup_wait(&group);
    right &= thrum_once_call(&once, nothing, &once) == 0;
    right &= thrum_barrier_wait(&alone) == 0;
  }
  end("an object that nobody waits for");
  CHECK(right);
}

/* With somebody who waits: two threads that let each other go in turn, by every object. */
static thrum_cond turn_has_come;
static thrum_event your_turn;
static thrum_sem units;
static thrum_barrier both = THRUM_BARRIER_INIT(2);
static int turn;

static intptr_t take_turns(void *me) {
  for (int i = 0; i < ROUNDS; i++) {
    THRUM_LOCKED(&lock) {
      while ((turn & 1) != (int)(intptr_t)me) thrum_cond_wait(&turn_has_come, &lock);
      turn++;
      thrum_cond_notify(&turn_has_come, 1);
    }
    thrum_barrier_wait(&both);
    if (me)
      thrum_event_wait(&your_turn);
    else
      thrum_event_set(&your_turn);
    if (me)
      thrum_sem_acquire(&units);
    else
      thrum_sem_release(&units, 1);
    if (thrum_barrier_wait(&both) == 0) thrum_event_clear(&your_turn);
  }
  return 0;
}

static void turns(void) {
  for (int warm = 1; warm >= 0; warm--) {
    thrum_thread other = must_spawn(take_turns, (void *)1);
    if (!warm) begin();
    take_turns(NULL);
    CHECK_EQ(must_join(other), 0);
    if (!warm) end("waiting for each other");
  }
  CHECK_EQ(turn, 4 * ROUNDS);
}

/* ---- Queues, selects, timers ------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* In all ways, so often that it goes round. False: some call has not done what it should. */
static bool fill_and_empty(thrum_queue *q) {
  int items[BATCH] = {0}, n;
  bool right = thrum_queue_put_many(q, items, BATCH) == BATCH && thrum_queue_is_full(q);
  right &= thrum_queue_try_put(q, items) == -EAGAIN && thrum_queue_put_for(q, items, 0) == -ETIMEDOUT;
  right &= thrum_queue_get_many(q, items, BATCH) == BATCH && thrum_queue_try_get(q, &n) == -EAGAIN;
  for (int i = 0; i < 2 * BATCH; i++) {
    right &= thrum_queue_put(q, &i) == 0 && thrum_queue_try_put(q, &i) == 0;
    right &= thrum_queue_get(q, &n) == 0 && thrum_queue_get_for(q, &n, THRUM_S(1)) == 0;
    right &= thrum_queue_task_done(q) == 0 && thrum_queue_task_done(q) == 0;
  }
  for (int i = 0; i < BATCH; i++) right &= thrum_queue_task_done(q) == 0;
  return right && thrum_queue_join(q) == 0;
}

static void queues(void) {
  for (int order = THRUM_FIFO; order <= THRUM_PRIORITY; order++) {
    thrum_queue q;
    thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
    o.order = (enum thrum_order)order;
    o.compare = order == THRUM_PRIORITY ? ascending : NULL;
    CHECK_EQ(thrum_queue_init(&q, sizeof(int), BATCH, &o), 0);
    CHECK(fill_and_empty(&q));
    begin();
    bool right = fill_and_empty(&q);
    end("a put or get that need not wait");
    CHECK(right);
    CHECK_EQ(thrum_queue_destroy(&q), 0);
  }
}

static thrum_queue meeting;

static intptr_t get_all(void *arg) {
  int n;
  (void)arg;
  while (thrum_queue_get(&meeting, &n) == 0) continue;
  return 0;
}

/* From hand to hand: each put waits for the get. */
static void rendezvous(void) {
  CHECK_EQ(thrum_queue_init(&meeting, sizeof(int), THRUM_RENDEZVOUS, NULL), 0);
  thrum_thread getter = must_spawn(get_all, NULL);
  bool right = true;
  for (int i = 0; i < ROUNDS; i++) {
    if (i == BATCH) begin();
    right &= thrum_queue_put(&meeting, &i) == 0;
  }
  end("a rendezvous");
  CHECK(right);
  CHECK_EQ(thrum_queue_shutdown(&meeting, false), 0);
  CHECK_EQ(must_join(getter), 0);
}

static void selects(void) {
  thrum_queue q = THRUM_QUEUE_INIT(int, 1);
  int one = 1, got = 0, chosen = 0;
  bool right = thrum_queue_put(&q, &one) == 0 && thrum_queue_get(&q, &got) == 0;
  begin();
  for (int i = 0; i < ROUNDS; i++) {
    thrum_case c[] = {thrum_case_get(&q, &got), thrum_case_put(&q, &one), thrum_case_event(&event)};
    chosen += thrum_select(c, 3); /* puts and gets in turn */
    thrum_event_set(&event);
    right &= thrum_select_for(&c[2], 1, THRUM_S(1)) == 0;
    thrum_event_clear(&event);
    right &= thrum_try_select(&c[2], 1) == -EAGAIN;
    c[2] = thrum_case_after(0);
    right &= thrum_select(&c[2], 1) == 0;
  }
  end("a select that need not wait");
  CHECK(right);
  CHECK_EQ(chosen, ROUNDS / 2);
}

/* One far timer goes before them: none of these is the next. */
static void timers(void) {
  static thrum_timer first, each[BATCH];
  CHECK_EQ(thrum_timer_start(&first, THRUM_S(1000), nothing, NULL), 0);
  bool right = true;
  begin();
  for (int i = 0; i < BATCH; i++) right &= thrum_timer_start(&each[i], THRUM_S(2000 + i), nothing, NULL) == 0;
  for (int i = 0; i < BATCH; i++) right &= thrum_timer_restart(&each[i], THRUM_S(3000 - i)) == 0;
  for (int i = 0; i < BATCH; i++) right &= thrum_timer_pending(&each[i]) && thrum_timer_cancel(&each[i]) == 1;
  end("a timer's start or cancel");
  CHECK(right);
  CHECK_EQ(thrum_timer_cancel(&first), 1);
}

/* The watch itself must work, or the rest proves nothing. */
static void watch_sees_calls(void) {
  begin();
  syscall(SYS_getppid);
  watch = 0;
  void *volatile block = malloc(10);
  free(block);
  counting = false;
  CHECK_EQ(calls, 1);
  CHECK_EQ(first_call, SYS_getppid);
  CHECK_EQ(allocations, 2);
}

static intptr_t body(void *arg) {
  (void)arg;
  if (!watch_this_kernel_thread()) CHECK_SKIP("this kernel has no syscall user dispatch");
  watch_sees_calls();
  yields();
  spawn_and_join();
  parks();
  questions();
  locks();
  others();
  turns();
  queues();
  rendezvous();
  selects();
  timers();
  return 0;
}

int main(void) {
  if (TESTS_SANITIZED) CHECK_SKIP("the sanitizers make calls of their own");
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0); /* no preemption moves us to another kernel thread */
  return (int)thrum_run(body, NULL);
}
