/* A semaphore gives out as many units as it has, whoever asks for them in whatever way: light, bound, foreign threads and main
 * together. A limit is exact. Nobody starves beside threads that come again and again. */
#include "../support.h"

enum { CROWD = 24, TIMES = TESTS_SANITIZED ? 300 : 2000, UNITS = 3 };

static thrum_sem tickets = THRUM_SEM_INIT(UNITS), zero;
static thrum_sem bounded = THRUM_SEM_BOUNDED_INIT(UNITS, UNITS);
static int inside, most, done;

/* ---- No more than there are ----------------------------------------------------------------------------------------- */

static bool acquire_somehow(thrum_sem *sem, int way) {
  switch (way % 4) {
  case 0: return thrum_sem_try_acquire(sem) == 0;
  case 1: return thrum_sem_acquire_for(sem, THRUM_US(way % 7 * 10)) == 0;
  case 2: return thrum_sem_acquire_for(sem, way % 8 ? THRUM_FOREVER : THRUM_FOREVER - 1) == 0;
  default: thrum_sem_acquire(sem); return true;
  }
}

static void stay_inside(int i) {
  int now = ADD(inside, 1);
  CHECK(now <= UNITS);
  if (now > LOAD(most)) STORE(most, now);
  if (i % 20 == 0) thrum_yield();
  ADD(inside, -1);
}

static intptr_t take_turns(void *number, thrum_sem *sem) {
  for (int i = 0; i < TIMES; i++) {
    while (!acquire_somehow(sem, i + (int)(intptr_t)number)) thrum_yield();
    stay_inside(i);
    CHECK_EQ(thrum_sem_release(sem, 1), 0);
    ADD(done, 1);
  }
  return 0;
}

static intptr_t with_tickets(void *number) { return take_turns(number, &tickets); }
static intptr_t with_bounded(void *number) { return take_turns(number, &bounded); }

static void no_more_than_there_are(thrum_fn *fn, thrum_sem *sem) {
  static struct crowd crowd;
  done = most = 0;
  crowd_start(&crowd, CROWD, fn);
  CHECK_EQ(fn((void *)1), 0);
  crowd_join(&crowd);
  CHECK_EQ(done, (CROWD + 1) * TIMES);
  CHECK(most >= 1);
  CHECK_EQ(inside, 0);
  CHECK_EQ(thrum_sem_value(sem), UNITS);
  CHECK_EQ(thrum_sem_destroy(sem), 0);
}

/* ---- Units as items: as many are taken as were given, one by one or many at once --------------------------------------- */

static int taken, wanted;

static intptr_t take_items(void *number) {
  for (;;) {
    while (!acquire_somehow(&zero, (int)(intptr_t)number)) thrum_yield();
    if (ADD(taken, 1) > LOAD(wanted)) return 0; /* one of those that end it */
  }
}

static void as_many_as_were_given(void) {
  static struct crowd crowd;
  wanted = CROWD * TIMES;
  crowd_start(&crowd, CROWD, take_items);
  for (int given = 0; given < wanted;) {
    int n = given % 13 + 1 < wanted - given ? given % 13 + 1 : wanted - given;
    CHECK_EQ(thrum_sem_release(&zero, n), 0);
    given += n;
    if (given % 5 == 0) thrum_yield();
  }
  AWAIT(LOAD(taken) == wanted);
  CHECK_EQ(thrum_sem_value(&zero), 0);
  CHECK_EQ(thrum_sem_release(&zero, CROWD), 0);
  crowd_join(&crowd);
  CHECK_EQ(thrum_sem_value(&zero), 0);
  CHECK_EQ(thrum_sem_destroy(&zero), 0);
}

/* ---- Nobody starves ------------------------------------------------------------------------------------------------------ */

static thrum_sem one = THRUM_SEM_INIT(1);
static bool stop;
static uint64_t turns;

static intptr_t come_again(void *number) {
  (void)number;
  while (!LOAD(stop)) {
    thrum_sem_acquire(&one);
    ADD(turns, 1);
    CHECK_EQ(thrum_sem_release(&one, 1), 0);
  }
  return 0;
}

static void nobody_starves(void) {
  static struct crowd crowd;
  stop = false;
  crowd_start(&crowd, 6, come_again);
  AWAIT(LOAD(turns) > 0);        /* they are at it */
  for (int i = 0; i < 20; i++) { /* each would wait for ever if the others always went first */
    CHECK_EQ(thrum_sem_acquire_for(&one, THRUM_S(TESTS_HANG_S)), 0);
    CHECK_EQ(thrum_sem_release(&one, 1), 0);
  }
  STORE(stop, true);
  crowd_join(&crowd);
  CHECK_EQ(thrum_sem_value(&one), 1);
}

/* ---- Timeouts, limits ------------------------------------------------------------------------------------------------------ */

static intptr_t all_ways(void *unused) {
  (void)unused;
  thrum_sem sem = THRUM_SEM_INIT(0);
  CHECK_EQ(thrum_sem_try_acquire(&sem), -EAGAIN);
  CHECK_EQ(thrum_sem_acquire_for(&sem, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_sem_acquire_for(&sem, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_sem_acquire_for(&sem, INT64_MIN), -ETIMEDOUT);
  int64_t before = wall_now();
  CHECK_EQ(thrum_sem_acquire_for(&sem, THRUM_MS(3)), -ETIMEDOUT);
  CHECK(wall_now() - before >= THRUM_MS(3));
  CHECK_EQ(thrum_sem_release(&sem, 2), 0);
  CHECK_EQ(thrum_sem_acquire_for(&sem, -1), 0);
  CHECK_EQ(thrum_sem_acquire_for(&sem, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_sem_value(&sem), 0);
  return 0;
}

static void limits(void) {
  thrum_sem sem = THRUM_SEM_BOUNDED_INIT(2, 3);
  CHECK_EQ(thrum_sem_release(&sem, 2), -EOVERFLOW);
  CHECK_EQ(thrum_sem_value(&sem), 2);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  CHECK_EQ(thrum_sem_release(&sem, 1), -EOVERFLOW);
  CHECK_EQ(thrum_sem_value(&sem), 3);
  thrum_sem large = THRUM_SEM_INIT(THRUM_SEM_MAX - 1);
  CHECK_EQ(thrum_sem_release(&large, 2), -EOVERFLOW);
  CHECK_EQ(thrum_sem_release(&large, THRUM_SEM_MAX), -EOVERFLOW);
  CHECK_EQ(thrum_sem_release(&large, 1), 0);
  CHECK_EQ(thrum_sem_value(&large), THRUM_SEM_MAX);
  CHECK_EQ(thrum_sem_release(&large, 1), -EOVERFLOW);
}

/* ---- Destroying: who was woken and has not run looks at it once more ---------------------------------------------------- */

static intptr_t take_one(void *sem) { return thrum_sem_acquire((thrum_sem *)sem), 0; }

static void woken_ones_count(void) {
  thrum_sem sem = THRUM_SEM_INIT(0);
  thrum_thread waiter = must_spawn(take_one, &sem);
  AWAIT(thrum_sem_destroy(&sem) == -EBUSY);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  int error = thrum_sem_destroy(&sem);
  if (thrum_sem_value(&sem) == 1) CHECK_EQ(error, -EBUSY); /* nobody has taken it yet */
  CHECK_EQ(must_join(waiter), 0);
  CHECK_EQ(thrum_sem_destroy(&sem), 0);
}

int main(void) {
  run_in_each_kind(all_ways, NULL);
  limits();
  for (int i = 0; i < 20; i++) woken_ones_count();
  no_more_than_there_are(with_tickets, &tickets);
  no_more_than_there_are(with_bounded, &bounded);
  as_many_as_were_given();
  nobody_starves();
  printf("%llu turns beside 20\n", (unsigned long long)turns);
  return 0;
}
