/* Timers: one fires, one is cancelled
 *
 * A timer calls a function later, in a thread of its own, so that it may take as long as it likes. Cancel says whether it came in
 * time: 1, the call will not come; 0, it has come, or is coming. One of the two is certain each time, however close the
 * race: below, 500 timers are due about when they are cancelled. In Python Timer.cancel returns nothing, and
 * each timer is a thread that sleeps; here a thousand that are pending cost no thread and no memory but their own. */
#include <stdatomic.h>

#include <thrum.h>

enum { MANY = 500 };

static thrum_time started;
static thrum_event tea_is_ready;
static atomic_int calls;

static intptr_t serve(void *what) {
  thrum_print("%s is ready after %.1f ms; said by %s\n", (const char *)what,
              (double)(thrum_now() - started) / 1e6, thrum_current_name());
  thrum_event_set(&tea_is_ready);
  return 0;
}

static intptr_t count(void *arg) {
  (void)arg;
  atomic_fetch_add(&calls, 1);
  return 0;
}

/* Starts many that are due one after the other, and cancels each when it is due. */
static void race(void) {
  static thrum_timer timers[MANY];
  int cancelled = 0;
  thrum_time first = thrum_after(THRUM_MS(5));
  for (int i = 0; i < MANY; i++) thrum_timer_start_at(&timers[i], first + i * THRUM_US(20), count, NULL);
  for (int i = 0; i < MANY; i++) {
    thrum_sleep_until(first + i * THRUM_US(20));
    cancelled += thrum_timer_cancel_wait(&timers[i]); /* waits for its call, if that has begun */
  }
  thrum_print("%d timers: %d called, %d cancelled\n", MANY, atomic_load(&calls), cancelled);
}

int main(void) {
  static char text_of_tea[] = "tea", text_of_cake[] = "cake";
  static thrum_timer tea, cake; /* all-zero: not started */
  started = thrum_now();
  thrum_timer_start(&tea, THRUM_MS(30), serve, text_of_tea);
  thrum_timer_start(&cake, THRUM_S(30), serve, text_of_cake);
  thrum_event_wait(&tea_is_ready);
  thrum_print("cancel says of the cake %d, ", thrum_timer_cancel(&cake));
  thrum_print("once more %d, of the tea %d\n", thrum_timer_cancel(&cake), thrum_timer_cancel(&tea));
  race();
  return 0;
}
