/* A million threads wait for one event: all start, none takes more than a page of its stack and a record, and each goes on when the event
 * is set. Where there is less memory than that takes the test is skipped. */
#include "../support.h"

enum { MILLION = 1000000, RECORD_MOST = 2048, HUNG_S = 240 };
static const uint64_t needed = (uint64_t)6 << 30;

static thrum_event event;
static uint64_t waiting, gone_on;

/* The number in a line of a file below /proc or /sys; `otherwise` if there is none. */
static uint64_t number_in(const char *path, const char *format, uint64_t otherwise) {
  unsigned long long number = otherwise;
  char line[256];
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file) && sscanf(line, format, &number) != 1) continue;
  if (file) fclose(file);
  return number;
}

static uint64_t memory_available(void) {
  uint64_t machine = number_in("/proc/meminfo", "MemAvailable: %llu", 0) * 1024;
  uint64_t limit = number_in("/sys/fs/cgroup/memory.max", "%llu", UINT64_MAX);
  if (limit == UINT64_MAX) return machine;
  uint64_t used = number_in("/sys/fs/cgroup/memory.current", "%llu", 0);
  uint64_t left = limit > used ? limit - used : 0;
  return left < machine ? left : machine;
}

static uint64_t resident(void) { return number_in("/proc/self/status", "VmRSS: %llu", 0) * 1024; }

static intptr_t wait_for_event(void *arg) {
  ADD(waiting, 1u);
  thrum_event_wait(&event);
  ADD(gone_on, 1u);
  return (intptr_t)arg;
}

static void await_all(const uint64_t *count) {
  for (int64_t end = wall_now() + HUNG_S * INT64_C(1000000000); LOAD(*count) < MILLION;) {
    if (wall_now() > end)
      check_failed(__FILE__, __LINE__, "%llu of a million", (unsigned long long)LOAD(*count));
    CHECK_EQ(thrum_sleep(THRUM_MS(5)), 0);
  }
}

int main(void) {
  if (TESTS_SANITIZED) CHECK_SKIP("a sanitizer bears thousands of threads, not a million");
  if (memory_available() < needed) CHECK_SKIP("less than 6 GB of memory");
  thrum_thread *threads = (thrum_thread *)malloc(MILLION * sizeof *threads);
  CHECK(threads);
  CHECK_EQ(thrum_set_stack_size(THRUM_STACK_MIN), 0);
  uint64_t before = resident();
  for (intptr_t i = 0; i < MILLION; i++)
    CHECK_EQ(thrum_spawn(&threads[i], wait_for_event, (void *)(i & 1023)), 0);
  await_all(&waiting);
  CHECK_EQ(thrum_active_count(), MILLION + 1);
  CHECK_EQ(LOAD(gone_on), 0);
  thrum_stats stats = statistics();
  CHECK(stats.stacks >= MILLION);
  CHECK_EQ(stats.stacks_marked + stats.stacks_protected + stats.stacks_unguarded, stats.stacks);
  uint64_t each = (resident() - before) / MILLION;
  printf("%llu bytes each\n", (unsigned long long)each);
  fflush(stdout);
  CHECK(each <= (uint64_t)sysconf(_SC_PAGESIZE) + RECORD_MOST);
  thrum_event_set(&event);
  for (intptr_t i = 0; i < MILLION; i++) CHECK_EQ(must_join(threads[i]), i & 1023);
  CHECK_EQ(LOAD(gone_on), MILLION);
  CHECK_EQ(thrum_active_count(), 1);
  free(threads);
  return 0;
}
