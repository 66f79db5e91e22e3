/* Descriptors of every kind: a call waits on each for what comes, for so long as it is told, and changes no mode. */
#include "../support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

static char folder[] = "/tmp/thrum-any-XXXXXX", fifo[64], file[64];

/* What is read from, how many bytes that gives, and how they come about. */
struct kind {
  const char *name;
  int (*open_it)(int nonblock);
  void (*feed)(int fd);
  size_t bytes;
};

static int other = -1; /* the other end, where there is one */

static void write_other(int fd) {
  (void)fd;
  CHECK_EQ(thrum_write(other, "x\n", 2), 2);
}

/* A terminal in its usual mode: it gives whole lines. */
static int open_terminal(int nonblock) {
  other = posix_openpt(O_RDWR | O_NOCTTY | nonblock);
  CHECK(other >= 0 && grantpt(other) == 0 && unlockpt(other) == 0);
  int fd = open(ptsname(other), O_RDWR | O_NOCTTY | nonblock);
  CHECK(fd >= 0 && isatty(fd));
  return fd;
}

static int open_fifo(int nonblock) {
  int fd = open(fifo, O_RDONLY | O_NONBLOCK);
  CHECK(fd >= 0 && (other = open(fifo, O_WRONLY | nonblock)) >= 0);
  if (!nonblock) CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
  return fd;
}

static int open_counter(int nonblock) { return eventfd(0, nonblock ? EFD_NONBLOCK : 0); }

static void count(int fd) { CHECK_EQ(thrum_write(fd, &(uint64_t){1}, 8), 8); }

static int open_timer(int nonblock) { return timerfd_create(CLOCK_MONOTONIC, nonblock ? TFD_NONBLOCK : 0); }

static void start_timer(int fd) {
  struct itimerspec soon = {.it_value.tv_nsec = 1000000};
  CHECK_EQ(timerfd_settime(fd, 0, &soon, NULL), 0);
}

static int open_watch(int nonblock) {
  int fd = inotify_init1(nonblock ? IN_NONBLOCK : 0);
  CHECK(inotify_add_watch(fd, folder, IN_ATTRIB) >= 0);
  return fd;
}

static void touch(int fd) {
  (void)fd;
  CHECK_EQ(chmod(folder, 0700), 0);
}

static const struct kind kinds[] = {
    {"terminal", open_terminal, write_other, 2}, {"fifo", open_fifo, write_other, 2},
    {"eventfd", open_counter, count, 8},         {"timerfd", open_timer, start_timer, 8},
    {"inotify", open_watch, touch, 0},           {0},
};

struct reading {
  int fd, begun;
  thrum_duration timeout;
};

static intptr_t read_some(void *arg) {
  struct reading *r = arg;
  char bytes[4096];
  STORE(r->begun, 1);
  return r->timeout ? thrum_read_for(r->fd, bytes, sizeof bytes, r->timeout)
                    : thrum_read(r->fd, bytes, sizeof bytes);
}

static void each_kind(int nonblock) {
  for (const struct kind *kind = kinds; kind->name; kind++) {
    other = -1;
    struct reading r = {.fd = kind->open_it(nonblock)};
    CHECK(r.fd >= 0);
    int mode = fcntl(r.fd, F_GETFL);
    for (int i = 0; i < 3; i++) {
      r.begun = 0;
      r.timeout = 0;
      thrum_thread t = must_spawn(read_some, &r);
      AWAIT(LOAD(r.begun));
      kind->feed(r.fd);
      intptr_t n = must_join(t);
      if (n <= 0 || (kind->bytes && (size_t)n != kind->bytes))
        check_failed(__FILE__, __LINE__, "%s: %zd", kind->name, n);
      r.timeout = THRUM_MS(2);
      CHECK_EQ(read_some(&r), -ETIMEDOUT);
    }
    r.begun = r.timeout = 0;
    thrum_thread t = must_spawn(read_some, &r);
    AWAIT(LOAD(r.begun));
    CHECK_EQ(fcntl(r.fd, F_GETFL), mode);
    CHECK_EQ(thrum_close(r.fd), 0);
    CHECK_EQ(must_join(t), -EBADF);
    if (other >= 0) CHECK_EQ(thrum_close(other), 0);
  }
}

/* What never waits: files of every kind, and devices. */
static void what_never_waits(void) {
  char bytes[64];
  static const char *const names[] = {"/dev/zero", "/dev/urandom", "/proc/self/status", "/proc/self/cmdline",
                                      0};
  for (int i = 0; names[i]; i++) {
    int fd = thrum_open(names[i], O_RDONLY, 0);
    CHECK(fd >= 0);
    CHECK(thrum_read_for(fd, bytes, 16, 0) == 16);
    CHECK_EQ(thrum_close(fd), 0);
  }
  int null = thrum_open("/dev/null", O_RDWR, 0), memory = memfd_create("m", 0),
      dir = thrum_open(folder, O_RDONLY, 0);
  CHECK_EQ(thrum_read(null, bytes, 1), 0);
  CHECK_EQ(thrum_write(null, bytes, 64), 64);
  CHECK_EQ(thrum_write(memory, "abc", 3), 3);
  CHECK_EQ(thrum_pread(memory, bytes, 64, 0), 3);
  CHECK_EQ(thrum_read(memory, bytes, 64), 0);
  CHECK_EQ(thrum_read(dir, bytes, 64), -EISDIR);
  CHECK_EQ(thrum_write(dir, bytes, 64), -EBADF);
  CHECK(thrum_close(null) == 0 && thrum_close(memory) == 0 && thrum_close(dir) == 0);
}

/* One number after the other is another kind of file, closed behind thrum's back: what was known of it misleads no call. */
static void kinds_change(void) {
  int number = open("/dev/null", O_RDONLY), round = 0;
  char bytes[64];
  for (const struct kind *a = kinds; a->name; a++)
    for (const struct kind *b = kinds; b->name; b++, round++) {
      const struct kind *const both[] = {a, b};
      for (int i = 0; i < 2; i++) {
        other = -1;
        int fd = both[i]->open_it(round % 2 ? O_NONBLOCK : 0);
        CHECK_EQ(dup2(fd, number), number);
        CHECK_EQ(close(fd), 0);
        CHECK_EQ(thrum_read_for(number, bytes, sizeof bytes, THRUM_MS(1)), -ETIMEDOUT);
        both[i]->feed(number);
        CHECK(thrum_read(number, bytes, sizeof bytes) > 0);
        if (other >= 0) CHECK_EQ(close(other), 0);
      }
      int plain = open(file, O_RDONLY);
      CHECK_EQ(dup2(plain, number), number);
      CHECK_EQ(close(plain), 0);
      CHECK_EQ(thrum_read(number, bytes, sizeof bytes), 4);
    }
  CHECK_EQ(thrum_close(number), 0);
}

int main(void) {
  CHECK(mkdtemp(folder));
  snprintf(fifo, sizeof fifo, "%s/fifo", folder);
  snprintf(file, sizeof file, "%s/file", folder);
  CHECK_EQ(mkfifo(fifo, 0600), 0);
  int fd = thrum_open(file, O_CREAT | O_WRONLY, 0600);
  CHECK_EQ(thrum_write(fd, "four", 4), 4);
  CHECK_EQ(thrum_close(fd), 0);
  each_kind(0);
  each_kind(O_NONBLOCK);
  what_never_waits();
  kinds_change();
  CHECK(unlink(fifo) == 0 && unlink(file) == 0 && rmdir(folder) == 0);
  return 0;
}
