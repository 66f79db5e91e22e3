/* A program for valgrind. Light threads and a bound one wait, go deep into their stacks and are joined, while two that only compute
 * are preempted for them: valgrind finds nothing. With an argument, a thread goes by what it never wrote: valgrind finds that. */
#include <stdlib.h>
#include <string.h>
#include <thrum.h>

enum { THREADS = 8, HOGS = 2, LEVELS = 300 };

static thrum_lock lock;
static thrum_cond changed;
static thrum_event go;
static int inside;
static bool over;

/* Half a KiB a level: written on the way down, read on the way back. */
__attribute__((noinline)) static intptr_t dig(int levels) {
  char here[512];
  memset(here, levels, sizeof here);
  __asm__ volatile("" ::"r"(here) : "memory");
  intptr_t below = levels == 0 ? 0 : dig(levels - 1);
  return below + (here[511] == (char)levels);
}

static intptr_t wait_and_dig(void *arg) {
  int *copy = malloc(sizeof *copy);
  if (!copy) return -ENOMEM;
  *copy = *(int *)arg;
  THRUM_LOCKED(&lock) {
    inside++;
    thrum_cond_notify_all(&changed);
  }
  thrum_event_wait(&go);
  thrum_sleep(THRUM_MS(1));
  intptr_t result = dig(LEVELS) + *copy;
  free(copy);
  return result;
}

static intptr_t compute(void *arg) {
  (void)arg;
  intptr_t rounds = 0;
  while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) rounds++;
  return rounds > 0;
}

static bool returns(thrum_thread t, intptr_t expected) {
  intptr_t result;
  return thrum_join(t, &result) == 0 && result == expected;
}

static bool spawn_all(thrum_thread *waiting, thrum_thread *hogs) {
  for (int i = 0; i < HOGS; i++)
    if (thrum_spawn(&hogs[i], compute, NULL) != 0) return false;
  for (int i = 0; i < THREADS; i++)
    if (thrum_spawn_copy(&waiting[i], wait_and_dig, &i, sizeof i) != 0) return false;
  THRUM_LOCKED(&lock) {
    while (inside < THREADS) thrum_cond_wait(&changed, &lock);
  }
  thrum_event_set(&go);
  return true;
}

static bool bound_one_digs(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  int seven = 7;
  thrum_thread t;
  return thrum_spawn_with(&t, &options, wait_and_dig, &seven) == 0 && returns(t, LEVELS + 1 + seven);
}

static bool all_is_well(void) {
  thrum_thread waiting[THREADS], hogs[HOGS];
  if (!spawn_all(waiting, hogs)) return false;
  for (int i = 0; i < THREADS; i++)
    if (!returns(waiting[i], LEVELS + 1 + i)) return false;
  if (!bound_one_digs()) return false;
  __atomic_store_n(&over, true, __ATOMIC_RELEASE);
  for (int i = 0; i < HOGS; i++)
    if (!returns(hogs[i], 1)) return false;
  return true;
}

static intptr_t go_by_what_was_never_written(void *arg) {
  (void)arg;
  int unset[4];
  __asm__ volatile("" : "=m"(unset)); /* as far as the compiler knows, it was */
  if (unset[2]) thrum_yield();
  return 0;
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc == 1) return all_is_well() ? 0 : 1;
  thrum_thread t;
  return thrum_spawn(&t, go_by_what_was_never_written, NULL) || thrum_join(t, NULL);
}
