/* A cancelled thread does not wait in a cancellation point: what it would have to wait for is -ECANCELED, whatever the timeout, also
 * in a poll. What is to be had at once it has, but for queues and select, which look first. A try form is no cancellation point. */
#include "queues.h"

static thrum_lock lock, cond_lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_cond cond;
static thrum_sem sem;
static thrum_event event;
static thrum_waitgroup group;
static thrum_once once;
static thrum_barrier barrier = THRUM_BARRIER_INIT(2);
static thrum_gil gil;
static thrum_queue empty = THRUM_QUEUE_INIT(int, 1), full = THRUM_QUEUE_INIT(int, 1);
static thrum_ticker ticker;
static thrum_thread alive;
static bool stop, running;

/* ---- Each form, and what gives back what it got ------------------------------------------------------------------------ */

static int64_t lock_for(thrum_duration d) { return thrum_lock_acquire_for(&lock, d); }
static int64_t lock_try(void) { return thrum_lock_try_acquire(&lock); }
static void lock_back(void) { CHECK_EQ(thrum_lock_release(&lock), 0); }
static int64_t rlock_for(thrum_duration d) { return thrum_rlock_acquire_for(&rlock, d); }
static int64_t rlock_try(void) { return thrum_rlock_try_acquire(&rlock); }
static void rlock_back(void) { CHECK_EQ(thrum_rlock_release(&rlock), 0); }
static int64_t read_for(thrum_duration d) { return thrum_rwlock_acquire_read_for(&rwlock, d); }
static int64_t read_try(void) { return thrum_rwlock_try_acquire_read(&rwlock); }
static void read_back(void) { CHECK_EQ(thrum_rwlock_release_read(&rwlock), 0); }
static int64_t write_for(thrum_duration d) { return thrum_rwlock_acquire_write_for(&rwlock, d); }
static int64_t write_try(void) { return thrum_rwlock_try_acquire_write(&rwlock); }
static void write_back(void) { CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0); }
static int64_t gil_for(thrum_duration d) { return thrum_gil_acquire_for(&gil, d); }
static int64_t gil_try(void) { return thrum_gil_try_acquire(&gil); }
static void gil_back(void) { CHECK_EQ(thrum_gil_release(&gil), 0); }
static int64_t sem_for(thrum_duration d) { return thrum_sem_acquire_for(&sem, d); }
static int64_t sem_try(void) { return thrum_sem_try_acquire(&sem); }
static void sem_back(void) { CHECK_EQ(thrum_sem_release(&sem, 1), 0); }
static int64_t event_for(thrum_duration d) { return thrum_event_wait_for(&event, d); }
static int64_t group_for(thrum_duration d) { return thrum_waitgroup_wait_for(&group, d); }
static int64_t ticker_for(thrum_duration d) { return thrum_ticker_wait_for(&ticker, d); }
static int64_t ticker_try(void) { return thrum_ticker_try_wait(&ticker); }
static int64_t join_for(thrum_duration d) { return thrum_wait_for(alive, d); }
static void nothing_back(void) {}

static int64_t cond_for(thrum_duration d) {
  thrum_lock_acquire(&cond_lock);
  int error = thrum_cond_wait_for(&cond, &cond_lock, d);
  CHECK_EQ(thrum_lock_release(&cond_lock), 0); /* held in any case */
  return error;
}

static int64_t barrier_for(thrum_duration d) {
  thrum_barrier_reset(&barrier);
  return thrum_barrier_wait_for(&barrier, d);
}

static intptr_t run_until_stop(void *arg) {
  (void)arg;
  STORE(running, true);
  AWAIT(LOAD(stop));
  return 0;
}
static int64_t once_for(thrum_duration d) { return thrum_once_call_for(&once, run_until_stop, NULL, d); }

static int item;
static int64_t get_for(thrum_duration d) { return thrum_queue_get_for(&empty, &item, d); }
static int64_t get_try(void) { return thrum_queue_try_get(&empty, &item); }
static int64_t put_for(thrum_duration d) { return thrum_queue_put_for(&full, &item, d); }
static int64_t put_try(void) { return thrum_queue_try_put(&full, &item); }
static int64_t tasks_for(thrum_duration d) { return thrum_queue_join_for(&full, d); }

static int64_t select_for(thrum_duration d) {
  thrum_case cases[] = {thrum_case_get(&empty, &item), thrum_case_put(&full, &item),
                        thrum_case_event(&event)};
  return thrum_select_for(cases, 3, d);
}
static int64_t select_try(void) {
  thrum_case cases[] = {thrum_case_get(&empty, &item), thrum_case_put(&full, &item)};
  return thrum_try_select(cases, 2);
}

static const struct form {
  const char *name;
  int64_t (*wait_for)(thrum_duration);
  int64_t (*try)(void);    /* NULL: there is none */
  void (*give_back)(void); /* NULL: it is never to be had here */
  bool looks_first;        /* whether the caller is cancelled */
} forms[] = {
    {"lock", lock_for, lock_try, lock_back, false},
    {"rlock", rlock_for, rlock_try, rlock_back, false},
    {"rwlock to read", read_for, read_try, read_back, false},
    {"rwlock to write", write_for, write_try, write_back, false},
    {"gil", gil_for, gil_try, gil_back, false},
    {"semaphore", sem_for, sem_try, sem_back, false},
    {"event", event_for, NULL, nothing_back, false},
    {"wait group", group_for, NULL, nothing_back, false},
    {"once", once_for, NULL, nothing_back, false},
    {"end of a thread", join_for, NULL, nothing_back, false},
    {"condition", cond_for, NULL, NULL, false},
    {"barrier", barrier_for, NULL, NULL, false},
    {"ticker", ticker_for, ticker_try, NULL, false},
    {"get", get_for, get_try, nothing_back, true},
    {"put", put_for, put_try, nothing_back, true},
    {"join of a queue", tasks_for, NULL, NULL, true},
    {"select", select_for, select_try, nothing_back, true},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

/* ---- Nothing is to be had, or everything ---------------------------------------------------------------------------------- */

static intptr_t call_once(void *arg) {
  (void)arg;
  return thrum_once_call(&once, run_until_stop, NULL);
}

static void take_all(void) {
  int one = 1;
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  thrum_rwlock_acquire_write(&rwlock);
  thrum_gil_acquire(&gil);
  thrum_waitgroup_add(&group, 1);
  CHECK_EQ(thrum_ticker_start(&ticker, THRUM_S(1000000)), 0);
  CHECK_EQ(thrum_queue_put(&full, &one), 0);
  alive = must_spawn(call_once, NULL);
  AWAIT(LOAD(running));
}

static void give_all(void) {
  STORE(stop, true);
  lock_back();
  rlock_back();
  write_back();
  gil_back();
  sem_back();
  thrum_event_set(&event);
  thrum_waitgroup_done(&group);
  CHECK_EQ(thrum_wait(alive), 0);
}

static void expect(const struct form *f, const char *what, int64_t got, int64_t wanted) {
  if (got != wanted)
    check_failed(__FILE__, __LINE__, "%s, %s: %lld, not %lld", f->name, what, (long long)got,
                 (long long)wanted);
}

static const thrum_duration polls[] = {0, -1, INT64_MIN},
                            waits[] = {1, THRUM_MS(1), THRUM_S(1000), THRUM_FOREVER};

static intptr_t is_told(void *arg) {
  (void)arg;
  for (size_t i = 0; i < FORMS; i++) {
    for (size_t d = 0; d < 3; d++) expect(&forms[i], "a poll", forms[i].wait_for(polls[d]), -ETIMEDOUT);
    if (forms[i].try) expect(&forms[i], "a try", forms[i].try(), -EAGAIN);
  }
  queue_cancel(thrum_current());
  for (size_t i = 0; i < FORMS; i++) {
    for (size_t d = 0; d < 3; d++)
      expect(&forms[i], "a cancelled poll", forms[i].wait_for(polls[d]), -ECANCELED);
    for (size_t d = 0; d < 4; d++)
      expect(&forms[i], "a cancelled wait", forms[i].wait_for(waits[d]), -ECANCELED);
    if (forms[i].try) expect(&forms[i], "a cancelled try", forms[i].try(), -EAGAIN);
  }
  return 0;
}

/* Main's own record stays cancelled: it is not among the kinds. */
static void has_what_is_there(const struct form *f, thrum_duration d) {
  expect(f, "there, cancelled", f->wait_for(d), f->looks_first ? -ECANCELED : 0);
  if (!f->looks_first) f->give_back();
}

static intptr_t takes_it(void *arg) {
  (void)arg;
  queue_cancel(thrum_current());
  for (size_t i = 0; i < FORMS; i++) {
    if (!forms[i].give_back) continue;
    for (size_t d = 0; d < 3; d++) has_what_is_there(&forms[i], polls[d]);
    for (size_t d = 0; d < 4; d++) has_what_is_there(&forms[i], waits[d]);
  }
  return 0;
}

/* ---- The longest waits do not end in the past: what ends them is who gives what they wait for ------------------------------ */

static const thrum_duration longest[] = {THRUM_FOREVER, INT64_MAX - 1, INT64_MAX / 2};
enum { PATIENT = FORMS * 3 };
static thrum_thread patient[PATIENT];

static intptr_t waits_patiently(void *number) {
  const struct form *f = &forms[(intptr_t)number / 3];
  int64_t got = f->wait_for(longest[(intptr_t)number % 3]);
  if (f->wait_for != select_for || got < 0) expect(f, "the longest wait", got, 0);
  if (f->give_back) f->give_back();
  return 0;
}

/* But for what only time, or a last one, would end. */
static bool can_be_patient(int i) {
  return forms[i / 3].wait_for != ticker_for && forms[i / 3].wait_for != barrier_for;
}

static void start_patient(void) {
  for (intptr_t i = 0; i < PATIENT; i++) {
    if (!can_be_patient((int)i)) continue;
    patient[i] =
        i % 2 ? must_spawn_bound(waits_patiently, (void *)i) : must_spawn(waits_patiently, (void *)i);
    AWAIT(queue_parked(patient[i]));
  }
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  for (int i = 0; i < PATIENT; i++)
    if (can_be_patient(i)) CHECK(queue_parked(patient[i]));
}

/* As many items, and as much room, as there are waiters. */
static void keep_queues_moving(void) {
  int moved = thrum_queue_try_get(&full, &item);
  if (moved == 0) CHECK_EQ(thrum_queue_task_done(&full), 0);
  moved = thrum_queue_try_put(&empty, &item);
  CHECK(moved == 0 || moved == -EAGAIN);
}

static void join_patient(void) {
  thrum_cond_notify_all(&cond);
  for (int i = 0; i < PATIENT; i++) {
    if (!can_be_patient(i)) continue;
    while (thrum_is_alive(patient[i])) {
      keep_queues_moving();
      CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
    }
    CHECK_EQ(must_join(patient[i]), 0);
  }
  while (thrum_queue_try_get(&empty, &item) == 0) continue;
  while (thrum_queue_try_put(&full, &item) == -EAGAIN) keep_queues_moving();
}

static void in_each_kind(thrum_fn *fn) {
  CHECK_EQ(must_join(must_spawn(fn, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(fn, NULL)), 0);
  CHECK_EQ(run_outside(fn, NULL), 0);
}

int main(void) {
  take_all();
  in_each_kind(is_told);
  start_patient();
  give_all();
  join_patient();
  CHECK_EQ(thrum_queue_put(&empty, &item), 0); /* an item, and room */
  CHECK_EQ(thrum_queue_get(&full, &item), 0);
  in_each_kind(takes_it);
  CHECK_EQ(must_join(alive), 0);
  CHECK_EQ(thrum_queue_destroy(&empty), 0);
  CHECK_EQ(thrum_queue_destroy(&full), 0);
  return 0;
}
