/* A once runs its function one time: late callers wait until it is done and see what it did; when it fails another caller runs
 * it; who calls it again from within is told. */
#include "../support.h"

enum { CROWD = 24, ROUNDS = TESTS_SANITIZED ? 40 : 300 };

struct table {
  thrum_once once;
  int runs, running; /* not atomic: the once orders it */
  int failures_left;
};

static struct table tables[ROUNDS];
static int failures;

static intptr_t load_table(void *arg) {
  struct table *table = (struct table *)arg;
  CHECK_EQ(table->running++, 0);
  CHECK_EQ(thrum_once_call(&table->once, load_table, table), -EDEADLK);
  CHECK_EQ(thrum_once_call_for(&table->once, load_table, table, 0), -EDEADLK);
  if (table->runs % 2 == 0) thrum_yield();
  if (table->runs % 3 == 0) CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  table->runs++;
  CHECK_EQ(table->running--, 1);
  return table->failures_left-- > 0 ? -EIO : 1;
}

static int call_somehow(struct table *table, int way) {
  if (way % 3) return thrum_once_call(&table->once, load_table, table);
  return thrum_once_call_for(&table->once, load_table, table, way % 2 ? THRUM_US(way % 50) : THRUM_FOREVER);
}

static intptr_t call_all(void *number) {
  for (int i = 0; i < ROUNDS; i++) {
    int error;
    while ((error = call_somehow(&tables[i], i + (int)(intptr_t)number)) != 0) {
      CHECK(error == -EIO || error == -ETIMEDOUT);
      if (error == -EIO) ADD(failures, 1);
    }
    CHECK(thrum_once_done(&tables[i].once));
    CHECK_EQ(tables[i].runs, 1 + i % 3);
  }
  return 0;
}

static intptr_t all_ways(void *unused) {
  (void)unused;
  struct table table = {.failures_left = 1};
  CHECK(!thrum_once_done(&table.once));
  CHECK_EQ(thrum_once_call(&table.once, load_table, &table), -EIO);
  CHECK(!thrum_once_done(&table.once));
  CHECK_EQ(thrum_once_call_for(&table.once, load_table, &table, -1),
           0); /* it is about others' time, not its own */
  CHECK_EQ(thrum_once_call(&table.once, load_table, &table), 0);
  CHECK_EQ(thrum_once_call_for(&table.once, load_table, &table, 0), 0);
  CHECK_EQ(table.runs, 2);
  return 0;
}

/* ---- Waiting for another one's run --------------------------------------------------------------------------------------- */

static thrum_event entered, go;
static thrum_once slow;

static intptr_t run_slowly(void *arg) {
  thrum_event_set(&entered);
  thrum_event_wait(&go);
  return (intptr_t)arg;
}

static intptr_t run_it(void *arg) { return thrum_once_call(&slow, run_slowly, arg); }

static intptr_t not_twice(void *arg) {
  (void)arg;
  check_failed(__FILE__, __LINE__, "it ran again");
}

static intptr_t wait_in_vain(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_once_call_for(&slow, not_twice, NULL, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_once_call_for(&slow, not_twice, NULL, -1), -ETIMEDOUT);
  int64_t before = wall_now();
  CHECK_EQ(thrum_once_call_for(&slow, not_twice, NULL, THRUM_MS(3)), -ETIMEDOUT);
  CHECK(wall_now() - before >= THRUM_MS(3));
  return 0;
}

static intptr_t wait_for_it(void *unused) {
  (void)unused;
  return thrum_once_call(&slow, not_twice, NULL);
}

static void others_wait(void) {
  static struct crowd crowd;
  thrum_thread runner = must_spawn(run_it, (void *)5);
  thrum_event_wait(&entered);
  run_in_each_kind(wait_in_vain, NULL);
  crowd_start(&crowd, CROWD, wait_for_it);
  CHECK_EQ(thrum_once_call_for(&slow, not_twice, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK(!thrum_once_done(&slow));
  thrum_event_set(&go);
  CHECK_EQ(must_join(runner), 0);
  crowd_join(&crowd);
  CHECK_EQ(thrum_once_call(&slow, not_twice, NULL), 0);
}

int main(void) {
  static struct crowd crowd;
  run_in_each_kind(all_ways, NULL);
  for (int i = 0; i < ROUNDS; i++) tables[i].failures_left = i % 3;
  crowd_start(&crowd, CROWD, call_all);
  CHECK_EQ(call_all((void *)3), 0);
  crowd_join(&crowd);
  CHECK_EQ(failures, ROUNDS / 3 * 3 + (ROUNDS % 3 == 2));
  others_wait();
  return 0;
}
