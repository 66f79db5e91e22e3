/* Writes to a terminal that nobody reads, from either side and in each mode: their time, a cancellation and a close end them, and they go on
 * when somebody reads. The terminal's mode stays what it was. */
#include "queues.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

enum { MUCH = 150 << 10 };
static char much[MUCH];
static int ends[2]; /* the terminal, its master */

static void open_both(int nonblock) {
  struct termios raw;
  ends[1] = posix_openpt(O_RDWR | O_NOCTTY | nonblock);
  CHECK(ends[1] >= 0 && grantpt(ends[1]) == 0 && unlockpt(ends[1]) == 0);
  ends[0] = open(ptsname(ends[1]), O_RDWR | O_NOCTTY | nonblock);
  CHECK(ends[0] >= 0 && tcgetattr(ends[0], &raw) == 0);
  cfmakeraw(&raw);
  CHECK_EQ(tcsetattr(ends[0], TCSANOW, &raw), 0);
}

struct writing {
  int fd, begun;
};

static intptr_t write_much(void *arg) {
  struct writing *w = arg;
  STORE(w->begun, 1);
  return thrum_write_all(w->fd, much, MUCH);
}

static thrum_thread begin(struct writing *w, int fd) {
  *w = (struct writing){.fd = fd};
  thrum_thread t = must_spawn(write_much, w);
  AWAIT(LOAD(w->begun) && queue_parked(t));
  return t;
}

/* Until they take no more: the kernel carries on late what it was given, and then there is room once more. How many bytes were written. */
static int64_t time_ends_them(int fd) {
  int file = memfd_create("much", MFD_CLOEXEC);
  int64_t at = 0, last = 0, written = thrum_write_all_for(fd, much, MUCH, THRUM_MS(20));
  CHECK(written > 0 && written < MUCH);
  CHECK_EQ(thrum_write(file, much, MUCH), MUCH);
  do {
    while ((last = thrum_write_all_for(fd, much, MUCH, THRUM_MS(1))) > 0) written += last;
    CHECK_EQ(last, -ETIMEDOUT);
    last = thrum_write_for(fd, much, MUCH, 0);
    if (last == -ETIMEDOUT) last = thrum_sendfile_for(fd, file, &at, MUCH, THRUM_MS(1));
    if (last > 0) written += last;
  } while (last > 0);
  CHECK_EQ(last, -ETIMEDOUT);
  CHECK(thrum_close(file) == 0 && written > at);
  return written;
}

static void a_reader_lets_them_go_on(int fd, int other, int64_t written) {
  static char bytes[4096];
  struct writing w;
  while (written > 0) {
    ssize_t n = thrum_read(other, bytes, sizeof bytes);
    CHECK(n > 0);
    written -= n;
  }
  CHECK_EQ(written, 0);
  thrum_thread t = begin(&w, fd);
  for (size_t at = 0; at < MUCH;) {
    ssize_t n = thrum_read(other, bytes, sizeof bytes);
    CHECK(n > 0 && memcmp(bytes, much + at, (size_t)n) == 0);
    at += (size_t)n;
  }
  CHECK_EQ(must_join(t), MUCH);
}

static void a_cancellation_ends_them(int fd) {
  struct writing w;
  thrum_thread t = begin(&w, fd);
  CHECK_EQ(thrum_cancel(t), 0);
  intptr_t n = must_join(t); /* what it had written, if it had */
  CHECK(n == -ECANCELED || (n > 0 && n < MUCH));
}

static void a_close_ends_them(int fd) {
  struct writing w;
  thrum_thread t = begin(&w, fd);
  CHECK_EQ(thrum_close(fd), 0);
  CHECK_EQ(must_join(t), -EBADF);
}

static void one_side(int nonblock, int side) {
  open_both(nonblock);
  int64_t written = time_ends_them(ends[side]);
  a_reader_lets_them_go_on(ends[side], ends[!side], written);
  a_cancellation_ends_them(ends[side]);
  CHECK_EQ(fcntl(ends[side], F_GETFL) & O_NONBLOCK, nonblock);
  a_close_ends_them(ends[side]);
  CHECK_EQ(thrum_close(ends[!side]), 0);
}

/* What must not be written to is not opened for it. */
static void what_is_for_reading_stays_so(void) {
  open_both(0);
  int fd = open(ptsname(ends[1]), O_RDONLY | O_NOCTTY);
  CHECK(fd >= 0);
  CHECK_EQ(thrum_write(fd, "x", 1), -EBADF);
  CHECK(thrum_close(fd) == 0 && thrum_close(ends[0]) == 0 && thrum_close(ends[1]) == 0);
}

int main(void) {
  for (int i = 0; i < MUCH; i++) much[i] = (char)(i * 31 >> 3);
  for (int i = 0; i < 4; i++) one_side(i % 2 ? O_NONBLOCK : 0, i / 2);
  what_is_for_reading_stays_so();
  return 0;
}
