/* Promise 1: one call into libc that lasts for hundreds of milliseconds loses its worker like any loop. */
#include "../support.h"

enum { ITEMS = TESTS_SANITIZED ? 400000 : 3000000, CALLERS = 2, BYTES = 64 << 20, PASSES = 24 };

static uint64_t ticks; /* turns of the witness */
static bool stop;

struct call {
  thrum_fn *fn;
  uint64_t ticks_before, ticks_after;
  int64_t nanoseconds;
};

static intptr_t witness(void *arg) {
  (void)arg;
  while (!LOAD(stop)) {
    ADD(ticks, 1);
    thrum_yield();
  }
  return 0;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static intptr_t sort(void *arg) {
  struct call *call = arg;
  uint32_t *items = malloc(ITEMS * sizeof *items);
  CHECK(items);
  uint32_t x = 12345;
  for (int i = 0; i < ITEMS; i++) items[i] = x = x * 1664525 + 1013904223;
  call->ticks_before = LOAD(ticks);
  int64_t start = wall_now();
  qsort(items, ITEMS, sizeof *items, compare);
  call->nanoseconds = wall_now() - start;
  call->ticks_after = LOAD(ticks);
  for (int i = 1; i < ITEMS; i++) CHECK(items[i - 1] <= items[i]);
  free(items);
  return 0;
}

/* Long calls of the kind that is written in assembly and keeps its state in vector registers. */
static intptr_t fill_and_measure(void *arg) {
  struct call *call = arg;
  char *text = malloc(BYTES);
  CHECK(text);
  call->ticks_before = LOAD(ticks);
  int64_t start = wall_now();
  for (int pass = 1; pass <= PASSES; pass++) {
    memset(text, pass, BYTES - 1);
    text[BYTES - 1] = 0;
    CHECK_EQ(strlen(text), BYTES - 1);
    CHECK(memchr(text, pass + 1, BYTES - 1) == NULL);
  }
  call->nanoseconds = wall_now() - start;
  call->ticks_after = LOAD(ticks);
  free(text);
  return 0;
}

/* As many calls at once as there are workers: the witness can only run in their stead. */
static void leaves_the_worker(thrum_fn *fn) {
  thrum_thread threads[CALLERS];
  struct call calls[CALLERS] = {{0}};
  for (int i = 0; i < CALLERS; i++) threads[i] = must_spawn(fn, &calls[i]);
  for (int i = 0; i < CALLERS; i++) {
    CHECK_EQ(must_join(threads[i]), 0);
    if (calls[i].nanoseconds < THRUM_MS(100))
      printf("a call of %lld ns only\n", (long long)calls[i].nanoseconds);
    CHECK(calls[i].ticks_after > calls[i].ticks_before);
  }
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("with ThreadSanitizer nobody is preempted inside libc");
  thrum_thread t = must_spawn(witness, NULL);
  AWAIT(LOAD(ticks) > 0);
  leaves_the_worker(sort);
  leaves_the_worker(fill_and_measure);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 0);
  return 0;
}
