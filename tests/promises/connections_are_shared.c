/* Several threads use one connection at the same time: messages stay whole, each arrives once. Who closes it wakes all who wait, for a
 * message, for room, or for their turn; nobody meets another file under its number. */
#include "connections.h"

#include <fcntl.h>

enum { SENDERS = 4, RECEIVERS = 3, MESSAGES = TESTS_SANITIZED ? 100 : 400, LONGEST = 40000 };

struct header {
  uint32_t sender, number, size;
};

static thrum_conn *to_send, *to_receive;
static uint32_t arrived[SENDERS][MESSAGES];
static int received;

/* Of all lengths up to several times what goes out in one piece. */
static uint32_t size_of(uint32_t sender, uint32_t number) {
  uint32_t x = (sender * 1000003u + number) * 2654435761u;
  return (uint32_t)sizeof(struct header) + (x >> 7) % (number % 5 ? 300 : LONGEST);
}

static intptr_t send_many(void *arg) {
  uint32_t sender = (uint32_t)(uintptr_t)arg;
  unsigned char *bytes = must_allocate(LONGEST + sizeof(struct header));
  for (uint32_t i = 0; i < MESSAGES; i++) {
    struct header h = {sender, i, size_of(sender, i)};
    fill_pattern(bytes, h.size, sender + i);
    memcpy(bytes, &h, sizeof h);
    CHECK_EQ(thrum_conn_send(to_send, bytes, h.size), 0);
  }
  free(bytes);
  return 0;
}

static void check_message(const unsigned char *bytes, size_t size) {
  struct header h;
  unsigned char expected[sizeof h];
  CHECK(size >= sizeof h);
  memcpy(&h, bytes, sizeof h);
  CHECK(h.sender < SENDERS && h.number < MESSAGES);
  CHECK_EQ(size, h.size);
  CHECK_EQ(size, size_of(h.sender, h.number));
  fill_pattern(expected, sizeof expected, h.sender + h.number);
  for (size_t i = sizeof h; i < size; i++) CHECK(bytes[i] == pattern_at(i, h.sender + h.number));
  CHECK_EQ(ADD(arrived[h.sender][h.number], 1), 1);
  ADD(received, 1);
}

static intptr_t receive_many(void *arg) {
  unsigned char *room = must_allocate(LONGEST + sizeof(struct header));
  for (;;) {
    void *data = room;
    size_t size;
    ssize_t n;
    if (arg) {
      n = thrum_conn_recv_new(to_receive, &data, &size, SIZE_MAX);
      if (n == 0) n = (ssize_t)size;
    } else {
      n = thrum_conn_recv_for(to_receive, room, LONGEST + sizeof(struct header), THRUM_MS(1));
      if (n == -ETIMEDOUT) continue; /* in the midst of a message, more often than not */
    }
    if (n == -EPIPE) break;
    CHECK(n >= 0);
    check_message((unsigned char *)data, (size_t)n);
    if (arg) free(data);
  }
  free(room);
  return 0;
}

static void messages_stay_whole(bool pipe) {
  thrum_thread sender[SENDERS], receiver[RECEIVERS];
  struct ends e = {NULL, NULL};
  if (pipe)
    CHECK_EQ(thrum_conn_pipe(&e.b, &e.a), 0);
  else
    e = must_pair();
  to_send = e.a, to_receive = e.b;
  received = 0;
  memset(arrived, 0, sizeof arrived);
  for (uintptr_t i = 0; i < RECEIVERS; i++) receiver[i] = must_spawn(receive_many, (void *)(i % 2));
  for (uintptr_t i = 0; i < SENDERS; i++)
    sender[i] = i ? must_spawn(send_many, (void *)i) : must_spawn_bound(send_many, (void *)i);
  for (int i = 0; i < SENDERS; i++) CHECK_EQ(must_join(sender[i]), 0);
  thrum_conn_close(e.a);
  for (int i = 0; i < RECEIVERS; i++) CHECK_EQ(must_join(receiver[i]), 0);
  CHECK_EQ(received, SENDERS * MESSAGES);
  thrum_conn_close(e.b);
}

/* ---- Closing ------------------------------------------------------------------------------------------------------ */

static int waiting;

static intptr_t receive_one(void *arg) {
  char room[16];
  ADD(waiting, 1);
  return thrum_conn_recv((thrum_conn *)arg, room, sizeof room);
}

static intptr_t wait_for_one(void *arg) {
  ADD(waiting, 1);
  return thrum_conn_wait((thrum_conn *)arg);
}

/* Until there is no room; and then on, for who only was late has found some. */
static intptr_t send_until_it_fails(void *arg) {
  static char bytes[1000];
  int error;
  while ((error = thrum_conn_send_for((thrum_conn *)arg, bytes, sizeof bytes, THRUM_MS(20))) == 0) continue;
  if (error != -ETIMEDOUT) return error; /* the turn was another's all the time, or it is full */
  ADD(waiting, 1);
  while ((error = thrum_conn_send((thrum_conn *)arg, bytes, sizeof bytes)) == 0) continue;
  return error;
}

static void closing_wakes_all(bool shut_down_first) {
  thrum_fn *const bodies[] = {receive_one,         receive_one,         wait_for_one,
                              send_until_it_fails, send_until_it_fails, receive_one};
  enum { BODIES = sizeof bodies / sizeof *bodies };
  for (int round = 0; round < 20; round++) {
    struct ends e = must_pair();
    thrum_thread threads[BODIES];
    waiting = 0;
    for (int i = 0; i < BODIES; i++)
      threads[i] = i == round % BODIES ? must_spawn_bound(bodies[i], e.a) : must_spawn(bodies[i], e.a);
    AWAIT(LOAD(waiting) == BODIES);
    int number = thrum_conn_fd(e.a);
    if (shut_down_first) {
      thrum_conn_shutdown(e.a);
      int other = open("/dev/zero", O_RDWR | O_CLOEXEC); /* most likely under the same number */
      CHECK(other >= 0);
      for (int i = 0; i < BODIES; i++) CHECK_EQ(must_join(threads[i]), -EBADF);
      char room[4];
      CHECK_EQ(thrum_conn_recv(e.a, room, 4), -EBADF);
      CHECK_EQ(thrum_conn_send(e.a, room, 4), -EBADF);
      CHECK_EQ(thrum_conn_wait(e.a), -EBADF);
      thrum_conn_shutdown(e.a);
      CHECK(other != number || fcntl(other, F_GETFD) >= 0);
      CHECK_EQ(close(other), 0);
      thrum_conn_close(e.a);
    } else {
      thrum_conn_close(e.a);
      for (int i = 0; i < BODIES; i++) CHECK_EQ(must_join(threads[i]), -EBADF);
    }
    thrum_conn_close(e.b);
  }
}

/* ---- Waiting for the turn ----------------------------------------------------------------------------------------- */

/* Who waits for its turn behind one that waits for a message ends in time, and when it is cancelled; and the turn goes to the
 * next one that still waits. */
static void turns_are_waited_for(void) {
  struct ends e = must_pair();
  char room[16];
  waiting = 0;
  thrum_thread first = must_spawn(receive_one, e.a);
  AWAIT(LOAD(waiting) == 1 && thrum_conn_recv_for(e.a, room, 1, THRUM_MS(5)) == -ETIMEDOUT);
  thrum_thread cancelled = must_spawn(receive_one, e.a), second = must_spawn(receive_one, e.a);
  AWAIT(LOAD(waiting) == 3);
  CHECK_EQ(thrum_cancel(cancelled), 0);
  CHECK_EQ(must_join(cancelled), -ECANCELED);
  CHECK_EQ(thrum_conn_send(e.b, "12345", 5), 0);
  CHECK_EQ(thrum_conn_send(e.b, "12345", 5), 0);
  CHECK_EQ(must_join(first), 5);
  CHECK_EQ(must_join(second), 5);
  close_both(e);
}

int main(void) {
  messages_stay_whole(false);
  messages_stay_whole(true);
  closing_wakes_all(false);
  closing_wakes_all(true);
  turns_are_waited_for();
  return 0;
}
