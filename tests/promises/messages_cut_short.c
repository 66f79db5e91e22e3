/* Time that runs out, and cancellation, in the midst of a message. A receive loses nothing: the next one goes on. A send that has begun to
 * go out ends its direction, at both ends, and says so; one that has not done so has done nothing. And forks. */
#include "connections.h"

#include <fcntl.h>
#include <sys/wait.h>

/* ---- Receiving ---------------------------------------------------------------------------------------------------- */

static const char stream[] = "\0\0\0\5hello\377\377\377\377\0\0\0\0\0\0\0\4long\0\0\0\0\0\0\0\1!";
static const char *const messages[] = {"hello", "long", "", "!"};
enum { STREAM = sizeof stream - 1 };

static intptr_t receive_next(void *arg) {
  char room[8];
  return thrum_conn_recv((thrum_conn *)arg, room, sizeof room);
}

/* Looks as often as the stream has bytes, each time in a way that finds less than a whole message. */
static void look(thrum_conn *c, int at, char *room) {
  if (at % 3 == 0) {
    CHECK_EQ(thrum_conn_recv_for(c, room, 8, 0), -ETIMEDOUT);
  } else if (at % 3 == 1) {
    void *data;
    size_t size;
    CHECK_EQ(thrum_conn_recv_new_for(c, &data, &size, 8, THRUM_US(1)), -ETIMEDOUT);
  } else {
    thrum_thread t = must_spawn(receive_next, c);
    CHECK_EQ(thrum_cancel(t), 0);
    CHECK_EQ(must_join(t), -ECANCELED);
  }
}

/* Ends of messages in the stream. */
static bool is_end(int at) { return at == 9 || at == 25 || at == 29 || at == STREAM; }

/* In steps of 1, 2, ... bytes. */
static void receives_go_on(int step) {
  int plain, from = 0, next = 0;
  char room[8];
  thrum_conn *c = must_open(&plain);
  for (int to = 1; to <= STREAM; to++) {
    if (to % step && !is_end(to)) continue;
    must_write(plain, stream + from, (size_t)(to - from));
    from = to;
    if (!is_end(to)) {
      look(c, to / step, room);
    } else {
      size_t length = strlen(messages[next]);
      CHECK_EQ(thrum_conn_recv(c, room, 8), (ssize_t)length);
      CHECK(memcmp(room, messages[next++], length) == 0);
    }
  }
  thrum_conn_close(c);
  CHECK_EQ(thrum_close(plain), 0);
}

/* A long one, piece by piece, into buffers that differ. */
static void long_receives_go_on(void) {
  enum { SIZE = 300000, PIECE = 7001 };
  int plain;
  thrum_conn *c = must_open(&plain);
  unsigned char *bytes = must_allocate(SIZE + 4), *room = must_allocate(SIZE);
  unsigned char head[] = {0, SIZE >> 16, (SIZE >> 8) & 255, SIZE & 255};
  fill_pattern(bytes + 4, SIZE, 9);
  memcpy(bytes, head, 4);
  for (size_t at = 0; at < SIZE + 4; at += PIECE) {
    size_t size = SIZE + 4 - at < PIECE ? SIZE + 4 - at : PIECE;
    must_write(plain, bytes + at, size);
    if (at + size == SIZE + 4) break;
    memset(room, 0, SIZE);
    CHECK_EQ(thrum_conn_recv_for(c, room, SIZE, 0), -ETIMEDOUT);
    CHECK_EQ(thrum_conn_next_size(c), SIZE);
  }
  CHECK_EQ(thrum_conn_recv(c, room, SIZE - 1), -EMSGSIZE);
  CHECK_EQ(thrum_conn_recv(c, room, SIZE), SIZE);
  check_pattern(room, SIZE, 9);
  free(bytes);
  free(room);
  thrum_conn_close(c);
  CHECK_EQ(thrum_close(plain), 0);
}

/* ---- Sending ------------------------------------------------------------------------------------------------------ */

enum { HUGE_SIZE = 8 << 20 };
static unsigned char *huge;

static intptr_t send_huge(void *arg) { return thrum_conn_send((thrum_conn *)arg, huge, HUGE_SIZE); }

/* The other end: the messages before it whole, then the end in the midst of one. */
static void check_cut(thrum_conn *c, int before) {
  char room[8];
  void *data;
  size_t size;
  for (int i = 0; i < before; i++) CHECK_EQ(thrum_conn_recv(c, room, 8), 6);
  CHECK_EQ(thrum_conn_recv_new(c, &data, &size, SIZE_MAX), -EBADMSG);
  CHECK_EQ(thrum_conn_recv(c, room, 8), -EBADMSG);
}

static void cut_sends_end_the_direction(bool cancel) {
  struct ends e = must_pair();
  char room[8];
  CHECK_EQ(thrum_conn_send(e.a, "before", 6), 0);
  if (cancel) {
    thrum_thread t = must_spawn(send_huge, e.a);
    CHECK_EQ(thrum_conn_wait(e.b), 0);
    CHECK_EQ(thrum_conn_recv(e.b, room, 8), 6);
    CHECK_EQ(thrum_conn_wait(e.b), 0); /* it has begun */
    CHECK_EQ(thrum_cancel(t), 0);
    CHECK_EQ(must_join(t), -ECANCELED);
  } else {
    CHECK_EQ(thrum_conn_send_for(e.a, huge, HUGE_SIZE, THRUM_MS(1)), -ETIMEDOUT);
  }
  CHECK_EQ(thrum_conn_send(e.a, "after", 5), -ECONNABORTED);
  CHECK_EQ(thrum_conn_send_for(e.a, NULL, 0, 0), -ECONNABORTED);
  CHECK_EQ(thrum_conn_send_fd(e.a, 0), -ECONNABORTED);
  CHECK_EQ(thrum_conn_send(e.b, "back", 4), 0);
  CHECK_EQ(thrum_conn_recv(e.a, room, 8), 4);
  check_cut(e.b, cancel ? 0 : 1);
  close_both(e);
}

static void cut_sends_in_pipes(void) {
  struct ends e;
  CHECK_EQ(thrum_conn_pipe(&e.b, &e.a), 0);
  CHECK_EQ(thrum_conn_send(e.a, "before", 6), 0);
  CHECK_EQ(thrum_conn_send_for(e.a, huge, HUGE_SIZE, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_send(e.a, "after", 5), -ECONNABORTED);
  thrum_conn_close(e.a);
  check_cut(e.b, 1);
  thrum_conn_close(e.b);
}

/* In a shield it cannot be cut off. */
static intptr_t send_shielded(void *arg) {
  int error = -EINVAL;
  THRUM_SHIELD(THRUM_S(100)) { error = thrum_conn_send((thrum_conn *)arg, huge, HUGE_SIZE); }
  return error;
}

static void shields_keep_messages_whole(void) {
  struct ends e = must_pair();
  void *data;
  size_t size;
  thrum_thread t = must_spawn(send_shielded, e.a);
  CHECK_EQ(thrum_conn_wait(e.b), 0);
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(thrum_conn_recv_new(e.b, &data, &size, SIZE_MAX), 0);
  CHECK_EQ(size, HUGE_SIZE);
  check_pattern((unsigned char *)data, size, 3);
  free(data);
  CHECK_EQ(must_join(t), 0);
  close_both(e);
}

/* Until there is no room: whole messages of up to 16 KiB, none in part. And then on. */
static void short_sends_are_whole_or_not_at_all(size_t size) {
  struct ends e = must_pair();
  int sent = 0;
  unsigned char *room = must_allocate(size);
  while (thrum_conn_send_for(e.a, huge, size, 0) == 0) sent++;
  CHECK(sent > 0);
  for (int i = 0; i < 10; i++) CHECK_EQ(thrum_conn_send_for(e.a, huge, size, THRUM_US(50)), -ETIMEDOUT);
  for (int i = 0; i < sent; i++) CHECK_EQ(thrum_conn_recv(e.b, room, size), (ssize_t)size);
  CHECK_EQ(thrum_conn_wait_for(e.b, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_conn_send(e.a, huge, size), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, size), (ssize_t)size);
  check_pattern(room, size, 3);
  free(room);
  close_both(e);
}

/* ---- Forks -------------------------------------------------------------------------------------------------------- */

static int began;

static intptr_t receive_in_parent(void *arg) {
  char room[8];
  ADD(began, 1);
  return thrum_conn_recv((thrum_conn *)arg, room, 8);
}

static intptr_t send_in_parent(void *arg) {
  ADD(began, 1);
  return thrum_conn_send((thrum_conn *)arg, huge, HUGE_SIZE);
}

static void check_in_child(struct ends e, bool midway) {
  char room[8];
  CHECK_EQ(thrum_conn_recv_for(e.a, room, 8, 0), midway ? -EOWNERDEAD : -ETIMEDOUT);
  CHECK_EQ(thrum_conn_send_for(e.a, "child", 5, THRUM_S(100)), midway ? -EOWNERDEAD : 0);
  thrum_conn_close(e.a);
  thrum_conn_close(e.b);
  _exit(0);
}

/* The child has none of the threads that hold turns. `midway`: in the midst of a message each when it is forked. */
static void forks_free_turns(bool midway) {
  struct ends e = must_pair();
  char room[8];
  thrum_thread receiver, sender;
  began = 0;
  if (midway) must_write(thrum_conn_fd(e.b), "\0\0\0\4ab", 6);
  receiver = must_spawn(receive_in_parent, e.a);
  AWAIT(LOAD(began) == 1 && (!midway || thrum_conn_next_size(e.a) == 4));
  AWAIT(thrum_conn_wait_for(e.a, 0) == -ETIMEDOUT); /* it has taken all that there was, and waits */
  if (midway) {
    sender = must_spawn(send_in_parent, e.a);
    AWAIT(thrum_conn_wait_for(e.b, 0) == 0);
  }
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) check_in_child(e, midway);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  if (!midway) CHECK_EQ(thrum_conn_recv(e.b, room, 8), 5);
  thrum_conn_close(e.b);
  intptr_t result = must_join(receiver);
  CHECK(result == (midway ? -EBADMSG : -EPIPE) || result == -ECONNRESET);
  if (midway) CHECK_EQ(must_join(sender), -EPIPE);
  thrum_conn_close(e.a);
}

int main(void) {
  huge = must_allocate(HUGE_SIZE);
  fill_pattern(huge, HUGE_SIZE, 3);
  for (int step = 1; step <= 4; step++) receives_go_on(step);
  long_receives_go_on();
  cut_sends_end_the_direction(false);
  cut_sends_end_the_direction(true);
  cut_sends_in_pipes();
  shields_keep_messages_whole();
  short_sends_are_whole_or_not_at_all(1);
  short_sends_are_whole_or_not_at_all(5000);
  short_sends_are_whole_or_not_at_all(16380);
  short_sends_are_whole_or_not_at_all(16384);
  for (int midway = 0; midway < 2 && !TESTS_TSAN; midway++)
    forks_free_turns(midway); /* which starts no threads in a child */
  free(huge);
  return 0;
}
