/* Promise 6: threads that wait for each other, but not for ever, are not called a deadlock. Each case ends by itself with status
 * 42; a verdict would end it with 86, and a suspicion would be on standard error. */
#include "../child.h"
#include "../support.h"

enum { TRUE_END = 42, TOO_SLOW = 43, ROUNDS = TESTS_SANITIZED ? 200 : 2000, THREADS = 6, LOCKS = 5 };

static thrum_rlock one, other;
static thrum_lock lock, turn, locks[LOCKS];
static thrum_rwlock ledger, archive, rwlocks[LOCKS];
static thrum_cond cond;
static thrum_thread threads[THREADS];
static int holding;

static void both_hold(int n) {
  ADD(holding, 1);
  AWAIT(LOAD(holding) == n);
}

static int join_all(int n) {
  for (int i = 0; i < n; i++) CHECK_EQ(must_join(threads[i]), 0);
  return TRUE_END;
}

/* ---- Waits that end by themselves -------------------------------------------------------------------------------------- */

static intptr_t one_then_other(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&one);
  both_hold(2);
  thrum_rlock_acquire(&other);
  return thrum_rlock_release(&other) + thrum_rlock_release(&one);
}

/* A cycle of rlocks, one of the waits with a deadline longer than any suspicion takes. */
static intptr_t other_then_one_for(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&other);
  both_hold(2);
  CHECK_EQ(thrum_rlock_acquire_for(&one, THRUM_MS(1500)), -ETIMEDOUT);
  return thrum_rlock_release(&other);
}

static int timed_acquire(void) {
  threads[0] = must_spawn(one_then_other, NULL);
  threads[1] = must_spawn(other_then_one_for, NULL);
  return join_all(2);
}

static intptr_t holds_and_waits_for_end(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&one);
  ADD(holding, 1);
  CHECK_EQ(thrum_wait_for(threads[1], THRUM_MS(1500)), -ETIMEDOUT);
  return thrum_rlock_release(&one);
}

static intptr_t takes_one(void *arg) {
  (void)arg;
  AWAIT(LOAD(holding));
  thrum_rlock_acquire(&one);
  return thrum_rlock_release(&one);
}

static int timed_join(void) {
  threads[1] = must_spawn(takes_one, NULL);
  threads[0] = must_spawn(holds_and_waits_for_end, NULL);
  return join_all(2);
}

/* A condition's wait with a deadline, moved to a lock by a notify: it is none of the exact ones. */
static intptr_t holds_and_waits_in_condition(void *arg) {
  (void)arg;
  thrum_rlock_acquire(&other);
  thrum_rlock_acquire(&one);
  ADD(holding, 1);
  CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &one, THRUM_MS(200)), -ETIMEDOUT);
  return thrum_rlock_release(&one) + thrum_rlock_release(&other);
}

static intptr_t takes_one_then_other(void *arg) {
  (void)arg;
  AWAIT(LOAD(holding));
  THRUM_RLOCKED(&one) {}
  thrum_rlock_acquire(&other);
  return thrum_rlock_release(&other);
}

static int condition(void) {
  threads[0] = must_spawn(holds_and_waits_in_condition, NULL);
  threads[1] = must_spawn(takes_one_then_other, NULL);
  return join_all(2);
}

/* ---- Locks that others release ----------------------------------------------------------------------------------------- */

/* A lock as a signal: taken twice on purpose, and released by somebody else soon. */
static intptr_t waits_for_turn(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) thrum_lock_acquire(&turn);
  return 0;
}

static bool gave_late;

static intptr_t gives_turns(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) {
    int64_t since = wall_now();
    AWAIT(thrum_lock_held(&turn));
    CHECK_EQ(thrum_sleep(THRUM_MS(20)), 0);
    CHECK_EQ(thrum_lock_release(&turn), 0);
    if (wall_now() - since > THRUM_MS(700)) STORE(gave_late, true);
  }
  return 0;
}

/* Where a turn takes as long as a suspicion, since the machine does much else, nothing can be said. */
static int hand_over(void) {
  threads[0] = must_spawn(waits_for_turn, NULL);
  threads[1] = must_spawn(gives_turns, NULL);
  int end = join_all(2);
  return LOAD(gave_late) ? TOO_SLOW : end;
}

/* ---- Readers and writers ------------------------------------------------------------------------------------------------ */

static bool waits_for_ledger(uint64_t flag) { return LOAD(ledger.word) & flag; }

static intptr_t writes_ledger(void *arg) {
  (void)arg;
  THRUM_WRITE_LOCKED(&ledger) {}
  return 0;
}

static intptr_t reads_ledger(void *arg) {
  (void)arg;
  THRUM_READ_LOCKED(&ledger) {}
  return 0;
}

/* A reader stays in for longer than any suspicion takes; a writer waits for it, and other readers wait behind that one. */
static int readers_behind_a_writer(void) {
  thrum_rwlock_acquire_read(&ledger);
  threads[0] = must_spawn(writes_ledger, NULL);
  AWAIT(waits_for_ledger(THRUMI_RWLOCK_WRITERS));
  for (int i = 1; i < THREADS; i++)
    threads[i] = i % 2 ? must_spawn(reads_ledger, NULL) : must_spawn_bound(reads_ledger, NULL);
  AWAIT(waits_for_ledger(THRUMI_RWLOCK_READERS));
  CHECK_EQ(thrum_find_deadlocks(2), 0);
  CHECK_EQ(thrum_sleep(THRUM_MS(1500)), 0);
  CHECK_EQ(thrum_rwlock_release_read(&ledger), 0);
  return join_all(THREADS);
}

/* Crossed writers, one with a deadline. */
static intptr_t writes_ledger_then_archive(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&ledger);
  both_hold(2);
  thrum_rwlock_acquire_write(&archive);
  return thrum_rwlock_release_write(&archive) + thrum_rwlock_release_write(&ledger);
}

static intptr_t writes_archive_then_reads_ledger_for(void *arg) {
  (void)arg;
  thrum_rwlock_acquire_write(&archive);
  both_hold(2);
  CHECK_EQ(thrum_rwlock_acquire_read_for(&ledger, THRUM_MS(1500)), -ETIMEDOUT);
  return thrum_rwlock_release_write(&archive);
}

static int timed_read(void) {
  threads[0] = must_spawn(writes_ledger_then_archive, NULL);
  threads[1] = must_spawn(writes_archive_then_reads_ledger_for, NULL);
  return join_all(2);
}

/* Again and again a reader that holds an rlock waits for the writer, which lets it in by a downgrade, and then wants that rlock. */
static int begun, ended;

static void await_count(const int *count, int n) {
  while (LOAD(*count) != n) thrum_yield();
}

static intptr_t reads_under_one(void *arg) {
  (void)arg;
  for (int i = 1; i <= ROUNDS / 10; i++) {
    await_count(&begun, i);
    THRUM_RLOCKED(&one) {
      THRUM_READ_LOCKED(&ledger) {}
    }
    STORE(ended, i);
  }
  return 0;
}

static intptr_t downgrades_and_wants_one(void *arg) {
  (void)arg;
  for (int i = 1; i <= ROUNDS / 10; i++) {
    thrum_rwlock_acquire_write(&ledger);
    STORE(begun, i);
    while (!waits_for_ledger(THRUMI_RWLOCK_READERS)) thrum_yield();
    CHECK_EQ(thrum_rwlock_downgrade(&ledger), 0);
    THRUM_RLOCKED(&one) {}
    CHECK_EQ(thrum_rwlock_release_read(&ledger), 0);
    await_count(&ended, i);
  }
  return 0;
}

static int downgrade(void) {
  threads[0] = must_spawn(downgrades_and_wants_one, NULL);
  threads[1] = must_spawn_bound(reads_under_one, NULL);
  return join_all(2);
}

/* Taken in one order, to read or to write. */
static intptr_t takes_rwlocks_in_order(void *arg) {
  unsigned random = (unsigned)(uintptr_t)arg;
  for (int i = 0; i < ROUNDS; i++) {
    random = random * 1103515245 + 12345;
    int from = (int)(random >> 16) % LOCKS, to = from + (int)(random >> 20) % (LOCKS - from);
    unsigned writes = random >> 24;
    for (int j = from; j <= to; j++)
      if (writes >> j & 1)
        thrum_rwlock_acquire_write(&rwlocks[j]);
      else
        thrum_rwlock_acquire_read(&rwlocks[j]);
    if (random >> 23 & 1) thrum_yield();
    for (int j = to; j >= from; j--)
      CHECK_EQ(writes >> j & 1 ? thrum_rwlock_release_write(&rwlocks[j])
                               : thrum_rwlock_release_read(&rwlocks[j]),
               0);
  }
  return 0;
}

static int rwlocks_in_order(void) {
  for (int i = 0; i < THREADS; i++)
    threads[i] = must_spawn(takes_rwlocks_in_order, (void *)(intptr_t)(i + 1));
  return join_all(THREADS);
}

/* ---- Crowds ------------------------------------------------------------------------------------------------------------ */

/* Everything is taken in one order, and released in any: there are long paths all the time, and never a cycle. */
static intptr_t takes_in_order(void *arg) {
  unsigned random = (unsigned)(uintptr_t)arg;
  for (int i = 0; i < ROUNDS; i++) {
    random = random * 1103515245 + 12345;
    int from = (int)(random >> 16) % LOCKS, to = from + (int)(random >> 20) % (LOCKS - from);
    for (int j = from; j <= to; j++) thrum_lock_acquire(&locks[j]);
    if (random >> 28 & 1) thrum_yield();
    for (int j = to; j >= from; j--) CHECK_EQ(thrum_lock_release(&locks[j]), 0);
  }
  return 0;
}

static int in_order(void) {
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(takes_in_order, (void *)(intptr_t)(i + 1));
  return join_all(THREADS);
}

/* Tokens go round: each thread waits for the former one, holding what the next one waits for, and passes it on. */
static int token;

static intptr_t passes_on(void *arg) {
  int me = (int)(intptr_t)arg;
  for (int i = 0; i < ROUNDS / 10; i++) {
    THRUM_RLOCKED(&one) {
      while (token % THREADS != me) CHECK_EQ(thrum_cond_wait_rlock(&cond, &one), 0);
      token++;
      thrum_cond_notify_all(&cond);
    }
  }
  return 0;
}

static int tokens(void) {
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(passes_on, (void *)(intptr_t)i);
  return join_all(THREADS);
}

/* Threads that hold an rlock join others, which begin, wait for other rlocks and end: records, marks and handles are used again and
 * again. */
static intptr_t takes_other(void *arg) {
  (void)arg;
  THRUM_RLOCKED(&other) { thrum_yield(); }
  return 0;
}

static intptr_t spawns_and_joins(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS / 10; i++) {
    thrum_thread t[3];
    THRUM_RLOCKED(&one) {
      for (int j = 0; j < 3; j++) t[j] = must_spawn(takes_other, NULL);
      for (int j = 0; j < 3; j++) CHECK_EQ(must_join(t[j]), 0);
    }
  }
  return 0;
}

static int generations(void) {
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(spawns_and_joins, NULL);
  return join_all(THREADS);
}

/* A long chain of joins is no cycle, however far it reaches. */
static thrum_thread chain[300];

static intptr_t joins_the_next(void *arg) {
  int i = (int)(intptr_t)arg;
  if (i + 1 == 300) return thrum_sleep(THRUM_MS(1200));
  AWAIT(LOAD(chain[i + 1].value));
  return thrum_wait(chain[i + 1]);
}

static int long_chain(void) {
  for (int i = 0; i < 300; i++) {
    thrum_thread t = must_spawn(joins_the_next, (void *)(intptr_t)i);
    STORE(chain[i].value, t.value);
  }
  CHECK_EQ(thrum_wait(chain[0]), 0);
  return TRUE_END;
}

/* Locks come and go with their memory while others look at who waits for them. */
static intptr_t short_lived(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS; i++) {
    thrum_lock *l = calloc(1, sizeof *l);
    thrum_lock_acquire(l);
    thrum_lock_acquire(&lock);
    CHECK_EQ(thrum_lock_release(&lock), 0);
    CHECK_EQ(thrum_lock_release(l), 0);
    CHECK_EQ(thrum_lock_destroy(l), 0);
    free(l);
  }
  return 0;
}

static int memory(void) {
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(short_lived, NULL);
  FILE *nowhere = fopen("/dev/null", "w");
  CHECK(nowhere);
  while (thrum_is_alive(threads[0])) {
    CHECK_EQ(thrum_find_deadlocks(fileno(nowhere)), 0);
    thrum_yield();
  }
  return join_all(THREADS);
}

static const struct child_case cases[] = {{"timed-acquire", timed_acquire},
                                          {"timed-join", timed_join},
                                          {"condition", condition},
                                          {"hand-over", hand_over},
                                          {"in-order", in_order},
                                          {"tokens", tokens},
                                          {"generations", generations},
                                          {"long-chain", long_chain},
                                          {"memory", memory},
                                          {"readers-behind-a-writer", readers_behind_a_writer},
                                          {"timed-read", timed_read},
                                          {"downgrade", downgrade},
                                          {"rwlocks-in-order", rwlocks_in_order},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  static struct child children[sizeof cases / sizeof *cases]; /* two at a time: half of each is waiting */
  for (int i = 0; cases[i].name; i++) {
    if (i % 2 == 0) children[i] = child_start(cases[i].name, NULL);
    if (i % 2 == 0 && cases[i + 1].name) children[i + 1] = child_start(cases[i + 1].name, NULL);
    struct child child = children[i];
    child_finish(&child);
    for (int tries = 0; child.status == TOO_SLOW && tries < 5; tries++) {
      child_free(&child);
      child = child_run(cases[i].name);
    }
    CHECK_STATUS(child, TRUE_END);
    CHECK_STR(child.err_text, "");
    child_free(&child);
  }
  return 0;
}
