/* While an OS thread that thrum does not know keeps the verdict open, the monitor looks again and again. It asks once a look whether
 * the program has signal handlers, which is 60 system calls, and not for each thread that one of them might wake. */
#include "../support.h"

#include <core/atomic.h>
#include <os/os.h>
#include <signal.h>

enum { WAITERS = 200, LOOKS = 4 };

static thrum_event event;
static int looks, asked;

/* How often the dispositions are read can be seen by one signal. */
int __real_sigaction(int signo, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *new, struct sigaction *old) {
  if (signo == SIGHUP && !new) ADD(asked, 1);
  return __real_sigaction(signo, new, old);
}

/* The last question but one of each look. */
static int count_threads(void) {
  ADD(looks, 1);
  return thrumi_os_linux.thread_count();
}

static void *stranger(void *arg) {
  AWAIT_OUTSIDE(LOAD(looks) >= LOOKS);
  thrum_event_set(&event);
  return arg;
}

static intptr_t wait_for_it(void *arg) { return thrum_event_wait(&event), (intptr_t)arg; }

int main(void) {
  static thrum_thread waiters[WAITERS];
  pthread_t thread;
  thrumi_os.thread_count = count_threads;
  for (int i = 0; i < WAITERS; i++) waiters[i] = must_spawn(wait_for_it, NULL);
  CHECK_EQ(pthread_create(&thread, NULL, stranger, NULL), 0);
  thrum_event_wait(&event);
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(waiters[i]), 0);
  CHECK(LOAD(asked) > 0);
  CHECK(LOAD(asked) <= LOAD(looks) + 1);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  return 0;
}
