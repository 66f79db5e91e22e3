/* A lost update, made certain
 *
 * Two threads pay 100 into the same account: each reads the balance, adds, and writes the sum. The first one is
 * stopped between reading and writing, here by waiting for a flag, since by chance that happens once in a million
 * times. The other pays in completely. Then the first goes on, with what it read before. */
#include <stdatomic.h>

#include <thrum.h>

static atomic_long
    balance; /* even so: each read and each write is indivisible, but the three steps are not */
static atomic_bool first_has_read, second_is_done;

static void wait_for(atomic_bool *flag) {
  while (!atomic_load(flag)) thrum_yield();
}

static intptr_t first(void *arg) {
  long read = atomic_load(&balance);
  thrum_print("first   reads %ld\n", read);
  atomic_store(&first_has_read, true);
  wait_for(&second_is_done); /* the wrong moment */
  atomic_store(&balance, read + 100);
  thrum_print("first   writes %ld\n", read + 100);
  return (intptr_t)arg;
}

static intptr_t second(void *arg) {
  wait_for(&first_has_read);
  long read = atomic_load(&balance);
  thrum_print("second      reads %ld\n", read);
  atomic_store(&balance, read + 100);
  thrum_print("second      writes %ld\n", read + 100);
  atomic_store(&second_is_done, true);
  return (intptr_t)arg;
}

int main(void) {
  thrum_thread threads[2] = {0};
  thrum_spawn(&threads[0], first, NULL);
  thrum_spawn(&threads[1], second, NULL);
  for (int i = 0; i < 2; i++) thrum_join(threads[i], NULL);
  long paid = 200, is = atomic_load(&balance);
  thrum_print("paid in %ld, the balance is %ld: %ld lost\n", paid, is, paid - is);
  return 0;
}
