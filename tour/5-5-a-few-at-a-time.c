/* A few at a time: a semaphore
 *
 * Some things can be shared by a few threads, but not by all: connections to a server, places at a table. A semaphore counts
 * what is left. Ten threads want one of three connections; those that come too late wait, and nobody is
 * forgotten. The last line is what was promised: never more than three at once. */
#include <stdatomic.h>

#include <thrum.h>

enum { THREADS = 10, CONNECTIONS = 3 };

static thrum_sem connections = THRUM_SEM_INIT(CONNECTIONS);
static atomic_int in_use, most;

static void note(int now) {
  int seen = atomic_load(&most);
  while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
  }
}

static intptr_t query(void *arg) {
  (void)arg;
  thrum_sem_acquire(&connections);
  int now = atomic_fetch_add(&in_use, 1) + 1;
  note(now);
  thrum_print("%-10s has a connection, %d in use\n", thrum_current_name(), now);
  thrum_sleep(THRUM_MS(20));
  atomic_fetch_sub(&in_use, 1);
  thrum_sem_release(&connections, 1);
  return 0;
}

int main(void) {
  thrum_thread threads[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) thrum_spawn_named(&threads[i], query, NULL, "query-%d", i);
  for (int i = 0; i < THREADS; i++) thrum_join(threads[i], NULL);
  thrum_print("%d threads, %d connections, at most %d in use at once\n", THREADS, CONNECTIONS,
              atomic_load(&most));
  return 0;
}
