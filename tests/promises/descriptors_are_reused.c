/* Numbers of descriptors come back as other files: a call never meets another file than it began with, and no wait is left
 * behind, whether thrum_close or close(2) closed it. */
#include "../support.h"

#include <fcntl.h>
#include <os/os.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = TESTS_SANITIZED ? 300 : 3000, READERS = 3 };

static struct reader {
  int fd, begun;
  unsigned char byte;
} readers[READERS];

/* Numbers from here on are nobody's who opens a file meanwhile, as the runtime does. */
enum { OUT_OF_THE_WAY = 500 };

/* Gives the file such a number instead of its own; or this one. */
static void move_away(int *fd) {
  int moved = fcntl(*fd, F_DUPFD, OUT_OF_THE_WAY);
  CHECK(moved >= OUT_OF_THE_WAY);
  CHECK_EQ(close(*fd), 0);
  *fd = moved;
}

static void move_to(int *fd, int number) {
  CHECK_EQ(dup2(*fd, number), number);
  CHECK_EQ(close(*fd), 0);
  *fd = number;
}

/* A call has begun when it tries: not before, and a call that has not may as well come after the close, and read what is there then. */
static ssize_t recv_and_tell(int fd, void *buffer, size_t size, int flags) {
  for (int r = 0; r < READERS; r++)
    if (buffer == &readers[r].byte) STORE(readers[r].begun, 1);
  return thrumi_os_linux.recv(fd, buffer, size, flags);
}

static bool all_have_begun(void) {
  for (int r = 0; r < READERS; r++)
    if (!LOAD(readers[r].begun)) return false;
  return true;
}

/* Its own file's tag, or hears that it is closed. */
static intptr_t read_tag(void *arg) {
  struct reader *me = arg;
  ssize_t n = thrum_read(me->fd, &me->byte, 1);
  return n == 1 ? me->byte : n;
}

/* While readers try and wait, the number is closed, and opened again at once with bytes of another tag in it. */
static void no_call_meets_another_file(void) {
  for (int i = 0; i < ROUNDS; i++) {
    int pair[2], next[2], got = 0, sent = i % READERS;
    unsigned char tag = (unsigned char)(i % 200), other = (unsigned char)(tag + 1);
    thrum_thread threads[READERS];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | (i % 2 ? SOCK_NONBLOCK : 0), 0, pair), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, next), 0);
    move_away(&pair[0]);
    for (int r = 0; r < READERS; r++) {
      readers[r] = (struct reader){.fd = pair[0]};
      threads[r] = must_spawn(read_tag, &readers[r]);
    }
    for (int n = 0; n < sent; n++) CHECK_EQ(thrum_write(pair[1], &tag, 1), 1);
    while (!all_have_begun()) thrum_yield();
    CHECK_EQ(thrum_close(pair[0]), 0);
    move_to(&next[0], pair[0]);
    for (int n = 0; n < 2 * READERS; n++) CHECK_EQ(write(next[1], &other, 1), 1);
    for (int r = 0; r < READERS; r++) {
      intptr_t end = must_join(threads[r]);
      if (end == -EBADF) continue;
      CHECK_EQ(end, tag);
      got++;
    }
    CHECK(got <= sent);
    CHECK(thrum_close(next[0]) == 0 && thrum_close(next[1]) == 0 && thrum_close(pair[1]) == 0);
  }
}

static intptr_t read_byte(void *arg) {
  char byte = 0;
  ssize_t n = thrum_read_for(*(int *)arg, &byte, 1, THRUM_S(TESTS_HANG_S));
  return n == 1 ? byte : n;
}

/* The number is closed by close(2), behind thrum's back, and given to another file: thrum believes that epoll knows it. */
static void closed_behind(int type) {
  int old[2], new[2];
  CHECK_EQ(socketpair(AF_UNIX, type, 0, old), 0);
  thrum_thread t = must_spawn(read_byte, &old[0]);
  thrum_yield();
  CHECK_EQ(thrum_write(old[1], "a", 1), 1);
  CHECK_EQ(must_join(t), 'a');
  CHECK_EQ(pipe(new), 0);
  CHECK_EQ(dup2(new[0], old[0]), old[0]);
  CHECK_EQ(close(new[0]), 0);
  thrum_thread thread = must_spawn(read_byte, &old[0]);
  thrum_sleep(THRUM_MS(1)); /* it most likely waits by now; if not, the test is only easier */
  CHECK_EQ(thrum_write(new[1], "b", 1), 1);
  CHECK_EQ(must_join(thread), 'b');
  CHECK(thrum_close(new[1]) == 0 && thrum_close(old[0]) == 0 && thrum_close(old[1]) == 0);
}

/* A duplicate keeps the file open, and epoll goes on reporting it under the number that it was enrolled with. */
static void duplicates_do_not_disturb(void) {
  int pair[2], next[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQ(pipe(next), 0);
  move_away(&pair[0]);
  thrum_thread t = must_spawn(read_byte, &pair[0]);
  thrum_yield();
  CHECK_EQ(thrum_write(pair[1], "a", 1), 1);
  CHECK_EQ(must_join(t), 'a');
  int copy = dup(pair[0]);
  CHECK_EQ(thrum_close(pair[0]), 0);
  move_to(&next[0], pair[0]);
  CHECK_EQ(thrum_write(pair[1], "old", 3), 3);
  t = must_spawn(read_byte, &next[0]);
  thrum_sleep(THRUM_MS(1));
  CHECK_EQ(thrum_write(next[1], "n", 1), 1);
  CHECK_EQ(must_join(t), 'n');
  CHECK(thrum_close(copy) == 0 && thrum_close(pair[1]) == 0);
  CHECK(thrum_close(next[0]) == 0 && thrum_close(next[1]) == 0);
}

/* One closes, the others hear that there is nothing to be closed any more. The number is out of the way: who closes twice would close what
 * has it by then. */
static int closed;

static intptr_t close_it(void *arg) {
  int error = thrum_close(*(int *)arg);
  if (error == 0) ADD(closed, 1);
  return error == -EBADF ? 0 : error;
}

static void only_one_closes(void) {
  for (int i = 0; i < 200; i++) {
    int pair[2];
    struct crowd {
      thrum_thread threads[4];
    } crowd;
    CHECK_EQ(pipe(pair), 0);
    int number = fcntl(pair[0], F_DUPFD, OUT_OF_THE_WAY);
    CHECK(number >= OUT_OF_THE_WAY);
    closed = 0;
    for (int c = 0; c < 4; c++) crowd.threads[c] = must_spawn(close_it, &number);
    for (int c = 0; c < 4; c++) CHECK_EQ(must_join(crowd.threads[c]), 0);
    CHECK_EQ(closed, 1);
    CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0);
  }
  CHECK_EQ(thrum_close(-1), -EBADF);
  CHECK_EQ(thrum_close(1 << 30), -EBADF);
}

/* A number that is not open may become a file at any moment, on which a plain call would block, and a close wait for it. */
static int plain_calls;

static ssize_t count_plain(int fd, const struct iovec *pieces, int count, bool wait) {
  if (wait) ADD(plain_calls, 1);
  return thrumi_os_linux.readv(fd, pieces, count, wait);
}

static void nothing_open_is_not_called(void) {
  int pair[2];
  char byte;
  thrumi_os.readv = count_plain;
  CHECK_EQ(pipe(pair), 0);
  int number = fcntl(pair[0], F_DUPFD, OUT_OF_THE_WAY);
  CHECK_EQ(thrum_close(number), 0);
  CHECK_EQ(thrum_read(number, &byte, 1), -EBADF);
  CHECK_EQ(plain_calls, 0);
  thrumi_os.readv = thrumi_os_linux.readv;
  CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0);
}

int main(void) {
  thrumi_os.recv = recv_and_tell;
  no_call_meets_another_file();
  closed_behind(SOCK_STREAM);
  closed_behind(SOCK_STREAM | SOCK_NONBLOCK);
  duplicates_do_not_disturb();
  only_one_closes();
  nothing_open_is_not_called();
  return 0;
}
