/* Calls that cannot be told not to block, here accept on a listener in blocking mode: who asks whether it is ready keeps others from
 * it meanwhile. Nobody who came then is forgotten, and the number of one that blocks is of use again when it is another file's. */
#include "queues.h"

#include <io/netpoll.h>
#include <os/os.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener, client, blocked;
static bool asks,
    lies; /* the next one who asks about the listener does so for long; hears that it is ready, though it is not */
static uint32_t counted;
static thrum_thread other;

static socklen_t address_of(char which, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int n = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "thrum-claims-%d-%c", (int)getpid(),
                   which);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int listen_as(char which) {
  struct sockaddr_un address;
  socklen_t length = address_of(which, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(bind(fd, (struct sockaddr *)&address, length), 0);
  CHECK_EQ(listen(fd, 10), 0);
  return fd;
}

static int connect_to(char which) {
  struct sockaddr_un address;
  socklen_t length = address_of(which, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(connect(fd, (struct sockaddr *)&address, length), 0);
  return fd;
}

static uint32_t events(void) {
  struct thrumi_descriptor *d;
  CHECK_EQ(thrumi_descriptor_begin(listener, &d), 0);
  uint32_t n = thrumi_descriptor_events(d, THRUMI_IN);
  thrumi_descriptor_end(d);
  return n;
}

static intptr_t accept_one(void *unused) {
  (void)unused;
  int fd = thrum_accept(listener, NULL, NULL);
  return fd < 0 ? fd : thrum_close(fd);
}

/* ---- An event while another asks ---------------------------------------------------------------------------------------- */

/* Nothing is there. Then a connection comes, and is reported, and somebody else wants it. */
static void ask_for_long(void) {
  uint32_t before = events();
  client = connect_to('a');
  AWAIT(events() != before);
  other = must_spawn(accept_one, NULL);
  AWAIT(queue_parked(other));
  counted = events();
}

static int poll_as_told(struct pollfd *fds, size_t count) {
  bool mine = count == 1 && fds->fd == listener;
  int n = thrumi_os_linux.poll(fds, count);
  if (mine && asks) {
    asks = false;
    ask_for_long();
  } else if (mine && lies) {
    lies = false;
    fds->revents = POLLIN;
    return 1;
  }
  return n;
}

static intptr_t read_one(void *fd) {
  char byte;
  return thrum_read(*(int *)fd, &byte, 1);
}

/* Who has asked goes away, and tells the other one what it has not heard itself. */
static void nobody_is_forgotten(void) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  listener = listen_as('a');
  thrum_thread waits = must_spawn(read_one, &ends[0]); /* so that somebody looks at events */
  CHECK_EQ(thrum_accept_for(listener, NULL, NULL, THRUM_MS(1)), -ETIMEDOUT); /* enrolled */
  asks = true;
  CHECK_EQ(thrum_accept_for(listener, NULL, NULL, 0), -ETIMEDOUT);
  CHECK(events() != counted);
  CHECK_EQ(must_join(other), 0);
  CHECK(thrum_close(client) == 0 && thrum_close(listener) == 0);
  CHECK_EQ(thrum_write(ends[1], "", 1), 1);
  CHECK_EQ(must_join(waits), 1);
  CHECK(thrum_close(ends[0]) == 0 && thrum_close(ends[1]) == 0);
}

/* ---- Closed behind our backs while a call blocks --------------------------------------------------------------------------- */

/* With a number of its own; and no signal ends it. */
static int accept_as_told(int fd, struct sockaddr *address, socklen_t *length) {
  int made;
  if (fd != listener) STORE(blocked, 1);
  do made = thrumi_os_linux.accept(fd, address, length);
  while (made == -EINTR);
  return made;
}

static void numbers_are_of_use_again(void) {
  listener = listen_as('b');
  int number = listener, made;
  blocked = 0;
  lies = true;
  thrum_thread blocks = must_spawn(accept_one, NULL);
  AWAIT(LOAD(blocked));
  CHECK_EQ(close(number), 0);
  made = listen_as('c');
  if (made != number) CHECK(dup2(made, number) == number && close(made) == 0);
  client = connect_to('c');
  int accepted = thrum_accept_for(number, NULL, NULL, THRUM_S(TESTS_HANG_S));
  CHECK(accepted >= 0 && thrum_close(accepted) == 0);
  CHECK_EQ(thrum_close(client), 0);
  client = connect_to('b');
  CHECK_EQ(must_join(blocks), 0);
  CHECK(thrum_close(client) == 0 && thrum_close(number) == 0);
}

int main(void) {
  thrumi_os.poll = poll_as_told;
  thrumi_os.accept = accept_as_told;
  nobody_is_forgotten();
  numbers_are_of_use_again();
  return 0;
}
