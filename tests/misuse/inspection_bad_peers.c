/* Peers of the inspect socket that do not keep to the protocol harm nobody but themselves: beside each of them another one is answered. A
 * directory that others may write to, or that is a link, is not used. */
#include "../inspected.h"
#include "../support.h"

#include <fcntl.h>
#include <signal.h>

enum { PEERS = 8 };

/* As long as others have not gone there may be too many. */
static bool is_answered(void) {
  int fd = inspected_try_connect(getpid());
  if (fd < 0) return false;
  const char *answer = send(fd, "stats\n", 6, MSG_NOSIGNAL) == 6 ? inspected_receive(fd) : NULL;
  bool answered = answer && !strstr(answer, "too many connections");
  if (answered) CHECK_EQ(json_number_after(json_checked(answer), "pid"), getpid());
  close(fd);
  return answered;
}

/* Another peer is answered, within the time that a test has. */
static void others_are_answered(void) { AWAIT(is_answered()); }

static bool is_hung_up_on(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- What is no request -------------------------------------------------------------------------------------------- */

static void send_nonsense(void) {
  static const char *const requests[] = {"",
                                         " ",
                                         "threads x",
                                         "threads -1",
                                         "threads 99999999999999999999999",
                                         "thread",
                                         "threadsand",
                                         "stack",
                                         "stack 0",
                                         "stack 18446744073709551615",
                                         "dump x",
                                         "threads 1 2",
                                         "{\"threads\":true}",
                                         "\x01\xff\xfe",
                                         "GET / HTTP/1.1\r"};
  int fd = inspected_connect(getpid());
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
    CHECK_HAS(json_checked(inspected_ask(fd, requests[i])), "{\"error\":\"");
  /* Beyond all threads there is nothing, and no error. */
  CHECK_HAS(inspected_ask(fd, "threads 18446744073709551615"), "\"threads\":[],\"next\":0");
  CHECK_HAS(inspected_ask(fd, "dump 4294967295"), "\"next\":0");
  CHECK_HAS(inspected_ask(fd, "stats\r"), "\"pid\"");
  close(fd);
}

/* By chance, and always the same. */
static void send_noise(void) {
  uint32_t random = 12345;
  for (int round = 0; round < 50; round++) {
    char noise[300];
    int fd = inspected_connect(getpid());
    for (size_t i = 0; i < sizeof noise; i++) {
      random = random * 1664525 + 1013904223;
      noise[i] = (char)(random >> 24);
    }
    if (send(fd, noise, sizeof noise, MSG_NOSIGNAL) < 0) CHECK(errno == EPIPE || errno == ECONNRESET);
    close(fd);
  }
  others_are_answered();
}

static void send_too_long_a_line(void) {
  char line[4096];
  int fd = inspected_connect(getpid());
  memset(line, 'a', sizeof line);
  CHECK(send(fd, line, sizeof line, MSG_NOSIGNAL) > 0);
  const char *answer = inspected_receive(fd);
  if (answer) CHECK_HAS(answer, "the request is too long");
  AWAIT(is_hung_up_on(fd));
  close(fd);
  others_are_answered();
}

/* Several in one piece are answered in turn. */
static void send_ahead(void) {
  int fd = inspected_connect(getpid());
  inspected_send(fd, "stats\nthreads\nnonsense\nstats\nsta");
  CHECK_HAS(inspected_receive(fd), "\"pid\"");
  CHECK_HAS(inspected_receive(fd), "\"threads\"");
  CHECK_HAS(inspected_receive(fd), "\"error\"");
  CHECK_HAS(inspected_receive(fd), "\"pid\"");
  inspected_send(fd, "ts\n");
  CHECK_HAS(inspected_receive(fd), "\"pid\"");
  close(fd);
}

/* ---- Who is slow ------------------------------------------------------------------------------------------------------ */

/* The one begins a request, the other takes no answer: both are hung up on after some seconds. How long another one waits meanwhile. */
static int64_t be_slow(void) {
  int half = inspected_connect(getpid()), deaf = inspected_connect(getpid()), small = 1, sent = 0;
  CHECK_EQ(setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  inspected_send(half, "thre");
  while (send(deaf, "dump\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL) == 5 && sent < 100000) sent++;
  int64_t began = wall_now();
  others_are_answered();
  int64_t waited = wall_now() - began;
  AWAIT(is_hung_up_on(half));
  AWAIT(send(deaf, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE);
  close(half);
  close(deaf);
  others_are_answered();
  return waited;
}

static void be_many(void) {
  int fds[3 * PEERS], refused = 0;
  for (int i = 0; i < 3 * PEERS; i++) fds[i] = inspected_connect(getpid());
  for (int i = 0; i < 3 * PEERS; i++) {
    if (send(fds[i], "stats\n", 6, MSG_NOSIGNAL) < 0) CHECK(errno == EPIPE || errno == ECONNRESET);
    const char *answer = inspected_receive(fds[i]);
    if (i < PEERS) CHECK_HAS(answer, "\"pid\"");
    refused += !answer || strstr(answer, "too many connections") != NULL;
  }
  CHECK_EQ(refused, 2 * PEERS);
  for (int i = 0; i < 3 * PEERS; i++) close(fds[i]);
  others_are_answered();
}

static void leave_at_once(void) {
  for (int i = 0; i < 200; i++) {
    int fd = inspected_try_connect(getpid());
    CHECK(fd >= 0 || fd == -EAGAIN);
    if (fd >= 0 && i % 2)
      CHECK(send(fd, "dump\n", 5, MSG_NOSIGNAL) == 5 || errno == EPIPE || errno == ECONNRESET);
    if (fd >= 0) close(fd);
  }
  others_are_answered();
}

/* ---- Directories ------------------------------------------------------------------------------------------------------- */

/* The socket that it opens beside that directory is in /tmp, of no concern here. */
static void is_not_used(void) {
  char path[160];
  int error = thrum_inspect(true);
  snprintf(path, sizeof path, "%s/thrum/%d.sock", inspected_runtime, (int)getpid());
  CHECK_EQ(access(path, F_OK), -1);
  if (!error) CHECK_EQ(thrum_inspect(false), 0);
}

static void refuse_directories(void) {
  char thrum[160], elsewhere[160];
  snprintf(thrum, sizeof thrum, "%s/thrum", inspected_runtime);
  snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", inspected_runtime);
  CHECK_EQ(rmdir(thrum), 0);
  CHECK_EQ(mkdir(elsewhere, 0700), 0);
  CHECK_EQ(symlink(elsewhere, thrum), 0);
  is_not_used();
  CHECK_EQ(unlink(thrum), 0);
  CHECK_EQ(rmdir(elsewhere), 0);
  CHECK_EQ(mkdir(thrum, 0700), 0);
  CHECK_EQ(chmod(thrum, 0777), 0);
  is_not_used();
  CHECK_EQ(chmod(thrum, 0700), 0);
  CHECK_EQ(chmod(inspected_runtime, 0777), 0); /* anybody could exchange what is in it */
  is_not_used();
  CHECK_EQ(chmod(inspected_runtime, 0700), 0);
}

/* One that is left from a process that died is replaced; anything else is not. */
static void find_something_there(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%.100s", inspected_path(getpid()));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  close(fd);
  CHECK_EQ(inspected_try_connect(getpid()), -ECONNREFUSED);
  CHECK_EQ(thrum_inspect(true), 0);
  others_are_answered();
  /* Somebody has put another one in its place: that one stays. */
  CHECK_EQ(unlink(address.sun_path), 0);
  int other = open(address.sun_path, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  CHECK(other >= 0);
  close(other);
  CHECK_EQ(thrum_inspect(false), 0);
  CHECK_EQ(unlink(address.sun_path), 0);
}

int main(void) {
  inspected_begin();
  CHECK_EQ(thrum_inspect(true), 0);
  send_nonsense();
  send_noise();
  send_too_long_a_line();
  send_ahead();
  leave_at_once();
  be_many();
  for (int i = 0; be_slow() >= INT64_C(4000000000); i++) CHECK(i < 3); /* before either is hung up on */
  CHECK_EQ(thrum_inspect(false), 0);
  refuse_directories();
  find_something_there();
  inspected_end();
  return 0;
}
