/* A fork while another thread is in the midst of making the epoll instance, with the lock for that held: in the child, who
 * held it is not there, and descriptors can be waited for all the same. */
#include "../child.h"
#include "../support.h"

#include "os/os.h"

static bool entered, forked;

static int create_slowly(void) {
  STORE(entered, true);
  while (!LOAD(forked)) usleep(100); /* in the child it is another who comes here */
  return thrumi_os_linux.epoll_create();
}

/* Not before the fork: it would spin for the lock, on the worker that main needs. */
static intptr_t write_one(void *arg) {
  AWAIT(LOAD(forked));
  return thrum_write(*(int *)arg, "x", 1);
}

static intptr_t read_one(void *arg) {
  int fds[2];
  char c;
  (void)arg;
  CHECK_EQ(pipe(fds), 0);
  thrum_thread writer = must_spawn(write_one, &fds[1]);
  CHECK_EQ(thrum_read(fds[0], &c, 1), 1);
  CHECK_EQ(must_join(writer), 1);
  return 0;
}

/* An OS thread of its own, so that no worker is needed beside main's. */
static void *outside(void *arg) {
  CHECK_EQ(read_one(NULL), 0);
  return arg;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  pthread_t reader;
  thrumi_os.epoll_create = create_slowly;
  CHECK_EQ(thrum_workers() > 0, 1);
  CHECK_EQ(pthread_create(&reader, NULL, outside, NULL), 0);
  AWAIT(LOAD(entered));
  pid_t pid = fork();
  CHECK(pid >= 0);
  STORE(forked, true);
  if (pid == 0) {
    alarm(TESTS_HANG_S / 2);
    CHECK_EQ(read_one(NULL), 0);
    exit(42);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 42);
  CHECK_EQ(pthread_join(reader, NULL), 0);
  return 0;
}
