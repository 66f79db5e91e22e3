/* Numbers of descriptors come back as other files: a call never meets another file than it began with, and no wait is left
 * behind, whether thrum_close or close(2) closed it. */
#include "../support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = TESTS_SANITIZED ? 300 : 3000, READERS = 3 };

struct round {
  int fd;
  unsigned char tag;
  int begun, foreign;
};

/* Reads its own file's tag, or hears that it is closed. */
static intptr_t read_tags(void *arg) {
  struct round *round = arg;
  ADD(round->begun, 1);
  for (;;) {
    unsigned char byte = 0;
    ssize_t n = thrum_read(round->fd, &byte, 1);
    if (n != 1) return n;
    if (byte != round->tag) ADD(round->foreign, 1);
  }
}

/* While readers try and wait, the number is closed, and opened again at once with bytes of another tag in it. */
static void no_call_meets_another_file(void) {
  for (int i = 0; i < ROUNDS; i++) {
    int pair[2], next[2];
    struct round round = {.tag = (unsigned char)(i % 200)};
    thrum_thread readers[READERS];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | (i % 2 ? SOCK_NONBLOCK : 0), 0, pair), 0);
    round.fd = pair[0];
    for (int r = 0; r < READERS; r++) readers[r] = must_spawn(read_tags, &round);
    for (int n = i % 4; n > 0; n--) CHECK_EQ(thrum_write(pair[1], &round.tag, 1), 1);
    if (i % 3)
      AWAIT(LOAD(round.begun) == READERS);
    else
      thrum_yield();
    CHECK_EQ(LOAD(round.begun) == READERS ? thrum_close(pair[0]) : 0, 0);
    if (LOAD(round.begun) < READERS) { /* not all have begun: their calls are to find it open */
      AWAIT(LOAD(round.begun) == READERS);
      thrum_close(pair[0]);
    }
    unsigned char other = (unsigned char)(round.tag + 1);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, next), 0);
    CHECK_EQ(next[0], pair[0]);
    for (int n = 0; n < 2 * READERS; n++) CHECK_EQ(write(next[1], &other, 1), 1);
    for (int r = 0; r < READERS; r++) {
      intptr_t end = must_join(readers[r]);
      CHECK_EQ(end, -EBADF);
    }
    CHECK_EQ(round.foreign, 0);
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
  thrum_thread t = must_spawn(read_byte, &pair[0]);
  thrum_yield();
  CHECK_EQ(thrum_write(pair[1], "a", 1), 1);
  CHECK_EQ(must_join(t), 'a');
  int copy = dup(pair[0]);
  CHECK_EQ(thrum_close(pair[0]), 0);
  CHECK_EQ(pipe(next), 0);
  CHECK_EQ(next[0], pair[0]);
  CHECK_EQ(thrum_write(pair[1], "old", 3), 3);
  t = must_spawn(read_byte, &next[0]);
  thrum_sleep(THRUM_MS(1));
  CHECK_EQ(thrum_write(next[1], "n", 1), 1);
  CHECK_EQ(must_join(t), 'n');
  CHECK(thrum_close(copy) == 0 && thrum_close(pair[1]) == 0);
  CHECK(thrum_close(next[0]) == 0 && thrum_close(next[1]) == 0);
}

/* One closes, the others hear that there is nothing to be closed any more, or close the next file of that number: never twice. */
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
    closed = 0;
    for (int c = 0; c < 4; c++) crowd.threads[c] = must_spawn(close_it, &pair[0]);
    for (int c = 0; c < 4; c++) CHECK_EQ(must_join(crowd.threads[c]), 0);
    CHECK_EQ(closed, 1);
    CHECK_EQ(thrum_close(pair[1]), 0);
  }
  CHECK_EQ(thrum_close(-1), -EBADF);
  CHECK_EQ(thrum_close(1 << 30), -EBADF);
}

int main(void) {
  no_call_meets_another_file();
  closed_behind(SOCK_STREAM);
  closed_behind(SOCK_STREAM | SOCK_NONBLOCK);
  duplicates_do_not_disturb();
  only_one_closes();
  return 0;
}
