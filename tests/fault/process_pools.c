/* Executors of processes while this process, or one of theirs, has no descriptor free: nothing is lost for a moment of that, and nothing waits
 * for one behind the end. An entry of the table of OS operations is replaced by one that counts. */
#include "../promises/process_pools.h"

#include <errno.h>
#include <fcntl.h>
#include <os/os.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static char gate[] = "/tmp/thrum-gate-XXXXXX";

static void restore(void) { thrumi_os = thrumi_os_linux; }

THRUM_TASK(counts_bytes) { return (void)in, (void)out, (intptr_t)size; }

/* Says how much it was given, and as much. */
THRUM_TASK(gives_back) { return thrum_out_write(out, in, size); }

/* A moment in which somebody has taken all descriptors costs no task whose argument needs one. */
static int no_task_fails_for_a_moment_without_descriptors(void) {
  enum { MANY_TASKS = 200, FILES = 256 };
  static char bytes[40000];
  thrum_future *f[MANY_TASKS];
  int taken[FILES], n = 0;
  struct rlimit few = {FILES, FILES};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  thrum_executor *x = processes_of(2);
  thrum_future_release(must_submit(x, &gives_back, bytes, sizeof bytes));
  AWAIT(stats_of(x).finished == 1);
  while (n < FILES && (taken[n] = open("/dev/null", O_RDONLY)) >= 0) n++;
  for (int i = 0; i < MANY_TASKS; i++) f[i] = must_submit(x, &counts_bytes, bytes, sizeof bytes);
  thrum_sleep(THRUM_MS(20)); /* no more than a chance for them to fail */
  while (n > 0) close(taken[--n]);
  for (int i = 0; i < MANY_TASKS; i++) CHECK_EQ(take(f[i]), sizeof bytes);
  end_pool(x);
  return 0;
}

static _Atomic int cut_off;

static ssize_t count_cut_off(int fd, struct msghdr *message, int flags) {
  ssize_t n = thrumi_os_linux.recvmsg(fd, message, flags);
  if (n > 0 && message->msg_control && !message->msg_controllen && message->msg_flags & MSG_CTRUNC)
    atomic_fetch_add(&cut_off, 1);
  return n;
}

THRUM_TASK(writes_much_in_time) {
  static char zeros[200000];
  while (access(in, F_OK) != 0) usleep(1000);
  return thrum_out_write(out, zeros, size ? sizeof zeros : 0);
}

static struct rlimit usual;

static void take_all_descriptors(void) {
  struct rlimit none;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  none = (struct rlimit){3, usual.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void give_descriptors_back(void) { CHECK_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0); }

/* A result whose bytes are there, and wait: the descriptors are still taken. */
static thrum_future *result_without_descriptor(thrum_executor *x) {
  thrum_future *f = must_submit(x, &writes_much_in_time, gate, sizeof gate);
  AWAIT(thrum_future_running(f));
  atomic_store(&cut_off, 0);
  thrumi_os.recvmsg = count_cut_off;
  take_all_descriptors();
  CHECK_EQ(mkdir(gate, 0700), 0); /* which takes no descriptor */
  AWAIT(atomic_load(&cut_off) > 0);
  return f;
}

/* Nor does it cost a result. */
static void results_wait_for_descriptors(void) {
  const void *data;
  size_t size = 0;
  thrum_executor *x = processes_of(1);
  thrum_future *f = result_without_descriptor(x);
  give_descriptors_back();
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_EQ(size, 200000);
  thrum_future_release(f);
  CHECK_EQ(rmdir(gate), 0);
  end_pool(x);
  restore();
}

/* Whoever has the descriptors may be the one that waits for the end. A signal may meet the process before it has said that the bytes are a result. */
static void they_do_not_outlast_the_executor(bool killed) {
  intptr_t result = 0;
  thrum_executor *x = processes_of(1);
  thrum_future *f = result_without_descriptor(x);
  if (killed) CHECK_EQ(thrum_executor_signal(x, SIGKILL), 0);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  give_descriptors_back();
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK(result == -EMFILE || (killed && result == -EOWNERDEAD));
  CHECK_HAS(thrum_future_failure(f),
            result == -EMFILE ? "cannot receive the result" : "was killed by signal 9");
  thrum_future_release(f);
  CHECK_EQ(rmdir(gate), 0);
  end_pool(x);
  restore();
}

static void nor_do_arguments(void) {
  static char bytes[200000];
  thrum_executor *x = processes_of(1);
  CHECK_EQ(take(must_submit(x, &counts_bytes, bytes, 1)), 1);
  take_all_descriptors();
  thrum_future *f[3];
  for (int i = 0; i < 3; i++) f[i] = must_submit(x, &counts_bytes, bytes, i == 1 ? 1 : sizeof bytes);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  give_descriptors_back();
  take_failure(f[0], -EMFILE, "cannot send the argument");
  CHECK_EQ(take(f[1]), 1);
  take_failure(f[2], -EMFILE, "cannot send the argument");
  end_pool(x);
}

/* Once the process has all that it waits with itself. */
THRUM_TASK(takes_all_descriptors) {
  struct rlimit none = {3, 3};
  thrum_conn *end[2];
  if (thrum_conn_pair(end) != 0 || thrum_conn_wait_for(end[0], THRUM_MS(1)) != -ETIMEDOUT) return -EINVAL;
  thrum_conn_close(end[0]), thrum_conn_close(end[1]);
  return setrlimit(RLIMIT_NOFILE, &none) == 0 ? number_in(in) : -errno;
}

/* What comes behind it, and needs one, gets another process. */
static void who_has_no_descriptors_is_replaced(void) {
  static char bytes[200000];
  thrum_executor *x = processes_of(1);
  CHECK_EQ(take(submit_number(x, &takes_all_descriptors, 4)), 4);
  CHECK_EQ(take(must_submit(x, &counts_bytes, bytes, sizeof bytes)), sizeof bytes);
  CHECK_EQ(stats_of(x).started, 2);
  end_pool(x);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  if (!TESTS_SANITIZED) in_a_process_of_its_own(no_task_fails_for_a_moment_without_descriptors);
  make_temporary(gate);
  CHECK_EQ(unlink(gate), 0);
  results_wait_for_descriptors();
  they_do_not_outlast_the_executor(false);
  they_do_not_outlast_the_executor(true);
  nor_do_arguments();
  who_has_no_descriptors_is_replaced();
  return 0;
}
