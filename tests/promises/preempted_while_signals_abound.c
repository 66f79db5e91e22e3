/* Promise 1, where the user has as many signals pending as he may (somebody queues them by the thousand, in whatever process): the
 * kernel does not say any more who sent a signal. Threads are preempted and dumped all the same, and the program's own handler of the
 * signal is called too. */
#include "../support.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static bool stop;
static int handled;

static void count(int signo) {
  (void)signo;
  ADD(handled, 1);
}

static intptr_t spin(void *arg) {
  (void)arg;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) continue;
  return 7;
}

static intptr_t set_stop(void *arg) {
  (void)arg;
  STORE(stop, true);
  return 0;
}

/* The caller itself spins, beside another one: only a light thread behind both can end that. */
static intptr_t spin_here(void *arg) {
  STORE(stop, false);
  thrum_thread other = must_spawn(spin, NULL), last = must_spawn(set_stop, NULL);
  CHECK_EQ(spin(arg), 7);
  CHECK_EQ(must_join(other), 7);
  CHECK_EQ(must_join(last), 0);
  return 0;
}

static bool all_answer(void) {
  static char text[1 << 20];
  int fd = memfd_create("dump", MFD_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQ(thrum_dump(fd), 0);
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  CHECK(n > 0);
  text[n] = 0;
  CHECK(strstr(text, "(spin)"));
  close(fd);
  return !strstr(text, "does not answer");
}

/* Those that compute are stopped by the same signal, and answer, if the machine lets them. */
static void dumps_them(void) {
  STORE(stop, false);
  thrum_thread spinners[2] = {must_spawn(spin, NULL), must_spawn(spin, NULL)};
  for (int tries = 1; !all_answer(); tries++) CHECK(tries < 10);
  STORE(stop, true);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(spinners[i]), 7);
}

static void calls_the_program_s_handler(void) {
  int before = LOAD(handled);
  CHECK_EQ(kill(getpid(), SIGURG), 0);
  AWAIT(LOAD(handled) > before);
}

int main(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  CHECK_EQ(sigaction(SIGURG, &action, NULL), 0);
  CHECK_EQ(thrum_run(set_stop, NULL), 0);
  struct rlimit former, none = {0};
  CHECK_EQ(getrlimit(RLIMIT_SIGPENDING, &former), 0);
  none.rlim_max = former.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
  CHECK(signal(SIGRTMIN, count) != SIG_ERR);
  if (sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
    CHECK_SKIP("this kernel does not limit pending signals");
  int tries = 0;
  do { /* one that the machine holds up may lose its worker without a signal */
    CHECK(++tries < 20);
    run_in_each_kind(spin_here, NULL);
  } while (statistics().preemptions + statistics().wakeup_preemptions == 0);
  dumps_them();
  calls_the_program_s_handler();
  CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &former), 0);
  calls_the_program_s_handler();
  return 0;
}
