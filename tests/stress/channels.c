/* Queues, selects and timers in the hands of many, for some seconds: queues of every order, size of item and capacity, from which
 * threads get and to which they put in every way, while others are cancelled, capacities change, and timers are started,
 * cancelled and started again whose callbacks put, too; light, bound and foreign threads beside hogs, by a slice of 100 us. In the
 * end each queue is shut down, to be emptied or at once, in the midst of all that.
 *
 *     stress-channels [SECONDS [SEED]]
 *
 * What must hold: each item whose put returned 0 is got once or dropped once, and no other is; who fails has touched nothing; of
 * one putter's items that are equal nobody gets a later one first (but from a LIFO); each start of a timer ends in a callback or
 * a cancel that won, and no callback comes early; and everybody gets through. */
#include "../support.h"
#include "cancel.h"
#include "random.h"

#include <sched/self.h>

enum {
  ALL = 24, /* threads; each puts items with numbers of its own, and so do all callbacks together */
  QUEUES = 6,
  NUMBERS = 1 << 14, /* of each, in one round */
  KEYS = 4,
  TIMERS = 8, /* that all share */
  MANY = 3,
  BIG = 300, /* bytes of an item that is kept in a block of its own */
  UNTOUCHED = 0x55555555,
};

struct item {
  int number, check;
  char rest[BIG - 2 * sizeof(int)]; /* not in small ones */
};

struct shot {
  thrum_timer timer;
  long starts, fired, taken_back;
  thrum_time due;
};

/* One of all threads. */
struct party {
  uint64_t seed;
  int next;                            /* number to put */
  bool no_put[QUEUES], no_get[QUEUES]; /* said -EPIPE */
  int last[QUEUES][ALL][KEYS];         /* number got: from which queue, of whose items, of what priority */
  struct shot shot;
};

static thrum_queue queues[QUEUES];
static enum thrum_order order[QUEUES];
static uint8_t was_put[(ALL + 1) * NUMBERS], was_got[(ALL + 1) * NUMBERS], was_dropped[(ALL + 1) * NUMBERS];
static struct party parties[ALL];
static struct shot shared[TIMERS];
static struct crowd crowd;
static int ended, by_callbacks;
static long put_in_all, got_in_all, dropped, timed_out, cancelled, selected, fired, taken_back;

static thrum_duration some_time(uint64_t *seed) { return draw(seed, 4) ? THRUM_US(draw(seed, 300)) : 0; }

static void note(int error) {
  if (error == -ETIMEDOUT) ADD(timed_out, 1);
  if (error == -ECANCELED) ADD(cancelled, 1);
  CHECK(error == -ETIMEDOUT || error == -ECANCELED || error == -EAGAIN || error == -EPIPE);
}

/* ---- Items ---------------------------------------------------------------------------------------------------------- */

static int key_of(int number) { return number % KEYS; }

static int by_key(const void *a, const void *b) {
  return key_of(((const struct item *)a)->number) - key_of(((const struct item *)b)->number);
}

static size_t size_of(int q) { return queues[q].item_size; }

static void fill(void *at, int number, size_t size) {
  struct item *item = at;
  memset(item, number & 0x7f, size);
  item->number = number;
  item->check = ~number;
}

static void check_whole(const void *at, size_t size) {
  const struct item *item = at;
  CHECK(item->number >= 0 && item->number < (ALL + 1) * NUMBERS);
  CHECK_EQ(item->check, ~item->number);
  if (size == BIG) CHECK_EQ(item->rest[sizeof item->rest - 1], item->number & 0x7f);
}

static void note_put(int number) {
  was_put[number]++;
  ADD(put_in_all, 1);
}

static void note_got(struct party *me, int q, const void *at) {
  const struct item *item = at;
  check_whole(item, size_of(q));
  CHECK_EQ(ADD(was_got[item->number], 1), 1);
  ADD(got_in_all, 1);
  CHECK_EQ(thrum_queue_task_done(&queues[q]), 0);
  int whose = item->number / NUMBERS;
  if (order[q] == THRUM_LIFO || whose == ALL) return;
  int *last = &me->last[q][whose][order[q] == THRUM_PRIORITY ? key_of(item->number) : 0];
  CHECK(item->number > *last);
  *last = item->number;
}

static void drop(void *item, void *size) {
  check_whole(item, (size_t)size);
  CHECK_EQ(ADD(was_dropped[((struct item *)item)->number], 1), 1);
  ADD(dropped, 1);
}

/* ---- Putting and getting -------------------------------------------------------------------------------------------- */

static void put(struct party *me, int q) {
  size_t size = size_of(q);
  char items[MANY * BIG];
  for (int i = 0; i < MANY; i++) fill(items + (size_t)i * size, me->next + i, size);
  ssize_t n = 0;
  switch (draw(&me->seed, 6)) {
  case 0: n = thrum_queue_put_sized(&queues[q], items, size); break;
  case 1: n = thrum_queue_try_put_sized(&queues[q], items, size); break;
  case 2: n = thrum_queue_put_many_sized(&queues[q], items, size, MANY, some_time(&me->seed)); break;
  default: n = thrum_queue_put_sized_for(&queues[q], items, size, some_time(&me->seed));
  }
  if (n == 0) n = 1;
  for (; n > 0; n--) note_put(me->next++);
  if (n < 0) note((int)n);
  if (n == -EPIPE) me->no_put[q] = true;
}

static void get(struct party *me, int q) {
  size_t size = size_of(q);
  char items[MANY * BIG];
  for (int i = 0; i < MANY; i++) memset(items + (size_t)i * size, 0x55, sizeof(int));
  ssize_t n = 0;
  switch (draw(&me->seed, 6)) {
  case 0: n = thrum_queue_get_sized(&queues[q], items, size); break;
  case 1: n = thrum_queue_try_get_sized(&queues[q], items, size); break;
  case 2: n = thrum_queue_get_many_sized(&queues[q], items, size, MANY, some_time(&me->seed)); break;
  default: n = thrum_queue_get_sized_for(&queues[q], items, size, some_time(&me->seed));
  }
  if (n == 0) n = 1;
  for (int i = 0; i < MANY; i++) {
    struct item *item = (struct item *)(void *)(items + (size_t)i * size);
    if (i < n)
      note_got(me, q, item);
    else
      CHECK_EQ(item->number, UNTOUCHED);
  }
  if (n < 0) note((int)n);
  if (n == -EPIPE) me->no_get[q] = true;
}

struct choice {
  int n, queue[2 * QUEUES];
  thrum_case cases[2 * QUEUES + 1];
  struct item items[2 * QUEUES];
};

static bool has_numbers(const struct party *me, int n) {
  return me->next + n <= (int)(me - parties + 1) * NUMBERS;
}

static void add_get(struct choice *c, int q) {
  c->items[c->n].number = UNTOUCHED;
  c->cases[c->n] = thrumi_case_get(&queues[q], &c->items[c->n], size_of(q));
  c->queue[c->n++] = q;
}

/* Each case has a number of its own. */
static void add_put(struct choice *c, int q, const struct party *me) {
  fill(&c->items[c->n], me->next + c->n, size_of(q));
  c->cases[c->n] = thrumi_case_put(&queues[q], &c->items[c->n], size_of(q));
  c->queue[c->n++] = q;
}

static int select_somehow(struct choice *c, uint64_t *seed) {
  size_t n = (size_t)c->n;
  c->cases[n] = thrum_case_after(THRUM_US(draw(seed, 400)));
  switch (draw(seed, 4)) {
  case 0: return thrum_try_select(c->cases, n);
  case 1: return thrum_select_for(c->cases, n, some_time(seed));
  default: return thrum_select(c->cases, n + (draw(seed, 4) > 0));
  }
}

static void note_chosen(struct party *me, struct choice *c, int at) {
  bool puts = c->cases[at].kind == THRUMI_CASE_PUT;
  int status = c->cases[at].status, q = c->queue[at];
  CHECK(status == 0 || status == -EPIPE);
  if (status) {
    *(puts ? &me->no_put[q] : &me->no_get[q]) = true;
  } else if (puts) {
    note_put(c->items[at].number);
    me->next = c->items[at].number + 1;
  } else {
    note_got(me, q, &c->items[at]);
  }
}

/* From some queues it would get, to some others, or the same, it would put. */
static void choose(struct party *me) {
  struct choice c = {.n = 0};
  for (int q = 0; q < QUEUES; q++) {
    if (draw(&me->seed, 2) && !me->no_get[q]) add_get(&c, q);
    if (draw(&me->seed, 2) && !me->no_put[q] && has_numbers(me, c.n + 1)) add_put(&c, q, me);
  }
  if (c.n == 0) return;
  int at = select_somehow(&c, &me->seed);
  for (int i = 0; i < c.n; i++)
    if (c.cases[i].kind == THRUMI_CASE_GET && !(i == at && c.cases[i].status == 0))
      CHECK_EQ(c.items[i].number, UNTOUCHED);
  if (at < 0) note(at);
  if (at < 0 || at == c.n) return;
  ADD(selected, 1);
  note_chosen(me, &c, at);
}

/* ---- Timers --------------------------------------------------------------------------------------------------------- */

static intptr_t fire(void *arg) {
  struct shot *shot = arg;
  uint64_t seed = (uint64_t)ADD(shot->fired, 1) ^ (uint64_t)(uintptr_t)shot;
  int number = ALL * NUMBERS + ADD(by_callbacks, 1), q = draw(&seed, QUEUES);
  struct item item;
  ADD(fired, 1);
  if (number >= (ALL + 1) * NUMBERS) return 0;
  fill(&item, number, size_of(q));
  int error = thrum_queue_put_sized_for(&queues[q], &item, size_of(q), some_time(&seed));
  if (error == 0)
    note_put(number);
  else
    note(error);
  return 0;
}

static intptr_t fire_own(void *arg) {
  CHECK(thrum_now() >= ((struct shot *)arg)->due);
  return fire(arg);
}

/* Half of the time it starts itself again. */
static intptr_t fire_shared(void *arg) {
  struct shot *shot = arg;
  if (LOAD(shot->fired) % 2) {
    ADD(shot->starts, 1);
    CHECK_EQ(thrum_timer_restart(&shot->timer, THRUM_US(200)), 0);
  }
  return fire(shot);
}

/* One that nobody else uses: each start is booked. It is started only when it has ended, so `due` is still. */
static void use_own_timer(struct party *me) {
  struct shot *s = &me->shot;
  if (draw(&me->seed, 2)) {
    s->taken_back += draw(&me->seed, 2) ? thrum_timer_cancel(&s->timer) : thrum_timer_cancel_wait(&s->timer);
  } else if (LOAD(s->fired) + s->taken_back == s->starts) {
    s->taken_back += thrum_timer_cancel_wait(&s->timer);
    s->due = thrum_after(THRUM_US(draw(&me->seed, 1000)));
    if (s->starts++ == 0)
      CHECK_EQ(thrum_timer_start_at(&s->timer, s->due, fire_own, s), 0);
    else
      CHECK_EQ(thrum_timer_restart_at(&s->timer, s->due), 0);
  }
}

static void use_shared_timer(struct party *me) {
  struct shot *s = &shared[draw(&me->seed, TIMERS)];
  if (draw(&me->seed, 3) == 0) {
    int won = thrum_timer_cancel(&s->timer);
    if (won) ADD(s->taken_back, 1);
  } else {
    ADD(s->starts, 1);
    CHECK_EQ(thrum_timer_start(&s->timer, THRUM_US(draw(&me->seed, 1000)), fire_shared, s), 0);
  }
}

static void end_own_timer(struct shot *s) {
  s->taken_back += thrum_timer_cancel_wait(&s->timer);
  CHECK_EQ(LOAD(s->fired) + s->taken_back, s->starts);
  ADD(taken_back, s->taken_back);
}

/* A start of one that is pending takes the other start's place; so these are not less than what came of them. The last start
 * of each comes in any case. */
static void end_shared_timer(struct shot *s) {
  long before = LOAD(s->fired);
  ADD(s->starts, 1);
  CHECK_EQ(thrum_timer_start(&s->timer, 0, fire_shared, s), 0);
  AWAIT(LOAD(s->fired) > before);
  thrum_timer_cancel_wait(&s->timer);
  CHECK(!thrum_timer_pending(&s->timer));
  CHECK(LOAD(s->fired) + s->taken_back <= s->starts);
}

/* ---- A round -------------------------------------------------------------------------------------------------------- */

static bool any(const bool *no) {
  for (int q = 0; q < QUEUES; q++)
    if (!no[q]) return true;
  return false;
}

static intptr_t run(void *number) {
  struct party *me = &parties[(intptr_t)number];
  while (any(me->no_get)) {
    int what = draw(&me->seed, 16), q = draw(&me->seed, QUEUES);
    if (what == 0)
      use_own_timer(me);
    else if (what == 1)
      use_shared_timer(me);
    else if (what < 5)
      choose(me);
    else if (what < 12 && !me->no_put[q] && has_numbers(me, MANY))
      put(me, q);
    else if (!me->no_get[q])
      get(me, q);
  }
  end_own_timer(&me->shot);
  ADD(ended, 1);
  return 0;
}

static size_t some_capacity(uint64_t *seed) {
  static const size_t capacities[] = {THRUM_RENDEZVOUS, 1, 2, 7, 40, THRUM_UNBOUNDED};
  return capacities[draw(seed, 6)];
}

static void begin(uint64_t *seed) {
  memset(was_put, 0, sizeof was_put);
  memset(was_got, 0, sizeof was_got);
  memset(was_dropped, 0, sizeof was_dropped);
  memset(shared, 0, sizeof shared);
  memset(parties, 0, sizeof parties);
  ended = by_callbacks = 0;
  for (int q = 0; q < QUEUES; q++) {
    thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
    size_t size = draw(seed, 3) ? 2 * sizeof(int) : BIG;
    o.order = order[q] = (enum thrum_order)(q % 3);
    o.compare = o.order == THRUM_PRIORITY ? by_key : NULL;
    o.drop = drop;
    o.drop_arg = (void *)size;
    o.writers = 1;
    CHECK_EQ(thrum_queue_init(&queues[q], size, some_capacity(seed), &o), 0);
  }
  for (int i = 0; i < ALL; i++) {
    parties[i].seed = mix(*seed + (uint64_t)i);
    parties[i].next = i * NUMBERS;
    memset(parties[i].last, 0xff, sizeof parties[i].last);
  }
}

/* One that is not foreign, if it has not ended. */
static void cancel_someone(uint64_t *seed) {
  int i = draw(seed, ALL);
  if (!crowd_is_foreign(i)) cancel_and_take_back(crowd.threads[i]);
}

static void meddle(uint64_t *seed) {
  int q = draw(seed, QUEUES);
  cancel_someone(seed);
  if (draw(seed, 4) == 0) CHECK_EQ(thrum_queue_set_capacity(&queues[q], some_capacity(seed)), 0);
  if (draw(seed, 8) == 0) {
    int error = thrum_queue_join_for(&queues[q], some_time(seed));
    CHECK(error == 0 || error == -ETIMEDOUT);
  }
  CHECK_EQ(thrum_sleep(THRUM_US(draw(seed, 400))), 0);
}

static void shut(int q, uint64_t *seed) {
  switch (draw(seed, 4)) {
  case 0: CHECK_EQ(thrum_queue_writer_done(&queues[q]), 0); return;
  case 1: CHECK_EQ(thrum_queue_shutdown(&queues[q], false), 0); return;
  case 2: CHECK_EQ(thrum_queue_shutdown(&queues[q], false), 0); break;
  default: break;
  }
  CHECK_EQ(thrum_queue_shutdown(&queues[q], true), 0);
}

static void end(uint64_t *seed) {
  int first = draw(seed, QUEUES);
  for (int i = 0; i < QUEUES; i++) {
    shut((first + i) % QUEUES, seed);
    for (int n = draw(seed, 20); n; n--) meddle(seed);
  }
  AWAIT(LOAD(ended) == ALL);
  crowd_join(&crowd);
  for (int i = 0; i < TIMERS; i++) end_shared_timer(&shared[i]);
  for (int n = 0; n < (ALL + 1) * NUMBERS; n++) CHECK_EQ(was_got[n] + was_dropped[n], was_put[n]);
  for (int q = 0; q < QUEUES; q++) {
    CHECK_EQ(thrum_queue_join(&queues[q]), 0);
    CHECK_EQ(thrum_queue_size(&queues[q]), 0);
    CHECK_EQ(thrum_queue_destroy(&queues[q]), 0);
  }
}

/* On a machine that does much else a few seconds may be too little for that; ThreadSanitizer's rounds are few in any case. */
static bool all_has_happened(void) {
  return got_in_all && selected && timed_out && fired && taken_back && (TESTS_TSAN || (dropped && cancelled));
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : mix((uint64_t)wall_now());
  struct hogs hogs;
  printf("seed 0x%llx, %g s\n", (unsigned long long)seed, seconds);
  fflush(stdout);
  thrum_set_switch_interval(THRUM_US(100));
  hogs_start(&hogs, 2, hog_loop);
  for (int64_t over = wall_now() + (int64_t)(seconds * 1e9); wall_now() < over || !all_has_happened();) {
    begin(&seed);
    crowd_start(&crowd, ALL, run);
    for (int64_t stop = wall_now() + THRUM_MS(50 + draw(&seed, 400)); wall_now() < stop;) meddle(&seed);
    end(&seed);
  }
  hogs_stop(&hogs);
  printf(
      "%ld put, %ld got, %ld dropped, %ld by select, %ld ran out of time, %ld cancelled; %ld callbacks, %ld taken back\n",
      put_in_all, got_in_all, dropped, selected, timed_out, cancelled, fired, taken_back);
  CHECK_EQ(put_in_all, got_in_all + dropped);
  return 0;
}
