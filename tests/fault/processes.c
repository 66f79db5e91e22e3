/* What fails in the midst of a start, of a result, or of hiring a process: nothing of others' is touched, nothing is lost, and the error
 * that is said is true. Entries of the table of OS operations are replaced by such that fail at the moment that the case is about. */
#include "../promises/process_pools.h"

#include <errno.h>
#include <fcntl.h>
#include <os/os.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static void restore(void) { thrumi_os = thrumi_os_linux; }

/* ---- Who comes to work ---------------------------------------------------------------------------------------------- */

static _Atomic int boards;
static _Atomic bool second_may_fail;

static int no_second_board(size_t bytes) {
  if (atomic_fetch_add(&boards, 1) != 1) return thrumi_os_linux.memory_create(bytes);
  while (!atomic_load(&second_may_fail)) thrum_sleep(THRUM_MS(1));
  return -EMFILE;
}

THRUM_TASK(waits_for_file) {
  while (access(in, F_OK) != 0) usleep(1000);
  return (int)size;
}

/* One attendant is about to come, and fails, while another one is idle: it takes what the first was counted on for. */
static void an_idle_one_takes_over(void) {
  static char path[] = "/tmp/thrum-gate-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  close(fd);
  unlink(path);
  thrumi_os.memory_create = no_second_board;
  thrum_executor *x = processes_of(2);
  thrum_future *first = must_submit(x, &waits_for_file, path, sizeof path);
  AWAIT(stats_of(x).started == 1);
  thrum_future *second = must_submit(x, &waits_for_file, path, sizeof path);
  AWAIT(atomic_load(&boards) == 2);
  fd = open(path, O_CREAT | O_WRONLY, 0600);
  close(fd);
  CHECK_EQ(take(first), sizeof path);
  CHECK_EQ(take(second), sizeof path);
  AWAIT(stats_of(x).idle == 1); /* nobody else has a process */
  thrum_future *third = must_submit(x, &waits_for_file, path, sizeof path);
  atomic_store(&second_may_fail, true);
  CHECK_EQ(take(third), sizeof path);
  end_pool(x);
  unlink(path);
  restore();
}

/* ---- Descriptors of others ------------------------------------------------------------------------------------------- */

static bool sockets_fail;
static int others[2];

/* As the kernel does it: the numbers are said before the sockets are made; and another thread opens files just then. */
int socketpair(int domain, int type, int protocol, int fds[2]) {
  if (!sockets_fail) return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
  for (int i = 0; i < 2; i++) fds[i] = others[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  errno = ENFILE;
  return -1;
}

THRUM_TASK(returns_at_once) { return number_in(in); }

static void a_failed_pair_closes_nothing(void) {
  for (int m = THRUM_FORKSERVER; m <= (TESTS_TSAN ? THRUM_SPAWN : THRUM_FORK); m++) {
    thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
    thrum_process *p = NULL;
    int seven = 7;
    o.method = m;
    sockets_fail = true;
    int error = thrum_process_start(&p, &o, &returns_at_once, &seven, sizeof seven);
    sockets_fail = false;
    CHECK_EQ(error, -ENFILE);
    CHECK(!p);
    for (int i = 0; i < 2; i++) CHECK_EQ(close(others[i]), 0); /* they are ours still */
  }
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  an_idle_one_takes_over();
  a_failed_pair_closes_nothing();
  return 0;
}
