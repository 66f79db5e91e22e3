/* Queues and selects, in the functions of src/queue, sched/park.c and core/parking.c: threads put, get and select while they are
 * cancelled and queues shut down. Every item whose put succeeded is got once or still there; who fails has done nothing; all
 * who can be served are. */
#include "explore.h"

#include <errno.h>
#include <queue/channel.h>
#include <sched/await.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/select.h>

enum { THREADS = 4, QUEUES = 2, ITEMS = 8, NOT_RUN = -9999 };

static struct thrumi_thread records[THREADS];
static struct thrumi_kthread kthreads[THREADS];
static _Atomic uint32_t ready[THREADS];
static int results[THREADS];
static thrum_queue queues[QUEUES];
static int given[ITEMS], taken[ITEMS];

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
    atomic_store(&ready[i], 0);
    results[i] = NOT_RUN;
  }
  for (int i = 0; i < QUEUES; i++) EXPECT(thrum_queue_init(&queues[i], sizeof(int), capacity, NULL) == 0);
}

static void reset_rendezvous(void) { reset_to(THRUM_RENDEZVOUS); }
static void reset_one(void) { reset_to(1); }

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
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
