/* A program for gdb: two threads sleep, two compute, and the main thread stops again and again when all of them do. */
#include <thrum.h>

static int computing, asleep;

static intptr_t sleep_in_here(void *arg) {
  (void)arg;
  __atomic_add_fetch(&asleep, 1, __ATOMIC_RELEASE);
  thrum_sleep(THRUM_S(3600));
  return 0;
}

static intptr_t compute_in_here(void *arg) {
  (void)arg;
  __atomic_add_fetch(&computing, 1, __ATOMIC_RELEASE);
  for (volatile unsigned long i = 0;; i++) continue;
  return 0;
}

__attribute__((noinline)) void all_there(void);
void all_there(void) { __asm__ volatile(""); }

int main(void) {
  for (int i = 0; i < 2; i++) {
    if (thrum_spawn_named(NULL, sleep_in_here, NULL, "sleeper-%d", i)) return 1;
    if (thrum_spawn(NULL, compute_in_here, NULL)) return 1;
  }
  while (__atomic_load_n(&asleep, __ATOMIC_ACQUIRE) < 2 || __atomic_load_n(&computing, __ATOMIC_ACQUIRE) < 2)
    thrum_sleep(THRUM_MS(1));
  for (;;) {
    all_there();
    thrum_sleep(THRUM_MS(1));
  }
}
