/* An event may be set and a semaphore released in a signal handler, whatever that interrupts: threads in the midst of the
 * runtime, with its locks held; threads that wait; OS threads that never called thrum. No wake-up is lost: each signal lets
 * somebody go on, however the signals come, and no unit is made or lost. */
#include "../support.h"

#include <signal.h>

enum { SIGNALS = TESTS_SANITIZED ? 600 : 3000, WAITERS = 12, BATCH = 3 };

static thrum_sem units;
static thrum_event event, turns[2];
static int handled, set_by_handler; /* by handlers alone */
static int taken, crowd_stop, at_once;
static pthread_t target;

/* ---- Handlers --------------------------------------------------------------------------------------------------------- */

static void on_release(int signo) {
  (void)signo;
  int saved = errno;
  if (thrum_sem_release(&units, BATCH) == 0) __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
  errno = saved;
}

/* Those who wait now go; those who wait after this do not. */
static void on_set(int signo) {
  (void)signo;
  thrum_event_set(&event);
  thrum_event_clear(&event);
  __atomic_add_fetch(&set_by_handler, 1, __ATOMIC_RELEASE);
}

static void handle_by(int signo, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_RESTART};
  sigemptyset(&action.sa_mask);
  CHECK_EQ(sigaction(signo, &action, NULL), 0);
}

/* ---- Units from handlers, taken by threads of all kinds ------------------------------------------------------------------ */

static intptr_t take_units(void *number) {
  int i = (int)(intptr_t)number;
  for (;;) {
    if (i++ % 3 == 0)
      thrum_sem_acquire(&units);
    else if (thrum_sem_acquire_for(&units, i % 3 == 1 ? THRUM_US(i % 60) : THRUM_FOREVER) != 0)
      continue;
    if (LOAD(crowd_stop)) return 0;
    ADD(taken, 1);
  }
}

static struct hogs no_hogs = {.stop = true};
static struct hog short_one = {.all = &no_hogs};

/* Is inside the runtime most of the time, on the same buckets and queues as those who are woken. */
static void hammer(int i) {
  static thrum_lock lock;
  switch (i % 4) {
  case 0: thrum_yield(); break;
  case 1:
    if (thrum_sem_acquire_for(&units, 1) == 0) ADD(taken, 1);
    break;
  case 2: CHECK_EQ(must_join(must_spawn(hog_loop, &short_one)), 0); break;
  default: THRUM_LOCKED(&lock) thrum_yield(); break;
  }
}

static void send(int signo) { CHECK_EQ(pthread_kill(target, signo), 0); }

/* One after the other, as fast as the target takes them: the kernel keeps one of a kind pending. */
static void *send_many(void *unused) {
  (void)unused;
  for (int i = 0; i < SIGNALS; i++) {
    int before = LOAD(handled);
    send(SIGUSR1);
    while (LOAD(handled) == before) usleep(1);
  }
  STORE(at_once, 1);
  return NULL;
}

/* The target is the caller, which does `what` until all signals were handled. */
static void release_into(void (*what)(int)) {
  static struct crowd crowd;
  pthread_t sender;
  taken = handled = crowd_stop = at_once = 0;
  target = pthread_self();
  crowd_start(&crowd, WAITERS, take_units);
  CHECK_EQ(pthread_create(&sender, NULL, send_many, NULL), 0);
  for (int i = 0; !LOAD(at_once); i++) what(i);
  CHECK_EQ(thrum_blocking(outsider_join, &sender), 0);
  AWAIT(LOAD(taken) == handled * BATCH);
  CHECK_EQ(handled, SIGNALS);
  STORE(crowd_stop, 1);
  CHECK_EQ(thrum_sem_release(&units, WAITERS), 0);
  crowd_join(&crowd);
  CHECK_EQ(thrum_sem_value(&units), 0);
}

static void sleep_a_little(int i) { CHECK_EQ(thrum_sleep(THRUM_US(i % 100)), 0); }
static void compute(int i) {
  for (volatile int n = 0; n < 1000 + i % 7; n++) continue;
}

static intptr_t hammer_bound(void *unused) {
  (void)unused;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
  release_into(hammer);
  return 0;
}

/* An OS thread that thrum never saw: it only gets signals. */
static bool stranger_stop;

static void *be_a_stranger(void *unused) {
  (void)unused;
  while (!__atomic_load_n(&stranger_stop, __ATOMIC_RELAXED)) continue;
  return NULL;
}

static void release_in_stranger(void) {
  static struct crowd crowd;
  pthread_t sender;
  taken = handled = crowd_stop = at_once = 0;
  CHECK_EQ(pthread_create(&target, NULL, be_a_stranger, NULL), 0);
  crowd_start(&crowd, WAITERS, take_units);
  CHECK_EQ(pthread_create(&sender, NULL, send_many, NULL), 0);
  AWAIT(LOAD(at_once));
  AWAIT(LOAD(taken) == SIGNALS * BATCH);
  STORE(crowd_stop, 1);
  CHECK_EQ(thrum_sem_release(&units, WAITERS), 0);
  crowd_join(&crowd);
  STORE(stranger_stop, true);
  CHECK(pthread_join(sender, NULL) == 0 && pthread_join(target, NULL) == 0);
}

/* ---- Sets ------------------------------------------------------------------------------------------------------------------- */

/* Main waits itself, inside the runtime, until a handler on its own kernel thread sets what it waits for. */
static void main_waits_for_its_handler(void) {
  handle_by(SIGUSR2, on_set, 0);
  for (int i = 0; i < SIGNALS / 20; i++) {
    timer_t timer;
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec when = {.it_value.tv_nsec = 1000 + i % 300 * 1000, .it_interval.tv_nsec = 200 * 1000};
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &how, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &when, NULL), 0);
    thrum_event_wait(&event);
    CHECK_EQ(timer_delete(timer), 0);
  }
}

/* A timer's signals hit two threads that pass a turn to each other through events, and main. */
static intptr_t pass_turns(void *number) {
  int i = (int)(intptr_t)number;
  for (int n = 0; n < SIGNALS; n++) {
    thrum_event_wait(&turns[i]);
    thrum_event_clear(&turns[i]);
    thrum_event_set(&turns[1 - i]);
  }
  return 0;
}

static intptr_t wait_for_sets(void *unused) {
  (void)unused;
  while (!LOAD(crowd_stop)) {
    thrum_event_wait(&event);
    ADD(taken, 1);
  }
  return 0;
}

static void sets_beside_sets(void) {
  static struct crowd crowd;
  taken = crowd_stop = 0;
  timer_t timer;
  struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
  struct itimerspec often = {.it_value.tv_nsec = 50000, .it_interval.tv_nsec = 50000};
  crowd_start(&crowd, WAITERS, wait_for_sets);
  CHECK_EQ(timer_create(CLOCK_MONOTONIC, &how, &timer), 0);
  CHECK_EQ(timer_settime(timer, 0, &often, NULL), 0);
  thrum_event_set(&turns[0]);
  thrum_thread other = must_spawn(pass_turns, (void *)1);
  CHECK_EQ(pass_turns((void *)0), 0);
  CHECK_EQ(must_join(other), 0);
  AWAIT(LOAD(taken) > 10 * WAITERS);
  STORE(crowd_stop, 1);
  crowd_join(&crowd); /* the timer goes on until all have seen a set */
  CHECK_EQ(timer_delete(timer), 0);
}

int main(void) {
  handle_by(SIGUSR1, on_release, 0);
  release_into(hammer);
  release_into(sleep_a_little);
  release_into(compute);
  handle_by(SIGUSR1, on_release, SA_ONSTACK);
  release_into(hammer);
  CHECK_EQ(must_join(must_spawn_bound(hammer_bound, NULL)), 0);
  release_in_stranger();
  if (!TESTS_TSAN) { /* it runs handlers when the thread calls libc next, and one that waits does not */
    main_waits_for_its_handler();
    sets_beside_sets();
  }
  printf("%d sets by handlers\n", set_by_handler);
  return 0;
}
