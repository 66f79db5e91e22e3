/* A readers-writer lock lets readers in together and a writer in alone: counts that are not atomic lose nothing, whoever
 * reads and writes (light, bound and foreign threads together), however the lock is taken, and whether or not they yield while
 * they hold it. A writer becomes a reader, and a reader the writer, with nobody in between. */
#include "../support.h"

enum {
  LIGHT = 12,
  BOUND = 2,
  FOREIGN = 2,
  ALL = LIGHT + BOUND + FOREIGN,
  TIMES = TESTS_SANITIZED ? 500 : 4000
};

static thrum_rwlock lock;
static long first, second;    /* equal, whenever no writer is inside */
static int readers, together; /* inside; the most at once */
static long failed, downgraded, upgraded, written;

static void pause_at(int i) {
  if (i % 50 == 0) thrum_yield();
}

static void read_both(int i) {
  int now = ADD(readers, 1);
  if (now > LOAD(together)) STORE(together, now);
  long seen = first;
  pause_at(i);
  CHECK_EQ(seen, second);
  CHECK_EQ(seen, first);
  ADD(readers, -1);
}

static void write_both(int i) {
  CHECK_EQ(LOAD(readers), 0);
  first++;
  pause_at(i);
  CHECK_EQ(LOAD(readers), 0);
  second++;
}

/* What a downgrade leaves is what was written. */
static void write_and_read(int i) {
  long before = first;
  write_both(i);
  CHECK(thrum_rwlock_is_writer(&lock));
  CHECK_EQ(thrum_rwlock_downgrade(&lock), 0);
  CHECK(!thrum_rwlock_is_writer(&lock));
  pause_at(i);
  CHECK_EQ(first, before + 1);
  read_both(1);
  ADD(downgraded, 1);
}

static bool read_and_write(int i) {
  long before = first;
  if (thrum_rwlock_try_upgrade(&lock) != 0) {
    read_both(i);
    CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
    return false;
  }
  CHECK_EQ(first, before);
  write_both(i);
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  ADD(upgraded, 1);
  return true;
}

static bool fail(void) {
  ADD(failed, 1);
  return false;
}

static bool read_once(int i) {
  if (i % 3 == 0) {
    THRUM_READ_LOCKED(&lock) read_both(i);
    return true;
  }
  if (i % 3 == 1 && thrum_rwlock_try_acquire_read(&lock) != 0) return fail();
  if (i % 3 == 2 && thrum_rwlock_acquire_read_for(&lock, THRUM_US(i % 7 * 10)) != 0) return fail();
  read_both(i);
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  return true;
}

/* True if it has written. */
static bool write_once(int i) {
  switch (i % 5) {
  case 0: THRUM_WRITE_LOCKED(&lock) write_both(i); return true;
  case 1:
    if (thrum_rwlock_try_acquire_write(&lock) != 0) return fail();
    break;
  case 2:
    if (thrum_rwlock_acquire_write_for(&lock, THRUM_US(i % 7 * 10)) != 0) return fail();
    break;
  case 3:
    thrum_rwlock_acquire_write(&lock);
    write_and_read(i);
    CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
    return true;
  default: thrum_rwlock_acquire_read(&lock); return read_and_write(i);
  }
  write_both(i);
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  return true;
}

static intptr_t use(void *arg) {
  uint64_t chance = (uint64_t)(uintptr_t)arg * 77 + 1;
  for (int i = 0; i < TIMES; i++) {
    chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
    int drawn = (int)(chance >> 40);
    if (drawn % 4 == 0) {
      if (write_once(drawn / 4)) ADD(written, 1);
    } else {
      read_once(drawn / 4);
    }
    if (i % 100 == 0) thrum_yield();
  }
  return 0;
}

static void *foreign(void *arg) { return (void *)use(arg); }

static void all_kinds_together(void) {
  thrum_thread threads[LIGHT + BOUND];
  pthread_t others[FOREIGN];
  for (intptr_t i = 0; i < LIGHT; i++) threads[i] = must_spawn(use, (void *)i);
  for (intptr_t i = 0; i < BOUND; i++) threads[LIGHT + i] = must_spawn_bound(use, (void *)(LIGHT + i));
  for (intptr_t i = 0; i < FOREIGN; i++)
    CHECK_EQ(pthread_create(&others[i], NULL, foreign, (void *)(LIGHT + BOUND + i)), 0);
  CHECK_EQ(use((void *)ALL), 0);
  for (int i = 0; i < LIGHT + BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
  CHECK_EQ(first, written);
  CHECK_EQ(second, written);
}

/* ---- Readers are inside at the same time ---------------------------------------------------------------------------- */

static int inside;

static intptr_t meet(void *arg) {
  THRUM_READ_LOCKED(&lock) {
    ADD(inside, 1);
    AWAIT(LOAD(inside) == ALL);
  }
  return (intptr_t)arg;
}

static void *foreign_meet(void *arg) { return (void *)meet(arg); }

/* A writer holds the lock until all are on their way, so most of them are let in by its release. */
static void readers_meet(bool writer_first) {
  thrum_thread threads[LIGHT + BOUND];
  pthread_t others[FOREIGN];
  STORE(inside, 0);
  if (writer_first) thrum_rwlock_acquire_write(&lock);
  for (intptr_t i = 0; i < LIGHT; i++) threads[i] = must_spawn(meet, NULL);
  for (intptr_t i = 0; i < BOUND; i++) threads[LIGHT + i] = must_spawn_bound(meet, NULL);
  for (intptr_t i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_create(&others[i], NULL, foreign_meet, NULL), 0);
  if (writer_first) {
    AWAIT(thrum_rwlock_destroy(&lock) == -EBUSY);
    CHECK_EQ(LOAD(inside), 0);
    CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  }
  for (int i = 0; i < LIGHT + BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
}

int main(void) {
  all_kinds_together();
  readers_meet(false);
  readers_meet(true);
  CHECK(!thrum_rwlock_held(&lock));
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(thrum_rwlock_destroy(&lock), 0);
  printf("%ld written, %ld failed, %ld downgraded, %ld upgraded, %d readers together\n", written, failed,
         downgraded, upgraded, together);
  return 0;
}
