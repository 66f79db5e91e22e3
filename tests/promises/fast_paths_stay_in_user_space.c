/* Promise 9: switch, park, unpark, spawn from the pool and join make no system call and allocate nothing.
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
  return 0;
}

int main(void) {
  if (TESTS_SANITIZED) CHECK_SKIP("the sanitizers make calls of their own");
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0); /* no preemption moves us to another kernel thread */
  return (int)thrum_run(body, NULL);
}
