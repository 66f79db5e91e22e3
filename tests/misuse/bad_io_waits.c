/* What is wrong with lines, listening and dialing, signals and children: the documented error, and nothing has changed. */
#include "../support.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void lines(void) {
  char room[8];
  const char *line;
  thrum_reader in;
  thrum_writer out;
  CHECK_EQ(thrum_reader_init(&in, 0, NULL, 8), -EINVAL);
  CHECK_EQ(thrum_reader_init(&in, 0, room, 0), -EINVAL);
  CHECK_EQ(thrum_writer_init(&out, 0, NULL, 8), -EINVAL);
  CHECK_EQ(thrum_writer_init(&out, 0, room, 0), -EINVAL);
  CHECK_EQ(thrum_reader_init(NULL, 0, room, sizeof room), -EINVAL);
  CHECK_EQ(thrum_writer_init(NULL, 0, room, sizeof room), -EINVAL);
  CHECK_EQ(thrum_reader_init(&in, -1, room, sizeof room), 0); /* said when it is read */
  CHECK_EQ(thrum_reader_line(&in, &line), -EBADF);
  CHECK_EQ(thrum_reader_line(&in, NULL), -EINVAL);
  CHECK_EQ(thrum_reader_read(&in, room, 1), -EBADF);
  CHECK_EQ(thrum_writer_init(&out, -1, room, sizeof room), 0);
  CHECK_EQ(thrum_writer_put(&out, "12345", 5), 0);
  CHECK_EQ(thrum_writer_put(&out, "6789", 4), -EBADF);
  CHECK_EQ(thrum_writer_print(&out, "%s", "1234567"), -EBADF);
  CHECK_EQ(thrum_writer_flush(&out), -EBADF);
  CHECK_EQ(thrum_writer_flush_for(&out, 0), -EBADF);
  CHECK_EQ(out.used, 5);
}

/* As static ones are that nobody has initialised, and those whose initialisation failed. */
static void without_room(thrum_reader *in, thrum_writer *out) {
  char byte;
  const char *line;
  CHECK_EQ(thrum_reader_line(in, &line), -EINVAL);
  CHECK_EQ(thrum_reader_line_for(in, &line, 0), -EINVAL);
  CHECK_EQ(thrum_reader_read(in, &byte, 1), -EINVAL);
  CHECK_EQ(thrum_reader_read_for(in, &byte, 0, 0), -EINVAL);
  CHECK_EQ(thrum_reader_buffered(in), 0);
  CHECK_EQ(thrum_writer_put(out, "x", 1), -EINVAL);
  CHECK_EQ(thrum_writer_put(out, "x", 0), -EINVAL);
  CHECK_EQ(thrum_writer_print(out, "%d", 1), -EINVAL);
  CHECK_EQ(thrum_writer_flush(out), -EINVAL);
  CHECK_EQ(thrum_writer_flush_for(out, 0), -EINVAL);
}

static void lines_without_room(void) {
  char room[8];
  thrum_reader in = {0};
  thrum_writer out = {0};
  without_room(&in, &out);
  without_room(NULL, NULL);
  CHECK_EQ(thrum_reader_init(&in, 0, room, 0), -EINVAL);
  CHECK_EQ(thrum_writer_init(&out, 1, room, 0), -EINVAL);
  without_room(&in, &out);
}

/* In blocking mode poll has nothing to say of them, now or ever. */
static void accepting_at_no_listener(void) {
  for (int mode = 0; mode <= SOCK_NONBLOCK; mode += SOCK_NONBLOCK) {
    int stream = socket(AF_UNIX, SOCK_STREAM | mode, 0), packets = socket(AF_UNIX, SOCK_SEQPACKET | mode, 0);
    int datagram = socket(AF_INET, SOCK_DGRAM | mode, 0), ends[2], pair[2];
    CHECK_EQ(pipe2(ends, mode), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | mode, 0, pair), 0);
    CHECK_EQ(thrum_accept(stream, NULL, NULL), -EINVAL);
    CHECK_EQ(thrum_accept(packets, NULL, NULL), -EINVAL);
    CHECK_EQ(thrum_accept(pair[0], NULL, NULL), -EINVAL);
    CHECK_EQ(thrum_accept(datagram, NULL, NULL), -EOPNOTSUPP);
    CHECK_EQ(thrum_accept(ends[0], NULL, NULL), -ENOTSOCK);
    const int all[] = {stream, packets, datagram, ends[0], ends[1], pair[0], pair[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_EQ(thrum_close(all[i]), 0);
  }
}

/* What is not waited for is refused, also if it is there. */
static void events_to_poll_for(void) {
  static const struct {
    int events, result;
  } rows[] = {{POLLIN, 1},
              {POLLIN | POLLRDNORM, 1},
              {POLLOUT | POLLWRNORM, 1},
              {POLLIN | POLLERR | POLLHUP | POLLNVAL, 1},
              {POLLRDNORM, -EINVAL},
              {POLLWRNORM, -EINVAL},
              {POLLIN | POLLWRNORM, -EINVAL},
              {POLLIN | POLLRDBAND, -EINVAL},
              {POLLOUT | POLLWRBAND, -EINVAL},
              {POLLMSG, -EINVAL}};
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQ(thrum_write(pair[1], "x", 1), 1);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pollfd asked = {.fd = pair[0], .events = (short)rows[i].events};
    CHECK_EQ(thrum_poll(&asked, 1), rows[i].result);
  }
  CHECK_EQ(thrum_poll_for(&(struct pollfd){.fd = -1, .events = POLLRDBAND}, 1, 0), -ETIMEDOUT); /* left out */
  CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0);
}

static int set_and(int (*call)(const sigset_t *), int signo) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  if (signo) sigaddset(&set, signo);
  return call(&set);
}

static bool has_default_action(int signo) {
  struct sigaction action;
  CHECK_EQ(sigaction(signo, NULL, &action), 0);
  return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

static void signals(void) {
  static const int bad[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE,
                            SIGILL,  SIGTRAP, SIGSYS,  SIGABRT, SIGURG};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_EQ(set_and(thrum_signal_catch, bad[i]), -EINVAL);
    CHECK_EQ(set_and(thrum_signal_release, bad[i]), -EINVAL);
    CHECK_EQ(set_and(thrum_signal_wait, bad[i]), -EINVAL);
    CHECK(has_default_action(SIGUSR1)); /* none of the set */
  }
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  CHECK_EQ(thrum_signal_catch(&none), 0);
  CHECK_EQ(thrum_signal_release(&none), 0);
  CHECK_EQ(thrum_signal_wait(&none), -EINVAL);
  CHECK_EQ(thrum_signal_wait_for(&none, 0), -EINVAL);
  CHECK_EQ(thrum_signal_catch(&all), -EINVAL);
  CHECK_EQ(thrum_signal_catch(NULL), -EINVAL);
  CHECK_EQ(thrum_signal_release(NULL), -EINVAL);
  CHECK_EQ(thrum_signal_wait(NULL), -EINVAL);
  CHECK_EQ(set_and(thrum_signal_release, SIGUSR2), 0); /* not caught */
  static const int wrong[] = {0, -1, 65, 32, SIGKILL, SIGSEGV, SIGURG, INT32_MIN};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    thrum_case c = thrum_case_signal(wrong[i]);
    CHECK_EQ(thrum_select(&c, 1), 0);
    CHECK_EQ(c.status, -EINVAL);
  }
}

/* No descriptor is to be had: said, and the program goes on. */
static void no_descriptors(void) {
  enum { LIMIT = 100 };
  int taken[LIMIT], n = 0;
  struct addrinfo *list;
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = LIMIT;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  while ((taken[n] = dup(2)) >= 0) n++;
  static thrum_event event;
  CHECK_EQ(set_and(thrum_signal_catch, 0), -EMFILE);
  CHECK_EQ(set_and(thrum_signal_wait, 0), -EMFILE);
  CHECK(has_default_action(SIGUSR1));
  thrum_case c = thrum_case_signal(SIGUSR1);
  CHECK_EQ(thrum_select(&c, 1), 0);
  CHECK_EQ(c.status, -EMFILE);
  CHECK_EQ(thrum_event_fd(&event), -EMFILE);
  CHECK_EQ(thrum_listen_tcp("127.0.0.1", "0"), -EMFILE);
  CHECK_EQ(thrum_dial_tcp("127.0.0.1", "1"), -EMFILE);
  CHECK_EQ(thrum_listen_unix("@thrum-none"), -EMFILE);
  CHECK_EQ(thrum_dial_unix("@thrum-none"), -EMFILE);
  CHECK_EQ(thrum_getaddrinfo("127.0.0.1", "1", NULL, &list, NULL), 0);
  freeaddrinfo(list);
  while (n) CHECK_EQ(close(taken[--n]), 0);
  CHECK_EQ(set_and(thrum_signal_catch, 0), 0);
}

static intptr_t all(void *unused) {
  (void)unused;
  lines();
  lines_without_room();
  accepting_at_no_listener();
  events_to_poll_for();
  signals();
  CHECK_EQ(thrum_event_fd(NULL), -EINVAL);
  CHECK_EQ(thrum_child_wait(INT32_MIN, NULL), -EINVAL);
  CHECK_EQ(thrum_child_wait(getpid(), NULL), -ECHILD);
  CHECK_EQ(thrum_child_wait(INT32_MAX, NULL), -ECHILD);
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  no_descriptors();
  return 0;
}
