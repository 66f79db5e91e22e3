/* Futures: somebody finishes, starts, takes back or cancels one, in every order with who waits for its result, runs out of time, adds a
 * callback, gives references back, or waits for several; in future/future.c, future/collect.c, sched/await.c, sched/park.c and
 * core/parking.c. It ends once; who waits hears of it, a callback runs once; it is freed once, and not touched afterwards. */
#include "calling.h"
#include "waiting.h"

#include <future/executor.h>
#include <future/place.h>

enum { BLOCKS = 16, SEVEN = 7 };

static thrum_future *one, *other;
static int called, cancels, starts, sets, eights, freed;
static intptr_t got[CALLERS];

/* ---- What these functions call ----------------------------------------------------------------------------- */

static struct {
  char *at[BLOCKS];
  bool freed[BLOCKS];
  int n;
} blocks;

static void *allocate(size_t size) {
  EXPECT(blocks.n < BLOCKS);
  return blocks.at[blocks.n++] = calloc(1, size);
}

/* They stay until the next schedule, so that what touches them is seen. */
static void free_block(void *block) {
  for (int i = 0; i < blocks.n; i++) {
    if (blocks.at[i] != block) continue;
    EXPECT(!blocks.freed[i]);
    blocks.freed[i] = true;
    freed += block == one || block == other;
    return;
  }
  EXPECT(!"a block of ours");
}

static int64_t now(void) { return 0; }

int thrumi_place_lend(struct thrumi_place *place) { return (void)place, 0; }
void thrumi_place_take_back(struct thrumi_place *place) { (void)place; }
void thrumi_work_give(struct thrumi_work *work) { (void)work; }

/* An executor's canceller has nothing else to tell. */
static void dropped(struct thrum_executor *executor, struct thrumi_work *work) {
  (void)executor;
  thrumi_future_dropped(&work->future);
}
static const struct thrumi_executor_kind kind = {.cancelled = dropped};
static struct thrum_executor executor = {&kind};

/* ---- What happens at once ------------------------------------------------------------------------------------ */

static void wait_result(void *i) { results[*(int *)i] = thrum_future_result(one, &got[*(int *)i]); }

static void wait_result_timed(void *i) {
  results[*(int *)i] = thrum_future_result_for(one, &got[*(int *)i], 1);
  has_ended(*(int *)i);
}

static void wait_and_release(void *i) {
  wait_result(i);
  thrum_future_release(one);
}

static void set(void *unused) {
  (void)unused;
  sets += thrum_future_set_result(one, SEVEN) == 0;
}

static void set_eight(void *unused) {
  (void)unused;
  if (thrum_future_set_result(one, SEVEN + 1) == 0) eights++;
}

static void set_other(void *unused) {
  (void)unused;
  EXPECT(thrum_future_set_result(other, SEVEN) == 0);
}

static void start_and_set(void *unused) {
  int wanted = thrum_future_start(one);
  starts = wanted;
  if (wanted == 1) set(unused);
}

static void cancel(void *unused) {
  (void)unused;
  cancels += thrum_future_cancel(one);
}

static void cancel_then_start(void *unused) {
  cancel(unused);
  starts = thrum_future_start(one);
}

static void cancel_and_release(void *unused) {
  cancel(unused);
  thrum_future_release(one);
}

static intptr_t callback(thrum_future *f, void *arg) {
  (void)arg;
  EXPECT(f == one && thrum_future_done(f));
  called++;
  return 0;
}

static void add_callback(void *unused) {
  (void)unused;
  EXPECT(thrum_future_add_done_callback(one, callback, NULL) == 0);
}

/* As a pool's thread does it. */
static void run(void *unused) {
  (void)unused;
  if (!thrumi_future_begin(one)) return;
  starts = 1;
  one->result = SEVEN;
  if (!thrumi_future_finish(one)) return;
  if (thrumi_future_tell(one)) thrumi_future_call_back(one);
  thrum_future_release(one);
}

/* As an executor of processes does it: it is sent ahead to one that does not begin it, taken back, and runs elsewhere. */
static void send_and_run(void *unused) {
  if (!thrumi_future_begin(one)) return;
  thrumi_future_take_back(one);
  run(unused);
}

static ssize_t wait_both(enum thrum_wait_mode mode, int i) {
  thrum_future *both[] = {one, other, one};
  ssize_t n = thrum_future_wait_many(both, 3, mode, 1);
  has_ended(i);
  return n;
}

static void wait_all(void *i) { results[*(int *)i] = (int)wait_both(THRUM_ALL_COMPLETED, *(int *)i); }
static void wait_first(void *i) { results[*(int *)i] = (int)wait_both(THRUM_FIRST_COMPLETED, *(int *)i); }

/* ---- Before and after ------------------------------------------------------------------------------------------ */

static void reset(void) {
  for (int i = 0; i < blocks.n; i++) free(blocks.at[i]);
  memset(&blocks, 0, sizeof blocks);
  reset_callers();
  thrumi_os.allocate = allocate;
  thrumi_os.free = free_block;
  thrumi_os.now = now;
  called = cancels = starts = sets = eights = freed = 0;
  memset(got, 0, sizeof got);
  one = other = NULL;
  one = thrum_future_new();
  other = thrum_future_new();
}

/* A work, of which the executor has a reference, and so many others. */
static void reset_work(void) {
  reset();
  one = thrumi_os.allocate(sizeof(struct thrumi_work));
  thrumi_future_init(one, &executor, 3);
}

static bool is_seven(int i) { return results[i] == 0 && got[i] == SEVEN; }

/* Cancelled or finished, and both sides know which. */
static void check_cancel(void) {
  EXPECT(cancels == (starts == 0));
  EXPECT(sets == (starts == 1));
  EXPECT(results[0] == -ETIMEDOUT || (cancels ? results[0] == -ECANCELED : is_seven(0)));
  EXPECT(cancels ? thrum_future_cancelled(one) : !thrum_future_cancelled(one));
}

static void check_set(void) {
  EXPECT(cancels + sets == 1);
  EXPECT(cancels ? results[0] == -ECANCELED : is_seven(0));
  EXPECT(called == 1);
}

static void check_two_sets(void) {
  EXPECT(sets + eights == 1);
  EXPECT(results[0] == 0 && got[0] == SEVEN + eights && one->result == SEVEN + eights);
  EXPECT(called == 1);
}

static void check_work(void) {
  EXPECT(cancels + starts == 1);
  EXPECT(cancels ? results[0] == -ECANCELED : is_seven(0));
  EXPECT(freed == 1);
  EXPECT(atomic_load(&one->word) == THRUMI_GONE);
}

static void check_all(void) {
  EXPECT(results[0] >= 0 && results[0] <= 2);
  EXPECT(sets == 1);
}

static void check_first(void) { EXPECT(results[0] == 1 || results[0] == 2); }

/* One is cancelled, and told or not; the other one is set. */
static void check_told(void) {
  EXPECT(cancels == 1 && starts == 0);
  EXPECT(results[0] >= 0 && results[0] <= 2);
}

static const struct explore_model models[] = {
    {.name = "cancelled or started, waited for with a deadline",
     .reset = reset,
     .check = check_cancel,
     .threads = {CALLER(0, wait_result_timed), ACTOR(deadline, 0), ACTOR(start_and_set, 1),
                 ACTOR(cancel, 2)}},
    {.name = "cancelled or set, waited for, with a callback",
     .reset = reset,
     .check = check_set,
     .threads = {CALLER(0, wait_result), CALLER(1, add_callback), CALLER(2, set), CALLER(3, cancel)}},
    {.name = "set twice, waited for, with a callback",
     .reset = reset,
     .check = check_two_sets,
     .threads = {CALLER(0, wait_result), CALLER(1, add_callback), CALLER(2, set), CALLER(3, set_eight)}},
    {.name = "run or cancelled, waited for, and given back",
     .reset = reset_work,
     .check = check_work,
     .threads = {CALLER(0, wait_and_release), CALLER(1, run), CALLER(2, cancel_and_release)}},
    {.name = "taken back, then run or cancelled, waited for, and given back",
     .by_name = true,
     .reset = reset_work,
     .check = check_work,
     .threads = {CALLER(0, wait_and_release), CALLER(1, send_and_run), CALLER(2, cancel_and_release)}},
    {.name = "two set, both waited for with a deadline",
     .reset = reset,
     .check = check_all,
     .threads = {CALLER(0, wait_all), ACTOR(deadline, 0), CALLER(1, set), CALLER(2, set_other)}},
    {.name = "two set, the first waited for",
     .reset = reset,
     .check = check_first,
     .threads = {CALLER(0, wait_first), CALLER(1, set), CALLER(2, set_other)}},
    {.name = "one cancelled and told, one set, both waited for with a deadline",
     .reset = reset,
     .check = check_told,
     .threads = {CALLER(0, wait_all), ACTOR(deadline, 0), CALLER(1, cancel_then_start),
                 CALLER(2, set_other)}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
