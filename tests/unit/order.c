/* The rules of the order checker for read-locks, whoever calls them: objects that only tell what they would do. What is reported
 * comes to the log function. */
#include "../support.h"

#include <check/held.h>
#include <check/order.h>
#include <sched/self.h>

static int reports;
static char last[4096];

static void count(const char *message, size_t length) {
  if (strstr(message, "lock order: ")) reports++;
  snprintf(last, sizeof last, "%.*s", (int)length, message);
}

static uint64_t objects[64];

static void acquire_at(uint64_t *object, enum thrumi_hold hold, enum thrumi_patience patience) {
  struct thrumi_acquire a = thrumi_acquire(object, hold, __builtin_return_address(0), patience);
  thrumi_acquire_begins(&a);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_acquire_ends(&a);
  thrumi_leave(k);
}

static void acquire(uint64_t *object, enum thrumi_hold hold) { acquire_at(object, hold, THRUMI_MAY_WAIT); }

static void release(uint64_t *object) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_release_ends(object, thrumi_mark());
  thrumi_leave(k);
}

static void both(uint64_t *one, enum thrumi_hold how, uint64_t *other, enum thrumi_hold then) {
  acquire(one, how);
  acquire(other, then);
  release(other);
  release(one);
}

static const enum thrumi_hold READ = THRUMI_HOLD_READ, WRITE = THRUMI_HOLD_WRITE, LOCK = THRUMI_HOLD_LOCK;

/* Reports since the last call. */
static int news(void) {
  int n = reports;
  reports = 0;
  return n;
}

static void readers_alone_never_wait(void) {
  uint64_t *a = &objects[0], *b = &objects[1];
  both(a, READ, b, READ);
  both(b, READ, a, READ);
  CHECK_EQ(news(), 0);
  acquire(a, WRITE); /* one of them is written: the other still stops nobody */
  release(a);
  both(a, READ, b, READ);
  both(b, READ, a, READ);
  CHECK_EQ(news(), 0);
  acquire(b, WRITE); /* a writer that waits stops readers */
  release(b);
  both(a, READ, b, READ);
  CHECK_EQ(news(), 1);
  both(b, READ, a, READ);
  CHECK_EQ(news(), 0);
}

static void writers_do(void) {
  uint64_t *a = &objects[2], *b = &objects[3];
  both(a, WRITE, b, READ);
  CHECK_EQ(news(), 0);
  both(b, WRITE, a, READ);
  CHECK_EQ(news(), 1);
}

static void read_under_a_lock(void) {
  uint64_t *a = &objects[4], *b = &objects[5];
  both(a, LOCK, b, READ);
  both(b, READ, a, LOCK);
  CHECK_EQ(news(), 0); /* nobody writes b */
  acquire(b, WRITE);
  release(b);
  both(a, LOCK, b, READ);
  CHECK_EQ(news(), 1);
}

/* Two readers may stand behind a gate that is only read. */
static void a_gate_that_is_read_is_none(void) {
  uint64_t *gate = &objects[6], *a = &objects[7], *b = &objects[8];
  acquire(gate, READ);
  both(a, LOCK, b, LOCK);
  both(b, LOCK, a, LOCK);
  release(gate);
  CHECK_EQ(news(), 1);
  gate = &objects[9], a = &objects[10], b = &objects[11];
  acquire(gate, WRITE);
  both(a, LOCK, b, LOCK);
  both(b, LOCK, a, LOCK);
  release(gate);
  CHECK_EQ(news(), 0);
}

static void a_try_adds_nothing(void) {
  uint64_t *a = &objects[12], *b = &objects[13];
  both(a, LOCK, b, LOCK);
  acquire(b, LOCK);
  acquire_at(a, LOCK, THRUMI_TRIES);
  release(a);
  release(b);
  CHECK_EQ(news(), 0);
}

/* More than a thread's stack keeps, in one order and then in another. */
static void depth(void) {
  for (int i = 16; i < 64; i++) acquire(&objects[i], LOCK);
  for (int i = 63; i >= 16; i--) release(&objects[i]);
  CHECK_EQ(news(), 0);
  both(&objects[20], LOCK, &objects[17], LOCK);
  CHECK_EQ(news(), 1);
  both(&objects[63], LOCK, &objects[62], LOCK); /* the first time that these two are seen */
  CHECK_EQ(news(), 0);
}

int main(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.log = count;
  config.ignore_environment = true;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK(!thrum_check_locks(true));
  readers_alone_never_wait();
  writers_do();
  read_under_a_lock();
  a_gate_that_is_read_is_none();
  a_try_adds_nothing();
  depth();
  return 0;
}
