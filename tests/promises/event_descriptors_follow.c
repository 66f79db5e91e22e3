/* thrum_event_fd: readable each time the event has become set, once for each; closing it ends all that thrum knows of the event. */
#include "parked.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum { ROUNDS = TESTS_SANITIZED ? 300 : 2000, DESCRIPTORS = 20 };

static thrum_event event, answered;
static int fd, told;
static long payload;

static bool is_readable(int descriptor) {
  struct pollfd asked = {.fd = descriptor, .events = POLLIN};
  return poll(&asked, 1, 0) == 1;
}

static void must_read(int descriptor) {
  uint64_t count;
  CHECK_EQ(read(descriptor, &count, sizeof count), sizeof count);
  CHECK_EQ(read(descriptor, &count, sizeof count), -1);
  CHECK_EQ(errno, EAGAIN);
}

static void once_for_each_set(void) {
  fd = thrum_event_fd(&event);
  CHECK(fd >= 0);
  for (int i = 0; i < 3; i++) {
    CHECK(!is_readable(fd));
    thrum_event_set(&event);
    AWAIT(is_readable(fd));
    thrum_event_set(&event); /* it is set already */
    must_read(fd);
    thrum_event_set(&event);
    CHECK_EQ(thrum_read_for(fd, &(uint64_t){0}, 8, THRUM_MS(1)), -ETIMEDOUT); /* not before it was cleared */
    thrum_event_clear(&event);
    CHECK_EQ(thrum_read_for(fd, &(uint64_t){0}, 8, THRUM_MS(1)), -ETIMEDOUT);
  }
  thrum_event_set(&event);
  thrum_event_clear(&event); /* was set, all the same */
  AWAIT(is_readable(fd));
  must_read(fd);
  AWAIT(thrum_event_destroy(&event) == -EBUSY); /* a thread of thrum's waits for it again */
  CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(thrum_event_destroy(&event), 0);
}

static void set_before_it_is_made(void) {
  thrum_event_set(&event);
  fd = thrum_event_fd(&event);
  CHECK(fd >= 0 && is_readable(fd));
  must_read(fd);
  CHECK_EQ(thrum_read_for(fd, &(uint64_t){0}, 8, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_close(fd), 0);
  thrum_event_clear(&event);
}

/* ---- An epoll loop that knows no thrum ---------------------------------------------------------------------------------------- */

static void *loop(void *unused) {
  (void)unused;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event wanted = {.events = EPOLLIN};
  CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), 0);
  for (int i = 1; i <= ROUNDS; i++) {
    struct epoll_event found;
    while (epoll_wait(epoll, &found, 1, -1) != 1) continue;
    must_read(fd);
    CHECK_EQ(payload, i); /* what was done before the set; ThreadSanitizer looks as well */
    thrum_event_set(&answered);
  }
  close(epoll);
  return NULL;
}

static void loop_follows(void) {
  pthread_t thread;
  fd = thrum_event_fd(&event);
  CHECK_EQ(pthread_create(&thread, NULL, loop, NULL), 0);
  for (int i = 1; i <= ROUNDS; i++) {
    payload = i;
    thrum_event_set(&event);
    thrum_event_clear(&event);
    thrum_event_wait(&answered);
    thrum_event_clear(&answered);
  }
  CHECK_EQ(thrum_blocking(outsider_join, &thread), 0);
  CHECK_EQ(thrum_close(fd), 0);
}

/* ---- Several, and others who wait for the event -------------------------------------------------------------------------------- */

static intptr_t wait_plainly(void *unused) {
  (void)unused;
  thrum_event_wait(&event);
  ADD(told, 1);
  return 0;
}

static void beside_others(void) {
  int fds[DESCRIPTORS];
  thrum_thread threads[DESCRIPTORS];
  for (int i = 0; i < DESCRIPTORS; i++) fds[i] = thrum_event_fd(&event);
  for (int round = 0; round < 10; round++) {
    told = 0;
    for (int i = 0; i < DESCRIPTORS; i++) threads[i] = must_spawn(wait_plainly, NULL);
    for (int i = 0; i < DESCRIPTORS; i++) AWAIT(is_parked(threads[i]));
    thrum_event_set(&event);
    thrum_event_clear(&event);
    for (int i = 0; i < DESCRIPTORS; i++) CHECK_EQ(must_join(threads[i]), 0);
    for (int i = 0; i < DESCRIPTORS; i++) {
      AWAIT(is_readable(fds[i]));
      must_read(fds[i]);
    }
  }
  for (int i = 0; i < DESCRIPTORS; i++) CHECK_EQ(thrum_close(fds[i]), 0);
  CHECK_EQ(thrum_event_destroy(&event), 0);
}

/* ---- Closing ------------------------------------------------------------------------------------------------------------------ */

static bool stop;

static intptr_t set_and_clear(void *arg) {
  while (!LOAD(stop)) {
    thrum_event_set(arg);
    thrum_event_clear(arg);
    thrum_yield();
  }
  return 0;
}

/* The event is gone, and the number another file's, as soon as close has returned, whatever the thread in between was at. */
static void closing_ends_it(void) {
  for (int i = 0; i < ROUNDS / 10; i++) {
    thrum_event *mine = calloc(1, sizeof *mine);
    stop = false;
    thrum_thread setter = must_spawn(set_and_clear, mine);
    fd = thrum_event_fd(mine);
    for (int n = 0; n < i % 5; n++) thrum_yield();
    CHECK_EQ(thrum_close(fd), 0);
    int ends[2];
    CHECK_EQ(pipe2(ends, O_NONBLOCK), 0); /* one of the two has its number */
    STORE(stop, true);
    CHECK_EQ(must_join(setter), 0);
    free(mine);
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), -1);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
  }
}

static void on_signal(int signo) {
  (void)signo;
  thrum_event_set(&event);
}

static void set_by_a_handler(void) {
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  fd = thrum_event_fd(&event);
  for (int i = 0; i < 20; i++) {
    thrum_event_clear(&event);
    CHECK_EQ(raise(SIGUSR1), 0);
    AWAIT(is_readable(fd));
    must_read(fd);
  }
  thrum_event_clear(&event);
  CHECK_EQ(thrum_close(fd), 0);
}

/* The child closes the parent's, and makes one of its own. */
static void after_fork(void) {
  fd = thrum_event_fd(&event);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK_EQ(thrum_close(fd), 0);
    int own = thrum_event_fd(&event);
    thrum_event_set(&event);
    AWAIT(is_readable(own));
    must_read(own);
    CHECK_EQ(thrum_close(own), 0);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK(!is_readable(fd));
  thrum_event_set(&event);
  AWAIT(is_readable(fd));
  thrum_event_clear(&event);
  CHECK_EQ(thrum_close(fd), 0);
}

/* ---- Epoll refuses it ------------------------------------------------------------------------------------------------------- */

static int to_pass, to_refuse; /* so many of the next ones of any descriptor */

static int control(int epoll, int operation, int descriptor, struct epoll_event *wanted) {
  bool refused = operation != EPOLL_CTL_DEL && ADD(to_pass, -1) < 0 && ADD(to_refuse, -1) >= 0;
  return refused ? -ENOSPC : thrumi_os_linux.epoll_ctl(epoll, operation, descriptor, wanted);
}

static void refuse(int after, int number) {
  STORE(to_pass, after);
  STORE(to_refuse, number);
}

static void refused_at_once(void) {
  int free_number = dup(0);
  CHECK_EQ(close(free_number), 0);
  refuse(0, 1);
  CHECK_EQ(thrum_event_fd(&event), -ENOSPC);
  CHECK(LOAD(to_refuse) <= 0);
  CHECK_EQ(dup(0), free_number); /* none is left */
  CHECK_EQ(close(free_number), 0);
  CHECK_EQ(thrum_event_destroy(&event), 0);
}

/* Its thread tries again. */
static void refused_later(void) {
  refuse(1, 3);
  fd = thrum_event_fd(&event);
  CHECK(fd >= 0);
  AWAIT(LOAD(to_refuse) <= 0);
  thrum_event_set(&event);
  AWAIT(is_readable(fd));
  must_read(fd);
  CHECK_EQ(thrum_close(fd), 0);
  thrum_event_clear(&event);
}

int main(void) {
  thrumi_os.epoll_ctl = control;
  once_for_each_set();
  set_before_it_is_made();
  loop_follows();
  beside_others();
  closing_ends_it();
  set_by_a_handler();
  refused_at_once();
  refused_later();
  if (!TESTS_TSAN) after_fork();
  return 0; /* though its threads were daemons: none is left */
}
