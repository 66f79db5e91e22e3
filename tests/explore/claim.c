/* Queues and selects, in the functions of src/queue, sched/park.c and core/parking.c: threads put, get and select while they are
 * cancelled and queues shut down. Every item whose put succeeded is got once or still there; who fails has done nothing; all
 * who can be served are. */
#include "explore.h"

#include <errno.h>
#include <queue/channel.h>
#include <sched/await.h>
#include <sched/timeout.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/select.h>

enum { THREADS = 4, QUEUES = 2, ITEMS = 8, FULL = 2, PUT = 1, LATE = 2, NOT_RUN = -9999 };

static struct thrumi_thread records[THREADS];
static struct thrumi_kthread kthreads[THREADS];
static struct thrumi_worker worker;
static _Atomic uint32_t ready[THREADS];
static int results[THREADS];
static thrum_queue queues[QUEUES];
static int given[ITEMS], taken[ITEMS];
static int64_t time_now;
static _Atomic uint32_t first_ended; /* by which of its cases: PUT or LATE */

/* ---- The parts of the scheduler that these functions call ---------------------------------------------- */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;
uint32_t explore_mark(void) { return 0; }

thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (thrum_thread){t->slot}; }
void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[t - records], 1u); }
void thrumi_make_ready_in_line(struct thrumi_thread *t) { thrumi_make_ready(t); }
int64_t thrumi_clock(void) { return 1; }
thrum_time thrum_after(thrum_duration span) { return span; }

/* One thread at most has a deadline, LATE, and it comes when somebody says so. */
static struct thrumi_spin alarm_lock;
static struct thrumi_thread *alarm_set;

/* As expiry does it: taken out under the lock, with the ticket of the present wait, and woken without it. */
static void unlock_and_expire(void) {
  struct thrumi_thread *t = alarm_set;
  thrumi_ticket ticket = t ? thrumi_wait_ticket(&t->wait) : 0;
  alarm_set = NULL;
  thrumi_spin_unlock(&alarm_lock);
  if (t) thrumi_wake(t, ticket, THRUMI_TIMED_OUT);
}

uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t shard, int64_t when) {
  thrumi_spin_lock(&alarm_lock);
  EXPECT(!alarm_set);
  alarm_set = t;
  if (time_now >= when)
    unlock_and_expire();
  else
    thrumi_spin_unlock(&alarm_lock);
  return shard;
}

void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t shard) {
  (void)shard;
  thrumi_spin_lock(&alarm_lock);
  if (alarm_set == t) alarm_set = NULL;
  thrumi_spin_unlock(&alarm_lock);
}

static void become_late(void) {
  thrumi_spin_lock(&alarm_lock);
  explore_point(EXPLORE_WRITE, &time_now);
  time_now = LATE;
  unlock_and_expire();
}

static int64_t look_at_clock(void) {
  explore_point(EXPLORE_READ, &time_now);
  return time_now;
}

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[t - records]);
  EXPECT(thrumi_swap(&ready[t - records], 0) == 1);
}

/* Memory for one schedule: those that are cut short give nothing back. */
static _Alignas(16) char memory[64 * 1024];
static size_t used;

static void *allocate(size_t bytes) {
  void *block = memory + used;
  used += (bytes + 15) / 16 * 16;
  EXPECT(used <= sizeof memory);
  return memset(block, 0, bytes);
}

static void release(void *block) { memset(block, 0x5a, 1); }

/* Between a claim and the copy there is no operation on shared words, but time passes. */
struct thrumi_offer *__real_thrumi_offer_claim(struct thrumi_offers *list, struct thrumi_wakes *wakes);
struct thrumi_offer *__wrap_thrumi_offer_claim(struct thrumi_offers *list, struct thrumi_wakes *wakes);
struct thrumi_offer *__wrap_thrumi_offer_claim(struct thrumi_offers *list, struct thrumi_wakes *wakes) {
  struct thrumi_offer *o = __real_thrumi_offer_claim(list, wakes);
  if (o) explore_point(EXPLORE_WRITE, &o->selection->thread->wait);
  return o;
}

/* ---- What happens at once ------------------------------------------------------------------------------- */

static int me(void) { return (int)(atomic_load(&thrumi_self()->current) - records); }

/* Frames that are left look as if never used, so that a late copy into one shows. */
static int put(thrum_queue *q, int n) {
  int item = n, error = thrum_queue_put(q, &item);
  EXPECT(item == n);
  if (!error) given[n]++;
  return error;
}

static int get(thrum_queue *q) {
  int item = -1, error = thrum_queue_get(q, &item);
  EXPECT(error ? item == -1 : item >= 0 && item < ITEMS);
  if (!error) taken[item]++;
  return error;
}

static void put_0(void *n) { results[me()] = put(&queues[0], *(int *)n); }
static void put_1(void *n) { results[me()] = put(&queues[1], *(int *)n); }
static void put_both(void *n) { results[me()] = put(&queues[0], *(int *)n) | put(&queues[1], *(int *)n + 1); }
static void get_0(void *unused) { (void)unused, results[me()] = get(&queues[0]); }
static void try_get_0(void *unused) {
  (void)unused;
  int out = -1, error = thrum_queue_try_get(&queues[0], &out);
  EXPECT(error == 0 || error == -EAGAIN);
  if (!error) taken[out]++;
  results[me()] = 0;
}
static void get_0_twice(void *unused) { (void)unused, results[me()] = get(&queues[0]) | get(&queues[0]); }

static void cancel(void *whom) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_cancel(&records[*(int *)whom]);
  thrumi_leave(k);
}

static void shut(void *unused) {
  (void)unused;
  EXPECT(thrum_queue_shutdown(&queues[0], false) == 0);
}

/* Once each: what happened is booked. */
static int choose(int put_at, int get_at, int n) {
  int in = n, out = -1;
  thrum_case cases[] = {put_at >= 0 ? thrum_case_put(&queues[put_at], &in) : thrum_case_get(&queues[0], &out),
                        thrum_case_get(&queues[get_at], &out)};
  int at = thrum_select(cases, 2);
  EXPECT(at >= 0 || at == -ECANCELED);
  bool got = at >= 0 && cases[at].status == 0 && cases[at].kind == THRUMI_CASE_GET;
  EXPECT(got == (out >= 0));
  if (got) taken[out]++;
  if (at == 0 && cases[0].status == 0 && !got) given[n]++;
  return at < 0 ? at : cases[at].status;
}

static void get_either(void *unused) { (void)unused, results[me()] = choose(-1, 1, 0); }
static void get_either_twice(void *unused) {
  (void)unused, results[me()] = choose(-1, 1, 0) | choose(-1, 1, 0);
}
static void put_0_or_get_1(void *n) { results[me()] = choose(0, 1, *(int *)n); }
static void put_1_or_get_0(void *n) { results[me()] = choose(1, 0, *(int *)n); }
/* Whichever of two orders it polls in. Its time has come when somebody says so. */
static void put_0_or_at_late(void *n) {
  thrumi_self()->current->random = UINT64_C(0x9e3779b97f4a7c15) * (1 + explore_choose(2));
  int item = *(int *)n;
  thrum_case cases[] = {thrum_case_put(&queues[0], &item), thrum_case_at(LATE)};
  int at = thrum_select(cases, 2);
  if (at == 0) given[item]++;
  results[me()] = cases[at].status;
  thrumi_store(&first_ended, at == 0 ? PUT : LATE);
}

static void put_0_or_never(void *n) {
  int item = *(int *)n;
  thrum_case cases[] = {thrum_case_put(&queues[0], &item), {0}};
  results[me()] = thrum_select(cases, 2);
  if (results[me()] == 0) given[item]++;
}

/* One place, and something else for the first who waits for it. If that one takes the place after all, one more. */
static void get_0_then_late(void *unused) {
  (void)unused;
  int error = get(&queues[0]);
  become_late();
  explore_await(&first_ended);
  if (thrumi_load(&first_ended) == PUT) error |= get(&queues[0]);
  results[me()] = error;
}

/* Puts to one queue and then gets from the other one: at every moment one of them has an item. */
static void move(int from, int to, int n) {
  int out = -1, error = put(&queues[to], n);
  if (thrum_queue_try_get(&queues[from], &out) == 0) taken[out]++;
  results[me()] = error;
}

static void move_to_0(void *n) { move(1, 0, *(int *)n); }
static void move_to_1(void *n) { move(0, 1, *(int *)n); }

static void move_there_and_back(void *n) {
  move(1, 0, *(int *)n);
  move(0, 1, *(int *)n + 1);
}

/* Whichever it looks at first. */
static int try_either(bool timed) {
  thrumi_self()->current->random = UINT64_C(0x9e3779b97f4a7c15) * (1 + 4 * explore_choose(2));
  int out = -1;
  thrum_case cases[] = {thrum_case_get(&queues[0], &out), thrum_case_get(&queues[1], &out)};
  int at = timed ? thrum_select_for(cases, 2, 0) : thrum_try_select(cases, 2);
  if (at >= 0) taken[out]++;
  return at < 0 ? at : cases[at].status;
}

static void try_get_either(void *unused) { (void)unused, results[me()] = try_either(false); }
static void get_either_in_no_time(void *unused) { (void)unused, results[me()] = try_either(true); }

static void try_put_0_or_get_1(void *n) {
  int in = *(int *)n, out = -1;
  thrum_case cases[] = {thrum_case_put(&queues[0], &in), thrum_case_get(&queues[1], &out)};
  int at = thrum_try_select(cases, 2);
  EXPECT(at == 0 || at == -EAGAIN);
  if (at == 0) given[in]++;
  results[me()] = at == 0 ? cases[at].status : 0;
}

static void put_0_or_get_0(void *n) { results[me()] = choose(0, 0, *(int *)n); }

/* ---- Models --------------------------------------------------------------------------------------------- */

static void reset_to(size_t capacity) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  memset(given, 0, sizeof given);
  memset(taken, 0, sizeof taken);
  used = 0;
  thrumi_os.allocate = allocate;
  thrumi_os.free = release;
  for (int i = 0; i < THREADS; i++) {
    records[i].slot = (uint32_t)i + 1;
    records[i].mark = (uint32_t)i + 1;
    atomic_store(&kthreads[i].current, &records[i]);
    kthreads[i].worker = &worker;
    atomic_store(&ready[i], 0);
    results[i] = NOT_RUN;
  }
  for (int i = 0; i < QUEUES; i++) EXPECT(thrum_queue_init(&queues[i], sizeof(int), capacity, NULL) == 0);
}

static void reset_rendezvous(void) { reset_to(THRUM_RENDEZVOUS); }
static void reset_one(void) { reset_to(1); }

static void give_chunk(thrum_queue *q) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  c->spares = allocate(sizeof *c->spares + FULL * sizeof(int));
  c->spares->end = c->spares->cells + FULL * sizeof(int);
  c->spare_count = 1;
}

/* One item, in queue n, and room beside it, so that who moves need not wait. */
static void reset_with_item(int n) {
  struct thrumi_channel *c = thrumi_channel_of(&queues[n]);
  reset_to(FULL);
  for (int i = 0; i < QUEUES; i++) give_chunk(&queues[i]);
  thrumi_store_push(c, &(int){ITEMS - 1});
  given[ITEMS - 1]++;
  atomic_store(&c->count, 1);
  atomic_store(&c->unfinished, 1);
}

static void reset_item_in_0(void) { reset_with_item(0); }
static void reset_item_in_1(void) { reset_with_item(1); }

/* Queue 0 is full, and so is its only chunk. */
static void reset_no_chunk(void) {
  struct thrumi_channel *c = thrumi_channel_of(&queues[0]);
  reset_to(FULL);
  give_chunk(&queues[0]);
  for (int n = ITEMS - FULL; n < ITEMS; n++, given[n - 1]++) thrumi_store_push(c, &n);
  atomic_store(&c->count, FULL);
  atomic_store(&c->unfinished, FULL);
  atomic_store(&first_ended, 0);
  time_now = 1;
  alarm_set = NULL;
  atomic_store(&alarm_lock.word, 0);
}

/* Nothing is lost or doubled, and nobody is left in a list. */
static void check(void) {
  int there = 0, missing = 0;
  for (int i = 0; i < QUEUES; i++) {
    struct thrumi_channel *c = thrumi_channel_of(&queues[i]);
    EXPECT(!c->putters.first && !c->getters.first && !c->joiners.first);
    there += (int)thrum_queue_size(&queues[i]);
  }
  for (int i = 0; i < ITEMS; i++) {
    EXPECT(given[i] <= 1 && taken[i] <= given[i]);
    missing += given[i] - taken[i];
  }
  EXPECT(missing == there);
  for (int i = 0; i < THREADS; i++)
    EXPECT(results[i] == 0 || results[i] == NOT_RUN || results[i] == -ECANCELED || results[i] == -EPIPE);
}

static void check_all_served(void) {
  check();
  for (int i = 0; i < THREADS; i++) EXPECT(results[i] == 0 || results[i] == NOT_RUN);
}

static int number[] = {0, 1, 2, 3, 4, 5};

enum { PATIENCE = 160 };
#define MODEL(text, reset_fn, check_fn, ...) \
  { \
    .name = "claim, " text, .patience = PATIENCE, .reset = reset_fn, .check = check_fn, .threads = { \
      __VA_ARGS__ \
    } \
  }
#define DO(i, fn, n) \
  { .name = #fn, .run = fn, .arg = &number[n], .self = &kthreads[i] }

static const struct explore_model models[] = {
    MODEL("put and get meet", reset_rendezvous, check_all_served, DO(0, put_0, 0), DO(1, get_0, 0)),
    MODEL("nothing to get", reset_one, check, DO(0, get_0, 0), DO(1, cancel, 0)),
    MODEL("one get makes room", reset_one, check_all_served, DO(0, put_0, 0), DO(1, put_0, 1),
          DO(2, get_0, 0)),
    MODEL("get is cancelled", reset_one, check, DO(0, put_0, 0), DO(1, get_0, 0), DO(2, cancel, 1)),
    MODEL("two puts, one place", reset_one, check_all_served, DO(0, put_0, 0), DO(1, put_0, 1),
          DO(2, get_0_twice, 0)),
    MODEL("shut down", reset_rendezvous, check, DO(0, put_0, 0), DO(1, get_0, 0), DO(2, shut, 0)),
    MODEL("select gets from either", reset_rendezvous, check_all_served, DO(0, put_0, 0), DO(1, put_1, 1),
          DO(2, get_either_twice, 0)),
    MODEL("select and get, one item each", reset_one, check_all_served, DO(0, put_both, 0),
          DO(1, get_either_twice, 0)),
    MODEL("select is cancelled", reset_one, check, DO(0, put_1, 0), DO(1, get_either, 0), DO(2, cancel, 1)),
    MODEL("select is shut down", reset_one, check, DO(0, put_1, 0), DO(1, get_either, 0), DO(2, shut, 0)),
    MODEL("selects meet", reset_rendezvous, check_all_served, DO(0, put_0_or_get_1, 0),
          DO(1, put_1_or_get_0, 1)),
    MODEL("selects meet on one queue", reset_rendezvous, check_all_served, DO(0, put_0_or_get_0, 0),
          DO(1, put_0_or_get_0, 1)),
    MODEL("selects wait for one place without a chunk", reset_no_chunk, check_all_served,
          DO(0, put_0_or_at_late, 0), DO(1, put_0_or_never, 1), DO(2, get_0_then_late, 2)),
    MODEL("an item moves while a select tries", reset_item_in_1, check_all_served, DO(0, move_to_0, 0),
          DO(1, try_get_either, 0)),
    MODEL("an item moves the other way", reset_item_in_0, check_all_served, DO(0, move_to_1, 0),
          DO(1, try_get_either, 0)),
    MODEL("an item moves while a select has no time", reset_item_in_1, check_all_served, DO(0, move_to_0, 0),
          DO(1, get_either_in_no_time, 0)),
    MODEL("an item moves there and back", reset_item_in_1, check_all_served, DO(0, move_there_and_back, 0),
          DO(1, try_get_either, 0)),
    MODEL("a select tries, a get tries", reset_rendezvous, check, DO(0, try_put_0_or_get_1, 0),
          DO(1, try_get_0, 0)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
