/* Stacks: what is given is usable, guarded and nobody else's, whatever fails in between. */
#define _GNU_SOURCE
#include "../check.h"

#include <core/spin.h>
#include <os/os.h>
#include <sched/stack.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { DEFAULT = 256 * 1024, MANY = 1000 };

static uint64_t mapped(void) {
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  CHECK_EQ(counts.mapped, counts.marked + counts.protected + counts.unguarded);
  return counts.mapped;
}

static struct thrumi_stack take(struct thrumi_stack_cache *cache, size_t size) {
  struct thrumi_stack stack;
  CHECK_EQ(thrumi_stack_take(cache, size, &stack), 0);
  CHECK(stack.low);
  CHECK(stack.size >= size);
  CHECK_EQ((uintptr_t)stack.low % thrumi_os_page(), 0);
  return stack;
}

/* Runs a case in a process of its own, since it changes the table, the limits or the kind of guard for good.
 * */
static void in_child(void (*body)(void)) {
  fflush(NULL);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

static bool dies_writing(volatile char *address) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    *address = 1;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

/* ---- Taking and giving --------------------------------------------------------------------------------- */

static void every_byte_is_usable_and_the_guard_is_not(void) {
  struct thrumi_stack stack = take(NULL, 0);
  CHECK_EQ(stack.size, DEFAULT);
  memset(stack.low, 0x55, stack.size);
  CHECK(dies_writing(stack.low - 1));
  CHECK(dies_writing(stack.low - THRUMI_STACK_GUARD));
  uintptr_t low = (uintptr_t)stack.low;
  CHECK(!thrumi_stack_guard_hit(&stack, low));
  CHECK(thrumi_stack_guard_hit(&stack, low - 1));
  CHECK(thrumi_stack_guard_hit(&stack, low - THRUMI_STACK_GUARD));
  CHECK(!thrumi_stack_guard_hit(&stack, low - THRUMI_STACK_GUARD - 1));
  CHECK(!thrumi_stack_guard_hit(&(struct thrumi_stack){0}, 0));
  thrumi_stack_give(NULL, &stack);
  CHECK(!stack.low);
}

static void sizes_are_rounded_up(void) {
  static const size_t sizes[] = {1, 4096, 4097, 32768, 100000, 1 << 20, (1 << 20) + 1, (size_t)1 << 30};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct thrumi_stack stack = take(NULL, sizes[i]);
    stack.low[0] = stack.low[stack.size - 1] = 1;
    CHECK(dies_writing(stack.low - 1));
    thrumi_stack_give(NULL, &stack);
  }
  struct thrumi_stack none;
  CHECK_EQ(thrumi_stack_take(NULL, ((size_t)1 << 40) + 1, &none), -ENOMEM);
  CHECK_EQ(thrumi_stack_take(NULL, SIZE_MAX, &none), -ENOMEM);
  CHECK(!none.low);
}

static int by_address(const void *a, const void *b) {
  const struct thrumi_stack *x = a, *y = b;
  return x->low < y->low ? -1 : x->low > y->low;
}

static void nobody_shares(void) {
  static struct thrumi_stack all[MANY];
  struct thrumi_stack_cache cache = {0};
  for (int i = 0; i < MANY; i++) all[i] = take(i % 3 ? &cache : NULL, i % 2 ? 0 : 50000);
  qsort(all, MANY, sizeof *all, by_address);
  for (int i = 1; i < MANY; i++) CHECK(all[i].low >= all[i - 1].low + all[i - 1].size + THRUMI_STACK_GUARD);
  for (int i = 0; i < MANY; i++) thrumi_stack_give(i % 5 ? &cache : NULL, &all[i]);
  uint64_t before = mapped();
  for (int i = 0; i < MANY; i++) all[i] = take(&cache, i % 2 ? 0 : 50000);
  thrumi_stack_drain(&cache);
  CHECK_EQ(mapped(), before); /* those that were given back served all */
  for (int i = 0; i < MANY; i++) thrumi_stack_give(NULL, &all[i]);
}

static void magazine_is_last_in_first_out(void) {
  struct thrumi_stack_cache cache = {0};
  struct thrumi_stack a = take(&cache, 0), b = take(&cache, 0);
  char *low_a = a.low, *low_b = b.low;
  thrumi_stack_give(&cache, &a);
  thrumi_stack_give(&cache, &b);
  a = take(&cache, 0);
  b = take(&cache, 0);
  CHECK(a.low == low_b);
  CHECK(b.low == low_a);
  thrumi_stack_give(&cache, &a);
  thrumi_stack_give(&cache, &b);
  thrumi_stack_drain(&cache);
  CHECK_EQ(cache.count, 0);
}

/* The giver of a stack may be running on it, so until the cache's next call nobody else may get it or write
 * to it. */
static void just_given_stack_is_left_alone(void) {
  struct thrumi_stack_cache cache = {0};
  static struct thrumi_stack more[3 * THRUMI_STACK_MAGAZINE];
  const size_t sizes[] = {0, 70000};
  for (int s = 0; s < 2; s++) {
    for (int i = 0; i < 3 * THRUMI_STACK_MAGAZINE; i++) more[i] = take(NULL, sizes[s]);
    for (int i = 0; i < 3 * THRUMI_STACK_MAGAZINE; i++) {
      struct thrumi_stack given = more[i], other;
      memset(given.low + given.size - 256, 0x77, 256);
      thrumi_stack_give(&cache, &more[i]);
      for (int byte = 1; byte <= 256; byte++) CHECK_EQ(given.low[given.size - (size_t)byte], 0x77);
      other = take(NULL, sizes[s]);
      CHECK(other.low != given.low);
      thrumi_stack_give(NULL, &other);
    }
    thrumi_stack_drain(&cache);
  }
}

static void default_size_may_change(void) {
  struct thrumi_stack_cache cache = {0};
  struct thrumi_stack small = take(&cache, 0), large;
  thrumi_stack_set_default(1 << 20);
  CHECK_EQ(thrumi_stack_default(), 1 << 20);
  large = take(&cache, 0);
  CHECK_EQ(large.size, 1 << 20);
  CHECK_EQ(small.size, DEFAULT);
  char *low = large.low;
  thrumi_stack_give(&cache, &large);
  thrumi_stack_give(&cache, &small);
  large = take(&cache, 0);
  CHECK(large.low == low);
  thrumi_stack_give(&cache, &large);
  thrumi_stack_set_default(300000); /* no power of two */
  large = take(&cache, 0);
  CHECK(large.size >= 300000);
  thrumi_stack_give(&cache, &large);
  thrumi_stack_set_default(DEFAULT);
  large = take(&cache, 0);
  CHECK_EQ(large.size, DEFAULT);
  thrumi_stack_give(&cache, &large);
  thrumi_stack_drain(&cache);
}

/* ---- Many threads -------------------------------------------------------------------------------------- */

/* Stacks pass from thread to thread under the pools' lock, of which ThreadSanitizer is not told. */
__attribute__((no_sanitize_thread)) static void *churn(void *argument) {
  struct thrumi_stack_cache cache = {0};
  struct thrumi_stack held[100] = {{0}};
  uint64_t seed = (uintptr_t)argument;
  for (int i = 0; i < 30000; i++) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    struct thrumi_stack *stack = &held[(seed >> 33) % 100];
    bool cached = seed >> 60 != 0;
    if (stack->low) {
      CHECK_EQ(*(uint64_t *)(void *)(stack->low + stack->size - 64),
               (uintptr_t)stack); /* nobody else wrote there */
      thrumi_stack_give(cached ? &cache : NULL, stack);
    } else {
      *stack = take(cached ? &cache : NULL, (seed >> 40) % 4 ? 0 : 64 * 1024);
      *(uint64_t *)(void *)(stack->low + stack->size - 64) = (uintptr_t)stack;
    }
    if (i % 1000 == 0) thrumi_stack_drain(&cache);
  }
  for (int i = 0; i < 100; i++) thrumi_stack_give(&cache, &held[i]);
  thrumi_stack_drain(&cache);
  return NULL;
}

static void threads_share_the_pools(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK_EQ(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
  int64_t now = 0;
  for (int i = 0; i < 200; i++) thrumi_stack_trim(now += 1000000000); /* beside them */
  for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK(mapped() > 0);
}

/* ---- What the OS refuses ------------------------------------------------------------------------------- */

static int calls_until_failure, failure;

static bool fails(void) { return calls_until_failure >= 0 && calls_until_failure-- == 0; }

static void *reserve_or_fail(size_t bytes) { return fails() ? NULL : thrumi_os_linux.reserve(bytes); }
static int guard_or_fail(void *start, size_t bytes) {
  return fails() ? failure : thrumi_os_linux.guard(start, bytes);
}
static int protect_or_fail(void *start, size_t bytes) {
  return fails() ? failure : thrumi_os_linux.protect(start, bytes);
}
static int no_markers(void *start, size_t bytes) {
  (void)start, (void)bytes;
  return -EINVAL;
}
static void *reserve_little(size_t bytes) {
  return bytes > (size_t)1 << 20 ? NULL : thrumi_os_linux.reserve(bytes);
}
static void *reserve_nothing(size_t bytes) {
  (void)bytes;
  return NULL;
}

/* Takes 300 stacks while the n-th call fails with `error`; each failure is -ENOMEM, and the next try works.
 * */
static void take_with_failure(int n, int error) {
  static struct thrumi_stack all[300];
  struct thrumi_stack_cache cache = {0};
  calls_until_failure = n;
  failure = error;
  for (int i = 0; i < 300; i++) {
    int result = thrumi_stack_take(&cache, 32768, &all[i]);
    CHECK(result == 0 || result == -ENOMEM);
    CHECK_EQ(all[i].low != NULL, result == 0);
    if (result) all[i] = take(&cache, 32768);
    memset(all[i].low, 1, 4096);
  }
  qsort(all, 300, sizeof *all, by_address);
  for (int i = 1; i < 300; i++) CHECK(all[i].low != all[i - 1].low);
}

static void failed_reserve_is_no_memory_once(void) {
  thrumi_os.reserve = reserve_nothing;
  struct thrumi_stack none;
  CHECK_EQ(thrumi_stack_take(NULL, 32768, &none), -ENOMEM);
  CHECK(!none.low);
  thrumi_os.reserve = reserve_or_fail;
  for (int n = 0; n < 4; n++) take_with_failure(n, 0);
}

static void little_room_makes_small_slabs(void) {
  thrumi_os.reserve = reserve_little;
  struct thrumi_stack stacks[10];
  for (int i = 0; i < 10; i++) stacks[i] = take(NULL, 512 * 1024);
  for (int i = 0; i < 10; i++) memset(stacks[i].low, 1, stacks[i].size);
  struct thrumi_stack none;
  CHECK_EQ(thrumi_stack_take(NULL, 2 << 20, &none), -ENOMEM);
}

static void failed_guard_is_no_memory_once(void) {
  uint64_t before = mapped();
  thrumi_os.guard = guard_or_fail;
  for (int n = 0; n < 20; n += 3) take_with_failure(n, -ENOMEM);
  CHECK_EQ(mapped() - before, 7 * 300); /* none is lost or counted twice */
}

static void failed_protect_is_no_memory_once(void) {
  thrumi_os.guard = no_markers;
  thrumi_os.protect = protect_or_fail;
  for (int n = 0; n < 20; n += 3) take_with_failure(n, -EAGAIN);
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  CHECK_EQ(counts.protected, 7 * 300);
  CHECK_EQ(counts.unguarded, 0);
}

static void without_markers_pages_are_protected(void) {
  thrumi_os.guard = no_markers;
  struct thrumi_stack stack = take(NULL, 32768);
  CHECK(dies_writing(stack.low - 1));
  memset(stack.low, 1, stack.size);
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  CHECK_EQ(counts.protected, 1);
}

static void without_mappings_stacks_are_unguarded_and_counted(void) {
  thrumi_os.guard = no_markers;
  thrumi_os.protect = protect_or_fail;
  take_with_failure(5, -ENOMEM);
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  CHECK_EQ(counts.protected, 5);
  CHECK_EQ(counts.unguarded, 295);
}

static int protect_nothing(void *start, size_t bytes) {
  (void)start, (void)bytes;
  return 0;
}

static void protecting_ends_before_the_limit(void) {
  thrumi_os.guard = no_markers;
  thrumi_os.protect = protect_nothing;
  for (int i = 0; i < THRUMI_STACK_PROTECTED_MAX + 10; i++) take(NULL, 4096);
  struct thrumi_stack_counts counts;
  thrumi_stack_count(&counts);
  CHECK_EQ(counts.protected, THRUMI_STACK_PROTECTED_MAX);
  CHECK_EQ(counts.unguarded, 10);
}

/* ---- A million ----------------------------------------------------------------------------------------- */

static size_t mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  size_t lines = 0;
  for (int c; maps && (c = fgetc(maps)) != EOF;) lines += c == '\n';
  if (maps) fclose(maps);
  return lines;
}

static int guard_for_free(void *start, size_t bytes) {
  (void)start, (void)bytes;
  return 0;
}

/* Without guards: each costs page tables, and it is the mappings that this is about. */
static void million_fits(void) {
  struct thrumi_stack_cache cache = {0};
  thrumi_os.guard = thrumi_os.protect = guard_for_free;
  for (int i = 0; i < 1000000; i++) {
    struct thrumi_stack stack;
    CHECK_EQ(thrumi_stack_take(&cache, 0, &stack), 0);
  }
  CHECK(mappings() < 10000);
}

/* ---- Trimming and use ---------------------------------------------------------------------------------- */

enum { IDLE = 300, SECOND = 1000000000 };

static bool top_resident(const struct thrumi_stack *stack) {
  unsigned char resident;
  size_t page = thrumi_os_page();
  CHECK_EQ(mincore(stack->low + stack->size - page, page, &resident), 0);
  return resident & 1;
}

static size_t count_resident(const struct thrumi_stack *stacks) {
  size_t n = 0;
  for (int i = 0; i < IDLE; i++) n += top_resident(&stacks[i]);
  return n;
}

static int discard_refused(void *start, size_t bytes) {
  (void)start, (void)bytes;
  return -EINVAL;
}

static void idle_stacks_lose_their_pages(void) {
  static struct thrumi_stack all[IDLE], copy[IDLE];
  int64_t now = 1;
  CHECK_EQ(thrumi_stack_trim(now), INT64_MAX); /* nothing there */
  for (int i = 0; i < IDLE; i++) {
    all[i] = copy[i] = take(NULL, 0);
    memset(all[i].low, 1, all[i].size);
  }
  for (int i = 0; i < IDLE; i++) thrumi_stack_give(NULL, &all[i]);
  CHECK_EQ(thrumi_stack_trim(now), now + SECOND);
  CHECK_EQ(count_resident(copy), IDLE); /* they were just used */
  thrumi_os.discard = discard_refused;
  thrumi_stack_trim(now += SECOND);
  CHECK_EQ(count_resident(copy), IDLE);
  thrumi_os.discard = thrumi_os_linux.discard;
  thrumi_stack_trim(now += SECOND); /* the refusal has moved all of them: that looked like use */
  CHECK_EQ(thrumi_stack_trim(now += SECOND), INT64_MAX);
  CHECK_EQ(count_resident(copy), THRUMI_STACK_WARM);
  uint64_t before = mapped();
  for (int i = 0; i < IDLE; i++) {
    all[i] = take(NULL, 0);
    bool clean = !top_resident(&all[i]);
    CHECK_EQ(thrumi_stack_used(&all[i]), clean ? 0 : DEFAULT);
  }
  CHECK_EQ(mapped(), before);
}

static void used_stacks_stay_warm(void) {
  static struct thrumi_stack all[IDLE], copy[IDLE];
  int64_t now = 1;
  for (int i = 0; i < IDLE; i++) all[i] = copy[i] = take(NULL, 0);
  for (int i = 0; i < IDLE; i++) all[i].low[all[i].size - 100] = 1;
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < IDLE; i++) thrumi_stack_give(NULL, &all[i]);
    thrumi_stack_trim(now += 2 * (int64_t)SECOND);
    CHECK_EQ(count_resident(copy), IDLE);
    for (int i = 0; i < IDLE; i++) all[i] = take(NULL, 0);
  }
}

static void trimming_goes_in_portions(void) {
  enum { LOTS = 5000 };
  static struct thrumi_stack all[LOTS];
  int64_t now = 1;
  for (int i = 0; i < LOTS; i++) all[i] = take(NULL, 4096);
  for (int i = 0; i < LOTS; i++) thrumi_stack_give(NULL, &all[i]);
  thrumi_stack_trim(now);
  now += SECOND;
  int calls = 1;
  while (thrumi_stack_trim(now) == now) calls++;
  CHECK_EQ(calls, 5);
}

static void use_is_measured_without_touching(void) {
  struct thrumi_stack stack = take(NULL, 16 << 20);
  unsigned char resident;
  CHECK_EQ(thrumi_stack_used(&stack), 0);
  stack.low[stack.size - 5] = 1;
  CHECK_EQ(thrumi_stack_used(&stack), 8);
  stack.low[stack.size - 100000] = 1;
  CHECK_EQ(thrumi_stack_used(&stack), 100000);
  CHECK_EQ(mincore(stack.low, thrumi_os_page(), &resident), 0);
  CHECK_EQ(resident & 1, 0);
  stack.low[0] = 1;
  CHECK_EQ(thrumi_stack_used(&stack), 16 << 20);
}

/* ---- After fork ---------------------------------------------------------------------------------------- */

static void pools_work_in_a_child(void) {
  thrumi_stack_fork();
  for (int i = 0; i < 100; i++) {
    struct thrumi_stack stack = take(NULL, 0);
    stack.low[0] = 1;
  }
}

int main(void) {
  in_child(million_fits);
  in_child(failed_reserve_is_no_memory_once);
  in_child(little_room_makes_small_slabs);
  in_child(failed_guard_is_no_memory_once);
  in_child(failed_protect_is_no_memory_once);
  in_child(without_markers_pages_are_protected);
  in_child(without_mappings_stacks_are_unguarded_and_counted);
  in_child(protecting_ends_before_the_limit);
  in_child(idle_stacks_lose_their_pages);
  in_child(used_stacks_stay_warm);
  in_child(trimming_goes_in_portions);
  in_child(use_is_measured_without_touching);
  every_byte_is_usable_and_the_guard_is_not();
  sizes_are_rounded_up();
  nobody_shares();
  magazine_is_last_in_first_out();
  just_given_stack_is_left_alone();
  default_size_may_change();
  threads_share_the_pools();
  in_child(pools_work_in_a_child);
  return 0;
}
