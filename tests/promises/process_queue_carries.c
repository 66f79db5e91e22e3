/* A process queue carries each message whole, once, in order, between processes and threads of all kinds; waits for room and for messages, in
 * time; counts what is unfinished; is shut down; and tells what it cannot do. */
#include "sharing.h"

#include <thrum/process/queue.h>

enum { RING = 4096, PROCESSES = 2, PRODUCERS = 4, MESSAGES = TESTS_SANITIZED ? 300 : 4000, LARGE = 1 << 20 };

static struct shared {
  uint64_t sum, count, last[PROCESSES * PRODUCERS];
  int ready, freed;
} * s;
static thrum_process_queue *q, *large;

static thrum_process_queue *make(size_t ring, size_t most) {
  size_t bytes = thrum_process_queue_bytes(ring);
  thrum_process_queue *made = (thrum_process_queue *)share(bytes);
  thrum_process_queue_options o = THRUM_PROCESS_QUEUE_OPTIONS_INIT;
  o.most = most;
  CHECK_EQ(thrum_process_queue_init(made, bytes, &o), 0);
  return made;
}

/* ---- One thread ------------------------------------------------------------------------------------------------------------ */

static intptr_t test_forms(void *arg) {
  char buffer[RING];
  void *data;
  size_t size;
  (void)arg;
  CHECK_EQ(thrum_process_queue_try_get(q, buffer, sizeof buffer), -EAGAIN);
  CHECK_EQ(thrum_process_queue_next_size(q), -EAGAIN);
  CHECK_EQ(thrum_process_queue_get_for(q, buffer, sizeof buffer, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_process_queue_get_for(q, buffer, sizeof buffer, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_process_queue_get_new_for(q, &data, &size, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_process_queue_put(q, buffer, RING - 7), -EMSGSIZE);
  CHECK_EQ(thrum_process_queue_put(q, buffer, SIZE_MAX), -EMSGSIZE);
  CHECK_EQ(thrum_process_queue_task_done(q), -EOVERFLOW);
  CHECK_EQ(thrum_process_queue_put(q, "", 0), 0);
  CHECK_EQ(thrum_process_queue_try_put(q, "hello", 5), 0);
  CHECK_EQ(thrum_process_queue_put_for(q, "world!", 6, 0), 0);
  CHECK_EQ(thrum_process_queue_size(q), 3);
  CHECK_EQ(thrum_process_queue_next_size(q), 0);
  CHECK_EQ(thrum_process_queue_get(q, NULL, 0), 0);
  CHECK_EQ(thrum_process_queue_get(q, buffer, 4), -EMSGSIZE); /* and stays */
  CHECK_EQ(thrum_process_queue_next_size(q), 5);
  CHECK_EQ(thrum_process_queue_get(q, buffer, 5), 5);
  CHECK(memcmp(buffer, "hello", 5) == 0);
  CHECK_EQ(thrum_process_queue_get_new(q, &data, &size), 0);
  CHECK_EQ(size, 6);
  CHECK(memcmp(data, "world!", 6) == 0);
  free(data);
  CHECK_EQ(thrum_process_queue_unfinished(q), 3);
  CHECK_EQ(thrum_process_queue_join_for(q, THRUM_MS(2)), -ETIMEDOUT);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_process_queue_task_done(q), 0);
  CHECK_EQ(thrum_process_queue_join(q), 0);
  return 0;
}

/* Messages of all lengths, round the ring's end, and as many as are allowed. */
static void test_room(void) {
  static char in[RING], out[RING];
  for (int i = 0; i < RING; i++) in[i] = (char)(i * 7);
  for (size_t size = 0; size <= RING - 8; size += 13) {
    CHECK_EQ(thrum_process_queue_put(q, in, size), 0);
    CHECK_EQ(thrum_process_queue_get(q, out, sizeof out), size);
    CHECK(memcmp(in, out, size) == 0);
  }
  CHECK_EQ(thrum_process_queue_put(q, in, RING - 8), 0);
  CHECK_EQ(thrum_process_queue_try_put(q, in, 0), -EAGAIN);
  CHECK_EQ(thrum_process_queue_put_for(q, in, 0, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_process_queue_get(q, out, sizeof out), RING - 8);
  thrum_process_queue *few = make(RING, 2);
  CHECK_EQ(thrum_process_queue_try_put(few, in, 1), 0);
  CHECK_EQ(thrum_process_queue_try_put(few, in, 1), 0);
  CHECK_EQ(thrum_process_queue_try_put(few, in, 1), -EAGAIN);
}

static void test_arguments(void) {
  static uint64_t private[64];
  thrum_process_queue *none = (thrum_process_queue *)private;
  CHECK_EQ(thrum_process_queue_put(none, "", 0), -EINVAL);
  CHECK_EQ(thrum_process_queue_init(none, 100, NULL), -EINVAL);
  CHECK_EQ(thrum_process_queue_init((thrum_process_queue *)((char *)private + 4), sizeof private - 8, NULL),
           -EINVAL);
  CHECK_EQ(thrum_process_queue_init(none, sizeof private, &(thrum_process_queue_options){.size = 3}),
           -EINVAL);
  CHECK_EQ(thrum_process_queue_init(none, sizeof private, NULL), 0);
  CHECK_EQ(thrum_process_queue_put(none, "", 0), -EINVAL); /* not in shared memory */
  CHECK_EQ(thrum_process_queue_bytes(SIZE_MAX), 0);
}

/* ---- Many ------------------------------------------------------------------------------------------------------------------- */

struct message {
  uint64_t producer, number;
  char rest[1000];
};

static size_t length_of(uint64_t number) { return 16 + number * number % 900; }

static intptr_t produce(void *arg) {
  struct message m = {.producer = (uint64_t)(intptr_t)arg};
  for (m.number = 1; m.number <= MESSAGES; m.number++) {
    size_t size = length_of(m.number);
    memset(m.rest, (int)m.number, sizeof m.rest);
    int error = m.number % 5 ? thrum_process_queue_put(q, &m, size) : -ETIMEDOUT;
    while (error == -ETIMEDOUT) error = thrum_process_queue_put_for(q, &m, size, THRUM_US(200));
    CHECK_EQ(error, 0);
  }
  return 0;
}

static intptr_t produce_all(void *arg) {
  thrum_thread threads[PRODUCERS];
  for (int i = 0; i < PRODUCERS; i++)
    threads[i] = must_spawn(produce, (void *)((intptr_t)arg * PRODUCERS + i));
  for (int i = 0; i < PRODUCERS; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

static intptr_t consume(void *arg) {
  struct message m;
  (void)arg;
  for (;;) {
    ssize_t n = thrum_process_queue_get(q, &m, sizeof m);
    if (n == -EPIPE) return 0;
    CHECK(n >= 16);
    CHECK_EQ(n, length_of(m.number));
    for (ssize_t i = 0; i < n - 16; i++) CHECK_EQ((uint8_t)m.rest[i], (uint8_t)m.number);
    ADD(s->sum, m.number);
    ADD(s->count, 1);
    CHECK_EQ(thrum_process_queue_task_done(q), 0);
  }
}

static intptr_t consume_all(void *arg) {
  static struct crowd crowd;
  crowd_start(&crowd, 8, consume);
  crowd_join(&crowd);
  return (void)arg, 0;
}

static void in_one_process(void) {
  thrum_thread producer = must_spawn(produce_all, NULL), consumer = must_spawn(consume_all, NULL);
  CHECK_EQ(must_join(producer), 0);
  CHECK_EQ(thrum_process_queue_join(q), 0);
  CHECK_EQ(thrum_process_queue_shutdown(q, false), 0);
  CHECK_EQ(must_join(consumer), 0);
  CHECK_EQ(LOAD(s->count), PRODUCERS * MESSAGES);
}

static void test_many(void) {
  if (!TESTS_FORK) {
    in_one_process();
    return;
  }
  pid_t producers[PROCESSES], consumers[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) producers[i] = start_numbered(produce_all, i);
  for (int i = 0; i < PROCESSES; i++) consumers[i] = start_child(consume_all, NULL);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(producers[i]), 0);
  CHECK_EQ(thrum_process_queue_join(q), 0);
  uint64_t all = (uint64_t)PROCESSES * PRODUCERS * MESSAGES;
  CHECK_EQ(LOAD(s->count), all);
  CHECK_EQ(LOAD(s->sum), all * (MESSAGES + 1) / 2);
  CHECK(!thrum_process_queue_is_shutdown(q));
  CHECK_EQ(thrum_process_queue_shutdown(q, false), 0);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(consumers[i]), 0);
  CHECK(thrum_process_queue_is_shutdown(q));
  CHECK_EQ(thrum_process_queue_put(q, "", 0), -EPIPE);
  CHECK_EQ(thrum_process_queue_deaths(q), 0);
}

/* One consumer gets each producer's messages in their order. */
static void test_order(void) {
  struct message m;
  q = make(RING, 0);
  pid_t producer = start_child(produce_all, NULL);
  memset(s->last, 0, sizeof s->last);
  for (int i = 0; i < PRODUCERS * MESSAGES; i++) {
    CHECK(thrum_process_queue_get(q, &m, sizeof m) > 0);
    CHECK_EQ(m.number, ++s->last[m.producer]);
  }
  CHECK_EQ(end_of_child(producer), 0);
}

/* ---- Large ones, beside small ones ---------------------------------------------------------------------------------------- */

static intptr_t put_large(void *arg) {
  char *data = (char *)malloc(LARGE);
  for (int i = 0; i < 20; i++) {
    memset(data, i, LARGE);
    CHECK_EQ(thrum_process_queue_put(large, data, LARGE), 0);
  }
  free(data);
  STORE(s->freed, 1);
  return (void)arg, 0;
}

/* Small ones that never end would keep a large one waiting, were it not for its turn. */
static intptr_t put_small(void *arg) {
  (void)arg;
  while (!LOAD(s->freed)) CHECK_EQ(thrum_process_queue_put(large, "small", 5), 0);
  return 0;
}

static void test_large(void) {
  large = make(LARGE + 4096, 0);
  s->freed = 0;
  pid_t pids[2] = {start_child(put_large, NULL), start_child(put_small, NULL)};
  char *data = (char *)malloc(LARGE);
  for (int i = 0; i < 20;) {
    ssize_t n = thrum_process_queue_get(large, data, LARGE);
    CHECK(n == 5 || n == LARGE);
    if (n == 5) continue;
    for (int at = 0; at < LARGE; at += 4099) CHECK_EQ(data[at], i);
    i++;
  }
  CHECK_EQ(end_of_child(pids[0]), 0);
  while (thrum_process_queue_get_for(large, data, LARGE, THRUM_MS(5)) > 0) continue;
  CHECK_EQ(end_of_child(pids[1]), 0);
  free(data);
}

/* ---- Ends of waits ----------------------------------------------------------------------------------------------------------- */

static intptr_t get_cancelled(void *arg) {
  char byte;
  (void)arg;
  ADD(s->ready, 1);
  return (intptr_t)thrum_process_queue_get(q, &byte, 1);
}

static intptr_t join_work(void *arg) { return (void)arg, thrum_process_queue_join(q); }

static void test_ends(void) {
  q = make(RING, 0);
  s->ready = 0;
  thrum_thread t = must_spawn(get_cancelled, NULL);
  AWAIT(LOAD(s->ready) == 1);
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  pid_t waiter = start_child(get_cancelled, NULL);
  AWAIT(LOAD(s->ready) == 2);
  CHECK_EQ(thrum_process_queue_shutdown(q, false), 0);
  CHECK_EQ(end_of_child(waiter), (uint8_t)-EPIPE);
  q = make(RING, 0); /* what is discarded is finished */
  for (int i = 0; i < 10; i++) CHECK_EQ(thrum_process_queue_put(q, &i, sizeof i), 0);
  pid_t joiner = start_child(join_work, NULL);
  char byte[8];
  CHECK_EQ(thrum_process_queue_get(q, byte, sizeof byte), 4);
  CHECK_EQ(thrum_process_queue_shutdown(q, true), 0);
  CHECK_EQ(thrum_process_queue_size(q), 0);
  CHECK_EQ(thrum_process_queue_unfinished(q), 1);
  CHECK_EQ(thrum_process_queue_get(q, byte, sizeof byte), -EPIPE);
  CHECK_EQ(thrum_process_queue_task_done(q), 0);
  CHECK_EQ(end_of_child(joiner), 0);
}

int main(void) {
  s = (struct shared *)share(sizeof *s);
  q = make(RING, 0);
  run_in_each_kind(test_forms, NULL);
  test_room();
  test_arguments();
  q = make(RING, 0);
  test_many();
  if (!TESTS_FORK) return 0;
  test_order();
  test_large();
  test_ends();
  return 0;
}
