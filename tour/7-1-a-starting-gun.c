/* A starting gun: an event
 *
 * An event is a flag that threads wait for. Five runners wait for the gun; one set lets all of them go. It stays set: whoever
 * comes late does not wait at all, until somebody clears it for the next race. A sixth runner is impatient: it waits for
 * 20 ms, is told -ETIMEDOUT, and goes home. (In Python wait(0.02) returns False then.) */
#include <thrum.h>

enum { RUNNERS = 5 };

static thrum_event gun; /* all-zero is clear */
static thrum_sem at_the_line;
static thrum_time fired;

static intptr_t run(void *arg) {
  (void)arg;
  thrum_sem_release(&at_the_line, 1);
  thrum_event_wait(&gun);
  thrum_duration reaction = thrum_now() - fired; /* what was done before the set, its waiters see */
  thrum_print("%s runs, %.3f ms after the gun\n", thrum_current_name(), (double)reaction / 1e6);
  return 0;
}

static intptr_t run_impatiently(void *arg) {
  (void)arg;
  int error = thrum_event_wait_for(&gun, THRUM_MS(20));
  thrum_print("%s %s\n", thrum_current_name(), error == -ETIMEDOUT ? "goes home" : "runs as well");
  return 0;
}

int main(void) {
  thrum_thread runners[RUNNERS] = {0}, impatient = {0}, late = {0};
  for (int i = 0; i < RUNNERS; i++) thrum_spawn_named(&runners[i], run, NULL, "runner-%d", i);
  thrum_spawn_named(&impatient, run_impatiently, NULL, "runner-5");
  for (int i = 0; i < RUNNERS; i++) thrum_sem_acquire(&at_the_line);
  thrum_print("%d are at the line\n", RUNNERS);
  thrum_join(impatient, NULL);

  fired = thrum_now();
  thrum_event_set(&gun);
  for (int i = 0; i < RUNNERS; i++) thrum_join(runners[i], NULL);
  thrum_spawn_named(&late, run, NULL, "latecomer");
  thrum_join(late, NULL);

  thrum_event_clear(&gun);
  thrum_print("the gun is %s\n", thrum_event_is_set(&gun) ? "fired" : "loaded again");
  return 0;
}
