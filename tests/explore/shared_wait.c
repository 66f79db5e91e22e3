/* The waiting service: a thread waits for a word while another process wakes, a second one sleeps on the same word, the
 * time runs out, at every moment, in process/shared_wait.c, sched/await.c, sched/park.c and core/parking.c; the watcher sleeps as
 * the kernel's futex_waitv does. No wake is lost: whoever is woken and cannot use it passes it on. There are no ticks. */
#include "waiting.h"

#include <pthread.h>
#include <process/shared_wait.h>

/* The object: a semaphore whose units are counted above, and taken as they come. */
enum { UNIT = 1, ONE_WAKE = 16, SHIFT = 4 };
static _Atomic uint32_t word;
static _Atomic uint32_t watches, finished, quit;
static int taken, threads_to_end;
static bool gives_back; /* who has taken the only unit gives it to the other one */
static void (*forked)(void);
static struct thrumi_kthread watcher_kthread;

/* ---- What the service asks of the rest -------------------------------------------------------------------------------- */

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  (void)prepare, (void)parent;
  forked = child;
  return 0;
}

struct thrumi_kthread *thrumi_kthread_new(enum thrumi_role role) {
  return (void)role, &watcher_kthread;
}
void thrumi_kthread_discard(struct thrumi_kthread *k) { (void)k; }
void thrumi_kthread_adopt(struct thrumi_kthread *k) { (void)k; }
void thrumi_os_name_thread(const char *name) { (void)name; }
void thrumi_os_short_slice(int64_t ns) { (void)ns; }
void thrumi_monitor_rouse(void) {}

/* The watcher's thread starts itself, before all others begin. */
int thrumi_kthread_start(struct thrumi_kthread *k, void *(*body)(void *)) {
  body(k);
  return 0;
}

static void watcher(void *unused) {
  (void)unused;
  thrumi_shared_ready();
}

static int wake_word(_Atomic uint32_t *at, int count) {
  if (!atomic_load(&watches)) {
    thrumi_store(&watches, 1u); /* it has begun */
    return 0;
  }
  return explore_futex_wake(at, count);
}

static void begin(void) { explore_await(&watches); }

/* The watcher ends when all others have. */
static int wait_for_words(const struct thrumi_waited_word *words, size_t n, int64_t deadline) {
  _Atomic uint32_t *at[EXPLORE_WORDS] = {0};
  uint32_t expected[EXPLORE_WORDS] = {0};
  (void)deadline;
  for (size_t i = 0; i < n; i++) {
    at[i] = words[i].word;
    expected[i] = words[i].expected;
  }
  at[n] = &quit;
  int woken = explore_futex_wait_any(at, expected, (int)n + 1);
  if (thrumi_load(&quit)) explore_end();
  return woken;
}

/* The watcher without entries, and who waits for it to begin. */
static int wait_for_word(_Atomic uint32_t *at, uint32_t expected, int64_t deadline) {
  if (thrumi_self() != &watcher_kthread) return explore_futex_wait(at, expected, deadline);
  struct thrumi_waited_word one = {at, expected, false};
  return wait_for_words(&one, 1, deadline);
}

static void *allocate(size_t size) {
  static _Alignas(64) char room[1 << 16];
  EXPECT(size <= sizeof room);
  return memset(room, 0, size);
}
static void free_block(void *block) { (void)block; }

/* ---- Actors ------------------------------------------------------------------------------------------------------------ */

static void end_of(void) {
  if (thrumi_add(&finished, 1u) + 1 < (uint32_t)threads_to_end) return;
  thrumi_store(&quit, 1u);
  explore_futex_wake(&quit, 1);
}

static bool take(uint32_t *seen) {
  while (*seen % ONE_WAKE)
    if (thrumi_cas(&word, seen, *seen - UNIT)) return true;
  return false;
}

static void give(int n) {
  begin();
  thrumi_add(&word, (uint32_t)n * (UNIT + ONE_WAKE));
  thrumi_shared_wake(&word, (uint32_t)n);
}

static void waits(int i, int64_t until) {
  struct thrumi_shared_wait wait = {.what = "a word", .shift = SHIFT};
  begin();
  uint32_t seen = thrumi_load(&word);
  int error = 0;
  bool has, looked = false;
  while (!(has = take(&seen)) && !error) {
    if (looked && until != INT64_MAX) { /* its deadline comes once */
      error = -ETIMEDOUT;
      continue;
    }
    thrumi_enter();
    error = thrumi_shared_await(&wait, &word, seen, until, 0);
    thrumi_leave(thrumi_self());
    looked = true;
    seen = thrumi_load(&word);
  }
  has_ended(i);
  results[i] = has ? 0 : error;
  if (has && gives_back)
    give(1);
  else
    taken += has;
  end_of();
}

static void wait_for_ever(void *i) { waits(*(int *)i, INT64_MAX); }
static void wait_timed(void *i) { waits(*(int *)i, 1); }

/* A thread of another process, which sleeps in the kernel itself. */
static void wait_outside(void *i) {
  begin();
  uint32_t seen = thrumi_load(&word);
  while (!take(&seen)) {
    explore_futex_wait(&word, seen, INT64_MAX);
    seen = thrumi_load(&word);
  }
  taken++;
  results[*(int *)i] = 0;
  end_of();
}

static void give_one(void *unused) { (void)unused, give(1), end_of(); }
static void give_two(void *unused) { (void)unused, give(2), end_of(); }
static void give_twice(void *unused) { (void)unused, give(1), give(1), end_of(); }

static void wait_for_state(void *i) {
  struct thrumi_shared_wait wait = {.what = "a state", .shift = THRUMI_SHARED_STATE};
  begin();
  thrumi_enter();
  while (thrumi_load(&word) == 0) thrumi_shared_await(&wait, &word, 0, INT64_MAX, 0);
  thrumi_leave(thrumi_self());
  results[*(int *)i] = 0;
  end_of();
}

static void set_state(void *unused) {
  (void)unused;
  begin();
  thrumi_store(&word, 1u);
  thrumi_shared_wake(&word, THRUMI_SHARED_EVERYBODY);
  end_of();
}

static void deadline_comes(void *i) {
  deadline(i);
  end_of();
}

static void reset_for(int n) {
  reset_callers();
  if (forked) forked();
  atomic_store(&word, 0);
  atomic_store(&watches, 0);
  atomic_store(&finished, 0);
  atomic_store(&quit, 0);
  memset(&watcher_kthread, 0, sizeof watcher_kthread);
  explore_private(&watcher_kthread, sizeof watcher_kthread);
  atomic_store(&thrumi_sched.outside, 0);
  for (int i = 0; i < CALLERS; i++) { /* what dumps read, and hints */
    char *hints = (char *)&records[i].waits_for;
    explore_private(hints, (size_t)((char *)(&records[i] + 1) - hints));
  }
  threads_to_end = n;
  taken = 0;
  gives_back = false;
}

static void reset_two(void) { reset_for(2); }
static void reset_three(void) { reset_for(3); }
static void reset_giving_back(void) {
  reset_for(4);
  gives_back = true;
}

static void check_one(void) { EXPECT(taken == 1); }
static void check_two(void) { EXPECT(taken == 2); }
static void check_state(void) { EXPECT(results[0] == 0 && results[1] == 0); }

/* Who ran out of time has swallowed no unit: the other one has got it, or it is there. */
static void check_timed(void) {
  EXPECT(results[0] == 0 || results[0] == -ETIMEDOUT);
  EXPECT((uint32_t)taken + atomic_load(&word) % ONE_WAKE == 1);
}
static void check_passed_on(void) {
  EXPECT(results[0] == 0 || results[0] == -ETIMEDOUT);
  EXPECT(taken == 1);
}

static void check_one_of_state(void) { EXPECT(results[0] == 0); }

#define WATCHER \
  { .name = "watcher", .run = watcher, .self = &watcher_kthread }
#define MODEL(text, before, after, ...) \
  { \
    .name = "shared wait, " text, .reset = before, .check = after, .threads = { __VA_ARGS__, WATCHER } \
  }

#define BY_NAME(text, before, after, ...) \
  { \
    .name = "shared wait, " text, .by_name = true, .reset = before, .check = after, .threads = { \
      __VA_ARGS__, \
      WATCHER \
    } \
  }

static const struct explore_model models[] = {
    MODEL("a wake", reset_two, check_one, CALLER(0, wait_for_ever), CALLER(1, give_one)),
    MODEL("a state", reset_two, check_one_of_state, CALLER(0, wait_for_state), CALLER(1, set_state)),
    BY_NAME("a wake or a deadline", reset_three, check_timed, CALLER(0, wait_timed), CALLER(1, give_one),
            ACTOR(deadline_comes, 0)),
    BY_NAME("one gives up, one outside", reset_giving_back, check_passed_on, CALLER(0, wait_timed),
            CALLER(1, wait_outside), CALLER(2, give_one), ACTOR(deadline_comes, 0)),
    BY_NAME("two wait, two wakes", reset_three, check_two, CALLER(0, wait_for_ever), CALLER(1, wait_for_ever),
            CALLER(2, give_twice)),
    BY_NAME("two wait, two at once", reset_three, check_two, CALLER(0, wait_for_ever),
            CALLER(1, wait_for_ever), CALLER(2, give_two)),
    BY_NAME("two wakes, one outside", reset_three, check_two, CALLER(0, wait_for_ever),
            CALLER(1, wait_outside), CALLER(2, give_twice)),
    BY_NAME("two wait for a state", reset_three, check_state, CALLER(0, wait_for_state),
            CALLER(1, wait_for_state), CALLER(2, set_state)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  thrumi_os.allocate = allocate;
  thrumi_os.free = free_block;
  thrumi_os.futex_wait = wait_for_word;
  thrumi_os.futex_wake = wake_word;
  thrumi_os.shared_wait_any = wait_for_words;
  thrumi_os.shared_wake = explore_futex_wake;
  return explore(models, argc, argv);
}
