/* See explore.h. A node of the tree is a decision: who goes on, or a number from explore_choose. The path from the root
 * to the present schedule is kept in `path`; what hangs below a node depends on the path alone. */
#include "explore.h"

#include <arch/arch.h>
#include <errno.h>
#include <limits.h>
#include <sched/sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  STACK_SIZE = 64 * 1024,
  DEPTH_MAX = 2000,
  BUFFER_MAX = 16,
  PAUSES_MAX = 100000,
  SEEN_MAX = 16,
  PRIVATE_MAX = 16,
  HALVES_MAX = 4,
  ACTORS = 2 * EXPLORE_THREADS,
  MAIN = -1
};

_Thread_local struct thrumi_kthread *thrumi_self_tls __attribute__((tls_model("initial-exec")));

enum state { READY, AWAITING, LOCKING, ASLEEP, ENDED };

struct store {
  volatile void *word;
  uint64_t value;
  size_t size;
};

static struct thread {
  void *sp;
  char *stack;
  enum state state;
  enum explore_kind kind; /* of its next operation */
  const volatile void *address;
  _Atomic uint32_t *awaited;   /* AWAITING: until it is not 0; LOCKING: until it is; ASLEEP: the futex */
  const struct thread *drains; /* its next step waits for that thread's buffer */
  unsigned asleep_since;
  _Atomic uint32_t *queued[EXPLORE_WORDS]; /* of explore_futex_wait_any; NULL: not on this one */
  unsigned queued_since[EXPLORE_WORDS];
  int woken;   /* by which; -1: not yet */
  bool paused; /* spins: reads again what it has read since its last other operation */
  const volatile void *seen[SEEN_MAX];
  int n_seen;
  int pauses; /* in a row, without a step */
  unsigned steps;
  struct store buffer[BUFFER_MAX];
  int buffered;
} threads[EXPLORE_THREADS];

/* Actors are threads, and above EXPLORE_THREADS the store buffers of the same threads. */
static struct node {
  uint32_t enabled, sleeping, done; /* sets of actors; count == 0 */
  unsigned chosen, count;           /* count > 0: a choice of a number */
} path[DEPTH_MAX + 1];

static const struct explore_model *model;
static int n_threads, current = MAIN;
static struct { uintptr_t low, size; } privates[PRIVATE_MAX]; /* bytes */
static int n_private;
static const volatile void *halves[HALVES_MAX];
static int n_halves;
static unsigned depth, known; /* path[0] to path[known - 1] are given */
static uint32_t sleeping;
static unsigned steps; /* orders sleepers on a futex */
static void *main_sp;
static bool cut, impatient, replaying;
static unsigned long long walked, cut_short, given_up;
static unsigned longest;

/* ---- Telling ------------------------------------------------------------------------------------------- */

static char digit(unsigned n) { return "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36]; }

void explore_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("%s: ", model->name);
  vprintf(format, args);
  va_end(args);
  printf("\nafter %llu schedules, by the schedule\n  ", walked);
  for (unsigned i = 0; i < depth; i++) putchar(digit(path[i].chosen));
  printf("\nto see its steps run this program with '%s' and that string\n", model->name);
  fflush(stdout);
  _exit(1);
}

static void tell(unsigned actor) {
  static const char *const kinds[] = {"goes on", "reads", "writes", "updates", "fence", "barrier", "kills"};
  const struct thread *t = &threads[actor % EXPLORE_THREADS];
  const char *name = model->threads[actor % EXPLORE_THREADS].name;
  if (actor >= EXPLORE_THREADS)
    printf("%-12s store of %llu to %p becomes visible\n", name, (unsigned long long)t->buffer[0].value,
           (void *)(uintptr_t)t->buffer[0].word);
  else
    printf("%-12s %s %p\n", name, kinds[t->kind], (void *)(uintptr_t)t->address);
}

/* ---- Who may go on, and whether the order of two matters ----------------------------------------------- */

static inline bool may_go_on(const struct thread *t) {
  if (t->state == ENDED || t->state == ASLEEP) return false;
  if (t->state == AWAITING && atomic_load(t->awaited) == 0) return false;
  if (t->state == LOCKING && atomic_load(t->awaited) != 0) return false;
  if ((t->kind == EXPLORE_UPDATE || t->kind == EXPLORE_FENCE) && t->buffered) return false;
  return t->kind != EXPLORE_DRAIN || !t->drains->buffered;
}

static inline bool is_enabled(unsigned actor) {
  const struct thread *t = &threads[actor % EXPLORE_THREADS];
  return actor < EXPLORE_THREADS ? may_go_on(t) : t->buffered > 0;
}

static uint32_t enabled_actors(void) {
  uint32_t set = 0;
  for (unsigned i = 0; i < (unsigned)n_threads; i++)
    set |= (uint32_t)is_enabled(i) << i | (uint32_t)is_enabled(EXPLORE_THREADS + i) << (EXPLORE_THREADS + i);
  return set;
}

static enum explore_kind kind_of(unsigned actor, const volatile void **address) {
  const struct thread *t = &threads[actor % EXPLORE_THREADS];
  bool buffer = actor >= EXPLORE_THREADS;
  *address = buffer ? t->buffer[0].word : t->address;
  return buffer ? EXPLORE_WRITE : t->kind;
}

/* Whether a waits for the store buffer that b fills or empties. */
static bool drains(unsigned a, unsigned b) {
  return a < EXPLORE_THREADS && threads[a].kind == EXPLORE_DRAIN &&
         threads[a].drains == &threads[b % EXPLORE_THREADS];
}

static bool touches_word(enum explore_kind kind) { return kind >= EXPLORE_READ && kind <= EXPLORE_UPDATE; }

void explore_upper_half(const volatile void *half) {
  if (n_halves == HALVES_MAX) explore_fail("too many halves");
  halves[n_halves++] = half;
}

static const volatile void *whole(const volatile void *address) {
  for (int i = 0; i < n_halves; i++)
    if (address == halves[i]) return (const volatile char *)address - sizeof(uint32_t);
  return address;
}

static bool order_matters(unsigned a, unsigned b) {
  const volatile void *at_a, *at_b;
  enum explore_kind kind_a = kind_of(a, &at_a), kind_b = kind_of(b, &at_b);
  if (drains(a, b) || drains(b, a)) return true;
  if (kind_a == EXPLORE_KILL || kind_b == EXPLORE_KILL) return true;
  if (!touches_word(kind_a) || !touches_word(kind_b) || whole(at_a) != whole(at_b)) return false;
  return kind_a != EXPLORE_READ || kind_b != EXPLORE_READ;
}

/* ---- Deciding ------------------------------------------------------------------------------------------ */

static struct node *next_node(void) {
  if (depth == DEPTH_MAX) explore_fail("a schedule does not end");
  return &path[depth];
}

static unsigned first_of(uint32_t set) { return (unsigned)__builtin_ctz(set); }

/* On the way to where this path leaves the former one, all is as it was then. */
static bool is_repeated(const struct node *node) { return node < path + known && !replaying; }

/* Whose step would, after this one, lead only to what was walked before. */
static uint32_t sleeping_after(const struct node *node, unsigned actor) {
  uint32_t others = replaying ? 0 : (node->sleeping | node->done) & ~(1u << actor), set = 0;
  for (; others; others &= others - 1)
    if (!order_matters(first_of(others), actor)) set |= 1u << first_of(others);
  return set;
}

/* One whose step commutes with all that others can do before it: nobody else has to be tried in its place. */
static uint32_t those_to_try(uint32_t enabled) {
  if (!model->no_kills || model->buffered) return enabled;
  for (uint32_t set = enabled; set; set &= set - 1) {
    enum explore_kind kind = threads[first_of(set)].kind;
    if (kind == EXPLORE_LOCAL || kind == EXPLORE_FENCE) return 1u << first_of(set);
  }
  return enabled;
}

/* Who goes on. False: whatever happens from here on is like something walked before. */
static bool decide(unsigned *actor) {
  struct node *node = next_node();
  uint32_t enabled = is_repeated(node) ? node->enabled : those_to_try(enabled_actors());
  if (!enabled) explore_fail("all threads that have not ended wait: a wake-up was lost");
  if (depth >= known) {
    *node = (struct node){.enabled = enabled, .sleeping = sleeping};
    if (!(enabled & ~sleeping)) return false;
    node->chosen = first_of(enabled & ~sleeping);
    known = depth + 1;
  } else if (!(enabled & 1u << node->chosen) || !is_enabled(node->chosen)) {
    explore_fail("the schedule does not fit this program");
  }
  *actor = node->chosen;
  unsigned made = *actor < EXPLORE_THREADS ? ++threads[*actor].steps : 0;
  if (model->patience && made > model->patience && enabled & (enabled - 1)) return !(impatient = true);
  bool kept = is_repeated(node + 1) && !node[1].count; /* by the next node */
  if (!kept) sleeping = sleeping_after(node, *actor);
  depth++;
  if (replaying) tell(*actor);
  return true;
}

unsigned explore_choose(unsigned n) {
  struct node *node = next_node();
  if (depth >= known) {
    *node = (struct node){.count = n};
    known = depth + 1;
  }
  node->count = n;
  depth++;
  return node->chosen;
}

/* To the next path, depth first. False: there is none. */
static bool advance(void) {
  for (; known > 0; known--) {
    struct node *node = &path[known - 1];
    if (node->count) {
      if (++node->chosen < node->count) return true;
      continue;
    }
    node->done |= 1u << node->chosen;
    uint32_t left = node->enabled & ~node->sleeping & ~node->done;
    if (!left) continue;
    node->chosen = first_of(left);
    return true;
  }
  return false;
}

/* ---- Running ------------------------------------------------------------------------------------------- */

static void write_through(const struct store *store) {
  memcpy((void *)(uintptr_t)store->word, &store->value, store->size); /* little-endian */
}

static void drain_one(struct thread *t) {
  write_through(&t->buffer[0]);
  memmove(&t->buffer[0], &t->buffer[1], (size_t)--t->buffered * sizeof t->buffer[0]);
}

static bool all_ended(void) {
  for (int i = 0; i < n_threads; i++)
    if (threads[i].state != ENDED || threads[i].buffered) return false;
  return true;
}

static void switch_to(int next) {
  void **save = current == MAIN ? &main_sp : &threads[current].sp;
  current = next;
  thrumi_self_tls = next == MAIN ? NULL : model->threads[next].self;
  thrumi_switch(save, next == MAIN ? main_sp : threads[next].sp);
}

/* Lets whoever is decided on go on; returns when it is the caller's turn. */
static void schedule(void) {
  for (;;) {
    unsigned actor;
    if (all_ended() || (cut = !decide(&actor))) {
      switch_to(MAIN);
      return;
    }
    if (actor >= EXPLORE_THREADS) {
      drain_one(&threads[actor - EXPLORE_THREADS]);
      continue;
    }
    threads[actor].state = READY;
    if ((int)actor != current) switch_to((int)actor);
    return;
  }
}

void thrumi_thread_main(void) {
  model->threads[current].run(model->threads[current].arg);
  threads[current].state = ENDED;
  schedule();
  abort();
}

static void run_once(void) {
  depth = 0;
  sleeping = 0;
  steps = 0;
  cut = impatient = false;
  n_private = 0;
  n_halves = 0;
  for (int i = 0; i < n_threads; i++) {
    char *stack = threads[i].stack;
    void *sp = thrumi_frame_make(stack, STACK_SIZE);
    threads[i] = (struct thread){.sp = sp, .stack = stack};
  }
  model->reset();
  schedule();
  walked += !cut;
  cut_short += cut && !impatient;
  given_up += impatient;
  if (depth > longest) longest = depth;
  if (!cut && model->check) model->check();
}

static void replay(const char *schedule_text) {
  replaying = true;
  for (known = 0; schedule_text[known] && known < DEPTH_MAX; known++) {
    char c = schedule_text[known];
    path[known] = (struct node){.chosen = (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0')};
  }
  run_once();
  printf("%s: that schedule succeeds\n", model->name);
}

/* False: stopped after that many schedules. */
static bool walk(unsigned long long limit) {
  walked = cut_short = given_up = 0;
  longest = known = 0;
  do run_once();
  while (walked + cut_short + given_up < limit && advance());
  return !known;
}

/* The number of schedules, of each model, with the long ones; 0: all. Not set: all, but of the short ones. */
static const char *limit_text(void) { return getenv("EXPLORE_LIMIT"); }

static void walk_all(void) {
  unsigned long long limit = limit_text() ? strtoull(limit_text(), NULL, 10) : 0;
  if (!walk(limit ? limit : ULLONG_MAX)) printf("not to its end, ");
  printf("%s: %llu schedules of at most %u steps, %llu more cut short as equal to one of these", model->name,
         walked, longest, cut_short);
  if (given_up) printf(", %llu given up after %u steps of one thread", given_up, model->patience);
  putchar('\n');
  fflush(stdout);
}

static void choose_model(const struct explore_model *chosen) {
  model = chosen;
  for (n_threads = 0; n_threads < EXPLORE_THREADS && model->threads[n_threads].run;) n_threads++;
}

/* Most mutations show in one model, and soon: so that no other one is walked to its end before, all are walked for a little while,
 * and then for longer. */
static void look_for_failure(const struct explore_model *models) {
  bool whole = false;
  for (unsigned long long limit = 1000; !whole; limit *= 10) {
    whole = true;
    for (const struct explore_model *m = models; m->name; m++) {
      choose_model(m);
      whole &= walk(limit);
    }
  }
}

/* argv: nothing, or a model's name, or that and a schedule of it. */
static void run_models(const struct explore_model *models, int argc, char **argv) {
  for (const struct explore_model *m = models; m->name; m++) {
    if (argc > 1 ? strcmp(argv[1], m->name) != 0 : m->by_name && !limit_text()) continue;
    choose_model(m);
    if (argc == 3)
      replay(argv[2]);
    else
      walk_all();
  }
}

int explore(const struct explore_model *models, int argc, char **argv) {
  thrumi_control_start();
  for (int i = 0; i < EXPLORE_THREADS; i++)
    if (!(threads[i].stack = malloc(STACK_SIZE))) abort();
  if (getenv("EXPLORE_UNTIL_FAILURE") && argc == 1)
    look_for_failure(models);
  else
    run_models(models, argc, argv);
  for (int i = 0; i < EXPLORE_THREADS; i++) free(threads[i].stack);
  return 0;
}

/* ---- Points -------------------------------------------------------------------------------------------- */

void explore_private(const volatile void *low, size_t size) {
  if (n_private == PRIVATE_MAX) explore_fail("too many private words");
  privates[n_private].low = (uintptr_t)low;
  privates[n_private++].size = size;
}

static bool is_private(const volatile void *address) {
  for (int i = 0; i < n_private; i++)
    if ((uintptr_t)address - privates[i].low < privates[i].size) return true;
  return false;
}

static void wait_for_turn(struct thread *t, enum explore_kind kind, const volatile void *address) {
  t->kind = kind;
  t->address = address;
  if (kind != EXPLORE_READ || t->paused || t->n_seen == SEEN_MAX) t->n_seen = 0;
  t->paused = false;
  if (kind == EXPLORE_READ) t->seen[t->n_seen++] = address;
  schedule();
}

void explore_point(enum explore_kind kind, const volatile void *address) {
  if (current != MAIN && !is_private(address)) wait_for_turn(&threads[current], kind, address);
}

/* A thread that spins looks at the same words once more. If nobody else goes on meanwhile it sees the same, so that is no
 * step of its own; what others do meanwhile it would also see by looking for the first time later. One that only looks, for ever, is none that
 * spins: a model makes such a look a point. */
void explore_pause(void) {
  if (current == MAIN) return;
  struct thread *t = &threads[current];
  t->pauses = t->paused ? t->pauses + 1 : 0;
  t->paused = true;
  if (t->pauses == PAUSES_MAX) explore_fail("a thread spins, and makes no step");
}

static bool looks_again(const struct thread *t, const volatile void *word) {
  for (int i = 0; t->paused && i < t->n_seen; i++)
    if (t->seen[i] == word) return true;
  return false;
}

void explore_await(_Atomic uint32_t *word) {
  struct thread *t = &threads[current];
  t->state = AWAITING;
  t->awaited = word;
  wait_for_turn(t, EXPLORE_READ, word);
}

void explore_lock(_Atomic uint32_t *word) {
  if (current != MAIN) {
    threads[current].state = LOCKING;
    threads[current].awaited = word;
    wait_for_turn(&threads[current], EXPLORE_UPDATE, word);
  }
  atomic_store(word, 1);
}

/* While it is held nobody else makes a step at that word, so an unlock may come at once; but not before the stores ahead of it, and who is
 * killed may be killed ahead of it. */
void explore_point_of_unlock(_Atomic uint32_t *word) {
  if (!model->no_kills || model->buffered) explore_point(EXPLORE_UPDATE, word);
}

uint64_t explore_load(const volatile void *word, size_t size) {
  uint64_t value = 0;
  if (current != MAIN && !is_private(word)) {
    struct thread *t = &threads[current];
    if (!looks_again(t, word)) wait_for_turn(t, EXPLORE_READ, word);
    for (int i = t->buffered - 1; i >= 0; i--)
      if (t->buffer[i].word == word) return t->buffer[i].value;
  }
  memcpy(&value, (const void *)(uintptr_t)word, size);
  return value;
}

void explore_store(volatile void *word, uint64_t value, size_t size) {
  struct store store = {word, value, size};
  bool buffered = current != MAIN && model->buffered && !is_private(word);
  explore_point(buffered ? EXPLORE_LOCAL : EXPLORE_WRITE, word);
  if (!buffered) {
    write_through(&store);
    return;
  }
  struct thread *t = &threads[current];
  if (t->buffered == BUFFER_MAX) explore_fail("a store buffer overflows");
  t->buffer[t->buffered++] = store;
}

void explore_fence(void) { explore_point(EXPLORE_FENCE, NULL); }

void explore_barrier(void) {
  struct thread *me = &threads[current];
  explore_fence();
  for (int i = 0; i < n_threads; i++) {
    if (i == current) continue;
    me->drains = &threads[i];
    explore_point(EXPLORE_DRAIN, NULL);
  }
}

int explore_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
  struct thread *t = &threads[current];
  (void)deadline;
  explore_point(EXPLORE_UPDATE, word);
  if (atomic_load(word) != expected) return -EAGAIN;
  t->state = ASLEEP;
  t->awaited = word;
  t->asleep_since = ++steps;
  wait_for_turn(t, EXPLORE_LOCAL, NULL);
  return 0;
}

static void leave_word(struct thread *t, int i) {
  if (!t->queued[i]) return; /* whoever woke it there has taken it out */
  explore_point(EXPLORE_UPDATE, t->queued[i]);
  t->queued[i] = NULL;
}

int explore_futex_wait_any(_Atomic uint32_t *const *words, const uint32_t *expected, int n) {
  struct thread *t = &threads[current];
  bool differs = false;
  t->woken = -1;
  for (int i = 0; i < n && !differs; i++) {
    explore_point(EXPLORE_UPDATE, words[i]);
    differs = atomic_load(words[i]) != expected[i];
    t->queued[i] = differs ? NULL : words[i];
    t->queued_since[i] = ++steps;
  }
  if (!differs && t->woken < 0) {
    t->state = ASLEEP;
    t->awaited = NULL;
    wait_for_turn(t, EXPLORE_LOCAL, NULL);
  }
  for (int i = 0; i < n; i++) leave_word(t, i);
  return t->woken < 0 ? -EAGAIN : t->woken;
}

struct sleeper {
  struct thread *thread; /* NULL: none */
  unsigned since;
  int word; /* of several; -1: it sleeps on one */
};

static void note_sleeper(struct sleeper *first, struct thread *t, unsigned since, int word) {
  if (!first->thread || since < first->since) *first = (struct sleeper){t, since, word};
}

static struct sleeper longest_asleep(const _Atomic uint32_t *word) {
  struct sleeper first = {0};
  for (int i = 0; i < n_threads; i++) {
    struct thread *t = &threads[i];
    if (t->state == ENDED) continue;
    if (t->state == ASLEEP && t->awaited == word) note_sleeper(&first, t, t->asleep_since, -1);
    for (int j = 0; j < EXPLORE_WORDS; j++)
      if (t->queued[j] == word) note_sleeper(&first, t, t->queued_since[j], j);
  }
  return first;
}

int explore_futex_wake(_Atomic uint32_t *word, int count) {
  int woken = 0;
  explore_point(EXPLORE_UPDATE, word);
  for (struct sleeper s; woken < count && (s = longest_asleep(word)).thread; woken++) {
    if (s.word >= 0) {
      s.thread->queued[s.word] = NULL;
      s.thread->woken = s.word;
    }
    if (s.thread->state == ASLEEP) s.thread->state = READY;
  }
  return woken;
}

void explore_end(void) {
  threads[current].state = ENDED;
  schedule();
  abort();
}

void explore_kill(int thread) {
  explore_point(EXPLORE_KILL, NULL);
  threads[thread].state = ENDED;
}

/* ---- The operating system ------------------------------------------------------------------------------ */

static int64_t no_time(void) { return 1; }

static int barrier(void) {
  explore_barrier();
  return 0;
}

struct thrumi_os thrumi_os = {
    .now = no_time, .futex_wait = explore_futex_wait, .futex_wake = explore_futex_wake, .barrier = barrier};

void thrumi_lease_wait(_Atomic uint32_t *attention, uint32_t seen) {
  explore_futex_wait(attention, seen, INT64_MAX);
}

void thrumi_lease_notify(_Atomic uint32_t *attention) { explore_futex_wake(attention, INT32_MAX); }
