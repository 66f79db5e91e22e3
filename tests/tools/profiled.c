/* A program for perf: light threads compute three calls deep, and switch to each other in between, by themselves and because they are
 * preempted. It ends when they have used some CPU. */
#include <thrum.h>

#include <time.h>

enum { THREADS = 4, TURNS = 40, TURN_NS = 2000000 };

static int64_t cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static volatile unsigned long rounds;

/* What follows the calls keeps them from being jumps. */
__attribute__((noinline)) static int innermost(void) {
  for (int64_t end = cpu_now() + TURN_NS; cpu_now() < end;)
    for (int i = 0; i < 10000; i++) rounds = rounds + 1;
  return (int)rounds & 1;
}
__attribute__((noinline)) static int middle(void) { return innermost() + (int)(rounds & 2); }
__attribute__((noinline)) static int outermost(void) { return middle() + (int)(rounds & 4); }

static intptr_t computing_root(void *arg) {
  intptr_t sum = (intptr_t)arg;
  for (int i = 0; i < TURNS; i++) {
    sum += outermost();
    thrum_yield();
  }
  return sum & 7;
}

int main(void) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    if (thrum_spawn(&threads[i], computing_root, NULL)) return 1;
  for (int i = 0; i < THREADS; i++) thrum_join(threads[i], NULL);
  return 0;
}
