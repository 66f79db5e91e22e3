/* Dining philosophers
 *
 * Five philosophers, five forks, and each needs the two beside its plate. If all take the left one first, all may hold
 * one and wait for ever. Dijkstra's remedy of 1971: everybody takes the fork with the lower number first. So the last one takes
 * the right one first, the circle is broken, and everybody eats. Who takes which fork is written once, in `dine`.
 *
 * The locks know nothing of plates, and are fair enough: nobody starves. Aristotle and Epicurus both begin with the same fork,
 * and so eat less than the others. */
#include <thrum.h>

enum { PHILOSOPHERS = 5 };

static thrum_lock forks[PHILOSOPHERS];
static int meals[PHILOSOPHERS];
static thrum_time closing;

static void eat(int i) {
  meals[i]++;
  thrum_sleep(THRUM_US(200));
}

static intptr_t dine(void *arg) {
  int i = *(int *)arg, left = i, right = (i + 1) % PHILOSOPHERS;
  thrum_lock *first = &forks[left < right ? left : right];
  thrum_lock *second = &forks[left < right ? right : left];
  do {
    THRUM_LOCKED(first) { THRUM_LOCKED(second) eat(i); }
    thrum_sleep(THRUM_US(100)); /* thinks */
  } while (thrum_left(closing) > 0);
  return 0;
}

int main(void) {
  static const char *const names[PHILOSOPHERS] = {"Aristotle", "Beauvoir", "Confucius", "Descartes",
                                                  "Epicurus"};
  thrum_thread threads[PHILOSOPHERS] = {0};
  closing = thrum_after(THRUM_MS(400));
  for (int i = 0; i < PHILOSOPHERS; i++) {
    thrum_spawn_copy(&threads[i], dine, &i, sizeof i);
    thrum_set_name(threads[i], names[i]);
  }
  for (int i = 0; i < PHILOSOPHERS; i++) thrum_join(threads[i], NULL);
  int all = 0;
  for (int i = 0; i < PHILOSOPHERS; i++) all += meals[i];
  for (int i = 0; i < PHILOSOPHERS; i++)
    thrum_print("%-10s %4d meals, %2d %%\n", names[i], meals[i], meals[i] * 100 / all);
  return 0;
}
