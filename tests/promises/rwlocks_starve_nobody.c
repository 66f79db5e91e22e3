/* Nobody waits for a readers-writer lock for longer than a few holds: a writer among readers that never leave it free, a
 * reader among writers that do not either, and a thread that waits while others give up. Waits are counted in holds of the
 * others that begin meanwhile, not in time (docs/design/rwlock.md has the bound with its proof):
 *
 *   a reader among writers    none: whoever holds it as the reader queues lets it in
 *   a writer among readers    CROWD: those that are inside already, and have not counted their hold yet
 *   a writer among writers    CROWD, from when it has been queued for a millisecond: those before it; until then others may
 *                             overtake, and if it was woken in vain those that were woken meanwhile queue before it again
 *
 * The last one is counted in the midst of a crowd. That writers who all wait are served in their order, one a hold, is proved step by
 * step by locks_are_fair.c. */
#include "queues.h"

#include <sched/self.h>

enum { CROWD = 6, TURNS = TESTS_SANITIZED ? 20 : 100 };

static thrum_rwlock lock;
static bool stop;
static uint64_t holds; /* by the crowd, begun */

/* ---- Counting: the crowd looks at who waits, at both ends of each hold -------------------------------------------------- */

static struct {
  uint64_t who;           /* waits in its turns, */
  uint64_t turn;          /* this one; even: it does not */
  int64_t bound;          /* holds */
  thrum_duration after;   /* counted from when it has waited for so long */
  bool looking;           /* one at a time: the rest is who looks' */
  uint64_t seen, counted; /* in which turn it was seen to wait, and the count began */
  thrum_time seen_at;
  uint64_t from; /* the count */
  long turns;    /* that were counted */
} waiting;

/* It is queued, and has been since it was seen to be, in this hold: one that is woken in vain is never taken for one that waits on. */
static void count_holds(uint64_t turn, bool begins) {
  if (begins || waiting.seen != turn) waiting.seen_at = wall_now();
  waiting.seen = turn;
  if (waiting.counted == turn) {
    int64_t so_far = (int64_t)(LOAD(holds) - waiting.from);
    if (so_far > waiting.bound)
      check_failed(__FILE__, __LINE__, "%lld holds have begun while it waits", (long long)so_far);
  } else if (wall_now() - waiting.seen_at >= waiting.after) {
    waiting.from = LOAD(holds);
    waiting.counted = turn;
    waiting.turns++;
  }
}

/* In a hold: what is parked before and after the same turn was read is parked in the acquire. */
static void look(bool begins) {
  uint64_t turn = LOAD(waiting.turn);
  if (turn % 2 == 0 || __atomic_exchange_n(&waiting.looking, true, __ATOMIC_ACQ_REL)) return;
  bool waits = queue_parked((thrum_thread){LOAD(waiting.who)});
  if (!waits)
    waiting.seen = waiting.counted = 0; /* on its way in, or woken to try */
  else if (LOAD(waiting.turn) == turn)
    count_holds(turn, begins);
  STORE(waiting.looking, false);
}

static intptr_t wait_a_moment(void) { return thrum_sleep(THRUM_US(100)); }

/* As writer. The first hold that sees it wait lasts until it has waited for so long: so each turn that waits is counted. */
static void hold_for_count(void) {
  look(true);
  bool is_due = waiting.after && waiting.seen == LOAD(waiting.turn) && waiting.counted != waiting.seen;
  if (is_due)
    CHECK_EQ(thrum_sleep(2 * waiting.after), 0);
  else
    thrum_yield();
  look(false);
}

/* The crowd: each lets the others run while it is inside, so that hardly ever none is. */
static intptr_t read_on_and_on(void *arg) {
  (void)arg;
  while (!LOAD(stop)) THRUM_READ_LOCKED(&lock) {
      ADD(holds, 1);
      look(true);
      for (int i = 0; i < 5; i++) thrum_yield();
      look(false);
    }
  return 0;
}

static intptr_t write_on_and_on(void *arg) {
  (void)arg;
  while (!LOAD(stop)) THRUM_WRITE_LOCKED(&lock) {
      ADD(holds, 1);
      hold_for_count();
    }
  return 0;
}

static void start(thrum_thread *crowd, thrum_fn *fn) {
  STORE(stop, false);
  STORE(holds, 0);
  for (int i = 0; i < CROWD; i++) crowd[i] = i % 3 == 2 ? must_spawn_bound(fn, NULL) : must_spawn(fn, NULL);
  AWAIT(LOAD(holds) > CROWD);
}

static void finish(const thrum_thread *crowd) {
  STORE(stop, true);
  for (int i = 0; i < CROWD; i++) CHECK_EQ(must_join(crowd[i]), 0);
  CHECK_EQ(lock.word, 0);
}

static intptr_t writes_among_others(void *arg) {
  (void)arg;
  STORE(waiting.who, thrum_current().value);
  for (int i = 0; i < TURNS; i++) {
    ADD(waiting.turn, 1);
    thrum_rwlock_acquire_write(&lock);
    ADD(waiting.turn, 1);
    CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
    wait_a_moment();
  }
  return 0;
}

static intptr_t reads_among_writers(void *arg) {
  (void)arg;
  STORE(waiting.who, thrum_current().value);
  for (int i = 0; i < TURNS; i++) {
    ADD(waiting.turn, 1);
    THRUM_READ_LOCKED(&lock) { ADD(waiting.turn, 1); }
    wait_a_moment();
  }
  return 0;
}

static void a_crowd_starves_nobody(thrum_fn *crowd_fn, thrum_fn *fn, int64_t bound, thrum_duration after) {
  thrum_thread crowd[CROWD];
  waiting.bound = bound;
  waiting.after = after;
  waiting.turns = 0;
  start(crowd, crowd_fn);
  run_in_each_kind(fn, NULL);
  finish(crowd);
  printf("%ld of %d turns counted\n", waiting.turns, 4 * TURNS);
  CHECK(waiting.turns > TURNS / 2); /* of four times so many */
}

/* ---- The order of turns, step by step -------------------------------------------------------------------------------- */

static char order[16];
static int turns;

static void take_turn(char c) { order[ADD(turns, 1) - 1] = c; }

static intptr_t read_turn(void *arg) {
  thrum_rwlock_acquire_read(&lock);
  take_turn((char)(intptr_t)arg);
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  return 0;
}

static intptr_t write_turn(void *arg) {
  thrum_rwlock_acquire_write(&lock);
  take_turn((char)(intptr_t)arg);
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  return 0;
}

static thrum_thread spawn_turn(thrum_fn *fn, char c) { return must_spawn(fn, (void *)(intptr_t)c); }

static bool waits(thrum_thread t) {
  uint64_t life;
  struct thrumi_thread *found = thrumi_lookup(t, &life);
  return thrumi_wait_state(thrumi_load(&found->wait)) == THRUMI_WAIT_PARKED;
}

static thrum_thread spawn_waiting(thrum_fn *fn, char c) {
  thrum_thread t = spawn_turn(fn, c);
  AWAIT(waits(t));
  return t;
}

static void join_all(const thrum_thread *threads, int n, const char *expected) {
  for (int i = 0; i < n; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_STR(order, expected);
  CHECK_EQ(lock.word, 0);
  memset(order, 0, sizeof order);
  turns = 0;
}

/* Readers that come after a writer that waits come after it, though others read. */
static void a_waiting_writer_keeps_new_readers_out(void) {
  thrum_rwlock_acquire_read(&lock);
  thrum_thread w = spawn_waiting(write_turn, 'w');
  CHECK_EQ(thrum_rwlock_try_acquire_read(&lock), -EAGAIN);
  CHECK_EQ(thrum_rwlock_acquire_read_for(&lock, THRUM_US(100)), -ETIMEDOUT);
  thrum_thread r = spawn_waiting(read_turn, 'r');
  CHECK_EQ(thrum_rwlock_try_upgrade(&lock), -EAGAIN);
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  join_all((thrum_thread[]){w, r}, 2, "wr");
}

/* All readers that wait go before the next writer, however long that has waited. */
static void a_writer_lets_readers_go_first(void) {
  thrum_rwlock_acquire_write(&lock);
  thrum_thread w = spawn_waiting(write_turn, 'w');
  thrum_thread r = spawn_waiting(read_turn, 'r'), s = spawn_waiting(read_turn, 'r');
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0); /* longer than the millisecond after which it is handed over */
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  join_all((thrum_thread[]){w, r, s}, 3, "rrw");
}

/* Writers that have waited for long get it in the order in which they came, and before one that comes later. */
static void old_writers_go_in_order(void) {
  thrum_rwlock_acquire_write(&lock);
  thrum_thread a = spawn_waiting(write_turn, 'a'), b = spawn_waiting(write_turn, 'b');
  thrum_thread c = spawn_waiting(write_turn, 'c');
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0); /* longer than the millisecond after which it is handed over */
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  bool handed_over = thrum_rwlock_held(&lock) || order[2] == 'c';
  CHECK(handed_over);
  join_all((thrum_thread[]){a, b, c}, 3, "abc");
}

static void a_downgrade_lets_readers_in(void) {
  thrum_rwlock_acquire_write(&lock);
  thrum_thread w = spawn_waiting(write_turn, 'w'), r = spawn_waiting(read_turn, 'r');
  CHECK_EQ(thrum_rwlock_downgrade(&lock), 0);
  CHECK_EQ(must_join(r), 0);
  CHECK_EQ(thrum_rwlock_try_acquire_read(&lock), -EAGAIN); /* the writer still waits */
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  join_all(&w, 1, "rw");
}

/* ---- Who gives up swallows nothing ----------------------------------------------------------------------------------- */

static thrum_duration patience;

static intptr_t write_impatiently(void *arg) {
  (void)arg;
  return thrum_rwlock_acquire_write_for(&lock, patience);
}

static intptr_t read_impatiently(void *arg) {
  (void)arg;
  return thrum_rwlock_acquire_read_for(&lock, patience);
}

static void cancel(thrum_thread t) { CHECK_EQ(thrum_cancel(t), 0); }

/* One whose time is limited may have given up before anybody looked. */
static bool waits_or_gave_up(thrum_thread t) {
  uint64_t life;
  thrumi_lookup(t, &life);
  return life & THRUMI_FINISHED || waits(t);
}

/* The readers behind a writer that gives up go in, while the one that it waited for is still inside. */
static void readers_behind_one_that_gives_up_go_on(bool cancelled) {
  thrum_rwlock_acquire_read(&lock);
  patience = cancelled ? THRUM_FOREVER : THRUM_MS(20);
  thrum_thread w = must_spawn(write_impatiently, NULL);
  AWAIT(waits_or_gave_up(w));
  thrum_thread r = spawn_turn(read_turn, 'r');
  if (cancelled) {
    AWAIT(waits(r));
    cancel(w);
  }
  CHECK_EQ(must_join(w), cancelled ? -ECANCELED : -ETIMEDOUT);
  CHECK_EQ(must_join(r), 0);
  CHECK_EQ(lock.word, THRUMI_RWLOCK_ONE);
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  join_all(NULL, 0, "r");
}

/* A second writer still keeps them out. */
static void readers_behind_two_writers_wait(void) {
  thrum_rwlock_acquire_read(&lock);
  patience = THRUM_FOREVER;
  thrum_thread w = must_spawn(write_impatiently, NULL);
  AWAIT(waits(w));
  thrum_thread v = spawn_waiting(write_turn, 'v'), r = spawn_waiting(read_turn, 'r');
  cancel(w);
  CHECK_EQ(must_join(w), -ECANCELED);
  CHECK(waits(v) && waits(r));
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  join_all((thrum_thread[]){v, r}, 2, "vr");
}

static void a_reader_gives_up(bool cancelled) {
  thrum_rwlock_acquire_write(&lock);
  patience = cancelled ? THRUM_FOREVER : THRUM_MS(5);
  thrum_thread r = must_spawn(read_impatiently, NULL);
  AWAIT(waits_or_gave_up(r));
  if (cancelled) cancel(r);
  CHECK_EQ(must_join(r), cancelled ? -ECANCELED : -ETIMEDOUT);
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  CHECK_EQ(lock.word, 0);
}

int main(void) {
  a_waiting_writer_keeps_new_readers_out();
  a_writer_lets_readers_go_first();
  old_writers_go_in_order();
  a_downgrade_lets_readers_in();
  readers_behind_one_that_gives_up_go_on(false);
  readers_behind_one_that_gives_up_go_on(true);
  readers_behind_two_writers_wait();
  a_reader_gives_up(false);
  a_reader_gives_up(true);
  a_crowd_starves_nobody(read_on_and_on, writes_among_others, CROWD, 0);
  a_crowd_starves_nobody(write_on_and_on, reads_among_writers, 0, 0);
  a_crowd_starves_nobody(write_on_and_on, writes_among_others, CROWD, THRUM_MS(1));
  return 0;
}
