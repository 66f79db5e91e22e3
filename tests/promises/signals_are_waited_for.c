/* thrum_signal_wait: each delivery is taken by exactly one wait, whoever else waits for what, and none is lost: before the first
 * wait, beside others, across a fork. Handlers of before are called as well, and are back after a release. */
#include "../child.h"
#include "parked.h"

#include <sys/wait.h>

enum { WAITERS = 8, EACH = TESTS_SANITIZED ? 200 : 1000, QUEUED = 3, PLAIN = 3, KINDS = QUEUED + PLAIN };

static int signos[KINDS + 1]; /* the last one ends the waiters */
static int taken[KINDS];

static sigset_t set_of(int first, int second) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, first);
  if (second) sigaddset(&set, second);
  return set;
}

static int wait_now(int signo) {
  sigset_t set = set_of(signo, 0);
  return thrum_signal_wait_for(&set, 0);
}

static void catch_one(int signo) {
  sigset_t set = set_of(signo, 0);
  CHECK_EQ(thrum_signal_catch(&set), 0);
}

static void release_one(int signo) {
  sigset_t set = set_of(signo, 0);
  CHECK_EQ(thrum_signal_release(&set), 0);
}

/* ---- One thread ------------------------------------------------------------------------------------------------------------ */

/* What came before the first wait is there: each delivery once, the lowest signal first. raise returns when the handler has. */
static void remembers_from_catch_on(void) {
  sigset_t both = set_of(SIGUSR1, SIGUSR2);
  CHECK_EQ(thrum_signal_catch(&both), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(raise(SIGUSR2), 0);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(thrum_signal_catch(&both), 0); /* forgets nothing */
  CHECK_EQ(thrum_signal_wait(&both), SIGUSR1);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_signal_wait(&both), SIGUSR2);
  CHECK_EQ(thrum_signal_wait_for(&both, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_signal_wait_for(&both, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_signal_wait_for(&both, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(wait_now(SIGUSR2), -ETIMEDOUT); /* leaves others alone */
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
}

static int plain_calls, info_calls;
static void on_plain(int signo) { CHECK_EQ(signo, SIGUSR1), ADD(plain_calls, 1); }
static void on_info(int signo, siginfo_t *info, void *context) {
  CHECK(signo == SIGUSR1 && info->si_signo == SIGUSR1 && context);
  ADD(info_calls, 1);
}

static void install_plain(int signo, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaddset(&action.sa_mask, SIGUSR2);
  CHECK_EQ(sigaction(signo, &action, NULL), 0);
}

/* TSan runs a program's handler when the thread comes by. */
static void raise_and_count(int *calls, int expected) {
  CHECK_EQ(raise(SIGUSR1), 0);
  AWAIT(LOAD(*calls) == expected);
}

static void handlers_of_before(void) {
  struct sigaction former, info = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
  release_one(SIGUSR1);
  install_plain(SIGUSR1, on_plain);
  catch_one(SIGUSR1);
  raise_and_count(&plain_calls, 1);
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
  release_one(SIGUSR1);
  raise_and_count(&plain_calls, 2);
  CHECK_EQ(sigaction(SIGUSR1, &info, &former), 0);
  CHECK(former.sa_handler == on_plain && (former.sa_flags & SA_RESTART) && !(former.sa_flags & SA_SIGINFO));
  CHECK(sigismember(&former.sa_mask, SIGUSR2) == 1 && sigismember(&former.sa_mask, SIGHUP) == 0);
  catch_one(SIGUSR1);
  raise_and_count(&info_calls, 1);
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
  CHECK_EQ(plain_calls, 2);
  install_plain(SIGUSR1, on_plain); /* since; it stays */
  release_one(SIGUSR1);
  raise_and_count(&plain_calls, 3);
  CHECK_EQ(info_calls, 1);
  CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT); /* which catches it */
  CHECK_EQ(sigaction(SIGUSR1, &info, NULL), 0);
  release_one(SIGUSR1); /* the same of one that takes a siginfo */
  raise_and_count(&info_calls, 2);
  CHECK_EQ(plain_calls, 3);
}

/* A handler that the program has put in thrum's place since takes the signal, until the next catch, which calls that one too. What
 * came before is not forgotten. */
static void catches_again(void) {
  install_plain(SIGUSR1, SIG_IGN);
  catch_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0);
  for (int i = 1; i <= 2; i++) {
    plain_calls = 0;
    install_plain(SIGUSR1, on_plain);
    raise_and_count(&plain_calls, 1);
    catch_one(SIGUSR1);
    catch_one(SIGUSR1);
    raise_and_count(&plain_calls, 2);
  }
  for (int i = 0; i < 3; i++) CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
  CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT);
  release_one(SIGUSR1);
  raise_and_count(&plain_calls, 3); /* as it was before the last catch */
}

/* A program that takes down what it finds, and puts it back later, when that is thrum's own handler. */
static void own_handler_is_not_chained(void) {
  struct sigaction ours;
  install_plain(SIGUSR1, SIG_IGN);
  catch_one(SIGUSR1);
  CHECK_EQ(sigaction(SIGUSR1, NULL, &ours), 0);
  release_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0); /* ignored again */
  if (!TESTS_TSAN) {           /* whose sigaction does not see the handler */
    CHECK_EQ(sigaction(SIGUSR1, &ours, NULL), 0);
    catch_one(SIGUSR1);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
    CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT);
  }
  install_plain(SIGUSR1, SIG_DFL);
  release_one(SIGUSR1);
}

/* As a program does that closes all descriptors it does not know. */
static void counters_are_not_closed(void) {
  catch_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0);
  int ends[2], refused = 0;
  for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0) refused += thrum_close(fd) == -EBADF;
  CHECK(refused > 0);
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
  CHECK_EQ(pipe(ends), 0);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(thrum_read_for(ends[0], &(char){0}, 1, 0), -ETIMEDOUT);
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
  CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT);
  CHECK(thrum_close(ends[0]) == 0 && thrum_close(ends[1]) == 0);
  release_one(SIGUSR1);
}

static intptr_t wait_usr1(void *unused) {
  (void)unused;
  sigset_t set = set_of(SIGUSR1, 0);
  return thrum_signal_wait(&set);
}

static void releases_forget(void) {
  install_plain(SIGUSR1, SIG_IGN);
  catch_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0);
  release_one(SIGUSR1);
  CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT); /* and catches it again */
  thrum_thread t = must_spawn(wait_usr1, NULL);
  AWAIT(is_parked(t));
  release_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0); /* ignored */
  catch_one(SIGUSR1);
  CHECK(thrum_is_alive(t));
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(must_join(t), SIGUSR1); /* its wait went on */
}

static void waits_end_early(void) {
  CHECK_EQ(cancelled_result(wait_usr1, NULL), -ECANCELED);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(result_if_cancelled_before(wait_usr1, NULL), -ECANCELED);
  CHECK_EQ(wait_now(SIGUSR1), SIGUSR1);
}

/* ---- Many, of many kinds ---------------------------------------------------------------------------------------------------- */

static intptr_t wait_for_some(void *number) {
  sigset_t set;
  sigemptyset(&set);
  for (int k = 0; k < KINDS; k++)
    if ((k + (int)(intptr_t)number) % WAITERS < 4) sigaddset(&set, signos[k]); /* each kind: four waiters */
  sigaddset(&set, signos[KINDS]);
  for (;;) {
    int signo = thrum_signal_wait(&set);
    CHECK(signo > 0 && sigismember(&set, signo) == 1);
    if (signo == signos[KINDS]) return 0;
    for (int k = 0; k < KINDS; k++)
      if (signos[k] == signo) ADD(taken[k], 1);
  }
}

static void queue_signal(int signo) {
  while (sigqueue(getpid(), signo, (union sigval){0}) != 0) {
    CHECK_EQ(errno, EAGAIN); /* the user's limit of pending ones */
    thrum_yield();
  }
}

/* Those that the kernel queues as fast as it goes, each of the others when the one before was taken. */
static intptr_t send_kind(void *number) {
  int k = (int)(intptr_t)number;
  for (int i = 0; i < EACH; i++) {
    if (k < QUEUED) {
      queue_signal(signos[k]);
    } else {
      CHECK_EQ(kill(getpid(), signos[k]), 0);
      AWAIT(LOAD(taken[k]) > i);
    }
  }
  return 0;
}

static void each_is_taken_once(void) {
  static struct crowd crowd;
  thrum_thread senders[KINDS];
  sigset_t all;
  sigemptyset(&all);
  for (int k = 0; k <= KINDS; k++) sigaddset(&all, signos[k]);
  CHECK_EQ(thrum_signal_catch(&all), 0);
  crowd_start(&crowd, WAITERS, wait_for_some);
  for (intptr_t k = 0; k < KINDS; k++) senders[k] = must_spawn(send_kind, (void *)k);
  for (int k = 0; k < KINDS; k++) CHECK_EQ(must_join(senders[k]), 0);
  for (int k = 0; k < KINDS; k++) AWAIT(LOAD(taken[k]) == EACH);
  for (int i = 0; i < WAITERS; i++) queue_signal(signos[KINDS]);
  crowd_join(&crowd);
  for (int k = 0; k < KINDS; k++) CHECK_EQ(taken[k], EACH);
  CHECK_EQ(thrum_signal_wait_for(&all, 0), -ETIMEDOUT);
}

/* ---- In a select ---------------------------------------------------------------------------------------------------------- */

static thrum_queue queue = THRUM_QUEUE_INIT(int, 1);

static intptr_t select_one(void *out) {
  int item = 0;
  thrum_case cases[] = {thrum_case_get(&queue, &item), thrum_case_signal(SIGUSR1),
                        thrum_case_signal(SIGUSR2)};
  int at = thrum_select(cases, 3);
  if (out) *(int *)out = cases[at < 0 ? 0 : at].status;
  return at;
}

static void selected(void) {
  int status = -1, item = 7;
  catch_one(SIGUSR1);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(select_one(&status), 1); /* came before */
  CHECK_EQ(status, 0);
  CHECK_EQ(wait_now(SIGUSR1), -ETIMEDOUT); /* taken */
  for (int i = 0; i < 100; i++) {
    thrum_thread t = must_spawn(select_one, &status), other = must_spawn(select_one, NULL);
    AWAIT(is_parked(t) && is_parked(other));
    CHECK_EQ(kill(getpid(), SIGUSR2), 0);
    AWAIT(!thrum_is_alive(t) || !thrum_is_alive(other)); /* one of them */
    CHECK(thrum_is_alive(t) || thrum_is_alive(other));
    CHECK_EQ(thrum_queue_put(&queue, &item), 0); /* the other one */
    CHECK_EQ(must_join(t) + must_join(other), 2);
    CHECK_EQ(wait_now(SIGUSR2), -ETIMEDOUT);
  }
  CHECK_EQ(cancelled_result(select_one, NULL), -ECANCELED);
  thrum_case bad[] = {thrum_case_signal(SIGKILL)};
  CHECK_EQ(thrum_select(bad, 1), 0);
  CHECK_EQ(bad[0].status, -EINVAL);
}

/* ---- fork ------------------------------------------------------------------------------------------------------------------- */

static void check_child(pid_t pid) {
  int status = -1;
  CHECK_EQ(thrum_child_wait(pid, &status), pid);
  CHECK_EQ(status, 0);
}

/* Deliveries are the parent's or the child's. */
static intptr_t fork_and_raise(void *unused) {
  (void)unused;
  sigset_t set = set_of(SIGUSR1, SIGUSR2);
  catch_one(SIGUSR1);
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  AWAIT(thrum_signal_wait_for(&set, THRUM_S(1)) == SIGUSR1);
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  thrum_sleep(THRUM_MS(1)); /* most likely it is delivered; in any case to the parent */
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK_EQ(thrum_signal_wait_for(&set, 0), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) CHECK_EQ(raise(SIGUSR1), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(thrum_signal_wait(&set), SIGUSR1);
    thrum_thread t = must_spawn(wait_usr1, NULL);
    AWAIT(is_parked(t));
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(must_join(t), SIGUSR1);
    _exit(0);
  }
  check_child(pid);
  CHECK_EQ(thrum_signal_wait(&set), SIGUSR1);
  CHECK_EQ(thrum_signal_wait_for(&set, THRUM_MS(2)), -ETIMEDOUT);
  return 0;
}

/* Forks beside a rain of signals: whatever is half done then, the child's waits work, and the parent counts right. A few are under
 * way at a time: main, which handles them, is to get on as well. */
static int rained, counted;
static bool rain_stops;

static intptr_t rain(void *unused) {
  (void)unused;
  for (; !LOAD(rain_stops); rained++) {
    while (rained - LOAD(counted) > 3) thrum_yield();
    queue_signal(signos[0]);
  }
  return 0;
}

static intptr_t count_rain(void *unused) {
  (void)unused;
  sigset_t set = set_of(signos[0], signos[KINDS]);
  while (thrum_signal_wait(&set) == signos[0]) ADD(counted, 1);
  return 0;
}

static void fork_in_the_rain(void) {
  thrum_thread sender = must_spawn(rain, NULL), counter = must_spawn(count_rain, NULL);
  for (int i = 0; i < (TESTS_SANITIZED ? 10 : 40); i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      sigset_t set = set_of(signos[0], 0);
      for (int n = 0; n < 5; n++) CHECK_EQ(raise(signos[0]), 0);
      for (int n = 0; n < 5; n++) CHECK_EQ(thrum_signal_wait(&set), signos[0]);
      CHECK_EQ(thrum_signal_wait_for(&set, 0), -ETIMEDOUT);
      _exit(0);
    }
    check_child(pid);
  }
  STORE(rain_stops, true);
  CHECK_EQ(must_join(sender), 0);
  queue_signal(signos[KINDS]);
  CHECK_EQ(must_join(counter), 0);
  CHECK_EQ(counted, rained);
}

/* ---- Programs of their own ---------------------------------------------------------------------------------------------------- */

/* Main is in libc, and its call goes on after the handler. */
static int main_is_in_libc(void) {
  if (TESTS_TSAN) return 0; /* it does not like forks */
  int ends[2];
  char byte = 0;
  CHECK_EQ(pipe(ends), 0);
  catch_one(SIGUSR1);
  thrum_thread t = must_spawn(wait_usr1, NULL);
  AWAIT(is_parked(t));
  pid_t pid = fork();
  if (pid == 0) {
    CHECK_EQ(kill(getppid(), SIGUSR1), 0);
    usleep(1000);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    _exit(0);
  }
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  CHECK_EQ(must_join(t), SIGUSR1);
  check_child(pid);
  return 0;
}

/* After a release a signal does what it did. */
static int released_signal_kills(void) {
  catch_one(SIGTERM);
  CHECK_EQ(raise(SIGTERM), 0);
  CHECK_EQ(wait_now(SIGTERM), SIGTERM);
  release_one(SIGTERM);
  raise(SIGTERM);
  return 0;
}

/* A light thread that waits for a signal is nobody's deadlock. */
static intptr_t wait_and_tell(void *unused) {
  (void)unused;
  sigset_t stop = set_of(SIGINT, SIGTERM);
  return thrum_signal_wait(&stop);
}

static int waiting_is_no_deadlock(void) {
  thrum_thread t = must_spawn(wait_and_tell, NULL);
  AWAIT(is_parked(t));
  puts("waits");
  fflush(stdout);
  return (int)must_join(t);
}

static const struct child_case cases[] = {{"main-is-in-libc", main_is_in_libc},
                                          {"released-signal-kills", released_signal_kills},
                                          {"waiting-is-no-deadlock", waiting_is_no_deadlock},
                                          {0}};

static void programs_of_their_own(void) {
  struct child child = child_run("main-is-in-libc");
  CHECK_STATUS(child, 0);
  child_free(&child);
  child = child_run("released-signal-kills");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGTERM);
  child_free(&child);
  child = child_start("waiting-is-no-deadlock", NULL);
  child_await(&child, "waits");
  usleep(50000); /* a verdict takes two looks of a millisecond each; without this the test is only weaker */
  CHECK_EQ(kill(child.pid, SIGINT), 0);
  child_finish(&child);
  CHECK_STATUS(child, SIGINT);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int k = 0; k < QUEUED; k++) signos[k] = SIGRTMIN + k;
  signos[QUEUED] = SIGUSR1, signos[QUEUED + 1] = SIGUSR2, signos[QUEUED + 2] = SIGHUP;
  signos[KINDS] = SIGRTMIN + 9;
  programs_of_their_own();
  remembers_from_catch_on();
  handlers_of_before();
  catches_again();
  own_handler_is_not_chained();
  releases_forget();
  waits_end_early();
  counters_are_not_closed();
  each_is_taken_once();
  selected();
  if (TESTS_TSAN) return 0; /* the child of a fork may not start threads there */
  CHECK_EQ(fork_and_raise(NULL), 0);
  CHECK_EQ(must_join(must_spawn(fork_and_raise, NULL)), 0);
  fork_in_the_rain();
  return 0;
}
