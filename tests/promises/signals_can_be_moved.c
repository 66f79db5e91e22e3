/* The signals that the runtime handles are the ones that the program configures, and those of the program's own that come with the same
 * number reach the handler that was there before. */
#include "../child.h"
#include "../support.h"

static thrum_config config = THRUM_CONFIG_INIT;
static int caught, caught_with_info;

static void on_signal(int signo) {
  CHECK_EQ(signo, config.preempt_signal ? config.preempt_signal : SIGURG);
  ADD(caught, 1);
}

static void on_signal_with_info(int signo, siginfo_t *info, void *context) {
  CHECK(signo == SIGUSR1 && info->si_code == SI_USER && context);
  ADD(caught_with_info, 1);
}

static bool is_default(int signo) {
  struct sigaction now;
  CHECK_EQ(sigaction(signo, NULL, &now), 0);
  return !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

static bool some_were_preempted(void) {
  thrum_stats stats = statistics();
  return stats.signals > 0 && stats.preemptions + stats.wakeup_preemptions > 0;
}

/* One that the machine holds up may lose its worker without a signal. */
static void hogs_take_turns(void) {
  struct hogs hogs;
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL) && some_were_preempted());
  hogs_stop(&hogs);
}

/* ---- Preemption ---------------------------------------------------------------------------------------------- */

static int preempts_by_another(void) {
  config.preempt_signal = SIGRTMIN + 3;
  CHECK_EQ(thrum_configure(&config), 0);
  hogs_take_turns();
  CHECK(is_default(SIGURG));
  CHECK(!is_default(SIGRTMIN + 3));
  return 0;
}

/* None of the runtime's own reaches it. */
static int hands_on_to_the_former_handler(void) {
  struct sigaction own = {.sa_handler = on_signal};
  CHECK_EQ(sigaction(SIGURG, &own, NULL), 0);
  hogs_take_turns();
  CHECK_EQ(LOAD(caught), 0);
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(kill(getpid(), SIGURG), 0);
    AWAIT(LOAD(caught) == i);
  }
  hogs_take_turns();
  CHECK_EQ(LOAD(caught), 3);
  return 0;
}

static int hands_on_what_is_known_of_it(void) {
  struct sigaction own = {.sa_sigaction = on_signal_with_info, .sa_flags = SA_SIGINFO};
  CHECK_EQ(sigaction(SIGUSR1, &own, NULL), 0);
  config.preempt_signal = SIGUSR1;
  CHECK_EQ(thrum_configure(&config), 0);
  hogs_take_turns();
  CHECK_EQ(LOAD(caught_with_info), 0);
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  AWAIT(LOAD(caught_with_info) == 1);
  return 0;
}

/* Without a handler before, it does nothing from then on. */
static int hands_on_to_nobody(void) {
  config.preempt_signal = SIGUSR1; /* which would end the program */
  CHECK_EQ(thrum_configure(&config), 0);
  hogs_take_turns();
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  hogs_take_turns();
  return 0;
}

/* ---- The dump, and faults ------------------------------------------------------------------------------------ */

static int wait_for_line(void) {
  char c;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK(thrum_id(thrum_current()) != 0);
  CHECK(write(1, "started\n", 8) == 8);
  return thrum_read(0, &c, 1) == 1 ? 0 : 1;
}

static int dumps_by_another(void) {
  config.dump_signal = SIGUSR2;
  return wait_for_line();
}

static int never_dumps(void) {
  config.dump_signal = THRUM_NO;
  return wait_for_line();
}

/* The program's own handler keeps it. */
static void on_quit(int signo) {
  (void)signo;
  CHECK(write(1, "mine\n", 5) == 5);
}

static int leaves_quit_to_the_program(void) {
  CHECK(signal(SIGQUIT, on_quit) == SIG_DFL);
  return wait_for_line();
}

__attribute__((noinline)) static intptr_t dig(volatile char *above, int depth) {
  volatile char here[512];
  memset((char *)(uintptr_t)here, depth, sizeof here);
  if (depth == 1 << 30) return 0;
  return dig(here, depth + 1) + here[depth % 512] + above[0];
}

static intptr_t overflow(void *arg) {
  (void)arg;
  char first = 1;
  return dig(&first, 0);
}

static int leaves_faults_alone(void) {
  config.fault_handler = THRUM_NO;
  CHECK_EQ(thrum_configure(&config), 0);
  thrum_thread t;
  CHECK_EQ(thrum_spawn_named(&t, overflow, NULL, "the digger"), 0);
  CHECK(is_default(SIGSEGV));
  return (int)must_join(t);
}

/* ---- What is refused ----------------------------------------------------------------------------------------- */

static int refuses(void) {
  static const int bad[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
                            SIGSYS,  SIGABRT, 32,      33,     NSIG,   1000,   -2};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    config = (thrum_config)THRUM_CONFIG_INIT;
    config.preempt_signal = bad[i];
    CHECK_EQ(thrum_configure(&config), -EINVAL);
    config.preempt_signal = 0;
    config.dump_signal = bad[i];
    CHECK_EQ(thrum_configure(&config), -EINVAL);
  }
  config.dump_signal = SIGURG; /* the other's default */
  CHECK_EQ(thrum_configure(&config), -EINVAL);
  config.dump_signal = config.preempt_signal = SIGUSR1;
  CHECK_EQ(thrum_configure(&config), -EINVAL);
  config.dump_signal = SIGURG;
  CHECK_EQ(thrum_configure(&config), 0);
  hogs_take_turns();
  return 0;
}

static const struct child_case cases[] = {
    {"preempts-by-another", preempts_by_another},
    {"hands-on-to-the-former-handler", hands_on_to_the_former_handler},
    {"hands-on-what-is-known-of-it", hands_on_what_is_known_of_it},
    {"hands-on-to-nobody", hands_on_to_nobody},
    {"refuses", refuses},
    {"dumps-by-another", dumps_by_another},
    {"never-dumps", never_dumps},
    {"leaves-quit-to-the-program", leaves_quit_to_the_program},
    {"leaves-faults-alone", leaves_faults_alone},
    {0},
};

/* Sends the signals once it has started, each when the answer to the former one is there. */
static struct child sent(const char *name, int signo, const char *answer, int last) {
  struct child child = child_start(name, NULL);
  child_await(&child, "started");
  CHECK_EQ(kill(child.pid, signo), 0);
  if (answer) child_await(&child, answer);
  if (last) CHECK_EQ(kill(child.pid, last), 0);
  if (answer && !last) child_say(&child, "x");
  child_finish(&child);
  return child;
}

static void ends(struct child child, int status, bool has_dumped) {
  CHECK_STATUS(child, status);
  CHECK_EQ(strstr(child.err_text, "MainThread") != NULL, has_dumped);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; strcmp(cases[i].name, "dumps-by-another") != 0; i++)
    ends(child_run(cases[i].name), 0, false);
  ends(sent("dumps-by-another", SIGUSR2, "MainThread", 0), 0, true);
  ends(sent("dumps-by-another", SIGUSR2, "MainThread", SIGQUIT), CHILD_SIGNALLED + SIGQUIT, true);
  ends(sent("never-dumps", SIGQUIT, NULL, 0), CHILD_SIGNALLED + SIGQUIT, false);
  if (!TESTS_TSAN)
    ends(sent("leaves-quit-to-the-program", SIGQUIT, "mine", 0), 0, false); /* it keeps handlers back */
  if (TESTS_SANITIZED) return 0; /* these handle faults themselves */
  struct child child = child_run("leaves-faults-alone");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGSEGV);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
