/* Of several cases exactly one happens, and the others have done nothing: ready ones at once, each as likely as the others; else
 * the first that becomes ready. Queues that are NULL never do; those that are shut down do, and say so. */
#include "queues.h"

static thrum_queue a, b, c;

static void init_all(size_t capacity) {
  CHECK_EQ(thrum_queue_init(&a, sizeof(int), capacity, NULL), 0);
  CHECK_EQ(thrum_queue_init(&b, sizeof(int), capacity, NULL), 0);
  CHECK_EQ(thrum_queue_init(&c, sizeof(int), capacity, NULL), 0);
}

static void destroy_all(void) {
  CHECK_EQ(thrum_queue_destroy(&a), 0); /* nobody has stayed in any list */
  CHECK_EQ(thrum_queue_destroy(&b), 0);
  CHECK_EQ(thrum_queue_destroy(&c), 0);
}

static void put(thrum_queue *q, int n) { CHECK_EQ(thrum_queue_try_put(q, &n), 0); }

static int get(thrum_queue *q) {
  int n = -1;
  CHECK_EQ(thrum_queue_try_get(q, &n), 0);
  return n;
}

/* ---- What is ready happens at once ----------------------------------------------------------------------------------- */

static void ready_at_once(void) {
  int x = -1, y = 50;
  init_all(2);
  put(&b, 7);
  thrum_case gets[] = {thrum_case_get(&a, &x), thrum_case_get(&b, &x), thrum_case_get(&c, &x)};
  CHECK_EQ(thrum_select(gets, 3), 1);
  CHECK_EQ(gets[1].status, 0);
  CHECK_EQ(x, 7);
  CHECK_EQ(thrum_try_select(gets, 3), -EAGAIN);
  CHECK_EQ(thrum_select_for(gets, 3, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_select_for(gets, 3, -7), -ETIMEDOUT);
  CHECK_EQ(thrum_select_for(gets, 3, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(x, 7);
  thrum_case mixed[] = {thrum_case_get(&a, &x), thrum_case_put(&c, &y), thrum_case_get(NULL, &x),
                        thrum_case_put(NULL, &y)};
  CHECK_EQ(thrum_select_for(mixed, 4, THRUM_S(3600)), 1);
  CHECK_EQ(thrum_try_select(mixed, 4), 1);
  CHECK_EQ(thrum_try_select(mixed, 4), -EAGAIN); /* c is full */
  CHECK_EQ(thrum_queue_size(&a) + thrum_queue_size(&b), 0);
  CHECK_EQ(get(&c) + get(&c), 100);
  destroy_all();
}

static void shut_down(void) {
  int x = -1;
  init_all(2);
  put(&a, 1);
  CHECK_EQ(thrum_queue_shutdown(&a, false), 0);
  thrum_case gets[] = {thrum_case_get(&a, &x), thrum_case_get(&b, &x)};
  CHECK_EQ(thrum_select(gets, 2), 0);
  CHECK_EQ(gets[0].status, 0);
  CHECK_EQ(x, 1);
  CHECK_EQ(thrum_select(gets, 2), 0);
  CHECK_EQ(gets[0].status, -EPIPE);
  thrum_case puts[] = {thrum_case_get(&b, &x), thrum_case_put(&a, &x)};
  CHECK_EQ(thrum_try_select(puts, 2), 1);
  CHECK_EQ(puts[1].status, -EPIPE);
  destroy_all();
}

/* Each of three ready cases comes a third of the time; one that is not ready never. 3000 throws: the standard deviation of a
 * count is 26, so 160 are 6 of them. */
static void each_as_likely(void) {
  enum { THROWS = 3000, OFF = 160 };
  int x = -1, counts[5] = {0};
  init_all(THRUM_UNBOUNDED);
  for (int i = 0; i < THROWS; i++) {
    put(&a, 1);
    put(&b, 2);
    thrum_case cases[] = {thrum_case_get(&a, &x), thrum_case_get(&c, &x), thrum_case_get(&b, &x),
                          thrum_case_get(NULL, &x), thrum_case_at(0)};
    int at = thrum_select(cases, 5);
    CHECK(at >= 0 && at < 5);
    counts[at]++;
  }
  CHECK_EQ(counts[1] + counts[3], 0);
  for (int i = 0; i < 5; i += 2) CHECK(abs(counts[i] - THROWS / 3) < OFF);
  CHECK_EQ(thrum_queue_size(&a), THROWS - counts[0]);
  CHECK_EQ(thrum_queue_size(&b), THROWS - counts[2]);
  destroy_all();
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------- */

struct selecting {
  thrum_case cases[6];
  size_t n;
  int x[6];
};

static intptr_t select_all(void *arg) {
  struct selecting *s = arg;
  return thrum_select(s->cases, s->n);
}

static intptr_t put_5(void *q) {
  int n = 5;
  return thrum_queue_put(q, &n);
}

static thrum_thread start_waiting(struct selecting *s) {
  thrum_thread t = must_spawn(select_all, s);
  AWAIT(queue_parked(t));
  return t;
}

static void first_that_becomes_ready(size_t capacity) {
  for (int which = 0; which < 3; which++) {
    struct selecting s = {.n = 3};
    init_all(capacity);
    thrum_queue *const queues[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) s.cases[i] = thrum_case_get(queues[i], &s.x[i]);
    thrum_thread t = start_waiting(&s);
    put(queues[which], 9); /* at once: a getter waits, also at a rendezvous */
    CHECK_EQ(must_join(t), which);
    CHECK_EQ(s.cases[which].status, 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(s.x[i], i == which ? 9 : 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(queue_waiters(queues[i], GETTERS), 0);
    CHECK_EQ(thrum_queue_unfinished(queues[which]), 1);
    destroy_all();
  }
}

/* Puts that wait: the value is that of the select's beginning, and goes once. */
static void puts_wait(void) {
  struct selecting s = {.n = 2, .x = {3, 4}};
  init_all(THRUM_RENDEZVOUS);
  s.cases[0] = thrum_case_put(&a, &s.x[0]);
  s.cases[1] = thrum_case_put(&b, &s.x[1]);
  thrum_thread t = start_waiting(&s);
  CHECK_EQ(get(&b), 4);
  CHECK_EQ(must_join(t), 1);
  int n;
  CHECK_EQ(thrum_queue_try_get(&a, &n), -EAGAIN);
  destroy_all();
  init_all(1);
  put(&a, 1);
  put(&b, 2);
  t = start_waiting(&s);
  CHECK_EQ(get(&a), 1); /* makes room, which the select fills */
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(get(&a), 3);
  CHECK_EQ(get(&b), 2);
  destroy_all();
}

static void shut_while_waiting(void) {
  struct selecting s = {.n = 2};
  init_all(1);
  s.cases[0] = thrum_case_get(&a, &s.x[0]);
  s.cases[1] = thrum_case_get(&b, &s.x[1]);
  thrum_thread t = start_waiting(&s);
  CHECK_EQ(thrum_queue_shutdown(&b, true), 0);
  CHECK_EQ(must_join(t), 1);
  CHECK_EQ(s.cases[1].status, -EPIPE);
  destroy_all();
}

/* One queue several times, to put and to get: it does not meet itself, but others. */
static void one_queue_twice(void) {
  struct selecting s = {.n = 4, .x = {0, 0, 8, 9}};
  init_all(THRUM_RENDEZVOUS);
  s.cases[0] = thrum_case_get(&a, &s.x[0]);
  s.cases[1] = thrum_case_get(&a, &s.x[1]);
  s.cases[2] = thrum_case_put(&a, &s.x[2]);
  s.cases[3] = thrum_case_put(&a, &s.x[3]);
  CHECK_EQ(thrum_try_select(s.cases, 4), -EAGAIN);
  CHECK_EQ(thrum_select_for(s.cases, 4, THRUM_MS(2)), -ETIMEDOUT);
  thrum_thread t = start_waiting(&s);
  int n = get(&a);
  CHECK(n == 8 || n == 9);
  CHECK_EQ(must_join(t), n == 8 ? 2 : 3);
  t = start_waiting(&s);
  put(&a, 77);
  intptr_t at = must_join(t);
  CHECK(at == 0 || at == 1);
  CHECK_EQ(s.x[at], 77);
  CHECK_EQ(s.x[!at], 0);
  CHECK_EQ(queue_waiters(&a, GETTERS) + queue_waiters(&a, PUTTERS), 0);
  destroy_all();
}

static intptr_t wait_for_a_flag(void *arg) {
  while (!LOAD(*(bool *)arg)) thrum_sleep(THRUM_US(200));
  return 1;
}

static void ends_of_threads(void) {
  bool flags[2] = {false, false};
  struct selecting s = {.n = 3};
  init_all(1);
  thrum_thread one = must_spawn(wait_for_a_flag, &flags[0]), two = must_spawn(wait_for_a_flag, &flags[1]);
  s.cases[0] = thrum_case_thread(one);
  s.cases[1] = thrum_case_get(&a, &s.x[1]);
  s.cases[2] = thrum_case_thread(two);
  CHECK_EQ(thrum_try_select(s.cases, 3), -EAGAIN);
  thrum_thread t = start_waiting(&s);
  STORE(flags[1], true);
  CHECK_EQ(must_join(t), 2);
  CHECK_EQ(thrum_try_select(s.cases, 3), 2); /* it has ended for good */
  put(&a, 1);
  CHECK_EQ(must_join(two), 1);
  for (bool seen_1 = false, seen_2 = false; !seen_1 || !seen_2;) {
    int at = thrum_try_select(s.cases, 3);
    CHECK(at == 1 || at == 2);
    if (at == 2) CHECK_EQ(s.cases[2].status, -ESRCH); /* stale now */
    if (at == 1) CHECK_EQ(s.cases[1].status, 0);
    seen_1 |= at == 1;
    seen_2 |= at == 2;
  }
  thrum_case self = thrum_case_thread(thrum_current());
  CHECK_EQ(thrum_try_select(&self, 1), 0);
  CHECK(self.status == -EDEADLK);
  STORE(flags[0], true);
  CHECK_EQ(must_join(one), 1);
  destroy_all();
}

/* Set and cleared before the select runs: it was set. And an event that somebody else waits for, too. */
static void events(void) {
  thrum_event one = {0}, two = {0};
  struct selecting s = {.n = 3};
  init_all(1);
  s.cases[0] = thrum_case_event(&one);
  s.cases[1] = thrum_case_get(&a, &s.x[1]);
  s.cases[2] = thrum_case_event(&two);
  CHECK_EQ(thrum_try_select(s.cases, 3), -EAGAIN);
  CHECK_EQ(thrum_select_for(s.cases, 3, THRUM_MS(1)), -ETIMEDOUT);
  for (int i = 0; i < 20; i++) {
    thrum_thread t = start_waiting(&s);
    thrum_event_set(i % 2 ? &one : &two);
    thrum_event_clear(i % 2 ? &one : &two);
    CHECK_EQ(must_join(t), i % 2 ? 0 : 2);
    CHECK_EQ(s.cases[0].status, 0);
  }
  thrum_thread t = start_waiting(&s),
               other = start_waiting(&(struct selecting){.n = 1, .cases = {thrum_case_event(&one)}});
  put(&a, 1); /* leaves the other one in the event's queue */
  CHECK_EQ(must_join(t), 1);
  thrum_event_set(&one);
  CHECK_EQ(must_join(other), 0);
  CHECK_EQ(thrum_try_select(s.cases, 3), 0); /* it stays set */
  CHECK(thrum_event_is_set(&one) && !thrum_event_is_set(&two));
  CHECK_EQ(thrum_event_destroy(&one), 0);
  CHECK_EQ(thrum_event_destroy(&two), 0);
  destroy_all();
}

/* There is a place and no memory for it yet, so selects are sent round again. One of them takes another case: the place is
 * another's then. */
static void place_is_left_to_others(void) {
  for (int i = 0; i < 20; i++) {
    thrum_event event = {0};
    struct selecting first = {.n = 2}, second = {.n = 1};
    init_all(2);
    first.cases[0] = second.cases[0] = thrum_case_put(&a, &first.x[0]);
    first.cases[1] = thrum_case_event(&event);
    put(&a, 1);
    put(&a, 2);
    thrum_thread one = start_waiting(&first), two = start_waiting(&second);
    CHECK_EQ(get(&a), 1);
    thrum_event_set(&event);
    if (must_join(one) == 0) get(&a); /* it was first, and took the place */
    CHECK_EQ(must_join(two), 0);
    destroy_all();
  }
}

/* Set and cleared while the select was sent round again, for a place that is taken by then. */
static void set_between_two_waits(void) {
  for (int i = 0; i < 20; i++) {
    int n = 3;
    thrum_event event = {0};
    struct selecting s = {.n = 2};
    init_all(2);
    s.cases[0] = thrum_case_put(&a, &s.x[0]);
    s.cases[1] = thrum_case_event(&event);
    put(&a, 1);
    put(&a, 2);
    thrum_thread t = start_waiting(&s);
    CHECK_EQ(get(&a), 1);
    thrum_event_set(&event);
    thrum_event_clear(&event);
    int error = thrum_queue_try_put(&a, &n);
    CHECK_EQ(must_join(t), error ? 0 : 1);
    destroy_all();
  }
}

static void times(void) {
  int x;
  init_all(1);
  thrum_case cases[] = {thrum_case_get(&a, &x), thrum_case_after(THRUM_S(3600)),
                        thrum_case_after(THRUM_MS(3)), thrum_case_at(THRUM_FOREVER)};
  for (int i = 0; i < 3; i++) { /* counts anew each time */
    thrum_time began = thrum_now();
    CHECK_EQ(thrum_select(cases, 4), 2);
    CHECK(thrum_now() - began >= THRUM_MS(3));
  }
  CHECK_EQ(thrum_select_for(cases, 4, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_select_for(cases, 2, THRUM_MS(1)), -ETIMEDOUT);
  thrum_case none[2] = {thrum_case_get(NULL, &x)};
  CHECK_EQ(thrum_select_for(none, 2, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_try_select(none, 2), -EAGAIN);
  CHECK_EQ(thrum_select_for(NULL, 0, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_try_select(NULL, 0), -EAGAIN);
  CHECK_EQ(thrum_try_select(NULL, 3), -EINVAL);
  destroy_all();
}

static intptr_t select_nothing(void *arg) {
  (void)arg;
  return thrum_select(NULL, 0);
}

static void cancelled(void) {
  struct selecting s = {.n = 2};
  init_all(1);
  s.cases[0] = thrum_case_get(&a, &s.x[0]);
  s.cases[1] = thrum_case_get(&b, &s.x[1]);
  thrum_thread t = start_waiting(&s), nothing = must_spawn(select_nothing, NULL);
  AWAIT(queue_parked(nothing));
  queue_cancel(t);
  queue_cancel(nothing);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(must_join(nothing), -ECANCELED);
  CHECK_EQ(queue_waiters(&a, GETTERS) + queue_waiters(&b, GETTERS), 0);
  destroy_all();
}

/* ---- Items in boxes, priorities, many cases ------------------------------------------------------------------------ */

static void big_items(void) {
  static struct big in, out, unchanged;
  thrum_queue big, full;
  CHECK_EQ(thrum_queue_init(&big, sizeof(struct big), 2, NULL), 0);
  CHECK_EQ(thrum_queue_init(&full, sizeof(struct big), THRUM_RENDEZVOUS, NULL), 0);
  memset(&in, 0x5a, sizeof in);
  memset(&out, 0, sizeof out);
  thrum_case puts[] = {thrum_case_put(&full, &in), thrum_case_put(&big, &in)};
  CHECK_EQ(thrum_select(puts, 2), 1);
  CHECK_EQ(thrum_select(puts, 2), 1);
  CHECK_EQ(thrum_select_for(puts, 2, THRUM_MS(1)), -ETIMEDOUT);
  thrum_case gets[] = {thrum_case_get(&full, &unchanged), thrum_case_get(&big, &out)};
  CHECK_EQ(thrum_select(gets, 2), 1);
  CHECK(memcmp(&in, &out, sizeof in) == 0);
  CHECK_EQ(thrum_select(gets, 2), 1);
  CHECK_EQ(thrum_try_select(gets, 2), -EAGAIN);
  CHECK_EQ(unchanged.n, 0);
  CHECK_EQ(thrum_queue_destroy(&big), 0);
  CHECK_EQ(thrum_queue_destroy(&full), 0);
}

static int ascending(const void *x, const void *y) { return *(const int *)x - *(const int *)y; }

static void priorities(void) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = THRUM_PRIORITY;
  o.compare = ascending;
  thrum_queue p;
  struct selecting s = {.n = 2};
  init_all(1);
  CHECK_EQ(thrum_queue_init(&p, sizeof(int), 4, &o), 0);
  s.cases[0] = thrum_case_get(&p, &s.x[0]);
  s.cases[1] = thrum_case_get(&a, &s.x[1]);
  thrum_thread t = start_waiting(&s);
  put(&p, 6);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(s.x[0], 6);
  for (int i = 4; i > 0; i--) put(&p, i);
  for (int i = 1; i <= 4; i++) {
    CHECK_EQ(thrum_select(s.cases, 2), 0);
    CHECK_EQ(s.x[0], i);
  }
  for (int i = 4; i > 0; i--) put(&p, i);
  s.cases[0] = thrum_case_put(&p, &s.x[2]);
  t = start_waiting(&s);
  CHECK_EQ(get(&p), 1);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(get(&p), 0);
  CHECK_EQ(thrum_queue_destroy(&p), 0);
  destroy_all();
}

static void many_cases(void) {
  enum { MANY = 500 };
  static thrum_queue queues[MANY];
  static thrum_case cases[MANY];
  static int x[MANY];
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_queue_init(&queues[i], sizeof(int), 1, NULL), 0);
  for (int i = 0; i < MANY; i++) cases[i] = thrum_case_get(&queues[i * 7 % MANY], &x[i]);
  for (int i = 0; i < MANY; i += 50) {
    thrum_thread t = must_spawn(put_5, &queues[i * 7 % MANY]);
    CHECK_EQ(thrum_select(cases, MANY), i);
    CHECK_EQ(must_join(t), 0);
  }
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_queue_destroy(&queues[i]), 0);
}

static intptr_t all(void *unused) {
  (void)unused;
  ready_at_once();
  shut_down();
  each_as_likely();
  first_that_becomes_ready(1);
  first_that_becomes_ready(THRUM_RENDEZVOUS);
  puts_wait();
  shut_while_waiting();
  one_queue_twice();
  ends_of_threads();
  events();
  place_is_left_to_others();
  set_between_two_waits();
  times();
  cancelled();
  big_items();
  priorities();
  many_cases();
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  return 0;
}
