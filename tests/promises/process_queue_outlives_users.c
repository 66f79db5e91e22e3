/* Whoever of a process queue's users is killed, at whatever moment: no message is got twice or in part, none is lost but those that a killed
 * process had in hand, and the others go on. */
#include "sharing.h"

#include <thrum/process/queue.h>

enum {
  PROCESSES = 4,
  THREADS = 3,
  IDS = 1 << 22,
  KILLERS_MS = TESTS_SANITIZED ? 1500 : 2500,
  RING = 1 << 18,
  WORDS = 16000
};

enum { BEGUN = 1, PUT = 2, GOT = 4 };

static struct shared {
  uint32_t next, got, stop;
  int handed; /* messages that killed consumers may have had in hand */
  uint8_t ids[IDS];
} * s;
static thrum_process_queue *q;

struct message {
  uint32_t id, check[WORDS];
};

static size_t length_of(uint32_t id) { return (1 + id * 7919 % (WORDS + 1)) * sizeof(uint32_t); }

static struct message *new_message(void) {
  struct message *m = (struct message *)calloc(1, sizeof *m);
  CHECK(m != NULL);
  return m;
}

static int put_one(struct message *m) {
  m->id = ADD(s->next, 1);
  if (m->id >= IDS) return -EPIPE;
  for (size_t i = 0; i < length_of(m->id) / 4 - 1; i++) m->check[i] = m->id + (uint32_t)i;
  __atomic_or_fetch(&s->ids[m->id], BEGUN, __ATOMIC_ACQ_REL);
  int error = thrum_process_queue_put(q, m, length_of(m->id));
  if (!error) __atomic_or_fetch(&s->ids[m->id], PUT, __ATOMIC_ACQ_REL);
  return error;
}

static intptr_t produce(void *arg) {
  struct message *m = new_message();
  int error = 0;
  while (!LOAD(s->stop) && !error) error = put_one(m);
  CHECK(error == 0 || error == -EPIPE);
  free(m);
  return (void)arg, 0;
}

static int get_one(struct message *m) {
  ssize_t n = thrum_process_queue_get(q, m, sizeof *m);
  if (n < 0) return (int)n;
  CHECK(n >= 4 && m->id < IDS);
  CHECK_EQ(n, length_of(m->id));
  for (size_t i = 0; i < (size_t)n / 4 - 1; i++) CHECK_EQ(m->check[i], m->id + (uint32_t)i);
  uint8_t before = __atomic_fetch_or(&s->ids[m->id], GOT, __ATOMIC_ACQ_REL);
  CHECK(before & BEGUN && !(before & GOT));
  ADD(s->got, 1);
  return thrum_process_queue_task_done(q);
}

static intptr_t consume(void *arg) {
  struct message *m = new_message();
  int error = 0;
  while (!error) error = get_one(m);
  CHECK_EQ(error, -EPIPE);
  free(m);
  return (void)arg, 0;
}

static intptr_t run(void *arg) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn((intptr_t)arg % 2 ? produce : consume, NULL);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

int main(void) {
  if (!TESTS_FORK) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  pid_t pids[PROCESSES];
  unsigned seed = (unsigned)wall_now(), kills = 0, consumers = 0, lost = 0;
  s = (struct shared *)share(sizeof *s);
  size_t bytes = thrum_process_queue_bytes(RING);
  q = (thrum_process_queue *)share(bytes);
  CHECK_EQ(thrum_process_queue_init(q, bytes, NULL), 0);
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_numbered(run, i);
  for (int64_t end = wall_now() + KILLERS_MS * INT64_C(1000000);
       wall_now() < end && LOAD(s->next) < IDS - 1000; kills++) {
    int victim = rand_r(&seed) % PROCESSES;
    thrum_sleep(THRUM_US(rand_r(&seed) % 20000));
    kill_child(pids[victim]);
    consumers += victim % 2 == 0;
    uint32_t got = LOAD(s->got);
    pids[victim] = start_numbered(run, victim);
    AWAIT(LOAD(s->got) != got || LOAD(s->next) >= IDS - 1000);
  }
  STORE(s->stop, 1);
  for (int i = 1; i < PROCESSES; i += 2) CHECK_EQ(end_of_child(pids[i]), 0);
  AWAIT(thrum_process_queue_size(q) == 0);
  CHECK_EQ(thrum_process_queue_shutdown(q, false), 0);
  for (int i = 0; i < PROCESSES; i += 2) CHECK_EQ(end_of_child(pids[i]), 0);
  for (int i = 0; i < IDS; i++) lost += s->ids[i] & PUT && !(s->ids[i] & GOT);
  CHECK(lost <= consumers * THREADS);
  CHECK(thrum_process_queue_unfinished(q) <= consumers * THREADS);
  CHECK(thrum_process_queue_deaths(q) <= kills);
  printf("%u killed, %zu of them in the midst of a call; %u messages got, %u lost with who had them\n", kills,
         thrum_process_queue_deaths(q), s->got, lost);
  return 0;
}
