/* A program for gdb: two threads sleep and two compute, some calls deep, and the main thread stops again and again when all of them do. */
#include <thrum.h>

static int computing, asleep;

static volatile int never;

/* What follows the calls keeps them from being jumps. */
__attribute__((noinline)) static intptr_t sleep_in_here(void *arg) {
  __atomic_add_fetch(&asleep, 1, __ATOMIC_RELEASE);
  thrum_sleep(THRUM_S(3600));
  return (intptr_t)arg;
}
__attribute__((noinline)) static intptr_t before_sleep(void *arg) { return sleep_in_here(arg) + never; }
static intptr_t sleepy_root(void *arg) { return before_sleep(arg) + never; }

__attribute__((noinline)) static intptr_t compute_in_here(void *arg) {
  __atomic_add_fetch(&computing, 1, __ATOMIC_RELEASE);
  for (volatile unsigned long i = 0; !never; i++) continue;
  return (intptr_t)arg;
}
__attribute__((noinline)) static intptr_t before_computing(void *arg) { return compute_in_here(arg) + never; }
static intptr_t compute_root(void *arg) { return before_computing(arg) + never; }

__attribute__((noinline)) void all_there(void);
void all_there(void) { __asm__ volatile(""); }

int main(void) {
  for (int i = 0; i < 2; i++) {
    if (thrum_spawn_named(NULL, sleepy_root, NULL, "sleeper-%d", i)) return 1;
    if (thrum_spawn(NULL, compute_root, NULL)) return 1;
  }
  while (__atomic_load_n(&asleep, __ATOMIC_ACQUIRE) < 2 || __atomic_load_n(&computing, __ATOMIC_ACQUIRE) < 2)
    thrum_sleep(THRUM_MS(1));
  for (;;) {
    all_there();
    thrum_sleep(THRUM_MS(1));
  }
}
