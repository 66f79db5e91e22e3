/* Descriptors as cases of a select, beside queues, events and time. */
#include "queues.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int pairs[4][2];
static thrum_queue queue;

static void open_all(void) {
  for (int i = 0; i < 4; i++) {
    int nonblock = i % 2 ? O_NONBLOCK : 0;
    CHECK_EQ(i < 2 ? pipe2(pairs[i], nonblock) : socketpair(AF_UNIX, SOCK_STREAM | nonblock, 0, pairs[i]), 0);
  }
}

static void close_all(void) {
  for (int i = 0; i < 4; i++) CHECK(thrum_close(pairs[i][0]) == 0 && thrum_close(pairs[i][1]) == 0);
}

/* ---- One thread ---------------------------------------------------------------------------------------------------------- */

static intptr_t what_is_ready_happens(void *arg) {
  (void)arg;
  int item;
  open_all();
  for (int i = 0; i < 4; i++) {
    thrum_case c[] = {thrum_case_readable(pairs[i][0]), thrum_case_get(&queue, &item)};
    CHECK_EQ(thrum_try_select(c, 2), -EAGAIN);
    CHECK_EQ(thrum_select_for(c, 2, THRUM_MS(1)), -ETIMEDOUT);
    CHECK_EQ(thrum_write(pairs[i][1], "x", 1), 1);
    CHECK_EQ(thrum_select(c, 2), 0);
    CHECK_EQ(c[0].status, 0);
    CHECK_EQ(thrum_try_select(c, 2), 0); /* nothing was taken */
    CHECK_EQ(thrum_read(pairs[i][0], &(char){0}, 1), 1);
    CHECK_EQ(thrum_try_select(c, 2), -EAGAIN);
    c[0] = thrum_case_writable(pairs[i][1]);
    CHECK_EQ(thrum_select(c, 2), 0);
    CHECK_EQ(thrum_close(pairs[i][1]), 0);
    c[0] = thrum_case_readable(pairs[i][0]);
    CHECK_EQ(thrum_select(c, 2), 0); /* the end */
    CHECK_EQ(thrum_close(pairs[i][0]), 0);
    CHECK_EQ(thrum_select(c, 2), 0);
    CHECK_EQ(c[0].status, -EBADF);
    c[0] = thrum_case_readable(-5);
    CHECK_EQ(thrum_select(c, 2), 0);
    CHECK_EQ(c[0].status, -EBADF);
  }
  FILE *file = tmpfile();
  thrum_case f = thrum_case_readable(fileno(file));
  CHECK_EQ(thrum_select(&f, 1), 0); /* a file always is */
  fclose(file);
  return 0;
}

/* ---- Others make it ready -------------------------------------------------------------------------------------------------- */

struct selecting {
  int times[3];
  int status, waits;
};

/* A descriptor to read, the same one once more, one to write that is full, a queue. */
static intptr_t select_all(void *arg) {
  struct selecting *s = arg;
  int item;
  for (;;) {
    thrum_case c[] = {thrum_case_readable(pairs[3][0]), thrum_case_readable(pairs[3][0]),
                      thrum_case_writable(pairs[1][1]), thrum_case_get(&queue, &item)};
    ADD(s->waits, 1);
    int at = thrum_select(c, 4);
    if (at < 0) return at;
    s->status = c[at].status;
    if (c[at].status < 0) return c[at].status;
    ADD(s->times[at < 2 ? 0 : at - 1], 1);
    if (at < 2) CHECK_EQ(thrum_read(pairs[3][0], &(char){0}, 1), 1);
    char block[4096];
    if (at == 2)
      while (thrum_write_for(pairs[1][1], block, sizeof block, 0) > 0) continue; /* full again */
  }
}

static void fill(int fd) {
  char block[4096];
  memset(block, 'f', sizeof block);
  while (thrum_write_for(fd, block, sizeof block, 0) > 0) continue;
}

static void drain(int fd) {
  char block[4096];
  while (thrum_read_for(fd, block, sizeof block, 0) > 0) continue;
}

static thrum_thread begin(struct selecting *s) {
  open_all();
  fill(pairs[1][1]);
  memset(s, 0, sizeof *s);
  return must_spawn(select_all, s);
}

static void each_wakes_it(void) {
  struct selecting s;
  thrum_thread t = begin(&s);
  for (int i = 0; i < 100; i++) {
    CHECK_EQ(thrum_write(pairs[3][1], "x", 1), 1);
    CHECK_EQ(thrum_queue_put(&queue, &i), 0);
    AWAIT(LOAD(s.times[0]) == i + 1 && LOAD(s.times[2]) == i + 1);
  }
  drain(pairs[1][0]);
  AWAIT(LOAD(s.times[1]) >= 1);
  queue_cancel(t);
  CHECK_EQ(must_join(t), -ECANCELED);
  close_all();
}

static void closing_wakes_it(void) {
  for (int i = 0; i < 50; i++) {
    struct selecting s;
    thrum_thread t = begin(&s);
    if (i % 2)
      AWAIT(queue_parked(t));
    else
      AWAIT(LOAD(s.waits) == 1);
    CHECK_EQ(thrum_close(pairs[3][0]), 0);
    CHECK_EQ(must_join(t), -EBADF);
    CHECK_EQ(thrum_close(pairs[3][1]), 0);
    for (int p = 0; p < 3; p++) CHECK(thrum_close(pairs[p][0]) == 0 && thrum_close(pairs[p][1]) == 0);
  }
}

/* Many threads wait for the same byte: it goes to one of them, and none is left behind. */
enum { CROWD = 8, BYTES = 2000 };
static int taken;

static intptr_t take_bytes(void *arg) {
  int fd = *(int *)arg;
  char byte;
  for (;;) {
    thrum_case c[] = {thrum_case_readable(fd)};
    CHECK_EQ(thrum_select(c, 1), 0);
    ssize_t n = thrum_read_for(fd, &byte, 1, 0);
    if (n == 1)
      ADD(taken, 1);
    else if (n != -ETIMEDOUT)
      return n;
  }
}

static void one_takes_each(void) {
  int pair[2];
  thrum_thread threads[CROWD];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  for (int i = 0; i < CROWD; i++) threads[i] = must_spawn(take_bytes, &pair[0]);
  for (int i = 0; i < BYTES; i++) CHECK_EQ(thrum_write(pair[1], "x", 1), 1);
  AWAIT(LOAD(taken) == BYTES);
  CHECK_EQ(thrum_close(pair[1]), 0);
  for (int i = 0; i < CROWD; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_close(pair[0]), 0);
}

int main(void) {
  CHECK_EQ(thrum_queue_init(&queue, sizeof(int), 2, NULL), 0);
  run_in_each_kind(what_is_ready_happens, NULL);
  each_wakes_it();
  closing_wakes_it();
  one_takes_each();
  CHECK_EQ(thrum_queue_destroy(&queue), 0);
  return 0;
}
