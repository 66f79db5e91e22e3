/* A program for probes.py: a thread waits for an event, two take turns, and a timer fires. */
#include <thrum.h>

static thrum_event go, fired;
static thrum_timer timer;
static int here;

static intptr_t wait_for_go(void *arg) {
  (void)arg;
  thrum_event_wait(&go);
  return 0;
}

/* With one worker the other one is there only because this one yields. */
static intptr_t take_turns(void *arg) {
  (void)arg;
  __atomic_add_fetch(&here, 1, __ATOMIC_RELEASE);
  while (__atomic_load_n(&here, __ATOMIC_ACQUIRE) < 2) thrum_yield();
  for (int i = 0; i < 20; i++) thrum_yield();
  return 0;
}

static intptr_t fire(void *arg) {
  (void)arg;
  thrum_event_set(&fired);
  return 0;
}

int main(void) {
  thrum_thread waiter, turns[2];
  if (thrum_spawn(&waiter, wait_for_go, NULL)) return 1;
  while (thrum_event_destroy(&go) != -EBUSY) thrum_sleep(THRUM_MS(1)); /* until it waits */
  for (int i = 0; i < 2; i++) {
    if (thrum_spawn(&turns[i], take_turns, NULL)) return 1;
  }
  thrum_event_set(&go);
  if (thrum_timer_start(&timer, THRUM_MS(1), fire, NULL)) return 1;
  thrum_event_wait(&fired);
  return thrum_join(waiter, NULL) || thrum_join(turns[0], NULL) || thrum_join(turns[1], NULL);
}
