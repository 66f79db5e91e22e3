/* thrum_read, thrum_write, thrum_close: they park only the thread, on any kind of descriptor, wake who waits
 * on what is closed, change no mode, and neither raise SIGPIPE nor return EINTR. */
#include "../support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

enum { PAIRS = 100, BYTES = 300000 };

static int fds[PAIRS][2];
static int reading;

static intptr_t read_one(void *arg) {
  int fd = *(int *)arg;
  char c = 0;
  ADD(reading, 1);
  ssize_t n = thrum_read(fd, &c, 1);
  return n == 1 ? c : n;
}

/* A hundred wait, and no kernel thread does. */
static void park_only_the_thread(void) {
  thrum_thread threads[PAIRS];
  uint32_t kernel_threads = statistics().kernel_threads;
  reading = 0;
  for (int i = 0; i < PAIRS; i++) {
    CHECK_EQ(i % 2 ? pipe2(fds[i], O_NONBLOCK) : pipe(fds[i]), 0);
    threads[i] = must_spawn(read_one, &fds[i][0]);
  }
  AWAIT(LOAD(reading) == PAIRS);
  CHECK(statistics().kernel_threads < kernel_threads + PAIRS / 4);
  for (int i = PAIRS - 1; i >= 0; i--) CHECK_EQ(thrum_write(fds[i][1], &(char){(char)(1 + i)}, 1), 1);
  for (int i = 0; i < PAIRS; i++) {
    CHECK_EQ(must_join(threads[i]), 1 + i);
    CHECK_EQ(fcntl(fds[i][0], F_GETFL) & O_NONBLOCK, i % 2 ? O_NONBLOCK : 0);
    CHECK(thrum_close(fds[i][0]) == 0 && thrum_close(fds[i][1]) == 0);
  }
}

/* Descriptors' numbers are used again, for other things: a waiter of the old one must not be left behind. */
static void closing_wakes_waiters(void) {
  for (int round = 0; round < 50; round++) {
    int pair[2];
    thrum_thread threads[3];
    reading = 0;
    CHECK_EQ(round % 2 ? pipe(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int i = 0; i < 3; i++)
      threads[i] = i == 2 ? must_spawn_bound(read_one, pair) : must_spawn(read_one, pair);
    AWAIT(LOAD(reading) == 3);
    CHECK_EQ(thrum_close(pair[0]), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(must_join(threads[i]), -EBADF);
    CHECK_EQ(thrum_close(pair[1]), 0);
  }
}

struct transfer {
  int fd;
  size_t bytes;
};

static intptr_t write_all(void *arg) {
  struct transfer *transfer = arg;
  unsigned char block[7000];
  size_t done = 0;
  while (done < transfer->bytes) {
    size_t n = transfer->bytes - done < sizeof block ? transfer->bytes - done : sizeof block;
    for (size_t i = 0; i < n; i++) block[i] = (unsigned char)((done + i) * 7);
    ssize_t written = thrum_write(transfer->fd, block, n);
    CHECK(written > 0 && (size_t)written <= n);
    done += (size_t)written;
  }
  return thrum_close(transfer->fd);
}

static void read_all(int fd) {
  unsigned char block[5000];
  size_t done = 0;
  for (ssize_t n; (n = thrum_read(fd, block, sizeof block)) != 0; done += (size_t)n) {
    CHECK(n > 0);
    for (ssize_t i = 0; i < n; i++) CHECK_EQ(block[i], (unsigned char)((done + (size_t)i) * 7));
  }
  CHECK_EQ(done, BYTES);
  CHECK_EQ(thrum_close(fd), 0);
}

static int open_kind(int kind, int pair[2]) {
  if (kind == 0) return pipe(pair);
  if (kind == 1) return pipe2(pair, O_NONBLOCK);
  return socketpair(AF_UNIX, SOCK_STREAM | (kind == 3 ? SOCK_NONBLOCK : 0), 0, pair);
}

static intptr_t transfer_all(void *arg) {
  (void)arg;
  for (int kind = 0; kind < 4; kind++) {
    int pair[2];
    CHECK_EQ(open_kind(kind, pair), 0);
    struct transfer transfer = {pair[1], BYTES};
    thrum_thread t = must_spawn(write_all, &transfer);
    read_all(pair[0]);
    CHECK_EQ(must_join(t), 0);
  }
  return 0;
}

static void files_never_wait(void) {
  FILE *file = tmpfile();
  CHECK(file);
  char text[6] = "";
  CHECK_EQ(thrum_write(fileno(file), "hello", 5), 5);
  CHECK_EQ(lseek(fileno(file), 0, SEEK_SET), 0);
  CHECK_EQ(thrum_read_for(fileno(file), text, 5, 0), 5);
  CHECK_STR(text, "hello");
  CHECK_EQ(thrum_read(fileno(file), text, 5), 0);
  fclose(file);
}

static void broken_pipes_raise_nothing(void) {
  int pair[2];
  for (int kind = 0; kind < 4; kind++) {
    CHECK_EQ(open_kind(kind, pair), 0);
    CHECK_EQ(thrum_close(pair[0]), 0);
    CHECK_EQ(thrum_write(pair[1], "x", 1), -EPIPE);
    CHECK_EQ(thrum_close(pair[1]), 0);
  }
}

static int signals;
static void on_signal(int signo) {
  (void)signo;
  ADD(signals, 1);
}

/* A signal handler without SA_RESTART runs, and the wait goes on. */
static void signals_end_no_wait(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  int pair[2];
  reading = 0;
  CHECK_EQ(pipe(pair), 0);
  thrum_thread t = must_spawn(read_one, pair);
  AWAIT(LOAD(reading) == 1);
  for (int i = 0; i < 20; i++) {
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    AWAIT(LOAD(signals) > i);
  }
  CHECK_EQ(thrum_write(pair[1], "s", 1), 1);
  CHECK_EQ(must_join(t), 's');
  CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0);
}

int main(void) {
  park_only_the_thread();
  closing_wakes_waiters();
  run_in_each_kind(transfer_all, NULL);
  files_never_wait();
  broken_pipes_raise_nothing();
  signals_end_no_wait();
  return 0;
}
